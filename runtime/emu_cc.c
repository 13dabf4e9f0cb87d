/* CUDA texts to host code for cuda-emu: the C++ compiler, one library a kernel, through the object cache; the libraries' symbols.
   Assumes g++ or clang++ options; with checks -fsanitize=thread puts calls before accesses, which cuda_emu.hpp defines: its library is not linked. */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cache/cache.h"
#include "runtime/emu_internal.h"

extern char **environ;
extern const unsigned char emu_header_text[];        /* emu_api.h and cuda_emu.hpp */

static const char *const COMPILE_FLAGS[] = {"-std=c++17", "-O1", "-g1", "-fPIC", "-fno-exceptions", "-fno-rtti",
                                            "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off", "-fno-threadsafe-statics"};
static const char *const CHECK_FLAGS[] = {"-fsanitize=thread", "--param", "tsan-instrument-func-entry-exit=0", "-DECT_EMU_CHECK"};
enum { MAX_JOBS = 16, FORMAT = 1, MAX_ARGV = 40 };

/* ---- the compiler ---- */
const char *emu_compiler(const char **why)
{
    static char line[512], reason[256];
    static int known;
    if (!known) {
        const char *cxx = getenv("CXX");
        const char *const names[] = {cxx && *cxx ? cxx : "g++", "c++", "clang++"};
        known = -1;
        for (size_t i = 0; i < COUNT(names) && known < 0; i++) {
            char *command = xasprintf("command -v %s 2>/dev/null && %s --version 2>/dev/null", names[i], names[i]), path[256] = "", version[200] = "";
            FILE *f = popen(command, "r");
            if (f && fgets(path, sizeof path, f) && fgets(version, sizeof version, f)) {
                path[strcspn(path, "\n")] = version[strcspn(version, "\n")] = 0;
                snprintf(line, sizeof line, "%s: %s", path, version);
                known = 1;
            }
            if (f) pclose(f);
            free(command);
            if (cxx && *cxx) break;                  /* a compiler asked for by name is not replaced silently */
        }
        if (known < 0) snprintf(reason, sizeof reason, cxx && *cxx ? "CXX=%.200s does not run" : "no g++, c++ or clang++ in PATH", cxx);
    }
    if (why) *why = reason;
    return known > 0 ? line : NULL;
}

/* ---- the text ---- */
/* `extern __shared__ TYPE NAME[];` is memory that the launch brings: here a pointer to it. Nothing else of the text changes, no line moves. */
static void put_text(StrBuf *b, const char *text)
{
    static const char DYNAMIC[] = "extern __shared__";
    for (const char *p; (p = strstr(text, DYNAMIC)); ) {
        const char *semicolon = strchr(p, ';'), *bracket = strchr(p, '['), *from = p + sizeof DYNAMIC - 1;
        if (!semicolon || !bracket || bracket > semicolon) break;
        const char *align = strstr(from, "__align__");
        if (align && align < bracket) {
            const char *close = strchr(align, ')');
            if (close && close < bracket) from = close + 1;
        }
        const char *name = bracket;
        while (name > from && name[-1] == ' ') name--;
        const char *end = name;
        while (name > from && (name[-1] == '_' || (name[-1] >= '0' && name[-1] <= '9') || ((name[-1] | 32) >= 'a' && (name[-1] | 32) <= 'z'))) name--;
        sb_write(b, text, (size_t)(p - text));
        sb_printf(b, "%.*s *const %.*s = (%.*s *)ect_emu_dynamic();", (int)(name - from), from, (int)(end - name), name, (int)(name - from), from);
        text = semicolon + 1;
    }
    sb_puts(b, text);
}

/* What stands in front of every kernel. */
static char *make_head(const EmuOptions *o)
{
    StrBuf b = {0};
    if (o->draw_inputs) sb_puts(&b, "#define ECT_DRAW_INPUTS 1\n");
    if (o->exact) {                                  /* the number type first: what the header is made for */
        sb_puts(&b, "#define ECT_EMU_EXACT 1\n#line 1 \"prelude.h\"\n");
        sb_puts(&b, o->exact);
    }
    sb_puts(&b, "#line 1 \"cuda_emu.hpp\"\n");
    sb_puts(&b, (const char *)emu_header_text);
    sb_puts(&b, "#line 1 \"prelude.cuh\"\n");
    sb_puts(&b, o->prelude);
    sb_putc(&b, '\n');
    return b.s;
}

static char *make_unit(const EmuSource *s)
{
    StrBuf b = {0};
    sb_printf(&b, "#line 1 \"%s\"\n", s->path);
    put_text(&b, s->text);
    sb_puts(&b, "\n#line 1 \"entries\"\n");
    for (int i = 0; i < s->n_entries; i++) sb_printf(&b, "ECT_EMU_ENTRY(%s)\n", s->entry[i]);
    sb_puts(&b, "ECT_EMU_END\n");
    return b.s;
}

static int flags_of(const EmuOptions *o, const char **argv)
{
    int n = 0;
    for (size_t i = 0; i < COUNT(COMPILE_FLAGS); i++) argv[n++] = COMPILE_FLAGS[i];
    if (o->check) for (size_t i = 0; i < COUNT(CHECK_FLAGS); i++) argv[n++] = CHECK_FLAGS[i];
    if (o->strict) {
        static const char *const STRICT[] = {"-Wall", "-Wextra", "-Werror"};
        for (size_t i = 0; i < COUNT(STRICT); i++) argv[n++] = STRICT[i];
    } else argv[n++] = "-w";
    return n;
}

static char *make_key(const char *head, const char *unit, const EmuOptions *o)
{
    StrBuf b = {0};
    const char *flags[MAX_ARGV];
    int n = flags_of(o, flags);
    sb_printf(&b, "cuda-emu format %d\ncompiler %s\nflags", FORMAT, emu_compiler(NULL));
    for (int i = 0; i < n; i++) sb_printf(&b, " %s", flags[i]);
    sb_printf(&b, "\n%s%s", head, unit);
    return b.s;
}

/* ---- running it ---- */
typedef struct { pid_t pid; int which; } Job;
static char *temp;

static char *in_temp(int i, const char *suffix)
{
    return xasprintf("%s/%d%s", temp, i, suffix);
}

static void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f))
        machine_error("cannot write %s: %s; kernels are compiled in $TMPDIR or /tmp, which needs a few MB", path, strerror(errno));
}

/* `script` in a shell: its first arguments $1 to $5, then the flags. */
static pid_t shell(const char *script, const char *const args[4], const char *log, const EmuOptions *o)
{
    char *compiler = xstrdup(emu_compiler(NULL));
    *strchr(compiler, ':') = 0;
    const char *argv[MAX_ARGV + 10] = {"/bin/sh", "-c", script, "sh", compiler, args[0], args[1], args[2], args[3]};
    int n = flags_of(o, argv + 9);
    argv[9 + n] = NULL;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&fa, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&fa, 1, 2);
    pid_t pid;
    int e = posix_spawn(&pid, argv[0], &fa, NULL, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    if (e) machine_error("cannot run /bin/sh: %s", strerror(e));
    free(compiler);
    return pid;
}

/* Compiles and links in one shell: the second step must not see -fsanitize. */
static pid_t start(int i, const char *unit, const EmuOptions *o)
{
    char *source = in_temp(i, ".cpp"), *object = in_temp(i, ".o"), *so = in_temp(i, ".so"), *log = in_temp(i, ".log"), *head = xasprintf("%s/head.hpp", temp);
    put_file(source, unit);
    pid_t pid = shell("cxx=$1 src=$2 obj=$3 so=$4 head=$5; shift 5; \"$cxx\" \"$@\" -include \"$head\" -c -o \"$obj\" \"$src\" && "
                      "\"$cxx\" -shared -Wl,-Bsymbolic -Wl,-z,now -o \"$so\" \"$obj\" -lm", (const char *[]){source, object, so, head}, log, o);
    free(source);
    free(object);
    free(so);
    free(log);
    free(head);
    return pid;
}

/* The head for kernels to include, compiled once where they are several: it is longer than most of them. A compiler that cannot do that reads it each time. */
static void put_head(const char *text, bool once, const EmuOptions *o)
{
    char *head = xasprintf("%s/head.hpp", temp);
    put_file(head, text);
    if (once) {
        pid_t pid = shell("cxx=$1 head=$2; shift 5; \"$cxx\" \"$@\" -x c++-header -o \"$head.gch\" \"$head\" || rm -f \"$head.gch\"",
                          (const char *[]){head, "", "", ""}, "/dev/null", o);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) { }
    }
    free(head);
}

static void compile(const char *head, const EmuSource *source, char **unit, char **key, const int *missing, int n, const EmuOptions *o)
{
    const char *root = getenv("TMPDIR");
    temp = xasprintf("%s/ect-emu-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(temp)) machine_error("no folder to compile in: %s: %s", temp, strerror(errno));
    put_head(head, n > 2, o);
    Job job[MAX_JOBS];
    int jobs = 0, next = 0, done = 0;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    const int most = cpus < 1 ? 1 : cpus > MAX_JOBS ? MAX_JOBS : (int)cpus;
    while (done < n) {
        while (jobs < most && next < n) {
            job[jobs++] = (Job){start(missing[next], unit[missing[next]], o), missing[next]};
            next++;
        }
        int status;
        while (waitpid(job[0].pid, &status, 0) < 0 && errno == EINTR) { }
        const int i = job[0].which;
        memmove(job, job + 1, (size_t)--jobs * sizeof *job);
        char *so = in_temp(i, ".so"), *log = in_temp(i, ".log");
        size_t len;
        char *bytes = status ? NULL : read_file(so, &len);
        if (!bytes) {
            char *text = read_file(log, NULL);
            for (int k = 0; k < jobs; k++) while (waitpid(job[k].pid, NULL, 0) < 0 && errno == EINTR) { }
            remove_tree(temp);
            machine_error("the C++ compiler could not compile %s (%s)\n%.3000s", source[i].path, emu_compiler(NULL), text ? text : "");
        }
        cache_put(key[i], strlen(key[i]), bytes, len);
        free(unit[i]);
        unit[i] = bytes;                             /* the library now, its length in key */
        free(key[i]);
        key[i] = xmalloc(sizeof len);
        memcpy(key[i], &len, sizeof len);
        free(so);
        free(log);
        done++;
    }
    remove_tree(temp);
    free(temp);
}

/* ---- loading ---- */
static int by_address(const void *a, const void *b)
{
    const EmuArray *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* _ZZ7productE4tile is `tile` of the function `product`. */
static char *array_name(const char *symbol)
{
    if (strncmp(symbol, "_ZZ", 3)) return xstrdup(symbol);
    char *at;
    const unsigned long skip = strtoul(symbol + 3, &at, 10);
    if (skip >= strlen(at)) return xstrdup(symbol);
    const char *local = strchr(at + skip, 'E');
    const unsigned long n = local ? strtoul(local + 1, &at, 10) : 0;
    return n && n <= strlen(at) ? xasprintf("%.*s", (int)n, at) : xstrdup(symbol);
}

/* The symbols of the section that shared arrays lie in. */
static void read_arrays(EmuKernel *k, const char *file)
{
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)file;
    const Elf64_Shdr *s = (const Elf64_Shdr *)(file + h->e_shoff);
    const char *names = file + s[h->e_shstrndx].sh_offset;
    int shared = -1;
    for (int i = 0; i < h->e_shnum; i++)
        if (!strcmp(names + s[i].sh_name, "ect_shared")) {
            shared = i;
            k->shared = k->base + s[i].sh_addr;
            k->shared_end = k->shared + s[i].sh_size;
        }
    for (int i = 0; i < h->e_shnum; i++) {
        if (s[i].sh_type != SHT_SYMTAB) continue;
        const Elf64_Sym *sym = (const Elf64_Sym *)(file + s[i].sh_offset);
        const size_t n = s[i].sh_size / sizeof *sym;
        const char *text = file + s[s[i].sh_link].sh_offset;
        for (size_t j = 0; j < n; j++) {
            const char *name = text + sym[j].st_name;
            if (sym[j].st_shndx != shared || ELF64_ST_TYPE(sym[j].st_info) != STT_OBJECT || !sym[j].st_size || strstr(name, "ect_gap_")) continue;
            EmuArray a = {array_name(name), k->base + sym[j].st_value, sym[j].st_size};
            vec_push(k->array, k->n_arrays, k->cap_arrays, a);
        }
        break;
    }
    if (k->n_arrays) qsort(k->array, (size_t)k->n_arrays, sizeof *k->array, by_address);
}

static int extent(struct dl_phdr_info *info, size_t size, void *to)
{
    (void)size;
    EmuKernel *k = to;
    if (info->dlpi_addr != k->base) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD) k->end = MAX(k->end, k->base + p->p_vaddr + p->p_memsz);
    }
    return 1;
}

static void *symbol(const EmuKernel *k, const char *prefix, const char *name)
{
    char *full = xasprintf("%s%s", prefix, name);
    void *p = dlsym(k->lib, full);
    free(full);
    if (!p) user_error("%s does not define the kernel %s; the plan was edited or is of another version, compile it again with ectc", k->path, name);
    return p;
}

static void load(EmuKernel *k, const EmuSource *s, const char *bytes, size_t len)
{
    k->name = xstrdup(s->name);
    k->path = xstrdup(s->path);
    k->fd = memfd_create("ect-emu", MFD_CLOEXEC);
    if (k->fd < 0 || write(k->fd, bytes, len) != (ssize_t)len) machine_error("cannot keep an emulated kernel in memory: %s", strerror(errno));
    char *file = xasprintf("/proc/self/fd/%d", k->fd);        /* open as long as the library is: no other gets its number */
    k->lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (!k->lib) machine_error("an emulated kernel does not load: %s", dlerror());
    free(file);
    struct link_map *map;
    if (dlinfo(k->lib, RTLD_DI_LINKMAP, &map)) machine_error("an emulated kernel does not load: %s", dlerror());
    k->base = (uintptr_t)map->l_addr;
    dl_iterate_phdr(extent, k);
    k->api = (EctEmuApi **)symbol(k, "ect_emu", "");
    k->n_entries = s->n_entries;
    k->entry = xcalloc((size_t)s->n_entries + 1, sizeof *k->entry);
    k->entry_name = xcalloc((size_t)s->n_entries + 1, sizeof *k->entry_name);
    k->arg_bytes = xcalloc((size_t)s->n_entries + 1, sizeof *k->arg_bytes);
    for (int i = 0; i < s->n_entries; i++) {
        k->entry_name[i] = xstrdup(s->entry[i]);
        k->entry[i] = (EmuEntry *)symbol(k, "ect_emu_enter_", s->entry[i]);
        k->arg_bytes[i] = *(const unsigned *)symbol(k, "ect_emu_size_", s->entry[i]);
    }
    read_arrays(k, bytes);
}

char *kernel_where(const EmuKernel *k, const void *pc)
{
    char *command = xasprintf("addr2line -e /proc/%ld/fd/%d 0x%lx 2>/dev/null", (long)getpid(), k->fd, (unsigned long)((uintptr_t)pc - 1 - k->base)), line[512];
    FILE *f = popen(command, "r");
    char *out = NULL;
    if (f && fgets(line, sizeof line, f) && *line != '?') {
        line[strcspn(line, " \n")] = 0;
        const char *in = strstr(line, k->path);      /* without the folder that it was compiled in */
        out = xstrdup(in ? in : line);
    }
    if (f) pclose(f);
    free(command);
    return out ? out : xasprintf("%s", k->path);
}

EmuCode *emu_load(const EmuSource *source, int n, const EmuOptions *options)
{
    const char *why;
    if (!emu_compiler(&why)) machine_error("cuda-emu needs a C++ compiler: %s; `apt install g++` mends that", why);
    EmuCode *c = xcalloc(1, sizeof *c);
    c->options = *options;
    c->n = n;
    c->kernel = xcalloc((size_t)n + 1, sizeof *c->kernel);
    char **unit = xcalloc((size_t)n + 1, sizeof *unit), **key = xcalloc((size_t)n + 1, sizeof *key);
    int *missing = xcalloc((size_t)n + 1, sizeof *missing), n_missing = 0;
    char *head = make_head(options);
    for (int i = 0; i < n; i++) {
        unit[i] = make_unit(&source[i]);
        key[i] = make_key(head, unit[i], options);
        void *bytes;
        size_t len;
        if (!cache_get(key[i], strlen(key[i]), &bytes, &len)) {
            missing[n_missing++] = i;
            continue;
        }
        free(unit[i]);
        unit[i] = bytes;
        free(key[i]);
        key[i] = xmalloc(sizeof len);
        memcpy(key[i], &len, sizeof len);
    }
    if (n_missing) compile(head, source, unit, key, missing, n_missing, options);
    free(head);
    c->compiled = n_missing;
    for (int i = 0; i < n; i++) {
        size_t len;
        memcpy(&len, key[i], sizeof len);
        load(&c->kernel[i], &source[i], unit[i], len);
        free(unit[i]);
        free(key[i]);
    }
    free(unit);
    free(key);
    free(missing);
    return c;
}

void emu_unload(EmuCode *c)
{
    if (!c) return;
    for (int i = 0; i < c->n; i++) {
        EmuKernel *k = &c->kernel[i];
        dlclose(k->lib);
        close(k->fd);
        for (int e = 0; e < k->n_entries; e++) free(k->entry_name[e]);
        free(k->name);
        free(k->path);
        free(k->entry);
        free(k->entry_name);
        free(k->arg_bytes);
        for (int a = 0; a < k->n_arrays; a++) free((char *)k->array[a].name);
        free(k->array);
    }
    free(c->kernel);
    free(c);
}
