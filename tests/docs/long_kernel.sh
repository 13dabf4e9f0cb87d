#!/bin/sh
# The kernel that README.md shows is the one that is generated.
# Assumes the environment of check.sh. When it differs: ECTC=build/ectc ECTRT=build/ect-rt SRC=. sh tests/docs/check.sh --update README.md
exec sh "$SRC/tests/docs/check.sh" --kernel "$SRC/README.md"
