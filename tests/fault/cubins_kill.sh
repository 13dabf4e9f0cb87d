#!/bin/sh
# SIGKILL at any moment while kernels are compiled and stored, and two processes that store 100 at once: no damaged entry, no wrong object.
. "$SRC/tests/cuda/lib"
"$ECTC" "$SRC/models/shapes.dsl" -o plan >compile.txt
with_cuda plan 100
fake_nvrtc a 13 0
export ECT_CACHE="$work/cache" ECT_CUDA_PATH="$work/a"
ECT_CACHE=off load 0 plan sm_90a
compiles 100
bits >good

# The later the kill, the more entries; the next run uses them.
for round in 1 2 3 4 5 6 7 8 9 10 11 12; do
    FAKE_MS=1 "$BUILD/tests-tools/cubins" plan sm_90a >killed.txt 2>&1 &
    pid=$!
    sleep 0.0$((round * 7 % 10))$((round % 10))
    kill -9 $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    expect 0 "$ECTRT" cache verify
    says ' 0 damaged'
done
load 0 plan sm_90a
bits >after
same good after
load 0 plan sm_90a
compiles 0
# What the killed left goes when it is old; a time far in the future is no reason to keep it.
find cache -name 'tmp-*' >left
mkdir -p cache/ab
echo x >cache/ab/tmp-1-1
echo x >cache/tmp-2-2
echo x >cache/tmp-3-3
touch -d '2 hours ago' cache/ab/tmp-1-1
touch -d '10 years' cache/tmp-2-2
expect 0 "$ECTRT" cache prune
[ ! -e cache/ab/tmp-1-1 ] && [ ! -e cache/tmp-2-2 ] && [ -e cache/tmp-3-3 ] || fail "temporary files: $(find cache -name 'tmp-*')"

for round in 1 2 3; do
    rm -rf cache
    "$BUILD/tests-tools/cubins" plan sm_90a >one.txt 2>one.err &
    pid=$!
    load 0 plan sm_90a
    bits >two
    wait $pid || { cat one.err; fail "the other process"; }
    mv one.txt out.txt
    bits >one
    same good one
    same good two
    expect 0 "$ECTRT" cache verify
    says '100 entries verified, 0 damaged'
    [ -z "$(find cache -name 'tmp-*')" ] || fail "temporary files left"
    load 0 plan sm_90a --require-cached
done

# A signal while compiling ends the process at once, by that signal.
rm -rf cache
FAKE_MS=50 "$BUILD/tests-tools/cubins" plan sm_90a >killed.txt 2>&1 &
pid=$!
sleep 0.3
kill -TERM $pid
status=0
wait $pid 2>/dev/null || status=$?
[ $status = 143 ] || fail "exit status $status, wanted 143"
