/* y = 2 x + 1 of 2000 numbers, four at a time; a copy of x as words; sums of neighbours in pairs. */
struct vector_args { const EctNow *now; void *workspace; void *buf[4]; };
extern "C" __global__ void __launch_bounds__(64) vector(const __grid_constant__ vector_args args)
{
    const float *x = (const float *)args.buf[0];
    float *y = (float *)args.buf[1], *copy = (float *)args.buf[2], *pairs = (float *)args.buf[3];
    for (int i = 4 * (int)(blockIdx.x * 64 + threadIdx.x); i < 2000; i += 4 * 64 * 3) {
        float4 v = *(const float4 *)(x + i);
        v.x += v.x + 1.0f;
        v.y += v.y + 1.0f;
        *(float4 *)(y + i) = make_float4(v.x, v.y, 2.0f * v.z + 1.0f, 2.0f * v.w + 1.0f);
        *(uint4 *)(copy + i) = *(const uint4 *)(x + i);
        const float4 w = __ldg((const float4 *)(x + i));
        float2 p = make_float2(w.x + w.y, w.z + w.w);
        *(float2 *)(pairs + i / 2) = p;
    }
}
