/* Shared by fuse.c (what is held, epilogues), fuse_merge.c (which kernels become one), place.c, contraction.c and lower*.c.
   Assumes regrouped graphs; node ids are topological. */
#ifndef ECT_FUSE_H
#define ECT_FUSE_H
#include "compiler/kernel.h"

/* ---- place.c: where a node lies in a kernel's domain ---- */
typedef struct { Sym role; int64_t div, mod; } AxisAt;           /* index = role's index / div, % mod unless 0; role NULL: does not matter */
typedef struct { Ref node; AxisAt at[MAX_AXES]; bool leaf; } Place;   /* per axis of the node; leaf: it is loaded anyway, so reading it elsewhere does no harm */
typedef enum { PLACE_FREE, PLACE_ALIGNED, PLACE_CROSSED } PlaceIs;   /* reads none of the known nodes; reads them where it lies itself; elsewhere */
typedef struct {
    const Graph *g;
    const Place *known; int n_known;
    uint32_t *stamp, now; Place *memo; unsigned char *is;        /* per node */
} Placer;
void placer_open(Placer *p, const Graph *g);
void placer_close(Placer *p);
void placer_know(Placer *p, const Place *known, int n);          /* what follows is asked about these */
PlaceIs place_node(Placer *p, Ref r, Place *out);
/* The same for the operands of element-wise node r, joined by role, whatever is known of r itself. */
PlaceIs place_operands(Placer *p, Ref r, Place *out);
bool place_whole(const Graph *g, Ref r, const Place *p);         /* no axis of size > 1 is without a role */
/* Places of the held nodes and inputs that r reads element by element, r's own roles being the domain; returns their number. below: r is held
   itself, look at what it is made of. */
int place_leaves(const Graph *g, Ref r, bool below, Place *out, int max);

Ref whole_operand(const Graph *g, const Node *n);    /* of a reduction: the operand that has all roles */
Ref summed_node(const Graph *g, Ref red);             /* the node under the renames and rearrangements of its whole operand */
bool place_operand(Placer *p, Ref red, Place *at, Ref *operand);
/* How reduction n, the axes of its operand x lying at `at`, cuts the domain axes[]: a block *lo .. *hi-1 is summed, its first axis in pieces of *rows. */
bool place_cut(const Node *n, const Node *x, const Place *at, int n_axes, const Axis *axes, int *lo, int *hi, int64_t *rows);
bool only_ones(const Axis *axes, int x, int y);      /* each of the axes between x and y, in either order, has one element */
/* Are sums of rows, each over axes[lo] .. axes[n-1], work for a pass: more than one row to share out, none too long for a warp or to be kept? */
bool row_sums_fit(const Axis *axes, int n, int lo);

/* The node whose elements output r is, in some order: under renames, changes of order and axes of size 1 put in. */
Ref output_base(const Graph *g, Ref r);

/* ---- contraction.c ---- */
typedef struct {
    Operand a, b;                                    /* a gives the rows, b the columns; no values yet */
    Axis m[MAX_AXES], nn[MAX_AXES], k[MAX_AXES], bb[MAX_AXES]; int nm, nc, nk, nb;   /* rows by falling rank, columns, summed, batch */
    Leaf leaf; const char *reason;
} ContractPlan;
/* How contraction r is computed; last: the innermost axis of its result (NULL: by ranks). */
void contract_plan(const Graph *g, const Ranks *ranks, Ref r, Sym last, ContractPlan *p);
bool contract_can_host(const ContractPlan *p);       /* reductions may end in its epilogue: rows in tiles, columns whole */
/* The second row axis is worked on in pieces of *rows; false when there is none. */
bool contract_tile(const ContractPlan *p, Sym *axis, int64_t *rows);

/* ---- fuse.c ---- */
bool of_sums(const Graph *g, Ref r, int depth);      /* depth 0 */
bool tiny_sum(const Graph *g, Ref r);                /* of up to four partial sums: made where it is read, unless fuse() has given it a kernel */

/* "mul (std/nn.dsl:27)", in the graph's arena: a node as a reason names it */
const char *node_name(const Graph *g, Ref r);

/* ---- fuse_merge.c ---- */
void fuse_merge(Graph *g, const Ranks *ranks);
#endif
