/* Devices ref and ref64: parse graph text, keep index tables, find where inputs and outputs lie, fill draws.
   Assumes launches made by run.c; the arithmetic is in ref_body.h. */
#include <omp.h>
#include "runtime/ref.h"
#include "runtime/rng.h"

struct Device {
    const Plan *plan;
    int threads;
    bool wide;
    int n, cap;
    RefSegment **segment;
};

LoopSpace ref_space(const PlanShape *s)
{
    LoopSpace l = {.n = s->n};
    for (int i = 0; i < s->n; i++) l.role[i] = s->role[i], l.size[i] = s->size[i];
    return l;
}
void ref_add_axis(LoopSpace *l, Sym role, int64_t size)
{
    CHECK_BUG(l->n < LOOP_MAX);
    l->role[l->n] = role;
    l->size[l->n++] = size;
}
const RefAccess *ref_operand(RefSegment *s, int node, int operand, const LoopSpace *space)
{
    RefAccess **a = &s->access[node][operand];
    char *err = NULL;
    if (!*a && !(*a = ref_access_new(s->g, s->g->node[node].in[operand], space, &err)))
        user_error("%s line %d: %s", s->segment->graph, s->g->node[node].line, err);
    return *a;
}

/* ---- draws ---- */
void ref_draw(const RefRun *r, const RefNode *n, const float *p, float *out)
{
    const PlanSegment *seg = r->s->segment;
    const Launch *l = r->l;
    int site = -1;
    for (int i = 0; i < seg->n_draws; i++) if (!strcmp(seg->draw[i].name, n->name)) site = i;
    /* programs without kernels (init) need no list of draws */
    uint64_t key = site >= 0 ? l->key[site] : rng_key(n->name, l->seed);
    Sym sample_role = sym("n"), c = sym("c");
    int64_t stride[PLAN_MAX_AXES] = {0}, s = 1, row_stride = 0, rows = 1;      /* of each axis in element numbers: c innermost */
    for (int pass = 0; pass < 2; pass++)
        for (int i = n->shape.n; i--; ) {
            if (n->shape.role[i] == sample_role || (n->shape.role[i] == c) != !pass) continue;
            stride[i] = s;
            s *= n->shape.size[i];
        }
    int64_t per_row = s;
    for (int i = 0; i < n->shape.n; i++)
        if (n->shape.role[i] == sample_role) rows = n->shape.size[i], stride[i] = row_stride = per_row;
    if (site >= 0 && (seg->draw[site].rows != rows || seg->draw[site].per_row != per_row))
        user_error("%s line %d: the draw `%s` has another shape than in plan.json", seg->graph, n->line, n->name);
    bool replaced = l->draw && site >= 0;
    const float *values = replaced ? l->draw[site] : NULL;
    float *made = NULL;
    if (!replaced && !p) {
        values = made = xmalloc((size_t)MAX((int64_t)1, rows * per_row) * sizeof *made);
#pragma omp parallel for schedule(static) num_threads(r->threads)
        for (int64_t row = 0; row < rows; row++) {
            float *to = made + row * per_row;
            uint64_t sample = row_stride ? l->sample0 + (uint64_t)row : 0;
            if (n->kind == PLAN_UNIFORM) rng_uniform(to, key, l->step, sample, 1, (size_t)per_row);
            else if (n->kind == PLAN_NORMAL) rng_normal(to, key, l->step, sample, 1, (size_t)per_row);
            else rng_bernoulli(to, n->value, key, l->step, sample, 1, (size_t)per_row);
        }
    }
    for (int64_t e = 0; e < n->elements; e++) {
        int64_t rest = e, o = 0;
        for (int i = n->shape.n; i--; rest /= n->shape.size[i]) o += rest % n->shape.size[i] * stride[i];
        out[e] = values ? values[o]
                        : rng_bernoulli_at(p[e], key, l->step, row_stride ? l->sample0 + (uint64_t)(o / per_row) : 0,
                                           (uint64_t)(o % per_row));
    }
    free(made);
}

/* ---- inputs and outputs by name ---- */
static void check_shape(const RefRun *r, const char *name, const RefNode *n, const PlanShape *s)
{
    bool same = s->n == n->shape.n;
    for (int i = 0; same && i < s->n; i++) {
        int k = 0;
        while (k < n->shape.n && strcmp(n->shape.role[k], s->role[i])) k++;
        same = k < n->shape.n && n->shape.size[k] == s->size[i];
    }
    if (!same) user_error("%s line %d: `%s` has another shape than in plan.json", r->s->segment->graph, n->line, name);
}
static RefIo tensor(const RefRun *r, const char *name, const RefNode *n, const PlanShape *s, float *data, double *wide)
{
    check_shape(r, name, n, s);
    return (RefIo){.kind = IO_TENSOR, .data = data, .wide = wide, .shape = s, .elements = n->elements};
}
static RefIo flat(const RefRun *r, const char *name, const RefNode *n, float *data)
{
    if (n->shape.n > 1 || n->elements != r->plan->param_elements || !data)
        user_error("%s line %d: the flat array `%s` must have %lld elements", r->s->segment->graph, n->line, name,
                   (long long)r->plan->param_elements);
    return (RefIo){.kind = IO_FLAT, .data = data, .elements = n->elements};
}
static int find(const PlanTensor *t, int n, const char *name)
{
    for (int i = 0; i < n; i++) if (!strcmp(t[i].name, name)) return i;
    return -1;
}
static bool find_flat(const RefRun *r, const char *name, const RefNode *n, RefIo *io)
{
    const Launch *l = r->l;
    if (r->s->segment->phase != PHASE_UPDATE) return false;
    if (!strcmp(name, "p")) { *io = flat(r, name, n, l->set[0]); return true; }
    if (!strcmp(name, "g")) { *io = flat(r, name, n, l->grad); return true; }
    for (int i = 0; i < r->plan->n_states; i++)
        if (!strcmp(r->plan->state[i].name, name)) { *io = flat(r, name, n, l->state ? l->state[i] : NULL); return true; }
    return false;
}
RefIo ref_find_input(const RefRun *r, const RefNode *n)
{
    const Launch *l = r->l;
    const PlanProgram *g = l->program;
    if (n->op == R_param) {
        const PlanParam *p = &r->plan->param[n->index];
        return (RefIo){.kind = IO_PARAM, .data = l->set[n->set] + p->offset, .param = p, .elements = p->elements};
    }
    RefIo io;
    if (find_flat(r, n->name, n, &io)) return io;
    int i = find(g->carry, g->n_carries, n->name);
    if (i >= 0) return tensor(r, n->name, n, &g->carry[i].shape, l->carry[i], l->carry64 ? l->carry64[i] : NULL);
    i = find(g->input, g->n_inputs, n->name);
    if (i < 0 || !l->in || !(l->in[i] || (l->in64 && l->in64[i])))
        user_error("%s line %d: the program has no input `%s`", r->s->segment->graph, n->line, n->name);
    return tensor(r, n->name, n, &g->input[i].shape, (float *)l->in[i], l->in64 ? (double *)l->in64[i] : NULL);
}
RefIo ref_find_output(const RefRun *r, const char *name, const RefNode *n)
{
    const Launch *l = r->l;
    const PlanProgram *g = l->program;
    RefIo io;
    if (find_flat(r, name, n, &io)) return io;
    int i = find(g->carry, g->n_carries, name);
    if (i >= 0) return tensor(r, name, n, &g->carry[i].shape, l->carry[i], l->carry64 ? l->carry64[i] : NULL);
    i = find(g->output, g->n_outputs, name);
    int k = i >= 0 ? g->output_param[i] : !strncmp(name, "grad.", 5) ? plan_param_index(r->plan, name + 5) : -1;
    if (i < 0 && k < 0) user_error("%s: the program has no output `%s`", r->s->segment->graph, name);
    check_shape(r, name, n, k < 0 ? &g->output[i].shape : &r->plan->param[k].shape);
    if (k >= 0 && !l->grad) user_error("%s: `%s` in a program without gradients", r->s->segment->graph, name);
    if (k < 0) return tensor(r, name, n, &g->output[i].shape, l->out[i], l->out64 ? l->out64[i] : NULL);
    const PlanParam *p = &r->plan->param[k];
    return (RefIo){.kind = IO_GRAD,
                   .data = l->grad + p->offset,
                   .wide = l->grad64 ? l->grad64 + p->offset : NULL,
                   .param = p,
                   .elements = p->elements};
}

/* ---- the device ---- */
static void prepare_segment(Device *d, const PlanSegment *seg)
{
    for (int i = 0; i < d->n; i++) if (d->segment[i]->segment == seg) return;
    char *path = plan_path(d->plan, seg->graph), *err = NULL, *text = read_file(path, NULL);
    if (!text) machine_error("cannot read %s", path);
    RefSegment *s = xcalloc(1, sizeof *s);
    s->segment = seg;
    s->g = ref_graph_parse(text, d->plan, &err);
    if (!s->g) user_error("%s is not a valid graph: %s; compile the model again", path, err);
    free(text);
    free(path);
    const RefGraph *g = s->g;
    s->access = xcalloc((size_t)g->n, sizeof *s->access);
    s->out_access = xcalloc((size_t)g->n_out, sizeof *s->out_access);
    s->last = xmalloc((size_t)g->n * sizeof *s->last);
    for (int k = 0; k < g->n; k++) s->last[k] = -1;
    for (int i = 0; i < g->n_out; i++) s->last[g->out[i].node] = g->out[i].node;
    for (int k = g->n; k--; )
        for (int i = 0; i < g->node[k].n_in && s->last[k] >= 0; i++) {
            int *last = &s->last[g->node[k].in[i]], at = ref_ops[g->node[k].op].cls == REF_V ? s->last[k] : k;
            *last = MAX(*last, at);
        }
    s->flat = seg->phase == PHASE_UPDATE;
    for (int k = 0; k < g->n && s->flat; k++) {
        const RefNode *n = &g->node[k];
        int cls = ref_ops[n->op].cls;
        s->flat = n->shape.n == 0 || (n->shape.n == 1 && n->elements == d->plan->param_elements);
        s->flat = s->flat && (cls == REF_E || n->op == R_input || n->op == R_const || n->op == R_scalar ||
                              (n->op == R_expand && !g->node[n->in[0]].shape.n));
        s->flat = s->flat && (n->op != R_input || n->shape.n == 1);
    }
    for (int i = 0; i < g->n_out && s->flat; i++) s->flat = g->node[g->out[i].node].shape.n == 1;
    vec_push(d->segment, d->n, d->cap, s);
}
static void ref_prepare(Device *d, const PlanProgram *p, bool with_draws)
{
    (void)with_draws;
    for (int i = 0; i < p->n_segments; i++) prepare_segment(d, &p->segment[i]);
}
static void ref_run(Device *d, const Launch *l)
{
    for (int i = 0; i < d->n; i++)
        if (d->segment[i]->segment == l->segment) {
            RefRun r = {.plan = d->plan, .l = l, .s = d->segment[i], .threads = d->threads};
            (d->wide ? ref_run_f64 : ref_run_f32)(&r);
            return;
        }
    die("segment %s was not prepared", l->segment->name);
}
static Device *open_width(const Plan *plan, const DeviceOptions *o, bool wide)
{
    Device *d = xcalloc(1, sizeof *d);
    *d = (Device){.plan = plan, .threads = o->threads > 0 ? o->threads : omp_get_max_threads(), .wide = wide};
    return d;
}
static Device *ref_open(const Plan *plan, const DeviceOptions *o) { return open_width(plan, o, false); }
static Device *ref64_open(const Plan *plan, const DeviceOptions *o) { return open_width(plan, o, true); }
static void ref_close(Device *d)
{
    for (int i = 0; i < d->n; i++) {
        RefSegment *s = d->segment[i];
        for (int k = 0; k < s->g->n; k++) for (int j = 0; j < 3; j++) ref_access_free(s->access[k][j]);
        for (int k = 0; k < s->g->n_out; k++) ref_access_free(s->out_access[k]);
        free(s->access);
        free(s->out_access);
        free(s->last);
        ref_graph_free(s->g);
        free(s);
    }
    free(d->segment);
    free(d);
}
static bool ref_available(char **what)
{
    *what = xasprintf("interpreter in f32, for checking: slow");
    return true;
}
static bool ref64_available(char **what)
{
    *what = xasprintf("interpreter in f64, for checking: slow");
    return true;
}
const DeviceClass device_ref = {
    .name = "ref", .available = ref_available, .open = ref_open, .prepare = ref_prepare, .run = ref_run, .close = ref_close,
};
const DeviceClass device_ref64 = {
    .name = "ref64", .wide = true, .available = ref64_available, .open = ref64_open, .prepare = ref_prepare, .run = ref_run,
    .close = ref_close,
};
