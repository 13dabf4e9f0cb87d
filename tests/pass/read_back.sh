#!/bin/sh
# What a pass prints, read back at the next pass, gives what the whole compiler gives.
set -e
t=$(mktemp -d); trap 'rm -rf "$t"' EXIT
set -- "$SRC/models/unet_ect.dsl" -D res=16 -D channels=8 -D 'mult=[1,2]' -D blocks=1 -D batch=2
for l in E X S C R F O M H; do "$ECTC" "$@" -d $l >"$t/$l"; done
precision=
back() { # back FROM_DUMP ENTRY WANT
    # shellcheck disable=SC2086
    "$ECTC" "$t/$1" --from "$2" -d "$3" $precision >"$t/got"
    cmp "$t/got" "$t/$3" || { echo "the dump $1 read back at $2 gives another $3"; exit 1; }
}
every_pass() {
    back E X X
    back X S S
    back S C C
    back C R R
    back R F F
    back F O O
    back F O M
    back F O H
}
grep -q '= take ' "$t/C" && ! grep -q '= rows ' "$t/C"
"$ECTC" "$@" --rows keep -d C | sed 's/after compact/after simplify/' >"$t/kept"
cmp "$t/kept" "$t/S"
every_pass
# The precisions of nodes too: without them nothing is stored in 2 bytes, or all is.
sed 's/WHOLE/precision f32/' "$SRC/tests/kernels/regions" >"$t/whole.dsl"
for model in "$t/whole.dsl" "$SRC/tests/kernels/regions_several"; do
    precision="--precision bf16"
    # shellcheck disable=SC2086
    set -- "$model" $precision
    for l in E X S C R F O M H; do "$ECTC" "$@" -d $l >"$t/$l"; done
    grep -q '\] precision f32 ' "$t/E" && ! grep -q '= input.* precision ' "$t/E"
    every_pass
done
! "$ECTC" "$t/S" --from O -d M >"$t/out" 2>"$t/err" && grep -q 'held' "$t/err"
