/* Views: index, rename, pick, slice, rearrange, window, repeat, concat.
   Assumes operands that are tensors of the current graph; reports what does not fit before a builder sees it. */
#include "compiler/elab.h"

bool has_role(Elab *e, Value v, Sym role, Loc at, Loc value_at, const char *word)
{
    if (value_axis(v, role)) return true;
    Diag *d = fail(e, at, ERR_missing_role, "`%s` needs an axis `%s`", word, role);
    diag_span(d, value_at, "%s%s", type_text(e, v), from_text(e, v));
    const char *names[MAX_AXES];
    for (int i = 0; i < v.n; i++) names[i] = v.ax[i].role;
    const char *near = suggest(role, names, v.n);
    if (near) diag_help(d, "did you mean `%s`?", near);
    else diag_help(d, "name one of the axes it has");
    return false;
}

static Value with_axes(Elab *e, Ref r, Value v, Sym role, const Axis *to)
{
    Axis ax[MAX_AXES];
    int n = 0;
    for (int i = 0; i < v.n; i++) {
        if (v.ax[i].role != role) ax[n++] = v.ax[i];
        else if (to) ax[n++] = *to;
    }
    return v_tensor(e, r, n, ax);
}

static Value renamed(Elab *e, const Ast *ix, Value v, Loc value_at)
{
    if (ix->value->kind != E_NAME) {
        fail(e, ix->value->loc, ERR_rename_role, "an axis name must stand before `as`");
        return poison;
    }
    Sym from = ix->value->name, to = ix->name;
    if (!has_role(e, v, from, ix->value->loc, value_at, "as") || !row_wise(e, from, ix->loc, "as")
        || !row_wise(e, to, ix->loc, "as")) return poison;
    if (from != to && value_axis(v, to)) {
        Diag *d = fail(e, ix->name_loc, ERR_rename_role, "there is an axis `%s` already", to);
        diag_span(d, value_at, "%s%s", type_text(e, v), from_text(e, v));
        diag_help(d, "choose another name");
        return poison;
    }
    set_origin(e, ix->loc);
    Axis a = { to, value_axis(v, from)->size };
    return with_axes(e, mk_rename(e->g, v.t, from, to), v, from, &a);
}

static bool index_int(Elab *e, Ast *x, Env *env, int64_t *i)
{
    Value v = eval_const(e, x, env, "an index");
    if (v.kind == V_INT) return *i = v.i, true;
    if (v.kind == V_POISON) return false;
    Diag *d = fail(e, x->loc, ERR_index_range, "an index must be an integer");
    diag_label(d, "%s", type_text(e, v));
    return false;
}

static Value picked(Elab *e, Ast *ix, Value v, Env *env, Loc value_at)
{
    int64_t a, b;
    bool slice = ix->kind == IX_SLICE;
    if (!has_role(e, v, ix->name, ix->name_loc, value_at, "[ ]") || !row_wise(e, ix->name, ix->loc, "[ ]")) return poison;
    if (!index_int(e, ix->value, env, &a) || (slice && !index_int(e, ix->other, env, &b))) return poison;
    int64_t size = value_axis(v, ix->name)->size;
    if (!slice) b = a + 1;
    if (a < 0 || b > size || a >= b) {
        long long lo = a, hi = b, n = size;
        Diag *d = slice ? fail(e, ix->loc, ERR_index_range, "the slice %lld:%lld does not lie in axis `%s` of size %lld", lo, hi,
                               ix->name, n)
                        : fail(e, ix->loc, ERR_index_range, "index %lld is outside axis `%s` of size %lld", lo, ix->name, n);
        diag_span(d, value_at, "%s%s", type_text(e, v), from_text(e, v));
        diag_help(d, "indices run from 0 to %lld, and a slice a:b ends before b", n - 1);
        return poison;
    }
    set_origin(e, ix->loc);
    Axis to = { ix->name, b - a };
    return slice ? with_axes(e, mk_slice(e->g, v.t, ix->name, a, b - a), v, ix->name, &to)
                 : with_axes(e, mk_pick(e->g, v.t, ix->name, a), v, ix->name, NULL);
}

static Value list_index(Elab *e, Ast *x, Value v, Env *env)
{
    Ast *ix = x->items.v[0];
    int64_t a, b;
    if (x->items.n != 1 || (ix->kind != IX_EXPR && ix->kind != IX_COLON)) {
        fail(e, x->loc, ERR_bad_argument, "a list takes one index: xs[i] or xs[a:b]");
        return poison;
    }
    if (!index_int(e, ix->value, env, &a)) return poison;
    if (ix->kind == IX_EXPR) {
        if (a >= 0 && a < v.n) return v.list[a];
        Diag *d = fail(e, ix->loc, ERR_list_index, "index %lld is outside a list of %d", (long long)a, v.n);
        if (v.n) diag_help(d, "indices run from 0 to %d", v.n - 1);
        return poison;
    }
    if (!index_int(e, ix->other, env, &b)) return poison;
    if (a < 0 || b > v.n || a > b) {
        fail(e, ix->loc, ERR_list_index, "%lld:%lld does not lie in a list of %d", (long long)a, (long long)b, v.n);
        return poison;
    }
    return v_list(e, (int)(b - a), v.list + a);
}

Value index_value(Elab *e, Ast *x, Value v, Env *env)
{
    if (v.kind == V_LIST) return list_index(e, x, v, env);
    if (v.kind == V_ABSENT) return absent_error(e, v, x->value->loc);
    if (v.kind != V_TENSOR) {
        Diag *d = fail(e, x->loc, ERR_not_a_tensor, "only lists and tensors have elements");
        diag_span(d, x->value->loc, "%s", type_text(e, v));
        return poison;
    }
    for (int i = 0; i < x->items.n && v.kind != V_POISON; i++) {
        Ast *ix = x->items.v[i];
        if (ix->kind == IX_AS) v = renamed(e, ix, v, x->value->loc);
        else if (ix->kind == IX_PICK || ix->kind == IX_SLICE) v = picked(e, ix, v, env, x->value->loc);
        else {
            Diag *d = fail(e, ix->loc, ERR_bad_argument, "an index of a tensor names its axis");
            diag_span(d, x->value->loc, "%s", type_text(e, v));
            diag_help(d, "x[c = 0] picks, x[c = 0:3] slices, x[c as i] renames");
            return poison;
        }
    }
    return v;
}

/* ---- rearrange ---- */
typedef struct { Sym name; int64_t size; Loc at; bool used; } Factor;        /* size -1: not known yet */
typedef struct { int n; Factor f[2 * MAX_AXES]; int first[MAX_AXES], count[MAX_AXES]; } Factors;

static Factor *find_factor(Factors *fs, Sym name)
{
    for (int i = 0; i < fs->n; i++)
        if (fs->f[i].name == name) return &fs->f[i];
    return NULL;
}

static bool factor_size(Elab *e, Factor *f, Ast *size, Env *env)
{
    int64_t s;
    if (!size) return true;
    if (!eval_size(e, size, env, &s)) return false;
    if (s == 0 || (f->size >= 0 && f->size != s)) {
        if (!s) fail(e, size->loc, ERR_not_a_size, "a factor of size 0");
        else diag_label(fail(e, size->loc, ERR_two_sizes, "factor `%s` has two sizes", f->name), "%lld here, %lld before",
                        (long long)s, (long long)f->size);
        return false;
    }
    f->size = s;
    return true;
}

static bool read_from(Elab *e, Ast *from, Value v, Env *env, Factors *fs)
{
    for (int i = 0; i < from->items.n; i++) {
        Ast *a = from->items.v[i];
        const Axis *have = value_axis(v, a->name);
        if (!have || i >= MAX_AXES) return false;
        fs->first[i] = fs->n;
        for (int k = 0; k < MAX(a->items.n, 1); k++) {
            Ast *f = a->items.n ? a->items.v[k] : a;
            if (fs->n == 2 * MAX_AXES) {
                fail(e, f->loc, ERR_rank_limit, "more than %d factors", 2 * MAX_AXES);
                return false;
            }
            if (find_factor(fs, f->name)) {
                fail(e, f->loc, ERR_duplicate_role, "factor `%s` appears twice", f->name);
                return false;
            }
            Factor *to = &fs->f[fs->n++];
            *to = (Factor){ f->name, a->items.n ? -1 : have->size, f->loc, false };
            if (!factor_size(e, to, f->value, env)) return false;
        }
        fs->count[i] = fs->n - fs->first[i];
    }
    return true;
}

static bool read_to(Elab *e, Ast *to, Env *env, Factors *fs)
{
    for (int i = 0; i < to->items.n; i++) {
        Ast *a = to->items.v[i];
        for (int k = 0; k < MAX(a->items.n, 1); k++) {
            Ast *f = a->items.n ? a->items.v[k] : a;
            Factor *have = find_factor(fs, f->name);
            if (!have || have->used) {
                fail(e, f->loc, ERR_rearrange_roles, have ? "factor `%s` is used twice" : "`%s` is no factor of the left side",
                     f->name);
                return false;
            }
            have->used = true;
            if (!factor_size(e, have, f->value, env)) return false;
        }
        for (int j = 0; j < i; j++)
            if (to->items.v[j]->name == a->name) {
                fail(e, a->loc, ERR_duplicate_role, "axis `%s` appears twice", a->name);
                return false;
            }
    }
    for (int i = 0; i < fs->n; i++)
        if (!fs->f[i].used) {
            Diag *d = fail(e, fs->f[i].at, ERR_rearrange_roles, "factor `%s` is missing on the right side", fs->f[i].name);
            diag_span(d, to->loc, "here");
            diag_help(d, "every factor of the left side stands once on the right");
            return false;
        }
    return true;
}

static bool solve(Elab *e, Ast *from, Value v, Factors *fs)
{
    for (int i = 0; i < from->items.n; i++) {
        int64_t size = value_axis(v, from->items.v[i]->name)->size, known = 1;
        Factor *open = NULL;
        for (int k = fs->first[i]; k < fs->first[i] + fs->count[i]; k++) {
            if (fs->f[k].size >= 0) {
                if (__builtin_mul_overflow(known, fs->f[k].size, &known)) known = INT64_MAX;
            } else if (open) {
                Diag *d = fail(e, fs->f[k].at, ERR_unsolved_size, "the sizes of `%s` and `%s` are both unknown", open->name,
                               fs->f[k].name);
                diag_help(d, "give one of them a size: %s:2", fs->f[k].name);
                return false;
            } else open = &fs->f[k];
        }
        if (open ? size % known != 0 || size < known : known != size) {
            Sym role = from->items.v[i]->name;
            long long k = known, n = size;
            Diag *d = open ? fail(e, from->items.v[i]->loc, ERR_not_divisible, "%lld does not divide axis `%s` of size %lld", k,
                                  role, n)
                           : fail(e, from->items.v[i]->loc, ERR_not_divisible, "the factors make %lld, axis `%s` has size %lld",
                                  k, role, n);
            diag_label(d, "%s%s", type_text(e, v), from_text(e, v));
            diag_help(d, "choose factors whose product is %lld", n);
            return false;
        }
        if (open) open->size = size / known;
    }
    return true;
}

static bool rows_kept(Elab *e, const Ast *from, const Ast *to)
{
    const Ast *sides[2] = { from, to };
    for (int s = 0; s < 2 && e->rows; s++)
        for (int i = 0; i < sides[s]->items.n; i++) {
            const Ast *a = sides[s]->items.v[i];
            for (int k = 0; k < a->items.n; k++)
                if (!row_wise(e, a->items.v[k]->name, a->loc, "rearrange")) return false;
            if (a->items.n && !row_wise(e, a->name, a->loc, "rearrange")) return false;
        }
    return true;
}

Value rearrange(Elab *e, Ast *x, Env *env)
{
    Value v = eval(e, x->value, env);
    Ast *from = x->type, *to = x->to;
    if (v.kind == V_POISON) return v;
    if (v.kind == V_ABSENT) return absent_error(e, v, x->value->loc);
    if (v.kind != V_TENSOR) {
        Diag *d = fail(e, x->value->loc, ERR_not_a_tensor, "`rearrange` needs a tensor");
        diag_label(d, "%s", type_text(e, v));
        return poison;
    }
    for (int i = 0; i < from->items.n; i++)
        if (!has_role(e, v, from->items.v[i]->name, from->items.v[i]->loc, x->value->loc, "rearrange")) return poison;
    for (int i = 0; i < v.n; i++) {
        int k = 0;
        while (k < from->items.n && from->items.v[k]->name != v.ax[i].role) k++;
        if (k < from->items.n) continue;
        Diag *d = fail(e, from->loc, ERR_extra_role, "the left side does not name axis `%s`", v.ax[i].role);
        diag_span(d, x->value->loc, "%s%s", type_text(e, v), from_text(e, v));
        diag_help(d, "name every axis it has");
        return poison;
    }
    Factors fs = { 0 };
    if (to->items.n > MAX_AXES || !rows_kept(e, from, to)) return poison;
    if (!read_from(e, from, v, env, &fs) || !read_to(e, to, env, &fs) || !solve(e, from, v, &fs)) return poison;
    const Node *node = N(e->g, v.t);
    Rearrange r = { .n_in = node->n_axes, .n_out = to->items.n };
    int number[2 * MAX_AXES];                        /* of each factor, in the node's order of axes */
    for (int i = 0; i < node->n_axes; i++) {
        int k = 0;
        while (from->items.v[k]->name != node->axes[i].role) k++;
        r.in_count[i] = fs.count[k];
        for (int j = 0; j < fs.count[k]; j++) {
            number[fs.first[k] + j] = r.n_factors;
            r.factor[r.n_factors++] = fs.f[fs.first[k] + j].size;
        }
    }
    Axis ax[MAX_AXES];
    int f = 0;
    for (int i = 0; i < to->items.n; i++) {
        Ast *a = to->items.v[i];
        ax[i] = (Axis){ a->name, 1 };
        r.out_count[i] = MAX(a->items.n, 1);
        for (int k = 0; k < r.out_count[i]; k++) {
            int which = (int)(find_factor(&fs, (a->items.n ? a->items.v[k] : a)->name) - fs.f);
            r.out_factor[f++] = number[which];
            ax[i].size *= fs.f[which].size;
        }
    }
    set_origin(e, x->loc);
    return v_tensor(e, mk_rearrange(e->g, v.t, &r, ax), -1, NULL);
}

/* ---- window, repeat, concat ---- */
static Value view_operand(Elab *e, Ast *call, Env *env, const char *word)
{
    if (!call->items.n || call->items.v[0]->kind != ARG || call->items.v[0]->name) {
        Diag *d = fail(e, call->loc, ERR_missing_argument, "`%s` needs a tensor first", word);
        diag_help(d, "%s", !strcmp(word, "window") ? "window(x; h by kh:3, w by kw:3; pad = 1)" : "repeat(x; h by 2, w by 2)");
        return poison;
    }
    Value v = eval(e, call->items.v[0]->value, env);
    if (v.kind == V_ABSENT) return absent_error(e, v, call->items.v[0]->loc);
    if (v.kind == V_TENSOR || v.kind == V_POISON) return v;
    Diag *d = fail(e, call->items.v[0]->loc, ERR_not_a_tensor, "`%s` needs a tensor", word);
    diag_label(d, "%s", type_text(e, v));
    return poison;
}

static bool by_role(Elab *e, Ast *a, Value v, Env *env, Loc value_at, const char *word, int64_t *k)
{
    if (a->kind != ARG_BY || a->value->kind != E_NAME) {
        fail(e, a->loc, ERR_bad_argument, "`%s` takes `axis by number` here", word);
        return false;
    }
    if (!has_role(e, v, a->value->name, a->value->loc, value_at, word)
        || !row_wise(e, a->value->name, a->loc, word)) return false;
    if (!eval_size(e, a->other, env, k)) return false;
    if (*k > 0) return true;
    fail(e, a->other->loc, ERR_not_a_size, "this must be 1 or more");
    return false;
}

Value window(Elab *e, Ast *call, Env *env)
{
    Value v = view_operand(e, call, env, "window");
    if (v.kind == V_POISON) return v;
    struct { const char *name; int64_t v; } opt[3] = { { "pad", 0 }, { "stride", 1 }, { "dilation", 1 } };
    for (int i = 1; i < call->items.n; i++) {
        Ast *a = call->items.v[i];
        if (a->kind == ARG_BY) continue;
        int k = 0;
        while (k < 3 && a->name && strcmp(a->name, opt[k].name)) k++;
        if (!a->name || k == 3) {
            Diag *d = fail(e, a->loc, ERR_unknown_argument, "`window` has no such option");
            diag_help(d, "its options are pad, stride and dilation");
            return poison;
        }
        if (!eval_size(e, a->value, env, &opt[k].v)) return poison;
        if (k > 0 && opt[k].v == 0) {
            fail(e, a->value->loc, ERR_window, "`%s` must be 1 or more", opt[k].name);
            return poison;
        }
    }
    Loc value_at = call->items.v[0]->loc;
    for (int i = 1; i < call->items.n; i++) {
        Ast *a = call->items.v[i];
        int64_t k;
        if (a->kind != ARG_BY) continue;
        if (!by_role(e, a, v, env, value_at, "window", &k)) return poison;
        if (!a->name || value_axis(v, a->name)) {
            Diag *d = a->name ? fail(e, a->loc, ERR_window, "there is an axis `%s` already", a->name)
                              : fail(e, a->loc, ERR_window, "the window's axis needs a name");
            diag_help(d, "%s by k%s:%lld", a->value->name, a->value->name, (long long)k);
            return poison;
        }
        int64_t size = value_axis(v, a->value->name)->size, reach = opt[2].v * (k - 1) + 1, room = size + 2 * opt[0].v - reach;
        if (room < 0) {
            Diag *d = fail(e, a->loc, ERR_window, "a window over %lld does not fit axis `%s` of size %lld with pad %lld",
                           (long long)reach, a->value->name,
                           (long long)size, (long long)opt[0].v);
            diag_span(d, value_at, "%s%s", type_text(e, v), from_text(e, v));
            diag_help(d, "a larger pad or a smaller window");
            return poison;
        }
        Axis ax[MAX_AXES + 1];
        int n = v.n;
        memcpy(ax, v.ax, sizeof *ax * (size_t)n);
        for (int j = 0; j < n; j++)
            if (ax[j].role == a->value->name) ax[j].size = room / opt[1].v + 1;
        ax[n++] = (Axis){ a->name, k };
        if (!size_ok(e, n, ax, a->loc)) return poison;
        set_origin(e, call->loc);
        v = v_tensor(e, mk_window(e->g, v.t, a->value->name, a->name, k, opt[1].v, opt[2].v, opt[0].v, room / opt[1].v + 1), n,
                     ax);
    }
    return v;
}

Value repeat(Elab *e, Ast *call, Env *env)
{
    Value v = view_operand(e, call, env, "repeat");
    for (int i = 1; i < call->items.n && v.kind != V_POISON; i++) {
        Ast *a = call->items.v[i];
        int64_t k;
        if (!by_role(e, a, v, env, call->items.v[0]->loc, "repeat", &k)) return poison;
        Axis ax[MAX_AXES];
        memcpy(ax, v.ax, sizeof *ax * (size_t)v.n);
        for (int j = 0; j < v.n; j++)
            if (ax[j].role == a->value->name && __builtin_mul_overflow(ax[j].size, k, &ax[j].size)) ax[j].size = INT64_MAX;
        if (!size_ok(e, v.n, ax, a->loc)) return poison;
        set_origin(e, call->loc);
        v = v_tensor(e, mk_repeat(e->g, v.t, a->value->name, k), v.n, ax);
    }
    return v;
}

Value concat(Elab *e, Sym role, int n, const Value *a, const Loc *locs, Loc at)
{
    Ref *r = arena_make(e->arena, Ref, n);
    Value *others = arena_make(e->arena, Value, n);          /* the operands without the axis, to join the rest */
    int64_t total = 0;
    if (!row_wise(e, role, at, "concat")) return poison;
    for (int i = 0; i < n; i++) {
        if (a[i].kind == V_POISON) return poison;
        if (a[i].kind == V_ABSENT) return absent_error(e, a[i], locs[i]);
        if (a[i].kind != V_TENSOR || !value_axis(a[i], role) || N(e->g, a[i].t)->type == T_BOOL) {
            Diag *d = fail(e, locs[i], ERR_concat_roles, "every part of concat[%s] needs an axis `%s`", role, role);
            diag_label(d, "%s%s", type_text(e, a[i]), from_text(e, a[i]));
            diag_help(d, "a rename gives the axis this role: y[a as %s]", role);
            return poison;
        }
        total += value_axis(a[i], role)->size;
        r[i] = a[i].t;
        Axis *ax = arena_make(e->arena, Axis, a[i].n);
        memcpy(ax, a[i].ax, sizeof *ax * (size_t)a[i].n);
        for (int k = 0; k < a[i].n; k++)
            if (ax[k].role == role) ax[k].size = 1;
        others[i] = a[i];
        others[i].ax = ax;
    }
    Axis ax[MAX_AXES];
    int k;
    if (!join_axes(e, n, others, locs, at, "concat", &k, ax)) return poison;
    for (int i = 0; i < k; i++)
        if (ax[i].role == role) ax[i].size = total;
    if (!size_ok(e, k, ax, at)) return poison;
    set_origin(e, at);
    return v_tensor(e, mk_concat(e->g, role, n, r), k, ax);
}
