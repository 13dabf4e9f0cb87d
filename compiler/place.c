/* Places: where a node's elements lie in the domain of a kernel that has other nodes at hand, followed through element-wise operations, renames and
   rearrangements. Assumes that what is held and not known is loaded from memory. */
#include "compiler/fuse.h"
#include "compiler/rewrite.h"

void placer_open(Placer *p, const Graph *g)
{
    *p = (Placer){.g = g, .stamp = xcalloc(g->n, sizeof *p->stamp), .memo = xcalloc(g->n, sizeof *p->memo), .is = xcalloc(g->n, 1)};
}

void placer_close(Placer *p) { free(p->stamp); free(p->memo); free(p->is); }

void placer_know(Placer *p, const Place *known, int n)
{
    p->known = known;
    p->n_known = n;
    p->now++;
}

bool place_whole(const Graph *g, Ref r, const Place *p)
{
    for (int i = 0; i < N(g, r)->n_axes; i++)
        if (!p->at[i].role && N(g, r)->axes[i].size > 1) return false;
    return true;
}

static int axis_at(const Node *n, Sym role)
{
    for (int i = 0; i < n->n_axes; i++)
        if (n->axes[i].role == role) return i;
    return -1;
}

/* The result axes of a rearrangement in terms of where its operand's axes lie; false when one is not expressible. */
static bool through_rearrange(const Node *n, const Node *x, const Place *in, Place *out)
{
    const Rearrange *r = n->a.rearrange;
    AxisAt f[2 * MAX_AXES];
    for (int i = 0, q = 0; i < r->n_in; q += r->in_count[i], i++) {
        int64_t inner = 1;
        for (int j = r->in_count[i]; j-- > 0;) {
            AxisAt a = in->at[i];
            if (r->in_count[i] > 1 && a.role) {
                if (a.mod && j == 0 && a.mod != x->axes[i].size) return false;
                a.div = MAX(a.div, 1) * inner;
                a.mod = j == 0 ? (a.mod ? r->factor[q] : 0) : r->factor[q + j];
            }
            f[q + j] = a;
            inner *= r->factor[q + j];
        }
    }
    for (int i = 0, q = 0; i < r->n_out; q += r->out_count[i], i++) {
        out->at[i] = (AxisAt){0};
        int64_t inner = 1;
        for (int j = r->out_count[i]; j-- > 0;) {    /* merged again: neighbours of one axis */
            AxisAt a = f[r->out_factor[q + j]];
            int64_t size = r->factor[r->out_factor[q + j]];
            AxisAt *o = &out->at[i];
            if (size == 1) continue;
            if (inner == 1) { *o = a; inner = size; continue; }
            if (!o->role && !a.role) { inner *= size; continue; }
            if (o->role != a.role || MAX(a.div, 1) != MAX(o->div, 1) * inner) return false;
            o->mod = a.mod ? a.mod * inner : 0;
            inner *= size;
        }
    }
    return true;
}


static PlaceIs place(Placer *p, Ref r, Place *out);

/* Axes of operand x that lies at `in`, put at those of n; false where n lies elsewhere by another operand. */
static bool join_axes(const Node *n, const Node *x, const Place *in, Place *out)
{
    Place all = *out;
    for (int i = 0; i < x->n_axes; i++) {
        int a = axis_at(n, x->axes[i].role);
        if (a < 0 || !in->at[i].role) continue;      /* summed by a pointwise contraction: its caller reads the operands */
        AxisAt *o = &all.at[a];
        if (o->role && (o->role != in->at[i].role || o->div != in->at[i].div || o->mod != in->at[i].mod)) return false;
        *o = in->at[i];
    }
    *out = all;
    return true;
}

PlaceIs place_operands(Placer *p, Ref r, Place *out)
{
    const Node *n = N(p->g, r);
    PlaceIs is = PLACE_FREE;
    *out = (Place){.node = r, .leaf = true};
    for (int pass = 0; pass < 2; pass++)             /* what is at hand decides; what is loaded anyway joins where it agrees */
        for (int k = 0; k < n->n_in; k++) {
            Place in;
            PlaceIs s = place(p, n->in[k], &in);
            if (s == PLACE_CROSSED) return s;
            if (s == PLACE_FREE || in.leaf != (pass == 1)) continue;
            bool fits = join_axes(n, N(p->g, n->in[k]), &in, out);
            if (!fits && !in.leaf) return PLACE_CROSSED;
            if (fits) is = PLACE_ALIGNED;
            out->leaf &= in.leaf;
        }
    return is;
}

static PlaceIs place_new(Placer *p, Ref r, Place *out)
{
    const Node *n = N(p->g, r);
    for (int i = 0; i < p->n_known; i++)
        if (p->known[i].node == r) { *out = p->known[i]; return PLACE_ALIGNED; }
    if (p->g->into[r] || op_info[n->op].cls == OPC_SOURCE) return PLACE_FREE;      /* loaded, or made on the spot */
    if (op_info[n->op].cls == OPC_ELEM) return place_operands(p, r, out);
    Place in;
    PlaceIs any = PLACE_FREE;
    bool leaf = true;
    for (int k = 0; k < n->n_in; k++) {
        PlaceIs s = place(p, n->in[k], &in);
        if (s != PLACE_FREE) { any = s; leaf &= s == PLACE_ALIGNED && in.leaf; }
    }
    PlaceIs elsewhere = leaf ? PLACE_FREE : PLACE_CROSSED;
    if (any != PLACE_ALIGNED || n->n_in != 1) return any == PLACE_FREE ? any : elsewhere;
    const Node *x = N(p->g, n->in[0]);
    out->leaf = leaf;
    if (n->op == OP_rearrange) return through_rearrange(n, x, &in, out) ? PLACE_ALIGNED : elsewhere;
    if (n->op != OP_rename && n->op != OP_expand) return elsewhere;
    for (int i = 0; i < n->n_axes; i++) {
        int a = axis_at(x, n->op == OP_rename && n->axes[i].role == n->a.rename.to ? n->a.rename.from : n->axes[i].role);
        if (a >= 0) out->at[i] = in.at[a];
    }
    return PLACE_ALIGNED;
}

static PlaceIs place(Placer *p, Ref r, Place *out)
{
    if (p->stamp[r] != p->now) {
        Place new = {.node = r};
        PlaceIs is = place_new(p, r, &new);
        p->stamp[r] = p->now;
        new.node = r;
        p->memo[r] = new;
        p->is[r] = (unsigned char)is;
    }
    *out = p->memo[r];
    return (PlaceIs)p->is[r];
}

PlaceIs place_node(Placer *p, Ref r, Place *out) { return place(p, r, out); }

static void leaves(const Graph *g, Ref r, const AxisAt *at, Place *out, int *n, int max, int depth)
{
    const Node *x = N(g, r);
    if (depth > 60) return;
    if ((g->into[r] && depth >= 0) || x->op == OP_input) {
        for (int i = 0; i < *n; i++)
            if (out[i].node == r) return;
        if (*n == max) return;
        out[*n].node = r;
        out[*n].leaf = true;
        memcpy(out[(*n)++].at, at, sizeof *at * MAX_AXES);
        return;
    }
    AxisAt sub[MAX_AXES];
    if (op_info[x->op].cls == OPC_ELEM || x->op == OP_rename || depth < 0)
        for (int k = 0; k < x->n_in; k++) {
            const Node *in = N(g, x->in[k]);
            memset(sub, 0, sizeof sub);
            bool fits = true;
            for (int i = 0; i < in->n_axes; i++) {
                int a = axis_at(x, x->op == OP_rename && in->axes[i].role == x->a.rename.from ? x->a.rename.to : in->axes[i].role);
                fits &= a >= 0;
                if (a >= 0) sub[i] = at[a];
            }
            if (fits) leaves(g, x->in[k], sub, out, n, max, depth + 1);
        }
    else if (x->op == OP_rearrange && x->n_axes == N(g, x->in[0])->n_axes) {      /* permutations only */
        const Node *in = N(g, x->in[0]);
        memset(sub, 0, sizeof sub);
        for (int i = 0; i < in->n_axes; i++) {
            int a = axis_at(x, in->axes[i].role);
            if (a < 0 || x->axes[a].size != in->axes[i].size) return;
            sub[i] = at[a];
        }
        for (int i = 0; i < x->a.rearrange->n_in; i++) if (x->a.rearrange->in_count[i] > 1 || x->a.rearrange->out_count[i] > 1) return;
        leaves(g, x->in[0], sub, out, n, max, depth + 1);
    }
}

int place_leaves(const Graph *g, Ref r, bool below, Place *out, int max)
{
    AxisAt at[MAX_AXES] = {{0}};
    int n = 0;
    for (int i = 0; i < N(g, r)->n_axes; i++) at[i] = (AxisAt){N(g, r)->axes[i].role, 1, 0};
    leaves(g, r, at, out, &n, max, below ? -1 : 0);
    return n;
}

/* The operand of a reduction that has all roles. */
Ref whole_operand(const Graph *g, const Node *n)
{
    return n->n_in == 2 && node_elements(N(g, n->in[1])) > node_elements(N(g, n->in[0])) ? n->in[1] : n->in[0];
}

/* How reduction n, its operand's axes lying at `at`, cuts the domain axes[]: a block lo..hi-1 of it is summed, the first of them in pieces of *rows. */
bool place_cut(const Node *n, const Node *x, const Place *at, int n_axes, const Axis *axes, int *lo, int *hi, int64_t *rows)
{
    bool whole[MAX_AXES] = {false}, kept[MAX_AXES] = {false}, seen[MAX_AXES] = {false};
    int64_t piece[MAX_AXES] = {0}, pieces[MAX_AXES] = {0};
    for (int i = 0; i < x->n_axes; i++) {
        const AxisAt *a = &at->at[i];
        if (!a->role) { if (x->axes[i].size > 1) return false; continue; }
        int d = 0;
        while (d < n_axes && axes[d].role != a->role) d++;
        if (d == n_axes) return false;
        bool summed = axis_in(n->a.reduce.n, n->a.reduce.axis, x->axes[i].role);
        if (a->div <= 1 && !a->mod) { *(summed ? &whole[d] : &kept[d]) = true; seen[d] = true; }
        else if (summed && a->div <= 1) piece[d] = a->mod;
        else if (!summed && !a->mod) pieces[d] = a->div;
        else return false;
    }
    *lo = *hi = -1;
    *rows = 0;
    for (int d = 0; d < n_axes; d++) {
        bool split = piece[d] && piece[d] == pieces[d];
        if (!seen[d] && !split && axes[d].size > 1) return false;
        if ((piece[d] || pieces[d]) && !split) return false;
        bool red = whole[d] || split;
        if (red && *lo < 0) { *lo = d; *rows = split ? piece[d] : axes[d].size; }
        else if (split) return false;                /* only the outermost summed axis in pieces */
        if (red && *hi >= 0 && *hi != d && axes[d].size > 1) return false;
        if (red) *hi = d + 1;
        else if (*hi >= 0 && axes[d].size == 1 && !seen[d]) *hi = d + 1;
    }
    return *lo >= 0;
}

bool only_ones(const Axis *axes, int x, int y)
{
    for (int d = MIN(x, y); d < MAX(x, y); d++) if (axes[d].size > 1) return false;
    return true;
}

bool row_sums_fit(const Axis *axes, int n, int lo)
{
    enum { LONGEST = 8192 };
    int64_t rows = 1, length = 1;
    for (int d = 0; d < n; d++) *(d < lo ? &rows : &length) *= axes[d].size;
    return rows > 1 && length <= LONGEST;
}

Ref output_base(const Graph *g, Ref r)
{
    for (;; r = N(g, r)->in[0]) {
        const Node *n = N(g, r);
        if (n->op == OP_rename || (n->op == OP_expand && n->a.expand.size == 1) || is_permutation(g, r)) continue;
        return r;
    }
}

Ref summed_node(const Graph *g, Ref red)
{
    Ref r = whole_operand(g, N(g, red));
    while ((N(g, r)->op == OP_rename || N(g, r)->op == OP_rearrange) && !g->into[r]) r = N(g, r)->in[0];
    return r;
}

/* Where the elements that reduction `red` sums lie; *operand: the operand with all roles. false: not in this domain. */
bool place_operand(Placer *m, Ref red, Place *at, Ref *operand)
{
    const Graph *g = m->g;
    const Node *n = N(g, red);
    *operand = whole_operand(g, n);
    Place a[2];
    PlaceIs is[2] = {PLACE_FREE, PLACE_FREE};
    for (int i = 0; i < n->n_in; i++) {
        is[i] = place_node(m, n->in[i], &a[i]);
        if (is[i] == PLACE_CROSSED) return false;
    }
    int w = *operand == n->in[0] ? 0 : 1, o = 1 - w;
    if (is[w] == PLACE_FREE && (n->n_in == 1 || is[o] == PLACE_FREE)) return false;
    *at = (Place){.node = *operand};
    if (is[w] == PLACE_ALIGNED) *at = a[w];
    if (n->n_in == 2 && is[o] == PLACE_ALIGNED) {
        const Node *x = N(g, n->in[w]), *y = N(g, n->in[o]);
        for (int i = 0; i < y->n_axes; i++)
            for (int j = 0; j < x->n_axes; j++) {
                if (x->axes[j].role != y->axes[i].role || !a[o].at[i].role) continue;
                AxisAt *t = &at->at[j];
                if (t->role && (t->role != a[o].at[i].role || t->div != a[o].at[i].div || t->mod != a[o].at[i].mod)) return false;
                *t = a[o].at[i];
            }
    }
    return place_whole(g, *operand, at);
}
