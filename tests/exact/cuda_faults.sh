#!/bin/sh
# Exact mode finds what is wrong in CUDA texts: faults planted one at a time, each rule in one kind of kernel, are all seen. Products by tensor-core tiles.
. "$SRC/tests/exact/lib"
plan planted "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1]' -D blocks=1 -D 'attn=[8]' --target cpu,cuda --precision bf16
exact planted --cuda --only grad --faults --few >"$work/out" || { cat "$work/out"; exit 1; }
tail -n 2 "$work/out"
[ "$(grep -c '^found' "$work/out")" -ge 50 ] || { echo "few faults"; exit 1; }
