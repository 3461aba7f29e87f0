"""One day of one household in whole milliwatts, drawn from its key: the inner part of `sim._load`.

A day has 96 quarter-hours: standby and fridge, electronics while somebody is up and at home, cooking and washing,
air conditioning on hot days and nights, heating on cold ones, absences, and what a solar roof makes. All arithmetic is
on integers; 64 random bits are a hash of key, day and number, so any day can be made by itself.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from *:
    """
    #include <stdint.h>
    /* minute (from rising, returning or sleeping, or of the day), spread, chance of 65536, quarters, watts */
    static const int32_t APPLIANCES[7][5] = {
        {30, 42, 49152, 1, 900},    {708, 48, 55705, 2, 1300},   {48, 54, 60293, 3, 1400},
        {-90, 90, 52429, 2, 1100},  {12, 48, 22938, 1, 1500},    {1200, 180, 22938, 4, 350},
        {900, 540, 32768, 1, 1000},
    };
    """
    const int32_t[5] *APPLIANCES

cdef enum:
    N_SLOTS = 96
    N_TRAITS = 16
    N_WEATHER = 4
    N_BLOCK = 8
    SLOT_MS = 900_000
    DAY_MS = 86_400_000
    DAYS_LIMIT = 3700
    WORKDAY = 0
    HOLIDAYS = 2
    EVENTS = 7

cdef enum:  # columns of traits
    KIND, SIZE_PPM, OCCUPANTS, WAKES_MIN, LEAVES_MIN, RETURNS_MIN, SLEEPS_MIN
    STANDBY_W, COOLING_W, HEATING_W, WORKS, SOLAR_W, LIMIT_MW, LEVEL

cdef enum:  # kinds of loads
    LIVING, CONSTANT, REPLAY

cdef enum:  # columns of the weather
    TEMPERATURE, SUN, DAYLIGHT, DAY_KIND


cdef inline uint64_t mixed(uint64_t x) noexcept nogil:
    x = (x ^ (x >> 30)) * <uint64_t>0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * <uint64_t>0x94D049BB133111EB
    return x ^ (x >> 31)


cdef inline uint64_t drawn(uint64_t key, int64_t day, int number) noexcept nogil:
    """64 random bits of a household for a number (0..255) of a day."""
    return mixed(key + (<uint64_t>day * 256 + <uint64_t>number + 1) * <uint64_t>0x9E3779B97F4A7C15)


cdef inline int64_t part(uint64_t bits, int which) noexcept nogil:
    """One of the four 16-bit numbers in 64 bits."""
    return <int64_t>((bits >> (16 * which)) & 0xFFFF)


cdef inline int64_t around(int64_t u, int64_t width) noexcept nogil:
    """A number from [-width, width)."""
    return (u * 2 * width >> 16) - width


cdef inline int64_t clipped(int64_t x, int64_t low, int64_t high) noexcept nogil:
    return low if x < low else high if x > high else x


cdef inline bint absent(uint64_t key, int64_t day, int32_t day_kind) noexcept nogil:
    """Away over the day: a single day, a journey of 2 to 9 days in some fortnights, or a whole holiday."""
    cdef uint64_t bits
    cdef int64_t fortnight = day // 14, first
    if part(drawn(key, day, 129), 2) < 1311:
        return True
    bits = drawn(key, fortnight, 250)
    first = part(bits, 1) % 12
    if part(bits, 0) < 3932 and first <= day % 14 < first + 2 + part(bits, 2) % 8:
        return True
    return day_kind >= HOLIDAYS and part(drawn(key, day_kind, 251), 0) < 16384


cdef inline void presence(const int32_t* t, uint64_t key, int64_t day, int32_t day_kind, int32_t* up) noexcept nogil:
    """How much of the household is awake and at home, per mille by quarter-hour."""
    cdef uint64_t bits = drawn(key, day, 128)
    cdef int64_t wakes = t[WAKES_MIN] + around(part(bits, 0), 30)
    cdef int64_t sleeps = t[SLEEPS_MIN] + around(part(bits, 1), 48)
    cdef int64_t leaves = t[LEAVES_MIN] + around(part(bits, 2), 30)
    cdef int64_t returns = t[RETURNS_MIN] + around(part(bits, 3), 60)
    cdef bint outing = day_kind != WORKDAY and part(drawn(key, day, 129), 1) < 26214
    cdef int64_t minute
    cdef int s
    for s in range(N_SLOTS):
        minute = 15 * s
        if not (wakes <= minute < sleeps or minute < sleeps - 1440):
            up[s] = 0
        elif day_kind == WORKDAY and leaves <= minute < returns:
            up[s] = 150 if t[WORKS] else 600
        else:
            up[s] = 200 if outing and 780 <= minute < 1020 else 1000


cdef inline void appliances(const int32_t* t, uint64_t key, int64_t day, const int32_t* up, int64_t* power) noexcept nogil:
    """Add cooking, hot water and laundry, in mW."""
    cdef uint64_t bits
    cdef int64_t minute, level
    cdef int e, s, first
    for e in range(EVENTS):
        bits = drawn(key, day, 130 + e)
        if part(bits, 0) >= APPLIANCES[e][2]:
            continue
        minute = APPLIANCES[e][0] + around(part(bits, 1), APPLIANCES[e][1])
        if e == 0 or e == 4:
            minute += t[WAKES_MIN]
        elif e == 2:
            minute += t[RETURNS_MIN]
        elif e == 3:
            minute += t[SLEEPS_MIN]
        first = <int>((minute + 1447) // 15 % N_SLOTS)
        level = APPLIANCES[e][4] + (150 * t[OCCUPANTS] if e == 3 else 0)
        level = level * (500 + (700 * part(bits, 2) >> 16)) * (up[first] if up[first] > 250 else 250) // 1000
        for s in range(first, first + APPLIANCES[e][3]):
            if s < N_SLOTS:
                power[s] += level


cdef inline int64_t climate(
    const int32_t* t, int32_t tenths, int64_t minute, int32_t up, int64_t u
) noexcept nogil:
    """Air conditioning (evening and night above all) and heating, in mW."""
    cdef bint night = minute >= 1290 or minute < 300
    cdef int64_t present = 800 if night and up < 800 else up
    cdef int64_t boost = 1350 if minute >= 1260 or minute < 60 else 1150 if 660 <= minute < 900 else 1000
    cdef int64_t hot = clipped((tenths - 250) * 1000 // 90 if tenths > 250 else 0, 0, 1000)
    cdef int64_t cold = clipped((90 - tenths) * 1000 // 90 if tenths < 90 else 0, 0, 1000)
    cdef int64_t wanted = hot * t[COOLING_W] * boost // 1000 + cold * t[HEATING_W] // (2 if night else 1)
    return wanted * present // 1000 * (200 + (800 * u >> 16)) // 1000


cdef inline int64_t solar(const int32_t* t, const int32_t* w, int64_t minute, int64_t u) noexcept nogil:
    """What the roof makes, in mW: a parabola over daylight, clouds of the day and of the quarter-hour."""
    cdef int64_t off = minute + 7 - 720, half = w[DAYLIGHT]
    if off * off >= half * half:
        return 0
    return <int64_t>t[SOLAR_W] * (1000 - 1000 * off * off // (half * half)) * w[SUN] // 1000 * (850 + (150 * u >> 16)) // 1000


cdef inline void living_day(const int32_t* t, uint64_t key, int64_t day, const int32_t* w, int32_t* net) noexcept nogil:
    """A day of people with habits; net power in mW, negative while the roof gives back."""
    cdef int32_t[N_SLOTS] up
    cdef int64_t[N_SLOTS] power
    cdef uint64_t bits
    cdef int64_t factor, level, minute, mw
    cdef bint dark
    cdef int s
    presence(t, key, day, w[DAY_KIND], up)
    for s in range(N_SLOTS):
        power[s] = 0
    appliances(t, key, day, up, power)
    factor = 780 + (440 * part(drawn(key, day, 129), 0) >> 16)
    if absent(key, day, w[DAY_KIND]):
        factor = factor // 5
    for s in range(N_SLOTS):
        minute = 15 * s
        bits = drawn(key, day, s)
        dark = minute >= 1080 or minute < 390
        level = 60 + 55 * t[OCCUPANTS] * (10 if dark else 4) // 10
        mw = power[s] + (t[STANDBY_W] + 35) * 1000 + (60_000 if part(bits, 0) < 22938 else 0)
        mw += level * (500 + (1000 * part(bits, 1) >> 16)) * up[s] // 1000
        mw += climate(t, w[TEMPERATURE], minute, up[s], part(bits, 2))
        mw = clipped(mw * factor // 1000 * t[SIZE_PPM] // 1_000_000, 1, t[LIMIT_MW])
        if t[SOLAR_W]:
            mw -= solar(t, w, minute, part(bits, 3))
        net[s] = <int32_t>mw
