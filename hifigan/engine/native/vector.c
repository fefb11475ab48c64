/* A stage of the generator on CPUs, in fp32: convolutions over time, on tiles that stay in the cache.
 * cpu_c.py runs narrow stages with it. Wider ones run in cpu_onednn.py.
 *
 * A signal has one contiguous row per channel. A vector register holds samples of one channel, so that any number of
 * channels and any dilation works. The sums of OUTPUTS channels x VECTORS registers stay in registers over all taps and
 * input channels: each sample read from memory serves OUTPUTS sums, each weight serves VECTORS registers.
 */
#include <string.h>

#if defined(__AVX512F__)
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
#define VECTORS 3

/* For loops whose counts are constants after inlining. Arrays stay in registers only if all of these are unrolled. */
#if defined(__clang__)
#define UNROLLED _Pragma("unroll") /* fully: with a count, clang unrolls too late */
#else
#define UNROLLED _Pragma("GCC unroll 32")
#endif

typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int mask __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* Constants for the caller. Weights are packed in blocks of this number of output channels. */
const int outputs_per_block = OUTPUTS;
/* Fewer samples than this are read behind the last one needed. */
const int lanes = LANES;

struct convolution {
    const float *weight; /* [blocks][taps][inputs][OUTPUTS] */
    const float *bias;   /* [blocks * OUTPUTS] */
    int inputs, outputs, taps, dilation;
    int rate; /* output channel c * rate + r holds samples t * rate + r of row c; 1 if there is a single output */
};

struct destination {
    const float *plus, *plus_too; /* added to the sums (only if the rate is 1), or NULL */
    float *raw, *activated;       /* destinations of the sums, and of their leaky ReLU; either may be NULL */
    long plus_row, row;           /* row lengths in samples of `plus` and `plus_too`, and of the destinations */
    float slope;
};

/* Write the first `samples` lanes of a vector. Memory that is read has room for all lanes. */
static inline __attribute__((always_inline)) void finish(
    vector sum, const struct destination *to, long plus_at, long at, int samples)
{
    if (to->plus)
        sum += *(const vector *)(to->plus + plus_at);
    if (to->plus_too)
        sum += *(const vector *)(to->plus_too + plus_at);
    vector small = sum * to->slope;
    mask positive = sum > 0;
    vector active = (vector)(((mask)sum & positive) | ((mask)small & ~positive));
    if (samples >= LANES) {
        if (to->raw)
            *(vector *)(to->raw + at) = sum;
        if (to->activated)
            *(vector *)(to->activated + at) = active;
    } else {
        if (to->raw)
            memcpy(to->raw + at, &sum, sizeof(float) * samples);
        if (to->activated)
            memcpy(to->activated + at, &active, sizeof(float) * samples);
    }
}

/* Write rows of `rate` output channels, [rate][length], as `samples` * rate samples of one channel. */
static inline __attribute__((always_inline)) void interleave(
    const float *rows, int length, int samples, const int rate, const struct destination *to, long at)
{
    float line[LANES * VECTORS * OUTPUTS];
    for (int t = 0; t < length; t++)
        for (int r = 0; r < rate; r++)
            line[t * rate + r] = rows[r * length + t];
    for (int t = 0; t < samples * rate; t += LANES)
        finish(*(const vector *)(line + t), to, 0, at + t, samples * rate - t);
}

/* Compute `samples` samples from t on of `outputs` channels from `channel` on, in `vectors` registers per channel. */
static inline __attribute__((always_inline)) void compute(
    const struct convolution *conv, const float *x, long row, const struct destination *to, int channel, long t,
    int samples, const int outputs, const int vectors)
{
    vector sums[OUTPUTS * VECTORS];
    const float *weight = conv->weight + (long)channel * conv->taps * conv->inputs;
UNROLLED
    for (int s = 0; s < outputs * vectors; s++)
        sums[s] = (vector){0}; /* the bias comes last: sums that start with it stay in memory with clang */
    for (int tap = 0; tap < conv->taps; tap++) {
        const float *source = x + t + (long)tap * conv->dilation;
        for (int input = 0; input < conv->inputs; input++, source += row, weight += OUTPUTS) {
            vector in[OUTPUTS];
UNROLLED
            for (int v = 0; v < vectors; v++)
                in[v] = *(const vector *)(source + v * LANES);
UNROLLED
            for (int s = 0; s < outputs * vectors; s++)
                sums[s] += in[s % vectors] * weight[s / vectors];
        }
    }
    int channels = conv->outputs - channel < outputs ? conv->outputs - channel : outputs;
    int rate = conv->rate, length = vectors * LANES;
    if (outputs == 1 || rate == 1) {
UNROLLED
        for (int s = 0; s < outputs * vectors; s++) {
            long at = t + s % vectors * LANES;
            if (s / vectors < channels && s % vectors * LANES < samples)
                finish(sums[s] + conv->bias[channel + s / vectors], to, (channel + s / vectors) * to->plus_row + at,
                       (channel + s / vectors) * to->row + at, samples - s % vectors * LANES);
        }
        return;
    }
    float rows[OUTPUTS * VECTORS * LANES];
UNROLLED
    for (int s = 0; s < outputs * vectors; s++)
        *(vector *)(rows + s * LANES) = sums[s] + conv->bias[channel + s / vectors];
    if (OUTPUTS % rate) {
        for (int o = 0; o < channels; o++)
            for (int i = 0; i < samples; i++) {
                long at = (channel + o) / rate * to->row + (t + i) * rate + (channel + o) % rate;
                float sum = rows[o * length + i];
                if (to->raw)
                    to->raw[at] = sum;
                if (to->activated)
                    to->activated[at] = sum > 0 ? sum : sum * to->slope;
            }
        return;
    }
    for (int o = 0; o < channels; o += rate) {
        long at = (channel + o) / rate * to->row + t * rate;
        if (rate == 2)
            interleave(rows + o * length, length, samples, 2, to, at);
        else if (rate == 4)
            interleave(rows + o * length, length, samples, 4, to, at);
        else
            interleave(rows + o * length, length, samples, OUTPUTS, to, at);
    }
}

/* y[o][t] = bias[o] + sum of weight[o][i][tap] * x[i][t + tap * dilation], for 0 <= t < samples. */
void convolve(const struct convolution *conv, const float *x, long row, long samples, const struct destination *to)
{
    for (int channel = 0; channel < conv->outputs; channel += OUTPUTS) {
        long t = 0;
        if (conv->outputs == 1) {
            for (; t + LANES * OUTPUTS <= samples; t += LANES * OUTPUTS)
                compute(conv, x, row, to, 0, t, LANES * OUTPUTS, 1, OUTPUTS);
            for (; t < samples; t += LANES)
                compute(conv, x, row, to, 0, t, samples - t, 1, 1);
            continue;
        }
        for (; t + LANES * VECTORS <= samples; t += LANES * VECTORS)
            compute(conv, x, row, to, channel, t, LANES * VECTORS, OUTPUTS, VECTORS);
        for (; t < samples; t += LANES)
            compute(conv, x, row, to, channel, t, samples - t, OUTPUTS, 1);
    }
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

static long larger(long a, long b) { return a > b ? a : b; }
static long smaller(long a, long b) { return a < b ? a : b; }

/* Compute samples `first` to `end` of y, which has `samples` samples in total.
 *
 * x, y: point to the first sample of signals with zeros before it and behind the last one.
 * memory: [6][channels][row], with row >= end - first + 2 * (reach + rate) + LANES.
 */
void make_tile(const struct stage *stage, const float *x, long x_row, float *y, long y_row, long samples, long first,
               long end, float *memory, long row)
{
    int rate = stage->up->rate, channels = stage->up->outputs / rate;
    long size = channels * row;
    float *input = memory, *activated = memory + size, *sum = memory + 2 * size, *raw = memory + 3 * size;
    float *inner[2] = {memory + 4 * size, memory + 5 * size};
    long low = larger(0, first - stage->reach), high = smaller(samples, end + stage->reach);
    long start = first - stage->reach - rate; /* first sample that the rows of `memory` hold */
    if (low == 0 || high == samples) /* everything outside the signal must be zero */
        memset(memory, 0, sizeof(float) * 6 * size);

    /* Input sample n and the taps - 1 before it give the output samples from n * rate - cut on. */
    long from = (low + stage->cut) / rate, to = (high + stage->cut + rate - 1) / rate;
    long at = from * rate - stage->cut - start;
    struct destination upsampled = {NULL, NULL, input + at, activated + at, 0, row, stage->inner_slope};
    convolve(stage->up, x + from - stage->up->taps + 1, x_row, to - from, &upsampled);
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
            convolve(conv, source + at - padding, row, to - from, &target);
            source = inner[c % 2];
        }
    }
}
