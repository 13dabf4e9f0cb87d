#!/bin/sh
# The same in f32.
PRECISION=f32
. "$SRC/tests/cuda/long_production.sh"
