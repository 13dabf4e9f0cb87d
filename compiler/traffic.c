/* The bytes of a kernel: the distinct ones it reads plus the distinct ones it writes in planned buffers, for all rows; and those it asks for,
   with re-reads (halos, operands read again for every tile). Its own tiles, panels and accumulators are not counted.
   Assumes a lowered kernel: index expressions over its loops. */
#include "compiler/kernel.h"

enum { MAX_CONDS = 32, MAX_TUPLES = 1 << 16 };
typedef struct { int slot; IRef index; int64_t elements; } Read;
/* under: per expression the conditions it was visited under (a hash; 0: not visited, 1: none); cond: those of the visit. */
typedef struct { const Lowered *l; const Kernel *k; uint64_t *under; Read *v; int n, cap, n_cond; Cond cond[MAX_CONDS]; } Reads;

static int64_t loops_size(const Kernel *k, uint64_t deps)
{
    int64_t n = 1;
    for (int i = 0; i < k->n_loops; i++)
        if (deps >> i & 1) n *= k->loop[i].size;
    return n;
}

/* The index at loop variables at[]; false where a table decides. */
static bool index_at(const Kernel *k, IRef e, const int64_t *at, int64_t *v)
{
    const IndexExpr *x = &k->index[e];
    *v = x->c;
    for (int i = 0; i < x->n; i++) {
        const Atom *a = &k->atom[x->t[i].atom];
        int64_t inner = 0;
        if (a->kind == ATOM_LOOP) inner = at[a->loop];
        else if (a->kind == ATOM_TABLE || !index_at(k, a->e, at, &inner)) return false;
        int64_t rest = a->kind == ATOM_LOOP ? 0 : ((inner % a->c) + a->c) % a->c;
        *v += x->t[i].k * (a->kind == ATOM_DIV ? (inner - rest) / a->c : a->kind == ATOM_MOD ? rest : inner);
    }
    return true;
}

/* How many values of the loops `deps` there are where all conditions of the visit hold. */
static int64_t held(const Reads *r, uint64_t deps)
{
    const Kernel *k = r->k;
    uint64_t loops = 0;
    int64_t at[64] = {0}, all = loops_size(k, deps), good = 0;
    for (int i = 0; i < r->n_cond; i++) loops |= k->index[r->cond[i].e].deps;
    int64_t tuples = loops_size(k, loops);
    if (!loops || (loops & ~deps) || tuples > MAX_TUPLES || r->n_cond == MAX_CONDS) return all;
    for (int64_t t = 0; t < tuples; t++) {
        int64_t rest = t, v;
        bool yes = true;
        for (int i = 0; i < k->n_loops; i++)
            if (loops >> i & 1) { at[i] = rest % k->loop[i].size; rest /= k->loop[i].size; }
        for (int i = 0; i < r->n_cond && yes; i++) {
            const Cond *c = &r->cond[i];
            if (!index_at(k, c->e, at, &v)) return all;
            yes = c->mod ? v % c->mod == 0 : c->lo <= v && v < c->hi;
        }
        good += yes;
    }
    return all / tuples * good;
}

static void add_read(Reads *r, int slot, IRef index)
{
    int64_t elements = held(r, r->k->index[index].deps);
    for (int i = 0; i < r->n; i++)
        if (r->v[i].slot == slot && r->v[i].index == index) { r->v[i].elements = MAX(r->v[i].elements, elements); return; }
    vec_push(r->v, r->n, r->cap, ((Read){slot, index, elements}));
}

static void tables(Reads *r, IRef e)                 /* row tables inside of an index */
{
    const IndexExpr *x = &r->k->index[e];
    for (int i = 0; i < x->n; i++) {
        const Atom *a = &r->k->atom[x->t[i].atom];
        if (a->kind == ATOM_LOOP) continue;
        if (a->kind == ATOM_TABLE) add_read(r, a->loop, a->e);
        tables(r, a->e);
    }
}

/* What is read under two different sets of conditions counts as read under none. */
static void visit(Reads *r, KRef v)
{
    const KExpr *x = &r->k->expr[v];
    uint64_t key = 1;
    for (int i = 0; i < r->n_cond; i++) key = key * 1000003 + (uint64_t)(r->cond[i].e * 31 + r->cond[i].lo * 7 + r->cond[i].hi * 3 + r->cond[i].mod);
    if (!v || r->under[v] == key || r->under[v] == 1) return;
    int n_cond = r->n_cond;
    if (r->under[v]) { r->n_cond = 0; key = 1; }
    r->under[v] = key;
    if (x->kind == K_LOAD) add_read(r, x->slot, x->index);
    if (x->kind == K_LOAD || x->kind == K_IOTA || x->kind == K_DRAW) { tables(r, x->index); tables(r, x->index2); }
    for (int i = 0; i < x->n_cond; i++) tables(r, x->cond[i].e);
    int outside = r->n_cond;
    for (int i = 0; i < x->n_in; i++) {
        for (int c = 0; c < x->n_cond && i == 0 && r->n_cond < MAX_CONDS; c++) r->cond[r->n_cond++] = x->cond[c];
        visit(r, x->in[i]);
        r->n_cond = outside;
    }
    r->n_cond = n_cond;
}

/* How often the values below v are asked for beyond once an element: `times` for a share of the reads of a kernel. */
static double issued(Reads *r, KRef v, double times)
{
    int from = r->n;
    double bytes = 0;
    visit(r, v);
    for (int i = from; i < r->n; i++) {
        const Buffer *b = &r->l->buf[r->k->buf[r->v[i].slot]];
        bytes += times * number_info[b->type].bytes * (double)r->v[i].elements;
    }
    return bytes;
}

void kernel_traffic(const Lowered *l, Kernel *k)
{
    Reads r = {.l = l, .k = k, .under = xcalloc((size_t)k->n_expr + 1, sizeof *r.under)};
    double ask = 0;
    for (int i = 0; i < k->n_seg; i++) {             /* operand a once a tile with its halo, b once a tile */
        double halo = 1, tiles = 1;
        const Operand *a = &k->seg[i].a;
        for (int t = 0; t < a->n_taps && k->leaf == LEAF_TAPS_K && k->tile_rows; t++)
            if (k->n_m > 1 && a->tap[t].axis == k->m[1].role)
                halo = (double)(k->tile_rows + (a->tap[t].k - 1) * llabs(a->tap[t].dil)) / (double)k->tile_rows;
        for (int m = 0; m < k->n_m; m++) tiles *= (double)k->m[m].size;
        if (k->tile_rows && k->n_m > 1) {
            tiles = (double)k->m[0].size * (double)(k->m[1].size / k->tile_rows);
        } else tiles = MAX(1, tiles / 512);
        ask += issued(&r, a->value, halo);
        ask += issued(&r, k->seg[i].b.value, k->leaf == LEAF_TAPS_OUT || !k->seg[i].b.direct ? 1 : tiles);
    }
    for (int i = 0; i < k->n_acc; i++) ask += issued(&r, k->acc[i], k->acc_op[i] == OP_sqdev ? 2 : 1);
    for (int i = 0; i < k->n_inner; i++) ask += issued(&r, k->inner[i].value, 1);
    for (int i = 0; i < k->n_store; i++) ask += issued(&r, k->store[i].value, 1);
    if (k->bound >= 0) add_read(&r, k->bound, 0);
    int64_t bytes = 0, written = 0;
    k->slot_bytes = arena_make(k->arena, int64_t, (size_t)k->n_buf + 1);
    for (int s = 0; s < k->n_buf; s++) {
        const Buffer *b = &l->buf[k->buf[s]];
        int64_t read = 0, one = number_info[b->type].bytes;
        for (int i = 0; i < r.n; i++)
            if (r.v[i].slot == s) read += r.v[i].elements;
        k->slot_bytes[s] = one * MIN(read, b->elements);
        bytes += k->slot_bytes[s];
        for (int i = 0; i < k->n_store; i++) {
            if (k->store[i].slot != s) continue;
            int64_t stored = one * MIN(loops_size(k, k->index[k->store[i].offset].deps), b->elements);
            written += stored;
            k->slot_bytes[s] += stored;
            break;
        }
    }
    k->bytes = bytes + written;
    k->issued_bytes = MAX(k->bytes, (int64_t)ask + written);
    free(r.under); free(r.v);
}

/* Equal kernels read the same places of a buffer that two of them read. */
int64_t launch_bytes(const Kernel *k)
{
    int64_t bytes = k->bytes;
    for (int m = 0; m < k->n_member; m++) {
        const Kernel *one = k->member[m];
        for (int s = 0; s < one->n_buf; s++) {
            bool again = k->buf[s] == one->buf[s];
            for (int o = 0; o < m && !again; o++) again = k->member[o]->buf[s] == one->buf[s];
            bytes += again ? 0 : one->slot_bytes[s];
        }
    }
    return bytes;
}
