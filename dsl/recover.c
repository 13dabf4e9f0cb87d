/* Stands between lexer and grammar: matches brackets, words syntax errors, and after one skips to the next statement.
   Assumes the grammar's `error` rules sit only where a list of declarations, statements or train items goes on. */
#include "dsl/parser.h"
#include "grammar.h"

/* ---- classes of tokens ---- */
static bool in_set(int code, const int *set, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (set[i] == code) return true;
    return false;
}
#define SET(code, ...) in_set(code, (const int[]){__VA_ARGS__}, COUNT(((const int[]){__VA_ARGS__})))

static bool only_declares(int code)
{
    return SET(code, TOK_IMPORT, TOK_CONFIG, TOK_STREAM, TOK_BLOCK, TOK_FN, TOK_LOSS, TOK_PROGRAM, TOK_TRAIN,
               TOK_SAMPLE, TOK_OPTIMIZER, TOK_EMA);
}

static bool declares(int code)
{
    return only_declares(code) || SET(code, TOK_USE, TOK_RUNTIME);
}

static bool starts_statement(int code)
{
    return SET(code, TOK_LET, TOK_VAR, TOK_CONST, TOK_USE, TOK_PARAM, TOK_RETURN, TOK_IF, TOK_FOR, TOK_SHARE,
               TOK_PRECISION, TOK_EACH, TOK_RUNTIME, TOK_STATE, TOK_REPORT, TOK_MINIMIZE, TOK_GRADIENT, TOK_OPTIMIZER, TOK_EMA);
}

static bool is_reserved(int code)
{
    return code >= TOK_IF && code <= TOK_FALSE;
}

/* ---- brackets ---- */
static bool matches(int open, int close)
{
    return (open == '(' && close == ')') || (open == '[' && close == ']') || (open == '{' && close == '}');
}

static Bracket *top(Parser *p)
{
    return p->n_open ? &p->open[p->n_open - 1] : NULL;
}

/* Index of the innermost `{`, or -1. */
static int top_brace(const Parser *p)
{
    int i = p->n_open - 1;
    while (i >= 0 && p->open[i].code != '{') i--;
    return i;
}

static void too_deep(Parser *p, Loc at)
{
    if (p->stop) return;
    p->stop = true;
    Diag *d = diag_error(at, ERR_too_deep, "brackets are nested more than %d deep", MAX_NESTING);
    diag_help(d, "give a part of it a name with `let`, or make it a `fn` or a `block`");
}

static void push_bracket(Parser *p, int code, Loc at)
{
    if (p->n_open == MAX_NESTING) too_deep(p, at);
    else p->open[p->n_open++] = (Bracket){.code = code, .loc = at};
}

static void match_bracket(Parser *p, const Token *t)
{
    p->closed = (Bracket){0};
    if (SET(t->code, '(', '[', '{')) push_bracket(p, t->code, t->loc);
    else if (SET(t->code, ')', ']', '}') && top(p) && matches(top(p)->code, t->code)) p->closed = p->open[--p->n_open];
}

void mark_body(Parser *p)
{
    int i = top_brace(p);
    if (i >= 0) p->open[i].body = true;
}

/* ---- the stream of tokens ---- */
static void enqueue(Parser *p, Token t)
{
    CHECK_BUG(p->q_n < (int)COUNT(p->queue));
    p->queue[(p->q_head + p->q_n++) % (int)COUNT(p->queue)] = t;
}

static Token raw_token(Parser *p)
{
    Token t = {0};
    if (p->q_n) {
        t = p->queue[p->q_head];
        p->q_head = (p->q_head + 1) % (int)COUNT(p->queue);
        p->q_n--;
        return t;
    }
    t.code = lex_token(&t.value, &t.loc, p);
    t.first = t.loc.line != p->raw_line || SET(p->raw_code, ';', '{', '}');
    p->raw_line = t.loc.end_line;
    p->raw_code = t.code;
    return t;
}

/* A declaration at the start of a line inside a body: the bodies around it were not closed; closes them. */
static Token close_bodies(Parser *p, Token t)
{
    int bodies = 0;
    for (int i = 0; i < p->n_open; i++)
        if (p->open[i].body) p->open[bodies++] = p->open[i];
    p->n_open = bodies;
    if (!bodies) return t;
    Token rest[COUNT(p->queue)];
    int n = 0;
    while (p->q_n) rest[n++] = raw_token(p);
    for (int i = 1; i < bodies; i++) enqueue(p, (Token){.code = '}', .loc = t.loc});
    enqueue(p, t);
    for (int i = 0; i < n; i++) enqueue(p, rest[i]);
    return (Token){.code = '}', .loc = t.loc};
}

/* While skipping: true when t begins something the grammar can go on with. Keeps the brackets matched. */
static bool resumes(Parser *p, Token *t)
{
    int brace = top_brace(p);
    bool in_body = brace >= 0 && p->open[brace].body, at_top = brace < 0;
    if (!t->code) return true;
    if (t->first && t->loc.col == 1 && only_declares(t->code)) {
        *t = close_bodies(p, *t);
        return true;
    }
    if (t->first && ((at_top && declares(t->code)) || (in_body && starts_statement(t->code)))) {
        p->n_open = brace + 1;
        return true;
    }
    if (t->code == ';') return in_body && brace == p->n_open - 1;
    if (t->code == '}') {
        if (brace >= 0) p->n_open = brace + 1;
        if (in_body) return true;
    }
    match_bracket(p, t);
    return false;
}

int next_token(Value *value, Loc *loc, Parser *p)
{
    Token t;
    if (p->start) {
        t = (Token){.code = p->start};
        p->start = 0;
        *loc = t.loc;
        return t.code;
    }
    do t = raw_token(p);
    while (p->skipping && !p->stop && !resumes(p, &t));
    p->skipping = false;
    match_bracket(p, &t);
    if (p->stop) t.code = 0;
    p->prev = p->last;
    p->last = t;
    *value = t.value;
    *loc = t.loc;
    return t.code;
}

/* The declaration word at the start of this line, when the error lies in a body that should have been closed before. */
static const Token *stray_declaration(const Parser *p)
{
    const Token *cand[] = {&p->prev, &p->last};
    int brace = top_brace(p);
    if (brace < 0 || !p->open[brace].body) return NULL;
    for (size_t i = 0; i < COUNT(cand); i++)
        if (cand[i]->loc.file && cand[i]->first && cand[i]->loc.col == 1 && cand[i]->loc.line == p->last.loc.line
            && only_declares(cand[i]->code)) return cand[i];
    return NULL;
}

bool recover(Parser *p)
{
    if (p->stop || !p->last.code) return false;
    const Token *decl = stray_declaration(p);
    Token last = p->last, prev = p->prev;
    p->skipping = true;
    if (loc_equal(p->recovered_at, last.loc)) return true;      /* it failed twice: go on behind it */
    p->recovered_at = last.loc;
    if (SET(last.code, '(', '[', '{')) p->n_open--;
    else if (p->closed.code) p->open[p->n_open++] = p->closed;
    if (decl == &p->prev) enqueue(p, prev);
    enqueue(p, last);
    return true;
}

/* ---- words for syntax errors ---- */
static int loc_len(Loc l)
{
    return l.end_line == l.line ? MIN(l.end_col - l.col, 40) : 40;
}

static const char *loc_text(Loc l)
{
    size_t n;
    const char *s = source_line(l.file, l.line, &n);
    return (size_t)l.col - 1 <= n ? s + l.col - 1 : "";
}

static bool report_brackets(Parser *p, Loc at)
{
    const Token *t = &p->last, *decl = stray_declaration(p);
    const Bracket *b = top(p);
    Diag *d;
    if (decl) {
        const Bracket *body = &p->open[top_brace(p)];
        d = diag_error(body->loc, ERR_unbalanced, "this `{` is not closed before the next declaration");
        diag_span(d, decl->loc, "`%.*s` begins a declaration here", loc_len(decl->loc), loc_text(decl->loc));
        diag_help(d, "add `}` before line %d", decl->loc.line);
    } else if (!t->code && b) {
        d = diag_error(b->loc, ERR_unbalanced, "this `%c` is never closed", b->code);
        diag_help(d, "add `%c`; the text ends at line %d", b->code == '(' ? ')' : b->code == '[' ? ']' : '}', at.line);
    } else if (SET(t->code, ')', ']', '}') && !p->closed.code) {
        if (b && !b->body) {
            d = diag_error(at, ERR_unbalanced, "`%c` cannot close `%c`", t->code, b->code);
            diag_span(d, b->loc, "opened here");
        } else {
            d = diag_error(at, ERR_unbalanced, "`%c` closes nothing", t->code);
        }
        diag_help(d, "add the missing bracket, or take this one away");
    } else {
        return false;
    }
    return true;
}

void syntax_error(Parser *p, Loc at, const char *expected)
{
    if (p->stop || loc_equal(p->recovered_at, p->last.loc)) return;
    if (p->inside_string) {
        Diag *d = diag_error(at, ERR_bad_string, "`{...}` in a string holds one expression%s",
                             p->last.code ? "" : ", and this one is not complete");
        diag_help(d, "a brace that is meant as text is written {{ or }}");
        return;
    }
    if (report_brackets(p, at)) return;
    int n = loc_len(at);
    const char *text = loc_text(at);
    if (is_reserved(p->last.code) && !strncmp(expected, "name", 4)) {
        Diag *d = diag_error(at, ERR_reserved_word, "`%.*s` is a reserved word and cannot be a name", n, text);
        diag_help(d, "choose another name, for example `%.*s_`", n, text);
        return;
    }
    Loc end = {p->prev.loc.file, p->prev.loc.end_line, p->prev.loc.end_col, p->prev.loc.end_line, p->prev.loc.end_col};
    if (!p->last.code && p->prev.loc.file) at = end;
    const char *sep = *expected ? ", expected " : "";
    Diag *d = p->last.code ? diag_error(at, ERR_syntax, "unexpected `%.*s`%s%s", n, text, sep, expected)
                           : diag_error(at, ERR_syntax, "the text ends too early%s%s", sep, expected);
    if (p->last.code == '=' && strstr(expected, "`{`")) diag_help(d, "equality is written `==`");
    else if (SET(p->last.code, TOK_LET, TOK_VAR, TOK_CONST, TOK_PARAM, TOK_RETURN) && top_brace(p) < 0)
        diag_help(d, "statements stand in a block; a file declares config, stream, fn, block, use, runtime, loss, program ...");
    if (p->last.code == TOK_EQ && p->prev.code == TOK_NAME) diag_help(d, "a value is given with `=`");
}
