/* Data sets in memory: opening by kind, fitting to a wanted form, splitting, reading single images.
   Assumes the readers of data_files.c, data_archive.c and shapes.c; messages name the file and the way to mend it. */
#include "runtime/data_internal.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

void data_fail(DataErr *e, int status, const char *fmt, ...)
{
    if (e->msg)
        return;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&e->msg, fmt, ap) < 0)
        machine_error("out of memory");
    va_end(ap);
    e->status = status;
}

bool data_errno(DataErr *e, const char *path)
{
    int n = errno;
    bool user = n == ENOENT || n == ENOTDIR || n == EACCES || n == EISDIR || n == ELOOP || n == ENAMETOOLONG || n == EPERM;
    if (n == ENOENT)
        return data_user(e, "%s: no such file or folder: check the path, or use the built-in set `shapes`", path);
    data_fail(e, user ? EXIT_USER : EXIT_MACHINE, "%s: cannot be read: %s", path, strerror(n));
    return false;
}

uint64_t data_hash(uint64_t seed, uint64_t stream, uint64_t counter)
{
    uint64_t x = seed;
    for (int i = 0; i < 3; i++) {
        x += 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        x ^= x >> 31;
        x ^= i == 0 ? stream : i == 1 ? counter : 0;
    }
    return x;
}

uint64_t data_below(uint64_t hash, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)hash * n) >> 64);
}

Dataset *data_new(DataErr *e, const char *path, int64_t count, int h, int w, int c)
{
    double bytes = (double)count * h * w * c;
    double have = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (!(bytes < 0.9 * have)) {
        data_machine(e, "%s: %lld images of %dx%dx%d take %.1f GB and the machine has %.1f GB: "
                     "import fewer with --max-images, or smaller with --resolution", path, (long long)count, w, h, c,
                     bytes / 1e9, have / 1e9);
        return NULL;
    }
    Dataset *ds = xcalloc(1, sizeof *ds);
    *ds = (Dataset){.count = count, .h = h, .w = w, .c = c};
    ds->pixels = xmalloc(MAX(1, (size_t)bytes));
    return ds;
}

void dataset_free(Dataset *ds)
{
    if (!ds)
        return;
    for (int i = 0; ds->class_names && i < ds->label_dim; i++)
        free(ds->class_names[i]);
    free(ds->class_names);
    free(ds->pixels);
    free(ds->labels);
    free(ds->label_vectors);
    free(ds->source);
    free(ds->note);
    free(ds);
}

bool data_fit(DataErr *e, Dataset *ds, const char *path, const DataOptions *opt)
{
    if (opt->max_images > 0 && opt->max_images < ds->count)
        ds->count = opt->max_images;
    int side = opt->resolution ? opt->resolution : ds->h;
    if (opt->resolution && !opt->resize && (ds->h != side || ds->w != side))
        return data_user(e, "%s: images are %dx%d, but %dx%d is wanted: `ect-rt data import %s DEST --resolution %d` makes "
            "such a set",
                         path, ds->w, ds->h, side, side, path, side);
    if (!opt->resize && ds->h != ds->w)
        return data_user(e, "%s: images are %dx%d, not square: `ect-rt data import %s DEST --resolution %d` crops and resizes "
            "them",
                         path, ds->w, ds->h, path, MIN(ds->h, ds->w));
    if (opt->channels == 1 && ds->c == 3 && !opt->grey)
        return data_user(e, "%s: images are in colour, but one channel is wanted: `ect-rt data import %s DEST --grey` makes a "
            "grey set",
                         path, path);
    int c = opt->grey ? 1 : opt->channels ? opt->channels : ds->c;
    if (c == ds->c && (!opt->resize || (ds->h == side && ds->w == side)))
        return true;
    if (!opt->resize)
        side = ds->h;
    Dataset *to = data_new(e, path, ds->count, side, side, c);
    if (!to)
        return false;
    size_t from_size = (size_t)ds->h * (size_t)ds->w * (size_t)ds->c, to_size = (size_t)side * (size_t)side * (size_t)c;
    uint8_t *square = xmalloc((size_t)side * (size_t)side * (size_t)ds->c);
    for (int64_t i = 0; i < ds->count; i++) {
        image_crop_resize(ds->pixels + (size_t)i * from_size, ds->h, ds->w, ds->c, side, square);
        image_set_channels(square, ds->c, to->pixels + (size_t)i * to_size, c, (int64_t)side * side);
    }
    free(square);
    free(ds->pixels);
    ds->pixels = to->pixels;
    ds->h = ds->w = side;
    ds->c = c;
    to->pixels = NULL;
    dataset_free(to);
    return true;
}

/* ---- opening ---- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static Dataset *open_file(DataErr *e, const char *path, const DataOptions *opt)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        data_errno(e, path);
        return NULL;
    }
    uint8_t head[512] = {0};
    size_t n = fread(head, 1, sizeof head, f);
    bool failed = ferror(f);
    fclose(f);
    if (failed) {
        data_errno(e, path);
        return NULL;
    }
    if (n == 0) {
        data_user(e, "%s: the file is empty: copy or download it again", path);
        return NULL;
    }
    if (n >= 2 && head[0] == 'P' && head[1] == 'K')
        return read_zip(e, path, opt);
    bool idx = n >= 4 && !head[0] && !head[1] && head[2] == 8 && (head[3] == 3 || head[3] == 1);
    bool tar = n == sizeof head && !memcmp(head + 257, "ustar", 5);
    if (idx || tar || (n >= 2 && head[0] == 0x1f && head[1] == 0x8b))
        return read_gzip(e, path, opt);
    if (ends_with(path, ".bin"))
        return read_cifar_bin(e, path);
    if (data_is_image_name(path))
        data_user(e, "%s: one image is no data set: give the folder that holds the images", path);
    else
        data_user(e, "%s: not a data set%s: expected a zip or folder of PNG or JPEG images, a CIFAR-10 or MNIST archive, or "
            "`shapes`",
                  path, ends_with(path, ".zip") ? " (named .zip, but it does not begin like one)" : "");
    return NULL;
}

static Dataset *open_any(DataErr *e, const char *path, const DataOptions *opt)
{
    struct stat st;
    if (!strcmp(path, "shapes") || !strncmp(path, "shapes:", 7))
        return read_shapes(e, path, opt);
    if (stat(path, &st)) {
        data_errno(e, path);
        return NULL;
    }
    if (S_ISREG(st.st_mode))
        return open_file(e, path, opt);
    if (!S_ISDIR(st.st_mode)) {
        data_user(e, "%s: neither a file nor a folder", path);
        return NULL;
    }
    bool found;
    Dataset *ds = read_cifar_folder(e, path, &found);
    return found ? ds : read_folder(e, path, opt);
}

Dataset *dataset_open(const char *path, const DataOptions *opt, char **err, int *status)
{
    static const DataOptions none;
    DataErr e = {0};
    if (!opt)
        opt = &none;
    Dataset *ds = open_any(&e, path, opt);
    if (ds && !e.msg && ds->count == 0)
        data_user(&e, "%s: holds no images", path);
    if (ds && !e.msg)
        data_fit(&e, ds, path, opt);
    *err = e.msg;
    *status = e.msg ? e.status : EXIT_OK;
    if (!e.msg)
        return ds;
    dataset_free(ds);
    return NULL;
}

/* ---- use ---- */

void dataset_get(const Dataset *ds, int64_t index, bool mirror, float *image, float *label)
{
    CHECK_BUG(index >= 0 && index < ds->count);
    size_t size = (size_t)ds->h * (size_t)ds->w * (size_t)ds->c, dim = (size_t)ds->label_dim;
    if (image)
        image_bytes_to_floats(ds->pixels + (size_t)index * size, ds->h, ds->w, ds->c, mirror, image);
    if (!label)
        return;
    if (ds->label_vectors) {
        memcpy(label, ds->label_vectors + (size_t)index * dim, dim * sizeof *label);
        return;
    }
    memset(label, 0, dim * sizeof *label);
    if (ds->labels)
        label[ds->labels[index]] = 1;
}

void dataset_class_counts(const Dataset *ds, int64_t *counts)
{
    CHECK_BUG(ds->labels);
    memset(counts, 0, (size_t)ds->label_dim * sizeof *counts);
    for (int64_t i = 0; i < ds->count; i++)
        counts[ds->labels[i]]++;
}

/* Moves image `from` of a to place `to` of b. */
static void move_image(const Dataset *a, int64_t from, Dataset *b, int64_t to)
{
    size_t size = (size_t)a->h * (size_t)a->w * (size_t)a->c, dim = (size_t)a->label_dim;
    memmove(b->pixels + (size_t)to * size, a->pixels + (size_t)from * size, size);
    if (a->labels)
        b->labels[to] = a->labels[from];
    if (a->label_vectors)
        memmove(b->label_vectors + (size_t)to * dim, a->label_vectors + (size_t)from * dim, dim * sizeof(float));
}

Dataset *dataset_split(Dataset *ds, int64_t holdout, uint64_t seed)
{
    CHECK_BUG(holdout >= 0 && holdout < ds->count);
    Dataset *out = xcalloc(1, sizeof *out);
    *out = *ds;
    out->count = 0;
    out->pixels = xmalloc(MAX(1, (size_t)holdout * (size_t)ds->h * (size_t)ds->w * (size_t)ds->c));
    out->labels = ds->labels ? xcalloc((size_t)holdout + 1, sizeof *out->labels) : NULL;
    out->label_vectors = ds->label_vectors ? xcalloc((size_t)holdout * (size_t)ds->label_dim + 1, sizeof(float)) : NULL;
    out->source = xasprintf("%lld held out of %s", (long long)holdout, ds->source);
    out->note = NULL;
    if (ds->class_names) {
        out->class_names = xcalloc((size_t)ds->label_dim, sizeof *out->class_names);
        for (int i = 0; i < ds->label_dim; i++)
            out->class_names[i] = xstrdup(ds->class_names[i]);
    }
    /* Selection sampling: image i is taken with probability (still wanted) / (still to come). */
    int64_t kept = 0, total = ds->count;
    for (int64_t i = 0; i < total; i++) {
        uint64_t draw = data_below(data_hash(seed, 3, (uint64_t)i), (uint64_t)(total - i));
        if (draw < (uint64_t)(holdout - out->count))
            move_image(ds, i, out, out->count++);
        else
            move_image(ds, i, ds, kept++);
    }
    ds->count = kept;
    return out;
}
