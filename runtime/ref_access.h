/* How the interpreter reads an operand through its chain of views, without ever building the viewed tensor.
   A chain becomes pieces (one for each way through its concatenations); in a piece, loop axes that meet in one index form a
   group, and the offset into the source is the sum over groups of a table indexed by that group's axes. A table entry below 0
   says: outside, the value is 0. */
#ifndef ECT_REF_ACCESS_H
#define ECT_REF_ACCESS_H
#include "runtime/ref_graph.h"

enum { LOOP_MAX = 2 * PLAN_MAX_AXES };
#define REF_OUTSIDE (INT64_MIN / 64)                 /* so low that no sum of other entries brings it back to 0 */

/* Axes that a computation loops over, outermost first. */
typedef struct { int n; Sym role[LOOP_MAX]; int64_t size[LOOP_MAX]; } LoopSpace;
typedef struct {
    int n; int axis[PLAN_MAX_AXES]; int64_t stride[PLAN_MAX_AXES];   /* loop axes, and their strides in the table */
    int64_t *table, size;
    bool inner;                                      /* reads the innermost loop axis */
    int64_t inner_stride;                            /* its stride in the table */
    bool linear; int64_t step;                       /* a single axis, nowhere outside: table[i] = i * step */
} RefGroup;
typedef struct { int source; int64_t base; int n_groups; RefGroup group[PLAN_MAX_AXES]; } RefPiece;
typedef struct {
    LoopSpace space;
    int n_pieces; RefPiece *piece;
    bool total;                                      /* one piece that is nowhere outside */
    bool identity;                                   /* total, and element i of the loop space is element i of the source */
} RefAccess;

/* Access to node `v` from loops over `space`, which has at least v's axes. NULL and *err (heap) when it is absurdly large. */
RefAccess *ref_access_new(const RefGraph *g, int v, const LoopSpace *space, char **err);
void ref_access_free(RefAccess *a);
#endif
