#!/bin/sh
# `report resolution`: its log10 by noise level in metrics.jsonl, levels below 0 named on the console. `roundoff`: that of the precision where it stands.
. "$SRC/tests/e2e/lib"
tiny_model
sed 's/report sigma = t/report sigma = t; report resolution = where(t < 0.3, 0.01, where(t < 3, 0, 100))/' tiny.dsl >told.dsl
"$ECTC" told.dsl -o plan >/dev/null
train --out run --steps 6 --log-every 6 >live.txt 2>&1 || { cat live.txt; fail "train"; }
sed 's/.*"log10_resolution_by_sigma": {\([^}]*\)}.*/\1/' run/metrics.jsonl >got.txt
grep -q '"0.1-0.3": -2[,.]' got.txt && grep -q '"1-3": -3[,.]' got.txt && grep -q '">=10": 2$' got.txt || { cat run/metrics.jsonl; fail "metrics.jsonl"; }
grep -q 'report.resolution' run/metrics.jsonl && fail "it is there twice"
grep -q 'resolution of the loss (log10) by sigma: <0.1 -2.00 (rounding), 0.1-0.3 -2.00 (rounding), .*, >=10 2.00$' live.txt || { cat live.txt; fail "the end says nothing"; }
grep -q 'rounding at sigma <0.1, 0.1-0.3, .*1-3  ' live.txt || { cat live.txt; fail "the live line says nothing"; }
grep -q 'rounding at sigma .*>=10' live.txt && fail "what is large is no rounding"

cat >u.dsl <<'END'
program own(x: [n:1]) -> y = x + roundoff
program inside(x: [n:1]) -> y = x + precision bf16 { roundoff }
END
for case in f32=24 tf32=11 bf16=8 f16=11; do
    "$ECTC" u.dsl --precision "${case%=*}" -d E >dump.txt
    [ "$(grep -c "const 0x1p-${case#*=} " dump.txt)" -ge 1 ] && grep -q 'const 0x1p-8 ' dump.txt || { cat dump.txt; fail "roundoff in $case"; }
done

# The estimate that unet_ect.dsl makes, `roundoff` times the network's part of D, against what bf16 does to a network of three products.
cat >>tiny.dsl <<'END'
fn rms(v) = sqrt(mean[c,h,w](v^2))
program off(x: [n:batch, c:colors, h:res, w:res], sigma: [n]) -> off =
  rms(D(x, sigma) - precision bf16 { D(x, sigma) }) / (precision bf16 { roundoff } * rms(D(x, sigma) - 0.25 / (sigma^2 + 0.25) * x))
END
"$ECTC" tiny.dsl -o off >/dev/null
"$ECTRT" run off init --out w.st 2>/dev/null
"$BUILD/tests-tools/tensor" write in.st x:8,3,8,8 -1..1 sigma:8 0.01 0.05 0.2 0.5 1 4 20 80
expect 0 "$ECTRT" run off off --weights w.st --in in.st --out out.st
"$BUILD/tests-tools/tensor" print out.st off | tee off.txt
awk '$1 < 0.2 || $1 > 1.5 { bad = 1 } END { exit bad || NR != 8 }' off.txt || fail "the estimate is not within a factor of five"

# The models that come with it report it.
"$ECTC" "$SRC/models/unet_ect.dsl" -D res=8 -D channels=8 -D batch=4 -D 'mult=[1]' -D blocks=1 -D 'attn=[]' -o unet --precision bf16 >/dev/null
expect 0 "$ECTRT" train unet --data shapes:8:64 --sample-every 0 --out unet-run --steps 4 --log-every 4
grep -q '"log10_resolution_by_sigma": {".*: -\{0,1\}[0-9]' unet-run/metrics.jsonl || { cat unet-run/metrics.jsonl; fail "unet_ect.dsl reports no resolution"; }
