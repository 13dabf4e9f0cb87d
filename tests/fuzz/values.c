/* Shapes and values of the text being made: names, sizes, what a statement reads.
   Assumes a Scope is one block's body; texts live as long as the process. */
#include "tests/fuzz/fuzz.h"
#include <math.h>

static const char *const roles[] = {"n", "c", "h", "w", "a", "b", "d", "e", "f", "g",
                                    "i", "j", "l", "m", "o", "p", "q", "r", "s", "u"};

const char *role_name(int role) { return roles[role]; }

int shape_find(const Shape *s, int role)
{
    for (int i = 0; i < s->n; i++)
        if (s->a[i].role == role) return i;
    return -1;
}

int role_fresh(const Shape *a, const Shape *b, int after)
{
    int r = MAX(after + 1, 4);                       /* never n, which rows and draws know */
    while (shape_find(a, r) >= 0 || (b && shape_find(b, r) >= 0)) r++;
    CHECK_BUG(r < (int)COUNT(roles));
    return r;
}

int64_t shape_count(const Shape *s)
{
    int64_t n = 1;
    for (int i = 0; i < s->n; i++) n *= s->a[i].size;
    return n;
}

char *shape_text(const Shape *s)
{
    StrBuf b = {0};
    sb_puts(&b, "");
    for (int i = 0; i < s->n; i++) sb_printf(&b, "%s%s:%d", i ? ", " : "", roles[s->a[i].role], s->a[i].size);
    return b.s;
}

bool shape_join(const Shape *a, const Shape *b, Shape *out)
{
    Shape s = *a;
    for (int i = 0; i < b->n; i++) {
        int at = shape_find(a, b->a[i].role);
        if (at >= 0 && a->a[at].size != b->a[i].size) return false;
        if (at >= 0) continue;
        if (s.n == MAX_ROLES) return false;
        s.a[s.n++] = b->a[i];
    }
    *out = s;
    return shape_count(&s) <= MAX(sizes->elements, MAX(shape_count(a), shape_count(b)));
}

Shape shape_without(const Shape *s, int role)
{
    Shape t = {0};
    for (int i = 0; i < s->n; i++)
        if (s->a[i].role != role) t.a[t.n++] = s->a[i];
    return t;
}

Shape shape_with(const Shape *s, int role, int size)
{
    Shape t = *s;
    int at = shape_find(s, role);
    if (at < 0) {
        CHECK_BUG(t.n < MAX_ROLES);
        at = t.n++;
    }
    t.a[at] = (RoleSize){role, size};
    return t;
}

void value_add(Scope *sc, Shape s, double size, bool exact, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *e = NULL;
    if (vasprintf(&e, fmt, ap) < 0) machine_error("out of memory");
    va_end(ap);
    CHECK_BUG(sc->n < (int)COUNT(sc->v));
    Val *v = &sc->v[sc->n];
    *v = (Val){.name = xasprintf("v%d", sc->n),
               .s = s,
               .size = size,
               .exact = exact,
               .n_deps = sc->n_deps,
               .streams = sc->streams,
               .applies = sc->applies};
    memcpy(v->dep, sc->dep, sizeof v->dep);
    if (!(size >= 0.05 && size <= 3)) {
        sb_printf(&sc->text, "  let %s = %.2g * (%s)\n", v->name, 0.7 / size, e);
        v->size = 0.7;
        v->exact = false;
    } else {
        sb_printf(&sc->text, "  let %s = %s\n", v->name, e);
    }
    v->text = sc->text.s;
    sc->n++;
    sc->text = (StrBuf){0};
    sc->n_deps = sc->applies = 0;
    sc->streams = 0;
    free(e);
}

const char *value_use(Scope *sc, int i)
{
    for (int k = 0; k < sc->n_deps; k++)
        if (sc->dep[k] == i) return sc->v[i].name;
    CHECK_BUG(sc->n_deps < (int)COUNT(sc->dep));
    sc->dep[sc->n_deps++] = i;
    return sc->v[i].name;
}

const char *param_use(Scope *sc, const Shape *s)
{
    char *name = xasprintf("p%d", sc->params++), *shape = shape_text(s);
    sb_printf(&sc->text, "  param %s: [%s] = uniform(-0.5, 0.5)\n", name, shape);
    free(shape);
    return name;
}
