/* The loader: a deterministic shuffled stream of batches, prepared one ahead by a thread.
   Assumes the data set stays unchanged; what a batch holds depends on (seed, position) alone, never on timing. */
#include "runtime/data_internal.h"

#include <pthread.h>
#include <signal.h>

enum { STREAM_ORDER = 1, STREAM_FLIP = 2 };

struct Loader {
    const Dataset *ds;
    LoaderOptions opt;
    int64_t handed;                 /* position after the last batch given out */
    int64_t made;                   /* position after the last batch prepared; the thread's own */
    int64_t epoch;                  /* whose permutation `order` holds, or -1 */
    int32_t *order;
    float *images, *labels;         /* the prepared batch; images NULL with opt.numbers */
    uint32_t *numbers;
    bool ready, quit;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
};

/* Fisher-Yates, draw k of epoch e from the counter k of the stream (seed, e). */
static void permute(int32_t *order, int64_t n, uint64_t seed, int64_t epoch)
{
    uint64_t key = data_hash(seed, STREAM_ORDER, (uint64_t)epoch);
    for (int64_t i = 0; i < n; i++)
        order[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)data_below(data_hash(key, STREAM_ORDER, (uint64_t)i), (uint64_t)i + 1);
        int32_t t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

int64_t loader_index(const Dataset *ds, uint64_t seed, int64_t position)
{
    int32_t *order = xmalloc((size_t)ds->count * sizeof *order);
    permute(order, ds->count, seed, position / ds->count);
    int64_t index = order[position % ds->count];
    free(order);
    return index;
}

static void prepare(Loader *l)
{
    const Dataset *ds = l->ds;
    size_t size = (size_t)ds->c * (size_t)ds->h * (size_t)ds->w;
    for (int i = 0; i < l->opt.batch; i++, l->made++) {
        if (l->made / ds->count != l->epoch) {
            l->epoch = l->made / ds->count;
            permute(l->order, ds->count, l->opt.seed, l->epoch);
        }
        bool mirror = l->opt.flip && (data_hash(l->opt.seed, STREAM_FLIP, (uint64_t)l->made) & 1);
        int32_t image = l->order[l->made % ds->count];
        l->numbers[i] = 2 * (uint32_t)image + mirror;
        dataset_get(ds, image, mirror, l->images ? l->images + (size_t)i * size : NULL, l->labels + (size_t)i * (size_t)ds->label_dim);
    }
}

static void *work(void *arg)
{
    Loader *l = arg;
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (l->ready) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        pthread_mutex_unlock(&l->lock);
        prepare(l);
        pthread_mutex_lock(&l->lock);
        l->ready = true;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

Loader *loader_new(const Dataset *ds, const LoaderOptions *opt)
{
    CHECK_BUG(ds->count > 0 && ds->count <= INT32_MAX && opt->batch > 0 && opt->start >= 0);
    Loader *l = xcalloc(1, sizeof *l);
    l->ds = ds;
    l->opt = *opt;
    l->handed = l->made = opt->start;
    l->epoch = -1;
    l->order = xmalloc((size_t)ds->count * sizeof *l->order);
    l->numbers = xmalloc((size_t)opt->batch * sizeof *l->numbers);
    if (!opt->numbers) l->images = xmalloc((size_t)opt->batch * (size_t)ds->c * (size_t)ds->h * (size_t)ds->w * sizeof(float));
    l->labels = xcalloc((size_t)opt->batch * (size_t)ds->label_dim + 1, sizeof(float));
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    /* Signals are for the main thread, which saves and stops. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&l->thread, NULL, work, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        machine_error("cannot start the data thread: %s", strerror(failed));
    return l;
}

/* Takes the prepared batch: n bytes of it, images or numbers, and the labels. */
static void take(Loader *l, void *to, const void *from, size_t n, float *labels)
{
    const Dataset *ds = l->ds;
    pthread_mutex_lock(&l->lock);
    while (!l->ready)
        pthread_cond_wait(&l->changed, &l->lock);
    memcpy(to, from, n);
    if (labels)
        memcpy(labels, l->labels, (size_t)l->opt.batch * (size_t)ds->label_dim * sizeof *labels);
    l->ready = false;
    l->handed += l->opt.batch;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

void loader_next(Loader *l, float *images, float *labels)
{
    CHECK_BUG(l->images);
    take(l, images, l->images, (size_t)l->opt.batch * (size_t)l->ds->c * (size_t)l->ds->h * (size_t)l->ds->w * sizeof *images, labels);
}

void loader_next_numbers(Loader *l, uint32_t *numbers, float *labels)
{
    take(l, numbers, l->numbers, (size_t)l->opt.batch * sizeof *numbers, labels);
}

int64_t loader_position(const Loader *l)
{
    return l->handed;
}

void loader_free(Loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    free(l->order);
    free(l->images);
    free(l->numbers);
    free(l->labels);
    free(l);
}
