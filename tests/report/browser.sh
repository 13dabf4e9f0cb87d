#!/bin/sh
# The page in a browser, at two widths: it checks itself (selftest.js), logs nothing, and fails when its data are wrong.
# Assumes ECTC and SRC from the runner; skipped where there is no Chromium.
set -eu
browser=
for b in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v $b || :)
done
[ -n "$browser" ] || { echo "no chromium, chromium-browser or google-chrome"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. "$SRC/tests/report/lib/hostile.sh"
make_hostile "$tmp"
cd "$tmp"
"$ECTC" report plan -o report.html >log

# open_page FILE WIDTH: its own verdict to `verdict`, what it logged to `console`.
open_page() {
    sandbox=
    [ "$(id -u)" != 0 ] || sandbox=--no-sandbox
    HOME=$tmp timeout 200 "$browser" --headless=new $sandbox --disable-gpu --user-data-dir="$tmp/profile" --window-size="$2,900" \
        --enable-logging=stderr --virtual-time-budget=60000 --dump-dom "file://$tmp/$1#selftest" >dom 2>err ||
        { status=$?; tail err; echo "$browser ended with $status"; exit 1; }
    sed -n 's/.*<pre id="selftest"[^>]*>\(.*\)<\/pre>.*/\1/p' dom >verdict
    grep -a CONSOLE err >console || :
}
for width in 1280 1920; do
    open_page report.html $width
    cat verdict
    grep -qE "^passed ([3-9][0-9]) at $width\$" verdict || { tail -c 3000 err; exit 1; }
    [ ! -s console ] || { cat console; exit 1; }
done
# Steps that forget their lines, slots that are not declared, lives that overlap, launches of several instances taken for one,
# nodes that are not in the graph: each must be seen.
for edit in 's/"source":\[[^]]*\]/"source":[]/g' 's/args->buf\[1\]/args->buffer[1]/g' 's/"first":[0-9]*/"first":0/g' \
    's/"instances":[0-9]*,//g' 's/ held into %/ held within %/g'; do
    sed "$edit" report.html >wrong.html
    ! cmp -s report.html wrong.html || { echo "$edit changes nothing"; exit 1; }
    open_page wrong.html 1280
    grep -q '^failed: ' verdict || { echo "after $edit: $(cat verdict)"; exit 1; }
done
