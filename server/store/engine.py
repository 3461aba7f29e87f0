"""Opening the truth: SQLite through a driver that bundles a current library, or PostgreSQL, by one URL.

SQLite runs in WAL with synchronous=FULL and enforced foreign keys; transactions are begun by us (BEGIN for
readers, BEGIN IMMEDIATE for the writer), never by the driver, and only while the file is still the one that was
opened. A reader connection sees one consistent state and cannot write. `upgrade` brings the schema to the newest
migration. Nothing here knows a table.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pysqlite3
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from server.errors import ConfigError, StorageUnavailable
from server.store import sqlite_library

BUSY_TIMEOUT_MS = 10_000
CACHED_STATEMENTS = 512  # of one SQLite connection: more than there are different queries
CONNECTIONS_MAX = 64  # readers at once; web.reading admits fewer, so that nobody waits for one
WRITER_CACHE_KIB = 262_144  # at most: a page of the journal's index for each of 50,000 accounts, and the rest
LOG_PAGES_MAX = 16_384  # 64 MiB of SQLite's log; a commit that finds so much copies what nobody else has copied yet
BEGIN_OPTION = "estate645_begin"
INSUFFICIENT_PRIVILEGE = "42501"
MIGRATIONS = Path(__file__).parent / "migrations"
# The WAL-reset bug can corrupt a file when two connections checkpoint at one instant (sqlite.org/wal.html).
WAL_RESET_FIXED = (3, 51, 3)
WAL_RESET_BACKPORTS = frozenset({(3, 44, 6), (3, 50, 7)})
WAL_RESET_FIRST = (3, 7, 0)

_log = logging.getLogger(__name__)
_reading: "WeakKeyDictionary[Engine, Engine]" = WeakKeyDictionary()


def open_engine(url: str) -> Engine:
    """Open the database at `url`: `sqlite:///FILE` or `postgresql://...`.

    Connects lazily. ConfigError for a URL of another kind.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"database {url!r} is no URL; use sqlite:///FILE or postgresql://...") from error
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            pool_size=20,
            max_overflow=CONNECTIONS_MAX - 20,
            pool_use_lifo=True,
        )
    if backend != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise ConfigError(f"database {url!r} is not supported; use sqlite:///FILE or postgresql://...")
    warning = wal_reset_warning(pysqlite3.sqlite_version_info)
    if warning:
        _log.warning(warning)
    return _open_sqlite(url)


def wal_reset_warning(version: tuple[int, ...]) -> str | None:
    """What to say about an SQLite library that has the WAL-reset bug; None for a sound one."""
    if not WAL_RESET_FIRST <= version < WAL_RESET_FIXED or version[:3] in WAL_RESET_BACKPORTS:
        return None
    return (
        f"SQLite {'.'.join(map(str, version))} has the WAL-reset bug, which can corrupt the file when two processes "
        "write; let only one process use the database and install a library of 3.51.3 or newer "
        "(pip install -U pysqlite3)"
    )


def _one_may_copy_beside() -> bool:
    """Whether this SQLite library bears checkpoints beside the writer, and can say what there is to copy (3.51)."""
    found: tuple[int, ...] = pysqlite3.sqlite_version_info
    return found >= WAL_RESET_FIXED


def leaves_checkpoints(engine: Engine) -> bool:
    """Whether commits leave it to somebody else to copy the log into the file."""
    return engine.dialect.name == "sqlite" and _one_may_copy_beside()


def _open_sqlite(url: str) -> Engine:
    """Two pools over one file: connections that may write, and those that `reader` gives, which never can.

    The connection used last is taken first, since its statements and pages are still there.
    """
    sqlite_library.prepare()
    same_file = _FileWatch(url.removeprefix("sqlite:///"))
    engine = _sqlite_pool(url, same_file, (f"wal_autocheckpoint={LOG_PAGES_MAX}",) if _one_may_copy_beside() else ())
    reading = _reading[engine] = _sqlite_pool(url, same_file, ("query_only=ON",))
    event.listen(engine, "engine_disposed", lambda _engine: reading.dispose())
    return engine


def _sqlite_pool(url: str, same_file: "_FileWatch", more: Sequence[str]) -> Engine:
    engine = create_engine(
        url,
        module=pysqlite3,
        pool_size=20,
        max_overflow=CONNECTIONS_MAX - 20,
        pool_use_lifo=True,
        connect_args={"check_same_thread": False, "cached_statements": CACHED_STATEMENTS},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-65536",
            "temp_store=MEMORY",
            *more,
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
        same_file.check()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        same_file.check()
        how = connection.get_execution_options().get(BEGIN_OPTION)
        if how is None:
            raw: Any = connection.connection.driver_connection
            raw.execute("BEGIN")  # takes no lock yet, so it cannot fail
        else:
            connection.exec_driver_sql(f"BEGIN {how}")

    return engine


class _FileWatch:
    """Notices that an SQLite file was deleted or replaced: what is written after that reaches nobody any more."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._first: tuple[int, int] | None = None

    def check(self) -> None:
        """StorageUnavailable unless the path still names the file of the first call."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            raise self._gone(error.strerror or "gone") from error
        if (found.st_dev, found.st_ino) != (self._first or (found.st_dev, found.st_ino)):
            raise self._gone("another file has its name now")
        self._first = (found.st_dev, found.st_ino)

    def _gone(self, reason: str) -> StorageUnavailable:
        return StorageUnavailable(
            f"the database file {self._path} was removed under the running server ({reason}); "
            "nothing more is written, read or cut: put it back and start the server again"
        )


@contextmanager
def reader(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one consistent state and refuses writes; StorageUnavailable if there is none."""
    try:
        connection = _reading.get(engine, engine).connect()
        if engine.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    except DBAPIError as error:
        raise unavailable(engine, error) from error
    with connection:
        yield connection


@contextmanager
def same_state(connection: Connection) -> Iterator[Connection]:
    """A connection for another thread that sees what `connection` sees, while that one's transaction lasts.

    On PostgreSQL it is another one, for big reads that come out in order by themselves; on SQLite it is the same,
    whose reads of the journal have a connection of their own each.
    """
    if connection.dialect.name != "postgresql":
        yield connection
        return
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    with connection.engine.connect() as opened:
        other = opened.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        other.exec_driver_sql(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        other.exec_driver_sql("SET LOCAL max_parallel_workers_per_gather = 0")
        yield other


def begin_writing(engine: Engine) -> Connection:
    """A connection whose transactions take the write lock at once (SQLite) and wait for the durable commit."""
    connection = engine.connect().execution_options(**{BEGIN_OPTION: "IMMEDIATE"})
    raw: Any = connection.connection.driver_connection
    if engine.dialect.name == "sqlite":
        raw.execute(f"PRAGMA cache_size=-{WRITER_CACHE_KIB}")
    return connection


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to the newest migration, or to an older one; StorageUnavailable when it cannot be written.

    ConfigError for a database that a newer release has written.
    One transaction: whoever is killed in it leaves the schema and every row as they were.
    """
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    try:
        with engine.connect().execution_options(**{BEGIN_OPTION: "IMMEDIATE"}) as connection:
            config.attributes["connection"] = connection
            with connection.begin():
                command.upgrade(config, revision)
    except CommandError as error:
        where = engine.url.render_as_string(hide_password=True)
        raise ConfigError(
            f"database {where} was written by a newer release ({error}); use that release or a later one"
        ) from error
    except DBAPIError as error:
        if is_forbidden(error):
            where = engine.url.render_as_string(hide_password=True)
            raise StorageUnavailable(
                f"the tables of database {where} are older than this program and this role may not change them "
                f"({str(error.orig).strip()}); as their owner run: estate645 migrate --database URL"
            ) from error
        raise unavailable(engine, error) from error


def is_forbidden(error: DBAPIError) -> bool:
    """Whether PostgreSQL refused for want of a privilege."""
    return getattr(error.orig, "sqlstate", None) == INSUFFICIENT_PRIVILEGE


def unavailable(engine: Engine, error: DBAPIError) -> StorageUnavailable:
    """The error that people see when the database does not do its work."""
    where = engine.url.render_as_string(hide_password=True)
    checks = "that its folder can be written and that the disk has room"
    if is_forbidden(error):
        checks = "what its role may do (estate645 doctor says what is lacking)"
    elif engine.dialect.name == "postgresql":
        checks = "that the server runs and can be reached, and that user and password are right"
    return StorageUnavailable(
        f"database {where} cannot be used ({str(error.orig).strip()}); check that it exists, {checks}"
    )
