/* CUDA dialect: the end of a tile of rows and columns (kernel.h), and passes, which are nothing else. Where no row is reduced, a thread has as many columns as
   16 bytes hold, or one where they do not lie side by side, and every LANES-th row; where one is, a warp has whole rows. Sums over rows are taken in registers,
   then a tree over threads.
   Assumes that row0 is the number of the tile's first row and, of a contraction, that c_tile holds its products. */
#include "compiler/emit_cuda_tile.h"

enum { WARPS = CUDA_THREADS / 32, PASS_WIDTH = 32 };

bool cuda_tile_has(const Emit *e, Level level)
{
    for (int i = 0; i < e->k->n_inner; i++) if (e->k->inner[i].level == level) return true;
    return false;
}

bool tile_by_warp(const Emit *e)
{
    for (int i = 0; i < e->k->n_store; i++) if (e->k->store[i].level == AT_ROW) return true;
    return cuda_tile_has(e, AT_ROW);
}

/* Turns of a lane over its columns that are written out: sums over rows stay in registers, by turn, and no task has more of them (fuse_merge.c). */
enum { UNROLLED = 64 };

static int64_t share(const CudaTile *t) { return (t->columns + 31) / 32; }  /* columns of a lane, t->vector of them side by side */
static int64_t turns(const CudaTile *t) { return share(t) / t->vector; }
bool tile_ragged(const CudaTile *t) { return t->columns % t->width != 0; }

/* ---- sums over the rows of a task: names with [q] where a thread has several columns ---- */
void tile_declare_sums(Emit *e, const char *dims, bool shift)
{
    for (int i = 0; i < e->k->n_inner; i++) {
        const Inner *in = &e->k->inner[i];
        const char *zero = *dims ? "{0}" : "0.0f";
        if (in->level != AT_TASK) continue;
        if (in->op == OP_sqdev && shift)
            line(e, "float shift%d%s = %s, dev%d%s = %s, sq%d%s = %s;  /* of x - shift: sums and squares; shift: the task's first x */", in->acc, dims, zero, in->acc, dims,
                 zero, in->acc, dims, zero);
        else if (in->op == OP_sqdev) line(e, "float dev%d%s = %s, sq%d%s = %s;", in->acc, dims, zero, in->acc, dims, zero);
        else if (in->op == OP_rmax && *dims) {
            line(e, "float top%d%s;", in->acc, dims);
            line(e, "for (int q = 0; q < %.*s; q++) top%d[q] = -__builtin_inff();", (int)strlen(dims) - 2, dims + 1, in->acc);
        } else if (in->op == OP_rmax) line(e, "float top%d = -__builtin_inff();", in->acc);
        else line(e, "float sum%d%s = %s;", in->acc, dims, zero);
    }
}

bool tile_wants_shift(const Emit *e)
{
    for (int i = 0; i < e->k->n_inner; i++) if (e->k->inner[i].level == AT_TASK && e->k->inner[i].op == OP_sqdev) return true;
    return false;
}

void tile_first_values(Emit *e, const char *at)
{
    for (int i = 0; i < e->k->n_inner; i++) {
        const Inner *in = &e->k->inner[i];
        if (in->level != AT_TASK || in->op != OP_sqdev) continue;
        char **keep = cuda_values(e, 1, &in->value);
        line(e, "shift%d%s = %s;", in->acc, at, expr_text(e, in->value));
        cuda_values_end(e, keep);
    }
}

/* One element: its share of the task's sums, which are at `at`; its results, to memory or to r0[q] and so on. */
void tile_element(Emit *e, const char *at, const char *shift_at, bool keep_results)
{
    Kernel *k = e->k;
    KRef values[24];
    const char *text[16];
    int n = 0, stores = 0;
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == AT_ELEMENT) { values[n++] = k->store[i].value; stores++; }
    for (int i = 0; i < k->n_inner; i++) if (k->inner[i].level == AT_TASK) values[n++] = k->inner[i].value;
    if (!n) return;
    char **keep = cuda_values(e, n, values);
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == AT_ELEMENT) text[i] = expr_text(e, k->store[i].value);
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK) continue;
        const KExpr *x = &k->expr[in->value];
        if (in->op == OP_sqdev) {
            line(e, "const float d%d = %s - shift%d%s;", in->acc, operand_text(e, in->value), in->acc, shift_at);
            line(e, "dev%d%s += d%d;", in->acc, at, in->acc);
            line(e, "sq%d%s = ect_fma(d%d, d%d, sq%d%s);", in->acc, at, in->acc, in->acc, in->acc, at);
        } else if (in->op == OP_rmax) line(e, "top%d%s = ect_max(top%d%s, %s);", in->acc, at, in->acc, at, expr_text(e, in->value));
        else if (x->kind == K_OP && x->op == OP_mul && !e->tmp[in->value])
            line(e, "sum%d%s = ect_fma(%s, %s, sum%d%s);", in->acc, at, expr_text(e, x->in[0]), expr_text(e, x->in[1]), in->acc, at);
        else line(e, "sum%d%s += %s;", in->acc, at, expr_text(e, in->value));
    }
    for (int i = 0; i < k->n_store && keep_results; i++) if (k->store[i].level == AT_ELEMENT) line(e, "r%d[q] = %s;", i, text[i]);
    for (int i = 0; i < k->n_store && stores > 1 && !keep_results; i++) if (k->store[i].level == AT_ELEMENT) line(e, "const float r%d = %s;", i, text[i]);
    for (int i = 0; i < k->n_store && !keep_results; i++)
        if (k->store[i].level == AT_ELEMENT) print_store(e, &k->store[i], stores > 1 ? arena_printf(k->arena, "r%d", i) : text[i]);
    cuda_values_end(e, keep);
}

void tile_stores(Emit *e, Level level)
{
    Kernel *k = e->k;
    KRef values[16];
    int n = 0;
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == level) values[n++] = k->store[i].value;
    char **keep = cuda_values(e, n, values);
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == level) print_store(e, &k->store[i], expr_text(e, k->store[i].value));
    cuda_values_end(e, keep);
}

bool tile_has_stores(const Emit *e, Level level)
{
    for (int i = 0; i < e->k->n_store; i++) if (e->k->store[i].level == level) return true;
    return false;
}

/* ---- a warp for each row ---- */
/* Opens the loop of a lane over its columns, or over groups of columns that lie side by side. */
static void open_columns(Emit *e, const CudaTile *t)
{
    const bool many = t->vector > 1;
    if (many && turns(t) == 1) {
        line(e, "{");
        e->indent++;
        line(e, "const int col = lane*%lld;", (long long)t->vector);
    } else {
        line(e, turns(t) > UNROLLED ? "#pragma unroll 8" : "#pragma unroll");
        if (many) open_block(e, "for (int group = 0; group < SHARE / %lld; group++)", (long long)t->vector);
        else open_block(e, "for (int q = 0; q < SHARE; q++)");
        if (many) line(e, "const int col = (group*32 + lane)*%lld;", (long long)t->vector);
        else line(e, "const int col = q*32 + lane;");
    }
    if (!many && t->columns % 32) line(e, "if (col >= %lld) break;", (long long)t->columns);
    tile_decode(e, t, "col");
    if (t->pitch && t->vector == 8) line(e, "const int low = col ^ (col >> 3 & 4);  /* in lines of c_tile, where groups of 4 columns are the other way round in every other 32 */");
}

/* Where a lane has the sum of the present column. */
static const char *at_column(Emit *e, const CudaTile *t)
{
    return t->vector == 1 || turns(t) == 1 ? "[q]" : arena_printf(e->k->arena, "[group*%lld + q]", (long long)t->vector);
}

static void warp_tree(Emit *e, const char *name, bool rmax)
{
    const char *other = arena_printf(e->k->arena, "__shfl_xor_sync(0xffffffffu, %s, half)", name);
    if (rmax) line(e, "for (int half = 16; half > 0; half /= 2) %s = ect_max(%s, %s);", name, name, other);
    else line(e, "for (int half = 16; half > 0; half /= 2) %s += %s;", name, other);
}

static void row_reduction(Emit *e, const CudaTile *t, const Inner *in)
{
    const char *name = arena_printf(e->k->arena, "row%d", in->acc);
    for (int turn = 0; turn < (in->op == OP_sqdev ? 2 : 1); turn++) {
        const char *sum = in->op != OP_sqdev ? name : arena_printf(e->k->arena, turn ? "row%d" : "total%d", in->acc);
        line(e, "float %s = %s;", sum, in->op == OP_rmax ? "-__builtin_inff()" : "0.0f");
        open_columns(e, t);
        Several group = {0};
        if (t->vector > 1) {
            group = several_begin(e, t, 1, &in->value);
            several_open(e, t, &group);
        }
        char **keep = cuda_values(e, 1, &in->value);
        if (turn) {
            line(e, "const float d = %s - mean%d;", operand_text(e, in->value), in->acc);
            line(e, "%s = ect_fma(d, d, %s);", sum, sum);
        } else if (in->op == OP_rmax) line(e, "%s = ect_max(%s, %s);", sum, sum, expr_text(e, in->value));
        else line(e, "%s += %s;", sum, expr_text(e, in->value));
        cuda_values_end(e, keep);
        if (t->vector > 1) several_end(e, t, &group, false);
        close_block(e);
        warp_tree(e, sum, in->op == OP_rmax);
        if (in->op == OP_sqdev && !turn) line(e, "const float mean%d = total%d / %lld.0f;", in->acc, in->acc, (long long)t->columns);
    }
    e->acc[in->acc] = name;
}

static void warp_rows(Emit *e, const CudaTile *t, const char *rows, const char *first)
{
    if (first && tile_wants_shift(e)) {
        open_block(e, "if (%s)", first);
        line(e, "const int local = 0;");
        line(e, "const int row = row0 + local;");
        t->decode(e, "row", t->user);
        open_columns(e, t);
        tile_first_elements(e, t, at_column(e, t));
        close_block(e);
        close_block(e);
    }
    open_block(e, "for (int local = warp; local < %s; local += %d)", rows, WARPS);
    line(e, "const int row = row0 + local;");
    t->decode(e, "row", t->user);
    for (int i = 0; i < e->k->n_inner; i++) if (e->k->inner[i].level == AT_ROW) row_reduction(e, t, &e->k->inner[i]);
    if (tile_has_stores(e, AT_ELEMENT) || cuda_tile_has(e, AT_TASK)) {
        open_columns(e, t);
        tile_elements(e, t, at_column(e, t), at_column(e, t));
        close_block(e);
    }
    if (tile_has_stores(e, AT_ROW)) {
        open_block(e, "if (lane == 0)");
        tile_stores(e, AT_ROW);
        close_block(e);
    }
    close_block(e);
}

/* fold<name>[column]: the warps' sums one after another. */
static void fold(Emit *e, const CudaTile *t, const char *name, bool rmax)
{
    line(e, "__shared__ float fold_%s[COLUMNS];", name);
    open_block(e, "for (int turn = 0; turn < %d; turn++)", WARPS);
    open_block(e, "for (int q = 0; q < SHARE && warp == turn; q++)");
    if (t->vector > 1) line(e, "const int col = (q / %lld*32 + lane)*%lld + q %% %lld;", (long long)t->vector, (long long)t->vector, (long long)t->vector);
    else line(e, "const int col = q*32 + lane;");
    line(e, "if (col >= COLUMNS) break;");
    if (rmax) line(e, "fold_%s[col] = turn ? ect_max(fold_%s[col], %s[q]) : %s[q];", name, name, name, name);
    else line(e, "fold_%s[col] = turn ? fold_%s[col] + %s[q] : %s[q];", name, name, name, name);
    close_block(e);
    line(e, "__syncthreads();");
    close_block(e);
}

static void warp_end(Emit *e, const CudaTile *t)
{
    Kernel *k = e->k;
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK) continue;
        if (in->op == OP_sqdev) {
            fold(e, t, arena_printf(k->arena, "dev%d", in->acc), false);
            fold(e, t, arena_printf(k->arena, "sq%d", in->acc), false);
            e->acc[in->acc] = arena_printf(k->arena, "(fold_sq%d[col] - fold_dev%d[col] * fold_dev%d[col] / %lld.0f)", in->acc, in->acc, in->acc, (long long)in->count);
        } else {
            const char *name = arena_printf(k->arena, in->op == OP_rmax ? "top%d" : "sum%d", in->acc);
            fold(e, t, name, in->op == OP_rmax);
            e->acc[in->acc] = arena_printf(k->arena, "fold_%s[col]", name);
        }
    }
    open_block(e, "for (int col = threadIdx.x; col < COLUMNS; col += %d)", CUDA_THREADS);
    line(e, "const int row = row0;");
    t->decode(e, "row", t->user);
    cuda_decode(e, "col", t->n_col, t->col);
    tile_stores(e, AT_TASK);
    close_block(e);
}

/* ---- both ---- */
void cuda_tile_begin(Emit *e, CudaTile *t)
{
    t->vector = tile_vector(e, t);
    if (tile_by_warp(e)) {
        line(e, "enum { COLUMNS = %lld, SHARE = %lld };  /* a warp for each row, SHARE columns a lane */", (long long)t->columns, (long long)share(t));
        line(e, "const int lane = threadIdx.x %% 32, warp = threadIdx.x / 32;");
        tile_declare_sums(e, "[SHARE]", true);
        if (t->pitch && t->vector == 1) e->acc[0] = cuda_tile_at(e, t, "local", "col");
        return;
    }
    columns_begin(e, t);
}

void cuda_tile_rows(Emit *e, const CudaTile *t, const char *rows, const char *first)
{
    if (tile_by_warp(e)) warp_rows(e, t, rows, first);
    else columns_rows(e, t, rows, first);
}

void cuda_tile_end(Emit *e, const CudaTile *t)
{
    if (!cuda_tile_has(e, AT_TASK) && !tile_has_stores(e, AT_TASK)) return;
    if (tile_by_warp(e)) warp_end(e, t);
    else columns_end(e, t);
}

/* ---- passes ---- */
typedef struct { int n; const int *loop; } Rows;
static void decode_rows(Emit *e, const char *row, void *user)
{
    const Rows *r = user;
    cuda_decode(e, row, r->n, r->loop);
}

void cuda_pass(Emit *e, CudaText *t)
{
    Kernel *k = e->k;
    int all[2 * MAX_AXES], n = 0;
    for (int i = 0; i < k->n_task; i++) all[n++] = k->task[i];
    for (int i = 0; i < k->n_row; i++) all[n++] = k->row[i];
    bool warps = tile_by_warp(e), tasks = cuda_tile_has(e, AT_TASK) || tile_has_stores(e, AT_TASK);
    int64_t rows = cuda_size(e, k->n_row, k->row), columns = cuda_size(e, k->n_col, k->col), width = 1;
    Rows r = {k->n_row, k->row};
    CudaTile tile = {.n_col = k->n_col, .col = k->col, .columns = columns, .column0 = "(int)blockIdx.y*WIDTH", .decode = decode_rows, .user = &r};
    while (width < columns && width < PASS_WIDTH) width *= 2;
    tile.width = warps ? columns : width;
    t->at_once = warps ? 2 : pass_blocks(e, tile_vector(e, &tile));          /* a lane has many columns: 128 registers */
    if (tasks) {                                     /* a block for each task, and for WIDTH of its columns */
        cuda_entry_begin(e, t, "", cuda_size(e, k->n_task, k->task), warps ? 1 : (columns + width - 1) / width, 0);
        line(e, "/* %s{{e}} */", k->reason);
        cuda_decode(e, "(int)blockIdx.x", k->n_task, k->task);
        if (k->n_task && k->loop[k->task[0]].bounded) line(e, "if (%s >= wanted) return;", e->loop_name[k->task[0]]);
        line(e, "const int row0 = 0;");
        cuda_tile_begin(e, &tile);
        cuda_tile_rows(e, &tile, arena_printf(k->arena, "%lld", (long long)rows), "true");
    } else {                                         /* rows do not depend on each other: some for each block */
        int64_t total = rows * cuda_size(e, k->n_task, k->task), some = warps ? WARPS : CUDA_THREADS / width;
        r = (Rows){n, all};
        cuda_entry_begin(e, t, "", (total + some - 1) / some, warps ? 1 : (columns + width - 1) / width, 0);
        line(e, "/* %s{{e}} */", k->reason);
        line(e, "const int row0 = blockIdx.x*%lld;", (long long)some);
        line(e, "const int rows = %lld - row0 < %lld ? %lld - row0 : %lld;", (long long)total, (long long)some, (long long)total, (long long)some);
        cuda_tile_begin(e, &tile);
        cuda_tile_rows(e, &tile, "rows", NULL);
    }
    cuda_tile_end(e, &tile);
    cuda_entry_end(e);
}
