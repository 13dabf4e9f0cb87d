/* profile.h.
   Assumes plans validated by plan_load; seconds, FLOPs and bytes of a row are sums over its calls. */
#include "runtime/profile.h"
#include "runtime/cost.h"
#include "runtime/table.h"
#include <errno.h>
#include <unistd.h>

enum { ROWS_SHOWN = 30 };
typedef struct { const PlanProgram *program; const PlanSegment *segment; StepTime *time; double whole; } Timed;
struct Profile {
    const Plan *plan;
    PredictDevice device;
    double clock;                                    /* seconds one reading of the clock takes */
    int n; Timed *timed;                             /* every segment of the plan */
};
typedef struct { const char *key, *cls, *shape, *at; int64_t calls; double seconds, predicted, flops, bytes; } Row;
typedef struct { int n, cap; Row *v; Row sum; } Rows;

void profile_check(const DeviceClass *device, const char *file)
{
    if (!device->timed) user_error("--profile times kernels, and the device %s interprets graphs; use --device cpu",
                                   device->name);
    if (!*file) return;
    const char *slash = strrchr(file, '/');
    char *folder = slash ? xasprintf("%.*s", (int)(slash - file) + 1, file) : xstrdup(".");
    if (access(folder, W_OK | X_OK)) user_error("--profile %s: cannot write to the folder %s: %s", file, folder, strerror(errno));
    free(folder);
}

Profile *profile_new(const Plan *plan, const DeviceClass *device, int threads)
{
    enum { READINGS = 1000 };
    Profile *p = xcalloc(1, sizeof *p);
    char *err = NULL;
    p->plan = plan;
    if (!predict_device(&p->device, device->memory ? "h200" : "cpu", threads, &err)) die("%s", err);
    for (int i = 0; i < plan->n_programs; i++) p->n += plan->program[i].n_segments;
    p->timed = xcalloc((size_t)p->n + 1, sizeof *p->timed);
    int n = 0;
    for (int i = 0; i < plan->n_programs; i++)
        for (int k = 0; k < plan->program[i].n_segments; k++) {
            const PlanSegment *s = &plan->program[i].segment[k];
            p->timed[n] = (Timed){.program = &plan->program[i], .segment = s};
            p->timed[n++].time = xcalloc((size_t)s->n_steps + 1, sizeof(StepTime));
        }
    double began = now_seconds();
    for (int i = 0; i < READINGS; i++) p->clock = now_seconds();
    p->clock = (p->clock - began) / READINGS;
    return p;
}

StepTime *profile_segment(Profile *p, const PlanSegment *s, double **whole)
{
    for (int i = 0; i < p->n; i++)
        if (p->timed[i].segment == s) {
            *whole = &p->timed[i].whole;
            return p->timed[i].time;
        }
    die("the segment %s is of another plan", s->name);
}

/* ---- rows ---- */
typedef enum { BY_CLASS, BY_KERNEL, BY_SOURCE, BY_SEGMENT, GROUPINGS } Grouping;
static const struct { const char *json, *title; } grouping[] = {
    [BY_CLASS] = {"by_class", "class"}, [BY_KERNEL] = {"by_kernel", "kernel"}, [BY_SOURCE] = {"by_source", "source"},
    [BY_SEGMENT] = {"by_segment", "segment"},
};

static int slowest_first(const void *a, const void *b)
{
    const Row *x = a, *y = b;
    if (x->seconds < y->seconds || x->seconds > y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return strcmp(x->key, y->key);
}
static void add(Row *to, const Row *r)
{
    to->calls += r->calls;
    to->seconds += r->seconds;
    to->predicted += r->predicted;
    to->flops += r->flops;
    to->bytes += r->bytes;
}
/* What was run, a row for each class, kernel, line or segment, slowest first. */
static Rows rows_of(const Profile *p, Grouping by)
{
    Rows out = {0};
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < p->timed[i].segment->n_steps; k++) {
            const PlanStep *s = &p->timed[i].segment->step[k];
            const PlanKernel *kernel = &p->plan->kernel[s->kernel];
            const StepTime *t = &p->timed[i].time[k];
            if (!t->calls) continue;
            const char *at = s->at && *s->at ? s->at : "-";
            const char *keys[] = {[BY_CLASS] = kernel->cls, [BY_KERNEL] = kernel->name, [BY_SOURCE] = at,
                                  [BY_SEGMENT] = p->timed[i].segment->name};
            const char *key = keys[by];
            double calls = (double)t->calls, runs = calls * s->instances;
            Row r = {.key = key, .cls = kernel->cls, .shape = kernel->shape, .at = at, .calls = t->calls, .seconds = t->seconds,
                     .predicted = calls * step_seconds(p->plan, s, &p->device, NULL),
                     .flops = runs * (double)kernel->flops, .bytes = calls * (double)s->bytes};
            int q = 0;
            while (q < out.n && strcmp(out.v[q].key, key)) q++;
            if (q < out.n) add(&out.v[q], &r);
            else vec_push(out.v, out.n, out.cap, r);
            add(&out.sum, &r);
        }
    if (out.n) qsort(out.v, (size_t)out.n, sizeof *out.v, slowest_first);
    return out;
}
static double ratio(double a, double b) { return b > 0 ? a / b : 0; }
/* Share of the kernels' time that is not in contractions. */
static double outside_contractions(const Rows *classes)
{
    double s = 0;
    for (int i = 0; i < classes->n; i++) if (strcmp(classes->v[i].key, "contract")) s += classes->v[i].seconds;
    return ratio(s, classes->sum.seconds);
}
static double whole_seconds(const Profile *p)
{
    double s = 0;
    for (int i = 0; i < p->n; i++) s += p->timed[i].whole;
    return s;
}

/* ---- text ---- */
static void put_row(Table *t, const Row *r, double all, bool kernel)
{
    table_cell(t, "%.1f", 1e3 * r->seconds);
    table_cell(t, "%.1f%%", 100 * ratio(r->seconds, all));
    table_cell(t, "%lld", (long long)r->calls);
    table_cell(t, "%.3f", 1e3 * ratio(r->seconds, (double)r->calls));
    table_cell(t, "%.1f", ratio(r->flops, r->seconds) / 1e9);
    table_cell(t, "%.2f", ratio(r->bytes, r->seconds) / 1e9);
    table_cell(t, "%.1f", 1e3 * r->predicted);
    table_cell(t, "%.2f", ratio(r->seconds, r->predicted));
    table_cell(t, "%s", r->key);
    if (!kernel) return;
    table_cell(t, "%s", r->cls ? r->cls : "");
    table_cell(t, "%s", r->shape ? r->shape : "");
    table_cell(t, "%s", r->at ? r->at : "");
}
static void print_rows(const Rows *rows, Grouping by)
{
    bool kernel = by == BY_KERNEL;
    Table t = {.columns = kernel ? 12 : 9, .align = kernel ? "rrrrrrrrllll" : "rrrrrrrrl"};
    const char *head[] = {"ms", "share", "calls", "ms each", "GFLOP/s", "GB/s", "predicted", "ratio", grouping[by].title,
                          "class", "result, sum", "source"};
    table_head(&t, head);
    for (int i = 0; i < MIN(rows->n, ROWS_SHOWN); i++) put_row(&t, &rows->v[i], rows->sum.seconds, kernel);
    if (rows->n > ROWS_SHOWN) {
        char *name = xasprintf("%d others", rows->n - ROWS_SHOWN);
        Row rest = {.key = name};
        for (int i = ROWS_SHOWN; i < rows->n; i++) add(&rest, &rows->v[i]);
        put_row(&t, &rest, rows->sum.seconds, kernel);
        free(name);
    }
    putchar('\n');
    table_print(&t, TABLE_WIDTH);
}
static void print(const Profile *p)
{
    Rows rows[GROUPINGS];
    for (int g = 0; g < GROUPINGS; g++) rows[g] = rows_of(p, (Grouping)g);
    const Row *sum = &rows[BY_CLASS].sum;
    printf("\nprofile: %lld launches, %.3f s in kernels, %.3f s around them; predicted %.3f s on %d cores\n",
           (long long)sum->calls, sum->seconds,
           whole_seconds(p) - sum->seconds, sum->predicted, p->device.cores);
    printf("outside contractions: %.1f%% of the kernels' time\n", 100 * outside_contractions(&rows[BY_CLASS]));
    printf("reading the clock: %.4f%% of it (%.0f ns a launch)\n", 100 * ratio((double)sum->calls * p->clock, sum->seconds),
           1e9 * p->clock);
    static const Grouping order[] = {BY_SEGMENT, BY_CLASS, BY_KERNEL, BY_SOURCE};
    for (size_t i = 0; i < COUNT(order) && sum->calls; i++) print_rows(&rows[order[i]], order[i]);
    for (int g = 0; g < GROUPINGS; g++) free(rows[g].v);
    fflush(stdout);
}

/* ---- JSON ---- */
static void json_row(StrBuf *b, const Row *r)
{
    sb_printf(b, "\"calls\": %lld, \"seconds\": %.9g, \"predicted_s\": %.9g, \"flops\": %.17g, \"bytes\": %.17g",
              (long long)r->calls, r->seconds,
              r->predicted, r->flops, r->bytes);
}
static void json_group(StrBuf *b, const Rows *rows, Grouping by)
{
    sb_printf(b, ",\n \"%s\": [", grouping[by].json);
    for (int i = 0; i < rows->n; i++) {
        sb_printf(b, "%s\n  {\"%s\": ", i ? "," : "", grouping[by].title);
        sb_json_string(b, rows->v[i].key);
        if (by == BY_KERNEL) {
            sb_puts(b, ", \"class\": ");
            sb_json_string(b, rows->v[i].cls);
            sb_puts(b, ", \"shape\": ");
            sb_json_string(b, rows->v[i].shape);
        }
        sb_puts(b, ", ");
        json_row(b, &rows->v[i]);
        sb_putc(b, '}');
    }
    sb_putc(b, ']');
}
static void json_steps(StrBuf *b, const Profile *p)
{
    bool comma = false;
    sb_puts(b, ",\n \"segments\": [");
    for (int i = 0; i < p->n; i++) {
        const PlanSegment *s = p->timed[i].segment;
        if (!s->n_steps || !p->timed[i].time[0].calls) continue;
        sb_puts(b, comma ? ",\n  {\"program\": " : "\n  {\"program\": ");
        comma = true;
        sb_json_string(b, p->timed[i].program->name);
        sb_puts(b, ", \"segment\": ");
        sb_json_string(b, s->name);
        sb_printf(b, ", \"runs\": %lld, \"seconds\": %.9g, \"steps\": [", (long long)p->timed[i].time[0].calls,
                  p->timed[i].whole);
        for (int k = 0; k < s->n_steps; k++) {
            const PlanKernel *kernel = &p->plan->kernel[s->step[k].kernel];
            sb_printf(b, "%s\n   {\"kernel\": \"%s\", \"at\": ", k ? "," : "", kernel->name);
            sb_json_string(b, s->step[k].at ? s->step[k].at : "");
            sb_puts(b, ", \"path\": ");
            sb_json_string(b, s->step[k].path ? s->step[k].path : "");
            if (s->step[k].instances > 1) sb_printf(b, ", \"instances\": %d", s->step[k].instances);
            sb_printf(b, ", \"calls\": %lld, \"seconds\": %.9g}", (long long)p->timed[i].time[k].calls,
                      p->timed[i].time[k].seconds);
        }
        sb_puts(b, "]}");
    }
    sb_putc(b, ']');
}
static void write_json(const Profile *p, const char *file)
{
    Rows rows[GROUPINGS];
    for (int g = 0; g < GROUPINGS; g++) rows[g] = rows_of(p, (Grouping)g);
    StrBuf b = {0};
    sb_puts(&b, "{\"plan\": ");
    sb_json_string(&b, p->plan->dir);
    sb_puts(&b, ", \"model\": ");
    sb_json_string(&b, p->plan->model);
    sb_printf(&b, ", \"device\": \"%s\", \"cores\": %d, ", p->device.name, p->device.cores);
    json_row(&b, &rows[BY_CLASS].sum);
    sb_printf(&b, ",\n \"whole_s\": %.9g, \"clock_s\": %.9g, \"outside_contractions\": %.9g", whole_seconds(p), p->clock,
              outside_contractions(&rows[BY_CLASS]));
    for (int g = 0; g < GROUPINGS; g++) {
        json_group(&b, &rows[g], (Grouping)g);
        free(rows[g].v);
    }
    json_steps(&b, p);
    sb_puts(&b, "}\n");
    if (!write_file_atomic(file, b.s, b.len)) machine_error("cannot write %s: %s", file, strerror(errno));
    sb_free(&b);
}

void profile_end(Profile *p, const char *file)
{
    if (!p) return;
    print(p);
    if (*file) write_json(p, file);
    for (int i = 0; i < p->n; i++) free(p->timed[i].time);
    free(p->timed);
    free(p);
}
