#!/bin/sh
# Student and teacher side by side (pass T) train to the same bits as one after the other, in fewer launches, with the weights read once; a memory
# budget comes first; evaluations that wait for each other are not paired.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
fail() { echo "FAIL: $1"; exit 1; }
small='-D res=8 -D channels=16 -D mult=[1] -D blocks=1 -D attn=[8] -D batch=5 -D dropout=0.2'
# shellcheck disable=SC2086
for how in yes no; do
    for rows in keep compact; do
        "$ECTC" "$SRC/models/unet_ect.dsl" -o $how.$rows --pair $how --rows $rows $small >$how.$rows.log || fail "$how $rows"
    done
done
# figure LOG WORD: of train_step, the number before WORD.
figure() { awk -v word="$2" '$1 == "train_step" { for (i = 2; i <= NF; i++) if ($i == word) print $(i - (word == "kernels" ? 1 : 2)) }' "$1"; }
for rows in keep compact; do
    a=$(figure yes.$rows.log kernels) b=$(figure no.$rows.log kernels)
    [ $((b - a)) -ge 15 ] || fail "$rows: $a launches paired, $b one by one"
    awk -v a="$(figure yes.$rows.log moved)" -v b="$(figure no.$rows.log moved)" 'BEGIN { exit !(a < b) }' || fail "$rows: no bytes saved"
    for plan in yes.$rows no.$rows; do
        rm -rf run
        "$ECTRT" train $plan --data shapes:8:64 --out run --steps 4 --seed 5 --sample-every 0 --checkpoint-every 0 --set lr=0.01 --set q=2 >log 2>&1 ||
            { cat log; fail "train $plan"; }
        mv run/ckpt-*.safetensors $plan.safetensors
        sed 's/.*"loss": *\([-0-9.e+]*\).*/\1/' run/metrics.jsonl >$plan.loss
    done
    cmp yes.$rows.loss no.$rows.loss || { paste yes.$rows.loss no.$rows.loss; fail "$rows: other losses"; }
    "$BUILD/tests-tools/tensor" near 0 yes.$rows.safetensors no.$rows.safetensors || fail "$rows: other weights"
done
cmp yes.keep.loss yes.compact.loss || fail "rows"

# A budget that the plan meets only with the two evaluations one after the other, and one that has room for both.
twins() { "$ECTC" "$SRC/models/unet_ect.dsl" -o p -D res=16 -D channels=32 -D batch=8 -D mult=[1,1] "$@" -d T >twins.log || fail "$*"; awk '/^# / { on = $2 == "grad" } on && / twin of / { n++ } END { print n + 0 }' twins.log; }
arena() { sed -n 's/^train_step .* \([0-9.]*\) MB peak.*/\1/p' twins.log; }
twins --pair no >n
a=$(arena)
twins >n
b=$(arena)
awk -v a="$a" -v b="$b" 'BEGIN { exit !(a + 0.15 < b) }' || fail "the case has no use: $a MB apart, $b MB side by side"
[ "$(twins --mem "$(awk -v a="$a" 'BEGIN { printf "%.0fK", 1000 * a + 60 }')")" = 0 ] || fail "paired beyond the budget"
[ "$(twins --mem "$(awk -v b="$b" 'BEGIN { printf "%.0fK", 1000 * b + 60 }')")" -gt 50 ] || fail "not paired within the budget"

# One after the other by nature, and side by side by nature.
cat >two.dsl <<'EOF'
import std.nn
use f = Linear(8, 8)
use g = Linear(8, 8)
program chain(x: [n:4, c:8]) -> y = f(silu(f(x)))
program beside(x: [n:4, c:8], z: [n:4, c:8]) -> y = g(silu(f(x))) * g(silu(f(z)))
EOF
"$ECTC" two.dsl -o p -d T >two.txt 2>&1 || { cat two.txt; fail "two.dsl"; }
awk '/^# chain/ { on = 1 } /^# beside/ { on = 0 } on && / twin of / { bad = 1 } END { exit bad }' two.txt || fail "a chain is paired"
awk '/^# beside/ { on = 1 } on && / twin of / { n++ } END { exit !(n == 1) }' two.txt || { cat two.txt; fail "beside is not paired"; }   # g's product ends in the multiplication
