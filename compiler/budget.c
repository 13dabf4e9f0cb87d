/* Budget: keeps the arena of every segment within --mem by computing tensors again: one that lies in memory over the peak only because kernels after
   it read it dies early, and a copy of what makes it runs before those kernels. Assumes fused graphs; every trial is fused, lowered and placed anew. */
#include "compiler/fuse.h"
#include "runtime/predict.h"

enum { MAX_SET = 48, MAX_STEPS = 600, MAX_FAILED = 40, SMALL = 16, SHOWN = 5 };

/* A graph with its kernels and places. origin: per node, the node of the first graph that it is a copy of, or stands for. */
typedef struct {
    Graph *g; bool borrowed; Segment seg; Lowered *l; Ref *origin;
    int *step; Kernel **maker; Ref *node_of;         /* per leader: when it runs, the kernel; per buffer: the node that lies there */
    int64_t *live; int peak;                         /* elements alive at each step; the first with most */
} State;
/* Nodes to make again, all dead at the peak but the first; what is saved there, in elements, and what their kernels cost. */
typedef struct { int n; Ref set[MAX_SET]; int64_t saved, flops, bytes; double seconds; } Choice;
/* idle: per node of the first graph: making it again once changed nothing. */
typedef struct { const Backend *b; Program *p; PredictDevice cpu; bool *idle; } Budget;

static int64_t padded(const Buffer *b) { return (buffer_size(b) + 15) / 16 * 16; }
static bool in_arena(const State *s, Ref r) { return s->l->home[r] >= 0 && s->l->buf[s->l->home[r]].kind == BUF_ARENA; }

/* ---- states ---- */
static void know_kernel(State *s, Kernel *k, int step)
{
    for (int j = 0; j < k->n_nodes; j++) {
        Ref leader = s->g->into[k->nodes[j]];
        if (leader) { s->step[leader] = step; s->maker[leader] = k; }
    }
}

/* Takes g and origin; g fused already when it is `borrowed`, and then not freed. */
static State *state_new(const Budget *c, const Segment *seg, Graph *g, bool borrowed, Ref *origin)
{
    State *s = xcalloc(1, sizeof *s);
    *s = (State){.g = g, .borrowed = borrowed, .seg = *seg, .origin = origin};
    s->seg.g = g;
    if (!borrowed) {
        Ranks *ranks = layout_ranks(c->b->m, g, c->b->params);
        fuse(g, ranks);
        free(ranks);
        verify(g, "budget");
    }
    Lowered *l = s->l = lower_segment(c->b->m, c->p, &s->seg, c->b->params);
    group_segment(l);
    memplan_segment(l);
    s->step = xcalloc(g->n, sizeof *s->step);
    s->maker = xcalloc(g->n, sizeof *s->maker);
    for (int i = 0; i < l->n_kernel; i++)
        for (int m = -1; m < l->kernel[i]->n_member; m++) know_kernel(s, m < 0 ? l->kernel[i] : l->kernel[i]->member[m], i);
    s->node_of = xcalloc((size_t)l->n_buf + 1, sizeof *s->node_of);
    for (Ref r = 1; r < g->n; r++) if (in_arena(s, r)) s->node_of[l->home[r]] = r;
    s->live = xcalloc((size_t)l->n_kernel + 1, sizeof *s->live);
    for (int i = 0; i < l->n_buf; i++)
        for (int k = l->buf[i].first; l->buf[i].kind == BUF_ARENA && !l->buf[i].whole && k >= 0 && k <= l->buf[i].last; k++) s->live[k] += padded(&l->buf[i]);
    for (int k = 0; k < l->n_kernel; k++) if (s->live[k] > s->live[s->peak]) s->peak = k;
    return s;
}

static void state_free(State *s)
{
    lowered_free(s->l);
    if (!s->borrowed) graph_drop(s->g);
    free(s->origin); free(s->step); free(s->maker); free(s->node_of); free(s->live); free(s);
}

static int64_t peak_bytes(const State *s) { return 4 * s->l->arena_elements; }

/* How much is alive above `floor`, over all steps: falls although another step is as full as the peak. */
static double excess(const State *s, int64_t floor)
{
    double e = 0;
    for (int k = 0; k < s->l->n_kernel; k++) if (s->live[k] > floor) e += (double)(s->live[k] - floor);
    return e;
}

/* ---- what could be dropped ---- */
typedef struct { const State *s; const bool *fixed; uint32_t *seen, now; Choice *c; int64_t root; bool fits; } Closing;

static void close_over(Closing *z, Ref r);

/* What r is made of: tensors that are dead at the peak are made again too, small ones kept. */
static void close_operands(Closing *z, Ref r)
{
    const State *s = z->s;
    for (int i = 0; i < N(s->g, r)->n_in; i++) {
        Ref x = N(s->g, r)->in[i];
        if (z->seen[x] == z->now) continue;
        z->seen[x] = z->now;
        if (!s->g->held[x]) { close_operands(z, x); continue; }
        if (!in_arena(s, x)) continue;
        const Buffer *b = &s->l->buf[s->l->home[x]];
        if (b->last >= s->peak) continue;
        if (padded(b) * SMALL <= z->root || z->fixed[x]) z->c->saved -= padded(b);
        else close_over(z, x);
    }
}

static void close_over(Closing *z, Ref r)
{
    const State *s = z->s;
    Choice *c = z->c;
    z->fits &= c->n < MAX_SET && op_info[N(s->g, r)->op].cls != OPC_TABLE;
    if (!z->fits) return;
    const Kernel *k = s->maker[s->g->into[r]];
    bool counted = false;
    for (int i = 0; i < c->n; i++) counted |= s->g->into[c->set[i]] == s->g->into[r];
    c->set[c->n++] = r;
    if (!k) { z->fits = false; return; }
    if (!counted) { c->flops += k->flops; c->bytes += k->bytes; }
    close_operands(z, r);
}

static bool used_at(const State *s, int buffer, int step)
{
    for (int m = -1; m < s->l->kernel[step]->n_member; m++) {
        const Kernel *k = m < 0 ? s->l->kernel[step] : s->l->kernel[step]->member[m];
        for (int i = 0; i < k->n_buf; i++) if (k->buf[i] == buffer) return true;
    }
    return false;
}

/* Tensors that an output is copied from stay: the copy is the program's last step. */
static void fix(const Graph *g, Ref r, bool *fixed)
{
    if (fixed[r]) return;
    fixed[r] = true;
    for (int i = 0; i < N(g, r)->n_in && !g->held[r]; i++) fix(g, N(g, r)->in[i], fixed);
}

static int by_worth(const void *a, const void *b)
{
    const Choice *x = a, *y = b;
    double p = (double)x->saved * y->seconds, q = (double)y->saved * x->seconds;
    return p > q ? -1 : p < q ? 1 : x->set[0] < y->set[0] ? -1 : 1;
}

/* All choices at the peak, the one with most bytes for its time first; heap. */
static double again_seconds(const Budget *budget, const Kernel *k)
{
    return predict_seconds(&budget->cpu, k->cls == KERNEL_CONTRACT, number_in(k->precision, budget->b->m->precision), (double)k->flops,
                           (double)k->bytes, NULL);
}

static Choice *choices(const Budget *budget, const State *s, int *n)
{
    const Graph *g = s->g;
    bool *fixed = xcalloc(g->n, 1);
    for (int i = 0; i < g->n_out; i++) fix(g, g->out[i].ref, fixed);
    Closing z = {.s = s, .fixed = fixed, .seen = xcalloc(g->n, sizeof *z.seen)};
    Choice *v = NULL;
    int cap = 0;
    *n = 0;
    for (int i = 0; i < s->l->n_buf; i++) {
        const Buffer *b = &s->l->buf[i];
        Ref r = s->node_of[i];
        if (!r || b->kind != BUF_ARENA || b->first < 0 || b->first >= s->peak || b->last <= s->peak || fixed[r] || used_at(s, i, s->peak)) continue;
        if (padded(b) * 1000 < s->live[s->peak] || budget->idle[s->origin[r]]) continue;
        Choice c = {.saved = padded(b)};
        z.c = &c;
        z.now++;
        z.root = padded(b);
        z.fits = true;
        close_over(&z, r);
        if (!z.fits || c.saved * 2 < z.root) continue;
        for (int q = 0; q < c.n; q++)                /* one that another needs is counted there: the kernel runs once */
            c.seconds += again_seconds(budget, s->maker[g->into[c.set[q]]]);
        vec_push(v, *n, cap, c);
    }
    if (v) qsort(v, (size_t)*n, sizeof *v, by_worth);
    free(fixed);
    free(z.seen);
    return v;
}

/* ---- the graph without them ---- */
/* now: a node of the old graph in the new one; late: as kernels after the peak read it; again: its copy; late_of: by origin, what there is of it
   after the peak already. after: as in Graph, of the new one. */
typedef struct {
    const State *s; Graph *to;
    Ref *now, *late, *again, *late_of, *origin, *after; uint32_t cap;
    bool *drop; Ref since;
} Rewriting;

static Ref put(Rewriting *w, Ref old, const Ref *in, Ref after)
{
    Node n = *N(w->s->g, old);
    n.in = (Ref *)in;
    Ref r = graph_add(w->to, &n, false);
    if (r >= w->cap) {
        w->cap = 2 * r + 64;
        w->origin = xrealloc(w->origin, sizeof *w->origin * w->cap);
        w->after = xrealloc(w->after, sizeof *w->after * w->cap);
    }
    w->origin[r] = w->s->origin[old];
    w->after[r] = after;
    return r;
}

static bool shared_node(const Node *n) { return op_info[n->op].cls == OPC_SOURCE || op_info[n->op].cls == OPC_TABLE; }

static Ref copy_of(Rewriting *w, Ref r)
{
    const State *s = w->s;
    const Node *n = N(s->g, r);
    if (shared_node(n) || (s->g->held[r] && !w->drop[r])) return w->now[r];
    if (w->again[r]) return w->again[r];
    Ref *known = s->g->held[r] ? &w->late_of[s->origin[r]] : NULL;
    if (known && *known) return w->again[r] = *known;
    Ref *in = xmalloc(sizeof *in * (size_t)(n->n_in + 1));
    for (int i = 0; i < n->n_in; i++) in[i] = copy_of(w, n->in[i]);
    w->again[r] = put(w, r, in, w->since);
    free(in);
    if (known) *known = w->again[r];
    return w->again[r];
}

static Ref late_read(Rewriting *w, Ref r)
{
    const State *s = w->s;
    const Node *n = N(s->g, r);
    if (w->drop[r]) {
        if (!w->again[r]) w->since = w->to->n;
        return copy_of(w, r);
    }
    if (s->g->into[r] || shared_node(n)) return w->now[r];
    if (w->late[r]) return w->late[r];
    Ref *in = xmalloc(sizeof *in * (size_t)(n->n_in + 1));
    bool same = true;
    for (int i = 0; i < n->n_in; i++) {
        in[i] = late_read(w, n->in[i]);
        same &= in[i] == w->now[n->in[i]];
    }
    w->late[r] = same ? w->now[r] : put(w, r, in, w->since);
    free(in);
    return w->late[r];
}

/* Nodes that outputs need, into fresh ids. *origin: heap. */
static Graph *tidy(const Rewriting *w, Ref **origin)
{
    const Graph *g = w->to;
    bool *live = xcalloc(g->n, 1);
    for (int i = 0; i < g->n_out; i++) live[g->out[i].ref] = true;
    for (Ref r = g->n; r-- > 1;)
        for (int i = 0; live[r] && i < N(g, r)->n_in; i++) live[N(g, r)->in[i]] = true;
    Graph *to = graph_new();
    to->at = g->at;
    to->expanded = g->expanded;
    Ref *map = xcalloc(g->n + 1, sizeof *map);
    to->after = xcalloc(g->n + 1, sizeof *to->after);
    *origin = xcalloc(g->n + 1, sizeof **origin);
    for (Ref r = 1; r < g->n; r++) {
        map[r] = to->n;                              /* of one that is not needed: the next one that is */
        if (!live[r]) continue;
        Node n = *N(g, r);
        Ref *in = xmalloc(sizeof *in * (size_t)(n.n_in + 1));
        for (int i = 0; i < n.n_in; i++) in[i] = map[n.in[i]];
        n.in = in;
        graph_add(to, &n, false);
        free(in);
        to->after[map[r]] = w->after[r] ? map[w->after[r]] : 0;
        (*origin)[map[r]] = w->origin[r];
    }
    for (int i = 0; i < g->n_out; i++) graph_output(to, g->out[i].name, map[g->out[i].ref]);
    free(live);
    free(map);
    return to;
}

static Graph *without(const State *s, const Choice *c, Ref **origin)
{
    const Graph *g = s->g;
    Ref most = 0;
    for (Ref r = 1; r < g->n; r++) most = MAX(most, s->origin[r]);
    Rewriting w = {.s = s, .to = graph_new(), .now = xcalloc(g->n, sizeof(Ref)), .late = xcalloc(g->n, sizeof(Ref)),
                   .again = xcalloc(g->n, sizeof(Ref)), .late_of = xcalloc(most + 1, sizeof(Ref)), .drop = xcalloc(g->n, 1)};
    w.to->at = g->at;
    w.to->expanded = g->expanded;
    for (int i = 0; i < c->n; i++) w.drop[c->set[i]] = true;
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        bool late = g->into[r] && s->step[g->into[r]] > s->peak;
        if (late && g->held[r] && w.late_of[s->origin[r]]) { w.now[r] = w.late_of[s->origin[r]]; continue; }
        Ref *in = xmalloc(sizeof *in * (size_t)(n->n_in + 1));
        for (int i = 0; i < n->n_in; i++) in[i] = late ? late_read(&w, n->in[i]) : w.now[n->in[i]];
        Ref after = g->after && g->after[r] ? w.now[g->after[r]] : 0;
        w.now[r] = put(&w, r, in, after);
        free(in);
        if (late && g->held[r]) w.late_of[s->origin[r]] = w.now[r];
    }
    for (int i = 0; i < g->n_out; i++) graph_output(w.to, g->out[i].name, w.now[g->out[i].ref]);
    Graph *to = tidy(&w, origin);
    graph_drop(w.to);
    free(w.now); free(w.late); free(w.again); free(w.late_of); free(w.drop); free(w.origin); free(w.after);
    return to;
}

/* ---- the search ---- */
static void describe(StrBuf *b, const Graph *g, Ref r)
{
    const Node *n = N(g, r);
    if (!r) { sb_puts(b, "the weights in 2 bytes"); return; }
    sb_printf(b, "%%%u %s [", r, op_info[n->op].name);
    for (int i = 0; i < n->n_axes; i++) sb_printf(b, "%s%s:%lld", i ? ", " : "", n->axes[i].role, (long long)n->axes[i].size);
    sb_putc(b, ']');
    if (n->at.file) sb_printf(b, " of %s:%d", n->at.file, n->at.line);
    if (n->at.path && *n->at.path) sb_printf(b, " in %s", n->at.path);
}

static double mb(int64_t bytes) { return (double)bytes / 1e6; }

static NORETURN void too_small(const State *s, int64_t bytes)
{
    StrBuf b = {0};
    bool *shown = xcalloc((size_t)s->l->n_buf + 1, 1);
    for (int k = 0; k < SHOWN; k++) {
        int best = -1;
        for (int i = 0; i < s->l->n_buf; i++) {
            const Buffer *x = &s->l->buf[i];
            if (x->kind != BUF_ARENA || x->whole || shown[i] || x->first < 0 || x->first > s->peak || x->last < s->peak) continue;
            if (best < 0 || padded(x) > padded(&s->l->buf[best])) best = i;
        }
        if (best < 0) break;
        shown[best] = true;
        sb_printf(&b, "\n  %8.3f MB  ", mb(4 * buffer_size(&s->l->buf[best])));
        describe(&b, s->g, s->node_of[best]);
    }
    free(shown);
    user_error("--mem: %s cannot do with %.3f MB: with all that can be made again made again, %.3f MB are left\n"
               "  the largest tensors alive at its peak:%s\n  help: allow more, or take a smaller batch (-D batch=N)",
               s->seg.name, mb(bytes), mb(peak_bytes(s)), b.s ? b.s : " none");
}

/* The chosen graph in place of g's; what else was allocated from g's arena stays valid. */
static void adopt(Graph *g, Graph *from)
{
    free(g->node); free(g->table); free(g->out); free(g->held); free(g->into); free(g->after);
    Graph old = *g;
    *g = (Graph){.arena = old.arena, .at = old.at, .expanded = old.expanded, .n = 1, .cap = 64, .table_cap = 256};
    g->node = xcalloc(g->cap, sizeof *g->node);
    g->table = xcalloc(g->table_cap, sizeof *g->table);
    for (Ref r = 1; r < from->n; r++) graph_add(g, N(from, r), false);
    for (int i = 0; i < from->n_out; i++) graph_output(g, from->out[i].name, from->out[i].ref);
    g->held = from->held;
    g->into = from->into;
    g->after = from->after;
    from->held = NULL;
    from->into = from->after = NULL;
}

/* One step: the first choice that lowers what is alive at and near the peak. NULL: there is none. */
static State *step_down(Budget *c, const State *s, Choice *taken)
{
    int n, failed = 0;
    Choice *v = choices(c, s, &n);
    State *next = NULL;
    int64_t floor = s->live[s->peak] - s->live[s->peak] / 16;
    for (int i = 0; i < n && failed < MAX_FAILED; i++, failed++) {
        Ref *origin;
        Graph *g = without(s, &v[i], &origin);
        State *t = state_new(c, &s->seg, g, false, origin);
        if (t->live[t->peak] <= s->live[s->peak] && excess(t, floor) < 0.999 * excess(s, floor)) {
            next = t;
            *taken = v[i];
            break;
        }
        c->idle[s->origin[v[i].set[0]]] = t->l->n_kernel == s->l->n_kernel && t->live[s->peak] == s->live[s->peak];
        state_free(t);
    }
    free(v);
    return next;
}

static void fit(Budget *c, Program *p, Segment *seg, int64_t bytes)
{
    c->p = p;
    Graph *g = seg->g;
    Ref *origin = xcalloc(g->n, sizeof *origin);
    c->idle = xcalloc(g->n, sizeof *c->idle);
    for (Ref r = 1; r < g->n; r++) origin[r] = r;
    State *s = state_new(c, seg, g, true, origin), *least = s;
    /* The steps do not depend on the budget, only where they end does: a smaller one never leaves more. */
    for (int i = 0; peak_bytes(s) > bytes; i++) {
        Choice taken;
        State *next = i < MAX_STEPS ? step_down(c, s, &taken) : NULL;
        if (!next) too_small(least, bytes);
        StrBuf b = {0};
        describe(&b, s->g, taken.set[0]);
        printf("--mem %s: %.3f MB, recomputes %s%s: %.3f MB less there, %+.3f MFLOP, %+.3f MB moved\n", seg->name, mb(peak_bytes(next)), b.s,
               taken.n > 1 ? " and what it is made of" : "", mb(4 * (s->live[s->peak] - MIN(next->live[MIN(s->peak, next->l->n_kernel - 1)],
               s->live[s->peak]))), (double)(next->l->flops - s->l->flops) / 1e6, mb(next->l->bytes - s->l->bytes));
        sb_free(&b);
        State *old = s;
        s = next;
        if (peak_bytes(next) < peak_bytes(least)) {
            if (least != old) state_free(least);
            state_free(old);
            least = next;
        } else if (old != least) state_free(old);
    }
    if (!s->borrowed) adopt(g, s->g);
    if (least != s) state_free(least);
    state_free(s);
    free(c->idle);
}

void budget(Backend *b, int64_t bytes)
{
    Budget c = {.b = b};
    char *err = NULL;
    if (!predict_device(&c.cpu, "cpu", 1, &err)) die("%s", err);
    const Graph *grad = NULL;
    for (int i = 0; i < b->m->n_programs; i++)
        for (int k = 0; k < b->m->programs[i].n_seg; k++) {
            Program *p = &b->m->programs[i];
            Segment *s = &p->seg[k];
            if (s->g == grad || segment_is_update(s) || p->name == sym("init")) continue;
            fit(&c, p, s, bytes);
            if (p->name == sym("grad")) grad = s->g;
        }
}
