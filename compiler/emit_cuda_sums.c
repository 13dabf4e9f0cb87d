/* CUDA dialect: kernels that only sum. A result is added up by one thread, or, of long sums with few results, by some threads of a block and a tree.
   Assumes kernel.h's REDUCE: outer loops, those of the sum, and a suffix of both. Sums are trees of a fixed shape. */
#include "compiler/emit_cuda_tile.h"

enum { SERIAL = 64, MANY = 1 << 16, BUSY = 1 << 15 };   /* BUSY: threads that keep a GPU at work */

/* Loops of a REDUCE: results (out, and kept ones of the suffix), and what is summed for each. */
typedef struct { int n_res, res[2 * MAX_AXES], n_kept, kept[MAX_AXES], n_sum, sum[2 * MAX_AXES]; } Sums;

static Sums sums_of(const Kernel *k)
{
    Sums s = {0};
    for (int i = 0; i < k->n_out; i++) s.res[s.n_res++] = k->out[i];
    for (int i = 0; i < k->n_red; i++) s.sum[s.n_sum++] = k->red[i];
    for (int i = 0; i < k->n_suf; i++) {
        if (k->suf_red[i]) s.sum[s.n_sum++] = k->suf[i];
        else { s.res[s.n_res++] = k->suf[i]; s.kept[s.n_kept++] = k->suf[i]; }
    }
    return s;
}

/* sum0 += value, or the largest, or squares around mean0. second: the turn of the squares. at: "[q]" where a thread has several results. */
static void accumulate(Emit *e, bool second, const char *at)
{
    Kernel *k = e->k;
    KRef values[8];
    int n = 0;
    for (int i = 0; i < k->n_acc; i++) if (!second || k->acc_op[i] == OP_sqdev) values[n++] = k->acc[i];
    char **keep = cuda_values(e, n, values);
    for (int i = 0; i < k->n_acc; i++) {
        const KExpr *x = &k->expr[k->acc[i]];
        if (second && k->acc_op[i] != OP_sqdev) continue;
        if (second) {
            line(e, "const float d%d = %s - mean%d;", i, operand_text(e, k->acc[i]), i);
            line(e, "sq%d = ect_fma(d%d, d%d, sq%d);", i, i, i, i);
        } else if (k->acc_op[i] == OP_rmax) line(e, "sum%d%s = ect_max(sum%d%s, %s);", i, at, i, at, expr_text(e, k->acc[i]));
        else if (x->kind == K_OP && x->op == OP_mul && !e->tmp[k->acc[i]] && k->expr[x->in[0]].kind != K_CONST && k->expr[x->in[1]].kind != K_CONST)
            line(e, "sum%d%s = ect_fma(%s, %s, sum%d%s);", i, at, expr_text(e, x->in[0]), expr_text(e, x->in[1]), i, at);
        else line(e, "sum%d%s += %s;", i, at, expr_text(e, k->acc[i]));
    }
    cuda_values_end(e, keep);
}

static bool squares(const Kernel *k)
{
    for (int i = 0; i < k->n_acc; i++) if (k->acc_op[i] == OP_sqdev) return true;
    return false;
}

static void begin_sums(Emit *e, bool second)
{
    for (int i = 0; i < e->k->n_acc; i++)
        if (second) { if (e->k->acc_op[i] == OP_sqdev) line(e, "float sq%d = 0.0f;", i); }
        else line(e, "float sum%d = %s;", i, e->k->acc_op[i] == OP_rmax ? "-__builtin_inff()" : "0.0f");
}

static void means(Emit *e, int64_t count)
{
    for (int i = 0; i < e->k->n_acc; i++)
        if (e->k->acc_op[i] == OP_sqdev) line(e, "const float mean%d = sum%d / %lld.0f;", i, i, (long long)count);
}

static void end_sums(Emit *e)
{
    for (int i = 0; i < e->k->n_acc; i++) e->acc[i] = arena_printf(e->k->arena, e->k->acc_op[i] == OP_sqdev ? "sq%d" : "sum%d", i);
}

/* Opens the loop over a thread's terms, each for `width` results: some of them at once, as many as there are registers for. */
static void open_terms(Emit *e, int64_t count, int64_t width)
{
    const int64_t at_once = e->k->n_draw ? 1 : width == 1 ? 8 : 16 / width;
    if (count > 4) line(e, "#pragma unroll %lld", (long long)at_once);
    open_block(e, "for (int term = 0; term < %lld; term++)", (long long)count);
}

/* A thread for each result: it sums by itself. */
static void serial_sums(Emit *e, CudaText *t, const Sums *s, int64_t results, int64_t count)
{
    Kernel *k = e->k;
    int64_t blocks = cuda_blocks(results);
    cuda_entry_begin(e, t, "", blocks, 1, 0);
    line(e, "/* a result a thread: it adds up %lld values */", (long long)count);
    cuda_open_pieces(e, results, blocks, s->n_res ? k->loop[s->res[0]].size : 0, s->n_res ? s->res[0] : -1);
    cuda_decode(e, "piece", s->n_res, s->res);
    for (int turn = 0; turn < (squares(k) ? 2 : 1); turn++) {
        begin_sums(e, turn);
        open_terms(e, count, 1);
        cuda_decode(e, "term", s->n_sum, s->sum);
        accumulate(e, turn, "");
        close_block(e);
        if (!turn) means(e, count);
    }
    end_sums(e);
    cuda_stores(e);
    close_block(e);
    cuda_entry_end(e);
}

/* A thread for each `width` results side by side: it loads and stores them 16 bytes at a time. */
static void vector_sums(Emit *e, CudaText *t, const CudaTile *tile, int64_t results, int64_t count, const Sums *s)
{
    Kernel *k = e->k;
    const int64_t width = tile->vector, total = results / width, blocks = cuda_blocks(total);
    t->at_once = pass_blocks(e, width);
    cuda_entry_begin(e, t, "", blocks, 1, 0);
    line(e, "/* %lld results a thread: each adds up %lld values */", (long long)width, (long long)count);
    cuda_open_pieces(e, total, blocks, s->n_res ? k->loop[s->res[0]].size : 0, s->n_res ? s->res[0] : -1);
    line(e, "const %s result = piece*%lld;", e->itype, (long long)width);
    tile_decode(e, tile, "result");
    for (int i = 0; i < k->n_acc; i++) {
        const bool max = k->acc_op[i] == OP_rmax;
        line(e, "float sum%d[%lld]%s;", i, (long long)width, max ? "" : " = {0}");
        if (max) line(e, "for (int q = 0; q < %lld; q++) sum%d[q] = -__builtin_inff();", (long long)width, i);
    }
    open_terms(e, count, width);
    cuda_decode(e, "term", s->n_sum, s->sum);
    const Several several = several_begin(e, tile, k->n_acc, k->acc);
    several_open(e, tile, &several);
    accumulate(e, false, "[q]");
    several_end(e, tile, &several, false);
    close_block(e);
    for (int i = 0; i < k->n_acc; i++) e->acc[i] = arena_printf(k->arena, "sum%d[q]", i);
    tile_elements(e, tile, "", "");
    close_block(e);
    cuda_entry_end(e);
}

/* Adds sum<i> (or sq<i>) over the LANES threads of a result in `part`; every thread gets the total. */
static void tree(Emit *e, const char *name, int i, bool rmax)
{
    line(e, "part[threadIdx.x] = %s%d;", name, i);
    line(e, "__syncthreads();");
    open_block(e, "for (int half = LANES / 2; half > 0; half /= 2)");
    if (rmax) line(e, "if (lane < half) part[threadIdx.x] = ect_max(part[threadIdx.x], part[threadIdx.x + half*KEPT]);");
    else line(e, "if (lane < half) part[threadIdx.x] += part[threadIdx.x + half*KEPT];");
    line(e, "__syncthreads();");
    close_block(e);
    line(e, "%s%d = part[kept];", name, i);
    line(e, "__syncthreads();");
}

/* A block for some kept results of one combination of the outer loops: LANES threads add up each, then a tree. */
static void block_sums(Emit *e, CudaText *t, const Sums *s, int64_t count)
{
    Kernel *k = e->k;
    int64_t kept = cuda_size(e, s->n_kept, s->kept), width = 1, outer = cuda_size(e, k->n_out, k->out);
    while (width < kept && width < 32) width *= kept > 8 ? 32 : 2;
    int64_t chunks = (kept + width - 1) / width;
    cuda_entry_begin(e, t, "", outer, chunks, 0);
    line(e, "enum { KEPT = %lld, LANES = %lld };  /* results of a block, threads that add up each */", (long long)width, (long long)(CUDA_THREADS / width));
    line(e, "__shared__ float part[%d];", CUDA_THREADS);
    line(e, "const int kept = threadIdx.x %% KEPT;");
    line(e, "const int lane = threadIdx.x / KEPT;");
    line(e, "const int result = blockIdx.y*KEPT + kept;");
    cuda_decode(e, "(int)blockIdx.x", k->n_out, k->out);
    if (k->n_out && k->loop[k->out[0]].bounded) line(e, "if (%s >= wanted) return;", e->loop_name[k->out[0]]);
    const bool ragged = width == 32 || kept % width != 0;
    cuda_decode(e, ragged ? arena_printf(k->arena, "(result < %lld ? result : 0)", (long long)kept) : "result", s->n_kept, s->kept);
    for (int turn = 0; turn < (squares(k) ? 2 : 1); turn++) {
        begin_sums(e, turn);
        open_block(e, "for (int term = lane; term < %lld; term += LANES)", (long long)count);
        cuda_decode(e, "term", s->n_sum, s->sum);
        accumulate(e, turn, "");
        close_block(e);
        for (int i = 0; i < k->n_acc; i++)
            if (!turn || k->acc_op[i] == OP_sqdev) tree(e, turn ? "sq" : "sum", i, k->acc_op[i] == OP_rmax);
        if (!turn) means(e, count);
    }
    end_sums(e);
    if (ragged) open_block(e, "if (lane == 0 && result < %lld)", (long long)kept);
    else open_block(e, "if (lane == 0)");
    cuda_stores(e);
    close_block(e);
    cuda_entry_end(e);
}

void cuda_reduce(Emit *e, CudaText *t)
{
    Sums s = sums_of(e->k);
    int64_t results = cuda_size(e, s.n_res, s.res), count = cuda_size(e, s.n_sum, s.sum);
    CudaTile tile = {.n_col = s.n_res, .col = s.res, .columns = results, .width = results};
    tile.vector = squares(e->k) ? 1 : tile_vector(e, &tile);
    if (tile.vector > 1 && results / tile.vector >= BUSY) vector_sums(e, t, &tile, results, count, &s);
    else if (count <= SERIAL || results >= MANY) serial_sums(e, t, &s, results, count);
    else block_sums(e, t, &s, count);
}

