"""The writer: units alone or together, answered after the commit, and nothing acknowledged is ever lost."""

import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine, event, select

from server.errors import Conflict, StorageUnavailable
from server.store.direct import Statement, send
from server.store.engine import open_engine, reader
from server.store.schema import audit, estate
from server.store.unit import UNNAMED, Unit
from server.store.writer import Writer

WAIT_S = 30
ROOT = Path(__file__).parents[2]


def add(unit: Unit, name: str) -> str:
    """Insert one estate."""
    unit.connection.execute(estate.insert().values(estate_id=name, name=name, time_zone="UTC"))
    unit.announce("estate", name)
    return name


def names(engine: Engine) -> list[str]:
    """The estates that are durable."""
    with reader(engine) as connection:
        return list(connection.execute(select(estate.c.estate_id).order_by(estate.c.estate_id)).scalars())


@pytest.fixture
def held(writer: Writer) -> Event:
    """Keep the writer busy with one unit until the event is set."""
    release, started = Event(), Event()
    writer.submit(lambda unit: (started.set(), release.wait(WAIT_S)))
    assert started.wait(WAIT_S)
    return release


def test_units_that_wait_share_one_durable_commit(engine: Engine, writer: Writer, held: Event) -> None:
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)
    futures = [writer.submit(lambda unit, n=n: add(unit, f"e{n}")) for n in range(5)]  # type: ignore[misc]
    held.set()
    assert [future.result(WAIT_S) for future in futures] == [f"e{n}" for n in range(5)]
    assert names(engine) == [f"e{n}" for n in range(5)]
    assert len(commits) <= 2


def test_a_failing_unit_is_rolled_back_alone(engine: Engine, writer: Writer, held: Event) -> None:
    def half(unit: Unit) -> None:
        add(unit, "half")
        raise Conflict("no")

    def broken(unit: Unit) -> None:
        add(unit, "broken")
        unit.connection.exec_driver_sql("INSERT INTO no_such_table VALUES (1)")

    futures: list[Future[object]] = [
        writer.submit(lambda unit: add(unit, "a")),
        writer.submit(half),
        writer.submit(broken),
        writer.submit(lambda unit: add(unit, "a")),
        writer.submit(lambda unit: add(unit, "b")),
    ]  # type: ignore[list-item]
    held.set()
    outcomes = [type(future.exception(WAIT_S)).__name__ for future in futures]
    assert outcomes[0] == outcomes[4] == "NoneType"
    assert outcomes[1] == "Conflict"
    assert outcomes[3] == "IntegrityError"
    assert names(engine) == ["a", "b"]


def test_an_alarm_of_a_failed_unit_stays_and_one_that_fails_harms_nobody(engine: Engine, writer: Writer) -> None:
    def tried(unit: Unit) -> None:
        add(unit, "undone")
        unit.alarm(lambda later: add(later, "alarm"))
        unit.alarm(lambda later: add(later, "alarm"))
        unit.alarm(lambda later: add(later, "second"))
        raise Conflict("no")

    def fine(unit: Unit) -> None:
        unit.alarm(lambda later: add(later, "not needed"))

    with pytest.raises(Conflict):
        writer.run(tried)
    writer.run(fine)
    assert names(engine) == ["alarm", "second"]


def test_the_writer_keeps_more_pages_than_a_reader(sqlite_engine: Engine) -> None:
    size = "PRAGMA cache_size"
    with reader(sqlite_engine) as connection:
        few = connection.exec_driver_sql(size).scalar_one()
        writer = Writer(sqlite_engine)
        many = writer.run(lambda unit: unit.connection.exec_driver_sql(size).scalar_one())
        writer.stop()
    assert (few, many) == (-65_536, -262_144), "in KiB"


def test_urgent_units_go_first(writer: Writer, held: Event) -> None:
    order: list[str] = []
    waiting = [
        writer.submit(lambda unit: order.append("ordinary 1")),
        writer.submit(lambda unit: order.append("ordinary 2")),
        writer.submit(lambda unit: order.append("payment"), urgent=True),
    ]
    held.set()
    for future in waiting:
        future.result(WAIT_S)
    assert order == ["payment", "ordinary 1", "ordinary 2"]


def test_announcements_ring_after_the_commit_and_only_then(engine: Engine, writer: Writer) -> None:
    seen: list[tuple[str, str, bool]] = []
    rung = Event()

    def listener(topic: str, key: str) -> None:
        seen.append((topic, key, key in names(engine)))
        if key == "last":
            rung.set()

    def bad(topic: str, key: str) -> None:
        raise RuntimeError(topic)

    def fails(unit: Unit) -> None:
        add(unit, "lost")
        raise Conflict("no")

    writer.subscribe(bad)
    writer.subscribe(listener)
    writer.run(lambda unit: add(unit, "first"))
    with pytest.raises(Conflict):
        writer.run(fails)
    writer.run(lambda unit: add(unit, "last"))
    assert rung.wait(WAIT_S)
    assert seen == [("estate", "first", True), ("estate", "last", True)]


def test_stop_finishes_what_is_queued_and_refuses_more(engine: Engine, database_url: str) -> None:
    writer = Writer(engine)
    futures = [writer.submit(lambda unit, n=n: add(unit, f"e{n}")) for n in range(20)]  # type: ignore[misc]
    writer.stop()
    assert all(future.done() for future in futures)
    assert len(names(engine)) == 20
    with pytest.raises(StorageUnavailable, match="stopped"):
        writer.submit(lambda unit: None)


def test_a_cancelled_unit_is_never_run(engine: Engine, writer: Writer, held: Event) -> None:
    future = writer.submit(lambda unit: add(unit, "cancelled"))
    assert future.cancel()
    held.set()
    writer.run(lambda unit: add(unit, "kept"))
    assert names(engine) == ["kept"]


def test_a_database_that_cannot_be_opened_answers_every_caller(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'missing' / 'estate645.db'}")
    writer = Writer(engine)
    try:
        for _ in range(2):
            with pytest.raises(StorageUnavailable, match="folder can be written"):
                writer.run(lambda unit: add(unit, "x"))
    finally:
        writer.stop()
        engine.dispose()


@pytest.mark.postgres
def test_a_lost_connection_fails_its_group_and_the_next_one_works(postgres_folder: str) -> None:
    from tests.server.conftest import create_database, next_name

    engine = open_engine(create_database(postgres_folder, next_name("lost"), "template_estate645"))
    writer = Writer(engine)

    def cut(unit: Unit) -> None:
        add(unit, "gone")
        unit.connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    try:
        with pytest.raises(StorageUnavailable):
            writer.run(cut)
        assert writer.run(lambda unit: add(unit, "after")) == "after"
        assert names(engine) == ["after"]
    finally:
        writer.stop()
        engine.dispose()


CHILD = """
import sys
from server.store.engine import open_engine
from server.store.schema import audit
from server.store.writer import Writer
writer = Writer(open_engine(sys.argv[1]))
prefix = sys.argv[2]
def note(number):
    row = {"estate_id": "e", "actor": "t", "verb": "v", "subject": "s", "world_at": 0, "created_ms": number}
    return lambda unit: unit.connection.execute(audit.insert().values(audit_id=f"{prefix}-{number}", **row)) and number
waiting = [writer.submit(note(n)) for n in range(32)]
for n in range(32, 10**9):
    print(waiting.pop(0).result(), flush=True)
    waiting.append(writer.submit(note(n)))
"""


def kill_mid_stream(url: str, prefix: str, acknowledged_min: int) -> set[str]:
    """Run a writing process, kill -9 it after some answers; returns what it had been told is durable."""
    command = [sys.executable, "-P", "-c", CHILD, url, prefix]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        answers = [child.stdout.readline() for _ in range(acknowledged_min)]
        child.send_signal(signal.SIGKILL)
        answers += child.stdout.readlines()
    return {f"{prefix}-{answer.strip()}" for answer in answers if answer.endswith("\n")}


def survive(url: str, cycles: int) -> None:
    """Kill and reopen; every acknowledged unit is there."""
    told: set[str] = set()
    for cycle in range(cycles):
        told |= kill_mid_stream(url, f"c{cycle}", 5 + 7 * cycle % 40)
        engine = open_engine(url)
        with reader(engine) as connection:
            durable = set(connection.execute(select(audit.c.audit_id)).scalars())
        engine.dispose()
        assert told - durable == set()
    assert len(told) >= 5 * cycles


def test_kill_9_loses_no_acknowledged_unit(database_url: str) -> None:
    survive(database_url, 10 if database_url.startswith("sqlite") else 3)


@pytest.mark.ci
def test_a_hundred_kills_lose_no_acknowledged_unit(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "killed.db"
    path.write_bytes(sqlite_template.read_bytes())
    survive(f"sqlite:///{path}", 100)


def test_listeners_hear_before_the_caller_is_answered(writer: Writer, held: Event) -> None:
    """Whoever has been answered finds what listeners keep in memory up to date."""
    answered: list[bool] = []
    future = writer.submit(lambda unit: unit.announce("meter", "1"))
    writer.subscribe(lambda _topic, _key: answered.append(future.done()))
    held.set()
    future.result(WAIT_S)
    assert answered == [False]


def test_a_unit_that_changes_rows_and_names_none_is_announced(engine: Engine, writer: Writer) -> None:
    heard: list[str] = []
    writer.subscribe(lambda topic, _key: heard.append(topic))
    row = {"estate_id": "e", "audit_id": "1", "actor": "a", "verb": "v", "subject": "s", "world_at": 1, "created_ms": 1}
    writer.run(lambda unit: unit.connection.execute(audit.insert().values(**row)) and None)
    assert heard == [UNNAMED]
    writer.run(lambda unit: unit.connection.execute(audit.select()).all() and None)
    straight = "INSERT INTO login_failure (place, login, failures, until_ms) VALUES ('p', 'l', 1, 1)"
    writer.run(lambda unit: send(unit.connection, Statement(straight)) and None)
    assert heard == [UNNAMED] * 2
    nothing = estate.update().where(estate.c.name == "-").values(name="x")
    writer.run(lambda unit: unit.connection.execute(nothing) and None)
    assert heard == [UNNAMED] * 2
