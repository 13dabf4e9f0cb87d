#!/bin/sh
# Kernels of the full training plan in bf16, at production shape, part 2 of 3.
PRECISION=bf16 PART=2
. "$SRC/tests/cuda/production.lib"
