/* Shared by the printers: emit_expr.c (scalar expressions, loop nests), emit_c.c (kernels as loops), emit_contract.c (contractions). */
#ifndef ECT_EMIT_H
#define ECT_EMIT_H
#include "compiler/kernel.h"

/* Loops whose variables are made from one number, outermost first: where they stand in an index with the strides of neighbours, the number does itself. */
typedef struct { const char *number; int indent, n, loop[2 * MAX_AXES]; const char *name[2 * MAX_AXES]; } FlatLoops;
enum { MAX_FLAT = 12 };

typedef struct Emit {
    StrBuf *b;
    const Lowered *l;
    Kernel *k;
    int indent;
    const char *itype;                               /* C type of loop variables: int, or long where an index passes 2^31 */
    const char *loop_name[64];                       /* C names of the loop variables */
    char **tmp;                                      /* per expression: the C variable that holds it, or NULL */
    unsigned char *decided;                          /* per K_SELECT: 0 open, 1 holds, 2 does not */
    int n_tmp;
    char **row;                                      /* per K_LOAD: text of its copy in a row array, or NULL (load_rows) */
    const char *acc[8];                              /* text of the accumulators in the epilogue */
    int64_t scratch_floats, shared_floats;
    bool cuda;                                       /* the CUDA dialect */
    int n_flat; FlatLoops flat[MAX_FLAT];            /* those in scope, the latest last */
} Emit;

void line(Emit *e, const char *fmt, ...) PRINTF(2, 3);          /* one indented line */
void open_block(Emit *e, const char *fmt, ...) PRINTF(2, 3);    /* line + "{" , indent */
void close_block(Emit *e);
void close_lambda(Emit *e);                                     /* the same, "};" */
const char *index_text(Emit *e, IRef i);             /* arena text of an index expression */
void emit_expr(Emit *e, KRef v);                    /* appends to e->b, no newline */
const char *expr_text(Emit *e, KRef v);
const char *cond_text(Emit *e, KRef v);              /* the conditions of a K_SELECT */
const char *operand_text(Emit *e, KRef v);            /* the same, to stand before an operator: a choice is in parentheses */
/* A nest over loops[0..n-1] (outermost first) computing values[]; `body` prints the statements that use them (through expr_text).
   Invariants move out of the innermost loop; conditions are decided outside of it where they can be. lo/hi override the range text of a loop. */
typedef void (*NestBody)(Emit *e, void *user);
void emit_nest(Emit *e, int n, const int *loops, int parallel, int n_values, const KRef *values, NestBody body, void *user);
/* Copies loads of `values` that divide loop `inner` into row arrays, now, outside of the loops in `later` (bits); what was set before is returned
   and goes back to rows_end when the scope closes. */
char **rows_begin(Emit *e, int n, const KRef *values, int inner, uint64_t later);
void rows_end(Emit *e, char **before);
/* Header comment is added by plan_write; these print the function. */
void print_store(Emit *e, const Store *s, const char *value);
void emit_pass(Emit *e);
/* emit_tile.c: the columns of a tile. begin, once a task; first, in a block where the row variables stand for the task's first row, if wanted;
   row, for each row; end. rows_begin: copies loads that divide the columns, outside of the loops in `later`; NULL or what rows_end wants. */
typedef struct { int n_col; const int *col; } Tile;
char **tile_rows_begin(Emit *e, const Tile *t, uint64_t later);
void tile_begin(Emit *e, const Tile *t);
bool tile_wants_first(const Emit *e);
void tile_first(Emit *e, const Tile *t);
void tile_row(Emit *e, const Tile *t);
void tile_end(Emit *e, const Tile *t);
enum { TABLE_ORDER, TABLE_RANK, TABLE_COUNT, N_TABLES };
void table_names(const Emit *e, const char *y[N_TABLES]);       /* the buffers of a TABLE's tables; NULL: it does not make that one */
void emit_table(Emit *e);
const char *loop_end(Emit *e, int loop);             /* text of what a loop runs to */
void emit_map(Emit *e);
void emit_reduce(Emit *e);
void emit_contract(Emit *e);
void emit_stores(Emit *e, void *user);               /* NestBody: the kernel's stores */
const char *buffer_name(const Emit *e, int slot);    /* x0, w1, y2 */
const char *loop_c_name(Emit *e, Sym role);
int64_t layout_size(const Layout *l);
#endif
