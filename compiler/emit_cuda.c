/* CUDA dialect: prints every distinct kernel once more, as CUDA C. Maps and tables of rows are here, sums in emit_cuda_sums.c, passes in emit_cuda_tile.c,
   contractions in emit_cuda_contract.c.
   Assumes the C text was printed, so that names are known. Sums are trees of a fixed shape: two runs give the same bits. */
#include "compiler/emit_cuda_tile.h"
#include <ctype.h>

enum { FLAT = 1 << 10, MAX_BLOCKS = 1 << 14, SHARED_ROWS = 8192 };

static bool word_char(char c) { return isalnum((unsigned char)c) || c == '_'; }

int64_t cuda_size(const Emit *e, int n, const int *loops)
{
    int64_t p = 1;
    for (int i = 0; i < n; i++) p *= e->k->loop[loops[i]].size;
    return p;
}

void cuda_decode(Emit *e, const char *flat, int n, const int *loops)
{
    int64_t inner = 1;
    int first = 0;
    while (first < n && e->k->loop[loops[first]].size == 1) first++;
    for (int i = n; i-- > 0;) {
        const char *name = e->loop_name[loops[i]];
        int64_t size = e->k->loop[loops[i]].size;
        if (size == 1) line(e, "const %s %s = 0;", e->itype, name);
        else if (i == first && inner == 1) line(e, "const %s %s = %s;", e->itype, name, flat);
        else if (i == first) line(e, "const %s %s = %s / %lld;", e->itype, name, flat, (long long)inner);
        else if (inner == 1) line(e, "const %s %s = %s %% %lld;", e->itype, name, flat, (long long)size);
        else line(e, "const %s %s = %s / %lld %% %lld;", e->itype, name, flat, (long long)inner, (long long)size);
        inner *= size;
    }
    FlatLoops f = {.n = n};
    for (int i = 0; i < n; i++) f.loop[i] = loops[i], f.name[i] = e->loop_name[loops[i]];
    cuda_one_number(e, flat, &f);
}

void cuda_one_number(Emit *e, const char *number, FlatLoops *f)
{
    for (const char *p = number; *p; p++) if (!word_char(*p)) return;
    if (!strcmp(e->itype, "long long") || e->n_flat == MAX_FLAT) return;
    f->number = arena_strdup(e->k->arena, number);
    f->indent = e->indent;
    e->flat[e->n_flat++] = *f;
}

/* ---- entries ---- */
static bool is_stored(const Kernel *k, int slot)
{
    for (int i = 0; i < k->n_store; i++) if (k->store[i].slot == slot) return true;
    return false;
}

static const char *shape_text(const Emit *e, const Layout *l)
{
    StrBuf b = {0};
    for (int i = 0; i < l->n; i++) sb_printf(&b, "%s%s:%lld", i ? ", " : "", l->axis[i].role, (long long)l->axis[i].size);
    const char *s = arena_strdup(e->k->arena, b.s ? b.s : "");
    sb_free(&b);
    return s;
}

static void buffers(Emit *e, const CudaText *t)
{
    Kernel *k = e->k;
    const char *from = "args.buf";
    if (t->instances > 1) {
        line(e, "void *const *const buf = args.buf + blockIdx.z*%d;  /* instance blockIdx.z */", k->n_buf);
        from = "buf";
    }
    for (int i = 0; i < k->n_buf; i++) {
        const Buffer *b = &e->l->buf[k->buf[i]];
        const char *type = b->type == NUM_F32 ? "float" : arena_printf(k->arena, "ect_%s_t", number_info[b->type].name);
        const char *constant = is_stored(k, i) ? "" : "const ";
        line(e, "%s%s *__restrict__ const %s = (%s%s *)%s[%d];  /* [%s]%s */", constant, type, buffer_name(e, i), constant, type, from, i, shape_text(e, &b->layout),
             weight_buffer(b) ? " parameter" : "");
    }
    if (k->bound >= 0) line(e, "const int wanted = (int)%s[0];  /* of %s: other rows are not looked at */", buffer_name(e, k->bound), k->bound_axis.role);
}

static void draws(Emit *e)
{
    Kernel *k = e->k;
    if (!k->n_draw) return;
    line(e, "#ifdef ECT_DRAW_INPUTS");
    for (int i = 0; i < k->n_draw; i++) line(e, "const float *const draw%d = args.draw[%d];", i, i);
    line(e, "#else");
    line(e, "const ect_u64 step = now->step;");
    for (int i = 0; i < k->n_draw; i++)
        line(e, "const ect_u64 key%d = args.key[%d], first%d = %s;", i, i, i, draws_by_row(&e->l->draw[k->draw[i]]) ? "now->sample0" : "0");
    for (int i = 0; i < k->n_draw; i++) {
        const DrawSite *d = &e->l->draw[k->draw[i]];
        if (d->kind != DRAW_BERNOULLI) continue;
        if (d->p_scalar >= 0) line(e, "const ect_u64 threshold%d = ect_threshold(now->scalar[%d]);", i, d->p_scalar);
        else line(e, "const ect_u64 threshold%d = ect_threshold(%a);  /* keep with probability %g */", i, d->p, d->p);
    }
    line(e, "#endif");
}

/* Blocks on a multiprocessor that a kernel must leave registers for. Two of a contraction have 128 each, and draws beside sums of a large tile need more; four of
   a map or a sum have 64; a pass says itself. 0, of tables: as many as ptxas thinks best. In others it has spilled for want of a few more than 32 or 64. */
static int blocks_at_once(const Kernel *k, const CudaText *t)
{
    if (t->at_once) return t->at_once;
    if (k->cls == KERNEL_CONTRACT) return k->n_draw && !t->small ? 1 : 2;
    return k->cls == KERNEL_TABLE ? 0 : 4;
}

void cuda_entry_begin(Emit *e, CudaText *t, const char *suffix, int64_t grid_x, int64_t grid_y, int64_t shared)
{
    Kernel *k = e->k;
    CHECK_BUG(t->n_entries < CUDA_ENTRIES);
    t->entry[t->n_entries++] = (CudaEntry){suffix, {MAX(grid_x, 1), MAX(grid_y, 1)}, shared, CUDA_THREADS};
    e->indent = 0;
    e->n_flat = 0;
    const int at_once = blocks_at_once(k, t);
    const char *blocks = at_once ? arena_printf(k->arena, ", %d", at_once) : "";
    line(e, "extern \"C\" __global__ void __launch_bounds__(%d%s) %s%s(const __grid_constant__ %s_args args)", CUDA_THREADS, blocks, k->name, suffix, k->name);
    line(e, "{");
    e->indent = 1;
    bool scalars = k->n_draw > 0;
    for (int i = 1; i < k->n_expr; i++) scalars |= k->expr[i].kind == K_SCALAR;
    if (scalars) line(e, "const EctNow *const now = args.now;");
    buffers(e, t);
    draws(e);
}

/* The keys of draws, if the entry begun last draws nothing. */
static void drop_draws(StrBuf *b)
{
    static const char *const MACROS[] = {"ECT_NORMAL", "ECT_UNIFORM", "ECT_BERNOULLI"};
    char *from = NULL;
    for (char *p = b->s; (p = strstr(p, "#ifdef ECT_DRAW_INPUTS\n")); p++) from = p;
    char *to = from ? strstr(from, "#endif\n") : NULL;
    if (!to) return;
    to += strlen("#endif\n");
    for (size_t i = 0; i < COUNT(MACROS); i++) if (strstr(to, MACROS[i])) return;
    memmove(from, to, strlen(to) + 1);
    b->len -= (size_t)(to - from);
}

void cuda_entry_end(Emit *e)
{
    drop_draws(e->b);
    e->indent = 0;
    line(e, "}");
}

/* ---- scalar expressions as statements ---- */
static void reach(const Emit *e, KRef v, int *uses)
{
    if (uses[v]++ || e->tmp[v]) return;
    const KExpr *x = &e->k->expr[v];
    for (int i = 0; x->kind != K_SELECT && i < x->n_in; i++) reach(e, x->in[i], uses);
}

static bool plain(const Emit *e, KRef v)
{
    const KExpr *x = &e->k->expr[v];
    return e->tmp[v] || x->kind == K_CONST || x->kind == K_LOAD || x->kind == K_ACC || x->kind == K_SCALAR;
}

static void statements(Emit *e, int n, const KRef *values);

/* float t3; if (condition) { ... } else { ... } */
static void choose(Emit *e, KRef v, const char *name)
{
    const KExpr *x = &e->k->expr[v];
    line(e, "%s %s;", x->type == T_BOOL ? "int" : "float", name);
    for (int arm = 0; arm < 2; arm++) {
        if (arm == 0) {
            open_block(e, "if (%s)", cond_text(e, v));
        } else {
            e->indent--;
            line(e, "} else {");
            e->indent++;
        }
        char **keep = cuda_values(e, 1, &x->in[arm]);
        line(e, "%s = %s;", name, expr_text(e, x->in[arm]));
        cuda_values_end(e, keep);
    }
    close_block(e);
}

static void statements(Emit *e, int n, const KRef *values)
{
    int *uses = xcalloc((size_t)e->k->n_expr, sizeof *uses);
    for (int i = 0; i < n; i++) reach(e, values[i], uses);
    for (KRef v = 1; v < (KRef)e->k->n_expr; v++) {      /* ids are topological */
        const KExpr *x = &e->k->expr[v];
        if (!uses[v] || e->tmp[v]) continue;
        bool arms = x->kind == K_SELECT && !(plain(e, x->in[0]) && plain(e, x->in[1]));
        if (x->kind == K_CONST || x->kind == K_ACC || x->kind == K_SCALAR || (uses[v] < 2 && !arms)) continue;
        char *name = arena_printf(e->k->arena, "t%d", e->n_tmp++);
        if (arms) choose(e, v, name);
        else line(e, "const %s %s = %s;", x->type == T_BOOL ? "int" : "float", name, expr_text(e, v));
        e->tmp[v] = name;
    }
    free(uses);
}

char **cuda_values(Emit *e, int n, const KRef *values)
{
    size_t bytes = sizeof(char *) * (size_t)e->k->n_expr;
    char **before = e->tmp;
    e->tmp = xcalloc((size_t)e->k->n_expr, sizeof(char *));
    if (before) memcpy(e->tmp, before, bytes);
    statements(e, n, values);
    return before;
}

void cuda_values_end(Emit *e, char **before)
{
    free(e->tmp);
    e->tmp = before;
}

/* ---- maps ---- */
void cuda_stores(Emit *e)
{
    Kernel *k = e->k;
    KRef values[16];
    for (int i = 0; i < k->n_store; i++) values[i] = k->store[i].value;
    char **keep = cuda_values(e, k->n_store, values);
    const char *text[16];
    for (int i = 0; i < k->n_store; i++) text[i] = expr_text(e, values[i]);
    for (int i = 0; i < k->n_store && k->n_store > 1; i++) line(e, "const float r%d = %s;", i, text[i]);
    for (int i = 0; i < k->n_store; i++) print_store(e, &k->store[i], k->n_store > 1 ? arena_printf(k->arena, "r%d", i) : text[i]);
    cuda_values_end(e, keep);
}

void cuda_open_pieces(Emit *e, int64_t total, int64_t blocks, int64_t outermost, int loop)
{
    const char *type = total > INT32_MAX ? "long long" : "int";
    const char *end = arena_printf(e->k->arena, "%lld", (long long)total);
    if (loop >= 0 && e->k->loop[loop].bounded && outermost > 0) end = arena_printf(e->k->arena, "wanted*%lld", (long long)(total / outermost));
    open_block(e, "for (%s piece = (%s)blockIdx.x*%d + threadIdx.x; piece < %s; piece += %lld)", type, type, CUDA_THREADS, end, (long long)(blocks * CUDA_THREADS));
}

int64_t cuda_blocks(int64_t total) { return MIN((total + CUDA_THREADS - 1) / CUDA_THREADS, MAX_BLOCKS); }

/* Elements of a flat map that a thread computes at once, in 16-byte accesses: 4, 8 where some have 2 bytes; 1 where not all lie side by side. */
static int64_t map_width(const Emit *e)
{
    const Kernel *k = e->k;
    const int loop = k->n_out == 1 ? k->out[0] : -1;
    int64_t width = 4;
    if (loop < 0 || k->loop[loop].size < FLAT || k->n_draw) return 1;
    for (int i = 0; i < k->n_buf; i++) if (e->l->buf[k->buf[i]].type != NUM_F32) width = 8;
    if (k->loop[loop].size % width) return 1;
    for (int i = 0; i < k->n_store; i++) if (!aligned_index(k, k->store[i].offset, loop, width)) return 1;
    for (int i = 1; i < k->n_expr; i++) {
        const KExpr *x = &k->expr[i];
        if (x->kind == K_LOAD && k->index[x->index].deps && !aligned_index(k, x->index, loop, width)) return 1;
    }
    return width;
}

static void flat_map(Emit *e, CudaText *t, int64_t width)
{
    Kernel *k = e->k;
    const int loop = k->out[0];
    const int64_t total = k->loop[loop].size / width, blocks = cuda_blocks(total);
    const CudaTile tile = {.n_col = 1, .col = k->out, .vector = width};
    t->at_once = pass_blocks(e, width);
    cuda_entry_begin(e, t, "", blocks, 1, 0);
    line(e, "/* %lld elements a thread */", (long long)width);
    cuda_open_pieces(e, total, blocks, 0, -1);
    line(e, "const %s %s_0 = piece*%lld;", e->itype, e->loop_name[loop], (long long)width);
    tile_elements(e, &tile, "", "");
    close_block(e);
    cuda_entry_end(e);
}

static void map(Emit *e, CudaText *t)
{
    Kernel *k = e->k;
    const int64_t width = map_width(e);
    if (width > 1) { flat_map(e, t, width); return; }
    int64_t total = cuda_size(e, k->n_out, k->out), blocks = cuda_blocks(total);
    cuda_entry_begin(e, t, "", blocks, 1, 0);
    line(e, "/* one element a thread */");
    cuda_open_pieces(e, total, blocks, k->n_out ? k->loop[k->out[0]].size : 0, k->n_out ? k->out[0] : -1);
    cuda_decode(e, "piece", k->n_out, k->out);
    cuda_stores(e);
    close_block(e);
    cuda_entry_end(e);
}

/* ---- tables of rows ---- */
static void table(Emit *e, CudaText *t)
{
    Kernel *k = e->k;
    const char *row = e->loop_name[k->out[0]], *y[N_TABLES];
    table_names(e, y);
    int64_t rows = k->loop[k->out[0]].size;
    bool shared = rows <= SHARED_ROWS;
    cuda_entry_begin(e, t, "", 1, 1, 0);
    line(e, "/* one block: conditions side by side, then one thread counts */");
    if (shared) {
        line(e, "__shared__ int holds[%lld];", (long long)rows);
        open_block(e, "for (int %s = threadIdx.x; %s < %lld; %s += %d)", row, row, (long long)rows, row, CUDA_THREADS);
        char **keep = cuda_values(e, 1, &k->acc[0]);
        line(e, "holds[%s] = %s ? 1 : 0;", row, operand_text(e, k->acc[0]));
        cuda_values_end(e, keep);
        close_block(e);
        line(e, "__syncthreads();");
    }
    line(e, "if (threadIdx.x != 0) return;");
    line(e, "int at = 0;");
    open_block(e, "for (int which = 1; which >= 0; which--)");
    open_block(e, "for (int %s = 0; %s < %lld; %s++)", row, row, (long long)rows, row);
    char **keep = shared ? NULL : cuda_values(e, 1, &k->acc[0]);
    line(e, "if (%s != which) continue;", shared ? arena_printf(k->arena, "holds[%s]", row) : arena_printf(k->arena, "(%s ? 1 : 0)", operand_text(e, k->acc[0])));
    if (y[TABLE_ORDER]) line(e, "%s[at] = (float)%s;", y[TABLE_ORDER], row);
    if (y[TABLE_RANK]) line(e, "%s[%s] = (float)at;", y[TABLE_RANK], row);
    line(e, "at++;");
    if (!shared) cuda_values_end(e, keep);
    close_block(e);
    if (y[TABLE_COUNT]) line(e, "if (which) %s[0] = (float)at;", y[TABLE_COUNT]);
    close_block(e);
    cuda_entry_end(e);
}

/* ---- what nobody reads ---- */
/* The first line that is indented less: where a block ends. */
static const char *block_end(const char *at, size_t indent)
{
    while (*at && (*at == '#' || *at == '\n' || strspn(at, " ") >= indent)) {
        const char *nl = strchr(at, '\n');
        if (!nl) return at + strlen(at);
        at = nl + 1;
    }
    return at;
}

/* Is it in a comment? None goes on in another line. */
static bool in_comment(const char *from, const char *at)
{
    for (; at > from && at[-1] != '\n'; at--) {
        if (at[0] == '*' && at[1] == '/') return false;
        if (at[0] == '/' && at[1] == '*') return true;
    }
    return at[0] == '/' && at[1] == '*';
}

/* A block inside may have a variable of its own with that name. */
static bool uses_word(const char *from, const char *end, const char *word, size_t n)
{
    for (const char *p = from; (p = strstr(p, word)) && p < end; p += n) {
        if (word_char(p[n]) || (p > from && word_char(p[-1])) || in_comment(from, p)) continue;
        const char *start = p;
        while (start > from && start[-1] != '\n') start--;
        const size_t indent = strspn(start, " ");
        const char *type = start + indent;
        const size_t type_n = (size_t)(p - type);
        const bool declared = (type_n == 10 && !memcmp(type, "const int ", 10)) || (type_n == 16 && !memcmp(type, "const long long ", 16));
        if (!declared) return true;
        p = block_end(start, indent) - n;
    }
    return false;
}

/* Is the line a declaration "const int NAME = ...;", or of a buffer, whose name does not occur up to the end of its block? */
static bool unread(const char *at, const char *next)
{
    size_t indent = strspn(at, " ");
    const char *p = at + indent, *eq = strstr(p, " = ");
    bool index = !strncmp(p, "const int ", 10) || !strncmp(p, "const long long ", 16) || !strncmp(p, "const EctNow ", 13);
    const char *buffer = strstr(p, "__restrict__ const ");
    if ((!index && !(buffer && buffer < next)) || !eq || eq > next || memchr(p, ',', (size_t)(eq - p))) return false;
    const char *name = eq;
    while (word_char(name[-1])) name--;
    char word[128];
    if ((size_t)(eq - name) >= sizeof word) return false;
    snprintf(word, sizeof word, "%.*s", (int)(eq - name), name);
    return !uses_word(next, block_end(next, indent), word, strlen(word));
}

/* Index variables are declared wherever they might be used; those that are not go, from the last to the first, as one may be read by another only. */
static void drop_unread(StrBuf *b)
{
    size_t at = b->len;
    while (at > 0) {
        size_t end = at;                             /* of the line before */
        at--;
        while (at > 0 && b->s[at - 1] != '\n') at--;
        if (!unread(b->s + at, b->s + end)) continue;
        memmove(b->s + at, b->s + end, b->len - end + 1);
        b->len -= end - at;
    }
}

/* ---- the pass ---- */
static void arguments(StrBuf *b, const Kernel *k, const CudaText *t)
{
    sb_printf(b, "struct %s_args {\n    const EctNow *now;\n    void *workspace;\n", k->name);
    if (k->n_draw) sb_printf(b, "    ect_u64 key[%d];\n    const float *draw[%d];\n", k->n_draw, k->n_draw);
    sb_printf(b, "    void *buf[%d];\n};\n\n", t->instances * k->n_buf);
}

CudaText *cuda_print(const Lowered *l, Kernel *k, int instances)
{
    StrBuf body = {0}, text = {0};
    Emit e = {.b = &body, .l = l, .k = k, .cuda = true};
    CudaText *t = xcalloc(1, sizeof *t);
    t->instances = instances;
    t->owner = -1;
    for (int i = 0; i < k->n_loops; i++) e.loop_name[i] = loop_c_name(&e, k->loop[i].name);
    e.itype = "int";
    for (int i = 0; i < k->n_index; i++)
        if (k->index[i].hi > INT32_MAX || k->index[i].lo < INT32_MIN) e.itype = "long long";
    if (k->cls == KERNEL_MAP) map(&e, t);
    else if (k->cls == KERNEL_REDUCE) cuda_reduce(&e, t);
    else if (k->cls == KERNEL_PASS) cuda_pass(&e, t);
    else if (k->cls == KERNEL_TABLE) table(&e, t);
    else cuda_contract(&e, t);
    if (k->n_seg > 2) cuda_roll(&body, k->n_buf);
    drop_unread(&body);
    arguments(&text, k, t);
    sb_write(&text, body.s, body.len);
    sb_free(&body);
    free(e.row);
    t->body = text.s;
    return t;
}

void cuda_text_free(CudaText *t)
{
    if (!t) return;
    free(t->body);
    free(t->user);
    free(t->number);
    free(t);
}

void emit_cuda(Backend *b)
{
    int *most = xcalloc((size_t)b->n_text + 1, sizeof *most);
    for (int i = 0; i < b->n_low; i++)
        for (int j = 0; b->low[i].owned && j < b->low[i].l->n_kernel; j++) {
            const Kernel *k = b->low[i].l->kernel[j];
            most[k->text] = MAX(most[k->text], k->n_member + 1);
        }
    for (int i = 0; i < b->n_text; i++) b->text[i].cuda = cuda_print(b->text[i].l, b->text[i].k, most[i]);
    free(most);
}
