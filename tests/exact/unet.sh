#!/bin/sh
# Every kernel of a small DDPM++ with dropout on field elements, bit for bit.
. "$SRC/tests/exact/lib"
for precision in f32 bf16; do
    plan unet "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' --precision $precision
    exact unet
done
