/* How much memory a plan needs and how much there is; asked before anything large is allocated.
   Assumes Linux: MemAvailable, control groups (v1 and v2) and RLIMIT_AS. */
#ifndef ECT_MEMORY_H
#define ECT_MEMORY_H
#include "runtime/plan.h"

/* Bytes that can still be allocated; *limit (static text, may be NULL) names what sets the limit. UINT64_MAX when nothing is
   known. */
uint64_t memory_available(const char **limit);
/* Peak and present resident size of this process in bytes; 0 when unknown. */
uint64_t memory_peak(void);
uint64_t memory_now(void);

typedef struct {
    uint64_t weights, gradient, states, sets;        /* flat arrays */
    uint64_t arena;                                  /* largest peak of the programs' segments: grows with the batch */
    uint64_t tensors;                                /* inputs, outputs, carries: grows with the batch */
    uint64_t scratch, shared;                        /* kernels' scratch, of all threads and in common */
    uint64_t library;                                /* what matrix products pack their operands into, all threads */
    uint64_t code;                                   /* compiled kernels */
} MemoryNeed;
/* Adds what running `program` takes on the cpu device with this many threads. */
void memory_add_program(MemoryNeed *need, const Plan *plan, const PlanProgram *program, int threads);
/* Adds weights, and with training gradient and states. */
void memory_add_weights(MemoryNeed *need, const Plan *plan, bool training);
/* Adds all that `train` takes once it runs, but its data set: weights, gradient (two with accumulation), states, train_step with one batch
   read ahead, and what it runs between steps. */
void memory_add_training(MemoryNeed *need, const Plan *plan, int threads, bool accumulate, bool sampling, bool validating);
/* Bytes of memory_add_training for a plain `train`: one micro-batch a step, with sample grids if the plan can, no validation. */
uint64_t memory_training_peak(const Plan *plan, int threads);
uint64_t memory_total(const MemoryNeed *need);
/* What the device's own memory holds of it, and what this machine's does then: no activations and nothing for kernels. */
MemoryNeed memory_on_device(const MemoryNeed *need, const Plan *plan);
void memory_elsewhere(MemoryNeed *need);
/* machine_error with the shortfall and a batch that would fit when `need` and `other` bytes (data set) exceed what there is. */
void memory_check(const MemoryNeed *need, uint64_t other, const Plan *plan);
/* The same against `have` bytes, which `limit` names. */
void memory_check_against(const MemoryNeed *need, uint64_t other, const Plan *plan, uint64_t have, const char *limit);
#endif
