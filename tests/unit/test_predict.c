/* Predictions: the roofline's three corners on every device, rates that follow the cores, unknown names.
   Assumes nothing. */
#include "runtime/predict.h"
#include <setjmp.h>
#include <cmocka.h>

static PredictDevice device(const char *name, int cores)
{
    PredictDevice d;
    char *err = NULL;
    if (!predict_device(&d, name, cores, &err)) fail_msg("%s", err);
    return d;
}
static bool near(double a, double b) { return a - b <= 1e-12 * b && b - a <= 1e-12 * b; }
static void corners(void **state)
{
    (void)state;
    static const char *const name[] = {"h200", "a100", "cpu"};
    for (size_t i = 0; i < COUNT(name); i++) {
        PredictDevice d = device(name[i], 2);
        PredictBound bound;
        assert_true(near(predict_seconds(&d, true, NUM_F32, 1e15, 1, &bound), 1e15 / d.matrix_f32 + d.launch)
                    && bound == BOUND_COMPUTE);
        assert_true(near(predict_seconds(&d, true, NUM_BF16, 1e15, 1, &bound), 1e15 / d.matrix_half + d.launch)
                    && bound == BOUND_COMPUTE);
        assert_true(near(predict_seconds(&d, true, NUM_TF32, 1e15, 1, NULL), 1e15 / MAX(d.matrix_half / 2, d.matrix_f32) + d.launch));
        assert_true(near(predict_seconds(&d, false, NUM_F32, 1e15, 1, &bound), 1e15 / d.element + d.launch)
                    && bound == BOUND_COMPUTE);
        assert_true(near(predict_seconds(&d, true, NUM_F32, 1, 1e12, &bound), 1e12 / d.bytes + d.launch) && bound == BOUND_MEMORY);
        assert_true(near(predict_seconds(&d, false, NUM_F16, 0, 0, &bound), d.launch) && bound == BOUND_LAUNCH);
        assert_true(d.matrix_half >= d.matrix_f32 && d.matrix_f32 > d.element && d.launch > 0);
        /* more work never takes less time */
        double last = 0;
        for (double work = 1; work < 1e15; work *= 3) {
            double s = predict_seconds(&d, true, NUM_F32, work, work / 10, NULL);
            assert_true(s >= last);
            last = s;
        }
    }
}
static void figures(void **state)
{
    (void)state;
    PredictDevice h = device("h200", 0), a = device("a100", 0), one = device("cpu", 1), two = device("cpu", 2),
        all = device("cpu", 0);
    assert_true(near(h.matrix_half, 790e12) && near(h.bytes, 4.3e12) && near(h.launch, 3e-6) && h.cores == 0);
    assert_true(near(a.matrix_half, 250e12) && near(a.bytes, 1.7e12));
    assert_true(near(one.matrix_f32, 90e9) && near(two.matrix_f32, 180e9) && near(two.element, 2 * one.element)
                && near(one.bytes, two.bytes));
    assert_true(all.cores >= 1 && near(all.matrix_f32, 90e9 * all.cores));
}
static void unknown(void **state)
{
    (void)state;
    static const struct { const char *name, *says; } bad[] = {{"h20", "did you mean `h200`?"},
                                                              {"CPU", "known are h200, a100, cpu"}, {"", "known are"},
                                                              {"tpuv4-pod", "nothing is known of a device `tpuv4-pod`"}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        PredictDevice d;
        char *err = NULL;
        assert_false(predict_device(&d, bad[i].name, 0, &err));
        if (!strstr(err, bad[i].says)) fail_msg("%s", err);
        free(err);
    }
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(corners), cmocka_unit_test(figures), cmocka_unit_test(unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
