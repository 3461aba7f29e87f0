# cython: boundscheck=False, wraparound=False
"""Frames of DL/T 645 in bulk: a byte stream to arrays, and addresses to a block of read requests.

The scanner agrees with `core.dlt645.frame.FrameDecoder` frame by frame on any stream and any split: a
candidate that turns out wrong costs one byte, and an unfinished one is left for the next call. Values are
BCD counts as sent; the identifier table scales them. Everything is checked before the first unchecked access,
results may not share memory with the stream, and the GIL is released for the whole pass.
"""

from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memchr

from core._isa cimport tier

cdef extern from "_scan.h" nogil:
    uint64_t low_first "e645_low_first"(const uint8_t *data, Py_ssize_t count)
    uint8_t sum_words "e645_sum_words"(const uint8_t *data, Py_ssize_t length)
    uint64_t plain_word "e645_plain"(uint64_t word)
    uint64_t not_decimal "e645_not_decimal"(uint64_t bcd)
    int64_t number "e645_number"(uint64_t bcd)
    void request "e645_request"(
        uint8_t *to, Py_ssize_t waking, uint64_t address, uint64_t rest, uint8_t fixed
    )

cdef extern from "_scan512.h" nogil:
    const uint32_t WITH_IDENTIFIER "E645_WITH_IDENTIFIER"
    ctypedef struct Arrays "e645_arrays":
        int64_t *off
        uint64_t *addr
        uint8_t *ctrl
        uint8_t *dlen
        uint32_t *di
        int64_t *value
        uint16_t *error
        Py_ssize_t rows, columns, width
        bint signed_values
    ctypedef struct Progress "e645_progress":
        Py_ssize_t frames, consumed, bad
    ctypedef void (*QuickScan "e645_quick_scan")(
        const uint8_t *data, Py_ssize_t size, const Arrays *out, Progress *done
    ) noexcept nogil
    const QuickScan *quick_scans "e645_quick_scans"

ABSENT = INT64_MIN
NO_IDENTIFIER = 0xFFFFFFFF

cdef enum:
    START = 0x68
    END = 0x16
    OFFSET = 0x33
    OVERHEAD = 12
    REQUEST = 16
    PREAMBLE_MAX = 16
    NEAR = 8
    WIDTH_MAX = 8
    QUICK_WIDTH = 4
    QUICK_COLUMNS_MAX = 8

cdef inline int64_t _count(const uint8_t *data, Py_ssize_t width, bint signed_value) noexcept nogil:
    cdef uint64_t mask = ~<uint64_t>0 >> 8 * (8 - width), sign = 0
    cdef uint64_t bcd = plain_word(low_first(data, width)) & mask
    if signed_value:
        sign = bcd & (<uint64_t>0x80 << 8 * (width - 1))
        bcd ^= sign
    if not_decimal(bcd):
        return INT64_MIN
    return -number(bcd) if sign else number(bcd)


cdef inline uint16_t _error_word(const uint8_t *data, uint8_t length) noexcept nogil:
    if length == 0:
        return 0
    return <uint8_t>(data[0] - OFFSET) | (<uint16_t><uint8_t>(data[1] - OFFSET) << 8 if length > 1 else 0)


cdef inline void _store(Arrays *out, Py_ssize_t row, const uint8_t *frame, Py_ssize_t at) noexcept nogil:
    cdef uint8_t control = frame[8], length = frame[9]
    cdef Py_ssize_t k, items = 0
    cdef int64_t *value = out.value + row * out.columns
    out.off[row] = at
    out.addr[row] = low_first(frame + 1, 4) | <uint64_t>frame[5] << 32 | <uint64_t>frame[6] << 40
    out.ctrl[row] = control
    out.dlen[row] = length
    out.error[row] = _error_word(frame + 10, length) if control & 0xC0 == 0xC0 else 0
    if length >= 4 and not control & 0x40 and (WITH_IDENTIFIER >> (control & 0x1F)) & 1:
        out.di[row] = <uint32_t>plain_word(low_first(frame + 10, 4))
        items = min((length - 4) // out.width, out.columns)
    else:
        out.di[row] = <uint32_t>0xFFFFFFFF
    for k in range(items):
        value[k] = _count(frame + 14 + k * out.width, out.width, out.signed_values)
    for k in range(items, out.columns):
        value[k] = INT64_MIN


cdef inline Py_ssize_t _next_start(const uint8_t *data, Py_ssize_t size, Py_ssize_t at) noexcept nogil:
    cdef Py_ssize_t near = min(size, at + NEAR)
    cdef const void *found
    while at < near:
        if data[at] == START:
            return at
        at += 1
    if at == size:
        return size
    found = memchr(data + at, START, size - at)
    return size if found == NULL else <const uint8_t *>found - data


cdef Progress _scan(const uint8_t *data, Py_ssize_t size, Arrays *out, bint final) noexcept nogil:
    cdef Progress done
    cdef Py_ssize_t at, held, length
    cdef bint quick = out.width == QUICK_WIDTH and out.columns <= QUICK_COLUMNS_MAX
    done.frames = done.consumed = done.bad = 0
    while done.frames < out.rows:
        if quick:
            quick_scans[tier](data, size, out, &done)
            if done.frames == out.rows:
                break
        at = done.consumed = _next_start(data, size, done.consumed)
        held = size - at
        if held == 0:
            break
        if held >= 8 and data[at + 7] != START:
            done.consumed += 1
            continue
        length = OVERHEAD + data[at + 9] if held >= OVERHEAD else OVERHEAD
        if held < length:
            if not final:
                break
            done.consumed += 1
        elif data[at + length - 1] != END:
            done.consumed += 1
        elif sum_words(data + at, length - 2) != data[at + length - 2]:
            done.bad += 1
            done.consumed += 1
        else:
            _store(out, done.frames, data + at, at)
            done.frames += 1
            done.consumed += length
    return done


cdef int _check_apart(const uint8_t[::1] buf, Arrays *out) except -1:
    """What is written shares no memory with the stream nor with another result."""
    cdef uintptr_t start[8]
    cdef uintptr_t size[8]
    cdef Py_ssize_t n = out.rows
    cdef int j, k
    start[:] = [
        <uintptr_t>&buf[0], <uintptr_t>out.off, <uintptr_t>out.addr, <uintptr_t>out.ctrl, <uintptr_t>out.dlen,
        <uintptr_t>out.di, <uintptr_t>out.value, <uintptr_t>out.error,
    ]
    size[:] = [buf.shape[0], 8 * n, 8 * n, n, n, 4 * n, 8 * n * out.columns, n]
    for j in range(8):
        for k in range(j + 1, 8):
            if start[j] < start[k] + size[k] and start[k] < start[j] + size[j]:
                raise ValueError("buf and the arrays of results must not share memory")
    return 0


def decode_dlt645(
    const uint8_t[::1] buf not None,
    int64_t[::1] off not None,
    uint64_t[::1] addr not None,
    uint8_t[::1] ctrl not None,
    uint8_t[::1] dlen not None,
    uint32_t[::1] di not None,
    int64_t[:, ::1] value not None,
    uint16_t[::1] error not None,
    *,
    Py_ssize_t width=4,
    bint signed_values=False,
    bint final=False,
) -> tuple:
    """Find frames in a stream and store one a row; returns (frames, consumed, bad).

    buf : uint8[:], the stream; what is behind `consumed` belongs in front of the next call's bytes
    off : int64[n], position of the first 68H; addr : uint64[n], packed BCD as displayed (A marks wildcards)
    ctrl, dlen : uint8[n], control code and L; di : uint32[n], identifier or NO_IDENTIFIER
    value : int64[n, K], BCD counts of the items behind the identifier; ABSENT where there is none or no BCD
    error : uint16[n], the error word of an abnormal reply, of one byte or (SERR) two, else 0
    width : bytes of an item, 1..8; signed_values : the top bit of an item is its sign
    final : the line is silent, so unfinished candidates are given up
    bad counts candidates whose marks fit and whose sum does not. When n frames are found the scan stops.
    ValueError for arrays of other lengths or sharing memory; then nothing was written.
    """
    cdef Arrays out
    cdef Progress done
    cdef Py_ssize_t n = off.shape[0]
    for length in (addr.shape[0], ctrl.shape[0], dlen.shape[0], di.shape[0], value.shape[0], error.shape[0]):
        if length != n:
            raise ValueError(f"all results must have {n} rows as off has, not {length}")
    if not 1 <= width <= WIDTH_MAX:
        raise ValueError(f"width must be 1..{WIDTH_MAX} bytes, got {width}")
    if n == 0 or buf.shape[0] == 0:
        return 0, 0, 0
    out.off, out.addr, out.ctrl, out.dlen = &off[0], &addr[0], &ctrl[0], &dlen[0]
    out.di, out.error = &di[0], &error[0]
    out.value = &value[0, 0] if value.shape[1] else NULL
    out.rows, out.columns, out.width, out.signed_values = n, value.shape[1], width, signed_values
    _check_apart(buf, &out)
    with nogil:
        done = _scan(&buf[0], buf.shape[0], &out, final)
    return done.frames, done.consumed, done.bad


cdef inline bint _is_address(uint64_t address) noexcept nogil:
    """Twelve decimal digits, or AA for a wildcard byte."""
    cdef int k
    cdef uint8_t byte
    if address >> 48:
        return False
    if not not_decimal(address):
        return True
    for k in range(6):
        byte = <uint8_t>(address >> 8 * k)
        if byte != 0xAA and not_decimal(byte):
            return False
    return True


def encode_dlt645(const uint64_t[::1] addr not None, uint32_t di, uint8_t[:, ::1] out not None) -> None:
    """A read request (11H) for one identifier to each address, one a row.

    addr : uint64[n], packed BCD as displayed, AA for a wildcard byte; di : the identifier
    out : uint8[n, 16 + p], overwritten, p = 0..16 waking bytes FEH in front.
    ValueError for an address that is none or an array of another shape; then nothing was written.
    """
    cdef Py_ssize_t i, n = addr.shape[0], preamble = out.shape[1] - REQUEST
    cdef int k
    cdef uint8_t fixed
    cdef uint64_t rest
    if out.shape[0] != n or not 0 <= preamble <= PREAMBLE_MAX:
        raise ValueError(f"out must be uint8[{n}, 16..32], not uint8[{out.shape[0]}, {out.shape[1]}]")
    for i in range(n):
        if not _is_address(addr[i]):
            raise ValueError(f"addr[{i}] = {addr[i]:012X}H is no packed address of 12 digits")
    if n == 0:
        return
    if <uintptr_t>&addr[0] < <uintptr_t>&out[0, 0] + <uintptr_t>(n * out.shape[1]) and (
        <uintptr_t>&out[0, 0] < <uintptr_t>&addr[0] + <uintptr_t>(8 * n)
    ):
        raise ValueError("out shares memory with addr; it must be an array of its own")
    fixed = <uint8_t>(2 * START + 0x11 + 4)
    rest = 0x11 | 4 << 8 | <uint64_t>END << 56
    for k in range(4):
        fixed += <uint8_t>((di >> 8 * k) + OFFSET)
        rest |= <uint64_t><uint8_t>((di >> 8 * k) + OFFSET) << 8 * (2 + k)
    with nogil:
        for i in range(n):
            request(&out[i, 0], preamble, addr[i], rest, fixed)
