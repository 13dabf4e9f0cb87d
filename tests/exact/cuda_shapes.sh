#!/bin/sh
# CUDA texts of models/shapes.dsl on field elements: images of 8x8, with labels, in bf16.
. "$SRC/tests/exact/lib"
plan shapes "$SRC/models/shapes.dsl" -D channels=16 -D res=8 -D 'attn=[4]' --target cpu,cuda --precision bf16
exact shapes --cuda --only train_step
