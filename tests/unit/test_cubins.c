/* Key texts, ptxas's report, occupancy, what explains a miss, layers of the cache.
   Assumes a writable temporary folder; neither NVRTC nor a GPU. */
#include "cache/cache.h"
#include "cache/key.h"
#include "runtime/cubins.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reports ---- */
static const char REPORT13[] =
    "ptxas info    : 0 bytes gmem\n"
    "ptxas info    : Compiling entry function 'conv_a' for 'sm_90a'\n"
    "ptxas info    : Function properties for conv_a\n"
    "ptxas         .     864 bytes stack frame, 1544 bytes spill stores, 1840 bytes spill loads\n"
    "ptxas info    : Used 168 registers, used 9 barriers, 864 bytes cumulative stack size, 33792 bytes smem, 384 bytes cmem[0]\n"
    "ptxas info    : Compile time = 24.137 ms\n"
    "ptxas info    : Compiling entry function 'conv_a_sum' for 'sm_90a'\n"
    "ptxas info    : Function properties for helper\n"
    "ptxas         .     8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads\n"
    "ptxas info    : Function properties for conv_a_sum\n"
    "ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Used 12 registers\n";
static const char REPORT12[] =
    "ptxas info    : Compiling entry function 'k' for 'sm_80'\n"
    "ptxas info    : Function properties for k\n"
    "    16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
    "ptxas info    : Used 255 registers, 352 bytes cmem[0], 512 bytes smem";

static void test_report(void **state)
{
    (void)state;
    PtxasEntry *e;
    assert_int_equal(ptxas_report(REPORT13, &e), 2);
    assert_string_equal(e[0].name, "conv_a");
    assert_int_equal(e[0].registers, 168);
    assert_int_equal(e[0].stack, 864);
    assert_int_equal(e[0].spill_stores, 1544);
    assert_int_equal(e[0].spill_loads, 1840);
    assert_int_equal(e[0].shared, 33792);
    assert_int_equal(e[0].barriers, 9);
    assert_string_equal(e[1].name, "conv_a_sum");
    assert_int_equal(e[1].registers, 12);
    assert_int_equal(e[1].spill_stores, 0);          /* the helper's are not the entry's */
    ptxas_free(e, 2);
    assert_int_equal(ptxas_report(REPORT12, &e), 1);
    assert_int_equal(e[0].registers, 255);
    assert_int_equal(e[0].stack, 16);
    assert_int_equal(e[0].shared, 512);
    ptxas_free(e, 1);
    assert_int_equal(ptxas_report("", &e), 0);
    assert_int_equal(ptxas_report("ptxas info    : Used 8 registers\nnothing\n\n", &e), 0);
    for (size_t n = 0; n < sizeof REPORT13; n++) {   /* a report cut off anywhere is read without harm */
        char *cut = xasprintf("%.*s", (int)n, REPORT13);
        int k = ptxas_report(cut, &e);
        assert_true(k <= 2);
        ptxas_free(e, k);
        free(cut);
    }
}

static void test_warnings(void **state)
{
    (void)state;
    assert_null(ptxas_warnings(REPORT13));
    assert_null(ptxas_warnings(REPORT12));
    assert_null(ptxas_warnings("\n \n"));
    char *w = ptxas_warnings("k.cu(3): warning #177-D: variable\nptxas info    : Used 8 registers\n"
                             "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized\n");
    assert_non_null(strstr(w, "#177-D"));
    assert_non_null(strstr(w, "C7510"));
    assert_null(strstr(w, "Used"));
    free(w);
}

static void test_occupancy(void **state)
{
    (void)state;
    const ArchLimits *a = arch_limits("sm_90a"), *b = arch_limits("sm_120"), *c = arch_limits("sm_80");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(arch_limits("sm_9"));
    assert_null(arch_limits(""));
    /* Values of cuda_occupancy.h. */
    const struct { const ArchLimits *a; int registers, fixed, threads, dynamic, want; } t[] = {
        {a, 32, 0, 256, 0, 8}, {a, 33, 0, 256, 0, 6}, {a, 168, 0, 384, 0, 1}, {a, 255, 0, 256, 0, 1}, {a, 128, 0, 544, 0, 0}, {a, 16, 0, 32, 0, 32},
        {a, 16, 0, 128, 227 << 10, 1}, {a, 16, 0, 128, (227 << 10) + 1, 0}, {a, 16, 1024, 128, 226 << 10, 1}, {a, 16, 512, 128, 0, 16},
        {b, 16, 0, 32, 0, 24}, {b, 40, 0, 256, 0, 6}, {b, 16, 0, 128, 99 << 10, 1}, {b, 16, 0, 128, 100 << 10, 0}, {c, 18, 0, 128, 16384, 9},
    };
    for (size_t i = 0; i < COUNT(t); i++) {
        PtxasEntry e = {.registers = t[i].registers, .shared = t[i].fixed};
        if (resident_blocks(t[i].a, &e, t[i].threads, t[i].dynamic) != t[i].want)
            fail_msg("row %zu: %d, wanted %d", i, resident_blocks(t[i].a, &e, t[i].threads, t[i].dynamic), t[i].want);
    }
}

/* ---- keys ---- */
static StrBuf make(const char *arch, const char *options, const char *kernel)
{
    StrBuf b = {0};
    key_add(&b, "arch", arch, strlen(arch));
    key_add(&b, "options", options, strlen(options));
    key_add(&b, "compiler", "one 1", 5);
    key_add(&b, "kernel", kernel, strlen(kernel));
    return b;
}

static void test_fields(void **state)
{
    (void)state;
    /* A text that looks like the next field stays what it is. */
    StrBuf a = make("sm_1\noptions 0\n", "", "x"), b = make("sm_1", "", "x");
    assert_true(a.len != b.len);
    KeyField f;
    assert_true(key_field(a.s, a.len, "arch", &f));
    assert_int_equal(f.len, 15);
    assert_true(key_field(a.s, a.len, "kernel", &f));
    assert_memory_equal(f.text, "x", 1);
    assert_false(key_field(a.s, a.len, "kern", &f));
    for (size_t n = 0; n < a.len; n++) {             /* cut off anywhere: no field beyond the end */
        char *cut = xmalloc(MAX(1, n));
        memcpy(cut, a.s, n);
        size_t at = 0;
        while (key_next(cut, n, &at, &f)) assert_true(f.text + f.len < cut + n);
        free(cut);
    }
    size_t at = 0;
    assert_false(key_next("arch 99999999999999999999\nx\n", 28, &at, &f));
    assert_false(key_next("arch -1\nx\n", 10, &at, &f));
    sb_free(&a);
    sb_free(&b);
}

static void expect_differences(const StrBuf *want, const StrBuf *have, const char *text)
{
    StrBuf d = {0};
    key_explain(want->s, want->len, have->s, have->len, &d);
    assert_string_equal(d.s ? d.s : "", text);
    sb_free(&d);
}

static void test_explain(void **state)
{
    (void)state;
    StrBuf a = make("sm_90a", "--a\n--b=1\n--c", "int x;\nint y;\nint z;\n"), b = make("sm_90a", "--a\n--b=2\n--c", "int x;\nint y;\nint z;\n"),
           c = make("sm_80", "--a\n--c", "int x;\nint w;\nint z;\n"), d = make("sm_90a", "--a\n--b=1\n--c", "int x;\n");
    expect_differences(&a, &a, "");
    expect_differences(&a, &b, "option changed: --b=2 -> --b=1\n");
    expect_differences(&a, &c, "arch changed: sm_80 -> sm_90a\noption changed: none -> --b=1\nkernel line 2: int w; -> int y;\n");
    expect_differences(&a, &d, "kernel line 2: end -> int y;\n");
    expect_differences(&d, &a, "kernel line 2: int y; -> end\n");
    assert_int_equal(key_distance(a.s, a.len, a.s, a.len), 0);
    assert_true(key_distance(a.s, a.len, b.s, b.len) < key_distance(a.s, a.len, c.s, c.len));
    assert_true(key_equal_but(a.s, a.len, b.s, b.len, "options"));
    assert_false(key_equal_but(a.s, a.len, b.s, b.len, "compiler"));
    assert_false(key_equal_but(a.s, a.len, c.s, c.len, "options"));
    assert_true(key_equal_but(a.s, a.len, a.s, a.len, "compiler"));
    assert_false(key_equal_but(a.s, a.len, a.s, a.len - 1, "compiler"));
    assert_false(key_equal_but(a.s, a.len, "", 0, "compiler"));
    sb_free(&a);
    sb_free(&b);
    sb_free(&c);
    sb_free(&d);
}

static void same_canonical(const char *x, const char *y, bool want)
{
    StrBuf a = {0}, b = {0};
    key_canonical(&a, x);
    key_canonical(&b, y);
    assert_int_equal(a.len == b.len && (!a.len || !memcmp(a.s, b.s, a.len)), want);
    sb_free(&a);
    sb_free(&b);
}

static void test_canonical(void **state)
{
    (void)state;
    same_canonical("/* one */\nint x;   // two\n", "int x; \n", true);
    same_canonical("int  x;\n\n\n", "int x;\n", true);
    same_canonical("a = \"// no comment\";", "a = \"\";", false);
    same_canonical("asm(\"mov  %0;\");", "asm(\"mov %0;\");", false);
    same_canonical("a/**/b", "ab", false);
    same_canonical("'\"' /* x */ y", "'\"' y", true);
    same_canonical("\"\\\" /* kept */\"", "\"\\\" \"", false);
    same_canonical("#define A\n1", "#define A 1", false);
    same_canonical("", "// nothing", true);
}

/* ---- layers ---- */
static void test_layers(void **state)
{
    (void)state;
    char root[] = "/tmp/ect-test-cubins-XXXXXX";
    assert_non_null(mkdtemp(root));
    char *shared = xasprintf("%s/shared", root), *both = xasprintf("%s/own:%s/none::%s", root, root, shared);
    setenv("ECT_CACHE", shared, 1);
    cache_reset();
    cache_store("key", 3, "note 1\n", "bytes", 5);
    setenv("ECT_CACHE", both, 1);
    cache_reset();
    const char *layer[CACHE_MAX_LAYERS];
    assert_int_equal(cache_layers(layer), 3);
    CacheEntry e;
    assert_true(cache_find("key", 3, &e));
    assert_string_equal(e.meta, "note 1\n");
    assert_int_equal(e.bytes, 5);
    cache_entry_free(&e);
    assert_false(cache_find("kez", 3, &e));
    cache_store("own", 3, "", "x", 1);
    int n;
    CacheItem *v = cache_list(CACHE_MAX_LAYERS, &n);
    assert_int_equal(n, 2);
    cache_list_free(v, n);
    v = cache_list(1, &n);
    assert_int_equal(n, 1);
    cache_list_free(v, n);
    /* Damage in a folder that is only read is a miss, and stays. */
    setenv("ECT_CACHE", shared, 1);
    cache_reset();
    char *path = cache_entry_path("key", 3);
    assert_int_equal(truncate(path, 40), 0);
    setenv("ECT_CACHE", both, 1);
    cache_reset();
    assert_false(cache_find("key", 3, &e));
    assert_true(file_exists(path));
    /* Nothing but folders that are read. */
    char *only = xasprintf(":%s", shared);
    setenv("ECT_CACHE", only, 1);
    cache_reset();
    assert_null(cache_dir());
    cache_store("new", 3, "", "x", 1);
    assert_false(cache_find("new", 3, &e));
    assert_int_equal(cache_layers(layer), 1);
    unsetenv("ECT_CACHE");
    cache_reset();
    remove_tree(root);
    free(path);
    free(only);
    free(shared);
    free(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report), cmocka_unit_test(test_warnings), cmocka_unit_test(test_occupancy), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_explain), cmocka_unit_test(test_canonical), cmocka_unit_test(test_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
