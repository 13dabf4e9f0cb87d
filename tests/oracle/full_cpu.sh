#!/bin/sh
# The real DDPM++, 55.7 million parameters with weights by formula, against the published implementation's values, on cpu.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cpu "$SRC/tests/oracle/data/ddpmpp-full"
