/* jit.h through the system's C compiler: groups of kernels to objects in parallel, or all as one file; one shared object, dlopen.
   Assumes gcc or clang options; a private temporary folder holds everything and is removed before returning. */
#include "runtime/jit.h"
#include "cache/cache.h"
#include "cache/key.h"
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* No contraction to fma behind the text's back: a kernel compiled with its draws as inputs must round like the one that draws.
   Where fma pays (sums of products, random numbers) the text says so. */
static const char *const COMPILE_FLAGS[] = {"-std=gnu11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math",
                                            "-ffp-contract=off", "-fopenmp", "-fPIC", "-w"};
static const char *const LINK_FLAGS[] = {"-shared", "-fopenmp", "-Wl,-z,now"};
enum { MAX_JOBS = 64, GROUP_MAX = 8, FORMAT = 1, OPTIMISE = 1 };      /* OPTIMISE: COMPILE_FLAGS' index of -O3 */

struct Jit {
    void *lib;
    int compiled;
};

/* One compiler run: kernels [first, first + n) of the missing ones. */
typedef struct {
    int first, n;
    pid_t pid;
} Job;

typedef struct {
    const JitSource *src;
    int n;
    const char *prelude, *compiler;
    bool draw_inputs;
    char *head;                                      /* what all keys begin with */
    char **key;
    char *temp;                                      /* folder; "" until made */
    sigset_t old_mask;
    Job job[MAX_JOBS];
    int n_jobs;
} Build;

/* ---- which compiler, which processor ---- */
static char *find_in_path(const char *name)
{
    if (strchr(name, '/')) return access(name, X_OK) ? NULL : xstrdup(name);
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t len = strcspn(path, ":");
        char *full = xasprintf("%.*s/%s", (int)len, path, name);
        if (len && !access(full, X_OK)) return full;
        free(full);
        path += len + (path[len] == ':');
    }
    return NULL;
}

static bool first_line_of(char *const argv[], char *out, size_t size)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC)) return false;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, p[1], 1);
    posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
    pid_t pid;
    int e = posix_spawn(&pid, argv[0], &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    close(p[1]);
    size_t n = 0;
    if (!e) {
        char c;
        ssize_t k;
        bool line = true;
        while ((k = read(p[0], &c, 1)) == 1 || (k < 0 && errno == EINTR)) {
            if (c == '\n') line = false;
            if (k == 1 && line && n + 1 < size) out[n++] = c;
        }
    }
    out[n] = 0;
    close(p[0]);
    int status = 1;
    while (!e && waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return !e && status == 0 && n > 0;
}

static char compiler_path[4096], compiler_line[512], compiler_why[256];

const char *jit_compiler(const char **why)
{
    static char text[sizeof compiler_path + sizeof compiler_line + 2];
    static int known;
    if (!known) {
        const char *cc = getenv("CC");
        const char *const names[] = {cc && *cc ? cc : NULL, "cc", "gcc", "clang"};
        known = -1;
        for (size_t i = 0; i < COUNT(names) && known < 0; i++) {
            char *path = names[i] ? find_in_path(names[i]) : NULL;
            if (path && strlen(path) < sizeof compiler_path) {
                char *const argv[] = {path, "--version", NULL};
                if (first_line_of(argv, compiler_line, sizeof compiler_line)) {
                    strcpy(compiler_path, path);
                    snprintf(text, sizeof text, "%s: %s", compiler_path, compiler_line);
                    known = 1;
                }
            }
            free(path);
            if (i == 0 && known < 0 && names[0]) break;   /* a compiler asked for by name is not replaced silently */
        }
        if (known < 0) snprintf(compiler_why, sizeof compiler_why, cc && *cc ? "CC=%.200s does not run"
                : "no cc, gcc or clang in PATH", cc);
    }
    if (why) *why = compiler_why;
    return known > 0 ? text : NULL;
}

/* Model name and feature flags: -march=native means another thing on another processor. */
static void cpu_identity(char *out, size_t size)
{
    static const char *const FIELDS[] = {"model name", "flags", "Features", "CPU part"};
    size_t used = 0;
    out[0] = 0;
    FILE *f = fopen("/proc/cpuinfo", "r");
    char *line = NULL;
    size_t cap = 0;
    while (f && getline(&line, &cap, f) > 1) {       /* ends at the blank line after the first processor */
        for (size_t i = 0; i < COUNT(FIELDS); i++) {
            char *colon = strchr(line, ':');
            if (!colon || strncmp(line, FIELDS[i], strlen(FIELDS[i]))) continue;
            colon[strcspn(colon, "\n")] = 0;
            if (i == 1 || i == 2) used += (size_t)snprintf(out + used, size - used, "%016llx ", (unsigned long long)hash64(colon,
                    strlen(colon), 0));
            else used += (size_t)snprintf(out + used, size - used, "%.100s ", colon + 2);
            if (used >= size) used = size - 1;
        }
    }
    free(line);
    if (f) fclose(f);
}

/* ---- keys ---- */
static void put_flags(StrBuf *b, const char *const *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) sb_printf(b, "%s ", flags[i]);
    sb_putc(b, '\n');
}

const char *jit_unit(void)
{
    const char *flag = getenv("ECT_KERNEL_UNIT");
    if (!flag || !*flag) return NULL;
    if (strncmp(flag, "-O", 2) || strpbrk(flag, " \t\n")) user_error("ECT_KERNEL_UNIT=%s: it is one of -O0, -O1, -O2, -O3", flag);
    return flag;
}

/* What COMPILE_FLAGS[i] is in this run. */
static const char *compile_flag(size_t i)
{
    const char *unit = i == OPTIMISE ? jit_unit() : NULL;
    return unit ? unit : COMPILE_FLAGS[i];
}

static void make_keys(Build *b)
{
    char cpu[512];
    cpu_identity(cpu, sizeof cpu);
    StrBuf head = {0};
    sb_printf(&head, "\ncompiler %s\nprocessor %s\nformat %d\nflags ", b->compiler, cpu, FORMAT);
    const char *flags[COUNT(COMPILE_FLAGS)];
    for (size_t i = 0; i < COUNT(flags); i++) flags[i] = compile_flag(i);
    put_flags(&head, flags, COUNT(flags));
    sb_puts(&head, "prelude\n");
    key_canonical(&head, b->prelude);
    b->head = head.s;
    b->key = xcalloc((size_t)b->n, sizeof *b->key);
    for (int i = 0; i < b->n; i++) {
        StrBuf k = {0};
        bool variant = b->draw_inputs && key_draws(b->src[i].source);
        sb_printf(&k, "kernel %s%sprelude ends\n%s", b->src[i].name, b->head, variant ? "draws are inputs\n" : "");
        key_canonical(&k, b->src[i].source);
        b->key[i] = k.s;
    }
}

/* ---- the temporary folder ---- */
static void make_temp(Build *b)
{
    const char *const roots[] = {getenv("TMPDIR"), "/tmp", "/dev/shm", cache_dir()};
    int e = ENOENT;
    for (size_t i = 0; i < COUNT(roots); i++) {
        if (!roots[i] || !*roots[i]) continue;
        char *t = xasprintf("%s/ect-jit-XXXXXX", roots[i]);
        if (mkdtemp(t)) {
            b->temp = t;
            return;
        }
        e = errno;
        free(t);
    }
    machine_error("no folder to compile in: tried $TMPDIR, /tmp, /dev/shm (%s)", strerror(e));
}

/* TEMP/NAME.c or .o of kernel i; TEMP/NAME.log of the group that begins with it. */
static char *in_temp(const Build *b, int i, const char *suffix)
{
    return xasprintf("%s/%s%s", b->temp, b->src[i].name, suffix);
}

/* ---- running compilers ---- */
static void kill_jobs(Build *b)
{
    for (int i = 0; i < b->n_jobs; i++) kill(-b->job[i].pid, SIGKILL);
    for (int i = 0; i < b->n_jobs; i++)
        while (waitpid(b->job[i].pid, NULL, 0) < 0 && errno == EINTR) {}
    b->n_jobs = 0;
}

static void write_temp(Build *b, const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "w");
    bool ok = f && fwrite(data, 1, n, f) == n;
    if (f && fclose(f)) ok = false;
    if (!ok) {
        int e = errno;
        kill_jobs(b);
        remove_tree(b->temp);
        machine_error("cannot write %s: %s; kernels are compiled in $TMPDIR or /tmp, which needs a few MB", path, strerror(e));
    }
}

static void hold_signals(Build *b)
{
    sigset_t set;
    sigemptyset(&set);
    static const int SIGNALS[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    for (size_t i = 0; i < COUNT(SIGNALS); i++) sigaddset(&set, SIGNALS[i]);
    pthread_sigmask(SIG_BLOCK, &set, &b->old_mask);
}

static void stop_on_signal(Build *b, int sig)
{
    kill_jobs(b);
    if (isatty(2)) fputc('\n', stderr);
    remove_tree(b->temp);
    signal(sig, SIG_DFL);
    raise(sig);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, sig);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    _exit(128 + sig);
}

/* Waits until one job has ended; returns its index in b->job, its wait status in *status. */
static int wait_job(Build *b, int *status)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    for (;;) {
        for (int i = 0; i < b->n_jobs; i++)
            if (waitpid(b->job[i].pid, status, WNOHANG) == b->job[i].pid) return i;
        int sig = sigtimedwait(&set, NULL, &(struct timespec){.tv_nsec = 50000000});
        if (sig > 0 && sig != SIGCHLD) stop_on_signal(b, sig);
    }
}

static pid_t start(Build *b, char *const argv[], const char *log)
{
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&fa, 1, 2);
    posix_spawnattr_t at;
    posix_spawnattr_init(&at);
    posix_spawnattr_setsigmask(&at, &b->old_mask);
    posix_spawnattr_setpgroup(&at, 0);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    pid_t pid;
    int e = posix_spawn(&pid, argv[0], &fa, &at, argv, environ);
    posix_spawnattr_destroy(&at);
    posix_spawn_file_actions_destroy(&fa);
    if (e) {
        kill_jobs(b);
        remove_tree(b->temp);
        machine_error("cannot run the C compiler %s: %s", argv[0], strerror(e));
    }
    return pid;
}

/* The log is copied out of the temporary folder for the user to look at. */
static NORETURN void compile_failed(Build *b, const char *what, const char *log, int status)
{
    kill_jobs(b);
    size_t len = 0;
    char *text = read_file(log, &len), file[] = "/tmp/ect-compile-XXXXXX";
    int fd = mkstemp(file);
    const char *kept = fd < 0 || (len && write(fd, text, len) != (ssize_t)len) ? "nowhere, /tmp cannot be written" : file;
    if (isatty(2)) fputc('\n', stderr);
    remove_tree(b->temp);
    const char *hint = text && strstr(text, "No space left") ? "; free some disk space"
                       : text && strstr(text, "gomp")        ? "; install the compiler's OpenMP library (libgomp, or libomp-dev "
                           "for clang)"
                       : WIFSIGNALED(status)                 ? "; the compiler was killed, perhaps for memory"
                                                             : "";
    machine_error("the C compiler could not %s (%s)%s\n%.1500s\nlog kept in %s", what, b->compiler, hint, text ? text : "", kept);
}

static void show_progress(int done, int total)
{
    if (isatty(2)) fprintf(stderr, "\rcompiling kernels %d/%d", done, total);
}

static int processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_JOBS ? MAX_JOBS : (int)n;
}

/* `cc -c a.c b.c ...` in the temporary folder: the driver writes a.o, b.o beside. */
static pid_t start_compile(Build *b, const int *missing, int first, int n)
{
    const char *argv[COUNT(COMPILE_FLAGS) + GROUP_MAX + 8];
    int a = 0;
    argv[a++] = "/bin/sh";
    argv[a++] = "-c";
    argv[a++] = "cd \"$0\" && exec \"$@\"";
    argv[a++] = b->temp;
    argv[a++] = compiler_path;
    for (size_t i = 0; i < COUNT(COMPILE_FLAGS); i++) argv[a++] = compile_flag(i);
    if (b->draw_inputs) argv[a++] = "-DECT_DRAW_INPUTS=1";
    argv[a++] = "-c";
    char *names[GROUP_MAX], *log = in_temp(b, missing[first], ".log");
    const char *full[sizeof argv / sizeof *argv + GROUP_MAX];
    memcpy(full, argv, (size_t)a * sizeof *argv);
    for (int i = 0; i < n; i++) {
        names[i] = xasprintf("%s.c", b->src[missing[first + i]].name);
        full[a++] = names[i];
        char *path = in_temp(b, missing[first + i], ".c");
        const char *src = b->src[missing[first + i]].source;
        write_temp(b, path, src, strlen(src));
        free(path);
    }
    full[a] = NULL;
    pid_t pid = start(b, (char *const *)full, log);
    for (int i = 0; i < n; i++) free(names[i]);
    free(log);
    return pid;
}

static void compile_missing(Build *b, const int *missing, int n)
{
    char *path = xasprintf("%s/prelude.h", b->temp);
    write_temp(b, path, b->prelude, strlen(b->prelude));
    free(path);
    int jobs = processors(), next = 0, done = 0;
    int group = n / (4 * jobs);
    group = group < 1 ? 1 : group > GROUP_MAX ? GROUP_MAX : group;
    show_progress(0, n);
    while (done < n) {
        while (b->n_jobs < jobs && next < n) {
            Job j = {.first = next, .n = MIN(group, n - next)};
            j.pid = start_compile(b, missing, j.first, j.n);
            b->job[b->n_jobs++] = j;
            next += j.n;
        }
        int status, i = wait_job(b, &status);
        Job j = b->job[i];
        b->job[i] = b->job[--b->n_jobs];
        char *log = in_temp(b, missing[j.first], ".log");
        if (status) {
            char *what = xasprintf("compile %s", b->src[missing[j.first]].path);
            compile_failed(b, what, log, status);
        }
        free(log);
        for (int k = j.first; k < j.first + j.n; k++) {
            char *obj = in_temp(b, missing[k], ".o");
            size_t len;
            char *bytes = read_file(obj, &len);
            if (bytes) cache_put(b->key[missing[k]], strlen(b->key[missing[k]]), bytes, len);
            free(bytes);
            free(obj);
        }
        done += j.n;
        show_progress(done, n);
    }
    if (isatty(2)) fprintf(stderr, "\r\033[K");
}

/* Links all objects; returns the shared object's bytes. */
static char *link_all(Build *b, size_t *len)
{
    StrBuf list = {0};
    for (int i = 0; i < b->n; i++) sb_printf(&list, "%s/%s.o\n", b->temp, b->src[i].name);
    char *rsp = xasprintf("%s/objects", b->temp), *out = xasprintf("%s/all.so", b->temp), *log = xasprintf("%s/link.log",
        b->temp);
    char *at = xasprintf("@%s", rsp);
    write_temp(b, rsp, list.s, list.len);
    const char *argv[COUNT(LINK_FLAGS) + 8];
    int a = 0;
    argv[a++] = compiler_path;
    for (size_t i = 0; i < COUNT(LINK_FLAGS); i++) argv[a++] = LINK_FLAGS[i];
    argv[a++] = "-o";
    argv[a++] = out;
    argv[a++] = at;
    argv[a++] = "-lm";
    argv[a] = NULL;
    b->job[0].pid = start(b, (char *const *)argv, log);
    b->n_jobs = 1;
    int status;
    wait_job(b, &status);
    b->n_jobs = 0;
    char *bytes = status ? NULL : read_file(out, len);
    if (!bytes) compile_failed(b, "link the kernels", log, status);
    sb_free(&list);
    free(rsp);
    free(out);
    free(log);
    free(at);
    return bytes;
}

/* Objects out of the cache into the temporary folder; the rest is compiled. Returns how many were. */
static int make_objects(Build *b)
{
    int *missing = xmalloc((size_t)b->n * sizeof *missing), n = 0;
    for (int i = 0; i < b->n; i++) {
        void *bytes;
        size_t len;
        if (cache_get(b->key[i], strlen(b->key[i]), &bytes, &len)) {
            char *obj = in_temp(b, i, ".o");
            write_temp(b, obj, bytes, len);
            free(obj);
            free(bytes);
        } else missing[n++] = i;
    }
    if (n && cache_only) {
        StrBuf names = {0};
        for (int i = 0; i < n; i++) sb_printf(&names, "\n  %s", b->src[missing[i]].name);
        remove_tree(b->temp);
        machine_error("--require-cached: %d kernels are not in the cache:%s\na run without the option compiles them", n, names.s);
    }
    if (n) compile_missing(b, missing, n);
    free(missing);
    return n;
}

/* ---- loading ---- */
/* From memory: a file just written on a network file system may not be there yet for dlopen. */
static void *load_bytes(const char *bytes, size_t len, const char **why)
{
    int fd = memfd_create("ect-kernels", MFD_CLOEXEC);
    size_t done = 0;
    while (fd >= 0 && done < len) {
        ssize_t k = write(fd, bytes + done, len - done);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) break;
        done += (size_t)k;
    }
    if (fd < 0 || done < len) {
        *why = strerror(errno);
        if (fd >= 0) close(fd);
        return NULL;
    }
    /* dlopen takes two files of one name for one file, and descriptors are used again: each gets a name of its own. */
    static int serial;
    StrBuf name = {0};
    sb_puts(&name, "/proc/self/fd/");
    for (int i = 0; i < serial; i++) sb_puts(&name, "./");
    sb_printf(&name, "%d", fd);
    serial++;
    char *path = name.s;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib) *why = dlerror();
    free(path);
    close(fd);
    return lib;
}

Jit *jit_load(const JitSource *src, int n, const char *prelude, bool draw_inputs, KernelFn **fn)
{
    Jit *j = xcalloc(1, sizeof *j);
    if (!n) return j;
    const JitSource *part = src;
    const int n_parts = n;
    JitSource unit = {.name = "unit", .path = "the kernels as one file"};
    StrBuf text = {0};
    if (jit_unit()) {                                /* the functions' names are distinct, and the prelude guards itself */
        for (int i = 0; i < n; i++) sb_printf(&text, "%s\n", src[i].source);
        unit.source = text.s;
        src = &unit;
        n = 1;
    }
    const char *why;
    Build b = {.src = src, .n = n, .prelude = prelude, .draw_inputs = draw_inputs, .compiler = jit_compiler(&why)};
    if (!b.compiler)
        machine_error("no C compiler: %s. `apt install gcc` gives one, CC=PATH names one, `--device ref` does without (slow)",
            why);
    double began = now_seconds();
    make_keys(&b);
    StrBuf all = {0};
    sb_printf(&all, "program of %d kernels%s\nlink ", n, b.head);
    put_flags(&all, LINK_FLAGS, COUNT(LINK_FLAGS));
    for (int i = 0; i < n; i++) {
        sb_printf(&all, "object %zu\n", strlen(b.key[i]));
        sb_puts(&all, strstr(b.key[i], "prelude ends\n"));
    }
    void *bytes = NULL;
    size_t len = 0;
    if (cache_get(all.s, all.len, &bytes, &len)) j->lib = load_bytes(bytes, len, &why);
    if (!j->lib) {
        free(bytes);
        hold_signals(&b);
        make_temp(&b);
        j->compiled = make_objects(&b);
        bytes = link_all(&b, &len);
        remove_tree(b.temp);
        free(b.temp);
        pthread_sigmask(SIG_SETMASK, &b.old_mask, NULL);
        cache_put(all.s, all.len, bytes, len);
        j->lib = load_bytes(bytes, len, &why);
        if (!j->lib) machine_error("the compiled kernels do not load: %s", why);
        if (j->compiled) fprintf(stderr, "compiled %d of %d kernels in %.1f s\n", j->compiled, n, now_seconds() - began);
    }
    for (int i = 0; i < n_parts; i++) {
        fn[i] = (KernelFn *)dlsym(j->lib, part[i].name);
        if (!fn[i]) user_error("%s does not define the function %s; the plan was edited or is of another version, compile it "
                "again with ectc",
                               part[i].path, part[i].name);
    }
    for (int i = 0; i < n; i++) free(b.key[i]);
    free(b.key);
    sb_free(&text);
    free(b.head);
    free(bytes);
    sb_free(&all);
    return j;
}

void jit_close(Jit *j)
{
    if (!j) return;
    if (j->lib) dlclose(j->lib);
    free(j);
}

int jit_compiled(const Jit *j)
{
    return j->compiled;
}
