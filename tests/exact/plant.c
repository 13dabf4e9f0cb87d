/* Planted faults: edits of kernel texts, C or CUDA, by pattern and of a segment's steps and buffers, each run in a process of its own; all
   must be found. Which kernel and place a rule edits is a hash of the rule. Assumes edits that change what is computed. */
#include <ctype.h>
#include <regex.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/exact/exact.h"

/* ---- edits of texts ---- */
typedef enum { PUT, ADD, DROP } Edit;                /* the last group becomes `text`; its number grows by `by`; the statement goes */
typedef struct { const char *what, *kinds, *pattern; Edit edit; const char *text; int by; } Rule;
static const Rule rules[] = {
    {"a load reads the next element", "conv wgrad matmul sum max map pass", "[^a-z_0-9][xw][0-9]+\\[()[a-z(]", PUT, "1 + ", 0},
    {"a store goes to the next element", "conv wgrad matmul sum max map pass", "[^a-z_0-9]y[0-9]+\\[()[a-z(]", PUT, "1 + ", 0},
    {"a load's stride is one too large", "conv wgrad matmul sum max map pass", "[^a-z_0-9][xw][0-9]+\\[[a-z]+\\*([0-9]+)", ADD,
     NULL, 1},
    {"a store's stride is one too small", "conv matmul sum map pass", "[^a-z_0-9]y[0-9]+\\[[a-z]+\\*([0-9]+)", ADD, NULL, -1},
    {"a loop ends one early", "conv wgrad matmul sum max map pass",
     "for \\(int [a-z]+ = 0; [a-z]+ < ([0-9]+); [a-z]+\\+\\+\\) \\{", ADD, NULL, -1},
    {"a divisor of an index is one too large", "conv wgrad matmul sum map pass", "[^a-z_0-9][xw][0-9]+\\[[^]]*[a-z]/([0-9]+)",
     ADD, NULL, 1},
    {"+ for -", "conv wgrad matmul sum map pass", "[])] (-) [xtw(]", PUT, "+", 0},
    {"- for +", "conv wgrad matmul sum map pass", "[])] (\\+) [xtw][0-9_a-z]*[[)]", PUT, "-", 0},
    {"+ for *", "conv wgrad matmul sum map pass", "[])] (\\*) [(xtw]", PUT, "+", 0},
    {"the last bit of a constant", "conv wgrad matmul sum map pass", "0x1\\.[0-9a-f]*([0-9a-f])p[-+0-9]+f", PUT, NULL, 0},
    {"the mask loses its upper bound", "conv wgrad", "if \\([a-z]+ < 0( \\|\\| [a-z]+ >= [0-9]+)\\) \\{", PUT, "", 0},
    {"the mask's upper bound is one too small", "conv wgrad", "if \\([a-z]+ < 0 \\|\\| [a-z]+ >= ([0-9]+)\\) \\{", ADD, NULL, -1},
    {"the mask's lower bound is one too large", "conv wgrad", "if \\([a-z]+ < (0) \\|\\| [a-z]+ >= [0-9]+\\) \\{", PUT, "1", 0},
    {"the border is not cleared", "conv wgrad", "(__builtin_memset\\(stage_row, 0, [^;]*;)", DROP, NULL, 0},
    {"the padding is one row less", "conv wgrad", "= row0 \\+ r - ([0-9]+);", ADD, NULL, -1},
    {"a tap's offset is one column off", "conv wgrad", "stage \\+ [1-9][0-9]*(), CI", PUT, " - CI", 0},
    {"a tap's weights are the next", "conv", "[wl] \\+ [1-9][0-9]*(), [0-9C]", PUT, " + 1", 0},
    {"a tap overwrites the sum", "conv", "(1\\.0f), c_tile", PUT, "0.0f", 0},
    {"the first tap adds to what was there", "conv", "(0\\.0f), c_tile", PUT, "1.0f", 0},
    {"the first image adds to what was there", "wgrad", "task == first \\? (0\\.0f)", PUT, "1.0f", 0},
    {"a part of the images is skipped", "wgrad", "first = part \\* TASKS / PARTS(),", PUT, " + 1", 0},
    {"the rows are one fewer", "conv wgrad matmul", "[HM] - row0 : [A-Z]+()", PUT, " - 1", 0},
    {"the product's rows are one fewer", "conv wgrad", "PITCH \\+ W();", PUT, " - 1", 0},
    {"the product's sum is one short", "matmul", "rows, N, K(), 1\\.0f", PUT, " - 1", 0},
    {"the product adds to what was there", "matmul", "(0\\.0f), c_tile", PUT, "1.0f", 0},
    {"the product's result is doubled", "conv wgrad matmul", "(1\\.0f), [a-z]", PUT, "2.0f", 0},
    {"the tile is read one row off", "matmul", "c_tile\\[\\(row - row0()\\)", PUT, " + 1", 0},
    {"a sum forgets what it had", "sum", "total (\\+)= ", PUT, "", 0},
    {"a sum is subtracted", "sum pass", "sum\\[[^]]*\\] (\\+)= ", PUT, "-", 0},
    {"a product is subtracted", "sum", "= ect_fma\\(()", PUT, "-", 0},
    {"min for max", "max", "ect_(max)\\(", PUT, "min", 0},
    {"a maximum starts at the largest value", "max", "(-)__builtin_inff", PUT, "", 0},
    {"another run-time scalar", "map", "args->scalar\\[([0-9]+)\\]", ADD, NULL, 1},
    {"the next element's draw", "map conv wgrad pass", "ECT_[A-Z_]+\\([0-9]+, [a-z0-9]+, (0|)[a-z0-9]", PUT, "1 + ", 0},
    {"the next row's draw", "map conv wgrad pass", "ECT_[A-Z_]+\\([0-9]+, n()", PUT, " + 1", 0},
    {"another function", "conv wgrad matmul sum map pass", "ect_(sigmoid|exp|sqrt)\\(", PUT, "cos", 0},
};
#include "tests/exact/cuda_faults.h"
typedef struct { int kernel; const char *what, *name; char *text, *line; } Mutant;   /* line: the one that was edited */

static bool of_kind(const char *kernel, const char *kinds)
{
    size_t n = strcspn(kernel, "_");
    for (const char *k = kinds; k; k = strchr(k, ' ') ? strchr(k, ' ') + 1 : NULL)
        if (!strncmp(k, kernel, n) && (k[n] == ' ' || !k[n])) return true;
    return false;
}
/* Whether the line at `at` declares a temporary that nothing is made of: editing it would change nothing. */
static bool unused(const char *text, const char *at)
{
    char name[16];
    while (at > text && at[-1] != '\n') at--;
    if (sscanf(at, " const float %15[t0-9] =", name) != 1) return false;
    size_t n = strlen(name);
    for (const char *c = strchr(at, '\n'); c && (c = strstr(c, name)); c += n)
        if (!isalnum((unsigned char)c[-1]) && c[-1] != '_' && !isalnum((unsigned char)c[n]) && !unused(text, c)) return false;
    return true;
}
/* Lines of a body that say where things are, not what is computed. */
static bool declares(const char *text, const char *at)
{
    while (at > text && at[-1] != '\n') at--;
    const char *end = at + strcspn(at, "\n");
    static const char *const words[] = {"buf[", "args.draw[", "__global__"};
    for (size_t i = 0; i < COUNT(words); i++) {
        const char *found = strstr(at, words[i]);
        if (found && found < end) return true;
    }
    return at[strspn(at, " ")] == '/';
}
/* What is taken off before squares are summed may be anything: the first row's value is looked up behind `local = 0`, up to a barrier. */
static bool makes_shift(const char *text, const char *at)
{
    const char *from = NULL;
    for (const char *c = text; (c = strstr(c, "const int local = 0;")) && c < at; c++) from = c;
    const char *end = from ? strstr(from, "__syncthreads") : NULL;
    return end && end > at;
}
/* The places of the last group of each match in the function's body. */
static int matches(const regex_t *r, const char *text, regmatch_t *at, int cap)
{
    const char *body = strstr(text, "\n{\n");
    const size_t group = r->re_nsub;
    int n = 0;
    regmatch_t m[4];
    CHECK_BUG(group >= 1 && group < COUNT(m));
    for (const char *c = body; c && *c && n < cap; c += MAX(m[0].rm_eo, 1)) {
        if (regexec(r, c, COUNT(m), m, c == body ? 0 : REG_NOTBOL)) break;
        const char *place = c + m[group].rm_so;
        if (declares(text, place) || unused(text, place) || makes_shift(text, place)) continue;
        at[n].rm_so = (regoff_t)(place - text);
        at[n++].rm_eo = (regoff_t)(c - text) + m[group].rm_eo;
    }
    return n;
}
static char *edited(const Rule *r, const char *text, regmatch_t at)
{
    const char *from = text + at.rm_so;
    char old = *from, number[24] = "";
    snprintf(number, sizeof number, "%lld", r->edit == ADD ? strtoll(from, NULL, 10) + r->by : 0);
    const char *put = r->edit == ADD ? number : r->edit == DROP ? ";" : r->text;
    if (!put) {                                      /* a hexadecimal digit, of six behind the point: its last bit is below an f32's */
        snprintf(number, sizeof number, "%x", (unsigned)strtol((char[]){old, 0}, NULL, 16) ^ 2);
        put = number;
    }
    return xasprintf("%.*s%s%s", (int)at.rm_so, text, put, text + at.rm_eo);
}
/* The function under a name of its own: all mutants are compiled together. */
static char *renamed(const char *text, const char *old, const char *name)
{
    char *key = xasprintf("void %s(", old);
    const char *at = strstr(text, key);
    CHECK_BUG(at);
    char *s = xasprintf("%.*svoid %s(%s", (int)(at - text), text, name, at + strlen(key));
    free(key);
    return s;
}
/* Is the kernel launched for several instances at once? A text that it shares may be, for another. */
static bool several_instances(const Plan *plan, int kernel)
{
    for (int p = 0; p < plan->n_programs; p++)
        for (int i = 0; i < plan->program[p].n_segments; i++) {
            const PlanSegment *g = &plan->program[p].segment[i];
            for (int k = 0; k < g->n_steps; k++) if (g->step[k].kernel == kernel && g->step[k].instances > 1) return true;
        }
    return false;
}
/* One mutant for a rule and a kind of kernel, or none where no kernel of that kind has such a place. */
static bool mutate(const Plan *plan, char *const *text, const Rule *r, const char *kind, int number, bool cuda, Mutant *m)
{
    regex_t re;
    int bad = regcomp(&re, r->pattern, REG_EXTENDED | REG_NEWLINE), n = 0;
    CHECK_BUG(!bad);
    int *kernel = xcalloc((size_t)plan->n_kernels + 1, sizeof *kernel);
    regmatch_t at[256];
    const bool instances = strstr(r->pattern, "blockIdx.z") != NULL;
    for (int k = 0; k < plan->n_kernels; k++)
        if (text[k] && of_kind(plan->kernel[k].name, kind) && (!instances || several_instances(plan, k)) && matches(&re, text[k], at, COUNT(at))) kernel[n++] = k;
    uint64_t choice = fp_mix(fp_hash_text(r->what) ^ fp_hash_text(kind));
    if (n) {
        int k = kernel[choice % (uint64_t)n], places = matches(&re, text[k], at, COUNT(at));
        regmatch_t place = at[fp_mix(choice) % (uint64_t)places];
        char *t = edited(r, text[k], place), *line = t + place.rm_so;
        while (line[-1] != '\n') line--;
        line += strspn(line, " ");
        *m = (Mutant){.kernel = k, .what = r->what, .name = xasprintf("planted%d_%s", number, plan->kernel[k].name)};
        m->line = xasprintf("%.*s", (int)strcspn(line, "\n"), line);
        m->text = cuda ? xstrdup(t) : renamed(t, plan->kernel[k].name, m->name);
        free(t);
    }
    regfree(&re);
    free(kernel);
    return n > 0;
}

/* ---- edits of the plan ---- */
static bool writes(char *const *text, const PlanStep *s, int slot)
{
    char key[48];
    snprintf(key, sizeof key, "restrict const y%d = ", slot);
    return strstr(text[s->kernel], key) != NULL;
}
static int written_slot(char *const *text, const PlanStep *s)
{
    for (int k = 0; k < s->n_buffers; k++) if (writes(text, s, k)) return k;
    return -1;
}
static bool read_later(const PlanSegment *g, char *const *text, int step, int buffer)
{
    for (int i = step + 1; i < g->n_steps; i++)
        for (int k = 0; k < g->step[i].n_buffers; k++)
            if (g->step[i].buffer[k] == buffer && !writes(text, &g->step[i], k)) return true;
    return false;
}
/* Each looks at one step and makes its fault there; false: this step is no place for it. */
static bool swap_operands(PlanSegment *g, char *const *text, int i)
{
    PlanStep *s = &g->step[i];
    for (int k = 0; k < s->n_buffers; k++)
        for (int j = k + 1; j < s->n_buffers; j++) {
            if (writes(text, s, k) || writes(text, s, j) || s->buffer[k] == s->buffer[j]) continue;
            if (g->buffer[s->buffer[k]].elements != g->buffer[s->buffer[j]].elements) continue;
            int b = s->buffer[k];
            s->buffer[k] = s->buffer[j];
            s->buffer[j] = b;
            return true;
        }
    return false;
}
static bool swap_steps(PlanSegment *g, char *const *text, int i)
{
    if (i + 1 >= g->n_steps) return false;
    int slot = written_slot(text, &g->step[i]);
    bool needed = false;
    for (int k = 0; slot >= 0 && k < g->step[i + 1].n_buffers; k++) needed |= g->step[i + 1].buffer[k] == g->step[i].buffer[slot];
    if (!needed) return false;
    PlanStep s = g->step[i];
    g->step[i] = g->step[i + 1];
    g->step[i + 1] = s;
    return true;
}
static bool overlap(PlanSegment *g, char *const *text, int i)
{
    PlanStep *s = &g->step[i];
    int slot = written_slot(text, s);
    if (slot < 0 || g->buffer[s->buffer[slot]].kind != BUF_ARENA) return false;
    for (int k = 0; k < s->n_buffers; k++) {
        PlanBuffer *in = &g->buffer[s->buffer[k]], *out = &g->buffer[s->buffer[slot]];
        if (k == slot || in->kind != BUF_ARENA || in->elements != out->elements || !read_later(g, text, i, s->buffer[k])) continue;
        out->offset = in->offset;                    /* what is read later, all of it, lies under what is written now */
        return true;
    }
    return false;
}
static bool shift_weights(PlanSegment *g, char *const *text, int i)
{
    (void)text;
    PlanStep *s = &g->step[i];
    for (int k = 0; k < s->n_buffers; k++)
        if (g->buffer[s->buffer[k]].kind == BUF_PARAM && g->buffer[s->buffer[k]].offset >= 16) {
            g->buffer[s->buffer[k]].offset -= 16;
            return true;
        }
    return false;
}
static bool other_draw(PlanSegment *g, char *const *text, int i)
{
    (void)text;
    PlanStep *s = &g->step[i];
    if (!s->n_draws || g->n_draws < 2) return false;
    s->draw[0] = (s->draw[0] + 1) % g->n_draws;
    return true;
}
static bool skip_step(PlanSegment *g, char *const *text, int i)
{
    if (written_slot(text, &g->step[i]) < 0) return false;
    memmove(&g->step[i], &g->step[i + 1], (size_t)(g->n_steps - i - 1) * sizeof *g->step);
    g->n_steps--;
    return true;
}
static const struct { const char *what; bool (*make)(PlanSegment *g, char *const *text, int step); int times; } plan_rules[] = {
    {"two operands of a step are swapped", swap_operands, 3},  {"a step runs before the one it needs", swap_steps, 2},
    {"a buffer lies on one that is still needed", overlap, 3}, {"a parameter is read 16 elements too early", shift_weights, 2},
    {"a step draws from another site", other_draw, 1},         {"a step is left out", skip_step, 2},
};
static PlanSegment copy_segment(const PlanSegment *g)
{
    PlanSegment c = *g;
    c.buffer = xmalloc((size_t)(g->n_buffers + 1) * sizeof *c.buffer);
    c.step = xmalloc((size_t)(g->n_steps + 1) * sizeof *c.step);
    memcpy(c.buffer, g->buffer, (size_t)g->n_buffers * sizeof *c.buffer);
    memcpy(c.step, g->step, (size_t)g->n_steps * sizeof *c.step);
    for (int i = 0; i < c.n_steps; i++) {
        PlanStep *s = &c.step[i];
        int *buffer = xmalloc((size_t)(s->n_buffers + 1) * sizeof *buffer);
        int *draw = xmalloc((size_t)(s->n_draws + 1) * sizeof *draw);
        memcpy(buffer, s->buffer, (size_t)s->n_buffers * sizeof *buffer);
        memcpy(draw, s->draw, (size_t)s->n_draws * sizeof *draw);
        s->buffer = buffer;
        s->draw = draw;
    }
    return c;
}

/* ---- running them ---- */
/* Conditions on values leave rows that nothing is made of: a fault that touches only those shows with other values. */
enum { SALTS = 4, MISSED = 40, BY_VALUES, BY_PLACE, BY_GUARD, SECONDS = 60 };
typedef struct {
    const Plan *plan; const PlanProgram *program; const Compiled *kernels;
    Emulated *emulated;                              /* of CUDA texts, the mutants' too */
    Interpreter *x[SALTS]; Tensors *want[SALTS];     /* after their run */
} Trial;

/* Runs the kernels of a segment and says what differs. */
static int outcome(const Trial *t, const PlanSegment *segment, int kernel, int salt)
{
    Tensors *got = tensors_new(t->plan, t->program, (uint64_t)salt, 2);
    Machine m = {.plan = t->plan, .library = t->kernels->library, .fn = t->kernels->fn, .emulated = t->emulated,
                 .text = t->kernels->text, .check = t->x[salt]};
    tensors_scalars(got, segment, 0);
    machine_run(&m, segment, got);
    bool same = tensors_equal(t->want[salt], got, segment, NULL);
    bool place = kernel >= 0 && m.finding.found && strstr(m.finding.text, t->plan->kernel[kernel].name);
    tensors_free(got);
    return m.finding.beside ? BY_GUARD : same ? MISSED : place ? BY_PLACE : BY_VALUES;
}
/* In a process of its own: the fault may make a kernel store anywhere, or not end. */
static int trial(const Trial *t, const PlanSegment *segment, int kernel, ExactFn *planted, int emulated)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) machine_error("cannot start a process");
    if (!pid) {
        int code = MISSED;
        if (!freopen("/dev/null", "w", stdout)) _exit(EXIT_BUG);
        alarm(SECONDS);
        if (kernel >= 0 && t->emulated) emulated_use(t->emulated, kernel, emulated);
        else if (kernel >= 0) t->kernels->fn[kernel] = planted;
        for (int salt = 0; salt < SALTS && code == MISSED; salt++) code = outcome(t, segment, kernel, salt);
        _exit(code);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid) machine_error("a process was lost");
    return WIFEXITED(status) && WEXITSTATUS(status) >= MISSED ? WEXITSTATUS(status) : BY_GUARD;
}
static bool report(const char *what, const char *where, const char *line, int code)
{
    printf("%s %s, %s%s\n", code == MISSED ? "MISSED" : "found ", where, what,
           code == BY_GUARD ? " (loads or stores where no buffer is)" : "");
    if (code == MISSED && line) printf("       %s\n", line);
    return code != MISSED;
}
/* One run of the segment as it is, from which processes branch off where a kernel with faults is first launched: each has one fault, and goes on to the end, or
   until what a launch leaves is wrong. */
typedef struct {
    const Trial *t; const PlanSegment *segment; Machine *m;
    const Mutant *mutant; int n, *code, first; Library *library;
    int kernel;                                      /* in such a process: whose text is another; -1 before */
} Sweep;
static void sweep_step(void *user, int step)
{
    Sweep *w = user;
    const Finding *f = &w->m->finding;
    if (w->kernel >= 0) {                            /* what the launch before left was looked at */
        if (f->found) _exit(f->beside ? BY_GUARD : strstr(f->text, w->t->plan->kernel[w->kernel].name) ? BY_PLACE : BY_VALUES);
        return;
    }
    for (int i = 0; i < w->n; i++) {
        if (w->mutant[i].kernel != w->segment->step[step].kernel || w->code[i]) continue;
        fflush(stdout);
        pid_t pid = fork();
        if (pid < 0) machine_error("cannot start a process");
        if (!pid) {
            if (!freopen("/dev/null", "w", stdout)) _exit(EXIT_BUG);
            alarm(SECONDS);
            w->kernel = w->mutant[i].kernel;
            if (w->t->emulated) emulated_use(w->t->emulated, w->kernel, w->first + i);
            else w->t->kernels->fn[w->kernel] = library_function(w->library, w->mutant[i].name);
            return;
        }
        int status = 0;
        if (waitpid(pid, &status, 0) != pid) machine_error("a process was lost");
        w->code[i] = WIFEXITED(status) && WEXITSTATUS(status) >= MISSED ? WEXITSTATUS(status) : BY_GUARD;
    }
}
static void sweep(Sweep *w, int salt)
{
    const Trial *t = w->t;
    Tensors *got = tensors_new(t->plan, t->program, (uint64_t)salt, 2);
    Machine m = {.plan = t->plan, .library = t->kernels->library, .fn = t->kernels->fn, .emulated = t->emulated, .text = t->kernels->text, .check = t->x[salt],
                 .at_step = sweep_step, .user = w};
    w->m = &m;
    w->kernel = -1;
    tensors_scalars(got, w->segment, 0);
    machine_run(&m, w->segment, got);
    if (w->kernel >= 0) {                            /* behind the last launch */
        sweep_step(w, w->segment->n_steps);
        _exit(tensors_equal(t->want[salt], got, w->segment, NULL) ? MISSED : BY_VALUES);
    }
    tensors_free(got);
}
/* The library of all mutants of C texts; or the emulator's, behind the plan's own texts, the first of mutants being *first. */
static Library *compile_mutants(Trial *t, const Mutant *mutant, int n, const char *dir, const char *headers, int *first)
{
    ExactSource *source = xcalloc((size_t)n + 1, sizeof *source);
    for (int i = 0; i < n; i++) source[i] = (ExactSource){mutant[i].name, mutant[i].text};
    *first = 0;
    if (!t->kernels->emulated) return library_new(dir, headers, source, n, false);
    EmulatedText *text = xcalloc((size_t)(n + t->plan->n_kernels) + 1, sizeof *text);
    for (int k = 0; k < t->plan->n_kernels; k++) if (t->kernels->cuda[k]) text[(*first)++] = (EmulatedText){k, t->kernels->cuda[k]};
    for (int i = 0; i < n; i++) text[*first + i] = (EmulatedText){mutant[i].kernel, mutant[i].text};
    t->emulated = emulated_new(t->plan, text, *first + n, headers);
    return NULL;
}
bool plant_faults(const Plan *plan, const PlanProgram *program, const Compiled *kernels, bool few, const char *dir, const char *headers)
{
    static const char *const kinds[] = {"conv", "wgrad", "matmul", "sum", "max", "map", "pass", "rows"};
    PlanSegment *segment = &program->segment[0], whole = copy_segment(segment);
    Mutant mutant[(COUNT(rules) + COUNT(cuda_rules)) * COUNT(kinds)];
    const bool cuda = kernels->emulated != NULL;
    const Rule *rule = cuda ? cuda_rules : rules;
    int n = 0, planted = 0, found = 0, placed = 0, first;
    for (size_t r = 0; r < (cuda ? COUNT(cuda_rules) : COUNT(rules)); r++)
        for (size_t j = 0, k = r % COUNT(kinds), before = (size_t)n; j < COUNT(kinds) && !(few && (size_t)n > before); j++, k = (r + j) % COUNT(kinds))
            n += of_kind(kinds[k], rule[r].kinds) && mutate(plan, cuda ? kernels->cuda : kernels->text, &rule[r], kinds[k], n, cuda, &mutant[n]);
    Trial t = {.plan = plan, .program = program, .kernels = kernels};
    Library *library = compile_mutants(&t, mutant, n, dir, headers, &first);
    for (int salt = 0; salt < SALTS; salt++) {
        t.x[salt] = interpreter_new(plan, segment, true);
        t.want[salt] = tensors_new(plan, program, (uint64_t)salt, 1);
        tensors_scalars(t.want[salt], segment, 0);
        interpreter_run(t.x[salt], segment, t.want[salt]);
    }
    bool sound = trial(&t, segment, -1, NULL, 0) == MISSED;          /* without a fault there is nothing to find */
    if (!sound) printf("FAIL %s: kernels and graph differ without a fault\n", program->name);
    int codes[(COUNT(rules) + COUNT(cuda_rules)) * COUNT(kinds)] = {0};
    if (sound) sweep(&(Sweep){.t = &t, .segment = segment, .mutant = mutant, .n = n, .code = codes, .first = first, .library = library}, 0);
    for (int i = 0; i < n && sound; i++, planted++) {
        int code = codes[i];
        if (!code || code == MISSED) code = trial(&t, segment, mutant[i].kernel, cuda ? NULL : library_function(library, mutant[i].name), first + i);
        found += report(mutant[i].what, plan->kernel[mutant[i].kernel].name, mutant[i].line, code);
        placed += code == BY_PLACE;
        fflush(stdout);
    }
    for (size_t r = 0; r < COUNT(plan_rules) && sound && !cuda; r++)
        for (int k = 0; k < plan_rules[r].times; k++) {
            *segment = copy_segment(&whole);
            uint64_t start = fp_hash(fp_hash_text(plan_rules[r].what), (uint64_t)k);
            int step = -1;
            for (int i = 0; i < whole.n_steps && step < 0; i++) {
                int at = (int)((start + (uint64_t)i) % (uint64_t)whole.n_steps);
                if (plan_rules[r].make(segment, kernels->text, at)) step = at;
            }
            if (step < 0) continue;
            char *where = xasprintf("step %d", step);
            found += report(plan_rules[r].what, where, NULL, trial(&t, segment, -1, NULL, 0));
            planted++;
            free(where);
        }
    *segment = whole;
    printf("%d of the %d in kernels were seen right after the launch that has them\n", placed, n);
    printf("%d of %d planted faults found\n", found, planted);
    return sound && planted > 0 && found == planted;
}
