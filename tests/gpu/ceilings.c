/* gpu.h: what the GPU is and reaches. */
#include "gpu.h"

static bool options(int argc, char **argv)
{
    const char *table = NULL, *json = NULL;
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && !strcmp(argv[i], "--table")) table = argv[++i];
        else if (i + 1 < argc && !strcmp(argv[i], "--json")) json = argv[++i];
        else user_error("gpu %s: unknown argument %s", argv[0], argv[i]);
    }
    rows_open(table, json);
    return true;
}

int cmd_device(int argc, char **argv)
{
    options(argc, argv);
    Gpu g;
    char *why = NULL, *nvrtc = NULL;
    if (!gpu_open(&g, &why)) {
        row("device", "gpu", "skip", "", "%s", why);
        return EXIT_MACHINE;
    }
    row("device", g.name, "info", "", "%.1f GiB, %d multiprocessors, %s, driver for CUDA %d.%d", (double)g.bytes / 1073741824.0, g.processors, g.arch,
        g.driver / 1000, g.driver % 1000 / 10);
    void *lib = cuda_library(CUDA_NVRTC, &nvrtc);
    row("device", "NVRTC", lib ? "info" : "skip", "", "%s", nvrtc);
    return EXIT_OK;
}
int cmd_ceilings(int argc, char **argv) { options(argc, argv); return EXIT_OK; }
int cmd_wgmma(int argc, char **argv) { options(argc, argv); return EXIT_OK; }
