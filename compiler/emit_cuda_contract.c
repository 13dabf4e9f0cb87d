/* CUDA dialect: contractions as one structure: a block computes rows x columns of the result in tiles, its operands staged in shared memory with their
   prologue (emit_cuda_stage.c), sums over all K segments in registers (emit_cuda_leaf.c), then the tile in shared memory and its end (emit_cuda_tile.c). */
#include "compiler/emit_cuda_contract.h"

enum { SHARED_STATIC = 48 << 10, ROW_TILE = 64 << 10 };

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
    Stage b = {"b_now", stage_contiguous(e, &g->b, k->nn, k->n_n) || !s->mma, s->BN, s->BK};
    line(e, "int a_row[%lld];  /* where the thread's rows begin in the stage */", (long long)rows);
    line(e, "#pragma unroll");
    line(e, "for (int i_m = 0; i_m < %lld; i_m++) a_row[i_m] = %s;", (long long)rows,
         stage_halo_row(e, s, pairs ? "row_c + i_m*8 + lane_c / 4" : tf32 ? "row_c + i_m*16 + lane_c / 4" : s->mma ? "row_c + i_m*16 + lane_c % 16" : arena_printf(k->arena, "row_c*%lld + i_m", (long long)rows)));
    open_block(e, "for (int k0 = 0; k0 < %lld; k0 += %lld)", (long long)h->depth, (long long)s->BK);
    line(e, "__syncthreads();  /* nobody reads the stage any more */");
    stage_fill_halo(e, s);
    line(e, "#pragma unroll 1");
    open_block(e, "for (int tap = 0; tap < %lld; tap++)", (long long)(kh * kw));
    if (h->h) line(e, "const int %s = tap / %lld;", loop_c_name(e, h->h->kaxis), (long long)kw);
    line(e, "const int %s = tap %% %lld;", loop_c_name(e, h->w->kaxis), (long long)kw);
    const char *pixel = tap_step(e, h->w, h->left_w, pitch);
    line(e, "const int tap_at = %s%s%s;  /* the tap's place in the stage */", h->h ? tap_step(e, h->h, h->left_h, h->SW * pitch) : "", h->h ? " + " : "", pixel);
    take_turn(e, s, false);
    stage_fill(e, s, g, 0, 'b', &b, h->n_inner, h->inner);
    line(e, "__syncthreads();");
    leaf_multiply(e, s, NULL, &b);
    close_block(e);
    close_block(e);
    if (k->n_seg > 1) line(e, "__syncthreads();");
}

static void segments(Emit *e, const Shape *s)
{
    Kernel *k = e->k;
    leaf_declare(e, s);
    line(e, "int turn = 0;  /* of two stages one is filled, while the other may still be read */");
    if (s->halo.on) halo_segment(e, s);
    for (int q = s->halo.on; q < k->n_seg; q++) {
        const Segment2 *g = &k->seg[q];
        int64_t K = axes_product(g->k, g->n_k);
        Stage a = {"a_now", stage_contiguous(e, &g->a, k->m, k->n_m) || !s->mma, s->BM, s->BK}, b = {"b_now", stage_contiguous(e, &g->b, k->nn, k->n_n) || !s->mma, s->BN, s->BK};
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
    leaf_place(e, s);
    e->acc[0] = arena_printf(k->arena, "c_tile[local*%lld + %s]", (long long)s->CN, s->whole_rows ? "col" : arena_printf(k->arena, "threadIdx.x %% %lld", (long long)s->BN));
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
    if (s->per_tap) line(e, "/* operand a is staged for each tap: %s */", s->per_tap);
    line(e, "/* %lld x %lld x %lld%s%s, tiles of %lld x %lld, %s */", (long long)s->M, (long long)s->N, (long long)s->K0, s->B > 1 ? " in a batch" : "",
         k->n_seg > 1 ? arena_printf(k->arena, " and %d segments", k->n_seg - 1) : "", (long long)s->BM, (long long)s->BN, s->mma ? arena_printf(k->arena, "mma.sync %s", number_info[s->number].name) : "fused multiply-adds");
    t->entry[entry].shared = declare_shared(e, s, true);
    sb_write(e->b, body.s, body.len);
    sb_free(&body);
    cuda_entry_end(e);
}

void sum_parts(Emit *e, CudaText *t, const Shape *s, int64_t parts)
{
    Kernel *k = e->k;
    int64_t results = s->B * s->M * s->N;
    sb_putc(e->b, '\n');
    int64_t blocks = MIN((results + CUDA_THREADS - 1) / CUDA_THREADS, 1 << 14);
    cuda_entry_begin(e, t, "_sum", blocks, 1, 0);
    line(e, "/* the parts in order; epilogue{{e}} */");
    line(e, "const float *const partial = (const float *)args.workspace + (ect_i64)blockIdx.z*%lld;", (long long)(parts * results));
    open_block(e, "for (ect_i64 piece = (ect_i64)blockIdx.x*%d + threadIdx.x; piece < %lld; piece += %lld)", CUDA_THREADS, (long long)results, (long long)(blocks * CUDA_THREADS));
    line(e, "float total = partial[piece];");
    line(e, "for (int split = 1; split < %lld; split++) total += partial[split*%lldll + piece];", (long long)parts, (long long)results);
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
    if (s.splits > 1) split_sum(e, t, &s);
    else whole_sum(e, t, &s);
}
