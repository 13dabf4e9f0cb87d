#!/bin/sh
# Weights in 2 bytes that come by asynchronous copies, on cpu, ref and cuda-emu: each form of a convolution's lines, one operand copied and both.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
cp "$SRC/tests/kernels/ring" "$work/ring.dsl"
"$ECTC" "$work/ring.dsl" -o "$work/plan" --precision bf16 --target cpu,cuda >"$work/compile.txt" 2>&1 || { cat "$work/compile.txt"; exit 1; }
for form in bring_lines stage_lines 'a_to = a_tile + turn' 'a_now = a_tile + turn % 2'; do
    grep -q "$form" "$work"/plan/kernels/*.cu || { echo "no kernel has $form"; exit 1; }
done
# fault PROGRAM EDIT SAID: the program's kernels, edited, are found to be wrong by cuda-emu, whatever the values are
"$ECTRT" explain "$work/plan" --parameters --json >"$work/shapes.json"
"$BUILD/tests-tools/tensor" weights "$work/w.safetensors" "$work/shapes.json"
run() { "$ECTRT" run "$work/plan" "$1" --weights "$work/w.safetensors" --in "$work/$1.x" --out "$work/y.safetensors" --device cuda-emu >"$work/said" 2>&1; }
for one in lines_copied:2,32,16,16 lines_in_pieces:2,32,8,8; do "$BUILD/tests-tools/tensor" write "$work/${one%:*}.x" "x:${one#*:}" -1..1; done
mkdir "$work/keep"
cp "$work"/plan/kernels/*.cu "$work/keep"
fault() {
    sed -i "$2" "$work"/plan/kernels/*.cu
    status=0
    run "$1" || status=$?
    cp "$work"/keep/*.cu "$work/plan/kernels"
    { [ "$status" = 2 ] && grep -q "$3" "$work/said"; } || { cat "$work/said"; echo "not seen in $1: $2"; exit 1; }
}
run lines_copied && run lines_in_pieces || { cat "$work/said"; exit 1; }
fault lines_copied '/ect_cp_async_wait/d' 'an asynchronous copy'
fault lines_copied 's/ect_cp_async_wait(2)/ect_cp_async_wait(3)/' 'an asynchronous copy'
fault lines_copied 's/b_now = b_tile + turn/b_now = b_tile + (turn + 1)/' 'an asynchronous copy'
fault lines_copied 's/__syncthreads();  .* for all threads/__syncwarp();  \/* for all threads/' 'a race'
fault lines_copied 's/bring_lines(k0 + 32)/bring_lines(k0)/' 'an asynchronous copy\|a race'
fault lines_in_pieces 's/a_to = a_tile + k0/a_to = a_tile + (k0 + 32)/' 'a race'
# Values to a few roundings of operands; to the last one in exact/cuda_ring.sh. Here every access is checked.
for bound in bf16=1e-2 f16=2e-3; do
    AGREE="--scaled --emu --within ${bound#*=}"
    agree "${bound%=*}" "$work/ring.dsl" --precision "${bound%=*}" --target cpu,cuda
done
