/* The whole model text of a plan: blocks, loss, training, programs. What no result needs is left out, as the language asks.
   Assumes statements.c gives legal values. */
#include "tests/fuzz/fuzz.h"
#include <math.h>

static void mark(Scope *sc, int i)
{
    if (sc->v[i].live) return;
    sc->v[i].live = true;
    for (int k = 0; k < sc->v[i].n_deps; k++) mark(sc, sc->v[i].dep[k]);
}

/* What of value `i` fits to `main`: the mean over axes that main does not have, or has in another size, times a factor,
   so that what lies in single elements is not lost in it. */
static char *fitted(Scope *sc, int i, const Shape *main)
{
    const Shape *s = &sc->v[i].s;
    StrBuf b = {0};
    double count = 1;
    for (int k = 0; k < s->n; k++) {
        int at = shape_find(main, s->a[k].role);
        if (at >= 0 && main->a[at].size == s->a[k].size) continue;
        sb_printf(&b, "%s%s", b.len ? "," : "", role_name(s->a[k].role));
        count *= s->a[k].size;
    }
    return b.len ? xasprintf("%.0f * mean[%s](%s)", ceil(sqrt(count)), b.s, value_use(sc, i)) : xstrdup(value_use(sc, i));
}

/* The body's result: the last value, and up to two others that nothing reads, so that all of it is needed. */
static int result(Scope *sc, int inputs, Choices *c)
{
    bool read[COUNT(sc->v)] = {0};
    for (int i = 0; i < sc->n; i++)
        for (int k = 0; k < sc->v[i].n_deps; k++) read[sc->v[i].dep[k]] = true;
    int main = sc->n - 1, others[3], n = 0, most = choose(c, 4);
    for (int i = sc->n - 2; i >= inputs && n < MIN(most, 2); i--)
        if (!read[i]) others[n++] = i;
    Shape s = sc->v[main].s;
    if (!n) return main;
    StrBuf b = {0};
    sb_puts(&b, value_use(sc, main));
    for (int i = 0; i < n; i++) sb_printf(&b, " + 0.%d * %s", 5 - i, fitted(sc, others[i], &s));
    value_add(sc, s, 1, false, "%s", b.s);
    return sc->n - 1;
}

/* Runs a body's statements; appends its lines to b. */
static void body(Gen *g, int block, Scope *sc, StrBuf *b)
{
    BodyPlan *p = &g->plan->body[block];
    int inputs = sc->n;
    for (int i = 0; i < p->n && sc->n < (int)COUNT(sc->v) - 2; i++) statement(g, sc, block, &p->stmt[i]);
    int last = result(sc, inputs, &p->head);
    if (!block) {                                    /* at least one parameter, and a sum that keeps gradients apart */
        Shape w = {0}, y = sc->v[last].s;
        if (y.n) w.a[w.n++] = y.a[y.n - 1];
        const char *v = value_use(sc, last), *q = param_use(sc, &w);
        value_add(sc, y, 1, false, "%s * %s", v, q);
        last = sc->n - 1;
    }
    mark(sc, last);
    if (!sc->v[inputs - 1].live && !sc->v[0].live) { /* an argument must be read */
        Shape y = sc->v[last].s;
        const char *v = value_use(sc, last);
        value_add(sc, y, 1, false, "%s + 0.5 * %s", v, fitted(sc, inputs - 1, &y));
        mark(sc, last = sc->n - 1);
    }
    for (int k = 1; k < BLOCKS; k++)
        for (int i = 0; i < sc->n; i++)
            if (sc->v[i].live && sc->v[i].applies == k) {
                sb_printf(b, "  use b%d = Block%d()\n", k, k);
                break;
            }
    for (int i = 0; i < sc->n; i++)
        if (sc->v[i].live && sc->v[i].text) {
            sb_puts(b, sc->v[i].text);
            g->streams[block] |= sc->v[i].streams;
        }
    sb_printf(b, "  return %s\n", sc->v[last].name);
    g->out[block] = sc->v[last].s;
    g->out_size[block] = sc->v[last].size;
}

void block_make(Gen *g, int block, const Shape *in)
{
    Scope sc = {0};
    StrBuf b = {0};
    g->made[block] = true;
    g->in[block] = *in;
    sc.v[sc.n++] = (Val){.name = "x", .s = *in, .size = 1};
    body(g, block, &sc, &b);
    char *out = shape_text(&g->out[block]), *type = shape_text(in);
    g->block[block] = xasprintf("block Block%d()(x: [%s]) -> [%s] {\n%s}\n", block, type, out, b.s);
}

const Sizes small_sizes = {
    3000, 300000, (const int[]){2, 1, 3, 2, 0}, (const int[]){4, 8, 3, 5, 16, 6, 1, 12, 7, 9, 2, 33, 0}, (const int[]){4, 5, 6, 3, 8, 7, 1, 9, 2, 0},
    (const int[]){4, 3, 8, 2, 5, 1, 6, 16, 7, 9, 12, 17, 33, 0}, (const int[]){8, 4, 5, 16, 7, 9, 0},
};
const Sizes large_sizes = {
    1 << 21, 1 << 30, (const int[]){8, 2, 32, 5, 0}, (const int[]){64, 32, 128, 3, 48, 256, 16, 96, 100, 8, 192, 40, 0}, (const int[]){16, 8, 32, 12, 24, 1, 7, 0},
    (const int[]){64, 32, 128, 16, 3, 48, 8, 256, 72, 1, 96, 200, 0}, (const int[]){64, 32, 128, 96, 16, 48, 3, 256, 0},
}, *sizes = &small_sizes;

static Shape input_shape(Choices *c)
{
    Shape s = {1, {{0, choose_size(c, sizes->rows)}}};
    int axes = choose(c, 6);                         /* mostly an image */
    s.a[s.n++] = (RoleSize){1, choose_size(c, sizes->axis)};
    if (axes != 1) s.a[s.n++] = (RoleSize){2, choose_size(c, sizes->side)};
    if (axes != 1 && axes != 2) s.a[s.n++] = (RoleSize){3, choose_size(c, sizes->side)};
    return s;
}

/* "mean[c,h](E)": over all axes but an n of that size. */
static char *per_image(const Shape *s, int rows, const char *e)
{
    StrBuf b = {0};
    for (int i = 0; i < s->n; i++)
        if (s->a[i].role || s->a[i].size != rows) sb_printf(&b, "%s%s", b.len ? "," : "mean[", role_name(s->a[i].role));
    if (b.len) sb_printf(&b, "](%s)", e);
    else sb_printf(&b, "(%s)", e);
    return b.s;
}

char *generate(ProgramPlan *p)
{
    static const char *const optimizers[] = {"Sgd(0.02)", "Radam(0.02, 0.9, 0.99)", "Adam(0.01, 0.9, 0.99, 1e-2)"};
    Gen g = {.plan = p};
    Scope sc = {0};
    StrBuf net = {0}, b = {0};
    Choices *c = &p->tail;
    Shape in = input_shape(c), row = {1, {in.a[0]}};
    sc.v[sc.n++] = (Val){.name = "t", .s = row, .size = 0.6, .exact = true};
    sc.v[sc.n++] = (Val){.name = "x", .s = in, .size = 0.6, .exact = true};
    body(&g, 0, &sc, &net);
    bool t = sc.v[0].live, x = sc.v[1].live;
    unsigned streams = g.streams[0];
    const Shape *y = &g.out[0];
    int how = choose(c, 4), optimizer = choose(c, COUNT(optimizers)), extras = choose(c, 8);
    sb_puts(&b, "import std.optim\n");
    if (streams)
        sb_printf(&b, "stream %s\n", streams == STREAM_NOISE ? "noise" : streams == STREAM_MASK ? "mask" : "noise, mask");
    for (int k = 1; k < BLOCKS; k++) {
        bool used = false;
        for (int i = 0; i < sc.n; i++) used |= sc.v[i].live && sc.v[i].applies == k;
        if (used) sb_printf(&b, "%s", g.block[k]);
    }
    const int rows = in.a[0].size;
    char *type = shape_text(&in), *row_type = shape_text(&row), *out = shape_text(y);
    const char *args = t && x ? "x, t" : t ? "t" : x ? "x" : "";
    char *decl = t && x ? xasprintf("x: [%s], t: [%s]", type, row_type)
                 : t    ? xasprintf("t: [%s]", row_type)
                 : x    ? xasprintf("x: [%s]", type)
                        : xstrdup("");
    sb_printf(&b, "block Net()(%s) -> [%s] {\n%s}\nuse net = Net()\n", decl, out, net.s);
    /* The loss reads x, and gives one number for each image whatever the network gives. */
    char *ldecl = t ? xasprintf("x: [%s], t: [%s]", type, row_type) : xasprintf("x: [%s]", type);
    const char *largs = t ? "x, t" : "x";
    sb_printf(&b, "loss l(%s) -> [%s] {\n  let y = net(%s)\n", ldecl, row_type, args);
    if (extras & 1) sb_printf(&b, "  report level = %s\n", per_image(y, rows, "sin(y)"));
    const char *terms[] = {"(y - 0.3)^2", "sqrt(y^2 + 0.1)", "y * tanh(y)", "log(1 + exp(-y))"};
    sb_printf(&b, "  return %s + %s\n}\n", per_image(y, rows, terms[how]), per_image(&in, rows, "x^2"));
    sb_printf(&b, "train(%s) {\n  minimize mean[n](l(%s))\n", ldecl, largs);
    if (extras & 2) sb_puts(&b, "  gradient fn(g) = max(-1, min(1, nan_to_num(g)))\n");
    sb_printf(&b, "  optimizer %s\n", optimizers[optimizer]);
    if (extras & 4) sb_puts(&b, "  ema Ema(0.9)\n");
    sb_puts(&b, "}\n");
    sb_printf(&b, "program f(%s) -> y = net(%s)\n", decl, args);
    return b.s;
}
