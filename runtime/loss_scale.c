/* loss_scale.h. Assumes factors of two, so that taking the scale out again rounds nothing. */
#include "runtime/loss_scale.h"

static const double GROWTH = 2, BACKOFF = 0.5, SMALLEST = 0x1p-24, LARGEST = 0x1p100;
const LossScale loss_scale_start = {.scale = 65536, .interval = 2000};

void loss_scale_next(LossScale *s)
{
    if (!s->on) return;
    if (s->overflow) {
        s->scale = MAX(s->scale * BACKOFF, SMALLEST);
        s->good = 0;
        s->skipped++;
    } else if (++s->good == s->interval) {
        s->scale = MIN(s->scale * GROWTH, LARGEST);
        s->good = 0;
    }
    s->overflow = false;
}
