/* Lower, second part: reductions and contractions with their epilogues. A contraction's operands become stages (regions with a prologue);
   the leaf that computes the sum is chosen here, and the reason recorded. */
#include "compiler/lower.h"

/* ---- reductions as loops ---- */
typedef struct { Axis axis; double rank; bool red; IRef idx; } Dom;

static int64_t divisor(int64_t size, int64_t limit)
{
    for (int64_t d = MIN(limit, size); d > 1; d--)
        if (size % d == 0 && (d % 16 == 0 || d < 16)) return d;
    return 1;
}

static Ref first_reduction(const Graph *g, const Group *k)
{
    for (int i = 0; i < k->n; i++)
        if (op_info[N(g, k->member[i])->op].cls == OPC_REDUCE) return k->member[i];
    return 0;
}

static Place identity(const Graph *g, Ref r)
{
    Place p = {.node = r};
    for (int i = 0; i < N(g, r)->n_axes; i++) p.at[i] = (AxisAt){N(g, r)->axes[i].role, 1, 0};
    return p;
}

/* The value that reduction r sums, each operand at its place: the product of a contraction's. */
static KRef summand(Lower *c, Ref r, const Place *at, Ref whole)
{
    const Graph *g = c->l->g;
    const Node *n = N(g, r), *x = N(g, whole);
    KRef v[2] = {0};
    for (int j = 0; j < n->n_in; j++) {
        Place p = {.node = n->in[j]};
        for (int i = 0; i < N(g, n->in[j])->n_axes; i++) p.at[i] = at->at[axis_index(x, N(g, n->in[j])->axes[i].role)];
        IRef idx[MAX_AXES];
        for (int i = 0; i < N(g, n->in[j])->n_axes; i++) idx[i] = place_index(c, &p.at[i]);
        v[j] = resolve(c, n->in[j], idx);
    }
    return n->n_in == 1 ? v[0] : kx(c->k, (KExpr){.kind = K_OP, .op = OP_mul, .n_in = 2, .in = {v[0], v[1]}, .at = n->at});
}

/* The element-wise members that end the kernel, by what is at hand. */
static void lower_members(Lower *c, const Group *k, Level level)
{
    const Graph *g = c->l->g;
    for (int i = 0; i < k->n; i++) {
        Ref r = k->member[i];
        Place at;
        if (op_info[N(g, r)->op].cls == OPC_REDUCE) continue;
        CHECK_BUG(place_member(c, r, &at));
        KRef v = as_stored(c, r, resolve_at(c, r, &at));
        store_member(c, r, &at, v, level);
        know(c, &at, v);
    }
}

/* Does axis i number the parts of a reduction (regroup.c) that are summed here over the axis before, too? */
static bool of_parts(const Dom *dom, int i)
{
    const size_t n = strlen(dom[i].axis.role);
    return i && dom[i].red && dom[i - 1].red && n > 5 && !strcmp(dom[i].axis.role + n - 5, "_tile");
}

/* Sums as loops: all of one kernel keep the same axes and sum the same. */
void lower_sums(Lower *c, const Group *group, const char *reason)
{
    Graph *g = c->l->g;
    Ref red = first_reduction(g, group);
    begin_kernel(c, KERNEL_REDUCE, group->leader);
    Kernel *k = c->k;
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
    while (first > 0 && lanes * dom[first - 1].axis.size <= 512 && !of_parts(dom, first - 1)) lanes *= dom[--first].axis.size;
    int64_t split = 1;                               /* of the axis just outside: an inner part joins the lanes */
    if (first > 0 && lanes < 64) split = divisor(dom[first - 1].axis.size, 256 / lanes);
    int64_t par = 1;
    for (int i = 0; i < first; i++) if (!dom[i].red) par *= dom[i].axis.size;
    int at = -1;                                     /* too little to share out: cut the outermost kept lane axis */
    if (par < 4 && split == 1)
        for (int i = first; i < nd && at < 0; i++) if (!dom[i].red && dom[i].axis.size >= 32) at = i;
    for (int i = 0; i < nd; i++) {
        int64_t size = dom[i].axis.size, inner = i == first - 1 ? split : i >= first ? size : 1;
        if (i == at) inner = divisor(size, MAX(16, size / 8));
        int64_t outer = size / inner;
        Sym name = dom[i].axis.role;
        IRef base = 0;
        if (inner == 1 && i + 1 < first && (i + 1 < first - 1 || split == 1) && of_parts(dom, i + 1)) {
            const Axis tile = dom[++i].axis;         /* sums of parts: one loop over the parts of all rows */
            int v = k->red[k->n_red++] = new_loop(k, name, size * tile.size);
            domain_axis(c, name, size, ix_div(k, ix_loop(k, v), tile.size));
            domain_axis(c, tile.role, tile.size, ix_mod(k, ix_loop(k, v), tile.size));
            continue;
        }
        if (outer > 1) {
            int v = new_loop(k, inner > 1 ? sym(arena_printf(k->arena, "%s_block", name)) : name, outer);
            if (dom[i].red) k->red[k->n_red++] = v;
            else { k->out_axes[k->n_out] = (Axis){name, outer}; k->out[k->n_out++] = v; }
            base = ix_scale(k, ix_loop(k, v), inner);
        }
        if (inner > 1) {
            int v = new_loop(k, name, inner);
            k->suf_red[k->n_suf] = dom[i].red;
            k->suf[k->n_suf++] = v;
            base = ix_add(k, base, ix_loop(k, v));
        }
        domain_axis(c, name, size, base);
    }
    for (int i = 0; i < group->n; i++) {
        Ref r = group->member[i];
        n = N(g, r);
        if (op_info[n->op].cls != OPC_REDUCE) continue;
        CHECK_BUG(k->n_acc < 8);
        Place in[2];
        KRef v[2] = {0};
        for (int j = 0; j < n->n_in; j++) {
            in[j] = identity(g, n->in[j]);
            IRef idx[MAX_AXES];
            for (int q = 0; q < N(g, n->in[j])->n_axes; q++) idx[q] = place_index(c, &in[j].at[q]);
            v[j] = resolve(c, n->in[j], idx);
        }
        k->acc[k->n_acc] = n->n_in == 1 ? v[0] : kx(k, (KExpr){.kind = K_OP, .op = OP_mul, .n_in = 2, .in = {v[0], v[1]}, .at = n->at});
        k->acc_op[k->n_acc++] = n->op == OP_contract ? OP_sum : n->op;
        k->flops += total * (n->op == OP_sum || n->op == OP_rmax ? 1 : n->op == OP_contract ? 2 : 4);
    }
    for (int i = 0, a = 0; i < group->n; i++) {
        Ref r = group->member[i];
        if (op_info[N(g, r)->op].cls != OPC_REDUCE) continue;
        Place own = identity(g, r);
        KRef acc = kx(k, (KExpr){.kind = K_ACC, .slot = a++});
        store_member(c, r, &own, acc, AT_ELEMENT);
        know(c, &own, acc);
    }
    lower_members(c, group, AT_ELEMENT);
}

/* Tables of rows: made from the condition over its axis, all that one condition has at once. */
void lower_table(Lower *c, const Group *group)
{
    const Graph *g = c->l->g;
    const Ref condition = N(g, group->leader)->in[0];
    const Axis rows = N(g, condition)->axes[0];
    begin_kernel(c, KERNEL_TABLE, group->leader);
    Kernel *k = c->k;
    IRef row = ix_loop(k, k->out[0] = new_loop(k, rows.role, rows.size));
    domain_axis(c, rows.role, rows.size, row);
    k->out_axes[k->n_out++] = rows;
    for (int i = 0; i < group->n; i++) {
        Place own = identity(g, group->member[i]);
        k->acc_op[k->n_acc] = N(g, group->member[i])->op;
        k->acc[k->n_acc++] = resolve(c, condition, &row);
        store_member(c, group->member[i], &own, k->acc[0], AT_ELEMENT);
        k->flops += 2 * rows.size;
    }
}

/* ---- reductions inside of a kernel with a domain of its own ---- */
/* Member r of a pass or a contraction's kernel: how it cuts the domain, and its value. Later members may use it. */
static void inner_reduction(Lower *c, Ref r, int *lo, int *hi, int64_t *rows)
{
    const Graph *g = c->l->g;
    Kernel *k = c->k;
    const Node *n = N(g, r);
    Place at, result = {.node = r};
    Ref whole;
    CHECK_BUG(k->n_inner < 8 && place_operand(&c->placer, r, &at, &whole));
    const Node *x = N(g, whole);
    CHECK_BUG(place_cut(n, x, &at, c->n_domain, c->axes, lo, hi, rows));
    bool row = true;
    for (int d = *hi; d < c->n_domain; d++) row &= c->axes[d].size == 1;
    Inner *in = &k->inner[k->n_inner++];
    *in = (Inner){n->op == OP_contract ? OP_sum : n->op, summand(c, r, &at, whole), k->n_inner, row ? AT_ROW : AT_TASK, *rows};
    for (int d = *lo + 1; d < *hi; d++) in->count *= c->axes[d].size;
    for (int i = 0; i < x->n_axes; i++)
        for (int j = 0; j < n->n_axes; j++)
            if (n->axes[j].role == x->axes[i].role) result.at[j] = at.at[i];
    KRef acc = kx(k, (KExpr){.kind = K_ACC, .slot = in->acc, .value = row});
    store_member(c, r, &result, acc, in->level);
    know(c, &result, acc);
    k->flops += node_elements(x) * (n->op == OP_sum || n->op == OP_rmax ? 1 : n->op == OP_contract ? 2 : 4);
}

/* An element-wise member of such a kernel. */
static void inner_member(Lower *c, Ref r, int64_t elements)
{
    Place at;
    CHECK_BUG(place_member(c, r, &at));
    KRef v = as_stored(c, r, resolve_at(c, r, &at));
    store_member(c, r, &at, v, node_elements(N(c->l->g, r)) == elements ? AT_ELEMENT : AT_ROW);
    know(c, &at, v);
}

/* How the reductions of a pass cut its domain, before there are loops; false where they do not go together. */
static bool pass_shape(Lower *c, const Group *group, int *lo, int *hi, int64_t *rows, int *row_lo)
{
    const Graph *g = c->l->g;
    *lo = *hi = *row_lo = -1;
    *rows = 0;
    Place *known = c->known;
    int n_known = c->n_known;
    Place *all = arena_make(c->l->arena, Place, n_known + group->n);
    if (n_known) memcpy(all, known, sizeof *all * (size_t)n_known);
    for (int i = 0; i < group->n; i++) {
        Ref r = group->member[i], whole;
        const Node *n = N(g, r);
        Place at, *to = &all[n_known];
        bool there = false;
        for (int j = 0; j < n_known; j++) there |= all[j].node == r;
        if (there) continue;                         /* the domain */
        placer_know(&c->placer, all, n_known);
        *to = (Place){.node = r};
        if (op_info[n->op].cls != OPC_REDUCE) {
            if (!place_member(c, r, to)) return false;
        } else {
            int l, h;
            int64_t t;
            if (!place_operand(&c->placer, r, &at, &whole)) return false;
            const Node *x = N(g, whole);
            if (!place_cut(n, x, &at, c->n_domain, c->axes, &l, &h, &t)) return false;
            bool row = true;
            for (int d = h; d < c->n_domain; d++) row &= c->axes[d].size == 1;
            if (row && t != c->axes[l].size) return false;                                   /* over part of what would be a row */
            if (row && *row_lo >= 0 && !only_ones(c->axes, *row_lo, l)) return false;        /* other rows */
            if (!row && *lo >= 0 && (*lo != l || *hi != h || *rows != t)) return false;      /* another tile */
            if (row) *row_lo = l;
            else { *lo = l; *hi = h; *rows = t; }
            if (*lo >= 0 && *row_lo >= 0 && !only_ones(c->axes, *row_lo, *hi)) return false; /* rows that are not the tile's columns */
            for (int a = 0; a < x->n_axes; a++)
                for (int b = 0; b < n->n_axes; b++)
                    if (n->axes[b].role == x->axes[a].role) to->at[b] = at.at[a];
        }
        n_known++;
    }
    placer_know(&c->placer, c->known, c->n_known);
    return true;
}

/* Several results over one domain: element-wise ones, and reductions over its rows or columns. */
bool lower_pass(Lower *c, const Group *group)
{
    Graph *g = c->l->g;
    Ref domain = group->leader;
    if (op_info[N(g, domain)->op].cls == OPC_REDUCE) domain = summed_node(g, domain);
    begin_kernel(c, KERNEL_PASS, group->leader);
    Kernel *k = c->k;
    const Node *n = N(g, domain);
    int order[MAX_AXES];
    for (int i = 0; i < n->n_axes; i++) {
        int j = i;
        for (; j > 0 && c->ranks[domain].rank[i] > c->ranks[domain].rank[order[j - 1]]; j--) order[j] = order[j - 1];
        order[j] = i;
    }
    for (int i = 0; i < n->n_axes; i++) domain_axis(c, n->axes[order[i]].role, n->axes[order[i]].size, 0);
    Place leaf[32];
    int n_leaf = place_leaves(g, domain, domain == group->leader, leaf, 32);
    for (int i = 0; i < n_leaf; i++) know(c, &leaf[i], 0);
    if (domain == group->leader) { Place own = identity(g, domain); know(c, &own, 0); }
    int lo, hi, row_lo;
    int64_t rows;
    const bool sums = op_info[N(g, group->leader)->op].cls == OPC_REDUCE;   /* alone: lower_sums has them where they are no pass */
    if (!pass_shape(c, group, &lo, &hi, &rows, &row_lo) || (sums && row_lo >= 0 && !row_sums_fit(c->axes, c->n_domain, row_lo))) {
        c->l->n_kernel--;                            /* it has nothing yet */
        return false;
    }
    if (domain == group->leader) { c->n_local--; c->n_known--; placer_know(&c->placer, c->known, c->n_known); }
    for (int d = 0; d < c->n_domain; d++) {
        Axis a = c->axes[d];
        if (lo >= 0 && d == lo && rows < a.size) {
            int t = k->task[k->n_task++] = new_loop(k, sym(arena_printf(k->arena, "%s_tile", a.role)), a.size / rows);
            int v = k->row[k->n_row++] = new_loop(k, a.role, rows);
            c->domain[d] = ix_add(k, ix_scale(k, ix_loop(k, t), rows), ix_loop(k, v));
            continue;
        }
        int v = new_loop(k, a.role, a.size);
        c->domain[d] = ix_loop(k, v);
        if (lo >= 0 ? d < lo : row_lo < 0 || d < row_lo) k->task[k->n_task++] = v;
        else if (lo >= 0 && d < hi) k->row[k->n_row++] = v;
        else k->col[k->n_col++] = v;
    }
    int64_t elements = node_elements(n);
    c->n_memo = 0;
    for (int i = 0; i < group->n; i++) {
        Ref r = group->member[i];
        if (op_info[N(g, r)->op].cls == OPC_REDUCE) inner_reduction(c, r, &lo, &hi, &rows);
        else if (r == domain) {
            Place own = identity(g, r);
            KRef v = as_stored(c, r, resolve_at(c, r, &own));
            store_member(c, r, &own, v, AT_ELEMENT);
            know(c, &own, v);
        } else inner_member(c, r, elements);
    }
    k->reason = k->n_inner ? "one pass: values stored, their sums taken on the way" : "one pass for several results";
    for (int d = 0; d < c->n_domain && !k->n_inner; d++) {
        k->cls = KERNEL_MAP;
        k->out_axes[k->n_out] = c->axes[d];
        k->out[k->n_out++] = k->task[d];
    }
    k->flops += elements * k->n_expr;
    return true;
}

/* ---- contractions ---- */
/* Stage loops and prologue, rounded `to`; direct when it is one unmasked load whose offset is linear in the loops. */
static void operand_value(Lower *c, Operand *o, Number to, bool share)
{
    Kernel *k = c->k;
    IRef idx[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) {
        o->loop[i] = -1;
        for (int q = 0; share && q < k->n_loops && o->loop[i] < 0; q++)
            if (k->loop[q].name == o->outer[i] && k->loop[q].size == o->axes[i].size) o->loop[i] = q;
        if (o->loop[i] < 0) o->loop[i] = new_loop(k, o->outer[i], o->axes[i].size);
        idx[i] = ix_loop(k, o->loop[i]);
    }
    c->n_memo = 0;
    c->root = 0;
    c->halve = number_info[to].bytes == 2 && plain_weight(c->l->g, o->node) ? to : NUM_F32;
    o->value = resolve(c, o->node, idx);
    c->halve = NUM_F32;
    c->n_memo = 0;
    const KExpr *e = &k->expr[o->value];
    Number from = e->kind == K_LOAD ? c->l->buf[k->buf[e->slot]].type : NUM_F32;
    if (to != from) {
        o->value = rounded(c, to, o->value, o->node);
        e = &k->expr[o->value];
    }
    o->direct = e->kind == K_LOAD && from == NUM_F32;
    if (!o->direct) return;
    o->slot = e->slot;
    o->base = k->index[e->index].c;
    for (int i = 0; i < o->n_axes; i++) o->direct &= ix_linear(k, e->index, o->loop[i], &o->stride[i]);
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

static bool is_product(const Graph *g, Ref r) { return N(g, r)->op == OP_contract && !pointwise_contract(g, N(g, r)); }

/* The axes of the group's element-wise end as product r calls them. */
static bool end_place(Lower *c, const Group *group, Ref r, Place *out, Ref *end)
{
    Graph *g = c->l->g;
    Place own = identity(g, r);
    for (int i = 0; i < group->n; i++) {
        Ref e = group->member[i];
        if (op_info[N(g, e)->op].cls != OPC_ELEM) continue;
        Ref into = g->into[e];
        g->into[e] = 0;
        placer_know(&c->placer, &own, 1);
        bool ok = place_node(&c->placer, e, out) == PLACE_ALIGNED && place_whole(g, e, out);
        g->into[e] = into;
        if (ok) { *end = e; break; }
    }
    placer_know(&c->placer, c->known, c->n_known);
    return *end != 0;
}

/* Product r as a further K segment of the kernel of `first`: its value is part of the accumulator, so it counts as 0 in the epilogue. */
static void add_segment(Lower *c, const Group *group, Ref first, Ref r)
{
    Graph *g = c->l->g;
    Kernel *k = c->k;
    const Node *n = N(g, r);
    ContractPlan p;
    Place af, ar;
    Ref ef = 0, er = 0;
    contract_plan(g, c->ranks, r, NULL, &p);
    CHECK_BUG(p.leaf == LEAF_GEMM && end_place(c, group, first, &af, &ef) && end_place(c, group, r, &ar, &er) && ef == er);
    Place at = {.node = r};
    Operand *side[2] = {&p.a, &p.b};
    for (int i = 0; i < p.nk; i++) {                 /* summed roles must not be those of the first product's result */
        Sym role = p.k[i].role;
        if (!find_axis(N(g, first), role)) continue;
        p.k[i].role = sym(arena_printf(k->arena, "%s_sum", role));
        for (int s = 0; s < 2; s++)
            for (int a = 0; a < side[s]->n_axes; a++) if (side[s]->outer[a] == role) side[s]->outer[a] = p.k[i].role;
    }
    for (int i = 0; i < N(g, ef)->n_axes; i++) {     /* rename: its roles become the first product's */
        Sym from = ar.at[i].role, to = af.at[i].role;
        if (!from || !to) continue;
        at.at[axis_index(n, from)] = af.at[i];
        for (int s = 0; s < 2; s++)
            for (int a = 0; a < side[s]->n_axes; a++) if (side[s]->outer[a] == from) side[s]->outer[a] = arena_printf(k->arena, "\1%s", to);
    }
    for (int s = 0; s < 2; s++)
        for (int a = 0; a < side[s]->n_axes; a++) if (*side[s]->outer[a] == 1) side[s]->outer[a] = sym(side[s]->outer[a] + 1);
    if (op_axis(&p.a, k->nn[0].role) >= 0 || op_axis(&p.b, k->m[0].role) >= 0) { Operand x = p.a; p.a = p.b; p.b = x; }
    Number to = operand_precision(c, n);
    operand_value(c, &p.a, to, true);
    operand_value(c, &p.b, to, true);
    sort_by_rank(p.k, p.nk, c, p.b.direct || !p.a.direct ? &p.b : &p.a);
    Segment2 *seg = &k->seg[k->n_seg++];
    *seg = (Segment2){.a = p.a, .b = p.b, .n_k = p.nk};
    memcpy(seg->k, p.k, sizeof p.k);
    know(c, &at, kx(k, (KExpr){.kind = K_CONST, .value = 0}));
    k->flops += 2 * node_elements(n) * axes_product(p.k, p.nk);
}

void lower_contract(Lower *c, const Group *group, Ref red)
{
    Graph *g = c->l->g;
    const Node *n = N(g, red);
    ContractPlan p;
    bool hosts = false;                              /* then rows and columns are as fuse saw them */
    for (int i = 0; i < group->n; i++) hosts |= group->member[i] != red && op_info[N(g, group->member[i])->op].cls == OPC_REDUCE;
    Place own = identity(g, red);
    c->n_local = c->n_known = 0;
    know(c, &own, 0);
    Sym last = NULL;                                 /* the innermost axis of the result belongs to the columns */
    for (int i = 0; i < group->n && !hosts && !last; i++) {
        Ref r = group->member[i];
        Place at = own;
        if (!g->held[r] || (r != red && !place_member(c, r, &at))) continue;
        const Layout *home = &c->l->buf[c->l->home[r]].layout;
        for (int q = home->n; q-- > 0 && !last;)
            if (home->axis[q].size > 1) last = at.at[axis_index(N(g, r), home->axis[q].role)].role;
    }
    contract_plan(g, c->ranks, red, last, &p);
    if (p.leaf == LEAF_LOOPS) {
        lower_sums(c, group, p.reason);
        return;
    }
    begin_kernel(c, KERNEL_CONTRACT, group->leader);
    Kernel *k = c->k;
    k->leaf = p.leaf;
    k->reason = p.reason;
    k->precision = n->precision;
    k->n_seg = 1;
    k->seg = arena_make(k->arena, Segment2, group->n);
    Number to = operand_precision(c, n);
    operand_value(c, &p.a, to, false);
    operand_value(c, &p.b, to, false);
    if (!hosts) sort_by_rank(p.m, p.nm, c, &p.a);
    sort_by_rank(p.nn, p.nc, c, &p.b);
    sort_by_rank(p.k, p.nk, c, p.b.direct || !p.a.direct ? &p.b : &p.a);
    sort_by_rank(p.bb, p.nb, c, &p.a);
    memcpy(k->m, p.m, sizeof p.m); memcpy(k->nn, p.nn, sizeof p.nn); memcpy(k->k, p.k, sizeof p.k); memcpy(k->b, p.bb, sizeof p.bb);
    k->n_m = p.nm; k->n_n = p.nc; k->n_k = p.nk; k->n_b = p.nb;
    for (int i = 0; i < p.nb; i++) domain_axis(c, p.bb[i].role, p.bb[i].size, ix_loop(k, k->loop_b[i] = new_loop(k, p.bb[i].role, p.bb[i].size)));
    for (int i = 0; i < p.nm; i++) domain_axis(c, p.m[i].role, p.m[i].size, ix_loop(k, k->loop_m[i] = new_loop(k, p.m[i].role, p.m[i].size)));
    for (int i = 0; i < p.nc; i++) domain_axis(c, p.nn[i].role, p.nn[i].size, ix_loop(k, k->loop_n[i] = new_loop(k, p.nn[i].role, p.nn[i].size)));
    k->seg[0] = (Segment2){.a = p.a, .b = p.b, .n_k = p.nk};
    memcpy(k->seg[0].k, p.k, sizeof p.k);
    Sym axis;
    int64_t rows;
    if (p.leaf == LEAF_TAPS_K && contract_tile(&p, &axis, &rows) && !strcmp(axis, k->m[1].role)) k->tile_rows = rows;
    KRef acc = as_stored(c, red, kx(k, (KExpr){.kind = K_ACC, .slot = 0}));
    store_member(c, red, &own, acc, AT_ELEMENT);
    know(c, &own, acc);
    for (int i = 0; i < group->n; i++)
        if (group->member[i] != red && is_product(g, group->member[i])) add_segment(c, group, red, group->member[i]);
    for (int i = 0; i < group->n; i++) {
        Ref r = group->member[i];
        int lo, hi;
        if (r == red || is_product(g, r)) continue;
        if (op_info[N(g, r)->op].cls != OPC_REDUCE) { inner_member(c, r, node_elements(n)); continue; }
        inner_reduction(c, r, &lo, &hi, &rows);
        if (k->inner[k->n_inner - 1].level == AT_TASK) k->tile_rows = rows;
    }
    k->flops += 2 * axes_product(p.bb, p.nb) * axes_product(p.m, p.nm) * axes_product(p.nn, p.nc) * axes_product(p.k, p.nk);
}
