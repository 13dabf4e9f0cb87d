/* Reading PLAN/plan.json into structs, everything validated on the way: whoever holds a Plan need not check again.
   Assumes nothing of the text: the first thing wrong becomes the error, later fields then get harmless values. */
#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <sys/stat.h>
#include "runtime/expr.h"
#include "runtime/plan_read.h"

static const int64_t MAX_ELEMENTS = (int64_t)1 << 38, MAX_BYTES = (int64_t)1 << 50, MAX_COUNT = (int64_t)1 << 60;

/* ---- typed access to JSON; where names the place ---- */
void plan_bad(PlanReader *r, const char *fmt, ...)
{
    if (r->err) return;
    va_list ap;
    va_start(ap, fmt);
    char *what = NULL;
    if (vasprintf(&what, fmt, ap) < 0) what = NULL;
    va_end(ap);
    for (char *c = what; c && *c; c++) if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    r->err = xasprintf("%s: %s", r->where[0] ? r->where : "plan", what ? what : "bad");
    free(what);
}
void plan_at(PlanReader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->where, sizeof r->where, fmt, ap);
    va_end(ap);
    for (char *c = r->where; *c; c++) if ((unsigned char)*c < 32 || *c == 127) *c = '?';
}
int64_t plan_int(PlanReader *r, const json_t *o, const char *key, int64_t lo, int64_t hi)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_integer(j)) plan_bad(r, "`%s` must be a whole number", key);
    else if (json_integer_value(j) < lo || json_integer_value(j) > hi)
        plan_bad(r, "`%s` is %lld, outside %lld .. %lld", key, (long long)json_integer_value(j), (long long)lo, (long long)hi);
    else return json_integer_value(j);
    return lo;
}
double plan_real(PlanReader *r, const json_t *o, const char *key)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_number(j) || !isfinite(json_number_value(j))) {
        plan_bad(r, "`%s` must be a number", key);
        return 0;
    }
    return json_number_value(j);
}
bool plan_bool(PlanReader *r, const json_t *o, const char *key)
{
    const json_t *j = json_object_get(o, key);
    if (!json_is_boolean(j)) plan_bad(r, "`%s` must be true or false", key);
    return json_is_true(j);
}
static const char *text_of(PlanReader *r, const json_t *j, const char *key)
{
    if (!json_is_string(j)) {
        plan_bad(r, "`%s` must be a string", key);
        return "";
    }
    return arena_strdup(r->p->arena, json_string_value(j));
}
const char *plan_str(PlanReader *r, const json_t *o, const char *key) { return text_of(r, json_object_get(o, key), key); }
const char *plan_str_or_null(PlanReader *r, const json_t *o, const char *key)
{
    const json_t *j = json_object_get(o, key);
    return !j || json_is_null(j) ? NULL : text_of(r, j, key);
}
const json_t *plan_array(PlanReader *r, const json_t *o, const char *key, int *n)
{
    const json_t *j = json_object_get(o, key);
    *n = 0;
    if (!json_is_array(j)) plan_bad(r, "`%s` must be a list", key);
    else if (json_array_size(j) > 10 * 1000 * 1000) plan_bad(r, "`%s` has too many entries", key);
    else *n = (int)json_array_size(j);
    return j;
}
const char **plan_strings(PlanReader *r, const json_t *o, const char *key, int *n)
{
    const json_t *a = plan_array(r, o, key, n);
    const char **out = arena_make(r->p->arena, const char *, *n + 1);
    for (int i = 0; i < *n; i++) out[i] = text_of(r, json_array_get(a, (size_t)i), key);
    return out;
}
/* A file of the plan: relative, below `folder`, there. */
const char *plan_file(PlanReader *r, const json_t *o, const char *key, const char *folder)
{
    const char *s = plan_str(r, o, key);
    if (r->err) return s;
    for (const char *c = s; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-./+", *c)) { plan_bad(r, "`%s` is no file name: %s", key, s); return s; }
    if (strncmp(s, folder, strlen(folder)) || strstr(s, "..")) {
        plan_bad(r, "`%s` must name a file below %s: %s", key, folder, s);
        return s;
    }
    char *path = plan_path(r->p, s);
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode)) plan_bad(r, "the file %s is missing", s);
    free(path);
    return s;
}
/* roles and shape; the number of elements is at most MAX_ELEMENTS. zero: sizes of 0 are allowed. */
void plan_shape(PlanReader *r, const json_t *o, bool zero, PlanShape *s)
{
    int n_roles, n_sizes;
    const char **role = plan_strings(r, o, "roles", &n_roles);
    const json_t *sizes = plan_array(r, o, "shape", &n_sizes);
    *s = (PlanShape){0};
    if (n_roles != n_sizes) { plan_bad(r, "%d roles but %d sizes", n_roles, n_sizes); return; }
    if (n_roles > PLAN_MAX_AXES) { plan_bad(r, "more than %d axes", PLAN_MAX_AXES); return; }
    int64_t elements = 1;
    for (int i = 0; i < n_roles; i++) {
        const json_t *j = json_array_get(sizes, (size_t)i);
        if (!json_is_integer(j) || json_integer_value(j) < !zero) {
            plan_bad(r, "size %d of `shape` is not a positive whole number", i);
            return;
        }
        for (int k = 0; k < i; k++) if (!strcmp(s->role[k], role[i])) { plan_bad(r, "role `%s` twice", role[i]); return; }
        if (!*role[i]) { plan_bad(r, "an empty role"); return; }
        s->role[i] = role[i];
        s->size[i] = json_integer_value(j);
        if (__builtin_mul_overflow(elements, MAX((int64_t)1, s->size[i]), &elements) || elements > MAX_ELEMENTS) {
            plan_bad(r, "absurdly large");
            return;
        }
        s->n = i + 1;
    }
}
int64_t shape_elements(const PlanShape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->n; i++) n *= s->size[i];
    return n;
}
int shape_axis(const PlanShape *s, const char *role)
{
    for (int i = 0; i < s->n; i++) if (!strcmp(s->role[i], role)) return i;
    return -1;
}

/* ---- sorted names: duplicates and look-up ---- */
static int by_name(const void *a, const void *b) { return strcmp(((const PlanName *)a)->name, ((const PlanName *)b)->name); }
PlanName *plan_names(PlanReader *r, const char *what, int n, const char *(*name)(const void *user, int i), const void *user)
{
    PlanName *v = arena_make(r->p->arena, PlanName, n + 1);
    for (int i = 0; i < n; i++) v[i] = (PlanName){.name = name(user, i), .index = i};
    qsort(v, (size_t)n, sizeof *v, by_name);
    for (int i = 1; i < n; i++) if (!strcmp(v[i].name, v[i - 1].name)) plan_bad(r, "two %s are called `%s`", what, v[i].name);
    return v;
}
int plan_name_index(const PlanName *v, int n, const char *name)
{
    PlanName key = {.name = name}, *hit = n ? bsearch(&key, v, (size_t)n, sizeof *v, by_name) : NULL;
    return hit ? hit->index : -1;
}

/* ---- the tables ---- */
static void check_name(PlanReader *r, const char *name)
{
    if (!*name || strlen(name) > 1000) plan_bad(r, "a name is empty or too long");
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127) {
            plan_bad(r, "a control character in the name `%s`", name);
            return;
        }
}
static void check_expr(PlanReader *r, const char *what, const char *text)
{
    char *err = NULL;
    HostExpr *e = expr_parse(text, &err);
    if (!e) plan_bad(r, "the expression of %s, `%.60s`, %s", what, text, err);
    free(err);
    expr_free(e);
}
static const char *param_name(const void *p, int i) { return ((const PlanParam *)p)[i].name; }
static int by_offset(const void *a, const void *b)
{
    const PlanParam *x = *(const PlanParam *const *)a, *y = *(const PlanParam *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}
static void read_param(PlanReader *r, const json_t *o, PlanParam *p)
{
    p->name = plan_str(r, o, "name");
    check_name(r, p->name);
    plan_at(r, "parameter `%.100s`", p->name);
    p->was = plan_str_or_null(r, o, "was");
    plan_shape(r, o, false, &p->shape);
    p->elements = shape_elements(&p->shape);
    p->offset = plan_int(r, o, "offset", 0, MAX_ELEMENTS);
    int n;
    const json_t *order = plan_array(r, o, "order", &n);
    if (n != p->shape.n) plan_bad(r, "`order` must list its %d axes", p->shape.n);
    if (r->err) return;
    bool seen[PLAN_MAX_AXES] = {0};
    int64_t stride = 1;
    for (int i = n; i--; ) {
        const json_t *j = json_array_get(order, (size_t)i);
        int64_t k = json_is_integer(j) ? json_integer_value(j) : -1;
        if (k < 0 || k >= n || seen[k]) { plan_bad(r, "`order` is no permutation of its axes"); return; }
        seen[k] = true;
        p->order[i] = (int)k;
        p->stride[k] = stride;
        stride *= p->shape.size[k];
    }
    if (p->offset + p->elements > r->p->param_elements) plan_bad(r, "it ends beyond `param_elements`");
}
static void read_params(PlanReader *r, const json_t *root)
{
    Plan *p = r->p;
    p->param_elements = plan_int(r, root, "param_elements", 0, MAX_ELEMENTS);
    const json_t *a = plan_array(r, root, "parameters", &p->n_params);
    p->param = arena_make(p->arena, PlanParam, p->n_params + 1);
    for (int i = 0; i < p->n_params && !r->err; i++) {
        plan_at(r, "parameter %d", i);
        read_param(r, json_array_get(a, (size_t)i), &p->param[i]);
    }
    plan_at(r, "parameters");
    if (r->err) return;
    r->params = plan_names(r, "parameters", p->n_params, param_name, p->param);
    const PlanParam **v = arena_make(p->arena, const PlanParam *, p->n_params + 1);
    for (int i = 0; i < p->n_params; i++) v[i] = &p->param[i];
    qsort(v, (size_t)p->n_params, sizeof *v, by_offset);
    for (int i = 1; i < p->n_params; i++)
        if (v[i]->offset < v[i - 1]->offset + v[i - 1]->elements)
            plan_bad(r, "`%s` and `%s` overlap", v[i - 1]->name, v[i]->name);
}
static const char *string_at(const void *p, int i) { return ((const char *const *)p)[i]; }
static const char *state_name(const void *p, int i) { return ((const PlanState *)p)[i].name; }
static const char *runtime_name(const void *p, int i) { return ((const PlanRuntime *)p)[i].name; }
static const char *program_name(const void *p, int i) { return ((const PlanProgram *)p)[i].name; }

static void read_scalars(PlanReader *r, const json_t *root)
{
    Plan *p = r->p;
    plan_at(r, "sets");
    p->set = plan_strings(r, root, "sets", &p->n_sets);
    if (!r->err && (p->n_sets < 1 || *p->set[0])) plan_bad(r, "the first of `sets` must be \"\"");
    if (!r->err) plan_names(r, "sets", p->n_sets, string_at, p->set);
    plan_at(r, "states");
    const json_t *a = plan_array(r, root, "states", &p->n_states);
    p->state = arena_make(p->arena, PlanState, p->n_states + 1);
    int emas = 0;
    for (int i = 0; i < p->n_states && !r->err; i++) {
        const json_t *o = json_array_get(a, (size_t)i), *init = json_object_get(o, "init");
        PlanState *s = &p->state[i];
        s->name = plan_str(r, o, "name");
        check_name(r, s->name);
        s->set = -1;
        if (json_is_string(init) && !strcmp(json_string_value(init), "param")) s->from_param = true;
        else s->init = plan_real(r, o, "init");
        s->ema = json_object_get(o, "ema") && plan_bool(r, o, "ema");
        for (int k = 1; s->ema && k < p->n_sets; k++) if (!strcmp(p->set[k], s->name)) s->set = k;
        if (s->ema && s->set < 0) plan_bad(r, "the EMA `%s` is not in `sets`", s->name);
        emas += s->ema;
    }
    if (!r->err) plan_names(r, "states", p->n_states, state_name, p->state);
    if (!r->err && emas != p->n_sets - 1) plan_bad(r, "each set but the first must be a state with `ema`");
    a = plan_array(r, root, "runtime", &p->n_runtime);
    p->runtime = arena_make(p->arena, PlanRuntime, p->n_runtime + 1);
    for (int i = 0; i < p->n_runtime && !r->err; i++) {
        const json_t *o = json_array_get(a, (size_t)i);
        plan_at(r, "run-time variable %d", i);
        p->runtime[i].name = plan_str(r, o, "name");
        check_name(r, p->runtime[i].name);
        const char *type = plan_str(r, o, "type");
        p->runtime[i].is_int = !strcmp(type, "int");
        if (strcmp(type, "int") && strcmp(type, "real") && strcmp(type, "bool")) plan_bad(r, "`type` is none of int real bool");
        p->runtime[i].expr = plan_str(r, o, "expr");
        check_expr(r, p->runtime[i].name, p->runtime[i].expr);
    }
    plan_at(r, "run-time variables");
    if (!r->err) plan_names(r, "run-time variables", p->n_runtime, runtime_name, p->runtime);
    plan_at(r, "scalars");
    p->scalar = plan_strings(r, root, "scalars", &p->n_scalars);
    for (int i = 0; i < p->n_scalars && !r->err; i++) check_expr(r, "a scalar", p->scalar[i]);
    p->stream = plan_strings(r, root, "streams", &p->n_streams);
}
static bool identifier(const char *s)
{
    for (const char *c = s; *c; c++) if (!isalnum((unsigned char)*c) && *c != '_') return false;
    return isalpha((unsigned char)*s);
}
static void read_numbers(PlanReader *r, const json_t *o, PlanCuda *k)
{
    const json_t *a = plan_array(r, o, "numbers", &k->n_numbers);
    k->number = arena_make(r->p->arena, PlanNumber, k->n_numbers + 1);
    for (int i = 0; i < k->n_numbers && !r->err; i++) {
        const json_t *n = json_array_get(a, (size_t)i), *whole = json_object_get(n, "int"), *real = json_object_get(n, "float");
        PlanNumber *x = &k->number[i];
        x->name = plan_str(r, n, "name");
        x->real = whole == NULL;
        x->value = whole ? (double)json_integer_value(whole) : (double)(float)json_number_value(real);
        if (r->err) return;
        if (whole ? !json_is_integer(whole) || fabs(x->value) > INT32_MAX : !json_is_number(real)) plan_bad(r, "number %d of `cuda` is neither an `int` nor a `float`", i);
        else if (i && x->real < x[-1].real) plan_bad(r, "`numbers` of `cuda` have an int behind a float");
    }
}

void plan_numbers(const PlanCuda *c, uint64_t *to)
{
    memset(to, 0, 8 * plan_number_words(c));
    for (int i = 0; i < c->n_numbers; i++) {
        const int32_t whole = (int32_t)c->number[i].value;
        const float real = (float)c->number[i].value;
        memcpy((char *)to + 4 * (size_t)i, c->number[i].real ? (const void *)&real : &whole, 4);
    }
}

static const PlanCuda *read_cuda(PlanReader *r, const json_t *o)
{
    PlanCuda *k = arena_make(r->p->arena, PlanCuda, 1);
    if (!json_is_object(o)) { plan_bad(r, "`cuda` is no object"); return k; }
    k->file = plan_file(r, o, "file", "kernels/");
    k->instances = (int)plan_int(r, o, "instances", 1, 100000);
    k->workspace = plan_int(r, o, "workspace", 0, MAX_BYTES);
    const json_t *a = plan_array(r, o, "launches", &k->n_launches);
    k->launch = arena_make(r->p->arena, PlanCudaLaunch, k->n_launches + 1);
    if (!r->err && !k->n_launches) plan_bad(r, "`cuda` has no launches");
    for (int i = 0; i < k->n_launches && !r->err; i++) {
        const json_t *l = json_array_get(a, (size_t)i), *grid = json_object_get(l, "grid");
        k->launch[i].entry = plan_str(r, l, "entry");
        if (!r->err && !identifier(k->launch[i].entry)) plan_bad(r, "`entry` of launch %d is no C identifier", i);
        if (!r->err && json_array_size(grid) != 2) plan_bad(r, "`grid` of launch %d does not have two sizes", i);
        for (int q = 0; q < 2 && !r->err; q++) {
            const json_t *n = json_array_get(grid, (size_t)q);
            k->launch[i].grid[q] = json_integer_value(n);
            if (!json_is_integer(n) || k->launch[i].grid[q] < 1 || k->launch[i].grid[q] > (q ? 65535 : INT32_MAX))
                plan_bad(r, "`grid` of launch %d is beyond what a device takes", i);
        }
        k->launch[i].block = (int)plan_int(r, l, "block", 1, 1024);
        k->launch[i].shared = plan_int(r, l, "shared", 0, 1 << 20);
    }
    if (!r->err && json_object_get(o, "numbers")) read_numbers(r, o, k);
    return k;
}
static void read_matrix(PlanReader *r, const json_t *o, const char *key, int64_t rows, int64_t columns, int64_t batch, PlanMatrix *x)
{
    o = json_object_get(o, key);
    x->buffer = (int)plan_int(r, o, "buffer", 0, INT32_MAX);
    x->offset = plan_int(r, o, "offset", 0, MAX_ELEMENTS);
    x->stride = plan_int(r, o, "stride", 0, MAX_ELEMENTS);
    x->transposed = plan_bool(r, o, "transposed");
    if (json_object_get(o, "round")) x->round = number_named(plan_str(r, o, "round"));
    if (x->round == N_NUMBERS) plan_bad(r, "`round` of `%s` is no precision", key);
    if (x->transposed) { int64_t n = rows; rows = columns; columns = n; }
    x->ld = plan_int(r, o, "ld", rows, MAX_ELEMENTS);
    if (r->err || __builtin_mul_overflow(columns - 1, x->ld, &columns) || __builtin_mul_overflow(batch - 1, x->stride, &batch)
        || __builtin_add_overflow(columns, batch, &x->extent) || x->extent > MAX_ELEMENTS) {
        plan_bad(r, "`%s` of `product` is no matrix", key);
        x->extent = 0;
        return;
    }
    x->extent += rows;
}
static const PlanProduct *read_product(PlanReader *r, const json_t *o)
{
    PlanProduct *p = arena_make(r->p->arena, PlanProduct, 1);
    p->m = plan_int(r, o, "m", 1, INT32_MAX);
    p->n = plan_int(r, o, "n", 1, INT32_MAX);
    p->k = plan_int(r, o, "k", 1, INT32_MAX);
    p->batch = plan_int(r, o, "batch", 1, INT32_MAX);
    p->alpha = plan_real(r, o, "alpha");
    p->number = number_named(plan_str(r, o, "number"));
    if (p->number == N_NUMBERS) plan_bad(r, "`number` is no precision");
    read_matrix(r, o, "a", p->m, p->k, p->batch, &p->a);
    read_matrix(r, o, "b", p->k, p->n, p->batch, &p->b);
    read_matrix(r, o, "d", p->m, p->n, p->batch, &p->d);
    if (p->d.transposed || p->d.round != NUM_F32) plan_bad(r, "`d` of `product` is transposed or rounded");
    const json_t *bias = json_object_get(o, "bias");
    p->bias = bias ? (int)plan_int(r, bias, "buffer", 0, INT32_MAX) : -1;
    p->bias_offset = bias ? plan_int(r, bias, "offset", 0, MAX_ELEMENTS) : 0;
    return p;
}
static void read_kernels(PlanReader *r, const json_t *root)
{
    Plan *p = r->p;
    plan_at(r, "kernels");
    const json_t *a = plan_array(r, root, "kernels", &p->n_kernels);
    p->kernel = arena_make(p->arena, PlanKernel, p->n_kernels + 1);
    for (int i = 0; i < p->n_kernels && !r->err; i++) {
        const json_t *o = json_array_get(a, (size_t)i);
        PlanKernel *k = &p->kernel[i];
        plan_at(r, "kernel %d", i);
        k->name = plan_str(r, o, "name");
        if (!identifier(k->name)) plan_bad(r, "its name is no C identifier");
        plan_at(r, "kernel `%.100s`", k->name);
        k->file = plan_file(r, o, "file", "kernels/");
        k->cls = plan_str(r, o, "class");
        k->precision = json_object_get(o, "precision") ? plan_str(r, o, "precision") : p->precision;
        if (!r->err && number_named(k->precision) == N_NUMBERS) plan_bad(r, "`%s` is no precision", k->precision);
        k->shape = json_object_get(o, "shape") ? plan_str(r, o, "shape") : "";
        k->flops = plan_int(r, o, "flops", 0, MAX_COUNT);
        k->bytes = plan_int(r, o, "bytes", 0, MAX_COUNT);
        k->issued_bytes = json_object_get(o, "issued_bytes") ? plan_int(r, o, "issued_bytes", 0, MAX_COUNT) : -1;
        k->scratch = plan_int(r, o, "scratch", 0, MAX_BYTES);
        k->shared = plan_int(r, o, "shared", 0, MAX_BYTES);
        k->instance = plan_strings(r, o, "instances", &k->n_instances);
        k->source = plan_strings(r, o, "source", &k->n_source);
        if (json_object_get(o, "slots")) k->slot = plan_strings(r, o, "slots", &k->n_slots);
        if (json_object_get(o, "cuda")) k->cuda = read_cuda(r, json_object_get(o, "cuda"));
        if (json_object_get(o, "product")) k->product = read_product(r, json_object_get(o, "product"));
    }
}

/* ---- whole ---- */
static void read_root(PlanReader *r, const json_t *root)
{
    Plan *p = r->p;
    const json_t *format = json_object_get(root, "format");
    if (!json_is_string(format) || strcmp(json_string_value(format), "ect-plan")) {
        plan_bad(r, "plan.json is not a plan of ectc (no \"format\": \"ect-plan\")");
        return;
    }
    const json_t *version = json_object_get(root, "version");
    if (!json_is_integer(version) || json_integer_value(version) != PLAN_VERSION) {
        plan_bad(r, "it has version %lld, this %s reads version %d: compile the model again",
                 (long long)json_integer_value(version), prog_name, PLAN_VERSION);
        return;
    }
    p->compiler = plan_str(r, root, "ectc");
    p->model = plan_str(r, root, "model");
    p->precision = json_object_get(root, "precision") ? plan_str(r, root, "precision") : "f32";
    if (!r->err && number_named(p->precision) == N_NUMBERS) plan_bad(r, "`%s` is no precision", p->precision);
    p->loss_scale = json_is_true(json_object_get(root, "loss_scale"));
    p->batch = plan_int(r, root, "batch", 1, 1 << 24);
    const json_t *a = plan_array(r, root, "config", &p->n_config);
    p->config = arena_make(p->arena, PlanConfig, p->n_config + 1);
    for (int i = 0; i < p->n_config; i++) {
        const json_t *pair = json_array_get(a, (size_t)i);
        plan_at(r, "config");
        p->config[i].name = text_of(r, json_array_get(pair, 0), "config");
        p->config[i].value = text_of(r, json_array_get(pair, 1), "config");
    }
    read_params(r, root);
    if (!r->err) read_scalars(r, root);
    if (!r->err) read_kernels(r, root);
    if (r->err) return;
    plan_at(r, "programs");
    a = plan_array(r, root, "programs", &p->n_programs);
    p->program = arena_make(p->arena, PlanProgram, p->n_programs + 1);
    for (int i = 0; i < p->n_programs && !r->err; i++) {
        plan_at(r, "program %d", i);
        plan_read_program(r, json_array_get(a, (size_t)i), &p->program[i]);
    }
    plan_at(r, "programs");
    if (!r->err) plan_names(r, "programs", p->n_programs, program_name, p->program);
}

Plan *plan_load(const char *dir, char **err)
{
    struct stat st;
    char *path = xasprintf("%s/plan.json", dir);
    bool there = !stat(dir, &st), folder = there && S_ISDIR(st.st_mode),
         sane = !stat(path, &st) && S_ISREG(st.st_mode) && st.st_size < 1 << 30;
    size_t len = 0;
    char *text = sane ? read_file(path, &len) : NULL;
    free(path);
    if (!text) {
        *err = !there ? xasprintf("there is no plan %s: make one with `ectc MODEL.dsl -o %s`", dir, dir)
               : !folder
                   ? xasprintf("%s is no plan: a plan is the folder that `ectc MODEL.dsl -o PLAN` writes", dir)
                   : xasprintf("%s is no plan: it holds no readable plan.json; make one with `ectc MODEL.dsl -o %s`", dir, dir);
        return NULL;
    }
    json_error_t je;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    free(text);
    if (!root || !json_is_object(root)) {
        *err = root ? xasprintf("the plan %s is damaged: plan.json is no JSON object; compile the model again", dir)
                    : xasprintf("the plan %s is damaged: plan.json line %d: %s; compile the model again", dir, je.line, je.text);
        for (char *c = *err; *c; c++) if ((unsigned char)*c < 32 || *c == 127) *c = '?';
        json_decref(root);
        return NULL;
    }
    Arena *arena = arena_new();
    Plan *p = arena_make(arena, Plan, 1);
    p->arena = arena;
    p->dir = arena_strdup(arena, dir);
    PlanReader r = {.p = p};
    read_root(&r, root);
    json_decref(root);
    if (!r.err) return p;
    *err = xasprintf("the plan %s is not valid: %s", dir, r.err);
    free(r.err);
    plan_free(p);
    return NULL;
}
void plan_free(Plan *p) { if (p) arena_drop(p->arena); }
const PlanProgram *plan_program(const Plan *p, const char *name)
{
    for (int i = 0; i < p->n_programs; i++) if (!strcmp(p->program[i].name, name)) return &p->program[i];
    return NULL;
}
int plan_param_index(const Plan *p, const char *name)
{
    for (int i = 0; i < p->n_params; i++) if (!strcmp(p->param[i].name, name)) return i;
    for (int i = 0; i < p->n_params; i++) if (p->param[i].was && !strcmp(p->param[i].was, name)) return i;
    return -1;
}
char *plan_path(const Plan *p, const char *file) { return xasprintf("%s/%s", p->dir, file); }
