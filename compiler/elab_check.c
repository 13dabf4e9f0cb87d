/* What can be judged on the text alone, whichever arm of an `if` is taken: unknown, unused names, hiding, places of statements.
   Assumes scopes of files exist (make_scopes); marks the file-level names that are used. */
#include "compiler/elab.h"

typedef enum { IN_BLOCK = 1, IN_LOSS = 2, IN_SAMPLE = 4, IN_OPTIMIZER = 8 } Context;
typedef struct { Sym name; Loc at; const char *what; bool used; } Local;     /* what NULL: may stay unused */
typedef struct {
    Elab *e;
    FileScope *f;
    Local *v; int n, cap;
    const Ast *body[64]; int depth;  /* bodies around, for names that are declared later */
    int unused;                      /* how many were reported */
    Context context;
} Check;

static void expr(Check *c, const Ast *x);

/* ---- names ---- */
static void declare(Check *c, Sym name, Loc at, const char *what)
{
    for (int i = 0; i < c->n; i++)
        if (c->v[i].name == name) {
            Diag *d = diag_error(at, ERR_duplicate_name, "`%s` is declared already", name);
            diag_span(d, c->v[i].at, "here");
            diag_help(d, "inside a block a name has one meaning; `var` may be given new values");
            return;
        }
    vec_push(c->v, c->n, c->cap, ((Local){ name, at, what, false }));
}

static void close_scope(Check *c, int mark)
{
    for (int i = mark; i < c->n; i++)
        if (!c->v[i].used && c->v[i].what) {
            Diag *d = diag_error(c->v[i].at, ERR_unused, "%s `%s` is never read", c->v[i].what, c->v[i].name);
            if (!strcmp(c->v[i].what, "size name")) diag_help(d, "without `:%s` the size is not checked", c->v[i].name);
            else diag_help(d, "use it or remove it");
            c->unused++;
        }
    c->n = mark;
}

static bool special(Sym name)
{
    return !strcmp(name, "training") || !strcmp(name, "roundoff") || !strcmp(name, "step") || !strcmp(name, "seen");
}

static Top *use_top(FileScope *f, Sym name)
{
    Top *t = top_find(f, name, false);
    for (int k = 0; !t && k < f->n_import; k++) {
        t = top_find(f->import[k], name, false);
        if (t && k < 64) f->used_imports |= UINT64_C(1) << k;
    }
    for (Top *u = t; u; u = u->by) u->used = true;
    return t;
}

static Local *find_local(Check *c, Sym name)
{
    for (int i = c->n; i-- > 0;)
        if (c->v[i].name == name) return &c->v[i];
    return NULL;
}

static const Ast *declares(const Ast *s, Sym name)
{
    NodeKind k = s->kind;
    bool binds = k == S_LET || k == S_VAR || k == S_CONST || k == S_USE || k == S_STATE || k == S_RUNTIME;
    if (s->kind == S_PARAM && s->name == name) return s;
    for (int i = 0; binds && i < s->items.n; i++)
        if (s->items.v[i]->name == name) return s->items.v[i];
    return NULL;
}

static void unknown(Check *c, Sym name, Loc at)
{
    for (int i = c->depth; i-- > 0;)
        for (int k = 0; k < c->body[i]->items.n; k++) {
            const Ast *b = declares(c->body[i]->items.v[k], name);
            if (!b) continue;
            Diag *d = diag_error(at, ERR_unset_name, "`%s` is read before it is set", name);
            diag_span(d, b->name_loc, "set here");
            diag_help(d, "move its declaration up");
            return;
        }
    Env env = { .file = c->f };
    for (int i = 0; i < c->n; i++) env_add(c->e, &env, c->v[i].name, poison, c->v[i].at, false);
    Diag *d = diag_error(at, ERR_unknown_name, "unknown name `%s`", name);
    fail_suggest(c->e, d, &env, name);
}

static void read_name(Check *c, Sym name, Loc at)
{
    Local *l = find_local(c, name);
    if (l) l->used = true;
    else if (!use_top(c->f, name) && !builtin_find(name) && !special(name)) unknown(c, name, at);
}

static void read_stream(Check *c, Sym name, Loc at)
{
    Top *t = use_top(c->f, name);
    if (t && t->kind == TOP_STREAM) return;
    Diag *d = diag_error(at, ERR_unknown_stream, "there is no stream `%s`", name);
    diag_help(d, "`stream %s` at file level declares one", name);
}

/* ---- types and parameters ---- */
static void sizes(Check *c, const Ast *type, bool bind)
{
    for (int i = 0; i < type->items.n; i++) {
        const Ast *a = type->items.v[i], *s = a->value;
        for (int k = 0; k < i; k++)
            if (type->items.v[k]->name == a->name) {
                Diag *d = diag_error(a->name_loc, ERR_duplicate_role, "axis `%s` appears twice", a->name);
                diag_span(d, type->items.v[k]->name_loc, "here");
                diag_help(d, "axes are told apart by their roles: give each its own");
            }
        for (int k = 0; k < a->items.n; k++)
            if (a->items.v[k]->value) expr(c, a->items.v[k]->value);
        if (!s) continue;
        bool is_new = bind && s->kind == E_NAME && !find_local(c, s->name) && !top_find(c->f, s->name, true)
                && !builtin_find(s->name) && !special(s->name);
        if (is_new) declare(c, s->name, s->loc, "size name");
        else expr(c, s);
    }
}

static void params(Check *c, const NodeList *list, const char *what)
{
    for (int i = 0; i < list->n; i++)
        if (list->v[i]->type && list->v[i]->type->kind == T_TENSOR) sizes(c, list->v[i]->type, true);
    for (int i = 0; i < list->n; i++) {
        if (list->v[i]->value) expr(c, list->v[i]->value);
        declare(c, list->v[i]->name, list->v[i]->name_loc, what);
    }
}

/* ---- expressions ---- */
static bool names_builtin(Check *c, const Ast *x)
{
    return x->kind == E_NAME && !find_local(c, x->name) && !top_find(c->f, x->name, true) && builtin_find(x->name);
}

static void index_items(Check *c, const Ast *x, bool roles)
{
    for (int i = 0; i < x->items.n; i++) {
        const Ast *ix = x->items.v[i];
        if (ix->kind == IX_AS) continue;
        if (ix->value && !((ix->kind == IX_EXPR || ix->kind == IX_COLON) && roles)) expr(c, ix->value);
        if (ix->other) expr(c, ix->other);
    }
}

static void named_precision(const Ast *x)
{
    const char *name[N_NUMBERS];
    if (number_named(x->name) != N_NUMBERS) return;
    for (int i = 0; i < N_NUMBERS; i++) name[i] = number_info[i].name;
    Diag *d = diag_error(x->name_loc, ERR_unknown_precision, "there is no precision `%s`", x->name);
    const char *near = suggest(x->name, name, N_NUMBERS);
    if (near) diag_help(d, "did you mean `%s`?", near);
    else diag_help(d, "there are `f32`, `tf32`, `bf16` and `f16`");
}

static void expr(Check *c, const Ast *x)
{
    switch (x->kind) {
    case E_PRECISION:
        named_precision(x);
        expr(c, x->value);
        break;
    case E_NAME: read_name(c, x->name, x->loc); break;
    case E_STRING: case E_LIST:
        for (int i = 0; i < x->items.n; i++) expr(c, x->items.v[i]);
        break;
    case E_FN: {
        int mark = c->n;
        params(c, &x->params, NULL);             /* a function without name is given to others, who decide its parameters */
        expr(c, x->value);
        close_scope(c, mark);
        break;
    }
    case E_INDEX:
        expr(c, x->value);
        index_items(c, x, names_builtin(c, x->value));
        break;
    case E_DRAW:
        if (x->value->kind == E_INDEX) {
            expr(c, x->value->value);
            index_items(c, x->value, true);
        } else expr(c, x->value);
        if (x->like) expr(c, x->like);
        read_stream(c, x->name, x->name_loc);
        break;
    case E_REARRANGE:
        expr(c, x->value);
        sizes(c, x->type, false);
        sizes(c, x->to, false);
        break;
    case E_CALL:
        expr(c, x->value);
        for (int i = 0; i < x->items.n; i++) {
            const Ast *a = x->items.v[i];
            expr(c, a->kind == ARG_BY ? a->other : a->value);
        }
        break;
    default:
        if (x->cond) expr(c, x->cond);
        if (x->value) expr(c, x->value);
        if (x->other) expr(c, x->other);
    }
}

/* ---- statements ---- */
static void out_of_place(Check *c, const Ast *s, bool top)
{
    static const struct { NodeKind kind; const char *word; int where; const char *belongs; } rule[] = {
        { S_USE, "use", IN_BLOCK, "blocks and files" }, { S_PARAM, "param", IN_BLOCK, "blocks" },
        { S_RETURN, "return", IN_BLOCK | IN_LOSS | IN_SAMPLE, "blocks, `loss` and `sample`" },
        { S_REPORT, "report", IN_LOSS, "`loss`" },
        { S_SHARE, "share", IN_BLOCK | IN_LOSS | IN_SAMPLE, "blocks, `loss` and `sample`" },
        { S_PRECISION, "precision", IN_BLOCK | IN_LOSS | IN_SAMPLE, "blocks, `loss` and `sample`" },
        { S_EACH, "each", IN_SAMPLE, "the top level of `sample`" }, { S_STATE, "state", IN_OPTIMIZER, "`optimizer` and `ema`" },
        { S_RUNTIME, "runtime", IN_OPTIMIZER, "files, `optimizer` and `ema`" },
        { S_UPDATE, ":=", IN_OPTIMIZER, "`optimizer` and `ema`" },
    };
    for (size_t i = 0; i < COUNT(rule); i++)
        if (rule[i].kind == s->kind && (!(rule[i].where & c->context) || (s->kind == S_EACH && !top))) {
            Diag *d = diag_error(s->loc, ERR_statement_place, "`%s` does not belong here", rule[i].word);
            diag_help(d, "it belongs in %s", rule[i].belongs);
        }
}

static bool body(Check *c, const Ast *b, bool top);

static void binds(Check *c, const Ast *s, const char *what)
{
    for (int i = 0; i < s->items.n; i++) {
        const Ast *b = s->items.v[i];
        if (b->type && b->type->kind == T_TENSOR) sizes(c, b->type, true);
        if (b->value) expr(c, b->value);
        if (b->as) expr(c, b->as);
        declare(c, b->name, b->name_loc, what);
    }
}

static bool inner(Check *c, const Ast *b)
{
    int mark = c->n;
    bool returns = b->kind == S_IF ? false : body(c, b, false);
    close_scope(c, mark);
    return returns;
}

/* True when the statement returns on every path. */
static bool statement(Check *c, const Ast *s, bool top)
{
    out_of_place(c, s, top);
    switch (s->kind) {
    case S_LET: binds(c, s, "value"); return false;
    case S_VAR: binds(c, s, "variable"); return false;
    case S_CONST: binds(c, s, "constant"); return false;
    case S_USE: binds(c, s, "instance"); return false;
    case S_STATE: binds(c, s, "state"); return false;
    case S_RUNTIME: binds(c, s, "run-time scalar"); return false;
    case S_PARAM:
        expr(c, s->value);
        sizes(c, s->type, false);
        declare(c, s->name, s->name_loc, "parameter");
        return false;
    case S_RETURN: expr(c, s->value); return true;
    case S_IF: {
        expr(c, s->cond);
        bool a = inner(c, s->body);
        bool b = !s->other ? false : s->other->kind == S_IF ? statement(c, s->other, false) : inner(c, s->other);
        return a && b;
    }
    case S_FOR: case S_EACH: {
        int mark = c->n;
        expr(c, s->value);
        if (s->items.n > 2) diag_error(s->items.v[2]->loc, ERR_not_iterable, "`for` gives an index and an element, no more");
        for (int i = 0; i < s->items.n; i++) declare(c, s->items.v[i]->name, s->items.v[i]->loc, NULL);
        if (s->kind == S_EACH) declare(c, s->name, s->name_loc, NULL);
        body(c, s->body, false);
        close_scope(c, mark);
        return false;
    }
    case S_SHARE: read_stream(c, s->name, s->name_loc); return body(c, s->body, false);
    case S_PRECISION: named_precision(s); return body(c, s->body, false);
    default:
        if (s->value) expr(c, s->value);
        return false;
    }
}

static bool body(Check *c, const Ast *b, bool top)
{
    bool returns = false, told = false, deep = c->depth < (int)COUNT(c->body);
    if (deep) c->body[c->depth++] = b;
    for (int i = 0; i < b->items.n; i++) {
        if (returns && !told) {
            diag_help(diag_error(b->items.v[i]->loc, ERR_unreachable, "this can never run: everything returned before"),
                      "remove it, or return later");
            told = true;
        }
        returns = statement(c, b->items.v[i], top) || returns;
    }
    if (deep) c->depth--;
    return returns;
}

static void whole_body(Check *c, const Ast *d, Context context, const char *word)
{
    c->context = context;
    int mark = c->n;
    bool returns = body(c, d->body, true);
    close_scope(c, mark);
    if (returns || context == IN_OPTIMIZER) return;
    Diag *g = diag_error(d->name ? d->name_loc : d->loc, ERR_missing_return, "%s%s%s%s does not return on every path", word,
                         d->name ? " `" : "", d->name ? d->name : "",
                         d->name ? "`" : "");
    diag_help(g, "end it with `return`");
}

/* ---- declarations ---- */
static void declaration(Check *c, const Ast *d)
{
    c->n = 0;
    switch (d->kind) {
    case D_CONFIG: case D_RUNTIME: case D_USE:
        for (int i = 0; i < d->items.n; i++) {
            expr(c, d->items.v[i]->value);
            if (d->items.v[i]->as) expr(c, d->items.v[i]->as);
        }
        break;
    case D_FN:
        params(c, &d->params, "parameter");
        expr(c, d->value);
        break;
    case D_BLOCK:
        params(c, &d->cparams, "parameter");
        params(c, &d->params, "parameter");
        sizes(c, d->type, false);
        whole_body(c, d, IN_BLOCK, "block");
        break;
    case D_LOSS:
        params(c, &d->params, "parameter");
        sizes(c, d->type, false);
        whole_body(c, d, IN_LOSS, "loss");
        break;
    case D_PROGRAM:
        params(c, &d->params, "input");
        expr(c, d->value);
        break;
    case D_TRAIN:
        for (int i = 0; i < d->items.n; i++) {
            if (d->items.v[i]->kind == TRAIN_MINIMIZE || !d->items.v[i]->value) continue;
            expr(c, d->items.v[i]->value);
            if (d->items.v[i]->as) expr(c, d->items.v[i]->as);
        }
        params(c, &d->params, "input");
        for (int i = 0; i < d->items.n; i++)
            if (d->items.v[i]->kind == TRAIN_MINIMIZE) expr(c, d->items.v[i]->value);
        break;
    case D_SAMPLE:
        params(c, &d->params, "input");
        whole_body(c, d, IN_SAMPLE, "sample");
        break;
    case D_OPTIMIZER: case D_EMA:
        params(c, &d->params, "parameter");
        for (int i = 0; i < d->items.n; i++) declare(c, d->items.v[i]->name, d->items.v[i]->loc, NULL);
        whole_body(c, d, IN_OPTIMIZER, d->kind == D_EMA ? "ema" : "optimizer");
        break;
    default: break;
    }
    close_scope(c, 0);
}

static bool runs_something(const FileScope *f)
{
    for (int i = 0; i < f->f->decls.n; i++) {
        NodeKind k = f->f->decls.v[i]->kind;
        if (k == D_PROGRAM || k == D_TRAIN || k == D_SAMPLE) return true;
    }
    return false;
}

static const char *top_word(const Top *t)
{
    switch (t->kind) {
    case TOP_CONFIG: return "config";
    case TOP_STREAM: return "stream";
    case TOP_FN: return "function";
    case TOP_USE: return "instance";
    case TOP_RUNTIME: return "run-time scalar";
    default: return decl_word(t->ast);
    }
}

static void unused_tops(FileScope *f)
{
    for (int i = 0; i < f->n; i++)
        if (!f->top[i].used)
            diag_help(diag_error(f->top[i].at, ERR_unused, "%s `%s` is never used", top_word(&f->top[i]), f->top[i].name),
                      "use it or remove it");
    for (int k = 0; k < f->n_import && k < 64; k++) {
        bool used = f->used_imports >> k & 1 || runs_something(f->import[k]);
        const Ast *path = f->f->imports.v[k];
        if (!used) diag_help(diag_error(path->loc, ERR_unused, "nothing of `%s` is used", path->name), "remove the import");
    }
}

void check_text(Elab *e)
{
    Check c = { .e = e };
    for (int i = 0; i < e->n_files; i++) {
        FileScope *f = c.f = e->file[i];
        for (int k = 0; k < f->n; k++) {
            Top *first = top_find(f, f->top[k].name, false);
            if (first == &f->top[k]) continue;
            Diag *d = diag_error(f->top[k].at, ERR_duplicate_name, "`%s` is declared already", first->name);
            diag_span(d, first->at, "here");
            diag_help(d, "rename one of them");
        }
        for (int k = 0; k < f->f->decls.n; k++) declaration(&c, f->f->decls.v[k]);
    }
    bool runs = runs_something(e->main);
    for (int k = 0; k < e->main->n_import; k++) runs = runs || runs_something(e->main->import[k]);
    if (runs && diag_count() == c.unused) unused_tops(e->main);          /* after other mistakes, much would only seem unused */
    free(c.v);
}
