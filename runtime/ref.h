/* The interpreters ref (f32) and ref64 (f64): what ref.c and the two copies of ref_body.h share. Private to them.
   One loop for each operation; views are read through index tables, products are never built. Sums and contractions accumulate in
   f64 and round once, in an order that does not depend on the number of threads. */
#ifndef ECT_REF_H
#define ECT_REF_H
#include "runtime/device.h"
#include "runtime/ref_access.h"

typedef struct {
    const PlanSegment *segment;
    RefGraph *g;
    RefAccess *(
        *access)[3]; /* per node, per operand: made when first needed, kept; several for concat: not needed, views have none */
    RefAccess **out_access;                          /* per graph output */
    int *last;                                       /* per node: the last node that reads it */
    bool flat;                                       /* scalars and one long axis only, element-wise: run in chunks */
} RefSegment;
typedef struct { const Plan *plan; const Launch *l; RefSegment *s; int threads; } RefRun;

void ref_run_f32(const RefRun *r);
void ref_run_f64(const RefRun *r);

/* Shared by both widths (ref.c). */
const RefAccess *ref_operand(RefSegment *s, int node, int operand, const LoopSpace *space);
LoopSpace ref_space(const PlanShape *s);
void ref_add_axis(LoopSpace *l, Sym role, int64_t size);
/* Values of a draw node in f32, in the order of the node's axes; p: NULL, or run-time probabilities in that order too. */
void ref_draw(const RefRun *r, const RefNode *n, const float *p, float *out);
/* Where a named input or output lies. elements: what the plan says it holds. */
typedef enum { IO_TENSOR, IO_FLAT, IO_GRAD, IO_PARAM } RefIoKind;
typedef struct {
    RefIoKind kind;
    float *data; double *wide;                       /* wide: used instead (inputs, carries) or as well (outputs) */
    const PlanShape *shape;                          /* IO_TENSOR */
    const PlanParam *param;                          /* IO_GRAD, IO_PARAM: scattered through its strides from data + offset */
    int64_t elements;
} RefIo;
RefIo ref_find_input(const RefRun *r, const RefNode *n);
RefIo ref_find_output(const RefRun *r, const char *name, const RefNode *n);
#endif
