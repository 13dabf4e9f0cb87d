#!/bin/sh
# Every kernel of every model and example, in every precision, compiled by NVRTC for sm_80, sm_90a and sm_120: no warning, no spill.
set -eu
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$ECTRT" devices | grep -q '^  NVRTC  *yes' || { echo "no NVRTC"; exit 77; }
for precision in f32 tf32 bf16 f16; do
    for model in "$SRC"/models/*.dsl "$SRC"/examples/0*.dsl; do
        "$ECTC" "$model" --precision $precision --target cpu,cuda -o "$work/plan" >"$work/log"
        status=0
        "$ECTRT" cubins "$work/plan" --arch sm_80 --arch sm_90a --arch sm_120 >"$work/table" 2>&1 || status=$?
        echo "$(basename "$model") $precision: $(tail -1 "$work/table")"
        [ "$status" = 0 ] || { grep -v " 0      0 " "$work/table" | tail -30; failed=1; }
    done
done
exit "$failed"
