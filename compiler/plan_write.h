/* The end of the pipeline: lowers every segment, plans its memory, prints its kernels and writes the plan directory (docs/plan.md). */
#ifndef ECT_PLAN_WRITE_H
#define ECT_PLAN_WRITE_H
#include "compiler/kernel.h"

typedef struct {
    const char *out;                                 /* the plan directory; replaced as a whole, only if it is a plan or does not exist */
    bool quiet;                                      /* no line per program */
    StrBuf *kernels_dump;                            /* -d H: the kernels' text goes here too, when not NULL */
    StrBuf *memory_dump;                             /* -d M: buffers with offsets and lives */
} PlanOptions;
/* Prints one line per program to stdout. Exits 2 when the directory cannot be written; nothing is left half-written. */
void plan_write(Module *m, const PlanOptions *o);
#endif
