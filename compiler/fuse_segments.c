/* Joins matrix products that are added up: one kernel with a K segment for each, one accumulator, and no tensor between them.
   Assumes open kernels (fuse_merge.c) before anything else was joined. */
#include "compiler/fuse_merge.h"

static Ref product_of(const Graph *g, const Kern *k)
{
    for (int i = 0; i < k->n; i++)
        if (N(g, k->member[i])->op == OP_contract && !pointwise_contract(g, N(g, k->member[i]))) return k->member[i];
    return 0;
}

/* Is r = product + (what does not have it), element by element, with nothing else reading what lies between? stop: a held node that is looked into. */
static bool adds_to(const Merge *m, Ref r, Ref product, Ref stop)
{
    const Graph *g = m->g;
    const Node *n = N(g, r);
    if (r == product) return m->uses[r] == 1;
    if (m->uses[r] != 1 || (g->into[r] && r != stop)) return false;
    if (n->op == OP_rename) return adds_to(m, n->in[0], product, stop);
    if (n->op == OP_add) return adds_to(m, n->in[0], product, stop) || adds_to(m, n->in[1], product, stop);
    return n->op == OP_sub && adds_to(m, n->in[0], product, stop);
}

/* Does the epilogue that ends in r add two products before anything else is done to either? */
static bool adds_both(const Merge *m, Ref r, Ref x, Ref y, Ref stop, bool top, int depth)
{
    const Graph *g = m->g;
    const Node *n = N(g, r);
    if (depth > 60 || (!top && g->into[r] && r != stop) || (op_info[n->op].cls != OPC_ELEM && n->op != OP_rename)) return false;
    if (n->op == OP_add)
        for (int k = 0; k < 2; k++)
            if (adds_to(m, n->in[k], x, stop) && adds_to(m, n->in[1 - k], y, stop)) return true;
    for (int k = 0; k < n->n_in; k++)
        if (adds_both(m, n->in[k], x, y, stop, false, depth + 1)) return true;
    return false;
}

/* Product kernel c adds its product to what kernel k made: one kernel with two K segments, without the tensor between. */
static bool try_segment(Merge *m, Kern *c, Kern *k, Ref between)
{
    enum { MAX_SEGMENTS = 40 };
    Graph *g = m->g;
    Ref x = product_of(g, k), y = product_of(g, c), root = 0;
    if (!x || !y || !c->plan || !k->plan || c->plan->leaf == LEAF_TAPS_OUT || k->plan->leaf == LEAF_TAPS_OUT)
        return no(m, "one of the two is no product in tiles");
    if (N(g, x)->precision != N(g, y)->precision) return no(m, "two products of two precisions");
    if (c->n != 2) return no(m, "two products, and the second is not just added to what lies between");
    int products = 0;
    for (int i = 0; i < k->n; i++) {
        bool product = N(g, k->member[i])->op == OP_contract;
        if (!product && k->member[i] != between) return no(m, "two products, and the first keeps other results than what lies between");
        products += product;
    }
    root = c->member[0] == y ? c->member[1] : c->member[0];
    if (products >= MAX_SEGMENTS || op_info[N(g, root)->op].cls != OPC_ELEM) return no(m, "two products that are not added");
    if (m->uses[between] != 1) return no(m, "two products, and the tensor between them has other readers");
    if (c->plan->leaf != LEAF_GEMM && k->plan->leaf != LEAF_GEMM) return no(m, "two convolutions with windows, each with a stage of its own");
    if (c->plan->nb || k->plan->nb || (c->plan->leaf != LEAF_GEMM && products > 1)) return no(m, "two products, one of them in batches or with a window");
    if (!adds_both(m, root, x, y, between, true, 0)) return no(m, "two products: one reads the other's result, or more is done to it than adding");
    for (int i = 0; i < c->n_leaf; i++) {
        Kern *from = kernel_of(m, c->leaf[i]);
        if (from && from != k && runs_after(m, from, k)) return no(m, circle(m, c->leaf[i]));
    }
    Place px = identity(g, x), py = identity(g, y), ax, ay;             /* rows and columns must be the same axes */
    bool held = g->held[between];
    g->held[between] = false;
    Ref into = g->into[between], root_into = g->into[root];
    g->into[between] = g->into[root] = 0;
    placer_know(&m->placer, &px, 1);
    bool ok = place_node(&m->placer, root, &ax) == PLACE_ALIGNED && place_whole(g, root, &ax);
    placer_know(&m->placer, &py, 1);
    ok = ok && place_node(&m->placer, root, &ay) == PLACE_ALIGNED && place_whole(g, root, &ay);
    g->into[root] = root_into;
    const Node *n = N(g, root);
    for (int i = 0; ok && i < n->n_axes; i++) {
        bool row_x = false, row_y = false;
        for (int q = 0; q < k->plan->nm; q++) row_x |= k->plan->m[q].role == ax.at[i].role;
        for (int q = 0; q < c->plan->nm; q++) row_y |= c->plan->m[q].role == ay.at[i].role;
        ok = n->axes[i].size == 1 || row_x == row_y;
    }
    if (!ok) {
        g->held[between] = held;
        g->into[between] = into;
        return no(m, "two products with other rows and columns");
    }
    if (between == x) g->into[x] = into;
    for (int i = 0; i < k->n; i++)                   /* `between` is computed where the root is */
        if (k->member[i] == between && between != x) { memmove(&k->member[i], &k->member[i + 1], sizeof *k->member * (size_t)(k->n - i - 1)); k->n--; break; }
    Ref anchor = x;
    if (c->plan->leaf != LEAF_GEMM) {
        ContractPlan *t = k->plan;
        k->plan = c->plan;
        c->plan = t;
        anchor = y;
    }
    join(m, c, k, "a K segment: both products are summed in one accumulator");
    if (k->leader == between) {                      /* it leads no more */
        k->leader = root;
        m->of[root] = (int)(k - m->k);
        for (int i = 0; i < k->n; i++) g->into[k->member[i]] = root;
    }
    k->n_store = 1;
    k->n_place = 0;
    Place own = identity(g, anchor), at = {.node = root};
    add_place(k, &own);
    const Place *pa = anchor == x ? &ax : &ay;
    memcpy(at.at, pa->at, sizeof at.at);
    add_place(k, &at);
    return true;
}

void join_products(Merge *m)
{
    for (int i = 0; i < m->n; i++) {
        Kern *c = &m->k[i];
        for (bool more = true; more && c->n;) {
            more = false;
            if (c->kind != K_PRODUCT) break;
            for (int j = 0; j < c->n_leaf && !more; j++) {
                Kern *k = kernel_of(m, c->leaf[j]);
                if (!k || k == c || k->kind != K_PRODUCT) continue;
                m->why = k->bound != c->bound ? "wanted for another number of rows" : "computed again later, for want of memory";
                more = k->bound == c->bound && !kept_apart(m->g, c, k) && try_segment(m, c, k, c->leaf[j]);
                if (!more) note_apart(m, c, k);
            }
        }
    }
}
