#!/bin/sh
# Random programs, seeds 51 to 100: values, gradients and training steps of fused kernels, unfused ones and both interpreters agree.
. "$SRC/tests/fuzz/lib"
fuzz 51 50
