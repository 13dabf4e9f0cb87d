# A plan with a CUDA text on the device cuda-emu: the bits of the cpu, draws generated and given; findings, and plans without texts, are errors.
command -v "${CXX:-g++}" >/dev/null 2>&1 || { echo "no C++ compiler (${CXX:-g++})"; exit 77; }
. "$SRC/tests/e2e/lib"
tensor="$BUILD/tests-tools/tensor"

cat >m.dsl <<'DSL'
stream noise
program drawn(x: [n:4, c:500]) -> y = 2 * x + normal like x from noise
DSL
expect 0 "$ECTC" m.dsl -o plan
"$tensor" write x.safetensors x:4,500 -2..2
"$tensor" write given.safetensors x:4,500 -2..2 draw.noise:4,500 3..1
# run DEVICE [INPUTS]: to DEVICE.safetensors
run() { "$ECTRT" run plan drawn --in "${2:-x.safetensors}" --out "$1.safetensors" --seed 3 --device "$1"; }
run cpu >/dev/null
expect 1 run cuda-emu
grep -q -- '--target cpu,cuda' err.txt || fail "no advice for a plan without CUDA texts"

kernel=$(basename plan/kernels/map_*.c .c)
sed -i "s|\"file\": \"kernels/$kernel.c\"|&, \"cuda\": {\"file\": \"kernels/$kernel.cu\", \"instances\": 1, \"workspace\": 64, \
\"launches\": [{\"entry\": \"$kernel\", \"grid\": [3, 1], \"block\": 128, \"shared\": 0}]}|" plan/plan.json
(cd "$SRC" && sh tools/cuda_prelude.sh) >plan/kernels/prelude.cuh
cat >"plan/kernels/$kernel.cu" <<CU
struct ${kernel}_args { const EctNow *now; void *workspace; ect_u64 key[1]; const float *draw[1]; void *buf[2]; };
extern "C" __global__ void __launch_bounds__(128) $kernel(const __grid_constant__ ${kernel}_args args)
{
    const float *x = (const float *)args.buf[0];
    float *y = (float *)args.buf[1];
    const ect_u64 key0 = args.key[0], step = args.now->step, first0 = args.now->sample0;
    const float *draw0 = args.draw[0];
    (void)key0, (void)step, (void)first0, (void)draw0;
    for (int i = (int)(blockIdx.x * 128 + threadIdx.x); i < 2000; i += 384) y[i] = 2.0f * x[i] + ECT_NORMAL(0, i / 500, i % 500, 500);
}
CU
run cuda-emu >/dev/null
cmp cpu.safetensors cuda-emu.safetensors || fail "cuda-emu and cpu differ"
ECT_EMU_CHECK=off run cuda-emu >/dev/null
cmp cpu.safetensors cuda-emu.safetensors || fail "cuda-emu and cpu differ without checks"

run cpu given.safetensors >/dev/null
run cuda-emu given.safetensors >/dev/null
cmp cpu.safetensors cuda-emu.safetensors || fail "cuda-emu and cpu differ on given draws"

sed -i 's/i < 2000/i < 2001/' "plan/kernels/$kernel.cu"
expect 2 run cuda-emu
grep -q "kernels/$kernel.cu:9: kernel $kernel, block (0,0,0), thread 80 .* outside of every buffer" err.txt || { cat err.txt; fail "the fault was not found"; }
ECT_EMU_CHECK=maybe
export ECT_EMU_CHECK
expect 1 run cuda-emu
"$ECTRT" devices | grep -q '^cuda-emu  *yes' || fail "devices"
