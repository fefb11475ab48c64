/* A stage of the generator on the matrix units of x86 processors (AMX), on tiles of time that stay in the cache.
 *
 * Signals lie in rows with the channels of a sample. One product multiplies 16 rows of 32 bf16 numbers by the weights
 * of 16 outputs, giving 16 x 16 sums in fp32. Residuals are fp32, too.
 *
 * A signal has one or two parts. With one part, its numbers are rounded to bf16 (8 bits). With two, the row holds the
 * rounded numbers, followed by the rounding remainders (8 more bits). Weights are stored the same way. Products of two
 * remainders are below 16-bit precision, and are skipped where they would cost time. A convolution with one part reads
 * only the first half of rows with two.
 */
#include <immintrin.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct convolution {
    const char *weight; /* [groups of up to 32 outputs][taps][blocks][weights of a block][tiles of 16 outputs], 1 KB each */
    const float *bias;
    int outputs; /* 16, or a multiple of 32 */
    int taps, dilation;
    int blocks; /* of 32 bf16 numbers that it reads of an input row */
    int twice;  /* number of first blocks that also meet the weights' remainders, which are stored first */
};

struct block {
    const struct convolution *convs;
    int count;
    int convs_per_residual; /* convolutions before the residual is added: 2 (ResBlock1) or 1 (ResBlock2) */
    int reach;              /* rows that the block sees to either side */
};

/* Rows hold `fold` samples within the blocks, and one sample in the input. */
struct stage {
    const struct convolution *up; /* transposed, written as one that computes `rate` samples per input sample */
    const struct block *blocks;
    int count;
    int inputs, channels; /* numbers in a row of the input, and in a row within the blocks */
    int rate, fold;
    int cut;                  /* samples skipped at the beginning: the padding of the transposed convolution */
    int reach;                /* the largest reach of a block */
    int up_parts, parts;      /* of the input signals of the upsampling, and of those in the blocks */
    float inner_slope, slope; /* of the leaky ReLUs within the stage, and behind the sum of the blocks */
};

/* Where the sums go. Any pointer may be NULL. */
struct destination {
    const float *plus, *plus_too; /* added to them */
    float *raw;
    float *activated; /* their leaky ReLU */
    char *packed;     /* the leaky ReLU in bf16 parts, as other convolutions read it */
    float slope;
    int parts;
};

/* Tiles 0 to 3 hold sums, 4 and 5 samples, 6 and 7 weights. Each has 16 rows of 64 bytes. */
struct tile_config {
    unsigned char palette, first_row, reserved[14];
    unsigned short row_bytes[16];
    unsigned char rows[16];
};

#ifndef TILES_EMULATED /* tests emulate the units on processors without them */
/* Ask the system to let this process use the units. Return whether it does. */
int request_matrix_units(void)
{
    return !syscall(SYS_arch_prctl, 0x1023, 18); /* ARCH_REQ_XCOMP_PERM for tile data */
}

/* GCC's intrinsics for this declare only 8 of the bytes as read and written. Some GCC versions also lack parentheses
 * around the address argument of `_tile_stored`. */
static void set_tiles(const struct tile_config *tiles) { __asm__ volatile("ldtilecfg %0" : : "m"(*tiles)); }
static void get_tiles(struct tile_config *tiles) { __asm__ volatile("sttilecfg %0" : "=m"(*tiles)); }
#endif

static inline void begin_sums(void)
{
    __asm__ volatile("" : : : "memory"); /* finish all stores: the compiler does not know that tile loads read them */
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* Compute sums of 32 rows x 32 outputs. */
static void multiply_32(const struct convolution *conv, const char *weight, const char *x, long row, float *sums)
{
    begin_sums();
    for (int tap = 0; tap < conv->taps; tap++, x += conv->dilation * row) {
        const char *packed = x;
        for (int block = 0; block < conv->blocks; block++, packed += 64) {
            _tile_loadd(4, packed, row);
            _tile_loadd(5, packed + 16 * row, row);
            for (int part = block < conv->twice; part >= 0; part--, weight += 2048) {
                _tile_loadd(6, weight, 64);
                _tile_dpbf16ps(0, 4, 6);
                _tile_dpbf16ps(2, 5, 6);
                _tile_loadd(7, weight + 1024, 64);
                _tile_dpbf16ps(1, 4, 7);
                _tile_dpbf16ps(3, 5, 7);
            }
        }
    }
    _tile_stored(0, sums, 128);
    _tile_stored(1, (sums + 16), 128);
    _tile_stored(2, (sums + 16 * 32), 128);
    _tile_stored(3, (sums + 16 * 32 + 16), 128);
}

/* Compute sums of 64 rows x 16 outputs. */
static void multiply_16(const struct convolution *conv, const char *weight, const char *x, long row, float *sums)
{
    begin_sums();
    for (int tap = 0; tap < conv->taps; tap++, x += conv->dilation * row) {
        const char *packed = x;
        for (int block = 0; block < conv->blocks; block++, packed += 64) {
            int twice = block < conv->twice;
            _tile_loadd(6, weight, 64);
            if (twice)
                _tile_loadd(7, weight + 1024, 64);
            weight += 1024 << twice;
            _tile_loadd(4, packed, row);
            _tile_dpbf16ps(0, 4, 6);
            if (twice)
                _tile_dpbf16ps(0, 4, 7);
            _tile_loadd(5, packed + 16 * row, row);
            _tile_dpbf16ps(1, 5, 6);
            if (twice)
                _tile_dpbf16ps(1, 5, 7);
            _tile_loadd(4, packed + 32 * row, row);
            _tile_dpbf16ps(2, 4, 6);
            if (twice)
                _tile_dpbf16ps(2, 4, 7);
            _tile_loadd(5, packed + 48 * row, row);
            _tile_dpbf16ps(3, 5, 6);
            if (twice)
                _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, sums, 64);
    _tile_stored(1, (sums + 16 * 16), 64);
    _tile_stored(2, (sums + 32 * 16), 64);
    _tile_stored(3, (sums + 48 * 16), 64);
}

static inline __m512 leaky(__m512 x, __m512 slope) { return _mm512_max_ps(x, _mm512_mul_ps(x, slope)); }

static inline __m512 get_remainder(__m512 x, __m256i rounded)
{
    return _mm512_sub_ps(x, (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16));
}

/* Convert 16 numbers of a row to bf16. Remainders go `width` numbers further on. */
static inline void convert_16(char *packed, __m512 x, int width, int parts)
{
    __m256i rounded = (__m256i)_mm512_cvtneps_pbh(x);
    _mm256_storeu_si256((__m256i *)packed, rounded);
    if (parts == 2)
        _mm256_storeu_si256((__m256i *)(packed + 2 * width), (__m256i)_mm512_cvtneps_pbh(get_remainder(x, rounded)));
}

static inline void convert_32(char *packed, __m512 x, __m512 more, int width, int parts)
{
    __m512i rounded = (__m512i)_mm512_cvtne2ps_pbh(more, x);
    _mm512_storeu_si512(packed, rounded);
    if (parts == 2) {
        x = get_remainder(x, _mm512_castsi512_si256(rounded));
        more = get_remainder(more, _mm512_extracti64x4_epi64(rounded, 1));
        _mm512_storeu_si512(packed + 2 * width, (__m512i)_mm512_cvtne2ps_pbh(more, x));
    }
}

/* Activate rows of fp32 numbers, and convert them to the parts that convolutions read. */
static void activate_rows(char *packed, const float *x, long rows, int width, float slope, int parts)
{
    __m512 slopes = _mm512_set1_ps(slope);
    for (long row = 0; row < rows; row++, x += width, packed += 2L * parts * width)
        for (int i = 0; i < width; i += 16)
            convert_16(packed + 2 * i, leaky(_mm512_loadu_ps(x + i), slopes), width, parts);
}

/* Write sums [rows][outputs] of the outputs from `first` on to their destinations. `outputs` is 16 or 32. */
static inline __attribute__((always_inline)) void finish(
    const struct convolution *conv, const float *sums, long row, int first, long rows, const struct destination *to,
    const int outputs)
{
    __m512 sum[2], bias[2], slope = _mm512_set1_ps(to->slope);
    for (int v = 0; v < outputs / 16; v++)
        bias[v] = _mm512_loadu_ps(conv->bias + first + 16 * v);
    for (long end = row + rows; row < end; row++, sums += outputs) {
        long at = row * conv->outputs + first;
        for (int v = 0; v < outputs / 16; v++) {
            sum[v] = _mm512_add_ps(_mm512_loadu_ps(sums + 16 * v), bias[v]);
            if (to->plus)
                sum[v] = _mm512_add_ps(sum[v], _mm512_loadu_ps(to->plus + at + 16 * v));
            if (to->plus_too)
                sum[v] = _mm512_add_ps(sum[v], _mm512_loadu_ps(to->plus_too + at + 16 * v));
            if (to->raw)
                _mm512_storeu_ps(to->raw + at + 16 * v, sum[v]);
            sum[v] = leaky(sum[v], slope);
            if (to->activated)
                _mm512_storeu_ps(to->activated + at + 16 * v, sum[v]);
        }
        if (!to->packed)
            continue;
        char *packed = to->packed + 2 * (to->parts * row * conv->outputs + first);
        if (outputs == 16)
            convert_16(packed, sum[0], conv->outputs, to->parts);
        else
            convert_32(packed, sum[0], sum[1], conv->outputs, to->parts);
    }
}

/* y[t][o] = bias[o] + sum of weight[o][i][tap] * x[t + tap * dilation][i], for 0 <= t < rows. Rows of x have `row`
 * bytes. */
static void convolve(const struct convolution *conv, const char *x, long row, long rows, const struct destination *to)
{
    float sums[32 * 32] __attribute__((aligned(64)));
    int outputs = conv->outputs < 32 ? 16 : 32, height = 1024 / outputs;
    long group = 64L * outputs * conv->taps * (conv->blocks + conv->twice);
    for (int first = 0; first < conv->outputs; first += outputs) {
        const char *weight = conv->weight + first / outputs * group;
        for (long t = 0; t < rows; t += height) {
            long wanted = rows - t < height ? rows - t : height;
            if (outputs == 32) {
                multiply_32(conv, weight, x + t * row, row, sums);
                finish(conv, sums, t, first, wanted, to, 32);
            } else {
                multiply_16(conv, weight, x + t * row, row, sums);
                finish(conv, sums, t, first, wanted, to, 16);
            }
        }
    }
}

static long larger(long a, long b) { return a > b ? a : b; }
static long smaller(long a, long b) { return a < b ? a : b; }

/* Rows on each side of a tile that the upsampling computes. Products of 64 rows may read beyond them. */
static long margin(const struct stage *stage) { return stage->reach + (stage->rate + stage->fold - 1) / stage->fold; }
static long rows_in_memory(const struct stage *stage, long rows) { return rows + 2 * margin(stage) + 64; }
static long inputs_in_memory(const struct stage *stage, long rows)
{
    return rows_in_memory(stage, rows) * stage->fold / stage->rate + stage->up->taps + 64;
}

/* Return the bytes of working memory for tiles of `rows` rows. */
long tile_memory(const struct stage *stage, long rows)
{
    return rows_in_memory(stage, rows) * stage->channels * 3 * (sizeof(float) + 2 * stage->parts) +
           inputs_in_memory(stage, rows) * stage->inputs * 2 * stage->up_parts;
}

/* Upsample x, which has `inputs` rows, into at least rows `low` to `high` of the stage's signal. `y` begins at row
 * `start` of that signal. */
static void upsample(
    const struct stage *stage, const float *x, long inputs, float *y, long start, long low, long high, char *packed)
{
    /* Input sample n and the taps - 1 before it give the output samples from n * rate - cut on. */
    long from = (low * stage->fold + stage->cut) / stage->rate;
    long to = (high * stage->fold + stage->cut + stage->rate - 1) / stage->rate;
    long width = 2L * stage->up_parts * stage->inputs, first = from - stage->up->taps + 1;
    long begin = larger(0, first), end = smaller(inputs, to);
    memset(packed, 0, (to - first) * width);
    activate_rows(
        packed + (begin - first) * width, x + begin * stage->inputs, end - begin, stage->inputs, 1, stage->up_parts);
    int sample = stage->channels / stage->fold; /* numbers per sample */
    struct destination raw = {.raw = y + (from * stage->rate - stage->cut - start * stage->fold) * sample};
    convolve(stage->up, packed, width, to - from, &raw);
}

/* Compute rows `first` to `end` of y, [inputs * rate / fold][channels], from x, [inputs][stage->inputs]. */
void make_tile(
    const struct stage *stage, const float *x, long inputs, float *y, long first, long end, char *memory)
{
    static const struct tile_config ours = {
        .palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    struct tile_config before;
    long rows = inputs * stage->rate / stage->fold, size = rows_in_memory(stage, end - first);
    long row = 2L * stage->parts * stage->channels;
    float *input = (float *)memory, *sum = input + size * stage->channels, *raw = sum + size * stage->channels;
    char *activated = (char *)(raw + size * stage->channels);
    char *inner[2] = {activated + size * row, activated + 2 * size * row};
    long low = larger(0, first - stage->reach), high = smaller(rows, end + stage->reach);
    long start = first - margin(stage); /* first row that `memory` holds */

    get_tiles(&before);
    set_tiles(&ours);
    upsample(stage, x, inputs, input, start, low, high, activated + 3 * size * row);
    if (low == 0 || high == rows) /* everything outside the signal must be zero */
        memset(activated, 0, 3 * size * row);
    activate_rows(activated + (low - start) * row, input + (low - start) * stage->channels, high - low, stage->channels,
        stage->inner_slope, stage->parts);
    for (int b = 0; b < stage->count; b++) {
        const struct block *block = stage->blocks + b;
        const char *packed = activated;
        const float *residual = input;
        long reach = block->reach;
        for (int c = 0; c < block->count; c++) {
            const struct convolution *conv = block->convs + c;
            long padding = (long)conv->dilation * (conv->taps - 1) / 2;
            reach -= padding; /* reach of the convolutions behind this one */
            long from = larger(0, first - reach), to = smaller(rows, end + reach), at = from - start;
            struct destination target = {.slope = stage->inner_slope, .parts = stage->parts};
            if ((c + 1) % block->convs_per_residual) {
                target.packed = inner[c % 2] + at * row;
            } else {
                target.plus = residual + at * stage->channels;
                if (c + 1 < block->count) {
                    target.raw = raw + at * stage->channels;
                    target.packed = inner[c % 2] + at * row;
                } else {
                    target.plus_too = b > 0 ? sum + at * stage->channels : NULL;
                    if (b + 1 < stage->count) {
                        target.raw = sum + at * stage->channels;
                    } else {
                        target.activated = y + from * stage->channels;
                        target.slope = stage->slope;
                    }
                }
                residual = raw;
            }
            convolve(conv, packed + (at - padding) * row, row, to - from, &target);
            packed = inner[c % 2];
        }
    }
    set_tiles(&before);
}
