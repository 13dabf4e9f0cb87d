/* Tensor types and element-wise operations: joining by role, binding to declared types, gates of `rows`.
   Assumes graph builders are called only with operands that were checked here. */
#include "compiler/elab.h"

bool size_ok(Elab *e, int n, const Axis *ax, Loc at)
{
    if (n > MAX_AXES) {
        diag_help(fail(e, at, ERR_rank_limit, "a tensor of %d axes: at most %d are allowed", n, MAX_AXES),
                  "merge axes with rearrange");
        return false;
    }
    int64_t elements = 1;
    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(elements, ax[i].size, &elements) || elements > INT64_C(1) << 40) {
            Diag *d = fail(e, at, ERR_tensor_size, "a tensor of more than 2^40 elements");
            diag_label(d, "%s", axes_text(e, n, ax));
            diag_help(d, "make a size smaller");
            return false;
        }
    return true;
}

Value absent_error(Elab *e, Value v, Loc at)
{
    Diag *d = fail(e, at, ERR_not_a_tensor, "this tensor does not exist: an axis has size 0");
    diag_label(d, "%s", type_text(e, v));
    diag_help(d, "ask first: `if L > 0 { ... }`, where L is the axis's size");
    return poison;
}

/* ---- operands ---- */
Ref as_ref(Elab *e, Value v, Loc at)
{
    if (v.kind == V_POISON || e->stop) return 0;
    if (v.kind == V_TENSOR) return v.t;
    if (v.kind == V_ABSENT) return absent_error(e, v, at), 0;
    if (!e->g) {
        fail(e, at, ERR_not_compile_time, "there are no tensors here");
        return 0;
    }
    set_origin(e, at);
    if (is_number(v)) return mk_const(e->g, number(v));
    if (v.kind == V_RUNTIME && !v.host->is_bool) return mk_scalar(e->g, scalar_slot(e, v.host->text));
    Diag *d = fail(e, at, ERR_not_a_tensor, "a number or a tensor is needed");
    diag_label(d, "%s", type_text(e, v));
    return 0;
}

Ref as_bool(Elab *e, Value v, Loc at)
{
    if (v.kind == V_POISON || e->stop) return 0;
    if (!e->g) {
        fail(e, at, ERR_not_compile_time, "there are no tensors here");
        return 0;
    }
    set_origin(e, at);
    if (v.kind == V_BOOL) return mk_binary(e->g, OP_eq, mk_const(e->g, 1), mk_const(e->g, v.b));
    if (v.kind == V_RUNTIME && v.host->is_bool)
        return mk_binary(e->g, OP_lt, mk_const(e->g, 0), mk_scalar(e->g, scalar_slot(e, v.host->text)));
    if (v.kind == V_TENSOR) {
        const Node *n = N(e->g, v.t);
        if (n->type == T_BOOL) return v.t;
        if (n->op == OP_draw && n->a.draw.kind == DRAW_BERNOULLI) return mk_binary(e->g, OP_lt, mk_const(e->g, 0), v.t);
    }
    Diag *d = fail(e, at, ERR_condition_type, "a condition is needed: a comparison, or a bernoulli draw");
    diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
    return 0;
}

bool join_axes(Elab *e, int n, const Value *a, const Loc *locs, Loc at, const char *word, int *n_out, Axis *out)
{
    int k = 0, owner[MAX_AXES];
    for (int i = 0; i < n; i++)
        for (int j = 0; a[i].kind == V_TENSOR && j < a[i].n; j++) {
            int f = 0;
            while (f < k && out[f].role != a[i].ax[j].role) f++;
            if (f == k) {
                if (k == MAX_AXES) {
                    diag_help(fail(e, at, ERR_rank_limit, "`%s` makes a tensor of more than %d axes", word, MAX_AXES),
                              "merge axes with rearrange");
                    return false;
                }
                owner[k] = i;
                out[k++] = a[i].ax[j];
            } else if (out[f].size != a[i].ax[j].size) {
                Diag *d = fail(e, locs ? locs[owner[f]] : at, ERR_two_sizes, "axis `%s` has two sizes in `%s`", out[f].role,
                               word);
                diag_label(d, "%s%s", type_text(e, a[owner[f]]), from_text(e, a[owner[f]]));
                if (locs) diag_span(d, locs[i], "%s%s", type_text(e, a[i]), from_text(e, a[i]));
                diag_help(d, "axes join by role: rename one (x[%s as other]) if they are different things", out[f].role);
                return false;
            }
        }
    *n_out = k;
    return size_ok(e, k, out, at);
}

static bool needs_bool(Op op, int i)
{
    return op == OP_and || op == OP_or || op == OP_not || ((op == OP_where || op == OP_rows) && i == 0);
}

Value elementwise(Elab *e, Op op, int n, const Value *a, const Loc *locs, Loc at, const char *word)
{
    Ref r[3];
    Value v[3];
    CHECK_BUG(n <= 3);
    for (int i = 0; i < n; i++) {
        Loc l = locs ? locs[i] : at;
        if (a[i].kind == V_POISON) return poison;
        if (a[i].kind == V_ABSENT) return absent_error(e, a[i], l);
        r[i] = needs_bool(op, i) ? as_bool(e, a[i], l) : as_ref(e, a[i], l);
        if (!r[i]) return poison;
        if (!needs_bool(op, i) && N(e->g, r[i])->type == T_BOOL) {
            Diag *d = fail(e, l, ERR_bad_operand, "`%s` takes numbers, and this is true or false", word);
            diag_label(d, "%s%s", type_text(e, a[i]), from_text(e, a[i]));
            diag_help(d, "where(c, 1, 0) makes numbers of a condition");
            return poison;
        }
        v[i] = a[i].kind == V_TENSOR ? v_tensor(e, r[i], a[i].n, a[i].ax) : v_tensor(e, r[i], -1, NULL);
    }
    Axis ax[MAX_AXES];
    int k;
    if (!join_axes(e, n, v, locs, at, word, &k, ax)) return poison;
    set_origin(e, at);
    Ref out = op == OP_where ? mk_where(e->g, r[0], r[1], r[2])
            : op == OP_rows ? mk_rows(e->g, r[0], r[1], r[2])
            : n == 2 ? mk_binary(e->g, op, r[0], r[1])
            : mk_unary(e->g, op, r[0]);
    return v_tensor(e, out, k, ax);
}

Value tensor_binary(Elab *e, OpKind op, Value a, Value b, Ast *at)
{
    static const struct { Op op; bool swap, negate; } table[OP_KINDS] = {
        [OP_ADD] = { OP_add, 0, 0 }, [OP_SUB] = { OP_sub, 0, 0 }, [OP_MUL] = { OP_mul, 0, 0 }, [OP_DIV] = { OP_div, 0, 0 },
        [OP_FLOORDIV] = { OP_div, 0, 0 }, [OP_POW] = { OP_pow, 0, 0 }, [OP_LT] = { OP_lt, 0, 0 }, [OP_LE] = { OP_le, 0, 0 },
        [OP_GT] = { OP_lt, 1, 0 }, [OP_GE] = { OP_le, 1, 0 }, [OP_EQ] = { OP_eq, 0, 0 }, [OP_NE] = { OP_eq, 0, 1 },
        [OP_AND] = { OP_and, 0, 0 }, [OP_OR] = { OP_or, 0, 0 },
    };
    bool swap = table[op].swap;
    Loc locs[2] = { at->value->loc, at->other->loc };
    Value in[2] = { a, b };
    if (swap) in[0] = b, in[1] = a, locs[0] = at->other->loc, locs[1] = at->value->loc;
    Value v = elementwise(e, table[op].op, 2, in, locs, at->name_loc, op_text(op));
    if (v.kind == V_POISON) return v;
    set_origin(e, at->name_loc);
    Ref r = v.t;
    if (table[op].negate) r = mk_unary(e->g, OP_not, r);
    if (op == OP_FLOORDIV) r = mk_unary(e->g, OP_floor, r);
    return v_tensor(e, r, v.n, v.ax);
}

/* ---- rows ---- */
static Value gate_one(Elab *e, Value v, int from, Loc at)
{
    if (v.kind == V_LIST) {
        Value *list = arena_make(e->arena, Value, v.n);
        for (int i = 0; i < v.n; i++) list[i] = gate_one(e, v.list[i], from, at);
        v.list = list;
        return v;
    }
    const Axis *rows = v.kind == V_TENSOR ? value_axis(v, sym("n")) : NULL;
    if (!rows) return v;
    Ref r = v.t;
    for (int i = from; i < e->rows; i++) {
        const Axis *given = find_axis(N(e->g, e->gate[i]), sym("n"));        /* none: a condition known to the compiler */
        if (given && rows->size != given->size) {
            Diag *d = fail(e, at, ERR_two_sizes, "axis `n` has two sizes in `rows`");
            diag_label(d, "%s%s; the condition is [n:%lld]", type_text(e, v), from_text(e, v), (long long)given->size);
            diag_help(d, "what `rows c { ... }` reads has one row for each condition, or no axis `n`");
            return poison;
        }
        r = N(e->g, r)->type == T_BOOL ? mk_binary(e->g, OP_and, r, e->gate[i])
                                       : mk_where(e->g, e->gate[i], r, mk_const(e->g, 1));
    }
    return v_tensor(e, r, v.n, v.ax);
}

Value gated(Elab *e, Value v, int from, Loc at)
{
    return gate_one(e, v, from, at);
}

bool row_wise(Elab *e, Sym role, Loc at, const char *word)
{
    if (!e->rows || strcmp(role, "n")) return true;
    Diag *d = fail(e, at, ERR_rows_mixing, "`%s` along `n` mixes rows inside `rows`", word);
    diag_help(d, "what `rows c { ... }` computes must be one thing for each row of n");
    return false;
}

/* ---- declared types ---- */
bool is_size_name(Elab *e, const Ast *x, Env *sizes)
{
    (void)e;
    return x && x->kind == E_NAME && !env_find(sizes, x->name, NULL) && !top_find(sizes->file, x->name, true)
            && !builtin_find(x->name)
        && strcmp(x->name, "training") && strcmp(x->name, "step") && strcmp(x->name, "seen");
}

static bool size_from_others(const Args *others, Sym role, int64_t *size)
{
    for (int i = 0; others && i < others->n; i++) {
        const Value *v = &others->v[i].v;
        const Axis *a = v->kind == V_TENSOR || v->kind == V_ABSENT ? value_axis(*v, role) : NULL;
        if (a) return *size = a->size, true;
    }
    return false;
}

bool declared_axes(Elab *e, const Ast *type, Env *sizes, const Args *others, int *n, Axis *ax, Loc at)
{
    *n = 0;
    if (type->items.n > MAX_AXES) {
        fail(e, type->loc, ERR_rank_limit, "a tensor of %d axes: at most %d are allowed", type->items.n, MAX_AXES);
        return false;
    }
    for (int i = 0; i < type->items.n; i++) {
        const Ast *a = type->items.v[i];
        int64_t size;
        if (a->items.n) {
            fail(e, a->loc, ERR_rearrange_roles, "(...) belongs to `rearrange` only");
            return false;
        }
        for (int k = 0; k < i; k++)
            if (type->items.v[k]->name == a->name) return false;         /* reported by elab_check.c */
        if (a->value && !is_size_name(e, a->value, sizes)) {
            if (!eval_size(e, a->value, sizes, &size)) return false;
        } else if (a->value || !size_from_others(others, a->name, &size)) {
            Diag *d = fail(e, at, ERR_not_a_size, "the size of axis `%s` is not known", a->name);
            if (a->value) diag_span(d, a->loc, "`%s` would be set by a tensor given here", a->value->name);
            else diag_span(d, a->loc, "declared without a size");
            diag_help(d, "write the size, %s:8, or give a tensor in place of a number", a->name);
            return false;
        }
        ax[(*n)++] = (Axis){ a->name, size };
    }
    return size_ok(e, *n, ax, type->loc);
}

static Value expanded(Elab *e, const Ast *type, Value v, Env *sizes, const Args *others, Loc at)
{
    Axis ax[MAX_AXES];
    int n;
    if (!declared_axes(e, type, sizes, others, &n, ax, at)) return poison;
    for (int i = 0; i < n; i++)
        if (ax[i].size == 0) {
            Axis *copy = arena_make(e->arena, Axis, n);
            memcpy(copy, ax, sizeof *ax * (size_t)n);
            return (Value){ .kind = V_ABSENT, .n = n, .ax = copy };
        }
    Ref r = as_ref(e, v, at);
    set_origin(e, at);
    for (int i = 0; r && i < n; i++) r = mk_expand(e->g, r, ax[i].role, ax[i].size);
    return r ? v_tensor(e, r, n, ax) : poison;
}

static const char *size_reason(Elab *e, const Ast *size)
{
    if (!size || size->kind == E_INT) return "";
    char *text = node_print((Ast *)size);
    const char *s = arena_printf(e->arena, " (%s)", text);
    free(text);
    return s;
}

Value bind_type(Elab *e, const char *what, Sym name, const Ast *type, Value v, Env *sizes, const Args *others, Loc at)
{
    if (v.kind == V_POISON) return v;
    if (is_scalar(v) && type->items.n) return expanded(e, type, v, sizes, others, at);
    if (is_scalar(v)) return v;
    bool result = !strcmp(what, "result");
    if (v.kind != V_TENSOR && v.kind != V_ABSENT) {
        Diag *d = fail(e, at, ERR_not_a_tensor, "%s `%s` must be a tensor", what, name);
        diag_label(d, "%s", type_text(e, v));
        diag_span(d, type->loc, "declared here");
        diag_help(d, "give it a tensor, or a number to be expanded");
        return poison;
    }
    Axis ax[MAX_AXES];
    for (int i = 0; i < type->items.n; i++) {
        const Ast *a = type->items.v[i];
        const Axis *have = value_axis(v, a->name);
        for (int k = 0; k < i; k++)
            if (type->items.v[k]->name == a->name) return poison;        /* reported by elab_check.c */
        if (i >= MAX_AXES || a->items.n) return declared_axes(e, type, sizes, others, &(int){ 0 }, ax, at), poison;
        if (!have) {
            Diag *d = fail(e, at, result ? ERR_result_type : ERR_missing_role, "%s `%s` has no axis `%s`", what, name, a->name);
            diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
            diag_span(d, type->loc, "declared here");
            diag_help(d, "a rename x[a as %s] gives an axis this role; only scalars are expanded by themselves", a->name);
            return poison;
        }
        if (is_size_name(e, a->value, sizes)) {
            env_add(e, sizes, a->value->name, v_int(have->size), a->value->loc, false);
        } else if (a->value) {
            int64_t size;
            if (!eval_size(e, a->value, sizes, &size)) return poison;
            if (size != have->size) {
                Diag *d = fail(e, at, result ? ERR_result_type : ERR_two_sizes, "axis `%s` of %s `%s` is %lld, declared %lld",
                               a->name, what, name,
                               (long long)have->size, (long long)size);
                diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
                diag_span(d, a->loc, "%s:%lld%s", a->name, (long long)size, size_reason(e, a->value));
                diag_help(d, "declare another size, or give it a value whose axis `%s` is %lld", a->name, (long long)size);
                return poison;
            }
        }
        ax[i] = *have;
    }
    if (v.n > type->items.n) {
        for (int k = 0; k < v.n; k++) {
            int i = 0;
            while (i < type->items.n && type->items.v[i]->name != v.ax[k].role) i++;
            if (i < type->items.n) continue;
            Diag *d = fail(e, at, result ? ERR_result_type : ERR_extra_role, "%s `%s` has an axis `%s` that is not declared",
                           what, name, v.ax[k].role);
            diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
            diag_span(d, type->loc, "declared here");
            diag_help(d, "reduce it (sum, mean), pick from it (x[%s = 0]), or declare the axis", v.ax[k].role);
            return poison;
        }
        return poison;                               /* a role declared twice: reported by elab_check.c */
    }
    if (v.kind == V_TENSOR) return v_tensor(e, v.t, type->items.n, ax);
    Axis *copy = arena_make(e->arena, Axis, type->items.n);
    memcpy(copy, ax, sizeof *ax * (size_t)type->items.n);
    return (Value){ .kind = V_ABSENT, .n = type->items.n, .ax = copy };
}

Ref ordered(Elab *e, Value v)
{
    return mk_conform(e->g, v.t, v.n, v.ax);
}
