#!/bin/sh
# Wrong options of ectc: what, where, how to mend it; status 1, nothing written.
# Assumes ECTC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
echo 'program f(x: [n:4]) -> y = x + 1' > m.dsl
expect() {
    text=$1
    shift
    status=0
    "$ECTC" "$@" > out 2> err || status=$?
    [ "$status" = 1 ] || { echo "ectc $*: exit status $status"; exit 1; }
    grep -q -e "$text" err || { echo "ectc $*: no \`$text\` in"; cat err; exit 1; }
    [ ! -e plan ] || { echo "ectc $*: a plan was written"; exit 1; }
}
expect 'nowhere to write' m.dsl
expect 'no model given' -o plan
expect 'did you mean --target' m.dsl -o plan --targt cpu
expect 'needs a value' m.dsl -o
expect 'it is cpu, or cpu,cuda' m.dsl -o plan --target tpu
expect 'there are f32, tf32, bf16 and f16' m.dsl -o plan --precision f8
expect 'it is yes or no' m.dsl -o plan --loss-scale 16
expect 'it is full or none' m.dsl -o plan --fusion some
expect 'write -D name=value' m.dsl -o plan -D res
expect 'has no config' m.dsl -o plan -D res=3
expect 'no pass has the letter' m.dsl -d Z
expect 'one model at a time' m.dsl m.dsl -o plan
expect 'E0605' nowhere.dsl -o plan
expect 'no file given' fmt
expect 'can enter at' m.dsl --from Q -d X
"$ECTC" --help | grep -q 'passes:'
"$ECTC" --version | grep -q '^ectc '
# what -d prints reads back as input to the next pass
"$ECTC" m.dsl -d E | sed -n '/^# f after/,$p' > f.txt
"$ECTC" f.txt --from X -d XS > dump
grep -q 'out "y"' dump
"$ECTC" m.dsl -o plan > out
grep -q '^f ' out
