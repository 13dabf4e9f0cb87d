#!/bin/sh
# Gradients of convolutions' weights (tests/kernels/wgrads) on cpu, ref and cuda-emu with every access checked, in bf16, f16, tf32 and f32; barriers and stages
# taken from the text are missed.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
AGREE='--scaled --emu'
for number in bf16 f16 tf32; do
    sed "s/ROUND/$number/g" "$SRC/tests/kernels/wgrads" >"$work/$number.dsl"
    agree $number "$work/$number.dsl" --precision $number --target cpu,cuda
done
sed 's/ROUND//g' "$SRC/tests/kernels/wgrads" >"$work/f32.dsl"
agree f32 "$work/f32.dsl" --target cpu,cuda

"$ECTC" "$work/bf16.dsl" -o "$work/plan" --precision bf16 --target cpu,cuda >/dev/null
"$BUILD/tests-tools/tensor" write "$work/x.safetensors" x:290,16,4,8 -1..1 g:290,16,4,8 -1..1
text=$(grep -l ' 144 x 16 x 9280' "$work"/plan/kernels/*.cu)
run() { "$ECTRT" run "$work/plan" many --in "$work/x.safetensors" --out "$work/y.safetensors" --device cuda-emu; }
run >/dev/null
cp "$text" "$work/keep"
# fault EDIT FINDING
fault() {
    sed -i "$1" "$text"
    ! cmp -s "$text" "$work/keep" || { echo "nothing was edited: $1"; exit 1; }
    status=0
    run >"$work/out" 2>&1 || status=$?
    cp "$work/keep" "$text"
    { [ $status = 2 ] && grep -q "$2" "$work/out"; } || { cat "$work/out"; echo "not found: $1"; exit 1; }
}
fault '/__syncthreads/d' 'a race'
fault 's/_tile + next % 2/_tile + next % 1/g; s/_tile + chunk % 2/_tile + chunk % 1/g' 'a race'
fault 's/slot < [0-9]*; slot/slot < 9999; slot/' 'after the end of shared'
fault 's/kw\*24/kw*25/' 'past a multiple of 16'
fault 's/ w_in < 8/ w_in < 200/' 'outside of every buffer'
echo "5 planted faults found"
