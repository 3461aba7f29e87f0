# cython: boundscheck=False, wraparound=False
"""Checks of the wire: the DL/T 645 sum and two reflected CRC-16s, for one frame or a batch.

One frame: any contiguous buffer, with a path for `bytes` that acquires no buffer at all.
A batch: one byte buffer and n + 1 offsets, frame i being buf[off[i]:off[i + 1]]; results go to an
array of the caller's, and the GIL is released while they are computed.
Offsets and lengths are validated before the first unchecked access, and results may not land in the very
arrays that were validated; whoever passes arrays must not change them from another thread during the call.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uintptr_t

from core._isa cimport tier

CRC_MODBUS = 0
CRC_X25 = 1

cdef enum:
    MODBUS = 0
    X25 = 1
    # 68H, six address bytes, 68H, control, length, sum, 16H
    FRAME_OVERHEAD = 12
    FRAME_START = 0x68
    FRAME_END = 0x16

cdef extern from "_crc.h" nogil:
    ctypedef struct Crc "e645_crc":
        uint16_t final_xor
    ctypedef void (*CrcPass "e645_crc_pass")(
        const Crc *, const uint8_t *, const int64_t *, Py_ssize_t, uint16_t *
    ) noexcept nogil
    ctypedef void (*SumPass "e645_sum_pass")(const uint8_t *, const int64_t *, Py_ssize_t, uint8_t *) noexcept nogil
    const CrcPass *crc_passes "e645_crc_passes"
    const SumPass *sum_passes "e645_sum_passes"
    ctypedef bint (*Ascending "e645_ascending_pass")(const int64_t *, Py_ssize_t) noexcept nogil
    const Ascending *ascending_passes "e645_ascending_passes"
    void _fill "e645_crc_fill"(Crc *kind, uint16_t polynomial, uint16_t final_xor)
    void _fill_window "e645_window_fill"()
    uint16_t _crc_bytes "e645_crc_bytes"(const Crc *kind, const uint8_t *data, Py_ssize_t length, uint16_t crc)
    uint8_t _sum "e645_sum_bytes"(const uint8_t *data, Py_ssize_t length)

cdef Crc _kinds[2]

_fill(&_kinds[MODBUS], 0xA001, 0)
_fill(&_kinds[X25], 0x8408, 0xFFFF)
_fill_window()


cdef inline uint16_t _crc(int kind, const uint8_t *data, Py_ssize_t length) noexcept nogil:
    return _crc_bytes(&_kinds[kind], data, length, 0xFFFF) ^ _kinds[kind].final_xor


cdef inline uint8_t _frame_ok(const uint8_t *frame, Py_ssize_t length) noexcept nogil:
    """One whole frame without preamble: both start bytes, the length, the sum, the end byte."""
    if length < FRAME_OVERHEAD or frame[0] != FRAME_START or frame[7] != FRAME_START:
        return 0
    if frame[9] + FRAME_OVERHEAD != length or frame[length - 1] != FRAME_END:
        return 0
    return _sum(frame, length - 2) == frame[length - 2]


def dlt_sum(data) -> int:
    """Sum of all bytes modulo 256 (DL/T 645-2007, 5.2.6), of any contiguous buffer.

    The caller passes the bytes from the first 68H to the last data byte. TypeError for no buffer.
    """
    cdef Py_buffer view
    cdef uint8_t total
    if PyBytes_CheckExact(data):
        return _sum(<const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    total = _sum(<const uint8_t *>view.buf, view.len)
    PyBuffer_Release(&view)
    return total


cdef int _crc16(int kind, object data) except -1:
    cdef Py_buffer view
    cdef uint16_t crc
    if PyBytes_CheckExact(data):
        return _crc(kind, <const uint8_t *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    crc = _crc(kind, <const uint8_t *>view.buf, view.len)
    PyBuffer_Release(&view)
    return crc


def crc16_modbus(data) -> int:
    """CRC-16/MODBUS of any contiguous buffer (check value of b"123456789": 4B37H)."""
    return _crc16(MODBUS, data)


def crc16_x25(data) -> int:
    """CRC-16/IBM-SDLC (X.25, HDLC FCS) of any contiguous buffer (check value: 906EH)."""
    return _crc16(X25, data)


cdef int _check_offsets(Py_ssize_t size, const int64_t[::1] off, Py_ssize_t outputs) except -1:
    cdef Py_ssize_t i, last = off.shape[0] - 1
    if last < 0:
        raise ValueError("off needs n + 1 offsets for n frames, got none")
    if outputs != last:
        raise ValueError(f"out must hold one element a frame: {last} frames, {outputs} elements")
    if off[0] < 0:
        raise ValueError(f"off[0] is {off[0]}, offsets cannot be negative")
    for i in range(0 if ascending_passes[tier](&off[0], last) else last):
        if off[i + 1] < off[i]:
            raise ValueError(f"off[{i + 1}] = {off[i + 1]} is below off[{i}] = {off[i]}")
    if off[last] > size:
        raise ValueError(f"off[{last}] = {off[last]} is beyond the buffer of {size} bytes")
    return 0


cdef int _check_apart(
    const void *out, Py_ssize_t out_bytes, const uint8_t[::1] buf, const int64_t[::1] off
) except -1:
    """Writing results must change neither the offsets that were just checked nor the frames."""
    cdef uintptr_t start = <uintptr_t>out, end = start + <uintptr_t>out_bytes
    cdef uintptr_t offsets = <uintptr_t>&off[0], frames = <uintptr_t>&buf[0] if buf.shape[0] else 0
    if start < offsets + <uintptr_t>off.shape[0] * sizeof(int64_t) and offsets < end:
        raise ValueError("out shares memory with off; it must be an array of its own")
    if start < frames + <uintptr_t>buf.shape[0] and frames < end:
        raise ValueError("out shares memory with buf; it must be an array of its own")
    return 0


def sum_batch(
    const uint8_t[::1] buf not None, const int64_t[::1] off not None, uint8_t[::1] out not None
) -> None:
    """DL/T 645 sum of each frame.

    buf : uint8[:], C-contiguous; off : int64[n + 1], not descending, inside buf;
    out : uint8[n], overwritten, sharing no memory with the others.
    ValueError if that does not hold; then nothing is written.
    """
    cdef Py_ssize_t n = out.shape[0]
    _check_offsets(buf.shape[0], off, n)
    if n:
        _check_apart(&out[0], n * <Py_ssize_t>sizeof(out[0]), buf, off)
    cdef uint8_t nothing = 0
    cdef const uint8_t *data = &buf[0] if buf.shape[0] else &nothing
    with nogil:
        if n:
            sum_passes[tier](data, &off[0], n, &out[0])


def check_batch(
    const uint8_t[::1] buf not None, const int64_t[::1] off not None, uint8_t[::1] out not None
) -> int:
    """Which slices are whole DL/T 645 frames, from the first 68H to 16H; returns how many.

    out[i] = 1 when both 68H, the length byte, the sum and 16H are right (a preamble is not part of
    a frame). Arguments and errors as in `sum_batch`.
    """
    cdef Py_ssize_t i, n = out.shape[0], good = 0
    _check_offsets(buf.shape[0], off, n)
    if n:
        _check_apart(&out[0], n * <Py_ssize_t>sizeof(out[0]), buf, off)
    cdef uint8_t nothing = 0
    cdef const uint8_t *data = &buf[0] if buf.shape[0] else &nothing
    with nogil:
        for i in range(n):
            out[i] = _frame_ok(data + off[i], off[i + 1] - off[i])
            good += out[i]
    return good


def crc_batch(
    int kind, const uint8_t[::1] buf not None, const int64_t[::1] off not None, uint16_t[::1] out not None
) -> None:
    """CRC of each frame; kind is CRC_MODBUS or CRC_X25, out : uint16[n], the rest as in `sum_batch`."""
    cdef Py_ssize_t n = out.shape[0]
    if kind != MODBUS and kind != X25:
        raise ValueError(f"kind must be CRC_MODBUS (0) or CRC_X25 (1), got {kind}")
    _check_offsets(buf.shape[0], off, n)
    if n:
        _check_apart(&out[0], n * <Py_ssize_t>sizeof(out[0]), buf, off)
    cdef uint8_t nothing = 0
    cdef const uint8_t *data = &buf[0] if buf.shape[0] else &nothing
    with nogil:
        if n:
            crc_passes[tier](&_kinds[kind], data, &off[0], n, &out[0])
