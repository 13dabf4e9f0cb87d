#!/bin/sh
# Bytes that a training step and a sampling forward (program denoise) of models/unet_ect.dsl move, their launches, library calls
# and memory, from the plans: ours, the same compiled op by op (`ectc --fusion none`), and an estimate. Nothing is run.
# BENCH_BATCH (128), BENCH_DEFINES (more -D options), BENCH_OPTIONS (more options of ectc), BENCH_TARGETS (cpu).
. "$(dirname "$0")/lib"
batch=${BENCH_BATCH:-128} defines=${BENCH_DEFINES-} options=${BENCH_OPTIONS-} targets=${BENCH_TARGETS:-cpu}
# The estimate is from the network, not from a plan: the tensors a well fused step holds, each moved once, activations in 2 bytes,
# parameters, gradients and optimizer state in 4. No bound: a plan that holds fewer tensors moves less. For batch 128 alone.
estimate_train_step=null estimate_denoise=null
[ "$batch" != 128 ] || [ -n "$defines" ] || estimate_train_step=43300000000 estimate_denoise=7700000000

# plan NAME TARGET OPTION...: compiles it to $work/NAME. Status 1 when this ectc does not know an option.
plan() {
    name=$1 target=$2
    shift 2
    # shellcheck disable=SC2086
    "$build/ectc" "$src/models/unet_ect.dsl" -o "$work/$name" --target "$target" -D batch="$batch" $defines $options "$@" \
        >"$work/$name.txt" 2>&1 && return 0
    grep -q 'unknown option' "$work/$name.txt" && return 1
    cat "$work/$name.txt" >&2
    exit 1
}
# figures NAME PROGRAM: one line of JSON about a program of $work/NAME.
figures() {
    "$build/ect-rt" explain "$work/$1" --totals --json >"$work/totals.json"
    "$build/ect-rt" explain "$work/$1" --program "$2" --json | grep '^ *{"kernel": .*"launches"' >"$work/by_kernel"
    grep "^ *\"$2\": {" "$work/totals.json" >"$work/line"
    (cd "$work/$1/kernels" && grep -l 'args->sgemm(' ./*.c 2>/dev/null | sed 's|^\./||; s|\.c$||') >"$work/library" || :
    calls=$(awk 'NR == FNR { library[$1]; next }
        { split($0, q, "\""); match($0, /"runs": [0-9]+/); if (q[4] in library) n += substr($0, RSTART + 8, RLENGTH - 8) }
        END { print n + 0 }' "$work/library" "$work/by_kernel")
    flat=$(($(number param_elements "$work/totals.json") * 4)) arrays=1
    [ "$2" != train_step ] || arrays=$(($(number states "$work/totals.json") + 2))
    peak=$(number peak_bytes "$work/line")
    printf '{"bytes": %s, "flops": %s, "launches": %s, "kernels": %s, ' "$(number bytes "$work/line")" \
        "$(number flops "$work/line")" "$(number kernels "$work/line")" "$(number distinct_kernels "$work/line")"
    printf '"library_calls": %s, "arena_bytes": %s, "memory_bytes": %s}' "$calls" "$peak" $((peak + arrays * flat))
}
# row TARGET PROGRAM VERSION ESTIMATE FILE: one line of the table; an empty file has dashes.
row() {
    awk -v target="$1" -v program="$2" -v version="$3" -v estimate="$4" -v json="$(cat "$5")" 'BEGIN {
        n = split("bytes launches kernels library_calls arena_bytes memory_bytes", key, " ")
        split("11 11 11 15 11 11", w, " ")
        for (i = 1; i <= n; i++)
            v[i] = match(json, "\"" key[i] "\": [0-9]+") ? substr(json, RSTART + length(key[i]) + 4, RLENGTH) + 0 : "-"
        printf "%-6s  %-10s  %-8s", target, program, version
        for (i = 1; i <= n; i++) {
            gb = key[i] ~ /bytes$/ && v[i] != "-"
            printf "%" w[i] (gb ? ".2f" : "s"), gb ? v[i] / 1e9 : v[i]
        }
        printf "%12s\n", estimate != "null" && v[1] != "-" ? sprintf("%.2f", v[1] / estimate) : "-" }'
}

echo "bytes: DDPM++, batch $batch${defines:+, $defines}${options:+, $options}; read from the plans, nothing is run"
printf '%-6s  %-10s  %-8s%11s%11s%11s%15s%11s%11s%12s\n' target program "" "GB moved" launches kernels "library calls" \
    "arena GB" "memory GB" "x estimate"
json=
for target in $targets; do
    plan full "$target" || { cat "$work/full.txt" >&2; exit 1; }
    unfused=
    plan none "$target" --fusion none && unfused=1
    each=
    for program in train_step denoise; do
        figures full $program >"$work/full.json"
        : >"$work/none.json"
        [ -z "$unfused" ] || figures none $program >"$work/none.json"
        eval "estimate=\$estimate_$program"
        row "$target" $program ours "$estimate" "$work/full.json"
        row "$target" $program "op by op" "$estimate" "$work/none.json"
        [ -s "$work/none.json" ] || printf null >"$work/none.json"
        each="$each${each:+, }\"$program\": {\"ours\": $(cat "$work/full.json"), \"op_by_op\": $(cat "$work/none.json"),
   \"estimate_bytes\": $estimate}"
    done
    json="$json${json:+,
  }\"$target\": {$each}"
    rm -rf "$work/full" "$work/none"
done
if [ "$estimate_train_step" != null ]; then
    echo "estimate, no bound: 43.3 GB a training step with its optimizer, 7.7 GB a forward; activations in 2 bytes"
else
    echo "estimate: known for batch 128 and the model as it stands only"
fi
mkdir -p "$results"
out=$date-$host-bytes$(printf '%s' "$options" | sed 's/^-*/-/; s/[^a-z0-9]\{1,\}/-/g').json
printf '{"bench": "bytes", %s, "batch": %s, "defines": "%s", "options": "%s",\n "targets": {\n  %s}}\n' "$(machine_json)" \
    "$batch" "$defines" "$options" "$json" >"$results/$out"
echo "written: ${results#"$src"/}/$out"
