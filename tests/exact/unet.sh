#!/bin/sh
# Every kernel of a small DDPM++ with dropout on field elements, bit for bit.
. "$SRC/tests/exact/lib"
plan unet "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]'
exact unet
