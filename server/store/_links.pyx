# cython: boundscheck=False, wraparound=False, cdivision=True, auto_pickle=False
"""What is done to words of rows without a Python object a row: joining them, giving their texts the numbers of other
rows, and working out the hashes of lines and seals once more.

The canonical forms are those of `server.domain.line_words` (lines) and `server.domain.ledger` (headers), which hash
again whatever is not found right here.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy

from server.store._rows cimport RATES, Names, Rows, none, number_of, start_of

cdef extern from "_sha256.h" nogil:
    enum:
        E645_SHA_DIGEST
    ctypedef void (*e645_sha_pass)(void *, const uint8_t *, size_t)
    ctypedef struct e645_sha:
        pass
    void e645_sha_portable(void *, const uint8_t *, size_t)
    e645_sha_pass e645_sha_best()
    void e645_sha_begin(e645_sha *own, e645_sha_pass how)
    void e645_sha_add(e645_sha *own, const uint8_t *data, size_t size)
    void e645_sha_end(e645_sha *own, uint8_t *digest)

cdef enum:
    HALF = 16  # bytes of a digest that stand for a name
    HEX = 64
    CANONICAL = 216  # bytes of a line
    NUMBER_MAX = 24  # characters of an int64, with room
    HEADER_COLUMNS = 10

cdef e645_sha_pass _best = e645_sha_best()


def sha256(bytes data not None, bint portable=False) -> bytes:
    """The SHA-256 of some bytes, by the block function in use or by the portable one."""
    cdef e645_sha own
    cdef uint8_t[E645_SHA_DIGEST] digest
    e645_sha_begin(&own, e645_sha_portable if portable else _best)
    e645_sha_add(&own, data, len(data))
    e645_sha_end(&own, digest)
    return digest[:E645_SHA_DIGEST]


cdef inline size_t _pair_slot(int64_t first, int64_t second) noexcept nogil:
    cdef uint64_t value = (<uint64_t>first * 0x9E3779B97F4A7C15u) ^ (<uint64_t>second * 0xC2B2AE3D27D4EB4Fu)
    return value ^ (value >> 32)


def take_by_pair(
    const int64_t[::1] first not None,
    const int64_t[::1] second not None,
    int64_t[::1] out not None,
    const int64_t[::1] known_first not None,
    const int64_t[::1] known_second not None,
    const int64_t[::1] values not None,
):
    """Let out[i] be the value whose pair is (first[i], second[i]); where no pair is, `out` stays as it is.

    first, second, out : int64[n]; known_first, known_second, values : int64[m], of which pairs are all different.
    ValueError for other lengths; then nothing was changed.
    """
    cdef Py_ssize_t n = out.shape[0], m = values.shape[0], i
    cdef size_t mask = 1, slot
    cdef int64_t *slots
    if first.shape[0] != n or second.shape[0] != n or known_first.shape[0] != m or known_second.shape[0] != m:
        raise ValueError("pairs and what belongs to them have different lengths")
    while mask < 2 * <size_t>m:
        mask *= 2
    slots = <int64_t *>calloc(mask, sizeof(int64_t))
    if slots is NULL:
        raise MemoryError
    mask -= 1
    with nogil:
        for i in range(m):
            slot = _pair_slot(known_first[i], known_second[i]) & mask
            while slots[slot]:
                slot = (slot + 1) & mask
            slots[slot] = i + 1
        for i in range(n):
            slot = _pair_slot(first[i], second[i]) & mask
            while slots[slot]:
                if known_first[slots[slot] - 1] == first[i] and known_second[slots[slot] - 1] == second[i]:
                    out[i] = values[slots[slot] - 1]
                    break
                slot = (slot + 1) & mask
        free(slots)


def number_texts(Rows rows not None, Py_ssize_t column, Rows of not None, Py_ssize_t of_column, int64_t[::1] out not None):
    """Numbers among the texts of a column for the newest texts of another one, as many as `out` has; new ones get new.

    IndexError for a column that is not there, or one with fewer texts.
    """
    cdef Names *own
    cdef Names *other
    cdef Py_ssize_t i, first
    if not (0 <= column < rows._columns and 0 <= of_column < of._columns):
        raise IndexError((column, of_column))
    own, other = rows._names[column], of._names[of_column]
    first = <Py_ssize_t>other.count - out.shape[0]
    if first < 0:
        raise IndexError(out.shape[0])
    with nogil:
        for i in range(out.shape[0]):
            out[i] = number_of(
                own, other.bytes + start_of(other, first + i), other.ends[first + i] - start_of(other, first + i)
            )
            if out[i] < 0:
                break
        else:
            i = out.shape[0]
    if i < out.shape[0]:
        raise MemoryError


cdef int _digest_names(Names *names) noexcept nogil:
    """Digests of all texts so far; -1 without memory."""
    cdef e645_sha own
    cdef uint8_t[E645_SHA_DIGEST] digest
    cdef void *more
    if names.digested == names.count:
        return 0
    more = realloc(names.digests, names.ends_room * HALF)
    if more is NULL:
        return -1
    names.digests = <uint8_t *>more
    while names.digested < names.count:
        e645_sha_begin(&own, _best)
        e645_sha_add(
            &own, names.bytes + start_of(names, names.digested),
            names.ends[names.digested] - start_of(names, names.digested),
        )
        e645_sha_end(&own, digest)
        memcpy(names.digests + HALF * names.digested, digest, HALF)
        names.digested += 1
    return 0


cdef bint _canonical(Rows rows, const int64_t[:, :] lines, Py_ssize_t row, uint8_t *out) noexcept nogil:
    """The canonical form 2 of a line: all columns but the first and the last; False for the number of no text."""
    cdef Py_ssize_t column, word = 1, i
    cdef int64_t value
    for column in range(1, rows._columns - 1):
        value = lines[word, row]
        if rows._kinds[column] == b"t":
            if value < 0:
                for i in range(HALF):
                    out[i] = 0
            elif value >= <int64_t>rows._names[column].digested:
                return False
            else:
                memcpy(out, rows._names[column].digests + HALF * value, HALF)
            out += HALF
            word += 1
            continue
        for i in range(RATES if rows._kinds[column] == b"r" else 1):
            value = lines[word, row]
            _put(out, value)
            out += sizeof(int64_t)
            word += 1
    return True


cdef inline void _put(uint8_t *out, int64_t value) noexcept nogil:
    """Eight bytes, the lowest first, on any machine."""
    cdef int i
    for i in range(8):
        out[i] = <uint8_t>(<uint64_t>value >> (8 * i))


cdef bint _same_hex(const uint8_t *digest, const uint8_t *text) noexcept nogil:
    cdef int i
    cdef const char *digits = b"0123456789abcdef"
    for i in range(E645_SHA_DIGEST):
        if text[2 * i] != <uint8_t>digits[digest[i] >> 4] or text[2 * i + 1] != <uint8_t>digits[digest[i] & 15]:
            return False
    return True


cdef void _add_number(e645_sha *own, int64_t value) noexcept nogil:
    """A number in digits, and the end of its line."""
    cdef uint8_t[NUMBER_MAX] text
    cdef size_t at = NUMBER_MAX - 1
    cdef uint64_t left = 0 - <uint64_t>value if value < 0 else <uint64_t>value
    text[at] = 10
    while True:
        at -= 1
        text[at] = <uint8_t>(48 + left % 10)
        left //= 10
        if not left:
            break
    if value < 0:
        at -= 1
        text[at] = 45
    e645_sha_add(own, text + at, NUMBER_MAX - at)


cdef bint _add_text(e645_sha *own, const uint8_t *text, size_t size) noexcept nogil:
    """A text in quotes as Python would show it; False for one that it would show in another way, or might."""
    cdef size_t i
    for i in range(size):
        if text[i] < 32 or text[i] > 126 or text[i] == 39 or text[i] == 92:
            return False
    e645_sha_add(own, b"'", 1)
    e645_sha_add(own, text, size)
    e645_sha_add(own, b"'\n", 2)
    return True


cdef bint _header(e645_sha *own, Rows heads, const int64_t[:, :] batches, Py_ssize_t row) noexcept nogil:
    """Add a header, value by value; False for one with a value that is absent or shown in another way."""
    cdef Py_ssize_t column, word = 0
    cdef Names *names
    cdef int64_t value
    for column in range(HEADER_COLUMNS):
        value = batches[word, row]
        if value == none() or (value < 0 and heads._kinds[column] == b"t"):
            return False
        if heads._kinds[column] == b"q":
            _add_number(own, value)
        elif heads._kinds[column] == b"b":
            word += 1
            if not _add_text(own, heads._blob + value, batches[word, row]):
                return False
        else:
            names = heads._names[column]
            if not _add_text(own, names.bytes + start_of(names, value), names.ends[value] - start_of(names, value)):
                return False
        word += 1
    return True


cdef bint _link(
    const uint8_t *blob, const int64_t[:, :] seals, Py_ssize_t row, Rows heads, const int64_t[:, :] batches, Rows rows,
    const int64_t[:, :] lines, Py_ssize_t start, Py_ssize_t end,
) noexcept nogil:
    """Whether the seal of a batch follows from its header, its lines and the seal before; of the first: that it tells."""
    cdef e645_sha own
    cdef uint8_t[E645_SHA_DIGEST] digest
    cdef uint8_t[CANONICAL] canonical
    cdef Py_ssize_t i
    if batches[12, row] or seals[9, row] or seals[1, row] == none() or seals[8, row] != 2:
        return False
    if seals[2, row] != HEX or seals[4, row] != HEX or seals[6, row] != HEX:
        return False
    if row and (seals[6, row - 1] != HEX or memcmp(blob + seals[3, row], blob + seals[5, row - 1], HEX)):
        return False
    e645_sha_begin(&own, _best)
    for i in range(start, end):
        if not _canonical(rows, lines, i, canonical):
            return False
        e645_sha_add(&own, canonical, CANONICAL)
    e645_sha_end(&own, digest)
    if not _same_hex(digest, blob + seals[1, row]):
        return False
    e645_sha_begin(&own, _best)
    e645_sha_add(&own, blob + seals[3, row], HEX)
    e645_sha_add(&own, b"\n", 1)
    if not _header(&own, heads, batches, row):
        return False
    _add_number(&own, seals[7, row])
    _add_number(&own, seals[8, row])
    e645_sha_add(&own, blob + seals[1, row], HEX)
    e645_sha_end(&own, digest)
    return _same_hex(digest, blob + seals[5, row])


cdef object _expect(Rows rows, bytes kinds, Py_ssize_t width, what):
    if rows.kinds != kinds or rows.width != width:
        raise ValueError(f"these are no {what}")


def links_right(
    Rows links not None,
    const int64_t[:, :] seals not None,
    Rows heads not None,
    const int64_t[:, :] batches not None,
    Rows rows not None,
    const int64_t[:, :] lines not None,
    const int64_t[::1] starts not None,
    const int64_t[::1] ends not None,
    uint8_t[::1] right not None,
):
    """Let right[i] be 1 where the seal of a batch (form 2) follows from its header, its lines and the batch before.

    links, seals and heads, batches : rows of `server.domain.batch_words` and their words, int64[10, n] and
    int64[13, n], the seal of each batch beside it, absent where it has none; rows, lines : the same of
    `server.domain.line_words`, int64[27, m]; starts, ends : int64[n], which lines are those of a batch. Of the first
    batch the hash before is taken as its seal tells. Where right[i] is 0 nothing is known. ValueError for rows of
    another kind or lines that are not there.
    """
    cdef Py_ssize_t n = right.shape[0], i, column
    _expect(links, b"qbbbqq", seals.shape[0], "seals")
    _expect(heads, b"qtqqbbqqtt", batches.shape[0], "headers of batches")
    _expect(rows, b"qqtqqqqqtqtqqrrqqqqq", lines.shape[0], "lines")
    if seals.shape[1] != n or batches.shape[1] != n or starts.shape[0] != n or ends.shape[0] != n:
        raise ValueError("each batch has a seal and lines")
    for i in range(n):
        if not 0 <= starts[i] <= ends[i] <= lines.shape[1]:
            raise ValueError(f"lines {starts[i]} to {ends[i]} are not there")
    with nogil:
        for column in range(rows._columns):
            if rows._kinds[column] == b"t" and _digest_names(rows._names[column]) < 0:
                break
        else:
            column = rows._columns
            for i in range(n):
                right[i] = _link(links._blob, seals, i, heads, batches, rows, lines, starts[i], ends[i])
    if column < rows._columns:
        raise MemoryError
