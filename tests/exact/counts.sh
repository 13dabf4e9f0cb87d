#!/bin/sh
# The bytes each launch loads and stores, counted address by address, are the plan's figure for it: a network in f32, one with 2 bytes, odd sizes in tf32
# (long_counts.sh: each in every precision).
. "$SRC/tests/exact/lib"
plan labels "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' -D labels=10
exact labels --count
plan shapes "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --precision f16
exact shapes --count
plan odd "$SRC/models/unet_ect.dsl" -D res=12 -D channels=12 -D 'mult=[1,2,3]' -D blocks=1 -D 'attn=[3]' -D colors=2 -D batch=1 --precision tf32
exact odd --only train_step --count
