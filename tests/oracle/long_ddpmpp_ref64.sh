#!/bin/sh
# The small DDPM++ against the published implementation's values, by the float64 interpreter.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device ref64 "$SRC/tests/oracle/data/ddpmpp"
