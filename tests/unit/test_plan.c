/* Plans: a valid one is read completely; truncated, edited and hostile ones give an error and never a crash.
   Assumes a writable /tmp. */
#include "runtime/plan.h"
#include <jansson.h>
#include <sys/wait.h>
#include <unistd.h>
#include <setjmp.h>
#include <cmocka.h>

static char dir[64];
static const char whole[] =
    "{\"format\": \"ect-plan\", \"version\": 2, \"ectc\": \"0.1.0\", \"model\": \"m.dsl\", \"batch\": 4, \"config\": [[\"res\", "
    "\"32\"]],\n"
    "\"parameters\": [{\"name\": \"w\", \"was\": \"old.w\", \"roles\": [\"o\", \"i\"], \"shape\": [3, 5], \"order\": [1, 0], "
    "\"offset\": 0},\n"
    " {\"name\": \"b\", \"was\": null, \"roles\": [\"c\"], \"shape\": [3], \"order\": [0], \"offset\": 16}], \"param_elements\": "
    "32,\n"
    "\"sets\": [\"\", \"ema\"], \"states\": [{\"name\": \"m\", \"init\": 0}, {\"name\": \"ema\", \"init\": \"param\", \"ema\": "
    "true}],\n"
    "\"runtime\": [{\"name\": \"lr\", \"type\": \"real\", \"expr\": \"1e-3\"}, {\"name\": \"stage\", \"type\": \"int\", "
    "\"expr\": \"floor(seen / 10)\"}],\n"
    "\"scalars\": [\"lr\", \"sqrt(step)\", \"t\"], \"streams\": [\"noise\"],\n"
    "\"kernels\": [{\"name\": \"k1\", \"file\": \"kernels/k1.c\", \"class\": \"map\", \"flops\": 10, \"bytes\": 20, \"scratch\": "
    "0, \"shared\": 0,"
    " \"instances\": [\"a\"], \"source\": [\"m.dsl:1\"]}],\n"
    "\"programs\": [{\"name\": \"init\", \"training\": false, \"inputs\": [], \"outputs\": [{\"name\": \"w\", \"roles\": [\"o\", "
    "\"i\"], \"shape\": [3, 5]},"
    " {\"name\": \"b\", \"roles\": [\"c\"], \"shape\": [3]}], \"segments\": [{\"name\": \"init\", \"graph\": \"graph/g.txt\", "
    "\"phase\": null, \"each\": null,"
    " \"time\": null, \"buffers\": [], \"draws\": [], \"steps\": [], \"peak_bytes\": 0, \"flops\": 0, \"bytes\": 0}]},\n"
    "{\"name\": \"grad\", \"training\": true, \"inputs\": [{\"name\": \"x\", \"roles\": [\"n\", \"c\"], \"shape\": [4, 5]}, "
    "{\"name\": \"labels\","
    " \"roles\": [\"n\", \"c\"], \"shape\": [4, 0]}], \"outputs\": [{\"name\": \"loss\", \"roles\": [\"n\"], \"shape\": [4]}, "
    "{\"name\": \"grad.w\","
    " \"roles\": [\"o\", \"i\"], \"shape\": [3, 5]}],\n"
    " \"segments\": [{\"name\": \"grad\", \"graph\": \"graph/g.txt\", \"fused\": \"graph/g.txt\", \"phase\": \"micro\", \"each\": \"mid\", \"time\": \"t\", "
    "\"buffers\": [\n"
    "  {\"name\": \"x\", \"kind\": \"input\", \"elements\": 20, \"roles\": [\"n\", \"c\"], \"shape\": [4, 5]}, {\"name\": "
    "\"v1\", \"kind\": \"arena\","
    " \"elements\": 16, \"offset\": 16, \"first\": 0, \"last\": 0}, {\"name\": \"\", \"kind\": \"param\", \"set\": \"ema\", \"offset\": 16, \"elements\": "
    "3},\n"
    "  {\"name\": \"grad.w\", \"kind\": \"grad\", \"offset\": 0, \"elements\": 15}, {\"name\": \"loss\", \"kind\": \"output\", "
    "\"elements\": 4},\n"
    "  {\"name\": \"carry.x\", \"kind\": \"carry\", \"elements\": 20, \"roles\": [\"n\", \"c\"], \"shape\": [4, 5]}],\n"
    "  \"draws\": [{\"name\": \"draw.noise\", \"kind\": \"bernoulli\", \"p\": 0.8, \"p_scalar\": null, \"roles\": [\"c\", "
    "\"n\"], \"shape\": [5, 4]}],\n"
    "  \"steps\": [{\"kernel\": 0, \"buffers\": [0, 1, 5], \"draws\": [0], \"at\": \"m.dsl:3\", \"path\": \"a\", "
    "\"nodes\": [2, 5], \"source\": [\"m.dsl:3\", \"std/nn.dsl:27\"]}], "
    "\"peak_bytes\": 128, \"flops\": 1, \"bytes\": 1}]}]}\n";

static void put(const char *name, const void *data, size_t n)
{
    char *path = xasprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, n, f) != n || fclose(f)) die("cannot write %s", path);
    free(path);
}
static void put_plan(const char *text) { put("plan.json", text, strlen(text)); }
static void accepted(void **state)
{
    (void)state;
    put_plan(whole);
    char *err = NULL;
    Plan *p = plan_load(dir, &err);
    if (!p) fail_msg("%s", err);
    assert_true(p->n_params == 2 && p->param[0].stride[0] == 1 && p->param[0].stride[1] == 3 && p->param[0].elements == 15 &&
                p->param[1].offset == 16);
    assert_true(plan_param_index(p, "old.w") == 0 && plan_param_index(p, "b") == 1 && plan_param_index(p, "c") == -1);
    assert_true(p->n_sets == 2 && p->state[1].ema && p->state[1].set == 1 && p->state[1].from_param && p->runtime[1].is_int &&
                p->batch == 4);
    const PlanProgram *g = plan_program(p, "grad");
    assert_true(g && g->training && g->output_param[0] == -1 && g->output_param[1] == 0 &&
                shape_elements(&g->input[1].shape) == 0 && g->n_carries == 1);
    const PlanSegment *s = &g->segment[0];
    assert_true(s->n_buffers == 6 && s->buffer[2].set == 1 && s->buffer[4].io == 0 && s->buffer[4].shape.n == 1 &&
                s->buffer[5].io == 0);
    assert_true(s->draw[0].rows == 4 && s->draw[0].per_row == 5 && s->draw[0].p == 0.8 && s->draw[0].p_scalar == -1 &&
                s->phase == PHASE_MICRO);
    assert_true(s->n_steps == 1 && s->step[0].buffer[2] == 5 && !strcmp(s->step[0].at, "m.dsl:3"));
    assert_true(s->buffer[1].first == 0 && s->buffer[1].last == 0 && s->buffer[0].first == -1 && s->buffer[0].last == -1);
    assert_true(s->step[0].n_nodes == 2 && s->step[0].node[1] == 5 && s->step[0].n_source == 2 &&
                !strcmp(s->step[0].source[1], "std/nn.dsl:27"));
    plan_free(p);
}
static void refuse(const char *from, const char *to, const char *part)
{
    const char *at = strstr(whole, from);
    if (!at) fail_msg("the plan does not hold %s", from);
    char *text = xasprintf("%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from)), *err = NULL;
    put_plan(text);
    Plan *p = plan_load(dir, &err);
    if (p) fail_msg("%s -> %s was accepted", from, to);
    if (!strstr(err, part)) fail_msg("%s -> %s: %s", from, to, err);
    free(err);
    free(text);
}
/* The same with a product of k1: d [4 x 4] = a [4 x 5] b [5 x 4], of x, v1 and carry.x. */
static void products(void **state)
{
    static const char good[] = "\"product\": {\"m\": 4, \"n\": 4, \"k\": 5, \"batch\": 1, \"alpha\": 0.5, \"number\": \"bf16\", "
        "\"a\": {\"buffer\": 0, \"type\": \"f32\", \"offset\": 0, \"ld\": 4, \"stride\": 0, \"transposed\": false, \"round\": \"bf16\"}, "
        "\"b\": {\"buffer\": 2, \"type\": \"f32\", \"offset\": 0, \"ld\": 4, \"stride\": 0, \"transposed\": true, \"round\": \"bf16\"}, "
        "\"d\": {\"buffer\": 1, \"type\": \"f32\", \"offset\": 0, \"ld\": 4, \"stride\": 0, \"transposed\": false}}, ";
    static const char *const wrong[][3] = {                          /* from, to, what is said; NULL: it is accepted */
        {"\"m\"", "\"m\"", NULL}, {"\"k\": 5", "\"k\": 6", "ends beyond buffer `x`"}, {"\"offset\": 0", "\"offset\": 1", "ends beyond buffer `x`"},
        {"\"buffer\": 2", "\"buffer\": 3", "names buffer 3 of 3"}, {"\"ld\": 4", "\"ld\": 3", "ld"}, {"\"m\": 4", "\"m\": 0", "`m`"},
        {"\"batch\": 1", "\"batch\": 2", NULL}, {"\"number\": \"bf16\"", "\"number\": \"f8\"", "no precision"}, {", \"round\": \"bf16\"", "", "differ in type"},
        {"\"round\": \"bf16\"", "\"round\": \"f16\"", "two precisions"}, {"false}}", "true}}", "transposed or rounded"},
        {"false}}", "false}, \"bias\": {\"buffer\": 1, \"offset\": 13}}", "the bias"}, {"\"ld\": 4", "\"ld\": 274877906944", "no matrix"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const char *at = strstr(good, wrong[i][0]), *kernel = strstr(whole, "\"instances\": [\"a\"]");
        char *product = xasprintf("%.*s%s%s", (int)(at - good), good, wrong[i][1], at + strlen(wrong[i][0])), *err = NULL;
        char *text = xasprintf("%.*s%s%s", (int)(kernel - whole), whole, product, kernel);
        put_plan(text);
        Plan *p = plan_load(dir, &err);
        if (p && wrong[i][2]) fail_msg("%s was accepted", product);
        if (!p && (!wrong[i][2] || !strstr(err, wrong[i][2]))) fail_msg("%s: %s", product, err);
        if (p) assert_true(p->kernel[0].product->b.extent == 20 && p->kernel[0].product->a.round == NUM_BF16 && p->kernel[0].product->bias == -1);
        plan_free(p);
        free(product);
        free(text);
        free(err);
    }
}
static void edited(void **state)
{
    (void)state;
    refuse("\"version\": 2", "\"version\": 1", "compile the model again");
    refuse("\"version\": 2", "\"version\": 3", "version 3");
    refuse("ect-plan", "other", "format");
    refuse("\"batch\": 4", "\"batch\": -4", "batch");
    refuse("\"batch\": 4", "\"batch\": 4.5", "whole number");
    refuse("\"param_elements\": 32", "\"param_elements\": 18", "beyond");
    refuse("\"offset\": 16}]", "\"offset\": 10}]", "overlap");
    refuse("\"offset\": 16}]", "\"offset\": -1}]", "outside");
    refuse("\"offset\": 16}]", "\"offset\": 9223372036854775807}]", "outside");
    refuse("\"order\": [1, 0]", "\"order\": [1, 1]", "permutation");
    refuse("\"order\": [1, 0]", "\"order\": [1, 2]", "permutation");
    refuse("\"order\": [1, 0]", "\"order\": [0]", "order");
    refuse("\"shape\": [3, 5], \"order\"", "\"shape\": [4294967296, 4294967296], \"order\"", "absurdly");
    refuse("\"shape\": [3, 5], \"order\"", "\"shape\": [3], \"order\"", "roles");
    refuse("\"name\": \"b\"", "\"name\": \"w\"", "called `w`");
    refuse("\"name\": \"b\"", "\"name\": \"\\u0007\"", "control");
    refuse("[\"\", \"ema\"]", "[\"ema\", \"\"]", "first of `sets`");
    refuse("[\"\", \"ema\"]", "[\"\"]", "not in `sets`");
    refuse("\"type\": \"int\"", "\"type\": \"string\"", "type");
    refuse("\"batch\": 4", "\"precision\": \"f8\", \"batch\": 4", "no precision");
    refuse("\"kind\": \"arena\",", "\"kind\": \"arena\", \"type\": \"tf32\",", "no type of elements");
    refuse("\"kind\": \"arena\",", "\"kind\": \"arena\", \"type\": 2,", "type");
    refuse("floor(seen / 10)", "floor(seen / ", "expression");
    refuse("sqrt(step)", "sqrt(", "expression");
    refuse("kernels/k1.c", "kernels/../k1.c", "must name a file");
    refuse("kernels/k1.c", "/etc/passwd", "must name a file");
    refuse("kernels/k1.c", "kernels/gone.c", "missing");
    refuse("\"name\": \"k1\"", "\"name\": \"k1;\"", "identifier");
    refuse("\"elements\": 16, \"offset\": 16", "\"elements\": 16, \"offset\": 17", "peak_bytes");
    refuse("\"offset\": 16, \"elements\": 3", "\"offset\": 30, \"elements\": 3", "param_elements");
    refuse("\"elements\": 20, \"roles\"", "\"elements\": 21, \"roles\"", "21 elements");
    refuse("\"kind\": \"output\"", "\"kind\": \"thing\"", "no kind");
    refuse("\"name\": \"loss\", \"kind\"", "\"name\": \"lose\", \"kind\"", "no output");
    refuse("\"buffers\": [0, 1, 5]", "\"buffers\": [0, 1, 6]", "index");
    refuse("\"draws\": [0]", "\"draws\": [1]", "index");
    refuse("\"kernel\": 0", "\"kernel\": 1", "kernel");
    refuse("\"first\": 0", "\"first\": -2", "first");
    refuse("\"first\": 0", "\"first\": 1", "first");
    refuse("\"first\": 0, \"last\": 0", "\"first\": -1, \"last\": -1", "outside its life");
    refuse("\"first\": 0, \"last\": 0", "\"first\": -1, \"last\": 0", "last");
    refuse("\"last\": 0", "\"last\": 1", "last");
    refuse(", \"last\": 0", "", "last");
    refuse("\"nodes\": [2, 5]", "\"nodes\": [5, 2]", "ascending");
    refuse("\"nodes\": [2, 5]", "\"nodes\": [0]", "positive");
    refuse("\"nodes\": [2, 5]", "\"nodes\": [-3]", "index in `nodes`");
    refuse("\"nodes\": [2, 5]", "\"nodes\": 2", "nodes");
    refuse("std/nn.dsl:27", "std/nn.dsl", "FILE:LINE");
    refuse("std/nn.dsl:27", "std/nn.dsl:0", "FILE:LINE");
    refuse("std/nn.dsl:27", ":27", "FILE:LINE");
    refuse("std/nn.dsl:27", "std/nn.dsl:27x", "FILE:LINE");
    refuse("[\"m.dsl:3\", \"std", "[3, \"std", "source");
    refuse("\"p\": 0.8", "\"p\": 1.8", "outside 0 .. 1");
    refuse("\"p_scalar\": null", "\"p_scalar\": 3", "p_scalar");
    refuse("draw.noise", "noise", "draw.");
    refuse("{\"name\": \"grad.w\", \"roles\"", "{\"name\": \"grad.v\", \"roles\"", "no parameter");
}
static void damaged(void **state)
{
    (void)state;
    size_t n = strlen(whole);
    char *copy = xstrdup(whole), *err = NULL;
    for (size_t k = 0; k < n - 1; k++) {                              /* the last byte is a newline */
        put("plan.json", whole, k);
        Plan *p = plan_load(dir, &err);
        if (p) fail_msg("accepted %zu of %zu bytes", k, n);
        free(err);
    }
    for (size_t k = 0; k < 20 * n; k += 11) {
        size_t at = k % n;
        char old = copy[at];
        static const char digits[] = "0129-.e\"[]{},: \\";
        copy[at] = k < 4 * n ? (char)(old ^ (1 << k / n * 2)) : digits[k / n % (sizeof digits - 1)];
        put_plan(copy);
        Plan *p = plan_load(dir, &err);
        if (p) plan_free(p);
        else free(err);
        copy[at] = old;
    }
    free(copy);
    assert_null(plan_load("/nonexistent/plan", &err));
    assert_non_null(strstr(err, "ectc"));
    free(err);
    assert_null(plan_load("/dev/null", &err));
    free(err);
    assert_null(plan_load("/tmp", &err));
    free(err);
    static const char *const other[] = {
        "", "null", "[]", "5", "{}", "{\"format\": \"ect-plan\"}", "\xff\xfe", "{\"format\": {}}"};
    for (size_t i = 0; i < COUNT(other); i++) {
        put_plan(other[i]);
        assert_null(plan_load(dir, &err));
        free(err);
    }
    enum { DEEP = 100000 };
    char *deep = xmalloc(DEEP + 1);
    memset(deep, '[', DEEP);
    deep[DEEP] = 0;
    put_plan(deep);
    assert_null(plan_load(dir, &err));
    free(err);
    free(deep);
}
static int clean(void **state) { (void)state; remove_tree(dir); return 0; }
int main(void)
{
    strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/ect-test-json-XXXXXX"
                                         : "/dev/shm/ect-test-json-XXXXXX"); /* thousands of small files */
    if (!mkdtemp(dir)) return 1;
    char *graph = xasprintf("%s/graph", dir), *kernels = xasprintf("%s/kernels", dir);
    make_dirs(graph);
    make_dirs(kernels);
    free(graph);
    free(kernels);
    put("graph/g.txt", "", 0);
    put("kernels/k1.c", "", 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(edited), cmocka_unit_test(products), cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, clean);
}
