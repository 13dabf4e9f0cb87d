/* Statements, applications of blocks, their parameters and random draws.
   Assumes e->frame is the application being executed; slots outlive programs, frames do not. */
#include "compiler/elab.h"

void enter(Elab *e, Trail *t, Sym what, Sym path, Loc at)
{
    *t = (Trail){ e->trail, what, path, at };
    e->trail = t;
    if (++e->calls > MAX_CALLS) {
        Trail *full = e->trail;
        e->trail = full->up;                         /* the call that is one too many is the error's place */
        stop_with(e, at, ERR_recursion, "recursion without end: calls are nested more than %d deep", MAX_CALLS);
        e->trail = full;
    }
}

void leave(Elab *e)
{
    e->trail = e->trail->up;
    e->calls--;
}

static Sym join_path(Elab *e, Sym a, Sym b)
{
    if (!*a) return b;
    return *b ? sym(arena_printf(e->arena, "%s.%s", a, b)) : a;
}

/* ---- statements ---- */
static void bind(Elab *e, const Ast *b, Env *env, bool var, bool constant)
{
    Value v = constant ? eval_const(e, b->value, env, "a `const`") : eval(e, b->value, env);
    if (b->type && b->type->kind == T_TENSOR) v = bind_type(e, "value", b->name, b->type, v, env, NULL, b->value->loc);
    else if (b->type) v = bind_named(e, b, v, constant, b->value->loc);
    env_add(e, env, b->name, v, b->name_loc, var);
}

static void assign(Elab *e, const Ast *s, Env *env)
{
    Value v = eval(e, s->value, env);
    Env *where;
    Binding *b = env_find(env, s->name, &where);
    if (!b || !b->var) {
        Diag *d = fail(e, s->name_loc, ERR_cannot_assign, b ? "`%s` is no `var`" : "there is no `var` called `%s`", s->name);
        if (b) diag_span(d, b->at, "declared here");
        diag_help(d, "var %s = ... declares a name that may be given new values", s->name);
        return;
    }
    b->v = v;
}

static bool loop(Elab *e, const Ast *s, Env *env, Value *ret)
{
    Value v = eval_const(e, s->value, env, "what `for` runs over");
    if (v.kind == V_POISON) return false;
    if (v.kind != V_LIST) {
        Diag *d = fail(e, s->value->loc, ERR_not_iterable, "`for` runs over a list or a range a..b");
        diag_label(d, "%s", type_text(e, v));
        if (v.kind == V_INT) diag_help(d, "0..%lld counts from 0 to %lld", (long long)v.i, (long long)v.i - 1);
        else diag_help(d, "for i, x in [a, b] gives index and element");
        return false;
    }
    for (int i = 0; i < v.n && !e->stop; i++) {
        Env *inner = env_new(e, env, NULL);
        const Ast *last = s->items.v[s->items.n - 1];
        if (s->items.n > 1) env_add(e, inner, s->items.v[0]->name, v_int(i), s->items.v[0]->loc, false);
        env_add(e, inner, last->name, v.list[i], last->loc, false);
        if (exec_body(e, s->body, inner, ret)) return true;
    }
    return false;
}

static bool share(Elab *e, const Ast *s, Env *env, Value *ret)
{
    Top *t = top_find(env->file, s->name, true);
    Frame *f = e->frame;
    if (!t || t->kind != TOP_STREAM) {
        Diag *d = fail(e, s->name_loc, ERR_unknown_stream, "there is no stream `%s`", s->name);
        diag_help(d, "`stream %s` at file level declares one", s->name);
    } else if (f->n_shared == (int)COUNT(f->shared)) {
        fail(e, s->loc, ERR_bad_argument, "more than %d `share` around each other", (int)COUNT(f->shared));
    } else {
        f->shared[f->n_shared++] = s->name;
        bool done = exec_body(e, s->body, env, ret);
        f->n_shared--;
        return done;
    }
    return exec_body(e, s->body, env, ret);
}

Precision enter_precision(Elab *e, const Ast *x)
{
    if (!e->g) return 0;
    Precision outer = e->g->precision;
    Number own = number_named(x->name);
    if (e->program == P_UPDATE) {
        Diag *d = fail(e, x->loc, ERR_statement_place, "`precision` does not belong here");
        diag_help(d, "parameters and the states of an optimizer are always f32");
    } else if (own != N_NUMBERS) {                   /* a region of the plan's own precision changes nothing */
        e->g->precision = own == e->m->precision ? 0 : (Precision)(1 + own);
    }
    return outer;
}

void leave_precision(Elab *e, Precision outer)
{
    if (e->g) e->g->precision = outer;
}

static void report(Elab *e, const Ast *s, Env *env)
{
    Value v = eval(e, s->value, env);
    if (v.kind == V_POISON || e->program != P_LOSS) return;
    if (v.kind != V_TENSOR) {
        Ref r = as_ref(e, v, s->value->loc);
        if (!r) return;
        v = v_tensor(e, r, -1, NULL);
    }
    for (int i = 0; i < e->n_report; i++)
        if (e->report[i].name == s->name) {
            e->report[i].v = v;
            return;
        }
    if (e->n_report == e->cap_report) {
        e->cap_report = e->cap_report ? 2 * e->cap_report : 8;
        e->report = xrealloc(e->report, (size_t)e->cap_report * sizeof *e->report);
    }
    e->report[e->n_report].name = s->name;
    e->report[e->n_report++].v = v;
}

static void param(Elab *e, const Ast *s, Env *env);

bool exec_stmt(Elab *e, const Ast *s, Env *env, Value *ret)
{
    switch (s->kind) {
    case S_LET: case S_VAR: case S_CONST:
        for (int i = 0; i < s->items.n; i++) bind(e, s->items.v[i], env, s->kind == S_VAR, s->kind == S_CONST);
        return false;
    case S_USE:
        for (int i = 0; i < s->items.n; i++) exec_use(e, s->items.v[i], env);
        return false;
    case S_PARAM: param(e, s, env); return false;
    case S_ASSIGN: assign(e, s, env); return false;
    case S_RETURN:
        *ret = eval(e, s->value, env);
        e->returned = s->value->loc;
        return true;
    case S_REPORT: report(e, s, env); return false;
    case S_IF: {
        bool c;
        if (!eval_condition(e, s->cond, env, &c)) {
            *ret = poison;                           /* which way it goes is not known: nothing after it can be judged */
            return true;
        }
        const Ast *arm = c ? s->body : s->other;
        if (!arm) return false;
        return arm->kind == S_IF ? exec_stmt(e, arm, env, ret) : exec_body(e, arm, env_new(e, env, NULL), ret);
    }
    case S_FOR: return loop(e, s, env, ret);
    case S_SHARE: return share(e, s, env, ret);
    case S_PRECISION: {
        Precision outer = enter_precision(e, s);
        bool done = exec_body(e, s->body, env, ret);
        leave_precision(e, outer);
        return done;
    }
    case S_STATE: case S_RUNTIME: case S_UPDATE: exec_update(e, s, env); return false;
    default: return false;                           /* out of place: reported by elab_check.c */
    }
}

bool exec_body(Elab *e, const Ast *body, Env *env, Value *ret)
{
    for (int i = 0; i < body->items.n; i++) {
        if (e->stop) {
            *ret = poison;
            return true;
        }
        if (exec_stmt(e, body->items.v[i], env, ret)) return true;
    }
    return false;
}

/* ---- instances ---- */
static bool path_ok(const char *s)
{
    char before = '.';
    if (!*s) return true;
    for (; *s; before = *s++) {
        bool word = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') || *s == '_' || *s == '-';
        if (!word && (*s != '.' || before == '.')) return false;
    }
    return before != '.';
}

static Sym path_text(Elab *e, const Ast *string, Env *env)
{
    const char *s = interpolate(e, string, env);
    if (!s) return NULL;
    if (path_ok(s)) return sym(s);
    Diag *d = fail(e, string->loc, ERR_bad_path, "\"%s\" is no path", s);
    diag_help(d, "words of letters, digits, _ and - with single dots between them; \"\" adds no level");
    return NULL;
}

static Slot *child_slot(Elab *e, Slot *parent, const Ast *ast, Sym path, Sym name, Loc at)
{
    for (int i = 0; i < parent->n; i++)
        if (parent->child[i]->ast == ast && parent->child[i]->path == path) return parent->child[i];
    Slot *s = arena_make(e->arena, Slot, 1);
    *s = (Slot){ .ast = ast, .path = path, .name = name, .at = at };
    vec_push(parent->child, parent->n, parent->cap, s);
    return s;
}

/* Every place may be declared once in an application of its owner. */
static bool stamp(Elab *e, Slot *s, const char *what, Loc at)
{
    if (s->stamp != e->frame->serial) {
        s->stamp = e->frame->serial;
        return true;
    }
    Diag *d = fail(e, at, ERR_duplicate_path, "two %s have the path `%s`", what, s->path);
    diag_help(d, "`as \"name{i}\"` gives each its own");
    return false;
}

/* The block and its arguments in `use x = ...`. */
static const Decl *use_call(Elab *e, Ast *x, Env *env, Args *a, Ast **call)
{
    bool c;
    if (x->kind == E_IF) return eval_condition(e, x->cond, env, &c) ? use_call(e, c ? x->value : x->other, env, a, call) : NULL;
    Value f = poison;
    if (x->kind == E_CALL) {
        f = eval(e, x->value, env);
        if (f.kind == V_POISON) return NULL;
        if (f.kind == V_DECL && f.decl->ast->kind == D_BLOCK) {
            *call = x;
            return eval_args(e, x, env, a) ? f.decl : NULL;
        }
    }
    Diag *d = fail(e, x->loc, ERR_not_callable, "`use` makes an instance of a block");
    if (f.kind != V_POISON) diag_label(d, "%s", type_text(e, f));
    diag_help(d, "use layer = Linear(3, 8)");
    return NULL;
}

void exec_use(Elab *e, const Ast *use, Env *env)
{
    Args a;
    Ast *call;
    Value v = poison;
    const Decl *block = use_call(e, use->value, env, &a, &call);
    Sym level = use->as ? path_text(e, use->as, env) : use->name;
    Slot *parent = e->frame->slot;
    if (block && level) {
        Trail t;
        enter(e, &t, sym(arena_printf(e->arena, "block %s", block->ast->name)), NULL, call->loc);
        Slot *s = child_slot(e, parent, use, join_path(e, parent->path, level), level, use->name_loc);
        Env *cenv = env_new(e, block->file->env, NULL);
        bool ok = bind_params(e, "block", block->ast->name, &block->ast->cparams, &a, cenv, cenv, true, call->loc);
        leave(e);
        if (use->was) s->was = path_text(e, use->was, env);
        else if (parent->was) s->was = join_path(e, parent->was, level);
        if (ok && stamp(e, s, "instances", use->as ? use->as->loc : use->name_loc)) {
            Instance *inst = arena_make(e->arena, Instance, 1);
            *inst = (Instance){ s, *block, cenv, sym(""), use->name_loc };
            v = (Value){ .kind = V_INSTANCE, .inst = inst };
        }
    }
    env_add(e, env, use->name, v, use->name_loc, false);
}

static int *counter(Elab *e, Frame *f, const void *what)
{
    (void)e;
    for (int i = 0; i < f->n_count; i++)
        if (f->count[i].what == what) return &f->count[i].n;
    if (f->n_count == f->cap_count) {
        f->cap_count = f->cap_count ? 2 * f->cap_count : 8;
        f->count = xrealloc(f->count, (size_t)f->cap_count * sizeof *f->count);
    }
    f->count[f->n_count].what = what;
    f->count[f->n_count].n = 0;
    return &f->count[f->n_count++].n;
}

static Sym ordinal(Elab *e, Sym name, int k) { return k == 1 ? name : sym(arena_printf(e->arena, "%s#%d", name, k)); }

static bool in_share(const Frame *f, Sym stream)
{
    for (int i = 0; i < f->n_shared; i++)
        if (f->shared[i] == stream) return true;
    return false;
}

static Sym call_path(const Frame *f, Sym stream)
{
    for (int i = 0; i < f->n_over; i++)
        if (f->over[i].stream == stream) return f->over[i].path;
    return f->path;
}

static void add_over(Frame *f, Sym stream, Sym path)
{
    for (int i = 0; i < f->n_over; i++)
        if (f->over[i].stream == stream) return;
    if (f->n_over == (int)COUNT(f->over)) return;
    f->over[f->n_over].stream = stream;
    f->over[f->n_over++].path = path;
}

/* The call path of a new application of `s` by the frame e->frame, for each stream that differs. */
static void set_paths(Elab *e, Frame *f, Slot *s)
{
    Frame *up = e->frame;
    int k = ++*counter(e, up, s);
    f->path = join_path(e, up->path, ordinal(e, s->name, k));
    for (int i = 0; i < up->n_shared; i++)
        add_over(f, up->shared[i], join_path(e, call_path(up, up->shared[i]), s->name));
    for (int i = 0; i < up->n_over; i++)
        add_over(f, up->over[i].stream, join_path(e, up->over[i].path, ordinal(e, s->name, k)));
}

Value apply(Elab *e, const Instance *inst, Args *a, Loc at)
{
    const Ast *b = inst->block.ast;
    Value v = poison;
    if (!e->g || e->program == P_UPDATE) {
        fail(e, at, ERR_not_callable, "`%s` cannot be applied here", b->name);
        return poison;
    }
    Trail t;
    enter(e, &t, b->name, inst->slot->path, at);
    Frame f = { .up = e->frame, .slot = inst->slot, .serial = ++e->n_serial, .set = *inst->set ? inst->set : e->frame->set };
    set_paths(e, &f, inst->slot);
    Env *sizes = env_new(e, inst->env, NULL), *env = env_new(e, sizes, NULL);
    e->frame = &f;
    if (!e->stop && bind_params(e, "block", b->name, &b->params, a, env, sizes, false, at)) {
        exec_body(e, b->body, env, &v);
        v = bind_type(e, "result", b->name, b->type, v, sizes, NULL, e->returned);
        inst->slot->sealed = inst->slot->sealed || v.kind != V_POISON;
    }
    e->frame = f.up;
    free(f.count);
    leave(e);
    return v;
}

Value apply_loss(Elab *e, const Decl *d, Args *a, Loc at)
{
    Value v = poison;
    if (!e->g || e->program == P_UPDATE) {
        fail(e, at, ERR_not_callable, "loss `%s` cannot be applied here", d->ast->name);
        return poison;
    }
    Trail t;
    enter(e, &t, sym(arena_printf(e->arena, "loss %s", d->ast->name)), NULL, at);
    Env *sizes = env_new(e, d->file->env, NULL), *env = env_new(e, sizes, NULL);
    if (!e->stop && bind_params(e, "loss", d->ast->name, &d->ast->params, a, env, sizes, false, at)) {
        exec_body(e, d->ast->body, env, &v);
        v = bind_type(e, "result", d->ast->name, d->ast->type, v, sizes, NULL, e->returned);
    }
    leave(e);
    if (v.kind == V_TENSOR && !e->has_loss) {
        e->loss = v;
        e->has_loss = true;
    }
    return v;
}

/* ---- parameters ---- */
static ParamInfo *new_param(Elab *e, Slot *s, const Ast *ast, Value init, int n, const Axis *ax)
{
    for (int i = 0; i < e->n_param; i++)
        if (e->param[i]->path == s->path) {
            Diag *d = fail(e, ast->name_loc, ERR_duplicate_path, "two parameters have the path `%s`", s->path);
            if (!loc_equal(e->param[i]->loc, ast->name_loc)) diag_span(d, e->param[i]->loc, "the other");
            diag_help(d, "`use ... as \"name\"` gives an instance its own level");
            return NULL;
        }
    ParamInfo *p = arena_make(e->arena, ParamInfo, 1);
    *p = (ParamInfo){ .path = s->path, .was = s->was, .n_axes = n, .init = init, .loc = ast->name_loc };
    p->axes = arena_make(e->arena, Axis, n);
    memcpy(p->axes, ax, sizeof *ax * (size_t)n);
    set_origin(e, ast->name_loc);
    p->at = e->g->at;
    s->index = e->n_param;
    vec_push(e->param, e->n_param, e->cap_param, p);
    return p;
}

static Value make_param(Elab *e, const Ast *s, Env *env)
{
    Frame *f = e->frame;
    Axis ax[MAX_AXES];
    int n;
    Value init = eval_const(e, s->value, env, "an initialiser");
    if (!declared_axes(e, s->type, env, NULL, &n, ax, s->loc) || init.kind == V_POISON) return poison;
    bool drawn = init.kind == V_DIST && init.dist->kind != DRAW_BERNOULLI && is_number(init.dist->a) && is_number(init.dist->b);
    if (!is_number(init) && !drawn) {
        Diag *d = fail(e, s->value->loc, ERR_bad_initialiser,
                       "a parameter starts as a number, uniform(a, b) or normal(mean, deviation)");
        diag_label(d, "%s", type_text(e, init));
        diag_help(d, "= 0, or = xavier_uniform()(fan_in, fan_out) of std.nn");
        return poison;
    }
    for (int i = 0; i < n; i++)
        if (ax[i].size == 0) {
            fail(e, s->type->loc, ERR_not_a_size, "parameter `%s` has an axis of size 0", s->name);
            return poison;
        }
    Slot *slot = child_slot(e, f->slot, s, join_path(e, f->slot->path, s->name), s->name, s->name_loc);
    if (!stamp(e, slot, "parameters", s->name_loc)) return poison;
    if (s->was) slot->was = path_text(e, s->was, env);
    else if (f->slot->was) slot->was = join_path(e, f->slot->was, s->name);
    if (!slot->param) {
        if (f->slot->sealed) {
            Diag *d = fail(e, s->name_loc, ERR_instance_mismatch,
                           "parameter `%s` is not reached by every application of its instance", slot->path);
            diag_help(d, "a `param` may depend on the block's own parameters, not on `training` or on which application it is");
            return poison;
        }
        slot->param = new_param(e, slot, s, init, n, ax);
        if (!slot->param) return poison;
    }
    const ParamInfo *p = slot->param;
    bool same = p->n_axes == n;
    for (int i = 0; same && i < n; i++) same = p->axes[i].role == ax[i].role && p->axes[i].size == ax[i].size;
    if (!same) {
        Diag *d = fail(e, s->name_loc, ERR_instance_mismatch, "two applications of `%s` disagree about parameter `%s`",
                       f->slot->path, s->name);
        diag_label(d, "%s here, %s before", axes_text(e, n, ax), axes_text(e, p->n_axes, p->axes));
        diag_help(d, "the sizes of a parameter are those of the first application; make a second instance for other sizes");
        return poison;
    }
    set_origin(e, s->name_loc);
    return v_tensor(e, mk_param(e->g, slot->index, f->set, n, ax), -1, NULL);
}

static void param(Elab *e, const Ast *s, Env *env)
{
    env_add(e, env, s->name, make_param(e, s, env), s->name_loc, false);
}

/* ---- draws ---- */
static Value scaled(Elab *e, Value unit, const Dist *d, Loc at)
{
    Value a = d->a, b = d->b;
    if (d->kind == DRAW_BERNOULLI) return unit;
    if (d->kind == DRAW_UNIFORM) {
        if (is_number(a) && is_number(b)) b = v_real(number(b) - number(a));
        else b = host_binary(e, OP_SUB, b, a, at);
    }
    Value scaled = elementwise(e, OP_mul, 2, (Value[]){ b, unit }, NULL, at, "*");
    Value v = elementwise(e, OP_add, 2, (Value[]){ a, scaled }, NULL, at, "+");
    return v.kind == V_TENSOR ? v_tensor(e, v.t, unit.n, unit.ax) : v;
}

/* The draw's axes, n first; false after an error. */
static bool draw_axes(Elab *e, Ast *x, Env *env, int *n, Axis *ax)
{
    Ast *shape = x->value->kind == E_INDEX ? x->value : NULL;
    int k = 0;
    if (!shape == !x->like) {
        Diag *d = fail(e, x->loc, ERR_draw_place, "%s", shape ? "a draw takes its shape from `like` or from brackets, not both"
                                                              : "this draw has no shape");
        diag_help(d, "normal like y from noise, or normal[n: y.n] from noise");
        return false;
    }
    Axis all[MAX_AXES];
    if (x->like) {
        Value v = eval(e, x->like, env);
        if (v.kind == V_POISON) return false;
        if (v.kind != V_TENSOR) {
            Diag *d = fail(e, x->like->loc, ERR_not_a_tensor, "`like` needs a tensor");
            diag_label(d, "%s", type_text(e, v));
            return false;
        }
        k = v.n;
        memcpy(all, v.ax, sizeof *all * (size_t)k);
    }
    for (int i = 0; shape && i < shape->items.n; i++) {
        Ast *ix = shape->items.v[i];
        int64_t size;
        if (ix->kind != IX_COLON || ix->value->kind != E_NAME || k == MAX_AXES) {
            fail(e, ix->loc, ERR_bad_argument, "the shape of a draw is written [n: size, c: size]");
            return false;
        }
        if (!eval_size(e, ix->other, env, &size)) return false;
        for (int j = 0; j < k; j++)
            if (all[j].role == ix->value->name) {
                fail(e, ix->loc, ERR_duplicate_role, "axis `%s` appears twice", ix->value->name);
                return false;
            }
        if (size == 0) {
            fail(e, ix->other->loc, ERR_not_a_size, "an axis of size 0");
            return false;
        }
        all[k++] = (Axis){ ix->value->name, size };
    }
    *n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < k; i++)
            if (!strcmp(all[i].role, "n") == !pass) ax[(*n)++] = all[i];
    return size_ok(e, k, all, x->loc);
}

/* One path, one draw; inside `share` the same draw again. */
static bool record_draw(Elab *e, Sym path, Ref r, bool shared, Loc at)
{
    for (int i = 0; i < e->n_draw; i++) {
        DrawRecord *d = &e->draw[i];
        if (d->path == path) {
            if (shared && (d->g != e->g || d->ref == r)) return true;
            Diag *g = fail(e, at, ERR_duplicate_draw, "two draws would get the path `%s`", path);
            if (!loc_equal(at, d->at)) diag_span(g, d->at, "the other%s", shared ? ", of another shape" : "");
            diag_help(g, "give an instance a level of its own with `as`, or declare another stream; "
                         "`share` is for draws meant to be equal");
            return false;
        }
        if (hash64(path, strlen(path), 0) == hash64(d->path, strlen(d->path), 0)) {
            fail(e, at, ERR_draw_hash, "the hashes of the draw paths `%s` and `%s` collide: rename an instance", path, d->path);
            return false;
        }
    }
    vec_push(e->draw, e->n_draw, e->cap_draw, ((DrawRecord){ path, r, at, e->g }));
    return true;
}

static const Dist *distribution(Elab *e, Ast *x, Env *env)
{
    static const Dist standard[] = { { DRAW_UNIFORM, { .kind = V_INT, .i = 0 }, { .kind = V_INT, .i = 1 } },
                                     { DRAW_NORMAL, { .kind = V_INT, .i = 0 }, { .kind = V_INT, .i = 1 } } };
    Ast *which = x->value->kind == E_INDEX ? x->value->value : x->value;
    Value v = eval(e, which, env);
    if (v.kind == V_DIST) return v.dist;
    bool bare = v.kind == V_BUILTIN && v.builtin->group == B_DIST && v.builtin->name[0] != 'b';
    if (bare) return &standard[v.builtin->name[0] == 'n'];
    if (v.kind == V_POISON) return NULL;
    Diag *d = fail(e, which->loc, ERR_draw_place,
                   "a distribution stands before `from`: uniform(a, b), normal(mean, deviation) or bernoulli(p)");
    diag_label(d, "%s", type_text(e, v));
    diag_help(d, "normal like x from noise");
    return NULL;
}

Value draw(Elab *e, Ast *x, Env *env)
{
    Top *t = top_find(env->file, x->name, true);
    if (!t || t->kind != TOP_STREAM) {
        Diag *d = fail(e, x->name_loc, ERR_unknown_stream, "there is no stream `%s`", x->name);
        diag_help(d, "`stream %s` at file level declares one", x->name);
        return poison;
    }
    if (!e->g || e->program == P_UPDATE) {
        fail(e, x->loc, ERR_draw_place, "nothing can be drawn here");
        return poison;
    }
    const Dist *d = distribution(e, x, env);
    Axis ax[MAX_AXES];
    int n;
    if (!d || !draw_axes(e, x, env, &n, ax)) return poison;
    Frame *f = e->frame;
    /* at the stream, so that it is no instance's ordinal */
    Sym stream = x->name, nth = ordinal(e, stream, ++*counter(e, f, stream));
    Sym path = join_path(e, sym(arena_printf(e->arena, "draw.%s", nth)), call_path(f, stream));
    Ref p = 0;
    if (d->kind == DRAW_BERNOULLI && !is_number(d->a) && !(p = as_ref(e, d->a, x->loc))) return poison;
    set_origin(e, x->loc);
    Ref r = mk_draw(e->g, d->kind, stream, path, d->kind == DRAW_BERNOULLI && !p ? number(d->a) : 0, p, n, ax);
    bool shared = in_share(f, stream) || call_path(f, stream) != f->path;
    for (int i = 0; i < f->n_over; i++) shared = shared || f->over[i].stream == stream;
    if (!record_draw(e, path, r, shared, x->loc)) return poison;
    return scaled(e, v_tensor(e, r, n, ax), d, x->loc);
}
