#!/bin/sh
# On the mock driver the device cuda gives the cpu's bits: every program of a plan, replaced draws, samples, training in all its forms.
. "$SRC/tests/e2e/lib"
tiny_model
mock_cuda
tensor=$BUILD/tests-tools/tensor
"$ECTRT" run plan init --out w.st 2>/dev/null
"$tensor" write one.st images:8,3,8,8 -1..1
"$tensor" write three.st images:3,8,3,8,8 -1..1
"$tensor" write noisy.st x:8,3,8,8 -2..2 sigma:8 0.1..3
for d in cpu cuda; do
    for p in loss grad; do "$ECTRT" run plan $p --weights w.st --in one.st --out $p.$d --device $d --dump-draws draws.$d 2>/dev/null; done
    "$ECTRT" run plan denoise --weights w.st --in noisy.st --out denoise.$d --device $d 2>/dev/null
    "$ECTRT" run plan train_step --iters 3 --weights w.st --in three.st --out train_step.$d --device $d --seed 3 --step 7 2>/dev/null
    train --device $d --out $d --steps 9 --flip --checkpoint-every 4 --sample-every 4 --grid 12 --validate-every 3 --validate-images 16 >/dev/null 2>&1
    train --device $d --out many.$d --steps 4 --accumulate 3 >/dev/null 2>&1
    "$ECTRT" sample plan --weights $d --count 11 --mid 0.8 --mid 0.3 --device $d -o $d.png >/dev/null 2>&1
    # What changes with the clock, the machine and the process stays out.
    sed 's/"images_per_s": [^,]*, //; s/, "memory_mb.*_bytes": [0-9]*//' $d/metrics.jsonl >metrics.$d
done
for p in loss grad denoise train_step draws metrics; do same $p.cpu $p.cuda; done
for f in ckpt-000004.safetensors ckpt-000009.safetensors samples-000000.png samples-000008.png; do same cpu/$f cuda/$f; done
same many.cpu/ckpt-000004.safetensors many.cuda/ckpt-000004.safetensors
same cpu.png cuda.png

# Draws as inputs: what was dumped gives the same bits, whatever the seed.
"$ECTRT" run plan train_step --weights w.st --in one.st --out a.cpu --device cpu --dump-draws d.st 2>/dev/null
"$tensor" print d.st draw.time >times.txt
"$tensor" write drawn.st images:8,3,8,8 -1..1 draw.time:8 $(cat times.txt)
for d in cpu cuda; do "$ECTRT" run plan train_step --weights w.st --in drawn.st --out b.$d --device $d 2>/dev/null; done
same b.cpu b.cuda

# Launch by launch and timed, the results are the same.
train --device cpu --out plain --steps 9 --flip >/dev/null 2>&1
ECT_CUDA_CHECK=1 train --device cuda --out checked --steps 9 --flip >/dev/null 2>&1
same plain/ckpt-000009.safetensors checked/ckpt-000009.safetensors
train --device cuda --out timed --steps 4 --accumulate 3 --profile prof.json --profile-every 2 >/dev/null 2>&1
same many.cpu/ckpt-000004.safetensors timed/ckpt-000004.safetensors
grep -q '"segment": "train_step.update", "runs": 2' prof.json || fail "--profile-every 2 of 4 steps did not time 2 updates"

# A run goes on from where it was, on this device and on the other.
train --device cuda --out half --steps 5 --flip >/dev/null 2>&1
train --device cuda --out half --steps 9 --resume >/dev/null 2>&1
same plain/ckpt-000009.safetensors half/ckpt-000009.safetensors
train --device cpu --out mixed --steps 5 --flip >/dev/null 2>&1
train --device cuda --out mixed --steps 9 --resume >/dev/null 2>&1
same plain/ckpt-000009.safetensors mixed/ckpt-000009.safetensors

# What is not finite is counted on the device; --halt-on-nonfinite stops at the update that has it.
for d in cpu cuda; do
    train --device $d --out bad.$d --steps 6 --set lr=1e38 >/dev/null 2>err.$d
    sed 's/"images_per_s": [^,]*, //; s/, "memory_mb.*_bytes": [0-9]*//' bad.$d/metrics.jsonl >metrics.$d
    expect 1 train --device $d --out halt.$d --steps 6 --set lr=1e38 --halt-on-nonfinite
    ls halt.$d >files.$d
done
grep -q '"nonfinite_gradient": [1-9]' metrics.cuda || fail "no gradient is counted"
for f in metrics err files; do same $f.cpu $f.cuda; done

# auto takes the GPU when the plan has texts for it and it works, else the cpu.
train --out auto --steps 1 >out.txt 2>&1
grep -q 'device  *cuda,' out.txt || fail "auto did not take the GPU"
ECT_MOCK_FAIL=nodevice train --out auto2 --steps 1 >out.txt 2>&1
grep -q 'device  *cpu,' out.txt || fail "auto did not take the cpu"
