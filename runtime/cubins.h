/* CUDA texts to machine code: NVRTC (opened at run time), in parallel, through the object cache.
   Assumes texts as docs/cuda.md says: the prelude and one kernel file, extern "C" entries, nothing included. */
#ifndef ECT_CUBINS_H
#define ECT_CUBINS_H
#include "runtime/plan.h"

typedef struct {
    const char *name;                                /* its text's: of the first kernel in the plan that has it */
    const void *data; size_t bytes;                  /* the cubin */
    const char *log;                                 /* NVRTC's and ptxas's words (registers, spills, shared memory of each entry) */
    bool cached, packed;                             /* not compiled now; out of the plan's folder cubins/ */
    double ms;                                       /* that compiling it took, now or then */
} Cubin;
typedef struct Cubins Cubins;

/* Compiles the kernels `used` (per kernel of the plan: wanted) for arch ("sm_90a"), those that are neither in the plan (packed) nor in the cache.
   draw_inputs: the variant that reads draws from memory. A kernel that does not compile, no NVRTC and --require-cached (cache_only) with one missing end the
   process with status 2 and say what to do. Progress with an estimate on a terminal, one line otherwise when anything was compiled. */
Cubins *cubins_load(const Plan *plan, const bool *used, const char *arch, bool draw_inputs);
const Cubin *cubins_get(const Cubins *c, int kernel);        /* NULL when it was not wanted */
void cubins_free(Cubins *c);
/* Kernels that share a text share a cubin: the first wanted one with this kernel's text; -1 when the kernel was not wanted. */
int cubins_owner(const Cubins *c, int kernel);
int cubins_compiled(const Cubins *c);                        /* how many were compiled now */

/* ---- in pieces, for commands ---- */
/* The texts and keys of the kernels wanted, nothing compiled. Without NVRTC the keys say "none" for the compiler. */
Cubins *cubins_open(const Plan *plan, const bool *used, const char *arch, bool draw_inputs);
/* Looks into the plan's folder (packed) and the cache (cache); returns how many are still missing. */
int cubins_find(Cubins *c, bool packed, bool cache);
/* Compiles what is missing and stores it in the cache. Returns the number of kernels that failed; cubins_error says why. machine_error without NVRTC. */
int cubins_compile(Cubins *c);
const char *cubins_error(const Cubins *c, int kernel);       /* NULL: compiled, or not tried */
const char *cubins_key(const Cubins *c, int kernel, size_t *len);
/* Where a kernel's packed entry lies: PLAN/cubins/NAME.ARCH.o, or NAME.ARCH.draws.o. Heap. */
char *cubins_packed_path(const Cubins *c, int kernel);
/* Writes a kernel that was found or compiled there, with its key. False with errno set. */
bool cubins_pack(const Cubins *c, int kernel);

/* ---- NVRTC (nvrtc.c) ---- */
typedef struct { void *data; size_t bytes; char *log; double ms; bool ok; } NvrtcResult;       /* heap */
/* Version and build of the library that is in use, "NVRTC 13.0 build-id 65be...", or NULL and *why (static) when there is none. */
const char *nvrtc_identity(const char **why);
/* The options for arch, sorted; returns their number (at most NVRTC_MAX_OPTIONS). Static, or heap for the process's life. */
enum { NVRTC_MAX_OPTIONS = 12 };
int nvrtc_options(const char *arch, bool draw_inputs, const char *option[NVRTC_MAX_OPTIONS]);
/* Compiles one text; threads may at once. ok false: the log says why. An empty log of a success is asked for again under another name of the
   text, since NVRTC's own cache swallows ptxas's report; it stays empty when that is no help. */
void nvrtc_compile(const char *name, const char *text, const char *const *option, int n_options, NvrtcResult *r);

/* ---- ptxas's report (ptxas.c) ---- */
typedef struct { char *name; int registers, stack, spill_stores, spill_loads, shared, barriers; } PtxasEntry;      /* bytes; shared: static */
/* The entries of a log in its order (heap, names too); their number. Figures that the log does not give are 0. */
int ptxas_report(const char *log, PtxasEntry **entry);
void ptxas_free(PtxasEntry *entry, int n);
/* The lines that are no plain information, as one heap text; NULL when there are none. What ptxas says it had to give up counts. */
char *ptxas_warnings(const char *log);

/* ---- what a processor has room for (ptxas.c) ---- */
typedef struct { const char *arch; int threads, blocks, registers, shared, shared_block; } ArchLimits;   /* of a multiprocessor; bytes of shared memory */
const ArchLimits *arch_limits(const char *arch);     /* "sm_90a" is "sm_90"; NULL when unknown */
/* Blocks of an entry that are resident at once; 0: it cannot be launched. dynamic: bytes of shared memory beside the static ones. */
int resident_blocks(const ArchLimits *a, const PtxasEntry *e, int threads, int64_t dynamic);

/* ---- where CUDA's libraries are (cuda_libs.c) ---- */
typedef enum { CUDA_DRIVER, CUDA_NVRTC, CUDA_CUBLASLT, CUDA_LIBRARIES } CudaLibrary;
/* dlopen handle, or NULL; *what (heap): path and version, or what is missing, where it was looked for and what to install. Searched:
   $ECT_CUDA_PATH (a toolkit's root, or a folder of libraries) and, when it is not set or it is the driver that is asked for, the loader's own
   paths, /usr/local/cuda*, the nvidia/<name>/lib folders of python3's site-packages. Opened once a process. */
void *cuda_library(CudaLibrary which, char **what);
/* A line for each library on stdout: whether it works here, and why not. */
void cuda_libraries_print(void);

/* Commands. */
int cmd_cubins(int argc, char **argv);
#endif
