/* memory.h: reads /proc and the control group's files.
   Assumes that what is not readable sets no limit. */
#include "runtime/memory.h"
#include "runtime/blas.h"
#include <limits.h>
#include <sys/resource.h>
#include <unistd.h>

/* A number alone in a file ("max" and huge numbers mean no limit). */
static uint64_t number_in(const char *path)
{
    size_t n;
    char *s = read_file(path, &n);
    uint64_t v = s && s[0] >= '0' && s[0] <= '9' ? strtoull(s, NULL, 10) : UINT64_MAX;
    free(s);
    return v > (1ull << 60) ? UINT64_MAX : v;
}

/* A "Name:  123 kB" line of a /proc file, in bytes. */
static uint64_t field_in(const char *path, const char *field)
{
    FILE *f = fopen(path, "r");
    char line[256];
    uint64_t v = UINT64_MAX;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, field, strlen(field))) v = strtoull(line + strlen(field), NULL, 10) * 1024;
    if (f) fclose(f);
    return v;
}

static void at_most(uint64_t *left, const char **limit, uint64_t max, uint64_t used, const char *name)
{
    if (max == UINT64_MAX) return;
    if (used == UINT64_MAX) used = 0;
    uint64_t v = max > used ? max - used : 0;
    if (v >= *left) return;
    *left = v;
    if (limit) *limit = name;
}

uint64_t memory_available(const char **limit)
{
    uint64_t left = UINT64_MAX;
    if (limit) *limit = "nothing known";
    at_most(&left, limit, field_in("/proc/meminfo", "MemAvailable:"), 0, "memory available on this machine");
    struct rlimit r;
    if (!getrlimit(RLIMIT_AS, &r) && r.rlim_cur != RLIM_INFINITY)
        at_most(&left, limit, r.rlim_cur, field_in("/proc/self/status", "VmSize:"), "address space limit (ulimit -v)");
    at_most(&left, limit, number_in("/sys/fs/cgroup/memory.max"), number_in("/sys/fs/cgroup/memory.current"),
        "control group limit");
    at_most(&left, limit, number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
            number_in("/sys/fs/cgroup/memory/memory.usage_in_bytes"), "control group limit");
    /* Version 2, own group: the line "0::/path". */
    FILE *f = fopen("/proc/self/cgroup", "r");
    char line[PATH_MAX];
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4)) continue;
        line[strcspn(line, "\n")] = 0;
        char *max = xasprintf("/sys/fs/cgroup%s/memory.max", line + 3), *now = xasprintf("/sys/fs/cgroup%s/memory.current",
            line + 3);
        at_most(&left, limit, number_in(max), number_in(now), "control group limit");
        free(max);
        free(now);
    }
    if (f) fclose(f);
    return left;
}

uint64_t memory_peak(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_maxrss * 1024;
}

uint64_t memory_now(void)
{
    uint64_t v = field_in("/proc/self/status", "VmRSS:");
    return v == UINT64_MAX ? 0 : v;
}

static uint64_t tensors_bytes(const PlanTensor *t, int n, const int *skip)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++)
        if (!skip || skip[i] < 0) sum += 4 * (uint64_t)shape_elements(&t[i].shape);
    return sum;
}

void memory_add_program(MemoryNeed *need, const Plan *plan, const PlanProgram *program, int threads)
{
    enum { KERNEL_CODE = 16 << 10 };                 /* resident bytes of a compiled kernel, with what the linker keeps: measured */
    bool matrix = false, *used = xcalloc((size_t)plan->n_kernels + 1, 1);
    for (int i = 0; i < program->n_segments; i++) {
        const PlanSegment *g = &program->segment[i];
        need->arena = MAX(need->arena, (uint64_t)g->peak_bytes);
        for (int k = 0; k < g->n_steps; k++) {
            const PlanKernel *kernel = &plan->kernel[g->step[k].kernel];
            need->scratch = MAX(need->scratch, ((uint64_t)kernel->scratch + 63) / 64 * 64 * (uint64_t)threads);
            need->shared = MAX(need->shared, (uint64_t)kernel->shared);
            need->code += used[g->step[k].kernel] ? 0 : KERNEL_CODE;
            used[g->step[k].kernel] = true;
            matrix |= !strcmp(kernel->cls, "contract");
        }
    }
    need->tensors += tensors_bytes(program->input, program->n_inputs, NULL)
                   + tensors_bytes(program->output, program->n_outputs, program->output_param)
                   + tensors_bytes(program->carry, program->n_carries, NULL);
    free(used);
    if (matrix) need->library = MAX(need->library, (uint64_t)threads * blas_workspace());
}

void memory_add_training(MemoryNeed *need, const Plan *plan, int threads, bool accumulate, bool sampling, bool validating)
{
    static const char *const PROGRAMS[] = {"train_step", "sample", "loss"};
    const bool wanted[] = {true, sampling, validating};
    memory_add_weights(need, plan, true);
    if (accumulate) need->gradient *= 2;
    for (size_t i = 0; i < COUNT(PROGRAMS); i++) {
        const PlanProgram *p = plan_program(plan, PROGRAMS[i]);
        if (p && wanted[i]) memory_add_program(need, plan, p, threads);
        if (p && !i) need->tensors += tensors_bytes(p->input, p->n_inputs, NULL);
    }
}

void memory_add_weights(MemoryNeed *need, const Plan *plan, bool training)
{
    uint64_t flat = 4 * (uint64_t)plan->param_elements;
    need->weights += flat;
    if (training) {
        need->gradient += flat;
        need->states += flat * (uint64_t)plan->n_states;
    } else if (plan->n_sets > 1) need->sets += flat * (uint64_t)(plan->n_sets - 1);
}

MemoryNeed memory_on_device(const MemoryNeed *need, const Plan *plan)
{
    MemoryNeed on = *need;
    on.scratch = on.shared = on.library = on.code = 0;
    on.tensors *= 3;                                 /* inputs under way, cuda_step.c */
    for (int i = 0; i < plan->n_kernels; i++)
        if (plan->kernel[i].cuda) on.shared = MAX(on.shared, (uint64_t)plan->kernel[i].cuda->workspace);
    return on;
}

void memory_elsewhere(MemoryNeed *need)
{
    need->arena = need->scratch = need->shared = need->library = need->code = 0;
}

uint64_t memory_total(const MemoryNeed *n)
{
    return n->weights + n->gradient + n->states + n->sets + n->arena + n->tensors + n->scratch + n->shared + n->library + n->code;
}

uint64_t memory_training_peak(const Plan *plan, int threads)
{
    MemoryNeed need = {0};
    memory_add_training(&need, plan, threads, false, plan_program(plan, "sample") != NULL, false);
    return memory_total(&need);
}

void memory_check(const MemoryNeed *need, uint64_t other, const Plan *plan)
{
    const char *limit;
    uint64_t have = memory_available(&limit);
    memory_check_against(need, other, plan, have, limit);
}

void memory_check_against(const MemoryNeed *need, uint64_t other, const Plan *plan, uint64_t have, const char *limit)
{
    uint64_t total = memory_total(need) + other;
    if (total <= have) return;
    double mb = 1048576.0;
    uint64_t scaled = need->arena + need->tensors, fixed = total - scaled;
    double share = have > fixed && scaled ? (double)(have - fixed) / (double)scaled : 0;
    int64_t batch = (int64_t)(share * (double)plan->batch * 0.97);
    char *help = batch >= 1 ? xasprintf("a batch of %lld would fit: compile with `ectc %s -o PLAN -D batch=%lld` (and "
        "--accumulate for the rest)",
                                        (long long)batch, plan->model, (long long)batch)
                            : xasprintf("not even a batch of 1 would fit: free memory or take a smaller model");
    machine_error("not enough memory: %.0f MB needed, %.0f MB there (%s), %.0f MB short\n"
                  "  weights %.0f, gradient %.0f, optimizer and EMA %.0f, activations at batch %lld %.0f, tensors %.0f, scratch "
                      "%.0f, data %.0f MB\n  %s",
                  (double)total / mb, (double)have / mb, limit, (double)(total - have) / mb, (double)need->weights / mb,
                  (double)need->gradient / mb, (double)(need->states + need->sets) / mb, (long long)plan->batch,
                      (double)need->arena / mb,
                  (double)need->tensors / mb, (double)(need->scratch + need->shared + need->library + need->code) / mb, (double)other / mb, help);
}
