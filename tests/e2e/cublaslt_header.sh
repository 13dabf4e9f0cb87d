#!/bin/sh
# Values, layouts and functions in cublaslt.h are those of cuBLASLt's own header, where there is one.
. "$SRC/tests/e2e/lib"
header=
for d in "${CUDA_HOME:-/usr/local/cuda}/include" /usr/local/cuda-*/include /usr/include; do [ -f "$d/cublasLt.h" ] && header=$d && break; done
[ "$header" ] || { echo "no cublasLt.h here"; exit 77; }
sed -n '/^enum {/,/^};/p' "$SRC/runtime/cublaslt.h" | sed 's/LT_/OWN_/g' >own.h
awk '/^typedef struct \{$/ { take = 1 } take; /^} LtResult/ { exit }' "$SRC/runtime/cublaslt.h" | sed 's/LtAlgo algo/cublasLtMatmulAlgo_t algo/; s/LtStatus/cublasStatus_t/' >result.h
{
    echo '#include <stddef.h>'
    echo '#include <cublasLt.h>'
    echo '#include "own.h"'
    echo '#include "result.h"'
    echo '#define SAME(own, real) _Static_assert((int)(own) == (int)(real), #own);'
    while read -r own real; do echo "SAME(OWN_$own, $real)"; done <<'LIST'
OK CUBLAS_STATUS_SUCCESS
NOT_SUPPORTED CUBLAS_STATUS_NOT_SUPPORTED
R_32F CUDA_R_32F
R_16F CUDA_R_16F
R_16BF CUDA_R_16BF
COMPUTE_32F CUBLAS_COMPUTE_32F
COMPUTE_32F_TF32 CUBLAS_COMPUTE_32F_FAST_TF32
OP_N CUBLAS_OP_N
OP_T CUBLAS_OP_T
DESC_TRANSA CUBLASLT_MATMUL_DESC_TRANSA
DESC_TRANSB CUBLASLT_MATMUL_DESC_TRANSB
DESC_EPILOGUE CUBLASLT_MATMUL_DESC_EPILOGUE
DESC_BIAS_POINTER CUBLASLT_MATMUL_DESC_BIAS_POINTER
DESC_BIAS_TYPE CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE
EPILOGUE_DEFAULT CUBLASLT_EPILOGUE_DEFAULT
EPILOGUE_BIAS CUBLASLT_EPILOGUE_BIAS
LAYOUT_BATCH_COUNT CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT
LAYOUT_BATCH_OFFSET CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET
PREFER_WORKSPACE CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
PREFER_REDUCTIONS CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
PREFER_ALIGNMENT_A CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES
PREFER_ALIGNMENT_B CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES
PREFER_ALIGNMENT_C CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES
PREFER_ALIGNMENT_D CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
REDUCE_INPLACE CUBLASLT_REDUCTION_SCHEME_INPLACE
REDUCE_COMPUTE_TYPE CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
ALGO_REDUCTION CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME
LIST
    for f in algo:algo workspace:workspaceSize state:state waves:wavesCount reserved:reserved; do
        echo "SAME(offsetof(LtResult, ${f%:*}), offsetof(cublasLtMatmulHeuristicResult_t, ${f#*:}))"
    done
    echo 'SAME(sizeof(LtResult), sizeof(cublasLtMatmulHeuristicResult_t))'
    echo 'SAME(sizeof(cublasLtMatmulAlgo_t), 8 * sizeof(uint64_t))'
} >check.c
cc -std=gnu11 -Wall -Wno-unused-function -I. -I"$header" -fsyntax-only check.c || fail "cublaslt.h differs from $header/cublasLt.h"
# Every parameter list, with the header's types in place of ours, is that of the header's function.
{
    echo '#include <cublasLt.h>'
    sed -n '/^#define LT_CALLS/,/CUstream s))/p' "$SRC/runtime/cublaslt.h" | sed 's/LtStatus/cublasStatus_t/g; s/LtHandle/cublasLtHandle_t/g; s/LtDesc /cublasLtMatmulDesc_t /g
        s/LtLayout /cublasLtMatrixLayout_t /g; s/LtPreference /cublasLtMatmulPreference_t /g; s/LtAlgo /cublasLtMatmulAlgo_t /g
        s/LtResult /cublasLtMatmulHeuristicResult_t /g; s/CUstream/cudaStream_t/; s/CUdeviceptr to,/void *to,/; s/CUdeviceptr workspace/void *workspace/
        s/CUdeviceptr \([abc]\),/const void *\1,/g; s/int type,/cudaDataType type,/; s/int compute, int scale/cublasComputeType_t compute, cudaDataType scale/
        /desc_set/s/int attribute/cublasLtMatmulDescAttributes_t attribute/; /layout_set/s/int attribute/cublasLtMatrixLayoutAttribute_t attribute/
        /preference_set/s/int attribute/cublasLtMatmulPreferenceAttributes_t attribute/; /algo_get/s/int attribute/cublasLtMatmulAlgoConfigAttributes_t attribute/'
    sed -n 's/^    X(\([a-z_]*\), "\([A-Za-z]*\)".*$/\1 \2/p' "$SRC/runtime/cublaslt.h" | while read -r field symbol; do echo "#define real_$field $symbol"; done
    echo '#define DECLARE(f, symbol, result, parameters) static result (*const own_##f) parameters = real_##f;'
    echo 'LT_CALLS(DECLARE)'
} >types.c
cc -std=gnu11 -Wall -Werror=incompatible-pointer-types -Wno-unused-variable -I"$header" -fsyntax-only types.c || fail "a parameter of cublaslt.h differs from $header/cublasLt.h"
