#!/bin/sh
# Values, layouts and symbols in cuda_driver.h are those of CUDA's own header, where there is one.
. "$SRC/tests/e2e/lib"
header=
for d in "${CUDA_HOME:-/usr/local/cuda}/include" /usr/include; do [ -f "$d/cuda.h" ] && header=$d && break; done
[ "$header" ] || { echo "no cuda.h here"; exit 77; }
# The project's types are the header's: only its own names are taken over, each under a prefix.
sed -n '/^enum {/,/^};/p' "$SRC/runtime/cuda_driver.h" | sed 's/CU_/OWN_/g' >own.h
awk '/^typedef struct \{$/ { take = 1 } take; /^} CudaLaunchConfig/ { exit }' "$SRC/runtime/cuda_driver.h" >>own.h
{
    echo '#include <stddef.h>'
    echo '#include <cuda.h>'
    echo '#include "own.h"'
    echo '#define SAME(own, real) _Static_assert((int)(own) == (int)(real), #own);'
    while read -r own real; do echo "SAME(OWN_$own, $real)"; done <<'LIST'
OK CUDA_SUCCESS
INVALID_VALUE CUDA_ERROR_INVALID_VALUE
OUT_OF_MEMORY CUDA_ERROR_OUT_OF_MEMORY
NOT_INITIALIZED CUDA_ERROR_NOT_INITIALIZED
DEINITIALIZED CUDA_ERROR_DEINITIALIZED
STUB_LIBRARY CUDA_ERROR_STUB_LIBRARY
NEWER_DRIVER CUDA_ERROR_CALL_REQUIRES_NEWER_DRIVER
DEVICE_UNAVAILABLE CUDA_ERROR_DEVICE_UNAVAILABLE
NO_DEVICE CUDA_ERROR_NO_DEVICE
INVALID_DEVICE CUDA_ERROR_INVALID_DEVICE
INVALID_IMAGE CUDA_ERROR_INVALID_IMAGE
INVALID_CONTEXT CUDA_ERROR_INVALID_CONTEXT
NO_BINARY_FOR_GPU CUDA_ERROR_NO_BINARY_FOR_GPU
ECC_UNCORRECTABLE CUDA_ERROR_ECC_UNCORRECTABLE
INVALID_PTX CUDA_ERROR_INVALID_PTX
NVLINK_UNCORRECTABLE CUDA_ERROR_NVLINK_UNCORRECTABLE
UNSUPPORTED_PTX_VERSION CUDA_ERROR_UNSUPPORTED_PTX_VERSION
INVALID_HANDLE CUDA_ERROR_INVALID_HANDLE
NOT_FOUND CUDA_ERROR_NOT_FOUND
NOT_READY CUDA_ERROR_NOT_READY
ILLEGAL_ADDRESS CUDA_ERROR_ILLEGAL_ADDRESS
OUT_OF_RESOURCES CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
LAUNCH_TIMEOUT CUDA_ERROR_LAUNCH_TIMEOUT
CONTEXT_IS_DESTROYED CUDA_ERROR_CONTEXT_IS_DESTROYED
ASSERT CUDA_ERROR_ASSERT
HARDWARE_STACK CUDA_ERROR_HARDWARE_STACK_ERROR
ILLEGAL_INSTRUCTION CUDA_ERROR_ILLEGAL_INSTRUCTION
MISALIGNED_ADDRESS CUDA_ERROR_MISALIGNED_ADDRESS
INVALID_ADDRESS_SPACE CUDA_ERROR_INVALID_ADDRESS_SPACE
INVALID_PC CUDA_ERROR_INVALID_PC
LAUNCH_FAILED CUDA_ERROR_LAUNCH_FAILED
SYSTEM_NOT_READY CUDA_ERROR_SYSTEM_NOT_READY
SYSTEM_DRIVER_MISMATCH CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
CAPTURE_INVALIDATED CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
UNKNOWN CUDA_ERROR_UNKNOWN
ATTRIBUTE_PROCESSORS CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
ATTRIBUTE_MAJOR CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
ATTRIBUTE_MINOR CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR
ATTRIBUTE_SHARED_OPTIN CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
FUNCTION_DYNAMIC_SHARED CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
STREAM_NONBLOCKING CU_STREAM_NON_BLOCKING
EVENT_PLAIN CU_EVENT_DEFAULT
EVENT_NO_TIMING CU_EVENT_DISABLE_TIMING
CAPTURE_THREAD_LOCAL CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
LIST
    for f in grid_x:gridDimX grid_y:gridDimY grid_z:gridDimZ block_x:blockDimX block_y:blockDimY block_z:blockDimZ shared:sharedMemBytes \
        stream:hStream attributes:attrs n_attributes:numAttrs; do
        echo "SAME(offsetof(CudaLaunchConfig, ${f%:*}), offsetof(CUlaunchConfig, ${f#*:}))"
    done
    echo 'SAME(sizeof(CudaLaunchConfig), sizeof(CUlaunchConfig))'
    # Parameters, but for those that are enums there and int here; and every symbol exists, under this name or without the version.
    echo 'typedef CUlaunchConfig CudaLaunchConfig_;'
    echo '#define CudaLaunchConfig CudaLaunchConfig_'
    sed -n '/^#define CUDA_CALLS/,/cuGraphExecDestroy/p' "$SRC/runtime/cuda_driver.h"
    echo '#define FIELD(f, s, p) CUresult (*f) p;'
    echo 'struct { CUDA_CALLS(FIELD) } own;'
    echo 'void set(void) {'
    sed -n 's/^    X(\([a-z_0-9]*\), "\([A-Za-z_0-9]*\)".*$/\1 \2/p' "$SRC/runtime/cuda_driver.h" | while read -r field symbol; do
        case $field in
        device_attribute | library_load | kernel_attribute | capture_begin) continue ;;
        event_elapsed) ;;
        *) symbol=${symbol%_v2} ;;
        esac
        echo "own.$field = $symbol;"
    done
    echo '}'
    sed -n 's/^    X(\([a-z_0-9]*\), "\([A-Za-z_0-9]*\)", *\(.*\)$/\2/p' "$SRC/runtime/cuda_driver.h" | while read -r symbol; do
        base=${symbol%_v2}
        echo "static const void *use_$symbol(void) { return (const void *)$base; }"
    done
} >check.c
cc -std=gnu11 -Wall -Werror=incompatible-pointer-types -Wno-unused-function -I. -I"$header" -fsyntax-only check.c || fail "cuda_driver.h differs from $header/cuda.h"
