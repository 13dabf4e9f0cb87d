#!/bin/sh
# kill -9 at any moment, also in a checkpoint: what is there is whole, and the run resumes to the same bytes.
. "$SRC/tests/e2e/lib"
tiny_model -D width=48
t() { "$ECTRT" train plan --data shapes:8:256 --sample-every 0 --checkpoint-every 1 --keep 2 --steps 12 "$@"; }
t --out whole >/dev/null
for delay in 0.02 0.08 0.15; do
    rm -rf part
    "$ECTRT" train plan --data shapes:8:256 --sample-every 0 --checkpoint-every 1 --keep 2 --steps 12 --out part >/dev/null 2>&1 &
    pid=$!
    i=0
    while ! ls part/ckpt-*.safetensors >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 400 ] || fail "no checkpoint"; sleep 0.02; done
    sleep $delay
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    expect 0 t --out part --resume
    same whole/ckpt-000012.safetensors part/ckpt-000012.safetensors
done
