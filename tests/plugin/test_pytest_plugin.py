"""The pytest plugin as authors of other head-ends meet it: in a process of its own, in folders of their own.

A start of Python costs most, so all that may fail does so in one folder, one run, and the tests look at what it said.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.house.sources import ROOT

CASES = """
from pathlib import Path

import pytest

METER = "202600010101"

def test_passes_beside_a_folder_called_sim(estate645_estate):
    assert estate645_estate.ports.keys() == {"bus-1"}
    assert len(estate645_estate.truth()["households"]) == 3
    words = Path(f"/proc/{estate645_estate._process.pid}/cmdline").read_bytes().split(b"\\0")
    assert not {b"-I", b"-s"} & set(words), "what pip install --user has put there is found"

def test_fails(estate645_estate):
    print("PID", estate645_estate._process.pid, estate645_estate.ports["bus-1"])
    assert estate645_estate.now is None

def test_unknown_fault(estate645_virtual):
    estate645_virtual.fault(METER, "melted")

def test_faults_anywhere(estate645_virtual):
    estate = estate645_virtual
    estate.fault(METER, "silent", lasts_s=60)
    estate.fault("noise_bytes", bus="bus-1")
    estate.fault("colluding", meter=METER, with_="202600010102")
    kinds = {label["kind"]: label for label in estate.labels()}
    assert kinds["silent"]["meter"] == METER
    assert kinds["noise_bytes"]["bus"] == "bus-1" and kinds["noise_bytes"]["meter"] is None
    assert kinds["colluding"]["sizes"]["with"] == "1-0102"
    estate.clear_faults(bus="bus-1")
    estate.clear_faults(METER)
    assert all(label["end_s"] is not None for label in estate.labels())
    for words, places in [((), {}), (("silent",), {}), ((METER, "silent"), {"bus": "bus-1"})]:
        with pytest.raises(AssertionError, match="name one place"):
            estate.fault(*words, **places)

def test_unknown_meter(estate645_virtual):
    estate645_virtual.household("999999999998")

def test_dies(estate645_estate):
    estate645_estate._process.kill()
    estate645_estate.truth()

class TestBroken:
    @pytest.fixture
    def estate645_scenario(self):
        return "[estate]\\nid = 'a'\\n"

    def test_broken(self, estate645_estate):
        pass

@pytest.mark.estate645("mine.toml", seed=9, factor=60, world_start="2026-10-13T09:05:00+08:00")
def test_marked(estate645_estate):
    assert list(estate645_estate.ports) == ["hall"]
    assert estate645_estate.now.isoformat() >= "2026-10-13T01:05"
    paused = estate645_estate.set_speed("pause")
    assert (estate645_estate.step(86_400) - paused).total_seconds() == 86_400
    assert estate645_estate.metrics()["seed"] == 9

@pytest.mark.estate645(seed=9)
def test_virtual(estate645_virtual, estate645_start, estate645_scenario, tmp_path):
    assert estate645_virtual.now.isoformat() == "2026-09-30T16:00:00+00:00"
    assert estate645_virtual.metrics()["seed"] == 9
    ask = bytes.fromhex("68 AA AA AA AA AA AA 68 13 00 DF 16")
    tape = tmp_path / "bus.pcap"
    estate645_virtual.record("bus-1", tape)
    said = estate645_virtual.exchange("bus-1", ask, 0.5, quiet_s=0.2)
    estate645_virtual.record("bus-1", None)
    assert said and tape.stat().st_size > len(ask) + len(said)
    assert set(estate645_virtual.advance(3, {"bus-1": ask}, until_bytes=True)) == {"bus-1"}
    assert 0.1 < estate645_virtual.now_s < 1
    other = estate645_start(estate645_scenario, seed=9, world_start="2026-10-01T00:00:00+08:00", virtual=True)
    assert other.control_url != estate645_virtual.control_url
    assert other.exchange("bus-1", ask, 0.5, quiet_s=0.2) == said
"""


def run(folder, *words, env=None):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False, env=env)


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What pytest printed in a folder of somebody else."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "sim").mkdir()
    (folder / "sim" / "__init__.py").write_text("raise RuntimeError('the wrong sim')\n")
    scenario = (ROOT / "pytest_estate645.py").read_text("utf-8").split('SMALL_ESTATE = """\\\n')[1].split('"""')[0]
    (folder / "mine.toml").write_text(scenario.replace("bus-1", "hall"))
    (folder / "test_x.py").write_text(CASES, "utf-8")
    return run(folder, env=os.environ | {"PYTHONPATH": str(folder)}).stdout


def section(said, test):
    """What was printed about one failure."""
    return re.split(r"\n_{3,} .* _{3,}\n", said.partition(f" {test} _")[2])[0]


def test_the_example_passes_as_its_readme_says():
    done = run(ROOT, "examples/your_head_end")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


def test_the_plugin_imports_nothing_of_ours():
    check = "import sys, pytest_estate645; print([m for m in ('core', 'sim', 'server') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-I", "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_should_pass_passes_beside_a_folder_called_sim_and_the_rest_fails(said):
    assert "4 passed" in said, said
    assert "4 failed" in said
    assert "1 error" in said


def test_a_failure_shows_what_the_simulator_said_and_nothing_is_left_behind(said):
    shown = section(said, "test_fails")
    assert "- estate645-sim estate.toml -" in shown
    assert "3 meters on 1 bus" in shown
    pid, port = next(line for line in shown.splitlines() if line.startswith("PID")).split()[1:]
    assert not os.path.lexists(port)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("test_unknown_fault", "EstateError: /fault: "),
        ("test_unknown_meter", "no household has the meter 999999999998"),
        ("test_dies", "EstateError: /truth: the simulator was killed by signal 9; it said last:"),
        ("test_dies", "3 meters on 1 bus in "),
        ("TestBroken.test_broken", "the simulator ended with status 2"),
        ("TestBroken.test_broken", "bus is missing; allowed: at least one table [[bus]]"),
    ],
)
def test_mistakes_are_named(said, test, message):
    assert message in section(said, test)
