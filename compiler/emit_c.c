/* C dialect: prints one kernel as a function `void NAME(const EctArgs *args)`. Equal kernels print equal text, so the name is a hash of the text.
   Maps and reductions are here, contractions in emit_contract.c. */
#include "compiler/emit.h"

int64_t layout_size(const Layout *l)
{
    int64_t n = 1;
    for (int i = 0; i < l->n; i++) n *= l->axis[i].size;
    return n;
}

static const char *layout_text(const Emit *e, const Layout *l)
{
    StrBuf b = {0};
    sb_putc(&b, '[');
    for (int i = 0; i < l->n; i++) sb_printf(&b, "%s%s:%lld", i ? ", " : "", l->axis[i].role, (long long)l->axis[i].size);
    sb_putc(&b, ']');
    const char *s = arena_strdup(e->k->arena, b.s);
    sb_free(&b);
    return s;
}

static void declare_arguments(Emit *e)
{
    Kernel *k = e->k;
    for (int i = 0; i < k->n_buf; i++) {
        const Buffer *b = &e->l->buf[k->buf[i]];
        bool out = false;
        for (int j = 0; j < k->n_store; j++) out |= k->store[j].slot == i;
        line(e, "%sfloat *restrict const %s = args->buf[%d];  /* %s%s */", out ? "" : "const ", buffer_name(e, i), i, layout_text(e, &b->layout),
             b->kind == BUF_PARAM ? " parameter" : "");
    }
    if (k->n_draw) line(e, "#ifdef ECT_DRAW_INPUTS");
    for (int i = 0; i < k->n_draw; i++) line(e, "const float *restrict const draw%d = args->draw[%d];", i, i);
    if (k->n_draw) {
        line(e, "#else");
        line(e, "const ect_u64 step = args->step, sample0 = args->sample0; (void)step; (void)sample0;");
    }
    for (int i = 0; i < k->n_draw; i++) {
        const DrawSite *d = &e->l->draw[k->draw[i]];
        line(e, "const ect_u64 key%d = args->key[%d];", i, i);
        if (d->kind == DRAW_BERNOULLI && d->p_scalar >= 0)
            line(e, "const ect_u64 threshold%d = ect_threshold(args->scalar[%d]);", i, d->p_scalar);
        else if (d->kind == DRAW_BERNOULLI)
            line(e, "const ect_u64 threshold%d = ect_threshold(%a);  /* keep with probability %g */", i, d->p, d->p);
    }
    if (k->n_draw) line(e, "#endif");
}

void emit_stores(Emit *e, void *user)
{
    (void)user;
    const char *text[8];
    for (int i = 0; i < e->k->n_store; i++) text[i] = expr_text(e, e->k->store[i].value);
    bool hazard = e->k->n_store > 1;                 /* several results: all are computed before any is stored */
    if (hazard)
        for (int i = 0; i < e->k->n_store; i++) line(e, "const float r%d = %s;", i, text[i]);
    for (int i = 0; i < e->k->n_store; i++) {
        Store *s = &e->k->store[i];
        char r[24];
        snprintf(r, sizeof r, "r%d", i);
        line(e, "%s[%s] = %s;", buffer_name(e, s->slot), index_text(e, s->offset), hazard ? r : text[i]);
    }
}

/* How many outer loops to share among threads: enough for 64 pieces, never the innermost unless it is the only one. */
static int parallel_loops(const Kernel *k, int n, const int *loops, int64_t work)
{
    if (work < 16384) return 0;
    int64_t p = 1;
    int c = 0;
    while (c < n && (c + 1 < n || n == 1) && p < 64) p *= k->loop[loops[c++]].size;
    return p > 1 ? c : 0;
}

void emit_map(Emit *e)
{
    Kernel *k = e->k;
    KRef values[8];
    int64_t work = 1;
    for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
    for (int i = 0; i < k->n_out; i++) work *= k->loop[k->out[i]].size;
    emit_nest(e, k->n_out, k->out, parallel_loops(k, k->n_out, k->out, work), k->n_store, values, emit_stores, NULL);
}

/* ---- reductions ---- */
static const char *lane_text(Emit *e)
{
    Kernel *k = e->k;
    StrBuf b = {0};
    int64_t stride = 1;
    for (int i = k->n_suf; i-- > 0;) stride *= k->loop[k->suf[i]].size;
    for (int i = 0; i < k->n_suf; i++) {
        stride /= k->loop[k->suf[i]].size;
        sb_printf(&b, "%s%s", i ? " + " : "", e->loop_name[k->suf[i]]);
        if (stride > 1) sb_printf(&b, "*%lld", (long long)stride);
    }
    const char *s = arena_strdup(k->arena, k->n_suf ? b.s : "0");
    sb_free(&b);
    return s;
}

static void accumulate(Emit *e, void *user)
{
    const char *lane = user;
    const KExpr *x = &e->k->expr[e->k->acc[0]];
    if (e->k->acc_op[0] == OP_sum && x->kind == K_OP && x->op == OP_mul && !e->tmp[e->k->acc[0]]) {
        line(e, "sum[%s] = ect_fma(%s, %s, sum[%s]);", lane, expr_text(e, x->in[0]), expr_text(e, x->in[1]), lane);
        return;
    }
    const char *v = expr_text(e, e->k->acc[0]);
    if (e->k->acc_op[0] == OP_rmax) line(e, "sum[%s] = ect_max(sum[%s], %s);", lane, lane, v);
    else line(e, "sum[%s] += %s;", lane, v);
}

void emit_reduce(Emit *e)
{
    Kernel *k = e->k;
    int64_t lanes = 1, work = 1, outer = 1;
    for (int i = 0; i < k->n_suf; i++) lanes *= k->loop[k->suf[i]].size;
    for (int i = 0; i < k->n_loops; i++) work *= k->loop[i].size;
    bool rmax = k->acc_op[0] == OP_rmax;
    int par = 0;
    if (work >= 16384) for (; par < k->n_out && outer < 64; par++) outer *= k->loop[k->out[par]].size;
    if (par > 1) line(e, "#pragma omp parallel for collapse(%d) schedule(static) num_threads(args->threads)", par);
    else if (par) line(e, "#pragma omp parallel for schedule(static) num_threads(args->threads)");
    for (int i = 0; i < k->n_out; i++)
        open_block(e, "for (%s %s = 0; %s < %lld; %s++)", e->itype, e->loop_name[k->out[i]], e->loop_name[k->out[i]], (long long)k->loop[k->out[i]].size,
                   e->loop_name[k->out[i]]);
    line(e, "float sum[%lld]%s;", (long long)lanes, rmax ? "" : " = {0}");
    if (rmax) line(e, "for (int lane = 0; lane < %lld; lane++) sum[lane] = -__builtin_inff();", (long long)lanes);
    int loops[2 * MAX_AXES], n = 0;
    for (int i = 0; i < k->n_red; i++) loops[n++] = k->red[i];
    for (int i = 0; i < k->n_suf; i++) loops[n++] = k->suf[i];
    emit_nest(e, n, loops, 0, 1, k->acc, accumulate, (void *)lane_text(e));
    int kept[MAX_AXES], nk = 0, summed = 0;
    for (int i = 0; i < k->n_suf; i++) {
        if (k->suf_red[i]) summed++;
        else kept[nk++] = k->suf[i];
    }
    if (summed) {                                    /* add the summed lanes in fixed order, into the lane where they are all 0 */
        for (int i = 0; i < nk; i++)
            open_block(e, "for (%s %s = 0; %s < %lld; %s++)", e->itype, e->loop_name[kept[i]], e->loop_name[kept[i]], (long long)k->loop[kept[i]].size, e->loop_name[kept[i]]);
        line(e, "float total = %s;", rmax ? "-__builtin_inff()" : "0.0f");
        for (int i = 0; i < k->n_suf; i++)
            if (k->suf_red[i])
                open_block(e, "for (%s %s = 0; %s < %lld; %s++)", e->itype, e->loop_name[k->suf[i]], e->loop_name[k->suf[i]], (long long)k->loop[k->suf[i]].size,
                           e->loop_name[k->suf[i]]);
        if (rmax) line(e, "total = ect_max(total, sum[%s]);", lane_text(e));
        else line(e, "total += sum[%s];", lane_text(e));
        for (int i = 0; i < summed; i++) close_block(e);
        e->acc[0] = "total";
        KRef values[8];
        for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
        emit_nest(e, 0, NULL, 0, k->n_store, values, emit_stores, NULL);
        for (int i = 0; i < nk; i++) close_block(e);
    } else {
        e->acc[0] = arena_printf(k->arena, "sum[%s]", lane_text(e));
        KRef values[8];
        for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
        emit_nest(e, nk, kept, 0, k->n_store, values, emit_stores, NULL);
    }
    for (int i = 0; i < k->n_out; i++) close_block(e);
}

static const char *hint(const Lowered *l, const Kernel *k)
{
    switch (k->cls) {
    case KERNEL_MAP: return "map";
    case KERNEL_REDUCE: return k->acc_op[0] == OP_rmax ? "max" : "sum";
    default: (void)l; return k->leaf == LEAF_TAPS_K ? "conv" : k->leaf == LEAF_TAPS_OUT ? "wgrad" : "matmul";
    }
}

void emit_kernel(const Lowered *l, Kernel *k)
{
    StrBuf body = {0};
    Emit e = {.b = &body, .l = l, .k = k, .indent = 1};
    CHECK_BUG(k->n_loops <= 64);
    for (int i = 0; i < k->n_loops; i++) e.loop_name[i] = loop_c_name(&e, k->loop[i].name);
    e.itype = "int";
    for (int i = 0; i < k->n_index; i++)
        if (k->index[i].hi > INT32_MAX || k->index[i].lo < INT32_MIN) e.itype = "long";
    declare_arguments(&e);
    if (k->cls == KERNEL_MAP) emit_map(&e);
    else if (k->cls == KERNEL_REDUCE) emit_reduce(&e);
    else emit_contract(&e);
    free(e.row);
    sb_puts(&body, "}\n");
    char hex[33];
    hash128_hex(body.s, body.len, hex);
    snprintf(k->name, sizeof k->name, "%s_%.12s", hint(l, k), hex);
    StrBuf text = {0};
    sb_printf(&text, "void %s(const EctArgs *args)\n{\n", k->name);
    sb_write(&text, body.s, body.len);
    sb_free(&body);
    k->body = text.s;
    k->scratch = (e.scratch_floats * 4 + 63) / 64 * 64;
    k->shared = (e.shared_floats * 4 + 63) / 64 * 64;
}
