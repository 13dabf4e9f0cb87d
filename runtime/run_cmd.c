/* `ect-rt run`: one program of a plan on tensors from a safetensors file.
   Assumes sessions (run.c); tensors in files have their declared roles' order. */
#include <math.h>
#include "cache/cache.h"
#include "runtime/options.h"
#include "runtime/profile.h"
#include "runtime/run.h"
#include "runtime/signals.h"

typedef struct {
    const char *weights, *in, *out, *device, *dump, *profile, *gemm;
    TextList set;
    RealList mid;
    int64_t iters, seed, step, threads;
    bool has_iters;
} Args;

/* What the command holds while it runs. lead: sizes before a tensor's own axes (iterations, repetitions), 0 where there are
   none. */
typedef struct {
    Args a;
    Plan *plan;
    const PlanProgram *p;
    Session *s;
    bool train;
    TensorFile *f;
    bool *used;                                      /* per tensor of the file */
    StrBuf errors; int n_errors;
    float **in; double **in64;                       /* per input: all iterations */
    float ***draw; /* [segment][draw]: all iterations or repetitions, rows' order; NULL: generated */
} Job;

static void complain(Job *j, const char *fmt, ...) PRINTF(2, 3);
static void complain(Job *j, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) >= 0) sb_printf(&j->errors, "\n  %s", text);
    va_end(ap);
    free(text);
    j->n_errors++;
}
static bool exists(const PlanTensor *t) { return shape_elements(&t->shape) > 0; }

/* ---- tensors from the file ---- */
/* Is the file's shape (lead,) + shape? A lead of 1 may be left out. */
static bool fits(const TensorEntry *t, int64_t lead, const PlanShape *s)
{
    int skip = t->n_dims - s->n;
    if (skip < 0 || skip > 1 || (skip == 0 && lead > 1) || (skip == 1 && (lead == 0 || t->shape[0] != lead))) return false;
    for (int i = 0; i < s->n; i++) if (t->shape[skip + i] != s->size[i]) return false;
    return true;
}
static void complain_shape(Job *j, const TensorEntry *t, int64_t lead, const PlanShape *s)
{
    StrBuf b = {0};
    tensor_shape_text(&b, t->n_dims, t->shape);
    sb_puts(&b, ", but the program wants [");
    if (lead > 1) sb_printf(&b, "%lld, ", (long long)lead);
    for (int i = 0; i < s->n; i++) sb_printf(&b, "%s%s:%lld", i ? ", " : "", s->role[i], (long long)s->size[i]);
    sb_putc(&b, ']');
    complain(j, "%s has shape %s%s", t->name, b.s, lead > 1 ? j->train ? " (iterations first)" : " (levels first)" : "");
    sb_free(&b);
}
static const TensorEntry *take(Job *j, const char *name)
{
    const TensorEntry *t = j->f ? tensor_find(j->f, name) : NULL;
    if (t) j->used[t - j->f->tensor] = true;
    return t;
}
static void read_inputs(Job *j)
{
    const PlanProgram *p = j->p;
    int64_t lead = j->train ? j->a.iters : 0, times = MAX((int64_t)1, lead);
    j->in = xcalloc((size_t)p->n_inputs + 1, sizeof *j->in);
    j->in64 = xcalloc((size_t)p->n_inputs + 1, sizeof *j->in64);
    for (int i = 0; i < p->n_inputs; i++) {
        const PlanTensor *d = &p->input[i];
        const TensorEntry *t = take(j, d->name);
        if (!exists(d)) {
            if (!t || !t->elements) continue;
            int zero = 0;
            while (d->shape.size[zero]) zero++;
            complain(j, "`%s` is given, but the model has none: its axis %s has size 0 (compile it with another -D)", d->name,
                     d->shape.role[zero]);
            continue;
        }
        int64_t n = shape_elements(&d->shape);
        bool optional = !strcmp(d->name, "labels") || !strcmp(d->name, "augment");
        if (!t && !optional) complain(j, "`%s` is missing", d->name);
        if (t && !fits(t, lead, &d->shape)) complain_shape(j, t, lead, &d->shape);
        else if (t || optional) {
            j->in[i] = xcalloc((size_t)(n * times), sizeof(float));
            if (t) tensor_read_f32(t, 0, n * times, j->in[i]);
            if (t && j->s->cls->wide && t->type == DT_F64) {
                j->in64[i] = xmalloc((size_t)(n * times) * sizeof(double));
                tensor_read_f64(t, 0, n * times, j->in64[i]);
            }
        }
    }
}
/* How often a segment runs in one run of the command, and the lead axis of its draws in files. */
static int64_t segment_times(const Job *j, const PlanSegment *g) { return g->each ? j->a.mid.n : j->train ? j->a.iters : 1; }
static int64_t segment_lead(const Job *j, const PlanSegment *g) { return g->each ? j->a.mid.n : j->train ? j->a.iters : 0; }

/* File order (listed roles) to [row][element] (n first, c innermost), or back. */
static void permute_draw(const PlanDraw *d, const float *from, float *to, bool back)
{
    int64_t stride[PLAN_MAX_AXES], s = 1;
    for (int pass = 0; pass < 2; pass++)                             /* c first, as the innermost, then the others, n last */
        for (int i = d->shape.n; i--; ) {
            const char *role = d->shape.role[i];
            if (!strcmp(role, "n") || !strcmp(role, "c") != !pass) continue;
            stride[i] = s;
            s *= d->shape.size[i];
        }
    for (int i = 0; i < d->shape.n; i++) if (!strcmp(d->shape.role[i], "n")) stride[i] = s;
    int64_t n = d->rows * d->per_row;
    for (int64_t e = 0; e < n; e++) {
        int64_t rest = e, o = 0;
        for (int i = d->shape.n; i--; rest /= d->shape.size[i]) o += rest % d->shape.size[i] * stride[i];
        if (back) to[e] = from[o];
        else to[o] = from[e];
    }
}
static void read_draws(Job *j)
{
    const PlanProgram *p = j->p;
    j->draw = xcalloc((size_t)p->n_segments, sizeof *j->draw);
    for (int i = 0; i < p->n_segments; i++) {
        const PlanSegment *g = &p->segment[i];
        j->draw[i] = xcalloc((size_t)g->n_draws + 1, sizeof **j->draw);
        int64_t times = segment_times(j, g), lead = segment_lead(j, g);
        for (int k = 0; k < g->n_draws; k++) {
            const PlanDraw *d = &g->draw[k];
            const TensorEntry *t = take(j, d->name);
            if (!t) continue;
            if (!times) complain(j, "%s is given, but without --mid nothing draws it", d->name);
            else if (!fits(t, lead, &d->shape)) complain_shape(j, t, lead, &d->shape);
            else {
                int64_t n = d->rows * d->per_row;
                j->draw[i][k] = xmalloc((size_t)(n * times) * sizeof(float));
                float *one = xmalloc((size_t)n * sizeof *one);
                for (int64_t r = 0; r < times; r++) {
                    tensor_read_f32(t, r * n, n, one);
                    permute_draw(d, one, j->draw[i][k] + r * n, false);
                }
                free(one);
            }
        }
    }
}
static void refuse_extra(Job *j)
{
    const PlanProgram *p = j->p;
    const char **names = NULL;
    int n = 0, cap = 0;
    for (int i = 0; i < p->n_inputs; i++) if (exists(&p->input[i])) vec_push(names, n, cap, p->input[i].name);
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_draws; k++) vec_push(names, n, cap, p->segment[i].draw[k].name);
    for (int i = 0; j->f && i < j->f->n; i++) {
        if (j->used[i]) continue;
        const char *near = suggest(j->f->tensor[i].name, names, n);
        complain(j, "`%s` is no input of the program%s%s%s", j->f->tensor[i].name, near ? "; did you mean `" : "",
                 near ? near : "", near ? "`?" : "");
    }
    free(names);
    if (!j->n_errors) return;
    user_error("the inputs %s do not fit program `%s` of %s%s", j->a.in ? j->a.in : "(none)", p->name, j->plan->dir, j->errors.s);
}

/* ---- writing ---- */
static void declare(TensorWriter *w, const char *name, TensorType type, int64_t lead, const PlanShape *s)
{
    int64_t shape[TENSOR_MAX_DIMS + 1];
    int n = 0;
    if (lead) shape[n++] = lead;
    for (int i = 0; i < s->n; i++) shape[n++] = s->size[i];
    tensor_writer_declare(w, name, type, n, shape);
}
static void commit(TensorWriter *w)
{
    char *err = NULL;
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
}
/* Draws that the run used or will use, in file order. */
static void dump_draws(Job *j)
{
    TensorWriter *w = tensor_writer_new(j->a.dump);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < j->p->n_segments; i++) {
            const PlanSegment *g = &j->p->segment[i];
            int64_t times = segment_times(j, g), lead = segment_lead(j, g);
            for (int k = 0; k < g->n_draws && times; k++) {
                const PlanDraw *d = &g->draw[k];
                if (!pass) {
                    declare(w, d->name, DT_F32, g->each && lead == 1 ? 0 : lead, &d->shape);
                    continue;
                }
                int64_t n = d->rows * d->per_row;
                float *rows = xmalloc((size_t)n * sizeof *rows), *file = xmalloc((size_t)n * sizeof *file);
                uint64_t step = j->s->step;
                for (int64_t r = 0; r < times; r++) {
                    if (j->train) j->s->step = step + (uint64_t)r, j->s->seen = (j->s->step - 1) * (uint64_t)j->plan->batch;
                    uint64_t philox = session_philox_step(j->s, j->p, g, g->each ? (int)r + 1 : 0);
                    const float *from = rows;
                    if (j->draw[i][k]) from = j->draw[i][k] + r * n;
                    else session_draw(j->s, j->p, d, philox, 0, rows);
                    permute_draw(d, from, file, true);
                    tensor_writer_data(w, file, (size_t)n * sizeof *file);
                }
                j->s->step = step;
                j->s->seen = (step - 1) * (uint64_t)j->plan->batch;
                free(rows);
                free(file);
            }
        }
    commit(w);
}
/* Values of one output, appended to the list of what is written. */
static void put_param(TensorWriter *w, const PlanParam *p, const float *flat, const double *wide)
{
    if (!wide) {
        float *v = xmalloc((size_t)p->elements * sizeof *v);
        param_gather(p, flat, v);
        tensor_writer_data(w, v, (size_t)p->elements * sizeof *v);
        free(v);
        return;
    }
    int64_t idx[PLAN_MAX_AXES] = {0}, n = p->elements;
    double *v = xmalloc((size_t)n * sizeof *v);
    for (int64_t e = 0; e < n; e++) {
        int64_t at = p->offset;
        for (int i = 0; i < p->shape.n; i++) at += idx[i] * p->stride[i];
        v[e] = wide[at];
        for (int i = p->shape.n; i-- && ++idx[i] == p->shape.size[i]; ) idx[i] = 0;
    }
    tensor_writer_data(w, v, (size_t)n * sizeof *v);
    free(v);
}
static void run_once(Job *j)
{
    const PlanProgram *p = j->p;
    RunArgs a = {.in = (const float *const *)j->in,
                 .in64 = (const double *const *)j->in64,
                 .draw = (const float *const *const *)j->draw,
                 .mid = j->a.mid.v,
                 .n_mid = j->a.mid.n};
    session_run(j->s, p, &a);
    session_fetch_gradient(j->s);
    TensorWriter *w = tensor_writer_new(j->a.out);
    TensorType type = j->s->cls->wide ? DT_F64 : DT_F32;
    for (int i = 0; i < p->n_outputs; i++) declare(w, p->output[i].name, type, 0, &p->output[i].shape);
    for (int i = 0; i < p->n_outputs; i++) {
        const PlanTensor *t = &p->output[i];
        size_t n = (size_t)shape_elements(&t->shape);
        if (p->output_param[i] >= 0) put_param(w, &j->plan->param[p->output_param[i]], j->s->grad, j->s->grad64);
        else if (type == DT_F64) tensor_writer_data(w, session_output64(j->s, p, t->name), n * sizeof(double));
        else tensor_writer_data(w, session_output(j->s, p, t->name), n * sizeof(float));
    }
    commit(w);
}
static void run_train(Job *j)
{
    const PlanProgram *p = j->p;
    Session *s = j->s;
    int64_t iters = j->a.iters;
    session_training(s);
    float **kept = xcalloc((size_t)p->n_outputs + 1, sizeof *kept);
    for (int i = 0; i < p->n_outputs; i++)
        if (p->output_param[i] < 0)
            kept[i] = xmalloc((size_t)MAX((int64_t)1, shape_elements(&p->output[i].shape) * iters) * sizeof(float));
    const float **in = xcalloc((size_t)p->n_inputs + 1, sizeof *in);
    const float **draw = xcalloc((size_t)p->segment[0].n_draws + 1, sizeof *draw);
    for (int64_t it = 0; it < iters; it++) {
        for (int i = 0; i < p->n_inputs; i++) in[i] = j->in[i] ? j->in[i] + it * shape_elements(&p->input[i].shape) : NULL;
        for (int k = 0; k < p->segment[0].n_draws; k++)
            draw[k] = j->draw[0][k] ? j->draw[0][k] + it * p->segment[0].draw[k].rows * p->segment[0].draw[k].per_row : NULL;
        RunArgs a = {.in = in, .draw = (const float *const *const[2]){draw, NULL}};
        session_micro(s, &a);
        session_update(s);
        for (int i = 0; i < p->n_outputs; i++) {
            size_t n = (size_t)shape_elements(&p->output[i].shape);
            if (kept[i]) memcpy(kept[i] + (size_t)it * n, session_output(s, p, p->output[i].name), n * sizeof(float));
        }
        s->step++;
        s->seen += (uint64_t)j->plan->batch;
    }
    session_fetch(s);
    TensorWriter *w = tensor_writer_new(j->a.out);
    for (int i = 0; i < p->n_outputs; i++) if (kept[i]) declare(w, p->output[i].name, DT_F32, iters, &p->output[i].shape);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; pass && i < p->n_outputs; i++)
            if (kept[i]) tensor_writer_data(w, kept[i], (size_t)(shape_elements(&p->output[i].shape) * iters) * sizeof(float));
        for (int k = 0; k < j->plan->n_sets; k++)
            for (int i = 0; i < j->plan->n_params; i++) {
                const PlanParam *q = &j->plan->param[i];
                char *name = k ? xasprintf("%s.%s", j->plan->set[k], q->name) : xstrdup(q->name);
                if (pass) put_param(w, q, s->set[k], NULL);
                else declare(w, name, DT_F32, 0, &q->shape);
                free(name);
            }
    }
    commit(w);
    for (int i = 0; i < p->n_outputs; i++) free(kept[i]);
    free(kept);
    free(in);
    free(draw);
}

/* ---- the command ---- */
static void parse(Job *j, int argc, char **argv)
{
    Args *a = &j->a;
    *a = (Args){.device = "auto", .gemm = "auto", .iters = 1, .step = 1};
    Option o[] = {
        {"weights", OPT_TEXT, &a->weights, "FILE", "parameters (safetensors); without `ema.*` they stand for both", 0, 0, 0},
        {"in", OPT_TEXT, &a->in, "FILE", "inputs, and draws (draw.*) that replace the generated ones", 0, 0, 0},
        {"out", OPT_TEXT, &a->out, "FILE", "where the outputs go", 0, 0, 0},
        {"set", OPT_TEXTS, &a->set, "NAME=EXPR", "another expression for a run-time scalar", 0, 0, 0},
        {"mid", OPT_REALS, &a->mid, "T", "another step of `sample` at level T; may be repeated", 0, 0, 0},
        {"iters", OPT_INT, &a->iters, "N", "steps of `train_step` (default 1); its inputs then have a leading axis", 1, 1 << 30,
         0},
        {"device", OPT_TEXT, &a->device, "D", "auto, cpu, cuda, ref, ref64 or cuda-emu (default auto)", 0, 0, 0},
        {"seed", OPT_INT, &a->seed, "S", "seed of the random draws (default 0)", 0, INT64_MAX, 0},
        {"step", OPT_INT, &a->step, "K", "number of the (first) update (default 1)", 1, 1LL << 40, 0},
        {"dump-draws", OPT_TEXT, &a->dump, "FILE", "write the draws that are used; as inputs they give the same bits", 0, 0, 0},
        {"gemm", OPT_TEXT, &a->gemm, "WHO", "cuda: who computes plain matrix products: auto (timed once), own kernels or lt (cuBLASLt) (default auto)", 0, 0, 0},
        {"threads", OPT_INT, &a->threads, "T", "threads (default: all processors)", 1, 4096, 0},
        {"require-cached", OPT_FLAG, &cache_only, NULL, "compile nothing: status 2 and a list when kernels are neither packed nor cached", 0, 0, 0},
        {"profile", OPT_JSON, &a->profile, "[FILE.json]", "at the end, time each kernel took against its prediction", 0, 0, 0},
    };
    const char *usage = "ect-rt run PLAN PROGRAM --weights FILE --in FILE --out FILE [options]", *pos[2] = {NULL, NULL};
    int n =
        options_parse(usage, "Runs one program of a plan on tensors from a safetensors file.", o, COUNT(o), argc, argv, pos, 2);
    if (n < 2) user_error("%s? usage: %s", n ? "which program" : "which plan", usage);
    if (!a->out) user_error("where to? give --out FILE");
    a->has_iters = option_find(o, COUNT(o), "iters")->given;
    char *err = NULL;
    j->plan = plan_load(pos[0], &err);
    if (!j->plan) user_error("%s", err);
    j->p = plan_program(j->plan, pos[1]);
    if (!j->p) {
        const char **names = xmalloc(((size_t)j->plan->n_programs + 1) * sizeof *names);
        StrBuf b = {0};
        for (int i = 0; i < j->plan->n_programs; i++) {
            names[i] = j->plan->program[i].name;
            sb_printf(&b, " %s", names[i]);
        }
        const char *near = suggest(pos[1], names, j->plan->n_programs);
        user_error("the plan %s has no program `%s`%s%s%s; it has:%s", pos[0], pos[1], near ? ": did you mean `" : "",
                   near ? near : "", near ? "`?" : "", b.s ? b.s : " none");
    }
    j->train = !strcmp(j->p->name, "train_step");
    if (a->has_iters && !j->train) user_error("--iters is for program train_step, not `%s`", j->p->name);
    bool repeats = false;
    for (int i = 0; i < j->p->n_segments; i++) repeats |= j->p->segment[i].each != NULL;
    if (a->mid.n && !repeats) user_error("--mid: program `%s` has no `each`: it takes no levels", j->p->name);
    for (int i = 0; i < a->mid.n; i++)
        if (!(a->mid.v[i] > 0)) user_error("--mid %g: a noise level is greater than 0", a->mid.v[i]);
}
int cmd_run(int argc, char **argv)
{
    Job j = {0};
    signals_as_errors();
    parse(&j, argc, argv);
    Args *a = &j.a;
    char *err = NULL;
    bool init = !strcmp(j.p->name, "init");
    if (!a->weights && !init && j.plan->n_params)
        user_error("which weights? give --weights FILE (`ect-rt run %s init --out FILE` makes some)", j.plan->dir);
    Session *s = j.s = session_open(j.plan, init && strcmp(a->device, "ref64") ? "ref" : a->device, (int)a->threads);
    session_gemm(s, a->gemm, NULL);
    if (a->profile) {
        profile_check(s->cls, a->profile);
        s->profile = profile_new(j.plan, s->cls, s->threads);
    }
    s->seed = (uint64_t)a->seed;
    s->step = (uint64_t)a->step;
    s->seen = (s->step - 1) * (uint64_t)j.plan->batch;
    for (int i = 0; i < a->set.n; i++) if (!session_set(s, a->set.v[i], &err)) user_error("%s", err);
    session_check(s);
    if (a->in) {
        j.f = tensor_file_open(a->in, &err);
        if (!j.f) user_error("%s", err);
        j.used = xcalloc((size_t)j.f->n + 1, sizeof *j.used);
    }
    read_inputs(&j);
    read_draws(&j);
    refuse_extra(&j);
    if (a->weights) session_load(s, a->weights, NULL, false, NULL);
    if (a->dump) dump_draws(&j);
    if (j.train) run_train(&j);
    else run_once(&j);
    for (int i = 0; i < j.p->n_inputs; i++) free(j.in[i]), free(j.in64[i]);
    for (int i = 0; i < j.p->n_segments; i++) {
        for (int k = 0; k < j.p->segment[i].n_draws; k++) free(j.draw[i][k]);
        free(j.draw[i]);
    }
    free(j.in); free(j.in64); free(j.draw); free(j.used);
    free(a->set.v); free(a->mid.v);
    if (j.f) tensor_file_close(j.f);
    profile_end(s->profile, a->profile);
    session_close(s);
    plan_free(j.plan);
    return EXIT_OK;
}
