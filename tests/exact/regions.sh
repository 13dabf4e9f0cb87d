#!/bin/sh
# Every kernel of networks with `precision` regions on field elements, bit for bit: gradients on cpu, regions in each other from the CUDA texts too.
. "$SRC/tests/exact/lib"
sed 's/WHOLE/precision tf32/' "$SRC/tests/kernels/regions" >"$work/whole.dsl"
plan whole "$work/whole.dsl" --precision bf16
exact whole --only grad
plan several "$SRC/tests/kernels/regions_several" --precision bf16 --target cpu,cuda
exact several --only several
exact several --only grad
exact several --cuda --only several
