/* gpu.h: the process that runs the steps of a segment on the GPU and compares. It writes the rows of steps that it lives to see; what step it is at is in
   Progress for the one that watches. Assumes the mirror is right up to step `first`. */
#include "gpu.h"
#include <dlfcn.h>
#include <math.h>
#include <omp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "runtime/blas.h"
#include "tests/mock/kernels.h"

#define SAMPLE_SECONDS 0.25

typedef struct {
    Mirror *m;
    Gpu g;
    Cubins *cubins;
    CUfunction **fn;                                 /* per kernel, when loaded: per launch */
    bool *seen;                                      /* per kernel: compared already */
    char **writes;                                   /* per kernel, when known: 'r' or 'w' for each place of an instance */
    bool *partial;                                   /* per kernel: a tensor says how many rows are wanted; the others need not be written */
    const MockKernel *reference;
    CUdeviceptr twin, workspace, now;
    uint64_t *words;
    char *scratch, *shared;
    size_t scratch_bytes, shared_bytes;
    bool *touched;                                   /* per buffer: a step has written it */
    Sampler *sampler;
    char *no_samples;
} Worker;

static void phase(Worker *w, int step, int what)
{
    Progress *p = w->m->c->progress;
    p->step = step, p->phase = what, p->since = now_seconds();
}
static const PlanStep *step_of(const Worker *w, int i) { return &w->m->l.segment->step[i]; }
static const PlanKernel *kernel_of(const Worker *w, int i) { return &w->m->c->plan->kernel[step_of(w, i)->kernel]; }

/* ---- failures ---- */
static void fail(Worker *w, int i, const char *what) NORETURN;
static void fail(Worker *w, int i, const char *what)
{
    Check *c = w->m->c;
    const PlanStep *s = step_of(w, i);
    row(c->section, kernel_of(w, i)->name, "FAIL", "", "%s: %s; step %d, %s, %s", phase_names[c->progress->phase], what, i + 1, s->at, s->path);
    c->bad[s->kernel] = true;
    c->progress->failed++;
    c->progress->reported = true;
    _exit(3);                                        /* a context that has faulted is of no more use */
}
static void must(Worker *w, int i, CUresult r)
{
    if (r != CU_OK) fail(w, i, gpu_error(&w->g, r));
}

/* ---- what a kernel writes ---- */
/* From the C text: `    float *restrict const y8 = args->buf[8];` is written, a `const float *` only read. */
static const char *writes_of(Worker *w, int kernel, int places)
{
    if (w->writes[kernel]) return w->writes[kernel];
    const Plan *plan = w->m->c->plan;
    char *path = plan_path(plan, plan->kernel[kernel].file), *text = read_file(path, NULL), *kind = xcalloc((size_t)places + 1, 1);
    memset(kind, 'r', (size_t)places);
    w->partial[kernel] = text && strstr(text, "const int wanted = ");
    for (char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        const char *end = strchrnul(line, '\n'), *buf = strstr(line, "buf["), *name = strstr(line, "*restrict const ");
        const char *first = line + strspn(line, " ");
        if (!buf || buf > end || !name || name > buf || !strncmp(first, "const ", 6)) continue;
        int at = atoi(buf + 4);
        if (at >= 0 && at < places) kind[at] = 'w';
    }
    free(text);
    free(path);
    return w->writes[kernel] = kind;
}
static bool half(const PlanBuffer *b) { return b->type == NUM_BF16; }      /* plans that are compared this way have no f16 */
static size_t bytes_of(const PlanBuffer *b) { return (size_t)b->elements * (half(b) ? 2 : 4); }

/* A step's buffers that it writes, each once. fresh: all of it is this step's, so it can be poisoned. */
typedef struct { int buffer; bool fresh; char *gpu, *again; double top; } Written;      /* top: the reference's largest value */
static int written(Worker *w, int i, Written **out)
{
    const PlanSegment *g = w->m->l.segment;
    const PlanStep *s = step_of(w, i);
    int n = 0, cap = 0, places = s->n_buffers / s->instances;
    const char *kind = writes_of(w, s->kernel, places);
    Written *v = NULL;
    for (int k = 0; k < s->n_buffers; k++) {
        int b = s->buffer[k];
        bool there = kind[k % places] != 'w' || !g->buffer[b].elements;
        for (int q = 0; q < n && !there; q++) there = v[q].buffer == b;
        if (there) continue;
        BufKind q = g->buffer[b].kind;
        bool fresh = q == BUF_ARENA ? g->buffer[b].first == i : (q == BUF_OUTPUT || q == BUF_GRAD || q == BUF_CARRY) && !w->touched[b];
        vec_push(v, n, cap, ((Written){.buffer = b, .fresh = fresh}));
    }
    *out = v;
    return n;
}

/* ---- the GPU's side ---- */
static CUdeviceptr twin_of(const Worker *w, const void *host) { return w->twin + (CUdeviceptr)((const char *)host - w->m->base); }

static void load(Worker *w, int i)
{
    const PlanKernel *k = kernel_of(w, i);
    int at = step_of(w, i)->kernel;
    if (w->fn[at]) return;
    const Cubin *cubin = cubins_get(w->cubins, at);
    if (!cubin || !cubin->data) fail(w, i, xasprintf("no machine code: %.400s", cubins_error(w->cubins, at) ? cubins_error(w->cubins, at) : "not compiled"));
    CUlibrary lib;
    must(w, i, w->g.cu->library_load(&lib, cubin->data, NULL, NULL, 0, NULL, NULL, 0));
    w->fn[at] = xcalloc((size_t)k->cuda->n_launches, sizeof **w->fn);
    for (int q = 0; q < k->cuda->n_launches; q++) {
        const PlanCudaLaunch *e = &k->cuda->launch[q];
        CUkernel f;
        must(w, i, w->g.cu->library_kernel(&f, lib, e->entry));
        if (e->shared > 48 << 10) must(w, i, w->g.cu->kernel_attribute(CU_FUNCTION_DYNAMIC_SHARED, (int)e->shared, f, w->g.gpu));
        must(w, i, w->g.cu->kernel_function(&w->fn[at][q], f));
    }
}

static void launch(Worker *w, int i)
{
    const PlanStep *s = step_of(w, i);
    const PlanKernel *k = kernel_of(w, i);
    const Launch *l = &w->m->l;
    size_t draws = (size_t)s->n_draws, numbers = 2 + 2 * draws + (size_t)(s->n_buffers / s->instances * MAX(k->cuda->instances, s->instances)),
           n = numbers + plan_number_words(k->cuda);
    w->words = xrealloc(w->words, n * sizeof *w->words);
    memset(w->words, 0, n * sizeof *w->words);
    w->words[0] = w->now, w->words[1] = w->workspace;
    for (size_t d = 0; d < draws; d++) w->words[2 + d] = l->key[s->draw[d]];
    for (int b = 0; b < s->n_buffers; b++) w->words[2 + 2 * draws + (size_t)b] = twin_of(w, w->m->buf[s->buffer[b]]);
    plan_numbers(k->cuda, w->words + numbers);
    for (int q = 0; q < k->cuda->n_launches; q++) {
        const PlanCudaLaunch *e = &k->cuda->launch[q];
        CudaLaunchConfig at = {.grid_x = (unsigned)e->grid[0], .grid_y = (unsigned)e->grid[1], .grid_z = (unsigned)s->instances,
                               .block_x = (unsigned)e->block, .block_y = 1, .block_z = 1, .shared = (unsigned)e->shared, .stream = w->g.stream};
        must(w, i, w->g.cu->launch(&at, w->fn[s->kernel][q], (void *[]){w->words}, NULL));
    }
}
/* Runs step i on poisoned results and fetches them; returns microseconds. again: a second time, to see whether the bits are the same. */
static double on_gpu(Worker *w, int i, Written *v, int n, bool again)
{
    const PlanSegment *g = w->m->l.segment;
    const CudaDriver *cu = w->g.cu;
    float ms = 0;
    for (int turn = 0; turn <= again; turn++) {
        for (int q = 0; q < n; q++)
            if (v[q].fresh) must(w, i, cu->fill8(twin_of(w, w->m->buf[v[q].buffer]), 0xff, bytes_of(&g->buffer[v[q].buffer]), w->g.stream));
        must(w, i, cu->event_record(w->g.from, w->g.stream));
        launch(w, i);
        must(w, i, cu->event_record(w->g.to, w->g.stream));
        for (int q = 0; q < n; q++) {
            size_t bytes = bytes_of(&g->buffer[v[q].buffer]);
            char **to = turn ? &v[q].again : &v[q].gpu;
            *to = xmalloc(bytes);
            must(w, i, cu->to_host(*to, twin_of(w, w->m->buf[v[q].buffer]), bytes, w->g.stream));
        }
        must(w, i, cu->stream_sync(w->g.stream));
        must(w, i, cu->event_elapsed(&ms, w->g.from, w->g.to));
    }
    return 1e3 * (double)ms;
}

/* ---- the reference ---- */
static const MockKernel *find_reference(const Worker *w, const char *name)
{
    for (const MockKernel *k = w->reference; k && k->name; k++) if (!strcmp(k->name, name)) return k;
    return NULL;
}
static char *room(char *old, size_t *have, size_t want)
{
    if (want <= *have) return old;
    free(old);
    *have = (want + 63) / 64 * 64;
    char *p = aligned_alloc(64, *have);
    if (!p) machine_error("no memory for a reference");
    return p;
}
/* The plan's C kernel on the mirror. */
static void run_reference(Worker *w, int i, const MockKernel *k)
{
    const PlanStep *s = step_of(w, i);
    const Launch *l = &w->m->l;
    int threads = w->m->c->threads ? w->m->c->threads : omp_get_max_threads();
    size_t stride = ((size_t)k->scratch + 127) / 64 * 64;
    uint64_t key[64];
    float *buf[4096];
    if (s->n_draws > 64 || s->n_buffers > 4096) die("kernel %s has too many arguments", k->name);
    for (int d = 0; d < s->n_draws; d++) key[d] = l->key[s->draw[d]];
    for (int b = 0; b < s->n_buffers; b++) buf[b] = w->m->buf[s->buffer[b]];
    w->scratch = room(w->scratch, &w->scratch_bytes, stride * (size_t)threads);
    w->shared = room(w->shared, &w->shared_bytes, (size_t)k->shared + 64);
    EctArgs a = {.buf = buf, .scalar = l->scalar, .key = (const ect_u64 *)key, .step = l->step, .sample0 = l->sample0, .scratch = w->scratch,
                 .scratch_stride = stride, .shared = w->shared, .threads = threads, .instances = s->instances, .sgemm = blas_sgemm()};
    k->plain(&a);
}

/* ---- comparing ---- */
/* reference, its_sample: how far it is itself from the samples, by the largest of the buffer and by what was added up. */
typedef struct { int64_t elements, missing, samples; double worst, l2, sample, reference, its_sample; bool same; } Verdict;

static float from_half(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static float element(const void *p, bool half, int64_t e) { return half ? from_half(((const uint16_t *)p)[e]) : ((const float *)p)[e]; }
static bool poisoned(const void *p, bool half, int64_t e) { return half ? ((const uint16_t *)p)[e] == 0xffff : ((const uint32_t *)p)[e] == 0xffffffffu; }

/* One buffer: largest difference by the largest value, and both norms. Where the reference wrote nothing (rows nobody needs) nothing is asked. */
static void compare(const PlanBuffer *b, Written *x, const void *want, Verdict *v)
{
    double top = 0, worst = 0, difference = 0, size = 0;
    int64_t missing = 0, elements = 0;
#pragma omp parallel for schedule(static) reduction(max : top, worst) reduction(+ : difference, size, missing, elements)
    for (int64_t e = 0; e < b->elements; e++) {
        if (x->fresh && poisoned(want, half(b), e)) continue;
        elements++;
        if (x->fresh && poisoned(x->gpu, half(b), e)) { missing++; continue; }
        double r = element(want, half(b), e), g = element(x->gpu, half(b), e), d = fabs(r - g);
        if (isnan(r) && isnan(g)) continue;
        if (r == g) d = 0;
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
        if (fabs(r) > top && isfinite(r)) top = fabs(r);
        difference += d * d;
        size += r * r;
    }
    x->top = top;
    v->elements += elements;
    v->missing += missing;
    double rel = top > 0 ? worst / top : worst, l2 = size > 0 ? sqrt(difference / size) : sqrt(difference);
    if (!(rel <= v->worst)) v->worst = rel;
    if (!(l2 <= v->l2)) v->l2 = l2;
}

typedef struct { int q; bool there; int64_t e; double value, size; } Sample;
/* Some elements in f64; as many as fit into a part of a second. */
static int take_samples(Worker *w, int i, const Written *x, int n, Sample *out)
{
    const PlanSegment *g = w->m->l.segment;
    double end = now_seconds() + SAMPLE_SECONDS;
    uint64_t z = (uint64_t)i + 1;
    int wanted = 0, taken = 0, able[64], n_able = 0;
    for (int q = 0; w->sampler && q < n && n_able < 64; q++)
        if (x[q].fresh && sampler_ready(w->sampler, i, x[q].buffer)) able[n_able++] = q;
    for (int k = 0; n_able && k < w->m->c->samples; k++) {
        Sample s = {.q = able[k % n_able]};
        const PlanBuffer *b = &g->buffer[x[s.q].buffer];
        z = z * 6364136223846793005u + 1442695040888963407u;
        s.e = (int64_t)((z >> 20) % (uint64_t)b->elements);
        if (!poisoned(x[s.q].gpu, half(b), s.e)) out[wanted++] = s;
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (int k = 0; k < wanted; k++) {
        Sample *s = &out[k];
        s->there = now_seconds() < end && sampler_value(w->sampler, x[s->q].buffer, s->e, &s->value, &s->size);
    }
    for (int k = 0; k < wanted; k++) if (out[k].there) out[taken++] = out[k];
    return taken;
}
/* The GPU's distance from them, relative to what was added up; and the reference's, relative to the largest of the buffer, as compare has it. */
static void weigh_samples(Worker *w, const Written *x, const Sample *s, int n, bool reference, Verdict *v)
{
    for (int k = 0; k < n; k++) {
        const Written *q = &x[s[k].q];
        const PlanBuffer *b = &w->m->l.segment->buffer[q->buffer];
        double got = (double)element(q->gpu, half(b), s[k].e), d = fabs(got - s[k].value) / fmax(s[k].size, 1e-30);
        if ((isnan(got) && isnan(s[k].value)) || got == s[k].value) d = 0;
        if (!(d <= v->sample)) v->sample = isnan(d) ? INFINITY : d;
        v->samples++;
        if (!reference || !(q->top > 0)) continue;
        double off = fabs((double)element(w->m->buf[q->buffer], half(b), s[k].e) - s[k].value);
        if (!isfinite(off)) continue;
        v->reference = fmax(v->reference, off / q->top);
        v->its_sample = fmax(v->its_sample, off / fmax(s[k].size, 1e-30));
    }
}

static void judge(Worker *w, int i, const Verdict *v, double us, const char *reference)
{
    Check *c = w->m->c;
    const PlanStep *s = step_of(w, i);
    const PlanKernel *k = kernel_of(w, i);
    bool half = strcmp(c->plan->precision, "f32") != 0, lost = v->missing && !w->partial[s->kernel];
    /* Where much cancels, f64 tells how far the reference itself is off; eight times that is allowed, unless the reference is wrong. */
    double slack = 8 * v->reference, worst = fmax(half ? 4e-2 : 2e-4, slack), l2 = fmax(half ? 2e-2 : 1e-4, slack), sampled = half ? 8e-3 : 1e-5;
    bool doubtful = v->its_sample > sampled, good = v->worst <= worst && v->l2 <= l2 && v->sample <= sampled && v->same && !lost && !doubtful;
    StrBuf t = {0};
    sb_printf(&t, "%lld elements against %s: worst %.1e, l2 %.1e", (long long)v->elements, reference ? reference : "poison only", v->worst, v->l2);
    if (v->samples) sb_printf(&t, ", %lld in f64 %.1e", (long long)v->samples, v->sample);
    if (doubtful) sb_puts(&t, ", THE C KERNEL IS WRONG");
    if (lost) sb_puts(&t, ", NOT ALL WRITTEN");
    else if (v->missing) sb_puts(&t, ", rows not wanted left out");
    if (!v->same) sb_puts(&t, ", TWO RUNS DIFFER");
    if (!good) sb_puts(&t, ", WRONG");
    sb_printf(&t, "; %.1f us; %s%s%s", us, k->cls, good ? "" : " ", good ? "" : s->path);
    char *json = xasprintf("\"kernel\": \"%s\", \"step\": %d, \"elements\": %lld, \"missing\": %lld, \"worst\": %.3e, \"l2\": %.3e, \"samples\": %lld, "
                           "\"worst_sample\": %.3e, \"reference_off\": %.3e, \"same_bits\": %s, \"us\": %.2f, \"bytes\": %lld, \"flops\": %lld",
                           k->name, i + 1, (long long)v->elements, (long long)v->missing, fmin(v->worst, 1e30), fmin(v->l2, 1e30), (long long)v->samples,
                           fmin(v->sample, 1e30), v->reference, v->same ? "true" : "false", us, (long long)s->bytes, (long long)k->flops * s->instances);
    row(c->section, k->name, !good ? "FAIL" : reference || v->samples ? "ok" : "info", json, "%s", t.s);
    sb_free(&t);
    free(json);
    c->progress->compared++;
    if (good) return;
    c->progress->failed++;
    c->bad[s->kernel] = true;
}

/* ---- a step ---- */
static void step(Worker *w, int i)
{
    Check *c = w->m->c;
    const PlanSegment *g = w->m->l.segment;
    const PlanStep *s = step_of(w, i);
    const PlanKernel *k = kernel_of(w, i);
    bool first = !w->seen[s->kernel] && !c->bad[s->kernel] && (!c->only || !strcmp(c->only, k->name)), wrong = c->bad[s->kernel], all_fresh = true;
    Written *v;
    int n = written(w, i, &v);
    double us = 0;
    for (int q = 0; q < n; q++) all_fresh &= v[q].fresh;
    c->progress->reported = false;
    if (!wrong) {
        phase(w, i, PHASE_LOAD);
        load(w, i);
        phase(w, i, PHASE_GPU);
        us = on_gpu(w, i, v, n, first && all_fresh);
        c->progress->launches++;
    }
    const MockKernel *reference = first || wrong ? find_reference(w, k->name) : NULL;
    Verdict verdict = {.same = true};
    Sample *samples = first ? xcalloc((size_t)c->samples + 1, sizeof *samples) : NULL;
    int taken = 0;
    if (first) {
        phase(w, i, PHASE_SAMPLE);
        taken = take_samples(w, i, v, n, samples);
    }
    phase(w, i, PHASE_REFERENCE);
    if (reference) {
        for (int q = 0; q < n; q++) if (v[q].fresh) memset(w->m->buf[v[q].buffer], 0xff, bytes_of(&g->buffer[v[q].buffer]));
        run_reference(w, i, reference);
    }
    if (first) {
        for (int q = 0; q < n; q++) {
            if (v[q].again) verdict.same &= !memcmp(v[q].gpu, v[q].again, bytes_of(&g->buffer[v[q].buffer]));
            compare(&g->buffer[v[q].buffer], &v[q], reference ? (const void *)w->m->buf[v[q].buffer] : v[q].gpu, &verdict);
        }
        weigh_samples(w, v, samples, taken, reference != NULL, &verdict);
        judge(w, i, &verdict, us, reference ? "its C kernel" : NULL);
        c->progress->reported = true;
        w->seen[s->kernel] = true;
        wrong = c->bad[s->kernel];
    }
    for (int q = 0; q < n; q++) {
        char *host = (char *)w->m->buf[v[q].buffer];
        size_t bytes = bytes_of(&g->buffer[v[q].buffer]);
        if (!wrong) memcpy(host, v[q].gpu, bytes);
        else must(w, i, w->g.cu->to_device(twin_of(w, host), host, bytes, w->g.stream));
        w->touched[v[q].buffer] = true;
        free(v[q].gpu);
        free(v[q].again);
    }
    must(w, i, w->g.cu->stream_sync(w->g.stream));
    free(samples);
    free(v);
}

/* ---- the process ---- */
static void open_twin(Worker *w)
{
    const Plan *plan = w->m->c->plan;
    const PlanSegment *g = w->m->l.segment;
    size_t workspace = 256, now_bytes = 16 + 4 * (size_t)MAX(plan->n_scalars, 1);
    for (int i = 0; i < g->n_steps; i++) workspace = MAX(workspace, (size_t)kernel_of(w, i)->cuda->workspace);
    char *now = xcalloc(1, now_bytes);
    memcpy(now, &w->m->l.step, 8);
    memcpy(now + 8, &w->m->l.sample0, 8);
    if (w->m->l.scalar) memcpy(now + 16, w->m->l.scalar, 4 * (size_t)plan->n_scalars);
    const CudaDriver *cu = w->g.cu;
    CUresult r = cu->alloc(&w->twin, w->m->bytes);
    if (r == CU_OK) r = cu->alloc(&w->workspace, workspace);
    if (r == CU_OK) r = cu->alloc(&w->now, now_bytes);
    if (r == CU_OK) r = cu->fill8(w->workspace, 0xff, workspace, w->g.stream);
    if (r == CU_OK) r = cu->to_device(w->now, now, now_bytes, w->g.stream);
    if (r == CU_OK) r = cu->to_device(w->twin, w->m->base, w->m->bytes, w->g.stream);
    if (r == CU_OK) r = cu->stream_sync(w->g.stream);
    free(now);
    if (r != CU_OK) machine_error("copying %.0f MB to the GPU: %s", (double)w->m->bytes / 1048576, gpu_error(&w->g, r));
}

void worker(Mirror *m, int first)
{
    Check *c = m->c;
    const Plan *plan = c->plan;
    const PlanSegment *g = m->l.segment;
    Worker w = {.m = m};
    char *why = NULL;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!gpu_open(&w.g, &why)) machine_error("%s", why);
    bool *used = xcalloc((size_t)plan->n_kernels + 1, 1);
    for (int i = 0; i < g->n_steps; i++) {
        used[step_of(&w, i)->kernel] = true;
        if (!kernel_of(&w, i)->cuda) user_error("the plan %s has no CUDA kernels; compile it with --target cpu,cuda", plan->dir);
    }
    phase(&w, first, PHASE_COMPILE);
    w.cubins = cubins_open(plan, used, w.g.arch, false);
    if (cubins_find(w.cubins, true, true)) cubins_compile(w.cubins);
    w.fn = xcalloc((size_t)plan->n_kernels + 1, sizeof *w.fn);
    w.seen = xcalloc((size_t)plan->n_kernels + 1, 1);
    w.writes = xcalloc((size_t)plan->n_kernels + 1, sizeof *w.writes);
    w.partial = xcalloc((size_t)plan->n_kernels + 1, 1);
    w.touched = xcalloc((size_t)g->n_buffers + 1, 1);
    if (c->reference) {
        void *lib = dlopen(c->reference, RTLD_NOW | RTLD_LOCAL);
        if (!lib) machine_error("%s", dlerror());
        w.reference = dlsym(lib, "mock_kernels");
    }
    if (c->samples) w.sampler = sampler_new(plan, &m->l, m->buf, &w.no_samples);
    for (int i = 0; i < first; i++) {                /* what earlier workers have done */
        Written *v;
        int n = written(&w, i, &v);
        for (int q = 0; q < n; q++) w.touched[v[q].buffer] = true;
        free(v);
        w.seen[step_of(&w, i)->kernel] = true;
    }
    open_twin(&w);
    for (int i = first; i < g->n_steps; i++) step(&w, i);
    c->progress->finished = true;
    fflush(NULL);
    _exit(0);
}
