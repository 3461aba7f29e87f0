/* The deduction for 16 meters at once with AVX-512; part of `_deduct.h`.
 *
 * Whatever a lane holds, nothing is undefined: vector products wrap. A lane that a guard refuses is not
 * stored; the scalar function decides what happened to that meter, and takes heads and tails. Registers are
 * worked on sixteen at a time, money in two halves. Tariff rows are whole cache lines: without a common row they
 * are loaded as lines and transposed, which costs less than gathering single fields.
 */

#define E645_IN5 E645_INLINE E645_IN_AVX512

typedef struct {
    __mmask8 bad, first, second, floor, close;
} e645_half;

/* The eight quadwords of a row, a vector each: prices 0-1, 2-3, steps 0-1, step 2 and fifth price, limits, close. */
static E645_IN5 void e645_columns512(const e645_row *rows, const uint16_t *tariff, __m512i q[8])
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

static E645_IN5 int e645_invalid512(const e645_batch *b, ptrdiff_t i, int rates)
{
    __m512i ratio = _mm512_loadu_si512(b->ratio + i), highest = _mm512_setzero_si512();
    for (int r = 0; r < rates; r++) {
        __m512i prev = _mm512_loadu_si512(b->prev + r * b->meters + i);
        __m512i now = _mm512_loadu_si512(b->now + r * b->meters + i);
        highest = _mm512_max_epu32(highest, _mm512_max_epu32(prev, now));
    }
    __mmask16 bad = _mm512_cmpge_epu32_mask(highest, _mm512_set1_epi32((int)b->modulus));
    ratio = _mm512_sub_epi32(ratio, _mm512_set1_epi32(1));
    bad |= _mm512_cmpge_epu32_mask(ratio, _mm512_set1_epi32(E645_RATIO_MAX));
    __m256i tariff = _mm256_loadu_si256((const __m256i *)(b->tariff + i));
    return bad | _mm256_cmpgt_epu16_mask(tariff, _mm256_set1_epi16((short)b->last_tariff));
}

/* Charges go past the caches: they are read again only when the call is refused. */
static E645_IN5 void e645_keep512(const e645_batch *b, ptrdiff_t i)
{
    ptrdiff_t at = i - b->logged_from;
    _mm512_stream_si512((__m512i *)(b->old_charge + at), _mm512_loadu_si512(b->charge + i));
    _mm512_stream_si512((__m512i *)(b->old_charge + at + 8), _mm512_loadu_si512(b->charge + i + 8));
    _mm_storeu_si128((__m128i *)(b->old_flags + at), _mm_loadu_si128((const __m128i *)(b->flags + i)));
    _mm_storeu_si128((__m128i *)(b->old_event + at), _mm_loadu_si128((const __m128i *)(b->event + i)));
}

/* Step price times the part of the energy that lies beyond the limit. */
static E645_IN5 __m512i e645_tier512(__m512i step, __m512i energy, __m512i after, __m512i limit)
{
    __m512i beyond = _mm512_max_epi64(_mm512_sub_epi64(after, limit), _mm512_setzero_si512());
    return _mm512_mul_epi32(step, _mm512_min_epi64(beyond, energy));
}

static E645_IN5 __m512i e645_fen512(const int32_t *fen, int64_t nf)
{
    __m512i wide = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)fen));
    return _mm512_mul_epi32(wide, _mm512_set1_epi64(nf));
}

static E645_IN5 __m512i e645_wide512(__m512i words, int half)
{
    return _mm512_cvtepu32_epi64(half ? _mm512_extracti64x4_epi64(words, 1) : _mm512_castsi512_si256(words));
}

/* Eight meters from their steps to their stored charges; what their levels depend on is returned. */
static E645_IN5 e645_half e645_eight(
    const e645_batch *b, const __m512i q[8], const __m512i step[5], __m512i total, __mmask8 bad, ptrdiff_t i, int half,
    int rates)
{
    __m512i charge = _mm512_setzero_si512();
    i += 8 * half;
    for (int r = 0; r < rates; r++) {
        __m512i price = q[r == 4 ? 3 : r >> 1];
        if (r & 1 || r == 4)
            price = _mm512_srli_epi64(price, 32);
        charge = _mm512_add_epi64(charge, _mm512_mul_epu32(e645_wide512(step[r], half), price));
    }
    __m512i ratio = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(b->ratio + i)));
    __m512i energy = _mm512_mul_epu32(e645_wide512(total, half), ratio);
    __m512i before = _mm512_loadu_si512(b->period + i), balance = _mm512_loadu_si512(b->balance + i);
    __m512i away = _mm512_add_epi64(balance, _mm512_set1_epi64(E645_MONEY_MAX));
    bad |= _mm512_cmpgt_epu64_mask(energy, _mm512_set1_epi64(E645_E_MAX));
    bad |= _mm512_cmpgt_epu64_mask(before, _mm512_set1_epi64(E645_PERIOD_MAX));
    bad |= _mm512_cmpgt_epu64_mask(away, _mm512_set1_epi64((int64_t)(2 * (uint64_t)E645_MONEY_MAX)));
    __m512i after = _mm512_add_epi64(before, energy);
    charge = _mm512_mullo_epi64(charge, ratio);
    charge = _mm512_add_epi64(charge, e645_tier512(q[2], energy, after, q[4]));
    charge = _mm512_add_epi64(charge, e645_tier512(_mm512_srli_epi64(q[2], 32), energy, after, q[5]));
    charge = _mm512_add_epi64(charge, e645_tier512(q[3], energy, after, q[6]));
    balance = _mm512_sub_epi64(balance, charge);
    if (bad == 0) {
        _mm512_storeu_si512(b->charge + i, charge);
        _mm512_storeu_si512(b->period + i, after);
        _mm512_storeu_si512(b->balance + i, balance);
    } else {
        _mm512_mask_storeu_epi64(b->charge + i, (__mmask8)~bad, charge);
        _mm512_mask_storeu_epi64(b->period + i, (__mmask8)~bad, after);
        _mm512_mask_storeu_epi64(b->balance + i, (__mmask8)~bad, balance);
    }
    e645_half done = {
        bad,
        _mm512_cmplt_epi64_mask(balance, e645_fen512(b->alarm1 + i, E645_NF_PER_FEN)),
        _mm512_cmplt_epi64_mask(balance, e645_fen512(b->alarm2 + i, E645_NF_PER_FEN)),
        _mm512_cmple_epi64_mask(balance, e645_fen512(b->overdraft + i, -E645_NF_PER_FEN)),
        _mm512_cmple_epi64_mask(balance, q[7]),
    };
    return done;
}

/* Levels and events of sixteen meters, stored for the lanes that are good; the others are returned. */
static E645_IN5 unsigned e645_levels512(const e645_batch *b, ptrdiff_t i, e645_half low, e645_half high)
{
#define E645_JOIN(mask) _mm512_kunpackb(high.mask, low.mask)
    __m128i flags = _mm_loadu_si128((const __m128i *)(b->flags + i)), three = _mm_set1_epi8(3);
    __m128i stored = _mm_and_si128(flags, three);
    __mmask16 first = E645_JOIN(first), second = E645_JOIN(second), bad = E645_JOIN(bad);
    __mmask16 tripped = _mm_cmpeq_epi8_mask(stored, three), kept = _mm_test_epi8_mask(flags, _mm_set1_epi8(4));
    __mmask16 trip = E645_JOIN(floor) | (tripped & E645_JOIN(close));
#undef E645_JOIN
    __mmask16 two = second | trip, one = (__mmask16)((first & ~second) | trip);
    one &= (__mmask16)~(two & kept);
    __m128i level = _mm_or_si128(_mm_maskz_set1_epi8(one, 1), _mm_maskz_set1_epi8(two, 2));
    __m128i event = _mm_maskz_mov_epi8(_mm_cmpgt_epi8_mask(level, stored), level);
    event = _mm_mask_mov_epi8(event, (__mmask16)(tripped & ~(one & two)), _mm_set1_epi8(4));
    flags = _mm_or_si128(_mm_andnot_si128(three, flags), level);
    if (bad == 0) {
        _mm_storeu_si128((__m128i *)(b->flags + i), flags);
        _mm_storeu_si128((__m128i *)(b->event + i), event);
    } else {
        _mm_mask_storeu_epi8(b->flags + i, (__mmask16)~bad, flags);
        _mm_mask_storeu_epi8(b->event + i, (__mmask16)~bad, event);
    }
    return bad;
}

/* Sixteen meters; returns the lanes that a guard refuses. */
static E645_IN5 unsigned e645_sixteen(const e645_batch *b, const __m512i *common, ptrdiff_t i, int rates)
{
    __m512i modulus = _mm512_set1_epi32((int)b->modulus), longest = _mm512_setzero_si512(), total = longest;
    __m512i step[5], own[8];
    for (int r = 0; r < rates; r++) {
        __m512i prev = _mm512_loadu_si512(b->prev + r * b->meters + i);
        step[r] = _mm512_sub_epi32(_mm512_loadu_si512(b->now + r * b->meters + i), prev);
        step[r] = _mm512_min_epu32(step[r], _mm512_add_epi32(step[r], modulus)); /* a step back is huge unsigned */
        longest = _mm512_max_epu32(longest, step[r]);
        total = _mm512_add_epi32(total, step[r]); /* five steps within max_delta < 2^29 fit */
    }
    __mmask16 bad = _mm512_cmpgt_epu32_mask(longest, _mm512_set1_epi32((int)b->max_delta));
    if (!common)
        e645_columns512(b->rows, b->tariff + i, own);
    e645_half low = e645_eight(b, common ? common : own, step, total, (__mmask8)bad, i, 0, rates);
    if (!common)
        e645_columns512(b->rows, b->tariff + i + 8, own);
    e645_half high = e645_eight(b, common ? common : own, step, total, (__mmask8)(bad >> 8), i, 1, rates);
    return e645_levels512(b, i, low, high);
}

/* Whole groups from lo on; returns the first meter that is left over. */
static E645_IN5 ptrdiff_t e645_groups512(
    const e645_batch *b, const e645_row *row, const __m512i *common, ptrdiff_t lo, ptrdiff_t hi, int rates,
    e645_pass scalar)
{
    ptrdiff_t i = lo;
    for (; i + E645_GROUP <= hi; i += E645_GROUP) {
        e645_fetch_group(b, i, rates);
        if (e645_invalid512(b, i, rates))
            break;
        if (b->old_charge)
            e645_keep512(b, i);
        unsigned bad = e645_sixteen(b, common, i, rates);
        if (bad)
            e645_refused(b, row, i, bad, scalar);
    }
    return i;
}

static E645_IN_AVX512 ptrdiff_t e645_deduct_avx512(
    const e645_batch *batch, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar)
{
    const e645_batch b = *batch; /* a copy, which no store through its pointers can change */
    __m512i common[8];
    ptrdiff_t i = e645_first_group(&b, lo, hi), stop = scalar(batch, row, lo, i);
    if (stop < i)
        return stop;
    if (row)
        for (int k = 0; k < 8; k++)
            common[k] = _mm512_set1_epi64(((const long long *)row)[k]);
    if (row)
        i = b.rates == 4 ? e645_groups512(&b, row, common, i, hi, 4, scalar)
                         : e645_groups512(&b, row, common, i, hi, b.rates, scalar);
    else
        i = b.rates == 4 ? e645_groups512(&b, NULL, NULL, i, hi, 4, scalar)
                         : e645_groups512(&b, NULL, NULL, i, hi, b.rates, scalar);
    _mm_sfence();
    return scalar(batch, row, i, hi);
}
