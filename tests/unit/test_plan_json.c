/* ectc's reader of plans: reads what it must, does without what it may, and refuses damage with an error, never a crash.
   Assumes a writable /tmp. */
#include "compiler/plan_json.h"
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

static char dir[64];
static const char whole[] =
    "{\"format\": \"ect-plan\", \"version\": 2, \"ectc\": \"0.1.0\", \"model\": \"m.dsl\", \"batch\": 4, "
    "\"future\": {\"x\": [1]},\n"
    " \"kernels\": [{\"name\": \"k1\", \"file\": \"kernels/k1.c\", \"class\": \"map\", \"flops\": 10, \"bytes\": 20, "
    "\"issued_bytes\": 30,\n"
    "   \"shape\": \"[n:4]\", \"instances\": [\"a\", \"b\"], \"source\": [\"m.dsl:1\"]},\n"
    "  {\"name\": \"k2\", \"class\": \"contract\", \"flops\": 7, \"bytes\": 8}],\n"
    " \"programs\": [{\"name\": \"f\", \"training\": true, \"segments\": [{\"name\": \"f.micro\", \"graph\": \"graph/f.txt\",\n"
    "   \"phase\": \"micro\", \"each\": null, \"buffers\": [{\"name\": \"x\", \"kind\": \"input\", \"elements\": 20},\n"
    "     {\"name\": \"v1\", \"kind\": \"arena\", \"elements\": 16, \"offset\": 16},\n"
    "     {\"name\": \"v2\", \"kind\": \"arena\", \"elements\": 16, \"offset\": 32, \"type\": \"bf16\", \"first\": 1, \"last\": 1},\n"
    "     {\"kind\": \"arena\", \"elements\": 1}],\n"
    "   \"steps\": [{\"kernel\": 1, \"buffers\": [0, 1], \"at\": \"m.dsl:3\", \"path\": \"a\"},\n"
    "     {\"kernel\": 0, \"buffers\": [1, 2], \"instances\": 2, \"bytes\": 33, \"source\": [\"m.dsl:4\", \"m.dsl:5\"], \"nodes\": [3, 4]}],\n"
    "   \"peak_bytes\": 192, \"flops\": 17, \"bytes\": 28}]}, {\"name\": \"init\", \"segments\": []}]}\n";

static void put_plan(const char *text, size_t n)
{
    char *path = xasprintf("%s/plan.json", dir);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(text, 1, n, f) != n || fclose(f)) die("cannot write %s", path);
    free(path);
}
static void accepted(void **state)
{
    (void)state;
    put_plan(whole, strlen(whole));
    char *err = NULL;
    PlanJson *p = plan_json_load(dir, &err);
    if (!p) fail_msg("%s", err);
    assert_true(p->n_kernels == 2 && p->kernel[0].issued_bytes == 30 && p->kernel[1].issued_bytes == -1
                && p->kernel[0].instance.n == 2);
    assert_string_equal(p->kernel[0].shape, "[n:4]");
    assert_string_equal(p->kernel[1].shape, "");
    assert_string_equal(p->precision, "f32");
    assert_true(p->batch == 4 && json_object_get(p->root, "future") && p->n_programs == 2);
    const ProgramJson *g = plan_json_program(p, "f");
    assert_true(g && g->training && g->n_segments == 1 && !plan_json_program(p, "g"));
    const SegmentJson *s = &g->segment[0];
    assert_true(s->n_steps == 2 && s->n_buffers == 4 && s->peak_bytes == 192 && !strcmp(s->phase, "micro") && !*s->each);
    assert_true(s->buffer[0].bytes == 80 && s->buffer[2].bytes == 32);
    assert_true(s->buffer[0].first == 0 && s->buffer[0].last == 0 && s->buffer[1].first == 0 && s->buffer[1].last == 1);
    assert_true(s->buffer[2].first == 1 && s->buffer[2].last == 1 && s->buffer[3].first == -1 && s->buffer[3].last == -1);
    assert_true(s->step[0].kernel == 1 && s->step[0].source.n == 1 && !strcmp(s->step[0].source.v[0], "m.dsl:3"));
    assert_true(s->step[0].instances == 1 && s->step[1].instances == 2);
    assert_true(s->step[0].bytes == 8 && s->step[1].bytes == 33);
    assert_true(s->step[1].source.n == 2 && s->step[1].node.n == 2 && s->step[1].node.v[1] == 4 && !*s->step[1].path);
    assert_null(plan_json_file(p, "../plan.json", NULL));
    assert_null(plan_json_file(p, "/etc/passwd", NULL));
    char *text = plan_json_file(p, "plan.json", NULL);
    assert_string_equal(text, whole);
    free(text);
    plan_json_free(p);
}
static void refuse(const char *from, const char *to, const char *part)
{
    const char *at = strstr(whole, from);
    if (!at) fail_msg("the plan does not hold %s", from);
    char *text = xasprintf("%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from)), *err = NULL;
    put_plan(text, strlen(text));
    PlanJson *p = plan_json_load(dir, &err);
    if (p) fail_msg("%s -> %s was accepted", from, to);
    if (!strstr(err, part)) fail_msg("%s -> %s: %s", from, to, err);
    free(err);
    free(text);
}
static void edited(void **state)
{
    (void)state;
    refuse("ect-plan", "other", "format");
    refuse("\"version\": 2", "\"version\": 1000", "version 1000");
    refuse("\"version\": 2", "\"version\": 0", "version 0");
    refuse("\"version\": 2", "\"version\": \"2\"", "whole number");
    refuse("\"name\": \"k1\"", "\"name\": null", "kernel 0: `name` must be a string");
    refuse("\"name\": \"k1\", ", "", "kernel 0: `name` must be a string");
    refuse("\"class\": \"map\"", "\"class\": 3", "`class`");
    refuse("\"flops\": 10", "\"flops\": -1", "`flops`");
    refuse("\"flops\": 10, ", "", "`flops`");
    refuse("\"bytes\": 20", "\"bytes\": 2.5", "`bytes`");
    refuse("\"issued_bytes\": 30", "\"issued_bytes\": -2", "`issued_bytes`");
    refuse("\"instances\": [\"a\", \"b\"]", "\"instances\": [\"a\", 1]", "list of strings");
    refuse("\"kernel\": 1", "\"kernel\": 2", "step 0: `kernel` is 2");
    refuse("\"kernel\": 1", "\"kernel\": -1", "`kernel`");
    refuse("\"buffers\": [0, 1]", "\"buffers\": [0, 4]", "an index in `buffers`");
    refuse("\"buffers\": [0, 1]", "\"buffers\": 5", "`buffers` must be a list");
    refuse("\"instances\": 2", "\"instances\": 0", "0 instances");
    refuse("\"instances\": 2", "\"instances\": 3", "2 buffers do not share out among 3 instances");
    refuse("\"instances\": 2", "\"instances\": \"2\"", "`instances` must be a whole number");
    refuse("\"kind\": \"input\"", "\"kind\": []", "buffer 0: `kind`");
    refuse("\"peak_bytes\": 192, ", "", "`peak_bytes`");
    refuse("\"segments\": [{", "\"segment\": [{", "`segments`");
    refuse("\"batch\": 4", "\"batch\": \"\\u0007\"", "batch");
    refuse("{\"name\": \"k1\"", "5, {\"name\": \"k1\"", "kernel 0");
}
static void damaged(void **state)
{
    (void)state;
    size_t n = strlen(whole);
    char *copy = xstrdup(whole), *err = NULL;
    for (size_t k = 0; k < n - 1; k++) {                              /* the last byte is a newline */
        put_plan(whole, k);
        PlanJson *p = plan_json_load(dir, &err);
        if (p) fail_msg("accepted %zu of %zu bytes", k, n);
        free(err);
    }
    for (size_t k = 0; k < 20 * n; k += 7) {                          /* any answer but a crash */
        size_t at = k % n;
        char old = copy[at];
        static const char digits[] = "0129-.e\"[]{},: \\";
        copy[at] = k < 4 * n ? (char)(old ^ (1 << k / n * 2)) : digits[k / n % (sizeof digits - 1)];
        put_plan(copy, n);
        PlanJson *p = plan_json_load(dir, &err);
        if (p) plan_json_free(p);
        else free(err);
        copy[at] = old;
    }
    free(copy);
    static const struct { const char *path, *says; } no_plan[] = {{"/nonexistent/plan", "there is no plan"},
                                                                  {"/dev/null", "is no plan"},
                                                                  {"/dev", "no readable plan.json"}};
    for (size_t i = 0; i < COUNT(no_plan); i++) {
        assert_null(plan_json_load(no_plan[i].path, &err));
        if (!strstr(err, no_plan[i].says)) fail_msg("%s", err);
        free(err);
    }
    static const char *const other[] = {"", "null", "[]", "5", "{}", "{\"format\": \"ect-plan\"}", "\xff\xfe",
                                        "{\"format\": {}}"};
    for (size_t i = 0; i < COUNT(other); i++) {
        put_plan(other[i], strlen(other[i]));
        assert_null(plan_json_load(dir, &err));
        free(err);
    }
}
static int clean(void **state) { (void)state; remove_tree(dir); return 0; }
int main(void)
{
    /* thousands of small files */
    strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/ect-test-reader-XXXXXX" : "/dev/shm/ect-test-reader-XXXXXX");
    if (!mkdtemp(dir)) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(edited), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
