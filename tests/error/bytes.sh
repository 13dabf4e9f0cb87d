#!/bin/sh
# Texts that are no text: a NUL byte, invalid UTF-8, a very long line, an open brace, unreadable files; located errors, status 1, never a crash.
# Assumes ECTC from the runner.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
expect() {
    status=0
    "$ECTC" check "$1" > out 2> err || status=$?
    [ "$status" = 1 ] || { echo "$1: exit status $status"; cat err; exit 1; }
    grep -q "error $2" err || { echo "$1: no $2"; head -c 2000 err; exit 1; }
    [ "$(wc -c < err)" -lt 20000 ] || { echo "$1: the message is long"; exit 1; }
}
printf 'program f(x: [n:4]) -> y = x\000 + 1\n' > nul.dsl;                        expect nul.dsl E0106
printf 'program f(x: [n:4]) -> y = x # \377\376\n' > utf8.dsl;                    expect utf8.dsl E0107
{ printf 'config a = '; head -c 10000000 /dev/zero | tr '\0' '1'; echo; } > long.dsl;   expect long.dsl E0110
printf 'block B()(x: [n]) -> [n] {\n  let a = (x\n' > open.dsl;                   expect open.dsl E0109
printf 'program f(x: [n:4]) -> y = %s\n' "$(head -c 3000 /dev/zero | tr '\0' '-')" > deep.dsl;  expect deep.dsl E0101
printf 'config a = 1e999\nprogram f(x: [n:4]) -> y = x * a\n' > huge.dsl;         expect huge.dsl E0104
expect missing.dsl E0605
mkdir folder.dsl;                                                                 expect folder.dsl E0605
: > empty.dsl;                                                                    expect empty.dsl E0419
# CRLF and a missing last newline are fine
printf 'program f(x: [n:4]) -> y = x\r\n+ 1' > crlf.dsl
"$ECTC" check crlf.dsl > /dev/null
