/* What generated C kernels start with: the argument block, element functions, random numbers.
   Included by runtime/rng.c and device_cpu.c too, embedded in ectc, copied to plan/kernels/prelude.h. No other header is
   needed. */
#ifndef ECT_KERNEL_PRELUDE_H
#define ECT_KERNEL_PRELUDE_H
typedef unsigned int ect_u32;
typedef unsigned long long ect_u64;
typedef long long ect_i64;
typedef unsigned short ect_bf16_t, ect_f16_t;
#define ECT_INLINE static inline __attribute__((always_inline, unused))
#define ECT_UNROLL(n) ECT_PRAGMA(GCC unroll n)
#define ECT_PRAGMA(words) _Pragma(#words)

/* Arguments of every kernel: `void k017_...(const EctArgs *a)`. */
typedef struct {
    float *const *buf;              /* the launch's buffers, in the order of its "buffers" list in plan.json */
    const float *scalar;            /* run-time scalars: all slots of the plan */
    const ect_u64 *key;             /* per draw of the launch, in the order of its "draws" list: Philox key */
    const float *const *draw;       /* per draw: replaced values [n][element], used when compiled with -DECT_DRAW_INPUTS=1 */
    ect_u64 step, sample0;          /* step counter; number of row 0 in the global batch */
    char *scratch; ect_u64 scratch_stride;   /* thread t owns scratch + t * stride; sizes as the plan says */
    char *shared;                   /* scratch shared by the threads of a launch */
    int threads, instances;         /* instances: a launch of several equal kernels has the buffers of each, one after another */
    void (*sgemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                  int); /* cblas_sgemm, single-threaded */
} EctArgs;

/* From here to the end mark the text is that of CUDA kernels too (cuda_prelude.cuh). */
/* @begin@ */
/* ---- bits ---- */
ECT_INLINE float ect_from_bits(ect_u32 u) { union { ect_u32 u; float f; } v; v.u = u; return v.f; }
ECT_INLINE ect_u32 ect_bits(float f) { union { ect_u32 u; float f; } v; v.f = f; return v.u; }

/* ---- Philox4x32-10, docs/random.md ---- */
ECT_INLINE ect_u32 ect_mulhi(ect_u32 a, ect_u32 b) { return (ect_u32)(((ect_u64)a * b) >> 32); }
ECT_INLINE void ect_philox(ect_u64 key, ect_u64 step, ect_u64 sample, ect_u32 block, ect_u32 x[4])
{
    ect_u32 k0 = (ect_u32)key, k1 = (ect_u32)(key >> 32);
    ect_u32 c0 = block, c1 = (ect_u32)sample, c2 = (ect_u32)step;
    ect_u32 c3 = ((ect_u32)(sample >> 32) & 0xffffu) | (((ect_u32)(step >> 32) & 0xffffu) << 16);
    ECT_UNROLL(10)          /* or loops over blocks do not vectorise */
    for (int i = 0; i < 10; i++) {
        ect_u32 n0 = ect_mulhi(0xCD9E8D57u, c2) ^ c1 ^ k0, n2 = ect_mulhi(0xD2511F53u, c0) ^ c3 ^ k1;
        c1 = 0xCD9E8D57u * c2; c3 = 0xD2511F53u * c0; c0 = n0; c2 = n2;
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
    x[0] = c0; x[1] = c1; x[2] = c2; x[3] = c3;
}
ECT_INLINE float ect_uniform_bits(ect_u32 x) { return (float)(x >> 8) * 0x1p-24f; }
/* log of u in [2^-24, 1]: u = 2^e m, m in [sqrt(1/2), sqrt(2)), log(1 + f) = f - f^2/2 + f^3 p(f), explicit fma; below 2 ulp. */
ECT_INLINE float ect_rng_log(float u)
{
    ect_u32 b = ect_bits(u), adj = b - 0x3f3504f3u;
    int e = (int)(adj >> 23) - (adj & 0x80000000u ? 512 : 0);
    float m = ect_from_bits((adj & 0x007fffffu) + 0x3f3504f3u);
    float f = m - 1.0f, s = f * f, p = 0x1.1457cp-4f;
    p = __builtin_fmaf(p, f, -0x1.de3c3p-4f); p = __builtin_fmaf(p, f, 0x1.e6f06ep-4f);
    p = __builtin_fmaf(p, f, -0x1.fc2204p-4f); p = __builtin_fmaf(p, f, 0x1.233768p-3f);
    p = __builtin_fmaf(p, f, -0x1.555c4ep-3f); p = __builtin_fmaf(p, f, 0x1.99a4b6p-3f);
    p = __builtin_fmaf(p, f, -0x1.000006p-2f); p = __builtin_fmaf(p, f, 0x1.555548p-2f);
    float y = __builtin_fmaf(p * s, f, (float)e * -0x1.bd0106p-13f);      /* log 2 = 0x1.63p-1 - 0x1.bd0106p-13 */
    y = __builtin_fmaf(-0.5f, s, y);
    return __builtin_fmaf((float)e, 0x1.63p-1f, f + y);
}
/* Box-Muller pair from two words. */
ECT_INLINE void ect_normal_pair(ect_u32 x0, ect_u32 x1, float *z0, float *z1)
{
    float u = (float)((x0 >> 8) + 1u) * 0x1p-24f;
    float r = __builtin_sqrtf(-2.0f * ect_rng_log(u));
    int k = (int)(x1 >> 8), q = (k + (1 << 21)) >> 22;            /* quarter turns */
    float t = (float)(k - (q << 22)) * 0x1.921fb6p-22f, s = t * t;  /* 2 pi / 2^24 */
    float sn = __builtin_fmaf(__builtin_fmaf(-0x1.994e5ap-13f, s, 0x1.11076p-7f), s, -0x1.555546p-3f);
    sn = __builtin_fmaf(sn * s, t, t);
    float cs = __builtin_fmaf(__builtin_fmaf(0x1.9a020ap-16f, s, -0x1.6c0c8ap-10f), s, 0x1.55554ap-5f);
    cs = __builtin_fmaf(cs, s * s, __builtin_fmaf(-0.5f, s, 1.0f));
    float c = (q & 1) ? sn : cs, d = (q & 1) ? cs : sn;
    if ((q + 1) & 2) c = -c;
    if (q & 2) d = -d;
    *z0 = r * c; *z1 = r * d;
}
ECT_INLINE float ect_draw_normal(ect_u64 key, ect_u64 step, ect_u64 sample, ect_u64 e)
{
    ect_u32 x[4]; float z0, z1;
    ect_philox(key, step, sample, (ect_u32)(e >> 2), x);
    ect_normal_pair(e & 2 ? x[2] : x[0], e & 2 ? x[3] : x[1], &z0, &z1);
    return e & 1 ? z1 : z0;
}
ECT_INLINE float ect_draw_uniform(ect_u64 key, ect_u64 step, ect_u64 sample, ect_u64 e)
{
    ect_u32 x[4]; ect_philox(key, step, sample, (ect_u32)(e >> 2), x);
    return ect_uniform_bits(e & 2 ? (e & 1 ? x[3] : x[2]) : (e & 1 ? x[1] : x[0]));
}
/* threshold = (u64)(p * 2^32) */
ECT_INLINE float ect_draw_bernoulli(ect_u64 threshold, ect_u64 key, ect_u64 step, ect_u64 sample, ect_u64 e)
{
    ect_u32 x[4]; ect_philox(key, step, sample, (ect_u32)(e >> 2), x);
    ect_u32 v = e & 2 ? (e & 1 ? x[3] : x[2]) : (e & 1 ? x[1] : x[0]);
    return (ect_u64)v < threshold ? 1.0f : 0.0f;
}
ECT_INLINE ect_u64 ect_threshold(double p) { return p <= 0 ? 0 : p >= 1 ? 0x100000000ull : (ect_u64)(p * 4294967296.0); }
/* Rows of consecutive draws, e and count multiples of 4: one call of the generator for four elements; the loops vectorise. */
ECT_INLINE void ect_normal_row(ect_u64 key, ect_u64 step, ect_u64 sample, ect_u64 e, int count, float *restrict out)
{
    for (int b = 0; b < count / 4; b++) {
        ect_u32 x[4]; ect_philox(key, step, sample, (ect_u32)(e >> 2) + (ect_u32)b, x);
        ect_normal_pair(x[0], x[1], out + 4 * b, out + 4 * b + 1);
        ect_normal_pair(x[2], x[3], out + 4 * b + 2, out + 4 * b + 3);
    }
}
ECT_INLINE void ect_uniform_row(ect_u64 key, ect_u64 step, ect_u64 sample, ect_u64 e, int count, float *restrict out)
{
    for (int b = 0; b < count / 4; b++) {
        ect_u32 x[4]; ect_philox(key, step, sample, (ect_u32)(e >> 2) + (ect_u32)b, x);
        out[4 * b] = ect_uniform_bits(x[0]); out[4 * b + 1] = ect_uniform_bits(x[1]);
        out[4 * b + 2] = ect_uniform_bits(x[2]); out[4 * b + 3] = ect_uniform_bits(x[3]);
    }
}
ECT_INLINE void ect_bernoulli_row(ect_u64 threshold, ect_u64 key, ect_u64 step, ect_u64 sample, ect_u64 e, int count,
                                  float *restrict out)
{
    ect_u32 last = (ect_u32)(threshold - 1);            /* v < threshold in 32 bits; nothing is below 0 */
    float one = threshold ? 1.0f : 0.0f;
    for (int b = 0; b < count / 4; b++) {
        ect_u32 x[4]; ect_philox(key, step, sample, (ect_u32)(e >> 2) + (ect_u32)b, x);
        out[4 * b] = x[0] <= last ? one : 0.0f; out[4 * b + 1] = x[1] <= last ? one : 0.0f;
        out[4 * b + 2] = x[2] <= last ? one : 0.0f; out[4 * b + 3] = x[3] <= last ? one : 0.0f;
    }
}
ECT_INLINE void ect_copy_row(const float *from, int count, float *restrict out)
{
    for (int i = 0; i < count; i++) out[i] = from[i];
}

/* ---- reductions of a row, always in the same order: 16 running values, then these one after another ---- */
ECT_INLINE float ect_row_sum(const float *row, int count)
{
    float part[16] = {0}, sum = 0.0f;
    int i = 0;
    for (; i + 16 <= count; i += 16)
        for (int j = 0; j < 16; j++) part[j] += row[i + j];
    for (int j = 0; j < 16; j++) sum += part[j];
    for (; i < count; i++) sum += row[i];
    return sum;
}
ECT_INLINE float ect_row_sqdev(const float *row, int count)           /* sum of (x - mean)^2 */
{
    float part[16] = {0}, sum = 0.0f, mean = ect_row_sum(row, count) / (float)count;
    int i = 0;
    for (; i + 16 <= count; i += 16)
        for (int j = 0; j < 16; j++) {
            float d = row[i + j] - mean;
            part[j] = __builtin_fmaf(d, d, part[j]);
        }
    for (int j = 0; j < 16; j++) sum += part[j];
    for (; i < count; i++) sum = __builtin_fmaf(row[i] - mean, row[i] - mean, sum);
    return sum;
}
ECT_INLINE float ect_row_max(const float *row, int count)             /* NaN if there is one */
{
    float part[16], top = -__builtin_inff();
    for (int j = 0; j < 16; j++) part[j] = top;
    int i = 0;
    for (; i + 16 <= count; i += 16)
        for (int j = 0; j < 16; j++) {
            float x = row[i + j], y = part[j];
            part[j] = x != x ? x : y != y ? y : x < y ? y : x;
        }
    for (int j = 0; j < 16; j++) top = part[j] != part[j] ? part[j] : top != top ? top : part[j] < top ? top : part[j];
    for (; i < count; i++) top = row[i] != row[i] ? row[i] : top != top ? top : row[i] < top ? top : row[i];
    return top;
}

/* ---- element functions: branch-free where they must vectorise ---- */
/* e^x = 2^n p(f), |f| <= 1/2: relative error below 2e-7, overflow to inf, underflow to 0, NaN stays NaN (it fails both
   clamps). */
ECT_INLINE float ect_exp(float x)
{
    float c = x > 89.5f ? 89.5f : x;
    c = c < -104.5f ? -104.5f : c;
    float n = __builtin_fmaf(c, 0x1.715476p0f, 0x1.8p23f) - 0x1.8p23f; /* nearest integer: floorf does not vectorise everywhere */
    float f = __builtin_fmaf(c, 0x1.4ae0cp-26f, __builtin_fmaf(c, 0x1.715476p0f, -n));     /* log2(e) in two parts */
    float p = 0x1.41fbbcp-13f;
    p = __builtin_fmaf(p, f, 0x1.5f3e54p-10f); p = __builtin_fmaf(p, f, 0x1.3b2d4cp-7f); p = __builtin_fmaf(p, f, 0x1.c6aee8p-5f);
    p = __builtin_fmaf(p, f, 0x1.ebfbdcp-3f); p = __builtin_fmaf(p, f, 0x1.62e43p-1f); p = __builtin_fmaf(p, f, 1.0f);
    int i = (int)(c != c ? 0.0f : n), h = i >> 1;                          /* two factors: 2^129 and 2^-151 are no floats */
    return p * ect_from_bits((ect_u32)(h + 127) << 23) * ect_from_bits((ect_u32)(i - h + 127) << 23);
}
ECT_INLINE float ect_sigmoid(float x) { return 1.0f / (1.0f + ect_exp(-x)); }
ECT_INLINE float ect_log(float x) { return __builtin_logf(x); }
ECT_INLINE float ect_sin(float x) { return __builtin_sinf(x); }
ECT_INLINE float ect_cos(float x) { return __builtin_cosf(x); }
/* Odd polynomial near 0, else 1 - 2 / (e^2|x| + 1); both are computed, so that it vectorises; relative error below 3e-7. */
ECT_INLINE float ect_tanh(float x)
{
    float a = __builtin_fabsf(x), s = x * x, p = -0x1.647ad6p-8f;
    p = __builtin_fmaf(p, s, 0x1.4e332p-6f); p = __builtin_fmaf(p, s, -0x1.b79fc6p-5f);
    p = __builtin_fmaf(p, s, 0x1.11027p-3f); p = __builtin_fmaf(p, s, -0x1.55551cp-2f);
    float near0 = __builtin_fmaf(p * s, x, x), far = __builtin_copysignf(1.0f - 2.0f / (ect_exp(a + a) + 1.0f), x);
    return a < 0.65f ? near0 : far;
}
ECT_INLINE float ect_erf(float x) { return __builtin_erff(x); }
ECT_INLINE float ect_literal(float x) { return x; }
ECT_INLINE float ect_fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }   /* x*y + z, rounded once */
ECT_INLINE float ect_abs(float x) { return __builtin_fabsf(x); }
ECT_INLINE float ect_floor(float x) { return __builtin_floorf(x); }
ECT_INLINE float ect_sqrt(float x) { return __builtin_sqrtf(x); }
ECT_INLINE float ect_rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
ECT_INLINE float ect_sign(float x)
{
    float up = x > 0.0f ? 1.0f : 0.0f, down = x < 0.0f ? 1.0f : 0.0f;
    return x != x ? x : up - down;
}
ECT_INLINE float ect_pow(float x, float y) { return __builtin_powf(x, y); }
ECT_INLINE float ect_max(float x, float y) { return x != x ? x : y != y ? y : x < y ? y : x; }
ECT_INLINE float ect_min(float x, float y) { return x != x ? x : y != y ? y : y < x ? y : x; }
ECT_INLINE int ect_isfinite(float x) { return (ect_bits(x) & 0x7f800000u) != 0x7f800000u; }
ECT_INLINE float ect_nan_to_num(float x, float nan, float inf)
{
    float up = x > 0x1.fffffep127f ? inf : x, both = x < -0x1.fffffep127f ? -inf : up;
    return x != x ? nan : both;
}
ECT_INLINE float ect_bf16(float x)
{
    ect_u32 b = ect_bits(x);
    ect_u32 r = (b + 0x7fffu + ((b >> 16) & 1u)) & 0xffff0000u;
    return ect_from_bits((b & 0x7fffffffu) > 0x7f800000u ? b | 0x00400000u : r);    /* a NaN whose upper half is one too */
}

/* The nearest with 11 significant bits, ties away from 0, as cvt.rna.tf32.f32. */
ECT_INLINE float ect_tf32(float x)
{
    ect_u32 b = ect_bits(x);
    return ect_from_bits((b & 0x7fffffffu) > 0x7f800000u ? b : (b + 0x1000u) & 0xffffe000u);
}

/* Activations stored in 2 bytes. f16: IEEE half, nearest even, past 65504 infinite. Below 2^-14 its unit is 2^-24, that of an f32 in [1/2, 1).
   Branch-free, so that loops over it vectorise where the machine has no such conversion. */
#if defined(__CUDA_ARCH__)
ECT_INLINE void ect_store_f16(ect_f16_t *to, float x) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(*to) : "f"(x)); }
ECT_INLINE float ect_load_f16(ect_f16_t x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
ECT_INLINE float ect_f16(float x) { float y; asm("{ .reg .b16 h; cvt.rn.f16.f32 h, %1; cvt.f32.f16 %0, h; }" : "=f"(y) : "f"(x)); return y; }
#else
ECT_INLINE ect_u32 ect_f16_bits(float x)
{
    ect_u32 b = ect_bits(x), a = b & 0x7fffffffu, normal = (a + 0xfffu + (a >> 13 & 1u) - 0x38000000u) >> 13;
    ect_u32 small = ect_bits(ect_from_bits(a < 0x38800000u ? a : 0u) + 0.5f) - 0x3f000000u;
    ect_u32 finite = a < 0x38800000u ? small : normal;
    ect_u32 large = a > 0x7f800000u ? 0x7e00u : 0x7c00u;
    return (a >= 0x477ff000u ? large : finite) | (b >> 16 & 0x8000u);
}
ECT_INLINE float ect_load_f16(ect_f16_t x)
{
    ect_u32 m = (ect_u32)(x & 0x7fff) << 13, sign = (ect_u32)(x & 0x8000) << 16;
    ect_u32 small = ect_bits(ect_from_bits(m + 0x38800000u) - 0x1p-14f), large = m + (m >= 0x0f800000u ? 0x70000000u : 0x38000000u);
    return ect_from_bits((m < 0x00800000u ? small : large) | sign);
}
ECT_INLINE void ect_store_f16(ect_f16_t *to, float x) { *to = (ect_f16_t)ect_f16_bits(x); }
ECT_INLINE float ect_f16(float x) { return ect_load_f16((ect_f16_t)ect_f16_bits(x)); }
#endif

/* bf16: the upper half of an f32, nearest even. */
ECT_INLINE float ect_load_bf16(ect_bf16_t x) { return ect_from_bits((ect_u32)x << 16); }
ECT_INLINE void ect_store_bf16(ect_bf16_t *to, float x) { *to = (ect_bf16_t)(ect_bits(ect_bf16(x)) >> 16); }

/* ---- draws as kernels write them: site s of the launch, row n, element e, `per` elements a row. Locals key<s>, draw<s>, step
   and first<s>, the number of row 0 (0 for a draw without rows), are the kernel's. ROW: elements e .. e + count - 1 into out, e and count multiples of 4. ---- */
#ifdef ECT_DRAW_INPUTS
#define ECT_NORMAL(s, n, e, per) draw##s[(ect_i64)(n) * (per) + (e)]
#define ECT_UNIFORM(s, n, e, per) draw##s[(ect_i64)(n) * (per) + (e)]
#define ECT_BERNOULLI(s, n, e, per, threshold) draw##s[(ect_i64)(n) * (per) + (e)]
#define ECT_NORMAL_ROW(s, n, e, count, per, out) ect_copy_row(draw##s + (ect_i64)(n) * (per) + (e), count, out)
#define ECT_UNIFORM_ROW(s, n, e, count, per, out) ect_copy_row(draw##s + (ect_i64)(n) * (per) + (e), count, out)
#define ECT_BERNOULLI_ROW(s, n, e, count, per, threshold, out) ect_copy_row(draw##s + (ect_i64)(n) * (per) + (e), count, out)
#else
#define ECT_NORMAL(s, n, e, per) ect_draw_normal(key##s, step, first##s + (ect_u64)(n), (ect_u64)(e))
#define ECT_UNIFORM(s, n, e, per) ect_draw_uniform(key##s, step, first##s + (ect_u64)(n), (ect_u64)(e))
#define ECT_BERNOULLI(s, n, e, per, threshold) ect_draw_bernoulli(threshold, key##s, step, first##s + (ect_u64)(n), (ect_u64)(e))
#define ECT_NORMAL_ROW(s, n, e, count, per, out) \
    ect_normal_row(key##s, step, first##s + (ect_u64)(n), (ect_u64)(e), count, out)
#define ECT_UNIFORM_ROW(s, n, e, count, per, out) \
    ect_uniform_row(key##s, step, first##s + (ect_u64)(n), (ect_u64)(e), count, out)
#define ECT_BERNOULLI_ROW(s, n, e, count, per, threshold, out) \
    ect_bernoulli_row(threshold, key##s, step, first##s + (ect_u64)(n), (ect_u64)(e), count, out)
#endif
/* @end@ */
int omp_get_thread_num(void);
#endif
