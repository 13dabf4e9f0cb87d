/* The kernel form: what fusion builds, the memory plan places and the printer writes. A kernel is data, not text.
   Loop variables with ranges; integer index expressions (linear in loop variables, divisions and remainders by constants);
   scalar expressions over loads through them; and one of three shapes: MAP, REDUCE, CONTRACT. */
#ifndef ECT_KERNEL_H
#define ECT_KERNEL_H
#include "compiler/graph.h"

typedef uint32_t IRef;                               /* index expression id; 0 is the constant 0 */
typedef uint32_t KRef;                               /* scalar expression id; 0 is "none" */

/* ---- index expressions (index.c): canonical sums  c + sum k_i * atom_i, interned, with their range ---- */
typedef enum { ATOM_LOOP, ATOM_DIV, ATOM_MOD, ATOM_TABLE } AtomKind;      /* TABLE: the number in buffer slot `loop` at e, 0 .. c-1 */
typedef struct { AtomKind kind; int loop; IRef e; int64_t c; int64_t lo, hi; } Atom;    /* value in [lo, hi] */
typedef struct { int64_t k; int atom; } Term;
typedef struct { int n; Term *t; int64_t c, lo, hi; uint64_t deps; } IndexExpr;             /* deps: bit per loop variable */

/* ---- conditions and scalar expressions ---- */
typedef struct { IRef e; int64_t lo, hi, mod; } Cond;         /* mod == 0: lo <= e < hi; else mod divides e */
typedef enum { K_CONST, K_SCALAR, K_LOAD, K_IOTA, K_DRAW, K_OP, K_SELECT, K_ACC } KKind;
typedef struct {
    KKind kind;
    Type type;
    Op op;                                           /* K_OP */
    double value;                                    /* K_CONST */
    int slot;                                        /* K_SCALAR: plan scalar; K_LOAD: kernel buffer; K_DRAW: kernel draw; K_ACC: which accumulator
                                                        (value 1: the same for all columns of a row) */
    IRef index, index2;                              /* K_LOAD: offset; K_IOTA: value; K_DRAW: sample row, element */
    int n_cond; Cond *cond;                          /* K_SELECT: all hold ? in[0] : in[1] */
    int n_in; KRef in[3];
    double nan, inf;                                 /* nan_to_num */
    uint64_t deps;
    Origin at;
} KExpr;

typedef struct { Sym name; int64_t size; bool bounded; } Loop;   /* runs over 0 .. size-1; bounded: to the kernel's bound, where that is easy */

/* A tensor held in memory: physical axes, outermost first. */
typedef struct { int n; Axis axis[MAX_AXES]; } Layout;
typedef enum { BUF_INPUT, BUF_OUTPUT, BUF_CARRY, BUF_PARAM, BUF_GRAD, BUF_FLAT, BUF_STATE, BUF_ARENA } BufKind;
typedef struct {
    BufKind kind; Sym name, set;
    int64_t elements, offset;                        /* offset: arena (f32 elements), or into the flat arrays */
    Number type;                                     /* of its elements; not NUM_F32: only in the arena */
    int whole; int64_t from;                         /* 1 + the arena buffer that it is a part of, from that element on; 0: it has memory of its own */
    Layout layout;                                   /* physical */
    TensorDecl decl;                                 /* input, output, carry: declared axes */
    int first, last;                                 /* life, in steps */
} Buffer;
typedef struct { DrawKind kind; Sym path; double p; int p_scalar; int n_axes; Axis axes[MAX_AXES]; } DrawSite;

/* ---- operands of a contraction ----
   A stage is a region of a source evaluated once per element (prologue), zero outside the source (mask on the prologue's result), then read
   through taps: source index = output index + tap * dil - pad along each windowed axis. Without windows it is a plain panel, or read in place. */
typedef struct { Sym axis, kaxis; int64_t k, dil, pad, in, out; int loop, kloop; } Tap;
typedef struct {
    Ref node;                                        /* the source after peeling windows and renames */
    int n_taps; Tap tap[2];
    int n_axes; Axis axes[MAX_AXES]; Sym outer[MAX_AXES];   /* source axes, and the contraction's role each stands for */
    int loop[MAX_AXES];                              /* loop variable for each source axis (stage loops) */
    KRef value;                                      /* prologue over those loops */
    bool direct;                                     /* a plain load, unmasked, linear: BLAS reads it in place */
    int slot; int64_t base; int64_t stride[MAX_AXES];/* direct: buffer, offset, stride of each source axis */
} Operand;
typedef struct { Operand a, b; int n_k; Axis k[MAX_AXES]; } Segment2;    /* a K segment: sum over its K axes of a * b; all have the first one's rows and columns */

typedef enum { KERNEL_MAP, KERNEL_REDUCE, KERNEL_PASS, KERNEL_TABLE, KERNEL_CONTRACT } KernelClass;   /* TABLE: acc[0] the condition, out[0] its rows, acc_op[i] which table store[i] is */
typedef enum { LEAF_LOOPS, LEAF_GEMM, LEAF_TAPS_K, LEAF_TAPS_OUT } Leaf;   /* how a contraction's sum is computed; chosen by lower.c, reason recorded */
/* When a value is there: for each element; for each row, when its columns are summed; at the end of a task, for each column. */
typedef enum { AT_ELEMENT, AT_ROW, AT_TASK } Level;
typedef struct { int slot; IRef offset; KRef value; Layout layout; Level level; } Store;
/* A reduction inside of a contraction's epilogue or a pass: over the columns of each row (AT_ROW), or over the rows of a task for each column (AT_TASK). */
typedef struct { Op op; KRef value; int acc; Level level; int64_t count; } Inner;

typedef struct Kernel {
    KernelClass cls;
    Arena *arena;
    int n_loops, loops_cap; Loop *loop;
    int n_atoms, atoms_cap; Atom *atom;
    int n_index, index_cap; IndexExpr *index;
    int n_expr, expr_cap; KExpr *expr;
    int n_out; int out[MAX_AXES]; Axis out_axes[MAX_AXES];      /* loops over the result, physical order of the store */
    int n_red; int red[MAX_AXES];                    /* REDUCE: outer loops summed over */
    int n_suf; int suf[MAX_AXES]; bool suf_red[MAX_AXES];       /* REDUCE: innermost loops, kept as an array of accumulators; some of them summed at the end */
    int n_acc; KRef acc[8]; Op acc_op[8];            /* REDUCE: values reduced side by side (sum, sqdev or rmax) */
    Leaf leaf; const char *reason;
    int n_seg; Segment2 *seg;                        /* CONTRACT */
    Precision precision;                             /* CONTRACT: of the product's node */
    int n_m, n_n, n_k, n_b; Axis m[MAX_AXES], nn[MAX_AXES], k[MAX_AXES], b[MAX_AXES];   /* CONTRACT: rows, columns, summed, batch; outermost first */
    int loop_m[MAX_AXES], loop_n[MAX_AXES], loop_b[MAX_AXES];   /* epilogue loops */
    int n_store; Store store[16];                    /* epilogue: K_ACC leaves are the reduced values */
    int n_inner; Inner inner[8];                     /* PASS, CONTRACT: in order; a later one may use the rows' results of earlier ones */
    int64_t tile_rows;                               /* CONTRACT: rows axis 1 is worked on in pieces of this size, because inner[] says so; 0: free */
    int n_task, n_row, n_col; int task[MAX_AXES], row[MAX_AXES], col[MAX_AXES];   /* PASS: loops shared out, summed over, innermost */
    int n_buf, buf_cap; int *buf;                    /* segment buffers, in slot order */
    int bound; Axis bound_axis;                      /* slot of how many rows of the axis are wanted, or -1: all; the others' results are read by nobody */
    int n_draw; int draw[16];                        /* segment draws, in slot order */
    int64_t scratch, shared, flops, bytes, issued_bytes;         /* bytes: distinct ones; issued: with re-reads (traffic.c) */
    int64_t *slot_bytes;                             /* of `bytes`, those of each buffer */
    int64_t launch_bytes;                            /* distinct ones of all instances of the launch; group.c, 0 before */
    int n_nodes; Ref nodes[64];                      /* graph nodes computed here, for headers and explain */
    Ref root;
    struct Kernel *twin;                             /* computes the same layers for other data, and is to run in one launch with this one; pair.c */
    int n_member; struct Kernel **member;            /* further instances of the launch: equal kernels, in this order after this one */
    bool instances;                                  /* the text loops over instances */
    uint64_t hash; char *body; char name[80];           /* body: NULL when an equal kernel was printed before */
    int text;                                        /* index into the plan's distinct kernels */
} Kernel;

/* ---- a segment after lowering ---- */
typedef struct {
    const Module *m; Program *prog; Segment *seg; Graph *g; Arena *arena;
    int n_buf, buf_cap; Buffer *buf;
    int n_draw, draw_cap; DrawSite *draw;
    int n_kernel, kernel_cap; Kernel **kernel;       /* in execution order */
    int n_all; Kernel **all;                         /* after group: every kernel, instances too */
    const Layout *params;
    int *home;                                       /* node -> buffer, or -1 */
    int64_t arena_elements, flops, bytes;
} Lowered;

/* ---- all segments of a module on their way from graphs to the plan ---- */
typedef struct {
    Kernel *k; Lowered *l;                           /* one representative of equal kernels */
    int n_inst, cap_inst; Sym *inst;                 /* instance paths */
    int n_src, cap_src; char **src;                  /* "file:line" */
    int n_mark, cap_mark; struct Mark *mark;         /* lines of its parts (marks.c) */
    struct CudaText *cuda;                           /* NULL when not compiled for cuda */
} KernelText;
typedef struct CudaText CudaText;                    /* emit_cuda.h */
typedef struct Mark { int part; Sym file; int line; } Mark;
typedef struct Backend {
    Module *m;
    Layout *params;                                  /* per parameter */
    int n_low, cap_low; struct { Segment *seg; uint64_t hash; Lowered *l; bool owned; } *low;   /* every segment but init's, in program order */
    int n_text, cap_text; KernelText *text;          /* distinct kernels */
} Backend;

bool draws_by_row(const DrawSite *d);                   /* lower.c; does it have an axis n, so that each row is a sample's own? */

/* index.c */
IRef ix_const(Kernel *k, int64_t c);
IRef ix_loop(Kernel *k, int loop);
IRef ix_add(Kernel *k, IRef a, IRef b);
IRef ix_scale(Kernel *k, IRef a, int64_t s);
IRef ix_addc(Kernel *k, IRef a, int64_t c);
IRef ix_div(Kernel *k, IRef a, int64_t c);           /* floor */
IRef ix_mod(Kernel *k, IRef a, int64_t c);           /* 0 .. c-1 */
IRef ix_table(Kernel *k, int slot, IRef a, int64_t size);            /* the number that buffer `slot` holds at a, 0 .. size-1 */
int new_loop(Kernel *k, Sym name, int64_t size);
bool ix_linear(const Kernel *k, IRef a, int loop, int64_t *coef);    /* coefficient of a loop; false when the loop is also inside a div or mod */
/* C text; names[loop] is each loop variable's name in the text. */
void ix_print(StrBuf *b, const Kernel *k, IRef a, const char *const *names);
/* The same of an index by itself, with another name for one loop where it stands alone; loop -1: for none. */
void ix_print_flat(StrBuf *b, const Kernel *k, const IndexExpr *x, const char *const *names, int loop, const char *flat);

/* layout.c: physical order of every parameter (params_order) and a stride rank for every node's axes */
typedef struct { double rank[MAX_AXES]; } Ranks;
void layout_params(const Module *m, Layout *order);  /* [n_params] */
Ranks *layout_ranks(const Module *m, const Graph *g, const Layout *params);   /* heap, per node */

/* regroup.c: a contraction that is a sum of element-wise products: one operand has all roles of the other. */
bool pointwise_contract(const Graph *g, const Node *n);

int64_t buffer_size(const Buffer *b);                /* lower.c; in f32 elements */
bool weight_buffer(const Buffer *b);                     /* lower.c; a parameter, or its image in 2 bytes */
int memory_of(const Lowered *l, int buf);            /* lower.c; the buffer itself, or the one that it is a part of */

/* marks.c */
void marks_add(KernelText *t, const Lowered *l, const Kernel *k);              /* the lines of one instance */
void marks_take(KernelText *t, const KernelText *from);                          /* from's lines, too */
void marks_print(StrBuf *b, const KernelText *t, const char *body);            /* the text with its marks filled in */

/* traffic.c */
void kernel_traffic(const Lowered *l, Kernel *k);    /* fills bytes, slot_bytes and issued_bytes */
int64_t launch_bytes(const Kernel *k);               /* of a launch with all its instances: what several of them read counts once */

/* kernel_hash.c */ uint64_t kernel_hash(const Lowered *l, const Kernel *k);   /* equal: the same text, given the same slots */

int axis_index(const Node *n, Sym role);             /* lower.c; -1 when absent */
/* contraction.c */
int op_axis(const Operand *o, Sym role);             /* the operand's source axis that stands for a role of the contraction, or -1 */
int64_t axes_product(const Axis *v, int n);

/* ---- passes; each works on all segments (backend.c) or on one ---- */
/* layout.c  L */ Backend *layout(Module *m);                                  /* params_order; the backend every later pass works on */
/* regroup.c R */ void regroup(Graph *g, const Module *m, const Layout *params);
/* fuse.c    F */ void fuse(Graph *g, const Ranks *ranks);       /* fills held and into */
/* budget.c  B */ void budget(Backend *b, int64_t bytes);     /* arenas of at most so many bytes, by computing again; exits 1 when that cannot be */
/* lower.c   O */ void lower(Backend *b);                                      /* fused graphs to kernels in execution order */
/* pair.c    T */ void pair(Backend *b, int64_t mem);                          /* equal layers of two evaluations as twins; mem: bytes an arena may have, 0: no more than before */
/* group.c   G */ void group(Backend *b, bool join);                           /* join: equal small kernels as one launch; the final order */
/* memplan.c M */ void memplan(Backend *b);                                    /* arena offsets, peak */
/* emit_c.c  H */ void emit_c(Backend *b);                                     /* the C text of every distinct kernel */
/* emit_cuda.c U */ void emit_cuda(Backend *b);                                /* their CUDA text, if the plan is for cuda */
/* share_cuda.c V */ void share_cuda(Backend *b);                               /* kernels whose CUDA texts differ in numbers only: one text */
void backend_free(Backend *b);
void backend_dump(StrBuf *out, const Backend *b, char letter);                  /* what -d O, M and H show */
Lowered *lower_segment(const Module *m, Program *p, Segment *s, const Layout *params);
/* The same kernels in the same order, reading rows where they are instead of through tables, and without bounds: right for a table of all rows. */
Lowered *lower_segment_all_rows(const Module *m, Program *p, Segment *s, const Layout *params);
int add_buffer(Lowered *l, Buffer b);
Kernel *kernel_copy(Lowered *l, const Kernel *k);    /* into k's place of nobody: it is not among l's kernels */
void kernel_free(Kernel *k);
void group_segment(Lowered *l);
void lives(Lowered *l);                                                        /* lower.c: first and last of every buffer, from the order of kernels */
void memplan_segment(Lowered *l);
void emit_kernel(const Lowered *l, Kernel *k);                                  /* fills body, name, scratch, shared */
void lowered_free(Lowered *l);
bool segment_is_update(const Segment *s);
int64_t param_padded(const Param *p);                /* elements rounded up to a multiple of 16 */
#endif
