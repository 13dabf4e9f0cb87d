#!/bin/sh
# Each operation as a kernel of its own gives the same bits as the interpreter, and so as the fused kernels of the same graph.
. "$SRC/tests/exact/lib"
for fusion in none full; do
    plan $fusion "$SRC/models/shapes.dsl" -D channels=4 -D res=4 -D 'attn=[2]' --fusion $fusion
    exact $fusion
done
for graph in "$work"/none/graph/*.txt; do
    case $graph in *.fused.txt) continue ;; esac
    cmp "$graph" "$work/full/graph/$(basename "$graph")" || { echo "the interpreter ran another graph"; exit 1; }
done
