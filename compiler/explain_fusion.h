/* `ectc explain MODEL --fusion NAME`. Assumes a backend whose kernels are ordered and printed. */
#ifndef ECT_EXPLAIN_FUSION_H
#define ECT_EXPLAIN_FUSION_H
#include "compiler/kernel.h"

/* Prints to out the kernels of a program that compute what `name` says, and why the tensors between them are in memory. name: an instance path, some
   of its parts in a row, or FILE:LINE. program NULL: train_step, or the first. Ends with a user error when either is unknown. */
void explain_fusion(const Backend *b, const char *program, const char *name, FILE *out);
#endif
