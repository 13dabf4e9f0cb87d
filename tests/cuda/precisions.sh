#!/bin/sh
# Products of bf16, f16 and tf32, leaf by leaf, through the real NVRTC for sm_80 and sm_90a: no warning, no spill, and mma.sync of the precision in all
# that has two rounded operands.
. "$SRC/tests/cuda/lib"
need_nvrtc
export ECT_CACHE="$work/cache"
for number in bf16 f16 tf32; do
    sed "s/ROUND/$number/g" "$SRC/tests/kernels/products" >$number.dsl
    "$ECTC" $number.dsl -o $number --precision $number --target cpu,cuda >compile.txt 2>&1 || { cat compile.txt; fail "ectc --precision $number"; }
    [ "$(grep -l "mma.sync $number" $number/kernels/*.cu | wc -l)" = "$(ls $number/kernels/matmul_*.cu $number/kernels/conv_*.cu | wc -l)" ] || fail "a product without mma.sync $number"
    for arch in sm_80 sm_90a; do expect 0 "$ECTRT" cubins $number --arch $arch; tail -n 1 out.txt; done
done

# Regions: each product by its own precision, those of f32 by plain multiply-adds.
"$ECTC" "$SRC/tests/kernels/regions_several" -o regions --precision bf16 --target cpu,cuda >compile.txt 2>&1 || { cat compile.txt; fail "ectc regions"; }
for f in regions/kernels/conv_*.cu regions/kernels/matmul_*.cu regions/kernels/wgrad_*.cu; do
    own=$(sed -n 's/^   precision  \([a-z0-9]*\):.*/\1/p' "$f")
    used=$(sed -n 's/.*mma\.sync \([a-z0-9]*\).*/\1/p' "$f" | head -n 1)
    [ "${used:-f32}" = "${own:-bf16}" ] || fail "$f: a product of ${own:-bf16}, multiplied in ${used:-f32}"
done
expect 0 "$ECTRT" cubins regions --arch sm_90a --program several
tail -n 1 out.txt
