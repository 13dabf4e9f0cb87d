/* Parser of graph text for the interpreters. Reads line by line; whatever is wrong ends the parse with the line's number.
   Assumes nothing of the text: axes, sizes and attributes of every node are checked against its operands. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include "runtime/ref_graph.h"

const RefOpInfo ref_ops[R_COUNT] = {
#define REF_OP(name, n, cls) {#name, n, REF_##cls},
    REF_OPS
#undef REF_OP
};
static const int64_t MAX_ELEMENTS = (int64_t)1 << 48;       /* of a node: views are virtual */
enum { MAX_NODES = 4 << 20 };

typedef struct {
    RefGraph *g;
    const Plan *plan;
    const char *at;
    int line, cap, out_cap;
    int *index, n_index;                                     /* id -> node, -1 */
    char *err;
    jmp_buf out;
} Text;

static NORETURN void bad(Text *t, const char *fmt, ...) PRINTF(2, 3);
static NORETURN void bad(Text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *what = NULL;
    if (vasprintf(&what, fmt, ap) < 0) what = NULL;
    va_end(ap);
    t->err = xasprintf("line %d: %s", t->line, what ? what : "bad");
    for (char *c = t->err; *c; c++) if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    free(what);
    longjmp(t->out, 1);
}

/* ---- tokens ---- */
static void blanks(Text *t) { while (*t->at == ' ' || *t->at == '\t' || *t->at == '\r') t->at++; }
static bool at_end(Text *t) { blanks(t); return !*t->at || *t->at == '\n' || *t->at == '#'; }
static bool accept(Text *t, const char *s)
{
    blanks(t);
    size_t n = strlen(s);
    if (strncmp(t->at, s, n)) return false;
    t->at += n;
    return true;
}
static void expect(Text *t, const char *s) { if (!accept(t, s)) bad(t, "expected `%s` at `%.20s`", s, t->at); }
static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.' || c == '\''; }
static Sym word(Text *t)
{
    blanks(t);
    const char *s = t->at;
    while (word_char(*t->at)) t->at++;
    if (t->at == s || t->at - s > 200) bad(t, "expected a name at `%.20s`", s);
    return symn(s, (size_t)(t->at - s));
}
static void keyword(Text *t, const char *s)
{
    if (word(t) != sym(s)) bad(t, "expected `%s`", s);
}
static int64_t integer(Text *t, int64_t lo, int64_t hi)
{
    blanks(t);
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)*t->at) && *t->at != '-') bad(t, "expected a number at `%.20s`", t->at);
    long long v = strtoll(t->at, &end, 10);
    if (end == t->at || errno || v < lo || v > hi)
        bad(t, "the number `%.*s` is outside %lld .. %lld", (int)MIN(end - t->at + 1, 30), t->at, (long long)lo, (long long)hi);
    t->at = end;
    return v;
}
static double real(Text *t)
{
    blanks(t);
    char *end;
    if (isspace((unsigned char)*t->at)) bad(t, "expected a number");
    double v = strtod(t->at, &end);
    if (end == t->at) bad(t, "expected a number at `%.20s`", t->at);
    t->at = end;
    return v;
}
static const char *string(Text *t)
{
    expect(t, "\"");
    StrBuf b = {0};
    sb_puts(&b, "");
    while (*t->at && *t->at != '"' && *t->at != '\n') {
        char c = *t->at++;
        if (c == '\\' && *t->at) {
            c = *t->at++;
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        sb_putc(&b, c);
    }
    char *s = arena_strndup(t->g->arena, b.len ? b.s : "", b.len);
    sb_free(&b);
    expect(t, "\"");
    return s;
}
static int operand(Text *t)
{
    expect(t, "%");
    int64_t id = integer(t, 0, MAX_NODES);
    int k = id < t->n_index ? t->index[id] : -1;
    if (k < 0) bad(t, "%%%lld is not defined above", (long long)id);
    return k;
}

/* ---- axes ---- */
static int find_role(const PlanShape *s, Sym role)
{
    for (int i = 0; i < s->n; i++) if (s->role[i] == role) return i;
    return -1;
}
static int need_role(Text *t, const PlanShape *s, Sym role)
{
    int i = find_role(s, role);
    if (i < 0) bad(t, "there is no axis `%s`", role);
    return i;
}
static void axes(Text *t, RefNode *n)
{
    expect(t, "[");
    n->elements = 1;
    while (!accept(t, "]")) {
        if (n->shape.n) expect(t, ",");
        Sym role = word(t);
        expect(t, ":");
        if (n->shape.n == PLAN_MAX_AXES) bad(t, "more than %d axes", PLAN_MAX_AXES);
        if (find_role(&n->shape, role) >= 0) bad(t, "axis `%s` twice", role);
        n->shape.role[n->shape.n] = role;
        n->shape.size[n->shape.n++] = integer(t, 0, (int64_t)1 << 40);
        if (__builtin_mul_overflow(n->elements, n->shape.size[n->shape.n - 1], &n->elements) || n->elements > MAX_ELEMENTS)
            bad(t, "absurdly large");
    }
}
static int64_t size_of(const RefNode *n, Sym role)
{
    int i = find_role(&n->shape, role);
    return i < 0 ? -1 : n->shape.size[i];
}
/* The output must have exactly: the operand's axes less the n in `drop`, plus the m in `add` with sizes. */
typedef struct { Sym role; int64_t size; } Sized;
static void require(Text *t, const RefNode *n, const RefNode *x, int n_drop, const Sym *drop, int n_add, const Sized *add)
{
    int count = n_add;
    for (int i = 0; i < x->shape.n; i++) {
        bool dropped = false;
        for (int k = 0; k < n_drop; k++) dropped |= drop[k] == x->shape.role[i];
        if (dropped) continue;
        count++;
        if (size_of(n, x->shape.role[i]) != x->shape.size[i])
            bad(t, "axis `%s` must have size %lld", x->shape.role[i], (long long)x->shape.size[i]);
    }
    for (int k = 0; k < n_add; k++)
        if (size_of(n, add[k].role) != add[k].size) bad(t, "axis `%s` must have size %lld", add[k].role, (long long)add[k].size);
    if (count != n->shape.n) bad(t, "it has %d axes, not %d", n->shape.n, count);
}
/* Element-wise: the output's axes are the union of the operands'. */
static void require_union(Text *t, const RefNode *n)
{
    bool covered[PLAN_MAX_AXES] = {0};
    for (int i = 0; i < n->n_in; i++) {
        const RefNode *x = &t->g->node[n->in[i]];
        for (int k = 0; k < x->shape.n; k++) {
            int o = need_role(t, &n->shape, x->shape.role[k]);
            if (n->shape.size[o] != x->shape.size[k]) bad(t, "axis `%s` has two sizes", x->shape.role[k]);
            covered[o] = true;
        }
    }
    for (int o = 0; o < n->shape.n; o++) if (!covered[o]) bad(t, "no operand has the axis `%s`", n->shape.role[o]);
}

/* ---- attributes: before and after the operands ---- */
static void roles(Text *t, RefNode *n)
{
    expect(t, "(");
    while (!accept(t, ")")) {
        if (n->n_reduced) expect(t, ",");
        if (n->n_reduced == PLAN_MAX_AXES) bad(t, "more than %d axes", PLAN_MAX_AXES);
        Sym r = word(t);
        for (int i = 0; i < n->n_reduced; i++) if (n->reduced_role[i] == r) bad(t, "axis `%s` twice", r);
        n->reduced_role[n->n_reduced++] = r;
    }
}
static void rearrange(Text *t, RefNode *n)
{
    RefRearrange *r = n->rearrange = arena_make(t->g->arena, RefRearrange, 1);
    while (!accept(t, "->")) {
        expect(t, "(");
        if (r->n_in == PLAN_MAX_AXES) bad(t, "more than %d axes", PLAN_MAX_AXES);
        while (!accept(t, ")")) {
            if (r->n_factors == 2 * PLAN_MAX_AXES) bad(t, "too many factors");
            r->in_axis[r->n_factors] = r->n_in;
            r->factor[r->n_factors++] = integer(t, 1, (int64_t)1 << 40);
        }
        r->n_in++;
    }
    int used = 0, out = 0;
    int order[2 * PLAN_MAX_AXES];
    bool seen[2 * PLAN_MAX_AXES] = {0};
    for (blanks(t); *t->at == '('; blanks(t), out++) {
        expect(t, "(");
        while (!accept(t, ")")) {
            int64_t k = integer(t, 0, r->n_factors - 1);
            if (seen[k]) bad(t, "factor %lld twice", (long long)k);
            seen[k] = true;
            order[used++] = (int)k;
            r->out_axis[k] = out;
        }
    }
    if (used != r->n_factors) bad(t, "not all factors are used");
    int64_t stride = 1;
    for (int f = r->n_factors; f--; stride *= r->factor[f]) {
        if (f + 1 == r->n_factors || r->in_axis[f] != r->in_axis[f + 1]) stride = 1;
        r->in_stride[f] = stride;
    }
    for (int i = used; i--; stride *= r->factor[order[i]]) {
        if (i + 1 == used || r->out_axis[order[i]] != r->out_axis[order[i + 1]]) stride = 1;
        r->out_stride[order[i]] = stride;
    }
    n->a = out;
}
static void attributes(Text *t, RefNode *n, Sym names[2])
{
    static const int64_t big = (int64_t)1 << 40, factor = 1 << 20; /* so that no product of an index and a factor overflows */
    switch (n->op) {
    case R_input: n->name = string(t); break;
    case R_param: {
        const char *name = string(t);
        n->index = -1;
        for (int i = 0; i < t->plan->n_params; i++) if (!strcmp(t->plan->param[i].name, name)) n->index = i;
        if (n->index < 0) bad(t, "the plan has no parameter `%s`", name);
        keyword(t, "set");
        const char *set = string(t);
        n->set = -1;
        for (int i = 0; i < t->plan->n_sets; i++) if (!strcmp(t->plan->set[i], set)) n->set = i;
        if (n->set < 0) bad(t, "the plan has no set `%s`", set);
        break;
    }
    case R_const: n->value = real(t); break;
    case R_scalar: n->index = (int)integer(t, 0, t->plan->n_scalars - 1); break;
    case R_draw: {
        Sym kind = word(t);
        n->kind = kind == sym("uniform") ? PLAN_UNIFORM : kind == sym("normal") ? PLAN_NORMAL : PLAN_BERNOULLI;
        if (n->kind == PLAN_BERNOULLI && kind != sym("bernoulli")) bad(t, "`%s` is no kind of draw", kind);
        n->value = -1;
        Sym next = word(t);
        if (next == sym("p")) n->value = real(t), next = word(t);
        if (next != sym("stream")) bad(t, "expected `stream`");
        string(t);
        keyword(t, "path");
        n->name = string(t);
        break;
    }
    case R_nan_to_num: keyword(t, "nan"); n->value = real(t); keyword(t, "inf"); n->inf = real(t); break;
    case R_rename: names[0] = word(t); names[1] = word(t); break;
    case R_rearrange: rearrange(t, n); break;
    case R_slice: names[0] = word(t); n->a = integer(t, 0, big); n->b = integer(t, 0, big); break;
    case R_pick: names[0] = word(t); n->a = integer(t, 0, big); break;
    case R_pad: names[0] = word(t); n->a = integer(t, 0, big); n->b = integer(t, 0, big); break;
    case R_concat: names[0] = word(t); break;
    case R_repeat: names[0] = word(t); n->a = integer(t, 1, factor); break;
    case R_window: case R_unwindow:
        names[0] = word(t);
        names[1] = word(t);
        if (n->op == R_window) { keyword(t, "k"); n->a = integer(t, 1, big); }
        keyword(t, "stride"); n->stride = integer(t, 1, factor);
        keyword(t, "dil"); n->dil = integer(t, -factor, factor);
        keyword(t, "pad"); n->pad = integer(t, -big, big);
        keyword(t, "out"); n->b = integer(t, 0, big);
        break;
    case R_expand: names[0] = word(t); n->b = integer(t, 0, big); break;
    case R_sum: case R_sqdev: case R_rmax: case R_contract: case R_softmax: roles(t, n); break;
    case R_standardize: roles(t, n); keyword(t, "eps"); n->value = real(t); break;
    default: break;
    }
}
static void check_view(Text *t, RefNode *n, const RefNode *x, const Sym names[2])
{
    n->axis = n->kaxis = n->out_axis = n->out_kaxis = -1;
    if (n->op == R_expand) {
        require(t, n, x, 0, NULL, 1, &(Sized){names[0], n->b});
        if (find_role(&x->shape, names[0]) >= 0) bad(t, "the operand has the axis `%s` already", names[0]);
        n->out_axis = find_role(&n->shape, names[0]);
        return;
    }
    if (n->op == R_rearrange) {
        const RefRearrange *r = n->rearrange;
        if (r->n_in != x->shape.n || n->a != n->shape.n) bad(t, "the groups do not fit the axes");
        int64_t in[PLAN_MAX_AXES], out[PLAN_MAX_AXES];
        for (int i = 0; i < PLAN_MAX_AXES; i++) in[i] = out[i] = 1;
        for (int f = 0; f < r->n_factors; f++)
            if (__builtin_mul_overflow(in[r->in_axis[f]], r->factor[f], &in[r->in_axis[f]]) ||
                __builtin_mul_overflow(out[r->out_axis[f]], r->factor[f], &out[r->out_axis[f]])) bad(t, "the factors overflow");
        for (int i = 0; i < x->shape.n; i++)
            if (in[i] != x->shape.size[i]) bad(t, "the factors of `%s` do not multiply to its size", x->shape.role[i]);
        for (int i = 0; i < n->shape.n; i++)
            if (out[i] != n->shape.size[i]) bad(t, "the factors of `%s` do not multiply to its size", n->shape.role[i]);
        return;
    }
    n->axis = need_role(t, &x->shape, names[0]);
    int64_t size = x->shape.size[n->axis];
    Sized out[2] = {{names[0], size}, {names[1], 0}};
    int n_out = 1, n_drop = 1;
    switch (n->op) {
    case R_rename: out[0].role = names[1]; break;
    case R_slice: out[0].size = n->b; if (n->a > size - n->b) bad(t, "the slice ends outside the axis"); break;
    case R_pick: n_out = 0; if (n->a >= size) bad(t, "the index is outside the axis"); break;
    case R_pad: out[0].size = size + n->a + n->b; break;
    case R_repeat: if (__builtin_mul_overflow(size, n->a, &out[0].size)) bad(t, "absurdly large"); break;
    case R_window:
        if (find_role(&x->shape, names[1]) >= 0) bad(t, "the operand has the axis `%s` already", names[1]);
        out[0].size = n->b; out[1].size = n->a; n_out = 2;
        break;
    case R_unwindow:
        n->kaxis = need_role(t, &x->shape, names[1]);
        out[0].size = n->b;
        out[1].size = x->shape.size[n->kaxis];
        n_out = n_drop = 2;
        break;
    case R_concat:
        out[0].size = 0;
        for (int i = 0; i < n->n_in; i++) out[0].size += MAX((int64_t)0, size_of(&t->g->node[n->in[i]], names[0]));
        for (int i = 1; i < n->n_in; i++) require(t, n, &t->g->node[n->in[i]], 1, names, 1, out);
        for (int i = 1; i < n->n_in; i++) need_role(t, &t->g->node[n->in[i]].shape, names[0]);
        break;
    default: bad(t, "no view");
    }
    require(t, n, x, n_drop, names, n_out, out);
    if (n_out) n->out_axis = find_role(&n->shape, out[0].role);
    if (n_out > 1) n->out_kaxis = find_role(&n->shape, out[1].role);
}
/* Tables come from conditions only, so that their numbers are rows. */
static void check_table(Text *t, const RefNode *n, const RefNode *x)
{
    const RefNode *table = n->n_in > 1 ? &t->g->node[n->in[1]] : NULL, *count = n->n_in > 2 ? &t->g->node[n->in[2]] : NULL;
    if (n->is_bool != (n->op == R_take && x->is_bool)) bad(t, "it is of the wrong type");
    if (n->op == R_take) {
        if (!table || (table->op != R_rows_order && table->op != R_rows_rank)) bad(t, "its second operand must be a table of rows");
        if ((count != NULL) != (table->op == R_rows_order) || (count && (count->op != R_rows_count || count->in[0] != table->in[0])))
            bad(t, "`rows_order` comes with the count of its condition, `rows_rank` with none");
        if (size_of(x, table->shape.role[0]) != table->shape.size[0]) bad(t, "axis `%s` is not the table's", table->shape.role[0]);
    } else if (!x->is_bool || x->shape.n != 1) bad(t, "its operand must be a condition over one axis");
    bool scalar = n->op == R_rows_count;
    require(t, n, x, scalar, x->shape.role, 0, NULL);
}
static void check(Text *t, RefNode *n, const Sym names[2])
{
    const RefOpInfo *info = &ref_ops[n->op];
    const RefNode *x = n->n_in ? &t->g->node[n->in[0]] : NULL;
    int want = info->inputs;
    if (want >= 0 ? n->n_in != want : n->op == R_concat ? n->n_in < 1 : n->op == R_take ? n->n_in < 2 || n->n_in > 3 : n->n_in > 1)
        bad(t, "`%s` has %d operands", info->name, n->n_in);
    switch (info->cls) {
    case REF_S:
        if (n->op == R_iota && n->shape.n != 1) bad(t, "`iota` has one axis");
        if ((n->op == R_const || n->op == R_scalar) && n->shape.n) bad(t, "`%s` has no axes", info->name);
        if (n->op == R_draw && x) for (int i = 0; i < x->shape.n; i++) need_role(t, &n->shape, x->shape.role[i]);
        if (n->op == R_draw && n->kind == PLAN_BERNOULLI && !x && !(n->value >= 0 && n->value <= 1))
            bad(t, "`p` is outside 0 .. 1");
        if (n->op == R_draw && n->kind != PLAN_BERNOULLI && x) bad(t, "this draw has no operand");
        if (n->op == R_param) {
            const PlanShape *s = &t->plan->param[n->index].shape;
            if (s->n != n->shape.n) bad(t, "the parameter has %d axes", s->n);
            for (int i = 0; i < s->n; i++) {
                int k = need_role(t, &n->shape, sym(s->role[i]));
                if (n->shape.size[k] != s->size[i])
                    bad(t, "axis `%s` of the parameter has size %lld", s->role[i], (long long)s->size[i]);
            }
        }
        break;
    case REF_E:
        require_union(t, n);
        break;
    case REF_V: check_view(t, n, x, names); break;
    case REF_T: check_table(t, n, x); break;
    case REF_R: case REF_C:
        if (n->op == R_contract) {
            int count = n->n_reduced;
            for (int i = 0; i < n->n_in; i++)
                for (int k = 0; k < t->g->node[n->in[i]].shape.n; k++) {
                    const PlanShape *s = &t->g->node[n->in[i]].shape, *other = &t->g->node[n->in[1 - i]].shape;
                    Sym role = s->role[k];
                    int twin = find_role(other, role);
                    if (twin >= 0 && other->size[twin] != s->size[k]) bad(t, "axis `%s` has two sizes", role);
                    bool reduced = false;
                    for (int r = 0; r < n->n_reduced; r++) reduced |= n->reduced_role[r] == role;
                    if (reduced ? find_role(&n->shape, role) >= 0 : size_of(n, role) != s->size[k])
                        bad(t, "axis `%s` is wrong in the result", role);
                    count += !reduced && (i == 0 || twin < 0);
                }
            for (int r = 0; r < n->n_reduced; r++)
                if (find_role(&x->shape, n->reduced_role[r]) < 0) need_role(t, &t->g->node[n->in[1]].shape, n->reduced_role[r]);
            if (count - n->n_reduced != n->shape.n) bad(t, "it has %d axes, not %d", n->shape.n, count - n->n_reduced);
            break;
        }
        for (int i = 0; i < n->n_reduced; i++) n->reduced[i] = need_role(t, &x->shape, n->reduced_role[i]);
        require(t, n, x, info->cls == REF_R ? n->n_reduced : 0, n->reduced_role, 0, NULL);
        break;
    }
}
static void node_line(Text *t)
{
    RefGraph *g = t->g;
    expect(t, "%");
    int64_t id = integer(t, 0, MAX_NODES - 1);
    expect(t, "=");
    if (id >= t->n_index) {
        int n = (int)MAX(id + 1, MIN((int64_t)2 * t->n_index, MAX_NODES));
        t->index = xrealloc(t->index, (size_t)n * sizeof *t->index);
        for (int i = t->n_index; i < n; i++) t->index[i] = -1;
        t->n_index = n;
    }
    if (t->index[id] >= 0) bad(t, "%%%lld is defined twice", (long long)id);
    Sym name = word(t), names[2] = {NULL, NULL};
    RefNode n = {.line = t->line};
    int op = 0;
    while (op < R_COUNT && strcmp(ref_ops[op].name, name)) op++;
    if (op == R_COUNT) bad(t, "there is no operation `%s`", name);
    n.op = (RefOp)op;
    attributes(t, &n, names);
    int in[4096];
    for (blanks(t); *t->at == '%'; blanks(t)) {
        if (n.n_in == (int)COUNT(in)) bad(t, "too many operands");
        in[n.n_in++] = operand(t);
    }
    n.in = arena_make(g->arena, int, n.n_in + 1);
    memcpy(n.in, in, (size_t)n.n_in * sizeof *in);
    axes(t, &n);
    if (!at_end(t) && !strncmp(t->at, "bool", 4)) keyword(t, "bool"), n.is_bool = true;
    if (!at_end(t) && !strncmp(t->at, "precision", 9)) keyword(t, "precision"), word(t);
    if (!at_end(t) && !strncmp(t->at, "held", 4)) keyword(t, "held");                /* how kernels compute it means nothing here */
    if (!at_end(t) && !strncmp(t->at, "into", 4)) keyword(t, "into"), expect(t, "%"), integer(t, 1, MAX_NODES);
    if (!at_end(t) && *t->at != '@' && *t->at != '"') bad(t, "unexpected `%.20s`", t->at);
    while (*t->at && *t->at != '\n') t->at++;
    check(t, &n, names);
    if (g->n == MAX_NODES) bad(t, "too many nodes");
    vec_push(g->node, g->n, t->cap, n);
    t->index[id] = g->n - 1;
}
static void parse_lines(Text *t)
{
    RefGraph *g = t->g;
    for (t->line = 1; *t->at; t->line++) {
        blanks(t);
        if (*t->at == '%') node_line(t);
        else if (!strncmp(t->at, "out ", 4)) {
            t->at += 4;
            RefOut o = {.name = string(t)};
            o.node = operand(t);
            for (int i = 0; i < g->n_out; i++) if (!strcmp(g->out[i].name, o.name)) bad(t, "two outputs are called `%s`", o.name);
            vec_push(g->out, g->n_out, t->out_cap, o);
        }
        if (!at_end(t)) bad(t, "unexpected `%.20s`", t->at);
        while (*t->at && *t->at != '\n') t->at++;
        if (*t->at) t->at++;
    }
    if (!g->n_out) bad(t, "it has no output");
}
RefGraph *ref_graph_parse(const char *text, const Plan *plan, char **err)
{
    Text t = {.plan = plan, .at = text};
    RefGraph *g = xcalloc(1, sizeof *g);
    g->arena = arena_new();
    t.g = g;
    if (setjmp(t.out)) {
        *err = t.err;
        free(t.index);
        ref_graph_free(g);
        return NULL;
    }
    parse_lines(&t);
    free(t.index);
    return g;
}
void ref_graph_free(RefGraph *g)
{
    if (!g) return;
    arena_drop(g->arena);
    free(g->node);
    free(g->out);
    free(g);
}
