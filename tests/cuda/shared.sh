#!/bin/sh
# Kernels that share a CUDA text (pass V) compute the same bits as each with its own, on cuda-emu. Texts are fewer, their numbers are in the plan,
# what a plan says of them is checked.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/e2e/lib"
small="-D res=4 -D channels=8 -D mult=[1,1] -D blocks=1 -D attn=[] -D batch=2 -D dropout=0.2"
for share in yes no; do
    for precision in f32 bf16; do
        # shellcheck disable=SC2086
        expect 0 "$ECTC" "$SRC/models/unet_ect.dsl" -o $share.$precision --target cpu,cuda --share $share --precision $precision $small
    done
done
for precision in f32 bf16; do
    [ "$(find yes.$precision/kernels -name '*.c' | wc -l)" = "$(find no.$precision/kernels -name '*.c' | wc -l)" ] || fail "$precision: other kernels"
    own=$(find no.$precision/kernels -name '*.cu' | wc -l) shared=$(find yes.$precision/kernels -name '*.cu' | wc -l)
    echo "$precision: $shared texts for $own kernels"
    [ "$own" = "$(find no.$precision/kernels -name '*.c' | wc -l)" ] || fail "$precision: --share no, and not every kernel has its text"
    [ $((shared * 10)) -lt $((own * 9)) ] || fail "$precision: hardly any text is shared"
    # what a launch brings is what the texts ask for
    for text in yes.$precision/kernels/*.cu; do
        grep -o 'args\.[a-z0-9_]*' "$text" | sed 's/args\.//' | sort -u | grep -v -x -e now -e workspace -e key -e draw -e buf >asked || true
        sed -n 's/^    \(int\|float\) \(.*\);  .. of the launch .*/\2/p' "$text" | tr -d ' ' | tr , '\n' | sort >there
        cmp -s asked there || { diff asked there; fail "$text: other numbers are declared than used"; }
    done
done
"$BUILD/tests-tools/tensor" write in.safetensors x:2,3,4,4 -1..1 sigma:2 1..2
expect 0 "$ECTRT" run yes.f32 init --out w.safetensors --seed 5
for precision in bf16; do
    for share in yes no; do
        expect 0 "$ECTRT" run $share.$precision denoise_train --in in.safetensors --out $share.safetensors --weights w.safetensors --seed 3 --device cuda-emu
    done
    "$BUILD/tests-tools/tensor" near 0 yes.safetensors no.safetensors || fail "$precision: sharing texts changes the numbers"
done

# A rounding of the model's is no part of how operands are staged: with it and without it are two texts. What a loop over products reads is there behind the loop, too.
cat >two.dsl <<'DSL'
block Pixel(i: int, o: int)(x: [n, c:i, h, w]) -> [n, c:o, h, w] {
  param weight: [o:o, i:i] = normal(0, 0.3)
  return sum[i](weight * x[c as i])[o as c]
}
use p as "p" = Pixel(48, 48), q as "q" = Pixel(48, 48), r as "r" = Pixel(48, 48)
program plain(x: [n:2, c:48, h:8, w:8]) -> y = p(x)
program rounded(x: [n:2, c:48, h:8, w:8]) -> y = p(bf16(x))
program summed(x: [n:2, c:48, h:8, w:8], z: [n, c, h, w], v: [n, c, h, w]) -> y = p(x) + q(z) + r(v) + z
DSL
"$BUILD/tests-tools/tensor" write one.safetensors x:2,48,8,8 -1..1
"$BUILD/tests-tools/tensor" write three.safetensors x:2,48,8,8 -1..1 z:2,48,8,8 -2..1 v:2,48,8,8 0..1
for share in yes no; do
    expect 0 "$ECTC" two.dsl -o two.$share --target cpu,cuda --share $share
    [ $share = no ] || expect 0 "$ECTRT" run two.yes init --out two.safetensors --seed 5
    for program in plain rounded summed; do
        in=one
        [ $program != summed ] || in=three
        expect 0 "$ECTRT" run two.$share $program --weights two.safetensors --in $in.safetensors --out $program.$share.safetensors --device cuda-emu
    done
done
for program in plain rounded summed; do
    "$BUILD/tests-tools/tensor" near 0 $program.yes.safetensors $program.no.safetensors || fail "$program: sharing texts changes the numbers"
done
expect 0 "$ECTRT" run two.yes summed --weights two.safetensors --in three.safetensors --out summed.safetensors --device ref64
"$BUILD/tests-tools/tensor" near 1e-5 summed.safetensors summed.yes.safetensors || fail "a loop over products gives other numbers"
grep -q 'for (int segment' two.yes/kernels/*.cu || fail "three equal products are no loop"

# A plan that says something else.
broken() {
    cp -r yes.f32 bad
    sed -i "$1" bad/plan.json
    cmp -s bad/plan.json yes.f32/plan.json && fail "nothing to break: $1"
    expect 1 "$ECTRT" run bad denoise_train --in in.safetensors --out x.safetensors --weights w.safetensors --device cuda-emu
    grep -q "$2" err.txt || { cat err.txt; fail "$1"; }
    rm -rf bad
}
broken 's/\("name": "x[0-9]*_[a-z]*", \)"int": [0-9]*/\1"int": 5000000000/' 'is neither an `int` nor a `float`'
broken 's/\("numbers": .{"name": "[a-z0-9_]*", \)"int": \([0-9]*\)\(}, {"name": "[a-z0-9_]*", "int"\)/\1"float": \2\3/' 'an int behind a float'
broken 's/\("numbers": .{"name": "[a-z0-9_]*", \)"int": [0-9]*/\1"text": "n"/' 'is neither an `int` nor a `float`'
