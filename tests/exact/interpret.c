/* Graph text in the prime field: one naive loop for each operation, every view built in full; shares only field.h with the
   kernels. Assumes graphs checked by ref_graph.c and small tensors. */
#include "tests/exact/exact.h"

enum { MAX_LOOPS = 2 * PLAN_MAX_AXES };

/* ---- loops over named axes, with offsets into several tensors ---- */
typedef struct { int n; Sym role[MAX_LOOPS]; int64_t size[MAX_LOOPS], index[MAX_LOOPS]; } Loops;
typedef struct { int64_t stride[MAX_LOOPS], at; } Walk;

static void add_loop(Loops *l, Sym role, int64_t size)
{
    CHECK_BUG(l->n < MAX_LOOPS);
    l->role[l->n] = role;
    l->size[l->n++] = size;
}
static Loops loops_of(const PlanShape *s)
{
    Loops l = {0};
    for (int i = 0; i < s->n; i++) add_loop(&l, s->role[i], s->size[i]);
    return l;
}
/* Row-major offsets into a tensor of shape s; loops that it has not leave it where it is. */
static Walk walk(const Loops *l, const PlanShape *s)
{
    Walk w = {{0}, 0};
    for (int k = 0; k < l->n; k++) {
        int64_t stride = 1;
        for (int i = s->n; i--; stride *= s->size[i]) if (!strcmp(s->role[i], l->role[k])) w.stride[k] = stride;
    }
    return w;
}
static bool advance(Loops *l, int from, Walk *w, int n)
{
    for (int k = l->n; k-- > from; ) {
        for (int i = 0; i < n; i++) w[i].at += w[i].stride[k];
        if (++l->index[k] < l->size[k]) return true;
        for (int i = 0; i < n; i++) w[i].at -= w[i].stride[k] * l->size[k];
        l->index[k] = 0;
    }
    return false;
}

/* ---- operations ---- */
static Fp elem(const RefNode *n, Fp x, Fp y, Fp z)
{
    switch (n->op) {
#define FP_FUNCTION(name, value) case R_##name: return fp_##name(x);
    FP_FUNCTIONS
#undef FP_FUNCTION
    case R_neg: return fp_neg(x);
    case R_stop: case R_f32: case R_nan_to_num: return x;
    case R_isfinite: return 1;
    case R_not: return !x;
    case R_add: return fp_add(x, y);
    case R_sub: return fp_sub(x, y);
    case R_mul: return fp_mul(x, y);
    case R_div: return fp_div(x, y);
    case R_pow: return fp_pow(x, y);
    case R_max: return fp_max(x, y);
    case R_min: return fp_min(x, y);
    case R_lt: return fp_less(x, y);
    case R_le: return !fp_less(y, x);
    case R_eq: return x == y;
    case R_and: return x && y;
    case R_or: return x || y;
    case R_where: case R_rows: return x ? y : z;
    default: die("exact mode: `%s` is not element-wise", ref_ops[n->op].name);
    }
}
static void run_elem(const RefGraph *g, const RefNode *n, Fp *const *value, Fp *out)
{
    Loops l = loops_of(&n->shape);
    Walk w[3] = {{{0}, 0}};
    const Fp *x[3] = {value[n->in[0]], value[n->in[0]], value[n->in[0]]};
    for (int i = 0; i < n->n_in; i++) w[i] = walk(&l, &g->node[n->in[i]].shape), x[i] = value[n->in[i]];
    int64_t e = 0;
    do out[e++] = elem(n, x[0][w[0].at], x[1][w[1].at], x[2][w[2].at]); while (advance(&l, 0, w, n->n_in));
}

/* The axis of view n that each axis of its operand x goes with, or -1. */
static void axes_from(const RefNode *n, const RefNode *x, int *from)
{
    for (int i = 0; i < x->shape.n; i++)
        from[i] = n->op == R_rename && i == n->axis ? n->out_axis : shape_axis(&n->shape, x->shape.role[i]);
}
/* Index of each axis of operand x for element `at` of view n; start: where x begins in a concatenation. false: outside, 0. */
static bool view_index(const RefNode *n, const RefNode *x, const int *from, const int64_t *at, int64_t start, int64_t *to)
{
    if (n->op == R_rearrange) {
        const RefRearrange *r = n->rearrange;
        memset(to, 0, sizeof *to * PLAN_MAX_AXES);
        for (int f = 0; f < r->n_factors; f++)
            to[r->in_axis[f]] += at[r->out_axis[f]] / r->out_stride[f] % r->factor[f] * r->in_stride[f];
        return true;
    }
    for (int i = 0; i < x->shape.n; i++) to[i] = from[i] < 0 ? 0 : at[from[i]];
    int64_t i = 0;
    switch (n->op) {
    case R_rename: case R_expand: return true;
    case R_pick: to[n->axis] = n->a; return true;
    case R_concat:
        for (int k = 0; k < x->shape.n; k++) if (from[k] == n->out_axis) to[k] -= start;
        return true;
    case R_slice: i = at[n->out_axis] + n->a; break;
    case R_pad: i = at[n->out_axis] - n->a; break;
    case R_repeat: i = at[n->out_axis] / n->a; break;
    case R_window: i = at[n->out_axis] * n->stride + at[n->out_kaxis] * n->dil - n->pad; break;
    case R_unwindow:
        i = at[n->out_axis] + n->pad - at[n->out_kaxis] * n->dil;
        if (i % n->stride) return false;
        i /= n->stride;
        break;
    default: die("exact mode: `%s` is not a view", ref_ops[n->op].name);
    }
    to[n->axis] = i;
    return i >= 0 && i < x->shape.size[n->axis];
}
static void run_view(const RefGraph *g, const RefNode *n, Fp *const *value, Fp *out)
{
    Loops l = loops_of(&n->shape);
    int64_t e = 0, to[PLAN_MAX_AXES];
    int64_t *end = xcalloc((size_t)n->n_in, sizeof *end);            /* of each piece of a concatenation */
    int (*from)[PLAN_MAX_AXES] = xcalloc((size_t)n->n_in, sizeof *from);
    for (int k = 0; k < n->n_in; k++) {
        const RefNode *x = &g->node[n->in[k]];
        axes_from(n, x, from[k]);
        for (int i = 0; n->op == R_concat && i < x->shape.n; i++)
            if (from[k][i] == n->out_axis) end[k] = (k ? end[k - 1] : 0) + x->shape.size[i];
    }
    do {
        int k = 0;
        while (n->op == R_concat && l.index[n->out_axis] >= end[k]) k++;
        const RefNode *x = &g->node[n->in[k]];
        out[e] = 0;
        if (view_index(n, x, from[k], l.index, k ? end[k - 1] : 0, to)) {
            int64_t at = 0;
            for (int i = 0; i < x->shape.n; i++) at = at * x->shape.size[i] + to[i];
            out[e] = value[n->in[k]][at];
        }
        e++;
    } while (advance(&l, 0, NULL, 0));
    free(end);
    free(from);
}

/* sum, sqdev, rmax, contract: loops over the result, inside them over what is reduced. */
static void run_reduce(const RefGraph *g, const RefNode *n, Fp *const *value, Fp *out)
{
    Loops l = loops_of(&n->shape);
    const PlanShape *s[2] = {&g->node[n->in[0]].shape, &g->node[n->in[n->n_in - 1]].shape};
    for (int i = 0; i < n->n_reduced; i++) {
        int k = shape_axis(s[0], n->reduced_role[i]), j = shape_axis(s[1], n->reduced_role[i]);
        add_loop(&l, n->reduced_role[i], k >= 0 ? s[0]->size[k] : s[1]->size[j]);
    }
    Walk w[2] = {walk(&l, s[0]), walk(&l, s[1])};
    const Fp *x = value[n->in[0]], *y = value[n->in[n->n_in - 1]];
    Loops outer = l;
    outer.n = n->shape.n;
    int64_t e = 0;
    do {
        FpWide sum = 0, squares = 0;
        Fp top = x[w[0].at];
        int64_t count = 0;
        do {
            Fp v = x[w[0].at];
            sum += n->op == R_contract ? (FpWide)v * y[w[1].at] : v;
            if (n->op == R_sqdev) squares += (FpWide)v * v;
            if (++count % 32 == 0) sum = fp_reduce(sum), squares = fp_reduce(squares);
            top = fp_max(top, v);
        } while (advance(&l, n->shape.n, w, 2));
        Fp s = fp_reduce(sum);
        out[e++] = n->op == R_rmax ? top : n->op != R_sqdev ? s
                   : fp_sub(fp_reduce(squares), fp_div(fp_mul(s, s), fp_int(count)));       /* sum x^2 - (sum x)^2 / count */
    } while (advance(&outer, 0, w, 2));
}

/* Tables of rows: numbers, as kernels hold them. */
static void run_table(const RefNode *n, const Fp *holds, int64_t rows, Fp *out)
{
    int64_t place = 0;
    if (n->op == R_rows_count) out[0] = 0;           /* when none holds */
    for (int wanted = 1; wanted >= 0; wanted--)
        for (int64_t i = 0; i < rows; i++) {
            if ((holds[i] != 0) != wanted) continue;
            if (n->op == R_rows_order) out[place] = fp_int(i);
            else if (n->op == R_rows_rank) out[i] = fp_int(place);
            else if (wanted) out[0] = fp_int(place + 1);
            place++;
        }
}
/* y[n] = x[table[n]], rows past a count as well. */
static void run_take(const RefGraph *g, const RefNode *n, Fp *const *value, Fp *out)
{
    const RefNode *x = &g->node[n->in[0]], *table = &g->node[n->in[1]];
    Loops l = loops_of(&n->shape);
    Walk w = walk(&l, &x->shape);
    int row = shape_axis(&n->shape, table->shape.role[0]);
    int64_t e = 0;
    do out[e++] = value[n->in[0]][w.at + w.stride[row] * (fp_signed(value[n->in[1]][l.index[row]]) - l.index[row])];
    while (advance(&l, 0, &w, 1));
}

static void run_draw(const Tensors *t, const RefGraph *g, const RefNode *n, Fp *const *value, Fp *out)
{
    Loops l = loops_of(&n->shape);
    Sym rows = sym("n"), c = sym("c");
    Walk w[2] = {{{0}, 0}};                          /* the element's number, c innermost; the probability */
    int64_t stride = 1, e = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = l.n; i--; ) {
            if (l.role[i] == rows || (l.role[i] == c) == pass) continue;
            w[0].stride[i] = stride;
            stride *= l.size[i];
        }
    int row = shape_axis(&n->shape, "n");
    uint64_t key = draw_key(n->name);
    if (n->n_in) w[1] = walk(&l, &g->node[n->in[0]].shape);
    do {
        uint64_t sample = row < 0 ? 0 : t->sample0 + (uint64_t)l.index[row];
        uint64_t threshold = n->kind != PLAN_BERNOULLI ? 0 : n->n_in ? value[n->in[0]][w[1].at] : fp_threshold(n->value);
        out[e++] = fp_draw(key, t->step, sample, (uint64_t)w[0].at, threshold);
    } while (advance(&l, 0, w, 2));
}

/* ---- inputs and outputs by name ---- */
/* Where a named tensor lies, and the stride of each axis of node n there. */
static int tensor_index(const PlanTensor *v, int n, const char *name)
{
    for (int i = 0; i < n; i++) if (!strcmp(v[i].name, name)) return i;
    return -1;
}
static Fp *find(const PlanSegment *segment, const Tensors *t, const char *name, bool output, const RefNode *n, Walk *w)
{
    const Plan *plan = t->plan;
    const PlanProgram *p = t->program;
    Loops l = loops_of(&n->shape);
    int i = -1;
    *w = walk(&l, &n->shape);
    if (segment->phase == PHASE_UPDATE) {
        if (!strcmp(name, "p")) return t->set[0];
        if (!strcmp(name, "g")) return t->grad;
        for (int k = 0; k < plan->n_states; k++) if (!strcmp(plan->state[k].name, name)) return t->state[k];
    }
    if ((i = tensor_index(p->carry, p->n_carries, name)) >= 0) {
        *w = walk(&l, &p->carry[i].shape);
        return t->carry[i];
    }
    const PlanTensor *v = output ? p->output : p->input;
    i = tensor_index(v, output ? p->n_outputs : p->n_inputs, name);
    int k = output && i >= 0 ? p->output_param[i] : output && !strncmp(name, "grad.", 5) ? plan_param_index(plan, name + 5) : -1;
    if (k >= 0) {
        const PlanParam *q = &plan->param[k];
        for (int a = 0; a < l.n; a++) w->stride[a] = q->stride[shape_axis(&q->shape, l.role[a])];
        return t->grad + q->offset;
    }
    if (i < 0 || !(output ? t->out : t->in)[i])
        user_error("%s: the program has no %s `%s`", segment->graph, output ? "output" : "input", name);
    *w = walk(&l, &v[i].shape);
    return (output ? t->out : t->in)[i];
}
static void load(const PlanSegment *segment, const Tensors *t, const RefNode *n, Fp *out)
{
    Loops l = loops_of(&n->shape);
    Walk w = {{0}, 0};
    const Fp *from;
    int64_t e = 0;
    if (n->op == R_param) {
        const PlanParam *q = &t->plan->param[n->index];
        for (int a = 0; a < l.n; a++) w.stride[a] = q->stride[shape_axis(&q->shape, l.role[a])];
        from = t->set[n->set] + q->offset;
    } else {
        from = find(segment, t, n->name, false, n, &w);
    }
    do out[e++] = from[w.at]; while (advance(&l, 0, &w, 1));
}
static void store(const PlanSegment *segment, Tensors *t, const RefGraph *g, const RefOut *o, const Fp *value)
{
    const RefNode *n = &g->node[o->node];
    Loops l = loops_of(&n->shape);
    Walk w;
    Fp *to = find(segment, t, o->name, true, n, &w);
    int64_t e = 0;
    do to[w.at] = value[e++]; while (advance(&l, 0, &w, 1));
}

/* ---- the walk ---- */
Interpreter *interpreter_new(const Plan *plan, const PlanSegment *segment, bool fused)
{
    Interpreter *x = xcalloc(1, sizeof *x);
    char *file = xasprintf("%.*s%s", (int)strlen(segment->graph) - 4, segment->graph, fused ? ".fused.txt" : ".txt");
    char *path = plan_path(plan, file), *err = NULL, *text = read_file(path, NULL);
    if (!text) machine_error("cannot read %s", path);
    x->g = ref_graph_parse(text, plan, &err);
    if (!x->g) user_error("%s is not a valid graph: %s", path, err);
    x->value = xcalloc((size_t)x->g->n, sizeof *x->value);
    x->keep = xcalloc((size_t)x->g->n, sizeof *x->keep);
    x->count = xcalloc((size_t)x->g->n, sizeof *x->count);
    for (int k = 0; k < x->g->n; k++) {              /* rows past a count stay such until `rows_rank` takes the others */
        const RefNode *n = &x->g->node[k];
        x->count[k] = n->op == R_take && n->n_in == 3 ? n->in[2] : -1;
        for (int i = 0; i < n->n_in && x->count[k] < 0 && n->op != R_take; i++) x->count[k] = x->count[n->in[i]];
        if (x->count[k] >= 0) x->keep[x->count[k]] = true;
    }
    for (int i = 0; i < segment->n_buffers && fused; i++) {
        int k = node_of_buffer(x, segment->buffer[i].name);
        if (k >= 0) x->keep[k] = true;
    }
    free(file);
    free(text);
    free(path);
    return x;
}
int node_of_buffer(const Interpreter *x, const char *name)
{
    char *end;
    for (int i = 0; i < x->g->n_out; i++) if (!strcmp(x->g->out[i].name, name)) return x->g->out[i].node;
    if (name[0] != 'v') return -1;
    long id = strtol(name + 1, &end, 10);            /* the text's ids count from 1 without a gap */
    return *end || end == name + 1 || id < 1 || id > x->g->n ? -1 : (int)id - 1;
}
static void compute(const PlanSegment *segment, const Tensors *t, const RefGraph *g, const RefNode *n, Fp *const *value, Fp *out)
{
    switch (n->op) {
    case R_input: case R_param: load(segment, t, n, out); return;
    case R_const: out[0] = fp_real((float)n->value); return;
    case R_scalar: out[0] = t->scalar[n->index]; return;
    case R_iota: for (int64_t i = 0; i < n->elements; i++) out[i] = fp_int(i); return;
    case R_draw: run_draw(t, g, n, value, out); return;
    case R_standardize: case R_softmax: user_error("%s: `%s` was not expanded", segment->graph, ref_ops[n->op].name);
    case R_take: run_take(g, n, value, out); return;
    case R_rows_order: case R_rows_rank: case R_rows_count:
        run_table(n, value[n->in[0]], g->node[n->in[0]].elements, out);
        return;
    default: break;
    }
    if (ref_ops[n->op].cls == REF_E) run_elem(g, n, value, out);
    else if (ref_ops[n->op].cls == REF_R) run_reduce(g, n, value, out);
    else run_view(g, n, value, out);
}
void interpreter_run(Interpreter *x, const PlanSegment *segment, Tensors *t)
{
    const RefGraph *g = x->g;
    int *last = xmalloc((size_t)g->n * sizeof *last);
    for (int k = 0; k < g->n; k++) last[k] = k;
    for (int k = 0; k < g->n; k++) for (int i = 0; i < g->node[k].n_in; i++) last[g->node[k].in[i]] = k;
    for (int i = 0; i < g->n_out; i++) last[g->out[i].node] = g->n;
    for (int k = 0; k < g->n; k++) {
        const RefNode *n = &g->node[k];
        free(x->value[k]);
        x->value[k] = xmalloc((size_t)MAX((int64_t)1, n->elements) * sizeof(Fp));
        compute(segment, t, g, n, x->value, x->value[k]);
        for (int i = 0; i < n->n_in; i++)
            if (last[n->in[i]] == k && !x->keep[n->in[i]]) free(x->value[n->in[i]]), x->value[n->in[i]] = NULL;
    }
    for (int i = 0; i < g->n_out; i++) store(segment, t, g, &g->out[i], x->value[g->out[i].node]);
    free(last);
}
void interpreter_free(Interpreter *x)
{
    for (int k = 0; k < x->g->n; k++) free(x->value[k]);
    free(x->value);
    free(x->keep);
    free(x->count);
    ref_graph_free(x->g);
    free(x);
}
