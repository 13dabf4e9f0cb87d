/* The builders: every node of every graph is made here, with constants folded and trivial identities removed.
   Assumes that mistakes of the user were reported before: a wrong operand here is a bug. */
#include "compiler/graph.h"
#include <math.h>

typedef struct { int n; Axis a[MAX_AXES]; } Axes;

static Axis *axes_find(Axes *s, Sym role)
{
    for (int i = 0; i < s->n; i++)
        if (s->a[i].role == role) return &s->a[i];
    return NULL;
}

static void axes_add(Axes *s, Sym role, int64_t size)
{
    Axis *a = axes_find(s, role);
    CHECK_BUG(size > 0);
    if (a) {
        CHECK_BUG(a->size == size);
        return;
    }
    CHECK_BUG(s->n < MAX_AXES);
    s->a[s->n++] = (Axis){ role, size };
}

static void axes_join(Axes *s, const Node *x)
{
    for (int i = 0; i < x->n_axes; i++) axes_add(s, x->axes[i].role, x->axes[i].size);
}

static Axes axes_of(const Node *x)
{
    Axes s = { 0 };
    axes_join(&s, x);
    return s;
}

static void axes_drop(Axes *s, Sym role)
{
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (s->a[i].role != role) s->a[n++] = s->a[i];
    s->n = n;
}

/* Order of `like` first: a node rebuilt with other operands keeps its own order of axes. */
static void axes_order(Axes *s, const Node *like)
{
    if (!like) return;
    Axes o = { 0 };
    for (int i = 0; i < like->n_axes; i++) {
        Axis *a = axes_find(s, like->axes[i].role);
        if (a) o.a[o.n++] = *a;
    }
    for (int i = 0; i < s->n; i++)
        if (!axes_find(&o, s->a[i].role)) o.a[o.n++] = s->a[i];
    *s = o;
}

static Ref add(Graph *g, Op op, Type type, const Attr *a, int n_in, const Ref *in, const Axes *axes)
{
    Node n = { .op = op, .type = type, .n_in = n_in, .in = (Ref *)in, .n_axes = axes->n, .axes = (Axis *)axes->a, .at = g->at };
    if (has_precision(op, type)) n.precision = g->precision;
    if (a) n.a = *a;
    for (int i = 0; i < n_in; i++) CHECK_BUG(in[i] && in[i] < g->n);
    return graph_add(g, &n, true);
}

static bool is_op(const Graph *g, Ref r, Op op) { return N(g, r)->op == op; }
static Ref arg(const Graph *g, Ref r) { return N(g, r)->in[0]; }

/* ---- sources ---- */
static Axes list(int n, const Axis *axes)
{
    Axes s = { 0 };
    for (int i = 0; i < n; i++) {
        CHECK_BUG(!axes_find(&s, axes[i].role));
        axes_add(&s, axes[i].role, axes[i].size);
    }
    return s;
}

Ref mk_input(Graph *g, Sym name, int n_axes, const Axis *axes)
{
    Axes s = list(n_axes, axes);
    return add(g, OP_input, T_F32, &(Attr){ .input = { name } }, 0, NULL, &s);
}

Ref mk_param(Graph *g, int index, Sym set, int n_axes, const Axis *axes)
{
    Axes s = list(n_axes, axes);
    return add(g, OP_param, T_F32, &(Attr){ .param = { index, set } }, 0, NULL, &s);
}

static Ref constant(Graph *g, Type t, double v)
{
    return add(g, OP_const, t, &(Attr){ .konst = { v } }, 0, NULL, &(Axes){ 0 });
}

Ref mk_const(Graph *g, double v) { return constant(g, T_F32, v); }

Ref mk_scalar(Graph *g, int index)
{
    return add(g, OP_scalar, T_F32, &(Attr){ .scalar = { index } }, 0, NULL, &(Axes){ 0 });
}

Ref mk_iota(Graph *g, Sym role, int64_t size)
{
    Axes s = list(1, &(Axis){ role, size });
    return add(g, OP_iota, T_F32, NULL, 0, NULL, &s);
}

Ref mk_draw(Graph *g, DrawKind kind, Sym stream, Sym path, double p, Ref p_ref, int n_axes, const Axis *axes)
{
    Axes s = list(n_axes, axes);
    CHECK_BUG(!p_ref || (kind == DRAW_BERNOULLI && N(g, p_ref)->type == T_F32));
    for (int i = 0; p_ref && i < N(g, p_ref)->n_axes; i++) CHECK_BUG(axes_find(&s, N(g, p_ref)->axes[i].role));
    return add(g, OP_draw, T_F32, &(Attr){ .draw = { kind, stream, path, p_ref ? 0 : p } }, p_ref ? 1 : 0, &p_ref, &s);
}

/* ---- element-wise ---- */
static bool const_of(const Graph *g, Ref r, double *v)
{
    while (is_op(g, r, OP_expand)) r = arg(g, r);
    if (!is_op(g, r, OP_const)) return false;
    *v = N(g, r)->a.konst.value;
    return true;
}

static bool is_const(const Graph *g, Ref r, double v)
{
    double c;
    return const_of(g, r, &c) && c == v;
}

static double to_bf16(double v)
{
    float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, 4);
    if (isnan(f)) return v;
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
    memcpy(&f, &u, 4);
    return f;
}

static double to_f16(double v)
{
    float f = (float)v;
    if (!isfinite(f) || f == 0) return f;
    int e;
    frexpf(f, &e);
    double unit = ldexp(1, (e < -13 ? -13 : e) - 11), r = rint(f / unit) * unit;
    return fabs(r) > 65504 ? copysign(INFINITY, f) : r;
}

static double to_tf32(double v)
{
    float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, 4);
    if (!isfinite(f)) return f;
    u = (u + 0x1000) & 0xffffe000;
    memcpy(&f, &u, 4);
    return f;
}

static double fold(Op op, const Attr *a, const double *v)
{
    double x = v[0], y = v[1];
    switch (op) {
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
    case OP_sign: return isnan(x) ? x : (x > 0) - (x < 0);
    case OP_stop: return x;
    case OP_bf16: return to_bf16(x);
    case OP_f16: return to_f16(x);
    case OP_tf32: return to_tf32(x);
    case OP_f32: return (float)x;
    case OP_nan_to_num: return isnan(x) ? a->nan_to_num.nan : isinf(x) ? copysign(a->nan_to_num.inf, x) : x;
    case OP_isfinite: return isfinite(x) != 0;
    case OP_not: return x == 0;
    case OP_add: return x + y;
    case OP_sub: return x - y;
    case OP_mul: return x * y;
    case OP_div: return x / y;
    case OP_pow: return pow(x, y);
    case OP_max: return isnan(x) || isnan(y) ? NAN : x > y ? x : y;
    case OP_min: return isnan(x) || isnan(y) ? NAN : x < y ? x : y;
    case OP_lt: return x < y;
    case OP_le: return x <= y;
    case OP_eq: return x == y;
    case OP_and: return x != 0 && y != 0;
    case OP_or: return x != 0 || y != 0;
    case OP_where: case OP_rows: return x != 0 ? y : v[2];
    default: die("no folding of `%s`", op_info[op].name);
    }
}

static Type elem_type(const Graph *g, Op op, const Ref *in)
{
    bool in_bool = op == OP_and || op == OP_or || op == OP_not, select = op == OP_where || op == OP_rows;
    for (int i = 0; i < op_info[op].inputs; i++)
        CHECK_BUG(select ? (i ? N(g, in[i])->type == N(g, in[1])->type : N(g, in[0])->type == T_BOOL)
                         : N(g, in[i])->type == (in_bool ? T_BOOL : T_F32));
    if (select) return N(g, in[1])->type;
    return in_bool || op == OP_lt || op == OP_le || op == OP_eq || op == OP_isfinite ? T_BOOL : T_F32;
}

static Ref power(Graph *g, Ref x, double e)
{
    if (e == 0) return mk_const(g, 1);
    if (e == 1) return x;
    if (e == 2) return mk_binary(g, OP_mul, x, x);
    if (e == 3) return mk_binary(g, OP_mul, mk_binary(g, OP_mul, x, x), x);
    if (e == 4) return mk_binary(g, OP_mul, mk_binary(g, OP_mul, x, x), mk_binary(g, OP_mul, x, x));
    if (e == -1 || e == -2) return mk_binary(g, OP_div, mk_const(g, 1), power(g, x, -e));
    return 0;
}

/* An equal, simpler value, or 0. Nothing here may hide a NaN, beyond x * 1 and x + 0. */
static Ref identity(Graph *g, Op op, const Ref *in)
{
    Ref x = in[0], y = op_info[op].inputs > 1 ? in[1] : 0;
    double e;
    switch (op) {
    case OP_neg: case OP_not:
        return is_op(g, x, op) ? arg(g, x) : 0;
    case OP_stop:
        return is_op(g, x, OP_stop) || (op_info[N(g, x)->op].cls == OPC_SOURCE && !is_op(g, x, OP_param)) ? x : 0;
    case OP_f32: case OP_bf16: case OP_f16: case OP_tf32: case OP_abs: case OP_floor:
        return is_op(g, x, op) ? x : 0;
    case OP_add:
        if (is_const(g, y, 0)) return x;
        if (is_const(g, x, 0)) return y;
        if (x == y) return mk_binary(g, OP_mul, mk_const(g, 2), x);
        if (is_op(g, y, OP_neg)) return mk_binary(g, OP_sub, x, arg(g, y));
        return 0;
    case OP_sub:
        if (is_const(g, y, 0)) return x;
        return is_op(g, y, OP_neg) ? mk_binary(g, OP_add, x, arg(g, y)) : 0;
    case OP_mul:
        if (is_const(g, y, 1)) return x;
        if (is_const(g, x, 1)) return y;
        if (is_const(g, y, -1)) return mk_unary(g, OP_neg, x);
        return is_const(g, x, -1) ? mk_unary(g, OP_neg, y) : 0;
    case OP_div: return is_const(g, y, 1) ? x : 0;
    case OP_pow: return const_of(g, y, &e) ? power(g, x, e) : 0;
    case OP_max: case OP_min: return x == y ? x : 0;
    case OP_and:
        if (is_const(g, y, 1) || x == y) return x;
        return is_const(g, x, 1) ? y : 0;
    case OP_or:
        if (is_const(g, y, 0) || x == y) return x;
        return is_const(g, x, 0) ? y : 0;
    case OP_where: case OP_rows:
        if (const_of(g, x, &e)) return in[e != 0 ? 1 : 2];
        return in[1] == in[2] ? in[1] : 0;
    default: return 0;
    }
}

static Ref elem(Graph *g, Op op, const Ref *in, const Attr *a, const Node *like)
{
    int n = op_info[op].inputs;
    CHECK_BUG(op_info[op].cls == OPC_ELEM);
    Axes s = { 0 };
    double v[3] = { 0 };
    bool all_const = true;
    for (int i = 0; i < n; i++) {
        axes_join(&s, N(g, in[i]));
        all_const = all_const && const_of(g, in[i], &v[i]);
    }
    axes_order(&s, like);
    Type t = elem_type(g, op, in);
    Ref r = all_const ? constant(g, t, fold(op, a, v)) : identity(g, op, in);
    return r ? mk_conform(g, r, s.n, s.a) : add(g, op, t, a, n, in, &s);
}

Ref mk_unary(Graph *g, Op op, Ref x)
{
    CHECK_BUG(op_info[op].inputs == 1 && op != OP_nan_to_num);
    return elem(g, op, &x, NULL, NULL);
}

Ref mk_nan_to_num(Graph *g, Ref x, double nan, double inf)
{
    return elem(g, OP_nan_to_num, &x, &(Attr){ .nan_to_num = { nan, inf } }, NULL);
}

Ref mk_binary(Graph *g, Op op, Ref x, Ref y)
{
    CHECK_BUG(op_info[op].inputs == 2);
    return elem(g, op, (Ref[]){ x, y }, NULL, NULL);
}

Ref mk_where(Graph *g, Ref c, Ref x, Ref y) { return elem(g, OP_where, (Ref[]){ c, x, y }, NULL, NULL); }
Ref mk_rows(Graph *g, Ref c, Ref x, Ref y) { return elem(g, OP_rows, (Ref[]){ c, x, y }, NULL, NULL); }

/* ---- views ---- */
static int64_t size_of(const Graph *g, Ref x, Sym role)
{
    const Axis *a = find_axis(N(g, x), role);
    CHECK_BUG(a != NULL);
    return a->size;
}

static Ref view(Graph *g, Op op, Ref x, const Attr *a, const Axes *s)
{
    return add(g, op, N(g, x)->type, a, 1, &x, s);
}

/* The view of x with one axis given another size (0: dropped). */
static Ref resized(Graph *g, Op op, Ref x, const Attr *a, Sym axis, int64_t size)
{
    Axes s = axes_of(N(g, x));
    if (!size) axes_drop(&s, axis);
    else axes_find(&s, axis)->size = size;
    return view(g, op, x, a, &s);
}

Ref mk_rename(Graph *g, Ref x, Sym from, Sym to)
{
    size_of(g, x, from);
    if (from == to) return x;
    CHECK_BUG(!find_axis(N(g, x), to));
    if (is_op(g, x, OP_rename) && N(g, x)->a.rename.to == from) return mk_rename(g, arg(g, x), N(g, x)->a.rename.from, to);
    Axes s = axes_of(N(g, x));
    axes_find(&s, from)->role = to;
    return view(g, OP_rename, x, &(Attr){ .rename = { from, to } }, &s);
}

Ref mk_rearrange(Graph *g, Ref x, const Rearrange *r, const Axis *out_axes)
{
    const Node *n = N(g, x);
    CHECK_BUG(r->n_in == n->n_axes && r->n_out <= MAX_AXES && r->n_factors <= 2 * MAX_AXES);
    int f = 0;
    bool same = r->n_in == r->n_out, used[2 * MAX_AXES] = { false };
    for (int i = 0; i < r->n_in; i++) {
        int64_t p = 1;
        for (int k = 0; k < r->in_count[i]; k++) p *= r->factor[f++];
        CHECK_BUG(p == n->axes[i].size);
    }
    CHECK_BUG(f == r->n_factors);
    f = 0;
    for (int i = 0; i < r->n_out; i++) {
        int64_t p = 1;
        same = same && r->in_count[i] == r->out_count[i] && out_axes[i].role == n->axes[i].role;
        for (int k = 0; k < r->out_count[i]; k++, f++) {
            CHECK_BUG(r->out_factor[f] >= 0 && r->out_factor[f] < r->n_factors && !used[r->out_factor[f]]);
            used[r->out_factor[f]] = true;
            p *= r->factor[r->out_factor[f]];
            same = same && r->out_factor[f] == f;
        }
        CHECK_BUG(p == out_axes[i].size);
    }
    CHECK_BUG(f == r->n_factors);
    if (same) return x;
    Axes s = list(r->n_out, out_axes);
    Rearrange copy = *r;
    return view(g, OP_rearrange, x, &(Attr){ .rearrange = &copy }, &s);
}

Ref mk_conform(Graph *g, Ref x, int n, const Axis *axes)
{
    for (int i = 0; i < n; i++)
        if (!find_axis(N(g, x), axes[i].role)) x = mk_expand(g, x, axes[i].role, axes[i].size);
    CHECK_BUG(N(g, x)->n_axes == n);
    Rearrange r = { .n_in = n, .n_out = n, .n_factors = n };
    for (int i = 0; i < n; i++) {
        r.factor[i] = N(g, x)->axes[i].size;
        r.in_count[i] = r.out_count[i] = 1;
        r.out_factor[i] = (int)(find_axis(N(g, x), axes[i].role) - N(g, x)->axes);
        CHECK_BUG(axes[i].size == N(g, x)->axes[r.out_factor[i]].size);
    }
    return mk_rearrange(g, x, &r, axes);
}

Ref mk_slice(Graph *g, Ref x, Sym axis, int64_t start, int64_t len)
{
    int64_t size = size_of(g, x, axis);
    CHECK_BUG(start >= 0 && len > 0 && start <= size - len);
    if (len == size) return x;
    const Node *n = N(g, x);
    if (n->op == OP_slice && n->a.slice.axis == axis) return mk_slice(g, n->in[0], axis, n->a.slice.start + start, len);
    if (n->op == OP_expand && n->a.expand.axis == axis) return mk_expand(g, n->in[0], axis, len);
    return resized(g, OP_slice, x, &(Attr){ .slice = { axis, start, len } }, axis, len);
}

Ref mk_pick(Graph *g, Ref x, Sym axis, int64_t index)
{
    CHECK_BUG(index >= 0 && index < size_of(g, x, axis));
    const Node *n = N(g, x);
    if (n->op == OP_slice && n->a.slice.axis == axis) return mk_pick(g, n->in[0], axis, n->a.slice.start + index);
    if (n->op == OP_expand && n->a.expand.axis == axis) return n->in[0];
    return resized(g, OP_pick, x, &(Attr){ .pick = { axis, index } }, axis, 0);
}

Ref mk_pad(Graph *g, Ref x, Sym axis, int64_t lo, int64_t hi)
{
    int64_t size = size_of(g, x, axis);
    CHECK_BUG(lo >= 0 && hi >= 0);
    if (lo == 0 && hi == 0) return x;
    const Node *n = N(g, x);
    if (n->op == OP_pad && n->a.pad.axis == axis) return mk_pad(g, n->in[0], axis, n->a.pad.lo + lo, n->a.pad.hi + hi);
    return resized(g, OP_pad, x, &(Attr){ .pad = { axis, lo, hi } }, axis, lo + size + hi);
}

Ref mk_concat(Graph *g, Sym axis, int n, const Ref *xs)
{
    CHECK_BUG(n >= 1);
    Axes s = { 0 };
    int64_t total = 0;
    int flat = 0;
    for (int i = 0; i < n; i++) {                    /* the union of roles; `axis` keeps its place */
        const Node *x = N(g, xs[i]);
        CHECK_BUG(x->type == N(g, xs[0])->type);
        total += size_of(g, xs[i], axis);
        flat += x->op == OP_concat && x->a.concat.axis == axis ? x->n_in : 1;
        for (int k = 0; k < x->n_axes; k++) axes_add(&s, x->axes[k].role, x->axes[k].role == axis ? 1 : x->axes[k].size);
    }
    Ref *in = xcalloc((size_t)flat, sizeof *in);
    flat = 0;
    for (int i = 0; i < n; i++) {
        Axes want = s;
        axes_find(&want, axis)->size = size_of(g, xs[i], axis);
        Ref x = xs[i];
        for (int k = 0; k < s.n; k++)
            if (!find_axis(N(g, x), want.a[k].role)) x = mk_expand(g, x, want.a[k].role, want.a[k].size);
        const Node *m = N(g, x);
        if (m->op == OP_concat && m->a.concat.axis == axis)
            for (int k = 0; k < m->n_in; k++) in[flat++] = m->in[k];
        else in[flat++] = x;
    }
    axes_find(&s, axis)->size = total;
    Ref r = n == 1 ? xs[0] : add(g, OP_concat, N(g, in[0])->type, &(Attr){ .concat = { axis } }, flat, in, &s);
    free(in);
    return r;
}

Ref mk_repeat(Graph *g, Ref x, Sym axis, int64_t times)
{
    int64_t size = size_of(g, x, axis);
    CHECK_BUG(times >= 1);
    if (times == 1) return x;
    if (is_op(g, x, OP_expand) && N(g, x)->a.expand.axis == axis) return mk_expand(g, arg(g, x), axis, size * times);
    return resized(g, OP_repeat, x, &(Attr){ .repeat = { axis, times } }, axis, size * times);
}

Ref mk_window(Graph *g, Ref x, Sym axis, Sym kaxis, int64_t k, int64_t stride, int64_t dil, int64_t pad, int64_t out)
{
    int64_t size = size_of(g, x, axis);
    CHECK_BUG(!find_axis(N(g, x), kaxis) && stride >= 1 && k >= 1 && out >= 1);
    if (k == 1 && stride == 1 && pad == 0 && out == size) return mk_expand(g, x, kaxis, 1);
    Axes s = axes_of(N(g, x));
    axes_find(&s, axis)->size = out;
    axes_add(&s, kaxis, k);
    return view(g, OP_window, x, &(Attr){ .window = { axis, kaxis, k, stride, dil, pad, out } }, &s);
}

Ref mk_unwindow(Graph *g, Ref x, Sym axis, Sym kaxis, int64_t stride, int64_t dil, int64_t pad, int64_t out)
{
    int64_t size = size_of(g, x, axis), k = size_of(g, x, kaxis);
    CHECK_BUG(axis != kaxis && stride >= 1 && out >= 1);
    if (k == 1 && stride == 1 && pad == 0 && out == size) return x;
    return resized(g, OP_unwindow, x, &(Attr){ .unwindow = { axis, kaxis, stride, dil, pad, out } }, axis, out);
}

Ref mk_expand(Graph *g, Ref x, Sym axis, int64_t size)
{
    CHECK_BUG(!find_axis(N(g, x), axis));
    Axes s = axes_of(N(g, x));
    axes_add(&s, axis, size);
    return view(g, OP_expand, x, &(Attr){ .expand = { axis, size } }, &s);
}

/* ---- reductions and composites ---- */
/* Sets a->reduce's axes, in the order in which x, then y, have them: equal sets intern to one node. */
static Axes reduced(const Graph *g, Ref x, Ref y, int n, const Sym *axes, Attr *a)
{
    Axes all = axes_of(N(g, x)), rest = { 0 };
    if (y) axes_join(&all, N(g, y));
    for (int i = 0; i < n; i++) CHECK_BUG(axes_find(&all, axes[i]) && !axis_in(i, axes, axes[i]));
    for (int i = 0; i < all.n; i++) {
        if (axis_in(n, axes, all.a[i].role)) a->reduce.axis[a->reduce.n++] = all.a[i].role;
        else axes_add(&rest, all.a[i].role, all.a[i].size);
    }
    return rest;
}

static Ref reduce_node(Graph *g, Op op, Ref x, Ref y, int n, const Sym *axes, double eps, const Node *like)
{
    Attr a = { 0 };
    a.reduce.eps = eps;
    CHECK_BUG(N(g, x)->type == T_F32 && (!y || N(g, y)->type == T_F32));
    Axes s = reduced(g, x, y, n, axes, &a);
    if (op_info[op].cls == OPC_COMPOSITE) s = axes_of(N(g, x));
    axes_order(&s, like);
    return add(g, op, T_F32, &a, y ? 2 : 1, (Ref[]){ x, y }, &s);
}

/* Those of `axes` that x has. */
static int owned(const Graph *g, Ref x, int n, const Sym *axes, Sym *own)
{
    int k = 0;
    for (int i = 0; i < n; i++)
        if (find_axis(N(g, x), axes[i])) own[k++] = axes[i];
    return k;
}

static Ref contract(Graph *g, Ref x, Ref y, int n, const Sym *axes, const Node *like)
{
    Sym xs[MAX_AXES], ys[MAX_AXES];
    int nx = owned(g, x, n, axes, xs), ny = owned(g, y, n, axes, ys), both = 0;
    for (int i = 0; i < nx; i++) both += axis_in(ny, ys, xs[i]);
    if (both == 0) {
        CHECK_BUG(nx + ny == n);
        return mk_binary(g, OP_mul, mk_sum(g, x, nx, xs), mk_sum(g, y, ny, ys));
    }
    return reduce_node(g, OP_contract, x, y, n, axes, 0, like);
}

static Ref sum(Graph *g, Ref x, int n, const Sym *axes, const Node *like)
{
    const Node *m = N(g, x);
    Sym own[MAX_AXES];
    CHECK_BUG(n <= MAX_AXES);
    for (int i = 0; i < n; i++) size_of(g, x, axes[i]);
    if (n == 0) return x;
    if (m->op == OP_mul && m->in[0] != m->in[1]) return contract(g, m->in[0], m->in[1], n, axes, like);
    if (m->op == OP_div && owned(g, m->in[1], n, axes, own) == 0) {
        Ref d = m->in[1];
        return mk_binary(g, OP_div, mk_sum(g, m->in[0], n, axes), d);
    }
    if (m->op == OP_neg) return mk_unary(g, OP_neg, mk_sum(g, m->in[0], n, axes));
    if (m->op == OP_expand && axis_in(n, axes, m->a.expand.axis)) {
        Ref size = mk_const(g, (double)m->a.expand.size);
        m = N(g, x);
        return mk_binary(g, OP_mul, mk_sum(g, m->in[0], owned(g, m->in[0], n, axes, own), own), size);
    }
    return reduce_node(g, OP_sum, x, 0, n, axes, 0, like);
}

Ref mk_sum(Graph *g, Ref x, int n, const Sym *axes) { return sum(g, x, n, axes, NULL); }
Ref mk_contract(Graph *g, Ref x, Ref y, int n, const Sym *axes) { return contract(g, x, y, n, axes, NULL); }

Ref mk_sqdev(Graph *g, Ref x, int n, const Sym *axes)
{
    return n ? reduce_node(g, OP_sqdev, x, 0, n, axes, 0, NULL) : mk_conform(g, mk_const(g, 0), N(g, x)->n_axes, N(g, x)->axes);
}

Ref mk_rmax(Graph *g, Ref x, int n, const Sym *axes)
{
    return n ? reduce_node(g, OP_rmax, x, 0, n, axes, 0, NULL) : x;
}

Ref mk_mean(Graph *g, Ref x, int n, const Sym *axes)
{
    double count = 1;
    for (int i = 0; i < n; i++) count *= (double)size_of(g, x, axes[i]);
    return mk_binary(g, OP_div, mk_sum(g, x, n, axes), mk_const(g, count));
}

Ref mk_standardize(Graph *g, Ref x, int n, const Sym *axes, double eps)
{
    return reduce_node(g, OP_standardize, x, 0, n, axes, eps, NULL);
}

Ref mk_softmax(Graph *g, Ref x, int n, const Sym *axes) { return reduce_node(g, OP_softmax, x, 0, n, axes, 0, NULL); }

static Ref like_node(Graph *g, const Node *like, Op op, const Ref *in, int n_in)
{
    const Attr a = like->a;
    const Node l = *like;                            /* `like` may lie in g's own array, which moves */
    CHECK_BUG(op_info[op].cls == OPC_SOURCE || op_info[op].inputs < 0 || n_in == op_info[op].inputs);
    if (op_info[op].cls == OPC_ELEM) return elem(g, op, in, &a, &l);
    if (op_info[op].cls == OPC_SOURCE) {
        Axes s = list(l.n_axes, l.axes);
        return add(g, op, l.type, &a, n_in, in, &s);
    }
    if (op_info[op].cls == OPC_TABLE) return mk_rows_table(g, op, in[0]);
    switch (op) {
    case OP_rename: return mk_rename(g, in[0], a.rename.from, a.rename.to);
    case OP_rearrange: return mk_rearrange(g, in[0], a.rearrange, l.axes);
    case OP_slice: return mk_slice(g, in[0], a.slice.axis, a.slice.start, a.slice.len);
    case OP_pick: return mk_pick(g, in[0], a.pick.axis, a.pick.index);
    case OP_pad: return mk_pad(g, in[0], a.pad.axis, a.pad.lo, a.pad.hi);
    case OP_concat: return mk_concat(g, a.concat.axis, n_in, in);
    case OP_repeat: return mk_repeat(g, in[0], a.repeat.axis, a.repeat.times);
    case OP_window: return mk_window(g, in[0], a.window.axis, a.window.kaxis, a.window.k, a.window.stride, a.window.dil, a.window.pad,
                                     a.window.out);
    case OP_unwindow: return mk_unwindow(g, in[0], a.unwindow.axis, a.unwindow.kaxis, a.unwindow.stride, a.unwindow.dil, a.unwindow.pad,
                                         a.unwindow.out);
    case OP_expand: return mk_expand(g, in[0], a.expand.axis, a.expand.size);
    case OP_take: return mk_take(g, in[0], in[1], n_in > 2 ? in[2] : 0);
    case OP_sum: return sum(g, in[0], a.reduce.n, a.reduce.axis, &l);
    case OP_contract: return contract(g, in[0], in[1], a.reduce.n, a.reduce.axis, &l);
    default: return reduce_node(g, op, in[0], 0, a.reduce.n, a.reduce.axis, a.reduce.eps, &l);
    }
}

Ref mk_like(Graph *g, const Node *like, Op op, const Ref *in, int n_in)
{
    Precision outer = g->precision;
    if (has_precision(like->op, like->type)) g->precision = like->precision;
    Ref r = like_node(g, like, op, in, n_in);
    g->precision = outer;
    return r;
}
