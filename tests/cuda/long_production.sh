#!/bin/sh
# Every kernel of the full DDPM++ training plan in bf16, at its own shape: the first block, the last and two others store what the graph says.
. "$SRC/tests/exact/lib"
"$ECTC" "$SRC/models/unet_ect.dsl" -o "$work/full" --target cpu,cuda --precision "${PRECISION:-bf16}" >/dev/null
"$BUILD/tests-tools/blocks" --terms "${TERMS:-1e7}" "$work/full"
