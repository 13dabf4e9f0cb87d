#!/bin/sh
# models/shapes.dsl, denoise, in bf16 (tf32 and f16: long_denoise.sh), on cpu and cuda-emu: against ref64, which rounds nothing, and one against the other. Rounding to B
# bits is 2^-B of a value; this network's weights make 30 times as much of it in its result. Two devices add up in another order, so a value in a
# thousand is rounded the other way, and then those that come of it: what is between them is as much as what is between one and ref64.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
in_one_go
AGREE='--scaled --emu --within 8e-2 --only denoise'
agree bf16 "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --precision bf16 --target cpu,cuda
