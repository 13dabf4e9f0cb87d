/* `ect-rt data import` and `ect-rt data info`: any readable data set to EDM's zip or folder layout, and what a set holds.
   Assumes the whole set fits in memory; what is written appears under its name only when complete. */
#include "runtime/data.h"
#include "runtime/image.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static const char *const help =
    "usage: ect-rt data import SRC DEST [options]   write SRC in EDM's layout: DEST.zip, or a folder DEST\n"
    "       ect-rt data info PATH [--json]          say what a data set holds\n"
    "\n"
    "SRC and PATH may be\n"
    "  an EDM zip or folder (images and dataset.json)        a folder of PNG or JPEG (sub-folders are classes)\n"
    "  cifar-10-python.tar.gz, cifar-10-binary.tar.gz        train-images-idx3-ubyte.gz (MNIST; labels beside it)\n"
    "  shapes, shapes:RES or shapes:RES:COUNT (the built-in drawn set)\n"
    "\n"
    "options of import\n"
    "  --resolution R   crop each image to its centred square and resize it to R x R\n"
    "  --max-images N   take the first N images, in name order\n"
    "  --grey           one channel\n"
    "  --seed S         of the drawn set (default 0)\n"
    "  --force          replace DEST.zip if it exists\n"
    "\n"
    "Exit status: 0 done, 1 the data or the command line is at fault, 2 the machine is.\n";

/* ---- writing a zip: stored entries, fixed times, so that equal images give equal bytes ---- */

typedef struct {
    FILE *f;
    uint64_t at;                    /* bytes written */
    StrBuf directory;
    uint64_t entries;
    bool failed;
} ZipOut;

enum { DOS_DATE = 0x21 };           /* 1 January 1980, the earliest a zip can hold */

static void little(StrBuf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        sb_putc(b, (char)(v >> (8 * i)));
}

static void zip_put(ZipOut *z, const void *data, size_t n)
{
    if (!z->failed && fwrite(data, 1, n, z->f) != n)
        z->failed = true;
    z->at += n;
}

static void zip_add(ZipOut *z, const char *name, const void *data, size_t n)
{
    StrBuf head = {0}, common = {0};
    uint64_t offset = z->at;
    bool far = offset >= UINT32_MAX;
    CHECK_BUG(n < UINT32_MAX);
    little(&common, far ? 45 : 20, 2);
    little(&common, 0, 2);                                  /* flags */
    little(&common, 0, 2);                                  /* stored */
    little(&common, 0, 2);                                  /* time */
    little(&common, DOS_DATE, 2);
    little(&common, crc32(0, data, (unsigned)n), 4);
    little(&common, n, 4);
    little(&common, n, 4);
    little(&common, strlen(name), 2);

    little(&head, 0x04034b50, 4);
    sb_write(&head, common.s, common.len);
    little(&head, 0, 2);                                    /* no extra field */
    zip_put(z, head.s, head.len);
    zip_put(z, name, strlen(name));
    zip_put(z, data, n);

    StrBuf *d = &z->directory;
    little(d, 0x02014b50, 4);
    little(d, 0x0300 | (far ? 45 : 20), 2);                 /* made on Unix */
    sb_write(d, common.s, common.len);
    little(d, far ? 12 : 0, 2);
    little(d, 0, 6);                                        /* comment, disk, internal attributes */
    little(d, (uint64_t)0100644 << 16, 4);                  /* a plain file, rw-r--r-- */
    little(d, far ? UINT32_MAX : offset, 4);
    sb_puts(d, name);
    if (far) {
        little(d, 1, 2);
        little(d, 8, 2);
        little(d, offset, 8);
    }
    z->entries++;
    sb_free(&head);
    sb_free(&common);
}

static void zip_end(ZipOut *z)
{
    uint64_t at = z->at, size = z->directory.len, n = z->entries;
    StrBuf end = {0};
    if (n >= UINT16_MAX || at >= UINT32_MAX || size >= UINT32_MAX) {
        little(&end, 0x06064b50, 4);
        little(&end, 44, 8);
        little(&end, 0x032d, 2);
        little(&end, 45, 2);
        little(&end, 0, 8);                                 /* disks */
        little(&end, n, 8);
        little(&end, n, 8);
        little(&end, size, 8);
        little(&end, at, 8);
        little(&end, 0x07064b50, 4);
        little(&end, 0, 4);
        little(&end, at + size, 8);
        little(&end, 1, 4);
    }
    little(&end, 0x06054b50, 4);
    little(&end, 0, 4);
    little(&end, MIN(n, UINT16_MAX), 2);
    little(&end, MIN(n, UINT16_MAX), 2);
    little(&end, MIN(size, UINT32_MAX), 4);
    little(&end, MIN(at, UINT32_MAX), 4);
    little(&end, 0, 2);
    zip_put(z, z->directory.s, z->directory.len);
    zip_put(z, end.s, end.len);
    sb_free(&end);
    sb_free(&z->directory);
}

/* ---- the layout ---- */

/* Where files go: into a zip when z is set, else into a folder. */
typedef struct {
    ZipOut *z;
    const char *folder;
    bool failed;
} Sink;

static void sink_add(Sink *s, const char *name, const void *data, size_t n)
{
    if (s->z) {
        zip_add(s->z, name, data, n);
        s->failed = s->z->failed;
        return;
    }
    char *path = xasprintf("%s/%s", s->folder, name), *slash = strrchr(path, '/');
    *slash = 0;
    bool ok = make_dirs(path);
    *slash = '/';
    FILE *f = ok ? fopen(path, "wb") : NULL;
    ok = f && fwrite(data, 1, n, f) == n;
    if (f && fclose(f))
        ok = false;
    s->failed = !ok;
    free(path);
}

static void put_layout(Sink *s, const Dataset *ds)
{
    StrBuf json = {0}, png = {0};
    char err[IMAGE_ERR];
    bool labelled = ds->labels || ds->label_vectors;
    size_t size = (size_t)ds->h * (size_t)ds->w * (size_t)ds->c;
    sb_puts(&json, labelled ? "{\"labels\": [" : "{\"labels\": null}");
    for (int64_t i = 0; i < ds->count && !s->failed; i++) {
        char digits[24], name[64];
        snprintf(digits, sizeof digits, "%08lld", (long long)i);
        snprintf(name, sizeof name, "%.5s/img%s.png", digits, digits);
        png.len = 0;
        if (!image_encode_png(ds->pixels + (size_t)i * size, ds->h, ds->w, ds->c, 0, &png, err))
            die("encoding %s: %s", name, err);
        sink_add(s, name, png.s, png.len);
        if (labelled)
            sb_printf(&json, "%s[\"%s\", ", i ? ", " : "", name);
        if (ds->labels)
            sb_printf(&json, "%d]", ds->labels[i]);
        for (int k = 0; ds->label_vectors && k < ds->label_dim; k++)
            sb_printf(&json, "%s%.9g%s", k ? ", " : "[", (double)ds->label_vectors[i * ds->label_dim + k],
                      k + 1 < ds->label_dim ? "" : "]]");
    }
    if (labelled)
        sb_puts(&json, "]}");
    if (!s->failed)
        sink_add(s, "dataset.json", json.s, json.len);
    sb_free(&json);
    sb_free(&png);
}

static bool write_zip(const Dataset *ds, const char *temp, const char *dest)
{
    FILE *f = fopen(temp, "wb");
    if (!f)
        return false;
    ZipOut z = {.f = f};
    Sink s = {.z = &z};
    put_layout(&s, ds);
    zip_end(&z);
    bool ok = !z.failed && fflush(f) == 0 && fsync(fileno(f)) == 0;
    int why = errno;
    if (fclose(f) && ok) {
        ok = false;
        why = errno;
    }
    if (ok && rename(temp, dest)) {
        ok = false;
        why = errno;
    }
    if (!ok)
        unlink(temp);
    errno = why;
    return ok;
}

static bool write_folder(const Dataset *ds, const char *temp, const char *dest)
{
    Sink s = {.folder = temp};
    if (!make_dirs(temp))
        return false;
    put_layout(&s, ds);
    bool ok = !s.failed && rename(temp, dest) == 0;
    int why = errno;
    if (!ok)
        remove_tree(temp);
    errno = why;
    return ok;
}

static bool is_zip_name(const char *path)
{
    size_t n = strlen(path);
    return n >= 4 && !strcmp(path + n - 4, ".zip");
}

static char *without_slash(const char *path)
{
    char *p = xstrdup(path);
    for (size_t n = strlen(p); n > 1 && p[n - 1] == '/';)
        p[--n] = 0;
    return p;
}

static bool is_empty_folder(const char *path)
{
    DIR *dir = opendir(path);
    int entries = 0;
    while (dir && readdir(dir))
        entries++;
    if (dir)
        closedir(dir);
    return dir && entries <= 2;     /* . and .. */
}

/* Refuses what would be overwritten, before any work is done. */
static void check_dest(const char *dest, bool force)
{
    struct stat st;
    if (!*dest)
        user_error("the name of the destination is empty");
    if (stat(dest, &st))
        return;
    if (is_zip_name(dest)) {
        if (S_ISDIR(st.st_mode))
            user_error("%s is a folder: name a zip file, or a folder without .zip", dest);
        if (!force)
            user_error("%s exists: choose another name, or --force to replace it", dest);
    } else if (!S_ISDIR(st.st_mode)) {
        user_error("%s is a file: end the name in .zip for an archive, or name an empty folder", dest);
    } else if (!is_empty_folder(dest)) {
        user_error("%s is a folder with something in it: empty it or name another", dest);
    }
}

static Dataset *open_or_exit(const char *path, const DataOptions *opt)
{
    static char *err;               /* static: the exits below leave it behind */
    int status;
    Dataset *ds = dataset_open(path, opt, &err, &status);
    if (!ds && status == EXIT_MACHINE)
        machine_error("%s", err);
    if (!ds)
        user_error("%s", err);
    if (ds->note)
        warn("%s", ds->note);
    return ds;
}

static int import(const char *src, const char *dest_name, const DataOptions *opt, bool force)
{
    static char *dest;
    dest = without_slash(dest_name);
    check_dest(dest, force);
    Dataset *ds = open_or_exit(src, opt);
    char *temp = xasprintf("%s.tmp-%ld", dest, (long)getpid()), *slash = strrchr(dest, '/');
    if (slash && slash > dest) {
        *slash = 0;
        if (!make_dirs(dest))
            machine_error("cannot make the folder %s: %s", dest, strerror(errno));
        *slash = '/';
    }
    errno = 0;
    bool ok = (is_zip_name(dest) ? write_zip : write_folder)(ds, temp, dest);
    int why = errno;
    const char *kind = ds->labels ? "classes" : ds->label_vectors ? "numbers to a label" : "labels";
    if (ok)
        printf("%s: %lld images of %dx%dx%d, %d %s\n", dest, (long long)ds->count, ds->w, ds->h, ds->c, ds->label_dim, kind);
    free(temp);
    dataset_free(ds);
    if (!ok)
        machine_error("cannot write %s: %s; nothing was left behind", dest, strerror(why));
    free(dest);
    return EXIT_OK;
}

/* ---- info ---- */

typedef struct { double mean[3], std[3]; } Moments;

static Moments moments(const Dataset *ds)
{
    Moments m = {0};
    int64_t n = ds->count * ds->h * ds->w;
    for (int k = 0; k < ds->c; k++) {
        int64_t sum = 0, squares = 0;
        for (int64_t i = 0; i < n; i++) {
            int64_t v = ds->pixels[i * ds->c + k];
            sum += v;
            squares += v * v;
        }
        double mean = (double)sum / (double)n;
        m.mean[k] = mean / 127.5 - 1;
        m.std[k] = sqrt(fmax(0, (double)squares / (double)n - mean * mean)) / 127.5;
    }
    return m;
}

static void print_text(const Dataset *ds, Moments m)
{
    printf("source    %s\n", ds->source);
    printf("images    %lld\n", (long long)ds->count);
    printf("size      %d x %d\n", ds->w, ds->h);
    printf("channels  %d (%s)\n", ds->c, ds->c == 1 ? "grey" : "RGB");
    printf("mean      ");
    for (int k = 0; k < ds->c; k++)
        printf("%s%.4f", k ? " " : "", m.mean[k]);
    printf("\nstd       ");
    for (int k = 0; k < ds->c; k++)
        printf("%s%.4f", k ? " " : "", m.std[k]);
    printf("   (pixels in [-1, 1])\n");
    if (ds->label_vectors)
        printf("labels    vectors of %d numbers\n", ds->label_dim);
    else if (!ds->labels)
        printf("labels    none\n");
    else
        printf("classes   %d\n", ds->label_dim);
}

static void print_classes(const Dataset *ds, const int64_t *counts)
{
    enum { MOST = 100 };
    for (int i = 0; i < MIN(ds->label_dim, MOST); i++)
        printf("  %4d  %8lld  %s\n", i, (long long)counts[i], ds->class_names ? ds->class_names[i] : "");
    if (ds->label_dim > MOST)
        printf("  and %d more\n", ds->label_dim - MOST);
}

static void print_json(const Dataset *ds, Moments m, const int64_t *counts)
{
    StrBuf b = {0};
    sb_puts(&b, "{\"source\": ");
    sb_json_string(&b, ds->source);
    sb_printf(&b, ", \"images\": %lld, \"height\": %d, \"width\": %d, \"channels\": %d, \"label_dim\": %d, \"labels\": \"%s\"",
              (long long)ds->count, ds->h, ds->w, ds->c, ds->label_dim,
              ds->labels ? "classes" : ds->label_vectors ? "vectors" : "none");
    for (int j = 0; j < 2; j++) {
        sb_printf(&b, ", \"%s\": [", j ? "std" : "mean");
        for (int k = 0; k < ds->c; k++)
            sb_printf(&b, "%s%.6f", k ? ", " : "", j ? m.std[k] : m.mean[k]);
        sb_puts(&b, "]");
    }
    for (int i = 0; counts && i < ds->label_dim; i++)
        sb_printf(&b, "%s%lld", i ? ", " : ", \"class_counts\": [", (long long)counts[i]);
    if (counts)
        sb_puts(&b, "]");
    for (int i = 0; ds->class_names && i < ds->label_dim; i++) {
        sb_puts(&b, i ? ", " : ", \"class_names\": [");
        sb_json_string(&b, ds->class_names[i]);
    }
    sb_puts(&b, ds->class_names ? "]}" : "}");
    puts(b.s);
    sb_free(&b);
}

static int info(const char *path, const DataOptions *opt, bool json)
{
    Dataset *ds = open_or_exit(path, opt);
    Moments m = moments(ds);
    int64_t *counts = ds->labels ? xcalloc((size_t)ds->label_dim, sizeof *counts) : NULL;
    if (counts)
        dataset_class_counts(ds, counts);
    if (json) {
        print_json(ds, m, counts);
    } else {
        print_text(ds, m);
        if (counts)
            print_classes(ds, counts);
    }
    free(counts);
    dataset_free(ds);
    return EXIT_OK;
}

/* ---- command line ---- */

static int64_t whole_number(const char *option, const char *text, int64_t lo, int64_t hi)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || v < lo || v > hi)
        user_error("%s %s: expected a whole number from %lld to %lld", option, text, (long long)lo, (long long)hi);
    return v;
}

int cmd_data(int argc, char **argv)
{
    static const struct option options[] = {
        {"resolution", required_argument, NULL, 'r'}, {"max-images", required_argument, NULL, 'n'},
        {"grey", no_argument, NULL, 'g'}, {"gray", no_argument, NULL, 'g'}, {"seed", required_argument, NULL, 's'},
        {"force", no_argument, NULL, 'f'}, {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    DataOptions opt = {0};
    bool force = false, json = false, only_import = false;
    optind = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;)
        switch (c) {
        case 'r': opt.resolution = (int)whole_number("--resolution", optarg, 1, 4096); opt.resize = only_import = true; break;
        case 'n': opt.max_images = whole_number("--max-images", optarg, 1, INT64_MAX); only_import = true; break;
        case 'g': opt.grey = only_import = true; break;
        case 's': opt.seed = (uint64_t)whole_number("--seed", optarg, 0, INT64_MAX); break;
        case 'f': force = only_import = true; break;
        case 'j': json = true; break;
        case 'h': fputs(help, stdout); return EXIT_OK;
        case ':': user_error("data: %s needs a value: see `ect-rt data --help`", argv[optind - 1]);
        default: user_error("data: unknown option %s: see `ect-rt data --help`", argv[optind - 1]);
        }
    char **arg = argv + optind;
    int n = argc - optind;
    if (n && !strcmp(arg[0], "import")) {
        if (n != 3 || json)
            user_error("usage: ect-rt data import SRC DEST [--resolution R] [--max-images N] [--grey] [--seed S] [--force]");
        return import(arg[1], arg[2], &opt, force);
    }
    if (n && !strcmp(arg[0], "info")) {
        if (n != 2 || only_import)
            user_error("usage: ect-rt data info PATH [--json]");
        return info(arg[1], &opt, json);
    }
    if (n)
        user_error("data: unknown command %s: `import` or `info`; see `ect-rt data --help`", arg[0]);
    user_error("data: say `import` or `info`; see `ect-rt data --help`");
}
