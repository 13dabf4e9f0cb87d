/* CUDA dialect: operands of contractions in shared memory, with their prologue: by rows or columns and depth, or a convolution's lines with their border.
   Several elements at once where they lie side by side.
   Assumes operands as lower_reduce.c leaves them; what is outside is 0, so any size works. */
#include "compiler/emit_cuda_contract.h"

/* ---- operands ---- */
/* The precision that the operand's values have; NUM_F32: any. */
Number precision_of(const Emit *e, const Operand *o)
{
    const KExpr *x = &e->k->expr[o->value];
    if (x->kind == K_LOAD) return e->l->buf[e->k->buf[x->slot]].type;
    if (x->kind != K_OP) return NUM_F32;
    return x->op == OP_bf16 ? NUM_BF16 : x->op == OP_f16 ? NUM_F16 : x->op == OP_tf32 ? NUM_TF32 : NUM_F32;
}

/* Elements between lines of a stage, so that a warp's loads meet no bank twice. ldmatrix reads 8 rows of 16 bytes at a time, and the 32 banks are 8 such
   places: lines of 32, 64 or 128 halves (4, 8, 16 places) with a gap of one place are 5, 9, 17 apart, odd all of them, so 8 rows lie in 8 places. Copies of
   16 bytes go along the lines. In tf32 a lane reads a number: lines of 20 put rows g and depths t at banks 20 g + t, all different for 8 rows and 4 depths. */
int64_t stage_pad(const Shape *s) { return !s->mma ? 0 : s->number == NUM_TF32 ? PAD_TF32 : PAD_MMA; }

bool stage_half(const Shape *s) { return number_info[s->number].bytes == 2; }

const char *stage_type(const Shape *s) { return s->number == NUM_F16 ? "ect_f16_t" : s->number == NUM_BF16 ? "ect_bf16_t" : "float"; }

const Tap *tap_on(const Operand *o, Sym role)
{
    for (int t = 0; t < o->n_taps; t++) if (o->tap[t].axis == role) return &o->tap[t];
    return NULL;
}

/* The variable of a role where operand o is staged: a windowed axis is counted on the output's side first. */
static const char *role_name(Emit *e, const Operand *o, Sym role)
{
    return tap_on(o, role) ? arena_printf(e->k->arena, "%s_at", loop_c_name(e, role)) : loop_c_name(e, role);
}

/* of_first: the role of which the variable is the first of several elements', NAME_0. */
void decode_axes(Emit *e, const Operand *o, const char *flat, int n, const Axis *v, Sym of_first)
{
    int64_t inner = 1;
    int first = 0;
    while (first < n && v[first].size == 1) first++;
    for (int i = n; i-- > 0;) {
        const char *name = role_name(e, o, v[i].role);
        if (v[i].role == of_first) name = arena_printf(e->k->arena, "%s_0", name);
        if (v[i].size == 1) line(e, "const int %s = 0;", name);
        else if (i == first && inner == 1) line(e, "const int %s = %s;", name, flat);
        else if (i == first) line(e, "const int %s = %s / %lld;", name, flat, (long long)inner);
        else if (inner == 1) line(e, "const int %s = %s %% %lld;", name, flat, (long long)v[i].size);
        else line(e, "const int %s = %s / %lld %% %lld;", name, flat, (long long)inner, (long long)v[i].size);
        inner *= v[i].size;
    }
    FlatLoops f = {.n = n};
    for (int i = 0; i < n; i++) {
        const int a = op_axis(o, v[i].role);
        const char *name = role_name(e, o, v[i].role);
        if (a < 0) return;
        f.loop[i] = o->loop[a];
        f.name[i] = v[i].role == of_first ? arena_printf(e->k->arena, "%s_0", name) : name;
    }
    cuda_one_number(e, flat, &f);
}

/* Do neighbours along the innermost wide axis of v[] lie next to each other in what the operand loads? Of the largest buffer it reads. */
bool stage_contiguous(const Emit *e, const Operand *o, const Axis *v, int n)
{
    const Kernel *k = e->k;
    int loop = -1;
    for (int i = n; i-- > 0 && loop < 0;) {
        if (v[i].size == 1) continue;
        int a = op_axis(o, v[i].role);
        if (a < 0) return false;
        loop = o->loop[a];
    }
    int64_t most = 0;
    bool next = false;
    bool *seen = xcalloc((size_t)k->n_expr, 1);
    seen[o->value] = true;
    for (KRef x = o->value + 1; x-- > 1;) {
        if (!seen[x]) continue;
        for (int i = 0; i < k->expr[x].n_in; i++) seen[k->expr[x].in[i]] = true;
        if (k->expr[x].kind != K_LOAD || e->l->buf[k->buf[k->expr[x].slot]].elements <= most) continue;
        int64_t coef = 0;
        most = e->l->buf[k->buf[k->expr[x].slot]].elements;
        next = loop >= 0 && ix_linear(k, k->expr[x].index, loop, &coef) && coef == 1;
    }
    free(seen);
    return next;
}

/* Elements of one stage of `wide` rows or columns, in either order. */
int64_t stage_size(const Shape *s, int64_t wide)
{
    int64_t pad = stage_pad(s);
    return (MAX(wide * (s->BK + pad), s->BK * (wide + pad)) + 7) / 8 * 8;
}

static bool word(const char *s) { return !strchr(s, ' '); }

const char *stage_at(Emit *e, const Shape *s, const Stage *g, const char *wide, const char *deep)
{
    int64_t pad = stage_pad(s);
    if (g->rows_inner) return arena_printf(e->k->arena, word(deep) ? "%s[%s*%lld + %s]" : "%s[(%s)*%lld + %s]", g->name, deep, (long long)(g->wide + pad), wide);
    return arena_printf(e->k->arena, word(wide) ? "%s[%s*%lld + %s]" : "%s[(%s)*%lld + %s]", g->name, wide, (long long)(g->depth + pad), deep);
}

void stage_also(StrBuf *b, const char *condition) { sb_printf(b, "%s%s", b->len ? " && " : "", condition); }

/* ---- several elements of a stage at once ---- */
/* The loop along which a thread stages its elements, and how many at once: neighbours in what the operand loads. */
int64_t vector_width(const Shape *s, const Operand *o, Sym role, int64_t size, bool next)
{
    int64_t width = stage_half(s) ? 8 : 4;
    return next && !tap_on(o, role) && op_axis(o, role) >= 0 && size % width == 0 && s->BK % width == 0 ? width : 1;
}

/* The index with the loop at a multiple of `width` and the others anywhere: a multiple of `width`, and steps by one along the loop? */
bool aligned_index(const Kernel *k, IRef i, int loop, int64_t width)
{
    const IndexExpr *x = &k->index[i];
    bool along = false;
    if (x->c % width) return false;
    for (int t = 0; t < x->n; t++) {
        const Atom *a = &k->atom[x->t[t].atom];
        if (a->kind == ATOM_LOOP && a->loop == loop) {
            if (x->t[t].k != 1) return false;
            along = true;
        } else if (x->t[t].k % width || (a->kind != ATOM_LOOP && (k->index[a->e].deps >> loop & 1))) return false;
    }
    return along;
}

/* Does the index stay the same while the loop goes from a multiple of `width` to the last element before the next? */
bool steady_index(const Kernel *k, IRef i, int loop, int64_t width)
{
    const IndexExpr *x = &k->index[i];
    for (int t = 0; t < x->n; t++) {
        const Atom *a = &k->atom[x->t[t].atom];
        if (a->kind == ATOM_LOOP ? a->loop != loop : !(k->index[a->e].deps >> loop & 1)) continue;
        if (a->kind != ATOM_DIV || a->c % width || !aligned_index(k, a->e, loop, width)) return false;
    }
    return true;
}

static void reach_always(const Emit *e, KRef v, bool *seen)
{
    const KExpr *x = &e->k->expr[v];
    if (seen[v]) return;
    seen[v] = true;
    for (int i = 0; x->kind != K_SELECT && i < x->n_in; i++) reach_always(e, x->in[i], seen);
}

/* Does the choice come out the same for all elements of a vector? */
static bool steady_choice(const Kernel *k, const KExpr *x, int loop, int64_t width)
{
    for (int i = 0; i < x->n_cond; i++) {
        const Cond *c = &x->cond[i];
        const bool whole = !c->mod && c->lo % width == 0 && c->hi % width == 0 && aligned_index(k, c->e, loop, width);
        if ((k->index[c->e].deps >> loop & 1) && !whole && !steady_index(k, c->e, loop, width)) return false;
    }
    return true;
}

/* float t3[8]; if (condition) { all elements of one arm } else { all of the other }, as where a vector lies in one of two joined tensors. */
static void vector_choice(Emit *e, KRef v, int loop, int64_t width, char *const *fetched)
{
    Kernel *k = e->k;
    const KExpr *x = &k->expr[v];
    const char *first = e->loop_name[loop], *name = arena_printf(k->arena, "%.*s", (int)strlen(first) - 2, first), *to = arena_printf(k->arena, "t%d", e->n_tmp++);
    line(e, "float %s[%lld];", to, (long long)width);
    for (int arm = 0; arm < 2; arm++) {
        if (arm == 0) open_block(e, "if (%s)", cond_text(e, v));
        else {
            e->indent--;
            line(e, "} else {");
            e->indent++;
        }
        char **keep = cuda_values(e, 0, NULL);
        vector_loads(e, x->in[arm], loop, width, fetched);
        line(e, "#pragma unroll");
        open_block(e, "for (int q = 0; q < %lld; q++)", (long long)width);
        line(e, "const %s %s = %s + q;", e->itype, name, first);
        e->loop_name[loop] = name;
        char **values = cuda_values(e, 1, &x->in[arm]);
        line(e, "%s[q] = %s;", to, expr_text(e, x->in[arm]));
        cuda_values_end(e, values);
        e->loop_name[loop] = first;
        close_block(e);
        cuda_values_end(e, keep);
    }
    close_block(e);
    e->tmp[v] = arena_printf(k->arena, "%s[q]", to);
}

/* Prints loads and draws of `value` for all elements of a vector; their names go to e->tmp. The loop's variable is `first` meanwhile.
   fetched: per expression what holds it as it lies in memory, or NULL. */
void vector_loads(Emit *e, KRef value, int loop, int64_t width, char *const *fetched)
{
    Kernel *k = e->k;
    bool *seen = xcalloc((size_t)k->n_expr, 1);
    reach_always(e, value, seen);
    for (KRef v = 1; v < (KRef)k->n_expr; v++) {
        const KExpr *x = &k->expr[v];
        if (!seen[v] || e->tmp[v]) continue;
        if (x->kind == K_LOAD && aligned_index(k, x->index, loop, width)) {
            const char *name = arena_printf(k->arena, "%s_%d", buffer_name(e, x->slot), e->n_tmp++);
            line(e, "float %s[%lld];", name, (long long)width);
            Number type = e->l->buf[k->buf[x->slot]].type;
            const char *half = type == NUM_F32 ? "" : arena_printf(k->arena, "_%s", number_info[type].name);
            if (fetched && fetched[v]) line(e, "ect_spread8%s(%s, %s);", half, name, fetched[v]);
            else line(e, "ect_load%lld%s(%s, &%s[%s]);", (long long)width, half, name, buffer_name(e, x->slot), index_text(e, x->index));
            e->tmp[v] = arena_printf(k->arena, "%s[q]", name);
        } else if (x->kind == K_LOAD && steady_index(k, x->index, loop, width)) {
            char *name = arena_printf(k->arena, "t%d", e->n_tmp++);
            line(e, "const float %s = %s;", name, expr_text(e, v));
            e->tmp[v] = name;
        } else if (x->kind == K_LOAD && width == 8 && steady_index(k, x->index, loop, 4)) {     /* one for each half */
            const char *first = e->loop_name[loop], *name = arena_printf(k->arena, "t%d", e->n_tmp++), *low = expr_text(e, v);
            e->loop_name[loop] = arena_printf(k->arena, "(%s + 4)", first);
            line(e, "const float %s[2] = {%s, %s};", name, low, expr_text(e, v));
            e->loop_name[loop] = first;
            e->tmp[v] = arena_printf(k->arena, "%s[q / 4]", name);
        } else if (x->kind == K_DRAW && aligned_index(k, x->index2, loop, 4) && steady_index(k, x->index, loop, width)) {
            const DrawSite *d = &e->l->draw[k->draw[x->slot]];
            const char *kind = d->kind == DRAW_NORMAL ? "NORMAL" : d->kind == DRAW_UNIFORM ? "UNIFORM" : "BERNOULLI";
            const char *name = arena_printf(k->arena, "draw%d_%d", x->slot, e->n_tmp++);
            line(e, "float %s[%lld];", name, (long long)width);
            line(e, "ECT_%s_ROW(%d, %s, %s, %lld, %lld, %s%s);", kind, x->slot, index_text(e, x->index), index_text(e, x->index2), (long long)width, (long long)x->value,
                 d->kind == DRAW_BERNOULLI ? arena_printf(k->arena, "threshold%d, ", x->slot) : "", name);
            e->tmp[v] = arena_printf(k->arena, "%s[q]", name);
        } else if (x->kind == K_SELECT && x->type != T_BOOL && (x->deps >> loop & 1) && steady_choice(k, x, loop, width)) vector_choice(e, v, loop, width, fetched);
    }
    free(seen);
}

/* An f32 vector of 8 that a value is made of. */
static bool wide_load(const Emit *e, const KExpr *x, int loop)
{
    return x->kind == K_LOAD && e->l->buf[e->k->buf[x->slot]].type == NUM_F32 && aligned_index(e->k, x->index, loop, 8);
}

/* Registers that 8 elements of a value take at once beside what is fetched and made: f32 vectors, choices, pairs of halves. */
static int held_registers(const Emit *e, KRef value, int loop)
{
    const Kernel *k = e->k;
    bool *seen = xcalloc((size_t)k->n_expr, sizeof *seen);
    int held = 0;
    reach_always(e, value, seen);
    for (KRef v = 1; v < (KRef)k->n_expr; v++) {
        const KExpr *x = &k->expr[v];
        if (!seen[v] || !(x->deps >> loop & 1)) continue;
        const bool halves = x->kind == K_LOAD && !aligned_index(k, x->index, loop, 8) && !steady_index(k, x->index, loop, 8) && steady_index(k, x->index, loop, 4);
        held += wide_load(e, x, loop) || (x->kind == K_SELECT && steady_choice(k, x, loop, 8)) ? 8 : halves ? 2 : 0;
    }
    free(seen);
    return held;
}

/* Where a vector of a stage is made of much, beside 64 sums of the thread, f32 vectors would take registers that there are not: their elements are loaded where
   they are used. What is fetched for several pieces of a thread at once takes its share. */
static void late_loads(Emit *e, KRef value, int loop, char *const *fetched)
{
    enum { ROOM = 19, SEVERAL = 4 };
    Kernel *k = e->k;
    int held = held_registers(e, value, loop);
    for (KRef v = 1; v < (KRef)k->n_expr; v++) if (fetched[v] && strchr(fetched[v], '[')) { held += SEVERAL; break; }
    if (held <= ROOM) return;
    bool *seen = xcalloc((size_t)k->n_expr, sizeof *seen);
    reach_always(e, value, seen);
    for (KRef v = 1; v < (KRef)k->n_expr; v++)
        if (seen[v] && wide_load(e, &k->expr[v], loop))
            e->tmp[v] = arena_printf(k->arena, "%s[%s + q]", buffer_name(e, k->expr[v].slot), index_text(e, k->expr[v].index));
    free(seen);
}

/* `value`, or value[width]: the operand's elements, 0 where the condition does not hold. loop: along which they lie, its variable being `first`. */
void staged_value(Emit *e, const Operand *o, const char *condition, int loop, int64_t width, char *const *fetched)
{
    Kernel *k = e->k;
    if (width > 1) line(e, condition ? "float value[%lld] = {};" : "float value[%lld];", (long long)width);
    else line(e, condition ? "float value = 0.0f;" : "float value;");
    if (condition) open_block(e, "if (%s)", condition);
    else { line(e, "{"); e->indent++; }
    char **before = e->tmp, **own = xcalloc((size_t)k->n_expr, sizeof *own);
    e->tmp = own;
    if (width > 1) {
        const char *name = e->loop_name[loop], *first = arena_printf(k->arena, "%s_0", name);
        e->loop_name[loop] = first;
        if (fetched) late_loads(e, o->value, loop, fetched);
        vector_loads(e, o->value, loop, width, fetched);
        e->loop_name[loop] = name;
        line(e, "#pragma unroll");
        open_block(e, "for (int q = 0; q < %lld; q++)", (long long)width);
        line(e, "const int %s = %s + q;", name, first);
    }
    char **values = cuda_values(e, 1, &o->value);
    line(e, width > 1 ? "value[q] = %s;" : "value = %s;", expr_text(e, o->value));
    cuda_values_end(e, values);
    if (width > 1) close_block(e);
    e->tmp = before;
    free(own);
    close_block(e);
}

/* Stores what was staged: `width` elements from `at` on, `step` apart. */
void put_staged(Emit *e, const Shape *s, const char *at, int64_t step, int64_t width)
{
    const char *half = stage_half(s) ? number_info[s->number].name : NULL;
    if (width > 1 && step > 1) line(e, "#pragma unroll");
    if (width == 1 && half) line(e, "ect_store_%s(&%s, value);", half, at);
    else if (width == 1) line(e, "%s = value;", at);
    else if (step == 1 && half) line(e, s->number == NUM_BF16 ? "ect_keep8_%s(&%s, value);" : "ect_store8_%s(&%s, value);", half, at);
    else if (step == 1) line(e, "ect_store4(&%s, value);", at);
    else if (half) line(e, "for (int q = 0; q < %lld; q++) ect_store_%s(&%s + q*%lld, value[q]);", (long long)width, half, at, (long long)step);
    else line(e, "for (int q = 0; q < %lld; q++) (&%s)[q*%lld] = value[q];", (long long)width, at, (long long)step);
}

const Axis *innermost(const Axis *v, int n)
{
    for (int i = n; i-- > 0;) if (v[i].size > 1) return &v[i];
    return n ? &v[n - 1] : NULL;
}

/* How a thread takes elements of an operand by rows or columns and depth: `width` of them along a role that lie side by side. loop: the role's, or -1. */
typedef struct { bool wide_next; const Axis *along; int64_t width; int loop; } Pieces;

static Pieces pieces_of(const Emit *e, const Shape *s, const Operand *o, char side, int n_k, const Axis *v)
{
    const Kernel *k = e->k;
    const Axis *wide_axes = side == 'a' ? k->m : k->nn;
    int n_wide = side == 'a' ? k->n_m : k->n_n;
    Pieces p = {.wide_next = stage_contiguous(e, o, wide_axes, n_wide), .width = 1, .loop = -1};
    bool deep_next = !p.wide_next && stage_contiguous(e, o, v, n_k);
    p.along = p.wide_next ? innermost(wide_axes, n_wide) : innermost(v, n_k);
    if (p.along) p.width = vector_width(s, o, p.along->role, p.along->size, p.wide_next || deep_next);
    if (p.wide_next && (side == 'a' ? s->BM : s->BN) % p.width) p.width = 1;
    if (p.width > 1) p.loop = o->loop[op_axis(o, p.along->role)];
    return p;
}

/* Is the operand in memory as it is multiplied, in pieces of 16 bytes along the loop? */
bool as_it_lies(const Emit *e, const Shape *s, const Operand *o, int loop, int64_t width)
{
    const Kernel *k = e->k;
    const KExpr *x = &k->expr[o->value];
    return width == 8 && x->kind == K_LOAD && e->l->buf[k->buf[x->slot]].type == s->number && aligned_index(k, x->index, loop, width);
}

bool stage_copies(const Emit *e, const Shape *s, const Segment2 *g, char side)
{
    const Operand *o = side == 'a' ? &g->a : &g->b;
    if (!s->mma || !stage_half(s)) return false;
    Pieces p = pieces_of(e, s, o, side, g->n_k, g->k);
    return as_it_lies(e, s, o, p.loop, p.width);
}

/* 16 bytes of the operand to a stage, by a copy that goes on while the thread does; 0 where the condition does not hold. */
void copy_piece(Emit *e, const Operand *o, const char *at, const char *condition)
{
    const KExpr *x = &e->k->expr[o->value];
    line(e, "ect_cp_async16(&%s, &%s[%s], %s);", at, buffer_name(e, x->slot), index_text(e, x->index),
         condition ? arena_printf(e->k->arena, strstr(condition, "&&") ? "(%s) ? 16 : 0" : "%s ? 16 : 0", condition) : "16");
}

/* ---- pieces whose loads begin a turn ahead ---- */
static bool comes_in_pieces(const Emit *e, KRef v, int loop)
{
    const KExpr *x = &e->k->expr[v];
    return x->kind == K_LOAD && number_info[e->l->buf[e->k->buf[x->slot]].type].bytes == 2 && aligned_index(e->k, x->index, loop, 8);
}

/* The one load of an arm that comes in pieces; 0 where there is another number of them. */
static KRef arm_load(const Emit *e, KRef arm, int loop)
{
    bool *seen = xcalloc((size_t)e->k->n_expr, sizeof *seen);
    KRef load = 0;
    int n = 0;
    reach_always(e, arm, seen);
    for (KRef v = 1; v < (KRef)e->k->n_expr; v++) if (seen[v] && comes_in_pieces(e, v, loop)) load = v, n++;
    free(seen);
    return n == 1 ? load : 0;
}

static void fetch_piece(Emit *e, const char *to, KRef load)
{
    const KExpr *x = &e->k->expr[load];
    line(e, "%s = ect_fetch8(&%s[%s]);", to, buffer_name(e, x->slot), index_text(e, x->index));
}

/* What a piece is made of that comes from memory in 2 bytes: name per expression, or NULL. A choice between two such loads has their name, too. */
char **pieces_fetched(const Emit *e, const Operand *o, int loop, const char *at)
{
    Kernel *k = e->k;
    int n = 0;
    char **name = xcalloc((size_t)k->n_expr, sizeof *name);
    bool *seen = xcalloc((size_t)k->n_expr, 1);
    reach_always(e, o->value, seen);
    for (KRef v = 1; v < (KRef)k->n_expr; v++) {
        const KExpr *x = &k->expr[v];
        if (!seen[v]) continue;
        if (comes_in_pieces(e, v, loop)) name[v] = arena_printf(k->arena, "%s_next%s%s", buffer_name(e, x->slot), n++ ? arena_printf(k->arena, "%d", n) : "", at);
        const KRef one = x->kind == K_SELECT && x->type != T_BOOL && steady_choice(k, x, loop, 8) ? arm_load(e, x->in[0], loop) : 0;
        const KRef other = one ? arm_load(e, x->in[1], loop) : 0;
        if (other && !seen[one] && !seen[other] && !name[one] && !name[other])
            name[v] = name[one] = name[other] = arena_printf(k->arena, "%s_next%s%s", buffer_name(e, k->expr[one].slot), n++ ? arena_printf(k->arena, "%d", n) : "", at);
    }
    free(seen);
    return name;
}

/* Begins the loads. */
void fetch_pieces(Emit *e, int loop, char *const *fetched)
{
    Kernel *k = e->k;
    bool *chosen = xcalloc((size_t)k->n_expr, sizeof *chosen);
    for (KRef v = 1; v < (KRef)k->n_expr; v++)
        for (int arm = 0; arm < 2 && fetched[v] && k->expr[v].kind == K_SELECT; arm++) chosen[arm_load(e, k->expr[v].in[arm], loop)] = true;
    for (KRef v = 1; v < (KRef)k->n_expr; v++) {
        if (!fetched[v] || chosen[v]) continue;
        if (k->expr[v].kind == K_LOAD) { fetch_piece(e, fetched[v], v); continue; }
        line(e, "if (%s)", cond_text(e, v));
        e->indent++;
        fetch_piece(e, fetched[v], arm_load(e, k->expr[v].in[0], loop));
        e->indent--;
        line(e, "else");
        e->indent++;
        fetch_piece(e, fetched[v], arm_load(e, k->expr[v].in[1], loop));
        e->indent--;
    }
    free(chosen);
}

/* `each`: pieces of a thread, of which names say [own]. */
void declare_pieces(Emit *e, char *const *fetched, int64_t each)
{
    for (KRef v = 1; v < (KRef)e->k->n_expr; v++) {
        bool before = false;
        for (KRef u = 1; u < v; u++) before |= fetched[u] && fetched[u] == fetched[v];
        if (!fetched[v] || before) continue;
        if (each == 1) line(e, "ect_half8 %s = {};  /* on its way */", fetched[v]);
        else line(e, "ect_half8 %.*s[%lld] = {};  /* on their way */", (int)strcspn(fetched[v], "["), fetched[v], (long long)each);
    }
}

/* ---- stages of rows or columns ---- */
/* Piece `slot` of a stage: element (wide, deep) is the operand at row or column first + wide and summed index k0 + deep of the axes v[]; 0 outside. */
static void fill_piece(Emit *e, const Shape *s, const Segment2 *g, char side, const Stage *stage, int n_k, const Axis *v, PieceStep what, char *const *fetched)
{
    Kernel *k = e->k;
    const Operand *o = side == 'a' ? &g->a : &g->b;
    const Axis *wide_axes = side == 'a' ? k->m : k->nn;
    int n_wide = side == 'a' ? k->n_m : k->n_n;
    int64_t K = axes_product(v, n_k), W = side == 'a' ? s->M : s->N, tile = side == 'a' ? s->BM : s->BN;
    Pieces p = pieces_of(e, s, o, side, n_k, v);
    bool wide_next = p.wide_next;
    int64_t width = p.width;
    Sym of_first = width > 1 && what == PIECE_STAGED ? p.along->role : NULL;
    int64_t wides = wide_next ? stage->wide / width : stage->wide, deeps = wide_next ? s->BK : s->BK / width;
    const char *times = width > 1 ? arena_printf(k->arena, "*%lld", (long long)width) : "";
    if (wide_next) line(e, "const int wide = slot %% %lld%s, deep = slot / %lld;", (long long)wides, times, (long long)wides);
    else line(e, "const int wide = slot / %lld, deep = slot %% %lld%s;", (long long)deeps, (long long)deeps, times);
    line(e, "const int %s = %s + wide;", side == 'a' ? "row_at" : "col_at", side == 'a' ? "row0" : "col0");
    line(e, "const int k_at = k0 + deep;");
    StrBuf inside = {0};
    const char *k_end = s->splits > 1 ? "k_end" : arena_printf(k->arena, "%lld", (long long)K);
    if (side == 'a' && s->TASK % s->BM) stage_also(&inside, "row_at < row_end");
    else if (W % tile) stage_also(&inside, arena_printf(k->arena, "%s < %lld", side == 'a' ? "row_at" : "col_at", (long long)W));
    if (s->splits > 1 || K % s->BK) stage_also(&inside, arena_printf(k->arena, "k_at < %s", k_end));
    const char *keep[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) keep[i] = e->loop_name[o->loop[i]];
    decode_axes(e, o, side == 'a' ? "row_at" : "col_at", n_wide, wide_axes, of_first);
    decode_axes(e, o, "k_at", n_k, v, of_first);
    for (int i = 0; i < o->n_axes; i++) {
        const Tap *t = tap_on(o, o->outer[i]);
        if (!t) continue;
        const char *in = arena_printf(k->arena, "%s_in", loop_c_name(e, t->axis)), *tap = loop_c_name(e, t->kaxis);
        StrBuf at = {0};                             /* position + tap * dil - pad */
        sb_printf(&at, "%s_at", loop_c_name(e, t->axis));
        if (t->pad < 0) sb_printf(&at, " + %lld", (long long)-t->pad);
        if (llabs(t->dil) == 1) sb_printf(&at, " %c %s", t->dil < 0 ? '-' : '+', tap);
        else sb_printf(&at, " %c %s*%lld", t->dil < 0 ? '-' : '+', tap, llabs(t->dil));
        if (t->pad > 0) sb_printf(&at, " - %lld", (long long)t->pad);
        line(e, "const int %s = %s;", in, at.s);
        sb_free(&at);
        stage_also(&inside, arena_printf(k->arena, "%s >= 0 && %s < %lld", in, in, (long long)t->in));
        e->loop_name[o->loop[i]] = in;
    }
    int64_t pad = stage_pad(s);
    const char *at = stage_at(e, s, stage, "wide", "deep");
    if (what == PIECE_COPIED) copy_piece(e, o, at, inside.s);
    else if (what == PIECE_STAGED) staged_value(e, o, inside.s, p.loop, width, fetched);
    else {
        if (inside.s) open_block(e, "if (%s)", inside.s);
        fetch_pieces(e, p.loop, fetched);
        if (inside.s) close_block(e);
    }
    for (int i = 0; i < o->n_axes; i++) e->loop_name[o->loop[i]] = keep[i];
    if (what == PIECE_STAGED) put_staged(e, s, at, stage->rows_inner == wide_next ? 1 : stage->rows_inner ? stage->wide + pad : stage->depth + pad, width);
    sb_free(&inside);
}

static int64_t fill_pieces(const Emit *e, const Shape *s, const Segment2 *g, char side, const Stage *stage, int n_k, const Axis *v)
{
    return stage->wide * s->BK / pieces_of(e, s, side == 'a' ? &g->a : &g->b, side, n_k, v).width;
}

static const char *operand_name(Emit *e, char side, int seg) { return seg ? arena_printf(e->k->arena, "%c of segment %d", side, seg) : side == 'a' ? "a" : "b"; }

void stage_fill(Emit *e, const Shape *s, const Segment2 *g, int seg, char side, const Stage *stage, int n_k, const Axis *v)
{
    line(e, stage->copy ? "/* operand %s as it lies in memory{{%c%d}}, 0 outside */" : "/* operand %s with its prologue{{%c%d}}, 0 outside */", operand_name(e, side, seg), side, seg);
    /* A further segment is short, and what it keeps in registers is missing in all of the kernel, as what copies keep is. */
    if (s->ring && (seg || (stage->copy && e->k->n_seg > 1))) line(e, "#pragma unroll 1");
    open_block(e, "for (int slot = threadIdx.x; slot < %lld; slot += %d)", (long long)fill_pieces(e, s, g, side, stage, n_k, v), CUDA_THREADS);
    fill_piece(e, s, g, side, stage, n_k, v, stage->copy ? PIECE_COPIED : PIECE_STAGED, NULL);
    close_block(e);
}

/* Different loads that a piece is made of. */
static int loads_of_piece(const Emit *e, char *const *fetched)
{
    int n = 0;
    for (KRef v = 1; v < (KRef)e->k->n_expr; v++) {
        bool before = false;
        for (KRef u = 1; u < v; u++) before |= fetched[u] && fetched[u] == fetched[v];
        n += fetched[v] && !before;
    }
    return n;
}

/* Indices of rows or columns that take divisions: some inner axis is no power of two. */
static bool divides(const Emit *e, char side)
{
    const int *loop = side == 'a' ? e->k->loop_m : e->k->loop_n, n = side == 'a' ? e->k->n_m : e->k->n_n;
    for (int i = 1; i < n; i++) {
        const int64_t size = e->k->loop[loop[i]].size;
        if (size & (size - 1)) return true;
    }
    return false;
}

bool stage_fetches(const Emit *e, const Shape *s, const Segment2 *g, char side, const Stage *stage)
{
    enum { MOST = 2, ROOM = 26 };                    /* pieces of a thread, each load waits in 4 registers for each; what else they are made of */
    const Operand *o = side == 'a' ? &g->a : &g->b;
    if (!s->mma || !stage_half(s)) return false;
    const Pieces p = pieces_of(e, s, o, side, g->n_k, g->k);
    const int64_t pieces = fill_pieces(e, s, g, side, stage, g->n_k, g->k);
    if (p.width != 8 || pieces % CUDA_THREADS || pieces > MOST * CUDA_THREADS || held_registers(e, o->value, p.loop) > ROOM) return false;
    char **fetched = pieces_fetched(e, o, p.loop, "");
    const int n = loads_of_piece(e, fetched);
    free(fetched);
    return n > 0 && n <= 2;
}

void stage_functions(Emit *e, const Shape *s, const Segment2 *g, int seg, char side, const Stage *stage)
{
    const Operand *o = side == 'a' ? &g->a : &g->b;
    const int64_t each = fill_pieces(e, s, g, side, stage, g->n_k, g->k) / CUDA_THREADS;
    /* Both operands may read one buffer. */
    const char *at = side == 'a' ? each > 1 ? "[own]" : "" : each > 1 ? "_b[own]" : "_b";
    char **fetched = pieces_fetched(e, o, pieces_of(e, s, o, side, g->n_k, g->k).loop, at);
    declare_pieces(e, fetched, each);
    for (int turn = 0; turn < 2; turn++) {
        if (turn) line(e, "/* operand %s with its prologue{{%c%d}}, 0 outside, to one of two stages */", operand_name(e, side, seg), side, seg);
        else line(e, "/* begins the loads of operand %s */", operand_name(e, side, seg));
        if (turn) line(e, "const auto stage_%c = [&](int k0, %s *%s) {", side, stage_type(s), stage->name);
        else line(e, "const auto fetch_%c = [&](int k0) {", side);
        e->indent++;
        if (each > 1) {
            line(e, "#pragma unroll");
            open_block(e, "for (int own = 0; own < %lld; own++)", (long long)each);
        }
        /* What a thread stages is told anew behind the product, so that no register keeps it meanwhile; before it, too, where much waits. */
        const char *thread = turn || (loads_of_piece(e, fetched) * each > 2 && divides(e, side)) ? "ect_thread()" : "threadIdx.x";
        line(e, each > 1 ? "const int slot = %s + own*%d;" : "const int slot = %s;", thread, CUDA_THREADS);
        fill_piece(e, s, g, side, stage, g->n_k, g->k, turn ? PIECE_STAGED : PIECE_FETCHED, fetched);
        if (each > 1) close_block(e);
        close_lambda(e);
    }
    free(fetched);
}
