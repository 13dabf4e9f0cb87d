#!/bin/sh
# Two micro-batches of 4 see the draws and data of one batch of 8; their losses agree, and so do the weights to rounding.
. "$SRC/tests/e2e/lib"
tiny_model
train --out whole --steps 3 >/dev/null
"$ECTC" tiny.dsl -o plan -D batch=4 >/dev/null
train --out halves --steps 3 --accumulate 2 >/dev/null
loss() { sed 's/.*"loss": \([0-9.e+-]*\).*/\1/' "$1/metrics.jsonl" | tr '\n' ' '; }
echo "$(loss whole) $(loss halves)" | awk '{
    for (i = 1; i <= 3; i++) { d = $i - $(i + 3); if (d < 0) d = -d; if (!(d <= 1e-4 * $i)) { print "step", i, $i, $(i + 3); exit 1 } }
}' || fail "accumulated losses differ"
