/* cuBLASLt's functions, found at run time (cuda_libs.c): no header of it is needed to build. Values and layouts are those of cublasLt.h of CUDA 12
   and 13; tests/e2e/cublaslt_header.sh compares where there is one.
   Assumes one thread calls. */
#ifndef ECT_CUBLASLT_H
#define ECT_CUBLASLT_H
#include "runtime/cuda_driver.h"

typedef int LtStatus;
typedef struct LtHandle_st *LtHandle;
typedef struct LtDesc_st *LtDesc;
typedef struct LtLayout_st *LtLayout;
typedef struct LtPreference_st *LtPreference;
typedef struct { uint64_t data[8]; } LtAlgo;         /* may be kept in a file, for the same version of the library */
typedef struct {
    LtAlgo algo;
    size_t workspace;
    LtStatus state;
    float waves;
    int reserved[4];
} LtResult;                                          /* cublasLtMatmulHeuristicResult_t */

enum {
    LT_OK = 0, LT_NOT_SUPPORTED = 15,
    LT_R_32F = 0, LT_R_16F = 2, LT_R_16BF = 14,      /* cudaDataType */
    LT_COMPUTE_32F = 68, LT_COMPUTE_32F_TF32 = 77,
    LT_OP_N = 0, LT_OP_T = 1,
    LT_DESC_TRANSA = 3, LT_DESC_TRANSB = 4, LT_DESC_EPILOGUE = 7, LT_DESC_BIAS_POINTER = 8, LT_DESC_BIAS_TYPE = 26,
    LT_EPILOGUE_DEFAULT = 1, LT_EPILOGUE_BIAS = 4,
    LT_LAYOUT_BATCH_COUNT = 5, LT_LAYOUT_BATCH_OFFSET = 6,
    LT_PREFER_WORKSPACE = 1, LT_PREFER_REDUCTIONS = 3, LT_PREFER_ALIGNMENT_A = 5, LT_PREFER_ALIGNMENT_B = 6, LT_PREFER_ALIGNMENT_C = 7,
    LT_PREFER_ALIGNMENT_D = 8,
    LT_REDUCE_INPLACE = 1, LT_REDUCE_COMPUTE_TYPE = 2,       /* partial sums: added up in place by atomics; kept in f32 and added in order */
    LT_ALGO_REDUCTION = 3,
};

/* field, symbol, result, parameters */
#define LT_CALLS(X) \
    X(version, "cublasLtGetVersion", size_t, (void)) \
    X(status_name, "cublasLtGetStatusName", const char *, (LtStatus s)) \
    X(create, "cublasLtCreate", LtStatus, (LtHandle *h)) \
    X(destroy, "cublasLtDestroy", LtStatus, (LtHandle h)) \
    X(desc_create, "cublasLtMatmulDescCreate", LtStatus, (LtDesc *d, int compute, int scale)) \
    X(desc_destroy, "cublasLtMatmulDescDestroy", LtStatus, (LtDesc d)) \
    X(desc_set, "cublasLtMatmulDescSetAttribute", LtStatus, (LtDesc d, int attribute, const void *v, size_t n)) \
    X(layout_create, "cublasLtMatrixLayoutCreate", LtStatus, (LtLayout *y, int type, uint64_t rows, uint64_t columns, int64_t ld)) \
    X(layout_destroy, "cublasLtMatrixLayoutDestroy", LtStatus, (LtLayout y)) \
    X(layout_set, "cublasLtMatrixLayoutSetAttribute", LtStatus, (LtLayout y, int attribute, const void *v, size_t n)) \
    X(preference_create, "cublasLtMatmulPreferenceCreate", LtStatus, (LtPreference *p)) \
    X(preference_destroy, "cublasLtMatmulPreferenceDestroy", LtStatus, (LtPreference p)) \
    X(preference_set, "cublasLtMatmulPreferenceSetAttribute", LtStatus, (LtPreference p, int attribute, const void *v, size_t n)) \
    X(heuristic, "cublasLtMatmulAlgoGetHeuristic", LtStatus, (LtHandle h, LtDesc d, LtLayout a, LtLayout b, LtLayout c, LtLayout to, LtPreference p, \
        int wanted, LtResult *result, int *found)) \
    X(algo_check, "cublasLtMatmulAlgoCheck", LtStatus, (LtHandle h, LtDesc d, LtLayout a, LtLayout b, LtLayout c, LtLayout to, const LtAlgo *algo, \
        LtResult *result)) \
    X(algo_get, "cublasLtMatmulAlgoConfigGetAttribute", LtStatus, (const LtAlgo *algo, int attribute, void *v, size_t n, size_t *written)) \
    X(matmul, "cublasLtMatmul", LtStatus, (LtHandle h, LtDesc d, const void *alpha, CUdeviceptr a, LtLayout ya, CUdeviceptr b, LtLayout yb, \
        const void *beta, CUdeviceptr c, LtLayout yc, CUdeviceptr to, LtLayout yto, const LtAlgo *algo, CUdeviceptr workspace, size_t n, CUstream s))

#define LT_FIELD(field, symbol, result, parameters) result (*field) parameters;
typedef struct { LT_CALLS(LT_FIELD) } CublasLt;
#undef LT_FIELD

/* The library's functions; NULL and *why (heap) where there is none or it lacks one. It is looked for once a process. */
const CublasLt *cublaslt(char **why);
#endif
