/* Small tensors for shell tests: makes safetensors files from values on the command line and checks outputs against values.
   Assumes files that fit in memory; a tensor is named NAME:SHAPE, e.g. x:2,3 (x: is a scalar); one value fills it, else all are given. */
#include "tests/tools/tool.h"

static const char *usage =
    "usage: tensor write FILE [NAME:SHAPE VALUE...]...      f32 tensors; a value may be FIRST..LAST, evenly spaced over what is left\n"
    "       tensor weights FILE SHAPES.json [NAME=VALUE]... what `ect-rt explain --parameters --json` lists, filled with VALUE, the others with 0\n"
    "       tensor check FILE NAME TOLERANCE VALUE...       each element within TOLERANCE * max(1e-30, |value|); @T as TOLERANCE is absolute\n"
    "       tensor print FILE NAME\n"
    "       tensor count SHAPES.json                        parameters and tensors\n"
    "       tensor near TOLERANCE FILE FILE                 same tensors, each within this relative L2 distance";

static double number(const char *s)
{
    char *end;
    double v = strtod(s, &end);
    if (end == s || *end) user_error("`%s` is no number", s);
    return v;
}

static int write_command(int argc, char **argv)
{
    typedef struct { char *name; int n_dims; int64_t shape[TENSOR_MAX_DIMS], elements; float *v; } Made;
    Made *made = NULL;
    int n = 0, cap = 0;
    for (int i = 1; i < argc; ) {
        Made m = {.name = xstrdup(argv[i++]), .elements = 1};
        char *colon = strrchr(m.name, ':');
        if (!colon) user_error("%s: NAME:SHAPE is wanted", m.name);
        *colon = 0;
        for (char *s = strtok(colon + 1, ","); s; s = strtok(NULL, ",")) {
            m.shape[m.n_dims++] = (int64_t)number(s);
            m.elements *= m.shape[m.n_dims - 1];
        }
        m.v = xmalloc((size_t)m.elements * sizeof *m.v);
        int first = i;
        int64_t k = 0;
        for (; i < argc && (!strchr(argv[i], ':')); i++) {
            char *dots = strstr(argv[i], "..");
            if (dots) {
                *dots = 0;
                double a = number(argv[i]), b = number(dots + 2);
                int64_t left = m.elements - k;
                for (int64_t e = 0; e < left; e++) m.v[k++] = (float)(a + (b - a) * (left > 1 ? (double)e / (double)(left - 1) : 0));
            } else if (k < m.elements) {
                m.v[k++] = (float)number(argv[i]);
            } else {
                user_error("%s: more than %lld values", m.name, (long long)m.elements);
            }
        }
        if (i == first + 1 && k == 1) while (k < m.elements) m.v[k++] = m.v[0];
        if (k != m.elements) user_error("%s: %lld values for %lld elements", m.name, (long long)k, (long long)m.elements);
        vec_push(made, n, cap, m);
    }
    char *err = NULL;
    TensorWriter *w = tensor_writer_new(argv[0]);
    for (int i = 0; i < n; i++) tensor_writer_declare(w, made[i].name, DT_F32, made[i].n_dims, made[i].shape);
    for (int i = 0; i < n; i++) tensor_writer_data(w, made[i].v, (size_t)made[i].elements * sizeof(float));
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
    return 0;
}

static json_t *load_shapes(const char *path)
{
    json_error_t je;
    json_t *shapes = json_load_file(path, 0, &je);
    if (!json_is_object(shapes)) user_error("%s: no object of shapes", path);
    return shapes;
}
static int64_t shape_of(const json_t *v, int64_t *shape)
{
    int64_t n = 1;
    for (size_t i = 0; i < json_array_size(v); i++) n *= shape[i] = json_integer_value(json_array_get(v, i));
    return n;
}
static int weights_command(int argc, char **argv)
{
    json_t *shapes = load_shapes(argv[1]), *v;
    const char *name;
    int64_t shape[TENSOR_MAX_DIMS];
    char *err = NULL;
    int used = 0;
    TensorWriter *w = tensor_writer_new(argv[0]);
    json_object_foreach(shapes, name, v) {
        shape_of(v, shape);
        tensor_writer_declare(w, name, DT_F32, (int)json_array_size(v), shape);
    }
    json_object_foreach(shapes, name, v) {
        int64_t n = shape_of(v, shape);
        float fill = 0, *values = xmalloc((size_t)n * sizeof *values);
        size_t len = strlen(name);
        for (int i = 2; i < argc; i++)
            if (!strncmp(argv[i], name, len) && argv[i][len] == '=') { fill = (float)number(argv[i] + len + 1); used++; }
        for (int64_t e = 0; e < n; e++) values[e] = fill;
        tensor_writer_data(w, values, (size_t)n * sizeof *values);
        free(values);
    }
    if (used != argc - 2) user_error("a NAME=VALUE names no parameter");
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
    return 0;
}
static int count_command(char **argv)
{
    json_t *shapes = load_shapes(argv[0]), *v;
    const char *name;
    int64_t shape[TENSOR_MAX_DIMS], total = 0;
    json_object_foreach(shapes, name, v) total += shape_of(v, shape);
    printf("%lld %zu\n", (long long)total, json_object_size(shapes));
    return 0;
}

static const TensorEntry *wanted(const TensorFile *f, const char *name)
{
    const TensorEntry *t = tensor_find(f, name);
    if (!t) {
        fprintf(stderr, "%s has no tensor %s; it has:", f->path, name);
        for (int i = 0; i < f->n && i < 20; i++) fprintf(stderr, " %s", f->tensor[i].name);
        fprintf(stderr, "\n");
        exit(EXIT_USER);
    }
    return t;
}
static int check_command(int argc, char **argv)
{
    TensorFile *f = open_tensors(NULL, argv[0]);
    const TensorEntry *t = wanted(f, argv[1]);
    bool absolute = argv[2][0] == '@';
    double tolerance = number(argv[2] + absolute), *v = values(t);
    int n = argc - 3, bad = 0;
    if (t->elements != n && n != 1) user_error("%s holds %lld values, not %d", argv[1], (long long)t->elements, n);
    for (int64_t i = 0; i < t->elements; i++) {
        double want = number(argv[3 + (n == 1 ? 0 : i)]), allowed = absolute ? tolerance : tolerance * fmax(fabs(want), 1e-30);
        if (fabs(v[i] - want) <= allowed) continue;
        fprintf(stderr, "%s[%lld] of %s: %.9g, wanted %.9g within %.3g\n", argv[1], (long long)i, argv[0], v[i], want, allowed);
        bad++;
    }
    return bad > 0;
}
static int print_command(char **argv)
{
    TensorFile *f = open_tensors(NULL, argv[0]);
    const TensorEntry *t = wanted(f, argv[1]);
    double *v = values(t);
    for (int64_t i = 0; i < t->elements; i++) printf("%.9g\n", v[i]);
    return 0;
}
static int near_command(char **argv)
{
    TensorFile *a = open_tensors(NULL, argv[1]), *b = open_tensors(NULL, argv[2]);
    int bad = a->n != b->n;
    if (bad) fprintf(stderr, "%s has %d tensors, %s %d\n", a->path, a->n, b->path, b->n);
    for (int i = 0; i < b->n; i++) {
        const TensorEntry *t = &b->tensor[i], *u = wanted(a, t->name);
        if (!same_shape(t, u)) { fprintf(stderr, "%s: shapes differ\n", t->name); bad = 1; continue; }
        double *x = values(u), *y = values(t), e = relative(norm_difference(x, y, t->elements), norm_difference(y, NULL, t->elements));
        if (!(e <= number(argv[0]))) { fprintf(stderr, "%s: distance %.3g\n", t->name, e); bad = 1; }
        free(x);
        free(y);
    }
    return bad;
}

int main(int argc, char **argv)
{
    prog_name = "tensor";
    const char *c = argc > 2 ? argv[1] : "";
    if (!strcmp(c, "write")) return write_command(argc - 2, argv + 2);
    if (!strcmp(c, "weights") && argc >= 4) return weights_command(argc - 2, argv + 2);
    if (!strcmp(c, "check") && argc >= 6) return check_command(argc - 2, argv + 2);
    if (!strcmp(c, "print") && argc == 4) return print_command(argv + 2);
    if (!strcmp(c, "count") && argc == 3) return count_command(argv + 2);
    if (!strcmp(c, "near") && argc == 5) return near_command(argv + 2);
    user_error("%s", usage);
}
