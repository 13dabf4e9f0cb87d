#!/bin/sh
# Runs the test suite: every cmocka case of BUILD/tests/test_* and every tests/<area>/*.sh, some at a time; prints what fails, the ten slowest.
# Assumes a POSIX shell, coreutils, findutils. The last line is always `N passed, M failed, K skipped`; exit status 1 when M > 0.
#
# A script passes with exit status 0, is skipped with 77, fails with any other; it gets ECTC, ECTRT, BUILD, SRC and XDG_CACHE_HOME.
# Scripts named long_*.sh, or with a line `# long` among their first five, run with --long only; those with `# alone` there run after
# the others, one at a time.
set -u

usage() {
    echo "usage: tests/run.sh [--build DIR] [--long] [--only PATTERN] [-j N] [--list]"
    echo "  --build DIR     what to test (build)"
    echo "  --long          the long tests too"
    echo "  --only PATTERN  only tests whose name (area/file or unit/test_file) matches the shell pattern or contains it"
    echo "  -j N            tests at a time (2)"
    echo "  --list          print the names only"
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# ---- one test: `run.sh --one NAME`, results to $RESULTS ----
if [ "${1-}" = --one ]; then
    name=$2
    case $name in
    unit/*) file=$BUILD/tests/${name#unit/} ;;
    *) file=$SRC/tests/$name ;;
    esac
    key=$(echo "$name" | tr / _)
    log=$RESULTS/$key.log
    limit=600
    case $name in */long_*) limit=1800 ;; esac
    [ -n "${SLOW_FACTOR-}" ] && limit=$((limit * SLOW_FACTOR))
    head -n 5 "$file" 2>/dev/null | grep -aqx '# long' && limit=1800
    start=$(now_ms)
    status=0
    case $name in
    unit/*) (cd "$SRC" && CMOCKA_MESSAGE_OUTPUT=TAP exec timeout -k 5 $limit "$file") >"$log" 2>&1 </dev/null || status=$? ;;
    *) timeout -k 5 $limit sh "$file" >"$log" 2>&1 </dev/null || status=$? ;;
    esac
    ms=$(($(now_ms) - start))
    passed=0 failed=0 skipped=0
    case $name in
    unit/*)
        passed=$(grep -aEc '^ok ' "$log")
        failed=$(grep -aEc '^not ok ' "$log")
        skipped=$(grep -aEc '^ok .*# (SKIP|skip)' "$log")
        passed=$((passed - skipped))
        [ "$status" = 0 ] || [ "$failed" -gt 0 ] || failed=1
        [ $((passed + failed + skipped)) -gt 0 ] || { failed=1; echo "no test ran" >>"$log"; }
        ;;
    *)
        case $status in
        0) passed=1 ;;
        77) skipped=1 ;;
        *) failed=1 ;;
        esac
        ;;
    esac
    seconds=$((ms / 1000)).$(printf %02d $((ms % 1000 / 10)))
    # One file for each test, so that tests at the same time do not mix.
    echo "$passed $failed $skipped $ms $name" >"$RESULTS/$key.result"
    if [ "$failed" -gt 0 ]; then
        why="exit status $status"
        [ "$status" != 124 ] && [ "$status" != 137 ] || why="stopped after $limit s"
        {
            echo "FAIL $name (${seconds} s, $why)"
            grep -av '^ok ' "$log" | tail -n 60 | cut -c 1-400 | sed 's/^/    /'
        } >"$RESULTS/$key.report"
        cat "$RESULTS/$key.report"
    elif [ "$skipped" -gt 0 ] && [ "$passed" = 0 ]; then
        echo "skip $name: $(tail -n 1 "$log")"
    else
        echo "ok   $name (${seconds} s)"
    fi
    exit 0
fi

build=build long='' only='' jobs=2 list=''
while [ $# -gt 0 ]; do
    case $1 in
    --build | --only | -j)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        case $1 in
        --build) build=$2 ;;
        --only) only=$2 ;;
        -j) jobs=$2 ;;
        esac
        shift
        ;;
    --long) long=1 ;;
    --list) list=1 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "tests/run.sh: unknown argument $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
SRC=$(cd "$(dirname "$0")/.." && pwd) || exit 2
BUILD=$(cd "$build" 2>/dev/null && pwd) || { echo "tests/run.sh: no folder $build; run make first" >&2; exit 2; }
ECTC=$BUILD/ectc ECTRT=$BUILD/ect-rt
RESULTS=$BUILD/test-results XDG_CACHE_HOME=$BUILD/test-cache
[ -z "$list" ] || RESULTS=$BUILD/test-list           # a run that is under way keeps its own
export SRC BUILD ECTC ECTRT RESULTS XDG_CACHE_HOME
rm -rf "$RESULTS"
mkdir -p "$RESULTS" "$XDG_CACHE_HOME" || exit 2
# Two tests share the cores: threads that wait must sleep.
OMP_WAIT_POLICY=passive LC_ALL=C
export OMP_WAIT_POLICY LC_ALL
unset ECT_CACHE MAKEFLAGS MFLAGS MAKELEVEL

wanted() {
    [ -n "$only" ] || return 0
    # shellcheck disable=SC2254
    case $1 in $only | *"$only"*) return 0 ;; esac
    return 1
}
marked() { head -n 5 "$2" | grep -aqx "# $1"; }
# The slowest of the last run start first.
times=$BUILD/test-times
[ -f "$times" ] || : >"$times"
: >"$RESULTS/all" && : >"$RESULTS/alone"
for f in "$BUILD"/tests/test_* "$SRC"/tests/*/*.sh; do
    [ -f "$f" ] || continue
    case $f in
    *.d | *.o) continue ;;
    "$BUILD"/*) name=unit/${f##*/} ;;
    *) name=${f#"$SRC"/tests/} ;;
    esac
    wanted "$name" || continue
    case $name in
    unit/*) ;;
    */long_*) [ -n "$long" ] || continue ;;
    *) if marked long "$f"; then [ -n "$long" ] || continue; fi ;;
    esac
    ms=$(awk -v n="$name" '$2 == n { print $1 }' "$times")
    out=all
    case $name in unit/*) ;; *) ! marked alone "$f" || out=alone ;; esac
    echo "${ms:-0} $name" >>"$RESULTS/$out"
done
[ -z "$list" ] || { cut -d ' ' -f 2 "$RESULTS/all" "$RESULTS/alone" | sort; exit 0; }

# xargs runs them; a signal to the runner stops what it started, each test being a process group of its own through timeout.
child=
stop() {
    trap '' INT TERM
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
    for p in $(pgrep_children $$); do kill -TERM "$p" 2>/dev/null; done
    echo "interrupted" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 130
}
pgrep_children() {
    # Descendants of $1 by /proc, deepest last.
    for s in /proc/[0-9]*/stat; do
        { read -r line <"$s"; } 2>/dev/null || continue
        pid=${line%% *}
        rest=${line##*) }
        ppid=$(echo "$rest" | cut -d ' ' -f 2)
        if [ "$ppid" = "$1" ] && [ "$pid" != "$$" ]; then
            echo "$pid"
            pgrep_children "$pid"
        fi
    done
}
trap stop INT TERM

run_list() {
    sort -rn "$RESULTS/$1" | cut -d ' ' -f 2 | xargs -n 1 -P "$2" sh "$SRC/tests/run.sh" --one &
    child=$!
    wait "$child"
    child=
}
[ ! -s "$RESULTS/all" ] || run_list all "$jobs"
[ ! -s "$RESULTS/alone" ] || run_list alone 1

cat "$RESULTS"/*.result >"$RESULTS/summary" 2>/dev/null
expected=$(cat "$RESULTS/all" "$RESULTS/alone" | wc -l)
ran=$(wc -l <"$RESULTS/summary")
awk '{ print $4, $5 }' "$RESULTS/summary" >"$RESULTS/times"
awk 'NR == FNR { seen[$2]; print; next } !($2 in seen)' "$RESULTS/times" "$times" >"$RESULTS/times.all" &&
    mv "$RESULTS/times.all" "$times"
echo
echo "slowest:"
sort -rn "$RESULTS/times" | head -n 10 | awk '{ printf "  %8.2f s  %s\n", $1 / 1000, $2 }'
if ls "$RESULTS"/*.report >/dev/null 2>&1; then
    echo
    echo "failed:"
    for r in "$RESULTS"/*.report; do sed -n '1s/^FAIL /  /p' "$r"; done
    echo "logs: $RESULTS"
fi
echo
[ "$ran" = "$expected" ] || echo "$((expected - ran)) tests gave no result"
awk -v lost=$((expected - ran)) '{ p += $1; f += $2; s += $3 }
    END { f += lost; if (p + f + s == 0) f = 1; printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }' \
    "$RESULTS/summary"
