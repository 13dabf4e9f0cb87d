#!/bin/sh
# The same with classes.
set -eu
export ECT_EMU_CHECK=off
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cuda-emu "$SRC/tests/oracle/data/ddpmpp-cond"
