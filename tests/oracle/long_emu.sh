#!/bin/sh
# The network of the paper, small, with and without classes, against the published implementation's values, on cuda-emu: the CUDA texts.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cuda-emu "$SRC/tests/oracle/data/ddpmpp" "$SRC/tests/oracle/data/ddpmpp-cond"
