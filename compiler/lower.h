/* Shared by lower.c (expressions, maps) and lower_reduce.c (reductions, contractions): the state while one kernel is built. */
#ifndef ECT_LOWER_H
#define ECT_LOWER_H
#include "compiler/kernel.h"

typedef struct { Ref r; KRef v; IRef idx[MAX_AXES]; } Memo;
typedef struct {
    Lowered *l;
    const Ranks *ranks;                              /* per node: stride ranks of its axes */
    const Layout *params;
    Kernel *k;
    Ref root, acc_node;                              /* node being computed; the reduction whose value is the accumulator */
    Memo *memo; int n_memo, memo_cap;
} Lower;

Kernel *kernel_new(Lowered *l, KernelClass cls, Ref root);
KRef kx(Kernel *k, KExpr e);                         /* interned */
KRef resolve(Lower *c, Ref r, const IRef *idx);      /* node r at idx (one per axis, in the node's order) */
int kernel_slot(Kernel *k, int buf);
int axis_index(const Node *n, Sym role);             /* -1 when absent */
IRef layout_offset(Kernel *k, const Layout *l, const Node *n, const IRef *idx, const Sym *as);
void kernel_nodes(Lower *c, Ref from, Ref to);
/* lower_reduce.c: reduction `red` with the element-wise epilogue that ends in `root`, stored to buffer `buf`. */
void lower_reduction(Lower *c, Ref red, Ref root, int buf);
#endif
