#!/bin/sh
# The report as a file: whole, UTF-8, without the network, every kernel and text in it, nothing of the model as markup; errors.
# Assumes ECTC and SRC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
. "$SRC/tests/report/lib/hostile.sh"
make_hostile "$tmp"
cd "$tmp"
"$ECTC" report plan -o report.html >out
grep -q '^report.html: [0-9.]* MB' out
fail() { echo "$*"; exit 1; }

iconv -f UTF-8 -t UTF-8 report.html >copy || fail "not UTF-8"
cmp copy report.html
[ "$(head -n 1 report.html)" = '<!doctype html>' ] || fail "does not begin as a page"
[ "$(tail -n 1 report.html)" = '</html>' ] || fail "does not end as a page"
# One frame: what the model says is no tag of it.
for tag in '<script' '</script' '<style' '</style' '<body' '</body' '<!--' '<title'; do
    n=$(grep -o -i -e "$tag" report.html | wc -l) want=1
    case $tag in *script) want=2 ;; esac
    [ "$n" = $want ] || fail "$n times $tag, not $want"
done
! grep -q '<img' report.html || fail "the model's text is markup"
! grep -q '@@style@@' report.html || fail "a mark is left"
grep -q 'u003c/script>' report.html || fail "the model's text is not there"
grep -qF '@@data@@ @@script@@' report.html || fail "marks in the model's text were filled"
! grep -qiE '(https?|wss?|ftp)://|<link|<iframe|@import|url\(' report.html || fail "the page asks for something outside"
for k in plan/kernels/*_*.c; do
    name=$(basename "$k" .c)
    grep -qF "void $name(const EctArgs" report.html || fail "kernel $name is missing"
done
for text in 'block GroupNorm' 'optimizer Radam' 'block SongUNet' '# A small DDPM'; do
    grep -qF "$text" report.html || fail "$text is missing"
done

# The full model's page stays light.
"$ECTC" "$SRC/models/unet_ect.dsl" -o full >log
"$ECTC" report full -o full.html >out
size=$(wc -c <full.html)
[ "$size" -lt 6000000 ] || fail "$size bytes for models/unet_ect.dsl"

# expect STATUS TEXT ARGUMENT...: refused, and the report that is there stays.
expect() {
    want=$1 text=$2
    shift 2
    status=0
    "$ECTC" report "$@" >out 2>err || status=$?
    [ "$status" = "$want" ] || { cat err; fail "ectc report $*: exit status $status, not $want"; }
    grep -q -e "$text" err || { cat err; fail "ectc report $*: no \`$text\`"; }
    cmp copy report.html || fail "ectc report $*: the old report was touched"
    [ "$(ls | grep -c report)" = 1 ] || fail "ectc report $*: something was left: $(ls)"
}
expect 1 'no plan given' -o report.html
expect 1 'nowhere to write' plan
expect 1 'needs a value' plan -o
expect 1 'one plan at a time' plan plan -o report.html
expect 1 'unknown option --fast' plan --fast -o report.html
expect 1 'there is no plan nowhere' nowhere -o report.html
expect 1 'is no plan' model.dsl -o report.html
expect 2 'cannot write' plan -o nowhere/page.html
edit() { # edit NAME COMMAND...: a damaged copy
    rm -rf "$1"
    cp -r plan "$1"
    (cd "$1" && shift && "$@")
}
edit cut sh -c 'head -c 5000 plan.json >p && mv p plan.json'
expect 1 'cut is damaged: plan.json line' cut -o report.html
edit old sed -i '1s/"version": 2/"version": 1/' plan.json
expect 1 'version 1, this ectc reads version 2: compile the model again' old -o report.html
edit kernel sh -c 'rm kernels/conv_*.c'
expect 1 'kernels/conv_.* is missing' kernel -o report.html
edit graph rm graph/grad.txt
expect 1 'graph/grad.txt is missing' graph -o report.html
edit text rm model.dsl
expect 1 'cannot read its model.dsl' text -o report.html
edit life sed -i 's/"first": 0, "last"/"first": 9, "last"/' plan.json
expect 1 'not valid: segment' life -o report.html
# Bytes that are no text are shown as what they are not.
edit bytes sh -c 'printf "# \377\376\n" >>model.dsl'
"$ECTC" report bytes -o bytes.html >out
iconv -f UTF-8 -t UTF-8 bytes.html >copy || fail "not UTF-8"
grep -qF '# ??' bytes.html
