/* Shared by the test tools: a folder of temporary files, running ectc and ect-rt as child processes, tensors, weights by formula.
   Assumes each tool is one file that includes this once. */
#ifndef ECT_TEST_TOOL_H
#define ECT_TEST_TOOL_H
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>
#include "runtime/tensor_file.h"

#define TOOL static __attribute__((unused))       /* not every tool uses all of it */

extern char **environ;

typedef struct { const char **v; int n, cap; } Args;

TOOL const char *bin_dir = "build", *tmp_dir;

TOOL void add(Args *a, const char *s) { vec_push(a->v, a->n, a->cap, s); }

TOOL bool starts(const char *s, const char *prefix) { return !strncmp(s, prefix, strlen(prefix)); }

/* Runs a command; what it printed on the heap. Returns its wait status. */
TOOL int capture(Args *a, char **out, char **err)
{
    char *out_path = xasprintf("%s/stdout", tmp_dir), *err_path = xasprintf("%s/stderr", tmp_dir);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    add(a, NULL);
    pid_t pid;
    int error = posix_spawn(&pid, a->v[0], &files, NULL, (char **)a->v, environ), status = 0;
    if (error) machine_error("cannot start %s: %s", a->v[0], strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) { }
    posix_spawn_file_actions_destroy(&files);
    *out = read_file(out_path, NULL);
    *err = read_file(err_path, NULL);
    free(out_path);
    free(err_path);
    free(a->v);
    return status;
}

/* Runs a command; its stdout on the heap, or NULL with everything it printed shown when it did not exit 0. */
TOOL char *run(Args *a)
{
    char *out, *err;
    StrBuf line = {0};
    for (int i = 0; i < a->n; i++) sb_printf(&line, "%s ", a->v[i]);
    int status = capture(a, &out, &err);
    if (status != 0) {
        printf("%s", line.s);
        if (WIFEXITED(status)) printf("\nexit status %d\n", WEXITSTATUS(status));
        else printf("\nkilled by signal %d\n", WTERMSIG(status));
        printf("%.2000s%.2000s\n", out ? out : "", err ? err : "");
        free(out);
        out = NULL;
    }
    sb_free(&line);
    free(err);
    return out;
}

TOOL TensorFile *open_tensors(const char *dir, const char *file)
{
    char *err = NULL, *path = dir ? xasprintf("%s/%s", dir, file) : xstrdup(file);
    TensorFile *f = tensor_file_open(path, &err);
    if (!f) machine_error("%s", err);
    free(path);
    return f;
}

/* Weights by formula, for nets too large to store: see tests/oracle/data/README.md. */
TOOL float formula(const char *name, uint64_t i, int n_dims, double bound)
{
    size_t len = strlen(name);
    uint64_t seed = crc32(0, (const Bytef *)name, (uInt)len), z = (seed << 32) + i + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    double v = 2 * ((double)(z >> 40) / 0x1p24) - 1;
    if (len > 5 && !strcmp(name + len - 5, ".bias")) return (float)(0.1 * v);
    if (n_dims == 1) return (float)(1 + 0.2 * v);
    return (float)(v * bound);
}
TOOL bool write_formula_weights(const char *plan, const char *path)
{
    Args a = {0};
    add(&a, xasprintf("%s/ect-rt", bin_dir));
    add(&a, "explain");
    add(&a, plan);
    add(&a, "--parameters");
    add(&a, "--json");
    char *text = run(&a), *err = NULL;
    if (!text) return false;
    json_error_t je;
    json_t *shapes = json_loads(text, 0, &je), *shape;
    if (!json_is_object(shapes)) user_error("explain --parameters --json: %s", shapes ? "not an object" : je.text);
    const char *name;
    TensorWriter *w = tensor_writer_new(path);
    for (int writing = 0; writing < 2; writing++) {
        json_object_foreach(shapes, name, shape) {
            int n = (int)json_array_size(shape);
            int64_t size[TENSOR_MAX_DIMS], elements = 1, fan_in = 1;
            for (int i = 0; i < n; i++) {
                size[i] = json_integer_value(json_array_get(shape, (size_t)i));
                elements *= size[i];
                if (i) fan_in *= size[i];
            }
            if (!writing) { tensor_writer_declare(w, name, DT_F32, n, size); continue; }
            double bound = (float)sqrt(3.0 / (double)fan_in);
            float *v = xmalloc((size_t)elements * sizeof *v);
            for (int64_t i = 0; i < elements; i++) v[i] = formula(name, (uint64_t)i, n, bound);
            tensor_writer_data(w, v, (size_t)elements * sizeof *v);
            free(v);
        }
    }
    json_decref(shapes);
    free(text);
    if (!tensor_writer_commit(w, &err)) machine_error("%s", err);
    return true;
}

TOOL double *values(const TensorEntry *t)
{
    double *v = xmalloc((size_t)MAX(t->elements, 1) * sizeof *v);
    tensor_read_f64(t, 0, t->elements, v);
    return v;
}
TOOL double norm_difference(const double *a, const double *b, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += (a[i] - (b ? b[i] : 0)) * (a[i] - (b ? b[i] : 0));
    return sqrt(s);
}
TOOL bool same_shape(const TensorEntry *a, const TensorEntry *b)
{
    return a->n_dims == b->n_dims && !memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape);
}
TOOL double relative(double d, double n) { return n > 0 ? d / n : d; }

TOOL void remove_tmp(void) { remove_tree(tmp_dir); }

/* A folder that goes when the tool ends. */
TOOL void make_tmp(const char *tool)
{
    const char *base = getenv("TMPDIR");
    char *dir = xasprintf("%s/%s-XXXXXX", base && *base ? base : "/tmp", tool);
    if (!mkdtemp(dir)) machine_error("cannot make a folder %s: %s", dir, strerror(errno));
    tmp_dir = dir;
    atexit(remove_tmp);
}
#endif
