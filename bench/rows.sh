#!/bin/sh
# One training step of the full DDPM++ with the ECT loss at stage 0, with the first branch of `rows` (the teacher) computed for the rows that need
# it, and for all rows, in turn: at q = 2, where about four rows in five need none, and at q = 256, where nearly all do.
# BENCH_BATCH (8), BENCH_ROUNDS (2), BENCH_STEPS (4), BENCH_DEFINES (more -D options).
. "$(dirname "$0")/lib"
batch=${BENCH_BATCH:-8} rounds=${BENCH_ROUNDS:-2} steps=${BENCH_STEPS:-4} defines=${BENCH_DEFINES-}
export XDG_CACHE_HOME="$work/cache"
for how in keep compact; do
    # shellcheck disable=SC2086
    "$build/ectc" "$src/models/unet_ect.dsl" -o "$work/$how" --rows $how -D batch="$batch" $defines >"$work/log" || { cat "$work/log" >&2; exit 1; }
done
echo "rows: DDPM++, batch $batch, stage 0${defines:+, $defines}; $cores cores ($cpu), load $load"
# steps_of HOW Q: adds the times of all steps but the first, whose kernels may be compiled on the way; the same draws for both.
steps_of() {
    rm -rf "$work/run"
    "$build/ect-rt" train "$work/$1" --data "shapes:32:64" --out "$work/run" --steps "$steps" --seed "$round" --sample-every 0 \
        --checkpoint-every 0 --set q="$2" --set stage=0 --device cpu >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    grep -o '"images_per_s": *[0-9.e+-]*' "$work/run/metrics.jsonl" | awk -v b="$batch" 'NR > 1 { print b / $2 }' >"$work/t"
    cat "$work/t" >>"$work/$1.$2"
    echo "  q = $2, $1, round $round: $(json_list <"$work/t") s"
}
round=1
while [ "$round" -le "$rounds" ]; do
    for q in 2 256; do
        for how in keep compact; do steps_of $how $q; done
    done
    round=$((round + 1))
done
for q in 2 256; do
    echo "q = $q: keep $(median <"$work/keep.$q") s, compact $(median <"$work/compact.$q") s a step (medians)," \
        "ratio $(ratio "$(median <"$work/compact.$q")" "$(median <"$work/keep.$q")")"
done
mkdir -p "$results"
{
    printf '{"bench": "rows", %s, "batch": %s, "defines": "%s"' "$(machine_json)" "$batch" "$defines"
    for q in 2 256; do
        printf ',\n "q%s": {"keep_s": %s, "compact_s": %s}' $q "$(json_list <"$work/keep.$q")" "$(json_list <"$work/compact.$q")"
    done
    printf '}\n'
} >"$results/$date-$host-rows.json"
echo "written: ${results#"$src"/}/$date-$host-rows.json"
