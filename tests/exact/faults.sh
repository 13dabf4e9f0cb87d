#!/bin/sh
# Exact mode finds what is wrong: faults planted in kernels and in the plan, one at a time, are all seen.
. "$SRC/tests/exact/lib"
plan planted "$SRC/models/unet_ect.dsl" -D res=6 -D channels=8 -D 'mult=[1,2]' -D blocks=1 -D 'attn=[3]' -D labels=3 -D colors=1
exact planted --only grad --faults >"$work/out" || { cat "$work/out"; exit 1; }
cat "$work/out"
n=$(sed -n 's/^\([0-9]*\) of \([0-9]*\) planted faults found$/\1 \2/p' "$work/out")
found=${n% *} planted=${n#* }
[ -n "$n" ] && [ "$found" = "$planted" ] && [ "$planted" -ge 100 ] || { echo "only $n"; exit 1; }
# each kind of kernel has its share; passes (values stored and summed on the way) are in the second plan
plan passes "$SRC/examples/04_own_loss.dsl"
exact passes --only grad --faults >"$work/passes.out" || { cat "$work/passes.out"; exit 1; }
grep "^found  pass_" "$work/passes.out" >>"$work/out"
for kind in conv wgrad matmul sum max map pass; do
    [ "$(grep -c "^found  ${kind}_" "$work/out")" -ge 5 ] || { echo "too few faults in $kind"; exit 1; }
done
