/* The scanner's quick way with AVX-512: sound frames of up to 64 bytes with items of four bytes, without a branch
 * that depends on what a frame holds. It stops at whatever else comes, and the scanner goes on from there.
 */
#ifndef E645_SCAN512_H
#define E645_SCAN512_H

#include "_isa.h"
#include "_scan.h"

typedef struct {
    int64_t *off;
    uint64_t *addr;
    uint8_t *ctrl;
    uint8_t *dlen;
    uint32_t *di;
    int64_t *value;
    uint16_t *error;
    ptrdiff_t rows, columns, width;
    int signed_values;
} e645_arrays;

typedef struct {
    ptrdiff_t frames, consumed, bad;
} e645_progress;

/* Adds frames to `done` and moves `done->consumed` behind the last of them. */
typedef void (*e645_quick_scan)(const uint8_t *data, ptrdiff_t size, const e645_arrays *out, e645_progress *done);

/* Functions 03H, 11H, 12H and 14H carry an identifier. */
#define E645_WITH_IDENTIFIER 0x160008u

static void e645_no_quick_scan(const uint8_t *data, ptrdiff_t size, const e645_arrays *out, e645_progress *done)
{
    (void)data, (void)size, (void)out, (void)done;
}

#ifdef E645_X86

#define E645_SCAN_AHEAD 1024

/* Up to eight BCD items of four bytes as sent; lanes outside `items`, and those that are no BCD, become ABSENT. */
static E645_INLINE E645_IN_AVX512 __m512i e645_items512(const uint8_t *at, __mmask8 items, __m256i sign_bit)
{
    __m256i bcd = _mm256_sub_epi8(_mm256_maskz_loadu_epi32(items, at), _mm256_set1_epi8(0x33));
    __m256i sign = _mm256_and_si256(bcd, sign_bit), high;
    bcd = _mm256_xor_si256(bcd, sign);
    __m256i carry = _mm256_or_si256(_mm256_slli_epi32(bcd, 1), _mm256_slli_epi32(bcd, 2));
    __m256i above_nine = _mm256_and_si256(_mm256_and_si256(bcd, carry), _mm256_set1_epi8((char)0x88));
    high = _mm256_and_si256(_mm256_srli_epi32(bcd, 4), _mm256_set1_epi8(0x0F));
    high = _mm256_add_epi8(_mm256_slli_epi32(high, 1), _mm256_slli_epi32(high, 2));
    __m256i hundreds = _mm256_maddubs_epi16(_mm256_sub_epi8(bcd, high), _mm256_set1_epi16(100 << 8 | 1));
    __m256i value = _mm256_madd_epi16(hundreds, _mm256_set1_epi32(10000 << 16 | 1));
    __mmask8 good = items & _mm256_testn_epi32_mask(above_nine, above_nine);
    __mmask8 minus = _mm256_test_epi32_mask(sign, sign);
    value = _mm256_mask_sub_epi32(value, minus, _mm256_setzero_si256(), value);
    return _mm512_mask_cvtepi32_epi64(_mm512_set1_epi64(INT64_MIN), good, value);
}

/* ERR of one byte, SERR of two; `data` has room for both, for the sum and 16H follow. */
static inline uint16_t e645_error_word(const uint8_t *data, unsigned length)
{
    unsigned word = (uint8_t)(data[0] - 0x33) | (unsigned)(uint8_t)(data[1] - 0x33) << 8;
    return (uint16_t)(word & (length > 1 ? 0xFFFFu : length ? 0xFFu : 0));
}

static E645_IN_AVX512 void e645_quick_scan512(
    const uint8_t *data, ptrdiff_t size, const e645_arrays *arrays, e645_progress *done)
{
    const e645_arrays out = *arrays;
    const __m256i sign_bit = _mm256_set1_epi32(out.signed_values ? INT32_MIN : 0);
    const __mmask8 all = (__mmask8)((1u << out.columns) - 1);
    ptrdiff_t at = done->consumed, row = done->frames;
    for (; row < out.rows && at + 16 <= size; row++) {
        unsigned marks = _mm_cmpeq_epi8_mask(_mm_loadu_si128((const __m128i *)(data + at)), _mm_set1_epi8(0x68));
        if (marks == 0)
            break;
        const uint8_t *frame = data + at + __builtin_ctz(marks);
        E645_PREFETCH(frame, E645_SCAN_AHEAD);
        E645_PREFETCH(out.value + row * out.columns, 32 * 8 * out.columns);
        E645_PREFETCH(out.addr + row, 512);
        E645_PREFETCH(out.off + row, 512);
        ptrdiff_t held = data + size - frame;
        if (held < 16 || frame[7] != 0x68)
            break;
        unsigned control = frame[8], length = frame[9];
        if (length > 52 || held < 12 + (ptrdiff_t)length || frame[length + 11] != 0x16)
            break;
        __m512i bytes = _mm512_maskz_loadu_epi8(~(uint64_t)0 >> (54 - length), frame);
        bytes = _mm512_sad_epu8(bytes, _mm512_setzero_si512());
        if ((uint8_t)_mm512_reduce_add_epi64(bytes) != frame[length + 10])
            break;
        unsigned named = length >= 4 && !(control & 0x40) && (E645_WITH_IDENTIFIER >> (control & 0x1F) & 1);
        ptrdiff_t items = named ? (ptrdiff_t)(length - 4) >> 2 : 0;
        items = items < out.columns ? items : out.columns;
        out.off[row] = frame - data;
        out.addr[row] = e645_low_first(frame + 1, 8) & 0xFFFFFFFFFFFFu;
        out.ctrl[row] = (uint8_t)control;
        out.dlen[row] = (uint8_t)length;
        out.di[row] = (uint32_t)e645_plain(e645_low_first(frame + 8, 8) >> 16 & 0xFFFFFFFFu) | (named ? 0 : 0xFFFFFFFFu);
        out.error[row] = (control & 0xC0) == 0xC0 ? e645_error_word(frame + 10, length) : 0;
        __m512i values = e645_items512(frame + 14, (__mmask8)((1u << items) - 1), sign_bit);
        _mm512_mask_storeu_epi64(out.value + row * out.columns, all, values);
        at = frame - data + 12 + length;
    }
    done->frames = row;
    done->consumed = at;
}

static const e645_quick_scan e645_quick_scans[E645_TIERS] = {
    e645_no_quick_scan, e645_no_quick_scan, e645_quick_scan512
};
#else
static const e645_quick_scan e645_quick_scans[E645_TIERS] = {
    e645_no_quick_scan, e645_no_quick_scan, e645_no_quick_scan
};
#endif
#endif
