#!/bin/sh
# Several elements a thread (tests/kernels/vectors), on field elements: a training step with 2 bytes, values in f32.
. "$SRC/tests/exact/lib"
cp "$SRC/tests/kernels/vectors" "$work/vectors.dsl"
plan vectors "$work/vectors.dsl" --target cpu,cuda --precision bf16
exact vectors --cuda --only train_step
sed '/^fn pixels/,$d;s/, std.optim//' "$work/vectors.dsl" >"$work/forward.dsl"
plan forward "$work/forward.dsl" --target cpu,cuda
exact forward --cuda
