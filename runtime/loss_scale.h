/* The scale of the loss in training with f16, whose smallest number is 2^-24: gradients are computed of scale * loss. An update whose gradient is not
   finite changes no weight and halves the scale; it doubles after `interval` updates without such a one.
   Assumes a plan with the run-time scalars below: the step's gradient has the factor, the update takes it out and skips by itself (docs/language.md). */
#ifndef ECT_LOSS_SCALE_H
#define ECT_LOSS_SCALE_H
#include "runtime/base.h"

#define LOSS_SCALE "loss.scale"                      /* the factor; 1 unless somebody sets it */
#define LOSS_OVERFLOW "loss.overflow"                /* 0: the gradient is finite */

typedef struct {
    bool on;                                         /* off: the factor stays, no update is skipped */
    double scale;
    int64_t interval, good;                          /* good: updates since the last change */
    uint64_t skipped;                                /* of all updates made so far */
    bool overflow;                                   /* the gradient of the last update was not finite */
} LossScale;
extern const LossScale loss_scale_start;             /* torch.amp.GradScaler's constants, off */

void loss_scale_next(LossScale *s);                  /* after an update, according to `overflow` */
#endif
