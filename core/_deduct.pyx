# cython: boundscheck=False, wraparound=False, cdivision=True
"""Bulk deduction: steps of cumulative registers to charges, balances and warning levels.

Struct of arrays, registers as rates rows of n meters; energy in Wh, prices in nanofen per Wh, money in
nanofen (thresholds in fen). Everything is an integer and exact: tiers are priced by the overlap of the
step with each tier, so a step may cross any number of limits. A step that is not plausible (BACKWARDS,
JUMP) or whose charge could leave 64 bits (RANGE) leaves the whole meter untouched and says so.
The entry checks every argument before the first unchecked access: ValueError means that nothing was
changed. The GIL is released for the whole pass; in-place arrays are under the caller's lock.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uintptr_t
from libc.string cimport memcpy

from core._isa cimport tier
from core._meter cimport (
    E_MAX,
    HALF_FEN,
    MONEY_MAX,
    NF_PER_FEN,
    PERIOD_MAX,
    TOP_BIT,
    Batch,
    Row,
    SimdPass,
    charge_meter,
    deduct_passes,
    relevel,
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

cdef enum:
    RATES_MAX = 5
    TARIFFS_MAX = 65535


cdef void _pass_scalar(const Batch *batch, const Row *row, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Batch b = batch[0]
    cdef Py_ssize_t i
    if row != NULL:
        for i in range(lo, hi):
            charge_meter(b, row, i, b.rates)
    elif b.rates == 4:
        for i in range(lo, hi):
            charge_meter(b, &b.rows[b.tariff[i]], i, 4)
    else:
        for i in range(lo, hi):
            charge_meter(b, &b.rows[b.tariff[i]], i, b.rates)


cdef void _pass_indexed(Batch b, const int64_t *index, Py_ssize_t lo, Py_ssize_t hi) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(lo, hi):
        charge_meter(b, &b.rows[b.tariff[index[k]]], index[k], b.rates)


cdef void _pass_runs(
    SimdPass run, const Batch *b, const int64_t *runs, Py_ssize_t tariffs, Py_ssize_t lo, Py_ssize_t hi
) noexcept nogil:
    cdef Py_ssize_t t
    for t in range(tariffs):
        if max(lo, runs[t]) < min(hi, runs[t + 1]):
            run(b, &b.rows[t], max(lo, runs[t]), min(hi, runs[t + 1]), _pass_scalar)


cdef inline uint32_t _outside(int32_t value, int32_t low, int32_t high) noexcept nogil:
    """Top bit set when value is not in low..high (low >= 0): differences without a branch."""
    return ((<uint32_t>value - <uint32_t>low) | (<uint32_t>high - <uint32_t>value)) & TOP_BIT


cdef uint32_t _bad_values(Batch b, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t tariffs) noexcept nogil:
    cdef uint32_t bad = 0
    cdef int32_t last = <int32_t>b.modulus - 1, last_tariff = <int32_t>tariffs - 1
    cdef Py_ssize_t i
    cdef int r
    for r in range(b.rates):
        for i in range(lo, hi):
            bad |= _outside(b.prev[r * b.meters + i], 0, last) | _outside(b.now[r * b.meters + i], 0, last)
    for i in range(lo, hi):
        bad |= _outside(b.ratio[i], 1, 1 << 20) | _outside(b.tariff[i], 0, last_tariff)
    return bad


cdef int _check_values(Batch b, Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t tariffs) except -1:
    """Refuse values out of range, naming the first meter that has one."""
    cdef Py_ssize_t i
    cdef int r
    if not _bad_values(b, lo, hi, tariffs):
        return 0
    for i in range(lo, hi):
        for r in range(b.rates):
            for name, value in (("prev_wh", b.prev[r * b.meters + i]), ("new_wh", b.now[r * b.meters + i])):
                if not 0 <= value < b.modulus:
                    raise ValueError(f"{name}[{r}, {i}] = {value} is not in 0..{b.modulus - 1}")
        if not 1 <= b.ratio[i] <= RATIO_MAX:
            raise ValueError(f"ratio[{i}] = {b.ratio[i]} is not in 1..{RATIO_MAX}")
        if b.tariff[i] >= tariffs:
            raise ValueError(f"tariff[{i}] = {b.tariff[i]}, but there are {tariffs} tariff rows")
    return 0


cdef int _check_rows(const Row *rows, Py_ssize_t tariffs) except -1:
    cdef Py_ssize_t t
    cdef int j
    cdef int64_t dearest, steps
    for t in range(tariffs):
        dearest, steps = rows[t].fifth_price, 0
        for j in range(4):
            dearest = max(dearest, rows[t].price[j])
            if rows[t].price[j] < 0 or rows[t].fifth_price < 0:
                raise ValueError(f"tariffs[{t}] has a negative price")
        for j in range(3):
            steps += abs(<int64_t>rows[t].step[j])
            if not 0 <= rows[t].boundary[j] <= PERIOD_MAX:
                raise ValueError(f"tariffs[{t}]: boundary_wh[{j}] = {rows[t].boundary[j]} is not in 0..2^53")
        if dearest + steps > E_MAX:
            raise ValueError(f"tariffs[{t}]: dearest price + tier steps = {dearest + steps}, above 2^31 - 1")
    return 0


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
    return _check_rows(rows[0], count[0])


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


cdef int _check_lengths(Py_ssize_t meters, dict lengths) except -1:
    for name, length in lengths.items():
        if length != meters:
            raise ValueError(f"{name} holds {length} elements, but ratio holds {meters}")
    return 0


cdef int _check_ascending(str name, const int64_t[::1] values, Py_ssize_t limit, bint strictly) except -1:
    cdef Py_ssize_t k
    for k in range(values.shape[0]):
        if not 0 <= values[k] <= limit:
            raise ValueError(f"{name}[{k}] = {values[k]} is not in 0..{limit}")
        if k and (values[k] < values[k - 1] or (strictly and values[k] == values[k - 1])):
            raise ValueError(f"{name}[{k}] = {values[k]} does not ascend from {values[k - 1]}")
    return 0


cdef int _check_bounds(
    Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t meters, int64_t modulus_wh, int64_t max_delta_wh
) except -1:
    if not 0 <= lo <= hi <= meters:
        raise ValueError(f"lo = {lo} and hi = {hi} do not mark a slice of {meters} meters")
    if not 0 < modulus_wh <= 1000000000 or not 0 < max_delta_wh < (modulus_wh + 1) // 2:
        raise ValueError(
            f"modulus_wh = {modulus_wh} must be 1..10^9 and max_delta_wh = {max_delta_wh} below its half"
        )
    return 0


cdef int _rates(Py_ssize_t prev_rates, Py_ssize_t new_rates) except -1:
    if not 1 <= prev_rates <= RATES_MAX or prev_rates != new_rates:
        raise ValueError(f"prev_wh has {prev_rates} rates and new_wh {new_rates}: 1..5, and the same")
    return <int>prev_rates


cdef int _check_apart(Batch b, const int64_t[::1] index, const int64_t[::1] runs) except -1:
    """What is written shares no memory with anything else: it would change values already checked."""
    cdef Py_ssize_t n = b.meters, by_rate = b.rates * b.meters * <Py_ssize_t>sizeof(int32_t)
    cdef list spans = [
        ("tier_period_wh", <uintptr_t>b.period, 8 * n),
        ("balance_nf", <uintptr_t>b.balance, 8 * n),
        ("charge_nf", <uintptr_t>b.charge, 8 * n),
        ("flags", <uintptr_t>b.flags, n), ("event", <uintptr_t>b.event, n),
        ("prev_wh", <uintptr_t>b.prev, by_rate), ("new_wh", <uintptr_t>b.now, by_rate),
        ("ratio", <uintptr_t>b.ratio, 4 * n), ("tariff", <uintptr_t>b.tariff, 2 * n),
        ("alarm1_fen", <uintptr_t>b.alarm1, 4 * n), ("alarm2_fen", <uintptr_t>b.alarm2, 4 * n),
        ("overdraft_fen", <uintptr_t>b.overdraft, 4 * n),
    ]
    if index is not None:
        spans.append(("index", <uintptr_t>&index[0], 8 * index.shape[0]))
    if runs is not None and runs.shape[0]:
        spans.append(("runs", <uintptr_t>&runs[0], 8 * runs.shape[0]))
    return _refuse_overlap(spans, 5)


cdef int _refuse_overlap(list spans, Py_ssize_t outputs) except -1:
    """Spans are (name, address, bytes); the first `outputs` of them are written."""
    for k, (name, start, size) in enumerate(spans[:outputs]):
        for other, other_start, other_size in spans[k + 1:]:
            if start < other_start + other_size and other_start < start + size:
                raise ValueError(f"{name} and {other} share memory; they must be arrays of their own")
    return 0


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
    int64_t modulus_wh=1000000000,
    int64_t max_delta_wh=100000000,
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
    ValueError for any argument that breaks the above; then nothing was changed.
    """
    cdef Py_ssize_t n = ratio.shape[0], end, rows_count = 0
    cdef Batch b
    cdef Row *rows = NULL
    cdef const int32_t[:, ::1] prev_rows, new_rows
    _check_lengths(n, {
        "tariff": tariff.shape[0], "tier_period_wh": tier_period_wh.shape[0],
        "balance_nf": balance_nf.shape[0], "alarm1_fen": alarm1_fen.shape[0],
        "alarm2_fen": alarm2_fen.shape[0], "overdraft_fen": overdraft_fen.shape[0],
        "flags": flags.shape[0], "charge_nf": charge_nf.shape[0], "event": event.shape[0],
    })
    end = (n if index is None else index.shape[0]) if hi is None else hi
    _check_bounds(lo, end, n if index is None else index.shape[0], modulus_wh, max_delta_wh)
    if lo == end:
        return
    prev_rows, new_rows = _by_rate("prev_wh", prev_wh, n), _by_rate("new_wh", new_wh, n)
    b.meters, b.rates = n, _rates(prev_rows.shape[0], new_rows.shape[0])
    b.modulus, b.max_delta = <uint32_t>modulus_wh, <uint32_t>max_delta_wh
    b.prev, b.now, b.ratio, b.tariff = &prev_rows[0, 0], &new_rows[0, 0], &ratio[0], &tariff[0]
    b.alarm1, b.alarm2, b.overdraft = &alarm1_fen[0], &alarm2_fen[0], &overdraft_fen[0]
    b.period, b.balance, b.charge = &tier_period_wh[0], &balance_nf[0], &charge_nf[0]
    b.flags, b.event = &flags[0], &event[0]
    _check_apart(b, index, runs)
    try:
        _copy_rows(tariffs, &rows, &rows_count)
        b.rows = rows
        _dispatch(b, index, runs, rows_count, lo, end)
    finally:
        PyMem_Free(rows)


cdef int _dispatch(
    Batch b, const int64_t[::1] index, const int64_t[::1] runs, Py_ssize_t tariffs,
    Py_ssize_t lo, Py_ssize_t hi,
) except -1:
    cdef const int64_t *order = NULL
    cdef Py_ssize_t rows = tariffs if runs is None else TARIFFS_MAX + 1
    cdef Py_ssize_t k
    if index is not None and runs is not None:
        raise ValueError("index and runs exclude each other")
    if index is not None:
        _check_ascending("index", index, b.meters - 1, True)
        order = &index[0]
    if runs is not None:
        if runs.shape[0] != tariffs + 1 or runs[0] != 0 or runs[tariffs] != b.meters:
            raise ValueError(f"runs must be {tariffs + 1} offsets from 0 to {b.meters}")
        _check_ascending("runs", runs, b.meters, False)
        order = &runs[0]
    if index is not None:
        for k in range(lo, hi):
            _check_values(b, index[k], index[k] + 1, rows)
    else:
        _check_values(b, lo, hi, rows)
    with nogil:
        if index is not None:
            _pass_indexed(b, order, lo, hi)
        elif runs is not None:
            _pass_runs(deduct_passes[tier], &b, order, tariffs, lo, hi)
        else:
            deduct_passes[tier](&b, NULL, lo, hi, _pass_scalar)
    return 0


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

    All arrays hold n elements, units as in `deduct`; flags in place, event overwritten.
    """
    cdef Py_ssize_t i, n = flags.shape[0]
    _check_lengths(balance_nf.shape[0], {
        "alarm1_fen": alarm1_fen.shape[0], "alarm2_fen": alarm2_fen.shape[0], "event": event.shape[0],
        "overdraft_fen": overdraft_fen.shape[0], "close_allowed_nf": close_allowed_nf.shape[0], "flags": n,
    })
    for i in range(n):
        event[i] = relevel(
            balance_nf[i], alarm1_fen[i], alarm2_fen[i], overdraft_fen[i], close_allowed_nf[i], &flags[i]
        )


def level_after(
    int64_t balance_nf, int32_t alarm1_fen, int32_t alarm2_fen, int32_t overdraft_fen,
    int64_t close_allowed_nf, uint8_t flags,
):
    """One account's level function: (new flags, event). OverflowError beyond the array types."""
    cdef uint8_t state = flags
    cdef uint8_t event = relevel(balance_nf, alarm1_fen, alarm2_fen, overdraft_fen, close_allowed_nf, &state)
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
    _check_lengths(n, {"residue_nf": residue_nf.shape[0], "posted_fen": posted_fen.shape[0]})
    for i in range(n):
        if not -MONEY_MAX <= charge_nf[i] <= MONEY_MAX:
            raise ValueError(f"charge_nf[{i}] = {charge_nf[i]} is beyond 2^62")
        if not NF_PER_FEN - MONEY_MAX <= residue_nf[i] <= MONEY_MAX - NF_PER_FEN:
            raise ValueError(f"residue_nf[{i}] = {residue_nf[i]} is beyond 2^62 - 10^9")
    if n:
        _refuse_overlap([
            ("residue_nf", <uintptr_t>&residue_nf[0], 8 * n),
            ("posted_fen", <uintptr_t>&posted_fen[0], 8 * n),
            ("charge_nf", <uintptr_t>&charge_nf[0], 8 * n),
        ], 2)
    with nogil:
        for i in range(n):
            total = residue_nf[i] + charge_nf[i]
            posted = (total + HALF_FEN) // NF_PER_FEN
            if (total + HALF_FEN) % NF_PER_FEN < 0:
                posted -= 1
            posted_fen[i] = posted
            residue_nf[i] = total - posted * NF_PER_FEN
