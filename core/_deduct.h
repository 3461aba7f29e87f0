/* Data of the deduction and its passes by tier; the arithmetic of one meter is in `_meter.pxd`.
 *
 * A pass charges meters lo..hi - 1 and returns where it stopped: at hi, or at a value out of range. While it
 * may still meet one, `old_*` keep what it overwrites and cannot be computed back, so that a refused call can be
 * undone; without them every value has been checked before. Reading each value once, with the check beside the
 * arithmetic, is what brings the SIMD tiers to the speed of the memory.
 */
#ifndef E645_DEDUCT_H
#define E645_DEDUCT_H

#include "_isa.h"

typedef struct {
    int32_t price[4];
    int32_t step[3];
    int32_t fifth_price;
    int64_t boundary[3];
    int64_t close_allowed_nf;
} e645_row;

typedef struct {
    ptrdiff_t meters;
    int rates;
    uint32_t modulus;
    uint32_t max_delta;
    uint16_t last_tariff; /* 65535 where runs say which row a meter has */
    const e645_row *rows;
    const int32_t *prev;
    const int32_t *now;
    const int32_t *ratio;
    const uint16_t *tariff;
    const int32_t *alarm1;
    const int32_t *alarm2;
    const int32_t *overdraft;
    int64_t *period;
    int64_t *balance;
    int64_t *charge;
    uint8_t *flags;
    uint8_t *event;
    ptrdiff_t logged_from; /* the meter of old_charge[0]; the three are whole cache lines, or NULL */
    int64_t *old_charge;
    uint8_t *old_flags;
    uint8_t *old_event;
} e645_batch;

/* Scalar code for meters lo..hi - 1; `row` is common to all of them, or NULL: each by its tariff. */
typedef ptrdiff_t (*e645_pass)(const e645_batch *b, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi);
typedef ptrdiff_t (*e645_simd_pass)(
    const e645_batch *b, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar);
/* Nonzero when a register, ratio or tariff number of meters lo..hi - 1 is out of range. */
typedef uint32_t (*e645_check)(const e645_batch *b, ptrdiff_t lo, ptrdiff_t hi);

#define E645_E_MAX ((int64_t)0x7FFFFFFF)
#define E645_MONEY_MAX ((int64_t)1 << 62)
#define E645_PERIOD_MAX ((int64_t)1 << 53)
#define E645_RATIO_MAX (1 << 20)
#define E645_NF_PER_FEN ((int64_t)1000000000)
#define E645_HALF_FEN ((int64_t)500000000)

/* Differences set the top bit when a value is out of range, without a branch; the compiler vectorises the loops. */
#define E645_CHECK_BODY \
    const uint32_t last = b->modulus - 1; \
    uint32_t bad = 0, highest = 0; \
    for (int r = 0; r < b->rates; r++) { \
        const uint32_t *prev = (const uint32_t *)b->prev + r * b->meters; \
        const uint32_t *now = (const uint32_t *)b->now + r * b->meters; \
        for (ptrdiff_t i = lo; i < hi; i++) \
            bad |= prev[i] | now[i] | (last - prev[i]) | (last - now[i]); \
    } \
    for (ptrdiff_t i = lo; i < hi; i++) \
        bad |= ((uint32_t)b->ratio[i] - 1) | ((uint32_t)E645_RATIO_MAX - (uint32_t)b->ratio[i]); \
    for (ptrdiff_t i = lo; i < hi; i++) \
        highest = b->tariff[i] > highest ? b->tariff[i] : highest; \
    return bad >> 31 | (highest > b->last_tariff);

static uint32_t e645_check_scalar(const e645_batch *b, ptrdiff_t lo, ptrdiff_t hi)
{
    E645_CHECK_BODY
}

static ptrdiff_t e645_deduct_scalar(
    const e645_batch *b, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar)
{
    return scalar(b, row, lo, hi);
}

#ifdef E645_X86

#define E645_GROUP 16
#define E645_METERS_AHEAD 256

static E645_IN_AVX2 uint32_t e645_check_avx2(const e645_batch *b, ptrdiff_t lo, ptrdiff_t hi)
{
    E645_CHECK_BODY
}

static E645_IN_AVX512 uint32_t e645_check_avx512(const e645_batch *b, ptrdiff_t lo, ptrdiff_t hi)
{
    E645_CHECK_BODY
}

/* Seventeen streams are more than the processor follows by itself, and it stops at every page. */
static E645_INLINE void e645_fetch_group(const e645_batch *b, ptrdiff_t i, int rates)
{
    i += E645_METERS_AHEAD;
    for (int r = 0; r < rates; r++) {
        E645_PREFETCH(b->prev, 4 * (r * b->meters + i));
        E645_PREFETCH(b->now, 4 * (r * b->meters + i));
    }
    E645_PREFETCH(b->ratio, 4 * i);
    E645_PREFETCH(b->alarm1, 4 * i);
    E645_PREFETCH(b->alarm2, 4 * i);
    E645_PREFETCH(b->overdraft, 4 * i);
    E645_PREFETCH(b->tariff, 2 * i);
    E645_PREFETCH(b->flags, i);
    E645_PREFETCH(b->event, i);
    for (int half = 0; half < 2; half++) {
        E645_PREFETCH(b->period, 8 * i + 64 * half);
        E645_PREFETCH(b->balance, 8 * i + 64 * half);
        E645_PREFETCH(b->charge, 8 * i + 64 * half);
    }
}

/* The first meter of lo..hi from which groups begin: old values are kept in whole cache lines. */
static inline ptrdiff_t e645_first_group(const e645_batch *b, ptrdiff_t lo, ptrdiff_t hi)
{
    ptrdiff_t first = b->old_charge ? lo + ((b->logged_from - lo) & (E645_GROUP - 1)) : lo;
    return first < hi ? first : hi;
}

static E645_INLINE void e645_refused(
    const e645_batch *b, const e645_row *row, ptrdiff_t first, unsigned lanes, e645_pass scalar)
{
    for (; lanes; lanes &= lanes - 1) {
        ptrdiff_t i = first + __builtin_ctz(lanes);
        scalar(b, row, i, i + 1);
    }
}

#include "_deduct256.h"
#include "_deduct512.h"

static const e645_simd_pass e645_deduct_passes[E645_TIERS] = {
    e645_deduct_scalar, e645_deduct_avx2, e645_deduct_avx512
};
static const e645_check e645_deduct_checks[E645_TIERS] = { e645_check_scalar, e645_check_avx2, e645_check_avx512 };
static const int e645_deduct_logs[E645_TIERS] = { 0, 1, 1 };
#else
static const e645_simd_pass e645_deduct_passes[E645_TIERS] = {
    e645_deduct_scalar, e645_deduct_scalar, e645_deduct_scalar
};
static const e645_check e645_deduct_checks[E645_TIERS] = { e645_check_scalar, e645_check_scalar, e645_check_scalar };
static const int e645_deduct_logs[E645_TIERS] = { 0, 0, 0 };
#endif
#endif
