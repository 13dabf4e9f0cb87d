#!/bin/sh
# The check and the reducer find a planted fault: a compiler whose fused kernels have a wrong tanh is caught, its text made small.
. "$SRC/tests/fuzz/lib"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/ectc" <<'EOS'
#!/bin/sh
# ectc, and in plans made with `--fusion full` a tanh that is off by a hundredth.
"$REAL" "$@" || exit
case " $* " in *' --fusion full '*) ;; *) exit 0 ;; esac
while [ "$1" != -o ]; do shift; done
for f in "$2"/kernels/*.c; do
    sed 's/ect_tanh(/1.01f * ect_tanh(/g' "$f" >"$f.new" && mv "$f.new" "$f"
done
EOS
chmod +x "$work/ectc"
REAL=$ECTC
export REAL
status=0
"$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$work/ectc" --seed 1 --count 40 --stop --keep "$work" --reduce 60 --level -O0 \
    >"$work/out" 2>&1 || status=$?
cat "$work/out"
[ $status = 1 ] || { echo "exit status $status: the fault was not found"; exit 1; }
seed=$(sed -n 's/^FAIL seed \([0-9]*\): values differ$/\1/p' "$work/out")
[ -n "$seed" ]
grep -q "^repeat: fuzz --seed $seed" "$work/out"
small=$work/seed-$seed.dsl
"$BUILD/tests-tools/fuzz" --print $seed >"$work/large"
grep -q tanh "$small" || { echo "the reduced text has lost the fault"; exit 1; }
lets() { grep -c '^  let v' "$1" || :; }
echo "$(lets "$work/large") statements became $(lets "$small")"
[ "$(lets "$small")" -le 4 ] && [ "$(lets "$small")" -lt "$(lets "$work/large")" ] ||
    { echo "the reduced text is not small"; exit 1; }
# The kept text fails with the fault and agrees without it.
"$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$work/ectc" "$small" && { echo "the kept text does not fail"; exit 1; }
"$BUILD/tests-tools/fuzz" --bin "$BUILD" --ectc "$ECTC" "$small"
