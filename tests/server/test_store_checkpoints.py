"""What commits leave in SQLite's log is copied into the file beside the writer, and no answer waits for it."""

import time
from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from server.errors import StorageUnavailable
from server.store import checkpoints
from server.store.checkpoints import PAGES_LEAST, Checkpoints, beside
from server.store.engine import LOG_PAGES_MAX, WAL_RESET_FIXED
from server.store.unit import Unit
from server.store.writer import Writer

WAIT_S = 10
PAGES = 1_200  # one row each: more than PAGES_LEAST


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PAUSE_S", 0.01)


def left(engine: Engine) -> int:
    """Pages in the log that are not in the file."""
    pooled = engine.raw_connection()
    _, pages, carried = pooled.cursor().execute("PRAGMA wal_checkpoint(NOOP)").fetchone()
    pooled.close()
    return int(pages - carried)


def fill(pages: int) -> Callable[[Unit], object]:
    """A unit that changes about so many pages."""

    def work(unit: Unit) -> None:
        unit.connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS big (text TEXT)")
        unit.connection.exec_driver_sql("INSERT INTO big VALUES (?)", [("x" * 3_500,)] * pages)

    return work


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_commit_leaves_its_pages_in_the_log_and_a_thread_copies_them(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    copying = Checkpoints._carry
    monkeypatch.setattr(Checkpoints, "_carry", lambda self: None)
    writer = Writer(sqlite_engine)
    try:
        writer.run(fill(PAGES))
        assert left(sqlite_engine) > PAGES  # by itself SQLite would have copied them before the answer
        monkeypatch.setattr(Checkpoints, "_carry", copying)
        writer.run(fill(1))
        until(lambda: left(sqlite_engine) < PAGES_LEAST)
        writer.run(fill(1))
        time.sleep(0.1)
        assert left(sqlite_engine) > 0  # so few are not worth two syncs
    finally:
        writer.stop()


def test_the_log_is_bounded_where_nobody_copies_it(sqlite_engine: Engine) -> None:
    pooled = sqlite_engine.raw_connection()
    assert pooled.cursor().execute("PRAGMA wal_autocheckpoint").fetchone() == (LOG_PAGES_MAX,)
    pooled.close()


def test_a_library_that_bears_one_copier_only_copies_in_its_commits(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pysqlite3.sqlite_version_info", (*WAL_RESET_FIXED[:2], WAL_RESET_FIXED[2] - 1))
    assert beside(sqlite_engine) is None


def test_a_failure_is_told_and_what_is_left_is_copied_later(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect, failures = sqlite_engine.raw_connection, [StorageUnavailable("the file is gone")]

    def fails_once() -> object:
        if failures:
            raise failures.pop()
        return connect()

    writer = Writer(sqlite_engine)
    try:
        writer.run(fill(1))
        monkeypatch.setattr(sqlite_engine, "raw_connection", fails_once)
        writer.run(fill(PAGES))
        until(lambda: not failures)
        writer.run(fill(1))
        until(lambda: left(sqlite_engine) < PAGES_LEAST)
    finally:
        writer.stop()
    assert "the file is gone" in caplog.text


def test_who_stops_it_between_two_looks_does_not_wait_forever(
    sqlite_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Checkpoints(sqlite_engine)
    clear = one._committed.clear

    def cleared_after_the_stop() -> None:
        one._stopping.set()
        one._committed.set()
        clear()

    monkeypatch.setattr(one._committed, "clear", cleared_after_the_stop)
    one.wake()
    one._thread.join(WAIT_S)
    assert not one._thread.is_alive()
