/* An NVRTC beside the mock driver, which asks for no machine code: whatever is compiled gives the same few bytes.
   Assumes callers that take any cubin whose size is not 0. */
#include <stdlib.h>
#include <string.h>

static const char CUBIN[] = "\177ELF of the mock";
typedef struct { int unused; } *Program;

int nvrtcVersion(int *major, int *minor) { *major = 12, *minor = 4; return 0; }
const char *nvrtcGetErrorString(int e) { return e ? "NVRTC_ERROR" : "NVRTC_SUCCESS"; }
int nvrtcCreateProgram(Program *p, const char *text, const char *name, int n, const char *const *headers, const char *const *names)
{
    (void)text, (void)name, (void)n, (void)headers, (void)names;
    *p = calloc(1, sizeof **p);
    return 0;
}
int nvrtcCompileProgram(Program p, int n, const char *const *option) { (void)p, (void)n, (void)option; return 0; }
int nvrtcDestroyProgram(Program *p) { free(*p); *p = NULL; return 0; }
int nvrtcGetProgramLogSize(Program p, size_t *n) { (void)p; *n = 1; return 0; }
int nvrtcGetProgramLog(Program p, char *log) { (void)p; *log = 0; return 0; }
int nvrtcGetCUBINSize(Program p, size_t *n) { (void)p; *n = sizeof CUBIN; return 0; }
int nvrtcGetCUBIN(Program p, char *data) { (void)p; memcpy(data, CUBIN, sizeof CUBIN); return 0; }
