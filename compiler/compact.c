/* Compacts `rows`: the first branch is computed for the rows where the condition holds, side by side at the front of n, and put back.
   Assumes that gradients were taken, that composites are expanded, and that the branch treats each row by itself (E0408). */
#include "compiler/graph.h"

/* ---- the nodes ---- */
Ref mk_rows_table(Graph *g, Op op, Ref cond)
{
    const Node *c = N(g, cond);
    CHECK_BUG(op_info[op].cls == OPC_TABLE && c->type == T_BOOL && c->n_axes == 1);
    return graph_add(g, &(Node){ .op = op, .n_in = 1, .in = &cond, .n_axes = op != OP_rows_count, .axes = c->axes, .at = g->at }, true);
}

Ref mk_take(Graph *g, Ref x, Ref table, Ref count)
{
    const Node *n = N(g, x), *t = N(g, table);
    const Axis *rows = find_axis(n, t->axes[0].role);
    CHECK_BUG(op_info[t->op].cls == OPC_TABLE && rows && rows->size == t->axes[0].size && !count == (t->op == OP_rows_rank));
    if (n->op == OP_expand && n->a.expand.axis == rows->role) return x;
    return graph_add(g, &(Node){ .op = OP_take, .type = n->type, .n_in = count ? 3 : 2, .in = (Ref[]){ x, table, count }, .n_axes = n->n_axes,
                                 .axes = n->axes, .at = g->at }, true);
}

/* ---- the pass ---- */
/* What is moved for one node `rows`: nodes of role n whose readers are all moved too, each of them row by row. What else the branch reads
   stays where it is and is read through the table. */
typedef struct {
    const Node *node;                                /* of the graph as it was */
    Ref rows;
    bool *inside;                                    /* per old node: is moved */
    Ref *plain, *packed;                             /* per old node: its new id, known once something read it; the moved copy's */
} Compact;

enum { MAX_ROWS = 1 << 24 };                         /* tables are f32, which holds no integer past that */

/* Does n's role `row` pass through a rearrangement as it is? */
static bool row_kept(const Node *n, const Node *x, Sym row)
{
    const Rearrange *r = n->a.rearrange;
    const Axis *from = find_axis(x, row), *to = find_axis(n, row);
    if (!from || !to) return false;
    int i = (int)(from - x->axes), o = (int)(to - n->axes), f = 0, p = 0;
    for (int k = 0; k < i; k++) f += r->in_count[k];
    for (int k = 0; k < o; k++) p += r->out_count[k];
    if (r->in_count[i] != r->out_count[o] || r->in_count[i] > 1) return false;
    return r->in_count[i] == 0 || r->out_factor[p] == f;
}

/* Is row i of node r made of rows i of its operands? Sources, tables and what is read through them are not moved. */
static bool row_by_row(const Graph *g, Ref r, Sym row)
{
    const Node *n = N(g, r);
    const Attr *a = &n->a;
    switch (op_info[n->op].cls) {
    case OPC_ELEM: return true;
    case OPC_REDUCE: case OPC_COMPOSITE: return !axis_in(a->reduce.n, a->reduce.axis, row);
    case OPC_VIEW: break;
    default: return false;
    }
    switch (n->op) {
    case OP_rename: return a->rename.from != row && a->rename.to != row;
    case OP_rearrange: return row_kept(n, N(g, n->in[0]), row);
    case OP_slice: return a->slice.axis != row;
    case OP_pick: return a->pick.axis != row;
    case OP_pad: return a->pad.axis != row;
    case OP_concat: return a->concat.axis != row;
    case OP_repeat: return a->repeat.axis != row;
    case OP_window: return a->window.axis != row && a->window.kaxis != row;
    case OP_unwindow: return a->unwindow.axis != row && a->unwindow.kaxis != row;
    case OP_expand: return true;
    default: return false;
    }
}

/* Marks what of the first branch of `rows` can be moved; false where it does not pay: a table, an indirection at each leaf and one more pass over
   the result are worth it only where a contraction is saved. */
static bool mark(const Graph *g, Ref rows, bool *inside)
{
    const Node *n = N(g, rows);
    Sym row = N(g, n->in[0])->axes[0].role;
    bool *kept = xcalloc(g->n, sizeof *kept), pays = false;
    memset(inside, 0, g->n * sizeof *inside);
    for (int i = 0; i < g->n_out; i++) kept[g->out[i].ref] = true;
    for (Ref r = rows + 1; r < g->n; r++)
        for (int k = 0; k < N(g, r)->n_in; k++) kept[N(g, r)->in[k]] = true;
    kept[n->in[0]] = kept[n->in[2]] = true;
    for (Ref r = rows; r-- > 1;) {
        bool top = r == n->in[1];
        inside[r] = !kept[r] && (top || inside[r]) && find_axis(N(g, r), row) && row_by_row(g, r, row);
        pays = pays || (inside[r] && N(g, r)->op == OP_contract);
        for (int k = 0; k < N(g, r)->n_in; k++) {
            if (inside[r]) inside[N(g, r)->in[k]] = true;        /* a candidate, until something kept reads it */
            else kept[N(g, r)->in[k]] = true;
        }
    }
    free(kept);
    const Axis *rows_axis = &N(g, n->in[0])->axes[0];
    return pays && inside[n->in[1]] && rows_axis->size <= MAX_ROWS;
}

/* In moved rows the condition holds: where(c, x, y) is x, and c && x is x. The operand that a moved node is then equal to, or -1. */
static int gated_operand(const Node *n, Ref cond)
{
    if (n->op == OP_where && n->in[0] == cond) return 1;
    if (n->op == OP_and && n->in[0] == cond) return 1;
    return n->op == OP_and && n->in[1] == cond ? 0 : -1;
}

static Ref moved(Graph *g, const Compact *c, Ref old, Sym row, Ref order, Ref count)
{
    if (c->inside[old]) return c->packed[old];
    Ref r = c->plain[old];
    return find_axis(N(g, r), row) ? mk_take(g, r, order, count) : r;
}

static Ref move_branch(Graph *g, const Node *rows, const Ref *in, Compact *c)
{
    Sym row = N(g, in[0])->axes[0].role;
    const Origin at = g->at;
    Ref order = mk_rows_table(g, OP_rows_order, in[0]), count = mk_rows_table(g, OP_rows_count, in[0]);
    Ref rank = mk_rows_table(g, OP_rows_rank, in[0]);
    for (Ref r = 1; r < c->rows; r++) {
        if (!c->inside[r]) continue;
        const Node *n = &c->node[r];
        Ref *x = arena_make(g->arena, Ref, n->n_in);
        int same = gated_operand(n, rows->in[0]);
        g->at = n->at;
        for (int k = 0; k < n->n_in; k++)
            if (same < 0 || k == same) x[k] = moved(g, c, n->in[k], row, order, count);
        c->packed[r] = mk_conform(g, same < 0 ? mk_like(g, n, n->op, x, n->n_in) : x[same], n->n_axes, n->axes);
    }
    g->at = at;
    return mk_where(g, in[0], mk_take(g, c->packed[rows->in[1]], rank, 0), in[2]);
}

static Ref compact_node(Graph *g, const Node *old, Ref id, const Ref *in, void *ctx)
{
    Compact *c = ctx;
    for (int k = 0; k < old->n_in; k++) c->plain[old->in[k]] = in[k];
    return id == c->rows ? move_branch(g, old, in, c) : mk_like(g, old, old->op, in, old->n_in);
}

/* The outer one of nested `rows` comes first; the inner one then moves with its branch and chooses element by element, since its condition is not
   known in all rows. */
void compact(Graph *g)
{
    for (bool found = true; found;) {
        Compact c = { .node = g->node, .inside = xcalloc(g->n, sizeof *c.inside) };
        Ref *bound = compact_bounds(g);
        found = false;
        for (Ref r = g->n; r-- > 1 && !found;)
            if (N(g, r)->op == OP_rows && !bound[N(g, r)->in[0]] && mark(g, r, c.inside)) {
                c.rows = r;
                found = true;
            }
        free(bound);
        if (found) {
            c.plain = xcalloc(g->n, sizeof *c.plain);
            c.packed = xcalloc(g->n, sizeof *c.packed);
            graph_rebuild(g, compact_node, &c);
        }
        free(c.inside);
        free(c.plain);
        free(c.packed);
    }
}

Ref *compact_bounds(const Graph *g)
{
    Ref *bound = xcalloc(g->n, sizeof *bound);
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        if (n->op == OP_take) bound[r] = n->n_in == 3 ? n->in[2] : 0;
        else for (int k = 0; k < n->n_in && !bound[r]; k++) bound[r] = bound[n->in[k]];
    }
    return bound;
}

/* What node r does with operand k, whose rows at or past a count hold anything. */
static char *check_bounded(const Graph *g, Ref r, int k, const Ref *bound)
{
    const Node *n = N(g, r), *count = N(g, bound[n->in[k]]);
    Sym row = N(g, count->in[0])->axes[0].role;
    if (n->op == OP_take && n->n_in == 2 && k == 0 && N(g, n->in[1])->in[0] == count->in[0]) return NULL;
    if (!find_axis(n, row) || !row_by_row(g, r, row)) return xasprintf("it reads rows past the count of operand %d", k + 1);
    return bound[r] == bound[n->in[k]] ? NULL : xasprintf("its operands have two counts of rows");
}

char *compact_check(const Graph *g, Ref *at)
{
    Ref *bound = compact_bounds(g);
    char *err = NULL;
    for (Ref r = 1; r < g->n && !err; r++)
        for (int k = 0; k < N(g, r)->n_in && !err; k++)
            if (bound[N(g, r)->in[k]]) err = check_bounded(g, *at = r, k, bound);
    for (int i = 0; i < g->n_out && !err; i++)
        if (bound[*at = g->out[i].ref]) err = xasprintf("output `%s` has rows past a count", g->out[i].name);
    free(bound);
    return err;
}
