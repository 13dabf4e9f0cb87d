/* Expands composites (standardize, softmax) into sums, maxima and element-wise operations.
   Assumes gradients were taken before: the composites have better gradient rules than their expansions. */
#include "compiler/autodiff.h"

/* var = sqdev / count: squares of deviations from the mean, which do not cancel where |mean| is large. */
Moments moments(Graph *g, Ref x, int n, const Sym *axes, double eps)
{
    Ref centred = mk_binary(g, OP_sub, x, mk_mean(g, x, n, axes));
    double count = 1;
    for (int i = 0; i < n; i++) count *= (double)find_axis(N(g, x), axes[i])->size;
    Ref var = mk_binary(g, OP_div, mk_sqdev(g, x, n, axes), mk_const(g, count));
    return (Moments){ centred, mk_unary(g, OP_rsqrt, mk_binary(g, OP_add, var, mk_const(g, eps))) };
}

static Ref expand_node(Graph *g, const Node *old, Ref id, const Ref *in, void *ctx)
{
    (void)id;
    (void)ctx;
    int n = old->a.reduce.n;
    const Sym *axes = old->a.reduce.axis;
    if (old->op == OP_standardize) {
        Moments m = moments(g, in[0], n, axes, old->a.reduce.eps);
        return mk_binary(g, OP_mul, m.centred, m.rstd);
    }
    if (old->op == OP_softmax) {
        Ref e = mk_unary(g, OP_exp, mk_binary(g, OP_sub, in[0], mk_rmax(g, in[0], n, axes)));
        return mk_binary(g, OP_div, e, mk_sum(g, e, n, axes));
    }
    return mk_like(g, old, old->op, in, old->n_in);
}

void expand_composites(Graph *g)
{
    graph_rebuild(g, expand_node, NULL);
    g->expanded = true;
}
