/* Values of the elaborator: constructors, texts for messages, scopes and name lookup, located errors with their trail.
   Assumes one Elab at a time; everything lives in e->arena. */
#include "compiler/elab.h"
#include <math.h>

const Value poison = { .kind = V_POISON };

Value v_int(int64_t i) { return (Value){ .kind = V_INT, .i = i }; }
Value v_real(double r) { return (Value){ .kind = V_REAL, .r = r }; }
Value v_bool(bool b) { return (Value){ .kind = V_BOOL, .b = b }; }
Value v_string(Sym s) { return (Value){ .kind = V_STRING, .s = s }; }

Value v_list(Elab *e, int n, const Value *v)
{
    Value *copy = arena_make(e->arena, Value, n);
    if (n) memcpy(copy, v, sizeof *v * (size_t)n);
    return (Value){ .kind = V_LIST, .n = n, .list = copy };
}

Value v_host(Elab *e, const char *text, int prec, bool is_int, bool is_bool)
{
    Host *h = arena_make(e->arena, Host, 1);
    *h = (Host){ text, prec, is_int, is_bool };
    return (Value){ .kind = V_RUNTIME, .host = h };
}

Value v_tensor(Elab *e, Ref r, int n, const Axis *ax)
{
    const Node *node = N(e->g, r);
    if (n < 0) return (Value){ .kind = V_TENSOR, .n = node->n_axes, .t = r, .ax = node->axes };
    bool same = n == node->n_axes;
    for (int i = 0; same && i < n; i++) same = ax[i].role == node->axes[i].role;
    if (same) return (Value){ .kind = V_TENSOR, .n = n, .t = r, .ax = node->axes };
    Axis *copy = arena_make(e->arena, Axis, n);
    if (n) memcpy(copy, ax, sizeof *ax * (size_t)n);
    return (Value){ .kind = V_TENSOR, .n = n, .t = r, .ax = copy };
}

bool is_number(Value v) { return v.kind == V_INT || v.kind == V_REAL; }
bool is_scalar(Value v) { return is_number(v) || v.kind == V_RUNTIME; }
double number(Value v) { return v.kind == V_INT ? (double)v.i : v.r; }

const Axis *value_axis(Value v, Sym role)
{
    for (int i = 0; i < v.n; i++)
        if (v.ax[i].role == role) return &v.ax[i];
    return NULL;
}

bool value_equal(Value a, Value b)
{
    if (is_number(a) && is_number(b)) return a.kind == V_INT && b.kind == V_INT ? a.i == b.i : number(a) == number(b);
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case V_BOOL: return a.b == b.b;
    case V_STRING: return a.s == b.s;
    case V_LIST:
        if (a.n != b.n) return false;
        for (int i = 0; i < a.n; i++)
            if (!value_equal(a.list[i], b.list[i])) return false;
        return true;
    default: return false;
    }
}

const char *real_text(Elab *e, double v)
{
    char buf[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, v);
        if (strtod(buf, NULL) == v) break;
    }
    return arena_strdup(e->arena, buf);
}

const char *value_text(Elab *e, Value v)
{
    switch (v.kind) {
    case V_INT: return arena_printf(e->arena, "%lld", (long long)v.i);
    case V_REAL: return real_text(e, v.r);
    case V_BOOL: return v.b ? "true" : "false";
    case V_STRING: return v.s;
    case V_RUNTIME: return v.host->text;
    case V_LIST: {
        StrBuf b = { 0 };
        sb_putc(&b, '[');
        for (int i = 0; i < v.n && i < 64; i++) sb_printf(&b, "%s%s", i ? ", " : "", value_text(e, v.list[i]));
        sb_puts(&b, v.n > 64 ? ", ...]" : "]");
        char *s = arena_strdup(e->arena, b.s);
        sb_free(&b);
        return s;
    }
    default: return type_text(e, v);
    }
}

const char *axes_text(Elab *e, int n, const Axis *ax)
{
    StrBuf b = { 0 };
    sb_putc(&b, '[');
    for (int i = 0; i < n; i++) sb_printf(&b, "%s%s:%lld", i ? ", " : "", ax[i].role, (long long)ax[i].size);
    sb_putc(&b, ']');
    char *s = arena_strdup(e->arena, b.s);
    sb_free(&b);
    return s;
}

const char *decl_word(const Ast *d)
{
    switch (d->kind) {
    case D_BLOCK: return "block";
    case D_LOSS: return "loss";
    case D_OPTIMIZER: return "optimizer";
    case D_EMA: return "ema";
    default: return "stream";
    }
}

const char *type_text(Elab *e, Value v)
{
    switch (v.kind) {
    case V_POISON: return "nothing";
    case V_INT: return arena_printf(e->arena, "the integer %lld", (long long)v.i);
    case V_REAL: return arena_printf(e->arena, "the real %s", real_text(e, v.r));
    case V_BOOL: return v.b ? "true" : "false";
    case V_STRING: return arena_printf(e->arena, "the string \"%s\"", v.s);
    case V_LIST: return arena_printf(e->arena, "a list of %d", v.n);
    case V_FN: return "a function";
    case V_BUILTIN: return arena_printf(e->arena, "the function %s", v.builtin->name);
    case V_DECL: return arena_printf(e->arena, "the %s %s", decl_word(v.decl->ast), v.decl->ast->name);
    case V_INSTANCE: return arena_printf(e->arena, "an instance of %s", v.inst->block.ast->name);
    case V_APPLIED: return arena_printf(e->arena, "the %s %s", decl_word(v.applied->decl.ast), v.applied->decl.ast->name);
    case V_DIST: return "a distribution";
    case V_RUNTIME: return arena_printf(e->arena, "the run-time scalar %s", v.host->text);
    case V_TENSOR: case V_ABSENT: return axes_text(e, v.n, v.ax);
    case V_TIMES: return "a run-time list of times";
    }
    return "?";
}

/* ---- scopes ---- */
Env *env_new(Elab *e, Env *up, FileScope *file)
{
    Env *env = arena_make(e->arena, Env, 1);
    env->up = up;
    env->file = file ? file : up->file;
    env->rows = e->rows;
    return env;
}

Binding *env_add(Elab *e, Env *env, Sym name, Value v, Loc at, bool var)
{
    for (int i = 0; i < env->n; i++)                     /* a duplicate was reported by elab_check.c: the later one wins */
        if (env->v[i].name == name) {
            env->v[i].v = v;
            return &env->v[i];
        }
    if (env->n == env->cap) {
        int cap = env->cap ? 2 * env->cap : 8;
        Binding *grown = arena_make(e->arena, Binding, cap);
        if (env->n) memcpy(grown, env->v, sizeof *grown * (size_t)env->n);
        env->v = grown;
        env->cap = cap;
    }
    env->v[env->n] = (Binding){ name, v, at, var };
    return &env->v[env->n++];
}

Binding *env_find(Env *env, Sym name, Env **where)
{
    for (; env; env = env->up)
        for (int i = env->n; i-- > 0;)
            if (env->v[i].name == name) {
                if (where) *where = env;
                return &env->v[i];
            }
    return NULL;
}

Top *top_find(FileScope *f, Sym name, bool imports)
{
    for (int i = 0; i < f->n; i++)
        if (f->top[i].name == name) return &f->top[i];
    for (int k = 0; imports && k < f->n_import; k++) {
        Top *t = top_find(f->import[k], name, false);
        if (t) return t;
    }
    return NULL;
}

Value look_up(Elab *e, Env *env, Sym name, Loc at)
{
    Env *where;
    Binding *b = env_find(env, name, &where);
    if (b) return where->rows < e->rows ? gated(e, b->v, where->rows, at) : b->v;
    Top *t = top_find(env->file, name, true);
    if (t) return top_value(e, t, at);
    if (!strcmp(name, "training")) return v_bool(e->training);
    if (!strcmp(name, "roundoff"))
        return v_real(ldexp(1, -number_info[number_in(e->g ? e->g->precision : 0, e->m->precision)].bits));
    if (!strcmp(name, "step") || !strcmp(name, "seen")) return v_host(e, name, 9, true, false);
    const Builtin *k = builtin_find(name);
    if (k) return (Value){ .kind = V_BUILTIN, .builtin = k };
    if (!diag_count()) {                                 /* elab_check.c looked at every name: it has reported this one */
        Diag *d = fail(e, at, ERR_unknown_name, "unknown name `%s`", name);
        fail_suggest(e, d, env, name);
    }
    return poison;
}

/* ---- messages ---- */
static void add_trail(Elab *e, Diag *d)
{
    int shown = 0, more = 0;
    for (Trail *t = e->trail; t; t = t->up) {
        if (shown == 6) {
            more++;
            continue;
        }
        const char *file = source_name(t->at.file), *path = t->path;
        size_t n = path ? strlen(path) : 0;
        if (n > 80) path = arena_printf(e->arena, "%.30s...%s", path, path + n - 40);
        if (n) diag_note(d, "in %s (%s), from %s:%d", path, t->what, file, t->at.line);
        else if (t->at.file) diag_note(d, "in %s, from %s:%d", t->what, file, t->at.line);
        else diag_note(d, "in %s", t->what);
        shown++;
    }
    if (more) diag_note(d, "and %d more", more);
}

Diag *fail(Elab *e, Loc at, ErrCode code, const char *fmt, ...)
{
    va_list va;
    va_start(va, fmt);
    StrBuf b = { 0 };
    char buf[512];
    int n = vsnprintf(buf, sizeof buf, fmt, va);
    va_end(va);
    sb_puts(&b, buf);
    if (n >= (int)sizeof buf) sb_puts(&b, "...");
    Diag *d = diag_error(at, code, "%s", b.s);
    sb_free(&b);
    add_trail(e, d);
    if (diag_full()) e->stop = true;
    return d;
}

void stop_with(Elab *e, Loc at, ErrCode code, const char *fmt, ...)
{
    if (e->stop) return;
    char buf[512];
    va_list va;
    va_start(va, fmt);
    vsnprintf(buf, sizeof buf, fmt, va);
    va_end(va);
    Diag *d = fail(e, at, code, "%s", buf);
    if (code == ERR_recursion) diag_help(d, "what calls itself must end: `if k > 0 { ... }` with a compile-time k");
    else diag_help(d, "loops are unrolled: make them shorter, or put a long axis into a tensor");
    e->stop = true;
}

void fail_suggest(Elab *e, Diag *d, Env *env, Sym name)
{
    const char **v = NULL;
    int n = 0, cap = 0;
    FileScope *f = env->file;
    for (Env *s = env; s; s = s->up)
        for (int i = 0; i < s->n; i++) vec_push(v, n, cap, s->v[i].name);
    for (int i = 0; i < f->n; i++) vec_push(v, n, cap, f->top[i].name);
    for (int k = 0; k < f->n_import; k++)
        for (int i = 0; i < f->import[k]->n; i++) vec_push(v, n, cap, f->import[k]->top[i].name);
    for (int i = 0; i < n_builtins; i++) vec_push(v, n, cap, builtins[i].name);
    vec_push(v, n, cap, "training");
    vec_push(v, n, cap, "roundoff");
    vec_push(v, n, cap, "step");
    vec_push(v, n, cap, "seen");
    const char *near = suggest(name, v, n);
    if (near) diag_help(d, "did you mean `%s`?", near);
    free(v);
    for (int k = 0; k < e->n_files && !near; k++)
        if (e->file[k] != f && top_find(e->file[k], name, false)) {
            diag_help(d, "%s declares it: import that file here", e->file[k]->f->path);
            return;
        }
    if (!near) diag_help(d, "declare it with `config`, `let`, `fn` or `use`, or import the file that does");
}

void set_origin(Elab *e, Loc at)
{
    e->at = at;
    if (!e->g) return;
    for (int i = 0; i < e->n_files; i++)
        if (e->file[i]->f->file == at.file) e->g->at.file = e->file[i]->shown;
    e->g->at.line = at.line;
    e->g->at.col = at.col;
    e->g->at.path = e->frame && e->frame->slot ? e->frame->slot->path : sym("");
}

const char *from_text(Elab *e, Value v)
{
    if (v.kind != V_TENSOR) return "";
    const Origin *o = &N(e->g, v.t)->at;
    if (!o->file || !o->line) return "";
    bool path = o->path && *o->path;
    return arena_printf(e->arena, "   from %s%s%s:%d", path ? o->path : "", path ? ", " : "", o->file, o->line);
}
