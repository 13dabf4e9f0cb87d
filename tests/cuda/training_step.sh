#!/bin/sh
# A training step of the network of the paper, at batch 128 in bf16, compiled by NVRTC for sm_90a: at most 150 texts; prints how many there are, the slowest,
# and the time. Then every kernel of every model and example: no warning, no spill.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ECT_CACHE="$work/cache"
"$ECTRT" devices | grep -q '^  NVRTC  *yes' || { echo "no NVRTC"; exit 77; }
# cubins MODEL [OPTIONS]: the table to $work/table
cubins() {
    model=$1 status=0
    shift
    "$ECTC" "$model" --precision bf16 --target cpu,cuda -o "$work/plan" >"$work/log"
    "$ECTRT" cubins "$work/plan" --arch sm_90a "$@" >"$work/table" 2>&1 || status=$?
    echo "${model#"$SRC"/}: $(grep '^[0-9]* kernels, ' "$work/table")"
    [ "$status" = 0 ] || { grep -v ' 0      0 ' "$work/table" | tail -20; exit 1; }
}
cubins "$SRC/models/unet_ect.dsl" --program train_step --fresh
grep '^slowest' "$work/table"
texts=$(sed -n 's/^\([0-9]*\) kernels, .*/\1/p' "$work/table")
[ "${texts:-1000}" -le 150 ] || { echo "$texts texts"; exit 1; }
for model in "$SRC"/models/*.dsl "$SRC"/examples/0*.dsl; do cubins "$model"; done
