/* A stage of the generator on CPUs: convolutions over time, on tiles that stay in the cache.
 *
 * A signal has one contiguous row of fp32 numbers per channel. A vector register holds samples of one channel, so that any
 * number of channels and any dilation works.
 */
#include "direct.h"
#include "transformed.h"

/* Constants for the caller. Weights are packed in blocks of this number of output channels. */
const int outputs_per_block = OUTPUTS;
/* A direct convolution reads fewer samples than this behind the last one that it needs. */
const int lanes = LANES;

/* y[o][t] = bias[o] + sum of weight[o][i][tap] * x[i][t + tap * dilation], for 0 <= t < samples. With a transform, `scratch`
 * has `scratch_samples` numbers, and up to MAX_TILE * LANES samples behind the last one needed are read. */
void convolve(
    const struct convolution *conv, const float *x, long row, long samples, const struct destination *to, float *scratch)
{
    if (conv->transform)
        convolve_transformed(conv, x, row, samples, to, scratch);
    else
        convolve_directly(conv, x, row, samples, to);
}

struct block {
    const struct convolution *convs;
    int count;
    int convs_per_residual; /* convolutions before the residual is added: 2 (ResBlock1) or 1 (ResBlock2) */
    int reach;              /* samples that the block sees to either side */
};

struct stage {
    const struct convolution *up; /* transposed, written as one that computes `rate` samples per input sample */
    const struct block *blocks;
    int count;
    int cut;   /* samples skipped at the beginning: the padding of the transposed convolution */
    int reach; /* the largest reach of a block */
    float inner_slope, slope; /* of the leaky ReLUs within the stage, and behind the sum of the blocks */
};

/* Compute samples `first` to `end` of y, which has `samples` samples in total.
 *
 * x, y: point to the first sample of signals with zeros before it and behind the last one.
 * memory: [6][channels][row], with row >= end - first + 2 * (reach + rate) + LANES, followed by the largest scratch memory of
 *     a convolution.
 */
void make_tile(const struct stage *stage, const float *x, long x_row, float *y, long y_row, long samples, long first,
               long end, float *memory, long row)
{
    int rate = stage->up->rate, channels = stage->up->outputs / rate;
    long size = channels * row;
    float *input = memory, *activated = memory + size, *sum = memory + 2 * size, *raw = memory + 3 * size;
    float *inner[2] = {memory + 4 * size, memory + 5 * size}, *scratch = memory + 6 * size;
    long low = larger(0, first - stage->reach), high = smaller(samples, end + stage->reach);
    long start = first - stage->reach - rate; /* first sample that the rows of `memory` hold */
    if (low == 0 || high == samples) /* everything outside the signal must be zero */
        memset(memory, 0, sizeof(float) * 6 * size);

    /* Input sample n and the taps - 1 before it give the output samples from n * rate - cut on. */
    long from = (low + stage->cut) / rate, to = (high + stage->cut + rate - 1) / rate;
    long at = from * rate - stage->cut - start;
    struct destination upsampled = {NULL, NULL, input + at, activated + at, 0, row, stage->inner_slope};
    convolve(stage->up, x + from - stage->up->taps + 1, x_row, to - from, &upsampled, scratch);
    for (int channel = 0; channel < channels; channel++)
        for (long t = at; t < at + (to - from) * rate; t++)
            if (t + start < 0 || t + start >= samples)
                input[channel * row + t] = activated[channel * row + t] = 0;

    for (int b = 0; b < stage->count; b++) {
        const struct block *block = stage->blocks + b;
        const float *source = activated, *residual = input;
        long reach = block->reach;
        for (int c = 0; c < block->count; c++) {
            const struct convolution *conv = block->convs + c;
            long padding = (long)conv->dilation * (conv->taps - 1) / 2;
            reach -= padding; /* reach of the convolutions behind this one */
            long from = larger(0, first - reach), to = smaller(samples, end + reach), at = from - start;
            struct destination target = {NULL, NULL, NULL, NULL, row, row, stage->inner_slope};
            if ((c + 1) % block->convs_per_residual) {
                target.activated = inner[c % 2] + at;
            } else {
                target.plus = residual + at;
                if (c + 1 < block->count) {
                    target.raw = raw + at;
                    target.activated = inner[c % 2] + at;
                } else {
                    target.plus_too = b > 0 ? sum + at : NULL;
                    if (b + 1 < stage->count) {
                        target.raw = sum + at;
                    } else {
                        target.activated = y + from;
                        target.row = y_row;
                        target.slope = stage->slope;
                    }
                }
                residual = raw;
            }
            convolve(conv, source + at - padding, row, to - from, &target, scratch);
            source = inner[c % 2];
        }
    }
}
