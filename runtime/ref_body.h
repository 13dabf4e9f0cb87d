/* The interpreter's arithmetic, compiled once with REAL = float and once with REAL = double (F(name) gives each copy its own
   names). Assumes graphs checked by ref_graph.c; every output element is computed by one thread in a fixed order. */
#include <math.h>
#include <omp.h>
#include "runtime/kernel_prelude.h"
#include "runtime/ref.h"

enum { BLOCK = 2048, TILE = 32, CHUNK = 256 };

/* ---- reading ---- */
/* out[0..n) = elements first .. first+n-1 of the access's loop space. */
static void F(gather)(const RefAccess *a, REAL *const *buf, int64_t first, int64_t n, REAL *out)
{
    const LoopSpace *s = &a->space;
    if (n <= 0) return;
    if (a->identity) {
        memcpy(out, buf[a->piece[0].source] + first, (size_t)n * sizeof *out);
        return;
    }
    int64_t idx[LOOP_MAX] = {0}, inner = s->n ? s->size[s->n - 1] : 1;
    int64_t rest = first;
    for (int l = s->n; l--; rest /= s->size[l]) idx[l] = rest % s->size[l];
    while (n > 0) {
        int64_t start = s->n ? idx[s->n - 1] : 0, run = MIN(n, inner - start);
        if (!a->total) for (int64_t i = 0; i < run; i++) out[i] = 0;
        for (int k = 0; k < a->n_pieces; k++) {
            const RefPiece *p = &a->piece[k];
            const RefGroup *along = NULL;
            const int64_t *row = NULL;
            int64_t base = p->base;
            for (int j = 0; j < p->n_groups; j++) {
                const RefGroup *g = &p->group[j];
                int64_t t = 0;
                for (int i = 0; i < g->n; i++) if (g->axis[i] != s->n - 1) t += idx[g->axis[i]] * g->stride[i];
                if (g->inner) along = g, row = g->table + t + start * g->inner_stride;
                else base += g->table[t];
            }
            if (base < 0) continue;
            const REAL *src = buf[p->source];
            if (!along) for (int64_t i = 0; i < run; i++) out[i] = src[base];
            else if (along->linear && along->step == 1) memcpy(out, src + base + start, (size_t)run * sizeof *out);
            else
                for (int64_t i = 0; i < run; i++) {
                    int64_t o = base + row[i * along->inner_stride];
                    if (o >= 0) out[i] = src[o];
                }
        }
        out += run, n -= run;
        if (!s->n) continue;
        idx[s->n - 1] = 0;
        for (int l = s->n - 1; l-- > 0 && ++idx[l] == s->size[l]; ) idx[l] = 0;
    }
}

/* ---- element-wise ---- */
static void F(elem)(const RefNode *n, int64_t count, REAL *const x[3], REAL *y)
{
    const REAL *a = x[0], *b = x[1], *c = x[2];
#define EACH(e) for (int64_t i = 0; i < count; i++) y[i] = (REAL)(e); break
    switch (n->op) {
    case R_neg: EACH(-a[i]);
    case R_abs: EACH(M(fabs)(a[i]));
    case R_exp: EACH(M(exp)(a[i]));
    case R_log: EACH(M(log)(a[i]));
    case R_sin: EACH(M(sin)(a[i]));
    case R_cos: EACH(M(cos)(a[i]));
    case R_sqrt: EACH(M(sqrt)(a[i]));
    case R_rsqrt: EACH(1 / M(sqrt)(a[i]));
    case R_sigmoid: EACH(1 / (1 + M(exp)(-a[i])));
    case R_tanh: EACH(M(tanh)(a[i]));
    case R_erf: EACH(M(erf)(a[i]));
    case R_floor: EACH(M(floor)(a[i]));
    case R_sign: EACH(a[i] > 0 ? 1 : a[i] < 0 ? -1 : a[i]);
    case R_stop: case R_f32: EACH(a[i]);
    case R_bf16: EACH(ect_bf16((float)a[i]));
    case R_f16: EACH(ect_f16((float)a[i]));
    case R_tf32: EACH(ect_tf32((float)a[i]));
    case R_nan_to_num: EACH(isnan(a[i]) ? n->value : isinf(a[i]) ? (a[i] > 0 ? n->inf : -n->inf) : a[i]);
    case R_isfinite: EACH(isfinite(a[i]));
    case R_not: EACH(a[i] == 0);
    case R_add: EACH(a[i] + b[i]);
    case R_sub: EACH(a[i] - b[i]);
    case R_mul: EACH(a[i] * b[i]);
    case R_div: EACH(a[i] / b[i]);
    case R_pow: EACH(M(pow)(a[i], b[i]));
    case R_max: EACH(isnan(a[i]) ? a[i] : isnan(b[i]) ? b[i] : a[i] < b[i] ? b[i] : a[i]);
    case R_min: EACH(isnan(a[i]) ? a[i] : isnan(b[i]) ? b[i] : b[i] < a[i] ? b[i] : a[i]);
    case R_lt: EACH(a[i] < b[i]);
    case R_le: EACH(a[i] <= b[i]);
    case R_eq: EACH(a[i] == b[i]);
    case R_and: EACH(a[i] != 0 && b[i] != 0);
    case R_or: EACH(a[i] != 0 || b[i] != 0);
    case R_where: case R_rows: EACH(a[i] != 0 ? b[i] : c[i]);
    default: die("`%s` is not element-wise", ref_ops[n->op].name);
    }
#undef EACH
}
static void F(run_elem)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k];
    LoopSpace space = ref_space(&n->shape);
    const RefAccess *a[3] = {NULL};
    for (int i = 0; i < n->n_in; i++) a[i] = ref_operand(r->s, k, i, &space);
    int64_t blocks = (n->elements + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) num_threads(r->threads)
    for (int64_t t = 0; t < blocks; t++) {
        REAL tmp[3][BLOCK], *x[3] = {NULL};
        int64_t first = t * BLOCK, count = MIN((int64_t)BLOCK, n->elements - first);
        for (int i = 0; i < n->n_in; i++) {
            if (a[i]->identity) { x[i] = buf[a[i]->piece[0].source] + first; continue; }
            F(gather)(a[i], buf, first, count, tmp[i]);
            x[i] = tmp[i];
        }
        F(elem)(n, count, x, out + first);
    }
}

/* ---- reductions ---- */
/* Axes to reduce go behind the others, the largest innermost: long runs. Returns how many elements they make. */
static int64_t F(add_reduced)(LoopSpace *space, int count, const Sym *role, const int64_t *size)
{
    int order[PLAN_MAX_AXES];
    int64_t elements = 1;
    for (int i = 0; i < count; i++) {
        int k = i;
        for (; k > 0 && size[order[k - 1]] > size[i]; k--) order[k] = order[k - 1];
        order[k] = i;
    }
    for (int i = 0; i < count; i++) {
        ref_add_axis(space, role[order[i]], size[order[i]]);
        elements *= size[order[i]];
    }
    return elements;
}
static void F(run_reduce)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k], *x = &r->s->g->node[n->in[0]];
    LoopSpace space = ref_space(&n->shape);
    int64_t size[PLAN_MAX_AXES];
    for (int i = 0; i < n->n_reduced; i++) size[i] = x->shape.size[n->reduced[i]];
    int64_t reduced = F(add_reduced)(&space, n->n_reduced, n->reduced_role, size);
    const RefAccess *a = ref_operand(r->s, k, 0, &space);
#pragma omp parallel for schedule(static) num_threads(r->threads)
    for (int64_t o = 0; o < n->elements; o++) {
        REAL v[BLOCK], top = -INFINITY;
        double sum = 0, squares = 0;
        for (int64_t e = 0; e < reduced; e += BLOCK) {
            int64_t count = MIN((int64_t)BLOCK, reduced - e);
            F(gather)(a, buf, o * reduced + e, count, v);
            if (n->op != R_rmax) for (int64_t i = 0; i < count; i++) sum += (double)v[i];
            else for (int64_t i = 0; i < count; i++) top = isnan(top) || !(v[i] <= top) ? (isnan(top) ? top : v[i]) : top;
        }
        double mean = sum / (double)reduced;
        for (int64_t e = 0; n->op == R_sqdev && e < reduced; e += BLOCK) {     /* a second pass: deviations from the mean do not cancel */
            int64_t count = MIN((int64_t)BLOCK, reduced - e);
            F(gather)(a, buf, o * reduced + e, count, v);
            for (int64_t i = 0; i < count; i++) squares += ((double)v[i] - mean) * ((double)v[i] - mean);
        }
        out[o] = n->op == R_sum ? (REAL)sum : n->op == R_sqdev ? (REAL)squares : top;
    }
}
/* standardize, softmax: the reduced axes stay; each group of them is computed in f64 and rounded once. */
static void F(run_composite)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k], *x = &r->s->g->node[n->in[0]];
    LoopSpace space = {0};
    Sym role[PLAN_MAX_AXES];
    int64_t size[PLAN_MAX_AXES], stride[PLAN_MAX_AXES], s = 1, kept = 1;
    for (int i = n->shape.n; i--; s *= n->shape.size[i]) stride[i] = s;
    int count = 0;
    for (int i = 0; i < n->shape.n; i++) {
        bool reduced = false;
        for (int j = 0; j < n->n_reduced; j++) reduced |= n->reduced_role[j] == n->shape.role[i];
        if (reduced) role[count] = n->shape.role[i], size[count++] = n->shape.size[i];
        else ref_add_axis(&space, n->shape.role[i], n->shape.size[i]), kept *= n->shape.size[i];
    }
    int64_t reduced = F(add_reduced)(&space, count, role, size);
    int64_t out_stride[LOOP_MAX];
    for (int l = 0; l < space.n; l++)
        for (int i = 0; i < n->shape.n; i++) if (n->shape.role[i] == space.role[l]) out_stride[l] = stride[i];
    (void)x;
    const RefAccess *a = ref_operand(r->s, k, 0, &space);
#pragma omp parallel num_threads(r->threads)
    {
        REAL *v = xmalloc((size_t)MAX((int64_t)1, reduced) * sizeof *v);
#pragma omp for schedule(static)
        for (int64_t o = 0; o < kept; o++) {
            F(gather)(a, buf, o * reduced, reduced, v);
            double shift = 0, scale = 0, top = -INFINITY;
            if (n->op == R_softmax) {
                for (int64_t i = 0; i < reduced; i++) if (!(v[i] <= top)) top = v[i];
                for (int64_t i = 0; i < reduced; i++) scale += exp((double)v[i] - top);
            } else {
                for (int64_t i = 0; i < reduced; i++) shift += (double)v[i] / (double)reduced;
                for (int64_t i = 0; i < reduced; i++) scale += ((double)v[i] - shift) * ((double)v[i] - shift) / (double)reduced;
                scale = sqrt(scale + n->value);
            }
            for (int64_t i = 0; i < reduced; i++) {
                int64_t e = o * reduced + i, to = 0;
                for (int l = space.n; l--; e /= space.size[l]) to += e % space.size[l] * out_stride[l];
                out[to] = (REAL)((n->op == R_softmax ? exp((double)v[i] - top) : (double)v[i] - shift) / scale);
            }
        }
        free(v);
    }
}

/* ---- contraction: sum over k of x[batch, m, k] * y[batch, n, k] ---- */
typedef double Vec4 __attribute__((vector_size(32)));
/* acc[m][0..TILE) += x[m][k] * y[k][0..TILE); the same bits from every clone: nothing is contracted to fma. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
__attribute__((target_clones("arch=x86-64-v3", "default")))
#endif
static void F(tile)(int rows, int count, const REAL *x, const double *y, double *acc)
{
    for (int m = 0; m < rows; m++) {
        Vec4 s[TILE / 4];
        memcpy(s, acc + m * TILE, sizeof s);
        for (int k = 0; k < count; k++) {
            double v = (double)x[m * CHUNK + k];
            Vec4 w = {v, v, v, v}, row[TILE / 4];
            memcpy(row, y + k * TILE, sizeof row);
            for (int j = 0; j < TILE / 4; j++) s[j] += w * row[j];
        }
        memcpy(acc + m * TILE, s, sizeof s);
    }
}
/* Offset in the output of each element of a list of its axes. */
static int64_t *F(offsets)(const PlanShape *out, const LoopSpace *l, int first, int n, int64_t count)
{
    int64_t *v = xmalloc((size_t)MAX((int64_t)1, count) * sizeof *v), stride[LOOP_MAX] = {0};
    for (int a = first; a < first + n; a++) {
        int64_t s = 1;
        for (int i = out->n; i-- && out->role[i] != l->role[a]; ) s *= out->size[i];
        stride[a] = s;
    }
    for (int64_t e = 0; e < count; e++) {
        int64_t rest = e, o = 0;
        for (int a = first + n; a-- > first; rest /= l->size[a]) o += rest % l->size[a] * stride[a];
        v[e] = o;
    }
    return v;
}
static bool F(has)(const PlanShape *s, Sym role)
{
    for (int i = 0; i < s->n; i++) if (s->role[i] == role) return true;
    return false;
}
static void F(run_contract)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k];
    const RefNode *x[2] = {&r->s->g->node[n->in[0]], &r->s->g->node[n->in[1]]};
    /* the operand with more rows of its own goes to the vector side */
    int64_t own[2] = {1, 1};
    for (int i = 0; i < n->shape.n; i++)
        for (int j = 0; j < 2; j++)
            if (F(has)(&x[j]->shape, n->shape.role[i]) && !F(has)(&x[1 - j]->shape, n->shape.role[i])) own[j] *= n->shape.size[i];
    int side[2] = {own[0] > own[1], !(own[0] > own[1])};           /* side[0]: operand giving m; side[1]: giving n */
    LoopSpace space[2] = {{0}, {0}};
    int axes[2] = {0, 0}, batch_axes = 0;
    int64_t batch = 1, rows[2] = {1, 1}, size[PLAN_MAX_AXES];
    for (int i = 0; i < n->shape.n; i++)
        if (F(has)(&x[0]->shape, n->shape.role[i]) && F(has)(&x[1]->shape, n->shape.role[i])) {
            for (int j = 0; j < 2; j++) ref_add_axis(&space[j], n->shape.role[i], n->shape.size[i]);
            batch *= n->shape.size[i];
            batch_axes++;
        }
    for (int j = 0; j < 2; j++)
        for (int i = 0; i < n->shape.n; i++)
            if (F(has)(&x[side[j]]->shape, n->shape.role[i]) && !F(has)(&x[side[1 - j]]->shape, n->shape.role[i])) {
                ref_add_axis(&space[j], n->shape.role[i], n->shape.size[i]);
                rows[j] *= n->shape.size[i];
                axes[j]++;
            }
    for (int i = 0; i < n->n_reduced; i++)
        for (int j = 0; j < 2; j++)
            for (int q = 0; q < x[j]->shape.n; q++) if (x[j]->shape.role[q] == n->reduced_role[i]) size[i] = x[j]->shape.size[q];
    int64_t *to_batch = F(offsets)(&n->shape, &space[0], 0, batch_axes, batch);
    int64_t *to[2];
    for (int j = 0; j < 2; j++) to[j] = F(offsets)(&n->shape, &space[j], batch_axes, axes[j], rows[j]);
    int64_t reduced = 0;
    const RefAccess *a[2];
    for (int j = 0; j < 2; j++) {
        reduced = F(add_reduced)(&space[j], n->n_reduced, n->reduced_role, size);
        a[j] = ref_operand(r->s, k, side[j], &space[j]);
    }
    int64_t tiles[2] = {(rows[0] + TILE - 1) / TILE, (rows[1] + TILE - 1) / TILE};
#pragma omp parallel num_threads(r->threads)
    {
        REAL *px = xmalloc(TILE * CHUNK * sizeof *px), *line = xmalloc(CHUNK * sizeof *line);
        double *py = xmalloc(TILE * CHUNK * sizeof *py), *acc = xmalloc(TILE * TILE * sizeof *acc);
#pragma omp for schedule(dynamic)
        for (int64_t t = 0; t < batch * tiles[0] * tiles[1]; t++) {
            int64_t b = t / (tiles[0] * tiles[1]), m0 = t / tiles[1] % tiles[0] * TILE, n0 = t % tiles[1] * TILE;
            int mc = (int)MIN((int64_t)TILE, rows[0] - m0), nc = (int)MIN((int64_t)TILE, rows[1] - n0);
            memset(acc, 0, TILE * TILE * sizeof *acc);
            memset(py, 0, TILE * CHUNK * sizeof *py);
            for (int64_t k0 = 0; k0 < reduced; k0 += CHUNK) {
                int kc = (int)MIN((int64_t)CHUNK, reduced - k0);
                for (int i = 0; i < mc; i++) F(gather)(a[0], buf, (b * rows[0] + m0 + i) * reduced + k0, kc, px + i * CHUNK);
                for (int i = 0; i < nc; i++) {
                    F(gather)(a[1], buf, (b * rows[1] + n0 + i) * reduced + k0, kc, line);
                    for (int q = 0; q < kc; q++) py[q * TILE + i] = (double)line[q];
                }
                F(tile)(mc, kc, px, py, acc);
            }
            for (int i = 0; i < mc; i++)
                for (int j = 0; j < nc; j++) out[to_batch[b] + to[0][m0 + i] + to[1][n0 + j]] = (REAL)acc[i * TILE + j];
        }
        free(px); free(line); free(py); free(acc);
    }
    free(to_batch); free(to[0]); free(to[1]);
}

/* ---- rows through a table ---- */
static void F(run_table)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k], *x = &r->s->g->node[n->in[0]];
    LoopSpace space = ref_space(&x->shape);
    int64_t rows = x->elements, held = 0, at[2] = {0};
    REAL *c = xmalloc((size_t)MAX((int64_t)1, rows) * sizeof *c);
    F(gather)(ref_operand(r->s, k, 0, &space), buf, 0, rows, c);
    for (int64_t i = 0; i < rows; i++) held += c[i] != 0;
    at[0] = held;                                            /* where the next row goes that does not hold, or does */
    for (int64_t i = 0; i < rows && n->op != R_rows_count; i++) {
        int64_t place = at[c[i] != 0]++;
        if (n->op == R_rows_order) out[place] = (REAL)i;
        else out[i] = (REAL)place;
    }
    if (n->op == R_rows_count) out[0] = (REAL)held;
    free(c);
}
/* All rows are read, those past a count as well: they are rows of x like the others. */
static void F(run_take)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k], *t = &r->s->g->node[n->in[1]];
    LoopSpace space = ref_space(&n->shape), row_space = ref_space(&t->shape);
    const RefAccess *a = ref_operand(r->s, k, 0, &space), *b = ref_operand(r->s, k, 1, &row_space);
    REAL *x = xmalloc((size_t)MAX((int64_t)1, n->elements) * sizeof *x), *table = xmalloc((size_t)MAX((int64_t)1, t->elements) * sizeof *table);
    int64_t inner = 1, rows = t->elements;
    for (int i = n->shape.n; i-- && n->shape.role[i] != t->shape.role[0]; ) inner *= n->shape.size[i];
    F(gather)(a, buf, 0, n->elements, x);
    F(gather)(b, buf, 0, rows, table);
#pragma omp parallel for schedule(static) num_threads(r->threads)
    for (int64_t e = 0; e < n->elements; e++) {
        int64_t row = e / inner % rows;
        out[e] = x[e + ((int64_t)table[row] - row) * inner];
    }
    free(x);
    free(table);
}

/* ---- sources and outputs ---- */
/* Copies between row-major order of `shape` and a node's own order; both have the same roles. */
static int64_t F(map_offset)(const RefNode *n, int64_t e, const int64_t *stride)
{
    int64_t o = 0;
    for (int i = n->shape.n; i--; e /= n->shape.size[i]) o += e % n->shape.size[i] * stride[i];
    return o;
}
static void F(io_strides)(const RefNode *n, const RefIo *io, int64_t *stride)
{
    for (int i = 0; i < n->shape.n; i++) {
        stride[i] = 1;
        if (io->kind == IO_FLAT) continue;
        const PlanShape *s = io->param ? &io->param->shape : io->shape;
        int64_t step = 1;
        for (int q = s->n; q--; step *= s->size[q])
            if (!strcmp(s->role[q], n->shape.role[i])) stride[i] = io->param ? io->param->stride[q] : step;
    }
}
static void F(load)(const RefRun *r, const RefNode *n, REAL *out)
{
    RefIo io = ref_find_input(r, n);
    int64_t stride[PLAN_MAX_AXES];
    F(io_strides)(n, &io, stride);
#pragma omp parallel for schedule(static) num_threads(r->threads)
    for (int64_t e = 0; e < n->elements; e++) {
        int64_t o = F(map_offset)(n, e, stride);
        out[e] = (REAL)(io.wide && sizeof(REAL) == 8 ? io.wide[o] : (double)io.data[o]);
    }
}
static void F(store)(const RefRun *r, int index, REAL *const *buf)
{
    RefSegment *s = r->s;
    const RefOut *out = &s->g->out[index];
    const RefNode *n = &s->g->node[out->node];
    RefIo io = ref_find_output(r, out->name, n);
    int64_t stride[PLAN_MAX_AXES];
    F(io_strides)(n, &io, stride);
    LoopSpace space = ref_space(&n->shape);
    if (!s->out_access[index]) {
        char *err = NULL;
        if (!(s->out_access[index] = ref_access_new(s->g, out->node, &space, &err))) user_error("%s", err);
    }
    const RefAccess *a = s->out_access[index];
#pragma omp parallel for schedule(static) num_threads(r->threads)
    for (int64_t b = 0; b < n->elements; b += BLOCK) {
        REAL v[BLOCK];
        int64_t count = MIN((int64_t)BLOCK, n->elements - b);
        F(gather)(a, buf, b, count, v);
        for (int64_t i = 0; i < count; i++) {
            int64_t o = F(map_offset)(n, b + i, stride);
            if (io.data) io.data[o] = (float)v[i];
            if (io.wide) io.wide[o] = (double)v[i];
        }
    }
}
static void F(run_draw)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k];
    float *v = xmalloc((size_t)MAX((int64_t)1, n->elements) * sizeof *v), *p = NULL;
    if (n->n_in) {
        LoopSpace space = ref_space(&n->shape);
        const RefAccess *a = ref_operand(r->s, k, 0, &space);
        REAL *q = xmalloc((size_t)MAX((int64_t)1, n->elements) * sizeof *q);
        F(gather)(a, buf, 0, n->elements, q);
        p = xmalloc((size_t)MAX((int64_t)1, n->elements) * sizeof *p);
        for (int64_t i = 0; i < n->elements; i++) p[i] = (float)q[i];
        free(q);
    }
    ref_draw(r, n, p, v);
    for (int64_t i = 0; i < n->elements; i++) out[i] = (REAL)v[i];
    free(v);
    free(p);
}

/* ---- the walk ---- */
static REAL F(scalar_value)(const RefRun *r, const RefNode *n)
{
    if (n->op == R_const) return (REAL)n->value;
    return sizeof(REAL) == 8 ? (REAL)r->l->scalar64[n->index] : (REAL)r->l->scalar[n->index];
}
static void F(compute)(const RefRun *r, int k, REAL *const *buf, REAL *out)
{
    const RefNode *n = &r->s->g->node[k];
    switch (n->op) {
    case R_input: case R_param: F(load)(r, n, out); break;
    case R_const: case R_scalar: out[0] = F(scalar_value)(r, n); break;
    case R_iota: for (int64_t i = 0; i < n->elements; i++) out[i] = (REAL)i; break;
    case R_draw: F(run_draw)(r, k, buf, out); break;
    case R_sum: case R_sqdev: case R_rmax: F(run_reduce)(r, k, buf, out); break;
    case R_contract: F(run_contract)(r, k, buf, out); break;
    case R_standardize: case R_softmax: F(run_composite)(r, k, buf, out); break;
    case R_take: F(run_take)(r, k, buf, out); break;
    case R_rows_order: case R_rows_rank: case R_rows_count: F(run_table)(r, k, buf, out); break;
    default: F(run_elem)(r, k, buf, out);
    }
}
/* A graph of scalars and one long axis: chunk by chunk through all its nodes, outputs last, so that a flat array may be read and
   written. */
static void F(run_flat)(const RefRun *r)
{
    const RefGraph *g = r->s->g;
    int64_t elements = 1;
    for (int k = 0; k < g->n; k++) elements = MAX(elements, g->node[k].elements);
    RefIo *in = xcalloc((size_t)g->n, sizeof *in), *out = xcalloc((size_t)g->n_out, sizeof *out);
    for (int k = 0; k < g->n; k++) if (g->node[k].op == R_input) in[k] = ref_find_input(r, &g->node[k]);
    for (int i = 0; i < g->n_out; i++) out[i] = ref_find_output(r, g->out[i].name, &g->node[g->out[i].node]);
#pragma omp parallel num_threads(r->threads)
    {
        REAL *buf = xmalloc((size_t)g->n * BLOCK * sizeof *buf);
#pragma omp for schedule(static)
        for (int64_t first = 0; first < elements; first += BLOCK) {
            int64_t count = MIN((int64_t)BLOCK, elements - first);
            for (int k = 0; k < g->n; k++) {
                const RefNode *n = &g->node[k];
                REAL *y = buf + (size_t)k * BLOCK, *x[3] = {NULL};
                for (int i = 0; i < n->n_in && i < 3; i++) x[i] = buf + (size_t)n->in[i] * BLOCK;
                if (n->op == R_input) for (int64_t i = 0; i < count; i++) y[i] = (REAL)in[k].data[first + i];
                else if (n->op == R_const || n->op == R_scalar) for (int64_t i = 0; i < count; i++) y[i] = F(scalar_value)(r, n);
                else if (n->op == R_expand) memcpy(y, x[0], (size_t)count * sizeof *y);
                else F(elem)(n, count, x, y);
            }
            for (int i = 0; i < g->n_out; i++)
                for (int64_t e = 0; e < count; e++)
                    out[i].data[first + e] = (float)buf[(size_t)g->out[i].node * BLOCK + (size_t)e];
        }
        free(buf);
    }
    free(in);
    free(out);
}
void F(ref_run)(const RefRun *r)
{
    if (r->s->flat) {
        F(run_flat)(r);
        return;
    }
    const RefGraph *g = r->s->g;
    REAL **buf = xcalloc((size_t)g->n, sizeof *buf);
    int *dead_next = xmalloc((size_t)g->n * sizeof *dead_next), *dead = xmalloc((size_t)g->n * sizeof *dead);
    for (int k = 0; k < g->n; k++) dead[k] = -1;
    for (int k = 0; k < g->n; k++) {                                 /* who may be freed after node k */
        if (r->s->last[k] < 0) continue;
        dead_next[k] = dead[r->s->last[k]];
        dead[r->s->last[k]] = k;
    }
    for (int k = 0; k < g->n; k++) {
        const RefNode *n = &g->node[k];
        if (ref_ops[n->op].cls != REF_V && r->s->last[k] >= 0) {
            buf[k] = xmalloc((size_t)MAX((int64_t)1, n->elements) * sizeof *buf[k]);
            F(compute)(r, k, buf, buf[k]);
        }
        for (int i = 0; i < g->n_out; i++) if (g->out[i].node == k) F(store)(r, i, buf);
        for (int d = dead[k]; d >= 0; d = dead_next[d]) {
            free(buf[d]);
            buf[d] = NULL;
        }
    }
    for (int k = 0; k < g->n; k++) free(buf[k]);
    free(buf);
    free(dead);
    free(dead_next);
}
