/* CUDA dialect: the operand of a convolution as lines of the image with their border, staged once an element: at once, by copies, or a piece at a time while
   products go on.
   Assumes a Halo as emit_cuda_contract.c chooses it. */
#include "compiler/emit_cuda_contract.h"

int64_t halo_elements(const Shape *s) { return (s->halo.images * s->halo.SH * s->halo.SW * (s->BK + stage_pad(s)) + 7) / 8 * 8; }

static int64_t halo_width(const Emit *e, const Shape *s)
{
    const Halo *h = &s->halo;
    const Axis *along = innermost(h->inner, h->n_inner);
    return along ? vector_width(s, &e->k->seg[0].a, along->role, along->size, stage_contiguous(e, &e->k->seg[0].a, h->inner, h->n_inner)) : 1;
}

int64_t halo_pieces(const Emit *e, const Shape *s) { return s->halo.images * s->halo.SH * s->halo.SW * (s->BK / halo_width(e, s)); }

bool stage_copies_halo(const Emit *e, const Shape *s)
{
    const Halo *h = &s->halo;
    const Operand *o = &e->k->seg[0].a;
    if (!s->mma || !stage_half(s) || halo_width(e, s) == 1) return false;
    return as_it_lies(e, s, o, o->loop[op_axis(o, innermost(h->inner, h->n_inner)->role)], 8);
}

/* Piece `slot` of the stage of channels k0 and up: [image][line][pixel][channel], the prologue once an element. */
static void halo_piece(Emit *e, const Shape *s, PieceStep what, const char *to, char *const *fetched)
{
    Kernel *k = e->k;
    const Halo *h = &s->halo;
    const Operand *o = &k->seg[0].a;
    const Axis *along = innermost(h->inner, h->n_inner);
    int64_t width = halo_width(e, s);
    int loop = width > 1 ? o->loop[op_axis(o, along->role)] : -1;
    int64_t pitch = s->BK + stage_pad(s), deeps = s->BK / width, per_line = h->SW * deeps, per_image = per_line * h->SH;
    int others = k->n_m - (h->h ? 2 : 1);
    Sym of_first = width > 1 && what == PIECE_STAGED ? along->role : NULL;
    line(e, "const int deep = slot %% %lld%s;", (long long)deeps, width > 1 ? arena_printf(k->arena, "*%lld", (long long)width) : "");
    line(e, "const int k_at = k0 + deep;");
    line(e, "const int w_in = slot / %lld %% %lld - %lld;", (long long)deeps, (long long)h->SW, (long long)h->left_w);
    StrBuf inside = {0};
    stage_also(&inside, arena_printf(k->arena, "w_in >= 0 && w_in < %lld", (long long)h->w->in));
    if (h->h) {
        line(e, "const int h_in = row0 / %lld %% %lld + slot / %lld %% %lld - %lld;", (long long)h->W, (long long)h->H, (long long)per_line, (long long)h->SH, (long long)h->left_h);
        stage_also(&inside, arena_printf(k->arena, "h_in >= 0 && h_in < %lld", (long long)h->h->in));
    }
    if (others) {
        int64_t image = h->W * (h->h ? h->H : 1), n = axes_product(k->m, others);
        if (h->images > 1) line(e, "const int image = row0 / %lld + slot / %lld;", (long long)image, (long long)per_image);
        else line(e, "const int image = row0 / %lld;", (long long)image);
        if (n % h->images) stage_also(&inside, arena_printf(k->arena, "image < %lld", (long long)n));
        decode_axes(e, o, "image", others, k->m, NULL);
    }
    if (h->depth % s->BK) stage_also(&inside, arena_printf(k->arena, "k_at < %lld", (long long)h->depth));
    decode_axes(e, o, "k_at", h->n_inner, h->inner, of_first);
    const char *keep[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) {
        const Tap *t = tap_on(o, o->outer[i]);
        keep[i] = e->loop_name[o->loop[i]];
        if (t) e->loop_name[o->loop[i]] = t == h->w ? "w_in" : "h_in";
    }
    const char *at = arena_printf(k->arena, "%s[slot / %lld*%lld + deep]", to, (long long)deeps, (long long)pitch);
    if (what == PIECE_COPIED) copy_piece(e, o, at, inside.s);
    else if (what == PIECE_STAGED) staged_value(e, o, inside.s, loop, width, fetched);
    else {
        open_block(e, "if (%s)", inside.s);
        fetch_pieces(e, loop, fetched);
        close_block(e);
    }
    for (int i = 0; i < o->n_axes; i++) e->loop_name[o->loop[i]] = keep[i];
    if (what == PIECE_STAGED) put_staged(e, s, at, 1, width);
    sb_free(&inside);
}

void stage_fill_halo(Emit *e, const Shape *s, bool copy)
{
    const Halo *h = &s->halo;
    line(e, "/* operand a %s, 0 outside: [%lld images][%lld lines][%lld pixels][%lld channels] */", copy ? "as it lies in memory{{a0}}" : "with its prologue{{a0}}, once an element",
         (long long)h->images, (long long)h->SH, (long long)h->SW, (long long)s->BK);
    if (copy) line(e, "#pragma unroll 1");           /* once in all taps: not worth registers */
    open_block(e, "for (int slot = threadIdx.x; slot < %lld; slot += %d)", (long long)halo_pieces(e, s), CUDA_THREADS);
    halo_piece(e, s, copy ? PIECE_COPIED : PIECE_STAGED, copy ? "a_to" : "a_tile", NULL);
    close_block(e);
}

void stage_halo_functions(Emit *e, const Shape *s)
{
    const Halo *h = &s->halo;
    const Operand *o = &e->k->seg[0].a;
    char **fetched = pieces_fetched(e, o, o->loop[op_axis(o, innermost(h->inner, h->n_inner)->role)], "");
    declare_pieces(e, fetched, 1);
    line(e, "/* begins the loads of a piece of operand a: of channels k0 and up */");
    line(e, "const auto fetch_lines = [&](int k0, int slot) {");
    e->indent++;
    halo_piece(e, s, PIECE_FETCHED, "", fetched);
    close_lambda(e);
    line(e, "/* operand a with its prologue{{a0}}, once an element, 0 outside: [2 stages][%lld images][%lld lines][%lld pixels][%lld channels] */", (long long)h->images, (long long)h->SH,
         (long long)h->SW, (long long)s->BK);
    line(e, "const auto stage_lines = [&](int k0, int slot) {");
    e->indent++;
    line(e, "%s *const a_to = a_tile + k0 / %lld %% 2*%lld;", stage_type(s), (long long)s->BK, (long long)halo_elements(s));
    halo_piece(e, s, PIECE_STAGED, "a_to", fetched);
    close_lambda(e);
    free(fetched);
}

/* Where a row of the tile begins in that stage, for tap 0. */
const char *stage_halo_row(Emit *e, const Shape *s, const char *row)
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
