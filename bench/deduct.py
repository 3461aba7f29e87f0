"""Bulk deduction: ns per meter of the kernel, beside chunked NumPy and a Python loop over the same meters.

Four rates, 64 tariffs in random order, tiers, 5 % with a transformer ratio, a few roll-overs, steps back and
jumps. Candidates run in turns on the same rows; their results are compared before the first timing. Every tier of
the host is measured with meters in random order and grouped by tariff, beside chunked NumPy and beside its own
roofline: the same arrays with trivial arithmetic in the same tier (a ratio of 1 is the limit of the memory,
which grouped meters can pass by little, since they leave the column of tariffs unread and the roofline reads it). The
floor is what a busy shared machine still reaches; the goal is what a quiet one should. Data frames, database engines
and a whole billing tick stand beside it as context, with fewer repetitions and without floors.
"""

import statistics
from collections.abc import Callable

import numpy as np

from bench.deduct_context import context
from bench.deduct_peers import (
    MAX_DELTA_WH,
    MODULUS_WH,
    RATES,
    ROW,
    Columns,
    by_kernel,
    by_numpy,
    by_python,
    by_stream,
    grouped,
    python_rows,
)
from bench.machine import Load, LoadMeter
from bench.report import BenchFailed, Peer, Result, cpu_seconds, interleave, spread
from core import isa, isa_available, use_isa

SIZES = (50_000, 1_000_000)
QUICK_SIZES = (20_000,)
REPETITIONS, QUICK_REPETITIONS = 9, 3
PYTHON_ROWS, QUICK_PYTHON_ROWS = 20_000, 2_000
TARIFFS = 64
SEED = 645
NS_PER_S = 1e9
NUMPY, PYTHON = "NumPy in chunks of 8192", "Python loop"
ROOFLINE = "roofline"
IN_MEMORY = 1_000_000  # fewer meters fit a cache, whose streams say nothing about memory
ORDERS = ("random", "grouped")
# of random order against NumPy and the roofline, and of grouped meters against both
FLOORS = {"avx512": (10.0, 0.3, 10.0, 0.3), "avx2": (12.0, 0.35, 14.0, 0.4), "scalar": (5.0, 0.17, 5.0, 0.17)}
GOALS = {"avx512": (35.0, 0.7, 50.0, 0.9), "avx2": (20.0, 0.5, 25.0, 0.6), "scalar": (12.0, 0.25, 12.0, 0.25)}
PYTHON_FLOOR, PYTHON_GOAL = 60.0, 1_000.0


def run(*, quick: bool) -> tuple[list[Result], list[Load]]:
    """Measure every size; results in ns per meter, ratios against both peers."""
    results: list[Result] = []
    loads: list[Load] = []
    for meters in QUICK_SIZES if quick else SIZES:
        measured, load = _size(meters, quick=quick)
        results += measured
        loads.append(load)
    beside, more = context(lambda meters: batch(meters, SEED), quick=quick)
    return results + beside, loads + more


def batch(meters: int, seed: int) -> Columns:
    """A random batch; the same seed gives the same batch."""
    random = np.random.default_rng(seed)
    prev = random.integers(0, MODULUS_WH - MAX_DELTA_WH, (RATES, meters), dtype=np.int32)
    step = random.integers(0, 2_000, (RATES, meters), dtype=np.int32)
    step[0, random.random(meters) < 0.0005] = -1_000
    step[1, random.random(meters) < 0.0005] = MAX_DELTA_WH + 10
    over = random.random(meters) < 0.001
    prev[:, over] = MODULUS_WH - 500
    tariffs = np.zeros(TARIFFS, ROW)
    tariffs["price"] = random.integers(20_000_000, 120_000_000, (TARIFFS, RATES))
    tariffs["step"] = (5_000_000, 25_000_000, 0)
    tariffs["limit"][:, 0] = random.integers(180_000, 260_000, TARIFFS)
    tariffs["limit"][:, 1] = random.integers(350_000, 600_000, TARIFFS)
    return Columns(
        prev=prev,
        new=((prev.astype(np.int64) + step) % MODULUS_WH).astype(np.int32),
        ratio=np.where(random.random(meters) < 0.05, 30, 1).astype(np.int32),
        tariff=random.integers(0, TARIFFS, meters).astype(np.uint16),
        period=random.integers(0, 800_000, meters),
        balance=random.integers(-(10**12), 2 * 10**13, meters),
        alarm1=np.full(meters, 5_000, np.int32),
        alarm2=np.full(meters, 2_000, np.int32),
        overdraft=random.integers(0, 1_000, meters).astype(np.int32),
        flags=random.integers(0, 8, meters).astype(np.uint8),
        charge=np.zeros(meters, np.int64),
        event=np.zeros(meters, np.uint8),
        tariffs=tariffs,
    )


def _size(meters: int, *, quick: bool) -> tuple[list[Result], Load]:
    columns, fresh = batch(meters, SEED), batch(meters, SEED)
    sorted_columns, runs = grouped(columns)
    sorted_fresh, _ = grouped(fresh)
    count = min(meters, QUICK_PYTHON_ROWS if quick else PYTHON_ROWS)
    rows, terms = python_rows(fresh, count), _terms(fresh)
    chosen = isa()

    def timed(tier: str, action: Callable[[], object], rows_done: int) -> Callable[[], float]:
        def once() -> float:
            use_isa(tier)
            columns.restore(fresh)
            sorted_columns.restore(sorted_fresh)
            return cpu_seconds(action) / rows_done * NS_PER_S

        return once

    candidates = {
        NUMPY: timed(chosen, lambda: by_numpy(columns), meters),
        PYTHON: timed(chosen, lambda: by_python(rows, terms), count),
    }
    for tier in isa_available():
        use_isa(tier)
        compare(columns, fresh, count)
        candidates |= {
            f"{tier} random": timed(tier, lambda: by_kernel(columns), meters),
            f"{tier} grouped": timed(tier, lambda: by_kernel(sorted_columns, runs), meters),
            f"{tier} {ROOFLINE}": timed(tier, lambda: by_stream(columns), meters),
        }
    repetitions = QUICK_REPETITIONS if quick else REPETITIONS
    with LoadMeter() as meter:
        samples = interleave(candidates, repetitions, f"deduct {meters} meters")
    use_isa(chosen)
    medians = {name: statistics.median(values) for name, values in samples.items()}

    def result(tier: str, order: str, peer: str, value: float, floor: float, goal: float) -> Result:
        mine = medians[f"{tier} {order}"]
        return Result(
            name=f"deduct, {meters} meters, {tier}, {order}, against {peer}",
            value=mine,
            unit="ns/meter",
            peer=Peer(peer, value),
            ratio=value / mine,
            spread=spread(samples[f"{tier} {order}"]),
            floor=None if quick or (peer == ROOFLINE and meters < IN_MEMORY) else floor,
            goal=goal,
            void=meter.load.void,
        )

    results = []
    for tier in isa_available():
        limits = list(zip(FLOORS[tier], GOALS[tier], strict=True))
        for position, order in enumerate(ORDERS):
            results.append(result(tier, order, NUMPY, medians[NUMPY], *limits[2 * position]))
            results.append(result(tier, order, ROOFLINE, medians[f"{tier} {ROOFLINE}"], *limits[2 * position + 1]))
    results.append(result(chosen, "random", PYTHON, medians[PYTHON], PYTHON_FLOOR, PYTHON_GOAL))
    return results, meter.load


def _terms(columns: Columns) -> list[tuple[list[int], list[int], list[int], int]]:
    return [(r["price"].tolist(), r["step"].tolist(), r["limit"].tolist(), int(r["close"])) for r in columns.tariffs]


def compare(columns: Columns, fresh: Columns, python_count: int) -> None:
    """All candidates must agree row by row; a difference ends the bench."""
    names = ("charge", "period", "balance", "flags", "event")
    columns.restore(fresh)
    by_kernel(columns)
    kernel = {name: getattr(columns, name).copy() for name in names}
    columns.restore(fresh)
    by_numpy(columns)
    python = by_python(python_rows(fresh, python_count), _terms(fresh))
    for position, name in enumerate(names):
        if not np.array_equal(kernel[name], getattr(columns, name)):
            raise BenchFailed(f"kernel and NumPy disagree on {name}")
        if kernel[name][:python_count].tolist() != [row[position] for row in python]:
            raise BenchFailed(f"kernel and the Python loop disagree on {name}")
