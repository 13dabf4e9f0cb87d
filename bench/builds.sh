#!/bin/sh
# Two builds of this project in turn on the same training step: step times at q = 256 (every row needs a teacher) and at stage 0, q = 2 (most
# rows need none), their ratios, and the share of the newer's time outside of contractions. Writes JSON to bench/results.
# usage: bench/builds.sh OLDER_BUILD [--build DIR]. BENCH_BATCH (8), BENCH_ROUNDS (2), BENCH_STEPS (3), BENCH_DEFINES (more -D options).
older=${1:?usage: bench/builds.sh OLDER_BUILD [--build DIR]}
shift
older=$(cd "$older" && pwd) || exit 2
. "$(dirname "$0")/lib"
batch=${BENCH_BATCH:-8} rounds=${BENCH_ROUNDS:-2} steps=${BENCH_STEPS:-3} defines=${BENCH_DEFINES-}
export XDG_CACHE_HOME="$work/cache"
for which in older newer; do
    [ $which = older ] && bin=$older || bin=$build
    # shellcheck disable=SC2086
    "$bin/ectc" "$src/models/unet_ect.dsl" -o "$work/$which" -D batch="$batch" $defines >"$work/$which.txt"
done
step() { # step WHICH BIN SETTING...: seconds a step, the first left out
    which=$1 bin=$2
    shift 2
    rm -rf "$work/run"
    "$bin/ect-rt" train "$work/$which" --data shapes:32:64 --out "$work/run" --steps "$steps" --sample-every 0 --checkpoint-every 0 \
        --device cpu "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    grep -o '"images_per_s": *[0-9.e+-]*' "$work/run/metrics.jsonl" | awk -v b="$batch" '{ print b / $2 }' | tail -n +2
}
echo "train step: DDPM++ $defines, batch $batch; $cores cores ($cpu), load $load"
json=
for case in 'q256 --set q=256' 'stage0_q2 --set q=2 --set stage=0'; do
    name=${case%% *}
    settings=${case#* }
    : >"$work/older.t" && : >"$work/newer.t"
    round=1
    while [ "$round" -le "$rounds" ]; do
        # shellcheck disable=SC2086
        step older "$older" $settings >>"$work/older.t"
        # shellcheck disable=SC2086
        step newer "$build" $settings >>"$work/newer.t"
        round=$((round + 1))
    done
    a=$(median <"$work/older.t") b=$(median <"$work/newer.t")
    echo "  $name: older $a s, newer $b s a step (medians of $(wc -l <"$work/newer.t")), older / newer $(ratio "$a" "$b")"
    json="$json \"$name\": {\"older_s\": $(json_list <"$work/older.t"), \"newer_s\": $(json_list <"$work/newer.t")},"
done
rm -rf "$work/run"
"$build/ect-rt" train "$work/newer" --data shapes:32:64 --out "$work/run" --steps "$steps" --sample-every 0 --checkpoint-every 0 --device cpu \
    --set q=256 --profile "$work/profile.json" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
outside=$(grep -i 'outside' "$work/log" | head -n 1)
echo "  $outside"
mkdir -p "$results"
{
    printf '{"bench": "builds", %s, "batch": %s, "defines": "%s",\n' "$(machine_json)" "$batch" "$defines"
    printf '%s\n "outside_contractions": "%s"}\n' "$json" "$(echo "$outside" | tr -d '"')"
} >"$results/$date-$host-builds.json"
echo "written: ${results#"$src"/}/$date-$host-builds.json"
