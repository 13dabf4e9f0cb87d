/* The run folder's pictures: real data, and samples with fixed z as training goes.
   Assumes pictures are worth a warning, never the end of a run. */
#include "runtime/train.h"
#include "runtime/image.h"
#include "runtime/signals.h"

static int grid_columns(int64_t count)
{
    int columns = 1;
    while ((int64_t)columns * columns < count) columns++;
    return columns;
}

void grid_data(const char *dir, const Feed *f, int64_t count, int zoom)
{
    if (!f->ds || count < 1) return;
    count = MIN(count, f->ds->count);
    size_t each = (size_t)f->c * (size_t)f->h * (size_t)f->w;
    uint8_t *bytes = xmalloc((size_t)count * each);
    /* Spread over the set: files are often sorted by class. */
    for (int64_t i = 0; i < count; i++) memcpy(bytes + (size_t)i * each,
            f->ds->pixels + (size_t)(i * f->ds->count / count) * each, each);
    char *path = xasprintf("%s/data.png", dir), *err = NULL;
    if (!grid_write(path, bytes, count, f->h, f->w, f->c, grid_columns(count), zoom, &err)) warn("%s", err);
    free(err);
    free(path);
    free(bytes);
}

void grid_samples(const char *dir, const Sampler *sm, Session *s, int64_t count, int zoom, uint64_t step)
{
    if (count < 1) return;
    size_t each = (size_t)sm->c * (size_t)sm->h * (size_t)sm->w;
    int columns = grid_columns(count), *class_of = xmalloc((size_t)count * sizeof *class_of);
    for (int64_t i = 0; i < count; i++) class_of[i] = sm->classes ? (int)(i / columns % sm->classes) : 0;    /* one class a row */
    float *images = xmalloc((size_t)count * each * sizeof *images);
    uint8_t *bytes = xmalloc((size_t)count * each);
    int64_t done = sampler_run(sm, s, 0, count, NULL, 0, class_of, images, signals_stop);
    if (done == count) {
        image_floats_to_bytes(images, count, sm->h, sm->w, sm->c, BYTES_GRID, bytes);
        char *path = xasprintf("%s/samples-%06llu.png", dir, (unsigned long long)step), *err = NULL;
        if (!grid_write(path, bytes, count, sm->h, sm->w, sm->c, columns, zoom, &err)) warn("%s", err);
        free(err);
        free(path);
    }
    free(images);
    free(bytes);
    free(class_of);
}
