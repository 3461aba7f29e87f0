"""Energy as a function of time, exact and lazy: nothing is integrated until somebody reads.

A curve answers "how much until t" in O(1) from integer prefix sums: whole blocks of days, whole quarter-hours,
and the power of the running quarter-hour times the milliseconds gone. The unit is mW x ms (3.6e9 of them make
one Wh), so no remainder is ever lost. Curves are strictly increasing, which makes the inverse ("when was this
reached") well defined. Habits follow the civil day of the estate's standard time.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import Protocol

import numpy as np

from sim.estate import HouseholdConfig
from sim.habits import BLOCK_DAYS, SLOTS, block_power_mw, draw_traits
from sim.streams import stream
from sim.weather import Weather

MWMS_PER_WH = 3_600_000_000
SLOT_MS = 900_000
DAY_MS = SLOTS * SLOT_MS
BLOCK_MS = BLOCK_DAYS * DAY_MS
BLOCKS_KEPT = 4
"""Blocks of days whose quarter-hours a household keeps; older ones are drawn again when asked for."""
MEAN_MW_PER_SIZE = {"family": 328, "single": 292, "heavy": 347}
"""Yearly mean mW of a household divided by its size in per mille (measured), the base of `mean_power_w`."""
VACANT_MW = (4_000, 15_000)


class Curve(Protocol):
    """Cumulative energy of a load that is always switched on."""

    def energy(self, at_ms: int) -> int:
        """mW x ms from the curve's own origin to world time `at_ms`."""

    def reached_ms(self, energy: int) -> int:
        """First world millisecond at which `energy(t) >= energy`."""

    def power_mw(self, at_ms: int) -> int:
        """Power in mW at world time `at_ms`."""


class ConstantCurve:
    """The same power for ever."""

    def __init__(self, power_mw: int, origin_ms: int) -> None:
        self._power_mw = power_mw
        self._origin_ms = origin_ms

    def energy(self, at_ms: int) -> int:
        """mW x ms since the origin."""
        return self._power_mw * (at_ms - self._origin_ms)

    def reached_ms(self, energy: int) -> int:
        """First millisecond at which that much has flowed."""
        return self._origin_ms - (-energy // self._power_mw)

    def power_mw(self, at_ms: int) -> int:
        """The power, whenever."""
        return self._power_mw


class HouseholdCurve:
    """A household with habits; blocks of days are drawn when first needed."""

    def __init__(self, seed: int, config: HouseholdConfig, weather: Weather, *, origin_ms: int, offset_ms: int) -> None:
        self._seed = seed
        self._id = config.household_id
        self._traits = draw_traits(seed, config.household_id, config.load)
        self._weather = weather
        self._offset_ms = offset_ms
        self._first = (origin_ms + offset_ms) // BLOCK_MS
        self._wanted_mw = None if config.mean_power_w is None else config.mean_power_w * 1000
        self._nominal_mw = MEAN_MW_PER_SIZE[config.load] * self._traits.size_permille
        self._limit_mw = config.meter.max_current_a * 220_000
        self._totals = [0]
        self._block = lru_cache(maxsize=BLOCKS_KEPT)(self._draw_block)

    def energy(self, at_ms: int) -> int:
        """mW x ms from midnight of the first block to `at_ms`."""
        block, slot, rest_ms = self._locate(at_ms)
        powers, prefix = self._block(block)
        return self._total(block) + prefix[slot] * SLOT_MS + powers[slot] * rest_ms

    def power_mw(self, at_ms: int) -> int:
        """Power of the running quarter-hour."""
        block, slot, _ = self._locate(at_ms)
        return self._block(block)[0][slot]

    def prepare(self, at_ms: int) -> int:
        """Draw the block of days that holds `at_ms` ahead of time; returns when the next one begins."""
        block = self._locate(at_ms)[0]
        self._total(block)
        self._block(block)
        return (block + 1) * BLOCK_MS - self._offset_ms

    def reached_ms(self, energy: int) -> int:
        """First millisecond at which that much has flowed; draws further blocks until it has."""
        while self._totals[-1] < energy:
            self._total(self._first + len(self._totals))
        index = max(0, bisect_right(self._totals, energy) - 1)
        powers, prefix = self._block(self._first + index)
        within = energy - self._totals[index]
        slot = min(bisect_right(prefix, within // SLOT_MS), len(powers)) - 1
        rest_ms = -((prefix[slot] * SLOT_MS - within) // powers[slot])
        return (self._first + index) * BLOCK_MS - self._offset_ms + slot * SLOT_MS + rest_ms

    def _locate(self, at_ms: int) -> tuple[int, int, int]:
        block, within = divmod(at_ms + self._offset_ms, BLOCK_MS)
        slot, rest_ms = divmod(within, SLOT_MS)
        return block, slot, rest_ms

    def _total(self, block: int) -> int:
        """Energy of all blocks before this one."""
        while len(self._totals) <= block - self._first:
            self._totals.append(self._totals[-1] + self._block(self._first + len(self._totals) - 1)[1][-1] * SLOT_MS)
        return self._totals[block - self._first]

    def _draw_block(self, block: int) -> tuple[list[int], list[int]]:
        """Powers of the block's quarter-hours in mW and their prefix sums, as lists (fast to index)."""
        power = block_power_mw(self._seed, self._id, self._traits, self._weather, block)
        if self._wanted_mw is not None:
            power = np.maximum(power * self._wanted_mw // self._nominal_mw, 1)
        power = np.minimum(power, self._limit_mw).ravel()
        prefix = np.concatenate(([0], np.cumsum(power)))
        return power.tolist(), prefix.tolist()


def household_curve(seed: int, config: HouseholdConfig, weather: Weather, *, origin_ms: int, offset_ms: int) -> Curve:
    """The load of a household; `offset_ms` is the estate's standard offset from UTC."""
    if config.load == "constant":
        return ConstantCurve((config.mean_power_w or 1) * 1000, origin_ms)
    if config.load == "vacant":
        drawn_mw = int(stream(seed, config.household_id, "traits").integers(*VACANT_MW))
        return ConstantCurve(drawn_mw if config.mean_power_w is None else config.mean_power_w * 1000, origin_ms)
    return HouseholdCurve(seed, config, weather, origin_ms=origin_ms, offset_ms=offset_ms)
