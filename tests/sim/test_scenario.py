"""Scenarios that cannot be are refused with file, key and what is allowed."""

import copy

import pytest

from sim.errors import ScenarioError
from sim.scenario.scenario import load_scenario, scenario_from_dict
from tests.sim.rig import ADDRESS, GATE, OTHER, TIERED, bus, household, table

GOOD = table(
    [household(fault="silent", at="2026-10-13T09:40"), household("1-0102", OTHER)],
    [bus(port="pty", reply_delay_ms=[20, 500])],
    [{"id": "gate-1", "meter": GATE, "bus": "bus-1", "feeds": "building 1", "prefix": "1-", "loss_permille": 20}],
)


def test_good_scenario_is_read():
    scenario = scenario_from_dict(GOOD)
    assert scenario.buses[0].reply_delay_ms == (20, 500)
    assert scenario.gates[0].households == ("1-0101", "1-0102")
    fault = scenario.households[0].fault
    assert fault is not None
    assert fault.kind == "silent"
    assert fault.at_ms == 1_791_855_600_000


def changed(path, value):
    wrong = copy.deepcopy(GOOD)
    place = wrong
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return wrong


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("estate", "id"), None, ["[estate]", "id is missing"]),
        (("estate", "time_zone"), "Asia/Nowhere", ["[estate]", "time_zone", "Asia/Shanghai"]),
        (("estate", "nmae"), "x", ["[estate]", "unknown key nmae", "name"]),
        (("bus",), [], ["[[bus]]"]),
        (("bus", 0, "baud"), 9601, ["bus[1]", "baud is 9601", "2400, 4800, 9600"]),
        (("bus", 0, "port"), "serial", ["bus[1]", "port", "pty", "tcp://"]),
        (("bus", 0, "parity"), "X", ["parity is 'X'", "N, E, O"]),
        (("bus", 0, "reply_delay_ms"), [500, 20], ["reply_delay_ms", "[least, most]"]),
        (("bus", 0, "id"), "../x", ["bus[1]", "id is '../x'", "letters"]),
        (("household", 0, "meter"), "12345", ["household[1]", "meter is '12345'", "12 digits"]),
        (("household", 0, "meter"), 202600010101, ["in quotes"]),
        (("household", 0, "meter"), "9" * 12, ["broadcast"]),
        (("household", 1, "meter"), ADDRESS, ["meter 202600010101 appears more than once"]),
        (("household", 1, "id"), "1-0101", ["household 1-0101 appears more than once"]),
        (("household", 0, "bus"), "bus-9", ["household[1]", "bus is 'bus-9'", "bus-1"]),
        (("household", 0, "load"), "familiy", ["load is 'familiy'", "family, single"]),
        (("household", 0, "load"), "constant", ["mean_power_w"]),
        (("household", 0, "start_register_wh"), 1234, ["multiple of 10"]),
        (("household", 0, "start_register_wh"), 10**9, ["999999990"]),
        (("household", 0, "password"), "12345", ["password", "6 digits"]),
        (("household", 0, "fault"), "broken", ["fault is 'broken'", "silent", "unmetered_tap"]),
        (("household", 0, "at"), "soon", ["at is 'soon'", "2026-10-13T09:40"]),
        (("household", 0, "resident"), {"button": "maybe"}, ["resident: button is 'maybe'", "prompt, slow, never"]),
        (("household", 0, "resident"), {"buton": "slow"}, ["unknown key buton"]),
        (("gate", 0, "prefix"), "7-", ["gate[1]", "prefix is '7-'", "households"]),
        (("gate", 0, "households"), ["1-0101"], ["either"]),
        (("tariff", "price"), 0.48, ["[tariff]", "price is 0.48", '"0.4883"']),
        (("tariff", "price"), None, ["exactly one of"]),
        (("tariff", "tier_limits_wh"), [400000, 240000], ["tier_limits_wh", "ascending"]),
        (("tariff", "tier_period"), "week", ["tier_period is 'week'", "month, year, none"]),
        (("tariff", "tier_period_start"), 31, ["tier_period_start is 31", "1 to 28"]),
        (("tariff", "valid_from"), "yesterday", ["valid_from is 'yesterday'"]),
        (("tariff", "kind"), "tou", ["periods", "whole day"]),
        (("household",), {"id": "x"}, ["household", "array of tables"]),
    ],
)
def test_wrong_scenario_is_refused_with_key_and_what_is_allowed(path, value, said):
    with pytest.raises(ScenarioError) as refused:
        scenario_from_dict(changed(path, value), "estate.toml")
    for words in ["estate.toml", *said]:
        assert words in str(refused.value)


@pytest.mark.parametrize("chosen", [["1-0101", "1-0101"], [["1-0101"]], [{}], [1], []])
def test_gate_with_households_that_are_not_ids_each_once_is_refused(chosen):
    wrong = copy.deepcopy(GOOD)
    del wrong["gate"][0]["prefix"]
    wrong["gate"][0]["households"] = chosen
    with pytest.raises(ScenarioError, match="each once"):
        scenario_from_dict(wrong)


def test_too_many_meters_on_one_line_are_refused():
    many = table([household(f"1-{n:04d}", f"{n:012d}") for n in range(257)])
    with pytest.raises(ScenarioError, match="bus-1 has 257 meters; allowed: at most 256"):
        scenario_from_dict(many)


def test_tariff_in_versions_and_in_integers_is_the_same():
    integers = {
        "versions": [
            {
                "valid_from_s": 1_577_808_000,
                "kind": "single",
                "rate_prices_nf_per_wh": [48_830_000] * 4,
                "tier_steps_nf_per_wh": [5_000_000, 25_000_000],
                "seasons": [{"months": list(range(1, 13)), "tier_limits_wh": [240000, 400000]}],
                "tier_period": "month",
                "tier_period_start": 1,
                "periods": [],
            }
        ]
    }
    read = [scenario_from_dict(table([household()], tariff=t)).calendar.versions for t in (TIERED, integers)]
    assert read[0] == read[1]


def test_file_that_is_missing_or_not_toml_is_named(tmp_path):
    with pytest.raises(ScenarioError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_scenario(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("[estate\n")
    with pytest.raises(ScenarioError, match=r"bad\.toml: not TOML: .*line 1"):
        load_scenario(tmp_path / "bad.toml")
