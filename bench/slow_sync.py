"""SQLite on a slower disk: a VFS before the system's own that waits before each sync, and counts them.

The disk of a real site takes some milliseconds for a sync; the one of a developer may take none. The VFS becomes the
default of the library that the driver has loaded, until `end`.
"""

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pysqlite3._sqlite3 as driver

OPEN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
VFS_BYTES = 168  # of sqlite3_vfs, version 3
OPEN_AT, NAME_AT, VERSION_BYTES = 40, 24, 8
METHOD_WORDS, SYNC_WORD = 19, 5  # of sqlite3_io_methods, version 3


class SlowSync:
    """Waits `wait_s` before each sync of files opened while it is installed; `count` is how many there were."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s, self.count = wait_s, 0
        self._library = ctypes.CDLL(driver.__file__)
        self._library.sqlite3_vfs_find.restype = ctypes.c_void_p
        self._real = self._library.sqlite3_vfs_find(None)
        self._open = OPEN(ctypes.cast(self._word(self._real, OPEN_AT), ctypes.c_void_p).value or 0)
        self._own_open = OPEN(self._opened)
        self._tables: dict[int, ctypes.Array[ctypes.c_void_p]] = {}
        self._kept: list[object] = []
        self._vfs = ctypes.create_string_buffer(ctypes.string_at(self._real, VFS_BYTES), VFS_BYTES)
        self._name = ctypes.create_string_buffer(b"slow")
        self._put(ctypes.addressof(self._vfs), NAME_AT, ctypes.addressof(self._name))
        self._put(ctypes.addressof(self._vfs), OPEN_AT, ctypes.cast(self._own_open, ctypes.c_void_p).value or 0)

    def install(self) -> None:
        """Open files through this VFS from now on."""
        self._library.sqlite3_vfs_register(ctypes.c_void_p(ctypes.addressof(self._vfs)), 1)

    def end(self) -> None:
        """Open files as before; those that are open stay slow."""
        self._library.sqlite3_vfs_register(ctypes.c_void_p(self._real), 1)

    def _opened(self, _vfs: int, path: int, file: int, flags: int, out: int) -> int:
        code = int(self._open(self._real, path, file, flags, out))
        if code == 0:
            self._put(file, 0, self._slow(self._word(file, 0)))
        return code

    def _slow(self, methods: int) -> int:
        """A table of methods whose sync waits."""
        if methods not in self._tables:
            table = (ctypes.c_void_p * METHOD_WORDS)(*(self._word(methods, 8 * word) for word in range(METHOD_WORDS)))
            real = SYNC(table[SYNC_WORD] or 0)

            def sync(file: int, flags: int) -> int:
                time.sleep(self.wait_s)
                self.count += 1
                code: int = real(file, flags)
                return code

            own = SYNC(sync)
            table[SYNC_WORD] = ctypes.cast(own, ctypes.c_void_p).value
            self._kept += [own, real]
            self._tables[methods] = table
        return ctypes.addressof(self._tables[methods])

    @staticmethod
    def _word(at: int, offset: int) -> int:
        return int(ctypes.c_uint64.from_address(at + offset).value)

    @staticmethod
    def _put(at: int, offset: int, value: int) -> None:
        ctypes.c_uint64.from_address(at + offset).value = value


@contextmanager
def slow_sync(wait_s: float) -> Iterator[SlowSync]:
    """SQLite files opened within the block wait so long before each sync."""
    slow = SlowSync(wait_s)
    slow.install()
    try:
        yield slow
    finally:
        slow.end()
