#!/bin/sh
# Random programs, seeds 1 to 50: fused kernels, unfused ones and both interpreters agree on values, gradients, training.
. "$SRC/tests/fuzz/lib"
# Unoptimised kernels compile fastest.
fuzz 1 50 --level -O0
