/* y = scalar a * x + step, rows of 1000; a bias for each column; the second instance works on buffers of its own. */
struct map_args { const EctNow *now; void *workspace; void *buf[6]; };
extern "C" __global__ void __launch_bounds__(256) map(const __grid_constant__ map_args args)
{
    const float *x = (const float *)args.buf[3 * blockIdx.z];
    const float *bias = (const float *)args.buf[3 * blockIdx.z + 1];
    float *y = (float *)args.buf[3 * blockIdx.z + 2];
    const float a = args.now->scalar[1], step = (float)args.now->step;
    for (int i = (int)(blockIdx.x * 256 + threadIdx.x); i < 7000; i += (int)gridDim.x * 256)
        y[i] = ect_fma(a, ect_tanh(x[i]), step) + bias[i % 1000];
}
