/* cuda-emu on kernels written by hand (tests/emu): results against plain loops under several seeds, then the same texts with one fault each, all of
   which must be found. Assumes a C++ compiler. */
#include "dsl/embedded.h"
#include "runtime/emu.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { SEEDS = 5, FIRST_BUFFER = 2 };
typedef struct { uint64_t step, sample0; float scalar[4]; } Now;

/* ---- what is run: launches over buffers, and what comes out ---- */
typedef struct { const char *entry; unsigned grid[3], block; size_t shared; } Step;
typedef struct {
    const char *name;
    const char *entry[2];
    int n_buffers, in_struct;                        /* buffers; places the struct has for them */
    size_t bytes[6];
    bool half[6];                                    /* bf16 */
    Step step[2];
    int n_steps;
    size_t workspace;
    void (*expect)(const struct Memory *m);
    double tolerance;
} Case;
