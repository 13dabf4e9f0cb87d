#!/bin/sh
# A GPU that fails: the message says what, where and how to mend it, the status is 2, checkpoints that were saved stay good.
. "$SRC/tests/e2e/lib"
tiny_model
mock_cuda
train --device cuda --out good --steps 8 --set lr=2e-3 >/dev/null 2>&1
failing() {                                          # WHAT:N TEXT...
    what=$1
    shift
    rm -rf run
    ECT_MOCK_FAIL=$what expect 2 "$ECTRT" train plan --data shapes:8:256 --sample-every 0 --checkpoint-every 3 --steps 8 --set lr=2e-3 --device cuda --out run
    for text in "$@"; do says "$text"; done
}
failing nodevice 'device cuda does not work here' 'no NVIDIA GPU is visible' 'nvidia-smi'
failing version '11.4' 'CUDA 12.0'
failing start 'reboot or reinstall the NVIDIA driver'
failing alloc:11 'not enough memory on the GPU (Mock GPU)' 'MB wanted for weights' 'its peak is' '--mem' 'batch=N'
failing launch:5 'CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES' 'in train_step.micro, update 1' 'kernel '
failing fault:208 'CUDA_ERROR_ILLEGAL_ADDRESS' 'update 8' 'ECT_CUDA_CHECK=1' '--resume'
[ -f run/ckpt-000006.safetensors ] || fail "the checkpoint of step 6 is gone"
expect 0 train --device cuda --out run --steps 8 --resume
says 'resumed from run/ckpt-000006'
same good/ckpt-000008.safetensors run/ckpt-000008.safetensors
failing lost:120 'CUDA_ERROR_ECC_UNCORRECTABLE' 'the GPU is lost'
export ECT_CUDA_CHECK=1
failing fault:104 'in train_step.micro, update 4' 'kernel ' '.cu) of ' 'std/nn.dsl:' 'please report it'
unset ECT_CUDA_CHECK
ECT_MOCK_MEMORY=30000 expect 2 train --device cuda --out small --steps 1
says 'free on the GPU'
# A plan without CUDA texts, and no driver at all.
"$ECTC" tiny.dsl -o bare >/dev/null 2>&1
expect 1 "$ECTRT" train bare --data shapes:8:64 --device cuda --steps 1 --out bare.run
says 'has no CUDA kernels; compile it with `ectc tiny.dsl -o PLAN --target cpu,cuda`'
export ECT_CUDA_PATH="$work"
if "$ECTRT" devices | grep -q '^cuda  *no'; then           # no other driver either
    expect 2 train --device cuda --out none --steps 1
    says 'device cuda does not work here'
fi
