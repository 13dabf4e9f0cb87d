/* Where CUDA's libraries are: the driver, NVRTC, cuBLASLt; versions that are too old are passed over.
   Assumes glibc's dlinfo. Nothing of CUDA is needed to build this. */
#include "runtime/cubins.h"
#include <dlfcn.h>
#include <glob.h>
#include <link.h>
#include <pthread.h>

enum { NAMES = 3 };
typedef struct {
    const char *title, *soname[NAMES], *symbol, *package;
    int minimum;                                     /* 1000 major + 10 minor */
    const char *need;
} Library;
static const Library LIBRARY[CUDA_LIBRARIES] = {
    [CUDA_DRIVER] = {"driver", {"libcuda.so.1"}, "cuDriverGetVersion", "NVIDIA's driver (nvidia-smi shows it), and in a container its libraries "
                     "(docker run --gpus all)", 12000, "a driver for CUDA 12.0 (525) or later"},
    [CUDA_NVRTC] = {"NVRTC", {"libnvrtc.so.13", "libnvrtc.so.12"}, "nvrtcVersion", "`apt install cuda-nvrtc-13-0` or `pip install nvidia-cuda-nvrtc`",
                    12000, "NVRTC 12.0 or later"},
    [CUDA_CUBLASLT] = {"cuBLASLt", {"libcublasLt.so.13", "libcublasLt.so.12"}, "cublasLtGetVersion", "`apt install libcublas-13-0` or "
                       "`pip install nvidia-cublas`", 12000, "cuBLASLt 12.0 or later"},
};
static const char *const PLACES[] = {"", "lib64", "lib", "lib/x86_64-linux-gnu", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"};

static struct { bool looked; void *handle; char *what; } found[CUDA_LIBRARIES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* 1000 major + 10 minor, as cudaDriverGetVersion counts. */
static int version_of(CudaLibrary which, void *lib)
{
    void *f = dlsym(lib, LIBRARY[which].symbol);
    int major = 0, minor = 0;
    if (!f) return 0;
    if (which == CUDA_DRIVER) return ((int (*)(int *))f)(&major) ? 0 : major;
    if (which == CUDA_NVRTC) return ((int (*)(int *, int *))f)(&major, &minor) ? 0 : major * 1000 + minor * 10;
    size_t v = ((size_t (*)(void))f)();              /* 130001 or, before 13, 120103: the places of major and minor moved */
    return v >= 130000 ? (int)(v / 10000 * 1000 + v / 100 % 100 * 10) : (int)(v / 10000 * 1000 + v / 100 % 100 * 10);
}

/* pip's NVRTC finds its second library only when that is loaded already. */
static void preload_builtins(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return;
    char *pattern = xasprintf("%.*s/libnvrtc-builtins.so.*", (int)(slash - path), path);
    glob_t g;
    if (!glob(pattern, 0, NULL, &g)) {
        if (g.gl_pathc) dlopen(g.gl_pathv[0], RTLD_NOW | RTLD_GLOBAL);
        globfree(&g);
    }
    free(pattern);
}

/* Opens a file, or a name in the loader's paths; says why not in *why (heap), if there is anything worth saying. */
static void *try_open(CudaLibrary which, const char *name, char **what, char **why)
{
    if (strchr(name, '/') && !file_exists(name)) return NULL;
    if (which == CUDA_NVRTC) preload_builtins(name);
    void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (!lib) {
        const char *e = dlerror();
        if (e && !strstr(e, "cannot open shared object file: No such file")) {
            free(*why);
            *why = xstrdup(e);
        }
        return NULL;
    }
    struct link_map *map = NULL;
    const char *path = !dlinfo(lib, RTLD_DI_LINKMAP, &map) && map && *map->l_name ? map->l_name : name;
    int v = version_of(which, lib);
    if (v >= LIBRARY[which].minimum) {
        *what = xasprintf("%s %d.%d, %s", LIBRARY[which].title, v / 1000, v % 1000 / 10, path);
        return lib;
    }
    free(*why);
    *why = v ? xasprintf("%s is of CUDA %d.%d, and it takes %s", path, v / 1000, v % 1000 / 10, LIBRARY[which].need)
             : xasprintf("%s does not say its version", path);
    dlclose(lib);
    return NULL;
}

static void *try_folder(CudaLibrary which, const char *folder, char **what, char **why)
{
    for (int i = 0; i < NAMES && LIBRARY[which].soname[i]; i++) {
        char *path = xasprintf("%s/%s", folder, LIBRARY[which].soname[i]);
        void *lib = try_open(which, path, what, why);
        free(path);
        if (lib) return lib;
    }
    return NULL;
}

static void *try_root(CudaLibrary which, const char *root, char **what, char **why)
{
    for (size_t i = 0; i < COUNT(PLACES); i++) {
        char *folder = xasprintf("%s/%s", root, PLACES[i]);
        void *lib = try_folder(which, folder, what, why);
        free(folder);
        if (lib) return lib;
    }
    return NULL;
}

/* All that a shell pattern names, the last, which is the newest, first. */
static void *try_pattern(CudaLibrary which, const char *pattern, bool root, char **what, char **why)
{
    glob_t g;
    void *lib = NULL;
    if (glob(pattern, 0, NULL, &g)) return NULL;
    for (size_t i = g.gl_pathc; i-- > 0 && !lib;) lib = (root ? try_root : try_folder)(which, g.gl_pathv[i], what, why);
    globfree(&g);
    return lib;
}

/* Only when all else has failed: it starts python3. */
static void *try_python(CudaLibrary which, char **what, char **why)
{
    FILE *f = popen("python3 -c 'import site, sys; print(\"\\n\".join(dict.fromkeys(sys.path + [site.getusersitepackages()])))' 2>/dev/null", "r");
    char *line = NULL;
    size_t cap = 0;
    void *lib = NULL;
    while (f && !lib && getline(&line, &cap, f) > 0) {
        line[strcspn(line, "\n")] = 0;
        if (*line != '/' || strpbrk(line, "*?[")) continue;
        char *pattern = xasprintf("%s/nvidia/*/lib", line);
        lib = try_pattern(which, pattern, false, what, why);
        free(pattern);
    }
    free(line);
    if (f) pclose(f);
    return lib;
}

static void *search(CudaLibrary which, char **what)
{
    const Library *l = &LIBRARY[which];
    const char *named = getenv("ECT_CUDA_PATH");
    char *why = NULL;
    void *lib = NULL;
    bool only = named && *named && which != CUDA_DRIVER;         /* what is named is not replaced silently; the driver is no part of a toolkit */
    if (named && *named) lib = try_root(which, named, what, &why);
    if (!only) {
        for (int i = 0; i < NAMES && l->soname[i] && !lib; i++) lib = try_open(which, l->soname[i], what, &why);
        if (!lib && which == CUDA_DRIVER) {
            static const char *const WHERE[] = {"/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/local/nvidia/lib64", "/usr/lib/wsl/lib"};
            for (size_t i = 0; i < COUNT(WHERE) && !lib; i++) lib = try_folder(which, WHERE[i], what, &why);
        } else if (!lib) {
            lib = try_root(which, "/usr/local/cuda", what, &why);
            if (!lib) lib = try_pattern(which, "/usr/local/cuda-*", true, what, &why);
            if (!lib) lib = try_python(which, what, &why);
        }
    }
    if (!lib && only)
        *what = xasprintf("no %s in ECT_CUDA_PATH=%s%s%s: it is a CUDA toolkit's folder, or one with %s; unset it to look everywhere", l->title, named,
                          why ? ", " : "", why ? why : "", l->soname[0]);
    else if (!lib)
        *what = xasprintf("no %s (%s)%s%s; looked in the loader's paths%s; it comes with %s", l->title, l->soname[0], why ? ": " : "", why ? why : "",
                          which == CUDA_DRIVER ? "" : ", /usr/local/cuda* and python3's nvidia packages", l->package);
    free(why);
    return lib;
}

void *cuda_library(CudaLibrary which, char **what)
{
    pthread_mutex_lock(&lock);
    if (!found[which].looked) found[which].handle = search(which, &found[which].what);
    found[which].looked = true;
    if (what) *what = xstrdup(found[which].what);
    pthread_mutex_unlock(&lock);
    return found[which].handle;
}

void cuda_libraries_print(void)
{
    for (int i = 0; i < CUDA_LIBRARIES; i++) {
        char *what;
        bool works = cuda_library((CudaLibrary)i, &what);
        printf("  %-8s  %-3s  %s\n", LIBRARY[i].title, works ? "yes" : "no", what);
        free(what);
    }
}
