/* CUDA dialect: the gradient of a convolution's weight, a sum over pixels of one operand's pixels, shifted by each tap, times the other's.
   A block has some rows (channels of the operand with taps), some columns, and all taps, or those of one kernel row: the operand is staged once an element with
   its border, and the products of all taps read that stage at shifted pixels. The sum over pixels is cut into parts, which a second entry adds up in order.
   Assumes LEAF_TAPS_OUT: what the taps are not is summed over pixels, or is a row or column. */
#include "compiler/emit_cuda_contract.h"

enum { MAX_TAPS = 9, MAX_PIXELS = 256, MAX_LINE = 32, SHARED_MOST = 99 << 10, PAD = 8, TM = 2, START = 4, GROUPED = CUDA_THREADS * 8 };
/* What a pixel and an element of a chunk take, relative to each other, by counting instructions and bytes: a product on the tensor cores, an operand's element
   with the norm and activation before it, one of the gradient, a chunk by itself. */
enum { COST_PRODUCT = 1, COST_A = 400, COST_B = 180, COST_CHUNK = 256000 };

typedef struct {
    const Tap *h, *w;                                /* windowed axes: lines, and pixels of a line; h NULL: lines are not windowed */
    int64_t taps_h, taps_w, own_h;                   /* kernel rows, taps of one; kernel rows of a block: all or 1 */
    int n_row; const Axis *row; int64_t rows;        /* rows of a tap */
    int n_image; Axis image[MAX_AXES]; int64_t images;
    int64_t PH, PW, SW, border, left, back;          /* a chunk: lines and pixels of the output; pixels of a staged line; lines of the gradient beyond PH; pixels and
                                                        lines staged before the chunk's first (back: where a block has all kernel rows) */
    int64_t H, W, chunks, a_size, b_size;            /* lines of the input, pixels of the output; chunks of the sum; elements of a stage */
    int64_t groups;                                  /* of threads, which share a chunk's pixels where the tile is small: a part of the sum each */
} Wgrad;

static int64_t pieces(int64_t n, int64_t size) { return (n + size - 1) / size; }

static bool tap_axis(const Wgrad *g, Sym role) { return role == g->w->axis || (g->h && role == g->h->axis); }

static int64_t pad_of(const Shape *s) { return s->mma ? PAD : 0; }

/* Rows and columns of a block, lines and pixels of a chunk: what takes least. Groups of 8 pixels lie in one line, 16 in a chunk, as the fragments want them.
   False: nothing fits. */
static bool choose_tile(Shape *s, Wgrad *g)
{
    static const int tile[][2] = {{64, 64}, {32, 128}, {128, 32}, {32, 64}, {64, 32}, {16, 128}, {128, 16}, {32, 32}, {16, 64}, {64, 16}, {16, 32}, {32, 16}, {16, 16}};
    int64_t halo = (g->taps_w - 1) * llabs(g->w->dil), border = g->h ? (g->own_h - 1) * llabs(g->h->dil) : 0, least = INT64_MAX, pad = pad_of(s);
    for (size_t i = 0; i < COUNT(tile); i++) {
        int64_t m = tile[i][0], n = tile[i][1], blocks = pieces(g->rows, m) * pieces(s->N, n), turn = 16 * MAX(1, GROUPED / (m * n));
        if (!s->mma && m * n > GROUPED) continue;    /* 72 sums a thread by multiply-adds, 144 by fragments */
        for (int64_t PW = 8; PW <= MIN(MAX_LINE, MAX(pieces(g->W, 8) * 8, 16)); PW += 8)
            for (int64_t PH = 1; PH * PW <= MAX_PIXELS && PH <= MAX(g->H, 2); PH++) {
                int64_t a = PH * (PW + halo), b = (PH + border) * PW, tiles = pieces(g->H, PH) * pieces(g->W, PW);
                if (PH * PW % 16 || (!g->h && PH > 1) || 2 * (a * (m + pad) + b * (n + pad)) * number_info[s->number].bytes > SHARED_MOST) continue;
                int64_t cost = blocks * tiles * (COST_PRODUCT * pieces(PH * PW, turn) * turn * m * n * g->own_h * g->taps_w + COST_A * a * m + COST_B * b * n + COST_CHUNK);
                if (cost >= least) continue;
                least = cost;
                s->BM = m;
                s->BN = n;
                g->PH = PH;
                g->PW = PW;
                g->chunks = g->images * tiles;
                g->a_size = a * (m + pad);
                g->b_size = b * (n + pad);
            }
    }
    if (least == INT64_MAX) return false;
    g->SW = g->PW + halo;
    g->border = border;
    g->groups = MAX(1, GROUPED / (s->BM * s->BN));
    s->warps_n = s->mma ? (int)(s->BN / 16) : 0;
    s->warps_m = s->mma ? (int)(8 / g->groups / s->warps_n) : 0;
    return true;
}

/* Parts of the sum: the fewest of those with which the blocks, one a multiprocessor, are done first. */
static int64_t choose_parts(const Wgrad *g, int64_t blocks)
{
    int64_t best = 1, least = INT64_MAX;
    for (int64_t parts = 1; parts <= MIN(g->chunks, 4 * FULL / blocks + 1); parts++) {
        int64_t time = pieces(blocks * parts, FULL) * (pieces(g->chunks, parts) + START);
        if (time < least) least = time, best = parts;
    }
    return pieces(g->chunks, pieces(g->chunks, best));
}

/* Fills s and g; or says why the form does not apply. */
static const char *shape_of(const Emit *e, Shape *s, Wgrad *g)
{
    const Kernel *k = e->k;
    const Operand *a = &k->seg[0].a;
    *s = (Shape){.M = axes_product(k->m, k->n_m), .N = axes_product(k->nn, k->n_n), .K0 = axes_product(k->k, k->n_k), .B = 1, .BK = BK_MMA};
    *g = (Wgrad){.taps_h = 1, .H = 1, .images = 1};
    if (k->n_seg > 1 || k->n_b || k->bound >= 0 || k->n_inner) return "its sum has segments, a batch, bounded rows or reductions behind it";
    for (int t = 0; t < a->n_taps; t++) {
        int at = 0;
        while (at < k->n_m && k->m[at].role != a->tap[t].kaxis) at++;
        if (at == a->n_taps - 1) g->w = &a->tap[t];
        else if (at == 0) g->h = &a->tap[t];
    }
    if (!g->w || (a->n_taps == 2 && !g->h)) return "taps are not the outermost rows of the result";
    g->taps_w = g->w->k;
    g->W = g->w->out;
    g->left = g->w->pad - MIN(0, (g->w->k - 1) * g->w->dil);
    if (g->h) {
        g->taps_h = g->h->k;
        g->H = g->h->in;
        g->back = MAX(0, (g->h->k - 1) * g->h->dil) - g->h->pad;
    }
    if (g->taps_w > MAX_TAPS) return "a kernel row has more than 9 taps";
    g->own_h = g->taps_h * g->taps_w <= MAX_TAPS ? g->taps_h : 1;
    g->row = k->m + a->n_taps;
    g->n_row = k->n_m - a->n_taps;
    g->rows = axes_product(g->row, g->n_row);
    for (int i = 0; i < k->n_k; i++) {
        if (tap_axis(g, k->k[i].role)) continue;
        g->image[g->n_image++] = k->k[i];
        g->images *= k->k[i].size;
    }
    s->number = precision_of(e, a);
    if (precision_of(e, &k->seg[0].b) != s->number) s->number = NUM_F32;
    s->mma = s->number != NUM_F32;
    if (!choose_tile(s, g)) return "its stages are larger than shared memory";
    return NULL;
}

/* ---- stages ---- */
static const char *minus(Emit *e, int64_t n) { return !n ? "" : arena_printf(e->k->arena, n > 0 ? " - %lld" : " + %lld", llabs(n)); }

static const char *over(Emit *e, int64_t n) { return n == 1 ? "" : arena_printf(e->k->arena, " / %lld", (long long)n); }

/* Where the one of n pieces begins that a number says. */
static const char *one_of(Emit *e, const char *number, int64_t n, int64_t size)
{
    return n == 1 ? "0" : arena_printf(e->k->arena, "%s %% %lld*%lld", number, (long long)n, (long long)size);
}

static void also(StrBuf *b, const char *condition) { sb_printf(b, "%s%s", b->len ? " && " : "", condition); }

/* Operand a: [lines][pixels with the border][rows]; operand b, the gradient: [lines that any of the block's taps meets][pixels][columns]. */
static void fill(Emit *e, const Shape *s, const Wgrad *g, char side)
{
    Kernel *k = e->k;
    bool a = side == 'a';
    const Operand *o = a ? &k->seg[0].a : &k->seg[0].b;
    const Axis *v = a ? g->row : k->nn;
    int n = a ? g->n_row : k->n_n;
    const Axis *along = innermost(v, n);
    int64_t width = along ? vector_width(s, o, along->role, along->size, stage_contiguous(e, o, v, n)) : 1;
    int loop = width > 1 ? o->loop[op_axis(o, along->role)] : -1;
    int64_t tile = a ? s->BM : s->BN, all = a ? g->rows : s->N, lines = a ? g->PH : g->PH + g->border, pixels = a ? g->SW : g->PW, wides = tile / width;
    const char *at = a ? "row_at" : "col_at", *w = a ? "w_in" : "w_out", *h = a ? "h_in" : "h_out";
    line(e, a ? "/* operand a with its prologue{{a0}}, once an element, 0 outside: [%lld lines][%lld pixels][%lld rows] */"
              : "/* operand b with its prologue{{b0}}, 0 outside: [%lld lines][%lld pixels][%lld columns] */", (long long)lines, (long long)pixels, (long long)tile);
    open_block(e, "for (int slot = threadIdx.x; slot < %lld; slot += %d)", (long long)(lines * pixels * wides), CUDA_THREADS);
    line(e, "const int wide = slot %% %lld%s;", (long long)wides, width > 1 ? arena_printf(k->arena, "*%lld", (long long)width) : "");
    line(e, "const int %s = %s + wide;", at, a ? "row0" : "col0");
    StrBuf inside = {0};
    line(e, "const int %s = pixel0 + slot / %lld %% %lld%s;", w, (long long)wides, (long long)pixels, a ? minus(e, g->left) : "");
    if (a) also(&inside, arena_printf(k->arena, "w_in >= 0 && w_in < %lld", (long long)g->w->in));
    else if (g->W % g->PW) also(&inside, arena_printf(k->arena, "w_out < %lld", (long long)g->W));
    if (g->h) {
        const char *from = a ? "" : g->own_h < g->taps_h ? " - back" : minus(e, g->back);
        line(e, "const int %s = line0 + slot / %lld%s;", h, (long long)(wides * pixels), from);
        if (!a) also(&inside, arena_printf(k->arena, "h_out >= 0 && h_out < %lld", (long long)g->h->out));
        else if (g->H % g->PH) also(&inside, arena_printf(k->arena, "h_in < %lld", (long long)g->H));
    }
    if (all % tile) also(&inside, arena_printf(k->arena, "%s < %lld", at, (long long)all));
    decode_axes(e, o, "image", g->n_image, g->image, NULL);
    decode_axes(e, o, at, n, v, width > 1 ? along->role : NULL);
    const char *keep[MAX_AXES];
    for (int i = 0; i < o->n_axes; i++) {
        keep[i] = e->loop_name[o->loop[i]];
        if (o->outer[i] == g->w->axis) e->loop_name[o->loop[i]] = w;
        else if (g->h && o->outer[i] == g->h->axis) e->loop_name[o->loop[i]] = h;
    }
    staged_value(e, o, inside.s, loop, width, NULL);
    for (int i = 0; i < o->n_axes; i++) e->loop_name[o->loop[i]] = keep[i];
    put_staged(e, s, arena_printf(k->arena, "%c_next[slot / %lld*%lld + wide]", side, (long long)wides, (long long)(tile + pad_of(s))), 1, width);
    close_block(e);
    sb_free(&inside);
}

static void fill_next(Emit *e, const Shape *s, const Wgrad *g)
{
    const char *type = stage_type(s);
    int64_t tiles_w = pieces(g->W, g->PW), tiles = tiles_w * pieces(g->H, g->PH);
    line(e, "%s *const a_next = a_tile + next %% 2*%lld, *const b_next = b_tile + next %% 2*%lld;", type, (long long)g->a_size, (long long)g->b_size);
    line(e, "const int image = next%s;", over(e, tiles));
    if (g->h) line(e, "const int line0 = %s;", one_of(e, arena_printf(e->k->arena, "next%s", over(e, tiles_w)), tiles / tiles_w, g->PH));
    line(e, "const int pixel0 = %s;", one_of(e, "next", tiles_w, g->PW));
    fill(e, s, g, 'a');
    fill(e, s, g, 'b');
}

/* ---- products ---- */
/* Where the pixel that is numbered `pixel` in the chunk begins in operand a's stage, for tap 0. */
static const char *a_pixel(Emit *e, const Shape *s, const Wgrad *g, const char *pixel)
{
    const char *at = g->PH > 1 ? arena_printf(e->k->arena, "(%s / %lld*%lld + %s %% %lld)", pixel, (long long)g->PW, (long long)g->SW, pixel, (long long)g->PW) : pixel;
    return arena_printf(e->k->arena, "%s*%lld", at, (long long)(s->BM + pad_of(s)));
}

/* n - tap*dil or n + tap*dil, times step: where a tap begins, from the first that is staged on. */
static const char *tap_at(Emit *e, const char *tap, int64_t count, int64_t dil, bool back, int64_t step)
{
    Arena *arena = e->k->arena;
    step *= llabs(dil);
    if ((dil < 0) != back) return arena_printf(arena, "(%lld - %s)*%lld", (long long)(count - 1), tap, (long long)step);
    return arena_printf(arena, "%s*%lld", tap, (long long)step);
}

static const char *kw_at(Emit *e, const Shape *s, const Wgrad *g) { return tap_at(e, "kw", g->taps_w, g->w->dil, false, s->BM + pad_of(s)); }

static const char *kh_at(Emit *e, const Shape *s, const Wgrad *g)
{
    return g->own_h > 1 ? arena_printf(e->k->arena, " + %s", tap_at(e, "kh", g->own_h, g->h->dil, true, g->PW * (s->BN + pad_of(s)))) : "";
}

static void unrolled(Emit *e, const char *name, int64_t n, int64_t step)
{
    line(e, "#pragma unroll");
    if (step > 1) open_block(e, "for (int %s = 0; %s < %lld; %s += %lld)", name, name, (long long)n, name, (long long)step);
    else open_block(e, "for (int %s = 0; %s < %lld; %s++)", name, name, (long long)n, name);
}

static void multiply_mma(Emit *e, const Shape *s, const Wgrad *g)
{
    bool tf32 = s->number == NUM_TF32;
    int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8, pitch_a = s->BM + PAD, pitch_b = s->BN + PAD, deep = tf32 ? 8 : 16;
    line(e, "#pragma unroll 1");
    open_block(e, "for (int deep = %s; deep < %lld; deep += %lld)", g->groups > 1 ? arena_printf(e->k->arena, "group*%lld", (long long)deep) : "0", (long long)(g->PH * g->PW),
               (long long)(deep * g->groups));
    line(e, "%s fb[%lld][%lld];  /* of the lines that the kernel rows meet */", tf32 ? "ect_frag_b_tf32" : "ect_frag_b", (long long)g->own_h, (long long)fn);
    unrolled(e, "kh", g->own_h, 1);
    unrolled(e, "i_n", fn, tf32 ? 1 : 2);
    if (tf32) line(e, "fb[kh][i_n] = ect_load_b_tf32(&b_now[(deep + lane_c %% 4)*%lld + col_c + i_n*8 + lane_c / 4%s], %lld);", (long long)pitch_b, kh_at(e, s, g), (long long)pitch_b);
    else line(e, "ect_load_b2_trans(fb[kh] + i_n, &b_now[(deep + lane_c %% 16)*%lld + col_c + i_n*8 + lane_c / 16 * 8%s]);", (long long)pitch_b, kh_at(e, s, g));
    close_block(e);
    close_block(e);
    line(e, "const int pixel = deep + %s;", tf32 ? "lane_c % 4" : "lane_c % 8 + lane_c / 16 * 8");
    line(e, "const int a_at = %s + row_c + %s;", a_pixel(e, s, g, "pixel"), tf32 ? "lane_c / 4" : "lane_c / 8 % 2 * 8");
    unrolled(e, "kw", g->taps_w, 1);
    line(e, "%s fa[%lld];", tf32 ? "ect_frag_a_tf32" : "ect_frag_a", (long long)fm);
    line(e, "#pragma unroll");
    if (tf32) line(e, "for (int i_m = 0; i_m < %lld; i_m++) fa[i_m] = ect_load_a_tf32(&a_now[a_at + %s + i_m*16], &a_now[a_at + %s + i_m*16 + 8], %lld);", (long long)fm,
                   kw_at(e, s, g), kw_at(e, s, g), (long long)pitch_a);
    else line(e, "for (int i_m = 0; i_m < %lld; i_m++) fa[i_m] = ect_load_a_trans(&a_now[a_at + %s + i_m*16]);", (long long)fm, kw_at(e, s, g));
    line(e, "#pragma unroll");
    line(e, "for (int kh = 0; kh < %lld; kh++)", (long long)g->own_h);
    line(e, "    for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
    line(e, "        for (int i_n = 0; i_n < %lld; i_n++) %s(&acc[kh][kw][i_m][i_n], fa[i_m], fb[kh][i_n]);", (long long)fn,
         tf32 ? "ect_mma_tf32" : s->number == NUM_F16 ? "ect_mma_f16" : "ect_mma");
    close_block(e);
    close_block(e);
}

static void multiply_fma(Emit *e, const Shape *s, const Wgrad *g)
{
    line(e, "#pragma unroll 1");
    open_block(e, "for (int pixel = %s; pixel < %lld; pixel%s)", g->groups > 1 ? "group" : "0", (long long)(g->PH * g->PW),
               g->groups > 1 ? arena_printf(e->k->arena, " += %lld", (long long)g->groups) : "++");
    line(e, "float rb[%lld][%d];  /* of the lines that the kernel rows meet */", (long long)g->own_h, TN);
    line(e, "#pragma unroll");
    line(e, "for (int kh = 0; kh < %lld; kh++)", (long long)g->own_h);
    line(e, "    for (int i_n = 0; i_n < %d; i_n++) rb[kh][i_n] = b_now[pixel*%lld + col_c*%d + i_n%s];", TN, (long long)s->BN, TN, kh_at(e, s, g));
    line(e, "const int a_at = %s + row_c*%d;", a_pixel(e, s, g, "pixel"), TM);
    unrolled(e, "kw", g->taps_w, 1);
    line(e, "float ra[%d];", TM);
    line(e, "#pragma unroll");
    line(e, "for (int i_m = 0; i_m < %d; i_m++) ra[i_m] = a_now[a_at + %s + i_m];", TM, kw_at(e, s, g));
    line(e, "#pragma unroll");
    line(e, "for (int kh = 0; kh < %lld; kh++)", (long long)g->own_h);
    line(e, "    for (int i_m = 0; i_m < %d; i_m++)", TM);
    line(e, "        for (int i_n = 0; i_n < %d; i_n++) acc[kh][kw][i_m][i_n] = ect_fma(ra[i_m], rb[kh][i_n], acc[kh][kw][i_m][i_n]);", TN);
    close_block(e);
    close_block(e);
}

/* ---- sums ---- */
/* Where the thread's sums lie in the tile. */
static void place(Emit *e, const Shape *s, const Wgrad *g)
{
    int64_t threads = CUDA_THREADS / g->groups;
    const char *thread = "threadIdx.x";
    if (g->groups > 1) {
        line(e, "const int group = threadIdx.x / %lld;  /* of %lld that share a chunk's pixels; each has a part of the sum */", (long long)threads, (long long)g->groups);
        thread = arena_printf(e->k->arena, "threadIdx.x %% %lld", (long long)threads);
    }
    if (!s->mma) {
        line(e, "const int thread_c = %s;", thread);
        line(e, "const int row_c = thread_c / %lld, col_c = thread_c %% %lld;  /* the thread's part of the tile: %d rows, %d columns */", (long long)(s->BN / TN), (long long)(s->BN / TN), TM, TN);
        return;
    }
    line(e, "const int lane_c = threadIdx.x %% 32;");
    line(e, "const int warp_c = %s / 32;", thread);
    line(e, "const int row_c = warp_c / %d * %lld, col_c = warp_c %% %d * 16;  /* the warp's part of the tile */", s->warps_n, (long long)(s->BM / s->warps_m), s->warps_n);
}

static void declare_sums(Emit *e, const Shape *s, const Wgrad *g)
{
    if (!s->mma) {
        line(e, "float acc[%lld][%lld][%d][%d] = {};  /* of a thread: for each tap */", (long long)g->own_h, (long long)g->taps_w, TM, TN);
        return;
    }
    int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8;
    line(e, "ect_frag_c acc[%lld][%lld][%lld][%lld];  /* of a warp: %lld x %lld of the tile, for each tap */", (long long)g->own_h, (long long)g->taps_w, (long long)fm, (long long)fn,
         (long long)(fm * 16), (long long)(fn * 8));
    unrolled(e, "tap", g->own_h * g->taps_w, 1);
    line(e, "#pragma unroll");
    line(e, "for (int i_c = 0; i_c < %lld; i_c++)", (long long)(fm * fn));
    line(e, "    for (int part_of = 0; part_of < 4; part_of++) acc[tap / %lld][tap %% %lld][i_c / %lld][i_c %% %lld].x[part_of] = 0.0f;", (long long)g->taps_w, (long long)g->taps_w,
         (long long)fn, (long long)fn);
    close_block(e);
}

/* The rows of a tap lie behind those of the tap before. */
static void put_sums(Emit *e, const Shape *s, const Wgrad *g)
{
    Arena *arena = e->k->arena;
    int64_t m = s->mma ? s->BM / s->warps_m / 16 : TM, n = s->mma ? s->BN / s->warps_n / 8 : TN;
    unrolled(e, "kh", g->own_h, 1);
    unrolled(e, "kw", g->taps_w, 1);
    unrolled(e, "i_m", m, 1);
    if (s->mma) unrolled(e, "i_n", n, 1);
    if (s->mma) unrolled(e, "part_of", 2, 1);
    line(e, "const int row_at = row0 + %s;", s->mma ? "row_c + i_m*16 + lane_c / 4 + part_of*8" : arena_printf(arena, "row_c*%lld + i_m", (long long)m));
    line(e, "const int col_at = col0 + %s;", s->mma ? "col_c + i_n*8 + lane_c % 4 * 2" : arena_printf(arena, "col_c*%d", TN));
    const int64_t many = s->mma ? 2 : TN;            /* sums of neighbouring columns */
    const bool together = s->N % many == 0;          /* all or none of them are columns of the result */
    StrBuf inside = {0};
    if (g->rows % s->BM) also(&inside, arena_printf(arena, "row_at < %lld", (long long)g->rows));
    if (s->N % s->BN) also(&inside, arena_printf(arena, together ? "col_at < %lld" : "col_at + q < %lld", (long long)s->N));
    const char *kh = g->own_h < g->taps_h ? "kernel_row" : "kh", *guard = inside.s ? arena_printf(arena, "if (%s) ", inside.s) : "";
    const char *to = arena_printf(arena, "partial[((%s*%lld + kw)*%lld + row_at)*%lld + col_at", kh, (long long)g->taps_w, (long long)g->rows, (long long)s->N);
    const char *sums = s->mma ? "acc[kh][kw][i_m][i_n].x + part_of*2" : "acc[kh][kw][i_m]";
    if (together) line(e, "%sect_store%lld(&%s], %s);", guard, (long long)many, to, sums);
    else line(e, "for (int q = 0; q < %lld; q++) %s%s + q] = (%s)[q];", (long long)many, guard, to, sums);
    sb_free(&inside);
    for (int i = 0; i < (s->mma ? 5 : 3); i++) close_block(e);
}

static void print(Emit *e, CudaText *t, const Shape *s, const Wgrad *g)
{
    Arena *arena = e->k->arena;
    int64_t row_blocks = pieces(g->rows, s->BM), column_blocks = pieces(s->N, s->BN), kernel_rows = g->taps_h / g->own_h;
    int64_t parts = choose_parts(g, row_blocks * kernel_rows * column_blocks * t->instances), part = pieces(g->chunks, parts), sums = parts * g->groups, results = s->M * s->N;
    t->workspace = 4 * results * sums * t->instances;
    t->at_once = 1;
    cuda_entry_begin(e, t, "", row_blocks * kernel_rows, column_blocks * parts, 2 * (g->a_size + g->b_size) * number_info[s->number].bytes);
    line(e, "/* %lld x %lld x %lld, tiles of %lld x %lld for %lld of %lld taps, the sum in %lld parts, %lld a block, %s */", (long long)s->M, (long long)s->N, (long long)s->K0,
         (long long)s->BM, (long long)s->BN, (long long)(g->own_h * g->taps_w), (long long)(g->taps_h * g->taps_w), (long long)sums, (long long)g->groups,
         s->mma ? arena_printf(arena, "mma.sync %s", number_info[s->number].name) : "fused multiply-adds");
    line(e, "extern __shared__ __align__(16) unsigned char shared[];");
    line(e, "%s *const a_tile = (%s *)shared, *const b_tile = a_tile + %lld;  /* two stages of each: one is filled while the other is multiplied */", stage_type(s), stage_type(s),
         (long long)(2 * g->a_size));
    if (kernel_rows > 1) {
        line(e, "const int kernel_row = blockIdx.x / %lld;", (long long)row_blocks);
        if (g->h->dil < 0) line(e, "const int back = -kernel_row*%lld%s;  /* from a line of the operand to that of the gradient */", -(long long)g->h->dil, minus(e, g->h->pad));
        else line(e, "const int back = kernel_row*%lld%s;  /* from a line of the operand to that of the gradient */", (long long)g->h->dil, minus(e, g->h->pad));
    }
    line(e, "const int row0 = %s;  /* of each tap's %lld */", one_of(e, "blockIdx.x", row_blocks, s->BM), (long long)g->rows);
    line(e, "const int col0 = %s;", one_of(e, "blockIdx.y", column_blocks, s->BN));
    line(e, "const int split = blockIdx.y%s;", over(e, column_blocks));
    line(e, "const int chunk_begin = split*%lld;  /* a chunk: %lld lines of %lld pixels */", (long long)part, (long long)g->PH, (long long)g->PW);
    line(e, "const int chunk_end = chunk_begin + %lld < %lld ? chunk_begin + %lld : %lld;", (long long)part, (long long)g->chunks, (long long)part, (long long)g->chunks);
    place(e, s, g);
    line(e, "float *const partial = (float *)args.workspace + (ect_i64)(blockIdx.z*%lld + split%s)*%lld;", (long long)sums,
         g->groups > 1 ? arena_printf(arena, "*%lld + group", (long long)g->groups) : "", (long long)results);
    declare_sums(e, s, g);
    open_block(e, "for (int chunk = chunk_begin - 1; chunk < chunk_end; chunk++)");
    line(e, "/* half of the warps fill the next chunk's stage while the others multiply this one; then the other way round */");
    line(e, "#pragma unroll 1");
    open_block(e, "for (int half = 0; half < 2; half++)");
    open_block(e, "if (threadIdx.x / %d == half)", CUDA_THREADS / 2);
    line(e, "const int next = chunk + 1;");
    open_block(e, "if (next < chunk_end)");
    fill_next(e, s, g);
    close_block(e);
    e->indent--;
    line(e, "} else if (chunk >= chunk_begin) {");
    e->indent++;
    line(e, "const %s *const a_now = a_tile + chunk %% 2*%lld, *const b_now = b_tile + chunk %% 2*%lld;", stage_type(s), (long long)g->a_size, (long long)g->b_size);
    if (s->mma) multiply_mma(e, s, g);
    else multiply_fma(e, s, g);
    close_block(e);
    close_block(e);
    line(e, "__syncthreads();");
    close_block(e);
    put_sums(e, s, g);
    cuda_entry_end(e);
    t->at_once = 0;
    sum_parts(e, t, s, sums);
}

const char *cuda_wgrad(Emit *e, CudaText *t)
{
    Shape s;
    Wgrad g;
    const char *why = shape_of(e, &s, &g);
    if (!why) print(e, t, &s, &g);
    return why;
}
