"""Everything that a request may reach, in one frozen value that the composition root fills.

Handlers read through `engine` (store reads on a reader connection) and write through `writer` (one flow, one
unit). The bell only says where to look again; the collector is seen through a narrow view, since the web never
touches bytes of a bus.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Engine

from server.clock import Clock
from server.config import Config
from server.domain.readings import MeterReading
from server.domain.receipts import Receipt
from server.pay.provider import Provider
from server.store.unit import Writing


class Announcements(Protocol):
    """What the web needs of the bell: to listen."""

    def listen(self, topic: str, listener: Callable[[str, str], None]) -> Callable[[], None]:
        """Call `listener(topic, key)` on each ring of `topic` ("*" for all); returns the way to stop."""
        ...


class BusView(Protocol):
    """One bus as people see it; counters only grow, latencies are machine milliseconds of the last replies."""

    @property
    def bus_id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def open(self) -> bool: ...
    @property
    def parity_effective(self) -> bool | None: ...
    @property
    def waiting(self) -> bool: ...
    @property
    def peer(self) -> str: ...
    @property
    def since_ms(self) -> int | None: ...
    @property
    def meters(self) -> int: ...
    @property
    def silent_meters(self) -> int: ...
    @property
    def transactions(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def refusals(self) -> int: ...
    @property
    def strays(self) -> int: ...
    @property
    def reconnects(self) -> int: ...
    @property
    def last_error(self) -> str: ...
    @property
    def last_reply_ms(self) -> int | None: ...
    @property
    def latency_p50_ms(self) -> float | None: ...
    @property
    def latency_p95_ms(self) -> float | None: ...
    @property
    def reply_p50_ms(self) -> float | None: ...


class CollectorView(Protocol):
    """What people may see and ask of the collector; every method may be called from any thread."""

    def status(self) -> Sequence[BusView]:
        """Every bus: its line and what it did lately."""
        ...

    def read_now(self, meter_id: str) -> Future[MeterReading]:
        """Read a meter on demand, ahead of the cycle; resolves to the reading, or raises why there is none."""
        ...

    def wake(self, bus_id: str) -> None:
        """Look for control orders of this bus at once."""
        ...


class FoundView(Protocol):
    """One meter that a search has found; `profile` of a Modbus unit is the one map that fits."""

    @property
    def protocol(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def profile(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def total_wh(self) -> int | None: ...
    @property
    def rates_wh(self) -> Sequence[int]: ...


class SearchView(Protocol):
    """One search of a bus: running, done, ended or failed."""

    @property
    def state(self) -> str: ...
    @property
    def probes(self) -> int: ...
    @property
    def protocol(self) -> str: ...
    @property
    def error(self) -> str: ...
    @property
    def meters(self) -> Sequence[FoundView]: ...
    @property
    def doubts(self) -> Sequence[tuple[str, str, str]]: ...
    @property
    def addresses(self) -> Sequence[str]: ...


class SearchesView(Protocol):
    """What people may ask of searches for meters."""

    def of(self, bus_id: str) -> SearchView | None:
        """The newest search of a bus."""
        ...

    def start(self, bus_id: str, addresses: tuple[str, ...] = ()) -> None:
        """Begin one, with these numbers of nameplates asked first.

        `Conflict` while one runs, `NotFound` for a bus that is not read here.
        """
        ...

    def end(self, bus_id: str) -> None:
        """Let it end; what was found is kept."""
        ...

    def registers_wh(self, bus_id: str, meter: Any) -> tuple[int | None, tuple[int, ...]]:
        """Total and rates of a meter that was found, read now."""
        ...


class ReceiptsView(Protocol):
    """What the web needs of the operator's message gateway: to know its receipts."""

    @property
    def channel(self) -> str: ...

    def verify_receipt(self, headers: Mapping[str, str], body: bytes, *, now_ms: int) -> Receipt:
        """The receipt in a message; raises CallbackRejected for one that is not genuine, fresh and whole."""
        ...


@dataclass(frozen=True, slots=True)
class WebState:
    """One estate as the web serves it; `estate_id` is also on every principal, `clock_sane` what cuts are judged by."""

    config: Config
    clock: Clock
    engine: Engine
    writer: Writing
    bell: Announcements
    providers: Mapping[str, Provider]
    collector: CollectorView
    estate_id: str
    clock_sane: Callable[[], bool]
    language: str = "zh_CN"
    searches: SearchesView | None = None
    message_gateway: ReceiptsView | None = None

    @property
    def message_channel(self) -> str:
        """What carries messages to telephones here: the gateway, the sandbox of a simulated world, or nothing."""
        if self.message_gateway is not None:
            return self.message_gateway.channel
        return "sandbox" if self.config.clock_anchor else "none"
