/* Inside of autodiff: what its rules, in two files, share.
   Assumes that only autodiff.c, autodiff_views.c and expand.c include it. */
#ifndef ECT_AUTODIFF_H
#define ECT_AUTODIFF_H
#include "compiler/graph.h"

typedef struct { Ref *v; int n, cap; } Parts;        /* contributions to one gradient, to be added */
typedef struct { Graph *g; const bool *needs; Parts *to; } Tape;   /* needs, to: by node of the forward graph */

/* A rule adds to the operands of z what dy, the gradient of z, gives them. dy has all of z's roles, in any order. */
typedef void Rule(Tape *t, Ref z, Ref dy);
Rule d_rename, d_rearrange, d_slice, d_pick, d_pad, d_concat, d_repeat, d_window, d_unwindow, d_expand;

bool wants(const Tape *t, Ref z, int k);             /* does operand k of z need a gradient? */
void give_whole(Tape *t, Ref z, int k, Ref c);       /* c has no role that operand k lacks */

/* expand.c: what standardize is made of; the gradient rule uses the same nodes. */
typedef struct { Ref centred, rstd; } Moments;
Moments moments(Graph *g, Ref x, int n, const Sym *axes, double eps);
#endif
