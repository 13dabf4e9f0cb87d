/* Run-time variables: each is an expression over the others, `step` and `seen`; evaluated when first asked for, cycles found on
   the way. Assumes plan_load has parsed every expression once. */
#include <math.h>
#include "runtime/expr.h"
#include "runtime/vars.h"

typedef enum { UNKNOWN, ACTIVE, DONE } Mark;
typedef struct { const char *name; HostExpr *expr; bool is_int; Mark mark; double value; } Var;
struct Vars {
    const Plan *plan;
    int n; Var *var;
    HostExpr **scalar;
    uint64_t step, seen;
    const char *time; double level;
    const char *missing;                             /* a segment's time that has no value here */
};

static HostExpr *must_parse(const char *text)
{
    char *err = NULL;
    HostExpr *e = expr_parse(text, &err);
    if (!e) die("expression `%s` was accepted on load: %s", text, err);
    return e;
}
Vars *vars_new(const Plan *plan)
{
    Vars *v = xcalloc(1, sizeof *v);
    v->plan = plan;
    v->n = plan->n_runtime;
    v->var = xcalloc((size_t)v->n + 1, sizeof *v->var);
    for (int i = 0; i < v->n; i++)
        v->var[i] =
            (Var){.name = plan->runtime[i].name, .is_int = plan->runtime[i].is_int, .expr = must_parse(plan->runtime[i].expr)};
    v->scalar = xcalloc((size_t)plan->n_scalars + 1, sizeof *v->scalar);
    for (int i = 0; i < plan->n_scalars; i++) v->scalar[i] = must_parse(plan->scalar[i]);
    return v;
}
void vars_free(Vars *v)
{
    if (!v) return;
    for (int i = 0; i < v->n; i++) expr_free(v->var[i].expr);
    for (int i = 0; i < v->plan->n_scalars; i++) expr_free(v->scalar[i]);
    free(v->scalar);
    free(v->var);
    free(v);
}
static Var *find(Vars *v, const char *name)
{
    for (int i = 0; i < v->n; i++) if (!strcmp(v->var[i].name, name)) return &v->var[i];
    return NULL;
}
static const char *nearest(Vars *v, const char *name)
{
    const char **names = xmalloc(((size_t)v->n + 1) * sizeof *names);
    for (int i = 0; i < v->n; i++) names[i] = v->var[i].name;
    const char *near = suggest(name, names, v->n);
    free(names);
    return near;
}
static bool is_time(const Vars *v, const char *name)
{
    for (int i = 0; i < v->plan->n_programs; i++)
        for (int k = 0; k < v->plan->program[i].n_segments; k++) {
            const char *time = v->plan->program[i].segment[k].time;
            if (time && !strcmp(time, name)) return true;
        }
    return false;
}
bool vars_set(Vars *v, const char *assignment, char **err)
{
    const char *eq = strchr(assignment, '=');
    if (!eq || eq == assignment) {
        *err = xasprintf("--set %s: write it as NAME=VALUE", assignment);
        return false;
    }
    const char *from = assignment, *to = eq;
    while (from < to && *from == ' ') from++;
    while (to > from && to[-1] == ' ') to--;
    char *name = xasprintf("%.*s", (int)(to - from), from), *why = NULL;
    Var *var = find(v, name);
    HostExpr *e = var ? expr_parse(eq + 1, &why) : NULL;
    if (!var) {
        const char *near = nearest(v, name);
        bool config = false;
        for (int i = 0; i < v->plan->n_config; i++) config |= !strcmp(v->plan->config[i].name, name);
        if (config)
            *err = xasprintf("--set %s: `%s` is fixed when the model is compiled; use `ectc ... -D %s`", assignment, name,
                             assignment);
        else if (near)
            *err = xasprintf("--set %s: the model has no run-time variable `%s`; did you mean `%s`?", assignment, name, near);
        else
            *err = xasprintf("--set %s: the model has no run-time variable `%s` (`ect-rt explain` lists them)", assignment, name);
    } else if (!e) *err = xasprintf("--set %s: %s of the value", assignment, why);
    free(name);
    free(why);
    if (!e) return false;
    const char *used[256];
    int n = expr_names(e, used, (int)COUNT(used));
    for (int i = 0; i < n; i++)
        if (!find(v, used[i]) && strcmp(used[i], "step") && strcmp(used[i], "seen")) {
            const char *near = nearest(v, used[i]);
            *err = xasprintf("--set %s: the model has no run-time variable `%s`%s%s%s", assignment, used[i],
                             near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
            expr_free(e);
            return false;
        }
    expr_free(var->expr);
    var->expr = e;
    for (int i = 0; i < v->n; i++) v->var[i].mark = UNKNOWN;
    return true;
}

static bool lookup(void *user, const char *name, double *value);
static double evaluate(Vars *v, Var *x)
{
    if (x->mark == DONE) return x->value;
    if (x->mark == ACTIVE) user_error("the run-time variable `%s` depends on itself", x->name);
    x->mark = ACTIVE;
    const char *bad = NULL;
    x->value = expr_eval(x->expr, lookup, v, &bad);
    if (bad) user_error("the run-time variable `%s` mentions `%s`, which the model does not declare", x->name, bad);
    if (x->is_int && !(x->value == floor(x->value) && fabs(x->value) < 0x1p53))
        user_error("the run-time variable `%s` is an int, but its value is %.9g", x->name, x->value);
    x->mark = DONE;
    return x->value;
}
static bool lookup(void *user, const char *name, double *value)
{
    Vars *v = user;
    Var *x;
    if (v->time && !strcmp(v->time, name)) *value = v->level;
    else if ((x = find(v, name))) *value = evaluate(v, x);
    else if (!strcmp(name, "step")) *value = (double)v->step;
    else if (!strcmp(name, "seen")) *value = (double)v->seen;
    else return false;
    return true;
}
static void at(Vars *v, uint64_t step, uint64_t seen)
{
    if (v->step != step || v->seen != seen)
        for (int i = 0; i < v->n; i++) v->var[i].mark = UNKNOWN;
    v->step = step;
    v->seen = seen;
    v->time = NULL;
}
bool vars_value(Vars *v, const char *name, uint64_t step, uint64_t seen, double *value)
{
    at(v, step, seen);
    Var *x = find(v, name);
    if (!x) return false;
    *value = evaluate(v, x);
    return true;
}
void vars_scalars(Vars *v, uint64_t step, uint64_t seen, const char *time, double level, double *wide, float *narrow)
{
    at(v, step, seen);
    v->time = time;
    v->level = level;
    for (int i = 0; i < v->plan->n_scalars; i++) {
        const char *bad = NULL;
        wide[i] = expr_eval(v->scalar[i], lookup, v, &bad);
        narrow[i] = (float)wide[i];
    }
    v->time = NULL;
}
void vars_check(Vars *v, uint64_t step, uint64_t seen)
{
    at(v, step, seen);
    for (int i = 0; i < v->n; i++) evaluate(v, &v->var[i]);
    for (int i = 0; i < v->plan->n_scalars; i++) {
        const char *used[256];
        int n = expr_names(v->scalar[i], used, (int)COUNT(used));
        for (int k = 0; k < n; k++)
            if (!find(v, used[k]) && strcmp(used[k], "step") && strcmp(used[k], "seen") && !is_time(v, used[k]))
                user_error("the plan is not valid: its scalar `%s` mentions `%s`, which is no run-time variable",
                           v->plan->scalar[i], used[k]);
    }
}
