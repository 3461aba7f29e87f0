"""What a web process writes and asks through: each question goes to `desk` in the process that writes and reads meters.

The writer's promises hold across the line: an answer comes after the durable commit, and after the rings of that
commit. A process that does not answer within `ANSWER_S` is said to be away; a write waits as long as the writer needs.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, TimeoutError
from typing import Any, TypeVar, cast

from server.domain.readings import MeterReading
from server.errors import EstateError, NoAnswer
from server.store.unit import Alike, Item, Unit
from server.transport.channel import Channel
from server.transport.memory import Bell
from server.web.state import BusView, SearchView

T = TypeVar("T")
ANSWER_S = 10.0
REGISTERS_S = 60.0  # reading a meter again on a slow bus
SANE_S = 2.0  # without an answer the clock is not trusted: doubt keeps the power on


class RemoteWriter:
    """The one writer, from another process; implements `server.store.unit.Writing`."""

    def __init__(self, channel: Channel, bell: Bell) -> None:
        """`bell` is rung for the commits of all processes."""
        self._channel = channel
        self._bell = bell

    def submit(self, work: Callable[[Unit], T], *, urgent: bool = False) -> Future[T]:
        """Queue one unit; NotCarried unless `work` is a `Deed`, or another value that can be pickled."""
        return self._channel.ask("write", work, urgent)

    def submit_alike(self, flow: Alike[Item, T], estate_id: str, item: Item, *, urgent: bool = False) -> Future[T]:
        """Queue one unit of a flow that works out many at once."""
        return self._channel.ask("write_alike", flow, estate_id, item, urgent)

    def run(self, work: Callable[[Unit], T], *, urgent: bool = False) -> T:
        """Submit and wait."""
        return self.submit(work, urgent=urgent).result()

    def subscribe(self, listener: Callable[[str, str], None]) -> None:
        """Call `listener(topic, key)` a moment after commits."""
        self._bell.listen("*", listener)


class RemoteCollector:
    """The collector, from another process; implements `server.web.state.CollectorView`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def status(self) -> Sequence[BusView]:
        """Every bus."""
        return cast("Sequence[BusView]", answer(self._channel.ask("status")))

    def read_now(self, meter_id: str) -> Future[MeterReading]:
        """Read a meter on demand."""
        return self._channel.ask("read_now", meter_id)

    def wake(self, bus_id: str) -> None:
        """Look for control orders of this bus at once."""
        self._channel.tell("wake", bus_id)

    def clock_sane(self) -> bool:
        """Whether the clock has been steady; False when nobody says so."""
        try:
            return bool(self._channel.ask("clock_sane").result(SANE_S))
        except (EstateError, TimeoutError):
            return False


class RemoteSearches:
    """Searches of buses, from another process; implements `server.web.state.SearchesView`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def of(self, bus_id: str) -> SearchView | None:
        """The newest search of a bus as it stands."""
        return cast("SearchView | None", answer(self._channel.ask("search_of", bus_id)))

    def start(self, bus_id: str, addresses: tuple[str, ...] = ()) -> None:
        """Begin one."""
        answer(self._channel.ask("search_start", bus_id, addresses))

    def end(self, bus_id: str) -> None:
        """Let it end."""
        answer(self._channel.ask("search_end", bus_id))

    def registers_wh(self, bus_id: str, meter: Any) -> tuple[int | None, tuple[int, ...]]:
        """Total and rates of a meter that was found, read now."""
        found = answer(self._channel.ask("search_registers", bus_id, meter), REGISTERS_S)
        return cast("tuple[int | None, tuple[int, ...]]", found)


def answer(promise: Future[Any], timeout_s: float = ANSWER_S) -> Any:
    """What was answered; NoAnswer after so long."""
    try:
        return promise.result(timeout_s)
    except (TimeoutError, CancelledError) as error:
        promise.cancel()
        raise NoAnswer(f"the process that reads meters does not answer within {timeout_s:g} s") from error
