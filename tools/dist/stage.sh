#!/bin/sh
# Lays out what runs on a machine with a GPU: programs, plans, references, cases, scripts. Assumes `make all tests` in BUILD.
# usage: tools/dist/stage.sh BUILD FOLDER [--no-references]
set -eu
src=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd) out=$2 march=x86-64-v3
rm -rf "$out"
mkdir -p "$out/bin" "$out/lib" "$out/plans" "$out/cases" "$out/bench" "$out/models"
out=$(cd "$out" && pwd)
for p in ectc ect-rt tests-tools/gpu tests-tools/oracle; do
    cp "$build/$p" "$out/bin/"
    strip --strip-unneeded "$out/bin/${p##*/}" 2>/dev/null || :
done
# Libraries that are not linked in, and what they need beside glibc; OpenMP for the references.
case $build in
*-dist)
    libraries() { ldd "$@" | awk '$2 == "=>" { print $3 }' | grep -Ev '/(libc|libm|libdl|libpthread|ld-linux[^/]*)\.so' | sort -u; }
    for l in $(libraries "$out"/bin/*) "$(${CC:-cc} -print-file-name=libgomp.so.1)"; do
        [ -f "$l" ] || continue
        cp -L "$l" "$out/lib/"
    done
    ;;
esac
cp "$src"/models/*.dsl "$out/models/"
cp -r "$src"/tests/oracle/data/*/ "$out/cases/"
cp "$src/bench/peer_torch.py" "$src/bench/torch_convs.py" "$out/bench/"
cp "$src/tools/dist/run-gpu" "$src/LICENSE" "$out/"
cp "$src/tools/dist/README.txt" "$out/"
mkdir -p "$out/licences"
for p in libzip4 libssl3 libbz2-1.0 liblzma5 libzstd1 libpng-dev libjpeg62-turbo-dev libjansson-dev libxxhash-dev zlib1g-dev libopenblas-pthread-dev libgomp1; do
    [ ! -f "/usr/share/doc/$p/copyright" ] || cp -L "/usr/share/doc/$p/copyright" "$out/licences/$p.txt"
done
for precision in bf16 f32; do
    "$build/ectc" "$src/models/unet_ect.dsl" -o "$out/plans/ddpmpp-$precision" --target cpu,cuda -D batch=128 --precision $precision >/dev/null
done
"$build/ectc" "$src/models/unet_ect.dsl" -o "$out/plans/small" --target cpu,cuda -D batch=64 -D channels=32 -D blocks=1 -D dropout=0.0 >/dev/null
if [ "${3-}" != --no-references ]; then
    export SRC="$src"
    mkdir -p "$build/references"
    for precision in bf16 f32; do                    # kept by what they are made of: they take a minute
        key=$(cat "$out/plans/ddpmpp-$precision"/kernels/*.c "$out/plans/ddpmpp-$precision/kernels/prelude.h" "$src/tests/tools/cuda_plan.c" | cksum | tr ' ' -)
        kept=$build/references/$precision-$key.so
        { [ -f "$kept" ] || { "$build/tests-tools/cuda_plan" --only-kernels --march $march "$out/plans/ddpmpp-$precision" "$kept.new" && mv "$kept.new" "$kept"; }; } &&
            cp "$kept" "$out/plans/ddpmpp-$precision.so" &
    done
    wait
    for precision in bf16 f32; do [ -f "$out/plans/ddpmpp-$precision.so" ] || { echo "stage: no reference for $precision" >&2; exit 2; }; done
    strip --strip-unneeded "$out"/plans/*.so
fi
