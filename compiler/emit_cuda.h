/* Shared by the printers of the CUDA dialect: emit_cuda.c (arguments, maps), emit_cuda_sums.c, emit_cuda_tile.c (the end of a tile), emit_cuda_contract.c.
   A block is one-dimensional; blockIdx.z is the instance. */
#ifndef ECT_EMIT_CUDA_H
#define ECT_EMIT_CUDA_H
#include "compiler/emit.h"

enum { CUDA_THREADS = 256, CUDA_ENTRIES = 2 };

/* What one entry is launched with; text: its body, before the header. */
typedef struct { const char *suffix; int64_t grid[2], shared; int block; } CudaEntry;
/* A number that a launch brings along, as member `name` of the arguments: an int, or a float. */
typedef struct { const char *name; bool real; double value; } CudaNumber;
struct CudaText {
    char *body;                                      /* the whole text behind the header; heap; NULL: it is owner's */
    int owner;                                       /* the kernel (of the plan's distinct ones) whose text and entries this one is launched with; -1: its own */
    int n_user; int *user;                           /* of an owner: all kernels with its text, itself first; heap */
    int n_number; CudaNumber *number;                /* in the order of the arguments; heap */
    int n_entries; CudaEntry entry[CUDA_ENTRIES];
    int64_t workspace;                               /* bytes of a launch of one instance */
    bool small;                                      /* a contraction whose sums take few registers */
    int instances;                                   /* the most of any launch */
    int at_once;                                     /* blocks that a multiprocessor must have room for, of the entry that begins next; 0: as of its kind */
};

/* The text of one kernel, with room for `instances` in its arguments. Heap; so is its body. */
CudaText *cuda_print(const Lowered *l, Kernel *k, int instances);
void cuda_text_free(CudaText *t);                    /* NULL is fine */
/* roll_cuda.c: products of a text that differ in their buffers only become a loop. */
void cuda_roll(StrBuf *body, int n_buf);
/* Begins an entry `NAME suffix`: signature, buffers, draws. */
void cuda_entry_begin(Emit *e, CudaText *t, const char *suffix, int64_t grid_x, int64_t grid_y, int64_t shared);
void cuda_entry_end(Emit *e);
/* Prints what values[] need, as statements: shared subexpressions, choices between arms. Afterwards expr_text prints them. Returns what cuda_values_end
   takes, in the same scope. */
char **cuda_values(Emit *e, int n, const KRef *values);
void cuda_values_end(Emit *e, char **before);
/* Declares the variables of loops[] (outermost first) from a flat number; those of size 1 are 0. */
void cuda_decode(Emit *e, const char *flat, int n, const int *loops);
/* Notes that the loops' variables were made from a number that is in scope as long as they are; one that is no word is not noted. */
void cuda_one_number(Emit *e, const char *number, FlatLoops *f);
int64_t cuda_size(const Emit *e, int n, const int *loops);
/* All results of a map or a sum, to memory. */
void cuda_stores(Emit *e);
/* Opens the loop of a thread over `total` numbered pieces of work; rows at or past a bound are left out where they are outermost, which `loop` is then. */
void cuda_open_pieces(Emit *e, int64_t total, int64_t blocks, int64_t outermost, int loop);
int64_t cuda_blocks(int64_t total);                  /* that share `total` pieces, one a thread or more */
/* The whole end of a tile of rows and columns (kernel.h: inner, store). Rows are numbered row0 + local; the thread finds its columns itself.
   decode: declares the row variables from the text of a row's number. */
typedef struct {
    int n_col; const int *col;
    int64_t columns, width;                          /* of the domain; of a block: a power of two, or all columns where a row is reduced */
    const char *column0;                             /* text of the block's first column */
    int64_t pitch;                                   /* of the lines of c_tile, of a contraction; 0: there is none */
    bool several;                                    /* tiles of a task follow one another */
    int64_t vector;                                  /* set by cuda_tile_begin: columns of a thread, 8 or 4 in 16-byte accesses, or 1 */
    void (*decode)(Emit *e, const char *row, void *user); void *user;
} CudaTile;
bool cuda_tile_has(const Emit *e, Level level);      /* is there a reduction at that level? */
void cuda_tile_begin(Emit *e, CudaTile *t);                                            /* accumulators over a task's rows */
void cuda_tile_rows(Emit *e, const CudaTile *t, const char *rows, const char *first);  /* rows 0 .. rows-1 of the tile; `first`: condition that it is the task's first, or NULL */
void cuda_tile_end(Emit *e, const CudaTile *t);                                        /* sums over threads, results of the task */
/* An element of c_tile. Where a thread has 8 columns, groups of 4 change places in pairs in every other 32, so that 8 threads' groups lie in all banks. */
const char *cuda_tile_at(Emit *e, const CudaTile *t, const char *row, const char *col);
void cuda_reduce(Emit *e, CudaText *t);
void cuda_pass(Emit *e, CudaText *t);
void cuda_contract(Emit *e, CudaText *t);
#endif
