#!/bin/sh
# The scale of the loss: overflow skips the optimizer and nothing else, halves the scale, is counted; the scale grows, is saved and resumed; on the
# device cuda it is the same to the bit; in f32 a scale changes no bit.
. "$SRC/tests/e2e/lib"
tiny_model --precision f16
tensor=$BUILD/tests-tools/tensor
grep -q '"loss_scale": true' plan/plan.json || fail "the plan does not say that the loss is scaled"

# It doubles after each good step until it overflows, again and again.
grow() { train --loss-scale 16777216 --loss-scale-interval 1 --log-every 1 --seed 3 "$@" >live.txt 2>&1 || { cat live.txt; fail "train $*"; }; }
grow --out run --steps 24 --checkpoint-every 1 --keep 0
sed -n 's/.*"step": \([0-9]*\),.*"loss_scale": \([0-9.e+]*\), "skipped_steps": \([0-9]*\).*/\1 \2 \3/p' run/metrics.jsonl >scales.txt
[ "$(wc -l <scales.txt)" = 24 ] || { cat run/metrics.jsonl; fail "metrics.jsonl lacks scales"; }
awk 'NR > 1 && $2 != scale * (skipped > before ? 0.5 : 2) { exit 1 } { scale = $2; before = skipped; skipped = $3 } END { exit !(skipped > 0) }' scales.txt ||
    { cat scales.txt; fail "the scales"; }
grep -q 'steps skipped' live.txt || fail "the end does not tell of skipped steps"
skip=$(awk '$3 > before && good { print $1; exit } { good = $3 == before; before = $3 }' scales.txt)   # after a step that moved the weights
ckpt() { printf 'run/ckpt-%06d.safetensors' "$1"; }
values() { "$tensor" print "$(ckpt "$1")" "$2"; }
for name in model.second.weight state.m.model.second.weight state.v.model.second.weight ema.model.second.weight; do
    values $((skip - 1)) "$name" >before.txt
    values "$skip" "$name" >after.txt
    case $name in
    ema.*) cmp -s before.txt after.txt && fail "step $skip: the EMA stood still" ;;
    *) cmp before.txt after.txt || fail "step $skip was skipped, and changed $name" ;;
    esac
done

# Saved and resumed: the same bits. The skipped steps are counted on.
grow --out two --steps "$skip"
train --out two --steps 24 --resume >/dev/null 2>&1 || fail "resume"
same run/ckpt-000024.safetensors two/ckpt-000024.safetensors
grep -a -o '"loss_scale[a-z_]*":"[0-9.e+]*"\|"skipped_steps":"[0-9]*"' two/ckpt-000024.safetensors >said.txt
[ "$(wc -l <said.txt)" = 3 ] || { cat said.txt; fail "the checkpoint lacks the scale"; }

# As one graph on the device, and with micro-batches.
mock_cuda
for accumulate in 1 2; do
    grow --device cpu --out cpu$accumulate --steps 24 --accumulate $accumulate
    grow --device cuda --out cuda$accumulate --steps 24 --accumulate $accumulate
    [ "$(counted graph_launches)" = 24 ] || { cat stats; fail "an update is not one graph"; }
    same cpu$accumulate/ckpt-000024.safetensors cuda$accumulate/ckpt-000024.safetensors
done

# A loss that is never finite: all is skipped, nothing changes, and it is said once.
sed 's|/ (t - r)|/ (t - r) * log(q - 2)|' tiny.dsl >nan.dsl
"$ECTC" nan.dsl -o nan --precision f16 >/dev/null
expect 0 "$ECTRT" train nan --data shapes:8:64 --sample-every 0 --checkpoint-every 1 --keep 0 --out nan-run --steps 20 --loss-scale 16
says 'not finite at a scale of 1'
[ "$(grep -c 'at a scale of 1' err.txt)" = 1 ] || fail "said more than once"
"$tensor" print nan-run/ckpt-000001.safetensors model.second.weight >before.txt
"$tensor" print nan-run/ckpt-000020.safetensors model.second.weight >after.txt
same before.txt after.txt
grep -q nan after.txt && fail "weights are NaN"
says '20 steps skipped'

# In f32 a power of two changes nothing. Off: no scale, nothing skipped.
tiny_model
train --out plain --steps 5 >/dev/null
expect 1 train --out no --steps 1 --loss-scale 8
says '--loss-scale yes'
tiny_model --loss-scale yes
expect 1 train --out no --steps 1 --set loss.scale=8
train --out scaled --steps 5 >/dev/null
train --out off --steps 5 --loss-scale 0 >/dev/null
grep -q loss_scale off/metrics.jsonl && fail "--loss-scale 0 scales"
for run in scaled off; do "$tensor" near 0 plain/ckpt-000005.safetensors $run/ckpt-000005.safetensors >/dev/null || fail "$run: the scale changed weights"; done

# f16 in a region of the text alone: scaled as well.
sed 's/silu(second(a))/precision f16 { silu(second(a)) }/' tiny.dsl >region.dsl
"$ECTC" region.dsl -o plan --loss-scale no >/dev/null
! grep -q loss_scale plan/plan.json || fail "--loss-scale no scales"
"$ECTC" region.dsl -o plan >/dev/null
rm -rf region && train --out region --steps 5 >/dev/null
grep -q '"loss_scale": 65536' region/metrics.jsonl || fail "an f16 region: no scale"
