/* Runs every program of a plan on cpu, ref and ref64 with the same weights, inputs and draws, and compares: cpu and ref with ref64 within the
   tolerances of the oracle; byte for byte cpu with itself, with another number of threads, and with its own draws fed back as inputs.
   Assumes a plan made at a small batch. Weights are by formula, so that no gradient vanishes as it would at the initial values.
   --scaled: for small programs with values of about 1: each element within a tolerance of the largest; more plans of it. A random program may be
   one that f32 cannot compute so closely. Where a comparison fails, ref64 is run again with weights and inputs one f32 step off. What that changes,
   times SHAKEN_FACTOR, is allowed, and cpu, which adds up in another order, may be REF_FACTOR times as far off as ref in f32 is; where ref leaves
   the range of f32, nothing is asked. */
#include "tests/tools/tool.h"
#include "runtime/plan.h"

static const struct { const char *program; double tolerance; } tolerances[] = {
    {"loss", 2e-3}, {"grad", 5e-3}, {"train_step", 2e-2}, {"sample", 2e-5},
};
static const double OTHER_TOLERANCE = 1e-5;
/* --scaled: the largest difference of a tensor, against its largest element, but at least against VALUE_FLOOR, or for gradients
   against GRADIENT_FLOOR times the largest element of all: what is 0 in exact arithmetic is rounding here, of terms of about the largest's size,
   of which 80 roundings are 5e-6. */
static const double SCALED_TOLERANCE = 1e-4, SCALED_TRAIN = 2e-3, VALUE_FLOOR = 0.1, GRADIENT_FLOOR = 5e-2, SHAKEN_FACTOR = 32, REF_FACTOR = 4;
enum { ITERATIONS = 3 };

static const char *rt, *weights, *plan_dir;
static bool has_stage, quick, scaled, emu;           /* emu: cuda-emu too; with --scaled and no --within instead of cpu */
static double within;                                /* --scaled: the tolerance of all but ref, and between emu and cpu; 0: as above */
static int n_others;
static char **others;                                /* --scaled: more plans of the same model */

static double uniform(const char *name, uint64_t i)                    /* in [-1, 1] */
{
    float v = formula(name, i, 2, 1);
    return v;
}
/* Values like those the program gets in use: one-hot labels, noise levels, images in [-1, 1], regression tables. */
static double input_value(const char *name, const PlanShape *s, int64_t e)
{
    if (!strcmp(name, "sigma")) return exp(4 * uniform(name, (uint64_t)e) - 0.5);
    if (!strcmp(name, "labels")) {
        int64_t classes = s->size[s->n - 1];
        return e % classes == (e / classes) % classes;
    }
    if (!strcmp(name, "z")) return 1.7 * uniform(name, (uint64_t)e);
    return uniform(name, (uint64_t)e);
}
static void write_inputs(const PlanProgram *p, const char *path, bool train)
{
    char *err = NULL;
    TensorWriter *w = tensor_writer_new(path);
    int64_t lead = train ? ITERATIONS : 1;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < p->n_inputs; i++) {
            const PlanShape *s = &p->input[i].shape;
            int64_t n = shape_elements(s), size[TENSOR_MAX_DIMS + 1];
            if (!n) continue;
            if (!pass) {
                size[0] = lead;
                for (int k = 0; k < s->n; k++) size[k + train] = s->size[k];
                tensor_writer_declare(w, p->input[i].name, DT_F32, s->n + train, size);
                continue;
            }
            float *v = xmalloc((size_t)(n * lead) * sizeof *v);
            for (int64_t e = 0; e < n * lead; e++) v[e] = (float)input_value(p->input[i].name, s, e);
            tensor_writer_data(w, v, (size_t)(n * lead) * sizeof *v);
            free(v);
        }
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
}

/* Runs a program; the path of its output, or NULL. */
static char *execute_plan(const char *dir, const PlanProgram *p, const char *device, const char *threads, const char *in,
                          const char *dump, const char *tag)
{
    Args a = {0};
    char *out = xasprintf("%s/%s.%s%s.safetensors", tmp_dir, p->name, device, tag);
    const char *fixed[] = {rt, "run", dir, p->name, "--in", in, "--out", out, "--device", device, "--seed", "5", "--threads", threads};
    for (size_t i = 0; i < COUNT(fixed); i++) add(&a, fixed[i]);
    if (weights) { add(&a, "--weights"); add(&a, weights); }
    if (!strcmp(p->name, "train_step")) { add(&a, "--iters"); add(&a, xasprintf("%d", ITERATIONS)); }
    bool repeats = false;
    for (int i = 0; i < p->n_segments; i++) repeats |= p->segment[i].each != NULL;
    for (int i = 0; repeats && i < 2; i++) { add(&a, "--mid"); add(&a, i ? "0.3" : "0.821"); }
    if (has_stage && p->training) { add(&a, "--set"); add(&a, "stage=2"); }
    if (dump) { add(&a, "--dump-draws"); add(&a, dump); }
    char *text = run(&a);
    free(text);
    return text ? out : NULL;
}
static char *execute(const PlanProgram *p, const char *device, const char *threads, const char *in, const char *dump, const char *tag)
{
    return execute_plan(plan_dir, p, device, threads, in, dump, tag);
}
static bool same_bytes(const char *what, const PlanProgram *p, const char *a, const char *b)
{
    if (!a || !b) return false;
    size_t na = 0, nb = 0;
    char *x = read_file(a, &na), *y = read_file(b, &nb);
    bool same = x && y && na == nb && !memcmp(x, y, na);
    if (!same) {
        printf("FAIL %s: %s: bytes differ\n", p->name, what);
        TensorFile *f = open_tensors(NULL, a), *g = open_tensors(NULL, b);
        for (int i = 0, shown = 0; i < f->n && shown < 5; i++) {
            const TensorEntry *t = tensor_find(g, f->tensor[i].name);
            if (!t || t->bytes != f->tensor[i].bytes || memcmp(t->data, f->tensor[i].data, t->bytes)) printf("     %s\n", f->tensor[i].name), shown++;
        }
        tensor_file_close(f);
        tensor_file_close(g);
    }
    free(x);
    free(y);
    return same;
}
/* Prints the line of one comparison; true when worst, of the tensor `where`, is within tolerance. NaN is not. */
static bool verdict(const PlanProgram *p, const char *what, const char *base, double worst, double tolerance, const char *where)
{
    bool good = worst <= tolerance;
    printf("%s %-16s %-4s against %s: %.2e (<= %.0e) %s\n", good ? "ok  " : "FAIL", p->name, what, base, worst, tolerance, where);
    return good;
}
/* got against want (ref64). Training steps: all parameters together, relative to how far they moved; gradients of size 0 in exact arithmetic
   are measured against the largest gradient. */
static bool near(const PlanProgram *p, const char *device, const char *got_path, const char *want_path)
{
    if (!got_path || !want_path) return false;
    TensorFile *got = open_tensors(NULL, got_path), *want = open_tensors(NULL, want_path), *start = NULL;
    double tolerance = OTHER_TOLERANCE, largest = 0, worst = 0, moved = 0, apart = 0;
    const char *where = "";
    for (size_t i = 0; i < COUNT(tolerances); i++) if (!strcmp(tolerances[i].program, p->name)) tolerance = tolerances[i].tolerance;
    bool train = !strcmp(p->name, "train_step");
    if (train && weights) start = open_tensors(NULL, weights);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < want->n; i++) {
            const TensorEntry *w = &want->tensor[i], *g = tensor_find(got, w->name);
            if (!g || !same_shape(g, w)) { worst = INFINITY; where = w->name; continue; }
            double *a = values(g), *b = values(w), norm = norm_difference(b, NULL, w->elements), e = norm_difference(a, b, w->elements);
            const TensorEntry *s = start ? tensor_find(start, w->name) : NULL;
            if (!s && start) {
                const char *dot = strchr(w->name, '.');
                if (dot) s = tensor_find(start, dot + 1);
            }
            if (!pass) {
                if (starts(w->name, "grad.")) largest = fmax(largest, norm);
            } else if (s) {
                double *c = values(s), m = norm_difference(b, c, w->elements);
                moved += m * m;
                apart += e * e;
                free(c);
            } else {
                double floor_norm = starts(w->name, "grad.") ? 1e-3 * largest : 0;
                e = relative(e, fmax(norm, floor_norm));
                if (!(e <= worst)) { worst = isnan(e) ? INFINITY : e; where = w->name; }
            }
            free(a);
            free(b);
        }
    double all = relative(sqrt(apart), sqrt(moved));
    if (!(all <= worst)) { worst = isnan(all) ? INFINITY : all; where = "all parameters"; }
    bool good = verdict(p, device, "ref64", worst, tolerance, where);
    if (start) tensor_file_close(start);
    tensor_file_close(got);
    tensor_file_close(want);
    return good;
}
static double largest(const double *a, const double *b, int64_t n)      /* |a - b|; infinite when one is not finite */
{
    double m = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs(a[i] - (b ? b[i] : 0));
        if (!(d <= m)) m = isfinite(d) ? d : INFINITY;
    }
    return m;
}
static double worst_of(const TensorFile *f, const char *name, const double *b, int64_t n)
{
    double *a = values(tensor_find(f, name)), m = largest(a, b, n);
    free(a);
    return m;
}
/* --scaled: got against want. Parameters after training: against how far any of them moved, or a thousandth of the largest.
   shaken: ref64 a step off, or NULL; ref: the same in f32. */
static bool near_scaled(const PlanProgram *p, const char *what, const char *base, const char *got_path, const char *want_path, const char *shaken, const char *ref)
{
    if (!got_path || !want_path) return false;
    TensorFile *got = open_tensors(NULL, got_path), *want = open_tensors(NULL, want_path);
    TensorFile *off = shaken ? open_tensors(NULL, shaken) : NULL, *narrow = shaken ? open_tensors(NULL, ref) : NULL;
    TensorFile *start = weights ? open_tensors(NULL, weights) : NULL;
    bool train = !strcmp(p->name, "train_step");
    double gradients = 0, moved = 0, worst = 0, tolerance = within && strcmp(what, "ref") ? within : train ? SCALED_TRAIN : SCALED_TOLERANCE;
    const char *where = "";
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < want->n; i++) {
            const TensorEntry *w = &want->tensor[i], *g = tensor_find(got, w->name);
            const TensorEntry *s = train && start ? tensor_find(start, w->name) : NULL;
            if (!g || !same_shape(g, w)) { worst = INFINITY; where = w->name; continue; }
            double *a = values(g), *b = values(w), size = largest(b, NULL, w->elements), floor_size = VALUE_FLOOR;
            if (starts(w->name, "grad.")) floor_size = fmax(1e-6, GRADIENT_FLOOR * (gradients = fmax(gradients, size)));
            if (s) {
                double *c = values(s);
                moved = fmax(moved, fmax(largest(b, c, w->elements), 1e-3 * largest(c, NULL, w->elements)));
                free(c);
            }
            bool weight = train && strcmp(w->name, "loss") && !starts(w->name, "report.");
            double unit = weight ? moved : fmax(size, floor_size), e = largest(a, b, w->elements) / unit;
            if (pass && off) {                       /* in units of what is allowed */
                double change = SHAKEN_FACTOR * worst_of(off, w->name, b, w->elements) / unit;
                if (got_path != ref) change = fmax(change, REF_FACTOR * worst_of(narrow, w->name, b, w->elements) / unit);
                if (!isfinite(worst_of(narrow, w->name, NULL, w->elements))) e = 0;
                e *= tolerance / fmax(tolerance, isfinite(change) ? change : tolerance);
            }
            if (pass && !(e <= worst)) { worst = isfinite(e) ? e : INFINITY; where = w->name; }
            free(a);
            free(b);
        }
    bool good = verdict(p, what, base, worst, tolerance, where);
    if (start) tensor_file_close(start);
    if (off) { tensor_file_close(off); tensor_file_close(narrow); }
    tensor_file_close(got);
    tensor_file_close(want);
    return good;
}
/* A copy of a file of f32 tensors, each value but 0 one step up or down. */
static char *one_step_off(const char *from, const char *name)
{
    char *path = xasprintf("%s/%s.off.safetensors", tmp_dir, name), *err = NULL;
    TensorFile *f = open_tensors(NULL, from);
    TensorWriter *w = tensor_writer_new(path);
    for (int i = 0; i < f->n; i++) tensor_writer_declare(w, f->tensor[i].name, f->tensor[i].type, f->tensor[i].n_dims, f->tensor[i].shape);
    for (int i = 0; i < f->n; i++) {
        const TensorEntry *t = &f->tensor[i];
        float *v = xmalloc(t->bytes + 1);
        memcpy(v, t->data, t->bytes);
        for (int64_t e = 0; e < t->elements; e++)
            if (v[e] != 0) v[e] = nextafterf(v[e], (uint64_t)e * 0x9e3779b97f4a7c15u >> 63 ? INFINITY : -INFINITY);
        tensor_writer_data(w, v, t->bytes);
        free(v);
    }
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
    tensor_file_close(f);
    return path;
}
/* --scaled: ref, the first plan's and further plans' kernels against ref64. */
static bool all_near(const PlanProgram *p, const char *in, const char *first, const char *ref, char *const *other, const char *wide)
{
    const char *shaken = NULL;
    for (;;) {
        bool good = near_scaled(p, "ref", "ref64", ref, wide, shaken, ref) & near_scaled(p, emu && !within ? "emu" : "cpu", "ref64", first, wide, shaken, ref);
        for (int i = 0; i < n_others; i++) good &= near_scaled(p, others[i], "ref64", other[i], wide, shaken, ref);
        if (good || shaken) return good;
        const char *own = weights;
        if (weights) weights = one_step_off(weights, "weights");
        shaken = execute(p, "ref64", "2", one_step_off(in, "in"), NULL, ".off");
        weights = own;
        if (!shaken) return false;
        printf("     again, against what one f32 step in weights and inputs changes:\n");
    }
}
/* Appends the draws' file to the inputs' file, as one. */
static char *with_draws(const char *in, const char *draws)
{
    char *path = xasprintf("%s/both.safetensors", tmp_dir), *err = NULL;
    TensorFile *f[2] = {open_tensors(NULL, in), open_tensors(NULL, draws)};
    TensorWriter *w = tensor_writer_new(path);
    for (int pass = 0; pass < 2; pass++)
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < f[k]->n; i++) {
                const TensorEntry *t = &f[k]->tensor[i];
                if (!pass) tensor_writer_declare(w, t->name, t->type, t->n_dims, t->shape);
                else tensor_writer_data(w, t->data, t->bytes);
            }
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
    for (int k = 0; k < 2; k++) tensor_file_close(f[k]);
    return path;
}
static int check_program(const PlanProgram *p)
{
    bool train = !strcmp(p->name, "train_step");
    char *in = xasprintf("%s/%s.in.safetensors", tmp_dir, p->name), *draws = xasprintf("%s/draws.safetensors", tmp_dir);
    write_inputs(p, in, train);
    int draw_count = 0;
    for (int i = 0; i < p->n_segments; i++) draw_count += p->segment[i].n_draws;
    if (!strcmp(p->name, "init")) {                                    /* by the interpreter on every device */
        char *a = execute(p, "ref", "2", in, NULL, ""), *b = execute(p, "ref", "1", in, NULL, ".again");
        return !(same_bytes("init twice", p, a, b));
    }
    const char *device = scaled && emu && !within ? "cuda-emu" : "cpu";
    char *cpu = execute(p, device, "2", in, draws, ""), *ref = execute(p, "ref", "2", in, NULL, "");
    if (!cpu || !ref) { printf("FAIL %s does not run\n", p->name); return 1; }
    char *wide = quick ? NULL : execute(p, "ref64", "2", in, NULL, "");
    if (scaled) {
        char **other = xcalloc((size_t)n_others + 1, sizeof *other);
        for (int i = 0; i < n_others; i++) other[i] = execute_plan(others[i], p, device, "2", in, NULL, xasprintf(".other%d", i));
        bool good = all_near(p, in, cpu, ref, other, wide);
        if (emu && within) {
            const char *on = execute(p, "cuda-emu", "2", in, NULL, "");
            good &= near_scaled(p, "emu", "ref64", on, wide, NULL, ref) & near_scaled(p, "emu", "cpu", on, cpu, NULL, ref);
        }
        if (!strcmp(p->name, "grad") && !emu)
            good &= same_bytes("1 thread and 2 threads", p, cpu, execute(p, "cpu", "1", in, NULL, ".one"));
        return !good;
    }
    const char *on = emu ? execute(p, "cuda-emu", "2", in, NULL, "") : NULL;
    bool good = quick ? near(p, "cpu", cpu, ref) : near(p, "cpu", cpu, wide) & near(p, "ref", ref, wide);
    if (emu) good &= on ? near(p, "emu", on, quick ? ref : wide) : (printf("FAIL %s does not run on cuda-emu\n", p->name), false);
    good &= same_bytes("1 thread and 2 threads", p, cpu, execute(p, "cpu", "1", in, NULL, ".one"));
    good &= same_bytes("two runs", p, cpu, execute(p, "cpu", "2", in, NULL, ".again"));
    if (draw_count && !quick) {
        char *both = with_draws(in, draws);
        good &= same_bytes("its own draws as inputs, cpu", p, cpu, execute(p, "cpu", "2", both, NULL, ".draws"));
        good &= same_bytes("its own draws as inputs, ref", p, ref, execute(p, "ref", "2", both, NULL, ".draws"));
    }
    return !good;
}

int main(int argc, char **argv)
{
    prog_name = "agree";
    const char *only = NULL;
    int first = 1;
    for (; first < argc && starts(argv[first], "--"); first++) {
        if (!strcmp(argv[first], "--quick")) quick = true;
        else if (!strcmp(argv[first], "--scaled")) scaled = true;
        else if (!strcmp(argv[first], "--emu")) emu = true;
        else if (!strcmp(argv[first], "--bin") && first + 1 < argc) bin_dir = argv[++first];
        else if (!strcmp(argv[first], "--within") && first + 1 < argc) within = strtod(argv[++first], NULL);
        else if (!strcmp(argv[first], "--only") && first + 1 < argc) only = argv[++first];
        else user_error("usage: agree [--bin DIR] [--only PROGRAM] [--quick] [--emu] PLAN      (--quick: cpu against ref in f32; --emu: cuda-emu too)\n"
                        "       agree --scaled [--bin DIR] [--only PROGRAM] [--emu] [--within T] PLAN [PLAN of the same model]...");
    }
    if (first + 1 != argc && (!scaled || first >= argc)) user_error("which plan?");
    n_others = argc - first - 1;
    others = argv + first + 1;
    plan_dir = argv[first];
    rt = xasprintf("%s/ect-rt", bin_dir);
    make_tmp("agree");
    char *err = NULL;
    Plan *plan = plan_load(plan_dir, &err);
    if (!plan) user_error("%s", err);
    for (int i = 0; i < plan->n_runtime; i++) has_stage |= !strcmp(plan->runtime[i].name, "stage");
    if (plan->n_params) {
        weights = xasprintf("%s/weights.safetensors", tmp_dir);
        if (!write_formula_weights(plan_dir, weights)) return EXIT_USER;
    }
    int failed = 0, ran = 0;
    for (int i = 0; i < plan->n_programs; i++) {
        if (only && strcmp(only, plan->program[i].name)) continue;
        if (scaled && !strcmp(plan->program[i].name, "init")) continue;
        failed += check_program(&plan->program[i]);
        fflush(stdout);
        ran++;
    }
    printf("%d programs, %d failed\n", ran, failed);
    return failed || !ran ? EXIT_USER : EXIT_OK;
}
