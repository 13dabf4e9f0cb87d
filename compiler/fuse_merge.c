/* Joins kernels: a reduction moves into the kernel that makes its operand, an element-wise result into one that has its inputs at hand, equal
   sums side by side. Every step saves reads of held tensors (or a launch) and keeps the kernels' dependencies free of circles.
   Assumes held and into as fuse() sets them: every held node and every reduction has a kernel, named by its last node. */
#include "compiler/fuse.h"

enum { MAX_REDUCTIONS = 6, MAX_STORES = 12, MAX_PLACES = 64, BIG = 8192 };
typedef enum { K_PASS, K_PRODUCT, K_SUMS, K_FIXED } KernelKind;   /* loops over a domain; matrix product; small sums; joined with nothing */
typedef struct {
    Ref leader;
    KernelKind kind;
    int n, cap; Ref *member;                         /* ascending */
    int n_place; Place place[MAX_PLACES];            /* members, and aligned inputs of a pass */
    ContractPlan *plan;
    int n_axes; Axis axes[MAX_AXES];                 /* PASS: the domain, outermost first; SUMS: kept axes */
    int n_red, n_store;
    bool tiled; int lo, hi; int64_t rows;            /* reductions over domain axes lo..hi-1, the first in pieces of `rows` */
    int n_leaf, leaf_cap; Ref *leaf;                 /* held nodes of other kernels and inputs that it reads */
    unsigned seen;
    Ref bound;                                       /* its rows are wanted up to there only; kernels of two bounds are not joined */
} Kern;
typedef struct { Graph *g; const Ranks *ranks; Placer placer; int n; Kern *k; int *of; unsigned now; int *uses; } Merge;   /* of: leader -> kernel */

static Kern *kernel_of(Merge *m, Ref r) { return m->g->into[r] ? &m->k[m->of[m->g->into[r]]] : NULL; }

static void add_leaf(Kern *k, Ref r)
{
    for (int i = 0; i < k->n_leaf; i++) if (k->leaf[i] == r) return;
    vec_push(k->leaf, k->n_leaf, k->leaf_cap, r);
}

/* What node r reads: held nodes and inputs below it. */
static void collect(Merge *m, Kern *k, Ref r, bool top)
{
    const Graph *g = m->g;
    if (!top) {
        if (m->placer.stamp[r] == m->placer.now) return;
        m->placer.stamp[r] = m->placer.now;
        m->placer.is[r] = PLACE_FREE;
        if (g->into[r]) { if (kernel_of(m, r) != k) add_leaf(k, r); return; }
        if (N(g, r)->op == OP_input || N(g, r)->op == OP_param) { add_leaf(k, r); return; }
    }
    for (int i = 0; i < N(g, r)->n_in; i++) collect(m, k, N(g, r)->in[i], false);
}

static void find_leaves(Merge *m, Kern *k)
{
    k->n_leaf = 0;
    m->placer.now++;
    for (int i = 0; i < k->n; i++) collect(m, k, k->member[i], true);
    m->placer.now++;
}

/* Must kernel k run after kernel `on`? */
static bool depends(Merge *m, Kern *k, const Kern *on)
{
    if (k == on) return true;
    if (k->seen == m->now || k->member[k->n - 1] < on->member[0]) return false;
    k->seen = m->now;
    for (int i = 0; i < k->n_leaf; i++) {
        Kern *from = kernel_of(m, k->leaf[i]);
        if (from && from != k && depends(m, from, on)) return true;
    }
    return false;
}

static bool runs_after(Merge *m, Kern *k, const Kern *on)
{
    m->now++;
    return depends(m, k, on);
}

static void add_place(Kern *k, const Place *p)
{
    if (k->n_place < MAX_PLACES) k->place[k->n_place++] = *p;
}

static Place identity(const Graph *g, Ref r)
{
    Place p = {.node = r};
    for (int i = 0; i < N(g, r)->n_axes; i++) p.at[i] = (AxisAt){N(g, r)->axes[i].role, 1, 0};
    return p;
}

static void set_domain(Merge *m, Kern *k, Ref r)
{
    const Node *n = N(m->g, r);
    k->n_axes = 0;
    for (int i = 0; i < n->n_axes; i++) {
        int j = k->n_axes++;
        for (; j > 0 && m->ranks[r].rank[i] > m->ranks[r].rank[axis_index(n, k->axes[j - 1].role)]; j--) k->axes[j] = k->axes[j - 1];
        k->axes[j] = n->axes[i];
    }
}

/* Does one of the two have to wait for what comes after nodes of the other? */
static bool apart(const Graph *g, const Kern *c, const Kern *k)
{
    Ref after = 0;
    for (int i = 0; g->after && i < c->n; i++) after = MAX(after, g->after[c->member[i]]);
    for (int i = 0; g->after && i < k->n; i++) after = MAX(after, g->after[k->member[i]]);
    return c->member[0] < after || k->member[0] < after;
}

/* ---- where a reduction fits ---- */
/* Can `red` end in kernel k, whose domain's rows and columns are as its kind says? *row: one value for each row of the tile. */
static bool fits(Merge *m, Kern *k, Ref red, Place *result, bool *row, int *lo, int *hi, int64_t *rows)
{
    const Graph *g = m->g;
    const Node *n = N(g, red);
    Place at;
    Ref op;
    placer_know(&m->placer, k->place, k->n_place);
    if (k->n_red >= MAX_REDUCTIONS || k->n_store >= MAX_STORES || !place_operand(&m->placer, red, &at, &op)) return false;
    const Node *x = N(g, op);
    Axis axes[MAX_AXES];
    int na = 0, columns;
    if (k->kind == K_PRODUCT) {
        if (!contract_can_host(k->plan)) return false;
        for (int i = 0; i < k->plan->nb; i++) axes[na++] = k->plan->bb[i];
        for (int i = 0; i < k->plan->nm; i++) axes[na++] = k->plan->m[i];
        columns = na;
        for (int i = 0; i < k->plan->nc; i++) axes[na++] = k->plan->nn[i];
    } else {
        na = k->n_axes;
        memcpy(axes, k->axes, sizeof axes);
        columns = -1;
    }
    if (!place_cut(n, x, &at, na, axes, lo, hi, rows)) return false;
    bool last = true;                                /* the summed block reaches the innermost axis */
    for (int d = *hi; d < na; d++) last &= axes[d].size == 1;
    *row = last;
    if (k->kind == K_PRODUCT) {
        Sym axis;
        int64_t t;
        if (last) {
            if (*lo != columns || *rows != axes[*lo].size) return false;
        } else {
            if (*hi != columns || *lo != 1 || k->plan->nb || !contract_tile(k->plan, &axis, &t)) return false;
            if (k->tiled && k->rows != *rows) return false;
            if (axis != axes[1].role || (*rows != t && *rows > 4 * t)) return false;
        }
    } else if (last) {
        if (*rows != axes[*lo].size) return false;
        for (int d = 0; k->tiled && d < na; d++) if (d >= k->hi && d < *lo) return false;
        if (k->tiled && *lo < k->hi) return false;
    } else {
        if (*lo == 0 && axes[0].size > 1) return false;
        if (k->tiled && (k->lo != *lo || k->hi != *hi || k->rows != *rows)) return false;
        int64_t lanes = 1;
        for (int d = *hi; d < na; d++) lanes *= axes[d].size;
        if (lanes > 2048) return false;
    }
    *result = (Place){.node = red};
    for (int i = 0; i < x->n_axes; i++)
        for (int j = 0; j < n->n_axes; j++)
            if (n->axes[j].role == x->axes[i].role) result->at[j] = at.at[i];
    return true;
}

static int64_t bytes_of(const Graph *g, Ref r) { return 4 * node_elements(N(g, r)); }

/* Reads that kernel c would no longer make: leaves that k makes or reads too. */
static int64_t shared_bytes(Merge *m, Kern *c, Kern *k)
{
    int64_t bytes = 0;
    for (int i = 0; i < c->n_leaf; i++) {
        bool there = kernel_of(m, c->leaf[i]) == k;
        bytes += there;                              /* between equals, the one that makes it */
        for (int j = 0; j < k->n_leaf && !there; j++) there = k->leaf[j] == c->leaf[i];
        if (there && N(m->g, c->leaf[i])->op != OP_param) bytes += bytes_of(m->g, c->leaf[i]);
    }
    return bytes;
}

/* Do both read what one kernel makes? */
static bool same_maker(Merge *m, Kern *c, Kern *k)
{
    for (int i = 0; i < c->n_leaf; i++)
        for (int j = 0; j < k->n_leaf; j++)
            if (kernel_of(m, c->leaf[i]) && kernel_of(m, c->leaf[i]) == kernel_of(m, k->leaf[j])) return true;
    return false;
}

/* Would joining make a circle? Everything else that either reads must be there before. */
static bool circular(Merge *m, Kern *c, Kern *k)
{
    for (int i = 0; i < c->n_leaf; i++) {
        Kern *from = kernel_of(m, c->leaf[i]);
        if (from && from != k && runs_after(m, from, k)) return true;
    }
    for (int i = 0; i < k->n_leaf; i++) {
        Kern *from = kernel_of(m, k->leaf[i]);
        if (from && runs_after(m, from, c)) return true;
    }
    return false;
}

static int by_ref(const void *a, const void *b) { return *(const Ref *)a < *(const Ref *)b ? -1 : *(const Ref *)a > *(const Ref *)b; }

static void join(Merge *m, Kern *c, Kern *k)
{
    int ki = (int)(k - m->k);
    for (int i = 0; i < c->n; i++) {
        vec_push(k->member, k->n, k->cap, c->member[i]);
        m->g->into[c->member[i]] = k->leader;
    }
    qsort(k->member, (size_t)k->n, sizeof *k->member, by_ref);
    c->n = 0;
    (void)ki;
    find_leaves(m, k);
}

/* ---- candidates ---- */
static bool try_reduction(Merge *m, Kern *c, Kern *k)
{
    if (k->kind != K_PASS && k->kind != K_PRODUCT) return false;
    Place result;
    bool row;
    int lo, hi;
    int64_t rows;
    if (c->n != 1 || !fits(m, k, c->member[0], &result, &row, &lo, &hi, &rows) || circular(m, c, k)) return false;
    if (!row) { k->tiled = true; k->lo = lo; k->hi = hi; k->rows = rows; }
    k->n_red++;
    k->n_store++;
    add_place(k, &result);
    join(m, c, k);
    return true;
}

static bool try_map(Merge *m, Kern *c, Kern *k)
{
    const Graph *g = m->g;
    Ref r = c->member[0];
    const Node *n = N(g, r);
    if (c->n != 1 || k->n_store >= MAX_STORES || (k->kind != K_PASS && k->kind != K_PRODUCT)) return false;
    int64_t domain = 1;
    if (k->kind == K_PRODUCT) domain = node_elements(N(g, k->place[0].node));
    else for (int i = 0; i < k->n_axes; i++) domain *= k->axes[i].size;
    if (node_elements(n) != domain) return false;
    placer_know(&m->placer, k->place, k->n_place);
    Place at;
    if (place_node(&m->placer, r, &at) == PLACE_ALIGNED) return false;          /* known: cannot be */
    PlaceIs is = PLACE_FREE;
    Place all = {.node = r};
    for (int i = 0; i < n->n_in; i++) {              /* r itself counts as loaded: its operands are asked */
        Place in;
        PlaceIs s = place_node(&m->placer, n->in[i], &in);
        if (s == PLACE_CROSSED) return false;
        if (s == PLACE_FREE) continue;
        is = s;
        const Node *x = N(g, n->in[i]);
        for (int j = 0; j < x->n_axes; j++) {
            AxisAt *t = &all.at[axis_index(n, x->axes[j].role)];
            if (!in.at[j].role) continue;
            if (t->role && (t->role != in.at[j].role || t->div != in.at[j].div || t->mod != in.at[j].mod)) return false;
            *t = in.at[j];
        }
    }
    if (is != PLACE_ALIGNED || !place_whole(g, r, &all)) return false;
    for (int i = 0; i < n->n_axes; i++) if (all.at[i].div > 1 || all.at[i].mod) return false;
    if (circular(m, c, k)) return false;
    k->n_store++;
    add_place(k, &all);
    join(m, c, k);
    return true;
}

static bool same_axis_set(int n, const Axis *a, const Node *y)
{
    if (n != y->n_axes) return false;
    for (int i = 0; i < n; i++) {
        const Axis *x = find_axis(y, a[i].role);
        if (!x || x->size != a[i].size) return false;
    }
    return true;
}

/* Small sums side by side: the same axes kept and summed, an operand in common or one's result in the other's epilogue. */
static bool try_sums(Merge *m, Kern *c, Kern *k)
{
    const Graph *g = m->g;
    if (k->kind != K_SUMS || c->kind != K_SUMS || k->n_red + c->n_red > MAX_REDUCTIONS || k->n_store + c->n_store > MAX_STORES) return false;
    Ref rc = 0, rk = 0;
    for (int i = 0; i < c->n; i++) if (op_info[N(g, c->member[i])->op].cls == OPC_REDUCE) rc = c->member[i];
    for (int i = 0; i < k->n && !rk; i++) if (op_info[N(g, k->member[i])->op].cls == OPC_REDUCE) rk = k->member[i];
    const Node *x = N(g, rc), *y = N(g, rk);
    if (!same_axis_set(x->n_axes, x->axes, y) || x->a.reduce.n != y->a.reduce.n) return false;
    const Node *xo = N(g, whole_operand(g, x)), *yo = N(g, whole_operand(g, y));
    for (int i = 0; i < x->a.reduce.n; i++) {
        const Axis *a = find_axis(xo, x->a.reduce.axis[i]), *b = find_axis(yo, x->a.reduce.axis[i]);
        if (!axis_in(y->a.reduce.n, y->a.reduce.axis, x->a.reduce.axis[i]) || !a || !b || a->size != b->size) return false;
    }
    Kern operands = {.leader = rc, .n = 1, .member = &rc};   /* what the sum itself reads must not come from k */
    find_leaves(m, &operands);
    bool bad = false;
    for (int i = 0; i < operands.n_leaf; i++) {
        Kern *from = kernel_of(m, operands.leaf[i]);
        bad |= from && from != c && runs_after(m, from, k);
    }
    free(operands.leaf);
    if (bad || circular(m, c, k)) return false;
    if (runs_after(m, c, k)) {                       /* an epilogue of c reads k's results: element by element */
        placer_know(&m->placer, k->place, k->n_place);
        for (int i = 0; i < c->n; i++) {
            if (op_info[N(g, c->member[i])->op].cls == OPC_REDUCE) continue;
            for (int j = 0; j < N(g, c->member[i])->n_in; j++) {
                Place at;
                if (place_node(&m->placer, N(g, c->member[i])->in[j], &at) == PLACE_CROSSED) return false;
            }
        }
    }
    k->n_red += c->n_red;
    k->n_store += c->n_store;
    for (int i = 0; i < c->n_place; i++) add_place(k, &c->place[i]);
    join(m, c, k);
    return true;
}

/* ---- several products in one accumulator ---- */
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
    if (c->n != 2 || !x || !y || !c->plan || !k->plan || c->plan->leaf == LEAF_TAPS_OUT || k->plan->leaf == LEAF_TAPS_OUT) return false;
    int products = 0;
    for (int i = 0; i < k->n; i++) {
        bool product = N(g, k->member[i])->op == OP_contract;
        if (!product && k->member[i] != between) return false;
        products += product;
    }
    root = c->member[0] == y ? c->member[1] : c->member[0];
    if (products >= MAX_SEGMENTS || op_info[N(g, root)->op].cls != OPC_ELEM || m->uses[between] != 1) return false;
    if (c->plan->leaf != LEAF_GEMM && k->plan->leaf != LEAF_GEMM) return false;
    if (c->plan->nb || k->plan->nb || (c->plan->leaf != LEAF_GEMM && products > 1)) return false;
    if (!adds_both(m, root, x, y, between, true, 0)) return false;
    for (int i = 0; i < c->n_leaf; i++) {
        Kern *from = kernel_of(m, c->leaf[i]);
        if (from && from != k && runs_after(m, from, k)) return false;
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
        return false;
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
    join(m, c, k);
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

static void join_products(Merge *m)
{
    for (int i = 0; i < m->n; i++) {
        Kern *c = &m->k[i];
        for (bool more = true; more && c->n;) {
            more = false;
            if (c->kind != K_PRODUCT) break;
            for (int j = 0; j < c->n_leaf && !more; j++) {
                Kern *k = kernel_of(m, c->leaf[j]);
                more = k && k != c && k->kind == K_PRODUCT && k->bound == c->bound && !apart(m->g, c, k) && try_segment(m, c, k, c->leaf[j]);
            }
        }
    }
}

static void place_pass(Merge *m, Kern *k, Ref domain)
{
    set_domain(m, k, domain);
    Place leaf[MAX_PLACES / 2];
    int n = place_leaves(m->g, domain, domain == k->leader, leaf, MAX_PLACES / 2);
    for (int i = 0; i < n; i++) {
        if (node_elements(N(m->g, leaf[i].node)) * 2 < node_elements(N(m->g, domain))) continue;
        add_place(k, &leaf[i]);
    }
}

static void open_kernels(Merge *m)
{
    Graph *g = m->g;
    Ref *bound = compact_bounds(g);
    m->of = xcalloc(g->n, sizeof *m->of);
    int cap = 0;
    for (Ref r = 1; r < g->n; r++)
        if (g->into[r] == r) { vec_push(m->k, m->n, cap, ((Kern){.leader = r, .bound = bound[r]})); m->of[r] = m->n - 1; }
    free(bound);
    for (Ref r = 1; r < g->n; r++)
        if (g->into[r]) {
            Kern *k = kernel_of(m, r);
            CHECK_BUG(k->leader == g->into[r]);
            vec_push(k->member, k->n, k->cap, r);
        }
    for (int i = 0; i < m->n; i++) {
        Kern *k = &m->k[i];
        Ref red = 0;
        for (int j = 0; j < k->n; j++) {
            k->n_store += g->held[k->member[j]];
            if (op_info[N(g, k->member[j])->op].cls != OPC_REDUCE) continue;
            if (!red) red = k->member[j];
            k->n_red++;
        }
        find_leaves(m, k);
        if (op_info[N(g, k->leader)->op].cls == OPC_TABLE) {
            k->kind = K_FIXED;
        } else if (!red) {
            k->kind = N(g, k->leader)->n_axes ? K_PASS : K_FIXED;
            Place own = identity(g, k->leader);
            add_place(k, &own);
            place_pass(m, k, k->leader);
        } else if (N(g, red)->op == OP_contract && !pointwise_contract(g, N(g, red))) {
            k->plan = xcalloc(1, sizeof *k->plan);
            contract_plan(g, m->ranks, red, NULL, k->plan);
            k->kind = k->plan->leaf == LEAF_GEMM || k->plan->leaf == LEAF_TAPS_K ? K_PRODUCT : K_FIXED;
            k->n_red--;
            Place own = identity(g, red);
            add_place(k, &own);
            placer_know(&m->placer, k->place, 1);
            for (int j = 0; j < k->n && k->kind == K_PRODUCT; j++) {
                Ref r = k->member[j];
                if (r == red) continue;
                if (k->n > 2 || op_info[N(g, r)->op].cls == OPC_REDUCE) { k->kind = K_FIXED; break; }      /* row reductions: as they are */
                Place at = {.node = r};
                const Node *n = N(g, r);
                bool ok = true;
                for (int q = 0; q < n->n_in; q++) {
                    Place in;
                    if (place_node(&m->placer, n->in[q], &in) != PLACE_ALIGNED) continue;
                    for (int a = 0; a < N(g, n->in[q])->n_axes; a++)
                        if (in.at[a].role) at.at[axis_index(n, N(g, n->in[q])->axes[a].role)] = in.at[a];
                }
                ok = place_whole(g, r, &at);
                if (!ok) k->kind = K_FIXED;
                else add_place(k, &at);
            }
        } else {
            const Node *n = N(g, red);
            Ref op = whole_operand(g, n);
            k->kind = node_elements(N(g, op)) < 16 * node_elements(n) || k->n > 1 || node_elements(N(g, op)) < BIG || of_sums(g, op, 0) ? K_SUMS : K_PASS;
            if (k->kind == K_SUMS) {
                for (int j = 0; j < k->n; j++) { Place own = identity(g, k->member[j]); add_place(k, &own); }
            } else {                                 /* a big sum: the host of others over the same operands, where it can be one */
                bool row;
                int lo, hi;
                int64_t rows;
                Place result;
                place_pass(m, k, summed_node(g, red));
                k->n_red = 0;
                if (!fits(m, k, red, &result, &row, &lo, &hi, &rows)) { k->kind = K_SUMS; k->n_place = 0; }
                else {
                    if (!row) { k->tiled = true; k->lo = lo; k->hi = hi; k->rows = rows; }
                    add_place(k, &result);
                }
                k->n_red = 1;
            }
        }
    }
}

typedef struct { Kern *k; int64_t saved; } Choice;
static int by_saving(const void *a, const void *b)
{
    const Choice *x = a, *y = b;
    return x->saved != y->saved ? (x->saved > y->saved ? -1 : 1) : x->k->leader > y->k->leader ? -1 : 1;
}

/* Tries to move kernel c into one of those that make or read what it reads, the one that saves most first; of equals the last. */
static void find_host(Merge *m, Kern *c)
{
    enum { TRIES = 8 };
    Choice *choice = NULL;
    int n = 0, cap = 0;
    for (int i = 0; i < m->n; i++) {
        Kern *k = &m->k[i];
        if (k == c || !k->n || k->kind == K_FIXED || k->bound != c->bound || (c->kind == K_SUMS) != (k->kind == K_SUMS) || apart(m->g, c, k)) continue;
        int64_t saved = shared_bytes(m, c, k) + (c->kind == K_SUMS && same_maker(m, c, k));
        if (saved > 0) vec_push(choice, n, cap, ((Choice){k, saved}));
    }
    qsort(choice, (size_t)n, sizeof *choice, by_saving);
    bool reduction = op_info[N(m->g, c->member[0])->op].cls == OPC_REDUCE;
    for (int i = 0; i < n && i < TRIES; i++) {
        Kern *k = choice[i].k;
        if (c->kind == K_SUMS ? try_sums(m, c, k) : reduction ? try_reduction(m, c, k) : try_map(m, c, k)) break;
    }
    free(choice);
}

/* What only its own kernel reads need not be in memory. */
static void release(Merge *m)
{
    Graph *g = m->g;
    bool *needed = xcalloc(g->n, 1);
    for (int i = 0; i < g->n_out; i++) needed[output_base(g, g->out[i].ref)] = true;
    for (int i = 0; i < m->n; i++) {
        find_leaves(m, &m->k[i]);
        for (int j = 0; j < m->k[i].n_leaf; j++) needed[m->k[i].leaf[j]] = true;
    }
    for (int i = 0; i < m->n; i++)
        for (int j = 0; m->k[i].n > 1 && j < m->k[i].n; j++) g->held[m->k[i].member[j]] &= needed[m->k[i].member[j]];
    free(needed);
}

void fuse_merge(Graph *g, const Ranks *ranks)
{
    Merge m = {.g = g, .ranks = ranks};
    placer_open(&m.placer, g);
    m.uses = xcalloc(g->n, sizeof *m.uses);
    for (Ref r = 1; r < g->n; r++)
        for (int k = 0; k < N(g, r)->n_in; k++) m.uses[N(g, r)->in[k]]++;
    for (int i = 0; i < g->n_out; i++) m.uses[g->out[i].ref]++;
    open_kernels(&m);
    join_products(&m);
    for (int i = 0; i < m.n; i++)
        if (m.k[i].n && (m.k[i].kind == K_PASS || m.k[i].kind == K_SUMS)) find_host(&m, &m.k[i]);
    release(&m);
    placer_close(&m.placer);
    for (int i = 0; i < m.n; i++) { free(m.k[i].member); free(m.k[i].leaf); free(m.k[i].plan); }
    free(m.k);
    free(m.of);
    free(m.uses);
}
