/* Runs some blocks of every kernel's CUDA text at the shape it has in the plan, on fresh random data: what they store must be what the graph says,
   evaluated element by element in f64 with a bound on rounding (docs/testing.md).
   Assumes a plan made for cuda; each kernel runs as in the first step that launches it, its draws given. */
#include "runtime/device.h"
#include "runtime/emu.h"
#include "runtime/kernel_prelude.h"
#include "tests/blocks/value.h"
#include "tests/tools/tool.h"

enum { MAX_SLOTS = 64, MAX_RUN = 1 << 14 };

static const char *only_kernel;
static int samples = 256, n_blocks = 4, part = 1, parts = 1;
static bool some;
static double budget = 3e7;                          /* terms of sums, for one kernel's samples */

/* ---- memory: what is read comes from two pools of random numbers, each buffer from a place of its own ---- */
static float *pool;
static uint16_t *half_pool[N_NUMBERS];
static int64_t pool_size;

static uint64_t mix(uint64_t z)
{
    z += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
static uint64_t seed = 1;
static uint64_t below(uint64_t n) { return n ? mix(seed++) % n : 0; }
static void make_pools(int64_t elements)
{
    pool_size = elements + (MAX_SLOTS + 1) * 4096;
    pool = aligned_alloc(4096, (size_t)(pool_size * 4 + 4095) / 4096 * 4096);
    for (Number t = NUM_BF16; t <= NUM_F16; t++) half_pool[t] = aligned_alloc(4096, (size_t)(pool_size * 2 + 4095) / 4096 * 4096);
    if (!pool || !half_pool[NUM_BF16] || !half_pool[NUM_F16]) machine_error("cannot allocate %lld MB", (long long)(pool_size * 8 >> 20));
    for (int64_t i = 0; i < pool_size; i++) {        /* +-(0.25 .. 1.25) */
        uint64_t h = mix((uint64_t)i);
        float v = 0.25f + (float)(h >> 40) * 0x1p-24f;
        pool[i] = h & 1 ? v : -v;
        ect_store_bf16(&half_pool[NUM_BF16][i], pool[i]);
        ect_store_f16(&half_pool[NUM_F16][i], pool[i]);
    }
}

/* What kernels store to lies between guards. */
enum { GUARD = 1 << 16 };
static void *guarded(int64_t bytes)
{
    char *p = aligned_alloc(4096, (size_t)(bytes + 2 * GUARD + 4095) / 4096 * 4096);
    if (!p) machine_error("cannot allocate %lld MB", (long long)(bytes >> 20));
    memset(p, 0x5a, GUARD);
    memset(p + GUARD, 0xff, (size_t)bytes);
    memset(p + GUARD + bytes, 0x5a, GUARD);
    return p + GUARD;
}
static bool guards_whole(const void *at, int64_t bytes)
{
    const char *p = (const char *)at - GUARD;
    bool whole = true;
    for (int64_t i = 0; i < GUARD; i++) whole &= p[i] == 0x5a && p[GUARD + bytes + i] == 0x5a;
    return whole;
}
static void free_guarded(void *at) { if (at) free((char *)at - GUARD); }

/* ---- a step's buffers ---- */
static char *text_of(const Plan *plan, const char *file)
{
    char *path = plan_path(plan, file), *text = read_file(path, NULL);
    if (!text) user_error("cannot read %s", path);
    free(path);
    return text;
}
/* A slot of a kernel: its axes in memory, of the plan, and whether it is stored to: the text then declares it without `const`. False: the plan does not say. */
static bool declared(const PlanKernel *kernel, const char *text, int slot, Number type, GvBuffer *b, bool *stored)
{
    if (slot >= kernel->n_slots) return false;
    char key[32];
    snprintf(key, sizeof key, "buf[%d];  /* [", slot);
    const char *at = strstr(text, key), *line = at, *c = kernel->slot[slot] + 1;
    while (line && line > text && line[-1] != '\n') line--;
    *stored = line && !starts(line + strspn(line, " "), "const ");
    b->type = type;
    for (b->n = 0; *c && *c != ']'; b->n++) {
        char role[200];
        long long size;
        int used = 0;
        if (sscanf(c, " %199[^:]:%lld%n", role, &size, &used) != 2) return false;
        b->role[b->n] = sym(role);
        b->size[b->n] = size;
        c += used + (c[used] == ',');
    }
    return true;
}
/* The fused graph's node that a buffer holds, or will. */
static int node_of(const Plan *plan, const PlanProgram *p, const RefGraph *g, const PlanBuffer *b, bool stored)
{
    const char *name = b->name;
    char *end;
    if (starts(name, "all.")) name += 4;             /* a table of rows as the node's, of all of them */
    if (b->kind == BUF_ARENA && name[0] == 'v') {
        long id = strtol(name + 1, &end, 10);
        if (!*end && id >= 1 && id <= g->n) return (int)id - 1;
    }
    (void)p;
    if (stored) for (int i = 0; i < g->n_out; i++) if (!strcmp(g->out[i].name, name)) return g->out[i].node;
    for (int k = 0; k < g->n; k++) {
        const RefNode *n = &g->node[k];
        if (b->within >= 0 ? n->op == R_param && n->set == b->set && !strcmp(plan->param[n->index].name, name)
            : b->kind == BUF_PARAM ? n->op == R_param && n->set == b->set && plan->param[n->index].offset == b->offset : n->op == R_input && !strcmp(n->name, name)) return k;
    }
    for (int i = 0; i < g->n_out; i++) if (!strcmp(g->out[i].name, name)) return g->out[i].node;
    return -1;
}
typedef struct {
    const PlanKernel *kernel;
    int segment, step, source;
    char *text;
} Job;
/* changed: the buffer has old contents; all: a table of all rows, whatever the node's condition says. */
typedef struct { GvBuffer b; int node, index; bool stored, changed, all; void *made; int64_t bytes; } Slot;
/* A table of rows: all of them, in another order; of an all-rows table in order. */
static void fill_table(const RefGraph *g, const RefNode *n, bool all, float *v)
{
    const int64_t rows = g->node[n->in[0]].elements;
    if (n->op == R_rows_count) v[0] = (float)rows;
    for (int64_t i = 0; n->op != R_rows_count && i < n->elements; i++) v[i] = (float)(all ? i : (i * 7 + 3) % rows);
}

/* ---- which blocks ---- */
typedef struct { int n; unsigned at[MAX_RUN][3]; } Blocks;
static void add_block(Blocks *b, unsigned x, unsigned y, unsigned z)
{
    for (int i = 0; i < b->n; i++) if (b->at[i][0] == x && b->at[i][1] == y && b->at[i][2] == z) return;
    CHECK_BUG(b->n < MAX_RUN);
    b->at[b->n][0] = x;
    b->at[b->n][1] = y;
    b->at[b->n++][2] = z;
}
static void choose(Blocks *b, const PlanCudaLaunch *l, int instances)
{
    const uint64_t all = (uint64_t)l->grid[0] * (uint64_t)l->grid[1] * (uint64_t)instances;
    for (int i = 0; i < n_blocks; i++) {
        const uint64_t k = i == 0 ? 0 : i == 1 ? all - 1 : below(all), g0 = (uint64_t)l->grid[0], g1 = (uint64_t)l->grid[1];
        add_block(b, (unsigned)(k % g0), (unsigned)(k / g0 % g1), (unsigned)(k / g0 / g1));
    }
}
/* A sum in parts: the first entry's blocks that make all parts of what a block of the second reads. A block may have some of a weight gradient's taps, whose rows
   lie behind each other, and make several parts, `own`; others: 1. Kernels that share the text differ in K and in the number of parts, "33|32". */
static void add_parts(Blocks *first, const char *text, const PlanCuda *cuda, const PlanCudaLaunch *sum, const unsigned at[3])
{
    const PlanCudaLaunch *parts_of = &cuda->launch[0];
    long long M, N, BM, BN, taken = 1, taps = 1, own = 1;
    int end = 0;
    const char *c = strstr(text, "    /* ");
    for (; c; c = strstr(c + 1, "    /* ")) {
        if (sscanf(c, " /* %lld x %lld x %*[0-9|], tiles of %lld x %lld, the sum in %*[0-9|] parts%n", &M, &N, &BM, &BN, &end) == 4 && end) break;
        if (sscanf(c, " /* %lld x %lld x %*[0-9|], tiles of %lld x %lld for %lld of %lld taps, the sum in %*[0-9|] parts, %lld a block", &M, &N, &BM, &BN, &taken, &taps, &own) == 7) break;
    }
    if (!c) die("the text does not say how its sum is split");
    const long long rows = M / taps, tasks = (rows + BM - 1) / BM, columns = (N + BN - 1) / BN, batch = tasks * (taps / taken), results = parts_of->grid[0] / batch * M * N;
    const long long parts = cuda->workspace / (4 * results * cuda->instances), block = sum->block * (strstr(text, ", 4 results a thread; epilogue") ? 4 : 1);
    for (long long from = at[0] * block; from < results; from += sum->grid[0] * block)
        for (long long piece = from, next; piece < MIN(from + block, results); piece = next) {
            const long long col = piece % N, row = piece / N % M;
            for (long long part = 0; part < parts / own; part++)
                add_block(first, (unsigned)(piece / (M * N) * batch + row / rows / taken * tasks + row % rows / BM), (unsigned)(part * columns + col / BN), at[2]);
            next = piece + MIN(BN - col % BN, N - col);              /* the tile's next row, or the next tile */
        }
}

/* ---- comparing ---- */
static bool was_stored(const Slot *s, int64_t e)
{
    if (s->changed) return memcmp((const char *)s->b.data + e * 4, (const char *)(pool + 4096 * s->index) + e * 4, 4) != 0;
    return s->b.type != NUM_F32 ? ((const uint16_t *)s->b.data)[e] != 0xffff : ((const uint32_t *)s->b.data)[e] != 0xffffffff;
}
typedef struct { int64_t stored, compared, exact, nan, infinite; double worst; } Score;

/* Compares some of what a slot got. False: the first that differs is printed. */
static bool compare(GraphValue *v, const Job *j, const Slot *s, int64_t rows, Score *score, double allowance)
{
    int64_t elements = 1, stored = 0;
    for (int i = 0; i < s->b.n; i++) elements *= s->b.size[i];
    for (int64_t e = 0; e < elements; e++) stored += was_stored(s, e);
    const bool as_before = s->changed && !stored;    /* an update that is left out: the graph must say so */
    if (as_before) stored = elements;
    score->stored += stored;
    if (!stored) return true;
    int64_t *place = xmalloc((size_t)stored * sizeof *place), n = 0;
    for (int64_t e = 0; e < elements; e++) if (as_before || was_stored(s, e)) place[n++] = e;
    const double began = gv_terms(v);
    bool good = true;
    for (int i = 0; i < samples && good && (i < 4 || gv_terms(v) - began < allowance); i++) {
        const int64_t e = i >= stored ? -1 : stored <= samples ? place[i] : i == 0 ? place[0] : i == 1 ? place[n - 1] : place[below((uint64_t)n)];
        if (e < 0) break;
        const GvValue want = s->all ? (GvValue){s->b.n ? (double)e : (double)rows, 0} : gv_element(v, s->node, &s->b, e);
        const double got = gv_read(&s->b, e), off = fabs(got - want.v), allowed = want.e + gv_ulp(want.v, s->b.type);
        if (!isfinite(want.e) && !isnan(want.v)) { score->infinite++; continue; }
        score->compared++;
        if (isnan(got) && isnan(want.v)) { score->nan++; continue; }
        score->exact += got == want.v || off <= gv_ulp(want.v, s->b.type) / 2;
        if (off <= allowed) { score->worst = fmax(score->worst, allowed > 0 ? off / allowed : 0); continue; }
        printf("FAIL %s: %%%d, element %lld of its memory [", j->kernel->name, s->node + 1, (long long)e);
        int64_t rest = e, index[PLAN_MAX_AXES];
        for (int a = s->b.n; a--; rest /= s->b.size[a]) index[a] = rest % s->b.size[a];
        for (int a = 0; a < s->b.n; a++) printf("%s%s:%lld", a ? ", " : "", s->b.role[a], (long long)index[a]);
        printf("]: stored %.9g, the graph says %.9g, %.2g is allowed\n", got, want.v, allowed);
        good = false;
    }
    free(place);
    return good;
}

/* ---- a kernel ---- */
/* The plan has the axes of a kernel's slots once; another layer that it serves may have other names for them. */
static bool named_alike(const RefNode *n, const GvBuffer *b)
{
    if (n->shape.n == 1 && b->n == 1) return true;
    for (int i = 0; i < b->n; i++) if (b->size[i] > 1 && shape_axis(&n->shape, b->role[i]) < 0) return false;
    return true;
}
/* What a product takes its operands in: of its region, if the text says so, else of the plan. */
static Number precision_of(const Plan *plan, const Job *j)
{
    char name[8];
    const char *own = strstr(j->text, "\n   precision  ");
    return own && sscanf(own, " precision %7[a-z0-9]:", name) == 1 ? number_named(name) : number_named(plan->precision);
}
static bool run_job(const Plan *plan, const PlanProgram *p, const Job *j, EmuCode *code, RefGraph *g, GraphValue *v)
{
    const PlanSegment *segment = &p->segment[j->segment];
    const PlanStep *s = &segment->step[j->step];
    const PlanCuda *cuda = j->kernel->cuda;
    const int per = s->n_buffers / s->instances, places = per * MAX(cuda->instances, s->instances);
    CHECK_BUG(s->n_buffers + s->n_draws <= 4096);
    Slot *slot = xcalloc((size_t)s->n_buffers + 1, sizeof *slot);
    const double began = now_seconds();
    for (int k = 0; k < s->n_buffers; k++) {
        const PlanBuffer *b = &segment->buffer[s->buffer[k]];
        Slot *t = &slot[k];
        t->node = t->index = -1;
        if (!declared(j->kernel, j->text, k % per, b->type, &t->b, &t->stored)) continue;
        t->node = node_of(plan, p, g, b, t->stored);
        t->index = 1 + k % MAX_SLOTS;
        t->all = starts(b->name, "all.");
        if (t->node < 0) { printf("FAIL %s: buffer %d `%s` is no node\n", j->kernel->name, k, b->name); return false; }
        if (!named_alike(&g->node[t->node], &t->b)) { printf("skip %s: buffer %d has another layer's names of axes\n", j->kernel->name, k); free(slot); return true; }
        for (int q = 0; q < k; q++) if (slot[q].node >= 0 && s->buffer[q] == s->buffer[k] && slot[q].stored == t->stored) t->index = slot[q].index, t->made = slot[q].made;
        int64_t elements = 1;
        for (int i = 0; i < t->b.n; i++) elements *= t->b.size[i];
        t->bytes = elements * number_info[t->b.type].bytes;
        const RefNode *n = &g->node[t->node];
        const bool table = n->op == R_rows_order || n->op == R_rows_rank || n->op == R_rows_count;
        t->changed = t->stored && (b->kind == BUF_STATE || b->kind == BUF_FLAT || b->kind == BUF_PARAM);
        if (t->stored || table) {
            if (!t->made) {
                t->made = guarded(t->bytes);
                if (t->changed) memcpy(t->made, pool + 4096 * t->index, (size_t)t->bytes);
                if (!t->stored) fill_table(g, n, t->all, t->made);
            }
            t->b.data = t->made;
        } else t->b.data = t->b.type != NUM_F32 ? (void *)(half_pool[t->b.type] + 4096 * t->index) : (void *)(pool + 4096 * t->index);
    }
    gv_begin(v, strcmp(j->kernel->cls, "contract") != 0 ? NUM_F32 : precision_of(plan, j));
    for (int k = 0; k < s->n_buffers; k++) {
        Slot *t = &slot[k];
        if (t->node < 0) continue;
        if (!t->stored && !t->all) gv_hold(v, t->node, &t->b);
        if (t->changed)                              /* what the state was */
            for (int q = 0; q < g->n; q++)
                if (g->node[q].op == R_input && !strcmp(g->node[q].name, segment->buffer[s->buffer[k]].name)) {
                    GvBuffer before = t->b;
                    before.data = pool + 4096 * t->index;
                    gv_hold(v, q, &before);
                }
        if (t->stored && !t->changed && !t->all) gv_made(v, t->node, &t->b);
    }
    char *now = xcalloc(1, 16 + 4 * (size_t)MAX(1, plan->n_scalars));
    for (int i = 0; i < plan->n_scalars; i++) ((float *)(now + 16))[i] = 0.3f + 0.4f * (float)(i * 37 % 100) / 100;
    gv_scalars(v, (const float *)(now + 16));
    uint64_t *args = xcalloc((size_t)(2 + 2 * s->n_draws + places) + plan_number_words(cuda), sizeof *args);
    void *workspace = cuda->workspace ? guarded(cuda->workspace) : NULL;
    int words = 2 + s->n_draws;
    args[0] = (uintptr_t)now;
    args[1] = (uintptr_t)workspace;
    for (int i = 0; i < s->n_draws; i++) {
        const PlanDraw *d = &segment->draw[s->draw[i]];
        float *values = xmalloc((size_t)(d->rows * d->per_row) * sizeof *values);
        for (int64_t e = 0; e < d->rows * d->per_row; e++)
            values[e] = d->kind == PLAN_BERNOULLI ? mix((uint64_t)e) % 10 != 0 : d->kind == PLAN_UNIFORM ? fabsf(pool[e % pool_size]) / 1.25f : pool[e % pool_size];
        gv_draw(v, d, values);
        args[words++] = (uintptr_t)values;
    }
    for (int k = 0; k < s->n_buffers; k++) args[words + k] = slot[k].node < 0 ? 0 : (uintptr_t)slot[k].b.data;
    plan_numbers(cuda, &args[words + places]);
    Blocks *last = xcalloc(1, sizeof *last), *first = xcalloc(1, sizeof *first);
    const PlanCudaLaunch *end = &cuda->launch[cuda->n_launches - 1];
    choose(last, end, s->instances);
    if (cuda->n_launches == 2)
        for (int i = 0; i < last->n; i++) add_parts(first, j->text, cuda, end, last->at[i]);
    bool good = true;
    for (int l = 0; l < cuda->n_launches && good; l++) {
        const PlanCudaLaunch *launch = &cuda->launch[l];
        const Blocks *b = l + 1 < cuda->n_launches ? first : last;
        EmuBuffer none = {0};
        char *finding = NULL;
        emu_begin(code, &none, 0);
        good = emu_launch(code, &(EmuLaunch){.source = j->source, .entry = launch->entry, .block = (unsigned)launch->block, .shared = (size_t)launch->shared, .args = args,
                          .grid = {(unsigned)launch->grid[0], (unsigned)launch->grid[1], (unsigned)s->instances}, .arg_bytes = 8 * ((size_t)(words + places) + plan_number_words(cuda)),
                          .seed = seed, .n_only = b->n, .only = b->at}, &finding);
        emu_end();
        if (!good) printf("FAIL %s: %s\n", j->kernel->name, finding);
        free(finding);
    }
    const double ran = now_seconds();
    if (good && workspace && !guards_whole(workspace, cuda->workspace)) good = false, printf("FAIL %s: it stores beside its workspace\n", j->kernel->name);
    for (int k = 0; k < s->n_buffers && good; k++)
        if (slot[k].made && !guards_whole(slot[k].made, slot[k].bytes)) good = false, printf("FAIL %s: it stores beside buffer %d\n", j->kernel->name, k);
    Score score = {0};
    int stores = 0;
    for (int k = 0; k < s->n_buffers; k++) stores += slot[k].node >= 0 && slot[k].stored;
    for (int k = 0; k < s->n_buffers && good; k++)
        if (slot[k].node >= 0 && slot[k].stored) good = compare(v, j, &slot[k], g->node[slot[k].node].n_in ? g->node[g->node[slot[k].node].in[0]].elements : 0, &score, budget / stores);
    if (good && !score.stored) good = false, printf("FAIL %s: nothing was stored\n", j->kernel->name);
    if (good)
        printf("ok   %-24s %7lld stored, %4lld compared, %4lld of them to the last bit, %.0f%% of the bound%s  %.1f + %.1f s\n", j->kernel->name, (long long)score.stored,
               (long long)score.compared, (long long)score.exact, 100 * score.worst, score.infinite ? ", others are infinite" : score.nan ? ", NaN among them" : "", ran - began, now_seconds() - ran);
    for (int i = 0; i < s->n_draws; i++) free((void *)(uintptr_t)args[2 + s->n_draws + i]);
    for (int k = 0; k < s->n_buffers; k++) {
        bool again = false;
        for (int q = 0; q < k; q++) again |= slot[q].made == slot[k].made;
        if (!again) free_guarded(slot[k].made);
    }
    free_guarded(workspace);
    free(slot); free(args); free(now); free(last); free(first);
    return good;
}

/* ---- which kernels ---- */
/* What kind of text it is: --some takes one of each, that with the least to do. */
static char *signature(const Job *j, const PlanStep *s)
{
    static const char *const words[] = {"once an element", "fused multiply-adds", " parts,", "__shfl_xor", "ECT_BERNOULLI", "const auto fold", "ect_load_a_trans", " in a batch", "results a thread"};
    StrBuf b = {0};
    sb_printf(&b, "%.*s%s", (int)strcspn(j->kernel->name, "_"), j->kernel->name, s->instances > 1 ? " many" : "");
    for (size_t i = 0; i < COUNT(words); i++) if (strstr(j->text, words[i])) sb_printf(&b, " %s", words[i]);
    return b.s;
}
/* The first step of every kernel of a program; with --some of one kernel of each kind. */
static Job *jobs_of(const Plan *plan, const PlanProgram *p, int *count)
{
    Job *job = xcalloc((size_t)plan->n_kernels + 1, sizeof *job);
    char **kind = xcalloc((size_t)plan->n_kernels + 1, sizeof *kind);
    bool *used = xcalloc((size_t)plan->n_kernels + 1, sizeof *used);
    int n = 0;
    for (int i = 0; i < p->n_segments; i++)
        for (int k = 0; k < p->segment[i].n_steps; k++) {
            const PlanStep *s = &p->segment[i].step[k];
            const PlanKernel *kernel = &plan->kernel[s->kernel];
            bool image = false;                      /* of the parameters in 2 bytes: no node of the graph; what reads it is compared */
            for (int q = 0; q < s->n_buffers; q++) image |= p->segment[i].buffer[s->buffer[q]].kind == BUF_ARENA && starts(p->segment[i].buffer[s->buffer[q]].name, "weights");
            if (image || used[s->kernel] || (only_kernel && !strstr(kernel->name, only_kernel))) continue;
            used[s->kernel] = true;
            if (!kernel->cuda) user_error("kernel %s has no CUDA text; compile the plan with --target cpu,cuda", kernel->name);
            Job j = {.kernel = kernel, .segment = i, .step = k, .text = text_of(plan, kernel->cuda->file)};
            char *own = some ? signature(&j, s) : NULL;
            int at = 0;
            while (at < n && !(some && !strcmp(kind[at], own))) at++;
            if (at < n && kernel->flops >= job[at].kernel->flops) continue;
            kind[at] = own;
            job[at] = j;
            n = MAX(n, at + 1);
        }
    free(kind);
    free(used);
    *count = 0;                                      /* the part that was asked for */
    for (int i = part - 1; i < n; i += parts) job[(*count)++] = job[i];
    return job;
}

int main(int argc, char **argv)
{
    prog_name = "blocks";
    const char *program = "train_step";
    int first = 1, n = 0;
    for (; first < argc && starts(argv[first], "--"); first++) {
        if (!strcmp(argv[first], "--some")) some = true;
        else if (!strcmp(argv[first], "--program") && first + 1 < argc) program = argv[++first];
        else if (!strcmp(argv[first], "--kernel") && first + 1 < argc) only_kernel = argv[++first];
        else if (!strcmp(argv[first], "--samples") && first + 1 < argc) samples = atoi(argv[++first]);
        else if (!strcmp(argv[first], "--blocks") && first + 1 < argc) n_blocks = atoi(argv[++first]);
        else if (!strcmp(argv[first], "--seed") && first + 1 < argc) seed = strtoull(argv[++first], NULL, 10) << 20;
        else if (!strcmp(argv[first], "--part") && first + 1 < argc) {
            if (sscanf(argv[++first], "%d/%d", &part, &parts) != 2 || part < 1 || part > parts) user_error("--part 2/3");
        } else if (!strcmp(argv[first], "--terms") && first + 1 < argc) budget = atof(argv[++first]);
        else user_error("usage: blocks [--program P] [--kernel PART_OF_NAME] [--some] [--blocks N] [--samples N] [--terms N] [--seed N] [--part I/N] PLAN");
    }
    if (first + 1 != argc) user_error("which plan?");
    char *err = NULL;
    Plan *plan = plan_load(argv[first], &err);
    if (!plan) user_error("%s", err);
    const PlanProgram *p = plan_program(plan, program);
    if (!p) user_error("the plan has no program `%s`", program);
    Job *job = jobs_of(plan, p, &n);
    EmuSource *source = xcalloc((size_t)n + 1, sizeof *source);
    int64_t largest = 4096;
    for (int k = 0; k < n; k++) {
        const PlanSegment *g = &p->segment[job[k].segment];
        const PlanStep *s = &g->step[job[k].step];
        const PlanCuda *c = job[k].kernel->cuda;
        for (int q = 0; q < s->n_buffers; q++) largest = MAX(largest, g->buffer[s->buffer[q]].elements);
        const char **entry = xcalloc((size_t)c->n_launches + 1, sizeof *entry);
        for (int l = 0; l < c->n_launches; l++) entry[l] = c->launch[l].entry;
        source[k] = (EmuSource){.name = job[k].kernel->name, .path = c->file, .text = job[k].text, .entry = entry, .n_entries = c->n_launches};
        job[k].source = k;
    }
    char *prelude = text_of(plan, "kernels/prelude.cuh");
    EmuCode *code = emu_load(source, n, &(EmuOptions){.prelude = prelude, .draw_inputs = true});
    make_pools(largest);
    int failed = 0;
    for (int i = 0; i < p->n_segments; i++) {
        char *file = xasprintf("%.*s.fused.txt", (int)strlen(p->segment[i].graph) - 4, p->segment[i].graph), *text = text_of(plan, file);
        RefGraph *g = ref_graph_parse(text, plan, &err);
        if (!g) user_error("%s: %s", file, err);
        GraphValue *v = gv_new(g);
        for (int k = 0; k < n; k++) {
            if (job[k].segment != i) continue;
            failed += !run_job(plan, p, &job[k], code, g, v);
            fflush(stdout);
        }
    }
    printf("%d kernels, %d failed\n", n, failed);
    return failed || !n ? EXIT_USER : EXIT_OK;
}
