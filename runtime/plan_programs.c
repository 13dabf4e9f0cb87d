/* Programs of a plan: inputs, outputs, segments with their buffers, draws and steps, each index and range checked.
   Assumes plan_read.c has read parameters, sets, states, scalars and kernels. */
#include "runtime/plan_read.h"

static const int64_t MAX_COUNT = (int64_t)1 << 60, MAX_BYTES = (int64_t)1 << 50, MAX_ELEMENTS = (int64_t)1 << 38;
enum { MAX_NODES = 1 << 28 };

static const struct { const char *name; BufKind kind; } kinds[] = {
    {"input", BUF_INPUT}, {"arena", BUF_ARENA}, {"param", BUF_PARAM}, {"grad", BUF_GRAD},
    {"output", BUF_OUTPUT}, {"carry", BUF_CARRY}, {"state", BUF_STATE}, {"flat", BUF_FLAT},
};
static const struct { const char *name; PlanDrawKind kind; } draws[] = {
    {"uniform", PLAN_UNIFORM}, {"normal", PLAN_NORMAL}, {"bernoulli", PLAN_BERNOULLI},
};

static bool same_shape(const PlanShape *a, const PlanShape *b)
{
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++) if (strcmp(a->role[i], b->role[i]) || a->size[i] != b->size[i]) return false;
    return true;
}
static const char *tensor_name(const void *p, int i) { return ((const PlanTensor *)p)[i].name; }
static int find_tensor(const PlanTensor *t, int n, const char *name)
{
    for (int i = 0; i < n; i++) if (!strcmp(t[i].name, name)) return i;
    return -1;
}
static int find_string(const char *const *v, int n, const char *name)
{
    for (int i = 0; i < n; i++) if (!strcmp(v[i], name)) return i;
    return -1;
}

/* Lookup of inputs and outputs while a program is read. */
typedef struct { PlanProgram *g; PlanName *inputs, *outputs; int carry_cap; bool has_grad; } Scope;

/* A tensor that has a declaration: shape from there; its own, if given, must be the same. */
static void bind(PlanReader *r, const json_t *o, PlanBuffer *b, const PlanShape *declared)
{
    b->shape = *declared;
    if (json_object_get(o, "roles")) {
        PlanShape own;
        plan_shape(r, o, false, &own);
        if (!r->err && !same_shape(&own, declared)) plan_bad(r, "`%s` has another shape than its declaration", b->name);
    }
    if (shape_elements(declared) != b->elements)
        plan_bad(r, "`%s` has %lld elements, its shape %lld", b->name, (long long)b->elements,
                 (long long)shape_elements(declared));
}
static void read_buffer(PlanReader *r, const json_t *o, PlanBuffer *b, Scope *s, const PlanSegment *seg)
{
    const Plan *p = r->p;
    b->name = plan_str(r, o, "name");
    const char *kind = plan_str(r, o, "kind");
    b->elements = plan_int(r, o, "elements", 0, MAX_ELEMENTS);
    b->set = b->state = b->io = b->first = b->last = b->within = -1;
    size_t k = 0;
    while (k < COUNT(kinds) && strcmp(kinds[k].name, kind)) k++;
    if (k == COUNT(kinds)) plan_bad(r, "`%s` is no kind of buffer", kind);
    if (r->err) return;
    b->kind = kinds[k].kind;
    if (b->kind == BUF_ARENA || b->kind == BUF_PARAM || b->kind == BUF_GRAD)
        b->offset = plan_int(r, o, "offset", 0, MAX_ELEMENTS);
    bool flat = b->kind == BUF_STATE || b->kind == BUF_FLAT, update = seg->phase == PHASE_UPDATE;
    if (flat && !update) plan_bad(r, "a buffer of kind %s outside the update", kind);
    if (update && (b->kind == BUF_INPUT || b->kind == BUF_OUTPUT)) plan_bad(r, "a buffer of kind %s in the update", kind);
    if (b->kind == BUF_GRAD && !s->has_grad) plan_bad(r, "a buffer of kind grad in a program without gradients");
    switch (b->kind) {
    case BUF_ARENA:
        if (json_object_get(o, "type")) {
            const char *type = plan_str(r, o, "type");
            b->type = number_named(type);
            if (b->type == N_NUMBERS || b->type == NUM_TF32) {
                plan_bad(r, "`%s` is no type of elements", type);
                b->type = NUM_F32;
            }
        }
        if (b->offset * 4 + b->elements * number_info[b->type].bytes > seg->peak_bytes) plan_bad(r, "it ends beyond the arena's `peak_bytes`");
        b->first = (int)plan_int(r, o, "first", -1, seg->n_steps - 1);
        b->last = (int)plan_int(r, o, "last", b->first, b->first < 0 ? -1 : seg->n_steps - 1);
        if (!json_object_get(o, "within")) break;
        b->within = (int)plan_int(r, o, "within", 0, seg->n_buffers - 1);
        b->set = find_string(p->set, p->n_sets, plan_str(r, o, "set"));
        if (b->set < 0) plan_bad(r, "its `set` is not in `sets`");
        break;
    case BUF_PARAM:
        b->set = find_string(p->set, p->n_sets, plan_str(r, o, "set"));
        if (b->set < 0) plan_bad(r, "its `set` is not in `sets`");
        /* fallthrough */
    case BUF_GRAD:
        if (b->offset + b->elements > p->param_elements) plan_bad(r, "it ends beyond `param_elements`");
        break;
    case BUF_INPUT:
        b->io = plan_name_index(s->inputs, s->g->n_inputs, b->name);
        if (b->io < 0) plan_bad(r, "the program has no input `%s`", b->name);
        else bind(r, o, b, &s->g->input[b->io].shape);
        break;
    case BUF_OUTPUT:
        b->io = plan_name_index(s->outputs, s->g->n_outputs, b->name);
        if (b->io < 0) plan_bad(r, "the program has no output `%s`", b->name);
        else if (s->g->output_param[b->io] >= 0) plan_bad(r, "the output `%s` must be a buffer of kind grad", b->name);
        else bind(r, o, b, &s->g->output[b->io].shape);
        break;
    case BUF_CARRY: {
        PlanShape shape;
        plan_shape(r, o, false, &shape);
        if (r->err) return;
        b->io = find_tensor(s->g->carry, s->g->n_carries, b->name);
        if (b->io < 0) {
            if (s->g->n_carries >= 1000) { plan_bad(r, "more than 1000 carried tensors"); return; }
            b->io = s->g->n_carries;
            if (s->g->n_carries == s->carry_cap) {
                PlanTensor *v = arena_make(p->arena, PlanTensor, s->carry_cap = 2 * s->carry_cap + 8);
                if (s->g->n_carries) memcpy(v, s->g->carry, (size_t)s->g->n_carries * sizeof *v);
                s->g->carry = v;
            }
            s->g->carry[s->g->n_carries++] = (PlanTensor){.name = b->name, .shape = shape};
        }
        bind(r, o, b, &s->g->carry[b->io].shape);
        break;
    }
    case BUF_STATE:
        for (int i = 0; i < p->n_states; i++) if (!strcmp(p->state[i].name, b->name)) b->state = i;
        if (b->state < 0) plan_bad(r, "there is no state `%s`", b->name);
        if (b->elements != p->param_elements) plan_bad(r, "the flat array `%s` must have `param_elements` elements", b->name);
        break;
    case BUF_FLAT:
        if (strcmp(b->name, "p") && strcmp(b->name, "g")) plan_bad(r, "a flat buffer is called p or g, not `%s`", b->name);
        if (b->elements != p->param_elements) plan_bad(r, "the flat array `%s` must have `param_elements` elements", b->name);
        break;
    }
}
static void read_draw(PlanReader *r, const json_t *o, PlanDraw *d)
{
    d->name = plan_str(r, o, "name");
    if (strncmp(d->name, "draw.", 5)) plan_bad(r, "its name must begin with `draw.`");
    const char *kind = plan_str(r, o, "kind");
    size_t k = 0;
    while (k < COUNT(draws) && strcmp(draws[k].name, kind)) k++;
    if (k == COUNT(draws)) plan_bad(r, "`%s` is no kind of draw", kind);
    else d->kind = draws[k].kind;
    d->p_scalar = -1;
    if (d->kind == PLAN_BERNOULLI) {
        const json_t *ps = json_object_get(o, "p_scalar");
        if (ps && !json_is_null(ps)) d->p_scalar = (int)plan_int(r, o, "p_scalar", 0, r->p->n_scalars - 1);
        else d->p = plan_real(r, o, "p");
        if (d->p_scalar < 0 && !(d->p >= 0 && d->p <= 1)) plan_bad(r, "`p` is outside 0 .. 1");
        if (d->p_scalar >= 0 && !r->p->n_scalars) plan_bad(r, "there are no scalars");
    }
    plan_shape(r, o, false, &d->shape);
    int n = shape_axis(&d->shape, "n");
    d->rows = n < 0 ? 1 : d->shape.size[n];
    d->per_row = shape_elements(&d->shape) / MAX((int64_t)1, d->rows);
}
static int *read_indices(PlanReader *r, const json_t *o, const char *key, int limit, int *n)
{
    const json_t *a = plan_array(r, o, key, n);
    int *v = arena_make(r->p->arena, int, *n + 1);
    for (int i = 0; i < *n; i++) {
        const json_t *j = json_array_get(a, (size_t)i);
        if (!json_is_integer(j) || json_integer_value(j) < 0 || json_integer_value(j) >= limit) {
            plan_bad(r, "an index in `%s` is outside 0 .. %d", key, limit - 1);
            break;
        }
        v[i] = (int)json_integer_value(j);
    }
    return v;
}
/* Every instance's matrices inside of its buffers, and of types that go together. */
static void check_product(PlanReader *r, const PlanProduct *x, const PlanStep *st, const PlanSegment *seg)
{
    const PlanMatrix *matrix[] = {&x->a, &x->b, &x->d};
    int each = st->n_buffers / st->instances;
    for (int i = 0; i < st->instances; i++) {
        const int *buffer = st->buffer + i * each;
        for (int q = 0; q < 3; q++) {
            const PlanMatrix *m = matrix[q];
            if (m->buffer >= each) { plan_bad(r, "`product` names buffer %d of %d", m->buffer, each); return; }
            const PlanBuffer *b = &seg->buffer[buffer[m->buffer]];
            Number held = x->number == NUM_TF32 || m->round != NUM_F32 ? NUM_F32 : x->number;
            if (m->round != NUM_F32 && m->round != x->number) plan_bad(r, "`product` has operands of two precisions");
            if (q < 2 ? b->type != held : b->type != NUM_F32 && b->type != x->number) plan_bad(r, "`product` and buffer `%.100s` differ in type", b->name);
            if (m->offset + m->extent > b->elements) plan_bad(r, "`product` ends beyond buffer `%.100s`", b->name);
        }
        if (x->bias < 0 || r->err) continue;
        const PlanBuffer *bias = x->bias < each ? &seg->buffer[buffer[x->bias]] : NULL;
        if (!bias || bias->type != seg->buffer[buffer[x->d.buffer]].type || x->bias_offset + x->m > bias->elements) plan_bad(r, "the bias of `product` does not fit");
    }
}
/* Steps belong to lives, lines and nodes: what a report and an explanation follow. */
static void read_step(PlanReader *r, const json_t *j, PlanStep *st, const PlanSegment *seg, int at)
{
    const Plan *p = r->p;
    st->kernel = (int)plan_int(r, j, "kernel", 0, MAX(0, p->n_kernels - 1));
    if (!p->n_kernels) plan_bad(r, "there are no kernels");
    st->buffer = read_indices(r, j, "buffers", seg->n_buffers, &st->n_buffers);
    st->instances = json_object_get(j, "instances") ? (int)plan_int(r, j, "instances", 1, 100000) : 1;
    if (!r->err && st->n_buffers % st->instances) plan_bad(r, "%d buffers do not share out among %d instances", st->n_buffers, st->instances);
    int64_t each = p->n_kernels ? p->kernel[st->kernel].bytes : 0;
    st->bytes = json_object_get(j, "bytes") ? plan_int(r, j, "bytes", 0, MAX_COUNT) : MIN(each, MAX_COUNT / st->instances) * st->instances;
    st->draw = read_indices(r, j, "draws", seg->n_draws, &st->n_draws);
    st->at = plan_str_or_null(r, j, "at");
    st->path = plan_str_or_null(r, j, "path");
    st->node = read_indices(r, j, "nodes", MAX_NODES, &st->n_nodes);
    st->source = plan_strings(r, j, "source", &st->n_source);
    for (int i = 0; i < st->n_buffers && !r->err; i++) {
        const PlanBuffer *b = &seg->buffer[st->buffer[i]];
        if (b->kind == BUF_ARENA && (at < b->first || at > b->last))
            plan_bad(r, "it uses buffer %d, `%.100s`, outside its life, %d .. %d", st->buffer[i], b->name, b->first, b->last);
    }
    if (!r->err && p->kernel[st->kernel].product) check_product(r, p->kernel[st->kernel].product, st, seg);
    for (int i = 0; i < st->n_nodes && !r->err; i++)
        if (st->node[i] <= (i ? st->node[i - 1] : 0)) plan_bad(r, "`nodes` must be positive and ascending");
    for (int i = 0; i < st->n_source && !r->err; i++) {
        const char *colon = strrchr(st->source[i], ':');
        size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
        if (!digits || colon == st->source[i] || colon[1 + digits] || digits > 9 || colon[1] == '0')
            plan_bad(r, "`%.100s` in `source` is not FILE:LINE", st->source[i]);
    }
}
static const char *draw_name(const void *p, int i) { return ((const PlanDraw *)p)[i].name; }
static void read_segment(PlanReader *r, const json_t *o, PlanSegment *seg, Scope *s)
{
    Plan *p = r->p;
    seg->name = plan_str(r, o, "name");
    plan_at(r, "segment `%.100s`", seg->name);
    seg->graph = plan_file(r, o, "graph", "graph/");
    if (json_object_get(o, "fused")) plan_file(r, o, "fused", "graph/");
    else if (json_array_size(json_object_get(o, "steps"))) plan_bad(r, "`fused` is missing");
    const char *phase = plan_str_or_null(r, o, "phase");
    seg->phase = !phase                     ? PHASE_NONE
                 : !strcmp(phase, "micro")  ? PHASE_MICRO
                 : !strcmp(phase, "update") ? PHASE_UPDATE
                                            : PHASE_NONE;
    if (phase && seg->phase == PHASE_NONE && *phase) plan_bad(r, "`phase` is neither micro nor update");
    seg->each = plan_str_or_null(r, o, "each");
    seg->time = plan_str_or_null(r, o, "time");
    if (!seg->each != !seg->time) plan_bad(r, "`each` and `time` go together");
    seg->peak_bytes = plan_int(r, o, "peak_bytes", 0, MAX_BYTES);
    seg->flops = plan_int(r, o, "flops", 0, MAX_COUNT);
    seg->bytes = plan_int(r, o, "bytes", 0, MAX_COUNT);
    const json_t *steps = plan_array(r, o, "steps", &seg->n_steps), *a = plan_array(r, o, "buffers", &seg->n_buffers);
    seg->buffer = arena_make(p->arena, PlanBuffer, seg->n_buffers + 1);
    for (int i = 0; i < seg->n_buffers && !r->err; i++) {
        plan_at(r, "segment `%.100s`, buffer %d", seg->name, i);
        read_buffer(r, json_array_get(a, (size_t)i), &seg->buffer[i], s, seg);
    }
    plan_at(r, "segment `%.100s`", seg->name);
    a = plan_array(r, o, "draws", &seg->n_draws);
    seg->draw = arena_make(p->arena, PlanDraw, seg->n_draws + 1);
    for (int i = 0; i < seg->n_draws && !r->err; i++) {
        plan_at(r, "segment `%.100s`, draw %d", seg->name, i);
        read_draw(r, json_array_get(a, (size_t)i), &seg->draw[i]);
    }
    plan_at(r, "segment `%.100s`", seg->name);
    if (!r->err) plan_names(r, "draws", seg->n_draws, draw_name, seg->draw);
    seg->step = arena_make(p->arena, PlanStep, seg->n_steps + 1);
    for (int i = 0; i < seg->n_steps && !r->err; i++) {
        plan_at(r, "segment `%.100s`, step %d", seg->name, i);
        read_step(r, json_array_get(steps, (size_t)i), &seg->step[i], seg, i);
    }
}
static PlanTensor *read_tensors(PlanReader *r, const json_t *o, const char *key, bool zero, int *n)
{
    const json_t *a = plan_array(r, o, key, n);
    PlanTensor *v = arena_make(r->p->arena, PlanTensor, *n + 1);
    for (int i = 0; i < *n && !r->err; i++) {
        const json_t *j = json_array_get(a, (size_t)i);
        v[i].name = plan_str(r, j, "name");
        if (!*v[i].name) plan_bad(r, "an entry of `%s` has no name", key);
        /* a gradient has its parameter's shape, which need not be repeated */
        if (!strncmp(v[i].name, "grad.", 5) && !json_object_get(j, "roles")) continue;
        plan_shape(r, j, zero, &v[i].shape);
    }
    return v;
}
void plan_read_program(PlanReader *r, const json_t *o, PlanProgram *g)
{
    Plan *p = r->p;
    g->name = plan_str(r, o, "name");
    if (!*g->name || strchr(g->name, '/')) plan_bad(r, "`name` is not a name");
    plan_at(r, "program `%.100s`", g->name);
    g->training = plan_bool(r, o, "training");
    g->input = read_tensors(r, o, "inputs", true, &g->n_inputs);
    g->output = read_tensors(r, o, "outputs", false, &g->n_outputs);
    if (r->err) return;
    Scope s = {.g = g};
    s.inputs = plan_names(r, "inputs", g->n_inputs, tensor_name, g->input);
    s.outputs = plan_names(r, "outputs", g->n_outputs, tensor_name, g->output);
    g->output_param = arena_make(p->arena, int, g->n_outputs + 1);
    bool init = !strcmp(g->name, "init"), train = !strcmp(g->name, "train_step");
    s.has_grad = train;
    if (init && g->n_inputs) plan_bad(r, "it may not have inputs");
    for (int i = 0; i < g->n_outputs && !r->err; i++) {
        PlanTensor *t = &g->output[i];
        bool grad = !strncmp(t->name, "grad.", 5);
        int k = grad || init ? plan_name_index(r->params, p->n_params, t->name + (grad ? 5 : 0)) : -1;
        g->output_param[i] = grad ? k : -1;
        s.has_grad |= grad;
        if ((grad || init) && k < 0) plan_bad(r, "the output `%s` is of no parameter", t->name);
        else if (grad && !t->shape.n) t->shape = p->param[k].shape;
        else if ((grad || init) && !same_shape(&t->shape, &p->param[k].shape))
            plan_bad(r, "the output `%s` has another shape than its parameter", t->name);
    }
    int n;
    const json_t *a = plan_array(r, o, "segments", &n);
    if (n < 1 || n > 64) plan_bad(r, "it has %d segments", n);
    if (r->err) return;
    g->segment = arena_make(p->arena, PlanSegment, n);
    g->n_segments = n;
    for (int i = 0; i < n && !r->err; i++) read_segment(r, json_array_get(a, (size_t)i), &g->segment[i], &s);
    plan_at(r, "program `%.100s`", g->name);
    for (int i = 0; i < n && !r->err; i++) {
        if (g->segment[i].phase == PHASE_UPDATE && !train) plan_bad(r, "only train_step has an update");
        if (train && g->segment[i].each) plan_bad(r, "a repeated segment in train_step");
    }
    if (!r->err && train && (n != 2 || g->segment[0].phase != PHASE_MICRO || g->segment[1].phase != PHASE_UPDATE))
        plan_bad(r, "it must have the segments micro and update");
    if (!r->err && init && g->n_outputs != p->n_params) plan_bad(r, "it must have one output for each parameter");
}
