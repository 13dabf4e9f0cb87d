/* The formatter: declarations, statements, comments and blank lines of a file, in canonical text.
   Assumes a file that parsed without errors. A body written on one line stays on one when it still fits. */
#include "dsl/print.h"

enum { WIDTH = 120, INDENT = 2 };
#define CAT(...) doc_cats(a, (Doc *[]){__VA_ARGS__}, COUNT(((Doc *[]){__VA_ARGS__})))

typedef struct {
    const File *file;
    Arena *a;
    StrBuf out;
    int next;                    /* first comment not yet written */
    int last_line;               /* line of the source where the last thing written ended; 0: nothing before */
} Printer;

/* ---- comments and blank lines ---- */
static bool before(Loc a, int line, int col)
{
    return a.line < line || (a.line == line && a.col < col);
}

static const Comment *pending(Printer *p)
{
    return p->next < p->file->n_comments ? &p->file->comments[p->next] : NULL;
}

static void indent_to(Printer *p, int indent)
{
    sb_printf(&p->out, "%*s", indent, "");
}

static void blank_line(Printer *p, int line)
{
    if (p->last_line && line > p->last_line + 1) sb_putc(&p->out, '\n');
}

/* Comments before (line, col), each on a line of its own; those from inside the statement at start_line go before it. */
static void leading_comments(Printer *p, int line, int col, int start_line, int indent)
{
    for (const Comment *c; (c = pending(p)) && before(c->loc, line, col); p->next++) {
        int at = MIN(c->loc.line, start_line);
        blank_line(p, at);
        indent_to(p, indent);
        sb_printf(&p->out, "%s\n", c->text);
        p->last_line = at;
    }
}

/* Comments behind (line, col) on the same line, appended to the line being written. */
static void trailing_comment(Printer *p, int line, int col)
{
    const Comment *c = pending(p);
    if (!c || c->loc.line != line || c->loc.col < col || c->alone) return;
    sb_printf(&p->out, "  %s", c->text);
    p->next++;
}

static bool comment_within(const Printer *p, Loc l)
{
    for (int i = p->next; i < p->file->n_comments && before(p->file->comments[i].loc, l.end_line, l.end_col); i++)
        if (!before(p->file->comments[i].loc, l.line, l.col)) return true;
    return false;
}

/* ---- one statement or declaration without its body ---- */
static Doc *words(Printer *p, const char *word, const NodeList *l, Doc *(*item)(Arena *, const Node *))
{
    Arena *a = p->a;
    return CAT(doc_text(a, word), doc_text(a, " "), print_list(a, l, item));
}

static Doc *text(Printer *p, const char *s)
{
    return doc_text(p->a, s);
}

static Doc *arrow(Printer *p, Doc *x)
{
    Arena *a = p->a;
    return doc_nest(a, 4, doc_group(a, CAT(doc_line(a), text(p, "-> "), x)));
}

static Doc *head(Printer *p, const Node *n)
{
    Arena *a = p->a;
    const char *word = node_word(n->kind);
    switch (n->kind) {
    case D_IMPORT: case D_STREAM: return words(p, word, &n->items, print_expr);
    case D_CONFIG: case D_USE: case D_RUNTIME:
    case S_LET: case S_VAR: case S_CONST: case S_RUNTIME: case S_STATE: case S_USE: return words(p, word, &n->items, print_bind);
    case D_BLOCK:
        return CAT(text(p, "block "), text(p, n->name), print_params(a, &n->cparams),
                   doc_nest(a, 4, doc_group(a, CAT(doc_soft(a), print_params(a, &n->params)))), arrow(p, print_type(a, n->type)));
    case D_FN: return CAT(text(p, "fn "), text(p, n->name), print_params(a, &n->params), text(p, " ="),
                          doc_nest(a, 4, doc_group(a, CAT(doc_line(a), print_expr(a, n->value)))));
    case D_LOSS: return CAT(text(p, "loss "), text(p, n->name), print_params(a, &n->params), arrow(p, print_type(a, n->type)));
    case D_PROGRAM:
        return CAT(text(p, "program "), text(p, n->name), print_params(a, &n->params), n->flag ? text(p, " training") : NULL,
                   arrow(p, CAT(print_expr(a, n->result), text(p, " = "), print_expr(a, n->value))));
    case D_TRAIN: return CAT(text(p, "train"), print_params(a, &n->params));
    case D_SAMPLE: return CAT(text(p, "sample"), print_params(a, &n->params), arrow(p, print_expr(a, n->result)));
    case D_OPTIMIZER: case D_EMA:
        return CAT(text(p, word), text(p, " "), text(p, n->name), print_params(a, &n->params), text(p, " for "),
                   print_list(a, &n->items, print_expr));
    case TRAIN_DATA: return CAT(text(p, "data "), text(p, n->name));
    case TRAIN_EMA:
        return CAT(text(p, "ema "), n->as ? CAT(text(p, "as "), print_expr(a, n->as), text(p, " = ")) : NULL,
                   print_expr(a, n->value));
    case S_PARAM: return CAT(text(p, "param "), print_bind(a, n));
    case S_ASSIGN: return CAT(text(p, n->name), text(p, " = "), print_expr(a, n->value));
    case S_UPDATE: return CAT(text(p, n->name), text(p, " := "), print_expr(a, n->value));
    case S_REPORT: return CAT(text(p, "report "), print_bind(a, n));
    case S_IF: return CAT(text(p, "if "), print_expr(a, n->cond));
    case S_FOR: return CAT(words(p, word, &n->items, print_expr), text(p, " in "), print_expr(a, n->value));
    case S_SHARE: return CAT(text(p, "share "), text(p, n->name));
    case S_PRECISION: return CAT(text(p, "precision "), text(p, n->name));
    case S_EACH: return CAT(text(p, "each "), text(p, n->name), text(p, " in "), print_expr(a, n->value));
    default: return CAT(text(p, word), text(p, " "), print_expr(a, n->value));         /* return, minimize, gradient, optimizer */
    }
}

static bool is_binds(const Node *n)
{
    switch (n->kind) {
    case D_CONFIG: case D_USE: case D_RUNTIME:
    case S_LET: case S_VAR: case S_CONST: case S_RUNTIME: case S_STATE: case S_USE: return n->items.n > 1;
    default: return false;
    }
}

static bool has_items_body(const Node *n)
{
    return n->kind == D_TRAIN;
}

/* ---- bodies ---- */
static void statement(Printer *p, const Node *n, int indent);
static Doc *one_line(Printer *p, const Node *n);

/* { a; b } as a document without breaks inside it, or NULL when the text must have several lines. */
static Doc *one_line_body(Printer *p, const NodeList *items, Loc braces)
{
    Arena *a = p->a;
    if (braces.line != braces.end_line || comment_within(p, braces)) return NULL;
    Doc *d = NULL;
    for (int i = 0; i < items->n; i++) {
        Doc *x = one_line(p, items->v[i]);
        if (!x) return NULL;
        d = CAT(d, i ? text(p, "; ") : NULL, x);
    }
    return d ? CAT(text(p, "{ "), d, text(p, " }")) : text(p, "{ }");
}

static Loc braces_of(const Node *n)
{
    return has_items_body(n) ? loc_join(n->name_loc, (Loc){n->loc.file, 0, 0, n->loc.end_line, n->loc.end_col}) : n->body->loc;
}

static Doc *one_line(Printer *p, const Node *n)
{
    Arena *a = p->a;
    if (!n->body && !has_items_body(n)) return head(p, n);
    Doc *body = one_line_body(p, has_items_body(n) ? &n->items : &n->body->items, braces_of(n));
    if (!body) return NULL;
    Doc *d = CAT(head(p, n), text(p, " "), body);
    if (!n->other) return d;
    Doc *other = n->other->kind == S_IF ? one_line(p, n->other) : one_line_body(p, &n->other->items, n->other->loc);
    return other ? CAT(d, text(p, " else "), other) : NULL;
}

/* Writes d on the current line when it takes no break and has room; else leaves the output as it was. */
static bool put_flat(Printer *p, Doc *d, int indent)
{
    StrBuf line = {0};
    sb_puts(&line, "");
    doc_layout(&line, doc_group(p->a, d), 0, 1 << 24);
    bool ok = indent + text_columns(line.s) <= WIDTH;
    if (ok) sb_puts(&p->out, line.s);
    sb_free(&line);
    return ok;
}

static void items_of_body(Printer *p, const NodeList *items, Loc braces, int indent)
{
    sb_puts(&p->out, "{");
    trailing_comment(p, braces.line, braces.col + 1);
    sb_putc(&p->out, '\n');
    p->last_line = 0;
    for (int i = 0; i < items->n; i++) statement(p, items->v[i], indent + INDENT);
    leading_comments(p, braces.end_line, braces.end_col - 1, braces.end_line, indent + INDENT);
    indent_to(p, indent);
    sb_puts(&p->out, "}");
    p->last_line = braces.end_line;
}

/* Comments between a head and its `{` cannot stay: they become the first lines of the body. */
static void body(Printer *p, const NodeList *items, Loc braces, int indent)
{
    Doc *flat = one_line_body(p, items, braces);
    const Comment *c = pending(p);
    if (c && before(c->loc, braces.line, braces.col)) {
        sb_puts(&p->out, "{\n");
        p->last_line = 0;
        leading_comments(p, braces.line, braces.col, braces.line, indent + INDENT);
        for (int i = 0; i < items->n; i++) statement(p, items->v[i], indent + INDENT);
        leading_comments(p, braces.end_line, braces.end_col - 1, braces.end_line, indent + INDENT);
        indent_to(p, indent);
        sb_puts(&p->out, "}");
        return;
    }
    size_t line_start = p->out.len;
    while (line_start && p->out.s[line_start - 1] != '\n') line_start--;
    if (flat && put_flat(p, flat, text_columns(p->out.s + line_start))) return;
    items_of_body(p, items, braces, indent);
}

static void with_body(Printer *p, const Node *n, int indent)
{
    Arena *a = p->a;
    doc_layout(&p->out, CAT(head(p, n), text(p, " {")), indent, WIDTH);
    p->out.s[--p->out.len] = 0;                                         /* the `{` only reserved its place */
    size_t start = p->out.len;
    body(p, has_items_body(n) ? &n->items : &n->body->items, braces_of(n), indent);
    if (!n->other) return;
    if (n->other->loc.line > n->body->loc.end_line && !strchr(p->out.s + start, '\n')) {    /* else below a short body */
        sb_putc(&p->out, '\n');
        indent_to(p, indent);
    } else {
        sb_putc(&p->out, ' ');
    }
    sb_puts(&p->out, "else ");
    if (n->other->kind == S_IF) with_body(p, n->other, indent);
    else body(p, &n->other->items, n->other->loc, indent);
}

/* A list of bindings with comments among them: one binding a line. */
static void binds_with_comments(Printer *p, const Node *n, int indent)
{
    Arena *a = p->a;
    const char *word = node_word(n->kind);
    int column = indent + 4;
    sb_printf(&p->out, "%s ", word);
    for (int i = 0; i < n->items.n; i++) {
        const Node *x = n->items.v[i];
        bool more = i + 1 < n->items.n;
        if (i) leading_comments(p, x->loc.end_line, x->loc.end_col, x->loc.line, column);
        if (i) indent_to(p, column);
        doc_layout(&p->out, CAT(print_bind(a, x), more ? text(p, ",") : NULL), column, WIDTH);
        p->last_line = x->loc.end_line;
        if (!more) break;
        const Node *y = n->items.v[i + 1];
        if (y->loc.line > x->loc.end_line) trailing_comment(p, x->loc.end_line, x->loc.end_col);
        sb_putc(&p->out, '\n');
    }
}

static bool comments_between_items(Printer *p, const Node *n)
{
    if (!is_binds(n)) return false;
    Loc l = n->items.v[0]->loc;
    return comment_within(p, (Loc){l.file, l.end_line, l.end_col, n->loc.end_line, n->loc.end_col});
}

static void statement(Printer *p, const Node *n, int indent)
{
    bool split = comments_between_items(p, n), has_body = n->body || has_items_body(n);
    Loc until = split ? n->items.v[0]->loc : n->loc;                    /* comments up to here go before it */
    int line = has_body ? braces_of(n).line : until.end_line, col = has_body ? braces_of(n).col : until.end_col;
    leading_comments(p, line, col, n->loc.line, indent);
    blank_line(p, n->loc.line);
    indent_to(p, indent);
    Doc *flat = has_body && n->loc.line == n->loc.end_line ? one_line(p, n) : NULL;
    if (split) binds_with_comments(p, n, indent);
    else if (has_body && !(flat && put_flat(p, flat, indent))) with_body(p, n, indent);
    else if (!has_body) doc_layout(&p->out, head(p, n), indent, WIDTH);
    p->last_line = n->loc.end_line;
    trailing_comment(p, n->loc.end_line, n->loc.end_col);
    sb_putc(&p->out, '\n');
}

char *ast_print(const File *f)
{
    Printer p = {.file = f, .a = arena_new()};
    sb_puts(&p.out, "");
    for (int i = 0; i < f->decls.n; i++) statement(&p, f->decls.v[i], 0);
    leading_comments(&p, INT32_MAX, INT32_MAX, INT32_MAX, 0);
    arena_drop(p.a);
    return p.out.s;
}
