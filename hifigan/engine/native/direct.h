/* Convolutions as they are defined, in fp32, from signals as they lie in memory.
 *
 * The sums of OUTPUTS channels x VECTORS registers stay in registers over all taps and input channels: each sample read from
 * memory serves OUTPUTS sums, each weight serves VECTORS registers.
 */
#ifndef DIRECT_H
#define DIRECT_H
#include "convolution.h"

/* Write rows of `rate` output channels, [rate][length], as `samples` * rate samples of one channel. */
INLINE void interleave(
    const float *rows, int length, int samples, const int rate, const struct destination *to, long at)
{
    float line[LANES * VECTORS * OUTPUTS];
    for (int t = 0; t < length; t++)
        for (int r = 0; r < rate; r++)
            line[t * rate + r] = rows[r * length + t];
    for (int t = 0; t < samples * rate; t += LANES)
        finish(load(line + t), to, 0, at + t, samples * rate - t);
}

/* Compute `samples` samples from t on of `outputs` channels from `channel` on, in `vectors` registers per channel. */
INLINE void compute(
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
                in[v] = load(source + v * LANES);
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
        store(rows + s * LANES, sums[s] + conv->bias[channel + s / vectors]);
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
static void convolve_directly(
    const struct convolution *conv, const float *x, long row, long samples, const struct destination *to)
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

#endif
