#!/bin/sh
# Compiles every model text of the pages given (README.md and docs/*.md), and compares what they say about it with what happens.
# Assumes ECTC, ECTRT and SRC from the runner. The words after ``` say what a block is:
#   dsl               a whole file that `ectc` compiles
#   dsl E0203         a whole file that it refuses with this one error and exit status 1
#   dsl FILE.dsl      a whole file that stays under that name for the blocks after it
#   text errors       what `ectc check` prints about the dsl block before it, to the letter
#   text draws        the paths of all draws of the dsl block before it
#   text parameters   its parameters in storage order
#   text source       lines that stand so in models/ or dsl/std/
#   text fusion       first a command `ectc explain MODEL --fusion NAME ...`, then lines of what it prints, in order or not; numbers of kernels and
#                     tensors, and hashes, may differ; `...` stands for lines left out
#   c excerpt MODEL   lines of the kernels that are generated of it, the comment "..." for lines left out; compared with --kernel only
#   cuda excerpt MODEL [options]   the same of its CUDA texts, with these options of ectc
#   c kernel          the first convolution of models/shapes.dsl as it is printed; compared with --kernel only, for its text changes with the compiler
# `check.sh --update FILE.md` writes what is into the `text` and `c kernel` blocks.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
update= kernel=
case ${1-} in
--update) update=1 kernel=1 && shift ;;
--kernel) kernel=1 && shift ;;
esac
[ $# -gt 0 ] || set -- "$SRC"/README.md "$SRC"/docs/*.md
bad=0

# fail MESSAGE [FILE]
fail() {
    echo "$doc:$line: $1"
    [ $# -lt 2 ] || sed 's/^/    /' "$2"
    bad=1
}

# What a `text` block should say about the model in work/$model.
truth() {
    case $1 in
    errors) (cd "$tmp/texts" && "$ECTC" check "$model" 2>&1) || : ;;
    draws) cat "$tmp/plan/graph"/*.txt | grep -o ' path "[^"]*"' | sed 's/.*"\(.*\)"/\1/' | grep -v '^draw\.init\.' | LC_ALL=C sort -u ;;
    parameters)
        # One parameter a line: name : NAME was : OLD roles : ROLE... shape : SIZE... order ...
        awk '/^ "param_elements"/ { on = 0 } on { gsub(/[]["{},]/, " "); print } /^ "parameters"/ { on = 1 }' "$tmp/plan/plan.json" |
            awk '{ axes = ""
                   for (s = 9; s < NF && $s != "shape"; s++) ;
                   for (i = 9; i < s; i++) axes = axes (i > 9 ? ", " : "") $i ":" $(s + 2 + i - 9)
                   print $3 " [" axes "]" ($6 == "null" ? "" : " was " $6) }'
        ;;
    kernel)
        "$ECTC" "$SRC/models/shapes.dsl" -o "$tmp/shapes" >/dev/null
        name=$("$ECTRT" explain "$tmp/shapes" --program denoise --steps |
            awk '/^program / { on = $2 == "denoise" } on && $2 ~ /^conv_/ && / model\.enc\.16x16_block0( |$)/ { print $2; exit }')
        cat "$tmp/shapes/kernels/$name.c"
        ;;
    esac
}

# The command's first line in $1, run where the models are; numbers that any change of the compiler moves are masked in both.
masked() { sed -E 's/_[0-9a-f]{12}/_H/g; s/(^| )v[0-9]+( |$)/\1vN\2/g; s/kernel [0-9]+/kernel N/g; s/ of [0-9]+  / of N  /'; }
check_fusion() {
    sed -n '1s/^ectc //p' "$1" >"$tmp/command"
    # shellcheck disable=SC2046
    (cd "$SRC" && "$ECTC" $(cat "$tmp/command")) >"$tmp/told" 2>&1 || fail "the command fails:" "$tmp/told"
    masked <"$tmp/told" | sort -u >"$tmp/there"
    sed 1d "$1" | grep -vx '\.\.\.' | grep . | masked | grep -vxFf "$tmp/there" >"$tmp/out" && fail "not what is printed:" "$tmp/out"
    [ "$(grep -c . "$1")" -gt 3 ] || fail "no excerpt"
}
# check_excerpt BLOCK SUFFIX MODEL [options of ectc]
check_excerpt() {
    block=$1 suffix=$2 of=$3
    shift 3
    rm -rf "$tmp/of"
    "$ECTC" "$SRC/$of" --target cpu,cuda "$@" -o "$tmp/of" >"$tmp/out" 2>&1 || fail "no plan:" "$tmp/out"
    cat "$tmp/of"/kernels/*."$suffix" >"$tmp/there"
    set -- "$block"
    grep -v '^ *\(/\* \.\.\. \*/\)*$' "$1" | grep -vxFf "$tmp/there" >"$tmp/out" && fail "not in a kernel of $of:" "$tmp/out"
    [ -s "$1" ] || fail "no excerpt"
}

check_model() {
    status=0
    (cd "$tmp/texts" && "$ECTC" check "$model") >"$tmp/out" 2>&1 || status=$?
    if [ -z "$code" ] && [ "$status" = 0 ]; then
        rm -rf "$tmp/plan"
        (cd "$tmp/texts" && "$ECTC" "$model" -o "$tmp/plan") >"$tmp/out" 2>&1 || fail "no plan:" "$tmp/out"
    elif [ -z "$code" ]; then
        fail "exit status $status:" "$tmp/out"
    elif [ "$status" != 1 ] || [ "$(grep -c ": error $code:" "$tmp/out")" != 1 ] || [ "$(grep -c ': error ' "$tmp/out")" != 1 ]; then
        fail "exit status $status, and not the one error $code:" "$tmp/out"
    fi
}

for doc; do
    rm -rf "$tmp/blocks" "$tmp/texts" && mkdir -p "$tmp/blocks" "$tmp/texts"
    cp "$SRC"/models/*.dsl "$tmp/texts"
    : >"$tmp/blocks/list"
    line=0
    awk -v dir="$tmp/blocks" -f "$SRC/tests/docs/extract.awk" "$doc" >"$tmp/out" 2>&1 || fail "cannot be cut into blocks:" "$tmp/out"
    while read -r line language word rest; do
        block=$tmp/blocks/$line.$language
        case $language,$word in
        dsl,*)
            model=example.dsl code=
            case $word in E[0-9]*) code=$word ;; *.dsl) model=$word ;; esac
            cp "$block" "$tmp/texts/$model"
            check_model
            ;;
        text,errors | text,draws | text,parameters | c,kernel)
            [ "$word" != kernel ] || [ -n "$kernel" ] || continue
            truth "$word" >"$tmp/blocks/$line.truth"
            [ -n "$update" ] || diff -u "$block" "$tmp/blocks/$line.truth" >"$tmp/out" || fail "the page (-), and what is (+):" "$tmp/out"
            ;;
        text,fusion) check_fusion "$block" ;;
        c,excerpt) [ -z "$kernel" ] || check_excerpt "$block" c "$rest" ;;
        # shellcheck disable=SC2086
        cuda,excerpt) [ -z "$kernel" ] || check_excerpt "$block" cu $rest ;;
        text,source)
            cat "$SRC"/models/*.dsl "$SRC"/dsl/std/*.dsl >"$tmp/sources"
            grep -vxFf "$tmp/sources" "$block" >"$tmp/out" && fail "not in models/ or dsl/std/:" "$tmp/out"
            ;;
        esac
    done <"$tmp/blocks/list"
    [ -z "$update" ] || {
        awk -v dir="$tmp/blocks" '/^```/ && skip { skip = 0 }
            !skip { print }
            /^```(text (errors|draws|parameters)|c kernel)/ {
                file = sprintf("%s/%04d.truth", dir, NR)
                while ((getline row < file) > 0) print row
                skip = 1
            }' "$doc" >"$tmp/new" && cat "$tmp/new" >"$doc"
    }
done
exit $bad
