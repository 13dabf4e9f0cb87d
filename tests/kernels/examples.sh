#!/bin/sh
# Every generated kernel of every example at batch 2: cpu against the interpreters; threads, repeats and replaced draws to the byte.
. "$SRC/tests/kernels/lib"
in_one_go
ran=0
for f in "$SRC"/examples/*.dsl; do
    [ -f "$f" ] || continue
    agree "$(basename "$f" .dsl)" "$f"
    ran=$((ran + 1))
done
[ $ran -gt 0 ] || { echo "no examples"; exit 1; }
