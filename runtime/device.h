/* A device runs segments of a plan. One table of functions each: ref, ref64 (from graph text), cpu (from generated kernels), cuda and cuda-emu
   (from CUDA texts).
   A device owns its arena and compiled code; everything else it is lent for one launch. */
#ifndef ECT_DEVICE_H
#define ECT_DEVICE_H
#include "runtime/plan.h"

typedef struct Device Device;                        /* opaque: each device's own struct */
typedef struct { int threads; } DeviceOptions;       /* threads: 0 = all there are */

/* Seconds and runs of one step of a segment. */
typedef struct { double seconds; int64_t calls; } StepTime;

/* One run of one segment. Pointers are lent for the call. Tensors in, out, carry lie row-major in their declared roles' order;
   flat arrays hold plan->param_elements elements in physical order. */
typedef struct {
    const PlanProgram *program;
    const PlanSegment *segment;
    const float *const *in;                          /* per program input; NULL where the input does not exist */
    float *const *out;                               /* per program output; NULL for grad.* (they go to grad) */
    float *const *carry;                             /* per program carry */
    const uint32_t *numbers;                         /* train_step on devices with images (DeviceMemory): which, instead of that input */
    const double *const *in64; /* wide devices only: NULL, or per input NULL or the value in f64 (used instead of in) */
    double *const *out64; /* wide devices only: NULL, or per output NULL or where the f64 value goes as well */
    double *const *carry64;                          /* wide devices only: NULL, or used instead of carry */
    double *grad64;                                  /* wide devices only: NULL, or the flat gradient in f64, as well */
    float *const *set; /* per plan set: flat parameters; [0] live; update writes them through set[0] */
    float *grad; /* flat gradient, or NULL where the segment has none; written, not added to */
    float *const *state;                             /* per plan state: flat arrays (an EMA's is the same as its set's) */
    const float *scalar;
    const double *scalar64; /* per plan scalar: rounded once, and as computed; NaN where this segment does not use it */
    const uint64_t *key;                             /* per segment draw: Philox key */
    const float *const *draw; /* NULL: generate; else per segment draw (all of them) values [row][element], docs/random.md */
    uint64_t step, sample0;                          /* Philox step; number of row 0 */
    int overflow;                                    /* update: the scalar that is 0 when the gradient is finite; -1: there is none. Devices that
                                                        average gradients by themselves set it, else the host has */
    uint64_t seed;                                   /* what the keys were made from */
    StepTime *time;                                  /* timed devices: NULL, or per step of the segment: this run is added */
} Launch;

/* A data set of images as bytes, [count][h][w][c], for an input [n, c, h, w] of train_step. */
typedef struct { const PlanProgram *program; int input; const uint8_t *pixels; int64_t count; int h, w, c; } DeviceImages;

/* What a device with memory of its own does besides. The flat arrays of the Launches (set, grad, state) stay on it between runs: the host's are
   copies that it brings up to date only when asked. `in` and `draw` of a Launch are read, and `out` is written, before run returns. */
typedef struct {
    void (*changed)(Device *d, const float *flat);   /* the host has written this flat array; NULL: it may have written any */
    void (*fetch)(Device *d, float *flat);           /* the host is about to read it */
    /* One update, `micros` micro-batches and the update segment: they may be under way when the functions return, `in` may be written again.
       The gradients are averaged on the device. micro: 0, 1, ... in an update; out of these Launches is not written: */
    void (*micro)(Device *d, const Launch *l, int micro);
    void (*update)(Device *d, const Launch *l, int micros);
    int depth;                                       /* how many updates results can still be asked for */
    /* Waits for the update with Launch.step `step`; the outputs of one of its micro-batches go to out, per program output. Returns how many
       elements of its averaged gradient are not finite. */
    int64_t (*results)(Device *d, uint64_t step, int micro, float *const *out);
    /* Bytes that can still be allocated; *where (static text): of what. */
    uint64_t (*left)(Device *d, const char **where);
    /* Keeps a copy of the images; Launch.numbers then names those of a micro-batch: image number * 2 + mirrored. false and *why (heap): no room. Before
       the first micro-batch, once. */
    bool (*images)(Device *d, const DeviceImages *images, char **why);
    /* Before the first prepare: who computes plain matrix products (GemmMode); file: where the choices are kept, or NULL. NULL: it has no choice. */
    void (*products)(Device *d, int mode, const char *file);
} DeviceMemory;

typedef struct DeviceClass {
    const char *name;
    bool wide;                                       /* computes in f64: takes in64, out64, carry64, grad64 */
    bool timed;                                      /* runs kernels, fills Launch.time; the others interpret graphs */
    /* Can it work here? *what (heap): what it uses, or why it cannot and how to mend that. */
    bool (*available)(char **what);
    /* Failures of these are reported by user_error/machine_error and do not return. */
    Device *(*open)(const Plan *plan, const DeviceOptions *o);
    /* Get a program ready (parse, compile, allocate its arena). with_draws: draws will be replaced by inputs. May be called
       again. */
    void (*prepare)(Device *d, const PlanProgram *program, bool with_draws);
    void (*run)(Device *d, const Launch *l);
    void (*close)(Device *d);
    const DeviceMemory *memory;                      /* NULL: it works in the host's memory */
} DeviceClass;

extern const DeviceClass device_ref, device_ref64, device_cpu, device_cuda, device_emu;
extern const DeviceClass *const device_classes[];    /* NULL at the end */
/* NULL when the name is unknown. "auto": cpu; for a plan: the best device that works here and that the plan has kernels for. */
const DeviceClass *device_find(const char *name);
const DeviceClass *device_for(const Plan *plan, const char *name);

/* For kernel devices: addresses of the segment's buffers in plan order; arena = base of the segment's arena (peak_bytes). */
void launch_buffers(const Plan *plan, const Launch *l, float *arena, float **buf);
#endif
