#!/bin/sh
# Time and peak memory of `ectc models/unet_ect.dsl` (55.7 million parameters): the least of BENCH_ROUNDS (5) runs.
# Exit status 1 above 0.5 s or 500 MB.
. "$(dirname "$0")/lib"
rounds=${BENCH_ROUNDS:-5}
: >"$work/times" && : >"$work/peaks"
i=0
while [ $i -lt "$rounds" ]; do
    rm -rf "$work/plan"
    "$measure" "$work/m.json" "$build/ectc" "$src/models/unet_ect.dsl" -o "$work/plan" >/dev/null
    number wall_s "$work/m.json" >>"$work/times"
    number cpu_s "$work/m.json" >>"$work/cpu"
    number peak_bytes "$work/m.json" >>"$work/peaks"
    i=$((i + 1))
done
time=$(least <"$work/times")
peak=$(sort -g "$work/peaks" | tail -n 1)
echo "compile: ectc models/unet_ect.dsl: $time s (least of $rounds; CPU $(least <"$work/cpu") s), peak $(gb "$peak")"
echo "         $cores cores ($cpu), load $load"
mkdir -p "$results"
printf '{"bench": "compile", %s, "wall_s": %s, "cpu_s": %s, "peak_bytes": %s}\n' "$(machine_json)" "$(json_list <"$work/times")" \
    "$(json_list <"$work/cpu")" "$(json_list <"$work/peaks")" >"$results/$date-$host-compile.json"
awk -v t="$time" -v p="$peak" 'BEGIN { exit !(t <= 0.5 && p <= 500e6) }' || { echo "compile: above 0.5 s or 500 MB"; exit 1; }
