#!/bin/sh
# Too little memory is found before anything is allocated: status 2, the shortfall, and a batch that would fit.
. "$SRC/tests/e2e/lib"
tiny_model -D width=128 -D batch=16384
(ulimit -v 900000; "$ECTRT" --version >/dev/null 2>&1) || exit 77        # a sanitizer's shadow does not fit below any limit
status=0
(ulimit -v 900000; "$ECTRT" train plan --data shapes:8:256 --out run --steps 1 --sample-every 0 --threads 1 --device cpu >out.txt 2>err.txt) || status=$?
[ $status = 2 ] || { cat out.txt err.txt; fail "exit status $status, wanted 2"; }
says 'not enough memory'
says '-D batch='
[ ! -e run ] || fail "a run folder was made"
