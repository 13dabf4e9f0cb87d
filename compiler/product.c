/* product.h: which contractions are plain products, read off the kernel form.
   Each loop is a dimension with a stride in each matrix that depends on it; dimensions that lie behind one another in all of them are one. What is left has
   to be one of rows, columns, sum and batch. The result decides what rows are: its elements lie column by column. */
#include "compiler/product.h"

typedef struct { int64_t size, a, b, d, bias; } Dim;  /* strides, 0 in matrices that do not depend on it */
typedef struct { int n; Dim v[MAX_AXES]; } Dims;
typedef struct { const Kernel *k; KRef a, b, bias; IRef d; const Segment2 *seg; } Reads;

static const char MORE[] = "its epilogue is more than a bias";

static Number rounding(Op op) { return op == OP_bf16 ? NUM_BF16 : op == OP_f16 ? NUM_F16 : op == OP_tf32 ? NUM_TF32 : NUM_F32; }

/* x without a constant factor, which goes into *alpha. */
static KRef without_factor(const Kernel *k, KRef v, double *alpha)
{
    const KExpr *x = &k->expr[v];
    if (x->kind != K_OP || x->op != OP_mul) return v;
    int side = k->expr[x->in[0]].kind == K_CONST;
    if (k->expr[x->in[!side]].kind != K_CONST) return v;
    *alpha *= k->expr[x->in[!side]].value;
    return x->in[side];
}

static Number type_of(const Lowered *l, const Kernel *k, KRef load) { return l->buf[k->buf[k->expr[load].slot]].type; }

/* The load that an operand is, but for rounding and a constant factor; 0: it is more. *number: what its elements are multiplied as. */
static KRef operand_load(const Lowered *l, const Kernel *k, const Operand *o, ProductMatrix *m, double *alpha, Number *number)
{
    const KExpr *x = &k->expr[o->value];
    m->round = x->kind == K_OP ? rounding(x->op) : NUM_F32;
    KRef v = without_factor(k, m->round != NUM_F32 ? x->in[0] : o->value, alpha);
    if (k->expr[v].kind != K_LOAD) return 0;
    Number kept = type_of(l, k, v);
    *number = m->round != NUM_F32 ? m->round : kept;
    if (kept == *number) m->round = NUM_F32;
    return kept == *number || kept == NUM_F32 ? v : 0;
}

static bool stride(const Kernel *k, IRef at, int loop, int64_t *s)
{
    *s = 0;
    return loop < 0 || ix_linear(k, at, loop, s);
}

/* One dimension: loops of the operands' stages and of the result, -1 where it is not there. */
static bool add_dim(const Reads *r, Dims *d, Sym role, int64_t size, int loop)
{
    const Kernel *k = r->k;
    int in_a = op_axis(&r->seg->a, role), in_b = op_axis(&r->seg->b, role);
    Dim x = {.size = size};
    if (size == 1) return true;
    if (!stride(k, k->expr[r->a].index, in_a < 0 ? -1 : r->seg->a.loop[in_a], &x.a) || !stride(k, k->expr[r->b].index, in_b < 0 ? -1 : r->seg->b.loop[in_b], &x.b)
        || !stride(k, r->d, loop, &x.d) || (r->bias && !stride(k, k->expr[r->bias].index, loop, &x.bias))) return false;
    if (x.a < 0 || x.b < 0 || x.d < 0) return false;
    d->v[d->n++] = x;
    return true;
}

/* Outermost first, by the strides of the matrix that has the dimension, then joined where one continues the other everywhere. */
static void join(Dims *d)
{
    for (int i = 1; i < d->n; i++)
        for (int j = i; j > 0 && (d->v[j].a != d->v[j - 1].a ? d->v[j].a > d->v[j - 1].a : d->v[j].b > d->v[j - 1].b); j--) {
            Dim x = d->v[j]; d->v[j] = d->v[j - 1]; d->v[j - 1] = x;
        }
    int n = 0;
    for (int i = 0; i < d->n; i++) {
        Dim *o = n ? &d->v[n - 1] : NULL, x = d->v[i];
        if (o && o->a == x.a * x.size && o->b == x.b * x.size && o->d == x.d * x.size && o->bias == x.bias * x.size) {
            x.size *= o->size;
            *o = x;
        } else d->v[n++] = x;
    }
    d->n = n;
}

static bool gather(const Reads *r, Dims *m, Dims *n, Dims *k, Dims *b)
{
    const Kernel *q = r->k;
    bool good = true;
    for (int i = 0; i < q->n_m; i++) good = good && add_dim(r, m, q->m[i].role, q->m[i].size, q->loop_m[i]);
    for (int i = 0; i < q->n_n; i++) good = good && add_dim(r, n, q->nn[i].role, q->nn[i].size, q->loop_n[i]);
    for (int i = 0; i < r->seg->n_k; i++) good = good && add_dim(r, k, r->seg->k[i].role, r->seg->k[i].size, -1);
    for (int i = 0; i < q->n_b; i++) good = good && add_dim(r, b, q->b[i].role, q->b[i].size, q->loop_b[i]);
    join(m); join(n); join(k); join(b);
    return good;
}

/* Rows and columns that are two dimensions each time: the outer one becomes the batch, in which the other operand stays where it is. */
static bool spare(Dims *from, Dims *batch)
{
    if (from->n < 2) return true;
    if (from->n > 2 || batch->n) return false;
    batch->v[batch->n++] = from->v[0];
    from->v[0] = from->v[1];
    from->n = 1;
    return true;
}

/* rows x columns with these strides, as the library takes it. */
static bool matrix(ProductMatrix *x, int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride)
{
    x->transposed = row_stride != 1;
    x->ld = x->transposed ? row_stride : column_stride;
    return (x->transposed ? column_stride : row_stride) == 1 && x->ld >= (x->transposed ? columns : rows);
}

static int64_t constant_part(const Kernel *k, IRef i) { return k->index[i].c; }

/* The store's value: rounding to the stored type, of a sum with a bias, of the product with a factor. */
static const char *epilogue(const Lowered *l, const Kernel *k, Number stored, Product *p, KRef *bias)
{
    KRef v = k->store[0].value;
    Number round = k->expr[v].kind == K_OP ? rounding(k->expr[v].op) : NUM_F32;
    if (round != stored) return "the result is not stored as it is";
    if (round == NUM_TF32) return "the result is rounded to tf32";                       /* the library does not */
    if (round != NUM_F32) v = k->expr[v].in[0];
    const KExpr *x = &k->expr[v];
    if (x->kind == K_OP && x->op == OP_add) {
        int side = k->expr[x->in[0]].kind == K_LOAD;
        *bias = x->in[!side];
        if (k->expr[*bias].kind != K_LOAD) return MORE;
        if (type_of(l, k, *bias) != stored) return "the bias is not of the result's type";
        v = x->in[side];
    }
    return k->expr[without_factor(k, v, &p->alpha)].kind == K_ACC ? NULL : MORE;
}

const char *kernel_product(const Lowered *l, const Kernel *k, Product *p)
{
    *p = (Product){.alpha = 1, .bias = -1, .batch = 1};
    if (k->leaf != LEAF_GEMM && k->leaf != LEAF_TAPS_K && k->leaf != LEAF_TAPS_OUT) return "it is not computed as a product";
    if (k->n_seg != 1 || k->n_inner || k->n_store != 1 || k->store[0].level != AT_ELEMENT) return "it computes more than one product";
    if (k->bound >= 0 || k->n_draw) return "it computes some of its rows only";
    Reads r = {.k = k, .seg = &k->seg[0], .d = k->store[0].offset};
    for (int s = 0; s < 2; s++) {
        const Operand *o = s ? &r.seg->b : &r.seg->a;
        ProductMatrix *x = s ? &p->b : &p->a;
        Number number;
        if (o->n_taps) return "an operand is read through taps";
        KRef load = operand_load(l, k, o, x, &p->alpha, &number);
        if (!load) return "an operand has a prologue";
        if (s && number != p->number) return "its operands are of two types";
        p->number = number;
        *(s ? &r.b : &r.a) = load;
    }
    Number stored = l->buf[k->buf[k->store[0].slot]].type;
    if (stored != NUM_F32 && stored != p->number) return "the result is of another type";
    const char *why = epilogue(l, k, stored, p, &r.bias);
    if (why) return why;
    Dims m = {0}, n = {0}, sum = {0}, b = {0};
    if (!gather(&r, &m, &n, &sum, &b)) return "an index is not linear";
    if (b.n > 1 || sum.n != 1 || !m.n || !n.n || !spare(&m, &b) || !spare(&n, &b)) return "its axes do not lie as one matrix and a batch";
    p->a.slot = k->expr[r.a].slot, p->b.slot = k->expr[r.b].slot, p->d.slot = k->store[0].slot;
    p->a.offset = constant_part(k, k->expr[r.a].index), p->b.offset = constant_part(k, k->expr[r.b].index), p->d.offset = constant_part(k, r.d);
    /* Rows are what lies side by side in the result. */
    bool swap = m.v[0].d != 1;
    const Dim *row = swap ? &n.v[0] : &m.v[0], *col = swap ? &m.v[0] : &n.v[0], *s = &sum.v[0];
    if (swap) { ProductMatrix x = p->a; p->a = p->b; p->b = x; }
    p->m = row->size, p->n = col->size, p->k = s->size;
    if (b.n) {
        p->batch = b.v[0].size;
        p->a.stride = swap ? b.v[0].b : b.v[0].a, p->b.stride = swap ? b.v[0].a : b.v[0].b, p->d.stride = b.v[0].d;
    }
    bool good = matrix(&p->d, p->m, p->n, row->d, col->d) && !p->d.transposed
             && matrix(&p->a, p->m, p->k, swap ? row->b : row->a, swap ? s->b : s->a) && matrix(&p->b, p->k, p->n, swap ? s->a : s->b, swap ? col->a : col->b);
    if (!good) return "a matrix has no side by side elements";
    if (r.bias && (row->bias != 1 || col->bias || (b.n && b.v[0].bias))) return "the bias is not one number a column of the result";
    if (r.bias) p->bias = k->expr[r.bias].slot, p->bias_offset = constant_part(k, k->expr[r.bias].index);
    return NULL;
}

static void json_matrix(StrBuf *j, const char *key, const Lowered *l, const Kernel *k, const ProductMatrix *x)
{
    sb_printf(j, ", \"%s\": {\"buffer\": %d, \"type\": \"%s\", \"offset\": %lld, \"ld\": %lld, \"stride\": %lld, \"transposed\": %s", key, x->slot,
              number_info[l->buf[k->buf[x->slot]].type].name, (long long)x->offset, (long long)x->ld, (long long)x->stride, x->transposed ? "true" : "false");
    if (x->round != NUM_F32) sb_printf(j, ", \"round\": \"%s\"", number_info[x->round].name);
    sb_putc(j, '}');
}

void json_product(StrBuf *j, const Lowered *l, const Kernel *k)
{
    Product p;
    if (k->cls != KERNEL_CONTRACT || kernel_product(l, k, &p)) return;
    sb_printf(j, ", \"product\": {\"m\": %lld, \"n\": %lld, \"k\": %lld, \"batch\": %lld, \"alpha\": %.17g, \"number\": \"%s\"", (long long)p.m, (long long)p.n, (long long)p.k,
              (long long)p.batch, p.alpha, number_info[p.number].name);
    json_matrix(j, "a", l, k, &p.a);
    json_matrix(j, "b", l, k, &p.b);
    json_matrix(j, "d", l, k, &p.d);
    if (p.bias >= 0) sb_printf(j, ", \"bias\": {\"buffer\": %d, \"offset\": %lld}", p.bias, (long long)p.bias_offset);
    sb_putc(j, '}');
}
