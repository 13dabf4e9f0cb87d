#!/bin/sh
# Training on the device cuda: one capture and a launch of the graph for each update; the host waits only for updates long past; flat arrays and
# inputs are copied no oftener than needed; nothing is left allocated.
. "$SRC/tests/e2e/lib"
tiny_model
mock_cuda
flat() { "$ECTRT" explain plan | sed -n 's/.* parameters in \([0-9]*\) elements.*/\1/p'; }
run() {
    rm -rf run
    train --device cuda --out run "$@" >/dev/null 2>&1 || fail "train $*"
}
run --steps 20
[ "$(counted captures)" = 1 ] || fail "$(counted captures) captures"
[ "$(counted graph_launches)" = 20 ] || fail "$(counted graph_launches) launches of the graph in 20 updates"
[ "$(counted left)" = 0 ] || fail "$(counted left) allocations are left"
short=$(counted waits) copied=$(counted to_host)
run --steps 60
[ "$(counted captures)" = 1 ] || fail "$(counted captures) captures"
[ "$(counted graph_launches)" = 60 ] || fail "$(counted graph_launches) launches of the graph in 60 updates"
more=$(($(counted waits) - short))
[ "$more" -le 40 ] || fail "40 more updates waited $more times more"
# 8 losses and 8 noise levels, each in 256 bytes, behind 256 more; no flat array but at the end.
more=$((($(counted to_host) - copied) / 40))
[ "$more" -le 1024 ] || fail "an update copies $more bytes to the host"
run --steps 20 --accumulate 4
[ "$(counted captures)" = 1 ] && [ "$(counted graph_launches)" = 20 ] || fail "with --accumulate: $(cat stats)"
# Sampling and validating between updates do not make the graph again. They are graphs of their own from the second time on: two segments of four grids,
# and one of three validations.
run --steps 12 --sample-every 4 --grid 8 --validate-every 5 --validate-images 8
[ "$(counted captures)" = 4 ] && [ "$(counted graph_launches)" = 20 ] || fail "between samples: $(cat stats)"
"$ECTRT" sample plan --weights run --count 40 --mid 0.8 --mid 0.3 --device cuda -o g.png >/dev/null 2>&1
# Five batches: the first segment, the one that is repeated, ten times, and the last.
[ "$(counted captures)" = 3 ] && [ "$(counted graph_launches)" = 17 ] && [ "$(counted left)" = 0 ] || fail "sampling: $(cat stats)"
"$ECTRT" sample plan --weights run --count 40 --mid 0.8 --mid 0.3 --device cpu -o c.png >/dev/null 2>&1
same g.png c.png
# Updates of changing kinds, whose results nobody asks for: the cpu's bits, a graph for each kind that follows another.
"$BUILD/tests-tools/updates" plan cpu cpu.bin 2>/dev/null
"$BUILD/tests-tools/updates" plan cuda cuda.bin 2>/dev/null
same cpu.bin cuda.bin
[ "$(counted captures)" = 6 ] && [ "$(counted graph_launches)" = 12 ] && [ "$(counted left)" = 0 ] || fail "changing updates: $(cat stats)"
