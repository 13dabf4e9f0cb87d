#!/bin/sh
# A validation loss on held-out images is measured without disturbing training: the weights are those of a run that holds them out as rarely.
. "$SRC/tests/e2e/lib"
tiny_model
train --out often --steps 6 --validate-every 2 --validate-images 20 >/dev/null
train --out once --steps 6 --validate-every 6 --validate-images 20 >/dev/null
[ "$(grep -c validation_loss often/metrics.jsonl)" = 3 ] || fail "no validation_loss every 2 steps"
[ "$(grep -c validation_loss once/metrics.jsonl)" = 1 ] || fail "no validation_loss at the end"
last() { tail -n 1 "$1/metrics.jsonl" | sed 's/.*"validation_loss": \([0-9.e+-]*\).*/\1/'; }
[ "$(last often)" = "$(last once)" ] || fail "validation losses differ: $(last often) $(last once)"
for run in often once; do tail -c 10000 $run/ckpt-000006.safetensors >$run.tail; done
same often.tail once.tail
