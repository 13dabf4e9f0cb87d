/* Programs: their inputs and outputs, plain programs, loss, gradients, initial values; and the order of parameters.
   Assumes file-level values exist (elab_config.c). The forward programs are built first, since gradients need all parameters. */
#include "compiler/elab.h"

/* ---- building one program ---- */
void begin_segment(Elab *e, Program *p, const char *name)
{
    CHECK_BUG(p->n_seg < (int)COUNT(p->seg));
    e->g = graph_new();
    p->seg[p->n_seg++] = (Segment){ .name = sym(name), .g = e->g };
}

Program *begin_program(Elab *e, const char *name, ProgramKind kind, bool training)
{
    Module *m = e->m;
    Program *p = &m->programs[m->n_programs++];
    *p = (Program){ .name = sym(name), .training = training };
    e->program = kind;
    e->training = training;
    e->n_report = e->n_draw = 0;
    e->has_loss = false;
    e->rows = 0;
    free(e->base.count);
    e->base = (Frame){ .slot = e->root, .set = sym(""), .path = sym(""), .serial = ++e->n_serial };
    e->frame = &e->base;
    e->g = NULL;
    declare_uses(e);
    return p;
}

bool declare_inputs(Elab *e, Program *p, const NodeList *params, Env *sizes, Env *env)
{
    bool ok = true;
    Args before = { 0, arena_make(e->arena, Arg, params->n) };
    for (int i = 0; i < params->n; i++) {
        const Ast *par = params->v[i];
        Axis ax[MAX_AXES];
        int n;
        Value v = poison;
        if (par->type && par->type->kind == T_NAME && !strcmp(par->type->name, "times") && e->program == P_SAMPLE) {
            if (!par->value || par->value->kind != E_LIST || par->value->items.n)
                fail(e, par->loc, ERR_bad_program, "run-time times are declared `%s: times = []`", par->name);
            env_add(e, env, par->name, (Value){ .kind = V_TIMES, .s = par->name }, par->name_loc, false);
            continue;
        }
        if (!par->type || par->type->kind != T_TENSOR || par->value) {
            Diag *d = fail(e, par->loc, ERR_bad_program, "an input of a program is a tensor without default");
            diag_help(d, "%s: [n:batch, c:3]", par->name);
            ok = false;
        } else if (p->n_in == (int)COUNT(p->in)) {
            fail(e, par->loc, ERR_bad_program, "more than %d inputs", (int)COUNT(p->in));
            return false;
        } else if (!declared_axes(e, par->type, sizes, &before, &n, ax, par->loc)) {
            ok = false;
        } else {
            Axis *copy = arena_make(e->m->arena, Axis, n);
            memcpy(copy, ax, sizeof *ax * (size_t)n);
            p->in[p->n_in++] = (TensorDecl){ par->name, n, copy, T_F32 };
            bool absent = false;
            for (int k = 0; k < n; k++) absent = absent || ax[k].size == 0;
            set_origin(e, par->name_loc);
            v = absent ? (Value){ .kind = V_ABSENT, .n = n, .ax = copy }
                       : v_tensor(e, mk_input(e->g, par->name, n, ax), -1, NULL);
            before.v[before.n++] = (Arg){ par->name, v, par, false };
        }
        env_add(e, env, par->name, v, par->name_loc, false);
    }
    return ok;
}

void add_output(Elab *e, Program *p, Sym name, Value v)
{
    Axis *ax = arena_make(e->m->arena, Axis, v.n);
    if (v.n) memcpy(ax, v.ax, sizeof *ax * (size_t)v.n);
    graph_output(e->g, name, ordered(e, v));
    p->out = xrealloc(p->out, (size_t)(p->n_out + 1) * sizeof *p->out);
    p->out[p->n_out++] = (TensorDecl){ name, v.n, ax, N(e->g, v.t)->type };
}

static void make_plain(Elab *e, FileScope *f, const Ast *d)
{
    Program *p = begin_program(e, d->name, P_PROGRAM, d->flag);
    begin_segment(e, p, d->name);
    Env *sizes = env_new(e, f->env, NULL), *env = env_new(e, sizes, NULL);
    Trail t;
    enter(e, &t, sym(arena_printf(e->arena, "program %s", d->name)), NULL, LOC_NONE);
    if (declare_inputs(e, p, &d->params, sizes, env)) {
        Value v = eval(e, d->value, env);
        if (is_scalar(v)) {
            Ref r = as_ref(e, v, d->value->loc);
            v = r ? v_tensor(e, r, -1, NULL) : poison;
        }
        if (v.kind == V_TENSOR) add_output(e, p, d->result->name, v);
        else if (v.kind != V_POISON) {
            Diag *g = fail(e, d->value->loc, ERR_bad_program, "a program returns a tensor");
            diag_label(g, "%s", type_text(e, v));
            diag_help(g, "apply an instance to the inputs: -> y = net(x)");
        }
    }
    leave(e);
}

/* ---- train ---- */
const Ast *train_item(const Ast *train, NodeKind kind)
{
    for (int i = 0; i < train->items.n; i++)
        if (train->items.v[i]->kind == kind) return train->items.v[i];
    return NULL;
}

static void check_items(Elab *e, const Ast *train)
{
    static const struct { NodeKind kind; const char *word; int min; } rule[] = {
        { TRAIN_MINIMIZE, "minimize", 1 }, { TRAIN_GRADIENT, "gradient", 0 }, { TRAIN_OPTIMIZER, "optimizer", 1 },
    };
    for (size_t r = 0; r < COUNT(rule); r++) {
        int n = 0;
        for (int i = 0; i < train->items.n; i++)
            if (train->items.v[i]->kind == rule[r].kind && ++n == 2)
                diag_help(fail(e, train->items.v[i]->loc, ERR_missing_train_item, "`%s` appears twice in `train`", rule[r].word),
                          "keep one");
        if (n < rule[r].min) {
            Diag *d = fail(e, train->name_loc, ERR_missing_train_item, "`train` has no `%s`", rule[r].word);
            diag_help(d, "%s", rule[r].kind == TRAIN_MINIMIZE ? "minimize mean[n](my_loss(images))"
                                                              : "optimizer Adam(1e-3, 0.9, 0.999)");
        }
    }
    for (int i = 0; i < train->items.n; i++)
        if (train->items.v[i]->kind == TRAIN_DATA) {
            Diag *d = fail(e, train->items.v[i]->loc, ERR_statement_place, "the data set is not part of the model");
            diag_help(d, "ect-rt train PLAN --data PATH");
        }
}

/* The graph of the loss in a new segment: the number to minimise, or poison. */
static Value loss_graph(Elab *e, Program *p, const char *segment, FileScope *f, const Ast *train)
{
    const Ast *min = train_item(train, TRAIN_MINIMIZE);
    begin_segment(e, p, segment);
    Env *sizes = env_new(e, f->env, NULL), *env = env_new(e, sizes, NULL);
    Value v = poison;
    Trail t;
    enter(e, &t, sym("train"), NULL, LOC_NONE);
    if (declare_inputs(e, p, &train->params, sizes, env) && min) {
        v = eval(e, min->value, env);
        if (v.kind != V_POISON && (v.kind != V_TENSOR || v.n != 0)) {
            Diag *d = fail(e, min->value->loc, ERR_loss_shape, "`minimize` needs one number");
            diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
            diag_help(d, "mean[n](...) over the images");
            v = poison;
        } else if (v.kind == V_TENSOR && (!e->has_loss || e->loss.n != 1 || strcmp(e->loss.ax[0].role, "n"))) {
            Diag *d = fail(e, min->value->loc, ERR_loss_shape,
                           "`minimize` needs a `loss` block with a value for each image: -> [n]");
            if (e->has_loss) diag_label(d, "%s", type_text(e, e->loss));
            v = poison;
        }
    }
    leave(e);
    if (v.kind == V_TENSOR) {
        add_output(e, p, sym("loss"), e->loss);
        for (int i = 0; i < e->n_report; i++)
            add_output(e, p, sym(arena_printf(e->arena, "report.%s", e->report[i].name)), e->report[i].v);
    }
    return v;
}

static Elab *reporting;

static void report_gradient(const Origin *at, const char *op)
{
    Elab *e = reporting;
    int file = 0;
    for (int i = 0; e && i < e->n_files; i++)
        if (e->file[i]->shown == at->file) file = e->file[i]->f->file;
    Loc loc = { file, at->line, at->col, at->line, at->col + 1 };
    Diag *d = diag_error(loc, ERR_no_gradient, "no gradient is known for `%s`", strcmp(op, "rmax") ? op : "max[...]");
    if (at->path && *at->path) diag_note(d, "in %s", at->path);
    diag_help(d, "stop(x) cuts the gradient where it is not wanted");
}

static bool computes_f16(const Graph *g, Number plan)
{
    for (Ref r = 1; r < g->n; r++)
        if (number_of(N(g, r), plan) == NUM_F16) return true;
    return false;
}

static void make_grad(Elab *e, FileScope *f, const Ast *train, Program *p)
{
    Module *m = e->m;
    Value v = loss_graph(e, p, "grad", f, train);
    if (v.kind != V_TENSOR) return;
    Graph *g = e->g;
    Ref *wrt = arena_make(e->arena, Ref, m->n_params);
    for (int i = 0; i < m->n_params; i++) {
        g->at = m->params[i].at;
        wrt[i] = mk_param(g, i, sym(""), m->params[i].n_axes, m->params[i].axes);
    }
    m->loss_scale = e->scale == SCALE_YES || (e->scale == SCALE_F16 && computes_f16(g, m->precision));
    if (m->loss_scale) {
        add_runtime(e, sym("loss.scale"), false, "1", train->loc, f);
        add_runtime(e, sym("loss.overflow"), false, "0", train->loc, f);
        set_origin(e, train->loc);
        v.t = mk_binary(g, OP_mul, v.t, mk_scalar(g, scalar_slot(e, "loss.scale")));
    }
    reporting = e;
    grad_error = report_gradient;
    Ref *grad = autodiff(g, v.t, m->n_params, wrt);
    reporting = NULL;
    for (int i = 0; i < m->n_params; i++) {
        const Param *q = &m->params[i];
        g->at = q->at;
        Ref r = grad[i] ? grad[i] : mk_const(g, 0);
        r = mk_conform(g, r, q->n_axes, q->axes);
        add_output(e, p, sym(arena_printf(e->arena, "grad.%s", q->name)), v_tensor(e, r, -1, NULL));
    }
}

static void make_init(Elab *e)
{
    Module *m = e->m;
    Program *p = &m->programs[0];
    begin_segment(e, p, "init");
    Sym stream = sym("init");
    for (int i = 0; i < m->n_params; i++) {
        Param *q = &m->params[i];
        const ParamInfo *info = NULL;
        for (int k = 0; k < e->n_param && !info; k++)
            if (e->param[k]->path == q->name) info = e->param[k];
        e->g->at = q->at;
        Ref r;
        if (info->init.kind == V_DIST) {
            const Dist *d = info->init.dist;
            double a = number(d->a), b = number(d->b);
            bool uniform = d->kind == DRAW_UNIFORM;
            r = mk_draw(e->g, d->kind, stream, sym(arena_printf(e->arena, "draw.init.%s", q->name)), 0, 0, q->n_axes, q->axes);
            r = mk_binary(e->g, OP_mul, mk_const(e->g, uniform ? b - a : b), r);
            r = mk_binary(e->g, OP_add, mk_const(e->g, a), r);
        } else {
            r = mk_const(e->g, number(info->init));
        }
        q->init = mk_conform(e->g, r, q->n_axes, q->axes);
        add_output(e, p, q->name, v_tensor(e, q->init, -1, NULL));
    }
}

/* ---- parameters in storage order ---- */
static int number_slots(Slot *s, int next, bool *moved)
{
    for (int i = 0; i < s->n; i++) {
        Slot *c = s->child[i];
        if (c->param) {
            *moved = *moved || c->index != next;
            c->index = next++;
        } else next = number_slots(c, next, moved);
    }
    return next;
}

static void collect(Elab *e, const Slot *s)
{
    Module *m = e->m;
    for (int i = 0; i < s->n; i++) {
        const Slot *c = s->child[i];
        if (!c->param) {
            collect(e, c);
            continue;
        }
        const ParamInfo *p = c->param;
        Param *q = &m->params[c->index];
        *q = (Param){ p->path, p->was, p->n_axes, arena_make(m->arena, Axis, p->n_axes), 0, p->at };
        if (p->n_axes) memcpy(q->axes, p->axes, sizeof *q->axes * (size_t)p->n_axes);
    }
}

void fill_params(Elab *e)
{
    Module *m = e->m;
    m->n_params = e->n_param;
    m->params = arena_make(m->arena, Param, e->n_param);
    collect(e, e->root);
    for (int i = 0; i < m->n_params; i++)
        for (int k = 0; m->params[i].was && k < m->n_params; k++) {
            const Param *a = &m->params[i], *b = &m->params[k];
            if (k == i || (a->was != b->name && (a->was != b->was || k > i))) continue;
            Loc at = LOC_NONE;
            for (int j = 0; j < e->n_param; j++)
                if (e->param[j]->path == a->name) at = e->param[j]->loc;
            Diag *d = fail(e, at, ERR_ambiguous_was, "`%s` and `%s` both name the old path `%s`", a->name, b->name, a->was);
            diag_help(d, "an old path belongs to one parameter");
        }
}

int64_t param_elements(const Module *m)
{
    return param_offset(m, m->n_params);
}

int64_t param_offset(const Module *m, int index)
{
    int64_t offset = 0;
    for (int i = 0; i < index; i++) {
        int64_t n = 1;
        for (int k = 0; k < m->params[i].n_axes; k++) n *= m->params[i].axes[k].size;
        offset += (n + 15) / 16 * 16;
    }
    return offset;
}

/* ---- all programs ---- */
bool uses_name(const Ast *x, Sym name)
{
    if (!x) return false;
    if (x->kind == E_NAME && x->name == name) return true;
    const Ast *one[] = { x->cond, x->value, x->other, x->like, x->type, x->to, x->as, x->was, x->result, x->body };
    for (size_t i = 0; i < COUNT(one); i++)
        if (uses_name(one[i], name)) return true;
    const NodeList *many[] = { &x->cparams, &x->params, &x->items };
    for (size_t i = 0; i < COUNT(many); i++)
        for (int k = 0; k < many[i]->n; k++)
            if (uses_name(many[i]->v[k], name)) return true;
    return false;
}

typedef struct { FileScope *f; const Ast *ast; } Found;
typedef struct { int n; Found v[64]; Found train, sample; } Runnable;

static bool fixed_name(Sym s)
{
    static const char *const names[] = { "init", "loss", "grad", "train_step", "sample" };
    for (size_t i = 0; i < COUNT(names); i++)
        if (!strcmp(s, names[i])) return true;
    return false;
}

/* What there is to run. The main file's declarations replace those of the files it imports. */
static void find_programs(Elab *e, Runnable *r)
{
    for (int k = e->n_files; k-- > 0;) {
        FileScope *f = e->file[k];
        for (int i = 0; i < f->f->decls.n; i++) {
            const Ast *d = f->f->decls.v[i];
            Found *one = d->kind == D_TRAIN ? &r->train : d->kind == D_SAMPLE ? &r->sample : NULL;
            if (one && !one->ast) *one = (Found){ f, d };
            else if (one && one->f == f) {
                const char *word = d->kind == D_TRAIN ? "train" : "sample";
                Diag *g = fail(e, d->loc, ERR_duplicate_program, "`%s` is declared twice", word);
                diag_span(g, one->ast->loc, "the other");
            }
            if (d->kind != D_PROGRAM) continue;
            if (fixed_name(d->name)) {
                Diag *g = fail(e, d->name_loc, ERR_duplicate_program, "program `%s` is made by `%s`", d->name,
                               !strcmp(d->name, "sample") ? "sample" : !strcmp(d->name, "init") ? "every model" : "train");
                diag_help(g, "choose another name");
                continue;
            }
            int j = 0;
            while (j < r->n && r->v[j].ast->name != d->name) j++;
            if (j < r->n && r->v[j].f == f) {
                Diag *g = fail(e, d->name_loc, ERR_duplicate_program, "two programs are called `%s`", d->name);
                diag_span(g, r->v[j].ast->name_loc, "the other");
                diag_help(g, "rename one of them");
            } else if (j == r->n && r->n < (int)COUNT(r->v)) r->v[r->n++] = (Found){ f, d };
            else if (r->n == (int)COUNT(r->v)) fail(e, d->name_loc, ERR_bad_program, "more than %d programs", (int)COUNT(r->v));
        }
    }
}

static void drop_programs(Module *m)
{
    for (int i = 0; i < m->n_programs; i++) {
        for (int k = 0; k < m->programs[i].n_seg; k++) graph_drop(m->programs[i].seg[k].g);
        free(m->programs[i].out);
    }
    m->n_programs = m->n_scalars = 0;
}

/* init, the plain programs, loss, grad and train_step (filled later), sample. */
static void make_forward(Elab *e, const Runnable *r)
{
    begin_program(e, "init", P_INIT, false);
    for (int i = 0; i < r->n && !e->stop; i++) make_plain(e, r->v[i].f, r->v[i].ast);
    if (r->train.ast && !e->stop) {
        Program *p = begin_program(e, "loss", P_LOSS, true);
        loss_graph(e, p, "loss", r->train.f, r->train.ast);
        begin_program(e, "grad", P_LOSS, true);
        begin_program(e, "train_step", P_LOSS, true);
    }
    if (r->sample.ast && !e->stop) make_sample(e, r->sample.f, r->sample.ast);
}

static Program *find_program(Module *m, const char *name)
{
    for (int i = 0; i < m->n_programs; i++)
        if (m->programs[i].name == sym(name)) return &m->programs[i];
    return NULL;
}

static void make_backward(Elab *e, FileScope *f, const Ast *train)
{
    Module *m = e->m;
    int n = m->n_programs;
    Program *grad = find_program(m, "grad"), *step = find_program(m, "train_step");
    m->n_programs = (int)(grad - m->programs);
    begin_program(e, "grad", P_LOSS, true);
    make_grad(e, f, train, grad);
    m->n_programs = n;
    if (diag_count()) return;
    *step = *grad;
    step->name = sym("train_step");
    step->n_seg = 0;
    step->out = xcalloc((size_t)MAX(grad->n_out, 1), sizeof *step->out);
    if (grad->n_out) memcpy(step->out, grad->out, sizeof *step->out * (size_t)grad->n_out);
    step->seg[step->n_seg++] = (Segment){ .name = sym("train_step.micro"), .g = grad->seg[0].g };
    make_update(e, f, train, step);
}

void make_programs(Elab *e)
{
    Module *m = e->m;
    Runnable r = { 0 };
    find_programs(e, &r);
    if (!r.n && !r.train.ast && !r.sample.ast) {
        Diag *d = fail(e, LOC_NONE, ERR_no_programs, "%s declares nothing to run", e->main->f->path);
        diag_help(d, "a `program`, a `train` or a `sample`");
        return;
    }
    if (r.train.ast) {
        check_items(e, r.train.ast);
        name_emas(e, r.train.f, r.train.ast);
    }
    m->programs = arena_make(m->arena, Program, r.n + 5);
    make_forward(e, &r);
    bool moved = false;
    number_slots(e->root, 0, &moved);
    /* places reserved by `use` were filled out of order: number the graphs anew */
    if (moved && !diag_count()) {
        drop_programs(m);
        make_forward(e, &r);
    }
    if (e->stop) return;
    fill_params(e);
    if (r.train.ast && !e->stop) {
        if (!diag_count()) make_backward(e, r.train.f, r.train.ast);
        else {                                           /* an optimizer's mistakes are worth reporting too */
            Program scratch = { 0 };
            make_update(e, r.train.f, r.train.ast, &scratch);
            graph_drop(scratch.seg[0].g);
        }
    }
    if (!diag_count()) make_init(e);
    e->g = NULL;
}
