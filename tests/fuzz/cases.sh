#!/bin/sh
# Programs that failed once, as the fuzzer reduced them: all must agree now.
. "$SRC/tests/fuzz/lib"
# shellcheck disable=SC2086
"$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$ECTC" --level -O0 $exact "$SRC"/tests/fuzz/cases/*.dsl ${FUZZ_OPTIONS:+-- $FUZZ_OPTIONS} || exit 1
# shellcheck disable=SC2086
"$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$ECTC" --level -O3 "$SRC"/tests/fuzz/cases/masked_load.dsl ${FUZZ_OPTIONS:+-- $FUZZ_OPTIONS} || exit 1
# Their CUDA texts, in exact mode.
[ -z "$exact" ] || "$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$ECTC" $exact --cuda "$SRC"/tests/fuzz/cases/*.dsl || exit 1
[ -z "$exact" ] || "$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$ECTC" $exact --cuda "$SRC"/tests/fuzz/cases/cuda_*.dsl -- --precision bf16 || exit 1
