/* File-level names: scopes of files, imports, configs and -D, run-time scalars, instances declared at file level.
   Assumes files come imports first, the main file last. A file may give what it imports other defaults. */
#include "compiler/elab.h"
#include <errno.h>
#include <math.h>

static void add_top(FileScope *f, TopKind kind, Ast *ast)
{
    Top t = { .kind = kind, .name = ast->name, .ast = ast, .at = ast->name_loc, .file = f };
    vec_push(f->top, f->n, f->cap, t);
}

static void add_tops(FileScope *f)
{
    for (int i = 0; i < f->f->decls.n; i++) {
        Ast *d = f->f->decls.v[i];
        switch (d->kind) {
        case D_CONFIG: for (int k = 0; k < d->items.n; k++) add_top(f, TOP_CONFIG, d->items.v[k]); break;
        case D_STREAM: for (int k = 0; k < d->items.n; k++) add_top(f, TOP_STREAM, d->items.v[k]); break;
        case D_USE: for (int k = 0; k < d->items.n; k++) add_top(f, TOP_USE, d->items.v[k]); break;
        case D_RUNTIME: for (int k = 0; k < d->items.n; k++) add_top(f, TOP_RUNTIME, d->items.v[k]); break;
        case D_FN: add_top(f, TOP_FN, d); break;
        case D_BLOCK: case D_LOSS: case D_OPTIMIZER: case D_EMA: add_top(f, TOP_DECL, d); break;
        default: break;
        }
    }
}

static bool settable(const Top *t) { return t->kind == TOP_CONFIG || t->kind == TOP_RUNTIME; }

static void link_imports(Elab *e, FileScope *f)
{
    f->import = arena_make(e->arena, FileScope *, f->f->imports.n);
    for (int i = 0; i < f->f->imports.n; i++)
        for (int k = 0; k < e->n_files; k++)
            if (e->file[k]->f->module == f->f->imports.v[i]->name && e->file[k] != f) {
                f->import[f->n_import++] = e->file[k];
                break;
            }
    for (int i = 0; i < f->n_import; i++)
        for (int k = 0; k < f->import[i]->n; k++) {
            Top *t = &f->import[i]->top[k], *own = top_find(f, t->name, false);
            if (own && own->kind == t->kind && settable(t)) t->by = own;
            for (int j = 0; !own && j < i; j++) {
                Top *other = top_find(f->import[j], t->name, false);
                if (!other) continue;
                Diag *d = diag_error(f->f->imports.v[i]->loc, ERR_import_clash, "two imported files declare `%s`", t->name);
                diag_span(d, other->at, "here");
                diag_span(d, t->at, "and here");
                diag_help(d, "import one of the files, or rename");
            }
        }
}

bool make_scopes(Elab *e, const FileList *files)
{
    e->n_files = files->n;
    e->file = arena_make(e->arena, FileScope *, files->n);
    for (int i = 0; i < files->n; i++) {
        File *file = files->v[i];
        FileScope *f = e->file[i] = arena_make(e->arena, FileScope, 1);
        const char *base = strrchr(file->path, '/');
        f->f = file;
        f->std = file->module && !strncmp(file->module, "std.", 4);
        f->shown = sym(f->std || !base ? file->path : base + 1);
        f->main = i == files->n - 1;
        f->env = arena_make(e->arena, Env, 1);
        f->env->file = f;
        add_tops(f);
    }
    for (int i = 0; i < files->n; i++) link_imports(e, e->file[i]);
    e->main = files->n ? e->file[files->n - 1] : NULL;
    return files->n > 0;
}

/* ---- -D ---- */
static bool read_int(const char *s, int64_t *v)
{
    char *end;
    errno = 0;
    *v = strtoll(s, &end, 10);
    return *s && !*end && !errno;
}

static bool read_real(const char *s, double *v)
{
    char *end;
    *v = strtod(s, &end);
    return *s && !*end && isfinite(*v);
}

static Value read_word(const char *s)
{
    int64_t i;
    double r;
    if (read_int(s, &i)) return v_int(i);
    if (read_real(s, &r)) return v_real(r);
    size_t n = strlen(s);
    if (n >= 2 && s[0] == '"' && s[n - 1] == '"') return v_string(symn(s + 1, n - 2));
    return *s ? v_string(sym(s)) : poison;
}

static Value read_list(Elab *e, const char *s, Value like)
{
    size_t n = strlen(s);
    if (n < 2 || s[0] != '[' || s[n - 1] != ']') return poison;
    char *text = arena_strndup(e->arena, s + 1, n - 2), *p = text;
    Value *v = arena_make(e->arena, Value, n);
    int k = 0;
    while (*p || k) {
        char *comma = strchr(p, ',');
        if (comma) *comma = 0;
        while (*p == ' ') p++;
        size_t len = strlen(p);
        while (len && p[len - 1] == ' ') p[--len] = 0;
        v[k] = read_word(p);
        ValueKind want = like.n ? like.list[0].kind : v[k].kind;
        if (v[k].kind == V_POISON || (v[k].kind != want && !(want == V_REAL && v[k].kind == V_INT))) return poison;
        k++;
        if (!comma) break;
        p = comma + 1;
    }
    return v_list(e, k, v);
}

/* The value of a -D text for a config with this default; poison when it does not fit. */
static Value read_define(Elab *e, const char *s, Value like)
{
    int64_t i;
    double r;
    switch (like.kind) {
    case V_INT: return read_int(s, &i) ? v_int(i) : poison;
    case V_REAL: return read_real(s, &r) ? v_real(r) : poison;
    case V_BOOL: return !strcmp(s, "true") ? v_bool(true) : !strcmp(s, "false") ? v_bool(false) : poison;
    case V_STRING: return v_string(sym(s));
    case V_LIST: return read_list(e, s, like);
    default: return poison;
    }
}

static const char *kind_word(ValueKind k)
{
    switch (k) {
    case V_INT: return "an integer";
    case V_REAL: return "a real";
    case V_BOOL: return "true or false";
    case V_LIST: return "a list like [1, 2]";
    default: return "a string";
    }
}

static bool allowed(const Ast *type, Value v)
{
    if (!type || type->kind != T_CHOICE) return true;
    for (int i = 0; i < type->items.n; i++)
        if (v.kind == V_STRING && !strcmp(type->items.v[i]->text, v.s)) return true;
    return false;
}

static Value config_value(Elab *e, Top *t, const Ast *type)
{
    Value v = eval_const(e, t->ast->value, t->file->env, "a config");
    if (v.kind == V_POISON) return v;
    if (type && type->kind == T_NAME) v = bind_named(e, t->ast, v, true, t->ast->value->loc);
    if (v.kind == V_POISON) return v;
    if (v.kind != V_INT && v.kind != V_REAL && v.kind != V_BOOL && v.kind != V_STRING && v.kind != V_LIST) {
        Diag *d = fail(e, t->ast->value->loc, ERR_config_value,
                       "a config is a number, a string, true or false, or a list of these");
        diag_label(d, "%s", type_text(e, v));
        return poison;
    }
    Loc at = t->ast->value->loc;
    const char *given = NULL;
    for (int i = 0; i < e->n_defines; i++)
        if (!strcmp(e->defines[i].name, t->name)) given = e->defines[i].value;
    if (given) {
        Value set = read_define(e, given, v);
        if (set.kind == V_POISON) {
            Diag *d = fail(e, t->at, ERR_config_value, "-D %s=%s: `%s` is %s", t->name, given, t->name, kind_word(v.kind));
            diag_label(d, "default %s", value_text(e, v));
            diag_help(d, "write -D %s=%s", t->name, v.kind == V_LIST ? "'[1, 2]'" : value_text(e, v));
            return poison;
        }
        v = set;
        at = t->at;
    }
    if (!allowed(type, v)) {
        Diag *d = fail(e, at, ERR_config_value, "`%s` cannot be \"%s\"", t->name, value_text(e, v));
        diag_span(d, type->loc, "one of these");
        diag_help(d, "choose one of the listed values");
        return poison;
    }
    return v;
}

void eval_configs(Elab *e)
{
    for (int i = 0; i < e->n_defines; i++) {
        const char *names[512];
        int n = 0;
        bool found = false;
        for (int k = 0; k < e->n_files; k++)
            for (int j = 0; j < e->file[k]->n; j++) {
                Top *t = &e->file[k]->top[j];
                if (t->kind != TOP_CONFIG) continue;
                found = found || !strcmp(t->name, e->defines[i].name);
                if (n < 512) names[n++] = t->name;
            }
        for (int k = 0; k < i; k++)
            if (!strcmp(e->defines[k].name, e->defines[i].name))
                fail(e, LOC_NONE, ERR_config_value, "-D %s is given twice", e->defines[i].name);
        if (found) continue;
        Diag *d = fail(e, LOC_NONE, ERR_unknown_config, "-D %s=%s: the model has no config `%s`", e->defines[i].name,
                       e->defines[i].value,
                       e->defines[i].name);
        const char *near = suggest(e->defines[i].name, names, n);
        if (near) diag_help(d, "did you mean `-D %s=%s`?", near, e->defines[i].value);
        else diag_help(d, "the `config` lines of the model name what -D can set");
    }
    Module *m = e->m;
    int cap = 0;
    for (int k = 0; k < e->n_files; k++)
        for (int j = 0; j < e->file[k]->n; j++) {
            Top *t = &e->file[k]->top[j];
            if (t->kind != TOP_CONFIG) continue;
            Value v = top_value(e, t, t->at);
            if (t->by || v.kind == V_POISON) continue;
            if (m->n_config == cap) {
                cap = cap ? 2 * cap : 16;
                m->config = xrealloc(m->config, (size_t)cap * sizeof *m->config);
            }
            m->config[m->n_config].name = t->name;
            m->config[m->n_config++].value = arena_strdup(m->arena, value_text(e, v));
        }
}

/* ---- values of file-level names ---- */
static Value runtime_value(Elab *e, Top *t)
{
    const Ast *b = t->ast;
    if (!strcmp(t->name, "step") || !strcmp(t->name, "seen")) {
        fail(e, t->at, ERR_duplicate_name, "`%s` is a run-time scalar of every model", t->name);
        return poison;
    }
    bool is_int = b->type && b->type->kind == T_NAME && !strcmp(b->type->name, "int");
    Value v = eval(e, b->value, t->file->env);
    if (v.kind == V_POISON) return v;
    if (b->type) v = bind_named(e, b, v, false, b->value->loc);
    if (v.kind == V_POISON) return v;
    if (!is_scalar(v) || (v.kind == V_RUNTIME && v.host->is_bool)) {
        Diag *d = fail(e, b->value->loc, ERR_type_mismatch, "a run-time scalar is a number");
        diag_label(d, "%s", type_text(e, v));
        return poison;
    }
    add_runtime(e, t->name, is_int, host_text(e, v, 0), t->at, t->file);
    return v_host(e, t->name, 9, is_int, false);
}

static Value first_value(Elab *e, Top *t, Loc at)
{
    switch (t->kind) {
    case TOP_CONFIG: {
        const Ast *type = t->ast->type;
        for (int k = 0; !type && k < t->file->n_import; k++) {           /* a new default keeps the list of allowed values */
            Top *old = top_find(t->file->import[k], t->name, false);
            if (old && old->by == t) type = old->ast->type;
        }
        return config_value(e, t, type);
    }
    case TOP_RUNTIME: return runtime_value(e, t);
    case TOP_DECL: {
        Decl *d = arena_make(e->arena, Decl, 1);
        *d = (Decl){ t->file, t->ast };
        return (Value){ .kind = V_DECL, .decl = d };
    }
    case TOP_FN: {
        Closure *c = arena_make(e->arena, Closure, 1);
        *c = (Closure){ t->ast, t->ast->value, &t->ast->params, t->file->env, t->name };
        return (Value){ .kind = V_FN, .fn = c };
    }
    case TOP_STREAM: {
        Diag *d = fail(e, at, ERR_unknown_stream, "stream `%s` is no value", t->name);
        diag_help(d, "it stands after `from`: normal like x from %s", t->name);
        return poison;
    }
    case TOP_USE:
        fail(e, at, ERR_unset_name, "instance `%s` cannot be used here", t->name);
        return poison;
    }
    return poison;
}

Value top_value(Elab *e, Top *t, Loc at)
{
    if (t->by) return top_value(e, t->by, at);
    if (t->state == 2) return t->v;
    if (t->state == 1) {
        Diag *d = fail(e, at, ERR_unset_name, "`%s` is needed for its own value", t->name);
        diag_span(d, t->at, "declared here");
        diag_help(d, "break the circle: give one of the names a value of its own");
        return poison;
    }
    t->state = 1;
    Value v = first_value(e, t, at);
    t->state = t->kind == TOP_STREAM || t->kind == TOP_USE ? 0 : 2;
    return t->v = v;
}

void declare_runtimes(Elab *e)
{
    for (int k = 0; k < e->n_files; k++)
        for (int j = 0; j < e->file[k]->n; j++)
            if (e->file[k]->top[j].kind == TOP_RUNTIME) top_value(e, &e->file[k]->top[j], e->file[k]->top[j].at);
}

void declare_uses(Elab *e)
{
    for (int k = 0; k < e->n_files; k++)
        for (int j = 0; j < e->file[k]->n; j++) {
            Top *t = &e->file[k]->top[j];
            if (t->kind != TOP_USE) continue;
            Env *env = env_new(e, e->file[k]->env, NULL);
            exec_use(e, t->ast, env);
            Binding *b = env_find(env, t->name, NULL);
            t->v = b ? b->v : poison;
            t->state = 2;
        }
}
