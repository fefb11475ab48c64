/* Runs stages of random shapes on matrix units, in memory of exactly the promised size between inaccessible pages: any
 * access outside it ends the program. Sanitizers do not see what the units read. Also checks that the units' configuration
 * is restored, for PyTorch's own kernels. */
#define _GNU_SOURCE
#include STAGE

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static const size_t page = 4096;

static long pick(long low, long high) { return low + rand() % (high - low + 1); }

/* Return zeros that end (or begin) at an inaccessible page. They are never freed. */
static void *guarded(size_t bytes, int at_the_end)
{
    size_t whole = (bytes + page - 1) / page * page;
    char *made = mmap(NULL, whole + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made == MAP_FAILED)
        exit(2);
    mprotect(made, page, PROT_NONE);
    mprotect(made + page + whole, page, PROT_NONE);
    return made + page + (at_the_end ? whole - bytes : 0);
}

static struct convolution some_convolution(int inputs, int outputs, int taps, int dilation, int parts, int end)
{
    int blocks = parts * inputs / 32, twice = parts == 2 ? (inputs + 31) / 32 : 0;
    size_t bytes = 64L * outputs * taps * (blocks + twice);
    return (struct convolution){
        guarded(bytes, end), guarded(sizeof(float) * outputs, end), outputs, taps, dilation, blocks, twice};
}

static void run_a_stage(int end)
{
    int parts = pick(1, 2), up_parts = pick(1, 2), fold = parts == 2 ? pick(1, 2) : 1;
    int channels = fold == 2 ? 16 : parts == 2 && pick(0, 1) ? 16 : 32 * pick(1, 2); /* of a row */
    int samples = channels / fold, rate = channels >= 32 ? pick(1, 9) : 32 / samples * pick(1, 2);
    int inputs = up_parts == 2 && pick(0, 1) ? 16 : 32 * pick(1, 2), size = rate + 2 * pick(0, 8);
    long count = pick(1, 200);
    struct convolution convs[3][4];
    struct convolution up = some_convolution(inputs, samples * rate, (size + rate - 1) / rate, 1, up_parts, end);
    struct block blocks[3];
    struct stage stage = {&up, blocks, pick(1, 3), inputs, channels, rate, fold, (size - rate) / 2, 0,
                          up_parts, parts, 0.1f, 0.01f};
    for (int b = 0; b < stage.count; b++) {
        blocks[b] = (struct block){convs[b], 2 * pick(1, 2), pick(1, 2), 0};
        for (int c = 0; c < blocks[b].count; c++) {
            int read = parts == 2 && channels >= 32 ? pick(1, 2) : parts;
            convs[b][c] = some_convolution(channels, channels, 2 * pick(0, 4) + 1, pick(1, 5), read, end);
            blocks[b].reach += convs[b][c].dilation * (convs[b][c].taps - 1) / 2;
        }
        stage.reach = larger(stage.reach, blocks[b].reach);
    }
    long rows = count * rate / fold, tile = pick(1, rows);
    float *x = guarded(sizeof(float) * inputs * count, end), *y = guarded(sizeof(float) * channels * rows, end);
    char *memory = guarded(tile_memory(&stage, tile), end);
    struct tile_config before, behind;
    get_tiles(&before);
    for (long first = 0; first < rows; first += tile)
        make_tile(&stage, x, count, y, first, smaller(rows, first + tile), memory);
    get_tiles(&behind);
    if (memcmp(&before, &behind, sizeof before)) {
        puts("the units are not left as they were");
        exit(1);
    }
}

int main(void)
{
    if (!request_matrix_units())
        return 3;
    static const struct tile_config others = {.palette = 1, .row_bytes = {32, 8, 64}, .rows = {4, 5, 6}};
    for (int i = 0; i < 300; i++) {
        if (i == 100) /* until then, the units have no other configuration */
            set_tiles(&others);
        run_a_stage(i % 2);
    }
    puts("all memory is its own");
    return 0;
}
