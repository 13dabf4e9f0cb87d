#!/bin/sh
# The same with tensor-core tiles: batch 3, five channels a group, a narrower second level.
. "$SRC/tests/exact/lib"
plan three "$SRC/models/unet_ect.dsl" -D res=6 -D channels=20 -D 'mult=[2,1]' -D blocks=1 -D 'attn=[6]' -D batch=3 --target cpu,cuda --precision bf16
exact three --cuda --only train_step
