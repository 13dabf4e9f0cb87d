/* Contractions in the C dialect: operands staged (or read in place), OpenBLAS products on tiles, an epilogue on each tile.
   Work is cut into tasks that do not depend on the number of threads, so results are the same bits for any of them. */
#include "compiler/emit.h"

/* One stride for a group of axes flattened in order (outermost first); false when they do not flatten. Size-1 axes fit anywhere. */
static bool flat_stride(const Operand *o, const Axis *v, int n, int64_t *stride)
{
    int64_t s = -1, size = 1;
    for (int i = n; i-- > 0;) {
        if (v[i].size == 1) continue;
        int a = op_axis(o, v[i].role);
        if (a < 0) return false;
        if (s < 0) { s = o->stride[a]; size = v[i].size; continue; }
        if (o->stride[a] != s * size) return false;
        size *= v[i].size;
    }
    *stride = s < 0 ? 1 : s;
    return true;
}

/* Reserve floats in the thread's or the launch's scratch; returns the offset. */
static int64_t reserve(int64_t *total, int64_t floats)
{
    int64_t at = *total;
    *total += (floats + 15) / 16 * 16;
    return at;
}

/* Declare index variables of axes v[] from a flat number, innermost last; those before `first` are declared already. */
static void decode_inner(Emit *e, const char *flat, const Axis *v, int n, int first)
{
    int64_t inner = 1;
    for (int i = n; i-- > first;) {
        const char *name = loop_c_name(e, v[i].role);
        if (v[i].size == 1) continue;
        if (inner == 1 && i == 0) line(e, "const %s %s = %s;", e->itype, name, flat);
        else if (inner == 1) line(e, "const %s %s = %s %% %lld;", e->itype, name, flat, (long long)v[i].size);
        else if (i == 0) line(e, "const %s %s = %s / %lld;", e->itype, name, flat, (long long)inner);
        else line(e, "const %s %s = %s / %lld %% %lld;", e->itype, name, flat, (long long)inner, (long long)v[i].size);
        inner *= v[i].size;
    }
}

static void decode(Emit *e, const char *flat, const Axis *v, int n) { decode_inner(e, flat, v, n, 0); }

static const char *flat_text(Emit *e, const Axis *v, int n, const char *none)
{
    StrBuf b = {0};
    int64_t stride = axes_product(v, n);
    for (int i = 0; i < n; i++) {
        stride /= v[i].size;
        if (v[i].size == 1) continue;
        sb_printf(&b, "%s%s", b.len ? " + " : "", loop_c_name(e, v[i].role));
        if (stride > 1) sb_printf(&b, "*%lld", (long long)stride);
    }
    const char *s = arena_strdup(e->k->arena, b.len ? b.s : none);
    sb_free(&b);
    return s;
}

/* How many combinations of axes v[] are worked on: all, or those of the wanted rows where they are outermost. */
static const char *wanted_text(Emit *e, const Axis *v, int n)
{
    const Kernel *k = e->k;
    int64_t all = axes_product(v, n);
    if (k->bound < 0 || n == 0 || v[0].role != k->bound_axis.role) return arena_printf(k->arena, "%lld", (long long)all);
    all /= v[0].size;
    return all == 1 ? "wanted" : arena_printf(k->arena, "wanted*%lld", (long long)all);
}

static void store_panel(Emit *e, void *user)
{
    const char **t = user;                           /* target text with index, value expression id as text is printed here */
    line(e, "%s = %s;", t[0], expr_text(e, *(const KRef *)(const void *)t[1]));
}

/* Loops over axes v[] of an operand, printing `target` = prologue. The operand's other loop variables are in scope already. */
static void fill(Emit *e, const Operand *o, const Axis *v, int n, const char *target, int parallel)
{
    int loops[MAX_AXES], c = 0;
    for (int i = 0; i < n; i++) {
        int a = op_axis(o, v[i].role);
        if (v[i].size > 1 && a >= 0) loops[c++] = o->loop[a];
    }
    KRef value = o->value;
    const char *user[2] = {target, (const char *)&value};
    emit_nest(e, c, loops, MIN(parallel, c > 1 ? c - 1 : c), 1, &value, store_panel, user);
}

/* The loop that fill() makes innermost, or -1. */
static int inner_loop(const Operand *o, const Axis *v, int n)
{
    for (int i = n; i-- > 0;)
        if (v[i].size > 1 && op_axis(o, v[i].role) >= 0) return o->loop[op_axis(o, v[i].role)];
    return -1;
}

/* Opens the loop over the inner windowed axis; loads that divide the channels are copied before it. Returns what rows_end wants. */
static char **open_columns(Emit *e, const Operand *o, const Tap *t, const Axis *v, int n, int64_t from, const char *to)
{
    const char *w = loop_c_name(e, t->axis);
    int inner = inner_loop(o, v, n), a = op_axis(o, t->axis);
    char **rows = inner >= 0 ? rows_begin(e, 1, &o->value, inner, a >= 0 ? 1ull << o->loop[a] : 0) : NULL;
    open_block(e, "for (%s %s = %lld; %s < %s; %s++)", e->itype, w, (long long)from, w, to, w);
    return rows;
}

/* Text of offset base + sum of strides over the operand's batch axes. */
static const char *batch_offset(Emit *e, const Operand *o, const Axis *v, int n)
{
    StrBuf b = {0};
    if (o->base) sb_printf(&b, " + %lld", (long long)o->base);
    for (int i = 0; i < n; i++) {
        int a = op_axis(o, v[i].role);
        if (a < 0 || v[i].size == 1 || o->stride[a] == 0) continue;
        sb_printf(&b, " + %s*%lld", loop_c_name(e, v[i].role), (long long)o->stride[a]);
    }
    const char *s = arena_strdup(e->k->arena, b.s ? b.s : "");
    sb_free(&b);
    return s;
}

/* ---- further K segments ---- */
/* Operand b of segment s evaluated once for the launch: [K][columns]. */
static void segment_panel(Emit *e, int s)
{
    Kernel *k = e->k;
    const Segment2 *g = &k->seg[s];
    int64_t K = axes_product(g->k, g->n_k), C = axes_product(k->nn, k->n_n), at = reserve(&e->shared_floats, K * C);
    line(e, "float *const b_panel%d = (float *)args->shared + %lld;  /* [K][columns], operand b of segment %d{{b%d}} evaluated once */", s, (long long)at, s, s);
    Axis v[2 * MAX_AXES];
    memcpy(v, g->k, sizeof(Axis) * (size_t)g->n_k);
    memcpy(v + g->n_k, k->nn, sizeof(Axis) * (size_t)k->n_n);
    fill(e, &g->b, v, g->n_k + k->n_n, arena_printf(k->arena, "b_panel%d[(%s)*%lld + %s]", s, flat_text(e, g->k, g->n_k, "0"), (long long)C,
                                                   flat_text(e, k->nn, k->n_n, "0")), K * C >= 16384 ? 1 : 0);
}

/* Text and layout of operand b of segment s: in place where it is a plain matrix, else its panel. */
typedef struct { const char *text; bool in_place, transposed; int64_t ld; } Matrix;
static Matrix segment_matrix(Emit *e, int s)
{
    Kernel *k = e->k;
    const Segment2 *g = &k->seg[s];
    const Operand *b = &g->b;
    int64_t K = axes_product(g->k, g->n_k), C = axes_product(k->nn, k->n_n), bk = 0, bn = 0;
    bool in = b->direct && flat_stride(b, g->k, g->n_k, &bk) && flat_stride(b, k->nn, k->n_n, &bn) && (bk == 1 || bn == 1) && bk > 0 && bn > 0;
    if (in && ((bn == 1 && bk < C && K > 1) || (bn != 1 && bn < K && C > 1))) in = false;
    if (!in) return (Matrix){arena_printf(k->arena, "b_panel%d", s), false, false, C};
    const char *text = b->base ? arena_printf(k->arena, "%s + %lld", buffer_name(e, b->slot), (long long)b->base) : buffer_name(e, b->slot);
    return (Matrix){text, true, bn != 1, bn == 1 ? MAX(C, K > 1 ? bk : C) : MAX(K, C > 1 ? bn : K)};
}

static void segment_panels(Emit *e)
{
    for (int s = 1; s < e->k->n_seg; s++)
        if (!segment_matrix(e, s).in_place) segment_panel(e, s);
}

/* ---- plain matrix product ---- */
static void emit_gemm(Emit *e)
{
    Kernel *k = e->k;
    Operand *a = &k->seg[0].a, *b = &k->seg[0].b;
    int64_t M = axes_product(k->m, k->n_m), C = axes_product(k->nn, k->n_n), K = axes_product(k->k, k->n_k), B = axes_product(k->b, k->n_b);
    int64_t am = 0, ak = 0, bk = 0, bn = 0;
    bool a_in = a->direct && a->n_taps == 0 && flat_stride(a, k->m, k->n_m, &am) && flat_stride(a, k->k, k->n_k, &ak) && (ak == 1 || am == 1)
                && (am >= 1 && ak >= 1);
    bool b_in = b->direct && b->n_taps == 0 && flat_stride(b, k->k, k->n_k, &bk) && flat_stride(b, k->nn, k->n_n, &bn) && (bk == 1 || bn == 1)
                && (bk >= 1 && bn >= 1);
    if (a_in && ((ak == 1 && am < K && M > 1) || (ak != 1 && ak < M && K > 1))) a_in = false;
    if (b_in && ((bn == 1 && bk < C && K > 1) || (bn != 1 && bn < K && C > 1))) b_in = false;
    int64_t tile = B >= 8 ? M : MAX(16, (M / 8 + 15) / 16 * 16);
    tile = MIN(MIN(tile, 512), M);
    if (tile * C > 262144) tile = MAX(16, 262144 / C);
    tile = MIN(tile, M);
    if (k->tile_rows) tile = k->tile_rows * axes_product(k->m + 2, k->n_m - 2);
    int64_t tiles = (M + tile - 1) / tile;
    line(e, "/* %s */", k->reason);
    line(e, "enum { M = %lld, N = %lld, K = %lld, BATCH = %lld, TILE = %lld, TILES = %lld };", (long long)M, (long long)C, (long long)K, (long long)B,
         (long long)tile, (long long)tiles);
    int64_t b_panel = 0;
    bool b_shared = !b_in && k->n_b == 0;
    if (b_shared) {
        b_panel = reserve(&e->shared_floats, K * C);
        line(e, "float *const b_panel = (float *)args->shared + %lld;  /* [K][N], operand b{{b0}} evaluated once */", (long long)b_panel);
        Axis v[2 * MAX_AXES];
        memcpy(v, k->k, sizeof(Axis) * (size_t)k->n_k);
        memcpy(v + k->n_k, k->nn, sizeof(Axis) * (size_t)k->n_n);
        fill(e, b, v, k->n_k + k->n_n, arena_printf(k->arena, "b_panel[(%s)*N + %s]", flat_text(e, k->k, k->n_k, "0"), flat_text(e, k->nn, k->n_n, "0")),
             K * C >= 16384 ? 1 : 0);
    }
    segment_panels(e);
    line(e, "#pragma omp parallel for schedule(dynamic) num_threads(args->threads)");
    if (k->bound < 0) open_block(e, "for (int task = 0; task < BATCH * TILES; task++)");
    else if (B > 1) open_block(e, "for (int task = 0; task < %s * TILES; task++)", wanted_text(e, k->b, k->n_b));
    else open_block(e, "for (int task = 0; task < (%s + TILE - 1) / TILE; task++)", wanted_text(e, k->m, k->n_m));
    decode(e, "(task / TILES)", k->b, k->n_b);
    line(e, "const int row0 = task %% TILES * TILE, rows = M - row0 < TILE ? M - row0 : TILE;");
    line(e, "float *const scratch = (float *)(args->scratch + args->scratch_stride * (ect_u64)omp_get_thread_num());");
    const char *ap, *bp;
    long long lda, ldb;
    int tra = 111, trb = 111;
    if (a_in) {
        ap = arena_printf(k->arena, "%s%s + (ect_i64)row0*%lld", buffer_name(e, a->slot), batch_offset(e, a, k->b, k->n_b), (long long)am);
        tra = ak == 1 ? 111 : 112;
        lda = ak == 1 ? (M > 1 ? am : K) : (K > 1 ? ak : M);
        lda = MAX(lda, ak == 1 ? K : tile);
    } else {
        int64_t at = reserve(&e->scratch_floats, tile * K);
        line(e, "float *const a_panel = scratch + %lld;  /* [row][K]: operand a with its prologue{{a0}} */", (long long)at);
        open_block(e, "for (%s row = row0; row < row0 + rows; row++)", e->itype);
        decode(e, "row", k->m, k->n_m);
        fill(e, a, k->k, k->n_k, arena_printf(k->arena, "a_panel[(row - row0)*K + %s]", flat_text(e, k->k, k->n_k, "0")), 0);
        close_block(e);
        ap = "a_panel";
        lda = K;
    }
    if (b_in) {
        bp = arena_printf(k->arena, "%s%s", buffer_name(e, b->slot), batch_offset(e, b, k->b, k->n_b));
        trb = bn == 1 ? 111 : 112;
        ldb = bn == 1 ? (K > 1 ? bk : C) : (C > 1 ? bn : K);
        ldb = MAX(ldb, bn == 1 ? C : K);
    } else {
        if (!b_shared) {
            int64_t at = reserve(&e->scratch_floats, K * C);
            line(e, "float *const b_panel = scratch + %lld;  /* [K][N]: operand b{{b0}} of this batch element */", (long long)at);
            Axis v[2 * MAX_AXES];
            memcpy(v, k->k, sizeof(Axis) * (size_t)k->n_k);
            memcpy(v + k->n_k, k->nn, sizeof(Axis) * (size_t)k->n_n);
            fill(e, b, v, k->n_k + k->n_n,
                 arena_printf(k->arena, "b_panel[(%s)*N + %s]", flat_text(e, k->k, k->n_k, "0"), flat_text(e, k->nn, k->n_n, "0")), 0);
        }
        bp = "b_panel";
        ldb = C;
    }
    int64_t ct = reserve(&e->scratch_floats, tile * C);
    line(e, "float *const c_tile = scratch + %lld;", (long long)ct);
    line(e, "args->sgemm(101, %d, %d, rows, N, K, 1.0f, %s, %lld, %s, %lld, 0.0f, c_tile, N);", tra, trb, ap, lda, bp, ldb);
    for (int s = 1; s < k->n_seg; s++) {
        const Segment2 *g = &k->seg[s];
        Matrix m = segment_matrix(e, s);
        int64_t KS = axes_product(g->k, g->n_k), at = reserve(&e->scratch_floats, tile * KS);
        line(e, "float *const a_panel%d = scratch + %lld;  /* [row][%lld]: operand a of segment %d with its prologue{{a%d}} */", s, (long long)at, (long long)KS, s, s);
        open_block(e, "for (%s row = row0; row < row0 + rows; row++)", e->itype);
        decode(e, "row", k->m, k->n_m);
        fill(e, &g->a, g->k, g->n_k, arena_printf(k->arena, "a_panel%d[(row - row0)*%lld + %s]", s, (long long)KS, flat_text(e, g->k, g->n_k, "0")), 0);
        close_block(e);
        line(e, "args->sgemm(101, 111, %d, rows, N, %lld, 1.0f, a_panel%d, %lld, %s, %lld, 1.0f, c_tile, N);", m.transposed ? 112 : 111, (long long)KS, s,
             (long long)KS, m.text, (long long)m.ld);
    }
    e->acc[0] = arena_printf(k->arena, "c_tile[(row - row0)*N + %s]", flat_text(e, k->nn, k->n_n, "0"));
    Tile t = {k->n_n, k->loop_n};
    char **loads = NULL;
    int first = 0;                                   /* row axes that change inside of a tile */
    if (k->tile_rows) {
        first = 1;
        line(e, "const %s %s = row0 / %lld;", e->itype, loop_c_name(e, k->m[0].role), (long long)axes_product(k->m + 1, k->n_m - 1));
        uint64_t pixel = 0;
        for (int i = 1; i < k->n_m; i++) pixel |= 1ull << k->loop_m[i];
        loads = tile_rows_begin(e, &t, pixel);
    }
    line(e, "/* epilogue{{e}} */");
    tile_begin(e, &t);
    if (tile_wants_first(e)) {
        line(e, "{  /* the first row */");
        e->indent++;
        line(e, "const %s row = row0;", e->itype);
        decode_inner(e, "row", k->m, k->n_m, first);
        tile_first(e, &t);
        close_block(e);
    }
    open_block(e, "for (%s row = row0; row < row0 + rows; row++)", e->itype);
    decode_inner(e, "row", k->m, k->n_m, first);
    tile_row(e, &t);
    close_block(e);
    if (k->tile_rows) decode_inner(e, "row0", k->m, k->n_m, first);
    tile_end(e, &t);
    if (loads) rows_end(e, loads);
    close_block(e);
}

/* ---- convolutions: shared geometry ---- */
typedef struct {
    const Tap *h, *w;                                /* outer and inner windowed axis; h may be NULL (one-dimensional) */
    int64_t H, W, Hin, Win, KH, KW, dh, dw, left_h, left_w, pitch, halo;
    Axis other_m[MAX_AXES], inner_k[MAX_AXES], other_k[MAX_AXES];    /* rows beyond h, w; summed axes beyond taps */
    int n_other, n_inner;
} Conv;

static void geometry(const Kernel *k, Conv *v)
{
    const Operand *a = &k->seg[0].a;
    memset(v, 0, sizeof *v);
    v->w = &a->tap[0];
    if (a->n_taps == 2) {                            /* the axis further out in memory is h */
        bool first = true;
        for (int t = 0; t < k->n_m + k->n_k; t++) {  /* m or k order is by stride, outermost first */
            Sym r = t < k->n_m ? k->m[t].role : k->k[t - k->n_m].role;
            if (r == a->tap[0].axis) { first = true; break; }
            if (r == a->tap[1].axis) { first = false; break; }
        }
        v->h = first ? &a->tap[0] : &a->tap[1];
        v->w = first ? &a->tap[1] : &a->tap[0];
    }
    v->H = v->h ? v->h->out : 1; v->Hin = v->h ? v->h->in : 1; v->KH = v->h ? v->h->k : 1; v->dh = v->h ? v->h->dil : 1;
    v->W = v->w->out; v->Win = v->w->in; v->KW = v->w->k; v->dw = v->w->dil;
    v->left_h = v->h ? v->h->pad - MIN(0, (v->KH - 1) * v->dh) : 0;
    v->left_w = v->w->pad - MIN(0, (v->KW - 1) * v->dw);
    v->halo = (v->KH - 1) * llabs(v->dh);
    v->pitch = v->W + (v->KW - 1) * llabs(v->dw);
}

static bool is_role(const Tap *t, Sym r, bool kaxis) { return t && (kaxis ? t->kaxis : t->axis) == r; }

/* Rows r of the stage hold source rows first + r - left_h; outside the source is zero. Target stage[(r*PITCH + w)*KI + k]. */
static void fill_stage(Emit *e, const Operand *o, const Conv *v, const char *first, const char *rows, const Axis *inner, int n_inner)
{
    Kernel *k = e->k;
    int64_t KI = axes_product(inner, n_inner), from = MAX(0, -v->left_w), to = MIN(v->Win, v->pitch - v->left_w);
    open_block(e, "for (int r = 0; r < %s; r++)", rows);
    line(e, "float *const stage_row = stage + r*%lld;", (long long)(v->pitch * KI));
    if (v->h) {
        const char *h = loop_c_name(e, v->h->axis);
        line(e, "const %s %s = %s + r - %lld;", e->itype, h, first, (long long)v->left_h);
        open_block(e, "if (%s < 0 || %s >= %lld)", h, h, (long long)v->Hin);
        line(e, "__builtin_memset(stage_row, 0, sizeof(float) * %lld);", (long long)(v->pitch * KI));
        line(e, "continue;");
        close_block(e);
    }
    if (from + v->left_w > 0)
        line(e, "__builtin_memset(stage_row, 0, sizeof(float) * %lld);", (long long)((from + v->left_w) * KI));
    if (to + v->left_w < v->pitch)
        line(e, "__builtin_memset(stage_row + %lld, 0, sizeof(float) * %lld);", (long long)((to + v->left_w) * KI),
             (long long)((v->pitch - to - v->left_w) * KI));
    const char *w = loop_c_name(e, v->w->axis);
    char **loads = open_columns(e, o, v->w, inner, n_inner, from, arena_printf(k->arena, "%lld", (long long)to));
    fill(e, o, inner, n_inner, arena_printf(k->arena, "stage_row[(%s + %lld)*%lld + %s]", w, (long long)v->left_w, (long long)KI,
                                            flat_text(e, inner, n_inner, "0")), 0);
    close_block(e);
    if (loads) rows_end(e, loads);
    close_block(e);
}

static int64_t tap_offset(const Conv *v, int64_t kh, int64_t kw, int64_t KI)
{
    int64_t r = v->dh > 0 ? kh * v->dh : (v->KH - 1 - kh) * -v->dh, c = v->dw > 0 ? kw * v->dw : (v->KW - 1 - kw) * -v->dw;
    return (r * v->pitch + c) * KI;
}

static int64_t rows_per_tile(const Conv *v, int64_t width, int64_t H)
{
    int64_t rows = MAX(1, 131072 / MAX(1, v->pitch * width));
    rows = MIN(rows, MAX(1, 1088 / v->pitch));
    if (rows >= H) return H;
    int64_t tiles = (H + rows - 1) / rows;
    return (H + tiles - 1) / tiles;
}

/* Convolution forward and data gradient: taps among the summed axes. */
static void emit_taps_k(Emit *e)
{
    Kernel *k = e->k;
    Operand *a = &k->seg[0].a, *b = &k->seg[0].b;
    Conv v;
    geometry(k, &v);
    for (int i = 0; i < k->n_m; i++)
        if (!is_role(v.h, k->m[i].role, false) && !is_role(v.w, k->m[i].role, false)) v.other_m[v.n_other++] = k->m[i];
    for (int i = 0; i < k->n_k; i++)
        if (!is_role(v.h, k->k[i].role, true) && !is_role(v.w, k->k[i].role, true)) v.inner_k[v.n_inner++] = k->k[i];
    int64_t KI = axes_product(v.inner_k, v.n_inner), C = axes_product(k->nn, k->n_n);
    int64_t bk = 0, bn = 0, th = 0, tw = 0;
    bool b_in = b->direct && flat_stride(b, v.inner_k, v.n_inner, &bk) && flat_stride(b, k->nn, k->n_n, &bn) && (bk == 1 || bn == 1) && bk > 0 && bn > 0;
    if (b_in && ((bn == 1 && bk < C && KI > 1) || (bn != 1 && bn < KI && C > 1))) b_in = false;
    if (b_in) {
        if (v.h && op_axis(b, v.h->kaxis) >= 0) th = b->stride[op_axis(b, v.h->kaxis)];
        if (op_axis(b, v.w->kaxis) >= 0) tw = b->stride[op_axis(b, v.w->kaxis)];
    }
    int64_t rows = k->tile_rows ? k->tile_rows : rows_per_tile(&v, MAX(KI, C), v.H), tiles = (v.H + rows - 1) / rows;
    line(e, "/* %s */", k->reason);
    line(e, "enum { H = %lld, W = %lld, CI = %lld, CO = %lld, ROWS = %lld, TILES = %lld, HALO = %lld, PITCH = %lld };", (long long)v.H, (long long)v.W,
         (long long)KI, (long long)C, (long long)rows, (long long)tiles, (long long)v.halo, (long long)v.pitch);
    if (!b_in) {
        int64_t at = reserve(&e->shared_floats, v.KH * v.KW * KI * C);
        line(e, "float *const b_panel = (float *)args->shared + %lld;  /* [tap][CI][CO], operand b{{b0}} evaluated once */", (long long)at);
        Axis x[2 * MAX_AXES];
        int n = 0;
        if (v.h) x[n++] = (Axis){v.h->kaxis, v.KH};
        x[n++] = (Axis){v.w->kaxis, v.KW};
        int nt = n;
        const char *tap = flat_text(e, x, nt, "0");
        for (int i = 0; i < v.n_inner; i++) x[n++] = v.inner_k[i];
        for (int i = 0; i < k->n_n; i++) x[n++] = k->nn[i];
        fill(e, b, x, n, arena_printf(k->arena, "b_panel[((%s)*CI + %s)*CO + %s]", tap, flat_text(e, v.inner_k, v.n_inner, "0"),
                                      flat_text(e, k->nn, k->n_n, "0")), 1);
        bk = C; bn = 1; tw = KI * C; th = v.KW * KI * C;
    }
    segment_panels(e);
    line(e, "#pragma omp parallel for schedule(dynamic) num_threads(args->threads)");
    open_block(e, "for (int task = 0; task < %s * TILES; task++)", wanted_text(e, v.other_m, v.n_other));
    decode(e, "(task / TILES)", v.other_m, v.n_other);
    line(e, "const int row0 = task %% TILES * ROWS, rows = H - row0 < ROWS ? H - row0 : ROWS;");
    line(e, "float *const scratch = (float *)(args->scratch + args->scratch_stride * (ect_u64)omp_get_thread_num());");
    int64_t at = reserve(&e->scratch_floats, (rows + v.halo) * v.pitch * KI);
    line(e, "float *const stage = scratch + %lld;  /* [ROWS + HALO][PITCH][CI]: operand a after its prologue{{a0}}, zero outside */", (long long)at);
    fill_stage(e, a, &v, "row0", "rows + HALO", v.inner_k, v.n_inner);
    at = reserve(&e->scratch_floats, rows * v.pitch * C);
    line(e, "float *const c_tile = scratch + %lld;  /* [ROWS][PITCH][CO]; columns beyond W are not used */", (long long)at);
    line(e, "const int m = (rows - 1)*PITCH + W;");
    bool first = true;
    for (int64_t kh = 0; kh < v.KH; kh++)
        for (int64_t kw = 0; kw < v.KW; kw++, first = false)
            line(e, "args->sgemm(101, 111, %d, m, CO, CI, 1.0f, stage + %lld, CI, %s + %lld, %lld, %s, c_tile, CO);  /* tap %lld,%lld */", bn == 1 ? 111 : 112,
                 (long long)tap_offset(&v, kh, kw, KI), b_in ? buffer_name(e, b->slot) : "b_panel",
                 (long long)((b_in ? b->base : 0) + kh * th + kw * tw), (long long)MAX(bn == 1 ? C : KI, bn == 1 ? bk : bn), first ? "0.0f" : "1.0f",
                 (long long)kh, (long long)kw);
    const char *w = loop_c_name(e, v.w->axis), *h = v.h ? loop_c_name(e, v.h->axis) : NULL;
    for (int s = 1; s < k->n_seg; s++) {
        const Segment2 *g = &k->seg[s];
        Matrix x = segment_matrix(e, s);
        int64_t KS = axes_product(g->k, g->n_k), to = reserve(&e->scratch_floats, rows * v.pitch * KS);
        line(e, "float *const segment%d = scratch + %lld;  /* [ROWS][PITCH][%lld]: operand a of segment %d{{a%d}}, zero beyond W */", s, (long long)to, (long long)KS, s, s);
        open_block(e, "for (int row = 0; row < rows; row++)");
        if (h) line(e, "const %s %s = row0 + row;", e->itype, h);
        if (v.pitch > v.W)
            line(e, "__builtin_memset(segment%d + (row*PITCH + W)*%lld, 0, sizeof(float) * (PITCH - W)*%lld);", s, (long long)KS, (long long)KS);
        int inner = inner_loop(&g->a, g->k, g->n_k);
        int wa = op_axis(&g->a, v.w->axis);
        char **before = inner >= 0 ? rows_begin(e, 1, &g->a.value, inner, wa >= 0 ? 1ull << g->a.loop[wa] : 0) : NULL;
        open_block(e, "for (%s %s = 0; %s < W; %s++)", e->itype, w, w, w);
        fill(e, &g->a, g->k, g->n_k, arena_printf(k->arena, "segment%d[(row*PITCH + %s)*%lld + %s]", s, w, (long long)KS, flat_text(e, g->k, g->n_k, "0")), 0);
        close_block(e);
        if (before) rows_end(e, before);
        close_block(e);
        line(e, "args->sgemm(101, 111, %d, m, CO, %lld, 1.0f, segment%d, %lld, %s, %lld, 1.0f, c_tile, CO);  /* segment %d */", x.transposed ? 112 : 111,
             (long long)KS, s, (long long)KS, x.text, (long long)x.ld, s);
    }
    Tile t = {k->n_n, k->loop_n};
    uint64_t pixel = 0;
    for (int i = 0; i < k->n_m; i++)
        if (is_role(v.h, k->m[i].role, false) || is_role(v.w, k->m[i].role, false)) pixel |= 1ull << k->loop_m[i];
    e->acc[0] = arena_printf(k->arena, "c_tile[(row*PITCH + %s)*CO + %s]", w, flat_text(e, k->nn, k->n_n, "0"));
    char **loads = tile_rows_begin(e, &t, pixel);
    line(e, "/* epilogue{{e}} */");
    tile_begin(e, &t);
    if (tile_wants_first(e)) {
        line(e, "{  /* the first pixel */");
        e->indent++;
        line(e, "const int row = 0, %s = 0;", w);
        if (h) line(e, "const %s %s = row0; (void)%s;", e->itype, h, h);
        tile_first(e, &t);
        close_block(e);
    }
    open_block(e, "for (int row = 0; row < rows; row++)");
    if (h) line(e, "const %s %s = row0 + row;", e->itype, h);
    open_block(e, "for (%s %s = 0; %s < W; %s++)", e->itype, w, w, w);
    tile_row(e, &t);
    close_block(e);
    close_block(e);
    if (h && k->tile_rows) line(e, "const %s %s = row0; (void)%s;", e->itype, h, h);
    tile_end(e, &t);
    if (loads) rows_end(e, loads);
    close_block(e);
}

/* Convolution weight gradient: taps among the result's axes; the sum over images and pixels is cut into a fixed number of parts. */
static void emit_taps_out(Emit *e)
{
    Kernel *k = e->k;
    Operand *a = &k->seg[0].a, *b = &k->seg[0].b;
    Conv v;
    geometry(k, &v);
    Axis ci[MAX_AXES], ks[2];
    int n_ci = 0, n_ks = 0;
    for (int i = 0; i < k->n_m; i++) {
        if (is_role(v.h, k->m[i].role, true) || is_role(v.w, k->m[i].role, true)) continue;
        ci[n_ci++] = k->m[i];
    }
    for (int pass = 0; pass < 2; pass++)             /* taps in the order h, w */
        for (int i = 0; i < k->n_m; i++)
            if (is_role(pass ? v.w : v.h, k->m[i].role, true)) ks[n_ks++] = k->m[i];
    for (int i = 0; i < k->n_k; i++)
        if (!is_role(v.h, k->k[i].role, false) && !is_role(v.w, k->k[i].role, false)) v.other_k[v.n_other++] = k->k[i];
    int64_t KI = axes_product(ci, n_ci), C = axes_product(k->nn, k->n_n), other = axes_product(v.other_k, v.n_other), taps = v.KH * v.KW;
    int64_t rows = rows_per_tile(&v, MAX(KI, C), v.H), tiles = (v.H + rows - 1) / rows, parts = MIN(other * tiles, 8);
    line(e, "/* %s */", k->reason);
    line(e, "enum { H = %lld, W = %lld, CI = %lld, CO = %lld, TAPS = %lld, ROWS = %lld, TILES = %lld, HALO = %lld, PITCH = %lld, TASKS = %lld, PARTS = %lld };",
         (long long)v.H, (long long)v.W, (long long)KI, (long long)C, (long long)taps, (long long)rows, (long long)tiles, (long long)v.halo,
         (long long)v.pitch, (long long)(other * tiles), (long long)parts);
    int64_t at = reserve(&e->shared_floats, parts * taps * KI * C);
    line(e, "float *const partial = (float *)args->shared + %lld;  /* [PARTS][TAPS][CI][CO] */", (long long)at);
    line(e, "#pragma omp parallel for schedule(dynamic) num_threads(args->threads)");
    open_block(e, "for (int part = 0; part < PARTS; part++)");
    line(e, "float *const scratch = (float *)(args->scratch + args->scratch_stride * (ect_u64)omp_get_thread_num());");
    at = reserve(&e->scratch_floats, (rows + v.halo) * v.pitch * KI);
    line(e, "float *const stage = scratch + %lld;   /* [ROWS + HALO][PITCH][CI]: operand a after its prologue{{a0}}, zero outside */", (long long)at);
    at = reserve(&e->scratch_floats, rows * v.pitch * C);
    line(e, "float *const dy = scratch + %lld;      /* [ROWS][PITCH][CO]: operand b{{b0}}, zero beyond W */", (long long)at);
    line(e, "const int first = part * TASKS / PARTS, last = (part + 1) * TASKS / PARTS;");
    open_block(e, "for (int task = first; task < last; task++)");
    decode(e, "(task / TILES)", v.other_k, v.n_other);
    line(e, "const int row0 = task %% TILES * ROWS, rows = H - row0 < ROWS ? H - row0 : ROWS;");
    fill_stage(e, a, &v, "row0", "rows + HALO", ci, n_ci);
    open_block(e, "for (int r = 0; r < rows; r++)");
    if (v.h) line(e, "const %s %s = row0 + r;", e->itype, loop_c_name(e, v.h->axis));
    if (v.pitch > v.W) line(e, "__builtin_memset(dy + (r*PITCH + W)*CO, 0, sizeof(float) * (PITCH - W)*CO);");
    const char *w = loop_c_name(e, v.w->axis);
    char **loads = open_columns(e, b, v.w, k->nn, k->n_n, 0, "W");
    fill(e, b, k->nn, k->n_n, arena_printf(k->arena, "dy[(r*PITCH + %s)*CO + %s]", w, flat_text(e, k->nn, k->n_n, "0")), 0);
    close_block(e);
    if (loads) rows_end(e, loads);
    close_block(e);
    line(e, "const int m = (rows - 1)*PITCH + W;");
    line(e, "const float add = task == first ? 0.0f : 1.0f;");
    for (int64_t kh = 0, t = 0; kh < v.KH; kh++)
        for (int64_t kw = 0; kw < v.KW; kw++, t++)
            line(e, "args->sgemm(101, 112, 111, CI, CO, m, 1.0f, stage + %lld, CI, dy, CO, add, partial + (part*TAPS + %lld)*CI*CO, CO);  /* tap %lld,%lld */",
                 (long long)tap_offset(&v, kh, kw, KI), (long long)t, (long long)kh, (long long)kw);
    close_block(e);
    close_block(e);
    line(e, "#pragma omp parallel for schedule(static) num_threads(args->threads)");
    open_block(e, "for (int row = 0; row < TAPS * CI; row++)");
    Axis x[MAX_AXES];
    int n = 0;
    for (int i = 0; i < n_ks; i++) x[n++] = ks[i];
    for (int i = 0; i < n_ci; i++) x[n++] = ci[i];
    decode(e, "row", x, n);
    line(e, "float sum[CO];");
    line(e, "for (int col = 0; col < CO; col++) sum[col] = partial[row*CO + col];");
    open_block(e, "for (int part = 1; part < PARTS; part++)");
    line(e, "for (int col = 0; col < CO; col++) sum[col] += partial[(part*TAPS*CI + row)*CO + col];");
    close_block(e);
    e->acc[0] = arena_printf(k->arena, "sum[%s]", flat_text(e, k->nn, k->n_n, "0"));
    Tile t = {k->n_n, k->loop_n};
    line(e, "/* epilogue{{e}} */");
    tile_row(e, &t);
    close_block(e);
}

void emit_contract(Emit *e)
{
    if (e->k->leaf == LEAF_GEMM) emit_gemm(e);
    else if (e->k->leaf == LEAF_TAPS_K) emit_taps_k(e);
    else emit_taps_out(e);
}
