/* Checks of many frames: the sum modulo 256 and reflected CRC-16s, a portable tier and two SIMD tiers.
 *
 * A frame of up to 64 bytes is right-aligned in zeros by masked loads, so random lengths cost no branch.
 * Write y for one bit towards the end: a message m of n bits with register 0 has the CRC m * y^-n mod p, where
 * p = 1 + y * polynomial. Each quadword is multiplied by its power of 1/y (16 bits), the products are added to
 * 80 bits, and one Montgomery step (times 1/p mod y^64, times p, high half) gives the CRC. The start value adds
 * what it becomes after as many zero bytes, from a table; later blocks of long frames take it into their first
 * two bytes.
 */
#ifndef E645_CRC_H
#define E645_CRC_H

#include "_isa.h"

#define E645_BLOCK 64

typedef struct {
    uint16_t table[8][256];            /* table[k][b]: byte b, then k zero bytes */
    uint16_t zeros[E645_BLOCK + 1];    /* FFFFH after k zero bytes */
    uint16_t final_xor;
    uint64_t power[8];                 /* y^(-64 d) mod p */
    uint64_t p, p_inverse;             /* the inverse modulo y^64 */
} e645_crc;

typedef void (*e645_crc_pass)(
    const e645_crc *c, const uint8_t *data, const int64_t *off, ptrdiff_t n, uint16_t *out);
typedef int (*e645_ascending_pass)(const int64_t *off, ptrdiff_t n);
typedef void (*e645_sum_pass)(const uint8_t *data, const int64_t *off, ptrdiff_t n, uint8_t *out);

static void e645_crc_fill(e645_crc *c, uint16_t polynomial, uint16_t final_xor)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? polynomial : 0u);
        c->table[0][byte] = (uint16_t)crc;
    }
    for (int k = 1; k < 8; k++)
        for (unsigned byte = 0; byte < 256; byte++) {
            uint16_t crc = c->table[k - 1][byte];
            c->table[k][byte] = (uint16_t)(crc >> 8 ^ c->table[0][crc & 0xFF]);
        }
    c->final_xor = final_xor;
    c->zeros[0] = 0xFFFF;
    for (int k = 1; k <= E645_BLOCK; k++)
        c->zeros[k] = (uint16_t)(c->zeros[k - 1] >> 8 ^ c->table[0][c->zeros[k - 1] & 0xFF]);
    c->p = (uint64_t)polynomial << 1 | 1;
    unsigned power = 1;
    for (int d = 0; d < 8; d++) {
        c->power[d] = power;
        for (int bit = 0; bit < 64; bit++)
            power = (power ^ (power & 1 ? (unsigned)c->p : 0u)) >> 1;
    }
    uint64_t rest = 1;
    c->p_inverse = 0;
    for (int bit = 0; bit < 64; bit++)
        if (rest >> bit & 1) {
            c->p_inverse |= (uint64_t)1 << bit;
            rest ^= c->p << bit;
        }
}

static inline uint16_t e645_crc_bytes(const e645_crc *c, const uint8_t *data, ptrdiff_t length, uint16_t crc)
{
    for (; length >= 8; length -= 8, data += 8)
        crc = c->table[7][(data[0] ^ crc) & 0xFF] ^ c->table[6][data[1] ^ crc >> 8] ^ c->table[5][data[2]]
            ^ c->table[4][data[3]] ^ c->table[3][data[4]] ^ c->table[2][data[5]] ^ c->table[1][data[6]]
            ^ c->table[0][data[7]];
    for (; length > 0; length--, data++)
        crc = (uint16_t)(crc >> 8 ^ c->table[0][(crc ^ *data) & 0xFF]);
    return crc;
}

static void e645_crc_scalar(
    const e645_crc *c, const uint8_t *data, const int64_t *off, ptrdiff_t n, uint16_t *out)
{
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = e645_crc_bytes(c, data + off[i], off[i + 1] - off[i], 0xFFFF) ^ c->final_xor;
}

/* Whether n + 1 offsets ascend, or stand still; without a branch, so that the compiler vectorises it. */
#define E645_ASCENDING_BODY \
    uint64_t down = 0; \
    for (ptrdiff_t i = 0; i < n; i++) \
        down |= ((uint64_t)off[i + 1] - (uint64_t)off[i]) | (uint64_t)off[i + 1]; \
    return down >> 63 == 0;

static int e645_ascending_scalar(const int64_t *off, ptrdiff_t n)
{
    E645_ASCENDING_BODY
}

static inline uint8_t e645_sum_bytes(const uint8_t *data, ptrdiff_t length)
{
    uint8_t total = 0;
    for (ptrdiff_t i = 0; i < length; i++)
        total = (uint8_t)(total + data[i]);
    return total;
}

static void e645_sum_scalar(const uint8_t *data, const int64_t *off, ptrdiff_t n, uint8_t *out)
{
    for (ptrdiff_t i = 0; i < n; i++)
        out[i] = e645_sum_bytes(data + off[i], off[i + 1] - off[i]);
}

#ifdef E645_X86

/* The prefetcher of the processor does not follow overlapping masked loads. */
#define E645_AHEAD 2048
#define E645_FETCH(p) \
    (_mm_prefetch((const char *)((uintptr_t)(p) + E645_AHEAD), _MM_HINT_T0), \
     _mm_prefetch((const char *)((uintptr_t)(p) + E645_AHEAD + 64), _MM_HINT_T0))

static E645_IN_AVX2 int e645_ascending_avx2(const int64_t *off, ptrdiff_t n)
{
    E645_ASCENDING_BODY
}

static E645_IN_AVX512 int e645_ascending_avx512(const int64_t *off, ptrdiff_t n)
{
    E645_ASCENDING_BODY
}

/* The last `length` bytes before `end`, right-aligned in zeros; a masked byte is never read. */
static E645_INLINE E645_IN_AVX512 __m512i e645_aligned512(const uint8_t *end, int64_t length)
{
    __mmask64 mask = length ? ~(uint64_t)0 << (64 - length) : 0;
    return _mm512_maskz_loadu_epi8(mask, (const void *)((uintptr_t)end - E645_BLOCK));
}

/* CRCs with register 0 of four 64-byte messages, one in the high quadword of each 128-bit lane. */
static E645_INLINE E645_IN_AVX512 __m512i e645_crc_four512(
    __m512i a, __m512i b, __m512i d, __m512i e, __m512i powers, __m512i p_inverse, __m512i p)
{
#define E645_PRODUCT(m) \
    _mm512_xor_si512(_mm512_clmulepi64_epi128(m, powers, 0x00), _mm512_clmulepi64_epi128(m, powers, 0x11))
    a = E645_PRODUCT(a);
    b = E645_PRODUCT(b);
    d = E645_PRODUCT(d);
    e = E645_PRODUCT(e);
#undef E645_PRODUCT
    a = _mm512_xor_si512(_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xEE));
    d = _mm512_xor_si512(_mm512_shuffle_i64x2(d, e, 0x44), _mm512_shuffle_i64x2(d, e, 0xEE));
    __m512i total = _mm512_xor_si512(_mm512_shuffle_i64x2(a, d, 0x88), _mm512_shuffle_i64x2(a, d, 0xDD));
    __m512i q = _mm512_clmulepi64_epi128(total, p_inverse, 0x00);
    return _mm512_xor_si512(total, _mm512_clmulepi64_epi128(q, p, 0x00));
}

static E645_IN_AVX512 void e645_crc_avx512(
    const e645_crc *c, const uint8_t *data, const int64_t *off, ptrdiff_t n, uint16_t *out)
{
    __m512i p = _mm512_set1_epi64((long long)c->p), p_inverse = _mm512_set1_epi64((long long)c->p_inverse);
    __m512i powers = _mm512_permutexvar_epi64(_mm512_set_epi64(0, 1, 2, 3, 4, 5, 6, 7), _mm512_loadu_si512(c->power));
    __m512i none = _mm512_setzero_si512(), got;
    ptrdiff_t i = 0;
    for (; i + 4 <= n; i += 4) {
        int64_t l0 = off[i + 1] - off[i], l1 = off[i + 2] - off[i + 1], l2 = off[i + 3] - off[i + 2];
        int64_t l3 = off[i + 4] - off[i + 3];
        if (l0 > E645_BLOCK || l1 > E645_BLOCK || l2 > E645_BLOCK || l3 > E645_BLOCK) {
            for (ptrdiff_t k = i; k < i + 4; k++) {
                const uint8_t *at = data + off[k], *end = data + off[k + 1];
                int64_t length = end - at, head = length > E645_BLOCK ? (length - 1) % E645_BLOCK + 1 : length;
                got = e645_crc_four512(e645_aligned512(at + head, head), none, none, none, powers, p_inverse, p);
                int crc = _mm_extract_epi16(_mm512_castsi512_si128(got), 4) ^ c->zeros[head];
                for (at += head; at < end; at += E645_BLOCK) {
                    __m512i block = _mm512_xor_si512(
                        _mm512_loadu_si512(at), _mm512_zextsi128_si512(_mm_cvtsi32_si128(crc)));
                    got = e645_crc_four512(block, none, none, none, powers, p_inverse, p);
                    crc = _mm_extract_epi16(_mm512_castsi512_si128(got), 4);
                }
                out[k] = (uint16_t)(crc ^ c->final_xor);
            }
            continue;
        }
        E645_FETCH(data + off[i]);
        got = e645_crc_four512(
            e645_aligned512(data + off[i + 1], l0), e645_aligned512(data + off[i + 2], l1),
            e645_aligned512(data + off[i + 3], l2), e645_aligned512(data + off[i + 4], l3), powers, p_inverse, p);
        out[i] = (uint16_t)(_mm_extract_epi16(_mm512_castsi512_si128(got), 4) ^ c->zeros[l0] ^ c->final_xor);
        out[i + 1] = (uint16_t)(
            _mm_extract_epi16(_mm512_extracti64x2_epi64(got, 1), 4) ^ c->zeros[l1] ^ c->final_xor);
        out[i + 2] = (uint16_t)(
            _mm_extract_epi16(_mm512_extracti64x2_epi64(got, 2), 4) ^ c->zeros[l2] ^ c->final_xor);
        out[i + 3] = (uint16_t)(
            _mm_extract_epi16(_mm512_extracti64x2_epi64(got, 3), 4) ^ c->zeros[l3] ^ c->final_xor);
    }
    e645_crc_scalar(c, data, off + i, n - i, out + i);
}

/* A frame of any length: its first block may be short, the others are whole. */
static E645_INLINE E645_IN_AVX512 uint8_t e645_sum_one512(const uint8_t *at, const uint8_t *end)
{
    __m512i none = _mm512_setzero_si512();
    int64_t length = end - at, head = length ? (length - 1) % E645_BLOCK + 1 : 0;
    __m512i sums = _mm512_sad_epu8(e645_aligned512(at + head, head), none);
    for (at += head; at < end; at += E645_BLOCK)
        sums = _mm512_add_epi64(sums, _mm512_sad_epu8(_mm512_loadu_si512(at), none));
    return (uint8_t)_mm512_reduce_add_epi64(sums);
}

/* Four frames of up to 64 bytes that end at end[0..3]: eight times four sums of sixteen bits, to be added up. */
static E645_INLINE E645_IN_AVX512 __m256i e645_sum_four512(const uint8_t *data, const int64_t *end, const uint64_t *mask)
{
    __m512i total = _mm512_setzero_si512();
    for (int k = 3; k >= 0; k--) {
        const void *block = (const void *)((uintptr_t)data + (uintptr_t)end[k] - E645_BLOCK);
        __m512i sums = _mm512_sad_epu8(_mm512_maskz_loadu_epi8(mask[k], block), _mm512_setzero_si512());
        total = _mm512_or_si512(_mm512_slli_epi64(total, 16), sums);
    }
    return _mm256_add_epi64(_mm512_castsi512_si256(total), _mm512_extracti64x4_epi64(total, 1));
}

static E645_IN_AVX512 void e645_sum_avx512(const uint8_t *data, const int64_t *off, ptrdiff_t n, uint8_t *out)
{
    const __m512i block = _mm512_set1_epi64(E645_BLOCK);
    ptrdiff_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t mask[8];
        __m512i length = _mm512_sub_epi64(_mm512_loadu_si512(off + i + 1), _mm512_loadu_si512(off + i));
        if (_mm512_cmpgt_epi64_mask(length, block)) {
            for (ptrdiff_t k = i; k < i + 8; k++)
                out[k] = e645_sum_one512(data + off[k], data + off[k + 1]);
            continue;
        }
        /* a shift by 64 leaves nothing, which is right for an empty frame */
        _mm512_storeu_si512(mask, _mm512_sllv_epi64(_mm512_set1_epi64(-1), _mm512_sub_epi64(block, length)));
        for (int line = 0; line < 4; line++)
            E645_PREFETCH(data + off[i], E645_AHEAD + 64 * line);
        __m256i a = e645_sum_four512(data, off + i + 1, mask), b = e645_sum_four512(data, off + i + 5, mask + 4);
        a = _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
        __m128i eight = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
        eight = _mm_and_si128(eight, _mm_set1_epi16(0xFF));
        _mm_storel_epi64((__m128i *)(out + i), _mm_packus_epi16(eight, eight));
    }
    e645_sum_scalar(data, off + i, n - i, out + i);
}

/* 64 bytes of zeros, then 64 of ones: from `length` on, the mask of the last `length` of 64 bytes. */
static uint8_t e645_window[128];

static void e645_window_fill(void)
{
    for (int k = E645_BLOCK; k < 2 * E645_BLOCK; k++)
        e645_window[k] = 0xFF;
}

static E645_INLINE E645_IN_AVX2 __m128i e645_block128(const uint8_t *end, int64_t length, int from_end)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)end - from_end);
    return _mm_and_si128(bytes, _mm_loadu_si128((const __m128i *)(e645_window + E645_BLOCK + length) - from_end));
}

/* CRC with register `crc` folded in by the caller, of the last `length` <= 16 x blocks bytes before `end`. */
static E645_INLINE E645_IN_AVX2 unsigned e645_crc_blocks128(
    const e645_crc *c, const uint8_t *end, int64_t length, int blocks, unsigned first_xor)
{
    __m128i total = _mm_setzero_si128();
    __m128i p = _mm_set_epi64x((long long)c->p, (long long)c->p_inverse);
    for (int k = blocks; k > 0; k--) {
        __m128i powers = _mm_set_epi64x((long long)c->power[2 * k - 2], (long long)c->power[2 * k - 1]);
        __m128i block = e645_block128(end, length, k);
        if (k == blocks)
            block = _mm_xor_si128(block, _mm_cvtsi32_si128((int)first_xor));
        total = _mm_xor_si128(total, _mm_clmulepi64_si128(block, powers, 0x00));
        total = _mm_xor_si128(total, _mm_clmulepi64_si128(block, powers, 0x11));
    }
    __m128i q = _mm_clmulepi64_si128(total, p, 0x00);
    return (unsigned)_mm_extract_epi16(_mm_xor_si128(total, _mm_clmulepi64_si128(q, p, 0x10)), 4);
}

static E645_IN_AVX2 void e645_crc_avx2(
    const e645_crc *c, const uint8_t *data, const int64_t *off, ptrdiff_t n, uint16_t *out)
{
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint8_t *end = data + off[i + 1];
        int64_t length = off[i + 1] - off[i], head = length;
        unsigned crc;
        if (length > E645_BLOCK)
            head = (length - 1) % E645_BLOCK + 1;
        if (off[i] + head < E645_BLOCK) { /* nothing may be read in front of the buffer */
            out[i] = e645_crc_bytes(c, data + off[i], length, 0xFFFF) ^ c->final_xor;
            continue;
        }
        E645_FETCH(data + off[i]);
        const uint8_t *at = data + off[i] + head;
        crc = head <= 48 ? e645_crc_blocks128(c, at, head, 3, 0) : e645_crc_blocks128(c, at, head, 4, 0);
        crc ^= c->zeros[head];
        for (; at < end; at += E645_BLOCK)
            crc = e645_crc_blocks128(c, at + E645_BLOCK, E645_BLOCK, 4, crc);
        out[i] = (uint16_t)(crc ^ c->final_xor);
    }
}

static E645_IN_AVX2 void e645_sum_avx2(const uint8_t *data, const int64_t *off, ptrdiff_t n, uint8_t *out)
{
    __m256i none = _mm256_setzero_si256();
    for (ptrdiff_t i = 0; i < n; i++) {
        const uint8_t *end = data + off[i + 1];
        int64_t length = off[i + 1] - off[i];
        if (length > E645_BLOCK || off[i + 1] < E645_BLOCK) {
            out[i] = e645_sum_bytes(data + off[i], length);
            continue;
        }
        E645_FETCH(data + off[i]);
        const __m256i *mask = (const __m256i *)(e645_window + length);
        __m256i low = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(end - 64)), _mm256_loadu_si256(mask));
        __m256i high = _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(end - 32)), _mm256_loadu_si256(mask + 1));
        __m256i sums = _mm256_add_epi64(_mm256_sad_epu8(low, none), _mm256_sad_epu8(high, none));
        __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
        out[i] = (uint8_t)(_mm_cvtsi128_si32(two) + _mm_extract_epi16(two, 4));
    }
}

static const e645_ascending_pass e645_ascending_passes[E645_TIERS] = {
    e645_ascending_scalar, e645_ascending_avx2, e645_ascending_avx512
};
static const e645_crc_pass e645_crc_passes[E645_TIERS] = { e645_crc_scalar, e645_crc_avx2, e645_crc_avx512 };
static const e645_sum_pass e645_sum_passes[E645_TIERS] = { e645_sum_scalar, e645_sum_avx2, e645_sum_avx512 };
#else
static void e645_window_fill(void) {}
static const e645_ascending_pass e645_ascending_passes[E645_TIERS] = {
    e645_ascending_scalar, e645_ascending_scalar, e645_ascending_scalar
};
static const e645_crc_pass e645_crc_passes[E645_TIERS] = { e645_crc_scalar, e645_crc_scalar, e645_crc_scalar };
static const e645_sum_pass e645_sum_passes[E645_TIERS] = { e645_sum_scalar, e645_sum_scalar, e645_sum_scalar };
#endif
#endif
