#!/bin/sh
# The same in bf16: products by tensor-core tiles.
. "$SRC/tests/exact/lib"
plan unet "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' --target cpu,cuda --precision bf16
[ "$(grep -l 'mma.sync bf16' "$work"/unet/kernels/*.cu | wc -l)" -ge 50 ] || { echo "few products use tensor cores"; exit 1; }
exact unet --cuda
