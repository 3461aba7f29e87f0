"""Plain meters, charged by columns: one step within one span of terms, priced by the total, alone on its account.

Nearly all meters are plain at nearly all times, and a column costs a tenth of an object for each. The kernel and the
rules are those of `server.domain.billing`, which charges the rest; a row too large for the kernel is part of the rest.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core import EVENT_NONE, EVENT_RANGE, FLAG_LEVEL_MASK, deduct, post_fen
from core.units import NF_PER_FEN, REGISTER_MODULUS_WH
from server.domain.billing import KERNEL_BALANCE_MAX_FEN, KERNEL_PERIOD_MAX_WH, MAX_DELTA_WH, Crossing, DueRow
from server.domain.tariff_calendar import TariffCalendar, Terms

Int64s = NDArray[np.int64]
_RATES = 4
_EMPTY: Any = DueRow._make(repeat((), len(DueRow._fields)))


def split(
    rows: Sequence[DueRow], calendars: Mapping[str, TariffCalendar]
) -> tuple[list[DueRow], list[Terms], list[DueRow]]:
    """Plain rows with the terms of each, and the others."""
    meters = Counter(row.account_id for row in rows)
    known: dict[tuple[str, int], tuple[Terms, bool]] = {}
    plain: list[DueRow] = []
    terms: list[Terms] = []
    rest: list[DueRow] = []
    for row in rows:
        key = (row.tariff_id, row.start_at)
        if key not in known:
            found = calendars[row.tariff_id].terms_at(row.start_at)
            known[key] = found, not found.by_rates and found.has_row and found.order_start == 0
        here, simple = known[key]
        if simple and (here.end_s is None or row.end_at <= here.end_s) and meters[row.account_id] == 1 and _fits(row):
            plain.append(row)
            terms.append(here)
        else:
            rest.append(row)
    return plain, terms, rest


def _fits(row: DueRow) -> bool:
    """Whether the kernel takes the row, and the cursor needs nothing but registers and tier counter."""
    return (
        (row.end_wh - row.start_wh) % REGISTER_MODULUS_WH <= MAX_DELTA_WH
        and -KERNEL_BALANCE_MAX_FEN <= row.balance_fen <= KERNEL_BALANCE_MAX_FEN
        and row.tier_period_wh <= KERNEL_PERIOD_MAX_WH
        and row.order_start == 0
        and row.order_rates_wh is None
        and row[14:18].count(None) in (0, _RATES)
    )


@dataclass(frozen=True, slots=True)
class PlainCharges:
    """What charging plain meters does, in columns; `lines` from the account on, as lines have them.

    `cursors`: what a cursor moves to, then its meter, installation and number. `balances`: fen, residue, version and
    level, then account and version before. Only meters that used something have lines and balances.
    """

    lines: tuple[Sequence[Any], ...]
    cursors: tuple[Sequence[Any], ...]
    balances: tuple[Sequence[Any], ...]
    crossings: list[Crossing]
    silent: list[tuple[int, str]]  # new level and account of crossings without a line
    charged_fen: int


def charge_plain(rows: Sequence[DueRow], terms: Sequence[Terms]) -> tuple[PlainCharges, list[DueRow]]:
    """Charge plain rows; beside the charges the rows that the kernel refuses, for which nothing is in them."""
    column: Any = DueRow._make(zip(*rows, strict=True)) if rows else _EMPTY
    moved_wh = (_ints(column.end_wh) - _ints(column.start_wh)) % REGISTER_MODULUS_WH
    period = [one.tier_period_start for one in terms]
    tier_from_wh = np.where(_ints(column.tier_period_start) == _ints(period), _ints(column.tier_period_wh), 0)
    charge_nf, flags, event = _deducted(column, terms, moved_wh, tier_from_wh)
    refused = event == EVENT_RANGE
    if refused.any():
        taken = np.logical_not(refused).tolist()
        charges, _ = charge_plain(list(compress(rows, taken)), list(compress(terms, taken)))
        return charges, list(compress(rows, refused.tolist()))
    used = moved_wh > 0
    tier_wh = (tier_from_wh + moved_wh * _ints(column.ratio)).tolist()
    ends = (column.end_rate1_wh, column.end_rate2_wh, column.end_rate3_wh, column.end_rate4_wh)
    none = [None] * len(rows)
    cursors = (
        column.end_at, column.end_wh, *ends, period, tier_wh, [0] * len(rows), none, column.meter_id,
        column.install_no, column.seq,
    )  # fmt: skip
    levels = (flags & FLAG_LEVEL_MASK).tolist()
    residue_nf, posted_fen = _ints(column.residue_nf), np.zeros(len(rows), np.int64)
    post_fen(charge_nf, residue_nf, posted_fen)
    balance_fen, versions = (_ints(column.balance_fen) - posted_fen).tolist(), (_ints(column.version) + 1).tolist()
    residues = residue_nf.tolist()
    lines: tuple[Sequence[Any], ...] = (
        column.account_id, (-posted_fen).tolist(), balance_fen, versions, charge_nf.tolist(), residues,
        column.meter_id, column.install_no, column.tariff_id, column.start_wh, column.end_wh, none, none, period,
        tier_from_wh.tolist(), column.start_at, column.end_at,
    )  # fmt: skip
    balances: tuple[Sequence[Any], ...] = (balance_fen, residues, versions, levels, column.account_id, column.version)
    crossed = np.flatnonzero(event != EVENT_NONE).tolist()
    crossings = [Crossing(rows[place].account_id, rows[place].meter_id, int(event[place])) for place in crossed]
    silent = [(levels[place], rows[place].account_id) for place in crossed if not used[place]]
    if not used.all():
        chosen = used.tolist()
        lines, balances = _chosen(lines, chosen), _chosen(balances, chosen)
    charged_fen = int(posted_fen[used].sum())
    return PlainCharges(lines, cursors, balances, crossings, silent, charged_fen), []


def _chosen(columns: Sequence[Sequence[Any]], chosen: Sequence[bool]) -> tuple[Sequence[Any], ...]:
    return tuple(list(compress(column, chosen)) for column in columns)


def _ints(values: Sequence[int]) -> Int64s:
    return np.array(values, np.int64)


def _deducted(
    column: Any, terms: Sequence[Terms], moved_wh: Int64s, tier_from_wh: Int64s
) -> tuple[Int64s, NDArray[np.uint8], NDArray[np.uint8]]:
    """Charge in nanofen, flags and event of each, by one call of the kernel."""
    size = len(terms)
    numbers: dict[tuple[Terms, int], int] = {}
    number = [numbers.setdefault(key, len(numbers)) for key in zip(terms, column.close_allowed_fen, strict=True)]
    flags = np.array(column.level, np.uint8)
    charge_nf, event = np.zeros(size, np.int64), np.zeros(size, np.uint8)
    if not size:
        return charge_nf, flags, event
    deduct(
        np.zeros(size, np.int32),  # a step is a register that started at 0
        moved_wh.astype(np.int32),
        np.array(column.ratio, np.int32),
        np.array(number, np.uint16),
        tier_from_wh.copy(),
        _ints(column.balance_fen) * NF_PER_FEN - _ints(column.residue_nf),
        np.array(column.alarm1_fen, np.int32),
        np.array(column.alarm2_fen, np.int32),
        np.array(column.overdraft_fen, np.int32),
        flags,
        charge_nf,
        event,
        b"".join(one.row(close_allowed_fen) for one, close_allowed_fen in numbers),
        max_delta_wh=MAX_DELTA_WH,
    )
    return charge_nf, flags, event
