#!/bin/sh
# Kernels at sizes that divide nothing: batch 3, five channels a group, a 12x12 image with attention, a narrower second level.
. "$SRC/tests/kernels/lib"
in_one_go
agree three "$SRC/models/unet_ect.dsl" -D res=12 -D channels=20 -D 'mult=[2,1]' -D blocks=1 -D 'attn=[12]' -D batch=3
