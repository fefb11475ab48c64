/* Compares layers and stages of random shapes with loops that follow their definition. For processors that PyTorch is not
 * at hand for: it needs nothing but C. */
#include SUPPORT

static double activate(double x, double slope) { return x > 0 ? x : x * slope; }

/* One output: the bias, and the sum over inputs and taps. x[i * row + t] is zero unless 0 <= t < length. */
static double convolve_one(const struct plain *conv, const double *x, long row, long length, int output, long t)
{
    double sum = conv->packed.bias[output];
    for (int i = 0; i < conv->packed.inputs; i++)
        for (int k = 0; k < conv->packed.taps; k++) {
            long at = t + (long)k * conv->packed.dilation;
            if (at >= 0 && at < length)
                sum += conv->weight[(output * conv->packed.inputs + i) * conv->packed.taps + k] * x[i * row + at];
        }
    return sum;
}

static void expect(float made, double wanted, const char *where)
{
    if (!(fabs(made - wanted) < 1e-4 * (1 + fabs(wanted)))) {
        printf("%s: %g instead of %g\n", where, made, wanted);
        exit(1);
    }
}

static void compare_a_layer(void)
{
    long samples = pick_number(1, 400);
    struct plain conv = some_convolution(pick_number(1, 40), pick_number(1, 40), 2 * pick_number(0, 5) + 1, pick_number(1, 5));
    int inputs = conv.packed.inputs, outputs = conv.packed.outputs;
    long length = samples + (conv.packed.taps - 1L) * conv.packed.dilation, row = length + MAX_TILE * LANES;
    float *x = noise(inputs * row), *y = noise(outputs * samples), *scratch = noise(scratch_samples(&conv.packed));
    double *wide = malloc(sizeof(double) * inputs * row);
    for (long i = 0; i < inputs * row; i++)
        wide[i] = x[i];
    struct destination to = {NULL, NULL, NULL, y, 0, samples, 0.1f};
    convolve(&conv.packed, x, row, samples, &to, scratch);
    for (int o = 0; o < outputs; o++)
        for (long t = 0; t < samples; t++)
            expect(y[o * samples + t], activate(convolve_one(&conv, wide, row, length, o, t), 0.1f), "layer");
    free(x), free(y), free(wide), free(scratch);
}

/* [channels][length]: each convolution of a block in turn, with residuals. The result is added to `sum`. */
static void add_block(const struct plain *convs, const struct block *block, const double *input, int channels, long length,
                      double slope, double *sum)
{
    double *residual = malloc(sizeof(double) * channels * length), *x = malloc(sizeof(double) * channels * length);
    double *y = malloc(sizeof(double) * channels * length);
    for (long i = 0; i < channels * length; i++)
        residual[i] = input[i], x[i] = activate(input[i], slope);
    for (int c = 0; c < block->count; c++) {
        long padding = (long)convs[c].packed.dilation * (convs[c].packed.taps - 1) / 2;
        for (int o = 0; o < channels; o++)
            for (long t = 0; t < length; t++)
                y[o * length + t] = convolve_one(convs + c, x, length, length, o, t - padding);
        for (long i = 0; i < channels * length; i++) {
            if ((c + 1) % block->convs_per_residual == 0)
                y[i] = residual[i] += y[i];
            x[i] = activate(y[i], slope);
        }
    }
    for (long i = 0; i < channels * length; i++)
        sum[i] += residual[i];
    free(residual), free(x), free(y);
}

static void compare_a_stage(void)
{
    int rate = pick_number(1, 9), size = rate + 2 * pick_number(0, 8), inputs = pick_number(1, 10), channels = pick_number(2, 20);
    long frames = pick_number(1, 60), samples = frames * rate, taps = (size + rate - 1) / rate, lead = taps + LANES;
    struct plain up = direct_convolution(inputs, channels * rate, taps, 1, rate), plains[3][4];
    struct convolution convs[3][4];
    long scratch = 0;
    struct block blocks[3];
    struct stage stage = {&up.packed, blocks, pick_number(1, 3), (size - rate) / 2, 0, 0.1f, 0.01f};
    for (int b = 0; b < stage.count; b++) {
        blocks[b] = (struct block){convs[b], 2 * pick_number(1, 2), pick_number(1, 2), 0};
        for (int c = 0; c < blocks[b].count; c++) {
            plains[b][c] = some_convolution(channels, channels, 2 * pick_number(0, 4) + 1, pick_number(1, 5));
            convs[b][c] = plains[b][c].packed;
            scratch = larger(scratch, scratch_samples(&convs[b][c]));
            blocks[b].reach += convs[b][c].dilation * (convs[b][c].taps - 1) / 2;
        }
        stage.reach = larger(stage.reach, blocks[b].reach);
    }
    long tile = pick_number(1, samples), row = tile + 2 * (stage.reach + rate) + LANES, x_row = frames + 2 * lead;
    float *x = calloc(inputs * x_row, sizeof(float)), *y = noise(channels * samples);
    float *memory = noise(6 * channels * row + scratch);
    double *wide = calloc(inputs * x_row, sizeof(double)), *input = calloc(channels * samples, sizeof(double));
    double *sum = calloc(channels * samples, sizeof(double));
    for (int i = 0; i < inputs; i++)
        for (long t = lead; t < lead + frames; t++)
            wide[i * x_row + t] = x[i * x_row + t] = rand() / (float)RAND_MAX - 0.5f;
    for (long first = 0; first < samples; first += tile)
        make_tile(&stage, x + lead, x_row, y, samples, samples, first, smaller(samples, first + tile), memory, row);

    for (int c = 0; c < channels; c++)
        for (long t = 0; t < samples; t++) { /* sample t + cut of the transposed convolution */
            long at = t + stage.cut, frame = at / rate;
            input[c * samples + t] = convolve_one(&up, wide, x_row, x_row, c * rate + at % rate, lead + frame - taps + 1);
        }
    for (int b = 0; b < stage.count; b++)
        add_block(plains[b], blocks + b, input, channels, samples, stage.inner_slope, sum);
    for (long i = 0; i < channels * samples; i++)
        expect(y[i], activate(sum[i], stage.slope), "stage");
    free(x), free(y), free(memory), free(wide), free(input), free(sum);
}

int main(void)
{
    for (int i = 0; i < 60; i++) {
        compare_a_layer();
        compare_a_stage();
    }
    puts("all values are right");
    return 0;
}
