#!/bin/sh
# Every kernel of every example on field elements, bit for bit, with two sets of values.
. "$SRC/tests/exact/lib"
ran=0
for f in "$SRC"/examples/*.dsl; do
    [ -f "$f" ] || continue
    name=$(basename "$f" .dsl)
    echo "$name:"
    for precision in f32 bf16; do
        plan "$name" "$f" --precision $precision
        exact "$name" --times 2
    done
    ran=$((ran + 1))
done
[ $ran -gt 0 ] || { echo "no examples"; exit 1; }
