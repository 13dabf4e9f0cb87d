/* CUDA texts to machine code: NVRTC (opened at run time), in parallel, through the object cache.
   Assumes texts as docs/cuda.md says: the prelude and one kernel file, extern "C" entries, nothing included. */
#ifndef ECT_CUBINS_H
#define ECT_CUBINS_H
#include "runtime/plan.h"

typedef struct {
    const char *name;                                /* the kernel's */
    const void *data; size_t bytes;                  /* the cubin */
    const char *log;                                 /* NVRTC's and ptxas's words (registers, spills, shared memory of each entry) */
    bool cached;
} Cubin;
typedef struct Cubins Cubins;

/* Compiles the kernels `used` (per kernel of the plan: wanted) for arch ("sm_90a"), those that are neither in the plan (packed) nor in the cache.
   draw_inputs: the variant that reads draws from memory. A kernel that does not compile, no NVRTC and --require-cached with one missing end the
   process with status 2 and say what to do. Progress with an estimate on a terminal, one line otherwise when anything was compiled. */
Cubins *cubins_load(const Plan *plan, const bool *used, const char *arch, bool draw_inputs);
const Cubin *cubins_get(const Cubins *c, int kernel);        /* NULL when it was not wanted */
void cubins_free(Cubins *c);

/* ---- where CUDA's libraries are ---- */
typedef enum { CUDA_DRIVER, CUDA_NVRTC, CUDA_CUBLASLT, CUDA_LIBRARIES } CudaLibrary;
/* dlopen handle, or NULL; *what (heap): path and version, or what is missing, where it was looked for and what to install. Searched:
   $ECT_CUDA_PATH (a toolkit's root, or a folder of libraries), the loader's own paths, /usr/local/cuda*, the nvidia/<name>/lib folders of python3's
   site-packages. Opened once a process. */
void *cuda_library(CudaLibrary which, char **what);
#endif
