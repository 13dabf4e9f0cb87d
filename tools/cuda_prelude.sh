#!/bin/sh
# Prints the prelude of CUDA kernels: runtime/cuda_prelude.cuh with the marked part of runtime/kernel_prelude.h in its place; run from the root.
set -eu
awk 'FNR == 1 { file++ }
    file == 1 && /@end@/ { on = 0 }
    file == 1 && on { text = text $0 "\n" }
    file == 1 && /@begin@/ { on = 1 }
    file == 2 && /@kernel_prelude.h@/ { printf "%s", text; seen = 1; next }
    file == 2
    END { exit !(text && seen) }' runtime/kernel_prelude.h runtime/cuda_prelude.cuh
