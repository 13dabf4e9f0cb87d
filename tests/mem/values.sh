#!/bin/sh
# A plan that computes a third of its arena again: the same values as the interpreters', with the same draws.
. "$SRC/tests/kernels/lib"
in_one_go
agree budget "$SRC/models/shapes.dsl" --mem 1400K
grep -q '^--mem grad: ' "$work/compile.txt" || { echo "nothing was computed again"; exit 1; }
