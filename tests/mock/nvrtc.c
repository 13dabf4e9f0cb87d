/* An NVRTC beside the mock driver, which needs no machine code: a text compiles to itself, so that the driver can hand it to the emulator.
   Assumes callers that take any cubin whose size is not 0. */
#include <stdlib.h>
#include <string.h>

static const char WITH_DRAWS[] = "#define ECT_DRAW_INPUTS 1\n";
typedef struct { char *text; size_t bytes; } *Program;

int nvrtcVersion(int *major, int *minor) { *major = 12, *minor = 4; return 0; }
const char *nvrtcGetErrorString(int e) { return e ? "NVRTC_ERROR" : "NVRTC_SUCCESS"; }
int nvrtcCreateProgram(Program *p, const char *text, const char *name, int n, const char *const *headers, const char *const *names)
{
    (void)name, (void)n, (void)headers, (void)names;
    *p = calloc(1, sizeof **p);
    (*p)->bytes = strlen(text) + 1;
    (*p)->text = malloc((*p)->bytes + sizeof WITH_DRAWS);
    memcpy((*p)->text, text, (*p)->bytes);
    return 0;
}
int nvrtcCompileProgram(Program p, int n, const char *const *option)
{
    for (int i = 0; i < n; i++) {
        if (!strstr(option[i], "ECT_DRAW_INPUTS=1")) continue;
        memmove(p->text + sizeof WITH_DRAWS - 1, p->text, p->bytes);
        memcpy(p->text, WITH_DRAWS, sizeof WITH_DRAWS - 1);
        p->bytes += sizeof WITH_DRAWS - 1;
    }
    return 0;
}
int nvrtcDestroyProgram(Program *p) { free((*p)->text); free(*p); *p = NULL; return 0; }
int nvrtcGetProgramLogSize(Program p, size_t *n) { (void)p; *n = 1; return 0; }
int nvrtcGetProgramLog(Program p, char *log) { (void)p; *log = 0; return 0; }
int nvrtcGetCUBINSize(Program p, size_t *n) { *n = p->bytes; return 0; }
int nvrtcGetCUBIN(Program p, char *data) { memcpy(data, p->text, p->bytes); return 0; }
