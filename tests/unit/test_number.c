/* Conversions of stored numbers and operands: every half there and back, rounding against a reference that counts in doubles; the table of types.
   Assumes the prelude that generated kernels use. */
#include "runtime/base.h"
#include "runtime/kernel_prelude.h"
#include "runtime/number.h"
#include <math.h>
#include <setjmp.h>
#include <cmocka.h>

/* The value of the 16 bits of a half. */
static double half_value(unsigned h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? m ? NAN : INFINITY : ldexp(e ? 1024 + m : m, (e ? e : 1) - 25);
    return h >> 15 ? -v : v;
}
static bool same(double a, double b) { return isnan(a) ? isnan(b) : a == b && signbit(a) == signbit(b); }

static void halves(void **state)
{
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        ect_f16_t back;
        float v = ect_load_f16((ect_f16_t)h);
        assert_true(same(v, half_value(h)));
        ect_store_f16(&back, v);
        if (isnan(v)) assert_true((back & 0x7c00) == 0x7c00 && (back & 0x3ff) && back >> 15 == (int)(h >> 15));
        else assert_int_equal(back, h);
        assert_true(same(ect_f16(v), v));
    }
}
/* x to a multiple of 2^unit; ties to even, or away from 0. */
static double round_to(double x, int unit, bool away)
{
    double y = ldexp(x, -unit), f = floor(fabs(y)), rest = fabs(y) - f;
    bool up = rest > 0.5 || (rest == 0.5 && (away || fmod(f, 2) != 0));
    return copysign(ldexp(f + up, unit), x);
}
static double f16_reference(float x)
{
    int e;
    if (!isfinite(x)) return x;
    frexp(x, &e);
    double r = round_to(x, (e < -13 ? -13 : e) - 11, false);
    return fabs(r) > 65504 ? copysign(INFINITY, x) : r;
}
static double bf16_reference(float x)
{
    int e;
    if (!isfinite(x)) return x;
    frexp(x, &e);
    return (float)round_to(x, (e < -125 ? -125 : e) - 8, false);
}
static double tf32_reference(float x)
{
    int e;
    if (!isfinite(x)) return x;
    frexp(x, &e);
    return (float)round_to(x, (e < -125 ? -125 : e) - 11, true);
}
static void rounds(float x)
{
    ect_f16_t h;
    ect_bf16_t b;
    ect_store_f16(&h, x);
    ect_store_bf16(&b, x);
    bool ok = same(ect_f16(x), f16_reference(x)) && same(ect_load_f16(h), f16_reference(x)) && same(ect_bf16(x), bf16_reference(x))
              && same(ect_load_bf16(b), isnan(x) ? NAN : bf16_reference(x)) && same(ect_tf32(x), tf32_reference(x));
    if (!ok) fail_msg("%a: f16 %a, bf16 %a, tf32 %a", (double)x, (double)ect_f16(x), (double)ect_bf16(x), (double)ect_tf32(x));
}
static void rounding(void **state)
{
    (void)state;
    for (ect_u64 u = 0; u < 0x100000000ull; u += 12289) rounds(ect_from_bits((ect_u32)u));
    for (unsigned h = 0; h < 0x7c00; h++)            /* between neighbours: the middle, and a step to each side */
        for (int d = -1; d <= 1; d++) {
            float middle = (float)((half_value(h) + (h == 0x7bff ? 65536 : half_value(h + 1))) / 2);
            rounds(ect_from_bits(ect_bits(middle) + (ect_u32)d));
            rounds(-ect_from_bits(ect_bits(middle) + (ect_u32)d));
        }
    for (ect_u32 u = 0; u < 0x7f800000u; u += 0x1000)    /* ties of tf32 and bf16 */
        for (int d = -1; d <= 1; d++) rounds(ect_from_bits(u + (ect_u32)d));
    assert_true(isinf(ect_f16(65520)) && ect_f16(65519.996f) == 65504 && ect_f16(0x1p-25f) == 0 && ect_f16(0x1.000002p-25f) == 0x1p-24f);
    assert_true(ect_tf32(1 + 0x1p-11f) == 1 + 0x1p-10f && ect_tf32(1 + 0x1.ffep-12f) == 1 && ect_tf32(-1 - 0x1p-11f) == -1 - 0x1p-10f);
    assert_true(isnan(ect_tf32(ect_from_bits(0x7fffffffu))) && isnan(ect_tf32(ect_from_bits(0xffffffffu))) && isinf(ect_tf32(0x1.fffffep127f)));
}
static void names(void **state)
{
    (void)state;
    for (int i = 0; i < N_NUMBERS; i++) assert_int_equal(number_named(number_info[i].name), i);
    assert_int_equal(number_named("f64"), N_NUMBERS);
    assert_int_equal(number_named(""), N_NUMBERS);
    assert_true(number_info[NUM_F16].bytes == 2 && number_info[NUM_TF32].bytes == 4);
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(halves), cmocka_unit_test(rounding), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
