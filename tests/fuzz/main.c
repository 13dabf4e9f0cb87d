/* fuzz: random model texts from seeds, compiled fused and unfused; tests-tools/agree compares within tolerances, tests-tools/exact without;
   what fails is reduced.
   Assumes ectc, ect-rt and tests-tools/ in one build folder. */
#include "tests/tools/tool.h"
#include "tests/fuzz/fuzz.h"

typedef enum { GOOD, REFUSED, COMPILER, STOPPED, DIFFERENT, INEXACT, CUBINS } Verdict;
static const char *const verdict_text[] = {
    [GOOD] = "agrees", [REFUSED] = "ectc refuses the text", [COMPILER] = "ectc fails", [STOPPED] = "a program does not run",
    [DIFFERENT] = "values differ", [INEXACT] = "values differ in exact mode", [CUBINS] = "NVRTC warns, refuses or spills",
};
typedef struct {
    const char *ectc, *keep, *seconds, *level, *exact;
    bool cuda, emu;                                  /* the CUDA texts in exact mode; on cuda-emu within tolerances; instead of the C kernels */
    const char *arch;                                /* of large programs: what NVRTC compiles for, too */
    int n_extra;
    char **extra;                                    /* more options of ectc */
} Settings;
static bool verbose, stop, compile_only;         /* compile_only: while what ectc refuses is reduced */
static Settings set = {.seconds = "120", .level = "-O1"};

/* Runs a command under a time limit; what it printed is appended to the log. Returns the exit status, 128 + N for signal N. */
static int step(Args *a, StrBuf *log)
{
    char *out, *err;
    int status = capture(a, &out, &err);
    sb_printf(log, "%s%s", out ? out : "", err ? err : "");
    free(out);
    free(err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int compile(const char *model, const char *fusion, const char *plan, StrBuf *log)
{
    Args a = {0};
    const char *fixed[] = {"/usr/bin/env", "timeout", "60", set.ectc, model, "--fusion", fusion, "-o", plan};
    for (size_t i = 0; i < COUNT(fixed); i++) add(&a, fixed[i]);
    if (set.cuda || set.emu || sizes == &large_sizes) { add(&a, "--target"); add(&a, "cpu,cuda"); }
    for (int i = 0; i < set.n_extra; i++) add(&a, set.extra[i]);
    return step(&a, log);
}

/* Runs a program of the build on the plan; what it printed is the log. */
static int run_tool(const char *name, const char *const *args, size_t n, const char *plan, StrBuf *b)
{
    Args a = {0};
    add(&a, "/usr/bin/env");
    add(&a, "timeout");
    add(&a, "300");
    add(&a, xasprintf("%s/%s", bin_dir, name));
    for (size_t i = 0; i < n; i++) add(&a, args[i]);
    add(&a, plan);
    sb_free(b);
    *b = (StrBuf){0};
    return step(&a, b);
}
/* A large program: blocks of all kernels of its training step against the graph, and what NVRTC makes of them. */
static Verdict check_large(const char *plan, StrBuf *b)
{
    static const char *const blocks[] = {"--blocks", "3", "--samples", "64", "--terms", "1e6"};
    int status = run_tool("tests-tools/blocks", blocks, COUNT(blocks), plan, b);
    if (status) return status == EXIT_USER && strstr(b->s, "FAIL") ? DIFFERENT : STOPPED;
    const char *cubins[] = {"cubins", "--arch", set.arch};
    return set.arch && run_tool("ect-rt", cubins, COUNT(cubins), plan, b) ? CUBINS : GOOD;
}

/* log: heap, what the failing step printed. */
static Verdict check(const char *model, char **log)
{
    StrBuf b = {0};
    char *full = xasprintf("%s/full", tmp_dir), *none = xasprintf("%s/none", tmp_dir), *cache = xasprintf("%s/cache", tmp_dir);
    Verdict v = GOOD;
    setenv("ECT_CACHE", cache, 1);
    setenv("ECT_KERNEL_UNIT", set.level, 1);
    setenv("TMPDIR", tmp_dir, 1);
    const bool large = sizes == &large_sizes;
    for (int i = 0; i < (large ? 1 : 2) && v == GOOD; i++) {
        sb_free(&b);
        b = (StrBuf){0};
        int status = compile(model, i ? "none" : "full", i ? none : full, &b);
        if (status) {
            v = status == EXIT_USER ? REFUSED : COMPILER;
            sb_printf(&b, "exit status %d%s\n", status, i ? " with --fusion none" : "");
        }
    }
    if (large && v == GOOD && !compile_only) v = check_large(full, &b);
    if (v == GOOD && !compile_only && !large && (set.emu || !set.cuda)) {
        Args a = {0};
        char *agree = xasprintf("%s/tests-tools/agree", bin_dir);
        const char *fixed[] = {"/usr/bin/env", "timeout", "300", agree, "--scaled", set.emu ? "--emu" : "--scaled", "--bin", bin_dir, full, none};
        for (size_t i = 0; i < COUNT(fixed); i++) add(&a, fixed[i]);
        sb_free(&b);
        b = (StrBuf){0};
        int status = step(&a, &b);
        if (status) v = status != EXIT_USER || strstr(b.s, "does not run") || strstr(b.s, "killed by") ? STOPPED : DIFFERENT;
        if (status && status != EXIT_USER) sb_printf(&b, "exit status %d\n", status);
    }
    for (int i = 0; i < 2 && v == GOOD && !compile_only && !large && (set.emu ? NULL : set.exact); i++) {
        Args a = {0};
        char *exact = xasprintf("%s/tests-tools/exact", bin_dir);
        const char *fixed[] = {"/usr/bin/env", "timeout", "300", exact, "--headers", set.exact};
        for (size_t k = 0; k < COUNT(fixed); k++) add(&a, fixed[k]);
        if (set.cuda) add(&a, "--cuda");
        add(&a, i ? none : full);
        sb_free(&b);
        b = (StrBuf){0};
        int status = step(&a, &b);
        if (status) v = status == EXIT_USER ? INEXACT : STOPPED;
    }
    if (file_exists(cache)) remove_tree(cache);
    if (file_exists(full)) remove_tree(full);
    if (file_exists(none)) remove_tree(none);
    sb_puts(&b, "");
    *log = b.s;
    return v;
}

static Verdict check_text(const char *text, char **log)
{
    char *path = xasprintf("%s/model.dsl", tmp_dir);
    if (!write_file_atomic(path, text, strlen(text))) machine_error("cannot write %s: %s", path, strerror(errno));
    Verdict v = check(path, log);
    free(path);
    return v;
}

static bool fails_alike(const char *text, void *ctx)
{
    char *log;
    bool same = check_text(text, &log) == *(Verdict *)ctx;
    free(log);
    return same;
}

static void show_log(const char *log)
{
    for (const char *line = log; *line;) {           /* what went well is not shown */
        size_t n = strcspn(line, "\n");
        if (strncmp(line, "ok ", 3)) printf("    %.*s\n", (int)MIN(n, 300), line);
        line += n + (line[n] == '\n');
    }
}

/* One seed; true when all is well. */
static bool check_seed(uint64_t seed, bool reducing)
{
    ProgramPlan *p = plan_of_seed(seed);
    char *text = generate(p), *log;
    Verdict v = check_text(text, &log);
    if (verbose) printf("seed %llu: %s\n%s", (unsigned long long)seed, verdict_text[v], log);
    if (v != GOOD) {
        printf("FAIL seed %llu: %s\n", (unsigned long long)seed, verdict_text[v]);
        show_log(log);
        if (reducing) {
            free(log);
            free(text);
            compile_only = v == REFUSED || v == COMPILER;
            p = reduce(p, fails_alike, &v, atof(set.seconds));
            compile_only = false;
            plan_replay(p);
            text = generate(p);
            check_text(text, &log);
            show_log(log);
        }
        printf("%s\nrepeat: fuzz --seed %llu", text, (unsigned long long)seed);
        for (int i = 0; i < set.n_extra; i++) printf("%s %s", i ? "" : " --", set.extra[i]);
        printf("\n");
        if (set.keep) {
            char *path = xasprintf("%s/seed-%llu.dsl", set.keep, (unsigned long long)seed);
            if (!make_dirs(set.keep) || !write_file_atomic(path, text, strlen(text)))
                machine_error("cannot write %s: %s", path, strerror(errno));
            printf("kept: %s\n", path);
            free(path);
        }
    }
    fflush(stdout);
    free(log);
    free(text);
    plan_drop(p);
    return v == GOOD;
}

static void usage(FILE *to)
{
    fputs("usage: fuzz --seed S [--count N] [options] [-- ECTC OPTIONS]      check the programs of N seeds from S on\n"
          "       fuzz FILE.dsl... [options] [-- ECTC OPTIONS]             check these texts\n"
          "       fuzz --print S                                           the text of a seed\n\n"
          "  --bin DIR        the build (build)\n"
          "  --ectc FILE      the compiler (DIR/ectc)\n"
          "  --level FLAG     how kernels are compiled (-O1)\n"
          "  --exact DIR      in exact mode too, with the headers in DIR (tests/exact)\n"
          "  --cuda           with --exact: only that, of the kernels' CUDA texts\n"
          "  --emu            the CUDA texts on cuda-emu, every access checked, instead of the C kernels; without exact mode\n"
          "  --large          programs with the sizes of layers: blocks of their kernels' CUDA texts against the graph, nothing else\n"
          "  --arch SM        with --large: NVRTC compiles them for it, without a warning or a spill\n"
          "  --stop           end at the first that fails\n"
          "  --verbose        print every comparison\n"
          "  --keep DIR       write failing texts there, reduced\n"
          "  --reduce SECONDS how long a failing text is reduced (120; 0: not at all)\n", to);
}

static const char *value(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) user_error("%s needs a value", argv[*i]);
    return argv[++*i];
}

static uint64_t number(const char *s)
{
    char *end;
    uint64_t v = strtoull(s, &end, 10);
    if (!*s || *end) user_error("`%s` is no number", s);
    return v;
}

int main(int argc, char **argv)
{
    prog_name = "fuzz";
    uint64_t seed = 0, count = 1;
    bool seeded = false;
    Args files = {0};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--")) {
            set.extra = argv + i + 1;
            set.n_extra = argc - i - 1;
            break;
        } else if (!strcmp(a, "--seed")) seed = number(value(argc, argv, &i)), seeded = true;
        else if (!strcmp(a, "--count")) count = number(value(argc, argv, &i));
        else if (!strcmp(a, "--bin")) bin_dir = value(argc, argv, &i);
        else if (!strcmp(a, "--ectc")) set.ectc = value(argc, argv, &i);
        else if (!strcmp(a, "--level")) set.level = value(argc, argv, &i);
        else if (!strcmp(a, "--exact")) set.exact = value(argc, argv, &i);
        else if (!strcmp(a, "--cuda")) set.cuda = true;
        else if (!strcmp(a, "--emu")) set.emu = true;
        else if (!strcmp(a, "--large")) sizes = &large_sizes;
        else if (!strcmp(a, "--arch")) set.arch = value(argc, argv, &i);
        else if (!strcmp(a, "--keep")) set.keep = value(argc, argv, &i);
        else if (!strcmp(a, "--reduce")) set.seconds = value(argc, argv, &i);
        else if (!strcmp(a, "--stop")) stop = true;
        else if (!strcmp(a, "--verbose")) verbose = true;
        else if (!strcmp(a, "--print")) return fputs(generate(plan_of_seed(number(value(argc, argv, &i)))), stdout), EXIT_OK;
        else if (!strcmp(a, "--help")) return usage(stdout), EXIT_OK;
        else if (a[0] == '-') user_error("unknown option %s\n  help: fuzz --help", a);
        else add(&files, a);
    }
    if (!seeded && !files.n) return usage(stderr), EXIT_USER;
    if (set.cuda && !set.exact) user_error("--cuda needs --exact DIR");
    if (!set.ectc) set.ectc = xasprintf("%s/ectc", bin_dir);
    make_tmp("fuzz");
    int failed = 0;
    double began = now_seconds();
    for (int i = 0; i < files.n; i++) {
        char *log;
        Verdict v = check(files.v[i], &log);
        printf("%s %s: %s\n", v == GOOD ? "ok  " : "FAIL", files.v[i], verdict_text[v]);
        if (v != GOOD) show_log(log), failed++;
        free(log);
        fflush(stdout);
    }
    int ran = files.n;
    for (uint64_t i = 0; seeded && i < count && !(stop && failed); i++, ran++)
        failed += !check_seed(seed + i, atof(set.seconds) > 0);
    printf("%d programs, %d failed, %.0f s\n", ran, failed, now_seconds() - began);
    return failed ? EXIT_USER : EXIT_OK;
}
