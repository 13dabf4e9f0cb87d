/* compact: equal bits before and after for every kind of condition, rows past the count read by nobody, what must not be moved, illegal uses.
   Assumes the evaluator of eval.h puts NaN into rows past a count, and that the interpreter `ref` computes them like others. */
#include "tests/unit/eval.h"
#include "plan_text.h"
#include "runtime/ref_graph.h"
#include <setjmp.h>
#include <cmocka.h>

enum { ROWS = 5, C = 4, H = 6, K = 3, CASES = 40 };
#define S(name) sym(name)
#define U(op, x) mk_unary(g, OP_##op, x)
#define B(op, x, y) mk_binary(g, OP_##op, x, y)

static Ref in(Graph *g, const char *name, int n, const Axis *axes) { return mk_input(g, sym(name), n, axes); }

static Ref conv(Graph *g, Ref w, Ref x)                                /* [o, i, k] over [n, c, h] */
{
    Ref t = mk_window(g, mk_rename(g, x, S("c"), S("i")), S("h"), S("k"), K, 1, 1, 1, H);
    return mk_rename(g, mk_contract(g, w, t, 2, (Sym[]){ S("i"), S("k") }), S("o"), S("c"));
}

/* Two layers with all that a branch may hold: gates, draws and conditions on them, statistics, a rearrangement that puts n last, a value that an
   output needs too. nested: the second layer is a branch of its own. */
static Graph *model(bool nested)
{
    Graph *g = graph_new();
    const Axis n = { S("n"), ROWS }, c = { S("c"), C }, h = { S("h"), H }, o = { S("o"), C }, i = { S("i"), C }, k = { S("k"), K };
    Ref x = in(g, "x", 3, (Axis[]){ n, c, h }), t = in(g, "t", 1, &n), u = in(g, "u", 1, &n), w = in(g, "w", 3, (Axis[]){ o, i, k });
    Ref zero = mk_const(g, 0), one = mk_const(g, 1), holds = B(lt, zero, t), shared = U(exp, x);
    Ref y = conv(g, w, mk_where(g, holds, x, one));
    y = B(mul, y, U(log, mk_where(g, holds, t, one)));
    y = B(sub, y, mk_mean(g, y, 2, (Sym[]){ S("c"), S("h") }));
    Ref noise = mk_draw(g, DRAW_NORMAL, S("s"), S("draw.m"), 0, 0, 3, (Axis[]){ c, h, n });
    y = mk_where(g, B(lt, zero, noise), y, B(add, mk_conform(g, y, 3, (Axis[]){ c, h, n }), shared));
    if (nested) {
        Ref inner = B(lt, zero, mk_where(g, holds, u, one));
        y = mk_rows(g, inner, conv(g, w, U(tanh, mk_where(g, inner, y, one))), B(mul, y, noise));
    } else {
        y = conv(g, w, U(tanh, y));
    }
    graph_output(g, S("y"), mk_rows(g, holds, U(stop, y), B(mul, x, mk_const(g, 2))));
    graph_output(g, S("shared"), shared);
    graph_rebuild(g, NULL, NULL);
    verify(g, "test");
    return g;
}

static int count_ops(const Graph *g, Op op)
{
    int n = 0;
    for (Ref r = 1; r < g->n; r++) n += N(g, r)->op == op;
    return n;
}

static double dice(int case_, int i)                                   /* in (-1, 1) */
{
    return 2 * hashed((uint64_t)case_ * 977, (uint64_t)i) - 1;
}

/* Case 0: no row, 1: all rows, 2: all but the first, then any. */
static void fill(int case_, float *x, float *t, float *u, float *w)
{
    for (int i = 0; i < ROWS * C * H; i++) x[i] = (float)dice(case_, i);
    for (int i = 0; i < C * C * K; i++) w[i] = (float)dice(case_, 1000 + i);
    for (int i = 0; i < ROWS; i++) {
        t[i] = case_ == 0 ? -1 : case_ == 1 ? 1.5f : case_ == 2 ? (i ? 2 : -3) : (float)dice(case_, 2000 + i);
        u[i] = (float)dice(case_, 3000 + i);
    }
}

static double *wide(const float *v, int n)
{
    double *d = xcalloc((size_t)n, sizeof *d);
    for (int i = 0; i < n; i++) d[i] = v[i];
    return d;
}

static void same_by_evaluator(void **state)
{
    (void)state;
    for (int nested = 0; nested < 2; nested++) {
        Graph *a = model(nested), *b = model(nested);
        compact(b);
        verify(b, "compact");
        assert_int_equal(count_ops(b, OP_rows), nested);               /* the inner one has moved with the branch */
        assert_int_equal(count_ops(b, OP_rows_order), 1);
        for (int q = 0; q < CASES; q++) {
            float x[ROWS * C * H], t[ROWS], u[ROWS], w[C * C * K];
            fill(q, x, t, u, w);
            Bindings in = { { { S("x"), ROWS * C * H, wide(x, ROWS * C * H) }, { S("t"), ROWS, wide(t, ROWS) }, { S("u"), ROWS, wide(u, ROWS) },
                              { S("w"), C * C * K, wide(w, C * C * K) } }, 4 };
            Eval ea = eval_graph(a, &in), eb = eval_graph(b, &in);
            const double *ya = ea.v[graph_find_output(a, S("y"))], *yb = eb.v[graph_find_output(b, S("y"))];
            for (int i = 0; i < ROWS * C * H; i++)
                if (!(ya[i] == yb[i])) fail_msg("nested %d, case %d: element %d is %g, not %g", nested, q, i, yb[i], ya[i]);
            eval_free(&ea);
            eval_free(&eb);
            for (int i = 0; i < 4; i++) free(in.b[i].v);
        }
        graph_drop(a);
        graph_drop(b);
    }
}

/* Runs the graph on `device` for every case; the outputs one after another. */
static float *run_cases(const Graph *g, const char *device)
{
    static const char *const inputs[] = { "x [n:5,c:4,h:6]", "t [n:5]", "u [n:5]", "w [o:4,i:4,k:3]", NULL };
    static const char *const outputs[] = { "y [n:5,c:4,h:6]", "shared [n:5,c:4,h:6]", NULL };
    StrBuf text = { 0 };
    graph_print(&text, NULL, g);
    Plan *plan = simple_plan(text.s, inputs, outputs, NULL);
    Session *s = session_open(plan, device, 2);
    float *all = xcalloc(CASES * 2 * ROWS * C * H, sizeof *all);
    for (int q = 0; q < CASES; q++) {
        float x[ROWS * C * H], t[ROWS], u[ROWS], w[C * C * K];
        fill(q, x, t, u, w);
        session_run(s, &plan->program[0], &(RunArgs){ .in = (const float *const[]){ x, t, u, w } });
        for (int o = 0; o < 2; o++)
            memcpy(all + (2 * q + o) * ROWS * C * H, session_output(s, &plan->program[0], o ? "shared" : "y"), sizeof x);
    }
    session_close(s);
    plan_free(plan);
    sb_free(&text);
    return all;
}

static void same_by_interpreter(void **state)
{
    (void)state;
    for (int nested = 0; nested < 2; nested++)
        for (int width = 0; width < 2; width++) {
            Graph *g = model(nested);
            const char *device = width ? "ref64" : "ref";
            float *before = run_cases(g, device);
            compact(g);
            float *after = run_cases(g, device);
            assert_true(count_ops(g, OP_take) > 0);
            assert_memory_equal(before, after, CASES * 2 * ROWS * C * H * sizeof *before);
            assert_true(memcmp(before, before + 2 * ROWS * C * H, sizeof(float) * ROWS * C * H) != 0);    /* the cases do differ */
            free(before);
            free(after);
            graph_drop(g);
        }
}

/* Contractions of the branch are bounded, the result by rank is not; a second time nothing is left to do. */
static void bounds(void **state)
{
    (void)state;
    Graph *g = model(false);
    compact(g);
    Ref *bound = compact_bounds(g);
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        if (n->op == OP_contract || n->op == OP_tanh || n->op == OP_window) assert_int_equal(N(g, bound[r])->op, OP_rows_count);
        if (n->op == OP_where && !N(g, n->in[0])->n_in) assert_int_equal(bound[r], 0);
        if (op_info[n->op].cls == OPC_SOURCE || op_info[n->op].cls == OPC_TABLE) assert_int_equal(bound[r], 0);
        if (n->op == OP_take) assert_true(n->n_in == 3 ? bound[r] == n->in[2] : bound[r] == 0 && bound[n->in[0]] != 0);
    }
    for (int i = 0; i < g->n_out; i++) assert_int_equal(bound[g->out[i].ref], 0);
    free(bound);
    uint64_t before = graph_hash(g);
    compact(g);
    assert_true(graph_hash(g) == before);
    simplify(g);
    verify(g, "simplify");
    assert_int_equal(count_ops(g, OP_rows_count), 1);
    graph_drop(g);
}

/* Branches without a contraction of their own stay: cheap ones, and those that something else needs as well. */
static void left_alone(void **state)
{
    (void)state;
    Graph *g = graph_new();
    const Axis n = { S("n"), ROWS }, c = { S("c"), C }, o = { S("o"), C };
    Ref x = in(g, "x", 2, (Axis[]){ n, c }), w = in(g, "w", 2, (Axis[]){ o, c }), holds = B(lt, mk_const(g, 0), in(g, "t", 1, &n));
    Ref y = mk_contract(g, w, x, 1, &(Sym){ S("c") });
    graph_output(g, S("cheap"), mk_rows(g, holds, U(exp, x), x));
    graph_output(g, S("needed"), mk_rows(g, holds, U(exp, y), y));
    graph_output(g, S("mixed"), mk_rows(g, holds, U(sin, mk_sum(g, U(cos, y), 1, &(Sym){ S("n") })), U(neg, U(exp, y))));
    graph_rebuild(g, NULL, NULL);
    uint64_t before = graph_hash(g);
    compact(g);
    assert_true(graph_hash(g) == before);
    graph_drop(g);
}

#define HEAD "%1 = input \"x\" [n:3,c:2]\n%2 = input \"t\" [n:3]\n%3 = const 0 []\n%4 = lt %3 %2 [n:3] bool\n%5 = lt %2 %3 [n:3] bool\n" \
             "%6 = rows_order %4 [n:3]\n%7 = rows_count %4 []\n%8 = rows_rank %4 [n:3]\n%9 = rows_rank %5 [n:3]\n%10 = rows_count %5 []\n" \
             "%11 = rows_order %5 [n:3]\n"
#define TAKE HEAD "%12 = take %1 %6 %7 [n:3,c:2]\n"

/* Uses of rows past a count: legal node by node, not as a graph. */
static void unspecified_rows(void **state)
{
    (void)state;
    static const struct { const char *text, *err; } cases[] = {
        { TAKE "%13 = take %12 %8 [n:3,c:2]\nout \"y\" %13\n", NULL },
        { TAKE "%13 = exp %12 [n:3,c:2]\n%14 = sum (c) %13 [n:3]\n%15 = take %14 %8 [n:3]\nout \"y\" %15\n", NULL },
        { TAKE "out \"y\" %12\n", "output `y`" },
        { TAKE "%13 = take %12 %9 [n:3,c:2]\nout \"y\" %13\n", "past the count of operand 1" },
        { TAKE "%13 = sum (n) %12 [c:2]\nout \"y\" %13\n", "past the count of operand 1" },
        { TAKE "%13 = slice n 0 2 %12 [n:2,c:2]\nout \"y\" %13\n", "past the count of operand 1" },
        { TAKE "%13 = rename n m %12 [m:3,c:2]\nout \"y\" %13\n", "past the count of operand 1" },
        { TAKE "%13 = take %12 %11 %10 [n:3,c:2]\nout \"y\" %13\n", "past the count of operand 1" },
        { TAKE "%13 = take %1 %11 %10 [n:3,c:2]\n%14 = add %12 %13 [n:3,c:2]\n%15 = take %14 %8 [n:3,c:2]\nout \"y\" %15\n", "two counts" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *err;
        Ref at = 0;
        Graph *g = graph_parse(cases[i].text, NULL, &err);
        if (!g) fail_msg("case %zu: %s", i, err);
        err = compact_check(g, &at);
        if (!cases[i].err != !err || (err && !strstr(err, cases[i].err))) fail_msg("case %zu: %s", i, err ? err : "accepted");
        free(err);
        graph_drop(g);
    }
}

static void bad_nodes(void **state)                                    /* refused by the compiler and by the interpreters */
{
    (void)state;
    static const char *const bad[] = {
        "take %1 %6 [n:3,c:2]", "take %1 %8 %7 [n:3,c:2]", "take %1 %6 %10 [n:3,c:2]", "take %1 %2 [n:3,c:2]", "take %1 [n:3,c:2]",
        "take %1 %8 [n:3]", "take %1 %8 [n:3,c:2] bool", "take %4 %8 [n:3]", "take %3 %8 []", "take %1 %6 %7 %7 [n:3,c:2]", "rows_order %2 [n:3]",
        "rows_order %4 []", "rows_count %4 [n:3]", "rows_rank %4 %4 [n:3]", "rows_rank %4 [n:4]", "rows_rank [n:3]",
    };
    Plan *plan = simple_plan("%1 = const 1 []\nout \"y\" %1\n", (const char *const[]){ NULL }, (const char *const[]){ "y []", NULL }, NULL);
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *err = NULL, *text = xasprintf("%s%%12 = %s\nout \"y\" %%12\n", HEAD, bad[i]);
        if (graph_parse(text, NULL, &err)) fail_msg("the compiler accepted: %s", bad[i]);
        free(err);
        if (ref_graph_parse(text, plan, &err)) fail_msg("the interpreter accepted: %s", bad[i]);
        free(err);
        free(text);
    }
    plan_free(plan);
}

static int clean(void **state) { (void)state; remove_tree(plan_dir); return 0; }

int main(void)
{
    make_plan_dir();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_by_evaluator), cmocka_unit_test(same_by_interpreter), cmocka_unit_test(bounds), cmocka_unit_test(left_alone),
        cmocka_unit_test(unspecified_rows), cmocka_unit_test(bad_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
