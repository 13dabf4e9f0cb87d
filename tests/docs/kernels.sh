#!/bin/sh
# The kernels that README.md and the pages show are those that are generated.
# Assumes the environment of check.sh. When it differs: ECTC=build/ectc ECTRT=build/ect-rt SRC=. sh tests/docs/check.sh --update README.md
exec sh "$SRC/tests/docs/check.sh" --kernel
