#!/bin/sh
# The CUDA texts of a loss of one's own on cuda-emu, every access checked, against the interpreter: values, gradients, training, sampling.
. "$SRC/tests/kernels/lib"
[ -z "${SLOW_FACTOR-}" ] || { echo "too slow with sanitizers"; exit 77; }
AGREE='--emu --quick'
agree own_loss "$SRC/examples/04_own_loss.dsl" --target cpu,cuda -D batch=2
