"""Searches of buses that run for a person in the console: started, watched, ended, and their findings read again.

A search asks through the lane of its bus, so control orders, demanded reads and the schedule go on beside it. Each
runs in a thread of its own, one a bus; what it has found so far is kept until the next search of that bus.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any, Literal

from core.dlt645.search import Heard
from core.errors import CoreError
from server.collect.port import LineSettings
from server.collect.scanning import PROTOCOLS, Findings, FoundMeter, Scanner, Sought, registers_of
from server.errors import Conflict, EstateError, NotFound

LINGER_S = 0.5
STOP_S = 5.0
Ask = Callable[[str, Any, float], "Future[Heard]"]
State = Literal["running", "done", "ended", "failed"]

log = logging.getLogger("estate645.jobs")


class _Ended(Exception):
    """A person has ended the search."""


@dataclass(slots=True)
class Search:
    """One search of one bus as it stands; read from other threads, so fields are replaced, never changed inside."""

    bus_id: str
    state: State = "running"
    probes: int = 0
    protocol: str = ""
    error: str = ""
    findings: Findings = field(default_factory=Findings)
    addresses: tuple[str, ...] = ()

    @property
    def meters(self) -> Sequence[FoundMeter]:
        """What was found so far."""
        return tuple(self.findings.meters)

    @property
    def doubts(self) -> Sequence[tuple[str, str, str]]:
        """What could not be told: (kind, protocol, address or pattern)."""
        told = self.findings
        unsure = [("edition", one.protocol, one.address) for one in told.meters if not one.edition_known]
        parts = (("clash", told.clashes), ("nameless", told.nameless), ("doubt", told.doubts))
        unsure += [("silent", "", one) for one in told.silent]
        return tuple(unsure + [(kind, *one) for kind, found in parts for one in found])


class BusSearches:
    """All searches of one process; methods may be called from any thread."""

    def __init__(self, ask: Ask, lines: Callable[[], dict[str, LineSettings]]) -> None:
        """`lines` gives the line settings of each bus that is being read."""
        self._ask = ask
        self._lines = lines
        self._lock = Lock()
        self._searches: dict[str, Search] = {}
        self._ended: set[str] = set()
        self._threads: dict[str, Thread] = {}

    def of(self, bus_id: str) -> Search | None:
        """The newest search of a bus."""
        return self._searches.get(bus_id)

    def start(self, bus_id: str, addresses: tuple[str, ...] = ()) -> None:
        """Begin one, with these numbers of nameplates asked first.

        `Conflict` while one runs on this bus, `NotFound` for a bus that is not read here.
        """
        line = self._line(bus_id)
        with self._lock:
            now = self._searches.get(bus_id)
            if now is not None and now.state == "running":
                raise Conflict("a search of this bus is running already")
            self._ended.discard(bus_id)
            search = self._searches[bus_id] = Search(bus_id, addresses=addresses)
            thread = self._threads[bus_id] = Thread(
                target=self._run, args=(search, line), name=f"search {bus_id}", daemon=True
            )
        thread.start()

    def end(self, bus_id: str) -> None:
        """Let the search end at its next question; what it has found is kept."""
        self._ended.add(bus_id)

    def registers_wh(self, bus_id: str, meter: FoundMeter) -> tuple[int | None, tuple[int, ...]]:
        """Total and rates of a meter that was found, read now; None and nothing when it does not tell."""
        self._line(bus_id)
        try:
            return asyncio.run(registers_of(_Ears(self._ask, bus_id), meter))
        except (CoreError, EstateError) as error:
            log.info("bus %s: %s was not read again: %s", bus_id, meter.address, error)
            return None, ()

    def stop(self) -> None:
        """End all of them, and wait a little."""
        self._ended.update(self._searches)
        for thread in self._threads.values():
            thread.join(STOP_S)

    def _line(self, bus_id: str) -> LineSettings:
        line = self._lines().get(bus_id)
        if line is None:
            raise NotFound(f"bus {bus_id} is not being read by this server")
        return line

    def _run(self, search: Search, line: LineSettings) -> None:
        def progress(protocol: str, _pattern: str, probes: int, _found: int) -> None:
            search.protocol, search.probes = protocol, probes
            if search.bus_id in self._ended:
                raise _Ended

        scanner = Scanner(Sought(PROTOCOLS, linger_s=LINGER_S, addresses=search.addresses), progress)
        search.findings = scanner.findings
        try:
            asyncio.run(scanner.scan(_Ears(self._ask, search.bus_id), line))
            search.state = "done"
        except _Ended:
            search.state = "ended"
        except (CoreError, EstateError) as error:
            search.state, search.error = "failed", str(error)
        except Exception as error:
            log.exception("the search of bus %s failed", search.bus_id)
            search.state, search.error = "failed", f"{type(error).__name__}: {error}"


class _Ears:
    """A bus of the collector, to be asked like a line."""

    def __init__(self, ask: Ask, bus_id: str) -> None:
        self._ask = ask
        self._bus_id = bus_id

    async def hear(self, command: Any, linger_s: float = 0.0) -> Heard:
        """Ask in the lane of the bus."""
        return await asyncio.wrap_future(self._ask(self._bus_id, command, linger_s))
