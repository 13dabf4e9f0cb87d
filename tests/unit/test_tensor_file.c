/* Tensor files: what is written is read back; every kind of damage is refused without a crash; a failed write leaves the old
   file. Assumes a writable /tmp. */
#include "runtime/tensor_file.h"
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

static char dir[64], *path;
static void put(const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_true(f && fwrite(data, 1, n, f) == n && fclose(f) == 0);
}
/* A file of header text and n bytes of data. */
static void put_parts(const char *header, size_t data)
{
    size_t h = strlen(header);
    uint64_t length = h;
    char *all = xcalloc(1, 8 + h + data + 1);
    memcpy(all, &length, 8);
    memcpy(all + 8, header, h);
    put(all, 8 + h + data);
    free(all);
}
static void write_sample(void)
{
    static const float a[6] = {1, -2, 3.5f, NAN, INFINITY, 0x1p-149f};
    static const double b[2] = {0.1, -1e300};
    static const int64_t c[1] = {1LL << 40};
    TensorWriter *w = tensor_writer_new(path);
    tensor_writer_meta(w, "format", "te\"st\n");
    tensor_writer_declare(w, "a.weight", DT_F32, 2, (int64_t[]){2, 3});
    tensor_writer_declare(w, "b", DT_F64, 1, (int64_t[]){2});
    tensor_writer_declare(w, "empty", DT_F32, 2, (int64_t[]){0, 4});
    tensor_writer_declare(w, "c", DT_I64, 0, NULL);
    tensor_writer_data(w, a, 8);
    tensor_writer_data(w, a + 2, 16);
    tensor_writer_data(w, b, sizeof b);
    tensor_writer_data(w, c, sizeof c);
    char *err = NULL;
    assert_true(tensor_writer_commit(w, &err));
}
static void round_trip(void **state)
{
    (void)state;
    write_sample();
    char *err = NULL;
    TensorFile *f = tensor_file_open(path, &err);
    assert_non_null(f);
    assert_int_equal(f->n, 4);
    assert_string_equal(tensor_meta(f, "format"), "te\"st\n");
    assert_null(tensor_meta(f, "other"));
    const TensorEntry *a = tensor_find(f, "a.weight"), *b = tensor_find(f, "b"), *c = tensor_find(f, "c"),
                      *e = tensor_find(f, "empty");
    assert_true(a && b && c && e && !tensor_find(f, "d") && a->n_dims == 2 && a->shape[1] == 3 && e->elements == 0 &&
                c->elements == 1);
    float v[6];
    tensor_read_f32(a, 0, 6, v);
    assert_true(v[0] == 1 && v[2] == 3.5f && isnan(v[3]) && isinf(v[4]) && v[5] == 0x1p-149f);
    tensor_read_f32(a, 1, 2, v);
    assert_true(v[0] == -2 && v[1] == 3.5f);
    double d[2];
    tensor_read_f64(b, 0, 2, d);
    assert_true(d[0] == 0.1 && d[1] == -1e300);
    tensor_read_f64(c, 0, 1, d);
    assert_true(d[0] == 0x1p40);
    tensor_file_close(f);
}
static void types(void **state)
{
    (void)state;
    static const uint16_t half[6] = {0x3c00, 0xc000, 0x0001, 0x7c00, 0x7e00, 0x3555}, bf[2] = {0x3f80, 0xc040};
    const char *header = "{\"h\":{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,12]},\"b\":{\"dtype\":\"BF16\",\"shape\":["
                         "2],\"data_offsets\":[12,16]},"
                         "\"u\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[16,17]}}";
    size_t h = strlen(header);
    char all[512];
    memcpy(all, &(uint64_t){h}, 8);
    memcpy(all + 8, header, h);
    memcpy(all + 8 + h, half, 12);
    memcpy(all + 20 + h, bf, 4);
    all[24 + h] = (char)200;
    put(all, 25 + h);
    char *err = NULL;
    TensorFile *f = tensor_file_open(path, &err);
    assert_non_null(f);
    float v[6];
    tensor_read_f32(tensor_find(f, "h"), 0, 6, v);
    assert_true(v[0] == 1 && v[1] == -2 && v[2] == 0x1p-24f && isinf(v[3]) && isnan(v[4]) && v[5] == 0x1.554p-2f);
    tensor_read_f32(tensor_find(f, "b"), 0, 2, v);
    assert_true(v[0] == 1 && v[1] == -3);
    tensor_read_f32(tensor_find(f, "u"), 0, 1, v);
    assert_true(v[0] == 200);
    tensor_file_close(f);
}
static void refuse(const char *what, const char *part)
{
    char *err = NULL;
    TensorFile *f = tensor_file_open(path, &err);
    if (f) fail_msg("%s was accepted", what);
    if (!strstr(err, part)) fail_msg("%s: %s", what, err);
    free(err);
}
#define T "\"dtype\":\"F32\",\"shape\":"
static void damage(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data; const char *part; } cases[] = {
        {"{\"a\":{" T "[2],\"data_offsets\":[0,8]},\"b\":{" T "[2],\"data_offsets\":[4,12]}}", 12, "overlap"},
        {"{\"a\":{" T "[2],\"data_offsets\":[0,8]},\"b\":{" T "[2],\"data_offsets\":[0,8]}}", 8, "overlap"},
        {"{\"a\":{" T "[2],\"data_offsets\":[0,8]},\"b\":{" T "[2],\"data_offsets\":[100,108]}}", 108, "hole"},
        {"{\"a\":{" T "[2],\"data_offsets\":[0,8]}}", 4, "outside the file"},
        {"{\"a\":{" T "[2],\"data_offsets\":[8,0]}}", 8, "outside the file"},
        {"{\"a\":{" T "[2],\"data_offsets\":[0,4]}}", 8, "do not fit"},
        {"{\"a\":{" T "[2],\"data_offsets\":[0,8]}}", 200, "after the last"},
        {"{\"a\":{" T "[-1],\"data_offsets\":[0,8]}}", 8, "whole number"},
        {"{\"a\":{" T "[4611686018427387904,8],\"data_offsets\":[0,8]}}", 8, "overflows"},
        {"{\"a\":{" T "[4611686018427387904],\"data_offsets\":[0,8]}}", 8, "overflows"},
        {"{\"a\":{" T "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "16 axes"},
        {"{\"a\":{\"dtype\":\"C64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "dtype"},
        {"{\"a\":{" T "[1]}}", 4, "lacks"},
        {"{\"a\":5}", 4, "lacks"},
        {"{\"a\":{" T "[1],\"data_offsets\":[0,4]},\"a\":{" T "[1],\"data_offsets\":[4,8]}}", 8, "JSON"},
        {"[1, 2]", 0, "JSON object"},
        {"{", 0, "JSON"},
        {"{\"__metadata__\":{\"x\":5}}", 0, "__metadata__"},
        {"{\"__metadata__\":5}", 0, "__metadata__"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        put_parts(cases[i].header, cases[i].data);
        refuse(cases[i].header, cases[i].part);
    }
    put("1234567", 7);
    refuse("a short file", "shorter");
    put("", 0);
    refuse("an empty file", "shorter");
    uint64_t huge[2] = {1ull << 60, 0};
    put(huge, sizeof huge);
    refuse("a false header length", "header length");
    char *err = NULL;
    assert_null(tensor_file_open("/nonexistent/x", &err));
    free(err);
    assert_null(tensor_file_open("/tmp", &err));
    free(err);
    /* every truncation and many flipped bytes: an error or a file whose every entry can be read */
    write_sample();
    size_t n;
    char *whole = read_file(path, &n);
    for (size_t k = 0; k < 2 * n; k++) {
        char *copy = xmalloc(n + 1);
        memcpy(copy, whole, n);
        if (k >= n) copy[k - n] = (char)(copy[k - n] ^ (1 << k % 8));
        put(copy, k < n ? k : n);
        free(copy);
        TensorFile *f = tensor_file_open(path, &err);
        if (!f) {
            free(err);
            continue;
        }
        for (int i = 0; i < f->n; i++) {
            double *v = xmalloc(((size_t)f->tensor[i].elements + 1) * sizeof *v);
            tensor_read_f64(&f->tensor[i], 0, f->tensor[i].elements, v);
            free(v);
        }
        tensor_file_close(f);
    }
    free(whole);
}
static void failed_write(void **state)
{
    (void)state;
    write_sample();
    size_t n, m;
    char *before = read_file(path, &n), *err = NULL;
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 100000;                                          /* a full disk, in miniature */
    setrlimit(RLIMIT_FSIZE, &small);
    TensorWriter *w = tensor_writer_new(path);
    tensor_writer_declare(w, "big", DT_F32, 1, (int64_t[]){1000000});
    float *v = xcalloc(1000000, sizeof *v);
    tensor_writer_data(w, v, 4000000);
    assert_false(tensor_writer_commit(w, &err));
    setrlimit(RLIMIT_FSIZE, &old);
    assert_non_null(strstr(err, "cannot write"));
    free(err);
    free(v);
    char *after = read_file(path, &m), *command = xasprintf("test $(ls %s | wc -l) = 1", dir);
    assert_true(n == m && !memcmp(before, after, n) && system(command) == 0);
    free(command);
    free(before);
    free(after);
    tensor_writer_abort(tensor_writer_new(path));
    w = tensor_writer_new("/nonexistent/file");
    tensor_writer_declare(w, "a", DT_F32, 0, NULL);
    tensor_writer_data(w, &(float){1}, 4);
    assert_false(tensor_writer_commit(w, &err));
    free(err);
    w = tensor_writer_new("/dev/null");
    assert_false(tensor_writer_commit(w, &err));
    free(err);
}
static int clean(void **state) { (void)state; remove_tree(dir); free(path); return 0; }
int main(void)
{
    strcpy(dir, "/tmp/ect-test-tensors-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    path = xasprintf("%s/x.safetensors", dir);
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(types), cmocka_unit_test(damage),
                                       cmocka_unit_test(failed_write)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
