/* What the mock driver runs in place of a kernel's machine code: the plan's C kernel. $ECT_MOCK_KERNELS is a shared object with the table
   mock_kernels, made by tests/tools/cuda_plan. */
#ifndef ECT_MOCK_KERNELS_H
#define ECT_MOCK_KERNELS_H
#include "runtime/kernel_prelude.h"

typedef struct {
    const char *name;                                /* NULL ends the table */
    void (*plain)(const EctArgs *a), (*with_draws)(const EctArgs *a);
    int draws, buffers, instances;                   /* of a launch; buffers: of one instance; instances: there is room for */
    unsigned long scratch, shared;
} MockKernel;
#endif
