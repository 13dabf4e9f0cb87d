#!/bin/sh
# One kernel of each kind of the full DDPM++ training plan in f16 and in tf32, at its own shape: the first block, the last and two others store what the graph says.
. "$SRC/tests/exact/lib"
for precision in f16 tf32; do
    "$ECTC" "$SRC/models/unet_ect.dsl" -o "$work/$precision" --target cpu,cuda --precision $precision >/dev/null
    "$BUILD/tests-tools/blocks" --terms 4e6 --some "$work/$precision"
done
