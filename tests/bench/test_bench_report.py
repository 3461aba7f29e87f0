"""The bench's document and exit status: what a reader of the JSON and a CI job rely on."""

import errno
import importlib
import io
import json
import sys
import time

import pytest

from bench import deduct_context
from bench.__main__ import main
from bench.deduct import batch
from bench.deduct_engines import ENGINES
from bench.machine import Load, LoadMeter, describe
from bench.report import (
    EXIT_FAILED,
    EXIT_MISSED,
    EXIT_OK,
    Peer,
    Result,
    cpu_seconds,
    document,
    interleave,
    publish,
    spread,
    table,
)

KEYS = {"name", "value", "unit", "peer", "ratio", "spread", "floor", "goal", "void"}


def result(**changes):
    return Result(
        **{"name": "x", "value": 2.0, "unit": "ns", "peer": Peer("y", 9.0), "ratio": 4.5, "floor": 4.0, **changes}
    )


def test_the_document_has_the_agreed_shape():
    document_of = document("deduct", [result()], [Load(0.01, 0.5), Load(0.02, 0.1)])
    assert set(document_of) == {"bench", "machine", "results"}
    assert set(document_of["results"][0]) == KEYS
    assert document_of["results"][0]["peer"] == {"name": "y", "value": 9.0}
    assert (document_of["machine"]["steal_cores"], document_of["machine"]["foreign_cores"]) == (0.02, 0.5)
    assert set(describe()) < set(document_of["machine"])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, EXIT_OK),
        ({"ratio": 4.0}, EXIT_OK),
        ({"ratio": 3.99}, EXIT_MISSED),
        ({"ratio": 3.99, "void": True}, EXIT_OK),
        ({"ratio": 3.99, "floor": None}, EXIT_OK),
    ],
)
def test_a_missed_floor_fails_unless_the_machine_was_not_ours(changes, status):
    assert publish("x", [result(), result(**changes)], [], None) == status


def test_standard_output_is_only_the_document(capsys):
    publish("x", [result(ratio=1.0)], [], "-")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["results"][0]["ratio"] == 1.0
    assert "MISSED" in printed.err


def test_the_document_goes_to_a_file(tmp_path, capsys):
    publish("x", [result()], [], str(tmp_path / "x.json"))
    assert json.loads((tmp_path / "x.json").read_text("utf-8"))["bench"] == "x"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("bench", "peer"), [("crc", "fastcrc"), ("codec", "dlt645"), ("codec", "dlt645.protocol")])
def test_a_bench_without_its_peer_says_what_to_install(bench, peer, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, f"bench.{bench}", raising=False)
    for loaded in [name for name in sys.modules if name.startswith(f"{peer}.")]:
        monkeypatch.setitem(sys.modules, loaded, None)
    monkeypatch.setitem(sys.modules, peer, None)
    assert main([bench, "--quick", "--json", "-"]) == EXIT_FAILED
    printed = capsys.readouterr()
    assert 'pip install -e ".[bench]"' in printed.err
    assert peer.partition(".")[0] in printed.err
    assert printed.out == ""


@pytest.mark.parametrize(("name", "package"), [("pandas", "pandas"), ("DuckDB", "duckdb"), ("polars", "polars")])
def test_an_absent_context_engine_is_left_out_and_named(name, package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(deduct_context, "ENGINES", {one: ENGINES[one] for one in (name, "SQLite")})
    monkeypatch.setattr(deduct_context, "REPETITIONS", 1)
    results, _ = deduct_context._engines(lambda meters: batch(meters, 1), 200)
    assert [(one.name, one.peer.name) for one in results] == [("deduct, 200 meters, context, SQLite", "SQLite")]
    assert f"no {name}: " in capsys.readouterr().err


def test_a_full_device_ends_a_bench_without_a_traceback(monkeypatch, capsys):
    class Quick:
        def run(self, *, quick):
            return [result()], []

    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(importlib, "import_module", lambda name: Quick())
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(["crc", "--json", "-"]) == EXIT_FAILED
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("target", [".", "nowhere/x.json"])
def test_a_place_that_cannot_take_the_document_is_refused_before_measuring(target, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["deduct", "--quick", "--json", str(tmp_path / target)])
    assert refused.value.code == 2
    assert "directory" in capsys.readouterr().err


def test_load_of_others_makes_a_run_void():
    assert Load(0.06, 0.05).void
    assert not Load(0.05, 0.05).void
    assert not Load(None, None).void


def test_our_own_work_is_not_foreign():
    with LoadMeter() as meter:
        sum(range(3_000_000))
    load = meter.load
    assert load.steal_cores is None or load.steal_cores >= 0
    assert load.foreign_cores is None or load.foreign_cores >= 0


def test_candidates_take_turns():
    order = []
    samples = interleave({name: lambda name=name: order.append(name) or 1.0 for name in "ab"}, 2, "x")
    assert order == ["a", "b", "a", "b"]
    assert samples == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_spread_is_relative_and_ignores_one_outlier():
    assert spread([10.0, 10.0, 10.0]) == 0
    assert spread([9.0, 10.0, 11.0]) == pytest.approx(0.2)
    assert spread([10.0] * 9 + [1000.0]) == 0


def test_the_table_names_what_is_void():
    assert "void" in table("x", [result(void=True)])


def test_an_unknown_bench_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["nothing"])
    assert stopped.value.code == 2
    assert "deduct" in capsys.readouterr().err


def test_waiting_is_no_computing():
    assert cpu_seconds(lambda: time.sleep(0.2)) < 0.1
    assert cpu_seconds(lambda: sum(range(1_000_000))) > 0.001
