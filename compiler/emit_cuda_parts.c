/* CUDA dialect: the second entry of a sum in parts, that adds them up in order and goes on as the end of a product does.
   Assumes parts [part][batch][row][column] in the workspace. */
#include "compiler/emit_cuda_tile.h"

void sum_parts(Emit *e, CudaText *t, const Shape *s, int64_t parts)
{
    Kernel *k = e->k;
    CudaTile tile = {.n_col = k->n_n, .col = k->loop_n};
    tile.vector = sum_vector(e, &tile);
    const int64_t results = s->B * s->M * s->N, width = tile.vector, pieces = results / width;
    sb_putc(e->b, '\n');
    int64_t blocks = MIN((pieces + CUDA_THREADS - 1) / CUDA_THREADS, 1 << 14);
    cuda_entry_begin(e, t, "_sum", blocks, 1, 0);
    line(e, "/* the parts in order%s; epilogue{{e}} */", width > 1 ? ", 4 results a thread" : "");
    line(e, "const float *const partial = (const float *)args.workspace + (ect_i64)blockIdx.z*%lld;", (long long)(parts * results));
    open_block(e, "for (ect_i64 piece = (ect_i64)blockIdx.x*%d + threadIdx.x; piece < %lld; piece += %lld)", CUDA_THREADS, (long long)pieces, (long long)(blocks * CUDA_THREADS));
    if (width > 1) {
        line(e, "const ect_i64 at = piece*4;");
        line(e, "float total[4];");
        line(e, "ect_load4(total, &partial[at]);");
        line(e, "#pragma unroll 8");                 /* of more loads at once there are no registers */
        open_block(e, "for (int split = 1; split < %lld; split++)", (long long)parts);
        line(e, "float more[4];");
        line(e, "ect_load4(more, &partial[(ect_i64)split*%lld + at]);", (long long)results);
        line(e, "for (int q = 0; q < 4; q++) total[q] += more[q];");
        close_block(e);
    } else {
        line(e, "const ect_i64 at = piece;");
        line(e, "float total = partial[at];");
        line(e, "for (int split = 1; split < %lld; split++) total += partial[(ect_i64)split*%lld + at];", (long long)parts, (long long)results);
    }
    line(e, "const int batch = (int)(at / %lld);", (long long)(s->M * s->N));
    line(e, "const int row = (int)(at / %lld %% %lld);", (long long)s->N, (long long)s->M);
    line(e, "const int col = (int)(at %% %lld);", (long long)s->N);
    cuda_decode(e, "batch", k->n_b, k->loop_b);
    cuda_decode(e, "row", k->n_m, k->loop_m);
    tile_decode(e, &tile, "col");
    e->acc[0] = width > 1 ? "total[q]" : "total";
    tile_elements(e, &tile, "", "");
    close_block(e);
    cuda_entry_end(e);
}
