/* What a program of a plan costs by its kernels, before it runs: launches, FLOPs, bytes, predicted seconds.
   A segment that repeats is counted once; a launch of several instances does its kernel's work as often. */
#ifndef ECT_COST_H
#define ECT_COST_H
#include "runtime/plan.h"
#include "runtime/predict.h"

/* One kernel text in one program. */
typedef struct {
    int kernel, launches;                            /* index into the plan's kernels; steps that run it */
    int runs, least, most;                           /* instances of all launches together, of the smallest, of the largest */
    int64_t bytes;                                   /* of all launches; what several instances of one read counts once */
    double seconds;                                  /* predicted, all launches */
    PredictBound bound;                              /* of the largest launch */
    int n_paths, n_lines;
    const char **path, **line;                       /* its steps' instances, "file:line" of results; each once, in order */
} KernelUse;
typedef struct {
    int launches, n;
    KernelUse *use;                                  /* n distinct kernels, slowest first */
    int64_t flops, bytes, peak;                      /* peak: bytes of the largest segment's arena */
    int64_t issued_bytes;                            /* -1 when a kernel does not say */
    double seconds;
} ProgramCost;

/* Predicted seconds of a step on d: one launch with the work of all its instances. bound may be NULL. */
double step_seconds(const Plan *p, const PlanStep *s, const PredictDevice *d, PredictBound *bound);
void cost_of(ProgramCost *c, const Plan *p, const PlanProgram *g, const PredictDevice *d);
void cost_free(ProgramCost *c);
#endif
