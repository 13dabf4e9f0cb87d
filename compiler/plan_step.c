/* The steps of a segment in plan.json: kernel, buffers, draws, and which nodes and lines of the text each of them computes.
   Assumes `home` of the Lowered still says where every node lies; a node without a home is computed where it is read. */
#include "compiler/plan_write.h"

typedef struct { const Lowered *l; bool *seen; int n, cap; Ref *node; } Computed;

/* The node, if the kernel computes it, and all it is computed from on the way. root: computed here although it has a home.
   Constants stand for no line: equal ones are one node, wherever they are written. */
static void visit(Computed *c, Ref r, bool root)
{
    const Node *n = N(c->l->g, r);
    if (c->seen[r] || (!root && c->l->home[r] >= 0) || n->op == OP_const || n->op == OP_input || n->op == OP_param) return;
    c->seen[r] = true;
    vec_push(c->node, c->n, c->cap, r);
    for (int i = 0; i < n->n_in; i++) visit(c, n->in[i], false);
}

static int by_ref(const void *a, const void *b)
{
    Ref x = *(const Ref *)a, y = *(const Ref *)b;
    return x < y ? -1 : x > y;
}

/* Ascending, which is the order of computation. Roots are the nodes that the kernel names and those that live in what it stores;
   an output that has no home of its own (a copy, the flat arrays of the update) is found by its name. */
static void visit_kernel(Computed *c, const Kernel *k)
{
    const Lowered *l = c->l;
    for (int i = 0; i < k->n_nodes; i++) visit(c, k->nodes[i], true);
    for (int i = 0; i < k->n_store; i++) {
        int buf = k->buf[k->store[i].slot];
        const Buffer *b = &l->buf[buf];
        for (Ref r = 1; r < l->g->n; r++) if (l->home[r] == buf) visit(c, r, true);
        for (int o = 0; o < l->g->n_out && b->kind != BUF_ARENA; o++)
            if (b->name == l->g->out[o].name && l->home[l->g->out[o].ref] < 0) visit(c, l->g->out[o].ref, true);
    }
}

static Computed computed(const Lowered *l, const Kernel *k)
{
    Computed c = { .l = l, .seen = xcalloc(l->g->n, 1) };
    for (int m = -1; m < k->n_member; m++) visit_kernel(&c, m < 0 ? k : k->member[m]);
    if (c.n) qsort(c.node, (size_t)c.n, sizeof *c.node, by_ref);
    free(c.seen);
    return c;
}

static void json_source(StrBuf *j, const Computed *c)
{
    typedef struct { Sym file; int line; } Line;
    int n = 0, cap = 0;
    Line *v = NULL;
    for (int i = 0; i < c->n; i++) {
        const Origin *at = &N(c->l->g, c->node[i])->at;
        int q = 0;
        while (q < n && (v[q].file != at->file || v[q].line != at->line)) q++;
        if (q < n || !at->file || at->line < 1) continue;
        vec_push(v, n, cap, ((Line){ at->file, at->line }));
        char *text = xasprintf("%s:%d", at->file, at->line);
        if (n > 1) sb_puts(j, ", ");
        sb_json_string(j, text);
        free(text);
    }
    free(v);
}

void json_step(StrBuf *j, const Lowered *l, const Kernel *k)
{
    sb_printf(j, "{\"kernel\": %d, \"buffers\": [", k->text);
    for (int m = -1, n = 0; m < k->n_member; m++) {
        const Kernel *one = m < 0 ? k : k->member[m];
        for (int b = 0; b < one->n_buf; b++) sb_printf(j, "%s%d", n++ ? ", " : "", one->buf[b]);
    }
    if (k->n_member) sb_printf(j, "], \"instances\": %d, \"bytes\": %lld, \"draws\": [", k->n_member + 1, (long long)k->launch_bytes);
    else sb_puts(j, "], \"draws\": [");
    for (int d = 0; d < k->n_draw; d++) sb_printf(j, "%s%d", d ? ", " : "", k->draw[d]);
    const Origin *at = &N(l->g, k->root)->at;
    char *where = at->file ? xasprintf("%s:%d", at->file, at->line) : xstrdup("");
    sb_puts(j, "], \"at\": ");
    sb_json_string(j, where);
    free(where);
    sb_puts(j, ", \"path\": ");
    sb_json_string(j, at->path ? at->path : "");
    Computed c = computed(l, k);
    sb_puts(j, ", \"nodes\": [");
    for (int i = 0; i < c.n; i++) sb_printf(j, "%s%u", i ? ", " : "", c.node[i]);
    sb_puts(j, "], \"source\": [");
    json_source(j, &c);
    sb_puts(j, "]}");
    free(c.node);
}
