/* Regroup: brings reductions into the form in which the kernel that makes their operand can finish most of them. Rearrangements leave element-wise
   chains; sums pass views that do not touch their axes; big sums become partial ones (per image, channel and tile of rows) and a small rest.
   Assumes simplified graphs and laid-out parameters. Valid by field algebra; floating-point sums are reassociated. */
#include "compiler/fuse.h"
#include "compiler/rewrite.h"

/* ---- rearrangements as maps between two spaces ---- */
typedef struct {
    const Node *v, *x;                               /* the rearrangement and its operand */
    const Rearrange *r;
    int first_in[MAX_AXES], first_out[MAX_AXES];     /* first factor of each axis (out: place in out_factor) */
    int in_of[2 * MAX_AXES], out_of[2 * MAX_AXES];   /* axes of each factor */
    int plain[MAX_AXES];                             /* out axis -> the in axis that it is, whole; or -1 */
} Map;

static bool map_of(const Graph *g, Ref r, Map *m)
{
    m->v = N(g, r);
    if (m->v->op != OP_rearrange || is_permutation(g, r)) return false;
    m->x = N(g, m->v->in[0]);
    m->r = m->v->a.rearrange;
    for (int i = 0, f = 0; i < m->r->n_in; i++) {
        if (!m->r->in_count[i]) return false;        /* axes of size 1 come and go: not worth it */
        m->first_in[i] = f;
        for (int k = 0; k < m->r->in_count[i]; k++) m->in_of[f++] = i;
    }
    for (int o = 0, f = 0; o < m->r->n_out; o++) {
        if (!m->r->out_count[o]) return false;
        m->first_out[o] = f;
        for (int k = 0; k < m->r->out_count[o]; k++) m->out_of[m->r->out_factor[f++]] = o;
        int only = m->r->out_factor[m->first_out[o]];
        m->plain[o] = m->r->out_count[o] == 1 && m->r->in_count[m->in_of[only]] == 1 ? m->in_of[only] : -1;
    }
    return true;
}

/* The same groups of the same roles, whatever the order of axes. */
static bool same_map(const Map *a, const Map *b)
{
    if (a->r->n_in != b->r->n_in || a->r->n_out != b->r->n_out || a->r->n_factors != b->r->n_factors) return false;
    for (int o = 0; o < a->r->n_out; o++) {
        int q = 0;
        while (q < b->r->n_out && b->v->axes[q].role != a->v->axes[o].role) q++;
        if (q == b->r->n_out || a->r->out_count[o] != b->r->out_count[q]) return false;
        for (int k = 0; k < a->r->out_count[o]; k++) {
            int f = a->r->out_factor[a->first_out[o] + k], h = b->r->out_factor[b->first_out[q] + k];
            if (a->r->factor[f] != b->r->factor[h] || a->x->axes[a->in_of[f]].role != b->x->axes[b->in_of[h]].role
                || f - a->first_in[a->in_of[f]] != h - b->first_in[b->in_of[h]]) return false;
        }
    }
    return true;
}

/* b, whose roles are among the rearrangement's results, as its operand's space has it: expanded where a group of axes is there in part. 0: cannot. */
static Ref to_source(Graph *g, Ref b, const Map *m)
{
    bool in[MAX_AXES] = {false};
    for (int i = 0; i < N(g, b)->n_axes; i++) {
        int o = 0;
        while (o < m->r->n_out && m->v->axes[o].role != N(g, b)->axes[i].role) o++;
        if (o == m->r->n_out) return 0;
        in[o] = true;
    }
    bool touched = false;
    for (bool more = true; more;) {                  /* all results that share an operand axis with one of b's */
        more = false;
        for (int f = 0; f < m->r->n_factors; f++)
            for (int h = 0; h < m->r->n_factors; h++)
                if (in[m->out_of[f]] && m->in_of[f] == m->in_of[h] && !in[m->out_of[h]]) {
                    int o = m->out_of[h];
                    b = mk_expand(g, b, m->v->axes[o].role, m->v->axes[o].size);
                    in[o] = more = true;
                }
    }
    Rearrange r = {0};
    Axis out[MAX_AXES];
    int number[2 * MAX_AXES];
    const Node n = *N(g, b);
    r.n_in = n.n_axes;
    for (int i = 0; i < n.n_axes; i++) {
        int o = 0;
        while (m->v->axes[o].role != n.axes[i].role) o++;
        r.in_count[i] = m->r->out_count[o];
        touched |= m->plain[o] < 0 || m->x->axes[m->plain[o]].role != n.axes[i].role;
        for (int k = 0; k < m->r->out_count[o]; k++) {
            int f = m->r->out_factor[m->first_out[o] + k];
            number[f] = r.n_factors;
            r.factor[r.n_factors++] = m->r->factor[f];
        }
    }
    if (!touched) return b;
    int at = 0;
    for (int i = 0; i < m->r->n_in; i++) {
        if (!in[m->out_of[m->first_in[i]]]) continue;
        out[r.n_out] = m->x->axes[i];
        r.out_count[r.n_out++] = m->r->in_count[i];
        for (int k = 0; k < m->r->in_count[i]; k++) r.out_factor[at++] = number[m->first_in[i] + k];
    }
    return mk_rearrange(g, b, &r, out);
}

/* y, which lacks some of the operand's whole axes, rearranged as the rest of the map says. */
static Ref to_result(Graph *g, Ref y, const Map *m)
{
    Rearrange r = {0};
    Axis out[MAX_AXES];
    int number[2 * MAX_AXES];
    bool have[MAX_AXES] = {false};
    int more[MAX_AXES];
    const Node n = *N(g, y);
    for (int i = 0; i < n.n_axes; i++) more[i] = -1;
    r.n_in = n.n_axes;
    for (int i = 0; i < n.n_axes; i++) {
        int s = 0;
        while (s < m->r->n_in && m->x->axes[s].role != n.axes[i].role) s++;
        if (s == m->r->n_in) {                       /* an axis of tiles */
            more[i] = r.n_factors;
            r.in_count[i] = 1;
            r.factor[r.n_factors++] = n.axes[i].size;
            continue;
        }
        have[s] = true;
        r.in_count[i] = m->r->in_count[s];
        for (int k = 0; k < m->r->in_count[s]; k++) {
            number[m->first_in[s] + k] = r.n_factors;
            r.factor[r.n_factors++] = m->r->factor[m->first_in[s] + k];
        }
    }
    int at = 0;
    for (int o = 0; o < m->r->n_out; o++) {
        if (!have[m->in_of[m->r->out_factor[m->first_out[o]]]]) continue;
        out[r.n_out] = m->v->axes[o];
        r.out_count[r.n_out++] = m->r->out_count[o];
        for (int k = 0; k < m->r->out_count[o]; k++) r.out_factor[at++] = number[m->r->out_factor[m->first_out[o] + k]];
    }
    for (int i = 0; i < n.n_axes; i++) {
        if (more[i] < 0) continue;
        out[r.n_out] = n.axes[i];
        r.out_count[r.n_out++] = 1;
        r.out_factor[at++] = more[i];
    }
    return mk_rearrange(g, y, &r, out);
}

static bool covers(const Node *x, const Node *y)
{
    for (int i = 0; i < y->n_axes; i++)
        if (!find_axis(x, y->axes[i].role)) return false;
    return true;
}

/* The operands of r in the space of operand k's source; false when one of them cannot be brought there. */
static bool operands_to_source(Graph *g, const Node *n, int k, const Map *m, Ref *in)
{
    for (int j = 0; j < n->n_in; j++) {
        Map o;
        if (j == k) in[j] = m->v->in[0];
        else if (map_of(g, n->in[j], &o) && covers(o.v, m->v)) {
            if (!same_map(m, &o)) return false;
            in[j] = o.v->in[0];
        } else if (covers(N(g, n->in[j]), m->v) || !(in[j] = to_source(g, n->in[j], m))) return false;
    }
    return true;
}

/* f(rearranged x, b) = rearranged f(x, b'). */
static Ref elem_of_rearranged(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (op_info[n.op].cls != OPC_ELEM) return 0;
    for (int k = 0; k < n.n_in; k++) {
        Map m;
        Ref in[3];
        if (!map_of(g, n.in[k], &m) || m.v->n_axes != n.n_axes || !covers(m.v, &n)) continue;
        Node v = *m.v, x = *m.x;                     /* building nodes moves the graph's array */
        m.v = &v;
        m.x = &x;
        if (!operands_to_source(g, &n, k, &m, in)) continue;
        return mk_rearrange(g, mk_conform(g, mk_like(g, &n, n.op, in, n.n_in), x.n_axes, x.axes), v.a.rearrange, v.axes);
    }
    return 0;
}

static bool splits(Op op) { return op == OP_sum || op == OP_sqdev || op == OP_contract; }

/* Sums pass concatenations, slices and renames along other axes. */
static Ref reduce_of_pieces(Simplify *s, Ref r)
{
    Graph *g = s->g;
    const Node n = *N(g, r);
    if (n.op != OP_sum && n.op != OP_sqdev) return 0;
    const Node x = *N(g, n.in[0]);
    Sym axis = x.op == OP_concat ? x.a.concat.axis : x.op == OP_slice ? x.a.slice.axis : NULL;
    if (x.op == OP_rename && n.op == OP_sqdev && !axis_in(n.a.reduce.n, n.a.reduce.axis, x.a.rename.to))
        return mk_rename(g, mk_sqdev(g, x.in[0], n.a.reduce.n, n.a.reduce.axis), x.a.rename.from, x.a.rename.to);
    if (!axis || axis_in(n.a.reduce.n, n.a.reduce.axis, axis)) return 0;
    Ref *in = arena_make(g->arena, Ref, x.n_in);
    for (int k = 0; k < x.n_in; k++)
        in[k] = n.op == OP_sum ? mk_sum(g, x.in[k], n.a.reduce.n, n.a.reduce.axis) : mk_sqdev(g, x.in[k], n.a.reduce.n, n.a.reduce.axis);
    return x.op == OP_concat ? mk_concat(g, axis, x.n_in, in) : mk_slice(g, in[0], axis, x.a.slice.start, x.a.slice.len);
}

/* ---- big sums in two ---- */
enum { BIG = 8192 };
typedef struct { const Ranks *ranks; const Graph *old; } Split;

bool pointwise_contract(const Graph *g, const Node *n)
{
    return n->op == OP_contract && (covers(N(g, n->in[0]), N(g, n->in[1])) || covers(N(g, n->in[1]), N(g, n->in[0])));
}

/* The last contraction among what element-wise node r is made of, over the same elements; *role: an axis of r as the contraction calls it. */
static Ref anchor_of(const Graph *g, Ref r, int depth, Sym *role)
{
    const Node *n = N(g, r);
    if (n->op == OP_contract) return pointwise_contract(g, n) ? 0 : r;
    if (depth > 40) return 0;
    if (n->op == OP_rename) {
        if (*role == n->a.rename.to) *role = n->a.rename.from;
        return anchor_of(g, n->in[0], depth + 1, role);
    }
    Ref best = 0;
    Sym best_role = *role;
    for (int k = 0; k < n->n_in && op_info[n->op].cls == OPC_ELEM; k++) {
        Sym at = *role;
        if (node_elements(N(g, n->in[k])) != node_elements(n)) continue;
        Ref a = anchor_of(g, n->in[k], depth + 1, &at);
        if (a > best) { best = a; best_role = at; }
    }
    *role = best_role;
    return best;
}

/* Factors of a summand that do not change along the summed axes. They are kept apart: a product of two constants, rounded, would not be theirs. */
typedef struct { int n; Ref by[16]; } Factors;

static void take_factors(Graph *g, Ref *part, int n_part, int n, const Sym *axes, Factors *f)
{
    for (int q = 0; q < n_part; q++)
        for (bool more = true; more && f->n < 16;) {
            more = false;
            const Node x = *N(g, part[q]);
            if (x.op == OP_neg) {
                part[q] = x.in[0];
                f->by[f->n++] = mk_const(g, -1);
                more = true;
            } else if (is_permutation(g, part[q])) {
                part[q] = x.in[0];
                more = true;
            }
            for (int k = 0; k < 2 && x.op == OP_mul && !more; k++) {
                const Node *y = N(g, x.in[k]);
                bool lacks = true, whole = true;
                for (int i = 0; i < n; i++) {
                    lacks &= !find_axis(y, axes[i]);
                    whole &= find_axis(N(g, x.in[1 - k]), axes[i]) != NULL;
                }
                if (!lacks || !whole) continue;
                f->by[f->n++] = x.in[k];
                part[q] = x.in[1 - k];
                more = true;
            }
        }
}

static Ref times(Graph *g, Ref y, const Factors *f)
{
    for (int i = 0; i < f->n; i++) y = mk_binary(g, OP_mul, y, f->by[i]);
    return y;
}

/* y with axis split into `outer` pieces of the name `tile` and a rest of the old name. */
static Ref tiled(Graph *g, Ref y, Sym axis, Sym tile, int64_t rows)
{
    while (is_permutation(g, y)) y = N(g, y)->in[0];
    const Node n = *N(g, y);
    if (!find_axis(&n, axis)) return y;
    Rearrange r = {.n_in = n.n_axes};
    Axis out[MAX_AXES];
    for (int i = 0; i < n.n_axes; i++) {
        bool split = n.axes[i].role == axis;
        r.in_count[i] = split ? 2 : 1;
        if (split) {
            out[r.n_out] = (Axis){tile, n.axes[i].size / rows};
            r.out_count[r.n_out++] = 1;
            r.out_factor[r.n_factors] = r.n_factors;
            r.factor[r.n_factors++] = n.axes[i].size / rows;
        }
        out[r.n_out] = (Axis){n.axes[i].role, split ? rows : n.axes[i].size};
        r.out_count[r.n_out++] = 1;
        r.out_factor[r.n_factors] = r.n_factors;
        r.factor[r.n_factors++] = split ? rows : n.axes[i].size;
    }
    return mk_rearrange(g, y, &r, out);
}

static bool is_tiled(const Node *n)
{
    for (int i = 0; i < n->n_axes; i++) {
        size_t len = strlen(n->axes[i].role);
        if (len > 5 && !strcmp(n->axes[i].role + len - 5, "_tile")) return true;
    }
    return false;
}

/* The partial result y as the space of the reduction has it, if that is another than its operand's; axes of tiles stay. */
static Ref as_result(Graph *g, Ref y, const Map *m)
{
    return m ? to_result(g, y, m) : y;
}

/* One big reduction in two: per image, channel and tile of rows over `inner` (roles of the operand's own space), then over the rest.
   sum[d,h,w](rearranged x) = sum[d,tile](rearranged sum[h,w](tiled x)); sqdev by Chan's formula. */
static Ref split_node(Graph *g, const Node *old, Ref id, const Ref *in, void *ctx)
{
    enum { WORTH = 16 };                             /* elements of a partial sum */
    const Split *s = ctx;
    (void)id;
    const Graph *og = s->old;
    if (!splits(old->op) || (old->op == OP_contract && !pointwise_contract(og, old))) return mk_like(g, old, old->op, in, old->n_in);
    Ref big = old->in[0];
    if (old->n_in == 2 && !covers(N(og, big), N(og, old->in[1]))) big = old->in[1];
    if (is_tiled(N(og, big)) || node_elements(N(og, big)) < BIG || old->n_axes + old->a.reduce.n + 1 > MAX_AXES) return mk_like(g, old, old->op, in, old->n_in);
    Map mo, mn, *m = NULL;                           /* the operand's map in the old graph, and in the new one */
    Node v, nx;
    Ref part[3] = {in[0], old->n_in == 2 ? in[1] : 0};
    Ref there[3];                                    /* the operands in that space, when all can be brought there */
    int k = big == old->in[0] ? 0 : 1;
    if (map_of(og, big, &mo) && map_of(g, in[k], &mn)) {
        Node n = *old;
        n.in = (Ref[]){in[0], part[1]};
        v = *mn.v;
        nx = *mn.x;
        mn.v = &v;
        mn.x = &nx;
        if (same_map(&mo, &mn) && operands_to_source(g, &n, k, &mn, there)) {
            m = &mn;
            memcpy(part, there, sizeof(Ref) * (size_t)old->n_in);
            big = mo.v->in[0];
        }
    }
    const Node *x = N(og, big);
    int outer = -1, lane = -1;
    for (int i = 0; i < x->n_axes; i++) {
        if (x->axes[i].size == 1) continue;
        if (outer < 0 || s->ranks[big].rank[i] > s->ranks[big].rank[outer]) outer = i;
        if (lane < 0 || s->ranks[big].rank[i] < s->ranks[big].rank[lane]) lane = i;
    }
    if (outer < 0 || outer == lane) return mk_like(g, old, old->op, in, old->n_in);
    Sym inner[MAX_AXES], rest[MAX_AXES], o = x->axes[outer].role, l = x->axes[lane].role, name[MAX_AXES];
    int n_inner = 0, n_rest = 0, n = old->a.reduce.n, middle = 0;
    for (int i = 0; i < n; i++) {                    /* the reduction's axes as the operand's own space calls them; NULL: only a part of one */
        name[i] = old->a.reduce.axis[i];
        if (m)
            for (int q = 0; q < m->v->n_axes; q++)
                if (m->v->axes[q].role == old->a.reduce.axis[i]) name[i] = m->plain[q] >= 0 ? m->x->axes[m->plain[q]].role : NULL;
        middle += name[i] && name[i] != o && name[i] != l;
    }
    double count = 1;
    for (int i = 0; i < n; i++) {
        if (!name[i] || name[i] == o || (name[i] == l && middle > 0)) { rest[n_rest++] = old->a.reduce.axis[i]; continue; }
        inner[n_inner++] = name[i];
        count *= (double)find_axis(x, name[i])->size;
    }
    if (!n_inner || count < WORTH) return mk_like(g, old, old->op, in, old->n_in);
    Factors scale = {0};
    take_factors(g, part, old->n_in, n_inner, inner, &scale);
    for (int i = 0; i < n_inner && middle > 0; i++) {  /* a partial sum for each tile of the kernel that makes the operand */
        Sym role = inner[i], at, tile = sym(arena_printf(g->arena, "%s_tile", inner[i]));
        int64_t rows, size = find_axis(x, inner[i])->size;
        Ref a = anchor_of(og, big, 0, &role);
        if (!a) continue;
        ContractPlan plan;
        contract_plan(og, s->ranks, a, NULL, &plan);
        if (!contract_tile(&plan, &at, &rows) || at != role || rows == size || find_axis(x, tile)) continue;
        for (int q = 0; q < old->n_in; q++) part[q] = tiled(g, part[q], inner[i], tile, rows);
        rest[n_rest++] = tile;
        count = count / (double)size * (double)rows;
        break;
    }
    if (!n_rest && !m && !scale.n) return mk_like(g, old, old->op, in, old->n_in);
    Ref sums = old->op == OP_contract ? mk_contract(g, part[0], part[1], n_inner, inner) : mk_sum(g, part[0], n_inner, inner);
    sums = as_result(g, times(g, sums, &scale), m);
    if (old->op != OP_sqdev) return mk_sum(g, sums, n_rest, rest);
    Ref squares = mk_sqdev(g, part[0], n_inner, inner);
    squares = as_result(g, times(g, times(g, squares, &scale), &scale), m);
    if (!n_rest) return squares;
    Ref between = mk_binary(g, OP_div, mk_sqdev(g, sums, n_rest, rest), mk_const(g, count));
    return mk_binary(g, OP_add, mk_sum(g, squares, n_rest, rest), between);
}

static Rewrite *const regroup_rules[] = {
    drop_permuted_operand, permuted_rename, permuted_result, merge_rearranges, rename_rearranged, elem_of_rearranged, reduce_of_pieces,
};

static void split_sums(Graph *g, const Module *m, const Layout *params)
{
    Graph old = *g;                                  /* the nodes as they are now; building makes an array of its own */
    Ranks *ranks = layout_ranks(m, g, params);
    old.node = xmalloc(sizeof *old.node * g->n);
    memcpy(old.node, g->node, sizeof *old.node * g->n);
    Split s = {ranks, &old};
    graph_rebuild(g, split_node, &s);
    free(ranks);
    free(old.node);
}

void regroup(Graph *g, const Module *m, const Layout *params)
{
    for (int round = 0; round < 2; round++) {        /* the second for the pieces of concatenations */
        rewrite(g, &(RuleList){COUNT(regroup_rules), regroup_rules});
        split_sums(g, m, params);
    }
    rewrite(g, &(RuleList){COUNT(regroup_rules), regroup_rules});
}
