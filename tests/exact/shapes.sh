#!/bin/sh
# Every kernel of models/shapes.dsl on field elements, bit for bit: images of 8x8, with labels.
. "$SRC/tests/exact/lib"
for precision in f32 bf16 f16 tf32; do
    plan shapes "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --precision $precision
    exact shapes
done
