"""The big tables by months on PostgreSQL: added ahead, kept exact, and what was there before stays where it is."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from server.cli import checkup
from server.clock import Clock, Now
from server.flows.ledger import seal_batches
from server.flows.verification import verify
from server.jobs.months import AHEAD, MonthsJob
from server.store.append_only import create_triggers, unguarded
from server.store.copying import copy_in, copy_out
from server.store.engine import begin_writing, open_engine, reader
from server.store.migrations.versions import m0011_months as migration
from server.store.months import KINDS, add_months, begin_of, month_of, parts, waiting
from server.store.schema import APPEND_ONLY, line, metadata
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, post_topup, read, reading, rows, top_up
from tests.server.conftest import create_database, next_name
from tests.server.estates import ESTATE, MACHINE_MS, START_S, account_id, at, plant

pytestmark = pytest.mark.postgres
DAY = 24 * HOUR
READ, BOOKED = month_of(START_S), month_of(MACHINE_MS // 1000)


@pytest.fixture
def engine(postgres_folder: str) -> Iterator[Engine]:
    """PostgreSQL alone knows months."""
    engine = open_engine(create_database(postgres_folder, next_name("months"), "template_estate645"))
    yield engine
    engine.dispose()


def add(engine: Engine, kind: str, *months: int) -> list[str]:
    with begin_writing(engine) as connection, connection.begin():
        return list(add_months(connection, kind, months).values())


def held(engine: Engine, table: str) -> dict[str, int]:
    """How many rows lie in each partition that has any."""
    with reader(engine) as connection:
        found = connection.exec_driver_sql(f"SELECT tableoid::regclass::text FROM {table}")
        return dict(Counter(found.scalars()))


def live(writer: Writer, days: int) -> None:
    """Two households that are read, charged and pay every ten days; the machine's time goes along."""
    plant(writer)
    for day in range(10, days + 1, 10):
        now = at(day * DAY)
        read(writer, reading(1, day * DAY, 1_000_000 + 900 * day), reading(2, day * DAY, 1_000_000 + 90 * day))
        charge(writer, day * DAY)
        writer.run(
            lambda unit, now=now, day=day: post_topup(
                unit, ESTATE, account_id(1), 100,
                provider="cash", idem_key=f"key-{day}", event_at=now.world_s, actor="test", now=now,
            )
        )  # fmt: skip
    writer.run(lambda unit: seal_batches(unit, ESTATE, at(days * DAY)))


def test_rows_lie_in_the_months_of_their_time_and_verify_reads_across(engine: Engine, writer: Writer) -> None:
    assert add(engine, "reading", READ, READ + 1, READ + 2) == ["added"] * 3
    assert add(engine, "line", BOOKED, BOOKED + 1, BOOKED + 2) == ["added"] * 3
    assert add(engine, "line", BOOKED) == ["there"]
    live(writer, 60)
    assert held(engine, "reading") == {"reading_2026_10": 2, "reading_2026_11": 6, "reading_2026_12": 4}
    assert sorted(held(engine, "line")) == ["line_2023_11", "line_2023_12", "line_2024_01"]
    assert (agrees(engine).lines, agrees(engine).unsealed) == (len(rows(engine, "line")), 0)


def test_what_came_before_its_month_is_moved_when_the_month_is_added(engine: Engine, writer: Writer) -> None:
    live(writer, 60)
    assert list(held(engine, "line")) == ["line_rest"]
    before = rows(engine, "line"), rows(engine, "reading")
    assert add(engine, "line", BOOKED, BOOKED + 1) == add(engine, "reading", READ, READ + 2) == ["added"] * 2
    assert sorted(held(engine, "line")) == ["line_2023_11", "line_2023_12", "line_rest"]
    assert sorted(held(engine, "reading")) == ["reading_2026_10", "reading_2026_12", "reading_rest"]
    for was, now in zip(before, (rows(engine, "line"), rows(engine, "reading")), strict=True):
        assert sorted(map(repr, was)) == sorted(map(repr, now))
    assert agrees(engine).unsealed == 0


def test_a_month_of_a_table_is_append_only_and_verify_looks_at_its_trigger(engine: Engine, writer: Writer) -> None:
    add(engine, "line", BOOKED)
    plant(writer)
    for statement in ("UPDATE {} SET amount_fen = 1", "DELETE FROM {}", "TRUNCATE {}"):
        for table in ("line", "line_2023_11", "line_rest"):
            with pytest.raises(Exception, match="append-only"), engine.begin() as connection:
                connection.exec_driver_sql(statement.format(table))
    with begin_writing(engine) as connection, connection.begin():
        connection.exec_driver_sql("DROP TRIGGER line_2023_11_append_only ON line_2023_11")
    with reader(engine) as connection:
        assert unguarded(connection, APPEND_ONLY) == ["line_2023_11"]
        assert [one.subject for one in verify(connection, ESTATE).mismatches] == ["table line_2023_11"]


def test_a_key_that_is_used_twice_is_refused_within_a_month_and_found_across_months(
    engine: Engine, writer: Writer
) -> None:
    add(engine, "line", BOOKED, BOOKED + 1)
    plant(writer)
    own = next(one for one in rows(engine, "line") if one["account_id"] == account_id(1))
    columns = ", ".join(line.c.keys())
    again = (
        f"INSERT INTO line ({columns}, booked_ms) "
        f"SELECT {columns.replace('line_no', '{}')}, {{}} FROM line WHERE account_id = '{account_id(1)}'"
    )
    for number in (own["line_no"], 77):  # the line itself, and its account's version under another number
        with pytest.raises(Exception, match="duplicate key"), engine.begin() as connection:
            connection.exec_driver_sql(again.format(number, MACHINE_MS))
    with engine.begin() as connection:
        connection.exec_driver_sql(again.format(77, begin_of(BOOKED + 1) * 1000))
    with reader(engine) as connection:
        found = {one.invariant for one in verify(connection, ESTATE).mismatches}
    assert {1, 2, 7} <= found


def test_the_job_adds_this_month_and_the_next_ones(engine: Engine, writer: Writer, monkeypatch) -> None:
    clock = Clock()
    monkeypatch.setattr(clock, "now", lambda: Now(START_S, MACHINE_MS))
    job = MonthsJob(engine, writer, clock)
    job.run_once()
    job.run_once()
    with reader(engine) as connection:
        own = [name for name, _ in parts(connection) if not name.endswith("_rest")]
    assert own == sorted(own)
    assert own == ["line_2023_11", "line_2023_12", "line_2024_01", "reading_2026_10", "reading_2026_11",
                   "reading_2026_12"]  # fmt: skip
    assert len(own) == len(KINDS) * (AHEAD + 1)


def test_who_reads_is_not_waited_for(engine: Engine, writer: Writer) -> None:
    """The writer must not stand still behind somebody who reads for long: the month is added another time."""
    plant(writer)
    with reader(engine) as connection:
        connection.exec_driver_sql("SELECT count(*) FROM line").scalar_one()
        assert writer.run(lambda unit: add_months(unit.connection, "line", [BOOKED])) == {BOOKED: "busy"}
        top_up(writer, 1, 100, "nobody waits")
    assert writer.run(lambda unit: add_months(unit.connection, "line", [BOOKED])) == {BOOKED: "added"}
    agrees(engine)


def test_doctor_says_that_rows_wait_for_their_month(engine: Engine, writer: Writer) -> None:
    def said() -> list[tuple[str, str]]:
        with reader(engine) as connection:
            return [(one.state, one.en) for one in checkup.months(waiting(connection))]

    assert said() == [("ok", "every line and reading lies in its month")]
    plant(writer)
    assert [state for state, _ in said()] == ["warning"]
    assert "rows wait in line_rest" in said()[0][1]
    add(engine, "line", BOOKED)
    assert said()[0][0] == "ok"


def test_other_tables_have_no_months(engine: Engine) -> None:
    with pytest.raises(Exception, match="only line and reading"):
        add(engine, "payment", BOOKED)


def made_plain(connection: Connection) -> None:
    """The tables as they were before there were months."""
    for table, key in (("line", "batch_seq, line_no"), ("reading", "read_at, meter_id")):
        columns = ", ".join(metadata.tables[table].c.keys())
        for statement in (
            f"CREATE TABLE plain (LIKE {table} INCLUDING DEFAULTS)",
            f"INSERT INTO plain ({columns}) SELECT {columns} FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE plain RENAME TO {table}",
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY (estate_id, {key})",
        ):
            connection.exec_driver_sql(statement)
    connection.exec_driver_sql("ALTER TABLE line DROP COLUMN booked_ms")
    connection.exec_driver_sql(
        "ALTER TABLE line ADD CONSTRAINT line_account_version UNIQUE (estate_id, account_id, account_version)"
    )
    connection.exec_driver_sql("CREATE INDEX reading_meter ON reading (estate_id, meter_id, read_at)")
    create_triggers(connection, ["line"])


@pytest.mark.parametrize("lived", [True, False])
def test_a_database_from_before_there_were_months(engine: Engine, writer: Writer, lived: bool) -> None:
    if lived:
        live(writer, 20)
        with begin_writing(engine) as connection, connection.begin():  # a reading of a clock that ran away
            columns = ", ".join(metadata.tables["reading"].c.keys())
            connection.exec_driver_sql(
                f"INSERT INTO reading ({columns}) SELECT {columns.replace('read_at', '9999999999')} "
                "FROM reading ORDER BY read_at LIMIT 1"
            )
    was = {name: sorted(map(repr, rows(engine, name))) for name in KINDS}
    with begin_writing(engine) as connection, connection.begin():
        made_plain(connection)
    with begin_writing(engine) as connection, connection.begin():
        for statements in (migration.LINES, migration.READINGS):
            connection.exec_driver_sql(statements, execution_options={"no_parameters": True})
    assert {name: sorted(map(repr, rows(engine, name))) for name in KINDS} == was
    if not lived:
        with reader(engine) as connection:
            assert [name for name, _ in parts(connection)] == ["line_rest", "reading_rest"]
        return
    assert list(held(engine, "line")) == ["line_before"]
    assert {"reading_rest"} <= set(held(engine, "reading")) <= {"reading_before", "reading_rest"}
    assert add(engine, "line", BOOKED, BOOKED + 1) == ["added", "added"]
    top_up(writer, 1, 100, "after")
    assert sorted(held(engine, "line")) == ["line_2023_11", "line_before"]
    agrees(engine)


def test_a_backup_of_sqlite_comes_into_the_months_of_its_rows(engine: Engine, sqlite_engine: Engine, tmp_path) -> None:
    writer = Writer(sqlite_engine)
    live(writer, 60)
    writer.stop()
    copy_out(sqlite_engine, tmp_path / "backup")
    copy_in(tmp_path / "backup", engine, lambda _connection: None)
    assert sorted(held(engine, "line")) == ["line_2023_11", "line_2023_12", "line_2024_01"]
    assert sorted(held(engine, "reading")) == ["reading_2026_10", "reading_2026_11", "reading_2026_12"]
    assert agrees(engine).lines == agrees(sqlite_engine).lines
