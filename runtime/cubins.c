/* cubins.h: texts and keys of a plan's kernels, what the plan's folder and the cache hold of them, and the rest through NVRTC in parallel.
   Assumes the plan's files do not change meanwhile. */
#include "runtime/cubins.h"
#include "cache/cache.h"
#include "cache/key.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

/* FORMAT: of what an entry of ours holds. ABI: of what the runtime hands to a kernel; a change makes earlier objects useless. */
#define FORMAT "1"
#define ABI "1"
enum { MAX_WORKERS = 64, LOG_SHOWN = 1500 };

typedef struct {
    Cubin out;
    bool wanted, variant;                            /* variant: it draws, and reads its draws from memory */
    int owner;                                       /* the first wanted kernel with the same text; -1: not asked for */
    char *text, *key, *error;
    size_t key_len;
    void *data;
    char *log;
} Item;
struct Cubins {
    const Plan *plan;
    char *arch, *prelude;
    bool draw_inputs;
    int n, compiled;
    Item *item;
};

/* ---- keys ---- */
static void make_key(Item *k, const char *arch, const char *compiler, const char *prelude)
{
    StrBuf b = {0}, list = {0}, text = {0};
    const char *option[NVRTC_MAX_OPTIONS];
    int n = nvrtc_options(arch, k->variant, option);
    for (int i = 0; i < n; i++)                      /* --no-cache is for versions that know it, and changes no code */
        if (strcmp(option[i], "--no-cache")) sb_printf(&list, "%s%s", list.len ? "\n" : "", option[i]);
    key_canonical(&text, k->text);
    key_add(&b, "cuda-object", FORMAT, strlen(FORMAT));
    key_add(&b, "abi", ABI, strlen(ABI));
    key_add(&b, "arch", arch, strlen(arch));
    key_add(&b, "compiler", compiler, strlen(compiler));
    key_add(&b, "options", list.s, list.len);
    key_add(&b, "prelude", prelude, strlen(prelude));
    key_add(&b, "kernel", text.s ? text.s : "", text.len);
    sb_free(&list);
    sb_free(&text);
    k->key = b.s;
    k->key_len = b.len;
}

static char *read_text(const Plan *plan, const char *file)
{
    char *path = plan_path(plan, file), *text = read_file(path, NULL);
    if (!text) user_error("%s cannot be read: %s; compile the model again with ectc --target cpu,cuda", path, strerror(errno));
    free(path);
    return text;
}

/* kernels/NAME.cu: NAME */
static const char *text_name(const Plan *plan, const char *file)
{
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file, *dot = strrchr(base, '.');
    return arena_printf(plan->arena, "%.*s", (int)(dot ? (size_t)(dot - base) : strlen(base)), base);
}

Cubins *cubins_open(const Plan *plan, const bool *used, const char *arch, bool draw_inputs)
{
    Cubins *c = xcalloc(1, sizeof *c);
    *c = (Cubins){.plan = plan, .arch = xstrdup(arch), .draw_inputs = draw_inputs, .n = plan->n_kernels};
    c->item = xcalloc((size_t)MAX(1, c->n), sizeof *c->item);
    c->prelude = read_text(plan, "kernels/prelude.cuh");
    StrBuf prelude = {0};
    key_canonical(&prelude, c->prelude);
    const char *compiler = nvrtc_identity(NULL);
    for (int i = 0; i < c->n; i++) {
        Item *k = &c->item[i];
        const PlanKernel *p = &plan->kernel[i];
        k->owner = -1;
        if (used && !used[i]) continue;
        if (!p->cuda) {
            if (!used) continue;
            user_error("%s has no CUDA text of kernel %s; compile the model again with ectc --target cpu,cuda", plan->dir, p->name);
        }
        for (int q = 0; q < i && k->owner < 0; q++) if (c->item[q].wanted && !strcmp(plan->kernel[q].cuda->file, p->cuda->file)) k->owner = q;
        if (k->owner >= 0) continue;
        k->owner = i;
        k->wanted = true;
        k->text = read_text(plan, p->cuda->file);
        k->variant = draw_inputs && key_draws(k->text);
        make_key(k, arch, compiler ? compiler : "none", prelude.s ? prelude.s : "");
        k->out.name = text_name(plan, p->cuda->file);
    }
    sb_free(&prelude);
    return c;
}

static const Item *item_of(const Cubins *c, int kernel) { return &c->item[c->item[kernel].owner < 0 ? kernel : c->item[kernel].owner]; }

int cubins_owner(const Cubins *c, int kernel) { return c->item[kernel].owner; }

const char *cubins_key(const Cubins *c, int kernel, size_t *len)
{
    *len = item_of(c, kernel)->key_len;
    return item_of(c, kernel)->key;
}

/* ---- what is there ---- */
char *cubins_packed_path(const Cubins *c, int kernel)
{
    const Item *k = item_of(c, kernel);
    return xasprintf("%s/cubins/%s.%s%s.o", c->plan->dir, k->out.name, c->arch, k->variant ? ".draws" : "");
}

static void take(Item *k, void *data, size_t bytes, char *log, double ms)
{
    k->data = data;
    k->log = log;
    k->out.data = data;
    k->out.bytes = bytes;
    k->out.log = log;
    k->out.ms = ms;
}

/* The meta text of an entry: lines of a word and a value, then a blank line and the log. */
static void take_entry(Item *k, CacheEntry *e)
{
    const char *ms = strstr(e->meta, "compile_ms "), *log = strstr(e->meta, "\n\n");
    void *data = xmalloc(e->bytes);
    memcpy(data, e->data, e->bytes);
    take(k, data, e->bytes, xstrdup(log ? log + 2 : ""), ms ? strtod(ms + 11, NULL) : 0);
    k->out.cached = true;
    cache_entry_free(e);
}

static char *meta_of(const Item *k, const char *arch)
{
    return xasprintf("kernel %s\narch %s\ncompile_ms %.3f\n\n%s", k->out.name, arch, k->out.ms, k->out.log);
}

int cubins_find(Cubins *c, bool packed, bool cache)
{
    int missing = 0;
    for (int i = 0; i < c->n; i++) {
        Item *k = &c->item[i];
        if (!k->wanted || k->data) continue;
        CacheEntry e;
        if (packed) {
            /* Any NVRTC will do: the text, the options and the processor are the same, and there need be none here. */
            char *path = cubins_packed_path(c, i);
            EntryState s = cache_entry_read(path, &e);
            if (s == ENTRY_DAMAGED) warn("%s is damaged; `ect-rt cache pack` makes it again", path);
            if (s == ENTRY_GOOD) {
                if (key_equal_but(e.key, e.key_len, k->key, k->key_len, "compiler")) {
                    take_entry(k, &e);
                    k->out.packed = true;
                } else cache_entry_free(&e);
            }
            free(path);
        }
        if (cache && !k->data && cache_find(k->key, k->key_len, &e)) take_entry(k, &e);
        missing += !k->data;
    }
    return missing;
}

bool cubins_pack(const Cubins *c, int kernel)
{
    const Item *k = item_of(c, kernel);
    char *path = cubins_packed_path(c, kernel), *meta = meta_of(k, c->arch);
    bool ok = cache_entry_write(path, k->key, k->key_len, meta, k->data, k->out.bytes);
    int e = errno;
    free(path);
    free(meta);
    errno = e;
    return ok;
}

/* ---- compiling ---- */
typedef struct {
    Cubins *c;
    int *order, n, next, done;                       /* the missing ones, longest text first */
    size_t bytes, bytes_done;
    pthread_mutex_t lock;
    pthread_cond_t moved;
} Work;

static void compile_item(const Cubins *c, Item *k)
{
    /* Lines count from the kernel's own file in messages. */
    char *text = xasprintf("%s\n#line 1 \"%s.cu\"\n%s", c->prelude, k->out.name, k->text), *name = xasprintf("%s.cu", k->out.name);
    const char *option[NVRTC_MAX_OPTIONS];
    int n = nvrtc_options(c->arch, k->variant, option);
    NvrtcResult r;
    nvrtc_compile(name, text, option, n, &r);
    free(text);
    free(name);
    if (!r.ok) {
        k->error = r.log;
        free(r.data);
        return;
    }
    take(k, r.data, r.bytes, r.log, r.ms);
    char *meta = meta_of(k, c->arch);
    cache_store(k->key, k->key_len, meta, r.data, r.bytes);
    free(meta);
}

static void *worker(void *arg)
{
    Work *w = arg;
    pthread_mutex_lock(&w->lock);
    while (w->next < w->n) {
        Item *k = &w->c->item[w->order[w->next++]];
        pthread_mutex_unlock(&w->lock);
        compile_item(w->c, k);
        pthread_mutex_lock(&w->lock);
        w->done++;
        w->bytes_done += strlen(k->text);
        pthread_cond_signal(&w->moved);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void progress(const Work *w, double seconds)
{
    fprintf(stderr, "\rcompiling CUDA kernels for %s %d/%d", w->c->arch, w->done, w->n);
    if (w->bytes_done && seconds > 1) fprintf(stderr, ", %.0f s left", seconds * (double)(w->bytes - w->bytes_done) / (double)w->bytes_done);
    fputs("\033[K", stderr);
}

static const Cubins *sorting;
static int by_length(const void *a, const void *b)
{
    const Item *x = &sorting->item[*(const int *)a], *y = &sorting->item[*(const int *)b];
    size_t m = strlen(x->text), n = strlen(y->text);
    return m != n ? (m < n) - (m > n) : strcmp(x->out.name, y->out.name);
}

static void run_workers(Work *w)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int n = (int)MAX(1, MIN(MIN(cores, MAX_WORKERS), w->n)), started = 0;
    pthread_t thread[MAX_WORKERS];
    const double began = now_seconds();
    const bool terminal = isatty(2);
    while (started < n && !pthread_create(&thread[started], NULL, worker, w)) started++;
    if (!started) worker(w);
    pthread_mutex_lock(&w->lock);
    while (w->done < w->n) {
        if (terminal) progress(w, now_seconds() - began);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&w->moved, &w->lock, &until);
    }
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
    if (terminal) fputs("\r\033[K", stderr);
}

int cubins_compile(Cubins *c)
{
    const char *why;
    if (!nvrtc_identity(&why)) machine_error("%s has to compile CUDA kernels for %s: %s", c->plan->dir, c->arch, why);
    Work w = {.c = c, .order = xmalloc((size_t)MAX(1, c->n) * sizeof *w.order), .lock = PTHREAD_MUTEX_INITIALIZER,
              .moved = PTHREAD_COND_INITIALIZER};
    for (int i = 0; i < c->n; i++) {
        if (!c->item[i].wanted || c->item[i].data) continue;
        free(c->item[i].error);
        c->item[i].error = NULL;
        w.order[w.n++] = i;
        w.bytes += strlen(c->item[i].text);
    }
    sorting = c;
    qsort(w.order, (size_t)w.n, sizeof *w.order, by_length);
    run_workers(&w);
    int failed = 0;
    for (int i = 0; i < w.n; i++) failed += c->item[w.order[i]].error != NULL;
    c->compiled += w.n - failed;
    free(w.order);
    return failed;
}

const char *cubins_error(const Cubins *c, int kernel) { return item_of(c, kernel)->error; }

/* ---- all of it ---- */
static NORETURN void say_missing(const Cubins *c, int missing)
{
    StrBuf b = {0};
    for (int i = 0; i < c->n; i++)
        if (c->item[i].wanted && !c->item[i].data) sb_printf(&b, "\n  %s", c->item[i].out.name);
    machine_error("--require-cached: %d kernels of %s are neither packed nor in the cache for %s%s:%s\n`ect-rt cubins %s --arch %s` compiles them, "
                  "`ect-rt cache pack` puts them into the plan, `ect-rt cache why` says what differs", missing, c->plan->dir, c->arch,
                  c->draw_inputs ? " with draws as inputs" : "", b.s, c->plan->dir, c->arch);
}

Cubins *cubins_load(const Plan *plan, const bool *used, const char *arch, bool draw_inputs)
{
    const double began = now_seconds();
    Cubins *c = cubins_open(plan, used, arch, draw_inputs);
    int missing = cubins_find(c, true, true);
    if (missing && cache_only) say_missing(c, missing);
    if (missing && cubins_compile(c)) {
        int n = 0, first = -1;
        for (int i = c->n; i-- > 0;) if (c->item[i].error) n++, first = i;
        machine_error("%d of %d CUDA kernels do not compile for %s; the first is %s/%s:\n%.*s", n, missing, arch, plan->dir,
                      plan->kernel[first].cuda->file, LOG_SHOWN, c->item[first].error);
    }
    if (missing) fprintf(stderr, "compiled %d CUDA kernels for %s in %.1f s\n", missing, arch, now_seconds() - began);
    return c;
}

const Cubin *cubins_get(const Cubins *c, int kernel)
{
    return item_of(c, kernel)->data ? &item_of(c, kernel)->out : NULL;
}

int cubins_compiled(const Cubins *c) { return c->compiled; }

void cubins_free(Cubins *c)
{
    if (!c) return;
    for (int i = 0; i < c->n; i++) {
        Item *k = &c->item[i];
        free(k->text);
        free(k->key);
        free(k->error);
        free(k->data);
        free(k->log);
    }
    free(c->item);
    free(c->arch);
    free(c->prelude);
    free(c);
}
