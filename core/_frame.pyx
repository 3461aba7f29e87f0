# cython: boundscheck=False, wraparound=False
"""The usual case of one DL/T 645 frame: `bytes` to its fields and back, in one call each.

Both return None for anything unusual (another type, an address with wildcards, a frame that is not sound), and
`core.dlt645.frame` then goes its long way, which accepts what is right and says what is wrong.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject_GenericSetAttr
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_CheckExact, PyUnicode_FromStringAndSize
from libc.stdint cimport uint8_t
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

cdef const char *_HEX = "0123456789ABCDEF"


cdef object _address(const uint8_t *wire):
    cdef char[2 * ADDRESS_BYTES] digits
    cdef int k
    for k in range(ADDRESS_BYTES):
        digits[2 * k] = _HEX[wire[ADDRESS_BYTES - 1 - k] >> 4]
        digits[2 * k + 1] = _HEX[wire[ADDRESS_BYTES - 1 - k] & 15]
    return PyUnicode_FromStringAndSize(digits, 2 * ADDRESS_BYTES)


def read_frame(type cls not None, wire):
    """The one sound frame in `wire` as an instance of `cls`, which has slots address, control and data; or None."""
    cdef const uint8_t *start
    cdef uint8_t *data
    cdef Py_ssize_t size, k
    if not PyBytes_CheckExact(wire):
        return None
    start, size = <const uint8_t *>PyBytes_AS_STRING(wire), PyBytes_GET_SIZE(wire)
    while size and start[0] == WAKE:
        start += 1
        size -= 1
    if size < OVERHEAD or start[0] != START or start[7] != START or OVERHEAD + start[9] != size:
        return None
    if start[size - 1] != END or sum_words(start, size - 2) != start[size - 2]:
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
