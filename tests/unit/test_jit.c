/* Compiling kernels: results, cache hits, groups in parallel, functions and draws variant.
   Assumes a C compiler, which built this test. */
#include "cache/cache.h"
#include "runtime/jit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

enum { KERNELS = 24 };

static void add_kernels(JitSource *src, KernelFn **fn, const char *comment, int *compiled)
{
    char *prelude = read_file("runtime/kernel_prelude.h", NULL);
    if (!prelude) {
        char *path = xasprintf("%s/runtime/kernel_prelude.h", getenv("SRC") ? getenv("SRC") : ".");
        prelude = read_file(path, NULL);
        free(path);
    }
    assert_non_null(prelude);
    for (int i = 0; i < KERNELS; i++) {
        src[i].name = xasprintf("k%03d_add", i);
        src[i].path = xasprintf("kernels/%s.c", src[i].name);
        src[i].source = xasprintf("/* %s */\n#include \"prelude.h\"\n"
                                  "void %s(const EctArgs *a)\n{\n"
                                  "    float *x = a->buf[0];   // %s\n"
                                  "#ifdef ECT_DRAW_INPUTS\n    x[0] += 1000;\n#endif\n"
                                  "#pragma omp parallel for num_threads(a->threads)\n"
                                  "    for (int i = 0; i < 64; i++) x[i] += %d;\n}\n", comment, src[i].name, comment, i);
    }
    float x[64] = {0};
    float *buf[] = {x};
    EctArgs a = {.buf = buf, .threads = 2};
    Jit *j = jit_load(src, KERNELS, prelude, false, fn);
    *compiled = jit_compiled(j);
    for (int i = 0; i < KERNELS; i++) fn[i](&a);
    for (int i = 0; i < 64; i++) assert_true(x[i] == KERNELS * (KERNELS - 1) / 2);
    jit_close(j);
    for (int i = 0; i < KERNELS; i++) {
        free((char *)src[i].name);
        free((char *)src[i].path);
        free((char *)src[i].source);
    }
    free(prelude);
}

static void test_compile_and_cache(void **state)
{
    (void)state;
    char root[] = "/tmp/ect-test-jit-XXXXXX";
    assert_non_null(mkdtemp(root));
    setenv("ECT_CACHE", root, 1);
    cache_reset();
    JitSource src[KERNELS];
    KernelFn *fn[KERNELS];
    int compiled;
    add_kernels(src, fn, "first", &compiled);
    assert_int_equal(compiled, KERNELS);
    add_kernels(src, fn, "comments do not count", &compiled);
    assert_int_equal(compiled, 0);
    setenv("ECT_CACHE", "off", 1);
    cache_reset();
    add_kernels(src, fn, "first", &compiled);
    assert_int_equal(compiled, KERNELS);
    remove_tree(root);
}

static void test_draws_variant(void **state)
{
    (void)state;
    setenv("ECT_CACHE", "off", 1);
    cache_reset();
    JitSource src = {.name = "f", .path = "f.c", .source = "#include \"prelude.h\"\nvoid f(const EctArgs *a)\n{\n"
                     "#ifdef ECT_DRAW_INPUTS\n    a->buf[0][0] = 1;\n#else\n    a->buf[0][0] = 2;\n#endif\n}\n"};
    char *prelude = xstrdup("typedef struct { float *const *buf; } EctArgs;\n");
    float x = 0;
    float *buf[] = {&x};
    for (int draws = 0; draws < 2; draws++) {
        KernelFn *fn;
        Jit *j = jit_load(&src, 1, prelude, draws, &fn);
        fn(&(EctArgs){.buf = buf});
        assert_true(x == (draws ? 1 : 2));
        jit_close(j);
    }
    free(prelude);
}

/* ECT_KERNEL_UNIT: one file, all functions; another flag is another entry of the cache. */
static void test_one_unit(void **state)
{
    (void)state;
    char root[] = "/tmp/ect-test-jit-XXXXXX";
    assert_non_null(mkdtemp(root));
    setenv("ECT_CACHE", root, 1);
    cache_reset();
    JitSource src[KERNELS];
    KernelFn *fn[KERNELS];
    int compiled;
    setenv("ECT_KERNEL_UNIT", "-O0", 1);
    add_kernels(src, fn, "unit", &compiled);
    assert_int_equal(compiled, 1);
    add_kernels(src, fn, "unit", &compiled);
    assert_int_equal(compiled, 0);
    setenv("ECT_KERNEL_UNIT", "-O1", 1);
    add_kernels(src, fn, "unit", &compiled);
    assert_int_equal(compiled, 1);
    unsetenv("ECT_KERNEL_UNIT");
    cache_reset();
    remove_tree(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compile_and_cache), cmocka_unit_test(test_draws_variant),
                                       cmocka_unit_test(test_one_unit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
