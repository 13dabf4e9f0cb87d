#!/bin/sh
# Random programs, seeds 1 to 50: values, gradients and training steps of fused kernels, unfused ones and both interpreters agree.
. "$SRC/tests/fuzz/lib"
fuzz 1 50
