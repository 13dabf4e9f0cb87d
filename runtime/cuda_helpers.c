/* The runtime's own kernels, as PTX that the driver compiles: what training does to flat arrays between micro-batches, so that gradients need
   not pass through the host; what rounds the operands of library products; and what makes images of bytes. Assumes 1-D blocks and grids. PTX 7.0 for sm_80: every driver that has
   cuLibraryLoadData takes it. */
#include "runtime/cuda_device.h"

/* An entry that runs BODY for each element: %d4 its index, %d6 its byte offset; %d1 the first parameter's address. */
#define LOOP(body) \
    "  mov.u32 %r1, %ctaid.x;\n  mov.u32 %r2, %ntid.x;\n  mov.u32 %r3, %tid.x;\n  mov.u32 %r4, %nctaid.x;\n" \
    "  cvt.u64.u32 %d5, %r3;\n  mad.wide.u32 %d4, %r1, %r2, %d5;\n  mul.wide.u32 %d5, %r2, %r4;\n" \
    "NEXT:\n  setp.ge.s64 %p1, %d4, %d3;\n  @%p1 bra DONE;\n  shl.b64 %d6, %d4, 2;\n  add.s64 %d7, %d1, %d6;\n" body \
    "  add.s64 %d4, %d4, %d5;\n  bra NEXT;\nDONE:\n"
#define REGISTERS "{\n  .reg .pred %p<3>;\n  .reg .f32 %f<4>;\n  .reg .b16 %h<2>;\n  .reg .b32 %r<16>;\n  .reg .b64 %d<12>;\n"
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
    "  ret;\n}\n"
    /* to[n][c][h][w] of pixels[][h][w][c]: x / 127.5 - 1, as the host. %r6, %r7, %r11: x, y, channel; %r12: image number, %p2: mirrored */
    ".visible .entry ect_rt_images(.param .u64 to, .param .u64 from, .param .u64 n, .param .u64 numbers, .param .u32 w, .param .u32 h, .param .u32 c)\n"
    REGISTERS TWO
    "  ld.param.u64 %d10, [numbers];\n  cvta.to.global.u64 %d10, %d10;\n"
    "  ld.param.u32 %r8, [w];\n  ld.param.u32 %r9, [h];\n  ld.param.u32 %r10, [c];\n"
    LOOP("  cvt.u32.u64 %r5, %d4;\n  rem.u32 %r6, %r5, %r8;\n  div.u32 %r5, %r5, %r8;\n  rem.u32 %r7, %r5, %r9;\n  div.u32 %r5, %r5, %r9;\n"
         "  rem.u32 %r11, %r5, %r10;\n  div.u32 %r5, %r5, %r10;\n"
         "  mul.wide.u32 %d8, %r5, 4;\n  add.s64 %d8, %d10, %d8;\n  ld.global.u32 %r12, [%d8];\n"
         "  and.b32 %r13, %r12, 1;\n  setp.ne.u32 %p2, %r13, 0;\n  shr.u32 %r12, %r12, 1;\n"
         "  sub.u32 %r13, %r8, %r6;\n  sub.u32 %r13, %r13, 1;\n  selp.b32 %r6, %r13, %r6, %p2;\n"
         "  mul.wide.u32 %d8, %r12, %r9;\n  cvt.u64.u32 %d9, %r7;\n  add.s64 %d8, %d8, %d9;\n"
         "  cvt.u64.u32 %d9, %r8;\n  mul.lo.u64 %d8, %d8, %d9;\n  cvt.u64.u32 %d9, %r6;\n  add.s64 %d8, %d8, %d9;\n"
         "  cvt.u64.u32 %d9, %r10;\n  mul.lo.u64 %d8, %d8, %d9;\n  cvt.u64.u32 %d9, %r11;\n  add.s64 %d8, %d8, %d9;\n"
         "  add.s64 %d8, %d2, %d8;\n  ld.global.u8 %h1, [%d8];\n  cvt.rn.f32.u16 %f1, %h1;\n"
         "  div.rn.f32 %f1, %f1, 0f42FF0000;\n  add.rn.f32 %f1, %f1, 0fBF800000;\n  st.global.f32 [%d7], %f1;\n")
    "  ret;\n}\n";
