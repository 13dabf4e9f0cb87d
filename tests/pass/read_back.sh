#!/bin/sh
# What a pass prints, read back at the next pass, gives what the whole compiler gives.
set -e
t=$(mktemp -d); trap 'rm -rf "$t"' EXIT
set -- "$SRC/models/unet_ect.dsl" -D res=16 -D channels=8 -D 'mult=[1,2]' -D blocks=1 -D batch=2
<<<<<<< HEAD
for l in E X S F O M H; do "$ECTC" "$@" -d $l >"$t/$l"; done
"$ECTC" "$@" --rows compact -d C >"$t/C"
back() { # back FROM_DUMP ENTRY WANT [OPTION...]
    dump=$1 entry=$2 want=$3
    shift 3
    "$ECTC" "$t/$dump" --from "$entry" -d "$want" "$@" >"$t/got"
    cmp "$t/got" "$t/$want" || { echo "the dump $dump read back at $entry gives another $want"; exit 1; }
}
back E X X
back X S S
back S F F
back S C C --rows compact
back C C C --rows compact
grep -q '= take ' "$t/C"
=======
for l in E X S R F O M H; do "$ECTC" "$@" -d $l >"$t/$l"; done
back() { # back FROM_DUMP ENTRY WANT
    "$ECTC" "$t/$1" --from "$2" -d "$3" >"$t/got"
    cmp "$t/got" "$t/$3" || { echo "the dump $1 read back at $2 gives another $3"; exit 1; }
}
back E X X
back X S S
back S R R
back R F F
>>>>>>> main
back F O O
back F O M
back F O H
! "$ECTC" "$t/S" --from O -d M >"$t/out" 2>"$t/err" && grep -q 'held' "$t/err"
