"""What a bus needs from a port, whatever carries the bytes.

A port is opened, written and read on the collector's event loop. It hides ptys, UARTs and TCP serial servers;
the poller never knows which one it has. Times are seconds of the loop's monotonic clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from server.errors import NotRead


class PortError(NotRead):
    """A port cannot be opened or has gone; the message says which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """Serial line settings of one bus; ignored by TCP, where the serial server holds them.

    `rs485` asks the driver of this machine to switch the transceiver between sending and listening.
    """

    baud: int = 2400
    parity: str = "E"
    stop_bits: int = 1
    rs485: bool = False


class PortWaiting(PortError):
    """The other side has not come yet; nothing is wrong here, and the port says when it has."""


@dataclass(frozen=True, slots=True)
class PortStatus:
    """What the line really does: read back after opening, shown in the bus status.

    Where the other side dials in: `waiting` for it, or connected from `peer` since `since_ms` (machine time).
    """

    url: str
    is_open: bool
    parity_effective: bool | None
    failure: str = ""
    waiting: bool = False
    peer: str = ""
    since_ms: int | None = None


class Port(Protocol):
    """One half-duplex byte stream."""

    @property
    def status(self) -> PortStatus: ...

    async def open(self, on_data: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        """Open and start delivering bytes; raises PortError (missing, busy, no permission: says what to do)."""
        ...

    async def write(self, data: bytes) -> None:
        """Send the whole of `data`; raises PortError when the port is gone."""
        ...

    def close(self) -> None:
        """Close; safe to call twice."""
        ...


@runtime_checkable
class Awaited(Protocol):
    """A port whose other side comes by itself, so that opening is worth a try at once when it has."""

    def on_arrival(self, arrived: Callable[[], None]) -> None:
        """Call `arrived` each time when the other side has come."""
        ...
