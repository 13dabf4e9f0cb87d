/* Printing of scalar expressions and loop nests: named indices, hex floats, invariants hoisted, conditions decided as far out as they can be.
   Assumes an Emit whose loop names are set; everything printed is valid C11 with the prelude. */
#include "compiler/emit.h"
#include <ctype.h>
#include <math.h>

static void pad(Emit *e) { for (int i = 0; i < e->indent; i++) sb_puts(e->b, "    "); }

static void put_line(Emit *e, const char *end, const char *fmt, va_list ap)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) machine_error("out of memory");
    if (text[0] != '#') pad(e);
    sb_puts(e->b, text);
    sb_puts(e->b, end);
    sb_putc(e->b, '\n');
    free(text);
}

void line(Emit *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(e, "", fmt, ap);
    va_end(ap);
}

void open_block(Emit *e, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line(e, " {", fmt, ap);
    va_end(ap);
    e->indent++;
}

static void leave(Emit *e)
{
    e->indent--;
    while (e->n_flat && e->flat[e->n_flat - 1].indent > e->indent) e->n_flat--;
}

void close_block(Emit *e) { leave(e); line(e, "}"); }

void close_lambda(Emit *e) { leave(e); line(e, "};"); }

static const char *take(Emit *e, StrBuf *b)
{
    const char *s = arena_strdup(e->k->arena, b->s ? b->s : "");
    sb_free(b);
    return s;
}

/* The term of a loop by itself in an index, or NULL. */
static Term *own_term(const Kernel *k, IndexExpr *x, int loop)
{
    for (int i = 0; i < x->n; i++)
        if (k->atom[x->t[i].atom].kind == ATOM_LOOP && k->atom[x->t[i].atom].loop == loop) return &x->t[i];
    return NULL;
}

/* Leaves of the loops of `f` only the innermost's term, if the number can stand for all of them: n*65536 + h*4096 + w*256 is row*256. Returns its loop, or -1. */
static int one_number(const Emit *e, const FlatLoops *f, IndexExpr *x)
{
    const Kernel *k = e->k;
    int64_t inner = 1, stride = 0;
    int last = -1, wide = 0;
    for (int i = f->n; i-- > 0; inner *= k->loop[f->loop[i]].size) {
        const int loop = f->loop[i];
        if (k->loop[loop].size == 1) continue;
        const Term *t = own_term(k, x, loop);
        if (!t || strcmp(e->loop_name[loop], f->name[i])) return -1;
        if (last < 0) last = loop, stride = t->k;
        if (t->k != stride * inner) return -1;
        wide++;
    }
    if (wide < 2) return -1;
    for (int i = 0; i < f->n; i++) {
        Term *t = f->loop[i] == last || k->loop[f->loop[i]].size == 1 ? NULL : own_term(k, x, f->loop[i]);
        if (t) *t = x->t[--x->n];
    }
    return last;
}

const char *index_text(Emit *e, IRef i)
{
    StrBuf b = {0};
    IndexExpr x = e->k->index[i];
    Term terms[64];
    int loop = -1;
    const char *number = NULL;
    if (x.n > 1 && x.n <= (int)COUNT(terms)) {
        memcpy(terms, x.t, sizeof *terms * (size_t)x.n);
        x.t = terms;
        for (int f = e->n_flat; f-- > 0 && loop < 0;) {
            loop = one_number(e, &e->flat[f], &x);
            number = e->flat[f].number;
        }
    }
    ix_print_flat(&b, e->k, &x, e->loop_name, loop, number);
    return take(e, &b);
}

/* The whole right-hand side of a statement: without the outermost parentheses that a nested expression would need. */
const char *expr_text(Emit *e, KRef v)
{
    StrBuf b = {0}, *keep = e->b;
    e->b = &b;
    emit_expr(e, v);
    e->b = keep;
    int depth = 0;
    size_t end = 0;
    for (size_t i = 0; i < b.len && b.s[0] == '('; i++) {
        depth += b.s[i] == '(' ? 1 : b.s[i] == ')' ? -1 : 0;
        if (depth == 0) { end = i; break; }
    }
    if (end && end == b.len - 1) {
        memmove(b.s, b.s + 1, b.len - 2);
        b.len -= 2;
        b.s[b.len] = 0;
    }
    return take(e, &b);
}

const char *operand_text(Emit *e, KRef v)
{
    const char *text = expr_text(e, v);
    return strchr(text, '?') ? arena_printf(e->k->arena, "(%s)", text) : text;
}

static const char *const c_words[] = {"auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
    "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct",
    "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "args", "row", "rows", "row0", "task", "tile", "stage", "panel", "sum",
    "wanted", "holds", "at", "count", "scratch", "shared", "step", "asm", "typeof", "unix", "linux", "instance", "buf", "lane", "total", "part",
    "partial", "segment", "first", "col", "m", "r", "px", "dy", "add", "which", "now", "turn", "slot", "wide", "deep", "value", "tap", "image", "q",
    "piece", "term", "kept", "result", "half", "warp", "local", "part_of", "acc", "split", "batch"};

/* Names that kernels use for themselves, by their form: x0, sum1, first0; c_block, c_tile; H, TILES; ect_fma. */
static bool kernels_own(const char *name)
{
    static const char *const ends[] = {"_block", "_tile", "_panel", "_row", "_in", "_out", "_at", "_"}, *const starts[] = {"ect_", "omp_", "__"};
    size_t n = strlen(name);
    bool own = isupper((unsigned char)name[0]) || isdigit((unsigned char)name[n - 1]);
    for (size_t i = 0; i < COUNT(ends); i++) own |= n >= strlen(ends[i]) && !strcmp(name + n - strlen(ends[i]), ends[i]);
    for (size_t i = 0; i < COUNT(starts); i++) own |= !strncmp(name, starts[i], strlen(starts[i]));
    for (size_t i = 0; i < COUNT(c_words); i++) own |= !strcmp(name, c_words[i]);
    return own;
}

/* What C++ and CUDA kernels have besides; of the short ones the roles keep theirs where kernels do not use them. */
static const char *const cuda_words[] = {"alignas", "alignof", "and", "bitand", "bitor", "bool", "catch", "class", "compl", "concept", "constexpr", "decltype", "delete",
    "explicit", "export", "false", "friend", "mutable", "namespace", "new", "noexcept", "not", "nullptr", "operator", "or", "private", "protected", "public", "requires",
    "template", "this", "throw", "true", "try", "typeid", "typename", "using", "virtual", "xor"};
static const char *const tile_words[] = {"a_next", "a_now", "a_to", "ahead", "all", "b_next", "b_now", "b_to", "batch", "bring", "bring_lines", "c", "chunk",
    "chunk_begin", "chunk_end", "col_c", "d", "deep", "fa", "fb", "fetch_a", "fetch_b", "fetch_lines", "fold", "fold_max", "from", "group", "i_c", "i_m",
    "i_n", "image", "k", "k_begin", "k_end", "lane_c", "low", "mine", "more", "next", "own", "pixel", "product", "q", "ra", "rb", "row_c", "row_end", "slot",
    "split", "stage_a", "stage_b", "stage_lines", "staging", "tap", "thread", "to_col", "to_row", "value", "warp_c", "wide"};
static bool cuda_own(const Emit *e, const char *name)
{
    bool tile = e->k->cls == KERNEL_CONTRACT || e->k->cls == KERNEL_PASS, own = false;
    for (size_t i = 0; i < COUNT(cuda_words); i++) own |= !strcmp(name, cuda_words[i]);
    for (size_t i = 0; i < COUNT(tile_words) && tile; i++) own |= !strcmp(name, tile_words[i]);
    return own;
}

/* Different roles have different names: what ends in _ gets one more. */
const char *loop_c_name(Emit *e, Sym role)
{
    return kernels_own(role) || (e->cuda && cuda_own(e, role)) ? arena_printf(e->k->arena, "%s_", role) : role;
}

const char *loop_end(Emit *e, int loop)
{
    const Loop *l = &e->k->loop[loop];
    return l->bounded ? "wanted" : arena_printf(e->k->arena, "%lld", (long long)l->size);
}

const char *buffer_name(const Emit *e, int slot)
{
    const Buffer *b = &e->l->buf[e->k->buf[slot]];
    for (int i = 0; i < e->k->n_store; i++)
        if (e->k->store[i].slot == slot) return arena_printf(e->k->arena, "y%d", slot);
    return arena_printf(e->k->arena, "%c%d", weight_buffer(b) ? 'w' : 'x', slot);
}

static void print_const(Emit *e, double v)
{
    float f = (float)v;
    if (isnan(f)) sb_puts(e->b, "__builtin_nanf(\"\")");
    else if (isinf(f)) sb_puts(e->b, f > 0 ? "__builtin_inff()" : "-__builtin_inff()");
    else if (f == (float)(int)f && fabsf(f) < 100000) sb_printf(e->b, f < 0 ? "(%d.0f)" : "%d.0f", (int)f);
    else sb_printf(e->b, f < 0 ? "(%af)" : "%af", f);
}

static void print_cond(Emit *e, const KExpr *x)
{
    for (int i = 0; i < x->n_cond; i++) {
        const Cond *c = &x->cond[i];
        const IndexExpr *ix = &e->k->index[c->e];
        const char *t = index_text(e, c->e);
        if (i) sb_puts(e->b, " && ");
        if (c->mod) {
            int64_t bias = ix->lo < 0 ? (-ix->lo + c->mod - 1) / c->mod * c->mod : 0;
            sb_printf(e->b, "(%s + %lld) %% %lld == 0", t, (long long)bias, (long long)c->mod);
        } else {
            bool low = ix->lo < c->lo, high = ix->hi >= c->hi;
            if (low) sb_printf(e->b, "%s >= %lld", t, (long long)c->lo);
            if (low && high) sb_puts(e->b, " && ");
            if (high) sb_printf(e->b, "%s < %lld", t, (long long)c->hi);
            if (!low && !high) sb_puts(e->b, "1");
        }
    }
}

const char *cond_text(Emit *e, KRef v)
{
    StrBuf b = {0}, *keep = e->b;
    e->b = &b;
    print_cond(e, &e->k->expr[v]);
    e->b = keep;
    return take(e, &b);
}

/* The load's text. */
static const char *load_text(Emit *e, const KExpr *load)
{
    Number type = e->l->buf[e->k->buf[load->slot]].type;
    const char *from = buffer_name(e, load->slot), *at = index_text(e, load->index);
    if (type == NUM_F32) return arena_printf(e->k->arena, "%s[%s]", from, at);
    return arena_printf(e->k->arena, "ect_load_%s(%s[%s])", number_info[type].name, from, at);
}

/* A constant, or a choice between constants. */
static bool constant(const Emit *e, KRef v)
{
    const KExpr *x = &e->k->expr[v];
    if (e->tmp && e->tmp[v]) return false;
    if (x->kind == K_OP && (x->op == OP_where || x->op == OP_rows)) return constant(e, x->in[1]) && constant(e, x->in[2]);
    if (x->kind != K_SELECT) return x->kind == K_CONST;
    if (e->decided && e->decided[v]) return constant(e, x->in[e->decided[v] - 1]);
    return constant(e, x->in[0]) && constant(e, x->in[1]);
}

/* An operation on constants alone comes from masks and from gradients of conditions. Its operands are marked as numbers of the kernel's type: exact mode has
   another one than C. */
static bool constants(const Emit *e, const KExpr *x)
{
    for (int i = 0; i < x->n_in; i++) if (!constant(e, x->in[i])) return false;
    return x->n_in > 1;
}

/* A whole argument of a call needs no parentheses of its own. */
static void print_argument(Emit *e, KRef v)
{
    const char *text = expr_text(e, v);
    size_t n = strlen(text), close = 0;
    for (size_t i = 0, depth = 0; i < n && !close; i++) {
        depth += text[i] == '(';
        if (text[i] == ')' && !--depth) close = i;
    }
    if (text[0] == '(' && close == n - 1) sb_write(e->b, text + 1, n - 2);
    else sb_puts(e->b, text);
}

/* Needs operand number i no parentheses, as in a * b / c and a * b + c - d * e? */
static bool binds(const KExpr *x, const KExpr *operand, int i)
{
    if (operand->kind != K_OP) return false;
    const bool product = operand->op == OP_mul || operand->op == OP_div, sum = operand->op == OP_add || operand->op == OP_sub;
    if (x->op == OP_mul || x->op == OP_div) return product && i == 0;
    if (x->op == OP_add || x->op == OP_sub) return product || (sum && i == 0);
    return false;
}

static void print_op(Emit *e, const KExpr *x)
{
    const char *text = op_info[x->op].ctext;
    const bool call = isalpha((unsigned char)text[0]) && !strchr(strchr(text, '(') + 1, '(');
    bool literal = constants(e, x);
    for (const char *p = text; *p; p++) {
        if (*p != '%') { sb_putc(e->b, *p); continue; }
        p++;
        if (*p == 'n') print_const(e, x->nan);
        else if (*p == 'i') print_const(e, x->inf);
        else {
            if (literal) sb_puts(e->b, "ect_literal(");
            if (call || literal || binds(x, &e->k->expr[x->in[*p - '0']], *p - '0')) print_argument(e, x->in[*p - '0']);
            else emit_expr(e, x->in[*p - '0']);
            if (literal) sb_putc(e->b, ')');
        }
    }
}

void emit_expr(Emit *e, KRef v)
{
    const KExpr *x = &e->k->expr[v];
    if (e->tmp && e->tmp[v]) { sb_puts(e->b, e->tmp[v]); return; }
    switch (x->kind) {
    case K_CONST: print_const(e, x->value); break;
    case K_SCALAR: sb_printf(e->b, e->cuda ? "now->scalar[%d]" : "args->scalar[%d]", x->slot); break;
    case K_LOAD:
        if (e->row && e->row[v]) { sb_puts(e->b, e->row[v]); break; }
        sb_puts(e->b, load_text(e, x));
        break;
    case K_IOTA: sb_printf(e->b, "(float)(%s)", index_text(e, x->index)); break;
    case K_ACC: sb_puts(e->b, e->acc[x->slot]); break;
    case K_OP: print_op(e, x); break;
    case K_DRAW: {
        const DrawSite *d = &e->l->draw[e->k->draw[x->slot]];
        const char *name = d->kind == DRAW_NORMAL ? "ECT_NORMAL" : d->kind == DRAW_UNIFORM ? "ECT_UNIFORM" : "ECT_BERNOULLI";
        sb_printf(e->b, "%s(%d, %s, %s, %lld", name, x->slot, index_text(e, x->index), index_text(e, x->index2), (long long)x->value);
        if (d->kind == DRAW_BERNOULLI) sb_printf(e->b, ", threshold%d", x->slot);
        sb_putc(e->b, ')');
        break;
    }
    case K_SELECT:
        if (e->decided && e->decided[v]) { emit_expr(e, x->in[e->decided[v] - 1]); break; }
        sb_putc(e->b, '(');
        print_cond(e, x);
        sb_puts(e->b, " ? ");
        emit_expr(e, x->in[0]);
        sb_puts(e->b, " : ");
        emit_expr(e, x->in[1]);
        sb_putc(e->b, ')');
        break;
    }
}

/* ---- nests ---- */
typedef struct { Emit *e; int n; const int *loops; int n_values; const KRef *values; NestBody body; void *user; int par; long lo, hi; bool ranged; } Nest;

static uint64_t bit(int loop) { return 1ull << loop; }

/* Nodes evaluated unconditionally under the present decisions, with use counts; arms of open selects are not entered. */
static void reach(const Emit *e, KRef v, int *uses)
{
    if (uses[v]++) return;
    const KExpr *x = &e->k->expr[v];
    if (x->kind == K_SELECT) {
        if (e->decided[v]) reach(e, x->in[e->decided[v] - 1], uses);
        return;
    }
    for (int i = 0; i < x->n_in; i++) reach(e, x->in[i], uses);
}

/* Loads that only one outcome of a condition on data needs. They are made in front of it: gcc 12 vectorises conditional loads as masked ones, and in small nests
   that it unrolls (-O3, AVX2 and up) with wrong masks. A load is always legal: no arm of `where` is outside of its buffer. */
static void mark_loads(const Emit *e, KRef v, const int *uses, bool *mark)
{
    const KExpr *x = &e->k->expr[v];
    if (mark[v] || e->tmp[v]) return;
    if (x->kind == K_SELECT) {
        if (e->decided[v]) mark_loads(e, x->in[e->decided[v] - 1], uses, mark);
        return;
    }
    mark[v] = x->kind == K_LOAD;
    if (mark[v] || uses[v] > 1) return;              /* a temporary: nothing in it is conditional */
    for (int i = 0; i < x->n_in; i++) mark_loads(e, x->in[i], uses, mark);
}

static bool *conditional_loads(const Emit *e, const int *uses)
{
    bool *mark = xcalloc((size_t)e->k->n_expr, 1);
    for (int v = 1; v < e->k->n_expr; v++) {
        const KExpr *x = &e->k->expr[v];
        bool lazy = x->kind == K_OP && (x->op == OP_where || x->op == OP_rows || x->op == OP_and || x->op == OP_or);
        for (int i = 1; uses[v] && lazy && i < x->n_in; i++) mark_loads(e, x->in[i], uses, mark);
    }
    return mark;
}

/* Declare temporaries: with `inner` false those that do not depend on the innermost loop, with true the shared ones that do. */
static void temporaries(Nest *n, const int *uses, bool inner)
{
    Emit *e = n->e;
    uint64_t in_bit = n->n ? bit(n->loops[n->n - 1]) : 0;
    bool *ahead = conditional_loads(e, uses);
    for (int v = 1; v < e->k->n_expr; v++) {         /* ids are topological */
        const KExpr *x = &e->k->expr[v];
        if (!uses[v] || e->tmp[v] || x->kind == K_CONST || x->kind == K_ACC || x->kind == K_SCALAR) continue;
        if (x->kind == K_SELECT && e->decided[v]) continue;
        bool depends = (x->deps & in_bit) != 0, has_acc = false;
        for (int i = 0; i < x->n_in; i++) has_acc |= e->k->expr[x->in[i]].kind == K_ACC && e->k->expr[x->in[i]].value == 0;
        if (inner ? !(uses[v] > 1 || ahead[v]) : depends) continue;
        if (!inner && has_acc) continue;
        bool acc_below = false;
        if (!inner) {                                /* anything above an accumulator stays inside */
            KRef stack[256]; int sp = 0;
            stack[sp++] = (KRef)v;
            while (sp && !acc_below) {
                const KExpr *y = &e->k->expr[stack[--sp]];
                if (y->kind == K_ACC && y->value == 0) acc_below = true;
                for (int i = 0; i < y->n_in && sp < 250; i++) stack[sp++] = y->in[i];
            }
            if (acc_below) continue;
        }
        const char *t = expr_text(e, (KRef)v);
        char *name = arena_printf(e->k->arena, "t%d", e->n_tmp++);
        line(e, "const %s %s = %s;", x->type == T_BOOL ? "int" : "float", name, t);
        e->tmp[v] = name;
    }
    free(ahead);
}

static void innermost(Nest *n);

static KRef open_select(const Emit *e, const int *uses, uint64_t in_bit, bool uniform)
{
    for (int v = 1; v < e->k->n_expr; v++) {
        const KExpr *x = &e->k->expr[v];
        if (!uses[v] || x->kind != K_SELECT || e->decided[v]) continue;
        uint64_t deps = 0;
        bool simple = true;
        for (int i = 0; i < x->n_cond; i++) {
            const IndexExpr *ix = &e->k->index[x->cond[i].e];
            deps |= ix->deps;
            simple &= !x->cond[i].mod && ix->n == 1 && ix->t[0].k == 1 && e->k->atom[ix->t[0].atom].kind == ATOM_LOOP;
        }
        if (uniform ? !(deps & in_bit) : (simple && deps == in_bit)) return (KRef)v;
    }
    return 0;
}

static bool same_conds(const KExpr *a, const KExpr *b)
{
    for (int i = 0; i < a->n_cond && a->n_cond == b->n_cond; i++)
        if (a->cond[i].e != b->cond[i].e || a->cond[i].lo != b->cond[i].lo || a->cond[i].hi != b->cond[i].hi || a->cond[i].mod != b->cond[i].mod) return false;
    return a->n_cond == b->n_cond;
}

/* Decide every open select with the conditions of v; remembers which, for undoing. */
static int decide(Emit *e, KRef v, int how, KRef *undo)
{
    int n = 0;
    for (int i = 1; i < e->k->n_expr; i++)
        if (e->k->expr[i].kind == K_SELECT && !e->decided[i] && same_conds(&e->k->expr[i], &e->k->expr[v]) && n < 64) {
            e->decided[i] = (unsigned char)how;
            undo[n++] = (KRef)i;
        }
    return n;
}

static void branch(Nest *n, KRef v, int how)
{
    Emit *e = n->e;
    KRef undo[64];
    char **keep = xmalloc(sizeof(char *) * (size_t)e->k->n_expr);
    memcpy(keep, e->tmp, sizeof(char *) * (size_t)e->k->n_expr);
    int c = decide(e, v, how, undo);
    innermost(n);
    while (c--) e->decided[undo[c]] = 0;
    memcpy(e->tmp, keep, sizeof(char *) * (size_t)e->k->n_expr);
    free(keep);
}

/* Whether a draw's elements from lo on along `loop` are whole blocks of the generator: consecutive, the first a multiple of 4 wherever
   the other loops stand. */
static bool draws_row(const Kernel *k, const KExpr *x, int loop, long lo)
{
    const IndexExpr *ix = &k->index[x->index2];
    bool along = false;
    if (k->index[x->index].deps & bit(loop)) return false;
    for (int i = 0; i < ix->n; i++) {
        const Atom *a = &k->atom[ix->t[i].atom];
        if (a->kind == ATOM_LOOP && a->loop == loop) {
            if (ix->t[i].k != 1) return false;
            along = true;
        } else if (ix->t[i].k % 4 || (a->kind != ATOM_LOOP && (k->index[a->e].deps & bit(loop)))) {
            return false;
        }
    }
    return along && (ix->c + lo) % 4 == 0;
}

/* Print the draws that every turn of the innermost loop needs as rows before it: one call of the generator gives four elements. */
static void draw_rows(Nest *n, const int *uses, long lo, long hi)
{
    enum { ROW_MAX = 4096 };                         /* 16 KiB of stack */
    Emit *e = n->e;
    Kernel *k = e->k;
    int loop = n->loops[n->n - 1];
    if (n->par == n->n || (hi - lo) % 4 || hi - lo > ROW_MAX) return;
    for (int v = 1; v < k->n_expr; v++) {
        const KExpr *x = &k->expr[v];
        if (!uses[v] || e->tmp[v] || x->kind != K_DRAW || !draws_row(k, x, loop, lo)) continue;
        const DrawSite *d = &e->l->draw[k->draw[x->slot]];
        const char *kind = d->kind == DRAW_NORMAL ? "NORMAL" : d->kind == DRAW_UNIFORM ? "UNIFORM" : "BERNOULLI";
        const char *first = index_text(e, ix_addc(k, ix_add(k, x->index2, ix_scale(k, ix_loop(k, loop), -1)), lo));
        char *name = arena_printf(k->arena, "draw%d_row%d", x->slot, e->n_tmp++), threshold[32] = "";
        if (d->kind == DRAW_BERNOULLI) snprintf(threshold, sizeof threshold, "threshold%d, ", x->slot);
        line(e, "float %s[%ld];  /* the loop's draws, four from one call of the generator */", name, hi - lo);
        line(e, "ECT_%s_ROW(%d, %s, %s, %ld, %lld, %s%s);", kind, x->slot, index_text(e, x->index), first, hi - lo, (long long)x->value,
             threshold, name);
        e->tmp[v] = lo ? arena_printf(k->arena, "%s[%s - %ld]", name, e->loop_name[loop], lo)
                       : arena_printf(k->arena, "%s[%s]", name, e->loop_name[loop]);
    }
}

/* Loads like x[n*24 + c/4]: a subscript that divides the innermost loop keeps compilers from vectorising all of it, so they are copied into a row
   of the loop's length first, outside of every loop they do not depend on. `later`: loops that are opened only afterwards. */
static void load_rows(Emit *e, int loop, long lo, long hi, const int *uses, uint64_t later)
{
    Kernel *k = e->k;
    if (hi - lo > 4096 || hi - lo < 8) return;
    if (!e->row) e->row = xcalloc((size_t)k->n_expr, sizeof *e->row);
    for (int v = 1; v < k->n_expr; v++) {
        const KExpr *x = &k->expr[v];
        if (!uses[v] || e->row[v] || x->kind != K_LOAD || (e->tmp && e->tmp[v]) || (x->deps & later) || !(x->deps & bit(loop))) continue;
        int64_t coef;
        if (ix_linear(k, x->index, loop, &coef)) continue;
        char *name = arena_printf(k->arena, "%s_row%d", buffer_name(e, x->slot), e->n_tmp++);
        const char *i = e->loop_name[loop], *load = load_text(e, x);
        line(e, "float %s[%ld];", name, hi - lo);
        if (lo) line(e, "for (%s %s = %ld; %s < %ld; %s++) %s[%s - %ld] = %s;", e->itype, i, lo, i, hi, i, name, i, lo, load);
        else line(e, "for (%s %s = 0; %s < %ld; %s++) %s[%s] = %s;", e->itype, i, i, hi, i, name, i, load);
        e->row[v] = lo ? arena_printf(k->arena, "%s[%s - %ld]", name, i, lo) : arena_printf(k->arena, "%s[%s]", name, i);
    }
}

static char **copy_rows(const Emit *e)
{
    char **c = xcalloc((size_t)e->k->n_expr, sizeof *c);
    if (e->row) memcpy(c, e->row, sizeof *c * (size_t)e->k->n_expr);
    return c;
}

void rows_end(Emit *e, char **before)
{
    free(e->row);
    e->row = before;
}

char **rows_begin(Emit *e, int n, const KRef *values, int inner, uint64_t later)
{
    char **before = copy_rows(e);
    unsigned char *outer = e->decided;
    int *uses = xcalloc((size_t)e->k->n_expr, sizeof *uses);
    e->decided = xcalloc((size_t)e->k->n_expr, 1);
    for (int i = 0; i < n; i++) reach(e, values[i], uses);
    load_rows(e, inner, 0, (long)e->k->loop[inner].size, uses, later);
    free(e->decided);
    free(uses);
    e->decided = outer;
    return before;
}

static void innermost(Nest *n)
{
    Emit *e = n->e;
    int *uses = xcalloc((size_t)e->k->n_expr, sizeof *uses);
    for (int i = 0; i < n->n_values; i++) reach(e, n->values[i], uses);
    uint64_t in_bit = n->n ? bit(n->loops[n->n - 1]) : 0;
    temporaries(n, uses, false);
    KRef v;
    if ((v = open_select(e, uses, in_bit, true))) {
        StrBuf b = {0}, *keep = e->b;
        e->b = &b;
        print_cond(e, &e->k->expr[v]);
        e->b = keep;
        open_block(e, "if (%s)", b.s);
        sb_free(&b);
        branch(n, v, 1);
        e->indent--;
        line(e, "} else {");
        e->indent++;
        branch(n, v, 2);
        close_block(e);
    } else if (n->n && (v = open_select(e, uses, in_bit, false))) {
        const KExpr *x = &e->k->expr[v];             /* cut the loop where the conditions change */
        long lo = n->ranged ? n->lo : 0, hi = n->ranged ? n->hi : (long)e->k->loop[n->loops[n->n - 1]].size, from = lo, to = hi;
        for (int i = 0; i < x->n_cond; i++) {
            long c = (long)e->k->index[x->cond[i].e].c;
            from = MAX(from, (long)x->cond[i].lo - c);
            to = MIN(to, (long)x->cond[i].hi - c);
        }
        from = MIN(MAX(from, lo), hi); to = MAX(MIN(to, hi), from);
        struct { long a, b; int how; } part[3] = {{lo, from, 2}, {from, to, 1}, {to, hi, 2}};
        for (int i = 0; i < 3; i++) {
            if (part[i].a >= part[i].b) continue;
            Nest sub = *n;
            sub.ranged = true; sub.lo = part[i].a; sub.hi = part[i].b;
            line(e, "{");
            e->indent++;
            branch(&sub, v, part[i].how);
            close_block(e);
        }
    } else if (n->n == 0) {
        n->body(e, n->user);
    } else {
        int loop = n->loops[n->n - 1];
        long lo = n->ranged ? n->lo : 0, hi = n->ranged ? n->hi : (long)e->k->loop[loop].size;
        const char *name = e->loop_name[loop];
        char **keep = xmalloc(sizeof(char *) * (size_t)e->k->n_expr);
        memcpy(keep, e->tmp, sizeof(char *) * (size_t)e->k->n_expr);
        char **rows = copy_rows(e);
        if (n->par < n->n) load_rows(e, loop, lo, hi, uses, 0);
        draw_rows(n, uses, lo, hi);
        if (n->par == n->n) line(e, "#pragma omp parallel for schedule(static) num_threads(args->threads)");
        open_block(e, "for (%s %s = %ld; %s < %ld; %s++)", e->itype, name, lo, name, hi, name);
        temporaries(n, uses, true);
        n->body(e, n->user);
        memcpy(e->tmp, keep, sizeof(char *) * (size_t)e->k->n_expr);
        free(keep);
        rows_end(e, rows);
        close_block(e);
    }
    free(uses);
}

void emit_nest(Emit *e, int n, const int *loops, int parallel, int n_values, const KRef *values, NestBody body, void *user)
{
    Nest nest = {e, n, loops, n_values, values, body, user, parallel, 0, 0, false};
    char **outer_tmp = e->tmp;
    unsigned char *outer_decided = e->decided;
    e->tmp = xcalloc((size_t)e->k->n_expr, sizeof *e->tmp);
    e->decided = xcalloc((size_t)e->k->n_expr, 1);
    if (parallel && parallel < n)
        line(e, parallel > 1 ? "#pragma omp parallel for collapse(%d) schedule(static) num_threads(args->threads)"
                             : "#pragma omp parallel for schedule(static) num_threads(args->threads)", parallel);
    char **rows = copy_rows(e);
    int *uses = xcalloc((size_t)e->k->n_expr, sizeof *uses);
    for (int i = 0; i < n_values; i++) reach(e, values[i], uses);
    for (int i = 0; i + 1 < n; i++) {
        uint64_t later = 0;                          /* parallel loops stay perfectly nested */
        for (int j = i; j + 1 < n; j++) later |= bit(loops[j]);
        if (i >= parallel) load_rows(e, loops[n - 1], 0, (long)e->k->loop[loops[n - 1]].size, uses, later);
        open_block(e, "for (%s %s = 0; %s < %s; %s++)", e->itype, e->loop_name[loops[i]], e->loop_name[loops[i]], loop_end(e, loops[i]),
                   e->loop_name[loops[i]]);
    }
    free(uses);
    innermost(&nest);
    for (int i = 0; i + 1 < n; i++) close_block(e);
    rows_end(e, rows);
    free(e->tmp);
    free(e->decided);
    e->tmp = outer_tmp;
    e->decided = outer_decided;
}
