"""The HTTP parser with a bound on what one request may bring before it reaches a handler.

uvicorn's httptools protocol gathers a request's head, and the trailers of a chunked body, without a limit. Here the
head may have `HEAD_BYTES_MAX` bytes and everything of one request `REQUEST_BYTES_MAX`; above that the sender is told
431 or 413 and the connection ends, so a connection costs at most that and one read of its socket.
"""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES_MAX = 32 * 1024  # cookies, a long address and what proxies add: a few KiB in practice
REQUEST_BYTES_MAX = 1024 * 1024  # a body of 64 KiB in chunks of one byte takes 400 KiB


class BoundedProtocol(HttpToolsProtocol):
    """One connection; counts the bytes of the request that is coming in."""

    _in_head = True
    _received = 0

    def data_received(self, data: bytes) -> None:
        """Give the parser no more than the limits leave."""
        while data and not self.transport.is_closing():
            room = (HEAD_BYTES_MAX if self._in_head else REQUEST_BYTES_MAX) - self._received
            if room <= 0:
                self._refuse(431 if self._in_head else 413)
                return
            piece, data = data[:room], data[room:]
            self._received += len(piece)
            super().data_received(piece)

    def on_headers_complete(self) -> None:
        """The head has ended within its limit."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next byte belongs to another request."""
        self._in_head, self._received = True, 0
        super().on_message_complete()

    def _refuse(self, status: int) -> None:
        """Say it, unless an answer is under way already, and close."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
