/* The program `gpu`: what is measured and compared on a GPU with nothing but a driver and NVRTC. main.c commands; rows.c results; open.c the driver
   and small kernels; ceilings.c what the GPU reaches; wgmma.c a question about it; kernels.c, worker.c each kernel of a plan against a reference; sample.c the same in f64 from
   the graph. Assumes one GPU, one thread that calls the driver. */
#ifndef ECT_TEST_GPU_H
#define ECT_TEST_GPU_H
#include "runtime/cubins.h"
#include "runtime/cuda_driver.h"
#include "runtime/run.h"

/* ---- rows.c: a line of the table and one of JSON for each result, each in one write, so that files are whole up to their last line ---- */
void rows_open(const char *table, const char *json);         /* NULL: the table to stdout, no JSON */
/* verdict: "ok", "FAIL", "info", "skip", "cut". json: more members, "\"a\": 1" or "". */
void row(const char *section, const char *name, const char *verdict, const char *json, const char *fmt, ...) PRINTF(5, 6);

/* ---- open.c ---- */
typedef struct {
    const CudaDriver *cu;
    CUdevice gpu;
    CUcontext context;
    CUstream stream;
    CUevent from, to;
    char name[128], arch[16];
    int major, minor, processors, driver;
    size_t bytes;
} Gpu;
bool gpu_open(Gpu *g, char **why);                           /* false and *why (heap): no GPU */
char *gpu_error(const Gpu *g, CUresult r);                   /* heap */
/* An entry of a text compiled for this GPU; NULL and *why (heap). The text starts with the prelude of plans. */
/* The same without a GPU: does it compile for arch? */
bool gpu_compiles(const char *arch, const char *name, const char *text, char **why);
CUfunction gpu_function(const Gpu *g, const char *name, const char *text, int shared, char **why);
/* Runs it `times` times between two events. Returns the milliseconds of all, below 0 and *why when it fails. words: the argument struct. */
double gpu_time(const Gpu *g, CUfunction f, const CudaLaunchConfig *at, void *args, int times, char **why);

/* --table, --json, --compile-only ARCH (returned, or NULL) of the small commands. */
const char *small_options(int argc, char **argv);

/* ---- ceilings.c, wgmma.c, kernels.c ---- */
int cmd_device(int argc, char **argv);
int cmd_ceilings(int argc, char **argv);
int cmd_wgmma(int argc, char **argv);
int cmd_kernels(int argc, char **argv);

/* ---- kernels.c, worker.c ---- */
enum { NAME_MAX_LENGTH = 128 };
typedef struct {
    int step, phase, restarts;                               /* the step in hand and what is being done */
    double since;
    bool reported;                                           /* the worker has written the row of the step in hand */
    bool finished;
    int compared, failed, launches;
} Progress;                                                  /* shared by supervisor and worker */
enum { PHASE_START, PHASE_COMPILE, PHASE_LOAD, PHASE_GPU, PHASE_REFERENCE, PHASE_SAMPLE };
extern const char *const phase_names[];

typedef struct {
    const Plan *plan;
    const char *section, *reference;                         /* reference: the shared object of C kernels, or NULL */
    const char *only;                                        /* a kernel, or NULL */
    double limit, compile_limit, deadline;                   /* seconds for a kernel, for compiling; time of day at which all ends */
    int samples, threads;
    Progress *progress;
    bool *bad;                                               /* per kernel: it failed; the reference takes its place. Shared too */
} Check;

/* A launch whose memory is one shared block, of which the GPU has a twin. */
typedef struct {
    Check *c;
    Launch l;
    char *base; size_t bytes;
    float *arena;
    float **buf;                                             /* per buffer of the segment */
} Mirror;
void worker(Mirror *m, int first) NORETURN;

/* ---- sample.c: results of one step in f64, computed element by element from what the kernel read ---- */
typedef struct Sampler Sampler;
Sampler *sampler_new(const Plan *plan, const Launch *l, float *const *buf, char **why);
/* Gets a buffer that the step writes ready to be sampled; false: cannot be. Reads the mirror as it is before the step. */
bool sampler_ready(Sampler *s, int step, int b);
/* Element `at` (in memory order) of a buffer of the last step made ready; *size: of what was added up to it. false: cannot be said. Threads may at once. */
bool sampler_value(const Sampler *s, int b, int64_t at, double *value, double *size);
#endif
