/* Gradients: one reverse walk over the node ids and a table of small rules named in ops.def. Rules of views are in autodiff_views.c.
   Assumes a scalar loss and composites not yet expanded; makes nodes only on the way to what gradients are asked of. */
#include "compiler/autodiff.h"
#include <math.h>

void (*grad_error)(const Origin *at, const char *op);

/* ---- contributions ---- */
bool wants(const Tape *t, Ref z, int k) { return t->needs[N(t->g, z)->in[k]]; }

void give_whole(Tape *t, Ref z, int k, Ref c)
{
    Parts *p = &t->to[N(t->g, z)->in[k]];
    vec_push(p->v, p->n, p->cap, c);
}

/* Gives operand k the sum of c over the roles of z that the operand lacks; a role that c lacks too counts by its size. */
static void give(Tape *t, Ref z, int k, Ref c)
{
    Graph *g = t->g;
    const Node *m = N(g, z), *x = N(g, m->in[k]);
    Sym over[MAX_AXES];
    int n = 0;
    double times = 1;
    for (int i = 0; i < m->n_axes; i++) {
        if (find_axis(x, m->axes[i].role)) continue;
        if (find_axis(N(g, c), m->axes[i].role)) over[n++] = m->axes[i].role;
        else times *= (double)m->axes[i].size;
    }
    give_whole(t, z, k, mk_binary(g, OP_mul, mk_sum(g, c, n, over), mk_const(g, times)));
}

/* Element-wise rules join by role, so they need no role along which the gradient does not change. */
static Ref thin(const Graph *g, Ref r)
{
    while (N(g, r)->op == OP_expand) r = N(g, r)->in[0];
    return r;
}

Ref join_pads(Graph *g, Ref x, Ref y)
{
    const Node *a = N(g, x), *b = N(g, y);
    if (a->op != OP_pad || b->op != OP_pad || a->a.pad.axis != b->a.pad.axis || a->n_axes != b->n_axes) return 0;
    Sym axis = a->a.pad.axis;
    int64_t size = find_axis(a, axis)->size;
    if (a->a.pad.lo > b->a.pad.lo) { const Node *c = a; a = b; b = c; }
    int64_t lo = a->a.pad.lo, end = size - a->a.pad.hi, gap = b->a.pad.lo - end, hi = b->a.pad.hi;
    if (gap < 0) return 0;
    Ref pieces[2] = { a->in[0], b->in[0] };
    pieces[0] = mk_pad(g, pieces[0], axis, 0, gap);
    return mk_pad(g, mk_concat(g, axis, 2, pieces), axis, lo, hi);
}

static const Graph *sorting;
static int by_start(const void *x, const void *y)
{
    Ref a = *(const Ref *)x, b = *(const Ref *)y;
    int64_t i = N(sorting, a)->a.pad.lo, j = N(sorting, b)->a.pad.lo;
    return i != j ? (i < j ? -1 : 1) : a < b ? -1 : a > b;
}

/* Siblings picked or sliced from one tensor: their gradients become one concatenation, read as one piecewise load. */
static void join_siblings(Graph *g, Parts *p)
{
    for (int i = 0; i < p->n; i++) {
        if (N(g, p->v[i])->op != OP_pad) continue;
        Sym axis = N(g, p->v[i])->a.pad.axis;
        Parts pads = { 0 }, rest = { 0 };
        for (int k = 0; k < p->n; k++) {
            if (k >= i && N(g, p->v[k])->op == OP_pad && N(g, p->v[k])->a.pad.axis == axis) vec_push(pads.v, pads.n, pads.cap, p->v[k]);
            else vec_push(rest.v, rest.n, rest.cap, p->v[k]);
        }
        sorting = g;
        qsort(pads.v, (size_t)pads.n, sizeof *pads.v, by_start);
        int at = rest.n;
        for (int k = 0; k < pads.n; k++) {
            Ref joined = rest.n > at ? join_pads(g, rest.v[rest.n - 1], pads.v[k]) : 0;
            if (joined) rest.v[rest.n - 1] = joined;
            else vec_push(rest.v, rest.n, rest.cap, pads.v[k]);
        }
        bool less = rest.n < p->n;
        free(pads.v);
        free(p->v);
        *p = rest;
        if (less) i = -1;                            /* joined pads may be pads of another piece: look again */
    }
}

/* The gradient of forward node x: all contributions added, with all of x's roles. */
static Ref total(Tape *t, Ref x)
{
    Graph *g = t->g;
    Parts *p = &t->to[x];
    if (p->n > 1) join_siblings(g, p);
    Ref sum = p->v[0];
    for (int i = 1; i < p->n; i++) sum = mk_binary(g, OP_add, sum, p->v[i]);
    const Axis *axes = N(g, x)->axes;
    for (int i = 0, n = N(g, x)->n_axes; i < n; i++)
        if (!find_axis(N(g, sum), axes[i].role)) sum = mk_expand(g, sum, axes[i].role, axes[i].size);
    p->v[0] = sum;
    p->n = 1;
    return sum;
}

/* ---- rules ---- */
#define RULE(name) static void name(Tape *t, Ref z, Ref dy)
#define IN(k) (N(t->g, z)->in[k])
#define C(v) mk_const(t->g, v)
#define UN(op, x) mk_unary(t->g, OP_##op, x)
#define BIN(op, x, y) mk_binary(t->g, OP_##op, x, y)

RULE(zero) { (void)t; (void)z; (void)dy; }
RULE(leaf) { (void)t; (void)z; (void)dy; }
RULE(none) { (void)t; (void)z; (void)dy; }

RULE(d_neg) { give(t, z, 0, UN(neg, thin(t->g, dy))); }
RULE(d_abs) { give(t, z, 0, BIN(mul, thin(t->g, dy), UN(sign, IN(0)))); }
RULE(d_exp) { give(t, z, 0, BIN(mul, thin(t->g, dy), z)); }
RULE(d_log) { give(t, z, 0, BIN(div, thin(t->g, dy), IN(0))); }
RULE(d_sin) { give(t, z, 0, BIN(mul, thin(t->g, dy), UN(cos, IN(0)))); }
RULE(d_cos) { give(t, z, 0, UN(neg, BIN(mul, thin(t->g, dy), UN(sin, IN(0))))); }
RULE(d_tanh) { give(t, z, 0, BIN(mul, thin(t->g, dy), BIN(sub, C(1), BIN(mul, z, z)))); }
RULE(d_sigmoid) { give(t, z, 0, BIN(mul, thin(t->g, dy), BIN(mul, z, BIN(sub, C(1), z)))); }
RULE(d_cast) { give(t, z, 0, thin(t->g, dy)); }

RULE(d_sqrt)                                         /* defined as 0 at 0 */
{
    Ref slope = BIN(div, BIN(mul, thin(t->g, dy), C(0.5)), z);
    give(t, z, 0, mk_where(t->g, BIN(lt, C(0), z), slope, C(0)));
}

RULE(d_rsqrt)                                        /* -1/2 x^(-3/2) */
{
    Ref cube = BIN(mul, BIN(mul, z, z), z);
    give(t, z, 0, BIN(mul, BIN(mul, thin(t->g, dy), C(-0.5)), cube));
}

RULE(d_erf)                                          /* 2/sqrt(pi) e^(-x^2) */
{
    Ref bell = UN(exp, UN(neg, BIN(mul, IN(0), IN(0))));
    give(t, z, 0, BIN(mul, BIN(mul, thin(t->g, dy), C(1.1283791670955126)), bell));
}

RULE(d_nan_to_num) { give(t, z, 0, mk_where(t->g, UN(isfinite, IN(0)), thin(t->g, dy), C(0))); }

RULE(d_add)
{
    for (int k = 0; k < 2; k++)
        if (wants(t, z, k)) give(t, z, k, thin(t->g, dy));
}

RULE(d_sub)
{
    if (wants(t, z, 0)) give(t, z, 0, thin(t->g, dy));
    if (wants(t, z, 1)) give(t, z, 1, UN(neg, thin(t->g, dy)));
}

RULE(d_mul)
{
    for (int k = 0; k < 2; k++)
        if (wants(t, z, k)) give(t, z, k, BIN(mul, thin(t->g, dy), IN(1 - k)));
}

RULE(d_div)
{
    Ref d = thin(t->g, dy);
    if (wants(t, z, 0)) give(t, z, 0, BIN(div, d, IN(1)));
    if (wants(t, z, 1)) give(t, z, 1, UN(neg, BIN(div, BIN(mul, d, z), IN(1))));
}

RULE(d_pow)                                          /* y x^(y-1); x^y log(x), only where the exponent is asked */
{
    Ref d = thin(t->g, dy);
    if (wants(t, z, 0)) give(t, z, 0, BIN(mul, BIN(mul, d, IN(1)), BIN(pow, IN(0), BIN(sub, IN(1), C(1)))));
    if (wants(t, z, 1)) give(t, z, 1, BIN(mul, BIN(mul, d, z), UN(log, IN(0))));
}

static void chosen(Tape *t, Ref z, Ref first, Ref dy, int k)
{
    Ref d = thin(t->g, dy), none_here = C(0);
    if (wants(t, z, k)) give(t, z, k, mk_where(t->g, first, d, none_here));
    if (wants(t, z, k + 1)) give(t, z, k + 1, mk_where(t->g, first, none_here, d));
}

RULE(d_max) { chosen(t, z, BIN(le, IN(1), IN(0)), dy, 0); }
RULE(d_min) { chosen(t, z, BIN(le, IN(0), IN(1)), dy, 0); }
RULE(d_where) { chosen(t, z, IN(0), dy, 1); }

RULE(d_sum) { give_whole(t, z, 0, thin(t->g, dy)); }

/* To one operand: dy times the other, summed over every role this one lacks. A role summed in this operand alone: the same for all. */
static void contract_side(Tape *t, Ref z, Ref dy, int k)
{
    Graph *g = t->g;
    const Node *x = N(g, IN(k)), *y = N(g, IN(1 - k)), *d = N(g, dy), *from[2] = { N(g, z), y };
    Sym over[MAX_AXES];
    int n = 0;
    double times = 1;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < from[s]->n_axes; i++) {
            const Axis *a = &from[s]->axes[i];
            if (find_axis(x, a->role) || (s == 1 && find_axis(from[0], a->role))) continue;
            if (find_axis(d, a->role) || find_axis(y, a->role)) over[n++] = a->role;
            else times *= (double)a->size;
        }
    give_whole(t, z, k, BIN(mul, mk_contract(g, dy, IN(1 - k), n, over), C(times)));
}

RULE(d_contract)
{
    for (int k = 0; k < 2; k++)
        if (wants(t, z, k)) contract_side(t, z, thin(t->g, dy), k);
}

RULE(d_standardize)                                  /* rstd (dy - mean(dy) - z mean(dy z)) */
{
    Graph *g = t->g;
    const Attr a = N(g, z)->a;
    int n = a.reduce.n;
    Moments m = moments(g, IN(0), n, a.reduce.axis, a.reduce.eps);
    Ref mean = mk_mean(g, dy, n, a.reduce.axis), slope = mk_mean(g, BIN(mul, dy, z), n, a.reduce.axis);
    give_whole(t, z, 0, BIN(mul, BIN(sub, BIN(sub, dy, mean), BIN(mul, z, slope)), m.rstd));
}

RULE(d_softmax)                                      /* p (dy - sum(dy p)) */
{
    Graph *g = t->g;
    const Attr a = N(g, z)->a;
    Ref s = mk_sum(g, BIN(mul, dy, z), a.reduce.n, a.reduce.axis);
    give_whole(t, z, 0, BIN(mul, z, BIN(sub, dy, s)));
}

static Rule *const rules[OP_COUNT] = {
#define OP(name, n, cls, ctext, grad, doc) [OP_##name] = grad,
#include "compiler/ops.def"
#undef OP
};

/* ---- the walk ---- */
static bool *reached_from(const Graph *g, uint32_t end, int n, const Ref *wrt)
{
    bool *needs = xcalloc(end, sizeof *needs);
    for (int i = 0; i < n; i++)
        if (wrt[i] < end) needs[wrt[i]] = true;
    for (Ref r = 1; r < end; r++)
        for (int k = 0; k < N(g, r)->n_in && rules[N(g, r)->op] != zero; k++) needs[r] = needs[r] || needs[N(g, r)->in[k]];
    return needs;
}

static void no_rule(const Node *n, bool *told)
{
    if (told[n->op]) return;
    told[n->op] = true;
    if (!grad_error) die("no gradient of `%s`", op_info[n->op].name);
    grad_error(&n->at, op_info[n->op].name);
}

Ref *autodiff(Graph *g, Ref loss, int n, const Ref *wrt)
{
    CHECK_BUG(loss && loss < g->n && N(g, loss)->n_axes == 0 && N(g, loss)->type == T_F32);
    uint32_t end = loss + 1;
    Origin at = g->at;
    Precision outer = g->precision;
    bool told[OP_COUNT] = { false }, *needs = reached_from(g, end, n, wrt);
    Parts *to = xcalloc(end, sizeof *to);
    Tape t = { g, needs, to };
    Ref *grad = arena_make(g->arena, Ref, n), seed = mk_const(g, 1);
    if (needs[loss]) vec_push(to[loss].v, to[loss].n, to[loss].cap, seed);
    for (Ref z = loss; z > 0; z--) {
        if (!to[z].n) continue;
        g->at = N(g, z)->at;
        g->precision = precision_below(g, z);
        Ref dy = total(&t, z);
        bool deeper = false;
        for (int k = 0; k < N(g, z)->n_in; k++) deeper = deeper || wants(&t, z, k);
        if (!deeper) continue;
        Rule *rule = rules[N(g, z)->op];
        if (rule == none) no_rule(N(g, z), told);
        else rule(&t, z, dy);
    }
    for (int i = 0; i < n; i++) {
        const Node w = *N(g, wrt[i]);
        g->at = w.at;
        grad[i] = mk_conform(g, wrt[i] < end && to[wrt[i]].n ? to[wrt[i]].v[0] : mk_const(g, 0), w.n_axes, w.axes);
    }
    for (Ref r = 0; r < end; r++) free(to[r].v);
    free(to);
    free(needs);
    g->at = at;
    g->precision = outer;
    return grad;
}
