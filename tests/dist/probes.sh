#!/bin/sh
# The texts of tests/gpu compile for the processors they are for, where there is an NVRTC.
"$BUILD/tests-tools/gpu" ceilings --compile-only sm_80 || { "$ECTRT" devices | grep -q 'NVRTC *no' && { echo "no NVRTC"; exit 77; }; exit 1; }
"$BUILD/tests-tools/gpu" ceilings --compile-only sm_90a && "$BUILD/tests-tools/gpu" wgmma --compile-only sm_90a
