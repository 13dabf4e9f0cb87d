/* Index expressions: canonical linear forms over loop variables, floor divisions and remainders by constants, with value ranges.
   Assumes constants and ranges stay inside int64 (the checker bounds tensors to 2^40 elements). */
#include "compiler/kernel.h"

int new_loop(Kernel *k, Sym name, int64_t size)
{
    CHECK_BUG(k->n_loops < 64);
    bool bounded = k->bound >= 0 && name == k->bound_axis.role && size == k->bound_axis.size;
    vec_push(k->loop, k->n_loops, k->loops_cap, ((Loop){name, size, bounded}));
    return k->n_loops - 1;
}

static int atom(Kernel *k, AtomKind kind, int loop, IRef e, int64_t c)
{
    for (int i = 0; i < k->n_atoms; i++)
        if (k->atom[i].kind == kind && k->atom[i].loop == loop && k->atom[i].e == e && k->atom[i].c == c)
            return i;
    Atom a = {kind, loop, e, c, 0, 0};
    if (kind == ATOM_LOOP) {
        a.hi = k->loop[loop].size - 1;
    } else if (kind == ATOM_MOD || kind == ATOM_TABLE) {
        a.hi = c - 1;
    } else {
        int64_t lo = k->index[e].lo, hi = k->index[e].hi;
        a.lo = lo >= 0 ? lo / c : -((-lo + c - 1) / c);
        a.hi = hi >= 0 ? hi / c : -((-hi + c - 1) / c);
    }
    vec_push(k->atom, k->n_atoms, k->atoms_cap, a);
    return k->n_atoms - 1;
}

static uint64_t atom_deps(const Kernel *k, int a)
{
    return k->atom[a].kind == ATOM_LOOP ? 1ull << k->atom[a].loop : k->index[k->atom[a].e].deps;
}

/* Intern c + sum of terms; merges equal atoms, drops zero terms, recombines  s*c*(e div c) + s*(e mod c)  into  s*e. */
static IRef make(Kernel *k, int n, Term *t, int64_t c)
{
    if (k->n_index == 0)
        vec_push(k->index, k->n_index, k->index_cap, ((IndexExpr){0}));
    int m = 0;
    for (int i = 0; i < n; i++) {
        int j = 0;
        while (j < m && t[j].atom != t[i].atom) j++;
        if (j < m) t[j].k += t[i].k;
        else t[m++] = t[i];
    }
    n = m; m = 0;
    for (int i = 0; i < n; i++)
        if (t[i].k) t[m++] = t[i];
    n = m;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            const Atom *d = &k->atom[t[i].atom], *r = &k->atom[t[j].atom];
            if (d->kind != ATOM_DIV || r->kind != ATOM_MOD || d->e != r->e || d->c != r->c || t[i].k != t[j].k * d->c)
                continue;
            int64_t s = t[j].k;
            IRef e = d->e;
            Term rest[64];
            int q = 0;
            for (int x = 0; x < n; x++)
                if (x != i && x != j) rest[q++] = t[x];
            for (int x = 0; x < k->index[e].n; x++) {
                CHECK_BUG(q < 64);
                rest[q++] = (Term){s * k->index[e].t[x].k, k->index[e].t[x].atom};
            }
            return make(k, q, rest, c + s * k->index[e].c);
        }
    for (int i = 1; i < n; i++)                       /* sorted by atom: equal sums are equal ids */
        for (int j = i; j > 0 && t[j].atom < t[j - 1].atom; j--) {
            Term x = t[j]; t[j] = t[j - 1]; t[j - 1] = x;
        }
    for (int i = 0; i < k->n_index; i++) {
        const IndexExpr *x = &k->index[i];
        if (x->n != n || x->c != c) continue;
        int same = 0;
        while (same < n && x->t[same].k == t[same].k && x->t[same].atom == t[same].atom) same++;
        if (same == n) return (IRef)i;
    }
    IndexExpr x = {n, arena_make(k->arena, Term, n ? n : 1), c, c, c, 0};
    if (n) memcpy(x.t, t, sizeof(Term) * (size_t)n);
    for (int i = 0; i < n; i++) {
        const Atom *a = &k->atom[t[i].atom];
        x.lo += t[i].k * (t[i].k > 0 ? a->lo : a->hi);
        x.hi += t[i].k * (t[i].k > 0 ? a->hi : a->lo);
        x.deps |= atom_deps(k, t[i].atom);
    }
    vec_push(k->index, k->n_index, k->index_cap, x);
    return (IRef)(k->n_index - 1);
}

IRef ix_const(Kernel *k, int64_t c) { return make(k, 0, NULL, c); }
IRef ix_loop(Kernel *k, int loop)
{
    if (k->loop[loop].size == 1) return ix_const(k, 0);
    Term t = {1, atom(k, ATOM_LOOP, loop, 0, 0)};
    return make(k, 1, &t, 0);
}

IRef ix_add(Kernel *k, IRef a, IRef b)
{
    Term t[64];
    const IndexExpr x = k->index[a], y = k->index[b];
    CHECK_BUG(x.n + y.n <= 64);
    for (int i = 0; i < x.n; i++) t[i] = x.t[i];
    for (int i = 0; i < y.n; i++) t[x.n + i] = y.t[i];
    return make(k, x.n + y.n, t, x.c + y.c);
}

IRef ix_scale(Kernel *k, IRef a, int64_t s)
{
    Term t[64];
    const IndexExpr x = k->index[a];
    for (int i = 0; i < x.n; i++) t[i] = (Term){x.t[i].k * s, x.t[i].atom};
    return make(k, x.n, t, x.c * s);
}

IRef ix_addc(Kernel *k, IRef a, int64_t c)
{
    Term t[64];
    const IndexExpr x = k->index[a];
    for (int i = 0; i < x.n; i++) t[i] = x.t[i];
    return make(k, x.n, t, x.c + c);
}

static int64_t floordiv(int64_t a, int64_t c) { return a >= 0 ? a / c : -((-a + c - 1) / c); }

/* e = c*whole + rest, with rest's constant in 0..c-1; whole and rest as new expressions. */
static void split(Kernel *k, IRef e, int64_t c, IRef *whole, IRef *rest)
{
    Term q[64], r[64];
    int nq = 0, nr = 0;
    const IndexExpr x = k->index[e];
    for (int i = 0; i < x.n; i++)
        if (x.t[i].k % c == 0) q[nq++] = (Term){x.t[i].k / c, x.t[i].atom};
        else r[nr++] = x.t[i];
    int64_t w = floordiv(x.c, c);
    *whole = make(k, nq, q, w);
    *rest = make(k, nr, r, x.c - w * c);
}

IRef ix_div(Kernel *k, IRef e, int64_t c)
{
    if (c == 1) return e;
    IRef whole, rest;
    split(k, e, c, &whole, &rest);
    const IndexExpr r = k->index[rest];
    if (floordiv(r.lo, c) == floordiv(r.hi, c))
        return ix_addc(k, whole, floordiv(r.lo, c));
    if (r.n == 1 && r.c == 0 && r.t[0].k == 1 && k->atom[r.t[0].atom].kind == ATOM_DIV) {     /* (x div a) div c = x div (a c) */
        Atom d = k->atom[r.t[0].atom];
        return ix_add(k, whole, ix_div(k, d.e, d.c * c));
    }
    Term t = {1, atom(k, ATOM_DIV, 0, rest, c)};
    return ix_add(k, whole, make(k, 1, &t, 0));
}

IRef ix_mod(Kernel *k, IRef e, int64_t c)
{
    if (c == 1) return ix_const(k, 0);
    IRef whole, rest;
    split(k, e, c, &whole, &rest);
    const IndexExpr r = k->index[rest];
    if (r.lo >= 0 && r.hi < c) return rest;
    if (floordiv(r.lo, c) == floordiv(r.hi, c)) return ix_addc(k, rest, -c * floordiv(r.lo, c));
    Term t = {1, atom(k, ATOM_MOD, 0, rest, c)};
    return make(k, 1, &t, 0);
}

IRef ix_table(Kernel *k, int slot, IRef e, int64_t size)
{
    Term t = {1, atom(k, ATOM_TABLE, slot, e, size)};
    return make(k, 1, &t, 0);
}

bool ix_linear(const Kernel *k, IRef e, int loop, int64_t *coef)
{
    *coef = 0;
    const IndexExpr *x = &k->index[e];
    for (int i = 0; i < x->n; i++) {
        const Atom *a = &k->atom[x->t[i].atom];
        if (a->kind == ATOM_LOOP && a->loop == loop) *coef = x->t[i].k;
        else if (a->kind != ATOM_LOOP && (k->index[a->e].deps >> loop & 1)) return false;
    }
    return true;
}

/* e / c or e % c. Operands are never negative in the text: a bias of whole multiples is added, and taken off a quotient again. */
static void print_division(StrBuf *b, const Kernel *k, const Atom *a, const char *const *names)
{
    const IndexExpr *in = &k->index[a->e];
    int64_t bias = in->lo < 0 ? (-in->lo + a->c - 1) / a->c : 0;
    bool plain = !bias && in->n == 1 && in->c == 0 && in->t[0].k == 1 && k->atom[in->t[0].atom].kind == ATOM_LOOP;
    if (bias && a->kind == ATOM_DIV) sb_putc(b, '(');
    if (!plain) sb_putc(b, '(');
    ix_print(b, k, a->e, names);
    if (bias) sb_printf(b, " + %lld", (long long)(bias * a->c));
    if (!plain) sb_putc(b, ')');
    sb_printf(b, a->kind == ATOM_DIV ? "/%lld" : "%%%lld", (long long)a->c);
    if (bias && a->kind == ATOM_DIV) sb_printf(b, " - %lld)", (long long)bias);
}

void ix_print(StrBuf *b, const Kernel *k, IRef e, const char *const *names) { ix_print_flat(b, k, &k->index[e], names, -1, NULL); }

void ix_print_flat(StrBuf *b, const Kernel *k, const IndexExpr *x, const char *const *names, int loop, const char *flat)
{
    if (x->n == 0) { sb_printf(b, "%lld", (long long)x->c); return; }
    int order[64];                                   /* positive terms by falling stride, then negative ones: reads like nested subscripts */
    for (int i = 0; i < x->n; i++) {
        int j = i;
        for (; j > 0 && x->t[order[j - 1]].k < x->t[i].k; j--) order[j] = order[j - 1];
        order[j] = i;
    }
    for (int q = 0; q < x->n; q++) {
        Term t = x->t[order[q]];
        const Atom *a = &k->atom[t.atom];
        sb_puts(b, q == 0 ? (t.k < 0 ? "-" : "") : (t.k < 0 ? " - " : " + "));
        if (a->kind == ATOM_LOOP) sb_puts(b, a->loop == loop ? flat : names[a->loop]);
        else if (a->kind == ATOM_TABLE) {            /* f32 holds row numbers exactly; a buffer that is only read is called x */
            sb_printf(b, "(int)x%d[", a->loop);
            ix_print(b, k, a->e, names);
            sb_putc(b, ']');
        } else print_division(b, k, a, names);
        if (llabs(t.k) != 1) sb_printf(b, "*%lld", llabs(t.k));
    }
    if (x->c) sb_printf(b, x->c < 0 ? " - %lld" : " + %lld", (long long)(x->c < 0 ? -x->c : x->c));
}
