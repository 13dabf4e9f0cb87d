/* Single-precision matrix product of the generated kernels: OpenBLAS found at run time, or a plain loop.
   Assumes each call runs in one thread; kernels split the work themselves. */
#ifndef ECT_BLAS_H
#define ECT_BLAS_H
#include <stdint.h>

/* Signature and enums of cblas_sgemm: order 101 row-major, 102 column-major; trans 111 no, 112 yes. */
typedef void SgemmFn(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float *a, int lda,
    const float *b,
                     int ldb, float beta, float *c, int ldc);

/* OpenBLAS's cblas_sgemm limited to one thread per call; without the library sgemm_loops, with one warning. Never NULL. */
SgemmFn *blas_sgemm(void);
/* "OpenBLAS 0.3.21 ... " or "built-in loops"; for `ect-rt devices`. Static text. */
const char *blas_name(void);
/* Bytes of its own that each thread's calls come to touch: what operands are packed into. 0 for the plain loops. */
uint64_t blas_workspace(void);
/* The same function as plain loops. */
SgemmFn sgemm_loops;
#endif
