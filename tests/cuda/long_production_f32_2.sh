#!/bin/sh
# Kernels of the full training plan in f32, at production shape, part 2 of 3.
PRECISION=f32 PART=2
. "$SRC/tests/cuda/production.lib"
