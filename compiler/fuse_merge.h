/* Kernels as fuse_merge.c and fuse_segments.c join them.
   Assumes held and into as fuse() sets them. */
#ifndef ECT_FUSE_MERGE_H
#define ECT_FUSE_MERGE_H
#include "compiler/fuse.h"

enum { MAX_REDUCTIONS = 6, MAX_STORES = 12, MAX_PLACES = 64, BIG = 8192 };
typedef enum { K_PASS, K_PRODUCT, K_SUMS, K_FIXED } KernelKind;   /* loops over a domain; matrix product; small sums; joined with nothing */
typedef struct {
    Ref leader;
    KernelKind kind;
    int n, cap; Ref *member;                         /* ascending */
    int n_place; Place place[MAX_PLACES];            /* members, and aligned inputs of a pass */
    ContractPlan *plan;
    int n_axes; Axis axes[MAX_AXES];                 /* PASS: the domain, outermost first; SUMS: kept axes */
    int n_red, n_store;
    bool tiled; int lo, hi; int64_t rows;            /* reductions over domain axes lo..hi-1, the first in pieces of `rows` */
    bool rowed; int row_lo;                          /* of a pass: reductions over all domain axes from row_lo on */
    int n_task; Ref task[MAX_REDUCTIONS + 1];        /* those reductions: what they add up is there when a task ends */
    int n_leaf, leaf_cap; Ref *leaf;                 /* held nodes of other kernels and inputs that it reads */
    unsigned seen;
    Ref bound;                                       /* its rows are wanted up to there only; kernels of two bounds are not joined */
} Kern;
typedef struct { Graph *g; const Ranks *ranks; Placer placer; int n; Kern *k; int *of; unsigned now; int *uses; const char *why; } Merge;   /* of: leader -> kernel; why: the last refusal */


bool no(Merge *m, const char *why);                  /* false, and `why` for explain */
bool kept_apart(const Graph *g, const Kern *c, const Kern *k);  /* one of the two is computed again after nodes of the other (budget.c) */
void note_apart(Merge *m, const Kern *c, const Kern *k);         /* for explain: kernel c, which reads what k makes or reads, is not joined; m->why says why */
Kern *kernel_of(Merge *m, Ref r);                    /* that makes r; NULL when it is made where it is read */
bool runs_after(Merge *m, Kern *k, const Kern *on);  /* must k run after `on`? */
void add_place(Kern *k, const Place *p);
Place identity(const Graph *g, Ref r);               /* r's own axes as the domain */
const char *circle(Merge *m, Ref r);                 /* a reason: r must be there before */
void join(Merge *m, Kern *c, Kern *k, const char *rule);         /* moves c's members into k; rule: what joined them, for explain */

/* ---- fuse_segments.c ---- */
void join_products(Merge *m);
#endif
