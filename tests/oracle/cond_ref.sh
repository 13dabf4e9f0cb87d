#!/bin/sh
# Class labels and augment vectors against the published implementation's values, on ref.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device ref "$SRC/tests/oracle/data/ddpmpp-cond"
