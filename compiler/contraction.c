/* Contractions seen as matrix products: which operand gives the rows, which the columns, and what computes the sum.
   Assumes simplified graphs: every summed role is in both operands unless noted. */
#include "compiler/fuse.h"

enum { TILE_FLOATS = 131072, TILE_PIXELS = 1088, HOST_COLUMNS = 2048 };

int op_axis(const Operand *o, Sym role)
{
    for (int i = 0; i < o->n_axes; i++)
        if (o->outer[i] == role) return i;
    return -1;
}

static bool has_role(const Operand *o, Sym role)
{
    if (op_axis(o, role) >= 0) return true;
    for (int t = 0; t < o->n_taps; t++) if (o->tap[t].kaxis == role) return true;
    return false;
}

int64_t axes_product(const Axis *v, int n)
{
    int64_t p = 1;
    for (int i = 0; i < n; i++) p *= v[i].size;
    return p;
}

static bool in_axes(Sym role, const Axis *v, int n)
{
    for (int i = 0; i < n; i++) if (v[i].role == role) return true;
    return false;
}

/* Every tap's axis among rows[] and its kaxis among taps[]? */
static bool taps_fit(const Operand *o, const Axis *rows, int nr, const Axis *taps, int nt)
{
    for (int t = 0; t < o->n_taps; t++)
        if (!in_axes(o->tap[t].axis, rows, nr) || !in_axes(o->tap[t].kaxis, taps, nt)) return false;
    return true;
}

/* Peel renames and stride-1 windows off operand `side` of contraction n: what is left is the stage's source. */
static void operand(const Graph *g, const Node *n, int side, Operand *o)
{
    Ref r = n->in[side];
    const Node *x = N(g, r);
    Axis role[MAX_AXES];                             /* current node's role (size unused) -> contraction's role */
    Sym outer[MAX_AXES];
    int na = x->n_axes;
    for (int i = 0; i < na; i++) { role[i] = x->axes[i]; outer[i] = x->axes[i].role; }
    while (N(g, r)->op == OP_rename || N(g, r)->op == OP_window) {
        x = N(g, r);
        if (x->op == OP_rename) {
            for (int i = 0; i < na; i++) if (role[i].role == x->a.rename.to) role[i].role = x->a.rename.from;
        } else if (x->a.window.stride == 1 && o->n_taps < 2) {
            Sym axis = NULL, kaxis = NULL;
            for (int i = 0; i < na; i++) {
                if (role[i].role == x->a.window.axis) axis = outer[i];
                if (role[i].role == x->a.window.kaxis) kaxis = outer[i];
            }
            bool again = false;
            for (int t = 0; t < o->n_taps; t++) again |= o->tap[t].axis == axis;
            if (again || !axis || !kaxis) break;
            o->tap[o->n_taps++] = (Tap){axis, kaxis, x->a.window.k, x->a.window.dil, x->a.window.pad,
                                        find_axis(N(g, x->in[0]), x->a.window.axis)->size, x->a.window.out, 0, 0};
            int j = 0;
            for (int i = 0; i < na; i++)
                if (role[i].role != x->a.window.kaxis) { role[j] = role[i]; outer[j++] = outer[i]; }
            na = j;
        } else {
            break;
        }
        r = x->in[0];
    }
    o->node = r;
    x = N(g, r);
    o->n_axes = x->n_axes;
    for (int i = 0; i < x->n_axes; i++) {
        o->axes[i] = x->axes[i];
        for (int j = 0; j < na; j++) if (role[j].role == x->axes[i].role) o->outer[i] = outer[j];
        CHECK_BUG(o->outer[i]);
    }
}

static double rank_at(const Graph *g, const Ranks *ranks, Ref r, Sym role)
{
    for (int i = 0; i < N(g, r)->n_axes; i++)
        if (N(g, r)->axes[i].role == role) return ranks[r].rank[i];
    return -1;
}

static void swap_sides(ContractPlan *p) { Operand x = p->a; p->a = p->b; p->b = x; }

void contract_plan(const Graph *g, const Ranks *ranks, Ref r, Sym last, ContractPlan *p)
{
    const Node *n = N(g, r);
    *p = (ContractPlan){.leaf = LEAF_LOOPS};
    operand(g, n, 0, &p->a);
    operand(g, n, 1, &p->b);
    double low = 1e300;
    if (!last)
        for (int i = 0; i < n->n_axes; i++)
            if (n->axes[i].size > 1 && ranks[r].rank[i] < low) { low = ranks[r].rank[i]; last = n->axes[i].role; }
    if (last && has_role(&p->a, last) && !has_role(&p->b, last)) swap_sides(p);
    if (p->b.n_taps && !p->a.n_taps) swap_sides(p);  /* the windowed operand gives the rows */
    for (int i = 0; i < n->n_axes; i++) {
        bool a = has_role(&p->a, n->axes[i].role), b = has_role(&p->b, n->axes[i].role);
        if (a && b) p->bb[p->nb++] = n->axes[i];
        else if (a) p->m[p->nm++] = n->axes[i];
        else p->nn[p->nc++] = n->axes[i];
    }
    for (int i = 1; i < p->nm; i++)
        for (int j = i; j > 0 && rank_at(g, ranks, r, p->m[j].role) > rank_at(g, ranks, r, p->m[j - 1].role); j--) {
            Axis x = p->m[j]; p->m[j] = p->m[j - 1]; p->m[j - 1] = x;
        }
    bool lone = false;                               /* summed in one operand only */
    for (int i = 0; i < n->a.reduce.n; i++) {
        Sym role = n->a.reduce.axis[i];
        const Axis *a = find_axis(N(g, n->in[0]), role), *b = find_axis(N(g, n->in[1]), role);
        lone |= !a || !b;
        p->k[p->nk++] = a ? *a : *b;
    }
    int64_t work = axes_product(p->m, p->nm) * axes_product(p->nn, p->nc) * axes_product(p->k, p->nk);
    if (lone || work < 2048 || axes_product(p->nn, p->nc) < 2 || axes_product(p->m, p->nm) < 2) {
        p->reason = lone ? "an axis is summed in one operand only" : "too small for a matrix product";
        return;
    }
    bool ta = p->a.n_taps > 0, tb = p->b.n_taps > 0;
    if (ta != tb) {
        if (taps_fit(&p->a, p->m, p->nm, p->k, p->nk) && p->nb == 0) {
            p->leaf = LEAF_TAPS_K;
            p->reason = "convolution: one stage with a halo, a matrix product for each tap at shifted addresses, OpenBLAS";
        } else if (taps_fit(&p->a, p->k, p->nk, p->m, p->nm) && p->nb == 0) {
            p->leaf = LEAF_TAPS_OUT;
            p->reason = "convolution weight gradient: stages with a halo, a transposed product for each tap, fixed split over images";
        }
    } else if (!ta) {
        p->leaf = LEAF_GEMM;
        p->reason = "matrix product: operands read in place or packed, OpenBLAS";
    }
    if (p->leaf == LEAF_LOOPS) p->reason = "windows on axes that no tap product covers";
}

bool contract_can_host(const ContractPlan *p)
{
    return (p->leaf == LEAF_GEMM || p->leaf == LEAF_TAPS_K) && axes_product(p->nn, p->nc) <= HOST_COLUMNS;
}

bool contract_tile(const ContractPlan *p, Sym *axis, int64_t *rows)
{
    if (!contract_can_host(p) || p->nb || p->nm < 2) return false;
    int64_t depth = 1, pixels = 1, columns = axes_product(p->nn, p->nc), size = p->m[1].size, t = size;
    for (int i = 0; i < p->nk; i++) {
        bool tap = false;
        for (int q = 0; q < p->a.n_taps; q++) tap |= p->a.tap[q].kaxis == p->k[i].role;
        if (!tap) depth *= p->k[i].size;
    }
    if (p->leaf == LEAF_TAPS_K) {                    /* rows are (others, h, w): the tile is along h */
        if (p->a.n_taps != 2 || p->nm != 3) return false;
        for (int q = 0; q < 2; q++) if (p->a.tap[q].axis == p->m[0].role) return false;
    }
    for (int i = 2; i < p->nm; i++) pixels *= p->m[i].size;
    while (t > 1 && (size % t || t * pixels * MAX(columns, depth) > TILE_FLOATS || t * pixels > TILE_PIXELS)) t--;
    *axis = p->m[1].role;
    *rows = t;
    return true;
}
