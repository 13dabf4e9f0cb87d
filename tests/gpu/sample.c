/* gpu.h: single elements of what a step writes, in f64, by the fused graph's formulas: an element asks its operands for the elements it needs, down to
   what the step reads from memory. No loop, tile or order of a kernel is shared. Slow for sums of sums; a limit on the work ends those without an answer.
   Assumes the graph's ids count from 1, buffers named v<id>, and layouts as the C text's comments say (`args->buf[1];  [n:128, h:8, w:8, c:256]`). */
#include "gpu.h"
#include <math.h>
#include "runtime/kernel_prelude.h"
#include "runtime/ref.h"

enum { OPERANDS = 3, WORK = 12000000 };               /* WORK: elements that one element may ask for */

typedef struct { bool half; const void *data; int64_t stride[PLAN_MAX_AXES]; } Stored;
typedef struct { int buffer, node; int64_t stride[PLAN_MAX_AXES]; } Target;
struct Sampler {
    const Plan *plan;
    const Launch *l;
    float *const *buf;
    RefGraph *g, bare;                               /* bare: nodes that have a buffer are sources, so views end at them */
    RefAccess *(*access)[OPERANDS];
    char *ready;                                     /* per node: what it needs is prepared, for the step in hand */
    float **draw;                                    /* per node */
    Stored **stored;                                 /* per node: where the step in hand reads it */
    int *home;                                       /* per buffer: its node, or -1 */
    int step;                                        /* in hand; the C text of its kernel; what it writes that can be sampled */
    char *text;
    Target target[64];
    int n_targets;
    bool lost;                                       /* the step in hand cannot be sampled */
};
typedef struct { const Sampler *s; int64_t work; bool lost; } Walk;
/* v, and the size of what was added up to it: an error of one part in N of each operand makes one of about m / N. */
typedef struct { double v, m; } Num;
static Num plain(double v) { return (Num){v, fabs(v)}; }

static int node_of(const RefGraph *g, const char *name)
{
    for (int i = 0; i < g->n_out; i++) if (!strcmp(g->out[i].name, name)) return g->out[i].node;
    if (name[0] != 'v') return -1;
    char *end;
    long id = strtol(name + 1, &end, 10);
    return *end || end == name + 1 || id < 1 || id > g->n ? -1 : (int)id - 1;
}

Sampler *sampler_new(const Plan *plan, const Launch *l, float *const *buf, char **why)
{
    const PlanSegment *seg = l->segment;
    char *file = xasprintf("%.*s.fused.txt", (int)strlen(seg->graph) - 4, seg->graph), *path = plan_path(plan, file), *text = read_file(path, NULL);
    Sampler *s = xcalloc(1, sizeof *s);
    s->plan = plan, s->l = l, s->buf = buf, s->step = -1;
    if (!text) *why = xasprintf("cannot read %s", path);
    else s->g = ref_graph_parse(text, plan, why);
    free(file), free(path), free(text);
    if (!s->g || seg->phase == PHASE_UPDATE) {       /* updates go over flat arrays, element by element: their reference is enough */
        free(s);
        return NULL;
    }
    size_t n = (size_t)s->g->n;
    s->bare = *s->g;
    s->bare.node = xmalloc(n * sizeof *s->bare.node);
    memcpy(s->bare.node, s->g->node, n * sizeof *s->bare.node);
    s->access = xcalloc(n, sizeof *s->access);
    s->ready = xcalloc(n, 1);
    s->draw = xcalloc(n, sizeof *s->draw);
    s->stored = xcalloc(n, sizeof *s->stored);
    s->home = xcalloc((size_t)seg->n_buffers + 1, sizeof *s->home);
    for (int i = 0; i < seg->n_buffers; i++) {
        const PlanBuffer *b = &seg->buffer[i];
        s->home[i] = b->kind == BUF_ARENA || b->kind == BUF_OUTPUT || b->kind == BUF_GRAD || b->kind == BUF_CARRY ? node_of(s->g, b->name) : -1;
        if (s->home[i] < 0 || b->kind != BUF_ARENA) continue;
        RefNode *q = &s->bare.node[s->home[i]];
        q->op = R_input, q->n_in = 0;
    }
    return s;
}

/* ---- layouts ---- */
/* Strides, in memory, of a node's axes in the buffer at `place` of a kernel; false when the text says something else of it. */
static bool strides_of(const char *text, int place, const RefNode *n, int64_t *stride)
{
    char want[32];
    snprintf(want, sizeof want, "buf[%d];  /* [", place);
    const char *at = text ? strstr(text, want) : NULL;
    if (!at) return false;
    int64_t size[PLAN_MAX_AXES];
    int axis[PLAN_MAX_AXES], k = 0;
    for (at += strlen(want); *at && *at != ']' && k < PLAN_MAX_AXES;) {
        size_t len = strcspn(at, ":]");
        if (at[len] != ':') return false;
        axis[k] = -1;
        for (int i = 0; i < n->shape.n; i++) if (strlen(n->shape.role[i]) == len && !strncmp(n->shape.role[i], at, len)) axis[k] = i;
        char *end;
        size[k] = strtoll(at + len + 1, &end, 10);
        if (axis[k] < 0 || n->shape.size[axis[k]] != size[k]) return false;
        k++;
        at = end + strspn(end, ", ");
    }
    if (k != n->shape.n) return false;
    for (int64_t s = 1; k--; s *= size[k]) stride[axis[k]] = s;
    return true;
}
static int64_t offset_of(const RefNode *n, int64_t e, const int64_t *stride)
{
    int64_t o = 0;
    for (int i = n->shape.n; i--; e /= n->shape.size[i]) o += e % n->shape.size[i] * stride[i];
    return o;
}
/* The other way: which element lies at `o`. */
static int64_t element_at(const RefNode *n, int64_t o, const int64_t *stride)
{
    int64_t e = 0;
    for (int i = 0; i < n->shape.n; i++) {
        int64_t longer = INT64_MAX;                  /* the stride of the next axis out */
        for (int k = 0; k < n->shape.n; k++)
            if (k != i && (stride[k] > stride[i] || (stride[k] == stride[i] && n->shape.size[k] > 1 && n->shape.size[i] == 1))) longer = MIN(longer, stride[k]);
        e = e * n->shape.size[i] + (n->shape.size[i] == 1 ? 0 : (longer == INT64_MAX ? o : o % longer) / stride[i]);
    }
    return e;
}

/* ---- values ---- */
static Num value(Walk *w, int k, int64_t e, bool top);

static Num read_access(Walk *w, const RefAccess *a, const int64_t *idx)
{
    for (int p = 0; p < a->n_pieces; p++) {
        const RefPiece *q = &a->piece[p];
        int64_t o = q->base;
        for (int j = 0; j < q->n_groups; j++) {
            int64_t t = 0;
            for (int i = 0; i < q->group[j].n; i++) t += idx[q->group[j].axis[i]] * q->group[j].stride[i];
            o += q->group[j].table[t];
        }
        if (o >= 0) return value(w, q->source, o, false);
    }
    return plain(0);
}
static Num operand(Walk *w, int k, int which, const int64_t *idx) { return read_access(w, w->s->access[k][which], idx); }

static LoopSpace space_of(const Sampler *s, int k, int which)
{
    const RefNode *n = &s->g->node[k];
    LoopSpace l = ref_space(n->op == R_take && which ? &s->g->node[n->in[which]].shape : &n->shape);
    if (ref_ops[n->op].cls != REF_R) return l;
    for (int i = 0; i < n->n_reduced; i++) {
        int64_t size = 0;
        for (int q = 0; q < n->n_in; q++) {
            const PlanShape *x = &s->g->node[n->in[q]].shape;
            for (int a = 0; a < x->n; a++) if (x->role[a] == n->reduced_role[i]) size = x->size[a];
        }
        ref_add_axis(&l, n->reduced_role[i], size);
    }
    return l;
}

static Num reduce(Walk *w, int k, int64_t *idx)
{
    const RefNode *n = &w->s->g->node[k];
    const LoopSpace *l = &w->s->access[k][0]->space;
    double sum = 0, squares = 0, top = -INFINITY, shift = 0, size = 0;
    int64_t count = 1;
    for (int i = n->shape.n; i < l->n; i++) count *= l->size[i], idx[i] = 0;
    for (int64_t c = 0; c < count && !w->lost; c++) {
        Num a = operand(w, k, 0, idx), b = {1, 1};
        if (n->op == R_contract) b = operand(w, k, 1, idx);
        double x = a.v * b.v;
        if (n->op == R_sqdev && !c) shift = x;
        if (n->op == R_sqdev) x -= shift;
        sum += x, squares += x * x;
        size += n->op == R_sqdev ? 2 * fabs(x) * (a.m + fabs(shift)) : n->op == R_contract ? MAX(fabs(a.v) * b.m, fabs(b.v) * a.m) : a.m;
        if (x > top || isnan(x)) top = x;
        for (int i = l->n; i-- > n->shape.n && ++idx[i] == l->size[i];) idx[i] = 0;
    }
    if (n->op == R_rmax) return plain(top);
    return (Num){n->op == R_sqdev ? squares - sum * sum / (double)count : sum, size};
}

static Num elementwise(Walk *w, int k, const int64_t *idx)
{
    const RefNode *n = &w->s->g->node[k];
    Num x = operand(w, k, 0, idx), z = {0, 0};
    if (n->op == R_where || n->op == R_rows) return operand(w, k, x.v != 0 ? 1 : 2, idx);
    if (n->n_in > 1) z = operand(w, k, 1, idx);
    double a = x.v, b = z.v, y, m = x.m;
    switch (n->op) {
    case R_neg: y = -a; break;
    case R_abs: y = fabs(a); break;
    case R_exp: y = exp(a), m *= y; break;
    case R_log: y = log(a), m /= fabs(a); break;
    case R_sin: y = sin(a); break;
    case R_cos: y = cos(a); break;
    case R_sqrt: y = sqrt(a), m /= 2 * y; break;
    case R_rsqrt: y = 1 / sqrt(a), m *= y / fabs(2 * a); break;
    case R_sigmoid: y = 1 / (1 + exp(-a)), m *= y * (1 - y); break;
    case R_tanh: y = tanh(a), m *= 1 - y * y; break;
    case R_erf: y = erf(a); break;
    case R_floor: y = floor(a); break;
    case R_sign: y = a > 0 ? 1 : a < 0 ? -1 : a; break;
    case R_stop: case R_f32: y = a; break;
    case R_bf16: y = (double)ect_bf16((float)a); break;
    case R_nan_to_num: y = isnan(a) ? n->value : isinf(a) ? (a > 0 ? n->inf : -n->inf) : a; break;
    case R_isfinite: return plain(isfinite(a));
    case R_not: return plain(a == 0);
    case R_add: y = a + b, m = x.m + z.m; break;
    case R_sub: y = a - b, m = x.m + z.m; break;
    case R_mul: y = a * b, m = MAX(fabs(a) * z.m, fabs(b) * x.m); break;
    case R_div: y = a / b, m = MAX(x.m / fabs(b), fabs(y / b) * z.m); break;
    case R_pow: y = pow(a, b), m = a != 0 ? fabs(y * b / a) * x.m : 0; break;
    case R_max: y = isnan(a) ? a : isnan(b) ? b : fmax(a, b), m = MAX(x.m, z.m); break;
    case R_min: y = isnan(a) ? a : isnan(b) ? b : fmin(a, b), m = MAX(x.m, z.m); break;
    case R_lt: return plain(a < b);
    case R_le: return plain(a <= b);
    case R_eq: return plain(a == b);
    case R_and: return plain(a != 0 && b != 0);
    case R_or: return plain(a != 0 || b != 0);
    default: w->lost = true; return x;
    }
    return (Num){y, MAX(fabs(y), m)};
}

static Num source(Walk *w, int k, int64_t e)
{
    const Sampler *s = w->s;
    const RefNode *n = &s->g->node[k];
    const PlanProgram *p = s->l->program;
    switch (n->op) {
    case R_const: return plain(n->value);
    case R_scalar: return plain((double)s->l->scalar[n->index]);
    case R_iota: return plain((double)e);
    case R_draw: return plain((double)s->draw[k][e]);
    case R_param: return plain((double)s->l->set[n->set][s->plan->param[n->index].offset + offset_of(n, e, s->plan->param[n->index].stride)]);
    case R_input:
        for (int i = 0; i < p->n_inputs; i++) if (!strcmp(p->input[i].name, n->name) && s->l->in[i]) return plain((double)s->l->in[i][e]);
        for (int i = 0; i < p->n_carries; i++) if (!strcmp(p->carry[i].name, n->name)) return plain((double)s->l->carry[i][e]);
        /* fall through */
    default: w->lost = true; return plain(0);
    }
}

/* Element e, in the order of the node's axes. top: as this step computes it, even where it is in memory. */
static Num value(Walk *w, int k, int64_t e, bool top)
{
    const Sampler *s = w->s;
    const RefNode *n = &s->g->node[k];
    if (!top && s->stored[k]) {
        const Stored *q = s->stored[k];
        int64_t o = offset_of(n, e, q->stride);
        return plain(q->half ? (double)ect_from_bits((ect_u32)((const uint16_t *)q->data)[o] << 16) : (double)((const float *)q->data)[o]);
    }
    if (w->lost || w->work-- < 0) return w->lost = true, plain(0);
    int64_t idx[LOOP_MAX], rest = e;
    for (int i = n->shape.n; i--; rest /= n->shape.size[i]) idx[i] = rest % n->shape.size[i];
    switch (ref_ops[n->op].cls) {
    case REF_S: return source(w, k, e);
    case REF_E: return elementwise(w, k, idx);
    case REF_V: return operand(w, k, 0, idx);
    case REF_R: return reduce(w, k, idx);
    default: break;
    }
    if (n->op != R_take) return w->lost = true, plain(0);
    const Sym rows = s->g->node[n->in[1]].shape.role[0];
    for (int i = 0; i < n->shape.n; i++)
        if (n->shape.role[i] == rows) {
            int64_t at[1] = {idx[i]};
            idx[i] = (int64_t)operand(w, k, 1, at).v;
            if (idx[i] < 0 || idx[i] >= n->shape.size[i]) return w->lost = true, plain(0);
            return operand(w, k, 0, idx);
        }
    return w->lost = true, plain(0);
}

/* ---- getting a step ready ---- */
/* Access tables and draws of all that node k needs; false when one cannot be had. */
static bool prepare(Sampler *s, int k, bool top)
{
    const RefNode *n = &s->g->node[k];
    if ((!top && s->stored[k]) || s->ready[k]) return true;
    s->ready[k] = 1;
    int cls = ref_ops[n->op].cls, operands = cls == REF_V ? 1 : n->op == R_take ? 2 : MIN(n->n_in, OPERANDS);
    char *err = NULL;
    if (n->op == R_draw) {
        if (n->n_in) return false;
        if (s->draw[k]) return true;
        RefSegment seg = {.segment = s->l->segment, .g = s->g};
        s->draw[k] = xmalloc((size_t)n->elements * sizeof **s->draw);
        ref_draw(&(RefRun){.plan = s->plan, .l = s->l, .s = &seg, .threads = 1}, n, NULL, s->draw[k]);
        return true;
    }
    if (cls == REF_S) return true;
    if (cls == REF_C || (cls == REF_T && n->op != R_take)) return false;
    for (int i = 0; i < operands; i++) {
        RefAccess **a = &s->access[k][i];
        if (!*a) {
            LoopSpace l = space_of(s, k, i);
            RefNode kept = s->bare.node[k];          /* a view that is held is one again while its own table is made */
            s->bare.node[k] = *n;
            *a = ref_access_new(&s->bare, cls == REF_V ? k : n->in[i], &l, &err);
            s->bare.node[k] = kept;
        }
        if (!*a) return free(err), false;
        for (int p = 0; p < (*a)->n_pieces; p++) if (!prepare(s, (*a)->piece[p].source, false)) return false;
    }
    return true;
}

static void begin(Sampler *s, int step)
{
    const PlanStep *q = &s->l->segment->step[step];
    const PlanKernel *kernel = &s->plan->kernel[q->kernel];
    char *path = plan_path(s->plan, kernel->file);
    int places = q->n_buffers / q->instances;
    free(s->text);
    s->text = read_file(path, NULL);
    s->n_targets = 0, s->lost = false;
    for (int k = 0; k < s->g->n; k++) {
        free(s->stored[k]);
        free(s->draw[k]);
        s->stored[k] = NULL, s->draw[k] = NULL;
    }
    memset(s->ready, 0, (size_t)s->g->n);
    for (int i = 0; i < q->n_buffers; i++) {
        const PlanBuffer *b = &s->l->segment->buffer[q->buffer[i]];
        int k = s->home[q->buffer[i]];
        if (k < 0 || b->kind != BUF_ARENA || b->first == step || b->type == NUM_F16) continue;
        Stored *t = xcalloc(1, sizeof *t);
        t->half = b->type == NUM_BF16, t->data = s->buf[q->buffer[i]];
        if (strides_of(s->text, i % places, &s->g->node[k], t->stride)) s->stored[k] = t;
        else free(t);
    }
    s->step = step;
    free(path);
}

bool sampler_ready(Sampler *s, int step, int b)
{
    const PlanBuffer *buffer = &s->l->segment->buffer[b];
    const PlanStep *q = &s->l->segment->step[step];
    int k = s->home[b], place = 0;
    if (k < 0 || s->n_targets == (int)COUNT(s->target)) return false;
    if (s->step != step) begin(s, step);
    const RefNode *n = &s->g->node[k];
    Target t = {.buffer = b, .node = k};
    if (buffer->kind == BUF_GRAD) {
        int p = plan_param_index(s->plan, buffer->name + strlen("grad."));
        if (p < 0) return false;
        memcpy(t.stride, s->plan->param[p].stride, sizeof t.stride);
    } else if (buffer->kind == BUF_ARENA) {
        while (q->buffer[place] != b) place++;
        if (!strides_of(s->text, place % (q->n_buffers / q->instances), n, t.stride)) return false;
    } else {
        int64_t size = 1;
        for (int i = n->shape.n; i--; size *= n->shape.size[i]) t.stride[i] = size;
    }
    if (!prepare(s, k, true)) return s->lost = true, false;          /* halfway: what it shares with others is not there */
    s->target[s->n_targets++] = t;
    return true;
}
bool sampler_value(const Sampler *s, int b, int64_t at, double *out, double *size)
{
    int t = 0;
    while (t < s->n_targets && s->target[t].buffer != b) t++;
    if (t == s->n_targets || s->lost) return false;
    Walk w = {.s = s, .work = WORK};
    Num y = value(&w, s->target[t].node, element_at(&s->g->node[s->target[t].node], at, s->target[t].stride), true);
    *out = y.v, *size = y.m;
    return !w.lost;
}
