/* Loading weights into a session: every tensor that is missing, unknown, of another shape or not finite is listed in one message.
   Assumes files validated by tensor_file.c. */
#include <math.h>
#include "runtime/run.h"

typedef struct { StrBuf missing, extra, reshaped, bad; int n_missing, n_extra, n_reshaped, n_bad; } Report;

static void list(StrBuf *b, int *count, const char *name)
{
    sb_printf(b, "\n    %s", name);
    ++*count;
}
static bool same_shape(const TensorEntry *t, const PlanShape *s)
{
    if (t->n_dims != s->n) return false;
    for (int i = 0; i < s->n; i++) if (t->shape[i] != s->size[i]) return false;
    return true;
}
/* The entry for a parameter of a set: by name, else by its old name. */
static const TensorEntry *entry_of(const TensorFile *f, const char *set, const PlanParam *p)
{
    const TensorEntry *t = NULL;
    for (int old = 0; old < 2 && !t; old++) {
        const char *name = old ? p->was : p->name;
        if (!name) continue;
        char *full = *set ? xasprintf("%s.%s", set, name) : xstrdup(name);
        t = tensor_find(f, full);
        free(full);
    }
    return t;
}
/* One set into a flat array; what was used is marked. Returns how many were loaded. */
static int load_set(const Plan *plan, const TensorFile *f, const char *set, float *flat, bool *used, Report *r)
{
    int loaded = 0;
    float *tmp = NULL;
    size_t cap = 0;
    for (int i = 0; i < plan->n_params; i++) {
        const PlanParam *p = &plan->param[i];
        const TensorEntry *t = entry_of(f, set, p);
        char *full = *set ? xasprintf("%s.%s", set, p->name) : xstrdup(p->name);
        if (!t) list(&r->missing, &r->n_missing, full);
        else {
            used[t - f->tensor] = true;
            if (!same_shape(t, &p->shape)) {
                list(&r->reshaped, &r->n_reshaped, t->name);
                sb_puts(&r->reshaped, ": ");
                tensor_shape_text(&r->reshaped, t->n_dims, t->shape);
                sb_puts(&r->reshaped, " in the file, ");
                tensor_shape_text(&r->reshaped, p->shape.n, p->shape.size);
                sb_puts(&r->reshaped, " in the model");
            } else {
                if (cap < (size_t)p->elements) tmp = xrealloc(tmp, (cap = (size_t)p->elements) * sizeof *tmp);
                tensor_read_f32(t, 0, p->elements, tmp);
                int64_t bad = 0, first = -1;
                for (int64_t e = 0; e < p->elements; e++) if (!isfinite(tmp[e]) && !bad++) first = e;
                if (bad) {
                    list(&r->bad, &r->n_bad, t->name);
                    sb_printf(&r->bad, ": %lld of %lld, the first at element %lld (%g)", (long long)bad, (long long)p->elements,
                              (long long)first, tmp[first]);
                } else {
                    param_scatter(p, tmp, flat);
                    loaded++;
                }
            }
        }
        free(full);
    }
    free(tmp);
    return loaded;
}
static bool ignored(const char *name, const char *const *ignore)
{
    for (; ignore && *ignore; ignore++) if (!strncmp(name, *ignore, strlen(*ignore))) return true;
    return false;
}
static bool has_set(const Plan *plan, const TensorFile *f, const char *set)
{
    for (int i = 0; i < plan->n_params; i++) if (entry_of(f, set, &plan->param[i])) return true;
    return false;
}
static void put(StrBuf *b, int n, const StrBuf *names, const char *what)
{
    if (n) sb_printf(b, "\n  %d %s:%s", n, what, names->s);
}
void session_load(Session *s, const char *path, const char *const *ignore, bool partial, int *n_loaded)
{
    const Plan *plan = s->plan;
    char *err = NULL;
    TensorFile *f = tensor_file_open(path, &err);
    if (!f) user_error("%s", err);
    bool *used = xcalloc((size_t)f->n + 1, sizeof *used);
    Report r = {0};
    int loaded = load_set(plan, f, "", s->param, used, &r);
    size_t bytes = (size_t)plan->param_elements * sizeof(float);
    for (int k = 1; k < plan->n_sets; k++) {
        if (!has_set(plan, f, plan->set[k])) {                       /* the live weights stand for both */
            if (s->set[k] != s->param) memcpy(s->set[k], s->param, bytes);
            continue;
        }
        if (s->set[k] == s->param) {
            s->set[k] = xcalloc((size_t)MAX((int64_t)1, plan->param_elements), sizeof(float));
            memcpy(s->set[k], s->param, bytes);
        }
        loaded += load_set(plan, f, plan->set[k], s->set[k], used, &r);
    }
    for (int i = 0; i < f->n; i++) {
        if (used[i] || ignored(f->tensor[i].name, ignore)) continue;
        list(&r.extra, &r.n_extra, f->tensor[i].name);
        sb_putc(&r.extra, ' ');
        tensor_shape_text(&r.extra, f->tensor[i].n_dims, f->tensor[i].shape);
    }
    StrBuf b = {0};
    put(&b, r.n_missing, &r.missing, "missing");
    put(&b, r.n_extra, &r.extra, "that the model does not have");
    put(&b, r.n_reshaped, &r.reshaped, "of another shape");
    put(&b, r.n_bad, &r.bad, "with values that are not finite");
    if (b.len && (!partial || r.n_bad)) user_error("the weights %s do not fit the plan %s%s", path, plan->dir, b.s);
    if (b.len) warn("the weights %s fit in part%s", path, b.s);
    if (n_loaded) *n_loaded = loaded;
    session_changed(s);
    sb_free(&b);
    sb_free(&r.missing);
    sb_free(&r.extra);
    sb_free(&r.reshaped);
    sb_free(&r.bad);
    free(used);
    tensor_file_close(f);
}
