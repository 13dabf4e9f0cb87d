/* C[70][50] = A[70][37] B[37][50] in f32: tiles of 32 x 32, 16 of k at a time in shared memory, 2 x 2 a thread. */
struct tile_args { const EctNow *now; void *workspace; void *buf[3]; };
extern "C" __global__ void __launch_bounds__(256) tile(const __grid_constant__ tile_args args)
{
    __shared__ float a[16][33];
    __shared__ float b[16][32];
    const float *A = (const float *)args.buf[0], *B = (const float *)args.buf[1];
    float *C = (float *)args.buf[2];
    const int t = (int)threadIdx.x, tx = t % 16, ty = t / 16, m0 = (int)blockIdx.y * 32, n0 = (int)blockIdx.x * 32;
    float c[2][2] = {{0.0f, 0.0f}, {0.0f, 0.0f}};
    for (int k0 = 0; k0 < 37; k0 += 16) {
        for (int e = t; e < 512; e += 256) {
            const int k = e % 16, m = e / 16;
            a[k][m] = m0 + m < 70 && k0 + k < 37 ? A[(m0 + m) * 37 + k0 + k] : 0.0f;
        }
        for (int e = t; e < 512; e += 256) {
            const int n = e % 32, k = e / 32;
            b[k][n] = n0 + n < 50 && k0 + k < 37 ? B[(k0 + k) * 50 + n0 + n] : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < 16; k++)
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 2; j++) c[i][j] = ect_fma(a[k][ty * 2 + i], b[k][tx * 2 + j], c[i][j]);
        __syncthreads();
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            if (m0 + ty * 2 + i < 70 && n0 + tx * 2 + j < 50) C[(m0 + ty * 2 + i) * 50 + n0 + tx * 2 + j] = c[i][j];
}
