/* A CUDA driver for tests: the functions of cuda_driver.h on memory of the host, found through ECT_CUDA_PATH as libcuda.so.1.
   Streams are as lazy as the rules allow: an operation happens only when the host waits for it, so whatever reads or reuses memory too early gets
   wrong values. Addresses are checked: a kernel that is given any other memory than the device's faults. Kernels are the plan's C kernels
   (kernels.h), or without ECT_MOCK_KERNELS their CUDA texts, which the mock NVRTC passes on, run by the emulator of cuda-emu. Assumes one thread.

   ECT_MOCK_KERNELS=FILE.so  what kernels do
   ECT_MOCK_STATS=FILE       counts, one a line, when the process ends
   ECT_MOCK_MEMORY=BYTES     of the device (default 1 GiB)
   ECT_MOCK_FAIL=WHAT:NAME   launch, fault, hang: whenever the kernel of that name is launched or runs; hang: it never ends
   ECT_MOCK_FAIL=WHAT:N      alloc: the Nth allocation finds no memory; launch: the Nth launch is refused; fault, lost: the Nth kernel that runs
                             does it, noticed when the host waits; nodevice, version, start: at the beginning (no N) */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "runtime/cuda_driver.h"
#include "runtime/emu.h"
#include "tests/mock/kernels.h"

#define API __attribute__((visibility("default"))) CUresult
typedef enum { COPY, FILL, LAUNCH, RECORD, WAIT, CALL } Kind;
typedef struct {
    Kind kind;
    void *to; const void *from; size_t n; int value; bool from_host, to_host;
    CUevent event; unsigned long generation;
    CUfunction f; CudaLaunchConfig at; uint64_t *words;
    CUresult (*call)(const void *);                  /* CALL: with words, of which there are n */
} Op;
typedef struct { Op *v; int n, cap; } Ops;
struct CUgraph_st { Ops ops; };
struct CUgraphExec_st { Ops ops; };
struct CUevent_st { unsigned long recorded, done; double ms; CUstream stream; };
struct CUstream_st { Ops ops; int at; bool running; CUgraph capture; };
struct CUkern_st { const MockKernel *kernel; EmuCode *emu; size_t words; char name[256]; unsigned shared; };
typedef struct { char *p; size_t n; } Block;

static struct {
    long kernels, launches, captures, graph_launches, waits, useful_waits, allocations, to_device, to_host, refused, in_capture, open, frees;
} count;
static Block *block;
static int n_blocks, cap_blocks;
static size_t held;
static CUresult sticky;
static const MockKernel *table;
static char fail_kind[32];
static long fail_at;
static const char *fail_name = "";

static void put_stats(void)
{
    const char *path = getenv("ECT_MOCK_STATS");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f) return;
    fprintf(f, "kernels %ld\nlaunches %ld\ncaptures %ld\ngraph_launches %ld\nwaits %ld\nuseful_waits %ld\nallocations %ld\nto_device %ld\nto_host %ld\n"
               "left %d\n", count.kernels, count.launches, count.captures, count.graph_launches, count.waits, count.useful_waits, count.allocations,
            count.to_device, count.to_host, n_blocks);
    fclose(f);
}

__attribute__((constructor)) static void start(void)
{
    const char *fail = getenv("ECT_MOCK_FAIL"), *kernels = getenv("ECT_MOCK_KERNELS");
    if (fail) sscanf(fail, "%31[a-z]:%ld", fail_kind, &fail_at);
    if (fail && strchr(fail, ':')) fail_name = strchr(fail, ':') + 1;
    void *lib = kernels ? dlopen(kernels, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (kernels && !lib) fprintf(stderr, "mock driver: %s\n", dlerror());
    table = lib ? (const MockKernel *)dlsym(lib, "mock_kernels") : NULL;
    atexit(put_stats);
}
static bool fails(const char *kind, long n) { return !strcmp(fail_kind, kind) && n == fail_at; }
static bool fails_at(const char *kind, long n, const char *name) { return fails(kind, n) || (!strcmp(fail_kind, kind) && !strcmp(fail_name, name)); }
static CUresult before(const char *name)
{
    if (fails_at("fault", count.kernels, name)) return CU_ILLEGAL_ADDRESS;
    if (fails_at("hang", count.kernels, name)) for (;;) pause();
    return fails("lost", count.kernels) ? CU_ECC_UNCORRECTABLE : CU_OK;
}

/* ---- memory ---- */
static size_t total_memory(void)
{
    const char *v = getenv("ECT_MOCK_MEMORY");
    return v ? strtoull(v, NULL, 10) : (size_t)1 << 30;
}
static Block *block_of(const void *p, size_t n)
{
    for (int i = 0; i < n_blocks; i++)
        if ((const char *)p >= block[i].p && (const char *)p + n <= block[i].p + block[i].n) return &block[i];
    return NULL;
}
API cuMemAlloc_v2(CUdeviceptr *p, size_t n)
{
    if (sticky) return sticky;
    if (count.open) return CU_CAPTURE_INVALIDATED;
    if (fails("alloc", ++count.allocations) || held + n > total_memory()) return CU_OUT_OF_MEMORY;
    Block b = {aligned_alloc(256, (n + 255) / 256 * 256), n};
    memset(b.p, 0xff, n);                            /* NaNs: nobody may count on zeros */
    if (n_blocks == cap_blocks) block = realloc(block, (size_t)(cap_blocks = cap_blocks ? 2 * cap_blocks : 64) * sizeof *block);
    block[n_blocks++] = b;
    held += n;
    *p = (uintptr_t)b.p;
    return CU_OK;
}
static void drain(CUstream s, int until);
static CUstream all_streams[64];
static int n_streams;
static void drain_all(void) { for (int i = 0; i < n_streams; i++) drain(all_streams[i], all_streams[i]->ops.n); }
API cuMemFree_v2(CUdeviceptr p)
{
    drain_all();                                     /* as the real one: it waits */
    for (int i = 0; i < n_blocks; i++)
        if (block[i].p == (char *)(uintptr_t)p) {
            held -= block[i].n;
            free(block[i].p);
            block[i] = block[--n_blocks];
            return CU_OK;
        }
    return CU_INVALID_VALUE;
}
API cuMemGetInfo_v2(size_t *left, size_t *total)
{
    *total = total_memory();
    *left = *total - held;
    return CU_OK;
}
API cuMemHostAlloc(void **p, size_t n, unsigned flags)
{
    (void)flags;
    *p = malloc(n);
    return *p ? CU_OK : CU_OUT_OF_MEMORY;
}
API cuMemFreeHost(void *p) { drain_all(); free(p); return CU_OK; }

/* ---- operations ---- */
static void push(Ops *o, Op op)
{
    if (o->n == o->cap) o->v = realloc(o->v, (size_t)(o->cap = o->cap ? 2 * o->cap : 64) * sizeof *o->v);
    o->v[o->n++] = op;
}
static CUresult queue(CUstream s, Op op)
{
    if (sticky) return sticky;
    push(s->capture ? &s->capture->ops : &s->ops, op);
    return CU_OK;
}
/* Kernels' own functions for it (runtime/kernel_prelude.h), so that operands are rounded as they round them. */
static CUresult run_round(const char *name, void *to, const float *from, int64_t n)
{
    bool tf32 = strstr(name, "tf32") != NULL, half = !tf32 && !strstr(name, "bf16");
    if (!block_of(from, 4 * (size_t)n) || !block_of(to, (tf32 ? 4 : 2) * (size_t)n)) return CU_ILLEGAL_ADDRESS;
    for (int64_t i = 0; i < n; i++) {
        if (tf32) ((float *)to)[i] = ect_tf32(from[i]);
        else if (half) ect_store_f16((ect_f16_t *)to + i, from[i]);
        else ect_store_bf16((ect_bf16_t *)to + i, from[i]);
    }
    return CU_OK;
}
static CUresult run_helper(const char *name, const uint64_t *w)
{
    if (!strcmp(name, "ect_rt_images")) {
        float *images = (float *)(uintptr_t)w[0];
        const uint32_t *numbers = (const uint32_t *)(uintptr_t)w[3];
        int64_t side_w = (int64_t)w[4], side_h = (int64_t)w[5], c = (int64_t)w[6], each = side_w * side_h * c, n = (int64_t)w[2] / each;
        if (!block_of(images, 4 * (size_t)w[2]) || !block_of(numbers, 4 * (size_t)n)) return CU_ILLEGAL_ADDRESS;
        for (int64_t i = 0; i < n; i++) {
            const uint8_t *from = (const uint8_t *)(uintptr_t)w[1] + numbers[i] / 2 * each;
            if (!block_of(from, (size_t)each)) return CU_ILLEGAL_ADDRESS;
            for (int64_t k = 0; k < c; k++)
                for (int64_t y = 0; y < side_h; y++)
                    for (int64_t x = 0; x < side_w; x++) *images++ = (float)from[(y * side_w + (numbers[i] & 1 ? side_w - 1 - x : x)) * c + k] / 127.5f - 1.0f;
        }
        return CU_OK;
    }
    if (strstr(name, "round")) return run_round(name, (void *)(uintptr_t)w[0], (const float *)(uintptr_t)w[1], (int64_t)w[2]);
    int64_t n = (int64_t)w[name[7] == 'b' ? 1 : 2];
    float *to = (float *)(uintptr_t)w[0], *from = (float *)(uintptr_t)w[1], scale;
    if (!block_of(to, 4 * (size_t)n)) return CU_ILLEGAL_ADDRESS;
    if (!strcmp(name, "ect_rt_bad")) {
        for (int64_t i = 0; i < n; i++) *(uint64_t *)(uintptr_t)w[2] += !(to[i] - to[i] == 0);
        return CU_OK;
    }
    memcpy(&scale, &w[3], sizeof scale);
    for (int64_t i = 0; i < n; i++) {
        if (!strcmp(name, "ect_rt_add")) to[i] += from[i];
        else to[i] = from[i] * scale;
    }
    return CU_OK;
}
static CUresult run_kernel(const Op *o)
{
    const CUkernel f = (CUkernel)o->f;
    const uint64_t *w = o->words;
    count.kernels++;
    CUresult bad = before(f->name);
    if (bad != CU_OK) return bad;
    if (!f->kernel) return run_helper(f->name, w);
    const MockKernel *k = f->kernel;
    const uint64_t *now = (const uint64_t *)(uintptr_t)w[0];
    if (!block_of(now, 20)) return CU_ILLEGAL_ADDRESS;
    int buffers = k->buffers * (int)o->at.grid_z;
    bool replaced = false;
    for (int i = 0; i < k->draws; i++) {
        const void *draw = (const void *)(uintptr_t)w[2 + k->draws + i];
        replaced |= draw != NULL;
        if (draw && !block_of(draw, 4)) return CU_ILLEGAL_ADDRESS;
    }
    for (int i = 0; i < buffers; i++) if (!block_of((const void *)(uintptr_t)w[2 + 2 * k->draws + i], 4)) return CU_ILLEGAL_ADDRESS;
    static void (*(*blas)(void))(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
    if (!blas) *(void **)&blas = dlsym(RTLD_DEFAULT, "blas_sgemm");
    char *scratch = aligned_alloc(64, (k->scratch + 127) / 64 * 64), *shared = aligned_alloc(64, (k->shared + 127) / 64 * 64);
    EctArgs a = {.buf = (float *const *)(const void *)&w[2 + 2 * k->draws], .scalar = (const float *)(now + 2), .key = (const ect_u64 *)&w[2],
                 .draw = (const float *const *)(const void *)&w[2 + k->draws], .step = now[0], .sample0 = now[1], .scratch = scratch,
                 .scratch_stride = (k->scratch + 63) / 64 * 64, .shared = shared, .threads = 1, .instances = (int)o->at.grid_z,
                 .sgemm = blas ? blas() : NULL};
    (replaced ? k->with_draws : k->plain)(&a);
    free(scratch);
    free(shared);
    return CU_OK;
}
/* The emulator's functions are the process's own. */
static struct {
    EmuCode *(*load)(const EmuSource *, int, const EmuOptions *);
    bool (*launch)(EmuCode *, const EmuLaunch *, char **);
    void (*begin)(const EmuCode *, EmuBuffer *, int), (*end)(void);
} emu;
static CUresult run_text(const Op *o)
{
    const CUkernel f = (CUkernel)o->f;
    EmuBuffer none[1] = {{0}};
    EmuLaunch l = {.entry = f->name, .grid = {o->at.grid_x, o->at.grid_y, o->at.grid_z}, .block = o->at.block_x, .shared = o->at.shared,
                   .args = o->words, .arg_bytes = f->words * sizeof *o->words, .seed = (uint64_t)count.kernels};
    char *finding = NULL;
    count.kernels++;
    CUresult bad = before(f->name);
    if (bad != CU_OK) return bad;
    emu.begin(f->emu, none, 0);
    bool good = emu.launch(f->emu, &l, &finding);
    emu.end();
    if (!good) fprintf(stderr, "mock driver: %s: %s\n", f->name, finding);
    return good ? CU_OK : CU_ILLEGAL_ADDRESS;
}
static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}
static CUresult perform(const Op *o)
{
    switch (o->kind) {
    case COPY:
        if ((!o->to_host && !block_of(o->to, o->n)) || (!o->from_host && !block_of(o->from, o->n))) return CU_ILLEGAL_ADDRESS;
        memmove(o->to, o->from, o->n);
        return CU_OK;
    case FILL:
        if (!block_of(o->to, o->n)) return CU_ILLEGAL_ADDRESS;
        memset(o->to, o->value, o->n);
        return CU_OK;
    case LAUNCH: return ((CUkernel)o->f)->emu ? run_text(o) : run_kernel(o);
    case CALL: return o->call(o->words);
    case RECORD:
        o->event->done = o->generation;
        o->event->ms = now_ms();
        return CU_OK;
    case WAIT:
        if (o->event->done < o->generation) drain(o->event->stream, o->event->stream->ops.n);
        return o->event->done < o->generation ? CU_UNKNOWN : CU_OK;
    }
    return CU_UNKNOWN;
}
/* Operations of a stream up to number `until`. */
static void drain(CUstream s, int until)
{
    if (s->running) return;
    s->running = true;
    for (; s->at < until && !sticky; s->at++) {
        sticky = perform(&s->ops.v[s->at]);
        free(s->ops.v[s->at].words);
    }
    if (s->at == s->ops.n) s->at = s->ops.n = 0;
    s->running = false;
}

/* ---- copies ---- */
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t n, CUstream s)
{
    count.to_device += (long)n;
    return queue(s, (Op){.kind = COPY, .to = (void *)(uintptr_t)to, .from = from, .n = n, .from_host = true});
}
API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t n, CUstream s)
{
    count.to_host += (long)n;
    return queue(s, (Op){.kind = COPY, .to = to, .from = (void *)(uintptr_t)from, .n = n, .to_host = true});
}
API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s)
{
    return queue(s, (Op){.kind = COPY, .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .n = n});
}
API cuMemsetD8Async(CUdeviceptr p, unsigned char v, size_t n, CUstream s)
{
    return queue(s, (Op){.kind = FILL, .to = (void *)(uintptr_t)p, .value = v, .n = n});
}

/* ---- streams, events ---- */
API cuStreamCreate(CUstream *s, unsigned flags)
{
    (void)flags;
    *s = calloc(1, sizeof **s);
    all_streams[n_streams++] = *s;
    return CU_OK;
}
API cuStreamDestroy_v2(CUstream s)
{
    for (int i = 0; i < n_streams; i++) if (all_streams[i] == s) all_streams[i] = all_streams[--n_streams];
    free(s->ops.v);
    free(s);
    return CU_OK;
}
API cuStreamSynchronize(CUstream s)
{
    if (s->capture) return CU_CAPTURE_INVALIDATED;
    count.waits++;
    count.useful_waits += s->at < s->ops.n;
    drain(s, s->ops.n);
    return sticky;
}
API cuEventCreate(CUevent *e, unsigned flags) { (void)flags; *e = calloc(1, sizeof **e); return CU_OK; }
API cuEventDestroy_v2(CUevent e) { free(e); return CU_OK; }
API cuEventRecord(CUevent e, CUstream s)
{
    e->stream = s;
    return queue(s, (Op){.kind = RECORD, .event = e, .generation = ++e->recorded});
}
API cuStreamWaitEvent(CUstream s, CUevent e, unsigned flags)
{
    (void)flags;
    return queue(s, (Op){.kind = WAIT, .event = e, .generation = e->recorded});
}
/* Only as far as the event: what was queued behind it stays undone. */
API cuEventSynchronize(CUevent e)
{
    count.waits++;
    if (sticky) return sticky;
    CUstream s = e->stream;
    if (e->done >= e->recorded) return CU_OK;
    count.useful_waits++;
    int until = s->at;
    while (until < s->ops.n && !(s->ops.v[until].kind == RECORD && s->ops.v[until].event == e && s->ops.v[until].generation == e->recorded)) until++;
    drain(s, until < s->ops.n ? until + 1 : until);
    return sticky;
}
API cuEventElapsedTime(float *ms, CUevent from, CUevent to)
{
    if (from->done < from->recorded || to->done < to->recorded) return CU_NOT_READY;
    *ms = (float)(to->ms - from->ms);
    return CU_OK;
}

/* ---- code ---- */
struct CUlib_st { EmuCode *emu; char *text; };
/* The number in `WORD[...]` of the argument struct, 0 when there is no such field. */
static size_t field(const char *text, const char *word)
{
    const char *at = strstr(text, "_args {"), *end = at ? strchr(at, '}') : NULL, *f = at ? strstr(at, word) : NULL;
    return f && f < end ? strtoul(f + strlen(word), NULL, 10) : 0;
}
/* Is it a text of a kernel that the table has? Others are run as they are. */
static bool in_table(const char *text)
{
    for (const MockKernel *t = table; t && t->name; t++) if (strstr(text, t->name)) return true;
    return false;
}
static EmuCode *load_text(const char *text)
{
    enum { ENTRIES = 8 };
    char names[ENTRIES][256];
    const char *entry[ENTRIES];
    int n = 0;
    for (const char *s = text; n < ENTRIES && (s = strstr(s, "__launch_bounds__(")); s++) {
        const char *name = strchr(s, ')');
        if (!name || sscanf(name + 1, " %255[A-Za-z0-9_](", names[n]) != 1) continue;
        entry[n] = names[n];
        n++;
    }
    if (!n) return NULL;
    if (!emu.load) {
        *(void **)&emu.load = dlsym(RTLD_DEFAULT, "emu_load");
        *(void **)&emu.launch = dlsym(RTLD_DEFAULT, "emu_launch");
        *(void **)&emu.begin = dlsym(RTLD_DEFAULT, "emu_begin");
        *(void **)&emu.end = dlsym(RTLD_DEFAULT, "emu_end");
    }
    EmuSource source = {.name = entry[0], .path = entry[0], .text = text, .entry = entry, .n_entries = n};
    return emu.load(&source, 1, &(EmuOptions){.prelude = ""});
}
API cuLibraryLoadData(CUlibrary *l, const void *code, int *jit, void **jit_values, unsigned n_jit, int *options, void **option_values, unsigned n_options)
{
    (void)jit, (void)jit_values, (void)options, (void)option_values;
    if (!code || n_jit || n_options) return CU_INVALID_VALUE;
    *l = calloc(1, sizeof **l);
    if (in_table(code) || strncmp(code, ".version", 8) == 0) return CU_OK;
    (*l)->text = strdup(code);
    (*l)->emu = load_text((*l)->text);
    return (*l)->emu ? CU_OK : CU_INVALID_IMAGE;
}
API cuLibraryUnload(CUlibrary l) { free(l->text); free(l); return CU_OK; }
API cuLibraryGetKernel(CUkernel *k, CUlibrary l, const char *name)
{
    const MockKernel *found = NULL;
    for (const MockKernel *t = table; t && t->name; t++) if (!strcmp(t->name, name)) found = t;
    if (!found && !l->emu && strncmp(name, "ect_rt_", 7)) return CU_NOT_FOUND;
    *k = calloc(1, sizeof **k);
    (*k)->emu = l->emu;
    if (l->emu) (*k)->words = 2 + 2 * field(l->text, "key[") + field(l->text, "buf[");
    (*k)->kernel = found;
    snprintf((*k)->name, sizeof (*k)->name, "%s", name);
    return CU_OK;
}
API cuKernelSetAttribute(int attribute, int v, CUkernel k, CUdevice d)
{
    (void)d;
    if (attribute != CU_FUNCTION_DYNAMIC_SHARED || v > 227 << 10) return CU_INVALID_VALUE;
    k->shared = (unsigned)v;
    return CU_OK;
}
API cuKernelGetFunction(CUfunction *f, CUkernel k) { *f = (CUfunction)k; return CU_OK; }
/* Arguments of a kernel, in words; the runtime's own have at most seven: four of 8 bytes, then of 4, but that of ect_rt_scale. */
static size_t words_of(CUkernel k)
{
    if (!k) return 0;
    if (k->emu) return k->words;
    return k->kernel ? 2 + 2 * (size_t)k->kernel->draws + (size_t)(k->kernel->buffers * k->kernel->instances) : 7;
}
API cuLaunchKernelEx(const CudaLaunchConfig *c, CUfunction f, void **parameters, void **extra)
{
    (void)extra;
    CUkernel k = (CUkernel)f;
    if (sticky) return sticky;
    if (fails_at("launch", ++count.launches, k->name)) return CU_OUT_OF_RESOURCES;
    if (!c->grid_x || !c->grid_y || !c->grid_z || !c->block_x || c->block_x * c->block_y * c->block_z > 1024
        || c->shared > (k->shared ? k->shared : 48u << 10)) return CU_INVALID_VALUE;
    size_t n = words_of(k);
    uint64_t *words = calloc(n, sizeof *words);      /* arguments are taken now, whenever the kernel runs */
    if (k->kernel || k->emu) memcpy(words, parameters[0], n * sizeof *words);
    else {
        bool images = !strcmp(k->name, "ect_rt_images");
        int count_of = images ? 7 : 3 + !strcmp(k->name, "ect_rt_scale");
        for (int i = 0; i < count_of; i++) memcpy(&words[i], parameters[i], i < 3 + images ? 8 : 4);
    }
    return queue(c->stream, (Op){.kind = LAUNCH, .f = f, .at = *c, .words = words});
}

/* ---- for libraries beside this driver (cublaslt.c) ---- */
/* Calls f with a copy of the data when the stream gets there. */
API mock_call(CUstream s, CUresult (*f)(const void *data), const void *data, size_t n)
{
    uint64_t *words = calloc(n / sizeof *words + 1, sizeof *words);
    memcpy(words, data, n);
    return queue(s, (Op){.kind = CALL, .call = f, .words = words, .n = n / sizeof *words + 1});
}
API mock_inside(const void *p, size_t n) { return block_of(p, n) ? CU_OK : CU_ILLEGAL_ADDRESS; }

/* ---- graphs ---- */
API cuStreamBeginCapture_v2(CUstream s, int mode)
{
    (void)mode;
    s->capture = calloc(1, sizeof *s->capture);
    count.open++;
    return CU_OK;
}
API cuStreamEndCapture(CUstream s, CUgraph *g)
{
    *g = s->capture;
    s->capture = NULL;
    count.open--;
    count.captures++;
    return CU_OK;
}
static size_t words_in(const Op *o) { return o->kind == CALL ? o->n : words_of((CUkernel)o->f); }
static Op copy_of(Op o, size_t words)
{
    if (o.words) {
        uint64_t *w = malloc(words * sizeof *w);
        memcpy(w, o.words, words * sizeof *w);
        o.words = w;
    }
    return o;
}
API cuGraphInstantiateWithFlags(CUgraphExec *e, CUgraph g, unsigned long long flags)
{
    (void)flags;
    *e = calloc(1, sizeof **e);
    for (int i = 0; i < g->ops.n; i++) {
        if (g->ops.v[i].kind == RECORD || g->ops.v[i].kind == WAIT) return CU_INVALID_VALUE;    /* nobody needs them here */
        push(&(*e)->ops, copy_of(g->ops.v[i], words_in(&g->ops.v[i])));
    }
    return CU_OK;
}
API cuGraphLaunch(CUgraphExec e, CUstream s)
{
    count.graph_launches++;
    for (int i = 0; i < e->ops.n; i++) {
        CUresult r = queue(s, copy_of(e->ops.v[i], words_in(&e->ops.v[i])));
        if (r != CU_OK) return r;
    }
    return CU_OK;
}
static void free_ops(Ops *o)
{
    for (int i = 0; i < o->n; i++) free(o->v[i].words);
    free(o->v);
}
API cuGraphDestroy(CUgraph g) { free_ops(&g->ops); free(g); return CU_OK; }
API cuGraphExecDestroy(CUgraphExec e) { free_ops(&e->ops); free(e); return CU_OK; }

/* ---- the device ---- */
API cuInit(unsigned flags) { (void)flags; return !strcmp(fail_kind, "start") ? CU_SYSTEM_DRIVER_MISMATCH : CU_OK; }
API cuDriverGetVersion(int *v) { *v = !strcmp(fail_kind, "version") ? 11040 : 12040; return CU_OK; }
API cuDeviceGetCount(int *n) { *n = strcmp(fail_kind, "nodevice") != 0; return CU_OK; }
API cuDeviceGet(CUdevice *d, int i) { *d = i; return CU_OK; }
API cuDeviceGetName(char *name, int n, CUdevice d) { (void)d; snprintf(name, (size_t)n, "Mock GPU"); return CU_OK; }
API cuDeviceTotalMem_v2(size_t *n, CUdevice d) { (void)d; *n = total_memory(); return CU_OK; }
API cuDeviceGetAttribute(int *v, int attribute, CUdevice d)
{
    (void)d;
    *v = attribute == CU_ATTRIBUTE_MAJOR ? 9 : attribute == CU_ATTRIBUTE_PROCESSORS ? 4 : attribute == CU_ATTRIBUTE_SHARED_OPTIN ? 227 << 10 : 0;
    return CU_OK;
}
API cuDevicePrimaryCtxRetain(CUcontext *c, CUdevice d) { (void)d; *c = (CUcontext)&count; return CU_OK; }
API cuDevicePrimaryCtxRelease_v2(CUdevice d) { (void)d; return CU_OK; }
API cuCtxSetCurrent(CUcontext c) { (void)c; return CU_OK; }
API cuGetErrorName(CUresult r, const char **name)
{
    *name = r == CU_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : r == CU_ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : r == CU_ECC_UNCORRECTABLE ? "CUDA_ERROR_ECC_UNCORRECTABLE" : r == CU_OUT_OF_RESOURCES ? "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES" : "CUDA_ERROR";
    return CU_OK;
}
API cuGetErrorString(CUresult r, const char **text)
{
    *text = r == CU_ILLEGAL_ADDRESS ? "an illegal memory access was encountered" : "an error of the mock";
    return CU_OK;
}
