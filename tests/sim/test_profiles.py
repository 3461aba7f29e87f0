"""Replayed loads: real data keeps its weeks, its energy and its clock, from every kind of file."""

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.scenario.scenario import load_scenario, scenario_from_dict
from tests.house.sources import ROOT
from tests.sim.rig import Virtual, household, table

SWISS = ROOT / "bench" / "data" / "swiss_homes.npz"
MONDAY_MS = 1_791_734_400_000  # 2026-10-12T00:00+08:00
SLOT_MS = 900_000


def estate(replay, **keys):
    return table([household(load="replay", **keys)]) | {"replay": {"file": str(SWISS)} | replay}


def wh_by_slot(scenario_table, count, start_ms=MONDAY_MS + 86_400_000 * 7):
    virtual = Virtual(scenario_table)
    curve = virtual.household().supply.curve
    energy = [curve.energy(start_ms + n * SLOT_MS) for n in range(count + 1)]
    return np.diff(energy) / 3_600_000_000


def test_a_swiss_home_is_replayed_watt_hour_by_watt_hour():
    with np.load(SWISS) as archive:
        wh = archive["wh"]
    home = int(np.flatnonzero((wh.min(axis=1) > 0) & (wh.max(axis=1) < 3000))[0])
    replayed = wh_by_slot(estate({}, profile=home), 4704)
    weeks = [np.roll(wh[home], -shift * 672) for shift in range(7)]
    assert any(np.array_equal(replayed, week) for week in weeks), "weeks begin on Monday, in their order"


def test_mean_power_rescales_a_home():
    replayed = wh_by_slot(estate({}, profile=7, mean_power_w=300), 4704)
    assert replayed.sum() / (49 * 24) == pytest.approx(300, rel=0.02)


@pytest.mark.parametrize(("unit", "interval_min"), [("wh", 15), ("w", 30), ("wh", 60)])
def test_csv_and_npy_give_the_same_as_each_other(tmp_path, unit, interval_min):
    values = np.random.default_rng(1).integers(1, 900, (3, 7 * 24 * 60 // interval_min))
    np.save(tmp_path / "a.npy", values)
    np.savetxt(tmp_path / "a.csv", values.T, "%d", ",", header="x,y,z", comments="")
    keys = {"unit": unit, "interval_min": interval_min}
    seen = [wh_by_slot(estate({"file": str(tmp_path / name), **keys}, profile=2), 672) for name in ("a.npy", "a.csv")]
    assert np.array_equal(*seen)
    factor = interval_min // 15
    expected = np.repeat(values[2], factor) / (factor if unit == "wh" else 4)
    assert seen[0] == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(
    ("replay", "said"),
    [
        ({"file": "nowhere.npz"}, "nowhere.npz"),
        ({"array": "vid"}, "has the shape"),
        ({"array": "x"}, "allowed: .npz"),
        ({"interval_min": 20}, "interval_min is 20"),
        ({"unit": "kwh"}, "unit is 'kwh'"),
        ({"first_weekday": "Mon"}, "first_weekday"),
        ({"filee": "x"}, "unknown key filee"),
    ],
)
def test_a_file_that_cannot_be_replayed_is_refused(replay, said):
    with pytest.raises(ScenarioError, match=r"\[replay\]") as refused:
        scenario_from_dict(estate(replay))
    assert said in str(refused.value)


def test_negative_values_and_missing_ones_are_refused(tmp_path):
    for value in (-1.0, float("nan")):
        values = np.ones((1, 672))
        values[0, 5] = value
        np.save(tmp_path / "a.npy", values)
        with pytest.raises(ScenarioError, match="negative or no numbers"):
            scenario_from_dict(estate({"file": str(tmp_path / "a.npy")}))


def test_replay_without_a_file_is_refused():
    with pytest.raises(ScenarioError, match=r"load is 'replay'.*\[replay\]"):
        scenario_from_dict(table([household(load="replay")]))


def test_the_path_is_relative_to_the_scenario(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 672)))
    text = '[estate]\nid = "t"\n[tariff]\nprice = "0.5"\n[replay]\nfile = "a.npy"\n[[generate]]\nbuildings = 1\n'
    (tmp_path / "estate.toml").write_text(text + "floors = 2\nrooms = 2\nloads = { replay = 1 }\n")
    scenario = load_scenario(tmp_path / "estate.toml")
    assert {home.load for home in scenario.households} == {"replay"}
    assert {home.profile for home in scenario.households} <= {0, 1}
