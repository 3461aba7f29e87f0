/* Words instead of bytes: sums, the 33H offset and BCD, eight bytes at a time, on any machine. */
#ifndef E645_SCAN_H
#define E645_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t e645_low_first(const uint8_t *data, ptrdiff_t count)
{
    uint64_t word = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (count == 8) {
        memcpy(&word, data, 8);
        return word;
    }
    if (count == 4) {
        uint32_t half;
        memcpy(&half, data, 4);
        return half;
    }
#endif
    for (ptrdiff_t k = 0; k < count; k++)
        word |= (uint64_t)data[k] << 8 * k;
    return word;
}

static inline void e645_store_low_first(uint8_t *to, uint64_t word)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(to, &word, 8);
#else
    for (int k = 0; k < 8; k++)
        to[k] = (uint8_t)(word >> 8 * k);
#endif
}

static inline uint8_t e645_sum_word(uint64_t word)
{
    const uint64_t even = 0x00FF00FF00FF00FFu;
    return (uint8_t)(((word & even) + (word >> 8 & even)) * 0x0001000100010001u >> 48);
}

/* A frame of sixteen bytes: 68H, address and 68H are one word, `rest` (with sum 0) is the other. */
static inline void e645_request(uint8_t *to, ptrdiff_t waking, uint64_t address, uint64_t rest, uint8_t fixed)
{
    const uint64_t sum = (uint8_t)(e645_sum_word(address) + fixed);
    if (waking == 4)
        memset(to, 0xFE, 4);
    else
        memset(to, 0xFE, (size_t)waking);
    e645_store_low_first(to + waking, address << 8 | (uint64_t)0x68 << 56 | 0x68);
    e645_store_low_first(to + waking + 8, rest | sum << 48);
}

/* Sum modulo 256 of 8 to 512 bytes: sixteen-bit counters cannot overflow; the last word overlaps. */
static inline uint8_t e645_sum_words(const uint8_t *data, ptrdiff_t length)
{
    const uint64_t even = 0x00FF00FF00FF00FFu;
    uint64_t total = 0, word;
    ptrdiff_t at = 0;
    for (; at + 8 <= length; at += 8) {
        word = e645_low_first(data + at, 8);
        total += (word & even) + (word >> 8 & even);
    }
    if (at < length) {
        word = e645_low_first(data + length - 8, 8) >> 8 * (8 - (length - at));
        total += (word & even) + (word >> 8 & even);
    }
    return (uint8_t)(total * 0x0001000100010001u >> 48);
}

/* Every byte minus 33H, without a borrow between bytes. */
static inline uint64_t e645_plain(uint64_t word)
{
    const uint64_t top = 0x8080808080808080u, offset = 0x3333333333333333u;
    return ((word | top) - offset) ^ ((word ^ ~offset) & top);
}

static inline uint64_t e645_not_decimal(uint64_t bcd)
{
    return bcd & (bcd << 1 | bcd << 2) & 0x8888888888888888u;
}

static inline int64_t e645_number(uint64_t bcd)
{
    bcd = (bcd & 0x0F0F0F0F0F0F0F0Fu) + 10 * (bcd >> 4 & 0x0F0F0F0F0F0F0F0Fu);
    bcd = (bcd & 0x00FF00FF00FF00FFu) + 100 * (bcd >> 8 & 0x00FF00FF00FF00FFu);
    bcd = (bcd & 0x0000FFFF0000FFFFu) + 10000 * (bcd >> 16 & 0x0000FFFF0000FFFFu);
    return (int64_t)((bcd & 0xFFFFFFFFu) + 100000000 * (bcd >> 32));
}

#endif
