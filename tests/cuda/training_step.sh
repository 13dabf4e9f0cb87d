#!/bin/sh
# Every kernel of a training step of the network of the paper, at batch 128 in bf16, compiled by NVRTC for sm_90a: at most 150 texts, no warning, no spill.
# Prints how many there are, the slowest, and the time.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$ECTRT" devices | grep -q '^  NVRTC  *yes' || { echo "no NVRTC"; exit 77; }
"$ECTC" "$SRC/models/unet_ect.dsl" --precision bf16 --target cpu,cuda -o "$work/plan" >"$work/log"
status=0
"$ECTRT" cubins "$work/plan" --arch sm_90a --program train_step --fresh >"$work/table" 2>&1 || status=$?
tail -2 "$work/table"
texts=$(sed -n 's/^\([0-9]*\) kernels, .*/\1/p' "$work/table")
[ "${texts:-1000}" -le 150 ] || { echo "$texts texts"; exit 1; }
[ "$status" = 0 ] || { grep -v ' 0      0 ' "$work/table" | tail -20; exit 1; }
