/* CUDA dialect: contractions as one structure: a block computes rows x columns of the result in tiles, its operands staged in shared memory with their
   prologue, sums over all K segments in registers, then the tile in shared memory and its end (emit_cuda_tile.c). The leaf, what multiplies two staged tiles,
   is apart from it: fused multiply-adds in f32, or mma.sync where both operands are rounded to the same precision.
   Assumes operands as lower_reduce.c leaves them; every index is bounds-masked here, so any size works. */
#include "compiler/emit_cuda.h"

enum { BK_FMA = 16, BK_MMA = 32, BK_TF32 = 16, PAD_MMA = 8, PAD_TF32 = 4, TN = 4, SHARED_STATIC = 48 << 10, ROW_TILE = 64 << 10, FULL = 132 };

/* A convolution's rows in tiles of whole image lines: the operand is staged once an element, with its border, and read by every tap. */
typedef struct {
    bool on;
    const Tap *h, *w;                                /* outer and inner windowed axis; h may be NULL */
    int64_t H, W, lines, images;                     /* lines of an image that a tile has, images that it has */
    int64_t SH, SW, left_h, left_w;                  /* lines and pixels of the stage; of them before the tile's first */
    int n_inner; Axis inner[MAX_AXES]; int64_t depth;/* summed axes beyond taps */
} Halo;
typedef struct {
    Halo halo;                                       /* of the first segment */
    int64_t M, N, B, TASK, tasks;                    /* rows, columns, batch; rows of a task, tasks of a batch element */
    int64_t BM, BN, BK, CN;                          /* tile of a block, depth of a stage, columns of the tile's end */
    int64_t column_blocks, splits, K0;               /* splits: of the sum over K; K0: of the first segment */
    bool mma; Number number;                         /* mma: with operands of this precision; else NUM_F32 */
    bool whole_rows;                                 /* a row is reduced, so the block has all columns */
    int warps_m, warps_n;
} Shape;

/* ---- operands ---- */
/* The precision that the operand's values have; NUM_F32: any. */
static Number precision_of(const Emit *e, const Operand *o)
{
    const KExpr *x = &e->k->expr[o->value];
    if (x->kind == K_LOAD) return e->l->buf[e->k->buf[x->slot]].type;
    if (x->kind != K_OP) return NUM_F32;
    return x->op == OP_bf16 ? NUM_BF16 : x->op == OP_f16 ? NUM_F16 : x->op == OP_tf32 ? NUM_TF32 : NUM_F32;
}

/* Elements between lines of a stage, so that a warp's loads meet few banks twice. */
static int64_t stage_pad(const Shape *s) { return !s->mma ? 0 : s->number == NUM_TF32 ? PAD_TF32 : PAD_MMA; }

static bool stage_half(const Shape *s) { return number_info[s->number].bytes == 2; }

static const char *stage_type(const Shape *s) { return s->number == NUM_F16 ? "ect_f16_t" : s->number == NUM_BF16 ? "ect_bf16_t" : "float"; }

static const Tap *tap_on(const Operand *o, Sym role)
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
static void decode_axes(Emit *e, const Operand *o, const char *flat, int n, const Axis *v, Sym of_first)
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
}

/* Do neighbours along the innermost wide axis of v[] lie next to each other in what the operand loads? Of the largest buffer it reads. */
static bool contiguous(const Emit *e, const Operand *o, const Axis *v, int n)
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

typedef struct { const char *name; bool rows_inner; int64_t wide, depth; } Stage;    /* rows_inner: [depth][wide], else [wide][depth] */

/* Elements of one stage of `wide` rows or columns, in either order. */
static int64_t stage_size(const Shape *s, int64_t wide)
{
    int64_t pad = stage_pad(s);
    return (MAX(wide * (s->BK + pad), s->BK * (wide + pad)) + 7) / 8 * 8;
}

static bool word(const char *s) { return !strchr(s, ' '); }

static const char *stage_at(Emit *e, const Shape *s, const Stage *g, const char *wide, const char *deep)
{
    int64_t pad = stage_pad(s);
    if (g->rows_inner) return arena_printf(e->k->arena, word(deep) ? "%s[%s*%lld + %s]" : "%s[(%s)*%lld + %s]", g->name, deep, (long long)(g->wide + pad), wide);
    return arena_printf(e->k->arena, word(wide) ? "%s[%s*%lld + %s]" : "%s[(%s)*%lld + %s]", g->name, wide, (long long)(g->depth + pad), deep);
}

static void also(StrBuf *b, const char *condition) { sb_printf(b, "%s%s", b->len ? " && " : "", condition); }

/* ---- several elements of a stage at once ---- */
/* The loop along which a thread stages its elements, and how many at once: neighbours in what the operand loads. */
static int64_t vector_width(const Emit *e, const Shape *s, const Operand *o, Sym role, int64_t size, bool next)
{
    int64_t width = stage_half(s) ? 8 : 4;
    return next && !tap_on(o, role) && op_axis(o, role) >= 0 && size % width == 0 && s->BK % width == 0 && !e->k->n_b ? width : 1;
}

/* The index with the loop at a multiple of `width` and the others anywhere: a multiple of `width`, and steps by one along the loop? */
static bool aligned_index(const Kernel *k, IRef i, int loop, int64_t width)
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
static bool steady_index(const Kernel *k, IRef i, int loop, int64_t width)
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

/* Prints loads and draws of `value` for all elements of a vector; their names go to e->tmp. The loop's variable is `first` meanwhile. */
static void vector_loads(Emit *e, KRef value, int loop, int64_t width)
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
            line(e, "ect_load%lld%s(%s, &%s[%s]);", (long long)width, half, name, buffer_name(e, x->slot), index_text(e, x->index));
            e->tmp[v] = arena_printf(k->arena, "%s[q]", name);
        } else if (x->kind == K_LOAD && steady_index(k, x->index, loop, width)) {
            char *name = arena_printf(k->arena, "t%d", e->n_tmp++);
            line(e, "const float %s = %s;", name, expr_text(e, v));
            e->tmp[v] = name;
        } else if (x->kind == K_DRAW && aligned_index(k, x->index2, loop, 4) && steady_index(k, x->index, loop, width)) {
            const DrawSite *d = &e->l->draw[k->draw[x->slot]];
            const char *kind = d->kind == DRAW_NORMAL ? "NORMAL" : d->kind == DRAW_UNIFORM ? "UNIFORM" : "BERNOULLI";
            const char *name = arena_printf(k->arena, "draw%d_%d", x->slot, e->n_tmp++);
            line(e, "float %s[%lld];", name, (long long)width);
            line(e, "ECT_%s_ROW(%d, %s, %s, %lld, %lld, %s%s);", kind, x->slot, index_text(e, x->index), index_text(e, x->index2), (long long)width, (long long)x->value,
                 d->kind == DRAW_BERNOULLI ? arena_printf(k->arena, "threshold%d, ", x->slot) : "", name);
            e->tmp[v] = arena_printf(k->arena, "%s[q]", name);
        }
    }
    free(seen);
}

/* `value`, or value[width]: the operand's elements, 0 where the condition does not hold. loop: along which they lie, its variable being `first`. */
static void staged_value(Emit *e, const Operand *o, const char *condition, int loop, int64_t width)
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
        vector_loads(e, o->value, loop, width);
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
static void put_staged(Emit *e, const Shape *s, const char *at, int64_t step, int64_t width)
{
    const char *half = stage_half(s) ? number_info[s->number].name : NULL;
    if (width > 1 && step > 1) line(e, "#pragma unroll");
    if (width == 1 && half) line(e, "ect_store_%s(&%s, value);", half, at);
    else if (width == 1) line(e, "%s = value;", at);
    else if (step == 1 && half) line(e, "ect_store8_%s(&%s, value);", half, at);
    else if (step == 1) line(e, "ect_store4(&%s, value);", at);
    else if (half) line(e, "for (int q = 0; q < %lld; q++) ect_store_%s(&%s + q*%lld, value[q]);", (long long)width, half, at, (long long)step);
    else line(e, "for (int q = 0; q < %lld; q++) (&%s)[q*%lld] = value[q];", (long long)width, at, (long long)step);
}

static const Axis *innermost(const Axis *v, int n)
{
    for (int i = n; i-- > 0;) if (v[i].size > 1) return &v[i];
    return n ? &v[n - 1] : NULL;
}

/* Fills a stage: element (wide, deep) is the operand at row or column first + wide and summed index k0 + deep of the axes v[]; 0 outside. */
static void fill(Emit *e, const Shape *s, const Segment2 *g, int seg, char side, const Stage *stage, int n_k, const Axis *v)
{
    Kernel *k = e->k;
    const Operand *o = side == 'a' ? &g->a : &g->b;
    const Axis *wide_axes = side == 'a' ? k->m : k->nn;
    int n_wide = side == 'a' ? k->n_m : k->n_n;
    bool wide_next = contiguous(e, o, wide_axes, n_wide), deep_next = !wide_next && contiguous(e, o, v, n_k);
    int64_t K = axes_product(v, n_k), W = side == 'a' ? s->M : s->N, tile = side == 'a' ? s->BM : s->BN;
    const Axis *along = wide_next ? innermost(wide_axes, n_wide) : innermost(v, n_k);
    int64_t width = along ? vector_width(e, s, o, along->role, along->size, wide_next || deep_next) : 1;
    if (wide_next && tile % width) width = 1;
    int loop = width > 1 ? o->loop[op_axis(o, along->role)] : -1;
    int64_t wides = wide_next ? stage->wide / width : stage->wide, deeps = wide_next ? s->BK : s->BK / width;
    line(e, "/* operand %c%s with its prologue{{%c%d}}, 0 outside */", side, seg ? arena_printf(k->arena, " of segment %d", seg) : "", side, seg);
    open_block(e, "for (int slot = threadIdx.x; slot < %lld; slot += %d)", (long long)(wides * deeps), CUDA_THREADS);
    const char *times = width > 1 ? arena_printf(k->arena, "*%lld", (long long)width) : "";
    if (wide_next) line(e, "const int wide = slot %% %lld%s, deep = slot / %lld;", (long long)wides, times, (long long)wides);
    else line(e, "const int wide = slot / %lld, deep = slot %% %lld%s;", (long long)deeps, (long long)deeps, times);
    line(e, "const int %s = %s + wide;", side == 'a' ? "row_at" : "col_at", side == 'a' ? "row0" : "col0");
    line(e, "const int k_at = k0 + deep;");
    StrBuf inside = {0};
    const char *k_end = s->splits > 1 ? "k_end" : arena_printf(k->arena, "%lld", (long long)K);
    if (side == 'a' && s->TASK % s->BM) also(&inside, "row_at < row_end");
    else if (W % tile) also(&inside, arena_printf(k->arena, "%s < %lld", side == 'a' ? "row_at" : "col_at", (long long)W));
    if (s->splits > 1 || K % s->BK) also(&inside, arena_printf(k->arena, "k_at < %s", k_end));
    const char *keep[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) keep[i] = e->loop_name[o->loop[i]];
    decode_axes(e, o, side == 'a' ? "row_at" : "col_at", n_wide, wide_axes, width > 1 ? along->role : NULL);
    decode_axes(e, o, "k_at", n_k, v, width > 1 ? along->role : NULL);
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
        also(&inside, arena_printf(k->arena, "%s >= 0 && %s < %lld", in, in, (long long)t->in));
        e->loop_name[o->loop[i]] = in;
    }
    staged_value(e, o, inside.s, loop, width);
    for (int i = 0; i < o->n_axes; i++) e->loop_name[o->loop[i]] = keep[i];
    int64_t pad = stage_pad(s);
    put_staged(e, s, stage_at(e, s, stage, "wide", "deep"), stage->rows_inner == wide_next ? 1 : stage->rows_inner ? stage->wide + pad : stage->depth + pad, width);
    close_block(e);
    sb_free(&inside);
}

/* Fills the stage of a convolution: [image][line][pixel][channel], the prologue once an element. */
static void fill_halo(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    const Halo *h = &s->halo;
    const Operand *o = &k->seg[0].a;
    const Axis *along = innermost(h->inner, h->n_inner);
    int64_t width = along ? vector_width(e, s, o, along->role, along->size, contiguous(e, o, h->inner, h->n_inner)) : 1;
    int loop = width > 1 ? o->loop[op_axis(o, along->role)] : -1;
    int64_t pitch = s->BK + stage_pad(s), deeps = s->BK / width, per_line = h->SW * deeps, per_image = per_line * h->SH;
    int others = k->n_m - (h->h ? 2 : 1);
    line(e, "/* operand a with its prologue{{a0}}, once an element, 0 outside: [%lld images][%lld lines][%lld pixels][%lld channels] */", (long long)h->images, (long long)h->SH,
         (long long)h->SW, (long long)s->BK);
    open_block(e, "for (int slot = threadIdx.x; slot < %lld; slot += %d)", (long long)(per_image * h->images), CUDA_THREADS);
    line(e, "const int deep = slot %% %lld%s;", (long long)deeps, width > 1 ? arena_printf(k->arena, "*%lld", (long long)width) : "");
    line(e, "const int k_at = k0 + deep;");
    line(e, "const int w_in = slot / %lld %% %lld - %lld;", (long long)deeps, (long long)h->SW, (long long)h->left_w);
    StrBuf inside = {0};
    also(&inside, arena_printf(k->arena, "w_in >= 0 && w_in < %lld", (long long)h->w->in));
    if (h->h) {
        line(e, "const int h_in = row0 / %lld %% %lld + slot / %lld %% %lld - %lld;", (long long)h->W, (long long)h->H, (long long)per_line, (long long)h->SH, (long long)h->left_h);
        also(&inside, arena_printf(k->arena, "h_in >= 0 && h_in < %lld", (long long)h->h->in));
    }
    if (others) {
        int64_t image = h->W * (h->h ? h->H : 1), n = axes_product(k->m, others);
        if (h->images > 1) line(e, "const int image = row0 / %lld + slot / %lld;", (long long)image, (long long)per_image);
        else line(e, "const int image = row0 / %lld;", (long long)image);
        if (n % h->images) also(&inside, arena_printf(k->arena, "image < %lld", (long long)n));
        decode_axes(e, o, "image", others, k->m, NULL);
    }
    if (h->depth % s->BK) also(&inside, arena_printf(k->arena, "k_at < %lld", (long long)h->depth));
    decode_axes(e, o, "k_at", h->n_inner, h->inner, width > 1 ? along->role : NULL);
    const char *keep[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) {
        const Tap *t = tap_on(o, o->outer[i]);
        keep[i] = e->loop_name[o->loop[i]];
        if (t) e->loop_name[o->loop[i]] = t == h->w ? "w_in" : "h_in";
    }
    staged_value(e, o, inside.s, loop, width);
    for (int i = 0; i < o->n_axes; i++) e->loop_name[o->loop[i]] = keep[i];
    put_staged(e, s, arena_printf(k->arena, "a_tile[slot / %lld*%lld + deep]", (long long)deeps, (long long)pitch), 1, width);
    close_block(e);
    sb_free(&inside);
}

/* Where a row of the tile begins in that stage, for tap 0. */
static const char *halo_row(Emit *e, const Shape *s, const char *row)
{
    const Halo *h = &s->halo;
    int64_t pitch = s->BK + stage_pad(s);
    StrBuf b = {0};
    if (h->images > 1) sb_printf(&b, "(%s) / %lld*%lld + ", row, (long long)(h->lines * h->W), (long long)(h->SH * h->SW * pitch));
    if (h->h && h->images > 1) sb_printf(&b, "(%s) / %lld %% %lld*%lld + ", row, (long long)h->W, (long long)h->lines, (long long)(h->SW * pitch));
    else if (h->h) sb_printf(&b, "(%s) / %lld*%lld + ", row, (long long)h->W, (long long)(h->SW * pitch));
    sb_printf(&b, "(%s) %% %lld*%lld", row, (long long)h->W, (long long)pitch);
    const char *text = arena_strdup(e->k->arena, b.s);
    sb_free(&b);
    return text;
}

/* ---- leaves ---- */
static void declare_sums(Emit *e, const Shape *s)
{
    if (s->mma) {
        int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8;
        line(e, "ect_frag_c acc[%lld][%lld];  /* of a warp: %lld x %lld of the tile */", (long long)fm, (long long)fn, (long long)(fm * 16),
             (long long)(fn * 8));
        line(e, "#pragma unroll");
        line(e, "for (int i_c = 0; i_c < %lld; i_c++)", (long long)(fm * fn));
        line(e, "    for (int part_of = 0; part_of < 4; part_of++) acc[i_c / %lld][i_c %% %lld].x[part_of] = 0.0f;", (long long)fn, (long long)fn);
        return;
    }
    int64_t tm = s->BM * s->BN / CUDA_THREADS / TN;
    line(e, "float acc[%lld][%d] = {};", (long long)tm, TN);
}

/* Lie 16 rows of a convolution's tile one after another in its stage? */
static bool halo_rows_whole(const Shape *s) { return s->halo.W % 16 == 0; }

/* mma.sync tf32: a lane loads its elements one by one, lane 4 g + t rows g and g + 8 of each 16, columns g of each 8, depths t and t + 4. */
static void multiply_tf32(Emit *e, const Shape *s, const Stage *a, const Stage *b)
{
    int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8, pad = stage_pad(s);
    line(e, "#pragma unroll");
    open_block(e, "for (int deep = 0; deep < %lld; deep += 8)", (long long)s->BK);
    line(e, "ect_frag_a_tf32 fa[%lld];", (long long)fm);
    line(e, "ect_frag_b_tf32 fb[%lld];", (long long)fn);
    line(e, "#pragma unroll");
    open_block(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
    const char *t = "deep + lane_c % 4";
    if (!a && halo_rows_whole(s))
        line(e, "fa[i_m] = ect_load_a_tf32(&a_tile[a_row[i_m] + tap_at + %s], &a_tile[a_row[i_m] + tap_at + %lld + %s], 1);", t,
             (long long)(8 * (s->BK + pad)), t);
    else if (!a) line(e, "fa[i_m] = ect_load_a_tf32(&a_tile[a_row[i_m*2] + tap_at + %s], &a_tile[a_row[i_m*2 + 1] + tap_at + %s], 1);", t, t);
    else line(e, "fa[i_m] = ect_load_a_tf32(&%s, &%s, %lld);", stage_at(e, s, a, "row_c + i_m*16 + lane_c / 4", t),
              stage_at(e, s, a, "row_c + i_m*16 + lane_c / 4 + 8", t), a->rows_inner ? (long long)(a->wide + pad) : 1LL);
    close_block(e);
    line(e, "#pragma unroll");
    line(e, "for (int i_n = 0; i_n < %lld; i_n++) fb[i_n] = ect_load_b_tf32(&%s, %lld);", (long long)fn, stage_at(e, s, b, "col_c + i_n*8 + lane_c / 4", t),
         b->rows_inner ? (long long)(b->wide + pad) : 1LL);
    line(e, "#pragma unroll");
    line(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
    line(e, "    for (int i_n = 0; i_n < %lld; i_n++) ect_mma_tf32(&acc[i_m][i_n], fa[i_m], fb[i_n]);", (long long)fn);
    close_block(e);
}

/* a NULL: a convolution's stage, at tap_at. */
static void multiply(Emit *e, const Shape *s, const Stage *a, const Stage *b)
{
    Kernel *k = e->k;
    if (s->mma && s->number == NUM_TF32) {
        multiply_tf32(e, s, a, b);
        return;
    }
    if (s->mma) {
        int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8;
        line(e, "#pragma unroll");
        open_block(e, "for (int deep = 0; deep < %lld; deep += 16)", (long long)s->BK);
        line(e, "ect_frag_a fa[%lld];", (long long)fm);
        line(e, "ect_frag_b fb[%lld];", (long long)fn);
        line(e, "#pragma unroll");
        open_block(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
        if (!a) line(e, "fa[i_m] = ect_load_a(&a_tile[a_row[i_m] + tap_at + deep + lane_c / 16 * 8]);");
        else if (a->rows_inner) line(e, "fa[i_m] = ect_load_a_trans(&%s);", stage_at(e, s, a, "row_c + i_m*16 + lane_c / 8 % 2 * 8", "deep + lane_c % 8 + lane_c / 16 * 8"));
        else line(e, "fa[i_m] = ect_load_a(&%s);", stage_at(e, s, a, "row_c + i_m*16 + lane_c % 16", "deep + lane_c / 16 * 8"));
        close_block(e);
        line(e, "#pragma unroll");
        open_block(e, "for (int i_n = 0; i_n < %lld; i_n += 2)", (long long)fn);
        if (b->rows_inner) line(e, "ect_load_b2_trans(fb + i_n, &%s);", stage_at(e, s, b, "col_c + i_n*8 + lane_c / 16 * 8", "deep + lane_c % 16"));
        else line(e, "ect_load_b2(fb + i_n, &%s);", stage_at(e, s, b, "col_c + i_n*8 + lane_c % 8 + lane_c / 16 * 8", "deep + lane_c / 8 % 2 * 8"));
        close_block(e);
        line(e, "#pragma unroll");
        line(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
        line(e, "    for (int i_n = 0; i_n < %lld; i_n++) %s(&acc[i_m][i_n], fa[i_m], fb[i_n]);", (long long)fn,
             s->number == NUM_F16 ? "ect_mma_f16" : "ect_mma");
        close_block(e);
        return;
    }
    int64_t tm = s->BM * s->BN / CUDA_THREADS / TN;
    line(e, "#pragma unroll");
    open_block(e, "for (int deep = 0; deep < %lld; deep++)", (long long)s->BK);
    line(e, "float ra[%lld], rb[%d];", (long long)tm, TN);
    line(e, "#pragma unroll");
    if (!a) line(e, "for (int i_m = 0; i_m < %lld; i_m++) ra[i_m] = a_tile[a_row[i_m] + tap_at + deep];", (long long)tm);
    else line(e, "for (int i_m = 0; i_m < %lld; i_m++) ra[i_m] = %s;", (long long)tm, stage_at(e, s, a, arena_printf(k->arena, "row_c*%lld + i_m", (long long)tm), "deep"));
    line(e, "#pragma unroll");
    line(e, "for (int i_n = 0; i_n < %d; i_n++) rb[i_n] = %s;", TN, stage_at(e, s, b, arena_printf(k->arena, "col_c*%d + i_n", TN), "deep"));
    line(e, "#pragma unroll");
    line(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)tm);
    line(e, "    for (int i_n = 0; i_n < %d; i_n++) acc[i_m][i_n] = ect_fma(ra[i_m], rb[i_n], acc[i_m][i_n]);", TN);
    close_block(e);
}

/* Where the thread's sums lie in the tile; declared once. */
static void declare_place(Emit *e, const Shape *s)
{
    if (s->mma) {
        line(e, "const int lane_c = threadIdx.x %% 32;");
        line(e, "const int warp_c = threadIdx.x / 32;");
        line(e, "const int row_c = warp_c / %d * %lld, col_c = warp_c %% %d * %lld;  /* the warp's part of the tile */", s->warps_n, (long long)(s->BM / s->warps_m), s->warps_n,
             (long long)(s->BN / s->warps_n));
    } else {
        line(e, "const int row_c = threadIdx.x / %lld, col_c = threadIdx.x %% %lld;  /* the thread's part of the tile: %lld rows, %d columns */", (long long)(s->BN / TN),
             (long long)(s->BN / TN), (long long)(s->BM * s->BN / CUDA_THREADS / TN), TN);
    }
}

/* put: "target(row, col) = value" with row and column within the tile. */
static void each_sum(Emit *e, const Shape *s, void (*put)(Emit *e, const Shape *s, const char *row, const char *col, const char *value))
{
    Kernel *k = e->k;
    if (s->mma) {
        int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8;
        line(e, "#pragma unroll");
        open_block(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
        line(e, "#pragma unroll");
        open_block(e, "for (int i_n = 0; i_n < %lld; i_n++)", (long long)fn);
        line(e, "#pragma unroll");
        open_block(e, "for (int part_of = 0; part_of < 4; part_of++)");
        put(e, s, "row_c + i_m*16 + lane_c / 4 + part_of / 2 * 8", "col_c + i_n*8 + lane_c % 4 * 2 + part_of % 2", "acc[i_m][i_n].x[part_of]");
        close_block(e);
        close_block(e);
        close_block(e);
        return;
    }
    int64_t tm = s->BM * s->BN / CUDA_THREADS / TN;
    line(e, "#pragma unroll");
    open_block(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)tm);
    line(e, "#pragma unroll");
    open_block(e, "for (int i_n = 0; i_n < %d; i_n++)", TN);
    put(e, s, arena_printf(k->arena, "row_c*%lld + i_m", (long long)tm), arena_printf(k->arena, "col_c*%d + i_n", TN), "acc[i_m][i_n]");
    close_block(e);
    close_block(e);
}

static void put_tile(Emit *e, const Shape *s, const char *row, const char *col, const char *value)
{
    line(e, "c_tile[(%s)*%lld + %s%s] = %s;", row, (long long)s->CN, s->whole_rows ? "col0 + " : "", col, value);
}

static void put_partial(Emit *e, const Shape *s, const char *row, const char *col, const char *value)
{
    line(e, "const int to_row = row0 + %s, to_col = col0 + %s;", row, col);
    line(e, "if (to_row < %lld && to_col < %lld) partial[((ect_i64)batch*%lld + to_row)*%lld + to_col] = %s;", (long long)s->M, (long long)s->N, (long long)s->M,
         (long long)s->N, value);
}

/* ---- the sum over K ---- */
static void take_turn(Emit *e, const Shape *s, bool a)
{
    const char *type = stage_type(s);
    if (a) line(e, "%s *const a_now = a_tile + turn*%lld;", type, (long long)stage_size(s, s->BM));
    line(e, "%s *const b_now = b_tile + turn*%lld;", type, (long long)stage_size(s, s->BN));
    line(e, "turn = 1 - turn;");
}

/* tap * dil - pad + left lines or pixels of `step` elements. */
static const char *tap_step(Emit *e, const Tap *t, int64_t left, int64_t step)
{
    int64_t from = left - t->pad;
    const char *tap = loop_c_name(e, t->kaxis);
    if (t->dil == 1 && !from) return arena_printf(e->k->arena, "%s*%lld", tap, (long long)step);
    if (t->dil == -1) return arena_printf(e->k->arena, "(%lld - %s)*%lld", (long long)from, tap, (long long)step);
    return arena_printf(e->k->arena, "(%s*%lld + %lld)*%lld", tap, (long long)t->dil, (long long)from, (long long)step);
}

/* A convolution: for some channels, the stage once, then a product for each tap at shifted addresses. */
static void halo_segment(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    const Halo *h = &s->halo;
    const Segment2 *g = &k->seg[0];
    int64_t pitch = s->BK + stage_pad(s), kh = h->h ? h->h->k : 1, kw = h->w->k;
    bool tf32 = s->mma && s->number == NUM_TF32;
    bool pairs = tf32 && !halo_rows_whole(s);        /* rows g and g + 8 of each 16 have places of their own */
    int64_t rows = pairs ? s->BM / s->warps_m / 8 : s->mma ? s->BM / s->warps_m / 16 : s->BM * s->BN / CUDA_THREADS / TN;
    Stage b = {"b_now", contiguous(e, &g->b, k->nn, k->n_n) || !s->mma, s->BN, s->BK};
    line(e, "int a_row[%lld];  /* where the thread's rows begin in the stage */", (long long)rows);
    line(e, "#pragma unroll");
    line(e, "for (int i_m = 0; i_m < %lld; i_m++) a_row[i_m] = %s;", (long long)rows,
         halo_row(e, s, pairs ? "row_c + i_m*8 + lane_c / 4" : tf32 ? "row_c + i_m*16 + lane_c / 4" : s->mma ? "row_c + i_m*16 + lane_c % 16" : arena_printf(k->arena, "row_c*%lld + i_m", (long long)rows)));
    open_block(e, "for (int k0 = 0; k0 < %lld; k0 += %lld)", (long long)h->depth, (long long)s->BK);
    line(e, "__syncthreads();  /* nobody reads the stage any more */");
    fill_halo(e, s);
    line(e, "#pragma unroll 1");
    open_block(e, "for (int tap = 0; tap < %lld; tap++)", (long long)(kh * kw));
    if (h->h) line(e, "const int %s = tap / %lld;", loop_c_name(e, h->h->kaxis), (long long)kw);
    line(e, "const int %s = tap %% %lld;", loop_c_name(e, h->w->kaxis), (long long)kw);
    const char *pixel = tap_step(e, h->w, h->left_w, pitch);
    line(e, "const int tap_at = %s%s%s;  /* the tap's place in the stage */", h->h ? tap_step(e, h->h, h->left_h, h->SW * pitch) : "", h->h ? " + " : "", pixel);
    take_turn(e, s, false);
    fill(e, s, g, 0, 'b', &b, h->n_inner, h->inner);
    line(e, "__syncthreads();");
    multiply(e, s, NULL, &b);
    close_block(e);
    close_block(e);
    if (k->n_seg > 1) line(e, "__syncthreads();");
}

static void segments(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    declare_sums(e, s);
    line(e, "int turn = 0;  /* of two stages one is filled, while the other may still be read */");
    if (s->halo.on) halo_segment(e, s);
    for (int q = s->halo.on; q < k->n_seg; q++) {
        const Segment2 *g = &k->seg[q];
        int64_t K = axes_product(g->k, g->n_k);
        Stage a = {"a_now", contiguous(e, &g->a, k->m, k->n_m) || !s->mma, s->BM, s->BK}, b = {"b_now", contiguous(e, &g->b, k->nn, k->n_n) || !s->mma, s->BN, s->BK};
        if (s->splits > 1) open_block(e, "for (int k0 = k_begin; k0 < k_end; k0 += %lld)", (long long)s->BK);
        else open_block(e, "for (int k0 = 0; k0 < %lld; k0 += %lld)", (long long)K, (long long)s->BK);
        take_turn(e, s, true);
        fill(e, s, g, q, 'a', &a, g->n_k, g->k);
        fill(e, s, g, q, 'b', &b, g->n_k, g->k);
        line(e, "__syncthreads();");
        multiply(e, s, &a, &b);
        close_block(e);
    }
}

/* ---- shapes ---- */
static bool at_level(const Emit *e, Level level)
{
    for (int i = 0; i < e->k->n_store; i++) if (e->k->store[i].level == level) return true;
    return cuda_tile_has(e, level);
}

static Halo halo_of(const Kernel *k, int64_t BM, int64_t TASK)
{
    Halo h = {0};
    const Operand *a = &k->seg[0].a;
    if (k->leaf != LEAF_TAPS_K || !a->n_taps || k->n_b) return h;
    for (int t = 0; t < a->n_taps; t++) {
        if (a->tap[t].axis == k->m[k->n_m - 1].role) h.w = &a->tap[t];
        else if (k->n_m > 1 && a->tap[t].axis == k->m[k->n_m - 2].role) h.h = &a->tap[t];
        else return h;
    }
    if (!h.w || (a->n_taps == 2 && !h.h)) return h;
    h.W = h.w->out;
    h.H = h.h ? h.h->out : 1;
    int64_t lines = BM / h.W;
    if (BM % h.W || TASK % BM || !lines || (h.H % lines && lines % h.H) || (!h.h && lines > 1 && k->n_m < 2)) return h;
    h.lines = MIN(lines, h.H);
    h.images = lines / h.lines;
    h.SW = h.W + (h.w->k - 1) * llabs(h.w->dil);
    h.SH = h.lines + (h.h ? (h.h->k - 1) * llabs(h.h->dil) : 0);
    h.left_w = h.w->pad - MIN(0, (h.w->k - 1) * h.w->dil);
    h.left_h = h.h ? h.h->pad - MIN(0, (h.h->k - 1) * h.h->dil) : 0;
    h.depth = 1;
    for (int i = 0; i < k->n_k; i++) {
        bool tap = false;
        for (int t = 0; t < a->n_taps; t++) tap |= a->tap[t].kaxis == k->k[i].role;
        if (tap) continue;
        h.inner[h.n_inner++] = k->k[i];
        h.depth *= k->k[i].size;
    }
    h.on = h.SW < 4 * h.W && h.SH < 8 * h.lines;
    return h;
}

static Shape shape_of(const Emit *e)
{
    const Kernel *k = e->k;
    Shape s = {.M = axes_product(k->m, k->n_m), .N = axes_product(k->nn, k->n_n), .B = axes_product(k->b, k->n_b), .K0 = axes_product(k->k, k->n_k), .splits = 1};
    bool tasks = at_level(e, AT_TASK);
    s.whole_rows = at_level(e, AT_ROW);
    s.number = precision_of(e, &k->seg[0].a);
    for (int q = 0; q < k->n_seg; q++)
        if (precision_of(e, &k->seg[q].a) != s.number || precision_of(e, &k->seg[q].b) != s.number) s.number = NUM_F32;
    s.mma = s.number != NUM_F32;
    s.TASK = tasks ? k->tile_rows * axes_product(k->m + 2, k->n_m - 2) : 0;
    s.BN = s.N > 64 && s.mma && s.M >= 128 ? 128 : s.N > 32 ? 64 : 32;
    s.BM = s.mma ? (s.BN == 128 ? 128 : 64) : 4096 / s.BN;
    while (tasks && s.BM > s.TASK && s.BM > 16) s.BM /= 2;
    if (s.whole_rows) {
        s.BN = s.N > 1024 ? 128 : 64;
        s.CN = (s.N + s.BN - 1) / s.BN * s.BN;
        s.BM = 64;
        while (s.BM > 8 && s.BM * s.CN * 4 > ROW_TILE) s.BM /= 2;
        if (s.mma && s.BM < 16) s.mma = false, s.number = NUM_F32;
    }
    s.BK = !s.mma ? BK_FMA : s.number == NUM_TF32 ? BK_TF32 : BK_MMA;
    for (int64_t rows = s.BM; rows >= 16 && !s.halo.on; rows /= 2) {
        s.halo = halo_of(k, rows, tasks ? s.TASK : rows);
        if (s.halo.on) s.BM = rows;
    }
    if (!s.mma && s.BM * s.BN < CUDA_THREADS * TN) s.BN = CUDA_THREADS * TN / s.BM;
    if (s.mma) s.BN = MAX(s.BN, 16 * 8 / MIN(s.BM / 16, 4));         /* fragments of 16 columns at least for each warp */
    if (s.mma && s.whole_rows) s.CN = (s.N + s.BN - 1) / s.BN * s.BN;
    s.warps_m = s.mma ? (int)MIN(s.BM / 16, s.BN == 128 ? 2 : 4) : 0;
    s.warps_n = s.mma ? 8 / s.warps_m : 0;
    if (!s.whole_rows) s.CN = s.BN;
    if (!tasks) s.TASK = s.BM;
    s.tasks = (s.M + s.TASK - 1) / s.TASK;
    s.column_blocks = s.whole_rows ? 1 : (s.N + s.BN - 1) / s.BN;
    int64_t blocks = s.tasks * s.B * s.column_blocks;
    if (!tasks && !s.whole_rows && k->n_seg == 1 && blocks < FULL && s.K0 >= 1024 && !s.halo.on) s.splits = MIN(2 * FULL / blocks, s.K0 / 256);
    return s;
}

static void decode_batch(Emit *e, const char *flat)
{
    Kernel *k = e->k;
    cuda_decode(e, flat, k->n_b, k->loop_b);
}

static void decode_rows(Emit *e, const char *row, void *user)
{
    (void)user;
    cuda_decode(e, row, e->k->n_m, e->k->loop_m);
}

/* Elements of the stages of operand a: two in turn, or a convolution's. */
static int64_t a_elements(const Emit *e, const Shape *s)
{
    int64_t pad = stage_pad(s), staged = s->halo.on ? s->halo.images * s->halo.SH * s->halo.SW * (s->BK + pad) : 0;
    bool turns = !s->halo.on || e->k->n_seg > 1;
    return MAX(turns ? 2 * stage_size(s, s->BM) : 0, (staged + 7) / 8 * 8);
}

static int64_t shared_bytes(const Emit *e, const Shape *s, bool tile)
{
    return (a_elements(e, s) + 2 * stage_size(s, s->BN)) * number_info[s->number].bytes + (tile ? s->BM * s->CN * 4 : 0);
}

static bool is_static(int64_t bytes) { return bytes + 8192 <= SHARED_STATIC; }
/* The tile lies where the stages were, unless it is filled column block by column block. */
static bool overlaid(const Emit *e, const Shape *s, bool tile) { return tile && !s->whole_rows && !is_static(shared_bytes(e, s, tile)); }

/* Shared memory of an entry: stages and the tile, dynamic where it is more than an entry may declare. */
static int64_t declare_shared(Emit *e, const Shape *s, bool tile)
{
    int64_t a = a_elements(e, s), b = 2 * stage_size(s, s->BN), c = tile ? s->BM * s->CN : 0, stages = (a + b) * number_info[s->number].bytes, bytes = shared_bytes(e, s, tile);
    const char *type = stage_type(s);
    const char *what = arena_printf(e->k->arena, "/* stages: %lld rows and %lld columns, %lld deep */", (long long)s->BM, (long long)s->BN, (long long)s->BK);
    if (is_static(bytes)) {
        line(e, "__shared__ __align__(16) %s a_tile[%lld];  %s", type, (long long)a, what);
        line(e, "__shared__ __align__(16) %s b_tile[%lld];", type, (long long)b);
        if (tile) line(e, "__shared__ float c_tile[%lld];  /* [%lld][%lld] */", (long long)c, (long long)s->BM, (long long)s->CN);
        return 0;
    }
    line(e, "extern __shared__ __align__(16) unsigned char shared[];");
    if (overlaid(e, s, tile)) {
        line(e, "%s *const a_tile = (%s *)shared, *const b_tile = a_tile + %lld;  %s", type, type, (long long)a, what);
        line(e, "float *const c_tile = (float *)shared;  /* [%lld][%lld], where the stages were */", (long long)s->BM, (long long)s->CN);
        return MAX(stages, 4 * c);
    }
    if (tile) line(e, "float *const c_tile = (float *)shared;  /* [%lld][%lld] */", (long long)s->BM, (long long)s->CN);
    line(e, "%s *const a_tile = (%s *)(shared + sizeof(float)*%lld), *const b_tile = a_tile + %lld;  %s", type, type, (long long)c, (long long)a, what);
    return bytes;
}

static void skip_unwanted(Emit *e, const Shape *s, const char *row)
{
    const Kernel *k = e->k;
    if (k->bound < 0) return;
    if (k->n_m && k->m[0].role == k->bound_axis.role) line(e, "if (%s / %lld >= wanted) return;", row, (long long)(s->M / k->m[0].size));
    else if (k->n_b && k->b[0].role == k->bound_axis.role) line(e, "if (batch / %lld >= wanted) return;", (long long)(s->B / k->b[0].size));
}

/* ---- the two forms ---- */
static void whole_sum(Emit *e, CudaText *t, const Shape *s)
{
    Kernel *k = e->k;
    bool chunks = s->TASK > s->BM;
    StrBuf *out = e->b, body = {0};
    int entry = t->n_entries;
    cuda_entry_begin(e, t, "", s->tasks * s->B, s->column_blocks, 0);
    e->b = &body;
    CudaTile tile = {.n_col = k->n_n, .col = k->loop_n, .columns = s->N, .width = s->whole_rows ? s->N : s->BN, .column0 = "col0", .decode = decode_rows};
    line(e, "const int batch = blockIdx.x / %lld;", (long long)s->tasks);
    line(e, "const int task = blockIdx.x %% %lld;", (long long)s->tasks);
    decode_batch(e, "batch");
    line(e, "const int task0 = task*%lld;", (long long)s->TASK);
    line(e, "const int row_end = %s;", s->M % s->TASK ? arena_printf(k->arena, "task0 + %lld < %lld ? task0 + %lld : %lld", (long long)s->TASK, (long long)s->M, (long long)s->TASK,
                                                                    (long long)s->M) : arena_printf(k->arena, "task0 + %lld", (long long)s->TASK));
    if (!s->whole_rows) line(e, "const int col0 = blockIdx.y*%lld;", (long long)s->BN);
    skip_unwanted(e, s, "task0");
    declare_place(e, s);
    e->acc[0] = arena_printf(k->arena, "c_tile[local*%lld + %s]", (long long)s->CN, s->whole_rows ? "col" : arena_printf(k->arena, "threadIdx.x %% %lld", (long long)s->BN));
    line(e, "{");
    e->indent++;
    cuda_tile_begin(e, &tile);
    if (chunks) open_block(e, "for (int row0 = task0; row0 < row_end; row0 += %lld)", (long long)s->BM);
    else line(e, "const int row0 = task0;");
    if (s->whole_rows) open_block(e, "for (int col0 = 0; col0 < %lld; col0 += %lld)", (long long)s->N, (long long)s->BN);
    segments(e, s);
    if (overlaid(e, s, true)) line(e, "__syncthreads();");
    each_sum(e, s, put_tile);
    if (s->whole_rows) line(e, "__syncthreads();");
    if (s->whole_rows) close_block(e);
    if (!s->whole_rows) line(e, "__syncthreads();");
    line(e, "/* epilogue{{e}} */");
    line(e, "const int rows = row_end - row0 < %lld ? row_end - row0 : %lld;", (long long)s->BM, (long long)s->BM);
    cuda_tile_rows(e, &tile, "rows", "row0 == task0");
    if (chunks) {
        line(e, "__syncthreads();");
        close_block(e);
        line(e, "{");
        e->indent++;
        line(e, "const int row0 = task0;");
        cuda_tile_end(e, &tile);
        close_block(e);
    } else cuda_tile_end(e, &tile);
    close_block(e);
    e->b = out;
    line(e, "/* %lld x %lld x %lld%s%s, tiles of %lld x %lld, %s */", (long long)s->M, (long long)s->N, (long long)s->K0, s->B > 1 ? " in a batch" : "",
         k->n_seg > 1 ? arena_printf(k->arena, " and %d segments", k->n_seg - 1) : "", (long long)s->BM, (long long)s->BN, s->mma ? arena_printf(k->arena, "mma.sync %s", number_info[s->number].name) : "fused multiply-adds");
    t->entry[entry].shared = declare_shared(e, s, true);
    sb_write(e->b, body.s, body.len);
    sb_free(&body);
    cuda_entry_end(e);
}

/* The sum over K in parts, left in the workspace; the second entry adds them up in order. */
static void split_sum(Emit *e, CudaText *t, const Shape *s)
{
    Kernel *k = e->k;
    int64_t part = (s->K0 + s->splits - 1) / s->splits, results = s->B * s->M * s->N;
    part = (part + s->BK - 1) / s->BK * s->BK;
    int64_t splits = (s->K0 + part - 1) / part;
    t->workspace = 4 * results * splits * t->instances;
    cuda_entry_begin(e, t, "", s->tasks * s->B, s->column_blocks * splits, 0);
    line(e, "/* %lld x %lld x %lld, tiles of %lld x %lld, the sum in %lld parts, %s */", (long long)s->M, (long long)s->N, (long long)s->K0, (long long)s->BM, (long long)s->BN,
         (long long)splits, s->mma ? arena_printf(k->arena, "mma.sync %s", number_info[s->number].name) : "fused multiply-adds");
    t->entry[t->n_entries - 1].shared = declare_shared(e, s, false);
    line(e, "const int batch = blockIdx.x / %lld;", (long long)s->tasks);
    line(e, "const int row0 = blockIdx.x %% %lld*%lld;", (long long)s->tasks, (long long)s->TASK);
    line(e, "const int row_end = %lld;", (long long)s->M);
    line(e, "const int col0 = blockIdx.y %% %lld*%lld;", (long long)s->column_blocks, (long long)s->BN);
    line(e, "const int split = blockIdx.y / %lld;", (long long)s->column_blocks);
    line(e, "const int k_begin = split*%lld;", (long long)part);
    line(e, "const int k_end = k_begin + %lld < %lld ? k_begin + %lld : %lld;", (long long)part, (long long)s->K0, (long long)part, (long long)s->K0);
    skip_unwanted(e, s, "row0");
    line(e, "float *const partial = (float *)args.workspace + (ect_i64)(blockIdx.z*%lld + split)*%lld;", (long long)splits, (long long)results);
    decode_batch(e, "batch");
    declare_place(e, s);
    segments(e, s);
    each_sum(e, s, put_partial);
    cuda_entry_end(e);
    sb_putc(e->b, '\n');
    int64_t blocks = MIN((results + CUDA_THREADS - 1) / CUDA_THREADS, 1 << 14);
    cuda_entry_begin(e, t, "_sum", blocks, 1, 0);
    line(e, "/* the parts in order; epilogue{{e}} */");
    line(e, "const float *const partial = (const float *)args.workspace + (ect_i64)blockIdx.z*%lld;", (long long)(splits * results));
    open_block(e, "for (ect_i64 piece = (ect_i64)blockIdx.x*%d + threadIdx.x; piece < %lld; piece += %lld)", CUDA_THREADS, (long long)results, (long long)(blocks * CUDA_THREADS));
    line(e, "float total = partial[piece];");
    line(e, "for (int split = 1; split < %lld; split++) total += partial[split*%lldll + piece];", (long long)splits, (long long)results);
    line(e, "const int batch = (int)(piece / %lld);", (long long)(s->M * s->N));
    line(e, "const int row = (int)(piece / %lld %% %lld);", (long long)s->N, (long long)s->M);
    line(e, "const int col = (int)(piece %% %lld);", (long long)s->N);
    decode_batch(e, "batch");
    decode_rows(e, "row", NULL);
    cuda_decode(e, "col", k->n_n, k->loop_n);
    e->acc[0] = "total";
    KRef values[16];
    for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
    char **keep = cuda_values(e, k->n_store, values);
    for (int i = 0; i < k->n_store; i++) print_store(e, &k->store[i], expr_text(e, values[i]));
    cuda_values_end(e, keep);
    close_block(e);
    cuda_entry_end(e);
}

void cuda_contract(Emit *e, CudaText *t)
{
    Shape s = shape_of(e);
    if (s.splits > 1) split_sum(e, t, &s);
    else whole_sum(e, t, &s);
}
