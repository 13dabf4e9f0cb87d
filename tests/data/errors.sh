#!/bin/sh
# Data that cannot be used: the message names the file and the way to mend it, the status is 1.
# Assumes ECTRT and SRC as tests/run.sh sets them; the unit tests hold the finer cases.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
real=$SRC/tests/data/real/cifar40.zip
cd "$dir"

# refuse PATH WORDS...: `data info PATH` exits 1 and says each of WORDS and the path
refuse() {
    path=$1 got=0
    "$ECTRT" data info "$path" >out 2>err || got=$?
    [ "$got" = 1 ] || { echo "$path: status $got: $(cat err)" >&2; exit 1; }
    [ ! -s out ] || { echo "$path: says something on standard output" >&2; exit 1; }
    for words; do
        grep -qF -- "$words" err || { echo "$path: '$words' is not in: $(cat err)" >&2; exit 1; }
    done
}

refuse nowhere 'error' 'no such file or folder'
mkdir empty
refuse empty 'holds no images'
echo text >text
refuse text 'not a data set'
head -c 20000 "$real" >cut.zip
refuse cut.zip 'truncated or damaged zip' 'download it again'
# A zip with one entry, ../a.png, made by renaming an entry of the same length in a whole archive.
"$ECTRT" data import shapes:8:1 one.zip >/dev/null
LC_ALL=C sed 's,00000/img00000000.png,../00/img00000000.png,g' one.zip >escape.zip
refuse escape.zip '../00/img00000000.png' 'outside the archive'
LC_ALL=C sed 's,00000/img00000000.png,/0000/img00000000.png,g' one.zip >absolute.zip
refuse absolute.zip '/0000/img00000000.png' 'outside the archive'

"$ECTRT" data import "$real" set >/dev/null
cp -r set labels
sed 's,img00000007,img00009907,' set/dataset.json >labels/dataset.json
refuse labels 'names 1 files that are not there' 'img00009907'
rm labels/00000/img00000009.png
cp set/dataset.json labels/
refuse labels 'not there' 'img00000009.png'
echo '{"labels": [' >labels/dataset.json
refuse labels 'dataset.json' 'line'
echo '{"labels": [["00000/img00000000.png", 3]]}' >labels/dataset.json
refuse labels 'no label for 38 of 39 images' 'img00000001.png'

cp -r set mixed
"$ECTRT" data import shapes:16:3 sixteen >/dev/null
cp sixteen/00000/img00000001.png mixed/00000/img00000005.png
head -c 900 set/00000/img00000006.png >mixed/00000/img00000006.png
echo text >mixed/00000/img00000008.png
refuse mixed '3 of 40 images' 'img00000005.png: 16x16' 'img00000006.png: corrupt PNG' 'img00000008.png: not a PNG or JPEG' \
    'data import mixed DEST --resolution 32'
exit 0
