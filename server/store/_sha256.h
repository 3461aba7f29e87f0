/* SHA-256 (FIPS 180-4) without the interpreter: a portable block function, and one of the SHA extensions of x86.
 *
 * `verify` hashes every line of a journal; small messages by hashlib would cost an object each and hold the GIL.
 * What these functions do not find right is hashed once more by hashlib, so that they can never be what says so.
 */
#ifndef E645_SHA256_H
#define E645_SHA256_H

#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define E645_SHA_X86 1
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { E645_SHA_BLOCK = 64, E645_SHA_DIGEST = 32 };

typedef void (*e645_sha_pass)(uint32_t *state, const uint8_t *data, size_t blocks);

typedef struct {
    uint32_t state[8];
    uint64_t size;
    uint8_t waiting[E645_SHA_BLOCK];
    e645_sha_pass pass;
} e645_sha;

static const uint32_t E645_SHA_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t e645_sha_right(uint32_t x, int by)
{
    return x >> by | x << (32 - by);
}

/* One round; the letters are places in s, so that nothing moves. */
#define E645_SHA_ROUND(a, b, c, d, e, f, g, h, i) \
    s[h] += (e645_sha_right(s[e], 6) ^ e645_sha_right(s[e], 11) ^ e645_sha_right(s[e], 25)) \
        + ((s[e] & s[f]) ^ (~s[e] & s[g])) + E645_SHA_K[i] + w[i]; \
    s[d] += s[h]; \
    s[h] += (e645_sha_right(s[a], 2) ^ e645_sha_right(s[a], 13) ^ e645_sha_right(s[a], 22)) \
        + ((s[a] & s[b]) ^ (s[a] & s[c]) ^ (s[b] & s[c]));

static void e645_sha_portable(uint32_t *state, const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += E645_SHA_BLOCK) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8
                | data[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + (e645_sha_right(a, 7) ^ e645_sha_right(a, 18) ^ a >> 3) + w[i - 7]
                + (e645_sha_right(b, 17) ^ e645_sha_right(b, 19) ^ b >> 10);
        }
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i += 8) {
            E645_SHA_ROUND(0, 1, 2, 3, 4, 5, 6, 7, i)
            E645_SHA_ROUND(7, 0, 1, 2, 3, 4, 5, 6, i + 1)
            E645_SHA_ROUND(6, 7, 0, 1, 2, 3, 4, 5, i + 2)
            E645_SHA_ROUND(5, 6, 7, 0, 1, 2, 3, 4, i + 3)
            E645_SHA_ROUND(4, 5, 6, 7, 0, 1, 2, 3, i + 4)
            E645_SHA_ROUND(3, 4, 5, 6, 7, 0, 1, 2, i + 5)
            E645_SHA_ROUND(2, 3, 4, 5, 6, 7, 0, 1, i + 6)
            E645_SHA_ROUND(1, 2, 3, 4, 5, 6, 7, 0, i + 7)
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

#ifdef E645_SHA_X86

__attribute__((target("sha,sse4.1,ssse3")))
static void e645_sha_x86(uint32_t *state, const uint8_t *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_loadu_si128((const __m128i *)state), high = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i order = _mm_shuffle_epi32(low, 0xB1);
    high = _mm_shuffle_epi32(high, 0x1B);
    __m128i abef = _mm_alignr_epi8(order, high, 8), cdgh = _mm_blend_epi16(high, order, 0xF0);
    for (; blocks > 0; blocks--, data += E645_SHA_BLOCK) {
        __m128i abef_before = abef, cdgh_before = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * i)), swap);
        for (int i = 0; i < 16; i++) {  /* four rounds at a time; w holds the next sixteen words */
            __m128i now = w[i & 3];
            __m128i sum = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(E645_SHA_K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            if (i < 12) {
                __m128i last = w[(i + 3) & 3];
                __m128i next = _mm_add_epi32(
                    _mm_sha256msg1_epu32(now, w[(i + 1) & 3]), _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, last);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    order = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(order, high, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, order, 8));
}

#endif

/* The block function of this machine; whether it is asked for SHA extensions by CPUID: leaf 7, EBX bit 29. */
static e645_sha_pass e645_sha_best(void)
{
#ifdef E645_SHA_X86
    unsigned a, b, c, d, more;
    if (__get_cpuid(1, &a, &b, &c, &d) && c >> 9 & 1 && c >> 19 & 1 && __get_cpuid_count(7, 0, &a, &more, &c, &d)
        && more >> 29 & 1)
        return e645_sha_x86;
#endif
    return e645_sha_portable;
}

static inline void e645_sha_begin(e645_sha *own, e645_sha_pass pass)
{
    static const uint32_t first[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
    };
    memcpy(own->state, first, sizeof first);
    own->size = 0;
    own->pass = pass;
}

static inline void e645_sha_add(e645_sha *own, const uint8_t *data, size_t size)
{
    size_t kept = own->size % E645_SHA_BLOCK, part;
    own->size += size;
    if (kept) {
        part = size < E645_SHA_BLOCK - kept ? size : E645_SHA_BLOCK - kept;
        memcpy(own->waiting + kept, data, part);
        data += part;
        size -= part;
        if (kept + part < E645_SHA_BLOCK)
            return;
        own->pass(own->state, own->waiting, 1);
    }
    if (size >= E645_SHA_BLOCK)
        own->pass(own->state, data, size / E645_SHA_BLOCK);
    memcpy(own->waiting, data + size / E645_SHA_BLOCK * E645_SHA_BLOCK, size % E645_SHA_BLOCK);
}

static inline void e645_sha_end(e645_sha *own, uint8_t *digest)
{
    uint64_t bits = own->size * 8;
    size_t kept = own->size % E645_SHA_BLOCK;
    own->waiting[kept++] = 0x80;
    if (kept > E645_SHA_BLOCK - 8) {
        memset(own->waiting + kept, 0, E645_SHA_BLOCK - kept);
        own->pass(own->state, own->waiting, 1);
        kept = 0;
    }
    memset(own->waiting + kept, 0, E645_SHA_BLOCK - 8 - kept);
    for (int i = 0; i < 8; i++)
        own->waiting[E645_SHA_BLOCK - 1 - i] = (uint8_t)(bits >> 8 * i);
    own->pass(own->state, own->waiting, 1);
    for (int i = 0; i < E645_SHA_DIGEST; i++)
        digest[i] = (uint8_t)(own->state[i / 4] >> (24 - 8 * (i % 4)));
}

#endif
