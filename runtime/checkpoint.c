/* checkpoint.h on tensor_file.h.
   Assumes the session's flat arrays are in physical order; files hold declared order. */
#include "runtime/checkpoint.h"
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHECKPOINT_VERSION = 1 };
static const char PREFIX[] = "ckpt-", SUFFIX[] = ".safetensors";
const char *const checkpoint_ignore[] = {"state.", NULL};

char *plan_hash(const Plan *p)
{
    char *path = plan_path(p, "plan.json"), hex[33];
    size_t n;
    char *text = read_file(path, &n);
    if (!text) user_error("cannot read %s: %s", path, strerror(errno));
    hash128_hex(text, n, hex);
    free(text);
    free(path);
    return xstrdup(hex);
}

/* ---- writing ---- */
/* Flat arrays a checkpoint holds, with the prefix of their tensors. */
typedef struct { const float *flat; char *prefix; } Group;

static int groups(const Session *s, Group *g)
{
    const Plan *p = s->plan;
    int n = 0;
    g[n++] = (Group){s->param, xstrdup("")};
    for (int k = 1; k < p->n_sets; k++) g[n++] = (Group){s->set[k], xasprintf("%s.", p->set[k])};
    for (int k = 0; k < p->n_states; k++)
        if (!p->state[k].ema) g[n++] = (Group){s->state[k], xasprintf("state.%s.", p->state[k].name)};
    return n;
}

static void put_tensors(TensorWriter *w, Session *s)
{
    const Plan *p = s->plan;
    Group *g = xcalloc((size_t)(1 + p->n_sets + p->n_states), sizeof *g);
    int n = groups(s, g);
    int64_t largest = 1;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < p->n_params; i++) {
            char *name = xasprintf("%s%s", g[k].prefix, p->param[i].name);
            tensor_writer_declare(w, name, DT_F32, p->param[i].shape.n, p->param[i].shape.size);
            largest = MAX(largest, p->param[i].elements);
            free(name);
        }
    float *one = xmalloc((size_t)largest * sizeof *one);
    for (int k = 0; k < n; k++) {
        for (int i = 0; i < p->n_params; i++) {
            param_gather(&p->param[i], g[k].flat, one);
            tensor_writer_data(w, one, (size_t)p->param[i].elements * sizeof *one);
        }
        free(g[k].prefix);
    }
    free(one);
    free(g);
}

static void put_meta(TensorWriter *w, const Checkpoint *c)
{
    static const char *const NUMBERS[] = {"step", "images", "seed", "position"};
    uint64_t values[] = {c->step, c->seen, c->seed, (uint64_t)c->position};
    tensor_writer_meta(w, "format", "ect-checkpoint");
    char text[32];
    snprintf(text, sizeof text, "%d", CHECKPOINT_VERSION);
    tensor_writer_meta(w, "version", text);
    for (size_t i = 0; i < COUNT(NUMBERS); i++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)values[i]);
        tensor_writer_meta(w, NUMBERS[i], text);
    }
    if (c->scale && c->scale->on) {
        snprintf(text, sizeof text, "%.17g", c->scale->scale);
        tensor_writer_meta(w, "loss_scale", text);
        snprintf(text, sizeof text, "%lld", (long long)c->scale->good);
        tensor_writer_meta(w, "loss_scale_good", text);
        snprintf(text, sizeof text, "%llu", (unsigned long long)c->scale->skipped);
        tensor_writer_meta(w, "skipped_steps", text);
    }
    tensor_writer_meta(w, "run", c->run ? c->run : "{}");
    tensor_writer_meta(w, "config", c->config ? c->config : "{}");
    tensor_writer_meta(w, "plan", c->plan ? c->plan : "");
    tensor_writer_meta(w, "ect-rt", c->version ? c->version : ECT_VERSION);
}

/* ---- finding ---- */
typedef struct { unsigned long long step; char *path; } Found;

static int newest_first(const void *a, const void *b)
{
    const Found *x = a, *y = b;
    return x->step > y->step ? -1 : x->step < y->step ? 1 : strcmp(x->path, y->path);
}

static Found *list_checkpoints(const char *dir, int *n)
{
    Found *v = NULL;
    int cap = 0;
    *n = 0;
    DIR *d = opendir(dir);
    if (!d) return NULL;
    for (struct dirent *e; (e = readdir(d));) {
        const char *digits = e->d_name + strlen(PREFIX);
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX))) continue;
        size_t len = strspn(digits, "0123456789");
        if (!len || len > 18 || strcmp(digits + len, SUFFIX)) continue;
        Found f = {strtoull(digits, NULL, 10), xasprintf("%s/%s", dir, e->d_name)};
        vec_push(v, *n, cap, f);
    }
    closedir(d);
    if (*n) qsort(v, (size_t)*n, sizeof *v, newest_first);
    return v;
}

static void free_found(Found *v, int n)
{
    for (int i = 0; i < n; i++) free(v[i].path);
    free(v);
}

char *checkpoint_save(Session *s, const char *dir, const Checkpoint *c, int keep)
{
    char *path = xasprintf("%s/%s%06llu%s", dir, PREFIX, (unsigned long long)c->step, SUFFIX), *err = NULL;
    session_fetch(s);
    TensorWriter *w = tensor_writer_new(path);
    put_meta(w, c);
    put_tensors(w, s);
    bool ok = tensor_writer_commit(w, &err);
    int n;
    Found *v = list_checkpoints(dir, &n);
    if (!ok) {
        char *earlier = n ? xasprintf("%s stays whole; mend that, then go on with --resume", v[0].path)
            : xstrdup("there is no earlier one");
        machine_error("cannot save the checkpoint: %s\n  %s", err ? err : path, earlier);
    }
    for (int i = keep > 0 ? keep : n; i < n; i++)
        if (unlink(v[i].path)) warn("cannot remove the old checkpoint %s: %s", v[i].path, strerror(errno));
    free_found(v, n);
    return path;
}

/* Metadata number, or false. */
static bool meta_number(const TensorFile *f, const char *key, uint64_t *v)
{
    const char *s = tensor_meta(f, key);
    char *end;
    if (!s || s[0] < '0' || s[0] > '9') return false;
    errno = 0;
    *v = strtoull(s, &end, 10);
    return !*end && !errno;
}

/* The scale of the loss, if it says one; false: what it says is damaged. */
static bool read_scale(const TensorFile *f, Checkpoint *c)
{
    const char *s = tensor_meta(f, "loss_scale");
    uint64_t good, skipped;
    char *end;
    c->has_scale = s != NULL;
    c->saved_scale = loss_scale_start;
    if (!s) return true;
    c->saved_scale.scale = strtod(s, &end);
    if (*end || !(c->saved_scale.scale > 0) || !isfinite(c->saved_scale.scale) || !meta_number(f, "loss_scale_good", &good) || good > INT32_MAX
        || !meta_number(f, "skipped_steps", &skipped) || skipped > c->step) return false;
    c->saved_scale.good = (int64_t)good;
    c->saved_scale.skipped = skipped;
    return true;
}

static TensorFile *open_checkpoint(const char *path, Checkpoint *c, char **err)
{
    TensorFile *f = tensor_file_open(path, err);
    if (!f) return NULL;
    uint64_t version = 0, position = 0;
    const char *format = tensor_meta(f, "format");
    if (!format || strcmp(format, "ect-checkpoint"))
        *err = xasprintf("%s holds weights but is no checkpoint of a run; start from it with --init", path);
    else if (!meta_number(f, "version", &version) || version != CHECKPOINT_VERSION)
        *err = xasprintf("%s is a checkpoint of another version (%s, wanted %d)", path,
                         tensor_meta(f, "version") ? tensor_meta(f, "version") : "?",
                         CHECKPOINT_VERSION);
    else if (!meta_number(f, "step", &c->step) || !meta_number(f, "images", &c->seen) || !meta_number(f, "seed", &c->seed)
             || !meta_number(f, "position", &position) || position > INT64_MAX || !read_scale(f, c))
        *err = xasprintf("%s has damaged metadata", path);
    else {
        c->position = (int64_t)position;
        c->run = tensor_meta(f, "run");
        c->config = tensor_meta(f, "config");
        c->plan = tensor_meta(f, "plan");
        c->version = tensor_meta(f, "ect-rt");
        return f;
    }
    tensor_file_close(f);
    return NULL;
}

char *checkpoint_find(const char *dir)
{
    int n;
    Found *v = list_checkpoints(dir, &n);
    char *good = NULL;
    for (int i = 0; i < n && !good; i++) {
        Checkpoint c;
        char *err = NULL;
        TensorFile *f = open_checkpoint(v[i].path, &c, &err);
        if (f) good = xstrdup(v[i].path);
        else warn("passing over a damaged checkpoint: %s", err);
        if (f) tensor_file_close(f);
        free(err);
    }
    free_found(v, n);
    return good;
}

char *checkpoint_resolve(const char *path)
{
    struct stat st;
    if (stat(path, &st)) user_error("%s: %s; give a weights file or a run folder", path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) return xstrdup(path);
    char *found = checkpoint_find(path);
    if (!found) user_error("%s holds no checkpoint (ckpt-*.safetensors)", path);
    return found;
}

TensorFile *checkpoint_open(const char *path, Checkpoint *c)
{
    char *err = NULL;
    TensorFile *f = open_checkpoint(path, c, &err);
    if (!f) user_error("%s", err);
    return f;
}

/* ---- restoring ---- */
static bool same_shape(const TensorEntry *t, const PlanShape *s)
{
    if (t->n_dims != s->n) return false;
    for (int i = 0; i < s->n; i++)
        if (t->shape[i] != s->size[i]) return false;
    return true;
}

static void restore_state(const TensorFile *f, const Plan *p, const char *state, float *flat, float *one, StrBuf *missing)
{
    for (int i = 0; i < p->n_params; i++) {
        char *name = xasprintf("state.%s.%s", state, p->param[i].name);
        const TensorEntry *t = tensor_find(f, name);
        if (!t && p->param[i].was) {
            free(name);
            name = xasprintf("state.%s.%s", state, p->param[i].was);
            t = tensor_find(f, name);
        }
        if (t && same_shape(t, &p->param[i].shape)) {
            tensor_read_f32(t, 0, t->elements, one);
            param_scatter(&p->param[i], one, flat);
        } else sb_printf(missing, "\n  %s%s", name, t ? " has another shape" : " is missing");
        free(name);
    }
}

void checkpoint_restore(Session *s, const char *path)
{
    const Plan *p = s->plan;
    Checkpoint c;
    TensorFile *f = checkpoint_open(path, &c);
    session_load(s, path, checkpoint_ignore, false, NULL);
    session_training(s);
    int64_t largest = 1;
    for (int i = 0; i < p->n_params; i++) largest = MAX(largest, p->param[i].elements);
    float *one = xmalloc((size_t)largest * sizeof *one);
    StrBuf missing = {0};
    for (int k = 0; k < p->n_states; k++)
        if (!p->state[k].ema) restore_state(f, p, p->state[k].name, s->state[k], one, &missing);
    if (missing.len)
        user_error("%s does not fit the plan's optimizer:%s\n  go on with the plan it was made with, or start from its weights "
            "with --init", path, missing.s);
    free(one);
    session_changed(s);
    s->seed = c.seed;
    s->step = c.step + 1;
    s->seen = c.seen;
    if (c.has_scale && s->plan->loss_scale) {
        c.saved_scale.interval = s->scale.interval;
        c.saved_scale.on = s->scale.on;
        session_scale(s, &c.saved_scale);
    }
    tensor_file_close(f);
}
