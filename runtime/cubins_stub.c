/* A stand-in for cubins.c and cuda_libs.c, so that the device can be tested against tests/mock: the driver is looked for in $ECT_CUDA_PATH only, a
   kernel's "machine code" is its name. To be dropped when those two files are there. */
#include "runtime/cubins.h"
#include <dlfcn.h>

struct Cubins { int n; Cubin *v; };

Cubins *cubins_load(const Plan *plan, const bool *used, const char *arch, bool draw_inputs)
{
    (void)arch, (void)draw_inputs;
    Cubins *c = xcalloc(1, sizeof *c);
    c->n = plan->n_kernels;
    c->v = xcalloc((size_t)c->n + 1, sizeof *c->v);
    for (int i = 0; i < c->n; i++)
        if (used[i]) c->v[i] = (Cubin){.name = plan->kernel[i].name, .data = plan->kernel[i].name, .bytes = strlen(plan->kernel[i].name) + 1};
    return c;
}
const Cubin *cubins_get(const Cubins *c, int kernel) { return c->v[kernel].name ? &c->v[kernel] : NULL; }
void cubins_free(Cubins *c) { free(c->v); free(c); }

void *cuda_library(CudaLibrary which, char **what)
{
    static void *lib;
    const char *dir = getenv("ECT_CUDA_PATH");
    if (which == CUDA_DRIVER && dir && !lib) {
        char *path = xasprintf("%s/libcuda.so.1", dir);
        lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        free(path);
    }
    bool found = which == CUDA_DRIVER && lib;
    *what = found ? xasprintf("%s/libcuda.so.1", dir) : xstrdup("no CUDA driver (libcuda.so.1) was found: install the NVIDIA driver");
    return found ? lib : NULL;
}
