#!/bin/sh
# A model with classes trains on labelled data and samples one class; labels that do not match the data are refused.
. "$SRC/tests/e2e/lib"
cat >classes.dsl <<'EOF'
import std.nn, std.optim
config labels = 3, batch = 4
use pixel = Conv(3, 8), shade = Linear(labels, 8), out = Conv(8, 3)
fn net(x, lab) = out(silu(pixel(x) + shade(lab)))
runtime lr: real = 0.03, beta1: real = 0.9, beta2: real = 0.999, ema_beta: real = 0.9
loss plain(y: [n, c:3, h:8, w:8], lab: [n, c:labels]) -> [n] {
  return sum[c,h,w]((net(normal like y from noise, lab) - y)^2)
}
stream noise
train(images: [n:batch, c:3, h:8, w:8], labels: [n, c:labels]) {
  minimize  mean[n](plain(images, labels))
  optimizer Adam(lr, beta1, beta2)
  ema as "ema" = Ema(ema_beta)
}
sample(z: [n:batch, c:3, h:8, w:8], labels: [n, c:labels]) -> images { return net(z, labels) }
EOF
"$ECTC" classes.dsl -o plan >/dev/null || fail "ectc classes.dsl"
expect 0 "$ECTRT" train plan --data shapes:8:64 --out run --steps 8 --grid 6
[ -s run/samples-000008.png ] || fail "no samples"
s() { "$ECTRT" sample plan --weights run --live "$@"; }
expect 0 s --count 4 --class 0 -o zero/
expect 0 s --count 4 --class 2 -o two/
expect 0 s --count 4 -o all/
same zero/000000.png all/000000.png
same two/000002.png all/000002.png
cmp -s zero/000001.png two/000001.png && fail "the class makes no difference"
expect 1 s --class 3 -o x.png
says 'classes 0 to 2'
"$ECTC" classes.dsl -o plan10 -D labels=10 >/dev/null
expect 1 "$ECTRT" train plan10 --data shapes:8:64 --out run10 --steps 1
says '-D labels=3'
[ ! -e run10 ] || fail "a run folder was made"
