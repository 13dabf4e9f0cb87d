/* cuda_plan PLAN KERNELS.so: makes a plan look as if it were compiled for cuda too, and its C kernels into what the mock driver runs (tests/mock).
   cuda_plan --only-kernels [--march M] PLAN KERNELS.so: leaves the plan alone; its C kernels, optimised, as the reference of tests/gpu.
   Assumes an equal number of draws and buffers in all launches of a kernel. */
#include "runtime/plan.h"
#include "tool.h"

static void say(const char *path, StrBuf *b)
{
    if (!write_file_atomic(path, b->s, b->len)) machine_error("cannot write %s: %s", path, strerror(errno));
    sb_free(b);
}
/* All kernels' texts, the names with a suffix. */
static char *write_texts(const Plan *p, const char *suffix)
{
    StrBuf b = {0};
    for (int i = 0; i < p->n_kernels; i++) sb_printf(&b, "#define %s %s%s\n", p->kernel[i].name, p->kernel[i].name, suffix);
    for (int i = 0; i < p->n_kernels; i++) {
        char *path = plan_path(p, p->kernel[i].file), *text = read_file(path, NULL);
        if (!text) machine_error("cannot read %s", path);
        sb_puts(&b, text);
        free(text);
        free(path);
    }
    char *out = xasprintf("%s/kernels%s.c", tmp_dir, suffix);
    say(out, &b);
    return out;
}
static void compile(const Plan *p, const char *so, const char *const *flags)
{
    Args a = {0};
    add(&a, "/usr/bin/env");
    add(&a, "cc");
    for (; *flags; flags++) add(&a, *flags);
    add(&a, xasprintf("-I%s/kernels", p->dir));
    add(&a, "-o");
    add(&a, so);
    if (!run(&a)) machine_error("the kernels do not compile");
}
/* No flag lets the compiler reorder sums, so the bits are those of -O3. */
static const char *level = "-O1", *march = "-march=native";
#define FLAGS "-std=gnu11", level, march, "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fopenmp", "-fPIC", "-w"

int main(int argc, char **argv)
{
    prog_name = "cuda_plan";
    bool only_kernels = argc > 1 && !strcmp(argv[1], "--only-kernels");
    if (only_kernels) level = "-O2", argc--, argv++;
    if (argc > 2 && !strcmp(argv[1], "--march")) march = xasprintf("-march=%s", argv[2]), argc -= 2, argv += 2;
    if (argc != 3) user_error("usage: cuda_plan [--only-kernels] [--march M] PLAN KERNELS.so");
    make_tmp("cuda_plan");
    char *err = NULL;
    Plan *p = plan_load(argv[1], &err);
    if (!p) user_error("%s", err);
    int *draws = xcalloc((size_t)p->n_kernels, sizeof *draws), *buffers = xcalloc((size_t)p->n_kernels, sizeof *buffers);
    int *instances = xcalloc((size_t)p->n_kernels, sizeof *instances);
    for (int i = 0; i < p->n_programs; i++)
        for (int g = 0; g < p->program[i].n_segments; g++)
            for (int k = 0; k < p->program[i].segment[g].n_steps; k++) {
                const PlanStep *s = &p->program[i].segment[g].step[k];
                draws[s->kernel] = s->n_draws;
                buffers[s->kernel] = s->n_buffers / s->instances;
                instances[s->kernel] = MAX(instances[s->kernel], s->instances);
            }
    StrBuf b = {0};
    sb_puts(&b, "#include \"tests/mock/kernels.h\"\n");
    const char *drawn = only_kernels ? "_plain" : "_draws";
    for (int i = 0; i < p->n_kernels; i++) sb_printf(&b, "void %s_plain(const EctArgs *), %s%s(const EctArgs *);\n", p->kernel[i].name, p->kernel[i].name, drawn);
    sb_puts(&b, "__attribute__((visibility(\"default\"))) const MockKernel mock_kernels[] = {\n");
    for (int i = 0; i < p->n_kernels; i++)
        sb_printf(&b, " {\"%s\", %s_plain, %s%s, %d, %d, %d, %lld, %lld},\n", p->kernel[i].name, p->kernel[i].name, p->kernel[i].name, drawn, draws[i], buffers[i],
                  MAX(1, instances[i]), (long long)p->kernel[i].scratch, (long long)p->kernel[i].shared);
    sb_puts(&b, " {0}\n};\n");
    char *main_c = xasprintf("%s/table.c", tmp_dir), *plain = write_texts(p, "_plain"), *with = only_kernels ? NULL : write_texts(p, "_draws");
    char *plain_o = xasprintf("%s/plain.o", tmp_dir), *with_o = xasprintf("%s/with.o", tmp_dir);
    say(main_c, &b);
    compile(p, plain_o, (const char *const[]){FLAGS, "-c", plain, NULL});
    if (!only_kernels) compile(p, with_o, (const char *const[]){FLAGS, "-DECT_DRAW_INPUTS=1", "-c", with, NULL});
    compile(p, argv[2], (const char *const[]){FLAGS, "-shared", xasprintf("-I%s", getenv("SRC") ? getenv("SRC") : "."), main_c, plain_o, only_kernels ? "-lm" : with_o, "-lm", NULL});
    if (only_kernels) return 0;

    char *path = plan_path(p, "plan.json");
    json_error_t je;
    json_t *root = json_load_file(path, 0, &je), *kernels = json_object_get(root, "kernels");
    for (int i = 0; i < p->n_kernels; i++) {
        const char *name = p->kernel[i].name;
        json_t *cuda = json_pack("{s:s+, s:i, s:i, s:[{s:s, s:[i,i], s:i, s:i}]}", "file", "kernels/", xasprintf("%s.cu", name), "instances",
                                 MAX(1, instances[i]), "workspace", 256, "launches", "entry", name, "grid", 1, 1, "block", 32, "shared",
                                 i % 2 ? 64 << 10 : 0);
        json_object_set_new(json_array_get(kernels, (size_t)i), "cuda", cuda);
        char *cu = xasprintf("%s/kernels/%s.cu", p->dir, name);
        sb_printf(&b, "/* A stand-in: the mock driver runs the C kernel. */\nextern \"C\" __global__ void %s() {}\n", name);
        say(cu, &b);
    }
    json_object_set_new(root, "targets", json_pack("[ss]", "cpu", "cuda"));
    char *text = json_dumps(root, JSON_COMPACT);
    sb_puts(&b, text);
    say(path, &b);
    char *prelude = plan_path(p, "kernels/prelude.cuh");
    if (!file_exists(prelude)) {
        sb_puts(&b, "/* a stand-in */\n");
        say(prelude, &b);
    }
    return 0;
}
