"""A transparent serial server or DTU: raw bytes over one TCP connection that we open.

Line settings are the serial server's own business, so `parity_effective` stays unknown. Splits and merges of
frames are left to the session; a closed connection is a lost port.
"""

import asyncio
from collections.abc import Callable

from server.collect.keep_alive import keep_alive
from server.collect.port import PortError, PortStatus

CONNECT_TIMEOUT_S = 5.0


class TcpPort:
    """One TCP connection. Implements `Port`."""

    def __init__(self, host: str, port: int, scheme: str = "tcp") -> None:
        """`scheme` is what its errors call it."""
        self._host, self._port = host, port
        self._url = f"{scheme}://{host}:{port}"
        self._transport: asyncio.Transport | None = None
        self._failure = ""

    @property
    def status(self) -> PortStatus:
        """Whether the connection stands."""
        return PortStatus(self._url, self._transport is not None, None, self._failure)

    async def open(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Connect and deliver bytes; `PortError` says what to do."""
        self.close()
        loop = asyncio.get_running_loop()

        def lost(error: Exception | None) -> None:
            if self._transport is None:
                return
            self._transport = None
            self._failure = f"{self._url}: the connection was closed ({error or 'by the other side'})"
            on_lost(self._failure)

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, _ = await loop.create_connection(lambda: _Bytes(on_data, lost), self._host, self._port)
        except TimeoutError as error:
            raise self._failed("no answer; check the address, the cable and the firewall") from error
        except ConnectionRefusedError as error:
            raise self._failed("connection refused; start the serial server or correct the port") from error
        except OSError as error:
            raise self._failed(f"{error.strerror or error}; check the address and the network") from error
        keep_alive(transport)
        self._transport, self._failure = transport, ""

    async def write(self, data: bytes) -> None:
        """Send `data`; `PortError` when the connection is gone."""
        if self._transport is None or self._transport.is_closing():
            raise PortError(self._failure or f"{self._url}: not connected")
        self._transport.write(data)

    def close(self) -> None:
        """Close; safe to call twice."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _failed(self, what: str) -> PortError:
        self._failure = f"{self._url}: {what}"
        return PortError(self._failure)


class _Bytes(asyncio.Protocol):
    def __init__(self, on_data: Callable[[bytes], None], on_lost: Callable[[Exception | None], None]) -> None:
        self._on_data, self._on_lost = on_data, on_lost

    def data_received(self, data: bytes) -> None:
        self._on_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._on_lost(error)
