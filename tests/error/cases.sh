#!/bin/sh
# Every *.dsl here is wrong in one way; its lines `#| ...` at the end hold the exact messages, a line `#run ...` the options.
# Assumes ECTC and SRC from the runner. UPDATE=1 writes the messages of today into the files: read the difference before you commit it.
set -eu
cd "$SRC/tests/error"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
for f in *.dsl; do
    options=$(sed -n 's/^#run //p' "$f")
    status=0
    # shellcheck disable=SC2086
    "$ECTC" check "$f" $options > "$tmp/out" 2> "$tmp/err" || status=$?
    sed 's/^/#| /; s/ *$//' "$tmp/err" > "$tmp/got"
    if [ "${UPDATE-}" ]; then
        grep -v '^#|' "$f" > "$tmp/text"
        cat "$tmp/text" "$tmp/got" > "$f"
        continue
    fi
    grep '^#|' "$f" > "$tmp/want" || true
    [ "$status" = 1 ] || { echo "$f: exit status $status, not 1"; failed=1; }
    [ ! -s "$tmp/out" ] || { echo "$f: text on stdout"; failed=1; }
    diff -u "$tmp/want" "$tmp/got" || { echo "$f: other messages"; failed=1; }
    code=${f%%_*}
    case $code in E[0-9]*) grep -q "error $code" "$tmp/err" || { echo "$f: no $code"; failed=1; } ;; esac
    # shellcheck disable=SC2086
    "$ECTC" "$f" -o "$tmp/plan" $options > /dev/null 2>&1 && { echo "$f: compiled"; failed=1; }
    [ ! -e "$tmp/plan" ] || { echo "$f: a plan was written"; failed=1; }
done
exit $failed
