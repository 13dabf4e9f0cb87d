/* NVRTC by dlsym: one text to a cubin and a log.
   Assumes NVRTC 12.0 or later; its functions may be called from several threads, for different programs. */
#include "runtime/cubins.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <sys/stat.h>

typedef struct _nvrtcProgram *Program;
typedef int Result;                                  /* 0 is success, 6 an error in the text, which the log tells */
static struct {
    bool looked;
    int major, minor;
    char *identity, *why;
    Result (*version)(int *, int *);
    Result (*create)(Program *, const char *src, const char *name, int n, const char *const *headers, const char *const *names);
    Result (*compile)(Program, int n, const char *const *options);
    Result (*destroy)(Program *);
    Result (*log_size)(Program, size_t *), (*log)(Program, char *);
    Result (*cubin_size)(Program, size_t *), (*cubin)(Program, char *);
    const char *(*error)(Result);
} rtc;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- which build it is: the version has no patch level, and another build may make other code ---- */
typedef struct { ElfW(Addr) base; char *id; } IdSearch;

static int find_id(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    IdSearch *s = data;
    if (info->dlpi_addr != s->base) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        if (h->p_type != PT_NOTE) continue;
        const char *p = (const char *)(info->dlpi_addr + h->p_vaddr), *end = p + h->p_memsz;
        while (p + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *n = (const ElfW(Nhdr) *)p;
            const char *name = p + sizeof *n, *desc = name + (n->n_namesz + 3) / 4 * 4;
            if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && !memcmp(name, "GNU", 4)) {
                StrBuf b = {0};
                for (unsigned k = 0; k < n->n_descsz; k++) sb_printf(&b, "%02x", (unsigned char)desc[k]);
                s->id = b.s;
                return 1;
            }
            p = desc + (n->n_descsz + 3) / 4 * 4;
        }
    }
    return 1;
}

static char *identify(void *lib)
{
    struct link_map *map = NULL;
    if (dlinfo(lib, RTLD_DI_LINKMAP, &map) || !map) return xasprintf("NVRTC %d.%d", rtc.major, rtc.minor);
    IdSearch s = {.base = map->l_addr};
    dl_iterate_phdr(find_id, &s);
    if (!s.id) {                                     /* no build-id: its size and time are what is known */
        struct stat st = {0};
        stat(map->l_name, &st);
        return xasprintf("NVRTC %d.%d, %lld bytes of %lld", rtc.major, rtc.minor, (long long)st.st_size, (long long)st.st_mtime);
    }
    char *t = xasprintf("NVRTC %d.%d, build-id %s", rtc.major, rtc.minor, s.id);
    free(s.id);
    return t;
}

static void look(void)
{
    void *lib = cuda_library(CUDA_NVRTC, &rtc.why);
    if (!lib) return;
    const struct { const char *name; void *to; } symbols[] = {
        {"nvrtcVersion", &rtc.version}, {"nvrtcCreateProgram", &rtc.create}, {"nvrtcCompileProgram", &rtc.compile},
        {"nvrtcDestroyProgram", &rtc.destroy}, {"nvrtcGetProgramLogSize", &rtc.log_size}, {"nvrtcGetProgramLog", &rtc.log},
        {"nvrtcGetCUBINSize", &rtc.cubin_size}, {"nvrtcGetCUBIN", &rtc.cubin}, {"nvrtcGetErrorString", &rtc.error},
    };
    for (size_t i = 0; i < COUNT(symbols); i++) {
        void *f = dlsym(lib, symbols[i].name);
        if (!f) {
            free(rtc.why);
            rtc.why = xasprintf("NVRTC has no function %s", symbols[i].name);
            return;
        }
        memcpy(symbols[i].to, &f, sizeof f);
    }
    rtc.version(&rtc.major, &rtc.minor);
    rtc.identity = identify(lib);
}

const char *nvrtc_identity(const char **why)
{
    pthread_mutex_lock(&lock);
    if (!rtc.looked) look();
    rtc.looked = true;
    pthread_mutex_unlock(&lock);
    if (why) *why = rtc.why;
    return rtc.identity;
}

static int by_text(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

int nvrtc_options(const char *arch, bool draw_inputs, const char *option[NVRTC_MAX_OPTIONS])
{
    nvrtc_identity(NULL);
    int n = 0;
    char *a = xasprintf("--gpu-architecture=%s", arch);
    option[n++] = sym(a);
    free(a);
    option[n++] = "-std=c++17";
    option[n++] = "--fmad=false";
    option[n++] = "-default-device";
    option[n++] = "--ptxas-options=-v";
    if (rtc.major > 12 || (rtc.major == 12 && rtc.minor >= 9)) option[n++] = "--no-cache";       /* unknown before */
    if (draw_inputs) option[n++] = "-DECT_DRAW_INPUTS=1";
    qsort(option, (size_t)n, sizeof *option, by_text);
    return n;
}

static void compile_once(const char *name, const char *text, const char *const *option, int n, NvrtcResult *r)
{
    Program p = NULL;
    *r = (NvrtcResult){0};
    double began = now_seconds();
    Result e = rtc.create(&p, text, name, 0, NULL, NULL);
    if (!e) e = rtc.compile(p, n, option);
    r->ms = (now_seconds() - began) * 1e3;
    size_t len = 0;
    if (p && !rtc.log_size(p, &len) && len > 1) {
        r->log = xcalloc(1, len + 1);
        rtc.log(p, r->log);
    } else r->log = xstrdup("");
    if (!e) e = rtc.cubin_size(p, &r->bytes);
    if (!e && r->bytes) {
        r->data = xmalloc(r->bytes);
        e = rtc.cubin(p, r->data);
    }
    r->ok = !e && r->bytes;
    if (!r->ok && !*r->log) {
        free(r->log);
        r->log = xasprintf("NVRTC: %s", e ? rtc.error(e) : "it made no cubin");
    }
    if (p) rtc.destroy(&p);
}

void nvrtc_compile(const char *name, const char *text, const char *const *option, int n, NvrtcResult *r)
{
    compile_once(name, text, option, n, r);
    if (!r->ok || *r->log) return;
    NvrtcResult again;
    char *other = xasprintf("again/%s", name), *changed = xasprintf("%s\n// again\n", text);
    compile_once(other, changed, option, n, &again);
    if (again.ok && *again.log) {
        free(r->log);
        r->log = again.log;
    } else free(again.log);
    free(again.data);
    free(other);
    free(changed);
}
