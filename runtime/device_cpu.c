/* The cpu device: generated C kernels, compiled by jit_cc.c, launched in plan order with OpenMP inside.
   Assumes kernels split their work in a way that does not depend on the number of threads. */
#include "runtime/blas.h"
#include "runtime/device.h"
#include "runtime/jit.h"
#include "runtime/memory.h"
#include <omp.h>
#include <sys/mman.h>

/* Compiled code of one program; fn is indexed like plan->kernel, NULL where the program does not use the kernel. */
typedef struct {
    const PlanProgram *program;
    bool with_draws;
    Jit *jit;
    KernelFn **fn;
} Code;

struct Device {
    const Plan *plan;
    int threads;
    Code *code;
    int n_code, cap_code;
    float *arena;
    size_t arena_bytes;
    char *scratch, *shared;
    size_t scratch_stride, shared_bytes;
    float **buf, **bound;                            /* of a segment; of a launch */
    uint64_t *key;
    const float **draw;
    int n_buf, n_bound, n_key;
};

static bool cpu_available(char **what)
{
    const char *why, *cc = jit_compiler(&why);
    *what = cc ? xasprintf("%s; %s; %d threads", cc, blas_name(), omp_get_max_threads())
               : xasprintf("no C compiler: %s; `apt install gcc` mends that", why);
    return cc != NULL;
}

static Device *cpu_open(const Plan *plan, const DeviceOptions *o)
{
    Device *d = xcalloc(1, sizeof *d);
    d->plan = plan;
    d->threads = o->threads > 0 ? o->threads : omp_get_max_threads();
    return d;
}

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* Page-aligned and zero; whole huge pages where the system has them. */
static void *map_memory(size_t n, const char *what)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) machine_error("cannot allocate %.0f MB for %s; use a smaller batch (-D batch=N)", (double)n / 1048576,
            what);
    madvise(p, n, MADV_HUGEPAGE);
    return p;
}

static void *grow(void *old, size_t *have, size_t want, const char *what)
{
    want = round_up(want, 4096);
    if (want <= *have) return old;
    if (old) munmap(old, *have);
    *have = want;
    return map_memory(want, what);
}

static void allocate(Device *d, const PlanProgram *p)
{
    MemoryNeed need = {0};
    memory_add_program(&need, d->plan, p, d->threads);
    size_t arena = 0, stride = 64, shared = 64;
    for (int i = 0; i < p->n_segments; i++) {
        const PlanSegment *g = &p->segment[i];
        arena = MAX(arena, (size_t)g->peak_bytes);
        int bound = 1, keys = 1;
        for (int k = 0; k < g->n_steps; k++) {
            const PlanKernel *kernel = &d->plan->kernel[g->step[k].kernel];
            stride = MAX(stride, round_up((size_t)kernel->scratch, 64));
            shared = MAX(shared, (size_t)kernel->shared);
            bound = MAX(bound, g->step[k].n_buffers);
            keys = MAX(keys, g->step[k].n_draws);
        }
        d->n_buf = MAX(d->n_buf, g->n_buffers + 1);
        d->n_bound = MAX(d->n_bound, bound);
        d->n_key = MAX(d->n_key, keys);
    }
    if (arena > d->arena_bytes) memory_check(&need, 0, d->plan);
    d->arena = grow(d->arena, &d->arena_bytes, MAX(arena, 64), "activations");
    d->shared = grow(d->shared, &d->shared_bytes, shared, "kernel scratch");
    if (stride > d->scratch_stride) {
        size_t old = d->scratch_stride * (size_t)d->threads;
        if (d->scratch) munmap(d->scratch, round_up(old, 4096));
        d->scratch_stride = stride;
        d->scratch = map_memory(round_up(stride * (size_t)d->threads, 4096), "kernel scratch");
    }
    d->buf = xrealloc(d->buf, (size_t)d->n_buf * sizeof *d->buf);
    d->bound = xrealloc(d->bound, (size_t)d->n_bound * sizeof *d->bound);
    d->key = xrealloc(d->key, (size_t)d->n_key * sizeof *d->key);
    d->draw = xrealloc(d->draw, (size_t)d->n_key * sizeof *d->draw);
}

static Code *find_code(Device *d, const PlanProgram *p, bool with_draws)
{
    for (int i = 0; i < d->n_code; i++)
        if (d->code[i].program == p && d->code[i].with_draws == with_draws) return &d->code[i];
    return NULL;
}

static char *read_plan_file(const Plan *plan, const char *file, char **path)
{
    *path = plan_path(plan, file);
    char *text = read_file(*path, NULL);
    if (!text) user_error("cannot read %s of the plan; compile it again with ectc", *path);
    return text;
}

static void cpu_prepare(Device *d, const PlanProgram *p, bool with_draws)
{
    if (find_code(d, p, with_draws)) return;
    const Plan *plan = d->plan;
    allocate(d, p);
    Code c = {.program = p, .with_draws = with_draws, .fn = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.fn)};
    bool *used = xcalloc((size_t)plan->n_kernels + 1, 1);
    JitSource *src = xcalloc((size_t)plan->n_kernels + 1, sizeof *src);
    KernelFn **fn = xcalloc((size_t)plan->n_kernels + 1, sizeof *fn);
    int *which = xcalloc((size_t)plan->n_kernels + 1, sizeof *which), n = 0;
    if (jit_unit()) memset(used, 1, (size_t)plan->n_kernels);          /* one compilation for all programs of the plan */
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_steps; k++) used[p->segment[i].step[k].kernel] = true;
    for (int k = 0; k < plan->n_kernels; k++) {
        if (!used[k]) continue;
        char *path;
        src[n].source = read_plan_file(plan, plan->kernel[k].file, &path);
        src[n].path = path;
        src[n].name = plan->kernel[k].name;
        which[n++] = k;
    }
    char *prelude_path, *prelude = read_plan_file(plan, "kernels/prelude.h", &prelude_path);
    c.jit = jit_load(src, n, prelude, with_draws, fn);
    for (int i = 0; i < n; i++) {
        c.fn[which[i]] = fn[i];
        free((char *)src[i].source);
        free((char *)src[i].path);
    }
    vec_push(d->code, d->n_code, d->cap_code, c);
    free(prelude);
    free(prelude_path);
    free(used);
    free(src);
    free(fn);
    free(which);
}

static void cpu_run(Device *d, const Launch *l)
{
    const PlanSegment *g = l->segment;
    bool with_draws = l->draw && g->n_draws > 0;
    Code *c = find_code(d, l->program, with_draws);
    if (!c && !g->n_draws) c = find_code(d, l->program, true);
    if (!c) {
        cpu_prepare(d, l->program, with_draws);
        c = find_code(d, l->program, with_draws);
    }
    omp_set_dynamic(0);
    omp_set_num_threads(d->threads);
    launch_buffers(d->plan, l, d->arena, d->buf);
    EctArgs a = {
        .buf = d->bound, .scalar = l->scalar, .key = (const ect_u64 *)d->key, .draw = d->draw, .step = l->step,
        .sample0 = l->sample0, .scratch = d->scratch, .scratch_stride = d->scratch_stride, .shared = d->shared,
        .threads = d->threads,
            .sgemm = blas_sgemm(),
    };
    double last = l->time ? now_seconds() : 0;
    for (int i = 0; i < g->n_steps; i++) {
        const PlanStep *s = &g->step[i];
        for (int k = 0; k < s->n_buffers; k++) d->bound[k] = d->buf[s->buffer[k]];
        for (int k = 0; k < s->n_draws; k++) {
            d->key[k] = l->key[s->draw[k]];
            d->draw[k] = with_draws ? l->draw[s->draw[k]] : NULL;
        }
        a.instances = s->instances;
        c->fn[s->kernel](&a);
        if (l->time) {                               /* one reading of the clock a launch: its end is the next one's start */
            double now = now_seconds();
            l->time[i].seconds += now - last;
            l->time[i].calls++;
            last = now;
        }
    }
}

static void cpu_close(Device *d)
{
    for (int i = 0; i < d->n_code; i++) {
        jit_close(d->code[i].jit);
        free(d->code[i].fn);
    }
    if (d->arena) munmap(d->arena, d->arena_bytes);
    if (d->shared) munmap(d->shared, d->shared_bytes);
    if (d->scratch) munmap(d->scratch, round_up(d->scratch_stride * (size_t)d->threads, 4096));
    free(d->code);
    free(d->buf);
    free(d->bound);
    free(d->key);
    free(d->draw);
    free(d);
}

const DeviceClass device_cpu = {
    .name = "cpu", .timed = true, .available = cpu_available, .open = cpu_open, .prepare = cpu_prepare, .run = cpu_run,
    .close = cpu_close,
};
