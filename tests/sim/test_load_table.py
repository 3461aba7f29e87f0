"""The compiled loads against a slow twin, in any order of asking, and what they refuse."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sim
from sim._load import DAYS_MAX, LoadTable
from sim.loads.habits import draw_traits
from tests.sim.load_oracle import day_power_mw

DAY_MS = 86_400_000
SLOT_MS = 900_000
OFFSET_MS = 8 * 3_600_000
FIRST_DAY = 20_454
ORIGIN_MS = FIRST_DAY * DAY_MS - OFFSET_MS + 5 * 3_600_000 + 123
LOADS = ("family", "single", "heavy")
SEED = 20261127
NO_PROFILES = np.zeros((1, 1), np.int32)


def weather(first_day, count):
    """All seasons, holidays and skies in a few days."""
    rng = random.Random(SEED)
    rows = [
        (rng.randrange(-50, 400), rng.randrange(1001), rng.randrange(300, 421), rng.randrange(4)) for _ in range(4000)
    ]
    return np.array(rows[:count], np.int32).ravel()


def estate(count=40, export=False, solar_w=0, profiles=NO_PROFILES, origin_ms=ORIGIN_MS, change=lambda traits: None):
    keys = np.random.default_rng(SEED).integers(0, 2**64, count, np.uint64)
    traits = draw_traits(keys, LOADS, np.arange(count) % 3, np.full(count, 60))
    traits[:, 11] = solar_w
    change(traits)
    table = LoadTable(keys, traits, profiles, weather, origin_ms=origin_ms, offset_ms=OFFSET_MS, export=export)
    return table, keys, traits


def net_mw(keys, traits, index, days=1):
    rows = weather(FIRST_DAY, days).reshape(-1, 4)
    days_mw = [day_power_mw(traits[index], keys[index], FIRST_DAY + n, rows[n].tolist()) for n in range(days)]
    return np.array(days_mw, np.int64)


@pytest.mark.parametrize(("export", "solar_w"), [(False, 0), (False, 5000), (True, 5000), (True, 0)])
def test_power_is_that_of_the_slow_twin(export, solar_w):
    table, keys, traits = estate(12, export, solar_w)
    for index in range(12):
        wanted = net_mw(keys, traits, index, 12).ravel()
        wanted = np.maximum(-wanted, 0) if export else np.maximum(wanted, 1)
        first_ms = FIRST_DAY * DAY_MS - OFFSET_MS
        found = [table.power_mw(index, first_ms + slot * SLOT_MS + 899_999) for slot in range(12 * 96)]
        assert found == wanted.tolist()


def test_energy_is_the_sum_of_power_from_the_origin_on_in_any_order():
    table, keys, traits = estate(5)
    rng = random.Random(SEED)
    powers = [np.maximum(net_mw(keys, traits, index, 31).ravel(), 1) for index in range(5)]
    for _ in range(200):
        index, at_ms = rng.randrange(5), ORIGIN_MS + rng.randrange(30 * DAY_MS)
        power = powers[index]
        starts = FIRST_DAY * DAY_MS - OFFSET_MS + np.arange(31 * 96, dtype=np.int64) * SLOT_MS
        flowed_ms = np.clip(np.minimum(starts + SLOT_MS, at_ms) - np.maximum(starts, ORIGIN_MS), 0, None)
        assert table.energy(index, at_ms) == int((power * flowed_ms).sum())


def test_the_order_of_asking_changes_nothing():
    rng = random.Random(SEED)
    asked = [(rng.randrange(40), ORIGIN_MS + rng.randrange(200 * DAY_MS)) for _ in range(500)]
    forward, backward = estate()[0], estate()[0]
    answers = {question: forward.energy(*question) for question in asked}
    assert {question: backward.energy(*question) for question in sorted(asked, key=lambda q: -q[1])} == answers


def test_boundaries_are_the_energies_at_the_quarter_hours():
    table, _, _ = estate()
    out = np.empty((3, 97), np.int64)
    indices = np.array([7, 0, 39], np.int32)
    for day in (FIRST_DAY, FIRST_DAY + 20, FIRST_DAY + 3):
        table.boundaries(indices, day, out)
        first_ms = day * DAY_MS - OFFSET_MS
        wanted = [[table.energy(int(i), first_ms + n * SLOT_MS) for n in range(97)] for i in indices]
        assert out.tolist() == wanted


def test_a_replayed_profile_repeats_and_is_scaled():
    profiles = np.array([[1000, 2000, 3000], [10, 20, 30]], np.int32)

    def replayed(traits):
        traits[:, 0], traits[:, 13], traits[:, 1] = 2, [1, 0], [1_000_000, 500_000]

    table, _, _ = estate(2, profiles=profiles, change=replayed)
    first_ms = FIRST_DAY * DAY_MS - OFFSET_MS
    phase = FIRST_DAY * 96 % 3
    assert [table.power_mw(0, first_ms + n * SLOT_MS) for n in range(4)] == [
        [10, 20, 30][(phase + n) % 3] for n in range(4)
    ]
    assert table.power_mw(1, first_ms) == 500 * (1 + phase)


def test_what_lies_outside_is_refused():
    table, _, _ = estate(2)
    with pytest.raises(IndexError, match="no load 2"):
        table.energy(2, ORIGIN_MS)
    with pytest.raises(IndexError):
        table.power_mw(-1, ORIGIN_MS)
    with pytest.raises(ValueError, match="before the first day"):
        table.energy(0, ORIGIN_MS - DAY_MS)
    with pytest.raises(OverflowError, match=f"{DAYS_MAX} days"):
        table.energy(0, ORIGIN_MS + DAYS_MAX * DAY_MS)
    with pytest.raises(OverflowError):
        table.reached_ms(0, 2**62)
    for shape in ((1, 97), (2, 96)):
        with pytest.raises(ValueError, match="out must be"):
            table.boundaries(np.zeros(2, np.int32), FIRST_DAY, np.empty(shape, np.int64))
    with pytest.raises(IndexError):
        table.boundaries(np.array([5], np.int32), FIRST_DAY, np.empty((1, 97), np.int64))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [(0, 3, "no kind 3"), (0, -1, "no kind"), (12, 0, "limit"), (1, -1, "size"), (11, -1, "solar")],
)
def test_traits_that_cannot_be_are_refused(column, value, said):
    def spoilt(traits):
        traits[1, column] = value

    with pytest.raises(ValueError, match=said):
        estate(2, change=spoilt)


def test_a_profile_that_is_not_there_is_refused():
    def replayed(traits):
        traits[:, 0], traits[:, 13] = 2, 1

    with pytest.raises(ValueError, match="no profile 1"):
        estate(2, change=replayed)


def test_short_weather_is_refused():
    keys = np.zeros(1, np.uint64)
    traits = draw_traits(keys, LOADS, np.zeros(1, int), np.full(1, 60))
    table = LoadTable(keys, traits, NO_PROFILES, lambda _f, _n: np.zeros(4, np.int32), origin_ms=ORIGIN_MS, offset_ms=0)
    with pytest.raises(ValueError, match="weather must be"):
        table.energy(0, ORIGIN_MS)


def test_a_missing_extension_fails_loudly(tmp_path):
    left_out = shutil.ignore_patterns("__pycache__", "_load.*.so", "_load.*.pyd")
    shutil.copytree(Path(sim.__file__).parent, tmp_path / "sim", ignore=left_out)
    run = subprocess.run(
        [sys.executable, "-c", "import sim"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode != 0
    assert "sim._load is missing" in run.stderr
    assert "python setup.py build_ext --inplace" in run.stderr
