/* Fuse: decides which nodes are held in memory and which kernel computes them; everything else is computed where it is read.
   Views are never held. A reduction is held, or belongs to the epilogue that is all that reads it; fuse_merge.c then joins kernels. */
#include "compiler/fuse.h"

enum { MAX_BIG = 6, MAX_LOADS = 20, MAX_OPS = 80 };

typedef struct { int n; Ref r[MAX_LOADS + 1]; int ops; bool dear; } Cost;   /* held tensors read, operations, any of them expensive */

static bool expensive(Op op)
{
    switch (op) {
    case OP_exp: case OP_log: case OP_sin: case OP_cos: case OP_sqrt: case OP_rsqrt: case OP_sigmoid: case OP_tanh: case OP_erf:
    case OP_pow: case OP_div: case OP_draw: return true;
    default: return false;
    }
}

static void cost_add(Cost *c, Ref r)
{
    for (int i = 0; i < c->n; i++)
        if (c->r[i] == r) return;
    if (c->n <= MAX_LOADS) c->r[c->n++] = r;
}

static int big_loads(const Graph *g, const Cost *c, int64_t elements)
{
    int64_t n = 0;                                   /* pieces of a concatenation count by their size */
    for (int i = 0; i < c->n; i++) n += MIN(node_elements(N(g, c->r[i])), elements);
    return (int)((n + elements / 2) / MAX(elements, 1));
}

/* Readers of each node, views looked through. */
typedef struct { int *first, *next; Ref *who; int n, cap; int cap_next; } Readers;

static void readers_build(const Graph *g, Readers *rd)
{
    *rd = (Readers){.first = xmalloc(sizeof(int) * g->n)};
    for (uint32_t i = 0; i < g->n; i++) rd->first[i] = -1;
    for (uint32_t r = g->n; r-- > 1;)
        for (int i = 0; i < N(g, r)->n_in; i++) {
            Ref in = N(g, r)->in[i];
            int at = rd->n;
            vec_push(rd->who, rd->n, rd->cap, (Ref)r);
            rd->n--;
            vec_push(rd->next, rd->n, rd->cap_next, rd->first[in]);
            rd->first[in] = at;
        }
}

/* Calls per reader that is not a view: counts, and the largest reader's element count; *only = the one reader when there is one. */
static int count_uses(const Graph *g, const Readers *rd, Ref r, const bool *is_out, int64_t *largest, Ref *only)
{
    int n = is_out[r] ? 1 : 0;
    for (int i = rd->first[r]; i >= 0; i = rd->next[i]) {
        Ref w = rd->who[i];
        if (op_info[N(g, w)->op].cls == OPC_VIEW) {
            n += count_uses(g, rd, w, is_out, largest, only);
        } else {
            if (*only != w) n++;
            *only = w;
            int64_t e = node_elements(N(g, w));
            for (int j = 0; j < N(g, w)->n_in; j++) e = MAX(e, node_elements(N(g, N(g, w)->in[j])));
            if (N(g, w)->op == OP_contract && !pointwise_contract(g, N(g, w))) e = 0;            /* a stage evaluates each element once */
            *largest = MAX(*largest, e);
        }
        if (n > 1000) break;
    }
    return n;
}

/* ---- epilogues ---- */
enum { MAX_EPILOGUE = 48, MAX_ROW_REDUCTIONS = 4 };
typedef struct {
    const Graph *g;
    const Readers *rd;
    const bool *is_out;
    const Ref *claimed, *bound;
    Placer *placer;
    ContractPlan plan;                               /* of s[0], a contraction with a matrix leaf; else .leaf is LEAF_LOOPS */
    Ref s[MAX_EPILOGUE]; bool row[MAX_EPILOGUE]; int n;   /* row: one value for each row of the product's tile */
    Place known[1 + MAX_ROW_REDUCTIONS]; int n_known;
    const char *why, *end; Ref stop;                           /* why the last node asked about does not belong; why the region ends where it does */
} Region;

const char *node_name(const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    return n->at.file ? arena_printf(g->arena, "%s (%s:%d)", op_info[n->op].name, n->at.file, n->at.line)
                      : arena_printf(g->arena, "%s", op_info[n->op].name);
}

static bool outsider(Region *e, const char *why) { e->why = why; return false; }

static bool in_region(const Region *e, Ref r)
{
    for (int i = 0; i < e->n; i++)
        if (e->s[i] == r) return true;
    return false;
}

/* Does anything outside the region read r (looking through renames)? *next: the first node among those readers that may belong to it. */
static bool read_outside(const Region *e, Ref r, Ref *next)
{
    bool outside = e->is_out[r];
    for (int i = e->rd->first[r]; i >= 0; i = e->rd->next[i]) {
        Ref w = e->rd->who[i];
        if (N(e->g, w)->op == OP_rename) {
            outside |= read_outside(e, w, next);
        } else if (!in_region(e, w)) {
            outside = true;
            OpClass c = op_info[N(e->g, w)->op].cls;
            if ((c == OPC_ELEM || (c == OPC_REDUCE && e->plan.leaf != LEAF_LOOPS)) && (!*next || w < *next)) *next = w;
        }
    }
    return outside;
}

/* Does r come from a node of the region? Ids are topological, so the search ends at the region's first. */
static bool comes_from(const Region *e, Ref r, int depth)
{
    if (in_region(e, r)) return true;
    if (r <= e->s[0] || depth > 200) return depth > 200;
    for (int k = 0; k < N(e->g, r)->n_in; k++)
        if (comes_from(e, N(e->g, r)->in[k], depth + 1)) return true;
    return false;
}

static bool column(const Region *e, Sym role)
{
    for (int i = 0; i < e->plan.nc; i++)
        if (e->plan.nn[i].role == role) return true;
    return false;
}

/* May node q end up in the epilogue? *row: as a value for each row. A reduction must go over all columns, so that a tile has it whole. */
static bool belongs(Region *e, Ref q, bool *row)
{
    const Graph *g = e->g;
    const Node *n = N(g, q), *r = N(g, e->s[0]);
    *row = false;
    if (e->claimed[q]) return outsider(e, "belongs to another kernel");
    if (e->bound[q] != e->bound[e->s[0]]) return outsider(e, "is wanted for another number of rows");
    if (g->after && g->after[q] > e->s[0]) return outsider(e, "is computed again later, for want of memory");
    if (op_info[n->op].cls == OPC_ELEM && e->n_known == 1)
        return (node_elements(n) == node_elements(r) && n->n_axes == r->n_axes) || outsider(e, "is of another size");
    Place at;
    placer_know(e->placer, e->known, e->n_known);
    if (op_info[n->op].cls == OPC_ELEM) {
        if (place_node(e->placer, q, &at) != PLACE_ALIGNED || !place_whole(g, q, &at)) return outsider(e, "reads it at other places");
        *row = true;
        for (int i = 0; i < n->n_axes; i++) *row &= !at.at[i].role || !column(e, at.at[i].role);
        if (!*row && (node_elements(n) != node_elements(r) || n->n_axes != r->n_axes)) return outsider(e, "is of another size");
        for (int k = 0; k < n->n_in; k++)            /* a row's value may be read elsewhere: what comes from there must not come back */
            if (!in_region(e, n->in[k]) && place_node(e->placer, n->in[k], &at) == PLACE_FREE && comes_from(e, n->in[k], 0))
                return outsider(e, "reads what another kernel makes of this one's results");
        return true;
    }
    if (n->n_in != 1) return outsider(e, "is a product, which needs all of it");
    if (e->n_known > MAX_ROW_REDUCTIONS) return outsider(e, "is one reduction too many");
    if (!contract_can_host(&e->plan)) return outsider(e, "is a sum, and this kernel's tiles have no whole rows");
    if (n->a.reduce.n != e->plan.nc) return outsider(e, "does not sum over the columns of a tile and nothing else");
    if (place_node(e->placer, n->in[0], &at) != PLACE_ALIGNED || !place_whole(g, n->in[0], &at)) return outsider(e, "reads it at other places");
    const Node *x = N(g, n->in[0]);
    if (node_elements(x) != node_elements(r)) return outsider(e, "sums something of another size");
    Place *to = &e->known[e->n_known];
    *to = (Place){.node = q};
    for (int i = 0; i < x->n_axes; i++) {
        bool summed = axis_in(n->a.reduce.n, n->a.reduce.axis, x->axes[i].role);
        if (at.at[i].div > 1 || at.at[i].mod || column(e, at.at[i].role) != summed)
            return outsider(e, "does not sum over the columns of a tile and nothing else");
        for (int k = 0; k < n->n_axes; k++)
            if (n->axes[k].role == x->axes[i].role) to->at[k] = at.at[i];
    }
    e->n_known++;
    *row = true;
    return true;
}

/* The nodes that can end reduction e->s[0]'s kernel, grown reader by reader; the region is cut back to where its last element-wise node is the only
   one of full size that is read from outside, so that nothing else of that size has to be held. */
static void grow(Region *e)
{
    int closed = 1;
    while (e->n < MAX_EPILOGUE) {
        Ref next = 0;
        int holders = 0, holder = 0, last = 0;
        for (int i = 0; i < e->n; i++) {
            if (!e->row[i]) last = i;
            if (read_outside(e, e->s[i], &next) && !e->row[i]) { holders++; holder = i; }
        }
        bool ends = holders == 0 ? e->n_known > 1 : holders == 1 && holder == last && N(e->g, e->s[holder])->type != T_BOOL;
        if (ends && (N(e->g, e->s[e->n - 1])->type != T_BOOL)) closed = e->n;
        if (!next) { e->end = "what reads it is neither element-wise nor a sum of whole rows"; break; }
        if (!belongs(e, next, &e->row[e->n])) { e->stop = next; e->end = arena_printf(e->g->arena, "its reader %s %s", node_name(e->g, next), e->why); break; }
        e->s[e->n++] = next;
    }
    if (closed < e->n) {
        e->stop = e->s[closed];
        e->end = arena_printf(e->g->arena, "with its reader %s there would be more than one tensor of this size to keep", node_name(e->g, e->stop));
    }
    e->n = closed;
}

/* Is r, looked at through views and element-wise operations of its size, made of sums of many elements? */
bool of_sums(const Graph *g, Ref r, int depth)
{
    const Node *n = N(g, r);
    if (op_info[n->op].cls == OPC_REDUCE) {
        if (n->op == OP_contract && !pointwise_contract(g, n)) return false;
        Ref x = whole_operand(g, n);
        return node_elements(N(g, x)) >= 16 * node_elements(n) || (depth < 20 && of_sums(g, x, depth + 1));
    }
    if (depth > 20 || op_info[n->op].cls == OPC_SOURCE) return false;
    for (int k = 0; k < n->n_in; k++)
        if (node_elements(N(g, n->in[k])) * 2 >= node_elements(n) && of_sums(g, n->in[k], depth + 1)) return true;
    return false;
}

bool tiny_sum(const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    int64_t terms = 1;
    if ((n->op != OP_sum && n->op != OP_sqdev) || node_elements(n) > 1 << 19 || !of_sums(g, n->in[0], 0)) return false;
    for (int i = 0; i < n->a.reduce.n; i++) terms *= find_axis(N(g, n->in[0]), n->a.reduce.axis[i])->size;
    return terms <= 4;
}

/* A big sum that the kernel making its operand can finish is left alone: what reads it takes it from memory. */
static bool partial(const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    if (n->op != OP_sum && n->op != OP_sqdev && !pointwise_contract(g, n)) return false;
    Ref x = whole_operand(g, n);
    return node_elements(N(g, x)) >= 8192 && node_elements(N(g, x)) >= 16 * node_elements(n) && !of_sums(g, x, 0);
}

static void claim(Graph *g, const Readers *rd, const bool *is_out, Ref *claimed, const Ref *bound, Placer *placer, const Ranks *ranks, Ref r)
{
    Region e = {.g = g, .rd = rd, .is_out = is_out, .claimed = claimed, .bound = bound, .placer = placer, .s = {r}, .n = 1, .n_known = 1};
    if (N(g, r)->op == OP_contract && !pointwise_contract(g, N(g, r))) contract_plan(g, ranks, r, NULL, &e.plan);
    else e.plan.leaf = LEAF_LOOPS;
    e.known[0].node = r;
    for (int i = 0; i < N(g, r)->n_axes; i++) e.known[0].at[i] = (AxisAt){N(g, r)->axes[i].role, 1, 0};
    if (partial(g, r)) e.end = "a big sum is left to the kernel that makes its operand, and is whole when that is done";
    else grow(&e);
    Ref last = 0, leader = e.s[e.n - 1];
    for (int i = 0; i < e.n; i++) if (!e.row[i]) last = e.s[i];
    bool alone = e.n == 1;
    for (int i = 0; i < e.n; i++) {
        Ref none = 0;
        bool outside = read_outside(&e, e.s[i], &none);
        g->held[e.s[i]] = (e.s[i] == last && (outside || alone)) || (e.row[i] && outside);
        g->into[e.s[i]] = op_info[N(g, e.s[i])->op].cls == OPC_REDUCE || g->held[e.s[i]] ? leader : 0;
        claimed[e.s[i]] = r;
        if (i > 0) g->notes.rule[e.s[i]] = !e.row[i] ? "epilogue" : op_info[N(g, e.s[i])->op].cls == OPC_REDUCE
            ? "epilogue: a tile has whole rows, and this reduces each" : "epilogue: one value for each row";
        if (!g->held[e.s[i]] || is_out[e.s[i]]) continue;
        g->notes.stop[e.s[i]] = e.row[i] ? 0 : e.stop;
        g->notes.held[e.s[i]] = e.row[i] && !alone ? "one value for each row, read outside of its kernel"
            : arena_printf(g->arena, "it ends %s: %s", alone ? "a kernel" : "an epilogue", e.end ? e.end : "an epilogue has no more places");
    }
}

void fuse(Graph *g, const Ranks *ranks)
{
    g->held = xcalloc(g->n, sizeof *g->held);
    g->into = xcalloc(g->n, sizeof *g->into);
    g->notes = (FusionNotes){.held = xcalloc(g->n, sizeof *g->notes.held), .rule = xcalloc(g->n, sizeof *g->notes.rule),
                             .stop = xcalloc(g->n, sizeof *g->notes.stop)};
    bool *is_out = xcalloc(g->n, 1);
    for (int i = 0; i < g->n_out; i++) {
        Ref r = g->out[i].ref;
        is_out[r] = true;
        r = output_base(g, r);
        OpClass c = op_info[N(g, r)->op].cls;
        if (c != OPC_ELEM && c != OPC_REDUCE) continue;
        is_out[r] = g->held[r] = true;
        g->notes.held[r] = "an output";
    }
    Readers rd;
    readers_build(g, &rd);
    Placer placer;
    placer_open(&placer, g);
    Ref *bound = compact_bounds(g), *claimed = xcalloc(g->n, sizeof *claimed);   /* epilogue node -> its reduction */
    for (int pass = 0; pass < 2; pass++)             /* matrix products first; later ones first: an epilogue belongs to the last of its reductions */
        for (uint32_t r = g->n; r-- > 1;) {
            const Node *n = N(g, r);
            if (op_info[n->op].cls != OPC_REDUCE || claimed[r] || (tiny_sum(g, r) && !is_out[r])) continue;
            if ((n->op == OP_contract && !pointwise_contract(g, n)) == (pass == 0)) claim(g, &rd, is_out, claimed, bound, &placer, ranks, r);
        }
    placer_close(&placer);
    Cost *cost = xcalloc(g->n, sizeof *cost);
    for (uint32_t r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        OpClass cls = op_info[n->op].cls;
        Cost *c = &cost[r];
        if (cls == OPC_SOURCE) {
            if (n->op == OP_input || n->op == OP_param) cost_add(c, r);
            c->dear = n->op == OP_draw;
            c->ops = n->op == OP_draw ? 4 : 0;
            continue;
        }
        for (int i = 0; i < (n->op == OP_take ? 1 : n->n_in); i++) {     /* a table is an index, read once a row */
            const Cost *in = &cost[n->in[i]];
            for (int j = 0; j < in->n; j++) cost_add(c, in->r[j]);
            c->ops += in->ops;
            c->dear |= in->dear;
        }
        if (cls == OPC_VIEW) continue;
        c->ops++;
        c->dear |= expensive(n->op);
        int64_t largest = 0;
        Ref only = 0;
        int uses = count_uses(g, &rd, r, is_out, &largest, &only);
        if (cls == OPC_ELEM && !g->held[r] && !claimed[r] && n->type != T_BOOL && n->n_axes > 0) {
            int64_t e = node_elements(n);
            int big = big_loads(g, c, e);
            const char *why = uses > 1 && big > 1 ? arena_printf(g->arena, "read %d times, and made of %d tensors of its size", uses, big)
                : uses > 1 && c->ops > 24 ? arena_printf(g->arena, "read %d times, and made by %d operations", uses, c->ops)
                : big >= MAX_BIG ? arena_printf(g->arena, "made of %d tensors of its size", big)
                : c->ops > MAX_OPS ? arena_printf(g->arena, "made by %d operations, more than a kernel should have in one expression", c->ops)
                : c->n > MAX_LOADS ? "made of too many tensors"
                : c->dear && largest >= 4 * e ? "dear (exp, division, root ...), and read for something at least four times its size" : NULL;
            g->held[r] = why != NULL;
            g->notes.held[r] = why;
        } else if (cls == OPC_ELEM && n->n_axes == 0 && n->type != T_BOOL && c->ops > 8 && c->n > 0) {
            g->held[r] |= !claimed[r];
            g->notes.held[r] = g->held[r] ? "one number that takes several operations" : NULL;
        } else if (cls == OPC_TABLE) {
            g->held[r] = true;
            g->notes.held[r] = "which rows are wanted";
            for (Ref q = 1; q < r && !g->into[r]; q++)
                if (op_info[N(g, q)->op].cls == OPC_TABLE && N(g, q)->in[0] == n->in[0]) { g->into[r] = q; g->notes.rule[r] = "tables of one condition"; }
        }
        if (g->held[r] && !g->into[r]) g->into[r] = r;
        if (g->held[r] || g->into[r]) *c = (Cost){1, {r}, 0, false};
    }
    fuse_merge(g, ranks);
    free(cost); free(claimed); free(bound); free(is_out); free(rd.first); free(rd.next); free(rd.who);
}
