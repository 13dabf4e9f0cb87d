#!/bin/sh
# Random programs, seeds 51 to 100: fused kernels, unfused ones and both interpreters agree on values, gradients, training.
. "$SRC/tests/fuzz/lib"
fuzz 51 50
