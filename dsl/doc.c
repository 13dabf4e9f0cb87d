/* Lays out documents: a stack machine over (indent, mode, document), each group flat when it fits.
   Assumes texts hold no line ends. */
#include "dsl/doc.h"

typedef enum { TEXT, LINE, SOFT, CAT, NEST, GROUP } DocKind;
struct Doc {
    DocKind kind;
    int by;
    const char *text;
    const Doc *x, *y;
};

static Doc *doc_new(Arena *a, Doc fields)
{
    Doc *d = arena_alloc(a, sizeof *d);
    *d = fields;
    return d;
}

Doc *doc_text(Arena *a, const char *s) { return doc_new(a, (Doc){.kind = TEXT, .text = s}); }
Doc *doc_line(Arena *a) { return doc_new(a, (Doc){.kind = LINE}); }
Doc *doc_soft(Arena *a) { return doc_new(a, (Doc){.kind = SOFT}); }
Doc *doc_nest(Arena *a, int by, Doc *x) { return x ? doc_new(a, (Doc){.kind = NEST, .by = by, .x = x}) : NULL; }
Doc *doc_group(Arena *a, Doc *x) { return x ? doc_new(a, (Doc){.kind = GROUP, .x = x}) : NULL; }

Doc *doc_cat(Arena *a, Doc *x, Doc *y)
{
    return !x ? y : !y ? x : doc_new(a, (Doc){.kind = CAT, .x = x, .y = y});
}

int text_columns(const char *s)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

typedef struct {
    int indent;
    bool flat;
    const Doc *d;
} Item;

typedef struct {
    Item *v;
    int n, cap;
} Stack;

static void push(Stack *s, int indent, bool flat, const Doc *d)
{
    vec_push(s->v, s->n, s->cap, ((Item){indent, flat, d}));
}

/* Whether d, flat, and what follows up to the next break have room for `room` columns. */
static bool fits(const Stack *rest, const Doc *d, int room, Stack *scratch)
{
    int next = rest->n;
    scratch->n = 0;
    push(scratch, 0, true, d);
    while (room >= 0) {
        if (!scratch->n) {
            if (!next) return true;
            Item i = rest->v[--next];
            push(scratch, i.indent, i.flat, i.d);
        }
        Item i = scratch->v[--scratch->n];
        switch (i.d->kind) {
        case TEXT: room -= text_columns(i.d->text); break;
        case LINE:
            if (!i.flat) return true;
            room--;
            break;
        case SOFT:
            if (!i.flat) return true;
            break;
        case CAT:
            push(scratch, i.indent, i.flat, i.d->y);
            push(scratch, i.indent, i.flat, i.d->x);
            break;
        case NEST:
        case GROUP: push(scratch, i.indent, i.flat, i.d->x); break;
        }
    }
    return false;
}

void doc_layout(StrBuf *out, const Doc *x, int indent, int width)
{
    Stack s = {0}, scratch = {0};
    int col = indent;
    if (x) push(&s, indent, false, x);
    while (s.n) {
        Item i = s.v[--s.n];
        switch (i.d->kind) {
        case TEXT:
            sb_puts(out, i.d->text);
            col += text_columns(i.d->text);
            break;
        case LINE:
        case SOFT:
            if (!i.flat) {
                sb_printf(out, "\n%*s", i.indent, "");
                col = i.indent;
            } else if (i.d->kind == LINE) {
                sb_putc(out, ' ');
                col++;
            }
            break;
        case CAT:
            push(&s, i.indent, i.flat, i.d->y);
            push(&s, i.indent, i.flat, i.d->x);
            break;
        case NEST: push(&s, i.indent + i.d->by, i.flat, i.d->x); break;
        case GROUP: push(&s, i.indent, i.flat || fits(&s, i.d->x, width - col, &scratch), i.d->x); break;
        }
    }
    free(s.v);
    free(scratch.v);
}
