/* `ect-rt sample`: images from a checkpoint or weights file, as one grid or a folder of PNGs.
   Assumes everything that can be wrong with the output path is found before work starts. */
#include "cache/cache.h"
#include "runtime/checkpoint.h"
#include "runtime/image.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/options.h"
#include "runtime/sample.h"
#include "runtime/signals.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    const char *weights, *device, *out, *gemm;
    int64_t count, seed, first, cls, columns, zoom, threads;
    bool live, both, has_class;
    TextList set;
    RealList mid;
} Args;

static bool is_folder(const char *path)
{
    struct stat st;
    size_t n = strlen(path);
    return path[n - 1] == '/' || (!stat(path, &st) && S_ISDIR(st.st_mode));
}

static void check_output(const char *path)
{
    if (!*path) user_error("-o wants a file name ending in .png or a folder");
    if (is_folder(path)) {
        if (!make_dirs(path)) machine_error("cannot make the folder %s: %s", path, strerror(errno));
        if (access(path, W_OK)) machine_error("cannot write into %s: %s", path, strerror(errno));
        return;
    }
    size_t n = strlen(path);
    if (n < 4 || strcmp(path + n - 4, ".png")) user_error("-o %s: give a name ending in .png for a grid, or in / for a folder "
            "of PNGs", path);
    const char *slash = strrchr(path, '/');
    char *folder = slash ? xasprintf("%.*s", (int)(slash - path) + 1, path) : xstrdup(".");
    if (access(folder, F_OK)) user_error("-o %s: the folder %s does not exist", path, folder);
    if (access(folder, W_OK) || (!access(path, F_OK) && access(path, W_OK))) machine_error("cannot write %s: %s", path,
            strerror(errno));
    free(folder);
}

static void write_folder(const char *dir, const Sampler *sm, const float *images, int64_t first, int64_t count)
{
    size_t each = (size_t)sm->c * (size_t)sm->h * (size_t)sm->w;
    uint8_t *bytes = xmalloc(each);
    char err[IMAGE_ERR];
    for (int64_t i = 0; i < count; i++) {
        image_floats_to_bytes(images + (size_t)i * each, 1, sm->h, sm->w, sm->c, BYTES_METRIC, bytes);
        char *path = xasprintf("%s%s%06lld.png", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", (long long)(first + i));
        if (!image_write_png(path, bytes, sm->h, sm->w, sm->c, 6, err)) machine_error("%s", err);
        free(path);
    }
    free(bytes);
}

/* One part of the grid under the other, each starting on a new row. */
static void write_grid(const char *path, const Sampler *sm, float *const *part, int parts, int64_t count, int columns, int zoom)
{
    size_t each = (size_t)sm->c * (size_t)sm->h * (size_t)sm->w;
    if (!columns) while ((int64_t)columns * columns * (parts == 2 ? 2 : 1) < count * parts) columns++;
    int64_t rows = (count + columns - 1) / columns, cells = rows * columns;
    uint8_t *bytes = xcalloc((size_t)(cells * parts), each);
    for (int k = 0; k < parts; k++)
        image_floats_to_bytes(part[k], count, sm->h, sm->w, sm->c, BYTES_GRID, bytes + (size_t)(cells * k) * each);
    char *err = NULL;
    if (!grid_write(path, bytes, cells * (parts - 1) + count, sm->h, sm->w, sm->c, columns, zoom, &err)) machine_error("%s", err);
    free(bytes);
}

static void parse(Args *a, int argc, char **argv, const char **plan_dir)
{
    Option o[] = {
        {"weights", OPT_TEXT, &a->weights, "RUN|FILE", "run folder (its newest good checkpoint) or safetensors file", 0, 0, 0},
        {"o", OPT_TEXT, &a->out, "GRID.png|DIR/", "one grid, or a folder of PNGs 000000.png ...", 0, 0, 0},
        {"count", OPT_INT, &a->count, "N", "how many images (default 64)", 1, 100000000, 0},
        {"mid", OPT_REALS, &a->mid, "T", "another step at noise level T; may be repeated (0.821 is the published second step)",
            0, 0, 0},
        {"both", OPT_FLAG, &a->both, NULL, "in the grid, the one-step images above those with --mid", 0, 0, 0},
        {"seed", OPT_INT, &a->seed, "S", "seed of z and of the steps' noise (default 0)", 0, INT64_MAX, 0},
        {"first", OPT_INT, &a->first, "I", "number of the first image (default 0): image I is the same however many are made", 0,
            1LL << 40, 0},
        {"class", OPT_INT, &a->cls, "K", "class of all images (default: image i has class i mod classes)", 0, INT32_MAX, 0},
        {"columns", OPT_INT, &a->columns, "N", "images in a row of the grid (default: about square)", 1, 4096, 0},
        {"zoom", OPT_INT, &a->zoom, "N", "pixels of the grid drawn N x N (default 1)", 1, 64, 0},
        {"live", OPT_FLAG, &a->live, NULL, "the live weights instead of the EMA", 0, 0, 0},
        {"set", OPT_TEXTS, &a->set, "NAME=EXPR", "another expression for a run-time scalar", 0, 0, 0},
        {"device", OPT_TEXT, &a->device, "D", "auto, cpu, cuda, ref, ref64 or cuda-emu (default auto)", 0, 0, 0},
        {"gemm", OPT_TEXT, &a->gemm, "WHO", "cuda: who computes plain matrix products: auto (timed once), own kernels or lt (cuBLASLt) (default auto)", 0, 0, 0},
        {"threads", OPT_INT, &a->threads, "T", "threads (default: all processors)", 1, 4096, 0},
        {"require-cached", OPT_FLAG, &cache_only, NULL, "compile nothing: status 2 and a list when kernels are neither packed nor cached", 0, 0, 0},
    };
    const char *usage = "ect-rt sample PLAN --weights RUN|FILE [options] -o GRID.png|DIR/";
    if (!options_parse(usage, "Draws images in one step, or in several with --mid, with the EMA weights.", o, COUNT(o), argc,
            argv, plan_dir, 1))
        user_error("which plan? usage: %s", usage);
    if (!a->weights) user_error("which weights? give --weights RUN or --weights FILE.safetensors");
    if (!a->out) user_error("where to? give -o GRID.png or -o DIR/");
    a->has_class = option_find(o, COUNT(o), "class")->given;
    for (int i = 0; i < a->mid.n; i++)
        if (!(a->mid.v[i] > 0)) user_error("--mid %g: a noise level is greater than 0", a->mid.v[i]);
    if (a->both && (!a->mid.n || is_folder(a->out))) user_error("--both wants at least one --mid and a grid: -o NAME.png");
}

int cmd_sample(int argc, char **argv)
{
    Args a = {.device = "auto", .gemm = "auto", .count = 64, .zoom = 1};
    const char *plan_dir;
    signals_as_errors();
    parse(&a, argc, argv, &plan_dir);
    char *err = NULL;
    Plan *plan = plan_load(plan_dir, &err);
    if (!plan) user_error("%s", err);
    Sampler sm;
    if (!sampler_init(&sm, plan, &err)) user_error("%s", err);
    if (a.has_class && !sm.classes) user_error("--class: the model has no classes; compile it with -D labels=N");
    if (a.has_class && a.cls >= sm.classes) user_error("--class %lld: the model has classes 0 to %d", (long long)a.cls,
            sm.classes - 1);
    if (a.mid.n) {
        bool repeats = false;
        for (int i = 0; i < sm.program->n_segments; i++) repeats |= sm.program->segment[i].each != NULL;
        if (!repeats) user_error("--mid: program `sample` of this model has no `each`, it makes one step");
    }
    check_output(a.out);
    char *weights = checkpoint_resolve(a.weights);

    Session *s = session_open(plan, a.device, (int)a.threads);
    session_gemm(s, a.gemm, NULL);
    MemoryNeed need = {0};
    memory_add_weights(&need, plan, false);
    memory_add_program(&need, plan, sm.program, MAX(1, s->threads));
    if (s->cls->memory) memory_elsewhere(&need);
    size_t each = (size_t)sm.c * (size_t)sm.h * (size_t)sm.w;
    int parts = a.both ? 2 : 1;
    memory_check(&need, (uint64_t)a.count * each * (uint64_t)(4 * parts + 1), plan);
    for (int i = 0; i < a.set.n; i++)
        if (!session_set(s, a.set.v[i], &err)) user_error("%s", err);
    session_check(s);
    session_load(s, weights, checkpoint_ignore, false, NULL);
    if (a.live) session_use_live(s);
    s->seed = (uint64_t)a.seed;
    int *class_of = a.has_class ? xmalloc((size_t)a.count * sizeof *class_of) : NULL;
    for (int64_t i = 0; class_of && i < a.count; i++) class_of[i] = (int)a.cls;

    session_prepare(s, sm.program, false);
    double began = now_seconds();
    float *part[2] = {NULL, NULL};
    for (int k = 0; k < parts; k++) {
        part[k] = xmalloc((size_t)a.count * each * sizeof(float));
        int n_mid = a.both && k == 0 ? 0 : a.mid.n;
        sampler_run(&sm, s, a.first, a.count, a.mid.v, n_mid, class_of, part[k], NULL);
    }
    double took = now_seconds() - began;
    if (is_folder(a.out)) write_folder(a.out, &sm, part[0], a.first, a.count);
    else write_grid(a.out, &sm, part, parts, a.count, (int)a.columns, (int)a.zoom);
    printf("%lld images, %d step%s, %s weights of %s: %s (%.1f images/s)\n", (long long)(a.count * parts), a.mid.n + 1,
           a.mid.n ? "s" : "",
           a.live || plan->n_sets < 2 ? "live" : "EMA", weights, a.out, (double)(a.count * parts) / MAX(took, 1e-9));
    free(part[0]);
    free(part[1]);
    free(class_of);
    free(weights);
    free(a.set.v);
    free(a.mid.v);
    session_close(s);
    plan_free(plan);
    return EXIT_OK;
}
