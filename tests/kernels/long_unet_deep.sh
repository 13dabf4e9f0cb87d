#!/bin/sh
# Every generated kernel of a DDPM++ of three levels at batch 2, grey images, attention at 8x8, the constant mapping: cpu against the interpreters.
. "$SRC/tests/kernels/lib"
in_one_go
agree deep "$SRC/models/unet_ect.dsl" -D res=32 -D channels=8 -D 'mult=[1,2,2]' -D blocks=2 -D 'attn=[8]' -D colors=1 -D mapping=const
