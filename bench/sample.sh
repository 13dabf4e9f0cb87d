#!/bin/sh
# Sampling from the full DDPM++ in one step and in two: ours and, where a Python has torch, PyTorch's, in turn.
# BENCH_BATCH (8), BENCH_ROUNDS (2), PYTHON.
# Ours is the whole command less its start, taken as the difference between many images and one batch.
. "$(dirname "$0")/lib"
batch=${BENCH_BATCH:-8} rounds=${BENCH_ROUNDS:-2} batches=4
export XDG_CACHE_HOME="$work/cache"
"$build/ectc" "$src/models/unet_ect.dsl" -o "$work/plan" -D batch="$batch" >/dev/null
"$build/ect-rt" run "$work/plan" init --out "$work/weights.safetensors" >/dev/null
echo "sample: DDPM++, batch $batch; $cores cores ($cpu), load $load"
# seconds COUNT MID...: wall time of the command
seconds() {
    count=$1
    shift
    "$measure" "$work/m.json" "$build/ect-rt" sample "$work/plan" --weights "$work/weights.safetensors" --count "$count" "$@" \
        -o "$work/out.png" --device cpu >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    number wall_s "$work/m.json"
}
seconds "$batch" --mid 0.821 >"$work/cold"
echo "  first use: $(cat "$work/cold") s, kernels compiled"
mkdir -p "$results"
out=$results/$date-$host-sample.json
printf '{"bench": "sample", %s, "batch": %s, "first_use_s": %s' "$(machine_json)" "$batch" "$(cat "$work/cold")" >"$work/json"
for n in 1 2; do
    mid=
    [ $n = 1 ] || mid='--mid 0.821'
    : >"$work/ours" && : >"$work/peer"
    round=1
    while [ "$round" -le "$rounds" ]; do
        # shellcheck disable=SC2086
        one=$(seconds "$batch" $mid)
        # shellcheck disable=SC2086
        many=$(seconds $((batch * (batches + 1))) $mid)
        peak=$(number peak_bytes "$work/m.json")
        awk -v a="$one" -v b="$many" -v n=$batches 'BEGIN { printf "%.3f\n", (b - a) / n }' >>"$work/ours"
        if [ -n "$python" ]; then
            "$python" "$src/bench/peer_torch.py" sample --batch "$batch" --iters $((batches + 1)) --steps $n >"$work/p.json"
            number best_s "$work/p.json" >>"$work/peer"
        fi
        round=$((round + 1))
    done
    ours=$(least <"$work/ours")
    peer=$(least <"$work/peer")
    rate=$(awk -v b="$batch" -v t="$ours" 'BEGIN { printf "%.1f", b / t }')
    echo "$n step: ours $ours s a batch ($rate images/s), peak $(gb "$peak")"
    if [ -n "$python" ]; then
        echo "        pytorch $peer s, peak $(gb "$(number peak_bytes "$work/p.json")"), ratio $(ratio "$ours" "$peer")"
    fi
    printf ',\n "steps_%s": {"ours_s": %s, "ours_peak_bytes": %s, "pytorch_s": %s}' $n \
        "$(json_list <"$work/ours")" "$peak" "$(json_list <"$work/peer")" >>"$work/json"
done
echo '}' >>"$work/json"
cp "$work/json" "$out"
echo "written: ${out#"$src"/}"
