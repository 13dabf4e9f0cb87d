/* Kernels that are a plain matrix product, as a library of products wants them: what plan.json says of them (docs/gemm.md). */
#ifndef ECT_PRODUCT_H
#define ECT_PRODUCT_H
#include "compiler/kernel.h"

/* A matrix in a kernel's buffer, column by column: element (row, column) of batch element i is at offset + i*stride + row + column*ld. */
typedef struct {
    int slot;                                        /* kernel buffer */
    int64_t offset, ld, stride;
    bool transposed;                                 /* kept as its transpose: row and column change places in the formula above */
    Number round;                                    /* its f32 elements are rounded to this first; NUM_F32: they are taken as they are */
} ProductMatrix;

/* d = alpha * a b + bias: d is m x n, a m x k, b k x n, in elements; the bias is one number a row. */
typedef struct {
    int64_t m, n, k, batch;
    double alpha;
    Number number;                                   /* of a's and b's elements */
    ProductMatrix a, b, d;
    int bias;                                        /* kernel buffer, or -1 */
    int64_t bias_offset;
} Product;

/* NULL, and *p, when the kernel is one product of operands that it reads as they are, stored as it is or with a bias; else why not (static text).
   A kernel of KERNEL_CONTRACT only. */
const char *kernel_product(const Lowered *l, const Kernel *k, Product *p);
void json_product(StrBuf *j, const Lowered *l, const Kernel *k);      /* `, "product": {...}`, or nothing where the kernel is none */
#endif
