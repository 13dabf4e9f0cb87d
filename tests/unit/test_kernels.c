/* Generated C kernels against the naive evaluator: graphs with gradients are lowered, printed, compiled by the system's compiler and run.
   Assumes a C compiler; shapes are small but cover every leaf, masks, strides, concatenations and fused prologues and epilogues. */
#include "eval.h"
#include "compiler/autodiff.h"
#include "compiler/kernel.h"
#include "runtime/blas.h"
#include "runtime/kernel_prelude.h"
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>

typedef struct { Graph *g; Param p[16]; int n_params; Ref wrt[16]; int n_wrt; } Case;

static int axes_of(const char *text, Axis *v)                          /* "n2 c16 h8" */
{
    int n = 0;
    while (*text) {
        char role[16]; int size, used;
        if (sscanf(text, " %15[a-z]%d%n", role, &size, &used) != 2) break;
        v[n++] = (Axis){sym(role), size};
        text += used;
    }
    return n;
}

static Ref input(Case *c, const char *name, const char *axes)
{
    Axis v[MAX_AXES];
    int n = axes_of(axes, v);
    Ref r = mk_input(c->g, sym(name), n, v);
    c->wrt[c->n_wrt++] = r;
    return r;
}

static Ref param(Case *c, const char *name, const char *axes)
{
    Param *p = &c->p[c->n_params];
    Axis v[MAX_AXES];
    p->n_axes = axes_of(axes, v);
    p->axes = arena_make(c->g->arena, Axis, p->n_axes);
    memcpy(p->axes, v, sizeof(Axis) * (size_t)p->n_axes);
    p->name = sym(name);
    Ref r = mk_param(c->g, c->n_params++, sym(""), p->n_axes, p->axes);
    c->wrt[c->n_wrt++] = r;
    return r;
}

static Ref conv(Case *c, Ref x, const char *name, int o, int i, int k, int stride)
{
    char shape[64], bias[64], bname[64];
    snprintf(shape, sizeof shape, "o%d i%d kh%d kw%d", o, i, k, k);
    snprintf(bias, sizeof bias, "c%d", o);
    snprintf(bname, sizeof bname, "%s.bias", name);
    Ref w = param(c, name, shape), b = param(c, bname, bias);
    int64_t H = find_axis(N(c->g, x), sym("h"))->size, W = find_axis(N(c->g, x), sym("w"))->size;
    Ref y = mk_rename(c->g, x, sym("c"), sym("i"));
    y = mk_window(c->g, y, sym("h"), sym("kh"), k, stride, 1, k / 2, (H + 2 * (k / 2) - k) / stride + 1);
    y = mk_window(c->g, y, sym("w"), sym("kw"), k, stride, 1, k / 2, (W + 2 * (k / 2) - k) / stride + 1);
    Sym red[] = {sym("i"), sym("kh"), sym("kw")};
    y = mk_sum(c->g, mk_binary(c->g, OP_mul, w, y), 3, red);
    return mk_binary(c->g, OP_add, mk_rename(c->g, y, sym("o"), sym("c")), b);
}

static Ref norm(Case *c, Ref x, int groups, const char *name)
{
    Graph *g = c->g;
    const Node *n = N(g, x);
    int64_t C = find_axis(n, sym("c"))->size;
    char shape[16], wn[32], bn[32];
    snprintf(shape, sizeof shape, "c%d", (int)C);
    snprintf(wn, sizeof wn, "%s.w", name);
    snprintf(bn, sizeof bn, "%s.b", name);
    Ref w = param(c, wn, shape), b = param(c, bn, shape);
    n = N(g, x);
    Rearrange split = {0}, merge = {0};
    Axis mid[MAX_AXES], out[MAX_AXES];
    split.n_in = n->n_axes;
    int f = 0, nm = 0;
    for (int i = 0; i < n->n_axes; i++) {
        out[i] = n->axes[i];
        bool is_c = n->axes[i].role == sym("c");
        split.in_count[i] = is_c ? 2 : 1;
        split.factor[f] = is_c ? groups : n->axes[i].size;
        split.out_count[nm] = 1; split.out_factor[nm] = f; mid[nm++] = (Axis){is_c ? sym("g") : n->axes[i].role, split.factor[f]}; f++;
        if (is_c) { split.factor[f] = C / groups; split.out_count[nm] = 1; split.out_factor[nm] = f; mid[nm++] = (Axis){sym("d"), C / groups}; f++; }
    }
    split.n_out = nm; split.n_factors = f;
    merge.n_in = nm; merge.n_factors = f; merge.n_out = n->n_axes;
    for (int i = 0; i < nm; i++) { merge.in_count[i] = 1; merge.factor[i] = mid[i].size; merge.out_factor[i] = i; }
    for (int i = 0; i < n->n_axes; i++) merge.out_count[i] = out[i].role == sym("c") ? 2 : 1;
    Sym red[] = {sym("d"), sym("h"), sym("w")};
    Ref y = mk_standardize(g, mk_rearrange(g, x, &split, mid), 3, red, 1e-6);
    y = mk_rearrange(g, y, &merge, out);
    return mk_binary(g, OP_add, mk_binary(g, OP_mul, y, w), b);
}

static Ref silu(Graph *g, Ref x) { return mk_binary(g, OP_mul, x, mk_unary(g, OP_sigmoid, x)); }

static Ref c_conv(Case *c) { return conv(c, input(c, "x", "n2 c16 h8 w12"), "w", 24, 16, 3, 1); }
static Ref c_conv1(Case *c) { return conv(c, silu(c->g, input(c, "x", "n2 c16 h6 w6")), "w", 8, 16, 1, 1); }
static Ref c_conv5(Case *c) { return conv(c, input(c, "x", "n3 c3 h7 w9"), "w", 5, 3, 5, 1); }
static Ref c_stride(Case *c) { return conv(c, silu(c->g, input(c, "x", "n2 c8 h8 w8")), "w", 8, 8, 3, 2); }
static Ref c_block(Case *c)
{
    Graph *g = c->g;
    Ref x = input(c, "x", "n2 c16 h8 w8"), emb = input(c, "emb", "n2 c24");
    Ref a = conv(c, silu(g, norm(c, x, 4, "norm0")), "conv0", 24, 16, 3, 1);
    a = mk_binary(g, OP_add, a, emb);
    Ref b = silu(g, norm(c, a, 6, "norm1"));
    Axis v[] = {{sym("n"), 2}, {sym("c"), 24}, {sym("h"), 8}, {sym("w"), 8}};
    Ref keep = mk_draw(g, DRAW_BERNOULLI, sym("drop"), sym("draw.drop.block"), 0.8, 0, 4, v);
    b = mk_where(g, mk_binary(g, OP_lt, mk_const(g, 0), keep), mk_binary(g, OP_div, b, mk_const(g, 0.8)), mk_const(g, 0));
    Ref d = conv(c, b, "conv1", 24, 24, 3, 1), s = conv(c, x, "skip", 24, 16, 1, 1);
    Ref y = mk_binary(g, OP_mul, mk_binary(g, OP_add, d, s), mk_const(g, sqrt(0.5)));
    return conv(c, silu(g, norm(c, mk_concat(g, sym("c"), 2, (Ref[]){y, x}), 8, "norm2")), "out", 3, 40, 3, 1);
}

static Ref c_updown(Case *c)
{
    Graph *g = c->g;
    Ref x = input(c, "x", "n2 c8 h8 w8");
    Rearrange r = {.n_in = 4, .n_out = 6, .n_factors = 6, .factor = {2, 8, 4, 2, 4, 2}, .in_count = {1, 1, 2, 2}, .out_count = {1, 1, 1, 1, 1, 1}, .out_factor = {0, 1, 2, 4, 3, 5}};
    Axis out[] = {{sym("n"), 2}, {sym("c"), 8}, {sym("h"), 4}, {sym("w"), 4}, {sym("dh"), 2}, {sym("dw"), 2}};
    Sym red[] = {sym("dh"), sym("dw")};
    Ref d = mk_binary(g, OP_mul, mk_sum(g, mk_rearrange(g, silu(g, x), &r, out), 2, red), mk_const(g, 0.25));
    d = conv(c, d, "w0", 8, 8, 3, 1);
    Ref u = mk_repeat(g, mk_repeat(g, silu(g, d), sym("h"), 2), sym("w"), 2);
    return mk_binary(g, OP_add, conv(c, u, "w1", 8, 8, 3, 1), x);
}

static Ref c_attention(Case *c)
{
    Graph *g = c->g;
    Ref t = conv(c, input(c, "x", "n2 c16 h4 w6"), "qkv", 48, 16, 1, 1);
    Rearrange r = {.n_in = 4, .n_out = 5, .n_factors = 6};
    const Node *n = N(g, t);
    Axis out[5];
    int f = 0, pos[6];                                                 /* factors: n; head d three; h; w in input order */
    for (int i = 0; i < 4; i++) {
        if (n->axes[i].role == sym("c")) {
            r.in_count[i] = 3; pos[1] = f; r.factor[f++] = 2; pos[2] = f; r.factor[f++] = 8; pos[3] = f; r.factor[f++] = 3;
        } else {
            r.in_count[i] = 1;
            pos[n->axes[i].role == sym("n") ? 0 : n->axes[i].role == sym("h") ? 4 : 5] = f;
            r.factor[f++] = n->axes[i].size;
        }
    }
    r.out_count[0] = r.out_count[1] = r.out_count[2] = r.out_count[3] = 1; r.out_count[4] = 2;
    for (int i = 0; i < 6; i++) r.out_factor[i] = pos[i];
    out[0] = (Axis){sym("n"), 2}; out[1] = (Axis){sym("head"), 2}; out[2] = (Axis){sym("d"), 8}; out[3] = (Axis){sym("three"), 3}; out[4] = (Axis){sym("px"), 24};
    t = mk_rearrange(g, t, &r, out);
    Ref q = mk_pick(g, t, sym("three"), 0), k = mk_rename(g, mk_pick(g, t, sym("three"), 1), sym("px"), sym("key")),
        v = mk_rename(g, mk_pick(g, t, sym("three"), 2), sym("px"), sym("key"));
    Sym d[] = {sym("d")}, key[] = {sym("key")};
    Ref s = mk_softmax(g, mk_binary(g, OP_div, mk_sum(g, mk_binary(g, OP_mul, q, k), 1, d), mk_const(g, sqrt(8))), 1, key);
    return mk_sum(g, mk_binary(g, OP_mul, s, v), 1, key);
}

static Ref c_linear(Case *c)
{
    Graph *g = c->g;
    Ref w = param(c, "w", "o40 i32"), x = input(c, "x", "n6 i32");
    Sym i[] = {sym("i")};
    Ref y = mk_sum(g, mk_binary(g, OP_mul, silu(g, x), w), 1, i);
    Ref f = mk_unary(g, OP_cos, mk_binary(g, OP_mul, mk_iota(g, sym("o"), 40), mk_const(g, 0.1)));
    return mk_binary(g, OP_add, y, f);
}

static Ref c_one_dim(Case *c)                                          /* an odd sequence convolution, dilation by axis names nobody planned for */
{
    Graph *g = c->g;
    Ref w = param(c, "w", "o12 i10 kt3"), x = input(c, "x", "n2 i10 t33");
    Ref y = mk_window(g, x, sym("t"), sym("kt"), 3, 1, 2, 2, 33);
    Sym red[] = {sym("i"), sym("kt")};
    return mk_sum(g, mk_binary(g, OP_mul, mk_unary(g, OP_tanh, y), w), 2, red);
}

static Ref c_depthwise(Case *c)
{
    Graph *g = c->g;
    Ref w = param(c, "w", "c8 kh3 kw3"), x = input(c, "x", "n2 c8 h6 w6");
    Ref y = mk_window(g, mk_window(g, x, sym("h"), sym("kh"), 3, 1, 1, 1, 6), sym("w"), sym("kw"), 3, 1, 1, 1, 6);
    Sym red[] = {sym("kh"), sym("kw")};
    return mk_sum(g, mk_binary(g, OP_mul, y, w), 2, red);
}

static const struct { const char *name; Ref (*build)(Case *); } cases[] = {
    {"conv 3x3", c_conv}, {"conv 1x1", c_conv1}, {"conv 5x5, odd sizes", c_conv5}, {"conv stride 2", c_stride}, {"linear", c_linear}, {"attention", c_attention},
    {"up and down", c_updown}, {"one dimension, dilated", c_one_dim}, {"depthwise", c_depthwise}, {"residual block", c_block}};

static double value_at(Sym name, int64_t i) { return hashed(hash64(name, strlen(name), 3), (uint64_t)i) * 2 - 1; }

/* Copy between a tensor in node order (double) and a buffer in its layout (float); to_buf or back. */
static void transfer(const Node *n, const Layout *lay, double *v, float *buf, bool to_buf)
{
    for (int64_t i = 0; i < node_elements(n); i++) {
        int64_t at[MAX_AXES], rest = i, o = 0;
        for (int k = n->n_axes; k-- > 0; rest /= n->axes[k].size) at[k] = rest % n->axes[k].size;
        for (int k = 0; k < lay->n; k++)
            for (int a = 0; a < n->n_axes; a++)
                if (n->axes[a].role == lay->axis[k].role) o = o * lay->axis[k].size + at[a];
        if (to_buf) buf[o] = (float)v[i];
        else v[i] = buf[o];
    }
}

static void run_case(const char *name, Ref (*build)(Case *), int threads)
{
    Case c = {.g = graph_new()};
    Ref y = build(&c);
    graph_output(c.g, sym("y"), y);
    Ref sq = mk_binary(c.g, OP_mul, y, mk_unary(c.g, OP_sin, y));      /* any loss whose gradient is not constant */
    Sym all[MAX_AXES];
    int na = N(c.g, sq)->n_axes;
    for (int i = 0; i < na; i++) all[i] = N(c.g, sq)->axes[i].role;
    Ref loss = mk_sum(c.g, sq, na, all);
    Ref *grad = autodiff(c.g, loss, c.n_wrt, c.wrt);
    int ip = 0;
    for (int i = 0; i < c.n_wrt; i++) {
        const Node *w = N(c.g, c.wrt[i]);
        graph_output(c.g, sym(arena_printf(c.g->arena, "grad.%s", w->op == OP_param ? c.p[ip++].name : w->a.input.name)), grad[i]);
    }
    simplify(c.g);
    expand_composites(c.g);
    simplify(c.g);
    verify(c.g, "simplify");
    Bindings b = {0};
    for (Ref r = 1; r < c.g->n; r++) {
        const Node *n = N(c.g, r);
        if (n->op != OP_input && n->op != OP_param) continue;
        Sym nm = n->op == OP_param ? sym(arena_printf(c.g->arena, "#%d", n->a.param.index)) : n->a.input.name;
        double *v = xmalloc(sizeof(double) * (size_t)node_elements(n));
        for (int64_t i = 0; i < node_elements(n); i++) v[i] = (float)value_at(nm, i);
        b.b[b.n++] = (Bound){nm, node_elements(n), v};
    }
    Eval ev = eval_graph(c.g, &b);

    Module m = {.n_params = c.n_params, .params = c.p};
    Program pr = {.name = sym("t"), .n_seg = 1};
    pr.seg[0] = (Segment){.name = sym("t"), .g = c.g};
    m.n_programs = 1;
    m.programs = &pr;
    Layout lay[16];
    layout_params(&m, lay);
    Graph was = *c.g;                                /* as evaluated: regroup makes other nodes */
    was.node = xmalloc(sizeof *was.node * was.n);
    memcpy(was.node, c.g->node, sizeof *was.node * was.n);
    was.out = xmalloc(sizeof *was.out * (size_t)was.n_out);
    memcpy(was.out, c.g->out, sizeof *was.out * (size_t)was.n_out);
    ev.g = &was;
    regroup(c.g, &m, lay);
    Ranks *ranks = layout_ranks(&m, c.g, lay);
    fuse(c.g, ranks);
    free(ranks);
    Lowered *l = lower_segment(&m, &pr, &pr.seg[0], lay);
    memplan_segment(l);
    char dir[] = "/tmp/ect-kernels-XXXXXX";
    assert_non_null(mkdtemp(dir));
    StrBuf text = {0};
    sb_puts(&text, "#define ECT_DRAW_INPUTS 1\n#include \"runtime/kernel_prelude.h\"\n");
    int64_t scratch = 64, shared = 64;
    for (int i = 0; i < l->n_kernel; i++) {
        emit_kernel(l, l->kernel[i]);
        scratch = MAX(scratch, l->kernel[i]->scratch);
        shared = MAX(shared, l->kernel[i]->shared);
        bool seen = false;
        for (int j = 0; j < i; j++) seen |= !strcmp(l->kernel[j]->name, l->kernel[i]->name);
        if (!seen) sb_puts(&text, l->kernel[i]->body);
    }
    char *src = xasprintf("%s/k.c", dir), *so = xasprintf("%s/k.so", dir);
    assert_true(write_file_atomic(src, text.s, text.len));
    const char *top = getenv("SRC") ? getenv("SRC") : ".";
    char *cmd = xasprintf("cc -std=gnu11 -O1 -Wall -Werror -Wno-unused-variable -Wno-unused-but-set-variable -fopenmp -fPIC -shared -I%s -o %s %s -lm", top, so, src);
    if (system(cmd) != 0) fail_msg("%s: generated code does not compile: %s", name, src);
    void *dl = dlopen(so, RTLD_NOW);
    if (!dl) fail_msg("%s", dlerror());

    float *arena = xmalloc(sizeof(float) * (size_t)(l->arena_elements + 16));
    float **buf = xcalloc((size_t)l->n_buf, sizeof *buf);
    for (int64_t i = 0; i < l->arena_elements; i++) arena[i] = NAN;
    for (int i = 0; i < l->n_buf; i++) {
        Buffer *bf = &l->buf[i];
        buf[i] = bf->kind == BUF_ARENA ? arena + bf->offset : xmalloc(sizeof(float) * (size_t)(bf->elements + 16));
        if (bf->kind != BUF_ARENA) for (int64_t q = 0; q < bf->elements; q++) buf[i][q] = NAN;
        for (Ref r = 1; r < was.n; r++) {
            const Node *n = N(&was, r);
            if ((bf->kind == BUF_PARAM && n->op == OP_param && c.p[n->a.param.index].name == bf->name)
                || (bf->kind == BUF_INPUT && n->op == OP_input && n->a.input.name == bf->name))
                transfer(n, &bf->layout, ev.v[r], buf[i], true);
        }
    }
    float **draws = xcalloc((size_t)l->n_draw + 1, sizeof *draws);
    for (int i = 0; i < l->n_draw; i++)
        for (Ref r = 1; r < was.n; r++)
            if (N(&was, r)->op == OP_draw && N(&was, r)->a.draw.path == l->draw[i].path) {
                const Node *n = N(&was, r);
                Layout el = {0};
                for (int a = 0; a < n->n_axes; a++) if (n->axes[a].role != sym("c")) el.axis[el.n++] = n->axes[a];
                for (int a = 0; a < n->n_axes; a++) if (n->axes[a].role == sym("c")) el.axis[el.n++] = n->axes[a];
                draws[i] = xmalloc(sizeof(float) * (size_t)node_elements(n));
                transfer(n, &el, ev.v[r], draws[i], true);
            }
    char *sc = aligned_alloc(64, (size_t)(scratch * threads)), *sh = aligned_alloc(64, (size_t)shared);
    for (int i = 0; i < l->n_kernel; i++) {
        Kernel *k = l->kernel[i];
        memset(sc, 0xff, (size_t)(scratch * threads));
        memset(sh, 0xff, (size_t)shared);
        float *args[64];
        const float *dr[16];
        for (int j = 0; j < k->n_buf; j++) args[j] = buf[k->buf[j]];
        for (int j = 0; j < k->n_draw; j++) dr[j] = draws[k->draw[j]];
        EctArgs a = {.buf = args, .draw = dr, .scratch = sc, .scratch_stride = (ect_u64)scratch, .shared = sh, .threads = threads, .instances = 1, .sgemm = blas_sgemm()};
        void (*f)(const EctArgs *) = (void (*)(const EctArgs *))dlsym(dl, k->name);
        assert_non_null(f);
        f(&a);
    }
    for (int i = 0; i < was.n_out; i++) {
        const Node *n = N(&was, was.out[i].ref);
        int at = -1;
        for (int j = 0; j < l->n_buf; j++) if ((l->buf[j].kind == BUF_OUTPUT || l->buf[j].kind == BUF_GRAD) && l->buf[j].name == was.out[i].name) at = j;
        assert_true(at >= 0);
        int64_t count = node_elements(n);
        double *got = xmalloc(sizeof(double) * (size_t)count), err = 0, ref = 0;
        Layout lo = l->buf[at].layout;                                 /* layouts of outputs under renames carry the base node's roles: use declared order */
        if (l->buf[at].kind == BUF_OUTPUT) { lo.n = n->n_axes; memcpy(lo.axis, n->axes, sizeof(Axis) * (size_t)n->n_axes); }
        else for (int p = 0; p < c.n_params; p++) if (!strcmp(c.p[p].name, was.out[i].name + 5)) lo = lay[p];
        transfer(n, &lo, got, buf[at], false);
        const double *want = ev.v[was.out[i].ref];
        for (int64_t q = 0; q < count; q++) { err += (got[q] - want[q]) * (got[q] - want[q]); ref += want[q] * want[q]; }
        if (!(sqrt(err) <= 2e-5 * sqrt(ref) + 1e-6)) fail_msg("%s: output %s differs: %g of %g (%s)", name, was.out[i].name, sqrt(err), sqrt(ref), src);
        free(got);
    }
    /* not closed: idle OpenMP threads may still run in libraries it brought in */
    if (!getenv("ECT_KEEP")) remove_tree(dir);
    for (int i = 0; i < l->n_buf; i++) if (l->buf[i].kind != BUF_ARENA) free(buf[i]);
    for (int i = 0; i < l->n_draw; i++) free(draws[i]);
    for (int i = 0; i < b.n; i++) free(b.b[i].v);
    eval_free(&ev);
    free(buf); free(draws); free(sc); free(sh); free(arena); free(src); free(so); free(cmd);
    sb_free(&text);
    lowered_free(l);
    graph_drop(c.g);
}

static void test_all(void **state)
{
    (void)state;
    const char *only = getenv("ECT_CASE");
    for (size_t i = 0; i < COUNT(cases); i++)
        if (!only || strstr(cases[i].name, only)) run_case(cases[i].name, cases[i].build, i % 2 ? 2 : 1);
}

int main(void)
{
    prog_name = "test_kernels";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
