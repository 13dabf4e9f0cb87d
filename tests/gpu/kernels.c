/* gpu.h: each kernel of a program on the GPU, at its real shapes and on the data it gets there, against a reference.

   The program runs step by step. Weights and inputs are random. The memory of a launch is one block that supervisor and worker share, with a twin on the
   GPU. For each step the worker poisons what the step writes, launches it, fetches the results, and runs the plan's C kernel on the same inputs on the
   host; then the results that were right, or else the reference's, are the next step's inputs on both sides. So errors do not add up, and a kernel that
   is wrong, faults or never ends costs its own row only: the supervisor ends the worker, names the kernel and starts another at the next step.
   Assumes a fork that leaves the driver alone: the supervisor never opens it. */
#include "gpu.h"
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const phase_names[] = {"starting", "compiling", "loading it", "running it", "its reference on the host", "samples of it on the host"};

static void *shared_memory(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) machine_error("cannot allocate %.0f MB: %s", (double)n / 1048576, strerror(errno));
    return p;
}

/* ---- random numbers ---- */
static uint64_t mix(uint64_t z)
{
    z = (z + 0x9E3779B97F4A7C15u) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static float uniform(uint64_t seed, int64_t i) { return (float)((double)(mix(seed ^ mix((uint64_t)i)) >> 40) / 0x1p23 - 1); }

/* Parameters as large as a trained net's; states a few steps old. */
static void fill_params(const Plan *p, float *flat, uint64_t seed)
{
    for (int i = 0; i < p->n_params; i++) {
        const PlanParam *q = &p->param[i];
        int64_t fan_in = 1;
        for (int a = 1; a < q->shape.n; a++) fan_in *= q->shape.size[a];
        size_t len = strlen(q->name);
        bool bias = len > 5 && !strcmp(q->name + len - 5, ".bias"), vector = q->shape.n <= 1;
        float bound = (float)sqrt(3.0 / (double)fan_in);
        for (int64_t e = 0; e < q->elements; e++) {
            float u = uniform(seed + (uint64_t)i, e);
            flat[q->offset + e] = bias ? 0.1f * u : vector ? 1 + 0.2f * u : bound * u;
        }
    }
}

/* ---- the device that sessions see ---- */
static Check *check;

/* Takes n bytes of the mirror; returns where they begin. */
static size_t take(size_t *used, size_t n)
{
    size_t at = *used;
    *used += (n + 255) / 256 * 256 + 256;
    return at;
}
/* Copies an array of the session into the mirror in the second of two walks; the first only counts. */
static float *mirrored(char *base, size_t *used, const float *from, int64_t n)
{
    if (!from) return NULL;
    size_t bytes = 4 * (size_t)MAX(n, (int64_t)1), at = take(used, bytes);
    return base ? memcpy(base + at, from, bytes) : NULL;
}
static void lay_out(Mirror *m, const Launch *l)
{
    const Plan *p = check->plan;
    const PlanProgram *g = l->program;
    Launch *q = &m->l;
    *q = *l;
    for (int pass = 0; pass < 2; pass++) {
        size_t used = 0;
        take(&used, (size_t)l->segment->peak_bytes + 4);
        m->arena = (float *)(void *)m->base;
#define EACH(field, type, count, elements) do { \
        float **v = xcalloc((size_t)(count) + 1, sizeof *v); \
        for (int i = 0; i < (count); i++) v[i] = l->field ? mirrored(m->base, &used, l->field[i], elements) : NULL; \
        q->field = (type)v; } while (0)
        EACH(in, const float *const *, g->n_inputs, shape_elements(&g->input[i].shape));
        EACH(out, float *const *, g->n_outputs, shape_elements(&g->output[i].shape));
        EACH(carry, float *const *, g->n_carries, shape_elements(&g->carry[i].shape));
        EACH(set, float *const *, p->n_sets, p->param_elements);
        EACH(state, float *const *, p->n_states, p->param_elements);
#undef EACH
        q->grad = mirrored(m->base, &used, l->grad, p->param_elements);
        for (int i = 0; m->base && i < p->n_states; i++)                     /* an EMA's set and state are one array */
            for (int k = 0; k < p->n_sets; k++) if (l->state && l->state[i] && l->state[i] == l->set[k]) ((float **)q->state)[i] = q->set[k];
        for (int k = 1; m->base && k < p->n_sets; k++) if (l->set[k] == l->set[0]) ((float **)q->set)[k] = q->set[0];
        m->bytes = used;
        if (!m->base) m->base = shared_memory(used);
    }
    m->buf = xcalloc((size_t)l->segment->n_buffers + 1, sizeof *m->buf);
    launch_buffers(p, q, m->arena, m->buf);
}

static void stop(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) { }
}
/* Waits for a worker within its limits. NULL: it has ended well; else what happened (heap). *cut: the time for all is over. */
static char *watch(pid_t pid, bool *cut)
{
    const Progress *p = check->progress;
    for (;;) {
        int status;
        pid_t r = waitpid(pid, &status, WNOHANG);
        if (r == pid) {
            if (WIFEXITED(status) && !WEXITSTATUS(status)) return NULL;
            return WIFEXITED(status) ? xasprintf("the process ended with status %d", WEXITSTATUS(status)) : xasprintf("the process died of signal %d", WTERMSIG(status));
        }
        double now = now_seconds(), limit = p->phase <= PHASE_COMPILE ? check->compile_limit : check->limit;
        if (now > check->deadline) *cut = true;
        if (*cut || now - p->since > limit) {
            stop(pid);
            return xasprintf("did not end within %.0f s", limit);
        }
        usleep(p->phase <= PHASE_COMPILE ? 20000 : 2000);
    }
}

static void supervise(Mirror *m)
{
    const PlanSegment *g = m->l.segment;
    Progress *p = check->progress;
    memset(p, 0, sizeof *p);
    for (int first = 0; first < g->n_steps;) {
        p->step = first, p->phase = PHASE_START, p->since = now_seconds(), p->reported = false;
        fflush(NULL);
        pid_t pid = fork();
        if (pid < 0) machine_error("cannot start a process: %s", strerror(errno));
        if (!pid) worker(m, first);
        bool cut = false;
        char *what = watch(pid, &cut);
        const PlanStep *s = &g->step[MIN(p->step, g->n_steps - 1)];
        const char *name = check->plan->kernel[s->kernel].name;
        if (!what) break;
        if (cut) {
            row(check->section, name, "cut", "", "time is over at step %d of %d of %s", p->step + 1, g->n_steps, g->name);
            free(what);
            break;
        }
        if (p->phase <= PHASE_COMPILE) {
            row(check->section, g->name, "FAIL", "", "%s: %s", phase_names[p->phase], what);
            free(what);
            p->failed++;
            break;
        }
        check->bad[s->kernel] = true;
        if (!p->reported) {
            p->failed++;
            row(check->section, name, "FAIL", "", "%s: %s; step %d, %s, %s", phase_names[p->phase], what, p->step + 1, s->at, s->path);
        }
        free(what);
        first = p->step + (p->phase >= PHASE_REFERENCE);     /* a step whose reference cannot be had is left out */
        p->restarts++;
        if (p->restarts > 60) {
            row(check->section, g->name, "cut", "", "too many kernels fail");
            break;
        }
    }
    char *json = xasprintf("\"compared\": %d, \"failed\": %d, \"launches\": %d, \"restarts\": %d", p->compared, p->failed, p->launches, p->restarts);
    row(check->section, g->name, p->failed ? "FAIL" : p->finished ? "ok" : "cut", json, "%d kernels compared, %d failed, %d launches, %d processes lost",
        p->compared, p->failed, p->launches, p->restarts);
    free(json);
}

static int failures;
static void check_run(Device *d, const Launch *l)
{
    (void)d;
    if (!l->segment->n_steps) return;
    Mirror m = {.c = check};
    lay_out(&m, l);
    memset(m.arena, 0xff, (size_t)l->segment->peak_bytes);
    supervise(&m);
    failures += check->progress->failed + !check->progress->finished;
    /* What follows reads this segment's results. */
    const PlanProgram *g = l->program;
    for (int i = 0; i < g->n_outputs; i++) if (l->out[i]) memcpy(l->out[i], m.l.out[i], 4 * (size_t)shape_elements(&g->output[i].shape));
    for (int i = 0; i < g->n_carries; i++) if (l->carry[i]) memcpy(l->carry[i], m.l.carry[i], 4 * (size_t)shape_elements(&g->carry[i].shape));
    if (l->grad) memcpy(l->grad, m.l.grad, 4 * (size_t)check->plan->param_elements);
    free(m.buf);
    munmap(m.base, m.bytes);
}
static bool check_available(char **what) { *what = xstrdup(""); return true; }
static Device *check_open(const Plan *plan, const DeviceOptions *o) { (void)plan, (void)o; return NULL; }
static void check_prepare(Device *d, const PlanProgram *p, bool draws) { (void)d, (void)p, (void)draws; }
static void check_close(Device *d) { (void)d; }
static const DeviceClass device_check = {
    .name = "check", .available = check_available, .open = check_open, .prepare = check_prepare, .run = check_run, .close = check_close,
};

/* ---- the command ---- */
int cmd_kernels(int argc, char **argv)
{
    static Check c = {.section = "kernels", .limit = 30, .compile_limit = 300, .samples = 512};
    const char *program = "train_step", *plan_dir = NULL, *table = NULL, *json = NULL;
    double seconds = 1e9;
    uint64_t seed = 1;
    const char *set[16];
    int sets = 0;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (*a != '-' && !plan_dir) { plan_dir = a; continue; }
        if (*a != '-' || !v) user_error("gpu kernels: unknown argument %s, or one without a value", a);
        i++;
        if (!strcmp(a, "--program")) program = v;
        else if (!strcmp(a, "--reference")) c.reference = v;
        else if (!strcmp(a, "--limit")) c.limit = atof(v);
        else if (!strcmp(a, "--compile-limit")) c.compile_limit = atof(v);
        else if (!strcmp(a, "--seconds")) seconds = atof(v);
        else if (!strcmp(a, "--samples")) c.samples = atoi(v);
        else if (!strcmp(a, "--threads")) c.threads = atoi(v);
        else if (!strcmp(a, "--seed")) seed = (uint64_t)atoll(v);
        else if (!strcmp(a, "--set") && sets < 16) set[sets++] = v;
        else if (!strcmp(a, "--only")) c.only = v;
        else if (!strcmp(a, "--section")) c.section = v;
        else if (!strcmp(a, "--table")) table = v;
        else if (!strcmp(a, "--json")) json = v;
        else user_error("gpu kernels: unknown option %s", a);
    }
    if (!plan_dir) user_error("usage: gpu kernels PLAN [--program NAME] [--reference FILE.so] [options]");
    rows_open(table, json);
    char *err = NULL;
    Plan *plan = plan_load(plan_dir, &err);
    if (!plan) user_error("%s", err);
    const PlanProgram *p = plan_program(plan, program);
    if (!p) user_error("%s has no program %s", plan_dir, program);
    c.plan = plan;
    c.deadline = now_seconds() + seconds;
    c.progress = shared_memory(sizeof *c.progress);
    c.bad = shared_memory((size_t)plan->n_kernels + 1);
    check = &c;

    Session *s = session_open(plan, "ref", 1);
    s->cls->close(s->device);
    s->cls = &device_check, s->device = NULL;
    for (int i = 0; i < sets; i++) if (!session_set(s, set[i], &err)) user_error("%s", err);
    fill_params(plan, s->param, seed);
    if (p->training) {
        session_training(s);
        for (int i = 0; i < plan->n_states; i++)
            for (int k = 0; !plan->state[i].from_param && k < plan->n_params; k++)
                for (int64_t e = 0; e < plan->param[k].elements; e++)
                    s->state[i][plan->param[k].offset + e] = 1e-3f * fabsf(uniform(seed + 77 + (uint64_t)i, plan->param[k].offset + e));
    }
    s->step = 1 + seed % 1000;
    float **in = xcalloc((size_t)p->n_inputs + 1, sizeof *in);
    for (int i = 0; i < p->n_inputs; i++) {
        int64_t n = shape_elements(&p->input[i].shape);
        if (!n) continue;
        in[i] = xmalloc((size_t)n * sizeof **in);
        bool image = p->input[i].shape.n == 4;
        for (int64_t e = 0; e < n; e++) {
            float u = uniform(seed + 1000 + (uint64_t)i, e);
            in[i][e] = image ? u : 0.5f + 0.4f * u;
        }
    }
    RunArgs a = {.in = (const float *const *)in, .mid = (const double[]){0.821}, .n_mid = 1};
    if (!strcmp(program, "train_step")) {
        session_micro(s, &a);
        session_update(s);
    } else session_run(s, p, &a);
    return failures ? EXIT_USER : EXIT_OK;
}
