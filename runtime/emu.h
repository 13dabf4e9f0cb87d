/* The engine of cuda-emu: CUDA texts compiled for the host, run with a fiber for each thread, one block at a time, every access checked.
   Assumes one launch at a time in the process. docs/cuda-emu.md says what is checked. */
#ifndef ECT_EMU_H
#define ECT_EMU_H
#include "runtime/base.h"

typedef struct EmuCode EmuCode;

/* A kernel's text. */
typedef struct {
    const char *name, *path, *text;                  /* path: for messages */
    const char *const *entry;                        /* its __global__ functions */
    int n_entries;
} EmuSource;
typedef struct {
    bool check;                                      /* see every access; without: barriers and warps only, several times faster */
    bool draw_inputs, strict;                        /* strict: warnings of the text are errors (tests) */
    const char *prelude;                             /* the text in front of every kernel's */
    const char *exact;                               /* NULL, or the text of another number type (tests/exact), in front of all */
} EmuOptions;

/* Path and version line of the C++ compiler, or NULL; *why then says what was looked for. Static. */
const char *emu_compiler(const char **why);
/* Compiles what the object cache does not hold, loads it. machine_error when the compiler is missing or fails, user_error when a text lacks an entry. */
EmuCode *emu_load(const EmuSource *source, int n, const EmuOptions *options);
void emu_unload(EmuCode *c);

/* Memory a launch may touch. seen: where the kernel has it, after emu_begin. */
typedef struct {
    const char *name;
    void *at;
    size_t bytes;
    bool constant;                                   /* kernels only read it */
    void *seen;
} EmuBuffer;
typedef struct {
    int source;                                      /* index of emu_load */
    const char *entry;
    unsigned grid[3], block;
    size_t shared;                                   /* dynamic, bytes */
    const void *args;                                /* the argument struct, with the addresses `seen` */
    size_t arg_bytes;
    uint64_t seed;                                   /* of the order in which threads run */
    int n_only;                                      /* 0: all blocks; else these, in this order */
    const unsigned (*only)[3];
} EmuLaunch;

/* Before the launches of a step: when accesses are checked buffers are moved apart, each between gaps (overlapping ones together); buffer[i].seen is
   set. The array must stay until emu_end, which moves the contents back. */
void emu_begin(const EmuCode *c, EmuBuffer *buffer, int n);
/* False: *finding (heap) says what is wrong, where; the launch was given up, memory holds what it had written. */
bool emu_launch(EmuCode *c, const EmuLaunch *l, char **finding);
void emu_end(void);

/* What uninitialised memory is filled with: NaN as f32 and as bf16. */
void emu_poison(void *at, size_t bytes);
#endif
