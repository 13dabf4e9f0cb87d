#!/bin/sh
# 20 steps in one go, and 10 + resume + 10, and the same on another number of threads, give equal checkpoints byte for byte.
. "$SRC/tests/e2e/lib"
tiny_model
train --out one --steps 20 --flip --seed 3 --set lr=2e-3 >/dev/null
train --out two --steps 10 --flip --seed 3 --set lr=2e-3 >/dev/null
expect 0 train --out two --steps 20 --resume
says 'resumed from two/ckpt-000010'
same one/ckpt-000020.safetensors two/ckpt-000020.safetensors
train --out three --steps 20 --flip --seed 3 --set lr=2e-3 --threads 2 >/dev/null
same one/ckpt-000020.safetensors three/ckpt-000020.safetensors
train --out other --steps 20 --flip --seed 4 --set lr=2e-3 >/dev/null
cmp -s one/ckpt-000020.safetensors other/ckpt-000020.safetensors && fail "another seed gave the same checkpoint"

# Every line of metrics.jsonl says what a line must say; the resumed file has each step once.
[ "$(wc -l <two/metrics.jsonl)" = 20 ] || fail "metrics.jsonl has $(wc -l <two/metrics.jsonl) lines"
for key in '"step"' '"images"' '"loss"' '"images_per_s"' '"loss_by_sigma"' '"lr": 0.002' '"stage"' '"memory_mb"' '"nonfinite_gradient": 0'; do
    [ "$(grep -c -- "$key" two/metrics.jsonl)" = 20 ] || fail "metrics.jsonl lacks $key"
done
[ -s two/config.json ] && [ -s two/data.png ] || fail "config.json or data.png is missing"

# A run that is at its end already has nothing to do.
expect 0 train --out two --steps 20 --resume
says 'nothing to do'
