#!/bin/sh
# Images that lie on the device as bytes: the bits of images prepared by the host, mirrored ones and labels too, across epochs, micro-batches and resumes;
# an update uploads numbers only; what is said where they do not fit.
. "$SRC/tests/e2e/lib"
tiny_model
mock_cuda
train() { "$ECTRT" train plan --data shapes:8:30 --sample-every 0 --checkpoint-every 0 --device cuda "$@"; }
metrics() { sed 's/"images_per_s": [^,]*, //; s/, "memory_mb.*_bytes": [0-9]*//' "$1/metrics.jsonl"; }
agree() {                                              # NAME OPTIONS...: the same weights and metrics wherever the images lie
    name=$1
    shift
    for where in host device; do
        expect 0 train --data-on $where --out $name.$where "$@"
        metrics $name.$where >$name.$where.txt
        eval "up_$where=$(counted to_device)"
    done
    same $name.host.txt $name.device.txt
    for f in $name.host/ckpt-*; do same "$f" "$name.device/${f##*/}"; done
}
agree plain --steps 11
says 'data on  '
[ "$(counted captures)" = 1 ] && [ "$(counted left)" = 0 ] || fail "$(cat stats)"
agree flipped --steps 40 --flip
# 8 images of 8x8 in 3 colours are 6144 bytes in f32, their numbers 32 and at most 256 in a record; the set itself is 5760.
saved=$((up_host - up_device + 5760))
[ "$saved" -ge $((40 * 5800)) ] || fail "40 updates upload $saved bytes less"
agree many --steps 5 --accumulate 3 --flip
agree timed --steps 4 --accumulate 2 --flip --profile --profile-every 2
agree checked --steps 9 --validate-every 3 --validate-images 10 --flip
expect 0 train --out half --steps 5 --flip
says 'as bytes'                                        # auto
expect 0 train --out half --steps 40 --resume --data-on host
same half/ckpt-000040.safetensors flipped.host/ckpt-000040.safetensors
"$ECTRT" train plan --data shapes:8:30 --sample-every 0 --checkpoint-every 0 --device cpu --out cpu --steps 40 --flip >/dev/null 2>&1
same cpu/ckpt-000040.safetensors flipped.device/ckpt-000040.safetensors

# Labels come from the host.
cat >classes.dsl <<'MODEL'
import std.nn, std.optim
config labels = 3, batch = 4
use pixel = Conv(3, 8), shade = Linear(labels, 8), out = Conv(8, 3)
runtime lr: real = 0.03, beta1: real = 0.9, beta2: real = 0.999
stream noise
loss plain(y: [n, c:3, h:8, w:8], lab: [n, c:labels]) -> [n] {
  return sum[c,h,w]((out(silu(pixel(normal like y from noise) + shade(lab))) - y)^2)
}
train(images: [n:batch, c:3, h:8, w:8], labels: [n, c:labels]) {
  minimize  mean[n](plain(images, labels))
  optimizer Adam(lr, beta1, beta2)
}
MODEL
rm -rf plan
"$ECTC" classes.dsl -o plan >compile.txt 2>&1 || { cat compile.txt >&2; fail "ectc classes.dsl"; }
mock_cuda
agree classes --steps 12 --flip

# No room for 30000 images: they stay where they are, unless that is asked for by name. Elsewhere, and wrong words.
export ECT_MOCK_MEMORY=8000000
expect 0 "$ECTRT" train plan --data shapes:8:30000 --sample-every 0 --device cuda --out small --steps 1
says 'data on  ' && says 'host: 5.5 MB of images'
expect 2 "$ECTRT" train plan --data shapes:8:30000 --sample-every 0 --device cuda --data-on device --out none --steps 1
says '--data-on device: 5.5 MB of images'
expect 1 "$ECTRT" train plan --data shapes:8:30 --device cpu --data-on device --out none2 --steps 1
says '--data-on device: it is for images on --device cuda, this is cpu'
expect 1 train --data-on gpu --out none2
says '--data-on gpu: it is auto, host or device'
