/* A naive evaluator of graphs in double precision, for tests: one loop per node, every operation as docs/graph.md states it.
   Assumes small graphs; bf16, f16, tf32 and f32 are the identity here, so that differences can be taken through them. */
#ifndef ECT_TEST_EVAL_H
#define ECT_TEST_EVAL_H
#include "compiler/graph.h"
#include <math.h>

typedef struct { Sym name; int64_t n; double *v; } Bound;              /* values of an input; a parameter's name is "#INDEX" */
typedef struct { Bound b[32]; int n; } Bindings;
typedef struct { const Graph *g; double **v; } Eval;
typedef struct { int n; Sym role[4 * MAX_AXES]; int64_t at[4 * MAX_AXES]; } Index;

static int64_t *index_find(Index *x, Sym role)
{
    for (int i = 0; i < x->n; i++)
        if (x->role[i] == role) return &x->at[i];
    return NULL;
}

static void index_set(Index *x, Sym role, int64_t v)
{
    int64_t *p = index_find(x, role);
    if (p) { *p = v; return; }
    x->role[x->n] = role;
    x->at[x->n++] = v;
}

static double load(const Eval *e, Ref r, Index *x)
{
    const Node *n = N(e->g, r);
    int64_t o = 0;
    for (int i = 0; i < n->n_axes; i++) {
        int64_t *p = index_find(x, n->axes[i].role);
        if (!p || *p < 0 || *p >= n->axes[i].size) die("evaluator: bad index of `%s`", n->axes[i].role);
        o = o * n->axes[i].size + *p;
    }
    return e->v[r][o];
}

static double hashed(uint64_t a, uint64_t b)                           /* in [0, 1) */
{
    uint64_t w[2] = { a, b };
    return (double)(hash64(w, sizeof w, 7) >> 11) * 0x1p-53;
}

static double draw_value(const Node *n, int64_t i, double p)
{
    double u = hashed(hash64(n->a.draw.path, strlen(n->a.draw.path), 1), (uint64_t)i);
    if (n->a.draw.kind == DRAW_BERNOULLI) return u < p;
    return n->a.draw.kind == DRAW_UNIFORM ? u : 4 * u - 2;
}

static double elem_value(const Node *n, const double *v)
{
    double x = v[0], y = v[1];
    switch (n->op) {
    case OP_neg: return -x;
    case OP_abs: return fabs(x);
    case OP_exp: return exp(x);
    case OP_log: return log(x);
    case OP_sin: return sin(x);
    case OP_cos: return cos(x);
    case OP_sqrt: return sqrt(x);
    case OP_rsqrt: return 1 / sqrt(x);
    case OP_sigmoid: return 1 / (1 + exp(-x));
    case OP_tanh: return tanh(x);
    case OP_erf: return erf(x);
    case OP_floor: return floor(x);
    case OP_sign: return x > 0 ? 1 : x < 0 ? -1 : x;
    case OP_stop: case OP_bf16: case OP_f16: case OP_tf32: case OP_f32: return x;
    case OP_nan_to_num: return x != x ? n->a.nan_to_num.nan : isinf(x) ? (x > 0 ? n->a.nan_to_num.inf : -n->a.nan_to_num.inf) : x;
    case OP_isfinite: return isfinite(x) ? 1 : 0;
    case OP_not: return !x;
    case OP_add: return x + y;
    case OP_sub: return x - y;
    case OP_mul: return x * y;
    case OP_div: return x / y;
    case OP_pow: return pow(x, y);
    case OP_max: return x != x || y != y ? NAN : x > y ? x : y;
    case OP_min: return x != x || y != y ? NAN : x < y ? x : y;
    case OP_lt: return x < y;
    case OP_le: return x <= y;
    case OP_eq: return x == y;
    case OP_and: return x && y;
    case OP_or: return x || y;
    default: return x ? y : v[2];
    }
}

static double reduce_value(const Eval *e, const Node *n, Index *x, int level)
{
    if (level == n->a.reduce.n) return n->op == OP_contract ? load(e, n->in[0], x) * load(e, n->in[1], x) : load(e, n->in[0], x);
    Sym axis = n->a.reduce.axis[level];
    const Axis *a = NULL;
    for (int k = 0; k < n->n_in && !a; k++) a = find_axis(N(e->g, n->in[k]), axis);
    double r = n->op == OP_rmax ? -INFINITY : 0;
    for (int64_t i = 0; i < a->size; i++) {
        index_set(x, axis, i);
        double v = reduce_value(e, n, x, level + 1);
        r = n->op == OP_rmax ? (v > r ? v : r) : r + v;
    }
    return r;
}

/* Sum of (x - mean)^2: with `mean` NULL the sum of x, else of the squares. */
static double deviations(const Eval *e, const Node *n, Index *x, int level, const double *mean, double *count)
{
    if (level == n->a.reduce.n) {
        double v = load(e, n->in[0], x);
        *count += 1;
        return mean ? (v - *mean) * (v - *mean) : v;
    }
    double r = 0;
    int64_t size = find_axis(N(e->g, n->in[0]), n->a.reduce.axis[level])->size;
    for (int64_t i = 0; i < size; i++) {
        index_set(x, n->a.reduce.axis[level], i);
        r += deviations(e, n, x, level + 1, mean, count);
    }
    return r;
}

static double sqdev_value(const Eval *e, const Node *n, Index *x)
{
    double count = 0, mean = deviations(e, n, x, 0, NULL, &count);
    mean /= count;
    return deviations(e, n, x, 0, &mean, &count);
}

/* Mean and 1/sqrt(var + eps), or maximum and 1/sum, over the reduced axes around one element. */
static void around(const Eval *e, const Node *n, Index *x, int level, int what, double shift, double *acc, double *count)
{
    if (level == n->a.reduce.n) {
        double v = load(e, n->in[0], x);
        *count += 1;
        if (what == 0) *acc += v;
        if (what == 1) *acc += (v - shift) * (v - shift);
        if (what == 2) *acc = v > *acc ? v : *acc;
        if (what == 3) *acc += exp(v - shift);
        return;
    }
    int64_t *p = index_find(x, n->a.reduce.axis[level]), keep = *p, size = find_axis(n, n->a.reduce.axis[level])->size;
    for (int64_t i = 0; i < size; i++) {
        *index_find(x, n->a.reduce.axis[level]) = i;
        around(e, n, x, level + 1, what, shift, acc, count);
    }
    *index_find(x, n->a.reduce.axis[level]) = keep;
}

static double composite_value(const Eval *e, const Node *n, Index *x)
{
    bool std = n->op == OP_standardize;
    double a = std ? 0 : -INFINITY, b = 0, count = 0, again = 0, v = load(e, n->in[0], x);
    around(e, n, x, 0, std ? 0 : 2, 0, &a, &count);
    if (std) a /= count;
    around(e, n, x, 0, std ? 1 : 3, a, &b, &again);
    return std ? (v - a) / sqrt(b / count + n->a.reduce.eps) : exp(v - a) / b;
}

static double view_value(const Eval *e, const Node *n, Index *x)
{
    const Attr *a = &n->a;
    const Node *in = N(e->g, n->in[0]);
    int64_t i;
    switch (n->op) {
    case OP_rename: i = *index_find(x, a->rename.to); index_set(x, a->rename.from, i); break;
    case OP_slice: *index_find(x, a->slice.axis) += a->slice.start; break;
    case OP_pick: index_set(x, a->pick.axis, a->pick.index); break;
    case OP_pad:
        i = *index_find(x, a->pad.axis) - a->pad.lo;
        if (i < 0 || i >= find_axis(in, a->pad.axis)->size) return 0;
        *index_find(x, a->pad.axis) = i;
        break;
    case OP_concat: {
        int k = 0;
        for (i = *index_find(x, a->concat.axis);; k++) {
            int64_t size = find_axis(N(e->g, n->in[k]), a->concat.axis)->size;
            if (i < size) break;
            i -= size;
        }
        *index_find(x, a->concat.axis) = i;
        return load(e, n->in[k], x);
    }
    case OP_take: {                                                    /* rows past the count hold anything: NaN shows who reads them */
        int64_t *row = index_find(x, N(e->g, n->in[1])->axes[0].role);
        if (n->n_in == 3 && (double)*row >= e->v[n->in[2]][0]) return NAN;
        *row = (int64_t)e->v[n->in[1]][*row];
        break;
    }
    case OP_repeat: *index_find(x, a->repeat.axis) /= a->repeat.times; break;
    case OP_window:
        i = *index_find(x, a->window.axis) * a->window.stride + *index_find(x, a->window.kaxis) * a->window.dil - a->window.pad;
        if (i < 0 || i >= find_axis(in, a->window.axis)->size) return 0;
        *index_find(x, a->window.axis) = i;
        break;
    case OP_unwindow:
        i = *index_find(x, a->unwindow.axis) + a->unwindow.pad - *index_find(x, a->unwindow.kaxis) * a->unwindow.dil;
        if (i < 0 || i % a->unwindow.stride || i / a->unwindow.stride >= find_axis(in, a->unwindow.axis)->size) return 0;
        *index_find(x, a->unwindow.axis) = i / a->unwindow.stride;
        break;
    case OP_rearrange: {
        const Rearrange *r = a->rearrange;
        int64_t digit[2 * MAX_AXES];
        for (int k = 0, f = 0; k < r->n_out; f += r->out_count[k++]) {
            i = *index_find(x, n->axes[k].role);
            for (int p = f + r->out_count[k]; p-- > f; i /= r->factor[r->out_factor[p]]) digit[r->out_factor[p]] = i % r->factor[r->out_factor[p]];
        }
        for (int k = 0, f = 0; k < r->n_in; k++) {
            i = 0;
            for (int p = 0; p < r->in_count[k]; p++, f++) i = i * r->factor[f] + digit[f];
            index_set(x, in->axes[k].role, i);
        }
        break;
    }
    default: break;
    }
    return load(e, n->in[0], x);
}

static double source_value(const Eval *e, const Node *n, Index *x, const Bindings *b, int64_t i)
{
    char name[16] = "";
    if (n->op == OP_const) return n->a.konst.value;
    if (n->op == OP_scalar) return 0.7 + n->a.scalar.index;
    if (n->op == OP_iota) return (double)i;
    if (n->op == OP_draw) return draw_value(n, i, n->n_in ? load(e, n->in[0], x) : n->a.draw.p);
    if (n->op == OP_param) snprintf(name, sizeof name, "#%d", n->a.param.index);
    Sym want = n->op == OP_param ? sym(name) : n->a.input.name;
    for (int k = 0; k < b->n; k++)
        if (b->b[k].name == want) return b->b[k].v[i];
    die("evaluator: nothing is bound to `%s`", want);
}

static double table_value(const Eval *e, const Node *n, int64_t row)
{
    const double *c = e->v[n->in[0]];
    int64_t rows = node_elements(N(e->g, n->in[0])), held = 0, before = 0;
    for (int64_t i = 0; i < rows; i++) held += c[i] != 0;
    if (n->op == OP_rows_count) return (double)held;
    for (int64_t i = 0; i < rows; i++) {
        int64_t place = c[i] != 0 ? before : held + i - before;
        before += c[i] != 0;
        if (n->op == OP_rows_order ? place == row : i == row) return (double)(n->op == OP_rows_order ? i : place);
    }
    die("evaluator: no row %lld", (long long)row);
}

static double node_value(const Eval *e, const Node *n, Index *x, const Bindings *b, int64_t i)
{
    double v[3] = { 0 };
    switch (op_info[n->op].cls) {
    case OPC_SOURCE: return source_value(e, n, x, b, i);
    case OPC_ELEM:
        for (int k = 0; k < n->n_in; k++) v[k] = load(e, n->in[k], x);
        return elem_value(n, v);
    case OPC_VIEW: return view_value(e, n, x);
    case OPC_REDUCE: return (n->op == OP_sqdev ? sqdev_value(e, n, x) : reduce_value(e, n, x, 0));
    case OPC_TABLE: return table_value(e, n, i);
    default: return composite_value(e, n, x);
    }
}

/* All nodes' values, in each node's own axis order. */
static Eval eval_graph(const Graph *g, const Bindings *b)
{
    Eval e = { g, xcalloc(g->n, sizeof(double *)) };
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        int64_t count = node_elements(n);
        e.v[r] = xcalloc((size_t)count, sizeof(double));
        for (int64_t i = 0; i < count; i++) {
            Index x = { 0 };
            int64_t rest = i, at[MAX_AXES];
            for (int k = n->n_axes; k-- > 0; rest /= n->axes[k].size) at[k] = rest % n->axes[k].size;
            for (int k = 0; k < n->n_axes; k++) index_set(&x, n->axes[k].role, at[k]);
            e.v[r][i] = node_value(&e, n, &x, b, i);
        }
    }
    return e;
}

static void eval_free(Eval *e)
{
    for (Ref r = 1; r < e->g->n; r++) free(e->v[r]);
    free(e->v);
}
#endif
