/* Instruction set tiers of the kernels: 0 scalar (any machine), 1 avx2, 2 avx512.
 *
 * Each SIMD function carries its own target attribute, so the rest of the module stays at the baseline of
 * the platform. Compilers and architectures that do not know these attributes build the scalar tier alone.
 * avx2 also means PCLMULQDQ; avx512 means F, BW, DQ, VL and VPCLMULQDQ (Ice Lake, Zen 4 and later).
 */
#ifndef E645_ISA_H
#define E645_ISA_H

#include <stddef.h>
#include <stdint.h>

enum { E645_SCALAR = 0, E645_AVX2 = 1, E645_AVX512 = 2, E645_TIERS = 3 };

#if defined(__x86_64__) && !defined(E645_NO_SIMD) && \
    ((defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 11))
#define E645_X86 1
#include <immintrin.h>
#define E645_IN_AVX2 __attribute__((target("avx2,pclmul")))
#define E645_IN_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,vpclmulqdq,avx2,pclmul")))
#define E645_INLINE inline __attribute__((always_inline))
#endif

/* Where memory is read as a stream, asking for it ahead of use; an address behind an array does no harm. */
#if defined(__GNUC__) || defined(__clang__)
#define E645_PREFETCH(p, bytes) __builtin_prefetch((const void *)((uintptr_t)(p) + (uintptr_t)(bytes)))
#else
#define E645_PREFETCH(p, bytes) ((void)0)
#endif

static inline int e645_host_has(int tier)
{
#ifdef E645_X86
    __builtin_cpu_init();
    if (tier == E645_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul");
    if (tier == E645_AVX512)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul")
            && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("vpclmulqdq");
#endif
    return tier == E645_SCALAR;
}

#endif
