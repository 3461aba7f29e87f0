# cython: boundscheck=False, wraparound=False, auto_pickle=False
"""Rows of PostgreSQL's binary COPY as columns of int64, taken from libpq without a Python object a row.

What the words of a row are stands in `_rows`. libpq is the one that the Python driver has loaded, and the connection
the driver's; nobody else may use it meanwhile.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcmp

from server.store._rows cimport Rows, none

FUNCTIONS = ("PQgetCopyData", "PQfreemem")
cdef enum:
    COPY_HEAD = 19  # signature of 11 bytes, flags, length of an extension
    NO_MEMORY = -2
    NO_COPY = -3

ctypedef int (*GetCopyData)(void *, char **, int) noexcept nogil
ctypedef void (*FreeMemory)(void *) noexcept nogil


cdef inline uint32_t _big32(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef class CopyRows:
    """Takes apart what PostgreSQL sends for COPY (...) TO STDOUT (FORMAT BINARY), one message a row.

    `done` is True when it has sent all of it; whoever reads asks the connection then how the command ended.
    """

    cdef readonly bint done
    cdef Rows _rows
    cdef bint _started

    def __cinit__(self, Rows rows not None):
        self._rows, self._started, self.done = rows, False, False

    def receive(self, uintptr_t connection, tuple functions not None, int64_t[:, ::1] out not None) -> int:
        """Take rows from a libpq connection (its PGconn) until `out` is full or there are no more.

        `functions`: addresses in the order of FUNCTIONS. ValueError when rows are not what was asked for.
        """
        cdef GetCopyData get = <GetCopyData><uintptr_t>functions[0]
        cdef FreeMemory free_it = <FreeMemory><uintptr_t>functions[1]
        cdef Py_ssize_t row
        self._check(out)
        with nogil:
            row = self._receive(<void *>connection, get, free_it, out)
        return self._checked(row)

    cdef Py_ssize_t _receive(
        self, void *connection, GetCopyData get, FreeMemory free_it, int64_t[:, ::1] out
    ) noexcept nogil:
        cdef Py_ssize_t row = 0, taken
        cdef char *message = NULL
        cdef int size
        while row < out.shape[1]:
            size = get(connection, &message, 0)
            if size < 0:
                self.done = True
                return row
            taken = self._message(<const uint8_t *>message, size, out, row)
            free_it(message)
            if taken < 0:
                return taken
            row += taken
        return row

    cdef object _check(self, int64_t[:, ::1] out):
        if out.shape[0] != self._rows.width:
            raise ValueError(f"rows have {self._rows.width} words, not {out.shape[0]}")

    cdef object _checked(self, Py_ssize_t row):
        if row == NO_MEMORY:
            raise MemoryError
        if row == NO_COPY:
            raise ValueError("this is no binary copy")
        if row < 0:
            raise ValueError("a row of the copy has other columns than were asked for")
        return row

    cdef Py_ssize_t _message(
        self, const uint8_t *at, Py_ssize_t size, int64_t[:, ::1] out, Py_ssize_t first
    ) noexcept nogil:
        """Rows of some messages, from row `first` of `out` on; how many, or why not."""
        if self._started:
            return self._fill(at, size, out, first)
        if size < COPY_HEAD or memcmp(at, b"PGCOPY\n", 7) != 0:
            return NO_COPY
        self._started = True
        return self._fill(at + COPY_HEAD, size - COPY_HEAD, out, first)

    cdef Py_ssize_t _fill(
        self, const uint8_t *at, Py_ssize_t size, int64_t[:, ::1] out, Py_ssize_t first
    ) noexcept nogil:
        cdef const uint8_t *end = at + size
        cdef Py_ssize_t row = first, column, step = out.shape[1]
        cdef uint16_t count
        cdef uint32_t length
        cdef int words
        cdef int64_t *cell
        cdef int64_t *odd
        while end - at >= 2:
            count = <uint16_t>at[0] << 8 | at[1]
            at += 2
            if count == 0xFFFF:
                return row - first
            if count != self._rows._columns or row == out.shape[1]:
                return -1
            cell, odd = &out[0, row], &out[self._rows.width - 1, row]
            odd[0] = 0
            for column in range(self._rows._columns):
                if end - at < 4:
                    return -1
                length = _big32(at)
                at += 4
                if length == <uint32_t>0xFFFFFFFF:
                    words = self._rows.put_other(column, none(), True, cell, step, odd)
                elif end - at < <Py_ssize_t>length:
                    return -1
                elif self._rows._kinds[column] == b"q":
                    if length != 8:
                        return -1
                    cell[0], words = <int64_t>(<uint64_t>_big32(at) << 32 | _big32(at + 4)), 1
                    at += length
                else:
                    words = self._rows.put_text(column, at, length, cell, step, odd)
                    at += length
                if words < 0:
                    return NO_MEMORY
                cell += words * step
            row += 1
        return row - first
