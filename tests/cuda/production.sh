#!/bin/sh
# One kernel of each kind of the full DDPM++ training plan, at its own shape: two of its blocks store what the graph says. Planted faults are seen.
. "$SRC/tests/exact/lib"
"$ECTC" "$SRC/models/unet_ect.dsl" -o "$work/full" --target cpu,cuda --precision bf16 >/dev/null
blocks() { "$BUILD/tests-tools/blocks" --terms 2e6 --blocks 2 "$@" "$work/full"; }
blocks --some >"$work/out" || { cat "$work/out"; exit 1; }
cat "$work/out"
! grep -q 'infinite\|^skip' "$work/out" || { echo "values that cannot be compared"; exit 1; }
[ "$(grep -c '^ok' "$work/out")" -ge 20 ] || { echo "few kinds of kernels"; exit 1; }

# fault KIND PATTERN EDIT: the first kernel of the kind among those above whose text has the pattern, edited, must fail
planted=0
fault() {
    for name in $(sed -n "s/^ok  *\($1_[0-9a-f]*\) .*/\1/p" "$work/out"); do
        text=$work/full/kernels/$name.cu
        [ -f "$text" ] || text=$(grep -l "^ *$name: " "$work"/full/kernels/*.cu)       # the kernel shares another's text
        grep -qs "$2" "$text" || continue
        cp "$text" "$work/keep"
        sed -i "$3" "$text"
        ! cmp -s "$text" "$work/keep" || { echo "nothing was edited in $name: $3"; exit 1; }
        status=0
        blocks --kernel "$name" >"$work/fault" || status=$?
        cp "$work/keep" "$text"
        { [ $status = 1 ] && grep -q ^FAIL "$work/fault"; } || { cat "$work/fault"; echo "not seen in $name: $3"; exit 1; }
        planted=$((planted + 1))
        return
    done
    echo "no $1 kernel has $2"
    exit 1
}
fault conv 'tap < 9' 's/tap < 9/tap < 8/'
fault conv 'bring_lines' 's/a_to = a_tile + k0/a_to = a_tile + (k0 + 32)/'
fault conv 'stage_lines' 's/if (staging) fetch_lines(k0 + 32/if (staging) fetch_lines(k0/'
fault conv 'ect_cp_async_wait(2)' 's/ect_cp_async_wait(2)/ect_cp_async_wait(3)/'
fault conv 'ect_cp_async_wait' '/ect_cp_async_wait/d'
fault conv 'b_now = b_tile + turn' 's/b_now = b_tile + turn/b_now = b_tile + (turn + 1)/'
fault matmul 'turn = 0; turn < \([4-9]\|[0-9][0-9]\|args\)' 's/bring(turn + \([23]\))/bring(turn + \1 - 1)/'
fault conv 'w_in < [0-9]' 's/ && w_in < \([0-9]*\)\(.*{\)/ \&\& w_in < \1 - 1\2/'
fault conv 'ECT_BERNOULLI_ROW' 's/ECT_BERNOULLI_ROW(0, \([^,]*\),/ECT_BERNOULLI_ROW(0, (\1 + 1) % 128,/'
fault wgrad 'ECT_BERNOULLI_ROW' 's/a_at + kw\*/a_at + (2 - kw)*/'
fault wgrad 'ECT_BERNOULLI_ROW' 's/(2 - kh)\*/kh*/'
fault matmul 'split < ' 's/split < \([a-z0-9_.]*\);/split < \1 - 1;/'
fault matmul '__shfl_xor' 's/half = 16;/half = 8;/'
fault pass 'local < ' 's/local = \(lane\|warp\); local < /local = \1 + 1; local < /'
fault sum 'results a thread: each' 's/result = piece\*8/result = piece*8 + 8/'
fault sum 'results a thread: each' 's/ect_keep8_bf16(&\(y[0-9]*\)\[/&8 + /'
fault sum 'results a thread: each' 's/sum0\[q\] +\?= /&sum0[0] + /'
fault sum 'term < ' 's/term < \([a-z0-9_.]*\);/term < \1 - 1;/'
echo "$planted planted faults found"
