#!/bin/sh
# Runs the shell blocks of README.md, docs/writing-a-model.md and docs/inspection.md as they stand, in a folder where build/ectc and build/ect-rt are
# the real programs with small settings: batch 2, two steps, two images, the interpreter (but for --profile, which needs kernels). `./setup X`, `make X` and bench/ are only looked up, not run.
# Assumes ECTC, ECTRT and SRC from the runner; `dsl NAME.dsl` blocks are saved as models/NAME.dsl before anything runs.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

script() {
    cat >"$1"
    chmod +x "$1"
}

make_folder() {
    rm -rf "$tmp/blocks" "$tmp/texts"
    mkdir -p "$tmp/blocks" "$tmp/texts/build" "$tmp/texts/bench" "$tmp/bin"
    cp -r "$SRC/models" "$tmp/texts/models"
    cp "$SRC/tests/data/real/cifar40.zip" "$tmp/texts/cifar10.zip"
    script "$tmp/texts/build/ectc" <<'END'
#!/bin/sh
case $1 in check | diff | fmt | explain) exec "$ECTC" "$@" ;; esac
# Settings that make it small replace those of the same name.
small=batch=2
case $* in *unet_ect* | *shapes* | *small*) small='batch=2 channels=8 blocks=1 mult=[1] attn=[]' ;; *own*) small='batch=2 width=4' ;; esac
set -f
words=
while [ $# -gt 0 ]; do
    if [ "$1" != -D ]; then
        words="$words $1"
    else
        shift
        case " $small " in *" ${1%%=*}="*) ;; *) words="$words -D $1" ;; esac
    fi
    shift
done
for a in $small; do words="$words -D $a"; done
exec "$ECTC" $words
END
    script "$tmp/texts/build/ect-rt" <<'END'
#!/bin/sh
case $1 in
train)
    case " $* " in *' --profile '*) device=cpu ;; *) device=ref ;; esac
    exec "$ECTRT" "$@" --steps 2 --sample-every 0 --device $device
    ;;
sample) exec "$ECTRT" "$@" --count 2 --device ref ;;
*) exec "$ECTRT" "$@" ;;
esac
END
    script "$tmp/texts/setup" <<'END'
#!/bin/sh
sh "$SRC/setup" --help | grep -q "^ *\(usage: \)\{0,1\}\./setup $1 "
END
    script "$tmp/bin/make" <<'END'
#!/bin/sh
for target; do grep -q "^$target:" "$SRC/Makefile" || { echo "Makefile: no target $target"; exit 1; }; done
END
    for f in "$SRC"/bench/*.sh; do
        [ -f "$f" ] || continue
        echo 'exit 0' | script "$tmp/texts/bench/${f##*/}"
    done
}

bad=0
for doc in "$SRC/README.md" "$SRC/docs/writing-a-model.md" "$SRC/docs/inspection.md"; do
    make_folder
    awk -v dir="$tmp/blocks" -f "$SRC/tests/docs/extract.awk" "$doc"
    while read -r line language word _; do
        case $language,$word in dsl,*.dsl) cp "$tmp/blocks/$line.dsl" "$tmp/texts/models/$word" ;; esac
    done <"$tmp/blocks/list"
    while read -r line language _; do
        [ "$language" = sh ] || continue
        (cd "$tmp/texts" && PATH=$tmp/bin:$PATH sh -eu "$tmp/blocks/$line.sh") >"$tmp/out" 2>&1 </dev/null || {
            echo "$doc:$line: a command fails:"
            sed 's/^/    /' "$tmp/out"
            bad=1
        }
    done <"$tmp/blocks/list"
done
exit $bad
