"""Faults as scenarios, rates and the control API order them: where, when, which sizes, and what is refused."""

import json
import os
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path

import pytest

from core.dlt645.identifiers import ENERGY_TOTAL
from sim.auditor import read_truth
from sim.errors import ScenarioError, SimError
from sim.faults import KINDS
from sim.kinds import KINDS as METER_KINDS
from sim.scenario.scenario import load_scenario, scenario_from_dict
from sim.timing.anchor import Anchor
from sim.virtual import VirtualRun
from tests.sim.rig import ADDRESS, GATE, OTHER, START, Virtual, household, simulator, table

EXAMPLE = Path("examples/faults.toml")
KW = {"load": "constant", "mean_power_w": 1000, "resident": {"button": "never"}}
ISO = "2026-10-13T09:05:00+08:00"


def scenario(*faults, **more):
    gates = [{"id": "g", "meter": GATE, "bus": "bus-1", "households": ["1-0101"]}]
    homes = [household(**KW), household("1-0102", OTHER, **KW)]
    return table(homes, gates=gates) | {"fault": list(faults)} | more


def test_a_fault_counts_from_the_start_or_from_a_date():
    late = {"kind": "bypass", "household": "1-0101", "at": "+2h", "until": "+180m"}
    dated = {"kind": "silent", "meter": OTHER, "at": "2026-10-13T10:05", "until": "2026-10-13T11:05"}
    v = Virtual(scenario(late, dated))
    v.run_s(10 * 3600)
    spans = {x["kind"]: (x["start_s"] - START.timestamp(), x["end_s"] - START.timestamp()) for x in v.labels()}
    assert spans == {"bypass": (7200, 10800), "silent": (3600, 7200)}
    assert v.read(ENERGY_TOTAL) == (9000,)


def test_a_theft_from_before_commissioning_is_there_from_the_first_moment():
    v = Virtual(scenario({"kind": "bypass", "household": "1-0101", "at": "2020-01-01T00:00:00"}))
    v.run_s(3600)
    (label,) = v.labels()
    assert (label["began_before"], label["start_s"], label["lost_wh"]) == (True, START.timestamp(), 1000)


def test_what_was_over_before_the_start_never_was():
    v = Virtual(
        scenario({"kind": "silent", "household": "1-0101", "at": "2020-01-01T00:00", "until": "2020-01-02T00:00"})
    )
    v.run_s(10)
    assert v.labels() == []


def test_a_planned_rollover_comes_without_a_jump_and_on_time():
    v = Virtual(scenario({"kind": "register_rollover", "household": "1-0101", "at": "+5h"}))
    assert v.read(ENERGY_TOTAL) == (999_995_000,)
    v.run_s(5 * 3600 - 30)
    assert v.read(ENERGY_TOTAL) == (999_999_990,)
    v.run_s(30)
    assert v.read(ENERGY_TOTAL)[0] in (0, 10)
    assert v.labels()[0]["alarm"] is None


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "theft", "household": "1-0101"}, ["fault[1]", "kind", "bypass"]),
        ({"kind": "bypass"}, ["one of household, meter, gate and bus"]),
        ({"kind": "bypass", "household": "1-0101", "bus": "bus-1"}, ["one of household"]),
        ({"kind": "bypass", "household": "9-9999"}, ["a household of this scenario"]),
        ({"kind": "bypass", "meter": "000000000000"}, ["the address of a household's meter"]),
        ({"kind": "gate_tap", "gate": "h"}, ["a gate of this scenario"]),
        ({"kind": "bit_errors", "bus": "bus-2"}, ["a bus of this scenario"]),
        ({"kind": "bypass", "gate": "g"}, ["for a gate", "gate_tap"]),
        ({"kind": "bypass", "household": "1-0101", "metered_permille": 1000}, ["metered_permille", "0 to 999"]),
        ({"kind": "bypass", "household": "1-0101", "drop_wh": 10}, ["unknown key drop_wh"]),
        ({"kind": "register_jump", "household": "1-0101", "jump_wh": 15}, ["a multiple of 10"]),
        ({"kind": "magnet", "household": "1-0101", "event": 1}, ["event", "true or false"]),
        ({"kind": "silent", "household": "1-0101", "at": "+2h", "until": "+1h"}, ["a time after at"]),
        ({"kind": "silent", "household": "1-0101", "at": "+2x"}, ["such as +90m"]),
        ({"kind": "silent", "household": "1-0101", "at": "+2h", "until": "2026-11-01T00:00"}, ["from the start"]),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_what_is_allowed(fault, said):
    with pytest.raises(ScenarioError) as caught:
        scenario_from_dict(scenario(fault))
    assert all(word in str(caught.value) for word in said), caught.value


def test_a_fault_that_cannot_be_there_stops_the_start():
    with pytest.raises(SimError, match=r"fault phase_lost of household 1-0101: .*three-phase"):
        Virtual(scenario({"kind": "phase_lost", "household": "1-0101"}))


def test_random_faults_come_at_their_rates_and_leave_their_labels():
    rates = {"bypass": 500, "register_jump": 200, "bit_errors": 1000, "gate_tap": 1000}
    estate = {
        "estate": {"id": "t"},
        "tariff": {"price": "0.5"},
        "generate": [
            {"buildings": 2, "floors": 10, "rooms": 10, "households_per_gate": 100, "bus": {"port": "memory"}},
        ],
        "faults": {"rates": rates, "lasts_h": [10, 20]},
    }
    run = VirtualRun(scenario_from_dict(estate), 1, Anchor(START, START))
    run.world.env.run(until=60 * 86_400)
    labels = run.world.faults.labels(run.world.now_ms)
    counts = {kind: sum(label["kind"] == kind for label in labels) for kind in rates}
    assert 140 < counts["bypass"] < 260, "two periods of 200 x 0.5"
    assert 45 < counts["register_jump"] < 110
    assert 2 <= counts["bit_errors"] <= 6
    assert 2 <= counts["gate_tap"] <= 6
    ended = [label["end_s"] - label["start_s"] for label in labels if label["end_s"] is not None]
    assert min(ended) >= 10 * 3600
    assert max(ended) <= 20 * 3600


def test_rates_refuse_kinds_that_need_a_partner():
    with pytest.raises(ScenarioError, match="unknown key colluding"):
        scenario_from_dict(scenario(faults={"rates": {"colluding": 1}}))


def test_the_example_has_every_kind_once_and_labels_it_alike_everywhere(tmp_path):
    kinds = [fault["kind"] for fault in tomllib.loads(EXAMPLE.read_text("utf-8"))["fault"]]
    assert sorted(kinds) == sorted(KINDS)
    assert load_scenario(EXAMPLE).faults[0].kind == "bypass"
    found = []
    for hash_seed in ("0", "4711"):
        path = tmp_path / hash_seed
        options = ["--speed", "max", "--days", "27", "--world-start", ISO, "--labels", str(path)]
        command = [sys.executable, "-P", "-m", "sim", str(EXAMPLE), *options]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PYTHONHASHSEED": hash_seed})
        found.append(path.read_bytes())
    assert found[0] == found[1]
    labels = [json.loads(line) for line in found[0].splitlines()]
    assert sorted(label["kind"] for label in labels) == sorted(KINDS)
    assert len({label["id"] for label in labels}) == len(labels)
    assert all(label["lost_wh"] > 0 for label in labels if label["alarm"] == "balance")


def test_faults_by_control_api_in_a_real_run_end_in_the_label_file(tmp_path):
    text = """
[estate]
id = "t"
[tariff]
price = "0.5"
[[bus]]
id = "bus-1"
port = "memory"
[[household]]
id = "1-0101"
meter = "202600010101"
bus = "bus-1"
"""
    labels = tmp_path / "labels.jsonl"
    options = ["--labels", str(labels), "--truth-export", str(tmp_path / "truth.jsonl"), "--world-start", ISO]
    with simulator(tmp_path, text, *options, "--factor", "60") as sim:
        begun = sim.post("/fault", {"meter": ADDRESS, "fault": "bypass", "metered_permille": 300, "lasts_s": 30})
        assert begun["id"] == "bypass/1-0101/1"
        assert sim.post("/fault", {"bus": "bus-1", "fault": "bit_errors"})["id"] == "bit_errors/bus-1/1"
        status, said = sim.error("/fault", {"bus": "bus-1", "fault": "bit_errors", "errors_ppm": 9})
        assert (status, "bit_errors/bus-1/1 still runs there" in said) == (409, True)
        sim.post("/fault", {"bus": "bus-1", "fault": "none"})
        assert sim.error("/fault", {"bus": "bus-1", "fault": "bypass"})[0] == 400
        assert sim.error("/fault", {"meter": ADDRESS, "fault": "bypass", "metered": 1})[0] == 400
        assert sim.error("/fault", {"meter": ADDRESS, "fault": "phase_lost"})[0] == 400
        seen = sim.get("/truth/labels")
        exported = sim.get("/truth/export?bus=bus-1")
        assert sim.error("/truth/export?bus=bus-2")[0] == 400
        assert sim.error("/truth/export?meter=1")[0] == 404
        sim.stop()
    assert [line["what"] for line in exported] == ["estate", "meter", "label", "label"]
    (tmp_path / "exported.json").write_text(json.dumps(exported))
    ended = read_truth(tmp_path / "truth.jsonl")
    assert read_truth(tmp_path / "exported.json").meters.keys() == ended.meters.keys() == {ADDRESS}
    assert [label["id"] for label in ended.labels] == [label["id"] for label in seen]
    written = [json.loads(line) for line in labels.read_text().splitlines()]
    assert [one["id"] for one in written] == [one["id"] for one in seen] == ["bypass/1-0101/1", "bit_errors/bus-1/1"]
    assert all(set(one) == set(other) for one, other in zip(written, seen, strict=True))
    assert seen[1]["end_s"] is not None


def test_a_scaled_date_is_in_the_zone_of_the_estate():
    v = Virtual(
        scenario({"kind": "silent", "household": "1-0101", "at": datetime.fromisoformat("2026-10-13T02:05+00:00")})
    )
    v.run_s(3601)
    assert v.labels()[0]["start_s"] == START.timestamp() + 3600


def test_the_handbook_says_which_meters_can_show_a_kind():
    handbook = Path("docs/simulator.md").read_text("utf-8")
    said = {METER_KINDS: "any", METER_KINDS[:2]: "DL/T 645", METER_KINDS[:1]: "DL/T 645-2007"}
    said[METER_KINDS[0], "dds238"] = "DL/T 645-2007, dds238"
    for name, kind in KINDS.items():
        (row,) = [row for row in handbook.splitlines() if row.startswith(f"| `{name}` |")]
        column = (
            "DL/T 645-2007; any without `event`"
            if name == "magnet"
            else said[tuple(METER_KINDS[n] for n in kind.meters)]
        )
        assert row.split(" | ")[3] == column, name


def test_every_kind_and_key_is_documented():
    handbook = Path("docs/simulator.md").read_text("utf-8")
    rows = {name: next((row for row in handbook.splitlines() if row.startswith(f"| `{name}` |")), "") for name in KINDS}
    missing = [
        f"{name}.{key.name}" for name, kind in KINDS.items() for key in kind.keys if f"`{key.name}`" not in rows[name]
    ]
    assert [name for name, row in rows.items() if not row] == []
    assert missing == []
