/* A libnvrtc for tests: the "cubin" is an ELF magic and the text's length, options and a checksum; the log is ptxas's. Words in a text have it
   fail (FAKE_FAIL), spill (FAKE_SPILL), warn (FAKE_WARN) or say nothing (FAKE_SILENT). Compiled with -DMAJOR=, -DMINOR=.
   Assumes $FAKE_MS, when set, is how long a compilation takes. Also the version functions of the driver and of cuBLASLt, -DVERSION=. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { char *text, *name, log[1 << 16]; unsigned char cubin[4096]; size_t bytes; int bad; } *Program;

#ifdef VERSION
int cuDriverGetVersion(int *v) { *v = VERSION; return 0; }
size_t cublasLtGetVersion(void) { return VERSION; }
#endif
#ifdef MAJOR
int nvrtcVersion(int *major, int *minor) { *major = MAJOR; *minor = MINOR; return 0; }
#endif
const char *nvrtcGetErrorString(int e) { return e ? "NVRTC_ERROR" : "NVRTC_SUCCESS"; }

int nvrtcCreateProgram(Program *p, const char *src, const char *name, int n, const char *const *headers, const char *const *names)
{
    (void)n, (void)headers, (void)names;
    *p = calloc(1, sizeof **p);
    (*p)->text = strdup(src);
    (*p)->name = strdup(name);
    return 0;
}

int nvrtcCompileProgram(Program p, int n, const char *const *option)
{
    const char *ms = getenv("FAKE_MS"), *arch = "?";
    if (ms) usleep((useconds_t)(1000 * atoi(ms)));
    unsigned sum = 5381;
    for (const char *s = p->text; *s; s++) sum = sum * 33 + (unsigned char)*s;
    for (int i = 0; i < n; i++) {
        if (!strncmp(option[i], "--gpu-architecture=", 19)) arch = option[i] + 19;
        for (const char *s = option[i]; *s; s++) sum = sum * 33 + (unsigned char)*s;
    }
    if (strstr(p->text, "FAKE_FAIL")) {
        snprintf(p->log, sizeof p->log, "%s(7): error: FAKE_FAIL is there\n", p->name);
        p->bad = 1;
        return 6;
    }
    p->bytes = 1024 + sum % 3072;
    memset(p->cubin, (int)(sum & 255), p->bytes);
    memcpy(p->cubin, "\177ELF", 4);
    memcpy(p->cubin + 8, &sum, sizeof sum);
    if (strstr(p->text, "FAKE_SILENT") && strncmp(p->name, "again/", 6)) return 0;
    char *at = p->log, *end = p->log + sizeof p->log;
    if (strstr(p->text, "FAKE_WARN")) at += snprintf(at, (size_t)(end - at), "%s(3): warning #177-D: variable \"FAKE_WARN\" is not used\n", p->name);
    for (const char *s = p->text; (s = strstr(s, "__launch_bounds__(")); s++) {
        const char *name = strchr(s, ')');
        int len = name ? (int)strcspn(name + 2, "(") : 0, spill = strstr(p->text, "FAKE_SPILL") ? 24 : 0;
        if (!len) continue;
        at += snprintf(at, (size_t)(end - at), "ptxas info    : Compiling entry function '%.*s' for '%s'\nptxas info    : Function properties for %.*s\n"
                       "ptxas         .     0 bytes stack frame, %d bytes spill stores, %d bytes spill loads\n"
                       "ptxas info    : Used 40 registers, used 1 barriers, 256 bytes smem\n", len, name + 2, arch, len, name + 2, spill, spill);
    }
    return 0;
}

int nvrtcDestroyProgram(Program *p)
{
    free((*p)->text);
    free((*p)->name);
    free(*p);
    *p = NULL;
    return 0;
}
int nvrtcGetProgramLogSize(Program p, size_t *n) { *n = strlen(p->log) + 1; return 0; }
int nvrtcGetProgramLog(Program p, char *log) { strcpy(log, p->log); return 0; }
int nvrtcGetCUBINSize(Program p, size_t *n) { *n = p->bytes; return p->bad; }
int nvrtcGetCUBIN(Program p, char *data) { memcpy(data, p->cubin, p->bytes); return p->bad; }
