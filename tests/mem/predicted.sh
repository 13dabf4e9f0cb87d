#!/bin/sh
# alone
# Training's peak: what was said before against how the process grew, within 1 % or 16 MB, whichever is larger; `explain` says the same.
# Assumes ECTC, ECTRT and SRC from the runner.
[ -z "${SLOW_FACTOR-}" ] || { echo "sanitizers have memory of their own"; exit 77; }
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_NUM_THREADS=2
"$ECTC" "$SRC/models/shapes.dsl" -o plan -D batch=256 >/dev/null
"$ECTRT" train plan --data shapes:16:256 --steps 3 --sample-every 0 --checkpoint-every 0 --out run >out.txt 2>&1 || { cat out.txt; exit 1; }
said=$(sed -n 's/.*"predicted_peak_bytes": \([0-9]*\).*/\1/p' run/config.json)
grew=$(sed -n '$s/.*"memory_growth_bytes": \([0-9]*\).*/\1/p' run/metrics.jsonl)
explained=$("$ECTRT" explain plan --memory | sed -n 's/^predicted peak \([0-9.]*\) MB: train with 2 threads.*/\1/p')
echo "said $said, grew $grew, explained $explained MB"
awk -v said="$said" -v grew="$grew" -v mb="$explained" 'BEGIN {
    d = said - grew; if (d < 0) d = -d
    limit = said / 100; if (limit < 16e6) limit = 16e6
    exit !(said > 250e6 && grew > 250e6 && d <= limit && mb * 1e6 >= 0.98 * said && mb * 1e6 <= 1.02 * said) }'
