/* y[j] = sum over 9 rows i of w[i] x[i][j], 248 columns: rows come by asynchronous copies, one ahead, into two buffers. */
struct async_args { const EctNow *now; void *workspace; void *buf[3]; };
extern "C" __global__ void __launch_bounds__(64) async(const __grid_constant__ async_args args)
{
    __shared__ __align__(16) float rows[2][256];
    __shared__ float weights[2];
    const float *x = (const float *)args.buf[0], *w = (const float *)args.buf[1];
    float *y = (float *)args.buf[2];
    const int t = (int)threadIdx.x;
    float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int s = 0; s < 10; s++) {
        if (s < 9) {
            ect_cp_async16(&rows[s % 2][4 * t], x + s * 248 + 4 * t, t < 62 ? 16 : 0);
            if (t == 5) ect_cp_async4(&weights[s % 2], w + s, 4);
        }
        ect_cp_async_commit();
        if (s == 0) continue;
        ect_cp_async_wait(1);
        __syncthreads();
        for (int c = 0; c < 4; c++) sum[c] = ect_fma(weights[(s - 1) % 2], rows[(s - 1) % 2][t + 64 * c], sum[c]);
        __syncthreads();
    }
    for (int c = 0; c < 4; c++)
        if (t + 64 * c < 248) y[t + 64 * c] = sum[c];
}
