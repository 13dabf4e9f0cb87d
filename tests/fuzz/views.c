/* Kinds of statements made of views: windows in every use, rearrangements, slices, joined pieces.
   Assumes statements.c for what falls back. */
#include "tests/fuzz/fuzz.h"
#include <math.h>

/* ---- windows: convolutions, one filter for each channel, pooling, shifts, the window itself ---- */
void kind_window(Ctx *k)
{
    static const int widths[] = {3, 1, 2, 5, 4}, strides[] = {1, 1, 2, 1, 3}, dilations[] = {1, 1, 1, 2};
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int how = choose(k->c, 7), taps = MIN(1 + choose(k->c, 2), x.s.n), first = role_choose(k);
    int width = widths[choose(k->c, COUNT(widths))], stride = strides[choose(k->c, COUNT(strides))],
        dil = dilations[choose(k->c, COUNT(dilations))];
    int reach = dil * (width - 1) + 1, pad = (int[]){reach / 2, 0, 1, reach - 1}[choose(k->c, 4)];
    Shape y = x.s;
    StrBuf by = {0}, over = {0};
    RoleSize tap[2];
    int64_t area = 1;
    for (int t = 0; t < taps; t++) {
        RoleSize *r = &y.a[(first + t) % x.s.n];
        if (r->size + 2 * pad < reach) pad = reach - 1;
        r->size = (r->size + 2 * pad - reach) / stride + 1;
        tap[t] = (RoleSize){role_fresh(&x.s, NULL, t ? tap[0].role : 0), width};
        sb_printf(&by, "%s%s by %s:%d", t ? ", " : "", role_name(r->role), role_name(tap[t].role), width);
        sb_printf(&over, "%s%s", t ? "," : "", role_name(tap[t].role));
        area *= width;
    }
    for (int t = 0; t < taps; t++)
        y.a[(first + t) % x.s.n].size = (x.s.a[(first + t) % x.s.n].size + 2 * pad - reach) / stride + 1;
    char *options = xasprintf("pad = %d%s%s", pad, stride > 1 ? xasprintf(", stride = %d", stride) : "",
                              dil > 1 ? xasprintf(", dilation = %d", dil) : "");
    int64_t count = shape_count(&y);
    if (count > sizes->elements || count * area > sizes->work) { kind_element(k); return; }
    Shape w = {0};
    if (how <= 2) {                                  /* a convolution over an axis that has no window */
        int c = -1, size = size_choose(k);
        for (int i = 0; i < x.s.n; i++) {
            bool tapped = false;
            for (int t = 0; t < taps; t++) tapped |= (first + t) % x.s.n == i;
            if (!tapped && (c < 0 || (x.s.a[c].role == 0 && how != 2))) c = i;       /* over the batch only when it must be */
        }
        if (c < 0 || count / x.s.a[c].size * size > sizes->elements || count * size * area > sizes->work) how = 3;
        else {
            int cr = x.s.a[c].role, o = role_fresh(&x.s, NULL, tap[taps - 1].role), in = role_fresh(&x.s, NULL, o);
            bool renamed = how != 1;                 /* x[c as i], as std.nn writes it; or summed under its own name */
            w = (Shape){2, {{o, size}, {renamed ? in : cr, x.s.a[c].size}}};
            for (int t = 0; t < taps; t++) w.a[w.n++] = tap[t];
            const char *p = param_use(sc, &w), *nx = value_use(sc, k->x), *C = role_name(cr), *O = role_name(o);
            const char *i = renamed ? role_name(in) : C;
            char *from = renamed ? xasprintf("%s[%s as %s]", nx, C, i) : xstrdup(nx);
            value_add(sc, shape_with(&y, cr, size), x.size, false, "sum[%s,%s](%s * window(%s; %s; %s))[%s as %s]", i, over.s, p,
                      from, by.s, options, O, C);
            return;
        }
    }
    const char *nx = value_use(sc, k->x);
    if (how == 3) {
        for (int i = 0; i < x.s.n && w.n < 1; i++)
            if (choose(k->c, 2) == 0) w.a[w.n++] = y.a[i];
        for (int t = 0; t < taps; t++) w.a[w.n++] = tap[t];
        const char *p = param_use(sc, &w);
        value_add(sc, y, x.size * sqrt((double)area) * 0.5, false, "sum[%s](window(%s; %s; %s) * %s)", over.s, nx, by.s, options,
                  p);
    } else if (how == 4) value_add(sc, y, x.size * 0.7, false, "mean[%s](window(%s; %s; %s))", over.s, nx, by.s, options);
    else if (how == 5) value_add(sc, y, x.size, false, "stop(max[%s](window(%s; %s; %s)))", over.s, nx, by.s, options);
    else if (choose(k->c, 2) || y.n + taps > MAX_ROLES || count * area > sizes->elements) {
        StrBuf pick = {0};
        for (int t = 0; t < taps; t++) sb_printf(&pick, "%s%s = %d", t ? ", " : "", role_name(tap[t].role), choose(k->c, width));
        value_add(sc, y, x.size, x.exact, "window(%s; %s; %s)[%s]", nx, by.s, options, pick.s);
    } else {
        for (int t = 0; t < taps; t++) y = shape_with(&y, tap[t].role, width);
        value_add(sc, y, x.size, x.exact, "window(%s; %s; %s)", nx, by.s, options);
    }
}

/* A convolution as networks have them, large enough for a matrix product: all channels, two axes, the size kept, a bias. */
void kind_conv(Ctx *k)
{
    static const int widths[] = {3, 1, 5};
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int size = choose_size(k->c, sizes->channels), width = widths[choose(k->c, COUNT(widths))], at[3], n = 0,
        turn = choose(k->c, 2);
    for (int i = 0; i < x.s.n && n < 3; i++)
        if (x.s.a[i].role) at[n++] = i;              /* channels, height, width: the first axes that are not n */
    if (n < 3) { kind_element(k); return; }
    if (turn && x.s.a[at[2]].size > x.s.a[at[0]].size) { int a = at[0]; at[0] = at[2]; at[2] = a; }
    RoleSize c = x.s.a[at[0]], h = x.s.a[at[1]], v = x.s.a[at[2]];
    int64_t count = shape_count(&x.s) / c.size * size;
    if (count > sizes->elements || count * c.size * width * width > 2 * sizes->work) { kind_element(k); return; }
    int o = role_fresh(&x.s, NULL, 0), i = role_fresh(&x.s, NULL, o), kh = role_fresh(&x.s, NULL, i),
        kw = role_fresh(&x.s, NULL, kh);
    Shape w = {4, {{o, size}, {i, c.size}, {kh, width}, {kw, width}}}, b = {1, {{c.role, size}}};
    const char *p = param_use(sc, &w), *nx = value_use(sc, k->x), *I = role_name(i), *KH = role_name(kh), *KW = role_name(kw),
               *C = role_name(c.role);
    char *in = turn ? xasprintf("window(tanh(%s)[%s as %s]; %s by %s:%d, %s by %s:%d; pad = %d)", nx, C, I, role_name(h.role), KH,
                                width, role_name(v.role), KW, width, width / 2)
                    : xasprintf("window(%s[%s as %s]; %s by %s:%d, %s by %s:%d; pad = %d)", nx, C, I, role_name(h.role), KH,
                                width, role_name(v.role), KW, width, width / 2);
    value_add(sc, shape_with(&x.s, c.role, size), x.size, false, "sum[%s,%s,%s](%s * %s)[%s as %s] + %s", I, KH, KW, p, in,
              role_name(o), C, param_use(sc, &b));
}

/* ---- rearrange ---- */
static int smallest_factor(int size, bool other)
{
    int f = 0;
    for (int d = 2; d < size; d++)
        if (size % d == 0 && (!f || other)) f = d;
    return f;
}

static char *axes_list(int n, char *const *text)
{
    StrBuf b = {0};
    for (int i = 0; i < n; i++) sb_printf(&b, "%s%s", i ? ", " : "", text[i]);
    return b.s;
}

/* Splits an axis, merges two, moves a factor from one to another, or changes the order; group norm: a split, a norm and back. */
void kind_rearrange(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int how = choose(k->c, 5), r = role_choose(k), q = x.s.n > 1 ? (r + 1 + choose(k->c, x.s.n - 1)) % x.s.n : r;
    int R = x.s.a[r].role, size = x.s.a[r].size, f = smallest_factor(size, choose(k->c, 2));
    int a = role_fresh(&x.s, NULL, 0), b = role_fresh(&x.s, NULL, a);
    const char *A = role_name(a), *B = role_name(b), *nr = role_name(R), *nq = role_name(x.s.a[q].role);
    char *from[MAX_ROLES], *to[MAX_ROLES];
    Shape y = {0};
    int n = 0, turn = choose(k->c, x.s.n);
    for (int i = 0; i < x.s.n; i++) from[i] = xstrdup(role_name(x.s.a[i].role));
    if ((how == 0 || how == 3 || how == 4) && !f) how = q == r ? 2 : 1;
    if (how == 0 && x.s.n == MAX_ROLES) how = 2;
    if ((how == 1 || how == 3) && q == r) how = 2;
    if (how == 4 && shape_count(&x.s) > 1) {         /* group norm by hand */
        Shape g = shape_without(&x.s, R);
        StrBuf over = {0};
        sb_printf(&over, "%s", B);
        for (int i = 0; i < g.n; i++)
            if (g.a[i].role && choose(k->c, 3) < 2) sb_printf(&over, ",%s", role_name(g.a[i].role));
        from[r] = xasprintf("%s:(%s:%d %s)", nr, A, f, B);
        StrBuf mid = {0};
        for (int i = 0; i < x.s.n; i++)
            sb_printf(&mid, "%s%s", i ? ", " : "", i == r ? xasprintf("%s, %s", A, B) : role_name(x.s.a[i].role));
        const char *nx = value_use(sc, k->x);
        sb_printf(&sc->text, "  let g%d = standardize[%s](rearrange(%s: [%s] -> [%s]), 0.1)\n", sc->n, over.s, nx,
                  axes_list(x.s.n, from), mid.s);
        for (int i = 0; i < x.s.n; i++) to[i] = i == r ? xasprintf("%s:(%s %s)", nr, A, B) : xstrdup(role_name(x.s.a[i].role));
        Shape w = {1, {x.s.a[r]}};
        value_add(sc, x.s, 0.8, false, "rearrange(g%d: [%s] -> [%s]) * %s", sc->n, mid.s, axes_list(x.s.n, to),
                  param_use(sc, &w));
        return;
    }
    for (int j = 0; j < x.s.n; j++) {                /* output axes, from `turn` on */
        int i = how == 2 ? (turn + j) % x.s.n : j;
        RoleSize at = x.s.a[i];
        if (how == 1 && i == q) continue;
        to[n] = xstrdup(role_name(at.role));
        if (how == 1 && i == r) {
            to[n] = xasprintf("%s:(%s %s)", A, nr, nq);
            at = (RoleSize){a, size * x.s.a[q].size};
        }
        if (how == 3 && i == r) {
            to[n] = xstrdup(A);
            at = (RoleSize){a, f};
        }
        if (how == 3 && i == q) {
            to[n] = turn % 2 ? xasprintf("%s:(%s %s)", nq, nq, B) : xasprintf("%s:(%s %s)", nq, B, nq);
            at.size *= size / f;
        }
        if (how == 0 && i == r) {
            to[n] = xstrdup(turn % 2 ? A : B);
            y.a[n++] = turn % 2 ? (RoleSize){a, f} : (RoleSize){b, size / f};
            to[n] = xstrdup(turn % 2 ? B : A);
            at = turn % 2 ? (RoleSize){b, size / f} : (RoleSize){a, f};
        }
        y.a[n++] = at;
    }
    y.n = n;
    if (how == 0 || how == 3) from[r] = xasprintf("%s:(%s:%d %s)", nr, A, f, B);
    value_add(sc, y, x.size, x.exact, "rearrange(%s: [%s] -> [%s])", value_use(sc, k->x), axes_list(x.s.n, from),
              axes_list(n, to));
}

/* ---- pick, slice, rename, repeat ---- */
void kind_index(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int how = choose(k->c, 5), at = role_choose(k), size = x.s.a[at].size, r = x.s.a[at].role;
    const char *nr = role_name(r), *nx = value_use(sc, k->x);
    if (how == 0 && size > 1) {
        int from = choose(k->c, size - 1), to = from + 1 + choose(k->c, size - from);
        if (to - from == size) to--;
        value_add(sc, shape_with(&x.s, r, to - from), x.size, x.exact, "%s[%s = %d:%d]", nx, nr, from, to);
    } else if (how == 1 && x.s.n > 1) {
        value_add(sc, shape_without(&x.s, r), x.size, x.exact, "%s[%s = %d]", nx, nr, choose(k->c, size));
    } else if (how == 2) {
        Shape y = x.s;
        y.a[at].role = role_fresh(&x.s, NULL, 0);
        value_add(sc, y, x.size, x.exact, "%s[%s as %s]", nx, nr, role_name(y.a[at].role));
    } else if (how == 3 && size > 1) {               /* odd and even places */
        int cut = 1 + choose(k->c, size - 1);
        value_add(sc, shape_without(&x.s, r), x.size, false, "%s[%s = 0] - 0.5 * %s[%s = %d]", nx, nr, nx, nr, cut);
    } else {
        int times = 2 + choose(k->c, 2);
        if (shape_count(&x.s) * times > sizes->elements) { value_add(sc, x.s, x.size, false, "sin(%s)", nx); return; }
        value_add(sc, shape_with(&x.s, r, size * times), x.size, x.exact, "repeat(%s; %s by %d)", nx, nr, times);
    }
}

/* ---- concat ---- */
void kind_concat(Ctx *k)
{
    Scope *sc = k->sc;
    Val x = sc->v[k->x];
    int at = role_choose(k), r = x.s.a[at].role, size = x.s.a[at].size, y = -1, start = choose(k->c, sc->n),
        how = choose(k->c, 4);
    const char *nr = role_name(r), *nx = value_use(sc, k->x);
    Shape rest = shape_without(&x.s, r), all = rest;
    for (int i = 0; i < sc->n && y < 0 && how < 2; i++) {
        int j = (sc->n - 1 - start - i + 2 * sc->n) % sc->n;
        int has = shape_find(&sc->v[j].s, r);
        Shape other = shape_without(&sc->v[j].s, r);
        if (has < 0 || !shape_join(&rest, &other, &all) || all.n == MAX_ROLES ||
            shape_count(&all) * (size + sc->v[j].s.a[has].size) > sizes->elements)
            continue;
        y = j;
        size += sc->v[j].s.a[has].size;
    }
    if (y >= 0) {
        bool exact = x.exact && sc->v[y].exact;
        double both = MAX(x.size, sc->v[y].size);
        const char *ny = value_use(sc, y);
        bool third = how == 1 && shape_count(&all) * (size + 1) <= sizes->elements;
        char *more = third ? xasprintf(", sin(%s[%s = 0:1])", nx, nr) : xstrdup("");
        value_add(sc, shape_with(&all, r, size + third), both, exact && !third, "concat[%s](%s, %s%s)", nr, nx, ny, more);
        return;
    }
    if (2 * shape_count(&x.s) > sizes->elements || size < 2) { kind_element(k); return; }
    int cut = 1 + choose(k->c, size - 1);
    if (how == 3)
        value_add(sc, x.s, x.size, x.exact, "concat[%s](%s[%s = %d:%d], %s[%s = 0:%d])", nr, nx, nr, cut, size, nx, nr, cut);
    else
        value_add(sc, shape_with(&x.s, r, size + cut), x.size, false, "concat[%s](%s, 0.5 * %s[%s = 0:%d])", nr, nx, nx, nr, cut);
}
