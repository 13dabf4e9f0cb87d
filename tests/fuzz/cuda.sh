#!/bin/sh
# Random programs on CUDA texts: exact mode, fused and op by op, in f32 and with tensor cores; a few on cuda-emu, every access checked.
. "$SRC/tests/fuzz/lib"
[ -n "$exact" ] || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
fuzz 201 3 --cuda
FUZZ_OPTIONS="--precision bf16" fuzz 204 3 --cuda
fuzz 207 2 --emu
