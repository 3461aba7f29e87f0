"""Loads and registers: figures inside the published bands, nothing lost, every stream on its own."""

import os
import random
import subprocess
import sys
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sim.estate import HouseholdConfig, MeterConfig
from sim.fleet.fleet import Fleet
from sim.fleet.ratebook import split_start
from sim.loads.load import MWMS_PER_WH, Loads
from sim.loads.supply import Supply
from sim.loads.taps import Taps
from sim.loads.weather import Weather
from sim.meters import Meter
from sim.scenario.columns import HouseholdRows
from sim.scenario.section import Section
from sim.scenario.tariff import read_calendar
from sim.timing.spans import DAY_MS
from tests.sim.rig import ADDRESS, OTHER, START, Virtual, household, table

ORIGIN_MS = int(START.timestamp()) * 1000
OFFSET_MS = 8 * 3_600_000
SEED = 7
TOU = {
    "price": "0.5",
    "kind": "tou",
    "periods": [
        {"from": "08:00", "to": "22:00", "rate": "peak"},
        {"from": "22:00", "to": "08:00", "rate": "valley"},
    ],
}


def households(configs):
    rows = HouseholdRows(["bus-1"])
    for config in configs:
        rows.add(config)
    return rows.finish()


def loads(configs, seed=SEED, origin_ms=ORIGIN_MS):
    return Loads(seed, households(configs), Weather(seed), origin_ms=origin_ms, offset_ms=OFFSET_MS)


def config(name="h", load="family", start_wh=0, **keys):
    return HouseholdConfig(name, MeterConfig(ADDRESS, "bus-1", start_wh), load=load, **keys)


def curve(name="h", load="family", seed=SEED, **keys):
    return loads([config(name, load, **keys)], seed).curve(0)


def fleet(tariff=None, **keys):
    """One household on its own."""
    calendar = read_calendar(Section("t", "[tariff]", tariff or TOU), ZoneInfo("Asia/Shanghai"))
    one = [config(**keys)]
    return Fleet(households(one), (), loads(one), calendar, ORIGIN_MS)


def spring_kw(homes, load="family", start_ms=1_774_972_800_000, days=30):
    """Half-hour means of April 2026, kW: float[homes, days * 48]."""
    estate = loads([config(f"h{n}", load) for n in range(homes)], origin_ms=start_ms)
    first_day = (start_ms + OFFSET_MS) // DAY_MS
    everybody = np.arange(homes, dtype=np.int32)
    energy = np.stack([np.diff(estate.boundaries(everybody, first_day + n)) for n in range(days)], axis=1)
    return energy.reshape(homes, days * 48, 2).sum(axis=2) / 1_800_000 / 1e6


MONTHS_MS = {1: 1_767_542_400_000, 4: 1_774_972_800_000, 7: 1_783_267_200_000}
"""Midnights of 2026-01-05, 04-01 and 07-06 of the estate's civil time."""


@pytest.fixture(scope="module")
def half_hours():
    """Half-hour means in kW of 400 families, four weeks in each season: float[400, 28, 48]."""
    return {
        month: spring_kw(400, start_ms=start_ms, days=28).reshape(400, 28, 48) for month, start_ms in MONTHS_MS.items()
    }


def test_families_in_spring_stay_inside_the_published_bands(half_hours):
    kw = half_hours[4].reshape(400, -1)
    daily_kwh = half_hours[4].sum(axis=2) / 2
    low, middle, high = np.percentile(daily_kwh.mean(axis=1), [5, 50, 95])
    assert 1.8 <= low <= 4.5
    assert 6 <= middle <= 9
    assert 11 <= high <= 22
    assert 0.45 <= np.log(daily_kwh.mean(axis=1)).std() <= 0.65
    assert 0.20 <= np.median(daily_kwh.std(axis=1) / daily_kwh.mean(axis=1)) <= 0.30
    assert 0.9 <= np.median(kw.std(axis=1) / kw.mean(axis=1)) <= 1.2
    off = kw - kw.mean(axis=1, keepdims=True)
    assert 0.40 <= np.median((off[:, 1:] * off[:, :-1]).sum(axis=1) / (off * off).sum(axis=1)) <= 0.65
    profile = half_hours[4].mean(axis=(0, 1))
    assert 18 <= profile.argmax() / 2 <= 21, "the peak is in the evening"
    assert 0.2 <= profile.min() / profile.max() <= 0.4
    together = np.corrcoef(daily_kwh[:100])
    assert 0.05 <= together[np.triu_indices(100, 1)].mean() <= 0.5


def test_homes_together_peak_less_than_alone(half_hours):
    kw = half_hours[4].reshape(400, -1)
    bands = {1: (0.08, 0.18), 10: (0.20, 0.34), 40: (0.28, 0.40), 100: (0.32, 0.46)}
    for size, (least, most) in bands.items():
        groups = kw.reshape(400 // size, size, -1).sum(axis=1)
        assert least <= (groups.mean(axis=1) / groups.max(axis=1)).mean() <= most, size


def test_summer_and_winter_draw_more_and_hot_nights_have_a_peak_of_their_own(half_hours):
    month_kwh = {month: kw.mean() * 24 * 30 for month, kw in half_hours.items()}
    assert 190 <= month_kwh[4] <= 270
    assert 290 <= month_kwh[7] <= 400
    assert month_kwh[4] * 1.05 < month_kwh[1] < month_kwh[7]
    profile = {month: kw.mean(axis=(0, 1)) for month, kw in half_hours.items()}
    night = slice(44, 48)
    assert profile[7][night].mean() > 1.6 * profile[4][night].mean()
    assert half_hours[7].mean(axis=0).max() < 1.6, "kW a home"


def test_holidays_empty_some_homes_and_fill_others():
    everybody = np.arange(300, dtype=np.int32)
    first_day = (MONTHS_MS[4] + OFFSET_MS) // DAY_MS
    span = range(first_day + 5, first_day + 10)
    homes = households([config(f"h{n}") for n in range(300)])
    drawn = []
    for holidays in (lambda _day: -1, lambda day: 2 if day in span else -1):
        weather = Weather(SEED, holidays=holidays)
        estate = Loads(SEED, homes, weather, origin_ms=MONTHS_MS[4], offset_ms=OFFSET_MS)
        days = [estate.boundaries(everybody, first_day + number) for number in range(14)]
        drawn.append(np.stack([day[:, 96] - day[:, 0] for day in days]))
    usual, free = drawn
    assert np.array_equal(usual[:5], free[:5])
    assert np.array_equal(usual[10:], free[10:])
    away = (free[5:10] < 0.4 * usual[5:10]).all(axis=0)
    assert 0.15 <= away.mean() <= 0.35
    assert np.median(free[5:10, ~away] / usual[5:10, ~away]) > 1.02


def test_six_of_a_hundred_homes_are_on_a_journey_or_away_for_a_day():
    estate = loads([config(f"h{n}") for n in range(400)], origin_ms=MONTHS_MS[4])
    everybody = np.arange(400, dtype=np.int32)
    first_day = (MONTHS_MS[4] + OFFSET_MS) // DAY_MS
    daily = np.stack([np.diff(estate.boundaries(everybody, first_day + n)[:, [0, 96]]).ravel() for n in range(56)])
    away = daily < 0.45 * np.median(daily, axis=0)
    assert 0.02 <= away.mean() <= 0.08


@pytest.mark.parametrize("load", ["family", "single", "heavy", "vacant", "constant"])
def test_mean_power_is_met(load):
    shape = curve(load=load, mean_power_w=450)
    days = 365
    energy = shape.energy(ORIGIN_MS + days * DAY_MS) - shape.energy(ORIGIN_MS)
    assert energy / (days * DAY_MS) / 1000 == pytest.approx(450, rel=0.001 if load in ("vacant", "constant") else 0.3)


@pytest.mark.parametrize("load", ["family", "single", "heavy", "vacant", "constant"])
def test_a_curve_rises_and_its_inverse_is_the_first_millisecond(load):
    rng = random.Random(SEED)
    shape = curve(load=load, mean_power_w=300)
    times = sorted(ORIGIN_MS + rng.randrange(20 * DAY_MS) for _ in range(300))
    energies = [shape.energy(t) for t in times]
    assert len(set(energies)) == len(set(times))
    assert energies == sorted(energies)
    for time_ms, energy in zip(times, energies, strict=True):
        assert shape.reached_ms(energy) == time_ms
        between = energy + rng.randrange(1, 10**9)
        reached = shape.reached_ms(between)
        assert shape.energy(reached) >= between > shape.energy(reached - 1)


def test_energy_is_the_sum_of_power_times_time():
    shape = curve()
    slots = range(ORIGIN_MS - ORIGIN_MS % 900_000, ORIGIN_MS + 10 * DAY_MS, 900_000)
    total = sum(shape.power_mw(t) * 900_000 for t in slots)
    assert shape.energy(slots[-1] + 900_000) - shape.energy(slots[0]) == total


def test_adding_a_household_changes_no_other():
    two = [household(), household("1-0102", OTHER)]
    more = [household("0-9999", "202600019998"), *two, household("1-0100", "202600019997", load="heavy")]
    energies = []
    for households in (two, more):
        estate = Virtual(table(households), seed=SEED)
        estate.run_s(5 * 86400)
        energies.append([estate.household(a).supply.energy(estate.world.now_ms) for a in (ADDRESS, OTHER)])
    assert energies[0] == energies[1]
    assert energies[0][0] != energies[0][1]


def test_another_seed_is_another_household():
    assert curve(seed=1).energy(ORIGIN_MS + DAY_MS) != curve(seed=2).energy(ORIGIN_MS + DAY_MS)


def test_same_seed_same_world_in_every_process_and_hash_seed():
    code = (
        "from tests.sim.test_load import *\n"
        "e = Virtual(table([household(), household('1-0102', OTHER, load='heavy')]), seed=5)\n"
        "e.run_s(30 * 86400)\n"
        "print([e.household(a).supply.energy(e.world.now_ms) for a in (ADDRESS, OTHER)])\n"
    )
    printed = set()
    for hash_seed in ("0", "12345"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        printed.add(run.stdout)
    assert len(printed) == 1


def test_switching_loses_no_remainder():
    """Energy with the contacts opened and closed 500 times is exactly that of the closed spans."""
    rng = random.Random(SEED)
    shape = curve()
    supply = Supply(fleet(), 0)
    instants = sorted({ORIGIN_MS + rng.randrange(30 * DAY_MS) for _ in range(500)})
    closed, last_ms, on = 0, ORIGIN_MS, True
    for at_ms in instants:
        closed += shape.energy(at_ms) - shape.energy(last_ms) if on else 0
        on, last_ms = not on, at_ms
        supply.switch(at_ms, on)
    assert supply.energy(last_ms) == closed
    middle = instants[250]
    assert supply.energy(middle) < closed, "the past can still be asked"


def test_when_a_register_was_reached_survives_an_outage():
    supply = Supply(fleet(load="constant", mean_power_w=1000), 0)
    hour = 3_600_000
    supply.switch(ORIGIN_MS + hour, False)
    supply.switch(ORIGIN_MS + 3 * hour, True)
    now_ms = ORIGIN_MS + 10 * hour
    assert supply.reached_ms(1000 * MWMS_PER_WH, now_ms) == ORIGIN_MS + hour
    assert supply.reached_ms(1010 * MWMS_PER_WH, now_ms) == ORIGIN_MS + 3 * hour + 36_000
    assert supply.reached_ms(8000 * MWMS_PER_WH, now_ms) == now_ms
    assert supply.reached_ms(8000 * MWMS_PER_WH + 1, now_ms) is None


def test_rates_add_up_to_the_total_at_any_time_asked_in_any_order():
    register = Meter(fleet(start_wh=123450), 0).register
    rng = random.Random(SEED)
    times = [ORIGIN_MS + rng.randrange(10 * DAY_MS) for _ in range(300)]
    seen = {}
    for at_ms in times:
        rates = register.rates_wh(at_ms)
        assert sum(rates) == register.steps_wh(at_ms)
        assert all(rate % 10 == 0 for rate in rates)
        seen[at_ms] = rates
    ordered = [seen[t] for t in sorted(seen)]
    assert all(b[r] >= a[r] for a, b in pairwise(ordered) for r in range(4))
    assert all(register.rates_wh(t) == rates for t, rates in seen.items())


def test_each_rate_counts_in_its_own_hours():
    register = Meter(fleet(load="constant", mean_power_w=1000), 0).register
    day_later = register.rates_wh(ORIGIN_MS + DAY_MS)
    assert day_later == (0, 14_000, 0, 10_000)
    # 09:05 to 21:55 is 12 h 50 min of peak; the step under way at 22:00 belongs to the valley.
    assert register.rates_wh(ORIGIN_MS + 12 * 3_600_000) == (0, 12_000, 0, 0)
    assert register.rates_wh(ORIGIN_MS + 13 * 3_600_000) == (0, 12_910, 0, 90)


@pytest.mark.parametrize("start_wh", [0, 10, 12_340, 1_234_560, 999_999_990])
def test_start_register_is_spread_over_the_rates_without_loss(start_wh):
    assert sum(split_start(start_wh)) == start_wh
    assert all(rate % 10 == 0 and rate >= 0 for rate in split_start(start_wh))


def test_taps_add_up_and_end():
    taps = Taps()
    first = taps.start(ORIGIN_MS, 800_000)
    taps.end(first, ORIGIN_MS + 3_600_000)
    second = taps.start(ORIGIN_MS + 7_200_000, 100_000)
    taps.end(second, ORIGIN_MS + 10_800_000)
    taps.end(first, ORIGIN_MS + 10_800_000)
    assert taps.energy(ORIGIN_MS + DAY_MS) == 900 * MWMS_PER_WH
    assert taps.power_mw(ORIGIN_MS + 7_200_000) == 100_000
