#!/bin/sh
# All planted faults of CUDA texts, each in every kind of kernel that has such a place: tensor-core tiles, sums in parts, passes.
. "$SRC/tests/exact/lib"
plan tiles "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' --target cpu,cuda --precision bf16
plan parts "$SRC/models/unet_ect.dsl" -D res=16 -D channels=32 -D 'mult=[1]' -D blocks=1 -D 'attn=[]' -D batch=4 --target cpu,cuda
plan passes "$SRC/examples/06_own_block.dsl" --target cpu,cuda --precision bf16
: >"$work/out"
for p in tiles parts passes; do
    exact $p --cuda --only grad --faults >"$work/one" || { cat "$work/one"; exit 1; }
    tail -n 1 "$work/one"
    cat "$work/one" >>"$work/out"
done
for kind in conv wgrad matmul sum map pass rows; do
    [ "$(grep -c "^found  ${kind}_" "$work/out")" -ge 3 ] || { echo "too few faults in $kind"; exit 1; }
done
grep -q 'parts of the sum are lost' "$work/out" || { echo "no sum in parts was edited"; exit 1; }
