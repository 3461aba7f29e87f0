"""The bus bench: real processes over ptys, within the limit of the wire, and nothing left behind."""

import json
import os
import subprocess
import sys

import pytest

from bench import bus, bus_line, bus_many
from bench.machine import Load
from bench.report import BenchFailed


def test_the_ideal_is_that_of_the_published_table():
    assert round(bus.ideal_ms(2400), 1) == 221.7
    assert round(bus.ideal_ms(9600), 1) == 70.4


def test_a_line_faster_than_its_wire_ends_the_bench():
    with pytest.raises(BenchFailed, match="faster than the wire"):
        bus._wire_result(9600, [0.05, 0.05], True, Load(None, None))


def test_the_limit_of_many_lines_is_the_same_as_that_of_one():
    assert [round(row.ideal_ms, 1) for row in bus_many.ROWS] == [70.4, 221.7]


def test_a_client_that_nobody_answers_ends_the_bench(monkeypatch):
    monkeypatch.setattr(bus_many, "SILENCE_S", 0.1)
    master, slave = os.openpty()
    client = bus_many.Client([os.ttyname(slave)], [[b"?"]], 1)
    try:
        with pytest.raises(BenchFailed, match="nothing answers"):
            client.cycle_s(0, 5)
    finally:
        client.close()
        os.close(master)
        os.close(slave)


def test_a_simulator_that_does_not_start_is_reported_with_its_words(tmp_path):
    with (
        pytest.raises(BenchFailed, match=r"did not start:\n(.|\n)*estate"),
        bus_line.simulator("[estate]\n", tmp_path),
    ):
        pytest.fail("it must not get here")


def test_the_children_end_with_the_bench(tmp_path):
    with bus_line.echo() as peer:
        os.kill(peer.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(peer.pid, 0)


def test_a_quick_run_stays_within_the_limit_of_the_wire():
    command = [sys.executable, "-m", "bench", "bus", "--quick", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    wires = [result for result in document["results"] if result["peer"]["name"] == "limit of the wire"]
    *_, many, fast = document["results"]
    assert [result["name"].split(",")[0] for result in wires][2:] == ["6 buses at 9600 baud 8E1"]
    assert many["value"] > 0
    assert many["peer"]["name"] == "raw echo over 4 ptys"
    assert document["bench"] == "bus"
    assert all(0 < result["ratio"] <= 1 for result in wires)
    assert fast["value"] > 0
    assert fast["peer"]["name"] == "raw echo over a pty"
