/* Expressions: compile-time arithmetic, names, calls, lists, strings, conditions; the rest goes to the other elab_*.c.
   Assumes elab_check.c looked at the text; poison is passed on in silence. */
#include "compiler/elab.h"
#include <math.h>

static Value bad_operands(Elab *e, Ast *at, Value a, Value b)
{
    Diag *d = fail(e, at->name_loc, ERR_bad_operand, "`%s` does not take these operands", op_text(at->op));
    diag_span(d, at->value->loc, "%s", type_text(e, a));
    diag_span(d, at->other->loc, "%s", type_text(e, b));
    diag_help(d, "numbers and tensors go together; lists are joined by +, strings by + or \"{x}\"");
    return poison;
}

static Value overflow(Elab *e, Ast *at)
{
    Diag *d = fail(e, at->name_loc, ERR_compile_overflow, "`%s` overflows at compile time", op_text(at->op));
    diag_help(d, "integers are 64-bit; 10.0 in place of 10 makes it a real");
    return poison;
}

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

static bool int_power(int64_t x, int64_t n, int64_t *r)
{
    *r = 1;
    if (x == 0 || x == 1 || x == -1) {                   /* no overflow, however large the exponent */
        *r = n == 0 ? 1 : x == -1 && n % 2 == 0 ? 1 : x;
        return true;
    }
    for (; n > 0; n--)
        if (__builtin_mul_overflow(*r, x, r)) return false;
    return true;
}

static Value real_result(Elab *e, double r, Ast *at)
{
    return isfinite(r) ? v_real(r) : overflow(e, at);
}

static Value number_binary(Elab *e, OpKind op, Value a, Value b, Ast *at)
{
    bool ints = a.kind == V_INT && b.kind == V_INT;
    double x = number(a), y = number(b);
    int64_t r;
    switch (op) {
    case OP_EQ: return v_bool(value_equal(a, b));
    case OP_NE: return v_bool(!value_equal(a, b));
    case OP_LT: return v_bool(ints ? a.i < b.i : x < y);
    case OP_GT: return v_bool(ints ? a.i > b.i : x > y);
    case OP_LE: return v_bool(ints ? a.i <= b.i : x <= y);
    case OP_GE: return v_bool(ints ? a.i >= b.i : x >= y);
    case OP_ADD:
        if (!ints) return real_result(e, x + y, at);
        return __builtin_add_overflow(a.i, b.i, &r) ? overflow(e, at) : v_int(r);
    case OP_SUB:
        if (!ints) return real_result(e, x - y, at);
        return __builtin_sub_overflow(a.i, b.i, &r) ? overflow(e, at) : v_int(r);
    case OP_MUL:
        if (!ints) return real_result(e, x * y, at);
        return __builtin_mul_overflow(a.i, b.i, &r) ? overflow(e, at) : v_int(r);
    case OP_DIV: case OP_FLOORDIV:
        if (y == 0) {
            Diag *d = fail(e, at->name_loc, ERR_divide_by_zero, "division by zero");
            diag_span(d, at->other->loc, "this is 0");
            diag_help(d, "ask first: `if b != 0 { a / b } else { ... }`");
            return poison;
        }
        if (op == OP_DIV) return real_result(e, x / y, at);
        if (!ints) return real_result(e, floor(x / y), at);
        return a.i == INT64_MIN && b.i == -1 ? overflow(e, at) : v_int(floor_div(a.i, b.i));
    case OP_POW:
        if (ints && b.i >= 0) return int_power(a.i, b.i, &r) ? v_int(r) : overflow(e, at);
        return real_result(e, pow(x, y), at);
    case OP_RANGE: {
        if (!ints) return bad_operands(e, at, a, b);
        int64_t n = b.i > a.i ? b.i - a.i : 0;
        if (b.i > a.i && (n < 0 || n > MAX_LOOP)) {
            Diag *d = fail(e, at->loc, ERR_loop_size, "the range %lld..%lld has more than %d elements", (long long)a.i,
                           (long long)b.i, MAX_LOOP);
            diag_help(d, "loops are unrolled at compile time; a long axis belongs in a tensor");
            return poison;
        }
        Value v = { .kind = V_LIST, .n = (int)n, .list = arena_make(e->arena, Value, n) };
        for (int i = 0; i < v.n; i++) v.list[i] = v_int(a.i + i);
        return v;
    }
    default: return bad_operands(e, at, a, b);
    }
}

static Value lists_joined(Elab *e, Value a, Value b, Ast *at)
{
    if (a.n + b.n > MAX_LOOP) {
        fail(e, at->loc, ERR_loop_size, "a list of more than %d elements", MAX_LOOP);
        return poison;
    }
    Value v = { .kind = V_LIST, .n = a.n + b.n, .list = arena_make(e->arena, Value, a.n + b.n) };
    for (int i = 0; i < a.n; i++) v.list[i] = a.list[i];
    for (int i = 0; i < b.n; i++) v.list[a.n + i] = b.list[i];
    return v;
}

static bool logical(OpKind op) { return op == OP_AND || op == OP_OR; }

Value arithmetic(Elab *e, OpKind op, Value a, Value b, Ast *at)
{
    if (a.kind == V_POISON || b.kind == V_POISON || e->stop) return poison;
    if (op == OP_IN && b.kind == V_LIST) {
        for (int i = 0; i < b.n; i++)
            if (value_equal(a, b.list[i])) return v_bool(true);
        return v_bool(false);
    }
    if (is_number(a) && is_number(b)) return number_binary(e, op, a, b, at);
    if (a.kind == V_ABSENT) return absent_error(e, a, at->value->loc);
    if (b.kind == V_ABSENT) return absent_error(e, b, at->other->loc);
    bool ok_a = is_scalar(a) || a.kind == V_BOOL || a.kind == V_TENSOR;
    bool ok_b = is_scalar(b) || b.kind == V_BOOL || b.kind == V_TENSOR;
    bool pointless = op == OP_IN || op == OP_RANGE;
    if (!pointless && ok_a && ok_b && (a.kind == V_TENSOR || b.kind == V_TENSOR)) return tensor_binary(e, op, a, b, at);
    if (pointless && (a.kind == V_RUNTIME || b.kind == V_RUNTIME)) {
        Diag *d = fail(e, at->loc, ERR_runtime_scalar, "`%s` needs compile-time values", op_text(op));
        diag_label(d, "%s", type_text(e, a.kind == V_RUNTIME ? a : b));
        diag_help(d, "a `config` value is known at compile time and set by -D");
        return poison;
    }
    if (!pointless && ok_a && ok_b && (a.kind == V_RUNTIME || b.kind == V_RUNTIME)) return host_binary(e, op, a, b, at->name_loc);
    if (a.kind == V_BOOL && b.kind == V_BOOL && logical(op)) return v_bool(op == OP_AND ? a.b && b.b : a.b || b.b);
    if ((op == OP_EQ || op == OP_NE) && a.kind == b.kind && (a.kind == V_STRING || a.kind == V_BOOL || a.kind == V_LIST))
        return v_bool(value_equal(a, b) == (op == OP_EQ));
    if (op == OP_ADD && a.kind == V_LIST && b.kind == V_LIST) return lists_joined(e, a, b, at);
    if (op == OP_ADD && a.kind == V_STRING && b.kind == V_STRING) return v_string(sym(arena_printf(e->arena, "%s%s", a.s, b.s)));
    return bad_operands(e, at, a, b);
}

static Value binary(Elab *e, Ast *x, Env *env)
{
    Value a = eval(e, x->value, env);
    /* decided: the other side is not looked at */
    if (logical(x->op) && a.kind == V_BOOL && a.b == (x->op == OP_OR)) return a;
    Value b = eval(e, x->other, env);
    if (logical(x->op) && a.kind == V_BOOL && b.kind != V_POISON) {
        if (b.kind == V_BOOL || b.kind == V_RUNTIME || b.kind == V_TENSOR) return b;
        return bad_operands(e, x, a, b);
    }
    return arithmetic(e, x->op, a, b, x);
}

static Value unary(Elab *e, Ast *x, Env *env)
{
    Value a = eval(e, x->value, env);
    if (a.kind == V_POISON) return poison;
    if (a.kind == V_ABSENT) return absent_error(e, a, x->value->loc);
    if (x->op == OP_NOT && a.kind == V_BOOL) return v_bool(!a.b);
    if (x->op == OP_NEG && a.kind == V_INT && a.i != INT64_MIN) return v_int(-a.i);
    if (x->op == OP_NEG && a.kind == V_REAL) return v_real(-a.r);
    if (a.kind == V_RUNTIME) return host_unary(e, x->op, a, x->name_loc);
    if (a.kind == V_TENSOR && x->op == OP_NEG) return elementwise(e, OP_neg, 1, &a, NULL, x->loc, "-");
    if (a.kind == V_TENSOR) {
        Ref r = as_bool(e, a, x->value->loc);
        set_origin(e, x->loc);
        return r ? v_tensor(e, mk_unary(e->g, OP_not, r), a.n, a.ax) : poison;
    }
    Diag *d = fail(e, x->name_loc, ERR_bad_operand, "`%s` does not take this operand", op_text(x->op));
    diag_span(d, x->value->loc, "%s", type_text(e, a));
    return poison;
}

/* ---- compile-time requirements ---- */
Value eval_const(Elab *e, Ast *x, Env *env, const char *what)
{
    Value v = eval(e, x, env);
    if (v.kind == V_RUNTIME) {
        Diag *d = fail(e, x->loc, ERR_runtime_scalar, "%s must be known at compile time", what);
        diag_label(d, "%s", type_text(e, v));
        diag_help(d, "a `config` value is known at compile time and set by -D");
        return poison;
    }
    if (v.kind == V_TENSOR || v.kind == V_ABSENT || v.kind == V_TIMES) {
        Diag *d = fail(e, x->loc, ERR_not_compile_time, "%s must be known at compile time", what);
        diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
        return poison;
    }
    return v;
}

bool eval_size(Elab *e, Ast *x, Env *env, int64_t *size)
{
    Value v = eval_const(e, x, env, "a size");
    if (v.kind == V_POISON) return false;
    if (v.kind != V_INT || v.i < 0 || v.i > INT32_MAX) {
        Diag *d = fail(e, x->loc, ERR_not_a_size, "a size must be an integer from 0 to %d", INT32_MAX);
        diag_label(d, "%s", type_text(e, v));
        if (v.kind == V_REAL) diag_help(d, "`/` divides reals; `//` divides integers and rounds down");
        return false;
    }
    *size = v.i;
    return true;
}

bool eval_condition(Elab *e, Ast *x, Env *env, bool *value)
{
    Value v = eval(e, x, env);
    if (v.kind == V_POISON) return false;
    if (v.kind == V_BOOL) {
        *value = v.b;
        return true;
    }
    if (v.kind == V_RUNTIME) {
        Diag *d = fail(e, x->loc, ERR_runtime_scalar, "this condition must be known at compile time");
        diag_label(d, "%s", type_text(e, v));
        diag_help(d, "`where(c, a, b)`, or `if` between run-time scalars, chooses at run time");
    } else {
        Diag *d = fail(e, x->loc, ERR_condition_type, "a condition must be true or false");
        diag_label(d, "%s", type_text(e, v));
        if (v.kind == V_TENSOR) diag_help(d, "`where(c, a, b)` chooses element by element, `rows c { a } else { b }` row by row");
    }
    return false;
}

static Value if_expr(Elab *e, Ast *x, Env *env)
{
    Value c = eval(e, x->cond, env);
    if (c.kind == V_BOOL) return eval(e, c.b ? x->value : x->other, env);
    if (c.kind == V_RUNTIME && c.host->is_bool) {
        Value a = eval(e, x->value, env), b = eval(e, x->other, env);
        if (a.kind == V_POISON || b.kind == V_POISON) return poison;
        if ((is_scalar(a) || a.kind == V_BOOL) && (is_scalar(b) || b.kind == V_BOOL)) return host_if(e, c, a, b, x->loc);
        Diag *d = fail(e, x->cond->loc, ERR_runtime_scalar, "a run-time condition chooses between run-time scalars only");
        diag_label(d, "%s", type_text(e, c));
        diag_span(d, x->value->loc, "%s", type_text(e, a));
        diag_help(d, "`where(c, a, b)` chooses between tensors at run time");
        return poison;
    }
    bool value;
    if (c.kind != V_POISON) eval_condition(e, x->cond, env, &value);     /* reports what is wrong with it */
    return poison;
}

/* ---- strings, lists, fields ---- */
const char *interpolate(Elab *e, const Ast *s, Env *env)
{
    StrBuf b = { 0 };
    bool ok = true;
    sb_puts(&b, "");
    for (int i = 0; i < s->items.n; i++) {
        Ast *part = s->items.v[i];
        if (part->kind == E_TEXT) {
            sb_puts(&b, part->text);
            continue;
        }
        Value v = eval_const(e, part, env, "a part of a string");
        if (v.kind == V_POISON) ok = false;
        else sb_puts(&b, value_text(e, v));
    }
    const char *text = ok ? arena_strdup(e->arena, b.s) : NULL;
    sb_free(&b);
    return text;
}

static Value list_expr(Elab *e, Ast *x, Env *env)
{
    Value v = { .kind = V_LIST, .n = x->items.n, .list = arena_make(e->arena, Value, x->items.n) };
    for (int i = 0; i < v.n; i++) v.list[i] = eval(e, x->items.v[i], env);
    return v;
}

static Value field(Elab *e, Ast *x, Env *env)
{
    Value v = eval(e, x->value, env);
    if (v.kind == V_POISON) return poison;
    if (v.kind == V_TENSOR || v.kind == V_ABSENT) {
        const Axis *a = value_axis(v, x->name);
        if (a) return v_int(a->size);
        Diag *d = fail(e, x->name_loc, ERR_missing_role, "there is no axis `%s`", x->name);
        diag_span(d, x->value->loc, "%s%s", type_text(e, v), from_text(e, v));
        return poison;
    }
    Diag *d = fail(e, x->name_loc, ERR_unknown_field, "`.%s` asks a tensor for the size of its axis", x->name);
    diag_span(d, x->value->loc, "%s", type_text(e, v));
    diag_help(d, v.kind == V_LIST ? "xs[0] is an element, len(xs) the length" : "only tensors have axes");
    return poison;
}

static Value weights(Elab *e, Ast *x, Env *env)
{
    Value v = eval(e, x->value, env);
    if (v.kind == V_POISON) return poison;
    if (v.kind != V_INSTANCE) {
        Diag *d = fail(e, x->loc, ERR_unknown_weights, "`@%s` follows an instance made by `use`", x->name);
        diag_span(d, x->value->loc, "%s", type_text(e, v));
        return poison;
    }
    for (int i = 0; i < e->n_emas; i++)
        if (e->ema[i] == x->name) {
            Instance *copy = arena_make(e->arena, Instance, 1);
            *copy = *v.inst;
            copy->set = x->name;
            return (Value){ .kind = V_INSTANCE, .inst = copy };
        }
    Diag *d = fail(e, x->name_loc, ERR_unknown_weights, "no `ema` of `train` is called `%s`", x->name);
    const char *near = suggest(x->name, (const char *const *)e->ema, e->n_emas);
    if (near) diag_help(d, "did you mean `@%s`?", near);
    else diag_help(d, "`ema as \"%s\" = ...` in `train` makes such weights", x->name);
    return poison;
}

/* ---- calls ---- */
bool eval_args(Elab *e, const Ast *call, Env *env, Args *out)
{
    bool ok = true;
    *out = (Args){ 0, arena_make(e->arena, Arg, call->items.n) };
    for (int i = 0; i < call->items.n; i++) {
        Ast *a = call->items.v[i];
        if (a->kind == ARG_BY || a->section) {
            fail(e, a->loc, ERR_bad_argument, "%s belongs to `window` and `repeat` only", a->kind == ARG_BY ? "`by`" : "`;`");
            ok = false;
            continue;
        }
        out->v[out->n++] = (Arg){ a->name, eval(e, a->value, env), a, false };
    }
    return ok;
}

static bool choice_allows(const Ast *t, Sym s)
{
    for (int i = 0; i < t->items.n; i++)
        if (!strcmp(t->items.v[i]->text, s)) return true;
    return false;
}

/* v as a parameter of a named type; poison after an error. */
Value bind_named(Elab *e, const Ast *par, Value v, bool compile_time, Loc at)
{
    const Ast *t = par->type;
    if (v.kind == V_POISON) return v;
    if (t && t->kind == T_CHOICE) {
        if (v.kind == V_STRING && choice_allows(t, v.s)) return v;
        Diag *d = fail(e, at, ERR_bad_argument, "`%s` takes one of its listed values", par->name);
        diag_label(d, "%s", type_text(e, v));
        diag_span(d, t->loc, "these");
        if (v.kind == V_STRING) {
            const char *names[64];
            int n = 0;
            while (n < t->items.n && n < 64) names[n] = t->items.v[n]->text, n++;
            const char *near = suggest(v.s, names, n);
            if (near) diag_help(d, "did you mean \"%s\"?", near);
            else diag_help(d, "choose one of them");
        }
        return poison;
    }
    if (compile_time && (v.kind == V_RUNTIME || v.kind == V_TENSOR || v.kind == V_ABSENT)) {
        Diag *d = fail(e, at, v.kind == V_RUNTIME ? ERR_runtime_scalar : ERR_not_compile_time,
                       "`%s` must be known at compile time", par->name);
        diag_label(d, "%s", type_text(e, v));
        diag_span(d, par->name_loc, "declared here");
        diag_help(d, v.kind == V_RUNTIME ? "a `config` value is known at compile time and set by -D"
                  : "x.c is the size of an axis, known at compile time");
        return poison;
    }
    if (!t) return v;
    static const struct { const char *name; ValueKind kind; } types[] = {
        { "int", V_INT }, { "real", V_REAL }, { "bool", V_BOOL }, { "string", V_STRING }, { "list", V_LIST }, { "fn", V_FN },
    };
    for (size_t i = 0; i < COUNT(types); i++) {
        if (strcmp(t->name, types[i].name)) continue;
        if (v.kind == types[i].kind) return v;
        if (types[i].kind == V_REAL && v.kind == V_INT) return v_real((double)v.i);
        bool fits = types[i].kind == V_REAL || (types[i].kind == V_INT && v.kind == V_RUNTIME && v.host->is_int);
        if (v.kind == V_RUNTIME && !v.host->is_bool && fits) return v;
        Diag *d = fail(e, at, ERR_type_mismatch, "`%s` is %s %s", par->name, types[i].kind == V_INT ? "an" : "a", t->name);
        diag_label(d, "%s", type_text(e, v));
        diag_span(d, par->name_loc, "declared here");
        if (types[i].kind == V_INT && is_number(v)) diag_help(d, "floor, ceil or round make an integer; // divides integers");
        else diag_help(d, "give it %s %s", types[i].kind == V_INT ? "an" : "a", t->name);
        return poison;
    }
    Diag *d = fail(e, t->loc, ERR_type_mismatch, "there is no type `%s`", t->name);
    diag_help(d, "types are int, real, bool, string, list, a tensor [n, c:3] or a choice \"a\" | \"b\"");
    return poison;
}

static Arg *find_arg(Args *a, int index, Sym name)
{
    Arg *found = NULL;
    int k = 0;
    for (int i = 0; i < a->n; i++) {
        bool hit = a->v[i].name ? a->v[i].name == name : k++ == index;
        if (!hit) continue;
        if (!found) found = &a->v[i];
        a->v[i].taken = true;
    }
    return found;
}

static void given_twice(Elab *e, const Arg *a)
{
    diag_help(fail(e, a->ast->name_loc, ERR_duplicate_argument, "argument `%s` is given twice", a->name), "remove one");
}

static void check_left_over(Elab *e, const char *what, Sym name, const NodeList *params, Args *a, Loc at)
{
    for (int i = 0; i < a->n; i++) {
        for (int k = 0; k < i && a->v[i].name; k++)
            if (a->v[k].name == a->v[i].name) given_twice(e, &a->v[i]);
        int positional = 0;
        for (int k = 0; k < a->n; k++) positional += !a->v[k].name;
        if (a->v[i].name)
            for (int k = 0; k < params->n && k < positional; k++)
                if (params->v[k]->name == a->v[i].name)
                    given_twice(e, &a->v[i]);
        if (a->v[i].taken) continue;
        if (!a->v[i].name) {
            Diag *d = fail(e, a->v[i].ast ? a->v[i].ast->loc : at, ERR_argument_count, "%s `%s` takes %d argument%s", what, name,
                           params->n,
                           params->n == 1 ? "" : "s");
            diag_label(d, "argument %d", i + 1);
            if (params->n) diag_span(d, loc_join(params->v[0]->loc, params->v[params->n - 1]->loc), "its parameters");
            diag_help(d, "remove what is too much");
            return;
        }
        Diag *d = fail(e, a->v[i].ast->name_loc, ERR_unknown_argument, "%s `%s` has no parameter `%s`", what, name, a->v[i].name);
        const char *names[64];
        int n = 0;
        for (int k = 0; k < params->n && n < 64; k++) names[n++] = params->v[k]->name;
        const char *near = suggest(a->v[i].name, names, n);
        if (near) diag_help(d, "did you mean `%s`?", near);
        else if (params->n) diag_span(d, loc_join(params->v[0]->loc, params->v[params->n - 1]->loc), "its parameters");
    }
}

bool bind_params(Elab *e, const char *what, Sym name, const NodeList *params, Args *a, Env *env, Env *sizes, bool compile_time,
                 Loc at)
{
    bool ok = true;
    for (int i = 0; i < params->n; i++) {
        const Ast *p = params->v[i];
        Arg *arg = find_arg(a, i, p->name);
        Value v = poison;
        Loc from = arg && arg->ast ? (arg->ast->value ? arg->ast->value->loc : arg->ast->loc) : at;
        if (arg) v = arg->v;
        else if (p->value) v = eval(e, p->value, env), from = p->value->loc;
        else {
            Diag *d = fail(e, at, ERR_missing_argument, "%s `%s` needs its argument `%s`", what, name, p->name);
            diag_span(d, p->loc, "declared here");
            diag_help(d, "add `%s = ...`", p->name);
        }
        if (p->type && p->type->kind == T_TENSOR) v = bind_type(e, "argument", p->name, p->type, v, sizes, a, from);
        else v = bind_named(e, p, v, compile_time, from);
        ok = ok && v.kind != V_POISON;
        env_add(e, env, p->name, v, p->name_loc, false);
    }
    check_left_over(e, what, name, params, a, at);
    return ok;
}

Value call_fn(Elab *e, const Closure *f, Args *a, Loc at)
{
    Trail t;
    enter(e, &t, f->name ? sym(arena_printf(e->arena, "fn %s", f->name)) : sym("a function"), NULL, at);
    Value v = poison;
    if (!e->stop) {
        Env *sizes = env_new(e, f->env, NULL), *env = env_new(e, sizes, NULL);
        Sym name = f->name ? f->name : sym("fn");
        if (bind_params(e, "function", name, f->params, a, env, sizes, false, at)) v = eval(e, f->value, env);
    }
    leave(e);
    return v;
}

static Value call(Elab *e, Ast *x, Env *env)
{
    Ast *callee = x->value;
    if (callee->kind == E_INDEX && callee->value->kind == E_NAME) {
        Value f = look_up(e, env, callee->value->name, callee->value->loc);
        if (f.kind == V_POISON) return poison;
        if (f.kind == V_BUILTIN) return call_reduce(e, f.builtin, callee, x, env);
    }
    Value f = eval(e, callee, env);
    if (f.kind == V_POISON) return poison;
    if (f.kind == V_BUILTIN) return call_builtin(e, f.builtin, x, env);
    Args a;
    bool ok = eval_args(e, x, env, &a);
    if (!ok || e->stop) return poison;
    switch (f.kind) {
    case V_FN: return call_fn(e, f.fn, &a, x->loc);
    case V_INSTANCE: return apply(e, f.inst, &a, x->loc);
    case V_DECL: {
        const Ast *d = f.decl->ast;
        if (d->kind == D_LOSS) return apply_loss(e, f.decl, &a, x->loc);
        if (d->kind == D_OPTIMIZER || d->kind == D_EMA) {
            Applied *p = arena_make(e->arena, Applied, 1);
            *p = (Applied){ *f.decl, env_new(e, f.decl->file->env, NULL), x->loc };
            ok = bind_params(e, d->kind == D_EMA ? "ema" : "optimizer", d->name, &d->params, &a, p->env, p->env, false, x->loc);
            return ok ? (Value){ .kind = V_APPLIED, .applied = p } : poison;
        }
        if (d->kind == D_BLOCK) {
            Diag *g = fail(e, x->loc, ERR_not_callable, "block `%s` has parameters of its own: make an instance first", d->name);
            diag_help(g, "use layer = %s(...), then layer(x)", d->name);
            return poison;
        }
        break;
    }
    default: break;
    }
    Diag *d = fail(e, callee->loc, ERR_not_callable, "this cannot be applied");
    diag_label(d, "%s", type_text(e, f));
    diag_help(d, f.kind == V_LIST || f.kind == V_TENSOR ? "[ ] picks elements"
              : "functions, instances and losses are applied with ( )");
    return poison;
}

static Value index_expr(Elab *e, Ast *x, Env *env)
{
    if (x->value->kind == E_NAME) {
        Value f = look_up(e, env, x->value->name, x->value->loc);
        if (f.kind == V_BUILTIN) return index_builtin(e, f.builtin, x, env);
    }
    Value v = eval(e, x->value, env);
    return v.kind == V_POISON ? poison : index_value(e, x, v, env);
}

static Value rows(Elab *e, Ast *x, Env *env)
{
    Value c = eval(e, x->cond, env);
    if (c.kind == V_BOOL) return eval(e, c.b ? x->value : x->other, env);
    if (c.kind == V_POISON) return poison;
    if (c.kind != V_TENSOR || c.n != 1 || strcmp(c.ax[0].role, "n")) {
        Diag *d = fail(e, x->cond->loc, ERR_rows_mixing, "`rows` needs one condition for each row: [n]");
        diag_label(d, "%s%s", type_text(e, c), from_text(e, c));
        diag_help(d, "where(c, a, b) chooses element by element");
        return poison;
    }
    Ref cond = as_bool(e, c, x->cond->loc);
    if (!cond) return poison;
    if (e->rows == (int)COUNT(e->gate)) {
        fail(e, x->loc, ERR_recursion, "`rows` inside `rows` is nested more than %d deep", (int)COUNT(e->gate));
        return poison;
    }
    e->gate[e->rows++] = cond;
    Value a = eval(e, x->value, env);
    e->rows--;
    Value b = eval(e, x->other, env);
    if (a.kind == V_POISON || b.kind == V_POISON) return poison;
    Loc locs[] = { x->cond->loc, x->value->loc, x->other->loc };
    return elementwise(e, OP_rows, 3, (Value[]){ v_tensor(e, cond, c.n, c.ax), a, b }, locs, x->loc, "rows");
}

static Value eval_kind(Elab *e, Ast *x, Env *env)
{
    switch (x->kind) {
    case E_NAME: return look_up(e, env, x->name, x->loc);
    case E_INT: return v_int(x->ival);
    case E_REAL: return v_real(x->rval);
    case E_BOOL: return v_bool(x->ival != 0);
    case E_STRING: {
        const char *s = interpolate(e, x, env);
        return s ? v_string(sym(s)) : poison;
    }
    case E_LIST: return list_expr(e, x, env);
    case E_FN: {
        Closure *c = arena_make(e->arena, Closure, 1);
        *c = (Closure){ x, x->value, &x->params, env, NULL };
        return (Value){ .kind = V_FN, .fn = c };
    }
    case E_IF: return if_expr(e, x, env);
    case E_ROWS: return rows(e, x, env);
    case E_PRECISION: {
        Precision outer = enter_precision(e, x);
        Value v = eval(e, x->value, env);
        leave_precision(e, outer);
        return v;
    }
    case E_UNARY: return unary(e, x, env);
    case E_BINARY: return binary(e, x, env);
    case E_CALL: return call(e, x, env);
    case E_INDEX: return index_expr(e, x, env);
    case E_FIELD: return field(e, x, env);
    case E_AT: return weights(e, x, env);
    case E_DRAW: return draw(e, x, env);
    case E_REARRANGE: return rearrange(e, x, env);
    default: die("no evaluation of `%s`", node_word(x->kind));
    }
}

Value eval(Elab *e, Ast *x, Env *env)
{
    if (e->stop) return poison;
    if (++e->steps > MAX_STEPS)
        stop_with(e, x->loc, ERR_compile_steps, "compile-time evaluation takes more than %d steps", MAX_STEPS);
    if (e->depth >= MAX_DEPTH) stop_with(e, x->loc, ERR_recursion, "expressions and calls are nested too deeply");
    if (e->g && e->g->n > MAX_NODES)
        stop_with(e, x->loc, ERR_graph_size, "the graph of this program has more than %d nodes", MAX_NODES);
    if (e->stop) return poison;
    e->depth++;
    Value v = eval_kind(e, x, env);
    e->depth--;
    return v;
}
