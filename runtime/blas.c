/* Finds OpenBLAS, linked in or with dlopen, and fixes it to one thread per call; has plain loops for machines without it.
   Assumes the C interface of OpenBLAS with 32-bit integers. */
#include "runtime/blas.h"
#include "runtime/base.h"
#include <dlfcn.h>

static const char *const LIBRARIES[] = {"libopenblas.so.0", "libopenblas.so"};
static SgemmFn *found;
static char name[256] = "built-in loops";

/* There in programs that were linked with OpenBLAS (make DIST=1), else 0. */
SgemmFn cblas_sgemm __attribute__((weak));
void openblas_set_num_threads(int n) __attribute__((weak));
char *openblas_get_config(void) __attribute__((weak));

static void linked_in(void)
{
    if (!cblas_sgemm || !openblas_set_num_threads || !openblas_get_config) return;
    openblas_set_num_threads(1);
    snprintf(name, sizeof name, "%s (linked in)", openblas_get_config());
    found = cblas_sgemm;
}

SgemmFn *blas_sgemm(void)
{
    if (found) return found;
    const char *want = getenv("ECT_BLAS");
    if (!(want && !strcmp(want, "off"))) linked_in();
    for (size_t i = 0; i < COUNT(LIBRARIES) && !found && !(want && !strcmp(want, "off")); i++) {
        void *lib = dlopen(LIBRARIES[i], RTLD_NOW | RTLD_LOCAL);
        if (!lib) continue;
        SgemmFn *gemm = (SgemmFn *)dlsym(lib, "cblas_sgemm");
        void (*threads)(int) = (void (*)(int))dlsym(lib, "openblas_set_num_threads");
        char *(*config)(void) = (char *(*)(void))dlsym(lib, "openblas_get_config");
        if (!gemm || !threads) {
            dlclose(lib);
            continue;
        }
        threads(1);
        snprintf(name, sizeof name, "%s (%s)", config ? config() : "OpenBLAS", LIBRARIES[i]);
        found = gemm;
    }
    if (!found) {
        if (!want) warn("OpenBLAS not found, matrix products use slow built-in loops; `apt install libopenblas0` mends that");
        found = sgemm_loops;
    }
    return found;
}

const char *blas_name(void)
{
    blas_sgemm();
    return name;
}

uint64_t blas_workspace(void)
{
    return blas_sgemm() == sgemm_loops ? 0 : 2 << 20;                /* 0.3 to 1 MB for the shapes of convolutions, 2 for large products */
}

void sgemm_loops(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda, const float *b,
                 int ldb, float beta, float *c, int ldc)
{
    if (order == 102) {                              /* column-major: C' = B' A' */
        sgemm_loops(101, trans_b, trans_a, n, m, k, alpha, b, ldb, a, lda, beta, c, ldc);
        return;
    }
    for (int i = 0; i < m; i++) {
        float *row = c + (size_t)i * (size_t)ldc;
        for (int j = 0; j < n; j++) row[j] = beta == 0 ? 0 : beta * row[j];
        for (int p = 0; p < k; p++) {
            float x = alpha * (trans_a == 111 ? a[(size_t)i * (size_t)lda + (size_t)p] : a[(size_t)p * (size_t)lda + (size_t)i]);
            if (trans_b == 111)
                for (int j = 0; j < n; j++) row[j] += x * b[(size_t)p * (size_t)ldb + (size_t)j];
            else
                for (int j = 0; j < n; j++) row[j] += x * b[(size_t)j * (size_t)ldb + (size_t)p];
        }
    }
}
