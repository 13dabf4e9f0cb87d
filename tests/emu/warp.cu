/* Three warps of a block: warp 0 hands 32 numbers to warp 1 through barrier 1, which turns their order; warp 2 sums by halves in shared memory, votes, and
   shifts by shuffles. y: 32 turned; 1 sum; 1 number of positive ones; 32 shifted; 96 neighbours out of the common array. */
struct warp_args { const EctNow *now; void *workspace; void *buf[2]; };
extern "C" __global__ void __launch_bounds__(96) warp(const __grid_constant__ warp_args args)
{
    __shared__ float handed[32];
    __shared__ float halves[32];
    __shared__ float common[96];
    const float *x = (const float *)args.buf[0] + blockIdx.x * 96;
    float *y = (float *)args.buf[1] + blockIdx.x * 162;
    const int t = (int)threadIdx.x, lane = t % 32;
    if (t < 32) {
        handed[lane] = x[t];
        ect_bar_sync(1, 64);
    } else if (t < 64) {
        ect_bar_sync(1, 64);
        y[lane] = handed[31 - lane];
    } else {
        const float v = x[t];
        halves[lane] = v;
        for (int d = 16; d; d /= 2) {
            __syncwarp();
            float other = 0.0f;
            if (lane < d) other = halves[lane + d];
            if (lane < d) halves[lane] += other;
        }
        if (lane == 0) y[32] = halves[0];
        const unsigned ballot = __ballot_sync(0xffffffffu, v > 0.0f);
        int count = 0;
        for (int l = 0; l < 32; l++) count += (int)(ballot >> l & 1);
        if (lane == 0) y[33] = (float)count;
        y[34 + lane] = lane < 16 ? __shfl_up_sync(0x0000ffffu, v, 1, 16) : __shfl_sync(0xffff0000u, v, lane ^ 3);
    }
    common[t] = x[t];
    __syncthreads();
    y[66 + t] = common[t == 95 ? 0 : t + 1];
}
