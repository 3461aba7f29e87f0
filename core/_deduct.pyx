# cython: boundscheck=False, wraparound=False, cdivision=True
"""Bulk deduction: steps of cumulative registers to charges, balances and warning levels.

Struct of arrays, registers as rates rows of n meters; energy in Wh, prices in nanofen per Wh, money in
nanofen (thresholds in fen). Everything is an integer and exact: tiers are priced by the overlap of the
step with each tier, so a step may cross any number of limits. A step that is not plausible (BACKWARDS,
JUMP) or whose charge could leave 64 bits (RANGE) leaves the whole meter untouched and says so.
ValueError for any argument means that nothing was changed. The SIMD tiers read a long batch only once, so they
check each value just before its use and keep what they overwrite; a bad value undoes the call bit for bit. The
GIL is released for the whole pass; all arrays are under the caller's lock.
"""

from operator import index as whole

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memcpy, memset

from core._deduct_checks cimport (
    Span,
    check_apart,
    check_ascending,
    check_bounds,
    check_lengths,
    check_rows,
    name_unsound,
    span,
)
from core._isa cimport tier
from core._meter cimport (
    HALF_FEN,
    MONEY_MAX,
    NF_PER_FEN,
    Batch,
    Row,
    charge_meter,
    deduct_checks,
    deduct_logs,
    deduct_passes,
    keep_old,
    relevel,
    restore,
    sound,
)

EVENT_NONE = 0
EVENT_ALARM1 = 1
EVENT_ALARM2 = 2
EVENT_TRIP = 3
EVENT_CLOSE_ALLOWED = 4
EVENT_BACKWARDS = 5
EVENT_JUMP = 6
EVENT_RANGE = 7
FLAG_LEVEL_MASK = 3
FLAG_KEEP_POWER = 4
E_MAX_WH = 2**31 - 1
RATIO_MAX = 2**20
ROW_BYTES = 64

_ARRAYS = (
    "tier_period_wh", "balance_nf", "charge_nf", "flags", "event", "prev_wh", "new_wh", "ratio", "tariff",
    "alarm1_fen", "alarm2_fen", "overdraft_fen", "runs",
)
_LEVEL_ARRAYS = (
    "flags", "event", "balance_nf", "close_allowed_nf", "alarm1_fen", "alarm2_fen", "overdraft_fen",
)
_ARRAYS_BY_INDEX = (*_ARRAYS[:12], "index")

cdef enum:
    RATES_MAX = 5
    TARIFFS_MAX = 65535
    LINE = 64  # bytes, and meters whose flags fill one
    CHECKED_FIRST_MAX = 8192  # meters: 102 bytes each fit the second cache
    KEPT_MAX = 3 << 20  # meters: 10 bytes each stay below what malloc gives back to the system


cdef Py_ssize_t _pass_scalar(const Batch *batch, const Row *row, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Batch b = batch[0]
    cdef Py_ssize_t i
    if b.old_charge != NULL:
        return _pass_kept(batch, row, lo, hi)
    if row != NULL:
        for i in range(lo, hi):
            charge_meter(b, row, i, b.rates)
    elif b.rates == 4:
        for i in range(lo, hi):
            charge_meter(b, &b.rows[b.tariff[i]], i, 4)
    else:
        for i in range(lo, hi):
            charge_meter(b, &b.rows[b.tariff[i]], i, b.rates)
    return hi


cdef Py_ssize_t _pass_kept(const Batch *b, const Row *row, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    """The few meters that a SIMD pass leaves over, not checked before: stops at the first bad one."""
    cdef Py_ssize_t i
    for i in range(lo, hi):
        if not sound(b, i):
            return i
        keep_old(b, i)
        charge_meter(b[0], row if row != NULL else &b.rows[b.tariff[i]], i, b.rates)
    return hi


cdef Py_ssize_t _pass_indexed(const Batch *b, const int64_t *index, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(lo, hi):
        if not sound(b, index[k]):
            return k
    for k in range(lo, hi):
        charge_meter(b[0], &b.rows[b.tariff[index[k]]], index[k], b.rates)
    return hi


cdef Py_ssize_t _pass_runs(
    const Batch *b, const int64_t *runs, Py_ssize_t tariffs, Py_ssize_t lo, Py_ssize_t hi
) noexcept nogil:
    cdef Py_ssize_t t, first, last
    if runs == NULL:
        return deduct_passes[tier](b, NULL, lo, hi, _pass_scalar)
    for t in range(tariffs):
        first, last = max(lo, runs[t]), min(hi, runs[t + 1])
        if first < last:
            first = deduct_passes[tier](b, &b.rows[t], first, last, _pass_scalar)
            if first < last:
                return first
    return hi


cdef bint _charged(
    Batch *b, const int64_t *runs, Py_ssize_t tariffs, Py_ssize_t lo, Py_ssize_t logged, Py_ssize_t hi
) noexcept nogil:
    """Charge all of lo..hi - 1, or nothing: lo..logged - 1 are checked on the way, the rest before."""
    cdef Py_ssize_t i, stop
    if deduct_checks[tier](b, logged, hi):
        return False
    stop = _pass_runs(b, runs, tariffs, lo, logged)
    for i in range(lo, stop if stop < logged else lo):
        restore(b, i)
    b.old_charge = NULL
    if stop == logged:
        _pass_runs(b, runs, tariffs, logged, hi)
    return stop == logged


cdef int _copy_rows(object tariffs, Row **rows, Py_ssize_t *count) except -1:
    """An aligned copy of the rows: 4 KiB for 64 tariffs, and nobody can change them during the pass."""
    cdef Py_buffer view
    PyObject_GetBuffer(tariffs, &view, PyBUF_SIMPLE)
    try:
        if view.len % <Py_ssize_t>sizeof(Row) or not view.len:
            raise ValueError(f"tariffs must be whole rows of {sizeof(Row)} bytes, got {view.len} bytes")
        count[0] = view.len // <Py_ssize_t>sizeof(Row)
        if count[0] > TARIFFS_MAX:
            raise ValueError(f"at most {TARIFFS_MAX} tariff rows fit a uint16 number, got {count[0]}")
        rows[0] = <Row *>PyMem_Malloc(view.len)
        if rows[0] == NULL:
            raise MemoryError
        memcpy(rows[0], view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
    return check_rows(rows[0], count[0])


cdef object _by_rate(str name, object array, Py_ssize_t meters):
    """The array as int32[R, n]; a flat array of R x n elements (array.array) is given that shape."""
    view = memoryview(array)
    if not view.c_contiguous:
        raise ValueError(f"{name} is not C-contiguous")
    flat = view.ndim == 1 and view.format in ("i", "l") and view.itemsize == 4
    if flat and len(view) >= meters > 0 and len(view) % meters == 0:
        view = view.cast("B").cast("i", (len(view) // meters, meters))
    if view.ndim != 2 or view.shape[1] != meters:
        raise ValueError(f"{name} must be int32[R, {meters}], not {view.format!r}{list(view.shape)}")
    return view


cdef int _rates(Py_ssize_t prev_rates, Py_ssize_t new_rates) except -1:
    if not 1 <= prev_rates <= RATES_MAX or prev_rates != new_rates:
        raise ValueError(f"prev_wh has {prev_rates} rates and new_wh {new_rates}: 1..5, and the same")
    return <int>prev_rates


cdef int _check_apart(const Batch *b, const int64_t[::1] index, const int64_t[::1] runs) except -1:
    cdef Py_ssize_t n = b.meters, by_rate = b.rates * n * <Py_ssize_t>sizeof(int32_t), count = 12
    cdef const int64_t[::1] order = runs if index is None else index
    cdef Span[13] spans
    spans[0], spans[1], spans[2] = span(b.period, 8 * n), span(b.balance, 8 * n), span(b.charge, 8 * n)
    spans[3], spans[4] = span(b.flags, n), span(b.event, n)
    spans[5], spans[6], spans[7] = span(b.prev, by_rate), span(b.now, by_rate), span(b.ratio, 4 * n)
    spans[8], spans[9], spans[10] = span(b.tariff, 2 * n), span(b.alarm1, 4 * n), span(b.alarm2, 4 * n)
    spans[11] = span(b.overdraft, 4 * n)
    if order is not None and order.shape[0]:
        spans[12], count = span(&order[0], 8 * order.shape[0]), 13
    return check_apart(spans, count, 5, _ARRAYS if index is None else _ARRAYS_BY_INDEX)


def deduct(
    prev_wh,
    new_wh,
    const int32_t[::1] ratio not None,
    const uint16_t[::1] tariff not None,
    int64_t[::1] tier_period_wh not None,
    int64_t[::1] balance_nf not None,
    const int32_t[::1] alarm1_fen not None,
    const int32_t[::1] alarm2_fen not None,
    const int32_t[::1] overdraft_fen not None,
    uint8_t[::1] flags not None,
    int64_t[::1] charge_nf not None,
    uint8_t[::1] event not None,
    tariffs,
    *,
    modulus_wh=1000000000,
    max_delta_wh=100000000,
    const int64_t[::1] index=None,
    const int64_t[::1] runs=None,
    Py_ssize_t lo=0,
    hi=None,
):
    """Charge the steps prev_wh -> new_wh of n meters.

    prev_wh, new_wh : int32[R, n], R = 1..5, each 0..modulus_wh - 1 (or flat, R x n elements)
    ratio : int32[n], 1..2^20; tariff : uint16[n], row number in tariffs
    tier_period_wh, balance_nf : int64[n], in place; flags : uint8[n], in place (level 0..3, KEEP_POWER)
    alarm1_fen, alarm2_fen, overdraft_fen : int32[n]; alarms fire below, the trip at or below -overdraft
    charge_nf : int64[n], event : uint8[n], overwritten
    tariffs : 64-byte rows of `core.tariff.compile_row`
    modulus_wh <= 10^9, max_delta_wh < modulus_wh / 2: a longer step is BACKWARDS or JUMP
    index : int64[k], ascending meter numbers: only these are charged; lo and hi then count in index
    runs : int64[T + 1]: meters runs[t]..runs[t + 1] - 1 have tariff row t, whatever tariff says
    lo, hi : the slice to charge, all by default; what is outside stays untouched
    What is written shares no memory with any other argument.

    An event BACKWARDS, JUMP or RANGE (more than 2^31 - 1 Wh, a balance beyond +-2^62, a period beyond
    2^53 Wh) charges 0 and changes no state. A TRIP event is a finding, never a command.
    ValueError for what breaks the above, TypeError for a scalar that is no integer; then nothing was changed.
    """
    cdef Py_ssize_t n = ratio.shape[0], end, rows_count = 0
    cdef int64_t modulus = whole(modulus_wh), max_delta = whole(max_delta_wh)
    cdef Batch b
    cdef Row *rows = NULL
    cdef const int32_t[:, ::1] prev_rows, new_rows
    check_lengths("ratio", n, {
        "tariff": tariff.shape[0], "tier_period_wh": tier_period_wh.shape[0], "balance_nf": balance_nf.shape[0],
        "alarm1_fen": alarm1_fen.shape[0], "alarm2_fen": alarm2_fen.shape[0], "overdraft_fen": overdraft_fen.shape[0],
        "flags": flags.shape[0], "charge_nf": charge_nf.shape[0], "event": event.shape[0],
    })
    end = (n if index is None else index.shape[0]) if hi is None else hi
    check_bounds(lo, end, n if index is None else index.shape[0], modulus, max_delta)
    memset(&b, 0, sizeof(Batch))
    b.meters, b.modulus, b.max_delta = n, <uint32_t>modulus, <uint32_t>max_delta
    if n:
        prev_rows, new_rows = _by_rate("prev_wh", prev_wh, n), _by_rate("new_wh", new_wh, n)
        b.rates = _rates(prev_rows.shape[0], new_rows.shape[0])
        b.prev, b.now, b.ratio, b.tariff = &prev_rows[0, 0], &new_rows[0, 0], &ratio[0], &tariff[0]
        b.alarm1, b.alarm2, b.overdraft = &alarm1_fen[0], &alarm2_fen[0], &overdraft_fen[0]
        b.period, b.balance, b.charge = &tier_period_wh[0], &balance_nf[0], &charge_nf[0]
        b.flags, b.event = &flags[0], &event[0]
        _check_apart(&b, index, runs)
    try:
        _copy_rows(tariffs, &rows, &rows_count)
        b.rows = rows
        _dispatch(&b, index, runs, rows_count, lo, end)
    finally:
        PyMem_Free(rows)


cdef int _dispatch(
    Batch *b, const int64_t[::1] index, const int64_t[::1] runs, Py_ssize_t tariffs, Py_ssize_t lo, Py_ssize_t hi
) except -1:
    cdef const int64_t *order = NULL
    cdef Py_ssize_t done
    if index is not None and runs is not None:
        raise ValueError("index and runs exclude each other")
    b.last_tariff = <uint16_t>(tariffs - 1 if runs is None else TARIFFS_MAX)
    if index is not None:
        check_ascending("index", index, b.meters - 1, True)
        order = &index[0]
        with nogil:
            done = _pass_indexed(b, order, lo, hi)
        return 0 if done == hi else name_unsound(b, order, lo, hi)
    if runs is not None:
        if runs.shape[0] != tariffs + 1 or runs[0] != 0 or runs[tariffs] != b.meters:
            raise ValueError(f"runs must be {tariffs + 1} offsets from 0 to {b.meters}")
        check_ascending("runs", runs, b.meters, False)
        order = &runs[0]
    return _charge_all(b, order, tariffs, lo, hi)


cdef int _charge_all(
    Batch *b, const int64_t *runs, Py_ssize_t tariffs, Py_ssize_t lo, Py_ssize_t hi
) except -1:
    """A short batch stays in the cache and is checked first, a long one is read once with old values kept."""
    cdef Py_ssize_t logged = lo, kept
    cdef void *log = NULL
    cdef uintptr_t line
    cdef bint charged
    b.old_charge = NULL
    if deduct_logs[tier] and hi - lo > CHECKED_FIRST_MAX:
        logged = min(hi, lo + KEPT_MAX)
        kept = (logged - lo + LINE - 1) // LINE * LINE
        log = PyMem_RawMalloc(kept * 10 + LINE)
        if log == NULL:
            raise MemoryError
        line = (<uintptr_t>log + LINE - 1) // LINE * LINE
        b.logged_from, b.old_charge = lo, <int64_t *>line
        b.old_flags, b.old_event = <uint8_t *>(line + 8 * kept), <uint8_t *>(line + 9 * kept)
    with nogil:
        charged = _charged(b, runs, tariffs, lo, logged, hi)
        PyMem_RawFree(log)
    return 0 if charged else name_unsound(b, NULL, lo, hi)


def update_levels(
    const int64_t[::1] balance_nf not None,
    const int32_t[::1] alarm1_fen not None,
    const int32_t[::1] alarm2_fen not None,
    const int32_t[::1] overdraft_fen not None,
    const int64_t[::1] close_allowed_nf not None,
    uint8_t[::1] flags not None,
    uint8_t[::1] event not None,
):
    """The level function of `deduct` alone, for accounts after top-ups or with new limits.

    All arrays hold n elements, units as in `deduct`; flags in place, event overwritten. These two share no memory
    with any other argument (`ValueError`).
    """
    cdef Py_ssize_t i, n = flags.shape[0]
    cdef Span[7] spans
    check_lengths("balance_nf", balance_nf.shape[0], {
        "alarm1_fen": alarm1_fen.shape[0], "alarm2_fen": alarm2_fen.shape[0], "event": event.shape[0],
        "overdraft_fen": overdraft_fen.shape[0], "close_allowed_nf": close_allowed_nf.shape[0], "flags": n,
    })
    if n:
        spans[0], spans[1] = span(&flags[0], n), span(&event[0], n)
        spans[2], spans[3] = span(&balance_nf[0], 8 * n), span(&close_allowed_nf[0], 8 * n)
        spans[4], spans[5] = span(&alarm1_fen[0], 4 * n), span(&alarm2_fen[0], 4 * n)
        spans[6] = span(&overdraft_fen[0], 4 * n)
        check_apart(spans, 7, 2, _LEVEL_ARRAYS)
    with nogil:
        for i in range(n):
            event[i] = relevel(
                balance_nf[i], alarm1_fen[i], alarm2_fen[i], overdraft_fen[i], close_allowed_nf[i], &flags[i]
            )


def level_after(balance_nf, alarm1_fen, alarm2_fen, overdraft_fen, close_allowed_nf, flags):
    """One account's level function: (new flags, event). OverflowError beyond the array types, TypeError for floats."""
    cdef int64_t balance = whole(balance_nf), close_allowed = whole(close_allowed_nf)
    cdef int32_t alarm1 = whole(alarm1_fen), alarm2 = whole(alarm2_fen), overdraft = whole(overdraft_fen)
    cdef uint8_t state = whole(flags)
    cdef uint8_t event = relevel(balance, alarm1, alarm2, overdraft, close_allowed, &state)
    return state, event


def post_fen(
    const int64_t[::1] charge_nf not None, int64_t[::1] residue_nf not None, int64_t[::1] posted_fen not None
):
    """Post exact charges to whole fen, half up over the settlement period's running sum.

    charge_nf : int64[n]; residue_nf : int64[n], in place, charged but not yet posted;
    posted_fen : int64[n], overwritten with floor((residue + charge + 5e8) / 10^9).
    ValueError when a charge or residue is beyond +-2^62 / +-(2^62 - 10^9); then nothing was changed.
    """
    cdef Py_ssize_t i, n = charge_nf.shape[0]
    cdef int64_t total, posted
    cdef Span[3] spans
    check_lengths("charge_nf", n, {"residue_nf": residue_nf.shape[0], "posted_fen": posted_fen.shape[0]})
    for i in range(n):
        if not -MONEY_MAX <= charge_nf[i] <= MONEY_MAX:
            raise ValueError(f"charge_nf[{i}] = {charge_nf[i]} is beyond 2^62")
        if not NF_PER_FEN - MONEY_MAX <= residue_nf[i] <= MONEY_MAX - NF_PER_FEN:
            raise ValueError(f"residue_nf[{i}] = {residue_nf[i]} is beyond 2^62 - 10^9")
    if n:
        spans[0], spans[1], spans[2] = span(&residue_nf[0], 8 * n), span(&posted_fen[0], 8 * n), span(&charge_nf[0], 8 * n)
        check_apart(spans, 3, 2, ("residue_nf", "posted_fen", "charge_nf"))
    with nogil:
        for i in range(n):
            total = residue_nf[i] + charge_nf[i]
            posted = (total + HALF_FEN) // NF_PER_FEN
            if (total + HALF_FEN) % NF_PER_FEN < 0:
                posted -= 1
            posted_fen[i] = posted
            residue_nf[i] = total - posted * NF_PER_FEN
