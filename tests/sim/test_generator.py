"""Generated estates: what a table makes, that adding changes no other, and what is refused with its line."""

import copy
import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from sim.errors import PortError, ScenarioError
from sim.estate import LOADS, BusConfig
from sim.limits import FDS_SPARE, check_limits, descriptors_needed
from sim.ports.tcp import CLIENTS_MAX
from sim.scenario.places import Places
from sim.scenario.scenario import load_scenario, scenario_from_dict
from tests.house.sources import ROOT
from tests.sim.rig import TIERED, Virtual

TOWN = {
    "buildings": 3,
    "floors": 5,
    "rooms": 6,
    "meters_per_bus": 16,
    "households_per_gate": 8,
    "loads": {"family": 60, "single": 20, "heavy": 10, "vacant": 10},
    "residents": {"prompt": 80, "slow": 10, "never": 10},
    "start_register_wh": [1000, 50_000],
    "solar_permille": 300,
    "bus": {"port": "memory", "baud": 2400},
    "gate": {"loss_permille": 10},
}


def town(**changes):
    return {"estate": {"id": "t"}, "tariff": TIERED, "generate": [copy.deepcopy(TOWN) | changes]}


def test_a_table_makes_households_buses_and_main_meters():
    scenario = scenario_from_dict(town())
    assert len(scenario.households) == 90
    assert [bus.bus_id for bus in scenario.buses[:4]] == ["b1-1", "b1-2", "b1-3", "b2-1"]
    assert {bus.baud for bus in scenario.buses} == {2400}
    first, last = scenario.households[0], scenario.households[89]
    assert (first.household_id, first.meter.address, first.meter.bus_id) == ("1-0101", "645000000101", "b1-1")
    assert (last.household_id, last.meter.address, last.meter.bus_id) == ("3-0506", "645000020506", "b3-2")
    assert [(gate.gate_id, gate.meter.address, gate.meter.bus_id) for gate in scenario.gates[3:5]] == [
        ("g1-4", "645000009903", "b1-3"),
        ("g2-1", "645000019900", "b2-2"),
    ]
    assert list(scenario.gates[3].households) == [f"1-050{n}" for n in range(1, 7)]
    assert sum(len(gate.households) for gate in scenario.gates) == 90


def test_what_is_drawn_stays_inside_its_bounds_and_near_its_shares():
    scenario = scenario_from_dict(town(buildings=40))
    rows = scenario.households.rows
    assert rows["start_register_wh"].min() >= 1000
    assert rows["start_register_wh"].max() <= 50_000
    assert (rows["start_register_wh"] % 10 == 0).all()
    share = np.bincount(rows["load"], minlength=len(LOADS)) / len(rows)
    assert share[LOADS.index("family")] == pytest.approx(0.6, abs=0.05)
    assert share[LOADS.index("vacant")] == pytest.approx(0.1, abs=0.03)
    assert (rows["solar_w"] > 0).mean() == pytest.approx(0.3, abs=0.05)
    assert set(rows["solar_w"][rows["solar_w"] > 0] // 1000) <= set(range(3, 9))


def test_another_building_changes_no_household_and_another_seed_does():
    small, large = scenario_from_dict(town()), scenario_from_dict(town(buildings=4))
    assert list(small.households) == list(large.households)[:90]
    other = scenario_from_dict(town(), seed=2)
    assert list(small.households) != list(other.households)
    assert [h.meter.address for h in small.households] == [h.meter.address for h in other.households]


def test_a_generated_estate_lives_and_its_main_meter_sums_up():
    virtual = Virtual(town(solar_permille=0))
    virtual.run_s(86400)
    gate = virtual.world.gates["g2-3"]
    now_ms = virtual.world.now_ms
    drawn = sum(virtual.world.households[name].supply.energy(now_ms) for name in gate.config.households)
    assert gate.meter.register.source.energy(now_ms) == drawn * 1010 // 1000
    assert virtual.read(0x00010000, "645000010101", "b2-1")[0] > 1000
    assert virtual.read(0x00010000, gate.meter.address, gate.meter.config.bus_id)[0] > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"buildings": 0}, ["generate[1]: buildings is 0", "1 to 10000"]),
        ({"rooms": 100}, ["rooms is 100", "1 to 99"]),
        ({"meters_per_bus": 257}, ["meters_per_bus is 257", "1 to 256"]),
        ({"loads": {"familly": 1}}, ["generate[1].loads: unknown key familly", "family"]),
        ({"loads": {"family": 0}}, ["loads", "above 0"]),
        ({"loads": {"replay": 1}}, ["loads", "[replay]"]),
        ({"households_per_gate": 1, "floors": 98}, ["households_per_gate is 1", "99"]),
        ({"first_meter": "999999990000"}, ["first_meter", "twelve digits"]),
        ({"bus": {"port": "/dev/ttyUSB0"}}, ["generate[1].bus: port", "memory"]),
        ({"bus": {"id": "x"}}, ["generate[1].bus: unknown key id"]),
        ({"gate": {"loss": 1}}, ["generate[1].gate: unknown key loss"]),
        ({"colour": "red"}, ["unknown key colour"]),
    ],
)
def test_what_cannot_be_generated_is_refused(changes, said):
    with pytest.raises(ScenarioError) as refused:
        scenario_from_dict(town(**changes), "town.toml")
    for words in ["town.toml", *said]:
        assert words in str(refused.value)


TEXT = """\
# a comment [bus]
[estate]
id = "t"
name = '''
[household]
'''
[tariff]
price = "0.5"
tier_limits_wh = [
  1,  # [[bus]]
  2,
]
[[bus]]
id = "one"
[[bus]]
id = "two"   # "
baud = 9601
[[household]]
id = "a"
resident = { button = "maybe" }
[[household]]
"id" = "b"
[household.fault]
kind = "x"
"""


@pytest.mark.parametrize(
    ("trail", "line"),
    [
        (("estate",), 2),
        (("estate", "id"), 3),
        (("tariff", "tier_limits_wh"), 9),
        (("bus", 0), 13),
        (("bus", 1, "id"), 16),
        (("bus", 1, "baud"), 17),
        (("bus", 1, "missing"), 15),
        (("household", 0, "resident", "button"), 20),
        (("household", 1, "id"), 22),
        (("household", 1, "fault", "kind"), 24),
        (("elsewhere",), None),
        ((), None),
    ],
)
def test_the_line_of_a_key_is_found(trail, line):
    assert Places(TEXT).line(trail) == line


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("baud = 9600", "estate.toml:7: bus[1]: baud is 96"),
        ('load = "family"', "estate.toml:11: household[1]: load is 'familyx'"),
        ("trip_delay_min", "estate.toml:12: household[1]: unknown key trip_delay"),
        ('meter = "202600010101"', "estate.toml:10: household[1]: meter is '1'"),
        ('price = "0.4883"', "estate.toml:4: [tariff]: price is 0.5"),
        ('id = "cuihu"', "estate.toml:1: [estate]: id is missing"),
    ],
)
def test_an_error_names_file_and_line(tmp_path, broken, said):
    lines = ["[estate]", 'id = "cuihu"', "[tariff]", 'price = "0.4883"', "[[bus]]", 'id = "bus-1"', "baud = 9600"]
    lines += ["[[household]]", 'id = "1"', 'meter = "202600010101"', 'load = "family"', "trip_delay_min = 0"]
    lines += ['bus = "bus-1"']
    better = {
        "baud = 9600": "baud = 96",
        'load = "family"': 'load = "familyx"',
        "trip_delay_min": "trip_delay",
        'meter = "202600010101"': 'meter = "1"',
        'price = "0.4883"': "price = 0.5",
        'id = "cuihu"': "",
    }
    path = tmp_path / "estate.toml"
    path.write_text("\n".join(lines), "utf-8")
    load_scenario(path)
    path.write_text("\n".join(lines).replace(broken, better[broken], 1), "utf-8")
    with pytest.raises(ScenarioError) as refused:
        load_scenario(path)
    assert said in str(refused.value)


def ptys(folder, most, used, reserve=0):
    for name, value in {"max": most, "nr": used, "reserve": reserve}.items():
        (folder / name).write_text(f"{value}\n")
    return folder


def test_too_few_pseudo_terminals_are_refused_before_the_start(tmp_path):
    buses = [BusConfig(f"b{n}") for n in range(11)]
    check_limits(buses, pty_limits=ptys(tmp_path, 31, 20))
    with pytest.raises(
        PortError, match=r"11 buses need a pseudo-terminal each, the system has 10 left.*kernel\.pty\.max"
    ):
        check_limits(buses, pty_limits=ptys(tmp_path, 30, 20))
    check_limits([BusConfig(f"b{n}", port="memory") for n in range(11)], pty_limits=tmp_path)


def test_descriptors_are_counted_by_kind_of_port():
    assert descriptors_needed([BusConfig("a"), BusConfig("b", port="memory")]) == FDS_SPARE + 2
    assert descriptors_needed([BusConfig("a")], recorded=True) == FDS_SPARE + 3
    assert descriptors_needed([BusConfig("a", port="tcp://127.0.0.1:0")]) == FDS_SPARE + 1 + CLIENTS_MAX


def test_the_soft_limit_is_raised_and_a_low_hard_one_refused():
    code = """
        import resource, sys
        from sim.limits import check_limits
        from sim.estate import BusConfig
        buses = [BusConfig(str(n), port="tcp://127.0.0.1:0") for n in range(100)]
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 1000))
        check_limits(buses)
        print(resource.getrlimit(resource.RLIMIT_NOFILE))
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 500))
        check_limits(buses)
    """
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 1000
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert run.stdout == "(964, 1000)\n"
    assert "100 buses need 964 file descriptors, the hard limit is 500; raise it" in run.stderr


def test_the_example_of_fifty_thousand_is_what_it_says():
    scenario = load_scenario(ROOT / "examples" / "estate-50k.toml")
    assert (len(scenario.households), len(scenario.gates), len(scenario.buses)) == (50_400, 800, 200)
    meters = np.bincount(scenario.households.rows["bus"], minlength=200)
    assert meters.max() == 256
    assert scenario.households[50_399].household_id == "100-2818"
