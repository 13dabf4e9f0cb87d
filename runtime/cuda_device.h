/* Inside of the device `cuda`, shared by device_cuda.c (class), cuda_memory.c (allocations, flat arrays), cuda_launch.c (kernels of a segment)
   cuda_step.c (training steps as graphs) and cuda_gemm.c (matrix products by cuBLASLt). Assumes one context, one thread, one stream for work and one for copies to the device. */
#ifndef ECT_CUDA_DEVICE_H
#define ECT_CUDA_DEVICE_H
#include "runtime/cubins.h"
#include "runtime/cuda_driver.h"
#include "runtime/device.h"

/* A flat array of the host with its copy on the device; at most one of the two is newer. */
typedef struct { float *host; CUdeviceptr at; bool host_newer, device_newer; } Flat;

/* Loaded code of one program; fn[kernel of the plan][launch], NULL where the program does not use the kernel. */
typedef struct CudaGemm CudaGemm;                    /* cuda_gemm.c: a product that cuBLASLt computes */
typedef struct {
    const PlanProgram *program;
    bool with_draws;
    CUlibrary *lib;
    CUfunction **fn;
    CudaGemm ***gemm;                                /* [segment][step], NULL where it is the kernel's; NULL: everywhere */
} CudaCode;

/* What one run of a segment reads and writes besides arena and flat arrays, as one record in memory of the host (pinned) and the device:
   the values of the step (EctNow) first, then the inputs, the outputs apart. Offsets in bytes, multiples of 256; SIZE_MAX: it does not exist. */
typedef struct { size_t *in, *out, in_bytes, out_bytes; } Layout;

enum { CUDA_NOW_SCALARS = 16 };                      /* where the scalars begin in EctNow */

/* Work that was recorded, and a hash of all that it holds. exec NULL: none yet. */
typedef struct { CUgraphExec exec; uint64_t signature; } CudaGraph;

/* Memory of a program for runs that are waited for. */
typedef struct {
    bool ready;
    CudaGraph *graph;                                /* per segment */
    Layout layout;
    CUdeviceptr record, result, *carry, *draw;       /* draw: per draw of the segment in hand; bytes in draw_bytes */
    size_t *draw_bytes;
    int n_draw;
} CudaProgram;

typedef struct CudaSteps CudaSteps;                  /* cuda_step.c */
typedef struct CudaProducts CudaProducts;            /* cuda_gemm.c */
/* Images that lie on the device; data 0: none do. `set` without its pixels. */
typedef struct { CUdeviceptr data; size_t bytes; DeviceImages set; } CudaImages;
struct Device {
    const Plan *plan;
    const CudaDriver *cu;
    CUdevice gpu;
    CUcontext context;
    CUstream work, copies;
    char name[128], arch[16];
    size_t total, held;                              /* bytes of the GPU; allocated by this device */
    CUdeviceptr arena, workspace;
    size_t arena_bytes, workspace_bytes;
    Flat *flat;
    int n_flat, cap_flat;
    CudaCode *code;
    int n_code, cap_code;
    CudaProgram *program;                            /* per plan program */
    char *stage; size_t stage_bytes;                 /* pinned: records and results of runs that are waited for */
    CUlibrary helpers;
    CUfunction sum, mean, bad, images, round[N_NUMBERS];
    CudaPlace at;                                    /* what is going on, for messages */
    uint64_t *words; size_t n_words;                 /* arguments of one launch */
    float **buf; int n_buf;                          /* of a segment */
    CUevent *event; int n_event;                     /* timing */
    CudaSteps *steps;
    CudaImages set;
    CudaProducts *products;                          /* NULL: nobody has asked yet */
    bool check;
};

/* Call of the driver: anything but success ends the process with a message of where. */
#define CU(d, call_) do { CUresult r_ = (d)->cu->call_; if (r_ != CU_OK) cuda_fail(r_, &(d)->at); } while (0)

/* ---- cuda_memory.c ---- */
/* Zeroed device memory; not enough of it ends the process, saying what was wanted, what there is and how to need less. */
CUdeviceptr cuda_alloc(Device *d, size_t n, const char *what);
void cuda_release(Device *d, CUdeviceptr p, size_t n);
void *cuda_pinned(Device *d, size_t n, const char *what);
/* The device's copy of a flat array, made and brought up to date if need be; NULL stays 0. written: it will be the newer one. */
CUdeviceptr cuda_flat(Device *d, float *host, bool written);
void cuda_flat_changed(Device *d, const float *host);       /* NULL: all */
void cuda_flat_fetch(Device *d, float *host);
void cuda_flat_close(Device *d);
/* numbers: the input that a record has the numbers of images for, or -1. */
Layout cuda_layout(const Plan *plan, const PlanProgram *p, int numbers);
/* DeviceMemory's images. */
bool cuda_images(Device *d, const DeviceImages *images, char **why);
size_t cuda_to_come(const Device *d);                /* bytes of flat arrays that are not there yet, at most */
/* Writes the step's values and inputs into a record of the host. */
void cuda_record(const Device *d, const Layout *y, const Launch *l, char *record);
size_t cuda_now_bytes(const Plan *plan);

/* ---- cuda_launch.c ---- */
/* A Launch with addresses of the device: in and out from a record, flat arrays brought up to date. carry, draw: as given. The pointer arrays are
   on the heap, bound_free frees them. */
typedef struct { Launch l; float **in, **out, **set, **state; } Bound;
void cuda_bind(Device *d, Bound *b, const Launch *l, const Layout *y, CUdeviceptr record, CUdeviceptr result, CUdeviceptr *carry, CUdeviceptr *draw);
void cuda_bound_free(Bound *b);
const CudaCode *cuda_code(Device *d, const PlanProgram *p, bool with_draws);
/* Puts the segment's kernels into the work stream. timed: an event after each, cuda_times adds them up once the stream has been waited for. */
void cuda_segment(Device *d, const CudaCode *c, const Bound *b, CUdeviceptr now, bool timed);
/* Launches what queue puts into the work stream as a graph, which is recorded the first time and whenever the signature is another. Nothing may be copied
   from or to the host's memory in queue. doing: for messages, "an update". */
void cuda_graph(Device *d, CudaGraph *g, uint64_t signature, const char *doing, void (*queue)(Device *d, const void *work), const void *work);
void cuda_graph_drop(Device *d, CudaGraph *g);
/* A hash of what cuda_segment would launch. */
uint64_t cuda_segment_signature(Device *d, const CudaCode *c, const Bound *b, CUdeviceptr now);
enum { CUDA_GRAPH_LAUNCHES = 32768 };                /* more launches than that are queued one by one */
/* The launches of one step's kernel; d->buf: the addresses of its segment's buffers. For kernels without draws. */
void cuda_launch_step(Device *d, const CudaCode *c, const PlanStep *s, CUdeviceptr now);
void cuda_events(Device *d, int n);                  /* d->event has so many */
void cuda_times(Device *d, const PlanSegment *g, StepTime *time);
void cuda_wait(Device *d, const char *doing);
extern const char cuda_helpers[];                    /* cuda_helpers.c: PTX of the runtime's own kernels */
/* The runtime's own kernels over flat arrays: to[i] += from[i]; to[i] = from[i] * scale; *count += elements that are not finite. */
void cuda_add(Device *d, CUdeviceptr to, CUdeviceptr from, int64_t n);
void cuda_scale(Device *d, CUdeviceptr to, CUdeviceptr from, int64_t n, float scale);
void cuda_count_bad(Device *d, CUdeviceptr flat, int64_t n, CUdeviceptr count);
/* to[n][c][h][w] = the images with these numbers, from the set that lies on the device, as image_bytes_to_floats makes them. */
void cuda_gather(Device *d, CUdeviceptr to, CUdeviceptr numbers, int64_t n);
/* to[i] = from[i] rounded to a precision: 2 bytes an element, or 4 with tf32. */
void cuda_round(Device *d, CUdeviceptr to, CUdeviceptr from, int64_t n, Number to_number);

/* ---- cuda_step.c: DeviceMemory's micro, update, results ---- */
void cuda_micro(Device *d, const Launch *l, int micro);
void cuda_update(Device *d, const Launch *l, int micros);
int64_t cuda_results(Device *d, uint64_t step, int micro, float *const *out);
void cuda_steps_close(Device *d);

/* ---- cuda_gemm.c ---- */
/* DeviceMemory's products. */
void cuda_gemm_mode(Device *d, int mode, const char *file);
/* Which products of the program the library computes; timed where nobody knows. NULL: none. The arena's contents are lost. */
CudaGemm ***cuda_gemm_choose(Device *d, const CudaCode *c);
/* Puts a step's product into the work stream. buf: addresses of its segment's buffers. */
void cuda_gemm_run(Device *d, const CudaGemm *g, const PlanStep *s, float *const *buf);
CUdeviceptr cuda_gemm_memory(const Device *d);       /* of rounded operands: what graphs read besides the arena; it may move in cuda_gemm_choose */
void cuda_gemm_free(Device *d, const PlanProgram *p, CudaGemm ***v);
void cuda_gemm_close(Device *d);
#endif
