/* The elaborator: parameters in storage order, draw paths, host expressions, programs and their segments, other defaults.
   Assumes the working directory is the repository root (models/). */
#include "compiler/elaborate.h"
#include <setjmp.h>
#include <cmocka.h>

static Module *made(Module *m)
{
    if (!m) {
        char *text = diag_text();
        print_error("%s", text);
        free(text);
        fail();
    }
    return m;
}

static Module *from_text(const char *text)
{
    diag_reset();
    source_reset();
    return made(elaborate_text("test.dsl", text, strlen(text), 0, NULL));
}

static Module *from_file(const char *path, int n, const Define *d)
{
    diag_reset();
    source_reset();
    return made(elaborate_file(path, n, d));
}

static Program *program(Module *m, const char *name)
{
    for (int i = 0; i < m->n_programs; i++)
        if (!strcmp(m->programs[i].name, name)) return &m->programs[i];
    fail_msg("no program %s", name);
    return NULL;
}

static int64_t total(const Module *m)
{
    int64_t sum = 0;
    for (int i = 0; i < m->n_params; i++) {
        int64_t n = 1;
        for (int k = 0; k < m->params[i].n_axes; k++) n *= m->params[i].axes[k].size;
        sum += n;
    }
    return sum;
}

/* ---- parameters ---- */
static void counts(void **state)
{
    (void)state;
    static const struct { int n; Define d[3]; int tensors; int64_t elements; } cases[] = {
        { 0, { { 0 } }, 416, 55732739 },
        { 1, { { "augment", "9" } }, 417, 55733891 },
        { 2, { { "augment", "9" }, { "labels", "10" } }, 419, 55735299 },
        { 1, { { "colors", "1" } }, 416, 55725825 },
        { 1, { { "channels", "64" } }, 416, 13956355 },
        { 1, { { "channels", "32" } }, 416, 3500675 },
        { 1, { { "blocks", "8" } }, 704, 96947715 },
        { 3, { { "res", "64" }, { "mult", "[1,2,2,2]" }, { "augment", "9" } }, 541, 61805571 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Module *m = from_file("models/unet_ect.dsl", cases[i].n, cases[i].d);
        assert_int_equal(m->n_params, cases[i].tensors);
        assert_int_equal(total(m), cases[i].elements);
        module_drop(m);
    }
}

static int index_of(const Module *m, const char *name)
{
    for (int i = 0; i < m->n_params; i++)
        if (!strcmp(m->params[i].name, name)) return i;
    fail_msg("no parameter %s", name);
    return -1;
}

static void storage_order(void **state)
{
    (void)state;
    Define d[] = { { "labels", "10" }, { "augment", "9" } };
    Module *m = from_file("models/unet_ect.dsl", 2, d);
    static const char *const order[] = {
        "model.map_label.weight", "model.map_label.bias", "model.map_augment.weight", "model.map_layer0.weight",
        "model.map_layer0.bias",
        "model.map_layer1.weight", "model.map_layer1.bias", "model.enc.32x32_conv.weight", "model.enc.32x32_conv.bias",
        "model.enc.32x32_block0.norm0.weight", "model.enc.32x32_block0.norm0.bias", "model.enc.32x32_block0.conv0.weight",
        "model.enc.32x32_block0.conv0.bias", "model.enc.32x32_block0.affine.weight", "model.enc.32x32_block0.affine.bias",
        "model.enc.32x32_block0.norm1.weight", "model.enc.32x32_block0.norm1.bias", "model.enc.32x32_block0.conv1.weight",
        "model.enc.32x32_block0.conv1.bias", "model.enc.32x32_block0.skip.weight", "model.enc.32x32_block0.skip.bias",
    };
    for (size_t i = 0; i < COUNT(order); i++) assert_string_equal(m->params[i].name, order[i]);
    int qkv = index_of(m, "model.enc.16x16_block0.qkv.weight");
    assert_string_equal(m->params[qkv - 1].name, "model.enc.16x16_block0.norm2.bias");
    assert_string_equal(m->params[qkv + 2].name, "model.enc.16x16_block0.proj.weight");
    const Param *last = &m->params[m->n_params - 2];
    assert_string_equal(last->name, "model.dec.32x32_aux_conv.weight");
    assert_int_equal(last->n_axes, 4);
    assert_string_equal(last->axes[0].role, "o");
    assert_int_equal(last->axes[0].size, 3);
    assert_int_equal(last->axes[1].size, 256);
    assert_int_equal(param_offset(m, 1), 1280);
    assert_int_equal(param_offset(m, 2), 1280 + 128);
    assert_int_equal(param_elements(m) % 16, 0);
    module_drop(m);
}

/* `use` reserves the place, whatever is applied first; `was` gives parameters old names. */
static void reserved_places(void **state)
{
    (void)state;
    Module *m = from_text("import std.nn\n"
                          "block B()(x: [n, c:4]) -> [n, c] {\n"
                          "  use a = Linear(4, 4), b was \"old\" = Linear(4, 4)\n"
                          "  let y = b(x)\n"
                          "  return a(y)\n"
                          "}\n"
                          "use net = B()\n"
                          "program f(x: [n:2, c:4]) -> y = net(x)\n");
    assert_int_equal(m->n_params, 4);
    assert_string_equal(m->params[0].name, "net.a.weight");
    assert_string_equal(m->params[2].name, "net.b.weight");
    assert_null(m->params[0].was);
    assert_string_equal(m->params[2].was, "old.weight");
    const Graph *g = program(m, "f")->seg[0].g;
    int first = -1;
    for (Ref r = 1; r < g->n && first < 0; r++)
        if (N(g, r)->op == OP_param) first = N(g, r)->a.param.index;
    assert_int_equal(first, 2);
    module_drop(m);
}

/* ---- draws ---- */
static int draws(const Graph *g, const char *path)
{
    int n = 0;
    for (Ref r = 1; r < g->n; r++)
        if (N(g, r)->op == OP_draw && (!path || !strcmp(N(g, r)->a.draw.path, path))) n++;
    return n;
}

static void draw_paths(void **state)
{
    (void)state;
    Module *m = from_file("models/unet_ect.dsl", 0, NULL);
    const Graph *g = program(m, "loss")->seg[0].g;
    assert_int_equal(draws(g, "draw.time"), 1);
    assert_int_equal(draws(g, "draw.noise"), 1);
    assert_int_equal(draws(g, "draw.drop.model.enc.8x8_down"), 1);
    assert_int_equal(draws(g, NULL), 2 + 14 + 19);       /* time, noise, a mask for each block: both passes draw the same */
    assert_int_equal(draws(program(m, "sample")->seg[1].g, "draw.sample"), 1);
    assert_int_equal(draws(program(m, "denoise")->seg[0].g, NULL), 0);
    assert_int_equal(draws(program(m, "init")->seg[0].g, "draw.init.model.map_layer0.weight"), 1);
    module_drop(m);
}

static void ordinals(void **state)
{
    (void)state;
    Module *m = from_text("stream s, t\n"
                          "block In()(x: [n, c:4]) -> [n, c] { return x + normal like x from s + uniform(0, 1) like x from s + "
                          "normal like x from t }\n"
                          "block Out()(x: [n, c:4]) -> [n, c] { use a = In()  return a(a(x)) }\n"
                          "use o = Out()\n"
                          "block Twice()(x: [n, c:4]) -> [n, c] { use p = In()  share t { let y = p(x) + p(2 * x) }  return y }\n"
                          "use w as \"\" = Twice()\n"
                          "program f(x: [n:2, c:4]) -> y = o(x) + o(x + 1)\n"
                          "program g(x: [n:2, c:4]) -> y = w(x)\n");
    const Graph *f = program(m, "f")->seg[0].g, *g = program(m, "g")->seg[0].g;
    static const char *const paths[] = {
        "draw.s.o.a", "draw.s#2.o.a", "draw.t.o.a", "draw.s.o.a#2", "draw.s#2.o.a#2", "draw.s.o#2.a", "draw.s#2.o#2.a#2",
        "draw.t.o#2.a#2",
    };
    assert_int_equal(draws(f, NULL), 12);                /* four applications, three draws each */
    for (size_t i = 0; i < COUNT(paths); i++) assert_int_equal(draws(f, paths[i]), 1);
    assert_int_equal(draws(g, "draw.t.p"), 1);           /* t is shared, s is not */
    assert_int_equal(draws(g, "draw.t.p#2"), 0);
    assert_int_equal(draws(g, "draw.s.p#2"), 1);
    module_drop(m);
}

/* ---- graphs ---- */
static int count_ops(const Graph *g, Op op)
{
    int n = 0;
    for (Ref r = 1; r < g->n; r++) n += N(g, r)->op == op;
    return n;
}

/* Values from outside that `rows` reads are 1 in the rows that are not computed; what has no n is left alone. */
static void rows_are_gated(void **state)
{
    (void)state;
    Module *m = from_text("program f(x: [n:4, c:3], w: [c]) -> y = rows x[c = 0] > 0 { log(x) * w } else { x }\n");
    const Graph *g = program(m, "f")->seg[0].g;
    assert_int_equal(count_ops(g, OP_rows), 1);
    assert_int_equal(count_ops(g, OP_where), 1);
    for (Ref r = 1; r < g->n; r++)
        if (N(g, r)->op == OP_log) assert_int_equal(N(g, N(g, r)->in[0])->op, OP_where);
    module_drop(m);
}

static void declared_order(void **state)
{
    (void)state;
    Module *m = from_text("fn swap(x: [w, c, n]) = x * 2\nprogram f(x: [n:4, c:3, w:5]) -> y = swap(x)\n");
    const Program *p = program(m, "f");
    const Node *out = N(p->seg[0].g, p->seg[0].g->out[0].ref);
    assert_string_equal(p->out[0].axes[0].role, "w");
    for (int i = 0; i < 3; i++) assert_ptr_equal(out->axes[i].role, p->out[0].axes[i].role);
    module_drop(m);
}

static void absent_inputs(void **state)
{
    (void)state;
    Module *m = from_file("models/unet_ect.dsl", 0, NULL);
    const Program *p = program(m, "denoise");
    assert_int_equal(p->n_in, 4);
    assert_int_equal(p->in[2].axes[1].size, 0);
    assert_int_equal(count_ops(p->seg[0].g, OP_input), 2);
    module_drop(m);
}

/* ---- host expressions ---- */
static void host_expressions(void **state)
{
    (void)state;
    static const struct { const char *text, *scalar; } cases[] = {
        { "a - (b - c)", "a - (b - c)" }, { "(a - b) - c", "a - b - c" }, { "a * (b + 2)", "a * (b + 2)" }, { "-a^2", "-a^2" },
        { "(-a)^2", "(-a)^2" },
        { "a^-(b + 1)", "a^-(b + 1)" }, { "(a^b)^c", "(a^b)^c" }, { "a^b^c", "a^b^c" }, { "a / (b * c)", "a / (b * c)" },
        { "2 * 3 * a", "6 * a" },
        { "if a > 1 && b < 2 { a } else { -b }", "if a > 1 && b < 2 { a } else { -b }" },
        { "1 + (if !(a == b) { 1 } else { 0.5 })", "1 + (if !(a == b) { 1 } else { 0.5 })" },
        { "max(a, sqrt(b), 0)", "max(a, sqrt(b), 0)" }, { "floor(step / 10) // 2", "floor(step / 10) // 2" },
        { "a * 1e-4", "a * 0.0001" }, { "where(a > b, 1, 2)", "if a > b { 1 } else { 2 }" },
        { "a - -1", "a - -1" }, { "twice(a)", "2 * a" },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *text = xasprintf("fn twice(v) = 2 * v\nruntime a: real = 2, b: real = 3, c: real = 4\n"
                               "program f(x: [n:4]) -> y = x * (%s)\nprogram g(x: [n:4]) -> y = x * twice(a * b * c)\n",
                               cases[i].text);
        Module *m = from_text(text);
        assert_string_equal(m->scalars[0].expr, cases[i].scalar);
        assert_int_equal(m->n_runtime, 3);
        assert_string_equal(m->runtime[1].expr, "3");
        module_drop(m);
        free(text);
    }
}

/* ---- programs ---- */
static void segments(void **state)
{
    (void)state;
    Module *m = from_file("models/unet_ect.dsl", 1, (Define[]){ { "blocks", "1" } });
    static const char *const order[] = { "init", "denoise", "denoise_train", "loss", "grad", "train_step", "sample" };
    assert_int_equal(m->n_programs, COUNT(order));
    for (size_t i = 0; i < COUNT(order); i++) assert_string_equal(m->programs[i].name, order[i]);
    const Program *s = program(m, "sample"), *t = program(m, "train_step"), *g = program(m, "grad");
    assert_int_equal(s->n_seg, 3);
    assert_string_equal(s->seg[1].each, "mid");
    assert_string_equal(s->seg[1].time, "t");
    assert_null(s->seg[2].each);
    assert_string_equal(s->seg[0].g->out[0].name, "carry.x");
    assert_string_equal(s->seg[2].g->out[0].name, "images");
    assert_int_equal(t->n_seg, 2);
    assert_ptr_equal(t->seg[0].g, g->seg[0].g);
    assert_string_equal(g->out[0].name, "loss");
    assert_string_equal(g->out[1].name, "report.sigma");
    assert_string_equal(g->out[2].name, "report.resolution");
    assert_int_equal(g->n_out, 3 + m->n_params);
    const Graph *u = t->seg[1].g;
    assert_int_equal(u->n_out, 4);
    assert_string_equal(u->out[0].name, "p");
    assert_int_equal(m->n_states, 3);
    assert_string_equal(m->states[2].name, "ema");
    assert_true(m->states[2].from_param && m->states[2].is_ema && !m->states[0].from_param);
    for (Ref r = 1; r < s->seg[0].g->n; r++)
        if (N(s->seg[0].g, r)->op == OP_param) assert_string_equal(N(s->seg[0].g, r)->a.param.set, "ema");
    module_drop(m);
}

static void carried(void **state)
{
    (void)state;
    Module *m = from_text("sample(z: [n:4, c:3], mid: times = []) -> images {\n"
                          "  let a = exp(z), unused_later = z * 2\n"
                          "  var x = z + unused_later, y = z\n"
                          "  each t in mid { x = x + a * t  y = y + x }\n"
                          "  return y + z\n"
                          "}\n");
    const Program *p = program(m, "sample");
    assert_int_equal(p->n_seg, 3);
    assert_int_equal(p->seg[0].g->n_out, 3);             /* a, x, y */
    assert_int_equal(p->seg[1].g->n_out, 2);             /* x for the next round, y */
    assert_int_equal(p->seg[2].g->n_out, 1);
    assert_int_equal(count_ops(p->seg[2].g, OP_input), 2);
    module_drop(m);
}

/* Shortest spelling of every config of the module. */
static const char *config(const Module *m, const char *name)
{
    for (int i = 0; i < m->n_config; i++)
        if (!strcmp(m->config[i].name, name)) return m->config[i].value;
    return NULL;
}

static void other_defaults(void **state)
{
    (void)state;
    Module *m = from_file("models/shapes.dsl", 1, (Define[]){ { "blocks", "2" } });
    assert_string_equal(config(m, "res"), "16");
    assert_string_equal(config(m, "blocks"), "2");
    assert_string_equal(config(m, "mapping"), "sigmoid");
    assert_int_equal(program(m, "denoise")->in[0].axes[2].size, 16);
    bool found = false;
    for (int i = 0; i < m->n_runtime; i++)
        if (!strcmp(m->runtime[i].name, "ema_beta")) found = !strcmp(m->runtime[i].expr, "0.995");
    assert_true(found);
    module_drop(m);
}

static void errors_leave_nothing(void **state)
{
    (void)state;
    diag_reset();
    source_reset();
    const char *text = "program f(x: [n:4, c:3]) -> y = x + x[c = 0:2]\n";
    assert_null(elaborate_text("test.dsl", text, strlen(text), 0, NULL));
    assert_int_equal(diag_count(), 1);
    diag_reset();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(storage_order), cmocka_unit_test(reserved_places),
        cmocka_unit_test(draw_paths), cmocka_unit_test(ordinals),
        cmocka_unit_test(rows_are_gated), cmocka_unit_test(declared_order), cmocka_unit_test(absent_inputs),
        cmocka_unit_test(host_expressions),
        cmocka_unit_test(segments), cmocka_unit_test(carried), cmocka_unit_test(other_defaults),
        cmocka_unit_test(errors_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
