#!/bin/sh
# `ectc fmt` on a wrong text: a located error on stderr, status 1, nothing on stdout; `ectc explain` knows the code.
# Assumes ECTC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf 'fn f(x) = g([x, 1)\nfn h(x) = *\n' > "$tmp/bad.dsl"
status=0
"$ECTC" fmt "$tmp/bad.dsl" > "$tmp/out" 2> "$tmp/err" || status=$?
[ "$status" = 1 ]
[ ! -s "$tmp/out" ]
grep -q 'bad.dsl:1:18: error E0109' "$tmp/err"
grep -q 'bad.dsl:2:11: error E0101' "$tmp/err"
"$ECTC" explain E0109 | grep -q '^# E0109'
status=0
"$ECTC" explain E9999 2> "$tmp/err" || status=$?
[ "$status" = 1 ]
