#!/bin/sh
# A plan that computes a third of its arena again: the same values as the interpreters', with the same draws.
. "$SRC/tests/kernels/lib"
export ECT_KERNEL_UNIT=-O1                             # all in one go: other tests compile such kernels as users do
agree budget "$SRC/models/shapes.dsl" --mem 1400K
grep -q '^--mem grad: ' "$work/compile.txt" || { echo "nothing was computed again"; exit 1; }
