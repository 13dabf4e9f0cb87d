/* y[j] = sum over 7 rows of x[i][j], 64 columns: warp 0 brings rows into a ring of two, warps 1 and 2 add them up; named barriers 1, 2 say that a place is full, 3, 4
   that it is free. Then half warps swap halves by themselves, several times over. */
struct ring_args { const EctNow *now; void *workspace; void *buf[3]; };
extern "C" __global__ void __launch_bounds__(96) ring(const __grid_constant__ ring_args args)
{
    __shared__ float place[2][64];
    __shared__ float swap[64];
    const float *x = (const float *)args.buf[0];
    float *y = (float *)args.buf[1], *z = (float *)args.buf[2];
    const int t = (int)threadIdx.x, lane = t % 32;
    if (t < 32) {
        for (int s = 0; s < 7; s++) {
            if (s >= 2) ect_bar_sync(3 + s % 2, 96);
            place[s % 2][t] = x[s * 64 + t];
            place[s % 2][t + 32] = x[s * 64 + t + 32];
            ect_bar_arrive(1 + s % 2, 96);
        }
        return;
    }
    float sum = 0.0f;
    for (int s = 0; s < 7; s++) {
        ect_bar_sync(1 + s % 2, 96);
        sum += place[s % 2][t - 32];
        if (s < 5) ect_bar_arrive(3 + s % 2, 96);
    }
    y[t - 32] = sum;
    const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    for (int k = 0; k < (lane < 16 ? 3 : 6); k++) {                  /* the halves need not keep step */
        swap[t - 32] = sum;
        __syncwarp(half);
        sum = swap[(t - 32) ^ 15];
        __syncwarp(half);
    }
    z[t - 32] = sum;
}
