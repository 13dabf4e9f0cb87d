/* Rewrites graphs to simpler equal ones: a list of small rules, applied to every node until none applies.
   Assumes composites may still be there (they are left alone). Floating-point sums may be reassociated, values are otherwise kept. */
#include "compiler/rewrite.h"

static OpClass cls(const Graph *g, Ref r) { return op_info[N(g, r)->op].cls; }
static bool is(const Graph *g, Ref r, Op op) { return N(g, r)->op == op; }
static bool has(const Graph *g, Ref r, Sym role) { return find_axis(N(g, r), role) != NULL; }
static int64_t size_in(const Graph *g, Ref r, Sym role) { return find_axis(N(g, r), role)->size; }

/* A product made of product c in another place is computed as c was. */
static Ref contract_as(Graph *g, const Node *c, Ref x, Ref y, int n, const Sym *axes)
{
    Precision outer = g->precision;
    g->precision = c->precision;
    Ref r = mk_contract(g, x, y, n, axes);
    g->precision = outer;
    return r;
}

static bool used_once(const Simplify *s, Ref r) { return r >= s->cap || s->uses[r] <= 1; }

/* Node n again with operand k replaced. */
static Ref with_operand(Graph *g, const Node *n, int k, Ref x)
{
    Ref *in = arena_make(g->arena, Ref, n->n_in);
    memcpy(in, n->in, sizeof *in * (size_t)n->n_in);
    in[k] = x;
    return mk_like(g, n, n->op, in, n->n_in);
}

static int without(Attr a, Sym role, Sym *rest)
{
    int n = 0;
    for (int i = 0; i < a.reduce.n; i++)
        if (a.reduce.axis[i] != role) rest[n++] = a.reduce.axis[i];
    return n;
}

/* The axes of two reductions together. */
static int both_axes(const Attr *a, const Attr *b, Sym *all)
{
    int n = 0;
    for (int i = 0; i < a->reduce.n; i++) all[n++] = a->reduce.axis[i];
    for (int i = 0; i < b->reduce.n && n < MAX_AXES; i++)
        if (!axis_in(n, all, b->reduce.axis[i])) all[n++] = b->reduce.axis[i];
    return n;
}

/* ---- orders of axes ---- */
/* The number of the factor that is all of axis i; -1 when the axis has none (its size is 1), -2 when it has several. */
static int only_factor(const int *count, const int *factor, int i)
{
    int f = 0;
    for (int k = 0; k < i; k++) f += count[k];
    return count[i] == 0 ? -1 : count[i] > 1 ? -2 : factor ? factor[f] : f;
}

/* Is r a rearrangement that only changes the order of axes? */
bool is_permutation(const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    if (n->op != OP_rearrange || n->n_axes != N(g, n->in[0])->n_axes) return false;
    for (int i = 0; i < n->n_axes; i++) {
        const Axis *x = find_axis(N(g, n->in[0]), n->axes[i].role);
        int f = only_factor(n->a.rearrange->out_count, n->a.rearrange->out_factor, i);
        if (!x || f == -2 || f != only_factor(n->a.rearrange->in_count, NULL, (int)(x - N(g, n->in[0])->axes))) return false;
    }
    return true;
}

/* permuted rename = rename of permuted: renames go outwards, so that the permutation meets what it can dissolve in. */
Ref permuted_rename(Simplify *s, Ref r)
{
    Graph *g = s->g;
    if (!is_permutation(g, r)) return 0;
    const Node n = *N(g, r), x = *N(g, n.in[0]);
    if (x.op != OP_rename) return 0;
    Axis axes[MAX_AXES];
    for (int i = 0; i < n.n_axes; i++) {
        axes[i] = n.axes[i];
        if (axes[i].role == x.a.rename.to) axes[i].role = x.a.rename.from;
    }
    return mk_rename(g, mk_conform(g, x.in[0], n.n_axes, axes), x.a.rename.from, x.a.rename.to);
}

/* f(permuted x) = f(x): element-wise operations and reductions match axes by role. */
Ref drop_permuted_operand(Simplify *s, Ref r)
{
    const Node n = *N(s->g, r);
    if (cls(s->g, r) != OPC_ELEM && cls(s->g, r) != OPC_REDUCE) return 0;
    for (int k = 0; k < n.n_in; k++)
        if (is_permutation(s->g, n.in[k])) return with_operand(s->g, &n, k, N(s->g, n.in[k])->in[0]);
    return 0;
}

/* A permuted result is made in that order at once. */
Ref permuted_result(Simplify *s, Ref r)
{
    if (!is_permutation(s->g, r)) return 0;
    const Node n = *N(s->g, r);
    Node x = *N(s->g, n.in[0]);
    OpClass c = op_info[x.op].cls;
    if ((c != OPC_ELEM && c != OPC_REDUCE && c != OPC_COMPOSITE) || !used_once(s, n.in[0])) return 0;
    x.axes = n.axes;
    return graph_add(s->g, &x, true);
}

/* ---- rearrange ---- */
/* The place in out_factor where factor f is followed by f + 1 in one group, or -1. */
static int neighbours(const Rearrange *r, int f, int *group)
{
    for (int k = 0, o = 0; k < r->n_out; o += r->out_count[k++])
        for (int p = o; p + 1 < o + r->out_count[k]; p++)
            if (r->out_factor[p] == f && r->out_factor[p + 1] == f + 1) {
                *group = k;
                return p;
            }
    return -1;
}

/* Neighbouring factors that stay neighbours become one. */
static void merge_factors(Rearrange *r)
{
    for (int i = 0, first = 0; i < r->n_in; first += r->in_count[i++])
        for (int f = first, group = 0; f + 1 < first + r->in_count[i];) {
            int p = neighbours(r, f, &group);
            if (p < 0) { f++; continue; }
            r->factor[f] *= r->factor[f + 1];
            r->n_factors--;
            r->in_count[i]--;
            r->out_count[group]--;
            memmove(&r->factor[f + 1], &r->factor[f + 2], sizeof *r->factor * (size_t)(r->n_factors - f - 1));
            memmove(&r->out_factor[p + 1], &r->out_factor[p + 2], sizeof *r->out_factor * (size_t)(r->n_factors - p - 1));
            for (int k = 0; k < r->n_factors; k++) r->out_factor[k] -= r->out_factor[k] > f;
        }
}

/* c = second after first, over the common refinement of their factors; false when one factor straddles two of the other. */
static bool compose(const Rearrange *first, const Rearrange *second, Rearrange *c)
{
    struct { int64_t size; int f, g; } piece[2 * MAX_AXES];
    int n = 0;
    for (int i = 0, f0 = 0, g0 = 0; i < first->n_out; f0 += first->out_count[i], g0 += second->in_count[i], i++) {
        int f = f0 + first->out_count[i] - 1, h = g0 + second->in_count[i] - 1;
        int64_t x = f >= f0 ? first->factor[first->out_factor[f]] : 1, y = h >= g0 ? second->factor[h] : 1;
        while (f >= f0 && h >= g0) {                 /* innermost first; factors of 1 vanish */
            int64_t p = x < y ? x : y;
            if (x % p || y % p || n == 2 * MAX_AXES) return false;
            if (p > 1) { piece[n].size = p; piece[n].f = first->out_factor[f]; piece[n++].g = h; }
            x /= p;
            y /= p;
            bool next_f = x == 1, next_h = y == 1;
            if (next_f && --f >= f0) x = first->factor[first->out_factor[f]];
            if (next_h && --h >= g0) y = second->factor[h];
        }
    }
    *c = (Rearrange){ .n_in = first->n_in, .n_out = second->n_out };
    int number[2 * MAX_AXES], o = 0;
    for (int i = 0, f = 0; i < first->n_in; i++)
        for (int k = 0; k < first->in_count[i]; k++, f++)
            for (int p = n; p-- > 0;)
                if (piece[p].f == f) { number[p] = c->n_factors; c->factor[c->n_factors++] = piece[p].size; c->in_count[i]++; }
    for (int i = 0, g = 0; i < second->n_out; i++)
        for (int k = 0; k < second->out_count[i]; k++, g++)
            for (int p = n; p-- > 0;)
                if (piece[p].g == second->out_factor[g]) { c->out_factor[o++] = number[p]; c->out_count[i]++; }
    merge_factors(c);
    return true;
}

static Rearrange nothing(const Node *x)
{
    Rearrange r = { .n_in = x->n_axes, .n_out = x->n_axes, .n_factors = x->n_axes };
    for (int i = 0; i < x->n_axes; i++) {
        r.factor[i] = x->axes[i].size;
        r.in_count[i] = r.out_count[i] = 1;
        r.out_factor[i] = i;
    }
    return r;
}

/* rearrange of rearrange is one; so is rearrange of rename (it reads positions); fewer factors where they need no split. */
Ref merge_rearranges(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (n.op != OP_rearrange) return 0;
    const Node x = *N(g, n.in[0]);
    Rearrange c, id = nothing(&x);
    if (x.op == OP_rename) return mk_rearrange(g, x.in[0], n.a.rearrange, n.axes);
    if (x.op == OP_rearrange && compose(x.a.rearrange, n.a.rearrange, &c)) return mk_rearrange(g, x.in[0], &c, n.axes);
    if (compose(&id, n.a.rearrange, &c) && c.n_factors < n.a.rearrange->n_factors) return mk_rearrange(g, n.in[0], &c, n.axes);
    return 0;
}

/* rename of a rearrangement (not of a mere permutation): the rearrangement names its result so. */
Ref rename_rearranged(Simplify *s, Ref r)
{
    const Node n = *N(s->g, r);
    if (n.op != OP_rename || !is(s->g, n.in[0], OP_rearrange) || is_permutation(s->g, n.in[0])) return 0;
    const Node x = *N(s->g, n.in[0]);
    return mk_rearrange(s->g, x.in[0], x.a.rearrange, n.axes);
}

/* ---- expand ---- */
/* An element-wise operation on an operand that does not change along a role: the expansion goes where another operand has the role,
   and outside otherwise. */
static Ref expand_in_elem(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (cls(g, r) != OPC_ELEM) return 0;
    for (int k = 0; k < n.n_in; k++) {
        const Node x = *N(g, n.in[k]);
        if (x.op != OP_expand) continue;
        bool other = false;
        for (int i = 0; i < n.n_in; i++) other = other || (i != k && has(g, n.in[i], x.a.expand.axis));
        Ref q = with_operand(g, &n, k, x.in[0]);
        return other ? q : mk_expand(g, q, x.a.expand.axis, x.a.expand.size);
    }
    return 0;
}

/* The same for reductions; a role that is summed away counts by its size. */
static Ref expand_in_reduce(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    Sym rest[MAX_AXES];
    if (cls(g, r) != OPC_REDUCE) return 0;
    for (int k = 0; k < n.n_in; k++) {
        const Node x = *N(g, n.in[k]);
        if (x.op != OP_expand) continue;
        Sym axis = x.a.expand.axis;
        if (n.op == OP_contract && has(g, n.in[1 - k], axis)) return with_operand(g, &n, k, x.in[0]);
        if (!axis_in(n.a.reduce.n, n.a.reduce.axis, axis)) return mk_expand(g, with_operand(g, &n, k, x.in[0]), axis, x.a.expand.size);
        int m = without(n.a, axis, rest);
        if (n.op == OP_rmax) return mk_rmax(g, x.in[0], m, rest);
        if (n.op == OP_sqdev) return mk_binary(g, OP_mul, mk_sqdev(g, x.in[0], m, rest), mk_const(g, (double)x.a.expand.size));
        Ref q = n.op == OP_sum ? mk_sum(g, x.in[0], m, rest) : mk_contract(g, x.in[0], n.in[1 - k], m, rest);
        return mk_binary(g, OP_mul, q, mk_const(g, (double)x.a.expand.size));
    }
    return 0;
}

/* A view of other roles than the expanded one goes inside; an unwindow along the expanded role is a window with dil negated. */
static Ref expand_in_view(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    Sym axis = NULL, kaxis = NULL;
    switch (n.op) {
    case OP_rename: axis = n.a.rename.from; kaxis = n.a.rename.to; break;
    case OP_slice: axis = n.a.slice.axis; break;
    case OP_pick: axis = n.a.pick.axis; break;
    case OP_pad: axis = n.a.pad.axis; break;
    case OP_repeat: axis = n.a.repeat.axis; break;
    case OP_window: axis = n.a.window.axis; break;
    case OP_unwindow: axis = n.a.unwindow.axis; kaxis = n.a.unwindow.kaxis; break;
    default: return 0;
    }
    const Node x = *N(g, n.in[0]);
    if (x.op != OP_expand) return 0;
    Sym role = x.a.expand.axis;
    if (role != axis && role != kaxis) return mk_expand(g, with_operand(g, &n, 0, x.in[0]), role, x.a.expand.size);
    if (n.op == OP_rename) return mk_expand(g, x.in[0], kaxis, x.a.expand.size);
    if (n.op == OP_unwindow && role == kaxis && n.a.unwindow.stride == 1)
        return mk_window(g, x.in[0], axis, kaxis, x.a.expand.size, 1, -n.a.unwindow.dil, -n.a.unwindow.pad, n.a.unwindow.out);
    return 0;
}

/* ---- sums and contractions ---- */
/* sum[K](sum[L](x)) = sum[K+L](x); sum[K](contract[S](a, b)) = contract[K+S](a, b), where nothing else needs the inner one. */
static Ref merge_sums(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r), x = *N(g, n.n_in ? n.in[0] : r);
    Sym all[MAX_AXES];
    if (n.op != OP_sum || (x.op != OP_sum && x.op != OP_contract) || !used_once(s, n.in[0])) return 0;
    if (n.a.reduce.n + x.a.reduce.n > MAX_AXES) return 0;
    int m = both_axes(&n.a, &x.a, all);
    return x.op == OP_sum ? mk_sum(g, x.in[0], m, all) : contract_as(g, &x, x.in[0], x.in[1], m, all);
}

/* sum[A](rearrange(sum[B](x))) = sum[A+B](rearrange(x)), where B passes by: the gradient of a repeat along two axes is one sum. */
static Ref merge_sums_rearranged(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (n.op != OP_sum || !is(g, n.in[0], OP_rearrange)) return 0;
    const Node v = *N(g, n.in[0]), in = *N(g, v.in[0]);
    if (in.op != OP_sum || !used_once(s, v.in[0]) || !used_once(s, n.in[0])) return 0;
    int extra = in.a.reduce.n, m = n.a.reduce.n;
    Rearrange c = *v.a.rearrange;
    if (c.n_in + extra > MAX_AXES || c.n_out + extra > MAX_AXES || c.n_factors + extra > 2 * MAX_AXES || m + extra > MAX_AXES) return 0;
    Axis from[MAX_AXES], to[MAX_AXES];
    Sym all[MAX_AXES];
    memcpy(from, in.axes, sizeof *from * (size_t)in.n_axes);
    memcpy(to, v.axes, sizeof *to * (size_t)v.n_axes);
    memcpy(all, n.a.reduce.axis, sizeof *all * (size_t)m);
    for (int i = 0; i < extra; i++) {
        Sym role = in.a.reduce.axis[i];
        if (find_axis(&v, role)) return 0;
        int64_t size = size_in(g, in.in[0], role);
        from[c.n_in] = to[c.n_out] = (Axis){ role, size };
        c.in_count[c.n_in++] = c.out_count[c.n_out++] = 1;
        c.out_factor[c.n_factors] = c.n_factors;
        c.factor[c.n_factors++] = size;
        all[m++] = role;
    }
    return mk_sum(g, mk_rearrange(g, mk_conform(g, in.in[0], c.n_in, from), &c, to), m, all);
}

/* sum[.., k](unwindow(axis, k; contract[S](a, b))): the index map goes into the operands that have `axis` and the sums become one.
   This is the data gradient of a convolution: without it a tensor of size kh*kw times too large would exist. */
static Ref sum_of_unwindow(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (n.op != OP_sum || !is(g, n.in[0], OP_unwindow)) return 0;
    const Node u = *N(g, n.in[0]), c = *N(g, u.in[0]);
    Sym axis = u.a.unwindow.axis, kaxis = u.a.unwindow.kaxis, all[MAX_AXES];
    if (c.op != OP_contract || !axis_in(n.a.reduce.n, n.a.reduce.axis, kaxis) || n.a.reduce.n + c.a.reduce.n > MAX_AXES) return 0;
    Ref in[2];
    int64_t k = size_in(g, u.in[0], kaxis);
    for (int i = 0; i < 2; i++) {
        in[i] = c.in[i];
        if (!has(g, in[i], axis)) continue;
        if (has(g, in[i], kaxis))
            in[i] = mk_unwindow(g, in[i], axis, kaxis, u.a.unwindow.stride, u.a.unwindow.dil, u.a.unwindow.pad, u.a.unwindow.out);
        else if (u.a.unwindow.stride == 1)
            in[i] = mk_window(g, in[i], axis, kaxis, k, 1, -u.a.unwindow.dil, -u.a.unwindow.pad, u.a.unwindow.out);
        else
            in[i] = mk_unwindow(g, mk_expand(g, in[i], kaxis, k), axis, kaxis, u.a.unwindow.stride, u.a.unwindow.dil, u.a.unwindow.pad,
                                u.a.unwindow.out);
    }
    int m = both_axes(&n.a, &c.a, all);
    return contract_as(g, &c, in[0], in[1], m, all);
}

/* rename goes out of sum and unwindow, so that they meet what is below. */
static Ref rename_outwards(Simplify *s, Ref r)
{
    Graph *g = s->g;
    Node n = *N(g, r);
    if ((n.op != OP_sum && n.op != OP_unwindow) || !is(g, n.in[0], OP_rename)) return 0;
    const Node x = *N(g, n.in[0]);
    Sym from = x.a.rename.from, to = x.a.rename.to;
    bool summed = false;
    Axis axes[MAX_AXES];
    for (int i = 0; i < n.n_axes; i++) axes[i] = (Axis){ n.axes[i].role == to ? from : n.axes[i].role, n.axes[i].size };
    n.axes = axes;
    if (n.op == OP_sum)
        for (int i = 0; i < n.a.reduce.n; i++)
            if (n.a.reduce.axis[i] == to) { n.a.reduce.axis[i] = from; summed = true; }
    if (n.op == OP_unwindow) {
        if (n.a.unwindow.axis == to) n.a.unwindow.axis = from;
        if (n.a.unwindow.kaxis == to) n.a.unwindow.kaxis = from;
    }
    Ref q = mk_like(g, &n, n.op, x.in, 1);
    return summed ? q : mk_rename(g, q, from, to);
}

/* A reduction over an axis of size 1 is a pick. A role summed in one operand of a contraction alone is summed there first. */
static Ref narrow_reduce(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    Sym rest[MAX_AXES];
    if (cls(g, r) != OPC_REDUCE) return 0;
    for (int i = 0; i < n.a.reduce.n; i++) {
        Sym axis = n.a.reduce.axis[i];
        Ref in[2] = { n.in[0], n.in[n.n_in - 1] };
        int owner = has(g, in[0], axis) ? 0 : 1, m = without(n.a, axis, rest);
        bool one = size_in(g, in[owner], axis) == 1;
        if (!one && (n.op != OP_contract || (has(g, in[0], axis) && has(g, in[1], axis)))) continue;
        for (int k = 0; k < 2; k++)
            if (has(g, in[k], axis)) in[k] = one ? mk_pick(g, in[k], axis, 0) : mk_sum(g, in[k], 1, &axis);
        if (n.op == OP_contract) return mk_contract(g, in[0], in[1], m, rest);
        return n.op == OP_sum ? mk_sum(g, in[0], m, rest) : n.op == OP_rmax ? mk_rmax(g, in[0], m, rest) : mk_sqdev(g, in[0], m, rest);
    }
    return 0;
}

/* Zeros add nothing to a sum. */
static Ref sum_of_pad(Simplify *s, Ref r)
{
    const Node n = *N(s->g, r);
    if (n.op != OP_sum || !is(s->g, n.in[0], OP_pad)) return 0;
    const Node x = *N(s->g, n.in[0]);
    return axis_in(n.a.reduce.n, n.a.reduce.axis, x.a.pad.axis) ? mk_sum(s->g, x.in[0], n.a.reduce.n, n.a.reduce.axis) : 0;
}

/* ---- pieces of one axis ---- */
/* The sum of two disjoint pads along one axis is a concatenation. */
static Ref add_of_pads(Simplify *s, Ref r)
{
    const Node n = *N(s->g, r);
    return n.op == OP_add ? join_pads(s->g, n.in[0], n.in[1]) : 0;
}

/* A slice or pick of a concatenation: of the pieces it touches. */
static Ref piece_of_concat(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if ((n.op != OP_slice && n.op != OP_pick) || !is(g, n.in[0], OP_concat)) return 0;
    const Node c = *N(g, n.in[0]);
    Sym axis = n.op == OP_slice ? n.a.slice.axis : n.a.pick.axis;
    int64_t start = n.op == OP_slice ? n.a.slice.start : n.a.pick.index, at = 0;
    int64_t end = start + (n.op == OP_slice ? n.a.slice.len : 1);
    if (axis != c.a.concat.axis) return 0;
    Ref *part = arena_make(g->arena, Ref, c.n_in);
    int m = 0;
    for (int k = 0; k < c.n_in; k++) {
        int64_t size = size_in(g, c.in[k], axis), lo = MAX(start, at) - at, hi = MIN(end, at + size) - at;
        if (lo < hi) part[m++] = n.op == OP_pick ? mk_pick(g, c.in[k], axis, lo) : mk_slice(g, c.in[k], axis, lo, hi - lo);
        at += size;
    }
    return n.op == OP_pick ? part[0] : mk_concat(g, axis, m, part);
}

/* A slice or pick of a pad, where it is not all zeros: of what was padded, padded as needed. */
static Ref piece_of_pad(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if ((n.op != OP_slice && n.op != OP_pick) || !is(g, n.in[0], OP_pad)) return 0;
    const Node p = *N(g, n.in[0]);
    Sym axis = n.op == OP_slice ? n.a.slice.axis : n.a.pick.axis;
    if (axis != p.a.pad.axis) return 0;
    int64_t size = size_in(g, p.in[0], axis), start = (n.op == OP_slice ? n.a.slice.start : n.a.pick.index) - p.a.pad.lo;
    int64_t end = start + (n.op == OP_slice ? n.a.slice.len : 1), lo = MAX(start, 0), hi = MIN(end, size);
    if (lo >= hi) return N(g, r)->type == T_F32 ? mk_conform(g, mk_const(g, 0), n.n_axes, n.axes) : 0;
    if (n.op == OP_pick) return mk_pick(g, p.in[0], axis, lo);
    return mk_pad(g, mk_slice(g, p.in[0], axis, lo, hi - lo), axis, lo - start, end - hi);
}

/* Neighbouring slices of one tensor in a concatenation are one slice. */
static Ref concat_of_slices(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (n.op != OP_concat) return 0;
    Sym axis = n.a.concat.axis;
    for (int k = 0; k + 1 < n.n_in; k++) {
        const Node *x = N(g, n.in[k]), *y = N(g, n.in[k + 1]);
        if (x->op != OP_slice || y->op != OP_slice || x->in[0] != y->in[0] || x->a.slice.axis != axis || y->a.slice.axis != axis ||
            x->a.slice.start + x->a.slice.len != y->a.slice.start) continue;
        Ref *in = arena_make(g->arena, Ref, n.n_in);
        memcpy(in, n.in, sizeof *in * (size_t)n.n_in);
        in[k] = mk_slice(g, x->in[0], axis, x->a.slice.start, x->a.slice.len + y->a.slice.len);
        memmove(&in[k + 1], &in[k + 2], sizeof *in * (size_t)(n.n_in - k - 2));
        return mk_concat(g, axis, n.n_in - 1, in);
    }
    return 0;
}

static Rewrite *const simplify_rules[] = {
    drop_permuted_operand, permuted_rename, permuted_result, merge_rearranges, rename_rearranged, expand_in_elem, expand_in_reduce,
    expand_in_view, rename_outwards, sum_of_unwindow, merge_sums, merge_sums_rearranged, narrow_reduce, sum_of_pad, add_of_pads,
    piece_of_concat, piece_of_pad, concat_of_slices,
};

static Ref simplify_node(Graph *g, const Node *old, Ref id, const Ref *in, void *ctx)
{
    Simplify *s = ctx;
    Ref r = mk_like(g, old, old->op, in, old->n_in);
    for (int round = 0; round < 64; round++) {
        Ref q = 0;
        g->precision = N(g, r)->precision;
        for (int i = 0; i < s->rules->n && !q; i++) q = s->rules->rule[i](s, r);
        if (!q || q == r) break;
        r = q;
    }
    if (r >= s->cap) {
        s->uses = xrealloc(s->uses, 2 * (r + 1) * sizeof *s->uses);
        memset(s->uses + s->cap, 0, (2 * (r + 1) - s->cap) * sizeof *s->uses);
        s->cap = 2 * (r + 1);
    }
    s->uses[r] += s->old_uses[id];
    return r;
}

void simplify(Graph *g) { rewrite(g, &(RuleList){ COUNT(simplify_rules), simplify_rules }); }

void rewrite(Graph *g, const RuleList *rules)
{
    enum { MAX_ROUNDS = 32 };
    uint64_t before = 0, now = graph_hash(g);
    for (int round = 0; round < MAX_ROUNDS && now != before; round++) {
        Simplify s = { .g = g, .old_uses = xcalloc(g->n, sizeof(int)), .rules = rules };
        for (Ref r = 1; r < g->n; r++)
            for (int k = 0; k < N(g, r)->n_in; k++) s.old_uses[N(g, r)->in[k]]++;
        for (int i = 0; i < g->n_out; i++) s.old_uses[g->out[i].ref]++;
        graph_rebuild(g, simplify_node, &s);
        free(s.old_uses);
        free(s.uses);
        before = now;
        now = graph_hash(g);
    }
}
