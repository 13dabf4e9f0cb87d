#!/bin/sh
# Training is the same to the last bit whether `rows` computes its first branch for all rows or for those that need it: with none, some, nearly all.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for how in keep compact; do
    "$ECTC" "$SRC/models/unet_ect.dsl" -o $how --rows $how -D res=8 -D channels=16 -D 'mult=[1]' -D blocks=1 -D 'attn=[8]' -D batch=5 >log 2>&1 ||
        { cat log; exit 1; }
done
grep -q 'wanted' compact/kernels/conv_*.c && grep -q 'wanted' compact/kernels/matmul_*.c || { echo "no kernel is bounded"; exit 1; }
! grep -q 'wanted' keep/kernels/*.c || { echo "--rows keep bounds kernels"; exit 1; }

# same DEVICE STEPS SET...: the last layer starts near 0, so the rate is high enough for the network to matter from the second step on.
same() {
    device=$1 steps=$2
    shift 2
    for how in keep compact; do
        rm -rf run
        "$ECTRT" train $how --data shapes:8:64 --out run --steps "$steps" --seed 5 --sample-every 0 --checkpoint-every 0 --device "$device" \
            --set lr=0.01 "$@" >log 2>&1 || { cat log; exit 1; }
        mv run/ckpt-*.safetensors $how.safetensors
        sed 's/.*"loss": *\([-0-9.e+]*\).*/\1/' run/metrics.jsonl >$how.loss
    done
    cmp keep.loss compact.loss || { paste keep.loss compact.loss; exit 1; }
    "$BUILD/tests-tools/tensor" near 0 keep.safetensors compact.safetensors || { echo "$device $*: other weights"; exit 1; }
    echo "$device $*: $(paste -s -d' ' compact.loss)"
}
same cpu 4 --set q=2
same cpu 3 --set stage=-1
same cpu 3 --set q=256 --set k=0
same cpu 2 --set q=2 --threads 1
same ref 3 --set q=2
