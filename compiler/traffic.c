/* The bytes of a kernel: the distinct ones it reads plus the distinct ones it writes in planned buffers, for all rows; and those it asks for,
   with re-reads (halos, operands read again for every tile). Its own tiles, panels and accumulators are not counted.
   Assumes a lowered kernel: index expressions over its loops. */
#include "compiler/kernel.h"

typedef struct { const Lowered *l; const Kernel *k; bool *live; IRef *index; int *slot, n, cap, slot_cap; } Reads;

static int64_t loops_size(const Kernel *k, uint64_t deps)
{
    int64_t n = 1;
    for (int i = 0; i < k->n_loops; i++)
        if (deps >> i & 1) n *= k->loop[i].size;
    return n;
}

static void add_read(Reads *r, int slot, IRef index)
{
    for (int i = 0; i < r->n; i++)
        if (r->slot[i] == slot && r->index[i] == index) return;
    int n = r->n;
    vec_push(r->slot, r->n, r->slot_cap, slot);
    vec_push(r->index, n, r->cap, index);
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

static void visit(Reads *r, KRef v)
{
    const KExpr *x = &r->k->expr[v];
    if (!v || r->live[v]) return;
    r->live[v] = true;
    if (x->kind == K_LOAD) add_read(r, x->slot, x->index);
    if (x->kind == K_LOAD || x->kind == K_IOTA || x->kind == K_DRAW) { tables(r, x->index); tables(r, x->index2); }
    for (int i = 0; i < x->n_cond; i++) tables(r, x->cond[i].e);
    for (int i = 0; i < x->n_in; i++) visit(r, x->in[i]);
}

/* How often the values below v are asked for beyond once an element: `times` for a share of the reads of a kernel. */
static double issued(Reads *r, KRef v, double times)
{
    int from = r->n;
    double bytes = 0;
    visit(r, v);
    for (int i = from; i < r->n; i++) {
        const Buffer *b = &r->l->buf[r->k->buf[r->slot[i]]];
        bytes += times * (b->half ? 2 : 4) * (double)loops_size(r->k, r->k->index[r->index[i]].deps);
    }
    return bytes;
}

void kernel_traffic(const Lowered *l, Kernel *k)
{
    Reads r = {l, k, xcalloc((size_t)k->n_expr + 1, 1), NULL, NULL, 0, 0, 0};
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
    for (int s = 0; s < k->n_buf; s++) {
        const Buffer *b = &l->buf[k->buf[s]];
        int64_t read = 0, one = b->half ? 2 : 4;
        for (int i = 0; i < r.n; i++)
            if (r.slot[i] == s) read += loops_size(k, k->index[r.index[i]].deps);
        bytes += one * MIN(read, b->elements);
        for (int i = 0; i < k->n_store; i++) {
            if (k->store[i].slot != s) continue;
            written += one * MIN(loops_size(k, k->index[k->store[i].offset].deps), b->elements);
            break;
        }
    }
    k->bytes = bytes + written;
    k->issued_bytes = MAX(k->bytes, (int64_t)ask + written);
    free(r.live); free(r.slot); free(r.index);
}
