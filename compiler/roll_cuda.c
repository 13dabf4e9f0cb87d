/* Roll: summed products that differ in their buffers only become one loop over them, in the text of a CUDA kernel. The gradient of an embedding that all blocks of a
   network read is such a sum: 33 products, 2000 lines one after another.
   Assumes each product is a block that begins "for (int k0 = ", buffers are declared as emit_cuda.c does, and temporaries are called after a buffer or a number. */
#include "compiler/emit_cuda.h"
#include <ctype.h>

enum { LEAST = 3, MAX_NAMES = 64 };
typedef struct { const char *at; size_t n; } Text;
typedef struct { Text text; int n; int buf[MAX_NAMES]; uint64_t hash; } Block;      /* buf: slots in the order they are named in */

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_'; }
static const char *next_line(const char *p) { const char *nl = strchr(p, '\n'); return nl ? nl + 1 : p + strlen(p); }

/* "x12", "w3": the slot; -1: no buffer. *n: length of its name. */
static int buffer_at(const char *p, size_t *n)
{
    if (*p != 'x' && *p != 'w') return -1;
    size_t k = 1;
    while (isdigit((unsigned char)p[k])) k++;
    if (k == 1 || (word_char(p[k]) && p[k] != '_')) return -1;
    *n = k;
    return atoi(p + 1);
}

/* The block that begins at p: up to its closing brace, which stands as far left as its head. */
static Text block_at(const char *p)
{
    size_t indent = strspn(p, " ");
    const char *end = next_line(p);
    while (*end && !(strspn(end, " ") == indent && end[indent] == '}')) end = next_line(end);
    return (Text){p, (size_t)(next_line(end) - p)};
}

static int place_in(int *v, int *n, int x)
{
    int i = 0;
    while (i < *n && v[i] != x) i++;
    if (i == *n) { CHECK_BUG(i < MAX_NAMES); v[(*n)++] = x; }
    return i;
}

/* Equal hashes: the same text, but for comments, which buffers they are, and the numbers of temporaries. */
static Block block_of(Text t)
{
    Block b = {.text = t};
    int tmp[MAX_NAMES], n_tmp = 0;
    for (const char *p = t.at; p < t.at + t.n;) {
        size_t n = 1;
        if (p[0] == '/' && p[1] == '*') { p = strstr(p, "*/") + 2; continue; }
        if (word_char(*p)) while (word_char(p[n])) n++;
        size_t name = 0;
        int slot = word_char(*p) ? buffer_at(p, &name) : -1, number;
        bool numbered = word_char(*p) && ((slot >= 0 && name < n) || (p[0] == 't' && n > 1));
        for (size_t i = slot >= 0 ? name + 1 : 1; i < n; i++) numbered &= isdigit((unsigned char)p[i]) != 0;
        if (slot >= 0) { number = place_in(b.buf, &b.n, slot); b.hash = hash64(&number, sizeof number, b.hash + 1); }
        if (numbered) { number = place_in(tmp, &n_tmp, atoi(p + (slot >= 0 ? name + 1 : 1))); b.hash = hash64(&number, sizeof number, b.hash + 2); }
        if (slot < 0 && !numbered) b.hash = hash64(p, n, b.hash + 3);
        else if (slot >= 0 && !numbered) b.hash = hash64(p + name, n - name, b.hash + 4);
        p += n;
    }
    return b;
}

/* The line that declares a buffer. */
static Text declaration(const char *body, int slot)
{
    char key[2][64];
    snprintf(key[0], sizeof key[0], "buf[%d];  /*", slot);
    for (const char *p = body; *p; p = next_line(p)) {
        const char *end = next_line(p), *at = strstr(p, key[0]);
        if (at && at < end && strstr(p, "__restrict__") && strstr(p, "__restrict__") < end) return (Text){p, (size_t)(end - p)};
    }
    return (Text){NULL, 0};
}

/* Two buffers' declarations: the same type. */
static bool same_type(Text a, Text b)
{
    const char *x = a.at ? memchr(a.at, '*', a.n) : NULL, *y = b.at ? memchr(b.at, '*', b.n) : NULL;
    return x && y && x - a.at == y - b.at && !memcmp(a.at, b.at, (size_t)(x - a.at));
}

/* How many blocks from v[0] on are one loop: buffer i of the j-th is buf[i] + j*step[i]. */
static int run_length(const char *body, const Block *v, int n, int *step)
{
    int m = 1;
    for (; m < n && v[m].hash == v[0].hash && v[m].n == v[0].n; m++) {
        bool fits = true;
        for (int i = 0; i < v[0].n && fits; i++) {
            if (m == 1) step[i] = v[1].buf[i] - v[0].buf[i];
            fits = v[m].buf[i] == v[0].buf[i] + m * step[i] && same_type(declaration(body, v[0].buf[i]), declaration(body, v[m].buf[i]));
        }
        if (!fits) break;
    }
    return m;
}

/* A declaration with its slot counting on: "    const float *__restrict__ const x3 = (const float *)args.buf[3 + segment*3];" */
static void declare(StrBuf *b, Text line, int slot, int step, size_t indent)
{
    char key[32];
    const char *at = strstr(line.at, "buf[");
    snprintf(key, sizeof key, "buf[%d]", slot);
    sb_printf(b, "%*s%.*s", (int)indent, "", (int)(at - line.at - (ptrdiff_t)strspn(line.at, " ")), line.at + strspn(line.at, " "));
    sb_printf(b, "buf[%d + segment*%d]%.*s", slot, step, (int)(line.at + line.n - at) - (int)strlen(key), at + strlen(key));
}

static void print_loop(StrBuf *b, const char *body, const Block *v, int m, const int *step)
{
    size_t indent = strspn(v->text.at, " ");
    sb_printf(b, "%*sfor (int segment = 0; segment < %d; segment++) {  /* products that differ in their buffers */\n", (int)indent, "", m);
    for (int i = 0; i < v->n; i++)
        if (step[i]) declare(b, declaration(body, v->buf[i]), v->buf[i], step[i], indent + 4);
    for (const char *p = v->text.at; p < v->text.at + v->text.n; p = next_line(p)) {
        const char *end = next_line(p), *of = strstr(p, " of segment ");
        if (*p != '#' && *p != '\n') sb_puts(b, "    ");
        if (of && of < end) {
            const char *rest = of + strlen(" of segment ");
            while (isdigit((unsigned char)*rest)) rest++;
            sb_write(b, p, (size_t)(of - p));
            p = rest;
        }
        sb_write(b, p, (size_t)(end - p));
    }
    sb_printf(b, "%*s}\n", (int)indent, "");
}

static bool names(const char *from, const char *end, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = from; (p = strstr(p, word)) && p < end; p += n)
        if (!word_char(p[n]) && !word_char(p[-1])) return true;
    return false;
}

/* Is the buffer named behind its declaration, but for the loops that declare it themselves? */
static bool named_outside(const char *text, int slot)
{
    char x[32], w[32], own[48];
    snprintf(x, sizeof x, "x%d", slot);
    snprintf(w, sizeof w, "w%d", slot);
    snprintf(own, sizeof own, "buf[%d + segment*", slot);
    for (const char *p = text; *p;) {
        const bool loop = !strncmp(p + strspn(p, " "), "for (int segment", 16);
        const char *end = loop ? p + block_at(p).n : next_line(p), *declares = loop ? strstr(p, own) : NULL;
        if (!(declares && declares < end) && (names(p, end, x) || names(p, end, w))) return true;
        p = end;
    }
    return false;
}

/* Declarations of buffers that only loops use, which declare them themselves. */
static void drop_declarations(StrBuf *b, const bool *rolled, int n)
{
    for (int slot = 0; slot < n; slot++) {
        Text line = rolled[slot] ? declaration(b->s, slot) : (Text){NULL, 0};
        if (!line.at || named_outside(line.at + line.n, slot)) continue;
        memmove((char *)line.at, line.at + line.n, strlen(line.at + line.n) + 1);
        b->len -= line.n;
    }
}

void cuda_roll(StrBuf *body, int n_buf)
{
    StrBuf out = {0};
    bool *rolled = xcalloc((size_t)n_buf + 1, sizeof *rolled), any = false;
    for (const char *p = body->s; *p;) {
        Block v[256];
        int n = 0, step[MAX_NAMES];
        const char *q = p;
        const size_t indent = strspn(p, " ");
        while (n < (int)COUNT(v) && strspn(q, " ") == indent && !strncmp(q + indent, "for (int k0 = ", 14)) {
            v[n] = block_of(block_at(q));
            q += v[n++].text.n;
        }
        for (int i = 0; i < n;) {
            int m = run_length(body->s, v + i, n - i, step);
            if (m >= LEAST) {
                print_loop(&out, body->s, v + i, m, step);
                for (int j = 0; j < m; j++) for (int k = 0; k < v[i].n; k++) rolled[v[i + j].buf[k]] |= step[k] != 0;
                any = true;
            } else {
                m = 1;
                sb_write(&out, v[i].text.at, v[i].text.n);
            }
            i += m;
        }
        if (!n) {
            q = next_line(p);
            sb_write(&out, p, (size_t)(q - p));
        }
        p = q;
    }
    if (any) {
        drop_declarations(&out, rolled, n_buf);
        sb_free(body);
        *body = out;
    } else sb_free(&out);
    free(rolled);
}
