/* Sets of image files, in a zip or a folder: listing them, and decoding them in parallel into one array.
   Assumes names are untrusted: a zip entry that would leave its folder refuses the whole archive. */
#include "runtime/data_internal.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

enum { MAX_DEPTH = 32, MAX_THREADS = 16 };

static bool has_extension(const char *name, const char *const *list)
{
    const char *dot = strrchr(name, '.');
    for (; dot && *list; list++)
        if (!strcasecmp(dot, *list))
            return true;
    return false;
}

bool data_is_image_name(const char *name)
{
    static const char *const list[] = {".png", ".jpg", ".jpeg", NULL};
    return has_extension(name, list);
}

static void add_file(DataFiles *fs, const char *name, int64_t id)
{
    static const char *const unread[] = {".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".avif", ".heic", NULL};
    if (data_is_image_name(name)) {
        DataFile f = {xstrdup(name), id};
        vec_push(fs->file, fs->count, fs->cap, f);
    } else if (!fs->other && has_extension(name, unread)) {
        fs->other = xstrdup(name);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const DataFile *)a)->name, ((const DataFile *)b)->name);
}

static void drop_files(DataFiles *fs)
{
    for (int64_t i = 0; i < fs->count; i++)
        free(fs->file[i].name);
    free(fs->file);
    free(fs->json);
    free(fs->other);
}

/* ---- decoding ---- */

typedef struct {
    DataFiles *fs;
    Dataset *ds;
    int channels;                   /* 0: keep colours, drop to grey at the end when all are grey */
    bool resize, grey;
    atomic_llong next;
    atomic_bool colour;
    pthread_mutex_t lock;
    int64_t bad, sizes;             /* files refused; of these for their size */
    int64_t shown[DATA_SHOWN];      /* the first ones, by index */
    char *why[DATA_SHOWN];
} Decode;

/* Keeps the complaints with the lowest indices, so that the message does not depend on the threads. */
static void complain(Decode *d, int64_t index, bool size, const char *why)
{
    pthread_mutex_lock(&d->lock);
    int n = (int)MIN(d->bad, DATA_SHOWN), at = n;
    d->bad++;
    d->sizes += size;
    while (at > 0 && d->shown[at - 1] > index)
        at--;
    if (at < DATA_SHOWN) {
        if (n == DATA_SHOWN)
            free(d->why[--n]);
        memmove(d->why + at + 1, d->why + at, (size_t)(n - at) * sizeof d->why[0]);
        memmove(d->shown + at + 1, d->shown + at, (size_t)(n - at) * sizeof d->shown[0]);
        d->why[at] = xasprintf("%s: %s", d->fs->file[index].name, why);
        d->shown[at] = index;
    }
    pthread_mutex_unlock(&d->lock);
}

static bool load(DataFiles *fs, int64_t index, Image *im, char err[IMAGE_ERR])
{
    uint8_t *bytes;
    size_t n;
    if (!fs->read(fs, &fs->file[index], &bytes, &n, err))
        return false;
    bool ok = image_decode(bytes, n, im, err);
    free(bytes);
    return ok;
}

static void decode_one(Decode *d, int64_t index)
{
    Dataset *ds = d->ds;
    Image im;
    char err[IMAGE_ERR];
    if (!load(d->fs, index, &im, err)) {
        complain(d, index, false, err);
        return;
    }
    if (im.c == 3)
        atomic_store(&d->colour, true);
    if (!d->resize && (im.h != ds->h || im.w != ds->w)) {
        snprintf(err, sizeof err, "%dx%d", im.w, im.h);
        complain(d, index, true, err);
    } else if (im.c == 3 && d->channels == 1 && !d->grey) {
        complain(d, index, false, "in colour, but one channel is wanted");
    } else {
        uint8_t *square = xmalloc((size_t)ds->h * (size_t)ds->h * (size_t)im.c);
        image_crop_resize(im.pixels, im.h, im.w, im.c, ds->h, square);
        size_t size = (size_t)ds->h * (size_t)ds->w * (size_t)ds->c;
        image_set_channels(square, im.c, ds->pixels + (size_t)index * size, ds->c, (int64_t)ds->h * ds->w);
        free(square);
    }
    image_free(&im);
}

static void *decode_some(void *arg)
{
    Decode *d = arg;
    for (;;) {
        int64_t first = atomic_fetch_add(&d->next, 16);
        if (first >= d->ds->count)
            return NULL;
        for (int64_t i = first; i < MIN(first + 16, d->ds->count); i++)
            decode_one(d, i);
    }
}

static void decode_all(Decode *d, int threads)
{
    pthread_t thread[MAX_THREADS];
    int started = 0;
    if (threads <= 0)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    threads = (int)MAX(1, MIN(MIN(threads, MAX_THREADS), d->ds->count / 16 + 1));
    for (; started < threads - 1; started++)
        if (pthread_create(&thread[started], NULL, decode_some, d))
            break;
    decode_some(d);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}

/* One message for all refused files. */
static void report_bad(DataErr *e, const Decode *d, int64_t first, const char *path)
{
    StrBuf b = {0};
    const Dataset *ds = d->ds;
    sb_printf(&b, "%s: %lld of %lld images cannot be used:", path, (long long)d->bad, (long long)ds->count);
    for (int i = 0; i < MIN(d->bad, DATA_SHOWN); i++)
        sb_printf(&b, "\n  %s", d->why[i]);
    if (d->bad > DATA_SHOWN)
        sb_printf(&b, "\n  and %lld more", (long long)(d->bad - DATA_SHOWN));
    if (d->sizes)
        sb_printf(&b, "\nmixed sizes: the first image, %s, is %dx%d: `ect-rt data import %s DEST --resolution %d` makes them "
            "equal",
                  d->fs->file[first].name, ds->w, ds->h, path, ds->h);
    if (d->sizes < d->bad)
        sb_puts(&b, d->channels == 1 && !d->grey && atomic_load(&d->colour)
                ? "\nreplace or remove damaged files; `ect-rt data import SRC DEST --grey` makes a grey set"
                : "\nreplace or remove these files");
    data_user(e, "%s", b.s);
    sb_free(&b);
}

/* RGB triples whose images were all grey, back to one channel. */
static void drop_to_grey(Dataset *ds)
{
    int64_t n = ds->count * ds->h * ds->w;
    for (int64_t i = 0; i < n; i++)
        ds->pixels[i] = ds->pixels[3 * i];
    ds->pixels = xrealloc(ds->pixels, (size_t)n);
    ds->c = 1;
}

/* The side every image will have, from the first good image; 0 with e filled when the set cannot be used so. */
static int choose_side(DataErr *e, DataFiles *fs, int64_t *first, const DataOptions *opt)
{
    char err[IMAGE_ERR], why[IMAGE_ERR] = "";
    Image im;
    for (*first = 0; *first < fs->count && !load(fs, *first, &im, err); ++*first)
        if (*first == 0)
            memcpy(why, err, sizeof why);
    if (*first == fs->count) {
        data_user(e, "%s: none of its %lld images can be read (%s: %s)", fs->path, (long long)fs->count, fs->file[0].name, why);
        return 0;
    }
    int h = im.h, w = im.w;
    const char *name = fs->file[*first].name;
    image_free(&im);
    if (opt->resize && opt->resolution)
        return opt->resolution;
    if (h != w)
        data_user(e, "%s: %s is %dx%d, not square: `ect-rt data import %s DEST --resolution %d` crops and resizes",
                  fs->path, name, w, h, fs->path, opt->resolution ? opt->resolution : MIN(h, w));
    else if (opt->resolution && h != opt->resolution)
        data_user(e, "%s: %s is %dx%d, but %dx%d is wanted: `ect-rt data import %s DEST --resolution %d` makes such a set",
                  fs->path, name, w, h, opt->resolution, opt->resolution, fs->path, opt->resolution);
    return e->msg ? 0 : h;
}

/* Sorts, labels and decodes; takes fs->zip as it is and leaves it open. */
static Dataset *read_files(DataErr *e, DataFiles *fs, const DataOptions *opt)
{
    if (fs->count == 0) {
        if (fs->other)
            data_user(e, "%s: holds no PNG or JPEG images, but %s: convert them to PNG first", fs->path, fs->other);
        else
            data_user(e, "%s: holds no images (.png, .jpg or .jpeg, also in sub-folders)", fs->path);
        return NULL;
    }
    qsort(fs->file, (size_t)fs->count, sizeof *fs->file, by_name);
    for (int64_t i = 1; i < fs->count; i++)
        if (!strcmp(fs->file[i - 1].name, fs->file[i].name)) {
            data_user(e, "%s: holds %s twice: make the archive anew", fs->path, fs->file[i].name);
            return NULL;
        }
    Dataset *labels = xcalloc(1, sizeof *labels), *ds = NULL;
    if (!labels_read(e, fs, labels))
        goto done;
    int64_t count = opt->max_images > 0 ? MIN(opt->max_images, fs->count) : fs->count, first;
    int side = choose_side(e, fs, &first, opt);
    int channels = opt->grey ? 1 : opt->channels;
    ds = side ? data_new(e, fs->path, count, side, side, channels ? channels : 3) : NULL;
    if (!ds)
        goto done;
    Decode d = {.fs = fs, .ds = ds, .channels = channels, .resize = opt->resize && opt->resolution, .grey = opt->grey};
    pthread_mutex_init(&d.lock, NULL);
    decode_all(&d, opt->threads);
    pthread_mutex_destroy(&d.lock);
    if (d.bad)
        report_bad(e, &d, first, fs->path);
    for (int i = 0; i < DATA_SHOWN; i++)
        free(d.why[i]);
    if (e->msg) {
        dataset_free(ds);
        ds = NULL;
        goto done;
    }
    if (!channels && !atomic_load(&d.colour))
        drop_to_grey(ds);
    ds->labels = labels->labels;
    ds->label_vectors = labels->label_vectors;
    ds->label_dim = labels->label_dim;
    ds->class_names = labels->class_names;
    ds->note = labels->note;
    *labels = (Dataset){0};
    ds->source = xasprintf("%s %s", fs->kind, fs->path);
    if (fs->other && !ds->note)
        ds->note = xasprintf("%s: files of other formats are left out (%s): only PNG and JPEG are read", fs->path, fs->other);
done:
    dataset_free(labels);
    return ds;
}

/* ---- zip ---- */

static pthread_mutex_t zip_lock = PTHREAD_MUTEX_INITIALIZER;

/* libzip handles serve one thread at a time; decoding, the slow part, runs outside the lock. */
static bool read_entry(DataFiles *fs, const DataFile *f, uint8_t **bytes, size_t *n, char err[IMAGE_ERR])
{
    zip_stat_t st;
    uint8_t *buf = NULL;
    bool ok = false;
    pthread_mutex_lock(&zip_lock);
    zip_file_t *in = zip_stat_index(fs->zip, (zip_uint64_t)f->id, 0, &st) ? NULL : zip_fopen_index(fs->zip, (zip_uint64_t)f->id,
        0);
    if (!in) {
        snprintf(err, IMAGE_ERR, "damaged zip entry (%.180s)", zip_strerror(fs->zip));
    } else if (!(st.valid & ZIP_STAT_SIZE) || st.size > DATA_MAX_FILE) {
        snprintf(err, IMAGE_ERR, "absurd size of %llu bytes in the zip", (unsigned long long)st.size);
    } else {
        buf = xmalloc(st.size + 1);
        zip_int64_t got = zip_fread(in, buf, st.size);
        /* Reading past the end makes libzip compare the checksum. */
        uint8_t more;
        ok = got == (zip_int64_t)st.size && zip_fread(in, &more, 1) == 0;
        if (!ok)
            snprintf(err, IMAGE_ERR, "damaged zip entry (%.180s)", got < 0 || zip_error_code_zip(zip_file_get_error(in))
                     ? zip_file_strerror(in) : "it ends too early");
        *bytes = buf;
        *n = (size_t)st.size;
        buf[st.size] = 0;
    }
    if (in)
        zip_fclose(in);
    pthread_mutex_unlock(&zip_lock);
    if (!ok)
        free(buf);
    return ok;
}

/* An absolute name, a drive letter or a `..` step. */
static bool name_escapes(const char *name)
{
    if (name[0] == '/' || name[0] == '\\' || (name[0] && name[1] == ':'))
        return true;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "/\\");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return true;
        p += n + (p[n] != 0);
    }
    return false;
}

static bool list_zip(DataErr *e, DataFiles *fs)
{
    zip_int64_t entries = zip_get_num_entries(fs->zip, 0);
    for (zip_int64_t i = 0; i < entries; i++) {
        const char *name = zip_get_name(fs->zip, (zip_uint64_t)i, 0);
        if (!name)
            return data_user(e, "%s: damaged zip directory: copy or download it again", fs->path);
        if (name_escapes(name))
            return data_user(e, "%s: the entry %s points outside the archive: not reading it; make the zip anew with plain "
                "relative names",
                             fs->path, name);
        if (!strncmp(name, "__MACOSX/", 9))
            continue;
        add_file(fs, name, i);
        if (strcmp(name, "dataset.json"))
            continue;
        DataFile f = {(char *)name, i};
        uint8_t *text;
        char err[IMAGE_ERR];
        free(fs->json);
        fs->json = NULL;
        if (!fs->read(fs, &f, &text, &fs->json_len, err))
            return data_user(e, "%s: dataset.json: %s: copy or download the zip again", fs->path, err);
        fs->json = (char *)text;
    }
    return true;
}

Dataset *read_zip(DataErr *e, const char *path, const DataOptions *opt)
{
    int code;
    DataFiles fs = {.path = path, .kind = "zip", .read = read_entry};
    fs.zip = zip_open(path, ZIP_RDONLY, &code);
    if (!fs.zip) {
        zip_error_t ze;
        zip_error_init_with_code(&ze, code);
        bool system = code == ZIP_ER_OPEN || code == ZIP_ER_READ || code == ZIP_ER_SEEK || code == ZIP_ER_MEMORY;
        data_fail(e, system ? EXIT_MACHINE : EXIT_USER, "%s: %s (%s): copy or download it again", path,
                  system ? "cannot be read" : "truncated or damaged zip", zip_error_strerror(&ze));
        zip_error_fini(&ze);
        return NULL;
    }
    Dataset *ds = list_zip(e, &fs) ? read_files(e, &fs, opt) : NULL;
    zip_discard(fs.zip);
    drop_files(&fs);
    return ds;
}

/* ---- folder ---- */

static bool read_path(DataFiles *fs, const DataFile *f, uint8_t **bytes, size_t *n, char err[IMAGE_ERR])
{
    char *path = xasprintf("%s/%s", fs->path, f->name);
    struct stat st;
    *bytes = NULL;
    if (stat(path, &st)) {
        snprintf(err, IMAGE_ERR, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        snprintf(err, IMAGE_ERR, "not a regular file");
    } else if (st.st_size > DATA_MAX_FILE) {
        snprintf(err, IMAGE_ERR, "absurd size of %lld bytes", (long long)st.st_size);
    } else {
        *bytes = (uint8_t *)read_file(path, n);
        if (!*bytes)
            snprintf(err, IMAGE_ERR, "cannot be read: %s", strerror(errno));
    }
    free(path);
    return *bytes;
}

typedef struct Above {              /* the folders above, to notice links in a circle */
    const struct Above *up;
    dev_t dev;
    ino_t ino;
} Above;

static bool list_folder(DataErr *e, DataFiles *fs, const char *inside, const Above *up, int depth)
{
    char *path = *inside ? xasprintf("%s/%s", fs->path, inside) : xstrdup(fs->path);
    struct stat st;
    DIR *dir = NULL;
    bool ok = true;
    if (stat(path, &st) || !(dir = opendir(path)))
        ok = data_errno(e, path);
    Above here = {up, st.st_dev, st.st_ino};
    bool circle = false;
    for (const Above *a = up; ok && a; a = a->up)
        circle |= a->dev == here.dev && a->ino == here.ino;
    for (struct dirent *d; ok && !circle && depth < MAX_DEPTH && (d = readdir(dir));) {
        if (d->d_name[0] == '.')
            continue;
        char *name = *inside ? xasprintf("%s/%s", inside, d->d_name) : xstrdup(d->d_name);
        char *full = xasprintf("%s/%s", fs->path, name);
        struct stat sub;
        if (data_is_image_name(name))
            add_file(fs, name, -1);
        else if (!stat(full, &sub) && S_ISDIR(sub.st_mode))
            ok = list_folder(e, fs, name, &here, depth + 1);
        else
            add_file(fs, name, -1);
        free(full);
        free(name);
    }
    if (dir)
        closedir(dir);
    free(path);
    return ok;
}

Dataset *read_folder(DataErr *e, const char *path, const DataOptions *opt)
{
    DataFiles fs = {.path = path, .kind = "folder", .read = read_path};
    DataFile json = {"dataset.json", -1};
    char err[IMAGE_ERR], *json_path = xasprintf("%s/dataset.json", path);
    bool ok = list_folder(e, &fs, "", NULL, 0);
    if (ok && file_exists(json_path) && !fs.read(&fs, &json, (uint8_t **)&fs.json, &fs.json_len, err))
        ok = data_user(e, "%s: %s", json_path, err);
    Dataset *ds = ok ? read_files(e, &fs, opt) : NULL;
    free(json_path);
    drop_files(&fs);
    return ds;
}
