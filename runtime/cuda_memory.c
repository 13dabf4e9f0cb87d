/* Memory of the device `cuda`: allocations, the copies of the flat arrays, records of inputs and outputs.
   Assumes a handful of flat arrays, told apart by the host's address. */
#include "runtime/cuda_device.h"
#include "runtime/memory.h"

enum { ALIGN = 256 };                                /* of parts of a record: what cuMemAlloc gives */
static size_t aligned(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* ---- allocations ---- */
static void no_memory(Device *d, size_t n, const char *what) NORETURN;
static void no_memory(Device *d, size_t n, const char *what)
{
    const double mb = 1048576;
    size_t left = 0, total = d->total, flats = 4 * (size_t)d->plan->param_elements;
    d->cu->memory_info(&left, &total);
    uint64_t peak = 0;
    const char *where = "";
    for (int i = 0; i < d->plan->n_programs; i++)
        for (int k = 0; k < d->plan->program[i].n_segments; k++)
            if ((uint64_t)d->plan->program[i].segment[k].peak_bytes > peak) {
                peak = (uint64_t)d->plan->program[i].segment[k].peak_bytes;
                where = d->plan->program[i].segment[k].name;
            }
    size_t others = total > left + d->held ? total - left - d->held : 0;
    machine_error("not enough memory on the GPU (%s): %.1f MB wanted for %s, %.1f of %.1f MB free\n"
                  "  of this plan there are %.1f MB already; its peak is %.1f MB of activations at batch %lld (%s) and %.1f MB for each flat array\n"
                  "  %.0f MB belong to others (`nvidia-smi` lists them)\n"
                  "  to need less: `ectc %s -o PLAN --mem SIZE` computes some activations twice, -D batch=N takes a smaller batch (with "
                  "--accumulate for the rest)",
                  d->name, (double)n / mb, what, (double)left / mb, (double)total / mb, (double)d->held / mb, (double)peak / mb,
                  (long long)d->plan->batch, where, (double)flats / mb, (double)others / mb, d->plan->model);
}

CUdeviceptr cuda_alloc(Device *d, size_t n, const char *what)
{
    CUdeviceptr p = 0;
    n = aligned(MAX(n, (size_t)1));
    CUresult r = d->cu->alloc(&p, n);
    if (r == CU_OUT_OF_MEMORY) no_memory(d, n, what);
    d->at.doing = "allocating memory";
    if (r != CU_OK) cuda_fail(r, &d->at);
    d->held += n;
    CU(d, fill8(p, 0, n, d->work));                  /* as the cpu's arena: what no kernel writes is 0 */
    return p;
}

void cuda_release(Device *d, CUdeviceptr p, size_t n)
{
    if (!p) return;
    CU(d, free(p));
    d->held -= aligned(MAX(n, (size_t)1));
}

void *cuda_pinned(Device *d, size_t n, const char *what)
{
    void *p = NULL;
    CUresult r = d->cu->host_alloc(&p, MAX(n, (size_t)ALIGN), 0);
    if (r == CU_OUT_OF_MEMORY)
        machine_error("the system does not give %.0f MB of page-locked memory for %s: free memory, or raise `ulimit -l` or the container's limit",
                      (double)n / 1048576, what);
    d->at.doing = "allocating page-locked memory";
    if (r != CU_OK) cuda_fail(r, &d->at);
    memset(p, 0, MAX(n, (size_t)ALIGN));
    return p;
}

/* ---- flat arrays ---- */
static size_t flat_bytes(const Device *d) { return 4 * (size_t)MAX((int64_t)1, d->plan->param_elements); }

CUdeviceptr cuda_flat(Device *d, float *host, bool written)
{
    if (!host) return 0;
    Flat *f = NULL;
    for (int i = 0; i < d->n_flat; i++) if (d->flat[i].host == host) f = &d->flat[i];
    if (!f) {
        Flat made = {.host = host, .at = cuda_alloc(d, flat_bytes(d), "weights, gradients and optimizer state"), .host_newer = true};
        vec_push(d->flat, d->n_flat, d->cap_flat, made);
        f = &d->flat[d->n_flat - 1];
    }
    if (f->host_newer) {
        d->at.doing = "copying weights to the GPU";
        CU(d, to_device(f->at, f->host, flat_bytes(d), d->work));
        CU(d, stream_sync(d->work));                 /* before the host writes again */
        f->host_newer = false;
    }
    if (written) f->device_newer = true;
    return f->at;
}

void cuda_flat_changed(Device *d, const float *host)
{
    for (int i = 0; i < d->n_flat; i++)
        if (!host || d->flat[i].host == host) d->flat[i].host_newer = true, d->flat[i].device_newer = false;
}

void cuda_flat_fetch(Device *d, float *host)
{
    for (int i = 0; i < d->n_flat; i++) {
        Flat *f = &d->flat[i];
        if (f->host != host || !f->device_newer) continue;
        d->at.doing = "copying weights from the GPU";
        CU(d, to_host(f->host, f->at, flat_bytes(d), d->work));
        CU(d, stream_sync(d->work));
        f->device_newer = false;
    }
}

void cuda_flat_close(Device *d)
{
    for (int i = 0; i < d->n_flat; i++) cuda_release(d, d->flat[i].at, flat_bytes(d));
    free(d->flat);
}

/* ---- records ---- */
size_t cuda_now_bytes(const Plan *plan)
{
    return aligned(CUDA_NOW_SCALARS + sizeof(float) * (size_t)MAX(1, plan->n_scalars));
}

static size_t *place(const PlanTensor *t, int n, const int *skip, int numbers, size_t *at)
{
    size_t *v = xmalloc(((size_t)n + 1) * sizeof *v);
    for (int i = 0; i < n; i++) {
        int64_t elements = i == numbers ? t[i].shape.size[0] : shape_elements(&t[i].shape);
        bool there = elements && (!skip || skip[i] < 0);
        v[i] = there ? *at : SIZE_MAX;
        if (there) *at += aligned(4 * (size_t)elements);
    }
    return v;
}

Layout cuda_layout(const Plan *plan, const PlanProgram *p, int numbers)
{
    Layout y = {.in_bytes = cuda_now_bytes(plan)};
    y.in = place(p->input, p->n_inputs, NULL, numbers, &y.in_bytes);
    y.out = place(p->output, p->n_outputs, p->output_param, -1, &y.out_bytes);
    return y;
}

void cuda_record(const Device *d, const Layout *y, const Launch *l, char *record)
{
    memcpy(record, (uint64_t[]){l->step, l->sample0}, 2 * sizeof(uint64_t));
    memcpy(record + 2 * sizeof(uint64_t), l->scalar, (size_t)d->plan->n_scalars * sizeof(float));
    for (int i = 0; y && l->in && i < l->program->n_inputs; i++) {
        const PlanShape *s = &l->program->input[i].shape;
        if (y->in[i] == SIZE_MAX) continue;
        if (l->numbers && i == d->set.set.input) memcpy(record + y->in[i], l->numbers, 4 * (size_t)s->size[0]);
        else if (l->in[i]) memcpy(record + y->in[i], l->in[i], 4 * (size_t)shape_elements(s));
    }
}

/* ---- a data set ---- */
enum { IMAGES_SHARE = 2 };                           /* they may take one part in so many of what is left */

size_t cuda_to_come(const Device *d)
{
    return (size_t)MAX(0, d->plan->n_sets + d->plan->n_states + 2 - d->n_flat) * flat_bytes(d);
}

bool cuda_images(Device *d, const DeviceImages *images, char **why)
{
    size_t bytes = (size_t)images->count * (size_t)images->h * (size_t)images->w * (size_t)images->c, left = 0, total = 0;
    CHECK_BUG(!d->steps && !d->set.data);
    d->at.doing = "asking for its memory";
    CU(d, memory_info(&left, &total));
    left -= MIN(left, cuda_to_come(d));
    if (bytes > left / IMAGES_SHARE) {
        *why = xasprintf("%.1f MB of images, and they may take half of the %.1f MB that are left on the GPU", (double)bytes / 1048576, (double)left / 1048576);
        return false;
    }
    d->set = (CudaImages){.data = cuda_alloc(d, bytes, "images"), .bytes = bytes, .set = *images};
    d->set.set.pixels = NULL;
    d->at.doing = "copying images to the GPU";
    CU(d, to_device(d->set.data, images->pixels, bytes, d->work));
    CU(d, stream_sync(d->work));
    return true;
}
