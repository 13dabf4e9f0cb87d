/* The IR: typed graphs of interned, immutable nodes on named axes, and the programs made of them.
   Whole and only: every pass works on these types. Nodes are 32-bit ids into a Graph; id order is topological. */
#ifndef ECT_GRAPH_H
#define ECT_GRAPH_H
#include "runtime/base.h"
#include "runtime/number.h"

/* ---- operations (ops.def) ---- */
typedef enum { OPC_SOURCE, OPC_ELEM, OPC_VIEW, OPC_REDUCE, OPC_COMPOSITE, OPC_TABLE } OpClass;
typedef enum {
#define OP(name, n, cls, ctext, grad, doc) OP_##name,
#include "compiler/ops.def"
#undef OP
    OP_COUNT
} Op;
typedef struct { const char *name; int inputs; OpClass cls; const char *ctext, *grad, *doc; } OpInfo;
extern const OpInfo op_info[OP_COUNT];

/* ---- types ---- */
typedef uint32_t Ref;                                /* node id; 0 is "none" */
typedef struct { Sym role; int64_t size; } Axis;     /* role:size; roles are unique within a node */
enum { MAX_AXES = 16 };
typedef enum { T_F32, T_BOOL } Type;
typedef enum { DRAW_UNIFORM, DRAW_NORMAL, DRAW_BERNOULLI } DrawKind;

/* What precision a node's value is stored and multiplied in. 0: the plan's (--precision); else 1 + the Number of the `precision` region around it.
   Views and sources have none: nothing is computed. */
typedef uint8_t Precision;

/* Where a node comes from: the user's line and the instance path ("model.enc.32x32_block0"); shown in errors, kernels, reports. */
typedef struct { Sym file; int line, col; Sym path; } Origin;

/* Attributes, one named struct per class of operation that has any. */
typedef struct { int n_in, n_out;                    /* rearrange: in axis i = factors in_first[i] .. in_first[i]+in_count[i]-1, outermost first */
    int n_factors; int64_t factor[2 * MAX_AXES];     /* sizes of the factors, in input order */
    int in_count[MAX_AXES];                          /* number of factors of each input axis, in input axis order */
    int out_count[MAX_AXES];                         /* number of factors of each output axis */
    int out_factor[2 * MAX_AXES];                    /* output order: indices into factor[] */
} Rearrange;
typedef union {
    struct { Sym name; } input;                                              /* input */
    struct { int index; Sym set; } param;                                    /* param: Module.params[index]; set "" live, "ema" an EMA's name */
    struct { double value; } konst;                                          /* const (rounded to f32 where used as f32) */
    struct { int index; } scalar;                                            /* scalar: Module.scalars[index] */
    struct { DrawKind kind; Sym stream, path; double p; } draw;              /* path: "draw.drop.model.enc.8x8_down"; p: keep probability if no operand */
    struct { Sym from, to; } rename;
    Rearrange *rearrange;
    struct { Sym axis; int64_t start, len; } slice;
    struct { Sym axis; int64_t index; } pick;
    struct { Sym axis; int64_t lo, hi; } pad;
    struct { Sym axis; } concat;
    struct { Sym axis; int64_t times; } repeat;
    struct { Sym axis, kaxis; int64_t k, stride, dil, pad, out; } window;    /* input has `axis`; output `axis` has size out, new axis kaxis:k */
    struct { Sym axis, kaxis; int64_t stride, dil, pad, out; } unwindow;     /* input has `axis` and `kaxis`; output `axis` has size out */
    struct { Sym axis; int64_t size; } expand;
    struct { int n; Sym axis[MAX_AXES]; double eps; } reduce;                /* sum rmax contract standardize(eps) softmax */
    struct { double nan, inf; } nan_to_num;
} Attr;

typedef struct Node {
    Op op;
    Type type;
    Precision precision;
    int n_in;
    Ref *in;
    int n_axes;
    Axis *axes;                                      /* declared order, or left operand's then new ones; only rearrange, draw and files read the order */
    Attr a;
    Origin at;
} Node;

typedef struct Module Module;

/* Why fusion decided as it did, for `ectc explain --fusion`; the texts are constants or in the graph's arena. */
typedef struct {
    const char **held, **rule;                       /* per node: why it is held in memory; the rule that put it into its kernel */
    Ref *stop;                                       /* the reader that `held` speaks of, if it does */
    int n, cap; struct { Ref reader, maker; const char *why; } *apart;   /* why the kernels of two nodes are not one; the last of a pair counts */
} FusionNotes;

typedef struct Graph {
    Arena *arena;
    Node *node; uint32_t n, cap;                     /* node[0] is unused */
    uint32_t *table; uint32_t table_cap;             /* interning */
    struct { Sym name; Ref ref; } *out; int n_out, out_cap;
    Origin at;                                       /* given to nodes as they are made */
    Precision precision;                             /* the same: to those that compute numbers */
    bool *held; Ref *into;                           /* after fuse, per node: held in memory; into: the kernel that computes it, by its first leader, for
                                                        every held node and every reduction */
    FusionNotes notes;                               /* by fuse */
    Ref *after;                                      /* per node, 0: none; computed late on purpose: in no kernel with nodes before this one. NULL: none is */
    bool expanded;                                   /* set by expand_composites: verify allows no composite operation from there on */
} Graph;

Graph *graph_new(void);
void graph_drop(Graph *g);
#define N(g, r) (&(g)->node[r])
bool has_precision(Op op, Type type);                /* does it compute numbers? */
Number number_in(Precision p, Number plan);          /* in a plan of that precision */
Number number_of(const Node *n, Number plan);
Precision precision_below(const Graph *g, Ref r);    /* of what r, a view or not, is a view of */
const Axis *find_axis(const Node *n, Sym role);      /* NULL when absent */
int64_t node_elements(const Node *n);

/* ---- builders (build.c): check their operands with CHECK_BUG (elaborate reports the user's mistakes first), fold constants and trivial
        identities (x*1, x+0, x/1, empty rename, expand of expand...), intern, return the id ---- */
Ref mk_input(Graph *g, Sym name, int n_axes, const Axis *axes);
Ref mk_param(Graph *g, int index, Sym set, int n_axes, const Axis *axes);
Ref mk_const(Graph *g, double v);
Ref mk_scalar(Graph *g, int index);
Ref mk_iota(Graph *g, Sym role, int64_t size);
Ref mk_draw(Graph *g, DrawKind kind, Sym stream, Sym path, double p, Ref p_ref, int n_axes, const Axis *axes);
Ref mk_unary(Graph *g, Op op, Ref x);
Ref mk_nan_to_num(Graph *g, Ref x, double nan, double inf);
Ref mk_binary(Graph *g, Op op, Ref x, Ref y);        /* joins axes by role */
Ref mk_where(Graph *g, Ref c, Ref x, Ref y);
Ref mk_rows(Graph *g, Ref c, Ref x, Ref y);
Ref mk_rename(Graph *g, Ref x, Sym from, Sym to);
Ref mk_rearrange(Graph *g, Ref x, const Rearrange *r, const Axis *out_axes);   /* input axis order = x's order */
Ref mk_slice(Graph *g, Ref x, Sym axis, int64_t start, int64_t len);
Ref mk_pick(Graph *g, Ref x, Sym axis, int64_t index);
Ref mk_pad(Graph *g, Ref x, Sym axis, int64_t lo, int64_t hi);
Ref mk_concat(Graph *g, Sym axis, int n, const Ref *xs);   /* operands are first expanded to the union of roles */
Ref mk_repeat(Graph *g, Ref x, Sym axis, int64_t times);
Ref mk_window(Graph *g, Ref x, Sym axis, Sym kaxis, int64_t k, int64_t stride, int64_t dil, int64_t pad, int64_t out);
Ref mk_unwindow(Graph *g, Ref x, Sym axis, Sym kaxis, int64_t stride, int64_t dil, int64_t pad, int64_t out);
Ref mk_expand(Graph *g, Ref x, Sym axis, int64_t size);
Ref mk_rows_table(Graph *g, Op op, Ref cond);        /* compact.c: rows_order, rows_rank, rows_count; cond: a condition over one axis */
Ref mk_take(Graph *g, Ref x, Ref table, Ref count);  /* compact.c: along the table's axis; rows_order with its rows_count, or rows_rank and 0 */
Ref mk_sum(Graph *g, Ref x, int n, const Sym *axes); /* a sum of a product of two tensors becomes `contract` */
Ref mk_sqdev(Graph *g, Ref x, int n, const Sym *axes);
Ref mk_rmax(Graph *g, Ref x, int n, const Sym *axes);
Ref mk_contract(Graph *g, Ref x, Ref y, int n, const Sym *axes);
Ref mk_standardize(Graph *g, Ref x, int n, const Sym *axes, double eps);
Ref mk_softmax(Graph *g, Ref x, int n, const Sym *axes);
Ref mk_like(Graph *g, const Node *like, Op op, const Ref *in, int n_in);       /* same op, attributes and precision as `like`, other operands */
void graph_output(Graph *g, Sym name, Ref r);        /* a second output of the same name replaces the first */
Ref graph_find_output(const Graph *g, Sym name);     /* 0 when absent */

/* ---- for passes ---- */
Ref mk_conform(Graph *g, Ref x, int n, const Axis *axes);         /* x expanded to all of `axes` and in their order; x has no other role */
Ref mk_mean(Graph *g, Ref x, int n, const Sym *axes);             /* sum / count */
Ref graph_add(Graph *g, const Node *n, bool share);               /* the node as it is (copied; its own Origin); share: an equal one is reused */
bool same_axes(const Node *n, int n_axes, const Axis *axes);      /* same roles and sizes in the same order */
bool axis_in(int n, const Sym *axes, Sym role);
/* Rebuilds what the outputs need into fresh ids, in order, through `make` (NULL: copies); ids held outside of g->out are void afterwards.
   make: the new graph, an old node, its operands' new ids, ctx -> new id; the result must have the old node's roles (order is restored). */
typedef Ref NodeMaker(Graph *g, const Node *old, Ref old_id, const Ref *in, void *ctx);
void graph_rebuild(Graph *g, NodeMaker *make, void *ctx);
uint64_t graph_hash(const Graph *g);                              /* equal graphs of one process have equal hashes */
Ref join_pads(Graph *g, Ref x, Ref y);                            /* autodiff.c: x + y of two disjoint pads along one axis, as one view; or 0 */
char *graph_check(const Graph *g, Ref r);                         /* verify.c: NULL, or what is illegal about node r (heap) */
char *node_text(const Module *m, const Graph *g, Ref r);          /* text.c: one line without a newline (heap) */

/* ---- parameters, scalars, programs: what elaborate makes of a model ---- */
typedef struct { Sym name; Sym was; int n_axes; Axis *axes; Ref init; Origin at; } Param;   /* init: in Module.init's graph, output named like the parameter */
typedef struct { char *expr; } Scalar;               /* host expression over run-time names, `step`, `seen`, and segment times; see runtime/expr.h */
typedef struct { Sym name; bool is_int; char *expr; Origin at; } RuntimeVar;
typedef struct { Sym name; double init; bool from_param; bool is_ema; } StateVar;  /* flat arrays of the update: m, v: init; an EMA's e: starts as the parameter */

/* A program is a list of segments run one after another. Tensors named "carry.*" pass from one to the next.
   train_step = segments micro (gradients, outputs "grad.<parameter>"), update (element-wise on the flat axis `e`).
   In `update`, inputs: "p", "g", state names; outputs: "p", state names. In sample, a segment with `each` repeats over a run-time list. */
typedef struct {
    Sym name;                                        /* "denoise", "sample.1", "train_step.update" */
    Graph *g;
    Sym each, time;                                  /* run-time list name and the scalar's name, or NULL */
    char *text;                                      /* the graph before regroup, printed: what the interpreters run */
} Segment;
typedef struct { Sym name; int n_axes; Axis *axes; Type type; } TensorDecl;
typedef struct {
    Sym name;
    bool training;
    int n_seg; Segment seg[8];
    int n_in; TensorDecl in[16];                     /* declared inputs, declared order = file order; an axis of size 0: the input does not exist */
    int n_out; TensorDecl *out;                      /* loss, grad.<p>, denoised, images, report.<name> */
} Program;

struct Module {
    Arena *arena;
    Sym model_file;
    Number precision;                                /* --precision: of activations and operands of the network's contractions */
    bool loss_scale;                                 /* gradients are those of loss.scale * loss, the update takes the factor out */
    int n_config;  struct { Sym name; char *value; } *config;
    int n_params;  Param *params;                    /* storage order = EDM's */
    int n_scalars; Scalar *scalars;
    int n_runtime; RuntimeVar *runtime;
    int n_streams; Sym *streams;
    int n_states;  StateVar *states;                 /* optimizer states first, then EMAs */
    int n_programs; Program *programs;               /* init first */
    int n_sources; struct { Sym file; char *text; } *sources;
};

/* ---- passes: one file, one entry function, one letter each (passes.def) ---- */
/* autodiff.c */ Ref *autodiff(Graph *g, Ref loss, int n, const Ref *wrt);     /* d loss / d wrt[i], arena-owned; loss has no axes; errors: grad_error callback */
/* compact.c  */ void compact(Graph *g);                     /* rows computed where they are wanted only */
/* A node's rows at or past its bound, a rows_count, hold anything: they are computed from rows that `take` put past the count, and only `take` by
   rank, which never reaches them, leaves them. compact_bounds: per node its bound, 0: none (heap). compact_check: NULL, or what node *at does with
   such rows that it may not (heap). */
/* compact.c  */ Ref *compact_bounds(const Graph *g);
/* compact.c  */ char *compact_check(const Graph *g, Ref *at);
/* expand.c   */ void expand_composites(Graph *g);
/* simplify.c */ void simplify(Graph *g);
/* unfused.c  */ void hold_everything(Graph *g);             /* in place of fuse: an operation, a kernel */
/* verify.c   */ void verify(const Graph *g, const char *after);               /* dies with the pass's name when the graph is not legal */
/* text.c     */ void graph_print(StrBuf *b, const Module *m, const Graph *g);
/* text.c     */ Graph *graph_parse(const char *text, Module *m, char **err);  /* inverse of graph_print; NULL and *err on bad text */

/* Called by autodiff when an operation on the path has no rule: elaborate installs one that prints a located error. */
extern void (*grad_error)(const Origin *at, const char *op);
#endif
