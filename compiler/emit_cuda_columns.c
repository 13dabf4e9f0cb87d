/* CUDA dialect: the end of a tile where no row is reduced: a thread has as many columns as 16 bytes hold, or one where they do not lie side by side, and every
   LANES-th row. Sums over rows are taken in registers, then over the threads of a warp by a tree, then over warps in order.
   Assumes that row0 is the number of the tile's first row and, of a contraction, that c_tile holds its products. */
#include "compiler/emit_cuda_tile.h"

static int64_t threads_wide(const CudaTile *t) { return t->width / t->vector; }
static int64_t parts(const CudaTile *t) { return CUDA_THREADS / MAX(threads_wide(t), 32); }     /* of a column's sum, behind the tree of a warp */

static void mark(const Emit *e, KRef v, bool *seen)
{
    if (seen[v]) return;
    seen[v] = true;
    for (int i = 0; i < e->k->expr[v].n_in; i++) mark(e, e->k->expr[v].in[i], seen);
}

/* Is the sum of a contraction, K_ACC 0, in what is computed? */
static bool reads_product(const Emit *e, int n, const KRef *values)
{
    bool *seen = xcalloc((size_t)e->k->n_expr, sizeof *seen), reads = false;
    for (int i = 0; i < n; i++) mark(e, values[i], seen);
    for (int v = 1; v < e->k->n_expr; v++) reads |= seen[v] && e->k->expr[v].kind == K_ACC && e->k->expr[v].slot == 0;
    free(seen);
    return reads;
}

/* The innermost loop of the columns that is longer than 1, or -1. */
static int last_loop(const Emit *e, const CudaTile *t)
{
    int loop = -1;
    for (int i = 0; i < t->n_col; i++) if (e->k->loop[t->col[i]].size > 1) loop = t->col[i];
    return loop;
}

/* Of what is seen, does all that depends on the loop lie side by side, `width` elements from any multiple of it on, or stay the same for them? */
static bool lie_together(const Emit *e, const bool *seen, int loop, int64_t width)
{
    const Kernel *k = e->k;
    bool fits = k->loop[loop].size % width == 0;
    for (int v = 1; v < k->n_expr && fits; v++) {
        const KExpr *x = &k->expr[v];
        if (!seen[v] || !(x->deps >> loop & 1)) continue;
        if (x->kind == K_LOAD) fits = aligned_index(k, x->index, loop, width) || steady_index(k, x->index, loop, 4);
        if (x->kind == K_DRAW) fits = aligned_index(k, x->index2, loop, 4) && steady_index(k, x->index, loop, width);
    }
    return fits;
}

int64_t tile_vector(const Emit *e, const CudaTile *t)
{
    const Kernel *k = e->k;
    const int loop = last_loop(e, t);
    const bool warps = tile_by_warp(e);
    int64_t width = 4;
    if (loop < 0) return 1;
    bool *seen = xcalloc((size_t)k->n_expr, sizeof *seen), some = false;
    for (int i = 0; i < k->n_store; i++) {
        if (k->store[i].level != AT_ELEMENT) continue;
        mark(e, k->store[i].value, seen);
        if (e->l->buf[k->buf[k->store[i].slot]].type != NUM_F32) width = 8;
    }
    for (int i = 0; i < k->n_inner; i++) mark(e, k->inner[i].value, seen);
    for (int i = 0; k->cls == KERNEL_REDUCE && i < k->n_acc; i++) mark(e, k->acc[i], seen);
    for (int v = 1; v < k->n_expr; v++)
        if (seen[v] && k->expr[v].kind == K_LOAD && e->l->buf[k->buf[k->expr[v].slot]].type != NUM_F32) width = 8;
    bool fits = t->width % (warps ? 32 * width : width) == 0 && lie_together(e, seen, loop, width);
    for (int i = 0; i < k->n_store && fits; i++)
        if (k->store[i].level == AT_ELEMENT) fits = some = aligned_index(k, k->store[i].offset, loop, width);
    for (int v = 1; v < k->n_expr && fits; v++) some |= seen[v] && (k->expr[v].deps >> loop & 1) && k->expr[v].kind == K_LOAD;
    free(seen);
    return fits && some ? width : 1;
}

/* Blocks of a pass that a multiprocessor is to hold: 4 have 64 registers a thread, 3 have 80, 2 have 128. A vector takes as many as it is wide: each load's, sum's
   and result's. */
int pass_blocks(const Emit *e, int64_t vector)
{
    const Kernel *k = e->k;
    int vectors = k->n_store + k->n_acc;
    for (int i = 0; i < k->n_inner; i++) vectors += k->inner[i].level == AT_TASK ? k->inner[i].op == OP_sqdev ? 2 : 1 : 0;
    for (int v = 1; v < k->n_expr; v++) vectors += k->expr[v].kind == K_LOAD;
    return vectors * vector < 32 ? 4 : vectors * vector < 64 ? 3 : 2;
}

int64_t sum_vector(const Emit *e, const CudaTile *t)
{
    const Kernel *k = e->k;
    const int loop = last_loop(e, t);
    if (loop < 0) return 1;
    bool *seen = xcalloc((size_t)k->n_expr, sizeof *seen), fits = true;
    for (int i = 0; i < k->n_store; i++) {
        mark(e, k->store[i].value, seen);
        fits &= e->l->buf[k->buf[k->store[i].slot]].type == NUM_F32 && aligned_index(k, k->store[i].offset, loop, 4);
    }
    fits &= lie_together(e, seen, loop, 4);
    free(seen);
    return fits ? 4 : 1;
}

const char *cuda_tile_at(Emit *e, const CudaTile *t, const char *row, const char *col)
{
    const char *swapped = t->vector == 8 ? arena_printf(e->k->arena, "(%s ^ (%s >> 3 & 4))", col, col) : col;
    return arena_printf(e->k->arena, "c_tile[%s*%lld + %s]", row, (long long)t->pitch, swapped);
}

/* The task's sum of column threadIdx.x: in a register, or, where it would take one during products, in shared memory. */
static const char *total(Emit *e, const CudaTile *t, const char *format, int acc)
{
    return arena_printf(e->k->arena, t->several ? "%s[threadIdx.x]" : "%s", arena_printf(e->k->arena, format, acc));
}

static void declare_total(Emit *e, const CudaTile *t, const char *format, int acc, const char *from)
{
    const char *name = arena_printf(e->k->arena, format, acc);
    if (!t->several) { line(e, "float %s = %s;", name, from); return; }
    line(e, "__shared__ float %s[WIDTH];", name);
    line(e, "if (threadIdx.x < WIDTH) %s[threadIdx.x] = %s;", name, from);
}

void columns_begin(Emit *e, const CudaTile *t)
{
    const char *columns = tile_ragged(t) ? arena_printf(e->k->arena, "COLUMNS = %lld, ", (long long)t->columns) : "";
    const char *each = t->vector > 1 ? arena_printf(e->k->arena, "%lld columns", (long long)t->vector) : "a column";
    line(e, "enum { %sWIDTH = %lld, LANES = %lld };  /* %s for each thread, LANES threads share the rows */", columns, (long long)t->width,
         (long long)(CUDA_THREADS / threads_wide(t)), each);
    bool sums = false, max = false;
    for (int i = 0; i < e->k->n_inner; i++) {
        const Inner *in = &e->k->inner[i];
        if (in->level != AT_TASK) continue;
        *(in->op == OP_rmax ? &max : &sums) = true;
        if (in->op == OP_sqdev) {
            line(e, "__shared__ float shift%d[WIDTH];  /* the task's first x; sums and squares are those of x - shift */", in->acc);
            declare_total(e, t, "all_dev%d", in->acc, "0.0f");
            declare_total(e, t, "all_sq%d", in->acc, "0.0f");
        } else declare_total(e, t, in->op == OP_rmax ? "all_top%d" : "all_sum%d", in->acc, in->op == OP_rmax ? "-__builtin_inff()" : "0.0f");
    }
    if (sums || max) line(e, "__shared__ __align__(16) float part[%lld];", (long long)(parts(t) * t->width));
}

/* Functions that add up over the block's threads, and that find the largest, as far as they are needed. */
static void define_folds(Emit *e, const CudaTile *t)
{
    bool sums = false, max = false;
    for (int i = 0; i < e->k->n_inner; i++) if (e->k->inner[i].level == AT_TASK) *(e->k->inner[i].op == OP_rmax ? &max : &sums) = true;
    for (int turn = 0; turn < 2; turn++) {
        if (!(turn ? max : sums)) continue;
        const bool many = t->vector > 1;
        const char *name = many ? "mine[q]" : "mine", *other = arena_printf(e->k->arena, "__shfl_xor_sync(0xffffffffu, %s, %s)", name, threads_wide(t) == 16 ? "16" : "half");
        line(e, "/* %s of what the threads have for their column%s: a tree over those of a warp, then the %lld parts in order; the result is column threadIdx.x's */",
             turn ? "the largest" : "the sum", many ? "s" : "", (long long)parts(t));
        line(e, many ? "const auto %s = [&](float *mine) {" : "const auto %s = [&](float mine) {", turn ? "fold_max" : "fold");
        e->indent++;
        if (threads_wide(t) < 32) {
            if (many) line(e, "#pragma unroll");
            if (many) open_block(e, "for (int q = 0; q < %lld; q++)", (long long)t->vector);
            const char *step = threads_wide(t) == 16 ? "" : arena_printf(e->k->arena, "for (int half = 16; half >= %lld; half /= 2) ", (long long)threads_wide(t));
            if (turn) line(e, "%s%s = ect_max(%s, %s);", step, name, name, other);
            else line(e, "%s%s += %s;", step, name, other);
            if (many) close_block(e);
        }
        const char *guard = threads_wide(t) < 32 ? arena_printf(e->k->arena, "if (threadIdx.x %% 32 < %lld) ", (long long)threads_wide(t)) : "";
        const char *to = arena_printf(e->k->arena, "part[threadIdx.x / %lld*WIDTH + wide", (long long)MAX(threads_wide(t), 32));
        if (!many) line(e, "%s%s] = mine;", guard, to);
        for (int q = 0; many && q < t->vector; q += 4) line(e, q ? "%sect_store4(&%s + %d], mine + %d);" : "%sect_store4(&%s], mine);", guard, to, q, q);
        line(e, "__syncthreads();");
        line(e, "float all = part[threadIdx.x %% WIDTH];");
        const char *next = "part[from*WIDTH + threadIdx.x % WIDTH]";
        if (parts(t) > 1) line(e, turn ? "for (int from = 1; from < %lld; from++) all = ect_max(all, %s);" : "for (int from = 1; from < %lld; from++) all += %s;", (long long)parts(t), next);
        line(e, "__syncthreads();");
        line(e, "return all;");
        close_lambda(e);
    }
}

/* to (+)= fold(from), by the threads that columns have. */
static void fold_one(Emit *e, const CudaTile *t, const char *format, int acc, bool max)
{
    const char *all = arena_printf(e->k->arena, format, acc), *mine = all + strlen("all_"), *to = total(e, t, format, acc);
    const char *more = arena_printf(e->k->arena, "%s(%s)", max ? "fold_max" : "fold", mine);
    if (t->several) {
        line(e, "const float more_%s = %s;", mine, more);
        more = arena_printf(e->k->arena, "more_%s", mine);
    }
    const char *who = t->several ? "if (threadIdx.x < WIDTH) " : "";
    if (max) line(e, "%s%s = ect_max(%s, %s);", who, to, to, more);
    else line(e, "%s%s += %s;", who, to, more);
}

/* Adds what the threads have of the rows gone through to the task's. */
static void fold_all(Emit *e, const CudaTile *t)
{
    for (int i = 0; i < e->k->n_inner; i++) {
        const Inner *in = &e->k->inner[i];
        if (in->level != AT_TASK) continue;
        if (in->op == OP_sqdev) {
            fold_one(e, t, "all_dev%d", in->acc, false);
            fold_one(e, t, "all_sq%d", in->acc, false);
        } else fold_one(e, t, in->op == OP_rmax ? "all_top%d" : "all_sum%d", in->acc, in->op == OP_rmax);
    }
}

/* Stores from[0 .. width-1] where the store says, its loop's variable being the first element's: 16 bytes at a time. */
static void store_vector(Emit *e, const Store *s, int64_t width, const char *from)
{
    const char *to = buffer_name(e, s->slot), *at = index_text(e, s->offset);
    const Number type = e->l->buf[e->k->buf[s->slot]].type;
    if (type == NUM_F32) line(e, "ect_store4(&%s[%s], %s);", to, at, from);
    if (type == NUM_F32 && width == 8) line(e, "ect_store4(&%s[%s + 4], %s + 4);", to, at, from);
    if (type != NUM_F32) line(e, type == NUM_F16 ? "ect_store8_f16(&%s[%s], %s);" : "ect_keep8_bf16(&%s[%s], %s);", to, at, from);
}

/* The elements one by one behind what they load together; the tile's sums are then the product's. */
Several several_begin(Emit *e, const CudaTile *t, int n, const KRef *values)
{
    Kernel *k = e->k;
    Several s = {.tmp = e->tmp, .acc = e->acc[0], .loop = last_loop(e, t)};
    s.name = e->loop_name[s.loop];
    s.first = arena_printf(k->arena, "%s_0", s.name);
    e->tmp = xcalloc((size_t)k->n_expr, sizeof *e->tmp);
    if (s.tmp) memcpy(e->tmp, s.tmp, sizeof *e->tmp * (size_t)k->n_expr);
    if (t->pitch && reads_product(e, n, values)) {
        line(e, "float product[%lld];", (long long)t->vector);
        line(e, "ect_load4(product, &c_tile[local*%lld + %s]);", (long long)t->pitch, t->vector == 8 ? "low" : tile_by_warp(e) ? "col" : "wide");
        if (t->vector == 8) line(e, "ect_load4(product + 4, &c_tile[local*%lld + (low ^ 4)]);", (long long)t->pitch);
        e->acc[0] = "product[q]";
    }
    e->loop_name[s.loop] = s.first;
    for (int i = 0; i < n; i++) vector_loads(e, values[i], s.loop, t->vector, NULL);
    return s;
}

void several_open(Emit *e, const CudaTile *t, const Several *s)
{
    e->loop_name[s->loop] = s->name;
    line(e, "#pragma unroll");
    open_block(e, "for (int q = 0; q < %lld; q++)", (long long)t->vector);
    line(e, "const %s %s = %s + q;", e->itype, s->name, s->first);
}

void several_end(Emit *e, const CudaTile *t, const Several *s, bool results)
{
    Kernel *k = e->k;
    close_block(e);
    e->loop_name[s->loop] = s->first;
    for (int i = 0; i < k->n_store && results; i++)
        if (k->store[i].level == AT_ELEMENT) store_vector(e, &k->store[i], t->vector, arena_printf(k->arena, "r%d", i));
    e->loop_name[s->loop] = s->name;
    free(e->tmp);
    e->tmp = s->tmp;
    e->acc[0] = s->acc;
}

void tile_elements(Emit *e, const CudaTile *t, const char *at, const char *shift_at)
{
    Kernel *k = e->k;
    KRef values[24];
    int n = 0;
    if (t->vector == 1) { tile_element(e, at, shift_at, false); return; }
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == AT_ELEMENT) values[n++] = k->store[i].value;
    for (int i = 0; i < k->n_inner; i++) if (k->inner[i].level == AT_TASK) values[n++] = k->inner[i].value;
    const Several s = several_begin(e, t, n, values);
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == AT_ELEMENT) line(e, "float r%d[%lld];", i, (long long)t->vector);
    several_open(e, t, &s);
    tile_element(e, at, shift_at, true);
    several_end(e, t, &s, true);
}

void tile_first_elements(Emit *e, const CudaTile *t, const char *at)
{
    KRef values[8];
    int n = 0;
    if (t->vector == 1) { tile_first_values(e, at); return; }
    for (int i = 0; i < e->k->n_inner; i++) if (e->k->inner[i].level == AT_TASK && e->k->inner[i].op == OP_sqdev) values[n++] = e->k->inner[i].value;
    const Several s = several_begin(e, t, n, values);
    several_open(e, t, &s);
    tile_first_values(e, at);
    several_end(e, t, &s, false);
}

void tile_decode(Emit *e, const CudaTile *t, const char *number)
{
    const int loop = last_loop(e, t);
    const char *name = loop >= 0 ? e->loop_name[loop] : NULL;
    if (t->vector > 1) e->loop_name[loop] = arena_printf(e->k->arena, "%s_0", name);
    cuda_decode(e, number, t->n_col, t->col);
    if (t->vector > 1) e->loop_name[loop] = name;
}

/* Which columns and rows the thread has. Between tiles that follow one another it is told anew, so that no register keeps it during products. */
static void thread_place(Emit *e, const CudaTile *t)
{
    const char *thread = t->several ? "thread" : "threadIdx.x";
    if (t->several) line(e, "const int thread = ect_thread();");
    if (t->vector > 1) line(e, "const int wide = %s %% %lld*%lld;", thread, (long long)threads_wide(t), (long long)t->vector);
    else line(e, "const int wide = %s %% WIDTH;", thread);
    line(e, "const int lane = %s / %lld;", thread, (long long)threads_wide(t));
    line(e, "const int col = %s + wide;", t->column0);
    tile_decode(e, t, tile_ragged(t) ? "(col < COLUMNS ? col : 0)" : "col");
    if (t->pitch && t->vector == 8)
        line(e, "const int low = wide ^ (wide >> 3 & 4);  /* in lines of c_tile, where groups of 4 columns are the other way round in every other 32: 8 threads read all banks */");
    if (t->pitch && t->vector == 1) e->acc[0] = cuda_tile_at(e, t, "local", "wide");
}

void columns_rows(Emit *e, const CudaTile *t, const char *rows, const char *first)
{
    const bool many = t->vector > 1;
    thread_place(e, t);
    define_folds(e, t);
    if (first && tile_wants_shift(e)) {
        open_block(e, "if (%s)", first);
        open_block(e, tile_ragged(t) ? "if (lane == 0 && col < COLUMNS)" : "if (lane == 0)");
        line(e, "const int local = 0;");
        line(e, "const int row = row0 + local;");
        t->decode(e, "row", t->user);
        tile_first_elements(e, t, many ? "[wide + q]" : "[wide]");
        close_block(e);
        line(e, "__syncthreads();");
        close_block(e);
    }
    tile_declare_sums(e, many ? arena_printf(e->k->arena, "[%lld]", (long long)t->vector) : "", false);
    if (tile_ragged(t)) open_block(e, "if (col < COLUMNS)");
    open_block(e, "for (int local = lane; local < %s; local += LANES)", rows);
    line(e, "const int row = row0 + local;");
    t->decode(e, "row", t->user);
    tile_elements(e, t, many ? "[q]" : "", many ? "[wide + q]" : "[wide]");
    close_block(e);
    if (tile_ragged(t)) close_block(e);
    fold_all(e, t);
}

void columns_end(Emit *e, const CudaTile *t)
{
    Kernel *k = e->k;
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK) continue;
        if (in->op == OP_sqdev)                      /* sum (x - mean)^2 = sum d^2 - (sum d)^2 / count, d = x - shift */
            e->acc[in->acc] = arena_printf(k->arena, "(%s - %s * %s / %lld.0f)", total(e, t, "all_sq%d", in->acc), total(e, t, "all_dev%d", in->acc),
                                           total(e, t, "all_dev%d", in->acc), (long long)in->count);
        else e->acc[in->acc] = total(e, t, in->op == OP_rmax ? "all_top%d" : "all_sum%d", in->acc);
    }
    open_block(e, "if (threadIdx.x < WIDTH%s)", tile_ragged(t) ? arena_printf(k->arena, " && %s + threadIdx.x < COLUMNS", t->column0) : "");
    line(e, "const int col = %s + threadIdx.x;", t->column0);
    cuda_decode(e, "col", t->n_col, t->col);
    line(e, "const int row = row0;");
    t->decode(e, "row", t->user);
    tile_stores(e, AT_TASK);
    close_block(e);
}

