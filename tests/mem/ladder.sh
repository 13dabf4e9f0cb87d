#!/bin/sh
# --mem over a ladder of budgets: each is kept by every program, a smaller one never gives a larger peak, and the steps say what they cost.
# A budget that cannot be kept: exit status 1, five tensors with line and path, no plan.
# Assumes ECTC, ECTRT and SRC from the runner.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAIL: $*"; exit 1; }
peak() { "$ECTRT" explain "$1" --totals --json | tr ',' '\n' | awk -F': ' '/"peak_bytes"/ { if ($2 + 0 > most) most = $2 + 0 } END { printf "%d", most }'; }

"$ECTC" "$SRC/models/shapes.dsl" -o plan >/dev/null
free=$(peak plan)
last=$free lowered=0
for share in 100 95 90 80 70; do
    budget=$((free * share / 100))
    "$ECTC" "$SRC/models/shapes.dsl" -o small --mem "$budget" >out.txt || fail "a budget of $budget bytes of $free"
    got=$(peak small)
    [ "$got" -le "$budget" ] || fail "$got bytes with a budget of $budget"
    [ "$got" -le "$last" ] || fail "$got bytes with $budget, $last with more"
    steps=$(grep -c '^--mem grad: .* recomputes %.*\.dsl:[0-9].* less there, [+-].* MFLOP, [+-].* MB moved$' out.txt) || :
    if [ "$share" = 100 ]; then
        [ "$steps" = 0 ] || fail "steps without need"
        "$ECTC" diff --check plan small >/dev/null || fail "a budget that is no limit changes the plan"
    else
        [ "$steps" -gt 0 ] || fail "no step said"
        [ "$(grep -c '^--mem' out.txt)" = "$steps" ] || fail "lines of another form: $(grep '^--mem' out.txt)"
        lowered=$((lowered + (got < last)))
    fi
    last=$got
done
[ "$lowered" = 4 ] || fail "four smaller budgets, $lowered smaller peaks"

got=0
"$ECTC" "$SRC/models/shapes.dsl" -o none --mem 3M >out.txt 2>err.txt || got=$?
[ "$got" = 1 ] || fail "exit status $got for 3 MB"
[ ! -e none ] || fail "a plan in spite of the error"
[ "$(grep -c '^  *[0-9.]* MB  %[0-9]* .*\.dsl:[0-9]* in [a-z]' err.txt)" = 5 ] || fail "not five tensors: $(cat err.txt)"
for bad in 0 -1 12Q 1e M ''; do
    got=0
    "$ECTC" "$SRC/models/shapes.dsl" -o none --mem "$bad" >/dev/null 2>err.txt || got=$?
    [ "$got" = 1 ] && grep -q -e '--mem' err.txt || fail "--mem '$bad': status $got, $(cat err.txt)"
done
