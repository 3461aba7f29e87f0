# cython: language_level=3
"""What `_copy` and `_links` share with `_rows`: the words of a row, and the texts behind its numbers."""

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    RATES = 4

cdef struct Names:
    uint8_t *bytes
    size_t used
    size_t room
    size_t *ends
    size_t count
    size_t ends_room
    int64_t *slots
    size_t slots_mask
    int64_t last  # the number of the row before: batches go through accounts and meters in order
    uint8_t *digests  # the first 16 bytes of the SHA-256 of some of the texts, the first ones
    size_t digested


cdef inline int64_t none() noexcept nogil:
    """The word of what is absent."""
    return <int64_t>1 << 63


cdef inline size_t start_of(Names *names, int64_t number) noexcept nogil:
    return names.ends[number - 1] if number else 0


cdef int64_t number_of(Names *names, const uint8_t *text, size_t size) noexcept nogil

cdef class Rows:
    cdef readonly bytes kinds
    cdef readonly Py_ssize_t width
    cdef Names **_names
    cdef Rows _other_rows
    cdef const uint8_t *_kinds
    cdef Py_ssize_t _columns
    cdef uint8_t *_blob
    cdef size_t _blob_used
    cdef size_t _blob_room

    cdef int put_text(
        self, Py_ssize_t column, const uint8_t *text, size_t size, int64_t *at, Py_ssize_t step, int64_t *odd
    ) noexcept nogil
    cdef int put_other(
        self, Py_ssize_t column, int64_t value, bint null, int64_t *at, Py_ssize_t step, int64_t *odd
    ) noexcept nogil
    cdef int _keep(self, const uint8_t *text, size_t size, int64_t *at, Py_ssize_t step) noexcept nogil
