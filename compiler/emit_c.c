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
    const char *from = k->instances ? "buf" : "args->buf";
    if (k->instances) {
        if (k->cls != KERNEL_CONTRACT) line(e, "#pragma omp parallel for schedule(static) num_threads(args->threads)");
        open_block(e, "for (int instance = 0; instance < args->instances; instance++)");
        line(e, "float *const *const buf = args->buf + instance*%d;", k->n_buf);
    }
    for (int i = 0; i < k->n_buf; i++) {
        const Buffer *b = &e->l->buf[k->buf[i]];
        bool out = false;
        for (int j = 0; j < k->n_store; j++) out |= k->store[j].slot == i;
        const char *number = number_info[b->type].name;
        if (b->type != NUM_F32)
            line(e, "%sect_%s_t *restrict const %s = (%sect_%s_t *)%s[%d];  /* %s%s */", out ? "" : "const ", number, buffer_name(e, i),
                 out ? "" : "const ", number, from, i, layout_text(e, &b->layout), weight_buffer(b) ? " parameter" : "");
        else line(e, "%sfloat *restrict const %s = %s[%d];  /* %s%s */", out ? "" : "const ", buffer_name(e, i), from, i, layout_text(e, &b->layout),
             weight_buffer(b) ? " parameter" : "");
    }
    if (k->bound >= 0)
        line(e, "const int wanted = (int)%s[0];  /* of %s: other rows are not looked at */", buffer_name(e, k->bound), k->bound_axis.role);
    if (k->n_draw) line(e, "#ifdef ECT_DRAW_INPUTS");
    for (int i = 0; i < k->n_draw; i++) line(e, "const float *restrict const draw%d = args->draw[%d];", i, i);
    if (k->n_draw) {
        line(e, "#else");
        line(e, "const ect_u64 step = args->step; (void)step;");
    }
    for (int i = 0; i < k->n_draw; i++) {
        const DrawSite *d = &e->l->draw[k->draw[i]];
        line(e, "const ect_u64 key%d = args->key[%d], first%d = %s; (void)first%d;", i, i, i, draws_by_row(d) ? "args->sample0" : "0", i);
        if (d->kind == DRAW_BERNOULLI && d->p_scalar >= 0)
            line(e, "const ect_u64 threshold%d = ect_threshold(args->scalar[%d]);", i, d->p_scalar);
        else if (d->kind == DRAW_BERNOULLI)
            line(e, "const ect_u64 threshold%d = ect_threshold(%a);  /* keep with probability %g */", i, d->p, d->p);
    }
    if (k->n_draw) line(e, "#endif");
}

void print_store(Emit *e, const Store *s, const char *value)
{
    const char *to = buffer_name(e, s->slot), *at = index_text(e, s->offset);
    Number type = e->l->buf[e->k->buf[s->slot]].type;
    if (type != NUM_F32) line(e, "ect_store_%s(&%s[%s], %s);", number_info[type].name, to, at, value);
    else line(e, "%s[%s] = %s;", to, at, value);
}

void emit_stores(Emit *e, void *user)
{
    (void)user;
    const char *text[16];
    for (int i = 0; i < e->k->n_store; i++) text[i] = expr_text(e, e->k->store[i].value);
    bool hazard = e->k->n_store > 1;                 /* several results: all are computed before any is stored */
    if (hazard)
        for (int i = 0; i < e->k->n_store; i++) line(e, "const float r%d = %s;", i, text[i]);
    for (int i = 0; i < e->k->n_store; i++) {
        char r[24];
        snprintf(r, sizeof r, "r%d", i);
        print_store(e, &e->k->store[i], hazard ? r : text[i]);
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
    KRef values[16];
    int64_t work = 1;
    for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
    for (int i = 0; i < k->n_out; i++) work *= k->loop[k->out[i]].size;
    emit_nest(e, k->n_out, k->out, parallel_loops(k, k->n_out, k->out, work), k->n_store, values, emit_stores, NULL);
}

/* ---- tables of rows ---- */
void table_names(const Emit *e, const char *y[N_TABLES])
{
    const Kernel *k = e->k;
    for (int i = 0; i < N_TABLES; i++) y[i] = NULL;
    for (int i = 0; i < k->n_store; i++)
        y[k->acc_op[i] == OP_rows_order ? TABLE_ORDER : k->acc_op[i] == OP_rows_rank ? TABLE_RANK : TABLE_COUNT] = buffer_name(e, k->store[i].slot);
}

static void put_holds(Emit *e, void *user)
{
    (void)user;
    line(e, "holds[%s] = %s ? 1 : 0;", e->loop_name[e->k->out[0]], operand_text(e, e->k->acc[0]));
}

void emit_table(Emit *e)
{
    Kernel *k = e->k;
    const char *end = loop_end(e, k->out[0]), *y[N_TABLES];
    table_names(e, y);
    line(e, "unsigned char holds[%s];", end);
    emit_nest(e, 1, k->out, 0, 1, &k->acc[0], put_holds, NULL);
    line(e, "int at = 0;");
    open_block(e, "for (int which = 1; which >= 0; which--)");
    open_block(e, "for (int row = 0; row < %s; row++)", end);
    line(e, "if (holds[row] != which) continue;");
    if (y[TABLE_ORDER]) line(e, "%s[at] = (float)row;", y[TABLE_ORDER]);
    if (y[TABLE_RANK]) line(e, "%s[row] = (float)at;", y[TABLE_RANK]);
    line(e, "at++;");
    close_block(e);
    if (y[TABLE_COUNT]) line(e, "if (which) %s[0] = (float)at;", y[TABLE_COUNT]);
    close_block(e);
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

typedef struct { const char *lane, *kept; bool second; } Sums;    /* second: the squares, once sums are known */

static void accumulate(Emit *e, void *user)
{
    const Sums *s = user;
    Kernel *k = e->k;
    for (int i = 0; i < k->n_acc; i++) {
        const KExpr *x = &k->expr[k->acc[i]];
        const char *v = expr_text(e, k->acc[i]);
        if (s->second) {
            if (k->acc_op[i] != OP_sqdev) continue;
            line(e, "const float d%d = %s - mean%d[%s];", i, operand_text(e, k->acc[i]), i, s->kept);
            line(e, "sq%d[%s] = ect_fma(d%d, d%d, sq%d[%s]);", i, s->lane, i, i, i, s->lane);
        } else if (k->acc_op[i] == OP_rmax) {
            line(e, "sum%d[%s] = ect_max(sum%d[%s], %s);", i, s->lane, i, s->lane, v);
        } else if (k->acc_op[i] == OP_sum && x->kind == K_OP && x->op == OP_mul && !e->tmp[k->acc[i]]) {
            line(e, "sum%d[%s] = ect_fma(%s, %s, sum%d[%s]);", i, s->lane, expr_text(e, x->in[0]), expr_text(e, x->in[1]), i, s->lane);
        } else {
            line(e, "sum%d[%s] += %s;", i, s->lane, v);
        }
    }
}

/* Number of a kept lane, alone. */
static const char *kept_text(Emit *e, int n, const int *loops)
{
    StrBuf b = {0};
    int64_t stride = 1;
    for (int i = 0; i < n; i++) stride *= e->k->loop[loops[i]].size;
    for (int i = 0; i < n; i++) {
        stride /= e->k->loop[loops[i]].size;
        sb_printf(&b, "%s%s", i ? " + " : "", e->loop_name[loops[i]]);
        if (stride > 1) sb_printf(&b, "*%lld", (long long)stride);
    }
    const char *s = arena_strdup(e->k->arena, n ? b.s : "0");
    sb_free(&b);
    return s;
}

static void for_loop(Emit *e, int loop)
{
    open_block(e, "for (%s %s = 0; %s < %s; %s++)", e->itype, e->loop_name[loop], e->loop_name[loop], loop_end(e, loop), e->loop_name[loop]);
}

/* Adds the summed lanes of array `from` in fixed order into `to`, which is indexed by the kept lanes. */
static void fold_lanes(Emit *e, const char *from, const char *to, bool rmax, const char *kept)
{
    Kernel *k = e->k;
    int depth = 0;
    line(e, "{");
    e->indent++;
    line(e, "float total = %s;", rmax ? "-__builtin_inff()" : "0.0f");
    for (int i = 0; i < k->n_suf; i++)
        if (k->suf_red[i]) { for_loop(e, k->suf[i]); depth++; }
    if (rmax) line(e, "total = ect_max(total, %s[%s]);", from, lane_text(e));
    else line(e, "total += %s[%s];", from, lane_text(e));
    while (depth--) close_block(e);
    line(e, "%s[%s] = total;", to, kept);
    close_block(e);
}

void emit_reduce(Emit *e)
{
    Kernel *k = e->k;
    int64_t lanes = 1, work = 1, outer = 1, keep = 1, count = 1;
    for (int i = 0; i < k->n_suf; i++) lanes *= k->loop[k->suf[i]].size;
    for (int i = 0; i < k->n_loops; i++) work *= k->loop[i].size;
    int par = 0;
    if (work >= 16384) for (; par < k->n_out && outer < 64; par++) outer *= k->loop[k->out[par]].size;
    if (par > 1) line(e, "#pragma omp parallel for collapse(%d) schedule(static) num_threads(args->threads)", par);
    else if (par) line(e, "#pragma omp parallel for schedule(static) num_threads(args->threads)");
    for (int i = 0; i < k->n_out; i++) for_loop(e, k->out[i]);
    int loops[2 * MAX_AXES], n = 0, kept[MAX_AXES], nk = 0;
    for (int i = 0; i < k->n_red; i++) { loops[n++] = k->red[i]; count *= k->loop[k->red[i]].size; }
    for (int i = 0; i < k->n_suf; i++) {
        loops[n++] = k->suf[i];
        if (k->suf_red[i]) count *= k->loop[k->suf[i]].size;
        else { kept[nk++] = k->suf[i]; keep *= k->loop[k->suf[i]].size; }
    }
    const char *lane = lane_text(e), *at = kept_text(e, nk, kept);
    bool squares = false;
    for (int i = 0; i < k->n_acc; i++) {
        bool rmax = k->acc_op[i] == OP_rmax;
        squares |= k->acc_op[i] == OP_sqdev;
        line(e, "float sum%d[%lld]%s;", i, (long long)lanes, rmax ? "" : " = {0}");
        if (rmax) line(e, "for (int lane = 0; lane < %lld; lane++) sum%d[lane] = -__builtin_inff();", (long long)lanes, i);
    }
    Sums first = {lane, at, false}, second = {lane, at, true};
    emit_nest(e, n, loops, 0, k->n_acc, k->acc, accumulate, &first);
    KRef values[16];
    bool folded = keep != lanes;
    if (folded || squares) {
        for (int i = 0; i < k->n_acc; i++) line(e, "float %s%d[%lld];", k->acc_op[i] == OP_sqdev ? "mean" : "all", i, (long long)keep);
        for (int i = 0; i < nk; i++) for_loop(e, kept[i]);
        for (int i = 0; i < k->n_acc; i++) {
            const char *to = arena_printf(k->arena, k->acc_op[i] == OP_sqdev ? "mean%d" : "all%d", i);
            fold_lanes(e, arena_printf(k->arena, "sum%d", i), to, k->acc_op[i] == OP_rmax, at);
            if (k->acc_op[i] == OP_sqdev) line(e, "%s[%s] = %s[%s] / %lld.0f;", to, at, to, at, (long long)count);
        }
        for (int i = 0; i < nk; i++) close_block(e);
    }
    if (squares) {                                   /* again, for deviations from the mean, which do not cancel */
        for (int i = 0; i < k->n_acc; i++)
            if (k->acc_op[i] == OP_sqdev) line(e, "float sq%d[%lld] = {0};", i, (long long)lanes);
        emit_nest(e, n, loops, 0, k->n_acc, k->acc, accumulate, &second);
        for (int i = 0; i < k->n_acc; i++) {
            if (k->acc_op[i] != OP_sqdev) continue;
            line(e, "float all%d[%lld];", i, (long long)keep);
            for (int q = 0; q < nk; q++) for_loop(e, kept[q]);
            fold_lanes(e, arena_printf(k->arena, "sq%d", i), arena_printf(k->arena, "all%d", i), false, at);
            for (int q = 0; q < nk; q++) close_block(e);
        }
    }
    for (int i = 0; i < k->n_acc; i++)
        e->acc[i] = folded || squares ? arena_printf(k->arena, "all%d[%s]", i, at) : arena_printf(k->arena, "sum%d[%s]", i, lane);
    for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
    emit_nest(e, nk, kept, 0, k->n_store, values, emit_stores, NULL);
    for (int i = 0; i < k->n_out; i++) close_block(e);
}

static const char *hint(const Lowered *l, const Kernel *k)
{
    switch (k->cls) {
    case KERNEL_MAP: return "map";
    case KERNEL_REDUCE: return k->acc_op[0] == OP_rmax ? "max" : "sum";
    case KERNEL_PASS: return "pass";
    case KERNEL_TABLE: return "rows";
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
    else if (k->cls == KERNEL_PASS) emit_pass(&e);
    else if (k->cls == KERNEL_TABLE) emit_table(&e);
    else emit_contract(&e);
    if (k->instances) close_block(&e);
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
