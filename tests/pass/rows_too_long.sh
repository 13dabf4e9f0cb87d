#!/bin/sh
# Sums of rows of 30000 are kernels of sums, not a pass with a warp and a buffer for each; rows of 8000 are a pass, whose loops are not written out.
# Assumes ECTC and SRC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cat >"$tmp/model.dsl" <<'EOF'
import std.optim
block Net()(x: [n:2, c:30000]) -> [n:2, c:30000] {
  param scale: [c:30000] = uniform(0.5, 1.5)
  return standardize[c](tanh(x), 0.1) * scale
}
use net = Net()
loss l(x: [n:2, c:30000]) -> [n:2] {
  let y = net(x)
  return sqrt(mean[c](y^2) + 1) + mean[c](sin(y)) + mean[c](exp(-y^2))
}
train(x: [n:2, c:30000]) {
  minimize mean[n](l(x))
  optimizer Sgd(0.02)
}
program rows_8000(x: [n:64, c:8000]) -> y = softmax[c](sin(x))
EOF
"$ECTC" "$tmp/model.dsl" --target cpu,cuda -o "$tmp/plan" >"$tmp/log" 2>&1 || { cat "$tmp/log"; exit 1; }
cd "$tmp/plan/kernels"
! grep -H 'COLUMNS = 30000\|float row[0-9]*\[30000\]' ./*.c ./*.cu || { echo "rows of 30000 in a pass"; exit 1; }
grep -q 'COLUMNS = 8000' ./*.cu || { echo "rows of 8000 are no pass"; exit 1; }
grep -B 1 'q < SHARE' "$(grep -l 'COLUMNS = 8000' ./*.cu)" | grep '#pragma' | grep -qv 'unroll 8' && { echo "a loop over a long row is written out"; exit 1; }
exit 0
