#!/bin/sh
# Kernels of the full training plan in f32, at production shape, part 3 of 3.
PRECISION=f32 PART=3
. "$SRC/tests/cuda/production.lib"
