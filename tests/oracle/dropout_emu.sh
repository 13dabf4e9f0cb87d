#!/bin/sh
# Dropout masks shared by both passes, given as recorded, against the published implementation's values, on cuda-emu: the CUDA texts.
# Accesses to memory are checked in long_emu_dropout.sh.
[ -z "${SLOW_FACTOR-}" ] || { echo "too slow with sanitizers"; exit 77; }
set -eu
export ECT_EMU_CHECK=off
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cuda-emu "$SRC/tests/oracle/data/ddpmpp-dropout"
