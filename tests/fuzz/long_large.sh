#!/bin/sh
# A hundred more of fuzz/large.sh, in every precision; NVRTC, if there is one, compiles them for the smallest GPU without a warning or a spill.
. "$SRC/tests/fuzz/lib"
[ -n "$exact" ] || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
arch=
if "$ECTRT" devices | grep -q '^  NVRTC  *yes'; then arch='--arch sm_80'; fi
status=0 first=2001
for precision in f32 tf32 bf16 f16; do
    # shellcheck disable=SC2086
    FUZZ_OPTIONS="--precision $precision" fuzz $first 25 --large $arch || status=1
    first=$((first + 25))
done
exit $status
