/* Parser, diagnostics, formatter and imports: the whole syntax once, then the ways a text can be wrong.
   Assumes nothing outside the temporary folder; the embedded library is parsed as it was built. */
#include "dsl/parse.h"
#include <setjmp.h>
#include <unistd.h>
#include <cmocka.h>

static const char whole[] =
    "# head\n"
    "import std.nn, a.b.c\n"
    "\n"
    "config res = 32, mode: \"x\" | \"y\" = \"x\", xs: list = [1, 2,],  # sizes\n"
    "  # the last\n"
    "  optimizer = 3\n"
    "stream time, noise\n"
    "fn f(x: [n, c], k: int = 2, g = fn(a, b) = a + b) = -x^-k * 2 // 3 / 4.5e-3 - iota[c: 4]\n"
    "block B(C: int, p: real = 0.5, mode: \"keep\" | \"up\" = \"keep\")\n"
    "  (x: [n, c:C, h:2*C, w], t: [n],) -> [n, c:(a b:2), h, w]\n"
    "{\n"
    "  use conv as \"enc.{C}x{C + 1}_b\" was \"old.{C}\" = Conv(C, C, k = 1), D as \"\" = E()\n"
    "  param weight: [o:C, i:C] = uniform(-1, 1) was \"w\"\n"
    "  let y = window(x[c as i, three = 0, d = 0:3]; h by kh:3, w by 2; pad = 1)\n"
    "  var v = xs[1:2], s: int = 1;  v = v + [y]\n"
    "  const E = 3\n"
    "  let e = normal like y from noise, u = normal[n: y.n] from time, d = bernoulli(1 - p) like x from time\n"
    "  let r = rows t > 0 && !(p == 0) || r in xs { stop(D@ema(x)) } else { y }\n"
    "  let z = rearrange(conv(x): [n, c:(head d three:3), h, w] -> [n, head, d, three, px:(h w)])\n"
    "  if p > 0 { return y } else if p < 0 { return z } else { return sum[h,w](v) }\n"
    "  for level, m in reversed(0..len(xs)) { s = s + level * m }\n"
    "  share noise { precision bf16 { let q = conv(precision f32 { x } + x) } }\n"
    "  report sigma = t\n"
    "  return if p <= 1 { a } else if p >= 2 { b } else { c != d }\n"
    "}\n"
    "use D as \"\" = B(3)\n"
    "runtime lr: real = 1e-4, stage: int = floor(seen / 3.2e6)\n"
    "loss l(y: [n]) -> [n] { return y }\n"
    "program p(x: [n:8]) -> out = D(x)\n"
    "program q(x: [n:8]) training -> out = D(x)\n"
    "train(images: [n:batch], labels: [n, c:labels]) {\n"
    "  data images; minimize mean[n](l(images))\n"
    "  gradient fn(g) = nan_to_num(g, nan = 0)\n"
    "  optimizer Adam(lr)\n"
    "  ema as \"ema\" = Ema(0.9)\n"
    "}\n"
    "sample(z: [n], mid: times = []) -> images {\n"
    "  var x = D@ema(z)\n"
    "  each t in mid { x = D@ema(x, t) }\n"
    "  return x\n"
    "}\n"
    "optimizer Sgd(lr) for p, g { state m = 0; runtime r = 2; m := g; p := p - lr * m }\n"
    "ema Ema(beta) for p { state e = p; e := p + beta * (e - p) }\n"
    "# tail\n";

static File *parse(Arena *a, const char *text)
{
    return parse_text(a, "t.dsl", text, strlen(text));
}

static int clear(void **state)
{
    (void)state;
    diag_reset();
    source_reset();
    return 0;
}

static void whole_language(void **state)
{
    (void)state;
    Arena *a = arena_new();
    File *f = parse(a, whole);
    char *errors = diag_text();
    assert_string_equal(errors, "");
    free(errors);
    assert_int_equal(f->decls.n, 14);
    assert_int_equal(f->n_comments, 4);
    assert_int_equal(f->imports.n, 2);
    assert_string_equal(f->imports.v[1]->name, "a.b.c");
    Node *b = f->decls.v[4];
    assert_int_equal(b->kind, D_BLOCK);
    assert_int_equal(b->loc.line, 9);
    assert_int_equal(b->loc.end_line, 25);
    assert_int_equal(b->cparams.n, 3);
    assert_int_equal(b->params.n, 2);
    Node *use = b->body->items.v[0]->items.v[0];
    assert_int_equal(use->as->items.n, 5);
    assert_int_equal(use->as->items.v[3]->kind, E_BINARY);
    assert_int_equal(use->as->items.v[3]->loc.col, 25);
    assert_null(node_plain_string(use->as));
    assert_string_equal(node_plain_string(b->body->items.v[0]->items.v[1]->as), "");
    arena_drop(a);
}

static void same_after_format(const char *text)
{
    Arena *a = arena_new();
    File *f = parse(a, text);
    char *once = ast_print(f);
    File *g = parse(a, once);
    char *twice = ast_print(g);
    assert_int_equal(diag_count(), 0);
    assert_true(file_equal(f, g));
    assert_int_equal(f->n_comments, g->n_comments);
    assert_string_equal(once, twice);
    char *d = ast_dump(f, false), *e = ast_dump(g, false);
    assert_string_equal(d, e);
    free(d);
    free(e);
    free(once);
    free(twice);
    arena_drop(a);
}

static void format_is_stable(void **state)
{
    (void)state;
    same_after_format(whole);
    same_after_format("");
    same_after_format("# only\n\n\n# comments\n");
    for (int i = 0; i < n_embedded_files; i++)
        if (!strncmp(embedded_files[i].name, "std.", 4)) same_after_format(embedded_files[i].text);
}

static void format_text(void **state)
{
    (void)state;
    Arena *a = arena_new();
    File *f = parse(a, "fn f( x )=x*( 1+x )^2   # why\n\n\n\nconfig a=1 , b = [ 1,2 ]\n");
    char *s = ast_print(f);
    assert_string_equal(s, "fn f(x) = x * (1 + x)^2  # why\n\nconfig a = 1, b = [1, 2]\n");
    free(s);
    s = node_print(f->decls.v[0]->value);
    assert_string_equal(s, "x * (1 + x)^2");
    free(s);
    arena_drop(a);
}

static void tree_differs(void **state)
{
    (void)state;
    Arena *a = arena_new();
    const char *const texts[] = {"fn f(x) = x + 1", "fn f(x) = x - 1", "fn f(x) = (x + 1)", "fn f(x) = x + 1.0",
                                 "fn g(x) = x + 1", "fn f(x) = f(x; 1)", "fn f(x) = f(x, 1)"};
    for (size_t i = 0; i < COUNT(texts); i++)
        for (size_t j = 0; j < COUNT(texts); j++) assert_int_equal(file_equal(parse(a, texts[i]), parse(a, texts[j])), i == j);
    arena_drop(a);
}

/* Each text gives the first error of this code at this place, and this many in all. */
static void wrong_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code, line, col, count;
    } cases[] = {
        {"fn f(x) = x +", 101, 1, 14, 1},
        {"fn f(x) = x & y", 102, 1, 13, 1},
        {"fn f(x) = \"a", 103, 1, 11, 1},
        {"fn f(x) = \"a{b\"", 103, 1, 13, 1},
        {"fn f(x) = \"a}b\"", 103, 1, 13, 1},
        {"fn f(x) = \"a{}b\"", 103, 1, 14, 1},
        {"fn f(x) = \"\\q\"", 103, 1, 12, 1},
        {"fn f(x) = \"{a # b}\"", 102, 1, 15, 1},
        {"fn f(x) = 9223372036854775808", 104, 1, 11, 1},
        {"fn f(x) = 1e309", 104, 1, 11, 1},
        {"fn f(x) = 1.", 105, 1, 11, 1},
        {"fn f(x) = .5", 105, 1, 11, 1},
        {"fn f(x) = 12ab", 105, 1, 11, 1},
        {"fn f(x) = x\n\xff", 107, 2, 1, 1},
        {"fn f(x) = \xed\xa0\x80", 107, 1, 11, 1},
        {"fn f(x) = g([x, 1)", 109, 1, 18, 1},
        {"fn f(x) = g([x, 1", 109, 1, 13, 1},
        {"fn f(x) = x }", 109, 1, 13, 1},
        {"fn f(in) = 1", 111, 1, 6, 1},
        {"block A()(x: [n]) -> [n] {\n  if x > 0 {\n  return x\n}\n\nblock B()(x: [n]) -> [n] { return x }\n", 109, 1, 26, 1},
        {"block A()(x: [n]) -> [n] {\n  let a = )\n  let in = 2\n  return x\n}\n"
         "fn f(x = \nfn g(x) = 3\nfn h(x) = *\n", 109, 2, 11, 4},
        {"train(x: [n]) {\n  let a = 3\n  minimize +\n  optimizer A\n}\nfn f(x) = *", 101, 2, 3, 3},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Arena *a = arena_new();
        clear(NULL);
        parse(a, cases[i].text);
        char head[64];
        snprintf(head, sizeof head, "t.dsl:%d:%d: error E%04d: ", cases[i].line, cases[i].col, cases[i].code);
        char *s = diag_text();
        if (strncmp(s, head, strlen(head)) || diag_count() != cases[i].count)
            fail_msg("text <%s>: wanted %d errors, first %s; got %d:\n%s", cases[i].text, cases[i].count, head, diag_count(), s);
        free(s);
        arena_drop(a);
    }
}

static char *repeated(const char *head, const char *part, int n, const char *tail)
{
    StrBuf b = {0};
    sb_puts(&b, head);
    for (int i = 0; i < n; i++) sb_puts(&b, part);
    sb_puts(&b, tail);
    return b.s;
}

/* Extremes end in one error of the given code, without a crash. */
static void extremes(void **state)
{
    (void)state;
    static const struct {
        const char *head, *part, *tail;
        int n, code;
    } cases[] = {
        {"fn f(x) = ", "x + ", "x", 2500000, 110}, {"fn f(x) = ", "(", "", 100000, 108}, {"fn f(x) = ", "-", "x", 100000, 108},
        {"fn f(x) = ", "x + ", "x", 25000, 108},   {"fn f(x) = x", ".a", "", 50000, 108}, {"fn f(x) = ", "x^", "x", 50000, 108},
        {"fn f(x) = ", "if a { b } else ", "{ c }", 25000, 108}, {"fn f(x) = ", "fn(a) = ", "a", 25000, 108},
        {"block A()(x: [n]) -> [n] { ", "if a { ", "", 500, 108},
        {"block A()(x: [n]) -> [n] { ", "if a { } else ", "{ } }", 5000, 108},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        Arena *a = arena_new();
        clear(NULL);
        char *text = repeated(cases[i].head, cases[i].part, cases[i].n, cases[i].tail), code[16];
        parse(a, text);
        snprintf(code, sizeof code, "E%04d", cases[i].code);
        char *s = diag_text();
        assert_int_equal(diag_count(), 1);
        assert_non_null(strstr(s, code));
        assert_true(strlen(s) < 1000);
        free(s);
        free(text);
        arena_drop(a);
    }
    clear(NULL);
    Arena *a = arena_new();
    parse_text(a, "t.dsl", "fn f(x) = \0 x", 13);
    char *s = diag_text();
    assert_non_null(strstr(s, "t.dsl:1:11: error E0106"));
    free(s);
    arena_drop(a);
}

static void crlf_and_bom(void **state)
{
    (void)state;
    Arena *a = arena_new();
    File *f = parse(a, "\xef\xbb\xbf# c\r\nfn f(x) = \"\xc3\xa9\"\r\n"), *g = parse(a, "# c\nfn f(x) = \"\xc3\xa9\"\n");
    assert_int_equal(diag_count(), 0);
    assert_true(file_equal(f, g));
    char *s = ast_print(f);
    assert_string_equal(s, "# c\nfn f(x) = \"\xc3\xa9\"\n");
    free(s);
    arena_drop(a);
}

static void diag_form(void **state)
{
    (void)state;
    int file = source_add("m.dsl", "one\n  let y = (d + s) * sqrt(1/2)\n", 34), other = source_add("std/nn.dsl", "a\nbb\n", 5);
    Diag *d = diag_error((Loc){file, 2, 12, 2, 13}, ERR_two_sizes, "axis `c` has two sizes in `+`");
    diag_label(d, "[n, c:256]");
    diag_span(d, (Loc){file, 2, 16, 2, 17}, "[n, c:128]");
    diag_span(d, (Loc){other, 2, 1, 2, 3}, "declared here");
    diag_note(d, "in model.enc, from SongUNet line %d", 50);
    diag_help(d, "use `skip`");
    Diag *again = diag_error((Loc){file, 2, 12, 2, 13}, ERR_two_sizes, "axis `c` has two sizes in `+`");
    diag_label(again, "never shown");
    assert_int_equal(diag_count(), 1);
    char *s = diag_text();
    assert_string_equal(s,
        "m.dsl:2:12: error E0203: axis `c` has two sizes in `+`\n"
        "    2 |   let y = (d + s) * sqrt(1/2)\n"
        "      |            ^   ^ [n, c:128]\n"
        "      |            [n, c:256]\n"
        "  std/nn.dsl:2:1:\n"
        "    2 | bb\n"
        "      | ^^ declared here\n"
        "   note: in model.enc, from SongUNet line 50\n"
        "   help: use `skip`      (ectc explain E0203)\n");
    free(s);
    for (int i = 0; i < 30; i++) diag_error(LOC_NONE, ERR_unused, "unused %d", i);
    assert_true(diag_full());
    assert_int_equal(diag_count(), 31);
    s = diag_text();
    assert_non_null(strstr(s, "11 more errors"));
    free(s);
}

static void put_file(const char *dir, const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", dir, name);
    assert_true(write_file_atomic(path, text, strlen(text)));
    free(path);
}

static void imports(void **state)
{
    (void)state;
    char dir[] = "/tmp/ect-parse-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *sub = xasprintf("%s/p", dir), *main_path = xasprintf("%s/main.dsl", dir), *cycle = xasprintf("%s/c0.dsl", dir);
    assert_true(make_dirs(sub));
    put_file(dir, "main.dsl", "import p.a, b\nfn m(x) = x\n");
    put_file(dir, "b.dsl", "import p.a\n");
    put_file(sub, "a.dsl", "fn a(x) = x\n");
    put_file(dir, "c0.dsl", "import c1, none, c1, std.nope\n");
    put_file(dir, "c1.dsl", "import c0\n");
    Arena *a = arena_new();
    FileList l = parse_program(a, main_path);
    assert_int_equal(diag_count(), 0);
    assert_int_equal(l.n, 3);
    assert_string_equal(l.v[0]->module, "p.a");
    assert_string_equal(l.v[1]->module, "b");
    assert_null(l.v[2]->module);
    free(l.v);
    l = parse_program(a, cycle);
    char *s = diag_text();
    assert_int_equal(diag_count(), 4);
    assert_non_null(strstr(s, "c1.dsl:1:8: error E0602"));
    assert_non_null(strstr(s, "c0.dsl:1:12: error E0601: `none`"));
    assert_non_null(strstr(s, "c0.dsl:1:18: error E0606"));
    assert_non_null(strstr(s, "c0.dsl:1:22: error E0601"));
    free(s);
    free(l.v);
    clear(NULL);
    l = parse_program(a, "/nowhere/at/all.dsl");
    assert_int_equal(l.n, 0);
    assert_int_equal(diag_count(), 1);
    arena_drop(a);
    remove_tree(dir);
    free(sub);
    free(main_path);
    free(cycle);
}

static void every_code_has_a_page(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n = 0;
    for (int i = 0; i < err_table_n; i++) {
        char code[16];
        snprintf(code, sizeof code, "E%04d", err_table[i].number);
        if (!embedded_find(code)) fail_msg("dsl/errors/%s.md is missing", code);
        if (i) assert_true(err_table[i].number > err_table[i - 1].number);
    }
    FILE *out = open_memstream(&text, &n);
    assert_int_equal(explain_code("e0203", out), EXIT_OK);
    assert_int_equal(explain_code(NULL, out), EXIT_OK);
    fclose(out);
    assert_non_null(strstr(text, "# E0203: an axis has two sizes"));
    free(text);
    assert_int_equal(explain_code("E9999", stdout), EXIT_USER);
    assert_int_equal(explain_code("nonsense", stdout), EXIT_USER);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, clear)
    const struct CMUnitTest tests[] = {
        TEST(whole_language), TEST(format_is_stable), TEST(format_text), TEST(tree_differs), TEST(wrong_texts), TEST(extremes),
        TEST(crlf_and_bom), TEST(diag_form), TEST(imports), TEST(every_code_has_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, clear);
}
