"""The terms of all tariffs as arrays, and the charge formula over them.

A number stands for one span of terms; number 0 is UNKNOWN: no such tariff, none before its first version, or an
instant so far off that it is not looked for here.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from core.tariff import TariffError, tiers_at
from core.tariff_terms import RATES
from core.tariff_windows import FLAT
from server.domain.line_words import Words
from server.domain.tariff_calendar import TariffCalendar, Terms

UNKNOWN = 0
SPANS_MAX = 64  # of one tariff in one window; a window spans days, and terms hold for weeks
FOR_EVER = 2**63 - 1
TIER_STEPS = 3
UNREACHED_WH = 2**60  # the limit of a tier that a tariff does not have


@dataclass(frozen=True, slots=True)
class TermsArrays:
    """Everything about all terms so far, by number; prices and steps of tiers are rows of four and three."""

    end: Words
    period_start: Words
    by_rates: Words
    has_row: Words
    prices: Words
    tier_steps: Words
    tier_limits: Words

    def charge(self, terms: Words, steps: Words, before_wh: Words, after_wh: Words, ratio: Words) -> Words:
        """Charges in nanofen: each register at its price, and beyond each limit the step of the tier.

        steps : int64[4, n], or int64[1, n] where none goes by rates.
        """
        charge: Words = (steps * self.prices[: len(steps), terms]).sum(axis=0) * ratio
        for step, limit in zip(self.tier_steps, self.tier_limits, strict=True):
            if not step.any():
                continue
            beyond = np.maximum(after_wh, limit[terms]) - np.maximum(before_wh, limit[terms])
            charge = charge + step[terms] * beyond
        return charge


class _Row(NamedTuple):
    end: int
    period_start: int
    by_rates: bool
    has_row: bool
    prices: tuple[int, ...]
    tier_steps: tuple[int, ...]
    tier_limits: tuple[int, ...]


_UNKNOWN_ROW = _Row(FOR_EVER, 0, False, False, (0,) * RATES, (0,) * TIER_STEPS, (UNREACHED_WH,) * TIER_STEPS)


def _row(terms: Terms) -> _Row:
    end = FOR_EVER if terms.end_s is None else terms.end_s
    if not terms.has_row:
        return _UNKNOWN_ROW._replace(end=end, period_start=terms.tier_period_start, by_rates=terms.by_rates)
    prices = tuple(tiers_at(terms.version, terms.season, rate)[0][0] for rate in range(1, RATES + 1))
    tiers, limits = tiers_at(terms.version, terms.season, FLAT)
    steps = tuple(upper - lower for lower, upper in pairwise(tiers))
    unused = TIER_STEPS - len(steps)
    return _Row(
        end,
        terms.tier_period_start,
        terms.by_rates,
        True,
        prices,
        (*steps, *(0,) * unused),
        (*limits, *(UNREACHED_WH,) * unused),
    )


def tier_periods(calendars: Mapping[str, TariffCalendar], at_s: int) -> set[int]:
    """Where the tier period of each tariff began that holds an instant; of those that know it."""
    found = set()
    for calendar in calendars.values():
        with suppress(TariffError, ValueError, OverflowError, OSError):
            found.add(calendar.terms_at(at_s).tier_period_start)
    return found


class TermsTable:
    """Numbers the terms of tariffs as they are needed."""

    def __init__(self, calendars: Mapping[str, TariffCalendar]) -> None:
        self._calendars = calendars
        self._rows = [_UNKNOWN_ROW]
        self._numbers: dict[Terms, int] = {}
        self._table: TermsArrays | None = None

    def numbers(self, tariffs: Words, at_s: Words, names: Sequence[str]) -> Words:
        """The number of the terms that price energy used from `at_s` on, for each (tariff, instant)."""
        found = np.zeros(len(tariffs), np.int64)
        alike = len(tariffs) > 0 and bool((tariffs == tariffs[0]).all())
        for tariff in tariffs[:1] if alike else np.unique(tariffs):
            calendar = self._calendars.get(names[tariff]) if tariff >= 0 else None
            if calendar is not None:
                own = slice(None) if alike else tariffs == tariff
                found[own] = self._of_tariff(calendar, at_s[own])
        return found

    def _of_tariff(self, calendar: TariffCalendar, at_s: Words) -> Words:
        starts, numbers = [int(at_s.min())], [UNKNOWN]
        most = int(at_s.max())
        for _ in range(SPANS_MAX):
            try:
                terms = calendar.terms_at(starts[-1])
            except (TariffError, ValueError, OverflowError, OSError):
                break
            numbers.append(self._number(terms))
            starts.append(FOR_EVER if terms.end_s is None else terms.end_s)
            if starts[-1] > most:
                break
        numbers.append(UNKNOWN)
        if len(starts) > 1 and starts[1] > most:
            return np.full(len(at_s), numbers[1], np.int64)
        places = np.searchsorted(np.array(starts, np.int64), at_s, side="right")
        return np.array(numbers, np.int64)[places]

    def _number(self, terms: Terms) -> int:
        if terms not in self._numbers:
            self._numbers[terms] = len(self._rows)
            self._rows.append(_row(terms))
            self._table = None
        return self._numbers[terms]

    def table(self) -> TermsArrays:
        """All terms numbered so far."""
        if self._table is None:
            columns = [np.array(values) for values in zip(*self._rows, strict=True)]
            self._table = TermsArrays(*(np.ascontiguousarray(column.T) for column in columns))
        return self._table
