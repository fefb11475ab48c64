/* Random convolutions for the programs that check `vector.c`. TRANSFORMS has `transforms`, made by the test. */
#include STAGE
#include TRANSFORMS

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static long pick_number(long low, long high) { return low + rand() % (high - low + 1); }

static float *noise(long count)
{
    float *made = malloc(sizeof(float) * count);
    for (long i = 0; i < count; i++)
        made[i] = rand() / (float)RAND_MAX - 0.5f;
    return made;
}

/* A convolution, and its weights in the order [outputs][inputs][taps]. */
struct plain {
    struct convolution packed;
    float *weight;
};

/* Pack the weights for one of the transforms. */
static void pack_transformed(struct plain *conv, const struct known_transform *known)
{
    struct convolution *packed = &conv->packed;
    int inputs = packed->inputs, blocks = (packed->outputs + OUTPUTS - 1) / OUTPUTS, points = known->transform.points;
    packed->transform = &known->transform;
    packed->segments = (packed->taps + known->taps - 1) / known->taps;
    packed->columns = pick_number(packed->dilation, 200);
    packed->split = known->split[packed->dilation], packed->join = known->join[packed->dilation];
#if defined(SOME_HALVES) && defined(__AVX512BF16__)
    packed->halves = inputs % 2 == 0 && pick_number(0, 1);
#endif
    float *weight = calloc((long)points * blocks * packed->segments * inputs * OUTPUTS, sizeof(float));
    packed->weight = weight;
    for (int p = 0; p < points; p++)
        for (int o = 0; o < packed->outputs; o++)
            for (int i = 0; i < inputs; i++)
                for (int k = 0; k < packed->taps; k++) {
                    long row = (long)(p * blocks + o / OUTPUTS) * packed->segments + k / known->taps;
                    weight[(row * inputs + i) * OUTPUTS + o % OUTPUTS] +=
                        known->of_taps[p][k % known->taps] * conv->weight[(o * inputs + i) * packed->taps + k];
                }
}

static struct plain direct_convolution(int inputs, int outputs, int taps, int dilation, int rate)
{
    long padded = (outputs + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
    float *weight = noise((long)outputs * inputs * taps), *packed = calloc(padded * taps * inputs, sizeof(float));
    for (int o = 0; o < outputs; o++)
        for (int i = 0; i < inputs; i++)
            for (int k = 0; k < taps; k++)
                packed[((o / OUTPUTS * taps + k) * inputs + i) * OUTPUTS + o % OUTPUTS] = weight[(o * inputs + i) * taps + k];
    return (struct plain){
        {.weight = packed, .bias = noise(padded), .inputs = inputs, .outputs = outputs, .taps = taps, .dilation = dilation,
         .rate = rate},
        weight};
}

static struct plain some_convolution(int inputs, int outputs, int taps, int dilation)
{
    struct plain conv = direct_convolution(inputs, outputs, taps, dilation, 1);
    const struct known_transform *known = transforms + pick_number(0, sizeof transforms / sizeof *transforms - 1);
    if (pick_number(0, 3) && (taps <= known->taps || known->taps == known->transform.tile))
        pack_transformed(&conv, known);
    return conv;
}
