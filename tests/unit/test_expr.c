/* Host expressions: precedence, associativity, laziness, errors with columns, bounded nesting.
   Assumes nothing outside runtime/expr.h. */
#include "runtime/expr.h"
#include <math.h>
#include <setjmp.h>
#include <cmocka.h>

static int lookups;
static bool lookup(void *user, const char *name, double *value)
{
    (void)user;
    lookups++;
    if (!strcmp(name, "x")) *value = 3;
    else if (!strcmp(name, "step")) *value = 7;
    else if (!strcmp(name, "radam.rho")) *value = 0.5;
    else return false;
    return true;
}
static double value_of(const char *text)
{
    char *err = NULL;
    HostExpr *e = expr_parse(text, &err);
    if (!e) fail_msg("%s: %s", text, err);
    const char *bad = NULL;
    double v = expr_eval(e, lookup, NULL, &bad);
    if (bad) fail_msg("%s: unknown %s", text, bad);
    expr_free(e);
    return v;
}
static void values(void **state)
{
    (void)state;
    static const struct { const char *text; double value;
    } cases[] = {
        {"1 + 2 * 3", 7},
        {"(1 + 2) * 3", 9},
        {"-x^2", -9},
        {"2^3^2", 512},
        {"2^-1", 0.5},
        {"2^-1^2", 0.5},
        {"-2^-2", -0.25},
        {"10 - 4 - 3", 3},
        {"7 // 2", 3},
        {"-7 // 2", -4},
        {"-7 % 3", 2},
        {"7 % -3", -2},
        {"8 / 4 / 2", 1},
        {"0x1.8p+1", 3},
        {"1e-4", 1e-4},
        {".5", 0.5},
        {"x > 2 && x < 4", 1},
        {"x < 2 || !(x == 3)", 0},
        {"!0 + 1", 2},
        {"if x > 5 { 1 } else { 2 }", 2},
        {"if x == 3 {10} else if x == 4 {20} else {30}", 10},
        {"radam.rho * 2", 1},
        {"min(3, 2, 5)", 2},
        {"max(x, 1)", 3},
        {"floor(2.7) + ceil(2.1) + round(2.6)", 8},
        {"sigmoid(0)", 0.5},
        {"sign(-2) + abs(-2)", 1},
        {"sqrt(16) + log(exp(2))", 6},
        {"true + false", 1},
        {"1 != 2", 1},
        {"2 <= 2", 1},
        {"1 - 0.5^(step + 1)", 1 - 0x1p-8},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        double v = value_of(cases[i].text);
        if (!(fabs(v - cases[i].value) <= 1e-12)) fail_msg("%s = %.17g, not %.17g", cases[i].text, v, cases[i].value);
    }
    assert_true(isnan(value_of("max(nan, 1)")) && isnan(value_of("0 * inf")));
}
static void lazy(void **state)
{
    (void)state;
    lookups = 0;
    value_of("if true { 1 } else { x }");
    value_of("false && x");
    value_of("true || x");
    assert_int_equal(lookups, 0);
    char *err = NULL;
    HostExpr *e = expr_parse("if step > 1 { 5 } else { nothing }", &err);
    const char *bad = NULL;
    assert_true(expr_eval(e, lookup, NULL, &bad) == 5 && !bad);
    expr_free(e);
    e = expr_parse("1 + nothing", &err);
    assert_true(isnan(expr_eval(e, lookup, NULL, &bad)));
    assert_string_equal(bad, "nothing");
    expr_free(e);
}
static void names(void **state)
{
    (void)state;
    char *err = NULL;
    HostExpr *e = expr_parse("if a > b { max(a, c.d) } else { -e ^ a }", &err);
    const char *out[8];
    assert_int_equal(expr_names(e, out, 8), 4);
    assert_int_equal(expr_names(e, out, 2), 2);
    expr_free(e);
}
static void errors(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           " ",     "1 +", "(1",   "1)", "a b", "foo(1)", "sqrt(1, 2)", "sqrt()",
                                      "if 1 { 2 }", "1 $ 2", "3x",  "min(", "if", "-",   "{1}",    "2 ^",        "a = 1"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *err = NULL;
        HostExpr *e = expr_parse(bad[i], &err);
        if (e) fail_msg("`%s` was accepted", bad[i]);
        assert_true(err && !strncmp(err, "column ", 7));
        free(err);
    }
    enum { N = 100000 };
    static char deep[2 * N + 2];
    static const char opening[] = "(-!^";
    for (size_t k = 0; k < strlen(opening); k++) {
        memset(deep, opening[k], N);
        if (opening[k] == '^') for (int i = 0; i < N; i += 2) deep[i] = '2';
        strcpy(deep + N, "1");
        char *err = NULL;
        assert_null(expr_parse(deep, &err));
        free(err);
    }
    for (int i = 0; i < N; i++) strcpy(deep + 2 * i, i + 1 < N ? "1+" : "1");         /* long is not deep */
    assert_true(value_of(deep) == N);
}
int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(lazy), cmocka_unit_test(names),
                                       cmocka_unit_test(errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
