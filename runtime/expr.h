/* Host expressions of run-time scalars: parsed once, evaluated in double, `if` lazy. Written by ectc into the plan, read by
   ect-rt. Grammar: numbers (decimal or C hex float), names (with dots), + - * / // % ^ (right-associative, binds tighter than
   unary minus), comparisons, && || !, `if c { a } else { b }`, true false, functions floor ceil round sqrt exp log sin cos tanh
   sigmoid abs sign min max. Booleans are 0 and 1. */
#ifndef ECT_EXPR_H
#define ECT_EXPR_H
#include "runtime/base.h"
typedef struct HostExpr HostExpr;
/* NULL and *err (heap, names the column) on bad text. */
HostExpr *expr_parse(const char *text, char **err);
void expr_free(HostExpr *e);
/* Value of a name; return false when unknown (then expr_eval gives NaN and sets *bad to the name). */
typedef bool (*ExprLookup)(void *user, const char *name, double *value);
double expr_eval(const HostExpr *e, ExprLookup lookup, void *user, const char **bad);
/* Names the expression mentions, each once. */
int expr_names(const HostExpr *e, const char **out, int max);
#endif
