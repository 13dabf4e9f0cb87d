#!/bin/sh
# Gradients of convolutions' weights on field elements: each size and kernel of tests/kernels/wgrads, by tensor-core tiles; planted faults are seen.
. "$SRC/tests/exact/lib"
sed 's/ROUND/bf16/g' "$SRC/tests/kernels/wgrads" >"$work/wgrads.dsl"
plan wgrads "$work/wgrads.dsl" --target cpu,cuda --precision bf16
grep -q 'for 5 of 25 taps' "$work"/wgrads/kernels/*.cu || { echo "no kernel row by itself"; exit 1; }
for why in 'a kernel row has more than 9 taps' 'its stages are larger than shared memory'; do
    [ "$(grep -l "staged for each tap: $why" "$work"/wgrads/kernels/*.cu | wc -l)" = 1 ] || { echo "not one because $why"; exit 1; }
done
exact wgrads --cuda
exact wgrads --cuda --only images --faults >"$work/out" || { cat "$work/out"; exit 1; }
tail -n 2 "$work/out"
[ "$(grep -c '^found' "$work/out")" -ge 30 ] || { echo "few faults"; exit 1; }
