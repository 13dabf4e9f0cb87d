#!/bin/sh
# Two hundred steps of a tiny network in each precision against f32: the loss, a mean of 40 steps, is within 5e-4 of the f32 one, in bf16 5e-3. Rows are
# up to 2^4 times as near to each other as at first: where t - r is a thousandth of t, a network in bf16 cannot tell them apart (7 % after 10 stages).
. "$SRC/tests/e2e/lib"
tiny_model
sed 's|\* model(x / s, log(sigma) / 4)|* f32(model(x / s, log(sigma) / 4))|' tiny.dsl >wide.dsl      # what the network is put into has 4 bytes
grep -q 'f32(model' wide.dsl || fail "the model has changed"
for precision in f32 tf32 bf16 f16; do
    "$ECTC" wide.dsl -o $precision --precision $precision -D dropout=0 >compile.txt 2>&1 || { cat compile.txt; fail "ectc --precision $precision"; }
    "$ECTRT" train $precision --data shapes:8:256 --sample-every 0 --checkpoint-every 0 --steps 200 --seed 1 --set lr=2e-3 --set stage_images=320 --out run-$precision >/dev/null 2>err.txt ||
        { cat err.txt; fail "train in $precision"; }
    sed -n 's/.*"loss": \([-0-9.e+]*\),.*/\1/p' run-$precision/metrics.jsonl >$precision.txt
    [ "$(wc -l <$precision.txt)" = 200 ] || fail "$precision: $(wc -l <$precision.txt) losses of 200 steps"
done
status=0
for precision in tf32 bf16 f16; do
    paste f32.txt $precision.txt | awk -v name=$precision '
        { a += $1; b += $2; d = ($2 - $1) / $1; if (d < 0) d = -d; if (!(d <= step)) step = d
          if (NR % 40 == 0) { m = b / a - 1; if (m < 0) m = -m; if (!(m <= mean)) mean = m; last = b / 40; of = a / 40; a = b = 0 } }
        END { printf "%-5s loss at the end %.4f, in f32 %.4f; largest difference of a mean of 40 steps %.2e, of a step %.2e\n", name, last, of, mean, step
              exit !(mean <= (name == "bf16" ? 5e-3 : 5e-4)) }' || status=1
done
exit $status
