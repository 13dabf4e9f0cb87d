#!/bin/sh
# The lessons do what they say: each compiles; the quick ones are trained for a moment, and their loss falls.
# Assumes ECTC, ECTRT and SRC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for f in "$SRC"/examples/*.dsl; do "$ECTC" "$f" -o "$tmp/plan-$(basename "$f" .dsl)" > /dev/null; done
for lesson in 01_linear_regression 05_schedules; do
    "$ECTRT" train "$tmp/plan-$lesson" --steps 150 --out "$tmp/$lesson" > "$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
    sed -n 's/.*"loss": \([^,]*\),.*/\1/p' "$tmp/$lesson/metrics.jsonl" |
        awk -v name="$lesson" 'NR <= 10 { first += $1 } { last[NR % 10] = $1 }
            END { for (i in last) sum += last[i]; if (!(sum < 0.9 * first)) { print name ": the loss went from " first / 10 " to " sum / 10; exit 1 } }'
done
