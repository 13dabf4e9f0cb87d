/* Everything before the first step of `ect-rt train`: options, plan, data, weights, run folder, configuration.
   Assumes mistakes are found before anything is written. */
#include "cache/cache.h"
#include "runtime/train.h"
#include "runtime/log.h"
#include "runtime/memory.h"
#include "runtime/profile.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <omp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char USAGE[] = "ect-rt train PLAN [--data PATH] [--out RUN] [options]";
static const char ABOUT[] =
    "Trains the plan's model, or tunes it from given weights (--init). Without --data it trains on the built-in drawn set.\n"
    "The run folder gets config.json, metrics.jsonl, data.png, samples-STEP.png and ckpt-STEP.safetensors. SIGINT (Ctrl-C) and\n"
    "SIGTERM save a checkpoint and stop; a second one stops at once. --resume goes on with equal bits.";

/* ---- options ---- */
static void parse(TrainOptions *t, int argc, char **argv)
{
    const int64_t big = INT64_MAX;
    Option o[] = {
        {"data", OPT_TEXT, &t->data, "PATH", "images: EDM zip, folder, CIFAR-10, MNIST, shapes[:RES[:COUNT]]; or a safetensors "
            "file with tensors named like the inputs", 0, 0, 0},
        {"out", OPT_TEXT, &t->out, "RUN", "run folder (default: a new one, runs/NNNNN-MODEL)", 0, 0, 0},
        {"images", OPT_INT, &t->images, "N", "train on N images in all, resumed ones included (default: 8 stages if the model "
            "has stage_images, else 1e6)", 1, big, 0},
        {"steps", OPT_INT, &t->steps, "N", "the same as a number of updates", 1, big, 0},
        {"seed", OPT_INT, &t->seed, "S", "seed of weights, order and all draws (default 0)", 0, big, 0},
        {"set", OPT_TEXTS, &t->set, "NAME=EXPR", "another expression for a run-time scalar; may be repeated", 0, 0, 0},
        {"init", OPT_TEXT, &t->init, "FILE|RUN", "start from these weights (its EMA, if it has one), copied to the EMA too; "
            "fresh optimizer", 0, 0, 0},
        {"init-partial", OPT_FLAG, &t->init_partial, NULL, "with --init: missing tensors keep their initial values, extra ones "
            "are passed over", 0, 0, 0},
        {"resume", OPT_FLAG, &t->resume, NULL, "go on from the newest good checkpoint of --out, with the options it was started "
            "with", 0, 0, 0},
        {"overwrite", OPT_FLAG, &t->overwrite, NULL, "replace the run that is in --out", 0, 0, 0},
        {"accumulate", OPT_INT, &t->accumulate, "R", "R micro-batches an update, gradients averaged, draws as of one batch R "
            "times as large (default 1)", 1, 1 << 20, 0},
        {"loss-scale", OPT_INT, &t->scale, "S", "plans with a scaled loss (f16): the scale to begin with, 0: none (default 65536)", 0, 1LL << 40, 0},
        {"loss-scale-interval", OPT_INT, &t->scale_interval, "N", "steps without overflow after which the scale doubles (default 2000; 0: never)", 0, big, 0},
        {"data-on", OPT_TEXT, &t->data_on, "WHERE", "cuda: where the images lie while training: device, host or auto: on the device if they fit (default auto)", 0, 0, 0},
        {"flip", OPT_FLAG, &t->flip, NULL, "mirror each image with probability 1/2", 0, 0, 0},
        {"checkpoint-every", OPT_INT, &t->checkpoint_every, "N", "steps between checkpoints (default: 15 minutes; 0: only at "
            "the end)", 0, big, 0},
        {"keep", OPT_INT, &t->keep, "K", "how many checkpoints to keep (default 3; 0: all)", 0, 1 << 20, 0},
        {"sample-every", OPT_INT, &t->sample_every, "N", "steps between sample grids (default: 15 minutes; 0: none at all)", 0,
            big, 0},
        {"grid", OPT_INT, &t->grid, "N", "images in a grid (default 64)", 1, 4096, 0},
        {"zoom", OPT_INT, &t->zoom, "N", "pixels of a grid drawn N x N (default 1)", 1, 64, 0},
        {"log-every", OPT_INT, &t->log_every, "N", "steps between lines of metrics.jsonl (default 1)", 1, big, 0},
        {"validate-every", OPT_INT, &t->validate_every, "N", "steps between losses on held-out images (default: none)", 1, big,
            0},
        {"validate-images", OPT_INT, &t->validate_images, "N", "how many images to hold out (default 512)", 1, big, 0},
        {"halt-on-nonfinite", OPT_FLAG, &t->halt, NULL, "save and stop with status 1 at the first loss or gradient that is not "
            "finite", 0, 0, 0},
        {"device", OPT_TEXT, &t->device, "D", "auto, cpu, cuda, ref, ref64 or cuda-emu (default auto)", 0, 0, 0},
        {"gemm", OPT_TEXT, &t->gemm, "WHO", "cuda: who computes plain matrix products: auto (timed once), own kernels or lt (cuBLASLt) (default auto)", 0, 0, 0},
        {"threads", OPT_INT, &t->threads, "T", "threads (default: all processors)", 1, 4096, 0},
        {"require-cached", OPT_FLAG, &cache_only, NULL, "compile nothing: status 2 and a list when kernels are neither packed nor cached", 0, 0, 0},
        {"profile", OPT_JSON, &t->profile, "[FILE.json]", "at the end, time each kernel took against its prediction", 0, 0, 0},
        {"profile-every", OPT_INT, &t->profile_every, "N", "with --profile: only steps whose number is a multiple of N (default 1)", 1, big, 0},
    };
    if (!options_parse(USAGE, ABOUT, o, COUNT(o), argc, argv, &t->plan_dir, 1)) user_error("which plan? usage: %s", USAGE);
    t->flip_given = option_find(o, COUNT(o), "flip")->given;
    t->seed_given = option_find(o, COUNT(o), "seed")->given;
    t->accumulate_given = option_find(o, COUNT(o), "accumulate")->given;
    t->scale_given = option_find(o, COUNT(o), "loss-scale")->given;
    t->interval_given = option_find(o, COUNT(o), "loss-scale-interval")->given;
    t->data_given = t->data != NULL;
    t->gemm_given = option_find(o, COUNT(o), "gemm")->given;
    t->validate_given = option_find(o, COUNT(o), "validate-images")->given;
    if (option_find(o, COUNT(o), "profile-every")->given && !t->profile) user_error("--profile-every goes with --profile");
    if (t->images && t->steps) user_error("--images and --steps say the same thing: give one of them");
    if (t->resume && t->init) user_error("--resume goes on with a run's own weights; --init starts a new one: give one of them");
    if (t->resume && t->overwrite) user_error("--resume and --overwrite exclude each other");
    if (t->resume && !t->out) user_error("--resume: which run? give --out RUN");
    if (strcmp(t->data_on, "auto") && strcmp(t->data_on, "host") && strcmp(t->data_on, "device")) user_error("--data-on %s: it is auto, host or device", t->data_on);
    if (t->init_partial && !t->init) user_error("--init-partial goes with --init FILE");
}

/* ---- the run folder ---- */
static bool is_run_file(const char *name)
{
    static const struct { const char *prefix, *suffix; } OWN[] = {
        {"config.json", ""}, {"metrics.jsonl", ""}, {"gemm.json", ""}, {"data.png", ""}, {"samples-", ".png"}, {"ckpt-", ".safetensors"},
    };
    for (size_t i = 0; i < COUNT(OWN); i++) {
        size_t n = strlen(name), s = strlen(OWN[i].suffix);
        if (!strncmp(name, OWN[i].prefix, strlen(OWN[i].prefix)) && n >= s && !strcmp(name + n - s, OWN[i].suffix)) return true;
    }
    return false;
}

/* Counts the entries; with `clear` removes those a run writes. */
static int scan_folder(const char *dir, bool clear)
{
    DIR *d = opendir(dir);
    int n = 0;
    if (!d) return 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        n++;
        if (!clear || !is_run_file(e->d_name)) continue;
        char *path = xasprintf("%s/%s", dir, e->d_name);
        if (unlink(path)) machine_error("cannot remove %s: %s", path, strerror(errno));
        free(path);
    }
    closedir(d);
    return n;
}

static char *model_stem(const Plan *p)
{
    const char *slash = strrchr(p->model, '/'), *base = slash ? slash + 1 : p->model, *dot = strrchr(base, '.');
    return xasprintf("%.*s", dot ? (int)(dot - base) : (int)strlen(base), base);
}

static char *new_run_folder(const Plan *p)
{
    long next = 0;
    DIR *d = opendir("runs");
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] >= '0' && e->d_name[0] <= '9') next = MAX(next, strtol(e->d_name, NULL, 10) + 1);
    if (d) closedir(d);
    char *stem = model_stem(p), *dir = xasprintf("runs/%05ld-%s", next, stem);
    free(stem);
    return dir;
}

static void check_folder(const TrainOptions *o)
{
    struct stat st;
    if (!o->out) return;
    if (!*o->out) user_error("--out wants the name of a folder");
    bool there = !stat(o->out, &st);
    if (there && !S_ISDIR(st.st_mode)) user_error("--out %s: there is a file of that name", o->out);
    if (o->resume && !there) user_error("--resume: there is no run in %s", o->out);
    if (there && !o->resume && !o->overwrite && scan_folder(o->out, false))
        user_error("--out %s: the folder exists and is not empty; --resume goes on with the run in it, --overwrite replaces it",
            o->out);
}

static void open_folder(Train *t)
{
    if (!make_dirs(t->dir)) machine_error("cannot make the run folder %s: %s", t->dir, strerror(errno));
    int fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);           /* stays open: the lock lasts as long as the process */
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) user_error("another process is training in %s", t->dir);
    if (access(t->dir, W_OK)) machine_error("cannot write into the run folder %s: %s", t->dir, strerror(errno));
    if (t->o.overwrite) scan_folder(t->dir, true);
}

/* ---- resume: options of the run, unless given anew ---- */
static void put_run_json(Train *t)
{
    const TrainOptions *o = &t->o;
    StrBuf b = {0};
    jput_begin(&b);
    jput_text(&b, "data", o->data);
    jput_int(&b, "seed", o->seed);
    jput_int(&b, "accumulate", o->accumulate);
    jput_bool(&b, "flip", o->flip);
    jput_int(&b, "images", o->images);
    jput_int(&b, "steps", o->steps);
    if (t->plan->loss_scale) {
        jput_int(&b, "loss_scale", o->scale);
        jput_int(&b, "loss_scale_interval", o->scale_interval);
    }
    jput_text(&b, "gemm", o->gemm);
    jput_int(&b, "validate_every", o->validate_every);
    jput_int(&b, "validate_images", o->validate_every ? o->validate_images : 0);
    jput_key(&b, "set");
    sb_putc(&b, '[');
    for (int i = 0; i < o->set.n; i++) {
        if (i) sb_puts(&b, ", ");
        sb_json_string(&b, o->set.v[i]);
    }
    sb_putc(&b, ']');
    jput_end(&b);
    t->run_json = b.s;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return n == strcspn(b, "=") && !strncmp(a, b, n);
}

static void merge_options(Train *t, const Checkpoint *c)
{
    TrainOptions *o = &t->o;
    json_t *j = t->resumed = c->run ? json_loads(c->run, 0, NULL) : NULL, *v;
    if (!json_is_object(j)) return;
    int64_t seed = json_integer_value(json_object_get(j, "seed")), acc = json_integer_value(json_object_get(j, "accumulate"));
    bool flip = json_is_true(json_object_get(j, "flip"));
    int64_t held = json_integer_value(json_object_get(j, "validate_images"));
    const char *data = json_string_value(json_object_get(j, "data"));
    if (o->seed_given && o->seed != seed) warn("--seed %lld: the run goes on with its own seed, %lld", (long long)o->seed,
            (long long)seed);
    if (o->data_given && (!data || strcmp(data, o->data))) warn("--data differs from the run's (%s)", data ? data
            : "built-in shapes");
    if (o->accumulate_given && o->accumulate != acc) warn("--accumulate differs from the run's (%lld)", (long long)acc);
    if (o->flip_given && !flip) warn("--flip differs from the run's");
    o->seed = seed;
    if (!o->images && !o->steps) {
        o->images = MAX(0, json_integer_value(json_object_get(j, "images")));
        o->steps = MAX(0, json_integer_value(json_object_get(j, "steps")));
    }
    if (!o->data_given && data) o->data = data;
    if (!o->accumulate_given && acc >= 1) o->accumulate = acc;
    const char *gemm = json_string_value(json_object_get(j, "gemm"));
    if (o->gemm_given && gemm && strcmp(gemm, o->gemm)) warn("--gemm differs from the run's (%s): its bits will not be those it would have had", gemm);
    if (!o->gemm_given && gemm) o->gemm = gemm;
    o->flip |= flip;
    if (!o->validate_given && held > 0) o->validate_images = held;
    if (!o->validate_every) o->validate_every = MAX(0, json_integer_value(json_object_get(j, "validate_every")));
    const json_t *scale = json_object_get(j, "loss_scale"), *interval = json_object_get(j, "loss_scale_interval");
    if (!o->scale_given && json_is_integer(scale)) o->scale = MAX(0, json_integer_value(scale));
    if (!o->interval_given && json_is_integer(interval)) o->scale_interval = MAX(0, json_integer_value(interval));
    TextList merged = {0};
    size_t i;
    json_array_foreach(json_object_get(j, "set"), i, v) {
        const char *old = json_string_value(v);
        for (int k = 0; old && k < o->set.n; k++)
            if (same_name(old, o->set.v[k])) old = NULL;
        if (old) vec_push(merged.v, merged.n, merged.cap, old);
    }
    for (int k = 0; k < o->set.n; k++) vec_push(merged.v, merged.n, merged.cap, o->set.v[k]);
    free(o->set.v);
    o->set = merged;
}

static void find_resume(Train *t)
{
    t->resume_from = checkpoint_find(t->o.out);
    if (!t->resume_from)
        user_error("--resume: %s holds no good checkpoint; start again without --resume (--overwrite replaces what is there)",
            t->o.out);
    Checkpoint c;
    TensorFile *f = checkpoint_open(t->resume_from, &c);
    merge_options(t, &c);
    if (c.plan && strcmp(c.plan, t->hash)) warn("the plan is another one than %s was made with; the run will not be the same",
            t->resume_from);
    tensor_file_close(f);
}

/* ---- the scale of the loss ---- */
static void start_scale(Train *t)
{
    const TrainOptions *o = &t->o;
    if (!t->plan->loss_scale && (o->scale_given || o->interval_given))
        user_error("--loss-scale%s: the plan's loss has none; compile it with --precision f16 or --loss-scale yes", o->scale_given ? "" : "-interval");
    for (int i = 0; i < o->set.n && t->plan->loss_scale; i++)
        if (same_name(o->set.v[i], LOSS_SCALE) || same_name(o->set.v[i], LOSS_OVERFLOW))
            user_error("--set %s: training sets it; use --loss-scale", o->set.v[i]);
    LossScale s = loss_scale_start;
    s.on = t->plan->loss_scale && o->scale > 0;
    s.interval = o->scale_interval;
    if (s.on) {
        s.scale = (double)o->scale;
        session_scale(t->s, &s);
    }
}

/* ---- weights ---- */
static void start_weights(Train *t)
{
    Session *s = t->s;
    const TrainOptions *o = &t->o;
    if (t->resume_from) {
        checkpoint_restore(s, t->resume_from);
        return;
    }
    s->seed = (uint64_t)o->seed;
    if (!o->init || o->init_partial) session_init(s);
    if (o->init) {
        char *path = checkpoint_resolve(o->init);
        int n = 0;
        session_load(s, path, checkpoint_ignore, o->init_partial, &n);
        if (o->init_partial && !n) user_error("--init-partial: no tensor of %s fits the model", path);
        size_t bytes = (size_t)t->plan->param_elements * sizeof(float);
        /* What a run is judged by is its EMA: tuning starts from there, as the published recipe does. */
        if (t->plan->n_sets > 1 && s->set[1] && s->set[1] != s->param) memcpy(s->param, s->set[1], bytes);
        session_use_live(s);
        free(path);
    }
    session_training(s);
}

/* ---- configuration ---- */
static void put_config_json(Train *t)
{
    StrBuf b = {0};
    jput_begin(&b);
    for (int i = 0; i < t->plan->n_config; i++) jput_text(&b, t->plan->config[i].name, t->plan->config[i].value);
    jput_end(&b);
    t->config_json = b.s;
}

static int64_t parameter_count(const Plan *p)
{
    int64_t n = 0;
    for (int i = 0; i < p->n_params; i++) n += p->param[i].elements;
    return n;
}

static void write_config(Train *t, uint64_t need)
{
    const TrainOptions *o = &t->o;
    const Plan *p = t->plan;
    StrBuf b = {0};
    jput_begin(&b);
    jput_text(&b, "ect_rt", ECT_VERSION);
    jput_text(&b, "ectc", p->compiler);
    jput_text(&b, "plan", o->plan_dir);
    jput_text(&b, "plan_hash", t->hash);
    jput_text(&b, "model", p->model);
    jput_key(&b, "config");
    sb_puts(&b, t->config_json);
    jput_key(&b, "runtime");
    jput_begin(&b);
    for (int i = 0; i < p->n_runtime; i++) {
        const char *expr = p->runtime[i].expr;
        for (int k = 0; k < o->set.n; k++)
            if (same_name(o->set.v[k], p->runtime[i].name)) expr = o->set.v[k] + strcspn(o->set.v[k], "=") + 1;
        jput_text(&b, p->runtime[i].name, expr);
    }
    jput_end(&b);
    jput_key(&b, "run");
    sb_puts(&b, t->run_json);
    jput_text(&b, "data", t->feed.what);
    jput_text(&b, "init", o->init);
    jput_text(&b, "resumed_from", t->resume_from);
    jput_text(&b, "device", t->s->cls->name);
    jput_int(&b, "threads", t->s->threads);
    jput_int(&b, "batch", t->feed.rows);
    jput_int(&b, "images_per_step", (int64_t)t->per_step);
    jput_int(&b, "steps", (int64_t)t->total_steps);
    jput_int(&b, "images", (int64_t)(t->total_steps * t->per_step));
    jput_int(&b, "parameters", parameter_count(p));
    jput_int(&b, "memory_bytes", (int64_t)(need + t->feed.bytes));
    jput_int(&b, "predicted_peak_bytes", (int64_t)need);
    jput_int(&b, "checkpoint_every", o->checkpoint_every);
    jput_int(&b, "keep", o->keep);
    jput_int(&b, "sample_every", o->sample_every);
    jput_int(&b, "log_every", o->log_every);
    jput_int(&b, "validate_every", o->validate_every);
    jput_bool(&b, "halt_on_nonfinite", o->halt);
    jput_end(&b);
    json_t *j = json_loads(b.s, 0, NULL);
    CHECK_BUG(j);
    char *text = json_dumps(j, JSON_INDENT(2)), *path = xasprintf("%s/config.json", t->dir);
    if (!write_file_atomic(path, text, strlen(text))) machine_error("cannot write %s: %s", path, strerror(errno));
    json_decref(j);
    free(text);
    free(path);
    sb_free(&b);
}

static void print_config(Train *t, uint64_t need)
{
    const TrainOptions *o = &t->o;
    const Plan *p = t->plan;
    printf("ect-rt %s train\n", ECT_VERSION);
    log_row("plan", "%s (%s, compiled by ectc %s)", o->plan_dir, p->model, p->compiler);
    StrBuf b = {0};
    for (int i = 0; i < p->n_config; i++) sb_printf(&b, "%s%s=%s", i ? " " : "", p->config[i].name, p->config[i].value);
    if (b.len) log_row("config", "%s", b.s);
    b.len = 0;
    for (int i = 0; i < p->n_runtime; i++) {
        double v;
        if (session_value(t->s, p->runtime[i].name, &v)) sb_printf(&b, "%s%s=%.6g", b.len ? " " : "", p->runtime[i].name, v);
    }
    if (b.len) log_row("runtime", "%s", b.s);
    log_row("parameters", "%lld in %d tensors", (long long)parameter_count(p), p->n_params);
    log_row("weights", "%s%s", t->resume_from ? "resumed from " : o->init ? "from " : "fresh", t->resume_from ? t->resume_from
        : o->init ? o->init : "");
    log_row("data", "%s%s", t->feed.what, o->flip ? ", randomly mirrored" : "");
    if (t->feed.held) log_row("validation", "%lld images every %lld steps", (long long)t->feed.held->count,
            (long long)o->validate_every);
    log_row("batch", "%d x %lld = %llu images a step", t->feed.rows, (long long)o->accumulate, (unsigned long long)t->per_step);
    log_row("length", "%llu steps, %llu images", (unsigned long long)t->total_steps,
        (unsigned long long)(t->total_steps * t->per_step));
    if (t->s->scale.on) log_row("loss scale", "%g, %llu steps skipped", t->s->scale.scale, (unsigned long long)t->s->scale.skipped);
    log_row("seed", "%lld", (long long)t->s->seed);
    log_row("device", "%s, %d threads, %.0f MB needed", t->s->cls->name, t->s->threads, (double)(need + t->feed.bytes) / 1048576);
    char *what = NULL;
    if (t->s->cls->memory && t->s->cls->available(&what)) log_row("GPU", "%.*s", (int)strcspn(what, ";"), what);
    free(what);
    log_row("run", "%s", t->dir);
    fflush(stdout);
    sb_free(&b);
}

static uint64_t check_memory(const Train *t, int threads)
{
    MemoryNeed need = {0};
    memory_add_training(&need, t->plan, threads, t->o.accumulate > 1, t->can_sample, t->feed.held != NULL);
    if (device_for(t->plan, t->o.device)->memory) memory_elsewhere(&need);
    memory_check(&need, 0, t->plan);                 /* the data set is in memory already */
    return memory_total(&need);
}

/* The device's own memory, where it has some. */
static void check_device_memory(const Train *t)
{
    const DeviceMemory *m = t->s->cls->memory;
    if (!m) return;
    MemoryNeed need = {0};
    const char *where;
    memory_add_training(&need, t->plan, 1, t->o.accumulate > 1, t->can_sample, t->feed.held != NULL);
    need = memory_on_device(&need, t->plan);
    uint64_t left = m->left(t->s->device, &where);
    memory_check_against(&need, 0, t->plan, left, where);
}

void train_setup(Train *t, int argc, char **argv)
{
    TrainOptions *o = &t->o;
    *t = (Train){.o = {.device = "auto", .gemm = "auto", .data_on = "auto", .scale = (int64_t)loss_scale_start.scale, .scale_interval = loss_scale_start.interval,
        .accumulate = 1, .keep = 3, .grid = 64, .zoom = 1, .log_every = 1,
        .validate_images = 512,
                       .checkpoint_every = -1, .sample_every = -1}};
    parse(o, argc, argv);
    check_folder(o);
    char *err = NULL;
    t->plan = plan_load(o->plan_dir, &err);
    if (!t->plan) user_error("%s", err);
    if (!plan_program(t->plan, "train_step")) user_error("%s has no program train_step: the model text has no `train`",
            o->plan_dir);
    if (!device_find(o->device)) user_error("unknown device `%s`; `ect-rt devices` lists them", o->device);
    if (o->profile) profile_check(device_find(o->device), o->profile);
    t->hash = plan_hash(t->plan);
    if (o->resume) find_resume(t);
    t->dir = o->out ? xstrdup(o->out) : new_run_folder(t->plan);
    size_t n = strlen(t->dir);
    while (n > 1 && t->dir[n - 1] == '/') t->dir[--n] = 0;

    feed_open(&t->feed, t->plan, o->data, o->validate_every ? o->validate_images : 0, (uint64_t)o->seed);
    if (t->feed.held && !plan_program(t->plan, "loss")) user_error("--validate-every: the plan has no program `loss`");
    t->can_sample = sampler_init(&t->sampler, t->plan, &err) && o->sample_every != 0;
    free(err);
    uint64_t need = check_memory(t, o->threads ? (int)o->threads : omp_get_max_threads());
    Session *s = t->s = session_open(t->plan, o->device, (int)o->threads);
    check_device_memory(t);
    if (o->profile) s->profile = profile_new(t->plan, s->cls, s->threads);
    s->profile_every = o->profile_every;
    for (int i = 0; i < o->set.n; i++)
        if (!session_set(s, o->set.v[i], &err)) user_error("%s", err);
    session_check(s);
    start_scale(t);
    start_weights(t);
    if (o->scale_given && t->resume_from && s->scale.on) {    /* given anew: from here on */
        LossScale now = s->scale;
        now.scale = (double)o->scale;
        now.good = 0;
        session_scale(s, &now);
    }

    t->per_step = (uint64_t)t->feed.rows * (uint64_t)o->accumulate;
    double stage_images;
    int64_t images = o->images ? o->images : session_value(s, "stage_images", &stage_images) && stage_images > 0
        && stage_images < 1e12
                                             ? (int64_t)(8 * stage_images) : 1000000;
    t->total_steps = o->steps ? (uint64_t)o->steps : ((uint64_t)images + t->per_step - 1) / t->per_step;
    put_run_json(t);
    put_config_json(t);
    if (!strcmp(o->data_on, "device") && (!s->cls->memory || !t->feed.ds))
        user_error("--data-on device: it is for images on --device cuda, this is %s%s", s->cls->name, t->feed.ds ? "" : " and no images");
    char *choices = xasprintf("%s/gemm.json", t->dir);
    session_gemm(s, o->gemm, choices);
    free(choices);
    open_folder(t);
    print_config(t, need);
    write_config(t, need);
}

void train_start_data(Train *t)
{
    const Feed *f = &t->feed;
    const Dataset *ds = f->ds;
    bool on_device = false;
    char *why = NULL;
    if (ds && strcmp(t->o.data_on, "host")) {
        DeviceImages images = {.program = f->program, .input = f->images, .pixels = ds->pixels, .count = ds->count, .h = ds->h, .w = ds->w, .c = ds->c};
        on_device = session_images(t->s, &images, &why);
        if (on_device) log_row("data on", "%s, %.1f MB as bytes", t->s->cls->name, (double)f->bytes / 1048576);
        else if (why && !strcmp(t->o.data_on, "device")) machine_error("--data-on device: %s; --data-on auto leaves it to the host then", why);
        else if (why) log_row("data on", "host: %s", why);
        free(why);
    }
    feed_start(&t->feed, t->o.flip, (int64_t)t->s->seen, on_device);
}

void metrics_open(Train *t, uint64_t step)
{
    char *path = t->metrics_path = xasprintf("%s/metrics.jsonl", t->dir);
    size_t n;
    char *old = step ? read_file(path, &n) : NULL;
    if (old) {
        StrBuf kept = {0};
        for (char *line = old, *end; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            json_t *j = json_loads(line, 0, NULL), *v = json_object_get(j, "step");
            if (json_is_integer(v) && json_integer_value(v) <= (int64_t)step) sb_printf(&kept, "%s\n", line);
            json_decref(j);
        }
        if (!write_file_atomic(path, kept.len ? kept.s : "", kept.len)) machine_error("cannot write %s: %s", path,
                strerror(errno));
        sb_free(&kept);
        free(old);
    }
    t->metrics = fopen(path, step ? "ae" : "we");
    if (!t->metrics) machine_error("cannot write %s: %s", path, strerror(errno));
}

void train_finish(Train *t)
{
    if (t->metrics && fclose(t->metrics)) machine_error("cannot write %s: %s", t->metrics_path, strerror(errno));
    feed_close(&t->feed);
    profile_end(t->s->profile, t->o.profile);
    session_close(t->s);
    plan_free(t->plan);
    free(t->metrics_path);
    free(t->dir);
    free(t->resume_from);
    free(t->run_json);
    free(t->config_json);
    free(t->hash);
    free(t->o.set.v);
    json_decref(t->resumed);
}
