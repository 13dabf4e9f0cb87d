#!/bin/sh
# Sampling: image i is the same however many are made; folders and grids; steps; classes and paths that are wrong.
. "$SRC/tests/e2e/lib"
tiny_model
train --out run --steps 3 >/dev/null
s() { "$ECTRT" sample plan --weights run "$@"; }
expect 0 s --count 11 -o all/
[ "$(ls all | wc -l)" = 11 ] || fail "11 images wanted"
expect 0 s --count 3 --first 8 -o some/
same all/000009.png some/000009.png
expect 0 s --count 11 -o again/
same all/000010.png again/000010.png
expect 0 s --count 11 --mid 0.821 -o two/
cmp -s all/000000.png two/000000.png && fail "two steps gave the one-step image"
expect 0 s --count 11 --mid 5 --mid 0.821 --seed 7 -o three/
expect 0 s --count 10 --columns 5 -o grid.png
expect 0 s --count 10 --columns 5 --zoom 3 -o large.png
[ "$(od -An -tu1 -j16 -N8 large.png | tr -s ' ')" = " 0 0 0 120 0 0 0 48" ] || fail "--zoom 3: not 120 x 48 pixels"
expect 0 s --count 10 --mid 0.821 --both -o both.png
expect 0 s --live --count 2 -o live.png
expect 0 "$ECTRT" sample plan --weights run/ckpt-000003.safetensors --count 2 -o file.png
expect 1 s --count 2 -o nowhere/grid.png
says 'does not exist'
expect 1 s --count 2 -o grid.jpg
says '.png'
expect 1 s --class 1 -o grid.png
says 'no classes'
expect 1 s --mid -1 -o grid.png
expect 1 "$ECTRT" sample plan --weights missing -o grid.png
says missing
expect 1 s --cuont 3 -o grid.png
says '--count'
