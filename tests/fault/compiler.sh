#!/bin/sh
# No C compiler, one that fails, one that hangs when a signal comes: message, status 2, no temporary files or processes left; ref works without.
. "$SRC/tests/e2e/lib"
tiny_model
export XDG_CACHE_HOME="$work/cache" TMPDIR="$work/tmp"
mkdir tmp
unset CC ECT_CACHE || true
expect 2 env PATH= "$ECTRT" train plan --data shapes:8:64 --out run --steps 1 --sample-every 0 --device cpu
says 'gcc'
expect 0 env PATH= "$ECTRT" train plan --data shapes:8:64 --out run0 --steps 1 --sample-every 0 --device ref
expect 2 env CC=/nonexistent/cc "$ECTRT" train plan --data shapes:8:64 --out run1 --steps 1 --sample-every 0 --device cpu
says '/nonexistent/cc'
cat >failing <<'EOF'
#!/bin/sh
[ "$1" = --version ] && { echo "failing cc 1.0"; exit 0; }
echo "prelude.h: something is wrong" >&2
exit 1
EOF
cat >hanging <<'EOF'
#!/bin/sh
[ "$1" = --version ] && { echo "hanging cc 1.0"; exit 0; }
echo $$ >>"$HANG"
exec sleep 1000
EOF
chmod +x failing hanging
expect 2 env CC="$work/failing" "$ECTRT" train plan --data shapes:8:64 --out run2 --steps 1 --sample-every 0 --device cpu
says 'something is wrong'
says 'log kept in'
rm -f "$(sed -n 's/.*log kept in //p' err.txt)"
[ -z "$(ls tmp)" ] || fail "temporary files left: $(ls tmp)"
HANG=$work/pids CC=$work/hanging "$ECTRT" train plan --data shapes:8:64 --out run3 --steps 1 --sample-every 0 --device cpu >out.txt 2>err.txt &
pid=$!
i=0
while ! [ -s pids ]; do i=$((i + 1)); [ $i -lt 200 ] || fail "the compiler was not started"; sleep 0.05; done
kill -TERM $pid
status=0
wait $pid 2>/dev/null || status=$?
[ $status = 143 ] || fail "exit status $status, wanted 143"
for p in $(cat pids); do kill -0 "$p" 2>/dev/null && fail "compiler $p still runs"; done
[ -z "$(ls tmp)" ] || fail "temporary files left: $(ls tmp)"

# A cache that cannot be used costs time, not the run; a damaged entry is made again.
s() { "$ECTRT" sample plan --weights run0 --count 2 --device cpu -o "$@"; }
echo x >notafolder
(export XDG_CACHE_HOME="$work/notafolder"; expect 0 s first.png)
says 'cache'
expect 0 s second.png
says 'compiled'
expect 0 s third.png
grep -q compiled err.txt && fail "compiled again"
for f in cache/ect/*/*.o; do head -c 100 "$f" >short; cp short "$f"; done
expect 0 s fourth.png
says 'compiled'
for image in second third fourth; do same first.png $image.png; done

# --require-cached compiles nothing.
export XDG_CACHE_HOME="$work/empty"
expect 2 s fifth.png --require-cached
says 'kernels are not in the cache'
says 'conv_'
[ -z "$(ls tmp)" ] || fail "temporary files left: $(ls tmp)"
expect 0 s fifth.png
rm fifth.png
expect 0 s fifth.png --require-cached
same first.png fifth.png
