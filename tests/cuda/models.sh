#!/bin/sh
# The CUDA texts of whole models on cuda-emu, every access checked, against the interpreter: values, gradients, training, sampling.
. "$SRC/tests/kernels/lib"
[ -z "${SLOW_FACTOR-}" ] || { echo "too slow with sanitizers"; exit 77; }
AGREE='--emu --quick'
agree unet "$SRC/models/unet_ect.dsl" --target cpu,cuda -D res=8 -D channels=16 -D 'mult=[1]' -D blocks=1 -D 'attn=[8]'
agree gated "$SRC/examples/07_gated_blocks.dsl" --target cpu,cuda
