#!/bin/sh
# A full disk during a checkpoint: status 2, a message, the earlier checkpoint whole, and the run goes on when there is room.
. "$SRC/tests/e2e/lib"
tiny_model -D width=64
train --out whole --steps 4 >/dev/null
train --out run --steps 2 >/dev/null
cp run/ckpt-000002.safetensors good
kb=$(($(wc -c <good) / 2048))
status=0
(ulimit -f $kb; train --out run --steps 4 --resume >out.txt 2>err.txt) || status=$?
[ $status = 2 ] || { cat out.txt err.txt; fail "exit status $status, wanted 2"; }
says 'cannot save the checkpoint'
same good run/ckpt-000002.safetensors
[ "$(ls run | grep -c 'ckpt-')" = 1 ] || fail "left-overs: $(ls run)"
expect 0 train --out run --steps 4 --resume
same whole/ckpt-000004.safetensors run/ckpt-000004.safetensors

# The same on a file system that is really full, where one can be mounted.
if [ "$(id -u)" = 0 ] && mkdir mnt && mount -t tmpfs -o size=1500k tmpfs mnt 2>/dev/null; then
    trap 'umount mnt; rm -rf "$work"' EXIT
    mkdir mnt/run
    cp good mnt/run/ckpt-000002.safetensors
    head -c 1000000 /dev/zero >mnt/fill 2>/dev/null || true
    expect 2 train --out mnt/run --steps 4 --resume
    same good mnt/run/ckpt-000002.safetensors
    rm mnt/fill
    expect 0 train --out mnt/run --steps 4 --resume
    same whole/ckpt-000004.safetensors mnt/run/ckpt-000004.safetensors
fi
