#!/bin/sh
# Kernels at sizes that divide nothing: batch 1, three channels a group, a 12x12 image, three levels down to 3x3, two colours.
. "$SRC/tests/kernels/lib"
in_one_go
agree one "$SRC/models/unet_ect.dsl" -D res=12 -D channels=12 -D 'mult=[1,2,3]' -D blocks=1 -D 'attn=[6]' -D colors=2 -D batch=1
