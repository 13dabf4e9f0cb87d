/* CUDA dialect: the leaf of a contraction, what multiplies two stages: fused multiply-adds in f32, or mma.sync where both operands are rounded to the same precision.
   Assumes stages that are filled and a barrier since. */
#include "compiler/emit_cuda_contract.h"

/* ---- leaves ---- */
void leaf_declare(Emit *e, const Shape *s)
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
bool halo_rows_whole(const Shape *s) { return s->halo.W % 16 == 0; }

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
void leaf_multiply(Emit *e, const Shape *s, const Stage *a, const Stage *b)
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
void leaf_place(Emit *e, const Shape *s)
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

void leaf_each(Emit *e, const Shape *s, LeafPut put)
{
    Kernel *k = e->k;
    if (s->mma) {
        int64_t fm = s->BM / s->warps_m / 16, fn = s->BN / s->warps_n / 8;
        line(e, "#pragma unroll");
        open_block(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)fm);
        line(e, "#pragma unroll");
        open_block(e, "for (int i_n = 0; i_n < %lld; i_n++)", (long long)fn);
        line(e, "#pragma unroll");
        open_block(e, "for (int half = 0; half < 2; half++)");
        put(e, s, "row_c + i_m*16 + lane_c / 4 + half*8", "col_c + i_n*8 + lane_c % 4 * 2", "acc[i_m][i_n].x + half*2", 2);
        close_block(e);
        close_block(e);
        close_block(e);
        return;
    }
    int64_t tm = s->BM * s->BN / CUDA_THREADS / TN;
    line(e, "#pragma unroll");
    open_block(e, "for (int i_m = 0; i_m < %lld; i_m++)", (long long)tm);
    put(e, s, arena_printf(k->arena, "row_c*%lld + i_m", (long long)tm), arena_printf(k->arena, "col_c*%d", TN), "acc[i_m]", TN);
    close_block(e);
}
