#!/bin/sh
# Several elements a thread (tests/kernels/vectors), on field elements: with 2 bytes and in f32.
. "$SRC/tests/exact/lib"
cp "$SRC/tests/kernels/vectors" "$work/vectors.dsl"
for precision in bf16 f32; do
    plan $precision "$work/vectors.dsl" --target cpu,cuda --precision $precision
    exact $precision --cuda
done
