/* The tensors of a program as field elements: inputs, weights and state by hash, the same wherever they are made; results are
   junk. Assumes a plan that was validated and is small. */
#include "tests/exact/exact.h"

static Fp *hashed(const char *what, const char *name, int64_t n, uint64_t salt)
{
    Fp *v = xmalloc((size_t)MAX((int64_t)1, n) * sizeof *v);
    uint64_t kind = fp_mix(fp_hash_text(what) ^ fp_mix(fp_hash_text(name) + salt));
    for (int64_t i = 0; i < n; i++) v[i] = fp_hash(kind, (uint64_t)i);
    return v;
}
static Fp **tensors(const char *what, int n, const PlanTensor *t, const int *skip, uint64_t salt)
{
    Fp **v = xcalloc((size_t)n + 1, sizeof *v);
    for (int i = 0; i < n; i++) {
        int64_t elements = shape_elements(&t[i].shape);
        if (elements && !(skip && skip[i] >= 0)) v[i] = hashed(what, t[i].name, elements, salt);
    }
    return v;
}
uint64_t draw_key(const char *name) { return fp_hash_text(name); }

Tensors *tensors_new(const Plan *plan, const PlanProgram *p, uint64_t salt, uint64_t junk)
{
    Tensors *t = xcalloc(1, sizeof *t);
    *t = (Tensors){.plan = plan, .program = p, .step = 3, .sample0 = 40, .salt = salt};
    t->in = tensors("input", p->n_inputs, p->input, NULL, salt);
    t->out = tensors("output", p->n_outputs, p->output, p->output_param, junk);
    t->carry = tensors("carry", p->n_carries, p->carry, NULL, junk);
    t->set = xcalloc((size_t)plan->n_sets, sizeof *t->set);
    for (int i = 0; i < plan->n_sets; i++) t->set[i] = hashed("set", plan->set[i], plan->param_elements, salt);
    t->grad = xcalloc((size_t)MAX((int64_t)1, plan->param_elements), sizeof *t->grad);       /* padding is 0 */
    for (int i = 0; i < plan->n_params; i++)
        for (int64_t e = 0; e < plan->param[i].elements; e++)
            t->grad[plan->param[i].offset + e] = fp_hash(junk, (uint64_t)(plan->param[i].offset + e));
    t->state = xcalloc((size_t)plan->n_states + 1, sizeof *t->state);
    for (int i = 0; i < plan->n_states; i++)
        t->state[i] = plan->state[i].ema ? t->set[plan->state[i].set]
                                         : hashed("state", plan->state[i].name, plan->param_elements, salt);
    t->scalar = xcalloc((size_t)plan->n_scalars + 1, sizeof *t->scalar);
    return t;
}
void tensors_scalars(Tensors *t, const PlanSegment *segment, int turn)
{
    for (int i = 0; i < t->plan->n_scalars; i++)
        t->scalar[i] = fp_hash(fp_mix(fp_hash_text(segment->name) + (uint64_t)turn) + t->salt, (uint64_t)i);
    t->step = 3 + (uint64_t)turn + 100 * t->salt;
}
static bool has_gradient(const PlanProgram *p)
{
    for (int i = 0; i < p->n_outputs; i++) if (p->output_param[i] >= 0) return true;
    return !strcmp(p->name, "train_step");
}
bool tensors_result(const Tensors *t, int index, const char **name, Fp **v, int64_t *n)
{
    const PlanProgram *p = t->program;
    *v = NULL;
    if (index < p->n_outputs) {
        *name = p->output[index].name;
        *v = t->out[index];
        *n = shape_elements(&p->output[index].shape);
        return true;
    }
    if ((index -= p->n_outputs) < p->n_carries) {
        *name = p->carry[index].name;
        *v = t->carry[index];
        *n = shape_elements(&p->carry[index].shape);
        return true;
    }
    *n = t->plan->param_elements;
    if ((index -= p->n_carries) < t->plan->n_sets) {
        *name = index ? t->plan->set[index] : "the weights";
        *v = t->set[index];
        return true;
    }
    if ((index -= t->plan->n_sets) < t->plan->n_states) {
        *name = t->plan->state[index].name;
        *v = t->state[index];
        return true;
    }
    *name = "the gradient";
    if (has_gradient(p)) *v = t->grad;
    return index == t->plan->n_states;
}
void tensors_free(Tensors *t)
{
    for (int i = 0; i < t->program->n_inputs; i++) free(t->in[i]);
    for (int i = 0; i < t->program->n_outputs; i++) free(t->out[i]);
    for (int i = 0; i < t->program->n_carries; i++) free(t->carry[i]);
    for (int i = 0; i < t->plan->n_states; i++) if (!t->plan->state[i].ema) free(t->state[i]);
    for (int i = 0; i < t->plan->n_sets; i++) free(t->set[i]);
    free(t->in); free(t->out); free(t->carry); free(t->set); free(t->state); free(t->grad); free(t->scalar);
    free(t);
}
