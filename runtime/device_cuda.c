/* The device `cuda`: plans' CUDA texts, compiled by NVRTC (cubins.h), run through the driver's API on the first visible GPU.

   What lies where. The GPU holds one arena (the largest any prepared segment needs), one workspace of kernels, and a copy of each flat array:
   weights, EMAs, optimizer state, gradient. The session's arrays on the host are the same values at some earlier time: `changed` says that the
   host has written one (it is copied over before the next run), `fetch` that it wants to read one (it is copied back if the device has written
   since). Nothing else moves flat arrays, so training never does between checkpoints, samples excepted, which read the device's EMA directly.
   Inputs, outputs and the values of a step travel as records (cuda_device.h). `run` waits for its results. Training steps do not: cuda_step.c.
   Assumes one device a process, and that the plan has CUDA texts for the programs asked for. */
#include "runtime/cuda_device.h"

/* ---- is there one? ---- */
static bool describe(const CudaDriver *cu, char **what)
{
    CUdevice gpu;
    char name[128] = "";
    size_t bytes = 0;
    int major = 0, minor = 0, processors = 0, version = 0;
    CUresult r = cu->device_get(&gpu, 0);
    if (r == CU_OK) r = cu->device_name(name, sizeof name, gpu);
    if (r == CU_OK) r = cu->device_memory(&bytes, gpu);
    if (r == CU_OK) r = cu->device_attribute(&major, CU_ATTRIBUTE_MAJOR, gpu);
    if (r == CU_OK) r = cu->device_attribute(&minor, CU_ATTRIBUTE_MINOR, gpu);
    if (r == CU_OK) r = cu->device_attribute(&processors, CU_ATTRIBUTE_PROCESSORS, gpu);
    if (r == CU_OK) r = cu->driver_version(&version);
    if (r != CU_OK) {
        *what = xasprintf("the first GPU does not answer (CUDA error %d); look at `nvidia-smi`", r);
        return false;
    }
    if (major < 8) {
        *what = xasprintf("%s is of compute capability %d.%d; 8.0 (A100, RTX 30) or newer is needed", name, major, minor);
        return false;
    }
    *what = xasprintf("%s, %.0f GB, %d multiprocessors, compute capability %d.%d; driver for CUDA %d.%d", name, (double)bytes / 1073741824.0,
                      processors, major, minor, version / 1000, version % 1000 / 10);
    return true;
}

static bool cuda_available(char **what)
{
    const CudaDriver *cu = cuda_driver(what);
    if (!cu) return false;
    if (!describe(cu, what)) return false;
    char *nvrtc = NULL, *both = NULL;
    void *lib = cuda_library(CUDA_NVRTC, &nvrtc);
    both = xasprintf("%s; %s%s", *what, nvrtc, lib ? "" : "; only kernels that are packed or in the cache can run");
    free(*what);
    free(nvrtc);
    *what = both;
    return true;
}

/* ---- open ---- */
static void load_helpers(Device *d)
{
    static const char *const NAMES[] = {"ect_rt_add", "ect_rt_scale", "ect_rt_bad", "ect_rt_images", "ect_rt_round_tf32", "ect_rt_round_bf16", "ect_rt_round_f16"};
    CUfunction *to[] = {&d->sum, &d->mean, &d->bad, &d->images, &d->round[NUM_TF32], &d->round[NUM_BF16], &d->round[NUM_F16]};
    d->at.doing = "loading the runtime's own kernels";
    CU(d, library_load(&d->helpers, cuda_helpers, NULL, NULL, 0, NULL, NULL, 0));
    for (size_t i = 0; i < COUNT(NAMES); i++) {
        CUkernel k;
        CU(d, library_kernel(&k, d->helpers, NAMES[i]));
        CU(d, kernel_function(to[i], k));
    }
}

static Device *cuda_open(const Plan *plan, const DeviceOptions *o)
{
    (void)o;
    Device *d = xcalloc(1, sizeof *d);
    int major, minor;
    d->plan = plan;
    d->cu = cuda_driver(NULL);
    CHECK_BUG(d->cu);
    d->check = cuda_check_mode();
    d->at.plan = plan;
    d->at.doing = "opening it";
    CU(d, device_get(&d->gpu, 0));
    CU(d, device_name(d->name, sizeof d->name, d->gpu));
    CU(d, device_memory(&d->total, d->gpu));
    CU(d, device_attribute(&major, CU_ATTRIBUTE_MAJOR, d->gpu));
    CU(d, device_attribute(&minor, CU_ATTRIBUTE_MINOR, d->gpu));
    snprintf(d->arch, sizeof d->arch, "sm_%d%d%s", major, minor, major >= 9 ? "a" : "");
    CU(d, context_retain(&d->context, d->gpu));
    CU(d, context_set(d->context));
    CU(d, stream_create(&d->work, CU_STREAM_NONBLOCKING));
    CU(d, stream_create(&d->copies, CU_STREAM_NONBLOCKING));
    load_helpers(d);
    d->program = xcalloc((size_t)plan->n_programs + 1, sizeof *d->program);
    return d;
}

/* ---- prepare ---- */
/* The kernels of a program; the end when one has no CUDA text. */
static bool *kernels_of(const Plan *plan, const PlanProgram *p)
{
    bool *used = xcalloc((size_t)plan->n_kernels + 1, 1), any = false;
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_steps; k++) used[p->segment[i].step[k].kernel] = any = true;
    for (int k = 0; k < plan->n_kernels; k++)
        if (used[k] && !plan->kernel[k].cuda)
            user_error("the plan %s has no CUDA kernels; compile it with `ectc %s -o PLAN --target cpu,cuda`, or use --device cpu", plan->dir,
                       plan->model);
    if (!any && p->n_outputs && !p->segment[0].n_steps) user_error("program `%s` of this plan has no kernels; use --device ref", p->name);
    return used;
}

static void allocate(Device *d, const PlanProgram *p)
{
    size_t arena = 0, workspace = 0;
    for (int i = 0; i < p->n_segments; i++) {
        arena = MAX(arena, (size_t)p->segment[i].peak_bytes);
        for (int k = 0; k < p->segment[i].n_steps; k++)
            workspace = MAX(workspace, (size_t)d->plan->kernel[p->segment[i].step[k].kernel].cuda->workspace);
    }
    if (arena > d->arena_bytes) {
        cuda_release(d, d->arena, d->arena_bytes);
        d->arena = cuda_alloc(d, arena, "activations");
        d->arena_bytes = arena;
    }
    if (workspace > d->workspace_bytes) {
        cuda_release(d, d->workspace, d->workspace_bytes);
        d->workspace = cuda_alloc(d, workspace, "kernels' workspace");
        d->workspace_bytes = workspace;
    }
}

static void load_kernel(Device *d, CudaCode *c, const PlanKernel *k, int index, const Cubin *cubin)
{
    enum { PLAIN_SHARED = 48 << 10 };                /* more must be asked for */
    char *doing = xasprintf("loading the kernel %s", k->name);
    d->at.doing = doing;
    CU(d, library_load(&c->lib[index], cubin->data, NULL, NULL, 0, NULL, NULL, 0));
    c->fn[index] = xcalloc((size_t)k->cuda->n_launches, sizeof *c->fn[index]);
    for (int q = 0; q < k->cuda->n_launches; q++) {
        const PlanCudaLaunch *e = &k->cuda->launch[q];
        CUkernel kernel;
        CUresult r = d->cu->library_kernel(&kernel, c->lib[index], e->entry);
        if (r == CU_NOT_FOUND) user_error("%s/%s has no entry %s; compile the plan again with ectc", d->plan->dir, k->cuda->file, e->entry);
        if (r != CU_OK) cuda_fail(r, &d->at);
        if (e->shared > PLAIN_SHARED) CU(d, kernel_attribute(CU_FUNCTION_DYNAMIC_SHARED, (int)e->shared, kernel, d->gpu));
        CU(d, kernel_function(&c->fn[index][q], kernel));
    }
    free(doing);
}

static void cuda_prepare(Device *d, const PlanProgram *p, bool with_draws)
{
    if (cuda_code(d, p, with_draws)) return;
    const Plan *plan = d->plan;
    bool *used = kernels_of(plan, p);
    if (d->steps) cuda_wait(d, "finishing the updates under way");   /* the arena may move */
    allocate(d, p);
    CudaCode c = {.program = p, .with_draws = with_draws, .lib = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.lib),
                  .fn = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.fn)};
    Cubins *cubins = cubins_load(plan, used, d->arch, with_draws);
    for (int k = 0; k < plan->n_kernels; k++)
        if (used[k]) load_kernel(d, &c, &plan->kernel[k], k, cubins_get(cubins, k));
    cubins_free(cubins);
    c.gemm = cuda_gemm_choose(d, &c);
    vec_push(d->code, d->n_code, d->cap_code, c);
    free(used);
}

/* ---- run ---- */
static CudaProgram *program_of(Device *d, const PlanProgram *p)
{
    CudaProgram *m = &d->program[p - d->plan->program];
    if (m->ready) return m;
    m->ready = true;
    m->layout = cuda_layout(d->plan, p, -1);
    m->graph = xcalloc((size_t)p->n_segments, sizeof *m->graph);
    m->record = cuda_alloc(d, m->layout.in_bytes, "inputs");
    m->result = cuda_alloc(d, m->layout.out_bytes, "outputs");
    m->carry = xcalloc((size_t)p->n_carries + 1, sizeof *m->carry);
    for (int i = 0; i < p->n_carries; i++) m->carry[i] = cuda_alloc(d, 4 * (size_t)shape_elements(&p->carry[i].shape), "tensors between segments");
    int draws = 1;
    for (int i = 0; i < p->n_segments; i++) draws = MAX(draws, p->segment[i].n_draws);
    m->draw = xcalloc((size_t)draws, sizeof *m->draw);
    m->draw_bytes = xcalloc((size_t)draws, sizeof *m->draw_bytes);
    m->n_draw = draws;
    return m;
}

static void send_draws(Device *d, CudaProgram *m, const Launch *l)
{
    for (int i = 0; i < l->segment->n_draws; i++) {
        const PlanDraw *q = &l->segment->draw[i];
        size_t n = 4 * (size_t)MAX((int64_t)1, q->rows * q->per_row);
        if (n > m->draw_bytes[i]) {
            cuda_release(d, m->draw[i], m->draw_bytes[i]);
            m->draw[i] = cuda_alloc(d, n, "replaced draws");
            m->draw_bytes[i] = n;
        }
        d->at.doing = "copying draws";
        CU(d, to_device(m->draw[i], l->draw[i], 4 * (size_t)(q->rows * q->per_row), d->work));
    }
}

/* A segment's kernels; as a graph from the second time on, when what they are launched with is the same. */
typedef struct { const CudaCode *code; const Bound *b; CUdeviceptr now; } Run;
static void queue_run(Device *d, const void *work)
{
    const Run *r = work;
    cuda_segment(d, r->code, r->b, r->now, false);
}
static void run_kernels(Device *d, CudaProgram *m, const CudaCode *c, const Bound *b, bool timed)
{
    const PlanSegment *g = b->l.segment;
    CudaGraph *graph = &m->graph[g - b->l.program->segment];
    uint64_t signature = cuda_segment_signature(d, c, b, m->record);
    if (timed || b->l.draw || d->check || g->n_steps > CUDA_GRAPH_LAUNCHES || graph->signature != signature) cuda_segment(d, c, b, m->record, timed);
    else cuda_graph(d, graph, signature, "a segment", queue_run, &(Run){c, b, m->record});
    if (graph->signature == signature) return;
    cuda_graph_drop(d, graph);
    graph->signature = signature;                    /* the next run records it */
}

static void cuda_run(Device *d, const Launch *l)
{
    const PlanSegment *g = l->segment;
    bool with_draws = l->draw && g->n_draws > 0;
    const CudaCode *c = cuda_code(d, l->program, with_draws);
    if (!c && !g->n_draws) c = cuda_code(d, l->program, true);
    if (!c) {
        cuda_prepare(d, l->program, with_draws);
        c = cuda_code(d, l->program, with_draws);
    }
    CudaProgram *m = program_of(d, l->program);
    size_t in = m->layout.in_bytes, out = m->layout.out_bytes;
    d->at.updates = 0;
    if (in + out > d->stage_bytes) {
        if (d->stage) CU(d, host_free(d->stage));
        d->stage = cuda_pinned(d, in + out, "inputs and outputs");
        d->stage_bytes = in + out;
    }
    cuda_record(d, &m->layout, l, d->stage);
    d->at.doing = "copying the inputs", d->at.segment = g, d->at.step = NULL;
    CU(d, to_device(m->record, d->stage, in, d->work));
    if (with_draws) send_draws(d, m, l);
    Bound b;
    cuda_bind(d, &b, l, &m->layout, m->record, m->result, m->carry, with_draws ? m->draw : NULL);
    run_kernels(d, m, c, &b, l->time != NULL);
    bool outputs = false;
    for (int i = 0; i < g->n_buffers; i++) outputs |= g->buffer[i].kind == BUF_OUTPUT;
    if (outputs) CU(d, to_host(d->stage + in, m->result, out, d->work));
    cuda_wait(d, "running kernels");
    if (l->time) cuda_times(d, g, l->time);
    for (int i = 0; i < g->n_buffers; i++) {
        const PlanBuffer *q = &g->buffer[i];
        if (q->kind == BUF_OUTPUT && q->elements) memcpy(l->out[q->io], d->stage + in + m->layout.out[q->io], 4 * (size_t)q->elements);
    }
    cuda_bound_free(&b);
}

/* ---- close ---- */
static void cuda_close(Device *d)
{
    d->at.updates = 0, d->at.segment = NULL, d->at.step = NULL;
    cuda_wait(d, "closing it");
    cuda_steps_close(d);
    cuda_flat_close(d);
    for (int i = 0; i < d->n_code; i++) {
        cuda_gemm_free(d, d->code[i].program, d->code[i].gemm);
        for (int k = 0; k < d->plan->n_kernels; k++) {
            if (d->code[i].lib[k]) CU(d, library_unload(d->code[i].lib[k]));
            free(d->code[i].fn[k]);
        }
        free(d->code[i].lib);
        free(d->code[i].fn);
    }
    free(d->code);
    for (int i = 0; i < d->plan->n_programs; i++) {
        CudaProgram *m = &d->program[i];
        if (!m->ready) continue;
        cuda_release(d, m->record, m->layout.in_bytes);
        cuda_release(d, m->result, m->layout.out_bytes);
        for (int k = 0; k < d->plan->program[i].n_carries; k++)
            cuda_release(d, m->carry[k], 4 * (size_t)shape_elements(&d->plan->program[i].carry[k].shape));
        for (int k = 0; k < m->n_draw; k++) cuda_release(d, m->draw[k], m->draw_bytes[k]);
        for (int k = 0; k < d->plan->program[i].n_segments; k++) cuda_graph_drop(d, &m->graph[k]);
        free(m->graph); free(m->layout.in); free(m->layout.out); free(m->carry); free(m->draw); free(m->draw_bytes);
    }
    free(d->program);
    cuda_gemm_close(d);
    cuda_release(d, d->set.data, d->set.bytes);
    cuda_release(d, d->arena, d->arena_bytes);
    cuda_release(d, d->workspace, d->workspace_bytes);
    for (int i = 0; i < d->n_event; i++) CU(d, event_destroy(d->event[i]));
    free(d->event);
    if (d->stage) CU(d, host_free(d->stage));
    CU(d, library_unload(d->helpers));
    CU(d, stream_destroy(d->work));
    CU(d, stream_destroy(d->copies));
    CU(d, context_release(d->gpu));
    free(d->words);
    free(d->buf);
    free(d);
}

static uint64_t cuda_left(Device *d, const char **where)
{
    size_t left = 0, total = 0;
    d->at.doing = "asking for its memory";
    CU(d, memory_info(&left, &total));
    *where = "free on the GPU; `nvidia-smi` lists what the rest is";
    return left;
}

static const DeviceMemory memory = {
    .changed = cuda_flat_changed, .fetch = cuda_flat_fetch, .micro = cuda_micro, .update = cuda_update, .depth = 3, .results = cuda_results, .left = cuda_left,
    .images = cuda_images, .products = cuda_gemm_mode,
};
const DeviceClass device_cuda = {
    .name = "cuda", .timed = true, .available = cuda_available, .open = cuda_open, .prepare = cuda_prepare, .run = cuda_run,
    .close = cuda_close, .memory = &memory,
};
