/* Gradient rules of views: each is a view again, or a sum of one. All are gathers; nothing scatters.
   Assumes dy has the roles of the view. */
#include "compiler/autodiff.h"

static int64_t size_in(const Graph *g, Ref x, Sym role) { return find_axis(N(g, x), role)->size; }

/* A role that x does not have, named after another. */
static Sym fresh_role(const Graph *g, Ref x, Sym like)
{
    for (int i = 1;; i++) {
        char *s = xasprintf("%s_%d", like, i);
        Sym r = sym(s);
        free(s);
        if (!find_axis(N(g, x), r)) return r;
    }
}

void d_rename(Tape *t, Ref z, Ref dy)
{
    const Attr a = N(t->g, z)->a;
    give_whole(t, z, 0, mk_rename(t->g, dy, a.rename.to, a.rename.from));
}

void d_rearrange(Tape *t, Ref z, Ref dy)
{
    Graph *g = t->g;
    const Node m = *N(g, z), x = *N(g, m.in[0]);
    const Rearrange *r = m.a.rearrange;
    Rearrange inv = { .n_in = r->n_out, .n_out = r->n_in, .n_factors = r->n_factors };
    memcpy(inv.in_count, r->out_count, sizeof inv.in_count);
    memcpy(inv.out_count, r->in_count, sizeof inv.out_count);
    for (int i = 0; i < r->n_factors; i++) {
        inv.factor[i] = r->factor[r->out_factor[i]];
        inv.out_factor[r->out_factor[i]] = i;
    }
    give_whole(t, z, 0, mk_rearrange(g, mk_conform(g, dy, m.n_axes, m.axes), &inv, x.axes));
}

void d_slice(Tape *t, Ref z, Ref dy)
{
    const Node m = *N(t->g, z);
    int64_t size = size_in(t->g, m.in[0], m.a.slice.axis);
    give_whole(t, z, 0, mk_pad(t->g, dy, m.a.slice.axis, m.a.slice.start, size - m.a.slice.start - m.a.slice.len));
}

void d_pick(Tape *t, Ref z, Ref dy)
{
    const Node m = *N(t->g, z);
    Sym axis = m.a.pick.axis;
    int64_t size = size_in(t->g, m.in[0], axis);
    give_whole(t, z, 0, mk_pad(t->g, mk_expand(t->g, dy, axis, 1), axis, m.a.pick.index, size - 1 - m.a.pick.index));
}

void d_pad(Tape *t, Ref z, Ref dy)
{
    const Node m = *N(t->g, z);
    give_whole(t, z, 0, mk_slice(t->g, dy, m.a.pad.axis, m.a.pad.lo, size_in(t->g, m.in[0], m.a.pad.axis)));
}

void d_concat(Tape *t, Ref z, Ref dy)
{
    const Node m = *N(t->g, z);
    int64_t start = 0;
    for (int k = 0; k < m.n_in; k++) {
        int64_t len = size_in(t->g, m.in[k], m.a.concat.axis);
        if (wants(t, z, k)) give_whole(t, z, k, mk_slice(t->g, dy, m.a.concat.axis, start, len));
        start += len;
    }
}

void d_repeat(Tape *t, Ref z, Ref dy)                /* split o = s*j + d, sum over d */
{
    Graph *g = t->g;
    const Node m = *N(g, z), d = *N(g, dy);
    Sym axis = m.a.repeat.axis, inner = fresh_role(g, dy, axis);
    Axis out[MAX_AXES + 1];
    Rearrange r = { .n_in = d.n_axes, .n_out = d.n_axes + 1 };
    CHECK_BUG(d.n_axes < MAX_AXES);
    for (int i = 0, o = 0; i < d.n_axes; i++) {
        bool split = d.axes[i].role == axis;
        r.in_count[i] = split ? 2 : 1;
        r.factor[r.n_factors] = split ? d.axes[i].size / m.a.repeat.times : d.axes[i].size;
        out[o++] = (Axis){ d.axes[i].role, r.factor[r.n_factors++] };
        if (!split) continue;
        r.factor[r.n_factors++] = m.a.repeat.times;
        out[o++] = (Axis){ inner, m.a.repeat.times };
    }
    for (int i = 0; i < r.n_out; i++) {
        r.out_count[i] = 1;
        r.out_factor[i] = i;
    }
    give_whole(t, z, 0, mk_sum(g, mk_rearrange(g, dy, &r, out), 1, &inner));
}

void d_window(Tape *t, Ref z, Ref dy)
{
    Graph *g = t->g;
    const Node m = *N(g, z);
    Sym axis = m.a.window.axis, kaxis = m.a.window.kaxis;
    Ref u = mk_unwindow(g, dy, axis, kaxis, m.a.window.stride, m.a.window.dil, m.a.window.pad, size_in(g, m.in[0], axis));
    give_whole(t, z, 0, mk_sum(g, u, 1, &kaxis));
}

/* x[o, k] went to y[j, k] where j = o*stride + k*dil - pad: a window of dy along a second k, of which the diagonal is wanted. */
void d_unwindow(Tape *t, Ref z, Ref dy)
{
    Graph *g = t->g;
    const Node m = *N(g, z);
    Sym axis = m.a.unwindow.axis, kaxis = m.a.unwindow.kaxis, second = fresh_role(g, dy, kaxis);
    int64_t k = size_in(g, z, kaxis);
    Ref w = mk_window(g, dy, axis, second, k, m.a.unwindow.stride, m.a.unwindow.dil, m.a.unwindow.pad, size_in(g, m.in[0], axis));
    Ref same = mk_binary(g, OP_eq, mk_iota(g, kaxis, k), mk_iota(g, second, k));
    give_whole(t, z, 0, mk_sum(g, mk_where(g, same, w, mk_const(g, 0)), 1, &second));
}

void d_expand(Tape *t, Ref z, Ref dy)
{
    Sym axis = N(t->g, z)->a.expand.axis;
    give_whole(t, z, 0, mk_sum(t->g, dy, 1, &axis));
}
