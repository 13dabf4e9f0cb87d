/* Sessions: open a plan on a device, hold weights and state, run programs segment by segment.
   Assumes plans validated by plan_load. Weights files are session_weights.c's business, the command run_cmd.c's. */
#include <malloc.h>
#include <math.h>
#include <omp.h>
#include "runtime/memory.h"
#include "runtime/rng.h"
#include "runtime/profile.h"
#include "runtime/run.h"
#include "runtime/gemm_choice.h"
#include "runtime/vars.h"

struct ProgramState {
    bool ready, with_draws;
    float **out; double **out64;                     /* per program output; NULL for grad.* */
    float **carry; double **carry64;
};

/* ---- shapes and flat arrays ---- */
static size_t flat_bytes(const Plan *p) { return (size_t)MAX((int64_t)1, p->param_elements) * sizeof(float); }
static float *new_flat(const Plan *p) { return xcalloc((size_t)MAX((int64_t)1, p->param_elements), sizeof(float)); }

/* File order walks `shape`; physical order is p->stride. */
#define PARAM_COPY(body) \
    int64_t idx[PLAN_MAX_AXES] = {0}, at = p->offset; \
    for (int64_t e = 0; e < p->elements; e++) { \
        body; \
        for (int i = p->shape.n; i--; ) { \
            at += p->stride[i]; \
            if (++idx[i] < p->shape.size[i]) break; \
            at -= p->stride[i] * p->shape.size[i]; \
            idx[i] = 0; \
        } \
    }
void param_gather(const PlanParam *p, const float *flat, float *out) { PARAM_COPY(out[e] = flat[at]) }
void param_scatter(const PlanParam *p, const float *in, float *flat) { PARAM_COPY(flat[at] = in[e]) }

/* ---- opening and closing ---- */
const DeviceClass *const device_classes[] = {&device_cpu, &device_cuda, &device_ref, &device_ref64, &device_emu, NULL};
const DeviceClass *device_find(const char *name)
{
    if (!strcmp(name, "auto")) return &device_cpu;
    for (int i = 0; device_classes[i]; i++) if (!strcmp(device_classes[i]->name, name)) return device_classes[i];
    return NULL;
}
const DeviceClass *device_for(const Plan *plan, const char *name)
{
    bool any = false, all = true;
    for (int i = 0; i < plan->n_kernels; i++) any = true, all &= plan->kernel[i].cuda != NULL;
    if (strcmp(name, "auto") || !any || !all) return device_find(name);
    char *what = NULL;
    bool works = device_cuda.available(&what);
    free(what);
    return works ? &device_cuda : device_find(name);
}
Session *session_open(const Plan *plan, const char *device, int threads)
{
    const DeviceClass *cls = device_for(plan, device);
    if (!cls) {
        const char *names[8] = {"auto"};
        int n = 1;
        for (; device_classes[n - 1]; n++) names[n] = device_classes[n - 1]->name;
        const char *near = suggest(device, names, n);
        user_error("--device %s is unknown%s%s%s; `ect-rt devices` lists what there is", device, near ? ": did you mean " : "",
                   near ? near : "", near ? "?" : "");
    }
    char *what = NULL;
    if (!cls->available(&what)) machine_error("device %s does not work here: %s", cls->name, what);
    free(what);
    Session *s = xcalloc(1, sizeof *s);
    s->plan = plan;
    s->cls = cls;
    s->threads = threads > 0 ? threads : omp_get_max_threads();
    s->device = cls->open(plan, &(DeviceOptions){.threads = s->threads});
    malloc_trim(0);                                  /* what reading the plan took and freed */
    s->memory_before = memory_now();
    s->param = new_flat(plan);
    s->set = xcalloc((size_t)plan->n_sets, sizeof *s->set);
    for (int i = 0; i < plan->n_sets; i++) s->set[i] = s->param;
    s->step = 1;
    s->scale = loss_scale_start;
    s->vars = vars_new(plan);
    s->program_state = xcalloc((size_t)MAX(1, plan->n_programs), sizeof *s->program_state);
    return s;
}
static bool of_state(const Session *s, const float *flat)
{
    for (int k = 0; s->state && k < s->plan->n_states; k++) if (s->state[k] == flat) return true;
    return false;
}
void session_close(Session *s)
{
    if (!s) return;
    const Plan *p = s->plan;
    s->cls->close(s->device);
    for (int i = 0; i < p->n_programs; i++) {
        ProgramState *ps = &s->program_state[i];
        if (!ps->ready) continue;
        for (int k = 0; k < p->program[i].n_outputs; k++) {
            free(ps->out[k]);
            if (ps->out64) free(ps->out64[k]);
        }
        for (int k = 0; k < p->program[i].n_carries; k++) {
            free(ps->carry[k]);
            if (ps->carry64) free(ps->carry64[k]);
        }
        free(ps->out); free(ps->out64); free(ps->carry); free(ps->carry64);
    }
    free(s->program_state);
    for (int i = 1; i < p->n_sets; i++) if (s->set[i] != s->param && !of_state(s, s->set[i])) free(s->set[i]);
    for (int k = 0; s->state && k < p->n_states; k++) free(s->state[k]);
    free(s->state);
    free(s->set);
    free(s->param);
    free(s->grad);
    free(s->grad64);
    free(s->sum);
    vars_free(s->vars);
    free(s);
}

void session_gemm(Session *s, const char *name, const char *file)
{
    GemmMode mode;
    if (!gemm_mode_named(name, &mode)) user_error("--gemm %s: it is auto, own or lt", name);
    bool can = s->cls->memory && s->cls->memory->products;
    if (mode == GEMM_LT && !can) user_error("--gemm lt: the library is for --device cuda, this is %s", s->cls->name);
    if (can) s->cls->memory->products(s->device, mode, file);
}

/* ---- run-time scalars ---- */
bool session_set(Session *s, const char *assignment, char **err) { return vars_set(s->vars, assignment, err); }
/* The update's number as host expressions see it: among those that changed weights. */
static uint64_t applied(const Session *s) { return s->step - s->scale.skipped; }
bool session_value(Session *s, const char *name, double *value) { return vars_value(s->vars, name, applied(s), s->seen, value); }
void session_check(Session *s) { vars_check(s->vars, applied(s), s->seen); }
void session_scale(Session *s, const LossScale *scale)
{
    char *text = xasprintf(LOSS_SCALE "=%.17g", scale->scale), *err = NULL;
    CHECK_BUG(s->plan->loss_scale);
    if (!vars_set(s->vars, text, &err)) machine_error("the plan %s is damaged: %s", s->plan->dir, err);
    s->scale = *scale;
    free(text);
}
void session_scale_next(Session *s)
{
    LossScale next = s->scale;
    loss_scale_next(&next);
    if (next.scale != s->scale.scale) session_scale(s, &next);
    s->scale = next;
}

/* ---- training state ---- */
void session_training(Session *s)
{
    const Plan *p = s->plan;
    CHECK_BUG(!s->state);
    s->state = xcalloc((size_t)p->n_states + 1, sizeof *s->state);
    for (int k = 0; k < p->n_states; k++) {
        const PlanState *st = &p->state[k];
        if (st->ema && s->set[st->set] != s->param) {                /* loaded on its own */
            s->state[k] = s->set[st->set];
            continue;
        }
        s->state[k] = new_flat(p);
        if (st->from_param) memcpy(s->state[k], s->param, flat_bytes(p));
        else if (st->init != 0)                                      /* padding stays 0 */
            for (int i = 0; i < p->n_params; i++)
                for (int64_t e = 0; e < p->param[i].elements; e++) s->state[k][p->param[i].offset + e] = (float)st->init;
        if (st->ema) s->set[st->set] = s->state[k];
    }
    if (!s->grad) s->grad = new_flat(p);
    session_changed(s);
}
bool session_is_training(const Session *s) { return s->state != NULL; }

/* ---- flat arrays of devices with memory of their own ---- */
/* NULL also for a session that only holds arrays, without a device. */
static const DeviceMemory *memory_of(const Session *s) { return s->cls ? s->cls->memory : NULL; }
void session_fetch(Session *s)
{
    if (!memory_of(s)) return;
    for (int k = 0; k < s->plan->n_sets; k++) s->cls->memory->fetch(s->device, s->set[k]);
    for (int k = 0; s->state && k < s->plan->n_states; k++) s->cls->memory->fetch(s->device, s->state[k]);
}
void session_fetch_gradient(Session *s) { if (memory_of(s) && s->grad) s->cls->memory->fetch(s->device, s->grad); }
void session_changed(Session *s) { if (memory_of(s)) s->cls->memory->changed(s->device, NULL); }
int session_depth(const Session *s) { return memory_of(s) ? s->cls->memory->depth : 1; }

/* ---- running ---- */
static ProgramState *state_of(Session *s, const PlanProgram *p) { return &s->program_state[p - s->plan->program]; }
static bool has_gradients(const PlanProgram *p)
{
    for (int i = 0; i < p->n_outputs; i++) if (p->output_param[i] >= 0) return true;
    return !strcmp(p->name, "train_step");
}
static void allocate(int n, const PlanTensor *t, const int *skip, bool wide, float ***narrow, double ***wider)
{
    *narrow = xcalloc((size_t)n + 1, sizeof **narrow);
    if (wide) *wider = xcalloc((size_t)n + 1, sizeof **wider);
    for (int i = 0; i < n; i++) {
        if (skip && skip[i] >= 0) continue;
        size_t count = (size_t)MAX((int64_t)1, shape_elements(&t[i].shape));
        (*narrow)[i] = xcalloc(count, sizeof(float));
        if (wide) (*wider)[i] = xcalloc(count, sizeof(double));
    }
}
void session_prepare(Session *s, const PlanProgram *p, bool with_draws)
{
    ProgramState *ps = state_of(s, p);
    if (ps->ready && ps->with_draws == with_draws) return;
    bool kernels = false;
    for (int i = 0; i < p->n_segments; i++) kernels |= p->segment[i].n_steps > 0;
    if (s->cls == &device_cpu && !kernels && strcmp(p->name, "init")) {
        const PlanSegment *g = &p->segment[0];
        if (p->n_outputs && !g->n_steps) user_error("program `%s` of this plan has no kernels; use --device ref", p->name);
    }
    s->cls->prepare(s->device, p, with_draws);
    ps->with_draws = with_draws;
    if (ps->ready) return;
    ps->ready = true;
    allocate(p->n_outputs, p->output, p->output_param, s->cls->wide, &ps->out, &ps->out64);
    allocate(p->n_carries, p->carry, NULL, s->cls->wide, &ps->carry, &ps->carry64);
    if (has_gradients(p) && !s->grad) s->grad = new_flat(s->plan);
    if (has_gradients(p) && s->cls->wide && !s->grad64)
        s->grad64 = xcalloc((size_t)MAX((int64_t)1, s->plan->param_elements), sizeof(double));
}
uint64_t session_philox_step(const Session *s, const PlanProgram *p, const PlanSegment *g, int repetition)
{
    if (g->each) return (uint64_t)repetition;
    return !strcmp(p->name, "sample") || !strcmp(p->name, "init") ? 0 : s->step;
}
/* probability: of a bernoulli draw. */
static void draw_values(const Session *s, const PlanDraw *d, double probability, uint64_t step, uint64_t sample0, float *out)
{
    uint64_t key = rng_key(d->name, s->seed);
    bool rows = shape_axis(&d->shape, "n") >= 0;
#pragma omp parallel for schedule(static) num_threads(s->threads)
    for (int64_t r = 0; r < d->rows; r++) {
        uint64_t sample = rows ? sample0 + (uint64_t)r : 0;
        float *to = out + r * d->per_row;
        if (d->kind == PLAN_UNIFORM) rng_uniform(to, key, step, sample, 1, (size_t)d->per_row);
        else if (d->kind == PLAN_NORMAL) rng_normal(to, key, step, sample, 1, (size_t)d->per_row);
        else rng_bernoulli(to, probability, key, step, sample, 1, (size_t)d->per_row);
    }
}
void session_draw(Session *s, const PlanProgram *p, const PlanDraw *d, uint64_t step, uint64_t sample0, float *out)
{
    (void)p;
    double probability = d->p;
    if (d->p_scalar >= 0) {
        double *wide = xmalloc((size_t)s->plan->n_scalars * sizeof *wide);
        float *narrow = xmalloc((size_t)s->plan->n_scalars * sizeof *narrow);
        vars_scalars(s->vars, applied(s), s->seen, NULL, 0, wide, narrow);
        probability = (double)narrow[d->p_scalar];                   /* the rounded one, as kernels see it */
        free(wide);
        free(narrow);
    }
    draw_values(s, d, probability, step, sample0, out);
}
/* repetition: 1, 2, ... in repeated segments, else 0. */
static void run_segment(Session *s, const PlanProgram *p, int index, const RunArgs *a, int repetition)
{
    const Plan *plan = s->plan;
    const PlanSegment *g = &p->segment[index];
    ProgramState *ps = state_of(s, p);
    size_t scalars = (size_t)plan->n_scalars + 1, draws = (size_t)g->n_draws + 1;
    double *wide = xmalloc(scalars * sizeof *wide), level = repetition ? a->mid[repetition - 1] : 0;
    float *narrow = xmalloc(scalars * sizeof *narrow);
    vars_scalars(s->vars, applied(s), s->seen, g->time, level, wide, narrow);
    int overflow = -1;
    for (int i = 0; s->scale.on && g->phase == PHASE_UPDATE && i < plan->n_scalars; i++)
        if (!strcmp(plan->scalar[i], LOSS_OVERFLOW)) wide[overflow = i] = narrow[i] = s->scale.overflow;
    uint64_t *key = xmalloc(draws * sizeof *key), step = session_philox_step(s, p, g, repetition);
    if (a->draw_step && !repetition) step = *a->draw_step;
    for (int i = 0; i < g->n_draws; i++) key[i] = rng_key(g->draw[i].name, s->seed);
    const float **draw = xcalloc(draws, sizeof *draw);
    float **made = xcalloc(draws, sizeof *made);
    for (int i = 0; i < g->n_draws && ps->with_draws; i++) {
        const PlanDraw *d = &g->draw[i];
        int64_t elements = d->rows * d->per_row;
        if (a->draw && a->draw[index] && a->draw[index][i]) {
            draw[i] = a->draw[index][i] + (repetition ? repetition - 1 : 0) * elements;
            continue;
        }
        draw[i] = made[i] = xmalloc((size_t)MAX((int64_t)1, elements) * sizeof(float));
        draw_values(s, d, d->p_scalar >= 0 ? (double)narrow[d->p_scalar] : d->p, step, a->sample0, made[i]);
    }
    Launch l = {.program = p,
                .segment = g,
                .in = a->in,
                .in64 = a->in64,
                .numbers = a->numbers,
                .out = ps->out,
                .out64 = (double *const *)ps->out64,
                .carry = ps->carry,
                .carry64 = (double *const *)ps->carry64,
                .grad64 = s->grad64,
                .set = s->set,
                .grad = s->grad,
                .state = s->state,
                .scalar = narrow,
                .scalar64 = wide,
                .key = key,
                .draw = ps->with_draws ? draw : NULL,
                .step = step,
                .sample0 = a->sample0,
                .overflow = overflow,
                .seed = s->seed};
    if (!s->cls->wide) l.in64 = NULL;
    double *whole = NULL, began = 0;
    bool timed = s->profile && !(s->profile_every && step % (uint64_t)s->profile_every);
    if (timed) {
        if (s->behind) session_results(s, s->updated, s->last_micro);    /* so that earlier updates are not in its time */
        l.time = profile_segment(s->profile, g, &whole);
        began = now_seconds();
    }
    const DeviceMemory *memory = !strcmp(p->name, "train_step") ? s->cls->memory : NULL;
    if (memory && g->phase == PHASE_MICRO) memory->micro(s->device, &l, s->micros);
    else if (memory && g->phase == PHASE_UPDATE) memory->update(s->device, &l, s->micros);
    else s->cls->run(s->device, &l);
    if (timed) *whole += now_seconds() - began;
    for (int i = 0; i < g->n_draws; i++) free(made[i]);
    free(made); free(draw); free(key); free(wide); free(narrow);
}
static bool replaces_draws(const PlanProgram *p, const RunArgs *a)
{
    for (int i = 0; a->draw && i < p->n_segments; i++)
        for (int k = 0; a->draw[i] && k < p->segment[i].n_draws; k++) if (a->draw[i][k]) return true;
    return false;
}
void session_run(Session *s, const PlanProgram *p, const RunArgs *a)
{
    session_prepare(s, p, replaces_draws(p, a));
    for (int i = 0; i < p->n_segments; i++) {
        if (!p->segment[i].each) run_segment(s, p, i, a, 0);
        for (int k = 1; p->segment[i].each && k <= a->n_mid; k++) run_segment(s, p, i, a, k);
    }
}
static const PlanProgram *train_step(const Session *s)
{
    const PlanProgram *p = plan_program(s->plan, "train_step");
    if (!p) user_error("the plan %s has no program `train_step`: its model has no `train`", s->plan->dir);
    return p;
}
bool session_images(Session *s, const DeviceImages *images, char **why)
{
    *why = NULL;
    return s->cls->memory && s->cls->memory->images(s->device, images, why);
}
void session_micro(Session *s, const RunArgs *a)
{
    const PlanProgram *p = train_step(s);
    CHECK_BUG(s->state);
    session_prepare(s, p, replaces_draws(p, a));
    int64_t n = s->plan->param_elements;
    if (s->cls->memory) {                                            /* it adds up by itself */
        run_segment(s, p, 0, a, 0);
        s->micros++;
        return;
    }
    if (s->micros == 1) {                                            /* what grad holds becomes the sum's start */
        if (!s->sum) s->sum = new_flat(s->plan);
        float *first = s->grad;
        s->grad = s->sum;
        s->sum = first;
    }
    run_segment(s, p, 0, a, 0);
    if (s->micros) {
        float *sum = s->sum;
        const float *grad = s->grad;
#pragma omp parallel for schedule(static) num_threads(s->threads)
        for (int64_t i = 0; i < n; i++) sum[i] += grad[i];
    }
    s->micros++;
}
void session_update(Session *s)
{
    const PlanProgram *p = train_step(s);
    CHECK_BUG(s->state && s->micros > 0);
    if (s->cls->memory) {
        run_segment(s, p, 1, &(RunArgs){0}, 0);
        s->behind = true;
        s->updated = s->step;
        s->last_micro = s->micros - 1;
        s->micros = 0;
        return;
    }
    if (s->micros > 1) {
        float scale = 1.0f / (float)s->micros, *grad = s->grad;
        const float *sum = s->sum;
#pragma omp parallel for schedule(static) num_threads(s->threads)
        for (int64_t i = 0; i < s->plan->param_elements; i++) grad[i] = sum[i] * scale;
    }
    s->micros = 0;
    if (s->scale.on) s->scale.overflow = session_bad_gradient(s) > 0;
    run_segment(s, p, 1, &(RunArgs){0}, 0);
}
int64_t session_bad_gradient(const Session *s)
{
    const uint32_t *bits = (const uint32_t *)(const void *)s->grad;
    int64_t n = s->plan->param_elements, bad = 0;
    #pragma omp parallel for reduction(+ : bad) if (n > 100000)
    for (int64_t i = 0; i < n; i++) bad += (bits[i] & 0x7f800000u) == 0x7f800000u;
    return bad;
}
int64_t session_results(Session *s, uint64_t step, int micro)
{
    CHECK_BUG(s->cls->memory);
    s->behind = false;
    int64_t bad = s->cls->memory->results(s->device, step, micro, state_of(s, train_step(s))->out);
    if (s->scale.on) s->scale.overflow = bad > 0;
    return bad;
}
static int output_index(const PlanProgram *p, const char *name)
{
    for (int i = 0; i < p->n_outputs; i++) if (!strcmp(p->output[i].name, name)) return i;
    return -1;
}
const float *session_output(Session *s, const PlanProgram *p, const char *name)
{
    int i = output_index(p, name);
    if (i >= 0 && s->behind && !strcmp(p->name, "train_step")) session_results(s, s->updated, s->last_micro);
    return i >= 0 && state_of(s, p)->ready ? state_of(s, p)->out[i] : NULL;
}
const double *session_output64(Session *s, const PlanProgram *p, const char *name)
{
    int i = output_index(p, name);
    return i >= 0 && state_of(s, p)->out64 ? state_of(s, p)->out64[i] : NULL;
}
void launch_buffers(const Plan *plan, const Launch *l, float *arena, float **buf)
{
    (void)plan;
    for (int i = 0; i < l->segment->n_buffers; i++) {
        const PlanBuffer *b = &l->segment->buffer[i];
        switch (b->kind) {
        case BUF_INPUT: buf[i] = (float *)l->in[b->io]; break;
        case BUF_ARENA: buf[i] = arena + b->offset; break;
        case BUF_PARAM: buf[i] = l->set[b->set] + b->offset; break;
        case BUF_GRAD: buf[i] = l->grad + b->offset; break;
        case BUF_OUTPUT: buf[i] = l->out[b->io]; break;
        case BUF_CARRY: buf[i] = l->carry[b->io]; break;
        case BUF_STATE: buf[i] = l->state[b->state]; break;
        case BUF_FLAT: buf[i] = *b->name == 'p' ? l->set[0] : l->grad; break;
        }
    }
}

/* ---- initial weights ---- */
void session_init(Session *s)
{
    const PlanProgram *p = plan_program(s->plan, "init");
    if (!p) user_error("the plan %s has no program `init`", s->plan->dir);
    Session *r = session_open(s->plan, "ref", s->threads);           /* by the interpreter, whatever the device */
    vars_free(r->vars);
    r->vars = s->vars;
    r->seed = s->seed;
    session_run(r, p, &(RunArgs){.in = (const float *const[64]){NULL}});
    for (int i = 0; i < s->plan->n_params; i++)
        param_scatter(&s->plan->param[i], session_output(r, p, s->plan->param[i].name), s->param);
    r->vars = NULL;
    session_close(r);
    malloc_trim(0);                                  /* its outputs are many arrays below the threshold of mmap */
    for (int i = 1; i < s->plan->n_sets; i++) if (s->set[i] != s->param) memcpy(s->set[i], s->param, flat_bytes(s->plan));
    session_changed(s);
}
