/* SIMD passes of the deduction: the arithmetic of `_meter.pxd` for 4 (AVX2) or 8 (AVX-512) meters at once.
 *
 * Whatever a lane holds, nothing is undefined: vector products wrap. A lane that a guard refuses is not
 * stored; the scalar function decides what happened to that meter. Tails take the scalar function too.
 * Tariff rows are whole cache lines: without a common row they are loaded as lines and transposed, which
 * costs less than gathering single fields.
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
} e645_batch;

/* Scalar code for meters lo..hi - 1; `row` is common to all of them, or NULL: each by its tariff. */
typedef void (*e645_pass)(const e645_batch *b, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi);
typedef void (*e645_simd_pass)(const e645_batch *b, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar);

#define E645_E_MAX ((int64_t)0x7FFFFFFF)
#define E645_MONEY_MAX ((int64_t)1 << 62)
#define E645_PERIOD_MAX ((int64_t)1 << 53)
#define E645_NF_PER_FEN ((int64_t)1000000000)
#define E645_HALF_FEN ((int64_t)500000000)
#define E645_TOP_BIT ((uint32_t)1 << 31)

static void e645_deduct_scalar(const e645_batch *b, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar)
{
    scalar(b, row, lo, hi);
}

#ifdef E645_X86

static E645_INLINE void e645_refused(
    const e645_batch *b, const e645_row *row, ptrdiff_t first, unsigned lanes, e645_pass scalar)
{
    for (; lanes; lanes &= lanes - 1) {
        ptrdiff_t i = first + __builtin_ctz(lanes);
        scalar(b, row, i, i + 1);
    }
}

/* The eight quadwords of a row, a vector each: prices 0-1, 2-3, steps 0-1, step 2 and fifth price, limits, close. */
static E645_INLINE E645_IN_AVX512 void e645_columns512(const e645_row *rows, const uint16_t *tariff, __m512i q[8])
{
    __m512i a[8], t[8];
    for (int k = 0; k < 8; k++)
        a[k] = _mm512_loadu_si512(rows + tariff[k]);
    for (int k = 0; k < 8; k += 2) {
        t[k] = _mm512_unpacklo_epi64(a[k], a[k + 1]);
        t[k + 1] = _mm512_unpackhi_epi64(a[k], a[k + 1]);
    }
    for (int k = 0; k < 2; k++) {
        __m512i low0 = _mm512_shuffle_i64x2(t[k], t[k + 2], 0x88), high0 = _mm512_shuffle_i64x2(t[k], t[k + 2], 0xDD);
        __m512i low1 = _mm512_shuffle_i64x2(t[k + 4], t[k + 6], 0x88);
        __m512i high1 = _mm512_shuffle_i64x2(t[k + 4], t[k + 6], 0xDD);
        q[k] = _mm512_shuffle_i64x2(low0, low1, 0x88);
        q[k + 4] = _mm512_shuffle_i64x2(low0, low1, 0xDD);
        q[k + 2] = _mm512_shuffle_i64x2(high0, high1, 0x88);
        q[k + 6] = _mm512_shuffle_i64x2(high0, high1, 0xDD);
    }
}

static E645_INLINE E645_IN_AVX512 __m512i e645_tier512(__m512i step, __m512i before, __m512i after, __m512i limit)
{
    __m512i none = _mm512_setzero_si512();
    __m512i low = _mm512_max_epi64(_mm512_sub_epi64(before, limit), none);
    __m512i high = _mm512_max_epi64(_mm512_sub_epi64(after, limit), none);
    return _mm512_mul_epi32(step, _mm512_sub_epi64(high, low));
}

static E645_INLINE E645_IN_AVX512 __m512i e645_fen512(const int32_t *fen)
{
    __m512i wide = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)fen));
    return _mm512_mul_epi32(wide, _mm512_set1_epi64(E645_NF_PER_FEN));
}

/* Levels and events of eight meters with their new balances, stored for the lanes in `good`. */
static E645_INLINE E645_IN_AVX512 void e645_levels512(
    const e645_batch *b, ptrdiff_t i, __m512i balance, __m512i close, __mmask8 good)
{
    __m128i flags = _mm_loadl_epi64((const __m128i *)(b->flags + i)), three = _mm_set1_epi8(3);
    __m128i stored = _mm_and_si128(flags, three);
    __mmask8 tripped = (__mmask8)_mm_cmpeq_epi8_mask(stored, three);
    __mmask8 kept = (__mmask8)_mm_test_epi8_mask(flags, _mm_set1_epi8(4));
    __mmask8 first = _mm512_cmplt_epi64_mask(balance, e645_fen512(b->alarm1 + i));
    __mmask8 second = _mm512_cmplt_epi64_mask(balance, e645_fen512(b->alarm2 + i));
    __m512i floor_nf = _mm512_sub_epi64(_mm512_setzero_si512(), e645_fen512(b->overdraft + i));
    __mmask8 trip = _mm512_cmple_epi64_mask(balance, floor_nf) | (tripped & _mm512_cmple_epi64_mask(balance, close));
    __mmask8 high = second | trip, low = (__mmask8)((first & ~second) | trip);
    low &= (__mmask8)~(high & kept);
    __m128i level = _mm_or_si128(_mm_maskz_set1_epi8(low, 1), _mm_maskz_set1_epi8(high, 2));
    __m128i event = _mm_maskz_mov_epi8(_mm_cmpgt_epi8_mask(level, stored), level);
    event = _mm_mask_mov_epi8(event, (__mmask8)(tripped & ~(low & high)), _mm_set1_epi8(4));
    flags = _mm_or_si128(_mm_andnot_si128(three, flags), level);
    if (good == 0xFF) {
        _mm_storel_epi64((__m128i *)(b->flags + i), flags);
        _mm_storel_epi64((__m128i *)(b->event + i), event);
    } else {
        _mm_mask_storeu_epi8(b->flags + i, good, flags);
        _mm_mask_storeu_epi8(b->event + i, good, event);
    }
}

/* Eight meters; returns the lanes that a guard refuses. */
static E645_INLINE E645_IN_AVX512 unsigned e645_eight(const e645_batch *b, const __m512i q[8], ptrdiff_t i, int rates)
{
    __m512i energy = _mm512_setzero_si512(), charge = energy;
    __m256i longest = _mm256_set1_epi32((int32_t)b->max_delta), modulus = _mm256_set1_epi32((int32_t)b->modulus);
    __mmask8 bad = 0;
    for (int r = 0; r < rates; r++) {
        const __m256i *prev = (const __m256i *)(b->prev + r * b->meters + i);
        const __m256i *now = (const __m256i *)(b->now + r * b->meters + i);
        __m256i step = _mm256_sub_epi32(_mm256_loadu_si256(now), _mm256_loadu_si256(prev));
        step = _mm256_add_epi32(step, _mm256_and_si256(modulus, _mm256_srai_epi32(step, 31)));
        bad |= _mm256_cmpgt_epu32_mask(step, longest);
        __m512i wide = _mm512_cvtepu32_epi64(step), price = q[r == 4 ? 3 : r >> 1];
        if (r & 1 || r == 4)
            price = _mm512_srli_epi64(price, 32);
        energy = _mm512_add_epi64(energy, wide);
        charge = _mm512_add_epi64(charge, _mm512_mul_epu32(wide, price));
    }
    __m512i ratio = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(b->ratio + i)));
    __m512i before = _mm512_loadu_si512(b->period + i), balance = _mm512_loadu_si512(b->balance + i);
    energy = _mm512_mullo_epi64(energy, ratio);
    charge = _mm512_mullo_epi64(charge, ratio);
    bad |= _mm512_cmpgt_epu64_mask(energy, _mm512_set1_epi64(E645_E_MAX));
    bad |= _mm512_cmpgt_epu64_mask(before, _mm512_set1_epi64(E645_PERIOD_MAX));
    bad |= _mm512_cmpgt_epi64_mask(_mm512_abs_epi64(balance), _mm512_set1_epi64(E645_MONEY_MAX));
    bad |= _mm512_cmpeq_epi64_mask(balance, _mm512_set1_epi64(INT64_MIN));
    __m512i after = _mm512_add_epi64(before, energy);
    charge = _mm512_add_epi64(charge, e645_tier512(q[2], before, after, q[4]));
    charge = _mm512_add_epi64(charge, e645_tier512(_mm512_srli_epi64(q[2], 32), before, after, q[5]));
    charge = _mm512_add_epi64(charge, e645_tier512(q[3], before, after, q[6]));
    balance = _mm512_sub_epi64(balance, charge);
    e645_levels512(b, i, balance, q[7], (__mmask8)~bad);
    if (bad == 0) {
        _mm512_storeu_si512(b->charge + i, charge);
        _mm512_storeu_si512(b->period + i, after);
        _mm512_storeu_si512(b->balance + i, balance);
    } else {
        _mm512_mask_storeu_epi64(b->charge + i, (__mmask8)~bad, charge);
        _mm512_mask_storeu_epi64(b->period + i, (__mmask8)~bad, after);
        _mm512_mask_storeu_epi64(b->balance + i, (__mmask8)~bad, balance);
    }
    return bad;
}

static E645_IN_AVX512 void e645_deduct_avx512(
    const e645_batch *batch, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar)
{
    e645_batch b = *batch; /* a copy, which no store through its pointers can change */
    __m512i q[8];
    ptrdiff_t i = lo;
    if (row)
        for (int k = 0; k < 8; k++)
            q[k] = _mm512_set1_epi64(((const long long *)row)[k]);
    for (; i + 8 <= hi; i += 8) {
        if (!row)
            e645_columns512(b.rows, b.tariff + i, q);
        unsigned bad = b.rates == 4 ? e645_eight(&b, q, i, 4) : e645_eight(&b, q, i, b.rates);
        if (bad)
            e645_refused(batch, row, i, bad, scalar);
    }
    if (i < hi)
        scalar(batch, row, i, hi);
}

static E645_INLINE E645_IN_AVX2 void e645_columns256(const e645_row *rows, const uint16_t *tariff, __m256i q[8])
{
    for (int half = 0; half < 2; half++) {
        __m256i a[4];
        for (int k = 0; k < 4; k++)
            a[k] = _mm256_loadu_si256((const __m256i *)(rows + tariff[k]) + half);
        __m256i even0 = _mm256_unpacklo_epi64(a[0], a[1]), odd0 = _mm256_unpackhi_epi64(a[0], a[1]);
        __m256i even1 = _mm256_unpacklo_epi64(a[2], a[3]), odd1 = _mm256_unpackhi_epi64(a[2], a[3]);
        q[4 * half] = _mm256_permute2x128_si256(even0, even1, 0x20);
        q[4 * half + 1] = _mm256_permute2x128_si256(odd0, odd1, 0x20);
        q[4 * half + 2] = _mm256_permute2x128_si256(even0, even1, 0x31);
        q[4 * half + 3] = _mm256_permute2x128_si256(odd0, odd1, 0x31);
    }
}

static E645_INLINE E645_IN_AVX2 __m256i e645_above256(__m256i energy, __m256i limit)
{
    __m256i over = _mm256_sub_epi64(energy, limit);
    return _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_setzero_si256(), over), over);
}

static E645_INLINE E645_IN_AVX2 __m256i e645_tier256(__m256i step, __m256i before, __m256i after, __m256i limit)
{
    return _mm256_mul_epi32(step, _mm256_sub_epi64(e645_above256(after, limit), e645_above256(before, limit)));
}

static E645_INLINE E645_IN_AVX2 __m256i e645_fen256(const int32_t *fen)
{
    __m256i wide = _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)fen));
    return _mm256_mul_epi32(wide, _mm256_set1_epi64x(E645_NF_PER_FEN));
}

/* The low bytes of four quadwords, each below 256, as one 32-bit word. */
static E645_INLINE E645_IN_AVX2 uint32_t e645_bytes256(__m256i v)
{
    __m128i high = _mm_slli_epi64(_mm256_extracti128_si256(v, 1), 16);
    __m128i both = _mm_or_si128(_mm256_castsi256_si128(v), high);
    return (uint32_t)(_mm_cvtsi128_si64(both) | _mm_extract_epi64(both, 1) << 8);
}

static E645_INLINE E645_IN_AVX2 void e645_keep4(uint8_t *to, uint32_t bytes, uint32_t refused)
{
    uint32_t old;
    __builtin_memcpy(&old, to, 4);
    bytes = (bytes & ~refused) | (old & refused);
    __builtin_memcpy(to, &bytes, 4);
}

static E645_INLINE E645_IN_AVX2 void e645_levels256(
    const e645_batch *b, ptrdiff_t i, __m256i balance, __m256i close, __m256i bad)
{
    int32_t packed;
    __builtin_memcpy(&packed, b->flags + i, 4);
    __m256i flags = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(packed));
    __m256i three = _mm256_set1_epi64x(3), four = _mm256_set1_epi64x(4), stored = _mm256_and_si256(flags, three);
    __m256i tripped = _mm256_cmpeq_epi64(stored, three);
    __m256i kept = _mm256_cmpeq_epi64(_mm256_and_si256(flags, four), four);
    __m256i first = _mm256_cmpgt_epi64(e645_fen256(b->alarm1 + i), balance);
    __m256i second = _mm256_cmpgt_epi64(e645_fen256(b->alarm2 + i), balance);
    __m256i floor_nf = _mm256_sub_epi64(_mm256_setzero_si256(), e645_fen256(b->overdraft + i));
    __m256i credit = _mm256_cmpgt_epi64(balance, floor_nf);
    __m256i enough = _mm256_or_si256(_mm256_cmpgt_epi64(balance, close), _mm256_cmpeq_epi64(tripped, _mm256_setzero_si256()));
    __m256i trip = _mm256_xor_si256(_mm256_and_si256(credit, enough), _mm256_set1_epi64x(-1));
    __m256i high = _mm256_or_si256(second, trip), low = _mm256_or_si256(_mm256_andnot_si256(second, first), trip);
    low = _mm256_andnot_si256(_mm256_and_si256(high, kept), low);
    __m256i level = _mm256_and_si256(low, _mm256_set1_epi64x(1));
    level = _mm256_or_si256(level, _mm256_and_si256(high, _mm256_set1_epi64x(2)));
    __m256i event = _mm256_and_si256(level, _mm256_cmpgt_epi64(level, stored));
    __m256i left = _mm256_andnot_si256(_mm256_and_si256(low, high), tripped);
    event = _mm256_or_si256(event, _mm256_and_si256(left, four));
    flags = _mm256_or_si256(_mm256_andnot_si256(three, flags), level);
    uint32_t refused = e645_bytes256(_mm256_and_si256(bad, _mm256_set1_epi64x(0xFF)));
    e645_keep4(b->flags + i, e645_bytes256(flags), refused);
    e645_keep4(b->event + i, e645_bytes256(event), refused);
}

static E645_INLINE E645_IN_AVX2 void e645_keep256(int64_t *to, __m256i value, __m256i bad)
{
    __m256i old = _mm256_loadu_si256((const __m256i *)to);
    _mm256_storeu_si256((__m256i *)to, _mm256_blendv_epi8(value, old, bad));
}

/* Low 64 bits of a x b for b below 2^32. */
static E645_INLINE E645_IN_AVX2 __m256i e645_times256(__m256i a, __m256i b)
{
    __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), b);
    return _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64(high, 32));
}

/* Four meters; returns the lanes that a guard refuses. */
static E645_INLINE E645_IN_AVX2 unsigned e645_four(const e645_batch *b, const __m256i q[8], ptrdiff_t i, int rates)
{
    __m256i energy = _mm256_setzero_si256(), charge = energy;
    __m128i longest = _mm_set1_epi32((int32_t)b->max_delta), modulus = _mm_set1_epi32((int32_t)b->modulus);
    __m128i over = _mm_setzero_si128();
    for (int r = 0; r < rates; r++) {
        const __m128i *prev = (const __m128i *)(b->prev + r * b->meters + i);
        const __m128i *now = (const __m128i *)(b->now + r * b->meters + i);
        __m128i step = _mm_sub_epi32(_mm_loadu_si128(now), _mm_loadu_si128(prev));
        step = _mm_add_epi32(step, _mm_and_si128(modulus, _mm_srai_epi32(step, 31)));
        over = _mm_or_si128(over, _mm_cmpgt_epi32(step, longest)); /* signed: a step is 0..modulus - 1 */
        __m256i wide = _mm256_cvtepu32_epi64(step), price = q[r == 4 ? 3 : r >> 1];
        if (r & 1 || r == 4)
            price = _mm256_srli_epi64(price, 32);
        energy = _mm256_add_epi64(energy, wide);
        charge = _mm256_add_epi64(charge, _mm256_mul_epu32(wide, price));
    }
    __m256i ratio = _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)(b->ratio + i)));
    __m256i before = _mm256_loadu_si256((const __m256i *)(b->period + i));
    __m256i balance = _mm256_loadu_si256((const __m256i *)(b->balance + i)), bad = _mm256_cvtepi32_epi64(over);
    energy = e645_times256(energy, ratio);
    charge = e645_times256(charge, ratio);
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(energy, _mm256_set1_epi64x(E645_E_MAX)));
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(before, _mm256_set1_epi64x(E645_PERIOD_MAX)));
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(_mm256_setzero_si256(), before));
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(balance, _mm256_set1_epi64x(E645_MONEY_MAX)));
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(_mm256_set1_epi64x(-E645_MONEY_MAX), balance));
    __m256i after = _mm256_add_epi64(before, energy);
    charge = _mm256_add_epi64(charge, e645_tier256(q[2], before, after, q[4]));
    charge = _mm256_add_epi64(charge, e645_tier256(_mm256_srli_epi64(q[2], 32), before, after, q[5]));
    charge = _mm256_add_epi64(charge, e645_tier256(q[3], before, after, q[6]));
    balance = _mm256_sub_epi64(balance, charge);
    e645_levels256(b, i, balance, q[7], bad);
    e645_keep256(b->charge + i, charge, bad);
    e645_keep256(b->period + i, after, bad);
    e645_keep256(b->balance + i, balance, bad);
    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(bad));
}

static E645_IN_AVX2 void e645_deduct_avx2(
    const e645_batch *batch, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar)
{
    e645_batch b = *batch;
    __m256i q[8];
    ptrdiff_t i = lo;
    if (row)
        for (int k = 0; k < 8; k++)
            q[k] = _mm256_set1_epi64x(((const long long *)row)[k]);
    for (; i + 4 <= hi; i += 4) {
        if (!row)
            e645_columns256(b.rows, b.tariff + i, q);
        unsigned bad = b.rates == 4 ? e645_four(&b, q, i, 4) : e645_four(&b, q, i, b.rates);
        if (bad)
            e645_refused(batch, row, i, bad, scalar);
    }
    if (i < hi)
        scalar(batch, row, i, hi);
}

static const e645_simd_pass e645_deduct_passes[E645_TIERS] = {
    e645_deduct_scalar, e645_deduct_avx2, e645_deduct_avx512
};
#else
static const e645_simd_pass e645_deduct_passes[E645_TIERS] = {
    e645_deduct_scalar, e645_deduct_scalar, e645_deduct_scalar
};
#endif
#endif
