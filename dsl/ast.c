/* Names of node kinds and operators, list building, comparison and dump of trees.
   Assumes the parser bounded the depth of the tree: every function here recurses. */
#include "dsl/ast.h"

static const char *const words[] = {
#define NODE(kind, word, fields) word,
    AST_NODES(NODE)
#undef NODE
};

static const struct {
    const char *text;
    int prec;
} ops[] = {
    {"", 0},
#define OP(name, text, prec) {text, prec},
    AST_OPS(OP)
#undef OP
};

const char *node_word(NodeKind kind)
{
    return words[kind];
}

const char *op_text(OpKind op)
{
    return ops[op].text;
}

int op_prec(OpKind op)
{
    return ops[op].prec;
}

Node *node_new(Arena *a, NodeKind kind, Loc loc)
{
    Node *n = arena_alloc(a, sizeof *n);
    n->kind = kind;
    n->loc = loc;
    n->depth = 1;
    return n;
}

void list_push(Arena *a, NodeList *l, Node *n)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 4;
        Node **v = arena_make(a, Node *, cap);
        if (l->n) memcpy(v, l->v, sizeof *v * (size_t)l->n);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = n;
}

const char *node_plain_string(const Node *n)
{
    if (!n || n->kind != E_STRING || n->items.n > 1) return NULL;
    if (!n->items.n) return "";
    return n->items.v[0]->kind == E_TEXT ? n->items.v[0]->text : NULL;
}

/* ---- the fields of a node, for generic walks ---- */
#define CHILDREN(F) F(cond) F(value) F(other) F(like) F(type) F(to) F(as) F(was) F(result) F(body)
#define LISTS(F) F(cparams) F(params) F(items)

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool list_equal(const NodeList *a, const NodeList *b)
{
    if (a->n != b->n) return false;
    for (int i = 0; i < a->n; i++)
        if (!node_equal(a->v[i], b->v[i])) return false;
    return true;
}

bool node_equal(const Node *a, const Node *b)
{
    if (!a || !b) return a == b;
    if (a->kind != b->kind || a->op != b->op || a->flag != b->flag || a->parens != b->parens || a->section != b->section
        || a->name != b->name || a->ival != b->ival || !text_equal(a->text, b->text)) return false;
    if (memcmp(&a->rval, &b->rval, sizeof a->rval)) return false;
#define F(field) if (!node_equal(a->field, b->field)) return false;
    CHILDREN(F)
#undef F
#define F(field) if (!list_equal(&a->field, &b->field)) return false;
    LISTS(F)
#undef F
    return true;
}

bool file_equal(const File *a, const File *b)
{
    return list_equal(&a->decls, &b->decls);
}

/* ---- dump P ---- */
static void dump(StrBuf *b, const Node *n, const char *role, int indent, bool places);

static void dump_list(StrBuf *b, const NodeList *l, const char *role, int indent, bool places)
{
    for (int i = 0; i < l->n; i++) dump(b, l->v[i], role, indent, places);
}

static void dump(StrBuf *b, const Node *n, const char *role, int indent, bool places)
{
    if (!n) return;
    sb_printf(b, "\n%*s(", 2 * indent, "");
    if (*role) sb_printf(b, "%s=", role);
    sb_puts(b, node_word(n->kind));
    if (n->op) sb_printf(b, " %s", op_text(n->op));
    if (n->name) sb_printf(b, " %s", n->name);
    if (n->kind == E_INT || n->kind == E_BOOL) sb_printf(b, " %lld", (long long)n->ival);
    if (n->kind == E_REAL) sb_printf(b, " %.17g", n->rval);
    if (n->kind == E_TEXT || n->kind == E_STRING) {
        sb_putc(b, ' ');
        sb_json_string(b, n->text);
    }
    if (n->flag) sb_puts(b, " flag");
    if (n->parens) sb_puts(b, " parens");
    if (n->section) sb_printf(b, " section=%d", n->section);
    if (places) sb_printf(b, " @%d:%d-%d:%d", n->loc.line, n->loc.col, n->loc.end_line, n->loc.end_col);
#define F(field) dump_list(b, &n->field, !strcmp(#field, "items") ? "" : #field, indent + 1, places);
    LISTS(F)
#undef F
#define F(field) dump(b, n->field, #field, indent + 1, places);
    CHILDREN(F)
#undef F
    sb_putc(b, ')');
}

char *ast_dump(const File *f, bool places)
{
    StrBuf b = {0};
    sb_puts(&b, "(file");
    for (int i = 0; i < f->decls.n; i++) dump(&b, f->decls.v[i], "", 1, places);
    sb_puts(&b, ")\n");
    return b.s;
}
