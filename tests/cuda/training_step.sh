#!/bin/sh
# Every kernel of a training step of the network of the paper, at batch 128 in bf16, compiled by NVRTC for sm_90a: no warning, no
# spill but for a few bytes in convolutions whose prologue draws or takes rows through a table: at 128 registers, so that two blocks fit, one value waits in
# memory while channels are staged.
# Prints how many there are, the slowest, and the time.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$ECTRT" devices | grep -q '^  NVRTC  *yes' || { echo "no NVRTC"; exit 77; }
"$ECTC" "$SRC/models/unet_ect.dsl" --precision bf16 --target cpu,cuda -o "$work/plan" >"$work/log"
echo 'conv_* registers 128 spill 16 stack 16 blocks 2' >"$work/budget"
status=0
"$ECTRT" cubins "$work/plan" --arch sm_90a --program train_step --fresh --budget "$work/budget" >"$work/table" 2>&1 || status=$?
tail -2 "$work/table"
[ "$status" = 0 ] || { grep -v ' 0      0 ' "$work/table" | tail -20; exit 1; }
