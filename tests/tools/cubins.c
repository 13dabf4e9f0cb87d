/* Loads a plan's CUDA kernels as a device does, N times, and prints name, bytes, hash of the bytes and where each came from; status as cubins_load's.
   Assumes a plan with CUDA texts. usage: cubins PLAN ARCH [--require-cached] [--draw-inputs] [--times N] */
#include "cache/cache.h"
#include "runtime/cubins.h"
#include "runtime/signals.h"

int main(int argc, char **argv)
{
    prog_name = "cubins";
    if (argc < 3) user_error("usage: cubins PLAN ARCH [--require-cached] [--draw-inputs] [--times N]");
    bool draws = false;
    int times = 1;
    for (int i = 3; i < argc; i++) {
        if (!strcmp(argv[i], "--require-cached")) cache_only = true;
        else if (!strcmp(argv[i], "--draw-inputs")) draws = true;
        else if (!strcmp(argv[i], "--times") && i + 1 < argc) times = atoi(argv[++i]);
        else user_error("unknown argument %s", argv[i]);
    }
    signals_as_errors();
    char *err;
    Plan *plan = plan_load(argv[1], &err);
    if (!plan) user_error("%s", err);
    bool *used = xcalloc((size_t)plan->n_kernels, sizeof *used);
    for (int i = 0; i < plan->n_kernels; i++) used[i] = plan->kernel[i].cuda != NULL;
    for (int t = 0; t < times; t++) {
        Cubins *c = cubins_load(plan, used, argv[2], draws);
        for (int i = 0; i < plan->n_kernels; i++) {
            const Cubin *k = cubins_get(c, i);
            if (!used[i]) {
                if (k) die("kernel %s was not wanted", plan->kernel[i].name);
                continue;
            }
            if (k && cubins_owner(c, i) != i) continue;
            if (!k || k->bytes < 64 || memcmp(k->data, "\177ELF", 4)) die("kernel %s is no cubin", plan->kernel[i].name);
            printf("%s %zu %016llx %s\n", k->name, k->bytes, (unsigned long long)hash64(k->data, k->bytes, 0),
                   k->packed ? "packed" : k->cached ? "cached" : "compiled");
        }
        printf("compiled %d\n", cubins_compiled(c));
        cubins_free(c);
    }
    free(used);
    plan_free(plan);
    return EXIT_OK;
}
