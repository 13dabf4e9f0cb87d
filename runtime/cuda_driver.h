/* The CUDA driver's functions, found at run time: no CUDA header or library is needed to build, and programs start without a driver.
   Assumes the 64-bit entry points of driver 12.0 and later (cuLibrary*, cuLaunchKernelEx). Values and layouts are those of cuda.h; a test compares. */
#ifndef ECT_CUDA_DRIVER_H
#define ECT_CUDA_DRIVER_H
#include "runtime/plan.h"

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUlib_st *CUlibrary;
typedef struct CUkern_st *CUkernel;
typedef struct CUfunc_st *CUfunction;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

enum {
    CU_OK = 0, CU_INVALID_VALUE = 1, CU_OUT_OF_MEMORY = 2, CU_NOT_INITIALIZED = 3, CU_DEINITIALIZED = 4, CU_STUB_LIBRARY = 34,
    CU_NEWER_DRIVER = 36, CU_DEVICE_UNAVAILABLE = 46, CU_NO_DEVICE = 100, CU_INVALID_DEVICE = 101, CU_INVALID_IMAGE = 200,
    CU_INVALID_CONTEXT = 201, CU_NO_BINARY_FOR_GPU = 209, CU_ECC_UNCORRECTABLE = 214, CU_INVALID_PTX = 218, CU_NVLINK_UNCORRECTABLE = 220,
    CU_UNSUPPORTED_PTX_VERSION = 222, CU_INVALID_HANDLE = 400, CU_NOT_FOUND = 500, CU_NOT_READY = 600, CU_ILLEGAL_ADDRESS = 700,
    CU_OUT_OF_RESOURCES = 701, CU_LAUNCH_TIMEOUT = 702, CU_CONTEXT_IS_DESTROYED = 709, CU_ASSERT = 710, CU_HARDWARE_STACK = 714,
    CU_ILLEGAL_INSTRUCTION = 715, CU_MISALIGNED_ADDRESS = 716, CU_INVALID_ADDRESS_SPACE = 717, CU_INVALID_PC = 718, CU_LAUNCH_FAILED = 719,
    CU_SYSTEM_NOT_READY = 802, CU_SYSTEM_DRIVER_MISMATCH = 803, CU_CAPTURE_INVALIDATED = 901, CU_UNKNOWN = 999,
};
enum {
    CU_ATTRIBUTE_PROCESSORS = 16, CU_ATTRIBUTE_MAJOR = 75, CU_ATTRIBUTE_MINOR = 76, CU_ATTRIBUTE_SHARED_OPTIN = 97,  /* of a device */
    CU_FUNCTION_DYNAMIC_SHARED = 8,                  /* of a kernel: the most dynamic shared memory a launch may ask for */
    CU_STREAM_NONBLOCKING = 1, CU_EVENT_PLAIN = 0, CU_EVENT_NO_TIMING = 2, CU_CAPTURE_THREAD_LOCAL = 1,
};
typedef struct {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
    CUstream stream;
    void *attributes;
    unsigned n_attributes;
} CudaLaunchConfig;                                  /* CUlaunchConfig */

/* field, symbol, parameters */
#define CUDA_CALLS(X) \
    X(init, "cuInit", (unsigned flags)) \
    X(driver_version, "cuDriverGetVersion", (int *version)) \
    X(error_name, "cuGetErrorName", (CUresult r, const char **name)) \
    X(error_string, "cuGetErrorString", (CUresult r, const char **text)) \
    X(device_count, "cuDeviceGetCount", (int *n)) \
    X(device_get, "cuDeviceGet", (CUdevice *d, int i)) \
    X(device_name, "cuDeviceGetName", (char *name, int n, CUdevice d)) \
    X(device_attribute, "cuDeviceGetAttribute", (int *v, int attribute, CUdevice d)) \
    X(device_memory, "cuDeviceTotalMem_v2", (size_t *n, CUdevice d)) \
    X(context_retain, "cuDevicePrimaryCtxRetain", (CUcontext *c, CUdevice d)) \
    X(context_release, "cuDevicePrimaryCtxRelease_v2", (CUdevice d)) \
    X(context_set, "cuCtxSetCurrent", (CUcontext c)) \
    X(alloc, "cuMemAlloc_v2", (CUdeviceptr *p, size_t n)) \
    X(free, "cuMemFree_v2", (CUdeviceptr p)) \
    X(memory_info, "cuMemGetInfo_v2", (size_t *left, size_t *total)) \
    X(host_alloc, "cuMemHostAlloc", (void **p, size_t n, unsigned flags)) \
    X(host_free, "cuMemFreeHost", (void *p)) \
    X(to_device, "cuMemcpyHtoDAsync_v2", (CUdeviceptr to, const void *from, size_t n, CUstream s)) \
    X(to_host, "cuMemcpyDtoHAsync_v2", (void *to, CUdeviceptr from, size_t n, CUstream s)) \
    X(copy, "cuMemcpyDtoDAsync_v2", (CUdeviceptr to, CUdeviceptr from, size_t n, CUstream s)) \
    X(fill8, "cuMemsetD8Async", (CUdeviceptr p, unsigned char v, size_t n, CUstream s)) \
    X(stream_create, "cuStreamCreate", (CUstream *s, unsigned flags)) \
    X(stream_destroy, "cuStreamDestroy_v2", (CUstream s)) \
    X(stream_wait, "cuStreamWaitEvent", (CUstream s, CUevent e, unsigned flags)) \
    X(stream_sync, "cuStreamSynchronize", (CUstream s)) \
    X(event_create, "cuEventCreate", (CUevent *e, unsigned flags)) \
    X(event_destroy, "cuEventDestroy_v2", (CUevent e)) \
    X(event_record, "cuEventRecord", (CUevent e, CUstream s)) \
    X(event_sync, "cuEventSynchronize", (CUevent e)) \
    X(event_elapsed, "cuEventElapsedTime", (float *ms, CUevent from, CUevent to)) \
    X(library_load, "cuLibraryLoadData", (CUlibrary *l, const void *code, int *jit, void **jit_values, unsigned n_jit, int *options, \
                                          void **option_values, unsigned n_options)) \
    X(library_unload, "cuLibraryUnload", (CUlibrary l)) \
    X(library_kernel, "cuLibraryGetKernel", (CUkernel *k, CUlibrary l, const char *name)) \
    X(kernel_attribute, "cuKernelSetAttribute", (int attribute, int v, CUkernel k, CUdevice d)) \
    X(kernel_function, "cuKernelGetFunction", (CUfunction *f, CUkernel k)) \
    X(launch, "cuLaunchKernelEx", (const CudaLaunchConfig *c, CUfunction f, void **parameters, void **extra)) \
    X(capture_begin, "cuStreamBeginCapture_v2", (CUstream s, int mode)) \
    X(capture_end, "cuStreamEndCapture", (CUstream s, CUgraph *g)) \
    X(graph_instantiate, "cuGraphInstantiateWithFlags", (CUgraphExec *e, CUgraph g, unsigned long long flags)) \
    X(graph_launch, "cuGraphLaunch", (CUgraphExec e, CUstream s)) \
    X(graph_destroy, "cuGraphDestroy", (CUgraph g)) \
    X(graph_exec_destroy, "cuGraphExecDestroy", (CUgraphExec e))

#define CUDA_FIELD(field, symbol, parameters) CUresult (*field) parameters;
typedef struct { CUDA_CALLS(CUDA_FIELD) } CudaDriver;
#undef CUDA_FIELD

/* The driver, initialised; NULL and *why (heap) when there is none, it is too old, or it finds no GPU: what to do is said. Once a process. */
const CudaDriver *cuda_driver(char **why);

/* What the device was doing, for messages; fields that are not known are NULL or 0. */
typedef struct {
    const char *doing;                               /* "copying the inputs" */
    const Plan *plan;
    const PlanSegment *segment;
    const PlanStep *step;                            /* of the segment: its kernel was the last launched, or is what failed */
    const char *entry;
    bool exact;                                      /* the failure is this kernel's: every launch is waited for (ECT_CUDA_CHECK=1) */
    uint64_t update;                                 /* training: the first update that may be concerned, and how many are under way */
    int updates;
} CudaPlace;
/* Ends the process with status 2: the driver's word for it, the place, and how to mend it. */
void cuda_fail(CUresult r, const CudaPlace *at) NORETURN;
/* ECT_CUDA_CHECK=1: each launch is waited for, so that a fault names its kernel. */
bool cuda_check_mode(void);
#endif
