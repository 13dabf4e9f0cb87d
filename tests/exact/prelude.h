/* The prelude of kernels compiled as C++ for exact mode: `float` is an element of field.h's prime field, all that kernels call
   is defined on it. With ECT_COUNT loads and stores of planned buffers are recorded. Assumes kernel texts as they are. */
#ifndef ECT_EXACT_PRELUDE_H
#define ECT_EXACT_PRELUDE_H
#include "field.h"

typedef unsigned int ect_u32;
typedef unsigned long long ect_u64;
typedef long long ect_i64;

extern "C" {
void ect_mark(const void *at, unsigned bytes, int how);
extern int ect_says;                                 /* when counting: what every comparison of numbers says */
}
#ifdef ECT_COUNT
#define ECT_MARK(at, how) ect_mark(at, sizeof *(at), how)
#define ECT_SAYS(value) ((void)(value), ect_says != 0)
#else
#define ECT_MARK(at, how) ((void)0)
#define ECT_SAYS(value) (value)
#endif

/* A number: trivial, so that arrays of it may be cleared by memset. spare: see FpCell. */
struct EctNumber {
    Fp v, spare;
    EctNumber() = default;
    EctNumber(int i) : v(fp_int(i)) { }
    EctNumber(long i) : v(fp_int(i)) { }
    EctNumber(ect_i64 i) : v(fp_int(i)) { }
    EctNumber(double x) : v(fp_real(x)) { }
    EctNumber(float x) : v(fp_real((double)x)) { }
#ifdef ECT_COUNT
    EctNumber(const EctNumber &o) : v(o.get()) { ECT_MARK(this, 1); }
    EctNumber &operator=(const EctNumber &o)
    {
        v = o.get();
        ECT_MARK(this, 1);
        return *this;
    }
#endif
    Fp get() const
    {
        ECT_MARK(this, 0);
        return v;
    }
    explicit operator int() const { return (int)fp_signed(get()); }      /* of tables of rows and their counts */
};
FP_INLINE EctNumber ect_number(Fp v)
{
    EctNumber x;
    x.v = v;
    return x;
}
#define ECT_OPERATOR(op, f) \
    FP_INLINE EctNumber operator op(const EctNumber &x, const EctNumber &y) { return ect_number(f(x.get(), y.get())); } \
    FP_INLINE EctNumber &operator op##=(EctNumber &x, const EctNumber &y) { return x = x op y; }
ECT_OPERATOR(+, fp_add)
ECT_OPERATOR(-, fp_sub)
ECT_OPERATOR(*, fp_mul)
ECT_OPERATOR(/, fp_div)
FP_INLINE EctNumber operator-(const EctNumber &x) { return ect_number(fp_neg(x.get())); }
#define ECT_COMPARE(op, value) \
    FP_INLINE bool operator op(const EctNumber &a, const EctNumber &b) \
    { \
        const int64_t x = fp_signed(a.get()), y = fp_signed(b.get()); \
        return ECT_SAYS(value); \
    }
ECT_COMPARE(<, x < y)
ECT_COMPARE(<=, x <= y)
ECT_COMPARE(>, x > y)
ECT_COMPARE(>=, x >= y)
ECT_COMPARE(==, x == y)
ECT_COMPARE(!=, x != y)

/* ---- numbers stored in two bytes ---- */
struct ect_bf16_t { Fp v; };
typedef ect_bf16_t ect_f16_t;
FP_INLINE EctNumber ect_load_bf16(const ect_bf16_t &x)
{
    ECT_MARK(&x, 0);
    return ect_number(x.v);
}
FP_INLINE void ect_store_bf16(ect_bf16_t *to, const EctNumber &x)
{
    to->v = x.get();
    ECT_MARK(to, 1);
}
FP_INLINE EctNumber ect_load_f16(const ect_f16_t &x) { return ect_load_bf16(x); }
FP_INLINE void ect_store_f16(ect_f16_t *to, const EctNumber &x) { ect_store_bf16(to, x); }

/* ---- element functions ---- */
#define FP_FUNCTION(name, value) FP_INLINE EctNumber ect_##name(const EctNumber &x) { return ect_number(fp_##name(x.get())); }
FP_FUNCTIONS
#undef FP_FUNCTION
FP_INLINE EctNumber ect_fma(const EctNumber &x, const EctNumber &y, const EctNumber &z) { return x * y + z; }
FP_INLINE EctNumber ect_literal(const EctNumber &x) { return x; }
FP_INLINE EctNumber ect_pow(const EctNumber &x, const EctNumber &y) { return ect_number(fp_pow(x.get(), y.get())); }
FP_INLINE EctNumber ect_max(const EctNumber &x, const EctNumber &y) { return ect_number(fp_max(x.get(), y.get())); }
FP_INLINE EctNumber ect_min(const EctNumber &x, const EctNumber &y) { return ect_number(fp_min(x.get(), y.get())); }
FP_INLINE int ect_isfinite(const EctNumber &x) { return ECT_SAYS(x.get() <= FP_P); }
FP_INLINE EctNumber ect_nan_to_num(const EctNumber &x, const EctNumber &, const EctNumber &) { return x; }

/* ---- reductions of a row ---- */
static inline __attribute__((unused)) EctNumber ect_row_sum(const EctNumber *row, int count)
{
    Fp sum = 0;
    for (int i = 0; i < count; i++) sum = fp_add(sum, row[i].get());
    return ect_number(sum);
}
static inline __attribute__((unused)) EctNumber ect_row_sqdev(const EctNumber *row, int count)
{
    const Fp mean = fp_div(ect_row_sum(row, count).v, fp_int(count));
    Fp sum = 0;
    for (int i = 0; i < count; i++) sum = fp_add(sum, fp_mul(fp_sub(row[i].get(), mean), fp_sub(row[i].get(), mean)));
    return ect_number(sum);
}
static inline __attribute__((unused)) EctNumber ect_row_max(const EctNumber *row, int count)
{
    Fp top = fp_real(-__builtin_inf());
    for (int i = 0; i < count; i++) top = fp_max(top, row[i].get());
    return ect_number(top);
}

/* ---- draws ---- */
FP_INLINE ect_u64 ect_threshold(double p) { return fp_threshold(p); }
FP_INLINE ect_u64 ect_threshold(const EctNumber &p) { return p.get(); }
#define ECT_DRAW(s, n, e, threshold) ect_number(fp_draw(key##s, step, first##s + (ect_u64)(n), (ect_u64)(e), threshold))
#define ECT_NORMAL(s, n, e, per) ECT_DRAW(s, n, e, 0)
#define ECT_UNIFORM(s, n, e, per) ECT_DRAW(s, n, e, 0)
#define ECT_BERNOULLI(s, n, e, per, threshold) ECT_DRAW(s, n, e, threshold)
#define ECT_DRAW_ROW(s, n, e, count, threshold, out) \
    for (int draw_i = 0; draw_i < (count); draw_i++) (out)[draw_i] = ECT_DRAW(s, n, (e) + draw_i, threshold)
#define ECT_NORMAL_ROW(s, n, e, count, per, out) ECT_DRAW_ROW(s, n, e, count, 0, out)
#define ECT_UNIFORM_ROW(s, n, e, count, per, out) ECT_DRAW_ROW(s, n, e, count, 0, out)
#define ECT_BERNOULLI_ROW(s, n, e, count, per, threshold, out) ECT_DRAW_ROW(s, n, e, count, threshold, out)

#define EXACT_NUMBER EctNumber
#define EXACT_POINTER EctNumber *
#include "args.h"

static inline __attribute__((unused)) int omp_get_thread_num(void) { return 0; }
/* Cleared memory of a planned buffer is written memory. */
FP_INLINE void ect_clear(void *at, int value, ect_u64 bytes)
{
#ifdef ECT_COUNT
    for (ect_u64 i = 0; i < bytes; i += EXACT_UNIT) ect_mark((char *)at + i, EXACT_UNIT, 1);
#endif
    __builtin_memset(at, value, bytes);
}
#define __builtin_memset ect_clear

/* ---- the words of a kernel's text that C++ has other ideas about ---- */
#define float EctNumber
#define restrict __restrict
#define class class_
#define new new_
#define this this_
#define delete delete_
#define template template_
#define operator operator_
#define namespace namespace_
#define private private_
#define public public_
#define protected protected_
#define virtual virtual_
#define friend friend_
#define using using_
#define typename typename_
#define try try_
#define catch catch_
#define throw throw_
#define export export_
#define explicit explicit_
#define mutable mutable_
#endif
