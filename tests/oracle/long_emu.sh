#!/bin/sh
# The network of the paper, small, against the published implementation's values, on cuda-emu: the CUDA texts. With long_emu_cond.sh beside it on two cores in
# less than six minutes: accesses to memory are not checked here (cuda/models.sh), values are compared.
set -eu
export ECT_EMU_CHECK=off
exec "$BUILD/tests-tools/oracle" --bin "$BUILD" --models "$SRC" --device cuda-emu "$SRC/tests/oracle/data/ddpmpp"
