/* The syntax; every action is one call that builds a node.
   Assumes tokens come from recover.c, which matches brackets and skips to the next statement after an error. */
%require "3.8"
%expect 0
%define api.pure full
%define api.prefix {ect_yy}
%define api.value.type {Value}
%define api.location.type {Loc}
%define api.token.prefix {TOK_}
%define parse.error custom
%define parse.lac full
%locations
%param {Parser *p}

%code requires {
#include "dsl/parser.h"
#define ECT_YYLTYPE_IS_TRIVIAL 1
#define ECT_YYSTYPE_IS_TRIVIAL 1
}
%code {
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"      /* the skeleton's default location has four fields */
#define YYLLOC_DEFAULT(cur, rhs, n) ((cur) = (n) ? loc_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : after(YYRHSLOC(rhs, 0)))
#define ect_yylex next_token
#define MK(at, KIND, ...) parser_node(p, (Node){.kind = KIND, .loc = (at), __VA_ARGS__})
#define NAMED(n) .name = (n)->name, .name_loc = (n)->loc
#define BINARY(at, OP, l, at_op, r) MK(at, E_BINARY, .op = OP, .value = (l), .other = (r), .name_loc = (at_op))

static Loc after(Loc l) { return (Loc){l.file, l.end_line, l.end_col, l.end_line, l.end_col}; }

static NodeList one(Parser *p, Node *n)
{
    NodeList l = {0};
    list_push(p->arena, &l, n);
    return l;
}

static NodeList more(Parser *p, NodeList l, Node *n)
{
    list_push(p->arena, &l, n);
    return l;
}

static Node *named(Node *n, Node *name)
{
    n->name = name->name;
    n->name_loc = name->loc;
    return n;
}

static Node *in_parens(Node *n)
{
    n->parens = true;
    return n;
}

static NodeList in_section(Parser *p, NodeList l, Node *n, bool next)
{
    n->section = l.n ? l.v[l.n - 1]->section + next : 0;
    return more(p, l, n);
}

static Node *dotted(Parser *p, Loc at, Node *a, Node *b)
{
    char *s = arena_printf(p->arena, "%s.%s", a->name, b->name);
    return MK(at, PATH, .name = sym(s), .name_loc = at);
}

static void ect_yyerror(Loc *at, Parser *p, const char *message)
{
    (void)message;                      /* only "memory exhausted" comes here */
    p->stop = true;
    diag_error(*at, ERR_too_deep, "the text is nested too deeply");
}
}

%token <sym> NAME "name"
%token <node> INT "integer" REAL "real" STRING "string"
%token <sym> IF "if" ELSE "else" ROWS "rows" FOR "for" IN "in" LET "let" VAR "var" CONST "const" USE "use" PARAM "param"
    RETURN "return" FN "fn" LIKE "like" FROM "from" AS "as" WAS "was" BY "by" REARRANGE "rearrange" SHARE "share" PRECISION "precision" EACH "each"
    STATE "state" RUNTIME "runtime" TRUE "true" FALSE "false"
%token <sym> IMPORT "import" CONFIG "config" STREAM "stream" BLOCK "block" LOSS "loss" PROGRAM "program" TRAINING "training"
    TRAIN "train" SAMPLE "sample" OPTIMIZER "optimizer" EMA "ema" DATA "data" MINIMIZE "minimize" GRADIENT "gradient"
    REPORT "report"
%token ARROW "->" UPDATE ":=" FLOORDIV "//" EQ "==" NE "!=" LE "<=" GE ">=" AND "&&" OR "||" DOTDOT ".."
%token START_FILE "file" START_EXPR "expression"
%token YYEOF 0 "end of file"

%type <sym> word
%type <node> name path decl cfg ty tensor alts param axis factor body stmt elif bind us opt_as opt_was titem
%type <node> expr else_expr or and cmp range add mul unary pow draw postfix prim arg item
%type <list> paths names cfgs params params1 cparams axes axes1 factors stmts binds uses titems exprs exprs1
%type <list> args args1 items items1
%type <flag> training

%start start
%%
start: START_FILE file
     | START_EXPR expr                          { p->expr = $expr; }
     ;
file: %empty
    | file decl                                 { list_push(p->arena, &p->file->decls, $decl); }
    | file error                                { if (!recover(p)) YYABORT; yyclearin; yyerrok; }
    ;

/* ---- declarations ---- */
decl: IMPORT paths                              { $$ = MK(@$, D_IMPORT, .items = $2); }
    | CONFIG cfgs                               { $$ = MK(@$, D_CONFIG, .items = $2); }
    | STREAM names                              { $$ = MK(@$, D_STREAM, .items = $2); }
    | BLOCK name cparams cparams ARROW tensor body
        { $$ = MK(@$, D_BLOCK, NAMED($2), .cparams = $3, .params = $4, .type = $6, .body = $7); }
    | FN name cparams '=' expr                  { $$ = MK(@$, D_FN, NAMED($2), .params = $3, .value = $5); }
    | USE uses                                  { $$ = MK(@$, D_USE, .items = $2); }
    | RUNTIME binds                             { $$ = MK(@$, D_RUNTIME, .items = $2); }
    | LOSS name cparams ARROW tensor body       { $$ = MK(@$, D_LOSS, NAMED($2), .params = $3, .type = $5, .body = $6); }
    | PROGRAM name cparams training ARROW name[result] '=' expr
        { $$ = MK(@$, D_PROGRAM, NAMED($2), .params = $3, .flag = $4, .result = $result, .value = $expr); }
    | TRAIN cparams '{' titems '}'              { $$ = MK(@$, D_TRAIN, .params = $2, .items = $4, .name_loc = @3); }
    | SAMPLE cparams ARROW name body            { $$ = MK(@$, D_SAMPLE, .params = $2, .result = $4, .body = $5); }
    | OPTIMIZER name cparams FOR names body
        { $$ = MK(@$, D_OPTIMIZER, NAMED($2), .params = $3, .items = $5, .body = $6); }
    | EMA name cparams FOR names body           { $$ = MK(@$, D_EMA, NAMED($2), .params = $3, .items = $5, .body = $6); }
    ;
paths: path                                     { $$ = one(p, $1); }
     | paths ',' path                           { $$ = more(p, $1, $3); }
     ;
path: name                                      { $$ = MK(@$, PATH, NAMED($1)); }
    | path '.' name                             { $$ = dotted(p, @$, $1, $3); }
    ;
names: name                                     { $$ = one(p, $1); }
     | names ',' name                           { $$ = more(p, $1, $3); }
     ;
name: word                                      { $$ = MK(@$, E_NAME, .name = $1, .name_loc = @1); } ;
word: NAME | IMPORT | CONFIG | STREAM | BLOCK | LOSS | PROGRAM | TRAINING | TRAIN | SAMPLE | OPTIMIZER | EMA | DATA | MINIMIZE
    | GRADIENT | REPORT ;
cfgs: cfg                                       { $$ = one(p, $1); }
    | cfgs ',' cfg                              { $$ = more(p, $1, $3); }
    ;
cfg: bind ;
training: %empty                                { $$ = false; }
    | TRAINING                                  { $$ = true; }
    ;
titems: %empty                                  { $$ = (NodeList){0}; mark_body(p); }
      | titems titem                            { $$ = more(p, $1, $2); }
      | titems ';'                              { $$ = $1; }
      | titems error                            { $$ = $1; if (!recover(p)) YYABORT; yyclearin; yyerrok; }
      ;
titem: DATA name                                { $$ = MK(@$, TRAIN_DATA, NAMED($2)); }
     | MINIMIZE expr                            { $$ = MK(@$, TRAIN_MINIMIZE, .value = $2); }
     | GRADIENT expr                            { $$ = MK(@$, TRAIN_GRADIENT, .value = $2); }
     | OPTIMIZER expr                           { $$ = MK(@$, TRAIN_OPTIMIZER, .value = $2); }
     | EMA expr                                 { $$ = MK(@$, TRAIN_EMA, .value = $2); }
     | EMA AS STRING '=' expr                   { $$ = MK(@$, TRAIN_EMA, .as = $3, .value = $5); }
     ;

/* ---- parameters and types ---- */
cparams: '(' params ')'                         { $$ = $2; } ;
params: %empty                                  { $$ = (NodeList){0}; }
      | params1
      | params1 ','
      ;
params1: param                                  { $$ = one(p, $1); }
       | params1 ',' param                      { $$ = more(p, $1, $3); }
       ;
param: name                                     { $$ = MK(@$, PARAM, NAMED($1)); }
     | name ':' ty                              { $$ = MK(@$, PARAM, NAMED($1), .type = $3); }
     | name '=' expr                            { $$ = MK(@$, PARAM, NAMED($1), .value = $3); }
     | name ':' ty '=' expr                     { $$ = MK(@$, PARAM, NAMED($1), .type = $3, .value = $5); }
     ;
ty: name                                        { $$ = MK(@$, T_NAME, NAMED($1)); }
  | tensor
  | alts
  ;
alts: STRING                                    { $$ = MK(@$, T_CHOICE, .items = one(p, $1)); }
    | alts '|' STRING                           { $$ = MK(@$, T_CHOICE, .items = more(p, $1->items, $3)); }
    ;
tensor: '[' axes ']'                            { $$ = MK(@$, T_TENSOR, .items = $2); } ;
axes: %empty                                    { $$ = (NodeList){0}; }
    | axes1
    | axes1 ','
    ;
axes1: axis                                     { $$ = one(p, $1); }
     | axes1 ',' axis                           { $$ = more(p, $1, $3); }
     ;
axis: name                                      { $$ = MK(@$, AXIS, NAMED($1)); }
    | name ':' expr                             { $$ = MK(@$, AXIS, NAMED($1), .value = $3); }
    | name ':' '(' factors ')'                  { $$ = MK(@$, AXIS, NAMED($1), .items = $4); }
    ;
factors: factor[a] factor[b]                    { $$ = more(p, one(p, $a), $b); }
       | factors factor                         { $$ = more(p, $1, $2); }
       ;
factor: name                                    { $$ = MK(@$, FACTOR, NAMED($1)); }
      | name ':' postfix                        { $$ = MK(@$, FACTOR, NAMED($1), .value = $3); }
      ;

/* ---- statements ---- */
body: '{' stmts '}'                             { $$ = MK(@$, S_BODY, .items = $2); } ;
stmts: %empty                                   { $$ = (NodeList){0}; mark_body(p); }
     | stmts stmt                               { $$ = more(p, $1, $2); }
     | stmts ';'                                { $$ = $1; }
     | stmts error                              { $$ = $1; if (!recover(p)) YYABORT; yyclearin; yyerrok; }
     ;
stmt: LET binds                                 { $$ = MK(@$, S_LET, .items = $2); }
    | VAR binds                                 { $$ = MK(@$, S_VAR, .items = $2); }
    | CONST binds                               { $$ = MK(@$, S_CONST, .items = $2); }
    | RUNTIME binds                             { $$ = MK(@$, S_RUNTIME, .items = $2); }
    | STATE binds                               { $$ = MK(@$, S_STATE, .items = $2); }
    | USE uses                                  { $$ = MK(@$, S_USE, .items = $2); }
    | PARAM name ':' tensor '=' expr opt_was   { $$ = MK(@$, S_PARAM, NAMED($2), .type = $4, .value = $6, .was = $7); }
    | name '=' expr                             { $$ = MK(@$, S_ASSIGN, NAMED($1), .value = $3); }
    | name UPDATE expr                          { $$ = MK(@$, S_UPDATE, NAMED($1), .value = $3); }
    | RETURN expr                               { $$ = MK(@$, S_RETURN, .value = $2); }
    | REPORT name '=' expr                      { $$ = MK(@$, S_REPORT, NAMED($2), .value = $4); }
    | IF expr body                              { $$ = MK(@$, S_IF, .cond = $2, .body = $3); }
    | IF expr body ELSE elif                    { $$ = MK(@$, S_IF, .cond = $2, .body = $3, .other = $5); }
    | FOR names IN expr body                    { $$ = MK(@$, S_FOR, .items = $2, .value = $4, .body = $5); }
    | SHARE name body                           { $$ = MK(@$, S_SHARE, NAMED($2), .body = $3); }
    | PRECISION name body                       { $$ = MK(@$, S_PRECISION, NAMED($2), .body = $3); }
    | EACH name IN expr body                    { $$ = MK(@$, S_EACH, NAMED($2), .value = $4, .body = $5); }
    ;
elif: body
    | IF expr body                              { $$ = MK(@$, S_IF, .cond = $2, .body = $3); }
    | IF expr body ELSE elif                    { $$ = MK(@$, S_IF, .cond = $2, .body = $3, .other = $5); }
    ;
opt_as: %empty                                  { $$ = NULL; }
      | AS STRING                               { $$ = $2; }
      ;
opt_was: %empty                                 { $$ = NULL; }
       | WAS STRING                             { $$ = $2; }
       ;
binds: bind                                     { $$ = one(p, $1); }
     | binds ',' bind                           { $$ = more(p, $1, $3); }
     ;
bind: name '=' expr                             { $$ = MK(@$, BIND, NAMED($1), .value = $3); }
    | name ':' ty '=' expr                      { $$ = MK(@$, BIND, NAMED($1), .type = $3, .value = $5); }
    ;
uses: us                                        { $$ = one(p, $1); }
    | uses ',' us                               { $$ = more(p, $1, $3); }
    ;
us: name opt_as opt_was '=' expr                { $$ = MK(@$, USE, NAMED($1), .as = $2, .was = $3, .value = $5); } ;

/* ---- expressions, loosest first ---- */
expr: or
    | FN cparams '=' expr                       { $$ = MK(@$, E_FN, .params = $2, .value = $4); }
    | IF expr[c] '{' expr[a] '}' ELSE else_expr[b]
                                                { $$ = MK(@$, E_IF, .cond = $c, .value = $a, .other = $b); }
    | ROWS expr[c] '{' expr[a] '}' ELSE '{' expr[b] '}'
                                                { $$ = MK(@$, E_ROWS, .cond = $c, .value = $a, .other = $b); }
    ;
else_expr: '{' expr '}'                         { $$ = $2; }
    | IF expr[c] '{' expr[a] '}' ELSE else_expr[b]
                                                { $$ = MK(@$, E_IF, .cond = $c, .value = $a, .other = $b, .flag = true); }
    ;
or: and
  | or OR and                                   { $$ = BINARY(@$, OP_OR, $1, @2, $3); }
  ;
and: cmp
   | and AND cmp                                { $$ = BINARY(@$, OP_AND, $1, @2, $3); }
   ;
cmp: range
   | range EQ range                             { $$ = BINARY(@$, OP_EQ, $1, @2, $3); }
   | range NE range                             { $$ = BINARY(@$, OP_NE, $1, @2, $3); }
   | range '<' range                            { $$ = BINARY(@$, OP_LT, $1, @2, $3); }
   | range '>' range                            { $$ = BINARY(@$, OP_GT, $1, @2, $3); }
   | range LE range                             { $$ = BINARY(@$, OP_LE, $1, @2, $3); }
   | range GE range                             { $$ = BINARY(@$, OP_GE, $1, @2, $3); }
   | range IN range                             { $$ = BINARY(@$, OP_IN, $1, @2, $3); }
   ;
range: add
     | add DOTDOT add                           { $$ = BINARY(@$, OP_RANGE, $1, @2, $3); }
     ;
add: mul
   | add '+' mul                                { $$ = BINARY(@$, OP_ADD, $1, @2, $3); }
   | add '-' mul                                { $$ = BINARY(@$, OP_SUB, $1, @2, $3); }
   ;
mul: unary
   | mul '*' unary                              { $$ = BINARY(@$, OP_MUL, $1, @2, $3); }
   | mul '/' unary                              { $$ = BINARY(@$, OP_DIV, $1, @2, $3); }
   | mul FLOORDIV unary                         { $$ = BINARY(@$, OP_FLOORDIV, $1, @2, $3); }
   ;
unary: pow
     | '-' unary                                { $$ = MK(@$, E_UNARY, .op = OP_NEG, .value = $2, .name_loc = @1); }
     | '!' unary                                { $$ = MK(@$, E_UNARY, .op = OP_NOT, .value = $2, .name_loc = @1); }
     ;
pow: draw
   | draw '^' unary                             { $$ = BINARY(@$, OP_POW, $1, @2, $3); }
   ;
draw: postfix
    | postfix FROM name                         { $$ = MK(@$, E_DRAW, .value = $1, NAMED($3)); }
    | postfix LIKE postfix FROM name            { $$ = MK(@$, E_DRAW, .value = $1, .like = $3, NAMED($5)); }
    ;
postfix: prim
       | postfix '@' name                       { $$ = MK(@$, E_AT, .value = $1, NAMED($3)); }
       | postfix '.' name                       { $$ = MK(@$, E_FIELD, .value = $1, NAMED($3)); }
       | postfix '(' args ')'                   { $$ = MK(@$, E_CALL, .value = $1, .items = $3); }
       | postfix '[' items ']'                  { $$ = MK(@$, E_INDEX, .value = $1, .items = $3); }
       ;
prim: name
    | INT
    | REAL
    | STRING
    | TRUE                                      { $$ = MK(@$, E_BOOL, .ival = 1); }
    | FALSE                                     { $$ = MK(@$, E_BOOL, .ival = 0); }
    | '(' expr ')'                              { $$ = in_parens($2); }
    | '[' exprs ']'                             { $$ = MK(@$, E_LIST, .items = $2); }
    | REARRANGE '(' expr ':' tensor ARROW tensor[to] ')'
                                                { $$ = MK(@$, E_REARRANGE, .value = $3, .type = $5, .to = $to); }
    | PRECISION name '{' expr[a] '}'            { $$ = MK(@$, E_PRECISION, NAMED($2), .value = $a); }
    ;
exprs: %empty                                   { $$ = (NodeList){0}; }
     | exprs1
     | exprs1 ','
     ;
exprs1: expr                                    { $$ = one(p, $1); }
      | exprs1 ',' expr                         { $$ = more(p, $1, $3); }
      ;
args: %empty                                    { $$ = (NodeList){0}; }
    | args1
    | args1 ','
    ;
args1: arg                                      { $$ = in_section(p, (NodeList){0}, $1, false); }
     | args1 ',' arg                            { $$ = in_section(p, $1, $3, false); }
     | args1 ';' arg                            { $$ = in_section(p, $1, $3, true); }
     ;
arg: expr                                       { $$ = MK(@$, ARG, .value = $1); }
   | name '=' expr                              { $$ = MK(@$, ARG, NAMED($1), .value = $3); }
   | expr[e] BY expr[n]                         { $$ = MK(@$, ARG_BY, .value = $e, .other = $n); }
   | expr[e] BY name ':' expr[n]                { $$ = named(MK(@$, ARG_BY, .value = $e, .other = $n), $name); }
   ;
items: items1
     | items1 ','
     ;
items1: item                                    { $$ = one(p, $1); }
      | items1 ',' item                         { $$ = more(p, $1, $3); }
      ;
item: expr                                      { $$ = MK(@$, IX_EXPR, .value = $1); }
    | expr AS name                              { $$ = MK(@$, IX_AS, .value = $1, NAMED($3)); }
    | name '=' expr                             { $$ = MK(@$, IX_PICK, NAMED($1), .value = $3); }
    | name '=' expr[a] ':' expr[b]              { $$ = MK(@$, IX_SLICE, NAMED($1), .value = $a, .other = $b); }
    | expr[a] ':' expr[b]                       { $$ = MK(@$, IX_COLON, .value = $a, .other = $b); }
    ;
%%
/* Tokens that messages name together when the first of a row could stand there. */
static const struct {
    const char *words;
    int member[24];
} groups[] = {
    {"a statement", {TOK_LET, TOK_VAR, TOK_CONST, TOK_USE, TOK_PARAM, TOK_RETURN, TOK_IF, TOK_FOR,
                     TOK_SHARE, TOK_PRECISION, TOK_EACH, TOK_STATE, TOK_RUNTIME, TOK_NAME, ';'}},
    {"a declaration", {TOK_IMPORT, TOK_CONFIG, TOK_STREAM, TOK_BLOCK, TOK_LOSS, TOK_PROGRAM, TOK_TRAIN,
                       TOK_SAMPLE, TOK_OPTIMIZER, TOK_EMA, TOK_FN, TOK_USE, TOK_RUNTIME}},
    {"an expression", {TOK_REAL, TOK_INT, TOK_STRING, TOK_NAME, TOK_TRUE, TOK_FALSE, TOK_REARRANGE,
                       TOK_FN, TOK_IF, TOK_ROWS, TOK_PRECISION, '(', '-', '!', '['}},
    {"an operator", {'+', '-', '*', '/', TOK_FLOORDIV, '^', '<', '>',
                     TOK_EQ, TOK_NE, TOK_LE, TOK_GE, TOK_AND, TOK_OR, TOK_DOTDOT, TOK_IN,
                     TOK_FROM, TOK_LIKE, '@', '.', '(', '['}},
};

static void put_word(StrBuf *b, int *n, const char *quote, const char *s, size_t len)
{
    sb_puts(b, (*n)++ ? "\n" : "");
    sb_printf(b, "%s%.*s%s", quote, (int)len, s, quote);
}

/* Words for the tokens that could stand there, "an operator, `)` or `,`"; "" when they are many. */
static char *expected_text(const yypcontext_t *c)
{
    yysymbol_kind_t kind[YYNTOKENS];
    bool can[YYNTOKENS] = {false};
    int n = yypcontext_expected_tokens(c, kind, YYNTOKENS), words = 0;
    for (int i = 0; i < n; i++) can[kind[i]] = true;
    for (int i = YYSYMBOL_IMPORT; can[YYSYMBOL_NAME] && i <= YYSYMBOL_REPORT; i++) can[i] = false;      /* they are names too */
    StrBuf b = {0};
    for (size_t g = 0; g < COUNT(groups); g++) {
        if (!can[YYTRANSLATE(groups[g].member[0])]) continue;
        for (const int *t = groups[g].member; *t; t++) can[YYTRANSLATE(*t)] = false;
        put_word(&b, &words, "", groups[g].words, strlen(groups[g].words));
    }
    for (int i = 0; i < YYNTOKENS; i++) {
        if (!can[i]) continue;
        const char *s = yysymbol_name((yysymbol_kind_t)i);
        bool plain = i == YYSYMBOL_YYEOF || (i >= YYSYMBOL_NAME && i <= YYSYMBOL_STRING), quoted = s[0] == '\'';
        put_word(&b, &words, plain ? "" : "`", s + quoted, strlen(s) - 2 * quoted);
    }
    StrBuf out = {0};
    sb_puts(&out, "");
    for (const char *s = b.s; s && words <= 5 && *s; s++) {
        if (*s != '\n') sb_putc(&out, *s);
        else sb_puts(&out, strchr(s + 1, '\n') ? ", " : " or ");
    }
    sb_free(&b);
    return out.s;
}

static int yyreport_syntax_error(const yypcontext_t *c, Parser *p)
{
    char *expected = expected_text(c);
    syntax_error(p, *yypcontext_location(c), expected);
    free(expected);
    return 0;
}
