/* The deduction for 4 meters at once with AVX2; part of `_deduct.h`, the method is that of `_deduct512.h`. */

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

static E645_INLINE E645_IN_AVX2 int e645_invalid256(const e645_batch *b, ptrdiff_t i, int rates)
{
    __m256i limit = _mm256_set1_epi32((int32_t)b->modulus - 1), highest = _mm256_setzero_si256(), top = highest;
    for (int half = 0; half < 2; half++) {
        const __m256i *ratio = (const __m256i *)(b->ratio + i + 8 * half);
        for (int r = 0; r < rates; r++) {
            const __m256i *prev = (const __m256i *)(b->prev + r * b->meters + i + 8 * half);
            const __m256i *now = (const __m256i *)(b->now + r * b->meters + i + 8 * half);
            highest = _mm256_max_epu32(highest, _mm256_max_epu32(_mm256_loadu_si256(prev), _mm256_loadu_si256(now)));
        }
        top = _mm256_max_epu32(top, _mm256_sub_epi32(_mm256_loadu_si256(ratio), _mm256_set1_epi32(1)));
    }
    __m256i good = _mm256_cmpeq_epi32(_mm256_max_epu32(highest, limit), limit);
    __m256i last = _mm256_set1_epi32(E645_RATIO_MAX - 1), tariff = _mm256_loadu_si256((const __m256i *)(b->tariff + i));
    good = _mm256_and_si256(good, _mm256_cmpeq_epi32(_mm256_max_epu32(top, last), last));
    tariff = _mm256_subs_epu16(tariff, _mm256_set1_epi16((short)b->last_tariff));
    good = _mm256_and_si256(good, _mm256_cmpeq_epi16(tariff, _mm256_setzero_si256()));
    return _mm256_movemask_epi8(good) != -1;
}

static E645_INLINE E645_IN_AVX2 void e645_keep_sixteen(const e645_batch *b, ptrdiff_t i)
{
    ptrdiff_t at = i - b->logged_from;
    for (int k = 0; k < E645_GROUP; k += 4) {
        __m256i charge = _mm256_loadu_si256((const __m256i *)(b->charge + i + k));
        _mm256_stream_si256((__m256i *)(b->old_charge + at + k), charge);
    }
    _mm_storeu_si128((__m128i *)(b->old_flags + at), _mm_loadu_si128((const __m128i *)(b->flags + i)));
    _mm_storeu_si128((__m128i *)(b->old_event + at), _mm_loadu_si128((const __m128i *)(b->event + i)));
}

/* Step price times the part of the energy that lies beyond the limit. */
static E645_INLINE E645_IN_AVX2 __m256i e645_tier256(__m256i step, __m256i energy, __m256i after, __m256i limit)
{
    __m256i beyond = _mm256_sub_epi64(after, limit);
    beyond = _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_setzero_si256(), beyond), beyond);
    return _mm256_mul_epi32(step, _mm256_blendv_epi8(beyond, energy, _mm256_cmpgt_epi64(beyond, energy)));
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
    charge = _mm256_add_epi64(charge, e645_tier256(q[2], energy, after, q[4]));
    charge = _mm256_add_epi64(charge, e645_tier256(_mm256_srli_epi64(q[2], 32), energy, after, q[5]));
    charge = _mm256_add_epi64(charge, e645_tier256(q[3], energy, after, q[6]));
    balance = _mm256_sub_epi64(balance, charge);
    e645_levels256(b, i, balance, q[7], bad);
    e645_keep256(b->charge + i, charge, bad);
    e645_keep256(b->period + i, after, bad);
    e645_keep256(b->balance + i, balance, bad);
    return (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(bad));
}

/* Whole groups from lo on; returns the first meter that is left over. */
static E645_INLINE E645_IN_AVX2 ptrdiff_t e645_groups256(
    const e645_batch *b, const e645_row *row, const __m256i *common, ptrdiff_t lo, ptrdiff_t hi, int rates,
    e645_pass scalar)
{
    ptrdiff_t i = lo;
    for (; i + E645_GROUP <= hi; i += E645_GROUP) {
        e645_fetch_group(b, i, rates);
        if (e645_invalid256(b, i, rates))
            break;
        if (b->old_charge)
            e645_keep_sixteen(b, i);
        for (ptrdiff_t k = i; k < i + E645_GROUP; k += 4) {
            __m256i own[8];
            if (!common)
                e645_columns256(b->rows, b->tariff + k, own);
            unsigned bad = e645_four(b, common ? common : own, k, rates);
            if (bad)
                e645_refused(b, row, k, bad, scalar);
        }
    }
    return i;
}

static E645_IN_AVX2 ptrdiff_t e645_deduct_avx2(
    const e645_batch *batch, const e645_row *row, ptrdiff_t lo, ptrdiff_t hi, e645_pass scalar)
{
    const e645_batch b = *batch;
    __m256i common[8];
    ptrdiff_t i = e645_first_group(&b, lo, hi), stop = scalar(batch, row, lo, i);
    if (stop < i)
        return stop;
    if (row)
        for (int k = 0; k < 8; k++)
            common[k] = _mm256_set1_epi64x(((const long long *)row)[k]);
    if (row)
        i = b.rates == 4 ? e645_groups256(&b, row, common, i, hi, 4, scalar)
                         : e645_groups256(&b, row, common, i, hi, b.rates, scalar);
    else
        i = b.rates == 4 ? e645_groups256(&b, NULL, NULL, i, hi, 4, scalar)
                         : e645_groups256(&b, NULL, NULL, i, hi, b.rates, scalar);
    _mm_sfence();
    return scalar(batch, row, i, hi);
}
