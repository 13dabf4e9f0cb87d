// What kernels compiled for exact mode call that is no part of their text: the matrix product, the record of loads and stores.
// Compiled with the kernels into one library; ect_record, ect_says are set by the tool.
#include "prelude.h"

extern "C" {
ExactRecord ect_record;
int ect_says;

void ect_mark(const void *at, unsigned bytes, int how)
{
    const ect_u64 from = (ect_u64)((const char *)at - ect_record.base) / EXACT_UNIT;
    if ((const char *)at < ect_record.base || from >= ect_record.units) return;
    for (unsigned i = 0; i < bytes / EXACT_UNIT; i++) ect_record.marks[how][from + i] = 1;
}

/* cblas_sgemm, row-major: c = alpha * op(a) * op(b) + beta * c; c is not read where beta is 0. */
void ect_product(int, int ta, int tb, int m, int n, int k, EctNumber alpha, const EctNumber *a, int lda, const EctNumber *b,
                 int ldb, EctNumber beta, EctNumber *c, int ldc)
{
    const ect_i64 ai = ta == 111 ? lda : 1, al = ta == 111 ? 1 : lda, bl = tb == 111 ? ldb : 1, bj = tb == 111 ? 1 : ldb;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            FpWide sum = 0;
            for (int l = 0; l < k; l++) {
                sum += (FpWide)a[i * ai + l * al].get() * b[l * bl + j * bj].get();
                if (l % 32 == 31) sum = fp_reduce(sum);
            }
            EctNumber *to = &c[(ect_i64)i * ldc + j], product = alpha * ect_number(fp_reduce(sum));
            if (beta.v) *to = product + beta * *to;
            else *to = product;
        }
}
}
