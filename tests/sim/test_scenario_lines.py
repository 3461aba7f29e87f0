"""What a scenario file has twice, too much of, or where it cannot be is refused with file and line, key and reason."""

import pytest

from sim.__main__ import main
from sim.errors import ScenarioError
from sim.faults import WrongPlace
from sim.scenario.scenario import load_scenario, scenario_from_dict
from tests.sim.rig import OTHER, Virtual, bus, household, table

HEAD = """\
[estate]
id = "cuihu"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
port = "memory"
"""
HOME = """\
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
"""
SECOND = HOME.replace("1-0101", "1-0102").replace("202600010101", "202600010102")
GATE = '[[gate]]\nid = "g"\nmeter = "METER"\nbus = "bus-1"\nprefix = "1-"\n'
GENERATE = "[[generate]]\nbuildings = 1\nfloors = 1\nrooms = 2\n"
MODBUS = HOME + 'protocol = "modbus"\nmodel = "ddsu666"\nunit = 5\n'


def refused(tmp_path, text, kind=ScenarioError):
    path = tmp_path / "estate.toml"
    path.write_text(text)
    with pytest.raises(kind) as error:
        load_scenario(path)
    return str(error.value).replace(str(path), "FILE")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HOME + SECOND.replace('"1-0102"', '"1-0101"'), ("FILE:13: household[2]: household 1-0101", "FILE:8: househo")),
        (HOME + HOME.replace("1-0101", "1-0102"), ("FILE:14: household[2]: meter 202600010101", "FILE:8")),
        ('[[bus]]\nid = "bus-1"\n' + HOME, ("FILE:9: bus[2]: bus bus-1", "FILE:5: bus[1] has it too")),
        (
            MODBUS + MODBUS.replace("1-0101", "1-0102").replace("202600010101", "202600010102"),
            ("FILE:21: household[2]: unit 5 on bus bus-1", "each Modbus meter needs its own", "FILE:8"),
        ),
        (
            HOME + GATE.replace("METER", "202600019998") + GATE.replace("METER", "202600019999"),
            ("FILE:18: gate[2]: gate g appears more than once", "FILE:12: gate[1]"),
        ),
        (HOME + GATE.replace("METER", "202600010101"), ("FILE:14: gate[1]: meter 202600010101", "FILE:8: household")),
        (GENERATE + GENERATE, ("FILE:12: generate[2]: bus b1-1", "FILE:8: generate[1] has it too")),
        (
            HOME.replace("202600010101", "645000000101").replace("1-0101", "x") + GENERATE,
            ("FILE:12: generate[1]: meter 645000000101", "FILE:8: household[1]"),
        ),
    ],
)  # fmt: skip
def test_what_is_there_twice_is_named_with_both_lines(tmp_path, text, said):
    message = refused(tmp_path, HEAD + text)
    assert "appears more than once" in message
    for words in said:
        assert words in message


def test_the_first_meter_too_many_for_a_line_is_named(tmp_path):
    homes = "".join(HOME.replace("0101", f"{n:04d}") for n in range(257))
    said = refused(tmp_path, HEAD + homes)
    assert said == f"FILE:{8 + 4 * 256 + 3}: household[257]: bus bus-1 has 257 meters; allowed: at most 256 on one line"


def test_generated_meters_of_many_generators_are_not_confused():
    generators = [{"buildings": 2, "floors": 2, "rooms": 2, "first_building": n} for n in (1, 3)]
    whole = table([], []) | {"generate": generators}
    assert len(scenario_from_dict(whole).households) == 16
    whole["generate"][1]["first_building"] = 2
    with pytest.raises(ScenarioError, match=r"generate\[2\]: bus b2-1 appears more than once"):
        scenario_from_dict(whole)


@pytest.mark.parametrize(
    ("home", "said"),
    [
        (
            HOME + 'fault = "phase_lost"\n',
            "FILE:12: household[1]: fault: fault phase_lost of household 1-0101: phase_lost needs a three-phase",
        ),
        (
            HOME + '[[fault]]\nhousehold = "1-0101"\nkind = "reversed_ct"\nphase = 2\n',
            "FILE:15: fault[1]: phase: fault reversed_ct of household 1-0101: phase: the meter has only phase 1",
        ),
        (
            MODBUS + '[household.fault]\nkind = "battery_low"\nat = "+3h"\n',
            "FILE:16: household[1].fault: kind: fault battery_low of household 1-0101: battery_low cannot show at",
        ),
    ],
)  # fmt: skip
def test_a_fault_that_its_meter_cannot_have_is_refused_at_the_start(tmp_path, capsys, home, said):
    path = tmp_path / "estate.toml"
    path.write_text(HEAD + home)
    assert main([str(path), "--speed", "max", "--days", "0.001"]) == 2
    assert said in capsys.readouterr().err.replace(str(path), "FILE")


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb", "\x7f", "a\u202eb", "x" * 65, " a", "\u2028", "a\x00"])
def test_ids_and_names_that_a_terminal_would_obey_or_that_have_no_end_are_refused(name):
    for where in (
        {"household": [household(name)]},
        {"estate": {"id": name}},
        {"estate": {"id": "x", "name": name}},
        {"bus": [bus(name)], "household": [household(bus_id=name)]},
        {"gate": [{"id": name, "meter": OTHER, "bus": "bus-1", "prefix": "1-"}]},
    ):
        with pytest.raises(ScenarioError, match="1 to 64 characters that can be seen"):
            scenario_from_dict(table([household()]) | where)


def test_chinese_names_are_names():
    scenario = scenario_from_dict(table([household("一号楼-101")]) | {"estate": {"id": "翠湖", "name": "翠湖　花园"}})
    assert (scenario.households[0].household_id, scenario.name) == ("一号楼-101", "翠湖　花园")


@pytest.mark.parametrize(
    ("tariff", "said"),
    [
        ({"price": "-0.5"}, "price is '-0.5'; allowed: prices of 0 or above"),
        ({"price_nf_per_wh": -1}, "price_nf_per_wh is -1; allowed: prices of 0 or above"),
        (
            {"kind": "tou", "prices": {"flat": "0.5", "valley": "-0.1"}, "periods": []},
            "prices is .*allowed: prices of 0 or above",
        ),
        (
            {"price": "0.5", "tier_steps": ["0.1", "-0.7"], "tier_limits_wh": [1000, 2000], "tier_period": "month"},
            "tier_steps is .*allowed: differences that leave every price at 0 or above",
        ),
    ],
)
def test_negative_prices_are_refused(tariff, said):
    with pytest.raises(ScenarioError, match=said):
        scenario_from_dict(table([household()], tariff={"id": "t"} | tariff))


def test_tiers_may_become_cheaper_down_to_nothing():
    cheaper = {"price": "0.5", "tier_steps": ["-0.5"], "tier_limits_wh": [1000], "tier_period": "month"}
    (version,) = scenario_from_dict(table([household()], tariff=cheaper)).calendar.versions
    assert version.season(1).steps == (-(5 * 10**7),)


def test_an_unknown_key_comes_with_the_one_that_was_meant():
    with pytest.raises(ScenarioError, match=r"household\[1\]: unknown key mean_powr_w \(did you mean mean_power_w\?\)"):
        scenario_from_dict(table([household(mean_powr_w=1000)]))
    with pytest.raises(ScenarioError, match=r"bus\[1\]: unknown key zzz; allowed: baud"):
        scenario_from_dict(table([household()], [bus(zzz=1)]))


def test_a_fault_of_an_order_has_no_place_in_a_file():
    with pytest.raises(WrongPlace, match=r"^phase_lost needs a three-phase meter"):
        Virtual(table([household()])).fault("phase_lost")


@pytest.mark.parametrize(
    "port", ["tcp://foo", "tcp://:1", "tcp://h:65536", "tcp://h:x", "dtu://h", "udp://h:1", "COM1"]
)
def test_a_port_that_is_none_is_refused_at_its_line(tmp_path, port):
    told = refused(tmp_path, (HEAD + HOME).replace('"memory"', f'"{port}"'))
    assert told.startswith(f"FILE:7: bus[1]: port is '{port}'; allowed: pty, tcp://HOST:PORT")


@pytest.mark.parametrize("key", ["at", "until"])
@pytest.mark.parametrize(
    "value", ["+99999999999999d", "+36526d", "+" + "9" * 5000 + "s", "9999-12-31T00:00", "2100-01-01"]
)
def test_a_fault_at_a_time_that_never_comes_is_refused_at_its_line(tmp_path, key, value):
    fault = f'[[fault]]\nhousehold = "1-0101"\nkind = "silent"\n{key} = "{value}"\n'
    assert refused(tmp_path, HEAD + HOME + fault).startswith(f"FILE:15: fault[1]: {key} is '{value}'; allowed: a ")


def test_a_fault_far_away_but_within_a_meters_calendar_is_taken(tmp_path):
    path = tmp_path / "estate.toml"
    path.write_text(HEAD + HOME + '[[fault]]\nhousehold = "1-0101"\nkind = "silent"\nat = "+36525d"\n')
    assert load_scenario(path).faults[0].at_ms == 36_525 * 86_400_000
