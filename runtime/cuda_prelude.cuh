/* What generated CUDA kernels start with: argument types, the instructions they use by name, and, from kernel_prelude.h, the element functions
   and random numbers of the C kernels. Compiled in front of a kernel's text by NVRTC; or by a C++ compiler for `cuda-emu`, whose header comes
   before and defines ECT_EMU and all that is here under #ifndef ECT_EMU. No other header is needed. --fmad=false: sums and products are
   rounded as written, so draws have the same bits everywhere. */
#ifndef ECT_EMU_EXACT                                            /* numbers of another type come with functions of their own */
typedef unsigned int ect_u32;
typedef unsigned long long ect_u64;
typedef long long ect_i64;
typedef unsigned short ect_bf16_t, ect_f16_t;
#endif

/* Values of a step, in device memory: what changes from step to step without a kernel's arguments changing. */
struct EctNow { ect_u64 step, sample0; float scalar[1]; };       /* scalar: all slots of the plan */

#ifndef ECT_EMU
#define ECT_INLINE static __device__ __forceinline__ __attribute__((unused))
#define ECT_UNROLL(n) _Pragma("unroll")
#define restrict __restrict__
#define __builtin_fmaf __fmaf_rn
#define __builtin_sqrtf __fsqrt_rn
#define __builtin_fabsf fabsf
#define __builtin_copysignf copysignf
#define __builtin_floorf floorf
#define __builtin_logf logf
#define __builtin_sinf sinf
#define __builtin_cosf cosf
#define __builtin_erff erff
#define __builtin_powf powf
#define __builtin_inff() __int_as_float(0x7f800000)
#define __builtin_nanf(s) __int_as_float(0x7fc00000)
#endif

#ifndef ECT_EMU_EXACT
/* @kernel_prelude.h@ */
#endif

/* threadIdx.x, read now: what is made of it is made again, and waits in no register from one time to the next. */
ECT_INLINE int ect_thread()
{
#ifndef ECT_EMU
    int thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    return thread;
#else
    return (int)threadIdx.x;
#endif
}

/* ---- several elements at once: addresses are multiples of the access, 16 bytes at most ---- */
#ifndef ECT_EMU_EXACT
ECT_INLINE void ect_load4(float *to, const float *from)
{
    const float4 v = *(const float4 *)from;
    to[0] = v.x; to[1] = v.y; to[2] = v.z; to[3] = v.w;
}
ECT_INLINE void ect_store2(float *to, const float *from) { *(float2 *)to = make_float2(from[0], from[1]); }
ECT_INLINE void ect_store4(float *to, const float *from) { *(float4 *)to = make_float4(from[0], from[1], from[2], from[3]); }
/* 8 elements as they lie in memory: they may be on their way while the thread does other things, until they are spread. */
struct ect_half8 { ect_u32 pair[4]; };
ECT_INLINE ect_half8 ect_fetch8(const ect_bf16_t *from)
{
    const uint4 v = *(const uint4 *)from;
    return {{v.x, v.y, v.z, v.w}};
}
ECT_INLINE void ect_spread8_bf16(float *to, const ect_half8 &from)
{
    ECT_UNROLL(4)
    for (int i = 0; i < 4; i++) { to[2 * i] = ect_from_bits(from.pair[i] << 16); to[2 * i + 1] = ect_from_bits(from.pair[i] & 0xffff0000u); }
}
/* Of values that are bf16 already. */
ECT_INLINE void ect_keep8_bf16(ect_bf16_t *to, const float *from)
{
    ect_u32 pair[4];
    ECT_UNROLL(4)
    for (int i = 0; i < 4; i++) pair[i] = ect_bits(from[2 * i]) >> 16 | (ect_bits(from[2 * i + 1]) & 0xffff0000u);
    *(uint4 *)to = make_uint4(pair[0], pair[1], pair[2], pair[3]);
}
ECT_INLINE void ect_spread8_f16(float *to, const ect_half8 &from)
{
    ECT_UNROLL(4)
    for (int i = 0; i < 4; i++) { to[2 * i] = ect_load_f16((ect_f16_t)from.pair[i]); to[2 * i + 1] = ect_load_f16((ect_f16_t)(from.pair[i] >> 16)); }
}
ECT_INLINE void ect_store8_f16(ect_f16_t *to, const float *from)
{
    ect_u32 pair[4];
    ECT_UNROLL(4)
    for (int i = 0; i < 4; i++) {
        ect_f16_t low, high;
        ect_store_f16(&low, from[2 * i]);
        ect_store_f16(&high, from[2 * i + 1]);
        pair[i] = low | (ect_u32)high << 16;
    }
    *(uint4 *)to = make_uint4(pair[0], pair[1], pair[2], pair[3]);
}
#else
ECT_INLINE void ect_load4(float *to, const float *from)
{
    for (int i = 0; i < 4; i++) to[i] = from[i];
}
ECT_INLINE void ect_store2(float *to, const float *from)
{
    for (int i = 0; i < 2; i++) to[i] = from[i];
}
ECT_INLINE void ect_store4(float *to, const float *from)
{
    for (int i = 0; i < 4; i++) to[i] = from[i];
}
struct ect_half8 { ect_bf16_t x[8]; };
ECT_INLINE ect_half8 ect_fetch8(const ect_bf16_t *from)
{
    ect_half8 v;
    for (int i = 0; i < 8; i++) v.x[i] = from[i];
    return v;
}
ECT_INLINE void ect_spread8_bf16(float *to, const ect_half8 &from)
{
    for (int i = 0; i < 8; i++) to[i] = ect_load_bf16(from.x[i]);
}
ECT_INLINE void ect_spread8_f16(float *to, const ect_half8 &from) { ect_spread8_bf16(to, from); }
ECT_INLINE void ect_keep8_bf16(ect_bf16_t *to, const float *from)
{
    for (int i = 0; i < 8; i++) ect_store_bf16(to + i, from[i]);
}
ECT_INLINE void ect_store8_f16(ect_f16_t *to, const float *from) { ect_keep8_bf16(to, from); }
#endif
ECT_INLINE void ect_load8_bf16(float *to, const ect_bf16_t *from) { ect_spread8_bf16(to, ect_fetch8(from)); }
ECT_INLINE void ect_load8_f16(float *to, const ect_f16_t *from) { ect_spread8_f16(to, ect_fetch8(from)); }
ECT_INLINE void ect_load8(float *to, const float *from) { ect_load4(to, from); ect_load4(to + 4, from + 4); }
ECT_INLINE void ect_load4_bf16(float *to, const ect_bf16_t *from)
{
    for (int i = 0; i < 4; i++) to[i] = ect_load_bf16(from[i]);
}
ECT_INLINE void ect_load4_f16(float *to, const ect_f16_t *from)
{
    for (int i = 0; i < 4; i++) to[i] = ect_load_f16(from[i]);
}

/* mma m16n8k8 of tf32: what a lane holds, as numbers. With lane = 4 g + t: a: rows g, g + 8, depth t, then the same at depth t + 4; b: depths t, t + 4,
   column g. Loads: p, p8 the lane's elements of rows g and g + 8 at depth t, neighbours in depth `step` apart. */
struct ect_frag_a_tf32 { float x[4]; };
struct ect_frag_b_tf32 { float x[2]; };
ECT_INLINE ect_frag_a_tf32 ect_load_a_tf32(const float *p, const float *p8, int step)
{
    ect_frag_a_tf32 f;
    f.x[0] = p[0]; f.x[1] = p8[0]; f.x[2] = p[4 * step]; f.x[3] = p8[4 * step];
    return f;
}
ECT_INLINE ect_frag_b_tf32 ect_load_b_tf32(const float *p, int step)
{
    ect_frag_b_tf32 f;
    f.x[0] = p[0]; f.x[1] = p[4 * step];
    return f;
}

/* ---- instructions ---- */
/* mma m16n8k16: D[16][8] += A[16][16] B[16][8], bf16 or f16 operands, f32 sums. A fragment is what one lane of a warp holds of its tile. */
#ifndef ECT_EMU
struct ect_frag_a { ect_u32 x[4]; };
struct ect_frag_b { ect_u32 x[2]; };
struct ect_frag_c { float x[4]; };
ECT_INLINE ect_u32 ect_shared_address(const void *p) { return (ect_u32)__cvta_generic_to_shared(p); }
/* ldmatrix x4. A tile lies as [16 rows][k], k innermost: lane l passes the address of row l % 16, element 8 (l / 16). */
ECT_INLINE ect_frag_a ect_load_a(const ect_bf16_t *p)
{
    ect_frag_a f;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f.x[0]), "=r"(f.x[1]), "=r"(f.x[2]), "=r"(f.x[3]) : "r"(ect_shared_address(p)) : "memory");
    return f;
}
/* The same of a tile that lies as [16 k][rows], rows innermost: lane l passes the address of k = l % 8 + 8 (l / 16), row 8 (l / 8 % 2). */
ECT_INLINE ect_frag_a ect_load_a_trans(const ect_bf16_t *p)
{
    ect_frag_a f;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f.x[0]), "=r"(f.x[1]), "=r"(f.x[2]), "=r"(f.x[3]) : "r"(ect_shared_address(p)) : "memory");
    return f;
}
/* Two neighbouring B tiles, 16 columns. Stored as [16 columns][k], k innermost: lane l passes column l % 8 + 8 (l / 16), element 8 (l / 8 % 2). */
ECT_INLINE void ect_load_b2(ect_frag_b *f, const ect_bf16_t *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f[0].x[0]), "=r"(f[0].x[1]), "=r"(f[1].x[0]), "=r"(f[1].x[1]) : "r"(ect_shared_address(p)) : "memory");
}
/* Stored as [16 k][columns], columns innermost: lane l passes k = l % 16, column 8 (l / 16). */
ECT_INLINE void ect_load_b2_trans(ect_frag_b *f, const ect_bf16_t *p)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f[0].x[0]), "=r"(f[0].x[1]), "=r"(f[1].x[0]), "=r"(f[1].x[1]) : "r"(ect_shared_address(p)) : "memory");
}
/* Lane l: x[0], x[1] are D[l/4][2(l%4)], D[l/4][2(l%4)+1]; x[2], x[3] the same of row l/4 + 8. */
ECT_INLINE void ect_mma(ect_frag_c *d, const ect_frag_a &a, const ect_frag_b &b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d->x[0]), "+f"(d->x[1]), "+f"(d->x[2]), "+f"(d->x[3])
                 : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
}
ECT_INLINE void ect_mma_f16(ect_frag_c *d, const ect_frag_a &a, const ect_frag_b &b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d->x[0]), "+f"(d->x[1]), "+f"(d->x[2]), "+f"(d->x[3])
                 : "r"(a.x[0]), "r"(a.x[1]), "r"(a.x[2]), "r"(a.x[3]), "r"(b.x[0]), "r"(b.x[1]));
}
/* The operands are rounded already (ect_tf32). */
ECT_INLINE void ect_mma_tf32(ect_frag_c *d, const ect_frag_a_tf32 &a, const ect_frag_b_tf32 &b)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d->x[0]), "+f"(d->x[1]), "+f"(d->x[2]), "+f"(d->x[3])
                 : "r"(ect_bits(a.x[0])), "r"(ect_bits(a.x[1])), "r"(ect_bits(a.x[2])), "r"(ect_bits(a.x[3])), "r"(ect_bits(b.x[0])),
                   "r"(ect_bits(b.x[1])));
}
/* 16 bytes from global to shared memory, later; both addresses are multiples of 16. `bytes` of them (0 or 16) are read, the rest is 0. */
ECT_INLINE void ect_cp_async16(void *to, const void *from, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(ect_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
/* 4 bytes, aligned to 4. */
ECT_INLINE void ect_cp_async4(void *to, const void *from, int bytes)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(ect_shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
/* A barrier of `threads` threads, a multiple of 32, by number: 1 to 15 (0 is __syncthreads). All give the same count. */
ECT_INLINE void ect_bar_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
/* Counts at the barrier without waiting there: what the thread did before is done for those that wait. */
ECT_INLINE void ect_bar_arrive(int id, int threads) { asm volatile("bar.arrive %0, %1;" :: "r"(id), "r"(threads) : "memory"); }
ECT_INLINE void ect_cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Until at most `groups` of the thread's newest groups are still under way; 0 to 3, a constant. */
ECT_INLINE void ect_cp_async_wait(int groups)
{
    if (groups == 0) asm volatile("cp.async.wait_group 0;" ::: "memory");
    else if (groups == 1) asm volatile("cp.async.wait_group 1;" ::: "memory");
    else if (groups == 2) asm volatile("cp.async.wait_group 2;" ::: "memory");
    else asm volatile("cp.async.wait_group 3;" ::: "memory");
}
#endif
