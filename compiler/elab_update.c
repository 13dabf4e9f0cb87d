/* The second half of a training step: gradient filter, optimizer, EMAs, as one graph over the flat axis e.
   Assumes the parameters are complete (fill_params was called): their total size is the size of e. */
#include "compiler/elab.h"

typedef struct { Sym local, name; Value v; bool updated; } State;
struct Update {
    FileScope *file;
    const Ast *decl;
    Sym state_name;                  /* an EMA's: what its one state is called */
    Value p0;                        /* the parameters when this body starts */
    Sym p_name;                      /* NULL when the body must not change them */
    bool p_updated;
    int first;                       /* states of this body are state[first .. n-1] */
    int n; State state[64];
    int n_bodies; struct { const Ast *decl; int n; } body[64];
    int nth;                         /* how many times this declaration is used, this one included */
};

static Sym ema_name(Elab *e, FileScope *f, const Ast *item)
{
    const char *s = item->as ? interpolate(e, item->as, f->env) : "ema";
    return s ? sym(s) : NULL;
}

void name_emas(Elab *e, FileScope *f, const Ast *train)
{
    e->n_emas = 0;
    for (int i = 0; i < train->items.n; i++) {
        const Ast *item = train->items.v[i];
        Sym name = item->kind == TRAIN_EMA ? ema_name(e, f, item) : NULL;
        if (!name) continue;
        for (int k = 0; k < e->n_emas; k++)
            if (e->ema[k] == name)
                fail(e, item->loc, ERR_missing_train_item, "two EMAs are called `%s`: name one with `as`", name);
        if (!*name || !strcmp(name, "p") || !strcmp(name, "g"))
            fail(e, item->loc, ERR_bad_optimizer, "an EMA cannot be called `%s`", name);
        if (e->n_emas == (int)COUNT(e->ema)) fail(e, item->loc, ERR_bad_optimizer, "more than %d EMAs", (int)COUNT(e->ema));
        else e->ema[e->n_emas++] = name;
    }
}

static State *find_state(struct Update *u, Sym local)
{
    for (int i = u->first; i < u->n; i++)
        if (u->state[i].local == local) return &u->state[i];
    return NULL;
}

static void add_state(Elab *e, const Ast *b, Env *env)
{
    struct Update *u = e->update;
    Sym name = u->state_name ? u->state_name : b->name;
    Value v = eval(e, b->value, env);
    Value state = poison;
    bool from_param = v.kind == V_TENSOR && v.t == u->p0.t;
    if (v.kind == V_POISON) {
    } else if (!is_number(v) && !from_param) {
        Diag *d = fail(e, b->value->loc, ERR_state_type, "a state starts as a number or as the parameters");
        diag_label(d, "%s", type_text(e, v));
    } else if (u->state_name && (u->n > u->first || !from_param)) {
        fail(e, b->loc, ERR_bad_optimizer, "an EMA has one state, and it starts as the parameters");
    } else if (u->n == (int)COUNT(u->state)) {
        fail(e, b->loc, ERR_bad_optimizer, "more than %d states", (int)COUNT(u->state));
    } else {
        bool clash = !strcmp(name, "p") || !strcmp(name, "g");
        for (int i = 0; i < u->n; i++) clash = clash || u->state[i].name == name;
        for (int i = 0; !u->state_name && i < e->n_emas; i++) clash = clash || e->ema[i] == name;
        if (clash) fail(e, b->name_loc, ERR_bad_optimizer, "there is a state, a flat array or an EMA called `%s` already", name);
        else {
            Axis ax = u->p0.ax[0];
            set_origin(e, b->loc);
            state = v_tensor(e, mk_input(e->g, name, 1, &ax), -1, NULL);
            u->state[u->n++] = (State){ b->name, name, state, false };
            StateVar s = { name, from_param ? 0 : number(v), from_param, u->state_name != NULL };
            e->m->states = xrealloc(e->m->states, (size_t)(e->m->n_states + 1) * sizeof s);
            e->m->states[e->m->n_states++] = s;
        }
    }
    env_add(e, env, b->name, state, b->name_loc, false);
}

static void add_scalar(Elab *e, const Ast *b, Env *env)
{
    struct Update *u = e->update;
    Value v = eval(e, b->value, env);
    if (v.kind != V_POISON && b->type) v = bind_named(e, b, v, false, b->value->loc);
    if (v.kind != V_POISON && (!is_scalar(v) || (v.kind == V_RUNTIME && v.host->is_bool))) {
        Diag *d = fail(e, b->value->loc, ERR_type_mismatch, "a run-time scalar is a number");
        diag_label(d, "%s", type_text(e, v));
        v = poison;
    }
    if (v.kind != V_POISON) {
        Sym name = b->name;
        bool taken = find_runtime(e, name) || !strcmp(name, "step") || !strcmp(name, "seen");
        if (taken) name = sym(u->nth == 1 ? arena_printf(e->arena, "%s.%s", u->decl->name, name)
                                    : arena_printf(e->arena, "%s%d.%s", u->decl->name, u->nth, name));
        bool is_int = v.kind == V_INT || (v.kind == V_RUNTIME && v.host->is_int);
        add_runtime(e, name, is_int, host_text(e, v, 0), b->name_loc, u->file);
        v = v_host(e, name, 9, is_int, false);
    }
    env_add(e, env, b->name, v, b->name_loc, false);
}

static void update(Elab *e, const Ast *s, Env *env)
{
    struct Update *u = e->update;
    Value v = eval(e, s->value, env);
    State *state = find_state(u, s->name);
    Binding *b = env_find(env, s->name, NULL);
    if (!b || (!state && s->name != u->p_name)) {
        const char *more = u->p_name ? " or the parameters" : "";
        Diag *d = fail(e, s->name_loc, ERR_state_type, "`:=` updates a state%s, and `%s` is none", more, s->name);
        if (b) diag_span(d, b->at, "declared here");
        diag_help(d, "`let` names an intermediate value");
        return;
    }
    if (v.kind != V_POISON && v.kind != V_TENSOR) {
        Ref r = as_ref(e, v, s->value->loc);
        set_origin(e, s->loc);
        v = r ? v_tensor(e, mk_expand(e->g, r, u->p0.ax[0].role, u->p0.ax[0].size), -1, NULL) : poison;
    }
    if (v.kind == V_TENSOR && v.n == 0) {
        set_origin(e, s->loc);
        v = v_tensor(e, mk_expand(e->g, v.t, u->p0.ax[0].role, u->p0.ax[0].size), -1, NULL);
    }
    if (v.kind == V_TENSOR && (v.n != 1 || v.ax[0].role != u->p0.ax[0].role || N(e->g, v.t)->type == T_BOOL)) {
        Diag *d = fail(e, s->value->loc, ERR_state_type, "the update of `%s` must be computed element by element", s->name);
        diag_label(d, "%s", type_text(e, v));
        v = poison;
    }
    b->v = v;
    if (state) state->v = v, state->updated = true;
    else u->p_updated = true;
}

void exec_update(Elab *e, const Ast *s, Env *env)
{
    if (!e->update) return;                              /* out of place: reported by elab_check.c */
    if (s->kind == S_UPDATE) update(e, s, env);
    for (int i = 0; s->kind != S_UPDATE && i < s->items.n; i++) {
        if (s->kind == S_STATE) add_state(e, s->items.v[i], env);
        else add_scalar(e, s->items.v[i], env);
    }
}

/* Runs an optimizer's or EMA's body on p (and g); the new p, or poison. */
static Value run_body(Elab *e, Value applied, NodeKind kind, Loc at, Value p, Value g)
{
    struct Update *u = e->update;
    const char *word = kind == D_EMA ? "ema" : "optimizer";
    if (applied.kind == V_POISON) return poison;
    if (applied.kind != V_APPLIED || applied.applied->decl.ast->kind != kind) {
        Diag *d = fail(e, at, ERR_bad_optimizer, "an `%s` is needed here", word);
        diag_label(d, "%s", type_text(e, applied));
        return poison;
    }
    const Ast *decl = applied.applied->decl.ast;
    int want = kind == D_EMA ? 1 : 2;
    if (decl->items.n != want) {
        const char *names = want == 1 ? "p" : "p, g";
        Diag *d = fail(e, decl->loc, ERR_bad_optimizer, "%s `%s` is written `for %s`", word, decl->name, names);
        diag_help(d, want == 1 ? "p: the parameters" : "p: the parameters, g: their gradients");
        return poison;
    }
    u->file = applied.applied->decl.file;
    u->decl = decl;
    u->p0 = p;
    u->p_name = kind == D_EMA ? NULL : decl->items.v[0]->name;
    u->p_updated = false;
    u->first = u->n;
    int k = 0;
    while (k < u->n_bodies && u->body[k].decl != decl) k++;
    if (k == (int)COUNT(u->body)) return poison;
    if (k == u->n_bodies) u->body[u->n_bodies++].decl = decl;
    u->nth = ++u->body[k].n;
    Env *env = env_new(e, applied.applied->env, NULL);
    env_add(e, env, decl->items.v[0]->name, p, decl->items.v[0]->loc, false);
    if (want == 2) env_add(e, env, decl->items.v[1]->name, g, decl->items.v[1]->loc, false);
    Trail t;
    Value ret;
    enter(e, &t, sym(arena_printf(e->arena, "%s %s", word, decl->name)), NULL, applied.applied->at);
    exec_body(e, decl->body, env, &ret);
    leave(e);
    for (int i = u->first; i < u->n; i++)
        if (!u->state[i].updated && !e->stop)
            diag_help(fail(e, decl->name_loc, ERR_bad_optimizer, "state `%s` is never updated", u->state[i].local), "%s := ...",
                      u->state[i].local);
    if (want == 2 && !u->p_updated && !e->stop) 
        diag_help(fail(e, decl->name_loc, ERR_bad_optimizer, "optimizer `%s` never updates `%s`", decl->name, u->p_name),
                  "%s := %s - ...", u->p_name, u->p_name);
    Binding *b = env_find(env, decl->items.v[0]->name, NULL);
    return b->v;
}

/* With a scaled loss: x_new where the gradient is finite, else x as it was. */
static Value unless_overflow(Elab *e, Value x_new, Value x)
{
    if (!e->m->loss_scale || x_new.kind != V_TENSOR) return x_new;
    Ref finite = mk_binary(e->g, OP_eq, mk_scalar(e->g, scalar_slot(e, "loss.overflow")), mk_const(e->g, 0));
    return v_tensor(e, mk_where(e->g, finite, x_new.t, x.t), -1, NULL);
}

void make_update(Elab *e, FileScope *f, const Ast *train, Program *p)
{
    struct Update u = { .file = f };
    Sym axis = sym("e");
    Axis ax = { axis, MAX(param_elements(e->m), 1) };
    e->update = &u;
    e->program = P_UPDATE;
    begin_segment(e, p, "train_step.update");
    set_origin(e, train->loc);
    Value pv = v_tensor(e, mk_input(e->g, sym("p"), 1, &ax), -1, NULL);
    Value gv = v_tensor(e, mk_input(e->g, sym("g"), 1, &ax), -1, NULL);
    if (e->m->loss_scale) gv = v_tensor(e, mk_binary(e->g, OP_mul, gv.t, mk_scalar(e->g, scalar_slot(e, "1 / loss.scale"))), -1, NULL);
    const Ast *filter = train_item(train, TRAIN_GRADIENT), *opt = train_item(train, TRAIN_OPTIMIZER);
    if (filter) {
        Value fn = eval(e, filter->value, f->env);
        if (fn.kind == V_FN) {
            Args a = { 1, arena_make(e->arena, Arg, 1) };
            a.v[0] = (Arg){ NULL, gv, NULL, false };
            gv = call_fn(e, fn.fn, &a, filter->value->loc);
        } else if (fn.kind != V_POISON) {
            Diag *d = fail(e, filter->value->loc, ERR_not_callable, "`gradient` takes a function of the gradient");
            diag_label(d, "%s", type_text(e, fn));
            diag_help(d, "gradient fn(g) = nan_to_num(g)");
        }
        if (gv.kind != V_POISON && (gv.kind != V_TENSOR || gv.n != 1)) {
            Diag *d = fail(e, filter->value->loc, ERR_state_type, "the filtered gradient must be computed element by element");
            diag_label(d, "%s", type_text(e, gv));
            gv = poison;
        }
    }
    Value p_new = poison;
    if (opt && gv.kind == V_TENSOR) p_new = run_body(e, eval(e, opt->value, f->env), D_OPTIMIZER, opt->value->loc, pv, gv);
    p_new = unless_overflow(e, p_new, pv);
    for (int i = 0; i < u.n; i++) u.state[i].v = unless_overflow(e, u.state[i].v, v_tensor(e, mk_input(e->g, u.state[i].name, 1, &ax), -1, NULL));
    int k = 0;
    for (int i = 0; i < train->items.n && p_new.kind == V_TENSOR; i++) {
        const Ast *item = train->items.v[i];
        if (item->kind != TRAIN_EMA || k >= e->n_emas) continue;
        u.state_name = e->ema[k++];
        run_body(e, eval(e, item->value, f->env), D_EMA, item->value->loc, p_new, poison);
    }
    if (p_new.kind == V_TENSOR) {
        graph_output(e->g, sym("p"), p_new.t);
        for (int i = 0; i < u.n; i++)
            if (u.state[i].v.kind == V_TENSOR) graph_output(e->g, u.state[i].name, u.state[i].v.t);
    }
    e->update = NULL;
}
