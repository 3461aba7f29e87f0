"""The collect bench: a real collector on ptys, durable rows counted, within the limit of the wire."""

import json
import subprocess
import sys

import pytest

from bench import collect
from bench.collect import Kept
from bench.head_end import Neighbourhood, import_estate
from bench.machine import Load
from bench.report import BenchFailed

PLACE = Neighbourhood(buses=2, meters=3)


def kept(at_s, energy=0, status=0, variables=0, failures=0):
    return Kept(at_s, energy, status, variables, failures, collector_s=at_s / 10, simulator_s=at_s / 20)


def test_the_ideal_is_that_of_the_published_table():
    assert round(PLACE.exchange_ms(4), 1) == 70.4
    assert round(PLACE.exchange_ms(collect.ENERGY_BLOCK_BYTES), 1) == 88.8
    assert round(PLACE.exchange_ms(collect.VOLTAGE_BYTES), 1) == 68.1


def test_a_bus_that_is_always_used_has_the_whole_share():
    seconds = PLACE.exchange_ms(20) * 100 / 1000
    assert collect.share(PLACE, kept(5), kept(5 + seconds, energy=200)) == pytest.approx(1.0)
    seconds = sum(PLACE.exchange_ms(size) for size in (2, 3, 3)) * 10 / 1000
    assert collect.share(PLACE, kept(5), kept(5 + seconds, variables=10)) == pytest.approx(0.5)


def test_a_share_below_the_floor_is_a_miss_and_one_above_the_wire_ends_the_bench():
    slow, quick = kept(10, energy=100), kept(10, energy=100_000)
    assert collect._results(PLACE, [kept(0), slow], Load(0.0, 0.0), quick=False)[0].missed
    with pytest.raises(BenchFailed, match="faster than the wire"):
        collect._results(PLACE, [kept(0), quick], Load(0.0, 0.0), quick=False)


def test_cpu_is_told_for_each_durable_answer():
    rows = collect._results(PLACE, [kept(0), kept(10, energy=40, variables=20)], Load(0.0, 0.0), quick=True)
    assert [row.value for row in rows[2:]] == [pytest.approx(10_000), pytest.approx(5_000), pytest.approx(0.15)]


def test_an_estate_that_cannot_be_taken_in_is_reported_with_its_words(tmp_path):
    with pytest.raises(BenchFailed, match=r"not taken in:\n(.|\n)*unknown table"):
        import_estate("[nothing]\n", tmp_path)


def test_a_quick_run_stays_within_the_limit_of_the_wire_and_keeps_rows():
    command = [sys.executable, "-m", "bench", "collect", "--quick", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    share, readings, collector, *_ = document["results"]
    assert document["bench"] == "collect"
    assert share["name"].startswith("4 buses at 9600 baud 8E1")
    assert 0 < share["ratio"] <= 1.5, "two seconds have an edge of one batch"
    assert readings["value"] > 0
    assert collector["unit"] == "us"
