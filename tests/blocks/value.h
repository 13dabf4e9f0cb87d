/* Single elements of graph nodes in f64, each with a bound on what f32 kernels may be off by. Nodes that lie in memory are read, all others computed from
   them, whatever that takes. Assumes a graph checked by ref_graph.c, composites expanded. */
#ifndef ECT_BLOCKS_VALUE_H
#define ECT_BLOCKS_VALUE_H
#include "runtime/ref_access.h"

/* e: what the value may be off by; no number where an f32 on the way is infinite. */
typedef struct { double v, e; } GvValue;
/* Memory of a node: its axes, outermost first; of numbers of 4 or 2 bytes. */
typedef struct { int n; Sym role[PLAN_MAX_AXES]; int64_t size[PLAN_MAX_AXES]; Number type; const void *data; } GvBuffer;
typedef struct GraphValue GraphValue;

GraphValue *gv_new(RefGraph *g);
/* Forgets all memory, draws and values. rounding: what products of the network's contractions take their operands in, as --precision has it where they are
   tiles; f32: as they are. */
void gv_begin(GraphValue *v, Number rounding);
void gv_hold(GraphValue *v, int node, const GvBuffer *b);        /* the node is read there */
/* A kernel stores the node there: where it has (bytes other than 0xff), nodes made of it are made of what it stored. A node stored in 2 bytes is rounded. */
void gv_made(GraphValue *v, int node, const GvBuffer *b);
void gv_scalars(GraphValue *v, const float *scalar);
void gv_draw(GraphValue *v, const PlanDraw *draw, const float *values);
/* The value of the element at place e of the buffer's memory, as the node's operands give it. */
GvValue gv_element(GraphValue *v, int node, const GvBuffer *b, int64_t e);
double gv_ulp(double v, Number type);                /* of a number stored so */
double gv_read(const GvBuffer *b, int64_t at);       /* what is in memory there */
double gv_terms(const GraphValue *v);                /* summed up to now, of all sums */
#endif
