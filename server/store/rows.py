"""All rows of a query as columns of int64, on either database, without a Python object a value.

See `server.store._rows` for what the words of a row are. SQLite is read through a second, read-only connection of the
same library, so a transaction that writes is read through its own connection instead; PostgreSQL answers with a
binary COPY inside the caller's transaction.
"""

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pysqlite3._sqlite3 as driver
from numpy.typing import NDArray
from sqlalchemy import Connection, Select
from sqlalchemy.dialects import postgresql, sqlite

from server.errors import StorageUnavailable
from server.store._rows import FUNCTIONS, CopyRows, Rows, SqliteRows
from server.store.engine import BEGIN_OPTION

Words = NDArray[np.int64]

__all__ = ["Rows", "Words", "all_rows", "file_rows"]


def all_rows(connection: Connection, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """`rows.width` by so many words as there are rows; `expected` is a guess that saves copying.

    StorageUnavailable when the rows cannot be read, or are not what the query should give.
    """
    try:
        if connection.dialect.name == "postgresql":
            return _copied(connection, query, rows)
        if BEGIN_OPTION in connection.get_execution_options():
            return _fetched(connection, query, rows)
        return _stepped(str(connection.engine.url.database), query, rows, expected)
    except (OSError, ValueError) as error:
        raise StorageUnavailable(f"the journal cannot be read ({error}); check the database") from error


def file_rows(path: Path, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    """The same from an SQLite file that is not the database; StorageUnavailable when it cannot be read."""
    try:
        return _stepped(str(path), query, rows, expected)
    except (OSError, ValueError) as error:
        raise StorageUnavailable(f"{path} cannot be read ({error}); take another copy of it") from error


def _stepped(path: str, query: "Select[Any]", rows: Rows, expected: int) -> Words:
    text = str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    source = SqliteRows(rows, _functions(), path.encode(), text.encode())
    parts = []
    while True:
        words = np.empty((rows.width, expected + 1), np.int64)
        count = source.fill(words)
        parts.append(words[:, :count])
        if count <= expected:
            return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _fetched(connection: Connection, query: "Select[Any]", rows: Rows) -> Words:
    found = [tuple(row) for row in connection.execute(query)]
    words = np.empty((rows.width, len(found)), np.int64)
    rows.fill(found, words)
    return words


def _copied(connection: Connection, query: "Select[Any]", rows: Rows) -> Words:
    text = str(query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}))  # type: ignore[no-untyped-call]
    driver_connection: Any = connection.connection.driver_connection
    copying = f"COPY ({text}) TO STDOUT (FORMAT BINARY)".encode()
    with driver_connection.cursor() as cursor, cursor.copy(copying) as copy:
        messages = list(copy)
    words = np.empty((rows.width, len(messages)), np.int64)
    return words[:, : CopyRows(rows).fill(b"".join(messages), words)]


@cache
def _functions() -> tuple[int, ...]:
    """Addresses of SQLite's functions in the library that the driver uses, so that locks are shared with it."""
    library = ctypes.CDLL(driver.__file__)
    return tuple(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS)
