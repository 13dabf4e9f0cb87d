/* `ect-rt explain` and `ect-rt devices`: what a plan does, step by step, as aligned tables or JSON.
   Assumes plans validated by plan_load. */
#include <unistd.h>
#include "runtime/options.h"
#include "runtime/run.h"

typedef struct { int kernels, distinct; int64_t flops, bytes, peak; } Cost;

static Cost cost_of(const Plan *p, const PlanProgram *g)
{
    Cost c = {0};
    bool *seen = xcalloc((size_t)p->n_kernels + 1, sizeof *seen);
    for (int i = 0; i < g->n_segments; i++) {
        const PlanSegment *s = &g->segment[i];
        c.flops += s->flops;
        c.bytes += s->bytes;
        c.peak = MAX(c.peak, s->peak_bytes);
        c.kernels += s->n_steps;
        for (int k = 0; k < s->n_steps; k++) {
            c.distinct += !seen[s->step[k].kernel];
            seen[s->step[k].kernel] = true;
        }
    }
    free(seen);
    return c;
}

/* ---- a table: cells are added row by row, printed with aligned columns; the last column is left as long as it is ---- */
typedef struct { int columns, n, cap; char **cell; const char *align; } Table;        /* align: one of l r a column */
static void cell(Table *t, const char *fmt, ...) PRINTF(2, 3);
static void cell(Table *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0) s = xstrdup("");
    va_end(ap);
    vec_push(t->cell, t->n, t->cap, s);
}
static void print_table(Table *t)
{
    int width[16] = {0};
    for (int i = 0; i < t->n; i++) width[i % t->columns] = MAX(width[i % t->columns], (int)strlen(t->cell[i]));
    for (int i = 0; i < t->n; i++) {
        int c = i % t->columns;
        bool last = c == t->columns - 1;
        if (t->align[c] == 'r') printf("%s%*s", c ? "  " : "", width[c], t->cell[i]);
        else if (last) printf("%s%s", c ? "  " : "", t->cell[i]);
        else printf("%s%-*s", c ? "  " : "", width[c], t->cell[i]);
        if (last) putchar('\n');
        free(t->cell[i]);
    }
    free(t->cell);
}
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
static void print_steps(const Plan *p, const PlanSegment *s)
{
    Table t = {.columns = 8, .align = "rllrrlll"};
    static const char *const head[] = {"step", "kernel", "class", "MFLOP", "MB", "source", "instance", "buffers: elements"};
    for (int i = 0; i < 8; i++) cell(&t, "%s", head[i]);
    for (int i = 0; i < s->n_steps; i++) {
        const PlanStep *st = &s->step[i];
        const PlanKernel *k = &p->kernel[st->kernel];
        StrBuf b = {0};
        for (int q = 0; q < st->n_buffers; q++) {
            const PlanBuffer *f = &s->buffer[st->buffer[q]];
            sb_printf(&b, "%s%s:%lld", q ? " " : "",
                      *f->name               ? f->name
                      : f->kind == BUF_PARAM ? "param"
                                             : "-",
                      (long long)f->elements);
            if (q == 7 && st->n_buffers > 8) {
                sb_printf(&b, " +%d", st->n_buffers - 8);
                break;
            }
        }
        cell(&t, "%d", i);
        cell(&t, "%s", k->name);
        cell(&t, "%s", k->cls);
        cell(&t, "%.1f", (double)k->flops / 1e6);
        cell(&t, "%.2f", mb(k->bytes));
        cell(&t, "%s", st->at ? st->at : "");
        cell(&t, "%s", st->path ? st->path : "");
        cell(&t, "%s", b.s ? b.s : "");
        sb_free(&b);
    }
    print_table(&t);
}
static void print_plan(const Plan *p)
{
    printf("plan %s: model %s, ectc %s, batch %lld, %d parameters in %lld elements (%.1f MB)\n", p->dir, p->model, p->compiler,
           (long long)p->batch, p->n_params, (long long)p->param_elements, mb(p->param_elements * 4));
    Table t = {.columns = 2, .align = "ll"};
    for (int i = 0; i < p->n_config; i++) {
        cell(&t, "  %s", p->config[i].name);
        cell(&t, "= %s", p->config[i].value);
    }
    if (p->n_config) printf("\nconfig (ectc -D)\n");
    print_table(&t);
    t = (Table){.columns = 2, .align = "ll"};
    for (int i = 0; i < p->n_runtime; i++) {
        cell(&t, "  %s: %s", p->runtime[i].name, p->runtime[i].is_int ? "int" : "real");
        cell(&t, "= %s", p->runtime[i].expr);
    }
    if (p->n_runtime) printf("\nrun-time variables (--set)\n");
    print_table(&t);
    printf("\nprograms\n");
    t = (Table){.columns = 6, .align = "lrrrrr"};
    static const char *const head[] = {"  program", "kernels", "distinct", "GFLOP", "MB moved", "peak MB"};
    for (int i = 0; i < 6; i++) cell(&t, "%s", head[i]);
    for (int i = 0; i < p->n_programs; i++) {
        Cost c = cost_of(p, &p->program[i]);
        cell(&t, "  %s", p->program[i].name);
        cell(&t, "%d", c.kernels);
        cell(&t, "%d", c.distinct);
        cell(&t, "%.3f", (double)c.flops / 1e9);
        cell(&t, "%.1f", mb(c.bytes));
        cell(&t, "%.1f", mb(c.peak));
    }
    print_table(&t);
    for (int i = 0; i < p->n_programs; i++) {
        const PlanProgram *g = &p->program[i];
        printf("\nprogram %s%s\n", g->name, g->training ? " (training)" : "");
        print_tensors("in", g->input, g->n_inputs);
        if (strcmp(g->name, "init")) print_tensors("out", g->output, g->n_outputs);
        for (int k = 0; k < g->n_segments; k++) {
            const PlanSegment *s = &g->segment[k];
            printf("  segment %s%s%s: graph %s, peak %.1f MB\n", s->name, s->each ? ", for each of " : "", s->each ? s->each : "",
                   s->graph, mb(s->peak_bytes));
            for (int d = 0; d < s->n_draws; d++) {
                StrBuf b = {0};
                shape_text(&b, &s->draw[d].shape);
                static const char *const kind[] = {
                    [PLAN_UNIFORM] = "uniform", [PLAN_NORMAL] = "normal", [PLAN_BERNOULLI] = "bernoulli"};
                printf("    %s: %s %s\n", s->draw[d].name, kind[s->draw[d].kind], b.s);
                sb_free(&b);
            }
            if (s->n_steps) print_steps(p, s);
        }
    }
}
static void print_parameters(const Plan *p)
{
    Table t = {.columns = 4, .align = "lrrl"};
    static const char *const head[] = {"parameter", "elements", "offset", "shape"};
    for (int i = 0; i < 4; i++) cell(&t, "%s", head[i]);
    int64_t total = 0;
    for (int i = 0; i < p->n_params; i++) {
        StrBuf b = {0};
        shape_text(&b, &p->param[i].shape);
        cell(&t, "%s", p->param[i].name);
        cell(&t, "%lld", (long long)p->param[i].elements);
        cell(&t, "%lld", (long long)p->param[i].offset);
        cell(&t, "%s", b.s);
        sb_free(&b);
        total += p->param[i].elements;
    }
    print_table(&t);
    printf("%d tensors, %lld elements\n", p->n_params, (long long)total);
}
/* First and last step that uses each buffer. */
static void lifetimes(const PlanSegment *s, int *first, int *last)
{
    for (int i = 0; i < s->n_buffers; i++) first[i] = last[i] = -1;
    for (int i = 0; i < s->n_steps; i++)
        for (int k = 0; k < s->step[i].n_buffers; k++) {
            int b = s->step[i].buffer[k];
            if (first[b] < 0) first[b] = i;
            last[b] = i;
        }
}
static void print_memory(const Plan *p)
{
    int64_t flat = p->param_elements * 4;
    printf("flat arrays: parameters %.1f MB, gradient %.1f MB, %d states of %.1f MB\n", mb(flat), mb(flat), p->n_states,
           mb(flat));
    for (int i = 0; i < p->n_programs; i++)
        for (int k = 0; k < p->program[i].n_segments; k++) {
            const PlanSegment *s = &p->program[i].segment[k];
            printf("\nsegment %s: arena %.1f MB\n", s->name, mb(s->peak_bytes));
            int *first = xmalloc(((size_t)s->n_buffers + 1) * sizeof *first),
                *last = xmalloc(((size_t)s->n_buffers + 1) * sizeof *last);
            lifetimes(s, first, last);
            Table t = {.columns = 4, .align = "lrrl"};
            static const char *const head[] = {"  buffer", "bytes", "offset", "steps"};
            for (int c = 0; c < 4; c++) cell(&t, "%s", head[c]);
            for (int b = 0; b < s->n_buffers; b++) {
                if (s->buffer[b].kind != BUF_ARENA) continue;
                cell(&t, "  %s", s->buffer[b].name);
                cell(&t, "%lld", (long long)s->buffer[b].elements * 4);
                cell(&t, "%lld", (long long)s->buffer[b].offset * 4);
                cell(&t, "%d .. %d", first[b], last[b]);
            }
            print_table(&t);
            free(first);
            free(last);
        }
}

/* ---- JSON ---- */
static void json_parameters(StrBuf *b, const Plan *p)
{
    sb_putc(b, '{');
    for (int i = 0; i < p->n_params; i++) {
        sb_puts(b, i ? ",\n " : "");
        sb_json_string(b, p->param[i].name);
        sb_puts(b, ": [");
        for (int k = 0; k < p->param[i].shape.n; k++) sb_printf(b, "%s%lld", k ? ", " : "", (long long)p->param[i].shape.size[k]);
        sb_putc(b, ']');
    }
    sb_puts(b, "}");
}
static void json_tensors(StrBuf *b, const char *key, const PlanTensor *v, int n)
{
    sb_printf(b, ",\n   \"%s\": {", key);
    for (int i = 0; i < n; i++) {
        sb_puts(b, i ? ", " : "");
        sb_json_string(b, v[i].name);
        sb_puts(b, ": [");
        for (int k = 0; k < v[i].shape.n; k++) sb_printf(b, "%s%lld", k ? ", " : "", (long long)v[i].shape.size[k]);
        sb_putc(b, ']');
    }
    sb_putc(b, '}');
}
static void json_segment(StrBuf *b, const Plan *p, const PlanSegment *s, bool memory)
{
    sb_puts(b, "{\"name\": ");
    sb_json_string(b, s->name);
    sb_printf(b, ", \"flops\": %lld, \"bytes\": %lld, \"peak_bytes\": %lld, ", (long long)s->flops, (long long)s->bytes,
              (long long)s->peak_bytes);
    sb_puts(b, memory ? "\"buffers\": [" : "\"steps\": [");
    bool comma = false;
    for (int i = 0; memory && i < s->n_buffers; i++) {
        if (s->buffer[i].kind != BUF_ARENA) continue;
        sb_puts(b, comma ? ",\n     {\"name\": " : "\n     {\"name\": ");
        sb_json_string(b, s->buffer[i].name);
        sb_printf(b, ", \"offset\": %lld, \"bytes\": %lld}", (long long)s->buffer[i].offset * 4,
                  (long long)s->buffer[i].elements * 4);
        comma = true;
    }
    for (int i = 0; !memory && i < s->n_steps; i++) {
        sb_puts(b, i ? ",\n     {\"kernel\": " : "\n     {\"kernel\": ");
        sb_json_string(b, p->kernel[s->step[i].kernel].name);
        sb_puts(b, ", \"at\": ");
        sb_json_string(b, s->step[i].at ? s->step[i].at : "");
        sb_puts(b, ", \"path\": ");
        sb_json_string(b, s->step[i].path ? s->step[i].path : "");
        sb_putc(b, '}');
    }
    sb_puts(b, "]}");
}
static void json_plan(StrBuf *b, const Plan *p, bool memory)
{
    sb_puts(b, "{\"plan\": ");
    sb_json_string(b, p->dir);
    sb_puts(b, ", \"model\": ");
    sb_json_string(b, p->model);
    sb_puts(b, ", \"ectc\": ");
    sb_json_string(b, p->compiler);
    int64_t total = 0;
    for (int i = 0; i < p->n_params; i++) total += p->param[i].elements;
    sb_printf(b, ", \"batch\": %lld, \"parameters\": %lld, \"param_elements\": %lld,\n \"config\": {", (long long)p->batch,
              (long long)total, (long long)p->param_elements);
    for (int i = 0; i < p->n_config; i++) {
        sb_puts(b, i ? ", " : "");
        sb_json_string(b, p->config[i].name);
        sb_puts(b, ": ");
        sb_json_string(b, p->config[i].value);
    }
    sb_puts(b, "},\n \"runtime\": {");
    for (int i = 0; i < p->n_runtime; i++) {
        sb_puts(b, i ? ", " : "");
        sb_json_string(b, p->runtime[i].name);
        sb_puts(b, ": ");
        sb_json_string(b, p->runtime[i].expr);
    }
    sb_puts(b, "},\n \"programs\": {");
    for (int i = 0; i < p->n_programs; i++) {
        const PlanProgram *g = &p->program[i];
        Cost c = cost_of(p, g);
        sb_puts(b, i ? ",\n  " : "\n  ");
        sb_json_string(b, g->name);
        sb_printf(b,
                  ": {\"kernels\": %d, \"distinct_kernels\": %d, \"flops\": %lld, \"bytes\": %lld, \"peak_bytes\": %lld, "
                  "\"training\": %s",
                  c.kernels, c.distinct, (long long)c.flops, (long long)c.bytes, (long long)c.peak,
                  g->training ? "true" : "false");
        json_tensors(b, "inputs", g->input, g->n_inputs);
        json_tensors(b, "outputs", g->output, g->n_outputs);
        sb_puts(b, ",\n   \"segments\": [");
        for (int k = 0; k < g->n_segments; k++) {
            sb_puts(b, k ? ",\n    " : "\n    ");
            json_segment(b, p, &g->segment[k], memory);
        }
        sb_puts(b, "]}");
    }
    sb_puts(b, "}}");
}

int cmd_explain(int argc, char **argv)
{
    bool parameters = false, memory = false, json = false;
    Option o[] = {
        {"parameters", OPT_FLAG, &parameters, NULL, "parameters in storage order", 0, 0, 0},
        {"memory", OPT_FLAG, &memory, NULL, "where each buffer lies in its arena, and for how long", 0, 0, 0},
        {"json", OPT_FLAG, &json, NULL, "the same as JSON", 0, 0, 0},
    };
    const char *usage = "ect-rt explain PLAN [--parameters] [--memory] [--json]", *dir;
    if (!options_parse(usage, "Says what a plan does: programs, steps, kernels, memory.", o, COUNT(o), argc, argv, &dir, 1))
        user_error("which plan? usage: %s", usage);
    char *err = NULL;
    Plan *p = plan_load(dir, &err);
    if (!p) user_error("%s", err);
    if (json) {
        StrBuf b = {0};
        if (parameters) json_parameters(&b, p);
        else json_plan(&b, p, memory);
        puts(b.s);
        sb_free(&b);
    } else if (parameters) print_parameters(p);
    else if (memory) print_memory(p);
    else print_plan(p);
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
        printf("%-6s  %-3s  %s\n", device_classes[i]->name, works ? "yes" : "no", what ? what : "");
        free(what);
    }
    printf("%-6s  %-3s  %s\n", "cuda", "no", "not built into this version");
    return EXIT_OK;
}
