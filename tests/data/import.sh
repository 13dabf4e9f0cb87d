#!/bin/sh
# `ect-rt data import` and `data info`: layouts, determinism, options, and that nothing existing is harmed.
# Assumes ECTRT and SRC as tests/run.sh sets them; uses the small set in tests/data/real.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
real=$SRC/tests/data/real/cifar40.zip
cd "$dir"

fail() { echo "$*" >&2; exit 1; }
rt() { "$ECTRT" data "$@"; }
# refuse STATUS WORDS ARGS...: the command fails so, and says WORDS
refuse() {
    want=$1 words=$2
    shift 2
    got=0
    rt "$@" >out 2>err || got=$?
    [ "$got" = "$want" ] || fail "data $*: status $got, not $want: $(cat err)"
    grep -qF -- "$words" err || fail "data $*: '$words' is not in: $(cat err)"
}

rt --help | grep -q 'data import SRC DEST' || fail "no help"
rt import --help | grep -q -- --resolution || fail "no help for import"
refuse 1 'import` or `info`'
refuse 1 'unknown command' impart a b
refuse 1 'usage:' import a
refuse 1 'usage:' info
refuse 1 'unknown option --colour' info a --colour
refuse 1 '--resolution 0' import a b --resolution 0
refuse 1 '--resolution 8x8' import a b --resolution 8x8
refuse 1 '--max-images -1' import a b --max-images -1
refuse 1 'needs a value' import a b --resolution

rt info "$real" >info
grep -q '^images    40$' info || fail "info: no count"
grep -q '^size      32 x 32$' info || fail "info: no size"
grep -q '^channels  3' info || fail "info: no channels"
grep -q '^classes   10$' info || fail "info: no classes"
[ "$(grep -c '^  *[0-9]  *4  *$' info)" = 10 ] || fail "info: class counts"
grep '^mean\|^std' info >moments
[ "$(wc -l <moments)" = 2 ] || fail "info: no moments"

# To a zip, a folder, and back: the same pictures and labels, and the same bytes each time.
rt import "$real" a.zip >said
grep -q '40 images of 32x32x3, 10 classes' said || fail "import says: $(cat said)"
rt import "$real" sub/b.zip >/dev/null
cmp a.zip sub/b.zip || fail "two imports differ"
rt import a.zip folder >/dev/null
[ -f folder/00000/img00000039.png ] && [ -f folder/dataset.json ] || fail "folder layout"
[ "$(ls)" = "$(printf 'a.zip\nerr\nfolder\ninfo\nmoments\nout\nsaid\nsub')" ] || fail "left behind: $(ls)"
rt import folder/ c.zip >/dev/null
cmp a.zip c.zip || fail "the way through a folder changes something"
rt info c.zip | grep '^mean\|^std' | cmp - moments || fail "moments changed"
head -c 60 folder/dataset.json | grep -q '^{"labels": \[\["00000/img00000000.png", [0-9]\], \["0000' || fail "dataset.json's form"

# What exists stays.
cp a.zip keep.zip
refuse 1 'exists: choose another name' import shapes:8:3 a.zip
cmp a.zip keep.zip || fail "a refused import changed the file"
refuse 1 'with something in it' import shapes:8:3 folder
refuse 1 'is a file' import shapes:8:3 info
mkdir d.zip
refuse 1 'is a folder' import shapes:8:3 d.zip
refuse 1 'no such file' import nowhere a.zip --force
cmp a.zip keep.zip || fail "a failed import changed the file"
rt import shapes:8:30 a.zip --force >/dev/null
rt info a.zip | grep -q '^images    30$' || fail "--force did not replace"
mkdir vacant
rt import shapes:8:3 vacant >/dev/null
[ -f vacant/00000/img00000002.png ] || fail "an empty folder is not filled"

# Options.
rt import "$real" small.zip --resolution 16 --grey --max-images 7 >said
grep -q '7 images of 16x16x1' said || fail "options: $(cat said)"
rt info small.zip --json | grep -q '"images": 7, "height": 16, "width": 16, "channels": 1,' || fail "json"
rt import shapes:16:9 s0.zip --seed 0 >/dev/null
rt import shapes:16:9 s1.zip --seed 1 >/dev/null
cmp -s s0.zip s1.zip && fail "seeds do not matter"
rt import s0.zip unlabelled >/dev/null
echo '{"labels": null}' >unlabelled/dataset.json
rt import unlabelled u.zip >/dev/null
rt info u.zip | grep -q '^labels    none$' || fail "labels: null"
mkdir vectors
cp unlabelled/00000/img00000000.png vectors/a.png
echo '{"labels": [["a.png", [0.25, -3]]]}' >vectors/dataset.json
rt import vectors v.zip >/dev/null
rt info v.zip | grep -q 'vectors of 2 numbers' || fail "vectors"
rt import v.zip vback >/dev/null
grep -q '\["00000/img00000000.png", \[0.25, -3\]\]' vback/dataset.json || fail "vectors: $(cat vback/dataset.json)"

# More than one folder of 1000, as the layout numbers them.
rt import shapes:4:1002 many.zip >/dev/null
rt import many.zip many >/dev/null
[ -f many/00001/img00001001.png ] || fail "the second thousand"
rm many/dataset.json
rt info many | grep -q '^labels    none$' || fail "numbered folders are taken as classes"

# A full disk: exit 2, nothing left, the old file whole.
rt import shapes:8:3 old.zip >/dev/null
cp old.zip keep.zip
got=0
(trap '' XFSZ; ulimit -f 16; "$ECTRT" data import shapes:32:200 old.zip --force) >out 2>err || got=$?
[ "$got" = 2 ] || fail "full disk: status $got: $(cat err)"
grep -q 'cannot write old.zip: File too large' err || fail "full disk: $(cat err)"
cmp old.zip keep.zip || fail "full disk: the old file is harmed"
got=0
(trap '' XFSZ; ulimit -f 1; "$ECTRT" data import shapes:32:200 newfolder) >out 2>err || got=$?
[ "$got" = 2 ] && [ ! -e newfolder ] || fail "full disk, folder: status $got: $(cat err)"
[ -z "$(find . -name '*.tmp*')" ] || fail "left behind: $(find . -name '*.tmp*')"
exit 0
