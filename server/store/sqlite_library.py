"""The SQLite library that the Python driver has loaded, by the addresses of its functions."""

import ctypes
from functools import cache
from typing import Any

import pysqlite3
import pysqlite3._sqlite3 as driver

from server.domain.columns import Columns
from server.store._sqlite import FUNCTIONS, HANDLE, SqliteWrite, prepare_connections

# SQLite's primary codes by the error that the driver makes of them; any other is a DatabaseError.
ERRORS: dict[int, type[Exception]] = {
    **dict.fromkeys((1, 3, 4, 5, 6, 8, 9, 10, 13, 14, 15, 16, 17), pysqlite3.OperationalError),
    **dict.fromkeys((19, 20), pysqlite3.IntegrityError),
    2: pysqlite3.InternalError,
    7: MemoryError,
    12: pysqlite3.InternalError,
    18: pysqlite3.DataError,
    21: pysqlite3.InterfaceError,
}


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
        raise ERRORS.get(code & 0xFF, pysqlite3.DatabaseError)(said)
    return touched
