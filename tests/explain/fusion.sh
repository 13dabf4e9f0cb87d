#!/bin/sh
# `ectc explain MODEL --fusion NAME`: the kernels it names are the plan's, its bytes are theirs, every tensor in memory has a reason; bad names.
# Assumes ECTC and ECTRT from the runner.
. "$SRC/tests/e2e/lib"
model=$SRC/models/shapes.dsl

expect 0 "$ECTC" explain "$model" --fusion enc.16x16_block0.conv0
cp out.txt told.txt
expect 0 "$ECTC" "$model" -o plan
# Each kernel is the plan's step of that number, and reads and writes what that step does.
sed -n 's/^kernel \([0-9]*\) of \([0-9]*\)  \([a-z0-9_]*\),.*/\1 \2 \3/p' told.txt >kernels
[ "$(wc -l <kernels)" -ge 4 ] || fail "fewer than 4 kernels"
expect 0 "$ECTRT" explain plan --program train_step --steps
cp out.txt steps.txt
while read -r at of name; do
    [ -f "plan/kernels/$name.c" ] || fail "no kernel $name"
    grep -q "^ *$at  $name\( x[0-9]*\)\{0,1\}  " steps.txt || fail "step $at is not $name"
    said=$(sed -n "s/^   bytes  *\([0-9]*\) .*/\1/p" "plan/kernels/$name.c")
    told=$(awk -v at="$at" '$1 == "kernel" { on = $2 == at; n += on } /^tensors/ { on = 0 }
        on && /^  (reads|writes|     ) / { for (i = 1; i < NF; i++) { if ($(i + 1) == "B") s += $i; if ($(i + 1) == "MB") s += 1e6 * $i } } END { print s / n }' told.txt)
    awk -v a="$said" -v b="$told" 'BEGIN { d = a - b; exit !(d <= 0.01 * a && -d <= 0.01 * a) }' || fail "$name: $told bytes told, $said in the plan"
done <kernels
# Rules and reasons, the ones that the model's structure makes so.
grep -q 'epilogue: sums over the rows of a tile' told.txt || fail "the statistics are not in the epilogue"
grep -q '^  twin .* [1-9][0-9.]* [kM]*B are read once' told.txt || fail "student and teacher are not in one launch"
grep -q 'a circle: ' told.txt || fail "no circle"
awk '/^    (held|read by)/ { if ($0 !~ /: ./) bad = 1; n++ } END { exit bad || n < 8 }' told.txt || fail "a tensor without a reason"
written=$(awk '/ written by kernel / { s += $2 == "MB" ? 1e6 * $1 : $1 } END { print s / 1e6 }' told.txt)
all=$(sed -n 's/^  in all [0-9]*: \([0-9.]*\) MB written.*/\1/p' told.txt)
awk -v a="$written" -v b="$all" 'BEGIN { d = a - b; exit !(d <= 0.05 && -d <= 0.05) }' || fail "in all $all, and $written a tensor"

# bf16 halves what lies between contractions; a line of text; another program.
expect 0 "$ECTC" explain "$model" --fusion enc.16x16_block0.conv0 --precision bf16
grep -q ', bf16$' out.txt || fail "no bf16"
half=$(sed -n 's/^  in all [0-9]*: \([0-9.]*\) MB written.*/\1/p' out.txt)
awk -v a="$half" -v b="$all" 'BEGIN { exit !(a > 0 && a < 0.8 * b) }' || fail "bf16 writes $half of $all"
expect 0 "$ECTC" explain "$model" --fusion "$SRC/models/unet_ect.dsl:20" --program denoise
says 'denoise: what computes'
expect 0 "$ECTC" explain E0203

expect 1 "$ECTC" explain "$model" --fusion enc.16x16_blok0
says 'nothing of that name is computed in program train_step'
says 'did you mean enc.16x16_block0?'
expect 1 "$ECTC" explain "$model" --fusion nn.dsl:21
says 'the nearest line of nn.dsl that does is '
expect 1 "$ECTC" explain "$model" --fusion other.dsl:3
says 'no line of other.dsl'
expect 1 "$ECTC" explain "$model" --fusion zzzzzzzzzz
says 'give an instance'
expect 1 "$ECTC" explain "$model" --fusion enc --program los
says 'did you mean loss?'
expect 1 "$ECTC" explain "$model"
says 'give --fusion NAME'
expect 1 "$ECTC" explain --fusion enc
says 'no model given'
expect 1 "$ECTC" explain "$model" --fusion enc -o plan
says 'unknown option -o'

# What is dear is not computed for each tap of a window that is read without a stage.
expect 0 "$ECTC" explain "$SRC/examples/07_gated_blocks.dsl" --fusion net.mixer
grep -q 'div \[c:32 n:32 h:16 w:16\]  std/nn.dsl:28, from kernel' out.txt || fail "a GELU for each tap"
