#!/bin/sh
# The bytes each launch loads and stores, counted address by address, are the plan's figure for it: all launches, in f32, f16 and tf32.
. "$SRC/tests/exact/lib"
for precision in f32 f16 tf32; do
    plan labels "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' -D labels=10 \
        --precision $precision
    exact labels --count
    plan shapes "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --precision $precision
    exact shapes --count
    plan odd "$SRC/models/unet_ect.dsl" -D res=12 -D channels=12 -D 'mult=[1,2,3]' -D blocks=1 -D 'attn=[3]' -D colors=2 -D batch=1 \
        --precision $precision
    exact odd --only train_step --count
done
