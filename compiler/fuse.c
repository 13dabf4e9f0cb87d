/* Fuse: decides which nodes are held in memory; everything else is computed where it is read.
   Views are never held. A reduction is held, or ends in the element-wise epilogue that is its only reader. */
#include "compiler/graph.h"

enum { MAX_LOADS = 6, MAX_OPS = 80 };

typedef struct { int n; Ref r[MAX_LOADS + 1]; int ops; bool dear; } Cost;   /* held tensors read, operations, any of them expensive */

static bool expensive(Op op)
{
    switch (op) {
    case OP_exp: case OP_log: case OP_sin: case OP_cos: case OP_sqrt: case OP_rsqrt: case OP_sigmoid: case OP_tanh: case OP_erf:
    case OP_pow: case OP_div: case OP_draw: return true;
    default: return false;
    }
}

static void cost_add(Cost *c, Ref r)
{
    for (int i = 0; i < c->n; i++)
        if (c->r[i] == r) return;
    if (c->n <= MAX_LOADS) c->r[c->n++] = r;
}

static int big_loads(const Graph *g, const Cost *c, int64_t elements)
{
    int n = 0;
    for (int i = 0; i < c->n; i++) n += node_elements(N(g, c->r[i])) * 4 >= elements;
    return n;
}

/* Readers of each node, views looked through. */
typedef struct { int *first, *next; Ref *who; int n, cap; int cap_next; } Readers;

static void readers_build(const Graph *g, Readers *rd)
{
    *rd = (Readers){.first = xmalloc(sizeof(int) * g->n)};
    for (uint32_t i = 0; i < g->n; i++) rd->first[i] = -1;
    for (uint32_t r = g->n; r-- > 1;)
        for (int i = 0; i < N(g, r)->n_in; i++) {
            Ref in = N(g, r)->in[i];
            int at = rd->n;
            vec_push(rd->who, rd->n, rd->cap, (Ref)r);
            rd->n--;
            vec_push(rd->next, rd->n, rd->cap_next, rd->first[in]);
            rd->first[in] = at;
        }
}

/* Calls per reader that is not a view: counts, and the largest reader's element count; *only = the one reader when there is one. */
static int count_uses(const Graph *g, const Readers *rd, Ref r, const bool *is_out, int64_t *largest, Ref *only)
{
    int n = is_out[r] ? 1 : 0;
    for (int i = rd->first[r]; i >= 0; i = rd->next[i]) {
        Ref w = rd->who[i];
        if (op_info[N(g, w)->op].cls == OPC_VIEW) {
            n += count_uses(g, rd, w, is_out, largest, only);
        } else {
            if (*only != w) n++;
            *only = w;
            int64_t e = node_elements(N(g, w));
            for (int j = 0; j < N(g, w)->n_in; j++) e = MAX(e, node_elements(N(g, N(g, w)->in[j])));
            if (N(g, w)->op == OP_contract) e = 0;   /* a stage evaluates each element once */
            *largest = MAX(*largest, e);
        }
        if (n > 1000) break;
    }
    return n;
}

/* ---- epilogues ---- */
enum { MAX_EPILOGUE = 32 };
typedef struct { const Graph *g; const Readers *rd; const bool *is_out; const Ref *claimed; Ref s[MAX_EPILOGUE]; int n; } Region;

static bool in_region(const Region *e, Ref r)
{
    for (int i = 0; i < e->n; i++)
        if (e->s[i] == r) return true;
    return false;
}

/* Does anything outside the region read r (looking through renames)? *next: the first element-wise node among those readers. */
static bool read_outside(const Region *e, Ref r, Ref *next)
{
    bool outside = e->is_out[r];
    for (int i = e->rd->first[r]; i >= 0; i = e->rd->next[i]) {
        Ref w = e->rd->who[i];
        if (N(e->g, w)->op == OP_rename) {
            outside |= read_outside(e, w, next);
        } else if (!in_region(e, w)) {
            outside = true;
            if (op_info[N(e->g, w)->op].cls == OPC_ELEM && (!*next || w < *next)) *next = w;
        }
    }
    return outside;
}

/* The element-wise nodes that can end reduction e->s[0]'s kernel: grown reader by reader over the same elements; the region is cut back to where
   its last node is the only one read from outside, so that nothing else has to be held. */
static void grow(Region *e)
{
    const Node *r = N(e->g, e->s[0]);
    int closed = 1;
    while (e->n < MAX_EPILOGUE) {
        Ref next = 0;
        int holders = 0, holder = 0;
        for (int i = 0; i < e->n; i++)
            if (read_outside(e, e->s[i], &next)) { holders++; holder = i; }
        if (holders == 1 && holder == e->n - 1 && N(e->g, e->s[holder])->type != T_BOOL) closed = e->n;
        if (!next || e->claimed[next] || node_elements(N(e->g, next)) != node_elements(r) || N(e->g, next)->n_axes != r->n_axes) break;
        e->s[e->n++] = next;
    }
    e->n = closed;
}

void fuse(Graph *g)
{
    g->held = xcalloc(g->n, sizeof *g->held);
    g->into = xcalloc(g->n, sizeof *g->into);
    bool *is_out = xcalloc(g->n, 1);
    for (int i = 0; i < g->n_out; i++) {
        Ref r = g->out[i].ref;
        is_out[r] = true;
        while (N(g, r)->op == OP_rename) r = N(g, r)->in[0];
        OpClass c = op_info[N(g, r)->op].cls;
        if (c == OPC_ELEM || c == OPC_REDUCE) is_out[r] = g->held[r] = true;
    }
    Readers rd;
    readers_build(g, &rd);
    Ref *claimed = xcalloc(g->n, sizeof *claimed);   /* epilogue node -> its reduction */
    for (uint32_t r = g->n; r-- > 1;) {              /* later reductions first: an epilogue belongs to the last of its reductions */
        if (op_info[N(g, r)->op].cls != OPC_REDUCE) continue;
        Region e = {g, &rd, is_out, claimed, {r}, 1};
        grow(&e);
        Ref last = e.s[e.n - 1];
        g->held[last] = true;
        for (int i = 0; i < e.n; i++) {
            if (e.s[i] != last) g->held[e.s[i]] = false;
            g->into[e.s[i]] = last;
            claimed[e.s[i]] = r;
        }
    }
    Cost *cost = xcalloc(g->n, sizeof *cost);
    for (uint32_t r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        OpClass cls = op_info[n->op].cls;
        Cost *c = &cost[r];
        if (cls == OPC_SOURCE) {
            if (n->op == OP_input || n->op == OP_param) cost_add(c, r);
            c->dear = n->op == OP_draw;
            c->ops = n->op == OP_draw ? 4 : 0;
            continue;
        }
        for (int i = 0; i < n->n_in; i++) {
            const Cost *in = &cost[n->in[i]];
            for (int j = 0; j < in->n; j++) cost_add(c, in->r[j]);
            c->ops += in->ops;
            c->dear |= in->dear;
        }
        if (cls == OPC_VIEW) continue;
        c->ops++;
        c->dear |= expensive(n->op);
        int64_t largest = 0;
        Ref only = 0;
        int uses = count_uses(g, &rd, r, is_out, &largest, &only);
        if (cls == OPC_ELEM && !g->held[r] && !g->into[r] && n->type != T_BOOL && n->n_axes > 0) {
            int64_t e = node_elements(n);
            int big = big_loads(g, c, e);
            g->held[r] = (uses > 1 && (big > 1 || c->ops > 24)) || big >= MAX_LOADS || c->ops > MAX_OPS || c->n > MAX_LOADS
                         || (c->dear && largest >= 4 * e);
        } else if (cls == OPC_ELEM && n->n_axes == 0 && n->type != T_BOOL && c->ops > 8 && c->n > 0) {
            g->held[r] = !g->into[r];
        }
        if (g->held[r] || g->into[r]) *c = (Cost){1, {r}, 0, false};
    }
    free(cost); free(claimed); free(is_out); free(rd.first); free(rd.next); free(rd.who);
}
