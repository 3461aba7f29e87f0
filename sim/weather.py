"""The weather that all households of an estate share: one mean outdoor temperature a day.

A yearly cosine of a subtropical city (about 5 degrees in January, 30 in July) plus spells of warm or cold
days: the mean of the last days' independent shocks, so that any day can be asked for by itself and the same
seed always gives the same answer. Tenths of a degree, as integers.
"""

import math

from sim.streams import stream

MEAN_TENTHS = 175
SWING_TENTHS = 125
WARMEST_DAY_OF_YEAR = 205
SPELL_DAYS = 4
SHOCK_TENTHS = 60
YEAR_DAYS = 365.2425


class Weather:
    """Mean temperature by day number (days since 1970-01-01 of the estate's civil time)."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._days: dict[int, int] = {}

    def temperature_tenths(self, day: int) -> int:
        """Mean outdoor temperature of a day in tenths of a degree Celsius."""
        known = self._days.get(day)
        if known is None:
            phase = 2 * math.pi * (day - WARMEST_DAY_OF_YEAR) / YEAR_DAYS
            shocks = [self._shock(day - back) for back in range(SPELL_DAYS)]
            known = self._days[day] = round(MEAN_TENTHS + SWING_TENTHS * math.cos(phase) + sum(shocks) / 2)
        return known

    def _shock(self, day: int) -> int:
        return int(stream(self._seed, "weather", day).integers(-SHOCK_TENTHS, SHOCK_TENTHS, endpoint=True))
