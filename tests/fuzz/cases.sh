#!/bin/sh
# Programs that failed once, as the fuzzer reduced them: all must agree now.
. "$SRC/tests/fuzz/lib"
# shellcheck disable=SC2086
"$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$ECTC" "$SRC"/tests/fuzz/cases/*.dsl ${FUZZ_OPTIONS:+-- $FUZZ_OPTIONS}
