#!/bin/sh
# run-gpu on the mock driver and a tiny plan: it goes through its sections; a kernel that faults, is refused or never ends is named and the run goes
# on; results are whole after a kill; without a GPU it says so.
. "$SRC/tests/e2e/lib"
tiny_model
mock_cuda
mkdir -p a/bin a/plans a/cases a/bench
for p in ectc ect-rt tests-tools/gpu tests-tools/oracle; do ln -s "$BUILD/$p" a/bin/; done
cp "$SRC/tools/dist/run-gpu" a/
cp "$SRC"/bench/*.py a/bench/
ln -s "$SRC/models" a/models
for p in ddpmpp-bf16 ddpmpp-f32 small; do ln -s "$work/plan" a/plans/$p; done
"$BUILD/tests-tools/cuda_plan" --only-kernels plan "$work/a/plans/ddpmpp-f32.so"
# A python3 that has torch: it prints what the scripts print.
cat >fake-python <<'END'
#!/bin/sh
case $* in
*peer_torch*' train '*compile*) echo 'Traceback: no compiler' >&2; exit 1 ;;
*peer_torch*) echo '{"peer": "pytorch 2.11", "times_s": [1.0, 0.08], "best_s": 0.08, "images_per_s": 1600.0, "peak_bytes": 9000000000, "cold_start_s": 4.2}' ;;
*torch_convs*) echo '{"shape": "32x32 256->256 3x3", "forward_us": 250.1, "data_us": 260.0, "weights_us": 300.5, "tflops": 618.0}' ;;
esac
END
chmod +x fake-python

# whole: every line of both files is there to its end, and the rows are JSON.
whole() {
    for f in results.txt results.jsonl; do
        [ -s "res/$f" ] || fail "$f is empty"
        [ -z "$(tail -c 1 "res/$f")" ] || fail "$f ends in the middle of a line"
    done
    while read -r line; do
        echo "$line" >line.json
        "$BUILD/tests-tools/json" line.json verdict >/dev/null || fail "no JSON: $line"
    done <res/results.jsonl
    [ "$(ls res | wc -l)" -le 6 ] || fail "more than six files: $(ls res)"
}
run_gpu() { # run_gpu STATUS OPTION...
    want=$1
    shift
    rm -rf res
    expect "$want" a/run-gpu res --res 8 --steps 2 "$@"
    whole
}
has() { grep -Eq "$1" res/results.txt || { cat res/results.txt >&2; fail "no row '$1'"; }; }

export PYTHON="$work/fake-python"
run_gpu 1 --only device,kernels,cases,ways,step,torch,compile,sample,wgmma,start
has '^torch +info +eager bf16 +80.000 ms, 1600.0 images/s, peak 9.00 GB, first after 4.2 s'
has '^torch +info +cudnn 32x32 256->256 3x3 +forward 250.1 us, data 260.0 us, weights 300.5 us, 618.0 TFLOP/s'
has '^compile +FAIL +compile bf16 +status 1: Traceback: no compiler'
has '^sample +info +PyTorch 2 steps +80.000 ms'
has '^device +info +Mock GPU'
has '^device +info +copy'
has '^kern f32 +ok +conv_.* elements against its C kernel'
has '^kern f32 +ok +train_step.micro'
has '^kern bf16 +ok +train_step.update'
has '^cases +ok +two runs'
has '^cases +ok +stopped and resumed'
has '^ways +ok +images on the device'
has '^ways +skip +products'
has '^step +info +bf16 +[0-9.]* ms an update .median., .* at batch 8'
has '^step f32 +info +contract'
has '^sample +info +2 steps'
has '^wgmma +skip'
has '^start +info +warm'
has '^run +FAIL +end +1 rows fail'
for f in samples.png profile-bf16.json log.txt; do [ -s "res/$f" ] || fail "no $f"; done
kernels=$(grep -c '^kern f32  *ok .*its C kernel' res/results.txt)

export PYTHON=false
run_gpu 0 --only device,kernels,torch
has '^torch +skip +torch|^torch +info +eager'
has '^run +ok +end +0 rows fail'
name=$(sed -n 's/^kern f32  *ok  *\(wgrad_[0-9a-f]*\) .*/\1/p' res/results.txt | head -n 1)
for fault in launch fault hang; do
    export ECT_MOCK_FAIL=$fault:$name RUN_GPU_KERNEL_LIMIT=1
    run_gpu 1 --only kernels
    unset ECT_MOCK_FAIL
    has "^kern f32 +FAIL +$name +running it: "
    [ "$fault" != hang ] || has "$name .* did not end within 1 s"
    [ "$(grep -c '^kern f32  *ok .*its C kernel' res/results.txt)" = $((kernels - 1)) ] || fail "$fault: others are not compared"
    has '^run +FAIL +end +'
done

# A kernel that is wrong: the reference is another text; and without a reference, when the driver runs the other text, by the samples in f64 alone.
cp -r plan other
for name in $(sed -n 's/^kern f32  *ok  *\(conv_[0-9a-f]*\) .*/\1/p' res/results.txt); do
    ! grep -q 'CO + o\] + w' "plan/kernels/$name.c" || break
done
sed 's/CO + o\] + w/CO + o] - w/' "plan/kernels/$name.c" >"other/kernels/$name.c"
rm a/plans/ddpmpp-f32.so
"$BUILD/tests-tools/cuda_plan" --only-kernels other "$work/a/plans/ddpmpp-f32.so"
run_gpu 1 --only kernels
has "^kern f32 +FAIL +$name .*THE C KERNEL IS WRONG"
has "^kern f32 +ok +conv_.* in f64 "
"$BUILD/tests-tools/cuda_plan" other "$work/other.so"
right=$ECT_MOCK_KERNELS
export ECT_MOCK_KERNELS="$work/other.so"
run_gpu 1 --only kernels
has "^kern bf16 +FAIL +$name .*poison only.* in f64 .*WRONG"
export ECT_MOCK_KERNELS="$right"

# Time is over; killed; no GPU.
RUN_GPU_KERNEL_LIMIT=30 ECT_MOCK_FAIL=hang:$name run_gpu 0 --seconds 4 --only kernels,cases
has "^kern bf16 +cut +$name +time is over at step"
has '^cases +cut +(all +not reached|bits +time is over)'
rm -rf res
ECT_MOCK_FAIL=hang:$name a/run-gpu res --res 8 --only kernels >/dev/null 2>&1 &
pid=$!
sleep 1
kill -9 $pid
sleep 0.3
whole
ECT_MOCK_FAIL=nodevice run_gpu 2
has '^device +skip +gpu +.*no NVIDIA GPU is visible'
has '^run +skip +end +no GPU that works here'
expect 1 a/run-gpu
says 'usage: run-gpu'
