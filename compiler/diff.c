/* diff.h: kernels of two plans matched program by program, by text, else by class, instances and lines.
   Assumes kernels of equal names have equal texts (the name is a hash of the text). */
#include "compiler/diff.h"
#include "compiler/plan_json.h"
#include "runtime/predict.h"
#include "runtime/table.h"
#include <math.h>

/* A kernel in one program of one plan. */
typedef struct {
    const KernelJson *k;
    int calls, runs, mate;                           /* runs: instances of all calls; mate: counterpart in the other plan or -1 */
    double bytes, seconds;                           /* of all calls; seconds: predicted */
    PlanNames path, line;                            /* of its steps, each once, sorted */
} Use;
typedef struct {
    const PlanJson *plan;
    const ProgramJson *program;                      /* NULL: the plan has no such program */
    int n; Use *use;                                 /* in order of first execution */
    int launches;
    double flops, bytes, peak, seconds;
} Side;
typedef struct { const char *mark; const Use *a, *b; double weight; int order; } Change;
typedef struct { const char *dir[2], *device; bool check, totals; } Options;

/* ---- one side ---- */
static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }
static void sort_once(PlanNames *s)
{
    int n = 0;
    if (s->n) qsort(s->v, (size_t)s->n, sizeof *s->v, by_text);
    for (int i = 0; i < s->n; i++) if (!n || strcmp(s->v[n - 1], s->v[i])) s->v[n++] = s->v[i];
    s->n = n;
}
static bool same_names(const PlanNames *a, const PlanNames *b)
{
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++) if (strcmp(a->v[i], b->v[i])) return false;
    return true;
}
static double step_seconds(const PlanJson *p, const StepJson *s, const PredictDevice *d)
{
    const KernelJson *k = &p->kernel[s->kernel];
    double n = s->instances;
    return predict_seconds(d, !strcmp(k->cls, "contract"), number_named(k->precision), n * (double)k->flops,
                           (double)s->bytes, NULL);
}
static Side side_of(const PlanJson *p, const ProgramJson *g, const PredictDevice *d)
{
    Side s = {.plan = p, .program = g};
    int *at = arena_make(p->arena, int, p->n_kernels + 1), *lines = arena_make(p->arena, int, p->n_kernels + 1);
    s.use = arena_make(p->arena, Use, p->n_kernels + 1);
    for (int i = 0; g && i < g->n_segments; i++) {
        const SegmentJson *m = &g->segment[i];
        s.peak = MAX(s.peak, (double)m->peak_bytes);
        for (int q = 0; q < m->n_steps; q++) {
            int k = m->step[q].kernel;
            if (!at[k]) {
                s.use[s.n] = (Use){.k = &p->kernel[k], .mate = -1};
                at[k] = ++s.n;
            }
            s.use[at[k] - 1].calls++;
            s.use[at[k] - 1].runs += m->step[q].instances;
            s.use[at[k] - 1].bytes += (double)m->step[q].bytes;
            s.use[at[k] - 1].seconds += step_seconds(p, &m->step[q], d);
            lines[k] += m->step[q].source.n;
        }
    }
    for (int i = 0; i < s.n; i++) {
        Use *u = &s.use[i];
        int k = (int)(u->k - p->kernel);
        u->path.v = arena_make(p->arena, const char *, u->calls);
        u->line.v = arena_make(p->arena, const char *, lines[k] + 1);
        s.launches += u->calls;
        s.flops += u->runs * (double)u->k->flops;
        s.bytes += u->bytes;
        s.seconds += u->seconds;
    }
    for (int i = 0; g && i < g->n_segments; i++)
        for (int q = 0; q < g->segment[i].n_steps; q++) {
            const StepJson *t = &g->segment[i].step[q];
            Use *u = &s.use[at[t->kernel] - 1];
            if (*t->path) u->path.v[u->path.n++] = t->path;
            for (int l = 0; l < t->source.n; l++) u->line.v[u->line.n++] = t->source.v[l];
        }
    for (int i = 0; i < s.n; i++) {
        sort_once(&s.use[i].path);
        sort_once(&s.use[i].line);
    }
    return s;
}

/* ---- matching: the surest signs first; within a round in order of execution ---- */
static bool same_text(const Use *a, const Use *b) { return !strcmp(a->k->name, b->k->name); }
static bool same_place(const Use *a, const Use *b) { return same_names(&a->path, &b->path) && same_names(&a->line, &b->line); }
static bool same_paths(const Use *a, const Use *b) { return a->path.n && same_names(&a->path, &b->path); }
static bool same_lines(const Use *a, const Use *b) { return a->line.n && same_names(&a->line, &b->line); }
static void match(Side *a, Side *b)
{
    static bool (*const round[])(const Use *, const Use *) = {same_text, same_place, same_paths, same_lines};
    for (size_t r = 0; r < COUNT(round); r++)
        for (int i = 0; i < a->n; i++)
            for (int k = 0; k < b->n && a->use[i].mate < 0; k++) {
                if (b->use[k].mate >= 0 || strcmp(a->use[i].k->cls, b->use[k].k->cls)) continue;
                if (!round[r](&a->use[i], &b->use[k])) continue;
                a->use[i].mate = k;
                b->use[k].mate = i;
            }
}
/* Equal texts may still be counted differently by two compilers, or run more often. */
static bool unchanged(const Use *a, const Use *b)
{
    return same_text(a, b) && a->calls == b->calls && a->runs == b->runs && a->k->flops == b->k->flops
           && a->k->bytes == b->k->bytes;
}
static int heaviest_first(const void *a, const void *b)
{
    const Change *x = a, *y = b;
    return x->weight < y->weight ? 1 : x->weight > y->weight ? -1 : x->order - y->order;
}
static int changes(const Side *a, const Side *b, Change **out)
{
    int n = 0;
    Change *v = xcalloc((size_t)(a->n + b->n) + 1, sizeof *v);
    for (int i = 0; i < a->n; i++) {
        const Use *x = &a->use[i], *y = x->mate >= 0 ? &b->use[x->mate] : NULL;
        if (!y) v[n++] = (Change){.mark = "-", .a = x, .weight = x->seconds};
        else if (!unchanged(x, y)) v[n++] = (Change){.mark = same_text(x, y) ? "=" : "~", .a = x, .b = y,
                                                     .weight = fabs(x->seconds - y->seconds)};
    }
    for (int i = 0; i < b->n; i++)
        if (b->use[i].mate < 0) v[n++] = (Change){.mark = "+", .b = &b->use[i], .weight = b->use[i].seconds};
    for (int i = 0; i < n; i++) v[i].order = i;
    qsort(v, (size_t)n, sizeof *v, heaviest_first);
    *out = v;
    return n;
}

/* ---- text ---- */
/* "1.2 -> 1.0", or one of them where they print the same or there is but one. */
static void cell_two(Table *t, bool has_a, bool has_b, int digits, double a, double b)
{
    char *x = xasprintf("%.*f", digits, a), *y = xasprintf("%.*f", digits, b);
    if (has_a && has_b && strcmp(x, y)) table_cell(t, "%s -> %s", x, y);
    else table_cell(t, "%s", has_a ? x : y);
    free(x);
    free(y);
}
static void cell_list(Table *t, const PlanNames *s)
{
    if (s->n > 1) table_cell(t, "%s +%d", s->v[0], s->n - 1);
    else table_cell(t, "%s", s->n ? s->v[0] : "");
}
static void print_changes(const Side *a, const Change *v, int n)
{
    int count[4] = {0};
    static const char marks[] = "~=+-";
    for (int i = 0; i < n; i++) count[strchr(marks, *v[i].mark) - marks]++;
    printf("\nprogram %s: %d kernels changed, %d of equal text run or counted differently, %d added, %d removed, %d the same\n",
           a->program->name,
           count[0], count[1], count[2], count[3], a->n - count[0] - count[1] - count[3]);
    const KernelJson no_kernel = {.name = ""};
    const Use none = {.k = &no_kernel};
    Table t = {.columns = 9, .align = "lrrrrllll"};
    static const char *const head[] = {"", "ms", "calls", "MFLOP", "MB", "kernel", "result, sum", "source", "instances"};
    table_head(&t, head);
    for (int i = 0; i < n; i++) {
        const Use *x = v[i].a ? v[i].a : &none, *y = v[i].b ? v[i].b : &none, *is = v[i].b ? v[i].b : v[i].a;
        table_cell(&t, "%s", v[i].mark);
        cell_two(&t, v[i].a, v[i].b, 3, 1e3 * x->seconds, 1e3 * y->seconds);
        cell_two(&t, v[i].a, v[i].b, 0, x->calls, y->calls);
        cell_two(&t, v[i].a, v[i].b, 1, x->runs * (double)x->k->flops / 1e6, y->runs * (double)y->k->flops / 1e6);
        cell_two(&t, v[i].a, v[i].b, 2, x->bytes / 1e6, y->bytes / 1e6);
        if (*v[i].mark == '~') table_cell(&t, "%s -> %s", x->k->name, y->k->name);
        else table_cell(&t, "%s", is->k->name);
        table_cell(&t, "%s", is->k->shape);
        cell_list(&t, &is->line);
        cell_list(&t, &is->path);
    }
    table_print(&t, TABLE_WIDTH);
}
static void total_row(Table *t, const char *name, const Side *a, const Side *b)
{
    bool x = a->program != NULL, y = b->program != NULL;
    table_cell(t, "  %s%s", name, x && y ? "" : x ? " (first plan only)" : " (second plan only)");
    cell_two(t, x, y, 0, a->launches, b->launches);
    cell_two(t, x, y, 0, a->n, b->n);
    cell_two(t, x, y, 3, a->flops / 1e9, b->flops / 1e9);
    cell_two(t, x, y, 1, a->bytes / 1e6, b->bytes / 1e6);
    cell_two(t, x, y, 1, a->peak / 1e6, b->peak / 1e6);
    cell_two(t, x, y, 3, 1e3 * a->seconds, 1e3 * b->seconds);
}
/* Prints what of plan.json and of the other files differs; false when nothing does. Kernels' files differ with their names. */
static bool other_differences(const PlanJson *a, const PlanJson *b)
{
    int n = 0;
    const char *key;
    json_t *v;
    StrBuf s = {0};
    json_object_foreach(a->root, key, v)
        if (!json_equal(v, json_object_get(b->root, key))) sb_printf(&s, "%s%s", n++ ? ", " : "", key);
    json_object_foreach(b->root, key, v)
        if (!json_object_get(a->root, key)) sb_printf(&s, "%s%s", n++ ? ", " : "", key);
    if (n) printf("plan.json differs in: %s\n", s.s);
    size_t i;
    json_array_foreach(json_object_get(a->root, "config"), i, v) {
        const char *name = json_string_value(json_array_get(v, 0)), *old = json_string_value(json_array_get(v, 1));
        size_t k;
        json_t *w;
        json_array_foreach(json_object_get(b->root, "config"), k, w) {
            const char *other = json_string_value(json_array_get(w, 0)), *new = json_string_value(json_array_get(w, 1));
            if (name && old && other && new && !strcmp(name, other) && strcmp(old, new))
                printf("  config %s: %s -> %s\n", name, old, new);
        }
    }
    PlanNames file = {.v = xcalloc(2, sizeof *file.v)};
    file.v[file.n++] = "model.dsl";
    file.v[file.n++] = "kernels/prelude.h";
    for (int p = 0; p < a->n_programs; p++) {
        file.v = xrealloc(file.v, (size_t)(file.n + a->program[p].n_segments) * sizeof *file.v);
        for (int k = 0; k < a->program[p].n_segments; k++) file.v[file.n++] = a->program[p].segment[k].graph;
    }
    int files = 0;
    s.len = 0;
    for (int k = 0; k < file.n; k++) {
        size_t x = 0, y = 0;
        char *one = plan_json_file(a, file.v[k], &x), *two = plan_json_file(b, file.v[k], &y);
        if (!one != !two || (one && (x != y || memcmp(one, two, x)))) sb_printf(&s, "%s%s", files++ ? ", " : "", file.v[k]);
        free(one);
        free(two);
    }
    if (files) printf("files that differ: %s\n", s.s);
    free(file.v);
    sb_free(&s);
    return n || files;
}

/* ---- the command ---- */
static Options parse(int argc, char **argv)
{
    Options o = {.device = "cpu"};
    int n = 0;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--check")) o.check = true;
        else if (!strcmp(a, "--totals")) o.totals = true;
        else if (!strcmp(a, "--device")) {
            if (i + 1 == argc) user_error("--device needs a value\n  help: ectc --help");
            o.device = argv[++i];
        } else if (!strncmp(a, "--device=", 9)) o.device = a + 9;
        else if (a[0] == '-' && a[1]) {
            static const char *const known[] = {"--check", "--device", "--totals"};
            const char *near = suggest(a, known, COUNT(known));
            user_error("unknown option %s\n  help: %s%s%s", a, near ? "did you mean " : "ectc --help", near ? near : "",
                       near ? "?" : "");
        } else if (n == 2) user_error("diff compares two plans; %s is a third\n  help: ectc diff PLAN1 PLAN2", a);
        else o.dir[n++] = a;
    }
    if (n < 2) user_error("diff compares two plans\n  help: ectc diff PLAN1 PLAN2");
    return o;
}
int diff_plans(int argc, char **argv)
{
    Options o = parse(argc, argv);
    PredictDevice d;
    char *err = NULL;
    if (!predict_device(&d, o.device, 0, &err)) user_error("--device: %s", err);
    PlanJson *p[2];
    for (int i = 0; i < 2; i++) {
        p[i] = plan_json_load(o.dir[i], &err);
        if (!p[i]) user_error("%s", err);
        printf("%s  %s: model %s, ectc %s, batch %lld\n", i ? "+" : "-", o.dir[i], p[i]->model, p[i]->compiler,
               (long long)p[i]->batch);
    }
    bool differ = other_differences(p[0], p[1]);
    Table t = {.columns = 7, .align = "lrrrrrr"};
    char *ms = xasprintf("ms on %s", d.name);
    const char *head[] = {"  program", "launches", "kernels", "GFLOP", "MB moved", "peak MB", ms};
    putchar('\n');
    table_head(&t, head);
    free(ms);
    int n = 0;
    Side *side = xcalloc((size_t)(p[0]->n_programs + p[1]->n_programs) + 1, 2 * sizeof *side);
    for (int i = 0; i < p[0]->n_programs; i++) {
        const ProgramJson *g = &p[0]->program[i];
        side[n++] = side_of(p[0], g, &d);
        side[n++] = side_of(p[1], plan_json_program(p[1], g->name), &d);
    }
    for (int i = 0; i < p[1]->n_programs; i++) {
        const ProgramJson *g = &p[1]->program[i];
        if (plan_json_program(p[0], g->name)) continue;
        side[n++] = side_of(p[0], NULL, &d);
        side[n++] = side_of(p[1], g, &d);
    }
    for (int i = 0; i < n; i += 2) {
        const ProgramJson *g = side[i].program ? side[i].program : side[i + 1].program;
        total_row(&t, g->name, &side[i], &side[i + 1]);
    }
    table_print(&t, 0);
    for (int i = 0; i < n; i += 2) {
        Side *a = &side[i], *b = &side[i + 1];
        if (!a->program || !b->program) { differ = true; continue; }
        match(a, b);
        Change *v;
        int k = changes(a, b, &v);
        differ |= k > 0;
        if (k && !o.totals) print_changes(a, v, k);
        free(v);
    }
    puts(differ ? "\nthe plans differ" : "\nthe plans are equal");
    free(side);
    for (int i = 0; i < 2; i++) plan_json_free(p[i]);
    if (fflush(stdout) || ferror(stdout)) machine_error("cannot write the output");
    return differ && o.check ? EXIT_USER : EXIT_OK;
}
