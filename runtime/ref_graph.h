/* Graph text (docs/graph.md) as the interpreters hold it: nodes in topological order, every operand, axis and size checked.
   Assumes nothing of the text. */
#ifndef ECT_REF_GRAPH_H
#define ECT_REF_GRAPH_H
#include "runtime/plan.h"

/* REF_OP(name, operands (-1: any), class, attributes): the classes are the interpreter's own:
   S source, E element-wise, V view, R reduction, C composite, T row tables and what is read through them. */
#define REF_OPS                                                                                                                  \
    REF_OP(take, -1, T) REF_OP(rows_order, 1, T) REF_OP(rows_rank, 1, T) REF_OP(rows_count, 1, T)                                \
    REF_OP(input, 0, S)                                                                                                          \
    REF_OP(param, 0, S) REF_OP(const, 0, S) REF_OP(scalar, 0, S) REF_OP(iota, 0, S) REF_OP(draw, -1, S) REF_OP(neg, 1, E)        \
        REF_OP(abs, 1, E) REF_OP(exp, 1, E) REF_OP(log, 1, E) REF_OP(sin, 1, E) REF_OP(cos, 1, E) REF_OP(sqrt, 1, E)             \
            REF_OP(rsqrt, 1, E) REF_OP(sigmoid, 1, E) REF_OP(tanh, 1, E) REF_OP(erf, 1, E) REF_OP(floor, 1, E)                   \
                REF_OP(sign, 1, E) REF_OP(stop, 1, E) REF_OP(bf16, 1, E) REF_OP(f16, 1, E) REF_OP(tf32, 1, E)           \
                REF_OP(f32, 1, E) REF_OP(nan_to_num, 1, E)                                                                       \
                    REF_OP(isfinite, 1, E) REF_OP(not, 1, E) REF_OP(add, 2, E) REF_OP(sub, 2, E) REF_OP(mul, 2, E)               \
                        REF_OP(div, 2, E) REF_OP(pow, 2, E) REF_OP(max, 2, E) REF_OP(min, 2, E) REF_OP(lt, 2, E)                 \
                            REF_OP(le, 2, E) REF_OP(eq, 2, E) REF_OP(and, 2, E) REF_OP(or, 2, E) REF_OP(where, 3, E)             \
                                REF_OP(rows, 3, E) REF_OP(rename, 1, V) REF_OP(rearrange, 1, V) REF_OP(slice, 1, V)              \
                                    REF_OP(pick, 1, V) REF_OP(pad, 1, V) REF_OP(concat, -1, V) REF_OP(repeat, 1, V)              \
                                        REF_OP(window, 1, V) REF_OP(unwindow, 1, V) REF_OP(expand, 1, V) REF_OP(sum, 1, R)       \
                                            REF_OP(sqdev, 1, R) REF_OP(rmax, 1, R) REF_OP(contract, 2, R) REF_OP(standardize, 1, C)                  \
                                                REF_OP(softmax, 1, C)
typedef enum {
#define REF_OP(name, n, cls) R_##name,
    REF_OPS
#undef REF_OP
    R_COUNT
} RefOp;
enum { REF_S, REF_E, REF_V, REF_R, REF_C, REF_T };
typedef struct { const char *name; int inputs, cls; } RefOpInfo;
extern const RefOpInfo ref_ops[R_COUNT];

typedef struct {
    int n_in, n_factors;                             /* input axes; factors in input order */
    int64_t factor[2 * PLAN_MAX_AXES];
    int in_axis[2 * PLAN_MAX_AXES];                  /* input axis of each factor */
    int out_axis[2 * PLAN_MAX_AXES];                 /* output axis of each factor */
    int64_t in_stride[2 * PLAN_MAX_AXES], out_stride[2 * PLAN_MAX_AXES];   /* of the factor within its axes */
} RefRearrange;
typedef struct {
    RefOp op;
    bool is_bool;
    int n_in, *in;                                   /* operands: node indices */
    PlanShape shape;                                 /* roles are interned: equal roles have equal pointers */
    int64_t elements;
    const char *name;                                /* input, draw (its path) */
    int index;                                       /* param: of the plan; scalar */
    int set;                                         /* param */
    double value;                                    /* const; nan_to_num: nan; draw: p; standardize: eps */
    double inf;                                      /* nan_to_num */
    PlanDrawKind kind;                               /* draw */
    int axis, kaxis; /* view: in the operand's axes (slice pad repeat window unwindow pick concat; expand: in the output's) */
    int out_axis, out_kaxis; /* window, unwindow and others: the same axes in the output; -1 where dropped */
    int64_t a, b, stride, dil, pad;                  /* slice start; pick index; pad lo; repeat times; window k (a) and out (b) */
    RefRearrange *rearrange;
    int n_reduced, reduced[PLAN_MAX_AXES];           /* sum sqdev rmax standardize softmax: operand's axes */
    const char *reduced_role[PLAN_MAX_AXES];         /* and contract: roles */
    int line;                                        /* of the graph text */
} RefNode;
typedef struct { const char *name; int node; } RefOut;
typedef struct {
    Arena *arena;
    int n; RefNode *node;
    int n_out; RefOut *out;
} RefGraph;

/* NULL and *err (heap; names the line) where the text is not a legal graph of this plan. */
RefGraph *ref_graph_parse(const char *text, const Plan *plan, char **err);
void ref_graph_free(RefGraph *g);
#endif
