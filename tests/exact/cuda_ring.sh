#!/bin/sh
# Weights that come by asynchronous copies (tests/kernels/ring), on field elements.
. "$SRC/tests/exact/lib"
cp "$SRC/tests/kernels/ring" "$work/ring.dsl"
plan ring "$work/ring.dsl" --target cpu,cuda --precision bf16
exact ring --cuda
