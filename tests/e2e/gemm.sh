#!/bin/sh
# Matrix products by a library (a mock cuBLASLt, which computes them from the descriptors it is given): the generated kernels' bits in f32, choices timed
# once, kept in the cache and with the run, followed by --resume; what is said where they cannot be.
. "$SRC/tests/e2e/lib"
export XDG_CACHE_HOME="$work/cache" ECT_MOCK_LT_LOG="$work/log"
: >log
cat >tiny.dsl <<'MODEL'
import std.nn, std.optim
config res = 4, colors = 3, batch = 8, width = 16
stream time, noise
block Mix(ch: int)(x: [n, c:ch, h, w]) -> [n, c:ch, h, w] {
  param weight: [o:ch, i:ch] = xavier_uniform()(ch, ch)
  return sum[i](x[c as i] * weight)[o as c]
}
# Linear layers, 1x1 convolutions and attention whose operands have no prologue.
block Net(ch: int)(x: [n, c:C, h, w], t: [n]) -> [n, c:C, h, w] {
  use first = Conv(C, ch), q = Mix(ch), k = Conv(ch, ch, k = 1), v = Conv(ch, ch, k = 1), back = Conv(ch, C, k = 1)
  use told = Linear(8, ch), more = Linear(ch, ch)
  let a = first(x) + more(told(sin(t * (iota[c: 8] + 1))))
  let qa = rearrange(q(a): [n, c, h, w] -> [n, c, px:(h w)])
  let ka = rearrange(k(a): [n, c, h, w] -> [n, c, px:(h w)])[px as key]
  let va = rearrange(v(a): [n, c, h, w] -> [n, c, px:(h w)])[px as key]
  let b = sum[key](softmax[key](sum[c](qa * ka) / sqrt(qa.c)) * va)
  return back(a * 0.5 + rearrange(b: [n, c, px:(h:x.h w:x.w)] -> [n, c, h, w]))
}
use net = Net(width)
runtime lr: real = 1e-2, beta1: real = 0.9, beta2: real = 0.999
loss diffusion(y: [n, c:colors, h:res, w:res]) -> [n] {
  let t = exp(normal[n: y.n] from time)
  return mean[c,h,w]((net(y + t * normal like y from noise, t) - y)^2) / (1 + t^2)
}
train(images: [n:batch, c:colors, h:res, w:res]) {
  minimize  mean[n](diffusion(images))
  optimizer Radam(lr, beta1, beta2)
}
MODEL
"$ECTC" tiny.dsl -o plan --target cpu,cuda >/dev/null 2>&1 || fail ectc
cp -r plan texts
mock_cuda
export ECT_CUDA_PATH="$BUILD/tests-mock-lt"
train() { "$ECTRT" train plan --data shapes:4:64 --sample-every 0 --checkpoint-every 0 --device cuda "$@"; }
asked() { grep -c "^$1" log || true; }

# The descriptors: the emulator's kernels and the library give the same bits where sums are in order of k.
"$ECTRT" run plan init --out w.st 2>/dev/null
"$BUILD/tests-tools/tensor" write in.st images:8,3,4,4 -1..1
(
    unset ECT_MOCK_KERNELS
    for g in own lt; do "$ECTRT" run texts loss --weights w.st --in in.st --out $g.st --device cuda --gemm $g 2>/dev/null || fail "run --gemm $g"; done
)
same own.st lt.st
# In bf16 weights come from their image in 2 bytes; in tf32 operands are rounded by the runtime's own kernel. The order of sums is tensor cores'.
for precision in bf16 tf32; do
    "$ECTC" tiny.dsl -o half.plan --target cpu,cuda --precision $precision >/dev/null 2>&1 || fail ectc
    grep -q "\"round\": \"$precision\"" half.plan/plan.json && rounds=yes || rounds=no
    [ $precision.$rounds = bf16.no ] || [ $precision.$rounds = tf32.yes ] || fail "$precision: rounds its operands: $rounds"
    (
        unset ECT_MOCK_KERNELS
        for g in own lt; do
            "$ECTRT" run half.plan loss --weights w.st --in in.st --out $g.st --device cuda --gemm $g 2>/dev/null || fail "run --gemm $g in $precision"
            "$BUILD/tests-tools/tensor" print $g.st loss >$g.half
        done
    )
    paste own.half lt.half | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-3 * $1) exit 1 }' || { paste own.half lt.half; fail "losses in $precision"; }
    [ "$(asked computed)" -gt 0 ] || fail "the library computed nothing"
    rm -rf half.plan
done

# Every product of a training step, its losses within rounding of the kernels'; of the algorithms none that adds up by atomics.
rm -rf cache; : >log
expect 0 train --gemm own --out own --steps 6
[ "$(asked '')" = 0 ] && [ ! -f own/gemm.json ] || fail "--gemm own opened the library"
expect 0 train --gemm lt --out lt --steps 6
says 'timed '
n=$(grep -c '"product"' lt/gemm.json)
[ "$n" -ge 8 ] && [ "$(grep -c '"algorithm": "000000000000000[123] 0000000000000002' lt/gemm.json)" = "$n" ] || { cat lt/gemm.json; fail "not $n products by the library"; }
grep -q 'batch 8' lt/gemm.json && grep -q 'bias' lt/gemm.json && grep -q transposed lt/gemm.json || fail "no batch, bias or transpose among the products"
for d in own lt; do sed 's/.*"loss": \([0-9.]*\),.*/\1/' $d/metrics.jsonl >$d.txt; done
[ "$(wc -l <lt.txt)" = 6 ] || fail "six steps"
paste own.txt lt.txt | awk '{ d = $1 - $2; if (d < 0) d = -d; if (d > 1e-5 * $1) exit 1 }' || { paste own.txt lt.txt; fail "losses"; }

# Known from the cache: nothing is timed again. --resume: from the run, with the run's --gemm, whatever the cache says; equal bits.
: >log
expect 0 train --gemm lt --out again --steps 6
[ "$(asked asked)" = 0 ] || fail "timed again"
same lt/ckpt-000006.safetensors again/ckpt-000006.safetensors
expect 0 train --gemm lt --out half --steps 3
rm -rf cache; : >log
expect 0 train --out half --steps 6 --resume
[ "$(asked asked)" = 0 ] && [ "$(asked computed)" -gt 0 ] || fail "the run's choices were not followed"
same lt/ckpt-000006.safetensors half/ckpt-000006.safetensors
"$ECTRT" cache ls >ls.txt

# auto keeps what was faster, and one capture does for all updates.
expect 0 train --out auto --steps 6
[ "$(grep -c '"faster": "\(own\|cublaslt\)"' auto/gemm.json)" = "$n" ] || fail "auto chose for others than the $n products"
[ "$(counted captures)" = 1 ] && [ "$(counted left)" = 0 ] || fail "auto: $(cat stats)"
"$ECTRT" cache ls | grep -q 'matrix product on Mock GPU (sm_90a) with cuBLASLt 130001: ' || fail "cache ls"

# Another version: a warning, and chosen anew. An algorithm the library does not take. None at all.
cp -r half other
ECT_MOCK_LT_VERSION=130100 expect 0 train --out other --steps 7 --resume
says 'was chosen for cuBLASLt 130001 on Mock GPU (sm_90a)' && says 'here are cuBLASLt 130100'
grep -q '"library": "cuBLASLt 130100"' other/gemm.json || fail "the file still says the old version"
sed -i 's/4c74/4c75/' half/gemm.json
expect 0 train --out half --steps 7 --resume
says 'does not take the algorithm that was chosen'
rm -rf cache
ECT_MOCK_LT_FAIL=1 expect 0 train --gemm lt --out nothing --steps 2
grep -q '"faster": "cublaslt"' nothing/gemm.json && fail "by a library that has no algorithm"

# No library: the kernels, and it is said; asked for by name, an error. Wrong words.
export ECT_CUDA_PATH="$BUILD/tests-mock"
expect 0 train --out absent --steps 6
says "matrix products run as the plan's kernels: no cuBLASLt"
sed 's/.*"loss": \([0-9.]*\),.*/\1/' absent/metrics.jsonl >absent.txt
same own.txt absent.txt
expect 0 train --out auto --steps 7 --resume
expect 2 train --gemm lt --out none --steps 1
says 'no cuBLASLt in ECT_CUDA_PATH' && says '--gemm auto'
expect 1 train --gemm best --out none --steps 1
says '--gemm best: it is auto, own or lt'
expect 1 "$ECTRT" train plan --device cpu --gemm lt --out none --steps 1
says 'for --device cuda'
