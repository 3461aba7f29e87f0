"""The deduct bench: its candidates agree on every row, and a quick run gives a complete document."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bench.deduct import batch, compare
from bench.deduct_context import _compare
from bench.deduct_engines import ENGINES, RESULTS
from bench.deduct_peers import ROW, by_kernel, grouped
from bench.report import BenchFailed
from core import EVENT_BACKWARDS, EVENT_CLOSE_ALLOWED, EVENT_JUMP, EVENT_TRIP, ROW_BYTES


def test_the_rows_have_the_kernels_layout():
    assert ROW.itemsize == ROW_BYTES


def test_the_batch_exercises_every_kind_of_row():
    columns = batch(20_000, 1)
    by_kernel(columns)
    assert {EVENT_TRIP, EVENT_BACKWARDS, EVENT_JUMP} <= set(columns.event.tolist())
    assert EVENT_CLOSE_ALLOWED in columns.event
    assert np.any(columns.new < columns.prev)


def test_kernel_numpy_and_python_agree():
    compare(batch(20_000, 2), batch(20_000, 2), 20_000)


def test_a_difference_ends_the_bench(monkeypatch):
    monkeypatch.setattr("bench.deduct.by_numpy", lambda columns: by_kernel(columns) or columns.charge.__iadd__(1))
    with pytest.raises(BenchFailed, match="disagree on charge"):
        compare(batch(100, 2), batch(100, 2), 100)


def test_a_quick_run_writes_only_the_document():
    command = [sys.executable, "-m", "bench", "deduct", "--quick", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    document = json.loads(done.stdout)
    assert document["bench"] == "deduct"
    results = document["results"]
    assert len(results) == 4 * len(document["machine"]["isa_available"]) + 1 + len(ENGINES) + 1
    assert {result["floor"] for result in results} == {None}
    assert all(result["ratio"] > 1 for result in results if result["peer"]["name"] != "roofline")


def test_grouped_meters_are_charged_as_the_scattered_ones():
    columns = batch(5_000, 3)
    order = np.argsort(columns.tariff, kind="stable")
    sorted_columns, runs = grouped(columns)
    by_kernel(columns)
    by_kernel(sorted_columns, runs)
    for name in ("charge", "period", "balance", "flags", "event"):
        assert np.array_equal(getattr(columns, name)[order], getattr(sorted_columns, name))


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_disagrees_ends_the_bench(name):
    columns, fresh = batch(3_000, 4), batch(3_000, 4)
    by_kernel(columns)
    expected = {column: getattr(columns, column).copy() for column in RESULTS}
    with ENGINES[name](fresh) as prepared:
        _compare(name, prepared, expected)
        expected["flags"][17] ^= 1
        with pytest.raises(BenchFailed, match=f"kernel and {name} disagree on flags"):
            _compare(name, prepared, expected)
