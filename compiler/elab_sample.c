/* The program `sample`: cut into segments at `each`; tensors that a later segment reads are carried by name.
   Assumes `each` stands only at the top level of the body (elab_check.c). */
#include "compiler/elab.h"

typedef struct { Elab *e; Program *p; const Ast *decl; Env *inputs, *env; } Sampler;

static bool read_later(const Ast *body, int from, Sym name)
{
    for (int i = from; i < body->items.n; i++)
        if (uses_name(body->items.v[i], name)) return true;
    return false;
}

static Sym carry_name(Elab *e, Sym name) { return sym(arena_printf(e->arena, "carry.%s", name)); }

static bool is_carry_input(Elab *e, Value v, Sym name)
{
    const Node *n = N(e->g, v.t);
    return n->op == OP_input && n->a.input.name == carry_name(e, name);
}

/* Ends the current segment before statement `from` and begins the next. */
static void cut(Sampler *s, int from, const char *name, Sym each, Sym time)
{
    Elab *e = s->e;
    for (int i = 0; i < s->env->n; i++) {
        Binding *b = &s->env->v[i];
        if (b->v.kind == V_LIST && read_later(s->decl->body, from, b->name))
            for (int k = 0; k < b->v.n; k++)
                if (b->v.list[k].kind == V_TENSOR) {
                    fail(e, b->at, ERR_each_body, "the list of tensors `%s` cannot be carried past `each`", b->name);
                    b->v = poison;
                    break;
                }
        if (b->v.kind == V_TENSOR && read_later(s->decl->body, from, b->name) && !is_carry_input(e, b->v, b->name)) {
            if (N(e->g, b->v.t)->type == T_BOOL)
                fail(e, b->at, ERR_each_body, "the condition `%s` cannot be carried past `each`", b->name);
            else graph_output(e->g, carry_name(e, b->name), ordered(e, b->v));
        }
    }
    if (s->p->n_seg == (int)COUNT(s->p->seg)) {
        stop_with(e, s->decl->loc, ERR_each_body, "`sample` has more than %d segments", (int)COUNT(s->p->seg));
        return;
    }
    begin_segment(e, s->p, name);
    s->p->seg[s->p->n_seg - 1].each = each;
    s->p->seg[s->p->n_seg - 1].time = time;
    set_origin(e, s->decl->loc);
    for (int i = 0; i < s->inputs->n; i++) {
        Binding *b = &s->inputs->v[i];
        if (b->v.kind == V_TENSOR) b->v = v_tensor(e, mk_input(e->g, b->name, b->v.n, b->v.ax), -1, NULL);
    }
    for (int i = 0; i < s->env->n; i++) {
        Binding *b = &s->env->v[i];
        if (b->v.kind != V_TENSOR) continue;
        bool kept = read_later(s->decl->body, from, b->name);
        b->v = kept ? v_tensor(e, mk_input(e->g, carry_name(e, b->name), b->v.n, b->v.ax), -1, NULL) : poison;
    }
}

static const char *segment_name(Sampler *s) { return arena_printf(s->e->arena, "sample.%d", s->p->n_seg); }

static void each(Sampler *s, int at)
{
    Elab *e = s->e;
    const Ast *x = s->decl->body->items.v[at];
    Value times = eval(e, x->value, s->env);
    if (times.kind != V_TIMES) {
        if (times.kind == V_POISON) return;
        Diag *d = fail(e, x->value->loc, ERR_each_body, "`each` runs over a run-time list of times");
        diag_label(d, "%s", type_text(e, times));
        diag_help(d, "sample(..., mid: times = []) declares one; `for` runs over compile-time lists");
        return;
    }
    if (find_runtime(e, x->name) || !strcmp(x->name, "step") || !strcmp(x->name, "seen")) {
        fail(e, x->name_loc, ERR_duplicate_name, "`%s` is a run-time scalar already", x->name);
        return;
    }
    cut(s, at, segment_name(s), times.s, x->name);
    if (e->stop) return;
    int n = s->env->n;
    Value *before = arena_make(e->arena, Value, n);
    for (int i = 0; i < n; i++) before[i] = s->env->v[i].v;
    Env *inner = env_new(e, s->env, NULL);
    env_add(e, inner, x->name, v_host(e, x->name, 9, false, false), x->name_loc, false);
    Value ret;
    if (exec_body(e, x->body, inner, &ret) && ret.kind != V_POISON)
        fail(e, x->loc, ERR_each_body, "the body of `each` cannot return");
    for (int i = 0; i < n; i++) {
        Value a = before[i], b = s->env->v[i].v;
        bool same = a.kind == b.kind && (a.kind != V_TENSOR || a.n == b.n);
        for (int k = 0; same && a.kind == V_TENSOR && k < a.n; k++) {
            const Axis *ax = value_axis(b, a.ax[k].role);
            same = ax && ax->size == a.ax[k].size;
        }
        bool fixed = a.kind == V_TENSOR || a.kind == V_POISON || b.kind == V_POISON || value_equal(a, b)
                || (a.kind == b.kind && a.i == b.i);
        if (b.kind == V_POISON || a.kind == V_POISON || (same && fixed)) continue;
        Diag *d = fail(e, x->loc, ERR_each_body, "`each` must leave `%s` with the type it had: it is one step, repeated",
                       s->env->v[i].name);
        diag_label(d, "%s before, %s after", type_text(e, a), type_text(e, b));
        diag_help(d, "use another name for what differs");
        s->env->v[i].v = poison;
    }
    /* the next round reads what this one leaves, in the order it was declared */
    for (int i = 0; i < n; i++)
        if (before[i].kind == V_TENSOR && s->env->v[i].v.kind == V_TENSOR)
            s->env->v[i].v = v_tensor(e, s->env->v[i].v.t, before[i].n, before[i].ax);
    for (int i = 0; i < n; i++) {                        /* read by the next round only */
        Binding *b = &s->env->v[i];
        if (b->v.kind == V_TENSOR && !is_carry_input(e, b->v, b->name) && N(e->g, b->v.t)->type != T_BOOL
            && uses_name(x->body, b->name))
            graph_output(e->g, carry_name(e, b->name), ordered(e, b->v));
    }
    cut(s, at + 1, segment_name(s), NULL, NULL);
}

void make_sample(Elab *e, FileScope *f, const Ast *decl)
{
    Program *p = begin_program(e, "sample", P_SAMPLE, false);
    begin_segment(e, p, "sample.0");
    Env *sizes = env_new(e, f->env, NULL), *inputs = env_new(e, sizes, NULL);
    Sampler s = { e, p, decl, inputs, env_new(e, inputs, NULL) };
    Trail t;
    Value v = poison;
    enter(e, &t, sym("sample"), NULL, LOC_NONE);
    if (declare_inputs(e, p, &decl->params, sizes, inputs)) {
        bool done = false;
        for (int i = 0; i < decl->body->items.n && !done && !e->stop; i++) {
            if (decl->body->items.v[i]->kind == S_EACH) each(&s, i);
            else done = exec_stmt(e, decl->body->items.v[i], s.env, &v);
        }
        if (done && v.kind == V_TENSOR) add_output(e, p, decl->result->name, v);
        else if (done && v.kind != V_POISON) {
            Diag *d = fail(e, e->returned, ERR_bad_program, "`sample` returns a tensor");
            diag_label(d, "%s", type_text(e, v));
        }
    }
    leave(e);
}
