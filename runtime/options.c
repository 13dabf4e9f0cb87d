/* options.h.
   Assumes tables small enough for linear search. */
#include "runtime/options.h"
#include <errno.h>
#include <math.h>

static NORETURN void print_help(const char *usage, const char *about, const Option *o, int n)
{
    printf("usage: %s\n\n%s\n\noptions:\n", usage, about);
    for (int i = 0; i < n; i++) {
        char *left = xasprintf("%s%s%s%s", o[i].name[1] ? "--" : "-", o[i].name, o[i].arg ? " " : "", o[i].arg ? o[i].arg : "");
        printf("  %-24s %s\n", left, o[i].help);
        free(left);
    }
    printf("  %-24s %s\n", "--help", "this text");
    exit(EXIT_OK);
}

const Option *option_find(const Option *o, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(o[i].name, name)) return &o[i];
    return NULL;
}

static NORETURN void unknown(const Option *o, int n, const char *arg, const char *name)
{
    const char **names = xmalloc((size_t)n * sizeof *names);
    for (int i = 0; i < n; i++) names[i] = o[i].name;
    const char *near = suggest(name, names, n);
    user_error("unknown option %s%s%s; --help lists them", arg, near ? ": did you mean --" : "", near ? near : "");
}

static void take(Option *o, const char *arg, const char *value)
{
    char *end;
    errno = 0;
    switch (o->kind) {
    case OPT_FLAG: *(bool *)o->target = true; break;
    case OPT_JSON:
    case OPT_TEXT: *(const char **)o->target = value; break;
    case OPT_TEXTS: {
        TextList *l = o->target;
        vec_push(l->v, l->n, l->cap, value);
        break;
    }
    case OPT_INT: {
        /* 1e6 is a natural way to write a number of images. */
        double d = strtod(value, &end);
        if (end == value || *end || !(fabs(d) < 9e15) || d != floor(d)) user_error("%s wants a whole number, got `%s`", arg,
                value);
        bool digits_only = value[strspn(value, "-0123456789")] == 0;
        int64_t v = digits_only ? strtoll(value, NULL, 10) : (int64_t)d;
        if (v < o->min || v > o->max) user_error("%s: %s is out of range; it must be %lld to %lld", arg, value,
                (long long)o->min, (long long)o->max);
        *(int64_t *)o->target = v;
        break;
    }
    case OPT_REALS: {
        RealList *l = o->target;
        double d = strtod(value, &end);
        if (end == value || *end || !isfinite(d)) user_error("%s wants a number, got `%s`", arg, value);
        vec_push(l->v, l->n, l->cap, d);
        break;
    }
    }
    o->given = true;
}

static bool is_json(const char *s)
{
    size_t n = strlen(s);
    return n > 5 && *s != '-' && !strcmp(s + n - 5, ".json");
}

int options_parse(const char *usage, const char *about, Option *o, int n, int argc, char **argv, const char **pos, int max_pos)
{
    int n_pos = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!strcmp(arg, "--help") || !strcmp(arg, "-h")) print_help(usage, about, o, n);
        if (arg[0] != '-' || !arg[1]) {
            if (n_pos == max_pos) user_error("unexpected argument `%s`; usage: %s", arg, usage);
            pos[n_pos++] = arg;
            continue;
        }
        const char *name = arg + (arg[1] == '-' ? 2 : 1), *equals = strchr(name, '=');
        char *bare = equals ? xasprintf("%.*s", (int)(equals - name), name) : xstrdup(name);
        Option *found = (Option *)option_find(o, n, bare);
        if (!found || (found->name[1] != 0) != (arg[1] == '-')) unknown(o, n, arg, bare);
        char *shown = xasprintf("%s%s", found->name[1] ? "--" : "-", found->name);
        const char *value = equals ? equals + 1 : NULL;
        if (found->kind == OPT_FLAG && value) user_error("%s takes no value", shown);
        if (found->kind == OPT_JSON && !value) value = i + 1 < argc && is_json(argv[i + 1]) ? argv[++i] : "";
        if (found->kind != OPT_FLAG && !value) {
            if (i + 1 >= argc) user_error("%s wants a value: %s", shown, found->arg);
            value = argv[++i];
        }
        take(found, shown, value);
        free(shown);
        free(bare);
    }
    return n_pos;
}
