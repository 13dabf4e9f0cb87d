/* Plain matrix products of a plan by cuBLASLt, where that is faster than the plan's kernel, or everywhere (docs/gemm.md).
   For each product of a program, before any of it runs: up to CANDIDATES algorithms of the library and the kernel are timed on made-up numbers in the
   arena; the choice is kept (gemm_choice.h). Algorithms whose partial sums meet in atomics are not asked for, so two runs give the same bits.
   Assumes the arena's contents are void when a program is prepared. */
#include "runtime/cuda_device.h"
#include "runtime/gemm_choice.h"

enum { CANDIDATES = 8, REPEATS = 5, WORKSPACE = 32 << 20, WORKSPACE_SMALL = 8 << 20, ALIGN = 256, SPARE = 64 << 20 };
static const uint8_t SOME = 0x3f;                    /* every byte of the numbers timed on: 0.75 in f32 and bf16, 1.8 in f16 */
static const double MARGIN = 0.97;                   /* of the kernel's time: a tie is the kernel's */

struct CudaGemm {
    const PlanProduct *p;
    LtDesc desc;
    LtLayout a, b, d;
    LtAlgo algo;
    int bytes_ab, bytes_d;                           /* of an element */
};

struct CudaProducts {
    GemmMode mode;
    char *file;
    bool opened;
    const CublasLt *lt;                              /* NULL: there is none */
    LtHandle handle;
    char *library;
    GemmBook *book;
    CUdeviceptr workspace, rounded;                  /* rounded: operands that are rounded first, a then b */
    size_t most, rounded_bytes;                      /* most: bytes of the workspace */
};

static const struct { int type; int bytes; } TYPE[N_NUMBERS] = {
    [NUM_F32] = {LT_R_32F, 4}, [NUM_TF32] = {LT_R_32F, 4}, [NUM_BF16] = {LT_R_16BF, 2}, [NUM_F16] = {LT_R_16F, 2},
};

/* ---- the library ---- */
static size_t aligned(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

#define LT(t, call_) lt_check((t), (t)->lt->call_)
static void lt_check(const CudaProducts *t, LtStatus s)
{
    if (s != LT_OK) machine_error("%s refused a matrix product: %s (%d); --gemm own runs the plan's kernels instead", t->library, t->lt->status_name(s), s);
}

static CudaProducts *products_of(Device *d)
{
    if (!d->products) d->products = xcalloc(1, sizeof *d->products);
    return d->products;
}

void cuda_gemm_mode(Device *d, int mode, const char *file)
{
    CudaProducts *t = products_of(d);
    char *why;
    CHECK_BUG(!t->opened);
    t->mode = (GemmMode)mode;
    if (t->mode == GEMM_LT && !cublaslt(&why))
        machine_error("--gemm lt: %s; --gemm auto runs the plan's kernels where it is missing", why);
    free(t->file);
    t->file = file ? xstrdup(file) : NULL;
}

static void no_library(const CudaProducts *t, const char *why)
{
    if (t->file && gemm_file_has_lt(t->file))
        warn("%s says that cuBLASLt computed some matrix products of this run, but there is %s: the plan's kernels do, and the run's bits will not be those it "
             "would have had", t->file, why);
    else fprintf(stderr, "matrix products run as the plan's kernels: %s; --gemm own does not look for it\n", why);
}

/* Once: the library, its workspace, the choices made before. */
static bool open_library(Device *d)
{
    CudaProducts *t = products_of(d);
    char *why;
    size_t left = 0, total = 0;
    if (t->opened) return t->lt != NULL;
    t->opened = true;
    const CublasLt *lt = cublaslt(&why);
    t->most = atoi(d->arch + strlen("sm_")) < 90 ? WORKSPACE_SMALL : WORKSPACE;
    d->at.doing = "asking for its memory";
    CU(d, memory_info(&left, &total));
    if (lt && left < t->most + cuda_to_come(d) + SPARE) {
        why = xasprintf("%.0f MB of its memory are free, which is too little for cuBLASLt's workspace", (double)left / 1048576);
        lt = NULL;
    }
    if (!lt) no_library(t, why);
    free(why);
    if (!lt) return false;
    t->lt = lt;
    t->library = xasprintf("cuBLASLt %zu", lt->version());
    LT(t, create(&t->handle));
    t->workspace = cuda_alloc(d, t->most, "cuBLASLt's workspace");
    char *device = xasprintf("%s (%s)", d->name, d->arch);
    t->book = gemm_book_open(t->file, t->library, device);
    free(device);
    return true;
}

/* ---- one product ---- */
static LtLayout layout(const CudaProducts *t, int type, const PlanMatrix *x, int64_t rows, int64_t columns, int64_t batch)
{
    LtLayout y;
    int32_t count = (int32_t)batch;
    LT(t, layout_create(&y, type, (uint64_t)(x->transposed ? columns : rows), (uint64_t)(x->transposed ? rows : columns), x->ld));
    if (batch == 1) return y;
    LT(t, layout_set(y, LT_LAYOUT_BATCH_COUNT, &count, sizeof count));
    LT(t, layout_set(y, LT_LAYOUT_BATCH_OFFSET, &x->stride, sizeof x->stride));
    return y;
}

static CudaGemm *describe(const CudaProducts *t, const PlanProduct *p, Number stored)
{
    CudaGemm *g = xcalloc(1, sizeof *g);
    int32_t transposed = LT_OP_T, epilogue = LT_EPILOGUE_BIAS, type_d = TYPE[stored].type;
    g->p = p;
    g->bytes_ab = TYPE[p->number].bytes, g->bytes_d = TYPE[stored].bytes;
    LT(t, desc_create(&g->desc, p->number == NUM_TF32 ? LT_COMPUTE_32F_TF32 : LT_COMPUTE_32F, LT_R_32F));
    if (p->a.transposed) LT(t, desc_set(g->desc, LT_DESC_TRANSA, &transposed, sizeof transposed));
    if (p->b.transposed) LT(t, desc_set(g->desc, LT_DESC_TRANSB, &transposed, sizeof transposed));
    if (p->bias >= 0) {
        LT(t, desc_set(g->desc, LT_DESC_EPILOGUE, &epilogue, sizeof epilogue));
        LT(t, desc_set(g->desc, LT_DESC_BIAS_TYPE, &type_d, sizeof type_d));
    }
    g->a = layout(t, TYPE[p->number].type, &p->a, p->m, p->k, p->batch);
    g->b = layout(t, TYPE[p->number].type, &p->b, p->k, p->n, p->batch);
    g->d = layout(t, type_d, &p->d, p->m, p->n, p->batch);
    return g;
}

static void forget(const CudaProducts *t, CudaGemm *g)
{
    if (!g) return;
    LT(t, layout_destroy(g->a));
    LT(t, layout_destroy(g->b));
    LT(t, layout_destroy(g->d));
    LT(t, desc_destroy(g->desc));
    free(g);
}

static CUdeviceptr address(float *const *buf, const PlanMatrix *x, int bytes)
{
    return (CUdeviceptr)(uintptr_t)buf[x->buffer] + (CUdeviceptr)(x->offset * bytes);
}

static size_t rounded_bytes(const PlanMatrix *x, int bytes)
{
    return x->round == NUM_F32 ? 0 : aligned((size_t)x->extent * (size_t)bytes);
}

/* The operand itself, or its elements rounded, in the same places. */
static CUdeviceptr operand(Device *d, const CudaGemm *g, const PlanMatrix *x, float *const *buf, CUdeviceptr rounded)
{
    if (x->round == NUM_F32) return address(buf, x, g->bytes_ab);
    cuda_round(d, rounded, address(buf, x, 4), x->extent, x->round);
    return rounded;
}

/* bias: address of its buffer. */
static LtStatus set_bias(const CudaProducts *t, const CudaGemm *g, const float *bias)
{
    CUdeviceptr at = (CUdeviceptr)(uintptr_t)bias + (CUdeviceptr)(g->p->bias_offset * g->bytes_d);
    return t->lt->desc_set(g->desc, LT_DESC_BIAS_POINTER, &at, sizeof at);
}

/* All instances of a step, with the algorithm given. buf: addresses of the segment's buffers. */
static LtStatus multiply(Device *d, const CudaGemm *g, const LtAlgo *algo, const PlanStep *s, float *const *buf)
{
    const CudaProducts *t = d->products;
    const PlanProduct *p = g->p;
    int each = s->n_buffers / s->instances;
    const float alpha = (float)p->alpha, beta = 0;
    float **own = xmalloc((size_t)each * sizeof *own);
    LtStatus r = LT_OK;
    for (int i = 0; i < s->instances && r == LT_OK; i++) {
        for (int k = 0; k < each; k++) own[k] = buf[s->buffer[i * each + k]];
        CUdeviceptr to = address(own, &p->d, g->bytes_d);
        CUdeviceptr a = operand(d, g, &p->a, own, t->rounded), b = operand(d, g, &p->b, own, t->rounded + rounded_bytes(&p->a, g->bytes_ab));
        if (p->bias >= 0) r = set_bias(t, g, own[p->bias]);
        if (r == LT_OK)
            r = t->lt->matmul(t->handle, g->desc, &alpha, a, g->a, b, g->b, &beta, to, g->d, to, g->d, algo, t->workspace, t->most, d->work);
    }
    free(own);
    return r;
}

void cuda_gemm_run(Device *d, const CudaGemm *g, const PlanStep *s, float *const *buf)
{
    lt_check(d->products, multiply(d, g, &g->algo, s, buf));
    if (d->check) CU(d, stream_sync(d->work));
}

/* ---- choosing ---- */
/* The largest power of two, at most ALIGN, that divides the addresses of a matrix in all instances: flat arrays, records and the arena are aligned. */
static int alignment(const PlanSegment *g, const PlanStep *s, const PlanMatrix *x, int bytes)
{
    int each = s->n_buffers / s->instances;
    int64_t all = ALIGN;
    for (int i = 0; i < s->instances && x->round == NUM_F32; i++)
        all |= 4 * g->buffer[s->buffer[i * each + x->buffer]].offset | x->offset * bytes;
    return (int)(all & -all);
}

static void put_matrix(StrBuf *b, const char *name, const PlanMatrix *x, int align)
{
    sb_printf(b, ", %s ld %lld", name, (long long)x->ld);
    if (x->stride) sb_printf(b, " stride %lld", (long long)x->stride);
    if (x->transposed) sb_puts(b, " transposed");
    if (x->round != NUM_F32) sb_puts(b, " rounded");
    sb_printf(b, " aligned %d", align);
}

/* What a choice depends on, besides library and device. */
static char *key_of(const CudaGemm *g, const PlanKernel *k, const PlanStep *s, const int *align)
{
    const PlanProduct *p = g->p;
    StrBuf b = {0};
    sb_printf(&b, "%lld x %lld x %lld", (long long)p->m, (long long)p->n, (long long)p->k);
    if (p->batch > 1) sb_printf(&b, ", batch %lld", (long long)p->batch);
    sb_printf(&b, ", %s to %s", number_info[p->number].name, g->bytes_d == 4 ? "f32" : number_info[p->number].name);
    put_matrix(&b, "a", &p->a, align[0]);
    put_matrix(&b, "b", &p->b, align[1]);
    put_matrix(&b, "d", &p->d, align[2]);
    if (p->bias >= 0) sb_puts(&b, ", bias");
    sb_printf(&b, "; %d of kernel %s of ectc %s", s->instances, k->name, ECT_VERSION);
    return b.s;
}

static int candidates(const CudaProducts *t, const CudaGemm *g, const int *align, LtResult *r)
{
    static const int ATTRIBUTE[] = {LT_PREFER_ALIGNMENT_A, LT_PREFER_ALIGNMENT_B, LT_PREFER_ALIGNMENT_D, LT_PREFER_ALIGNMENT_C};
    LtPreference q;
    uint64_t workspace = t->most;
    uint32_t reductions = LT_REDUCE_COMPUTE_TYPE;
    int n = 0, kept = 0;
    LT(t, preference_create(&q));
    LT(t, preference_set(q, LT_PREFER_WORKSPACE, &workspace, sizeof workspace));
    LT(t, preference_set(q, LT_PREFER_REDUCTIONS, &reductions, sizeof reductions));
    for (size_t i = 0; i < COUNT(ATTRIBUTE); i++) {
        uint32_t bytes = (uint32_t)align[MIN(i, (size_t)2)];
        LT(t, preference_set(q, ATTRIBUTE[i], &bytes, sizeof bytes));
    }
    LtStatus s = t->lt->heuristic(t->handle, g->desc, g->a, g->b, g->d, g->d, q, CANDIDATES, r, &n);
    LT(t, preference_destroy(q));
    for (int i = 0; i < n && s == LT_OK; i++) {      /* the mask is a wish; this is what two runs rely on */
        uint32_t scheme = LT_REDUCE_INPLACE;
        size_t written;
        if (r[i].state == LT_OK && t->lt->algo_get(&r[i].algo, LT_ALGO_REDUCTION, &scheme, sizeof scheme, &written) == LT_OK && !(scheme & LT_REDUCE_INPLACE))
            r[kept++] = r[i];
    }
    return kept;
}

/* Microseconds of a run, algo NULL: of the plan's kernel; 1e30 where it does not run. */
static double timed(Device *d, const CudaGemm *g, const LtAlgo *algo, const CudaCode *c, const PlanStep *s, CUdeviceptr now)
{
    float ms = 0;
    for (int i = 0; i <= REPEATS; i++) {
        if (i == 1) CU(d, event_record(d->event[0], d->work));
        if (!algo) cuda_launch_step(d, c, s, now);
        else if (multiply(d, g, algo, s, d->buf) != LT_OK) return 1e30;
    }
    CU(d, event_record(d->event[1], d->work));
    d->at.doing = "timing matrix products";
    CU(d, stream_sync(d->work));
    CU(d, event_elapsed(&ms, d->event[0], d->event[1]));
    return 1e3 * (double)ms / REPEATS;
}

/* Where the step's buffers lie while it is timed: in the arena where they are, the others in memory made for it, behind the values of a step. Returns
   its address. */
static CUdeviceptr place(Device *d, const PlanSegment *g, const PlanStep *s, size_t *bytes)
{
    *bytes = cuda_now_bytes(d->plan);
    for (int i = 0; i < s->n_buffers; i++)
        if (g->buffer[s->buffer[i]].kind != BUF_ARENA) *bytes += aligned(4 * (size_t)g->buffer[s->buffer[i]].elements);
    CUdeviceptr made = cuda_alloc(d, *bytes, "timing matrix products"), at = made + cuda_now_bytes(d->plan);
    CU(d, fill8(made, SOME, *bytes, d->work));
    if (g->n_buffers > d->n_buf) d->buf = xrealloc(d->buf, (size_t)(d->n_buf = g->n_buffers) * sizeof *d->buf);
    for (int i = 0; i < s->n_buffers; i++) {
        const PlanBuffer *b = &g->buffer[s->buffer[i]];
        bool arena = b->kind == BUF_ARENA;
        d->buf[s->buffer[i]] = (float *)(uintptr_t)(arena ? d->arena + 4 * (CUdeviceptr)b->offset : at);
        if (!arena) at += aligned(4 * (size_t)b->elements);
    }
    return made;
}

static void time_all(Device *d, CudaGemm *g, const int *align, const CudaCode *c, const PlanStep *s, CUdeviceptr now, GemmChoice *choice)
{
    LtResult r[CANDIDATES];
    int n = candidates(d->products, g, align, r);
    *choice = (GemmChoice){.own_us = timed(d, g, NULL, c, s, now), .lt_us = 1e30};
    for (int i = 0; i < n; i++) {
        double us = timed(d, g, &r[i].algo, c, s, now);
        if (us >= choice->lt_us) continue;
        choice->there = true;
        choice->lt_us = us, choice->algo = r[i].algo, choice->workspace = r[i].workspace;
    }
    choice->lt = choice->there && choice->lt_us < MARGIN * choice->own_us;
}

/* Is what was chosen before still possible? */
static bool usable(const CudaProducts *t, const CudaGemm *g, const GemmChoice *c)
{
    LtResult r;
    if (!c->there) return true;
    return c->workspace <= t->most && t->lt->algo_check(t->handle, g->desc, g->a, g->b, g->d, g->d, &c->algo, &r) == LT_OK && r.workspace <= t->most;
}

/* The step's product by the library, or NULL: by the plan's kernel. */
static CudaGemm *choose(Device *d, const CudaCode *c, const PlanSegment *seg, const PlanStep *s, int *n_timed)
{
    CudaProducts *t = d->products;
    const PlanKernel *k = &d->plan->kernel[s->kernel];
    const PlanProduct *p = k->product;
    CudaGemm *g = describe(t, p, seg->buffer[s->buffer[p->d.buffer]].type);
    int align[] = {alignment(seg, s, &p->a, g->bytes_ab), alignment(seg, s, &p->b, g->bytes_ab), alignment(seg, s, &p->d, g->bytes_d)};
    char *key = key_of(g, k, s, align);
    GemmChoice choice;
    size_t bytes;
    CUdeviceptr made = place(d, seg, s, &bytes);
    if (p->bias >= 0) lt_check(t, set_bias(t, g, d->buf[s->buffer[p->bias]]));         /* without one there may be other algorithms */
    bool known = gemm_book_find(t->book, key, &choice);
    if (known && !usable(t, g, &choice)) {
        warn("%s does not take the algorithm that was chosen for %s: it is chosen anew, and the run's bits may not be those it would have had", t->library, key);
        known = false;
    }
    if (!known) {
        time_all(d, g, align, c, s, made, &choice);
        gemm_book_put(t->book, key, &choice);
        ++*n_timed;
    }
    bool lt = choice.there && (choice.lt || t->mode == GEMM_LT);
    g->algo = choice.algo;
    if (lt && known) lt_check(t, multiply(d, g, &g->algo, s, d->buf));          /* loads its code, which must not happen while a graph is captured */
    cuda_wait(d, "trying matrix products");
    cuda_release(d, made, bytes);
    free(key);
    if (lt) return g;
    forget(t, g);
    return NULL;
}

/* Room for the operands that are rounded, of any step. */
static void reserve(Device *d, const PlanProgram *p)
{
    CudaProducts *t = d->products;
    size_t n = 0;
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_steps; k++) {
            const PlanProduct *x = d->plan->kernel[p->segment[i].step[k].kernel].product;
            if (x) n = MAX(n, rounded_bytes(&x->a, TYPE[x->number].bytes) + rounded_bytes(&x->b, TYPE[x->number].bytes));
        }
    if (n <= t->rounded_bytes) return;
    cuda_release(d, t->rounded, t->rounded_bytes);
    t->rounded = cuda_alloc(d, t->rounded_bytes = n, "operands of matrix products");
}

CudaGemm ***cuda_gemm_choose(Device *d, const CudaCode *c)
{
    const PlanProgram *p = c->program;
    CudaProducts *t = products_of(d);
    int products = 0, n_timed = 0, by_lt = 0;
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_steps; k++) products += d->plan->kernel[p->segment[i].step[k].kernel].product != NULL;
    if (!products || t->mode == GEMM_OWN || !open_library(d)) return NULL;
    reserve(d, p);
    cuda_events(d, 2);
    if (d->arena) CU(d, fill8(d->arena, SOME, d->arena_bytes, d->work));
    CudaGemm ***v = xcalloc((size_t)p->n_segments, sizeof *v);
    for (int i = 0; i < p->n_segments; i++) {
        v[i] = xcalloc((size_t)p->segment[i].n_steps + 1, sizeof *v[i]);
        for (int k = 0; k < p->segment[i].n_steps; k++) {
            const PlanStep *s = &p->segment[i].step[k];
            if (d->plan->kernel[s->kernel].product) by_lt += (v[i][k] = choose(d, c, &p->segment[i], s, &n_timed)) != NULL;
        }
    }
    if (d->arena) CU(d, fill8(d->arena, 0, d->arena_bytes, d->work));
    cuda_wait(d, "clearing memory");
    gemm_book_write(t->book);
    if (n_timed) fprintf(stderr, "timed %d matrix products: %s computes %d of the %d of %s\n", n_timed, t->library, by_lt, products, p->name);
    return v;
}

CUdeviceptr cuda_gemm_memory(const Device *d) { return d->products ? d->products->rounded : 0; }

void cuda_gemm_free(Device *d, const PlanProgram *p, CudaGemm ***v)
{
    for (int i = 0; v && i < p->n_segments; i++) {
        for (int k = 0; k < p->segment[i].n_steps; k++) forget(d->products, v[i][k]);
        free(v[i]);
    }
    free(v);
}

void cuda_gemm_close(Device *d)
{
    CudaProducts *t = d->products;
    if (!t) return;
    if (t->lt) LT(t, destroy(t->handle));
    cuda_release(d, t->workspace, t->most);
    cuda_release(d, t->rounded, t->rounded_bytes);
    gemm_book_free(t->book);
    free(t->library);
    free(t->file);
    free(t);
}
