# cython: boundscheck=False, wraparound=False, cdivision=True
"""Household loads by counter: any day of any household can be made by itself, in integers only.

A household is a 64-bit key and a row of traits. Its draws are a hash of key, day and number, so nothing depends
on the order of asking or on other households (`_day.pxd` has what people do). `LoadTable` answers "how much until t" in mW x ms
(3.6e9 of them make one Wh): it keeps the energy at the start of every eighth day that somebody has passed, and
draws the days between again, about a microsecond each. Nothing is integrated until somebody reads. The quarter-hour
that somebody last asked about is kept too, since the next question about a household is most often about the same one.
"""

from array import array

cimport cython
from libc.stdint cimport int32_t, int64_t, uint64_t

from sim._day cimport (
    DAY_MS,
    DAYS_LIMIT,
    KIND,
    LEVEL,
    LIMIT_MW,
    LIVING,
    N_BLOCK,
    N_SLOTS,
    N_TRAITS,
    N_WEATHER,
    REPLAY,
    SIZE_PPM,
    SLOT_MS,
    SOLAR_W,
    living_day,
)

SLOTS, TRAITS, BLOCK_DAYS, DAYS_MAX = N_SLOTS, N_TRAITS, N_BLOCK, DAYS_LIMIT


@cython.final
@cython.auto_pickle(False)
cdef class LoadTable:
    """The loads of an estate, or (`export`) what their roofs give back; instants are world epoch milliseconds.

    keys : uint64[n]; traits : int32[n, TRAITS]; profiles : int32[k, length] in mW by quarter-hour since 1970 of
    standard time, repeated for ever; weather(first_day, count) gives int32[count * 4] (tenths of a degree, sunshine
    per mille, half the daylight in minutes, 0 workday 1 weekend 2.. holiday). All are kept, none is changed.
    """

    cdef const uint64_t[::1] _keys
    cdef const int32_t[:, ::1] _traits
    cdef const int32_t[:, ::1] _profiles
    cdef const int32_t[::1] _weather
    cdef object _weather_of
    cdef bint _export
    cdef readonly Py_ssize_t count
    cdef readonly int64_t origin_ms
    cdef readonly int64_t offset_ms
    cdef readonly int64_t first_day
    cdef int64_t _days
    cdef int32_t[::1] _mark_day
    cdef int64_t[::1] _mark
    cdef list _stops
    cdef int32_t[::1] _asked_slot
    cdef int32_t[::1] _asked_mw
    cdef int64_t[::1] _asked

    def __init__(self, keys, traits, profiles, weather, *, int64_t origin_ms, int64_t offset_ms, bint export=False):
        self._keys, self._traits, self._profiles = keys, traits, profiles
        self.count = self._keys.shape[0]
        if self._traits.shape[0] != self.count or self._traits.shape[1] != N_TRAITS:
            raise ValueError(f"traits must be int32[{self.count}, {N_TRAITS}]")
        if origin_ms + offset_ms < 0:
            raise ValueError("loads begin in 1970")
        self._check_rows()
        self._weather_of, self._export = weather, export
        self.origin_ms, self.offset_ms = origin_ms, offset_ms
        self.first_day = (origin_ms + offset_ms) // DAY_MS
        self._days = 0
        self._mark_day = array("i", [0]) * self.count
        self._mark = array("q", [0]) * self.count
        self._stops = []
        self._asked_slot = array("i", [-1]) * self.count
        self._asked_mw = array("i", [0]) * self.count
        self._asked = array("q", [0]) * self.count

    def energy(self, Py_ssize_t index, int64_t at_ms):
        """mW x ms that the load took from the origin to `at_ms` (negative before it), always switched on."""
        cdef int32_t[N_SLOTS] power
        self._check(index, at_ms)
        cdef int64_t since_ms = at_ms + self.offset_ms - self.first_day * DAY_MS
        cdef int64_t slot = since_ms // SLOT_MS, day = slot // N_SLOTS, start
        if self._asked_slot[index] != slot:
            start = self._start_of(index, day)
            self._fill(index, day, power)
            self._asked[index] = start + _part_of_day(power, slot % N_SLOTS * SLOT_MS)
            self._asked_mw[index] = power[slot % N_SLOTS]
            self._asked_slot[index] = <int32_t>slot
        return self._asked[index] + self._asked_mw[index] * (since_ms - slot * SLOT_MS)

    def power_mw(self, Py_ssize_t index, int64_t at_ms):
        """Power of the running quarter-hour in mW."""
        cdef int32_t[N_SLOTS] power
        self._check(index, at_ms)
        cdef int64_t day = self._day_of(at_ms)
        self._fill(index, day, power)
        return power[(at_ms + self.offset_ms) % DAY_MS // SLOT_MS]

    def reached_ms(self, Py_ssize_t index, int64_t energy):
        """First millisecond at which `energy` had flowed; OverflowError if it never will within ten years."""
        cdef int32_t[N_SLOTS] power
        self._check(index, self.origin_ms)
        cdef int64_t day = self._day_before(index, energy), start, after
        start = self._start_of(index, day)
        while True:
            self._fill(index, day, power)
            after = start + _part_of_day(power, DAY_MS)
            if after >= energy:
                break
            start, day = after, day + 1
            self._check(index, self.origin_ms + day * DAY_MS)
        cdef int s = 0
        while start + <int64_t>power[s] * SLOT_MS < energy:
            start += <int64_t>power[s] * SLOT_MS
            s += 1
        cdef int64_t rest_ms = 0 if energy <= start else (energy - start + power[s] - 1) // power[s]
        return (self.first_day + day) * DAY_MS + s * SLOT_MS + rest_ms - self.offset_ms

    def boundaries(self, const int32_t[::1] indices, int64_t day, int64_t[:, ::1] out):
        """Energy at the 97 boundaries of a day (days since 1970 of standard time): out int64[m, 97], overwritten."""
        cdef int32_t[N_SLOTS] power
        cdef Py_ssize_t row, index
        cdef int s
        if out.shape[0] != indices.shape[0] or out.shape[1] != N_SLOTS + 1:
            raise ValueError(f"out must be int64[{indices.shape[0]}, {N_SLOTS + 1}]")
        for row in range(indices.shape[0]):
            self._check(indices[row], (day + 1) * DAY_MS - self.offset_ms)
        for row in range(indices.shape[0]):
            index = indices[row]
            out[row, 0] = self._start_of(index, day - self.first_day)
            self._fill(index, day - self.first_day, power)
            for s in range(N_SLOTS):
                out[row, s + 1] = out[row, s] + <int64_t>power[s] * SLOT_MS
            if self._mark_day[index] == day - self.first_day:
                self._pass_day(index, out[row, N_SLOTS])

    cdef int _check_rows(self) except -1:
        cdef Py_ssize_t row
        for row in range(self.count):
            if self._traits[row, KIND] < 0 or self._traits[row, KIND] > REPLAY:
                raise ValueError(f"traits[{row}]: no kind {self._traits[row, KIND]}")
            if self._traits[row, KIND] == REPLAY and not (
                0 <= self._traits[row, LEVEL] < self._profiles.shape[0] and self._profiles.shape[1] > 0
            ):
                raise ValueError(f"traits[{row}]: no profile {self._traits[row, LEVEL]}")
            if self._traits[row, LIMIT_MW] < 1 or self._traits[row, SIZE_PPM] < 0 or self._traits[row, SOLAR_W] < 0:
                raise ValueError(f"traits[{row}]: limit, size and solar must not be negative")
        return 0

    cdef inline int _check(self, Py_ssize_t index, int64_t at_ms) except -1:
        """Refuse what lies outside the arrays or the years that 64 bits hold; see to the weather until then."""
        cdef int64_t day
        if index < 0 or index >= self.count:
            raise IndexError(f"no load {index}; there are {self.count}")
        if at_ms + self.offset_ms < self.first_day * DAY_MS:
            raise ValueError(f"{at_ms} ms lies before the first day of these loads")
        day = self._day_of(at_ms)
        if day >= DAYS_LIMIT:
            raise OverflowError(f"loads are good for {DAYS_LIMIT} days")
        if day + 1 >= self._days:
            self._days = min(max(64, 2 * (day + 2)), DAYS_LIMIT + 2)
            self._weather = self._weather_of(self.first_day, self._days)
            if self._weather.shape[0] != self._days * N_WEATHER:
                raise ValueError(f"weather must be int32[{self._days * N_WEATHER}]")
        return 0

    cdef inline int64_t _day_of(self, int64_t at_ms) noexcept:
        return (at_ms + self.offset_ms) // DAY_MS - self.first_day

    cdef void _fill(self, Py_ssize_t index, int64_t day, int32_t* power) noexcept nogil:
        """Power of a day, import or export, never negative and (import) never zero: registers always rise."""
        cdef const int32_t* t = &self._traits[index, 0]
        cdef int64_t slot = (self.first_day + day) * N_SLOTS, mw
        cdef int s
        if t[KIND] == LIVING:
            living_day(t, self._keys[index], self.first_day + day, &self._weather[day * N_WEATHER], power)
        else:
            for s in range(N_SLOTS):
                mw = t[LEVEL]
                if t[KIND] == REPLAY:
                    mw = self._profiles[t[LEVEL], (slot + s) % self._profiles.shape[1]]
                    mw = mw * t[SIZE_PPM] // 1_000_000
                power[s] = <int32_t>(mw if mw < t[LIMIT_MW] else t[LIMIT_MW])
        for s in range(N_SLOTS):
            if self._export:
                power[s] = -power[s] if power[s] < 0 else 0
            elif power[s] < 1:
                power[s] = 1

    cdef int64_t _start_of(self, Py_ssize_t index, int64_t day) except? -1:
        """Energy at the start of a day; moves the mark when the day lies ahead of it."""
        cdef int32_t[N_SLOTS] power
        cdef int64_t at, energy
        cdef int64_t[::1] stop
        if not self._stops:
            self._stops.append(array("q", [0]) * self.count)
        if self._mark_day[index] == 0 and self._mark[index] == 0:
            self._begin(index)
        while self._mark_day[index] < day:
            self._fill(index, self._mark_day[index], power)
            self._pass_day(index, self._mark[index] + _part_of_day(power, DAY_MS))
        if self._mark_day[index] == day:
            return self._mark[index]
        stop = self._stops[day // N_BLOCK]
        at, energy = day // N_BLOCK * N_BLOCK, stop[index]
        while at < day:
            self._fill(index, at, power)
            energy += _part_of_day(power, DAY_MS)
            at += 1
        return energy

    cdef int _begin(self, Py_ssize_t index) except -1:
        """The first day starts below zero, so that the origin is zero."""
        cdef int32_t[N_SLOTS] power
        cdef int64_t[::1] stop = self._stops[0]
        self._fill(index, 0, power)
        self._mark[index] = -_part_of_day(power, self.origin_ms + self.offset_ms - self.first_day * DAY_MS)
        stop[index] = self._mark[index]
        return 0

    cdef int _pass_day(self, Py_ssize_t index, int64_t energy) except -1:
        """Move the mark to the next day and keep the energy of every eighth."""
        cdef int64_t[::1] stop
        cdef int64_t day = self._mark_day[index] + 1
        self._mark_day[index] = <int32_t>day
        self._mark[index] = energy
        if day % N_BLOCK == 0:
            while len(self._stops) <= day // N_BLOCK:
                self._stops.append(array("q", [0]) * self.count)
            stop = self._stops[day // N_BLOCK]
            stop[index] = energy
        return 0

    cdef int64_t _day_before(self, Py_ssize_t index, int64_t energy) except? -1:
        """A day from which walking forward meets `energy`."""
        cdef int64_t[::1] stop
        cdef int64_t block
        self._start_of(index, 0)
        if self._mark[index] < energy:
            return self._mark_day[index]
        block = self._mark_day[index] // N_BLOCK
        while block > 0:
            stop = self._stops[block]
            if stop[index] < energy:
                break
            block -= 1
        return block * N_BLOCK


cdef inline int64_t _part_of_day(const int32_t* power, int64_t until_ms) noexcept nogil:
    """Energy of the day's first milliseconds."""
    cdef int64_t whole = until_ms // SLOT_MS, energy = 0
    cdef int s
    for s in range(<int>whole):
        energy += <int64_t>power[s]
    energy *= SLOT_MS
    if whole < N_SLOTS:
        energy += <int64_t>power[whole] * (until_ms - whole * SLOT_MS)
    return energy
