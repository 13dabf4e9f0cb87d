/* Lower: from a fused graph to kernels. Views are composed into the index expressions of the loads that read through them;
   element-wise nodes that are not held become part of their readers' scalar expressions. */
#include "compiler/lower.h"
#include "compiler/elaborate.h"

/* ---- buffers ---- */
static void layout_of_node(const Node *n, const Ranks *k, Layout *out)
{
    int order[MAX_AXES];
    for (int i = 0; i < n->n_axes; i++) order[i] = i;
    for (int i = 1; i < n->n_axes; i++)
        for (int j = i; j > 0 && k->rank[order[j]] > k->rank[order[j - 1]]; j--) {
            int x = order[j]; order[j] = order[j - 1]; order[j - 1] = x;
        }
    out->n = n->n_axes;
    for (int i = 0; i < n->n_axes; i++) out->axis[i] = n->axes[order[i]];
}

static int64_t layout_elements(const Layout *l)
{
    int64_t e = 1;
    for (int i = 0; i < l->n; i++) e *= l->axis[i].size;
    return e;
}

bool weight_buffer(const Buffer *b) { return b->kind == BUF_PARAM || b->whole; }
int memory_of(const Lowered *l, int buf) { return l->buf[buf].whole ? l->buf[buf].whole - 1 : buf; }

int64_t buffer_size(const Buffer *b) { return (b->elements * number_info[b->type].bytes + 3) / 4; }

/* ---- storage precision ---- */
/* An activation: more than an image and its channels. What has less (embeddings, statistics) stays in f32. */
static bool spatial(const Node *n)
{
    int wide = 0;
    for (int i = 0; i < n->n_axes; i++) wide += n->axes[i].size > 1;
    return wide >= 3 && n->type == T_F32;
}

Number operand_precision(const Lower *c, const Node *n)
{
    bool activation = spatial(N(c->l->g, n->in[0])) || spatial(N(c->l->g, n->in[1]));
    return activation ? number_of(n, c->precision) : NUM_F32;
}

static bool product(const Graph *g, const Node *n) { return n->op == OP_contract && !pointwise_contract(g, n); }

/* A sum over a few neighbours, which leaves an image: pooling, the gradient of a repeat. */
static bool pools(const Graph *g, const Node *n)
{
    return n->op == OP_sum && spatial(n) && node_elements(N(g, n->in[0])) <= 16 * node_elements(n);
}

/* Marks the held nodes below r, and what those are made of: everything between two contractions. */
static void mark_half(const Graph *g, Ref r, const bool *wide, bool *half, bool *seen)
{
    OpClass cls = op_info[N(g, r)->op].cls;
    if (seen[r] || wide[r]) return;
    seen[r] = true;
    if (g->held[r]) half[r] = spatial(N(g, r));
    if (cls == OPC_SOURCE || (cls == OPC_REDUCE && !pools(g, N(g, r)))) return;
    for (int k = 0; k < N(g, r)->n_in; k++) mark_half(g, N(g, r)->in[k], wide, half, seen);
}

/* Held nodes that lie between contractions over activations, through element-wise operations, views and pooling: they are stored in 2 bytes where their
   precision says so. What comes from f32(x) is not, up to the next contraction: preconditioning, loss and their gradients. NULL: no node has such a precision. */
static bool *half_nodes(const Graph *g, Number plan)
{
    bool any = false;
    for (Ref r = 1; r < g->n && !any; r++) any = number_info[number_of(N(g, r), plan)].bytes == 2;
    if (!any) return NULL;
    bool *half = xcalloc(g->n, 1), *seen = xcalloc(g->n, 1), *wide = xcalloc(g->n, 1);
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        wide[r] = n->op == OP_f32;
        for (int k = 0; k < n->n_in && !product(g, n); k++) wide[r] |= wide[n->in[k]];
    }
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        if (!product(g, n) || (!spatial(N(g, n->in[0])) && !spatial(N(g, n->in[1])))) continue;
        mark_half(g, n->in[0], wide, half, seen);
        mark_half(g, n->in[1], wide, half, seen);
    }
    for (Ref r = 1; r < g->n; r++) half[r] &= number_info[number_of(N(g, r), plan)].bytes == 2;
    free(seen);
    free(wide);
    return half;
}

int add_buffer(Lowered *l, Buffer b)
{
    for (int i = 0; i < l->n_buf; i++)               /* flat arrays, states and parameters are one buffer each */
        if (b.kind != BUF_ARENA && l->buf[i].kind == b.kind && l->buf[i].name == b.name && l->buf[i].set == b.set && l->buf[i].offset == b.offset)
            return i;
    b.first = b.last = -1;
    vec_push(l->buf, l->n_buf, l->buf_cap, b);
    return l->n_buf - 1;
}

int64_t param_padded(const Param *p)
{
    int64_t e = 1;
    for (int i = 0; i < p->n_axes; i++) e *= p->axes[i].size;
    return (e + 15) / 16 * 16;
}

static const TensorDecl *find_decl(const Program *p, Sym name)
{
    for (int i = 0; i < p->n_in; i++) if (p->in[i].name == name) return &p->in[i];
    for (int i = 0; i < p->n_out; i++) if (p->out[i].name == name) return &p->out[i];
    return NULL;
}

/* The buffer behind an input or output name; its layout is the declared order. */
static int named_buffer(Lowered *l, Sym name, const Node *n, bool output)
{
    Buffer b = {.name = name};
    const TensorDecl *d = find_decl(l->prog, name);
    b.kind = output ? BUF_OUTPUT : BUF_INPUT;
    if (!strncmp(name, "carry.", 6)) b.kind = BUF_CARRY;
    else if (segment_is_update(l->seg)) {
        b.kind = !strcmp(name, "p") || !strcmp(name, "g") ? BUF_FLAT : BUF_STATE;
    } else if (output && !strncmp(name, "grad.", 5)) {
        for (int i = 0; i < l->m->n_params; i++)
            if (!strcmp(l->m->params[i].name, name + 5)) {
                b.kind = BUF_GRAD;
                b.offset = param_offset(l->m, i);
                b.layout = l->params[i];
                b.elements = layout_elements(&b.layout);
                return add_buffer(l, b);
            }
    }
    b.decl.name = name;
    b.decl.n_axes = n->n_axes;
    b.decl.axes = n->axes;
    b.decl.type = n->type;
    if (d && d->n_axes == n->n_axes) b.decl.axes = d->axes;
    b.layout.n = n->n_axes;
    memcpy(b.layout.axis, b.decl.axes, sizeof(Axis) * (size_t)n->n_axes);
    b.elements = layout_elements(&b.layout);
    return add_buffer(l, b);
}

/* ---- resolve: a graph node at given indices, as a scalar expression ---- */
int kernel_slot(Kernel *k, int buf)
{
    for (int i = 0; i < k->n_buf; i++)
        if (k->buf[i] == buf) return i;
    vec_push(k->buf, k->n_buf, k->buf_cap, buf);
    return k->n_buf - 1;
}

static bool same_cond(const Cond *a, const Cond *b) { return a->e == b->e && a->lo == b->lo && a->hi == b->hi && a->mod == b->mod; }

static bool same_expr(const KExpr *a, const KExpr *b)
{
    if (a->kind != b->kind || a->type != b->type || a->op != b->op || memcmp(&a->value, &b->value, sizeof a->value) || a->slot != b->slot
        || a->index != b->index || a->index2 != b->index2 || a->n_cond != b->n_cond || a->n_in != b->n_in
        || memcmp(&a->nan, &b->nan, sizeof a->nan) || memcmp(&a->inf, &b->inf, sizeof a->inf))
        return false;
    for (int i = 0; i < a->n_cond; i++) if (!same_cond(&a->cond[i], &b->cond[i])) return false;
    return !memcmp(a->in, b->in, sizeof a->in);
}

KRef kx(Kernel *k, KExpr e)
{
    if (k->n_expr == 0) vec_push(k->expr, k->n_expr, k->expr_cap, ((KExpr){0}));
    for (int i = 1; i < k->n_expr; i++)
        if (same_expr(&k->expr[i], &e)) return (KRef)i;
    e.deps = 0;
    if (e.kind == K_LOAD || e.kind == K_IOTA || e.kind == K_DRAW) e.deps |= k->index[e.index].deps | k->index[e.index2].deps;
    for (int i = 0; i < e.n_cond; i++) e.deps |= k->index[e.cond[i].e].deps;
    for (int i = 0; i < e.n_in; i++) e.deps |= k->expr[e.in[i]].deps;
    vec_push(k->expr, k->n_expr, k->expr_cap, e);
    return (KRef)(k->n_expr - 1);
}

static KRef kconst(Kernel *k, double v) { return kx(k, (KExpr){.kind = K_CONST, .value = v}); }

/* Conditions known from ranges are dropped; one that cannot hold makes the whole false. */
static KRef kselect(Kernel *k, int n, const Cond *c, KRef yes, KRef no, const Node *at)
{
    KExpr e = {.kind = K_SELECT, .n_in = 2, .in = {yes, no}, .type = k->expr[yes].type, .at = at->at};
    e.cond = arena_make(k->arena, Cond, n ? n : 1);
    for (int i = 0; i < n; i++) {
        const IndexExpr *x = &k->index[c[i].e];
        if (c[i].mod) {
            if (x->n == 0) { if (x->c % c[i].mod) return no; continue; }
        } else {
            if (x->lo >= c[i].lo && x->hi < c[i].hi) continue;
            if (x->hi < c[i].lo || x->lo >= c[i].hi) return no;
        }
        e.cond[e.n_cond++] = c[i];
    }
    if (e.n_cond == 0 || yes == no) return yes;
    return kx(k, e);
}

int axis_index(const Node *n, Sym role)
{
    for (int i = 0; i < n->n_axes; i++)
        if (n->axes[i].role == role) return i;
    return -1;
}

IRef layout_offset(Kernel *k, const Layout *l, const Node *n, const IRef *idx, const Sym *as)
{
    IRef at = ix_const(k, 0);
    int64_t stride = 1;
    for (int i = l->n; i-- > 0;) {
        int a = -1;
        for (int j = 0; j < n->n_axes; j++)
            if ((as ? as[j] : n->axes[j].role) == l->axis[i].role) a = j;
        CHECK_BUG(a >= 0);
        at = ix_add(k, at, ix_scale(k, idx[a], stride));
        stride *= l->axis[i].size;
    }
    return at;
}

static KRef load(Lower *c, int buf, const Node *n, const IRef *idx)
{
    Kernel *k = c->k;
    KRef v = kx(k, (KExpr){.kind = K_LOAD, .slot = kernel_slot(k, buf), .index = layout_offset(k, &c->l->buf[buf].layout, n, idx, NULL), .at = n->at});
    if (n->type == T_BOOL) v = kx(k, (KExpr){.kind = K_OP, .op = OP_not, .type = T_BOOL, .n_in = 1,
        .in = {kx(k, (KExpr){.kind = K_OP, .op = OP_eq, .type = T_BOOL, .n_in = 2, .in = {v, kconst(k, 0)}})}});
    return v;
}

/* Draw: sample row = n's index, element = number over the other axes with c innermost (docs/random.md). */
bool draws_by_row(const DrawSite *d)
{
    for (int i = 0; i < d->n_axes; i++) if (d->axes[i].role == sym("n")) return true;
    return false;
}

static KRef draw(Lower *c, const Node *n, const IRef *idx)
{
    Kernel *k = c->k;
    Lowered *l = c->l;
    int site = 0;
    while (site < l->n_draw && l->draw[site].path != n->a.draw.path) site++;
    if (site == l->n_draw) {
        DrawSite d = {.kind = n->a.draw.kind, .path = n->a.draw.path, .p = n->a.draw.p, .p_scalar = -1, .n_axes = n->n_axes};
        if (n->n_in) {
            const Node *p = N(l->g, n->in[0]);
            if (p->op == OP_const) d.p = p->a.konst.value;
            else { CHECK_BUG(p->op == OP_scalar); d.p_scalar = p->a.scalar.index; }
        }
        memcpy(d.axes, n->axes, sizeof(Axis) * (size_t)n->n_axes);
        vec_push(l->draw, l->n_draw, l->draw_cap, d);
    }
    int slot = 0;
    while (slot < k->n_draw && k->draw[slot] != site) slot++;
    if (slot == k->n_draw) { CHECK_BUG(k->n_draw < 16); k->draw[k->n_draw++] = site; }
    IRef sample = ix_const(k, 0), element = ix_const(k, 0);
    Sym rn = sym("n"), rc = sym("c");
    int64_t per_row = 1;
    for (int i = 0; i < n->n_axes; i++) if (n->axes[i].role != rn) per_row *= n->axes[i].size;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n->n_axes; i++) {
            if (n->axes[i].role == rn) { if (!pass) sample = idx[i]; continue; }
            if ((n->axes[i].role == rc) != (pass == 1)) continue;
            element = ix_add(k, ix_scale(k, element, n->axes[i].size), idx[i]);
        }
    KExpr e = {.kind = K_DRAW, .slot = slot, .index = sample, .index2 = element, .value = (double)per_row, .at = n->at};
    if (n->n_in) { e.n_in = 1; e.in[0] = resolve(c, n->in[0], NULL); }
    return kx(k, e);
}

static KRef view(Lower *c, Ref r, const IRef *idx)
{
    const Node *n = N(c->l->g, r), *in = N(c->l->g, n->in[0]);
    Kernel *k = c->k;
    IRef sub[MAX_AXES] = {0};
    Cond cond[2];
    int n_cond = 0;
    if (n->op == OP_take) {                          /* the row is where the table says */
        const Node *table = N(c->l->g, n->in[1]);
        bool there = c->all_rows && table->op == OP_rows_order;
        int slot = there ? -1 : kernel_slot(k, c->l->home[n->in[1]]);
        for (int i = 0; i < in->n_axes; i++) {
            sub[i] = idx[axis_index(n, in->axes[i].role)];
            if (in->axes[i].role == table->axes[0].role && !there) sub[i] = ix_table(k, slot, sub[i], in->axes[i].size);
        }
        return resolve(c, n->in[0], sub);
    }
    if (n->op == OP_concat) {
        int a = axis_index(n, n->a.concat.axis);
        int64_t at = node_elements(n) ? n->axes[a].size : 0;
        KRef v = 0;
        for (int i = n->n_in; i-- > 0;) {            /* last piece first: a chain of selects */
            const Node *piece = N(c->l->g, n->in[i]);
            int64_t len = piece->axes[axis_index(piece, n->a.concat.axis)].size;
            at -= len;
            for (int j = 0; j < piece->n_axes; j++) {
                int from = axis_index(n, piece->axes[j].role);
                sub[j] = from == a ? ix_addc(k, idx[a], -at) : idx[from];
            }
            Cond here = {idx[a], at, at + len, 0};
            const IndexExpr *x = &k->index[idx[a]];
            if (x->hi < at || x->lo >= at + len) continue;
            KRef p = resolve(c, n->in[i], sub);
            v = v ? kselect(k, 1, &here, p, v, n) : p;
        }
        return v;
    }
    if (n->op == OP_rearrange) {
        const Rearrange *ra = n->a.rearrange;
        IRef f[2 * MAX_AXES];
        int q = 0;
        for (int i = 0; i < ra->n_out; i++) {
            int64_t inner = 1;
            for (int j = ra->out_count[i]; j-- > 0;) {
                int64_t size = ra->factor[ra->out_factor[q + j]];
                IRef part = ix_div(k, idx[i], inner);
                f[ra->out_factor[q + j]] = j == 0 ? part : ix_mod(k, part, size);
                inner *= size;
            }
            q += ra->out_count[i];
        }
        q = 0;
        for (int i = 0; i < ra->n_in; i++) {
            IRef v = ix_const(k, 0);
            for (int j = 0; j < ra->in_count[i]; j++) v = ix_add(k, ix_scale(k, v, ra->factor[q + j]), f[q + j]);
            q += ra->in_count[i];
            sub[i] = v;
        }
        return resolve(c, n->in[0], sub);
    }
    for (int i = 0; i < in->n_axes; i++) {
        Sym role = in->axes[i].role;
        if (n->op == OP_rename && role == n->a.rename.from) role = n->a.rename.to;
        int a = axis_index(n, role);
        IRef x = a >= 0 ? idx[a] : ix_const(k, 0);
        if (n->op == OP_slice && role == n->a.slice.axis) x = ix_addc(k, x, n->a.slice.start);
        if (n->op == OP_pick && role == n->a.pick.axis) x = ix_const(k, n->a.pick.index);
        if (n->op == OP_repeat && role == n->a.repeat.axis) x = ix_div(k, x, n->a.repeat.times);
        if (n->op == OP_pad && role == n->a.pad.axis) {
            x = ix_addc(k, x, -n->a.pad.lo);
            cond[n_cond++] = (Cond){x, 0, in->axes[i].size, 0};
        }
        if (n->op == OP_window && role == n->a.window.axis) {
            IRef tap = idx[axis_index(n, n->a.window.kaxis)];
            x = ix_addc(k, ix_add(k, ix_scale(k, x, n->a.window.stride), ix_scale(k, tap, n->a.window.dil)), -n->a.window.pad);
            cond[n_cond++] = (Cond){x, 0, in->axes[i].size, 0};
        }
        if (n->op == OP_unwindow && role == n->a.unwindow.axis) {
            IRef tap = idx[axis_index(n, n->a.unwindow.kaxis)];
            IRef u = ix_addc(k, ix_add(k, x, ix_scale(k, tap, -n->a.unwindow.dil)), n->a.unwindow.pad);
            if (n->a.unwindow.stride > 1) cond[n_cond++] = (Cond){u, 0, 0, n->a.unwindow.stride};
            x = ix_div(k, u, n->a.unwindow.stride);
            cond[n_cond++] = (Cond){x, 0, in->axes[i].size, 0};
        }
        sub[i] = x;
    }
    KRef v = resolve(c, n->in[0], sub);
    return n_cond ? kselect(k, n_cond, cond, v, kconst(k, 0), n) : v;
}

/* Element-wise nodes: small constant powers become products, everything else is one operation. */
static KRef elem(Lower *c, Ref r, const IRef *idx)
{
    const Node *n = N(c->l->g, r);
    Kernel *k = c->k;
    KExpr e = {.kind = K_OP, .op = n->op, .type = n->type, .n_in = n->n_in, .at = n->at};
    if (n->op == OP_nan_to_num) { e.nan = n->a.nan_to_num.nan; e.inf = n->a.nan_to_num.inf; }
    for (int i = 0; i < n->n_in; i++) {
        const Node *in = N(c->l->g, n->in[i]);
        IRef sub[MAX_AXES];
        for (int j = 0; j < in->n_axes; j++) sub[j] = idx[axis_index(n, in->axes[j].role)];
        e.in[i] = resolve(c, n->in[i], sub);
    }
    if (n->op == OP_stop || n->op == OP_f32) return e.in[0];
    for (int i = 0; i < 2 && n->op == OP_add && k->n_seg > 1; i++)              /* of a product whose terms are in the first one's sum: lower_contract */
        if (k->expr[e.in[i]].kind == K_CONST && k->expr[e.in[i]].value == 0) return e.in[1 - i];
    if (n->op == OP_pow && k->expr[e.in[1]].kind == K_CONST) {
        double p = k->expr[e.in[1]].value;
        if (p == 2 || p == 3 || p == 4) {
            KExpr sq = {.kind = K_OP, .op = OP_mul, .n_in = 2, .in = {e.in[0], e.in[0]}, .at = n->at};
            KRef s = kx(k, sq);
            if (p == 2) return s;
            sq.in[0] = s; sq.in[1] = p == 3 ? e.in[0] : s;
            return kx(k, sq);
        }
    }
    return kx(k, e);
}

static KRef binary(Kernel *k, Op op, KRef x, KRef y, const Node *at)
{
    return kx(k, (KExpr){.kind = K_OP, .op = op, .n_in = 2, .in = {x, y}, .at = at->at});
}

/* A sum of a few terms, or of squares of their deviations, written out. */
static KRef few(Lower *c, Ref r, const IRef *idx)
{
    const Graph *g = c->l->g;
    const Node *n = N(g, r), *x = N(g, n->in[0]);
    Kernel *k = c->k;
    KRef term[4], sum = 0;
    int count = 0;
    int64_t terms = 1;
    for (int i = 0; i < n->a.reduce.n; i++) terms *= find_axis(x, n->a.reduce.axis[i])->size;
    for (int64_t t = 0; t < terms; t++) {
        int64_t rest = t;
        IRef at[MAX_AXES];
        for (int i = 0; i < x->n_axes; i++) {
            int a = axis_index(n, x->axes[i].role);
            if (a >= 0) { at[i] = idx[a]; continue; }
            at[i] = ix_const(k, rest % x->axes[i].size);
            rest /= x->axes[i].size;
        }
        term[count] = resolve(c, n->in[0], at);
        sum = count ? binary(k, OP_add, sum, term[count], n) : term[0];
        count++;
    }
    if (n->op == OP_sum) return sum;
    KRef mean = binary(k, OP_div, sum, kconst(k, (double)count), n), squares = 0;
    for (int i = 0; i < count; i++) {
        KRef d = binary(k, OP_sub, term[i], mean, n), q = binary(k, OP_mul, d, d, n);
        squares = i ? binary(k, OP_add, squares, q, n) : q;
    }
    return squares;
}

KRef resolve(Lower *c, Ref r, const IRef *idx)
{
    const Node *n = N(c->l->g, r);
    Kernel *k = c->k;
    for (int i = 0; i < c->n_local; i++) {
        if (c->local[i].node != r || !c->local[i].value) continue;
        for (int a = 0; a < n->n_axes; a++)          /* fuse let nothing else in */
            if (n->axes[a].size > 1 && c->known[i].at[a].role) CHECK_BUG(idx[a] == place_index(c, &c->known[i].at[a]));
        return c->local[i].value;
    }
    if (c->l->home[r] >= 0 && r != c->root) return load(c, c->l->home[r], n, idx);
    CHECK_BUG(!(c->l->g->held[r] && r != c->root));
    for (int i = 0; i < c->n_memo; i++) {
        const Memo *m = &c->memo[i];
        if (m->r == r && (n->n_axes == 0 || !memcmp(m->idx, idx, sizeof(IRef) * (size_t)n->n_axes))) return m->v;
    }
    KRef v = 0;
    switch (op_info[n->op].cls) {
    case OPC_SOURCE:
        switch (n->op) {
        case OP_const: v = kconst(k, n->a.konst.value); break;
        case OP_scalar: v = kx(k, (KExpr){.kind = K_SCALAR, .slot = n->a.scalar.index, .at = n->at}); break;
        case OP_iota: v = kx(k, (KExpr){.kind = K_IOTA, .index = idx[0], .at = n->at}); break;
        case OP_draw: v = draw(c, n, idx); break;
        case OP_input: v = load(c, named_buffer(c->l, n->a.input.name, n, false), n, idx); break;
        default: {
            CHECK_BUG(n->op == OP_param);
            const Layout *pl = &c->l->params[n->a.param.index];
            Buffer b = {.kind = BUF_PARAM, .name = c->l->m->params[n->a.param.index].name, .set = n->a.param.set,
                        .offset = param_offset(c->l->m, n->a.param.index), .layout = *pl, .elements = layout_elements(pl)};
            v = load(c, c->halve != NUM_F32 ? image_part(c, b) : add_buffer(c->l, b), n, idx);
        }
        }
        break;
    case OPC_VIEW: v = view(c, r, idx); break;
    case OPC_ELEM: v = elem(c, r, idx); break;
    case OPC_REDUCE:
        if (tiny_sum(c->l->g, r)) { v = few(c, r, idx); break; }
        /* fallthrough */
    default: die("%s is neither held nor reduced here (%s line %d)", op_info[n->op].name, n->at.file, n->at.line);
    }
    Memo m = {r, v, {0}};
    if (n->n_axes) memcpy(m.idx, idx, sizeof(IRef) * (size_t)n->n_axes);
    vec_push(c->memo, c->n_memo, c->memo_cap, m);
    return v;
}

/* ---- one kernel ---- */
Kernel *kernel_new(Lowered *l, KernelClass cls, Ref root)
{
    Kernel *k = arena_make(l->arena, Kernel, 1);
    k->arena = l->arena;
    k->cls = cls;
    k->root = root;
    k->bound = -1;
    ix_const(k, 0);
    kx(k, (KExpr){.kind = K_CONST, .value = 0});
    vec_push(l->kernel, l->n_kernel, l->kernel_cap, k);
    return k;
}

static void *duplicate(const void *from, size_t bytes, size_t room)
{
    void *to = xmalloc(room);
    if (bytes) memcpy(to, from, bytes);
    return to;
}
#define DUPLICATE(p, n) ((p) = duplicate(p, sizeof *(p) * (size_t)(n), sizeof *(p) * (size_t)((n) + 1)))
Kernel *kernel_copy(Lowered *l, const Kernel *from)
{
    Kernel *k = arena_make(l->arena, Kernel, 1);
    *k = *from;
    DUPLICATE(k->loop, k->n_loops); DUPLICATE(k->atom, k->n_atoms); DUPLICATE(k->index, k->n_index);
    DUPLICATE(k->expr, k->n_expr); DUPLICATE(k->buf, k->n_buf);
    k->loops_cap = k->n_loops + 1; k->atoms_cap = k->n_atoms + 1; k->index_cap = k->n_index + 1;
    k->expr_cap = k->n_expr + 1; k->buf_cap = k->n_buf + 1;
    CHECK_BUG(!k->body);
    return k;
}

void kernel_free(Kernel *k) { free(k->loop); free(k->atom); free(k->index); free(k->expr); free(k->buf); free(k->body); }

/* Store `root` (node r) to its home and to output copies. out loops are made here in the store's physical order. */
static void store_to(Lower *c, Ref r, int buf, const Layout *lay, const Sym *as, KRef v, const IRef *idx, Level level)
{
    Kernel *k = c->k;
    CHECK_BUG(k->n_store < 16);
    Store *s = &k->store[k->n_store++];
    s->slot = kernel_slot(k, buf);
    s->layout = *lay;
    s->offset = layout_offset(k, &s->layout, N(c->l->g, r), idx, as);
    s->value = v;
    s->level = level;
}

static void add_store(Lower *c, Ref r, int buf, const Sym *as, KRef v, const IRef *idx, Level level)
{
    store_to(c, r, buf, &c->l->buf[buf].layout, as, v, idx, level);
    for (int i = 0; i < c->n_more && !as; i++)       /* an output that is the same */
        if (c->more[i].node == r && buf == c->l->home[r]) store_to(c, r, c->more[i].buf, &c->more[i].layout, NULL, v, idx, level);
}

/* ---- a kernel's members ---- */
void begin_kernel(Lower *c, KernelClass cls, Ref root)
{
    c->k = kernel_new(c->l, cls, root);
    c->n_memo = c->n_local = c->n_known = c->n_domain = 0;
    c->root = 0;
    Ref count = c->bound ? c->bound[root] : 0;
    if (count) {
        c->k->bound_axis = N(c->l->g, N(c->l->g, count)->in[0])->axes[0];
        c->k->bound = kernel_slot(c->k, c->l->home[count]);
    }
    placer_know(&c->placer, c->known, 0);
}

void domain_axis(Lower *c, Sym role, int64_t size, IRef index)
{
    c->axes[c->n_domain] = (Axis){role, size};
    c->domain[c->n_domain++] = index;
}

IRef place_index(Lower *c, const AxisAt *at)
{
    for (int i = 0; i < c->n_domain && at->role; i++) {
        if (c->axes[i].role != at->role) continue;
        IRef x = at->div > 1 ? ix_div(c->k, c->domain[i], at->div) : c->domain[i];
        return at->mod ? ix_mod(c->k, x, at->mod) : x;
    }
    CHECK_BUG(!at->role);
    return ix_const(c->k, 0);
}

void know(Lower *c, const Place *p, KRef value)
{
    int n = c->n_local;
    vec_push(c->local, c->n_local, c->local_cap, ((Local){p->node, value}));
    vec_push(c->known, c->n_known, c->known_cap, *p);
    CHECK_BUG(n + 1 == c->n_known);
    placer_know(&c->placer, c->known, c->n_known);
    c->n_memo = 0;
}

bool place_member(Lower *c, Ref r, Place *out)
{
    const Graph *g = c->l->g;
    const Node *n = N(g, r);
    if (place_operands(&c->placer, r, out) == PLACE_CROSSED) return false;
    out->leaf = false;
    bool all = n->n_axes == c->n_domain;             /* it runs over the domain, nothing it reads lies elsewhere */
    for (int i = 0; i < n->n_axes; i++) {
        bool there = false;
        for (int d = 0; d < c->n_domain; d++) there |= c->axes[d].role == n->axes[i].role && c->axes[d].size == n->axes[i].size;
        const AxisAt *at = &out->at[i];
        all &= there && (!at->role || (at->role == n->axes[i].role && at->div <= 1 && !at->mod));
    }
    for (int i = 0; i < n->n_axes && all; i++) out->at[i] = (AxisAt){n->axes[i].role, 1, 0};      /* a map beside another (fuse_merge.c) */
    return place_whole(g, r, out);
}

KRef resolve_at(Lower *c, Ref r, const Place *p)
{
    IRef idx[MAX_AXES];
    for (int i = 0; i < N(c->l->g, r)->n_axes; i++) idx[i] = place_index(c, &p->at[i]);
    Ref keep = c->root;
    c->root = r;
    KRef v = resolve(c, r, idx);
    c->root = keep;
    return v;
}

KRef rounded(Lower *c, Number to, KRef v, Ref r)
{
    static const Op round[N_NUMBERS] = {[NUM_TF32] = OP_tf32, [NUM_BF16] = OP_bf16, [NUM_F16] = OP_f16};
    if (to == NUM_F32) return v;
    return kx(c->k, (KExpr){.kind = K_OP, .op = round[to], .n_in = 1, .in = {v}, .at = N(c->l->g, r)->at});
}

KRef as_stored(Lower *c, Ref r, KRef v)
{
    return c->l->g->held[r] ? rounded(c, c->l->buf[c->l->home[r]].type, v, r) : v;
}

void store_member(Lower *c, Ref r, const Place *p, KRef v, Level level)
{
    IRef idx[MAX_AXES];
    if (!c->l->g->held[r]) return;
    for (int i = 0; i < N(c->l->g, r)->n_axes; i++) idx[i] = place_index(c, &p->at[i]);
    add_store(c, r, c->l->home[r], NULL, v, idx, level);
}

/* An element-wise node, or an output that is a view: one loop nest. */
static void lower_map(Lower *c, Ref r, int buf, const Sym *as)
{
    begin_kernel(c, KERNEL_MAP, r);
    Kernel *k = c->k;
    const Node *n = N(c->l->g, r);
    const Layout *lay = &c->l->buf[buf].layout;
    IRef idx[MAX_AXES];
    for (int i = 0; i < lay->n; i++)
        for (int j = 0; j < n->n_axes; j++)
            if ((as ? as[j] : n->axes[j].role) == lay->axis[i].role) {
                k->out_axes[k->n_out] = n->axes[j];
                k->out[k->n_out] = new_loop(k, n->axes[j].role, n->axes[j].size);
                idx[j] = ix_loop(k, k->out[k->n_out++]);
            }
    c->root = c->l->home[r] == buf ? r : 0;          /* a copy of something held reads it */
    KRef v = resolve(c, r, idx);
    add_store(c, r, buf, as, v, idx, AT_ELEMENT);
    k->nodes[k->n_nodes++] = r;
    k->flops = node_elements(n) * k->n_expr;
}

/* The update: every output in one pass over the flat arrays, all results computed before any is stored. */
static void lower_update(Lower *c)
{
    Graph *g = c->l->g;
    begin_kernel(c, KERNEL_MAP, g->n_out ? g->out[0].ref : 0);
    Kernel *k = c->k;
    memset(g->held, 0, g->n);                        /* nothing is held: one pass */
    CHECK_BUG(g->n_out > 0 && g->n_out <= 8 && N(g, g->out[0].ref)->n_axes == 1);
    k->out_axes[0] = N(g, g->out[0].ref)->axes[0];
    k->out[k->n_out++] = new_loop(k, k->out_axes[0].role, k->out_axes[0].size);
    IRef idx = ix_loop(k, k->out[0]);
    for (int i = 0; i < g->n_out; i++) {
        Ref r = g->out[i].ref;
        KRef v = resolve(c, r, &idx);
        add_store(c, r, named_buffer(c->l, g->out[i].name, N(g, r), true), NULL, v, &idx, AT_ELEMENT);
    }
    k->nodes[k->n_nodes++] = k->root;
    k->flops = k->out_axes[0].size * k->n_expr;
}

/* ---- groups: what becomes one kernel ---- */
typedef struct { Group *v; int n; int *of; uint32_t *seen, now; } Groups;

static void collect(Groups *gs, const Graph *g, int at, Ref r, bool top)
{
    if (!top) {
        if (gs->seen[r] == gs->now) return;
        gs->seen[r] = gs->now;
        if (g->into[r]) {
            int from = gs->of[g->into[r]];
            Group *k = &gs->v[at];
            for (int i = 0; i < k->n_leaf; i++) if (k->leaf[i] == from) return;
            if (from != at) vec_push(k->leaf, k->n_leaf, k->leaf_cap, from);
            return;
        }
    }
    for (int i = 0; i < N(g, r)->n_in; i++) collect(gs, g, at, N(g, r)->in[i], false);
}

static void groups_build(Groups *gs, const Graph *g)
{
    *gs = (Groups){.of = xcalloc(g->n, sizeof *gs->of), .seen = xcalloc(g->n, sizeof *gs->seen)};
    int cap = 0;
    for (Ref r = 1; r < g->n; r++) {
        Ref l = g->into[r];
        if (!l) continue;
        if (!gs->of[l]) {
            if (!gs->n) vec_push(gs->v, gs->n, cap, ((Group){0}));       /* 0 stands for none */
            vec_push(gs->v, gs->n, cap, ((Group){.leader = l}));
            gs->of[l] = gs->n - 1;
        }
        Group *k = &gs->v[gs->of[l]];
        vec_push(k->member, k->n, k->cap, r);
    }
    for (int i = 1; i < gs->n; i++) {
        gs->now++;
        for (int j = 0; j < gs->v[i].n; j++) collect(gs, g, i, gs->v[i].member[j], true);
    }
}

static void groups_free(Groups *gs)
{
    for (int i = 0; i < gs->n; i++) { free(gs->v[i].member); free(gs->v[i].leaf); }
    free(gs->v); free(gs->of); free(gs->seen);
}

static void lower_group(Lower *c, const Group *k)
{
    const Graph *g = c->l->g;
    Ref product = 0, sums = 0, last = 0;
    int64_t wide = 0, narrow = INT64_MAX, summed = 0;
    int n_sums = 0;
    for (int i = 0; i < k->n; i++) {
        const Node *n = N(g, k->member[i]);
        if (op_info[n->op].cls != OPC_REDUCE) { wide = MAX(wide, node_elements(n)); last = k->member[i]; continue; }
        if (n->op == OP_contract && !pointwise_contract(g, n)) {
            ContractPlan plan;
            contract_plan(g, c->ranks, k->member[i], NULL, &plan);
            if (!product || plan.leaf == LEAF_TAPS_K) product = k->member[i];        /* the others are its further segments */
            continue;
        }
        sums = k->member[i];
        n_sums++;
        narrow = MIN(narrow, node_elements(n));
        if (!of_sums(g, whole_operand(g, n), 0)) summed = MAX(summed, node_elements(N(g, whole_operand(g, n))));
    }
    if (op_info[N(g, k->leader)->op].cls == OPC_TABLE) lower_table(c, k);
    else if (product) lower_contract(c, k, product);
    else if (!sums && k->n == 1) lower_map(c, last, c->l->home[last], NULL);
    else if (!sums || wide > narrow) {
        if (!lower_pass(c, k)) {
            for (int i = 0; i < k->n; i++) {
                char *t = node_text(c->l->m, g, k->member[i]);
                fprintf(stderr, "%s\n", t);
                free(t);
            }
            die("kernel %%%u does not hold together", k->leader);
        }
    }
    else if (n_sums == 1 || summed < 8192 || summed < 16 * narrow || !lower_pass(c, k))
        lower_sums(c, k, n_sums > 1 ? "sums side by side" : "a plain reduction");
    for (int i = 0; i < k->n && c->k->n_nodes < 64; i++) c->k->nodes[c->k->n_nodes++] = k->member[i];
}

/* All groups, each after those it reads; of those that can go the one with the first member. */
static void lower_groups(Lower *c)
{
    Groups gs;
    groups_build(&gs, c->l->g);
    bool *done = xcalloc((size_t)gs.n + 1, 1);
    for (int left = gs.n - 1; left > 0; left--) {
        int next = 0;
        for (int i = 1; i < gs.n; i++) {
            if (done[i] || (next && gs.v[next].member[0] < gs.v[i].member[0])) continue;
            bool ready = true;
            for (int j = 0; j < gs.v[i].n_leaf && ready; j++) ready = done[gs.v[i].leaf[j]];
            if (ready) next = i;
        }
        if (!next) die("kernels that wait for each other");
        done[next] = true;
        lower_group(c, &gs.v[next]);
    }
    free(done);
    groups_free(&gs);
}

void lives(Lowered *l)
{
    for (int i = 0; i < l->n_buf; i++) l->buf[i].first = l->buf[i].last = -1;
    for (int i = 0; i < l->n_kernel; i++)
        for (int m = -1; m < l->kernel[i]->n_member; m++) {
            const Kernel *k = m < 0 ? l->kernel[i] : l->kernel[i]->member[m];
            for (int j = 0; j < k->n_buf; j++) {
                Buffer *b = &l->buf[k->buf[j]];
                if (b->first < 0) b->first = i;
                b->last = i;
            }
        }
    for (int i = 0; i < l->n_buf; i++) {             /* what a part is used for, its memory is */
        Buffer *b = &l->buf[i], *whole = &l->buf[memory_of(l, i)];
        if (!b->whole || b->first < 0) continue;
        b->first = whole->first;
        whole->last = MAX(whole->last, b->last);
    }
}

static void finish(Lowered *l)
{
    for (int i = 0; i < l->n_kernel; i++) {
        Kernel *k = l->kernel[i];
        kernel_traffic(l, k);
        l->flops += k->flops;
        l->bytes += k->bytes;
    }
    lives(l);
}

bool segment_is_update(const Segment *s)
{
    const char *dot = strrchr(s->name, '.');
    return dot && !strcmp(dot, ".update");
}

/* The layout of output r in the roles of its base; axes of size 1 that the base lacks are left out. */
static Layout as_base(const Graph *g, Ref r, Ref base, const Layout *lay)
{
    Layout own = {0};
    for (int q = 0; q < lay->n; q++) {
        Sym role = lay->axis[q].role;
        for (Ref x = r; x != base && role; x = N(g, x)->in[0]) {
            const Node *n = N(g, x);
            if (n->op == OP_rename && n->a.rename.to == role) role = n->a.rename.from;
            if (n->op == OP_expand && n->a.expand.axis == role) role = NULL;
        }
        if (role) own.axis[own.n++] = (Axis){role, lay->axis[q].size};
    }
    return own;
}

static Lowered *lower_graph(const Module *m, Program *p, Segment *s, const Layout *params, bool all_rows)
{
    Lowered *l = xcalloc(1, sizeof *l);
    *l = (Lowered){.m = m, .prog = p, .seg = s, .g = s->g, .arena = arena_new(), .params = params};
    Graph *g = s->g;
    CHECK_BUG(g->held);
    Ranks *ranks = layout_ranks(m, g, params);
    Lower c = {.l = l, .ranks = ranks, .params = params, .precision = m->precision, .all_rows = all_rows};
    if (segment_is_update(s)) {
        l->home = xmalloc(sizeof(int) * g->n);
        for (uint32_t i = 0; i < g->n; i++) l->home[i] = -1;
        placer_open(&c.placer, g);
        lower_update(&c);
        placer_close(&c.placer);
        free(c.memo);
        free(ranks);
        finish(l);
        return l;
    }
    l->home = xmalloc(sizeof(int) * g->n);
    for (uint32_t i = 0; i < g->n; i++) l->home[i] = -1;
    bool *half = half_nodes(g, c.precision);
    Sym (*as)[MAX_AXES] = xcalloc((size_t)g->n_out + 1, sizeof *as);
    bool *copied = xcalloc((size_t)g->n_out + 1, 1);
    int *out_buf = xcalloc((size_t)g->n_out + 1, sizeof *out_buf);
    for (int i = 0; i < g->n_out; i++) {             /* outputs: the held node underneath is computed straight into the output's buffer */
        Ref r = g->out[i].ref, base = output_base(g, r);
        int b = out_buf[i] = named_buffer(l, g->out[i].name, N(g, r), true);
        for (int j = 0; j < N(g, r)->n_axes; j++) as[i][j] = N(g, r)->axes[j].role;
        OpClass cls = op_info[N(g, base)->op].cls;
        BufKind kind = l->buf[b].kind;
        copied[i] = !((cls == OPC_ELEM || cls == OPC_REDUCE) && g->held[base] && kind != BUF_FLAT && kind != BUF_STATE && kind != BUF_CARRY);
        if (copied[i]) continue;
        Layout own = as_base(g, r, base, &l->buf[b].layout);             /* the same memory, roles of the base node */
        if (l->home[base] >= 0) {
            vec_push(c.more, c.n_more, c.more_cap, ((More){base, b, own}));
            continue;
        }
        l->buf[b].layout = own;
        l->home[base] = b;
    }
    for (Ref r = 1; r < g->n; r++) {
        if (!g->held[r]) continue;
        const Node *n = N(g, r);
        if (l->home[r] < 0) {
            Buffer b = {.kind = BUF_ARENA, .name = arena_printf(l->arena, "v%u", r)};
            layout_of_node(n, &ranks[r], &b.layout);
            if (half && half[r]) b.type = number_of(n, c.precision);
            b.elements = layout_elements(&b.layout);
            l->home[r] = add_buffer(l, b);
        }
    }
    free(half);
    Ref *bound = all_rows ? NULL : compact_bounds(g);
    c.bound = bound;
    placer_open(&c.placer, g);
    lower_groups(&c);
    for (int i = 0; i < g->n_out; i++)
        if (copied[i]) lower_map(&c, g->out[i].ref, out_buf[i], as[i]);
    write_images(&c);
    placer_close(&c.placer);
    free(bound); free(c.memo); free(c.local); free(c.known); free(c.more); free(as); free(copied); free(out_buf);
    free(ranks);
    finish(l);
    return l;
}

Lowered *lower_segment(const Module *m, Program *p, Segment *s, const Layout *params) { return lower_graph(m, p, s, params, false); }
Lowered *lower_segment_all_rows(const Module *m, Program *p, Segment *s, const Layout *params) { return lower_graph(m, p, s, params, true); }

void lowered_free(Lowered *l)
{
    int n = l->all ? l->n_all : l->n_kernel;
    for (int i = 0; i < n; i++) kernel_free(l->all ? l->all[i] : l->kernel[i]);
    free(l->kernel); free(l->all); free(l->buf); free(l->draw); free(l->home);
    arena_drop(l->arena);
    free(l);
}
