/* What the parts of cuda-emu share: emu.c (threads, barriers, launches), emu_memory.c (accesses, races), emu_fiber.c, emu_cc.c (compiling).
   Assumes one launch at a time: its state is the one struct `emu`. */
#ifndef ECT_EMU_INTERNAL_H
#define ECT_EMU_INTERNAL_H
#include "runtime/emu.h"
#include "runtime/emu_api.h"

enum { EMU_MAX_THREADS = 1024, EMU_WARP = 32, EMU_BARRIERS = 16, EMU_STACK = 64 << 10 };

/* ---- emu_fiber.c ---- */
typedef struct EmuFiber EmuFiber;
/* Fiber number i, its stack between pages that cannot be touched, ready to call run(i) when first switched to. */
void fiber_make(int i, void (*run)(int));
void fiber_enter(int i);                             /* from the main stack; returns when the fiber leaves */
void fiber_leave(int i, bool last);                  /* back to the main stack; last: for good */
void fiber_stack(int i, uintptr_t *low, size_t *bytes);

/* ---- emu_cc.c ---- */
typedef struct { const char *name; uintptr_t at; size_t bytes; } EmuArray;
typedef void EmuEntry(const void *args);
typedef struct {
    char *name, *path;
    void *lib;
    int fd;                                          /* of the library's file, for addr2line */
    uintptr_t base, end;                             /* of code and constants */
    EctEmuApi **api;
    int n_entries;
    EmuEntry **entry;
    char **entry_name;
    unsigned *arg_bytes;
    int n_arrays, cap_arrays;
    EmuArray *array;                                 /* shared arrays, by address */
} EmuKernel;
struct EmuCode { EmuOptions options; int n; EmuKernel *kernel; int compiled; };
/* "kernels/NAME.cu:LINE" of an address in the kernel's code (heap). */
char *kernel_where(const EmuKernel *k, const void *pc);

/* ---- emu.c ---- */
typedef enum { EMU_READY, EMU_BARRIER, EMU_WARPED, EMU_DONE } EmuState;
typedef struct { void *to; const void *from; unsigned size; bool clear; int line; unsigned group; } EmuCopy;
typedef struct {
    EmuState state;
    const char *what;                                /* it waits for: for messages and to tell one from another */
    int line;
    int bar, bar_threads;
    unsigned mask;
    void *slot;
    EctEmuFinish *finish;
    EmuCopy *copy;
    int n_copies, cap_copies;
    unsigned groups;                                 /* committed */
} EmuThread;
typedef struct {
    const EmuKernel *kernel;
    const EmuLaunch *launch;
    bool check;
    EctEmuApi api;
    EmuThread thread[EMU_MAX_THREADS];
    int entry, n, current, live;
    uint32_t serial, first_serial;                   /* of this block; of the launch's first */
    uint32_t generation;                             /* barriers of all threads that the block has passed */
    uint64_t random;
    char *finding;
    bool running;                                    /* inside of a fiber */
} Emu;
extern Emu emu;
/* Records what is wrong and gives up the launch; where: "path:line" (heap, or NULL), else line of the text or 0. */
NORETURN void emu_fail(char *where, int line, const char *fmt, ...) PRINTF(3, 4);
extern const EctEmuApi emu_functions;

/* ---- emu_memory.c ---- */
void memory_block(void);                             /* a block begins: shared memory is poison, clocks start */
void memory_launch(void);
void *memory_dynamic(void);
/* Release and acquire among these threads. */
void memory_join(const int *thread, int n);
void memory_join_all(void);
void memory_access(const void *at, unsigned long bytes, unsigned align, int how, const void *pc, int line);
/* An asynchronous copy's target: from now on nobody may touch it; until it is done. */
void memory_pending(const void *at, unsigned bytes, int line);
void memory_done(const void *at, unsigned bytes);
bool memory_is_shared(const void *at, unsigned bytes);
#endif
