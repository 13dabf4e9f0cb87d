#!/bin/sh
# Kernels through the real NVRTC: the same bits each time, cached and packed; spills, warnings, budgets and errors end with status 1 or 2.
. "$SRC/tests/cuda/lib"
need_nvrtc
tiny_model
with_cuda plan 9
export ECT_CACHE="$work/cache"
for arch in sm_80 sm_90a sm_120; do
    expect 0 "$ECTRT" cubins plan --arch $arch
    grep -q '9 kernels, 9 compiled now' out.txt || { cat out.txt; fail "$arch"; }
    [ "$(grep -c '"  *[1-9]' out.txt)" = 9 ] || { cat out.txt; fail "registers of $arch"; }
done
tail -n 1 out.txt
expect 0 "$ECTRT" cubins plan --json
grep -q '"registers": [1-9]' out.txt || fail "no registers"
expect 0 "$ECTRT" cubins plan --program denoise
load 0 plan sm_90a
compiles 0
bits >one
ECT_CACHE=off load 0 plan sm_90a
compiles 9
bits >two
same one two
load 0 plan sm_90a --draw-inputs                      # no kernel draws: the same objects
compiles 0
expect 1 "$ECTRT" cubins plan --arch 90
expect 1 "$ECTRT" cubins plan --arch sm_1
says 'gpu-architecture'

# Packed, no compiler is needed; the bits are those.
expect 0 "$ECTRT" cache pack plan --arch sm_90a
export ECT_CUDA_PATH=/nowhere ECT_CACHE="$work/other"
load 0 plan sm_90a --require-cached
compiles 0
[ "$(grep -c ' packed$' out.txt)" = 9 ] || fail "not all packed"
bits >three
same one three
load 2 plan sm_80
says 'no NVRTC in ECT_CUDA_PATH=/nowhere'
unset ECT_CUDA_PATH

# Draws: another object for the variant.
name=$(sed -n 1p names)
sed -i 's/ect_exp(x\[i\])/ECT_DRAW_OR(ect_exp(x[i]))/; 1i\
#ifdef ECT_DRAW_INPUTS\
#define ECT_DRAW_OR(x) 1.5f\
#else\
#define ECT_DRAW_OR(x) (x)\
#endif' "plan/kernels/$name.cu"
load 0 plan sm_90a
compiles 1
load 0 plan sm_90a --draw-inputs
compiles 1
cp "plan/kernels/$name.cu" kept

# Budgets.
echo "$name registers 200 spill 0 ms 100000 # plenty" >budget
echo "* shared 1000000 blocks 1" >>budget
expect 0 "$ECTRT" cubins plan --budget budget
echo "$name registers 4" >budget
expect 1 "$ECTRT" cubins plan --budget budget
says 'registers, of at most 4'
echo "$name tables 4" >budget
expect 1 "$ECTRT" cubins plan --budget budget
says 'budget:1:'

# A spill, a warning, an error with the line in the kernel's own file.
cat >"plan/kernels/$name.cu" <<EOF
struct ${name}_args { const EctNow *now; void *workspace; void *buf[2]; };
extern "C" __global__ void __launch_bounds__(1024, 2) $name(const __grid_constant__ ${name}_args args)
{
    float a[64], *p = (float *)args.buf[0];
#pragma unroll
    for (int i = 0; i < 64; i++) a[i] = p[i * 1024 + threadIdx.x];
    for (int j = 0; j < 100; j++) {
#pragma unroll
        for (int i = 0; i < 64; i++) a[i] = a[i] * a[(i + 7) % 64] + p[j];
    }
#pragma unroll
    for (int i = 0; i < 64; i++) p[i * 1024 + threadIdx.x] = a[i];
}
EOF
expect 1 "$ECTRT" cubins plan
says "$name: spills"
load 0 plan sm_90a                                    # it runs, slowly
sed 's/^{$/{ int unused_here;/' kept >"plan/kernels/$name.cu"
expect 1 "$ECTRT" cubins plan
says "$name: the compiler warns"
says 'unused_here'
sed 's/^{$/{ nothing_such();/' kept >"plan/kernels/$name.cu"
at=$(grep -n nothing_such "plan/kernels/$name.cu" | cut -d : -f 1)
expect 1 "$ECTRT" cubins plan
says "$name.cu($at): error"
load 2 plan sm_90a
says "$name.cu($at): error"
