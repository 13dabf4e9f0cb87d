/* The abstract syntax tree: one Node type, a table of kinds that says which fields each kind uses, constructors.
   Assumes all nodes of a parse live in one arena; names are interned symbols (compare with ==). */
#ifndef ECT_AST_H
#define ECT_AST_H
#include "dsl/loc.h"

/* NODE(kind, word in dumps, fields used). Fields not listed are zero.
   `name` always comes with `name_loc`. "opt." fields may be NULL. Nothing is checked beyond the grammar. */
#define AST_NODES(NODE) \
    /* ---- declarations ---- */ \
    NODE(D_IMPORT,    "import",    "items: PATH...") \
    NODE(D_CONFIG,    "config",    "items: BIND... (type opt.: T_NAME, T_TENSOR or T_CHOICE; value the default)") \
    NODE(D_STREAM,    "stream",    "items: E_NAME...") \
    NODE(D_BLOCK,     "block",     "name; cparams: PARAM... compile-time; params: PARAM... tensors; type; body") \
    NODE(D_FN,        "fn",        "name; params: PARAM...; value") \
    NODE(D_USE,       "use",       "items: USE...") \
    NODE(D_RUNTIME,   "runtime",   "items: BIND...") \
    NODE(D_LOSS,      "loss",      "name; params; type; body") \
    NODE(D_PROGRAM,   "program",   "name; params; flag: `training`; result: E_NAME; value") \
    NODE(D_TRAIN,     "train",     "params; items: TRAIN_*; name_loc: the `{`") \
    NODE(D_SAMPLE,    "sample",    "params; result: E_NAME; body") \
    NODE(D_OPTIMIZER, "optimizer", "name; params; items: E_NAME... after `for`; body") \
    NODE(D_EMA,       "ema",       "name; params; items: E_NAME... after `for`; body") \
    /* ---- parts of declarations and statements ---- */ \
    NODE(PATH,        "path",      "name: the dotted path, std.nn") \
    NODE(BIND,        "bind",      "name; type opt.; value") \
    NODE(PARAM,       "par",       "name; type opt.; value opt.: the default") \
    NODE(USE,         "instance",  "name; as opt.: E_STRING; was opt.: E_STRING; value") \
    NODE(TRAIN_DATA,      "data",      "name") \
    NODE(TRAIN_MINIMIZE,  "minimize",  "value") \
    NODE(TRAIN_GRADIENT,  "gradient",  "value") \
    NODE(TRAIN_OPTIMIZER, "optimizer", "value") \
    NODE(TRAIN_EMA,       "ema",       "as opt.: E_STRING; value") \
    /* ---- types ---- */ \
    NODE(T_NAME,      "type",      "name: int, real, bool, list, string, times ...") \
    NODE(T_TENSOR,    "tensor",    "items: AXIS...") \
    NODE(T_CHOICE,    "choice",    "items: E_STRING... the allowed values") \
    NODE(AXIS,        "axis",      "name: role; value opt.: size expression; or items: FACTOR... two or more, h:(a b:2)") \
    NODE(FACTOR,      "factor",    "name: role; value opt.: size expression") \
    /* ---- statements ---- */ \
    NODE(S_BODY,      "body",      "items: statements") \
    NODE(S_LET,       "let",       "items: BIND...") \
    NODE(S_VAR,       "var",       "items: BIND...") \
    NODE(S_CONST,     "const",     "items: BIND...") \
    NODE(S_RUNTIME,   "runtime",   "items: BIND...") \
    NODE(S_STATE,     "state",     "items: BIND...") \
    NODE(S_USE,       "use",       "items: USE...") \
    NODE(S_PARAM,     "param",     "name; type: T_TENSOR; value: initialiser; was opt.: E_STRING") \
    NODE(S_ASSIGN,    "assign",    "name; value             name = value") \
    NODE(S_UPDATE,    "update",    "name; value             name := value") \
    NODE(S_RETURN,    "return",    "value") \
    NODE(S_REPORT,    "report",    "name; value") \
    NODE(S_IF,        "if",        "cond; body; other opt.: S_BODY or S_IF") \
    NODE(S_FOR,       "for",       "items: E_NAME...; value: what is iterated; body") \
    NODE(S_SHARE,     "share",     "name: stream; body") \
    NODE(S_PRECISION, "precision", "name: f32, tf32, bf16 or f16; body") \
    NODE(S_EACH,      "each",      "name; value; body") \
    /* ---- expressions ---- */ \
    NODE(E_NAME,      "name",      "name") \
    NODE(E_INT,       "int",       "ival") \
    NODE(E_REAL,      "real",      "rval; text: as written") \
    NODE(E_BOOL,      "bool",      "ival: 0 or 1") \
    NODE(E_STRING,    "string",    "items: E_TEXT and expressions in turn; text: as written, without the quotes") \
    NODE(E_TEXT,      "text",      "text: escapes resolved; only inside E_STRING") \
    NODE(E_LIST,      "list",      "items: expressions") \
    NODE(E_FN,        "lambda",    "params: PARAM...; value") \
    NODE(E_IF,        "ifx",       "cond; value; other: expression; flag: follows `else` without braces") \
    NODE(E_ROWS,      "rows",      "cond; value; other") \
    NODE(E_PRECISION, "precisionx", "name; value") \
    NODE(E_UNARY,     "unary",     "op; value; name_loc: the operator") \
    NODE(E_BINARY,    "binary",    "op; value; other; name_loc: the operator") \
    NODE(E_CALL,      "call",      "value: what is applied; items: ARG and ARG_BY") \
    NODE(E_INDEX,     "index",     "value; items: IX_*    also sum[c,h], iota[c: 4], normal[n: k]") \
    NODE(E_FIELD,     "field",     "value; name           x.c") \
    NODE(E_AT,        "at",        "value; name           D@ema") \
    NODE(E_DRAW,      "draw",      "value: the distribution (name, call or index); like opt.; name: stream") \
    NODE(E_REARRANGE, "rearrange", "value; type: from; to: T_TENSOR") \
    NODE(ARG,         "arg",       "name opt.; value; section: 0 before the first `;`, then 1 ...") \
    NODE(ARG_BY,      "by",        "value: before `by`; name opt. (h by kh:3); other: the number; section") \
    NODE(IX_EXPR,     "ix",        "value                 xs[i], sum[c]") \
    NODE(IX_AS,       "ix_as",     "value: E_NAME of the old role as a rule; name: new role      x[c as i]") \
    NODE(IX_PICK,     "ix_pick",   "name: role; value     x[three = 0]") \
    NODE(IX_SLICE,    "ix_slice",  "name: role; value; other      x[c = 0:3]") \
    NODE(IX_COLON,    "ix_colon",  "value; other          iota[c: 4], normal[n: k], xs[1:3]")

typedef enum {
#define NODE(kind, word, fields) kind,
    AST_NODES(NODE)
#undef NODE
    AST_KINDS
} NodeKind;

/* OP(name, text, precedence): a higher number binds closer. */
#define AST_OPS(OP) \
    OP(OR,  "||", 1) OP(AND, "&&", 2) \
    OP(EQ,  "==", 3) OP(NE,  "!=", 3) OP(LT, "<", 3) OP(GT, ">", 3) OP(LE, "<=", 3) OP(GE, ">=", 3) OP(IN, "in", 3) \
    OP(RANGE, "..", 4) OP(ADD, "+", 5) OP(SUB, "-", 5) OP(MUL, "*", 6) OP(DIV, "/", 6) OP(FLOORDIV, "//", 6) \
    OP(NEG, "-", 7) OP(NOT, "!", 7) OP(POW, "^", 8)

typedef enum {
    OP_NONE,
#define OP(name, text, prec) OP_##name,
    AST_OPS(OP)
#undef OP
    OP_KINDS
} OpKind;

typedef struct Node Node;
typedef struct {
    Node **v;
    int n, cap;
} NodeList;

struct Node {
    NodeKind kind;
    OpKind op;
    bool flag;                  /* D_PROGRAM: `training` */
    bool parens;                /* the expression was written in parentheses; loc excludes them */
    int section;
    int depth;                  /* nodes down to the deepest leaf; the parser bounds it */
    Loc loc, name_loc;
    Sym name;
    const char *text;
    int64_t ival;
    double rval;
    Node *cond, *value, *other, *like, *type, *to, *as, *was, *result, *body;
    NodeList cparams, params, items;
};

/* A comment, text from `#` on without trailing blanks. `alone`: only blanks stand before it on its line. */
typedef struct {
    Loc loc;
    const char *text;
    bool alone;
} Comment;

typedef struct {
    const char *path;           /* as displayed: models/unet_ect.dsl, std/nn.dsl */
    Sym module;                 /* std.nn for an import; NULL for the main file */
    int file;                   /* source id */
    NodeList decls;             /* D_* in the order of the text */
    Comment *comments;          /* in the order of the text */
    int n_comments;
    NodeList imports;           /* PATH nodes of all import declarations, in order */
} File;

/* ---- ast.c ---- */
const char *node_word(NodeKind kind);           /* the word of the table */
const char *op_text(OpKind op);
int op_prec(OpKind op);
Node *node_new(Arena *a, NodeKind kind, Loc loc);
void list_push(Arena *a, NodeList *l, Node *n);
/* Text of a string without interpolation; NULL when n is NULL, no string, or holds an expression. */
const char *node_plain_string(const Node *n);
/* Equal trees: kinds, names, numbers, texts and structure; places are not compared. */
bool node_equal(const Node *a, const Node *b);
bool file_equal(const File *a, const File *b);
/* Dump letter P: one node a line, indented, `(kind name ...)`; with places when `places`. Heap string. */
char *ast_dump(const File *f, bool places);

/* ---- print.c ----
   Canonical text of a file (`ectc fmt`): heap string. Comments and single blank lines are kept. */
char *ast_print(const File *f);
/* One expression or type on one line, for messages: heap string. */
char *node_print(const Node *n);
#endif
