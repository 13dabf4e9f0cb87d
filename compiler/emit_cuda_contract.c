/* CUDA dialect: contractions as one structure: a block computes rows x columns of the result in tiles, its operands staged in shared memory with their
   prologue (emit_cuda_stage.c), sums over all K segments in registers (emit_cuda_leaf.c), then the tile in shared memory and its end (emit_cuda_tile.c). */
#include "compiler/emit_cuda_contract.h"

enum { SHARED_STATIC = 48 << 10, ROW_TILE = 64 << 10, PITCH_GAP = 8 };
enum { MAX_RING = 4, RING_SHARED = 91 << 10 };       /* shared memory of a block: with up to 8 KB for its end all that the smallest GPU has for one, and two blocks fit where there are 228 KB */

static void put_tile(Emit *e, const Shape *s, const char *row, const char *col, const char *value, int n)
{
    line(e, "const int to_col = %s%s;", s->whole_rows ? "col0 + " : "", col);
    line(e, "ect_store%d(&%s, %s);", n, cuda_tile_at(e, s->end, arena_printf(e->k->arena, "(%s)", row), "to_col"), value);
}

/* Sums of neighbouring columns are stored together where all or none of them are columns of the result. */
static void put_partial(Emit *e, const Shape *s, const char *row, const char *col, const char *value, int n)
{
    bool together = s->N % n == 0;
    line(e, "const int to_row = row0 + %s, to_col = col0 + %s;", row, col);
    const char *to = arena_printf(e->k->arena, "partial[((ect_i64)batch*%lld + to_row)*%lld + to_col", (long long)s->M, (long long)s->N);
    if (together) line(e, "if (to_row < %lld && to_col < %lld) ect_store%d(&%s], %s);", (long long)s->M, (long long)s->N, n, to, value);
    else line(e, "for (int q = 0; q < %d; q++) if (to_row < %lld && to_col + q < %lld) %s + q] = (%s)[q];", n, (long long)s->M, (long long)s->N, to, value);
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

static void tap_indices(Emit *e, const Halo *h)
{
    if (h->h) line(e, "const int %s = tap / %lld;", loop_c_name(e, h->h->kaxis), (long long)h->w->k);
    line(e, "const int %s = tap %% %lld;", loop_c_name(e, h->w->kaxis), (long long)h->w->k);
}

/* ---- the ring: stages that asynchronous copies fill, so that those of the next turns are under way while this one's is multiplied. A turn waits for its own
   stage, one barrier makes it everybody's and says that the last turn's may be filled again, that is where the copies for ring - 1 turns ahead go, then the product. ---- */
/* Begins the function that has a turn's copies made; its body follows. */
static void ring_open(Emit *e, const char *what, int64_t turns)
{
    line(e, "/* begins the copies of a turn: %s */", what);
    line(e, "const auto bring = [&](int turn) {");
    e->indent++;
    open_block(e, "if (turn < %lld)", (long long)turns);
}

static void ring_stage(Emit *e, const Shape *s, char side, const char *suffix)
{
    line(e, "%s *const %c_%s = %c_tile + turn %% %d*%lld;", stage_type(s), side, suffix, side, s->ring, (long long)stage_size(s, side == 'a' ? s->BM : s->BN));
}

static void ring_close(Emit *e, const Shape *s)
{
    close_block(e);
    line(e, "ect_cp_async_commit();  /* a group for each turn, be it empty: their number says which are done */");
    close_lambda(e);
    line(e, "for (int ahead = 0; ahead < %d; ahead++) bring(ahead);", s->ring - 1);
}

static void ring_wait(Emit *e, const Shape *s)
{
    line(e, "ect_cp_async_wait(%d);  /* this turn's stage is there, %s */", s->ring - 2, s->ring == 3 ? "the next one's may be under way" : "the next two may be under way");
    line(e, "__syncthreads();  /* for all threads; and nobody reads the last turn's any more */");
}

/* Where the thread's rows begin in the stage of a convolution's lines. */
static void halo_rows(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    const Halo *h = &s->halo;
    int64_t pitch = s->BK + stage_pad(s), warp = s->mma ? s->BM / s->warps_m : 0, lines = warp / h->W;     /* rows of a warp, whole lines of it */
    bool tf32 = s->mma && s->number == NUM_TF32;
    bool pairs = tf32 && !halo_rows_whole(s);        /* rows g and g + 8 of each 16 have places of their own */
    int64_t rows = pairs ? warp / 8 : s->mma ? warp / 16 : s->BM * s->BN / CUDA_THREADS / TN;
    /* Each 16 rows of a warp as far from its first as in every other warp: one register instead of one for each. */
    bool even = s->mma && !tf32 && halo_rows_whole(s) && (lines ? warp % h->W == 0 && h->lines % lines == 0 : h->W % warp == 0);
    line(e, "int a_row[%lld];  /* where the thread's rows begin in the stage */", (long long)rows);
    line(e, "#pragma unroll");
    const char *at = pairs ? "row_c + i_m*8 + lane_c / 4" : tf32 ? "row_c + i_m*16 + lane_c / 4" : even ? "row_c + lane_c % 16" : s->mma ? "row_c + i_m*16 + lane_c % 16"
        : arena_printf(k->arena, "row_c*%lld + i_m", (long long)rows);
    const char *further = !even || rows == 1 ? "" : !lines ? arena_printf(k->arena, " + i_m*%lld", (long long)(16 * pitch))
        : arena_printf(k->arena, " + i_m*16 / %lld*%lld + i_m*16 %% %lld*%lld", (long long)h->W, (long long)(h->SW * pitch), (long long)h->W, (long long)pitch);
    line(e, "for (int i_m = 0; i_m < %lld; i_m++) a_row[i_m] = %s%s;", (long long)rows, stage_halo_row(e, s, at), further);
}

/* A convolution: for some channels, the stage once, then a product for each tap at shifted addresses. */
static void halo_segment(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    const Halo *h = &s->halo;
    const Segment2 *g = &k->seg[0];
    int64_t pitch = s->BK + stage_pad(s), kh = h->h ? h->h->k : 1, kw = h->w->k;
    Stage b = {"b_now", stage_contiguous(e, &g->b, k->nn, k->n_n) || !s->mma, s->BN, s->BK, false};
    bool copied = s->two_lines && stage_copies_halo(e, s), piecewise = s->two_lines && !copied;
    int64_t pieces = halo_pieces(e, s), threads = (pieces + CUDA_THREADS - 1) / CUDA_THREADS;
    halo_rows(e, s);
    int64_t taps = kh * kw, deeps = (h->depth + s->BK - 1) / s->BK;
    if (copied) {
        line(e, "/* begins the copies of the lines of channels k0 and up, to one of two stages */");
        line(e, "const auto bring_lines = [&](int k0) {");
        e->indent++;
        line(e, "%s *const a_to = a_tile + k0 / %lld %% 2*%lld;", stage_type(s), (long long)s->BK, (long long)halo_elements(s));
        stage_fill_halo(e, s, true);
        close_lambda(e);
        line(e, "bring_lines(0);");
    }
    if (s->ring) {
        Stage to = {"b_to", b.rows_inner, s->BN, s->BK, true};
        ring_open(e, "the columns for some channels of a tap", taps * deeps);
        line(e, "const int tap = turn %% %lld;", (long long)taps);
        tap_indices(e, h);
        line(e, "const int k0 = turn / %lld*%lld;", (long long)taps, (long long)s->BK);
        ring_stage(e, s, 'b', "to");
        stage_fill(e, s, g, 0, 'b', &to, h->n_inner, h->inner);
        ring_close(e, s);
        line(e, "int turn = 0;");
    }
    if (piecewise) {
        stage_halo_functions(e, s);
        open_block(e, "for (int slot = threadIdx.x; slot < %lld; slot += %d)", (long long)pieces, CUDA_THREADS);
        line(e, "fetch_lines(0, slot);");
        line(e, "stage_lines(0, slot);");
        close_block(e);
    }
    if (s->two_lines) line(e, "#pragma unroll 1");
    open_block(e, "for (int k0 = 0; k0 < %lld; k0 += %lld)", (long long)h->depth, (long long)s->BK);
    if (!s->two_lines) line(e, "__syncthreads();  /* nobody reads the stage any more */");
    if (!s->two_lines) stage_fill_halo(e, s, false);
    line(e, "#pragma unroll 1");
    open_block(e, "for (int tap = 0; tap < %lld; tap++)", (long long)taps);
    tap_indices(e, h);
    const char *pixel = tap_step(e, h->w, h->left_w, pitch);
    const char *stage = s->two_lines ? arena_printf(k->arena, " + k0 / %lld %% 2*%lld", (long long)s->BK, (long long)halo_elements(s)) : "";
    line(e, "const int tap_at = %s%s%s%s;  /* the tap's place in the stage%s */", h->h ? tap_step(e, h->h, h->left_h, h->SW * pitch) : "", h->h ? " + " : "", pixel, stage,
         s->two_lines ? "s" : "");
    if (s->ring) {
        ring_wait(e, s);
        if (copied) line(e, "if (tap == 0 && k0 + %lld < %lld) bring_lines(k0 + %lld);", (long long)s->BK, (long long)h->depth, (long long)s->BK);
        line(e, "bring(turn + %d);", s->ring - 1);
        ring_stage(e, s, 'b', "now");
        line(e, "turn++;");
        if (piecewise) {
            line(e, "/* the next channels' lines: a piece a thread with each of the first %lld taps, its loads under way during the product */", (long long)threads);
            line(e, "const int slot = threadIdx.x + tap*%d;", CUDA_THREADS);
            line(e, "const bool staging = slot < %lld && k0 + %lld < %lld;", (long long)pieces, (long long)s->BK, (long long)h->depth);
            line(e, "if (staging) fetch_lines(k0 + %lld, slot);", (long long)s->BK);
        }
    } else {
        take_turn(e, s, false);
        stage_fill(e, s, g, 0, 'b', &b, h->n_inner, h->inner);
        line(e, "__syncthreads();");
    }
    leaf_multiply(e, s, NULL, &b);
    if (piecewise) line(e, "if (staging) stage_lines(k0 + %lld, slot);", (long long)s->BK);
    close_block(e);
    close_block(e);
}

/* A product whose columns, or both operands, come by copies. */
static void ring_segment(Emit *e, const Shape *s, int q)
{
    Kernel *k = e->k;
    const Segment2 *g = &k->seg[q];
    int64_t turns = (axes_product(g->k, g->n_k) + s->BK - 1) / s->BK;
    bool both = stage_copies(e, s, g, 'a');
    Stage a = {"a_now", stage_contiguous(e, &g->a, k->m, k->n_m), s->BM, s->BK, false}, b = {"b_now", stage_contiguous(e, &g->b, k->nn, k->n_n), s->BN, s->BK, false};
    Stage a_to = {"a_to", a.rows_inner, s->BM, s->BK, true}, b_to = {"b_to", b.rows_inner, s->BN, s->BK, true};
    ring_open(e, both ? "both operands" : "the columns", turns);
    line(e, "const int k0 = turn*%lld;", (long long)s->BK);
    if (both) ring_stage(e, s, 'a', "to");
    ring_stage(e, s, 'b', "to");
    if (both) stage_fill(e, s, g, q, 'a', &a_to, g->n_k, g->k);
    stage_fill(e, s, g, q, 'b', &b_to, g->n_k, g->k);
    ring_close(e, s);
    const bool ahead = !both && q == 0 && stage_fetches(e, s, g, 'a', &a_to);
    if (ahead) {
        stage_functions(e, s, g, q, 'a', &a_to);
        line(e, "fetch_a(0);");
        line(e, "stage_a(0, a_tile);");
    }
    line(e, "#pragma unroll 1");
    open_block(e, "for (int turn = 0; turn < %lld; turn++)", (long long)turns);
    if (!both) {
        if (!ahead) line(e, "const int k0 = turn*%lld;", (long long)s->BK);
        line(e, "%s *const a_now = a_tile + turn %% 2*%lld;", stage_type(s), (long long)stage_size(s, s->BM));
        if (!ahead) stage_fill(e, s, g, q, 'a', &a, g->n_k, g->k);
    }
    ring_wait(e, s);
    line(e, "bring(turn + %d);", s->ring - 1);
    if (both) ring_stage(e, s, 'a', "now");
    ring_stage(e, s, 'b', "now");
    if (ahead) line(e, "const int next = (turn + 1)*%lld;  /* of it the rows' loads are under way during the product */", (long long)s->BK);
    if (ahead) line(e, "if (next < %lld) fetch_a(next);", (long long)(turns * s->BK));
    leaf_multiply(e, s, &a, &b);
    if (ahead) line(e, "if (next < %lld) stage_a(next, a_tile + (turn + 1) %% 2*%lld);", (long long)(turns * s->BK), (long long)stage_size(s, s->BM));
    close_block(e);
}

/* A product whose operands are both filled by the threads, their loads under way during the product before. */
static void ahead_segment(Emit *e, const Shape *s, const Stage *a, const Stage *b)
{
    const Segment2 *g = &e->k->seg[0];
    const Stage to[] = {{"a_to", a->rows_inner, s->BM, s->BK, false}, {"b_to", b->rows_inner, s->BN, s->BK, false}};
    const char *from = s->splits > 1 ? "k_begin" : "0", *end = s->splits > 1 ? "k_end" : arena_printf(e->k->arena, "%lld", (long long)axes_product(g->k, g->n_k));
    for (int i = 0; i < 2; i++) stage_functions(e, s, g, 0, "ab"[i], &to[i]);
    line(e, "fetch_a(%s);", from);
    line(e, "fetch_b(%s);", from);
    line(e, "stage_a(%s, a_tile);", from);
    line(e, "stage_b(%s, b_tile);", from);
    line(e, "#pragma unroll 1");
    open_block(e, "for (int k0 = %s; k0 < %s; k0 += %lld)", from, end, (long long)s->BK);
    take_turn(e, s, true);
    line(e, "__syncthreads();");
    line(e, "const int next = k0 + %lld;", (long long)s->BK);
    open_block(e, "if (next < %s)", end);
    line(e, "fetch_a(next);");
    line(e, "fetch_b(next);");
    close_block(e);
    leaf_multiply(e, s, a, b);
    open_block(e, "if (next < %s)", end);
    line(e, "stage_a(next, a_tile + turn*%lld);", (long long)stage_size(s, s->BM));
    line(e, "stage_b(next, b_tile + turn*%lld);", (long long)stage_size(s, s->BN));
    close_block(e);
    close_block(e);
}

static void segments(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    leaf_declare(e, s);
    for (int q = 0; q < k->n_seg && s->ring; q++) {
        line(e, "{");
        e->indent++;
        if (q == 0 && s->halo.on) halo_segment(e, s);
        else ring_segment(e, s, q);
        if (q + 1 < k->n_seg) line(e, "__syncthreads();  /* nobody reads a stage any more */");
        close_block(e);
    }
    if (s->ring) return;
    line(e, "int turn = 0;  /* of two stages one is filled, while the other may still be read */");
    if (s->halo.on) halo_segment(e, s);
    if (s->halo.on && k->n_seg > 1) line(e, "__syncthreads();");
    for (int q = s->halo.on; q < k->n_seg; q++) {
        const Segment2 *g = &k->seg[q];
        int64_t K = axes_product(g->k, g->n_k);
        Stage a = {"a_now", stage_contiguous(e, &g->a, k->m, k->n_m) || !s->mma, s->BM, s->BK, false}, b = {"b_now", stage_contiguous(e, &g->b, k->nn, k->n_n) || !s->mma, s->BN, s->BK, false};
        if (k->n_seg == 1 && stage_fetches(e, s, g, 'a', &a) && stage_fetches(e, s, g, 'b', &b)) { ahead_segment(e, s, &a, &b); continue; }
        if (s->splits > 1) open_block(e, "for (int k0 = k_begin; k0 < k_end; k0 += %lld)", (long long)s->BK);
        else open_block(e, "for (int k0 = 0; k0 < %lld; k0 += %lld)", (long long)K, (long long)s->BK);
        take_turn(e, s, true);
        stage_fill(e, s, g, q, 'a', &a, g->n_k, g->k);
        stage_fill(e, s, g, q, 'b', &b, g->n_k, g->k);
        line(e, "__syncthreads();");
        leaf_multiply(e, s, &a, &b);
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

/* Elements of the stages of operand a: a ring, two in turn, or a convolution's. */
static int64_t a_elements(const Emit *e, const Shape *s)
{
    int64_t most = s->halo.on ? (s->two_lines ? 2 : 1) * halo_elements(s) : 0;
    for (int q = s->halo.on; q < e->k->n_seg; q++)
        most = MAX(most, (s->ring && stage_copies(e, s, &e->k->seg[q], 'a') ? s->ring : 2) * stage_size(s, s->BM));
    return most;
}

static int64_t b_elements(const Shape *s) { return (s->ring ? s->ring : 2) * stage_size(s, s->BN); }

/* Between lines of the tile: a warp of mma.sync has two columns of each of 8 rows for each lane, and half of it fills all banks. */
static int64_t tile_pitch(const Shape *s) { return s->CN + (s->mma ? PITCH_GAP : 0); }
static int64_t tile_elements(const Shape *s) { return s->BM * tile_pitch(s); }

static int64_t shared_bytes(const Emit *e, const Shape *s, bool tile)
{
    return (a_elements(e, s) + b_elements(s)) * number_info[s->number].bytes + (tile ? tile_elements(s) * 4 : 0);
}

static bool is_static(int64_t bytes) { return bytes + 8192 <= SHARED_STATIC; }
/* The tile lies where the stages were, unless it is filled column block by column block. */
static bool overlaid(const Emit *e, const Shape *s, bool tile) { return tile && !s->whole_rows && !is_static(shared_bytes(e, s, tile)); }

static bool ring_fits(const Emit *e, const Shape *s)
{
    int64_t stages = (a_elements(e, s) + b_elements(s)) * number_info[s->number].bytes, tile = 4 * tile_elements(s);
    return (overlaid(e, s, true) ? MAX(stages, tile) : stages + tile) <= RING_SHARED;
}

/* Two stages of a convolution's lines: taps enough to copy one in, or to fill it a piece with each. */
static bool lines_in_time(const Emit *e, const Shape *s)
{
    const Halo *h = &s->halo;
    int64_t taps = h->on ? (h->h ? h->h->k : 1) * h->w->k : 0;
    if (!h->on || h->depth <= s->BK) return false;
    return stage_copies_halo(e, s) ? taps >= MAX_RING : halo_pieces(e, s) <= taps * CUDA_THREADS && halo_pieces(e, s) * 8 == h->images * h->SH * h->SW * s->BK;
}

/* The ring, where the columns come by copies: as many stages as there is room for, those of a convolution's lines first. */
static void choose_ring(const Emit *e, Shape *s)
{
    const Kernel *k = e->k;
    bool two_lines = lines_in_time(e, s);
    if (s->splits > 1 || k->leaf == LEAF_TAPS_OUT) return;
    for (int q = 0; q < k->n_seg; q++) if (!stage_copies(e, s, &k->seg[q], 'b')) return;
    for (int two = two_lines; two >= 0; two--)
        for (int ring = MAX_RING; ring > 2; ring--) {
            Shape r = *s;
            r.ring = ring;
            r.two_lines = two;
            if (ring_fits(e, &r)) { *s = r; return; }
        }
}

/* Shared memory of an entry: stages and the tile, dynamic where it is more than an entry may declare. */
static int64_t declare_shared(Emit *e, const Shape *s, bool tile)
{
    int64_t a = a_elements(e, s), b = b_elements(s), c = tile ? tile_elements(s) : 0, stages = (a + b) * number_info[s->number].bytes, bytes = shared_bytes(e, s, tile);
    const char *type = stage_type(s);
    const char *what = arena_printf(e->k->arena, "/* stages: %lld rows and %lld columns, %lld deep */", (long long)s->BM, (long long)s->BN, (long long)s->BK);
    if (is_static(bytes)) {
        line(e, "__shared__ __align__(16) %s a_tile[%lld];  %s", type, (long long)a, what);
        line(e, "__shared__ __align__(16) %s b_tile[%lld];", type, (long long)b);
        if (tile) line(e, "__shared__ __align__(16) float c_tile[%lld];  /* [%lld][%lld] */", (long long)c, (long long)s->BM, (long long)tile_pitch(s));
        return 0;
    }
    line(e, "extern __shared__ __align__(16) unsigned char shared[];");
    if (overlaid(e, s, tile)) {
        line(e, "%s *const a_tile = (%s *)shared, *const b_tile = a_tile + %lld;  %s", type, type, (long long)a, what);
        line(e, "float *const c_tile = (float *)shared;  /* [%lld][%lld], where the stages were */", (long long)s->BM, (long long)tile_pitch(s));
        return MAX(stages, 4 * c);
    }
    if (tile) line(e, "float *const c_tile = (float *)shared;  /* [%lld][%lld] */", (long long)s->BM, (long long)tile_pitch(s));
    line(e, "%s *const a_tile = (%s *)(shared + sizeof(float)*%lld), *const b_tile = a_tile + %lld;  %s", type, type, (long long)c, (long long)a, what);
    return bytes;
}

static void skip_unwanted(Emit *e, const Shape *s, const char *row)
{
    const Kernel *k = e->k;
    if (k->bound < 0) return;
    if (k->n_m && k->m[0].role == k->bound_axis.role) line(e, "if (%s >= wanted*%lld) return;", row, (long long)(s->M / k->m[0].size));
    else if (k->n_b && k->b[0].role == k->bound_axis.role) line(e, "if (batch >= wanted*%lld) return;", (long long)(s->B / k->b[0].size));
}

/* ---- the two forms ---- */
static void whole_sum(Emit *e, CudaText *t, Shape *s)
{
    Kernel *k = e->k;
    bool chunks = s->TASK > s->BM;
    StrBuf *out = e->b, body = {0};
    int entry = t->n_entries;
    cuda_entry_begin(e, t, "", s->tasks * s->B, s->column_blocks, 0);
    e->b = &body;
    CudaTile tile = {.n_col = k->n_n, .col = k->loop_n, .columns = s->N, .width = s->whole_rows ? s->N : s->BN, .column0 = "col0", .pitch = tile_pitch(s), .several = chunks, .decode = decode_rows};
    s->end = &tile;
    line(e, "const int batch = blockIdx.x / %lld;", (long long)s->tasks);
    line(e, "const int task = blockIdx.x %% %lld;", (long long)s->tasks);
    decode_batch(e, "batch");
    line(e, "const int task0 = task*%lld;", (long long)s->TASK);
    line(e, "const int row_end = %s;", s->M % s->TASK ? arena_printf(k->arena, "task0 + %lld < %lld ? task0 + %lld : %lld", (long long)s->TASK, (long long)s->M, (long long)s->TASK,
                                                                    (long long)s->M) : arena_printf(k->arena, "task0 + %lld", (long long)s->TASK));
    if (!s->whole_rows) line(e, "const int col0 = blockIdx.y*%lld;", (long long)s->BN);
    skip_unwanted(e, s, "task0");
    leaf_place(e, s);
    line(e, "{");
    e->indent++;
    cuda_tile_begin(e, &tile);
    if (chunks) open_block(e, "for (int row0 = task0; row0 < row_end; row0 += %lld)", (long long)s->BM);
    else line(e, "const int row0 = task0;");
    if (s->whole_rows) open_block(e, "for (int col0 = 0; col0 < %lld; col0 += %lld)", (long long)s->N, (long long)s->BN);
    segments(e, s);
    if (overlaid(e, s, true)) line(e, "__syncthreads();");
    leaf_each(e, s, put_tile);
    if (s->whole_rows) line(e, "__syncthreads();");
    if (s->whole_rows) close_block(e);
    if (!s->whole_rows) line(e, "__syncthreads();");
    line(e, "/* epilogue{{e}} */");
    const bool full = s->M % s->TASK == 0 && s->TASK % s->BM == 0;
    if (!full) line(e, "const int rows = row_end - row0 < %lld ? row_end - row0 : %lld;", (long long)s->BM, (long long)s->BM);
    cuda_tile_rows(e, &tile, full ? arena_printf(k->arena, "%lld", (long long)s->BM) : "rows", "row0 == task0");
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
    if (s->per_tap) line(e, "/* operand a is staged for each tap: %s */", s->per_tap);
    line(e, "/* %lld x %lld x %lld%s%s, tiles of %lld x %lld, %s */", (long long)s->M, (long long)s->N, (long long)s->K0, s->B > 1 ? " in a batch" : "",
         k->n_seg > 1 ? arena_printf(k->arena, " and %d segments", k->n_seg - 1) : "", (long long)s->BM, (long long)s->BN, s->mma ? arena_printf(k->arena, "mma.sync %s", number_info[s->number].name) : "fused multiply-adds");
    t->entry[entry].shared = declare_shared(e, s, true);
    sb_write(e->b, body.s, body.len);
    sb_free(&body);
    cuda_entry_end(e);
}

/* The sum over K in parts, left in the workspace for sum_parts. */
static void split_sum(Emit *e, CudaText *t, const Shape *s)
{
    Kernel *k = e->k;
    int64_t part = (s->K0 + s->splits - 1) / s->splits, results = s->B * s->M * s->N;
    part = (part + s->BK - 1) / s->BK * s->BK;
    int64_t splits = (s->K0 + part - 1) / part;
    t->workspace = 4 * results * splits * t->instances;
    cuda_entry_begin(e, t, "", s->tasks * s->B, s->column_blocks * splits, 0);
    if (s->per_tap) line(e, "/* operand a is staged for each tap: %s */", s->per_tap);
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
    leaf_place(e, s);
    segments(e, s);
    leaf_each(e, s, put_partial);
    cuda_entry_end(e);
    sum_parts(e, t, s, splits);
}

void cuda_contract(Emit *e, CudaText *t)
{
    const char *per_tap = e->k->leaf == LEAF_TAPS_OUT ? cuda_wgrad(e, t) : NULL;
    if (e->k->leaf == LEAF_TAPS_OUT && !per_tap) return;
    Shape s = shape_of(e);
    s.per_tap = per_tap;
    choose_ring(e, &s);
    t->small = s.two_lines && s.BM <= 64;
    if (s.splits > 1) split_sum(e, t, &s);
    else whole_sum(e, t, &s);
}
