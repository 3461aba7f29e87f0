"""Checks of the arguments of `_deduct`, inlined there: each raises ValueError and says what was wrong, and where."""

from libc.stdint cimport int32_t, int64_t, uintptr_t

from core._meter cimport E_MAX, PERIOD_MAX, RATIO_MAX, Batch, Row

cdef struct Span:
    uintptr_t start
    Py_ssize_t size


cdef inline int check_rows(const Row *rows, Py_ssize_t tariffs) except -1:
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


cdef inline int check_lengths(str first, Py_ssize_t meters, dict lengths) except -1:
    for name, length in lengths.items():
        if length != meters:
            raise ValueError(f"{name} holds {length} elements, but {first} holds {meters}")
    return 0


cdef inline int check_ascending(str name, const int64_t[::1] values, Py_ssize_t limit, bint strictly) except -1:
    cdef Py_ssize_t k
    for k in range(values.shape[0]):
        if not 0 <= values[k] <= limit:
            raise ValueError(f"{name}[{k}] = {values[k]} is not in 0..{limit}")
        if k and (values[k] < values[k - 1] or (strictly and values[k] == values[k - 1])):
            raise ValueError(f"{name}[{k}] = {values[k]} does not ascend from {values[k - 1]}")
    return 0


cdef inline int check_bounds(
    Py_ssize_t lo, Py_ssize_t hi, Py_ssize_t meters, int64_t modulus_wh, int64_t max_delta_wh
) except -1:
    if not 0 <= lo <= hi <= meters:
        raise ValueError(f"lo = {lo} and hi = {hi} do not mark a slice of {meters} meters")
    if not 0 < modulus_wh <= 1000000000 or not 0 < max_delta_wh < (modulus_wh + 1) // 2:
        raise ValueError(
            f"modulus_wh = {modulus_wh} must be 1..10^9 and max_delta_wh = {max_delta_wh} below its half"
        )
    return 0


cdef inline int name_unsound(const Batch *b, const int64_t *index, Py_ssize_t lo, Py_ssize_t hi) except -1:
    """Say which value of which meter is out of range."""
    cdef Py_ssize_t i, k
    cdef int r
    for k in range(lo, hi):
        i = k if index == NULL else index[k]
        for r in range(b.rates):
            for name, value in (("prev_wh", b.prev[r * b.meters + i]), ("new_wh", b.now[r * b.meters + i])):
                if not 0 <= value < b.modulus:
                    raise ValueError(f"{name}[{r}, {i}] = {value} is not in 0..{b.modulus - 1}")
        if not 1 <= b.ratio[i] <= RATIO_MAX:
            raise ValueError(f"ratio[{i}] = {b.ratio[i]} is not in 1..{RATIO_MAX}")
        if b.tariff[i] > b.last_tariff:
            raise ValueError(f"tariff[{i}] = {b.tariff[i]}, but there are {b.last_tariff + 1} tariff rows")
    raise ValueError("an array was changed during the call; hold a lock over deduct")


cdef inline Span span(const void *start, Py_ssize_t size) noexcept:
    cdef Span memory
    memory.start, memory.size = <uintptr_t>start, size
    return memory


cdef inline int check_apart(const Span *spans, Py_ssize_t count, Py_ssize_t outputs, tuple names) except -1:
    """What is written, the first `outputs` spans, shares no memory with anything else: it would change values
    already checked."""
    cdef Py_ssize_t j, k
    for j in range(outputs):
        for k in range(j + 1, count):
            if spans[j].start < spans[k].start + <uintptr_t>spans[k].size and (
                spans[k].start < spans[j].start + <uintptr_t>spans[j].size
            ):
                raise ValueError(f"{names[j]} and {names[k]} share memory; they must be arrays of their own")
    return 0
