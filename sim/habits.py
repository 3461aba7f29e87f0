"""What a household draws in a block of days: people with habits, appliances, and the weather.

Traits (size, rising and sleeping hours, who works, air conditioning, a heating habit) are drawn once per
household; each block of days is drawn from a stream keyed by household and block, so any block can be made by
itself. A day has 96 quarter-hours: standby and fridge, lights and electronics while somebody is up and at
home, cooking, hot water, laundry, air conditioning on hot evenings and nights, heating on cold ones, and now
and then a day away. The result is whole milliwatts; nothing after it uses floating point.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.streams import stream
from sim.weather import Weather

SLOTS = 96
BLOCK_DAYS = 8
Days = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Traits:
    """What stays the same in one household; hours of the day, watts, and factors in per mille."""

    size_permille: int
    occupants: int
    works: bool
    wakes_h: float
    leaves_h: float
    returns_h: float
    sleeps_h: float
    standby_w: int
    cooling_w: int
    heating_w: int


def draw_traits(seed: int, household_id: str, load: str) -> Traits:
    """Draw the traits of a household of kind 'family', 'single' or 'heavy'."""
    rng = stream(seed, household_id, "traits")
    u = rng.random(10)
    spread = 0.55 * (u[0] + u[1] + u[2] - 1.5) * 2
    occupants = {"single": 1, "family": 2 + int(u[3] * 3), "heavy": 3 + int(u[3] * 3)}[load]
    base = {"single": 620, "family": 1040, "heavy": 2350}[load]
    return Traits(
        size_permille=int(base * (1 + 0.75 * spread + 0.28 * spread * spread)),
        occupants=occupants,
        works=bool(u[4] < 0.7),
        wakes_h=5.5 + 2.5 * u[5],
        leaves_h=7.5 + 2.0 * u[6],
        returns_h=16.0 + 4.0 * u[7],
        sleeps_h=21.5 + 3.0 * u[8],
        standby_w=40 + int(70 * u[9]),
        cooling_w=500 + int(700 * u[3]) if u[1] < 0.85 else 0,
        heating_w=600 + int(800 * u[5]) if u[2] < 0.5 else 0,
    )


def block_power_mw(seed: int, household_id: str, traits: Traits, weather: Weather, block: int) -> NDArray[np.int64]:
    """Power of a block of days: int64[BLOCK_DAYS, SLOTS] in mW, every value at least 1."""
    rng = stream(seed, household_id, "days", block)
    days = np.arange(block * BLOCK_DAYS, (block + 1) * BLOCK_DAYS)
    hours = np.arange(SLOTS) / 4
    up = _awake(rng, traits, hours)
    home = up * _at_home(rng, traits, hours, days)
    power: Days = traits.standby_w + 35.0 + 60.0 * (rng.random((BLOCK_DAYS, SLOTS)) < 0.35)
    power = power + home * _electronics(rng, traits, hours)
    power = power + _events(rng, traits, home)
    power = power + _climate(rng, traits, hours, home, weather, days)
    day_factor = 0.78 + 0.44 * rng.random((BLOCK_DAYS, 1))
    away = np.where(rng.random((BLOCK_DAYS, 1)) < 0.025, 0.2, 1.0)
    watts = power * day_factor * away * traits.size_permille / 1000
    return np.maximum(np.rint(watts * 1000).astype(np.int64), 1)


def _awake(rng: np.random.Generator, traits: Traits, hours: Days) -> Days:
    wakes = traits.wakes_h + rng.random((BLOCK_DAYS, 1)) - 0.5
    sleeps = traits.sleeps_h + 1.6 * (rng.random((BLOCK_DAYS, 1)) - 0.5)
    late = (hours < sleeps - 24).astype(float)
    awake: Days = np.maximum(((hours >= wakes) & (hours < sleeps)).astype(float), late)
    return awake


def _at_home(rng: np.random.Generator, traits: Traits, hours: Days, days: NDArray[np.int64]) -> Days:
    """Share of the household at home; 1970-01-01 was a Thursday, so day % 7 in (2, 3) is a weekend."""
    weekend = np.isin(days % 7, (2, 3))[:, None]
    leaves = traits.leaves_h + rng.random((BLOCK_DAYS, 1)) - 0.5
    returns = traits.returns_h + 2 * (rng.random((BLOCK_DAYS, 1)) - 0.5)
    out = (hours >= leaves) & (hours < returns) & ~weekend
    stays = 0.15 if traits.works else 0.6
    outing = weekend & (rng.random((BLOCK_DAYS, 1)) < 0.4) & (hours >= 13) & (hours < 17)
    home: Days = np.where(out, stays, np.where(outing, 0.2, 1.0))
    return home


def _electronics(rng: np.random.Generator, traits: Traits, hours: Days) -> Days:
    dark = np.where((hours >= 18) | (hours < 6.5), 1.0, 0.4)
    level = 60 + 55 * traits.occupants * dark
    watts: Days = level * (0.5 + rng.random((BLOCK_DAYS, SLOTS)))
    return watts


def _events(rng: np.random.Generator, traits: Traits, home: Days) -> Days:
    """Cooking, hot water and laundry: [hour, spread in hours, chance, quarter-hours, watts]."""
    kitchen = (
        (traits.wakes_h + 0.5, 0.7, 0.75, 1, 900),
        (11.8, 0.8, 0.85, 2, 1300),
        (traits.returns_h + 0.8, 0.9, 0.92, 3, 1400),
        (traits.sleeps_h - 1.5, 1.5, 0.8, 2, 1100 + 150 * traits.occupants),
        (traits.wakes_h + 0.2, 0.8, 0.35, 1, 1500),
        (20.0, 3.0, 0.35, 4, 350),
        (15.0, 9.0, 0.5, 1, 1000),
    )
    power = np.zeros((BLOCK_DAYS, SLOTS))
    draws = rng.random((len(kitchen), 3, BLOCK_DAYS))
    for (hour, spread, chance, quarters, watts), (happens, when, size) in zip(kitchen, draws, strict=True):
        start = np.rint((hour + spread * (2 * when - 1)) * 4).astype(int)
        for day in np.flatnonzero(happens < chance):
            first = int(start[day]) % SLOTS
            span = slice(first, min(first + quarters, SLOTS))
            power[day, span] += watts * (0.5 + 0.7 * size[day]) * max(0.25, float(home[day, first]))
    return power


def _climate(
    rng: np.random.Generator, traits: Traits, hours: Days, home: Days, weather: Weather, days: NDArray[np.int64]
) -> Days:
    """Air conditioning in the evening and at night when it is hot, heating when it is cold."""
    degrees = np.array([weather.temperature_tenths(int(day)) / 10 for day in days])[:, None]
    night = (hours >= 21.5) | (hours < 5)
    present = np.maximum(home, np.where(night, 0.8, 0.0))
    hot = np.clip((degrees - 25) / 9, 0, 1) * traits.cooling_w
    cold = np.clip((9 - degrees) / 9, 0, 1) * traits.heating_w * np.where(night, 0.5, 1.0)
    duty = rng.random((BLOCK_DAYS, SLOTS)) * 0.8 + 0.2
    watts: Days = present * duty * (hot + cold)
    return watts
