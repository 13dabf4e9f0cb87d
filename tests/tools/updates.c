/* updates PLAN DEVICE OUT: updates of all kinds without a look at their results - one to five micro-batches, another seed, another learning rate,
   weights written by the host in between - then the weights and states as bytes in OUT. For comparing devices.
   Assumes a plan whose train_step takes inputs of f32. */
#include "runtime/run.h"
#include "tool.h"

/* What the micro-batches of an update are fed: other values each time, in one and the same memory. */
static void fill(const PlanProgram *p, float **in, uint64_t number)
{
    for (int i = 0; i < p->n_inputs; i++) {
        int64_t n = shape_elements(&p->input[i].shape);
        for (int64_t e = 0; e < n; e++) in[i][e] = formula(p->input[i].name, number * (uint64_t)n + (uint64_t)e, 2, 1);
    }
}

int main(int argc, char **argv)
{
    static const int micros[] = {1, 1, 3, 3, 1, 2, 5, 5, 5, 5, 1, 1};
    prog_name = "updates";
    if (argc != 4) user_error("usage: updates PLAN DEVICE OUT");
    char *err = NULL;
    Plan *plan = plan_load(argv[1], &err);
    if (!plan) user_error("%s", err);
    Session *s = session_open(plan, argv[2], 1);
    const PlanProgram *p = plan_program(plan, "train_step");
    session_init(s);
    session_training(s);
    float **in = xcalloc((size_t)p->n_inputs + 1, sizeof *in);
    for (int i = 0; i < p->n_inputs; i++) in[i] = xcalloc((size_t)MAX((int64_t)1, shape_elements(&p->input[i].shape)), sizeof(float));
    uint64_t number = 0;
    for (size_t u = 0; u < COUNT(micros); u++) {
        if (u == 5) s->seed = 7;
        if (u == 8 && !session_set(s, "lr=3e-3", &err)) user_error("%s", err);
        if (u == 9) {                                /* the host reads and writes weights between updates */
            session_fetch(s);
            for (int64_t e = 0; e < plan->param[0].elements; e++) s->param[plan->param[0].offset + e] *= 0.5f;
            session_changed(s);
        }
        for (int r = 0; r < micros[u]; r++) {
            fill(p, in, number++);
            session_micro(s, &(RunArgs){.in = (const float *const *)in, .sample0 = (uint64_t)r * (uint64_t)plan->batch});
        }
        session_update(s);
        memset(in[0], 0, sizeof(float));             /* nobody may still be reading it */
        s->step++;
        s->seen += (uint64_t)micros[u] * (uint64_t)plan->batch;
    }
    session_fetch(s);
    session_fetch_gradient(s);
    StrBuf b = {0};
    size_t n = (size_t)plan->param_elements * sizeof(float);
    for (int k = 0; k < plan->n_sets; k++) sb_write(&b, s->set[k], n);
    for (int k = 0; k < plan->n_states; k++) sb_write(&b, s->state[k], n);
    sb_write(&b, s->grad, n);
    if (!write_file_atomic(argv[3], b.s, b.len)) machine_error("cannot write %s: %s", argv[3], strerror(errno));
    session_close(s);
    return 0;
}
