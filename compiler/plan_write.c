/* Writes the plan: lowers each program's segments, gathers equal kernels, and puts plan.json, graphs, kernels and sources into one directory.
   The directory is built under a temporary name and renamed. */
#include "compiler/plan_write.h"
#include "compiler/emit_cuda.h"
#include "compiler/product.h"
#include "dsl/embedded.h"
#include "runtime/predict.h"
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct { const Backend *b; Module *m; const PlanOptions *o; char *dir; StrBuf j; } Writer;

/* Not synced: the folder has a temporary name until it is whole, and hundreds of syncs take seconds. */
static void put(Writer *w, const char *path, const char *text, size_t n)
{
    char *full = xasprintf("%s/%s", w->dir, path);
    FILE *f = fopen(full, "wx");
    bool good = f && fwrite(text, 1, n, f) == n;
    int e = errno;
    if (f && fclose(f) && good) good = false, e = errno;
    if (!good) {
        remove_tree(w->dir);
        machine_error("cannot write %s: %s\n  help: free some space or choose another folder with -o", full, strerror(e));
    }
    free(full);
}

static void json_axes(StrBuf *j, int n, const Axis *v)
{
    sb_puts(j, "\"roles\": [");
    for (int i = 0; i < n; i++) sb_printf(j, "%s\"%s\"", i ? ", " : "", v[i].role);
    sb_puts(j, "], \"shape\": [");
    for (int i = 0; i < n; i++) sb_printf(j, "%s%lld", i ? ", " : "", (long long)v[i].size);
    sb_puts(j, "]");
}

static void json_field(StrBuf *j, const char *key, const char *value)
{
    sb_printf(j, "\"%s\": ", key);
    if (value) sb_json_string(j, value);
    else sb_puts(j, "null");
}

static const char *class_name(const Kernel *k)
{
    if (k->cls == KERNEL_TABLE) return "reduce";
    if (k->cls == KERNEL_PASS) return k->n_inner ? "reduce" : "map";
    return k->cls == KERNEL_MAP ? "map" : k->cls == KERNEL_REDUCE ? "reduce" : "contract";
}

static const char *const buf_kind[] = {"input", "output", "carry", "param", "grad", "flat", "state", "arena"};

static void json_segment(Writer *w, Lowered *l, const Segment *s, const char *phase)
{
    StrBuf *j = &w->j;
    sb_printf(j, "\n      {\"name\": \"%s\", \"graph\": \"graph/%s.txt\", \"fused\": \"graph/%s.fused.txt\", ", s->name, s->name, s->name);
    json_field(j, "phase", phase);
    sb_puts(j, ", ");
    json_field(j, "each", s->each);
    sb_puts(j, ", ");
    json_field(j, "time", s->time);
    sb_puts(j, ",\n       \"buffers\": [");
    for (int i = 0; i < l->n_buf; i++) {
        const Buffer *b = &l->buf[i];
        sb_printf(j, "%s\n        {", i ? "," : "");
        json_field(j, "name", b->name ? b->name : "");
        sb_printf(j, ", \"kind\": \"%s\", \"elements\": %lld", buf_kind[b->kind], (long long)b->elements);
        if (weight_buffer(b)) { sb_puts(j, ", "); json_field(j, "set", b->set); }
        if (b->kind == BUF_PARAM || b->kind == BUF_GRAD || b->kind == BUF_ARENA) sb_printf(j, ", \"offset\": %lld", (long long)b->offset);
        if (b->type != NUM_F32) sb_printf(j, ", \"type\": \"%s\"", number_info[b->type].name);
        if (b->kind == BUF_ARENA) sb_printf(j, ", \"first\": %d, \"last\": %d", b->first, b->last);
        if (b->whole) sb_printf(j, ", \"within\": %d", b->whole - 1);
        if (b->kind == BUF_INPUT || b->kind == BUF_OUTPUT || b->kind == BUF_CARRY) { sb_puts(j, ", "); json_axes(j, b->decl.n_axes, b->decl.axes); }
        sb_puts(j, "}");
    }
    sb_puts(j, "],\n       \"draws\": [");
    for (int i = 0; i < l->n_draw; i++) {
        const DrawSite *d = &l->draw[i];
        sb_printf(j, "%s\n        {\"name\": \"%s\", \"kind\": \"%s\", \"p\": %.17g, \"p_scalar\": ", i ? "," : "", d->path,
                  d->kind == DRAW_UNIFORM ? "uniform" : d->kind == DRAW_NORMAL ? "normal" : "bernoulli", d->p);
        if (d->p_scalar >= 0) sb_printf(j, "%d, ", d->p_scalar);
        else sb_puts(j, "null, ");
        json_axes(j, d->n_axes, d->axes);
        sb_puts(j, "}");
    }
    sb_puts(j, "],\n       \"steps\": [");
    for (int i = 0; i < l->n_kernel; i++) {
        sb_printf(j, "%s\n        ", i ? "," : "");
        json_step(j, l, l->kernel[i]);
    }
    sb_printf(j, "],\n       \"peak_bytes\": %lld, \"flops\": %lld, \"bytes\": %lld}", (long long)(4 * l->arena_elements), (long long)l->flops, (long long)l->bytes);
}

static Lowered *lowered(const Backend *b, const Segment *s)
{
    for (int i = 0; i < b->n_low; i++) if (b->low[i].seg == s) return b->low[i].l;
    die("segment %s was not lowered", s->name);
}

/* Images of one update: the size of n in train_step's inputs; without training, in any program's; else 1. */
static int64_t batch_of(const Module *m)
{
    int64_t batch = 1;
    for (int p = 0; p < m->n_programs; p++)
        for (int i = 0; i < m->programs[p].n_in; i++)
            for (int k = 0; k < m->programs[p].in[i].n_axes; k++) {
                const Axis *x = &m->programs[p].in[i].axes[k];
                if (x->role != sym("n") || x->size <= 0) continue;
                batch = x->size;
                if (!strcmp(m->programs[p].name, "train_step")) return batch;
            }
    return batch;
}
static void json_head(Writer *w)
{
    Module *m = w->m;
    StrBuf *j = &w->j;
    int64_t batch = batch_of(m), at = 0;
    sb_printf(j, "{\"format\": \"ect-plan\", \"version\": 2, \"ectc\": \"%s\", ", ECT_VERSION);
    json_field(j, "model", m->model_file);
    sb_printf(j, ", \"precision\": \"%s\", %s\"batch\": %lld,\n \"config\": [", number_info[m->precision].name,
              m->loss_scale ? "\"loss_scale\": true, " : "", (long long)batch);
    for (int i = 0; i < m->n_config; i++) {
        sb_printf(j, "%s[\"%s\", ", i ? ", " : "", m->config[i].name);
        sb_json_string(j, m->config[i].value);
        sb_puts(j, "]");
    }
    sb_puts(j, "],\n \"parameters\": [");
    for (int i = 0; i < m->n_params; i++) {
        const Param *p = &m->params[i];
        sb_printf(j, "%s\n  {", i ? "," : "");
        json_field(j, "name", p->name);
        sb_puts(j, ", ");
        json_field(j, "was", p->was);
        sb_puts(j, ", ");
        json_axes(j, p->n_axes, p->axes);
        sb_puts(j, ", \"order\": [");
        for (int a = 0; a < p->n_axes; a++)
            for (int b = 0; b < p->n_axes; b++)
                if (p->axes[b].role == w->b->params[i].axis[a].role) sb_printf(j, "%s%d", a ? ", " : "", b);
        sb_printf(j, "], \"offset\": %lld}", (long long)at);
        at += param_padded(p);
    }
    sb_printf(j, "],\n \"param_elements\": %lld,\n \"sets\": [\"\"", (long long)at);
    for (int i = 0; i < m->n_states; i++) if (m->states[i].is_ema) sb_printf(j, ", \"%s\"", m->states[i].name);
    sb_puts(j, "],\n \"states\": [");
    for (int i = 0; i < m->n_states; i++) {
        const StateVar *s = &m->states[i];
        sb_printf(j, "%s{\"name\": \"%s\", \"init\": ", i ? ", " : "", s->name);
        if (s->from_param) sb_puts(j, "\"param\"");
        else sb_printf(j, "%.17g", s->init);
        sb_printf(j, ", \"ema\": %s}", s->is_ema ? "true" : "false");
    }
    sb_puts(j, "],\n \"runtime\": [");
    for (int i = 0; i < m->n_runtime; i++) {
        sb_printf(j, "%s\n  {\"name\": \"%s\", \"type\": \"%s\", ", i ? "," : "", m->runtime[i].name, m->runtime[i].is_int ? "int" : "real");
        json_field(j, "expr", m->runtime[i].expr);
        sb_puts(j, "}");
    }
    sb_puts(j, "],\n \"scalars\": [");
    for (int i = 0; i < m->n_scalars; i++) {
        if (i) sb_puts(j, ", ");
        sb_json_string(j, m->scalars[i].expr);
    }
    sb_puts(j, "],\n \"streams\": [");
    for (int i = 0; i < m->n_streams; i++) sb_printf(j, "%s\"%s\"", i ? ", " : "", m->streams[i]);
    sb_puts(j, "],\n \"programs\": [");
}

static void json_tensors(StrBuf *j, const char *key, int n, const TensorDecl *v)
{
    sb_printf(j, "\"%s\": [", key);
    for (int i = 0; i < n; i++) {
        sb_puts(j, i ? ", {" : "{");
        json_field(j, "name", v[i].name);
        sb_puts(j, ", ");
        json_axes(j, v[i].n_axes, v[i].axes);
        sb_puts(j, "}");
    }
    sb_puts(j, "]");
}

/* The head of a kernel's text: what it is of, its shapes and figures. */
static void kernel_head(StrBuf *b, const KernelText *t)
{
    const Kernel *k = t->k;
    sb_printf(b, "/* %s: %s", k->name, class_name(k));
    if (t->n_src) sb_puts(b, "\n   source     ");
    for (int i = 0; i < t->n_src; i++) sb_printf(b, "%s%s", i ? ", " : "", t->src[i]);
    sb_printf(b, "\n   instances  %d", t->n_inst);
    for (int i = 0; i < t->n_inst && i < 6; i++) sb_printf(b, "%s%s", i ? ", " : ": ", t->inst[i]);
    if (t->n_inst > 6) sb_puts(b, ", ...");
    sb_printf(b, "\n   computes  %s%s", k->n_nodes || !k->reason ? "" : " ", k->n_nodes || !k->reason ? "" : k->reason);
    for (int i = 0; i < k->n_nodes && i < 8; i++) {
        const Node *n = N(t->l->g, k->nodes[i]);
        sb_printf(b, " %s [", op_info[n->op].name);
        for (int a = 0; a < n->n_axes; a++) sb_printf(b, "%s%s:%lld", a ? ", " : "", n->axes[a].role, (long long)n->axes[a].size);
        sb_puts(b, i + 1 < k->n_nodes && i < 7 ? "]," : "]");
    }
    if (k->precision) sb_printf(b, "\n   precision  %s: the text's for this, not the plan's", number_info[number_in(k->precision, NUM_F32)].name);
    sb_printf(b, "\n   bytes      %lld   FLOPs %lld   intensity %.1f FLOP/byte", (long long)k->bytes, (long long)k->flops, (double)k->flops / (double)MAX(k->bytes, 1));
}

static char *kernel_file(const KernelText *t)
{
    StrBuf b = {0};
    kernel_head(&b, t);
    if (t->k->reason && t->k->n_nodes) sb_printf(&b, "\n   leaf       %s", t->k->reason);
    sb_puts(&b, " */\n#include \"prelude.h\"\n\n");
    marks_print(&b, t, t->k->body);
    return b.s;
}

/* What one text for several kernels stands for: the places of all. Its lists are heap. */
static KernelText users_of(const Backend *b, const KernelText *t)
{
    KernelText all = *t;
    all.n_inst = all.cap_inst = all.n_src = all.cap_src = all.n_mark = all.cap_mark = 0;
    all.inst = NULL, all.src = NULL, all.mark = NULL;
    for (int u = 0; u < t->cuda->n_user; u++) {
        const KernelText *one = &b->text[t->cuda->user[u]];
        for (int i = 0; i < one->n_inst; i++) {
            bool there = false;
            for (int q = 0; q < all.n_inst && !there; q++) there = all.inst[q] == one->inst[i];
            if (!there) vec_push(all.inst, all.n_inst, all.cap_inst, one->inst[i]);
        }
        for (int i = 0; i < one->n_src; i++) {
            bool there = false;
            for (int q = 0; q < all.n_src && !there; q++) there = !strcmp(all.src[q], one->src[i]);
            if (!there) vec_push(all.src, all.n_src, all.cap_src, one->src[i]);
        }
        marks_take(&all, one);
    }
    return all;
}

static void numbers_text(StrBuf *b, const CudaText *c)
{
    for (int i = 0; i < c->n_number; i++)
        if (c->number[i].real) sb_printf(b, ", %s %.9g", c->number[i].name, c->number[i].value);
        else sb_printf(b, ", %s %.0f", c->number[i].name, c->number[i].value);
}

static char *shared_file(const Backend *b, const KernelText *t)
{
    StrBuf s = {0};
    KernelText all = users_of(b, t);
    kernel_head(&s, &all);
    sb_printf(&s, " (of the first below)\n   one text for %d kernels, each launched with its own numbers:", t->cuda->n_user);
    for (int u = 0; u < t->cuda->n_user; u++) {
        const KernelText *one = &b->text[t->cuda->user[u]];
        const CudaEntry *e = one->cuda->entry;
        sb_printf(&s, "\n     %s: %lld x %lld blocks", one->k->name, (long long)e[0].grid[0], (long long)e[0].grid[1]);
        for (int i = 1; i < one->cuda->n_entries; i++) sb_printf(&s, ", %s %lld x %lld", e[i].suffix, (long long)e[i].grid[0], (long long)e[i].grid[1]);
        if (e->shared) sb_printf(&s, ", %lld bytes of dynamic shared memory", (long long)e->shared);
        if (one->cuda->workspace) sb_printf(&s, ", workspace %lld bytes", (long long)one->cuda->workspace);
        numbers_text(&s, one->cuda);
    }
    sb_printf(&s, "\n   launch     blocks of %d threads, x instances */\n", t->cuda->entry[0].block);
    marks_print(&s, &all, t->cuda->body);
    free(all.inst);
    free(all.src);
    free(all.mark);
    return s.s;
}

static char *cuda_file(const Backend *all, const KernelText *t)
{
    if (t->cuda->n_user) return shared_file(all, t);
    StrBuf b = {0};
    kernel_head(&b, t);
    for (int i = 0; i < t->cuda->n_entries; i++) {
        const CudaEntry *e = &t->cuda->entry[i];
        sb_printf(&b, "\n   launch     %s%s: %lld x %lld blocks of %d threads, x instances", t->k->name, e->suffix, (long long)e->grid[0], (long long)e->grid[1], e->block);
        if (e->shared) sb_printf(&b, ", %lld bytes of dynamic shared memory", (long long)e->shared);
    }
    if (t->cuda->workspace) sb_printf(&b, "\n   workspace  %lld bytes", (long long)t->cuda->workspace);
    sb_puts(&b, " */\n");
    marks_print(&b, t, t->cuda->body);
    return b.s;
}

static void json_cuda(StrBuf *j, const Backend *b, const KernelText *t)
{
    const CudaText *c = t->cuda;
    const char *name = c->owner < 0 ? t->k->name : b->text[c->owner].k->name;
    sb_printf(j, ", \"cuda\": {\"file\": \"kernels/%s.cu\", \"instances\": %d, \"workspace\": %lld, \"launches\": [", name, c->instances, (long long)c->workspace);
    for (int i = 0; i < c->n_entries; i++)
        sb_printf(j, "%s{\"entry\": \"%s%s\", \"grid\": [%lld, %lld], \"block\": %d, \"shared\": %lld}", i ? ", " : "", name, c->entry[i].suffix,
                  (long long)c->entry[i].grid[0], (long long)c->entry[i].grid[1], c->entry[i].block, (long long)c->entry[i].shared);
    sb_putc(j, ']');
    for (int i = 0; i < c->n_number; i++)
        sb_printf(j, c->number[i].real ? "%s{\"name\": \"%s\", \"float\": %.9g}" : "%s{\"name\": \"%s\", \"int\": %.0f}", i ? ", " : ", \"numbers\": [", c->number[i].name, c->number[i].value);
    sb_puts(j, c->n_number ? "]}" : "}");
}


/* "[n:32 h:16 w:16 o:32] sum [i:32 kh:3 kw:3]": the result, and what its first reduction sums over. */
static void shape_text(StrBuf *b, const KernelText *t)
{
    const Graph *g = t->l->g;
    const Node *root = N(g, t->k->root), *red = NULL;
    for (int i = 0; i < t->k->n_nodes && !red; i++)
        if (op_info[N(g, t->k->nodes[i])->op].cls == OPC_REDUCE) red = N(g, t->k->nodes[i]);
    for (int i = 0; i < root->n_axes; i++) sb_printf(b, "%s%s:%lld", i ? " " : "[", root->axes[i].role, (long long)root->axes[i].size);
    sb_puts(b, root->n_axes ? "]" : "[]");
    for (int i = 0; red && i < red->a.reduce.n; i++) {
        const Axis *x = NULL;
        for (int k = 0; k < red->n_in && !x; k++) x = find_axis(N(g, red->in[k]), red->a.reduce.axis[i]);
        if (x) sb_printf(b, "%s%s:%lld", i ? " " : red->op == OP_rmax ? " max [" : " sum [", x->role, (long long)x->size);
    }
    if (red && red->a.reduce.n) sb_putc(b, ']');
}

static double predict(const PredictDevice *d, const Lowered *l)
{
    double s = 0;
    for (int i = 0; i < l->n_kernel; i++) {
        const Kernel *k = l->kernel[i];
        double n = 1 + k->n_member;
        s += predict_seconds(d, k->cls == KERNEL_CONTRACT, number_in(k->precision, l->m->precision), n * (double)k->flops, (double)k->launch_bytes, NULL);
    }
    return s;
}

void plan_write(const Backend *b, const PlanOptions *o)
{
    Module *m = b->m;
    Writer w = {.b = b, .m = m, .o = o};
    if (file_exists(o->out)) {
        char *probe = xasprintf("%s/plan.json", o->out);
        if (!file_exists(probe) && rmdir(o->out) != 0)
            user_error("%s exists and is not a plan\n  help: choose another name with -o, or remove it", o->out);
        free(probe);
    }
    w.dir = xasprintf("%s.tmp%ld", o->out, (long)getpid());
    remove_tree(w.dir);
    char *sub[] = {xasprintf("%s/kernels", w.dir), xasprintf("%s/graph", w.dir), xasprintf("%s/sources", w.dir)};
    for (int i = 0; i < 3; i++) {
        if (!make_dirs(sub[i])) machine_error("cannot create %s: %s\n  help: choose another folder with -o", sub[i], strerror(errno));
        free(sub[i]);
    }
    PredictDevice cpu;
    char *err = NULL;
    if (!predict_device(&cpu, "cpu", 0, &err)) die("%s", err);
    json_head(&w);
    StrBuf *j = &w.j;
    for (int p = 0; p < m->n_programs; p++) {
        Program *pr = &m->programs[p];
        bool init = !strcmp(pr->name, "init");
        sb_printf(j, "%s\n  {\"name\": \"%s\", \"training\": %s, ", p ? "," : "", pr->name, pr->training ? "true" : "false");
        json_tensors(j, "inputs", pr->n_in, pr->in);
        sb_puts(j, ",\n   ");
        json_tensors(j, "outputs", pr->n_out, pr->out);
        sb_puts(j, ",\n   \"segments\": [");
        int64_t flops = 0, bytes = 0, peak = 0;
        int kernels = 0;
        double seconds = 0;
        for (int s = 0; s < pr->n_seg; s++) {
            Segment *sg = &pr->seg[s];
            char *path = xasprintf("graph/%s.txt", sg->name);
            put(&w, path, sg->text, strlen(sg->text));
            free(path);
            const char *dot = strrchr(sg->name, '.');
            const char *phase = segment_is_update(sg) ? "update" : dot && !strcmp(dot, ".micro") ? "micro" : NULL;
            if (s) sb_puts(j, ",");
            if (init) {
                sb_printf(j, "{\"name\": \"%s\", \"graph\": \"graph/%s.txt\", \"phase\": null, \"each\": null, \"time\": null, \"buffers\": [], "
                             "\"draws\": [], \"steps\": [], \"peak_bytes\": 0, \"flops\": 0, \"bytes\": 0}", sg->name, sg->name);
                continue;
            }
            Lowered *l = lowered(b, sg);
            StrBuf fused = {0};
            path = xasprintf("graph/%s.fused.txt", sg->name);
            graph_print(&fused, m, l->g);
            put(&w, path, fused.s, fused.len);
            free(path);
            sb_free(&fused);
            json_segment(&w, l, sg, phase);
            flops += l->flops; bytes += l->bytes; kernels += l->n_kernel;
            seconds += predict(&cpu, l);
            peak = MAX(peak, 4 * l->arena_elements);
        }
        sb_puts(j, "]}");
        if (!init && !o->quiet)
            printf("%-14s %5d kernels %10.2f GFLOP %10.1f MB moved %9.1f MB peak %8.3f s predicted on %d cores\n", pr->name, kernels,
                   (double)flops / 1e9, (double)bytes / 1e6, (double)peak / 1e6, seconds, cpu.cores);
    }
    sb_puts(j, "],\n \"kernels\": [");
    for (int i = 0; i < b->n_text; i++) {
        const KernelText *t = &b->text[i];
        char *file = kernel_file(t), *path = xasprintf("kernels/%s.c", t->k->name);
        put(&w, path, file, strlen(file));
        free(file);
        sb_printf(j, "%s\n  {\"name\": \"%s\", \"file\": \"%s\", \"class\": \"%s\", \"flops\": %lld, \"bytes\": %lld, \"issued_bytes\": %lld, \"scratch\": %lld, \"shared\": %lld, ",
                  i ? "," : "", t->k->name, path, class_name(t->k), (long long)t->k->flops, (long long)t->k->bytes, (long long)t->k->issued_bytes, (long long)t->k->scratch, (long long)t->k->shared);
        if (t->k->precision) sb_printf(j, "\"precision\": \"%s\", ", number_info[number_in(t->k->precision, NUM_F32)].name);
        StrBuf shape = {0};
        shape_text(&shape, t);
        json_field(j, "shape", shape.s);
        sb_free(&shape);
        sb_puts(j, ", \"instances\": [");
        for (int q = 0; q < t->n_inst; q++) { if (q) sb_puts(j, ", "); sb_json_string(j, t->inst[q]); }
        sb_puts(j, "], \"source\": [");
        for (int q = 0; q < t->n_src; q++) { if (q) sb_puts(j, ", "); sb_json_string(j, t->src[q]); }
        sb_puts(j, "], \"slots\": [");
        for (int q = 0; q < t->k->n_buf; q++) {
            const Layout *y = &t->l->buf[t->k->buf[q]].layout;
            sb_puts(j, q ? ", \"[" : "\"[");
            for (int a = 0; a < y->n; a++) sb_printf(j, "%s%s:%lld", a ? ", " : "", y->axis[a].role, (long long)y->axis[a].size);
            sb_puts(j, "]\"");
        }
        sb_puts(j, "]");
        if (t->cuda) {
            if (t->cuda->owner < 0) {
                char *text = cuda_file(b, t), *to = xasprintf("kernels/%s.cu", t->k->name);
                put(&w, to, text, strlen(text));
                free(text);
                free(to);
            }
            json_cuda(j, b, t);
            json_product(j, t->l, t->k);
        }
        sb_puts(j, "}");
        free(path);
    }
    sb_puts(j, "]}\n");
    put(&w, "plan.json", j->s, j->len);
    for (int i = 0; i < n_embedded_files; i++)
        if (!strcmp(embedded_files[i].name, "kernel_prelude.h")) put(&w, "kernels/prelude.h", embedded_files[i].text, embedded_files[i].len);
        else if (!strcmp(embedded_files[i].name, "cuda_prelude.cuh") && b->n_text && b->text[0].cuda) put(&w, "kernels/prelude.cuh", embedded_files[i].text, embedded_files[i].len);
    for (int i = 0; i < m->n_sources; i++) {
        const char *base = strrchr(m->sources[i].file, '/');
        base = base ? base + 1 : m->sources[i].file;
        char *path = i == 0 ? xstrdup("model.dsl") : xasprintf("sources/%s", base);
        put(&w, path, m->sources[i].text, strlen(m->sources[i].text));
        free(path);
    }
    char *old = xasprintf("%s.old%ld", o->out, (long)getpid());
    bool had = rename(o->out, old) == 0;
    if (rename(w.dir, o->out) != 0) {
        int e = errno;
        if (had && rename(old, o->out) != 0) warn("the earlier plan is left as %s", old);
        remove_tree(w.dir);
        machine_error("cannot create %s: %s\n  help: choose another folder with -o", o->out, strerror(e));
    }
    if (had) remove_tree(old);
    free(old);
    free(w.dir);
    sb_free(j);
}
