"""What a meter showed at an instant: steps between two sights, what is taken for one in between, rates as text."""

from collections.abc import Callable, Sequence
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from core.reading import ROLL_OVER_TENTHS
from core.tariff_order import share
from core.units import REGISTER_MODULUS_WH
from server.domain.readings import Rates
from server.domain.tariff_calendar import Terms

NO_RATES: Rates = (0, 0, 0, 0)
_SPLIT = "steps split by time at a tariff boundary"  # in the memo of a batch, which its seal covers
_NEAREST = ", to the nearest Wh"  # said since every odd Wh is no longer left to the later part


class SplitRule(Enum):
    """How a batch splits by time; the memo of one that booked no estimated line names no rule."""

    NEAREST = "nearest"
    DOWN = "down"  # every odd Wh to the later part, as all did once
    UNSAID = "unsaid"


class Registers(NamedTuple):
    """What a meter showed at an instant of world time; Wh before the ratio."""

    at: int
    total_wh: int
    rates_wh: Rates | None


def step_wh(before_wh: int, after_wh: int) -> int:
    """Forward step of one register, through its modulus if need be."""
    return (after_wh - before_wh) % REGISTER_MODULUS_WH


def may_release(accepted_wh: int, held_wh: int) -> bool:
    """Whether a held register may be taken for the honest one: forward, or through the end of the register (R18)."""
    return held_wh >= accepted_wh or accepted_wh * 10 >= REGISTER_MODULUS_WH * ROLL_OVER_TENTHS


def split_memo(count: int) -> str:
    """What the memo of a batch says of its splits, and by which rule they were made."""
    return f"{count} {_SPLIT}{_NEAREST}" if count else ""


def split_rule(memo: str) -> SplitRule:
    """The rule that the memo of a batch names."""
    if memo.endswith(_SPLIT + _NEAREST):
        return SplitRule.NEAREST
    return SplitRule.DOWN if memo.endswith(_SPLIT) else SplitRule.UNSAID


def split_by_time(start: Registers, end: Registers, at: int, *, down: bool = False) -> Registers:
    """Registers at `at`, as if the energy between two readings had flowed evenly; whole Wh.

    To the nearest Wh, a tie to the earlier part (R22); `down` leaves every odd Wh to the later part instead.
    """
    if not down:
        return split_by_times(start, end, (at,))[0]
    past_s, span_s = at - start.at, end.at - start.at
    return _part_of_way(start, end, at, lambda energy_wh: energy_wh * past_s // span_s)


def split_by_times(start: Registers, end: Registers, ats: Sequence[int]) -> list[Registers]:
    """Registers at several instants in order: the energy of each register by largest remainder, ties to the first."""
    spans_s = [later - earlier for earlier, later in pairwise((start.at, *ats, end.at))]
    return [
        _part_of_way(start, end, at, lambda energy_wh, number=number: sum(share(spans_s, energy_wh)[:number]))  # type: ignore[misc]
        for number, at in enumerate(ats, 1)
    ]


def _part_of_way(start: Registers, end: Registers, at: int, part: Callable[[int], int]) -> Registers:
    """Every register that both ends know, as far as `part` of its energy."""

    def cut(before_wh: int, after_wh: int) -> int:
        return (before_wh + part(step_wh(before_wh, after_wh))) % REGISTER_MODULUS_WH

    rates = None
    if start.rates_wh is not None and end.rates_wh is not None:
        sharp, peak, flat, valley = map(cut, start.rates_wh, end.rates_wh)
        rates = (sharp, peak, flat, valley)
    return Registers(at, cut(start.total_wh, end.total_wh), rates)


def boundary_registers(
    spans: Sequence[Terms], start: Registers, end: Registers, read: Sequence[Registers | None]
) -> list[Registers]:
    """Registers at the end of each of `spans` but the last, between two readings; `read` is what was read just there.

    A total that was read there stands, and what lies between two totals is split by time. Where rates are priced and
    were not read with it, each has gone the same part of its way as the total.
    """
    ats = [span.end_s or 0 for span in spans[:-1]]
    found: list[Registers] = []
    while (place := len(found)) < len(ats):
        before = found[-1] if found else start
        later, after = next(
            ((number, one) for number, one in enumerate(read[place:], place) if one is not None), (len(ats), end)
        )
        if after is not end and any(span.by_rates for span in spans[place : later + 2]):
            rated = (one for one in read[later + 1 :] if one is not None and one.rates_wh is not None)
            after = _with_rates(before, after, next(rated, end))
        found += split_by_times(before, after, ats[place:later])
        found += [after] if later < len(ats) else []
    return found


def boundary_rounded_down(
    spans: Sequence[Terms], start: Registers, end: Registers, read: Sequence[Registers | None]
) -> list[Registers]:
    """The same as it was done before: one boundary after another, each cut from there to the end, rounded down."""
    found: list[Registers] = []
    for span, point in zip(spans, read, strict=False):
        before, at = found[-1] if found else start, span.end_s or 0
        if point is None:
            found.append(split_by_time(before, end, at, down=True))
            continue
        past_wh, whole_wh = step_wh(before.total_wh, point.total_wh), step_wh(before.total_wh, end.total_wh)
        cut = _part_of_way(before, end, at, lambda energy_wh, a=past_wh, b=whole_wh: energy_wh * a // max(1, b))  # type: ignore[misc]
        estimated = span.by_rates and point.rates_wh is None and cut.rates_wh is not None and past_wh <= whole_wh
        found.append(point._replace(rates_wh=cut.rates_wh) if estimated else point)
    return found


def _with_rates(before: Registers, read: Registers, after: Registers) -> Registers:
    """A reading whose rates, if they were not read, have gone the same part of their way as the total, if they can."""
    past_wh, whole_wh = step_wh(before.total_wh, read.total_wh), step_wh(before.total_wh, after.total_wh)
    if read.rates_wh is not None or before.rates_wh is None or after.rates_wh is None or past_wh > whole_wh:
        return read
    sharp, peak, flat, valley = (
        (was + share((past_wh, whole_wh - past_wh), step_wh(was, now))[0]) % REGISTER_MODULUS_WH
        for was, now in zip(before.rates_wh, after.rates_wh, strict=True)
    )
    return read._replace(rates_wh=(sharp, peak, flat, valley))


def all_rates(values: Sequence[int | None]) -> Rates | None:
    """Four registers, or None when any is absent."""
    sharp, peak, flat, valley = values
    if sharp is None or peak is None or flat is None or valley is None:
        return None
    return sharp, peak, flat, valley


def rates_text(rates_wh: Rates | None) -> str | None:
    """Rate registers as a line keeps them: "1,2,3,4"."""
    return None if rates_wh is None else ",".join(map(str, rates_wh))


def rates_from(text: str | None) -> Rates | None:
    """Rate registers from that text."""
    if text is None:
        return None
    sharp, peak, flat, valley = map(int, text.split(","))
    return sharp, peak, flat, valley
