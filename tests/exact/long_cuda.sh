#!/bin/sh
# CUDA texts on field elements: labels, augment vector, Adam, grey images; odd sizes in the other precision; images cut into tiles; examples.
. "$SRC/tests/exact/lib"
for precision in f32 bf16; do
    plan labels "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' -D colors=1 \
        -D dropout=0.0 -D labels=10 -D augment=9 -D optimizer=adam -D mapping=const --target cpu,cuda --precision $precision
    exact labels --cuda
    plan shapes "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --target cpu,cuda --precision $precision
    exact shapes --cuda
    plan one "$SRC/models/unet_ect.dsl" -D res=12 -D channels=12 -D 'mult=[1,2,3]' -D blocks=1 -D 'attn=[3]' -D colors=2 -D batch=1 \
        --target cpu,cuda --precision $precision
    exact one --cuda --only train_step
    plan three "$SRC/models/unet_ect.dsl" -D res=6 -D channels=20 -D 'mult=[2,1]' -D blocks=1 -D 'attn=[6]' -D batch=3 --target cpu,cuda \
        --precision $precision
    exact three --cuda --only grad
    plan tiles "$SRC/models/unet_ect.dsl" -D res=34 -D channels=8 -D 'mult=[1,1]' -D blocks=1 -D 'attn=[]' -D colors=1 --target cpu,cuda \
        --precision $precision
    exact tiles --cuda --only grad
    # sums over so many rows that they are split; rows reduced in tiles of several
    plan wide "$SRC/models/unet_ect.dsl" -D res=16 -D channels=64 -D 'mult=[1]' -D blocks=1 -D 'attn=[16]' -D batch=4 --target cpu,cuda \
        --precision $precision
    grep -q 'the sum in [0-9]* parts' "$work"/wide/kernels/*.cu || { echo "no sum is split"; exit 1; }
    exact wide --cuda --only grad
done
plan unfused "$SRC/models/shapes.dsl" -D channels=4 -D res=4 -D 'attn=[2]' --target cpu,cuda --fusion none
exact unfused --cuda --only grad
for f in "$SRC"/examples/*.dsl; do
    name=$(basename "$f" .dsl)
    echo "$name:"
    for precision in f32 bf16; do
        plan "$name" "$f" --target cpu,cuda --precision $precision
        exact "$name" --cuda
    done
done
