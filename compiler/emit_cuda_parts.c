/* CUDA dialect: the second entry of a sum in parts, that adds them up in order and goes on as the end of a product does.
   Assumes parts [part][batch][row][column] in the workspace. */
#include "compiler/emit_cuda_contract.h"

/* One result of sum_parts, or several: its epilogue. */
static void sum_epilogue(Emit *e, int64_t width, int loop)
{
    Kernel *k = e->k;
    KRef values[16];
    for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
    const char *name = loop >= 0 ? e->loop_name[loop] : NULL, *first = width > 1 ? arena_printf(k->arena, "%s_0", name) : NULL;
    e->acc[0] = width > 1 ? "total[q]" : "total";
    if (width > 1) e->loop_name[loop] = first;
    cuda_decode(e, "col", k->n_n, k->loop_n);
    char **before = cuda_values(e, 0, NULL);
    for (int i = 0; i < k->n_store && width > 1; i++) vector_loads(e, values[i], loop, width, NULL);
    for (int i = 0; i < k->n_store && width > 1; i++) line(e, "float r%d[%lld];", i, (long long)width);
    if (width > 1) {
        e->loop_name[loop] = name;
        line(e, "#pragma unroll");
        open_block(e, "for (int q = 0; q < %lld; q++)", (long long)width);
        line(e, "const %s %s = %s + q;", e->itype, name, first);
    }
    char **keep = cuda_values(e, k->n_store, values);
    for (int i = 0; i < k->n_store; i++)
        if (width > 1) line(e, "r%d[q] = %s;", i, expr_text(e, values[i]));
        else print_store(e, &k->store[i], expr_text(e, values[i]));
    cuda_values_end(e, keep);
    if (width > 1) {
        close_block(e);
        e->loop_name[loop] = first;
        for (int i = 0; i < k->n_store; i++) cuda_store_vector(e, &k->store[i], width, arena_printf(k->arena, "r%d", i));
        e->loop_name[loop] = name;
    }
    cuda_values_end(e, before);
}

void sum_parts(Emit *e, CudaText *t, const Shape *s, int64_t parts)
{
    Kernel *k = e->k;
    int loop = -1;
    for (int i = 0; i < k->n_n; i++) if (k->loop[k->loop_n[i]].size > 1) loop = k->loop_n[i];
    const int64_t results = s->B * s->M * s->N, width = cuda_sum_vector(e, loop), pieces = results / width;
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
    sum_epilogue(e, width, loop);
    close_block(e);
    cuda_entry_end(e);
}
