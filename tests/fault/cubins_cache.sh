#!/bin/sh
# Caches that cannot be used cost time, never the run: damaged entries, read-only and full folders, folders of others, clocks that were wrong.
. "$SRC/tests/cuda/lib"
tiny_model
with_cuda plan 12
fake_nvrtc a 13 0
export ECT_CACHE="$work/cache" ECT_CUDA_PATH="$work/a"
load 0 plan sm_90a
bits >good
right() { bits >now; same good now; }

# Damage: one line, a miss, made again.
for f in cache/*/*.o; do head -c 400 "$f" >short; cp short "$f"; done
load 0 plan sm_90a
compiles 12
right
[ "$(grep -c 'is damaged' err.txt)" = 1 ] || { cat err.txt; fail "one line about damage"; }
load 0 plan sm_90a
compiles 0
set -- cache/*/*.o
size=$(wc -c <"$1")
cp "$1" whole
at=0
while [ $at -lt "$size" ]; do                         # every 500th byte; the unit test goes through all
    { head -c $at whole; printf '\377'; tail -c +$((at + 2)) whole; } >"$1"
    cmp -s whole "$1" || { load 0 plan sm_90a; compiles 1; right; }
    cp whole "$1"
    at=$((at + 499))
done
# Entries of the earlier format are no damage; they are replaced.
printf 'ectobj1\n' | dd of="$1" conv=notrunc 2>/dev/null
expect 0 "$ECTRT" cache verify
says ' 0 damaged, 1 of another version'
load 0 plan sm_90a
compiles 1
grep -q damaged err.txt && fail "the earlier format counts as damage"

# Clocks: entries from the future are used, noted as used today, and the first to go otherwise.
touch -d '10 years' cache/*/*.o
load 0 plan sm_90a
compiles 0
[ -z "$(find cache -name '*.o' -newermt '1 day')" ] || fail "times in the future stay"
set -- cache/*/*.o
touch -d '10 years' "$1"
touch -d '3 days ago' "$2"
expect 0 "$ECTRT" cache prune "$(echo "$(cat cache/*/*.o | wc -c)" | awk '{ printf "%.9f", ($1 - 200) / 1048576 }')"
[ ! -e "$1" ] && [ -e "$2" ] || fail "the entry from the future outlived others"
load 0 plan sm_90a
compiles 1
[ -z "$(find cache -name '*.o' -mtime +1)" ] || fail "an old use was not noted"
touch -d '2 hours ago' cache/*/*.o
touch -d '1 hour ago' mark
load 0 plan sm_90a
[ -z "$(find cache -name '*.o' -newer mark)" ] || fail "a use of today was noted again"

# No room: a file system that is full, or a limit on files' sizes.
(ulimit -f 2; ECT_CACHE="$work/small" load 0 plan sm_90a; compiles 12; right; says 'the kernel cache cannot be written')
[ -z "$(find small -type f)" ] || fail "left in the full folder: $(find small -type f)"
if [ "$(id -u)" = 0 ] && mkdir mnt && mount -t tmpfs -o size=40k tmpfs mnt 2>/dev/null; then
    trap 'umount mnt; rm -rf "$work"' EXIT
    export ECT_CACHE="$work/mnt"
    load 0 plan sm_90a
    compiles 12
    right
    says 'the kernel cache cannot be written'
    expect 0 "$ECTRT" cache verify
    says ' 0 damaged'
    [ -z "$(find mnt -name 'tmp-*')" ] || fail "temporary files in the full folder"
    load 0 plan sm_90a
    right
    # The same folder, read-only.
    held=$(find mnt -name '*.o' | wc -l)
    mount -o remount,ro mnt
    touch -d '3 days' mark
    load 0 plan sm_90a
    compiles $((12 - held))
    right
    mount -o remount,rw mnt
elif [ "$(id -u)" != 0 ]; then
    mkdir closed
    chmod 500 closed
    ECT_CACHE="$work/closed" load 0 plan sm_90a
    right
    says 'the kernel cache cannot be written'
fi
export ECT_CACHE=/proc/self/none
load 0 plan sm_90a
right
says 'the kernel cache /proc/self/none cannot be used'

# A folder that others can write: not unless it is named.
unset ECT_CACHE
export XDG_CACHE_HOME="$work/xdg"
load 0 plan sm_90a
[ "$(stat -c %a xdg/ect)" = 700 ] || fail "the cache's folder has mode $(stat -c %a xdg/ect)"
chmod 777 xdg/ect
load 0 plan sm_90a
compiles 12
says 'other users can write there'
chmod 775 xdg/ect
load 0 plan sm_90a
compiles 12
ECT_CACHE="$work/xdg/ect" load 0 plan sm_90a
compiles 0
chmod 755 xdg/ect
load 0 plan sm_90a
compiles 0
rm -r xdg/ect
umask 0
load 0 plan sm_90a
load 0 plan sm_90a
compiles 0
