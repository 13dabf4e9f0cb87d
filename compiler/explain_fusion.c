/* `ectc explain MODEL --fusion NAME`: which kernels compute what an instance or a line says, what joined its operations, and what each tensor
   between kernels costs and is there for. Assumes printed kernels in their final order, and graphs with the notes that fuse() made. */
#include "compiler/explain_fusion.h"
#include "compiler/fuse.h"
#include <ctype.h>

typedef struct {
    const Backend *b; const Lowered *l; const Graph *g; FILE *out;
    const char *name; const char *file; int file_len, line;      /* line > 0: name is file:line */
    int *kernel;                                     /* member -> its kernel's place in the order, or -1 */
    int64_t written, read; int tensors;              /* in all, of those printed */
    bool *listed;                                    /* per kernel of the segment */
    uint32_t *seen, now;
    Ref *node; int n, cap;                           /* what the kernel at hand computes, ascending */
} Explain;

/* ---- names ---- */
/* Does text hold name as a row of whole parts between dots? */
static bool has_parts(const char *text, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(text, name); at; at = strstr(at + 1, name))
        if ((at == text || at[-1] == '.') && (!at[n] || at[n] == '.')) return true;
    return false;
}

/* Is one of two file names the end of the other, at a slash? */
static bool same_file(const char *a, const char *b, int n_b)
{
    int n_a = (int)strlen(a), n = MIN(n_a, n_b);
    if (strncmp(a + n_a - n, b + n_b - n, (size_t)n)) return false;
    return n_a == n_b || (n_a > n_b ? a[n_a - n - 1] == '/' : b[n_b - n - 1] == '/');
}

static bool of_name(const Explain *e, Ref r)
{
    const Node *n = N(e->g, r);
    if (n->op == OP_const || n->op == OP_input || n->op == OP_param) return false;
    if (e->line) return n->at.file && n->at.line == e->line && same_file(n->at.file, e->file, e->file_len);
    return n->at.path && has_parts(n->at.path, e->name);
}

static void split_name(Explain *e, const char *name)
{
    const char *colon = strrchr(name, ':');
    e->name = name;
    if (!colon || !colon[1]) return;
    for (const char *p = colon + 1; *p; p++) if (!isdigit((unsigned char)*p)) return;
    e->file = name;
    e->file_len = (int)(colon - name);
    e->line = atoi(colon + 1);
}

/* ---- what a kernel computes ---- */
static void visit(Explain *e, Ref r, bool top)
{
    if (e->seen[r] == e->now || (!top && e->g->into[r])) return;
    e->seen[r] = e->now;
    vec_push(e->node, e->n, e->cap, r);
    for (int i = 0; i < N(e->g, r)->n_in; i++) visit(e, N(e->g, r)->in[i], false);
}

static int by_ref(const void *a, const void *b) { return *(const Ref *)a < *(const Ref *)b ? -1 : *(const Ref *)a > *(const Ref *)b; }

/* Fills node[] with the members of kernel k and all that is computed on the way to them. */
static void computed(Explain *e, const Kernel *k)
{
    e->now++;
    e->n = 0;
    for (int i = 0; i < k->n_nodes; i++) visit(e, k->nodes[i], true);
    if (e->n) qsort(e->node, (size_t)e->n, sizeof *e->node, by_ref);
}

static bool is_member(const Kernel *k, Ref r)
{
    for (int i = 0; i < k->n_nodes; i++) if (k->nodes[i] == r) return true;
    return false;
}

/* Is r made of a reduction of kernel k, inside of it? */
static bool after_reduction(const Explain *e, const Kernel *k, Ref r)
{
    const Node *n = N(e->g, r);
    for (int i = 0; i < n->n_in; i++) {
        Ref x = n->in[i];
        if (is_member(k, x) && op_info[N(e->g, x)->op].cls == OPC_REDUCE) return true;
        if ((is_member(k, x) || !e->g->into[x]) && after_reduction(e, k, x)) return true;
    }
    return false;
}

/* ---- printing ---- */
static const char *bytes_text(char *b, size_t n, int64_t bytes)
{
    if (bytes >= 100000) snprintf(b, n, "%.2f MB", (double)bytes / 1e6);
    else snprintf(b, n, "%lld B", (long long)bytes);
    return b;
}

static void print_node(const Explain *e, Ref r)
{
    const Node *n = N(e->g, r);
    fprintf(e->out, "%s [", op_info[n->op].name);
    for (int i = 0; i < n->n_axes; i++) fprintf(e->out, "%s%s:%lld", i ? " " : "", n->axes[i].role, (long long)n->axes[i].size);
    fputs("]", e->out);
    if (n->at.file) fprintf(e->out, "  %s:%d", n->at.file, n->at.line);
}

static Ref node_in(const Explain *e, int buf)
{
    for (Ref r = 1; r < e->g->n; r++) if (e->l->home[r] == buf) return r;
    return 0;
}

static int64_t buffer_bytes(const Buffer *b) { return number_info[b->type].bytes * b->elements; }

static bool is_written(const Kernel *k, int slot)
{
    for (int s = 0; s < k->n_store; s++) if (k->store[s].slot == slot) return true;
    return false;
}

static void print_buffers(const Explain *e, const Kernel *k, bool written)
{
    char text[32];
    bool first = true;
    for (int i = 0; i < k->n_buf; i++) {
        const Buffer *b = &e->l->buf[k->buf[i]];
        if (is_written(k, i) != written) continue;
        fprintf(e->out, "  %-10s%-9s  ", !first ? "" : written ? "writes" : "reads", bytes_text(text, sizeof text, buffer_bytes(b)));
        first = false;
        Ref r = node_in(e, k->buf[i]);
        if (weight_buffer(b)) fprintf(e->out, "parameter %s", b->name);
        else if (!r) fprintf(e->out, "%s%s", b->name, !strncmp(b->name, "all.", 4) ? ", that of every row" : "");
        else {
            fprintf(e->out, "%s ", b->name);
            print_node(e, r);
            if (!written && e->kernel[r] >= 0) fprintf(e->out, ", from kernel %d", e->kernel[r]);
        }
        if (b->type != NUM_F32) fprintf(e->out, ", %s", number_info[b->type].name);
        fputc('\n', e->out);
    }
}

/* Operations of the name that have no place in memory and are no reductions: "sigmoid, mul (std/nn.dsl:27)". */
static void print_on_the_way(const Explain *e, const Kernel *k, bool after)
{
    const Origin *at = NULL;
    bool any = false;
    for (int i = 0; i < e->n; i++) {
        const Node *n = N(e->g, e->node[i]);
        OpClass cls = op_info[n->op].cls;
        if (is_member(k, e->node[i]) || !of_name(e, e->node[i]) || (cls != OPC_ELEM && n->op != OP_draw)) continue;
        if (after_reduction(e, k, e->node[i]) != after) continue;
        bool same = at && at->file == n->at.file && at->line == n->at.line;
        if (at && !same && at->file) fprintf(e->out, " (%s:%d)", at->file, at->line);
        if (!any) fprintf(e->out, "  of it     %s: ", !after ? (k->cls == KERNEL_CONTRACT ? "prologue, where operands are read" : "on the way")
                                                            : "epilogue, on what is summed");
        fprintf(e->out, "%s%s", any ? ", " : "", op_info[n->op].name);
        at = &n->at;
        any = true;
    }
    if (at && at->file) fprintf(e->out, " (%s:%d)", at->file, at->line);
    if (any) fputc('\n', e->out);
}

static void print_kernel(const Explain *e, const Kernel *k, const Kernel *launch, int at)
{
    static const char *const cls[] = {"map", "reduce", "pass", "table", "contract"};
    fprintf(e->out, "\nkernel %d of %d  %s, %s", at, e->l->n_kernel, e->b->text[launch->text].k->name, cls[k->cls]);
    if (launch->n_member) fprintf(e->out, ", one of %d instances of the launch", launch->n_member + 1);
    fputc('\n', e->out);
    if (k->twin) {
        char text[32];
        int64_t both = 0;
        for (int i = 0; i < k->n_buf; i++) both += k->buf[i] == k->twin->buf[i] ? k->slot_bytes[i] : 0;
        fprintf(e->out, "  %-10sthe same layers for other data, in the same launch: %s are read once\n", "twin", bytes_text(text, sizeof text, both));
    }
    for (int i = 0; i < k->n_nodes; i++) {
        Ref r = k->nodes[i];
        if (i && r == k->nodes[i - 1]) continue;
        fprintf(e->out, "  %-10s", i ? "" : "computes");
        print_node(e, r);
        if (!of_name(e, r) && !e->line && N(e->g, r)->at.path) fprintf(e->out, " of %s", N(e->g, r)->at.path);
        if (e->g->notes.rule[r]) fprintf(e->out, "\n            - %s", e->g->notes.rule[r]);
        fputc('\n', e->out);
    }
    print_on_the_way(e, k, false);
    print_on_the_way(e, k, true);
    print_buffers(e, k, false);
    print_buffers(e, k, true);
    if (k->reason) fprintf(e->out, "  %-10s%s\n", "how", k->reason);
}

/* The last reason noted for two kernels, given by a node of each that lies in their members. */
static const char *why_apart(const Explain *e, int a, int b)
{
    const FusionNotes *f = &e->g->notes;
    for (int i = f->n; i-- > 0;) {
        int x = e->kernel[f->apart[i].reader], y = e->kernel[f->apart[i].maker];
        if ((x == a && y == b) || (x == b && y == a)) return f->apart[i].why;
    }
    return NULL;
}

static bool reads(const Kernel *k, int buf)
{
    for (int i = 0; i < k->n_buf; i++) if (k->buf[i] == buf && !is_written(k, i)) return true;
    return false;
}

static const Kernel *instance(const Kernel *launch, int m) { return m < 0 ? launch : launch->member[m]; }

static void print_held(Explain *e, Ref r)
{
    const Lowered *l = e->l;
    const Buffer *b = &l->buf[l->home[r]];
    char w[32], s[32];
    int maker = e->kernel[r], n = 0;
    bool listed = e->listed[maker];
    for (int i = 0; i < l->n_kernel; i++)
        for (int m = -1; m < l->kernel[i]->n_member; m++) {
            if (!reads(instance(l->kernel[i], m), l->home[r])) continue;
            n++;
            listed |= e->listed[i] && of_name(e, r);
        }
    if (!listed) return;
    e->tensors++;
    e->written += buffer_bytes(b);
    e->read += n * buffer_bytes(b);
    fprintf(e->out, "\n  %s ", b->name);
    print_node(e, r);
    fprintf(e->out, "\n    %s written by kernel %d, %s read by %d", bytes_text(w, sizeof w, buffer_bytes(b)), maker,
            bytes_text(s, sizeof s, n * buffer_bytes(b)), n);
    const char *why = e->g->notes.held[r];
    Ref stop = e->g->notes.stop[r];
    if (stop && e->kernel[stop] == maker) why = "kernels beside its own read it";          /* that reader was joined later */
    fprintf(e->out, "\n    held: %s\n", why ? why : "what is summed is complete at the end of its kernel only");
    for (int i = 0; i < l->n_kernel; i++)
        for (int m = -1; m < l->kernel[i]->n_member; m++) {
            const Kernel *k = instance(l->kernel[i], m);
            if (!reads(k, l->home[r])) continue;
            why = why_apart(e, maker, i);
            fprintf(e->out, "    read by kernel %d, %s: %s\n", i, node_name(e->g, k->root),
                    why ? why : k->cls == KERNEL_CONTRACT ? "an operand of a product, which needs all of it"
                    : l->kernel[maker]->cls == KERNEL_CONTRACT && k->cls == KERNEL_REDUCE ? "small sums are kernels of their own"
                    : "not tried: others share more with it");
        }
}

/* ---- unknown names ---- */
static void unknown(const Lowered *l, const char *name, const char *program)
{
    Explain at_hand = {.g = l->g}, *e = &at_hand;
    split_name(e, name);
    StrBuf b = {0};
    if (e->line) {
        int near = 0, last = 0;
        for (Ref r = 1; r < e->g->n; r++) {
            const Origin *at = &N(e->g, r)->at;
            if (!at->file || !at->line || !same_file(at->file, e->file, e->file_len) || op_info[N(e->g, r)->op].cls == OPC_SOURCE) continue;
            if (!near || llabs((long long)at->line - e->line) < llabs((long long)near - e->line)) near = at->line;
            last = MAX(last, at->line);
        }
        if (near) sb_printf(&b, "the nearest line of %.*s that does is %d", e->file_len, e->file, near);
        else sb_printf(&b, "no line of %.*s is computed there", e->file_len, e->file);
    } else {
        const char **names = NULL;
        int n = 0, cap = 0;
        for (Ref r = 1; r < e->g->n; r++)
            for (const char *p = N(e->g, r)->at.path; p && *p; p = strchr(p, '.') ? strchr(p, '.') + 1 : NULL) {
                vec_push(names, n, cap, p);
                const char *dot = strrchr(p, '.');
                if (dot) vec_push(names, n, cap, symn(p, (size_t)(dot - p)));
            }
        const char *near = suggest(e->name, names, n);
        if (near) sb_printf(&b, "did you mean %s?", near);
        else sb_puts(&b, "give an instance, as in enc.32x32_block0.conv0, or FILE.dsl:LINE");
        free(names);
    }
    user_error("--fusion %s: nothing of that name is computed in program %s\n  help: %s", e->name, program, b.s);
}

static bool explain_segment(const Backend *b, const Lowered *l, const char *segment, const char *name, FILE *out)
{
    Explain e = {.b = b, .l = l, .g = l->g, .out = out, .kernel = xmalloc(sizeof *e.kernel * l->g->n), .seen = xcalloc(l->g->n, sizeof *e.seen),
                 .listed = xcalloc((size_t)l->n_kernel + 1, 1)};
    split_name(&e, name);
    for (Ref r = 0; r < l->g->n; r++) e.kernel[r] = -1;
    for (int i = 0; i < l->n_kernel; i++)
        for (int m = -1; m < l->kernel[i]->n_member; m++)
            for (int j = 0; j < instance(l->kernel[i], m)->n_nodes; j++) e.kernel[instance(l->kernel[i], m)->nodes[j]] = i;
    bool any = false;
    for (int i = 0; i < l->n_kernel && l->g->notes.rule; i++)
        for (int m = -1; m < l->kernel[i]->n_member; m++) {
            const Kernel *k = instance(l->kernel[i], m);
            bool here = false;
            computed(&e, k);
            for (int j = 0; j < e.n; j++) here |= of_name(&e, e.node[j]) && op_info[N(e.g, e.node[j])->op].cls != OPC_VIEW;
            if (!here) continue;
            if (!any) fprintf(out, "%s: what computes %s\n", segment, name);
            any = e.listed[i] = true;
            print_kernel(&e, k, l->kernel[i], i);
        }
    if (any) {
        fputs("\ntensors in memory\n", out);
        for (Ref r = 1; r < l->g->n; r++) if (l->home[r] >= 0 && e.kernel[r] >= 0) print_held(&e, r);
        char w[32], s[32];
        fprintf(out, "\n  in all %d: %s written, %s read\n", e.tensors, bytes_text(w, sizeof w, e.written), bytes_text(s, sizeof s, e.read));
    }
    free(e.kernel); free(e.seen); free(e.listed); free(e.node);
    return any;
}

void explain_fusion(const Backend *b, const char *program, const char *name, FILE *out)
{
    const Program *p = NULL;
    const char **names = arena_make(b->m->arena, const char *, b->m->n_programs);
    int n = 0;
    for (int i = 0; i < b->m->n_programs; i++) {
        const Program *q = &b->m->programs[i];
        if (!strcmp(q->name, "init")) continue;
        names[n++] = q->name;
        if (program ? !strcmp(q->name, program) : !p || !strcmp(q->name, "train_step")) p = q;
    }
    if (!p && program) {
        const char *near = suggest(program, names, n);
        user_error("--program %s: the model has no such program%s%s%s", program, near ? "\n  help: did you mean " : "", near ? near : "", near ? "?" : "");
    }
    if (!p) user_error("the model has no program that runs as kernels");
    bool any = false;
    const Lowered *most = NULL;
    for (int s = 0; s < p->n_seg; s++)
        for (int i = 0; i < b->n_low; i++) {
            const Lowered *l = b->low[i].l;
            if (b->low[i].seg != &p->seg[s]) continue;
            any |= explain_segment(b, l, p->seg[s].name, name, out);
            if (!most || l->g->n > most->g->n) most = l;
        }
    if (!any) unknown(most, name, p->name);
}
