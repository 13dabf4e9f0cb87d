/* What kernels compiled for cuda-emu call: a table of functions in the library's variable `ect_emu`, set when it is loaded.
   Included by the emulator (C) and, in front of cuda_emu.hpp, part of every emulated kernel's text (C++). */
#ifndef ECT_EMU_API_H
#define ECT_EMU_API_H

typedef struct { unsigned x, y, z; } EctEmuIndex;
typedef void EctEmuFinish(void *const *slot, unsigned mask);

enum { ECT_EMU_READ, ECT_EMU_WRITE, ECT_EMU_SHARED = 2 };     /* how an access is; SHARED: only shared memory will do */

typedef struct EctEmuApi {
    EctEmuIndex thread, block, threads, grid;        /* of the running thread; they change under its feet, hence the header's const functions */
    /* An access that is about to happen; align: what the address must be a multiple of; pc or line: where in the text. */
    void (*access)(const void *at, unsigned long bytes, unsigned align, int how, const void *pc, int line);
    /* __syncthreads (id 0, threads 0) and named barriers. */
    void (*barrier)(int id, int threads, int line);
    void (*warp_barrier)(unsigned mask, int line);
    /* Waits until all lanes of mask have come to the same `what`; the last one calls finish with everybody's slot. */
    void (*collect)(const char *what, unsigned mask, int line, void *slot, EctEmuFinish *finish);
    /* *value becomes that of lane `source` (mine: no other's is read). */
    void (*shuffle)(const char *what, unsigned mask, int line, void *value, unsigned size, int source);
    /* Copies `size` bytes (bytes == 0: clears them) when a wait covers it, not before. */
    void (*copy_async)(void *to, const void *from, unsigned size, int bytes, int line);
    void (*commit)(void);
    void (*wait)(int groups, int line);
    void *(*dynamic)(void);                          /* dynamic shared memory */
    void (*copy)(void *to, const void *from, unsigned long n);
    void (*move)(void *to, const void *from, unsigned long n);
    void (*fill)(void *to, int byte, unsigned long n);
} EctEmuApi;
#endif
