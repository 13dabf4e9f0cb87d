#!/bin/sh
# `ectc fmt` on the library and the models: formatting its own output changes nothing, and no comment is lost.
# Assumes ECTC and SRC from the runner. Equal trees are checked in tests/unit/test_parse.c.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for f in "$SRC"/dsl/std/*.dsl "$SRC"/models/*.dsl "$SRC"/examples/*.dsl; do
    [ -f "$f" ] || continue
    "$ECTC" fmt "$f" > "$tmp/once.dsl"
    "$ECTC" fmt "$tmp/once.dsl" > "$tmp/twice.dsl"
    cmp "$tmp/once.dsl" "$tmp/twice.dsl"
    n=$(grep -c '#' "$f" || true)
    m=$(grep -c '#' "$tmp/once.dsl" || true)
    [ "$n" = "$m" ] || { echo "$f: $n lines with comments became $m"; exit 1; }
done
