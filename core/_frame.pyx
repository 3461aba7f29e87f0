# cython: boundscheck=False, wraparound=False, cdivision=True
"""The usual case of one DL/T 645 frame: `bytes` to its fields and back, in one call each.

All return None for anything unusual (another type, an address with wildcards, a frame that is not sound), and
`core.dlt645.frame` then goes its long way, which accepts what is right and says what is wrong. `read_question` and
`write_register` are the two ends of what is said most often on any line: 11H for one meter, answered with one register.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject_GenericSetAttr
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_CheckExact, PyUnicode_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memset

cdef extern from "_scan.h" nogil:
    uint8_t sum_words "e645_sum_words"(const uint8_t *data, Py_ssize_t length)

cdef extern from *:
    object new_instance "PyType_GenericNew"(type cls, void *args, void *kwargs)

cdef enum:
    START = 0x68
    END = 0x16
    WAKE = 0xFE
    OFFSET = 0x33
    OVERHEAD = 12
    DATA_AT = 10
    DATA_MAX = 255
    PREAMBLE_MAX = 16
    ADDRESS_BYTES = 6
    READ = 0x11
    READ_REPLY = 0x91
    IDENTIFIER_BYTES = 4
    REGISTER_BYTES = 4
    QUESTION_BYTES = 16
    REGISTER_REPLY_BYTES = 20

cdef int64_t BROADCAST = 999_999_999_999
cdef int64_t REGISTER_END = 100_000_000

cdef const char *_HEX = "0123456789ABCDEF"


cdef object _address(const uint8_t *wire):
    cdef char[2 * ADDRESS_BYTES] digits
    cdef int k
    for k in range(ADDRESS_BYTES):
        digits[2 * k] = _HEX[wire[ADDRESS_BYTES - 1 - k] >> 4]
        digits[2 * k + 1] = _HEX[wire[ADDRESS_BYTES - 1 - k] & 15]
    return PyUnicode_FromStringAndSize(digits, 2 * ADDRESS_BYTES)


cdef const uint8_t *_sound(const uint8_t *start, Py_ssize_t *left) noexcept nogil:
    """Where the one sound frame of `left` bytes begins, its size then in `left`; NULL for anything else."""
    cdef Py_ssize_t size = left[0]
    while size and start[0] == WAKE:
        start += 1
        size -= 1
    left[0] = size
    if size < OVERHEAD or start[0] != START or start[7] != START or OVERHEAD + start[9] != size:
        return NULL
    if start[size - 1] != END or sum_words(start, size - 2) != start[size - 2]:
        return NULL
    return start


def read_frame(type cls not None, wire):
    """The one sound frame in `wire` as an instance of `cls`, which has slots address, control and data; or None."""
    cdef const uint8_t *start
    cdef uint8_t *data
    cdef Py_ssize_t size, k
    if not PyBytes_CheckExact(wire):
        return None
    start, size = <const uint8_t *>PyBytes_AS_STRING(wire), PyBytes_GET_SIZE(wire)
    start = _sound(start, &size)
    if start == NULL:
        return None
    plain = PyBytes_FromStringAndSize(NULL, start[9])
    data = <uint8_t *>PyBytes_AS_STRING(plain)
    for k in range(start[9]):
        data[k] = <uint8_t>(start[DATA_AT + k] - OFFSET)
    frame = new_instance(cls, NULL, NULL)
    PyObject_GenericSetAttr(frame, "address", _address(start + 1))
    PyObject_GenericSetAttr(frame, "control", start[8])
    PyObject_GenericSetAttr(frame, "data", plain)
    return frame


cdef bint _put_address(uint8_t *to, address) except -1:
    cdef Py_ssize_t size, k
    cdef const char *digits = PyUnicode_AsUTF8AndSize(address, &size)
    if size != 2 * ADDRESS_BYTES:
        return False
    for k in range(size):
        if not c"0" <= digits[k] <= c"9":
            return False
    for k in range(ADDRESS_BYTES):
        to[ADDRESS_BYTES - 1 - k] = <uint8_t>((digits[2 * k] - c"0") << 4 | (digits[2 * k + 1] - c"0"))
    return True


def write_frame(address, control, data, preamble):
    """Wire bytes of a frame with `preamble` waking bytes; None unless all is plain and in range."""
    cdef uint8_t[ADDRESS_BYTES] packed
    cdef const uint8_t *plain
    cdef uint8_t *to
    cdef Py_ssize_t count, waking, k
    cdef int code
    if not (PyUnicode_CheckExact(address) and PyLong_CheckExact(control) and PyLong_CheckExact(preamble)):
        return None
    if not (PyBytes_CheckExact(data) and address.isascii() and 0 <= control <= 0xFF and 0 <= preamble <= PREAMBLE_MAX):
        return None
    plain, count = <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
    waking, code = preamble, control
    if count > DATA_MAX or not _put_address(packed, address):
        return None
    wire = PyBytes_FromStringAndSize(NULL, waking + OVERHEAD + count)
    to = <uint8_t *>PyBytes_AS_STRING(wire)
    memset(to, WAKE, waking)
    to += waking
    to[0] = to[7] = START
    for k in range(ADDRESS_BYTES):
        to[1 + k] = packed[k]
    to[8], to[9] = <uint8_t>code, <uint8_t>count
    for k in range(count):
        to[DATA_AT + k] = <uint8_t>(plain[k] + OFFSET)
    to[DATA_AT + count] = sum_words(to, DATA_AT + count)
    to[DATA_AT + count + 1] = END
    return wire


def read_question(wire):
    """(address, identifier) as whole numbers of the one sound frame in `wire`, if it is a plain 11H to one meter."""
    cdef const uint8_t *start
    cdef Py_ssize_t size, k
    cdef int64_t address = 0
    cdef uint32_t identifier = 0
    if not PyBytes_CheckExact(wire):
        return None
    size = PyBytes_GET_SIZE(wire)
    start = _sound(<const uint8_t *>PyBytes_AS_STRING(wire), &size)
    if start == NULL or size != QUESTION_BYTES or start[8] != READ:
        return None
    for k in range(ADDRESS_BYTES, 0, -1):
        if start[k] >> 4 > 9 or start[k] & 15 > 9:
            return None
        address = address * 100 + (start[k] >> 4) * 10 + (start[k] & 15)
    if address == BROADCAST:
        return None
    for k in range(IDENTIFIER_BYTES):
        identifier |= <uint32_t><uint8_t>(start[DATA_AT + k] - OFFSET) << 8 * k
    return address, identifier


def write_register(int64_t address, uint32_t identifier, int64_t steps, int preamble):
    """The answer to such a question with eight BCD digits, `preamble` waking bytes in front; None if out of range."""
    cdef uint8_t *to
    cdef Py_ssize_t k
    if not (0 <= address < BROADCAST and 0 <= steps < REGISTER_END and 0 <= preamble <= PREAMBLE_MAX):
        return None
    wire = PyBytes_FromStringAndSize(NULL, preamble + REGISTER_REPLY_BYTES)
    to = <uint8_t *>PyBytes_AS_STRING(wire)
    memset(to, WAKE, preamble)
    to += preamble
    to[0] = to[7] = START
    _put_bcd(to + 1, address, ADDRESS_BYTES)
    to[8], to[9] = READ_REPLY, IDENTIFIER_BYTES + REGISTER_BYTES
    for k in range(IDENTIFIER_BYTES):
        to[DATA_AT + k] = <uint8_t>((identifier >> 8 * k) + OFFSET)
    _put_bcd(to + DATA_AT + IDENTIFIER_BYTES, steps, REGISTER_BYTES)
    for k in range(DATA_AT + IDENTIFIER_BYTES, DATA_AT + IDENTIFIER_BYTES + REGISTER_BYTES):
        to[k] = <uint8_t>(to[k] + OFFSET)
    to[REGISTER_REPLY_BYTES - 2] = sum_words(to, REGISTER_REPLY_BYTES - 2)
    to[REGISTER_REPLY_BYTES - 1] = END
    return wire


cdef void _put_bcd(uint8_t *to, int64_t value, int count) noexcept nogil:
    """The lowest digits of `value`, two a byte, lowest byte first."""
    cdef int k, pair
    for k in range(count):
        pair = <int>(value % 100)
        to[k] = <uint8_t>(pair // 10 << 4 | pair % 10)
        value //= 100
