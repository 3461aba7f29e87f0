"""The weather that all households of an estate share, day by day: temperature, sunshine, daylight.

A yearly cosine of a subtropical city (about 5 degrees in January, 30 in July) plus spells of warm or cold
days: the mean of the last days' independent shocks, so that any day can be asked for by itself and the same
seed always gives the same answer. Sunshine comes in spells too; daylight follows the season. Integers only.
With the calendar of free days it makes the table that `sim._load` reads.
"""

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass

from sim.streams import stream

YEAR_DAYS = 365.2425
SPELL_DAYS = 4
COLUMNS = 4
SUMMER_SOLSTICE_DAY = 171
DAYLIGHT_HALF_MIN = 360
DAYLIGHT_SWING_MIN = 60
SUN_PERMILLE = (150, 1000)
WEEKEND = (2, 3)
"""1970-01-01 was a Thursday, so these remainders of day % 7 are Saturday and Sunday."""


@dataclass(frozen=True, slots=True)
class Climate:
    """Yearly mean, swing and spells in tenths of a degree, and the warmest day of the year."""

    mean_tenths: int = 175
    swing_tenths: int = 125
    shock_tenths: int = 60
    warmest_day: int = 205


class Weather:
    """Weather by day number (days since 1970-01-01 of the estate's standard time)."""

    def __init__(self, seed: int, climate: Climate | None = None, holidays: Callable[[int], int] | None = None) -> None:
        self._seed = seed
        self._climate = climate or Climate()
        self._holidays = holidays
        self._shocks: dict[int, tuple[int, int]] = {}
        self._rows: list[int] = []
        self._first = 0

    def temperature_tenths(self, day: int) -> int:
        """Mean outdoor temperature of a day in tenths of a degree Celsius."""
        climate = self._climate
        phase = 2 * math.pi * (day - climate.warmest_day) / YEAR_DAYS
        shocks = [self._shock(day - back)[0] for back in range(SPELL_DAYS)]
        return round(climate.mean_tenths + climate.swing_tenths * math.cos(phase) + sum(shocks) / 2)

    def sun_permille(self, day: int) -> int:
        """How much of a clear day's sunshine comes through."""
        return sum(self._shock(day - back)[1] for back in range(2)) // 2

    def day_kind(self, day: int) -> int:
        """0 workday, 1 weekend, 2 and more the number of a holiday."""
        kind = self._holidays(day) if self._holidays is not None else -1
        return kind if kind >= 0 else int(day % 7 in WEEKEND)

    def table(self, first_day: int, count: int) -> "array[int]":
        """int32[count * 4] from `first_day` on, as `sim._load.LoadTable` wants it."""
        if first_day != self._first:
            self._rows, self._first = [], first_day
        for day in range(first_day + len(self._rows) // COLUMNS, first_day + count):
            phase = 2 * math.pi * (day - SUMMER_SOLSTICE_DAY) / YEAR_DAYS
            daylight = DAYLIGHT_HALF_MIN + round(DAYLIGHT_SWING_MIN * math.cos(phase))
            self._rows += (self.temperature_tenths(day), self.sun_permille(day), daylight, self.day_kind(day))
        return array("i", self._rows[: count * COLUMNS])

    def _shock(self, day: int) -> tuple[int, int]:
        known = self._shocks.get(day)
        if known is None:
            rng = stream(self._seed, "weather", day)
            limit = self._climate.shock_tenths
            warmth = int(rng.integers(-limit, limit, endpoint=True))
            known = self._shocks[day] = warmth, int(rng.integers(*SUN_PERMILLE, endpoint=True))
        return known
