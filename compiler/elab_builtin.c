/* The functions of builtins.def: compile-time folding, host expressions, reductions, lists, distributions.
   Assumes operands were evaluated left to right; graph nodes are made through elab_tensor.c and elab_view.c. */
#include "compiler/elab.h"
#include <float.h>
#include <math.h>

#define OP_none OP_COUNT
const Builtin builtins[] = {
#define BUILTIN(name, min, max, group, op, host, doc) { #name, min, max, B_##group, OP_##op, host, doc },
#include "compiler/builtins.def"
#undef BUILTIN
};
const int n_builtins = COUNT(builtins);

const Builtin *builtin_find(Sym name)
{
    static Sym names[COUNT(builtins)];
    if (!names[0])
        for (size_t i = 0; i < COUNT(builtins); i++) names[i] = sym(builtins[i].name);
    for (size_t i = 0; i < COUNT(builtins); i++)
        if (names[i] == name) return &builtins[i];
    return NULL;
}

/* ---- arguments ---- */
enum { MAX_ARGS = 64 };
typedef struct { int n; Value v[MAX_ARGS]; Loc at[MAX_ARGS]; Sym name[MAX_ARGS]; } Operands;

/* Named arguments are allowed when listed in `names` (space separated). */
static bool operands(Elab *e, const Builtin *b, Ast *call, Env *env, const char *names, Operands *o)
{
    int positional = 0;
    o->n = 0;
    for (int i = 0; i < call->items.n; i++) {
        Ast *a = call->items.v[i];
        if (a->kind != ARG || a->section) {
            fail(e, a->loc, ERR_bad_argument, "%s belongs to `window` and `repeat` only", a->kind == ARG_BY ? "`by`" : "`;`");
            return false;
        }
        const char *hit = a->name ? strstr(names, a->name) : NULL;
        if (a->name && !(hit && (hit == names || hit[-1] == ' ') && (hit[strlen(a->name)] == ' ' || !hit[strlen(a->name)]))) {
            Diag *d = fail(e, a->name_loc, ERR_unknown_argument, "`%s` has no parameter `%s`", b->name, a->name);
            diag_help(d, "%s", b->doc);
            return false;
        }
        if (o->n == MAX_ARGS) {
            fail(e, a->loc, ERR_argument_count, "more than %d arguments", MAX_ARGS);
            return false;
        }
        Value v = eval(e, a->value, env);
        if (v.kind == V_POISON) return false;
        positional += !a->name;
        o->v[o->n] = v;
        o->name[o->n] = a->name;
        o->at[o->n++] = a->value->loc;
    }
    if (positional >= b->min && (b->max < 0 || o->n <= b->max)) return true;
    bool few = positional < b->min, many = b->min != 1 || b->max != 1;
    Diag *d = fail(e, call->loc, few ? ERR_missing_argument : ERR_argument_count, "`%s` takes %d%s argument%s", b->name,
                   few ? b->min : b->max, few && b->max != b->min ? " or more" : "", many ? "s" : "");
    diag_help(d, "%s", b->doc);
    return false;
}

static Value bad(Elab *e, const Builtin *b, Value v, Loc at)
{
    Diag *d = fail(e, at, ERR_bad_operand, "`%s` does not take this", b->name);
    diag_label(d, "%s", type_text(e, v));
    diag_help(d, "%s", b->doc);
    return poison;
}

static Value folded(Elab *e, double r, const Builtin *b, Loc at)
{
    if (isfinite(r)) return v_real(r);
    fail(e, at, ERR_compile_overflow, "`%s` of this constant is no finite number", b->name);
    return poison;
}

static Value to_int(Elab *e, double r, const Builtin *b, Loc at)
{
    if (r >= -9e18 && r <= 9e18) return v_int((int64_t)r);
    return folded(e, INFINITY, b, at);
}

/* ---- one operand ---- */
static Value number_elem(Elab *e, const Builtin *b, Value v, Loc at)
{
    double x = number(v);
    switch (b->op) {
    case OP_exp: return folded(e, exp(x), b, at);
    case OP_log: return folded(e, log(x), b, at);
    case OP_sin: return v_real(sin(x));
    case OP_cos: return v_real(cos(x));
    case OP_sqrt: return folded(e, sqrt(x), b, at);
    case OP_sigmoid: return v_real(1 / (1 + exp(-x)));
    case OP_tanh: return v_real(tanh(x));
    case OP_erf: return v_real(erf(x));
    case OP_abs: return v.kind == V_INT && v.i != INT64_MIN ? v_int(v.i < 0 ? -v.i : v.i) : v_real(fabs(x));
    case OP_sign: return v_int((x > 0) - (x < 0));
    case OP_floor: return v.kind == V_INT ? v : to_int(e, floor(x), b, at);
    case OP_isfinite: return v_bool(true);
    case OP_stop: case OP_f32: return v;
    default: return elementwise(e, b->op, 1, &v, NULL, at, b->name);
    }
}

static Value elem1(Elab *e, const Builtin *b, Value v, Loc at)
{
    if (is_number(v)) return number_elem(e, b, v, at);
    if (v.kind == V_RUNTIME && b->host) return host_call(e, b->name, 1, &v, at);
    if (v.kind == V_RUNTIME && (b->op == OP_stop || b->op == OP_f32)) return v;
    if (v.kind == V_TENSOR || v.kind == V_ABSENT || v.kind == V_RUNTIME) return elementwise(e, b->op, 1, &v, &at, at, b->name);
    return bad(e, b, v, at);
}

/* ---- max, min ---- */
static Value min_max(Elab *e, const Builtin *b, const Operands *o, Loc at)
{
    bool numbers = true, scalars = true, ints = true;
    for (int i = 0; i < o->n; i++) {
        if (!is_scalar(o->v[i]) && o->v[i].kind != V_TENSOR && o->v[i].kind != V_ABSENT) return bad(e, b, o->v[i], o->at[i]);
        numbers = numbers && is_number(o->v[i]);
        scalars = scalars && is_scalar(o->v[i]);
        ints = ints && o->v[i].kind == V_INT;
    }
    if (!numbers && scalars) return host_call(e, b->name, o->n, o->v, at);
    Value v = o->v[0];
    for (int i = 1; i < o->n && v.kind != V_POISON; i++) {
        if (numbers) {
            bool second = b->op == OP_max ? number(o->v[i]) > number(v) : number(o->v[i]) < number(v);
            v = second ? o->v[i] : v;
        } else v = elementwise(e, b->op, 2, (Value[]){ v, o->v[i] }, (Loc[]){ o->at[i - 1], o->at[i] }, at, b->name);
    }
    return numbers && !ints ? v_real(number(v)) : v;
}

/* ---- where, nan_to_num ---- */
static Value where(Elab *e, const Operands *o, Loc at)
{
    Value c = o->v[0], a = o->v[1], b = o->v[2];
    bool plain_a = is_scalar(a) || a.kind == V_BOOL, plain_b = is_scalar(b) || b.kind == V_BOOL;
    if (c.kind == V_BOOL && plain_a && plain_b) return c.b ? a : b;
    if (c.kind == V_RUNTIME && c.host->is_bool && plain_a && plain_b) return host_if(e, c, a, b, at);
    return elementwise(e, OP_where, 3, o->v, o->at, at, "where");
}

static Value nan_to_num(Elab *e, const Builtin *b, const Operands *o, Loc at)
{
    double by[2] = { 0, FLT_MAX };
    int k = 0;
    for (int i = 1; i < o->n; i++) {
        if (!is_number(o->v[i])) return bad(e, b, o->v[i], o->at[i]);
        by[o->name[i] ? !strcmp(o->name[i], "inf") : k++] = number(o->v[i]);
    }
    Value v = o->v[0];
    if (is_scalar(v)) return v;
    if (v.kind != V_TENSOR) return v.kind == V_ABSENT ? absent_error(e, v, o->at[0]) : bad(e, b, v, o->at[0]);
    if (N(e->g, v.t)->type == T_BOOL) return elementwise(e, OP_neg, 1, &v, o->at, at, b->name);      /* reports the condition */
    set_origin(e, at);
    return v_tensor(e, mk_nan_to_num(e->g, v.t, by[0], by[1]), v.n, v.ax);
}

/* ---- compile time ---- */
static Value const_call(Elab *e, const Builtin *b, const Operands *o, Loc at)
{
    Value v = o->v[0];
    const char *f = b->name;
    if (v.kind == V_RUNTIME && b->host) return host_call(e, f, 1, &v, at);
    if (v.kind == V_RUNTIME && ((!strcmp(f, "int") && v.host->is_int) || (!strcmp(f, "real") && !v.host->is_bool))) return v;
    if (is_number(v)) {
        if (!strcmp(f, "ceil")) return v.kind == V_INT ? v : to_int(e, ceil(v.r), b, at);
        if (!strcmp(f, "round")) return v.kind == V_INT ? v : to_int(e, nearbyint(v.r), b, at);
        if (!strcmp(f, "real")) return v_real(number(v));
        if (!strcmp(f, "int")) {
            if (v.kind == V_INT) return v;
            if (v.r == floor(v.r)) return to_int(e, v.r, b, at);
            Diag *d = fail(e, o->at[0], ERR_type_mismatch, "%s is no integer", real_text(e, v.r));
            diag_help(d, "floor, ceil or round make one of it");
            return poison;
        }
    }
    if (v.kind == V_LIST) {
        if (!strcmp(f, "len")) return v_int(v.n);
        if (!strcmp(f, "reversed")) {
            Value r = v_list(e, v.n, v.list);
            for (int i = 0; i < v.n; i++) r.list[i] = v.list[v.n - 1 - i];
            return r;
        }
        if (!strcmp(f, "last") || !strcmp(f, "drop_last")) {
            if (v.n) return f[0] == 'l' ? v.list[v.n - 1] : v_list(e, v.n - 1, v.list);
            fail(e, o->at[0], ERR_list_index, "`%s` of an empty list", f);
            return poison;
        }
    }
    if (v.kind == V_RUNTIME || v.kind == V_TENSOR) {
        Diag *d = fail(e, o->at[0], v.kind == V_RUNTIME ? ERR_runtime_scalar : ERR_not_compile_time,
                       "`%s` needs a compile-time value", f);
        diag_label(d, "%s", type_text(e, v));
        diag_help(d, "%s", b->doc);
        return poison;
    }
    return bad(e, b, v, o->at[0]);
}

static Value dist(Elab *e, const Builtin *b, const Operands *o)
{
    Dist *d = arena_make(e->arena, Dist, 1);
    DrawKind kind = b->name[0] == 'u' ? DRAW_UNIFORM : b->name[0] == 'n' ? DRAW_NORMAL : DRAW_BERNOULLI;
    *d = (Dist){ kind, v_int(0), v_int(1) };
    if (o->n == 1 && kind != DRAW_BERNOULLI) {
        fail(e, o->at[0], ERR_argument_count, "`%s` takes none or both of its arguments", b->name);
        return poison;
    }
    for (int i = 0; i < o->n; i++) {
        if (!is_scalar(o->v[i])) return bad(e, b, o->v[i], o->at[i]);
        *(i ? &d->b : &d->a) = o->v[i];
    }
    if (kind == DRAW_BERNOULLI && is_number(d->a) && !(number(d->a) >= 0 && number(d->a) <= 1)) {
        fail(e, o->at[0], ERR_bad_argument, "a probability lies between 0 and 1, this is %s", value_text(e, d->a));
        return poison;
    }
    return (Value){ .kind = V_DIST, .dist = d };
}

static Value needs_index(Elab *e, const Builtin *b, Loc at)
{
    Diag *d = fail(e, at, ERR_bad_argument, "`%s` needs its axes in brackets", b->name);
    diag_help(d, "%s", b->doc);
    return poison;
}

Value call_builtin(Elab *e, const Builtin *b, Ast *call, Env *env)
{
    if (b->group == B_VIEW) return b->op == OP_window ? window(e, call, env) : repeat(e, call, env);
    if (b->group == B_REDUCE || b->group == B_CONCAT || b->group == B_IOTA) return needs_index(e, b, call->loc);
    Operands *o = arena_make(e->arena, Operands, 1);
    if (!operands(e, b, call, env, b->op == OP_nan_to_num ? "nan inf" : "", o)) return poison;
    switch (b->group) {
    case B_ELEM1: return elem1(e, b, o->v[0], call->loc);
    case B_MINMAX: return min_max(e, b, o, call->loc);
    case B_SPECIAL: return b->op == OP_where ? where(e, o, call->loc) : nan_to_num(e, b, o, call->loc);
    case B_DIST: return dist(e, b, o);
    default: return const_call(e, b, o, call->loc);
    }
}

/* ---- name[roles](...) ---- */
static int read_roles(Elab *e, const Builtin *b, Ast *index, Sym *roles)
{
    int n = 0;
    for (int i = 0; i < index->items.n; i++) {
        Ast *ix = index->items.v[i];
        if (ix->kind != IX_EXPR || ix->value->kind != E_NAME || n == MAX_AXES) {
            Diag *d = fail(e, ix->loc, ERR_bad_argument, "`%s` takes axis names here", b->name);
            diag_help(d, "%s", b->doc);
            return -1;
        }
        for (int k = 0; k < n; k++)
            if (roles[k] == ix->value->name) {
                fail(e, ix->loc, ERR_duplicate_role, "axis `%s` appears twice", roles[k]);
                return -1;
            }
        roles[n++] = ix->value->name;
    }
    return n;
}

Value call_reduce(Elab *e, const Builtin *b, Ast *index, Ast *call, Env *env)
{
    Sym roles[MAX_AXES];
    Operands *o = arena_make(e->arena, Operands, 1);
    if (b->group == B_IOTA || b->group == B_DIST) return index_builtin(e, b, index, env);
    if (b->group != B_REDUCE && b->group != B_MINMAX && b->group != B_CONCAT) {
        Diag *d = fail(e, index->loc, ERR_not_callable, "`%s` takes no axes", b->name);
        diag_help(d, "%s", b->doc);
        return poison;
    }
    int n = read_roles(e, b, index, roles);
    Builtin one = *b;
    if (b->group == B_MINMAX) one.min = one.max = 1;
    if (n < 0 || !operands(e, &one, call, env, b->op == OP_standardize ? "eps" : "", o)) return poison;
    if (b->group == B_CONCAT) {
        if (n == 1) return concat(e, roles[0], o->n, o->v, o->at, call->loc);
        fail(e, index->loc, ERR_bad_argument, "`concat` goes along one axis");
        return poison;
    }
    Value v = o->v[0];
    if (v.kind == V_ABSENT) return absent_error(e, v, o->at[0]);
    if (v.kind != V_TENSOR) {
        Diag *d = fail(e, o->at[0], ERR_not_a_tensor, "`%s` needs a tensor", b->name);
        diag_label(d, "%s", type_text(e, v));
        diag_help(d, "%s", b->doc);
        return poison;
    }
    if (N(e->g, v.t)->type == T_BOOL) return elementwise(e, OP_neg, 1, &v, o->at, call->loc, b->name);
    double count = 1, eps = 1e-5;
    for (int i = 0; i < n; i++) {
        if (!has_role(e, v, roles[i], index->items.v[i]->loc, o->at[0], b->name)) return poison;
        if (!row_wise(e, roles[i], call->loc, b->name)) return poison;
        count *= (double)value_axis(v, roles[i])->size;
    }
    if (o->n > 1) {
        if (!is_number(o->v[1]) || !(number(o->v[1]) >= 0)) return bad(e, b, o->v[1], o->at[1]);
        eps = number(o->v[1]);
    }
    if (!n) return v;
    set_origin(e, call->loc);
    if (b->op == OP_standardize) return v_tensor(e, mk_standardize(e->g, v.t, n, roles, eps), v.n, v.ax);
    if (b->op == OP_softmax) return v_tensor(e, mk_softmax(e->g, v.t, n, roles), v.n, v.ax);
    Ref r = b->op == OP_sum ? mk_sum(e->g, v.t, n, roles)
          : b->op == OP_max ? mk_rmax(e->g, v.t, n, roles)
          : mk_unary(e->g, OP_neg, mk_rmax(e->g, mk_unary(e->g, OP_neg, v.t), n, roles));
    if (!strcmp(b->name, "mean")) r = mk_binary(e->g, OP_div, r, mk_const(e->g, count));
    Axis ax[MAX_AXES];
    int m = 0;
    for (int i = 0; i < v.n; i++) {
        bool gone = false;
        for (int k = 0; k < n; k++) gone = gone || roles[k] == v.ax[i].role;
        if (!gone) ax[m++] = v.ax[i];
    }
    return v_tensor(e, r, m, ax);
}

Value index_builtin(Elab *e, const Builtin *b, Ast *index, Env *env)
{
    if (b->group == B_DIST) {
        Diag *d = fail(e, index->loc, ERR_draw_place, "a draw needs `from` a stream");
        diag_help(d, "%s[n: x.n] from noise", b->name);
        return poison;
    }
    Ast *ix = index->items.v[0];
    int64_t size;
    if (b->group != B_IOTA || index->items.n != 1 || ix->kind != IX_COLON || ix->value->kind != E_NAME) {
        Diag *d = fail(e, index->loc, ERR_bad_argument, "`%s` is not used like this", b->name);
        diag_help(d, "%s", b->doc);
        return poison;
    }
    if (!eval_size(e, ix->other, env, &size)) return poison;
    if (size == 0) {
        fail(e, ix->other->loc, ERR_not_a_size, "an axis of size 0");
        return poison;
    }
    if (!e->g) {
        fail(e, index->loc, ERR_not_compile_time, "there are no tensors here");
        return poison;
    }
    set_origin(e, index->loc);
    return v_tensor(e, mk_iota(e->g, ix->value->name, size), -1, NULL);
}
