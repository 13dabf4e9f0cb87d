/* Group: small kernels that are equal and do not depend on each other become one launch with an instance for each: the embedding's linears of all
   blocks, sums that end in parameters' gradients. Kernels are put in order anew: those that can wait do, until there is nothing else to run.
   Assumes kernels in an order that can run, each buffer of the arena written by one of them. */
#include "compiler/kernel.h"

enum { SMALL = 8 << 20, MAX_INSTANCES = 64 };        /* bytes */

typedef struct { int n_in, in_cap; int *in; int waits, readers; bool small, late, done; } Job;   /* late: computes again, so not before its place */

static bool is_stored(const Kernel *k, int slot)
{
    for (int s = 0; s < k->n_store; s++)
        if (k->store[s].slot == slot) return true;
    return false;
}

/* jobs[i].in: kernels that i reads from; a repeated pair counts once. */
static Job *dependences(const Lowered *l)
{
    Job *job = xcalloc((size_t)l->n_kernel + 1, sizeof *job);
    int *writer = xmalloc(sizeof *writer * (size_t)(l->n_buf + 1));
    for (int i = 0; i < l->n_buf; i++) writer[i] = -1;
    for (int i = 0; i < l->n_kernel; i++) {
        const Kernel *k = l->kernel[i];
        for (int s = 0; s < k->n_buf; s++) {
            int w = writer[k->buf[s]];
            bool there = w < 0 || w == i;
            for (int q = 0; q < job[i].n_in && !there; q++) there = job[i].in[q] == w;
            if (!there) { vec_push(job[i].in, job[i].n_in, job[i].in_cap, w); job[w].readers++; job[i].waits++; }
        }
        for (int s = 0; s < k->n_buf; s++)
            if (is_stored(k, s)) writer[k->buf[s]] = i;
    }
    free(writer);
    return job;
}

typedef struct { Lowered *l; Job *job; Kernel **order; int n; bool used; } Plan;

static void run(Plan *p, int i)
{
    p->job[i].done = true;
    for (int j = 0; j < p->l->n_kernel; j++)
        for (int q = 0; q < p->job[j].n_in; q++) p->job[j].waits -= p->job[j].in[q] == i;
}

/* All ready kernels equal to kernel i, as one. */
static void run_group(Plan *p, int i)
{
    int member[MAX_INSTANCES], n = 0;
    Kernel *k = p->l->kernel[i];
    for (int j = 0; j < p->l->n_kernel && n < MAX_INSTANCES; j++) {
        const Job *o = &p->job[j];
        if (!o->done && o->waits == 0 && o->small && p->l->kernel[j]->hash == k->hash) member[n++] = j;
    }
    k = p->l->kernel[member[0]];
    p->order[p->n++] = k;
    k->member = n > 1 ? arena_make(k->arena, Kernel *, n - 1) : NULL;
    k->n_member = n - 1;
    for (int q = 1; q < n; q++) k->member[q - 1] = p->l->kernel[member[q]];
    for (int q = 0; q < n; q++) run(p, member[q]);
}

void group_segment(Lowered *l)
{
    Plan p = {.l = l, .job = dependences(l), .order = xmalloc(sizeof *p.order * (size_t)(l->n_kernel + 1))};
    for (int i = 0; i < l->n_kernel; i++) {
        Kernel *k = l->kernel[i];
        k->hash = kernel_hash(l, k);
        for (int q = 0; q < k->n_nodes && l->g->after; q++) p.job[i].late |= l->g->after[k->nodes[q]] != 0;
        p.job[i].small = k->bytes <= SMALL && !k->n_draw && !p.job[i].late;
    }
    for (int i = 0; i < l->n_kernel; i++) {          /* one of a kind needs not wait */
        bool twin = false;
        for (int j = 0; j < l->n_kernel && !twin && p.job[i].small; j++) twin = j != i && p.job[j].small && l->kernel[j]->hash == l->kernel[i]->hash;
        p.job[i].small &= twin;
    }
    int left = l->n_kernel;
    while (left > 0) {
        int next = -1, wanted = -1, last = -1, late = -1;      /* a kernel that need not wait; a small one that others wait for; any */
        bool open = false;                           /* something before is still to run */
        for (int i = 0; i < l->n_kernel && next < 0; i++) {
            const Job *j = &p.job[i];
            if (j->done) continue;
            bool first = !open;
            open |= !j->small;
            if (j->waits) continue;
            if (j->late && !first) late = late < 0 ? i : late;
            else if (!j->small) next = i;
            else if (j->readers) wanted = i;         /* the latest: what was ready before has waited without harm */
            else if (last < 0) last = i;
        }
        int before = p.n;
        if (next < 0 && wanted < 0) next = late;
        if (next >= 0) {
            p.order[p.n++] = l->kernel[next];
            run(&p, next);
        } else {
            CHECK_BUG(wanted >= 0 || last >= 0);
            run_group(&p, wanted >= 0 ? wanted : last);
        }
        left -= 1 + p.order[before]->n_member;
    }
    l->all = l->kernel;                              /* freed with it */
    l->n_all = l->n_kernel;
    l->kernel = p.order;
    l->n_kernel = p.n;
    for (int i = 0; i < l->n_all; i++) free(p.job[i].in);
    free(p.job);
    lives(l);
}
