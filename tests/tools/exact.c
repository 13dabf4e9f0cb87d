/* Exact mode: runs every program of a plan by an interpreter and by its kernels on elements of a prime field, compares all bits. --cuda: the kernels'
   CUDA texts, on the emulator.
   --count compares the bytes each launch touches with the plan's figure, --faults plants faults (docs/testing.md). */
#include "tests/exact/exact.h"
#include "tests/tools/tool.h"

static const char *headers = "tests/exact";
enum { TURNS = 2 };                                  /* of repeated segments */

static Compiled compile_program(const Plan *plan, const PlanProgram *p, bool count, bool cuda)
{
    Compiled c = {.plan = plan};
    c.text = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.text);
    c.cuda = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.cuda);
    c.fn = xcalloc((size_t)plan->n_kernels + 1, sizeof *c.fn);
    ExactSource *source = xcalloc((size_t)plan->n_kernels + 1, sizeof *source);
    for (int i = 0; i < plan->n_programs; i++)
        for (int k = 0; k < plan->program[i].n_segments; k++)
            for (int s = 0; s < plan->program[i].segment[k].n_steps; s++) {
                const PlanKernel *kernel = &plan->kernel[plan->program[i].segment[k].step[s].kernel];
                char **text = &c.text[kernel - plan->kernel], *path = plan_path(plan, kernel->file);
                if (!*text && (!p || p == &plan->program[i])) {
                    if (!(*text = read_file(path, NULL))) user_error("cannot read %s", path);
                    source[c.n++] = (ExactSource){kernel->name, *text};
                }
                free(path);
            }
    if (cuda) {
        EmulatedText *text = xcalloc((size_t)c.n + 1, sizeof *text);
        int n = 0;
        for (int k = 0; k < plan->n_kernels; k++)
            if (c.text[k]) text[n++] = (EmulatedText){k, c.cuda[k] = emulated_text(plan, k)};
        c.emulated = emulated_new(plan, text, n, headers);
        free(text);
        free(source);
        return c;
    }
    char *dir = xasprintf("%s/kernels", tmp_dir);
    c.library = library_new(dir, headers, source, c.n, count);
    for (int k = 0; k < plan->n_kernels; k++) if (c.text[k]) c.fn[k] = library_function(c.library, plan->kernel[k].name);
    free(source);
    free(dir);
    return c;
}

/* ---- comparing ---- */
static const char *parameter_at(const Plan *plan, int64_t e)
{
    for (int i = 0; i < plan->n_params; i++)
        if (e >= plan->param[i].offset && e < plan->param[i].offset + plan->param[i].elements) return plan->param[i].name;
    return "padding";
}
bool tensors_equal(const Tensors *want, const Tensors *got, const PlanSegment *segment, int64_t *values)
{
    const char *name;
    Fp *x, *y;
    int64_t n;
    for (int i = 0; tensors_result(want, i, &name, &x, &n) && tensors_result(got, i, &name, &y, &n); i++) {
        bool flat = i >= want->program->n_outputs + want->program->n_carries;
        for (int64_t e = 0; x && e < n; e++) {
            if (x[e] == y[e]) continue;
            printf("FAIL %s: %s%s%s[%lld] is %llu, the graph says %llu\n", segment->name, name, flat ? ", " : "",
                   flat ? parameter_at(want->plan, e) : "", (long long)e, (unsigned long long)y[e], (unsigned long long)x[e]);
            return false;
        }
        if (x && values && (!flat || x == want->grad || segment->phase == PHASE_UPDATE)) *values += n;   /* others never change */
    }
    return true;
}
static bool check_program(const Compiled *c, const PlanProgram *p, uint64_t salt)
{
    Tensors *want = tensors_new(c->plan, p, salt, 1), *got = tensors_new(c->plan, p, salt, 2);
    Tensors *fused = tensors_new(c->plan, p, salt, 1);
    bool good = true, last = false;
    int64_t values = 0, launches = 0;
    for (int i = 0; i < p->n_segments && good; i++) {
        const PlanSegment *s = &p->segment[i];
        Interpreter *plain = interpreter_new(c->plan, s, false), *x = interpreter_new(c->plan, s, true);
        last = i + 1 == p->n_segments;
        for (int turn = s->each ? 1 : 0; turn <= (s->each ? TURNS : 0) && good; turn++) {
            Machine m = {.plan = c->plan, .library = c->library, .fn = c->fn, .emulated = c->emulated, .text = c->text, .check = x};
            tensors_scalars(want, s, turn);
            tensors_scalars(fused, s, turn);
            tensors_scalars(got, s, turn);
            interpreter_run(plain, s, want);
            interpreter_run(x, s, fused);
            if (!tensors_equal(want, fused, s, NULL)) {
                puts("     so says the graph that the kernels are made of: a pass over graphs is wrong");
                good = false;
                break;
            }
            machine_run(&m, s, got);
            launches += s->n_steps;
            good = !m.finding.beside;
            if (last && turn == (s->each ? TURNS : 0)) values = 0, good &= tensors_equal(want, got, s, &values);
            if (m.finding.found) printf("%s %s\n", good ? "note" : "     first seen:", m.finding.text);
        }
        interpreter_free(plain);
        interpreter_free(x);
    }
    if (good) printf("ok   %-16s %lld launches, %lld values equal\n", p->name, (long long)launches, (long long)values);
    tensors_free(want);
    tensors_free(fused);
    tensors_free(got);
    return good;
}

/* ---- counting ---- */
/* The plan's figure of a launch against the distinct bytes of planned buffers that it loaded and stored; each kernel is named
   once. */
static bool count_program(const Compiled *c, const PlanProgram *p, bool *named)
{
    Tensors *t = tensors_new(c->plan, p, 0, 2);
    int64_t launches = 0, wrong = 0, stated = 0, touched = 0;
    for (int i = 0; i < p->n_segments; i++) {
        const PlanSegment *s = &p->segment[i];
        Touched *steps = xcalloc((size_t)s->n_steps + 1, sizeof *steps);
        Machine m = {.plan = c->plan, .library = c->library, .fn = c->fn, .text = c->text, .touched = steps};
        tensors_scalars(t, s, s->each ? 1 : 0);
        machine_run(&m, s, t);
        for (int k = 0; k < s->n_steps; k++) {
            const PlanKernel *kernel = &c->plan->kernel[s->step[k].kernel];
            int64_t bytes = steps[k].read + steps[k].written, said = s->step[k].bytes;
            launches++;
            stated += said;
            touched += bytes;
            if (bytes == said) continue;
            wrong++;
            if (!named[s->step[k].kernel])
                printf("differs %-24s plan %8lld, counted %8lld: %lld read, %lld written\n", kernel->name, (long long)said,
                       (long long)bytes, (long long)steps[k].read, (long long)steps[k].written);
            named[s->step[k].kernel] = true;
        }
        free(steps);
    }
    printf("%s %-16s %lld launches touch %lld bytes, the plan says %lld; %lld launches differ\n", wrong ? "FAIL" : "ok  ",
           p->name, (long long)launches, (long long)touched, (long long)stated, (long long)wrong);
    tensors_free(t);
    return !wrong;
}

int main(int argc, char **argv)
{
    prog_name = "exact";
    const char *only = NULL;
    bool count = false, faults = false, few = false, cuda = false;
    int first = 1, times = 1;
    for (; first < argc && starts(argv[first], "--"); first++) {
        if (!strcmp(argv[first], "--count")) count = true;
        else if (!strcmp(argv[first], "--faults")) faults = true;
        else if (!strcmp(argv[first], "--few")) few = true;
        else if (!strcmp(argv[first], "--cuda")) cuda = true;
        else if (!strcmp(argv[first], "--times") && first + 1 < argc) times = atoi(argv[++first]);
        else if (!strcmp(argv[first], "--headers") && first + 1 < argc) headers = argv[++first];
        else if (!strcmp(argv[first], "--only") && first + 1 < argc) only = argv[++first];
        else user_error("usage: exact [--headers DIR] [--cuda] [--only PROGRAM] [--times N | --count | --faults [--few]] PLAN");
    }
    if (first + 1 != argc) user_error("which plan?");
    if (count && cuda) user_error("--count counts what the C kernels touch");
    if (faults && !only) user_error("--faults needs --only PROGRAM");
    make_tmp("exact");
    char *err = NULL;
    Plan *plan = plan_load(argv[first], &err);
    if (!plan) user_error("%s", err);
    const PlanProgram *p = only ? plan_program(plan, only) : NULL;
    if (only && !p) user_error("the plan has no program `%s`", only);
    bool *named = xcalloc((size_t)plan->n_kernels + 1, sizeof *named);
    Compiled c = compile_program(plan, p, count, cuda);
    if (faults) {
        char *dir = xasprintf("%s/planted", tmp_dir);
        return plant_faults(plan, p, &c, few, dir, headers) ? EXIT_OK : EXIT_USER;
    }
    int failed = 0, ran = 0;
    for (int i = 0; i < plan->n_programs; i++) {
        const PlanProgram *q = &plan->program[i];
        if ((p && p != q) || !strcmp(q->name, "init")) continue;
        bool good = !count || count_program(&c, q, named);
        for (int salt = 0; salt < times && !count && good; salt++) good = check_program(&c, q, (uint64_t)salt);
        failed += !good;
        fflush(stdout);
        ran++;
    }
    printf("%d programs, %d failed\n", ran, failed);
    return failed || !ran ? EXIT_USER : EXIT_OK;
}
