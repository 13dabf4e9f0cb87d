/* The end of the pipeline: writes the plan directory (docs/plan.md). */
#ifndef ECT_PLAN_WRITE_H
#define ECT_PLAN_WRITE_H
#include "compiler/kernel.h"

typedef struct {
    const char *out;                                 /* the plan directory; replaced as a whole, only if it is a plan or does not exist */
    bool quiet;                                      /* no line per program */
} PlanOptions;
/* Prints one line per program to stdout. Exits 2 when the directory cannot be written; nothing is left half-written. */
void plan_write(const Backend *b, const PlanOptions *o);
/* plan_step.c: appends a step of docs/plan.md as a JSON object; k is one of l's kernels, its `text` filled in. */
void json_step(StrBuf *j, const Lowered *l, const Kernel *k);
#endif
