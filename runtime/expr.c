/* Host expressions: recursive descent into a tree on an arena, evaluated in double with lazy `if`, `&&` and `||`.
   Nesting is bounded, so that no text overflows the C stack. */
#include <ctype.h>
#include <math.h>
#include "runtime/expr.h"

enum { MAX_DEPTH = 200, MAX_ARGS = 64 };
typedef enum { X_NUM, X_NAME, X_NEG, X_NOT, X_BIN, X_AND, X_OR, X_IF, X_CALL } Kind;
typedef double (*Fn1)(double);
typedef double (*Fn2)(double, double);
typedef struct X {
    Kind kind;
    double num;
    Sym name;
    Fn2 bin;                                             /* X_BIN */
    const struct Function *fn;                           /* X_CALL */
    struct X *arg[3], **more; int n_args;                /* X_CALL with any number: more */
} X;
struct HostExpr { Arena *arena; X *root; };

static double f_add(double a, double b) { return a + b; }
static double f_sub(double a, double b) { return a - b; }
static double f_mul(double a, double b) { return a * b; }
static double f_div(double a, double b) { return a / b; }
static double f_idiv(double a, double b) { return floor(a / b); }
static double f_mod(double a, double b) { return a - b * floor(a / b); }
static double f_lt(double a, double b) { return a < b; }
static double f_le(double a, double b) { return a <= b; }
static double f_gt(double a, double b) { return a > b; }
static double f_ge(double a, double b) { return a >= b; }
static double f_eq(double a, double b) { return a == b; }
static double f_ne(double a, double b) { return a != b; }
static double f_min(double a, double b) { return isnan(a) || isnan(b) ? NAN : fmin(a, b); }
static double f_max(double a, double b) { return isnan(a) || isnan(b) ? NAN : fmax(a, b); }
static double f_sigmoid(double x) { return 1 / (1 + exp(-x)); }
static double f_sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
static double f_round(double x) { return nearbyint(x); }

static const struct Function { const char *name; Fn1 one; Fn2 many;
} functions[] = {
    {"floor", floor, NULL}, {"ceil", ceil, NULL},   {"round", f_round, NULL}, {"sqrt", sqrt, NULL}, {"exp", exp, NULL},
    {"log", log, NULL},     {"sin", sin, NULL},     {"cos", cos, NULL},       {"tanh", tanh, NULL}, {"sigmoid", f_sigmoid, NULL},
    {"abs", fabs, NULL},    {"sign", f_sign, NULL}, {"min", NULL, f_min},     {"max", NULL, f_max},
};
/* Binary operators by level, loosest first; longer spellings before their prefixes. Level 0 is ||, 1 is &&. */
static const struct { int level; const char *text; Fn2 fn; } operators[] = {
    {2, "==", f_eq}, {2, "!=", f_ne}, {2, "<=", f_le}, {2, ">=", f_ge}, {2, "<", f_lt}, {2, ">", f_gt},
    {3, "+", f_add}, {3, "-", f_sub}, {4, "*", f_mul}, {4, "//", f_idiv}, {4, "/", f_div}, {4, "%", f_mod},
};
enum { LEVELS = 5 };

typedef struct { Arena *arena; const char *text, *at; int depth; char *err; } Parser;

static void skip_space(Parser *p) { while (isspace((unsigned char)*p->at)) p->at++; }
static X *fail(Parser *p, const char *what)
{
    if (!p->err) p->err = xasprintf("column %d: %s", (int)(p->at - p->text) + 1, what);
    return NULL;
}
static bool accept(Parser *p, const char *text)
{
    skip_space(p);
    size_t n = strlen(text);
    if (strncmp(p->at, text, n)) return false;
    p->at += n;
    return true;
}
static bool expect(Parser *p, const char *text)
{
    if (accept(p, text)) return true;
    char what[64];
    snprintf(what, sizeof what, *p->at ? "expected `%s` here" : "expected `%s`, but the text ends", text);
    fail(p, what);
    return false;
}
static X *new_x(Parser *p, Kind kind)
{
    X *x = arena_make(p->arena, X, 1);
    x->kind = kind;
    return x;
}
static bool name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }
static bool at_word(Parser *p, const char *word)
{
    skip_space(p);
    size_t n = strlen(word);
    return !strncmp(p->at, word, n) && !name_char(p->at[n]);
}

static X *parse_expr(Parser *p);
static X *parse_unary(Parser *p);

static X *parse_if(Parser *p)
{
    X *x = new_x(p, X_IF);
    p->at += 2;
    if (!(x->arg[0] = parse_expr(p)) || !expect(p, "{") || !(x->arg[1] = parse_expr(p)) || !expect(p, "}")) return NULL;
    if (!at_word(p, "else")) return fail(p, "expected `else`: an `if` has a value either way");
    p->at += 4;
    if (at_word(p, "if")) {
        if (++p->depth > MAX_DEPTH) return fail(p, "nested too deeply");
        x->arg[2] = parse_if(p);
        p->depth--;
    } else if (!expect(p, "{") || !(x->arg[2] = parse_expr(p)) || !expect(p, "}")) return NULL;
    return x->arg[2] ? x : NULL;
}
static X *parse_call(Parser *p, const char *name, size_t len)
{
    const struct Function *fn = NULL;
    for (size_t i = 0; i < COUNT(functions); i++)
        if (strlen(functions[i].name) == len && !strncmp(functions[i].name, name, len)) fn = &functions[i];
    if (!fn) { p->at = name; return fail(p, "no such function"); }
    X *x = new_x(p, X_CALL), *arg[MAX_ARGS];
    x->fn = fn;
    do {
        if (x->n_args == MAX_ARGS) return fail(p, "too many arguments");
        if (!(arg[x->n_args++] = parse_expr(p))) return NULL;
    } while (accept(p, ","));
    if (!expect(p, ")")) return NULL;
    if (fn->one && x->n_args != 1) { p->at = name; return fail(p, "this function takes one argument"); }
    x->more = arena_make(p->arena, X *, x->n_args);
    memcpy(x->more, arg, (size_t)x->n_args * sizeof *arg);
    return x;
}
static X *parse_primary(Parser *p)
{
    skip_space(p);
    const char *s = p->at;
    if (accept(p, "(")) {
        X *x = parse_expr(p);
        return x && expect(p, ")") ? x : NULL;
    }
    if (isdigit((unsigned char)*s) || (*s == '.' && isdigit((unsigned char)s[1]))) {
        X *x = new_x(p, X_NUM);
        char *end;
        x->num = strtod(s, &end);
        p->at = end;
        if (name_char(*end)) return fail(p, "a name may not follow a number directly");
        return x;
    }
    if (!isalpha((unsigned char)*s) && *s != '_')
        return fail(p, *s ? "expected a value here" : "expected a value, but the text ends");
    if (at_word(p, "if")) return parse_if(p);
    while (name_char(*p->at)) p->at++;
    size_t len = (size_t)(p->at - s);
    skip_space(p);
    if (*p->at == '(') { p->at++; return parse_call(p, s, len); }
    static const struct {
        const char *name;
        double value;
    } constants[] = {{"true", 1}, {"false", 0}, {"inf", HUGE_VAL}, {"nan", NAN}};
    for (size_t i = 0; i < COUNT(constants); i++)
        if (strlen(constants[i].name) == len && !strncmp(constants[i].name, s, len)) {
            X *x = new_x(p, X_NUM);
            x->num = constants[i].value;
            return x;
        }
    X *x = new_x(p, X_NAME);
    x->name = symn(s, len);
    return x;
}
static X *parse_power(Parser *p)
{
    X *base = parse_primary(p);
    if (!base || !accept(p, "^")) return base;
    X *x = new_x(p, X_BIN);
    x->bin = pow;
    x->arg[0] = base;
    return (x->arg[1] = parse_unary(p)) ? x : NULL;       /* an exponent takes a unary, and `^` inside it: right-associative */
}
static X *parse_unary(Parser *p)
{
    if (++p->depth > MAX_DEPTH) return fail(p, "nested too deeply");
    skip_space(p);
    X *x;
    if (*p->at == '-' || (*p->at == '!' && p->at[1] != '=')) {
        x = new_x(p, *p->at == '-' ? X_NEG : X_NOT);
        p->at++;
        if (!(x->arg[0] = parse_unary(p))) x = NULL;
    } else x = parse_power(p);
    p->depth--;
    return x;
}
static X *parse_level(Parser *p, int level)
{
    if (level == LEVELS) return parse_unary(p);
    X *x = parse_level(p, level + 1);
    while (x) {
        skip_space(p);
        X *y = NULL;
        if (level < 2) {
            if (accept(p, level ? "&&" : "||")) y = new_x(p, level ? X_AND : X_OR);
        } else
            for (size_t i = 0; i < COUNT(operators) && !y; i++)
                if (operators[i].level == level && accept(p, operators[i].text)) {
                    y = new_x(p, X_BIN);
                    y->bin = operators[i].fn;
                }
        if (!y) break;
        y->arg[0] = x;
        if (!(y->arg[1] = parse_level(p, level + 1))) return NULL;
        x = y;
    }
    return x;
}
static X *parse_expr(Parser *p)
{
    if (++p->depth > MAX_DEPTH) return fail(p, "nested too deeply");
    X *x = parse_level(p, 0);
    p->depth--;
    return x;
}

HostExpr *expr_parse(const char *text, char **err)
{
    Parser p = {.arena = arena_new(), .text = text, .at = text};
    X *root = parse_expr(&p);
    skip_space(&p);
    if (root && *p.at) root = fail(&p, "nothing may follow here");
    if (!root) {
        arena_drop(p.arena);
        *err = p.err;
        return NULL;
    }
    HostExpr *e = arena_make(p.arena, HostExpr, 1);
    *e = (HostExpr){.arena = p.arena, .root = root};
    return e;
}
void expr_free(HostExpr *e) { if (e) arena_drop(e->arena); }

typedef struct { ExprLookup lookup; void *user; const char *bad; } Eval;
/* A chain `a + b + c ...` nests to the left as deep as it is long: walked in a loop, not by recursion. */
static double eval(Eval *v, const X *x)
{
    if (v->bad) return NAN;
    switch (x->kind) {
    case X_NUM: return x->num;
    case X_NAME: {
        double value = NAN;
        if (!v->lookup || !v->lookup(v->user, x->name, &value)) {
            v->bad = x->name;
            return NAN;
        }
        return value;
    }
    case X_NEG: return -eval(v, x->arg[0]);
    case X_NOT: return eval(v, x->arg[0]) == 0;
    case X_IF: return eval(v, eval(v, x->arg[0]) != 0 ? x->arg[1] : x->arg[2]);
    case X_CALL: {
        double r = eval(v, x->more[0]);
        if (x->fn->one) return x->fn->one(r);
        for (int i = 1; i < x->n_args; i++) r = x->fn->many(r, eval(v, x->more[i]));
        return r;
    }
    case X_BIN: case X_AND: case X_OR: {
        int n = 1;
        for (const X *y = x->arg[0]; y->kind == X_BIN || y->kind == X_AND || y->kind == X_OR; y = y->arg[0]) n++;
        const X **chain = xmalloc((size_t)n * sizeof *chain);
        for (int i = n; i--; x = x->arg[0]) chain[i] = x;
        double r = eval(v, x);
        for (int i = 0; i < n; i++) {
            if (chain[i]->kind == X_BIN) r = chain[i]->bin(r, eval(v, chain[i]->arg[1]));
            else if (chain[i]->kind == X_AND) r = r != 0 && eval(v, chain[i]->arg[1]) != 0;
            else r = r != 0 || eval(v, chain[i]->arg[1]) != 0;
        }
        free(chain);
        return r;
    }
    }
    die("expression of kind %d", x->kind);
}
double expr_eval(const HostExpr *e, ExprLookup lookup, void *user, const char **bad)
{
    Eval v = {.lookup = lookup, .user = user};
    double r = eval(&v, e->root);
    if (bad) *bad = v.bad;
    return v.bad ? NAN : r;
}

typedef struct { const char **out; int n, max; } Names;
static void collect(Names *s, const X *x)
{
    for (;; x = x->arg[0]) {
        if (x->kind == X_NAME) {
            bool known = false;
            for (int i = 0; i < s->n; i++) known |= s->out[i] == x->name;
            if (!known && s->n < s->max) s->out[s->n++] = x->name;
        }
        for (int i = 0; i < x->n_args; i++) collect(s, x->more[i]);
        for (int i = 1; i < 3; i++) if (x->arg[i]) collect(s, x->arg[i]);
        if (!x->arg[0]) return;
    }
}
int expr_names(const HostExpr *e, const char **out, int max)
{
    Names s = {.out = out, .max = max};
    collect(&s, e->root);
    return s.n;
}
