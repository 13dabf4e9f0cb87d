/* Arithmetic of the prime field with p = 2^61 - 1, for C and C++: + - * / exactly, other functions fixed hashes of their
   argument. A value is its representative in [0, p). Order is that of the representatives nearest to 0: -(p-1)/2 .. (p-1)/2. */
#ifndef ECT_EXACT_FIELD_H
#define ECT_EXACT_FIELD_H
#include <stdint.h>

typedef uint64_t Fp;
typedef unsigned __int128 FpWide;                    /* holds a sum of 64 products */
static const Fp FP_P = (UINT64_C(1) << 61) - 1;

#define FP_INLINE static inline __attribute__((unused))

FP_INLINE Fp fp_reduce(FpWide x)
{
    uint64_t low = (uint64_t)x & FP_P, mid = (uint64_t)(x >> 61) & FP_P, high = (uint64_t)(x >> 122);
    uint64_t s = low + mid + high;                   /* 2^61 = 1 */
    s = (s & FP_P) + (s >> 61);
    return s >= FP_P ? s - FP_P : s;
}
FP_INLINE Fp fp_add(Fp x, Fp y) { Fp s = x + y; return s >= FP_P ? s - FP_P : s; }
FP_INLINE Fp fp_neg(Fp x) { return x ? FP_P - x : 0; }
FP_INLINE Fp fp_sub(Fp x, Fp y) { return x >= y ? x - y : x + FP_P - y; }
FP_INLINE Fp fp_mul(Fp x, Fp y) { return fp_reduce((FpWide)x * y); }
/* 1/x = x^(p-2); 1/0 is 0, so x/0 is 0. */
FP_INLINE Fp fp_inverse(Fp x)
{
    Fp y = 1;
    for (uint64_t e = FP_P - 2; e; e >>= 1, x = fp_mul(x, x)) if (e & 1) y = fp_mul(y, x);
    return y;
}
FP_INLINE Fp fp_div(Fp x, Fp y) { return fp_mul(x, fp_inverse(y)); }

/* ---- from the numbers of programs ---- */
FP_INLINE Fp fp_int(int64_t i) { return i < 0 ? fp_neg((Fp)(-(i + 1)) % FP_P + 1) : (Fp)i % FP_P; }
/* m * 2^e, without rounding. The infinities are the largest and the smallest value; NaN is a value like any other. */
FP_INLINE Fp fp_real(double v)
{
    int e = 0;
    if (v != v) return UINT64_C(0x0123456789abcdef);
    if (v - v != 0) return v > 0 ? FP_P / 2 : FP_P / 2 + 1;
    int64_t m = (int64_t)__builtin_ldexp(__builtin_frexp(v, &e), 53);
    return fp_mul(fp_int(m), (Fp)1 << (((e - 53) % 61 + 61) % 61));
}

/* ---- hashes ---- */
FP_INLINE uint64_t fp_mix(uint64_t z)
{
    z += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
FP_INLINE Fp fp_hash(uint64_t kind, uint64_t x) { return fp_mix(fp_mix(kind) ^ x) % FP_P; }
FP_INLINE uint64_t fp_hash_text(const char *s)
{
    uint64_t h = 0;
    while (*s) h = fp_mix(h ^ (unsigned char)*s++);
    return h;
}

/* ---- order ---- */
FP_INLINE int64_t fp_signed(Fp x) { return x > FP_P / 2 ? (int64_t)x - (int64_t)FP_P : (int64_t)x; }
FP_INLINE int fp_less(Fp x, Fp y) { return fp_signed(x) < fp_signed(y); }
FP_INLINE Fp fp_max(Fp x, Fp y) { return fp_less(x, y) ? y : x; }
FP_INLINE Fp fp_min(Fp x, Fp y) { return fp_less(y, x) ? y : x; }

/* ---- functions: FP_FUNCTION(name, value at x) ---- */
/* Where an identity between functions is a rule of the compiler it holds here too: rsqrt(x) = 1/sqrt(x), and pow below.
   Conversions between widths of storage are no operation: nothing is rounded in a field. */
enum { FP_EXP = 1, FP_LOG, FP_SIN, FP_COS, FP_SQRT, FP_SIGMOID, FP_TANH, FP_ERF, FP_FLOOR, FP_POW, FP_DRAW };
#define FP_FUNCTIONS                                                                                                            \
    FP_FUNCTION(exp, fp_hash(FP_EXP, x)) FP_FUNCTION(log, fp_hash(FP_LOG, x)) FP_FUNCTION(sin, fp_hash(FP_SIN, x))               \
    FP_FUNCTION(cos, fp_hash(FP_COS, x)) FP_FUNCTION(sqrt, fp_hash(FP_SQRT, x))                                                  \
    FP_FUNCTION(rsqrt, fp_inverse(fp_hash(FP_SQRT, x)))                                                                          \
    FP_FUNCTION(sigmoid, fp_hash(FP_SIGMOID, x)) FP_FUNCTION(tanh, fp_hash(FP_TANH, x)) FP_FUNCTION(erf, fp_hash(FP_ERF, x))     \
    FP_FUNCTION(floor, fp_hash(FP_FLOOR, x)) FP_FUNCTION(bf16, x) FP_FUNCTION(f16, x) FP_FUNCTION(tf32, x)             \
    FP_FUNCTION(abs, fp_signed(x) < 0 ? fp_neg(x) : x) FP_FUNCTION(sign, x ? fp_signed(x) < 0 ? FP_P - 1 : 1 : 0)
#define FP_FUNCTION(name, value) FP_INLINE Fp fp_##name(Fp x) { return value; }
FP_FUNCTIONS
#undef FP_FUNCTION
/* Small integer exponents are products, as the compiler writes them. */
FP_INLINE Fp fp_pow(Fp x, Fp y)
{
    int64_t e = fp_signed(y), n = e < 0 ? -e : e;
    if (n > 4) return fp_hash(FP_POW, x ^ fp_mix(y));
    Fp v = 1;
    for (int64_t i = 0; i < n; i++) v = fp_mul(v, x);
    return e < 0 ? fp_inverse(v) : v;
}

/* ---- draws: a hash of the site's key, step, row of the global batch, element, and a bernoulli draw's threshold ---- */
FP_INLINE Fp fp_draw(uint64_t key, uint64_t step, uint64_t sample, uint64_t element, uint64_t threshold)
{
    return fp_hash(FP_DRAW, fp_mix(fp_mix(fp_mix(fp_mix(key) ^ step) ^ sample) ^ element) ^ threshold);
}
/* A keep probability known to the compiler; one known when the program runs is a field value, and its own threshold. */
FP_INLINE uint64_t fp_threshold(double p) { return fp_real((float)p); }

/* One number in memory where a kernel keeps an f32: four times its size, as ect_bf16_t (prelude.h) is of two bytes, so that
   every offset and size of a plan is four times the stated one and buffers overlap exactly where they would. */
typedef struct { Fp v, unused; } FpCell;
enum { FP_SCALE = sizeof(FpCell) / 4 };

typedef void *FpPointer;                             /* args.h: of numbers or of ect_bf16_t */
#endif
