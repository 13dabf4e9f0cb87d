#!/bin/sh
# The CUDA text of every kernel of a small DDPM++ with dropout, on the emulator and on field elements: the interpreter's bits.
. "$SRC/tests/exact/lib"
plan unet "$SRC/models/unet_ect.dsl" -D channels=16 -D res=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[4]' --target cpu,cuda
exact unet --cuda
