"""A bus behind a DTU that dials in: the port waits for the connection that the listener hands it.

Closing lets go of the connection without ending it, since a modem that is cut off needs seconds to dial again; the
listener ends it when a newer one comes, when the bus is taken out or when the collector stops. Line settings are the
modem's own, so `parity_effective` stays unknown.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from server.collect.dtu_heartbeats import HeartbeatSieve
from server.collect.port import PortError, PortStatus, PortWaiting

UNSENT_BYTES_MAX = 4096  # a bus has one request out; more means that the modem takes nothing


class DtuPort:
    """The connection of one DTU, whichever it is now. Implements `Port` and `Awaited`."""

    def __init__(self, dtu_id: str, heartbeats: Sequence[bytes], trouble: Callable[[], str]) -> None:
        """`trouble` says why nobody can dial in at all, or nothing."""
        self.dtu_id = dtu_id
        self._url = f"dtu://{dtu_id}"
        self._trouble = trouble
        self._sieve = HeartbeatSieve(heartbeats)
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._since_ms: int | None = None
        self._failure = ""
        self._arrived: Callable[[], None] | None = None
        self._on_data: Callable[[bytes], None] | None = None
        self._on_lost: Callable[[str], None] | None = None

    @property
    def status(self) -> PortStatus:
        """Waiting, or from where and since when; `is_open` while the bus is served over it."""
        there = self._transport is not None
        return PortStatus(
            self._url,
            there and self._on_data is not None,
            None,
            self._trouble() or self._failure,
            waiting=not there and not self._trouble(),
            peer=self._peer if there else "",
            since_ms=self._since_ms if there else None,
        )

    def on_arrival(self, arrived: Callable[[], None]) -> None:
        """Call `arrived` each time when the DTU has dialled in."""
        self._arrived = arrived

    async def open(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Take over the connection that stands; `PortWaiting` while there is none."""
        if trouble := self._trouble():
            raise PortError(f"{self._url}: {trouble}")
        if self._transport is None:
            raise PortWaiting(f"{self._url}: waiting for the DTU to dial in")
        self._on_data, self._on_lost, self._failure = on_data, on_lost, ""

    async def write(self, data: bytes) -> None:
        """Send `data`; `PortError` when the connection is gone or takes nothing."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise PortError(self._failure or f"{self._url}: not connected")
        if transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            transport.abort()
            raise PortError(f"{self._url}: the DTU takes no bytes; check its network")
        self._sieve.sent(data)
        transport.write(data)

    def close(self) -> None:
        """Let go of the connection; safe to call twice."""
        self._on_data = self._on_lost = None

    def attach(self, transport: asyncio.Transport, peer: str) -> None:
        """The DTU has dialled in; an older connection of the same id is ended."""
        self.detach(f"the DTU dialled in again, from {peer}")
        self._transport, self._peer, self._since_ms = transport, peer, int(time.time() * 1000)
        self._sieve.sent(b"")
        if self._arrived is not None:
            self._arrived()

    def detach(self, reason: str) -> None:
        """End the connection that stands, if any, and say so to whoever serves the bus."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        self._failure = f"{self._url}: {reason}"
        on_lost = self._on_lost
        self.close()
        if on_lost is not None:
            on_lost(self._failure)

    def received(self, transport: asyncio.Transport, data: bytes) -> None:
        """Bytes of a connection; those of one that was replaced, and those that nobody asked for, are dropped."""
        if transport is not self._transport or self._on_data is None:
            return
        if meters_said := self._sieve.feed(data):
            self._on_data(meters_said)

    def gone(self, transport: asyncio.Transport, error: Exception | None) -> None:
        """A connection has ended by itself."""
        if transport is self._transport:
            self.detach(f"the connection was closed ({error or 'by the DTU'}); waiting for it to dial in again")
