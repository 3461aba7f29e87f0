"""An open-loop HTTP client: requests begin at their appointed times, whatever became of those before.

Latency counts from the appointed time, so a server that stalls is charged for all who had to wait meanwhile.
Connections are kept alive and grow as requests overlap; one that has rested is let go before the server may end it, so
a connection that is reset is the server's fault. Answers are read to their end; a status of 400 and above is an error.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 30.0
KEPT_S = 20.0  # the server ends a connection that has rested for 30 s
HTTP_ERROR = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent: method, path, a body of JSON, and the headers that its sender has (cookie, token)."""

    kind: str
    path: str
    headers: str = ""
    body: bytes = b""

    def wire(self, host: str) -> bytes:
        """The bytes of HTTP/1.1."""
        verb = "POST" if self.body else "GET"
        head = f"{verb} {self.path} HTTP/1.1\r\nHost: {host}\r\n{self.headers}"
        if self.body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n"
        return head.encode("ascii") + b"\r\n" + self.body


@dataclass(slots=True)
class Outcome:
    """Latencies by kind of request, in milliseconds from the appointed time, and what failed."""

    latencies_ms: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def all_ms(self) -> list[float]:
        """Every latency."""
        return [one for many in self.latencies_ms.values() for one in many]


class Load:
    """Sends requests to one server."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.outcome = Outcome()

    async def run(self, requests: Sequence[Request], rate: float) -> Outcome:
        """All of them at a steady rate a second."""
        begin_s = monotonic()
        tasks = []
        for number, request in enumerate(requests):
            appointed_s = begin_s + number / rate
            if (wait_s := appointed_s - monotonic()) > 0:
                await asyncio.sleep(wait_s)
            tasks.append(asyncio.create_task(self._one(request, appointed_s)))
        await asyncio.gather(*tasks)
        for _, _, writer in self._idle:
            writer.close()
            await writer.wait_closed()
        self._idle.clear()
        return self.outcome

    async def _one(self, request: Request, appointed_s: float) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                status = await self._exchange(request)
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
            self.outcome.errors.append(f"{request.path}: {type(error).__name__}: {error}")
            return
        self.outcome.latencies_ms.setdefault(request.kind, []).append((monotonic() - appointed_s) * 1000)
        if status >= HTTP_ERROR:
            self.outcome.errors.append(f"{request.path}: {status}")

    async def _exchange(self, request: Request) -> int:
        reader, writer = self._kept() or await self._connect()
        writer.write(request.wire(f"{self._host}:{self._port}"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        await _body(reader, head)
        if "connection: close" in head:
            writer.close()
        else:
            self._idle.append((monotonic(), reader, writer))
        return status

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection that was used a moment ago and that the server has not ended meanwhile."""
        while self._idle:
            since_s, reader, writer = self._idle.pop()
            if monotonic() - since_s < KEPT_S and not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(self._host, self._port)


async def _body(reader: asyncio.StreamReader, head: str) -> None:
    """Read an answer to its end."""
    if "transfer-encoding: chunked" in head:
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readline()
        return
    _, _, rest = head.partition("content-length:")
    if rest:
        await reader.readexactly(int(rest.split("\r\n", 1)[0]))
