#!/bin/sh
# The generated kernels and both interpreters train alike: losses of four steps agree, from the same draws and data.
. "$SRC/tests/e2e/lib"
tiny_model
for device in cpu ref ref64; do train --device $device --out $device --steps 4 >/dev/null; done
loss() { sed 's/.*"loss": \([0-9.e+-]*\).*/\1/' "$1/metrics.jsonl" | tr '\n' ' '; }
for device in ref ref64; do
    echo "$(loss cpu) $(loss $device)" | awk '{
        for (i = 1; i <= 4; i++) { d = $i - $(i + 4); if (d < 0) d = -d; if (!(d <= 1e-4 * $i)) { print "step", i, $i, $(i + 4); exit 1 } }
    }' || fail "cpu and $device differ"
done
