/* Joins kernels: a reduction moves into the kernel that makes its operand, an element-wise result into one that has its inputs at hand, equal
   sums side by side. Every step saves reads of held tensors (or a launch) and keeps the kernels' dependencies free of circles.
   Assumes held and into as fuse() sets them: every held node and every reduction has a kernel, named by its last node. */
#include "compiler/fuse_merge.h"

bool no(Merge *m, const char *why) { m->why = why; return false; }

void note_apart(Merge *m, const Kern *c, const Kern *k)
{
    FusionNotes *f = &m->g->notes;
    __typeof__(*f->apart) a = {c->member[0], k->member[0], m->why};
    vec_push(f->apart, f->n, f->cap, a);
}

Kern *kernel_of(Merge *m, Ref r) { return m->g->into[r] ? &m->k[m->of[m->g->into[r]]] : NULL; }

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

bool runs_after(Merge *m, Kern *k, const Kern *on)
{
    m->now++;
    return depends(m, k, on);
}

void add_place(Kern *k, const Place *p)
{
    if (k->n_place < MAX_PLACES) k->place[k->n_place++] = *p;
}

Place identity(const Graph *g, Ref r)
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
bool kept_apart(const Graph *g, const Kern *c, const Kern *k)
{
    Ref after = 0;
    for (int i = 0; g->after && i < c->n; i++) after = MAX(after, g->after[c->member[i]]);
    for (int i = 0; g->after && i < k->n; i++) after = MAX(after, g->after[k->member[i]]);
    return c->member[0] < after || k->member[0] < after;
}

/* ---- where a reduction fits ---- */
/* The kernel takes in reduction red, as fits() found. */
static void take(Kern *k, Ref red, bool row, int lo, int hi, int64_t rows)
{
    if (row) { k->rowed = true; k->row_lo = lo; return; }
    k->tiled = true;
    k->lo = lo;
    k->hi = hi;
    k->rows = rows;
    k->task[k->n_task++] = red;
}

/* Can `red` end in kernel k, whose domain's rows and columns are as its kind says? *row: one value for each row of the tile. */
static bool fits(Merge *m, Kern *k, Ref red, Place *result, bool *row, int *lo, int *hi, int64_t *rows)
{
    const Graph *g = m->g;
    const Node *n = N(g, red);
    Place at;
    Ref op;
    placer_know(&m->placer, k->place, k->n_place);
    if (k->n_red >= MAX_REDUCTIONS) return no(m, "it has as many sums as a kernel can");
    if (k->n_store >= MAX_STORES) return no(m, "it has as many results as a kernel can");
    if (!place_operand(&m->placer, red, &at, &op)) return no(m, "what is summed is not read element by element where that kernel has it");
    const Node *x = N(g, op);
    Axis axes[MAX_AXES];
    int na = 0, columns;
    if (k->kind == K_PRODUCT) {
        if (!contract_can_host(k->plan)) return no(m, "its tiles have no whole rows");
        for (int i = 0; i < k->plan->nb; i++) axes[na++] = k->plan->bb[i];
        for (int i = 0; i < k->plan->nm; i++) axes[na++] = k->plan->m[i];
        columns = na;
        for (int i = 0; i < k->plan->nc; i++) axes[na++] = k->plan->nn[i];
    } else {
        na = k->n_axes;
        memcpy(axes, k->axes, sizeof axes);
        columns = -1;
    }
    if (!place_cut(n, x, &at, na, axes, lo, hi, rows)) return no(m, "the summed axes are no block of neighbours in that kernel's loops");
    bool last = true;                                /* the summed block reaches the innermost axis */
    for (int d = *hi; d < na; d++) last &= axes[d].size == 1;
    *row = last;
    if (k->kind == K_PRODUCT) {
        Sym axis;
        int64_t t;
        if (last) {
            if (*lo != columns || *rows != axes[*lo].size) return no(m, "a sum over part of the columns, or over more than them");
        } else {
            if (*hi != columns || *lo != 1 || k->plan->nb || !contract_tile(k->plan, &axis, &t))
                return no(m, "a sum over rows that are not all rows of a tile");
            if (k->tiled && k->rows != *rows) return no(m, "another tile: sums over other pieces of the rows are there already");
            if (axis != axes[1].role || (*rows != t && *rows > 4 * t)) return no(m, "another tile: the rows summed are far more than a tile has");
        }
    } else if (last) {
        if (*rows != axes[*lo].size) return no(m, "a sum over part of the innermost axes");
        if (!row_sums_fit(axes, na, *lo)) return no(m, "a sum of everything, or of rows too long for a warp");
        if (k->rowed && !only_ones(axes, k->row_lo, *lo)) return no(m, "sums over more or fewer of the innermost axes are there already");
        for (int d = 0; k->tiled && d < na; d++) if (d >= k->hi && d < *lo) return no(m, "another tile: axes lie between the two sums");
        if (k->tiled && *lo < k->hi) return no(m, "another tile: it sums over axes that the tile's rows have");
    } else {
        if (*lo == 0 && axes[0].size > 1) return no(m, "it sums over the axis that is shared out among the threads");
        if (k->tiled && (k->lo != *lo || k->hi != *hi || k->rows != *rows)) return no(m, "another tile: sums over other pieces of the rows are there already");
        if (k->rowed && !only_ones(axes, k->row_lo, *hi)) return no(m, "another tile: the rows that are summed there are not its columns");
        int64_t lanes = 1;
        for (int d = *hi; d < na; d++) lanes *= axes[d].size;
        if (lanes > 2048) return no(m, "too many columns to keep a sum for each");
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

const char *circle(Merge *m, Ref r)
{
    return arena_printf(m->g->arena, "a circle: %s must be there before, and is made of the other's results", node_name(m->g, r));
}

/* Would joining make a circle? Everything else that either reads must be there before. */
static bool circular(Merge *m, Kern *c, Kern *k)
{
    for (int i = 0; i < c->n_leaf; i++) {
        Kern *from = kernel_of(m, c->leaf[i]);
        if (from && from != k && runs_after(m, from, k)) return no(m, circle(m, c->leaf[i])), true;
    }
    for (int i = 0; i < k->n_leaf; i++) {
        Kern *from = kernel_of(m, k->leaf[i]);
        if (from && runs_after(m, from, c)) return no(m, circle(m, k->leaf[i])), true;
    }
    return false;
}

static int by_ref(const void *a, const void *b) { return *(const Ref *)a < *(const Ref *)b ? -1 : *(const Ref *)a > *(const Ref *)b; }

void join(Merge *m, Kern *c, Kern *k, const char *rule)
{
    for (int i = 0; i < c->n; i++) {
        vec_push(k->member, k->n, k->cap, c->member[i]);
        m->g->into[c->member[i]] = k->leader;
        if (!m->g->notes.rule[c->member[i]]) m->g->notes.rule[c->member[i]] = rule;
    }
    qsort(k->member, (size_t)k->n, sizeof *k->member, by_ref);
    c->n = 0;
    find_leaves(m, k);
}

/* ---- candidates ---- */
/* Does c read a sum over rows of k? It is there when the task ends only. */
static bool unfinished(Merge *m, const Kern *c, const Kern *k)
{
    for (int i = 0; i < c->n_leaf; i++)
        for (int j = 0; j < k->n_task; j++)
            if (c->leaf[i] == k->task[j]) return no(m, "it reads a sum over rows that is complete when that kernel has all of them"), true;
    return false;
}

static bool try_reduction(Merge *m, Kern *c, Kern *k)
{
    if (k->kind != K_PASS && k->kind != K_PRODUCT) return no(m, "that kernel is of sums");
    Place result;
    bool row;
    int lo, hi;
    int64_t rows;
    if (c->n != 1) return no(m, "it ends more than one sum already");
    if (!fits(m, k, c->member[0], &result, &row, &lo, &hi, &rows) || unfinished(m, c, k) || circular(m, c, k)) return false;
    take(k, c->member[0], row, lo, hi, rows);
    k->n_red++;
    k->n_store++;
    add_place(k, &result);
    join(m, c, k, k->kind == K_PRODUCT ? (row ? "epilogue: the sum of each row's columns" : "epilogue: sums over the rows of a tile")
                                       : row ? "one pass: summed where it is made, for each row" : "one pass: summed where it is made, for each column of a task");
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

static bool try_map(Merge *m, Kern *c, Kern *k)
{
    const Graph *g = m->g;
    Ref r = c->member[0];
    const Node *n = N(g, r);
    if (c->n != 1) return no(m, "it has results or sums of its own");
    if (k->n_store >= MAX_STORES) return no(m, "it has as many results as a kernel can");
    if (k->kind != K_PASS && k->kind != K_PRODUCT) return no(m, "that kernel is of sums");
    int64_t domain = 1;
    if (k->kind == K_PRODUCT) domain = node_elements(N(g, k->place[0].node));
    else for (int i = 0; i < k->n_axes; i++) domain *= k->axes[i].size;
    if (node_elements(n) != domain) return no(m, "of another size than that kernel's loops");
    placer_know(&m->placer, k->place, k->n_place);
    Place at;
    if (place_node(&m->placer, r, &at) == PLACE_ALIGNED) return no(m, "it is there");          /* known: cannot be */
    Place all;                                       /* r itself counts as loaded: its operands are asked */
    PlaceIs is = place_operands(&m->placer, r, &all);
    if (is == PLACE_CROSSED) return no(m, "it reads what that kernel has at other elements: a window, a sum, a change of axes");
    if (unfinished(m, c, k)) return false;
    if (is == PLACE_FREE && k->kind == K_PASS && same_axis_set(k->n_axes, k->axes, n)) {
        all = identity(g, r);                        /* it reads nothing element by element, but runs over the same axes */
        is = PLACE_ALIGNED;
    }
    if (is != PLACE_ALIGNED || !place_whole(g, r, &all)) return no(m, "it reads nothing there that gives all its axes");
    for (int i = 0; i < n->n_axes; i++) if (all.at[i].div > 1 || all.at[i].mod) return no(m, "its axes are pieces of that kernel's");
    if (circular(m, c, k)) return false;
    k->n_store++;
    all.leaf = false;
    add_place(k, &all);
    join(m, c, k, k->kind == K_PRODUCT ? "epilogue: made element by element of what is at hand" : "one pass: made element by element of what is at hand");
    return true;
}

/* Small sums side by side: the same axes kept and summed, an operand in common or one's result in the other's epilogue. */
static bool try_sums(Merge *m, Kern *c, Kern *k)
{
    const Graph *g = m->g;
    if (k->n_red + c->n_red > MAX_REDUCTIONS) return no(m, "together they have more sums than a kernel can");
    if (k->n_store + c->n_store > MAX_STORES) return no(m, "together they have more results than a kernel can");
    Ref rc = 0, rk = 0;
    for (int i = 0; i < c->n; i++) if (op_info[N(g, c->member[i])->op].cls == OPC_REDUCE) rc = c->member[i];
    for (int i = 0; i < k->n && !rk; i++) if (op_info[N(g, k->member[i])->op].cls == OPC_REDUCE) rk = k->member[i];
    const Node *x = N(g, rc), *y = N(g, rk);
    if (!same_axis_set(x->n_axes, x->axes, y) || x->a.reduce.n != y->a.reduce.n) return no(m, "sums with other axes");
    const Node *xo = N(g, whole_operand(g, x)), *yo = N(g, whole_operand(g, y));
    for (int i = 0; i < x->a.reduce.n; i++) {
        const Axis *a = find_axis(xo, x->a.reduce.axis[i]), *b = find_axis(yo, x->a.reduce.axis[i]);
        if (!axis_in(y->a.reduce.n, y->a.reduce.axis, x->a.reduce.axis[i]) || !a || !b || a->size != b->size)
            return no(m, "sums over other axes");
    }
    Kern operands = {.leader = rc, .n = 1, .member = &rc};   /* what the sum itself reads must not come from k */
    find_leaves(m, &operands);
    bool bad = false;
    for (int i = 0; i < operands.n_leaf; i++) {
        Kern *from = kernel_of(m, operands.leaf[i]);
        bad |= from && from != c && runs_after(m, from, k);
    }
    free(operands.leaf);
    if (bad) return no(m, "a circle: what it sums comes from the other's results");
    if (circular(m, c, k)) return false;
    if (runs_after(m, c, k)) {                       /* an epilogue of c reads k's results: element by element */
        placer_know(&m->placer, k->place, k->n_place);
        for (int i = 0; i < c->n; i++) {
            if (op_info[N(g, c->member[i])->op].cls == OPC_REDUCE) continue;
            for (int j = 0; j < N(g, c->member[i])->n_in; j++) {
                Place at;
                if (place_node(&m->placer, N(g, c->member[i])->in[j], &at) == PLACE_CROSSED)
                    return no(m, "it reads the other's results at other elements");
            }
        }
    }
    k->n_red += c->n_red;
    k->n_store += c->n_store;
    for (int i = 0; i < c->n_place; i++) add_place(k, &c->place[i]);
    join(m, c, k, "sums side by side");
    return true;
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
                    take(k, red, row, lo, hi, rows);
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
        if (k == c || !k->n || k->kind == K_FIXED || k->bound != c->bound || (c->kind == K_SUMS) != (k->kind == K_SUMS) || kept_apart(m->g, c, k)) continue;
        int64_t saved = shared_bytes(m, c, k) + (c->kind == K_SUMS && same_maker(m, c, k));
        if (saved > 0) vec_push(choice, n, cap, ((Choice){k, saved}));
    }
    for (int i = 0; i < c->n_leaf; i++) {            /* those that are not even tried */
        Kern *k = kernel_of(m, c->leaf[i]);
        if (!k || k == c || !k->n) continue;
        m->why = k->kind == K_FIXED ? "it takes in nothing more (loops, row reductions or a table)"
            : k->bound != c->bound ? "wanted for another number of rows" : "small sums are ended side by side in kernels of their own, when all parts are there";
        if (k->kind == K_FIXED || k->bound != c->bound || (c->kind == K_SUMS) != (k->kind == K_SUMS)) note_apart(m, c, k);
    }
    if (n) qsort(choice, (size_t)n, sizeof *choice, by_saving);
    bool reduction = op_info[N(m->g, c->member[0])->op].cls == OPC_REDUCE;
    for (int i = 0; i < n && i < TRIES; i++) {
        Kern *k = choice[i].k;
        if (c->kind == K_SUMS ? try_sums(m, c, k) : reduction ? try_reduction(m, c, k) : try_map(m, c, k)) break;
        note_apart(m, c, k);
    }
    free(choice);
}

/* What only its own kernel reads need not be in memory. */
static void release(Merge *m)
{
    Graph *g = m->g;
    bool *needed = xcalloc(g->n, 1);
    Kern outputs = {0};                              /* those that are views are copied from what they look at */
    m->placer.now++;
    for (int i = 0; i < g->n_out; i++) collect(m, &outputs, g->out[i].ref, false);
    m->placer.now++;
    for (int j = 0; j < outputs.n_leaf; j++) needed[outputs.leaf[j]] = true;
    free(outputs.leaf);
    for (int i = 0; i < m->n; i++) {
        find_leaves(m, &m->k[i]);
        for (int j = 0; j < m->k[i].n_leaf; j++) needed[m->k[i].leaf[j]] = true;
    }
    for (int i = 0; i < m->n; i++)
        for (int j = 0; m->k[i].n > 1 && j < m->k[i].n; j++) g->held[m->k[i].member[j]] &= needed[m->k[i].member[j]];
    for (Ref r = 1; r < g->n; r++) if (!g->held[r]) g->notes.held[r] = NULL;
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
