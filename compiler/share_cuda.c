/* Share: kernels whose CUDA texts differ only in numbers that a launch can bring along become one text. Strides of what is read may be such numbers, factors, and
   in small sums whatever is counted; names of tiles, sizes of arrays and divisors of indices in big kernels stay in the text, where compilers use them.
   Two texts are compared as they are printed, number by number, so that everything that was decided from a shape (vector accesses, order of loops) is compared, too.
   Assumes every kernel has its own text; entries are called after the kernel. */
#include "compiler/emit_cuda.h"
#include <ctype.h>
#include <math.h>

enum { SMALL_SUM = 16 << 20 };                       /* bytes: below, divisions by a number that is no constant cost nothing that counts */

typedef enum { TOK_TEXT, TOK_COMMENT, TOK_INT, TOK_FLOAT } TokKind;
/* What may be missing in another text where it means nothing: " * F" and " / F" with F 1, "/I" in an index with I 1, " + I" at the end of one with I 0;
   a rounding ("ect_bf16(" and its ")") of what goes into a stage, which holds numbers of that kind only. */
typedef enum { UNIT_NONE, UNIT_ROUND, UNIT_FACTOR, UNIT_DIVISOR, UNIT_SHIFT, UNIT_PARTS, UNIT_FIRST } Unit;
typedef struct {
    TokKind kind; const char *at; int n;
    bool free; char *name;                           /* it may be a number of the launch, called so (heap) */
    int power;                                       /* of a free divisor, a power of two: 1, of "/", which becomes ">>"; 2, of "%", which becomes "&". Of the operator: its negative */
    Unit unit; int unit_n;                           /* a unit of so many tokens begins here; the last is its number */
    int local;                                       /* a variable: 1 + its number in order of declaration, else 0 */
} Token;
typedef struct { char *text; int n, cap; Token *tok; uint64_t hash; } Tokens;

/* ---- texts as tokens ---- */
static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

static int number_length(const char *p)
{
    bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
    int n = 0;
    while (word_char(p[n]) || p[n] == '.' || ((p[n] == '+' || p[n] == '-') && (tolower((unsigned char)p[n - 1]) == (hex ? 'p' : 'e')))) n++;
    return n;
}

static TokKind number_kind(const char *p, int n)
{
    bool decimal = true;
    for (int i = 0; i < n; i++) decimal &= isdigit((unsigned char)p[i]) != 0;
    if (decimal) return n < 10 ? TOK_INT : TOK_TEXT;
    bool real = memchr(p, '.', (size_t)n) || memchr(p, 'p', (size_t)n);
    return real && p[n - 1] == 'f' ? TOK_FLOAT : TOK_TEXT;
}

static void cut(Tokens *t)
{
    for (const char *p = t->text; *p;) {
        Token k = {.kind = TOK_TEXT, .at = p, .n = 1};
        if (p[0] == '/' && p[1] == '*') {
            const char *end = strstr(p, "*/");
            CHECK_BUG(end);
            k.kind = TOK_COMMENT;
            k.n = (int)(end + 2 - p);
        } else if (p[0] == '"') {
            while (p[k.n] != '"') k.n++;
            k.n++;
        } else if (isdigit((unsigned char)*p)) {
            k.n = number_length(p);
            k.kind = number_kind(p, k.n);
        } else if (word_char(*p)) {
            while (word_char(p[k.n])) k.n++;
        }
        p += k.n;
        vec_push(t->tok, t->n, t->cap, k);
    }
}

static bool is(const Token *k, const char *s) { return k->n == (int)strlen(s) && !memcmp(k->at, s, (size_t)k->n); }
static bool is_word(const Token *k) { return k->kind == TOK_TEXT && word_char(k->at[0]); }

/* x0, w1, y2: a buffer of the kernel; or the parts of its sums. */
static bool is_buffer(const Token *k)
{
    if (is(k, "partial")) return true;
    if (!is_word(k) || !strchr("xwy", k->at[0]) || k->n < 2) return false;
    for (int i = 1; i < k->n; i++) if (!isdigit((unsigned char)k->at[i])) return false;
    return true;
}

/* Is `word` in the line that `at` is in? */
static bool line_has(const char *at, const char *word)
{
    const char *end = strchr(at, '\n');
    while (at[-1] != '\n') at--;
    const char *p = strstr(at, word);
    return p && (!end || p < end);
}

/* Lines whose numbers compilers must know. */
static bool line_is_fixed(const char *line)
{
    static const char *const FIXED[] = {"__shared__", "enum", "__launch_bounds__", "#pragma", "struct ", "args.", "buf[", "void *", "threadIdx", "blockIdx", "% LANES", "ECT_"};
    const char *end = strchr(line, '\n');
    for (size_t i = 0; i < COUNT(FIXED); i++) {
        const char *p = strstr(line, FIXED[i]);
        if (p && (!end || p < end)) return true;
    }
    return false;
}

static char *words(const char *before, const Token *k, const char *after)
{
    int n = k->n;
    while (n > 1 && k->at[n - 1] == '_') n--;
    return xasprintf("%s%.*s%s", before, n, k->at, after);
}

/* The token before i that is no blank. */
static int before(const Tokens *t, int i)
{
    while (--i >= 0 && isspace((unsigned char)t->tok[i].at[0])) { }
    return i;
}

static int after(const Tokens *t, int i)
{
    while (++i < t->n && isspace((unsigned char)t->tok[i].at[0])) { }
    return i;
}

static void free_number(Token *k, char *name)
{
    k->free = true;
    k->name = name;
}

static bool power_of_two(const Token *k)
{
    long v = strtol(k->at, NULL, 10);
    return v > 0 && (v & (v - 1)) == 0;
}

static bool is_variable(const Token *k) { return is_word(k) && !isdigit((unsigned char)k->at[0]); }

/* The buffer whose index token i stands in, directly: x0[ ... i ... ]; or -1. */
static int index_of(const Tokens *t, int i)
{
    for (int depth = 0; i-- > 0;) {
        if (is(&t->tok[i], ")") || is(&t->tok[i], "]")) depth++;
        if (!is(&t->tok[i], "(") && !is(&t->tok[i], "[")) continue;
        if (depth--) continue;
        return is(&t->tok[i], "[") && i && is_buffer(&t->tok[i - 1]) ? i - 1 : -1;
    }
    return -1;
}

/* A number in a buffer's index: a stride, or where reading begins. */
static void find_index(Tokens *t, int i, int buffer)
{
    Token *k = &t->tok[i];
    int p = before(t, i), a = after(t, i), w = before(t, p);
    while (w > buffer + 1 && !is_variable(&t->tok[w])) w--;
    char *pre = words("", &t->tok[buffer], "_");
    if (is(&t->tok[p], "*") && w > buffer + 1) free_number(k, words(pre, &t->tok[w], ""));
    else if (is(&t->tok[p], "+") && is(&t->tok[a], "]")) free_number(k, words("", &t->tok[buffer], "_first"));
    free(pre);
}

/* Does a line only say where something is: "    const int w = piece / 256 % 16;"? The parts of threads and warps are not such lines: they stay as they are. */
static bool line_is_decode(const char *line)
{
    static const char *const FIXED[] = {"threadIdx", "blockIdx.y", "lane", "warp", "slot", "_c =", "deep"};
    const char *end = strchr(line, '\n');
    line += strspn(line, " ");
    if (strncmp(line, "const int ", 10)) return false;
    for (size_t i = 0; i < COUNT(FIXED); i++) {
        const char *p = strstr(line, FIXED[i]);
        if (p && (!end || p < end)) return false;
    }
    return true;
}

/* A number in such a line. In kernels that are not small a division must be by a power of two. */
static void find_decode(Tokens *t, int i, int declared, bool small)
{
    Token *k = &t->tok[i], *op = &t->tok[before(t, i)];
    const bool divide = is(op, "/"), rest = is(op, "%");
    if (!small && (divide || rest)) {
        if (!power_of_two(k)) return;
        k->power = divide ? 1 : 2;
        op->power = -k->power;
        free_number(k, words("", &t->tok[declared], divide ? "_shift" : "_mask"));
    } else if (divide || rest) free_number(k, words(divide ? "per_" : "of_", &t->tok[declared], ""));
    else if (is(op, "*")) free_number(k, words("", &t->tok[declared], "_step"));
    else if (is(op, "+")) free_number(k, words("", &t->tok[declared], "_size"));
    else if (is(op, "<") || is(op, ":")) free_number(k, words("", &t->tok[declared], "_most"));
}

/* Loops over steps, pieces and terms, whose ends no array depends on. */
static bool counts(const Token *k, KernelClass cls)
{
    static const char *const COUNTERS[] = {"k0", "turn", "piece", "term", "split"};
    for (size_t i = 0; i < COUNT(COUNTERS); i++) if (is(k, COUNTERS[i])) return true;
    return cls == KERNEL_PASS && is(k, "local");
}

static void find_free(Tokens *t, const KernelText *text)
{
    const KernelClass cls = text->k->cls;
    const bool small = (cls == KERNEL_REDUCE || cls == KERNEL_MAP) && text->k->bytes <= SMALL_SUM;
    bool fixed = line_is_fixed(t->text), decode = false;
    int declared = 0;
    for (int i = 0; i < t->n; i++) {
        Token *k = &t->tok[i];
        if (k->at[0] == '\n') { fixed = line_is_fixed(k->at + 1); decode = line_is_decode(k->at + 1); }
        if (is(k, "=") && decode && !declared) declared = before(t, i);
        if (is(k, ";")) declared = 0;
        if (k->kind != TOK_INT && k->kind != TOK_FLOAT) continue;
        int p = before(t, i), a = after(t, i), w = before(t, p);
        if (w < 0 || a >= t->n) continue;
        const Token *op = &t->tok[p];
        const bool named = is_variable(&t->tok[w]);
        if (k->kind == TOK_FLOAT) {
            free_number(k, xstrdup(is(op, "*") || is(&t->tok[a], "*") ? "factor" : is(op, "/") ? "divisor" : "value"));
            continue;
        }
        int buffer = index_of(t, i);
        if (buffer >= 0) find_index(t, i, buffer);
        if (k->free) continue;
        if (decode && declared && !(k->n == 1 && k->at[0] <= '1')) find_decode(t, i, declared, small);
        else if (is(op, "<") && counts(&t->tok[w], cls)) free_number(k, words("", &t->tok[w], "_end"));
        else if (p > 2 && is(op, "=") && is(&t->tok[p - 1], "+") && is(&t->tok[p - 3], "piece")) free_number(k, xstrdup("piece_step"));
        else if (is(op, "*") && is(&t->tok[w], "wanted")) free_number(k, xstrdup("wanted_step"));
        else if (is(op, "*") && is(&t->tok[w], "z") && line_has(t->tok[w].at, "workspace")) free_number(k, xstrdup("parts"));
        if (k->free || !small || fixed || (k->n == 1 && k->at[0] <= '1')) continue;
        if (is(op, "<") && named) free_number(k, words("", &t->tok[w], "_end"));
        else if (is(op, "/") && named) free_number(k, words("per_", &t->tok[w], ""));
        else if (is(op, "%") && named) free_number(k, words("of_", &t->tok[w], ""));
        else if (is(op, "*") && named) free_number(k, words("", &t->tok[w], "_step"));
        else free_number(k, xstrdup("count"));
    }
}

static void begin_unit(Tokens *t, int first, int last, Unit u, char *name)
{
    t->tok[first].unit = u;
    t->tok[first].unit_n = last - first + 1;
    free(t->tok[last].name);
    free_number(&t->tok[last], name);
}

/* "value[q] = ect_bf16(...);", where stages hold numbers of that kind: what is stored there comes out the same without it. In other stages it is part of the model. */
static void find_rounding(Tokens *t)
{
    const bool bf16 = strstr(t->text, "ect_bf16_t *const a_tile") || strstr(t->text, "ect_bf16_t a_tile[");
    const bool f16 = strstr(t->text, "ect_f16_t *const a_tile") || strstr(t->text, "ect_f16_t a_tile[");
    for (int i = 0; i + 8 < t->n; i++) {
        Token *k = &t->tok[i];
        if (!is(k, "value") || !is(k + 1, "[") || !is(k + 4, " ") || !is(k + 5, "=") || !is(k + 6, " ") || !is(k + 8, "(")) continue;
        if (!(bf16 && is(k + 7, "ect_bf16")) && !(f16 && is(k + 7, "ect_f16"))) continue;
        int end = i + 9;
        for (int depth = 1; end < t->n && depth; end++) depth += is(&t->tok[end], "(") - is(&t->tok[end], ")");
        if (end >= t->n || !is(&t->tok[end], ";")) continue;
        k[7].unit = t->tok[end - 1].unit = UNIT_ROUND;
        k[7].unit_n = 2;
        t->tok[end - 1].unit_n = 1;
    }
}

static void find_units(Tokens *t, bool small)
{
    find_rounding(t);
    for (int i = 3; i + 1 < t->n; i++) {
        const Token *k = &t->tok[i], *op = &t->tok[i - 1];
        const bool spaced = is(op, " ") && is(&t->tok[i - 3], " ");
        if (k->kind == TOK_FLOAT && spaced && is(&t->tok[i - 2], "*")) begin_unit(t, i - 3, i, UNIT_FACTOR, xstrdup("factor"));
        else if (k->kind == TOK_FLOAT && spaced && is(&t->tok[i - 2], "/")) begin_unit(t, i - 3, i, UNIT_DIVISOR, xstrdup("divisor"));
        else if (k->kind == TOK_INT) {
            int buffer = index_of(t, i);
            if (buffer < 0) continue;
            char *pre = words("", &t->tok[buffer], "_");
            if (is(op, "/") && is_variable(&t->tok[i - 2]) && small) begin_unit(t, i - 1, i, UNIT_PARTS, words("per_", &t->tok[i - 2], ""));
            else if (is(op, "/") && is_variable(&t->tok[i - 2]) && power_of_two(k)) begin_unit(t, i - 1, i, UNIT_SHIFT, words(pre, &t->tok[i - 2], "_shift"));
            else if (spaced && is(&t->tok[i - 2], "+") && is(&t->tok[i + 1], "]")) begin_unit(t, i - 3, i, UNIT_FIRST, words("", &t->tok[buffer], "_first"));
            free(pre);
        }
    }
}

/* Variables by the order of their declarations, so that their names do not matter: "int NAME =" declares one. */
static void find_locals(Tokens *t)
{
    struct { const char *at; int n; } v[256];
    int n = 0;
    for (int i = 0; i + 4 < t->n; i++) {
        const Token *k = &t->tok[i + 2];
        if (!is(&t->tok[i], "int") || !is(&t->tok[i + 1], " ") || !is_variable(k) || !is(&t->tok[after(t, i + 2)], "=")) continue;
        int q = 0;
        while (q < n && !(v[q].n == k->n && !memcmp(v[q].at, k->at, (size_t)k->n))) q++;
        if (q == n && n < (int)COUNT(v)) { v[n].at = k->at; v[n++].n = k->n; }
    }
    for (int i = 0; i < t->n; i++)
        for (int q = 0; q < n && is_variable(&t->tok[i]) && !t->tok[i].local; q++)
            if (v[q].n == t->tok[i].n && !memcmp(v[q].at, t->tok[i].at, (size_t)v[q].n)) t->tok[i].local = 1 + q;
}

/* Equal: the same text but for comments, units, free numbers and names of variables. `name`: the kernel's, which is in names of entries. */
static void hash_tokens(Tokens *t, const char *name)
{
    size_t n = strlen(name);
    t->hash = 0;
    for (int i = 0; i < t->n; i++) {
        const Token *k = &t->tok[i];
        if (k->kind == TOK_COMMENT) continue;
        if (k->unit) { i += k->unit_n - 1; continue; }
        bool own = is_word(k) && (size_t)k->n >= n && !memcmp(k->at, name, n);
        if (k->free) t->hash = hash64(&k->kind, sizeof k->kind, t->hash + 1);
        else if (k->local) t->hash = hash64(&k->local, sizeof k->local, t->hash + 2);
        else if (own) t->hash = hash64(k->at + n, (size_t)k->n - n, t->hash + 3);
        else t->hash = hash64(k->at, (size_t)k->n, t->hash + 4);
    }
}

static Tokens tokens_of(char *text, const KernelText *k)
{
    Tokens t = {.text = text};
    cut(&t);
    find_free(&t, k);
    find_units(&t, (k->k->cls == KERNEL_REDUCE || k->k->cls == KERNEL_MAP) && k->k->bytes <= SMALL_SUM);
    find_locals(&t);
    hash_tokens(&t, k->k->name);
    return t;
}

static void tokens_free(Tokens *t)
{
    for (int i = 0; i < t->n; i++) free(t->tok[i].name);
    free(t->tok);
    free(t->text);
}

/* ---- one text for several ---- */
typedef struct { char *name; bool real; double *value; } Given;      /* value: per member */
typedef struct { Backend *b; int n; const int *member; Tokens *t; int *at; int n_number, cap; Given *number; } Group;    /* at: where each member is */

static const Token *now(const Group *g, int m) { return &g->t[m].tok[g->at[m]]; }

static bool equal(const Token *x, const Token *y) { return x->n == y->n && !memcmp(x->at, y->at, (size_t)x->n); }

static bool all_equal(const Group *g)
{
    for (int m = 1; m < g->n; m++) if (!equal(now(g, 0), now(g, m))) return false;
    return true;
}

/* The number of the launch with these values (taken): one that is there with the same values, or a new one called `base`, or base_2. */
static const char *launch_number(Group *g, const char *base, bool real, double *value)
{
    char *name = xstrdup(base);
    for (int n = 2, q = 0; q < g->n_number; q++) {
        const Given *x = &g->number[q];
        if (strcmp(x->name, name)) continue;
        free(name);
        if (x->real == real && !memcmp(x->value, value, sizeof *value * (size_t)g->n)) { free(value); return x->name; }
        name = xasprintf("%s_%d", base, n++);
        q = -1;
    }
    vec_push(g->number, g->n_number, g->cap, ((Given){name, real, value}));
    return name;
}

/* A comment with the numbers that differ side by side: [n:128, c:256|384]. */
static void comment(StrBuf *b, const Group *g)
{
    const char *at[64];
    int n = MIN(g->n, 64);
    for (int m = 0; m < n; m++) at[m] = now(g, m)->at;
    const char *end = at[0] + now(g, 0)->n;
    while (at[0] < end) {
        if (!isdigit((unsigned char)*at[0])) {
            for (int m = 1; m < n; m++) if (*at[m] != *at[0]) { sb_write(b, at[0], (size_t)(end - at[0])); return; }
            sb_putc(b, *at[0]);
            for (int m = 0; m < n; m++) at[m]++;
            continue;
        }
        int shown = 0, len[64];
        for (int m = 0; m < n; m++) for (len[m] = 0; isdigit((unsigned char)at[m][len[m]]); len[m]++) { }
        for (int m = 0; m < n; m++) {
            bool said = false;
            for (int q = 0; q < m && !said; q++) said = len[q] == len[m] && !memcmp(at[q], at[m], (size_t)len[m]);
            if (!said) sb_printf(b, "%s%.*s", shown++ ? "|" : "", len[m], at[m]);
        }
        for (int m = 0; m < n; m++) at[m] += len[m];
    }
}

/* The members' units of kind u, or what they mean where they are missing. False: they are all the same, and stay as they are. */
static bool unit_values(const Group *g, Unit u, double *value)
{
    bool same = true;
    for (int m = 0; m < g->n; m++) {
        const Token *k = now(g, m);
        value[m] = u == UNIT_FIRST ? 0 : 1;
        if (k->unit == u) value[m] = strtod(k[k->unit_n - 1].at, NULL);
        same &= k->unit == u && equal(&k[k->unit_n - 1], &now(g, 0)[now(g, 0)->unit_n - 1]);
        if (u == UNIT_SHIFT) value[m] = log2(value[m]);
    }
    return !same;
}

/* Prints the units that begin here and passes them. word: the variable before, which a shift encloses, not yet printed; or NULL. */
static void print_units(StrBuf *b, Group *g, const Token *word)
{
    for (;;) {
        int first = 0;
        while (first < g->n && !now(g, first)->unit) first++;
        if (first == g->n) break;
        const Token *k = now(g, first);
        const Unit u = k->unit;
        if (u == UNIT_ROUND) {
            if (word) sb_write(b, word->at, (size_t)word->n);
            word = NULL;
            for (int i = 0; i < k->unit_n; i++) sb_write(b, k[i].at, (size_t)k[i].n);
            for (int m = 0; m < g->n; m++) if (now(g, m)->unit == u) g->at[m] += now(g, m)->unit_n;
            continue;
        }
        double *value = xmalloc(sizeof *value * (size_t)g->n);
        const bool vary = unit_values(g, u, value);
        if (vary && u == UNIT_SHIFT) sb_putc(b, '(');
        if (word) sb_write(b, word->at, (size_t)word->n);
        word = NULL;
        if (!vary) {
            for (int i = 0; i < k->unit_n; i++) sb_write(b, k[i].at, (size_t)k[i].n);
            free(value);
        } else {
            static const char *const SIGN[] = {[UNIT_FACTOR] = " * ", [UNIT_DIVISOR] = " / ", [UNIT_SHIFT] = " >> ", [UNIT_PARTS] = "/", [UNIT_FIRST] = " + "};
            sb_printf(b, "%sargs.%s%s", SIGN[u], launch_number(g, k[k->unit_n - 1].name, u == UNIT_FACTOR || u == UNIT_DIVISOR, value), u == UNIT_SHIFT ? ")" : "");
        }
        for (int m = 0; m < g->n; m++) if (now(g, m)->unit == u) g->at[m] += now(g, m)->unit_n;
    }
    if (word) sb_write(b, word->at, (size_t)word->n);
}

/* The operator before a divisor that is a power of two in all members: does that one differ? */
static bool divisor_differs(Group *g)
{
    for (int m = 0; m < g->n; m++) g->at[m] = after(&g->t[m], g->at[m]);
    const bool differs = !all_equal(g);
    for (int m = 0; m < g->n; m++) g->at[m] = before(&g->t[m], g->at[m]);
    return differs;
}

static void print_token(StrBuf *b, Group *g)
{
    const Token *k = now(g, 0), *word = NULL;
    if (k->kind == TOK_COMMENT) comment(b, g);
    else if (k->power < 0 && divisor_differs(g)) sb_puts(b, k->power == -1 ? ">>" : "&");
    else if (!k->free || all_equal(g)) word = k;     /* names of variables and of the kernel are the first one's */
    else {
        double *value = xmalloc(sizeof *value * (size_t)g->n);
        for (int m = 0; m < g->n; m++) {
            value[m] = strtod(now(g, m)->at, NULL);
            if (k->power) value[m] = k->power == 1 ? log2(value[m]) : value[m] - 1;
        }
        sb_printf(b, "args.%s", launch_number(g, k->name, k->kind == TOK_FLOAT, value));
    }
    for (int m = 0; m < g->n; m++) g->at[m]++;
    if (g->at[0] < g->t[0].n) print_units(b, g, word);
    else if (word) sb_write(b, word->at, (size_t)word->n);
}

/* "    int x0_n, x0_h;\n    float factor;\n" */
static void declare(StrBuf *b, const Group *g)
{
    for (int real = 0; real < 2; real++) {
        int n = 0;
        for (int q = 0; q < g->n_number; q++)
            if (g->number[q].real == real) sb_printf(b, "%s%s", n++ ? ", " : real ? "    float " : "    int ", g->number[q].name);
        if (n) sb_puts(b, ";  /* of the launch */\n");
    }
}

static void give_numbers(Group *g)
{
    for (int m = 0; m < g->n; m++) {
        CudaText *c = g->b->text[g->member[m]].cuda;
        c->number = xcalloc((size_t)g->n_number + 1, sizeof *c->number);
        for (int real = 0; real < 2; real++)
            for (int q = 0; q < g->n_number; q++) {
                const Given *x = &g->number[q];
                if (x->real == real) c->number[c->n_number++] = (CudaNumber){arena_strdup(g->b->m->arena, x->name), real, x->value[m]};
            }
    }
}

static void merge(Group *g)
{
    StrBuf body = {0}, text = {0};
    while (g->at[0] < g->t[0].n) print_token(&body, g);
    char *buf = strstr(body.s, "    void *buf["), *end = buf ? strchr(buf, '\n') + 1 : NULL;
    CHECK_BUG(end);
    sb_write(&text, body.s, (size_t)(end - body.s));
    declare(&text, g);
    sb_puts(&text, end);
    give_numbers(g);
    sb_free(&body);
    KernelText *first = &g->b->text[g->member[0]];
    free(first->cuda->body);
    first->cuda->body = text.s;
    for (int m = 1; m < g->n; m++) {
        CudaText *c = g->b->text[g->member[m]].cuda;
        c->owner = g->member[0];
        free(c->body);
        c->body = NULL;
    }
    first->cuda->n_user = g->n;
    first->cuda->user = xmalloc(sizeof(int) * (size_t)g->n);
    memcpy(first->cuda->user, g->member, sizeof(int) * (size_t)g->n);
    for (int q = 0; q < g->n_number; q++) {
        free(g->number[q].name);
        free(g->number[q].value);
    }
    free(g->number);
}

/* Prints the members anew with room for as many instances as the largest launch of any of them has, and joins them. */
static void share(Backend *b, int n, const int *member)
{
    int most = 1;
    for (int m = 0; m < n; m++) most = MAX(most, b->text[member[m]].cuda->instances);
    Group g = {.b = b, .n = n, .member = member, .t = xcalloc((size_t)n, sizeof *g.t), .at = xcalloc((size_t)n, sizeof *g.at)};
    for (int m = 0; m < n; m++) {
        KernelText *t = &b->text[member[m]];
        CudaText *c = cuda_print(t->l, t->k, most);
        g.t[m] = tokens_of(c->body, t);
        t->cuda->instances = most;
        c->body = NULL;
        cuda_text_free(c);
        CHECK_BUG(g.t[m].hash == g.t[0].hash);
    }
    merge(&g);
    for (int m = 0; m < n; m++) {
        CHECK_BUG(g.at[m] == g.t[m].n);
        tokens_free(&g.t[m]);
    }
    free(g.t);
    free(g.at);
}

void share_cuda(Backend *b)
{
    Tokens *t = xcalloc((size_t)b->n_text + 1, sizeof *t);
    int *member = xcalloc((size_t)b->n_text + 1, sizeof *member);
    bool *done = xcalloc((size_t)b->n_text + 1, 1);
    for (int i = 0; i < b->n_text; i++) {
        CudaText *c = cuda_print(b->text[i].l, b->text[i].k, 2);
        t[i] = tokens_of(c->body, &b->text[i]);
        c->body = NULL;
        cuda_text_free(c);
    }
    for (int i = 0; i < b->n_text; i++) {
        int n = 0;
        for (int j = i; j < b->n_text && !done[i]; j++)
            if (!done[j] && t[j].hash == t[i].hash && b->text[j].cuda->n_entries == b->text[i].cuda->n_entries) member[n++] = j;
        for (int m = 0; m < n; m++) done[member[m]] = true;
        if (n > 1) share(b, n, member);
    }
    for (int i = 0; i < b->n_text; i++) tokens_free(&t[i]);
    free(t);
    free(member);
    free(done);
}
