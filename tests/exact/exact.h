/* Exact mode: what the tool's parts share. The interpreter (interpret.c) and the compiled kernels (machine.c) run the segments of
   a plan on the same elements of the prime field of field.h; their results must be equal. */
#ifndef ECT_EXACT_H
#define ECT_EXACT_H
#include "runtime/ref_graph.h"
#include "tests/exact/field.h"
#define EXACT_NUMBER FpCell
#define EXACT_POINTER FpPointer
#include "tests/exact/args.h"

/* ---- the tensors of one run of a program, in the order that device.h's Launch has them; each side has a copy of its own ---- */
typedef struct {
    const Plan *plan;
    const PlanProgram *program;
    Fp **in, **out, **carry;                         /* row-major; NULL: the input does not exist, the output is grad.* */
    Fp **set, *grad, **state;                        /* flat arrays in physical order; an EMA's state is its set */
    Fp *scalar;                                      /* per plan scalar; of the segment being run */
    uint64_t step, sample0, salt;
} Tensors;
/* Weights, state and inputs are hashes of `salt` and their place, the same in every call; what programs write starts as hashes of
   `junk`, which differs on the two sides, so that an element nobody writes is seen. */
Tensors *tensors_new(const Plan *plan, const PlanProgram *program, uint64_t salt, uint64_t junk);
void tensors_free(Tensors *t);
/* Fills t->scalar for a segment; turn: 1, 2, ... in repeated ones, else 0. */
void tensors_scalars(Tensors *t, const PlanSegment *segment, int turn);
/* Array number `index` of those a program may write: its name for messages, values (NULL: none), elements; false behind the
   last. */
bool tensors_result(const Tensors *t, int index, const char **name, Fp **v, int64_t *n);
uint64_t draw_key(const char *name);

/* ---- interpreter ---- */
typedef struct {
    RefGraph *g;
    Fp **value;                                      /* per node: kept for `keep`, else NULL after the run */
    bool *keep;
    int *count;                                      /* per node: the rows_count past which its rows hold anything, or -1 */
} Interpreter;
/* fused: the graph that kernels were made of, whose ids name the arena's buffers, instead of the one the interpreters of ect-rt run.
   user_error when the text is not legal. */
Interpreter *interpreter_new(const Plan *plan, const PlanSegment *segment, bool fused);
/* Computes every node, stores the outputs in t. */
void interpreter_run(Interpreter *x, const PlanSegment *segment, Tensors *t);
void interpreter_free(Interpreter *x);
/* The node of the fused graph a buffer holds when it is written: v<id>, or the name of an output; -1 for other names. */
int node_of_buffer(const Interpreter *x, const char *name);

/* ---- kernels ---- */
typedef void ExactFn(const EctArgs *a);
typedef struct { const char *name, *text; } ExactSource; /* a kernel's function, and its file's text */
typedef struct Library Library;
/* Compiles with $CXX (g++); machine_error with the compiler's words when that fails. headers: the folder of prelude.h; dir: a
   folder to fill; count: record loads and stores. */
Library *library_new(const char *dir, const char *headers, const ExactSource *source, int n, bool count);
ExactFn *library_function(const Library *l, const char *name);
ExactRecord *library_record(const Library *l);

/* ---- CUDA texts (emulate.c) ---- */
typedef struct Emulated Emulated;
typedef struct { int kernel; const char *text; } EmulatedText;
/* The CUDA text of a plan's kernel (heap). user_error when the plan has none. */
char *emulated_text(const Plan *plan, int kernel);
/* Compiles for the emulator; of several texts of a kernel the first runs. */
Emulated *emulated_new(const Plan *plan, const EmulatedText *text, int n, const char *headers);
void emulated_use(Emulated *e, int kernel, int text);            /* from now on text[text] runs as this kernel */
/* A step's entries one after another. salt: of the workspace's junk and of the order of threads. False: *finding (heap) says what the emulator found. */
bool emulated_run(Emulated *e, const PlanStep *s, const FpPointer *buf, const unsigned long long *key, const Tensors *t, uint64_t salt, char **finding);

/* The first thing a launch was seen to do wrong, for messages: buffers are compared with the interpreter's values right after the
   launch that wrote them, and nothing may be stored beside the planned buffers. */
typedef struct { bool found, beside; char text[700]; } Finding;      /* beside: it stored where no buffer is */
typedef struct { int64_t read, written; } Touched;   /* distinct bytes of the plan */
typedef struct {
    const Plan *plan;
    const Library *library;                          /* NULL: touched is not wanted */
    ExactFn **fn;                                    /* per plan kernel */
    Emulated *emulated;                              /* NULL, or the CUDA texts, which run instead of fn */
    char *const *text;                               /* per plan kernel: its file; NULL where it is not used */
    Touched *touched;                                /* NULL, or per step what it touched (a library made to count) */
    const Interpreter *check;                        /* NULL, or the fused graph's, with the values buffers should hold */
    Finding finding;
    void (*at_step)(void *user, int step); void *user;         /* NULL, or called before each step */
} Machine;
/* Runs a segment's steps, in order, on t. Sets m->finding. */
void machine_run(Machine *m, const PlanSegment *segment, Tensors *t);

/* ---- all kernels of some programs, and comparing (exact.c) ---- */
/* text, fn, cuda: per plan kernel, NULL where it is not used; n: how many are. emulated: NULL, or the CUDA texts run and not the C ones. */
typedef struct { const Plan *plan; char **text, **cuda; ExactFn **fn; Library *library; Emulated *emulated; int n; } Compiled;
/* Whether all results are equal; says which is not. values: NULL, or how many were compared. */
bool tensors_equal(const Tensors *want, const Tensors *got, const PlanSegment *segment, int64_t *values);

/* ---- planted faults (plant.c) ---- */
/* Plants faults in the kernels and the steps of a program's first segment one by one (of CUDA texts: in kernels only), prints what became of them
   and `N of N planted faults found`. few: each rule in one kind of kernel. dir: a folder to fill. Returns whether all were found. */
bool plant_faults(const Plan *plan, const PlanProgram *program, const Compiled *kernels, bool few, const char *dir, const char *headers);
#endif
