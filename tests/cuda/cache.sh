#!/bin/sh
# The cache of CUDA kernels with a fake NVRTC: what makes a miss and what does not, why, layers, packing, --require-cached, silent logs.
. "$SRC/tests/cuda/lib"
tiny_model
with_cuda plan 12
fake_nvrtc a 13 0
fake_nvrtc b 12 9
fake_nvrtc early 12 4
export ECT_CACHE="$work/cache" ECT_CUDA_PATH="$work/a"
load 2 plan sm_90a --require-cached
says '12 kernels of plan are neither packed nor in the cache for sm_90a'
says "$(sed -n 5p names)"
[ -z "$(ls cache 2>/dev/null)" ] || fail "something was written"
load 0 plan sm_90a --times 2
compiles 0
[ "$(sed -n 's/^compiled //p' out.txt | head -n 1)" = 12 ] || fail "the first time compiles"
load 0 plan sm_90a --require-cached
bits >first
for arch in sm_90 sm_80; do load 0 plan $arch; compiles 12; done

# Comments and blanks are none of the key; a word, the prelude, an option, the version, the build are.
name=$(sed -n 1p names)
sed -i 's/^ \* .*//; s/    const/      const/; s|^/\* Kernel|/* The kernel|' "plan/kernels/$name.cu"
load 0 plan sm_90a
compiles 0
expect 0 "$ECTRT" cache why plan
says '0 missing for sm_90a'
cp "plan/kernels/$name.cu" kept
sed -i 's/blockIdx.x \* 256/blockIdx.x * 255/' "plan/kernels/$name.cu"
expect 0 "$ECTRT" cache why plan "$name"
says "$name: miss; the nearest entry is kernel $name"
says 'blockIdx.x * 256 + threadIdx.x;  -> ect_u32 i = blockIdx.x * 255 + threadIdx.x;'
load 0 plan sm_90a
compiles 1
mv kept "plan/kernels/$name.cu"
expect 0 "$ECTRT" cache why plan "$name" --arch sm_120
says 'option changed: --gpu-architecture=sm_'
says ' -> --gpu-architecture=sm_120'
export ECT_CUDA_PATH="$work/b"
expect 0 "$ECTRT" cache why plan "$name"
says 'compiler changed: NVRTC 13.0, build-id'
says ' -> NVRTC 12.9, build-id'
expect 0 "$ECTRT" cache why plan "$name" --json
says '"state": "miss"'
load 0 plan sm_90a
compiles 12
${CC:-cc} -shared -fPIC -w -Wl,--build-id=0x0123456789abcdef -DMAJOR=13 -DMINOR=0 -o other.so "$SRC/tests/cuda/fake_nvrtc.c"
mkdir -p c/lib && mv other.so c/lib/libnvrtc.so.13
export ECT_CUDA_PATH="$work/c"
expect 0 "$ECTRT" cache why plan "$name"
says '-> NVRTC 13.0, build-id 0123456789abcdef'
load 0 plan sm_90a
compiles 12
export ECT_CUDA_PATH="$work/early"                    # no --no-cache there; nothing else changes
load 0 plan sm_90a
compiles 12
echo '#define SOMETHING 1' >>plan/kernels/prelude.cuh
export ECT_CUDA_PATH="$work/a"
expect 0 "$ECTRT" cache why plan "$name"
says 'prelude line'
says 'end -> #define SOMETHING 1'
sed -i '$d' plan/kernels/prelude.cuh
expect 1 "$ECTRT" cache why plan no_such_kernel
says 'no_such_kernel'

# A folder that is only read: hits come from there, nothing is written to it.
cp -r cache shared
find shared -type f | LC_ALL=C sort | xargs cksum >before
export ECT_CACHE="$work/own:$work/shared:$work/nowhere"
load 0 plan sm_90a
compiles 0
bits >second
same first second
load 0 plan sm_103
compiles 12
[ "$(find own -name '*.o' | wc -l)" = 12 ] || fail "$(find own -name '*.o' | wc -l) entries in the own folder"
find shared -type f | LC_ALL=C sort | xargs cksum >after
same before after
expect 0 "$ECTRT" cache ls
says '(read only)'
expect 0 "$ECTRT" cache ls --json
says '"layer": 1'
expect 0 "$ECTRT" cache prune 0
[ -n "$(find shared -name '*.o')" ] || fail "a folder that is only read was pruned"
export ECT_CACHE="$work/cache"

# Packed: no NVRTC, no cache. A text that changed is not served by the old object.
expect 0 "$ECTRT" cache pack plan --arch sm_90a
says 'packed 12 kernels for sm_90a'
export ECT_CACHE=off ECT_CUDA_PATH=/nowhere
load 0 plan sm_90a --require-cached
bits >third
same first third
cp -r plan moved
load 0 moved sm_90a --require-cached
sed -i 's/blockIdx.x \* 256/blockIdx.x * 254/' "moved/kernels/$name.cu"
load 2 moved sm_90a --require-cached
says '1 kernels of moved'
load 2 moved sm_90a
says 'no NVRTC in ECT_CUDA_PATH=/nowhere'
expect 0 "$ECTRT" cache why moved "$name"
says '(packed)'
for f in "$work/plan/cubins/$(sed -n 2p names)".*; do head -c 300 "$f" >short; cp short "$f"; done
load 2 plan sm_90a --require-cached
says 'is damaged'
export ECT_CACHE="$work/cache" ECT_CUDA_PATH="$work/a"
load 0 plan sm_90a
compiles 0

# What the compiler says: a report that is missing is asked for again; spills and warnings fail the check, not the run.
k=$(sed -n 3p names)
cp "plan/kernels/$k.cu" kept
for word in SILENT SPILL WARN; do
    sed "\$a #define FAKE_$word" kept >"plan/kernels/$k.cu"
    case $word in SILENT) want=0 ;; *) want=1 ;; esac
    expect $want "$ECTRT" cubins plan
    load 0 plan sm_90a
done
expect 1 "$ECTRT" cubins plan
says 'FAKE_WARN'
sed "\$a #define FAKE_FAIL" kept >"plan/kernels/$k.cu"
load 2 plan sm_90a
says "1 of 1 CUDA kernels do not compile for sm_90a; the first is plan/kernels/$k.cu"
