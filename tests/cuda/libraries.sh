#!/bin/sh
# Where the driver, NVRTC and cuBLASLt are looked for, versions that are too old, and what is said when there is none.
. "$SRC/tests/cuda/lib"
unset ECT_CUDA_PATH LD_LIBRARY_PATH || true
devices() { expect 0 env "$@" "$ECTRT" devices; }
line() { grep -q "^  $1  *$2  *$3" out.txt || { cat out.txt; fail "no line $1 $2 $3"; }; }

# What is named is not replaced by what is found elsewhere.
devices ECT_CUDA_PATH=/nowhere
line NVRTC no 'no NVRTC in ECT_CUDA_PATH=/nowhere'
line cuBLASLt no 'no cuBLASLt in ECT_CUDA_PATH=/nowhere'
says 'libnvrtc.so.13'

# A toolkit's root, a folder of libraries, versions.
fake_nvrtc new 13 0
fake_nvrtc older 12 4
fake_nvrtc old 11 8
mv old/lib64/libnvrtc.so.11 old/lib64/libnvrtc.so.12
devices ECT_CUDA_PATH="$work/new"
line NVRTC yes "NVRTC 13.0, $work/new/lib64/libnvrtc.so.13"
devices ECT_CUDA_PATH="$work/older/lib64"
line NVRTC yes 'NVRTC 12.4, '
devices ECT_CUDA_PATH="$work/old"
line NVRTC no ".*is of CUDA 11.8, and it takes NVRTC 12.0 or later"
fake_library both/lib/libcublasLt.so.12 120103
devices ECT_CUDA_PATH="$work/both"
line cuBLASLt yes 'cuBLASLt 12.1, '
fake_library both/lib/libcublasLt.so.13 130002
devices ECT_CUDA_PATH="$work/both"
line cuBLASLt yes 'cuBLASLt 13.0, '
echo "no library" >both/lib/libnvrtc.so.13
devices ECT_CUDA_PATH="$work/both"
line NVRTC no '.*both/lib/libnvrtc.so.13: '

# The driver is no part of a toolkit: it is found beside ECT_CUDA_PATH, by the loader.
fake_library driver/libcuda.so.1 12040
devices ECT_CUDA_PATH=/nowhere LD_LIBRARY_PATH="$work/driver"
line driver yes 'driver 12.4, '
fake_library driver/libcuda.so.1 11040
devices ECT_CUDA_PATH=/nowhere LD_LIBRARY_PATH="$work/driver"
grep -q 'driver  *no .*is of CUDA 11.4, and it takes a driver for CUDA 12.0' out.txt || grep -q 'driver  *yes' out.txt || fail "an old driver"

# An old one that the loader finds does not hide a good one; python3's packages come last.
if "$ECTRT" devices | grep -q '^  NVRTC  *yes .*/usr/local/cuda'; then
    cp old/lib64/libnvrtc.so.12 old/lib64/libnvrtc.so.13
    devices LD_LIBRARY_PATH="$work/old/lib64"
    line NVRTC yes 'NVRTC 1[23].*/usr/local/cuda'
elif python3 -c '' 2>/dev/null; then
    mkdir -p site/nvidia/cuda_nvrtc
    mv new/lib64 site/nvidia/cuda_nvrtc/lib
    devices PYTHONPATH="$work/site"
    line NVRTC yes "NVRTC 13.0, $work/site"
fi
