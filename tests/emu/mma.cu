/* C[64][48] = A B, k = 96, bf16 operands: mma tells A as [m][k] and B as [k][n] in memory, mma_turned A as [k][m] and B as [n][k]. A block of two warps makes
   32 rows and 16 columns; the stages of k wait in dynamic shared memory. */
struct mma_args { const EctNow *now; void *workspace; void *buf[3]; };
ECT_INLINE void store_tile(float *c, const ect_frag_c *d, int row, int column)
{
    const int lane = (int)threadIdx.x % 32;
    for (int h = 0; h < 2; h++)
        for (int e = 0; e < 4; e++) c[(row + lane / 4 + 8 * (e / 2)) * 48 + column + 8 * h + 2 * (lane % 4) + e % 2] = d[h].x[e];
}
extern "C" __global__ void __launch_bounds__(64) mma(const __grid_constant__ mma_args args)
{
    extern __shared__ __align__(16) ect_bf16_t stage[];
    ect_bf16_t *a = stage, *b = stage + 32 * 24;                     /* rows of 24: 16 and 8 that spread them over the banks */
    const ect_bf16_t *A = (const ect_bf16_t *)args.buf[0], *B = (const ect_bf16_t *)args.buf[1];
    const int t = (int)threadIdx.x, lane = t % 32, warp = t / 32, m0 = (int)blockIdx.y * 32, n0 = (int)blockIdx.x * 16;
    ect_frag_c d[2] = {{{0.0f, 0.0f, 0.0f, 0.0f}}, {{0.0f, 0.0f, 0.0f, 0.0f}}};
    for (int k0 = 0; k0 < 96; k0 += 16) {
        ect_cp_async16(a + t / 2 * 24 + t % 2 * 8, A + (m0 + t / 2) * 96 + k0 + t % 2 * 8, 16);
        if (t < 32) ect_cp_async16(b + t / 2 * 24 + t % 2 * 8, B + (k0 + t / 2) * 48 + n0 + t % 2 * 8, 16);
        ect_cp_async_commit();
        ect_cp_async_wait(0);
        __syncthreads();
        ect_frag_b fb[2];
        const ect_frag_a fa = ect_load_a(a + (warp * 16 + lane % 16) * 24 + lane / 16 * 8);
        ect_load_b2_trans(fb, b + lane % 16 * 24 + lane / 16 * 8);
        ect_mma(&d[0], fa, fb[0]);
        ect_mma(&d[1], fa, fb[1]);
        __syncthreads();
    }
    store_tile((float *)args.buf[2], d, m0 + warp * 16, n0);
}
extern "C" __global__ void __launch_bounds__(64) mma_turned(const __grid_constant__ mma_args args)
{
    extern __shared__ __align__(16) ect_bf16_t stage[];
    ect_bf16_t *a = stage, *b = stage + 16 * 40;                     /* a: 16 rows of k, 32 + 8 wide; b: 16 columns, 16 + 8 of k */
    const ect_bf16_t *A = (const ect_bf16_t *)args.buf[0], *B = (const ect_bf16_t *)args.buf[1];
    const int t = (int)threadIdx.x, lane = t % 32, warp = t / 32, m0 = (int)blockIdx.y * 32, n0 = (int)blockIdx.x * 16;
    ect_frag_c d[2] = {{{0.0f, 0.0f, 0.0f, 0.0f}}, {{0.0f, 0.0f, 0.0f, 0.0f}}};
    for (int k0 = 0; k0 < 96; k0 += 16) {
        ect_cp_async16(a + t / 4 * 40 + t % 4 * 8, A + (k0 + t / 4) * 64 + m0 + t % 4 * 8, 16);
        if (t < 32) ect_cp_async16(b + t / 2 * 24 + t % 2 * 8, B + (n0 + t / 2) * 96 + k0 + t % 2 * 8, 16);
        ect_cp_async_commit();
        ect_cp_async_wait(0);
        __syncthreads();
        ect_frag_b fb[2];
        const ect_frag_a fa = ect_load_a_trans(a + (lane % 8 + lane / 16 * 8) * 40 + warp * 16 + lane / 8 % 2 * 8);
        ect_load_b2(fb, b + (lane % 8 + lane / 16 * 8) * 24 + lane / 8 % 2 * 8);
        ect_mma(&d[0], fa, fb[0]);
        ect_mma(&d[1], fa, fb[1]);
        __syncthreads();
    }
    store_tile((float *)args.buf[2], d, m0 + warp * 16, n0);
}
