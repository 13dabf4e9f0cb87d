#!/bin/sh
# Losses and gradients that are not finite are counted each step; --halt-on-nonfinite saves and exits 1.
. "$SRC/tests/e2e/lib"
tiny_model
sed 's|/ (t - r)|/ (t - r) * log(q - 2)|' tiny.dsl >nan.dsl
"$ECTC" nan.dsl -o nan >/dev/null
expect 0 "$ECTRT" train nan --data shapes:8:64 --sample-every 0 --out counted --steps 2
says 'not finite'
grep -q '"nonfinite_loss": 8' counted/metrics.jsonl || fail "metrics.jsonl does not count"
grep -q '"loss": null' counted/metrics.jsonl || fail "metrics.jsonl has no null loss"
expect 1 "$ECTRT" train nan --data shapes:8:64 --sample-every 0 --out halted --steps 5 --halt-on-nonfinite
says 'not finite'
[ -s halted/ckpt-000001.safetensors ] || fail "nothing was saved"
