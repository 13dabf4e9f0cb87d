/* Unfused: what `--fusion none` does in place of fuse: every operation is a kernel of its own and leaves its result in memory.
   Views stay index maps of what reads through them; constants, iotas, scalars and draws are made where they are read. */
#include "compiler/graph.h"

void hold_everything(Graph *g)
{
    g->held = xcalloc(g->n, sizeof *g->held);
    g->into = xcalloc(g->n, sizeof *g->into);
    for (Ref r = 1; r < g->n; r++) {
        const Node *n = N(g, r);
        OpClass cls = op_info[n->op].cls;
        if (n->op == OP_stop || n->op == OP_f32) continue;                   /* the same values: a copy would be no operation */
        g->held[r] = cls == OPC_ELEM || cls == OPC_REDUCE || cls == OPC_TABLE;
        if (g->held[r]) g->into[r] = r;
    }
}
