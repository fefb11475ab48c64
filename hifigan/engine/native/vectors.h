/* Vector registers of the processor that this is compiled for, in the vector notation that GCC and clang share. */
#ifndef VECTORS_H
#define VECTORS_H
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#define OUTPUTS 8
#elif defined(__AVX__)
#define LANES 8
#define OUTPUTS 4
#elif defined(__SSE__)
#define LANES 4
#define OUTPUTS 4
#else
#define LANES 4
#define OUTPUTS 8
#endif
#define VECTORS 3 /* registers of sums per output channel; OUTPUTS * VECTORS sums fit beside their operands */

#define INLINE static inline __attribute__((always_inline))

/* For loops whose counts are constants after inlining. Arrays stay in registers only if all of these are unrolled. */
#if defined(__clang__)
#define UNROLLED _Pragma("unroll") /* fully: with a count, clang unrolls too late */
#else
#define UNROLLED _Pragma("GCC unroll 32")
#endif

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINE vector load(const float *x) { return *(const vector *)x; }
INLINE void store(float *x, vector value) { *(vector *)x = value; }
INLINE vector leaky(vector x, float slope)
{
    vector small = x * slope;
    mask positive = x > 0;
    return (vector)(((mask)x & positive) | ((mask)small & ~positive));
}

/* Store the first `count` lanes, or all if there are fewer. */
INLINE void store_first(float *x, vector value, long count)
{
    if (count >= LANES)
        store(x, value);
    else
#if LANES == 16
        _mm512_mask_storeu_ps(x, (__mmask16)((1u << count) - 1), (__m512)value);
#else
        memcpy(x, &value, sizeof(float) * count);
#endif
}

static long larger(long a, long b) { return a > b ? a : b; }
static long smaller(long a, long b) { return a < b ? a : b; }
static long round_up(long a, long b) { return (a + b - 1) / b * b; }

#endif
