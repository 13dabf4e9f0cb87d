/* `ect-rt cubins`: every CUDA kernel of a plan compiled without a GPU; registers, spills, shared memory and occupancy in a table, and what exceeds
   its budget as exit status 1.
   Assumes a budget file of lines `PATTERN LIMIT N ...`, limits registers, spill, stack, shared, blocks (at least), ms. */
#include "runtime/cubins.h"
#include "runtime/options.h"
#include "runtime/signals.h"
#include "runtime/table.h"
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>

enum { SLOWEST = 5 };
typedef struct { char *pattern; double registers, spill, stack, shared, blocks, ms; } Budget;
typedef struct {
    const char *kernel, *entry;
    PtxasEntry p;
    int threads, blocks;
    int64_t dynamic;
    double ms;
    bool known;                                      /* the report has the entry */
} Row;
typedef struct {
    Row *row; int n, cap;
    int64_t bytes;
    double ms, seconds;
    int kernels, compiled, bad;
    StrBuf trouble;                                  /* a line each */
} Report;

/* ---- budgets ---- */
static Budget *read_budget(const char *path, int *n)
{
    char *text = read_file(path, NULL), *save = NULL;
    Budget *v = NULL;
    int cap = 0, number = 0;
    *n = 0;
    if (!text) user_error("%s cannot be read: %s", path, strerror(errno));
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        number++;
        line[strcspn(line, "#")] = 0;
        Budget b = {NULL, 255, 0, INT_MAX, INT_MAX, 1, INT_MAX};
        const struct { const char *name; double *to; } limit[] = {{"registers", &b.registers}, {"spill", &b.spill}, {"stack", &b.stack},
                                                                  {"shared", &b.shared}, {"blocks", &b.blocks}, {"ms", &b.ms}};
        char *word = strtok_r(line, " \t\r", &save);
        if (!word) continue;
        b.pattern = xstrdup(word);
        while ((word = strtok_r(NULL, " \t\r", &save))) {
            char *value = strtok_r(NULL, " \t\r", &save), *end = "x";
            double *to = NULL;
            for (size_t i = 0; i < COUNT(limit); i++) if (!strcmp(limit[i].name, word)) to = limit[i].to;
            if (to && value) *to = strtod(value, &end);
            if (*end) user_error("%s:%d: `%s %s`: a limit is one of registers, spill, stack, shared, blocks, ms and a number", path, number, word,
                                 value ? value : "");
        }
        vec_push(v, *n, cap, b);
    }
    free(text);
    return v;
}

static void PRINTF(2, 3) trouble(Report *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = NULL;
    if (vasprintf(&s, fmt, ap) < 0) s = xstrdup("");
    va_end(ap);
    sb_printf(&r->trouble, "%s\n", s);
    free(s);
    r->bad++;
}

/* The first line whose pattern fits counts; without one, no spills and at least one block. */
static void check_row(Report *r, const Row *w, const Budget *b, int n)
{
    static const Budget NONE = {NULL, 255, 0, INT_MAX, INT_MAX, 1, INT_MAX};
    const Budget *l = &NONE;
    for (int i = 0; i < n && l == &NONE; i++) if (!fnmatch(b[i].pattern, w->entry, 0)) l = &b[i];
    if (!w->known) {
        trouble(r, "%s: NVRTC's report says nothing of it", w->entry);
        return;
    }
    const int spill = w->p.spill_stores + w->p.spill_loads;
    if (!(spill <= l->spill)) trouble(r, "%s: spills %d bytes to memory, %d back", w->entry, w->p.spill_stores, w->p.spill_loads);
    if (!(w->p.registers <= l->registers)) trouble(r, "%s: %d registers, of at most %.0f", w->entry, w->p.registers, l->registers);
    if (!(w->p.stack <= l->stack)) trouble(r, "%s: %d bytes of stack, of at most %.0f", w->entry, w->p.stack, l->stack);
    if (!((double)(w->p.shared + w->dynamic) <= l->shared))
        trouble(r, "%s: %lld bytes of shared memory, of at most %.0f", w->entry, (long long)(w->p.shared + w->dynamic), l->shared);
    if (w->blocks >= 0 && !(w->blocks >= l->blocks))
        trouble(r, w->blocks ? "%s: %d resident blocks, of at least %.0f" : "%s: cannot be launched, %d blocks fit", w->entry, w->blocks, l->blocks);
    if (!(w->ms <= l->ms)) trouble(r, "%s: %.0f ms to compile, of at most %.0f", w->entry, w->ms, l->ms);
}

/* ---- gathering ---- */
static void add_kernel(Report *r, const PlanKernel *k, const Cubin *c, const ArchLimits *a, const Budget *b, int n_budget)
{
    PtxasEntry *e;
    int n = ptxas_report(c->log, &e);
    char *warnings = ptxas_warnings(c->log);
    if (warnings) trouble(r, "%s: the compiler warns:\n%.*s", k->name, (int)MIN(strlen(warnings), 600), warnings);
    free(warnings);
    for (int i = 0; i < k->cuda->n_launches; i++) {
        const PlanCudaLaunch *l = &k->cuda->launch[i];
        Row w = {.kernel = c->name, .entry = l->entry, .threads = l->block, .dynamic = l->shared, .ms = c->ms, .blocks = -1};
        for (int q = 0; q < n && !w.known; q++) {
            if (strcmp(e[q].name, l->entry)) continue;
            w.known = true;
            w.p = e[q];
            w.p.name = NULL;
            if (a) w.blocks = resident_blocks(a, &e[q], l->block, l->shared);
        }
        check_row(r, &w, b, n_budget);
        vec_push(r->row, r->n, r->cap, w);
    }
    ptxas_free(e, n);
    r->bytes += (int64_t)c->bytes;
    r->ms += c->ms;
    r->kernels++;
}

static void gather(Report *r, const Plan *plan, const bool *used, const char *arch, bool draws, bool fresh, const Budget *b, int n_budget)
{
    const double began = now_seconds();
    const ArchLimits *a = arch_limits(arch);
    Cubins *c = cubins_open(plan, used, arch, draws);
    if (cubins_find(c, !fresh, !fresh)) cubins_compile(c);
    r->compiled = cubins_compiled(c);
    for (int i = 0; i < plan->n_kernels; i++) {
        const Cubin *k = cubins_get(c, i);
        if (cubins_owner(c, i) != i) continue;
        if (k) add_kernel(r, &plan->kernel[i], k, a, b, n_budget);
        else if (cubins_error(c, i)) trouble(r, "%s does not compile:\n%.1500s", plan->kernel[i].cuda->file, cubins_error(c, i));
    }
    cubins_free(c);
    r->seconds = now_seconds() - began;
}

/* ---- printing ---- */
static int by_ms(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    return x->ms != y->ms ? (x->ms < y->ms) - (x->ms > y->ms) : strcmp(x->entry, y->entry);
}

static void print_table(const Report *r, const char *arch)
{
    static const char *const HEAD[] = {"kernel", "entry", "registers", "spill", "stack", "shared", "dynamic", "barriers", "threads", "blocks/SM", "ms"};
    Table t = {.columns = COUNT(HEAD), .align = "llrrrrrrrrr"};
    table_head(&t, HEAD);
    for (int i = 0; i < r->n; i++) {
        const Row *w = &r->row[i];
        table_cell(&t, "%s", w->kernel);
        table_cell(&t, "%s", strcmp(w->kernel, w->entry) ? w->entry : "\"");
        table_cell(&t, "%d", w->p.registers);
        table_cell(&t, "%d", w->p.spill_stores + w->p.spill_loads);
        table_cell(&t, "%d", w->p.stack);
        table_cell(&t, "%d", w->p.shared);
        table_cell(&t, "%lld", (long long)w->dynamic);
        table_cell(&t, "%d", w->p.barriers);
        table_cell(&t, "%d", w->threads);
        table_cell(&t, w->blocks < 0 ? "?" : "%d", w->blocks);
        table_cell(&t, "%.1f", w->ms);
    }
    printf("%s\n", arch);
    table_print(&t, 0);
    Row *slow = xmalloc((size_t)MAX(1, r->n) * sizeof *slow);
    if (r->n) memcpy(slow, r->row, (size_t)r->n * sizeof *slow);
    qsort(slow, (size_t)r->n, sizeof *slow, by_ms);
    printf("slowest to compile:");
    int shown = 0;
    for (int i = 0; i < r->n && shown < SLOWEST; i++) {
        if (i && slow[i].kernel == slow[i - 1].kernel) continue;         /* several entries of a kernel are compiled at once */
        printf("%s %s %.1f ms", shown++ ? "," : "", slow[i].kernel, slow[i].ms);
    }
    free(slow);
    printf("\n%d kernels, %d compiled now, %.2f MB; %.2f s of compiling in all, %.2f s now\n", r->kernels, r->compiled, (double)r->bytes / 1048576,
           r->ms / 1e3, r->seconds);
    if (r->trouble.len) printf("%s", r->trouble.s);
}

static void print_json(const Report *r, const char *arch, bool first)
{
    StrBuf j = {0};
    sb_printf(&j, "%s\n {\"arch\": \"%s\", \"kernels\": %d, \"compiled\": %d, \"bytes\": %lld, \"compile_ms\": %.1f, \"seconds\": %.3f, \"entries\": [",
              first ? "" : ",", arch, r->kernels, r->compiled, (long long)r->bytes, r->ms, r->seconds);
    for (int i = 0; i < r->n; i++) {
        const Row *w = &r->row[i];
        sb_printf(&j, "%s\n  {\"kernel\": \"%s\", \"entry\": \"%s\", \"registers\": %d, \"spill_stores\": %d, \"spill_loads\": %d, \"stack\": %d, "
                  "\"shared\": %d, \"dynamic\": %lld, \"barriers\": %d, \"threads\": %d, \"blocks\": %d, \"compile_ms\": %.1f}", i ? "," : "",
                  w->kernel, w->entry, w->p.registers, w->p.spill_stores, w->p.spill_loads, w->p.stack, w->p.shared, (long long)w->dynamic,
                  w->p.barriers, w->threads, w->blocks, w->ms);
    }
    sb_puts(&j, "\n ], \"trouble\": ");
    sb_json_string(&j, r->trouble.s ? r->trouble.s : "");
    sb_putc(&j, '}');
    fputs(j.s, stdout);
    sb_free(&j);
}

/* ---- the command ---- */
static bool *kernels_of(const Plan *plan, const TextList *programs)
{
    bool *used = xcalloc((size_t)MAX(1, plan->n_kernels), sizeof *used), any = false;
    for (int i = 0; i < programs->n; i++) {
        const PlanProgram *p = plan_program(plan, programs->v[i]);
        if (!p) user_error("%s has no program `%s`", plan->dir, programs->v[i]);
        for (int s = 0; s < p->n_segments; s++)
            for (int k = 0; k < p->segment[s].n_steps; k++) used[p->segment[s].step[k].kernel] = true;
    }
    for (int i = 0; i < plan->n_kernels; i++) {
        used[i] = plan->kernel[i].cuda && (used[i] || !programs->n);
        any |= used[i];
    }
    if (!any) user_error("%s has no CUDA kernels; compile the model with ectc --target cpu,cuda", plan->dir);
    return used;
}

int cmd_cubins(int argc, char **argv)
{
    TextList archs = {0}, programs = {0};
    const char *budget = NULL, *pos[2];
    bool json = false, draws = false, fresh = false;
    Option o[] = {
        {"arch", OPT_TEXTS, &archs, "A", "the processor, sm_80, sm_90a, sm_120, ...; may be repeated (default sm_90a)", 0, 0, 0},
        {"program", OPT_TEXTS, &programs, "P", "only the kernels of this program; may be repeated", 0, 0, 0},
        {"budget", OPT_TEXT, &budget, "FILE", "lines `PATTERN registers N spill N stack N shared N blocks N ms N`: what entries may take", 0, 0, 0},
        {"draw-inputs", OPT_FLAG, &draws, NULL, "the variant that takes its draws as inputs", 0, 0, 0},
        {"fresh", OPT_FLAG, &fresh, NULL, "compile all, whatever the cache or the plan hold", 0, 0, 0},
        {"json", OPT_FLAG, &json, NULL, "print JSON", 0, 0, 0},
    };
    int n = options_parse("ect-rt cubins PLAN [options]", "Compiles the CUDA kernels of a plan, which needs NVRTC but no GPU, and says what each takes of the "
                          "processor.\nExit status 1: a kernel does not compile, spills, draws a warning, or exceeds its budget.",
                          o, COUNT(o), argc, argv, pos, 2);
    if (n != 1) user_error("cubins: one PLAN; `ect-rt cubins --help`");
    if (!archs.n) vec_push(archs.v, archs.n, archs.cap, "sm_90a");
    for (int i = 0; i < archs.n; i++)
        if (strncmp(archs.v[i], "sm_", 3)) user_error("--arch %s: a processor is written sm_90a", archs.v[i]);
    signals_as_errors();
    char *err;
    Plan *plan = plan_load(pos[0], &err);
    if (!plan) user_error("%s", err);
    int n_budget = 0, bad = 0;
    Budget *b = budget ? read_budget(budget, &n_budget) : NULL;
    bool *used = kernels_of(plan, &programs);
    if (json) printf("[");
    for (int i = 0; i < archs.n; i++) {
        Report r = {0};
        gather(&r, plan, used, archs.v[i], draws, fresh, b, n_budget);
        if (json) print_json(&r, archs.v[i], !i);
        else print_table(&r, archs.v[i]);
        bad += r.bad;
        free(r.row);
        sb_free(&r.trouble);
    }
    if (json) printf("\n]\n");
    for (int i = 0; i < n_budget; i++) free(b[i].pattern);
    free(b);
    free(used);
    free(archs.v);
    free(programs.v);
    plan_free(plan);
    if (fflush(stdout) || ferror(stdout)) machine_error("cannot write the output");
    return bad ? EXIT_USER : EXIT_OK;
}
