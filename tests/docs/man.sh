#!/bin/sh
# The man pages name every option and command that --help names, and no other option.
# Assumes ECTC, ECTRT and SRC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
# Long options of a text, one a line.
options() { grep -oE -- '--[a-z][a-z-]+' | LC_ALL=C sort -u; }
pages() { grep -oE 'Fl -[a-z][a-z-]+' "$1" | sed 's/^Fl -/--/' | LC_ALL=C sort -u; }
"$ECTC" --help | options >"$tmp/ectc.help"
for c in train sample run explain data devices cubins cache; do
    grep -q "^\.Ss $c\$" "$SRC/docs/man/ect-rt.1" || { echo "ect-rt.1 says nothing of the command $c"; bad=1; }
    "$ECTRT" $c --help >>"$tmp/all"
done
options <"$tmp/all" | grep -vx -e --help >"$tmp/ect-rt.help"
pages "$SRC/docs/man/ectc.1" >"$tmp/ectc.page"
pages "$SRC/docs/man/ect-rt.1" >"$tmp/ect-rt.page"
for p in ectc ect-rt; do
    diff "$tmp/$p.help" "$tmp/$p.page" >"$tmp/diff" || { echo "$p: options of --help (<) and of docs/man/$p.1 (>) differ:"; cat "$tmp/diff"; bad=1; }
done
exit $bad
