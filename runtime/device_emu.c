/* The cuda-emu device: a plan's CUDA texts on the host, by emu.h, every access checked. For finding faults in kernels where there is no such device.
   Assumes what device_cpu.c does of buffers; a finding ends the process. */
#include "runtime/device.h"
#include "runtime/emu.h"
#include "runtime/memory.h"

/* Compiled texts of one program: source[k] is the index of kernel k in code, -1 where the program does not use it. */
typedef struct {
    const PlanProgram *program;
    bool with_draws;
    EmuCode *code;
    int *source;
} Code;

struct Device {
    const Plan *plan;
    bool check;
    uint64_t seed;
    Code *code;
    int n_code, cap_code;
    char *arena, *workspace, *now;
    size_t arena_bytes, workspace_bytes, now_bytes;
    float **buf;
    uint64_t *args;
    EmuBuffer *memory;
    int n_buf, n_args;
};

static bool emu_available(char **what)
{
    const char *why, *cxx = emu_compiler(&why);
    *what = cxx ? xasprintf("%s; CUDA texts on the host, for checking them; slow", cxx) : xasprintf("no C++ compiler: %s; `apt install g++` mends that", why);
    return cxx != NULL;
}

static Device *emu_open(const Plan *plan, const DeviceOptions *o)
{
    (void)o;                                         /* one thread: what is found must not depend on anything else */
    const char *check = getenv("ECT_EMU_CHECK"), *seed = getenv("ECT_EMU_SEED");
    if (check && *check && strcmp(check, "on") && strcmp(check, "off")) user_error("ECT_EMU_CHECK=%s: it is on or off", check);
    Device *d = xcalloc(1, sizeof *d);
    d->plan = plan;
    d->check = !(check && !strcmp(check, "off"));
    d->seed = seed && *seed ? strtoull(seed, NULL, 10) : 1;
    d->now_bytes = 16 + 4 * (size_t)MAX(1, plan->n_scalars);
    d->now = xcalloc(1, d->now_bytes);
    return d;
}

static char *grow(char *old, size_t *have, size_t want, const char *what)
{
    want = (MAX(want, 64) + 4095) / 4096 * 4096;
    if (want <= *have) return old;
    free(old);
    char *p = aligned_alloc(4096, want);
    if (!p) machine_error("cannot allocate %.0f MB for %s; use a smaller batch (-D batch=N)", (double)want / 1048576, what);
    emu_poison(p, *have = want);
    return p;
}

static void allocate(Device *d, const PlanProgram *p)
{
    MemoryNeed need = {0};
    memory_add_program(&need, d->plan, p, 1);
    size_t arena = 0, workspace = 0;
    int args = 8, buffers = 1;
    for (int i = 0; i < p->n_segments; i++) {
        const PlanSegment *g = &p->segment[i];
        arena = MAX(arena, (size_t)g->peak_bytes);
        d->n_buf = MAX(d->n_buf, g->n_buffers + 1);
        for (int k = 0; k < g->n_steps; k++) {
            const PlanStep *s = &g->step[k];
            const PlanCuda *c = d->plan->kernel[s->kernel].cuda;
            workspace = MAX(workspace, (size_t)c->workspace);
            args = MAX(args, 2 + 2 * s->n_draws + s->n_buffers / s->instances * MAX(c->instances, s->instances) + (int)plan_number_words(c));
            buffers = MAX(buffers, 2 + s->n_draws + s->n_buffers);
        }
    }
    if (arena > d->arena_bytes) memory_check(&need, 0, d->plan);
    d->arena = grow(d->arena, &d->arena_bytes, arena, "activations");
    d->workspace = grow(d->workspace, &d->workspace_bytes, workspace, "the workspace of kernels");
    d->n_args = MAX(d->n_args, args);
    d->buf = xrealloc(d->buf, (size_t)d->n_buf * sizeof *d->buf);
    d->args = xrealloc(d->args, (size_t)d->n_args * sizeof *d->args);
    free(d->memory);
    d->memory = xcalloc((size_t)(d->n_args + buffers), sizeof *d->memory);
}

static Code *find_code(Device *d, const PlanProgram *p, bool with_draws)
{
    for (int i = 0; i < d->n_code; i++)
        if (d->code[i].program == p && d->code[i].with_draws == with_draws) return &d->code[i];
    return NULL;
}

static char *read_plan_file(const Plan *plan, const char *file)
{
    char *path = plan_path(plan, file), *text = read_file(path, NULL);
    if (!text) user_error("cannot read %s of the plan; compile it again with ectc", path);
    free(path);
    return text;
}

static void emu_prepare(Device *d, const PlanProgram *p, bool with_draws)
{
    if (find_code(d, p, with_draws)) return;
    const Plan *plan = d->plan;
    Code c = {.program = p, .with_draws = with_draws, .source = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.source)};
    EmuSource *source = xcalloc((size_t)plan->n_kernels + 1, sizeof *source);
    int n = 0;
    for (int k = 0; k < plan->n_kernels; k++) c.source[k] = -1;
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_steps; k++) {
            const int which = p->segment[i].step[k].kernel;
            const PlanCuda *cuda = plan->kernel[which].cuda;
            if (!cuda) user_error("the plan %s has no CUDA text of kernel %s; compile it with --target cpu,cuda", plan->dir, plan->kernel[which].name);
            for (int q = 0; q < n && c.source[which] < 0; q++) if (!strcmp(source[q].path, cuda->file)) c.source[which] = q;
            if (c.source[which] >= 0) continue;
            const char **entry = xcalloc((size_t)cuda->n_launches + 1, sizeof *entry);
            int entries = 0;
            for (int l = 0, e; l < cuda->n_launches; l++) {
                for (e = 0; e < entries && strcmp(entry[e], cuda->launch[l].entry); e++) { }
                if (e == entries) entry[entries++] = cuda->launch[l].entry;
            }
            c.source[which] = n;
            source[n++] = (EmuSource){.name = plan->kernel[which].name, .path = cuda->file, .text = read_plan_file(plan, cuda->file), .entry = entry,
                                      .n_entries = entries};
        }
    allocate(d, p);
    char *prelude = read_plan_file(plan, "kernels/prelude.cuh");
    c.code = emu_load(source, n, &(EmuOptions){.check = d->check, .draw_inputs = with_draws, .prelude = prelude});
    for (int i = 0; i < n; i++) {
        free((char *)source[i].text);
        free((char **)source[i].entry);
    }
    free(prelude);
    free(source);
    vec_push(d->code, d->n_code, d->cap_code, c);
}

static size_t bytes_of(const PlanBuffer *b)
{
    return (size_t)b->elements * number_info[b->type].bytes;
}

/* Arena memory that step i is the first to use holds nothing that anybody may read, unless it lies over something still needed. */
static void poison_new(Device *d, const PlanSegment *g, int i)
{
    const PlanStep *s = &g->step[i];
    for (int k = 0; k < s->n_buffers; k++) {
        const PlanBuffer *b = &g->buffer[s->buffer[k]];
        if (b->kind != BUF_ARENA || b->first != i) continue;
        const size_t low = (size_t)b->offset * 4, high = low + bytes_of(b);
        bool alone = true;
        for (int j = 0; j < g->n_buffers && alone; j++) {
            const PlanBuffer *o = &g->buffer[j];
            const size_t from = (size_t)o->offset * 4;
            alone = o == b || o->kind != BUF_ARENA || o->first >= i || o->last < i || from >= high || from + bytes_of(o) <= low;
        }
        if (alone) emu_poison(d->arena + low, high - low);
    }
}

static void run_step(Device *d, const Code *c, const Launch *l, int i)
{
    const PlanSegment *g = l->segment;
    const PlanStep *s = &g->step[i];
    const PlanKernel *kernel = &d->plan->kernel[s->kernel];
    const PlanCuda *cuda = kernel->cuda;
    const int places = s->n_buffers / s->instances * MAX(cuda->instances, s->instances);
    EmuBuffer *m = d->memory;
    poison_new(d, g, i);
    emu_poison(d->workspace, (size_t)cuda->workspace);
    m[0] = (EmuBuffer){.name = "EctNow", .at = d->now, .bytes = d->now_bytes, .constant = true};
    m[1] = (EmuBuffer){.name = "workspace", .at = cuda->workspace ? d->workspace : NULL, .bytes = (size_t)cuda->workspace};
    int n = 2;
    for (int k = 0; k < s->n_draws; k++) {
        const PlanDraw *draw = &g->draw[s->draw[k]];
        const bool given = c->with_draws && l->draw;
        m[n++] = (EmuBuffer){.name = draw->name, .at = given ? (void *)l->draw[s->draw[k]] : NULL, .bytes = (size_t)(draw->rows * draw->per_row) * 4,
                             .constant = true};
    }
    for (int k = 0; k < s->n_buffers; k++) {
        const PlanBuffer *b = &g->buffer[s->buffer[k]];
        m[n++] = (EmuBuffer){.name = *b->name ? b->name : "parameter", .at = d->buf[s->buffer[k]], .bytes = bytes_of(b),
                             .constant = b->kind == BUF_INPUT};
    }
    emu_begin(c->code, m, n);
    int words = 0;
    d->args[words++] = (uintptr_t)m[0].seen;
    d->args[words++] = (uintptr_t)m[1].seen;
    for (int k = 0; k < s->n_draws; k++) d->args[words++] = l->key[s->draw[k]];
    for (int k = 0; k < s->n_draws; k++) d->args[words++] = (uintptr_t)m[2 + k].seen;
    for (int k = 0; k < places; k++) d->args[words++] = k < s->n_buffers ? (uintptr_t)m[2 + s->n_draws + k].seen : 0;
    plan_numbers(cuda, &d->args[words]);
    words += (int)plan_number_words(cuda);
    for (int k = 0; k < cuda->n_launches; k++) {
        const PlanCudaLaunch *launch = &cuda->launch[k];
        EmuLaunch x = {.source = c->source[s->kernel], .entry = launch->entry, .grid = {(unsigned)launch->grid[0], (unsigned)launch->grid[1],
                       (unsigned)s->instances}, .block = (unsigned)launch->block, .shared = (size_t)launch->shared, .args = d->args,
                       .arg_bytes = 8 * (size_t)words, .seed = d->seed * 1000003 + (uint64_t)i};
        char *finding;
        if (!emu_launch(c->code, &x, &finding))
            machine_error("cuda-emu: step %d of segment %s (%s): %s\nThis is a fault of the generated kernel, not of the model; ECT_EMU_SEED=%llu repeats it.",
                          i, g->name, s->at ? s->at : "", finding, (unsigned long long)d->seed);
    }
    emu_end();
}

static void emu_run(Device *d, const Launch *l)
{
    const PlanSegment *g = l->segment;
    const bool with_draws = l->draw && g->n_draws > 0;
    Code *c = find_code(d, l->program, with_draws);
    if (!c && !g->n_draws) c = find_code(d, l->program, true);
    if (!c) {
        emu_prepare(d, l->program, with_draws);
        c = find_code(d, l->program, with_draws);
    }
    launch_buffers(d->plan, l, (float *)d->arena, d->buf);
    memcpy(d->now, &l->step, 8);
    memcpy(d->now + 8, &l->sample0, 8);
    if (d->plan->n_scalars) memcpy(d->now + 16, l->scalar, 4 * (size_t)d->plan->n_scalars);
    for (int i = 0; i < g->n_steps; i++) {
        const double began = l->time ? now_seconds() : 0;
        run_step(d, c, l, i);
        if (!l->time) continue;
        l->time[i].seconds += now_seconds() - began;
        l->time[i].calls++;
    }
}

static void emu_close(Device *d)
{
    for (int i = 0; i < d->n_code; i++) {
        emu_unload(d->code[i].code);
        free(d->code[i].source);
    }
    free(d->code);
    free(d->arena);
    free(d->workspace);
    free(d->now);
    free(d->buf);
    free(d->args);
    free(d->memory);
    free(d);
}

const DeviceClass device_emu = {
    .name = "cuda-emu", .timed = true, .available = emu_available, .open = emu_open, .prepare = emu_prepare, .run = emu_run, .close = emu_close,
};
