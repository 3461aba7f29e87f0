"""All rows of a query as columns of int64, on either database, without a Python object a value.

See `server.store._rows` for what the words of a row are. SQLite is read through a second, read-only connection of the
same library, so a transaction that writes is read through its own connection instead; PostgreSQL answers with a
binary COPY inside the caller's transaction, which nobody else may use meanwhile.
"""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pysqlite3._sqlite3 as driver
from numpy.typing import NDArray
from psycopg.pq import ExecStatus, TransactionStatus
from sqlalchemy import Connection, Select
from sqlalchemy.dialects import postgresql, sqlite

from server.errors import StorageUnavailable
from server.store import _copy
from server.store._rows import FUNCTIONS, Rows, SqliteRows
from server.store.engine import BEGIN_OPTION

Words = NDArray[np.int64]

__all__ = ["Rows", "Words", "all_rows", "file_rows", "named_rows", "rows_within"]

FETCHED_AT_ONCE = 8_192  # rows of the driver that are Python objects at a time


def all_rows(connection: Connection, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """`rows.width` by so many words as there are rows; `expected` is a guess that saves copying.

    StorageUnavailable when the rows cannot be read, or are not what the query should give.
    """
    try:
        if connection.dialect.name == "postgresql":
            return _copied(connection, query, rows, expected)
        if BEGIN_OPTION in connection.get_execution_options():
            return _fetched(connection, query, rows)
        return _stepped(str(connection.engine.url.database), query, rows, expected)
    except (OSError, ValueError, connection.dialect.loaded_dbapi.Error) as error:
        raise StorageUnavailable(f"the journal cannot be read ({error}); check the database") from error


def named_rows(connection: Connection, query: "Select[Any]", rows: Rows) -> tuple[list[str], Words]:
    """The texts of the first column, which do not repeat, and the others as int64 columns; all in memory at once.

    Unlike `all_rows`, SQLite answers within the caller's transaction: for rows that somebody may change meanwhile.
    `rows` know no text yet. StorageUnavailable when they cannot be read.
    """
    words = rows_within(connection, query, rows)
    return [name.decode("utf-8", "replace") for name in rows.names(0)], words[1:-1]


def rows_within(connection: Connection, query: "Select[Any]", rows: Rows) -> Words:
    """All rows as words, read within the caller's transaction on either database; StorageUnavailable as there."""
    try:
        if connection.dialect.name == "postgresql":
            return _copied(connection, query, rows, FETCHED_AT_ONCE)
        return _fetched(connection, query, rows)
    except (ValueError, connection.dialect.loaded_dbapi.Error) as error:
        raise StorageUnavailable(f"the books cannot be read ({error}); check the database") from error


def file_rows(path: Path, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """The same from an SQLite file that is not the database; StorageUnavailable when it cannot be read."""
    try:
        return _stepped(str(path), query, rows, expected)
    except (OSError, ValueError) as error:
        raise StorageUnavailable(f"{path} cannot be read ({error}); take another copy of it") from error


def _stepped(path: str, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    source = SqliteRows(rows, _functions(), path.encode(), text.encode())
    parts = [np.empty((rows.width, expected + 1), np.int64)]
    while (count := source.fill(parts[-1])) == parts[-1].shape[1]:
        parts.append(np.empty((rows.width, FETCHED_AT_ONCE), np.int64))
    return _together(parts, count)


def _together(parts: list[Words], count: int) -> Words:
    """Parts one behind the other, of the last of them only `count` rows."""
    parts[-1] = parts[-1][:, :count]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _fetched(connection: Connection, query: "Select[Any]", rows: Rows) -> Words:
    text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    if not connection.in_transaction():
        connection.begin()
    driver_connection: Any = connection.connection.driver_connection
    cursor, parts = driver_connection.execute(text), [np.empty((rows.width, 0), np.int64)]
    while found := cursor.fetchmany(FETCHED_AT_ONCE):
        parts.append(np.empty((rows.width, len(found)), np.int64))
        rows.fill(found, parts[-1])
    return np.concatenate(parts, axis=1)


def _copied(connection: Connection, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    text = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
    raw: Any = connection.connection.driver_connection
    if raw.info.transaction_status == TransactionStatus.IDLE:
        raw.execute("SELECT")  # begins the transaction, as the driver does
    try:
        return _received(raw.pgconn, text, rows, expected)
    except BaseException:
        connection.invalidate()  # rows may still be on their way
        raise


def _received(pgconn: Any, text: str, rows: Rows, expected: int) -> Words:
    """Rows of a COPY; ValueError with what PostgreSQL says."""
    begun = pgconn.exec_(f"COPY ({text}) TO STDOUT (FORMAT BINARY)".encode())
    if begun.status != ExecStatus.COPY_OUT:
        raise ValueError(begun.error_message.decode("utf-8", "replace").strip())
    source, count = _copy.CopyRows(rows), 0
    parts = [np.empty((rows.width, expected + 1), np.int64)]
    while (count := source.receive(pgconn.pgconn_ptr, _copy_functions(), parts[-1])) == parts[-1].shape[1]:
        parts.append(np.empty((rows.width, FETCHED_AT_ONCE), np.int64))
    while (ended := pgconn.get_result()) is not None:
        if ended.status != ExecStatus.COMMAND_OK:
            raise ValueError(ended.error_message.decode("utf-8", "replace").strip())
    return _together(parts, count)


@cache
def _functions() -> tuple[int, ...]:
    """Addresses of SQLite's functions in the library that the driver uses, so that locks are shared with it."""
    library = ctypes.CDLL(driver.__file__)
    return tuple(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS)


@cache
def _copy_functions() -> tuple[int, ...]:
    """Addresses of libpq's functions, in the library that the driver has linked."""
    library = ctypes.CDLL(sys.modules[psycopg.pq.PGconn.__module__].__file__)
    return tuple(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in _copy.FUNCTIONS)
