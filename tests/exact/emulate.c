/* CUDA texts on field elements: compiles them by the emulator with the number type of field.h, launches a step's entries.
   Assumes buffers whose sizes are FP_SCALE times the plan's, arguments as docs/plan.md has them. */
#include "runtime/emu.h"
#include "tests/exact/exact.h"
#include "tests/exact/number_type.h"

struct Emulated {
    const Plan *plan;
    EmuCode *code;
    int *source;                                     /* per plan kernel: which of the texts runs */
    FpCell *workspace, *now;
    int64_t workspace_cells;
};

static char *cuda_text(const Plan *plan, const char *file)
{
    char *path = plan_path(plan, file), *text = read_file(path, NULL);
    if (!text) user_error("cannot read %s", path);
    free(path);
    return text;
}
char *emulated_text(const Plan *plan, int kernel)
{
    const PlanCuda *c = plan->kernel[kernel].cuda;
    if (!c) user_error("kernel %s has no CUDA text; compile the plan with --target cpu,cuda", plan->kernel[kernel].name);
    return cuda_text(plan, c->file);
}
Emulated *emulated_new(const Plan *plan, const EmulatedText *text, int n, const char *headers)
{
    Emulated *e = xcalloc(1, sizeof *e);
    EmuSource *source = xcalloc((size_t)n + 1, sizeof *source);
    *e = (Emulated){.plan = plan, .source = xcalloc((size_t)plan->n_kernels + 1, sizeof *e->source)};
    for (int i = n; i--;) {
        const PlanCuda *c = plan->kernel[text[i].kernel].cuda;
        const char **entry = xcalloc((size_t)c->n_launches + 1, sizeof *entry);
        for (int l = 0; l < c->n_launches; l++) entry[l] = c->launch[l].entry;
        source[i] = (EmuSource){.name = plan->kernel[text[i].kernel].name, .path = c->file, .text = text[i].text, .entry = entry, .n_entries = c->n_launches};
        e->source[text[i].kernel] = i;
        e->workspace_cells = MAX(e->workspace_cells, c->workspace / 4);
    }
    char *number = number_type(headers), *prelude = cuda_text(plan, "kernels/prelude.cuh");
    if (!number) machine_error("%s/prelude.h is missing, or does not include what it did", headers);
    e->code = emu_load(source, n, &(EmuOptions){.prelude = prelude, .exact = number});
    e->workspace = xcalloc((size_t)e->workspace_cells + 1, sizeof *e->workspace);
    e->now = xcalloc((size_t)plan->n_scalars + 2, sizeof *e->now);
    for (int i = 0; i < n; i++) free((char **)source[i].entry);
    free(source);
    free(number);
    free(prelude);
    return e;
}
void emulated_use(Emulated *e, int kernel, int text) { e->source[kernel] = text; }
/* The launch's numbers as arguments hold them: ints, then cells from a multiple of 8 bytes on. Returns their bytes, a multiple of 8. */
static size_t put_numbers(const PlanCuda *c, unsigned char *to)
{
    size_t at = 0;
    for (int i = 0; i < c->n_numbers; i++) {
        const int32_t whole = (int32_t)c->number[i].value;
        const FpCell cell = {.v = fp_real(c->number[i].value)};
        const size_t bytes = c->number[i].real ? sizeof cell : sizeof whole;
        if (c->number[i].real) at = (at + 7) / 8 * 8;
        if (to) memcpy(to + at, c->number[i].real ? (const void *)&cell : &whole, bytes);
        at += bytes;
    }
    return (at + 7) / 8 * 8;
}
bool emulated_run(Emulated *e, const PlanStep *s, const FpPointer *buf, const unsigned long long *key, const Tensors *t, uint64_t salt, char **finding)
{
    const PlanCuda *c = e->plan->kernel[s->kernel].cuda;
    const int places = s->n_buffers / s->instances * MAX(c->instances, s->instances);
    const uint64_t begin[2] = {t->step, t->sample0};
    uint64_t *args = xcalloc((size_t)(2 + 2 * s->n_draws + places) + put_numbers(c, NULL) / 8, sizeof *args);
    int words = 0;
    memcpy(e->now, begin, sizeof begin);
    for (int i = 0; i < e->plan->n_scalars; i++) e->now[1 + i].v = t->scalar[i];
    for (int64_t i = 0; i < c->workspace / 4; i++) e->workspace[i].v = fp_hash(400 + salt, (uint64_t)i);
    args[words++] = (uintptr_t)e->now;
    args[words++] = c->workspace ? (uintptr_t)e->workspace : 0;
    for (int i = 0; i < s->n_draws; i++) args[words++] = key[i];
    words += s->n_draws;
    for (int i = 0; i < s->n_buffers; i++) args[words + i] = (uintptr_t)buf[i];
    words += places;
    words += (int)(put_numbers(c, (unsigned char *)&args[words]) / 8);
    bool fine = true;
    for (int l = 0; l < c->n_launches && fine; l++) {
        const PlanCudaLaunch *launch = &c->launch[l];
        EmuBuffer none = {0};
        emu_begin(e->code, &none, 0);
        fine = emu_launch(e->code, &(EmuLaunch){.source = e->source[s->kernel], .entry = launch->entry, .block = (unsigned)launch->block,
                          .grid = {(unsigned)launch->grid[0], (unsigned)launch->grid[1], (unsigned)s->instances}, .shared = (size_t)launch->shared * FP_SCALE,
                          .args = args, .arg_bytes = 8 * (size_t)words, .seed = 1 + salt}, finding);
        emu_end();
    }
    free(args);
    return fine;
}
