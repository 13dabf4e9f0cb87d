/* Shared by the two files that print the end of a CUDA tile: emit_cuda_tile.c (a warp for each row; passes), emit_cuda_columns.c (columns for each thread). */
#ifndef ECT_EMIT_CUDA_TILE_H
#define ECT_EMIT_CUDA_TILE_H
#include "compiler/emit_cuda_contract.h"

/* ---- emit_cuda_tile.c ---- */
bool tile_by_warp(const Emit *e);                    /* a row is reduced */
bool tile_ragged(const CudaTile *t);                 /* the last block has columns that there are not */
/* Declares a thread's sums over a task's rows; dims: "[8]" where it has several columns. shift: what is taken off before squares are summed, too. */
void tile_declare_sums(Emit *e, const char *dims, bool shift);
bool tile_wants_shift(const Emit *e);
void tile_first_values(Emit *e, const char *at);     /* sets shifts to the values of the present row */
/* One element: its share of the task's sums, which are at `at`; its results, to memory or to r0[q] and so on. */
void tile_element(Emit *e, const char *at, const char *shift_at, bool keep_results);
void tile_stores(Emit *e, Level level);
bool tile_has_stores(const Emit *e, Level level);

/* ---- emit_cuda_columns.c ---- */
/* Declares the variables of the columns from the number of a thread's first; that of the innermost loop is called NAME_0 where the thread has several. */
void tile_decode(Emit *e, const CudaTile *t, const char *number);
/* Results of a sum in parts that a thread has at once: 4 where they and all they are made of lie side by side in memory, else 1. */
int64_t sum_vector(const Emit *e, const CudaTile *t);
/* Columns that a thread takes at once: as many as 16 bytes hold, where all that depends on the column lies side by side in memory, or is the same for them; else 1. */
int64_t tile_vector(const Emit *e, const CudaTile *t);
/* What several elements of a row load together, for values[]; a loop over them is opened; it is closed, and what r0 and so on hold then is stored. */
typedef struct { char **tmp; const char *acc, *name, *first; int loop; } Several;
Several several_begin(Emit *e, const CudaTile *t, int n, const KRef *values);
void several_open(Emit *e, const CudaTile *t, const Several *s);
void several_end(Emit *e, const CudaTile *t, const Several *s, bool results);
/* The elements of a thread in a row, one or several: their share of the task's sums, at `at`, and their results; or what is taken off before squares are summed. */
void tile_elements(Emit *e, const CudaTile *t, const char *at, const char *shift_at);
void tile_first_elements(Emit *e, const CudaTile *t, const char *at);
int pass_blocks(const Emit *e, int64_t vector);      /* blocks of a pass that a multiprocessor is to hold */
void columns_begin(Emit *e, const CudaTile *t);
void columns_rows(Emit *e, const CudaTile *t, const char *rows, const char *first);
void columns_end(Emit *e, const CudaTile *t);
#endif
