#!/bin/sh
# Class labels and augment vectors against the published implementation's values, on cpu.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cpu "$SRC/tests/oracle/data/ddpmpp-cond"
