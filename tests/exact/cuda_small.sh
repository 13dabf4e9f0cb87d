#!/bin/sh
# Images of 4x4 in bf16: tiles of 16 rows, where every warp has its own columns; passes, statistics on the way.
. "$SRC/tests/exact/lib"
plan small "$SRC/examples/06_own_block.dsl" -D batch=32 --target cpu,cuda --precision bf16
grep -q 'tiles of 16 x' "$work"/small/kernels/conv*.cu || { echo "no tile of 16 rows"; exit 1; }
exact small --cuda --only train_step
