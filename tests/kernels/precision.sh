#!/bin/sh
# Products of rounded operands on cpu, ref and cuda-emu: bf16, f16 and tf32, each written in the text (ref rounds too, so only sums in f32 differ) and
# compiled with that precision. Every leaf: convolutions staged once, strided, narrow, of odd sizes; plain products whichever operand lies how;
# batches; long sums in parts; rows reduced in the tile.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
AGREE='--scaled --emu'
for number in bf16 f16 tf32; do
    sed "s/ROUND/$number/g" "$SRC/tests/kernels/products" >"$work/$number.dsl"
    for precision in f32 $number; do agree $number-$precision "$work/$number.dsl" --precision $precision --target cpu,cuda; done
done
