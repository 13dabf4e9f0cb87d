#!/bin/sh
# A network with classes, attention and grouped launches trains and samples on the mock driver to the cpu's bits.
. "$SRC/tests/e2e/lib"
export ECT_KERNEL_UNIT=-O1
"$ECTC" "$SRC/models/shapes.dsl" -o plan -D res=8 -D channels=8 -D batch=4 >/dev/null
mock_cuda
for d in cpu cuda; do
    train --device $d --out $d --steps 3 --accumulate 2 --sample-every 2 --grid 8 >/dev/null 2>&1
    "$ECTRT" sample plan --weights $d --count 6 --mid 0.8 --class 1 --device $d -o $d.png >/dev/null 2>&1
done
same cpu/ckpt-000003.safetensors cuda/ckpt-000003.safetensors
same cpu/samples-000002.png cuda/samples-000002.png
same cpu.png cuda.png
