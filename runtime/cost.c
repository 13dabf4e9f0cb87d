/* cost.h.
   Assumes plans validated by plan_load. */
#include "runtime/cost.h"

double step_seconds(const Plan *p, const PlanStep *s, const PredictDevice *d, PredictBound *bound)
{
    const PlanKernel *k = &p->kernel[s->kernel];
    double n = s->instances;
    return predict_seconds(d, !strcmp(k->cls, "contract"), number_named(k->precision), n * (double)k->flops,
                           (double)s->bytes, bound);
}

/* Adds a text to a list that had room for it from the start. */
static void add_once(const char **v, int *n, const char *s)
{
    if (!s || !*s) return;
    for (int i = *n; i--; ) if (!strcmp(v[i], s)) return;
    v[(*n)++] = s;
}

static int slowest_first(const void *a, const void *b)
{
    const KernelUse *x = a, *y = b;
    if (x->seconds < y->seconds || x->seconds > y->seconds) return x->seconds < y->seconds ? 1 : -1;
    return x->kernel - y->kernel;
}

void cost_of(ProgramCost *c, const Plan *p, const PlanProgram *g, const PredictDevice *d)
{
    *c = (ProgramCost){0};
    int *launches = xcalloc((size_t)p->n_kernels + 1, sizeof *launches), *at = xcalloc((size_t)p->n_kernels + 1, sizeof *at);
    for (int i = 0; i < g->n_segments; i++) {
        const PlanSegment *s = &g->segment[i];
        c->flops += s->flops;
        c->bytes += s->bytes;
        c->peak = MAX(c->peak, s->peak_bytes);
        c->launches += s->n_steps;
        for (int k = 0; k < s->n_steps; k++) launches[s->step[k].kernel]++;
    }
    c->use = xcalloc((size_t)p->n_kernels + 1, sizeof *c->use);
    for (int k = 0; k < p->n_kernels; k++) {
        if (!launches[k]) continue;
        KernelUse *u = &c->use[at[k] = c->n++];
        size_t room = (size_t)launches[k];
        *u = (KernelUse){.kernel = k, .launches = launches[k]};
        u->path = xmalloc(room * sizeof *u->path);
        u->line = xmalloc(room * sizeof *u->line);
    }
    for (int i = 0; i < g->n_segments; i++)
        for (int k = 0; k < g->segment[i].n_steps; k++) {
            const PlanStep *s = &g->segment[i].step[k];
            KernelUse *u = &c->use[at[s->kernel]];
            PredictBound bound;
            u->seconds += step_seconds(p, s, d, &bound);
            if (s->instances > u->most) u->bound = bound;
            u->runs += s->instances;
            u->bytes += s->bytes;
            u->most = MAX(u->most, s->instances);
            u->least = u->least ? MIN(u->least, s->instances) : s->instances;
            add_once(u->path, &u->n_paths, s->path);
            add_once(u->line, &u->n_lines, s->at);
        }
    if (!c->n) c->issued_bytes = -1;
    for (int i = 0; i < c->n; i++) {
        const KernelUse *u = &c->use[i];
        const PlanKernel *k = &p->kernel[u->kernel];
        c->seconds += u->seconds;
        if (k->issued_bytes < 0 || c->issued_bytes < 0) c->issued_bytes = -1;
        else c->issued_bytes += u->runs * k->issued_bytes;
    }
    qsort(c->use, (size_t)c->n, sizeof *c->use, slowest_first);
    free(launches);
    free(at);
}

void cost_free(ProgramCost *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->use[i].path);
        free(c->use[i].line);
    }
    free(c->use);
}
