/* Marks in kernel texts: where a stage, an operand or an epilogue is printed, {{a0}}, {{b0}} or {{e}} stands for the lines of the model it comes from.
   The lines are put in when the file is written, so that equal kernels of different layers stay one text. */
#include "compiler/kernel.h"
#include <stdlib.h>

enum { MAX_LINES = 8 };

static void add_line(KernelText *t, int part, const Origin *at)
{
    if (!at->file || !at->line) return;
    int n = 0;
    for (int i = 0; i < t->n_mark; i++) {
        if (t->mark[i].part != part) continue;
        if (t->mark[i].file == at->file && t->mark[i].line == at->line) return;
        n++;
    }
    if (n < MAX_LINES) vec_push(t->mark, t->n_mark, t->cap_mark, ((Mark){part, at->file, at->line}));
}

/* Lines of the operations below v; loads come from elsewhere. */
static void add_lines(KernelText *t, const Kernel *k, int part, KRef v, bool *seen)
{
    const KExpr *x = &k->expr[v];
    if (!v || seen[v]) return;
    seen[v] = true;
    for (int i = 0; i < x->n_in; i++) add_lines(t, k, part, x->in[i], seen);
    if (x->kind == K_OP || x->kind == K_DRAW) add_line(t, part, &x->at);
}

static int part_of(char side, int segment) { return side == 'e' ? 0 : 1 + 2 * segment + (side == 'b'); }

void marks_add(KernelText *t, const Lowered *l, const Kernel *k)
{
    bool *seen = xcalloc((size_t)k->n_expr + 1, 1);
    for (int s = 0; s < k->n_seg; s++) {
        const Operand *o[2] = {&k->seg[s].a, &k->seg[s].b};
        for (int i = 0; i < 2; i++) {
            int part = part_of(i ? 'b' : 'a', s);
            memset(seen, 0, (size_t)k->n_expr);
            add_lines(t, k, part, o[i]->value, seen);
        }
    }
    memset(seen, 0, (size_t)k->n_expr);
    for (int i = 0; i < k->n_inner; i++) add_lines(t, k, 0, k->inner[i].value, seen);
    for (int i = 0; i < k->n_store; i++) add_lines(t, k, 0, k->store[i].value, seen);
    for (int i = 0; i < k->n_nodes; i++) {           /* sums have no operation of their own in the epilogue */
        const Node *n = N(l->g, k->nodes[i]);
        if (op_info[n->op].cls == OPC_REDUCE && (k->cls != KERNEL_CONTRACT || n->op != OP_contract)) add_line(t, 0, &n->at);
    }
    free(seen);
}

void marks_take(KernelText *t, const KernelText *from)
{
    for (int i = 0; i < from->n_mark; i++) {
        Origin at = {.file = from->mark[i].file, .line = from->mark[i].line};
        add_line(t, from->mark[i].part, &at);
    }
}

void marks_print(StrBuf *b, const KernelText *t, const char *body)
{
    for (const char *p = body; *p;) {
        const char *mark = strstr(p, "{{");
        const char *end = mark ? strstr(mark, "}}") : NULL;
        if (!end) { sb_puts(b, p); return; }
        sb_write(b, p, (size_t)(mark - p));
        int part = part_of(mark[2], atoi(mark + 3)), n = 0;
        for (int i = 0; i < t->n_mark; i++)
            if (t->mark[i].part == part) sb_printf(b, "%s%s:%d", n++ ? ", " : " (", t->mark[i].file, t->mark[i].line);
        if (n) sb_putc(b, ')');
        p = end + 2;
    }
}
