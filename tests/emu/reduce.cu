/* Sum and largest of each of 5 rows of 3000 numbers: the first entry makes partial results of 3 blocks a row in the workspace, the second adds them. */
struct reduce_args { const EctNow *now; void *workspace; void *buf[3]; };
ECT_INLINE float warp_sum(float v)
{
    for (int d = 16; d; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}
ECT_INLINE float warp_max(float v)
{
    for (int d = 16; d; d /= 2) v = ect_max(v, __shfl_down_sync(0xffffffffu, v, d));
    return __shfl_sync(0xffffffffu, v, 0);
}
extern "C" __global__ void __launch_bounds__(128) reduce(const __grid_constant__ reduce_args args)
{
    __shared__ float sums[4];
    __shared__ float tops[4];
    const float *x = (const float *)args.buf[0] + (ect_i64)blockIdx.y * 3000 + blockIdx.x * 1000;
    float *part = (float *)args.workspace;
    const int t = (int)threadIdx.x;
    float sum = 0.0f, top = -__builtin_inff();
    for (int i = t; i < 1000; i += 128) {
        sum += x[i];
        top = ect_max(top, x[i]);
    }
    sum = warp_sum(sum);
    top = warp_max(top);
    if (t % 32 == 0) {
        sums[t / 32] = sum;
        tops[t / 32] = top;
    }
    __syncthreads();
    if (t == 0) {
        for (int w = 1; w < 4; w++) {
            sum += sums[w];
            top = ect_max(top, tops[w]);
        }
        part[2 * (blockIdx.y * 3 + blockIdx.x)] = sum;
        part[2 * (blockIdx.y * 3 + blockIdx.x) + 1] = top;
    }
}
extern "C" __global__ void __launch_bounds__(32) reduce_finish(const __grid_constant__ reduce_args args)
{
    const float *part = (const float *)args.workspace;
    const int row = (int)threadIdx.x;
    if (row < 5) {
        float sum = 0.0f, top = -__builtin_inff();
        for (int i = 0; i < 3; i++) {
            sum += part[2 * (row * 3 + i)];
            top = ect_max(top, part[2 * (row * 3 + i) + 1]);
        }
        ((float *)args.buf[1])[row] = sum;
        ((float *)args.buf[2])[row] = top;
    }
}
