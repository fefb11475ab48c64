/* A convolution over time, and where its sums go. */
#ifndef CONVOLUTION_H
#define CONVOLUTION_H
#include "vectors.h"

/* How `tile` outputs come from `points` products, each of one transformed input and one transformed weight (Toom and
 * Cook). The points are 0, pairs of numbers that differ in sign, and infinity if `points` is even. `even` and `odd` have
 * the coefficients of every second input: in their first row for the point 0 and for infinity, then one per pair. */
struct transform {
    int tile, points;
    const float *even, *odd; /* of inputs: [1 + pairs][4] */
    const float *powers;     /* of outputs: [pairs][tile] */
};

struct convolution {
    const float *weight; /* direct: [blocks][taps][inputs][OUTPUTS]; else: [points][blocks][segments][cells][OUTPUTS] */
    const float *bias;   /* [blocks * OUTPUTS] */
    const struct transform *transform; /* or NULL for a direct convolution in fp32 */
    int inputs, outputs, taps, dilation;
    int rate; /* output channel c * rate + r holds samples t * rate + r of row c; 1 if there is a single output */
    /* With a transform: */
    int segments; /* parts of the taps. Each one has as many as the tile has outputs, so that they share inputs */
    int columns;  /* tiles computed together, so that their transformed inputs stay in the cache */
    const int *split, *join; /* with 16 lanes: where the lanes of each phase are among consecutive samples, and back */
    int halves;   /* whether a cell of 4 bytes holds the bf16 numbers of two input channels, instead of one in fp32 */
};

struct destination {
    const float *plus, *plus_too; /* added to the sums (only if the rate is 1), or NULL */
    float *raw, *activated;       /* destinations of the sums, and of their leaky ReLU; either may be NULL */
    long plus_row, row;           /* row lengths in samples of `plus` and `plus_too`, and of the destinations */
    float slope;
};

/* Write the first `samples` lanes of a vector. Memory that is read has room for all lanes. */
INLINE void finish(vector sum, const struct destination *to, long plus_at, long at, long samples)
{
    if (to->plus)
        sum += load(to->plus + plus_at);
    if (to->plus_too)
        sum += load(to->plus_too + plus_at);
    vector active = leaky(sum, to->slope);
    if (to->raw)
        store_first(to->raw + at, sum, samples);
    if (to->activated)
        store_first(to->activated + at, active, samples);
}

#endif
