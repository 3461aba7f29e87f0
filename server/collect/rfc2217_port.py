"""A serial server that speaks RFC 2217: it sets its line as the bus wants it and says what it has set.

So a wrong baud or a parity that the device cannot do is found when the port is opened, not by silence. A server that
only passes bytes is to be addressed as `tcp://host:port`.
"""

import asyncio
from collections.abc import Callable

from server.collect.port import LineSettings, PortError, PortStatus
from server.collect.tcp_port import TcpPort
from server.collect.telnet import PARITY_CODES, LineMade, TelnetLine

SETTLE_TIMEOUT_S = 5.0


class Rfc2217Port:
    """One telnet connection with the COM-PORT option. Implements `Port`."""

    def __init__(self, host: str, port: int, settings: LineSettings) -> None:
        self._url = f"rfc2217://{host}:{port}"
        if settings.parity not in PARITY_CODES or settings.stop_bits not in (1, 2):
            line = f"{settings.baud} 8{settings.parity}{settings.stop_bits}"
            raise PortError(f"{self._url}: line {line} is not possible; parity N, E or O, stop bits 1 or 2")
        self._settings = settings
        self._tcp = TcpPort(host, port, "rfc2217")
        self._telnet = TelnetLine(settings.baud, settings.parity, settings.stop_bits)
        self._made: LineMade | None = None
        self._failure = ""
        self._news = asyncio.Event()
        self._on_data: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] | None = None

    @property
    def status(self) -> PortStatus:
        """Whether the connection stands, and the parity that the server says it has."""
        there = self._tcp.status.is_open and self._made is not None
        parity = None if self._made is None else self._made.parity != "N"
        return PortStatus(self._url, there, parity, self._failure)

    async def open(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Connect and have the line set; `PortError` when the server does not, or sets something else."""
        self.close()
        settings = self._settings
        self._telnet = TelnetLine(settings.baud, settings.parity, settings.stop_bits)
        self._news.clear()
        try:
            await self._tcp.open(self._take, self._take_loss)
            await self._settle()
        except PortError as error:
            self._failure = str(error)
            self.close()
            raise
        self._on_data, self._on_lost, self._failure = on_data, on_lost, ""

    async def write(self, data: bytes) -> None:
        """Send `data` to the line; `PortError` when the connection is gone."""
        await self._tcp.write(self._telnet.escaped(data))

    def close(self) -> None:
        """Close; safe to call twice."""
        self._on_data = self._on_lost = None
        self._made = None
        self._tcp.close()

    async def _settle(self) -> None:
        """Negotiate until the server has answered all settings, and compare them with what was asked."""
        self._telnet.greet()
        try:
            async with asyncio.timeout(SETTLE_TIMEOUT_S):
                while not self._telnet.settled and not self._telnet.refused:
                    await self._flush()
                    await self._news.wait()
                    self._news.clear()
                    if not self._tcp.status.is_open:
                        raise PortError(self._failure)
        except TimeoutError:
            self._telnet.refused = True
        if self._telnet.refused:
            raise PortError(f"{self._url}: does not speak RFC 2217; write tcp:// if it passes bytes as they are")
        await self._flush()
        made, asked = (
            self._telnet.made,
            LineMade(self._settings.baud, 8, self._settings.parity, self._settings.stop_bits),
        )
        if made != asked:
            raise PortError(f"{self._url}: the server has set {made}, not {asked}; correct the bus or the server")
        self._made = made

    async def _flush(self) -> None:
        data, self._telnet.outgoing = bytes(self._telnet.outgoing), bytearray()
        if data:
            await self._tcp.write(data)

    def _take(self, data: bytes) -> None:
        line = self._telnet.receive(data)
        self._news.set()
        if self._on_data is not None and line:
            self._on_data(line)

    def _take_loss(self, reason: str) -> None:
        self._failure = reason
        self._news.set()
        on_lost = self._on_lost
        self.close()
        if on_lost is not None:
            on_lost(self._failure)
