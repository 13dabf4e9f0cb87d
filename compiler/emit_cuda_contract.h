/* Shared by the printers of CUDA contractions: emit_cuda_contract.c (the structure), emit_cuda_stage.c (operands in shared memory), emit_cuda_lines.c (those of
   convolutions), emit_cuda_leaf.c (what
   multiplies two stages), emit_cuda_wgrad.c (gradients of convolutions' weights). */
#ifndef ECT_EMIT_CUDA_CONTRACT_H
#define ECT_EMIT_CUDA_CONTRACT_H
#include "compiler/emit_cuda.h"

enum { BK_FMA = 16, BK_MMA = 32, BK_TF32 = 16, PAD_MMA = 8, PAD_TF32 = 4, TN = 4 };             /* depths of a stage, gaps between its lines, columns of a thread */
enum { FULL = 132 };                                 /* blocks that keep a large GPU busy */

/* A convolution's rows in tiles of whole image lines: the operand is staged once an element, with its border, and read by every tap. */
typedef struct {
    bool on;
    const Tap *h, *w;                                /* outer and inner windowed axis; h may be NULL */
    int64_t H, W, lines, images;                     /* lines of an image that a tile has, images that it has */
    int64_t SH, SW, left_h, left_w;                  /* lines and pixels of the stage; of them before the tile's first */
    int n_inner; Axis inner[MAX_AXES]; int64_t depth;/* summed axes beyond taps */
} Halo;
typedef struct {
    Halo halo;                                       /* of the first segment */
    int64_t M, N, B, TASK, tasks;                    /* rows, columns, batch; rows of a task, tasks of a batch element */
    int64_t BM, BN, BK, CN;                          /* tile of a block, depth of a stage, columns of the tile's end */
    int64_t column_blocks, splits, K0;               /* splits: of the sum over K; K0: of the first segment */
    bool mma; Number number;                         /* mma: with operands of this precision; else NUM_F32 */
    bool whole_rows;                                 /* a row is reduced, so the block has all columns */
    int warps_m, warps_n;
    const char *per_tap;                             /* a convolution's weight gradient: why its operand is staged for each tap, or NULL */
    int ring;                                        /* stages of what comes by asynchronous copies; 0: nothing does, two stages take turns */
    bool two_lines;                                  /* halo: two stages, one being filled with the next channels */
    CudaTile *end;                                   /* what is done with the tile */
} Shape;
/* rows_inner: [depth][wide], else [wide][depth]. copy: filled by asynchronous copies */
typedef struct { const char *name; bool rows_inner; int64_t wide, depth; bool copy; } Stage;

/* ---- emit_cuda_parts.c ---- */
/* Prints the second entry of a sum in parts: adds them up in order, then the epilogue. */
void sum_parts(Emit *e, CudaText *t, const Shape *s, int64_t parts);

/* ---- emit_cuda_wgrad.c ---- */
/* Prints a convolution's weight gradient with all taps reading one stage, and returns NULL; or prints nothing and returns why that cannot be. */
const char *cuda_wgrad(Emit *e, CudaText *t);

/* ---- emit_cuda_stage.c ---- */
Number precision_of(const Emit *e, const Operand *o);                          /* that its values have; NUM_F32: any */
int64_t stage_pad(const Shape *s);                   /* elements between lines of a stage */
bool stage_half(const Shape *s);
const char *stage_type(const Shape *s);
int64_t stage_size(const Shape *s, int64_t wide);    /* elements of a stage of `wide` rows or columns */
/* Do neighbours along the innermost wide axis of v[] lie next to each other in what the operand loads? */
bool stage_contiguous(const Emit *e, const Operand *o, const Axis *v, int n);
const char *stage_at(Emit *e, const Shape *s, const Stage *g, const char *wide, const char *deep);
/* Declares the variables of axes v[] from a flat number; of_first: the role of which the variable is the first of several elements', NAME_0. */
void decode_axes(Emit *e, const Operand *o, const char *flat, int n, const Axis *v, Sym of_first);
const Axis *innermost(const Axis *v, int n);         /* longer than 1, if there is one */
/* How many elements along a role a thread stages at once. next: they are neighbours in what the operand loads. */
int64_t vector_width(const Shape *s, const Operand *o, Sym role, int64_t size, bool next);
/* `value`, or value[width]: the operand's elements, 0 where the condition does not hold. loop: along which they lie, its variable being NAME_0. */
void staged_value(Emit *e, const Operand *o, const char *condition, int loop, int64_t width, char *const *fetched);
/* Is the index along the loop one of neighbours, and a multiple of `width` where the loop's variable is one? */
bool aligned_index(const Kernel *k, IRef i, int loop, int64_t width);
bool steady_index(const Kernel *k, IRef i, int loop, int64_t width);           /* does it stay the same there up to the next multiple? */
/* Prints loads and draws of `value` for `width` elements along the loop, whose variable is called after the first; e->tmp then has their element q. */
void vector_loads(Emit *e, KRef value, int loop, int64_t width, char *const *fetched);
void put_staged(Emit *e, const Shape *s, const char *at, int64_t step, int64_t width);         /* stores them from `at` on, `step` apart */
/* Fills a stage: element (wide, deep) is the operand at row or column first + wide and summed index k0 + deep of the axes v[]; 0 outside. */
void stage_fill(Emit *e, const Shape *s, const Segment2 *g, int seg, char side, const Stage *stage, int n_k, const Axis *v);
/* May operand `side` be copied as it lies in memory, 16 bytes at a time? */
bool stage_copies(const Emit *e, const Shape *s, const Segment2 *g, char side);
bool as_it_lies(const Emit *e, const Shape *s, const Operand *o, int loop, int64_t width);
const Tap *tap_on(const Operand *o, Sym role);       /* the operand's window along a role, or NULL */
void stage_also(StrBuf *b, const char *condition);   /* && condition */
/* Prints a copy of 16 bytes of the operand to a stage, by an asynchronous copy; of zeros where the condition does not hold. */
void copy_piece(Emit *e, const Operand *o, const char *at, const char *condition);
/* What is done with a piece of a stage: a copy begins; loads of what it is made of begin, to the variables fetched[]; it is put there. */
typedef enum { PIECE_COPIED, PIECE_FETCHED, PIECE_STAGED } PieceStep;
/* What a piece is made of that comes from memory in 2 bytes: a variable, NAME at, per expression, or NULL. A choice between two such loads has their variable, too. Heap. */
char **pieces_fetched(const Emit *e, const Operand *o, int loop, const char *at);
void declare_pieces(Emit *e, char *const *fetched, int64_t each);              /* each: pieces of a thread at once */
void fetch_pieces(Emit *e, int loop, char *const *fetched);
/* Can a stage be filled by pieces of which loads begin before a product and which are put there after it? Two functions: fetch_a(k0), stage_a(k0, stage). */
bool stage_fetches(const Emit *e, const Shape *s, const Segment2 *g, char side, const Stage *stage);
void stage_functions(Emit *e, const Shape *s, const Segment2 *g, int seg, char side, const Stage *stage);

/* ---- emit_cuda_lines.c ---- */
bool stage_copies_halo(const Emit *e, const Shape *s);
int64_t halo_elements(const Shape *s);               /* of a convolution's stage */
int64_t halo_pieces(const Emit *e, const Shape *s);  /* it is filled in so many pieces, each by a thread */
/* Prints functions that fill it a piece at a time, alternately one of two: fetch_lines(k0, slot) begins a piece's loads, stage_lines(k0, slot) ends it. */
void stage_halo_functions(Emit *e, const Shape *s);
void stage_fill_halo(Emit *e, const Shape *s, bool copy);      /* a convolution's: [image][line][pixel][channel], the prologue once an element */
const char *stage_halo_row(Emit *e, const Shape *s, const char *row);          /* where a row of the tile begins in it, for tap 0 */

/* ---- emit_cuda_leaf.c ---- */
void leaf_declare(Emit *e, const Shape *s);          /* the thread's sums, 0 */
void leaf_place(Emit *e, const Shape *s);            /* where they lie in the tile */
bool halo_rows_whole(const Shape *s);                /* do 16 rows of a convolution's tile lie one after another in its stage? */
void leaf_multiply(Emit *e, const Shape *s, const Stage *a, const Stage *b);   /* a NULL: a convolution's stage, at tap_at */
/* put: prints what is done with n sums from `value` on, of neighbouring columns, given the row and the first column in the tile. */
typedef void (*LeafPut)(Emit *e, const Shape *s, const char *row, const char *col, const char *value, int n);
void leaf_each(Emit *e, const Shape *s, LeafPut put);
#endif
