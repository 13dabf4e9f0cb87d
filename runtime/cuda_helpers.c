/* The runtime's own kernels, as PTX that the driver compiles: what training does to flat arrays between micro-batches, so that gradients need
   not pass through the host; and what rounds the operands of library products. Assumes 1-D blocks and grids. PTX 7.0 for sm_80: every driver that has
   cuLibraryLoadData takes it. */
#include "runtime/cuda_device.h"

/* An entry that runs BODY for each element: %d4 its index, %d6 its byte offset; %d1 the first parameter's address. */
#define LOOP(body) \
    "  mov.u32 %r1, %ctaid.x;\n  mov.u32 %r2, %ntid.x;\n  mov.u32 %r3, %tid.x;\n  mov.u32 %r4, %nctaid.x;\n" \
    "  cvt.u64.u32 %d5, %r3;\n  mad.wide.u32 %d4, %r1, %r2, %d5;\n  mul.wide.u32 %d5, %r2, %r4;\n" \
    "NEXT:\n  setp.ge.s64 %p1, %d4, %d3;\n  @%p1 bra DONE;\n  shl.b64 %d6, %d4, 2;\n  add.s64 %d7, %d1, %d6;\n" body \
    "  add.s64 %d4, %d4, %d5;\n  bra NEXT;\nDONE:\n"
#define REGISTERS "{\n  .reg .pred %p<3>;\n  .reg .f32 %f<4>;\n  .reg .b16 %h<2>;\n  .reg .b32 %r<8>;\n  .reg .b64 %d<12>;\n"
#define TWO \
    "  ld.param.u64 %d1, [to];\n  ld.param.u64 %d2, [from];\n  ld.param.u64 %d3, [n];\n" \
    "  cvta.to.global.u64 %d1, %d1;\n  cvta.to.global.u64 %d2, %d2;\n"

/* The same with %d1 the address read and %d2 the one written. */
#define FROM \
    "  ld.param.u64 %d2, [to];\n  ld.param.u64 %d1, [from];\n  ld.param.u64 %d3, [n];\n" \
    "  cvta.to.global.u64 %d1, %d1;\n  cvta.to.global.u64 %d2, %d2;\n"
/* to[i] = from[i] rounded, in 2 bytes, at %d8. */
#define HALVE(convert) "  ld.global.f32 %f1, [%d7];\n  shr.u64 %d8, %d6, 1;\n  add.s64 %d8, %d2, %d8;\n  " convert " %h1, %f1;\n  st.global.b16 [%d8], %h1;\n"

const char cuda_helpers[] =
    ".version 7.0\n.target sm_80\n.address_size 64\n"
    ".visible .entry ect_rt_add(.param .u64 to, .param .u64 from, .param .u64 n)\n" REGISTERS TWO
    LOOP("  add.s64 %d8, %d2, %d6;\n  ld.global.f32 %f1, [%d7];\n  ld.global.f32 %f2, [%d8];\n  add.rn.f32 %f1, %f1, %f2;\n"
         "  st.global.f32 [%d7], %f1;\n")
    "  ret;\n}\n"
    ".visible .entry ect_rt_scale(.param .u64 to, .param .u64 from, .param .u64 n, .param .f32 scale)\n" REGISTERS TWO
    "  ld.param.f32 %f3, [scale];\n"
    LOOP("  add.s64 %d8, %d2, %d6;\n  ld.global.f32 %f2, [%d8];\n  mul.rn.f32 %f2, %f2, %f3;\n  st.global.f32 [%d7], %f2;\n")
    "  ret;\n}\n"
    ".visible .entry ect_rt_bad(.param .u64 flat, .param .u64 n, .param .u64 count)\n" REGISTERS
    "  ld.param.u64 %d1, [flat];\n  ld.param.u64 %d3, [n];\n  ld.param.u64 %d2, [count];\n"
    "  cvta.to.global.u64 %d1, %d1;\n  cvta.to.global.u64 %d2, %d2;\n  mov.u64 %d9, 0;\n"
    LOOP("  ld.global.b32 %r5, [%d7];\n  and.b32 %r5, %r5, 0x7f800000;\n  setp.eq.s32 %p2, %r5, 0x7f800000;\n  selp.u64 %d10, 1, 0, %p2;\n"
         "  add.s64 %d9, %d9, %d10;\n")
    "  setp.eq.s64 %p1, %d9, 0;\n  @%p1 bra END;\n  red.global.add.u64 [%d2], %d9;\nEND:\n  ret;\n}\n"
    ".visible .entry ect_rt_round_bf16(.param .u64 to, .param .u64 from, .param .u64 n)\n" REGISTERS FROM
    LOOP(HALVE("cvt.rn.bf16.f32")) "  ret;\n}\n"
    ".visible .entry ect_rt_round_f16(.param .u64 to, .param .u64 from, .param .u64 n)\n" REGISTERS FROM
    LOOP(HALVE("cvt.rn.f16.f32")) "  ret;\n}\n"
    ".visible .entry ect_rt_round_tf32(.param .u64 to, .param .u64 from, .param .u64 n)\n" REGISTERS FROM
    LOOP("  ld.global.f32 %f1, [%d7];\n  add.s64 %d8, %d2, %d6;\n  cvt.rna.tf32.f32 %r5, %f1;\n  st.global.b32 [%d8], %r5;\n")
    "  ret;\n}\n";
