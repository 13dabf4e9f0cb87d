/* A cuBLASLt beside the mock driver: each product is a loop in order of k, from the descriptors it is given, when its stream gets there. Operands, results
   and workspace are checked to be the device's. It "has" ALGORITHMS algorithms for a product whose alignments are at least 16 bytes, one otherwise; the
   first of them asks for atomics, which nobody may take.

   ECT_MOCK_LT_VERSION=N    130001 unless given
   ECT_MOCK_LT_LOG=FILE     a line for each product computed ("computed") and each question for algorithms ("asked")
   ECT_MOCK_LT_FAIL=1       no algorithm for anything */
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/cublaslt.h"
#include "runtime/kernel_prelude.h"

#define API __attribute__((visibility("default")))
enum { ALGORITHMS = 4, INVALID = 7, MAGIC = 0x4c74 };
struct LtDesc_st { int compute, scale, transposed[2], epilogue, bias_type; CUdeviceptr bias; };
struct LtLayout_st { int type, batch; uint64_t rows, columns; int64_t ld, offset; };
struct LtPreference_st { uint64_t workspace; uint32_t reductions, alignment[4]; };

static CUresult (*mock_call)(CUstream, CUresult (*)(const void *), const void *, size_t);
static CUresult (*mock_inside)(const void *, size_t);

__attribute__((constructor)) static void start(void)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/libcuda.so.1", getenv("ECT_CUDA_PATH") ? getenv("ECT_CUDA_PATH") : ".");
    void *driver = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!driver) return;
    *(void **)&mock_call = dlsym(driver, "mock_call");
    *(void **)&mock_inside = dlsym(driver, "mock_inside");
}

static void note(const char *what, const struct LtLayout_st *d)
{
    const char *path = getenv("ECT_MOCK_LT_LOG");
    FILE *f = path ? fopen(path, "a") : NULL;
    if (!f) return;
    fprintf(f, "%s %llu x %llu, batch %d\n", what, (unsigned long long)d->rows, (unsigned long long)d->columns, d->batch);
    fclose(f);
}

API size_t cublasLtGetVersion(void) { const char *v = getenv("ECT_MOCK_LT_VERSION"); return v ? strtoul(v, NULL, 10) : 130001; }
API const char *cublasLtGetStatusName(LtStatus s) { return s ? "CUBLAS_STATUS_ERROR" : "CUBLAS_STATUS_SUCCESS"; }
API LtStatus cublasLtCreate(LtHandle *h) { *h = calloc(1, 8); return mock_call ? LT_OK : 1; }
API LtStatus cublasLtDestroy(LtHandle h) { free(h); return LT_OK; }
API LtStatus cublasLtMatmulDescCreate(LtDesc *d, int compute, int scale)
{
    *d = calloc(1, sizeof **d);
    **d = (struct LtDesc_st){.compute = compute, .scale = scale, .epilogue = LT_EPILOGUE_DEFAULT};
    return scale == LT_R_32F && (compute == LT_COMPUTE_32F || compute == LT_COMPUTE_32F_TF32) ? LT_OK : INVALID;
}
API LtStatus cublasLtMatmulDescDestroy(LtDesc d) { free(d); return LT_OK; }
API LtStatus cublasLtMatmulDescSetAttribute(LtDesc d, int attribute, const void *v, size_t n)
{
    if (attribute == LT_DESC_TRANSA && n == 4) memcpy(&d->transposed[0], v, n);
    else if (attribute == LT_DESC_TRANSB && n == 4) memcpy(&d->transposed[1], v, n);
    else if (attribute == LT_DESC_EPILOGUE && n == 4) memcpy(&d->epilogue, v, n);
    else if (attribute == LT_DESC_BIAS_TYPE && n == 4) memcpy(&d->bias_type, v, n);
    else if (attribute == LT_DESC_BIAS_POINTER && n == 8) memcpy(&d->bias, v, n);
    else return INVALID;
    return LT_OK;
}
API LtStatus cublasLtMatrixLayoutCreate(LtLayout *y, int type, uint64_t rows, uint64_t columns, int64_t ld)
{
    *y = calloc(1, sizeof **y);
    **y = (struct LtLayout_st){.type = type, .batch = 1, .rows = rows, .columns = columns, .ld = ld};
    return ld >= (int64_t)rows ? LT_OK : INVALID;
}
API LtStatus cublasLtMatrixLayoutDestroy(LtLayout y) { free(y); return LT_OK; }
API LtStatus cublasLtMatrixLayoutSetAttribute(LtLayout y, int attribute, const void *v, size_t n)
{
    if (attribute == LT_LAYOUT_BATCH_COUNT && n == 4) memcpy(&y->batch, v, n);
    else if (attribute == LT_LAYOUT_BATCH_OFFSET && n == 8) memcpy(&y->offset, v, n);
    else return INVALID;
    return LT_OK;
}
API LtStatus cublasLtMatmulPreferenceCreate(LtPreference *p)
{
    *p = calloc(1, sizeof **p);
    **p = (struct LtPreference_st){.reductions = 7, .alignment = {256, 256, 256, 256}};
    return LT_OK;
}
API LtStatus cublasLtMatmulPreferenceDestroy(LtPreference p) { free(p); return LT_OK; }
API LtStatus cublasLtMatmulPreferenceSetAttribute(LtPreference p, int attribute, const void *v, size_t n)
{
    if (attribute == LT_PREFER_WORKSPACE && n == 8) memcpy(&p->workspace, v, n);
    else if (attribute == LT_PREFER_REDUCTIONS && n == 4) memcpy(&p->reductions, v, n);
    else if (attribute >= LT_PREFER_ALIGNMENT_A && attribute <= LT_PREFER_ALIGNMENT_D && n == 4) memcpy(&p->alignment[attribute - LT_PREFER_ALIGNMENT_A], v, n);
    else return INVALID;
    return LT_OK;
}

static uint64_t height(const struct LtLayout_st *y, int t) { return t ? y->columns : y->rows; }
static uint64_t width(const struct LtLayout_st *y, int t) { return t ? y->rows : y->columns; }
static bool fit(LtDesc d, LtLayout a, LtLayout b, LtLayout c, LtLayout to)
{
    bool types = a->type == b->type && c->type == to->type && (to->type == LT_R_32F || to->type == a->type);
    bool bias = d->epilogue == LT_EPILOGUE_DEFAULT || (d->epilogue == LT_EPILOGUE_BIAS && d->bias_type == to->type && d->bias);
    return types && bias && height(a, d->transposed[0]) == to->rows && width(b, d->transposed[1]) == to->columns
        && width(a, d->transposed[0]) == height(b, d->transposed[1]) && a->batch == to->batch && b->batch == to->batch;
}
/* data[0]: which; data[1]: its reduction scheme. */
API LtStatus cublasLtMatmulAlgoGetHeuristic(LtHandle h, LtDesc d, LtLayout a, LtLayout b, LtLayout c, LtLayout to, LtPreference p, int wanted, LtResult *r, int *found)
{
    (void)h;
    *found = 0;
    note("asked", to);
    if (getenv("ECT_MOCK_LT_FAIL")) return LT_NOT_SUPPORTED;
    if (!fit(d, a, b, c, to)) return INVALID;
    bool aligned = p->alignment[0] >= 16 && p->alignment[1] >= 16 && p->alignment[3] >= 16;
    for (int i = 0; i < (aligned ? ALGORITHMS : 1) && i < wanted; i++)
        r[(*found)++] = (LtResult){.algo.data = {(uint64_t)i, i ? LT_REDUCE_COMPUTE_TYPE : aligned ? LT_REDUCE_INPLACE : 0, [7] = MAGIC}, .workspace = (size_t)i << 20};
    return LT_OK;
}
API LtStatus cublasLtMatmulAlgoCheck(LtHandle h, LtDesc d, LtLayout a, LtLayout b, LtLayout c, LtLayout to, const LtAlgo *algo, LtResult *r)
{
    (void)h;
    *r = (LtResult){.algo = *algo, .workspace = (size_t)algo->data[0] << 20};
    return algo->data[7] == MAGIC && fit(d, a, b, c, to) ? LT_OK : LT_NOT_SUPPORTED;
}
API LtStatus cublasLtMatmulAlgoConfigGetAttribute(const LtAlgo *algo, int attribute, void *v, size_t n, size_t *written)
{
    uint32_t scheme = (uint32_t)algo->data[1];
    if (attribute != LT_ALGO_REDUCTION || n != sizeof scheme) return INVALID;
    memcpy(v, &scheme, n);
    *written = n;
    return LT_OK;
}

/* ---- the product ---- */
typedef struct { struct LtDesc_st d; struct LtLayout_st a, b, to; LtAlgo algo; float alpha; const char *pa, *pb; char *pto, *workspace; size_t bytes; } Job;

static float get(const char *p, int type, int64_t i)
{
    if (type == LT_R_16BF) return ect_load_bf16(((const ect_bf16_t *)p)[i]);
    if (type == LT_R_16F) return ect_load_f16(((const ect_f16_t *)p)[i]);
    return ((const float *)p)[i];
}
static void put(char *p, int type, int64_t i, float x)
{
    if (type == LT_R_16BF) ect_store_bf16((ect_bf16_t *)p + i, x);
    else if (type == LT_R_16F) ect_store_f16((ect_f16_t *)p + i, x);
    else ((float *)p)[i] = x;
}
static int64_t place(const struct LtLayout_st *y, int t, int64_t row, int64_t column) { return t ? column + row * y->ld : row + column * y->ld; }
static bool inside(const char *p, const struct LtLayout_st *y)
{
    int64_t n = (y->batch - 1) * y->offset + (int64_t)(y->columns - 1) * y->ld + (int64_t)y->rows;
    return mock_inside(p, (size_t)n * (y->type == LT_R_32F ? 4 : 2)) == CU_OK;
}
static CUresult run(const void *data)
{
    const Job *j = data;
    int64_t K = (int64_t)width(&j->a, j->d.transposed[0]);
    if (!inside(j->pa, &j->a) || !inside(j->pb, &j->b) || !inside(j->pto, &j->to) || mock_inside(j->workspace, j->bytes) != CU_OK) return CU_ILLEGAL_ADDRESS;
    note("computed", &j->to);
    for (int i = 0; i < j->to.batch; i++)
        for (int64_t c = 0; c < (int64_t)j->to.columns; c++)
            for (int64_t r = 0; r < (int64_t)j->to.rows; r++) {
                float sum = 0;
                for (int64_t k = 0; k < K; k++)
                    sum = fmaf(get(j->pa, j->a.type, i * j->a.offset + place(&j->a, j->d.transposed[0], r, k)),
                               get(j->pb, j->b.type, i * j->b.offset + place(&j->b, j->d.transposed[1], k, c)), sum);
                sum *= j->alpha;
                if (j->d.epilogue == LT_EPILOGUE_BIAS) sum += get((const char *)(uintptr_t)j->d.bias, j->to.type, r);
                put(j->pto, j->to.type, i * j->to.offset + place(&j->to, 0, r, c), sum);
            }
    return CU_OK;
}
API LtStatus cublasLtMatmul(LtHandle h, LtDesc d, const void *alpha, CUdeviceptr a, LtLayout ya, CUdeviceptr b, LtLayout yb, const void *beta, CUdeviceptr c, LtLayout yc,
                            CUdeviceptr to, LtLayout yto, const LtAlgo *algo, CUdeviceptr workspace, size_t n, CUstream s)
{
    (void)h, (void)c;
    if (!fit(d, ya, yb, yc, yto) || *(const float *)beta != 0 || algo->data[7] != MAGIC || algo->data[1] == LT_REDUCE_INPLACE || (algo->data[0] << 20) > n) return INVALID;
    Job j = {.d = *d, .a = *ya, .b = *yb, .to = *yto, .algo = *algo, .alpha = *(const float *)alpha, .pa = (const char *)(uintptr_t)a,
             .pb = (const char *)(uintptr_t)b, .pto = (char *)(uintptr_t)to, .workspace = (char *)(uintptr_t)workspace, .bytes = n};
    return mock_call(s, run, &j, sizeof j) == CU_OK ? LT_OK : 14;
}
