/* Blocks of threads for cuda-emu: fibers in an order that the seed decides, barriers, warps, asynchronous copies, what can go wrong with them.
   Assumes blocks are independent; they run one after another. */
#include <setjmp.h>
#include <signal.h>
#include "runtime/emu_internal.h"

enum { MAX_SHARED = 232448 };                        /* of a block, sm_90 */

Emu emu;

static sigjmp_buf give_up;
static int arrived[EMU_BARRIERS], expected[EMU_BARRIERS];
static bool came[EMU_BARRIERS][EMU_MAX_THREADS];     /* without staying */
static unsigned running_lanes[EMU_MAX_THREADS / EMU_WARP], waiting_lanes[EMU_MAX_THREADS / EMU_WARP];     /* not ended; EMU_WARPED */

/* ---- findings ---- */
void emu_fail(char *where, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = NULL;
    if (vasprintf(&what, fmt, ap) < 0) machine_error("out of memory");
    va_end(ap);
    StrBuf b = {0};
    if (where) sb_puts(&b, where);
    else if (line) sb_printf(&b, "%s:%d", emu.kernel->path, line);
    else sb_puts(&b, emu.kernel->path);
    sb_printf(&b, ": kernel %s, block (%u,%u,%u)", emu.launch->entry, emu.api.block.x, emu.api.block.y, emu.api.block.z);
    if (emu.current >= 0) sb_printf(&b, ", thread %d (warp %d, lane %d)", emu.current, emu.current / EMU_WARP, emu.current % EMU_WARP);
    sb_printf(&b, ": %s", what);
    free(what);
    free(where);
    emu.finding = b.s;
    if (emu.running) fiber_leave(emu.current, true);
    siglongjmp(give_up, 1);
}

#ifndef __SANITIZE_ADDRESS__
static char alternate[64 << 10];
static struct sigaction old_action[2];
static stack_t old_stack;

/* Memory that is not there: without checks nothing has looked before. */
static void fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (!emu.running) {
        signal(sig, SIG_DFL);
        return;
    }
    uintptr_t low, a = (uintptr_t)info->si_addr;
    size_t bytes;
    fiber_stack(emu.current, &low, &bytes);
    emu.running = false;
    if (a < low && a + 65536 >= low) emu_fail(NULL, 0, "needs more than %zu bytes of stack", bytes);
    emu_fail(NULL, 0, "touches the address %p, where there is no memory", info->si_addr);
}
static void catch_faults(bool on)
{
    if (!on) {
        sigaction(SIGSEGV, &old_action[0], NULL);
        sigaction(SIGBUS, &old_action[1], NULL);
        sigaltstack(&old_stack, NULL);
        return;
    }
    stack_t s = {.ss_sp = alternate, .ss_size = sizeof alternate};
    sigaltstack(&s, &old_stack);
    struct sigaction a = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaction(SIGSEGV, &a, &old_action[0]);
    sigaction(SIGBUS, &a, &old_action[1]);
}
#else
static void catch_faults(bool on)
{
    (void)on;                                        /* the sanitizer's own */
}
#endif

/* Who waits where: neighbours that wait alike together. */
NORETURN static void deadlock(void)
{
    StrBuf b = {0};
    int shown = 0;
    for (int i = 0, j; i < emu.n; i = j) {
        const EmuThread *t = &emu.thread[i];
        for (j = i + 1; j < emu.n; j++) {
            const EmuThread *u = &emu.thread[j];
            if (u->state != t->state) break;
            if (t->state != EMU_DONE && (u->line != t->line || strcmp(u->what, t->what))) break;
            if (t->state == EMU_WARPED && u->mask != t->mask) break;
        }
        if (shown++ >= 40) continue;
        sb_printf(&b, "\n    thread%s %d", j > i + 1 ? "s" : "", i);
        if (j > i + 1) sb_printf(&b, " to %d", j - 1);
        if (t->state == EMU_DONE) sb_puts(&b, ": at the end");
        else if (t->state == EMU_WARPED) sb_printf(&b, ": %s with mask 0x%08x, line %d", t->what, t->mask, t->line);
        else sb_printf(&b, ": %s, line %d", t->what, t->line);
    }
    if (shown > 40) sb_printf(&b, "\n    and %d more groups", shown - 40);
    emu.current = -1;
    emu_fail(NULL, 0, "a deadlock: no thread can go on%s", b.s);
}

/* ---- waiting ---- */
static uint32_t random_below(uint32_t n)
{
    emu.random = emu.random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(((emu.random >> 32) * n) >> 32);
}

static void wait_here(EmuState state, const char *what, int line)
{
    EmuThread *t = &emu.thread[emu.current];
    t->state = state;
    t->what = what;
    t->line = line;
    if (state == EMU_WARPED) waiting_lanes[emu.current / EMU_WARP] |= 1u << emu.current % EMU_WARP;
    fiber_leave(emu.current, false);
}

static const char *barrier_name(int id)
{
    static const char *const NAMES[EMU_BARRIERS] = {
        "__syncthreads", "barrier 1", "barrier 2", "barrier 3", "barrier 4", "barrier 5", "barrier 6", "barrier 7", "barrier 8", "barrier 9",
        "barrier 10", "barrier 11", "barrier 12", "barrier 13", "barrier 14", "barrier 15",
    };
    return NAMES[id];
}

/* All that wait at barrier `id` go on; `me` (or -1) has just come and would. */
static void open_barrier(int id, int me, int line)
{
    int who[EMU_MAX_THREADS], n = 0;
    for (int i = 0; i < emu.n; i++) {
        EmuThread *t = &emu.thread[i];
        if (i != me && (t->state != EMU_BARRIER || t->bar != id)) continue;
        if (id == 0 && n && t->line != line && i != me)
            emu_fail(NULL, line, "divergent barriers: thread %d is at the __syncthreads of line %d, others are at line %d", i, t->line, line);
        if (id == 0 && !n && i != me) line = t->line;
        who[n++] = i;
    }
    if (id == 0 && me >= 0 && emu.thread[me].line != line)
        emu_fail(NULL, emu.thread[me].line, "divergent barriers: others are at the __syncthreads of line %d", line);
    for (int i = 0; i < n; i++) emu.thread[who[i]].state = EMU_READY;
    arrived[id] = 0;
    memset(came[id], 0, sizeof came[id]);
    if (n == emu.n) memory_join_all();
    else if (n) memory_join(who, n, id);
}

/* The threads that are left are all at the barrier of all threads: it would open, without those that have ended. */
static void check_ended(int line)
{
    if (emu.live < emu.n && arrived[0] == emu.live && emu.live)
        emu_fail(NULL, line, "divergent barriers: %d of %d threads came to the __syncthreads of line %d, the others have ended", emu.live, emu.n, line);
}

static void api_barrier(int id, int threads, int stay, int line)
{
    EmuThread *t = &emu.thread[emu.current];
    if (id < 0 || id >= EMU_BARRIERS) emu_fail(NULL, line, "barrier number %d: there are 0 to 15", id);
    if (threads && (threads % EMU_WARP || threads < 0 || threads > emu.n))
        emu_fail(NULL, line, "barrier %d for %d threads: a multiple of 32 and no more than the block's %d", id, threads, emu.n);
    if (!threads && id) emu_fail(NULL, line, "barrier %d does not say for how many threads", id);
    const int want = threads ? threads : emu.n;
    if (arrived[id] && expected[id] != want)
        emu_fail(NULL, line, "barrier %d for %d threads, where others wait for %d", id, want, expected[id]);
    if (came[id][emu.current]) emu_fail(NULL, line, "comes to barrier %d again before it has opened", id);
    expected[id] = want;
    t->bar = id;
    t->line = line;
    if (!stay) {
        came[id][emu.current] = true;
        memory_release(id);
    }
    if (++arrived[id] == want) {
        open_barrier(id, stay ? emu.current : -1, line);
        return;
    }
    if (!stay) return;
    if (!threads) check_ended(line);
    wait_here(EMU_BARRIER, barrier_name(id), line);
}

static const char WARP_BARRIER[] = "__syncwarp";

static bool same(const char *what, const char *other)
{
    return what == other || !strcmp(what, other);
}

/* Do all of these lanes wait, with this mask? `me`: one that is about to, or -1. Whether for the same, check_mask has seen. */
static bool warp_complete(int warp, unsigned lanes, unsigned mask, int me)
{
    if (me >= 0) lanes &= ~(1u << me % EMU_WARP);
    if (lanes & ~waiting_lanes[warp]) return false;
    for (; lanes; lanes &= lanes - 1) if (emu.thread[warp * EMU_WARP + __builtin_ctz(lanes)].mask != mask) return false;
    return true;
}

static void wake_lanes(int warp, unsigned lanes)
{
    waiting_lanes[warp] &= ~lanes;
    for (; lanes; lanes &= lanes - 1) emu.thread[warp * EMU_WARP + __builtin_ctz(lanes)].state = EMU_READY;
}

static void open_warp_barrier(int warp, unsigned mask)
{
    int who[EMU_WARP], n = 0;
    for (unsigned m = mask; m; m &= m - 1) who[n++] = warp * EMU_WARP + __builtin_ctz(m);
    wake_lanes(warp, mask);
    memory_join(who, n, 0);
}

/* The common rules of masks; others that wait for this lane must wait for the same. */
static void check_mask(const char *what, unsigned mask, int line, bool ended_too)
{
    const int warp = emu.current / EMU_WARP, lane = emu.current % EMU_WARP;
    if (!(mask >> lane & 1)) emu_fail(NULL, line, "%s with mask 0x%08x, which does not name this lane", what, mask);
    const unsigned running = running_lanes[warp];
    if (!ended_too && mask & ~running)
        emu_fail(NULL, line, "%s with mask 0x%08x names lane %d, which has ended", what, mask, __builtin_ctz(mask & ~running));
    for (unsigned m = waiting_lanes[warp], next; m; m = next) {
        const int other = __builtin_ctz(m);
        const EmuThread *t = &emu.thread[warp * EMU_WARP + other];
        next = m & (m - 1);
        if (t->mask == mask) next &= ~mask;          /* those that wait for each other have been compared */
        else if (!(t->mask >> lane & 1)) continue;
        if (t->mask != mask)
            emu_fail(NULL, line, "%s with mask 0x%08x, while lane %d waits for this one at %s of line %d with mask 0x%08x", what, mask, other, t->what,
                     t->line, t->mask);
        if (!same(t->what, what) || (t->line != line && what != WARP_BARRIER))
            emu_fail(NULL, line, "%s, while lane %d waits for this one at %s of line %d", what, other, t->what, t->line);
    }
}

static void api_warp_barrier(unsigned mask, int line)
{
    const int warp = emu.current / EMU_WARP;
    check_mask(WARP_BARRIER, mask, line, true);
    EmuThread *t = &emu.thread[emu.current];
    t->mask = mask;
    const unsigned of = mask & running_lanes[warp];
    if (warp_complete(warp, of, mask, emu.current)) open_warp_barrier(warp, of);
    else wait_here(EMU_WARPED, WARP_BARRIER, line);
}

static void api_collect(const char *what, unsigned mask, int line, void *slot, EctEmuFinish *finish)
{
    const int warp = emu.current / EMU_WARP;
    check_mask(what, mask, line, false);
    EmuThread *t = &emu.thread[emu.current];
    t->mask = mask;
    t->slot = slot;
    if (!warp_complete(warp, mask, mask, emu.current)) {
        wait_here(EMU_WARPED, what, line);
        return;
    }
    void *slots[EMU_WARP] = {NULL};
    for (unsigned m = mask; m; m &= m - 1) slots[__builtin_ctz(m)] = emu.thread[warp * EMU_WARP + __builtin_ctz(m)].slot;
    t->line = line;
    emu.quiet = true;
    finish(slots, mask);
    emu.quiet = false;
    wake_lanes(warp, mask);
}

typedef struct { const char *what; void *value; unsigned size; int source, thread, line; } Shuffled;

static void finish_shuffle(void *const *slot, unsigned mask)
{
    char value[EMU_WARP][16];
    for (unsigned m = mask; m; m &= m - 1) {
        const Shuffled *s = slot[__builtin_ctz(m)];
        memcpy(value[__builtin_ctz(m)], s->value, s->size);
    }
    for (unsigned m = mask; m; m &= m - 1) {
        const Shuffled *s = slot[__builtin_ctz(m)];
        if (s->source < 0 || s->source >= EMU_WARP || !(mask >> s->source & 1))
            emu_fail(NULL, s->line, "%s with mask 0x%08x: lane %d reads the value of lane %d, which does not take part", s->what, mask, __builtin_ctz(m),
                     s->source);
        memcpy(s->value, value[s->source], s->size);
    }
}

static void api_shuffle(const char *what, unsigned mask, int line, void *value, unsigned size, int source)
{
    Shuffled s = {what, value, size, source, emu.current, line};
    api_collect(what, mask, line, &s, finish_shuffle);
}

/* ---- asynchronous copies: done as late as they may be ---- */
static void perform(const EmuCopy *c)
{
    if (c->clear) memset(c->to, 0, c->size);
    else {
        memory_access(c->from, c->size, c->size, ECT_EMU_READ, NULL, c->line);
        memcpy(c->to, c->from, c->size);
    }
    if (emu.check) memory_done(c->to, c->size);
}

static void api_copy_async(void *to, const void *from, unsigned size, int bytes, int line)
{
    EmuThread *t = &emu.thread[emu.current];
    if (bytes != 0 && bytes != (int)size) emu_fail(NULL, line, "an asynchronous copy of %u bytes that reads %d: all or none", size, bytes);
    if ((uintptr_t)to % size) emu_fail(NULL, line, "an asynchronous copy of %u bytes to an address that is %u past a multiple of %u", size,
                                       (unsigned)((uintptr_t)to % size), size);
    if (bytes && memory_is_shared(from, size)) emu_fail(NULL, line, "an asynchronous copy reads shared memory");
    if (bytes) memory_access(from, size, size, ECT_EMU_READ, NULL, line);
    if (emu.check) memory_pending(to, size, line);
    else memory_access(to, size, size, ECT_EMU_WRITE | ECT_EMU_SHARED, NULL, line);
    EmuCopy c = {to, from, size, !bytes, line, t->groups};
    vec_push(t->copy, t->n_copies, t->cap_copies, c);
}

static void api_commit(void)
{
    emu.thread[emu.current].groups++;
}

static void api_wait(int groups, int line)
{
    EmuThread *t = &emu.thread[emu.current];
    if (groups < 0 || groups > 3) emu_fail(NULL, line, "a wait that leaves %d groups under way: 0 to 3", groups);
    int keep = 0;
    for (int i = 0; i < t->n_copies; i++) {
        if (t->copy[i].group + (unsigned)groups < t->groups) perform(&t->copy[i]);
        else t->copy[keep++] = t->copy[i];
    }
    t->n_copies = keep;
}

/* ---- a block ---- */
static void run_thread(int i)
{
    emu.kernel->entry[emu.entry](emu.launch->args);
    EmuThread *t = &emu.thread[i];
    for (int k = 0; k < t->n_copies; k++) perform(&t->copy[k]);
    t->n_copies = 0;
    t->state = EMU_DONE;
    emu.live--;
    if (emu.live && arrived[0])
        for (int k = 0; k < emu.n; k++)
            if (emu.thread[k].state == EMU_BARRIER && emu.thread[k].bar == 0) {
                check_ended(emu.thread[k].line);
                break;
            }
    const int warp = i / EMU_WARP;
    const unsigned running = running_lanes[warp] &= ~(1u << i % EMU_WARP);
    for (unsigned m = waiting_lanes[warp]; m; m &= m - 1) {
        const EmuThread *u = &emu.thread[warp * EMU_WARP + __builtin_ctz(m)];
        if (!(u->mask >> (i % EMU_WARP) & 1)) continue;
        if (!same(u->what, WARP_BARRIER))
            emu_fail(NULL, u->line, "%s with mask 0x%08x of lane %d names this lane, which has ended", u->what, u->mask, __builtin_ctz(m));
        if (!warp_complete(warp, u->mask & running, u->mask, -1)) continue;
        open_warp_barrier(warp, u->mask & running);
        break;
    }
    fiber_leave(i, true);
}

static void run_block(void)
{
    int order[EMU_MAX_THREADS];
    emu.serial++;
    emu.generation++;
    emu.live = emu.n;
    memset(arrived, 0, sizeof arrived);
    memset(came, 0, sizeof came);
    memset(waiting_lanes, 0, sizeof waiting_lanes);
    memset(running_lanes, 0xff, sizeof running_lanes);
    for (int i = 0; i < emu.n; i++) {
        EmuThread *t = &emu.thread[i];
        t->state = EMU_READY;
        t->n_copies = 0;
        t->groups = 0;
        fiber_make(i, run_thread);
    }
    memory_block();
    while (emu.live) {
        int n = 0;
        for (int i = 0; i < emu.n; i++) if (emu.thread[i].state == EMU_READY) order[n++] = i;
        if (!n) deadlock();
        for (int k = n; k > 0; k--) {
            const uint32_t j = random_below((uint32_t)k);
            const int i = order[j];
            order[j] = order[k - 1];
            emu.current = i;
            emu.api.thread.x = (unsigned)i;
            emu.running = true;
            fiber_enter(i);
            emu.running = false;
            if (emu.finding) siglongjmp(give_up, 1);
        }
    }
}

static void api_copy(void *to, const void *from, unsigned long n) { memcpy(to, from, n); }
static void api_move(void *to, const void *from, unsigned long n) { memmove(to, from, n); }
static void api_fill(void *to, int byte, unsigned long n) { memset(to, byte, n); }

const EctEmuApi emu_functions = {
    .access = memory_access, .barrier = api_barrier, .warp_barrier = api_warp_barrier, .collect = api_collect, .shuffle = api_shuffle,
    .copy_async = api_copy_async, .commit = api_commit, .wait = api_wait, .dynamic = memory_dynamic, .copy = api_copy, .move = api_move, .fill = api_fill,
};

/* Blocks in an order that the seed decides too: none may count on another's having run. */
static void run_grid(const unsigned grid[3])
{
    const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
    if (blocks > UINT32_MAX / 2) machine_error("kernel %s has more blocks than cuda-emu counts", emu.kernel->name);
    uint64_t step = blocks > 2 ? random_below((uint32_t)blocks) | 1 : 1, at = blocks ? random_below((uint32_t)blocks) : 0;
    for (uint64_t a = step, b = blocks; b > 1;) {    /* a step without a common factor meets every block once */
        const uint64_t r = a % b;
        a = b;
        b = r;
        if (b == 0 && a > 1) {
            step = 1;
            break;
        }
    }
    for (uint64_t i = 0; i < blocks; i++, at = (at + step) % blocks) {
        emu.api.block = (EctEmuIndex){(unsigned)(at % grid[0]), (unsigned)(at / grid[0] % grid[1]), (unsigned)(at / grid[0] / grid[1])};
        run_block();
    }
}

bool emu_launch(EmuCode *c, const EmuLaunch *l, char **finding)
{
    const EmuKernel *k = &c->kernel[l->source];
    emu.kernel = k;
    emu.launch = l;
    emu.entry = 0;
    while (emu.entry < k->n_entries && strcmp(k->entry_name[emu.entry], l->entry)) emu.entry++;
    CHECK_BUG(emu.entry < k->n_entries);
    emu.check = c->options.check;
    emu.exact = c->options.exact;
    emu.n = (int)l->block;
    emu.current = -1;
    emu.running = emu.quiet = false;
    emu.finding = NULL;
    emu.random = (l->seed + 1) * 0x9E3779B97F4A7C15u;
    emu.first_serial = emu.serial + 1;
    EctEmuIndex thread = {0}, threads = {l->block, 1, 1}, grid = {l->grid[0], l->grid[1], l->grid[2]};
    emu.api = emu_functions;
    emu.api.thread = emu.api.block = thread;
    emu.api.threads = threads;
    emu.api.grid = grid;
    *k->api = &emu.api;
    if (emu.serial > 1u << 30) machine_error("cuda-emu has counted all blocks it can in one process");
    size_t shared = l->shared;
    for (int i = 0; i < k->n_arrays; i++) shared += k->array[i].bytes;
    catch_faults(true);
    if (!sigsetjmp(give_up, 0)) {
        if (l->block < EMU_WARP || l->block > EMU_MAX_THREADS || l->block % EMU_WARP)
            emu_fail(NULL, 0, "a block of %u threads: a multiple of 32 up to 1024", l->block);
        if (l->arg_bytes != k->arg_bytes[emu.entry])
            emu_fail(NULL, 0, "its arguments have %u bytes, the plan gives %zu", k->arg_bytes[emu.entry], l->arg_bytes);
        if (!c->options.exact && shared > MAX_SHARED) emu_fail(NULL, 0, "needs %zu bytes of shared memory, there are %d", shared, MAX_SHARED);
        memory_launch();
        for (int i = 0; i < l->n_only; i++) {
            emu.api.block = (EctEmuIndex){l->only[i][0], l->only[i][1], l->only[i][2]};
            run_block();
        }
        if (!l->n_only) run_grid(l->grid);
    }
    catch_faults(false);
    emu.running = false;
    *finding = emu.finding;
    return !emu.finding;
}
