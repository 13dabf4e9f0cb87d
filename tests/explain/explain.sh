#!/bin/sh
# `ect-rt explain`: its JSON is whole and sums up, its text fits, devices and options are checked.
# Assumes ECTC, ECTRT and BUILD from the runner.
. "$SRC/tests/e2e/lib"
tiny_model
json() { "$BUILD/tests-tools/json" "$@"; }
# close A B WHAT: equal but for the ninth digit, to which times are printed.
close() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(d <= 1e-8 * b && -d <= 1e-8 * b) }' || fail "$3: $1 is not $2"; }
total() { awk '{ s += $1 } END { printf "%.17g\n", s }'; }

for device in cpu h200 a100; do
    expect 0 "$ECTRT" explain plan --json --device $device
    cp out.txt $device.json
    [ "$(json $device.json device)" = $device ] || fail "device of $device.json"
    for program in denoise loss train_step sample; do
        at=programs/$program
        close "$(json $device.json "$at/by_kernel/*/predicted_s" | total)" "$(json $device.json $at/predicted_s)" \
            "$device $program: predictions"
        launches=$(json $device.json "$at/by_kernel/*/launches" | total)
        [ "$launches" = "$(json $device.json $at/kernels)" ] || fail "$program: launches"
        [ "$(json $device.json $at/by_kernel)" = "$(json $device.json $at/distinct_kernels)" ] || fail "$program: kernels"
        json $device.json "$at/by_kernel/*/predicted_s" >times
        sort -gr times >sorted
        same times sorted
        json $device.json "$at/by_kernel/*/runs" >runs
        json $device.json "$at/by_kernel/*/flops" | paste runs - | awk '{ s += $1 * $2 } END { print s }' >sum
        close "$(cat sum)" "$(json $device.json $at/flops)" "$program: flops"
        close "$(json $device.json "$at/by_kernel/*/moved_bytes" | total)" "$(json $device.json $at/bytes)" "$program: bytes"
    done
done
# The predictions are the roofline of docs/inspection.md on the table's figures.
for what in class launches runs flops moved_bytes predicted_s; do json h200.json "programs/*/by_kernel/*/$what" >h200.$what; done
paste h200.class h200.launches h200.runs h200.flops h200.moved_bytes h200.predicted_s | awk '{
        compute = $3 * $4 / ($1 == "contract" ? 50e12 : 30e12); memory = $5 / 4.3e12
        d = (compute > memory ? compute : memory) + $2 * 3e-6 - $6
        if (!(d <= 1e-8 * $6 && -d <= 1e-8 * $6)) { print "predicted", $0; bad = 1 } }
    END { exit bad || NR < 20 }' || fail "predictions for h200"
[ "$(json cpu.json programs/loss/predicted_s)" != "$(json h200.json programs/loss/predicted_s)" ] ||
    fail "cpu and h200 predict the same"
# Every kernel has a shape, and the instances that its steps have.
json cpu.json 'programs/denoise/by_kernel/*/shape' | grep -vq '^\[' && fail "a kernel without a shape"
json cpu.json 'programs/denoise/by_kernel/*/instances/*' | sort -u >a
json cpu.json 'programs/denoise/segments/*/steps/*/path' | grep . | sort -u >b
same a b
# ectc prints the same prediction when it compiles.
said=$(awk '$1 == "train_step" { for (i = 2; i < NF; i++) if ($(i + 2) == "predicted") print $i }' compile.txt)
awk -v a="$said" -v b="$(json cpu.json programs/train_step/predicted_s)" 'BEGIN { exit !(sprintf("%.3f", b) == a) }' ||
    fail "ectc predicts $said"

expect 0 "$ECTRT" explain plan
awk '/^ *ms  share/ { n++; on = 1 } /^program/ { on = 0 } on && length($0) > 160 { bad = 1 }
    END { exit !(n > 3 && !bad) }' out.txt || fail "no tables, or lines beyond 160 columns"
awk '/^program train_step/ { on = 1 } /^program sample/ { on = 0 } on && $2 ~ /%$/ { s += $2; calls += $3 }
    END { exit !(s > 98 && s < 102 && calls > 10) }' out.txt || fail "the shares of train_step"
expect 0 "$ECTRT" explain plan --program denoise
[ "$(grep -c '^program ' out.txt)" = 1 ] || fail "more than one program"
expect 0 "$ECTRT" explain plan --program denoise --steps
steps=$(json cpu.json programs/denoise/kernels)
grep -q "^ *$((steps - 1))  [a-z]*_[0-9a-f]*  " out.txt || fail "step $((steps - 1)) is missing"
expect 0 "$ECTRT" explain plan --totals --json
cp out.txt totals.json
[ "$(json totals.json programs/loss/bytes)" = "$(json cpu.json programs/loss/bytes)" ] || fail "totals"
# Bytes with re-reads: shown where the plan says them for every kernel, a dash where it does not.
cp -r plan issued
sed -i 's/"issued_bytes": [0-9]*/"issued_bytes": 5000000/' issued/plan.json
grep -q '"issued_bytes": 5000000' issued/plan.json || fail "the plan does not say issued_bytes"
cp -r plan silent
sed -i 's/"issued_bytes": [0-9]*, //' silent/plan.json
! grep -q issued_bytes silent/plan.json || fail "issued_bytes are still there"
expect 0 "$ECTRT" explain silent --totals
grep -q 'denoise .* -  ' out.txt || fail "issued bytes the plan does not have"
expect 0 "$ECTRT" explain silent --program denoise
! grep -q 'issued  *bound' out.txt || fail "a column of bytes the plan does not have"
expect 0 "$ECTRT" explain issued --program denoise
grep -q 'issued  *bound' out.txt || fail "no column of issued bytes"
awk '$2 ~ /%$/ { s += $7 } END { exit !(s > 0 && s % 5 == 0) }' out.txt || fail "no issued bytes"
expect 0 "$ECTRT" explain issued --totals --json
cp out.txt issued.json
runs=$(json cpu.json 'programs/denoise/by_kernel/*/runs' | total)
[ "$(json issued.json programs/denoise/issued_bytes)" = $((5000000 * runs)) ] || fail "sum of issued bytes"
# A prediction for 2-byte operands is another one.
cp -r plan half
sed -i '1s/"precision": "f32"/"precision": "bf16"/' half/plan.json
expect 0 "$ECTRT" explain half --device h200 --totals --json
cp out.txt half.json
awk -v a="$(json half.json programs/loss/predicted_s)" -v b="$(json h200.json programs/loss/predicted_s)" \
    'BEGIN { exit !(a + 0 < b + 0 && a > 0) }' || fail "2-byte operands are not faster"

# Launches of several instances, buffers of 2 bytes.
expect 0 "$ECTC" "$SRC/models/shapes.dsl" -o shapes -D channels=16 -D batch=4 --precision bf16
expect 0 "$ECTRT" explain shapes --json --program grad
cp out.txt shapes.json
at=programs/grad
more=$(json shapes.json "$at/segments/*/steps/*/instances" | awk '{ s += $1 - 1 } END { print s + 0 }')
[ "$more" -gt 0 ] || fail "no launch of several instances"
[ "$(json shapes.json "$at/by_kernel/*/runs" | total)" = $(($(json shapes.json $at/kernels) + more)) ] || fail "runs"
expect 0 "$ECTRT" explain shapes --program grad
grep -q '^ *[0-9.]*  *[0-9.]*%  *1 x[1-9]' out.txt || fail "calls of several instances"
expect 0 "$ECTRT" explain shapes --program grad --steps
[ "$(sed -n 's/^ *[0-9]*  [a-z]*_[0-9a-f]* x\([0-9]*\)  .*/\1/p' out.txt | awk '{ s += $1 - 1 } END { print s }')" = "$more" ] ||
    fail "instances of steps"
grep -q ':bf16 ' out.txt || fail "types of buffers"
expect 0 "$ECTRT" explain shapes --program grad --memory
awk '$3 == "bf16" { s += $2 } END { print s + 0 }' out.txt >said
awk '/"name": "grad", "graph"/ { on = 1 } on && /"steps": / { exit }
    on && /"type": "bf16"/ && !/"within"/ { match($0, /"elements": [0-9]+/); s += 2 * substr($0, RSTART + 12, RLENGTH - 12) } END { print s }' \
    shapes/plan.json >held
[ "$(cat held)" -gt 0 ] && same said held

expect 1 "$ECTRT" explain plan --device h20
says 'did you mean `h200`?'
says 'known are h200, a100, cpu'
expect 1 "$ECTRT" explain plan --program los
says 'did you mean `loss`?'
expect 1 "$ECTRT" explain plan --steps --totals
says 'exclude each other'
sed -i 's/"issued_bytes": 5000000/"issued_bytes": -5/' issued/plan.json
expect 1 "$ECTRT" explain issued
says 'issued_bytes'
