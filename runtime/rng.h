/* Counter-based random numbers of docs/random.md on the host. The arithmetic itself is in kernel_prelude.h, shared with generated
   kernels. */
#ifndef ECT_RNG_H
#define ECT_RNG_H
#include "runtime/base.h"

/* Key of a draw site: path is the full name "draw.time". */
uint64_t rng_key(const char *path, uint64_t seed);
/* Fill out[rows][per_row] with draws for samples sample0 .. sample0+rows-1, elements 0 .. per_row-1, in element order (c
   innermost). */
void rng_uniform(float *out, uint64_t key, uint64_t step, uint64_t sample0, size_t rows, size_t per_row);
void rng_normal(float *out, uint64_t key, uint64_t step, uint64_t sample0, size_t rows, size_t per_row);
void rng_bernoulli(float *out, double p, uint64_t key, uint64_t step, uint64_t sample0, size_t rows, size_t per_row);
/* One element. */
float rng_uniform_at(uint64_t key, uint64_t step, uint64_t sample, uint64_t element);
float rng_normal_at(uint64_t key, uint64_t step, uint64_t sample, uint64_t element);
float rng_bernoulli_at(double p, uint64_t key, uint64_t step, uint64_t sample, uint64_t element);
#endif
