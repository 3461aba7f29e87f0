"""Where a run writes: what could not be written at the end is refused at the start, and pipes stay what they are."""

import json
import os
import stat
import threading

import pytest

from sim.__main__ import main
from sim.control.announce import Announcement, write_lines
from sim.errors import PortError
from sim.virtual import VirtualRun

SCENARIO = """\
[estate]
id = "cuihu"
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


@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "estate.toml"
    path.write_text(SCENARIO)
    return path


@pytest.mark.parametrize("option", ["--labels", "--truth-out", "--truth-export"])
@pytest.mark.parametrize(("place", "why"), [("no/file", "No such file or directory"), (".", "Is a directory")])
def test_a_place_that_cannot_be_written_is_refused_before_the_run(scenario, monkeypatch, capsys, option, place, why):
    monkeypatch.setattr(VirtualRun, "run", lambda *_: pytest.fail("lived through the days for nothing"))
    path = scenario.parent / place
    assert main([str(scenario), "--speed", "max", "--days", "1", option, str(path)]) == 2
    assert capsys.readouterr().err == f"estate645-sim: {path}: cannot be written: {why}\n"


def test_a_place_of_others_is_refused_before_the_run(scenario, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda place, _mode: place != scenario.parent)
    assert main([str(scenario), "--speed", "max", "--days", "1", "--labels", str(scenario.parent / "labels")]) == 2
    assert capsys.readouterr().err.endswith("labels: cannot be written: Permission denied\n")


def test_a_pipe_is_written_into_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    write_lines(pipe, ["a", "b"])
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    reader.join(5)
    assert read == ["a\nb\n"]


def test_a_ready_file_takes_the_place_of_a_file_only(tmp_path):
    pipe, old = tmp_path / "pipe", tmp_path / "old"
    os.mkfifo(pipe)
    with pytest.raises(PortError, match="it is no file"):
        Announcement(pipe, None)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    old.write_text("of a killed one")
    Announcement(old, None).ready({"pid": 1})
    assert json.loads(old.read_text()) == {"pid": 1}
