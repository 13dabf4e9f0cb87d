/* The scale of the loss against torch.amp.GradScaler's rules: factors 2 and 1/2, 2000 steps. Assumes nothing of training. */
#include "runtime/loss_scale.h"
#include <setjmp.h>
#include <cmocka.h>

static void after(LossScale *s, int n, bool overflow)
{
    for (int i = 0; i < n; i++) {
        s->overflow = overflow;
        loss_scale_next(s);
    }
}
static void constants(void **state)
{
    (void)state;
    LossScale s = loss_scale_start;
    assert_true(s.scale == 65536 && s.interval == 2000 && !s.on);
    after(&s, 3, true);
    assert_true(s.scale == 65536 && s.skipped == 0);     /* off */
    s.on = true;
    after(&s, 1999, false);
    assert_true(s.scale == 65536 && s.good == 1999);
    after(&s, 1, false);
    assert_true(s.scale == 131072 && s.good == 0 && s.skipped == 0);
    after(&s, 1500, false);
    after(&s, 2, true);
    assert_true(s.scale == 32768 && s.good == 0 && s.skipped == 2 && !s.overflow);
    after(&s, 1999, false);
    assert_true(s.scale == 32768);
    after(&s, 1, false);
    assert_true(s.scale == 65536 && s.skipped == 2);
}
static void ends(void **state)
{
    (void)state;
    LossScale s = loss_scale_start;
    s.on = true;
    after(&s, 500, true);
    assert_true(s.scale == 0x1p-24 && s.skipped == 500);         /* 1 / scale stays a number */
    s.interval = 1;
    after(&s, 500, false);
    assert_true(s.scale == 0x1p100);
    s.interval = 0;
    s.scale = 16;
    after(&s, 5000, false);
    assert_true(s.scale == 16);
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(constants), cmocka_unit_test(ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
