/* Host expressions: texts in the syntax of runtime/expr.h put together from run-time scalars and constants.
   Assumes operands are numbers, true/false or V_RUNTIME; precedences are those of AST_OPS. */
#include "compiler/elab.h"
#include <math.h>

const char *host_text(Elab *e, Value v, int prec)
{
    const char *s;
    int p = 9;
    switch (v.kind) {
    case V_INT: s = arena_printf(e->arena, "%lld", (long long)v.i); p = v.i < 0 ? 7 : 9; break;
    case V_REAL: s = real_text(e, v.r); p = signbit(v.r) ? 7 : 9; break;
    case V_BOOL: s = v.b ? "true" : "false"; break;
    default: CHECK_BUG(v.kind == V_RUNTIME); s = v.host->text; p = v.host->prec;
    }
    return p < prec ? arena_printf(e->arena, "(%s)", s) : s;
}

static bool int_valued(Value v) { return v.kind == V_INT || (v.kind == V_RUNTIME && v.host->is_int); }
static bool bool_valued(Value v) { return v.kind == V_BOOL || (v.kind == V_RUNTIME && v.host->is_bool); }

static Value made(Elab *e, const char *text, int prec, bool is_int, bool is_bool, Loc at)
{
    if (strlen(text) > MAX_HOST) {
        stop_with(e, at, ERR_compile_steps, "a run-time expression grows past %d characters", MAX_HOST);
        return poison;
    }
    return v_host(e, text, prec, is_int, is_bool);
}

Value host_binary(Elab *e, OpKind op, Value a, Value b, Loc at)
{
    int p = op_prec(op);
    bool logic = op == OP_AND || op == OP_OR, compare = p == 3;
    if (logic != bool_valued(a) || logic != bool_valued(b)) {
        if (!(compare && (op == OP_EQ || op == OP_NE) && bool_valued(a) == bool_valued(b))) {
            Diag *d = fail(e, at, ERR_bad_operand, "`%s` does not take these operands", op_text(op));
            diag_label(d, "%s and %s", type_text(e, a), type_text(e, b));
            return poison;
        }
    }
    bool ints = int_valued(a) && int_valued(b) && (op == OP_ADD || op == OP_SUB || op == OP_MUL);
    int left = op == OP_POW || compare ? p + 1 : p, right = op == OP_POW ? 7 : p + 1;
    const char *s = op == OP_POW ? arena_printf(e->arena, "%s^%s", host_text(e, a, left), host_text(e, b, right))
                                 : arena_printf(e->arena, "%s %s %s", host_text(e, a, left), op_text(op), host_text(e, b, right));
    return made(e, s, p, ints || op == OP_FLOORDIV, logic || compare, at);
}

Value host_unary(Elab *e, OpKind op, Value a, Loc at)
{
    if ((op == OP_NOT) != bool_valued(a)) {
        Diag *d = fail(e, at, ERR_bad_operand, "`%s` does not take this operand", op_text(op));
        diag_label(d, "%s", type_text(e, a));
        return poison;
    }
    return made(e, arena_printf(e->arena, "%s%s", op_text(op), host_text(e, a, 7)), 7, int_valued(a), op == OP_NOT, at);
}

Value host_call(Elab *e, const char *name, int n, const Value *a, Loc at)
{
    StrBuf b = { 0 };
    sb_printf(&b, "%s(", name);
    bool ints = true;
    for (int i = 0; i < n; i++) {
        if (bool_valued(a[i])) {
            Diag *d = fail(e, at, ERR_bad_operand, "`%s` takes numbers", name);
            diag_label(d, "%s", type_text(e, a[i]));
            sb_free(&b);
            return poison;
        }
        ints = ints && int_valued(a[i]);
        sb_printf(&b, "%s%s", i ? ", " : "", host_text(e, a[i], 0));
    }
    sb_putc(&b, ')');
    const char *s = arena_strdup(e->arena, b.s);
    sb_free(&b);
    bool to_int = !strcmp(name, "floor") || !strcmp(name, "ceil") || !strcmp(name, "round") || !strcmp(name, "sign");
    bool keeps = !strcmp(name, "min") || !strcmp(name, "max") || !strcmp(name, "abs");
    return made(e, s, 9, to_int || (keeps && ints), false, at);
}

Value host_if(Elab *e, Value c, Value a, Value b, Loc at)
{
    if (bool_valued(a) != bool_valued(b)) {
        Diag *d = fail(e, at, ERR_bad_operand, "the two arms of `if` differ in kind");
        diag_label(d, "%s and %s", type_text(e, a), type_text(e, b));
        return poison;
    }
    const char *s = arena_printf(e->arena, "if %s { %s } else { %s }", host_text(e, c, 0), host_text(e, a, 0),
                                 host_text(e, b, 0));
    return made(e, s, 0, int_valued(a) && int_valued(b), bool_valued(a), at);
}

int scalar_slot(Elab *e, const char *text)
{
    Module *m = e->m;
    for (int i = 0; i < m->n_scalars; i++)
        if (!strcmp(m->scalars[i].expr, text)) return i;
    vec_push(m->scalars, m->n_scalars, e->scalars_cap, (Scalar){ arena_strdup(m->arena, text) });
    return m->n_scalars - 1;
}

RuntimeVar *find_runtime(Elab *e, Sym name)
{
    for (int i = 0; i < e->m->n_runtime; i++)
        if (e->m->runtime[i].name == name) return &e->m->runtime[i];
    return NULL;
}

void add_runtime(Elab *e, Sym name, bool is_int, const char *expr, Loc at, FileScope *file)
{
    RuntimeVar r = { name, is_int, arena_strdup(e->m->arena, expr), { file->shown, at.line, at.col, sym("") } };
    RuntimeVar *old = find_runtime(e, name);
    if (old) *old = r;
    else vec_push(e->m->runtime, e->m->n_runtime, e->runtime_cap, r);
}
