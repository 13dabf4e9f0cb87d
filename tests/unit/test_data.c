/* Unit tests of dataset_open: every source format, every refusal, fitting and the drawn set.
   Assumes a writable /tmp; every file is made here, but for tests/data/real beside the sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "runtime/data.h"
#include "runtime/image.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>
#include <zlib.h>

static char dir[64];

/* ---- making files ---- */

static char *at(const char *fmt, ...) PRINTF(1, 2);
static char *at(const char *fmt, ...)
{
    static char ring[8][512];
    static int turn;
    char *to = ring[turn++ % 8];
    va_list ap;
    int n = snprintf(to, sizeof ring[0], "%s/", dir);
    va_start(ap, fmt);
    vsnprintf(to + n, sizeof ring[0] - (size_t)n, fmt, ap);
    va_end(ap);
    return to;
}

static void put(const char *path, const void *data, size_t n)
{
    char *folder = xstrdup(path);
    *strrchr(folder, '/') = 0;
    assert_true(make_dirs(folder));
    free(folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void put_text(const char *path, const char *text)
{
    put(path, text, strlen(text));
}

static StrBuf png(int h, int w, int c, int value)
{
    char err[IMAGE_ERR];
    StrBuf b = {0};
    uint8_t *p = xmalloc((size_t)(h * w * c));
    memset(p, value, (size_t)(h * w * c));
    p[0] = 1;
    assert_true(image_encode_png(p, h, w, c, 6, &b, err));
    free(p);
    return b;
}

static void put_png(const char *path, int h, int w, int c, int value)
{
    StrBuf b = png(h, w, c, value);
    put(path, b.s, b.len);
    sb_free(&b);
}

static void put_gz(const char *path, const void *data, size_t n)
{
    gzFile f = gzopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, data, (unsigned)n), (int)n);
    assert_int_equal(gzclose(f), Z_OK);
}

typedef struct {
    const char *name;
    StrBuf data;
} Entry;

static void put_zip(const char *path, Entry *entry, int n)
{
    unlink(path);
    zip_t *z = zip_open(path, ZIP_CREATE, NULL);
    assert_non_null(z);
    for (int i = 0; i < n; i++) {
        zip_source_t *s = zip_source_buffer(z, entry[i].data.s, entry[i].data.len, 0);
        assert_true(zip_file_add(z, entry[i].name, s, 0) >= 0);
        zip_set_file_compression(z, (zip_uint64_t)i, ZIP_CM_STORE, 0);
    }
    assert_int_equal(zip_close(z), 0);
    for (int i = 0; i < n; i++)
        sb_free(&entry[i].data);
}

static StrBuf text(const char *s)
{
    StrBuf b = {0};
    sb_puts(&b, s);
    return b;
}

static void tar_member(StrBuf *tar, const char *name, const void *data, size_t n)
{
    char h[512] = "";
    snprintf(h, 100, "%s", name);
    snprintf(h + 100, 8, "0000644");
    snprintf(h + 124, 12, "%011zo", n);
    h[156] = '0';
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++)
        sum += (uint8_t)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    sb_write(tar, h, 512);
    sb_write(tar, data, n);
    for (; tar->len % 512;)
        sb_putc(tar, 0);
}

static void tar_end(StrBuf *tar)
{
    for (int i = 0; i < 1024; i++)
        sb_putc(tar, 0);
}

/* A record per image: its label, then planes whose every byte is 3 x label + channel. */
static StrBuf cifar_binary(int first, int n)
{
    StrBuf b = {0};
    for (int i = first; i < first + n; i++) {
        sb_putc(&b, (char)(i % 10));
        for (int k = 0; k < 3072; k++)
            sb_putc(&b, (char)(3 * (i % 10) + k / 1024));
    }
    return b;
}

static void le(StrBuf *b, uint64_t v, int n)
{
    for (int i = 0; i < n; i++)
        sb_putc(b, (char)(v >> (8 * i)));
}

/* A batch as Python 2 wrote it: protocol 2, numpy's array of n rows and `width` columns. */
static StrBuf cifar_pickle(int first, int n, int width)
{
    StrBuf b = {0};
    sb_write(&b, "\x80\x02}q\x01(", 6);
    sb_puts(&b, "U\x0b" "batch_labelq\x02U\x03onaq\x03U\x06labelsq\x04]q\x05(");
    for (int i = first; i < first + n; i++) {
        sb_putc(&b, 'K');
        sb_putc(&b, (char)(i % 10));
    }
    sb_puts(&b, "eU\x04" "data" "cnumpy.core.multiarray\n_reconstruct\nq\x06" "cnumpy\nndarray\nq\x07K");
    sb_putc(&b, 0);
    sb_write(&b, "\x85U\x01" "b\x87Rq\x08(K\x01", 11);
    sb_putc(&b, 'J');
    le(&b, (uint64_t)n, 4);
    sb_putc(&b, 'M');
    le(&b, (uint64_t)width, 2);
    sb_puts(&b, "\x86" "cnumpy\ndtype\nU\x02u1K");
    sb_putc(&b, 0);
    sb_puts(&b, "K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK");
    sb_putc(&b, 0);
    sb_puts(&b, "tb\x89T");
    le(&b, (uint64_t)(n * width), 4);
    for (int i = first; i < first + n; i++)
        for (int k = 0; k < width; k++)
            sb_putc(&b, (char)(3 * (i % 10) + k / 1024));
    sb_puts(&b, "tbu.");
    return b;
}

/* ---- asking ---- */

static Dataset *good(const char *path, const DataOptions *opt)
{
    char *err;
    int status;
    Dataset *ds = dataset_open(path, opt, &err, &status);
    if (!ds)
        fail_msg("%s", err);
    assert_null(err);
    assert_int_equal(status, 0);
    assert_non_null(ds->source);
    return ds;
}

/* The opening fails with that status and a message that holds every one of the words. */
#define bad(path, opt, status, ...) bad_at(__LINE__, path, opt, status, (const char *const[]){__VA_ARGS__, NULL})
static void bad_at(int line, const char *path, const DataOptions *opt, int want, const char *const *words)
{
    char *err = NULL;
    int status = -1;
    Dataset *ds = dataset_open(path, opt, &err, &status);
    if (ds || status != want)
        fail_msg("line %d: status %d: %s", line, status, err ? err : "opened");
    for (; *words; words++)
        if (!strstr(err, *words))
            fail_msg("line %d: `%s` is not in: %s", line, *words, err);
    free(err);
}

/* ---- image files ---- */

static void make_zip(const char *path, const char *json)
{
    Entry e[] = {{"00000/img00000001.png", png(8, 8, 3, 50)}, {"00000/img00000000.png", png(8, 8, 3, 40)},
                 {"notes.txt", text("not an image")}, {"dataset.json", text(json)}};
    put_zip(path, e, json[0] ? 4 : 3);
    if (!json[0])
        sb_free(&e[3].data);
}

static void test_zip(void **state)
{
    (void)state;
    char *path = at("a.zip");
    make_zip(path, "{\"labels\": [[\"00000/img00000000.png\", 3], [\"00000/img00000001.png\", 1]]}");
    Dataset *ds = good(path, NULL);
    assert_int_equal(ds->count, 2);
    assert_int_equal(ds->h, 8);
    assert_int_equal(ds->c, 3);
    assert_int_equal(ds->label_dim, 4);
    assert_int_equal(ds->labels[0], 3);
    assert_int_equal(ds->labels[1], 1);
    assert_int_equal(ds->pixels[1], 40);
    assert_int_equal(ds->pixels[8 * 8 * 3 + 1], 50);
    float label[4], image[192];
    dataset_get(ds, 0, false, image, label);
    assert_true(label[3] == 1 && label[0] == 0 && label[1] == 0 && label[2] == 0);
    assert_true(image[0] == 1 / 127.5f - 1 && image[1] == 40 / 127.5f - 1);
    int64_t counts[4];
    dataset_class_counts(ds, counts);
    assert_int_equal(counts[3], 1);
    dataset_free(ds);

    make_zip(path, "{\"labels\": null}");
    ds = good(path, NULL);
    assert_null(ds->labels);
    assert_int_equal(ds->label_dim, 0);
    dataset_free(ds);
    make_zip(path, "");
    ds = good(path, &(DataOptions){.max_images = 1});
    assert_int_equal(ds->count, 1);
    assert_int_equal(ds->label_dim, 0);
    dataset_free(ds);
    make_zip(path, "{\"labels\": {\"00000\\\\img00000000.png\": [0.5, 2], \"00000/img00000001.png\": [1, -1e3]}}");
    ds = good(path, NULL);
    assert_int_equal(ds->label_dim, 2);
    assert_null(ds->labels);
    dataset_get(ds, 1, false, NULL, label);
    assert_true(label[0] == 1 && label[1] == -1000);
    dataset_free(ds);
}

static void test_bad_labels(void **state)
{
    (void)state;
    static const struct { const char *json; const char *says; } row[] = {
        {"{\"labels\": [[\"00000/img00000000.png\", 3], [\"00000/imgX.png\", 1]]}", "names 1 files that are not there, first "
            "00000/imgX.png"},
        {"{\"labels\": [[\"00000/img00000000.png\", 3]]}", "no label for 1 of 2 images, first 00000/img00000001.png"},
        {"{\"labels\": []}", "no label for 2 of 2"},
        {"{\"labels\": [[\"00000/img00000000.png\", 3], [\"00000/img00000000.png\", 3]]}", "listed twice"},
        {"{\"labels\": [[\"00000/img00000000.png\", -1], [\"00000/img00000001.png\", 1]]}", "is -1, out of range"},
        {"{\"labels\": [[\"00000/img00000000.png\", 4000000000], [\"00000/img00000001.png\", 1]]}",
            "is 4000000000, out of range"},
        {"{\"labels\": [[\"00000/img00000000.png\", 1.5], [\"00000/img00000001.png\", 1]]}", "neither a whole number"},
        {"{\"labels\": [[\"00000/img00000000.png\", null], [\"00000/img00000001.png\", 1]]}", "is null"},
        {"{\"labels\": [[\"00000/img00000000.png\", \"cat\"], [\"00000/img00000001.png\", 1]]}", "neither a whole number"},
        {"{\"labels\": [[\"00000/img00000000.png\", [1, 2]], [\"00000/img00000001.png\", 1]]}", "a number where others are "
            "lists"},
        {"{\"labels\": [[\"00000/img00000000.png\", 1], [\"00000/img00000001.png\", [1]]]}", "a list where others are numbers"},
        {"{\"labels\": [[\"00000/img00000000.png\", [1, 2]], [\"00000/img00000001.png\", [1]]]}", "another length"},
        {"{\"labels\": [[\"00000/img00000000.png\", []], [\"00000/img00000001.png\", []]]}", "length"},
        {"{\"labels\": [[\"00000/img00000000.png\", [1, true]], [\"00000/img00000001.png\", [1, 2]]]}", "no finite number"},
        {"{\"labels\": [[\"00000/img00000000.png\", [1e300]], [\"00000/img00000001.png\", [2]]]}", "no finite number"},
        {"{\"labels\": [[\"00000/img00000000.png\"]]}", "entry 0"},
        {"{\"labels\": [3, 4]}", "entry 0"},
        {"{\"labels\": 7}", "expected {\"labels\""},
        {"[1, 2]", "expected {\"labels\""},
        {"{\"labels\": [[", "line 1, column"},
        {"{\"labels\": [[\"00000/img00000000.png\", 99999999999999999999999], [\"00000/img00000001.png\", 1]]}", "line 1"},
    };
    for (size_t i = 0; i < COUNT(row); i++) {
        char *path = at("labels.zip");
        make_zip(path, row[i].json);
        bad(path, NULL, EXIT_USER, path, "dataset.json", row[i].says);
    }
}

static void test_bad_zips(void **state)
{
    (void)state;
    static const char *const names[] = {"../evil.png", "a/../../b.png", "/abs.png", "..\\x.png", "C:\\x.png", "a/.."};
    char *path = at("bad.zip");
    for (size_t i = 0; i < COUNT(names); i++) {
        Entry e[] = {{"ok.png", png(8, 8, 3, 1)}, {names[i], text("x")}};
        put_zip(path, e, 2);
        bad(path, NULL, EXIT_USER, path, names[i], "outside the archive");
    }
    make_zip(path, "{\"labels\": null}");
    size_t n;
    char *whole = read_file(path, &n);
    for (size_t cut = 4; cut < n; cut += 97) {
        put(at("cut.zip"), whole, cut);
        bad(at("cut.zip"), NULL, EXIT_USER, "truncated or damaged zip");
    }
    /* Any damaged byte: an error or the same pictures, never a crash. */
    char *err;
    int status;
    for (size_t i = 0; i < n; i++) {
        whole[i] ^= 0x41;
        put(at("cut.zip"), whole, n);
        Dataset *ds = dataset_open(at("cut.zip"), NULL, &err, &status);
        assert_true(ds || status == EXIT_USER || status == EXIT_MACHINE);
        dataset_free(ds);
        free(err);
        whole[i] ^= 0x41;
    }
    /* Pixels damaged in the middle of a stored entry: the checksum tells. */
    for (size_t i = 0; i + 4 < n; i++)
        if (!memcmp(whole + i, "IDAT", 4)) {
            whole[i + 9] ^= 1;
            break;
        }
    put(at("cut.zip"), whole, n);
    bad(at("cut.zip"), NULL, EXIT_USER, "1 of 2 images cannot be used", "00000/img0000000", "damaged zip entry",
        "replace or remove");
    free(whole);
    Entry e[] = {{"a.txt", text("x")}};
    put_zip(path, e, 1);
    bad(path, NULL, EXIT_USER, "holds no images");
    put_text(path, "PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bad(path, NULL, EXIT_USER, path);
    put_text(path, "this is no zip at all");
    bad(path, NULL, EXIT_USER, "not a data set", "named .zip");
}

static void test_folder(void **state)
{
    (void)state;
    put_png(at("f/b-2/x.png"), 4, 4, 3, 20);
    put_png(at("f/b/y.png"), 4, 4, 1, 30);
    put_png(at("f/a/deep/z.PNG"), 4, 4, 1, 10);
    put_text(at("f/.hidden.png"), "x");
    Dataset *ds = good(at("f"), NULL);
    assert_int_equal(ds->count, 3);
    assert_int_equal(ds->c, 3);
    assert_int_equal(ds->label_dim, 3);
    assert_string_equal(ds->class_names[0], "a");
    assert_string_equal(ds->class_names[1], "b");
    assert_string_equal(ds->class_names[2], "b-2");
    /* In the order of names: a/deep/z.PNG, b-2/x.png, b/y.png. */
    assert_int_equal(ds->labels[0], 0);
    assert_int_equal(ds->labels[1], 2);
    assert_int_equal(ds->labels[2], 1);
    assert_int_equal(ds->pixels[2 * 48 + 3], 30);
    dataset_free(ds);

    ds = good(at("f"), &(DataOptions){.grey = true});
    assert_int_equal(ds->c, 1);
    assert_int_equal(ds->pixels[16 + 1], 20);
    dataset_free(ds);
    bad(at("f"), &(DataOptions){.channels = 1}, EXIT_USER, "b-2/x.png: in colour", "--grey");

    put_png(at("f/top.png"), 4, 4, 3, 9);
    ds = good(at("f"), NULL);
    assert_null(ds->labels);
    assert_non_null(strstr(ds->note, "not taken as classes"));
    dataset_free(ds);

    put_text(at("f/dataset.json"),
             "{\"labels\": [[\"top.png\", 5], [\"a/deep/z.PNG\", 0], [\"b/y.png\", 0], [\"b-2/x.png\", 0]]}");
    ds = good(at("f"), &(DataOptions){.resolution = 4});
    assert_int_equal(ds->label_dim, 6);
    assert_int_equal(ds->labels[3], 5);
    dataset_free(ds);

    put_png(at("grey/one.png"), 4, 4, 1, 7);
    put_png(at("grey/two.png"), 4, 4, 1, 8);
    ds = good(at("grey"), NULL);
    assert_int_equal(ds->c, 1);
    assert_int_equal(ds->pixels[17], 8);
    dataset_free(ds);
    ds = good(at("grey"), &(DataOptions){.channels = 3});
    assert_int_equal(ds->c, 3);
    dataset_free(ds);
    assert_int_equal(symlink(at("grey"), at("grey/circle")), 0);
    ds = good(at("grey"), NULL);
    assert_int_equal(ds->count, 2);
    dataset_free(ds);
}

static void test_bad_folders(void **state)
{
    (void)state;
    DataOptions want32 = {.resolution = 32};
    bad(at("nowhere"), NULL, EXIT_USER, at("nowhere"), "no such file", "shapes");
    assert_true(make_dirs(at("empty/sub")));
    bad(at("empty"), NULL, EXIT_USER, at("empty"), "holds no images");
    put_text(at("empty/x.webp"), "x");
    bad(at("empty"), NULL, EXIT_USER, "x.webp", "convert");
    put_text(at("file.txt"), "hello");
    bad(at("file.txt"), NULL, EXIT_USER, "not a data set");
    put_text(at("none"), "");
    bad(at("none"), NULL, EXIT_USER, "empty");
    put_png(at("single.png"), 8, 8, 3, 1);
    bad(at("single.png"), NULL, EXIT_USER, "give the folder");
    bad("/dev/null", NULL, EXIT_USER, "neither a file nor a folder");

    put_png(at("wide/a.png"), 4, 6, 3, 1);
    bad(at("wide"), NULL, EXIT_USER, "a.png is 6x4, not square", "--resolution 4");
    put_png(at("small/a.png"), 16, 16, 3, 1);
    bad(at("small"), &want32, EXIT_USER, "a.png is 16x16, but 32x32 is wanted", "ect-rt data import", "--resolution 32");

    for (int i = 0; i < 60; i++)
        put_png(at("mixed/%02d.png", i), i % 7 == 3 ? 9 : 8, 8, 3, i);
    bad(at("mixed"), NULL, EXIT_USER, "9 of 60 images", "\n  03.png: 8x9", "\n  31.png", "and 4 more",
        "mixed sizes: the first image, 00.png, is 8x8",
        "--resolution 8");
    Dataset *ds = good(at("mixed"), &(DataOptions){.resolution = 6, .resize = true});
    assert_int_equal(ds->h, 6);
    assert_int_equal(ds->pixels[59 * 108 + 100], 59);
    dataset_free(ds);

    put_text(at("liar/a.png"), "I am text");
    bad(at("liar"), NULL, EXIT_USER, "none of its 1 images", "a.png", "not a PNG or JPEG");
    put_png(at("liar/b.png"), 8, 8, 3, 1);
    put_text(at("liar/c.jpg"), "");
    bad(at("liar"), NULL, EXIT_USER, "2 of 3 images cannot be used", "a.png: not a PNG", "c.jpg: an empty file");
    assert_true(make_dirs(at("dirs/x.png")));
    bad(at("dirs"), NULL, EXIT_USER, "x.png", "not a regular file");
    put_png(at("js/a.png"), 8, 8, 3, 1);
    put_text(at("js/dataset.json"), "{\"labels\": [[\"a.png\", 1],]}");
    bad(at("js"), NULL, EXIT_USER, "dataset.json: line 1");
}

/* ---- archives ---- */

static void check_cifar(Dataset *ds, int count)
{
    assert_int_equal(ds->count, count);
    assert_int_equal(ds->h, 32);
    assert_int_equal(ds->c, 3);
    assert_int_equal(ds->label_dim, 10);
    assert_string_equal(ds->class_names[9], "truck");
    for (int i = 0; i < count; i++) {
        assert_int_equal(ds->labels[i], i % 10);
        for (int k = 0; k < 3; k++)
            assert_int_equal(ds->pixels[i * 3072 + 1500 + k], 3 * (i % 10) + k);
    }
    dataset_free(ds);
}

static void test_cifar_binary(void **state)
{
    (void)state;
    StrBuf one = cifar_binary(0, 7), two = cifar_binary(7, 8), tar = {0};
    tar_member(&tar, "cifar-10-batches-bin/data_batch_2.bin", two.s, two.len);
    tar_member(&tar, "cifar-10-batches-bin/readme.html", "hello", 5);
    tar_member(&tar, "cifar-10-batches-bin/test_batch.bin", two.s, two.len);
    tar_member(&tar, "cifar-10-batches-bin/data_batch_1.bin", one.s, one.len);
    put(at("open.tar"), tar.s, tar.len);
    bad(at("open.tar"), NULL, EXIT_USER, "truncated");
    tar_end(&tar);
    put_gz(at("bin.tar.gz"), tar.s, tar.len);
    put(at("bin.tar"), tar.s, tar.len);
    check_cifar(good(at("bin.tar.gz"), NULL), 15);
    check_cifar(good(at("bin.tar"), NULL), 15);
    check_cifar(good(at("bin.tar"), &(DataOptions){.max_images = 5}), 5);
    put(at("cb/data_batch_1.bin"), one.s, one.len);
    put(at("cb/data_batch_2.bin"), two.s, two.len);
    check_cifar(good(at("cb"), NULL), 15);
    check_cifar(good(at("cb/data_batch_1.bin"), NULL), 7);

    Dataset *ds = good(at("cb"), &(DataOptions){.resolution = 16, .resize = true, .grey = true});
    assert_int_equal(ds->h, 16);
    assert_int_equal(ds->c, 1);
    dataset_free(ds);
    bad(at("cb"), &(DataOptions){.resolution = 16}, EXIT_USER, "32x32", "16x16 is wanted", "--resolution 16");
    bad(at("cb"), &(DataOptions){.channels = 1}, EXIT_USER, "--grey");

    size_t n;
    char *gz = read_file(at("bin.tar.gz"), &n);
    for (size_t cut = 20; cut < n; cut += n / 7) {
        put(at("cut.tar.gz"), gz, cut);
        bad(at("cut.tar.gz"), NULL, EXIT_USER, at("cut.tar.gz"), "truncated");
    }
    gz[n / 2] ^= 0x10;
    put(at("cut.tar.gz"), gz, n);
    bad(at("cut.tar.gz"), NULL, EXIT_USER, at("cut.tar.gz"));
    free(gz);
    put(at("short.bin"), one.s, one.len - 1);
    bad(at("short.bin"), NULL, EXIT_USER, "no whole number of 3073-byte records");
    one.s[3073] = 77;
    put(at("label.bin"), one.s, one.len);
    bad(at("label.bin"), NULL, EXIT_USER, "record 1 has label 77");
    put(at("zero.bin"), "", 0);
    bad(at("zero.bin"), NULL, EXIT_USER, "empty");
    tar.s[700 + 3073 * 8] ^= 1;
    tar.s[512 + 49 * 512 + 3] ^= 1;                             /* the second member's header */
    put(at("bent.tar"), tar.s, tar.len);
    bad(at("bent.tar"), NULL, EXIT_USER, "damaged tar header");
    sb_free(&tar);
    tar = (StrBuf){0};
    tar_member(&tar, "x/cat.png", "abc", 3);
    tar_end(&tar);
    put_gz(at("other.tar.gz"), tar.s, tar.len);
    bad(at("other.tar.gz"), NULL, EXIT_USER, "without CIFAR-10's data_batch");
    put_gz(at("text.gz"), "hello", 5);
    bad(at("text.gz"), NULL, EXIT_USER, "neither CIFAR-10's tar nor MNIST");
    sb_free(&tar);
    sb_free(&one);
    sb_free(&two);
}

static void put_pickle(const char *path, const void *data, size_t n)
{
    StrBuf tar = {0};
    tar_member(&tar, "cifar-10-batches-py/data_batch_1", data, n);
    tar_end(&tar);
    put(path, tar.s, tar.len);
    sb_free(&tar);
}

static void test_cifar_python(void **state)
{
    (void)state;
    StrBuf one = cifar_pickle(0, 7, 3072), two = cifar_pickle(7, 5, 3072), tar = {0};
    tar_member(&tar, "cifar-10-batches-py/data_batch_2", two.s, two.len);
    tar_member(&tar, "cifar-10-batches-py/batches.meta", "x", 1);
    tar_member(&tar, "cifar-10-batches-py/data_batch_1", one.s, one.len);
    tar_end(&tar);
    put_gz(at("py.tar.gz"), tar.s, tar.len);
    check_cifar(good(at("py.tar.gz"), NULL), 12);
    sb_free(&tar);
    sb_free(&two);

    char *path = at("p.tar");
    for (size_t cut = 0; cut < one.len; cut += cut < 300 || cut + 20 > one.len ? 1 : 1009) {
        put_pickle(path, one.s, cut);
        bad(path, NULL, EXIT_USER, "data_batch_1: not a CIFAR-10 batch");
    }
    /* Any damaged byte of the structure: refused or read, never a crash and nothing run. */
    for (size_t i = 0; i < one.len; i += i < 300 || i + 20 > one.len ? 1 : 5003)
        for (int v = 0; v < 256; v += 5) {
            char keep = one.s[i], *err;
            int status;
            one.s[i] = (char)v;
            put_pickle(path, one.s, one.len);
            Dataset *ds = dataset_open(path, NULL, &err, &status);
            assert_true(ds || status == EXIT_USER);
            dataset_free(ds);
            free(err);
            one.s[i] = keep;
        }
    sb_free(&one);
    two = cifar_pickle(0, 3, 3000);
    put_pickle(path, two.s, two.len);
    bad(path, NULL, EXIT_USER, "no `data` of unsigned bytes [n][3072]");
    sb_free(&two);
    /* A call is data, not an order. */
    put_text(at("calls"), "");
    const char *evil = "cos\nsystem\n(S'touch /tmp/ect-data-evil'\ntR.";
    put_pickle(path, evil, strlen(evil));
    bad(path, NULL, EXIT_USER, "the outermost value is no dict");
    assert_int_not_equal(access("/tmp/ect-data-evil", F_OK), 0);
    static const char *const junk[] = {".", "e.", "s.", "a.", "R.", "t.", "u.", "0.", "1.", "2.", "h\x05.", "q\x01.", "(((((",
        "\x93.", "]2a.",
                                       "T\xff\xff\xff\x7f", "\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "g-5\n.", "]p99999999999\n.",
                                       "}(U\x04" "datau.", "}U\x04" "data}sU\x06labels]s.", "}U\x06labelsNs."};
    for (size_t i = 0; i < COUNT(junk); i++) {
        put_pickle(path, junk[i], strlen(junk[i]));
        bad(path, NULL, EXIT_USER, "not a CIFAR-10 batch");
    }
}

static void test_mnist(void **state)
{
    (void)state;
    StrBuf im = {0}, lab = {0};
    sb_write(&im, "\0\0\x08\x03\0\0\0\x03\0\0\0\x1c\0\0\0\x1c", 16);
    for (int i = 0; i < 3 * 784; i++)
        sb_putc(&im, (char)(i / 784 + 1));
    sb_write(&lab, "\0\0\x08\x01\0\0\0\x03\x07\x00\x02", 11);
    char *images = at("m/train-images-idx3-ubyte.gz"), *labels = at("m/train-labels-idx1-ubyte.gz");
    assert_true(make_dirs(at("m")));
    put_gz(images, im.s, im.len);
    Dataset *ds = good(images, NULL);
    assert_null(ds->labels);
    assert_non_null(strstr(ds->note, "labels"));
    dataset_free(ds);
    put_gz(labels, lab.s, lab.len);
    ds = good(images, NULL);
    assert_int_equal(ds->count, 3);
    assert_int_equal(ds->h, 32);
    assert_int_equal(ds->c, 1);
    assert_int_equal(ds->label_dim, 8);
    assert_int_equal(ds->labels[0], 7);
    const uint8_t *p = ds->pixels + 1024;
    assert_int_equal(p[0] + p[65] + p[1 * 32 + 5] + p[30 * 32 + 9] + p[40 * 0 + 31], 0);
    assert_int_equal(p[2 * 32 + 2], 2);
    assert_int_equal(p[29 * 32 + 29], 2);
    dataset_free(ds);
    ds = good(images, &(DataOptions){.channels = 3, .resolution = 32});
    assert_int_equal(ds->c, 3);
    dataset_free(ds);
    bad(labels, NULL, EXIT_USER, "give the images file");

    put_gz(labels, lab.s, lab.len - 1);
    bad(images, NULL, EXIT_USER, labels, "truncated");
    lab.s[7] = 4;
    put_gz(labels, lab.s, lab.len);
    bad(images, NULL, EXIT_USER, labels, "not the labels of the 3 images");
    put_gz(images, im.s, im.len - 1);
    bad(images, NULL, EXIT_USER, images, "truncated");
    sb_putc(&im, 0);
    sb_putc(&im, 0);
    put_gz(images, im.s, im.len);
    bad(images, NULL, EXIT_USER, images, "holds more than");
    memcpy(im.s + 8, "\x7f\xff\xff\xff", 4);
    put_gz(images, im.s, im.len);
    bad(images, NULL, EXIT_USER, images, "absurd header");
    memcpy(im.s + 4, "\x7f\xff\xff\xff\0\0\x04\0\0\0\x04\0", 12);
    put_gz(images, im.s, im.len);
    bad(images, NULL, EXIT_MACHINE, images, "GB");
    size_t n;
    char *gz = read_file(images, &n);
    put(images, gz, n / 2);
    bad(images, NULL, EXIT_USER, images, "truncated or damaged gzip");
    free(gz);
    sb_free(&im);
    sb_free(&lab);
}

/* ---- the drawn set, splitting ---- */

static void test_shapes(void **state)
{
    (void)state;
    Dataset *a = good("shapes:16:30", NULL), *b = dataset_shapes(16, 60, 0), *c = dataset_shapes(16, 30, 1);
    assert_int_equal(a->count, 30);
    assert_int_equal(a->h, 16);
    assert_int_equal(a->label_dim, 3);
    assert_string_equal(a->class_names[2], "triangle");
    assert_memory_equal(a->pixels, b->pixels, 30 * 768);
    assert_memory_not_equal(a->pixels, c->pixels, 30 * 768);
    for (int i = 0; i < 30; i++)
        assert_int_equal(a->labels[i], i % 3);
    /* The bytes are the same on every machine. */
    char hash[33];
    hash128_hex(b->pixels, 60 * 768, hash);
    assert_string_equal(hash, "8f5700c86758a18db8f9d256179ef366");
    dataset_free(a);
    dataset_free(b);
    dataset_free(c);
    a = good("shapes", &(DataOptions){.resolution = 24, .channels = 3});
    assert_int_equal(a->h, 24);
    assert_int_equal(a->count, 10000);
    dataset_free(a);
    a = good("shapes:64:5", &(DataOptions){.resolution = 16, .resize = true, .grey = true});
    assert_int_equal(a->h, 16);
    assert_int_equal(a->c, 1);
    dataset_free(a);
    static const char *const wrong[] = {"shapes:", "shapes:x", "shapes:16:", "shapes:16:0", "shapes:1", "shapes:99999",
        "shapes:16:5:6",
                                        "shapes:16x16", "shapes:-4", "shapes:16:99999999999999999999"};
    for (size_t i = 0; i < COUNT(wrong); i++)
        bad(wrong[i], NULL, EXIT_USER, wrong[i], "shapes:RES:COUNT");
    bad("shapes:1024:100000000", NULL, EXIT_MACHINE, "GB");
    bad("shapes:16", &(DataOptions){.resolution = 32}, EXIT_USER, "32x32 is wanted");
}

static void test_split(void **state)
{
    (void)state;
    Dataset *all = dataset_shapes(8, 100, 0), *train = dataset_shapes(8, 100, 0), *held = dataset_split(train, 17, 5);
    assert_int_equal(train->count, 83);
    assert_int_equal(held->count, 17);
    /* Both are parts of the whole in its order, and together the whole. */
    int64_t t = 0, v = 0;
    for (int64_t i = 0; i < 100; i++) {
        const uint8_t *p = all->pixels + i * 192;
        if (v < 17 && !memcmp(p, held->pixels + v * 192, 192)) {
            assert_int_equal(held->labels[v++], all->labels[i]);
        } else {
            assert_memory_equal(p, train->pixels + t * 192, 192);
            assert_int_equal(train->labels[t++], all->labels[i]);
        }
    }
    assert_int_equal(t + v, 100);
    Dataset *again = dataset_shapes(8, 100, 0), *same = dataset_split(again, 17, 5), *none = dataset_split(again, 0, 5);
    assert_memory_equal(same->pixels, held->pixels, 17 * 192);
    assert_int_equal(none->count, 0);
    dataset_free(all);
    dataset_free(train);
    dataset_free(held);
    dataset_free(again);
    dataset_free(same);
    dataset_free(none);
}

/* ---- real images ---- */

static void test_real(void **state)
{
    (void)state;
    char path[512];
    const char *src = getenv("SRC");
    snprintf(path, sizeof path, "%s/tests/data/real/cifar40.zip", src ? src : ".");
    if (!file_exists(path))
        skip();
    Dataset *ds = good(path, &(DataOptions){.resolution = 32, .channels = 3});
    assert_int_equal(ds->count, 40);
    assert_int_equal(ds->label_dim, 10);
    int64_t counts[10], sum = 0;
    dataset_class_counts(ds, counts);
    for (int i = 0; i < 10; i++)
        assert_int_equal(counts[i], 4);
    for (int64_t i = 0; i < 40 * 3072; i++)
        sum += ds->pixels[i];
    assert_true(sum / (40 * 3072) > 110 && sum / (40 * 3072) < 135);
    /* One thread or several: the same set. */
    Dataset *one = good(path, &(DataOptions){.threads = 1});
    assert_memory_equal(one->pixels, ds->pixels, 40 * 3072);
    dataset_free(one);
    dataset_free(ds);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test_data_XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    return remove_tree(dir) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zip), cmocka_unit_test(test_bad_labels), cmocka_unit_test(test_bad_zips),
            cmocka_unit_test(test_folder),
        cmocka_unit_test(test_bad_folders), cmocka_unit_test(test_cifar_binary), cmocka_unit_test(test_cifar_python),
        cmocka_unit_test(test_mnist), cmocka_unit_test(test_shapes), cmocka_unit_test(test_split), cmocka_unit_test(test_real),
    };
    prog_name = "test_data";
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
