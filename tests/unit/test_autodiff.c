/* Gradients of every operation, view and composite against central differences in double precision; simplify and expand keep values.
   Assumes tests/unit/eval.h evaluates graphs right: it shares no code with the compiler. */
#include "tests/unit/eval.h"
#include <setjmp.h>
#include <cmocka.h>

static Ref input(Graph *g, const char *name, const char *axes)         /* axes: "n2 c3" */
{
    Axis a[MAX_AXES];
    int n = 0;
    for (const char *p = axes; *p;) {
        size_t len = strcspn(p, "0123456789");
        char *end;
        a[n].role = symn(p, len);
        a[n++].size = strtol(p + len, &end, 10);
        p = end + (*end == ' ');
    }
    return mk_input(g, sym(name), n, a);
}

#define X(axes) input(g, "x", axes)
#define Y(axes) input(g, "y", axes)
#define Z(axes) input(g, "z", axes)
#define K(v) mk_const(g, v)
#define U(op, x) mk_unary(g, OP_##op, x)
#define B(op, x, y) mk_binary(g, OP_##op, x, y)
#define S(name) sym(name)
#define LIST(...) (int)COUNT(((Sym[]){ __VA_ARGS__ })), (Sym[]){ __VA_ARGS__ }
#define SUM(x, ...) mk_sum(g, x, LIST(__VA_ARGS__))
#define ABOVE0(x) B(add, U(exp, x), K(0.1))

/* rearrange by lists: in: factor sizes of each axis, "2 3|4"; out: factor numbers, "1|0 2"; roles: names of the result. */
static Ref rearrange(Graph *g, Ref x, const char *in, const char *out, const char *roles)
{
    Rearrange r = { 0 };
    Axis axes[MAX_AXES];
    char *end;
    for (r.n_in = 1; *in; in = end) {
        if (*in == '|') { r.n_in++; in++; }
        r.factor[r.n_factors++] = strtol(in, &end, 10);
        r.in_count[r.n_in - 1]++;
    }
    axes[0].size = 1;
    int o = 0;
    for (r.n_out = 1; *out; out = end) {
        if (*out == '|') { axes[r.n_out++].size = 1; out++; }
        r.out_factor[o] = (int)strtol(out, &end, 10);
        axes[r.n_out - 1].size *= r.factor[r.out_factor[o++]];
        r.out_count[r.n_out - 1]++;
    }
    for (int i = 0; i < r.n_out; i++) {
        size_t len = strcspn(roles, " ");
        axes[i].role = symn(roles, len);
        roles += len + (roles[len] == ' ');
    }
    return mk_rearrange(g, x, &r, axes);
}

static Ref window2(Graph *g, Ref x, int k, int stride, int pad, int out)
{
    x = mk_window(g, x, S("h"), S("kh"), k, stride, 1, pad, out);
    return mk_window(g, x, S("w"), S("kw"), k, stride, 1, pad, out);
}

static Ref conv(Graph *g, Ref x, Ref weight, int k, int stride, int pad, int out)
{
    Ref w = window2(g, mk_rename(g, x, S("c"), S("i")), k, stride, pad, out);
    return mk_rename(g, SUM(B(mul, weight, w), S("i"), S("kh"), S("kw")), S("o"), S("c"));
}

static Ref attention(Graph *g, Ref t)                                  /* t: [n, head, d, three, px] */
{
    Ref q = mk_pick(g, t, S("three"), 0), k = mk_rename(g, mk_pick(g, t, S("three"), 1), S("px"), S("key"));
    Ref v = mk_rename(g, mk_pick(g, t, S("three"), 2), S("px"), S("key"));
    Ref s = mk_softmax(g, B(div, SUM(B(mul, q, k), S("d")), K(1.5)), LIST(S("key")));
    return SUM(B(mul, s, v), S("key"));
}

static Ref group_norm(Graph *g, Ref x, Ref weight, Ref bias)           /* x: [n2, c4, h3]: two groups */
{
    Ref y = mk_standardize(g, rearrange(g, x, "2|2 2|3", "0|1|2|3", "n g d h"), LIST(S("d"), S("h")), 1e-3);
    y = rearrange(g, y, "2|2|2|3", "0|1 2|3", "n c h");
    return B(add, B(mul, y, weight), bias);
}

static Ref residual(Graph *g, Ref x, Ref weight)                       /* down, convolve, up, concatenate, slice */
{
    Ref half = mk_mean(g, rearrange(g, x, "2|2|2 2|2 2", "0|1|2|4|3|5", "n c h w dh dw"), LIST(S("dh"), S("dw")));
    Ref y = conv(g, B(mul, half, U(sigmoid, half)), weight, 3, 1, 1, 2);
    Ref up = mk_repeat(g, mk_repeat(g, y, S("h"), 2), S("w"), 2);
    Ref cat = mk_concat(g, S("c"), 2, (Ref[]){ up, x });
    return B(mul, mk_slice(g, cat, S("c"), 1, 3), mk_slice(g, U(tanh, cat), S("c"), 0, 3));
}

/* Every case: an expression of inputs x, y, z (all differentiated). */
#define CASES \
    CASE(neg, U(neg, X("a3"))) CASE(abs, U(abs, X("a5"))) CASE(exp, U(exp, X("a3"))) CASE(log, U(log, ABOVE0(X("a3")))) \
    CASE(sin, U(sin, X("a3"))) CASE(cos, U(cos, X("a3"))) CASE(sqrt, U(sqrt, ABOVE0(X("a3")))) \
    CASE(rsqrt, U(rsqrt, ABOVE0(X("a3")))) CASE(sigmoid, U(sigmoid, X("a3"))) CASE(tanh, U(tanh, X("a3"))) \
    CASE(erf, U(erf, X("a4"))) CASE(bf16, U(bf16, X("a3"))) CASE(f32, U(f32, U(exp, X("a3")))) \
    CASE(floor, B(mul, U(floor, X("a4")), X("a4"))) CASE(sign, B(mul, U(sign, X("a4")), X("a4"))) \
    CASE(nan_to_num, mk_nan_to_num(g, U(log, X("a8")), 0, 1e5)) CASE(add, B(add, X("a2 b3"), Y("b3 c2"))) \
    CASE(sub, B(sub, X("b3"), Y("a2"))) CASE(mul, B(mul, X("a2 b3"), Y("b3 c2"))) \
    CASE(div, B(div, X("a2 b3"), ABOVE0(Y("b3 c2")))) CASE(pow, B(pow, ABOVE0(X("a3 b2")), Y("a3"))) \
    CASE(pow_const, B(pow, ABOVE0(X("a3")), K(2.5))) CASE(square, B(pow, X("a3"), K(2))) CASE(cube, B(pow, X("a3"), K(3))) \
    CASE(fourth, B(pow, X("a3"), K(4))) CASE(inverse, B(pow, ABOVE0(X("a3")), K(-2))) \
    CASE(pow_scalar, B(pow, ABOVE0(X("a3")), mk_scalar(g, 1))) CASE(max, B(max, X("a4 b3"), Y("b3"))) \
    CASE(min, B(min, X("a4"), Y("b3"))) CASE(where, mk_where(g, B(lt, X("a4"), Y("b3")), X("a4"), Z("c2 b3"))) \
    CASE(le, mk_where(g, B(le, X("a4"), K(0)), Y("a4"), X("a4"))) \
    CASE(rows, mk_rows(g, B(lt, K(0), X("n4")), Y("n4 c2"), Z("n4 c2"))) \
    CASE(logic, mk_where(g, B(or, B(and, B(lt, X("a5"), K(0.5)), B(le, K(-0.5), X("a5"))), U(not, B(eq, X("a5"), \
        X("a5")))), U(exp, X("a5")), Y("a5"))) CASE(isfinite, mk_where(g, U(isfinite, U(log, X("a6"))), Y("a6"), X("a6"))) \
    CASE(fan_out, B(add, B(mul, X("a3"), X("a3")), B(add, U(exp, X("a3")), X("a3")))) \
    CASE(broadcast, B(add, B(mul, X("a3"), K(2)), B(mul, Y("b2"), K(3)))) \
    CASE(rename, B(mul, mk_rename(g, X("a3"), S("a"), S("b")), X("a3"))) \
    CASE(rearrange, U(sin, rearrange(g, X("a6 b4"), "2 3|4", "1|2 0", "p q"))) \
    CASE(rearrange_twice, rearrange(g, rearrange(g, X("a6 b4"), "6|2 2", "1|0 2", "p q"), "2|3 2 2", "3|1 0|2", "u v w")) \
    CASE(rearrange_straddling, rearrange(g, rearrange(g, X("a6 b2"), "6|2", "0 1", "p"), "4 3", "1|0", "u v")) \
    CASE(rearrange_back, rearrange(g, rearrange(g, X("a6 b4"), "2 3|4", "1|2 0", "p q"), "3|4 2", "2 0|1", "a b")) \
    CASE(rearrange_named, mk_rename(g, rearrange(g, mk_rename(g, X("a6"), S("a"), S("z")), "2 3", "1|0", "p q"), S("p"), \
        S("r"))) CASE(slice, mk_slice(g, X("a5 b2"), S("a"), 1, 3)) CASE(pick, mk_pick(g, X("a5 b2"), S("a"), 3)) \
    CASE(picks, B(mul, mk_pick(g, X("a3 b2"), S("a"), 0), B(mul, mk_pick(g, X("a3 b2"), S("a"), 2), mk_pick(g, \
        X("a3 b2"), S("a"), 1)))) CASE(slices, B(mul, mk_slice(g, X("a7"), S("a"), 4, 2), mk_slice(g, X("a7"), S("a"), 1, 2))) \
    CASE(overlapping, B(mul, mk_slice(g, X("a5"), S("a"), 0, 3), mk_slice(g, X("a5"), S("a"), 2, 3))) \
    CASE(pad, U(exp, mk_pad(g, X("a3 b2"), S("a"), 1, 2))) \
    CASE(slice_of_pad, mk_slice(g, mk_pad(g, X("a3"), S("a"), 2, 1), S("a"), 1, 3)) \
    CASE(pick_of_zeros, B(add, mk_pick(g, mk_pad(g, X("a3"), S("a"), 2, 0), S("a"), 0), mk_pick(g, mk_pad(g, X("a3"), \
        S("a"), 2, 0), S("a"), 4))) CASE(concat, U(sin, mk_concat(g, S("a"), 3, (Ref[]){ X("a3 b2"), Y("a1"), X("a3 b2") }))) \
    CASE(concat_slices, mk_slice(g, mk_concat(g, S("a"), 3, (Ref[]){ X("a3 b2"), Y("a4 b2"), Z("b2 a2") }), S("a"), 2, 6)) \
    CASE(concat_pick, mk_pick(g, mk_concat(g, S("a"), 2, (Ref[]){ X("a3 b2"), Y("a4 b2") }), S("a"), 4)) \
    CASE(concat_again, mk_concat(g, S("a"), 3, (Ref[]){ mk_slice(g, X("a6"), S("a"), 1, 2), mk_slice(g, X("a6"), S("a"), \
        3, 2), Y("a2") })) CASE(repeat, U(exp, mk_repeat(g, X("a3 b2"), S("a"), 3))) \
    CASE(expand, U(exp, mk_expand(g, X("a3"), S("b"), 4))) \
    CASE(expand_views, mk_repeat(g, mk_pad(g, mk_rename(g, mk_expand(g, X("a3"), S("b"), 2), S("b"), S("r")), S("a"), 1, \
        0), S("a"), 2)) CASE(window, mk_window(g, X("a6 b2"), S("a"), S("k"), 3, 1, 1, 1, 6)) \
    CASE(window_stride, mk_window(g, X("a7"), S("a"), S("k"), 3, 2, 1, 1, 4)) \
    CASE(window_dil, mk_window(g, X("a7"), S("a"), S("k"), 3, 1, 2, 2, 7)) \
    CASE(window_back, mk_window(g, X("a5"), S("a"), S("k"), 3, 1, -1, -2, 4)) \
    CASE(window_one, mk_window(g, X("a5"), S("a"), S("k"), 1, 2, 1, 0, 3)) \
    CASE(window_none, mk_window(g, X("a5"), S("a"), S("k"), 1, 1, 1, 0, 5)) \
    CASE(unwindow, mk_unwindow(g, X("a6 k3"), S("a"), S("k"), 1, 1, 1, 6)) \
    CASE(unwindow_stride, mk_unwindow(g, X("a4 k3 b2"), S("a"), S("k"), 2, 1, 1, 7)) \
    CASE(blur, SUM(B(mul, mk_window(g, X("a6 b2"), S("a"), S("k"), 3, 1, 1, 1, 6), K(0.25)), S("k"))) \
    CASE(sum, U(exp, SUM(X("a3 b2 c2"), S("c"), S("a")))) CASE(sums, SUM(SUM(U(exp, X("a3 b2 c2")), S("c")), S("a"))) \
    CASE(sum_scaled, SUM(B(mul, mk_scalar(g, 0), U(exp, X("a3 b2"))), S("a"))) \
    CASE(sum_outer, SUM(B(mul, U(exp, X("a3 b2")), Y("b2 c2")), S("a"), S("c"))) \
    CASE(sum_neg, SUM(B(div, U(neg, X("a3 b2")), Y("b2")), S("a"))) \
    CASE(mean, mk_mean(g, B(mul, X("a3 b2"), X("a3 b2")), LIST(S("a")))) \
    CASE(sum_expand, SUM(mk_expand(g, X("a3"), S("b"), 4), S("b"))) \
    CASE(contract, mk_contract(g, X("a3 b2 n2"), Y("b2 c4 n2"), LIST(S("b")))) \
    CASE(contract_order, mk_contract(g, X("b2 a3"), Y("c4 b2"), LIST(S("b")))) \
    CASE(contract_alone, mk_contract(g, X("a3 b2 p2"), Y("b2 c2 q3"), LIST(S("b"), S("p"), S("q")))) \
    CASE(contract_square, mk_contract(g, X("a3 b2"), X("a3 b2"), LIST(S("b")))) \
    CASE(contract_sum, SUM(mk_contract(g, X("a3 b2 n2"), Y("b2 c4 n2"), LIST(S("b"))), S("a"), S("n"))) \
    CASE(contract_expand, mk_contract(g, mk_expand(g, mk_expand(g, X("a3 b2"), S("k"), 3), S("r"), 2), Y("b2 k3"), \
        LIST(S("b"), S("k")))) CASE(contract_one, mk_contract(g, X("a3 b2 k1"), Y("b2 k1"), LIST(S("b"), S("k")))) \
    CASE(matmul_chain, mk_contract(g, U(tanh, mk_contract(g, X("a3 b2"), Y("b2 c3"), LIST(S("b")))), Z("c3 d2"), \
        LIST(S("c")))) CASE(standardize, mk_standardize(g, X("n2 a3 b2"), LIST(S("a"), S("b")), 1e-3)) \
    CASE(softmax, mk_softmax(g, X("n3 a4"), LIST(S("a")))) \
    CASE(softmax_two, mk_softmax(g, X("n2 a2 b3"), LIST(S("a"), S("b")))) \
    CASE(conv3, conv(g, X("n2 c2 h4 w4"), Y("o3 i2 kh3 kw3"), 3, 1, 1, 4)) \
    CASE(conv_stride, conv(g, X("n1 c2 h5 w5"), Y("o2 i2 kh3 kw3"), 3, 2, 1, 3)) \
    CASE(conv1, conv(g, X("n2 c2 h3 w3"), Y("o3 i2 kh1 kw1"), 1, 1, 0, 3)) \
    CASE(conv_twice, conv(g, U(tanh, conv(g, X("n1 c2 h4 w4"), Y("o2 i2 kh3 kw3"), 3, 1, 1, 4)), Z("o2 i2 kh3 kw3"), 3, \
        2, 1, 2)) CASE(attention, attention(g, X("n2 head2 d2 three3 px3"))) \
    CASE(group_norm, group_norm(g, X("n2 c4 h3"), Y("c4"), Z("c4"))) \
    CASE(residual, residual(g, X("n2 c2 h4 w4"), Y("o2 i2 kh3 kw3"))) \
    CASE(drop, mk_where(g, B(lt, mk_draw(g, DRAW_BERNOULLI, S("drop"), S("draw.drop"), 0.5, 0, 2, ((Axis[]){ { S("n"), \
        3 }, { S("c"), 2 } })), K(0.5)), K(0), B(div, X("n3 c2"), K(0.5)))) \
    CASE(draw_p, B(mul, X("n4"), mk_draw(g, DRAW_BERNOULLI, S("s"), S("d"), 0, B(mul, K(0.5), mk_scalar(g, 0)), 1, \
        ((Axis[]){ { S("n"), 4 } })))) CASE(iota, B(mul, mk_iota(g, S("a"), 4), X("a4"))) \
    CASE(unused, B(mul, Y("a3"), mk_where(g, B(lt, X("b2"), K(0)), K(1), K(2))))

#define CASE(name, e) static Ref case_##name(Graph *g) { return e; }
CASES
#undef CASE

static const struct { const char *name; Ref (*build)(Graph *g); } cases[] = {
#define CASE(name, e) { #name, case_##name },
CASES
#undef CASE
};

static void check_near(const char *what, double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol * (1 + fabs(want)))) fail_msg("%s: %.10g instead of %.10g", what, got, want);
}

static void check_round_trip(const char *name, const Graph *g)
{
    StrBuf a = { 0 }, b = { 0 };
    char *err;
    graph_print(&a, NULL, g);
    Graph *h = graph_parse(a.s, NULL, &err);
    if (!h) fail_msg("%s: %s\n%s", name, err, a.s);
    verify(h, "parse");
    graph_print(&b, NULL, h);
    if (strcmp(a.s, b.s)) fail_msg("%s: text changed\n%s----\n%s", name, a.s, b.s);
    graph_drop(h);
    sb_free(&a);
    sb_free(&b);
}

static Bindings bind_inputs(const Graph *g, uint64_t seed)
{
    Bindings b = { 0 };
    for (Ref r = 1; r < g->n; r++) {
        if (N(g, r)->op != OP_input) continue;
        Bound *v = &b.b[b.n++];
        v->name = N(g, r)->a.input.name;
        v->n = node_elements(N(g, r));
        v->v = xcalloc((size_t)v->n, sizeof(double));
        for (int64_t i = 0; i < v->n; i++) v->v[i] = 4 * hashed(seed * 977 + (uint64_t)v->name[0], (uint64_t)i) - 2;
    }
    return b;
}

static double loss_of(const Graph *g, Ref loss, const Bindings *b)
{
    Eval e = eval_graph(g, b);
    double v = e.v[loss][0];
    eval_free(&e);
    return v;
}

/* The case's loss (its result times random weights, summed), in its own graph. */
static Ref build_loss(Graph *g, Ref (*build)(Graph *g))
{
    Ref r = build(g);
    Node n = *N(g, r);
    Sym all[MAX_AXES];
    for (int i = 0; i < n.n_axes; i++) all[i] = n.axes[i].role;
    return mk_sum(g, B(mul, U(sin, r), mk_input(g, S("weight"), n.n_axes, n.axes)), n.n_axes, all);
}

static void check_differences(const char *name, Graph *g, Ref loss, int n, const Ref *wrt, const Ref *grad, uint64_t seed)
{
    Bindings b = bind_inputs(g, seed);
    Graph fwd = *g;
    fwd.n = loss + 1;                                                  /* the gradients are not needed for the differences */
    Eval e = eval_graph(g, &b);
    for (int k = 0; k < n; k++)
        for (int j = 0; j < b.n; j++) {
            if (b.b[j].name != N(g, wrt[k])->a.input.name) continue;
            for (int64_t i = 0; i < b.b[j].n; i++) {
                double *x = &b.b[j].v[i], keep = *x, slope[2], v[2];
                for (int s = 0; s < 4; s++) {                          /* steps 1e-5 and 2e-5: their difference is the method's own error */
                    *x = keep + (s & 1 ? -1e-5 : 1e-5) * (1 + s / 2);
                    v[s & 1] = loss_of(&fwd, loss, &b);
                    if (s & 1) slope[s / 2] = (v[0] - v[1]) / (2e-5 * (1 + s / 2));
                }
                *x = keep;
                check_near(name, e.v[grad[k]][i], slope[0], 2e-7 + fabs(slope[1] - slope[0]));
            }
        }
    eval_free(&e);
    for (int j = 0; j < b.n; j++) free(b.b[j].v);
}

/* The values of all outputs, in output order; outputs keep names and axes through every pass. */
static double *output_values(const Graph *g, uint64_t seed, int *count)
{
    Bindings b = bind_inputs(g, seed);
    Eval e = eval_graph(g, &b);
    double *v = NULL;
    int n = 0, cap = 0;
    for (int i = 0; i < g->n_out; i++)
        for (int64_t k = 0; k < node_elements(N(g, g->out[i].ref)); k++) vec_push(v, n, cap, e.v[g->out[i].ref][k]);
    eval_free(&e);
    for (int j = 0; j < b.n; j++) free(b.b[j].v);
    *count = n;
    return v;
}

static void check_pass(const char *name, const char *pass, Graph *g, void (*run)(Graph *g))
{
    enum { SEEDS = 2 };
    double *before[SEEDS];
    int n, m;
    for (int s = 0; s < SEEDS; s++) before[s] = output_values(g, (uint64_t)s + 1, &n);
    run(g);
    verify(g, pass);
    check_round_trip(name, g);
    for (int s = 0; s < SEEDS; s++) {
        double *after = output_values(g, (uint64_t)s + 1, &m);
        assert_int_equal(n, m);
        for (int i = 0; i < n; i++)
            if (!(isnan(before[s][i]) && isnan(after[i]))) check_near(name, after[i], before[s][i], 1e-11);
        free(before[s]);
        free(after);
    }
}

static Graph *with_gradients(Ref (*build)(Graph *g), int *n, Ref *wrt, Ref *grad)
{
    Graph *g = graph_new();
    Ref loss = build_loss(g, build);
    *n = 0;
    for (Ref r = 1; r <= loss; r++)
        if (N(g, r)->op == OP_input && N(g, r)->a.input.name != S("weight")) wrt[(*n)++] = r;
    Ref *d = autodiff(g, loss, *n, wrt);
    graph_output(g, S("loss"), loss);
    for (int i = 0; i < *n; i++) {
        char name[64];
        snprintf(name, sizeof name, "grad.%s", N(g, wrt[i])->a.input.name);
        graph_output(g, sym(name), grad[i] = d[i]);
        assert_true(same_axes(N(g, d[i]), N(g, wrt[i])->n_axes, N(g, wrt[i])->axes));
    }
    verify(g, "autodiff");
    return g;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t c = 0; c < COUNT(cases); c++) {
        int n;
        Ref wrt[8], grad[8];
        Graph *g = with_gradients(cases[c].build, &n, wrt, grad);
        for (uint64_t seed = 1; seed <= 3; seed++) check_differences(cases[c].name, g, graph_find_output(g, S("loss")), n, wrt, grad, seed);
        check_round_trip(cases[c].name, g);
        check_pass(cases[c].name, "simplify", g, simplify);
        check_pass(cases[c].name, "expand", g, expand_composites);
        check_pass(cases[c].name, "simplify after expand", g, simplify);
        uint64_t h = graph_hash(g);
        simplify(g);
        assert_true(h == graph_hash(g));
        graph_drop(g);
    }
}

static int count_op(const Graph *g, Op op)
{
    int n = 0;
    for (Ref r = 1; r < g->n; r++) n += N(g, r)->op == op;
    return n;
}

static int64_t largest(const Graph *g)
{
    int64_t m = 0;
    for (Ref r = 1; r < g->n; r++)
        if (op_info[N(g, r)->op].cls != OPC_VIEW) m = MAX(m, node_elements(N(g, r)));
    return m;
}

static Ref linear_conv(Graph *g, int size, int stride, int out)       /* only the gradient of x is asked; loss = sum(conv * weight) */
{
    char axes[40];
    snprintf(axes, sizeof axes, "n2 c3 h%d w%d", size, size);
    Ref y = conv(g, X(axes), mk_param(g, 0, S(""), 4, ((Axis[]){ { S("o"), 4 }, { S("i"), 3 }, { S("kh"), 3 }, { S("kw"), 3 } })), 3, stride, 1, out);
    Node n = *N(g, y);
    return SUM(B(mul, y, mk_input(g, S("weight"), n.n_axes, n.axes)), S("n"), S("c"), S("h"), S("w"));
}

/* The data gradient of a convolution is one contraction over (o, kh, kw), at stride 1 and 2, and nothing 9 times too large is made. */
static void test_conv_data_gradient(void **state)
{
    (void)state;
    for (int stride = 1; stride <= 2; stride++) {
        Graph *g = graph_new();
        Ref loss = linear_conv(g, 6, stride, 6 / stride), x = 0;
        for (Ref r = 1; r < loss; r++)
            if (N(g, r)->op == OP_input && N(g, r)->a.input.name == S("x")) x = r;
        graph_output(g, S("grad.x"), autodiff(g, loss, 1, &x)[0]);
        simplify(g);
        verify(g, "simplify");
        assert_int_equal(count_op(g, OP_contract), 1);
        assert_int_equal(count_op(g, OP_sum), 0);
        assert_int_equal(count_op(g, OP_unwindow), stride == 1 ? 0 : 2);
        assert_int_equal(largest(g), stride == 1 ? 2 * 4 * 36 : 2 * 3 * 36);   /* the loss's weights, or the gradient */
        for (Ref r = 1; r < g->n; r++)
            if (N(g, r)->op == OP_contract) assert_int_equal(N(g, r)->a.reduce.n, 3);
        graph_drop(g);
    }
}

static void test_siblings(void **state)                               /* q, k, v: one concatenation, no addition of pads */
{
    (void)state;
    Graph *g = graph_new();
    Ref t = X("n2 head2 d2 three3 px3"), a = attention(g, t), w = mk_input(g, S("weight"), N(g, a)->n_axes, N(g, a)->axes);
    Ref loss = SUM(B(mul, a, w), S("n"), S("head"), S("d"), S("px"));
    graph_output(g, S("grad"), autodiff(g, loss, 1, &t)[0]);
    simplify(g);
    expand_composites(g);
    simplify(g);
    assert_int_equal(count_op(g, OP_concat), 1);
    assert_int_equal(count_op(g, OP_pad), 0);
    graph_drop(g);
}

static double gradient_at(Ref (*f)(Graph *g, Ref x, Ref y), double x, double y, int k)
{
    Graph *g = graph_new();
    Ref in[2] = { X(""), Y("") }, loss = f(g, in[0], in[1]);
    Ref d = autodiff(g, loss, 2, in)[k];
    Bindings b = { .n = 2, .b = { { S("x"), 1, &x }, { S("y"), 1, &y } } };
    Eval e = eval_graph(g, &b);
    double v = e.v[d][0];
    eval_free(&e);
    graph_drop(g);
    return v;
}

static Ref f_sqrt(Graph *g, Ref x, Ref y) { (void)y; return U(sqrt, x); }
static Ref f_max(Graph *g, Ref x, Ref y) { return B(max, x, y); }
static Ref f_min(Graph *g, Ref x, Ref y) { return B(min, x, y); }
static Ref f_nan(Graph *g, Ref x, Ref y) { (void)y; return mk_nan_to_num(g, x, 0, 1e5); }
static Ref f_stop(Graph *g, Ref x, Ref y) { return B(mul, U(stop, B(mul, x, K(3))), y); }

static void test_special_points(void **state)
{
    (void)state;
    assert_true(gradient_at(f_sqrt, 0, 0, 0) == 0);
    assert_true(gradient_at(f_sqrt, 4, 0, 0) == 0.25);
    assert_true(gradient_at(f_max, 2, 2, 0) == 1 && gradient_at(f_max, 2, 2, 1) == 0);
    assert_true(gradient_at(f_min, 2, 2, 0) == 1 && gradient_at(f_min, 2, 2, 1) == 0);
    assert_true(gradient_at(f_nan, NAN, 0, 0) == 0 && gradient_at(f_nan, INFINITY, 0, 0) == 0 && gradient_at(f_nan, 3, 0, 0) == 1);
    assert_true(gradient_at(f_stop, 2, 5, 0) == 0 && gradient_at(f_stop, 2, 5, 1) == 6);
}

static int errors;
static void on_error(const Origin *at, const char *op)
{
    errors++;
    assert_string_equal(op, "rmax");
    assert_int_equal(at->line, 42);
}

static void test_missing_rule(void **state)
{
    (void)state;
    Graph *g = graph_new();
    g->at = (Origin){ S("m.dsl"), 42, 7, S("model") };
    Ref x = X("a3 b2"), y = Y("a3"), m = mk_rmax(g, x, LIST(S("a"))), k = mk_rmax(g, x, LIST(S("b")));
    grad_error = on_error;
    autodiff(g, SUM(B(mul, B(mul, m, k), y), S("a"), S("b")), 1, &x);
    assert_int_equal(errors, 1);                                       /* once per operation */
    autodiff(g, SUM(B(mul, k, y), S("a")), 1, &y);                     /* not on the way to what is asked */
    assert_int_equal(errors, 1);
    graph_drop(g);
}

static void test_origins(void **state)                                /* backward nodes point to the user's line */
{
    (void)state;
    Graph *g = graph_new();
    Ref x = X("a3");
    g->at = (Origin){ S("m.dsl"), 10, 1, NULL };
    Ref y = U(exp, x);
    g->at = (Origin){ S("m.dsl"), 11, 1, NULL };
    Ref z = U(tanh, y);
    uint32_t end = SUM(z, S("a"));
    autodiff(g, end, 1, &x);
    for (Ref r = end + 1; r < g->n; r++)
        if (op_info[N(g, r)->op].cls == OPC_ELEM) assert_true(N(g, r)->at.line == 10 || N(g, r)->at.line == 11);
    assert_int_equal(g->at.line, 11);
    graph_drop(g);
}

int main(void)
{
    prog_name = "test_autodiff";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases), cmocka_unit_test(test_conv_data_gradient), cmocka_unit_test(test_siblings),
        cmocka_unit_test(test_special_points), cmocka_unit_test(test_missing_rule), cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
