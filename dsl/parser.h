/* The state that lexer, grammar and driver share while one text is parsed; private to lexer.l, grammar.y, parse.c, recover.c.
   Assumes the text was checked (no NUL bytes, valid UTF-8, lines of bounded length) before the lexer sees it. */
#ifndef ECT_PARSER_H
#define ECT_PARSER_H
#include "dsl/parse.h"

enum { MAX_TREE_DEPTH = 1000 };         /* nodes from root to leaf: bounds every recursion over the tree */

typedef union {
    Sym sym;
    Node *node;
    NodeList list;
    bool flag;
} Value;

typedef struct {
    int code;
    Value value;
    Loc loc;
    bool first;                         /* first token of its line */
} Token;

typedef struct {
    int code;                           /* ( [ { */
    Loc loc;
    bool body;                          /* a `{` that opens statements, not an expression */
} Bracket;

typedef struct {
    Arena *arena;
    File *file;
    void *scanner;
    int start;                          /* START_FILE or START_EXPR, delivered first */
    bool inside_string;                 /* an expression in "{...}" */
    int line, col;                      /* of the next character */
    Comment *comments;
    int n_comments, cap_comments;
    Node *expr;                         /* result of START_EXPR */
    /* bracket matching and recovery: recover.c */
    Bracket open[MAX_NESTING];
    int n_open;
    Token prev, last;                   /* the two tokens delivered most recently */
    Bracket closed;                     /* what the last token closed; code 0: nothing */
    Token queue[MAX_NESTING + 4];
    int q_head, q_n;
    int raw_line;                       /* where the last raw token ended */
    int raw_code;
    Loc recovered_at;                   /* the token of the last syntax error */
    bool skipping, stop;
} Parser;

/* lexer.l: the next token of the text, without bracket matching or recovery */
int lex_token(Value *value, Loc *loc, Parser *p);
void lex_start(Parser *p, char *text, size_t len);      /* text[len] and text[len + 1] must be 0 */
void lex_end(Parser *p);

/* recover.c */
int next_token(Value *value, Loc *loc, Parser *p);      /* what the grammar calls */
void mark_body(Parser *p);                              /* the innermost `{` opens statements */
bool recover(Parser *p);                                /* after an error: skip to the next statement; false at the end */
void syntax_error(Parser *p, Loc at, const char *expected);

/* parse.c */
Node *parser_node(Parser *p, Node fields);              /* copies fields into the arena; bounds the depth of the tree */
Node *parser_string(Parser *p, Loc loc);                /* the string literal at loc, quotes included, cut into its pieces */
#endif
