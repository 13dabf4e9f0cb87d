#!/bin/sh
# `ectc diff`: equal plans, changed, added and removed kernels, totals, exit status; damaged plans are refused.
# Assumes ECTC and ECTRT from the runner.
. "$SRC/tests/e2e/lib"
tiny_model -D width=64
expect 0 "$ECTC" tiny.dsl -o again -D width=64
expect 0 "$ECTC" diff plan again --check
says 'the plans are equal'
! grep -q '^program' out.txt || fail "differences of equal plans"

# Another batch: every total of a program changes, kernels are matched in place and none is lost.
expect 0 "$ECTC" tiny.dsl -o small -D width=64 -D batch=4
expect 1 "$ECTC" diff plan small --check
expect 0 "$ECTC" diff plan small
says 'config batch: 8 -> 4'
says 'the plans differ'
grep -q '^  train_step .* -> .* -> .* -> .* -> ' out.txt || fail "totals of train_step"
"$ECTRT" explain plan --totals >a
"$ECTRT" explain small --totals >b
for column in 5 7 8; do                                      # MB moved, peak MB, predicted ms
    want="$(awk -v c=$column '$1 == "loss" { print $c }' a) -> $(awk -v c=$column '$1 == "loss" { print $c }' b)"
    awk '$1 == "loss"' out.txt | grep -qF -- "$want" || fail "loss: no $want"
done
# changed + same + removed = kernels of the first plan; changed + same + added = those of the second.
# changed, counted differently, added, removed, the same
counts() { sed -n "s/^program $1: //p" out.txt | tr -cs '0-9\n' ' '; }
for program in denoise loss grad train_step sample; do
    want="$(awk -v p=$program '$1 == p { print $3 }' a) $(awk -v p=$program '$1 == p { print $3 }' b)"
    got=$(counts $program | awk '{ print $1 + $2 + $4 + $5, $1 + $2 + $3 + $5 }')
    [ "$got" = "$want" ] || fail "$program: kernels $got, wanted $want"
    rows=$(awk -v p="$program:" '/^program/ { on = $2 == p; next } on && /^[~=+-] / { n++ } END { print n + 0 }' out.txt)
    said=$(counts $program | awk '{ print $1 + $2 + $3 + $4 }')
    [ "$rows" = "$said" ] || fail "$program: $rows rows, $said differences"
done
expect 0 "$ECTC" diff plan small --totals --device h200
says 'ms on h200'
! grep -q '^program' out.txt || fail "kernels in spite of --totals"

# One layer of another kind more: its kernels are added; the other way round they are removed.
sed 's/silu(second(a))/silu(third(silu(second(a))))/; s/last = Conv/third = Conv(ch, ch, k = 1), last = Conv/' tiny.dsl >deep.dsl
expect 0 "$ECTC" deep.dsl -o deep -D width=64
expect 0 "$ECTC" diff plan deep
grep -q '^+ .*matmul_' out.txt || fail "the new layer is not there"
expect 0 "$ECTC" diff deep plan
grep -q '^- .*matmul_' out.txt || fail "the removed layer is not there"
# The same layer once more: kernels of equal text run twice as often.
sed 's/ k = 1)/ 3)/' deep.dsl >twice.dsl
expect 0 "$ECTC" twice.dsl -o twice -D width=64
expect 0 "$ECTC" diff plan twice
grep -q '^= .*  [1-9][0-9]* -> [1-9][0-9]*  ' out.txt || fail "no kernel of equal text that runs more often"
# The same kernels counted otherwise, a program that one plan lacks, a kernel that ran twice.
cp -r plan counted
sed -i '/"file": "kernels\/conv_/s/"bytes": [0-9]*/"bytes": 12345/' counted/plan.json
expect 1 "$ECTC" diff plan counted --check
grep -q '^= .* -> 0\.01 ' out.txt || fail "bytes counted differently"
cp -r plan fewer
sed -i 's/"name": "loss", "training"/"name": "lost", "training"/' fewer/plan.json
expect 1 "$ECTC" diff --check plan fewer
says 'loss (first plan only)'
says 'lost (second plan only)'
# A file beside plan.json.
cp -r plan prelude
echo '/* edited */' >>prelude/kernels/prelude.h
expect 1 "$ECTC" diff --check plan prelude
says 'files that differ: kernels/prelude.h'

refuse() {
    expect 1 "$ECTC" diff plan "$1"
    says "$2"
    expect 1 "$ECTC" diff "$1" plan
    says "$2"
}
refuse nowhere 'there is no plan nowhere: make one'
refuse tiny.dsl 'is no plan'
mkdir empty && refuse empty 'holds no readable plan.json'
damage() {
    rm -rf bad && cp -r plan bad
    sed -i "$1" bad/plan.json
    refuse bad "$2"
}
head -c 5000 plan/plan.json >cut.json
rm -rf bad && cp -r plan bad && cp cut.json bad/plan.json
refuse bad 'the plan bad is damaged: plan.json line'
damage '1s/"version": [0-9]*/"version": 999/' 'version 999'
damage '1s/ect-plan/other/' 'format'
damage '0,/"kernel": 0/s//"kernel": 9999/' '`kernel` is 9999'
damage '0,/"buffers": \[0/s//"buffers": [12345/' 'an index in `buffers`'
damage '0,/"class": "[a-z]*"/s//"class": 3/' '`class` must be a string'
damage '0,/"flops": [0-9]*/s//"flops": -1/' '`flops`'
expect 1 "$ECTC" diff plan
says 'diff compares two plans'
expect 1 "$ECTC" diff plan again small
says 'is a third'
expect 1 "$ECTC" diff plan again --devise cpu
says 'did you mean --device?'
expect 1 "$ECTC" diff plan again --device h300
says 'did you mean `h200`?'
