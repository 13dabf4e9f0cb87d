#!/bin/sh
# A truncated or damaged newest checkpoint is passed over with a warning; with none left --resume says so.
. "$SRC/tests/e2e/lib"
tiny_model
train --out run --steps 4 --checkpoint-every 2 --keep 0 >/dev/null
cp run/ckpt-000004.safetensors good
head -c 5000 good >run/ckpt-000004.safetensors
expect 0 train --out run --steps 4 --resume
says 'passing over'
says 'resumed from run/ckpt-000002'
same good run/ckpt-000004.safetensors
: >run/ckpt-000004.safetensors
expect 0 "$ECTRT" sample plan --weights run --count 1 -o x.png
says 'ckpt-000002'
echo rubbish >run/ckpt-000002.safetensors
expect 1 train --out run --steps 4 --resume
says 'no good checkpoint'
# Weights that are no checkpoint.
expect 1 train --out run2 --steps 1 --init /dev/null
[ ! -e run2 ] || fail "a run folder was made"
