#!/bin/sh
# Random programs by the thousand, with `make check-night` only: NIGHT_SEEDS of them from NIGHT_FIRST on, two processes at once,
# every tenth batch with kernels at the optimisation that users have. Failing texts, reduced, go to BUILD/fuzz.
. "$SRC/tests/fuzz/lib"
[ -n "${NIGHT_SEEDS-}" ] || { echo "runs with make check-night"; exit 77; }
FUZZ_KEEP=${FUZZ_KEEP:-$BUILD/fuzz}
first=${NIGHT_FIRST:-1001} batch=20
last=$((first + NIGHT_SEEDS - 1))

# half FIRST: every second batch.
half() {
    at=$1 failed=0
    while [ "$at" -le "$last" ]; do
        n=$((last - at + 1 < batch ? last - at + 1 : batch))
        level=-O1
        [ $((at / batch % 10)) != 0 ] || level=-O3
        fuzz "$at" "$n" --level "$level" || failed=1
        # of each batch three programs on CUDA texts, and two large ones
        [ -z "$exact" ] || fuzz "$at" 1 --cuda || failed=1
        [ -z "$exact" ] || FUZZ_OPTIONS="--precision bf16" fuzz $((at + 1)) 1 --cuda || failed=1
        [ -z "$exact" ] || fuzz $((at + 2)) 1 --emu || failed=1
        [ -z "$exact" ] || FUZZ_OPTIONS="--precision bf16" fuzz "$at" 2 --large || failed=1
        at=$((at + 2 * batch))
    done
    return $failed
}
status=0
half "$first" &
half $((first + batch)) || status=1
wait $! || status=1
exit $status
