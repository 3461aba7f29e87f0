"""The estate bench: real processes, every meter asked, and figures that come from them."""

import json
import subprocess
import sys

import pytest

from bench import estate
from bench.report import BenchFailed
from sim.scenario.scenario import load_scenario


def test_the_addresses_are_those_of_the_scenario(tmp_path):
    text = estate.pattern(estate.QUICK)
    path = tmp_path / "estate.toml"
    path.write_text(text, "utf-8")
    wanted = [(home.meter.bus_id, home.meter.address) for home in load_scenario(path).households]
    assert [(bus, address) for bus, members in estate.addresses(text) for address in members] == wanted


def test_the_whole_example_has_fifty_thousand():
    found = [address for _, members in estate.addresses(estate.pattern({})) for address in members]
    assert len(found) == len(set(found)) == 50_400


def test_months_that_differ_end_the_bench():
    months = [{"digest": "a", "command_s": 1.0}, {"digest": "b", "command_s": 1.0}]
    with pytest.raises(BenchFailed, match="differ"):
        estate._month(months, True)


def test_a_figure_above_what_is_allowed_is_missed():
    assert estate._allowed("x", [61.0], "s", 60.0, 30.0).missed
    assert not estate._allowed("x", [59.0], "s", 60.0, 30.0).missed


def test_a_quick_run_measures_every_row():
    command = [sys.executable, "-m", "bench", "estate", "--quick", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    memory, start, month, each = json.loads(done.stdout)["results"]
    assert 20 < memory["value"] < 150
    assert 0 < start["value"] < 30
    assert "2 days of 24 households, 48 freezes" in month["name"]
    assert each["peer"]["value"] > 1000
