/* The base library: arena, buffers, symbols, files, hashes, suggestions.
   Assumes a writable temporary folder. */
#include "runtime/base.h"
#include <errno.h>
#include <setjmp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static void arena_zeroed_and_aligned(void **state)
{
    (void)state;
    Arena *a = arena_new();
    for (size_t n = 1; n < 300000; n = n * 3 + 1) {
        unsigned char *p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    assert_true(arena_bytes(a) >= 300000 / 3);
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
    assert_string_equal(arena_strndup(a, "abcdef", 3), "abc");
    arena_drop(a);
    arena_drop(NULL);
}

static void buffer_grows(void **state)
{
    (void)state;
    StrBuf b = {0};
    for (int i = 0; i < 1000; i++) sb_printf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(b.s), b.len);
    sb_free(&b);
    assert_null(b.s);
    sb_json_string(&b, "a\"\\\n\x01z");
    assert_string_equal(b.s, "\"a\\\"\\\\\\n\\u0001z\"");
    sb_free(&b);
}

static void symbols_are_interned(void **state)
{
    (void)state;
    Sym first = sym("alpha");
    char name[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "s%d", i);
        assert_ptr_equal(sym(name), symn(name, strlen(name)));
    }
    assert_ptr_equal(first, symn("alphabet", 5));
    assert_ptr_not_equal(first, sym("alphabet"));
    assert_string_equal(first, "alpha");
}

static void vectors_grow(void **state)
{
    (void)state;
    int *v = NULL, n = 0, cap = 0;
    for (int i = 0; i < 100; i++) vec_push(v, n, cap, i * i);
    assert_int_equal(n, 100);
    assert_int_equal(v[99], 9801);
    free(v);
}

static void files_and_folders(void **state)
{
    (void)state;
    char dir[] = "/tmp/ect-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *deep = xasprintf("%s/a/b/c/", dir), *file = xasprintf("%s/a/b/c/f.bin", dir);
    assert_true(make_dirs(deep));
    assert_true(make_dirs(deep));
    assert_true(write_file_atomic(file, "one\0two", 7));
    assert_true(write_file_atomic(file, "1\0002", 3));
    size_t n = 0;
    char *s = read_file(file, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(s, "1\0002\0", 4);
    free(s);
    assert_false(write_file_atomic(deep, "x", 1));
    char *below = xasprintf("%s/f.bin/x", deep), *missing = xasprintf("%s/none", dir);
    assert_false(make_dirs(below));
    assert_null(read_file(missing, &n));
    assert_int_equal(errno, ENOENT);
    assert_null(read_file(dir, &n));
    assert_true(file_exists(dir));
    assert_true(remove_tree(dir));
    assert_false(file_exists(dir));
    assert_false(remove_tree(""));
    assert_false(remove_tree("/"));
    free(below);
    free(missing);
    free(deep);
    free(file);
}

static void hashes_are_stable(void **state)
{
    (void)state;
    char hex[33];
    hash128_hex("", 0, hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");      /* XXH3-128 of nothing, as published */
    assert_int_equal(hash64("", 0, 0), 0x2d06800538d394c2ull);
    assert_int_not_equal(hash64("a", 1, 0), hash64("a", 1, 1));
}

static void suggestions(void **state)
{
    (void)state;
    const char *const names[] = {"channels", "blocks", "attn", "sigma_min", "sigma_max", "k"};
    assert_string_equal(suggest("chanels", names, 6), "channels");
    assert_string_equal(suggest("Attn", names, 6), "attn");
    assert_string_equal(suggest("sigma_mni", names, 6), "sigma_min");
    assert_null(suggest("zebra", names, 6));
    assert_null(suggest("q", names, 6));
    assert_null(suggest("", names, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_zeroed_and_aligned), cmocka_unit_test(buffer_grows), cmocka_unit_test(symbols_are_interned),
        cmocka_unit_test(vectors_grow), cmocka_unit_test(files_and_folders), cmocka_unit_test(hashes_are_stable),
        cmocka_unit_test(suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
