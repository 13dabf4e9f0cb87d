#!/bin/sh
# Dropout masks shared by both passes, given as recorded, against the published implementation's values, on ref.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device ref "$SRC/tests/oracle/data/ddpmpp-dropout"
