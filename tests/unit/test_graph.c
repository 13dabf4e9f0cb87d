/* Builders, interning, text, verify, and the golden files in tests/pass: graph text in, one pass, the expected text after it.
   Assumes SRC (or the working directory) is the repository root; UPDATE=1 writes the golden files anew. */
#include "compiler/graph.h"
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define B(op, x, y) mk_binary(g, OP_##op, x, y)
#define U(op, x) mk_unary(g, OP_##op, x)
#define K(v) mk_const(g, v)
#define S(x) sym(x)

static Ref in2(Graph *g, const char *name, const char *r0, int64_t n0, const char *r1, int64_t n1)
{
    return mk_input(g, S(name), r1 ? 2 : 1, (Axis[]){ { S(r0), n0 }, { r1 ? S(r1) : NULL, n1 } });
}

static double value(const Graph *g, Ref r)
{
    assert_int_equal(N(g, r)->op, OP_const);
    return N(g, r)->a.konst.value;
}

static void test_interning(void **state)
{
    (void)state;
    Graph *g = graph_new();
    Ref x = in2(g, "x", "n", 2, "c", 3), y = in2(g, "y", "c", 3, NULL, 0);
    assert_true(x == in2(g, "x", "n", 2, "c", 3) && x != in2(g, "x", "c", 3, "n", 2));
    g->at.line = 5;
    Ref a = B(add, x, y);
    g->at.line = 9;
    assert_true(a == B(add, x, y) && N(g, a)->at.line == 5);           /* the first origin stays */
    assert_true(a != B(add, y, x));
    assert_true(mk_slice(g, x, S("c"), 0, 2) != mk_slice(g, x, S("c"), 1, 2));
    assert_true(mk_sum(g, x, 2, (Sym[]){ S("n"), S("c") }) == mk_sum(g, x, 2, (Sym[]){ S("c"), S("n") }));
    assert_true(mk_const(g, 0.0) != mk_const(g, -0.0) && mk_const(g, NAN) == mk_const(g, NAN));
    g->precision = 1 + NUM_BF16;                     /* numbers that are computed otherwise are other nodes; views and sources are none */
    Ref b = B(add, x, y);
    assert_true(b != a && N(g, b)->precision == 1 + NUM_BF16 && b == B(add, x, y) && N(g, a)->precision == 0);
    assert_true(y == in2(g, "y", "c", 3, NULL, 0) && N(g, mk_slice(g, x, S("c"), 0, 2))->precision == 0);
    assert_true(N(g, mk_binary(g, OP_lt, x, y))->precision == 0);
    assert_true(N(g, mk_like(g, N(g, a), OP_add, (Ref[]){ y, x }, 2))->precision == 0 && precision_below(g, mk_rename(g, b, S("c"), S("d"))) == 1 + NUM_BF16);
    g->precision = 0;
    for (int i = 0; i < 5000; i++) assert_true(mk_const(g, i) == mk_const(g, i));   /* the table grows */
    graph_drop(g);
}

static void test_folding(void **state)
{
    (void)state;
    Graph *g = graph_new();
    Ref x = in2(g, "x", "n", 2, "c", 3), y = in2(g, "y", "c", 3, NULL, 0), zero = mk_expand(g, K(0), S("k"), 4);
    assert_true(value(g, B(pow, K(2), K(10))) == 1024 && value(g, U(exp, K(0))) == 1 && value(g, U(bf16, K(1.01))) == 1.0078125);
    assert_true(value(g, mk_where(g, B(lt, K(1), K(2)), K(3), K(4))) == 3);
    assert_true(B(add, x, K(0)) == x && B(add, K(0), x) == x && B(mul, x, K(1)) == x && B(div, x, K(1)) == x && B(sub, x, K(0)) == x);
    assert_true(B(pow, x, K(1)) == x && U(neg, U(neg, x)) == x && U(stop, x) == x);
    assert_true(N(g, B(mul, x, K(0)))->op == OP_mul);                  /* NaN * 0 is not 0 */
    assert_true(N(g, B(sub, x, x))->op == OP_sub);
    Ref one = B(pow, x, K(0));
    assert_true(N(g, one)->n_axes == 2 && N(g, one)->op == OP_expand);
    Ref wide = B(add, x, zero);                                        /* x + 0 with a role that only the 0 has */
    assert_true(N(g, wide)->op == OP_expand && N(g, wide)->in[0] == x && N(g, wide)->n_axes == 3);
    assert_true(B(pow, x, K(2)) == B(mul, x, x));
    Ref c = B(lt, x, y);
    assert_true(mk_where(g, B(le, K(1), K(2)), x, y) == x && mk_where(g, c, x, x) == x && U(not, U(not, c)) == c);
    assert_true(B(and, c, B(lt, K(1), K(2))) == c && N(g, c)->type == T_BOOL);
    assert_true(mk_rename(g, mk_rename(g, x, S("c"), S("i")), S("i"), S("c")) == x && mk_slice(g, x, S("c"), 0, 3) == x);
    assert_true(mk_pad(g, x, S("c"), 0, 0) == x && mk_concat(g, S("c"), 1, &x) == x && mk_repeat(g, x, S("c"), 1) == x);
    assert_true(N(g, mk_concat(g, S("c"), 2, (Ref[]){ y, x }))->n_axes == 2);
    assert_true(mk_pick(g, mk_slice(g, x, S("c"), 1, 2), S("c"), 1) == mk_pick(g, x, S("c"), 2));
    graph_drop(g);
}

static void test_sums(void **state)
{
    (void)state;
    Graph *g = graph_new();
    Ref x = in2(g, "x", "n", 2, "c", 3), w = in2(g, "w", "c", 3, "o", 4), s = mk_scalar(g, 0);
    Sym c = S("c"), n = S("n");
    Ref m = mk_sum(g, B(mul, x, w), 1, &c);
    assert_int_equal(N(g, m)->op, OP_contract);
    assert_true(N(g, m)->axes[0].role == n && N(g, m)->axes[1].role == S("o"));
    assert_int_equal(N(g, mk_sum(g, B(mul, x, x), 1, &c))->op, OP_sum);
    Ref out = mk_sum(g, B(mul, s, x), 1, &c);                          /* s * sum(x) */
    assert_true(N(g, out)->op == OP_mul && N(g, out)->in[0] == s && N(g, N(g, out)->in[1])->op == OP_sum);
    assert_int_equal(N(g, mk_sum(g, B(mul, x, w), 1, &n))->op, OP_mul);   /* n is in x alone: sum(x) * w */
    graph_drop(g);
}

/* ---- text ---- */
static const char *const bad_text[] = {
    "x", "%", "%1", "%2 = const 0 []", "%1 = const []", "%1 = const 0", "%1 = const 0 [", "%1 = const 0 [a:0]",
    "%1 = const 0 [a:1]", "%1 = nothing []", "%1 = input x []", "%1 = input \"x []", "%1 = input \"x\" [a:1,a:2]",
    "%1 = input \"x\" [a:99999999999999999999]", "%1 = input \"x\" [a:-1]", "%1 = input \"x\" [a:4] trailing",
    "%1 = iota [a:2,b:2]", "%1 = add %1 %1 []", "%1 = const 0 []\n%2 = add %1 []", "%1 = const 0 []\n%2 = not %1 [] bool",
    "%1 = const 0 []\n%2 = neg %1 [] bool", "%1 = const 0 []\n%2 = neg %1 [a:2]", "%1 = const 0 []\n%2 = neg %7 []",
    "%1 = param \"w\" set \"\" [a:1]", "%1 = param \"#-1\" set \"\" [a:1]", "%1 = param \"#1x\" set \"\" [a:1]",
    "%1 = draw often stream \"s\" path \"p\" []", "%1 = draw bernoulli p 2 stream \"s\" path \"p\" []",
    "%1 = draw bernoulli p nan stream \"s\" path \"p\" []", "out \"x\" %1", "out x",
    "%1 = const 0 []\n%2 = expand a 0 %1 [a:0]", "%1 = const 0 []\n%2 = expand a 1099511627777 %1 [a:1099511627777]",
    "%1 = input \"x\" [a:1000000000000,b:1000000000000]", "%1 = input \"x\" [a:6]\n%2 = slice a 3 4 %1 [a:4]",
    "%1 = input \"x\" [a:6]\n%2 = slice b 0 4 %1 [a:4]", "%1 = input \"x\" [a:6]\n%2 = slice a -1 4 %1 [a:4]",
    "%1 = input \"x\" [a:6]\n%2 = pick a 6 %1 []", "%1 = input \"x\" [a:6]\n%2 = rename a a %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = pad a -1 0 %1 [a:5]", "%1 = input \"x\" [a:6]\n%2 = rearrange (4) -> (0) %1 [a:4]",
    "%1 = input \"x\" [a:6]\n%2 = rearrange (2 3) -> (0)(0) %1 [a:2,b:2]",
    "%1 = input \"x\" [a:6]\n%2 = rearrange (2 3) -> (0) %1 [a:2]",
    "%1 = input \"x\" [a:6]\n%2 = rearrange (2 3) -> (0)(2) %1 [a:2,b:3]",
    "%1 = input \"x\" [a:6]\n%2 = rearrange (6 -> (0) %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = rearrange (0 3) -> (0 1) %1 [a:0]",
    "%1 = input \"x\" [a:6]\n%2 = rearrange (1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 6) -> (0) %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = window a a k 3 stride 1 dil 1 pad 1 out 6 %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = window a k k 3 stride 0 dil 1 pad 1 out 6 %1 [a:6,k:3]",
    "%1 = input \"x\" [a:6]\n%2 = unwindow a k stride 1 dil 1 pad 1 out 6 %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = repeat a 0 %1 [a:0]", "%1 = input \"x\" [a:6]\n%2 = repeat a 9000000000000000000 %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = sum () %1 [a:6]", "%1 = input \"x\" [a:6]\n%2 = sum (b) %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = sum (a,a) %1 []", "%1 = input \"x\" [a:6]\n%2 = sum (a) %1 [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = contract (a) %1 []", "%1 = input \"x\" [a:6]\n%2 = softmax (a) %1 []",
    "%1 = input \"x\" [a:6]\n%2 = standardize (a) eps -1 %1 [a:6]", "%1 = input \"x\" [a:6]\n%2 = concat a [a:6]",
    "%1 = input \"x\" [a:6]\n%2 = concat b %1 [a:6]", "%1 = input \"x\" [a:6]\n%2 = concat a %1 %1 [a:11]",
    "%1 = input \"x\" [a:6]\n%2 = lt %1 %1 [a:6]", "%1 = input \"x\" [a:6]\n%2 = where %1 %1 %1 [a:6]",
    "%1 = input \"\\u0000\" []", "%1 = input \"\\q\" []", "%1 = input \"\\u12", "%1 = const 0x []", "%1 = const 1e []",
    "%1 = const 0 [] @f", "%1 = const 0 [] @f:1", "%1 = const 0 [] @\"f:1:2", "%1 = scalar -1 []",
    "%1 = const 0 [] precision f32", "%1 = input \"x\" [a:6]\n%2 = neg %1 [a:6] precision half",
    "%1 = input \"x\" [a:6]\n%2 = lt %1 %1 [a:6] bool precision f32", "%1 = input \"x\" [a:6]\n%2 = neg %1 [a:6] precision",
    "%1 = input \"x\" [a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1,l:1,m:1,n:1,o:1,p:1,q:1]",
};

static void test_bad_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_text); i++) {
        char *err = NULL;
        Graph *g = graph_parse(bad_text[i], NULL, &err);
        if (g) fail_msg("accepted: %s", bad_text[i]);
        assert_non_null(err);
        if (strncmp(err, "line ", 5)) fail_msg("no line in: %s", err);
        free(err);
    }
    char *err;
    Graph *g = graph_parse("%1 = const 0 []\n\n# note\n%2 = exp %1 [b:1]\n", NULL, &err);
    assert_null(g);
    assert_string_equal(err, "line 4: exp: it should have 0 axes");
    free(err);
}

static const char good_text[] =
    "# every operation's text\n%1 = input \"a \\\"b\\\" \\u00e9\\n\" [n:2,c:6]  # comment\r\n"
    "%2 = param \"m.w\" set \"ema\" [o:4,c:6] @\"my file.dsl\":3:14 \"model.enc.32x32_block0\"\n%3 = const -0x1.8p+1 []\n"
    "%4 = const nan []\n%5 = const -inf []\n%6 = scalar 3 []\n%7 = iota [c:6] @std/nn.dsl:1:2\n"
    "%8 = draw normal stream \"time\" path \"draw.time\" [n:2]\n"
    "%9 = draw bernoulli p 0x1p-1 stream \"s\" path \"draw.s\" [n:2,c:6]\n"
    "%10 = draw bernoulli stream \"s\" path \"draw.s#2\" %8 [n:2]\n%11 = add %1 %7 [n:2,c:6]\n"
    "%12 = nan_to_num nan 0x0p+0 inf 0x1.86ap+16 %11 [n:2,c:6]\n%13 = lt %12 %3 [n:2,c:6] bool\n"
    "%14 = where %13 %12 %3 [n:2,c:6]\n%15 = rename c i %14 [n:2,i:6]\n%16 = rearrange (2)(2 3) -> (0 2)(1) %15 [p:6,q:2]\n"
    "%17 = slice p 1 4 %16 [p:4,q:2]\n%18 = pick q 1 %17 [p:4]\n%19 = pad p 1 2 %18 [p:7]\n"
    "%20 = concat p %19 %18 %18 [p:15]\n%21 = repeat p 2 %20 [p:30]\n"
    "%22 = window p k k 3 stride 2 dil -1 pad 1 out 15 %21 [p:15,k:3]\n"
    "%23 = unwindow p k stride 2 dil 1 pad 1 out 30 %22 [p:30,k:3]\n%24 = expand w 2 %1 [n:2,c:6,w:2]\n"
    "%25 = sum (n,w) %24 [c:6]\n%26 = rmax (c) %25 []\n%27 = contract (c) %1 %2 [n:2,o:4] precision bf16\n"
    "%28 = standardize (n,o) eps 0x1p-10 %27 [n:2,o:4]\n%29 = softmax (o) %28 [n:2,o:4]\n%30 = const 0x1p+0 [] bool\n"
    "%31 = rows %30 %29 %28 [n:2,o:4]\nout \"y\" %31\nout \"z\" %2\n";

static Module *new_module(void)
{
    Module *m = xcalloc(1, sizeof *m);
    m->arena = arena_new();
    return m;
}

static void test_good_text(void **state)
{
    (void)state;
    char *err;
    Module *m = new_module();
    StrBuf a = { 0 }, b = { 0 };
    Graph *g = graph_parse(good_text, m, &err);
    if (!g) fail_msg("%s", err);
    verify(g, "parse");
    assert_int_equal(m->n_params, 1);
    graph_print(&a, m, g);
    Graph *h = graph_parse(a.s, m, &err);
    if (!h) fail_msg("%s", err);
    graph_print(&b, m, h);
    assert_string_equal(a.s, b.s);
    assert_int_equal(m->n_params, 1);
    assert_true(graph_hash(g) == graph_hash(h));
    assert_string_equal(N(h, 2)->at.file, "my file.dsl");
    assert_int_equal(N(h, 2)->at.col, 14);
    graph_drop(g);
    graph_drop(h);
    sb_free(&a);
    sb_free(&b);
    arena_drop(m->arena);
    free(m);
}

static void test_mutated_text(void **state)                            /* never a crash, and what is accepted is legal */
{
    (void)state;
    const size_t n = strlen(good_text);
    uint64_t seed = 1;
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        char *t = xstrdup(good_text), *err;
        size_t len = n;
        for (int k = 0; k < 1 + round % 4; k++) {
            seed = hash64(&seed, sizeof seed, 3);
            size_t p = seed % len;
            int c = (int)(seed >> 32 & 127);
            if (seed >> 60 < 4) t[len = p] = 0;
            else if (seed >> 60 < 8) memmove(t + p, t + p + 1, len-- - p);
            else t[p] = (char)(seed >> 60 < 12 ? "0123456789-%:,()[]\" abck\n"[c % 25] : c);
            if (len == 0) break;
        }
        Module *m = new_module();
        Graph *g = graph_parse(t, m, &err);
        if (g) { verify(g, "parse"); accepted++; }
        else free(err);
        graph_drop(g);
        arena_drop(m->arena);
        free(m);
        free(t);
    }
    assert_true(accepted > 100);
}

/* ---- verify ---- */
static int exit_status_of(void (*f)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stderr)) _exit(99);
        f();
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void composite_left(void)
{
    Graph *g = graph_new();
    Sym c = S("c");
    graph_output(g, S("y"), mk_softmax(g, in2(g, "x", "n", 2, "c", 3), 1, &c));
    verify(g, "autodiff");
    verify(g, "expand");
}

static void bad_node(void)
{
    Graph *g = graph_new();
    Ref x = in2(g, "x", "n", 2, "c", 3);
    Node n = *N(g, x);
    n.op = OP_exp;
    n.n_in = 1;
    n.in = (Ref[]){ 7 };
    graph_add(g, &n, true);
    verify(g, "somewhere");
}

static void bad_operand(void)
{
    Graph *g = graph_new();
    B(add, in2(g, "x", "n", 2, "c", 3), in2(g, "y", "c", 4, NULL, 0));
}

static void test_verify(void **state)
{
    (void)state;
    assert_int_equal(exit_status_of(composite_left), EXIT_BUG);
    assert_int_equal(exit_status_of(bad_node), EXIT_BUG);
    assert_int_equal(exit_status_of(bad_operand), EXIT_BUG);
}

static void test_rebuild(void **state)                                 /* dead nodes go, outputs stay, ids are dense */
{
    (void)state;
    Graph *g = graph_new();
    Ref x = in2(g, "x", "n", 2, "c", 3), y = U(exp, x);
    U(log, y);
    graph_output(g, S("y"), U(sin, y));
    graph_output(g, S("x"), x);
    graph_rebuild(g, NULL, NULL);
    assert_int_equal(g->n, 4);
    assert_int_equal(N(g, graph_find_output(g, S("y")))->op, OP_sin);
    assert_int_equal(graph_find_output(g, S("none")), 0);
    graph_drop(g);
}

/* ---- golden files ---- */
static void run_golden(const char *path)
{
    size_t len;
    char *text = read_file(path, &len), *err, *end = text ? strstr(text, "\n# >>>\n") : NULL, pass[32] = "";
    if (!end || sscanf(text, "# pass: %31s", pass) != 1) fail_msg("%s: `# pass: NAME` first and `# >>>` before the expectation", path);
    Module *m = new_module();
    *end = 0;
    Graph *g = graph_parse(text, m, &err);
    if (!g) fail_msg("%s: %s", path, err);
    verify(g, "parse");
    if (!strcmp(pass, "simplify")) simplify(g);
    else if (!strcmp(pass, "expand")) expand_composites(g);
    else if (!strcmp(pass, "compact")) compact(g);
    else if (!strcmp(pass, "autodiff")) {                              /* of output "loss" by every parameter of the live set */
        Ref wrt[16];
        int n = 0;
        for (Ref r = 1; r < g->n; r++)
            if (N(g, r)->op == OP_param && !*N(g, r)->a.param.set && n < 16) wrt[n++] = r;
        Ref *d = autodiff(g, graph_find_output(g, S("loss")), n, wrt);
        for (int i = 0; i < n; i++) {
            char *name = xasprintf("grad.%s", m->params[N(g, wrt[i])->a.param.index].name);
            graph_output(g, sym(name), d[i]);
            free(name);
        }
        graph_rebuild(g, NULL, NULL);
    } else fail_msg("%s: unknown pass `%s`", path, pass);
    verify(g, pass);
    StrBuf b = { 0 };
    graph_print(&b, m, g);
    const char *want = end + strlen("\n# >>>\n");
    if (getenv("UPDATE")) {
        StrBuf all = { 0 };
        sb_printf(&all, "%s\n# >>>\n%s", text, b.s);
        assert_true(write_file_atomic(path, all.s, all.len));
        sb_free(&all);
    } else if (strcmp(b.s, want)) fail_msg("%s: expected\n%s\n---- but got\n%s", path, want, b.s);
    sb_free(&b);
    graph_drop(g);
    arena_drop(m->arena);
    free(m);
    free(text);
}

static void test_golden(void **state)
{
    (void)state;
    char *dir = xasprintf("%s/tests/pass", getenv("SRC") ? getenv("SRC") : ".");
    DIR *d = opendir(dir);
    int n = 0;
    if (!d) fail_msg("cannot open %s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        const char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".g")) continue;
        char *path = xasprintf("%s/%s", dir, e->d_name);
        run_golden(path);
        free(path);
        n++;
    }
    closedir(d);
    free(dir);
    assert_true(n > 0);
}

int main(void)
{
    prog_name = "test_graph";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interning), cmocka_unit_test(test_folding), cmocka_unit_test(test_sums), cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_good_text), cmocka_unit_test(test_mutated_text), cmocka_unit_test(test_verify), cmocka_unit_test(test_rebuild),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
