#!/bin/sh
# --init starts from given weights with a fresh optimizer; names that do not match are all listed; --init-partial accepts them.
. "$SRC/tests/e2e/lib"
tiny_model
train --out first --steps 5 >/dev/null
expect 0 train --out tuned --steps 2 --init first
expect 0 train --out tuned2 --steps 2 --init first/ckpt-000005.safetensors
same tuned/ckpt-000002.safetensors tuned2/ckpt-000002.safetensors
sed 's/use first = Conv(C, ch), second/use start = Conv(C, ch), second/; s/first(x)/start(x)/' tiny.dsl >renamed.dsl
"$ECTC" renamed.dsl -o renamed >/dev/null
expect 1 "$ECTRT" train renamed --data shapes:8:64 --out bad --steps 1 --init first
for name in model.start.weight model.start.bias model.first.weight model.first.bias; do says "$name"; done
[ ! -e bad ] || fail "a run folder was made"
expect 0 "$ECTRT" train renamed --data shapes:8:64 --out partial --steps 1 --init first --init-partial --sample-every 0
says model.start.weight
