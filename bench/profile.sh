#!/bin/sh
# What --profile costs: training steps of a very small model (launches of microseconds, where it costs most), of which every second one is
# timed (--profile-every 2: those of even number): both kinds in the same process at the same time. A run that times none tells what even
# and odd steps differ by anyway. Writes JSON to bench/results.
# usage: bench/profile.sh [--build DIR]. BENCH_ROUNDS (5), BENCH_STEPS (4000), BENCH_BATCH (2), BENCH_WIDTH (8).
. "$(dirname "$0")/lib"
rounds=${BENCH_ROUNDS:-5} steps=${BENCH_STEPS:-4000} batch=${BENCH_BATCH:-2} width=${BENCH_WIDTH:-8}
export XDG_CACHE_HOME="$work/cache"
"$build/ectc" "$src/examples/04_own_loss.dsl" -o "$work/plan" -D batch="$batch" -D width="$width" >"$work/plan.txt"
# halves OPTION...: milliseconds of an even step and of an odd one, medians of a run, and even / odd.
halves() {
    rm -rf "$work/run"
    "$build/ect-rt" train "$work/plan" --data shapes:16:64 --out "$work/run" --steps "$steps" --sample-every 0 --checkpoint-every 0 \
        --device cpu "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    grep -o '"images_per_s": *[0-9.e+-]*' "$work/run/metrics.jsonl" | awk -v b="$batch" '{ print 1000 * b / $2 }' >"$work/steps"
    even=$(awk 'NR > 100 && NR % 2 == 0' "$work/steps" | median)       # a line a step, from step 1 on; the first hundred warm up
    odd=$(awk 'NR > 100 && NR % 2 == 1' "$work/steps" | median)
    awk -v a="$even" -v b="$odd" 'BEGIN { printf "%.5f %.5f %.5f\n", a, b, a / b }'
}
: >"$work/timed" && : >"$work/control"
echo "profile: examples/04_own_loss, batch $batch, width $width, $steps steps a run; $cores cores ($cpu), load $load"
round=1
while [ "$round" -le "$rounds" ]; do
    halves --profile "$work/profile.json" --profile-every 2 >>"$work/timed"
    clock=$(sed -n 's/^reading the clock: //p' "$work/log")
    halves >>"$work/control"
    round=$((round + 1))
done
column() { awk -v k="$1" '{ print $k }' "$2"; }
timed=$(column 3 "$work/timed" | median) control=$(column 3 "$work/control" | median)
echo "  timed $(column 1 "$work/timed" | median) ms, not timed $(column 2 "$work/timed" | median) ms a step (medians of $rounds runs), timed / not: $timed"
echo "  two kinds of steps of which none is timed: $control"
echo "  reading the clock: $clock"
mkdir -p "$results"
printf '{"bench": "profile", %s, "batch": %s, "width": %s, "rounds": %s, "steps": %s, "timed_over_not": %s, "control": %s, "clock": "%s"}\n' \
    "$(machine_json)" "$batch" "$width" "$rounds" "$steps" "$(column 3 "$work/timed" | json_list)" "$(column 3 "$work/control" | json_list)" "$clock" \
    >"$results/$date-$host-profile.json"
echo "written: ${results#"$src"/}/$date-$host-profile.json"
