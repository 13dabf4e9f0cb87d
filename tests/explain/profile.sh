#!/bin/sh
# --profile of train and run: valid JSON whose groups sum up, every launch counted, no bit changed; refused without kernels.
# Assumes ECTC, ECTRT and BUILD from the runner.
. "$SRC/tests/e2e/lib"
tiny_model
json() { "$BUILD/tests-tools/json" "$@"; }
total() { awk '{ s += $1 } END { printf "%.17g\n", s }'; }
# close A B WHAT: equal but for the last of the nine digits that seconds are printed with.
close() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; exit !(d <= 1e-7 * b && -d <= 1e-7 * b) }' || fail "$3: $1 is not $2"; }

expect 0 train --out run --steps 3 --device cpu --profile times.json
says 'outside contractions: '
says 'reading the clock: '
expect 0 train --out plain --steps 3 --device cpu
same run/ckpt-*3.safetensors plain/ckpt-*3.safetensors

"$ECTRT" explain plan --totals --json >plan.json
launches=$(json plan.json programs/train_step/kernels)
[ "$(json times.json calls)" = $((3 * launches)) ] || fail "$(json times.json calls) launches, wanted 3 of $launches"
for what in flops bytes; do
    close "$(json times.json $what)" "$(json plan.json programs/train_step/$what | awk '{ printf "%.17g", 3 * $1 }')" "$what"
done
for by in by_segment by_class by_kernel by_source; do
    for what in seconds predicted_s calls flops bytes; do
        close "$(json times.json "$by/*/$what" | total)" "$(json times.json $what)" "$by, $what"
    done
    json times.json "$by/*/seconds" >a
    sort -gr a >b
    same a b
done
close "$(json times.json 'segments/*/steps/*/seconds' | total)" "$(json times.json seconds)" "steps"
[ "$(json times.json 'segments/*/runs' | sort -u)" = 3 ] || fail "runs of the segments"
awk -v w="$(json times.json whole_s)" -v k="$(json times.json seconds)" 'BEGIN { exit !(k > 0 && w >= k) }' ||
    fail "kernels take longer than their segments"
# The predictions are those of explain on as many cores as the run had.
cores=$(json times.json cores)
[ "$cores" = "$OMP_NUM_THREADS" ] || fail "$cores cores"
json times.json 'by_class/*/class' | sort >classes
printf 'contract\nmap\nreduce\n' | cmp -s - classes || fail "classes: $(cat classes)"
json times.json 'by_class/*/class' >names
json times.json 'by_class/*/seconds' | paste names - |
    awk '$1 != "contract" { s += $2 } { all += $2 } END { printf "%.17g\n", s / all }' >share
close "$(cat share)" "$(json times.json outside_contractions)" "share outside contractions"

# Without a file the tables are all; the plan may come after the option.
expect 0 "$ECTRT" train --profile plan --data shapes:8:64 --sample-every 0 --out run2 --steps 1 --device cpu
said=$(sed -n 's/^outside contractions: \([0-9.]*\)%.*/\1/p' out.txt)
awk -v s="$said" 'BEGIN { exit !(s > 0 && s < 100) }' || fail "outside contractions: $said"
for column in segment class kernel source; do grep -q "^ *ms  share  .*  $column" out.txt || fail "no table by $column"; done
[ "$(awk 'length($0) > 160' out.txt | grep -vc '^  config\|^  runtime')" = 0 ] || fail "lines beyond 160 columns"

expect 0 "$ECTRT" run plan init --out weights.safetensors
"$BUILD/tests-tools/tensor" write z.safetensors z:8,3,8,8 0.5
expect 0 "$ECTRT" run plan sample --weights weights.safetensors --in z.safetensors --out images.safetensors --mid 1 --mid 0.5 \
    --profile=sample.json --device cpu
[ "$(json sample.json 'segments/*/runs' | tr '\n' ' ')" = "1 2 1 " ] || fail "runs of the segments of sample"
[ "$(json sample.json 'by_segment/*/segment' | sort | tr '\n' ' ')" = "sample.0 sample.1 sample.2 " ] || fail "segments of sample"

expect 1 "$ECTRT" run plan sample --weights weights.safetensors --in z.safetensors --out other.safetensors --device ref --profile
says 'device ref interprets graphs; use --device cpu'
[ ! -e other.safetensors ] || fail "it ran"
expect 1 train --out run3 --steps 1 --device ref64 --profile
says 'use --device cpu'
expect 1 train --out run3 --steps 1 --device cpu --profile nowhere/times.json
says 'nowhere/'
[ ! -e run3 ] || fail "a run folder was made"
