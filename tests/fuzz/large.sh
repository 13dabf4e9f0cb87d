#!/bin/sh
# Random programs with the sizes of layers, seeds 6 to 15, in bf16: blocks of their kernels' CUDA texts store what the graph says.
. "$SRC/tests/fuzz/lib"
[ -n "$exact" ] || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
export FUZZ_OPTIONS="--precision bf16"
fuzz 6 10 --large
