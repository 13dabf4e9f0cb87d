/* plan_json.h.
   Assumes nothing of the text: the first thing wrong becomes the error, later fields then get harmless values. */
#include "compiler/plan_json.h"
#include <errno.h>
#include <sys/stat.h>

enum { MAX_LIST = 10 * 1000 * 1000 };
typedef struct { PlanJson *p; char *err, where[200]; } Reader;

/* Control characters of a damaged file do not reach the terminal. */
static void printable(char *s)
{
    for (; s && *s; s++) if ((unsigned char)*s < 32 || *s == 127) *s = '?';
}
static void bad(Reader *r, const char *fmt, ...) PRINTF(2, 3);
static void bad(Reader *r, const char *fmt, ...)
{
    if (r->err) return;
    va_list ap;
    va_start(ap, fmt);
    char what[300];
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    r->err = xasprintf("%s%s%s", r->where, r->where[0] ? ": " : "", what);
    printable(r->err);
}
static void at(Reader *r, const char *fmt, ...) PRINTF(2, 3);
static void at(Reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->where, sizeof r->where, fmt, ap);
    va_end(ap);
}

/* ---- fields; those with a default may be missing, but not of another type ---- */
static const char *text(Reader *r, const json_t *o, const char *key, const char *missing)
{
    const json_t *j = json_object_get(o, key);
    if (json_is_string(j)) return arena_strdup(r->p->arena, json_string_value(j));
    if ((j && !json_is_null(j)) || !missing) bad(r, "`%s` must be a string", key);
    return missing ? missing : "";
}
enum { NEEDED = -2 };
/* A whole number; `missing` stands for a field that is not there: NEEDED, -1 (which may then be written out too) or more. */
static int64_t number(Reader *r, const json_t *o, const char *key, int64_t missing)
{
    const json_t *j = json_object_get(o, key);
    if (!j && missing != NEEDED) return missing;
    int64_t v = json_integer_value(j), least = missing == -1 ? -1 : 0;
    if (!json_is_integer(j) || v < least || v > (int64_t)1 << 60)
        bad(r, "`%s` must be a whole number from %lld", key, (long long)least);
    return r->err ? 0 : v;
}
static const json_t *list(Reader *r, const json_t *o, const char *key, bool needed, int *n)
{
    const json_t *j = json_object_get(o, key);
    *n = 0;
    if (json_is_array(j) && json_array_size(j) < MAX_LIST) *n = (int)json_array_size(j);
    else if (j || needed) bad(r, "`%s` must be a list", key);
    return j;
}
static PlanNames names(Reader *r, const json_t *o, const char *key)
{
    PlanNames out = {0};
    const json_t *a = list(r, o, key, false, &out.n);
    out.v = arena_make(r->p->arena, const char *, out.n + 1);
    for (int i = 0; i < out.n; i++) {
        const char *s = json_string_value(json_array_get(a, (size_t)i));
        if (!s) bad(r, "`%s` must be a list of strings", key);
        out.v[i] = arena_strdup(r->p->arena, s ? s : "");
    }
    return out;
}
static PlanIndices indices(Reader *r, const json_t *o, const char *key, bool needed, int limit)
{
    PlanIndices out = {0};
    const json_t *a = list(r, o, key, needed, &out.n);
    out.v = arena_make(r->p->arena, int, out.n + 1);
    for (int i = 0; i < out.n; i++) {
        const json_t *j = json_array_get(a, (size_t)i);
        json_int_t v = json_integer_value(j);
        if (!json_is_integer(j) || v < 0 || v >= limit) bad(r, "an index in `%s` is outside 0 .. %d", key, limit - 1);
        else out.v[i] = (int)v;
    }
    return out;
}

/* ---- tables ---- */
static void read_kernels(Reader *r, const json_t *root)
{
    PlanJson *p = r->p;
    const json_t *a = list(r, root, "kernels", true, &p->n_kernels);
    p->kernel = arena_make(p->arena, KernelJson, p->n_kernels + 1);
    for (int i = 0; i < p->n_kernels && !r->err; i++) {
        const json_t *o = json_array_get(a, (size_t)i);
        KernelJson *k = &p->kernel[i];
        at(r, "kernel %d", i);
        k->name = text(r, o, "name", NULL);
        at(r, "kernel %d, `%.100s`", i, k->name);
        k->file = text(r, o, "file", "");
        k->cls = text(r, o, "class", NULL);
        k->precision = text(r, o, "precision", p->precision);
        if (!r->err && number_named(k->precision) == N_NUMBERS) bad(r, "`%.100s` is no precision", k->precision);
        k->shape = text(r, o, "shape", "");
        k->flops = number(r, o, "flops", NEEDED);
        k->bytes = number(r, o, "bytes", NEEDED);
        k->issued_bytes = number(r, o, "issued_bytes", -1);
        k->scratch = number(r, o, "scratch", 0);
        k->shared = number(r, o, "shared", 0);
        k->instance = names(r, o, "instances");
        k->source = names(r, o, "source");
    }
}
static void read_buffer(Reader *r, const json_t *o, BufferJson *b, int n_steps)
{
    b->name = text(r, o, "name", "");
    b->kind = text(r, o, "kind", NULL);
    b->set = text(r, o, "set", "");
    b->elements = number(r, o, "elements", NEEDED);
    b->offset = number(r, o, "offset", 0);
    Number type = number_named(text(r, o, "type", "f32"));
    if (type == N_NUMBERS) bad(r, "`type` is none of f32, bf16, f16");
    b->bytes = type == N_NUMBERS ? 0 : number_info[type].bytes * b->elements;
    b->first = (int)MIN(number(r, o, "first", -1), n_steps - 1);
    b->last = (int)MIN(number(r, o, "last", -1), n_steps - 1);
}
static void read_step(Reader *r, const json_t *o, StepJson *s, const SegmentJson *g)
{
    int64_t k = number(r, o, "kernel", NEEDED);
    if (k >= r->p->n_kernels) bad(r, "`kernel` is %lld, the plan has %d", (long long)k, r->p->n_kernels);
    if (r->err) return;
    s->kernel = (int)k;
    s->buffer = indices(r, o, "buffers", true, g->n_buffers);
    int64_t n = number(r, o, "instances", 1);
    if (n < 1 || n > MAX_LIST || s->buffer.n % n)
        bad(r, "%d buffers do not share out among %lld instances", s->buffer.n, (long long)n);
    s->instances = (int)MAX(1, MIN(n, MAX_LIST));
    s->bytes = number(r, o, "bytes", s->instances * MIN(r->p->kernel[k].bytes, INT64_MAX / s->instances));
    s->node = indices(r, o, "nodes", false, 1 << 30);
    s->at = text(r, o, "at", "");
    s->path = text(r, o, "path", "");
    s->source = names(r, o, "source");
    if (s->source.n || !*s->at) return;
    s->source.n = 1;
    s->source.v[0] = s->at;
}
static void read_segment(Reader *r, const json_t *o, SegmentJson *g)
{
    Arena *arena = r->p->arena;
    g->name = text(r, o, "name", NULL);
    at(r, "segment `%.100s`", g->name);
    g->graph = text(r, o, "graph", "");
    g->phase = text(r, o, "phase", "");
    g->each = text(r, o, "each", "");
    g->peak_bytes = number(r, o, "peak_bytes", NEEDED);
    g->flops = number(r, o, "flops", 0);
    g->bytes = number(r, o, "bytes", 0);
    const json_t *steps = list(r, o, "steps", true, &g->n_steps), *a = list(r, o, "buffers", true, &g->n_buffers);
    g->buffer = arena_make(arena, BufferJson, g->n_buffers + 1);
    for (int i = 0; i < g->n_buffers && !r->err; i++) {
        at(r, "segment `%.100s`, buffer %d", g->name, i);
        read_buffer(r, json_array_get(a, (size_t)i), &g->buffer[i], g->n_steps);
    }
    g->step = arena_make(arena, StepJson, g->n_steps + 1);
    for (int i = 0; i < g->n_steps && !r->err; i++) {
        at(r, "segment `%.100s`, step %d", g->name, i);
        read_step(r, json_array_get(steps, (size_t)i), &g->step[i], g);
        for (int k = 0; k < g->step[i].buffer.n && !r->err; k++) {
            BufferJson *b = &g->buffer[g->step[i].buffer.v[k]];
            if (b->first < 0) b->first = i;
            b->last = MAX(b->last, i);
        }
    }
}
static void read_programs(Reader *r, const json_t *root)
{
    PlanJson *p = r->p;
    at(r, "plan.json");
    const json_t *a = list(r, root, "programs", true, &p->n_programs);
    p->program = arena_make(p->arena, ProgramJson, p->n_programs + 1);
    for (int i = 0; i < p->n_programs && !r->err; i++) {
        const json_t *o = json_array_get(a, (size_t)i);
        ProgramJson *g = &p->program[i];
        at(r, "program %d", i);
        g->name = text(r, o, "name", NULL);
        at(r, "program `%.100s`", g->name);
        g->training = json_is_true(json_object_get(o, "training"));
        const json_t *s = list(r, o, "segments", true, &g->n_segments);
        g->segment = arena_make(p->arena, SegmentJson, g->n_segments + 1);
        for (int k = 0; k < g->n_segments && !r->err; k++) read_segment(r, json_array_get(s, (size_t)k), &g->segment[k]);
    }
}
static void read_root(Reader *r, const json_t *root)
{
    PlanJson *p = r->p;
    at(r, "plan.json");
    const char *format = json_string_value(json_object_get(root, "format"));
    if (!format || strcmp(format, "ect-plan")) bad(r, "`format` is not \"ect-plan\"");
    int64_t version = number(r, root, "version", NEEDED);
    if (!r->err && (version < 1 || version > PLAN_JSON_MAX_VERSION))
        bad(r, "it has version %lld, this ectc reads versions up to %d: compile the model again", (long long)version,
            PLAN_JSON_MAX_VERSION);
    p->compiler = text(r, root, "ectc", "");
    p->model = text(r, root, "model", "");
    p->precision = text(r, root, "precision", "f32");
    if (!r->err && number_named(p->precision) == N_NUMBERS) bad(r, "`%.100s` is no precision", p->precision);
    p->batch = number(r, root, "batch", 1);
    if (!r->err) read_kernels(r, root);
    if (!r->err) read_programs(r, root);
}

/* ---- the folder ---- */
PlanJson *plan_json_load(const char *dir, char **err)
{
    char *path = xasprintf("%s/plan.json", dir);
    struct stat st;
    bool there = stat(dir, &st) == 0, folder = there && S_ISDIR(st.st_mode);
    bool sane = stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < 1 << 30;
    size_t len = 0;
    char *whole = sane ? read_file(path, &len) : NULL;
    free(path);
    if (!whole) {
        *err = !there    ? xasprintf("there is no plan %s: make one with `ectc MODEL.dsl -o %s`", dir, dir)
               : !folder ? xasprintf("%s is no plan: a plan is the folder that `ectc MODEL.dsl -o PLAN` writes", dir)
                         : xasprintf("%s is no plan: it holds no readable plan.json; make one with `ectc MODEL.dsl -o %s`",
                                     dir, dir);
        return NULL;
    }
    json_error_t je;
    json_t *root = json_loadb(whole, len, JSON_REJECT_DUPLICATES, &je);
    free(whole);
    if (!json_is_object(root)) {
        *err = root ? xasprintf("the plan %s is damaged: plan.json is no JSON object; compile the model again", dir)
                    : xasprintf("the plan %s is damaged: plan.json line %d: %s; compile the model again", dir, je.line, je.text);
        printable(*err);
        json_decref(root);
        return NULL;
    }
    Arena *arena = arena_new();
    PlanJson *p = arena_make(arena, PlanJson, 1);
    p->arena = arena;
    p->root = root;
    p->dir = arena_strdup(arena, dir);
    Reader r = {.p = p};
    read_root(&r, root);
    if (!r.err) return p;
    *err = xasprintf("the plan %s is not valid: %s", dir, r.err);
    free(r.err);
    plan_json_free(p);
    return NULL;
}
void plan_json_free(PlanJson *p)
{
    if (!p) return;
    json_decref(p->root);
    arena_drop(p->arena);
}
const ProgramJson *plan_json_program(const PlanJson *p, const char *name)
{
    for (int i = 0; i < p->n_programs; i++) if (!strcmp(p->program[i].name, name)) return &p->program[i];
    return NULL;
}
char *plan_json_file(const PlanJson *p, const char *file, size_t *len)
{
    if (!*file || *file == '/' || strstr(file, "..")) {              /* a hostile plan names files of its own folder only */
        errno = ENOENT;
        return NULL;
    }
    char *path = xasprintf("%s/%s", p->dir, file), *s = read_file(path, len);
    free(path);
    return s;
}
