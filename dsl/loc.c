/* Keeps the texts of all sources and the errors found in them, and prints the errors with carets.
   Assumes columns count bytes; text that cannot be shown (tabs, control bytes, broken UTF-8) is shown as one column. */
#include "dsl/loc.h"

/* ---- sources ---- */
typedef struct {
    char *name, *text;
    size_t len;
    size_t *line;                /* offset of the start of each line, and one past the end */
    int n_lines, cap_lines;
} Source;

static Source *sources;
static int n_sources, cap_sources;

int source_add(const char *name, const char *text, size_t len)
{
    Source s = {.name = xstrdup(name), .text = xmalloc(len + 1), .len = len};
    if (len) memcpy(s.text, text, len);
    s.text[len] = 0;
    vec_push(s.line, s.n_lines, s.cap_lines, 0);
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\n') vec_push(s.line, s.n_lines, s.cap_lines, i + 1);
    vec_push(s.line, s.n_lines, s.cap_lines, len + 1);
    s.n_lines--;
    vec_push(sources, n_sources, cap_sources, s);
    return n_sources;
}

static const Source *source_get(int file)
{
    return file >= 1 && file <= n_sources ? &sources[file - 1] : NULL;
}

const char *source_name(int file)
{
    const Source *s = source_get(file);
    return s ? s->name : "?";
}

const char *source_text(int file, size_t *len)
{
    const Source *s = source_get(file);
    if (len) *len = s ? s->len : 0;
    return s ? s->text : "";
}

const char *source_line(int file, int line, size_t *len)
{
    const Source *s = source_get(file);
    *len = 0;
    if (!s || line < 1 || line > s->n_lines) return "";
    size_t from = s->line[line - 1], to = s->line[line] - 1;
    if (to > from && s->text[to - 1] == '\r') to--;
    *len = to - from;
    return s->text + from;
}

void source_reset(void)
{
    for (int i = 0; i < n_sources; i++) {
        free(sources[i].name);
        free(sources[i].text);
        free(sources[i].line);
    }
    free(sources);
    sources = NULL;
    n_sources = cap_sources = 0;
}

/* ---- places ---- */
Loc loc_join(Loc a, Loc b)
{
    if (!a.file) return b;
    if (!b.file || a.file != b.file) return a;
    return (Loc){a.file, a.line, a.col, b.end_line, b.end_col};
}

int loc_compare(Loc a, Loc b)
{
    int d[] = {a.file - b.file, a.line - b.line, a.col - b.col, a.end_line - b.end_line, a.end_col - b.end_col};
    for (size_t i = 0; i < COUNT(d); i++)
        if (d[i]) return d[i] < 0 ? -1 : 1;
    return 0;
}

bool loc_equal(Loc a, Loc b)
{
    return loc_compare(a, b) == 0;
}

/* ---- error table ---- */
const ErrInfo err_table[] = {
#define ERR(number, name, title) {number, #name, title},
#include "dsl/errors.def"
#undef ERR
};
const int err_table_n = COUNT(err_table);

const ErrInfo *err_find(int number)
{
    for (int i = 0; i < err_table_n; i++)
        if (err_table[i].number == number) return &err_table[i];
    return NULL;
}

/* ---- diagnostics ---- */
typedef struct {
    Loc at;
    char *label;                 /* NULL: carets only */
} Span;

struct Diag {
    ErrCode code;
    char *message;
    Span *span;                  /* the first is the primary one */
    int n_span, cap_span;
    char **note, **help;
    int n_note, cap_note, n_help, cap_help;
};

static Diag *diags[DIAG_MAX];
static int n_diags, n_errors;
static Diag dropped;             /* takes the labels of errors that are not kept */

static char *format(const char *fmt, va_list ap)
{
    char *s;
    if (vasprintf(&s, fmt, ap) < 0) machine_error("out of memory while writing a message");
    return s;
}

static Diag *find_same(Loc at, ErrCode code, const char *message)
{
    for (int i = 0; i < n_diags; i++)
        if (diags[i]->code == code && loc_equal(diags[i]->span[0].at, at) && !strcmp(diags[i]->message, message)) return diags[i];
    return NULL;
}

Diag *diag_error(Loc at, ErrCode code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *message = format(fmt, ap);
    va_end(ap);
    if (find_same(at, code, message)) {
        free(message);
        return &dropped;
    }
    n_errors++;
    if (n_diags == DIAG_MAX) {
        free(message);
        return &dropped;
    }
    Diag *d = xcalloc(1, sizeof *d);
    d->code = code;
    d->message = message;
    vec_push(d->span, d->n_span, d->cap_span, ((Span){at, NULL}));
    return diags[n_diags++] = d;
}

void diag_label(Diag *d, const char *fmt, ...)
{
    if (d == &dropped) return;
    va_list ap;
    va_start(ap, fmt);
    free(d->span[0].label);
    d->span[0].label = format(fmt, ap);
    va_end(ap);
}

void diag_span(Diag *d, Loc at, const char *fmt, ...)
{
    if (d == &dropped || !at.file) return;
    va_list ap;
    va_start(ap, fmt);
    vec_push(d->span, d->n_span, d->cap_span, ((Span){at, format(fmt, ap)}));
    va_end(ap);
}

void diag_note(Diag *d, const char *fmt, ...)
{
    if (d == &dropped) return;
    va_list ap;
    va_start(ap, fmt);
    vec_push(d->note, d->n_note, d->cap_note, format(fmt, ap));
    va_end(ap);
}

void diag_help(Diag *d, const char *fmt, ...)
{
    if (d == &dropped) return;
    va_list ap;
    va_start(ap, fmt);
    vec_push(d->help, d->n_help, d->cap_help, format(fmt, ap));
    va_end(ap);
}

int diag_count(void)
{
    return n_errors;
}

bool diag_full(void)
{
    return n_diags == DIAG_MAX;
}

static void free_texts(char **v, int n)
{
    for (int i = 0; i < n; i++) free(v[i]);
    free(v);
}

void diag_reset(void)
{
    for (int i = 0; i < n_diags; i++) {
        Diag *d = diags[i];
        for (int j = 0; j < d->n_span; j++) free(d->span[j].label);
        free(d->span);
        free_texts(d->note, d->n_note);
        free_texts(d->help, d->n_help);
        free(d->message);
        free(d);
    }
    n_diags = n_errors = 0;
}

/* ---- printing ---- */
enum { SHOWN_WIDTH = 160, SHOWN_BEFORE = 60, MESSAGE_MAX = 2000, MARKS_MAX = 16 };

/* Length of the UTF-8 sequence at s, or 0 when it is none. */
static int utf8_len(const char *s, size_t n)
{
    unsigned char c = (unsigned char)s[0];
    int k = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!k || (size_t)k > n) return 0;
    for (int i = 1; i < k; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80) return 0;
    return k;
}

/* Appends text with every character taking one column; returns how many columns. */
static int put_shown(StrBuf *b, const char *s, size_t n)
{
    int cols = 0;
    for (size_t i = 0; i < n; cols++) {
        int k = utf8_len(s + i, n - i);
        if (!k || (unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            sb_putc(b, s[i] == '\t' ? ' ' : '?');
            i++;
        } else {
            sb_write(b, s + i, (size_t)k);
            i += (size_t)k;
        }
    }
    return cols;
}

static int shown_columns(const char *s, size_t n)
{
    StrBuf scratch = {0};
    int cols = put_shown(&scratch, s, n);
    sb_free(&scratch);
    return cols;
}

typedef struct {
    int col, end;                /* shown columns from 0, end exclusive, at least one wide */
    const char *label;
} Mark;

static void put_gutter(StrBuf *b, int line)
{
    if (line) sb_printf(b, "%5d | ", line);
    else sb_puts(b, "      | ");
}

static void put_pad(StrBuf *b, int *at, int col)
{
    for (; *at < col; ++*at) sb_putc(b, ' ');
}

/* Label line for one mark: put at its column below the carets. */
static void put_label(StrBuf *b, const Mark *m)
{
    int at = 0;
    put_gutter(b, 0);
    put_pad(b, &at, m->col);
    sb_printf(b, "%s\n", m->label);
}

/* Carets of all marks on one line; the rightmost label follows them, the others go below, right to left. */
static void put_marks(StrBuf *b, Mark *m, int n)
{
    for (int i = 1; i < n; i++)                         /* insertion sort by column, stable */
        for (int j = i; j > 0 && m[j - 1].col > m[j].col; j--) {
            Mark t = m[j];
            m[j] = m[j - 1];
            m[j - 1] = t;
        }
    int at = 0;
    put_gutter(b, 0);
    for (int i = 0; i < n; i++) {
        put_pad(b, &at, m[i].col);
        for (; at < m[i].end; at++) sb_putc(b, '^');
    }
    bool inline_last = m[n - 1].label && m[n - 1].end >= at;
    if (inline_last) sb_printf(b, " %s", m[n - 1].label);
    sb_putc(b, '\n');
    for (int i = n - 1 - inline_last; i >= 0; i--)
        if (m[i].label) put_label(b, &m[i]);
}

/* The source line of the spans listed in `which`, clipped around the first, and the carets below it. */
static void put_snippet(StrBuf *b, const Span *span, const int *which, int n)
{
    Loc first = span[which[0]].at;
    size_t len, from = 0, to;
    const char *text = source_line(first.file, first.line, &len);
    to = len;
    size_t caret = MIN((size_t)first.col - 1, len);
    if (len > SHOWN_WIDTH) {
        from = caret > SHOWN_BEFORE ? caret - SHOWN_BEFORE : 0;
        to = MIN(len, from + SHOWN_WIDTH);
        while (from > 0 && ((unsigned char)text[from] & 0xc0) == 0x80) from--;
        while (to < len && ((unsigned char)text[to] & 0xc0) == 0x80) to++;
    }
    put_gutter(b, first.line);
    if (from) sb_puts(b, "...");
    put_shown(b, text + from, to - from);
    if (to < len) sb_puts(b, "...");
    sb_putc(b, '\n');

    Mark mark[MARKS_MAX];
    int n_marks = 0;
    for (int i = 0; i < n && n_marks < MARKS_MAX; i++) {
        Loc at = span[which[i]].at;
        size_t s = MIN((size_t)at.col - 1, len), e = at.end_line > at.line ? len : MIN((size_t)at.end_col - 1, len);
        s = MAX(MIN(s, to), from);
        e = MAX(MIN(e, to), s);
        int col = (from ? 3 : 0) + shown_columns(text + from, s - from);
        mark[n_marks++] = (Mark){col, col + MAX(1, shown_columns(text + s, e - s)), span[which[i]].label};
    }
    put_marks(b, mark, n_marks);
}

/* Snippets of all spans: those on the primary span's line first, then line by line as first named. */
static void put_spans(StrBuf *b, const Span *span, int n)
{
    bool *done = xcalloc((size_t)n, sizeof *done);
    int *which = xcalloc((size_t)n, sizeof *which);
    int file = span[0].at.file;
    for (int i = 0; i < n; i++) {
        if (done[i] || !span[i].at.file) continue;
        int k = 0;
        for (int j = i; j < n; j++)
            if (!done[j] && span[j].at.file == span[i].at.file && span[j].at.line == span[i].at.line) {
                which[k++] = j;
                done[j] = true;
            }
        if (span[i].at.file != file) {
            file = span[i].at.file;
            sb_printf(b, "  %s:%d:%d:\n", source_name(file), span[i].at.line, span[i].at.col);
        }
        put_snippet(b, span, which, k);
    }
    free(done);
    free(which);
}

static void put_diag(StrBuf *b, const Diag *d)
{
    Loc at = d->span[0].at;
    if (at.file) sb_printf(b, "%s:%d:%d: ", source_name(at.file), at.line, at.col);
    else sb_printf(b, "%s: ", prog_name);
    sb_printf(b, "error E%04d: ", (int)d->code);
    size_t n = strlen(d->message);
    put_shown(b, d->message, MIN(n, (size_t)MESSAGE_MAX));
    sb_puts(b, n > MESSAGE_MAX ? "...\n" : "\n");
    put_spans(b, d->span, d->n_span);
    for (int i = 0; i < d->n_note; i++) sb_printf(b, "   note: %s\n", d->note[i]);
    for (int i = 0; i < d->n_help; i++)
        sb_printf(b, "   help: %s%s", d->help[i], i < d->n_help - 1 ? "\n" : "");
    sb_printf(b, d->n_help ? "      (ectc explain E%04d)\n" : "   help: ectc explain E%04d\n", (int)d->code);
}

char *diag_text(void)
{
    StrBuf b = {0};
    sb_puts(&b, "");
    for (int i = 0; i < n_diags; i++) put_diag(&b, diags[i]);
    if (n_errors > n_diags)
        sb_printf(&b, "%s: %d more error%s not shown; mend the first ones and try again\n", prog_name, n_errors - n_diags,
                  n_errors - n_diags == 1 ? " is" : "s are");
    return b.s;
}

void diag_print(FILE *out)
{
    char *s = diag_text();
    fputs(s, out);
    free(s);
}
