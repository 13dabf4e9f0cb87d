/* Training on the device `cuda`: an update is one graph, launched without waiting for anything.

   What differs from update to update - step, sample numbers, run-time scalars, inputs - is a record: EctNow of the update segment, then for each
   micro-batch EctNow and the inputs. The host fills a record in pinned memory while the device is at earlier updates; the stream of copies takes
   it to the device; the work stream copies it to the one place that kernels read. So kernels' arguments never change, and the whole update, from
   the first micro-batch's kernels to the optimizer's, is captured into a graph once. Outputs come back the same way: one place that kernels
   write, copied behind the graph into the record's pinned twin, with the number of gradient elements that are not finite in front.

   There are SLOTS records. The host waits only for the update that had the slot before, so it is at most SLOTS - 1 updates ahead.
   Assumes keys, addresses and the number of micro-batches stay the same; when they do not, the graph is captured anew.
   When the images lie on the device (cuda_images), a record has their numbers in place of that input, and a kernel in front of each micro-batch's makes
   them, at one place for each. */
#include "runtime/cuda_device.h"

enum { SLOTS = 3, HEAD = 256 };                      /* HEAD: bytes before the first outputs */

typedef struct {
    char *record, *result;                           /* pinned */
    CUdeviceptr staged;
    CUevent copied, done;
    uint64_t step;
    int micros;
    bool busy;                                       /* its update may be under way; results are there once `done` has come */
} Slot;

struct CudaSteps {
    const PlanProgram *program;
    Layout layout;
    size_t now_bytes;
    int cap;                                         /* micro-batches there is room for */
    Slot slot[SLOTS];
    int current;
    int at_once;                                     /* micro-batches of the update in hand that were not left to the graph */
    CUdeviceptr record, result, sum, images;         /* images: of all micro-batches, when they are gathered on the device */
    size_t image_bytes;                              /* of one micro-batch's; 0 otherwise */
    Launch micro;                                    /* the last one; its pointers are the session's or own copies */
    uint64_t *key;
    CudaGraph graph;
};

static size_t record_bytes(const CudaSteps *t, int micros) { return t->now_bytes + (size_t)micros * t->layout.in_bytes; }
static size_t result_bytes(const CudaSteps *t, int micros) { return HEAD + (size_t)micros * t->layout.out_bytes; }
static CUdeviceptr record_of(const CudaSteps *t, int micro) { return t->record + record_bytes(t, micro); }
static CUdeviceptr result_of(const CudaSteps *t, int micro) { return t->result + result_bytes(t, micro); }
static size_t flat_bytes(const Device *d) { return 4 * (size_t)MAX((int64_t)1, d->plan->param_elements); }

/* ---- room ---- */
/* Room for more micro-batches in an update; what the record in hand holds already stays. */
static void grow(Device *d, CudaSteps *t, int micros)
{
    int old = t->cap;
    cuda_wait(d, "finishing the updates under way");
    cuda_graph_drop(d, &t->graph);
    t->cap = MAX(micros, old * 2);
    for (int i = 0; i < SLOTS; i++) {
        Slot *s = &t->slot[i];
        char *record = cuda_pinned(d, record_bytes(t, t->cap), "inputs"), *result = cuda_pinned(d, result_bytes(t, t->cap), "results");
        if (old) {
            memcpy(record, s->record, record_bytes(t, old));
            memcpy(result, s->result, result_bytes(t, old));
            CU(d, host_free(s->record));
            CU(d, host_free(s->result));
            cuda_release(d, s->staged, record_bytes(t, old));
        } else {
            CU(d, event_create(&s->copied, CU_EVENT_NO_TIMING));
            CU(d, event_create(&s->done, CU_EVENT_NO_TIMING));
        }
        s->record = record, s->result = result;
        s->staged = cuda_alloc(d, record_bytes(t, t->cap), "inputs");
    }
    if (old) cuda_release(d, t->record, record_bytes(t, old)), cuda_release(d, t->result, result_bytes(t, old));
    if (old) cuda_release(d, t->images, (size_t)old * t->image_bytes);
    if (t->image_bytes) t->images = cuda_alloc(d, (size_t)t->cap * t->image_bytes, "inputs");
    t->record = cuda_alloc(d, record_bytes(t, t->cap), "inputs");
    t->result = cuda_alloc(d, result_bytes(t, t->cap), "results");
    cuda_wait(d, "clearing memory");                 /* the stream of copies does not wait for the work stream */
}

static CudaSteps *steps_of(Device *d, const PlanProgram *p)
{
    if (d->steps) return d->steps;
    CudaSteps *t = d->steps = xcalloc(1, sizeof *t);
    t->program = p;
    bool gathers = d->set.data && d->set.set.program == p;
    t->layout = cuda_layout(d->plan, p, gathers ? d->set.set.input : -1);
    if (gathers) t->image_bytes = 4 * (size_t)shape_elements(&p->input[d->set.set.input].shape);
    t->now_bytes = cuda_now_bytes(d->plan);
    t->key = xcalloc((size_t)p->segment[0].n_draws + 1, sizeof *t->key);
    grow(d, t, 1);
    return t;
}

static void finish(Device *d, Slot *s)
{
    if (!s->busy) return;
    int under_way = 0;
    for (int i = 0; i < SLOTS; i++) under_way += d->steps->slot[i].busy && d->steps->slot[i].step >= s->step;
    d->at.doing = "finishing an update", d->at.update = s->step, d->at.updates = under_way;
    d->at.segment = NULL, d->at.step = NULL;
    CU(d, event_sync(s->done));
    s->busy = false;
}

/* ---- kernels of an update ---- */
/* One micro-batch; its gradients become the sum's start or are added to it. */
static void micro_kernels(Device *d, CudaSteps *t, const Launch *l, int micro, int micros, const CudaCode *code, CUdeviceptr *draw, bool timed)
{
    Bound b;
    cuda_bind(d, &b, l, &t->layout, record_of(t, micro), result_of(t, micro), NULL, draw);
    if (t->image_bytes) {
        int input = d->set.set.input;
        CUdeviceptr images = t->images + (CUdeviceptr)((size_t)micro * t->image_bytes);
        cuda_gather(d, images, record_of(t, micro) + t->layout.in[input], t->program->input[input].shape.size[0]);
        b.in[input] = (float *)(uintptr_t)images;
    }
    cuda_segment(d, code, &b, record_of(t, micro), timed);
    CUdeviceptr grad = (uintptr_t)b.l.grad;
    if (micros > 1 && !micro) CU(d, copy(t->sum, grad, flat_bytes(d), d->work));
    else if (micros > 1) cuda_add(d, t->sum, grad, d->plan->param_elements);
    cuda_bound_free(&b);
}

static void update_kernels(Device *d, CudaSteps *t, const Launch *l, int micros, const CudaCode *code, bool timed)
{
    Bound b;
    cuda_bind(d, &b, l, &t->layout, t->record, t->result, NULL, NULL);
    CUdeviceptr grad = cuda_flat(d, l->grad, true);
    CU(d, fill8(t->result, 0, sizeof(uint64_t), d->work));
    if (micros > 1) cuda_scale(d, grad, t->sum, d->plan->param_elements, 1.0f / (float)micros);
    cuda_count_bad(d, grad, d->plan->param_elements, t->result);
    /* The scalar is compared with 0: the count's lower half will do, whatever number its bits are. */
    if (l->overflow >= 0) CU(d, copy(t->record + CUDA_NOW_SCALARS + 4 * (size_t)l->overflow, t->result, 4, d->work));
    cuda_segment(d, code, &b, t->record, timed);
    cuda_bound_free(&b);
}

static uint64_t signature(Device *d, const CudaSteps *t, const Launch *l, int micros)
{
    uint64_t h = hash64(t->key, (size_t)t->program->segment[0].n_draws * sizeof *t->key, (uint64_t)micros);
    uint64_t fixed[] = {d->arena, d->workspace, t->record, t->result, t->sum, cuda_flat(d, l->grad, true), (uint64_t)(l->overflow + 1), cuda_gemm_memory(d), t->images};
    h = hash64(fixed, sizeof fixed, h);
    for (int i = 0; i < d->plan->n_sets; i++) h = hash64(&(CUdeviceptr){cuda_flat(d, l->set[i], true)}, sizeof(CUdeviceptr), h);
    for (int i = 0; i < d->plan->n_states; i++) h = hash64(&(CUdeviceptr){cuda_flat(d, l->state[i], true)}, sizeof(CUdeviceptr), h);
    return h;
}

typedef struct { const Launch *l; int micros; const CudaCode *code; } Update;
static void queue_update(Device *d, const void *work)
{
    const Update *u = work;
    CudaSteps *t = d->steps;
    for (int i = 0; i < u->micros; i++) micro_kernels(d, t, &t->micro, i, u->micros, u->code, NULL, false);
    update_kernels(d, t, u->l, u->micros, u->code, false);
}

static void launch_update(Device *d, CudaSteps *t, const Launch *l, int micros, const CudaCode *code)
{
    uint64_t sign = signature(d, t, l, micros);      /* brings flat arrays up to date as well: nothing may be copied while capturing */
    Update u = {l, micros, code};
    d->at.segment = NULL;
    if (d->check || (int64_t)micros * t->program->segment[0].n_steps > CUDA_GRAPH_LAUNCHES) queue_update(d, &u);
    else cuda_graph(d, &t->graph, sign, "an update", queue_update, &u);
}

/* ---- DeviceMemory ---- */
static const CudaCode *code_of(Device *d, const PlanProgram *p, bool with_draws)
{
    const CudaCode *c = cuda_code(d, p, with_draws);
    CHECK_BUG(c);
    return c;
}

static bool waits(const Launch *l) { return l->time || l->draw; }

void cuda_micro(Device *d, const Launch *l, int micro)
{
    CudaSteps *t = steps_of(d, l->program);
    Slot *s = &t->slot[t->current];
    const PlanSegment *g = l->segment;
    if (!micro) {
        finish(d, s);
        t->at_once = 0;
    }
    if (micro >= t->cap) grow(d, t, micro + 1);
    if (micro == 1 && !t->sum) t->sum = cuda_alloc(d, flat_bytes(d), "the sum of gradients");
    d->at.update = l->step, d->at.updates = 1;
    CHECK_BUG(!t->image_bytes == !l->numbers);
    cuda_record(d, &t->layout, l, s->record + record_bytes(t, micro));
    t->micro = *l;
    memcpy(t->key, l->key, (size_t)g->n_draws * sizeof *t->key);
    t->micro.key = t->key;
    t->micro.in = NULL, t->micro.numbers = NULL, t->micro.draw = NULL, t->micro.time = NULL, t->micro.scalar = NULL;
    if (!waits(l)) return;
    /* At once, and waited for: timed, or with draws that the caller lends for this call only. Earlier ones that were left come first. */
    if (!t->sum) t->sum = cuda_alloc(d, flat_bytes(d), "the sum of gradients");
    CUdeviceptr *draw = l->draw ? xcalloc((size_t)g->n_draws + 1, sizeof *draw) : NULL;
    for (int i = 0; draw && i < g->n_draws; i++) {
        size_t n = 4 * (size_t)(g->draw[i].rows * g->draw[i].per_row);
        draw[i] = cuda_alloc(d, n, "replaced draws");
        CU(d, to_device(draw[i], l->draw[i], n, d->work));
    }
    for (int i = t->at_once; i <= micro; i++) {
        CU(d, to_device(record_of(t, i), s->record + record_bytes(t, i), t->layout.in_bytes, d->work));
        micro_kernels(d, t, &t->micro, i, 2, code_of(d, l->program, l->draw != NULL), draw, l->time && i == micro);
    }
    t->at_once = micro + 1;
    cuda_wait(d, "running a micro-batch");
    if (l->time) cuda_times(d, g, l->time);
    for (int i = 0; draw && i < g->n_draws; i++) cuda_release(d, draw[i], 4 * (size_t)(g->draw[i].rows * g->draw[i].per_row));
    free(draw);
}

void cuda_update(Device *d, const Launch *l, int micros)
{
    CudaSteps *t = d->steps;
    Slot *s = &t->slot[t->current];
    const CudaCode *code = cuda_code(d, l->program, false);
    if (!code) code = code_of(d, l->program, true);
    s->step = l->step;
    s->micros = micros;
    d->at.update = l->step, d->at.updates = 1;
    cuda_record(d, NULL, l, s->record);
    if (t->at_once) {
        CHECK_BUG(t->at_once == micros);
        CU(d, to_device(t->record, s->record, t->now_bytes, d->work));
        update_kernels(d, t, l, micros, code, l->time != NULL);
    } else {
        d->at.doing = "copying the inputs";
        CU(d, to_device(s->staged, s->record, record_bytes(t, micros), d->copies));
        CU(d, event_record(s->copied, d->copies));
        CU(d, stream_wait(d->work, s->copied, 0));
        CU(d, copy(t->record, s->staged, record_bytes(t, micros), d->work));
        launch_update(d, t, l, micros, code);
    }
    d->at.doing = "copying the results";
    CU(d, to_host(s->result, t->result, result_bytes(t, micros), d->work));
    CU(d, event_record(s->done, d->work));
    s->busy = true;
    if (l->time || t->at_once) finish(d, s);
    if (l->time) cuda_times(d, l->segment, l->time);
    t->current = (t->current + 1) % SLOTS;
}

int64_t cuda_results(Device *d, uint64_t step, int micro, float *const *out)
{
    CudaSteps *t = d->steps;
    Slot *s = NULL;
    for (int i = 0; t && i < SLOTS; i++) if (t->slot[i].micros && t->slot[i].step == step) s = &t->slot[i];
    CHECK_BUG(s && micro >= 0 && micro < s->micros);
    finish(d, s);
    const PlanProgram *p = t->program;
    const char *from = s->result + result_bytes(t, micro);
    for (int i = 0; i < p->n_outputs; i++)
        if (t->layout.out[i] != SIZE_MAX) memcpy(out[i], from + t->layout.out[i], 4 * (size_t)shape_elements(&p->output[i].shape));
    uint64_t bad;
    memcpy(&bad, s->result, sizeof bad);
    return (int64_t)bad;
}

void cuda_steps_close(Device *d)
{
    CudaSteps *t = d->steps;
    if (!t) return;
    cuda_graph_drop(d, &t->graph);
    for (int i = 0; i < SLOTS; i++) {
        Slot *s = &t->slot[i];
        CU(d, host_free(s->record));
        CU(d, host_free(s->result));
        cuda_release(d, s->staged, record_bytes(t, t->cap));
        CU(d, event_destroy(s->copied));
        CU(d, event_destroy(s->done));
    }
    cuda_release(d, t->record, record_bytes(t, t->cap));
    cuda_release(d, t->result, result_bytes(t, t->cap));
    cuda_release(d, t->sum, flat_bytes(d));
    cuda_release(d, t->images, (size_t)t->cap * t->image_bytes);
    free(t->layout.in);
    free(t->layout.out);
    free(t->key);
    free(t);
    d->steps = NULL;
}
