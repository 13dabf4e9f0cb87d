/* Random numbers: Philox's published vectors, docs/random.md's layout, moments of the distributions, element functions against
   libm. Assumes kernel_prelude.h holds the arithmetic. */
#include "runtime/rng.h"
#include "runtime/kernel_prelude.h"
#include <math.h>
#include <setjmp.h>
#include <cmocka.h>

static void philox(void **state)
{
    (void)state;
    static const struct { uint32_t c[4], k[2], out[4];
    } cases[] = {
        /* from the Random123 distribution's known answers */
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const uint32_t *c = cases[i].c;
        uint64_t sample = c[1] | (uint64_t)(c[3] & 0xffff) << 32, step = c[2] | (uint64_t)(c[3] >> 16) << 32;
        ect_u32 x[4];
        ect_philox(cases[i].k[0] | (uint64_t)cases[i].k[1] << 32, step, sample, c[0], x);
        assert_memory_equal(x, cases[i].out, sizeof x);
    }
}
static void layout(void **state)
{
    (void)state;
    uint64_t key = rng_key("draw.noise", 5);
    assert_true(key == hash64("draw.noise", 10, 5) && key != rng_key("draw.noise", 6) && key != rng_key("draw.time", 5));
    enum { ROWS = 3, PER_ROW = 7 };
    float u[ROWS * PER_ROW], z[ROWS * PER_ROW], b[ROWS * PER_ROW], later[PER_ROW];
    rng_uniform(u, key, 9, 4, ROWS, PER_ROW);
    rng_normal(z, key, 9, 4, ROWS, PER_ROW);
    rng_bernoulli(b, 0.3, key, 9, 4, ROWS, PER_ROW);
    for (int r = 0; r < ROWS; r++)
        for (int e = 0; e < PER_ROW; e++) {
            int i = r * PER_ROW + e;
            assert_true(u[i] == rng_uniform_at(key, 9, 4 + (uint64_t)r, (uint64_t)e) && u[i] >= 0 && u[i] < 1);
            assert_true(z[i] == rng_normal_at(key, 9, 4 + (uint64_t)r, (uint64_t)e));
            assert_true(b[i] == rng_bernoulli_at(0.3, key, 9, 4 + (uint64_t)r, (uint64_t)e) && (b[i] == 0 || b[i] == 1));
        }
    rng_uniform(later, key, 9, 6, 1, PER_ROW);                          /* a batch split changes nothing */
    assert_memory_equal(later, u + 2 * PER_ROW, sizeof later);
    rng_uniform(later, key, 10, 6, 1, PER_ROW);
    assert_memory_not_equal(later, u + 2 * PER_ROW, sizeof later);
    rng_uniform(later, key, 9, 6 + (1ull << 32), 1, PER_ROW);
    assert_memory_not_equal(later, u + 2 * PER_ROW, sizeof later);
}
/* Rows as kernels write them give the bits of the draws they stand for, whatever the counters. */
static void rows(void **state)
{
    (void)state;
    enum { MOST = 64 };
    const uint64_t key0 = rng_key("draw.drop.rows", 5);
    static const uint64_t samples[] = {0, 3, 4095, (1ull << 32) - 2, 1ull << 40}, steps[] = {0, 7, (1ull << 33) + 5};
    static const uint64_t firsts[] = {0, 4, 1020, 3ull << 30};
    static const double ps[] = {0, 0x1p-32, 0.3, 0.95, 1};
    for (int count = 4; count <= MOST; count += 4)
        for (size_t i = 0; i < COUNT(samples) * COUNT(steps) * COUNT(firsts); i++) {
            uint64_t first0 = samples[i % COUNT(samples)], step = steps[i / COUNT(samples) % COUNT(steps)];
            uint64_t e = firsts[i / COUNT(samples) / COUNT(steps)];
            float z[MOST + 1], u[MOST + 1], b[MOST + 1];
            z[count] = u[count] = b[count] = -7;
            ECT_NORMAL_ROW(0, 1, e, count, 1, z);
            ECT_UNIFORM_ROW(0, 1, e, count, 1, u);
            for (int k = 0; k < count; k++) {
                float normal = rng_normal_at(key0, step, first0 + 1, e + (uint64_t)k);
                assert_memory_equal(&z[k], &normal, sizeof normal);
                assert_true(u[k] == rng_uniform_at(key0, step, first0 + 1, e + (uint64_t)k));
            }
            for (size_t j = 0; j < COUNT(ps); j++) {
                ect_u64 threshold0 = ect_threshold(ps[j]);
                ECT_BERNOULLI_ROW(0, 1, e, count, 1, threshold0, b);
                for (int k = 0; k < count; k++)
                    assert_true(b[k] == rng_bernoulli_at(ps[j], key0, step, first0 + 1, e + (uint64_t)k));
            }
            assert_true(z[count] == -7 && u[count] == -7 && b[count] == -7);    /* and nothing beyond the row */
        }
}
static void moments(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    float *v = xmalloc(N * sizeof *v);
    double m[5] = {0}, mean = 0;
    rng_normal(v, 77, 1, 0, 1, N);
    for (int i = 0; i < N; i++) for (int k = 1; k < 5; k++) m[k] += pow(v[i], k) / N;
    assert_true(fabs(m[1]) < 0.004 && fabs(m[2] - 1) < 0.006 && fabs(m[3]) < 0.015 && fabs(m[4] - 3) < 0.05);
    double lag = 0;
    for (int i = 1; i < N; i++) lag += v[i] * v[i - 1] / N;
    assert_true(fabs(lag) < 0.004);
    rng_uniform(v, 78, 1, 0, N / 16, 16);
    double square = 0;
    for (int i = 0; i < N; i++) mean += v[i] / N, square += (double)v[i] * v[i] / N;
    assert_true(fabs(mean - 0.5) < 0.0012 && fabs(square - 1.0 / 3) < 0.0012);
    static const double ps[] = {0, 0.1, 0.5, 0.9, 1};
    for (size_t k = 0; k < COUNT(ps); k++) {
        mean = 0;
        rng_bernoulli(v, ps[k], 79, 1, 0, N / 16, 16);
        for (int i = 0; i < N; i++) mean += v[i] / N;
        assert_true(k == 0 || k == 4 ? mean == ps[k] : fabs(mean - ps[k]) < 0.002);
    }
    free(v);
}
/* The bits themselves are part of the format: a change of the arithmetic must not pass unseen. */
static void bits(void **state)
{
    (void)state;
    enum { N = 100000 };
    float *v = xmalloc(N * sizeof *v);
    rng_normal(v, 42, 1, 2, 1, N);
    char hex[33];
    hash128_hex(v, N * sizeof *v, hex);
    assert_string_equal(hex, "d3bc9202e0cc2e878e73c65618fd6ddb");
    free(v);
}
static double relative(double got, double want) { return want ? fabs(got - want) / fabs(want) : fabs(got); }
static void functions(void **state)
{
    (void)state;
    double e = 0, t = 0, s = 0, l = 0;
    for (uint32_t u = 0; u < 0xffffffffu - 40000; u += 39989) {
        float x = ect_from_bits(u);
        if (x != x) continue;
        double want = exp(x), r = ect_exp(x);
        if (want > 0x1.fffffep127) assert_true(isinf(r) || relative(r, want) < 3e-7);
        else if (want < 0x1p-126) assert_true(fabs(r - want) <= 0x1p-126);
        else if (!(relative(r, want) <= e)) e = relative(r, want);
        if (fabsf(x) > 0x1p-120f && !(relative(ect_tanh(x), tanh(x)) <= t)) t = relative(ect_tanh(x), tanh(x));
        if (!(fabs(ect_sigmoid(x) - 1 / (1 + exp(-(double)x))) <= s)) s = fabs(ect_sigmoid(x) - 1 / (1 + exp(-(double)x)));
    }
    for (uint32_t k = 1; k <= 1u << 24; k += 61) {
        float u = (float)k * 0x1p-24f;
        if (!(relative(ect_rng_log(u), log(u)) <= l)) l = relative(ect_rng_log(u), log(u));
    }
    assert_true(e <= 3e-7 && t <= 3e-7 && s <= 2e-7 && l <= 3e-7);
    assert_true(isnan(ect_exp(NAN)) && isinf(ect_exp(INFINITY)) && ect_exp(-INFINITY) == 0 && ect_exp(0) == 1);
    assert_true(isnan(ect_tanh(NAN)) && ect_tanh(INFINITY) == 1 && ect_tanh(-INFINITY) == -1 && isnan(ect_sigmoid(NAN)));
    assert_true(ect_sigmoid(-INFINITY) == 0 && ect_sigmoid(INFINITY) == 1 && ect_rng_log(1) == 0);
    assert_true(isnan(ect_sign(NAN)) && ect_sign(-3) == -1 && ect_sign(0) == 0 && ect_sign(INFINITY) == 1);
    assert_true(isnan(ect_max(NAN, 1)) && isnan(ect_max(1, NAN)) && ect_max(1, 2) == 2 && ect_min(1, 2) == 1 &&
                isnan(ect_min(1, NAN)));
    assert_true(ect_nan_to_num(NAN, 5, 9) == 5 && ect_nan_to_num(INFINITY, 5, 9) == 9 && ect_nan_to_num(-INFINITY, 5, 9) == -9 &&
                ect_nan_to_num(3, 5, 9) == 3);
    assert_true(ect_bf16(1 + 0x1p-9f) == 1 && ect_bf16(1 + 0x1.8p-8f) == 1 + 0x1p-7f && isnan(ect_bf16(NAN)) &&
                isinf(ect_bf16(0x1.fffffep127f)));
    assert_true(ect_isfinite(1) && !ect_isfinite(INFINITY) && !ect_isfinite(NAN));
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(philox), cmocka_unit_test(layout), cmocka_unit_test(rows),
                                       cmocka_unit_test(moments), cmocka_unit_test(bits), cmocka_unit_test(functions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
