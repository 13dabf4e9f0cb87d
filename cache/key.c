/* key.h.
   Assumes sources of C or C++ without raw strings and digit separators. */
#include "cache/key.h"

void key_add(StrBuf *key, const char *name, const char *text, size_t len)
{
    sb_printf(key, "%s %zu\n", name, len);
    sb_write(key, text, len);
    sb_putc(key, '\n');
}

bool key_next(const char *key, size_t key_len, size_t *at, KeyField *f)
{
    const char *p = key + *at, *end = key + key_len;
    const char *blank = p < end ? memchr(p, ' ', (size_t)(end - p)) : NULL;
    if (!blank || blank == p) return false;
    size_t len = 0;
    const char *q = blank + 1;
    for (; q < end && *q >= '0' && *q <= '9'; q++) {
        len = len * 10 + (size_t)(*q - '0');
        if (len > key_len) return false;
    }
    if (q == blank + 1 || q >= end || *q != '\n' || (size_t)(end - q - 1) < len + 1 || q[1 + len] != '\n') return false;
    *f = (KeyField){.name = p, .name_len = (int)(blank - p), .text = q + 1, .len = len};
    *at = (size_t)(q + 1 + len + 1 - key);
    return true;
}

static bool named(const KeyField *f, const char *name, size_t len)
{
    return (size_t)f->name_len == len && !memcmp(f->name, name, len);
}

bool key_field(const char *key, size_t key_len, const char *name, KeyField *f)
{
    for (size_t at = 0; key_next(key, key_len, &at, f);)
        if (named(f, name, strlen(name))) return true;
    return false;
}

static bool same(const KeyField *a, const KeyField *b)
{
    return a->len == b->len && !memcmp(a->text, b->text, a->len);
}

bool key_equal_but(const char *a, size_t an, const char *b, size_t bn, const char *name)
{
    size_t i = 0, j = 0, len = strlen(name);
    for (;;) {
        KeyField f, g;
        bool x = key_next(a, an, &i, &f), y = key_next(b, bn, &j, &g);
        if (!x || !y) return x == y && i == an && j == bn;
        if (!named(&f, g.name, (size_t)g.name_len)) return false;
        if (!named(&f, name, len) && !same(&f, &g)) return false;
    }
}

/* ---- differences ---- */
static const char *next_line(const char *p, const char *end)
{
    const char *nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    return nl ? nl + 1 : end;
}

/* Lines that are not in what the two texts begin with and end with in common. */
static long lines_apart(const KeyField *a, const KeyField *b)
{
    const char *p = a->text, *q = b->text, *pe = p + a->len, *qe = q + b->len;
    long n = 0;
    while (p < pe && q < qe) {
        const char *p2 = next_line(p, pe), *q2 = next_line(q, qe);
        if (p2 - p != q2 - q || memcmp(p, q, (size_t)(p2 - p))) break;
        p = p2;
        q = q2;
    }
    while (pe > p && qe > q && pe[-1] == qe[-1]) pe--, qe--;
    for (const char *s = p; s < pe; s = next_line(s, pe)) n++;
    for (const char *s = q; s < qe; s = next_line(s, qe)) n++;
    return n;
}

long key_distance(const char *a, size_t an, const char *b, size_t bn)
{
    long d = 0;
    KeyField f, g;
    for (size_t at = 0; key_next(a, an, &at, &f);) {
        char *name = xasprintf("%.*s", f.name_len, f.name);
        if (!key_field(b, bn, name, &g)) d += 1000;
        else if (!same(&f, &g)) d += 1 + lines_apart(&f, &g);
        free(name);
    }
    return d;
}

/* A whole line of the list, in either order. */
static bool has_line(const KeyField *f, const char *line, size_t len)
{
    for (const char *p = f->text, *end = p + f->len; p < end;) {
        const char *e = next_line(p, end);
        size_t n = (size_t)(e - p) - (e > p && e[-1] == '\n');
        if (n == len && !memcmp(p, line, n)) return true;
        p = e;
    }
    return false;
}

static void put_missing(const KeyField *from, const KeyField *in, StrBuf *out)
{
    bool any = false;
    for (const char *p = from->text, *end = p + from->len; p < end;) {
        const char *e = next_line(p, end);
        size_t n = (size_t)(e - p) - (e > p && e[-1] == '\n');
        if (!has_line(in, p, n)) {
            sb_printf(out, "%s%.*s", any ? " " : "", (int)n, p);
            any = true;
        }
        p = e;
    }
    if (!any) sb_puts(out, "none");
}

static void put_first_line(const KeyField *want, const KeyField *have, const char *name, StrBuf *out)
{
    const char *p = want->text, *q = have->text, *pe = p + want->len, *qe = q + have->len;
    int line = 1;
    for (;; line++) {
        const char *p2 = next_line(p, pe), *q2 = next_line(q, qe);
        if (p >= pe || q >= qe || p2 - p != q2 - q || memcmp(p, q, (size_t)(p2 - p))) {
            sb_printf(out, "%s line %d: %.*s -> %.*s\n", name, line, q < qe ? (int)MIN(q2 - q - (q2[-1] == '\n'), 200) : 3, q < qe ? q : "end",
                      p < pe ? (int)MIN(p2 - p - (p2[-1] == '\n'), 200) : 3, p < pe ? p : "end");
            return;
        }
        p = p2;
        q = q2;
    }
}

void key_explain(const char *want, size_t want_len, const char *have, size_t have_len, StrBuf *out)
{
    KeyField f, g;
    for (size_t at = 0; key_next(want, want_len, &at, &f);) {
        char *name = xasprintf("%.*s", f.name_len, f.name);
        if (!key_field(have, have_len, name, &g)) sb_printf(out, "%s: absent there\n", name);
        else if (same(&f, &g)) {
        } else if (!strcmp(name, "options")) {
            sb_puts(out, "option changed: ");
            put_missing(&g, &f, out);
            sb_puts(out, " -> ");
            put_missing(&f, &g, out);
            sb_putc(out, '\n');
        } else if (memchr(f.text, '\n', f.len) || memchr(g.text, '\n', g.len)) put_first_line(&f, &g, name, out);
        else sb_printf(out, "%s changed: %.*s -> %.*s\n", name, (int)g.len, g.text, (int)f.len, f.text);
        free(name);
    }
}

/* ---- sources ---- */
void key_canonical(StrBuf *b, const char *s)
{
    char last = '\n';
    while (*s) {
        if (s[0] == '/' && s[1] == '*') {
            const char *e = strstr(s + 2, "*/");
            s = e ? e + 2 : s + strlen(s);
            if (last != ' ' && last != '\n') sb_putc(b, last = ' ');
        } else if (s[0] == '/' && s[1] == '/') {
            s += strcspn(s, "\n");
        } else if (*s == '"' || *s == '\'') {
            const char q = *s;
            size_t n = 1;
            while (s[n] && s[n] != q) n += s[n] == '\\' && s[n + 1] ? 2 : 1;
            if (s[n]) n++;
            sb_write(b, s, n);
            s += n;
            last = q;
        } else {
            char c = *s == '\t' || *s == '\r' ? ' ' : *s;
            if (!((c == ' ' || c == '\n') && (last == ' ' || last == '\n')) || (c == '\n' && last == ' ')) sb_putc(b, c);
            last = c;
            s++;
        }
    }
}

bool key_draws(const char *source)
{
    static const char *const SIGNS[] = {"draw", "ECT_DRAW", "ECT_NORMAL", "ECT_UNIFORM", "ECT_BERNOULLI"};
    for (size_t i = 0; i < COUNT(SIGNS); i++)
        if (strstr(source, SIGNS[i])) return true;
    return false;
}
