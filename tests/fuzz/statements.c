/* Kinds of statements that compute: element-wise, products, norms, attention, draws, conditions, applied blocks.
   Assumes every kind appends exactly one value, and falls back to an element-wise one where its operand does not suit it. */
#include "tests/fuzz/fuzz.h"
#include <math.h>

/* ---- operands ---- */
static int any_value(Ctx *k)
{
    return k->sc->n - 1 - (choose(k->c, 4) < 3 ? choose(k->c, MIN(k->sc->n, 3)) : choose(k->c, k->sc->n));
}

int partner(Ctx *k, bool exact)
{
    Shape s;
    int start = choose(k->c, k->sc->n);
    for (int i = 0; i < k->sc->n; i++) {
        int j = (k->sc->n - 1 - start - i + 2 * k->sc->n) % k->sc->n;
        if (shape_join(&k->sc->v[k->x].s, &k->sc->v[j].s, &s) && (k->sc->v[j].exact || !exact)) return j;
    }
    return exact ? -1 : k->x;
}

int role_choose(Ctx *k) { return choose(k->c, k->sc->v[k->x].s.n); }

int size_choose(Ctx *k) { return choose_size(k->c, sizes->size); }

/* "sum, a, b" of some of x's axes: how many they are, what is left, the product of their sizes. At least one; `but` stays. */
static char *some_roles(Ctx *k, Shape *left, int64_t *product, int but)
{
    const Shape *s = &k->sc->v[k->x].s;
    StrBuf b = {0};
    int first = choose(k->c, s->n), n = 0;
    *left = *s;
    *product = 1;
    for (int i = 0; i < s->n; i++) {
        int j = (first + i) % s->n;
        if (s->a[j].role == but || (n && choose(k->c, 3) != 1)) continue;
        sb_printf(&b, "%s%s", n++ ? "," : "", role_name(s->a[j].role));
        *left = shape_without(left, s->a[j].role);
        *product *= s->a[j].size;
    }
    return b.s;
}

/* ---- element by element ---- */
/* text: $ is x, % its partner. Size: factor * x^power, or for pairs s: sum, p: product, a: like x. `exact`: for operands that
   compare alike everywhere; `moves`: and the result is such a value. */
static const struct { const char *text; double factor, power; bool exact, moves;
} one[] = {
    {"tanh($)", 0.6, 0, 0, 0},
    {"-$", 1, 1, 0, 1},
    {"0.7 * $ + 0.3", 0.8, 1, 0, 0},
    {"sigmoid($)", 0.5, 0, 0, 0},
    {"$ * sigmoid($)", 0.6, 1, 0, 0},
    {"sin($)", 0.6, 0, 0, 0},
    {"cos($)", 0.7, 0, 0, 0},
    {"erf($)", 0.6, 0, 0, 0},
    {"1 - $", 1, 0.5, 0, 0},
    {"$ / 3", 0.33, 1, 0, 0},
    {"$^2", 1, 2, 0, 0},
    {"$ * $ * $", 1, 3, 0, 0},
    {"$^3", 1, 3, 0, 0},
    {"exp(-$^2)", 0.6, 0, 0, 0},
    {"exp(0.5 * sin($))", 1, 0, 0, 0},
    {"1 / (1 + $^2)", 0.6, 0, 0, 0},
    {"log(1 + $^2)", 0.5, 1, 0, 0},
    {"sqrt(0.5 + $^2)", 1, 0.5, 0, 0},
    {"(1 + $^2)^-0.5", 0.7, 0, 0, 0},
    {"(1.5 + sin($))^1.5", 1.8, 0, 0, 0},
    {"2^tanh($)", 1, 0, 0, 0},
    {"$ + stop($)", 2, 1, 0, 0},
    {"stop(tanh($))", 0.6, 0, 0, 0},
    {"f32($)", 1, 1, 0, 1},
    {"nan_to_num($, nan = 1, inf = 2)", 1, 1, 0, 1},
    {"$ * (1 + erf($ / sqrt(2))) / 2", 0.6, 1, 0, 0},
    {"$ - $ * $ / 4", 1, 1, 0, 0},
    {"stop($) * $", 1, 2, 0, 0},
    {"precision f32 { $ * sigmoid(2 * $) }", 0.6, 1, 0, 0},
    {"abs($)", 1, 1, 1, 1},
    {"max(0, $)", 0.5, 1, 1, 1},
    {"min($, 0.25)", 0.5, 1, 1, 1},
    {"max(-0.5, min(0.5, $))", 0.4, 0, 1, 1},
    {"floor(4 * $)", 2, 1, 1, 1},
    {"sign($) + $", 1, 0.5, 1, 0},
    {"stop(bf16($))", 1, 1, 1, 1},
    {"$ // 0.25", 2, 1, 1, 1},
    {"where($ > 0.125, $, 0.5 * $)", 0.8, 1, 1, 0},
    {"where(isfinite($), $, 0)", 1, 1, 1, 1},
};
static const struct { const char *text; char size; bool exact, moves;
} two[] = {
    {"$ + %", 's', 0, 0},
    {"$ * %", 'p', 0, 0},
    {"$ - %", 's', 0, 0},
    {"% - 0.5 * $", 's', 0, 0},
    {"$ / (1.5 + tanh(%))", 'a', 0, 0},
    {"$ * sigmoid(%)", 'a', 0, 0},
    {"tanh(%) * $", 'a', 0, 0},
    {"$ + stop(%)", 's', 0, 0},
    {"$ * % + %", 's', 0, 0},
    {"($ + %) * ($ - %)", 's', 0, 0},
    {"sigmoid(%)^(1 + sigmoid($))", 'a', 0, 0},
    {"$ / sqrt(1 + $^2 + %^2)", 'a', 0, 0},
    {"max($, %)", 's', 1, 1},
    {"min($, %)", 's', 1, 1},
    {"precision f32 { $ * % - 0.5 * $ }", 'p', 0, 0},
    {"where($ > %, $, 2 * %)", 's', 1, 0},
    {"max(%, $, 0)", 's', 1, 1},
    {"where($ <= % && !(% < 0.25) || $ == %, %, 0.5)", 's', 1, 1},
    {"where($ != %, $, 1)", 'a', 1, 0},
};

static char *filled(const char *text, const char *x, const char *y)
{
    StrBuf b = {0};
    for (; *text; text++) {
        if (*text == '$') sb_puts(&b, x);
        else if (*text == '%') sb_puts(&b, y);
        else sb_putc(&b, *text);
    }
    return b.s;
}

void kind_element(Ctx *k)
{
    Scope *sc = k->sc;
    const Val *x = &sc->v[k->x];
    int i = choose(k->c, COUNT(one));
    if (one[i].exact && !x->exact) i %= 8;
    value_add(sc, x->s, one[i].factor * pow(x->size, one[i].power), one[i].moves && x->exact, "%s",
              filled(one[i].text, value_use(sc, k->x), ""));
}

static void kind_pair(Ctx *k)
{
    Scope *sc = k->sc;
    int i = choose(k->c, COUNT(two)), y = -1;
    if (two[i].exact && sc->v[k->x].exact) y = partner(k, true);
    if (y < 0) {
        if (two[i].exact) i %= 8;
        y = partner(k, false);
    }
    const Val *a = &sc->v[k->x], *b = &sc->v[y];
    Shape s;
    CHECK_BUG(shape_join(&a->s, &b->s, &s));
    double size = two[i].size == 's' ? hypot(a->size, b->size) : two[i].size == 'p' ? a->size * b->size : a->size;
    const char *nx = value_use(sc, k->x);
    value_add(sc, s, size, two[i].moves && a->exact && b->exact, "%s", filled(two[i].text, nx, value_use(sc, y)));
}

/* ---- parameters ---- */
static void kind_scale(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    Shape w = {0};
    for (int i = 0; i < x.s.n && w.n < 2; i++)
        if (choose(k->c, 2) == 0) w.a[w.n++] = x.s.a[i];
    const char *p = param_use(sc, &w), *nx = value_use(sc, k->x);
    if (choose(k->c, 2)) value_add(sc, x.s, x.size + 0.5, false, "%s + %s", nx, p);
    else value_add(sc, x.s, x.size, false, "%s * %s + %s", nx, p, choose(k->c, 2) ? param_use(sc, &w) : "0.1");
}

/* A matrix product over one or two axes, with a weight for each position of another axis or not. */
static void kind_linear(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int r = x.s.a[role_choose(k)].role, o = role_fresh(&x.s, NULL, 0), size = size_choose(k);
    if (choose(k->c, 4)) {                           /* mostly over the longest axis: enough work for a matrix product */
        int best = 0;
        for (int i = 1; i < x.s.n; i++)
            if (x.s.a[i].size > x.s.a[best].size) best = i;
        r = x.s.a[best].role;
        size = MAX(size, 4);
    }
    Shape w = {2, {{o, size}, x.s.a[shape_find(&x.s, r)]}}, y = shape_without(&x.s, r);
    int other = choose(k->c, 4) == 3 && x.s.n > 1 ? x.s.a[role_choose(k)].role : r, how = choose(k->c, 3);
    if (other != r && how == 2) y = shape_without(&y, other);
    if (other != r) w.a[w.n++] = x.s.a[shape_find(&x.s, other)];
    bool back = choose(k->c, 2) == 0;
    if (y.n == MAX_ROLES || shape_count(&y) * size > sizes->elements || shape_count(&x.s) * size > sizes->work) {
        kind_element(k);
        return;
    }
    y = shape_with(&y, back ? r : o, size);
    double fan = (double)shape_count(&w) / size;
    const char *p = param_use(sc, &w), *nx = value_use(sc, k->x);
    char *over = other != r && how == 2 ? xasprintf("%s,%s", role_name(r), role_name(other)) : xstrdup(role_name(r));
    char *ren = back ? xasprintf("[%s as %s]", role_name(o), role_name(r)) : xstrdup("");
    double summed = other != r && how != 2 ? (double)w.a[1].size : fan;
    const bool region = choose(k->c, 8) == 7;        /* with --precision, a product of f32 operands among others */
    value_add(sc, y, x.size * sqrt(summed / fan), false, region ? "precision f32 { sum[%s](%s * %s)%s }" : "sum[%s](%s * %s)%s", over, how == 1 ? nx : p, how == 1 ? p : nx, ren);
}

/* ---- reductions, products of two values ---- */
static void kind_reduce(Ctx *k)
{
    static const struct { const char *text; bool keeps;
    } how[] = {
        {"mean[%](#)", 0},
        {"sum[%](#)", 0},
        {"stop(max[%](#))", 0},
        {"stop(min[%](#))", 0},
        {"mean[%](#^2)", 0},
        {"sqrt(mean[%](#^2) + 0.1)", 0},
        {"# - mean[%](#)", 1},
        {"# / sqrt(mean[%](#^2) + 0.1)", 1},
        {"standardize[%](#, 0.1)", 1},
        {"softmax[%](#)", 1},
        {"softmax[%](2 * #) * #", 1},
    };
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int i = choose(k->c, COUNT(how));
    Shape left;
    int64_t count;
    char *over = some_roles(k, &left, &count, -1);
    const char *nx = value_use(sc, k->x);
    StrBuf b = {0};
    for (const char *t = how[i].text; *t; t++) {
        if (*t == '%') sb_puts(&b, over);
        else if (*t == '#') sb_puts(&b, nx);
        else sb_putc(&b, *t);
    }
    double size = i == 1             ? x.size * sqrt((double)count)
                  : i < 4            ? x.size
                  : i == 8 || i == 7 ? 0.9
                  : i > 8            ? MAX(0.06, 1.0 / (double)count)
                                     : x.size;
    value_add(sc, how[i].keeps ? x.s : left, size, false, "%s", b.s);
}

/* sum over some shared axes of x * y, y's other axis renamed so that it is crossed, or not. */
static void kind_contract(Ctx *k)
{
    Scope *sc = k->sc;
    int y = partner(k, false);
    Val a = sc->v[k->x], b = sc->v[y];
    Shape bs = b.s;
    char *ren = xstrdup("");
    if (choose(k->c, 2) && bs.n > 1 && a.s.n < MAX_ROLES) {              /* Gram-like: one axis of y gets a name of its own */
        int at = choose(k->c, bs.n), to = role_fresh(&a.s, &bs, 0);
        ren = xasprintf("[%s as %s]", role_name(bs.a[at].role), role_name(to));
        bs.a[at].role = to;
    }
    Shape all = a.s;
    int64_t work = shape_count(&a.s);
    for (int i = 0; i < bs.n; i++)
        if (shape_find(&a.s, bs.a[i].role) < 0) {
            work *= bs.a[i].size;
            if (all.n == MAX_ROLES) { kind_element(k); return; }
            all.a[all.n++] = bs.a[i];
        }
    StrBuf over = {0};
    Shape left = all;
    int64_t summed = 1;
    int first = choose(k->c, all.n), n = 0;
    bool wide = choose(k->c, 4) == 3;                /* axes of one operand too */
    for (int i = 0; i < all.n; i++) {
        RoleSize r = all.a[(first + i) % all.n];
        bool shared = shape_find(&a.s, r.role) >= 0 && shape_find(&bs, r.role) >= 0;
        if ((!shared && !wide) || (n && choose(k->c, 2))) continue;
        sb_printf(&over, "%s%s", n++ ? "," : "", role_name(r.role));
        left = shape_without(&left, r.role);
        summed *= r.size;
    }
    if (!n || work > sizes->work || shape_count(&left) > sizes->elements) { kind_element(k); return; }
    const char *nx = value_use(sc, k->x), *ny = value_use(sc, y);
    value_add(sc, left, a.size * b.size * pow((double)summed, 0.8), false, "sum[%s](%s * %s%s)", over.s, nx, ny, ren);
}

static void kind_attention(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    if (x.s.n < 2) { kind_element(k); return; }
    int pi = role_choose(k), ci = role_choose(k);
    if (ci == pi) ci = (pi + 1) % x.s.n;
    int p = x.s.a[pi].role, c = x.s.a[ci].role, q = role_fresh(&x.s, NULL, 0);
    if (shape_count(&x.s) * x.s.a[pi].size > sizes->work || shape_count(&x.s) / x.s.a[ci].size * x.s.a[pi].size > sizes->elements) {
        kind_element(k);
        return;
    }
    Shape w = {1, {x.s.a[ci]}};
    const char *nx = value_use(sc, k->x), *P = role_name(p), *Q = role_name(q), *C = role_name(c);
    const char *scale = choose(k->c, 2) ? param_use(sc, &w) : "0.7";
    char *key = xasprintf("%s[%s as %s]", nx, P, Q),
         *soft = xasprintf("softmax[%s](sum[%s](%s * %s * %s) / sqrt(%s.%s))", Q, C, nx, scale, key, nx, C);
    value_add(sc, x.s, 0.7 * x.size, false, "sum[%s](%s * %s)", Q, soft, key);
}

/* ---- random numbers, conditions ---- */
static void kind_draw(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int how = choose(k->c, 6);
    sc->streams |= how == 1 || how == 5 ? STREAM_MASK : STREAM_NOISE;
    if (how == 3) {                                  /* no `like`: some of x's axes */
        StrBuf b = {0};
        Shape s = {0};
        for (int i = 0; i < x.s.n; i++) {
            if (i && choose(k->c, 2)) continue;
            sb_printf(&b, "%s%s: %d", s.n ? ", " : "", role_name(x.s.a[i].role), x.s.a[i].size);
            s.a[s.n++] = x.s.a[i];
        }
        value_add(sc, s, 1, true, "normal[%s] from noise", b.s);
        return;
    }
    const char *n = value_use(sc, k->x);
    if (how == 0) value_add(sc, x.s, hypot(x.size, 0.3), false, "%s + 0.3 * normal like %s from noise", n, n);
    if (how == 1) value_add(sc, x.s, x.size, false, "where(bernoulli(0.75) like %s from mask, %s / 0.75, 0)", n, n);
    if (how == 2) value_add(sc, x.s, x.size, false, "%s * uniform(0.5, 1.5) like %s from noise", n, n);
    if (how == 4) value_add(sc, x.s, 1, true, "normal like %s from noise", n);
    if (how == 5) value_add(sc, x.s, 0.7, true, "bernoulli(0.5) like %s from mask", n);
}

static void kind_where(Ctx *k)
{
    Scope *sc = k->sc;
    int how = choose(k->c, 4), y = how < 2 ? partner(k, true) : -1, r = role_choose(k), z = partner(k, false);
    Val x = sc->v[k->x];
    const char *role = role_name(x.s.a[r].role);
    int size = x.s.a[r].size, cut = choose(k->c, size + 1);
    char *cond = how == 3 ? xasprintf("iota[%s: %d] >= %d || iota[%s: %d] == 0", role, size, cut, role, size)
                          : xasprintf("iota[%s: %d] < %d", role, size, cut);
    Shape s = x.s;
    if (y >= 0) {
        CHECK_BUG(shape_join(&x.s, &sc->v[y].s, &s));
        const char *ny = value_use(sc, y);
        cond = how ? xasprintf("!(%s > 0.25) && %s > -0.75", ny, ny) : xasprintf("%s > 0", ny);
    }
    const char *nx = value_use(sc, k->x);
    Shape both;
    if (z != k->x && shape_join(&s, &sc->v[z].s, &both))
        value_add(sc, both, x.size, false, "where(%s, %s, 0.5 * %s)", cond, nx, value_use(sc, z));
    else value_add(sc, s, x.size, false, "where(%s, %s, 0.5 * sin(%s))", cond, nx, nx);
}

static void kind_rows(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int at = shape_find(&x.s, 0);
    if (at < 0) { kind_element(k); return; }
    int t = -1;
    for (int i = 0; i < sc->n && t < 0; i++)
        if (sc->v[i].exact && sc->v[i].s.n == 1 && sc->v[i].s.a[0].role == 0 && sc->v[i].s.a[0].size == x.s.a[at].size) t = i;
    char *nt;
    if (t >= 0) nt = xstrdup(value_use(sc, t));
    else {
        nt = xasprintf("t%d", sc->n);
        sb_printf(&sc->text, "  let %s = uniform(-1, 1)[n: %d] from noise\n", nt, x.s.a[at].size);
        sc->streams |= STREAM_NOISE;
    }
    const char *nx = value_use(sc, k->x);
    switch (choose(k->c, 4)) {
    case 0: value_add(sc, x.s, x.size, false, "rows %s > 0 { %s * sqrt(%s) } else { %s }", nt, nx, nt, nx); break;
    case 1:
        value_add(sc, x.s, x.size, false, "rows %s > 0.25 { stop(tanh(%s)) * log(%s) } else { 0.5 * %s }", nt, nx, nt, nx);
        break;
    case 2: value_add(sc, x.s, x.size, false, "rows !(%s > 0) { 0.3 } else { %s / (0.5 + %s) }", nt, nx, nt); break;
    default:
        value_add(sc, x.s, x.size, false, "rows %s > 0 && %s < 0.75 { sin(%s) / sqrt(%s) } else { cos(%s) }", nt, nt, nx, nt, nx);
    }
}

static void kind_iota(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    const char *nx = value_use(sc, k->x);
    int r = role_choose(k), size = size_choose(k), f = role_fresh(&x.s, NULL, 0);
    if (choose(k->c, 2) && x.s.n < MAX_ROLES && shape_count(&x.s) * size <= sizes->elements)
        value_add(sc, shape_with(&x.s, f, size), 0.7, false, "sin(%s * (iota[%s: %d] + 1) / 2)", nx, role_name(f), size);
    else
        value_add(sc, x.s, hypot(x.size, 0.2), false, "%s + iota[%s: %d] / %d", nx, role_name(x.s.a[r].role), x.s.a[r].size,
                  x.s.a[r].size);
}

/* ---- blocks ---- */
static bool same_shape_as(const Shape *a, const Shape *b)
{
    bool same = a->n == b->n;
    for (int i = 0; same && i < a->n; i++) same = a->a[i].role == b->a[i].role && a->a[i].size == b->a[i].size;
    return same;
}

/* A block applied once, or twice, its draws shared or not. */
static void kind_apply(Ctx *k)
{
    Scope *sc = k->sc;
    Gen *g = k->g;
    int b = 1 + choose(k->c, BLOCKS - 1), how = choose(k->c, 3);
    if (k->block || !g->plan->body[b].n) { kind_element(k); return; }
    Shape in = sc->v[k->x].s;
    if (!g->made[b]) block_make(g, b, &in);
    int x = k->x, y = k->x;
    if (!same_shape_as(&g->in[b], &in)) {            /* the shape it was made for, the latest */
        for (x = sc->n - 1; x > 0 && !same_shape_as(&g->in[b], &sc->v[x].s); x--) { }
        if (!same_shape_as(&g->in[b], &sc->v[x].s)) { kind_element(k); return; }
    }
    for (y = 0; y < sc->n && !(same_shape_as(&g->in[b], &sc->v[y].s) && y != x); y++) { }
    if (y == sc->n) y = x;
    sc->applies = b;
    sc->streams = g->streams[b];
    const char *nx = value_use(sc, x);
    if (how == 0) { value_add(sc, g->out[b], g->out_size[b], false, "b%d(%s)", b, nx); return; }
    const char *ny = value_use(sc, y), *stream = g->streams[b] & STREAM_MASK ? "mask" : "noise";
    bool shared = how == 2 && g->streams[b];
    int at = sc->n;
    sb_printf(&sc->text,
              shared ? "  share %s {\n    let l%d = b%d(%s)\n    let r%d = b%d(%s)\n  }\n"
                     : "%.0s  let l%d = b%d(%s)\n  let r%d = b%d(%s)\n",
              stream, at, b, nx, at, b, ny);
    value_add(sc, g->out[b], 1.2 * g->out_size[b], false, "l%d - 0.5 * r%d", at, at);
}

/* ---- all kinds ---- */
static void (*const kinds[])(Ctx *) = {
    kind_element,   kind_pair,   kind_pair,   kind_pair,     kind_scale,    kind_linear,    kind_linear,
    kind_linear,    kind_window, kind_window, kind_window,   kind_conv,     kind_conv,      kind_conv,
    kind_reduce,    kind_reduce, kind_reduce, kind_contract, kind_contract, kind_attention, kind_rearrange,
    kind_rearrange, kind_index,  kind_index,  kind_concat,   kind_draw,     kind_draw,      kind_where,
    kind_rows,      kind_iota,   kind_apply,  kind_apply,    kind_apply,    kind_element,
};

void statement(Gen *g, Scope *sc, int block, Choices *c)
{
    Ctx k = {g, sc, block, c, 0};
    int kind = choose(c, COUNT(kinds));
    k.x = any_value(&k);
    if (sc->v[k.x].s.n) kinds[kind](&k);
    else if (kind % 2) kind_pair(&k);                /* no axes: what takes none */
    else kind_element(&k);
}
