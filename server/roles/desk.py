"""What a web process may ask of the process that writes and reads meters, by name; `remote` is the other side.

Handlers run on the thread that receives; whatever takes more than a moment goes to a lane of threads of its own, so
that searches which wait for meters keep nobody from what is known already.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from server.clock import Anchor
from server.config import Config
from server.errors import Refused
from server.store.unit import Alike, Unit
from server.transport.channel import Handler
from server.web.state import FoundView, SearchesView, SearchView, WebState

REGISTERS_MAX = 4  # meters that are read again at once for a search; the others wait for one of them


@dataclass(frozen=True, slots=True)
class Boot:
    """What a web process is told first."""

    config: Config
    anchor: Anchor
    estate_id: str
    searches: bool


@dataclass(frozen=True, slots=True)
class SearchSeen:
    """A search of a bus as it stood when it was asked for."""

    state: str
    probes: int
    protocol: str
    error: str
    meters: Sequence[FoundView]
    doubts: Sequence[tuple[str, str, str]]
    addresses: Sequence[str]


class Desk:
    """Answers questions from the parts of this process."""

    def __init__(self, state: WebState) -> None:
        self._state = state
        self._status = ThreadPoolExecutor(1, "desk status")
        self._registers = ThreadPoolExecutor(REGISTERS_MAX, "desk registers")

    def boot(self) -> Boot:
        """What a web process is told first."""
        own = self._state
        return Boot(own.config, own.clock.anchor, own.estate_id, own.searches is not None)

    def handlers(self) -> Mapping[str, Handler]:
        """By name."""
        own, searches = self._state, self._searches
        return {
            "write": self._write,
            "write_alike": self._write_alike,
            "clock_sane": own.clock_sane,
            "status": lambda: self._status.submit(own.collector.status),
            "read_now": own.collector.read_now,
            "wake": own.collector.wake,
            "search_of": lambda bus_id: _seen(searches().of(bus_id)),
            "search_start": lambda bus_id, addresses: searches().start(bus_id, addresses),
            "search_end": lambda bus_id: searches().end(bus_id),
            "search_registers": lambda bus_id, meter: self._registers.submit(_registers_wh, searches(), bus_id, meter),
        }

    def close(self) -> None:
        """End the threads."""
        for lane in (self._status, self._registers):
            lane.shutdown(wait=False, cancel_futures=True)

    def _write(self, work: Callable[[Unit], Any], urgent: bool) -> Future[Any]:
        return self._state.writer.submit(work, urgent=urgent)

    def _write_alike(self, flow: Alike[Any, Any], estate_id: str, item: Any, urgent: bool) -> Future[Any]:
        return self._state.writer.submit_alike(flow, estate_id, item, urgent=urgent)

    def _searches(self) -> SearchesView:
        if self._state.searches is None:
            raise Refused("this server does not read meters")
        return self._state.searches


def _registers_wh(searches: SearchesView, bus_id: str, meter: FoundView) -> tuple[int | None, tuple[int, ...]]:
    return searches.registers_wh(bus_id, meter)


def _seen(search: SearchView | None) -> SearchSeen | None:
    if search is None:
        return None
    found = tuple(search.meters), tuple(search.doubts), tuple(search.addresses)
    return SearchSeen(search.state, search.probes, search.protocol, search.error, *found)
