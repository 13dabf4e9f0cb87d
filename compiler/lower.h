/* Shared by lower.c (expressions, maps), lower_weights.c (parameters in 2 bytes) and lower_reduce.c (reductions, contractions): the state while one kernel is built. */
#ifndef ECT_LOWER_H
#define ECT_LOWER_H
#include "compiler/fuse.h"

typedef struct { Ref r; KRef v; IRef idx[MAX_AXES]; } Memo;
typedef struct {
    Lowered *l;
    const Ranks *ranks;                              /* per node: stride ranks of its axes */
    const Layout *params;
    Number precision;                                /* the plan's */
    bool all_rows;                                   /* lower_segment_all_rows */
    Number halve;                                    /* parameters are read from their image in this one; NUM_F32: as they are */
    Kernel *k;
    const Ref *bound;                                /* per node: how many of its rows are wanted (compact_bounds) */
    Ref root;                                        /* node being computed, if it is held */
    struct Local *local; int n_local, local_cap;     /* nodes whose values the kernel has at hand */
    Placer placer; Place *known; int n_known, known_cap;
    IRef domain[MAX_AXES]; Axis axes[MAX_AXES]; int n_domain;   /* the kernel's domain: index of each role */
    Memo *memo; int n_memo, memo_cap;
    struct More *more; int n_more, more_cap;         /* outputs that repeat a held node */
} Lower;
typedef struct More { Ref node; int buf; Layout layout; } More;
typedef struct Local { Ref node; KRef value; } Local;
typedef struct { Ref leader; int n, cap; Ref *member; int n_leaf, leaf_cap; int *leaf; int waits; } Group;   /* one kernel's nodes; leaf: groups it reads */

Kernel *kernel_new(Lowered *l, KernelClass cls, Ref root);
KRef kx(Kernel *k, KExpr e);                         /* interned */
KRef resolve(Lower *c, Ref r, const IRef *idx);      /* node r at idx (one per axis, in the node's order) */
int kernel_slot(Kernel *k, int buf);

IRef layout_offset(Kernel *k, const Layout *l, const Node *n, const IRef *idx, const Sym *as);
/* Begins a kernel; domain axes and their indices follow by domain_axis. */
void begin_kernel(Lower *c, KernelClass cls, Ref root);
void domain_axis(Lower *c, Sym role, int64_t size, IRef index);
IRef place_index(Lower *c, const AxisAt *at);        /* 0 where the role does not matter */
void know(Lower *c, const Place *p, KRef value);     /* the node's value at that place is at hand */
bool place_member(Lower *c, Ref r, Place *out);      /* an element-wise member, from its operands */
Number operand_precision(const Lower *c, const Node *n);     /* what both operands of contraction n are rounded to; NUM_F32: they are not */
KRef rounded(Lower *c, Number to, KRef v, Ref r);    /* v rounded, for node r */
KRef as_stored(Lower *c, Ref r, KRef v);             /* v as whoever reads it from r's buffer will see it */
KRef resolve_at(Lower *c, Ref r, const Place *p);
void store_member(Lower *c, Ref r, const Place *p, KRef v, Level level);
/* lower_weights.c: parameters in 2 bytes */
bool plain_weight(const Graph *g, Ref r);            /* a parameter as it is, or some of it in another order */
int image_part(Lower *c, Buffer p);                  /* the part of an image of the parameters that holds the one which buffer p is */
void write_images(Lower *c);                         /* kernels that write the images, in front of all others */
/* lower_reduce.c: kernels with reductions */
void lower_sums(Lower *c, const Group *g, const char *reason);
bool lower_pass(Lower *c, const Group *g);           /* false, and nothing done: its reductions do not cut the domain so */
void lower_table(Lower *c, const Group *group);
void lower_contract(Lower *c, const Group *g, Ref contract);
#endif
