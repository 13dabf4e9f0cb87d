/* Layout: the physical order of every parameter, and a stride rank for each axis of each node (larger = outer).
   Axes are not positions, so the order is the compiler's choice: channels innermost, kernel taps of a weight outermost. */
#include "compiler/kernel.h"

#define FREE 1e18                                    /* the rank of an axis along which nothing lies */

/* Follow renames down to the node underneath; *role becomes its name there. */
static Ref peel_rename(const Graph *g, Ref r, Sym *role)
{
    while (N(g, r)->op == OP_rename) {
        if (role && *role == N(g, r)->a.rename.to) *role = N(g, r)->a.rename.from;
        r = N(g, r)->in[0];
    }
    return r;
}

static bool in_list(Sym s, const Sym *v, int n)
{
    for (int i = 0; i < n; i++)
        if (v[i] == s) return true;
    return false;
}

/* Is `role` of operand r a tap, i.e. made by a window on the way down? */
static bool is_tap(const Graph *g, Ref r, Sym role)
{
    for (;;) {
        const Node *n = N(g, r);
        if (n->op == OP_rename) {
            if (role == n->a.rename.to) role = n->a.rename.from;
        } else if (n->op == OP_window) {
            if (role == n->a.window.kaxis) return true;
        } else {
            return false;
        }
        r = n->in[0];
    }
}

/* A weight in its first contraction: taps, then the other summed axes, then the kept axes (columns of the product, innermost). */
static void order_from_use(const Graph *g, const Node *c, int side, const Node *p, Layout *out)
{
    int pass_of[MAX_AXES];
    for (int i = 0; i < p->n_axes; i++) {
        Sym outer = p->axes[i].role;
        Ref chain[64]; int n = 0;
        for (Ref r = c->in[side]; N(g, r)->op == OP_rename; r = N(g, r)->in[0]) chain[n++] = r;
        while (n--) if (N(g, chain[n])->a.rename.from == outer) outer = N(g, chain[n])->a.rename.to;
        bool summed = in_list(outer, c->a.reduce.axis, c->a.reduce.n);
        pass_of[i] = summed && is_tap(g, c->in[1 - side], outer) ? 0 : summed ? 1 : 2;
    }
    out->n = 0;
    for (int pass = 0; pass < 3; pass++)
        for (int i = 0; i < p->n_axes; i++)
            if (pass_of[i] == pass) out->axis[out->n++] = p->axes[i];
}

void layout_params(const Module *m, Layout *order)
{
    for (int i = 0; i < m->n_params; i++) order[i].n = -1;
    for (int p = 0; p < m->n_programs; p++)
        for (int s = 0; s < m->programs[p].n_seg; s++) {
            const Graph *g = m->programs[p].seg[s].g;
            for (uint32_t r = 1; r < g->n; r++) {
                const Node *c = N(g, r);
                if (c->op != OP_contract) continue;
                for (int side = 0; side < 2; side++) {
                    const Node *w = N(g, peel_rename(g, c->in[side], NULL));
                    if (w->op == OP_param && order[w->a.param.index].n < 0)
                        order_from_use(g, c, side, w, &order[w->a.param.index]);
                }
            }
        }
    for (int i = 0; i < m->n_params; i++)
        if (order[i].n < 0) {
            order[i].n = m->params[i].n_axes;
            memcpy(order[i].axis, m->params[i].axes, sizeof(Axis) * (size_t)order[i].n);
        }
}

static int axis_at(const Node *n, Sym role)
{
    for (int i = 0; i < n->n_axes; i++)
        if (n->axes[i].role == role) return i;
    return -1;
}

static double rank_of(const Graph *g, const Ranks *k, Ref r, Sym role, double missing)
{
    int i = axis_at(N(g, r), role);
    return i < 0 ? missing : k[r].rank[i];
}

/* Ranks of a freshly laid out tensor: row-major strides in the given order of axis positions. */
static void row_major(const Node *n, const int *order, Ranks *out)
{
    double s = 1;
    for (int i = n->n_axes; i-- > 0;) {
        out->rank[order[i]] = s;
        s *= (double)MAX(n->axes[order[i]].size, 1) + 0.5;    /* the half keeps axes of size 1 in order */
    }
}

/* A parameter under any views. */
static bool is_weight(const Graph *g, Ref r)
{
    while (op_info[N(g, r)->op].cls == OPC_VIEW && N(g, r)->n_in == 1) r = N(g, r)->in[0];
    return N(g, r)->op == OP_param;
}

/* Result of a contraction: rows (and batch) in the order of the data operand, then columns in the order of the other one. */
static void rank_contract(const Graph *g, const Ranks *k, const Node *n, Ranks *out)
{
    int cols = is_weight(g, n->in[0]) ? 0 : 1;
    Ref rows = n->in[1 - cols], c = n->in[cols];
    int order[MAX_AXES];
    double key[MAX_AXES];
    for (int i = 0; i < n->n_axes; i++) {
        order[i] = i;
        double row = rank_of(g, k, rows, n->axes[i].role, -1);
        key[i] = row >= 0 ? 1e30 + row * 1e18 : rank_of(g, k, c, n->axes[i].role, 0);
    }
    for (int i = 1; i < n->n_axes; i++)
        for (int j = i; j > 0 && key[order[j]] > key[order[j - 1]]; j--) {
            int x = order[j]; order[j] = order[j - 1]; order[j - 1] = x;
        }
    row_major(n, order, out);
}

static void rank_rearrange(const Graph *g, const Ranks *k, const Node *n, Ranks *out)
{
    const Rearrange *ra = n->a.rearrange;
    double f[2 * MAX_AXES];
    int q = 0;
    for (int i = 0; i < ra->n_in; i++) {
        double s = k[n->in[0]].rank[i];
        for (int j = ra->in_count[i]; j-- > 0;) { f[q + j] = s; s *= (double)ra->factor[q + j]; }
        q += ra->in_count[i];
    }
    q = 0;
    for (int i = 0; i < ra->n_out; i++) {
        out->rank[i] = FREE;                         /* the innermost factor that says anything: an expanded one lies anywhere */
        for (int j = ra->out_count[i]; j-- > 0 && out->rank[i] >= FREE / 2;) out->rank[i] = f[ra->out_factor[q + j]];
        q += ra->out_count[i];
    }
    (void)g;
}

Ranks *layout_ranks(const Module *m, const Graph *g, const Layout *params)
{
    (void)m;
    Ranks *k = xcalloc(g->n, sizeof *k);
    for (uint32_t r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        int order[MAX_AXES];
        for (int i = 0; i < n->n_axes; i++) order[i] = i;
        if (n->op == OP_param) {
            const Layout *l = &params[n->a.param.index];
            for (int i = 0; i < l->n; i++) order[i] = axis_at(n, l->axis[i].role);
            row_major(n, order, &k[r]);
        } else if (n->op == OP_draw) {
            Sym c = sym("c");
            int ci = axis_at(n, c);
            if (ci >= 0) {
                for (int i = ci; i + 1 < n->n_axes; i++) order[i] = order[i + 1];
                order[n->n_axes - 1] = ci;
            }
            row_major(n, order, &k[r]);
        } else if (op_info[n->op].cls == OPC_SOURCE) {
            row_major(n, order, &k[r]);
        } else if (n->op == OP_contract) {
            rank_contract(g, k, n, &k[r]);
        } else if (n->op == OP_rearrange) {
            rank_rearrange(g, k, n, &k[r]);
        } else {
            int dom = 0;                             /* the operand that decides: the largest; a tie goes to one that is not an input */
            for (int i = 1; i < n->n_in; i++) {
                int64_t a = node_elements(N(g, n->in[i])), b = node_elements(N(g, n->in[dom]));
                if (a > b || (a == b && N(g, n->in[dom])->op == OP_input)) dom = i;
            }
            for (int i = 0; i < n->n_axes; i++) {
                Sym role = n->axes[i].role;
                double v = -1;
                if (n->op == OP_rename && role == n->a.rename.to) v = rank_of(g, k, n->in[0], n->a.rename.from, -1);
                else if (n->op == OP_window && role == n->a.window.kaxis) v = rank_of(g, k, n->in[0], n->a.window.axis, -1) * 0.99;
                else if (n->op == OP_unwindow && role == n->a.unwindow.kaxis) v = rank_of(g, k, n->in[0], n->a.unwindow.axis, -1) * 0.99;
                else if (n->n_in) v = rank_of(g, k, n->in[dom], role, -1);
                for (int j = 0; j < n->n_in && v < 0; j++) v = rank_of(g, k, n->in[j], role, -1);
                k[r].rank[i] = v < 0 ? FREE : v;
            }
        }
    }
    return k;
}
