/* The object cache: hits, misses, damage at every byte, read-only folders, two writers, pruning.
   Assumes a writable temporary folder. */
#include "cache/cache.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *root;

static int setup(void **state)
{
    (void)state;
    char t[] = "/tmp/ect-test-cache-XXXXXX";
    assert_non_null(mkdtemp(t));
    root = xstrdup(t);
    setenv("ECT_CACHE", root, 1);
    unsetenv("ECT_CACHE_MB");
    cache_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(root);
    free(root);
    return 0;
}

static void expect_hit(const char *key, const char *want)
{
    void *data;
    size_t n;
    assert_true(cache_get(key, strlen(key), &data, &n));
    assert_int_equal(n, strlen(want));
    assert_memory_equal(data, want, n);
    free(data);
}

static void expect_miss(const char *key)
{
    void *data;
    size_t n;
    assert_false(cache_get(key, strlen(key), &data, &n));
}

static void test_round_trip(void **state)
{
    (void)state;
    expect_miss("key one");
    cache_put("key one", 7, "bytes", 5);
    cache_put("key two", 7, "", 0);
    expect_hit("key one", "bytes");
    expect_hit("key two", "");
    expect_miss("key three");
    cache_put("key one", 7, "other", 5);
    expect_hit("key one", "other");
}

/* An entry whose name fits but whose key text differs is not believed. */
static void test_collision(void **state)
{
    (void)state;
    cache_put("aaa", 3, "bytes", 5);
    char *from = cache_entry_path("aaa", 3), *to = cache_entry_path("bbb", 3), *slash = strrchr(to, '/');
    *slash = 0;
    assert_true(make_dirs(to));
    *slash = '/';
    assert_int_equal(rename(from, to), 0);
    expect_miss("bbb");
    free(from);
    free(to);
}

static void test_damage(void **state)
{
    (void)state;
    cache_store("key", 3, "what is known\n", "some bytes", 10);
    char *path = cache_entry_path("key", 3);
    size_t n;
    char *good = read_file(path, &n);
    assert_non_null(good);
    for (size_t i = 0; i < n; i++) {
        assert_true(write_file_atomic(path, good, i));             /* truncated */
        expect_miss("key");
        char *bad = xmalloc(n);
        memcpy(bad, good, n);
        bad[i] ^= 0x41;                                            /* one byte wrong */
        assert_true(write_file_atomic(path, bad, n));
        expect_miss("key");
        assert_false(file_exists(path));
        free(bad);
    }
    cache_put("key", 3, "some bytes", 10);
    expect_hit("key", "some bytes");
    free(good);
    free(path);
}

/* No folder, a file in the folder's place: misses and no failure. */
static void test_unusable(void **state)
{
    (void)state;
    char *file = xasprintf("%s/file", root), *below = xasprintf("%s/file/cache", root);
    assert_true(write_file_atomic(file, "x", 1));
    setenv("ECT_CACHE", below, 1);
    cache_reset();
    cache_put("key", 3, "bytes", 5);
    expect_miss("key");
    setenv("ECT_CACHE", "off", 1);
    cache_reset();
    assert_null(cache_dir());
    cache_put("key", 3, "bytes", 5);
    expect_miss("key");
    setenv("ECT_CACHE", root, 1);
    cache_reset();
    /* A folder where the entry should go: the write fails, the run goes on. */
    char *path = cache_entry_path("key", 3), *inside = xasprintf("%s/x", path);
    assert_true(make_dirs(inside));
    cache_put("key", 3, "bytes", 5);
    expect_miss("key");
    free(path);
    free(inside);
    free(file);
    free(below);
}

static void test_two_writers(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    for (int i = 0; i < 100; i++) {
        char *key = xasprintf("key %d", i), *value = xasprintf("value %d", i);
        cache_put(key, strlen(key), value, strlen(value));
        expect_hit(key, value);
        free(key);
        free(value);
    }
    if (!pid) _exit(0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    char *temps = xasprintf("%s/*/tmp-*", root);
    glob_t g;
    assert_int_equal(glob(temps, 0, NULL, &g), GLOB_NOMATCH);
    free(temps);
}

/* kill -9 in the middle of a write leaves either nothing or the whole entry. */
static void test_killed_writer(void **state)
{
    (void)state;
    size_t n = 8 << 20;
    char *big = xmalloc(n);
    memset(big, 'x', n);
    for (int round = 0; round < 8; round++) {
        pid_t pid = fork();
        if (!pid) {
            cache_put("big", 3, big, n);
            _exit(0);
        }
        usleep((useconds_t)(round * 1500));
        kill(pid, 9);
        waitpid(pid, NULL, 0);
        void *data;
        size_t len;
        if (cache_get("big", 3, &data, &len)) {
            assert_int_equal(len, n);
            free(data);
            char *path = cache_entry_path("big", 3);
            unlink(path);
            free(path);
        }
    }
    cache_put("big", 3, big, n);
    void *data;
    size_t len;
    assert_true(cache_get("big", 3, &data, &len));
    free(data);
    free(big);
}

static void test_prune(void **state)
{
    (void)state;
    char *bytes = xcalloc(1, 1000);
    for (int i = 0; i < 10; i++) {
        char *key = xasprintf("key %d", i);
        cache_put(key, strlen(key), bytes, 1000);
        char *path = cache_entry_path(key, strlen(key));
        struct timespec t[2] = {{.tv_sec = 1000 + i}, {.tv_sec = 1000 + i}};
        assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
        free(path);
        free(key);
    }
    void *data;
    size_t n;
    assert_true(cache_get("key 0", 5, &data, &n));                 /* used now: stays */
    free(data);
    assert_true(cache_prune(3500) <= 3500);
    expect_miss("key 1");
    expect_miss("key 7");
    assert_true(cache_get("key 0", 5, &data, &n));
    free(data);
    assert_true(cache_get("key 9", 5, &data, &n));
    free(data);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_collision, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unusable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_writers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prune, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
