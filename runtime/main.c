/* ect-rt: the command table.
   Each command parses its own options and answers --help. */
#include <malloc.h>
#include "cache/cache.h"
#include "runtime/cubins.h"
#include "runtime/run.h"
#include <unistd.h>

static const struct { const char *name, *about; int (*run)(int argc, char **argv); } commands[] = {
    {"train", "train a model, or tune given weights", cmd_train},
    {"sample", "draw images in one or several steps", cmd_sample},
    {"run", "run one program of a plan on tensors from a file", cmd_run},
    {"explain", "what a plan does, step by step", cmd_explain},
    {"data", "import data sets and look into them", cmd_data},
    {"devices", "which devices work here", cmd_devices},
    {"cubins", "compile a plan's CUDA kernels and say what they take of the GPU", cmd_cubins},
    {"cache", "list, verify, shrink or pack the kernel cache", cmd_cache},
};

static void help(FILE *f)
{
    fprintf(f, "usage: ect-rt COMMAND ...\n\nRuns plans made by ectc.\n\ncommands:\n");
    for (size_t i = 0; i < COUNT(commands); i++) fprintf(f, "  %-9s %s\n", commands[i].name, commands[i].about);
    fprintf(f, "\n`ect-rt COMMAND --help` says more; `ect-rt --version` prints the version.\n"
               "Exit status: 0 ok, 1 a mistake in what was asked, 2 the machine's trouble, 3 a bug.\n");
}
/* libgomp's threads spin for milliseconds at the end of a parallel region, which halves the speed as soon as another process
   wants the processors; it reads its settings before main, so a short spin takes a second start. */
static void short_spin(char **argv)
{
    if (getenv("GOMP_SPINCOUNT") || getenv("OMP_WAIT_POLICY")) return;
    setenv("GOMP_SPINCOUNT", "5000", 1);
    execv("/proc/self/exe", argv);
}

int main(int argc, char **argv)
{
    mallopt(M_MMAP_THRESHOLD, 1 << 20);              /* fixed: what large arrays took goes back when they are freed, as the prediction counts */
    prog_name = "ect-rt";
    short_spin(argv);
    if (argc < 2) {
        help(stderr);
        return EXIT_USER;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        help(stdout);
        return EXIT_OK;
    }
    if (!strcmp(name, "--version")) {
        printf("ect-rt %s\n", ECT_VERSION);
        return EXIT_OK;
    }
    const char *names[COUNT(commands)];
    for (size_t i = 0; i < COUNT(commands); i++) {
        names[i] = commands[i].name;
        if (!strcmp(names[i], name)) return commands[i].run(argc - 1, argv + 1);
    }
    const char *near = suggest(name, names, (int)COUNT(names));
    user_error("there is no command `%s`%s%s%s; `ect-rt --help` lists them", name, near ? ": did you mean `" : "",
               near ? near : "", near ? "`?" : "");
}
