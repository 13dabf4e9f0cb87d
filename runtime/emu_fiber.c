/* Fibers: one stack each, a switch of a few instructions on x86-64, ucontext elsewhere.
   Assumes they only switch between the main stack and a fiber, never from one to another. */
#include <sys/mman.h>
#include <unistd.h>
#include "runtime/emu_internal.h"
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifndef __x86_64__
#include <ucontext.h>
#endif

struct EmuFiber {
#ifdef __x86_64__
    void *sp;
#else
    ucontext_t context;
#endif
    void *fake;                                      /* the sanitizer's */
    void (*run)(int);
};
static EmuFiber fiber[EMU_MAX_THREADS];
static EmuFiber main_fiber;
static char *stacks;
static size_t page, stride;                          /* stride: a stack and its guard below */
static int starting;
static const void *main_low;
static size_t main_bytes;

#ifdef __SANITIZE_ADDRESS__
#define SWITCH_BEGINS(save, low, bytes) __sanitizer_start_switch_fiber(save, low, bytes)
#define SWITCHED(fake, low, bytes) __sanitizer_finish_switch_fiber(fake, low, bytes)
#else
#define SWITCH_BEGINS(save, low, bytes) ((void)(save), (void)(low), (void)(bytes))
#define SWITCHED(fake, low, bytes) ((void)(fake), (void)(low), (void)(bytes))
#endif

#ifdef __x86_64__
/* What a call may not change is kept on the stack that is left: rbx, rbp, r12-r15. */
void ect_fiber_switch(void **from, void *to);
__asm__(".text\n.globl ect_fiber_switch\n.hidden ect_fiber_switch\n.type ect_fiber_switch, @function\n"
        "ect_fiber_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n"
        ".size ect_fiber_switch, . - ect_fiber_switch\n");
#endif

static void fiber_begin(void)
{
    int i = starting;
    SWITCHED(NULL, &main_low, &main_bytes);
    fiber[i].run(i);
    die("a fiber ran off its end");
}

void fiber_stack(int i, uintptr_t *low, size_t *bytes)
{
    *low = (uintptr_t)stacks + (size_t)i * stride + page;
    *bytes = EMU_STACK;
}

static void make_stacks(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    stride = EMU_STACK + page;
    size_t all = stride * EMU_MAX_THREADS + page;
    stacks = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) machine_error("cannot reserve %zu MB for the stacks of cuda-emu", all >> 20);
}

void fiber_make(int i, void (*run)(int))
{
    static int usable;                               /* stacks below this one can be written */
    if (!stacks) make_stacks();
    uintptr_t low;
    size_t bytes;
    for (; usable <= i; usable++) {
        fiber_stack(usable, &low, &bytes);
        if (mprotect((void *)low, bytes, PROT_READ | PROT_WRITE)) machine_error("cannot allocate a stack of cuda-emu");
    }
    fiber_stack(i, &low, &bytes);
    fiber[i].run = run;
    fiber[i].fake = NULL;
#ifdef __x86_64__
    void **sp = (void **)(low + bytes - 64);         /* a multiple of 16; after `ret` the stack is 8 off it, as after a call */
    *--sp = NULL;
    *--sp = (void *)(uintptr_t)fiber_begin;
    for (int k = 0; k < 6; k++) *--sp = NULL;
    fiber[i].sp = sp;
#else
    getcontext(&fiber[i].context);
    fiber[i].context.uc_stack.ss_sp = (void *)low;
    fiber[i].context.uc_stack.ss_size = bytes;
    fiber[i].context.uc_link = NULL;
    makecontext(&fiber[i].context, fiber_begin, 0);
#endif
}

void fiber_enter(int i)
{
    uintptr_t low;
    size_t bytes;
    fiber_stack(i, &low, &bytes);
    starting = i;
    SWITCH_BEGINS(&main_fiber.fake, (void *)low, bytes);
#ifdef __x86_64__
    ect_fiber_switch(&main_fiber.sp, fiber[i].sp);
#else
    swapcontext(&main_fiber.context, &fiber[i].context);
#endif
    SWITCHED(main_fiber.fake, NULL, NULL);
}

void fiber_leave(int i, bool last)
{
    SWITCH_BEGINS(last ? NULL : &fiber[i].fake, main_low, main_bytes);
#ifdef __x86_64__
    ect_fiber_switch(&fiber[i].sp, main_fiber.sp);
#else
    swapcontext(&fiber[i].context, &main_fiber.context);
#endif
    SWITCHED(fiber[i].fake, &main_low, &main_bytes);
}
