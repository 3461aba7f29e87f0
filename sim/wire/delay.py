"""Td: how long a meter thinks before it answers, fixed, evenly drawn, or spread as real meters are.

Real answer delays are lognormal to the eye (median 219 ms, 95th percentile 397 ms, up to seconds). Half of the spread
is the meter's own, drawn once from its address, so that a slow meter stays slow; the other half is new each time.
"""

import math
from dataclasses import dataclass

import numpy as np

from sim.loads.habits import uniform

Z_95 = 1.6449
OWN_DRAWS = range(700, 712)
"""Twelve uniform draws, added up and less six, are as good as normal."""


@dataclass(frozen=True, slots=True)
class DelaySpread:
    """Median and 95th percentile in machine milliseconds."""

    median_ms: int
    p95_ms: int


class Delays:
    """Draws the delays of one bus."""

    def __init__(self, spread: DelaySpread | None, rng: np.random.Generator) -> None:
        self._spread = spread
        self._rng = rng
        self._salt = int(rng.integers(2**63)) if spread is not None else 0

    def draw_ms(self, address: str, least_ms: int, most_ms: int) -> int:
        """The delay of one answer, within [least, most]."""
        if least_ms == most_ms:
            return least_ms
        if self._spread is None:
            return int(self._rng.integers(least_ms, most_ms, endpoint=True))
        sigma = math.log(self._spread.p95_ms / self._spread.median_ms) / Z_95
        z = (self._own(address) + float(self._rng.standard_normal())) / math.sqrt(2)
        return min(max(round(self._spread.median_ms * math.exp(sigma * z)), least_ms), most_ms)

    def _own(self, address: str) -> float:
        """How slow this meter is among others, as a standard normal number."""
        key = np.array([int(address) if address.isdecimal() else 0], np.uint64) ^ np.uint64(self._salt)
        return float(sum(uniform(key, number)[0] for number in OWN_DRAWS)) - len(OWN_DRAWS) / 2
