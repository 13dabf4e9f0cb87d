/* The interpreters: every operation on small tensors, random view chains against a direct evaluation, contraction, draws,
   training. Assumes plans made by plan_text.h. */
#include "plan_text.h"
#include "runtime/ref_graph.h"
#include "runtime/rng.h"
#include <math.h>
#include <setjmp.h>
#include <cmocka.h>

static Session *session;
static Plan *plan;
static void begin(const char *graph, const char *const *in, const char *const *out, const char *draws, const char *device)
{
    plan = simple_plan(graph, in, out, draws);
    session = session_open(plan, device, 1);
}
static const float *run(const float *const *in)
{
    session_run(session, &plan->program[0], &(RunArgs){.in = in});
    return session_output(session, &plan->program[0], "y");
}
static void end(void)
{
    session_close(session);
    plan_free(plan);
}
static bool near(double a, double b, double tol)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tol * (1 + fabs(b));
}

/* y = f(a, b) for the rows of a table, on both devices */
static void elementwise(void **state)
{
    (void)state;
    static const float a[6] = {-1.5f, 0, 0.5f, 2, NAN, INFINITY}, b[6] = {2, -1, 0.5f, NAN, 1, 3};
    static const struct { const char *text; bool is_bool; double y[6]; } cases[] = {
        {"neg %1", 0, {1.5, -0.0, -0.5, -2, NAN, -INFINITY}},
        {"abs %1", 0, {1.5, 0, 0.5, 2, NAN, INFINITY}},
        {"exp %1", 0, {0.22313016, 1, 1.6487213, 7.3890561, NAN, INFINITY}},
        {"log %1", 0, {NAN, -INFINITY, -0.6931472, 0.6931472, NAN, INFINITY}},
        {"sqrt %1", 0, {NAN, 0, 0.70710678, 1.4142136, NAN, INFINITY}},
        {"rsqrt %1", 0, {NAN, INFINITY, 1.4142136, 0.70710678, NAN, 0}},
        {"sigmoid %1", 0, {0.18242552, 0.5, 0.62245933, 0.88079708, NAN, 1}},
        {"tanh %1", 0, {-0.90514825, 0, 0.46211716, 0.96402758, NAN, 1}},
        {"erf %1", 0, {-0.96610515, 0, 0.52049988, 0.99532227, NAN, 1}},
        {"floor %1", 0, {-2, 0, 0, 2, NAN, INFINITY}},
        {"sign %1", 0, {-1, 0, 1, 1, NAN, 1}},
        {"nan_to_num nan 7 inf 0x1.4p+3 %1", 0, {-1.5, 0, 0.5, 2, 7, 10}},
        {"isfinite %1", 1, {1, 1, 1, 1, 0, 0}},
        {"add %1 %2", 0, {0.5, -1, 1, NAN, NAN, INFINITY}},
        {"sub %1 %2", 0, {-3.5, 1, 0, NAN, NAN, INFINITY}},
        {"mul %1 %2", 0, {-3, 0, 0.25, NAN, NAN, INFINITY}},
        {"div %1 %2", 0, {-0.75, 0, 1, NAN, NAN, INFINITY}},
        {"pow %1 %2", 0, {2.25, INFINITY, 0.70710678, NAN, NAN, INFINITY}},
        {"max %1 %2", 0, {2, 0, 0.5, NAN, NAN, INFINITY}},
        {"min %1 %2", 0, {-1.5, -1, 0.5, NAN, NAN, 3}},
        {"lt %1 %2", 1, {1, 0, 0, 0, 0, 0}},
        {"le %1 %2", 1, {1, 0, 1, 0, 0, 0}},
        {"eq %1 %2", 1, {0, 0, 1, 0, 0, 0}},
        {"bf16 %1", 0, {-1.5, 0, 0.5, 2, NAN, INFINITY}},
    };
    for (size_t k = 0; k < COUNT(cases); k++)
        for (int wide = 0; wide < 2; wide++) {
            char *text = xasprintf("# a comment\n%%1 = input \"a\" [c:6] @m.dsl:1:2 \"x.y\"\n%%2 = input \"b\" [c:6]\n%%3 = %s "
                                   "[c:6]%s\nout \"y\" %%3\n",
                                   cases[k].text, cases[k].is_bool ? " bool" : "");
            begin(text, (const char *const[]){"a [c:6]", "b [c:6]", NULL}, (const char *const[]){"y [c:6]", NULL}, NULL,
                  wide ? "ref64" : "ref");
            const float *y = run((const float *const[]){a, b});
            for (int i = 0; i < 6; i++)
                if (!near(y[i], cases[k].y[i], 1e-6))
                    fail_msg("%s: element %d is %g, not %g", cases[k].text, i, y[i], cases[k].y[i]);
            end();
            free(text);
        }
}
/* Joins by role, run-time scalars, an arm of `where` that is not taken, an order of axes in the output that is not the declared
   one. */
static void joins(void **state)
{
    (void)state;
    begin("%1 = input \"a\" [n:2]\n%2 = input \"b\" [c:3,n:2]\n%3 = scalar 0 []\n%4 = mul %1 %3 [n:2]\n%5 = div %4 %2 [n:2,c:3]\n"
          "%6 = const 0 []\n%7 = eq %2 %6 [c:3,n:2] bool\n%8 = not %7 [c:3,n:2] bool\n%9 = where %8 %5 %6 [c:3,n:2]\nout \"y\" "
          "%9\n",
          (const char *const[]){"a [n:2]", "b [c:3,n:2]", NULL}, (const char *const[]){"y [n:2,c:3]", NULL}, NULL, "ref");
    static const float a[2] = {4, 8}, b[6] = {1, 0, 2, 4, 0, 8}, want[6] = {2, 1, 0, 0, 1, 0.5};
    const float *y = run((const float *const[]){a, b});
    assert_memory_equal(y, want, sizeof want);
    char *err = NULL;
    assert_true(session_set(session, "q = 0.5", &err));
    assert_true(run((const float *const[]){a, b})[0] == 4);
    assert_false(session_set(session, "Q=1", &err));
    assert_non_null(strstr(err, "did you mean `q`"));
    free(err);
    end();
}

/* ---- random view chains against element-by-element evaluation ---- */
enum { DEPTH = 6 };
typedef struct {
    PlanShape shape;
    char text[400];
    int op, axis, kaxis;
    int64_t a, b, k, stride, dil, pad;
    int64_t factor[32];
    int n_factor, in_axis[32], out_axis[32];
} View;
static uint64_t dice;
static int64_t pick_of(int64_t n) { return (int64_t)(hash64(&dice, sizeof dice, dice++) % (uint64_t)n); }
static void shape_list(StrBuf *b, const PlanShape *s)
{
    sb_putc(b, '[');
    for (int i = 0; i < s->n; i++) sb_printf(b, "%s%s:%lld", i ? "," : "", s->role[i], (long long)s->size[i]);
    sb_putc(b, ']');
}
static const char *const fresh[] = {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8",
                                    "r9", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"};
static int next_fresh;
/* A random view of x; node numbers: operand %id. false: this kind does not apply here. */
static bool random_view(const PlanShape *x, int id, View *v)
{
    memset(v, 0, sizeof *v);
    v->op = (int)pick_of(9);
    v->shape = *x;
    v->axis = x->n ? (int)pick_of(x->n) : -1;
    if (v->axis < 0) return false;
    int64_t size = x->size[v->axis], elements = shape_elements(x);
    const char *role = x->role[v->axis], *new_role = fresh[next_fresh % (int)COUNT(fresh)];
    if (shape_axis(x, new_role) >= 0) return false;
    switch (v->op) {
    case 0: v->shape.role[v->axis] = new_role; next_fresh++; sprintf(v->text, "rename %s %s %%%d", role, new_role, id); break;
    case 1: v->b = 1 + pick_of(size); v->a = pick_of(size - v->b + 1); v->shape.size[v->axis] = v->b;
            sprintf(v->text, "slice %s %d %d %%%d", role, (int)v->a, (int)v->b, id); break;
    case 2: v->a = pick_of(size);
            for (int i = v->axis; i + 1 < x->n; i++) v->shape.role[i] = x->role[i + 1], v->shape.size[i] = x->size[i + 1];
            v->shape.n--; sprintf(v->text, "pick %s %d %%%d", role, (int)v->a, id); break;
    case 3:
        v->a = pick_of(3);
        v->b = pick_of(3);
        v->shape.size[v->axis] += v->a + v->b;
        sprintf(v->text, "pad %s %d %d %%%d", role, (int)v->a, (int)v->b, id);
        break;
    case 4:
        v->a = 1 + pick_of(3);
        v->shape.size[v->axis] *= v->a;
        sprintf(v->text, "repeat %s %d %%%d", role, (int)v->a, id);
        break;
    case 5: if (x->n >= 6) return false;
        v->k = 1 + pick_of(3);
        v->stride = 1 + pick_of(2);
        v->dil = pick_of(4) ? 1 : -1;
        v->pad = pick_of(3) * (pick_of(5) ? 1 : -1);
        v->b = 1 + pick_of(size + 2);
        v->shape.size[v->axis] = v->b;
        v->kaxis = v->shape.n;
        v->shape.role[v->shape.n] = new_role;
        v->shape.size[v->shape.n++] = v->k;
        next_fresh++;
        sprintf(v->text, "window %s %s k %d stride %d dil %d pad %d out %d %%%d", role, new_role, (int)v->k, (int)v->stride,
                (int)v->dil, (int)v->pad, (int)v->b, id);
        break;
    case 6: if (x->n < 2) return false;
            v->kaxis = (v->axis + 1) % x->n;
            v->stride = 1 + pick_of(3); v->dil = 1 + pick_of(2); v->pad = pick_of(3); v->b = 1 + pick_of(2 * size);
            v->shape.size[v->axis] = v->b;
            sprintf(v->text, "unwindow %s %s stride %d dil %d pad %d out %d %%%d", role, x->role[v->kaxis], (int)v->stride,
                    (int)v->dil, (int)v->pad, (int)v->b, id);
            break;
    case 7: if (x->n >= 6) return false;
            v->b = 1 + pick_of(3); v->kaxis = (int)pick_of(x->n + 1);
            for (int i = x->n; i > v->kaxis; i--) v->shape.role[i] = x->role[i - 1], v->shape.size[i] = x->size[i - 1];
            v->shape.role[v->kaxis] = new_role; v->shape.size[v->kaxis] = v->b; v->shape.n++; next_fresh++;
            sprintf(v->text, "expand %s %d %%%d", new_role, (int)v->b, id); break;
    case 8: { /* rearrange: split axes at random, shuffle factors, merge at random */
        StrBuf b = {0};
        sb_puts(&b, "rearrange ");
        for (int i = 0; i < x->n; i++) {
            int64_t left = x->size[i];
            sb_putc(&b, '(');
            for (int first = 1; left > 1 || first; first = 0) {
                int64_t f = left;
                for (int64_t d = 2; d < left && pick_of(2); d++) if (left % d == 0) f = d;
                sb_printf(&b, "%s%d", first ? "" : " ", (int)f);
                v->in_axis[v->n_factor] = i;
                v->factor[v->n_factor++] = f;
                left /= f;
            }
            sb_putc(&b, ')');
        }
        if (v->n_factor > 8) { sb_free(&b); return false; }
        int order[32];
        for (int i = 0; i < v->n_factor; i++) { int k = (int)pick_of(i + 1); order[i] = order[k]; order[k] = i; }
        sb_puts(&b, " -> ");
        v->shape.n = 0;
        for (int i = 0; i < v->n_factor; v->shape.n++) {
            int count = 1 + (int)pick_of(3);
            if (v->shape.n == 5) count = v->n_factor - i;
            int64_t total = 1;
            sb_putc(&b, '(');
            for (int c = 0; c < count && i < v->n_factor; c++, i++) {
                sb_printf(&b, "%s%d", c ? " " : "", order[i]);
                v->out_axis[order[i]] = v->shape.n;
                total *= v->factor[order[i]];
            }
            sb_putc(&b, ')');
            v->shape.role[v->shape.n] = fresh[next_fresh++ % (int)COUNT(fresh)];
            v->shape.size[v->shape.n] = total;
        }

        /* remember the order for evaluation */
        for (int i = 0; i < v->n_factor; i++) v->in_axis[16 + i] = order[i];
        sb_printf(&b, " %%%d", id);
        snprintf(v->text, sizeof v->text, "%s", b.s);
        sb_free(&b);
        break;
    }
    }
    return shape_elements(&v->shape) > 0 && shape_elements(&v->shape) < 20000 && elements < 20000;
}
/* Index in x of index `out` of the view; false: outside. */
static bool view_index(const View *v, const PlanShape *x, const int64_t *out, int64_t *in)
{
    int64_t j;
    if (v->op == 8) {
        int64_t value[32];
        for (int a = v->shape.n; a--; ) {
            int64_t rest = out[a];
            for (int i = v->n_factor; i--; ) {
                int f = v->in_axis[16 + i];
                if (v->out_axis[f] != a) continue;
                value[f] = rest % v->factor[f];
                rest /= v->factor[f];
            }
        }
        for (int i = 0; i < x->n; i++) in[i] = 0;
        for (int f = 0; f < v->n_factor; f++) in[v->in_axis[f]] = in[v->in_axis[f]] * v->factor[f] + value[f];
        return true;
    }
    for (int i = 0; i < x->n; i++) in[i] = v->op == 2 ? out[i - (i > v->axis)] : v->op == 7 ? out[i + (i >= v->kaxis)] : out[i];
    switch (v->op) {
    case 1: in[v->axis] += v->a; break;
    case 2: in[v->axis] = v->a; break;
    case 3: in[v->axis] -= v->a; break;
    case 4: in[v->axis] /= v->a; break;
    case 5: in[v->axis] = out[v->axis] * v->stride + out[v->kaxis] * v->dil - v->pad; break;
    case 6:
        j = out[v->axis] + v->pad - out[v->kaxis] * v->dil;
        if (j < 0 || j % v->stride) return false;
        in[v->axis] = j / v->stride;
    }
    return in[v->axis >= 0 ? v->axis : 0] >= 0 && in[v->axis >= 0 ? v->axis : 0] < x->size[v->axis >= 0 ? v->axis : 0];
}
/* Value at row-major element e of chain[depth-1] over data of chain[0]. */
static float direct(const View *chain, int depth, int64_t e, const float *data)
{
    int64_t idx[16], in[16];
    for (int i = chain[depth - 1].shape.n; i--; e /= chain[depth - 1].shape.size[i]) idx[i] = e % chain[depth - 1].shape.size[i];
    for (int d = depth - 1; d > 0; d--) {
        if (!view_index(&chain[d], &chain[d - 1].shape, idx, in)) return 0;
        memcpy(idx, in, sizeof idx);
    }
    int64_t o = 0;
    for (int i = 0; i < chain[0].shape.n; i++) o = o * chain[0].shape.size[i] + idx[i];
    return data[o];
}
static void views(void **state)
{
    (void)state;
    static float data[2000];
    for (int i = 0; i < 2000; i++) data[i] = (float)(i + 1);
    for (dice = 1; dice < 400000; dice += 1000) {
        View chain[DEPTH + 1] = {0};
        chain[0].shape = (PlanShape){.n = 4, .role = {"n", "c", "h", "w"}, .size = {2, 1 + pick_of(6), 4, 1 + pick_of(5)}};
        StrBuf b = {0}, decl = {0};
        sb_puts(&b, "%1 = input \"x\" ");
        shape_list(&b, &chain[0].shape);
        sb_puts(&decl, "x ");
        shape_list(&decl, &chain[0].shape);
        int depth = 1;
        next_fresh = 0;
        for (int tries = 0; tries < 40 && depth <= DEPTH; tries++) {
            if (!random_view(&chain[depth - 1].shape, depth, &chain[depth])) continue;
            sb_printf(&b, "\n%%%d = %s ", depth + 1, chain[depth].text);
            shape_list(&b, &chain[depth].shape);
            depth++;
        }
        StrBuf out = {0};
        sb_puts(&out, "y ");
        shape_list(&out, &chain[depth - 1].shape);
        /* through an operation, and as an output directly */
        bool through = pick_of(2);
        if (through) {
            sb_printf(&b, "\n%%%d = neg %%%d ", depth + 1, depth);
            shape_list(&b, &chain[depth - 1].shape);
        }
        sb_printf(&b, "\nout \"y\" %%%d\n", depth + through);
        begin(b.s, (const char *const[]){decl.s, NULL}, (const char *const[]){out.s, NULL}, NULL, "ref");
        const float *y = run((const float *const[]){data});
        for (int64_t e = 0; e < shape_elements(&chain[depth - 1].shape); e++) {
            float want = direct(chain, depth, e, data) * (through ? -1 : 1);
            if (y[e] != want) fail_msg("element %lld is %g, not %g:\n%s", (long long)e, y[e], want, b.s);
        }
        end();
        sb_free(&b);
        sb_free(&decl);
        sb_free(&out);
    }
}
static void concats(void **state)
{
    (void)state;
    /* concatenation under pad, slice, another concatenation and a window */
    begin("%1 = input \"a\" [c:2,w:3]\n%2 = input \"b\" [w:3,c:1]\n%3 = concat c %1 %2 %1 [c:5,w:3]\n%4 = pad c 1 0 %3 "
          "[c:6,w:3]\n%5 = slice c 1 4 %4 [c:4,w:3]\n"
          "%6 = concat w %5 %5 [c:4,w:6]\n%7 = window w k k 3 stride 2 dil 1 pad 1 out 3 %6 [c:4,w:3,k:3]\n%8 = sum (k) %7 "
          "[c:4,w:3]\nout \"y\" %8\n",
          (const char *const[]){"a [c:2,w:3]", "b [w:3,c:1]", NULL}, (const char *const[]){"y [c:4,w:3]", NULL}, NULL, "ref");
    static const float a[6] = {1, 2, 3, 4, 5, 6}, b[3] = {10, 20, 30};
    static const float row[4][3] = {{1, 2, 3}, {4, 5, 6}, {10, 20, 30}, {1, 2, 3}};
    const float *y = run((const float *const[]){a, b});
    for (int c = 0; c < 4; c++)
        for (int o = 0; o < 3; o++) {
            float want = 0;
            for (int k = 0; k < 3; k++) { int j = 2 * o + k - 1; if (j >= 0 && j < 6) want += row[c][j % 3]; }
            assert_true(y[c * 3 + o] == want);
        }
    end();
}
static void contractions(void **state)
{
    (void)state;
    /* a convolution: w [o, i, kh, kw] with a window of x [n, i, h, w], against loops */
    enum { NB = 3, I = 5, O = 40, H = 6, W = 7 };
    static float x[NB * I * H * W], w[O * I * 9];
    for (size_t i = 0; i < COUNT(x); i++) x[i] = (float)((i * 37) % 101) / 50 - 1;
    for (size_t i = 0; i < COUNT(w); i++) w[i] = (float)((i * 53) % 97) / 50 - 1;
    const char *text = "%1 = input \"x\" [n:3,i:5,h:6,w:7]\n%2 = input \"w\" [o:40,i:5,kh:3,kw:3]\n"
                       "%3 = window h kh k 3 stride 1 dil 1 pad 1 out 6 %1 [n:3,i:5,h:6,w:7,kh:3]\n%4 = window w kw k 3 stride 1 "
                       "dil 1 pad 1 out 7 %3 [n:3,i:5,h:6,w:7,kh:3,kw:3]\n"
                       "%5 = contract (i,kh,kw) %2 %4 [o:40,n:3,h:6,w:7]\n%6 = rename o c %5 [n:3,c:40,h:6,w:7]\nout \"y\" %6\n";
    static float first[NB * O * H * W];
    for (int threads = 1; threads <= 2; threads++) {
        plan = simple_plan(text, (const char *const[]){"x [n:3,i:5,h:6,w:7]", "w [o:40,i:5,kh:3,kw:3]", NULL},
                           (const char *const[]){"y [n:3,c:40,h:6,w:7]", NULL}, NULL);
        session = session_open(plan, "ref", threads);
        const float *y = run((const float *const[]){x, w});
        for (int n = 0; n < NB; n++) for (int o = 0; o < O; o++) for (int h = 0; h < H; h++) for (int v = 0; v < W; v++) {
            double want = 0;
            for (int i = 0; i < I; i++) for (int p = 0; p < 3; p++) for (int q = 0; q < 3; q++) {
                int a = h + p - 1, b = v + q - 1;
                if (a >= 0 && a < H && b >= 0 && b < W)
                    want += (double)x[((n * I + i) * H + a) * W + b] * w[((o * I + i) * 3 + p) * 3 + q];
            }
            assert_true(near(y[((n * O + o) * H + h) * W + v], want, 1e-6));
        }
        if (threads == 1) memcpy(first, y, sizeof first);
        else assert_memory_equal(y, first, sizeof first);
        end();
    }
    /* everything shared; nothing shared; an axis reduced that only one side has */
    begin(
        "%1 = input \"a\" [n:2,c:3]\n%2 = contract (c) %1 %1 [n:2]\n%3 = rename n m %2 [m:2]\n%4 = contract () %2 %3 [n:2,m:2]\n"
        "%5 = contract (n,c) %1 %3 [m:2]\n%6 = mul %4 %5 [n:2,m:2]\nout \"y\" %6\n",
        (const char *const[]){"a [n:2,c:3]", NULL}, (const char *const[]){"y [n:2,m:2]", NULL}, NULL, "ref64");
    static const float a[6] = {1, 2, 3, 4, 5, 6};
    static const double s[2] = {14, 77};
    const float *y = run((const float *const[]){a});
    for (int n = 0; n < 2; n++) for (int m = 0; m < 2; m++) assert_true(near(y[n * 2 + m], s[n] * s[m] * 21 * s[m], 1e-6));
    end();
}
static void reductions(void **state)
{
    (void)state;
    begin("%1 = input \"a\" [n:2,c:3,w:2]\n%2 = softmax (c) %1 [n:2,c:3,w:2]\n%3 = sum (c) %2 [n:2,w:2]\n%4 = rmax (c,w) %1 "
          "[n:2]\n%5 = standardize (w,c) eps 0 %1 [n:2,c:3,w:2]\n"
          "%6 = contract (c,w) %5 %5 [n:2]\n%7 = add %3 %4 [n:2,w:2]\n%8 = add %7 %6 [n:2,w:2]\nout \"y\" %8\n",
          (const char *const[]){"a [n:2,c:3,w:2]", NULL}, (const char *const[]){"y [n:2,w:2]", NULL}, NULL, "ref");
    static const float a[12] = {1, 2, 3, 4, 5, 9, -1, -2, -3, -4, -5, -6};
    const float *y = run((const float *const[]){a});
    for (int i = 0; i < 4; i++) assert_true(near(y[i], 1 + (i < 2 ? 9 : -1) + 6, 1e-6));
    end();
}
static void draws(void **state)
{
    (void)state;
    /* element order: c innermost whatever the listed order; replaced values come back */
    begin("%1 = draw normal stream \"noise\" path \"draw.noise\" [n:2,c:3,w:5]\n%2 = input \"p\" [c:3]\n%3 = draw bernoulli "
          "stream \"drop\" path \"draw.drop\" %2 [n:2,c:3,w:5]\n"
          "%4 = mul %1 %3 [n:2,c:3,w:5]\nout \"y\" %4\nout \"z\" %1\nout \"b\" %3\n",
          (const char *const[]){"p [c:3]", NULL},
          (const char *const[]){"y [n:2,c:3,w:5]", "z [n:2,c:3,w:5]", "b [n:2,c:3,w:5]", NULL},
          "[{\"name\": \"draw.noise\", \"kind\": \"normal\", \"roles\": [\"n\", \"c\", \"w\"], \"shape\": [2, 3, 5]}]", "ref");
    session->seed = 9;
    session->step = 4;
    static const float p[3] = {0, 0.5f, 1};
    session_run(session, &plan->program[0], &(RunArgs){.in = (const float *const[]){p}, .sample0 = 100});
    const float *z = session_output(session, &plan->program[0], "z"), *b = session_output(session, &plan->program[0], "b");
    uint64_t noise = rng_key("draw.noise", 9), drop = rng_key("draw.drop", 9);
    for (int n = 0; n < 2; n++) for (int c = 0; c < 3; c++) for (int w = 0; w < 5; w++) {
        int i = (n * 3 + c) * 5 + w;
        assert_true(z[i] == rng_normal_at(noise, 4, 100 + (uint64_t)n, (uint64_t)(w * 3 + c)));
        assert_true(b[i] == rng_bernoulli_at(p[c], drop, 4, 100 + (uint64_t)n, (uint64_t)(w * 3 + c)));
    }
    float values[30];
    for (int i = 0; i < 30; i++) values[i] = (float)i;                /* [row][element] */
    const float *const one[] = {values};
    const float *const *const all[] = {one};
    session_run(session, &plan->program[0], &(RunArgs){.in = (const float *const[]){p}, .draw = all});
    assert_true(z[(1 * 3 + 2) * 5 + 4] == 15 + 4 * 3 + 2 && z[(0 * 3 + 1) * 5 + 2] == 2 * 3 + 1);
    float copy[30];
    session_draw(session, &plan->program[0], &plan->program[0].segment[0].draw[0], 4, 100, copy);
    assert_true(copy[15 + 4 * 3 + 2] == rng_normal_at(noise, 4, 101, 14));
    end();
}
/* Graph texts that must be refused, each with its line. */
static void bad_graphs(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "out \"y\" %1\n",
        "%1 = const 1 []\n",
        "%1 = nothing [c:2]\nout \"y\" %1\n",
        "%1 = input \"x\" [c:2]\n%2 = neg %3 [c:2]\nout \"y\" %2\n",
        "%1 = input \"x\" [c:2]\n%2 = neg %1 [c:3]\nout \"y\" %2\n",
        "%1 = input \"x\" [c:2]\n%1 = neg %1 [c:2]\nout \"y\" %1\n",
        "%1 = input \"x\" [c:2]\n%2 = slice c 1 2 %1 [c:2]\nout \"y\" %2\n",
        "%1 = input \"x\" [c:2]\n%2 = pick c 2 %1 []\nout \"y\" %2\n",
        "%1 = input \"x\" [c:4]\n%2 = rearrange (2 3) -> (0)(1) %1 [a:2,b:3]\nout \"y\" %2\n",
        "%1 = input \"x\" [c:4]\n%2 = rearrange (2 2) -> (0)(0) %1 [a:2,b:2]\nout \"y\" %2\n",
        "%1 = input \"x\" [c:2]\n%2 = window c k k 0 stride 1 dil 1 pad 0 out 2 %1 [c:2,k:0]\nout \"y\" %2\n",
        "%1 = input \"x\" [c:2]\n%2 = sum (d) %1 [c:2]\nout \"y\" %2\n",
        "%1 = scalar 1 []\nout \"y\" %1\n",
        "%1 = param \"w\" set \"\" [c:1]\nout \"y\" %1\n",
        "%1 = input \"x\" [c:99999999999999999999]\nout \"y\" %1\n",
        "%1 = iota [c:1000000,d:1000000,e:1000000]\nout \"y\" %1\n",
        "%1 = const 1 [] junk\nout \"y\" %1\n",
        "%1 = input \"x [c:2]\nout \"y\" %1\n",
        "%1 = input \"x\" [c:2,c:2]\nout \"y\" %1\n",
        "%1 = input \"x\" [c:2]\n%2 = concat c [c:0]\nout \"y\" %2\n",
        "%99999999999 = const 1 []\n",
    };
    plan = simple_plan("%1 = const 1 []\nout \"y\" %1\n", (const char *const[]){NULL}, (const char *const[]){"y []", NULL}, NULL);
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *err = NULL;
        if (ref_graph_parse(bad[i], plan, &err)) fail_msg("accepted:\n%s", bad[i]);
        assert_true(err && !strncmp(err, "line ", 5));
        free(err);
    }
    plan_free(plan);
}
static int clean(void **state) { (void)state; remove_tree(plan_dir); return 0; }
int main(void)
{
    make_plan_dir();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elementwise),  cmocka_unit_test(joins),      cmocka_unit_test(views), cmocka_unit_test(concats),
        cmocka_unit_test(contractions), cmocka_unit_test(reductions), cmocka_unit_test(draws), cmocka_unit_test(bad_graphs),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
