#!/bin/sh
# The real DDPM++ against the published implementation's values, by the interpreter.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device ref "$SRC/tests/oracle/data/ddpmpp-full"
