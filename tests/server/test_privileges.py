"""The server works as a role that only adds to the journal; changes are refused by privilege, triggers or not."""

import json
import time
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine

from server import __main__, app
from server.__main__ import main
from server.config import Config
from server.errors import StorageUnavailable
from server.flows.ledger import seal_batches
from server.store.engine import begin_writing, open_engine, reader, upgrade
from server.store.privileges import REWRITING, grants, privileges
from server.store.schema import APPEND_ONLY, metadata
from server.store.writer import Writer
from tests.server.books import HOUR, agrees, charge, read, reading, rows, top_up
from tests.server.conftest import create_database, drop_database, next_name
from tests.server.estates import ESTATE, at, plant

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def only_these_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other commands need not be loaded."""
    monkeypatch.setattr(__main__, "COMMANDS", ("migrate", "doctor", "backup"))


@pytest.fixture
def owner_url(postgres_folder: str) -> Iterator[str]:
    """A migrated database whose tables belong to the superuser of the tests."""
    name = next_name("owned")
    yield create_database(postgres_folder, name, "template_estate645")
    drop_database(postgres_folder, name)


@pytest.fixture
def role(postgres_folder: str) -> Iterator[str]:
    """A role that may log in and nothing else; its name has to be quoted."""
    name = next_name("Worker")
    with psycopg.connect(f"host={postgres_folder} user=postgres dbname=postgres", autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{name}" LOGIN')
    return name  # roles go with the session's server


def as_role(url: str, role: str) -> str:
    return url.replace("postgres@", f"{role}@")


@pytest.fixture
def worker(owner_url: str, role: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Engine]:
    """An engine of the role after `estate645 migrate --role`."""
    assert main(["migrate", "--database", owner_url, "--role", role]) == 0
    assert f"role {role} may work, and only add" in capsys.readouterr().out
    engine = open_engine(as_role(owner_url, role))
    yield engine
    engine.dispose()


def said(capsys: pytest.CaptureFixture[str], url: str) -> dict[str, str]:
    """What doctor says of privileges."""
    main(["doctor", "--database", url, "--json"])
    return next(one for one in json.loads(capsys.readouterr().out) if one["subject"] == "privileges")


def test_the_estate_lives_under_the_working_role(worker: Engine, tmp_path) -> None:
    writer = Writer(worker)
    plant(writer)
    read(writer, reading(1, HOUR, 1_002_000), reading(2, HOUR, 1_000_010))
    charge(writer, HOUR)
    top_up(writer, 1, 100, "key-1")
    writer.run(lambda unit: seal_batches(unit, ESTATE, at()))
    writer.stop()
    assert agrees(worker).sealed > 0
    assert main(["backup", str(tmp_path / "copy"), "--database", str(worker.url)]) == 0


@pytest.mark.parametrize("triggers", ["on", "off"])
def test_no_row_of_the_journal_is_changed_by_the_working_role(owner_url: str, worker: Engine, triggers: str) -> None:
    writer = Writer(worker)
    plant(writer)
    writer.stop()
    owner = open_engine(owner_url)
    with begin_writing(owner) as connection, connection.begin():
        for table in APPEND_ONLY if triggers == "off" else ():
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    before = {name: rows(owner, name) for name in APPEND_ONLY}
    for table in APPEND_ONLY:
        first = next(iter(metadata.tables[table].c.keys()))
        for statement in (f"UPDATE {table} SET {first} = {first}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(Exception, match=f"permission denied for table {table}"), worker.begin() as connection:
                connection.exec_driver_sql(statement)
        with pytest.raises(Exception, match="must be owner"), worker.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    assert {name: rows(owner, name) for name in APPEND_ONLY} == before
    owner.dispose()


def test_doctor_says_whether_it_is_so_and_its_sql_makes_it_so(
    owner_url: str, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = said(capsys, owner_url)
    assert (found["state"], "superuser" in found["en"]) == ("warning", True)
    sql = found["mend_en"].partition(": ")[2].partition("; then let")[0]
    owner = open_engine(owner_url)
    with owner.begin() as connection:
        for statement in sql.split("; "):
            if not statement.startswith("CREATE ROLE"):
                connection.exec_driver_sql(statement.replace("TO estate645_server", f'TO "{role}"')
                                           .replace("FROM estate645_server", f'FROM "{role}"'))  # fmt: skip
    assert said(capsys, as_role(owner_url, role))["state"] == "ok"
    with owner.begin() as connection:
        connection.exec_driver_sql(f'GRANT UPDATE (memo) ON batch TO "{role}"')
    found = said(capsys, as_role(owner_url, role))
    assert (found["state"], found["en"].split(": ")[1]) == (
        "warning", "it has UPDATE on batch; only the triggers stop it",
    )  # fmt: skip
    with owner.begin() as connection:
        connection.exec_driver_sql(f'REVOKE UPDATE (memo) ON batch FROM "{role}"')
        connection.exec_driver_sql(f'REVOKE INSERT ON line FROM "{role}"')
    found = said(capsys, as_role(owner_url, role))
    assert (found["state"], found["en"]) == ("wrong", f"role {role} lacks INSERT on line")
    owner.dispose()


def test_older_tables_are_for_their_owner_to_migrate(postgres_folder: str, role: str) -> None:
    url = create_database(postgres_folder, next_name("older"), "template1")
    engine = open_engine(as_role(url, role))
    with pytest.raises(StorageUnavailable, match="estate645 migrate"):
        upgrade(engine)
    engine.dispose()


def test_a_migration_keeps_the_roles_that_work(owner_url: str, worker: Engine, role: str) -> None:
    """A revision may bring tables: who works already gets what it needs of them."""
    owner = open_engine(owner_url)
    with owner.begin() as connection:
        connection.exec_driver_sql(f'REVOKE ALL ON audit FROM "{role}"')
    assert main(["migrate", "--database", owner_url]) == 0
    with reader(worker) as connection:
        held = privileges(connection)
    assert held is not None
    assert held.separate
    owner.dispose()


@pytest.mark.parametrize("mighty", ["nobody at all", "SUPERUSER"])
def test_a_role_that_could_rewrite_is_refused(
    owner_url: str, role: str, mighty: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if mighty == "SUPERUSER":
        owner = open_engine(owner_url)
        with owner.begin() as connection:
            connection.exec_driver_sql(f'ALTER ROLE "{role}" SUPERUSER')
        owner.dispose()
        assert main(["migrate", "--database", owner_url, "--role", role]) == 2
        assert "may still rewrite the journal" in capsys.readouterr().err
    else:
        assert main(["migrate", "--database", owner_url, "--role", mighty]) == 2
        assert "CREATE ROLE" in capsys.readouterr().err


def test_the_whole_server_runs_as_the_working_role(worker: Engine) -> None:
    writer = Writer(worker)
    plant(writer)
    writer.stop()
    application = app.Application(Config(database_url=worker.url.render_as_string(hide_password=False), collect=False))
    application.start()
    deadline = time.monotonic() + 20
    while not rows(worker, "seal") and time.monotonic() < deadline:
        time.sleep(0.05)
    failing = application.jobs.failing()
    application.stop()
    assert (len(rows(worker, "seal")), failing) == (3, {})


def test_every_table_is_granted_and_only_the_journal_is_kept_from_changes() -> None:
    sql = "; ".join(grants("public", "w"))
    assert {name for name in metadata.tables if f"public.{name}" not in sql} == set()
    changing = next(one for one in grants("public", "w") if "UPDATE" in one)
    assert [table for table in APPEND_ONLY if f"public.{table}," in changing] == []
    assert set(REWRITING) == {"UPDATE", "DELETE", "TRUNCATE"}
