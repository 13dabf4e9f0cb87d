/* The end of a kernel with a domain of rows and columns: reductions over the columns of a row, results for each element, sums over the rows of
   a task kept for each column. Contractions end so (emit_contract.c), and passes are nothing else (here).
   Assumes that the loop variables of the rows are declared where tile_row is printed. */
#include "compiler/emit.h"

static int64_t columns(const Emit *e, const Tile *t)
{
    int64_t c = 1;
    for (int i = 0; i < t->n_col; i++) c *= e->k->loop[t->col[i]].size;
    return c;
}

/* The number of a column: "o", "g*16 + d". */
static const char *column_text(Emit *e, const Tile *t)
{
    StrBuf b = {0};
    int64_t stride = columns(e, t);
    for (int i = 0; i < t->n_col; i++) {
        stride /= e->k->loop[t->col[i]].size;
        if (e->k->loop[t->col[i]].size == 1) continue;
        sb_printf(&b, "%s%s", b.len ? " + " : "", e->loop_name[t->col[i]]);
        if (stride > 1) sb_printf(&b, "*%lld", (long long)stride);
    }
    const char *s = arena_strdup(e->k->arena, b.len ? b.s : "0");
    sb_free(&b);
    return s;
}

static int wide_loops(const Emit *e, const Tile *t, int *loops)
{
    int n = 0;
    for (int i = 0; i < t->n_col; i++)
        if (e->k->loop[t->col[i]].size > 1) loops[n++] = t->col[i];
    return n;
}

typedef struct { const Tile *t; const char *to; KRef value; } Put;
static void put_value(Emit *e, void *user)
{
    const Put *p = user;
    line(e, "%s[%s] = %s;", p->to, column_text(e, p->t), expr_text(e, p->value));
}

void tile_begin(Emit *e, const Tile *t)
{
    Kernel *k = e->k;
    int64_t c = columns(e, t);
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK) continue;
        if (in->op == OP_sqdev)
            line(e, "float shift%d[%lld], dev%d[%lld] = {0}, sq%d[%lld] = {0};  /* of x - shift: sums and squares; shift: the first x */", in->acc,
                 (long long)c, in->acc, (long long)c, in->acc, (long long)c);
        else if (in->op == OP_rmax)
            line(e, "float top%d[%lld];  /* set by the first row */", in->acc, (long long)c);
        else
            line(e, "float sum%d[%lld] = {0};", in->acc, (long long)c);
    }
}

bool tile_wants_first(const Emit *e)
{
    for (int i = 0; i < e->k->n_inner; i++)
        if (e->k->inner[i].level == AT_TASK && (e->k->inner[i].op == OP_sqdev || e->k->inner[i].op == OP_rmax)) return true;
    return false;
}

void tile_first(Emit *e, const Tile *t)
{
    Kernel *k = e->k;
    int loops[MAX_AXES], n = wide_loops(e, t, loops);
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK || (in->op != OP_sqdev && in->op != OP_rmax)) continue;
        Put p = {t, arena_printf(k->arena, in->op == OP_rmax ? "top%d" : "shift%d", in->acc), in->value};
        emit_nest(e, n, loops, 0, 1, &in->value, put_value, &p);
    }
}

static void row_reductions(Emit *e, const Tile *t)
{
    Kernel *k = e->k;
    int loops[MAX_AXES], n = wide_loops(e, t, loops);
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_ROW) continue;
        const char *what = in->op == OP_rmax ? "max" : in->op == OP_sqdev ? "sqdev" : "sum";
        line(e, "float row%d[%lld];", in->acc, (long long)columns(e, t));
        Put p = {t, arena_printf(k->arena, "row%d", in->acc), in->value};
        emit_nest(e, n, loops, 0, 1, &in->value, put_value, &p);
        line(e, "const float %s%d = ect_row_%s(row%d, %lld);", what, in->acc, what, in->acc, (long long)columns(e, t));
        e->acc[in->acc] = arena_printf(k->arena, "%s%d", what, in->acc);
    }
}

static void elements(Emit *e, void *user)
{
    const Tile *t = user;
    Kernel *k = e->k;
    const char *at = column_text(e, t), *text[16];
    int n = 0;
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == AT_ELEMENT) n++;
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level == AT_ELEMENT) text[i] = expr_text(e, k->store[i].value);
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK) continue;
        const KExpr *x = &k->expr[in->value];
        if (in->op == OP_sqdev) {
            line(e, "const float d%d = %s - shift%d[%s];", in->acc, operand_text(e, in->value), in->acc, at);
            line(e, "dev%d[%s] += d%d;", in->acc, at, in->acc);
            line(e, "sq%d[%s] = ect_fma(d%d, d%d, sq%d[%s]);", in->acc, at, in->acc, in->acc, in->acc, at);
        } else if (in->op == OP_rmax) {
            line(e, "top%d[%s] = ect_max(top%d[%s], %s);", in->acc, at, in->acc, at, expr_text(e, in->value));
        } else if (x->kind == K_OP && x->op == OP_mul && !e->tmp[in->value]) {
            line(e, "sum%d[%s] = ect_fma(%s, %s, sum%d[%s]);", in->acc, at, expr_text(e, x->in[0]), expr_text(e, x->in[1]), in->acc, at);
        } else {
            line(e, "sum%d[%s] += %s;", in->acc, at, expr_text(e, in->value));
        }
    }
    for (int i = 0; i < k->n_store && n > 1; i++) if (k->store[i].level == AT_ELEMENT) line(e, "const float r%d = %s;", i, text[i]);
    for (int i = 0; i < k->n_store; i++) {
        const Store *s = &k->store[i];
        if (s->level != AT_ELEMENT) continue;
        if (n > 1) print_store(e, s, arena_printf(k->arena, "r%d", i));
        else print_store(e, s, text[i]);
    }
}

static void stores_of_level(Emit *e, void *user)
{
    Level level = *(Level *)user;
    for (int i = 0; i < e->k->n_store; i++)
        if (e->k->store[i].level == level) print_store(e, &e->k->store[i], expr_text(e, e->k->store[i].value));
}

static int values_of_level(const Emit *e, Level level, KRef *values)
{
    int n = 0;
    for (int i = 0; i < e->k->n_store; i++)
        if (e->k->store[i].level == level) values[n++] = e->k->store[i].value;
    return n;
}

void tile_row(Emit *e, const Tile *t)
{
    Kernel *k = e->k;
    int loops[MAX_AXES], n = wide_loops(e, t, loops);
    row_reductions(e, t);
    KRef values[24];
    int nv = values_of_level(e, AT_ELEMENT, values);
    for (int i = 0; i < k->n_inner; i++)
        if (k->inner[i].level == AT_TASK) values[nv++] = k->inner[i].value;
    if (nv) emit_nest(e, n, loops, 0, nv, values, elements, (void *)t);
    Level level = AT_ROW;
    nv = values_of_level(e, level, values);
    if (nv) emit_nest(e, 0, NULL, 0, nv, values, stores_of_level, &level);
}

void tile_end(Emit *e, const Tile *t)
{
    Kernel *k = e->k;
    int loops[MAX_AXES], n = wide_loops(e, t, loops);
    const char *at = column_text(e, t);
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        if (in->level != AT_TASK) continue;
        if (in->op == OP_sqdev)                      /* sum (x - mean)^2 = sum d^2 - (sum d)^2 / count, d = x - shift */
            e->acc[in->acc] = arena_printf(k->arena, "(sq%d[%s] - dev%d[%s] * dev%d[%s] / %lld.0f)", in->acc, at, in->acc, at, in->acc, at,
                                           (long long)in->count);
        else
            e->acc[in->acc] = arena_printf(k->arena, "%s%d[%s]", in->op == OP_rmax ? "top" : "sum", in->acc, at);
    }
    KRef values[16];
    Level level = AT_TASK;
    int nv = values_of_level(e, level, values);
    if (nv) emit_nest(e, n, loops, 0, nv, values, stores_of_level, &level);
}

char **tile_rows_begin(Emit *e, const Tile *t, uint64_t later)
{
    Kernel *k = e->k;
    int loops[MAX_AXES], n = wide_loops(e, t, loops), nv = 0;
    KRef values[32];
    if (!n) return NULL;
    for (int i = 0; i + 1 < n; i++) later |= 1ull << loops[i];
    for (int i = 0; i < k->n_store; i++) if (k->store[i].level != AT_TASK) values[nv++] = k->store[i].value;
    for (int i = 0; i < k->n_inner; i++) values[nv++] = k->inner[i].value;
    return rows_begin(e, nv, values, loops[n - 1], later);
}

/* ---- passes ---- */
void emit_pass(Emit *e)
{
    Kernel *k = e->k;
    Tile t = {k->n_col, k->col};
    int64_t work = 1, pieces = 1;
    for (int i = 0; i < k->n_loops; i++) work *= k->loop[k->n_loops - 1 - i].size;
    int par = 0;
    while (work >= 16384 && par < k->n_task && pieces < 64) pieces *= k->loop[k->task[par++]].size;
    line(e, "/* %s{{e}} */", k->reason);
    if (par > 1) line(e, "#pragma omp parallel for collapse(%d) schedule(static) num_threads(args->threads)", par);
    else if (par) line(e, "#pragma omp parallel for schedule(static) num_threads(args->threads)");
    for (int i = 0; i < k->n_task; i++) {
        const char *v = e->loop_name[k->task[i]];
        open_block(e, "for (%s %s = 0; %s < %s; %s++)", e->itype, v, v, loop_end(e, k->task[i]), v);
    }
    uint64_t rows = 0;
    for (int i = 0; i < k->n_row; i++) rows |= 1ull << k->row[i];
    char **loads = tile_rows_begin(e, &t, rows);
    tile_begin(e, &t);
    if (tile_wants_first(e)) {
        line(e, "{  /* the first row */");
        e->indent++;
        for (int i = 0; i < k->n_row; i++) line(e, "const %s %s = 0;", e->itype, e->loop_name[k->row[i]]);
        tile_first(e, &t);
        close_block(e);
    }
    for (int i = 0; i < k->n_row; i++) {
        const char *v = e->loop_name[k->row[i]];
        open_block(e, "for (%s %s = 0; %s < %lld; %s++)", e->itype, v, v, (long long)k->loop[k->row[i]].size, v);
    }
    tile_row(e, &t);
    for (int i = 0; i < k->n_row; i++) close_block(e);
    tile_end(e, &t);
    if (loads) rows_end(e, loads);
    for (int i = 0; i < k->n_task; i++) close_block(e);
}
