/* Builds the tables of ref_access.h: walks every path of a view chain, groups the axes, evaluates the index map once for each
   table entry. Assumes nodes checked by ref_graph.c. */
#include "runtime/ref_access.h"

enum { MAX_PIECES = 1024, MAX_CHAIN = 4096 };
static const int64_t MAX_TABLE = (int64_t)1 << 28;

typedef struct { int node, operand; } Link;                 /* a view and which operand the path takes */
typedef struct {
    const RefGraph *g;
    RefAccess *a;
    Link chain[MAX_CHAIN]; int n_chain;
    int cap, leaves;
    char *err;
} Builder;

/* What each axis of a node depends on: a set of the root's axes. */
typedef struct { uint32_t mask[PLAN_MAX_AXES]; } Masks;

static int axis_of(const PlanShape *s, Sym role)
{
    for (int i = 0; i < s->n; i++) if (s->role[i] == role) return i;
    return -1;
}
/* Where the operand begins along the concatenated axis. */
static int64_t concat_start(const RefGraph *g, const RefNode *v, int operand)
{
    int64_t start = 0;
    Sym role = v->shape.role[v->out_axis];
    for (int i = 0; i < operand; i++) {
        const PlanShape *s = &g->node[v->in[i]].shape;
        start += s->size[axis_of(s, role)];
    }
    return start;
}

static Masks step_masks(const RefGraph *g, const RefNode *v, int operand, const Masks *out)
{
    const RefNode *x = &g->node[v->in[operand]];
    Masks m = {{0}};
    if (v->op == R_rearrange) {
        const RefRearrange *r = v->rearrange;
        for (int f = 0; f < r->n_factors; f++) if (r->factor[f] > 1) m.mask[r->in_axis[f]] |= out->mask[r->out_axis[f]];
        return m;
    }
    for (int i = 0; i < x->shape.n; i++) {
        int o = axis_of(&v->shape, x->shape.role[i]);
        if (v->op == R_rename && i == v->axis) o = v->out_axis;
        m.mask[i] = o < 0 ? 0 : out->mask[o];                /* pick drops the axis: constant */
    }
    if (v->op == R_window || v->op == R_unwindow) m.mask[v->axis] = out->mask[v->out_axis] | out->mask[v->out_kaxis];
    return m;
}

/* One step of the index map for the axes that depend on nothing outside `group` (constants do in every group); false: outside. */
static bool step_index(const RefGraph *g, const RefNode *v, int operand, const Masks *in_masks, uint32_t group,
                       const int64_t *out, int64_t *in)
{
    const RefNode *x = &g->node[v->in[operand]];
#define MINE(i) (!in_masks->mask[i] || (in_masks->mask[i] & group))
    if (v->op == R_rearrange) {
        const RefRearrange *r = v->rearrange;
        for (int i = 0; i < x->shape.n; i++) in[i] = 0;
        for (int f = 0; f < r->n_factors; f++)
            if (MINE(r->in_axis[f])) in[r->in_axis[f]] += out[r->out_axis[f]] / r->out_stride[f] % r->factor[f] * r->in_stride[f];
        return true;
    }
    for (int i = 0; i < x->shape.n; i++) {
        int o = axis_of(&v->shape, x->shape.role[i]);
        in[i] = o < 0 || !MINE(i) ? 0 : out[o];
    }
    int i = v->op == R_concat ? axis_of(&x->shape, v->shape.role[v->out_axis]) : v->axis;
    if (i < 0 || !MINE(i)) return true;
    int64_t j = v->out_axis < 0 ? 0 : out[v->out_axis], size = x->shape.size[i];
    switch (v->op) {
    case R_slice: j += v->a; break;
    case R_pick: j = v->a; break;
    case R_pad: j -= v->a; break;
    case R_concat: j -= concat_start(g, v, operand); break;
    case R_repeat: j /= v->a; break;
    case R_window: j = j * v->stride + out[v->out_kaxis] * v->dil - v->pad; break;
    case R_unwindow:
        j = j + v->pad - out[v->out_kaxis] * v->dil;
        if (j < 0 || j % v->stride) return false;
        j /= v->stride;
        break;
    default: break;
    }
    in[i] = j;
    return j >= 0 && j < size;
#undef MINE
}

/* Offset into the source of the axes in `group`, or REF_OUTSIDE. root: indices of the root's axes. */
static int64_t locate(const Builder *b, const Masks *masks, const RefNode *source, uint32_t group, const int64_t *root)
{
    int64_t idx[2][PLAN_MAX_AXES];
    memcpy(idx[0], root, sizeof idx[0]);
    int cur = 0;
    for (int k = 0; k < b->n_chain; k++, cur ^= 1)
        if (!step_index(b->g, &b->g->node[b->chain[k].node], b->chain[k].operand, &masks[k + 1], group, idx[cur], idx[cur ^ 1]))
            return REF_OUTSIDE;
    int64_t offset = 0, stride = 1;
    for (int i = source->shape.n; i--; stride *= source->shape.size[i]) {
        uint32_t m = masks[b->n_chain].mask[i];
        if (group ? m & group : !m) offset += idx[cur][i] * stride;
    }
    return offset;
}

static void build_group(Builder *b, const Masks *masks, const RefNode *root, uint32_t mask, RefPiece *p)
{
    RefGroup *gr = &p->group[p->n_groups++];
    const LoopSpace *space = &b->a->space;
    int root_axis[PLAN_MAX_AXES];
    gr->size = 1;
    /* table axes in loop order, the innermost loop axis innermost in the table */
    for (int l = space->n; l--; ) {
        int i = axis_of(&root->shape, space->role[l]);
        if (i < 0 || !(mask >> i & 1)) continue;
        root_axis[gr->n] = i;
        gr->axis[gr->n] = l;
        gr->stride[gr->n++] = gr->size;
        if (l == space->n - 1) gr->inner = true, gr->inner_stride = gr->size;
        if (__builtin_mul_overflow(gr->size, space->size[l], &gr->size) || gr->size > MAX_TABLE) {
            b->err = xasprintf("the index tables of a view would be absurdly large");
            return;
        }
    }
    gr->table = xmalloc((size_t)MAX((int64_t)1, gr->size) * sizeof *gr->table);
    gr->linear = gr->n == 1;
    int64_t idx[PLAN_MAX_AXES] = {0};
    for (int64_t e = 0; e < gr->size; e++) {
        for (int k = 0; k < gr->n; k++) idx[root_axis[k]] = e / gr->stride[k] % space->size[gr->axis[k]];
        gr->table[e] = locate(b, masks, &b->g->node[p->source], mask, idx);
        if (e == 1) gr->step = gr->table[1];
        gr->linear = gr->linear && gr->table[e] == e * gr->step;
    }
}
static void build_piece(Builder *b, int v, int source)
{
    const RefNode *root = &b->g->node[v];
    Masks *masks = xmalloc((size_t)(b->n_chain + 1) * sizeof *masks);
    uint32_t set[PLAN_MAX_AXES];                             /* the group of each root axis, as a mask */
    for (int i = 0; i < PLAN_MAX_AXES; i++)
        set[i] = masks[0].mask[i] = i < root->shape.n && root->shape.size[i] > 1 ? 1u << i : 0;
    for (int k = 0; k <= b->n_chain; k++) {
        if (k) masks[k] = step_masks(b->g, &b->g->node[b->chain[k - 1].node], b->chain[k - 1].operand, &masks[k - 1]);
        for (int i = 0; i < PLAN_MAX_AXES; i++) {
            uint32_t merged = masks[k].mask[i];
            for (int j = 0; j < root->shape.n; j++) if (set[j] & merged) merged |= set[j];
            for (int j = 0; j < root->shape.n; j++) if (set[j] & merged) set[j] = merged;
        }
    }
    RefPiece p = {.source = source};
    int64_t zero[PLAN_MAX_AXES] = {0};
    p.base = locate(b, masks, &b->g->node[source], 0, zero);
    if (p.base < 0) {                                        /* an index fixed outside: nothing of the source is ever seen */
        free(masks);
        return;
    }
    uint32_t done = 0;
    for (int i = 0; i < root->shape.n && !b->err; i++) {
        if (!set[i] || done & set[i]) continue;
        done |= set[i];
        build_group(b, masks, root, set[i], &p);
    }
    free(masks);
    vec_push(b->a->piece, b->a->n_pieces, b->cap, p);
}
static void walk(Builder *b, int v, int at)
{
    const RefNode *x = &b->g->node[at];
    if (ref_ops[x->op].cls != REF_V) {
        if (++b->leaves > MAX_PIECES) b->err = xasprintf("a view reads more than %d pieces", MAX_PIECES);
        else build_piece(b, v, at);
        return;
    }
    if (b->n_chain == MAX_CHAIN) {
        b->err = xasprintf("a chain of more than %d views", MAX_CHAIN);
        return;
    }
    for (int i = 0; i < x->n_in && !b->err; i++) {
        b->chain[b->n_chain++] = (Link){at, i};
        walk(b, v, x->in[i]);
        b->n_chain--;
    }
}
RefAccess *ref_access_new(const RefGraph *g, int v, const LoopSpace *space, char **err)
{
    Builder *b = xcalloc(1, sizeof *b);
    b->g = g;
    b->a = xcalloc(1, sizeof *b->a);
    b->a->space = *space;
    walk(b, v, v);
    RefAccess *a = b->a;
    char *bad = b->err;
    free(b);
    if (bad) {
        *err = bad;
        ref_access_free(a);
        return NULL;
    }
    a->total = a->n_pieces == 1;
    for (int k = 0; a->total && k < a->piece[0].n_groups; k++)
        for (int64_t e = 0; a->total && e < a->piece[0].group[k].size; e++) a->total = a->piece[0].group[k].table[e] >= 0;
    int64_t want[LOOP_MAX], stride = 1;
    for (int l = space->n; l--; stride *= space->size[l]) want[l] = stride;
    bool identity = a->total && a->piece[0].base == 0;
    for (int k = 0; identity && k < a->piece[0].n_groups; k++) {
        const RefGroup *gr = &a->piece[0].group[k];
        identity = gr->linear && gr->step == want[gr->axis[0]];
        if (identity) want[gr->axis[0]] = -1;
    }
    for (int l = 0; l < space->n; l++) identity &= want[l] < 0 || space->size[l] <= 1;
    a->identity = identity;
    return a;
}
void ref_access_free(RefAccess *a)
{
    if (!a) return;
    for (int i = 0; i < a->n_pieces; i++)
        for (int k = 0; k < a->piece[i].n_groups; k++) free(a->piece[i].group[k].table);
    free(a->piece);
    free(a);
}
