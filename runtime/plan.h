/* The plan as ect-rt holds it: docs/plan.md in C structs. Everything hangs on one arena and is immutable after plan_load.
   Validated completely on load: whoever reads it may trust every index, offset, size and name. */
#ifndef ECT_PLAN_H
#define ECT_PLAN_H
#include "runtime/base.h"
#include "runtime/number.h"

enum { PLAN_VERSION = 2, PLAN_MAX_AXES = 16 };

/* Roles and sizes, outermost first. */
typedef struct { int n; const char *role[PLAN_MAX_AXES]; int64_t size[PLAN_MAX_AXES]; } PlanShape;
int64_t shape_elements(const PlanShape *s);          /* 1 when there are no axes; 0 when a size is 0 */
int shape_axis(const PlanShape *s, const char *role);/* index or -1 */

typedef struct { const char *name, *value; } PlanConfig;
typedef struct {
    const char *name, *was;                          /* was: older name accepted in weight files, or NULL */
    PlanShape shape;                                 /* file order */
    int order[PLAN_MAX_AXES];                        /* physical order, outermost first: indices into shape */
    int64_t stride[PLAN_MAX_AXES];                   /* derived: physical stride of each axis of shape */
    int64_t offset, elements;                        /* in the flat parameter array */
} PlanParam;
typedef struct {
    const char *name;
    double init;
    bool from_param, ema;
    int set;
} PlanState; /* set: index into sets if ema, else -1 */
typedef struct { const char *name; bool is_int; const char *expr; } PlanRuntime;
/* A kernel's CUDA text: entries that run one after another, each as a grid of grid[0] x grid[1] x instances blocks of `block` threads. */
typedef struct { const char *entry; int64_t grid[2]; int block; int64_t shared; } PlanCudaLaunch;       /* shared: dynamic, bytes */
typedef struct { const char *name; bool real; double value; } PlanNumber;      /* an int, or a float */
/* Kernels that differ in numbers only share a text: the same file and entries. */
typedef struct {
    const char *file;                                /* relative to the plan */
    int instances;                                   /* the most that a launch of it has: buffers its arguments have room for */
    int64_t workspace;                               /* bytes that a launch needs */
    int n_launches; PlanCudaLaunch *launch;
    int n_numbers; PlanNumber *number;               /* behind the buffers in the arguments: ints, then floats */
} PlanCuda;
/* A kernel that is a plain matrix product d = alpha * a b + bias, d: m x n, a: m x k, b: k x n; elements lie column by column: (row, column) of
   batch element i at offset + i*stride + row + column*ld, row and column exchanged where transposed. */
typedef struct {
    int buffer;                                      /* of an instance's buffers */
    int64_t offset, ld, stride, extent;              /* extent: elements from the first to the last one used */
    bool transposed;
    Number round;                                    /* its f32 elements are rounded to this first; NUM_F32: they are taken as they are */
} PlanMatrix;
typedef struct {
    int64_t m, n, k, batch;
    double alpha;
    Number number;                                   /* of a's and b's elements */
    PlanMatrix a, b, d;
    int bias;                                        /* buffer of m numbers of d's type, or -1 */
    int64_t bias_offset;
} PlanProduct;
typedef struct {
    const char *name, *file, *cls;                   /* file: relative to the plan */
    const PlanCuda *cuda;                            /* NULL when the plan was not compiled for cuda */
    const PlanProduct *product;                      /* NULL when it is more than a product, or the plan does not say */
    const char *shape;                               /* result and sum, for people; "" when the plan does not say */
    const char *precision;                           /* of its products' operands: the plan's unless it says otherwise */
    int64_t flops, bytes, scratch, shared;           /* scratch: bytes per thread; shared: bytes per launch */
    int64_t issued_bytes;                            /* with re-reads; -1 when the plan does not say */
    int n_instances; const char **instance;
    int n_source; const char **source;
    int n_slots; const char **slot;                  /* physical shape of each buffer, "[n:128, c:256]", outermost axis first; none when the plan does not say */
} PlanKernel;
/* The words of 8 bytes that a kernel's numbers take behind its buffers in the arguments; writes them. */
static inline size_t plan_number_words(const PlanCuda *c) { return ((size_t)c->n_numbers + 1) / 2; }
void plan_numbers(const PlanCuda *c, uint64_t *to);

typedef enum { BUF_INPUT, BUF_ARENA, BUF_PARAM, BUF_GRAD, BUF_OUTPUT, BUF_CARRY, BUF_STATE, BUF_FLAT } BufKind;
typedef struct {
    const char *name;                                /* "" for parameters */
    BufKind kind;
    Number type;                                     /* of its elements; not NUM_F32: only in the arena */
    int64_t elements, offset;                        /* offset: arena (elements of f32), param, grad; 0 for the others */
    int set;                                         /* param, part of an image of parameters: index into sets; -1 for the others */
    int state;                                       /* state: index into states */
    int io; /* input, output: index into the program's inputs, outputs; carry: into its carries */
    int first, last;                                 /* arena: first and last step that uses it, -1 when none does; -1 for the others */
    int within;                                      /* arena: the image of all parameters that it, a parameter's, is a part of; -1: none */
    PlanShape shape;                                 /* input, output, carry; n = 0 otherwise */
} PlanBuffer;
typedef enum { PLAN_UNIFORM, PLAN_NORMAL, PLAN_BERNOULLI } PlanDrawKind;
typedef struct {
    const char *name;                                /* "draw.time": the path whose hash is the key */
    PlanDrawKind kind;
    double p; int p_scalar;                          /* bernoulli: constant, or index into scalars (-1: none) */
    PlanShape shape;                                 /* listed roles: order in files */
    int64_t rows, per_row;                           /* derived: size of n (1 without n), elements a row */
} PlanDraw;
typedef struct {
    int kernel, n_buffers, *buffer, n_draws, *draw;
    int instances;                                   /* equal kernels in this launch; each has its share of buffer[], in order */
    int64_t bytes;                                   /* of all instances; what several of them read counts once */
    const char *at, *path;
    int n_nodes, *node;                              /* nodes of the segment's graph that it computes, ascending */
    int n_source; const char **source;               /* "file:line" of each */
} PlanStep;
typedef enum { PHASE_NONE, PHASE_MICRO, PHASE_UPDATE } PlanPhase;
typedef struct {
    const char *name, *graph;                        /* graph: file relative to the plan */
    PlanPhase phase;
    const char *each, *time;                         /* run-time list and the scalar's name, or NULL */
    int n_buffers; PlanBuffer *buffer;
    int n_draws; PlanDraw *draw;
    int n_steps; PlanStep *step;
    int64_t peak_bytes, flops, bytes;                /* peak_bytes: size of the arena */
} PlanSegment;
typedef struct { const char *name; PlanShape shape; } PlanTensor;
typedef struct {
    const char *name;
    bool training;
    int n_inputs; PlanTensor *input;                 /* an axis of size 0: the input does not exist */
    int n_outputs; PlanTensor *output;               /* "grad.<parameter>" too */
    int *output_param;                               /* per output: the parameter of a "grad." output, or -1 */
    int n_carries; PlanTensor *carry;                /* derived: tensors between segments, by name */
    int n_segments; PlanSegment *segment;
} PlanProgram;
typedef struct Plan {
    Arena *arena;
    const char *dir, *model, *compiler;              /* folder as given; model file; ectc's version */
    bool loss_scale;                                 /* training scales the loss: loss_scale.h */
    const char *precision;                           /* of contractions' operands: "f32" unless the plan says otherwise */
    int64_t batch;
    int n_config; PlanConfig *config;
    int n_params; PlanParam *param;                  /* storage order */
    int64_t param_elements;
    int n_sets; const char **set;                    /* [0] is "" */
    int n_states; PlanState *state;
    int n_runtime; PlanRuntime *runtime;
    int n_scalars; const char **scalar;
    int n_streams; const char **stream;
    int n_kernels; PlanKernel *kernel;
    int n_programs; PlanProgram *program;
} Plan;

/* Read and validate DIR/plan.json. NULL and *err (heap; one line: what, where, how to mend) when anything is wrong. */
Plan *plan_load(const char *dir, char **err);
void plan_free(Plan *p);
const PlanProgram *plan_program(const Plan *p, const char *name);   /* NULL when absent */
int plan_param_index(const Plan *p, const char *name);              /* by name, then by `was`; -1 when absent */
/* Path of a file of the plan, heap. */
char *plan_path(const Plan *p, const char *file);
#endif
