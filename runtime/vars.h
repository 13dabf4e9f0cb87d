/* Run-time variables and scalars of a plan: host expressions in double, memoised for one (step, seen).
   Private to sessions. */
#ifndef ECT_VARS_H
#define ECT_VARS_H
#include "runtime/plan.h"

typedef struct Vars Vars;
Vars *vars_new(const Plan *plan);
void vars_free(Vars *v);
/* "name=expression"; false and *err (heap) on an unknown name or bad text. */
bool vars_set(Vars *v, const char *assignment, char **err);
/* One variable; false when there is none. user_error on cycles, unknown names and ints that are not whole. */
bool vars_value(Vars *v, const char *name, uint64_t step, uint64_t seen, double *value);
/* All scalars; `time` may be NULL. A scalar that needs a time that is not given becomes NaN. */
void vars_scalars(Vars *v, uint64_t step, uint64_t seen, const char *time, double level, double *wide, float *narrow);
/* Evaluates every variable once and checks that scalars mention known names only: user_error otherwise. */
void vars_check(Vars *v, uint64_t step, uint64_t seen);
#endif
