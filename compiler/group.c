/* Group: kernels that are equal and do not depend on each other become one launch with an instance for each: twins (pair.c), and small ones: the
   embedding's linears of all blocks, sums that end in parameters' gradients. Kernels are put in order anew: small ones that can wait do, until there is nothing
   else to run.
   Assumes kernels in an order that can run, each buffer of the arena written by one of them. */
#include "compiler/kernel.h"

enum { SMALL = 8 << 20, MAX_INSTANCES = 64 };        /* bytes */

/* A kernel, or twins: then the job is the first one's. late: computes again, so not before its place. */
typedef struct { Kernel *k; int n_in, in_cap; int *in; int waits, readers; bool small, late, done; } Job;

static bool is_stored(const Kernel *k, int slot)
{
    for (int s = 0; s < k->n_store; s++)
        if (k->store[s].slot == slot) return true;
    return false;
}

static int number(const Lowered *l, const Kernel *k)
{
    int i = 0;
    while (l->kernel[i] != k) i++;
    return i;
}

/* jobs[i].in: jobs that i reads from; a repeated pair counts once. The second one of twins is done from the start. */
static Job *dependences(const Lowered *l)
{
    Job *job = xcalloc((size_t)l->n_kernel + 1, sizeof *job);
    int *writer = xmalloc(sizeof *writer * (size_t)(l->n_buf + 1)), *of = xmalloc(sizeof *of * (size_t)(l->n_kernel + 1));
    for (int i = 0; i < l->n_buf; i++) writer[i] = -1;
    for (int i = 0; i < l->n_kernel; i++) {
        int twin = l->kernel[i]->twin ? number(l, l->kernel[i]->twin) : i, own = of[i] = MIN(i, twin);
        const Kernel *k = job[i].k = l->kernel[i];
        job[i].done = own != i;
        for (int s = 0; s < k->n_buf; s++) {
            int w = writer[memory_of(l, k->buf[s])];
            bool there = w < 0 || w == own;
            for (int q = 0; q < job[own].n_in && !there; q++) there = job[own].in[q] == w;
            if (!there) { vec_push(job[own].in, job[own].n_in, job[own].in_cap, w); job[w].readers++; job[own].waits++; }
        }
        for (int s = 0; s < k->n_buf; s++)
            if (is_stored(k, s)) writer[k->buf[s]] = own;
    }
    free(writer); free(of);
    return job;
}

typedef struct { Lowered *l; Job *job; Kernel **order; int n, n_done; } Plan;   /* n: launches; n_done: jobs */

static void run(Plan *p, int i)
{
    p->job[i].done = true;
    p->n_done++;
    for (int j = 0; j < p->l->n_kernel; j++)
        for (int q = 0; q < p->job[j].n_in; q++) p->job[j].waits -= p->job[j].in[q] == i;
}

/* The kernels of n jobs as one launch. */
static void launch(Plan *p, int n, const int *job)
{
    Kernel *k = p->job[job[0]].k;
    k->member = arena_make(k->arena, Kernel *, 2 * (size_t)n);
    k->n_member = 0;
    for (int q = 0; q < n; q++) {
        Kernel *one = p->job[job[q]].k;
        if (q) k->member[k->n_member++] = one;
        if (one->twin) k->member[k->n_member++] = one->twin;
    }
    p->order[p->n++] = k;
    for (int q = 0; q < n; q++) run(p, job[q]);
}

/* Kernel i and all ready small ones that are equal to it. */
static void launch_equal(Plan *p, int i)
{
    int job[MAX_INSTANCES], n = 0, kernels = 0;
    for (int j = 0; j < p->l->n_kernel && kernels < MAX_INSTANCES - 1; j++) {
        const Job *o = &p->job[j];
        if (o->done || o->waits || !o->small || o->k->hash != p->job[i].k->hash) continue;
        job[n++] = j;
        kernels += o->k->twin ? 2 : 1;
    }
    launch(p, n, job);
}

void group_segment(Lowered *l)
{
    for (int i = 0; i < l->n_kernel; i++) l->kernel[i]->hash = kernel_hash(l, l->kernel[i]);
    Plan p = {.l = l, .job = dependences(l), .order = xmalloc(sizeof *p.order * (size_t)(l->n_kernel + 1))};
    int jobs = 0;
    for (int i = 0; i < l->n_kernel; i++) {
        const Kernel *k = l->kernel[i];
        CHECK_BUG(!k->twin || (k->twin->twin == k && k->twin->hash == k->hash));
        for (int q = 0; q < k->n_nodes && l->g->after; q++) p.job[i].late |= l->g->after[k->nodes[q]] != 0;
        p.job[i].small = !p.job[i].done && k->bytes <= SMALL && !k->n_draw && !p.job[i].late;
        jobs += !p.job[i].done;
    }
    for (int i = 0; i < l->n_kernel; i++) {          /* one of a kind needs not wait */
        bool equal = false;
        for (int j = 0; j < l->n_kernel && !equal && p.job[i].small; j++) equal = j != i && p.job[j].small && l->kernel[j]->hash == l->kernel[i]->hash;
        p.job[i].small &= equal;
    }
    while (p.n_done < jobs) {
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
        if (next < 0 && wanted < 0) next = late;
        CHECK_BUG(next >= 0 || wanted >= 0 || last >= 0);
        if (next >= 0) launch(&p, 1, &next);
        else launch_equal(&p, wanted >= 0 ? wanted : last);
    }
    l->all = l->kernel;                              /* freed with it */
    l->n_all = l->n_kernel;
    l->kernel = p.order;
    l->n_kernel = p.n;
    l->bytes = l->flops = 0;
    for (int i = 0; i < p.n; i++) {
        const Kernel *k = l->kernel[i];
        l->bytes += l->kernel[i]->launch_bytes = launch_bytes(k);
        l->flops += k->flops * (1 + k->n_member);
    }
    for (int i = 0; i < l->n_all; i++) free(p.job[i].in);
    free(p.job);
    lives(l);
}
