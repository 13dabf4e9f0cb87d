/* Expressions, types, parameters and bindings as layout documents.
   Assumes a tree from the parser: parentheses are kept as written, so none need be added. */
#include "dsl/print.h"

static Doc *expr(Arena *a, const Node *n);
static Doc *tight(Arena *a, const Node *n);

static Doc *txt(Arena *a, const char *s)
{
    return *s ? doc_text(a, s) : NULL;
}

#define CAT(...) doc_cats(a, (Doc *[]){__VA_ARGS__}, COUNT(((Doc *[]){__VA_ARGS__})))

Doc *doc_cats(Arena *a, Doc **v, size_t n)
{
    Doc *d = NULL;
    for (size_t i = 0; i < n; i++) d = doc_cat(a, d, v[i]);
    return d;
}

/* `open` items `close`, broken only where the line is full. sep is "," or, before a new section, ";". */
static Doc *fill(Arena *a, const char *open, const NodeList *l, Doc *(*item)(Arena *, const Node *), const char *close)
{
    Doc *d = NULL;
    for (int i = 0; i < l->n; i++) {
        bool section = i && l->v[i]->section != l->v[i - 1]->section;
        Doc *x = item(a, l->v[i]);
        if (i) d = CAT(d, txt(a, section ? ";" : ","), doc_group(a, CAT(doc_line(a), x)));
        else d = *open ? doc_group(a, CAT(doc_soft(a), x)) : x;
    }
    return CAT(txt(a, open), doc_nest(a, 4, d), txt(a, close));
}

/* ---- types ---- */
static Doc *factor(Arena *a, const Node *n)
{
    return n->value ? CAT(txt(a, n->name), txt(a, ":"), tight(a, n->value)) : txt(a, n->name);
}

static Doc *axis(Arena *a, const Node *n)
{
    if (!n->items.n) return factor(a, n);
    Doc *d = NULL;
    for (int i = 0; i < n->items.n; i++) d = CAT(d, txt(a, i ? " " : ""), factor(a, n->items.v[i]));
    return CAT(txt(a, n->name), txt(a, ":("), d, txt(a, ")"));
}

static Doc *type(Arena *a, const Node *n)
{
    if (n->kind == T_NAME) return txt(a, n->name);
    if (n->kind == T_TENSOR) return fill(a, "[", &n->items, axis, "]");
    Doc *d = NULL;
    for (int i = 0; i < n->items.n; i++) d = CAT(d, txt(a, i ? " | " : ""), expr(a, n->items.v[i]));
    return d;
}

/* ---- name: type = value ---- */
Doc *print_bind(Arena *a, const Node *n)
{
    Doc *as = n->as ? CAT(txt(a, " as "), expr(a, n->as)) : NULL, *was = n->was ? CAT(txt(a, " was "), expr(a, n->was)) : NULL;
    Doc *ty = n->type ? CAT(txt(a, ": "), type(a, n->type)) : NULL;
    if (n->kind == S_PARAM) return CAT(txt(a, n->name), ty, txt(a, " = "), expr(a, n->value), was);
    return CAT(txt(a, n->name), as, was, ty, n->value ? CAT(txt(a, " = "), expr(a, n->value)) : NULL);
}

static Doc *params(Arena *a, const NodeList *l)
{
    return fill(a, "(", l, print_bind, ")");
}

Doc *print_list(Arena *a, const NodeList *l, Doc *(*item)(Arena *, const Node *))
{
    return fill(a, "", l, item, "");
}

/* ---- parts of calls and indexing ---- */
static Doc *arg(Arena *a, const Node *n)
{
    if (n->kind == ARG) return n->name ? CAT(txt(a, n->name), txt(a, " = "), expr(a, n->value)) : expr(a, n->value);
    Doc *name = n->name ? CAT(txt(a, n->name), txt(a, ":")) : NULL;
    return CAT(expr(a, n->value), txt(a, " by "), name, n->name ? tight(a, n->other) : expr(a, n->other));
}

static Doc *index_item(Arena *a, const Node *n)
{
    switch (n->kind) {
    case IX_AS: return CAT(expr(a, n->value), txt(a, " as "), txt(a, n->name));
    case IX_PICK: return CAT(txt(a, n->name), txt(a, " = "), expr(a, n->value));
    case IX_SLICE: return CAT(txt(a, n->name), txt(a, " = "), tight(a, n->value), txt(a, ":"), tight(a, n->other));
    case IX_COLON: return CAT(tight(a, n->value), txt(a, n->value->kind == E_NAME ? ": " : ":"), tight(a, n->other));
    default: return expr(a, n->value);
    }
}

/* Axis names of a reduction stand close: sum[c,h,w]. */
static Doc *index_items(Arena *a, const NodeList *l)
{
    bool names = true;
    for (int i = 0; i < l->n; i++) names &= l->v[i]->kind == IX_EXPR && l->v[i]->value->kind == E_NAME;
    if (!names) return fill(a, "[", l, index_item, "]");
    Doc *d = NULL;
    for (int i = 0; i < l->n; i++) d = CAT(d, txt(a, i ? "," : ""), index_item(a, l->v[i]));
    return CAT(txt(a, "["), d, txt(a, "]"));
}

/* ---- expressions ---- */
static Doc *choice(Arena *a, const Node *n, const char *word)
{
    bool chain = n->other->kind == E_IF && n->other->flag && !n->other->parens;
    Doc *then = doc_nest(a, 2, CAT(doc_line(a), expr(a, n->value)));
    Doc *other = chain ? CAT(txt(a, " "), choice(a, n->other, "if "))
                       : CAT(txt(a, " {"), doc_nest(a, 2, CAT(doc_line(a), expr(a, n->other))), doc_line(a), txt(a, "}"));
    return CAT(txt(a, word), expr(a, n->cond), txt(a, " {"), then, doc_line(a), txt(a, "} else"), other);
}

static Doc *binary(Arena *a, const Node *n, bool close)
{
    close |= n->op == OP_POW || n->op == OP_RANGE;
    const char *op = op_text(n->op);
    if (n->op == OP_IN) close = false;
    Doc *l = close ? tight(a, n->value) : expr(a, n->value), *r = close ? tight(a, n->other) : expr(a, n->other);
    if (close) return CAT(l, txt(a, op), r);
    return CAT(l, doc_nest(a, 4, doc_group(a, CAT(doc_line(a), txt(a, op), txt(a, " "), r))));
}

static Doc *plain(Arena *a, const Node *n, bool close)
{
    switch (n->kind) {
    case E_NAME: return txt(a, n->name);
    case E_INT: return txt(a, arena_printf(a, "%lld", (long long)n->ival));
    case E_REAL: return txt(a, n->text);
    case E_BOOL: return txt(a, n->ival ? "true" : "false");
    case E_STRING: return CAT(txt(a, "\""), txt(a, n->text), txt(a, "\""));
    case E_TEXT: return txt(a, n->text);
    case E_LIST: return fill(a, "[", &n->items, expr, "]");
    case E_FN:
        return CAT(txt(a, "fn"), params(a, &n->params), txt(a, " ="),
                   doc_group(a, doc_nest(a, 4, CAT(doc_line(a), expr(a, n->value)))));
    case E_IF: return doc_group(a, choice(a, n, "if "));
    case E_ROWS: return doc_group(a, choice(a, n, "rows "));
    case E_PRECISION:
        return doc_group(a, CAT(txt(a, "precision "), txt(a, n->name), txt(a, " {"), doc_nest(a, 2, CAT(doc_line(a), expr(a, n->value))),
                                doc_line(a), txt(a, "}")));
    case E_UNARY: return CAT(txt(a, op_text(n->op)), close ? tight(a, n->value) : expr(a, n->value));
    case E_BINARY: return binary(a, n, close);
    case E_CALL: return CAT(expr(a, n->value), fill(a, "(", &n->items, arg, ")"));
    case E_INDEX: return CAT(expr(a, n->value), index_items(a, &n->items));
    case E_FIELD: return CAT(expr(a, n->value), txt(a, "."), txt(a, n->name));
    case E_AT: return CAT(expr(a, n->value), txt(a, "@"), txt(a, n->name));
    case E_DRAW:
        return CAT(expr(a, n->value), n->like ? CAT(txt(a, " like "), expr(a, n->like)) : NULL, txt(a, " from "),
                   txt(a, n->name));
    case E_REARRANGE: {
        Doc *value = doc_group(a, CAT(doc_soft(a), expr(a, n->value)));
        Doc *to = doc_group(a, CAT(doc_line(a), txt(a, "-> "), type(a, n->to)));
        return CAT(txt(a, "rearrange("), doc_nest(a, 4, CAT(value, txt(a, ": "), type(a, n->type), to)), txt(a, ")"));
    }
    case ARG: case ARG_BY: return arg(a, n);
    case IX_EXPR: case IX_AS: case IX_PICK: case IX_SLICE: case IX_COLON: return index_item(a, n);
    case T_NAME: case T_TENSOR: case T_CHOICE: return type(a, n);
    case AXIS: return axis(a, n);
    case FACTOR: return factor(a, n);
    default: return n->name ? print_bind(a, n) : txt(a, node_word(n->kind));
    }
}

static Doc *with_parens(Arena *a, const Node *n, bool close)
{
    return n->parens ? CAT(txt(a, "("), plain(a, n, false), txt(a, ")")) : plain(a, n, close);
}

static Doc *expr(Arena *a, const Node *n)
{
    return with_parens(a, n, false);
}

/* Without blanks around operators: sizes, ranges, exponents. */
static Doc *tight(Arena *a, const Node *n)
{
    return with_parens(a, n, true);
}

Doc *print_expr(Arena *a, const Node *n) { return expr(a, n); }
Doc *print_type(Arena *a, const Node *n) { return type(a, n); }
Doc *print_params(Arena *a, const NodeList *l) { return params(a, l); }

char *node_print(const Node *n)
{
    Arena *a = arena_new();
    StrBuf b = {0};
    sb_puts(&b, "");
    if (n) doc_layout(&b, doc_group(a, expr(a, n)), 0, 1 << 24);
    arena_drop(a);
    return b.s;
}
