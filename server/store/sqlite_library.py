"""The SQLite library that the Python driver has loaded, by the addresses of its functions."""

import ctypes
from functools import cache
from typing import Any

import pysqlite3
import pysqlite3._sqlite3 as driver

from server.domain.columns import Columns
from server.store._sqlite import FUNCTIONS, HANDLE, SqliteWrite, prepare_connections

CONSTRAINT = 19  # SQLite's primary code of what a constraint forbids
OF_THE_FILE = frozenset({11, 26})  # a file that is damaged, or no database


@cache
def functions() -> tuple[int, ...]:
    """Addresses in the order of FUNCTIONS."""
    library = ctypes.CDLL(driver.__file__)
    return tuple(ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS)


def prepare() -> None:
    """Let rows be read through connections that are opened from now on, which plan each statement once.

    Whoever says it twice changes nothing.
    """
    prepare_connections(functions())


def write(connection: Any, text: str, given: Columns) -> int:
    """Execute `text` for each row within the transaction of a connection of the driver; the rows that it touched.

    Raises the driver's errors, as its executemany does.
    """
    handle = connection.execute(HANDLE).fetchone()[0]
    own = SqliteWrite(given.columns, given.rows)
    touched = own.run(functions(), handle, text.encode())
    if own.failure is not None:
        code, said = own.failure
        raise _error(code & 0xFF)(said)
    return touched


def _error(code: int) -> type[Exception]:
    kind: type[Exception] = pysqlite3.OperationalError
    if code == CONSTRAINT:
        kind = pysqlite3.IntegrityError
    elif code in OF_THE_FILE:
        kind = pysqlite3.DatabaseError
    return kind
