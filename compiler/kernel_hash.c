/* A hash of all that a kernel's text depends on, so that equal kernels are printed once.
   Assumes index and scalar expressions are interned in the order they were built, which is the same for equal kernels. */
#include "compiler/kernel.h"

typedef struct { uint64_t h; } Hash;

static void add(Hash *h, const void *p, size_t n) { h->h = hash64(p, n, h->h); }
static void num(Hash *h, int64_t v) { add(h, &v, sizeof v); }
static void real(Hash *h, double v) { add(h, &v, sizeof v); }
static void str(Hash *h, const char *s) { num(h, s ? (int64_t)strlen(s) : -1); if (s) add(h, s, strlen(s)); }

static void axes(Hash *h, int n, const Axis *v)
{
    num(h, n);
    for (int i = 0; i < n; i++) { str(h, v[i].role); num(h, v[i].size); }
}

static void operand(Hash *h, const Operand *o)
{
    axes(h, o->n_axes, o->axes);
    for (int i = 0; i < o->n_axes; i++) { str(h, o->outer[i]); num(h, o->loop[i]); num(h, o->direct ? o->stride[i] : 0); }
    num(h, o->value); num(h, o->direct); num(h, o->direct ? o->slot : 0); num(h, o->direct ? o->base : 0);
    num(h, o->n_taps);
    for (int i = 0; i < o->n_taps; i++) {
        const Tap *t = &o->tap[i];
        str(h, t->axis); str(h, t->kaxis); num(h, t->k); num(h, t->dil); num(h, t->pad); num(h, t->in); num(h, t->out);
    }
}

uint64_t kernel_hash(const Lowered *l, const Kernel *k)
{
    Hash h = {0x6b65726e656cu};
    num(&h, k->cls); num(&h, k->leaf); str(&h, k->reason);
    for (int i = 0; i < k->n_loops; i++) { str(&h, k->loop[i].name); num(&h, k->loop[i].size); num(&h, k->loop[i].bounded); }
    num(&h, k->bound); axes(&h, k->bound >= 0, &k->bound_axis);
    for (int i = 0; i < k->n_atoms; i++) { num(&h, k->atom[i].kind); num(&h, k->atom[i].loop); num(&h, k->atom[i].e); num(&h, k->atom[i].c); }
    for (int i = 0; i < k->n_index; i++) {
        num(&h, k->index[i].c);
        num(&h, k->index[i].n);
        if (k->index[i].n)
            for (int t = 0; t < k->index[i].n; t++) { num(&h, k->index[i].t[t].k); num(&h, k->index[i].t[t].atom); }
    }
    for (int i = 0; i < k->n_expr; i++) {
        const KExpr *x = &k->expr[i];
        int64_t v[] = {x->kind, x->type, x->op, x->slot, x->index, x->index2, x->n_cond, x->n_in, x->in[0], x->in[1], x->in[2]};
        add(&h, v, sizeof v);
        real(&h, x->value); real(&h, x->nan); real(&h, x->inf);
        for (int c = 0; c < x->n_cond; c++) { num(&h, x->cond[c].e); num(&h, x->cond[c].lo); num(&h, x->cond[c].hi); num(&h, x->cond[c].mod); }
    }
    axes(&h, k->n_out, k->out_axes);
    for (int i = 0; i < k->n_out; i++) num(&h, k->out[i]);
    num(&h, k->n_red);
    for (int i = 0; i < k->n_red; i++) num(&h, k->red[i]);
    num(&h, k->n_suf);
    for (int i = 0; i < k->n_suf; i++) { num(&h, k->suf[i]); num(&h, k->suf_red[i]); }
    num(&h, k->n_acc);
    for (int i = 0; i < k->n_acc; i++) { num(&h, k->acc[i]); num(&h, k->acc_op[i]); }
    axes(&h, k->n_m, k->m); axes(&h, k->n_n, k->nn); axes(&h, k->n_k, k->k); axes(&h, k->n_b, k->b);
    for (int i = 0; i < k->n_m; i++) num(&h, k->loop_m[i]);
    for (int i = 0; i < k->n_n; i++) num(&h, k->loop_n[i]);
    for (int i = 0; i < k->n_b; i++) num(&h, k->loop_b[i]);
    for (int i = 0; i < k->n_seg; i++) { operand(&h, &k->seg[i].a); operand(&h, &k->seg[i].b); axes(&h, k->seg[i].n_k, k->seg[i].k); }
    for (int i = 0; i < k->n_store; i++) { num(&h, k->store[i].slot); num(&h, k->store[i].offset); num(&h, k->store[i].value); num(&h, k->store[i].level); }
    for (int i = 0; i < k->n_inner; i++) {
        const Inner *in = &k->inner[i];
        num(&h, in->op); num(&h, in->value); num(&h, in->acc); num(&h, in->level); num(&h, in->count);
    }
    num(&h, k->tile_rows);
    num(&h, k->n_task); num(&h, k->n_row); num(&h, k->n_col);
    for (int i = 0; i < k->n_task; i++) num(&h, k->task[i]);
    for (int i = 0; i < k->n_row; i++) num(&h, k->row[i]);
    for (int i = 0; i < k->n_col; i++) num(&h, k->col[i]);
    for (int i = 0; i < k->n_buf; i++) {
        const Buffer *b = &l->buf[k->buf[i]];
        num(&h, weight_buffer(b));
        num(&h, b->type);
        axes(&h, b->layout.n, b->layout.axis);
    }
    for (int i = 0; i < k->n_draw; i++) {
        const DrawSite *d = &l->draw[k->draw[i]];
        num(&h, d->kind); real(&h, d->p); num(&h, d->p_scalar); num(&h, draws_by_row(d));
    }
    return h.h;
}
