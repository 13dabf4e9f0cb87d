#!/bin/sh
# Kernels on field elements at sizes that divide nothing: three channels a group, three levels of a 12x12 image, batch 1;
# then batch 3, five channels a group, a narrower second level.
. "$SRC/tests/exact/lib"
plan one "$SRC/models/unet_ect.dsl" -D res=12 -D channels=12 -D 'mult=[1,2,3]' -D blocks=1 -D 'attn=[3]' -D colors=2 -D batch=1
exact one --only train_step
plan three "$SRC/models/unet_ect.dsl" -D res=6 -D channels=20 -D 'mult=[2,1]' -D blocks=1 -D 'attn=[6]' -D batch=3
exact three --only grad
