#!/bin/sh
# Run folders that exist, cannot be made or written, options and data that are wrong: message, status, nothing changed.
. "$SRC/tests/e2e/lib"
tiny_model
train --out run --steps 2 >/dev/null
cp -r run before
expect 1 train --out run --steps 2
says 'not empty'
says '--resume'
diff -r run before || fail "the run was changed"
expect 1 train --out run --steps 2 --resume --overwrite
echo mine >run/notes.txt
expect 0 train --out run --steps 1 --overwrite
[ -s run/notes.txt ] && [ ! -e run/ckpt-000002.safetensors ] || fail "--overwrite removed too much or too little"
echo x >file
expect 1 train --out file --steps 1
expect 2 train --out file/run --steps 1
says 'cannot make the run folder'
expect 1 train --out nothing --resume
says 'no run in'
mkdir empty
expect 1 train --out empty --resume
says 'no good checkpoint'
if [ "$(id -u)" != 0 ]; then
    mkdir locked
    chmod a-w locked
    expect 2 train --out locked --steps 1
fi
expect 1 train --out new --steps 1 --set lrr=1
says 'lrr'
says 'lr'
expect 1 train --out new --steps 1 --set lr
expect 1 train --out new --steps 1 --set 'lr=1+'
expect 1 train --out new --steps 0
expect 1 train --out new --steps x
expect 1 train --out new --stesp 3
says '--steps'
expect 1 train --out new --steps 1 --images 8
expect 1 "$ECTRT" train plan --data missing.zip --out new --steps 1
says 'missing.zip'
expect 1 "$ECTRT" train plan --data shapes:16 --out new --steps 1
expect 1 "$ECTRT" train missing --out new
says missing
expect 1 train --out new --steps 1 --device gpu
expect 1 train --out new --steps 1 --validate-every 1 --validate-images 256
[ ! -e new ] || fail "a run folder was made"
