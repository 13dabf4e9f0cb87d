/* Generated kernels on field elements: compiles their texts as C++, places a plan's buffers in memory with guards between them,
   runs the steps of a segment. Assumes kernels that run on one thread; every size is FP_SCALE times the plan's. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/exact/exact.h"

extern char **environ;

struct Library { void *handle; };

/* ---- compiling ---- */
static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) machine_error("cannot write %s: %s", path, strerror(errno));
}
static void compile(const char **argv, const char *log)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid;
    int status = 0, error = posix_spawnp(&pid, argv[0], &files, NULL, (char **)argv, environ);
    if (error) machine_error("cannot start the C++ compiler %s: %s", argv[0], strerror(error));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) { }
    posix_spawn_file_actions_destroy(&files);
    char *text = status ? read_file(log, NULL) : NULL;
    if (status) machine_error("the kernels do not compile for exact mode:\n%.3000s", text ? text : "");
}
/* What kernels call that is no part of their text, compiled: kept beside this program, for as long as it is newer than what it is made of. */
static char *support_object(const char *compiler, const char *headers, const char *define, const char *dir, const char *log)
{
    static const char *const FROM[] = {"support.cc", "prelude.h", "field.h", "args.h"};
    char own[4096];
    const ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    char *source = xasprintf("%s/support.cc", headers);
    own[n > 0 ? n : 0] = 0;
    char *kept = xasprintf("%s%s.o", own, define), *made = xasprintf("%s/support.o", dir);
    struct stat object, from;
    bool fresh = n > 0 && !stat(kept, &object);
    for (size_t i = 0; i < COUNT(FROM) && fresh; i++) {
        char *path = xasprintf("%s/%s", headers, FROM[i]);
        fresh = !stat(path, &from) && from.st_mtime < object.st_mtime;
        free(path);
    }
    if (!fresh) {
        const char *argv[] = {compiler, "-std=c++17", "-O2", "-fPIC", "-I", headers, define, "-c", "-o", made, source, NULL};
        compile(argv, log);
        char *beside = xasprintf("%s.%d", kept, (int)getpid());
        size_t size = 0;
        char *bytes = read_file(made, &size);        /* another file system, perhaps: written there, then renamed */
        FILE *f = bytes && n > 0 ? fopen(beside, "wb") : NULL;
        const bool whole = f && fwrite(bytes, 1, size, f) == size;
        if (f && (fclose(f) || !whole || rename(beside, kept))) unlink(beside);
        free(beside); free(bytes);
    }
    free(source);
    if (fresh) { free(made); return kept; }
    free(kept);
    return made;
}
Library *library_new(const char *dir, const char *headers, const ExactSource *source, int n, bool count)
{
    Library *l = xcalloc(1, sizeof *l);
    StrBuf unit = {0};
    const char *cxx = getenv("CXX");
    if (!make_dirs(dir)) machine_error("cannot create %s: %s", dir, strerror(errno));
    sb_puts(&unit, "#include \"prelude.h\"\nextern \"C\" {\n");
    for (int i = 0; i < n; i++) {
        char *path = xasprintf("%s/%s.c", dir, source[i].name);
        write_text(path, source[i].text);
        sb_printf(&unit, "#include \"%s.c\"\n", source[i].name);
        free(path);
    }
    sb_puts(&unit, "}\n");
    char *cc = xasprintf("%s/kernels.cc", dir);
    char *so = xasprintf("%s/kernels.so", dir), *log = xasprintf("%s/log", dir), *err = NULL;
    write_text(cc, unit.s);
    /* -w: the texts are C; -O0: compiling takes longer than running what is small, matrix products excepted */
    const char *compiler = cxx && *cxx ? cxx : "g++", *define = count ? "-DECT_COUNT" : "-UECT_COUNT";
    char *object = support_object(compiler, headers, define, dir, log);
    const char *second[] = {compiler, "-std=c++17", "-O0", "-w", "-fno-operator-names", "-fPIC", "-shared", "-I", headers, define,
                            "-o", so, cc, object, NULL};
    compile(second, log);
    l->handle = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle) err = dlerror();
    if (err) machine_error("%s", err);
    free(cc); free(object); free(so); free(log);
    sb_free(&unit);
    return l;
}
static void *symbol(const Library *l, const char *name)
{
    void *p = dlsym(l->handle, name);
    if (!p) machine_error("%s is not in the library of kernels", name);
    return p;
}
ExactFn *library_function(const Library *l, const char *name)
{
    void *p = symbol(l, name);
    ExactFn *f;
    memcpy(&f, &p, sizeof f);
    return f;
}

/* ---- memory ---- */
enum { GUARD = 256, MAX_AREAS = 256 };               /* cells before each area */
typedef struct { Fp *host; int64_t n, at; } Area;    /* at: its first cell; host NULL: the arena */
typedef struct { FpCell *cell; int64_t cells; int n; Area area[MAX_AREAS]; } Region;

static const FpCell guard = {UINT64_C(0x0badc0dedeadbeef), UINT64_C(0x0ddba11c0ffee000)};
static void fill(FpCell *c, int64_t n, uint64_t kind)
{
    for (int64_t i = 0; i < n; i++) c[i] = (FpCell){fp_hash(kind, (uint64_t)i), fp_hash(kind + 1, (uint64_t)i)};
}
static void add_area(Region *r, Fp *host, int64_t n)
{
    for (int i = 0; host && i < r->n; i++) if (r->area[i].host == host) return;
    if (r->n == MAX_AREAS) user_error("exact mode: a program with more than %d tensors", MAX_AREAS);
    r->area[r->n++] = (Area){host, n, r->cells + GUARD};
    r->cells += GUARD + (n + 3) / 4 * 4;
}
static Region *region_new(const Plan *plan, const PlanSegment *segment, const Tensors *t)
{
    Region *r = xcalloc(1, sizeof *r);
    const PlanProgram *p = t->program;
    add_area(r, NULL, segment->peak_bytes / 4);
    for (int i = 0; i < plan->n_sets; i++) add_area(r, t->set[i], plan->param_elements);
    for (int i = 0; i < plan->n_states; i++) add_area(r, t->state[i], plan->param_elements);
    add_area(r, t->grad, plan->param_elements);
    for (int i = 0; i < p->n_inputs; i++) if (t->in[i]) add_area(r, t->in[i], shape_elements(&p->input[i].shape));
    for (int i = 0; i < p->n_outputs; i++) if (t->out[i]) add_area(r, t->out[i], shape_elements(&p->output[i].shape));
    for (int i = 0; i < p->n_carries; i++) add_area(r, t->carry[i], shape_elements(&p->carry[i].shape));
    r->cells += GUARD;
    r->cell = aligned_alloc(16 * FP_SCALE, (size_t)r->cells * sizeof *r->cell);         /* as far as 16 bytes are aligned for */
    if (!r->cell) die("exact mode: no memory for %lld numbers", (long long)r->cells);
    for (int64_t i = 0; i < r->cells; i++) r->cell[i] = guard;
    fill(r->cell + r->area[0].at, r->area[0].n, 100);
    for (int k = 0; k < r->n; k++)
        for (int64_t i = 0; r->area[k].host && i < r->area[k].n; i++) r->cell[r->area[k].at + i].v = r->area[k].host[i];
    return r;
}
static FpCell *place(const Region *r, const Fp *host)
{
    for (int k = 0; k < r->n; k++) if (r->area[k].host == host) return r->cell + r->area[k].at;
    die("exact mode: a tensor without a place");
}
static FpCell *buffer(const Region *r, const PlanBuffer *b, const Tensors *t)
{
    switch (b->kind) {
    case BUF_INPUT: return place(r, t->in[b->io]);
    case BUF_ARENA: return r->cell + r->area[0].at + b->offset;
    case BUF_PARAM: return place(r, t->set[b->set]) + b->offset;
    case BUF_GRAD: return place(r, t->grad) + b->offset;
    case BUF_OUTPUT: return place(r, t->out[b->io]);
    case BUF_CARRY: return place(r, t->carry[b->io]);
    case BUF_STATE: return place(r, t->state[b->state]);
    case BUF_FLAT: return place(r, *b->name == 'p' ? t->set[0] : t->grad);
    }
    die("exact mode: a buffer of unknown kind");
}
/* Whether the cells that belong to no area are as they were. */
static bool guards_whole(const Region *r)
{
    int64_t at = 0;
    for (int k = 0; k <= r->n; k++) {
        int64_t end = k < r->n ? r->area[k].at : r->cells;
        for (; at < end; at++) if (r->cell[at].v != guard.v || r->cell[at].unused != guard.unused) return false;
        if (k < r->n) at = r->area[k].at + r->area[k].n;
    }
    return true;
}

/* ---- what a launch wrote, against the interpreter ---- */
/* The axes in memory of a slot that is written, from its declaration (`float *restrict const y8 = args->buf[8];`, of a launch of
   several kernels `... = buf[8];`) and the comment behind it. false: the slot is only read. */
static bool written_layout(const char *text, int slot, PlanShape *s, bool *half)
{
    char key[32];
    snprintf(key, sizeof key, "buf[%d];", slot);
    const char *at = strstr(text, key), *line = at;
    while (line && line > text && line[-1] != '\n') line--;
    if (!line || strstr(line, "const ") < strstr(line, "*restrict")) return false;
    *half = strstr(line, "f16_t") && strstr(line, "f16_t") < at;
    const char *c = strchr(at, '['), *end = strchr(at, '\n');
    c = c ? strstr(c, "/* [") : NULL;
    if (!c || c > end) return false;
    *s = (PlanShape){0};
    for (c += 4; *c && *c != ']' && s->n < PLAN_MAX_AXES; s->n++) {
        char role[200];
        long long size;
        int used = 0;
        if (sscanf(c, " %199[^:]:%lld%n", role, &size, &used) != 2) return false;
        s->role[s->n] = sym(role);
        s->size[s->n] = size;
        c += used;
        if (*c == ',') c++;
    }
    return true;
}
static bool compare_buffer(const Interpreter *x, int node, const PlanShape *lay, bool half, const FpCell *cell, char *what,
                           size_t size)
{
    const RefNode *n = &x->g->node[node];
    const Fp *want = x->value[node];
    if (!want || shape_elements(lay) != n->elements) return true;
    for (int i = 0; i < lay->n; i++) if (shape_axis(&n->shape, lay->role[i]) < 0 && lay->size[i] != 1) return true;
    int row = -1;
    int64_t count = 0;                               /* rows past it hold anything */
    if (x->count[node] >= 0) {
        const RefNode *c = &x->g->node[x->count[node]];
        row = shape_axis(&n->shape, x->g->node[c->in[0]].shape.role[0]);
        count = fp_signed(x->value[x->count[node]][0]);
    }
    for (int64_t e = 0; e < n->elements; e++) {
        int64_t rest = e, index[PLAN_MAX_AXES] = {0}, o = 0;
        for (int i = lay->n; i--; rest /= lay->size[i])
            if (shape_axis(&n->shape, lay->role[i]) >= 0) index[shape_axis(&n->shape, lay->role[i])] = rest % lay->size[i];
        for (int i = 0; i < n->shape.n; i++) o = o * n->shape.size[i] + index[i];
        Fp got = half ? ((const Fp *)cell)[e] : cell[e].v;
        if (got == want[o] || (row >= 0 && index[row] >= count)) continue;
        int at = snprintf(what, size, "node %%%d at [", node + 1);
        for (int i = 0; i < n->shape.n && at < (int)size; i++)
            at += snprintf(what + at, size - (size_t)at, "%s%s:%lld", i ? ", " : "", n->shape.role[i], (long long)index[i]);
        if (at < (int)size)
            snprintf(what + at, size - (size_t)at, "] is %llu instead of %llu", (unsigned long long)got,
                     (unsigned long long)want[o]);
        return false;
    }
    return true;
}
static void inspect(Machine *m, const PlanSegment *segment, int step, const Region *r, FpCell *const *buf)
{
    const PlanStep *s = &segment->step[step];
    const char *name = m->plan->kernel[s->kernel].name;
    char what[400] = "";
    if (m->finding.found) return;
    if (!guards_whole(r)) {
        m->finding.found = m->finding.beside = true;
        snprintf(what, sizeof what, "it stores where no buffer is");
    }
    for (int k = 0; k < s->n_buffers && m->check && !m->finding.found; k++) {
        const PlanBuffer *b = &segment->buffer[s->buffer[k]];
        int node = node_of_buffer(m->check, b->name), slot = k % (s->n_buffers / s->instances);
        PlanShape lay;
        bool half;
        if (node < 0 || !written_layout(m->text[s->kernel], slot, &lay, &half)) continue;
        m->finding.found = !compare_buffer(m->check, node, &lay, half, buf[s->buffer[k]], what, sizeof what);
    }
    if (m->finding.found)
        snprintf(m->finding.text, sizeof m->finding.text, "step %d, %s (%s, %s): %s", step, name, s->at, s->path, what);
}

/* ---- running ---- */
static const char *volatile running = "";
static void crashed(int signal_number)
{
    (void)signal_number;
    static const char words[] = "exact: the kernel reads or stores far outside its buffers: ";
    if (write(1, words, sizeof words - 1) < 0 || write(1, running, strlen(running)) < 0 || write(1, "\n", 1) < 0) _exit(EXIT_BUG);
    _exit(EXIT_USER);
}
static int64_t bytes_marked(const unsigned char *mark, uint64_t units)
{
    int64_t n = 0;
    for (uint64_t i = 0; i < units; i++) n += mark[i];
    return n * EXACT_UNIT / FP_SCALE;
}
/* The distinct bytes of a launch, of all its instances. It runs twice, all comparisons of numbers saying no, then yes: what a choice between
   two values may read is counted, whatever the values are. */
static Touched count_launch(ExactFn *fn, EctArgs *a, const ExactRecord *record, int *says)
{
    for (int how = 0; how < 2; how++) memset(record->marks[how], 0, record->units);
    for (*says = 0; *says < 2; ++*says) fn(a);
    return (Touched){bytes_marked(record->marks[0], record->units), bytes_marked(record->marks[1], record->units)};
}
/* The plan's figures are for all rows: behind a kernel that makes tables of rows they become those of a condition which always holds. */
static void want_all_rows(const char *text, const FpPointer *bound)
{
    const char *holds = strstr(text, "unsigned char holds[");
    const long rows = holds ? strtol(strchr(holds, '[') + 1, NULL, 10) : 0;
    static const char *const STORES[] = {"[at] = (float)row;", "[row] = (float)at;", "[0] = (float)at;"};       /* order, rank, count */
    for (int i = 0; i < 3 && holds; i++) {
        const char *at = strstr(holds, STORES[i]), *slot = at;
        if (!at) continue;
        while (slot[-1] >= '0' && slot[-1] <= '9') slot--;
        FpCell *table = (FpCell *)bound[atoi(slot)];
        for (long row = 0; row < (i < 2 ? rows : 1); row++) table[row].v = (Fp)(i < 2 ? row : rows);
    }
}
void machine_run(Machine *m, const PlanSegment *segment, Tensors *t)
{
    const Plan *plan = m->plan;
    Region *r = region_new(plan, segment, t);
    FpCell **buf = xcalloc((size_t)segment->n_buffers + 1, sizeof *buf);
    for (int i = 0; i < segment->n_buffers; i++) buf[i] = buffer(r, &segment->buffer[i], t);
    FpCell *scalar = xcalloc((size_t)plan->n_scalars + 1, sizeof *scalar);
    for (int i = 0; i < plan->n_scalars; i++) scalar[i].v = t->scalar[i];
    int64_t scratch = 64, shared = 64;
    for (int i = 0; i < segment->n_steps; i++) {
        scratch = MAX(scratch, plan->kernel[segment->step[i].kernel].scratch);
        shared = MAX(shared, plan->kernel[segment->step[i].kernel].shared);
    }
    FpCell *own = xcalloc((size_t)(scratch / 4 + 1), sizeof *own), *common = xcalloc((size_t)(shared / 4 + 1), sizeof *common);
    int *says = m->touched ? symbol(m->library, "ect_says") : NULL;
    uint64_t units = (uint64_t)r->cells * sizeof(FpCell) / EXACT_UNIT;
    ExactRecord *record = m->touched ? symbol(m->library, "ect_record") : NULL;
    if (record) *record = (ExactRecord){(char *)r->cell, units, {xcalloc(units, 1), xcalloc(units, 1)}};
    void (*product)(void) = NULL;
    void *p = m->emulated ? NULL : symbol(m->library, "ect_product");
    memcpy(&product, &p, sizeof product);
    signal(SIGSEGV, crashed);
    signal(SIGBUS, crashed);
    m->finding = (Finding){0};
    for (int i = 0; i < segment->n_steps; i++) {
        const PlanStep *s = &segment->step[i];
        const PlanKernel *k = &plan->kernel[s->kernel];
        if (m->at_step) m->at_step(m->user, i);
        FpPointer *bound = xcalloc((size_t)s->n_buffers + 1, sizeof *bound), draw[1] = {NULL};
        unsigned long long key[64];
        CHECK_BUG(s->n_draws <= (int)COUNT(key));
        for (int j = 0; j < s->n_buffers; j++) bound[j] = buf[s->buffer[j]];
        for (int j = 0; j < s->n_draws; j++) key[j] = draw_key(segment->draw[s->draw[j]].name);
        fill(own, k->scratch / 4, 200 + 2 * (uint64_t)i);            /* what a launch leaves in scratch is nothing to the next */
        fill(common, k->shared / 4, 300 + 2 * (uint64_t)i);
        EctArgs a = {.buf = bound, .scalar = scalar, .key = key, .draw = draw, .step = t->step, .sample0 = t->sample0,
                     .scratch = (char *)own, .scratch_stride = (uint64_t)scratch * FP_SCALE, .shared = (char *)common,
                     .threads = 1, .instances = s->instances};
        memcpy(&a.sgemm, &product, sizeof a.sgemm);
        running = k->name;
        char *fault = NULL;
        if (m->emulated) emulated_run(m->emulated, s, bound, key, t, (uint64_t)i, &fault);
        else if (record) m->touched[i] = count_launch(m->fn[s->kernel], &a, record, says);
        else m->fn[s->kernel](&a);
        running = "";
        if (record) want_all_rows(m->text[s->kernel], bound);
        if (fault) {
            if (!m->finding.beside) snprintf(m->finding.text, sizeof m->finding.text, "step %d, %s (%s, %s): %s", i, k->name, s->at, s->path, fault);
            m->finding.found = m->finding.beside = true;
            free(fault);
        }
        inspect(m, segment, i, r, buf);
        free(bound);
    }
    for (int k = 0; k < r->n; k++)
        for (int64_t i = 0; r->area[k].host && i < r->area[k].n; i++) r->area[k].host[i] = r->cell[r->area[k].at + i].v;
    if (record) free(record->marks[0]), free(record->marks[1]);
    free(own); free(common); free(scalar); free(buf); free(r->cell); free(r);
}
