/* Convolutions with fewer multiplications, or with bf16 products: signals are rewritten into cells, transformed cells are
 * multiplied by transformed weights, and the products are transformed into outputs.
 *
 * Outputs t, t + d, ... t + (tile - 1) * d form a tile, d being the dilation. Tiles are columns: column q * d + r begins at
 * sample q * tile * d + r. The sample of a column with number j is in row j of its "phases". Sample tile + j of a column is
 * sample j of the column d further on, as is the input of the next segment of taps.
 */
#ifndef TRANSFORMED_H
#define TRANSFORMED_H
#include "convolution.h"

#define MAX_TILE 4
#define PANEL (LANES * VECTORS)

/* Lengths of rows in working memory. A row of an odd number of cache lines keeps rows from competing for them. */
static long phase_row(const struct convolution *conv)
{
    return round_up(conv->columns + (long)conv->dilation * conv->segments + PANEL, 16) | 16;
}

static long cells(const struct convolution *conv) { return conv->inputs / (1 + conv->halves); }
static long padded_outputs(const struct convolution *conv) { return round_up(conv->outputs, OUTPUTS); }

/* Return the working memory of a convolution in samples. */
long scratch_samples(const struct convolution *conv)
{
    if (!conv->transform)
        return 0;
    long row = phase_row(conv);
    return row * (4 * MAX_TILE + conv->transform->points * (cells(conv) + padded_outputs(conv)));
}

/* Whether samples become phases by permuting registers. Otherwise memory is rearranged. */
INLINE int in_registers(const struct convolution *conv, const int tile)
{
    return tile == 1 || (LANES == 16 && conv->dilation <= LANES);
}

/* Return the columns rearranged at a time: all samples of whole groups of `dilation` columns. */
INLINE long columns_together(const struct convolution *conv, const int tile)
{
    return tile > 1 && in_registers(conv, tile) ? LANES / conv->dilation * conv->dilation : LANES;
}

#if LANES == 16
/* Return the numbers at `numbers` of 64 consecutive ones. */
INLINE vector pick(const vector *x, const int *numbers)
{
    __m512i at = _mm512_loadu_si512(numbers);
    return (vector)_mm512_mask_blend_ps(_mm512_test_epi32_mask(at, _mm512_set1_epi32(32)),
                                        _mm512_permutex2var_ps((__m512)x[0], at, (__m512)x[1]),
                                        _mm512_permutex2var_ps((__m512)x[2], at, (__m512)x[3]));
}
#endif

/* Rewrite consecutive samples as the phases of `columns` columns, in memory. */
INLINE void split(const float *x, float *phases, long row, long columns, int dilation, const int tile)
{
    for (long n = 0; n < columns; n += dilation)
        for (int j = 0; j < tile; j++)
            for (int r = 0; r < dilation; r++)
                phases[j * row + n + r] = x[n * tile + j * dilation + r];
}

/* Rewrite the phases of `columns` columns as consecutive samples, in memory. */
INLINE void join(const float *phases, float *y, long row, long columns, int dilation, const int tile)
{
    for (long n = 0; n < columns; n += dilation)
        for (int j = 0; j < tile; j++)
            for (int r = 0; r < dilation; r++)
                y[n * tile + j * dilation + r] = phases[j * row + n + r];
}

/* Load the `points` samples of each column from n on: from consecutive samples x if registers are permuted, else from
 * phases. Up to 64 samples behind the last one are read. */
INLINE void load_columns(
    const struct convolution *conv, const float *x, long row, long n, vector *samples, const int tile, const int points)
{
#if LANES == 16
    if (tile > 1 && in_registers(conv, tile)) {
UNROLLED
        for (int first = 0; first < points; first += tile) {
            const float *source = x + tile * (n + first / tile * conv->dilation);
            vector consecutive[4];
UNROLLED
            for (int v = 0; v < 4; v++)
                consecutive[v] = v < tile ? load(source + v * LANES) : consecutive[0];
UNROLLED
            for (int j = 0; j < tile; j++)
                if (first + j < points)
                    samples[first + j] = pick(consecutive, conv->split + j * LANES);
        }
        return;
    }
#endif
UNROLLED
    for (int j = 0; j < points; j++)
        samples[j] = load(x + j % tile * row + n + j / tile * conv->dilation);
}

/* Compute the inputs of all points from the samples of columns. */
INLINE void transform_inputs(const struct transform *transform, const vector *x, vector *values, const int points)
{
    const int pairs = (points - 1) / 2;
    if (points == 1) {
        values[0] = x[0];
        return;
    }
UNROLLED
    for (int p = 0; p <= pairs; p++) {
        vector even = x[0] * transform->even[4 * p], odd = x[1] * transform->odd[4 * p];
UNROLLED
        for (int j = 2; j < points; j++)
            if (j % 2)
                odd += x[j] * transform->odd[4 * p + j / 2];
            else
                even += x[j] * transform->even[4 * p + j / 2];
        if (p == 0) {
            values[0] = even;
            if (points % 2 == 0)
                values[points - 1] = odd;
        } else {
            values[2 * p - 1] = even + odd;
            values[2 * p] = even - odd;
        }
    }
}

#if defined(__AVX512BF16__)
/* Convert the numbers of two channels to bf16, side by side. */
INLINE vector pack_halves(vector first, vector second)
{
    static const short order[32] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26,
                                    11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    return (vector)_mm512_permutexvar_epi16(_mm512_loadu_si512(order), halves);
}
#endif

/* Add the product of cells and the weight cell that `weight` points to. */
INLINE vector multiply_and_add(vector sum, vector in, const float *weight, const int halves)
{
#if defined(__AVX512BF16__)
    if (halves) {
        int pair;
        memcpy(&pair, weight, sizeof pair);
        return (vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)in, (__m512bh)_mm512_set1_epi32(pair));
    }
#endif
    return sum + in * *weight;
}

/* Compute OUTPUTS rows of products at one point, in `vectors` registers each. */
INLINE void multiply(
    const struct convolution *conv, const float *weight, const float *x, long row, float *y, const int vectors,
    const int halves)
{
    vector sums[OUTPUTS * VECTORS];
    long count = cells(conv);
UNROLLED
    for (int s = 0; s < OUTPUTS * vectors; s++)
        sums[s] = (vector){0};
    for (int segment = 0; segment < conv->segments; segment++) {
        const float *source = x + (long)segment * conv->dilation;
        for (long cell = 0; cell < count; cell++, source += row, weight += OUTPUTS) {
            vector in[VECTORS];
UNROLLED
            for (int v = 0; v < vectors; v++)
                in[v] = load(source + v * LANES);
UNROLLED
            for (int s = 0; s < OUTPUTS * vectors; s++)
                sums[s] = multiply_and_add(sums[s], in[s % vectors], weight + s / vectors, halves);
        }
    }
UNROLLED
    for (int s = 0; s < OUTPUTS * vectors; s++)
        store(y + s / vectors * row + s % vectors * LANES, sums[s]);
}

/* Compute the products of all points. x: [points][cells][row], y: [points][padded outputs][row] */
INLINE void multiply_all(
    const struct convolution *conv, const float *x, long row, float *y, long columns, const int points,
    const int halves)
{
    const float *weight = conv->weight;
    long block = (long)conv->segments * cells(conv) * OUTPUTS;
    for (int point = 0; point < points; point++, x += cells(conv) * row)
        for (int channel = 0; channel < conv->outputs; channel += OUTPUTS, weight += block, y += OUTPUTS * row) {
            long n = 0;
            for (; n + 2 * LANES < columns; n += PANEL)
                multiply(conv, weight, x + n, row, y + n, VECTORS, halves);
            for (; n < columns; n += LANES)
                multiply(conv, weight, x + n, row, y + n, 1, halves);
        }
}

/* Compute the outputs of columns from their products. `next` is the distance between the points. */
INLINE void transform_products(
    const struct transform *transform, const float *products, long next, vector *y, const int tile, const int points)
{
    y[0] = load(products);
UNROLLED
    for (int j = 1; j < tile; j++)
        y[j] = (vector){0};
    if (points % 2 == 0)
        y[tile - 1] = load(products + (points - 1) * next);
UNROLLED
    for (int p = 0; p < (points - 1) / 2; p++) {
        vector plus = load(products + (2 * p + 1) * next), minus = load(products + (2 * p + 2) * next);
        vector sum = plus + minus, difference = plus - minus;
UNROLLED
        for (int j = 0; j < tile; j++)
            y[j] += (j % 2 ? difference : sum) * transform->powers[p * tile + j];
    }
}

/* Return register `v` of the consecutive samples of columns whose phases are in y. */
INLINE vector join_registers(const struct convolution *conv, const vector *y, const int v, const int tile)
{
#if LANES == 16
    if (tile > 1) {
        vector phases[4] = {y[0], y[1], y[tile > 2 ? 2 : 0], y[tile > 3 ? 3 : 0]};
        return pick(phases, conv->join + v * LANES);
    }
#endif
    return y[v];
}

/* Rewrite `samples` numbers of a channel as cells of transformed inputs. Those behind them count as zeros: taps that are
 * padding must not meet what lies there. */
INLINE const float *prepare_channel(
    const struct convolution *conv, const float *x, long samples, long columns, float *line, float *phases, long row,
    const int tile)
{
    if (columns * tile > samples) {
        memcpy(line, x, sizeof(float) * samples);
        memset(line + samples, 0, sizeof(float) * (columns * tile - samples));
        x = line;
    }
    if (in_registers(conv, tile))
        return x;
    split(x, phases, row, columns, conv->dilation, tile);
    return phases;
}

/* Compute `columns` tiles, of which the first `samples` outputs are wanted, from `inputs` samples of x. */
INLINE void compute_columns(
    const struct convolution *conv, const float *x, long x_row, long inputs, long columns,
    const struct destination *to, long t, long samples, float *scratch, const int tile, const int points,
    const int halves)
{
    const struct transform *transform = conv->transform;
    long row = phase_row(conv), dilation = conv->dilation, count = cells(conv);
    float *line = scratch, *phases = line + 2 * MAX_TILE * row, *in = phases + 2 * MAX_TILE * row;
    float *out = in + points * count * row;
    long together = columns_together(conv, tile), seen = columns + dilation * (conv->segments - 1);
    long read = seen + (points > tile) * dilation;
    for (long cell = 0; cell < count; cell++) {
        const float *sources[2]; /* of the channels in a cell */
        for (long half = 0; half <= halves; half++)
            sources[half] = prepare_channel(
                conv, x + (cell * (1 + halves) + half) * x_row, inputs, read, line + half * MAX_TILE * row,
                phases + half * MAX_TILE * row, row, tile);
        for (long n = 0; n < seen; n += together) {
            vector samples[8], values[8];
            load_columns(conv, sources[0], row, n, samples, tile, points);
            transform_inputs(transform, samples, values, points);
#if defined(__AVX512BF16__)
            if (halves) {
                vector others[8];
                load_columns(conv, sources[1], row, n, samples, tile, points);
                transform_inputs(transform, samples, others, points);
UNROLLED
                for (int p = 0; p < points; p++)
                    values[p] = pack_halves(values[p], others[p]);
            }
#endif
UNROLLED
            for (int p = 0; p < points; p++)
                store(in + (p * count + cell) * row + n, values[p]);
        }
    }
    multiply_all(conv, in, row, out, columns, points, halves);
    for (int channel = 0; channel < conv->outputs; channel++) {
        const float *products = out + channel * row;
        long plus_at = channel * to->plus_row + t, at = channel * to->row + t;
        vector bias = (vector){0} + conv->bias[channel];
        for (long n = 0; n < columns; n += together) {
            vector y[4];
            transform_products(transform, products + n, padded_outputs(conv) * row, y, tile, points);
            if (!in_registers(conv, tile)) {
UNROLLED
                for (int j = 0; j < tile; j++)
                    store(phases + j * row + n, y[j]);
                continue;
            }
            long sample = n * tile, end = smaller(samples, (n + together) * tile);
UNROLLED
            for (int v = 0; v < tile; v++, sample += LANES)
                if (sample < end)
                    finish(join_registers(conv, y, v, tile) + bias, to, plus_at + sample, at + sample, end - sample);
        }
        if (in_registers(conv, tile))
            continue;
        join(phases, line, row, columns, dilation, tile);
        for (long s = 0; s < samples; s += LANES)
            finish(load(line + s) + bias, to, plus_at + s, at + s, samples - s);
    }
}

INLINE void convolve_in_columns(
    const struct convolution *conv, const float *x, long x_row, long samples, const struct destination *to,
    float *scratch, const int tile, const int points, const int halves)
{
    long reach = (long)(conv->taps - 1) * conv->dilation, group = (long)tile * conv->dilation;
    long groups = (samples + group - 1) / group, most = larger(1, conv->columns / conv->dilation);
    long count = (groups + most - 1) / most; /* of parts, of nearly the same size */
    most = (groups + count - 1) / count * group;
    for (long t = 0; t < samples; t += most) {
        long wanted = smaller(most, samples - t), columns = (wanted + group - 1) / group * conv->dilation;
        compute_columns(conv, x + t, x_row, samples - t + reach, columns, to, t, wanted, scratch, tile, points,
                        halves);
    }
}

/* y[o][t] as in `convolve`. Supported are the transforms below. */
static void convolve_transformed(
    const struct convolution *conv, const float *x, long x_row, long samples, const struct destination *to,
    float *scratch)
{
#define METHOD(tile_, points_, halves_)                                                                                  \
    if (conv->transform->tile == tile_ && conv->transform->points == points_ && conv->halves == halves_)                 \
        convolve_in_columns(conv, x, x_row, samples, to, scratch, tile_, points_, halves_)
    METHOD(4, 6, 0);
    METHOD(4, 7, 0);
    METHOD(4, 8, 0);
#if defined(__AVX512BF16__)
    METHOD(1, 1, 1);
    METHOD(2, 3, 1);
    METHOD(2, 4, 1);
    METHOD(3, 5, 1);
    METHOD(4, 6, 1);
    METHOD(4, 7, 1);
    METHOD(4, 8, 1);
#endif
#undef METHOD
}

#endif
