#!/bin/sh
# A model of other tensors than images trains on a safetensors file with tensors named like its inputs.
. "$SRC/tests/e2e/lib"
cat >line.dsl <<'EOF'
import std.nn, std.optim
config batch = 16
use line = Linear(2, 1)
runtime lr: real = 0.05, beta1: real = 0.9, beta2: real = 0.999
loss square(x: [n, c:2], y: [n]) -> [n] { return sum[c]((line(x) - y)^2) }
train(x: [n:batch, c:2], y: [n]) {
  minimize mean[n](square(x, y))
  optimizer Adam(lr, beta1, beta2)
}
EOF
"$ECTC" line.dsl -o plan >/dev/null || fail "ectc line.dsl"
# y = 3 x0 - 2 x1 + 1 on a grid of 64 points, written by hand.
awk 'function put(v,   s, e, m, i) {          # little-endian f32 of a multiple of 1/8
         if (v == 0) { printf "\\000\\000\\000\\000"; return }
         s = 0; if (v < 0) { s = 1; v = -v }
         e = 127; while (v >= 2) { v /= 2; e++ } while (v < 1) { v *= 2; e-- }
         m = (v - 1) * 8388608
         printf "\\%03o\\%03o\\%03o\\%03o", m % 256, int(m / 256) % 256, int(m / 65536) + (e % 2) * 128, s * 128 + int(e / 2)
     }
     BEGIN {
         for (i = 0; i < 64; i++) { put((i % 8 - 4) / 4); put((int(i / 8) - 4) / 4) }
         for (i = 0; i < 64; i++) put(3 * (i % 8 - 4) / 4 - 2 * (int(i / 8) - 4) / 4 + 1)
     }' >body.txt
header='{"x":{"dtype":"F32","shape":[64,2],"data_offsets":[0,512]},"y":{"dtype":"F32","shape":[64],"data_offsets":[512,768]}}'
{ printf "\\$(printf %03o ${#header})\\000\\000\\000\\000\\000\\000\\000"; printf '%s' "$header"; printf "$(cat body.txt)"; } >data.safetensors
expect 0 "$ECTRT" train plan --data data.safetensors --out run --steps 400
tail -n 1 run/metrics.jsonl | sed 's/.*"loss": \([0-9.e+-]*\).*/\1/' | awk '{ exit !($1 < 0.01) }' || fail "the line was not found: $(tail -n 1 run/metrics.jsonl)"
expect 1 "$ECTRT" train plan --out run2 --steps 1
says 'does not train on images'
says '`x` [samples, 2]'
expect 1 "$ECTRT" sample plan --weights run -o x.png
says 'sample'
