/* How long a launch should take on a device, from its FLOPs and bytes: a roofline. Shared by ectc and ect-rt.
   Assumes kernels that reach the rates of the table; what a device really does is what a profile measures against this. */
#ifndef ECT_PREDICT_H
#define ECT_PREDICT_H
#include "runtime/base.h"
#include "runtime/number.h"

typedef struct {
    const char *name, *what;                         /* what: for people */
    double matrix_f32, matrix_half;                  /* FLOP/s in contractions, operands in f32 and of 2 bytes; in tf32 half as many as these */
    double element;                                  /* operations/s in maps and reductions */
    double bytes;                                    /* bytes/s between memory and chip */
    double launch;                                   /* seconds */
    int cores;                                       /* the rates are those of so many; 0: not counted in cores */
} PredictDevice;
typedef enum { BOUND_COMPUTE, BOUND_MEMORY, BOUND_LAUNCH } PredictBound;
extern const char *const predict_bound_name[];       /* "compute", "memory", "launch" */

/* The device `name` (h200, a100, cpu); cores: of cpu, 0 = all of this machine. false and *err (heap: what is wrong, the nearest
   name, all names). */
bool predict_device(PredictDevice *d, const char *name, int cores, char **err);
/* Seconds of one launch: max(flops / rate, bytes / rate) + launch. contraction: its kernel's class is `contract`;
   operands: their precision. *bound (may be NULL): which of the three is the largest. */
double predict_seconds(const PredictDevice *d, bool contraction, Number operands, double flops, double bytes, PredictBound *bound);
#endif
