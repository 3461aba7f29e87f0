# cython: boundscheck=False, wraparound=False, auto_pickle=False
"""Rows of a query as columns of int64, without a Python object a value: how millions of journal lines are read.

A column is a number ("q": one word, NULL is the smallest int64), a text that repeats ("t": one word, its number in
order of first sight, NULL is -1), one that does not ("b": two words, where it begins in the blob of all of them and
how many bytes it has; NULL is twice the smallest int64) or four rate registers as text ("r": four words; NULL is four
times the smallest int64). Behind them stands one word that counts what of the row could not be taken as its kind says. Rows come from
SQLite's C interface (the functions of the library that the Python driver has loaded) or from PostgreSQL's binary
COPY (`_copy`). Everything but the hand-over runs without the GIL.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy

ABSENT = -(2**63)
cdef enum:
    FIRST_SLOTS = 1024


cdef inline uint64_t _hash(const uint8_t *text, size_t size) noexcept nogil:
    cdef uint64_t value = 14695981039346656037u
    cdef size_t i
    for i in range(size):
        value = (value ^ text[i]) * 1099511628211u
    return value ^ (value >> 29)


cdef int _rehash(Names *names, size_t slots) noexcept nogil:
    """A larger table of slots; -1 without memory."""
    cdef int64_t *fresh = <int64_t *>malloc(slots * sizeof(int64_t))
    cdef size_t i, slot
    if fresh is NULL:
        return -1
    for i in range(slots):
        fresh[i] = -1
    for i in range(names.count):
        slot = _hash(names.bytes + start_of(names, i), names.ends[i] - start_of(names, i)) & (slots - 1)
        while fresh[slot] >= 0:
            slot = (slot + 1) & (slots - 1)
        fresh[slot] = i
    free(names.slots)
    names.slots, names.slots_mask = fresh, slots - 1
    return 0


cdef inline bint _is(Names *names, int64_t number, const uint8_t *text, size_t size) noexcept nogil:
    cdef size_t start = start_of(names, number)
    return names.ends[number] - start == size and memcmp(names.bytes + start, text, size) == 0


cdef int64_t number_of(Names *names, const uint8_t *text, size_t size) noexcept nogil:
    """The number of a text: that of the row before, the next one, else looked up or new; -2 without memory."""
    if names.last + 1 < <int64_t>names.count and _is(names, names.last + 1, text, size):
        names.last += 1
    elif names.last < 0 or not _is(names, names.last, text, size):
        names.last = _looked_up(names, text, size)
    return names.last


cdef int64_t _looked_up(Names *names, const uint8_t *text, size_t size) noexcept nogil:
    cdef size_t slot = _hash(text, size) & names.slots_mask
    cdef void *more
    while names.slots[slot] >= 0:
        if _is(names, names.slots[slot], text, size):
            return names.slots[slot]
        slot = (slot + 1) & names.slots_mask
    if names.used + size > names.room:
        more = realloc(names.bytes, 2 * (names.used + size))
        if more is NULL:
            return -2
        names.bytes, names.room = <uint8_t *>more, 2 * (names.used + size)
    if names.count == names.ends_room:
        more = realloc(names.ends, 2 * names.ends_room * sizeof(size_t))
        if more is NULL:
            return -2
        names.ends, names.ends_room = <size_t *>more, 2 * names.ends_room
    memcpy(names.bytes + names.used, text, size)
    names.used += size
    names.ends[names.count] = names.used
    names.slots[slot] = names.count
    names.count += 1
    if 2 * names.count > names.slots_mask and _rehash(names, 4 * (names.slots_mask + 1)) < 0:
        return -2
    return names.count - 1


cdef inline bint _rates(const uint8_t *text, size_t size, int64_t *out) noexcept nogil:
    """Four numbers as "1,2,3,4" in their only spelling, each below 10^10; False for anything else."""
    cdef size_t i = 0, digits
    cdef int field
    cdef int64_t value
    for field in range(RATES):
        value, digits = 0, 0
        while i < size and 48 <= text[i] <= 57:
            if (digits and value == 0) or digits == 10:
                return False
            value = value * 10 + text[i] - 48
            digits += 1
            i += 1
        if not digits or (field < RATES - 1 and (i >= size or text[i] != 44)):
            return False
        i += field < RATES - 1
        out[field] = value
    return i == size


cdef class Rows:
    """What the rows of one query mean: its kinds, and the texts seen so far; `width` words a row.

    With `other` the texts of the first column are those of its `column`, and have the same numbers.
    """

    def __cinit__(self, str kinds, Rows other=None, Py_ssize_t column=0):
        cdef Py_ssize_t i
        self.kinds = kinds.encode()
        self._kinds, self._columns = self.kinds, len(self.kinds)
        self.width = sum({"q": 1, "t": 1, "b": 2, "r": RATES}[kind] for kind in kinds) + 1
        self._names = <Names **>calloc(self._columns, sizeof(Names *))
        if self._names is NULL:
            raise MemoryError
        if other is not None:
            if not 0 <= column < other._columns:
                raise IndexError(column)
            self._other_rows, self._names[0] = other, other._names[column]
        for i in range(other is not None, self._columns):
            self._names[i] = <Names *>calloc(1, sizeof(Names))
            if self._names[i] is NULL:
                raise MemoryError
            self._names[i].ends, self._names[i].ends_room = <size_t *>malloc(FIRST_SLOTS * sizeof(size_t)), FIRST_SLOTS
            self._names[i].last = -1
            if self._names[i].ends is NULL or _rehash(self._names[i], FIRST_SLOTS) < 0:
                raise MemoryError

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self._names is NULL:
            return
        for i in range(self._other_rows is not None, self._columns):
            if self._names[i] is not NULL:
                free(self._names[i].bytes)
                free(self._names[i].ends)
                free(self._names[i].slots)
                free(self._names[i].digests)
                free(self._names[i])
        free(self._names)
        free(self._blob)

    def blob(self) -> bytes:
        """All texts of columns of kind "b", one behind the other, as they were stored."""
        return self._blob[: self._blob_used]

    def names(self, Py_ssize_t column, Py_ssize_t first=0) -> list[bytes]:
        """The texts of a column from number `first` on, as they were stored."""
        if not 0 <= column < self._columns:
            raise IndexError(column)
        cdef Names *names = self._names[column]
        cdef Py_ssize_t i
        return [names.bytes[start_of(names, i) : names.ends[i]] for i in range(max(0, first), <Py_ssize_t>names.count)]

    def count(self, Py_ssize_t column) -> int:
        """How many texts a column has."""
        if not 0 <= column < self._columns:
            raise IndexError(column)
        return self._names[column].count

    def fill(self, list rows not None, int64_t[:, ::1] out not None) -> int:
        """Take rows that the driver has fetched as tuples; ValueError when they are not what was asked for."""
        cdef Py_ssize_t row = 0, column, step = out.shape[1]
        cdef int words
        cdef bytes text
        cdef int64_t *at
        cdef int64_t *odd
        if out.shape[0] != self.width or out.shape[1] < len(rows):
            raise ValueError(f"{len(rows)} rows of {self.width} words do not fit into {out.shape[0]} by {out.shape[1]}")
        for values in rows:
            if len(values) != self._columns:
                raise ValueError(f"{len(values)} columns, not {self._columns}")
            at, odd = &out[0, row], &out[self.width - 1, row]
            odd[0] = 0
            for column in range(self._columns):
                value = values[column]
                if isinstance(value, str):
                    text = value.encode()
                    words = self.put_text(column, text, len(text), at, step, odd)
                elif isinstance(value, int):
                    words = self.put_other(column, value, False, at, step, odd)
                else:
                    words = self.put_other(column, none(), True, at, step, odd)
                    odd[0] += value is not None
                if words < 0:
                    raise MemoryError
                at += words * step
            row += 1
        return row

    cdef int put_text(
        self, Py_ssize_t column, const uint8_t *text, size_t size, int64_t *at, Py_ssize_t step, int64_t *odd
    ) noexcept nogil:
        """Put a text into its words, the first of which is `at` and each next one `step` further; count what is `odd`.

        The number of words, negative without memory.
        """
        cdef int64_t[RATES] found
        cdef int i
        if self._kinds[column] == b"t":
            at[0] = number_of(self._names[column], text, size)
            return -1 if at[0] < 0 else 1
        if self._kinds[column] == b"b":
            return self._keep(text, size, at, step)
        if self._kinds[column] == b"q":
            at[0] = none()
            odd[0] += 1
            return 1
        if not _rates(text, size, found):
            found[0] = found[1] = found[2] = found[3] = none()
            odd[0] += 1
        for i in range(RATES):
            at[i * step] = found[i]
        return RATES

    cdef int _keep(self, const uint8_t *text, size_t size, int64_t *at, Py_ssize_t step) noexcept nogil:
        """Put a text behind those of the blob; the number of words, negative without memory."""
        cdef void *more
        if self._blob_used + size > self._blob_room or self._blob is NULL:
            more = realloc(self._blob, 2 * (self._blob_used + size) + 1)
            if more is NULL:
                return -1
            self._blob, self._blob_room = <uint8_t *>more, 2 * (self._blob_used + size) + 1
        memcpy(self._blob + self._blob_used, text, size)
        at[0], at[step] = self._blob_used, size
        self._blob_used += size
        return 2

    cdef int put_other(
        self, Py_ssize_t column, int64_t value, bint null, int64_t *at, Py_ssize_t step, int64_t *odd
    ) noexcept nogil:
        """The same for a number or NULL."""
        cdef int i, words
        if self._kinds[column] == b"q":
            at[0] = none() if null else value
            return 1
        odd[0] += not null
        if self._kinds[column] == b"t":
            at[0] = -1
            return 1
        words = 2 if self._kinds[column] == b"b" else RATES
        for i in range(words):
            at[i * step] = none()
        return words
