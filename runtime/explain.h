/* What explain.c (tables, the command) and explain_json.c share.
   Private to the two. */
#ifndef ECT_EXPLAIN_H
#define ECT_EXPLAIN_H
#include "runtime/cost.h"

/* totals: sums of the programs only; memory: arena buffers in place of steps. Appends one JSON value. */
void explain_json(StrBuf *b, const Plan *p, const PredictDevice *d, bool totals, bool memory);
void explain_json_parameters(StrBuf *b, const Plan *p);
#endif
