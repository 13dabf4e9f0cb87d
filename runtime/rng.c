/* Host side of the random numbers: keys, and blocks of draws four at a time.
   Assumes the arithmetic of kernel_prelude.h, so that generated kernels give the same bits. */
#include "runtime/rng.h"
#include "runtime/kernel_prelude.h"

uint64_t rng_key(const char *path, uint64_t seed) { return hash64(path, strlen(path), seed); }

float rng_uniform_at(uint64_t key, uint64_t step, uint64_t sample, uint64_t e) { return ect_draw_uniform(key, step, sample, e); }
float rng_normal_at(uint64_t key, uint64_t step, uint64_t sample, uint64_t e) { return ect_draw_normal(key, step, sample, e); }
float rng_bernoulli_at(double p, uint64_t key, uint64_t step, uint64_t sample, uint64_t e)
{
    return ect_draw_bernoulli(ect_threshold(p), key, step, sample, e);
}

typedef enum { FILL_UNIFORM, FILL_NORMAL, FILL_BERNOULLI } Fill;
static void fill(Fill kind, ect_u64 threshold, float *out, uint64_t key, uint64_t step, uint64_t sample0, size_t rows,
                 size_t per_row)
{
    for (size_t r = 0; r < rows; r++, out += per_row)
        for (size_t e = 0; e < per_row; e += 4) {
            ect_u32 x[4];
            float v[4];
            ect_philox(key, step, sample0 + r, (ect_u32)(e >> 2), x);
            if (kind == FILL_NORMAL) {
                ect_normal_pair(x[0], x[1], &v[0], &v[1]);
                ect_normal_pair(x[2], x[3], &v[2], &v[3]);
            } else
                for (int i = 0; i < 4; i++)
                    v[i] = kind == FILL_UNIFORM ? ect_uniform_bits(x[i]) : (float)((ect_u64)x[i] < threshold);
            memcpy(out + e, v, MIN((size_t)4, per_row - e) * sizeof *v);
        }
}
void rng_uniform(float *out, uint64_t key, uint64_t step, uint64_t sample0, size_t rows, size_t per_row)
{
    fill(FILL_UNIFORM, 0, out, key, step, sample0, rows, per_row);
}
void rng_normal(float *out, uint64_t key, uint64_t step, uint64_t sample0, size_t rows, size_t per_row)
{
    fill(FILL_NORMAL, 0, out, key, step, sample0, rows, per_row);
}
void rng_bernoulli(float *out, double p, uint64_t key, uint64_t step, uint64_t sample0, size_t rows, size_t per_row)
{
    fill(FILL_BERNOULLI, ect_threshold(p), out, key, step, sample0, rows, per_row);
}
