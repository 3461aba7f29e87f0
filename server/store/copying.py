"""Backups: one SQLite file with every table, whichever database the estate lives in, made while the server runs.

From SQLite it is the library's own online backup: pages, with the writer going on. From PostgreSQL it is every row of
one snapshot, copied into the same tables. All columns are int64 or text, so nothing is lost on the way, either way,
and a backup is itself a database that `verify` can check.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pysqlite3
from sqlalchemy import Connection, Engine, func, select

from server.errors import ConfigError, Conflict, StorageUnavailable
from server.store.bulk import insert_lines, insert_rows
from server.store.engine import begin_writing, open_engine, reader, upgrade
from server.store.months import add_months_of
from server.store.schema import estate, line, metadata

PAGES_AT_ONCE = 256  # then the writer may go on
ROWS_AT_ONCE = 5_000
OWNER_ONLY = 0o600  # a backup holds phone numbers and secrets


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file to write that gets its name only when it is complete and durable; Conflict when the name is taken."""
    if path.exists():
        raise Conflict(f"{path} exists already; a backup is never written over, name another file")
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
        yield part
        _sync(part)
        part.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise StorageUnavailable(
            f"{path} cannot be written ({error.strerror}); look for room and permissions"
        ) from error
    finally:
        for left in (part, part.with_name(f"{part.name}-wal"), part.with_name(f"{part.name}-shm")):
            left.unlink(missing_ok=True)


@contextmanager
def own_room() -> Iterator[Path]:
    """A file of our own for a copy, readable by nobody else."""
    with tempfile.TemporaryDirectory(prefix="estate645-copy-") as folder:
        yield Path(folder) / "copy.db"


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def copy_out(engine: Engine, target: Path) -> None:
    """Everything that is committed now, into the empty file `target`."""
    if engine.dialect.name == "sqlite":
        _copy_pages(Path(str(engine.url.database)), target)
        return
    into = open_engine(f"sqlite:///{target}")
    try:
        upgrade(into)
        with reader(engine) as source, begin_writing(into) as connection, connection.begin():
            _same_revision(source, connection)
            copy_rows(source, connection)
    finally:
        into.dispose()
    _one_file(target)


def copy_in(backup: Path, engine: Engine, check: Any) -> None:
    """The rows of a backup into the empty database of `engine`; `check(connection)` runs before the commit."""
    source_engine = open_engine(f"sqlite:///{backup}")
    try:
        upgrade(engine)
        with reader(source_engine) as source, begin_writing(engine) as connection, connection.begin():
            _same_revision(source, connection)
            if connection.execute(select(func.count()).select_from(estate)).scalar_one():
                raise Conflict("the database holds an estate already; restore into an empty one")
            add_months_of(source, connection)
            copy_rows(source, connection)
            check(connection)
    finally:
        source_engine.dispose()


def copy_rows(source: Connection, target: Connection) -> None:
    """All rows of all tables, parents first."""
    for table in sorted(metadata.sorted_tables, key=lambda one: one is line):  # lines are kept by when their batch was
        names = [column.name for column in table.columns]
        found = source.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table))
        for rows in found.partitions():
            if table is line:
                insert_lines(target, names, [tuple(row) for row in rows])
            else:
                insert_rows(target, table, names, [tuple(row) for row in rows])


def _same_revision(source: Connection, target: Connection) -> None:
    revisions = [one.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() for one in (source, target)]
    if revisions[0] != revisions[1]:
        raise ConfigError(
            f"the database is of revision {revisions[0]}, this program writes {revisions[1]}; use the release that "
            "wrote it, or bring it to this one first: estate645 migrate"
        )


def _copy_pages(source: Path, target: Path) -> None:
    try:
        opened, into = pysqlite3.connect(f"file:{source}?mode=ro", uri=True), pysqlite3.connect(str(target))
        try:
            opened.backup(into, pages=PAGES_AT_ONCE, sleep=0)
        finally:
            opened.close()
            into.close()
    except pysqlite3.Error as error:
        raise StorageUnavailable(f"{source} cannot be copied ({error}); check that it is a whole database") from error
    _one_file(target)


def _one_file(path: Path) -> None:
    """Leave no journal beside the file: all of it is in the file itself."""
    connection = pysqlite3.connect(str(path), isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()
