/* Runs oracle cases (tests/oracle/data) through ectc and ect-rt as a user would, and measures how far each output is from the recorded values.
   Assumes a case folder as described in tests/oracle/data/README.md; the two programs are found in --bin. */
#include "tests/tools/tool.h"

/* Relative L2 error allowed; `loss` is compared element by element. Two f32 implementations of the same formulas were seen to differ by 4e-7 in
   outputs and by up to 7e-4 in gradients at q = 256, where t - r is small. */
static const struct { const char *program; double tolerance; } tolerances[] = {
    {"denoise", 1e-5}, {"denoise_train", 1e-5}, {"sample", 2e-5}, {"loss", 2e-3}, {"grad", 5e-3}, {"train_step", 2e-2},
};
static const double LOSS_TOLERANCE = 2e-3;

static const char *models_dir = ".", *device = "cpu", *only;

static double tolerance_of(const char *program)
{
    for (size_t i = 0; i < COUNT(tolerances); i++)
        if (!strcmp(tolerances[i].program, program)) return tolerances[i].tolerance;
    user_error("no tolerance for program %s", program);
}

/* A JSON value as ectc -D and ect-rt --set read it: numbers that read back equal, reals with a point, lists in brackets. */
static void value_text(StrBuf *b, const json_t *v)
{
    if (json_is_array(v)) {
        sb_putc(b, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i) sb_putc(b, ',');
            value_text(b, json_array_get(v, i));
        }
        sb_putc(b, ']');
    } else if (json_is_string(v)) {
        sb_puts(b, json_string_value(v));
    } else if (json_is_integer(v)) {
        sb_printf(b, "%lld", (long long)json_integer_value(v));
    } else {
        char t[40];
        double d = json_number_value(v);
        snprintf(t, sizeof t, "%.15g", d);
        if (strtod(t, NULL) != d) snprintf(t, sizeof t, "%.17g", d);
        sb_puts(b, t);
        if (!strpbrk(t, ".en")) sb_puts(b, ".0");
    }
}
static char *assignment(const char *name, const json_t *v)
{
    StrBuf b = {0};
    sb_printf(&b, "%s=", name);
    value_text(&b, v);
    return b.s;
}

/* ---- inputs ---- */

typedef struct { const TensorEntry *t; int64_t repeat; } Input;     /* repeat: 0, or the size of a new leading axis */

/* Labels, augment vectors and masks go to every program that has them. */
static bool goes_everywhere(const char *name, const char *program)
{
    bool trains = !strcmp(program, "loss") || !strcmp(program, "grad");
    if (!strcmp(name, "labels")) return true;
    if (!strcmp(name, "augment")) return trains || !strcmp(program, "train_step") || starts(program, "denoise");
    return starts(name, "draw.drop.") && trains;
}
static void write_inputs(const TensorFile *all, const TensorFile *own, const json_t *p, const char *path)
{
    const char *program = json_string_value(json_object_get(p, "program"));
    int64_t iterations = json_integer_value(json_object_get(p, "iterations"));
    Input *in = NULL;
    int n = 0, cap = 0;
    for (int i = 0; own && i < own->n; i++) vec_push(in, n, cap, ((Input){&own->tensor[i], 0}));
    const json_t *names = json_object_get(p, "inputs");
    for (size_t i = 0; !own && i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        const TensorEntry *t = tensor_find(all, name);
        if (!t) user_error("%s: no input %s", all->path, name);
        vec_push(in, n, cap, ((Input){t, 0}));
    }
    for (int i = 0; i < all->n; i++) {
        bool there = !goes_everywhere(all->tensor[i].name, program);
        for (int k = 0; k < n && !there; k++) there = !strcmp(in[k].t->name, all->tensor[i].name);
        if (!there) vec_push(in, n, cap, ((Input){&all->tensor[i], iterations}));
    }
    char *err = NULL;
    TensorWriter *w = tensor_writer_new(path);
    for (int i = 0; i < n; i++) {
        int64_t size[TENSOR_MAX_DIMS + 1];
        int lead = in[i].repeat > 0;
        if (lead) size[0] = in[i].repeat;
        memcpy(size + lead, in[i].t->shape, (size_t)in[i].t->n_dims * sizeof *size);
        tensor_writer_declare(w, in[i].t->name, in[i].t->type, in[i].t->n_dims + lead, size);
    }
    for (int i = 0; i < n; i++)
        for (int64_t k = 0; k < MAX(in[i].repeat, 1); k++) tensor_writer_data(w, in[i].t->data, in[i].t->bytes);
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
    free(in);
}

/* ---- comparison ---- */

/* The error of one expected tensor in units in which the program's tolerance applies; INFINITY when it is missing or has another shape.
   start: the weights before training steps, else NULL. */
static double compare(const TensorEntry *want, const TensorFile *expect, const TensorFile *got, const TensorFile *start, const char *program)
{
    const char *name = want->name;
    bool gnorm = starts(name, "gradnorm."), ghead = starts(name, "gradhead.");
    char *of = gnorm || ghead ? xasprintf("grad.%s", name + 9) : xstrdup(name);
    const TensorEntry *g = tensor_find(got, of);
    free(of);
    if (!g) return INFINITY;
    if (!gnorm && !ghead && strcmp(name, "loss") && !same_shape(g, want)) return INFINITY;
    double *a = values(g), *w = values(want), e = INFINITY;
    if (gnorm) {
        e = relative(fabs(norm_difference(a, NULL, g->elements) - w[0]), fabs(w[0]));
    } else if (ghead) {
        char *norm_name = xasprintf("gradnorm.%s", name + 9);
        const TensorEntry *nt = tensor_find(expect, norm_name);
        double norm = 0;
        if (nt) tensor_read_f64(nt, 0, 1, &norm);
        if (want->elements == MIN(g->elements, 8)) e = relative(norm_difference(a, w, want->elements), norm);
        free(norm_name);
    } else if (!strcmp(name, "loss")) {
        if (g->elements == want->elements) e = 0;
        for (int64_t i = 0; i < want->elements && e < INFINITY; i++) {
            double d = fabs(a[i] - w[i]) / fabs(w[i]);
            if (!(d <= e)) e = isnan(d) ? INFINITY : d;
        }
        e *= tolerance_of(program) / LOSS_TOLERANCE;
    } else if (start) {
        /* Relative to how far the tensor moved. */
        const char *base = name;
        if (starts(name, "ema.")) base = name + 4;
        else if (starts(name, "ema0")) base = strchr(strchr(name, '.') + 1, '.') + 1;
        const TensorEntry *b = tensor_find(start, base);
        if (b && same_shape(b, want)) {
            double *s = values(b);
            e = norm_difference(a, w, want->elements) / fmax(norm_difference(w, s, want->elements), 1e-12);
            free(s);
        }
    } else {
        e = relative(norm_difference(a, w, want->elements), norm_difference(w, NULL, want->elements));
    }
    free(a);
    free(w);
    return isnan(e) ? INFINITY : e;
}

/* ---- cases ---- */

typedef struct { const char *dir, *name; json_t *json; TensorFile *inputs; char **plan_key, **plan; int n_plans, cap_plans, cap_keys; } Case;

/* The plan for these compile-time values, compiled when first asked for; NULL when that failed. */
static const char *plan_for(Case *c, json_t *defines)
{
    char *key = json_dumps(defines, JSON_SORT_KEYS);
    for (int i = 0; i < c->n_plans; i++)
        if (!strcmp(c->plan_key[i], key)) { free(key); return c->plan[i]; }
    char *path = xasprintf("%s/%s.plan%d", tmp_dir, c->name, c->n_plans);
    Args a = {0};
    add(&a, xasprintf("%s/ectc", bin_dir));
    add(&a, xasprintf("%s/%s", models_dir, json_string_value(json_object_get(c->json, "model"))));
    add(&a, "-o");
    add(&a, path);
    if (starts(device, "cuda")) { add(&a, "--target"); add(&a, "cpu,cuda"); }
    const char *name;
    json_t *v;
    json_object_foreach(defines, name, v) {
        add(&a, "-D");
        add(&a, assignment(name, v));
    }
    char *out = run(&a);
    if (!out) return NULL;
    free(out);
    int n = c->n_plans;
    vec_push(c->plan_key, n, c->cap_keys, key);
    vec_push(c->plan, c->n_plans, c->cap_plans, path);
    return path;
}

/* One program of a case: true when every expected tensor is near enough. */
static bool run_program(Case *c, json_t *p)
{
    const char *program = json_string_value(json_object_get(p, "program")), *tag = json_string_value(json_object_get(p, "tag"));
    char *label = xasprintf("%s/%s%s%s", c->name, program, tag ? "-" : "", tag ? tag : "");
    json_t *set = json_object_get(p, "set") ? json_deep_copy(json_object_get(p, "set")) : json_object();
    json_t *defines = json_deep_copy(json_object_get(c->json, "defines"));
    json_object_set(defines, "batch", json_object_get(c->json, "batch"));
    if (json_object_get(p, "defines")) json_object_update(defines, json_object_get(p, "defines"));
    if (json_object_get(set, "mapping")) {                             /* compile-time in the model text */
        json_object_set(defines, "mapping", json_object_get(set, "mapping"));
        json_object_del(set, "mapping");
    }
    const char *plan = plan_for(c, defines);
    if (!plan) { printf("FAIL %-40s cannot be compiled\n", label); return false; }
    const char *weights = json_string_value(json_object_get(c->json, "weights"));
    char *weight_file = strcmp(weights, "formula") ? xasprintf("%s/%s", c->dir, weights) : xasprintf("%s/%s.weights", tmp_dir, c->name);
    if (!file_exists(weight_file) && !write_formula_weights(plan, weight_file)) { printf("FAIL %-40s no weights\n", label); return false; }
    char *in = xasprintf("%s/in.safetensors", tmp_dir), *out = xasprintf("%s/out.safetensors", tmp_dir);
    const char *own_file = json_string_value(json_object_get(p, "inputs_file"));
    TensorFile *own = own_file ? open_tensors(c->dir, own_file) : NULL;
    write_inputs(c->inputs, own, p, in);
    unlink(out);

    Args a = {0};
    add(&a, xasprintf("%s/ect-rt", bin_dir));
    const char *fixed[] = {"run", plan, program, "--weights", weight_file, "--in", in, "--out", out, "--device", device};
    for (size_t i = 0; i < COUNT(fixed); i++) add(&a, fixed[i]);
    const char *name;
    json_t *v;
    size_t i;
    json_object_foreach(set, name, v) {
        add(&a, "--set");
        add(&a, assignment(name, v));
    }
    json_array_foreach(json_object_get(p, "mid"), i, v) {
        StrBuf b = {0};
        value_text(&b, v);
        add(&a, "--mid");
        add(&a, b.s);
    }
    if (json_object_get(p, "iterations")) {
        add(&a, "--iters");
        add(&a, xasprintf("%lld", (long long)json_integer_value(json_object_get(p, "iterations"))));
    }
    char *text = run(&a);
    if (!text) { printf("FAIL %-40s on %s\n", label, device); return false; }
    free(text);

    TensorFile *want = open_tensors(c->dir, json_string_value(json_object_get(p, "expect"))), *got = open_tensors(NULL, out);
    TensorFile *start = strcmp(program, "train_step") ? NULL : open_tensors(NULL, weight_file);
    double worst = 0, tolerance = tolerance_of(program);
    const char *where = "";
    for (int k = 0; k < want->n; k++) {
        const TensorEntry *t = &want->tensor[k];
        size_t len = strlen(t->name);
        /* A key's bias has gradient 0 in exact arithmetic, because softmax ignores it: Adam turns its rounding noise into steps. */
        if (start && len >= 8 && !strcmp(t->name + len - 8, "qkv.bias")) continue;
        double e = compare(t, want, got, start, program);
        if (!(e <= worst)) { worst = e; where = t->name; }
    }
    bool good = worst <= tolerance;
    printf("%s %-40s %.2e (<= %.0e) %s\n", good ? "ok  " : "FAIL", label, worst, tolerance, where);
    fflush(stdout);
    tensor_file_close(want);
    tensor_file_close(got);
    if (start) tensor_file_close(start);
    if (own) tensor_file_close(own);
    json_decref(set);
    json_decref(defines);
    return good;
}

int main(int argc, char **argv)
{
    prog_name = "oracle";
    const char *usage = "usage: oracle [--bin DIR] [--models DIR] [--device cpu|ref|ref64] [--only PROGRAM[-TAG]] CASE_DIR...";
    struct { const char *name; const char **value; } options[] = {
        {"--bin", &bin_dir}, {"--models", &models_dir}, {"--device", &device}, {"--only", &only},
    };
    int first = 1;
    while (first < argc && starts(argv[first], "--")) {
        size_t k = 0;
        while (k < COUNT(options) && strcmp(options[k].name, argv[first])) k++;
        if (k == COUNT(options) || first + 1 >= argc) user_error("%s", usage);
        *options[k].value = argv[first + 1];
        first += 2;
    }
    if (first >= argc) user_error("%s", usage);
    make_tmp("oracle");
    int passed = 0, failed = 0;
    for (int i = first; i < argc; i++) {
        size_t len = strlen(argv[i]);
        while (len > 1 && argv[i][len - 1] == '/') argv[i][--len] = 0;
        json_error_t je;
        char *file = xasprintf("%s/case.json", argv[i]);
        Case c = {.dir = argv[i], .name = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i], .json = json_load_file(file, 0, &je)};
        if (!c.json) user_error("%s: %s", file, je.text);
        c.inputs = open_tensors(c.dir, "inputs.safetensors");
        size_t k;
        json_t *p;
        json_array_foreach(json_object_get(c.json, "programs"), k, p) {
            const char *program = json_string_value(json_object_get(p, "program")), *tag = json_string_value(json_object_get(p, "tag"));
            char *both = xasprintf("%s-%s", program, tag ? tag : "");
            bool wanted = !only || !strcmp(only, program) || !strcmp(only, both);
            free(both);
            if (!wanted) continue;
            if (run_program(&c, p)) passed++;
            else failed++;
        }
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed ? EXIT_USER : EXIT_OK;
}
