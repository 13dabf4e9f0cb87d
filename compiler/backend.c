/* The passes after fusion over all segments of a module: layout, lower, memplan, emit_c; equal segments and equal kernels are done once.
   Assumes simplified graphs without composites; `lower` assumes fused ones. */
#include "compiler/emit_cuda.h"

Backend *layout(Module *m)
{
    Backend *b = xcalloc(1, sizeof *b);
    b->m = m;
    b->params = xcalloc((size_t)m->n_params + 1, sizeof *b->params);
    layout_params(m, b->params);
    return b;
}

void lower(Backend *b)
{
    for (int p = 0; p < b->m->n_programs; p++) {
        Program *pr = &b->m->programs[p];
        if (!strcmp(pr->name, "init")) continue;     /* run by the interpreter */
        for (int s = 0; s < pr->n_seg; s++) {
            Segment *sg = &pr->seg[s];
            uint64_t h = graph_hash(sg->g);
            Lowered *same = NULL;                    /* grad and train_step.micro are one */
            for (int i = 0; i < b->n_low && !same && !segment_is_update(sg); i++) {
                const Lowered *o = b->low[i].l;
                if (b->low[i].hash == h && o->prog->n_in == pr->n_in && o->prog->n_out == pr->n_out) same = b->low[i].l;
            }
            Lowered *l = same ? same : lower_segment(b->m, pr, sg, b->params);
            vec_push(b->low, b->n_low, b->cap_low, ((__typeof__(*b->low)){sg, h, l, !same}));
        }
    }
}

void group(Backend *b, bool join)
{
    for (int i = 0; i < b->n_low; i++) {
        Lowered *l = b->low[i].l;
        for (int j = 0; b->low[i].owned && j < l->n_kernel; j++) {
            l->kernel[j]->hash = kernel_hash(l, l->kernel[j]);
            l->kernel[j]->launch_bytes = l->kernel[j]->bytes;
        }
        if (b->low[i].owned && join) group_segment(l);
    }
}

void memplan(Backend *b)
{
    for (int i = 0; i < b->n_low; i++)
        if (b->low[i].owned) memplan_segment(b->low[i].l);
}

static void add_inst(KernelText *t, Sym path)
{
    if (!path || !*path) return;
    for (int i = 0; i < t->n_inst; i++) if (t->inst[i] == path) return;
    vec_push(t->inst, t->n_inst, t->cap_inst, path);
}

static void add_src(KernelText *t, const Origin *at)
{
    if (!at->file || !at->line || t->n_src >= 12) return;
    char *s = xasprintf("%s:%d", at->file, at->line);
    for (int i = 0; i < t->n_src; i++) if (!strcmp(t->src[i], s)) { free(s); return; }
    vec_push(t->src, t->n_src, t->cap_src, s);
}

static void add_origins(KernelText *t, const Lowered *l, const Kernel *k)
{
    for (int j = 0; j < k->n_nodes; j++) {
        const Origin *at = &N(l->g, k->nodes[j])->at;
        add_inst(t, at->path);
        add_src(t, at);
    }
    for (int j = 1; j < k->n_expr; j++) add_src(t, &k->expr[j].at);
    marks_add(t, l, k);
}

/* The distinct kernel that does what k does; printed when new. Different structures may still print the same text. */
static int text_of(Backend *b, Lowered *l, Kernel *k)
{
    int i = 0;
    while (i < b->n_text && b->text[i].k->hash != k->hash) i++;
    if (i == b->n_text) {
        emit_kernel(l, k);
        for (i = 0; i < b->n_text && strcmp(b->text[i].k->name, k->name); i++) {}
    }
    if (i == b->n_text) {
        KernelText t = {.k = k, .l = l};
        vec_push(b->text, b->n_text, b->cap_text, t);
    }
    add_origins(&b->text[i], l, k);
    return i;
}

void emit_c(Backend *b)
{
    uint64_t *many = NULL;                           /* texts that loop over instances, because one launch of them has several */
    int n = 0, cap = 0;
    for (int i = 0; i < b->n_low; i++)
        for (int j = 0; b->low[i].owned && j < b->low[i].l->n_kernel; j++)
            if (b->low[i].l->kernel[j]->n_member) vec_push(many, n, cap, b->low[i].l->kernel[j]->hash);
    for (int i = 0; i < b->n_low; i++)
        for (int j = 0; b->low[i].owned && j < b->low[i].l->n_kernel; j++) {
            Kernel *k = b->low[i].l->kernel[j];
            for (int q = 0; q < n; q++) k->instances |= many[q] == k->hash;
            k->text = text_of(b, b->low[i].l, k);
            for (int q = 0; q < k->n_member; q++) add_origins(&b->text[k->text], b->low[i].l, k->member[q]);
        }
    free(many);
}

/* "k3 contract = {%17 %21} reads v4 w.x writes v9": the kernels of a segment in execution order. */
static void dump_kernels(StrBuf *out, const Lowered *l)
{
    static const char *const cls[] = {"map", "reduce", "pass", "table", "contract"};
    for (int i = 0; i < l->n_kernel; i++) {
        const Kernel *k = l->kernel[i];
        sb_printf(out, "k%d %s = {", i, cls[k->cls]);
        for (int j = 0; j < k->n_nodes; j++) sb_printf(out, "%s%%%u", j ? " " : "", k->nodes[j]);
        for (int pass = 0; pass < 2; pass++) {
            sb_puts(out, pass ? " writes" : "} reads");
            for (int j = 0; j < k->n_buf; j++) {
                bool stored = false;
                for (int s = 0; s < k->n_store; s++) stored |= k->store[s].slot == j;
                if (stored == (pass == 1)) sb_printf(out, " %s", l->buf[k->buf[j]].name);
            }
        }
        for (int j = 0; j < i && k->twin && !k->n_member; j++) if (l->kernel[j] == k->twin) sb_printf(out, " twin of k%d", j);
        if (k->n_member) sb_printf(out, " x%d", k->n_member + 1);
        sb_printf(out, "%s%s\n", k->reason ? "  # " : "", k->reason ? k->reason : "");
    }
}

void backend_dump(StrBuf *out, const Backend *b, char letter)
{
    if (letter == 'H')
        for (int i = 0; i < b->n_text; i++) sb_printf(out, "%s\n", b->text[i].k->body);
    if (letter == 'U')
        for (int i = 0; i < b->n_text && b->text[i].cuda; i++) if (b->text[i].cuda->body) sb_printf(out, "%s\n", b->text[i].cuda->body);
    for (int i = 0; i < b->n_low && letter != 'H' && letter != 'U'; i++) {
        const Lowered *l = b->low[i].l;
        sb_printf(out, "# %s after %s%s\n", b->low[i].seg->name, letter == 'O' ? "lower" : letter == 'T' ? "pair" : letter == 'G' ? "group" : "memplan", b->low[i].owned ? "" : ": equal to a segment above");
        if (!b->low[i].owned) continue;
        if (letter != 'M') dump_kernels(out, l);
        else
            for (int j = 0; j < l->n_buf; j++)
                if (l->buf[j].kind == BUF_ARENA)
                    sb_printf(out, "%s offset %lld elements %lld steps %d..%d\n", l->buf[j].name, (long long)l->buf[j].offset,
                              (long long)l->buf[j].elements, l->buf[j].first, l->buf[j].last);
    }
}

void backend_free(Backend *b)
{
    if (!b) return;
    for (int i = 0; i < b->n_low; i++) if (b->low[i].owned) lowered_free(b->low[i].l);
    for (int i = 0; i < b->n_text; i++) {
        for (int j = 0; j < b->text[i].n_src; j++) free(b->text[i].src[j]);
        free(b->text[i].mark);
        cuda_text_free(b->text[i].cuda);
        free(b->text[i].inst);
        free(b->text[i].src);
    }
    free(b->low); free(b->text); free(b->params); free(b);
}
