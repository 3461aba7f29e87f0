"""Plain meters, charged by columns: one step within one span of terms, priced by the total, alone on its account.

Nearly all meters are plain at nearly all times, and columns cost a hundredth of an object for each. The kernel and the
rules are those of `server.domain.billing`, which charges the rest; a row too large for the kernel is part of the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core import EVENT_NONE, EVENT_RANGE, FLAG_LEVEL_MASK, deduct, post_fen
from core.units import NF_PER_FEN, REGISTER_MODULUS_WH
from server.domain.billing import KERNEL_BALANCE_MAX_FEN, KERNEL_PERIOD_MAX_WH, MAX_DELTA_WH, Crossing, DueRow
from server.domain.columns import Columns, Int64s, Texts
from server.domain.due_columns import DueColumns
from server.domain.line_words import ABSENT
from server.domain.tariff_calendar import TariffCalendar, Terms

Mask = NDArray[np.bool_]
_END_RATES = tuple(f"end_rate{n}_wh" for n in range(1, 5))
_INT32 = np.iinfo(np.int32)
_INT32_FIELDS = ("ratio", "alarm1_fen", "alarm2_fen", "overdraft_fen")  # what the kernel holds in 32 bits
_FOR_EVER = 2**62
_TARIFFS_MAX = np.iinfo(np.uint16).max


class PlainMeters(NamedTuple):
    """Meters that columns can charge; `terms` names for each of them one of `spans`."""

    due: DueColumns
    spans: Sequence[Terms]
    terms: Int64s

    def taken(self, mask: Mask) -> "PlainMeters":
        """Only the meters that the mask names."""
        return PlainMeters(self.due.taken(mask), self.spans, self.terms[mask])


def split(due: DueColumns, calendars: Mapping[str, TariffCalendar]) -> tuple[PlainMeters, list[DueRow]]:
    """Plain meters with the terms of each, and the others."""
    spans, terms = _spans(due, calendars)
    simple = [not one.by_rates and one.has_row and one.order_start == 0 for one in spans]
    ends_s = [_FOR_EVER if one.end_s is None else one.end_s for one in spans]
    sharing = np.bincount(due["account_id"], minlength=1)
    plain = np.array(simple, np.bool_)[terms] & (due["end_at"] <= _ints(ends_s)[terms])
    plain &= (sharing[due["account_id"]] == 1) & _fits(due)
    meters = PlainMeters(due, spans, terms).taken(plain)
    return meters, [] if plain.all() else due.rows(~plain)


def _spans(due: DueColumns, calendars: Mapping[str, TariffCalendar]) -> tuple[list[Terms], Int64s]:
    """The terms that hold where some meter's charge begins, and which of them for each meter."""
    spans: list[Terms] = []
    terms = np.zeros(len(due), np.int64)
    for tariff in np.unique(due["tariff_id"]).tolist():
        calendar = calendars[due.texts["tariff_id"][tariff]]
        meters = np.flatnonzero(due["tariff_id"] == tariff)
        meters = meters[np.argsort(due["start_at"][meters], kind="stable")]
        starts, first = due["start_at"][meters], 0
        while first < len(meters):
            found = calendar.terms_at(int(starts[first]))
            after = len(meters) if found.end_s is None else int(np.searchsorted(starts, found.end_s))
            terms[meters[first:after]] = len(spans)
            spans.append(found)
            first = after
    return spans, terms


def _fits(due: DueColumns) -> Mask:
    """Whether the kernel takes the meter, and the cursor needs nothing but registers and tier counter."""
    fits: Mask = (due["end_wh"] - due["start_wh"]) % REGISTER_MODULUS_WH <= MAX_DELTA_WH
    fits &= (due["balance_fen"] >= -KERNEL_BALANCE_MAX_FEN) & (due["balance_fen"] <= KERNEL_BALANCE_MAX_FEN)
    fits &= (due["tier_period_wh"] <= KERNEL_PERIOD_MAX_WH) & (due["order_start"] == 0) & (due["order_rates_wh"] < 0)
    fits &= (due["level"] >= 0) & (due["level"] <= FLAG_LEVEL_MASK)
    for name in _INT32_FIELDS:
        fits &= (due[name] >= _INT32.min) & (due[name] <= _INT32.max)
    absent = np.sum([due[name] == ABSENT for name in _END_RATES], axis=0)
    fits &= (absent == 0) | (absent == len(_END_RATES))
    return fits


@dataclass(frozen=True, slots=True)
class PlainCharges:
    """What charging the plain meters `due` does, in columns; `lines` from the account on, as lines have them.

    `cursors`: what a cursor moves to, then its meter, installation and number. `balances`: fen, residue, version and
    level, then account and version before. Only meters that used something have lines and balances.
    """

    lines: Columns
    cursors: Columns
    balances: Columns
    due: DueColumns
    accounts: list[str]  # of the lines
    crossings: list[Crossing]
    silent: list[tuple[int, str]]  # new level and account of crossings without a line
    charged_fen: int


def charge_plain(meters: PlainMeters) -> tuple[PlainCharges, list[DueRow]]:
    """Charge plain meters; beside the charges the rows that the kernel refuses, for which nothing is in them."""
    due, size = meters.due, len(meters.due)
    moved_wh = (due["end_wh"] - due["start_wh"]) % REGISTER_MODULUS_WH
    period = _ints([one.tier_period_start for one in meters.spans])[meters.terms]
    tier_from_wh = np.where(due["tier_period_start"] == period, due["tier_period_wh"], 0)
    charge_nf, flags, event = _deducted(meters, moved_wh, tier_from_wh)
    refused = event == EVENT_RANGE
    if refused.any():
        return charge_plain(meters.taken(~refused))[0], due.rows(refused)
    used = moved_wh > 0
    levels = (flags & FLAG_LEVEL_MASK).astype(np.int64)
    residue_nf, posted_fen = due["residue_nf"].copy(), np.zeros(size, np.int64)
    post_fen(charge_nf, residue_nf, posted_fen)
    balance_fen, version = due["balance_fen"] - posted_fen, due["version"] + 1
    meter_id, account_id = due.named("meter_id"), due.named("account_id")
    lines = Columns((
        account_id, -posted_fen, balance_fen, version, charge_nf, residue_nf, meter_id, due["install_no"],
        due.named("tariff_id"), due["start_wh"], due["end_wh"], None, None, period, tier_from_wh, due["start_at"],
        due["end_at"],
    ), size)  # fmt: skip
    cursors = Columns((
        due["end_at"], due["end_wh"], *(due[name] for name in _END_RATES), period,
        tier_from_wh + moved_wh * due["ratio"], 0, None, meter_id, due["install_no"], due["seq"],
    ), size)  # fmt: skip
    balances = Columns((balance_fen, residue_nf, version, levels, account_id, due["version"]), size)
    crossed = np.flatnonzero(event != EVENT_NONE).tolist()
    account_of, meter_of = (_named(texts, crossed) for texts in (account_id, meter_id))
    crossings = [Crossing(account_of[at], meter_of[at], int(event[at])) for at in crossed]
    silent = [(int(levels[at]), account_of[at]) for at in crossed if not used[at]]
    if not used.all():
        lines, balances = lines.taken(used), balances.taken(used)
    accounts = [account_id.texts[place] for place in account_id.places[used].tolist()]
    return PlainCharges(lines, cursors, balances, due, accounts, crossings, silent, int(posted_fen[used].sum())), []


def _named(column: Texts, rows: Sequence[int]) -> dict[int, str]:
    return {row: column.texts[int(column.places[row])] for row in rows}


def _ints(values: Sequence[int]) -> Int64s:
    return np.array(values, np.int64)


def _deducted(
    meters: PlainMeters, moved_wh: Int64s, tier_from_wh: Int64s
) -> tuple[Int64s, NDArray[np.uint8], NDArray[np.uint8]]:
    """Charge in nanofen, flags and event of each, by one call of the kernel."""
    due, size = meters.due, len(meters.due)
    flags = due["level"].astype(np.uint8)
    charge_nf, event = np.zeros(size, np.int64), np.zeros(size, np.uint8)
    if not size:
        return charge_nf, flags, event
    closes, close = np.unique(due["close_allowed_fen"], return_inverse=True)
    used, number = np.unique(meters.terms * len(closes) + close, return_inverse=True)
    if len(used) > _TARIFFS_MAX:
        raise OverflowError(f"{len(used)} tariffs and limits of closing in one batch; charge fewer meters at once")
    deduct(
        np.zeros(size, np.int32),  # a step is a register that started at 0
        moved_wh.astype(np.int32),
        due["ratio"].astype(np.int32),
        number.astype(np.uint16),
        tier_from_wh.copy(),
        due["balance_fen"] * NF_PER_FEN - due["residue_nf"],
        due["alarm1_fen"].astype(np.int32),
        due["alarm2_fen"].astype(np.int32),
        due["overdraft_fen"].astype(np.int32),
        flags,
        charge_nf,
        event,
        b"".join(meters.spans[key // len(closes)].row(int(closes[key % len(closes)])) for key in used.tolist()),
        max_delta_wh=MAX_DELTA_WH,
    )
    return charge_nf, flags, event
