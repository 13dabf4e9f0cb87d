#!/bin/sh
# SIGINT and SIGTERM save and stop with status 0, and the run goes on as if nothing had been; a second SIGINT stops at once.
. "$SRC/tests/e2e/lib"
tiny_model
train --out whole --steps 400 >/dev/null
wait_lines() { i=0; while [ "$(cat "$1/metrics.jsonl" 2>/dev/null | wc -l)" -lt "$2" ]; do i=$((i + 1)); [ $i -lt 2000 ] || fail "no progress"; sleep 0.01; done; }
for signal in INT TERM; do
    rm -rf part
    # env restores the default action: a shell starts background commands with SIGINT ignored.
    env --default-signal=INT "$ECTRT" train plan --data shapes:8:256 --sample-every 0 --checkpoint-every 0 --out part --steps 400 >out.txt 2>err.txt &
    pid=$!
    wait_lines part 5
    kill -$signal $pid
    status=0
    wait $pid || status=$?
    [ $status = 0 ] || { cat out.txt err.txt; fail "SIG$signal: exit status $status"; }
    says '--resume'
    ls part/ckpt-*.safetensors >/dev/null || fail "nothing saved"
    train --out part --steps 400 --resume >/dev/null
    same whole/ckpt-000400.safetensors part/ckpt-000400.safetensors
done
# The reference interpreter makes one step long enough for a second signal to come within it.
"$ECTC" tiny.dsl -o plan -D batch=512 -D width=64 >/dev/null
env --default-signal=INT "$ECTRT" train plan --data shapes:8:1024 --sample-every 0 --device ref --out twice --steps 100000 --accumulate 1 >out.txt 2>err.txt &
pid=$!
i=0
while ! [ -e twice/metrics.jsonl ]; do i=$((i + 1)); [ $i -lt 1200 ] || fail "no start"; sleep 0.05; done
sleep 0.3
kill -INT $pid
sleep 0.05
kill -INT $pid 2>/dev/null || true
status=0
wait $pid || status=$?
[ $status = 130 ] || fail "second SIGINT: exit status $status"
