#!/bin/sh
# Kernels of the full training plan in bf16, at production shape, part 1 of 3.
PRECISION=bf16 PART=1
. "$SRC/tests/cuda/production.lib"
