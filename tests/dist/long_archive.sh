#!/bin/sh
# The archive: size, symbols of glibc, what it needs besides; and in a root with a shell and glibc alone it compiles a model, samples with the
# interpreter, and says that there is no GPU.
. "$SRC/tests/e2e/lib"
make -C "$SRC" dist >make.txt 2>&1 || {
    grep -q 'static_libs: no static libraries' make.txt && { tail -n 3 make.txt; exit 77; }
    tail -n 20 make.txt >&2
    fail "make dist"
}
archive=$(ls "$SRC"/dist/ect-*-x86_64.tar.gz)
bytes=$(wc -c <"$archive")
[ "$bytes" -le 40000000 ] || fail "$bytes bytes"
tar -xzf "$archive"
cd ect-*-x86_64
for f in bin/* lib/* plans/*.so; do
    newest=$(readelf --dyn-syms -W "$f" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    [ "$(printf '%s\nGLIBC_2.34\n' "$newest" | sort -V | tail -n 1)" = GLIBC_2.34 ] || fail "$f needs $newest"
    ! readelf -d "$f" | grep -q '(R.*PATH).*[[:]/' || fail "$f looks for libraries outside: $(readelf -d "$f" | grep PATH)"
done
for f in bin/* lib/*; do
    for need in $(readelf -d "$f" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        case $need in libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | ld-linux-x86-64.so.2) ;;
        *) [ -f "lib/$need" ] || fail "$f needs $need" ;;
        esac
    done
done
cd ..

# A root with the archive, the loader, glibc, and what a shell script calls with its libraries in another place than the archive's programs look at.
mkdir -p root/lib64 root/bin root/tools root/tmp root/proc root/dev root/ect
cp -L /lib64/ld-linux-x86-64.so.2 root/lib64/
mkdir -p root/lib/x86_64-linux-gnu
for l in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do cp -L /lib/x86_64-linux-gnu/$l root/lib/x86_64-linux-gnu/; done
mv ect-*-x86_64/* root/ect/
inside() { unshare -r -m sh -c 'mount --rbind /proc root/proc && exec chroot root "$@"' sh "$@"; }
unshare -r -m sh -c 'mount --rbind /proc root/proc && chroot root true; [ $? != 1 ]' 2>/dev/null || { echo "no unshare with mounts here; the rest is not tried"; exit 77; }
expect 0 inside /ect/bin/ectc --version
expect 0 inside /ect/bin/ect-rt devices
says 'cuda      no'
expect 0 inside /ect/bin/ectc /ect/models/unet_ect.dsl -o /tmp/plan -D res=8 -D channels=8 -D batch=2
expect 0 inside /ect/bin/ect-rt run /tmp/plan init --out /tmp/w.st --device ref
expect 0 inside /ect/bin/ect-rt sample /tmp/plan --weights /tmp/w.st --count 2 --device ref -o /tmp/grid.png
expect 2 inside /ect/bin/ect-rt sample /tmp/plan --weights /tmp/w.st --count 2 --device cpu -o /tmp/grid.png
says 'no C compiler'
[ -s root/tmp/grid.png ] || fail "no picture"
for c in sh date mktemp mkdir rm cat head tail cut grep sed awk basename dirname uname getconf; do
    path=$(readlink -f "$(command -v $c)")
    cp "$path" "root/bin/$c"
    for l in $(ldd "$path" | awk '$2 == "=>" { print $3 }'); do cp -Ln "$l" root/tools/ 2>/dev/null || :; done
done
expect 2 inside /bin/sh -c 'PATH=/bin LD_LIBRARY_PATH=/tools exec sh /ect/run-gpu /tmp/results'
says 'no GPU that works here'
grep -q '^device  *skip  *gpu' root/tmp/results/results.txt || fail "no row about the GPU"
