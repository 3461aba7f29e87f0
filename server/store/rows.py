"""All rows of a query as columns of int64, on either database, without a Python object a value.

See `server.store._rows` for what the words of a row are. SQLite is read through a second, read-only connection of the
same library, or where only the caller's transaction sees what is asked for, through its own; PostgreSQL answers with a
binary COPY inside the caller's transaction, which nobody else may use meanwhile.
"""

import ctypes
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.pq import ExecStatus, TransactionStatus
from sqlalchemy import Connection, Select
from sqlalchemy.dialects import postgresql, sqlite

from server.errors import StorageUnavailable
from server.store import _copy
from server.store._rows import Rows
from server.store._sqlite import HANDLE, SqliteRows
from server.store.direct import Statement
from server.store.engine import BEGIN_OPTION
from server.store.sqlite_library import functions

Words = NDArray[np.int64]

__all__ = ["Rows", "Words", "all_rows", "file_rows", "named_rows", "rows_within", "statement_rows"]

FETCHED_AT_ONCE = 8_192  # rows for which room is made when there were more than expected


def all_rows(connection: Connection, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """`rows.width` by so many words as there are rows; `expected` is a guess that saves copying.

    StorageUnavailable when the rows cannot be read, or are not what the query should give.
    """
    try:
        if connection.dialect.name == "postgresql":
            return _copied(connection, query, rows, expected)
        if BEGIN_OPTION in connection.get_execution_options():
            return _stepped_within(connection, query, rows, expected)
        return _stepped(str(connection.engine.url.database).encode(), query, rows, expected)
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
        return _stepped_within(connection, query, rows, FETCHED_AT_ONCE)
    except (OSError, ValueError, connection.dialect.loaded_dbapi.Error) as error:
        raise StorageUnavailable(f"the books cannot be read ({error}); check the database") from error


def statement_rows(connection: Connection, statement: Statement, rows: Rows) -> Words:
    """The same for a statement that is put together already (`server.store.direct.Query`)."""
    raw: Any = connection.connection.driver_connection
    try:
        if connection.dialect.name == "postgresql":
            text = psycopg.ClientCursor(raw).mogrify(statement.text, list(statement.parameters))
            return _copied_text(connection, text, rows, FETCHED_AT_ONCE)
        if not connection.in_transaction():
            connection.begin()
        own = SqliteRows(rows, functions(), _handle(raw), statement.text.encode(), statement.parameters)
        return _filled(own, rows, FETCHED_AT_ONCE)
    except (OSError, ValueError, connection.dialect.loaded_dbapi.Error) as error:
        raise StorageUnavailable(f"the books cannot be read ({error}); check the database") from error


def file_rows(path: Path, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """The same from an SQLite file that is not the database; StorageUnavailable when it cannot be read."""
    try:
        return _stepped(str(path).encode(), query, rows, expected)
    except (OSError, ValueError) as error:
        raise StorageUnavailable(f"{path} cannot be read ({error}); take another copy of it") from error


def _stepped(source: bytes | int, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """Rows of a file, or of what the connection of this handle sees."""
    text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    return _filled(SqliteRows(rows, functions(), source, text.encode()), rows, expected)


def _filled(own: SqliteRows, rows: Rows, expected: int) -> Words:
    """All rows of a query."""
    parts = [np.empty((rows.width, expected + 1), np.int64)]
    while (count := own.fill(parts[-1])) == parts[-1].shape[1]:
        parts.append(np.empty((rows.width, FETCHED_AT_ONCE), np.int64))
    return _together(parts, count)


def _stepped_within(connection: Connection, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """Rows of the connection's transaction."""
    if not connection.in_transaction():
        connection.begin()
    return _stepped(_handle(connection.connection.driver_connection), query, rows, expected)


def _handle(driver_connection: Any) -> int:
    found: int = driver_connection.execute(HANDLE).fetchone()[0]
    return found


def _together(parts: list[Words], count: int) -> Words:
    """Parts one behind the other, of the last of them only `count` rows."""
    parts[-1] = parts[-1][:, :count]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _copied(connection: Connection, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    text = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
    return _copied_text(connection, text, rows, expected)


def _copied_text(connection: Connection, text: str, rows: Rows, expected: int) -> Words:
    raw: Any = connection.connection.driver_connection
    if raw.info.transaction_status == TransactionStatus.IDLE:
        raw.execute("SELECT")  # begins the transaction, as the driver does
    try:
        return _received(raw.pgconn, text, rows, expected)
    except _RefusedCopy:
        raise  # nothing is on its way any more: the transaction can be taken back to its savepoint
    except BaseException:
        connection.invalidate()  # rows may still be on their way
        raise


class _RefusedCopy(ValueError):
    """What PostgreSQL says of a COPY that has failed and ended."""


def _received(pgconn: Any, text: str, rows: Rows, expected: int) -> Words:
    """Rows of a COPY."""
    begun = pgconn.exec_(f"COPY ({text}) TO STDOUT (FORMAT BINARY)".encode())
    if begun.status != ExecStatus.COPY_OUT:
        raise _RefusedCopy(begun.error_message.decode("utf-8", "replace").strip())
    source, count = _copy.CopyRows(rows), 0
    parts = [np.empty((rows.width, expected + 1), np.int64)]
    while (count := source.receive(pgconn.pgconn_ptr, _copy_functions(), parts[-1])) == parts[-1].shape[1]:
        parts.append(np.empty((rows.width, FETCHED_AT_ONCE), np.int64))
    failure = None
    while (ended := pgconn.get_result()) is not None:
        if ended.status != ExecStatus.COMMAND_OK:
            failure = ended.error_message.decode("utf-8", "replace").strip()
    if failure is not None:
        raise _RefusedCopy(failure)
    return _together(parts, count)


@cache
def _copy_functions() -> tuple[int, ...]:
    """Addresses of libpq's functions, in the library that the driver has linked."""
    library = ctypes.CDLL(sys.modules[psycopg.pq.PGconn.__module__].__file__)
    return tuple(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in _copy.FUNCTIONS)
