#!/bin/sh
# The same with labels, augment vector, Adam, grey images, the constant mapping and no dropout.
. "$SRC/tests/exact/lib"
for precision in f32 bf16; do
    plan labels "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' -D colors=1 \
        -D dropout=0.0 -D labels=10 -D augment=9 -D optimizer=adam -D mapping=const --precision $precision
    exact labels
done
