/* CUDA on the host, for cuda-emu: what comes before the prelude and a kernel's unchanged text, in one C++ translation unit behind emu_api.h.
   Assumes nothing else is included. With ECT_EMU_EXACT tests/exact/prelude.h comes before it instead, and `float` is its number. */
#define ECT_EMU 1
#define ECT_EMU_HIDDEN __attribute__((visibility("hidden"), unused))
#define ECT_EMU_QUIET __attribute__((no_sanitize("thread")))

extern "C" {
__attribute__((visibility("default"))) EctEmuApi *ect_emu;
}

/* ---- words ---- */
#define __global__ __attribute__((visibility("default")))
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(ECT_EMU_SCALE * (n))))
#define ECT_UNROLL(n)
#ifndef ECT_EMU_EXACT
#define ECT_INLINE static inline __attribute__((always_inline, unused))
#define restrict __restrict__
#define ECT_EMU_SCALE 1
#else
#define ECT_INLINE static inline __attribute__((unused))
#define ECT_EMU_SCALE 4                              /* every number takes that many times its memory: field.h's FP_SCALE */
#undef class
#undef new
#undef this
#undef delete
#undef template
#undef operator
#undef namespace
#undef private
#undef public
#undef protected
#undef virtual
#undef friend
#undef using
#undef typename
#undef try
#undef catch
#undef throw
#undef export
#undef explicit
#undef mutable
#endif

/* Shared arrays lie in one section, in the order of the text, a gap before each: an index beyond an array's end meets no other array. The section's
   symbols give names and sizes. `extern __shared__` (dynamic memory) is rewritten by emu_cc.c. */
#if defined(__has_attribute) && __has_attribute(no_reorder)      /* arrays and gaps stay in order; -fno-toplevel-reorder would keep every unused function, too */
#define ECT_EMU_SECTION __attribute__((section("ect_shared"), used, no_reorder))
#else
#define ECT_EMU_SECTION __attribute__((section("ect_shared"), used))
#endif
#define ECT_EMU_GAP_(n) static char ect_gap_##n[256] ECT_EMU_SECTION __attribute__((aligned(16)));
#define ECT_EMU_GAP(n) ECT_EMU_GAP_(n)
#define __shared__ ECT_EMU_GAP(__COUNTER__) static ECT_EMU_SECTION
ECT_EMU_GAP(first)

/* ---- indices: constant for the thread that asks, so these calls may be merged across switches of threads ---- */
#define ECT_EMU_INDEX(name, field) \
    extern "C" ECT_EMU_HIDDEN ECT_EMU_QUIET __attribute__((const, noinline)) EctEmuIndex ect_emu_##name(void) { return ect_emu->field; }
ECT_EMU_INDEX(thread, thread)
ECT_EMU_INDEX(block, block)
ECT_EMU_INDEX(threads, threads)
ECT_EMU_INDEX(grid, grid)
extern "C" ECT_EMU_HIDDEN ECT_EMU_QUIET __attribute__((const, noinline)) void *ect_emu_dynamic(void) { return ect_emu->dynamic(); }
#define threadIdx (ect_emu_thread())
#define blockIdx (ect_emu_block())
#define blockDim (ect_emu_threads())
#define gridDim (ect_emu_grid())

/* ---- barriers ---- */
ECT_EMU_QUIET static __attribute__((unused, noinline)) void __syncthreads(int line = __builtin_LINE()) { ect_emu->barrier(0, 0, 1, line); }
ECT_EMU_QUIET static __attribute__((unused, noinline)) void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE())
{
    ect_emu->warp_barrier(mask, line);
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_bar_sync(int id, int threads, int line = __builtin_LINE())
{
    ect_emu->barrier(id, threads, 1, line);
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_bar_arrive(int id, int threads, int line = __builtin_LINE())
{
    ect_emu->barrier(id, threads, 0, line);
}

/* ---- shuffles and votes ---- */
template <typename T> ECT_EMU_QUIET __attribute__((unused, noinline)) static T ect_emu_shuffle(const char *what, unsigned mask, T v, int from, int line)
{
    static_assert(sizeof(T) <= 16, "a shuffled value has at most 16 bytes");
    ect_emu->shuffle(what, mask, line, &v, sizeof v, from);
    return v;
}
#define ECT_EMU_LANE ((int)(threadIdx.x % 32))
template <typename T> static inline T __shfl_sync(unsigned mask, T v, int from, int width = 32, int line = __builtin_LINE())
{
    return ect_emu_shuffle("__shfl_sync", mask, v, (ECT_EMU_LANE & ~(width - 1)) | (from & (width - 1)), line);
}
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32, int line = __builtin_LINE())
{
    int lane = ECT_EMU_LANE, from = lane ^ bits;
    return ect_emu_shuffle("__shfl_xor_sync", mask, v, from < (lane & ~(width - 1)) + width ? from : lane, line);
}
template <typename T> static inline T __shfl_down_sync(unsigned mask, T v, int by, int width = 32, int line = __builtin_LINE())
{
    int lane = ECT_EMU_LANE, from = lane + by;
    return ect_emu_shuffle("__shfl_down_sync", mask, v, from < (lane & ~(width - 1)) + width ? from : lane, line);
}
template <typename T> static inline T __shfl_up_sync(unsigned mask, T v, int by, int width = 32, int line = __builtin_LINE())
{
    int lane = ECT_EMU_LANE, from = lane - by;
    return ect_emu_shuffle("__shfl_up_sync", mask, v, from >= (lane & ~(width - 1)) ? from : lane, line);
}
struct EctEmuVote { unsigned lane; int says; unsigned ballot; };
ECT_EMU_QUIET static __attribute__((unused)) void ect_emu_count_votes(void *const *slot, unsigned mask)
{
    unsigned ballot = 0;
    for (int l = 0; l < 32; l++) if (mask >> l & 1 && ((EctEmuVote *)slot[l])->says) ballot |= 1u << l;
    for (int l = 0; l < 32; l++) if (mask >> l & 1) ((EctEmuVote *)slot[l])->ballot = ballot;
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) unsigned __ballot_sync(unsigned mask, int says, int line = __builtin_LINE())
{
    EctEmuVote v = {0, says, 0};
    ect_emu->collect("a vote", mask, line, &v, ect_emu_count_votes);
    return v.ballot;
}
static inline int __any_sync(unsigned mask, int says, int line = __builtin_LINE()) { return __ballot_sync(mask, says, line) != 0; }
static inline int __all_sync(unsigned mask, int says, int line = __builtin_LINE()) { return __ballot_sync(mask, says, line) == mask; }
/* Which lanes happen to be together is nobody's business: kernels say which they mean. */
__attribute__((error("__activemask: say which lanes take part"))) unsigned __activemask(void);

/* ---- plain things ---- */
template <typename T> static inline __attribute__((always_inline)) T __ldg(const T *p) { return *p; }
/* Vectors that are read and written whole: compilers take them apart before they put the calls of checks, so copies ask for the alignment themselves. */
#ifdef ECT_EMU_CHECK
extern "C" ECT_EMU_HIDDEN ECT_EMU_QUIET __attribute__((noinline)) void ect_emu_vector(const void *p, unsigned align, int how)
{
    ect_emu->access(p, 0, align, how, __builtin_return_address(0), 0);
}
#define ECT_EMU_WHOLE(name, align, copy) \
    name() = default; \
    __forceinline__ name(const name &o) { ect_emu_vector(&o, align, ECT_EMU_READ); copy } \
    __forceinline__ name &operator=(const name &o) { ect_emu_vector(&o, align, ECT_EMU_READ); ect_emu_vector(this, align, ECT_EMU_WRITE); copy return *this; }
#else
#define ECT_EMU_WHOLE(name, align, copy) name() = default;
#endif
#define ECT_EMU_VECTOR4(name, T, bytes) \
    struct alignas(bytes) name { \
        T x, y, z, w; \
        __forceinline__ name(T a, T b, T c, T d) : x(a), y(b), z(c), w(d) { } \
        ECT_EMU_WHOLE(name, bytes, x = o.x; y = o.y; z = o.z; w = o.w;) \
    };
#define ECT_EMU_VECTOR2(name, T, bytes) \
    struct alignas(bytes) name { \
        T x, y; \
        __forceinline__ name(T a, T b) : x(a), y(b) { } \
        ECT_EMU_WHOLE(name, bytes, x = o.x; y = o.y;) \
    };
ECT_EMU_VECTOR4(float4, float, 16 * ECT_EMU_SCALE)
ECT_EMU_VECTOR2(float2, float, 8 * ECT_EMU_SCALE)
ECT_EMU_VECTOR4(int4, int, 16)
ECT_EMU_VECTOR4(uint4, unsigned, 16)
ECT_EMU_VECTOR2(uint2, unsigned, 8)
ECT_INLINE float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
ECT_INLINE float2 make_float2(float x, float y) { return {x, y}; }
ECT_INLINE int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
ECT_INLINE uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

/* ---- instructions of cuda_prelude.cuh ---- */
#ifndef ECT_EMU_EXACT
typedef unsigned short ect_bf16_t, ect_f16_t;
ECT_EMU_QUIET static inline float ect_emu_wide(ect_bf16_t h)
{
    union { unsigned u; float f; } v;
    v.u = (unsigned)h << 16;
    return v.f;
}
ECT_EMU_QUIET static inline float ect_emu_wide_f16(ect_f16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const float size = exponent == 31 ? fraction ? __builtin_nanf("") : __builtin_inff()
                     : exponent ? __builtin_ldexpf((float)(1024 + fraction), exponent - 25) : (float)fraction * 0x1p-24f;
    return h & 0x8000 ? -size : size;
}
#else
static inline float ect_emu_wide(ect_bf16_t h) { return ect_load_bf16(h); }
static inline float ect_emu_wide_f16(ect_f16_t h) { return ect_load_f16(h); }
#endif
/* Fragments hold numbers, in the order of the instruction's registers, low half first. With lane = 4 g + t:
   a[e]: row g + 8 (e / 2 % 2), k = 2 t + e % 2 + 8 (e / 4);  b[e]: k = 2 t + e % 2 + 8 (e / 2), column g;  c[e]: row g + 8 (e / 2), column 2 t + e % 2. */
struct ect_frag_a { ect_bf16_t x[8]; };
struct ect_frag_b { ect_bf16_t x[4]; };
struct ect_frag_c { float x[4]; };

/* ldmatrix: four 8x8 matrices; lane 8 i + r gives the address of row r of matrix i. Lane 4 g + t gets of each elements (g, 2t), (g, 2t + 1), or
   transposed (2t, g), (2t + 1, g). */
struct EctEmuRows { const ect_bf16_t *row; ect_bf16_t *out[4]; int trans; };
ECT_EMU_QUIET static __attribute__((unused)) void ect_emu_spread(void *const *slot, unsigned)
{
    for (int lane = 0; lane < 32; lane++) {
        const EctEmuRows *to = (const EctEmuRows *)slot[lane];
        const int g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++)
            for (int e = 0; e < 2; e++) {
                const int row = to->trans ? 2 * t + e : g, column = to->trans ? g : 2 * t + e;
                to->out[i][e] = ((const EctEmuRows *)slot[8 * i + row])->row[column];
            }
    }
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_emu_ldmatrix(const ect_bf16_t *p, ect_bf16_t *o0, ect_bf16_t *o1, ect_bf16_t *o2,
        ect_bf16_t *o3, int trans, int line)
{
    EctEmuRows rows = {p, {o0, o1, o2, o3}, trans};
    ect_emu->access(p, 16 * ECT_EMU_SCALE, 16 * ECT_EMU_SCALE, ECT_EMU_READ | ECT_EMU_SHARED, 0, line);
    ect_emu->collect(trans ? "ldmatrix.trans" : "ldmatrix", 0xffffffffu, line, &rows, ect_emu_spread);
}
static inline __attribute__((unused)) ect_frag_a ect_load_a(const ect_bf16_t *p, int line = __builtin_LINE())
{
    ect_frag_a f;
    ect_emu_ldmatrix(p, f.x, f.x + 2, f.x + 4, f.x + 6, 0, line);
    return f;
}
static inline __attribute__((unused)) ect_frag_a ect_load_a_trans(const ect_bf16_t *p, int line = __builtin_LINE())
{
    ect_frag_a f;
    ect_emu_ldmatrix(p, f.x, f.x + 2, f.x + 4, f.x + 6, 1, line);
    return f;
}
static inline __attribute__((unused)) void ect_load_b2(ect_frag_b *f, const ect_bf16_t *p, int line = __builtin_LINE())
{
    ect_emu_ldmatrix(p, f[0].x, f[0].x + 2, f[1].x, f[1].x + 2, 0, line);
}
static inline __attribute__((unused)) void ect_load_b2_trans(ect_frag_b *f, const ect_bf16_t *p, int line = __builtin_LINE())
{
    ect_emu_ldmatrix(p, f[0].x, f[0].x + 2, f[1].x, f[1].x + 2, 1, line);
}
/* Products of bf16, f16 and tf32 are exact in f32; they are added to d in the order of k, each sum rounded. */
struct EctEmuProduct { const ect_frag_a *a; const ect_frag_b *b; ect_frag_c *d; };
template <float (*wide)(ect_bf16_t)> ECT_EMU_QUIET static __attribute__((unused, optimize("O3"))) void ect_emu_multiply(void *const *slot, unsigned)
{
    static float a[16][16], b[16][8], c[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const EctEmuProduct *p = (const EctEmuProduct *)slot[lane];
        const int g = lane / 4, t = lane % 4;
        for (int e = 0; e < 8; e++) a[g + 8 * (e / 2 % 2)][2 * t + e % 2 + 8 * (e / 4)] = wide(p->a->x[e]);
        for (int e = 0; e < 4; e++) b[2 * t + e % 2 + 8 * (e / 2)][g] = wide(p->b->x[e]);
        for (int e = 0; e < 4; e++) c[g + 8 * (e / 2)][2 * t + e % 2] = p->d->x[e];
    }
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 8; n++) c[m][n] += a[m][k] * b[k][n];
    for (int lane = 0; lane < 32; lane++)
        for (int e = 0; e < 4; e++) ((const EctEmuProduct *)slot[lane])->d->x[e] = c[lane / 4 + 8 * (e / 2)][2 * (lane % 4) + e % 2];
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_mma(ect_frag_c *d, const ect_frag_a &a, const ect_frag_b &b, int line = __builtin_LINE())
{
    EctEmuProduct p = {&a, &b, d};
    ect_emu->collect("mma", 0xffffffffu, line, &p, ect_emu_multiply<ect_emu_wide>);
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_mma_f16(ect_frag_c *d, const ect_frag_a &a, const ect_frag_b &b, int line = __builtin_LINE())
{
    EctEmuProduct p = {&a, &b, d};
    ect_emu->collect("mma", 0xffffffffu, line, &p, ect_emu_multiply<ect_emu_wide_f16>);
}
struct EctEmuProductTf32 { const float *a, *b; ect_frag_c *d; };
ECT_EMU_QUIET static __attribute__((unused, optimize("O3"))) void ect_emu_multiply_tf32(void *const *slot, unsigned)
{
    static float a[16][8], b[8][8], c[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const EctEmuProductTf32 *p = (const EctEmuProductTf32 *)slot[lane];
        const int g = lane / 4, t = lane % 4;
        for (int e = 0; e < 4; e++) a[g + 8 * (e % 2)][t + 4 * (e / 2)] = p->a[e];
        for (int e = 0; e < 2; e++) b[t + 4 * e][g] = p->b[e];
        for (int e = 0; e < 4; e++) c[g + 8 * (e / 2)][2 * t + e % 2] = p->d->x[e];
    }
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 8; k++)
            for (int n = 0; n < 8; n++) c[m][n] += a[m][k] * b[k][n];
    for (int lane = 0; lane < 32; lane++)
        for (int e = 0; e < 4; e++) ((const EctEmuProductTf32 *)slot[lane])->d->x[e] = c[lane / 4 + 8 * (e / 2)][2 * (lane % 4) + e % 2];
}
/* a, b: ect_frag_a_tf32 and ect_frag_b_tf32, which the prelude defines. What an operand has below tf32 the instruction would not see. */
template <typename A, typename B>
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_mma_tf32(ect_frag_c *d, const A &a, const B &b, int line = __builtin_LINE())
{
    EctEmuProductTf32 p = {a.x, b.x, d};
    ect_emu->collect("mma", 0xffffffffu, line, &p, ect_emu_multiply_tf32);
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_cp_async16(void *to, const void *from, int bytes, int line = __builtin_LINE())
{
    ect_emu->copy_async(to, from, 16 * ECT_EMU_SCALE, bytes * ECT_EMU_SCALE, line);
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_cp_async4(void *to, const void *from, int bytes, int line = __builtin_LINE())
{
    ect_emu->copy_async(to, from, 4 * ECT_EMU_SCALE, bytes * ECT_EMU_SCALE, line);
}
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_cp_async_commit(void) { ect_emu->commit(); }
ECT_EMU_QUIET static __attribute__((unused, noinline)) void ect_cp_async_wait(int groups, int line = __builtin_LINE()) { ect_emu->wait(groups, line); }

/* ---- entries: the text ends with one ECT_EMU_ENTRY for each ---- */
template <typename A> ECT_EMU_QUIET static inline void ect_emu_enter(void (*entry)(A), const void *args) { entry(*(const A *)args); }
template <typename A> constexpr unsigned ect_emu_size(void (*)(A)) { return sizeof(A); }
#define ECT_EMU_ENTRY(name) \
    extern "C" __attribute__((visibility("default"))) ECT_EMU_QUIET void ect_emu_enter_##name(const void *args) { ect_emu_enter(name, args); } \
    extern "C" __attribute__((visibility("default"))) const unsigned ect_emu_size_##name; \
    const unsigned ect_emu_size_##name = ect_emu_size(name);
#define ECT_EMU_END ECT_EMU_GAP(last)

/* ---- hooks: what -fsanitize=thread puts before every access ---- */
#ifdef ECT_EMU_CHECK
extern "C" {
#define ECT_EMU_HOOK(name, n, how) \
    ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_##name(void *p) { ect_emu->access(p, n, n, how, __builtin_return_address(0), 0); }
#define ECT_EMU_HOOKS(n) ECT_EMU_HOOK(read##n, n, 0) ECT_EMU_HOOK(write##n, n, 1) ECT_EMU_HOOK(volatile_read##n, n, 0) ECT_EMU_HOOK(volatile_write##n, n, 1)
ECT_EMU_HOOKS(1)
ECT_EMU_HOOKS(2)
ECT_EMU_HOOKS(4)
ECT_EMU_HOOKS(8)
ECT_EMU_HOOKS(16)
#define ECT_EMU_UNALIGNED(n) \
    ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_unaligned_read##n(void *p) { ect_emu->access(p, n, 1, 0, __builtin_return_address(0), 0); } \
    ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_unaligned_write##n(void *p) { ect_emu->access(p, n, 1, 1, __builtin_return_address(0), 0); }
ECT_EMU_UNALIGNED(2)
ECT_EMU_UNALIGNED(4)
ECT_EMU_UNALIGNED(8)
ECT_EMU_UNALIGNED(16)
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_read_range(void *p, unsigned long n) { ect_emu->access(p, n, 1, 0, __builtin_return_address(0), 0); }
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_write_range(void *p, unsigned long n) { ect_emu->access(p, n, 1, 1, __builtin_return_address(0), 0); }
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_init(void) { }
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_func_entry(void *) { }
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_func_exit(void) { }
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_vptr_read(void **) { }
ECT_EMU_HIDDEN ECT_EMU_QUIET void __tsan_vptr_update(void **, void *) { }
/* Calls the compiler makes of copies and loops; linked with -Bsymbolic, so this library alone has them. */
ECT_EMU_QUIET void *memcpy(void *to, const void *from, unsigned long n)
{
    ect_emu->access(from, n, 1, 0, __builtin_return_address(0), 0);
    ect_emu->access(to, n, 1, 1, __builtin_return_address(0), 0);
    ect_emu->copy(to, from, n);
    return to;
}
ECT_EMU_QUIET void *memmove(void *to, const void *from, unsigned long n)
{
    ect_emu->access(from, n, 1, 0, __builtin_return_address(0), 0);
    ect_emu->access(to, n, 1, 1, __builtin_return_address(0), 0);
    ect_emu->move(to, from, n);
    return to;
}
ECT_EMU_QUIET void *memset(void *to, int byte, unsigned long n)
{
    ect_emu->access(to, n, 1, 1, __builtin_return_address(0), 0);
    ect_emu->fill(to, byte, n);
    return to;
}
}
#endif
