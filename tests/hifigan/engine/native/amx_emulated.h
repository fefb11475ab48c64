/* The matrix units (AMX) of x86 processors, emulated with AVX-512 for tests on processors without them. The compiler
 * includes this file before `amx.c`.
 *
 * Tiles have the shapes of their configuration, and products round as those of the units, except for denormal numbers,
 * which the units take for zero. */
#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define TILES_EMULATED

struct tile_config;

static __thread struct {
    unsigned char palette, first_row, reserved[14];
    unsigned short row_bytes[16];
    unsigned char rows[16];
} tile_shapes;
static __thread unsigned char tile_rows[8][16][64] __attribute__((aligned(64)));

int request_matrix_units(void) { return 1; }

static inline void set_tiles(const struct tile_config *tiles)
{
    memcpy(&tile_shapes, tiles, sizeof tile_shapes);
    memset(tile_rows, 0, sizeof tile_rows);
}

static inline void get_tiles(struct tile_config *tiles) { memcpy(tiles, &tile_shapes, sizeof tile_shapes); }

/* The units raise an exception without a configuration. */
static inline void check_tiles(void)
{
    if (tile_shapes.palette != 1)
        abort();
}

static inline void zero_tile(int tile)
{
    check_tiles();
    memset(tile_rows[tile], 0, sizeof tile_rows[tile]);
}

static inline void load_tile(int tile, const void *base, long stride)
{
    zero_tile(tile);
    for (int row = 0; row < tile_shapes.rows[tile]; row++)
        memcpy(tile_rows[tile][row], (const char *)base + row * stride, tile_shapes.row_bytes[tile]);
}

static inline void store_tile(int tile, void *base, long stride)
{
    check_tiles();
    for (int row = 0; row < tile_shapes.rows[tile]; row++)
        memcpy((char *)base + row * stride, tile_rows[tile][row], tile_shapes.row_bytes[tile]);
}

/* The fp32 values of the even (first) or odd numbers of 16 pairs of bf16 numbers. */
static inline __m512 even_numbers(__m512i pairs) { return (__m512)_mm512_slli_epi32(pairs, 16); }
static inline __m512 odd_numbers(__m512i pairs) { return (__m512)_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)); }

/* Products of even and of odd numbers have separate sums, which are added to the tile at the end. */
static inline void multiply_tiles(int sums, int samples, int weights)
{
    check_tiles();
    for (int row = 0; row < tile_shapes.rows[sums]; row++) {
        __m512 even = _mm512_setzero_ps(), odd = even;
        for (int pair = 0; pair < tile_shapes.row_bytes[samples] / 4; pair++) {
            int bits;
            memcpy(&bits, tile_rows[samples][row] + 4 * pair, sizeof bits);
            __m512i sample = _mm512_set1_epi32(bits), weight = _mm512_load_si512(tile_rows[weights][pair]);
            even = _mm512_fmadd_ps(even_numbers(sample), even_numbers(weight), even);
            odd = _mm512_fmadd_ps(odd_numbers(sample), odd_numbers(weight), odd);
        }
        float *sum = (float *)tile_rows[sums][row];
        _mm512_store_ps(sum, _mm512_add_ps(_mm512_load_ps(sum), _mm512_add_ps(even, odd)));
    }
}

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#define _tile_zero zero_tile
#define _tile_loadd load_tile
#define _tile_stored store_tile
#define _tile_dpbf16ps multiply_tiles
