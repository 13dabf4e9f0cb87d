#!/bin/sh
# Each operation as a kernel of its own (--fusion none): the same values as the interpreters', and more bytes moved than fused.
. "$SRC/tests/kernels/lib"
agree unfused "$SRC/examples/03_convolution.dsl" --fusion none
moved() { awk '$1 == "grad" { for (i = 2; i < NF; i++) if ($(i + 2) == "moved") print $i }' "$1"; }
"$ECTC" "$SRC/examples/03_convolution.dsl" -D batch=2 -o "$work/plan" --fusion full >"$work/full.txt"
more=$(moved "$work/compile.txt") less=$(moved "$work/full.txt")
awk -v more="$more" -v less="$less" 'BEGIN { exit !(less > 0 && more > 1.2 * less) }' ||
    { echo "moved: fused '$less', unfused '$more'"; exit 1; }
