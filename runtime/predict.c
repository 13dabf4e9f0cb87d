/* predict.h: the table of devices.
   Rates are what good kernels reach, not the vendor's peaks. */
#include "runtime/predict.h"
#include <unistd.h>

/* h200, a100: tensor cores for operands of 2 bytes, plain f32 units in f32, and in between for tf32; the element rate is the
   f32 units' without fused multiply-adds. cpu: the rates of one core (OpenBLAS sgemm on AVX2 or AVX-512; generated loops with exp
   and the like), memory of the machine, one OpenMP region a launch; operands of 2 bytes are widened first: no gain. */
static const PredictDevice devices[] = {
    {"h200", "NVIDIA H200",           50e12, 790e12, 30e12, 4.3e12, 3e-6, 0},
    {"a100", "NVIDIA A100",           17e12, 250e12,  9e12, 1.7e12, 3e-6, 0},
    {"cpu",  "this machine's cores",  90e9,   90e9,   4e9,   15e9,  5e-6, 1},
};

const char *const predict_bound_name[] = {[BOUND_COMPUTE] = "compute", [BOUND_MEMORY] = "memory", [BOUND_LAUNCH] = "launch"};

static int machine_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

bool predict_device(PredictDevice *d, const char *name, int cores, char **err)
{
    const char *names[COUNT(devices)];
    StrBuf all = {0};
    for (size_t i = 0; i < COUNT(devices); i++) {
        names[i] = devices[i].name;
        sb_printf(&all, "%s%s", i ? ", " : "", names[i]);
        if (strcmp(name, names[i])) continue;
        *d = devices[i];
        if (d->cores) {
            d->cores = cores > 0 ? cores : machine_cores();
            d->matrix_f32 *= d->cores;
            d->matrix_half *= d->cores;
            d->element *= d->cores;
        }
        sb_free(&all);
        return true;
    }
    const char *near = suggest(name, names, COUNT(names));
    *err = xasprintf("nothing is known of a device `%s`%s%s%s; known are %s", name, near ? ": did you mean `" : "",
                     near ? near : "", near ? "`?" : "", all.s);
    sb_free(&all);
    return false;
}

double predict_seconds(const PredictDevice *d, bool contraction, Number operands, double flops, double bytes, PredictBound *bound)
{
    int speed = number_info[operands].speed;
    double matrix = speed ? MAX(d->matrix_half * speed / 2, d->matrix_f32) : d->matrix_f32;
    double compute = flops / (contraction ? matrix : d->element), memory = bytes / d->bytes;
    double busy = MAX(compute, memory);
    if (bound) *bound = d->launch > busy ? BOUND_LAUNCH : compute > memory ? BOUND_COMPUTE : BOUND_MEMORY;
    return busy + d->launch;
}
