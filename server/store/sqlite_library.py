"""The SQLite library that the Python driver has loaded, by the addresses of its functions."""

import ctypes
from functools import cache

import pysqlite3._sqlite3 as driver

from server.store._sqlite import FUNCTIONS, prepare_connections


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
