#!/bin/sh
# The CUDA texts of a plan through everything but a GPU: cubins.c, the device cuda with its graphs and argument structs, the mock driver, the
# emulator. Results are those of cuda-emu, which runs the same texts in another way.
. "$SRC/tests/e2e/lib"
tiny_model --target cpu,cuda
export ECT_CUDA_PATH="$BUILD/tests-mock" ECT_MOCK_STATS="$work/stats"
tensor=$BUILD/tests-tools/tensor
"$ECTRT" run plan init --out w.st 2>/dev/null
"$tensor" write one.st images:8,3,8,8 -1..1
for d in cuda cuda-emu; do
    train --device $d --out $d --steps 3 --accumulate 2 >/dev/null 2>&1 || fail "train --device $d"
    "$ECTRT" sample plan --weights $d --count 9 --mid 0.8 --device $d -o $d.png >/dev/null 2>&1 || fail "sample --device $d"
    "$ECTRT" run plan grad --weights w.st --in one.st --out grad.$d --device $d --dump-draws draws.st 2>/dev/null
    "$tensor" print draws.st draw.time >times.txt
    "$tensor" write drawn.st images:8,3,8,8 -1..1 draw.time:8 $(cat times.txt)
    "$ECTRT" run plan grad --weights w.st --in drawn.st --out drawn.$d --device $d 2>/dev/null
    same grad.$d drawn.$d
done
same cuda/ckpt-000003.safetensors cuda-emu/ckpt-000003.safetensors
for f in grad drawn; do same $f.cuda $f.cuda-emu; done
same cuda.png cuda-emu.png
