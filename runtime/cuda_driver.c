/* cuda_driver.h: binding and failure messages.
   Assumes one thread calls. */
#include "runtime/cuda_driver.h"
#include "runtime/cubins.h"
#include <dlfcn.h>

enum { OLDEST_DRIVER = 12000 };                      /* cuLibrary* */

static CudaDriver driver;
static bool bound, works;
static char *trouble;

static const struct { const char *symbol; size_t at; } call[] = {
#define CUDA_ROW(field, symbol, parameters) {symbol, offsetof(CudaDriver, field)},
    CUDA_CALLS(CUDA_ROW)
#undef CUDA_ROW
};

static char *name_of(CUresult r)
{
    const char *name = NULL, *text = NULL;
    if (driver.error_name) driver.error_name(r, &name);
    if (driver.error_string) driver.error_string(r, &text);
    return xasprintf("%s (%d): %s", name ? name : "CUDA error", r, text ? text : "the driver does not say more");
}

static bool bind_all(void)
{
    char *what = NULL;
    void *lib = cuda_library(CUDA_DRIVER, &what);
    if (!lib) {
        trouble = what;
        return false;
    }
    for (size_t i = 0; i < COUNT(call); i++) {
        void *f = dlsym(lib, call[i].symbol);
        if (!f) {
            trouble = xasprintf("the CUDA %s has no %s: it is older than 12.0; install a newer NVIDIA driver", what, call[i].symbol);
            return false;
        }
        memcpy((char *)&driver + call[i].at, &f, sizeof f);          /* no cast between object and function pointers in C */
    }
    int version = 0, n = 0;
    CUresult r = driver.init(0);
    if (r == CU_OK) r = driver.driver_version(&version);
    if (r == CU_OK && version < OLDEST_DRIVER) {
        trouble = xasprintf("the CUDA %s is version %d.%d; 12.0 or newer is needed: install a newer NVIDIA driver", what, version / 1000,
                            version % 1000 / 10);
        return false;
    }
    if (r == CU_OK) r = driver.device_count(&n);
    if (r == CU_OK && !n) r = CU_NO_DEVICE;
    if (r == CU_OK) return true;
    char *name = name_of(r);
    const char *mend = r == CU_NO_DEVICE ? "no NVIDIA GPU is visible: is there one (`nvidia-smi`), and does CUDA_VISIBLE_DEVICES or the container hide it?"
                     : r == CU_SYSTEM_DRIVER_MISMATCH ? "libcuda and the kernel module are of different versions: reboot or reinstall the NVIDIA driver"
                     : r == CU_STUB_LIBRARY ? "a toolkit's stub was found, not the driver: take its folder out of LD_LIBRARY_PATH or ECT_CUDA_PATH"
                     : r == CU_SYSTEM_NOT_READY ? "the GPU's services are not up: start nvidia-fabricmanager" : "look at `nvidia-smi` and `dmesg`";
    trouble = xasprintf("the CUDA %s does not start: %s; %s", what, name, mend);
    free(name);
    return false;
}

const CudaDriver *cuda_driver(char **why)
{
    if (!bound) works = bind_all();
    bound = true;
    if (why) *why = works ? NULL : xstrdup(trouble);
    return works ? &driver : NULL;
}

bool cuda_check_mode(void)
{
    const char *v = getenv("ECT_CUDA_CHECK");
    return v && *v && strcmp(v, "0");
}

static bool kernel_fault(CUresult r)
{
    return r == CU_ILLEGAL_ADDRESS || r == CU_LAUNCH_TIMEOUT || (r >= CU_ASSERT && r <= CU_LAUNCH_FAILED);
}
static bool lost(CUresult r)
{
    return r == CU_DEINITIALIZED || r == CU_ECC_UNCORRECTABLE || r == CU_NVLINK_UNCORRECTABLE
        || r == CU_CONTEXT_IS_DESTROYED || r == CU_NO_DEVICE || r == CU_INVALID_DEVICE || r == CU_UNKNOWN;
}

static void put_kernel(StrBuf *b, const CudaPlace *at, const char *lead)
{
    const PlanKernel *k = &at->plan->kernel[at->step->kernel];
    sb_printf(b, "\n  %s%s", lead, k->name);
    if (at->entry && strcmp(at->entry, k->name)) sb_printf(b, ", entry %s", at->entry);
    sb_printf(b, " (%s)", k->cuda ? k->cuda->file : k->file);
    if (at->step->at && *at->step->at) sb_printf(b, " of %s", at->step->at);
    if (at->step->path && *at->step->path) sb_printf(b, ", %s", at->step->path);
}

void cuda_fail(CUresult r, const CudaPlace *at)
{
    StrBuf b = {0};
    char *name = name_of(r);
    sb_printf(&b, "the GPU failed%s%s: %s", at->doing ? " while " : "", at->doing ? at->doing : "", name);
    if (at->segment) sb_printf(&b, "\n  in %s", at->segment->name);
    if (at->updates > 1) sb_printf(&b, ", update %llu or one of the %d after it", (unsigned long long)at->update, at->updates - 1);
    else if (at->updates) sb_printf(&b, ", update %llu", (unsigned long long)at->update);
    bool known = at->step && at->plan;
    if (known) put_kernel(&b, at, at->exact ? "kernel " : "the last kernel launched is ");
    if (kernel_fault(r) && at->exact)
        sb_puts(&b, "\n  that is a fault of the compiler's kernel: please report it with the plan; --device cpu runs the same plan");
    else if (kernel_fault(r))
        sb_puts(&b, "\n  a kernel did it, some launches ago: run again with ECT_CUDA_CHECK=1, which waits for each launch and names the kernel");
    else if (lost(r)) sb_puts(&b, "\n  the GPU is lost (`dmesg | grep -i xid` and `nvidia-smi` say more): reset it or restart the machine");
    else if (r == CU_DEVICE_UNAVAILABLE) sb_puts(&b, "\n  another process has the GPU to itself (`nvidia-smi` shows the compute mode and who)");
    else if (r == CU_OUT_OF_MEMORY)
        sb_puts(&b, "\n  its memory is used up: `nvidia-smi` lists by whom; a smaller batch (-D batch=N) or `ectc --mem` needs less");
    else if (r == CU_OUT_OF_RESOURCES) sb_puts(&b, "\n  the kernel wants more registers or shared memory than the GPU has: compile for this GPU");
    else if (r == CU_NO_BINARY_FOR_GPU || r == CU_INVALID_IMAGE || r == CU_UNSUPPORTED_PTX_VERSION || r == CU_INVALID_PTX)
        sb_puts(&b, "\n  the code does not fit this GPU or driver: `ect-rt cache prune` makes it compile again; a newer driver may be needed");
    if (at->updates) sb_puts(&b, "\n  checkpoints that were saved are whole: go on from the last with --resume");
    machine_error("%s", b.s);
}
