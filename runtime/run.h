/* A session: a plan on a device with weights, optimizer state and run-time scalars; what train, sample and run are built on.
   Functions report failures by user_error/machine_error unless they say otherwise. Not thread-safe. */
#ifndef ECT_RUN_H
#define ECT_RUN_H
#include "runtime/device.h"
#include "runtime/loss_scale.h"
#include "runtime/tensor_file.h"

typedef struct Vars Vars;                            /* run-time variables: vars.c */
typedef struct ProgramState ProgramState;
typedef struct Profile Profile;                      /* profile.h */
typedef struct {
    const Plan *plan;
    const DeviceClass *cls;
    Device *device;
    int threads;
    /* Flat arrays of plan->param_elements, physical order, padding 0. Direct access is the way to checkpoint: session_fetch before reading,
       session_changed after writing, for devices with memory of their own. */
    float *param;                                    /* live weights; also set[0] */
    float **set; /* per plan set; an EMA's is its state's array, or param itself while session_training was not called */
    float **state;                                   /* per plan state; NULL until session_training */
    float *grad; /* NULL until a program needs it; the averaged gradient after session_update */
    double *grad64;                                  /* wide devices */
    float *sum;
    int micros; /* accumulation: sum of the gradients of `micros` micro-batches (sum used from the second on) */
    uint64_t seed, step, seen;                       /* step: the update being made, 1 in the first; seen: images before it. Host
                                                        expressions see `step` without the updates that were skipped */
    LossScale scale;                                 /* session_scale changes it */
    Vars *vars;
    ProgramState *program_state;                     /* per plan program: outputs, carries */
    uint64_t memory_before;                          /* resident bytes when the device was open and nothing allocated yet */
    bool behind; uint64_t updated; int last_micro;   /* devices with memory of their own: nobody has asked for results since update `updated` */
    Profile *profile;                                /* NULL, or where the times of steps go; the caller's */
    int64_t profile_every;                           /* only the runs whose step is a multiple of it are timed; 0: all */
} Session;

/* device: "ref", "ref64", "cpu", "cuda", "auto"; threads 0 = all. Parameters are 0 until loaded or initialised. step = 1, seen = 0, seed
   = 0. */
Session *session_open(const Plan *plan, const char *device, int threads);
void session_close(Session *s);

/* Who computes plain matrix products (docs/gemm.md): "auto", "own" or "lt"; file: where the choices of a run are kept, or NULL. Before the first
   program is prepared. user_error where the device or its plan cannot do what is asked for. */
void session_gemm(Session *s, const char *mode, const char *file);

/* ---- run-time scalars ---- */
/* Apply one --set: "name=expression". false and *err (heap) when the name is unknown (with a suggestion) or the text is bad. */
bool session_set(Session *s, const char *assignment, char **err);
/* Value of run-time variable `name` at s->step, s->seen. false when there is none of that name; user_error on cycles and
   non-integral ints. */
bool session_value(Session *s, const char *name, double *value);
/* Evaluate everything once at s->step, s->seen: user_error where something is wrong. Call after the last session_set, before work
   starts. */
void session_check(Session *s);

/* Another scale of the loss; the plan has one. */
void session_scale(Session *s, const LossScale *scale);
/* After session_update, with results in: the scale of the next update. */
void session_scale_next(Session *s);

/* ---- weights ---- */
/* Run program `init` (by the interpreter, for any device) with s->seed; EMAs follow. */
void session_init(Session *s);
/* Load parameters (and "<set>.<parameter>" of each EMA; absent altogether: same as live). Reports all missing, extra, reshaped
   and non-finite tensors in one message. Tensors under other prefixes given in `ignore` (NULL-terminated list, may be NULL; e.g.
   "m.", "v.") are not extra. partial: missing and extra tensors are accepted; *n_loaded (may be NULL) counts those loaded;
   differences are then listed by warn. */
void session_load(Session *s, const char *path, const char *const *ignore, bool partial, int *n_loaded);
/* Copy between a flat array (physical order) and parameter i in file order. */
void param_gather(const PlanParam *p, const float *flat, float *out);
void param_scatter(const PlanParam *p, const float *in, float *flat);
/* Allocate and initialise gradient and states (EMA: copy of the set as loaded). Call once, after weights are in. */
void session_training(Session *s);
bool session_is_training(const Session *s);

/* ---- programs ---- */
typedef struct {
    const float *const *in; /* per program input, row-major in declared order; NULL entries only for inputs that do not exist */
    const double *const *in64;                       /* wide devices: NULL, or per input NULL or values instead */
    const uint32_t *numbers;                         /* train_step: NULL, or the images' numbers after session_images, instead of that input */
    const float *const *const *draw; /* NULL: generate all; else [segment][draw], NULL entries are generated; values
                                        [row][element]; in a repeated segment, one after another for each repetition */
    uint64_t sample0;                                /* number of row 0 */
    const double *mid; int n_mid;                    /* levels of the repeated segments */
    const uint64_t *draw_step; /* NULL, or the Philox step of segments that do not repeat, instead of session_philox_step's */
} RunArgs;
/* Get ready for running it (compile; allocate). Called by the functions below when it was not. */
void session_prepare(Session *s, const PlanProgram *p, bool with_draws);
/* Run all segments of a program (not train_step). Gradients go to s->grad. */
void session_run(Session *s, const PlanProgram *p, const RunArgs *a);
/* Copies all images to the device's memory, so that micro-batches need only their numbers (loader_next_numbers); call it when programs are prepared and
   before the first micro-batch. false: they stay where they are, *why (heap) says so, or is NULL where the device has no memory of its own. */
bool session_images(Session *s, const DeviceImages *images, char **why);
/* train_step: one micro-batch; gradients are accumulated until session_update. outputs (loss, report.*) are of this
   micro-batch. */
void session_micro(Session *s, const RunArgs *a);
/* Average the gradient over the micro-batches since the last update, run the update segment at s->step, s->seen. Does not advance
   step or seen. */
void session_update(Session *s);
/* Elements of the averaged gradient that are not finite; not for devices with memory of their own. */
int64_t session_bad_gradient(const Session *s);
/* How many updates may be under way or done without their results having been asked for; 1: none is under way when session_update returns. When it
   is more, outputs of single micro-batches and s->grad are not there before the update, session_results gets them. */
int session_depth(const Session *s);
/* Outputs of one micro-batch (0, 1, ...) of update `step`, one of the last session_depth, where session_output finds them; waits for the update.
   Returns how many elements of its averaged gradient are not finite. Only where session_depth > 1. */
int64_t session_results(Session *s, uint64_t step, int micro);
/* Flat arrays of the host: about to be read (weights, EMAs and states, or the gradient); written. */
void session_fetch(Session *s);
void session_fetch_gradient(Session *s);
void session_changed(Session *s);
/* Output by index or name after a run; valid until the next run of the same program. NULL when there is none. Not for grad.*. */
const float *session_output(Session *s, const PlanProgram *p, const char *name);
const double *session_output64(Session *s, const PlanProgram *p, const char *name);    /* wide devices, else NULL */

/* Values of one draw as the devices generate it, [row][element], malloced by the caller; repetition: 1, 2, ... in repeated
   segments, else 0. */
void session_draw(Session *s, const PlanProgram *p, const PlanDraw *d, uint64_t step, uint64_t sample0, float *out);
/* The Philox step of a segment: `repetition` in repeated ones, 0 in program sample otherwise and in init, else s->step. */
uint64_t session_philox_step(const Session *s, const PlanProgram *p, const PlanSegment *g, int repetition);

/* Commands. Each prints its own --help; returns the exit status. argv[0] is the command's name. */
int cmd_run(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_train(int argc, char **argv);                /* train.c */
int cmd_sample(int argc, char **argv);               /* sample.c */
int cmd_data(int argc, char **argv);                 /* import.c */
#endif
