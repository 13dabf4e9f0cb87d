#!/bin/sh
# Convolutions on field elements of images so large (50x50) that they are cut into tiles; those of weight
# gradients end with a smaller one.
. "$SRC/tests/exact/lib"
plan tiles "$SRC/models/unet_ect.dsl" -D res=50 -D channels=8 -D 'mult=[1,1]' -D blocks=1 -D 'attn=[]' -D colors=1
grep -q "TILES = [2-9]" "$work"/tiles/kernels/conv*.c || { echo "nothing is cut into tiles"; exit 1; }
grep -q "TILES = 3" "$work"/tiles/kernels/wgrad*.c || { echo "no weight gradient is cut into tiles"; exit 1; }
exact tiles --only grad
