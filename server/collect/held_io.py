"""Reads and writes of descriptors that never block, without giving up the interpreter.

`os.read` and `os.write` let another thread run, and the collector's loop then waits up to a switch interval to be back,
for each frame of each bus, while the store's writer computes. A tty that is opened non-blocking answers in a
microsecond or two, so there is nothing to be gained meanwhile. `ctypes.PyDLL` calls keep the interpreter.
"""

import ctypes
import errno
import os
import threading

_libc = ctypes.PyDLL(None, use_errno=True)
_read, _write = _libc.read, _libc.write
_read.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
_read.restype = _write.restype = ctypes.c_ssize_t
READ_BYTES = 4096


class _Room(threading.local):
    """Where a thread's reads go: between a read and the copy of its bytes another thread may run."""

    def __init__(self) -> None:
        self.held = ctypes.create_string_buffer(READ_BYTES)
        self.address = ctypes.addressof(self.held)


_room = _Room()


def read(fd: int) -> bytes:
    """At most `READ_BYTES` bytes that are there, none at the end; raises as `os.read` does."""
    place = _room.address
    count = _read(fd, place, READ_BYTES)
    while count < 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
        count = _read(fd, place, READ_BYTES)
    return ctypes.string_at(place, count)


def write(fd: int, data: bytes) -> int:
    """How many of the bytes were taken; raises as `os.write` does."""
    count: int = _write(fd, data, len(data))
    while count < 0:
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
        count = _write(fd, data, len(data))
    return count
