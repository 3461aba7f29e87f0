"""Migrations: an empty database becomes the schema, on both databases, and what cannot be written says so."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from server.errors import ConfigError, StorageUnavailable
from server.store.append_only import unguarded
from server.store.engine import open_engine, reader, upgrade, wal_reset_warning
from server.store.months import parts
from server.store.schema import APPEND_ONLY, metadata
from tests.server.conftest import create_database, next_name

ONLY_BY_MONTHS = {"booked_ms", "line_account_version"}  # of PostgreSQL: each month has that key for itself


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index line_account_version")
def test_an_empty_database_becomes_the_schema(empty_url: str) -> None:
    engine = open_engine(empty_url)
    upgrade(engine)
    upgrade(engine)  # the second time there is nothing to do
    with engine.connect() as connection:
        own = {part for part, _ in parts(connection)}
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_server_default": engine.dialect.name != "sqlite",
                "include_object": lambda thing, name, kind, *_: name not in own | ONLY_BY_MONTHS,
            },
        )
        assert compare_metadata(context, metadata) == []
        assert unguarded(connection, APPEND_ONLY) == []
        checks = {name: inspect(connection).get_check_constraints(name) for name in metadata.tables}
    assert sorted(str(check["name"]) for found in checks.values() for check in found) == [
        "account_residue", "estate_command_ttl", "estate_mode", "order_amount", "recharge_amount", "refund_amount",
    ]  # fmt: skip
    engine.dispose()


def test_every_table_is_strict_on_sqlite_and_the_file_is_durable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'x.db'}")
    upgrade(engine)
    with engine.connect() as connection:
        strict = dict(connection.exec_driver_sql("SELECT name, strict FROM pragma_table_list").all())
        assert {name for name in metadata.tables if not strict[name]} == set()
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_reader_sees_one_state_and_cannot_write(database_url: str) -> None:
    engine = open_engine(database_url)
    insert = "INSERT INTO estate (estate_id, name, time_zone) VALUES ('{}', 'n', 'UTC')"
    with reader(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM estate").scalar() == 0
        with engine.connect() as other, other.begin():
            other.exec_driver_sql(insert.format("a"))
        assert connection.exec_driver_sql("SELECT count(*) FROM estate").scalar() == 0
        with pytest.raises(Exception, match=r"readonly|read-only"):
            connection.exec_driver_sql(insert.format("b"))
        connection.rollback()
    with engine.connect() as other, other.begin():
        other.exec_driver_sql(insert.format("c"))
    engine.dispose()


@pytest.mark.parametrize("kind", ["missing folder", "a folder", "no database"])
def test_a_database_that_cannot_be_written_says_so(tmp_path: Path, kind: str) -> None:
    path = {"missing folder": tmp_path / "no" / "x.db", "a folder": tmp_path, "no database": tmp_path / "x.db"}[kind]
    if kind == "no database":
        path.write_text("this is no database, but long enough to be taken for one at first sight" * 20)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StorageUnavailable, match=str(path)):
        upgrade(engine)
    engine.dispose()


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite://", "sqlite:///:memory:", "nonsense"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigError, match="sqlite:///FILE or postgresql"):
        open_engine(url)


@pytest.mark.parametrize(
    ("version", "affected"),
    [((3, 40, 1), True), ((3, 44, 6), False), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False)],
)
def test_a_library_with_the_wal_reset_bug_is_named(version: tuple[int, ...], affected: bool) -> None:
    warning = wal_reset_warning(version)
    assert (warning is not None) == affected
    if warning:
        assert "3.51.3" in warning


@pytest.mark.postgres
def test_rows_that_change_all_the_time_have_room_for_it(postgres_folder: str) -> None:
    engine = open_engine(create_database(postgres_folder, next_name("room"), "template_estate645"))
    with engine.connect() as connection, connection.begin():
        for table, key, changing in (
            ("account", "account_id, kind", "balance_fen"),
            ("meter_cursor", "meter_id, install_no, tier_period_start, total_wh", "read_at"),
            ("meter_live", "meter_id", "reading_at"),
        ):
            filled = ", n" * key.count(",")
            for statement in (
                (
                    f"INSERT INTO {table} (estate_id, {key}, {changing}) "
                    f"SELECT 'e', lpad(n::text, 12, '0'){filled}, n FROM generate_series(1, 500) n"
                ),
                f"UPDATE {table} SET {changing} = {changing} + 1",
            ):
                connection.exec_driver_sql(statement)
            hot = connection.exec_driver_sql(f"SELECT pg_stat_get_xact_tuples_hot_updated('{table}'::regclass)")
            assert hot.scalar_one() == 500, table
    engine.dispose()
