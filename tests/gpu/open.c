/* gpu.h: the driver, compiling and timing of small texts. Assumes compute capability 8.0 or newer. */
#include "gpu.h"

bool gpu_open(Gpu *g, char **why)
{
    memset(g, 0, sizeof *g);
    g->cu = cuda_driver(why);
    if (!g->cu) return false;
    const CudaDriver *cu = g->cu;
    CUresult r = cu->device_get(&g->gpu, 0);
    if (r == CU_OK) r = cu->device_name(g->name, sizeof g->name, g->gpu);
    if (r == CU_OK) r = cu->device_memory(&g->bytes, g->gpu);
    if (r == CU_OK) r = cu->device_attribute(&g->major, CU_ATTRIBUTE_MAJOR, g->gpu);
    if (r == CU_OK) r = cu->device_attribute(&g->minor, CU_ATTRIBUTE_MINOR, g->gpu);
    if (r == CU_OK) r = cu->device_attribute(&g->processors, CU_ATTRIBUTE_PROCESSORS, g->gpu);
    if (r == CU_OK) r = cu->driver_version(&g->driver);
    if (r == CU_OK) r = cu->context_retain(&g->context, g->gpu);
    if (r == CU_OK) r = cu->context_set(g->context);
    if (r == CU_OK) r = cu->stream_create(&g->stream, CU_STREAM_NONBLOCKING);
    if (r == CU_OK) r = cu->event_create(&g->from, CU_EVENT_PLAIN);
    if (r == CU_OK) r = cu->event_create(&g->to, CU_EVENT_PLAIN);
    if (r != CU_OK) {
        *why = gpu_error(g, r);
        return false;
    }
    snprintf(g->arch, sizeof g->arch, "sm_%d%d%s", g->major, g->minor, g->major >= 9 ? "a" : "");
    return true;
}

char *gpu_error(const Gpu *g, CUresult r)
{
    const char *name = NULL, *text = NULL;
    g->cu->error_name(r, &name);
    g->cu->error_string(r, &text);
    return xasprintf("%s (%d): %s", name ? name : "CUDA error", r, text ? text : "");
}

static bool compile(const char *arch, const char *name, const char *text, NvrtcResult *c, char **why)
{
    const char *option[NVRTC_MAX_OPTIONS], *none = NULL;
    if (!nvrtc_identity(&none)) {
        *why = xstrdup(none ? none : "no NVRTC");
        return false;
    }
    int n = nvrtc_options(arch, false, option);
    nvrtc_compile(name, text, option, n, c);
    if (!c->ok) *why = xasprintf("does not compile: %.300s", c->log ? c->log : "");
    return c->ok;
}
bool gpu_compiles(const char *arch, const char *name, const char *text, char **why)
{
    NvrtcResult c = {0};
    bool good = compile(arch, name, text, &c, why);
    free(c.data);
    free(c.log);
    return good;
}

CUfunction gpu_function(const Gpu *g, const char *name, const char *text, int shared, char **why)
{
    NvrtcResult c = {0};
    if (!compile(g->arch, name, text, &c, why)) return NULL;
    CUlibrary lib;
    CUkernel k;
    CUfunction f = NULL;
    CUresult r = g->cu->library_load(&lib, c.data, NULL, NULL, 0, NULL, NULL, 0);
    if (r == CU_OK) r = g->cu->library_kernel(&k, lib, name);
    if (r == CU_OK && shared > 48 << 10) r = g->cu->kernel_attribute(CU_FUNCTION_DYNAMIC_SHARED, shared, k, g->gpu);
    if (r == CU_OK) r = g->cu->kernel_function(&f, k);
    free(c.data);
    free(c.log);
    if (r == CU_OK) return f;
    *why = gpu_error(g, r);
    return NULL;
}

double gpu_time(const Gpu *g, CUfunction f, const CudaLaunchConfig *at, void *args, int times, char **why)
{
    CudaLaunchConfig c = *at;
    c.stream = g->stream;
    float ms = -1;
    CUresult r = g->cu->launch(&c, f, (void *[]){args}, NULL);               /* the first one loads */
    if (r == CU_OK) r = g->cu->event_record(g->from, g->stream);
    for (int i = 0; i < times && r == CU_OK; i++) r = g->cu->launch(&c, f, (void *[]){args}, NULL);
    if (r == CU_OK) r = g->cu->event_record(g->to, g->stream);
    if (r == CU_OK) r = g->cu->stream_sync(g->stream);
    if (r == CU_OK) r = g->cu->event_elapsed(&ms, g->from, g->to);
    if (r == CU_OK) return (double)ms;
    *why = gpu_error(g, r);
    return -1;
}

const char *small_options(int argc, char **argv)
{
    const char *table = NULL, *json = NULL, *only = NULL;
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && !strcmp(argv[i], "--table")) table = argv[++i];
        else if (i + 1 < argc && !strcmp(argv[i], "--json")) json = argv[++i];
        else if (i + 1 < argc && !strcmp(argv[i], "--compile-only")) only = argv[++i];
        else user_error("gpu %s: unknown argument %s", argv[0], argv[i]);
    }
    rows_open(table, json);
    return only;
}
