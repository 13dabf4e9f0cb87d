/* Pair: the same layers evaluated twice in a segment, as by a student and its teacher, run side by side: kernels that do the same with the same weights
   become one launch of two instances (group.c). The weights are then read once, and there are fewer launches.
   Assumes kernels in an order that can run, each buffer of the arena written by one of them. */
#include "compiler/kernel.h"

typedef struct { int first, second; } Twins;         /* kernels by number; first < second */
typedef struct { int count, all_count, all_order; } Whole;           /* buffers: a count of rows, and those for all rows in its place */
typedef struct {
    Lowered *l, *w;                                  /* w: all rows, so that kernels that differ in what rows they take are equal there */
    uint64_t *above; int words;                      /* per kernel, a bit for each that must run before it */
    int *writer;                                     /* per buffer of l */
    int n, cap; Twins *v;
    int *mate;                                       /* per kernel, or -1 */
    int n_whole, whole_cap; Whole *whole;
    int n_made, made_cap; Kernel **made;             /* kernels that make tables of all rows */
} Pairs;

static bool stored(const Kernel *k, int slot)
{
    for (int s = 0; s < k->n_store; s++)
        if (k->store[s].slot == slot) return true;
    return false;
}

/* ---- which kernels are twins ---- */
static bool is_above(const Pairs *p, int i, int j) { return p->above[(size_t)j * (size_t)p->words + (size_t)i / 64] >> (i % 64) & 1; }

static void know_order(Pairs *p)
{
    const Lowered *l = p->l;
    p->words = l->n_kernel / 64 + 1;
    p->above = xcalloc((size_t)l->n_kernel * (size_t)p->words + 1, sizeof *p->above);
    p->writer = xmalloc(sizeof *p->writer * (size_t)(l->n_buf + 1));
    for (int i = 0; i < l->n_buf; i++) p->writer[i] = -1;
    for (int i = 0; i < l->n_kernel; i++) {
        uint64_t *mine = p->above + (size_t)i * (size_t)p->words;
        const Kernel *k = l->kernel[i];
        for (int s = 0; s < k->n_buf; s++) {
            int w = p->writer[memory_of(l, k->buf[s])];
            if (w < 0 || w == i) continue;
            for (int q = 0; q < p->words; q++) mine[q] |= p->above[(size_t)w * (size_t)p->words + (size_t)q];
            mine[w / 64] |= 1ull << (w % 64);
        }
        for (int s = 0; s < k->n_buf; s++) if (stored(k, s)) p->writer[k->buf[s]] = i;
    }
}

/* Do kernels i and j read the same weights, or only what twins made? */
static bool same_layer(const Pairs *p, int i, int j)
{
    const Kernel *a = p->w->kernel[i], *b = p->w->kernel[j];
    bool weights = false, known = true, twins = false;
    for (int s = 0; s < a->n_buf; s++) {
        int x = a->buf[s], y = b->buf[s];
        if (stored(a, s)) continue;
        if (x == y) { weights |= weight_buffer(&p->l->buf[x]) && p->l->buf[x].layout.n > 1; continue; }
        int from = p->writer[x], to = p->writer[y];
        bool pair = from >= 0 && to >= 0 && p->mate[from] == to;
        twins |= pair;
        known &= pair;
    }
    return weights || (known && twins);
}

/* Nothing of one half may wait for the other half: else some launch would wait for itself. */
static bool beside(const Pairs *p, int i, int j)
{
    if (is_above(p, i, j)) return false;
    for (int q = 0; q < p->n; q++) {
        const Twins *t = &p->v[q];
        if (t->second > j || is_above(p, t->first, j) || is_above(p, i, t->second) || is_above(p, t->second, i)) return false;
    }
    return true;
}

static bool same_draws(const Kernel *a, const Kernel *b)
{
    return a->n_draw == b->n_draw && !memcmp(a->draw, b->draw, sizeof *a->draw * (size_t)a->n_draw);
}

static bool late(const Lowered *l, const Kernel *k)  /* computed again for want of memory: not before its place */
{
    for (int q = 0; q < k->n_nodes && l->g->after; q++)
        if (l->g->after[k->nodes[q]]) return true;
    return false;
}

static void find_twins(Pairs *p)
{
    Lowered *l = p->l;
    for (int i = 0; i < l->n_kernel; i++) {
        l->kernel[i]->hash = kernel_hash(l, l->kernel[i]);
        p->w->kernel[i]->hash = kernel_hash(p->w, p->w->kernel[i]);
    }
    for (int i = 0; i < l->n_kernel; i++) {
        const Kernel *a = l->kernel[i];
        for (int j = i + 1; j < l->n_kernel && p->mate[i] < 0; j++) {
            const Kernel *b = l->kernel[j];
            bool equal = a->hash == b->hash || (a->bound < 0) != (b->bound < 0);
            if (p->mate[j] >= 0 || p->w->kernel[i]->hash != p->w->kernel[j]->hash || !equal || !same_draws(a, b) || late(l, a) || late(l, b)) continue;
            if (!same_layer(p, i, j) || !beside(p, i, j)) continue;
            p->mate[i] = j;
            p->mate[j] = i;
            vec_push(p->v, p->n, p->cap, ((Twins){i, j}));
        }
    }
}

/* ---- one form for twins of which one takes some rows only ---- */
/* The order and the count that kernel i makes, of a condition that always holds. */
static Whole tables_of_all(Pairs *p, int i)
{
    Lowered *l = p->l;
    Kernel *k = kernel_copy(l, l->kernel[i]);
    CHECK_BUG(k->cls == KERNEL_TABLE);
    vec_push(k->expr, k->n_expr, k->expr_cap, ((KExpr){.kind = K_CONST, .type = T_BOOL, .value = 1}));
    const Kernel *some = l->kernel[i];
    Whole w = {-1, -1, -1};
    k->n_store = k->n_acc = k->n_buf = 0;
    for (int s = 0; s < some->n_store; s++) {
        if (some->acc_op[s] == OP_rows_rank) continue;
        const int from = some->buf[some->store[s].slot];
        Buffer b = l->buf[from];
        b.name = arena_printf(l->arena, "all.%s", b.name);
        k->acc[k->n_acc] = (KRef)(k->n_expr - 1);
        k->acc_op[k->n_acc++] = some->acc_op[s];
        k->store[k->n_store] = some->store[s];
        k->store[k->n_store].slot = k->n_buf;
        k->store[k->n_store++].value = k->acc[0];
        const int to = k->buf[k->n_buf++] = add_buffer(l, b);
        if (some->acc_op[s] == OP_rows_count) w.count = from, w.all_count = to;
        else w.all_order = to;
    }
    kernel_traffic(l, k);
    vec_push(p->made, p->n_made, p->made_cap, k);
    return w;
}

/* The tables of all rows in place of those that count and order some. In a graph that was read back they may be of two kernels. */
static const Whole *whole(Pairs *p, int count, int order)
{
    int i = 0;
    while (i < p->n_whole && p->whole[i].count != count) i++;
    if (i == p->n_whole) vec_push(p->whole, p->n_whole, p->whole_cap, tables_of_all(p, p->writer[count]));
    if (order >= 0 && p->whole[i].all_order < 0) p->whole[i].all_order = tables_of_all(p, p->writer[order]).all_order;
    return &p->whole[i];
}

/* Kernel `to` in the form of its twin `from`, which takes some rows: it takes all of them. */
static void take_form(Pairs *p, int to, int from)
{
    Lowered *l = p->l;
    const Kernel *b = l->kernel[from], *all = p->w->kernel[from], *own = p->w->kernel[to];
    Kernel *old = l->kernel[to], *k = kernel_copy(l, b);
    for (int t = 0; t < b->n_buf; t++) {
        int s = 0;
        while (s < all->n_buf && all->buf[s] != b->buf[t]) s++;
        if (s < all->n_buf) k->buf[t] = own->buf[s];
        else if (t == b->bound) k->buf[t] = whole(p, b->buf[t], -1)->all_count;
        else k->buf[t] = whole(p, b->buf[b->bound], b->buf[t])->all_order;
    }
    k->n_nodes = old->n_nodes;
    memcpy(k->nodes, old->nodes, sizeof k->nodes);
    k->root = old->root;
    kernel_traffic(l, k);
    l->kernel[to] = k;
    kernel_free(old);
}

static void one_form(Pairs *p)
{
    Lowered *l = p->l;
    for (int q = 0; q < p->n; q++) {
        Twins t = p->v[q];
        bool first = l->kernel[t.first]->bound >= 0, second = l->kernel[t.second]->bound >= 0;
        if (first != second) take_form(p, first ? t.second : t.first, first ? t.first : t.second);
        l->kernel[t.first]->twin = l->kernel[t.second];
        l->kernel[t.second]->twin = l->kernel[t.first];
    }
    if (!p->n_made) return;
    Kernel **v = xmalloc(sizeof *v * (size_t)(p->n_made + l->n_kernel + 1));
    memcpy(v, p->made, sizeof *v * (size_t)p->n_made);
    memcpy(v + p->n_made, l->kernel, sizeof *v * (size_t)l->n_kernel);
    free(l->kernel);
    l->kernel = v;
    l->n_kernel += p->n_made;
    l->kernel_cap = l->n_kernel + 1;
}

static bool pair_segment(Lowered *l)
{
    Pairs p = {.l = l, .w = lower_segment_all_rows(l->m, l->prog, l->seg, l->params)};
    CHECK_BUG(p.w->n_kernel == l->n_kernel && p.w->n_buf == l->n_buf);
    p.mate = xmalloc(sizeof *p.mate * (size_t)(l->n_kernel + 1));
    for (int i = 0; i < l->n_kernel; i++) p.mate[i] = -1;
    know_order(&p);
    find_twins(&p);
    one_form(&p);
    bool any = p.n > 0;
    free(p.above); free(p.writer); free(p.v); free(p.mate); free(p.whole); free(p.made);
    lowered_free(p.w);
    return any;
}

/* ---- what it costs ---- */
/* The arena of a segment, in bytes, when it is lowered anew. any: paired, and whether there are twins; NULL: not paired. */
static int64_t arena_when(const Lowered *l, bool *any)
{
    Lowered *trial = lower_segment(l->m, l->prog, l->seg, l->params);
    if (any) *any = pair_segment(trial);
    group_segment(trial);
    memplan_segment(trial);
    int64_t bytes = 4 * trial->arena_elements;
    lowered_free(trial);
    return bytes;
}

/* Side by side, what both evaluations hold at one time takes more memory. A plan's memory is that of its largest arena: a segment may be paired up to a
   sixteenth more than that, or up to `mem`. */
void pair(Backend *b, int64_t mem)
{
    int64_t most = 0;
    for (int i = 0; i < b->n_low && !mem; i++)
        if (b->low[i].owned) most = MAX(most, arena_when(b->low[i].l, NULL));
    for (int i = 0; i < b->n_low; i++) {
        bool any;
        if (!b->low[i].owned || segment_is_update(b->low[i].seg)) continue;
        int64_t bytes = arena_when(b->low[i].l, &any);
        if (any && bytes <= (mem ? mem : most + most / 16)) pair_segment(b->low[i].l);
    }
}
