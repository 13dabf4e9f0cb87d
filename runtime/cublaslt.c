/* cublaslt.h: binding. */
#include "runtime/cublaslt.h"
#include "runtime/cubins.h"
#include <dlfcn.h>

static const struct { const char *symbol; size_t at; } call[] = {
#define LT_ROW(field, symbol, result, parameters) {symbol, offsetof(CublasLt, field)},
    LT_CALLS(LT_ROW)
#undef LT_ROW
};

const CublasLt *cublaslt(char **why)
{
    static CublasLt lt;
    static bool looked, works;
    static char *said;
    if (!looked) {
        void *lib = cuda_library(CUDA_CUBLASLT, &said);
        works = lib != NULL;
        for (size_t i = 0; i < COUNT(call) && works; i++) {
            void *f = dlsym(lib, call[i].symbol);
            memcpy((char *)&lt + call[i].at, &f, sizeof f);          /* no cast between object and function pointers in C */
            if (f) continue;
            works = false;
            char *path = said;
            said = xasprintf("%s has no %s; install another version", path, call[i].symbol);
            free(path);
        }
        looked = true;
    }
    *why = works ? NULL : xstrdup(said);
    return works ? &lt : NULL;
}
