#!/bin/sh
# CUDA texts on field elements at sizes that divide nothing: three channels a group, three levels of a 12x12 image, batch 1.
. "$SRC/tests/exact/lib"
plan one "$SRC/models/unet_ect.dsl" -D res=12 -D channels=12 -D 'mult=[1,2,3]' -D blocks=1 -D 'attn=[3]' -D colors=2 -D batch=1 --target cpu,cuda
exact one --cuda --only grad
