"""The pytest plugin as authors of other head-ends meet it: in a process of its own, in folders of their own."""

import os
import subprocess
import sys

import pytest

from tests.house.sources import ROOT

HEAD_END = """
def test_estate(estate645_estate):
    assert estate645_estate.ports.keys() == {"bus-1"}
    FIRST
"""


def run(folder, *words):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)


def in_folder(tmp_path, first, **files):
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "test_x.py").write_text(HEAD_END.replace("FIRST", first), "utf-8")
    return run(tmp_path)


def test_the_example_passes_as_its_readme_says():
    done = run(ROOT, "examples/your_head_end")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


def test_a_folder_called_sim_is_in_nobodys_way(tmp_path):
    (tmp_path / "sim").mkdir()
    (tmp_path / "sim" / "__init__.py").write_text("raise RuntimeError('the wrong sim')\n")
    done = in_folder(tmp_path, "assert len(estate645_estate.truth()['households']) == 3")
    assert "1 passed" in done.stdout, done.stdout


def test_the_plugin_imports_nothing_of_ours():
    check = "import sys, pytest_estate645; print([m for m in ('core', 'sim', 'server') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-I", "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_failure_shows_what_the_simulator_said(tmp_path):
    done = in_folder(tmp_path, "assert estate645_estate.now is None")
    assert done.returncode == 1
    assert "- estate645-sim estate.toml -" in done.stdout
    assert "3 meters on 1 buses" in done.stdout


def test_nothing_is_left_behind(tmp_path):
    done = in_folder(tmp_path, "print('PID', estate645_estate._process.pid, estate645_estate.ports['bus-1']); assert 0")
    pid, port = next(line for line in done.stdout.splitlines() if line.startswith("PID")).split()[1:]
    assert not os.path.lexists(port)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("estate645_estate.fault('202600010101', 'melted')", "EstateError: /fault: "),
        ("estate645_estate.household('999999999998')", "no household has the meter 999999999998"),
    ],
)
def test_mistakes_are_named(tmp_path, first, said):
    assert said in in_folder(tmp_path, first).stdout


def test_a_broken_scenario_is_named_with_the_key(tmp_path):
    broken = "import pytest\n@pytest.fixture\ndef estate645_scenario():\n    return '[estate]\\nid = \\'a\\'\\n'\n"
    done = in_folder(tmp_path, "pass", **{"conftest.py": broken})
    assert "the simulator ended with status 2" in done.stdout
    assert "bus is missing; allowed: at least one table [[bus]]" in done.stdout


def test_the_marker_chooses_file_seed_and_clock(tmp_path):
    done = in_folder(tmp_path, "pass")
    assert "1 passed" in done.stdout
    scenario = (ROOT / "pytest_estate645.py").read_text("utf-8").split('SMALL_ESTATE = """\\\n')[1].split('"""')[0]
    (tmp_path / "mine.toml").write_text(scenario.replace("bus-1", "hall"))
    (tmp_path / "test_x.py").write_text(
        "import pytest\n"
        "@pytest.mark.estate645('mine.toml', seed=9, factor=60, world_start='2026-10-13T09:05:00+08:00')\n"
        "def test_marked(estate645_estate):\n"
        "    assert list(estate645_estate.ports) == ['hall']\n"
        "    assert estate645_estate.now.date().isoformat() == '2026-10-13'\n"
        "def test_several(estate645_start, estate645_scenario):\n"
        "    one, two = (estate645_start(estate645_scenario, seed=seed) for seed in (1, 2))\n"
        "    assert one.ports['bus-1'] != two.ports['bus-1']\n"
    )
    done = run(tmp_path)
    assert "2 passed" in done.stdout, done.stdout
