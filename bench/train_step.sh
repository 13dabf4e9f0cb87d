#!/bin/sh
# One training step of the full DDPM++ (55.7 million parameters) with the ECT loss: ours and, where a Python has torch, PyTorch's,
# in turn. Prints step times, their ratio, peak memory and the time to the end of the first step.
# BENCH_BATCH (8), BENCH_ROUNDS (2), BENCH_STEPS (3), BENCH_DEFINES (more -D options; the peer is then not run), PYTHON.
. "$(dirname "$0")/lib"
batch=${BENCH_BATCH:-8} rounds=${BENCH_ROUNDS:-2} steps=${BENCH_STEPS:-3} defines=${BENCH_DEFINES-}
[ -z "$defines" ] || python=
# An empty kernel cache shows the cold start; later rounds are warm.
export XDG_CACHE_HOME="$work/cache"
# shellcheck disable=SC2086
"$measure" "$work/compile.json" "$build/ectc" "$src/models/unet_ect.dsl" -o "$work/plan" -D batch="$batch" $defines \
    >"$work/compile.txt"
echo "train step: DDPM++, batch $batch, q = 256, dropout 0.2, RAdam, EMA; $cores cores ($cpu), load $load"
grep '^train_step' "$work/compile.txt"
ours_peak=0 peer_peak=0
: >"$work/ours" && : >"$work/peer" && : >"$work/ours_cold" && : >"$work/peer_cold"
round=1
while [ "$round" -le "$rounds" ]; do
    rm -rf "$work/run"
    # The start ends with the first line of metrics: its time is the run's less the later steps'.
    "$measure" "$work/m.json" "$build/ect-rt" train "$work/plan" --data "shapes:32:64" --out "$work/run" --steps "$steps" \
        --sample-every 0 --checkpoint-every 0 --set q=256 --device cpu >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
    grep -o '"images_per_s": *[0-9.e+-]*' "$work/run/metrics.jsonl" | awk -v b="$batch" '{ print b / $2 }' >"$work/t"
    tail -n +2 "$work/t" >>"$work/ours"
    compiled=$(sed -n 's/.*compiled.* in \([0-9.]*\) s.*/\1/p' "$work/log")
    awk -v c="${compiled:-0}" 'NR == 1 { printf "%.2f\n", c + $1 }' "$work/t" >>"$work/ours_cold"
    peak=$(number peak_bytes "$work/m.json")
    [ "$peak" -le "$ours_peak" ] || ours_peak=$peak
    echo "  ours    round $round: $(json_list <"$work/t") s, peak $(gb "$peak")${compiled:+, kernels compiled in $compiled s}"
    if [ -n "$python" ]; then
        "$python" "$src/bench/peer_torch.py" train --batch "$batch" --iters "$steps" >"$work/p.json"
        grep -o '"times_s": *\[[^]]*' "$work/p.json" | sed 's/.*\[//' | tr ',' '\n' | tr -d ' ' >"$work/t"
        tail -n +2 "$work/t" >>"$work/peer"
        number cold_start_s "$work/p.json" >>"$work/peer_cold"
        peak=$(number peak_bytes "$work/p.json")
        [ "$peak" -le "$peer_peak" ] || peer_peak=$peak
        echo "  pytorch round $round: $(json_list <"$work/t") s, peak $(gb "$peak")"
    fi
    round=$((round + 1))
done
ours=$(least <"$work/ours")
peer=$(least <"$work/peer")
echo "ours:    $ours s a step (least of $(wc -l <"$work/ours")), peak $(gb "$ours_peak")"
echo "         first step after $(head -n 1 "$work/ours_cold") s; from the second round on, kernels cached, $(tail -n 1 "$work/ours_cold") s"
if [ -n "$python" ]; then
    echo "pytorch: $peer s a step (least of $(wc -l <"$work/peer")), peak $(gb "$peer_peak")"
    echo "         first step after $(least <"$work/peer_cold") s"
    medians=$(ratio "$(median <"$work/ours")" "$(median <"$work/peer")")
    echo "ratio:   $(ratio "$ours" "$peer") (least by least), $medians (median by median)"
else
    echo "pytorch: not measured; no python3 with torch (set PYTHON)"
fi
mkdir -p "$results"
{
    printf '{"bench": "train_step", %s, "batch": %s, "defines": "%s",\n' "$(machine_json)" "$batch" "$defines"
    printf ' "compile_s": %s, "ours": {"step_s": %s, "peak_bytes": %s, "first_step_s": %s},\n' \
        "$(number wall_s "$work/compile.json")" "$(json_list <"$work/ours")" "$ours_peak" "$(json_list <"$work/ours_cold")"
    version=$(grep -o '"peer": *"[^"]*"' "$work/p.json" 2>/dev/null | sed 's/.*: *//') || version=null
    printf ' "pytorch": {"step_s": %s, "peak_bytes": %s, "first_step_s": %s, "version": %s}}\n' \
        "$(json_list <"$work/peer")" "$peer_peak" "$(json_list <"$work/peer_cold")" "${version:-null}"
} >"$results/$date-$host-train_step.json"
echo "written: ${results#"$src"/}/$date-$host-train_step.json"
