#!/bin/sh
# What --profile costs: training steps of a very small model (launches of microseconds, where it costs most) with and without it, in turn,
# first the one, then the other.
# Writes JSON to bench/results.
# usage: bench/profile.sh [--build DIR]. BENCH_ROUNDS (4), BENCH_STEPS (500), BENCH_BATCH (2), BENCH_WIDTH (8).
. "$(dirname "$0")/lib"
rounds=${BENCH_ROUNDS:-4} steps=${BENCH_STEPS:-500} batch=${BENCH_BATCH:-2} width=${BENCH_WIDTH:-8}
export XDG_CACHE_HOME="$work/cache"
"$build/ectc" "$src/examples/04_own_loss.dsl" -o "$work/plan" -D batch="$batch" -D width="$width" >"$work/plan.txt"
step() { # step OPTION...: milliseconds a step, the median of a run
    rm -rf "$work/run"
    "$build/ect-rt" train "$work/plan" --data shapes:16:64 --out "$work/run" --steps "$steps" --sample-every 0 --checkpoint-every 0 \
        --device cpu "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    grep -o '"images_per_s": *[0-9.e+-]*' "$work/run/metrics.jsonl" | awk -v b="$batch" '{ print 1000 * b / $2 }' | tail -n +2 | median
}
: >"$work/with.t" && : >"$work/without.t"
echo "profile: examples/04_own_loss, batch $batch, width $width; $cores cores ($cpu), load $load"
round=1
while [ "$round" -le "$rounds" ]; do
    [ $((round % 2)) = 0 ] || step >>"$work/without.t"
    step --profile "$work/profile.json" >>"$work/with.t"
    cp "$work/log" "$work/profile.txt"
    [ $((round % 2)) = 1 ] || step >>"$work/without.t"
    round=$((round + 1))
done
a=$(median <"$work/with.t") b=$(median <"$work/without.t")
least=$(awk -v a="$(least <"$work/with.t")" -v b="$(least <"$work/without.t")" 'BEGIN { printf "%.4f", a / b }')
echo "  with $a ms, without $b ms a step (medians of $rounds runs each), with / without: $(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.4f", a / b }'), of the fastest runs $least"
clock=$(sed -n 's/^reading the clock: //p' "$work/profile.txt")
echo "  reading the clock: $clock"
mkdir -p "$results"
printf '{"bench": "profile", %s, "batch": %s, "width": %s, "rounds": %s, "steps": %s, "with_ms": %s, "without_ms": %s, "fastest": %s, "clock": "%s"}\n' \
    "$(machine_json)" "$batch" "$width" "$rounds" "$steps" "$(json_list <"$work/with.t")" "$(json_list <"$work/without.t")" "$least" "$clock" >"$results/$date-$host-profile.json"
echo "written: ${results#"$src"/}/$date-$host-profile.json"
