/* Legality of graphs: order, types, axes and attributes of every node. Shared by verify (dies) and graph_parse (reports).
   Assumes nothing about the nodes but that their arrays have the lengths they state. */
#include "compiler/graph.h"

typedef struct { const Graph *g; const Node *n; char *err; int n_axes; Axis axes[MAX_AXES + 2]; } Check;

static const int64_t MAX_SIZE = (int64_t)1 << 40, MAX_ELEMENTS = (int64_t)1 << 60;

#define FAIL(c, ...) do { if (!(c)->err) (c)->err = xasprintf(__VA_ARGS__); return; } while (0)

static const Node *operand(const Check *c, int i) { return N(c->g, c->n->in[i]); }

static Axis *want(Check *c, Sym role)
{
    for (int i = 0; i < c->n_axes; i++)
        if (c->axes[i].role == role) return &c->axes[i];
    return NULL;
}

static void want_axis(Check *c, Sym role, int64_t size)
{
    Axis *a = want(c, role);
    if (a && a->size != size) FAIL(c, "role `%s` has sizes %lld and %lld", role, (long long)a->size, (long long)size);
    if (a) return;
    if (c->n_axes == MAX_AXES) FAIL(c, "more than %d axes", MAX_AXES);
    c->axes[c->n_axes++] = (Axis){ role, size };
}

static void want_all(Check *c, const Node *x)
{
    for (int i = 0; i < x->n_axes; i++) want_axis(c, x->axes[i].role, x->axes[i].size);
}

static void unwant(Check *c, Sym role)
{
    int n = 0;
    for (int i = 0; i < c->n_axes; i++)
        if (c->axes[i].role != role) c->axes[n++] = c->axes[i];
    c->n_axes = n;
}

static void type_is(Check *c, int i, Type t)
{
    if (operand(c, i)->type != t) FAIL(c, "operand %d must be %s", i + 1, t == T_BOOL ? "bool" : "a number");
}

static void result_is(Check *c, Type t)
{
    if (c->n->type != t) FAIL(c, "the result must be %s", t == T_BOOL ? "bool" : "a number");
}

static void check_source(Check *c)
{
    const Attr *a = &c->n->a;
    int rank = c->n->n_axes;
    if (c->n->op != OP_const) result_is(c, T_F32);
    switch (c->n->op) {
    case OP_const: case OP_scalar:
        if (rank) FAIL(c, "`%s` has no axes", op_info[c->n->op].name);
        if (c->n->op == OP_scalar && a->scalar.index < 0) FAIL(c, "negative scalar index");
        break;
    case OP_iota:
        if (rank != 1) FAIL(c, "`iota` has one axis");
        break;
    case OP_input:
        if (!a->input.name) FAIL(c, "an input needs a name");
        break;
    case OP_param:
        if (a->param.index < 0 || !a->param.set) FAIL(c, "a parameter needs an index and a set");
        break;
    case OP_draw:
        if (c->n->n_in > 1 || (c->n->n_in && a->draw.kind != DRAW_BERNOULLI)) FAIL(c, "only bernoulli takes an operand, and one");
        if (a->draw.kind == DRAW_BERNOULLI && !c->n->n_in && !(a->draw.p >= 0 && a->draw.p <= 1)) FAIL(c, "a probability is in 0..1");
        if (!a->draw.stream || !a->draw.path) FAIL(c, "a draw needs a stream and a path");
        if (c->n->n_in) {
            type_is(c, 0, T_F32);
            for (int i = 0; i < operand(c, 0)->n_axes; i++) {
                const Axis *x = &operand(c, 0)->axes[i], *y = find_axis(c->n, x->role);
                if (!y || y->size != x->size) FAIL(c, "the draw lacks axis `%s` of its probability", x->role);
            }
        }
        break;
    default: break;
    }
    want_all(c, c->n);
}

static void check_elem(Check *c)
{
    Op op = c->n->op;
    if (op == OP_where || op == OP_rows) {
        type_is(c, 0, T_BOOL);
        type_is(c, 2, operand(c, 1)->type);
        result_is(c, operand(c, 1)->type);
    } else {
        bool logic = op == OP_and || op == OP_or || op == OP_not;
        for (int i = 0; i < c->n->n_in; i++) type_is(c, i, logic ? T_BOOL : T_F32);
        result_is(c, logic || op == OP_lt || op == OP_le || op == OP_eq || op == OP_isfinite ? T_BOOL : T_F32);
    }
    for (int i = 0; i < c->n->n_in; i++) want_all(c, operand(c, i));
}

static void check_rearrange(Check *c)
{
    const Rearrange *r = c->n->a.rearrange;
    const Node *x = operand(c, 0);
    if (!r || r->n_in != x->n_axes || r->n_out != c->n->n_axes) FAIL(c, "as many groups of factors as axes are needed on each side");
    if (r->n_factors < 0 || r->n_factors > 2 * MAX_AXES) FAIL(c, "too many factors");
    bool used[2 * MAX_AXES] = { false };
    int f = 0;
    for (int i = 0; i < r->n_in; i++) {
        int64_t p = 1;
        for (int k = 0; k < r->in_count[i]; k++, f++)
            if (f >= r->n_factors || r->factor[f] < 1 || r->factor[f] > MAX_SIZE || __builtin_mul_overflow(p, r->factor[f], &p))
                FAIL(c, "bad factors of axis `%s`", x->axes[i].role);
        if (p != x->axes[i].size) FAIL(c, "the factors of axis `%s` do not multiply to its size", x->axes[i].role);
    }
    if (f != r->n_factors) FAIL(c, "factors of no axis");
    f = 0;
    for (int i = 0; i < r->n_out; i++) {
        int64_t p = 1;
        for (int k = 0; k < r->out_count[i]; k++, f++) {
            if (f >= r->n_factors || r->out_factor[f] < 0 || r->out_factor[f] >= r->n_factors || used[r->out_factor[f]])
                FAIL(c, "every factor must be used once");
            used[r->out_factor[f]] = true;
            p *= r->factor[r->out_factor[f]];
        }
        if (p != c->n->axes[i].size) FAIL(c, "the factors of axis `%s` do not multiply to its size", c->n->axes[i].role);
    }
    if (f != r->n_factors) FAIL(c, "every factor must be used once");
    want_all(c, c->n);
}

/* The axis of a view's operand, or an error. */
static Axis *axis_of_operand(Check *c, Sym role)
{
    Axis *a = role ? want(c, role) : NULL;
    if (!a && !c->err) c->err = xasprintf("the operand has no axis `%s`", role ? role : "");
    return a;
}

static void check_new_role(Check *c, Sym role)
{
    if (!role) FAIL(c, "an axis needs a name");
    if (want(c, role)) FAIL(c, "the operand has an axis `%s` already", role);
}

static bool in_range(int64_t v, int64_t lo, int64_t hi) { return v >= lo && v <= hi; }

static void check_concat(Check *c)
{
    int64_t total = 0;
    Sym axis = c->n->a.concat.axis;
    for (int i = 0; i < c->n->n_in; i++) {
        const Node *x = operand(c, i);
        const Axis *a = axis ? find_axis(x, axis) : NULL;
        type_is(c, i, c->n->type);
        if (!a) FAIL(c, "operand %d has no axis `%s`", i + 1, axis ? axis : "");
        if (x->n_axes != operand(c, 0)->n_axes) FAIL(c, "operands have different roles");
        total += a->size;
        for (int k = 0; k < x->n_axes; k++) want_axis(c, x->axes[k].role, x->axes[k].role == axis ? 0 : x->axes[k].size);
        if (!c->err && c->n_axes != x->n_axes) FAIL(c, "operands have different roles");
    }
    if (!c->err) want(c, axis)->size = total;
}

/* Tables are made from conditions, so that their numbers are rows; the count is the one of the order's condition. */
static void check_take(Check *c)
{
    const Node *x = operand(c, 0), *table = c->n->n_in > 1 ? operand(c, 1) : NULL;
    if (!table || c->n->n_in > 3 || (table->op != OP_rows_order && table->op != OP_rows_rank))
        FAIL(c, "its operands are a tensor, a table, and a count for `rows_order`");
    bool counted = c->n->n_in == 3 && operand(c, 2)->op == OP_rows_count && operand(c, 2)->in[0] == table->in[0];
    if (counted != (table->op == OP_rows_order) || c->n->n_in != 2 + counted)
        FAIL(c, "`rows_order` comes with the count of its condition, `rows_rank` with none");
    const Axis *a = find_axis(x, table->axes[0].role);
    if (!a || a->size != table->axes[0].size) FAIL(c, "the tensor lacks the table's axis");
    want_all(c, x);
}

static void check_table(Check *c)
{
    result_is(c, T_F32);
    type_is(c, 0, T_BOOL);
    if (operand(c, 0)->n_axes != 1) FAIL(c, "its condition has one axis");
    if (c->n->op != OP_rows_count) want_all(c, operand(c, 0));
}

static void check_view(Check *c)
{
    const Attr *a = &c->n->a;
    const int64_t big = MAX_SIZE;
    Axis *x;
    result_is(c, operand(c, 0)->type);
    if (c->n->op == OP_rearrange) { check_rearrange(c); return; }
    if (c->n->op == OP_concat) { check_concat(c); return; }
    if (c->n->op == OP_take) { check_take(c); return; }
    want_all(c, operand(c, 0));
    if (c->err) return;
    switch (c->n->op) {
    case OP_rename:
        if (!(x = axis_of_operand(c, a->rename.from))) return;
        check_new_role(c, a->rename.to);
        x->role = a->rename.to;
        break;
    case OP_slice:
        if (!(x = axis_of_operand(c, a->slice.axis))) return;
        if (!in_range(a->slice.start, 0, x->size - 1) || !in_range(a->slice.len, 1, x->size - a->slice.start))
            FAIL(c, "slice out of range");
        x->size = a->slice.len;
        break;
    case OP_pick:
        if (!(x = axis_of_operand(c, a->pick.axis))) return;
        if (!in_range(a->pick.index, 0, x->size - 1)) FAIL(c, "index out of range");
        unwant(c, a->pick.axis);
        break;
    case OP_pad:
        if (!(x = axis_of_operand(c, a->pad.axis))) return;
        if (!in_range(a->pad.lo, 0, big) || !in_range(a->pad.hi, 0, big)) FAIL(c, "padding out of range");
        x->size += a->pad.lo + a->pad.hi;
        break;
    case OP_repeat:
        if (!(x = axis_of_operand(c, a->repeat.axis))) return;
        if (!in_range(a->repeat.times, 1, big / x->size)) FAIL(c, "number of repeats out of range");
        x->size *= a->repeat.times;
        break;
    case OP_window:
        if (!(x = axis_of_operand(c, a->window.axis))) return;
        check_new_role(c, a->window.kaxis);
        if (!in_range(a->window.k, 1, big) || !in_range(a->window.stride, 1, big) || !in_range(a->window.dil, -big, big) ||
            !in_range(a->window.pad, -big, big) || !in_range(a->window.out, 1, big)) FAIL(c, "window out of range");
        x->size = a->window.out;
        want_axis(c, a->window.kaxis, a->window.k);
        break;
    case OP_unwindow:
        if (!axis_of_operand(c, a->unwindow.kaxis) || !(x = axis_of_operand(c, a->unwindow.axis))) return;
        if (a->unwindow.axis == a->unwindow.kaxis) FAIL(c, "axis and window axis are one");
        if (!in_range(a->unwindow.stride, 1, big) || !in_range(a->unwindow.dil, -big, big) || !in_range(a->unwindow.pad, -big, big) ||
            !in_range(a->unwindow.out, 1, big)) FAIL(c, "window out of range");
        x->size = a->unwindow.out;
        break;
    default:
        check_new_role(c, a->expand.axis);
        if (!c->err) want_axis(c, a->expand.axis, a->expand.size);
    }
}

static void check_reduce(Check *c)
{
    const Attr *a = &c->n->a;
    result_is(c, T_F32);
    for (int i = 0; i < c->n->n_in; i++) {
        type_is(c, i, T_F32);
        want_all(c, operand(c, i));
    }
    if (a->reduce.n < 1 || a->reduce.n > MAX_AXES) FAIL(c, "at least one axis must be named");
    if (c->n->op == OP_standardize && !(a->reduce.eps >= 0)) FAIL(c, "eps must be >= 0");
    for (int i = 0; i < a->reduce.n; i++) {
        if (!a->reduce.axis[i] || !want(c, a->reduce.axis[i]) || axis_in(i, a->reduce.axis, a->reduce.axis[i]))
            FAIL(c, "axis `%s` is named twice or no operand has it", a->reduce.axis[i] ? a->reduce.axis[i] : "");
    }
    if (op_info[c->n->op].cls == OPC_REDUCE)
        for (int i = 0; i < a->reduce.n; i++) unwant(c, a->reduce.axis[i]);
}

char *graph_check(const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    Check c = { .g = g, .n = n };
    if ((unsigned)n->op >= OP_COUNT) return xasprintf("unknown operation");
    const OpInfo *info = &op_info[n->op];
    if (n->n_axes < 0 || n->n_axes > MAX_AXES) return xasprintf("more than %d axes", MAX_AXES);
    if (info->inputs >= 0 ? n->n_in != info->inputs : n->n_in < (n->op == OP_draw ? 0 : 1)) return xasprintf("wrong number of operands");
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] == 0 || n->in[i] >= r) return xasprintf("operand %%%u does not come before its user", n->in[i]);
    for (int i = 0; i < n->n_axes; i++) {
        if (!n->axes[i].role) return xasprintf("an axis has no name");
        if (n->axes[i].size < 1 || n->axes[i].size > MAX_SIZE) return xasprintf("size of axis `%s` is out of range", n->axes[i].role);
        if (find_axis(n, n->axes[i].role) != &n->axes[i]) return xasprintf("axis `%s` appears twice", n->axes[i].role);
    }
    if (node_elements(n) > MAX_ELEMENTS) return xasprintf("too many elements");
    if (n->precision && !has_precision(n->op, n->type)) return xasprintf("a precision, and no numbers are computed");
    switch (info->cls) {
    case OPC_SOURCE: check_source(&c); break;
    case OPC_ELEM: check_elem(&c); break;
    case OPC_VIEW: check_view(&c); break;
    case OPC_TABLE: check_table(&c); break;
    default: check_reduce(&c);
    }
    if (c.err) return c.err;
    if (c.n_axes != n->n_axes) return xasprintf("it should have %d axes", c.n_axes);
    for (int i = 0; i < c.n_axes; i++) {             /* as sets: only rearrange, checked above, reads the order */
        const Axis *a = find_axis(n, c.axes[i].role);
        if (!a) return xasprintf("it should have axis `%s`", c.axes[i].role);
        if (a->size != c.axes[i].size) return xasprintf("axis `%s` should have size %lld", a->role, (long long)c.axes[i].size);
    }
    return NULL;
}

void verify(const Graph *g, const char *after)
{
    bool expanded = g->expanded || strncmp(after, "expand", 6) == 0;
    for (Ref r = 1; r < g->n; r++) {
        char *err = graph_check(g, r);
        if (!err && expanded && op_info[N(g, r)->op].cls == OPC_COMPOSITE) err = xasprintf("a composite operation is left");
        if (err) die("illegal graph after `%s`: %s\n    %s", after, err, node_text(NULL, g, r));
    }
    for (int i = 0; i < g->n_out; i++)
        if (g->out[i].ref == 0 || g->out[i].ref >= g->n) die("illegal graph after `%s`: output `%s` does not exist", after, g->out[i].name);
    Ref at = 0;
    char *err = compact_check(g, &at);
    if (err) die("illegal graph after `%s`: %s\n    %s", after, err, node_text(NULL, g, at));
}
