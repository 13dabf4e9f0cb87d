#!/bin/sh
# `precision` regions. All of a network in one gives the kernels of a plan of that precision, gradients included; an f32 region in a bf16 plan computes as
# f32 does; a bf16 one in an f32 plan rounds; regions in each other, of all precisions, are within what rounding makes, on cpu and cuda-emu.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/kernels/lib"
fail() { echo "$*"; exit 1; }
text() { sed "s/WHOLE/precision $1/" "$SRC/tests/kernels/regions"; }
compiled() { # compiled PLAN MODEL PRECISION
    "$ECTC" "$2" -o "$work/$1" --precision "$3" --loss-scale no --target cpu,cuda >"$work/compile.txt" 2>&1 || { cat "$work/compile.txt"; exit 1; }
    for f in "$work/$1"/kernels/*; do sed '/^   precision  /d; /^\/\*/s/:.*//; /^   instances /d; /^   source /d; s/ (std.*)//' "$f" >"$f.bare" && mv "$f.bare" "$f"; done
}
for own in f32 tf32 bf16 f16; do
    plan=bf16
    [ $own != bf16 ] || plan=f32
    text $own >"$work/whole.dsl"
    compiled region "$work/whole.dsl" $plan
    compiled plain "$work/whole.dsl" $own
    diff -r "$work/region/kernels" "$work/plain/kernels" >"$work/diff.txt" ||
        { head -n 20 "$work/diff.txt"; fail "a region of $own around everything in a $plan plan is not a plan of $own"; }
    rm -rf "$work/region" "$work/plain"
done
text f32 >"$work/f32.dsl"
for only in all_of_it grad; do AGREE="--scaled --emu --only $only" agree f32_region "$work/f32.dsl" --precision bf16 --target cpu,cuda; done
several=$SRC/tests/kernels/regions_several
"$ECTC" "$several" -o "$work/rounds" >"$work/compile.txt"
! "$BUILD/tests-tools/agree" --bin "$BUILD" --scaled --only in_bf16 "$work/rounds" >"$work/out.txt" && grep -q '^FAIL.* cpu ' "$work/out.txt" ||
    { cat "$work/out.txt"; fail "a bf16 region rounds nothing"; }
for precision in f32 bf16; do AGREE='--scaled --emu --within 1e-2 --only several' agree several "$several" --precision $precision --target cpu,cuda; done
AGREE='--scaled --within 1e-2 --only grad' agree gradient "$several" --precision bf16 --loss-scale no
