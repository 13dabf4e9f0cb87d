/* The prime field that exact mode computes in: its laws, the numbers of programs in it, its order, the identities kernels rely
   on. Both sides of exact mode use this arithmetic, so a mistake here would be no difference between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include "tests/exact/field.h"

enum { N = 200 };
static Fp some(int i) { return i < 6 ? (const Fp[]){0, 1, 2, FP_P - 1, FP_P / 2, FP_P / 2 + 1}[i] : fp_hash(1, (uint64_t)i); }

/* Multiplication by additions, to compare with. */
static Fp slow_product(Fp x, Fp y)
{
    Fp s = 0;
    for (int bit = 60; bit >= 0; bit--) {
        s = (s + s) % FP_P;
        if (y >> bit & 1) s = (s + x) % FP_P;
    }
    return s;
}
static void laws(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            Fp x = some(i), y = some(j), z = some(i + j);
            assert_true(x < FP_P && fp_mul(x, y) < FP_P && fp_add(x, y) < FP_P);
            assert_int_equal(fp_mul(x, y), slow_product(x, y));
            assert_int_equal(fp_mul(fp_add(x, y), z), fp_add(fp_mul(x, z), fp_mul(y, z)));
            assert_int_equal(fp_add(fp_sub(x, y), y), x);
            assert_int_equal(fp_add(x, fp_neg(x)), 0);
            if (y) assert_int_equal(fp_mul(fp_div(x, y), y), x);
        }
    assert_int_equal(fp_div(5, 0), 0);
    FpWide sum = 0;                                  /* more than a product of matrices adds up before it reduces */
    for (int i = 0; i < 63; i++) sum += (FpWide)(FP_P - 1) * (FP_P - 1);
    assert_int_equal(fp_reduce(sum), 63);
}
/* Sums, differences and products that floats represent are those of the field. */
static void numbers(void **state)
{
    (void)state;
    static const double v[] = {0, 1, -1, 0.5, -0.25, 3, 10000, 0x1.6a09e6p-1, 0x1p-126, 0x1p127, -0x1.fffffep127, 0x1.921fb6p-22,
                               1e-6f};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        assert_int_equal(fp_real(-v[i]), fp_neg(fp_real(v[i])));
        assert_int_equal(fp_mul(fp_real(v[i]), fp_real(0.5)), fp_real(v[i] / 2));
        for (size_t j = 0; j < sizeof v / sizeof *v; j++)
            assert_int_equal(fp_mul(fp_real(v[i]), fp_real(v[j])), fp_real(v[i] * v[j]));
    }
    assert_int_equal(fp_add(fp_real(0.75), fp_real(-3.5)), fp_real(-2.75));
    assert_int_equal(fp_int(-7), fp_real(-7));
    assert_int_equal(fp_int(INT64_MIN), fp_real(-0x1p63));
    assert_int_equal(fp_mul(fp_real(0.25), fp_int(4)), 1);
}
static void order(void **state)
{
    (void)state;
    assert_true(fp_less(fp_real(-2), fp_real(-1)) && fp_less(fp_real(-1), 0) && fp_less(0, fp_real(3)) && !fp_less(1, 1));
    for (int i = 0; i < N; i++) {
        Fp x = some(i);
        assert_int_equal(fp_max(fp_real(-INFINITY), x), x);
        assert_int_equal(fp_min(fp_real(INFINITY), x), x);
        assert_int_equal(fp_mul(fp_abs(x), fp_sign(x)), x);
    }
}
static void functions(void **state)
{
    (void)state;
    for (int i = 1; i < N; i++) {
        Fp x = some(i);
        assert_int_equal(fp_mul(fp_rsqrt(x), fp_sqrt(x)), 1);
        assert_int_equal(fp_pow(x, 3), fp_mul(x, fp_mul(x, x)));
        assert_int_equal(fp_pow(x, fp_int(-2)), fp_inverse(fp_mul(x, x)));
        assert_int_equal(fp_pow(x, 0), 1);
        assert_int_not_equal(fp_exp(x), fp_log(x));
        assert_int_not_equal(fp_exp(x), fp_exp(some(i + 1)));
        assert_int_not_equal(fp_draw(1, 2, 3, (uint64_t)i, 0), fp_draw(1, 2, 3, (uint64_t)i + 1, 0));
        assert_int_not_equal(fp_draw(1, 2, (uint64_t)i, 3, 0), fp_draw(1, 2, 3, (uint64_t)i + (i == 3), 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(laws), cmocka_unit_test(numbers), cmocka_unit_test(order),
                                       cmocka_unit_test(functions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
