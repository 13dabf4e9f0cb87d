#!/bin/sh
# Several elements a thread: rows of 256 and 512 columns in warps, joined tensors, groups of 4 and 12 channels, sums over rows: each form is there, and
# values on cuda-emu, every access checked, are those of ref to a few roundings; to the last bit in exact/cuda_vectors.sh.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
in_one_go
cp "$SRC/tests/kernels/vectors" "$work/vectors.dsl"
"$ECTC" "$work/vectors.dsl" -o "$work/plan" --precision bf16 --target cpu,cuda >"$work/compile.txt" 2>&1 || { cat "$work/compile.txt"; exit 1; }
for form in 'group < SHARE' 'lane\*8;' '\[q / 4\]' 'fold_sum' 'float t[0-9]*\[8\]' '8 columns for each' '4 columns for each' '_next = ect_fetch8' 'fold_max = \[&\](float \*mine)' '4 results a thread;' '[48] results a thread: each'; do
    grep -q "$form" "$work"/plan/kernels/*.cu || { echo "no kernel has $form"; exit 1; }
done
sed '/^fn pixels/,$d;s/, std.optim//' "$work/vectors.dsl" >"$work/forward.dsl"         # gradients: in exact/cuda_vectors.sh
for bound in bf16=2e-2 f16=4e-3; do
    AGREE="--scaled --emu --within ${bound#*=}"
    agree "${bound%=*}" "$work/forward.dsl" --precision "${bound%=*}" --target cpu,cuda
done
