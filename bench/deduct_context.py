"""Rows without a floor: the same deduction in data frames and engines, and the kernel within a billing tick.

Results are compared before anything is timed; a peer that the machine lacks is named and left out.
"""

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack

import numpy as np

from bench.deduct_engines import ENGINES, RESULTS, Prepared
from bench.deduct_peers import Columns, by_kernel
from bench.deduct_tick import tick_seconds
from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, interleave, progress, seconds, spread

METERS, QUICK_METERS = 100_000, 2_000
REPETITIONS = 3
TICK_METERS, QUICK_TICK_METERS = 3_000, 100
TICKS, QUICK_TICKS = 3, 1
NS_PER_S = 1e9
KERNEL = "kernel"


def context(make: Callable[[int], Columns], *, quick: bool) -> tuple[list[Result], list[Load]]:
    """The rows of context; `make` gives a batch of so many meters."""
    engines, load = _engines(make, QUICK_METERS if quick else METERS)
    tick, tick_load = _tick(*((QUICK_TICK_METERS, QUICK_TICKS) if quick else (TICK_METERS, TICKS)))
    return [*engines, tick], [load, tick_load]


def _engines(make: Callable[[int], Columns], meters: int) -> tuple[list[Result], Load]:
    columns, fresh = make(meters), make(meters)
    by_kernel(columns)
    expected = {name: getattr(columns, name).copy() for name in RESULTS}

    def timed(action: Callable[[], object]) -> Callable[[], float]:
        def once() -> float:
            columns.restore(fresh)
            return seconds(action) / meters * NS_PER_S

        return once

    with ExitStack() as stack:
        candidates = {KERNEL: timed(lambda: by_kernel(columns))}
        for name, engine in ENGINES.items():
            progress(f"deduct: loading {name}")
            try:
                prepared = stack.enter_context(engine(fresh))
            except (FileNotFoundError, ModuleNotFoundError) as missing:
                print(f"bench deduct: no {name}: {missing}", file=sys.stderr)
                continue
            _compare(name, prepared, expected)
            candidates[name] = timed(prepared.run)
        with LoadMeter() as meter:
            samples = interleave(candidates, REPETITIONS, "deduct, context")
    mine = statistics.median(samples[KERNEL])
    results = []
    for name in candidates:
        if name != KERNEL:
            other = statistics.median(samples[name])
            results.append(
                Result(
                    name=f"deduct, {meters} meters, context, {name}",
                    value=mine,
                    unit="ns/meter",
                    peer=Peer(name, other),
                    ratio=other / mine,
                    spread=spread(samples[name]),
                    void=meter.load.void,
                )
            )
    return results, meter.load


def _compare(name: str, prepared: Prepared, expected: dict[str, np.ndarray]) -> None:
    prepared.run()
    results = prepared.results()
    for column, values in expected.items():
        if not np.array_equal(values, results[column]):
            raise BenchFailed(f"kernel and {name} disagree on {column}")


def _tick(meters: int, ticks: int) -> tuple[Result, Load]:
    progress(f"deduct: billing ticks of {meters} meters")
    with LoadMeter() as meter:
        measured = tick_seconds(meters, ticks)
    progress("")
    whole, kernel = (statistics.median(values) / meters * NS_PER_S for values in zip(*measured, strict=True))
    return Result(
        name=f"kernel within a billing tick of {meters} meters",
        value=kernel,
        unit="ns/meter",
        peer=Peer("whole tick on SQLite", whole),
        ratio=whole / kernel,
        spread=spread([total for total, _ in measured]),
        void=meter.load.void,
    ), meter.load
