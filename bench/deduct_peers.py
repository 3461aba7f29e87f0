"""The peers of the deduction kernel: the same work in vectorised NumPy and in a plain Python loop.

Both do all of it: roll-over, guards, ratio, rates, tiers by overlap, balance, level and event. They are held
against the kernel row by row before anything is timed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import (
    E_MAX_WH,
    EVENT_BACKWARDS,
    EVENT_CLOSE_ALLOWED,
    EVENT_JUMP,
    EVENT_NONE,
    EVENT_RANGE,
    FLAG_KEEP_POWER,
    deduct,
)
from core._roofline import stream
from core.units import NF_PER_FEN

MODULUS_WH = 10**9
MAX_DELTA_WH = 10**8
CHUNK = 8192
RATES, STEPS, TRIPPED, KEPT = 4, 3, 3, 2

ROW = np.dtype(
    [("price", "i4", RATES), ("step", "i4", STEPS), ("spare", "i4"), ("limit", "i8", STEPS), ("close", "i8")]
)


@dataclass(frozen=True)
class Columns:
    """A batch as `core.deduct` takes it; tariffs as an array of rows."""

    prev: NDArray[np.int32]
    new: NDArray[np.int32]
    ratio: NDArray[np.int32]
    tariff: NDArray[np.uint16]
    period: NDArray[np.int64]
    balance: NDArray[np.int64]
    alarm1: NDArray[np.int32]
    alarm2: NDArray[np.int32]
    overdraft: NDArray[np.int32]
    flags: NDArray[np.uint8]
    charge: NDArray[np.int64]
    event: NDArray[np.uint8]
    tariffs: NDArray[np.void]

    def restore(self, other: "Columns") -> None:
        """Copy the columns that a deduction changes from another batch."""
        for name in ("period", "balance", "flags"):
            getattr(self, name)[:] = getattr(other, name)


def by_kernel(c: Columns, runs: NDArray[np.int64] | None = None) -> None:
    """One call of the compiled kernel; `runs` where the meters stand grouped by tariff."""
    deduct(
        *(c.prev, c.new, c.ratio, c.tariff, c.period, c.balance, c.alarm1, c.alarm2, c.overdraft),
        *(c.flags, c.charge, c.event, c.tariffs),
        runs=runs,
    )


def by_stream(c: Columns) -> None:
    """The same arrays with trivial arithmetic: the roofline. Leaves nonsense in the columns."""
    stream(
        *(c.prev, c.new, c.ratio, c.tariff, c.period, c.balance, c.alarm1, c.alarm2, c.overdraft),
        *(c.flags, c.charge, c.event),
    )


def grouped(c: Columns) -> tuple[Columns, NDArray[np.int64]]:
    """The same meters in the order of their tariffs, and where the run of each tariff begins."""
    order = np.argsort(c.tariff, kind="stable")
    columns = {name: getattr(c, name) for name in c.__dataclass_fields__}
    tariffs = columns.pop("tariffs")
    moved = {name: np.ascontiguousarray(column[..., order]) for name, column in columns.items()}
    runs = np.searchsorted(moved["tariff"], np.arange(len(tariffs) + 1)).astype(np.int64)
    return Columns(**moved, tariffs=tariffs), runs


def by_numpy(c: Columns) -> None:
    """Whole-array expressions over chunks that stay in cache."""
    for lo in range(0, len(c.ratio), CHUNK):
        _numpy_chunk(c, slice(lo, lo + CHUNK))


def _numpy_chunk(c: Columns, part: slice) -> None:
    back = c.new[:, part] < c.prev[:, part]
    step = (c.new[:, part] - c.prev[:, part]).astype(np.int64)
    step += back * np.int64(MODULUS_WH)
    refused = step > MAX_DELTA_WH
    rows = c.tariffs[c.tariff[part]]
    ratio = c.ratio[part].astype(np.int64)
    energy = step.sum(axis=0) * ratio
    held = refused.any(axis=0)
    good = ~held & (energy <= E_MAX_WH)
    energy = np.where(good, energy, 0)
    charge = np.where(good, (step * rows["price"].T).sum(axis=0), 0) * ratio
    before = c.period[part]
    after = before + energy
    for j in range(STEPS):
        limit = rows["limit"][:, j]
        charge += rows["step"][:, j] * (np.maximum(after - limit, 0) - np.maximum(before - limit, 0))
    balance = c.balance[part] - charge
    stepped_back = (refused & back).any(axis=0)
    anomaly = np.where(held, np.where(stepped_back, EVENT_BACKWARDS, EVENT_JUMP), EVENT_RANGE)
    flags, event = _numpy_levels(c, part, balance, rows["close"])
    c.charge[part] = charge
    c.period[part] = after
    c.balance[part] = balance
    c.flags[part] = np.where(good, flags, c.flags[part])
    c.event[part] = np.where(good, event, anomaly)


def _numpy_levels(
    c: Columns, part: slice, balance: NDArray[np.int64], close: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    flags = c.flags[part]
    stored = flags & TRIPPED
    level = (balance < c.alarm1[part] * np.int64(NF_PER_FEN)).astype(np.uint8)
    level[balance < c.alarm2[part] * np.int64(NF_PER_FEN)] = KEPT
    level[balance <= -(c.overdraft[part] * np.int64(NF_PER_FEN))] = TRIPPED
    level[(stored == TRIPPED) & (balance <= close)] = TRIPPED
    level[((flags & FLAG_KEEP_POWER) != 0) & (level > KEPT)] = KEPT
    event = np.where(level > stored, level, np.uint8(EVENT_NONE))
    event[(stored == TRIPPED) & (level < TRIPPED)] = EVENT_CLOSE_ALLOWED
    return (flags & ~np.uint8(TRIPPED)) | level, event


def python_rows(c: Columns, count: int) -> list[tuple[list[int], list[int], int, int, int, int, int, int, int, int]]:
    """The first rows as lists of integers, as a program without arrays would hold them."""
    columns = (c.ratio, c.tariff, c.period, c.balance, c.alarm1, c.alarm2, c.overdraft, c.flags)
    rest = zip(*(column[:count].tolist() for column in columns), strict=True)
    prev, new = c.prev[:, :count].T.tolist(), c.new[:, :count].T.tolist()
    return [(p, n, *values) for p, n, values in zip(prev, new, rest, strict=True)]


def by_python(
    rows: list[tuple[list[int], list[int], int, int, int, int, int, int, int, int]],
    tariffs: list[tuple[list[int], list[int], list[int], int]],
) -> list[tuple[int, int, int, int, int]]:
    """One row after the other: (charge, period, balance, flags, event)."""
    return [_python_row(row, tariffs[row[3]]) for row in rows]


def _python_row(
    row: tuple[list[int], list[int], int, int, int, int, int, int, int, int],
    terms: tuple[list[int], list[int], list[int], int],
) -> tuple[int, int, int, int, int]:
    prev, new, ratio, _, period, balance, alarm1, alarm2, overdraft, flags = row
    prices, steps, limits, close = terms
    moved = [n - p if n >= p else n - p + MODULUS_WH for p, n in zip(prev, new, strict=True)]
    if max(moved) > MAX_DELTA_WH:
        back = any(w > MAX_DELTA_WH and n < p for p, n, w in zip(prev, new, moved, strict=True))
        return 0, period, balance, flags, EVENT_BACKWARDS if back else EVENT_JUMP
    energy = sum(moved) * ratio
    if energy > E_MAX_WH:
        return 0, period, balance, flags, EVENT_RANGE
    charge = sum(w * price for w, price in zip(moved, prices, strict=True)) * ratio
    after = period + energy
    for step, limit in zip(steps, limits, strict=True):
        charge += step * (max(0, after - limit) - max(0, period - limit))
    balance -= charge
    stored, level = flags & TRIPPED, 0
    if balance < alarm1 * NF_PER_FEN:
        level = 1
    if balance < alarm2 * NF_PER_FEN:
        level = KEPT
    if balance <= -overdraft * NF_PER_FEN or (stored == TRIPPED and balance <= close):
        level = TRIPPED
    if flags & FLAG_KEEP_POWER:
        level = min(level, KEPT)
    event = level if level > stored else EVENT_NONE
    if stored == TRIPPED and level < TRIPPED:
        event = EVENT_CLOSE_ALLOWED
    return charge, after, balance, flags & ~TRIPPED | level, event
