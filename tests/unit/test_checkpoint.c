/* Checkpoints: contents and order of tensors, retention, damaged ones passed over, writes that fail.
   Assumes a writable /tmp; the plan and session are made by hand. */
#include "runtime/checkpoint.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* weight [o:2, i:3] lies with i outermost; bias [o:2]. */
static PlanParam params[] = {
    {.name = "net.weight", .shape = {2, {"o", "i"}, {2, 3}}, .order = {1, 0}, .stride = {1, 2}, .offset = 0, .elements = 6},
    {.name = "net.bias", .shape = {1, {"o"}, {2}}, .order = {0}, .stride = {1}, .offset = 8, .elements = 2},
};
static const char *sets[] = {"", "ema"};
static PlanState states[] = {{.name = "m", .set = -1}, {.name = "ema", .from_param = true, .ema = true, .set = 1}};
static Plan plan = {.n_params = 2, .param = params, .param_elements = 10, .n_sets = 2, .set = sets, .n_states = 2, .state = states};
static float live[10], ema[10], moment[10];
static float *set_arrays[] = {live, ema}, *state_arrays[] = {moment, ema};
static Session session = {.plan = &plan, .param = live, .set = set_arrays, .state = state_arrays};
static char root[64];

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/ect-test-ckpt-XXXXXX");
    assert_non_null(mkdtemp(root));
    for (int i = 0; i < 10; i++) {
        live[i] = (float)i;
        ema[i] = 100 + (float)i;
        moment[i] = 200 + (float)i;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

static char *save_step(uint64_t step, int keep)
{
    Checkpoint c = {.step = step, .seen = 8 * step, .seed = 5, .position = (int64_t)(8 * step), .run = "{\"data\": null}", .config = "{}", .plan = "abc"};
    return checkpoint_save(&session, root, &c, keep);
}

static void expect_tensor(const TensorFile *f, const char *name, int n, const float *want)
{
    const TensorEntry *t = tensor_find(f, name);
    assert_non_null(t);
    assert_int_equal(t->elements, n);
    float got[16];
    tensor_read_f32(t, 0, n, got);
    for (int i = 0; i < n; i++) assert_true(got[i] == want[i]);
}

static void test_contents(void **state)
{
    (void)state;
    char *path = save_step(12, 3);
    assert_non_null(strstr(path, "/ckpt-000012.safetensors"));
    Checkpoint c;
    TensorFile *f = checkpoint_open(path, &c);
    assert_int_equal(c.step, 12);
    assert_int_equal(c.seen, 96);
    assert_int_equal(c.seed, 5);
    assert_int_equal(c.position, 96);
    assert_string_equal(c.run, "{\"data\": null}");
    assert_string_equal(c.plan, "abc");
    assert_int_equal(f->n, 6);
    const float weight[] = {0, 2, 4, 1, 3, 5};
    float shifted[6];
    expect_tensor(f, "net.weight", 6, weight);
    for (int i = 0; i < 6; i++) shifted[i] = 100 + weight[i];
    expect_tensor(f, "ema.net.weight", 6, shifted);
    for (int i = 0; i < 6; i++) shifted[i] = 200 + weight[i];
    expect_tensor(f, "state.m.net.weight", 6, shifted);
    expect_tensor(f, "net.bias", 2, (const float[]){8, 9});
    expect_tensor(f, "state.m.net.bias", 2, (const float[]){208, 209});
    tensor_file_close(f);
    /* The bytes are a function of the state alone. */
    size_t n, m;
    char *one = read_file(path, &n);
    free(save_step(12, 3));
    char *two = read_file(path, &m);
    assert_int_equal(n, m);
    assert_memory_equal(one, two, n);
    free(one);
    free(two);
    free(path);
}

static void test_retention(void **state)
{
    (void)state;
    for (uint64_t step = 1; step <= 5; step++) free(save_step(step * 250000, 2));
    char *path = checkpoint_find(root);
    assert_non_null(strstr(path, "ckpt-1250000."));
    free(path);
    for (uint64_t step = 1; step <= 5; step++) {
        path = xasprintf("%s/ckpt-%06llu.safetensors", root, (unsigned long long)step * 250000);
        assert_int_equal(file_exists(path), step >= 4);
        free(path);
    }
}

static void test_damaged(void **state)
{
    (void)state;
    char *first = save_step(1, 0), *second = save_step(2, 0), *found;
    size_t n;
    char *good = read_file(second, &n);
    for (size_t cut = 0; cut < n; cut += cut < 64 ? 1 : 37) {
        assert_true(write_file_atomic(second, good, cut));
        found = checkpoint_find(root);
        assert_non_null(found);
        assert_string_equal(found, first);
        free(found);
    }
    assert_true(write_file_atomic(second, good, n));
    found = checkpoint_resolve(root);
    assert_string_equal(found, second);
    free(found);
    free(good);
    free(first);
    free(second);
    found = checkpoint_find("/tmp/ect-no-such-folder");
    assert_null(found);
}

/* In a child: a file size limit that the checkpoint exceeds. Status 2, the earlier one whole, nothing else left. */
static void test_no_room(void **state)
{
    (void)state;
    char *first = save_step(1, 1);
    size_t n, m;
    char *before = read_file(first, &n);
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        signal(SIGXFSZ, SIG_IGN);
        struct rlimit r = {n / 2, n / 2};
        setrlimit(RLIMIT_FSIZE, &r);
        if (!freopen("/dev/null", "w", stderr)) _exit(99);
        free(save_step(2, 1));
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == EXIT_MACHINE);
    char *after = read_file(first, &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    char *found = checkpoint_find(root);
    assert_string_equal(found, first);
    free(found);
    free(before);
    free(after);
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_retention, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
