/* The byte streams of the deduction with additions only; the compiler vectorises the loop for each tier.
 *
 * Streams are asked for ahead of use as the deduction does: without that the processor, which follows fewer of
 * them and none across pages, stays a quarter below the speed of its memory.
 */
#ifndef E645_ROOFLINE_H
#define E645_ROOFLINE_H

#include "_isa.h"

#if defined(_MSC_VER)
#define E645_ALONE __restrict
#else
#define E645_ALONE __restrict__
#endif

#define E645_STREAM_ARGUMENTS \
    ptrdiff_t n, const int32_t *E645_ALONE prev, const int32_t *E645_ALONE now, const int32_t *E645_ALONE ratio, \
    const uint16_t *E645_ALONE tariff, int64_t *E645_ALONE period, int64_t *E645_ALONE balance, \
    const int32_t *E645_ALONE alarm1, const int32_t *E645_ALONE alarm2, const int32_t *E645_ALONE overdraft, \
    uint8_t *E645_ALONE flags, int64_t *E645_ALONE charge, uint8_t *E645_ALONE event

typedef void (*e645_streams)(E645_STREAM_ARGUMENTS);

#define E645_BLOCK_METERS 64
#define E645_BLOCKS_AHEAD 4

static inline void e645_fetch_line(const void *array, ptrdiff_t size, ptrdiff_t first)
{
    for (ptrdiff_t line = 0; line < size; line++)
        E645_PREFETCH(array, size * (first + E645_BLOCKS_AHEAD * E645_BLOCK_METERS) + 64 * line);
}

#define E645_FETCH_BLOCK \
    for (int r = 0; r < 4; r++) { \
        e645_fetch_line(prev + r * n, 4, lo); \
        e645_fetch_line(now + r * n, 4, lo); \
    } \
    e645_fetch_line(ratio, 4, lo); \
    e645_fetch_line(tariff, 2, lo); \
    e645_fetch_line(period, 8, lo); \
    e645_fetch_line(balance, 8, lo); \
    e645_fetch_line(alarm1, 4, lo); \
    e645_fetch_line(alarm2, 4, lo); \
    e645_fetch_line(overdraft, 4, lo); \
    e645_fetch_line(flags, 1, lo); \
    e645_fetch_line(charge, 8, lo); \
    e645_fetch_line(event, 1, lo);

#define E645_STREAM_BODY \
    for (ptrdiff_t lo = 0; lo < n; lo += E645_BLOCK_METERS) { \
        const ptrdiff_t hi = lo + E645_BLOCK_METERS < n ? lo + E645_BLOCK_METERS : n; \
        E645_FETCH_BLOCK \
        for (ptrdiff_t i = lo; i < hi; i++) { \
            uint32_t moved = (uint32_t)(now[i] ^ prev[i]) + (uint32_t)(now[n + i] ^ prev[n + i]) \
                + (uint32_t)(now[2 * n + i] ^ prev[2 * n + i]) + (uint32_t)(now[3 * n + i] ^ prev[3 * n + i]) \
                + (uint32_t)(ratio[i] ^ alarm1[i] ^ alarm2[i] ^ overdraft[i]) + tariff[i]; \
            charge[i] = (int64_t)moved; \
            period[i] ^= (int64_t)moved; \
            balance[i] ^= (int64_t)moved; \
            event[i] = flags[i]; \
            flags[i] ^= 3; \
        } \
    }

static void e645_stream_scalar(E645_STREAM_ARGUMENTS)
{
    E645_STREAM_BODY
}

#ifdef E645_X86
static E645_IN_AVX2 void e645_stream_avx2(E645_STREAM_ARGUMENTS)
{
    E645_STREAM_BODY
}

static E645_IN_AVX512 void e645_stream_avx512(E645_STREAM_ARGUMENTS)
{
    E645_STREAM_BODY
}

static const e645_streams e645_stream_passes[E645_TIERS] = {
    e645_stream_scalar, e645_stream_avx2, e645_stream_avx512
};
#else
static const e645_streams e645_stream_passes[E645_TIERS] = {
    e645_stream_scalar, e645_stream_scalar, e645_stream_scalar
};
#endif
#endif
