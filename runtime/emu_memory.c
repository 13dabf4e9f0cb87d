/* Memory as cuda-emu sees it: which addresses a kernel may touch, and who touched each two bytes last. Two accesses to the same bytes, one a write,
   must be ordered by barriers: vector clocks tell, whatever order the threads ran in. Assumes accesses wider than their alignment are findings. */
#include <sys/mman.h>
#include "runtime/emu_internal.h"

enum { UNIT = 2, TIME_BITS = 22, NEVER = (1 << TIME_BITS) - 1, WINDOW = 256, GAP = 1 << 20, MAX_READERS = 1 << 22 };

/* Who touched two bytes, in block `serial`. An epoch is thread << TIME_BITS | time, 0: nobody. Readers of one barrier generation that are not ordered
   among each other are a list. pc: offsets in the kernel's library, or line numbers with LINE_BIT. */
typedef struct { uint32_t serial, write, read, list, write_pc, read_pc; } Cell;
enum { FOREIGN = 1u << 31, LINE_BIT = 1u << 31 };    /* of serial: blocks of this launch read it before */
typedef struct { uint32_t mask, time, warp, next; } Readers;
typedef struct { uintptr_t low, high; Cell *cell; const char *name; intptr_t moved; bool shared; } Region;

static Region *region, *last;
static int n_regions, cap_regions, n_shared;         /* shared ones first; the rest by address */
static Cell *shared_cells, *global_cells;
static size_t n_shared_cells, n_global_cells;
static char *stage;
static size_t stage_bytes;
static EmuBuffer *staged;
static int n_staged;
static char *dynamic_memory;
static size_t dynamic_bytes;
static Readers *readers;
static uint32_t n_readers, cap_readers;

/* Clocks of the block. known[t][u]: how far t has seen u, where that is more than all have: floor[u]. */
static uint32_t now[EMU_MAX_THREADS], all_know[EMU_MAX_THREADS], *known, joined[EMU_MAX_THREADS];
static bool wide, any_known;                         /* wide: threads of different warps have met other than all together */
static uintptr_t stack_low;
static int stack_of = -1;

static void *map(size_t n, const char *what)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) machine_error("cannot allocate %.0f MB for %s of cuda-emu", (double)n / 1048576, what);
    return p;
}

void emu_poison(void *at, size_t bytes)
{
    uint16_t *p = at;                                /* memory of numbers: even sizes, even addresses */
    for (size_t i = 0; i < bytes / 2; i++) p[i] = 0x7fff;
}

/* ---- regions ---- */
static int by_address(const void *a, const void *b)
{
    const EmuBuffer *x = *(EmuBuffer *const *)a, *y = *(EmuBuffer *const *)b;
    return x->at < y->at ? -1 : x->at > y->at;
}

void emu_begin(const EmuCode *c, EmuBuffer *buffer, int n)
{
    staged = buffer;
    n_staged = n;
    n_regions = n_shared = 0;
    last = NULL;
    for (int i = 0; i < n; i++) buffer[i].seen = buffer[i].at;
    if (!c->options.check) return;
    EmuBuffer **order = xcalloc((size_t)n + 1, sizeof *order);
    int used = 0;
    for (int i = 0; i < n; i++) if (buffer[i].at && buffer[i].bytes) order[used++] = &buffer[i];
    qsort(order, (size_t)used, sizeof *order, by_address);
    size_t total = 2 * GAP;
    for (int i = 0; i < used; i++) total += order[i]->bytes + GAP + 2 * WINDOW;
    if (total > stage_bytes) {
        if (stage) munmap(stage, stage_bytes);
        stage = map(stage_bytes = total, "memory");
        if (global_cells) munmap(global_cells, n_global_cells * sizeof *global_cells);
        global_cells = map((n_global_cells = total / UNIT) * sizeof *global_cells, "the record of accesses");
    }
    char *to = stage;                                /* gaps wider than most wrong indices: their pages are never there */
    for (int i = 0; i < used;) {
        const char *low = order[i]->at, *high = low + order[i]->bytes;
        int j = i + 1;
        for (; j < used && (char *)order[j]->at < high; j++) high = MAX(high, (char *)order[j]->at + order[j]->bytes);
        to = (char *)(((uintptr_t)to + GAP + WINDOW - 1) / WINDOW * WINDOW) + (uintptr_t)low % WINDOW;      /* alignment stays what it was */
        Region r = {.low = (uintptr_t)to, .high = (uintptr_t)to + (size_t)(high - low), .moved = (intptr_t)(low - to), .name = order[i]->name};
        r.cell = global_cells + (to - stage) / UNIT;
        memcpy(to, low, (size_t)(high - low));
        for (; i < j; i++) order[i]->seen = to + ((char *)order[i]->at - low);
        vec_push(region, n_regions, cap_regions, r);
        to += high - low;
    }
    free(order);
}

void emu_end(void)
{
    for (int i = 0; i < n_regions; i++) {
        Region *r = &region[i];
        if (!r->shared) memcpy((void *)(r->low + (uintptr_t)r->moved), (void *)r->low, r->high - r->low);
    }
    n_regions = n_shared = 0;
    staged = NULL;
    n_staged = 0;
    last = NULL;
}

/* The shared memory of a kernel: its arrays, then the dynamic one. */
void memory_launch(void)
{
    size_t cells = 0, dynamic = emu.launch->shared;
    int keep = 0;
    for (int i = 0; i < n_regions; i++) if (!region[i].shared) region[keep++] = region[i];
    n_regions = keep;
    last = NULL;
    stack_of = -1;
    if (dynamic + 2 * WINDOW > dynamic_bytes) {
        free(dynamic_memory);
        dynamic_bytes = dynamic + 2 * WINDOW;
        dynamic_memory = aligned_alloc(1024, (dynamic_bytes + 1023) / 1024 * 1024);
        if (!dynamic_memory) machine_error("no memory for a block's shared memory");
    }
    for (int i = 0; i < emu.kernel->n_arrays; i++) cells += emu.kernel->array[i].bytes / UNIT + 2;
    cells += dynamic / UNIT + 2;
    if (cells > n_shared_cells) {
        free(shared_cells);
        shared_cells = xcalloc(cells, sizeof *shared_cells);
        n_shared_cells = cells;
    }
    Cell *cell = shared_cells;
    n_shared = 0;
    for (int i = 0; i <= emu.kernel->n_arrays; i++) {
        bool own = i == emu.kernel->n_arrays;
        const EmuArray *a = own ? &(EmuArray){"dynamic memory", (uintptr_t)dynamic_memory, dynamic} : &emu.kernel->array[i];
        Region r = {.low = a->at, .high = a->at + a->bytes, .cell = cell, .name = a->name, .shared = true};
        cell += a->bytes / UNIT + 2;
        vec_push(region, n_regions, cap_regions, r);
        n_shared++;
    }
    if (!known) known = map((size_t)EMU_MAX_THREADS * EMU_MAX_THREADS * sizeof *known, "clocks");
}

void *memory_dynamic(void)
{
    return dynamic_memory;
}

void memory_block(void)
{
    for (int i = n_regions - n_shared; i < n_regions; i++) emu_poison((void *)region[i].low, region[i].high - region[i].low);
    if (any_known) for (int i = 0; i < emu.n; i++) memset(known + (size_t)i * EMU_MAX_THREADS, 0, (size_t)emu.n * sizeof *known);
    any_known = wide = false;
    n_readers = 1;
    for (int i = 0; i < emu.n; i++) {
        now[i] = 1;
        all_know[i] = 0;
    }
}

static Region *find(uintptr_t a, unsigned long bytes)
{
    if (last && a >= last->low && a + bytes <= last->high) return last;
    for (int i = n_regions - n_shared; i < n_regions; i++)
        if (a >= region[i].low && a + bytes <= region[i].high) return last = &region[i];
    int low = 0, high = n_regions - n_shared;
    while (low < high) {
        int mid = (low + high) / 2;
        if (region[mid].high <= a) low = mid + 1; else high = mid;
    }
    if (low < n_regions - n_shared && a >= region[low].low && a + bytes <= region[low].high) return last = &region[low];
    return NULL;
}

bool memory_is_shared(const void *at, unsigned bytes)
{
    for (int i = n_regions - n_shared; i < n_regions; i++)
        if ((uintptr_t)at >= region[i].low && (uintptr_t)at + bytes <= region[i].high) return true;
    return false;
}

/* ---- findings ---- */
static char *place(const void *pc)
{
    return pc ? kernel_where(emu.kernel, pc) : NULL;
}
static char *place_of(uint32_t mark)
{
    if (mark & LINE_BIT) return xasprintf("%s:%u", emu.kernel->path, mark & ~LINE_BIT);
    return mark ? kernel_where(emu.kernel, (void *)(emu.kernel->base + mark)) : xstrdup("?");
}

NORETURN static void outside(uintptr_t a, unsigned long bytes, int how, const void *pc, int line)
{
    const char *verb = how & ECT_EMU_WRITE ? "writes" : "reads", *side = "after";
    const Region *near = NULL;
    uintptr_t distance = (uintptr_t)1 << 40, d;
    for (int i = 0; i < n_regions; i++) {
        const Region *r = &region[i];
        d = a < r->low ? r->low - a : a + bytes > r->high ? a + bytes - r->high : 0;
        if (d < distance) {
            distance = d;
            near = r;
            side = a < r->low ? "before" : "after";
        }
    }
    for (int i = 0; i < n_staged; i++) {             /* the buffer itself: several may lie in one region */
        uintptr_t low = (uintptr_t)staged[i].seen, high = low + staged[i].bytes;
        d = a < low ? low - a : a + bytes > high ? a + bytes - high : 0;
        if (staged[i].at && near && !near->shared && d <= distance && strcmp(near->name, staged[i].name)) near = &(Region){.low = low, .high = high, .name = staged[i].name};
    }
    if (!near) emu_fail(place(pc), line, "%s %lu bytes at %p, which is no memory of this launch", verb, bytes, (void *)a);
    emu_fail(place(pc), line, "%s %lu bytes outside of every buffer: %lu bytes %s %s%s, which has %lu bytes", verb, bytes, (unsigned long)(side[0] == 'b'
             ? near->low - a : a - near->high), side[0] == 'b' ? "before the start of" : "after the end of", near->shared ? "shared " : "", near->name,
             (unsigned long)(near->high - near->low));
}

NORETURN static void race(const Region *r, uintptr_t a, const char *doing, uint32_t other, const char *did, uint32_t other_pc, const void *pc, int line)
{
    char *at = place_of(other_pc);
    if ((other & NEVER) == NEVER)
        emu_fail(place(pc), line, "%s byte %lu of %s%s, which an asynchronous copy of thread %u (%s) writes until a wait covers it", doing,
                 (unsigned long)(a - r->low), r->shared ? "shared " : "", r->name, other >> TIME_BITS, at);
    emu_fail(place(pc), line, "a race: %s byte %lu of %s%s, which thread %u %s at %s with no barrier between", doing, (unsigned long)(a - r->low),
             r->shared ? "shared " : "", r->name, other >> TIME_BITS, did, at);
}

/* ---- clocks ---- */
void memory_join(const int *t, int n)
{
    const int warp = t[0] / EMU_WARP * EMU_WARP;
    for (int i = 1; i < n; i++) if (t[i] / EMU_WARP * EMU_WARP != warp) wide = true;
    int from = wide ? 0 : warp, to = wide ? emu.n : MIN(emu.n, warp + EMU_WARP);
    memset(joined + from, 0, (size_t)(to - from) * sizeof *joined);
    any_known = true;
    for (int i = 0; i < n; i++) {
        const uint32_t *k = known + (size_t)t[i] * EMU_MAX_THREADS;
        for (int u = from; u < to; u++) joined[u] = MAX(joined[u], k[u]);
    }
    for (int i = 0; i < n; i++) joined[t[i]] = now[t[i]];
    for (int i = 0; i < n; i++) {
        memcpy(known + (size_t)t[i] * EMU_MAX_THREADS + from, joined + from, (size_t)(to - from) * sizeof *joined);
        if (++now[t[i]] >= NEVER - 1) machine_error("a block of kernel %s passes more barriers than cuda-emu counts", emu.kernel->name);
    }
}

void memory_join_all(void)
{
    for (int u = 0; u < emu.n; u++) {
        all_know[u] = now[u];
        if (++now[u] >= NEVER - 1) machine_error("a block of kernel %s passes more barriers than cuda-emu counts", emu.kernel->name);
    }
    emu.generation++;
    n_readers = 1;                                   /* what was read before a common barrier concerns nobody */
}

static inline bool before(unsigned u, uint32_t time, int me)
{
    if ((int)u == me) return time <= now[u];
    return time <= all_know[u] || time <= known[(size_t)me * EMU_MAX_THREADS + u];
}
static inline bool epoch_before(uint32_t e, int me)
{
    return before(e >> TIME_BITS, e & NEVER, me);
}

/* ---- one unit ---- */
static uint32_t pc_mark(const void *pc, int line)
{
    return pc ? (uint32_t)((uintptr_t)pc - emu.kernel->base) : LINE_BIT | (uint32_t)line;
}

static void add_reader(Cell *c, int t, uint32_t time)
{
    const uint32_t warp = (uint32_t)t / EMU_WARP, bit = 1u << (t % EMU_WARP);
    for (uint32_t i = c->list; i; i = readers[i].next)
        if (readers[i].warp == warp && readers[i].time == time) {
            readers[i].mask |= bit;
            return;
        }
    if (n_readers >= cap_readers) {
        if (cap_readers >= MAX_READERS * 8u) machine_error("kernel %s reads more between barriers than cuda-emu keeps in mind", emu.kernel->name);
        readers = xrealloc(readers, (cap_readers = cap_readers ? 2 * cap_readers : 1 << 12) * sizeof *readers);
    }
    readers[n_readers] = (Readers){bit, time, warp, c->list};
    c->list = n_readers++;
}

/* Beginnings of blocks: what other blocks of the launch did stays a conflict. */
static void enter_cell(Cell *c, const Region *r, uintptr_t a, bool write, const void *pc, int line)
{
    const uint32_t serial = c->serial & ~FOREIGN;
    uint32_t foreign = 0;
    if (!r->shared && serial >= emu.first_serial) {
        if (c->write || (write && (c->read || c->list || c->serial & FOREIGN))) {
            char *at = place_of(c->write ? c->write_pc : c->read_pc);
            emu_fail(place(pc), line, "a race of blocks: %s byte %lu of %s, which block number %u of this launch %s at %s", write ? "writes" : "reads",
                     (unsigned long)(a - r->low), r->name, serial - emu.first_serial, c->write ? "writes" : "reads", at);
        }
        foreign = FOREIGN;
    }
    const uint32_t read_pc = foreign ? c->read_pc : 0;
    *c = (Cell){.serial = emu.serial | foreign, .read_pc = read_pc};
}

static void read_cell(Cell *c, const Region *r, uintptr_t a, const void *pc, int line)
{
    const int t = emu.current;
    const uint32_t me = (uint32_t)t << TIME_BITS | now[t];
    if ((c->serial & ~FOREIGN) != emu.serial) enter_cell(c, r, a, false, pc, line);
    if (c->write && !epoch_before(c->write, t)) race(r, a, "reads", c->write, "writes", c->write_pc, pc, line);
    if (c->list && c->read == emu.generation) {
        add_reader(c, t, now[t]);
        return;
    }
    if (c->list) c->list = c->read = 0;              /* readers of an earlier generation */
    if (c->read && c->read >> TIME_BITS != (uint32_t)t && !epoch_before(c->read, t)) {
        const uint32_t first = c->read;
        add_reader(c, (int)(first >> TIME_BITS), first & NEVER);
        add_reader(c, t, now[t]);
        c->read = emu.generation;
        return;
    }
    c->read = me;
    c->read_pc = pc_mark(pc, line);
}

static void write_cell(Cell *c, const Region *r, uintptr_t a, bool pending, const void *pc, int line)
{
    const int t = emu.current;
    if ((c->serial & ~FOREIGN) != emu.serial || c->serial & FOREIGN) {
        if (c->serial & FOREIGN && (c->serial & ~FOREIGN) == emu.serial) {
            char *at = place_of(c->read_pc);
            emu_fail(place(pc), line, "a race of blocks: writes byte %lu of %s, which another block of this launch reads at %s",
                     (unsigned long)(a - r->low), r->name, at);
        }
        enter_cell(c, r, a, true, pc, line);
    }
    if (c->write && !epoch_before(c->write, t)) race(r, a, "writes", c->write, "writes", c->write_pc, pc, line);
    if (c->list && c->read == emu.generation) {
        for (uint32_t i = c->list; i; i = readers[i].next)
            for (uint32_t m = readers[i].mask; m; m &= m - 1) {
                const uint32_t u = readers[i].warp * EMU_WARP + (uint32_t)__builtin_ctz(m);
                if (!before(u, readers[i].time, t)) race(r, a, "writes", u << TIME_BITS, "reads", c->read_pc, pc, line);
            }
    } else if (!c->list && c->read && !epoch_before(c->read, t)) race(r, a, "writes", c->read, "reads", c->read_pc, pc, line);
    c->list = c->read = 0;
    c->write = (uint32_t)t << TIME_BITS | (pending ? (uint32_t)NEVER : now[t]);
    c->write_pc = pc_mark(pc, line);
}

/* The arguments, and tables in the kernel's library. */
static bool is_constant(uintptr_t a, unsigned long bytes)
{
    const uintptr_t args = (uintptr_t)emu.launch->args;
    return (a >= args && a + bytes <= args + emu.launch->arg_bytes) || (a >= emu.kernel->base && a + bytes <= emu.kernel->end);
}

void memory_access(const void *at, unsigned long bytes, unsigned align, int how, const void *pc, int line)
{
    const uintptr_t a = (uintptr_t)at;
    if (stack_of != emu.current) {
        size_t size;
        fiber_stack(stack_of = emu.current, &stack_low, &size);
    }
    if (a - stack_low < EMU_STACK && !(how & ECT_EMU_SHARED)) return;
    if (a % align) emu_fail(place(pc), line, "%s %lu bytes at an address that is %lu past a multiple of %u", how & ECT_EMU_WRITE ? "writes" : "reads",
                            bytes, (unsigned long)(a % align), align);
    if (!bytes) return;
    if (!emu.check) {
        if (how & ECT_EMU_SHARED && !memory_is_shared(at, (unsigned)bytes)) outside(a, bytes, how, pc, line);
        return;
    }
    Region *r = find(a, bytes);
    if (!r) {
        if (!(how & (ECT_EMU_WRITE | ECT_EMU_SHARED)) && is_constant(a, bytes)) return;
        outside(a, bytes, how, pc, line);
    }
    if (how & ECT_EMU_SHARED && !r->shared) emu_fail(place(pc), line, "the address is in %s, not in shared memory", r->name);
    Cell *c = r->cell + (a - r->low) / UNIT, *end = r->cell + (a + bytes - r->low + UNIT - 1) / UNIT;
    if (how & ECT_EMU_WRITE) for (; c < end; c++) write_cell(c, r, r->low + (uintptr_t)(c - r->cell) * UNIT, false, pc, line);
    else for (; c < end; c++) read_cell(c, r, r->low + (uintptr_t)(c - r->cell) * UNIT, pc, line);
}

void memory_pending(const void *at, unsigned bytes, int line)
{
    Region *r = find((uintptr_t)at, bytes);
    if (!r) outside((uintptr_t)at, bytes, ECT_EMU_WRITE, NULL, line);
    if (!r->shared) emu_fail(NULL, line, "an asynchronous copy writes %s, which is not shared memory", r->name);
    Cell *c = r->cell + ((uintptr_t)at - r->low) / UNIT;
    for (unsigned i = 0; i < bytes / UNIT; i++) write_cell(c + i, r, (uintptr_t)at + i * UNIT, true, NULL, line);
}

void memory_done(const void *at, unsigned bytes)
{
    Region *r = find((uintptr_t)at, bytes);
    Cell *c = r->cell + ((uintptr_t)at - r->low) / UNIT;
    for (unsigned i = 0; i < bytes / UNIT; i++) c[i].write = (uint32_t)emu.current << TIME_BITS | now[emu.current];
}
