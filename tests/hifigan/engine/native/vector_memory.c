/* Runs stages of random shapes in memory of exactly the promised size. A sanitizer ends the program at the first access
 * outside it. */
#define SOME_HALVES /* whose values do not matter here */
#include SUPPORT

static void run_a_layer(void)
{
    long samples = pick_number(1, 400);
    struct convolution conv =
        some_convolution(pick_number(1, 20), pick_number(1, 20), 2 * pick_number(0, 5) + 1, pick_number(1, 5)).packed;
    long behind = conv.transform ? MAX_TILE * LANES : LANES - 1;
    long row = samples + (conv.taps - 1L) * conv.dilation + behind, plus_row = samples + LANES - 1;
    float *scratch = noise(scratch_samples(&conv));
    float *x = noise(conv.inputs * row), *plus = noise(conv.outputs * plus_row), *y = noise(conv.outputs * samples);
    struct destination to = {plus, plus, y, NULL, plus_row, samples, 0.1f};
    convolve(&conv, x, row, samples, &to, scratch);
    free(x), free(plus), free(y), free(scratch);
}

static void run_a_stage(void)
{
    int rate = pick_number(1, 9), size = rate + 2 * pick_number(0, 8), inputs = pick_number(1, 10), channels = pick_number(2, 10);
    long frames = pick_number(1, 200), samples = frames * rate, lead = (size + rate - 1) / rate + LANES;
    struct convolution up = direct_convolution(inputs, channels * rate, (size + rate - 1) / rate, 1, rate).packed;
    struct convolution convs[3][4];
    long scratch = 0;
    struct block blocks[3];
    struct stage stage = {&up, blocks, pick_number(1, 3), (size - rate) / 2, 0, 0.1f, 0.01f};
    for (int b = 0; b < stage.count; b++) {
        blocks[b] = (struct block){convs[b], 2 * pick_number(1, 2), pick_number(1, 2), 0};
        for (int c = 0; c < blocks[b].count; c++) {
            convs[b][c] = some_convolution(channels, channels, 2 * pick_number(0, 4) + 1, pick_number(1, 5)).packed;
            scratch = larger(scratch, scratch_samples(&convs[b][c]));
            blocks[b].reach += convs[b][c].dilation * (convs[b][c].taps - 1) / 2;
        }
        stage.reach = larger(stage.reach, blocks[b].reach);
    }
    long tile = pick_number(1, samples), row = tile + 2 * (stage.reach + rate) + LANES;
    long x_row = frames + 2 * lead, y_row = samples;
    float *x = noise(inputs * x_row), *y = noise(channels * y_row), *memory = noise(6 * channels * row + scratch);
    for (long first = 0; first < samples; first += tile)
        make_tile(&stage, x + lead, x_row, y, y_row, samples, first, smaller(samples, first + tile), memory, row);
    free(x), free(y), free(memory);
}

int main(void)
{
    for (int i = 0; i < 200; i++) {
        run_a_layer();
        run_a_stage();
    }
    puts("all memory is its own");
    return 0;
}
