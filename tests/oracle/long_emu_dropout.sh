#!/bin/sh
# oracle/dropout_emu.sh with every access to memory checked.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cuda-emu "$SRC/tests/oracle/data/ddpmpp-dropout"
