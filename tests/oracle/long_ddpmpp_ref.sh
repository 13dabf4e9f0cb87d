#!/bin/sh
# Outputs, losses, gradients, optimizer steps and samples of a small DDPM++ against the published implementation's, on ref.
set -eu
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device ref "$SRC/tests/oracle/data/ddpmpp"
