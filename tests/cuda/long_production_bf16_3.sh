#!/bin/sh
# Kernels of the full training plan in bf16, at production shape, part 3 of 3.
PRECISION=bf16 PART=3
. "$SRC/tests/cuda/production.lib"
