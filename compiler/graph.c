/* The graph container: nodes in an arena, interning, outputs, rebuilding. The builders are in build.c.
   Assumes that operands exist before their users (ids are topological) and that Syms live as long as the process. */
#include "compiler/graph.h"

const OpInfo op_info[OP_COUNT] = {
#define OP(name, n, cls, ctext, grad, doc) [OP_##name] = { #name, n, OPC_##cls, ctext, #grad, doc },
#include "compiler/ops.def"
#undef OP
};

enum { ATTR_WORDS = 4 + 6 * MAX_AXES + 2 * MAX_AXES };

Graph *graph_new(void)
{
    Graph *g = xcalloc(1, sizeof *g);
    g->arena = arena_new();
    g->cap = 64;
    g->node = xcalloc(g->cap, sizeof *g->node);
    g->n = 1;
    g->table_cap = 256;
    g->table = xcalloc(g->table_cap, sizeof *g->table);
    return g;
}

void graph_drop(Graph *g)
{
    if (!g) return;
    arena_drop(g->arena);
    free(g->node);
    free(g->table);
    free(g->out);
    free(g->held);
    free(g->into);
    free(g->notes.held);
    free(g->notes.rule);
    free(g->notes.stop);
    free(g->notes.apart);
    free(g->after);
    free(g);
}

const Axis *find_axis(const Node *n, Sym role)
{
    for (int i = 0; i < n->n_axes; i++)
        if (n->axes[i].role == role) return &n->axes[i];
    return NULL;
}

int64_t node_elements(const Node *n)
{
    int64_t e = 1;
    for (int i = 0; i < n->n_axes; i++)
        if (__builtin_mul_overflow(e, n->axes[i].size, &e)) return INT64_MAX;
    return e;
}

bool has_precision(Op op, Type type)
{
    OpClass c = op_info[op].cls;
    return type == T_F32 && (c == OPC_ELEM || c == OPC_REDUCE || c == OPC_COMPOSITE);
}

Number number_in(Precision p, Number plan) { return p ? (Number)(p - 1) : plan; }
Number number_of(const Node *n, Number plan) { return number_in(n->precision, plan); }

Precision precision_below(const Graph *g, Ref r)
{
    while (op_info[N(g, r)->op].cls == OPC_VIEW) r = N(g, r)->in[0];
    return N(g, r)->precision;
}

bool same_axes(const Node *n, int n_axes, const Axis *axes)
{
    if (n->n_axes != n_axes) return false;
    for (int i = 0; i < n_axes; i++)
        if (n->axes[i].role != axes[i].role || n->axes[i].size != axes[i].size) return false;
    return true;
}

bool axis_in(int n, const Sym *axes, Sym role)
{
    for (int i = 0; i < n; i++)
        if (axes[i] == role) return true;
    return false;
}

static uint64_t bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

/* Attributes of a node as words: equal attributes give equal words. */
static int attr_words(const Node *n, uint64_t *w)
{
    const Attr *a = &n->a;
    int k = 0;
#define W(x) (w[k++] = (uint64_t)(x))
#define S(x) (w[k++] = (uint64_t)(uintptr_t)(x))
    switch (n->op) {
    case OP_input: S(a->input.name); break;
    case OP_param: W(a->param.index); S(a->param.set); break;
    case OP_const: W(bits(a->konst.value)); break;
    case OP_scalar: W(a->scalar.index); break;
    case OP_draw: W(a->draw.kind); S(a->draw.stream); S(a->draw.path); W(bits(a->draw.p)); break;
    case OP_rename: S(a->rename.from); S(a->rename.to); break;
    case OP_slice: S(a->slice.axis); W(a->slice.start); W(a->slice.len); break;
    case OP_pick: S(a->pick.axis); W(a->pick.index); break;
    case OP_pad: S(a->pad.axis); W(a->pad.lo); W(a->pad.hi); break;
    case OP_concat: S(a->concat.axis); break;
    case OP_repeat: S(a->repeat.axis); W(a->repeat.times); break;
    case OP_window: S(a->window.axis); S(a->window.kaxis); W(a->window.k); W(a->window.stride); W(a->window.dil); W(a->window.pad);
        W(a->window.out); break;
    case OP_unwindow: S(a->unwindow.axis); S(a->unwindow.kaxis); W(a->unwindow.stride); W(a->unwindow.dil); W(a->unwindow.pad);
        W(a->unwindow.out); break;
    case OP_expand: S(a->expand.axis); W(a->expand.size); break;
    case OP_nan_to_num: W(bits(a->nan_to_num.nan)); W(bits(a->nan_to_num.inf)); break;
    case OP_rearrange: {
        const Rearrange *r = a->rearrange;
        W(r->n_in); W(r->n_out); W(r->n_factors);
        for (int i = 0; i < r->n_factors; i++) { W(r->factor[i]); W(r->out_factor[i]); }
        for (int i = 0; i < r->n_in; i++) W(r->in_count[i]);
        for (int i = 0; i < r->n_out; i++) W(r->out_count[i]);
        break;
    }
    default:
        if (op_info[n->op].cls == OPC_REDUCE || op_info[n->op].cls == OPC_COMPOSITE) {
            W(a->reduce.n); W(bits(a->reduce.eps));
            for (int i = 0; i < a->reduce.n; i++) S(a->reduce.axis[i]);
        }
    }
#undef W
#undef S
    return k;
}

static uint64_t node_hash(const Node *n)
{
    uint64_t w[ATTR_WORDS];
    int k = attr_words(n, w);
    uint64_t h = hash64(w, 8 * (size_t)k, ((uint64_t)n->op << 8 | n->precision) << 1 | n->type);
    h = hash64(n->axes, sizeof *n->axes * (size_t)n->n_axes, h);
    return hash64(n->in, sizeof *n->in * (size_t)n->n_in, h);
}

static bool node_equal(const Node *x, const Node *y)
{
    if (x->op != y->op || x->type != y->type || x->precision != y->precision || x->n_in != y->n_in || !same_axes(x, y->n_axes, y->axes)) return false;
    if (x->n_in && memcmp(x->in, y->in, sizeof *x->in * (size_t)x->n_in)) return false;
    uint64_t u[ATTR_WORDS], v[ATTR_WORDS];
    int k = attr_words(x, u);
    return k == attr_words(y, v) && !memcmp(u, v, 8 * (size_t)k);
}

/* The slot of a node equal to n, or the free slot where it belongs. */
static uint32_t *slot_of(Graph *g, const Node *n)
{
    uint32_t mask = g->table_cap - 1;
    for (uint32_t i = (uint32_t)node_hash(n) & mask;; i = (i + 1) & mask)
        if (!g->table[i] || node_equal(&g->node[g->table[i]], n)) return &g->table[i];
}

static void grow_table(Graph *g)
{
    free(g->table);
    g->table_cap *= 2;
    g->table = xcalloc(g->table_cap, sizeof *g->table);
    for (Ref r = 1; r < g->n; r++) {
        uint32_t *s = slot_of(g, &g->node[r]);
        if (!*s) *s = r;
    }
}

Ref graph_add(Graph *g, const Node *n, bool share)
{
    if (2 * g->n >= g->table_cap) grow_table(g);
    uint32_t *s = slot_of(g, n);
    if (*s && share) return *s;
    if (g->n == g->cap) {
        g->cap *= 2;
        g->node = xrealloc(g->node, g->cap * sizeof *g->node);
    }
    Node *m = &g->node[g->n];
    *m = *n;
    m->in = arena_make(g->arena, Ref, n->n_in);
    m->axes = arena_make(g->arena, Axis, n->n_axes);
    if (n->n_in) memcpy(m->in, n->in, sizeof *n->in * (size_t)n->n_in);
    if (n->n_axes) memcpy(m->axes, n->axes, sizeof *n->axes * (size_t)n->n_axes);
    if (n->op == OP_rearrange) {
        m->a.rearrange = arena_make(g->arena, Rearrange, 1);
        *m->a.rearrange = *n->a.rearrange;
    }
    if (!*s) *s = g->n;
    return g->n++;
}

void graph_output(Graph *g, Sym name, Ref r)
{
    CHECK_BUG(r && r < g->n);
    int i = 0;
    while (i < g->n_out && g->out[i].name != name) i++;
    if (i == g->out_cap) {
        g->out_cap = g->out_cap ? 2 * g->out_cap : 8;
        g->out = xrealloc(g->out, (size_t)g->out_cap * sizeof *g->out);
    }
    if (i == g->n_out) g->n_out++;
    g->out[i].name = name;
    g->out[i].ref = r;
}

Ref graph_find_output(const Graph *g, Sym name)
{
    for (int i = 0; i < g->n_out; i++)
        if (g->out[i].name == name) return g->out[i].ref;
    return 0;
}

uint64_t graph_hash(const Graph *g)
{
    uint64_t h = g->n;
    for (Ref r = 1; r < g->n; r++) {
        uint64_t w = node_hash(&g->node[r]);
        h = hash64(&w, sizeof w, h);
    }
    for (int i = 0; i < g->n_out; i++) h = hash64(&g->out[i].ref, sizeof g->out[i].ref, h);
    return h;
}

static bool *live_nodes(const Graph *g)
{
    bool *live = xcalloc(g->n, sizeof *live);
    for (int i = 0; i < g->n_out; i++) live[g->out[i].ref] = true;
    for (Ref r = g->n; r-- > 1;)
        if (live[r])
            for (int k = 0; k < g->node[r].n_in; k++) live[g->node[r].in[k]] = true;
    return live;
}

/* Empties the container and keeps the arena, so that what was allocated from it stays valid. */
static Graph take_nodes(Graph *g)
{
    Graph old = *g;
    g->cap = 64;
    g->node = xcalloc(g->cap, sizeof *g->node);
    g->n = 1;
    g->table_cap = 256;
    g->table = xcalloc(g->table_cap, sizeof *g->table);
    return old;
}

static void rebuild_once(Graph *g, NodeMaker *make, void *ctx)
{
    bool *live = live_nodes(g);
    Graph old = take_nodes(g);
    Ref *map = xcalloc(old.n, sizeof *map), *in = NULL;
    int cap = 0;
    for (Ref r = 1; r < old.n; r++) {
        if (!live[r]) continue;
        const Node *n = &old.node[r];
        if (n->n_in > cap) in = xrealloc(in, (size_t)(cap = 2 * n->n_in) * sizeof *in);
        for (int k = 0; k < n->n_in; k++) in[k] = map[n->in[k]];
        g->at = n->at;
        g->precision = n->precision;
        if (make) {
            map[r] = mk_conform(g, make(g, n, r, in, ctx), n->n_axes, n->axes);
        } else {
            Node copy = *n;
            copy.in = in;
            map[r] = graph_add(g, &copy, true);
        }
    }
    for (int i = 0; i < g->n_out; i++) g->out[i].ref = map[g->out[i].ref];
    g->at = old.at;
    g->precision = old.precision;
    free(in);
    free(map);
    free(live);
    free(old.node);
    free(old.table);
}

void graph_rebuild(Graph *g, NodeMaker *make, void *ctx)
{
    if (make) rebuild_once(g, make, ctx);
    rebuild_once(g, NULL, NULL);                     /* drops what was made on the way and is not needed */
}
