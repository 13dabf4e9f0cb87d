#!/bin/sh
# Dropout masks shared by both passes, given as recorded, against the published implementation's values, on cuda-emu: the CUDA texts.
[ -z "${SLOW_FACTOR-}" ] || { echo "too slow with sanitizers"; exit 77; }
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cuda-emu "$SRC/tests/oracle/data/ddpmpp-dropout"
