/* gpu.h: may wgmma read its operand from shared memory that is not swizzled, at an address shifted by a pixel (16 bytes), so that the nine taps of a
   convolution are nine products of one staged tile? Right or wrong for each shift, by both readings of what the descriptor's two strides mean, and the
   cycles of a product. sm_90a only.

   The panel is [channel / 8][pixel][8], 16 bytes a pixel and chunk of channels; a product's 64 rows are a patch of 8 x 8 pixels, whose lines lie
   PITCH pixels apart; chunks lie CHUNK pixels apart. Operand a as it is (K: channels), and transposed (K: pixels), as for weight gradients. */
#include "gpu.h"
#include <math.h>

enum { PITCH = 18, LINES = 10, CHUNK = 181, CHUNKS = 8, PANEL = CHUNKS * CHUNK * 8, COLUMNS = 256, WEIGHTS = 2 * COLUMNS * 8, OUT = 64 * COLUMNS,
       SHARED = 2 * (PANEL + WEIGHTS) + 1024, REPEAT = 64, SHIFTS = 9 };
static const int shift_of[SHIFTS] = {0, 1, 2, PITCH, PITCH + 1, PITCH + 2, 2 * PITCH, 2 * PITCH + 1, 2 * PITCH + 2};

static char *probe_text(void)
{
    StrBuf b = {0};
    sb_printf(&b, "enum { PANEL = %d, WEIGHTS = %d, COLUMNS = %d, REPEAT = %d };\n", PANEL, WEIGHTS, COLUMNS, REPEAT);
    sb_puts(&b,
        "typedef unsigned long long u64;\n"
        "struct ect_wgmma_args { const void *now; void *workspace; void *buf[4]; long long lbo, sbo, pixel, transposed, timed; };\n"
        "static __device__ __forceinline__ u64 descriptor(unsigned at, unsigned lbo, unsigned sbo)\n"
        "{\n"
        "    return (u64)((at & 0x3ffff) >> 4) | (u64)(lbo >> 4) << 16 | (u64)(sbo >> 4) << 32;\n"
        "}\n");
    for (int trans = 0; trans < 2; trans++) {
        sb_printf(&b, "static __device__ __forceinline__ void product%d(float (&d)[128], u64 a, u64 w, int add)\n{\n    asm volatile(\"{\\n.reg .pred p;\\n"
                      "setp.ne.b32 p, %%130, 0;\\nwgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {", trans);
        for (int i = 0; i < 128; i++) sb_printf(&b, "%s%%%d", i ? "," : "", i);
        sb_printf(&b, "}, %%128, %%129, p, 1, 1, %d, 0;\\n}\\n\"\n        : ", trans);
        for (int i = 0; i < 128; i++) sb_printf(&b, "%s\"+f\"(d[%d])", i ? ", " : "", i);
        sb_puts(&b, "\n        : \"l\"(a), \"l\"(w), \"r\"(add));\n}\n");
    }
    sb_puts(&b,
        "extern \"C\" __global__ void __launch_bounds__(128) ect_wgmma(const __grid_constant__ ect_wgmma_args args)\n"
        "{\n"
        "    extern __shared__ __align__(1024) unsigned short shared[];\n"
        "    const unsigned short *panel = (const unsigned short *)args.buf[0], *weights = (const unsigned short *)args.buf[1];\n"
        "    for (int i = threadIdx.x; i < PANEL; i += 128) shared[i] = panel[i];\n"
        "    for (int i = threadIdx.x; i < WEIGHTS; i += 128) shared[PANEL + i] = weights[i];\n"
        "    asm volatile(\"fence.proxy.async.shared::cta;\" ::: \"memory\");\n"
        "    __syncthreads();\n"
        "    const unsigned at = (unsigned)__cvta_generic_to_shared(shared), bt = at + 2*PANEL;\n"
        "    const u64 w = descriptor(bt, COLUMNS*16, 128);\n"
        "    float d[128];\n"
        "#pragma unroll\n"
        "    for (int i = 0; i < 128; i++) d[i] = 0.0f;\n"
        "    const int times = args.timed ? REPEAT : 1;\n"
        "    const u64 a = descriptor(at + (unsigned)args.pixel*16, (unsigned)args.lbo, (unsigned)args.sbo);\n"
        "    const long long before = clock64();\n"
        "    asm volatile(\"wgmma.fence.sync.aligned;\" ::: \"memory\");\n"
        "    if (args.transposed) for (int i = 0; i < times; i++) product1(d, a, w, i > 0);\n"
        "    else for (int i = 0; i < times; i++) product0(d, a, w, i > 0);\n"
        "    asm volatile(\"wgmma.commit_group.sync.aligned;\\nwgmma.wait_group.sync.aligned 0;\" ::: \"memory\");\n"
        "    const long long after = clock64();\n"
        "    float *out = (float *)args.buf[2];\n"
        "    const int row = threadIdx.x / 32*16 + threadIdx.x % 32 / 4, column = threadIdx.x % 4*2;\n"
        "#pragma unroll\n"
        "    for (int i = 0; i < 128; i++) out[(row + i / 2 % 2*8)*COLUMNS + column + i / 4*8 + i % 2] = d[i];\n"
        "    if (threadIdx.x == 0) *(long long *)args.buf[3] = after - before;\n"
        "}\n");
    return b.s;
}

static float value_of(uint64_t i)                    /* small whole numbers: products and sums are exact in any order */
{
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 31)) * 0xBF58476D1CE4E5B9u;
    return (float)((int)((z >> 40) % 9) - 4);
}
static uint16_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)(u >> 16);
}

typedef struct { CUdeviceptr now, workspace, buf[4]; long long lbo, sbo, pixel, transposed, timed; } Words;

/* Elements that are wrong. */
static int wrong(const float *out, int pixel, bool transposed)
{
    int bad = 0;
    for (int m = 0; m < 64; m++)
        for (int n = 0; n < COLUMNS; n++) {
            float sum = 0;
            for (int k = 0; k < 16; k++) {
                int at = transposed ? k / 8 * PITCH + k % 8 : m / 8 * PITCH + m % 8, c = transposed ? m : k;
                sum += value_of((uint64_t)(c / 8 * CHUNK + pixel + at) * 8 + (uint64_t)(c % 8)) * value_of(1000000 + (uint64_t)(k / 8 * COLUMNS + n) * 8 + (uint64_t)(k % 8));
            }
            bad += !(out[m * COLUMNS + n] == sum);
        }
    return bad;
}

static char *probe(const Gpu *g, CUfunction f, Words w, const char *name, int *right)
{
    CudaLaunchConfig at = {.grid_x = 1, .grid_y = 1, .grid_z = 1, .block_x = 128, .block_y = 1, .block_z = 1, .shared = SHARED, .stream = g->stream};
    float *out = xmalloc(OUT * sizeof *out);
    double least = 1e30, most = 0;
    *right = 0;
    for (int s = 0; s < SHIFTS; s++) {
        long long cycles[2] = {0};
        w.pixel = shift_of[s];
        for (int timed = 0; timed < 2; timed++) {
            w.timed = timed;
            CUresult r = g->cu->fill8(w.buf[2], 0xff, OUT * sizeof *out, g->stream);
            if (r == CU_OK) r = g->cu->launch(&at, f, (void *[]){&w}, NULL);
            if (r == CU_OK && !timed) r = g->cu->to_host(out, w.buf[2], OUT * sizeof *out, g->stream);
            if (r == CU_OK) r = g->cu->to_host(&cycles[timed], w.buf[3], sizeof *cycles, g->stream);
            if (r == CU_OK) r = g->cu->stream_sync(g->stream);
            if (r != CU_OK) return gpu_error(g, r);
            if (!timed && !wrong(out, (int)w.pixel, w.transposed)) ++*right;
        }
        double each = (double)(cycles[1] - cycles[0]) / (REPEAT - 1);
        least = fmin(least, each), most = fmax(most, each);
    }
    char *json = xasprintf("\"right\": %d, \"of\": %d, \"cycles_least\": %.1f, \"cycles_most\": %.1f", *right, SHIFTS, least, most);
    row("wgmma", name, "info", json, "%s at %d of %d shifts; %.1f to %.1f cycles a product of 64 x 256 x 16 (128 at full rate)",
        *right == SHIFTS ? "RIGHT" : "wrong", *right, SHIFTS, least, most);
    free(json);
    free(out);
    return NULL;
}

int cmd_wgmma(int argc, char **argv)
{
    const char *arch = small_options(argc, argv);
    char *why = NULL, *text = probe_text();
    if (arch) {
        if (!gpu_compiles(arch, "ect_wgmma", text, &why)) user_error("%s", why);
        return EXIT_OK;
    }
    Gpu g;
    if (!gpu_open(&g, &why)) machine_error("%s", why);
    if (strcmp(g.arch, "sm_90a") || g.bytes < (size_t)4 << 30) {
        row("wgmma", "probe", "skip", "", "needs compute capability 9.0 and 4 GB: %s", g.name);
        return EXIT_OK;
    }
    CUfunction f = gpu_function(&g, "ect_wgmma", text, SHARED, &why);
    if (!f) {
        row("wgmma", "probe", "FAIL", "", "%s", why);
        return EXIT_USER;
    }
    static uint16_t panel[PANEL], weights[WEIGHTS];
    for (int i = 0; i < PANEL; i++) panel[i] = bits_of(value_of((uint64_t)i));
    for (int i = 0; i < WEIGHTS; i++) weights[i] = bits_of(value_of(1000000 + (uint64_t)i));
    Words w = {0};
    size_t bytes[4] = {sizeof panel, sizeof weights, OUT * sizeof(float), 256};
    CUresult r = CU_OK;
    for (int i = 0; i < 4 && r == CU_OK; i++) r = g.cu->alloc(&w.buf[i], bytes[i]);
    if (r == CU_OK) r = g.cu->to_device(w.buf[0], panel, sizeof panel, g.stream);
    if (r == CU_OK) r = g.cu->to_device(w.buf[1], weights, sizeof weights, g.stream);
    if (r == CU_OK) r = g.cu->stream_sync(g.stream);
    if (r != CU_OK) why = gpu_error(&g, r);
    static const struct { const char *name; long long lbo, sbo; bool transposed; } way[] = {
        {"a, leading: chunk", CHUNK * 16, PITCH * 16, false}, {"a, leading: line", PITCH * 16, CHUNK * 16, false},
        {"a transposed, leading: line", PITCH * 16, CHUNK * 16, true}, {"a transposed, leading: chunk", CHUNK * 16, PITCH * 16, true},
    };
    int best[2] = {0};
    for (size_t i = 0; i < COUNT(way) && !why; i++) {
        int right;
        w.lbo = way[i].lbo, w.sbo = way[i].sbo, w.transposed = way[i].transposed;
        why = probe(&g, f, w, way[i].name, &right);
        best[way[i].transposed] = MAX(best[way[i].transposed], right);
    }
    if (why) {
        row("wgmma", "probe", "FAIL", "", "%s", why);
        return EXIT_USER;
    }
    row("wgmma", "answer", "info", "", "as it is: %s; transposed: %s", best[0] == SHIFTS ? "yes" : "no", best[1] == SHIFTS ? "yes" : "no");
    return EXIT_OK;
}
