/* The random-program fuzzer: choices, the generator of model texts, the reducer.
   Assumes a program is its choices and nothing else: equal choices give equal texts, and any choices give a legal one. */
#ifndef ECT_FUZZ_H
#define ECT_FUZZ_H
#include "runtime/base.h"

/* ---- choices (choices.c) ----
   A list of numbers. What lies beyond its end is drawn from `rng`, or is 0 where rng is 0: 0 is the simplest choice. */
typedef struct { int n, cap, *v; int at; uint64_t rng; } Choices;
typedef struct { Choices head; int n, cap; Choices *stmt; } BodyPlan;    /* a block's body: choices for each statement */
enum { BLOCKS = 3 };                                                         /* the network and two blocks that it applies */
typedef struct { BodyPlan body[BLOCKS]; Choices tail; } ProgramPlan;         /* body[0] is the network */

int choose(Choices *c, int n);                       /* 0 .. n-1; the next number of the list modulo n */
int choose_size(Choices *c, const int *list);
ProgramPlan *plan_of_seed(uint64_t seed);
ProgramPlan *plan_copy(const ProgramPlan *p);
void plan_drop(ProgramPlan *p);
void plan_replay(ProgramPlan *p);                    /* to the start of every list, nothing random beyond its end */
int plan_statements(const ProgramPlan *p);

/* The smallest plan found, within `seconds`, for which fails(text, ctx) still holds; `p` is dropped. */
ProgramPlan *reduce(ProgramPlan *p, bool fails(const char *text, void *ctx), void *ctx, double seconds);

/* ---- tensors of the text being made ---- */
enum { MAX_ROLES = 6 };
/* How large tensors are, and how many terms a sum has: small ones are computed whole by every device; large ones have the sizes of layers. */
typedef struct { int64_t elements, work; const int *rows, *axis, *side, *size, *channels; } Sizes;   /* lists end with 0 */
extern const Sizes small_sizes, large_sizes, *sizes;
typedef struct { int role, size; } RoleSize;
typedef struct { int n; RoleSize a[MAX_ROLES]; } Shape;
typedef struct {
    char *name, *text;                               /* text: its statements; NULL for an input */
    Shape s;
    double size;                                     /* how large its elements are, roughly */
    bool exact;                                      /* an input or a draw, moved about: it compares alike everywhere */
    bool live;
    int n_deps, dep[12];
    unsigned streams;                                /* bits: stream_name */
    int applies;                                     /* the block that it applies, or 0 */
} Val;
typedef struct {
    Val v[96];
    int n, params;
    StrBuf text;                                     /* of the value being made: what stands before it */
    int n_deps, dep[12];                             /* its operands so far */
    unsigned streams;
    int applies;
} Scope;
typedef struct {
    ProgramPlan *plan;
    bool made[BLOCKS];
    Shape in[BLOCKS], out[BLOCKS];
    unsigned streams[BLOCKS];
    char *block[BLOCKS];                             /* texts */
    double out_size[BLOCKS];
} Gen;
enum { STREAM_NOISE = 1, STREAM_MASK = 2 };

/* ---- values.c ---- */
const char *role_name(int role);
int role_fresh(const Shape *a, const Shape *b, int after);          /* the first behind `after` that neither has; b may be NULL */
int64_t shape_count(const Shape *s);
char *shape_text(const Shape *s);                                    /* "n:2, c:3" (heap) */
int shape_find(const Shape *s, int role);                            /* index, or -1 */
bool shape_join(const Shape *a, const Shape *b, Shape *out);         /* false: a role of two sizes, too many roles or elements */
Shape shape_without(const Shape *s, int role);
Shape shape_with(const Shape *s, int role, int size);                /* `role` at the end, or its size replaced */
/* Appends `let vN = ...`; size: how large its elements are, roughly. Values that would grow or vanish are scaled back. */
void value_add(Scope *sc, Shape s, double size, bool exact, const char *fmt, ...) PRINTF(5, 6);
const char *value_use(Scope *sc, int i);                             /* the name, noted as an operand */
const char *param_use(Scope *sc, const Shape *s);                    /* a new parameter's name; the first axis is its output */

/* ---- statements.c, views.c: each appends one value ---- */
typedef struct { Gen *g; Scope *sc; int block; Choices *c; int x; } Ctx;     /* x: the operand */
void statement(Gen *g, Scope *sc, int block, Choices *c);
int role_choose(Ctx *k);                                             /* index of one of x's axes */
int partner(Ctx *k, bool exact);                                     /* a value that joins x; x itself when there is no other */
int size_choose(Ctx *k);
void kind_element(Ctx *k);
void kind_window(Ctx *k);
void kind_conv(Ctx *k);
void kind_rearrange(Ctx *k);
void kind_index(Ctx *k);
void kind_concat(Ctx *k);

/* ---- generate.c ---- */
char *generate(ProgramPlan *p);                      /* the model text of the plan, played from its start (heap) */
void block_make(Gen *g, int block, const Shape *in);                        /* body[block] as a block over such a tensor */

#endif
