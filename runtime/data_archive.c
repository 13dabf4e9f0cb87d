/* Archives of raw pixels: CIFAR-10 (binary and python, as tar, tar.gz, folder or single file) and MNIST's idx files.
   Assumes nothing of the contents: every size is checked against what the file holds before it is used. */
#include "runtime/data_internal.h"

#include <dirent.h>
#include <errno.h>
#include <zlib.h>

enum { CIFAR_PIXELS = 3072, CIFAR_RECORD = 3073, CIFAR_CLASSES = 10, TAR_BLOCK = 512, MAX_BATCHES = 64 };

static const char *const cifar_names[CIFAR_CLASSES] = {"airplane", "automobile", "bird", "cat", "deer",
                                                       "dog", "frog", "horse", "ship", "truck"};

/* ---- gzip stream; plain files pass through ---- */

/* Reads exactly n bytes, or fewer only at the file's end; *got tells. False on damage. */
static bool gz_take(DataErr *e, gzFile gz, const char *path, void *to, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        int k = gzread(gz, (uint8_t *)to + *got, (unsigned)MIN(n - *got, 1 << 30));
        int code;
        const char *msg = gzerror(gz, &code);
        if (k < 0 || (code != Z_OK && code != Z_STREAM_END)) {
            if (code == Z_ERRNO)
                return data_machine(e, "%s: cannot be read: %s", path, strerror(errno));
            return data_user(e, "%s: truncated or damaged gzip (%s): copy or download it again", path, msg);
        }
        if (k == 0)
            return true;
        *got += (size_t)k;
    }
    return true;
}

/* Like gz_take, but an early end is an error too. */
static bool gz_need(DataErr *e, gzFile gz, const char *path, void *to, size_t n)
{
    size_t got;
    if (!gz_take(e, gz, path, to, n, &got))
        return false;
    return got == n || data_user(e, "%s: truncated: it ends before its contents do: copy or download it again", path);
}

/* ---- tar ---- */

typedef struct {
    DataErr *e;
    gzFile gz;
    const char *path;
    char name[257];
    uint64_t size;
} Tar;

static uint64_t tar_number(const uint8_t *field, int n)
{
    uint64_t v = 0;
    if (field[0] & 0x80) {
        for (int i = 1; i < n; i++)
            v = v << 8 | field[i];
        return v;
    }
    for (int i = 0; i < n && field[i]; i++)
        if (field[i] >= '0' && field[i] <= '7')
            v = v * 8 + (uint64_t)(field[i] - '0');
    return v;
}

/* The next member's header. *end at the zero block that closes an archive. */
static bool tar_next(Tar *t, bool *end)
{
    uint8_t b[TAR_BLOCK];
    if (!gz_need(t->e, t->gz, t->path, b, sizeof b))
        return false;
    unsigned sum = 0;
    bool zero = true;
    for (int i = 0; i < TAR_BLOCK; i++) {
        sum += i >= 148 && i < 156 ? ' ' : b[i];
        zero &= !b[i];
    }
    *end = zero;
    if (zero)
        return true;
    if (tar_number(b + 148, 8) != sum)
        return data_user(t->e, "%s: damaged tar header: copy or download it again", t->path);
    char name[101] = "", prefix[156] = "";
    memcpy(name, b, 100);
    if (!memcmp(b + 257, "ustar\0", 6))
        memcpy(prefix, b + 345, 155);
    snprintf(t->name, sizeof t->name, "%s%s%s", prefix, *prefix ? "/" : "", name);
    t->size = tar_number(b + 124, 12);
    if (b[156] != '0' && b[156] != 0)
        t->name[0] = 0;                                     /* folders, links, extensions: skipped by having no name */
    if (t->size > DATA_MAX_FILE)
        return data_user(t->e, "%s: member %.100s has the absurd size of %llu bytes", t->path, name, (unsigned long long)t->size);
    return true;
}

/* The member's bytes on the heap, or skipped when bytes is NULL. */
static bool tar_body(Tar *t, uint8_t **bytes)
{
    size_t padded = (size_t)(t->size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    uint8_t *buf = NULL;
    bool ok = true;
    if (bytes) {
        buf = xmalloc(padded + 1);
        ok = gz_need(t->e, t->gz, t->path, buf, padded);
        if (ok)
            *bytes = buf;
        else
            free(buf);
        return ok;
    }
    uint8_t skip[16 * TAR_BLOCK];
    for (; ok && padded; padded -= MIN(padded, sizeof skip))
        ok = gz_need(t->e, t->gz, t->path, skip, MIN(padded, sizeof skip));
    return ok;
}

/* ---- CIFAR-10 ---- */

typedef struct {
    char *name;
    uint8_t *bytes;
    size_t n;
} Batch;

typedef struct {
    Batch batch[MAX_BATCHES];
    int count;
} Batches;

static void drop_batches(Batches *b)
{
    for (int i = 0; i < b->count; i++) {
        free(b->batch[i].name);
        free(b->batch[i].bytes);
    }
}

static bool add_batch(DataErr *e, Batches *b, const char *path, char *name, uint8_t *bytes, size_t n)
{
    if (b->count == MAX_BATCHES) {
        free(name);
        free(bytes);
        return data_user(e, "%s: more than %d batches: not CIFAR-10", path, MAX_BATCHES);
    }
    b->batch[b->count++] = (Batch){name, bytes, n};
    return true;
}

static int by_batch(const void *a, const void *b)
{
    return strcmp(((const Batch *)a)->name, ((const Batch *)b)->name);
}

/* data_batch_N, with .bin or without. */
static bool is_batch(const char *name)
{
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    size_t n = strlen("data_batch_");
    if (strncmp(name, "data_batch_", n))
        return false;
    size_t digits = strspn(name + n, "0123456789");
    return digits && (!name[n + digits] || !strcmp(name + n + digits, ".bin"));
}

static void put_image(Dataset *ds, int64_t i, const uint8_t *planes, int label)
{
    uint8_t *to = ds->pixels + i * CIFAR_PIXELS;
    for (int p = 0; p < 1024; p++)
        for (int k = 0; k < 3; k++)
            *to++ = planes[k * 1024 + p];
    ds->labels[i] = label;
}

static Dataset *new_cifar(DataErr *e, const char *path, int64_t count)
{
    Dataset *ds = data_new(e, path, count, 32, 32, 3);
    if (!ds)
        return NULL;
    ds->labels = xcalloc((size_t)count + 1, sizeof *ds->labels);
    ds->label_dim = CIFAR_CLASSES;
    ds->class_names = xcalloc(CIFAR_CLASSES, sizeof *ds->class_names);
    for (int i = 0; i < CIFAR_CLASSES; i++)
        ds->class_names[i] = xstrdup(cifar_names[i]);
    return ds;
}

static bool bad_class(DataErr *e, const char *where, int64_t i, int label)
{
    return data_user(e, "%s: record %lld has label %d, CIFAR-10 has 0 to 9: damaged, or another set", where, (long long)i, label);
}

/* Binary and python batches in the order of their names into one set. */
static Dataset *join_batches(DataErr *e, const char *path, Batches *b)
{
    typedef struct { const uint8_t *pixels; uint8_t *labels; void *owned; int64_t n; bool bin; char *where; } Part;
    Part part[MAX_BATCHES] = {0};
    Dataset *ds = NULL;
    int64_t total = 0, at = 0;
    bool ok = true;
    qsort(b->batch, (size_t)b->count, sizeof b->batch[0], by_batch);
    for (int i = 0; ok && i < b->count; i++) {
        const Batch *t = &b->batch[i];
        size_t len = strlen(t->name);
        Part *p = &part[i];
        p->where = xasprintf("%s: %s", path, t->name);
        p->bin = len > 4 && !strcmp(t->name + len - 4, ".bin");
        if (!p->bin)
            ok = pickle_cifar(e, p->where, t->bytes, t->n, &p->pixels, &p->n, &p->labels, &p->owned);
        else if (t->n % CIFAR_RECORD)
            ok = data_user(e, "%s: %zu bytes are no whole number of %d-byte records: truncated, or not CIFAR-10's binary version",
                           p->where, t->n, CIFAR_RECORD);
        else
            p->n = (int64_t)(t->n / CIFAR_RECORD);
        total += p->n;
    }
    ds = ok ? new_cifar(e, path, total) : NULL;
    for (int i = 0; ds && ok && i < b->count; i++)
        for (int64_t k = 0; ok && k < part[i].n; k++) {
            const Part *p = &part[i];
            const uint8_t *record = b->batch[i].bytes + k * CIFAR_RECORD;
            int label = p->bin ? record[0] : p->labels[k];
            if (label >= CIFAR_CLASSES)
                ok = bad_class(e, p->where, k, label);
            else
                put_image(ds, at++, p->bin ? record + 1 : p->pixels + k * CIFAR_PIXELS, label);
        }
    if (ds)
        ds->source = xasprintf("CIFAR-10 %s %s", part[0].bin ? "binary" : "python", path);
    for (int i = 0; i < b->count; i++) {
        free(part[i].where);
        free(part[i].labels);
        free(part[i].owned);
    }
    if (ok)
        return ds;
    dataset_free(ds);
    return NULL;
}

static Dataset *read_tar(DataErr *e, gzFile gz, const char *path)
{
    Tar t = {.e = e, .gz = gz, .path = path};
    Batches b = {0};
    bool ok = true, end = false;
    while (ok && (ok = tar_next(&t, &end)) && !end) {
        uint8_t *bytes;
        if (!is_batch(t.name))
            ok = tar_body(&t, NULL);
        else if ((ok = tar_body(&t, &bytes)))
            ok = add_batch(e, &b, path, xstrdup(t.name), bytes, (size_t)t.size);
    }
    /* zlib checks the checksum only when the stream is read to its end. */
    uint8_t rest[4096];
    for (size_t got = 1; ok && got;)
        ok = gz_take(e, gz, path, rest, sizeof rest, &got);
    if (ok && !b.count)
        ok = data_user(e, "%s: a tar without CIFAR-10's data_batch_N: unpack it and give the folder of images", path);
    Dataset *ds = ok ? join_batches(e, path, &b) : NULL;
    drop_batches(&b);
    return ds;
}

Dataset *read_cifar_bin(DataErr *e, const char *path)
{
    Batches b = {0};
    size_t n;
    uint8_t *bytes = (uint8_t *)read_file(path, &n);
    if (!bytes) {
        data_errno(e, path);
        return NULL;
    }
    const char *slash = strrchr(path, '/');
    add_batch(e, &b, path, xstrdup(slash ? slash + 1 : path), bytes, n);
    Dataset *ds = join_batches(e, path, &b);
    drop_batches(&b);
    return ds;
}

Dataset *read_cifar_folder(DataErr *e, const char *path, bool *found)
{
    Batches b = {0};
    bool ok = true;
    *found = false;
    DIR *dir = opendir(path);
    for (struct dirent *d; ok && dir && (d = readdir(dir));) {
        if (!is_batch(d->d_name))
            continue;
        char *full = xasprintf("%s/%s", path, d->d_name);
        size_t n;
        uint8_t *bytes = (uint8_t *)read_file(full, &n);
        ok = bytes ? add_batch(e, &b, path, xstrdup(d->d_name), bytes, n) : data_errno(e, full);
        free(full);
        *found = true;
    }
    if (dir)
        closedir(dir);
    Dataset *ds = ok && *found ? join_batches(e, path, &b) : NULL;
    drop_batches(&b);
    return ds;
}

/* ---- MNIST ---- */

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The labels file beside *-images-idx3-ubyte[.gz], or NULL when there is none. */
static char *label_path(const char *path)
{
    const char *slash = strrchr(path, '/'), *at = strstr(slash ? slash : path, "images-idx3");
    if (!at)
        return NULL;
    char *to = xasprintf("%.*slabels-idx1%s", (int)(at - path), path, at + strlen("images-idx3"));
    size_t n = strlen(to);
    if (!file_exists(to) && n > 3 && !strcmp(to + n - 3, ".gz"))
        to[n - 3] = 0;
    else if (!file_exists(to)) {
        char *packed = xasprintf("%s.gz", to);
        free(to);
        to = packed;
    }
    if (file_exists(to))
        return to;
    free(to);
    return NULL;
}

static bool read_idx_labels(DataErr *e, const char *path, Dataset *ds)
{
    gzFile gz = gzopen(path, "rb");
    if (!gz)
        return data_errno(e, path);
    uint8_t head[8], *labels = xmalloc((size_t)ds->count + 1);
    bool ok = gz_need(e, gz, path, head, sizeof head);
    if (ok && (big_endian(head) != 0x801 || big_endian(head + 4) != ds->count))
        ok = data_user(e, "%s: not the labels of the %lld images beside it: take both files from the same place", path,
                       (long long)ds->count);
    ok = ok && gz_need(e, gz, path, labels, (size_t)ds->count);
    ds->labels = ok ? xmalloc((size_t)ds->count * sizeof *ds->labels) : NULL;
    for (int64_t i = 0; ok && i < ds->count; i++) {
        ds->labels[i] = labels[i];
        ds->label_dim = MAX(ds->label_dim, labels[i] + 1);
    }
    free(labels);
    gzclose(gz);
    return ok;
}

static Dataset *read_idx(DataErr *e, gzFile gz, const char *path)
{
    uint8_t head[16], extra;
    size_t got;
    if (!gz_need(e, gz, path, head, 4))
        return NULL;
    if (big_endian(head) != 0x803) {
        data_user(e, "%s: a labels file: give the images file (*-images-idx3-ubyte.gz) beside it", path);
        return NULL;
    }
    if (!gz_need(e, gz, path, head + 4, sizeof head - 4))
        return NULL;
    int64_t count = big_endian(head + 4);
    uint32_t h = big_endian(head + 8), w = big_endian(head + 12);
    if (!count || !h || !w || h > 1024 || w > 1024 || count > INT32_MAX) {
        data_user(e, "%s: an absurd header: %lld images of %ux%u", path, (long long)count, w, h);
        return NULL;
    }
    uint32_t pad = h == 28 && w == 28 ? 2 : 0;
    Dataset *ds = data_new(e, path, count, (int)(h + 2 * pad), (int)(w + 2 * pad), 1);
    if (!ds)
        return NULL;
    bool ok = true;
    for (int64_t i = 0; ok && i < count; i++) {
        uint8_t *to = ds->pixels + (size_t)i * (size_t)ds->h * (size_t)ds->w;
        memset(to, 0, (size_t)ds->h * (size_t)ds->w);
        for (uint32_t y = 0; ok && y < h; y++)
            ok = gz_need(e, gz, path, to + (y + pad) * (uint32_t)ds->w + pad, w);
    }
    ok = ok && gz_take(e, gz, path, &extra, 1, &got);
    if (ok && got)
        ok = data_user(e, "%s: holds more than the %lld images its header tells of: damaged", path, (long long)count);
    char *labels = ok ? label_path(path) : NULL;
    if (labels)
        ok = read_idx_labels(e, labels, ds);
    else if (ok)
        ds->note = xasprintf("%s: no *-labels-idx1-ubyte file beside it: images without labels", path);
    free(labels);
    ds->source = xasprintf("MNIST idx %s", path);
    if (ok)
        return ds;
    dataset_free(ds);
    return NULL;
}

/* gzip or plain, tar or idx: told apart by the first bytes of the contents. */
Dataset *read_gzip(DataErr *e, const char *path, const DataOptions *opt)
{
    (void)opt;
    uint8_t head[TAR_BLOCK] = {0};
    size_t got;
    gzFile gz = gzopen(path, "rb");
    if (!gz) {
        data_errno(e, path);
        return NULL;
    }
    gzbuffer(gz, 1 << 17);
    Dataset *ds = NULL;
    if (gz_take(e, gz, path, head, sizeof head, &got)) {
        if (gzrewind(gz))
            data_machine(e, "%s: cannot be read", path);
        else if (got == sizeof head && !memcmp(head + 257, "ustar", 5))
            ds = read_tar(e, gz, path);
        else if (got >= 4 && !head[0] && !head[1] && head[2] == 8 && (head[3] == 3 || head[3] == 1))
            ds = read_idx(e, gz, path);
        else
            data_user(e, "%s: a gzip file that holds neither CIFAR-10's tar nor MNIST images: unpack it and give the folder",
                path);
    }
    gzclose(gz);
    return ds;
}
