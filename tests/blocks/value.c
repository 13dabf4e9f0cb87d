/* Values of single elements with their bounds (value.h): a walk down the graph. Rounding errors are taken as independent where many are added up; a bound
   on each alone, added up, would hide a term that is missing. */
#include <float.h>
#include <math.h>
#include "runtime/kernel_prelude.h"
#include "tests/blocks/value.h"

enum { CACHE = 1 << 18, MAX_DRAWS = 256 };
static const double UNIT = 0x1p-23, FUNCTION = 0x1p-20, SPREAD = 4, SUMMED = 8;

typedef struct { uint64_t key; GvValue value; } Known;
typedef struct { bool on; GvBuffer b; int64_t stride[PLAN_MAX_AXES]; } Memory;      /* stride: of the node's axes */
struct GraphValue {
    RefGraph *g;
    RefAccess *(*access)[4];                         /* per node: its operands; [3]: the node itself, a view */
    LoopSpace *space;                                /* per node: what its operands are read over */
    int64_t *reduced;                                /* per node: how many elements a sum adds up */
    int *users;
    Number rounding;
    bool *network;                                   /* per node, a contraction whose operands are rounded if any are */
    Memory *hold, *made;
    const float *scalar;
    int n_draws; const PlanDraw *draw[MAX_DRAWS]; const float *drawn[MAX_DRAWS];
    Known *known;
    double terms;
};

static GvValue eval(GraphValue *v, int k, int64_t e);

/* ---- numbers ---- */
/* As kernels round: held against arithmetic in f64 by tests/unit/test_number.c. */
static double nearest(double x, Number type)
{
    const float f = (float)x;
    if (isnan(f) || type == NUM_F32) return x;
    return type == NUM_BF16 ? ect_bf16(f) : type == NUM_F16 ? ect_f16(f) : ect_tf32(f);
}
static GvValue rounded(GvValue x, Number type)
{
    const double v = nearest(x.v, type);
    return (GvValue){v, fmax(fabs(nearest(x.v + x.e, type) - v), fabs(nearest(x.v - x.e, type) - v))};
}
double gv_ulp(double v, Number type)
{
    int e;
    frexp(v, &e);
    return ldexp(1, MAX(e, type == NUM_F16 ? -13 : -100) - number_info[type].bits);
}
static double function(const RefNode *n, double a, double b, double c)
{
    switch (n->op) {
    case R_neg: return -a;
    case R_abs: return fabs(a);
    case R_exp: return exp(a);
    case R_log: return log(a);
    case R_sin: return sin(a);
    case R_cos: return cos(a);
    case R_sqrt: return sqrt(a);
    case R_rsqrt: return 1 / sqrt(a);
    case R_sigmoid: return 1 / (1 + exp(-a));
    case R_tanh: return tanh(a);
    case R_erf: return erf(a);
    case R_floor: return floor(a);
    case R_sign: return a > 0 ? 1 : a < 0 ? -1 : a;
    case R_stop: case R_f32: return a;
    case R_bf16: return nearest(a, NUM_BF16);
    case R_nan_to_num: return isnan(a) ? n->value : isinf(a) ? (a > 0 ? n->inf : -n->inf) : a;
    case R_isfinite: return isfinite(a);
    case R_not: return a == 0;
    case R_add: return a + b;
    case R_sub: return a - b;
    case R_mul: return a * b;
    case R_div: return a / b;
    case R_pow: return pow(a, b);
    case R_max: return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case R_min: return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case R_lt: return a < b;
    case R_le: return a <= b;
    case R_eq: return a == b;
    case R_and: return a != 0 && b != 0;
    case R_or: return a != 0 || b != 0;
    case R_where: case R_rows: return a != 0 ? b : c;
    default: die("`%s` is not element-wise", ref_ops[n->op].name);
    }
}
/* What the operation itself may be off by, in units of its result. */
static double own_error(RefOp op)
{
    switch (op) {
    case R_add: case R_sub: case R_mul: case R_div: case R_sqrt: return UNIT;
    case R_exp: case R_log: case R_sin: case R_cos: case R_rsqrt: case R_sigmoid: case R_tanh: case R_erf: case R_pow: return FUNCTION;
    default: return 0;
    }
}
static GvValue apply(const RefNode *n, const GvValue *x)
{
    double at[3] = {x[0].v, x[1].v, x[2].v}, v = function(n, at[0], at[1], at[2]), e = own_error(n->op) * fabs(v);
    for (int i = 0; i < n->n_in; i++) {
        double most = 0;
        for (int way = -1; way <= 1 && x[i].e > 0; way += 2) {
            at[i] = x[i].v + way * x[i].e;
            const double d = fabs(function(n, at[0], at[1], at[2]) - v);
            if (d > most) most = d;
        }
        at[i] = x[i].v;
        e += most;
    }
    return (GvValue){v, e};
}

/* ---- places ---- */
static void unflatten(const LoopSpace *s, int64_t e, int64_t *index)
{
    for (int l = s->n; l--; e /= s->size[l]) index[l] = e % s->size[l];
}
/* The source and element that an access reads at these indices; false: outside. */
static bool locate(const RefAccess *a, const int64_t *index, int *source, int64_t *e)
{
    for (int k = 0; k < a->n_pieces; k++) {
        const RefPiece *p = &a->piece[k];
        int64_t at = p->base;
        for (int j = 0; j < p->n_groups; j++) {
            int64_t t = 0;
            for (int i = 0; i < p->group[j].n; i++) t += index[p->group[j].axis[i]] * p->group[j].stride[i];
            at += p->group[j].table[t];
        }
        if (at < 0) continue;
        *source = p->source;
        *e = at;
        return true;
    }
    return false;
}
static const RefAccess *access_of(GraphValue *v, int k, int operand)
{
    RefAccess **a = &v->access[k][operand];
    const RefNode *n = &v->g->node[k];
    char *err = NULL;
    LoopSpace own = {.n = 0};
    if (*a) return *a;
    if (n->op == R_take && operand == 0) {           /* over all rows of what it takes from */
        const RefNode *x = &v->g->node[n->in[0]];
        for (own.n = 0; own.n < x->shape.n; own.n++) own.role[own.n] = x->shape.role[own.n], own.size[own.n] = x->shape.size[own.n];
    }
    *a = ref_access_new(v->g, operand == 3 ? k : n->in[operand], own.n ? &own : &v->space[k], &err);
    if (!*a) die("%s", err);
    return *a;
}
static GvValue operand(GraphValue *v, int k, int i, const int64_t *index)
{
    int source;
    int64_t e;
    return locate(access_of(v, k, i), index, &source, &e) ? eval(v, source, e) : (GvValue){0, 0};
}
static int64_t place_of(const GraphValue *v, int k, const Memory *m, int64_t e)
{
    const PlanShape *s = &v->g->node[k].shape;
    int64_t at = 0;
    for (int i = s->n; i--; e /= s->size[i]) at += e % s->size[i] * m->stride[i];
    return at;
}
double gv_read(const GvBuffer *b, int64_t at)
{
    if (b->type == NUM_F32) return (double)((const float *)b->data)[at];
    const uint16_t half = ((const uint16_t *)b->data)[at];
    return b->type == NUM_BF16 ? ect_load_bf16(half) : ect_load_f16(half);
}
static bool untouched(const GvBuffer *b, int64_t at)
{
    return b->type != NUM_F32 ? ((const uint16_t *)b->data)[at] == 0xffff : ((const uint32_t *)b->data)[at] == 0xffffffff;
}

/* ---- sums ---- */
static GvValue reduce(GraphValue *v, int k, int64_t e)
{
    const RefNode *n = &v->g->node[k];
    const LoopSpace *s = &v->space[k];
    int64_t index[LOOP_MAX], N = v->reduced[k];
    double sum = 0, squares = 0, errors = 0, worst = 0, top = -INFINITY, deviations = 0, far = 0, spread = 0;
    const bool product = n->op == R_contract, round = v->rounding != NUM_F32 && v->network[k], twice = n->op == R_sqdev;
    v->terms += (double)N;
    for (int turn = 0; turn < (twice ? 2 : 1); turn++)
        for (int64_t i = 0; i < N; i++) {
            unflatten(s, e * N + i, index);
            GvValue x = operand(v, k, 0, index);
            if (product) {
                GvValue y = operand(v, k, 1, index);
                if (round) x = rounded(x, v->rounding), y = rounded(y, v->rounding);
                x = (GvValue){x.v * y.v, fabs(x.v) * y.e + fabs(y.v) * x.e + x.e * y.e};
            }
            if (turn) {
                const double d = x.v - sum / (double)N;
                deviations += d * d;
                far = fmax(far, fabs(d));
                spread += 4 * d * d * x.e * x.e;
                continue;
            }
            sum += x.v;
            squares += x.v * x.v;
            errors += x.e * x.e;
            worst = fmax(worst, x.e);
            if (isnan(x.v) || x.v > top) top = isnan(top) ? top : x.v;
        }
    if (n->op == R_rmax) return (GvValue){top, worst};
    if (twice) return (GvValue){deviations, SPREAD * sqrt(spread) + SUMMED * UNIT * (1 + sqrt((double)N) / 4) * (deviations + (double)N * far * far)};
    const double size = fmax(fabs(sum), sqrt(squares));
    return (GvValue){sum, worst + SPREAD * sqrt(errors) + SUMMED * UNIT * (1 + sqrt((double)N) / 4) * size};
}
static GvValue draw_value(GraphValue *v, int k, int64_t e)
{
    const RefNode *n = &v->g->node[k];
    int site = -1;
    for (int i = 0; i < v->n_draws; i++) if (!strcmp(v->draw[i]->name, n->name)) site = i;
    if (site < 0) die("the kernel does not get the draw `%s`", n->name);
    int64_t stride[PLAN_MAX_AXES] = {0}, s = 1, at = 0;              /* c innermost, rows outermost */
    for (int pass = 0; pass < 2; pass++)
        for (int i = n->shape.n; i--;) {
            if (!strcmp(n->shape.role[i], "n") || (strcmp(n->shape.role[i], "c") != 0) != pass) continue;
            stride[i] = s;
            s *= n->shape.size[i];
        }
    for (int i = 0; i < n->shape.n; i++) if (!strcmp(n->shape.role[i], "n")) stride[i] = s;
    for (int i = n->shape.n; i--; e /= n->shape.size[i]) at += e % n->shape.size[i] * stride[i];
    return (GvValue){v->drawn[site][at], 0};
}
static GvValue table_value(GraphValue *v, int k, int64_t e)
{
    const RefNode *n = &v->g->node[k];
    const int64_t rows = v->g->node[n->in[0]].elements;
    int64_t held = 0, place = 0;
    for (int64_t i = 0; i < rows; i++) held += operand(v, k, 0, &i).v != 0;
    if (n->op == R_rows_count) return (GvValue){(double)held, 0};
    for (int wanted = 1; wanted >= 0; wanted--)
        for (int64_t i = 0; i < rows; i++) {
            if ((operand(v, k, 0, &i).v != 0) != wanted) continue;
            if (n->op == R_rows_order ? place == e : i == e) return (GvValue){(double)(n->op == R_rows_order ? i : place), 0};
            place++;
        }
    die("a table of rows has no such row");
}
static GvValue take(GraphValue *v, int k, const int64_t *index)
{
    const RefNode *n = &v->g->node[k], *x = &v->g->node[n->in[0]], *table = &v->g->node[n->in[1]];
    int64_t at[LOOP_MAX];
    const int row = shape_axis(&n->shape, table->shape.role[0]);
    GvValue place = eval(v, n->in[1], index[row]);
    for (int i = 0; i < x->shape.n; i++) {
        const int a = shape_axis(&n->shape, x->shape.role[i]);
        at[i] = a == row ? (int64_t)place.v : index[a];
    }
    return operand(v, k, 0, at);
}

/* ---- a node's element ---- */
static GvValue compute(GraphValue *v, int k, int64_t e)
{
    const RefNode *n = &v->g->node[k];
    int64_t index[LOOP_MAX] = {0};
    GvValue x[3] = {{0, 0}, {0, 0}, {0, 0}}, y;
    switch (n->op) {
    case R_const: return (GvValue){(double)(float)n->value, 0};
    case R_scalar: return (GvValue){(double)v->scalar[n->index], 0};
    case R_iota: return (GvValue){(double)e, 0};
    case R_draw: return draw_value(v, k, e);
    case R_rows_order: case R_rows_rank: case R_rows_count: return table_value(v, k, e);
    case R_input: case R_param: die("node %%%d, %s, is in no memory that the kernel reads", k + 1, n->op == R_param ? "a parameter" : n->name);
    default: break;
    }
    if (ref_ops[n->op].cls == REF_R) {
        y = reduce(v, k, e);
    } else {
        unflatten(&v->space[k], e, index);
        if (ref_ops[n->op].cls == REF_V) y = operand(v, k, 3, index);
        else if (n->op == R_take) y = take(v, k, index);
        else {
            for (int i = 0; i < n->n_in; i++) x[i] = operand(v, k, i, index);
            y = apply(n, x);
        }
    }
    if (fabs(y.v) > FLT_MAX) y.e = INFINITY;         /* infinite in f32 */
    return v->made[k].on && v->made[k].b.type != NUM_F32 ? rounded(y, v->made[k].b.type) : y;
}
static GvValue eval(GraphValue *v, int k, int64_t e)
{
    if (v->hold[k].on) return (GvValue){gv_read(&v->hold[k].b, place_of(v, k, &v->hold[k], e)), 0};
    if (v->made[k].on) {
        const int64_t at = place_of(v, k, &v->made[k], e);
        if (!untouched(&v->made[k].b, at)) return (GvValue){gv_read(&v->made[k].b, at), 0};
    }
    const bool keep = v->users[k] > 1 || ref_ops[v->g->node[k].op].cls == REF_R;
    const uint64_t key = ((uint64_t)k << 40 | (uint64_t)e) + 1;
    Known *known = &v->known[(key * UINT64_C(0x9E3779B97F4A7C15)) >> 46];
    if (keep && known->key == key) return known->value;
    const GvValue y = compute(v, k, e);
    if (keep) *known = (Known){key, y};
    return y;
}
GvValue gv_element(GraphValue *v, int node, const GvBuffer *b, int64_t e)
{
    const PlanShape *s = &v->g->node[node].shape;
    int64_t index[PLAN_MAX_AXES] = {0}, flat = 0;
    for (int i = b->n; i--; e /= b->size[i]) {
        const int a = s->n == 1 && b->n == 1 ? 0 : shape_axis(s, b->role[i]);
        if (a >= 0) index[a] = e % b->size[i];
    }
    for (int i = 0; i < s->n; i++) flat = flat * s->size[i] + index[i];
    return compute(v, node, flat);
}

/* ---- setting up ---- */
static bool has(const PlanShape *s, Sym role) { return shape_axis(s, role) >= 0; }
/* A contraction that is no element-wise product summed up, of an activation: more than an image and its channels. */
static bool of_network(const RefGraph *g, const RefNode *n)
{
    bool own[2] = {false, false}, spatial = false;
    for (int i = 0; n->op == R_contract && i < 2; i++) {
        const PlanShape *s = &g->node[n->in[i]].shape, *o = &g->node[n->in[1 - i]].shape;
        int wide = 0;
        for (int a = 0; a < s->n; a++) {
            wide += s->size[a] > 1;
            own[i] |= s->size[a] > 1 && !has(o, s->role[a]);
        }
        spatial |= wide >= 3;
    }
    return own[0] && own[1] && spatial;
}
GraphValue *gv_new(RefGraph *g)
{
    GraphValue *v = xcalloc(1, sizeof *v);
    const size_t n = (size_t)g->n;
    *v = (GraphValue){.g = g, .access = xcalloc(n, sizeof *v->access), .space = xcalloc(n, sizeof *v->space), .reduced = xcalloc(n, sizeof *v->reduced),
                      .users = xcalloc(n, sizeof *v->users), .network = xcalloc(n, sizeof *v->network), .hold = xcalloc(n, sizeof *v->hold), .made = xcalloc(n, sizeof *v->made),
                      .known = xcalloc(CACHE, sizeof *v->known)};
    for (int k = 0; k < g->n; k++) {
        const RefNode *x = &g->node[k];
        LoopSpace *s = &v->space[k];
        const PlanShape *over = ref_ops[x->op].cls == REF_T && x->op != R_take ? &g->node[x->in[0]].shape : &x->shape;
        for (int i = 0; i < over->n; i++, s->n++) s->role[s->n] = over->role[i], s->size[s->n] = over->size[i];
        v->reduced[k] = 1;
        v->network[k] = of_network(g, x);
        for (int i = 0; ref_ops[x->op].cls == REF_R && i < x->n_reduced; i++) {
            int64_t size = 1;
            for (int j = 0; j < x->n_in; j++) {
                const PlanShape *in = &g->node[x->in[j]].shape;
                const int a = shape_axis(in, x->reduced_role[i]);
                if (a >= 0) size = in->size[a];
            }
            s->role[s->n] = x->reduced_role[i];
            s->size[s->n++] = size;
            v->reduced[k] *= size;
        }
        for (int i = 0; i < x->n_in; i++) v->users[x->in[i]] += 1 + (ref_ops[x->op].cls == REF_R || ref_ops[x->op].cls == REF_V);
    }
    return v;
}
static void put(GraphValue *v, Memory *m, int node, const GvBuffer *b)
{
    const PlanShape *s = &v->g->node[node].shape;
    int64_t stride = 1;
    m->on = true;
    m->b = *b;
    for (int i = 0; i < PLAN_MAX_AXES; i++) m->stride[i] = 0;
    for (int i = b->n; i--; stride *= b->size[i]) {
        const int a = s->n == 1 && b->n == 1 ? 0 : shape_axis(s, b->role[i]);
        if (a >= 0) m->stride[a] = stride;
        else if (b->size[i] > 1) die("memory of node %%%d has an axis %s, the node has none", node + 1, b->role[i]);
    }
}
void gv_hold(GraphValue *v, int node, const GvBuffer *b) { put(v, &v->hold[node], node, b); }
void gv_made(GraphValue *v, int node, const GvBuffer *b) { put(v, &v->made[node], node, b); }
void gv_begin(GraphValue *v, Number rounding)
{
    v->rounding = rounding;
    memset(v->hold, 0, (size_t)v->g->n * sizeof *v->hold);
    memset(v->made, 0, (size_t)v->g->n * sizeof *v->made);
    memset(v->known, 0, CACHE * sizeof *v->known);
    v->n_draws = 0;
    v->terms = 0;
}
void gv_scalars(GraphValue *v, const float *scalar) { v->scalar = scalar; }
void gv_draw(GraphValue *v, const PlanDraw *draw, const float *values)
{
    CHECK_BUG(v->n_draws < MAX_DRAWS);
    v->draw[v->n_draws] = draw;
    v->drawn[v->n_draws++] = values;
}
double gv_terms(const GraphValue *v) { return v->terms; }
