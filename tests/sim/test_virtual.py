"""Virtual time: the sweep says what the meters say, events happen where they belong, and one seed is one world."""

import json
import os
import subprocess
import sys
from datetime import datetime

import numpy as np
import pytest

from sim.loads.load import SLOT_MS
from sim.meters import Meter
from sim.scenario.scenario import scenario_from_dict
from sim.timing.anchor import Anchor
from sim.timing.spans import DAY_MS
from sim.virtual import VirtualRun, truth_lines
from tests.sim.rig import START
from tests.sim.test_generator import town

TOU = {
    "kind": "tou",
    "prices": {"peak": "0.99", "flat": "0.58", "valley": "0.22"},
    "periods": [
        {"from": "00:00", "to": "08:07", "rate": "valley"},
        {"from": "08:07", "to": "14:00", "rate": "peak"},
        {"from": "14:00", "to": "24:00", "rate": "flat"},
    ],
}
LIVELY = {
    "switchings": 900,
    "paid_after_h": [0, 60],
    "faults": {
        "silent": 200,
        "register_backwards": 100,
        "relay_stuck_closed": 200,
        "unmetered_tap": 200,
        "fdi3": 200,
        "evening_tap": 100,
        "holiday": 200,
    },
}


def lived(days, start=START, seed=1, **changes):
    table = town(**changes) | {"tariff": TOU, "events": LIVELY}
    run = VirtualRun(scenario_from_dict(table, seed=seed), seed, Anchor(start, start))
    run.run(days)
    return run


class Tape:
    """Stands for the digest and keeps what went in."""

    def __init__(self):
        self.pieces = []

    def update(self, piece):
        self.pieces.append(piece)


@pytest.mark.parametrize(
    "start", ["2026-10-13T09:05:00+08:00", "2026-10-13T00:00:00+08:00", "2026-10-13T08:03:00+08:00"]
)
def test_every_swept_register_and_freeze_is_what_the_meter_shows(start):
    start = datetime.fromisoformat(start)
    table = town() | {"tariff": TOU, "events": LIVELY}
    run = VirtualRun(scenario_from_dict(table), 1, Anchor(start, start))
    tape = run.sweep.totals.digest = Tape()
    run.run(9.4)
    fleet, origin_ms = run.world.fleet, run.world.origin_ms
    assert sum(len(memory.segments) > 2 for i in fleet.remembering() if (memory := fleet.recall(i))) > 12
    registers = iter(tape.pieces)
    first_day, frozen = (origin_ms + 8 * 3_600_000) // DAY_MS, 0
    for day in range(first_day, (run.world.now_ms + 8 * 3_600_000) // DAY_MS + 1):
        midnight_ms = day * DAY_MS - 8 * 3_600_000
        instants = [midnight_ms + n * SLOT_MS for n in range(1, 97)]
        instants = [at_ms for at_ms in instants if origin_ms < at_ms <= run.world.now_ms]
        if not instants:
            continue
        swept = np.frombuffer(next(registers), "<u4").reshape(90, len(instants)).tolist()
        assert swept == [[Meter(fleet, i).register.steps_wh(t) // 10 for t in instants] for i in range(90)]
        if midnight_ms + DAY_MS <= run.world.now_ms:
            frozen += 1
            rates = np.frombuffer(next(registers), "<i8").reshape(90, 4).tolist()
            assert rates == [list(Meter(fleet, i).register.rates_wh(midnight_ms + DAY_MS)) for i in range(90)]
    assert next(registers, None) is None
    assert run.sweep.totals.freezes == 90 * frozen > 0


def test_the_summary_counts_what_happened():
    run = lived(30)
    summary = run.summary()
    energy = summary["energy_kwh"]
    assert sum(energy[load] for load in ("family", "single", "heavy", "vacant")) == pytest.approx(energy["all"], abs=4)
    assert energy["given_back"] > 0
    events = summary["events"]
    assert 50 < events["relay trip"] <= 90
    assert events["relay button"] > 20
    assert {f"fault {kind}" for kind in LIVELY["faults"]} <= set(events)
    assert summary["registers"] == 90 * 30 * 96
    assert summary["freezes"] == 90 * 30
    assert 0 < summary["peak_kw"] < 90 * 13


def test_a_further_building_changes_no_event_of_the_others():
    few, more = lived(20), lived(20, buildings=4)
    taken = [line for line in truth_lines(more.world) if json.loads(line).get("household", "4-")[0] != "4"]
    assert [line for line in truth_lines(few.world) if "household" in json.loads(line)] == taken
    labels = [run.world.faults.labels(run.world.now_ms) for run in (few, more)]
    assert labels[0]
    assert all(label in labels[1] for label in labels[0])


SCENARIO = """
[estate]
id = "t"
holidays = ["2026-10-20..2026-10-22"]
[tariff]
price = "0.5"
[[generate]]
buildings = 2
floors = 5
rooms = 6
households_per_gate = 30
solar_permille = 100
bus = { port = "memory" }
[events]
switchings = 500
faults = { unmetered_tap = 100 }
"""


def at_once(folder, *options, environment=None, more=""):
    (folder / "estate.toml").write_text(SCENARIO + more, "utf-8")
    command = [sys.executable, "-P", "-m", "sim", str(folder / "estate.toml"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)


@pytest.mark.parametrize(
    "how", [["--speed", "max", "--days", "1"], ["--virtual", "1"], ["--virtual", "1", "--factor", "7"]]
)
def test_what_is_due_at_the_last_instant_happens(tmp_path, how):
    """As it does where a client steps time; a second later is another day."""
    at = ["2026-10-14T09:04:59+08:00", "2026-10-14T09:05:00+08:00", "2026-10-14T09:05:01+08:00"]
    kinds = ["register_stuck", "silent", "bypass"]
    faults = "".join(
        f'[[fault]]\nkind = "{kind}"\nhousehold = "1-0101"\nat = "{when}"\n'
        for kind, when in zip(kinds, at, strict=True)
    )
    labels = tmp_path / "labels"
    options = [*how, "--world-start", "2026-10-13T09:05:00+08:00", "--labels", str(labels)]
    run = at_once(tmp_path, *options, more=faults)
    assert run.returncode == 0, run.stderr
    found = {label["kind"] for label in map(json.loads, labels.read_text().splitlines())}
    assert found & set(kinds) == set(kinds[:2])


def test_one_seed_is_one_world_in_every_process_and_hash_seed(tmp_path):
    options = ["--speed", "max", "--days", "20", "--world-start", "2026-10-13T09:05:00+08:00"]
    seen = []
    for hash_seed, seed in (("0", "1"), ("4711", "1"), ("0", "2")):
        written = [f"--{what}-out={tmp_path / what}{hash_seed}{seed}" for what in ("truth", "labels")]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        run = at_once(tmp_path, *options, "--seed", seed, *written, environment=environment)
        assert run.returncode == 0, run.stderr
        summary = json.loads(run.stdout)
        del summary["seconds"], summary["times_faster_than_life"]
        files = [(tmp_path / f"{what}{hash_seed}{seed}").read_bytes() for what in ("truth", "labels")]
        seen.append((summary, *files))
    assert seen[0] == seen[1]
    assert seen[0][0]["digest"] != seen[2][0]["digest"]
    assert seen[0][1].count(b"\n") == 62
    assert all(json.loads(line)["kind"] == "unmetered_tap" for line in seen[0][2].splitlines())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speed", "max"], "--speed max needs --days"),
        (["--days", "3"], "goes with --speed max"),
        (["--speed", "max", "--days", "1", "--factor", "60"], "leave out --factor"),
        (["--speed", "60", "--factor", "30"], "leave one out"),
        (["--speed", "fast"], "whole number from 1"),
        (["--speed", "max", "--days", "0"], "above 0"),
    ],
)
def test_options_that_contradict_are_refused(tmp_path, options, said):
    run = at_once(tmp_path, *options)
    assert run.returncode == 2
    assert said in run.stderr
