/* `ect-rt explain` and `ect-rt devices`: what a plan does and costs, as aligned tables; the JSON is explain_json.c's.
   Assumes plans validated by plan_load. */
#include <omp.h>
#include <unistd.h>
#include "runtime/explain.h"
#include "runtime/cubins.h"
#include "runtime/memory.h"
#include "runtime/options.h"
#include "runtime/run.h"
#include "runtime/table.h"

static void shape_text(StrBuf *b, const PlanShape *s)
{
    sb_putc(b, '[');
    for (int i = 0; i < s->n; i++) sb_printf(b, "%s%s:%lld", i ? ", " : "", s->role[i], (long long)s->size[i]);
    sb_putc(b, ']');
}
static double mb(int64_t bytes) { return (double)bytes / 1e6; }

/* ---- text ---- */
static void print_tensors(const char *what, const PlanTensor *v, int n)
{
    int shown = 0;
    StrBuf b = {0};
    for (int i = 0; i < n; i++) {
        if (!strncmp(v[i].name, "grad.", 5)) continue;
        sb_printf(&b, "%s%s ", shown++ ? ", " : "", v[i].name);
        shape_text(&b, &v[i].shape);
    }
    if (shown < n) sb_printf(&b, "%s%d gradients", shown ? ", " : "", n - shown);
    if (b.len) printf("  %s: %s\n", what, b.s);
    sb_free(&b);
}
static void print_steps(const Plan *p, const PlanSegment *s, const PredictDevice *d)
{
    Table t = {.columns = 9, .align = "rllrrrlll"};
    static const char *const head[] = {"step", "kernel", "class", "MFLOP", "MB", "ms", "source", "instance", "buffers: elements"};
    table_head(&t, head);
    for (int i = 0; i < s->n_steps; i++) {
        const PlanStep *st = &s->step[i];
        const PlanKernel *k = &p->kernel[st->kernel];
        StrBuf b = {0};
        for (int q = 0; q < st->n_buffers; q++) {
            const PlanBuffer *f = &s->buffer[st->buffer[q]];
            sb_printf(&b, "%s%s:%lld%s%s", q ? " " : "",
                      *f->name               ? f->name
                      : f->kind == BUF_PARAM ? "param"
                                             : "-",
                      (long long)f->elements, f->type == NUM_F32 ? "" : ":", f->type == NUM_F32 ? "" : number_info[f->type].name);
            if (q == 7 && st->n_buffers > 8) {
                sb_printf(&b, " +%d", st->n_buffers - 8);
                break;
            }
        }
        table_cell(&t, "%d", i);
        if (st->instances > 1) table_cell(&t, "%s x%d", k->name, st->instances);
        else table_cell(&t, "%s", k->name);
        table_cell(&t, "%s", k->cls);
        table_cell(&t, "%.1f", st->instances * (double)k->flops / 1e6);
        table_cell(&t, "%.2f", mb(st->bytes));
        table_cell(&t, "%.3f", 1e3 * step_seconds(p, st, d, NULL));
        table_cell(&t, "%s", st->at ? st->at : "");
        table_cell(&t, "%s", st->path ? st->path : "");
        table_cell(&t, "%s", b.s ? b.s : "");
        sb_free(&b);
    }
    table_print(&t, 0);
}
/* The first of a list and how many more there are. */
static void table_cell_list(Table *t, const char *const *v, int n, int all)
{
    if (n && all > 1) table_cell(t, "%s +%d", v[0], all - 1);
    else table_cell(t, "%s", n ? v[0] : "");
}
/* Kernels of a program, those that take longest first. */
static void print_kernels(const Plan *p, const ProgramCost *c)
{
    bool issued = c->issued_bytes >= 0;
    Table t = {.columns = issued ? 12 : 11, .align = issued ? "rrrlrrrlllll" : "rrrlrrlllll"};
    static const char *const head[] = {"ms", "share", "calls", "class", "MFLOP", "MB", "bound", "kernel", "result, sum",
                                       "source", "instances"};
    static const char *const head_issued[] = {"ms", "share", "calls", "class", "MFLOP", "MB", "issued", "bound", "kernel",
                                              "result, sum", "source", "instances"};
    table_head(&t, issued ? head_issued : head);
    for (int i = 0; i < c->n; i++) {
        const KernelUse *u = &c->use[i];
        const PlanKernel *k = &p->kernel[u->kernel];
        table_cell(&t, "%.3f", 1e3 * u->seconds);
        table_cell(&t, "%.1f%%", 100 * u->seconds / c->seconds);
        if (u->most == 1) table_cell(&t, "%d", u->launches);
        else if (u->most == u->least) table_cell(&t, "%d x%d", u->launches, u->most);
        else table_cell(&t, "%d x%d..%d", u->launches, u->least, u->most);
        table_cell(&t, "%s", k->cls);
        table_cell(&t, "%.1f", u->runs * (double)k->flops / 1e6);
        table_cell(&t, "%.2f", mb(u->bytes));
        if (issued) table_cell(&t, "%.2f", mb(u->runs * k->issued_bytes));
        table_cell(&t, "%s", predict_bound_name[u->bound]);
        table_cell(&t, "%s", k->name);
        table_cell(&t, "%s", k->shape);
        table_cell_list(&t, u->line, u->n_lines, MAX(u->n_lines, k->n_source));
        table_cell_list(&t, u->path, u->n_paths, u->n_paths);
    }
    table_print(&t, TABLE_WIDTH);
}
static void print_totals(const Plan *p, const PredictDevice *d)
{
    Table t = {.columns = 8, .align = "lrrrrrrr"};
    char *seconds = xasprintf("ms on %s", d->name);
    const char *head[] = {"  program", "launches", "kernels", "GFLOP", "MB moved", "MB issued", "peak MB", seconds};
    table_head(&t, head);
    free(seconds);
    for (int i = 0; i < p->n_programs; i++) {
        ProgramCost c;
        cost_of(&c, p, &p->program[i], d);
        table_cell(&t, "  %s", p->program[i].name);
        table_cell(&t, "%d", c.launches);
        table_cell(&t, "%d", c.n);
        table_cell(&t, "%.3f", (double)c.flops / 1e9);
        table_cell(&t, "%.1f", mb(c.bytes));
        if (c.issued_bytes >= 0) table_cell(&t, "%.1f", mb(c.issued_bytes));
        else table_cell(&t, "-");
        table_cell(&t, "%.1f", mb(c.peak));
        table_cell(&t, "%.3f", 1e3 * c.seconds);
        cost_free(&c);
    }
    table_print(&t, 0);
}
static void print_program(const Plan *p, const PlanProgram *g, const PredictDevice *d, bool steps)
{
    printf("\nprogram %s%s\n", g->name, g->training ? " (training)" : "");
    print_tensors("in", g->input, g->n_inputs);
    if (strcmp(g->name, "init")) print_tensors("out", g->output, g->n_outputs);
    for (int k = 0; k < g->n_segments; k++) {
        const PlanSegment *s = &g->segment[k];
        printf("  segment %s%s%s: graph %s, peak %.1f MB, %d launches, %d draws\n", s->name, s->each ? ", for each of " : "",
               s->each ? s->each : "", s->graph, mb(s->peak_bytes), s->n_steps, s->n_draws);
        for (int i = 0; steps && i < s->n_draws; i++) {
            StrBuf b = {0};
            shape_text(&b, &s->draw[i].shape);
            static const char *const kind[] = {[PLAN_UNIFORM] = "uniform", [PLAN_NORMAL] = "normal",
                                               [PLAN_BERNOULLI] = "bernoulli"};
            printf("    %s: %s %s\n", s->draw[i].name, kind[s->draw[i].kind], b.s);
            sb_free(&b);
        }
        if (steps && s->n_steps) print_steps(p, s, d);
    }
    ProgramCost c;
    cost_of(&c, p, g, d);
    if (!steps && c.n) print_kernels(p, &c);
    cost_free(&c);
}
static void print_head(const Plan *p)
{
    printf("plan %s: model %s, ectc %s, batch %lld, %d parameters in %lld elements (%.1f MB)\n", p->dir, p->model, p->compiler,
           (long long)p->batch, p->n_params, (long long)p->param_elements, mb(p->param_elements * 4));
    Table t = {.columns = 2, .align = "ll"};
    for (int i = 0; i < p->n_config; i++) {
        table_cell(&t, "  %s", p->config[i].name);
        table_cell(&t, "= %s", p->config[i].value);
    }
    if (p->n_config) printf("\nconfig (ectc -D)\n");
    table_print(&t, 0);
    for (int i = 0; i < p->n_runtime; i++) {
        table_cell(&t, "  %s: %s", p->runtime[i].name, p->runtime[i].is_int ? "int" : "real");
        table_cell(&t, "= %s", p->runtime[i].expr);
    }
    if (p->n_runtime) printf("\nrun-time variables (--set)\n");
    table_print(&t, 0);
}
static void print_parameters(const Plan *p)
{
    Table t = {.columns = 4, .align = "lrrl"};
    static const char *const head[] = {"parameter", "elements", "offset", "shape"};
    table_head(&t, head);
    int64_t total = 0;
    for (int i = 0; i < p->n_params; i++) {
        StrBuf b = {0};
        shape_text(&b, &p->param[i].shape);
        table_cell(&t, "%s", p->param[i].name);
        table_cell(&t, "%lld", (long long)p->param[i].elements);
        table_cell(&t, "%lld", (long long)p->param[i].offset);
        table_cell(&t, "%s", b.s);
        sb_free(&b);
        total += p->param[i].elements;
    }
    table_print(&t, 0);
    printf("%d tensors, %lld elements\n", p->n_params, (long long)total);
}
/* What `train` is to take beside its data set. */
static void print_peak(const Plan *p)
{
    if (plan_program(p, "train_step"))
        printf("predicted peak %.1f MB: train with %d threads, without the data set\n", mb((int64_t)memory_training_peak(p, omp_get_max_threads())),
               omp_get_max_threads());
}
static void print_memory(const Plan *p)
{
    print_peak(p);
    int64_t flat = p->param_elements * 4;
    printf("flat arrays: parameters %.1f MB, gradient %.1f MB, %d states of %.1f MB\n", mb(flat), mb(flat), p->n_states,
           mb(flat));
    for (int i = 0; i < p->n_programs; i++)
        for (int k = 0; k < p->program[i].n_segments; k++) {
            const PlanSegment *s = &p->program[i].segment[k];
            printf("\nsegment %s: arena %.1f MB\n", s->name, mb(s->peak_bytes));
            Table t = {.columns = 5, .align = "lrlrl"};
            static const char *const head[] = {"  buffer", "bytes", "type", "offset", "steps"};
            table_head(&t, head);
            for (int b = 0; b < s->n_buffers; b++) {
                if (s->buffer[b].kind != BUF_ARENA || s->buffer[b].within >= 0) continue;
                table_cell(&t, "  %s", s->buffer[b].name);
                table_cell(&t, "%lld", (long long)s->buffer[b].elements * number_info[s->buffer[b].type].bytes);
                table_cell(&t, "%s", number_info[s->buffer[b].type].name);
                table_cell(&t, "%lld", (long long)s->buffer[b].offset * 4);
                table_cell(&t, "%d .. %d", s->buffer[b].first, s->buffer[b].last);
            }
            table_print(&t, 0);
        }
}

static NORETURN void unknown_program(const Plan *p, const char *name)
{
    const char **names = xmalloc(((size_t)p->n_programs + 1) * sizeof *names);
    for (int i = 0; i < p->n_programs; i++) names[i] = p->program[i].name;
    const char *near = suggest(name, names, p->n_programs);
    user_error("the plan %s has no program `%s`%s%s%s", p->dir, name, near ? ": did you mean `" : "", near ? near : "",
               near ? "`?" : "");
}

int cmd_explain(int argc, char **argv)
{
    bool parameters = false, memory = false, json = false, totals = false, steps = false;
    const char *device = "cpu", *program = NULL;
    Option o[] = {
        {"device", OPT_TEXT, &device, "D", "predict for h200, a100 or cpu (this machine's cores; default)", 0, 0, 0},
        {"program", OPT_TEXT, &program, "NAME", "this program only", 0, 0, 0},
        {"steps", OPT_FLAG, &steps, NULL, "draws, and launches in order with their buffers, instead of kernels by time", 0, 0, 0},
        {"totals", OPT_FLAG, &totals, NULL, "one line for each program, nothing else", 0, 0, 0},
        {"parameters", OPT_FLAG, &parameters, NULL, "parameters in storage order", 0, 0, 0},
        {"memory", OPT_FLAG, &memory, NULL, "where each buffer lies in its arena, and for how long", 0, 0, 0},
        {"json", OPT_FLAG, &json, NULL, "the same as JSON", 0, 0, 0},
    };
    const char *usage = "ect-rt explain PLAN [--device D] [--program NAME] [--json]\n"
                        "                      [--steps | --totals | --parameters | --memory]";
    const char *dir;
    if (!options_parse(usage, "Says what a plan does and costs: programs, kernels by predicted time, steps, memory.", o,
                       COUNT(o), argc, argv, &dir, 1))
        user_error("which plan? usage: %s", usage);
    if (steps + totals + parameters + memory > 1) user_error("--steps, --totals, --parameters and --memory exclude each other");
    char *err = NULL;
    PredictDevice d;
    if (!predict_device(&d, device, 0, &err)) user_error("--device: %s", err);
    Plan *p = plan_load(dir, &err);
    if (!p) user_error("%s", err);
    if (program) {
        const PlanProgram *g = plan_program(p, program);
        if (!g) unknown_program(p, program);
        p->program = (PlanProgram *)g;
        p->n_programs = 1;
    }
    if (json) {
        StrBuf b = {0};
        if (parameters) explain_json_parameters(&b, p);
        else explain_json(&b, p, &d, totals, memory);
        puts(b.s);
        sb_free(&b);
    } else if (parameters) print_parameters(p);
    else if (memory) print_memory(p);
    else if (totals) print_totals(p, &d);
    else {
        print_head(p);
        printf("\nprograms; times are predictions for %s (%s", d.name, d.what);
        if (d.cores) printf(", %d", d.cores);
        puts(")");
        print_totals(p, &d);
        print_peak(p);
        if (!steps) puts("kernels below: all figures are of all calls of a kernel in the program; xN: calls that run it for N sets of buffers");
        for (int i = 0; i < p->n_programs; i++) print_program(p, &p->program[i], &d, steps);
    }
    plan_free(p);
    if (fflush(stdout) || ferror(stdout)) machine_error("cannot write the output");
    return EXIT_OK;
}

int cmd_devices(int argc, char **argv)
{
    const char *pos;
    options_parse("ect-rt devices", "Lists the devices: which work here, and why the others do not.", NULL, 0, argc, argv, &pos,
                  0);
    for (int i = 0; device_classes[i]; i++) {
        char *what = NULL;
        bool works = device_classes[i]->available(&what);
        printf("%-8s  %-3s  %s\n", device_classes[i]->name, works ? "yes" : "no", what ? what : "");
        free(what);
    }
    printf("\nlibraries of cuda:\n");
    cuda_libraries_print();
    return EXIT_OK;
}
