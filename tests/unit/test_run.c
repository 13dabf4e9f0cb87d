/* Sessions and `ect-rt run` on a hand-written plan: linear regression with training, an EMA, and a sampler that repeats.
   Assumes the interpreters (test_ref.c). */
#include "plan_text.h"
#include "runtime/rng.h"
#include <math.h>
#include <sys/wait.h>
#include <setjmp.h>
#include <cmocka.h>

/* y = sum_i x[n,i] w[i] + b; loss = (y - t)^2 + noise * 0; the update: p -= lr g, m counts steps, ema follows. */
static const char loss_graph[] = "%1 = input \"x\" [n:2,i:3]\n%2 = input \"t\" [n:2]\n%3 = param \"w\" set \"\" [o:2,i:3]\n%4 = "
                                 "contract (i) %1 %3 [n:2,o:2]\n%5 = sum (o) %4 [n:2]\n"
                                 "%6 = draw normal stream \"noise\" path \"draw.noise\" [n:2]\n%7 = scalar 1 []\n%8 = mul %6 %7 "
                                 "[n:2]\n%9 = add %2 %8 [n:2]\n%10 = sub %5 %9 [n:2]\n"
                                 "%11 = mul %10 %10 [n:2]\n";
static const char grad_tail[] =                                       /* of the mean over n = 2 */
    "%12 = contract (n) %10 %1 [i:3]\n%13 = expand o 2 %12 [i:3,o:2]\nout \"grad.w\" %13\nout \"loss\" %11\n";
static const char update_graph[] = "%1 = input \"p\" [e:8]\n%2 = input \"g\" [e:8]\n%3 = input \"m\" [e:8]\n%4 = input \"ema\" "
                                   "[e:8]\n%5 = scalar 0 []\n%6 = mul %5 %2 [e:8]\n%7 = sub %1 %6 [e:8]\n"
                                   "%8 = const 1 []\n%9 = add %3 %8 [e:8]\n%10 = sub %4 %7 [e:8]\n%11 = const 0.5 []\n%12 = mul "
                                   "%10 %11 [e:8]\n%13 = add %7 %12 [e:8]\n"
                                   "out \"p\" %7\nout \"m\" %9\nout \"ema\" %13\n";
static const char init_graph[] = "%1 = draw uniform stream \"init\" path \"draw.init.w\" [o:2,i:3]\nout \"w\" %1\n";
static const char sample0_graph[] = "%1 = input \"z\" [n:2,c:3]\n%2 = const 2 []\n%3 = mul %1 %2 [n:2,c:3]\nout \"carry.v\" %3\n";
static const char sample1_graph[] = "%1 = input \"carry.v\" [n:2,c:3]\n%2 = draw normal stream \"sample\" path \"draw.sample\" "
                                    "[n:2,c:3]\n%3 = scalar 2 []\n%4 = mul %2 %3 [n:2,c:3]\n"
                                    "%5 = add %1 %4 [n:2,c:3]\nout \"carry.v\" %5\n";
static const char sample2_graph[] =
    "%1 = input \"carry.v\" [n:2,c:3]\n%2 = param \"w\" set \"ema\" [o:2,i:3]\n%3 = pick o 0 %2 [i:3]\n%4 = rename i c %3 [c:3]\n"
    "%5 = mul %1 %4 [n:2,c:3]\nout \"images\" %5\n";
#define SEGMENT(name, file, phase, each, buffers, draws)                                                                         \
    "{\"name\": \"" name "\", \"graph\": \"graph/" file ".txt\", \"phase\": " phase ", " each ", \"buffers\": [" buffers         \
    "], \"draws\": [" draws "], "                                                                                                \
    "\"steps\": [], \"peak_bytes\": 0, \"flops\": 0, \"bytes\": 0}"
#define ONCE "\"each\": null, \"time\": null"
#define NOISE "{\"name\": \"draw.noise\", \"kind\": \"normal\", \"roles\": [\"n\"], \"shape\": [2]}"
#define DRAW_SAMPLE "{\"name\": \"draw.sample\", \"kind\": \"normal\", \"roles\": [\"n\", \"c\"], \"shape\": [2, 3]}"
#define CARRY "{\"name\": \"carry.v\", \"kind\": \"carry\", \"elements\": 6, \"roles\": [\"n\", \"c\"], \"shape\": [2, 3]}"
#define IN                                                                                                                       \
    "[{\"name\": \"x\", \"roles\": [\"n\", \"i\"], \"shape\": [2, 3]}, {\"name\": \"t\", \"roles\": [\"n\"], \"shape\": [2]}, "  \
    "{\"name\": \"labels\", \"roles\": [\"n\", \"c\"], \"shape\": [2, 0]}]"
#define LOSS "{\"name\": \"loss\", \"roles\": [\"n\"], \"shape\": [2]}"
static const char plan_json[] =
    "{\"format\": \"ect-plan\", \"version\": 2, \"ectc\": \"0\", \"model\": \"m\", \"batch\": 2, \"config\": [[\"res\", "
    "\"3\"]],\n"
    "\"parameters\": [{\"name\": \"w\", \"was\": \"old\", \"roles\": [\"o\", \"i\"], \"shape\": [2, 3], \"order\": [1, 0], "
    "\"offset\": 1}], \"param_elements\": 8,\n"
    "\"sets\": [\"\", \"ema\"], \"states\": [{\"name\": \"m\", \"init\": 3}, {\"name\": \"ema\", \"init\": \"param\", \"ema\": "
    "true}],\n"
    "\"runtime\": [{\"name\": \"lr\", \"type\": \"real\", \"expr\": \"0.25\"}, {\"name\": \"stage\", \"type\": \"int\", "
    "\"expr\": \"floor(seen / 2)\"}, "
    "{\"name\": \"scale\", \"type\": \"real\", \"expr\": \"0\"}],\n"
    "\"scalars\": [\"lr / step\", \"scale\", \"t * 2\"], \"streams\": [], \"kernels\": [], \"programs\": [\n"
    "{\"name\": \"init\", \"training\": false, \"inputs\": [], \"outputs\": [{\"name\": \"w\", \"roles\": [\"o\", \"i\"], "
    "\"shape\": [2, 3]}],"
    " \"segments\": [" SEGMENT(
        "init", "init", "null", ONCE, "",
        "") "]},\n"
            "{\"name\": \"loss\", \"training\": true, \"inputs\": " IN ", \"outputs\": [" LOSS "], \"segments\": [" SEGMENT(
                "loss", "loss", "null", ONCE, "",
                NOISE) "]},\n"
                       "{\"name\": \"grad\", \"training\": true, \"inputs\": " IN ", \"outputs\": [" LOSS
                       ", {\"name\": \"grad.w\"}],"
                       " \"segments\": [" SEGMENT(
                           "grad", "grad", "null", ONCE, "",
                           NOISE) "]},\n"
                                  "{\"name\": \"train_step\", \"training\": true, \"inputs\": " IN ", \"outputs\": [" LOSS
                                  "], \"segments\": [" SEGMENT(
                                      "train_step.micro", "grad", "\"micro\"", ONCE, "",
                                      NOISE) ", " SEGMENT("train_step.update", "update", "\"update\"", ONCE, "",
                                                          "") "]},\n"
                                                              "{\"name\": \"sample\", \"training\": false, \"inputs\": "
                                                              "[{\"name\": \"z\", \"roles\": [\"n\", \"c\"], \"shape\": [2, 3]}],"
                                                              " \"outputs\": [{\"name\": \"images\", \"roles\": [\"n\", \"c\"], "
                                                              "\"shape\": [2, 3]}], \"segments\": [" SEGMENT(
                                                                  "sample.0", "sample0", "null", ONCE, CARRY,
                                                                  "") ", " SEGMENT("sample.1", "sample1", "null",
                                                                                   "\"each\": \"mid\", \"time\": \"t\"", CARRY,
                                                                                   DRAW_SAMPLE) ", " SEGMENT("sample.2",
                                                                                                             "sample2", "null",
                                                                                                             ONCE, CARRY,
                                                                                                             "") "]}]}";
static const float weights[6] = {1, 2, 3, 4, 5, 6}, x[6] = {1, 0, 2, -1, 1, 0.5f}, t[2] = {10, -3};

static void make_plan(void)
{
    char *text = xasprintf("%sout \"loss\" %%11\n", loss_graph), *grad = xasprintf("%s%s", loss_graph, grad_tail);
    put_file("plan.json", plan_json);
    put_file("graph/init.txt", init_graph);
    put_file("graph/loss.txt", text);
    put_file("graph/grad.txt", grad);
    put_file("graph/update.txt", update_graph);
    put_file("graph/sample0.txt", sample0_graph);
    put_file("graph/sample1.txt", sample1_graph);
    put_file("graph/sample2.txt", sample2_graph);
    free(text);
    free(grad);
}
typedef struct { const char *name; int n; int64_t shape[3]; const float *data; } T;
static char *write_tensors(const char *file, const T *v, int n)
{
    char *path = xasprintf("%s/%s", plan_dir, file), *err = NULL;
    TensorWriter *w = tensor_writer_new(path);
    for (int i = 0; i < n; i++) tensor_writer_declare(w, v[i].name, DT_F32, v[i].n, v[i].shape);
    for (int i = 0; i < n; i++) {
        size_t bytes = 4;
        for (int k = 0; k < v[i].n; k++) bytes *= (size_t)v[i].shape[k];
        tensor_writer_data(w, v[i].data, bytes);
    }
    if (!tensor_writer_commit(w, &err)) die("%s", err);
    return path;
}
static Plan *load(void)
{
    char *err = NULL;
    Plan *p = plan_load(plan_dir, &err);
    if (!p) die("%s", err);
    return p;
}
/* Runs f in a child; its exit status and what it wrote to stderr. */
static int status_of(int (*f)(void *), void *user, char text[4096])
{
    int fd[2];
    if (pipe(fd)) die("no pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (!pid) {
        dup2(fd[1], 2);
        close(fd[0]);
        _exit(f(user));
    }
    close(fd[1]);
    size_t n = 0;
    ssize_t got;
    while ((got = read(fd[0], text + n, 4095 - n)) > 0) n += (size_t)got;
    text[n] = 0;
    close(fd[0]);
    int status;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
static double dot(const float *a, const double *w)
{
    double s = 0;
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 3; i++) s += a[i] * w[o * 3 + i];
    return s;
}

static void training(void **state)
{
    (void)state;
    for (int wide = 0; wide < 2; wide++) {
        Plan *p = load();
        Session *s = session_open(p, wide ? "ref64" : "ref", 1);
        session_check(s);
        T w = {"w", 2, {2, 3}, weights};
        char *path = write_tensors("w.safetensors", &w, 1);
        session_load(s, path, NULL, false, NULL);
        free(path);
        session_training(s);
        assert_true(s->state[0][0] == 0 && s->state[0][1] == 3 && s->state[0][7] == 0 && s->state[1] == s->set[1] &&
                    s->param[2] == 4);
        double ref[6], ema[6], g[6];
        for (int i = 0; i < 6; i++) ref[i] = ema[i] = weights[i];
        for (int step = 1; step <= 3; step++) {
            int micros = step == 2 ? 3 : 1;                           /* step 2 accumulates */
            memset(g, 0, sizeof g);
            for (int m = 0; m < micros; m++) {
                float tm[2] = {t[0] + (float)m, t[1]};
                session_micro(s, &(RunArgs){.in = (const float *const[]){x, tm, NULL}});
                const float *loss = session_output(s, plan_program(p, "train_step"), "loss");
                for (int n = 0; n < 2; n++) {
                    double d = dot(x + 3 * n, ref) - tm[n];
                    assert_true(fabs(loss[n] - d * d) <= 1e-5 * (1 + d * d));
                    for (int k = 0; k < 6; k++) g[k] += d * x[3 * n + k % 3] / micros;
                }
            }
            session_update(s);
            for (int k = 0; k < 6; k++) {
                ref[k] -= 0.25 / step * g[k];
                ema[k] = ref[k] + 0.5 * (ema[k] - ref[k]);
            }
            s->step++;
        }
        float got[6];
        param_gather(&p->param[0], s->param, got);
        for (int k = 0; k < 6; k++) assert_true(fabs(got[k] - ref[k]) <= 1e-4 * (1 + fabs(ref[k])));
        param_gather(&p->param[0], s->set[1], got);
        for (int k = 0; k < 6; k++) assert_true(fabs(got[k] - ema[k]) <= 1e-4 * (1 + fabs(ema[k])));
        assert_true(s->state[0][1] == 6);
        session_close(s);
        plan_free(p);
    }
}
static void initial(void **state)
{
    (void)state;
    Plan *p = load();
    Session *s = session_open(p, "ref", 1);
    s->seed = 11;
    session_init(s);
    float got[6];
    param_gather(&p->param[0], s->param, got);
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 3; i++)
            assert_true(got[o * 3 + i] == rng_uniform_at(rng_key("draw.init.w", 11), 0, 0, (uint64_t)(o * 3 + i)));
    session_close(s);
    plan_free(p);
}
static void scalars(void **state)
{
    (void)state;
    Plan *p = load();
    Session *s = session_open(p, "ref", 1);
    double v;
    char *err = NULL;
    s->seen = 5;
    assert_true(session_value(s, "stage", &v) && v == 2 && !session_value(s, "nothing", &v));
    assert_true(session_set(s, "lr=scale + 2", &err) && session_value(s, "lr", &v) && v == 2);
    s->seen = 9;
    assert_true(session_value(s, "stage", &v) && v == 4);
    static const char *const bad[] = {"lrr=1", "lr", "=1", "lr=", "lr=1+", "lr=other", "res=3"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(session_set(s, bad[i], &err));
        free(err);
    }
    session_close(s);
    plan_free(p);
}
static int set_and_check(void *user)
{
    char *err = NULL;
    Session *s = session_open(load(), "ref", 1);
    for (const char **a = user; *a; a++) session_set(s, *a, &err);
    session_check(s);
    return 0;
}
static void scalar_errors(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(status_of(set_and_check, (const char *[]){"lr=scale", "scale=lr", NULL}, text), EXIT_USER);
    assert_non_null(strstr(text, "depends on itself"));
    assert_int_equal(status_of(set_and_check, (const char *[]){"stage=1.5", NULL}, text), EXIT_USER);
    assert_non_null(strstr(text, "int"));
    assert_int_equal(status_of(set_and_check, (const char *[]){"stage=-1", NULL}, text), EXIT_OK);
}
static int load_weights(void *user)
{
    Session *s = session_open(load(), "ref", 1);
    session_load(s, user, NULL, false, NULL);
    return s->param[2] == weights[3] && s->set[1] == s->param ? 0 : 50;
}
static void weight_errors(void **state)
{
    (void)state;
    char text[4096];
    float bad[6] = {1, NAN, 3, 4, INFINITY, 6};
    char *path = write_tensors("w.safetensors", (const T[]){{"old", 2, {2, 3}, weights}}, 1);
    assert_int_equal(status_of(load_weights, path, text), EXIT_OK);   /* the former name */
    free(path);
    path = write_tensors("w.safetensors", (const T[]){{"v", 2, {2, 3}, weights}, {"u", 1, {3}, weights}}, 2);
    assert_int_equal(status_of(load_weights, path, text), EXIT_USER);
    assert_true(strstr(text, "1 missing") && strstr(text, "    w") && strstr(text, "    v [2, 3]") && strstr(text, "    u [3]"));
    free(path);
    path = write_tensors("w.safetensors", (const T[]){{"w", 2, {3, 2}, weights}, {"ema.w", 2, {2, 3}, bad}}, 2);
    assert_int_equal(status_of(load_weights, path, text), EXIT_USER);
    assert_true(strstr(text, "w: [3, 2] in the file, [2, 3] in the model") &&
                strstr(text, "ema.w: 2 of 6, the first at element 1 (nan)"));
    free(path);
    assert_int_equal(status_of(load_weights, "/nonexistent", text), EXIT_USER);
}

/* ---- the command ---- */
typedef struct { const char *arg[24]; } Words;
static int command(void *user)
{
    Words *w = user;
    char *argv[32] = {"run", plan_dir};
    int n = 2;
    for (int i = 0; w->arg[i]; i++)
        argv[n++] = xasprintf(*w->arg[i] == '@' ? "%s/%s" : "%.0s%s", plan_dir, w->arg[i] + (*w->arg[i] == '@'));
    return cmd_run(n, argv);
}
static void values_of(const char *file, const char *name, int n, float *out)
{
    char *path = xasprintf("%s/%s", plan_dir, file), *err = NULL;
    TensorFile *f = tensor_file_open(path, &err);
    if (!f) die("%s", err);
    const TensorEntry *e = tensor_find(f, name);
    if (!e || e->elements != n) fail_msg("%s: %s is not there or has another size", file, name);
    tensor_read_f32(e, 0, n, out);
    tensor_file_close(f);
    free(path);
}
static void must(const Words *w)
{
    char text[4096];
    int status = status_of(command, (void *)w, text);
    if (status) fail_msg("exit status %d: %s", status, text);
}
static void must_fail(const Words *w, const char *part)
{
    char text[4096];
    int status = status_of(command, (void *)w, text);
    if (status != EXIT_USER || !strstr(text, part)) fail_msg("exit status %d, wanted `%s`: %s", status, part, text);
}
#define FILES "--weights", "@w.safetensors", "--in", "@in.safetensors", "--out", "@out.safetensors", "--device", "ref"
static void running(void **state)
{
    (void)state;
    free(write_tensors("w.safetensors", (const T[]){{"w", 2, {2, 3}, weights}, {"ema.w", 2, {2, 3}, x}}, 2));
    free(write_tensors("in.safetensors", (const T[]){{"x", 2, {2, 3}, x}, {"t", 1, {2}, t}}, 2));
    float a[12], b[12], c[12];
    must(&(Words){{"grad", FILES}});
    values_of("out.safetensors", "grad.w", 6, a);
    must(&(Words){{"grad", FILES, "--device", "ref64"}});
    values_of("out.safetensors", "grad.w", 6, b);
    for (int i = 0; i < 6; i++) assert_true(fabsf(a[i] - b[i]) <= 1e-5f * (1 + fabsf(b[i])) && a[i] != 0);
    /* draws written and fed back: the same bits */
    must(&(Words){{"loss", FILES, "--set", "scale=1", "--seed", "5", "--step", "7", "--dump-draws", "@draws.safetensors"}});
    values_of("out.safetensors", "loss", 2, a);
    values_of("draws.safetensors", "draw.noise", 2, b);
    assert_true(b[1] == rng_normal_at(rng_key("draw.noise", 5), 7, 1, 0));
    free(write_tensors("in.safetensors", (const T[]){{"x", 2, {2, 3}, x}, {"t", 1, {2}, t}, {"draw.noise", 1, {2}, b}}, 3));
    must(&(Words){{"loss", FILES, "--set", "scale=1"}});
    values_of("out.safetensors", "loss", 2, c);
    assert_memory_equal(a, c, 2 * sizeof *a);
    /* sampling: none, one and two levels */
    free(write_tensors("in.safetensors", (const T[]){{"z", 2, {2, 3}, x}}, 1));
    must(&(Words){{"sample", FILES}});
    values_of("out.safetensors", "images", 6, a);
    for (int i = 0; i < 6; i++) assert_true(a[i] == 2 * x[i] * x[i % 3]);
    must(&(Words){{"sample", FILES, "--mid", "0.5", "--mid", "0.25", "--seed", "3", "--dump-draws", "@draws.safetensors"}});
    values_of("out.safetensors", "images", 6, a);
    values_of("draws.safetensors", "draw.sample", 12, b);
    for (int i = 0; i < 6; i++) {
        assert_true(fabsf(a[i] - (2 * x[i] + 1.0f * b[i] + 0.5f * b[6 + i]) * x[i % 3]) <= 1e-5f);
        assert_true(b[6 + i] == rng_normal_at(rng_key("draw.sample", 3), 2, (uint64_t)i / 3, (uint64_t)i % 3));
    }
    free(write_tensors("in.safetensors", (const T[]){{"z", 2, {2, 3}, x}, {"draw.sample", 3, {2, 2, 3}, b}}, 2));
    must(&(Words){{"sample", FILES, "--mid", "0.5", "--mid", "0.25"}});
    values_of("out.safetensors", "images", 6, c);
    assert_memory_equal(a, c, 6 * sizeof *a);
    must_fail(&(Words){{"sample", FILES}}, "without --mid");
    must_fail(&(Words){{"sample", FILES, "--mid", "0.5"}}, "draw.sample has shape [2, 2, 3]");
    must_fail(&(Words){{"sample", FILES, "--mid", "-1"}}, "greater than 0");
    /* training: iterations lead */
    float xs[12], ts[4];
    memcpy(xs, x, sizeof x); memcpy(xs + 6, x, sizeof x);
    memcpy(ts, t, sizeof t); memcpy(ts + 2, t, sizeof t);
    free(write_tensors("in.safetensors", (const T[]){{"x", 3, {2, 2, 3}, xs}, {"t", 2, {2, 2}, ts}}, 2));
    must(&(Words){{"train_step", FILES, "--iters", "2"}});
    values_of("out.safetensors", "loss", 4, a);
    values_of("out.safetensors", "w", 6, b);
    values_of("out.safetensors", "ema.w", 6, c);
    assert_true(a[0] != a[2] && b[0] != weights[0] && c[0] != b[0]);
    /* mistakes, all of one run listed */
    must_fail(&(Words){{"train_step", FILES}}, "x has shape [2, 2, 3], but the program wants [n:2, i:3]");
    free(write_tensors("in.safetensors", (const T[]){{"x", 1, {6}, x}, {"tt", 1, {2}, t}, {"labels", 2, {2, 3}, x}}, 3));
    must_fail(&(Words){{"grad", FILES}}, "x has shape [6]");
    must_fail(&(Words){{"grad", FILES}}, "`t` is missing");
    must_fail(&(Words){{"grad", FILES}}, "`tt` is no input of the program; did you mean `t`");
    must_fail(&(Words){{"grad", FILES}}, "axis c has size 0");
    must_fail(&(Words){{"gard", FILES}}, "did you mean `grad`");
    must_fail(&(Words){{"grad", FILES, "--set", "lrr=1"}}, "did you mean `lr`");
    must_fail(&(Words){{"grad", FILES, "--device", "gpu"}}, "unknown");
    must_fail(&(Words){{"grad", FILES, "--mid", "1"}}, "no levels");
    must_fail(&(Words){{"grad", "--in", "@in.safetensors", "--out", "@out.safetensors", "--device", "ref"}}, "weights");
}
static int clean(void **state) { (void)state; remove_tree(plan_dir); return 0; }
int main(void)
{
    prog_name = "ect-rt";
    make_plan_dir();
    make_plan();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training),      cmocka_unit_test(initial),       cmocka_unit_test(scalars),
        cmocka_unit_test(scalar_errors), cmocka_unit_test(weight_errors), cmocka_unit_test(running),
    };
    return cmocka_run_group_tests(tests, NULL, clean);
}
