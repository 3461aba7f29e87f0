"""Arithmetic of one meter, inlined into the passes of `_deduct`: steps, guards, charge, level.

Sums and products are formed in uint64, where they cannot be undefined, and used only after the guards:
every step within max_delta (G3), energy within E_MAX (G4), balance and period within their limits (G2).
Under them charge <= 2^62 and balance - charge >= -2^63.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "_deduct.h" nogil:
    const int64_t E_MAX "E645_E_MAX"
    const int64_t MONEY_MAX "E645_MONEY_MAX"
    const int64_t PERIOD_MAX "E645_PERIOD_MAX"
    const int64_t NF_PER_FEN "E645_NF_PER_FEN"
    const int64_t HALF_FEN "E645_HALF_FEN"
    const int32_t RATIO_MAX "E645_RATIO_MAX"

    ctypedef struct Row "e645_row":
        int32_t price[4]
        int32_t step[3]
        int32_t fifth_price
        int64_t boundary[3]
        int64_t close_allowed_nf

    ctypedef struct Batch "e645_batch":
        Py_ssize_t meters
        int rates
        uint32_t modulus
        uint32_t max_delta
        uint16_t last_tariff
        const Row *rows
        const int32_t *prev
        const int32_t *now
        const int32_t *ratio
        const uint16_t *tariff
        const int32_t *alarm1
        const int32_t *alarm2
        const int32_t *overdraft
        int64_t *period
        int64_t *balance
        int64_t *charge
        uint8_t *flags
        uint8_t *event
        Py_ssize_t logged_from
        int64_t *old_charge
        uint8_t *old_flags
        uint8_t *old_event

    ctypedef Py_ssize_t (*Pass "e645_pass")(const Batch *, const Row *, Py_ssize_t, Py_ssize_t) noexcept nogil
    ctypedef Py_ssize_t (*SimdPass "e645_simd_pass")(
        const Batch *, const Row *, Py_ssize_t, Py_ssize_t, Pass
    ) noexcept nogil
    ctypedef uint32_t (*Check "e645_check")(const Batch *, Py_ssize_t, Py_ssize_t) noexcept nogil
    const SimdPass *deduct_passes "e645_deduct_passes"
    const Check *deduct_checks "e645_deduct_checks"
    const int *deduct_logs "e645_deduct_logs"

cdef enum:
    TRIP = 3
    CLOSE_ALLOWED = 4
    BACKWARDS = 5
    JUMP = 6
    RANGE = 7
    LEVEL_MASK = 3
    KEEP_POWER = 4

cdef inline int64_t _above(int64_t energy, int64_t boundary) noexcept nogil:
    return energy - boundary if energy > boundary else 0


cdef inline uint8_t relevel(
    int64_t balance, int64_t alarm1, int64_t alarm2, int64_t overdraft, int64_t close_allowed, uint8_t *flags
) noexcept nogil:
    """New level into the flags; returns the event, that is the edge against the stored level."""
    cdef uint8_t stored = flags[0] & LEVEL_MASK
    cdef uint8_t kept = (flags[0] & KEEP_POWER) != 0
    cdef uint8_t first = balance < alarm1 * NF_PER_FEN
    cdef uint8_t second = balance < alarm2 * NF_PER_FEN
    cdef uint8_t trip = (balance <= -overdraft * NF_PER_FEN) | ((stored == TRIP) & (balance <= close_allowed))
    # without branches, because balances near their thresholds cannot be predicted; 3 is both bits, 3 ^ 1 is 2
    cdef uint8_t level = (first & (second ^ 1)) | (second << 1) | (trip * TRIP)
    level ^= level & (level >> 1) & kept
    flags[0] = (flags[0] & ~<uint8_t>LEVEL_MASK) | level
    return level * (level > stored) + CLOSE_ALLOWED * ((stored == TRIP) & (level != TRIP))


cdef inline int64_t _tiers(const Row *row, int64_t before, int64_t after) noexcept nogil:
    """Charge of the tier steps: subtract first and multiply once, so the product stays below 2^62."""
    cdef int64_t total = 0
    cdef int j
    for j in range(3):
        total += row.step[j] * (_above(after, row.boundary[j]) - _above(before, row.boundary[j]))
    return total


cdef inline uint32_t _step(Batch b, Py_ssize_t at) noexcept nogil:
    """Forward step of one register, through the modulus if it stands lower than before."""
    cdef int32_t step = b.now[at] - b.prev[at]
    return <uint32_t>step + (b.modulus & -<uint32_t>(step < 0))


cdef inline uint8_t _anomaly(Batch b, Py_ssize_t i) noexcept nogil:
    """Why a meter is held: the rare case, so that the usual one need not keep count."""
    cdef uint8_t event = RANGE
    cdef Py_ssize_t at
    cdef int r
    for r in range(b.rates):
        at = r * b.meters + i
        if _step(b, at) > b.max_delta:
            if b.now[at] < b.prev[at]:
                return BACKWARDS
            event = JUMP
    return event


cdef inline void charge_meter(Batch b, const Row *row, Py_ssize_t i, int rates) noexcept nogil:
    cdef uint64_t energy = 0, base = 0
    cdef uint32_t step, refused = 0
    cdef int64_t charge, period = b.period[i], balance = b.balance[i]
    cdef uint64_t ratio = <uint64_t>b.ratio[i]
    cdef int r
    for r in range(rates):
        step = _step(b, r * b.meters + i)
        refused |= step > b.max_delta
        energy += step
        base += <uint64_t>step * <uint64_t>(row.price[r] if r < 4 else row.fifth_price)
    energy *= ratio
    # unsigned, so that one comparison checks both ends
    refused |= energy > <uint64_t>E_MAX
    refused |= <uint64_t>period > <uint64_t>PERIOD_MAX
    refused |= <uint64_t>balance + <uint64_t>MONEY_MAX > 2 * <uint64_t>MONEY_MAX
    if refused:
        b.charge[i] = 0
        b.event[i] = _anomaly(b, i)
        return
    charge = <int64_t>(base * ratio) + _tiers(row, period, period + <int64_t>energy)
    b.charge[i] = charge
    b.period[i] = period + <int64_t>energy
    b.balance[i] = balance - charge
    b.event[i] = relevel(
        balance - charge, b.alarm1[i], b.alarm2[i], b.overdraft[i], row.close_allowed_nf, &b.flags[i]
    )


cdef inline bint sound(const Batch *b, Py_ssize_t i) noexcept nogil:
    """Whether every value of a meter is in range, so that it may be charged at all."""
    cdef int r
    for r in range(b.rates):
        if not 0 <= b.prev[r * b.meters + i] < <int32_t>b.modulus:
            return False
        if not 0 <= b.now[r * b.meters + i] < <int32_t>b.modulus:
            return False
    return 1 <= b.ratio[i] <= RATIO_MAX and b.tariff[i] <= b.last_tariff


cdef inline void keep_old(const Batch *b, Py_ssize_t i) noexcept nogil:
    """Keep what charging a meter overwrites and `restore` could not compute back."""
    b.old_charge[i - b.logged_from] = b.charge[i]
    b.old_flags[i - b.logged_from] = b.flags[i]
    b.old_event[i - b.logged_from] = b.event[i]


cdef inline void restore(const Batch *b, Py_ssize_t i) noexcept nogil:
    """Undo `charge_meter` bit for bit: what it read has not changed, so energy and charge come back exactly."""
    cdef uint64_t energy = 0
    cdef int r
    if b.event[i] < BACKWARDS:
        for r in range(b.rates):
            energy += _step(b[0], r * b.meters + i)
        b.period[i] -= <int64_t>(energy * <uint64_t>b.ratio[i])
        b.balance[i] += b.charge[i]
    b.charge[i] = b.old_charge[i - b.logged_from]
    b.flags[i] = b.old_flags[i - b.logged_from]
    b.event[i] = b.old_event[i - b.logged_from]
