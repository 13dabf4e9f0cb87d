#!/bin/sh
# Compiles models/shapes.dsl, trains it on the built-in drawn set, samples in one and two steps. Usage: tools/demo.sh BUILD.
# Leaves demo/data.png, demo/samples.png (upper rows one step, lower rows two) and the run in demo/run; about five minutes on two cores.
set -eu
build=${1:-build}
here=$(cd "$(dirname "$0")/.." && pwd)
case $build in /*) ;; *) build=$here/$build ;; esac
demo=${DEMO_DIR:-$here/demo}
steps=${DEMO_STEPS:-1600}
seconds=${DEMO_SECONDS:-265}
ectc=$build/ectc
rt=$build/ect-rt
for p in "$ectc" "$rt"; do
    [ -x "$p" ] || { echo "demo: $p is missing; run make first" >&2; exit 2; }
done
mkdir -p "$demo"

echo "1. The model text models/shapes.dsl is compiled:"
"$ectc" "$here/models/shapes.dsl" -o "$demo/plan"

echo
echo "2. It is trained on drawn shapes, for at most $seconds seconds (Ctrl-C stops earlier and samples what there is):"
status=0
timeout --foreground -s INT "$seconds" "$rt" train "$demo/plan" --out "$demo/run" --overwrite --steps "$steps" --sample-every 250 \
    --checkpoint-every 250 --keep 1 --zoom 4 --set "total=32 * $steps" || status=$?
# 124: the time was up, the state was saved.
[ "$status" = 0 ] || [ "$status" = 124 ] || exit "$status"

echo
echo "3. It draws images from noise, in one step (upper rows) and in two (lower rows):"
"$rt" sample "$demo/plan" --weights "$demo/run" --count 24 --columns 12 --zoom 4 --mid 0.821 --both -o "$demo/samples.png"
cp "$demo/run/data.png" "$demo/data.png"
echo
echo "Look at $demo/samples.png beside $demo/data.png."
echo "Then change models/shapes.dsl and run it again."
