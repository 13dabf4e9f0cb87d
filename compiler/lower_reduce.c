/* Lower, second part: reductions and contractions with their epilogues. A contraction's operands become stages (regions with a prologue);
   the leaf that computes the sum is chosen here, and the reason recorded. */
#include "compiler/lower.h"

/* A role of the kernel's last node `root` as the reduction calls it: followed back through the epilogue's renames. */
static Sym role_in_reduction(const Lower *c, Ref root, Ref red, Sym role)
{
    const Graph *g = c->l->g;
    for (Ref x = root; x != red;) {
        const Node *n = N(g, x);
        if (n->op == OP_rename) {
            if (n->a.rename.to == role) role = n->a.rename.from;
            x = n->in[0];
            continue;
        }
        Ref next = 0;                                /* the operand on the way to the reduction */
        for (int j = 0; j < n->n_in && !next; j++)
            for (Ref y = n->in[j];; y = N(g, y)->in[0]) {
                if (y == red || (g->into[y] == root && !g->held[y])) { next = n->in[j]; break; }
                if (N(g, y)->op != OP_rename) break;
            }
        CHECK_BUG(next);
        x = next;
    }
    return role;
}

/* Epilogue: the root's expression over the output loops, with the reduction's value as accumulator. idx: per axis of the reduction node. */
static void epilogue(Lower *c, Ref red, Ref root, int buf, const IRef *idx)
{
    Kernel *k = c->k;
    const Node *n = N(c->l->g, red), *e = N(c->l->g, root);
    IRef at[MAX_AXES];
    for (int i = 0; i < e->n_axes; i++) at[i] = idx[axis_index(n, role_in_reduction(c, root, red, e->axes[i].role))];
    c->acc_node = red;
    c->root = root;
    c->n_memo = 0;
    KRef v = resolve(c, root, at);
    Store *s = &k->store[k->n_store++];
    s->slot = kernel_slot(k, buf);
    s->layout = c->l->buf[buf].layout;
    s->offset = layout_offset(k, &s->layout, e, at, NULL);
    s->value = v;
    kernel_nodes(c, red, root);
    c->acc_node = 0;
}

/* ---- reductions as loops ---- */
typedef struct { Axis axis; double rank; bool red; IRef idx; } Dom;

static int64_t divisor(int64_t size, int64_t limit)
{
    for (int64_t d = MIN(limit, size); d > 1; d--)
        if (size % d == 0 && (d % 16 == 0 || d < 16)) return d;
    return 1;
}

static void lower_loops(Lower *c, Ref red, Ref root, int buf, const char *reason)
{
    Graph *g = c->l->g;
    Kernel *k = c->k = kernel_new(c->l, KERNEL_REDUCE, root);
    k->reason = reason;
    const Node *n = N(g, red);
    Dom dom[2 * MAX_AXES];
    int nd = 0;
    int64_t outs = 1, total = 1;
    for (int i = 0; i < n->n_axes; i++) dom[nd++] = (Dom){n->axes[i], 0, false, 0};
    for (int i = 0; i < n->a.reduce.n; i++) {
        const Axis *a = find_axis(N(g, n->in[0]), n->a.reduce.axis[i]);
        if (!a && n->n_in > 1) a = find_axis(N(g, n->in[1]), n->a.reduce.axis[i]);
        dom[nd++] = (Dom){*a, 0, true, 0};
    }
    for (int i = 0; i < nd; i++) {
        for (int j = 0; j < n->n_in; j++) {          /* rank in the larger operand that has the axis */
            const Node *in = N(g, n->in[j]);
            int a = axis_index(in, dom[i].axis.role);
            if (a >= 0 && (dom[i].rank == 0 || node_elements(in) > node_elements(N(g, n->in[0])))) dom[i].rank = c->ranks[n->in[j]].rank[a];
        }
        total *= dom[i].axis.size;
        if (!dom[i].red) outs *= dom[i].axis.size;
    }
    for (int i = 1; i < nd; i++)
        for (int j = i; j > 0 && dom[j].rank > dom[j - 1].rank; j--) { Dom x = dom[j]; dom[j] = dom[j - 1]; dom[j - 1] = x; }
    int first = nd;                                  /* innermost axes that are accumulated side by side */
    int64_t lanes = 1;
    while (first > 0 && lanes * dom[first - 1].axis.size <= 512) lanes *= dom[--first].axis.size;
    int64_t split = 1;                               /* of the axis just outside: an inner part joins the lanes */
    if (first > 0 && lanes < 64) split = divisor(dom[first - 1].axis.size, 256 / lanes);
    int64_t par = 1;
    for (int i = 0; i < first; i++) if (!dom[i].red) par *= dom[i].axis.size;
    int cut = -1;                                    /* too little to share out: cut the outermost kept lane axis */
    if (par < 4 && split == 1)
        for (int i = first; i < nd && cut < 0; i++) if (!dom[i].red && dom[i].axis.size >= 32) cut = i;
    IRef base[2 * MAX_AXES] = {0};
    for (int i = 0; i < nd; i++) {
        int64_t size = dom[i].axis.size, inner = i == first - 1 ? split : i >= first ? size : 1;
        if (i == cut) inner = divisor(size, MAX(16, size / 8));
        int64_t outer = size / inner;
        Sym name = dom[i].axis.role;
        if (outer > 1) {
            int v = new_loop(k, inner > 1 ? sym(arena_printf(k->arena, "%s_block", name)) : name, outer);
            if (dom[i].red) k->red[k->n_red++] = v;
            else { k->out_axes[k->n_out] = (Axis){name, outer}; k->out[k->n_out++] = v; }
            base[i] = ix_scale(k, ix_loop(k, v), inner);
        }
        if (inner > 1) {
            int v = new_loop(k, name, inner);
            k->suf_red[k->n_suf] = dom[i].red;
            k->suf[k->n_suf++] = v;
            base[i] = ix_add(k, base[i], ix_loop(k, v));
        }
        dom[i].idx = base[i];
    }
    c->n_memo = 0;
    c->root = c->acc_node = 0;
    KRef in[2] = {0};
    for (int j = 0; j < n->n_in; j++) {
        const Node *x = N(g, n->in[j]);
        IRef idx[MAX_AXES];
        for (int a = 0; a < x->n_axes; a++)
            for (int i = 0; i < nd; i++) if (dom[i].axis.role == x->axes[a].role) idx[a] = dom[i].idx;
        in[j] = resolve(c, n->in[j], idx);
    }
    k->acc[0] = n->n_in == 1 ? in[0] : kx(k, (KExpr){.kind = K_OP, .op = OP_mul, .n_in = 2, .in = {in[0], in[1]}, .at = n->at});
    k->acc_op[0] = n->op == OP_rmax ? OP_rmax : OP_sum;
    k->n_acc = 1;
    IRef idx[MAX_AXES];
    for (int a = 0; a < n->n_axes; a++)
        for (int i = 0; i < nd; i++) if (dom[i].axis.role == n->axes[a].role && !dom[i].red) idx[a] = dom[i].idx;
    epilogue(c, red, root, buf, idx);
    k->flops = total * (n->op == OP_contract ? 2 : 1);
}

/* ---- contractions ---- */
/* Peel renames and stride-1 windows off operand x of contraction n: what is left is the stage's source. */
static void operand(Lower *c, const Node *n, int side, Operand *o)
{
    Graph *g = c->l->g;
    Ref r = n->in[side];
    const Node *x = N(g, r);
    Axis role[MAX_AXES];                             /* current node's role (size unused) -> contraction's role */
    Sym outer[MAX_AXES];
    int na = x->n_axes;
    for (int i = 0; i < na; i++) { role[i] = x->axes[i]; outer[i] = x->axes[i].role; }
    while (!c->l->g->held[r] || N(g, r)->op == OP_rename || N(g, r)->op == OP_window) {
        x = N(g, r);
        if (x->op == OP_rename) {
            for (int i = 0; i < na; i++) if (role[i].role == x->a.rename.to) role[i].role = x->a.rename.from;
        } else if (x->op == OP_window && x->a.window.stride == 1 && o->n_taps < 2) {
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

/* Stage loops and prologue; direct when it is one unmasked load whose offset is linear in the loops. */
static void operand_value(Lower *c, Operand *o)
{
    Kernel *k = c->k;
    IRef idx[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) {
        o->loop[i] = new_loop(k, o->outer[i], o->axes[i].size);
        idx[i] = ix_loop(k, o->loop[i]);
    }
    c->n_memo = 0;
    c->root = c->acc_node = 0;
    o->value = resolve(c, o->node, idx);
    const KExpr *e = &k->expr[o->value];
    o->direct = e->kind == K_LOAD;
    if (!o->direct) return;
    o->slot = e->slot;
    o->base = k->index[e->index].c;
    for (int i = 0; i < o->n_axes; i++) o->direct &= ix_linear(k, e->index, o->loop[i], &o->stride[i]);
}

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

static void sort_by_rank(Axis *v, int n, const Lower *c, const Operand *o)
{
    double key[MAX_AXES];
    for (int i = 0; i < n; i++) {
        int a = op_axis(o, v[i].role);
        key[i] = a < 0 ? 1e35 : o->direct && c->k ? (double)o->stride[a] : c->ranks[o->node].rank[a];
    }
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && key[j] > key[j - 1]; j--) {
            double x = key[j]; key[j] = key[j - 1]; key[j - 1] = x;
            Axis y = v[j]; v[j] = v[j - 1]; v[j - 1] = y;
        }
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

void lower_reduction(Lower *c, Ref red, Ref root, int buf)
{
    Graph *g = c->l->g;
    const Node *n = N(g, red);
    if (n->op != OP_contract) { lower_loops(c, red, root, buf, "a plain reduction"); return; }
    Segment2 seg = {0};
    operand(c, n, 0, &seg.a);
    operand(c, n, 1, &seg.b);
    /* The innermost axis of the result belongs to the columns, operand b. */
    const Layout *home = &c->l->buf[buf].layout;
    Sym last = NULL;
    for (int i = home->n; i-- > 0 && !last;)
        if (home->axis[i].size > 1) last = role_in_reduction(c, root, red, home->axis[i].role);
    if (last && has_role(&seg.a, last) && !has_role(&seg.b, last)) { Operand x = seg.a; seg.a = seg.b; seg.b = x; }
    if (seg.b.n_taps && !seg.a.n_taps) { Operand x = seg.a; seg.a = seg.b; seg.b = x; }      /* the windowed operand gives the rows */
    Axis m[MAX_AXES], nn[MAX_AXES], kk[MAX_AXES], bb[MAX_AXES];
    int nm = 0, nc = 0, nk = 0, nb = 0;
    for (int i = 0; i < n->n_axes; i++) {
        bool a = has_role(&seg.a, n->axes[i].role), b = has_role(&seg.b, n->axes[i].role);
        if (a && b) bb[nb++] = n->axes[i];
        else if (a) m[nm++] = n->axes[i];
        else nn[nc++] = n->axes[i];
    }
    bool lone = false;                               /* summed in one operand only */
    for (int i = 0; i < n->a.reduce.n; i++) {
        Sym role = n->a.reduce.axis[i];
        const Axis *a = find_axis(N(g, n->in[0]), role), *b = find_axis(N(g, n->in[1]), role);
        lone |= !a || !b;
        kk[nk++] = a ? *a : *b;
    }
    int64_t work = axes_product(m, nm) * axes_product(nn, nc) * axes_product(kk, nk);
    if (lone || work < 2048 || axes_product(nn, nc) < 2 || axes_product(m, nm) < 2) {
        lower_loops(c, red, root, buf, lone ? "an axis is summed in one operand only" : "too small for a matrix product");
        return;
    }
    bool ta = seg.a.n_taps > 0, tb = seg.b.n_taps > 0;
    Leaf leaf = LEAF_GEMM;
    const char *reason = "matrix product: operands read in place or packed, OpenBLAS";
    if (ta != tb) {
        if (taps_fit(&seg.a, m, nm, kk, nk) && nb == 0) {
            leaf = LEAF_TAPS_K;
            reason = "convolution: one stage with a halo, a matrix product for each tap at shifted addresses, OpenBLAS";
        } else if (taps_fit(&seg.a, kk, nk, m, nm) && nb == 0) {
            leaf = LEAF_TAPS_OUT;
            reason = "convolution weight gradient: stages with a halo, a transposed product for each tap, fixed split over images";
        } else {
            leaf = LEAF_LOOPS;
        }
    } else if (ta && tb) {
        leaf = LEAF_LOOPS;
    }
    if (leaf == LEAF_LOOPS) { lower_loops(c, red, root, buf, "windows on axes that no tap product covers"); return; }
    Kernel *k = c->k = kernel_new(c->l, KERNEL_CONTRACT, root);
    k->leaf = leaf;
    k->reason = reason;
    k->n_seg = 1;
    k->seg = arena_make(k->arena, Segment2, 1);
    operand_value(c, &seg.a);
    operand_value(c, &seg.b);
    sort_by_rank(m, nm, c, &seg.a);
    sort_by_rank(nn, nc, c, &seg.b);
    sort_by_rank(kk, nk, c, seg.b.direct || !seg.a.direct ? &seg.b : &seg.a);
    sort_by_rank(bb, nb, c, &seg.a);
    memcpy(k->m, m, sizeof m); memcpy(k->nn, nn, sizeof nn); memcpy(k->k, kk, sizeof kk); memcpy(k->b, bb, sizeof bb);
    k->n_m = nm; k->n_n = nc; k->n_k = nk; k->n_b = nb;
    IRef idx[MAX_AXES];
    for (int i = 0; i < nb; i++) idx[axis_index(n, bb[i].role)] = ix_loop(k, k->loop_b[i] = new_loop(k, bb[i].role, bb[i].size));
    for (int i = 0; i < nm; i++) idx[axis_index(n, m[i].role)] = ix_loop(k, k->loop_m[i] = new_loop(k, m[i].role, m[i].size));
    for (int i = 0; i < nc; i++) idx[axis_index(n, nn[i].role)] = ix_loop(k, k->loop_n[i] = new_loop(k, nn[i].role, nn[i].size));
    k->seg[0] = seg;
    epilogue(c, red, root, buf, idx);
    k->flops = 2 * axes_product(bb, nb) * work;
}
