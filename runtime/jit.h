/* Generated C kernels to callable functions: the system's C compiler, in parallel, through the object cache, then dlopen.
   Assumes kernels define one external function each, `void NAME(const EctArgs *)`, and include nothing but "prelude.h". */
#ifndef ECT_JIT_H
#define ECT_JIT_H
#include "runtime/base.h"
#include "runtime/kernel_prelude.h"

typedef void KernelFn(const EctArgs *a);
typedef struct Jit Jit;

typedef struct {
    const char *name;               /* the function's name; an identifier, distinct */
    const char *path;               /* the .c file, for messages; its folder holds prelude.h */
    const char *source;             /* its text */
} JitSource;

/* Compiles what the cache does not hold, links everything and loads it: fn[i] is the function of src[i]. draw_inputs compiles the
   variant that reads draws from EctArgs.draw. Prints progress to stderr on a terminal, one line otherwise when anything was
   compiled. No compiler, a compile that fails (the log is kept and named) and a library that does not load exit with status 2.
   SIGINT, SIGTERM and SIGHUP meanwhile end the compilers, remove the temporary folder and end the process. */
Jit *jit_load(const JitSource *src, int n, const char *prelude, bool draw_inputs, KernelFn **fn);
void jit_close(Jit *j);
/* The environment's ECT_KERNEL_UNIT, "-O1": kernels are compiled as one file with that flag in place of -O3, many small ones in a
   fraction of the time, for tests. NULL when it is not set; user_error when it is no -O flag. */
const char *jit_unit(void);
/* Compiled now, out of how many; 0 when everything came from the cache. */
int jit_compiled(const Jit *j);

/* Path and first version line of the compiler that would be used, or NULL when there is none; *why then says what was looked
   for. Static. */
const char *jit_compiler(const char **why);
#endif
