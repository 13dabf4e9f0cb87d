#!/bin/sh
# As denoise.sh, in tf32 and f16, which have three bits more.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
in_one_go
AGREE='--scaled --emu --within 1e-2 --only denoise'
for precision in tf32 f16; do
    agree $precision "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --precision $precision --target cpu,cuda
done
