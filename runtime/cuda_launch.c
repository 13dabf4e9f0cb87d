/* Kernels of a segment into the work stream: arguments as docs/cuda.md has them, by value, so that a captured graph keeps them.
   Assumes the same record and arena addresses in every run of a segment; what changes from run to run is in EctNow. */
#include "runtime/cuda_device.h"

/* ---- addresses ---- */
static float *host_form(CUdeviceptr p) { return (float *)(uintptr_t)p; }

/* Flat arrays a kernel of the segment writes: the update's. Gradients are written by every segment that has buffers of them. */
static bool writes_flats(const PlanSegment *g) { return g->phase == PHASE_UPDATE; }

void cuda_bind(Device *d, Bound *b, const Launch *l, const Layout *y, CUdeviceptr record, CUdeviceptr result, CUdeviceptr *carry, CUdeviceptr *draw)
{
    const Plan *plan = d->plan;
    const PlanProgram *p = l->program;
    const PlanSegment *g = l->segment;
    bool grads = false, updates = writes_flats(g);
    for (int i = 0; i < g->n_buffers; i++) grads |= g->buffer[i].kind == BUF_GRAD || g->buffer[i].kind == BUF_FLAT;
    b->l = *l;
    b->in = xcalloc((size_t)p->n_inputs + 1, sizeof *b->in);
    b->out = xcalloc((size_t)p->n_outputs + 1, sizeof *b->out);
    b->set = xcalloc((size_t)plan->n_sets + 1, sizeof *b->set);
    b->state = xcalloc((size_t)plan->n_states + 1, sizeof *b->state);
    for (int i = 0; i < p->n_inputs; i++) b->in[i] = y->in[i] == SIZE_MAX ? NULL : host_form(record + y->in[i]);
    for (int i = 0; i < p->n_outputs; i++) b->out[i] = y->out[i] == SIZE_MAX ? NULL : host_form(result + y->out[i]);
    for (int i = 0; i < plan->n_sets; i++) b->set[i] = host_form(cuda_flat(d, l->set[i], updates));
    for (int i = 0; updates && i < plan->n_states; i++) b->state[i] = host_form(cuda_flat(d, l->state[i], true));
    b->l.grad = grads ? host_form(cuda_flat(d, l->grad, true)) : NULL;
    b->l.in = (const float *const *)b->in;
    b->l.out = b->out;
    b->l.set = b->set;
    b->l.state = b->state;
    b->l.carry = (float *const *)(void *)carry;      /* both are 8 bytes wide: plans are for 64-bit hosts */
    b->l.draw = (const float *const *)(void *)draw;
}

void cuda_bound_free(Bound *b)
{
    free(b->in); free(b->out); free(b->set); free(b->state);
    memset(b, 0, sizeof *b);
}

/* ---- code ---- */
const CudaCode *cuda_code(Device *d, const PlanProgram *p, bool with_draws)
{
    for (int i = 0; i < d->n_code; i++)
        if (d->code[i].program == p && d->code[i].with_draws == with_draws) return &d->code[i];
    return NULL;
}

/* ---- launching ---- */
/* Arguments in d->words: now, workspace, keys, replaced draws, buffers of all instances, NULL up to the most instances any launch has, numbers. */
static void pack(Device *d, const PlanKernel *k, const PlanStep *s, const Launch *l, CUdeviceptr now)
{
    size_t draws = (size_t)s->n_draws, each = (size_t)(s->n_buffers / s->instances), numbers = 2 + 2 * draws + each * (size_t)k->cuda->instances,
           n = numbers + plan_number_words(k->cuda);
    if (n > d->n_words) d->words = xrealloc(d->words, (d->n_words = n) * sizeof *d->words);
    memset(d->words, 0, n * sizeof *d->words);
    d->words[0] = now;
    d->words[1] = d->workspace;
    for (size_t i = 0; i < draws; i++) {
        d->words[2 + i] = l->key[s->draw[i]];
        d->words[2 + draws + i] = l->draw ? (uintptr_t)l->draw[s->draw[i]] : 0;
    }
    for (int i = 0; i < s->n_buffers; i++) d->words[2 + 2 * draws + (size_t)i] = (uintptr_t)d->buf[s->buffer[i]];
    plan_numbers(k->cuda, d->words + numbers);
}

static void mark(Device *d, int i, bool timed)
{
    if (timed) CU(d, event_record(d->event[i], d->work));
}

void cuda_events(Device *d, int n)
{
    while (d->n_event < n) {
        d->event = xrealloc(d->event, ((size_t)d->n_event + 1) * sizeof *d->event);
        CU(d, event_create(&d->event[d->n_event], CU_EVENT_PLAIN));
        d->n_event++;
    }
}

static void launch_step(Device *d, const CudaCode *c, const PlanStep *s, const Launch *l, CUdeviceptr now)
{
    const PlanKernel *k = &d->plan->kernel[s->kernel];
    pack(d, k, s, l, now);
    d->at.step = s;
    for (int q = 0; q < k->cuda->n_launches; q++) {
        const PlanCudaLaunch *e = &k->cuda->launch[q];
        CudaLaunchConfig at = {.grid_x = (unsigned)e->grid[0], .grid_y = (unsigned)e->grid[1], .grid_z = (unsigned)s->instances,
                               .block_x = (unsigned)e->block, .block_y = 1, .block_z = 1, .shared = (unsigned)e->shared, .stream = d->work};
        d->at.entry = e->entry;
        d->at.exact = true;
        CU(d, launch(&at, c->fn[s->kernel][q], (void *[]){d->words}, NULL));
        if (d->check) CU(d, stream_sync(d->work));
        d->at.exact = false;
    }
}

void cuda_launch_step(Device *d, const CudaCode *c, const PlanStep *s, CUdeviceptr now) { launch_step(d, c, s, NULL, now); }

static void addresses(Device *d, const Launch *l)
{
    const PlanSegment *g = l->segment;
    if (g->n_buffers > d->n_buf) d->buf = xrealloc(d->buf, (size_t)(d->n_buf = g->n_buffers) * sizeof *d->buf);
    launch_buffers(d->plan, l, host_form(d->arena), d->buf);
}

void cuda_segment(Device *d, const CudaCode *c, const Bound *b, CUdeviceptr now, bool timed)
{
    const PlanSegment *g = b->l.segment;
    CudaGemm *const *gemm = c->gemm ? c->gemm[g - c->program->segment] : NULL;
    d->at.doing = "running kernels", d->at.segment = g;
    addresses(d, &b->l);
    if (timed) cuda_events(d, g->n_steps + 1);
    mark(d, 0, timed);
    for (int i = 0; i < g->n_steps; i++) {
        if (gemm && gemm[i]) cuda_gemm_run(d, gemm[i], &g->step[i], d->buf);
        else launch_step(d, c, &g->step[i], &b->l, now);
        mark(d, i + 1, timed);
    }
}

/* ---- graphs ---- */
uint64_t cuda_segment_signature(Device *d, const CudaCode *c, const Bound *b, CUdeviceptr now)
{
    const PlanSegment *g = b->l.segment;
    addresses(d, &b->l);
    uint64_t fixed[] = {(uintptr_t)c->fn, now, d->workspace, cuda_gemm_memory(d)}, h = hash64(fixed, sizeof fixed, 0);
    h = hash64(d->buf, (size_t)g->n_buffers * sizeof *d->buf, h);
    return hash64(b->l.key, (size_t)g->n_draws * sizeof *b->l.key, h);
}

void cuda_graph_drop(Device *d, CudaGraph *g)
{
    if (g->exec) CU(d, graph_exec_destroy(g->exec));
    g->exec = NULL;
}

void cuda_graph(Device *d, CudaGraph *g, uint64_t signature, const char *doing, void (*queue)(Device *d, const void *work), const void *work)
{
    char *recording = xasprintf("recording %s", doing), *launching = xasprintf("launching %s", doing);
    const PlanSegment *segment = d->at.segment;
    if (!g->exec || g->signature != signature) {
        CUgraph graph = NULL;
        cuda_graph_drop(d, g);
        d->at.doing = recording;
        CU(d, capture_begin(d->work, CU_CAPTURE_THREAD_LOCAL));
        queue(d, work);
        d->at.doing = recording, d->at.step = NULL;
        CU(d, capture_end(d->work, &graph));
        CU(d, graph_instantiate(&g->exec, graph, 0));
        CU(d, graph_destroy(graph));
        g->signature = signature;
    }
    d->at.doing = launching, d->at.segment = segment, d->at.step = NULL;
    CU(d, graph_launch(g->exec, d->work));
    d->at.doing = "running kernels";
    free(recording);
    free(launching);
}

void cuda_times(Device *d, const PlanSegment *g, StepTime *time)
{
    for (int i = 0; i < g->n_steps; i++) {
        float ms = 0;
        CU(d, event_elapsed(&ms, d->event[i], d->event[i + 1]));
        time[i].seconds += 1e-3 * (double)ms;
        time[i].calls++;
    }
}

void cuda_wait(Device *d, const char *doing)
{
    d->at.doing = doing;
    CU(d, stream_sync(d->work));
}

/* ---- the runtime's own kernels ---- */
enum { HELPER_BLOCK = 256, HELPER_GRID = 1024 };     /* they go over the array in strides of the whole grid */

static void helper(Device *d, CUfunction f, int64_t n, void **parameters, const char *doing)
{
    int64_t grid = MIN((n + HELPER_BLOCK - 1) / HELPER_BLOCK, (int64_t)HELPER_GRID);
    CudaLaunchConfig at = {.grid_x = (unsigned)MAX(grid, (int64_t)1), .grid_y = 1, .grid_z = 1, .block_x = HELPER_BLOCK, .block_y = 1, .block_z = 1,
                           .stream = d->work};
    d->at.doing = doing, d->at.step = NULL, d->at.entry = NULL;
    CU(d, launch(&at, f, parameters, NULL));
    if (d->check) CU(d, stream_sync(d->work));
}
static const char AVERAGING[] = "averaging gradients";
void cuda_add(Device *d, CUdeviceptr to, CUdeviceptr from, int64_t n) { helper(d, d->sum, n, (void *[]){&to, &from, &n}, AVERAGING); }
void cuda_scale(Device *d, CUdeviceptr to, CUdeviceptr from, int64_t n, float scale) { helper(d, d->mean, n, (void *[]){&to, &from, &n, &scale}, AVERAGING); }
void cuda_count_bad(Device *d, CUdeviceptr flat, int64_t n, CUdeviceptr count) { helper(d, d->bad, n, (void *[]){&flat, &n, &count}, AVERAGING); }
void cuda_gather(Device *d, CUdeviceptr to, CUdeviceptr numbers, int64_t n)
{
    const DeviceImages *s = &d->set.set;
    uint32_t w = (uint32_t)s->w, h = (uint32_t)s->h, c = (uint32_t)s->c;
    n *= (int64_t)w * h * c;
    helper(d, d->images, n, (void *[]){&to, &d->set.data, &n, &numbers, &w, &h, &c}, "gathering images");
}
void cuda_round(Device *d, CUdeviceptr to, CUdeviceptr from, int64_t n, Number to_number)
{
    helper(d, d->round[to_number], n, (void *[]){&to, &from, &n}, "rounding operands");
}
