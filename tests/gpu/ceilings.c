/* gpu.h: what the GPU is, and the rates it reaches in copies and matrix products, by kernels that do nothing else. */
#include "gpu.h"

/* Bytes from one array to another, 16 at a time. */
static const char copy_text[] =
    "struct EctNow;\n"
    "struct ect_copy_args { const EctNow *now; void *workspace; void *buf[2]; };\n"
    "extern \"C\" __global__ void __launch_bounds__(256) ect_copy(const __grid_constant__ ect_copy_args args)\n"
    "{\n"
    "    const float4 *from = (const float4 *)args.buf[0];\n"
    "    float4 *to = (float4 *)args.buf[1];\n"
    "    for (long long i = (long long)blockIdx.x*256 + threadIdx.x; i < VECTORS; i += (long long)BLOCKS*256) {\n"
    "        float4 v = from[i];\n"
    "        to[i] = v;\n"
    "    }\n"
    "}\n";
/* Products of registers with registers: 8 independent ones a warp, so that the units are full. */
static const char mma_text[] =
    "struct EctNow;\n"
    "struct ect_products_args { const EctNow *now; void *workspace; void *buf[1]; };\n"
    "extern \"C\" __global__ void __launch_bounds__(256) ect_products(const __grid_constant__ ect_products_args args)\n"
    "{\n"
    "    float c[8][4] = {};\n"
    "    unsigned a[4] = {0x3f803f80u + threadIdx.x, 0x3f803f80u, 0x3f803f80u, 0x3f803f80u}, b[2] = {0x3c003c00u, 0x3c003c00u};\n"
    "    for (int i = 0; i < TIMES; i++)\n"
    "#pragma unroll\n"
    "        for (int k = 0; k < 8; k++) {\n"
    "#ifdef ECT_EMU\n"
    "            c[k][0] += (float)(a[k % 4] + b[k % 2]);\n"
    "#else\n"
    "            asm volatile(\"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\"\n"
    "                         : \"+f\"(c[k][0]), \"+f\"(c[k][1]), \"+f\"(c[k][2]), \"+f\"(c[k][3])\n"
    "                         : \"r\"(a[0]), \"r\"(a[1]), \"r\"(a[2]), \"r\"(a[3]), \"r\"(b[0]), \"r\"(b[1]));\n"
    "#endif\n"
    "        }\n"
    "    float sum = 0;\n"
    "    for (int k = 0; k < 8; k++) for (int q = 0; q < 4; q++) sum += c[k][q];\n"
    "    ((float *)args.buf[0])[blockIdx.x*256 + threadIdx.x] = sum;\n"
    "}\n";

int cmd_device(int argc, char **argv)
{
    small_options(argc, argv);
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

static char *text_of(const char *name, long long value, const char *name2, long long value2, const char *text)
{
    return xasprintf("#define %s %lldLL\n#define %s %lldLL\n%s", name, value, name2, value2, text);
}

static int failed(const char *name, char *why)
{
    row("device", name, "FAIL", "", "%s", why);
    free(why);
    return 1;
}
static int copy(const Gpu *g, size_t bytes)
{
    enum { TIMES = 20 };
    CUdeviceptr from = 0, to = 0;
    char *why = NULL, *text = text_of("VECTORS", (long long)(bytes / 16), "BLOCKS", g->processors * 8, copy_text);
    CUfunction f = gpu_function(g, "ect_copy", text, 0, &why);
    free(text);
    if (!f) return failed("copy", why);
    CUresult r = g->cu->alloc(&from, bytes);
    if (r == CU_OK) r = g->cu->alloc(&to, bytes);
    if (r == CU_OK) r = g->cu->fill8(from, 1, bytes, g->stream);
    if (r != CU_OK) return failed("copy", gpu_error(g, r));
    struct { CUdeviceptr now, workspace, buf[2]; } args = {0, 0, {from, to}};
    CudaLaunchConfig at = {.grid_x = (unsigned)g->processors * 8, .grid_y = 1, .grid_z = 1, .block_x = 256, .block_y = 1, .block_z = 1};
    double ms = gpu_time(g, f, &at, &args, TIMES, &why);
    if (ms < 0) return failed("copy", why);
    double rate = 2 * (double)bytes * TIMES / (ms * 1e6);
    char *json = xasprintf("\"gb_s\": %.1f", rate), *name = xasprintf("copy of %zu MB", bytes >> 20);
    row("device", name, "info", json, "%.0f GB/s read and written", rate);
    free(json);
    free(name);
    g->cu->free(from);
    g->cu->free(to);
    return 0;
}
static int products(const Gpu *g, int times)
{
    enum { TIMES = 5 };
    CUdeviceptr out = 0;
    unsigned blocks = (unsigned)g->processors * 4;
    char *why = NULL, *text = text_of("TIMES", times, "UNUSED", 0, mma_text);
    CUfunction f = gpu_function(g, "ect_products", text, 0, &why);
    free(text);
    if (!f) return failed("mma.sync", why);
    CUresult r = g->cu->alloc(&out, (size_t)blocks * 256 * 4);
    if (r != CU_OK) return failed("mma.sync", gpu_error(g, r));
    struct { CUdeviceptr now, workspace, buf[1]; } args = {0, 0, {out}};
    CudaLaunchConfig at = {.grid_x = blocks, .grid_y = 1, .grid_z = 1, .block_x = 256, .block_y = 1, .block_z = 1};
    double ms = gpu_time(g, f, &at, &args, TIMES, &why);
    if (ms < 0) return failed("mma.sync", why);
    double rate = 4096.0 * 8 * 8 * blocks * times * TIMES / (ms * 1e9);
    char *json = xasprintf("\"tflop_s\": %.1f", rate);
    row("device", "mma.sync bf16", "info", json, "%.0f TFLOP/s from registers, m16n8k16", rate);
    free(json);
    g->cu->free(out);
    return 0;
}

int cmd_ceilings(int argc, char **argv)
{
    const char *arch = small_options(argc, argv);
    char *why = NULL;
    if (arch) {
        char *a = text_of("VECTORS", 1, "BLOCKS", 1, copy_text), *b = text_of("TIMES", 1, "UNUSED", 0, mma_text);
        if (!gpu_compiles(arch, "ect_copy", a, &why) || !gpu_compiles(arch, "ect_products", b, &why)) user_error("%s", why);
        return EXIT_OK;
    }
    Gpu g;
    if (!gpu_open(&g, &why)) machine_error("%s", why);
    bool small = g.bytes < (size_t)4 << 30;          /* a mock */
    int bad = copy(&g, small ? 1 << 20 : (size_t)1 << 30);
    if (!small) bad += copy(&g, (size_t)16 << 20);   /* within the cache of the second level */
    bad += products(&g, small ? 4 : 20000);
    return bad ? EXIT_USER : EXIT_OK;
}
