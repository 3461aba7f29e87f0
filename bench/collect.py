"""The whole collector against hundreds of buses: how much of the wire's limit it makes into durable readings.

The simulator is a process of its own on ptys (9600 baud 8E1, whole frames, four FE both ways, Td 20 ms); this process
is the collector as the server runs it: supervisor, pollers, delivery, the flows and the single writer on SQLite with
synchronous=FULL. An answer counts once the sink has returned, that is after the durable commit of its unit. The limit
is the ideal time of what was kept (request + Td + answer, no gap of the master) over the time that the buses had.

The schedule is the real one, with a cycle so short that something is always due: energy and status in turn, and a
set of variables after each eight. Clocks, a matter of a few times a day, are read while it warms up and not counted.
"""

import gc
import os
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import monotonic, sleep

from sqlalchemy import func, select

from bench.bus_line import simulator
from bench.head_end import Neighbourhood, hurry, import_estate
from bench.machine import Load, LoadMeter, process_s
from bench.report import BenchFailed, Peer, Result, progress, spread
from server.clock import Clock
from server.collect.supervisor import Supervisor
from server.collect.work import BusPlan, Clocks
from server.domain.readings import ContactFailure, MeterReading, MeterVariables, StatusRead
from server.jobs.collecting import FlowOrders, FlowSink, bus_plans
from server.store.engine import open_engine, reader
from server.store.schema import reading
from server.store.writer import Writer

BUSES, METERS = 256, 8
QUICK_BUSES = 4
WARM_UP_S, RUN_S, RUNS = 20.0, 8.0, 5
QUICK_WARM_UP_S, QUICK_RUN_S, QUICK_RUNS = 1.0, 2.0, 1
FLOOR, GOAL = 0.90, 0.95
ESTATE_ID = "bench"
NEVER = 1_000_000
ENERGY_BLOCK_BYTES, STATUS_BYTES, VOLTAGE_BYTES, CURRENT_BYTES, POWER_BYTES = 20, 2, 2, 3, 3
US_PER_S = 1e6


@dataclass(frozen=True, slots=True)
class Kept:
    """What was durable at an instant, and the CPU used so far by collector and simulator."""

    at_s: float
    energy: int
    status: int
    variables: int
    failures: int
    collector_s: float
    simulator_s: float

    def answers(self) -> int:
        """Answers of meters behind it: a set of variables is three."""
        return self.energy + self.status + 3 * self.variables


class CountingSink:
    """Hands results to the real sink and counts them once it has returned."""

    def __init__(self, sink: FlowSink) -> None:
        self._sink = sink
        self.kept: Counter[str] = Counter()

    def energy(self, readings: Sequence[MeterReading]) -> None:
        """Cumulative registers."""
        self._sink.energy(readings)
        self.kept["energy"] += len(readings)

    def variables(self, rows: Sequence[MeterVariables]) -> None:
        """Momentary values."""
        self._sink.variables(rows)
        self.kept["variables"] += len(rows)

    def status(self, rows: Sequence[StatusRead]) -> None:
        """Status words."""
        self._sink.status(rows)
        self.kept["status"] += len(rows)

    def failures(self, rows: Sequence[ContactFailure]) -> None:
        """Silence, which there must not be."""
        self._sink.failures(rows)
        self.kept["failures"] += len(rows)


class Collector:
    """The collecting part of a server on one database, without billing, jobs and HTTP."""

    def __init__(self, database_url: str) -> None:
        self.engine = open_engine(database_url)
        self._writer = Writer(self.engine)
        clock = Clock()
        self.sink = CountingSink(FlowSink(self._writer, clock, ESTATE_ID, on_readings=lambda: None))
        orders = FlowOrders(self.engine, self._writer, clock, ESTATE_ID, clock_sane=lambda: True)
        clocks = Clocks(world_now=clock.world_seconds, machine_ms=clock.machine_ms)
        with reader(self.engine) as connection:
            plans = bus_plans(connection, ESTATE_ID)
        self.supervisor = Supervisor([_without_clocks(plan) for plan in plans], self.sink, orders, clocks)

    def rows(self) -> int:
        """Readings in the database."""
        with reader(self.engine) as connection:
            return int(connection.execute(select(func.count()).select_from(reading)).scalar_one())

    def close(self) -> None:
        """Stop reading, keep what was read, and let go of the database."""
        self.supervisor.stop()
        self._writer.stop()
        self.engine.dispose()


def run(*, quick: bool) -> tuple[list[Result], list[Load]]:
    """Measure some windows, one after another, on a collector that never pauses."""
    place = Neighbourhood(QUICK_BUSES if quick else BUSES, METERS)
    warm_up_s, run_s, runs = (QUICK_WARM_UP_S, QUICK_RUN_S, QUICK_RUNS) if quick else (WARM_UP_S, RUN_S, RUNS)
    with _arranged(place) as (collector, pid):
        progress("collect: warming up")
        sleep(warm_up_s)
        with LoadMeter((pid,)) as meter:
            marks = [_mark(collector, pid)]
            for number in range(runs):
                progress(f"collect: {number + 1}/{runs}")
                sleep(run_s)
                marks.append(_mark(collector, pid))
        progress("")
        _check(collector, marks)
    return _results(place, marks, meter.load, quick=quick), [meter.load]


@contextmanager
def _arranged(place: Neighbourhood) -> Iterator[tuple[Collector, int]]:
    """A simulator of the place and a collector that reads it; the simulator's process id with it."""
    with tempfile.TemporaryDirectory(prefix="bench-collect-") as name:
        folder = Path(name)
        with simulator(place.scenario(), folder) as child:
            progress("collect: taking the estate in")
            database_url = import_estate(place.estate_file(child.ports), folder)
            hurry(database_url, place.cycle_s)
            collector = Collector(database_url)
            collector.supervisor.start()
            gc.collect()
            gc.freeze()  # as the server does
            try:
                yield collector, child.pid
            finally:
                collector.close()


def _without_clocks(plan: BusPlan) -> BusPlan:
    """The plan with its clocks read once only."""
    return replace(plan, cadence=replace(plan.cadence, clock_every=NEVER, reverse_every=NEVER))


def _mark(collector: Collector, pid: int) -> Kept:
    kept = collector.sink.kept
    return Kept(
        monotonic(),
        kept["energy"],
        kept["status"],
        kept["variables"],
        kept["failures"],
        process_s(os.getpid()),
        process_s(pid),
    )


def _check(collector: Collector, marks: Sequence[Kept]) -> None:
    """What was counted must be in the database, and every meter must have answered."""
    if marks[-1].failures > marks[0].failures:
        raise BenchFailed(f"{marks[-1].failures - marks[0].failures} reads of healthy meters failed")
    if not marks[-1].energy - marks[0].energy:
        raise BenchFailed(f"nothing was kept: {collector.supervisor.sink_trouble or 'no meter answered'}")
    if collector.rows() < marks[-1].energy * 0.99:  # the same register twice within a second is one row
        raise BenchFailed(f"{marks[-1].energy} readings were counted and {collector.rows()} rows are there")


def share(place: Neighbourhood, before: Kept, after: Kept) -> float:
    """Ideal time of what became durable between two marks, over the time that the buses had."""
    variables_ms = sum(place.exchange_ms(size) for size in (VOLTAGE_BYTES, CURRENT_BYTES, POWER_BYTES))
    ideal_ms = (
        (after.energy - before.energy) * place.exchange_ms(ENERGY_BLOCK_BYTES)
        + (after.status - before.status) * place.exchange_ms(STATUS_BYTES)
        + (after.variables - before.variables) * variables_ms
    )
    return ideal_ms / 1000 / place.buses / (after.at_s - before.at_s)


def _results(place: Neighbourhood, marks: Sequence[Kept], load: Load, *, quick: bool) -> list[Result]:
    pairs = list(pairwise(marks))
    shares = [share(place, *pair) for pair in pairs]
    whole = share(place, marks[0], marks[-1])
    if whole > 1.0 + 1.0 / (marks[-1].at_s - marks[0].at_s):
        raise BenchFailed(f"{whole:.3f} of the wire's limit: faster than the wire, so it is no wire")
    rates = [(after.answers() - before.answers()) / (after.at_s - before.at_s) for before, after in pairs]
    answers = marks[-1].answers() - marks[0].answers()
    rate = answers / (marks[-1].at_s - marks[0].at_s)
    readings = [(after.energy - before.energy) / (after.at_s - before.at_s) for before, after in pairs]
    wire = f"{place.buses} buses at {place.baud} baud 8E1, Td {place.delay_ms} ms, 4 FE"
    return [
        Result(
            name=f"{wire}: durable answers",
            value=rate,
            unit="1/s",
            peer=Peer("limit of the wire", rate / whole),
            ratio=statistics.median(shares),
            spread=spread(rates),
            floor=None if quick else FLOOR,
            goal=GOAL,
            void=load.void,
        ),
        _context("energy readings among them", "1/s", readings, load),
        _context("CPU of the collector for each durable answer", "us", _costs(pairs, "collector_s"), load),
        _context("CPU of the simulator for each of them", "us", _costs(pairs, "simulator_s"), load),
        _context("cores in use by both", "cores", _cores(pairs), load),
    ]


def _costs(pairs: Sequence[tuple[Kept, Kept]], who: str) -> list[float]:
    """CPU of a process for each durable answer, in microseconds."""
    return [
        (getattr(after, who) - getattr(before, who)) * US_PER_S / max(1, after.answers() - before.answers())
        for before, after in pairs
    ]


def _cores(pairs: Sequence[tuple[Kept, Kept]]) -> list[float]:
    return [
        (after.collector_s - before.collector_s + after.simulator_s - before.simulator_s) / (after.at_s - before.at_s)
        for before, after in pairs
    ]


def _context(name: str, unit: str, samples: Sequence[float], load: Load) -> Result:
    """A row without floor."""
    return Result(name=name, value=statistics.median(samples), unit=unit, spread=spread(samples), void=load.void)
