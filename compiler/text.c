/* Graphs as text, written and read back (docs/graph.md). Reading keeps every node and id: nothing is folded or interned.
   Assumes nothing about text that is read: every node is checked (verify.c) before it is accepted. */
#include "compiler/graph.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <setjmp.h>

/* ---- writing ---- */
static void put_real(StrBuf *b, double v)
{
    if (isnan(v)) sb_puts(b, "nan");
    else if (isinf(v)) sb_puts(b, v < 0 ? "-inf" : "inf");
    else sb_printf(b, "%a", v);
}

static bool plain_file(const char *s)
{
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_./+-", *p)) return false;
    return *s != 0;
}

static void put_string(StrBuf *b, const char *key, const char *s)
{
    sb_printf(b, " %s%s", key, *key ? " " : "");
    sb_json_string(b, s ? s : "");
}

static void put_groups(StrBuf *b, int n, const int *count, const int64_t *factor, const int *index)
{
    for (int i = 0, f = 0; i < n; i++) {
        sb_putc(b, '(');
        for (int k = 0; k < count[i]; k++, f++) sb_printf(b, "%s%lld", k ? " " : "", factor ? (long long)factor[f] : (long long)index[f]);
        sb_putc(b, ')');
    }
}

static const char *const draw_name[] = { [DRAW_UNIFORM] = "uniform", [DRAW_NORMAL] = "normal", [DRAW_BERNOULLI] = "bernoulli" };

static void put_attributes(StrBuf *b, const Module *m, const Node *n)
{
    const Attr *a = &n->a;
    switch (n->op) {
    case OP_input: put_string(b, "", a->input.name); break;
    case OP_param:
        if (m && a->param.index < m->n_params) put_string(b, "", m->params[a->param.index].name);
        else sb_printf(b, " \"#%d\"", a->param.index);
        put_string(b, "set", a->param.set);
        break;
    case OP_const: sb_putc(b, ' '); put_real(b, a->konst.value); break;
    case OP_scalar: sb_printf(b, " %d", a->scalar.index); break;
    case OP_draw:
        sb_printf(b, " %s", draw_name[a->draw.kind]);
        if (a->draw.kind == DRAW_BERNOULLI && !n->n_in) { sb_puts(b, " p "); put_real(b, a->draw.p); }
        put_string(b, "stream", a->draw.stream);
        put_string(b, "path", a->draw.path);
        break;
    case OP_nan_to_num:
        sb_puts(b, " nan "); put_real(b, a->nan_to_num.nan);
        sb_puts(b, " inf "); put_real(b, a->nan_to_num.inf);
        break;
    case OP_rename: sb_printf(b, " %s %s", a->rename.from, a->rename.to); break;
    case OP_rearrange:
        sb_putc(b, ' ');
        put_groups(b, a->rearrange->n_in, a->rearrange->in_count, a->rearrange->factor, NULL);
        sb_puts(b, " -> ");
        put_groups(b, a->rearrange->n_out, a->rearrange->out_count, NULL, a->rearrange->out_factor);
        break;
    case OP_slice: sb_printf(b, " %s %lld %lld", a->slice.axis, (long long)a->slice.start, (long long)a->slice.len); break;
    case OP_pick: sb_printf(b, " %s %lld", a->pick.axis, (long long)a->pick.index); break;
    case OP_pad: sb_printf(b, " %s %lld %lld", a->pad.axis, (long long)a->pad.lo, (long long)a->pad.hi); break;
    case OP_concat: sb_printf(b, " %s", a->concat.axis); break;
    case OP_repeat: sb_printf(b, " %s %lld", a->repeat.axis, (long long)a->repeat.times); break;
    case OP_window:
        sb_printf(b, " %s %s k %lld stride %lld dil %lld pad %lld out %lld", a->window.axis, a->window.kaxis, (long long)a->window.k,
                  (long long)a->window.stride, (long long)a->window.dil, (long long)a->window.pad, (long long)a->window.out);
        break;
    case OP_unwindow:
        sb_printf(b, " %s %s stride %lld dil %lld pad %lld out %lld", a->unwindow.axis, a->unwindow.kaxis, (long long)a->unwindow.stride,
                  (long long)a->unwindow.dil, (long long)a->unwindow.pad, (long long)a->unwindow.out);
        break;
    case OP_expand: sb_printf(b, " %s %lld", a->expand.axis, (long long)a->expand.size); break;
    default:
        if (op_info[n->op].cls != OPC_REDUCE && op_info[n->op].cls != OPC_COMPOSITE) break;
        for (int i = 0; i < a->reduce.n; i++) sb_printf(b, "%s%s", i ? "," : " (", a->reduce.axis[i]);
        sb_putc(b, ')');
        if (n->op == OP_standardize) { sb_puts(b, " eps "); put_real(b, a->reduce.eps); }
    }
}

static void put_node(StrBuf *b, const Module *m, const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    sb_printf(b, "%%%u = %s", r, op_info[n->op].name);
    put_attributes(b, m, n);
    for (int i = 0; i < n->n_in; i++) sb_printf(b, " %%%u", n->in[i]);
    sb_puts(b, " [");
    for (int i = 0; i < n->n_axes; i++) sb_printf(b, "%s%s:%lld", i ? "," : "", n->axes[i].role, (long long)n->axes[i].size);
    sb_puts(b, n->type == T_BOOL ? "] bool" : "]");
    if (n->precision) sb_printf(b, " precision %s", number_info[n->precision - 1].name);
    if (g->held && g->held[r]) sb_puts(b, " held");
    if (g->into && g->into[r]) sb_printf(b, " into %%%u", g->into[r]);
    if (n->at.file && *n->at.file) {
        sb_puts(b, " @");
        if (plain_file(n->at.file)) sb_puts(b, n->at.file);
        else sb_json_string(b, n->at.file);
        sb_printf(b, ":%d:%d", n->at.line, n->at.col);
    }
    if (n->at.path && *n->at.path) put_string(b, "", n->at.path);
}

void graph_print(StrBuf *b, const Module *m, const Graph *g)
{
    for (Ref r = 1; r < g->n; r++) {
        put_node(b, m, g, r);
        sb_putc(b, '\n');
    }
    for (int i = 0; i < g->n_out; i++) {
        sb_puts(b, "out ");
        sb_json_string(b, g->out[i].name);
        sb_printf(b, " %%%u\n", g->out[i].ref);
    }
}

char *node_text(const Module *m, const Graph *g, Ref r)
{
    StrBuf b = { 0 };
    put_node(&b, m, g, r);
    return b.s;
}

/* ---- reading ---- */
typedef struct {
    const char *p; int line; Graph *g; Module *m;
    Ref *in; int n_in, in_cap;
    bool *held; Ref *into; int n_held, held_cap, n_into, into_cap; bool fused;       /* per node: what fuse decided, if the text says it */
    StrBuf str; char *err; jmp_buf out;
} Text;

static void fail(Text *t, const char *fmt, ...) PRINTF(2, 3) NORETURN;
static void fail(Text *t, const char *fmt, ...)
{
    char msg[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    t->err = xasprintf("line %d: %s", t->line, msg);
    longjmp(t->out, 1);
}

static void skip(Text *t)
{
    while (*t->p == ' ' || *t->p == '\t' || *t->p == '\r') t->p++;
    if (*t->p == '#')
        while (*t->p && *t->p != '\n') t->p++;
}

static bool at(Text *t, char c)
{
    skip(t);
    return *t->p == c;
}

static bool take(Text *t, char c)
{
    if (!at(t, c)) return false;
    t->p++;
    return true;
}

static void need(Text *t, char c)
{
    if (!take(t, c)) fail(t, "expected `%c` before `%.20s`", c, t->p);
}

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '\''; }

static Sym word(Text *t, const char *what)
{
    skip(t);
    const char *s = t->p;
    if (!isalpha((unsigned char)*s) && *s != '_') fail(t, "expected %s before `%.20s`", what, s);
    while (word_char(*t->p)) t->p++;
    if (t->p - s > 200) fail(t, "the name is longer than 200 characters");
    return symn(s, (size_t)(t->p - s));
}

static void keyword(Text *t, const char *k)
{
    if (strcmp(word(t, k), k)) fail(t, "expected `%s`", k);
}

static int64_t integer(Text *t, int64_t lo, int64_t hi)
{
    skip(t);
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)*t->p) && *t->p != '-') fail(t, "expected an integer before `%.20s`", t->p);
    long long v = strtoll(t->p, &end, 10);
    if (end == t->p || errno || v < lo || v > hi) fail(t, "integer out of range at `%.20s`", t->p);
    t->p = end;
    return v;
}

static int64_t size(Text *t) { return integer(t, INT64_MIN / 4, INT64_MAX / 4); }

static double real(Text *t)
{
    skip(t);
    char *end;
    bool word_ok = !strncmp(t->p, "nan", 3) || !strncmp(t->p, "inf", 3) || !strncmp(t->p, "-inf", 4);
    if (!word_ok && !isdigit((unsigned char)*t->p) && *t->p != '-' && *t->p != '.') fail(t, "expected a number before `%.20s`", t->p);
    double v = strtod(t->p, &end);
    if (end == t->p || (word_char(*end) && *end != '.')) fail(t, "bad number at `%.20s`", t->p);
    t->p = end;
    return v;
}

static void put_utf8(StrBuf *b, unsigned u)
{
    if (u < 0x80) sb_putc(b, (char)u);
    else if (u < 0x800) { sb_putc(b, (char)(0xc0 | u >> 6)); sb_putc(b, (char)(0x80 | (u & 63))); }
    else { sb_putc(b, (char)(0xe0 | u >> 12)); sb_putc(b, (char)(0x80 | (u >> 6 & 63))); sb_putc(b, (char)(0x80 | (u & 63))); }
}

static Sym string(Text *t)
{
    need(t, '"');
    t->str.len = 0;
    while (*t->p != '"') {
        if (!*t->p || *t->p == '\n') fail(t, "the string does not end on its line");
        if (*t->p != '\\') { sb_putc(&t->str, *t->p++); continue; }
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        char e = *++t->p;
        const char *f = e ? strchr(from, e) : NULL;
        if (f) {
            sb_putc(&t->str, to[f - from]);
        } else {
            char hex[5] = { 0 };
            for (int i = 0; e == 'u' && i < 4 && isxdigit((unsigned char)t->p[i + 1]); i++) hex[i] = t->p[i + 1];
            unsigned u = (unsigned)strtoul(hex, NULL, 16);
            if (!hex[3] || u == 0 || (u >= 0xd800 && u < 0xe000)) fail(t, "bad escape in a string");
            put_utf8(&t->str, u);
            t->p += 4;
        }
        t->p++;
    }
    t->p++;
    return t->str.len ? symn(t->str.s, t->str.len) : sym("");
}

static int groups(Text *t, int *count, int64_t *factor, int *index, int *total)
{
    int n = 0;
    *total = 0;
    while (take(t, '(')) {
        if (n == MAX_AXES) fail(t, "more than %d axes", MAX_AXES);
        count[n] = 0;
        while (!take(t, ')')) {
            if (*total == 2 * MAX_AXES) fail(t, "too many factors");
            if (factor) factor[(*total)++] = size(t);
            else index[(*total)++] = (int)integer(t, 0, 2 * MAX_AXES);
            count[n]++;
        }
        n++;
    }
    return n;
}

static void read_rearrange(Text *t, Attr *a)
{
    Rearrange *r = a->rearrange = arena_make(t->g->arena, Rearrange, 1);
    int used;
    r->n_in = groups(t, r->in_count, r->factor, NULL, &r->n_factors);
    need(t, '-');
    need(t, '>');
    r->n_out = groups(t, r->out_count, NULL, r->out_factor, &used);
    if (used != r->n_factors) fail(t, "every factor must be used once");
}

/* Parameters are found by name; one the module lacks is added to it, so that a dump is enough by itself.
   "#3" is parameter 3 of no module. */
static int param_index(Text *t, Sym name)
{
    Module *m = t->m;
    if (!m || name[0] == '#') {
        char *end;
        long v = name[0] == '#' ? strtol(name + 1, &end, 10) : -1;
        if (v < 0 || v > 1 << 24 || *end) fail(t, "without a module a parameter is called \"#NUMBER\"");
        return (int)v;
    }
    for (int i = 0; i < m->n_params; i++)
        if (m->params[i].name == name) return i;
    if (!m->arena) fail(t, "unknown parameter `%.80s`", name);
    Param *p = arena_make(m->arena, Param, m->n_params + 1);
    if (m->n_params) memcpy(p, m->params, sizeof *p * (size_t)m->n_params);
    p[m->n_params].name = name;
    m->params = p;
    return m->n_params++;
}

static void read_attributes(Text *t, Node *n)
{
    Attr *a = &n->a;
    switch (n->op) {
    case OP_input: a->input.name = string(t); break;
    case OP_param:
        a->param.index = param_index(t, string(t));
        keyword(t, "set");
        a->param.set = string(t);
        break;
    case OP_const: a->konst.value = real(t); break;
    case OP_scalar: a->scalar.index = (int)integer(t, 0, 1 << 24); break;
    case OP_draw: {
        Sym k = word(t, "uniform, normal or bernoulli");
        for (int i = 0;; i++) {
            if (i == (int)COUNT(draw_name)) fail(t, "expected uniform, normal or bernoulli, not `%s`", k);
            if (!strcmp(k, draw_name[i])) { a->draw.kind = (DrawKind)i; break; }
        }
        if (at(t, 'p')) { keyword(t, "p"); a->draw.p = real(t); }
        keyword(t, "stream"); a->draw.stream = string(t);
        keyword(t, "path"); a->draw.path = string(t);
        break;
    }
    case OP_nan_to_num:
        keyword(t, "nan"); a->nan_to_num.nan = real(t);
        keyword(t, "inf"); a->nan_to_num.inf = real(t);
        break;
    case OP_rename: a->rename.from = word(t, "an axis"); a->rename.to = word(t, "an axis"); break;
    case OP_rearrange: read_rearrange(t, a); break;
    case OP_slice: a->slice.axis = word(t, "an axis"); a->slice.start = size(t); a->slice.len = size(t); break;
    case OP_pick: a->pick.axis = word(t, "an axis"); a->pick.index = size(t); break;
    case OP_pad: a->pad.axis = word(t, "an axis"); a->pad.lo = size(t); a->pad.hi = size(t); break;
    case OP_concat: a->concat.axis = word(t, "an axis"); break;
    case OP_repeat: a->repeat.axis = word(t, "an axis"); a->repeat.times = size(t); break;
    case OP_window:
        a->window.axis = word(t, "an axis"); a->window.kaxis = word(t, "an axis");
        keyword(t, "k"); a->window.k = size(t);
        keyword(t, "stride"); a->window.stride = size(t);
        keyword(t, "dil"); a->window.dil = size(t);
        keyword(t, "pad"); a->window.pad = size(t);
        keyword(t, "out"); a->window.out = size(t);
        break;
    case OP_unwindow:
        a->unwindow.axis = word(t, "an axis"); a->unwindow.kaxis = word(t, "an axis");
        keyword(t, "stride"); a->unwindow.stride = size(t);
        keyword(t, "dil"); a->unwindow.dil = size(t);
        keyword(t, "pad"); a->unwindow.pad = size(t);
        keyword(t, "out"); a->unwindow.out = size(t);
        break;
    case OP_expand: a->expand.axis = word(t, "an axis"); a->expand.size = size(t); break;
    default:
        if (op_info[n->op].cls != OPC_REDUCE && op_info[n->op].cls != OPC_COMPOSITE) break;
        need(t, '(');
        do {
            if (a->reduce.n == MAX_AXES) fail(t, "more than %d axes", MAX_AXES);
            a->reduce.axis[a->reduce.n++] = word(t, "an axis");
        } while (take(t, ','));
        need(t, ')');
        if (n->op == OP_standardize) { keyword(t, "eps"); a->reduce.eps = real(t); }
    }
}

static Ref reference(Text *t)
{
    need(t, '%');
    Ref r = (Ref)integer(t, 1, INT_MAX);
    if (r >= t->g->n) fail(t, "%%%u is not defined yet", r);
    return r;
}

static void read_origin(Text *t, Origin *o)
{
    if (take(t, '@')) {
        if (*t->p == '"') {
            o->file = string(t);
        } else {
            const char *s = t->p;
            while (*t->p && *t->p != ':' && !isspace((unsigned char)*t->p)) t->p++;
            o->file = symn(s, (size_t)(t->p - s));
        }
        need(t, ':');
        o->line = (int)integer(t, 0, INT_MAX);
        need(t, ':');
        o->col = (int)integer(t, 0, INT_MAX);
    }
    if (at(t, '"')) o->path = string(t);
}

static void read_node(Text *t)
{
    Node n = { 0 };
    Axis axes[MAX_AXES];
    if ((Ref)integer(t, 1, INT_MAX) != t->g->n) fail(t, "ids must count up: %%%u comes next", t->g->n);
    need(t, '=');
    Sym name = word(t, "an operation");
    while (n.op < OP_COUNT && strcmp(op_info[n.op].name, name)) n.op++;
    if (n.op == OP_COUNT) fail(t, "unknown operation `%s`", name);
    read_attributes(t, &n);
    t->n_in = 0;
    while (at(t, '%')) {
        if (t->n_in == 1 << 20) fail(t, "too many operands");
        vec_push(t->in, t->n_in, t->in_cap, reference(t));
    }
    need(t, '[');
    while (!take(t, ']')) {
        if (n.n_axes) need(t, ',');
        if (n.n_axes == MAX_AXES) fail(t, "more than %d axes", MAX_AXES);
        axes[n.n_axes].role = word(t, "an axis");
        need(t, ':');
        axes[n.n_axes++].size = size(t);
    }
    if (at(t, 'b')) { keyword(t, "bool"); n.type = T_BOOL; }
    if (at(t, 'p')) {
        keyword(t, "precision");
        Sym p = word(t, "a precision");
        if (number_named(p) == N_NUMBERS) fail(t, "expected f32, tf32, bf16 or f16, not `%s`", p);
        n.precision = (Precision)(1 + number_named(p));
    }
    bool held = false;
    Ref into = 0;
    if (at(t, 'h')) { keyword(t, "held"); held = true; }
    if (at(t, 'i')) { keyword(t, "into"); need(t, '%'); into = (Ref)integer(t, 1, INT_MAX); }
    t->fused |= held || into;
    vec_push(t->held, t->n_held, t->held_cap, held);
    vec_push(t->into, t->n_into, t->into_cap, into);
    read_origin(t, &n.at);
    n.in = t->in;
    n.n_in = t->n_in;
    n.axes = axes;
    Ref r = graph_add(t->g, &n, false);
    char *err = graph_check(t->g, r);
    if (err) {
        t->err = xasprintf("line %d: %s: %s", t->line, name, err);
        free(err);
        longjmp(t->out, 1);
    }
}

Graph *graph_parse(const char *text, Module *m, char **err)
{
    Text t = { .p = text, .line = 1, .g = graph_new(), .m = m };
    *err = NULL;
    if (!setjmp(t.out)) {
        for (; skip(&t), *t.p; t.p++, t.line++) {
            if (take(&t, '%')) {
                read_node(&t);
            } else if (*t.p != '\n') {
                keyword(&t, "out");
                Sym name = string(&t);
                graph_output(t.g, name, reference(&t));
            }
            skip(&t);
            if (!*t.p) break;
            if (*t.p != '\n') fail(&t, "unexpected text `%.20s` at the end of the line", t.p);
        }
    }
    if (!t.err && t.fused) {                         /* node 0 is unused */
        t.g->held = xcalloc(t.g->n, sizeof *t.g->held);
        t.g->into = xcalloc(t.g->n, sizeof *t.g->into);
        for (Ref r = 1; r < t.g->n; r++) {
            t.g->held[r] = t.held[r - 1];
            t.g->into[r] = t.into[r - 1];
            if (t.g->into[r] >= t.g->n && !t.err) t.err = xasprintf("node %%%u ends in %%%u, which does not exist", r, t.g->into[r]);
        }
    }
    free(t.in);
    free(t.held);
    free(t.into);
    sb_free(&t.str);
    if (!t.err) return t.g;
    *err = t.err;
    graph_drop(t.g);
    return NULL;
}
