/* Plans written by tests: a folder with plan.json and graph texts, no kernels.
   Included by one test each. */
#ifndef PLAN_TEXT_H
#define PLAN_TEXT_H
#include <unistd.h>
#include "runtime/run.h"

static char plan_dir[64];

static void put_file(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", plan_dir, name);
    FILE *f = fopen(path, "w");                                      /* thousands of them: no fsync */
    if (!f || fputs(text, f) < 0 || fclose(f)) die("cannot write %s", path);
    free(path);
}
static void make_plan_dir(void)
{
    strcpy(plan_dir, access("/dev/shm", W_OK) ? "/tmp/ect-test-plan-XXXXXX" : "/dev/shm/ect-test-plan-XXXXXX");
    if (!mkdtemp(plan_dir)) die("no temporary folder");
    char *graphs = xasprintf("%s/graph", plan_dir);
    make_dirs(graphs);
    free(graphs);
}
/* "x [n:2,c:3]" -> {"name": "x", "roles": [...], "shape": [...]} */
static void put_tensor(StrBuf *b, const char *decl)
{
    const char *open = strchr(decl, '[');
    sb_printf(b, "{\"name\": \"%.*s\", \"roles\": [", (int)(open - decl - 1), decl);
    StrBuf sizes = {0};
    sb_puts(&sizes, "");
    for (const char *s = open + 1; *s && *s != ']'; ) {
        size_t role = strcspn(s, ":"), size = strcspn(s + role + 1, ",]");
        sb_printf(b, "%s\"%.*s\"", sizes.len ? ", " : "", (int)role, s);
        sb_printf(&sizes, "%s%.*s", sizes.len ? ", " : "", (int)size, s + role + 1);
        s += role + 1 + size + (s[role + 1 + size] == ',');
    }
    sb_printf(b, "], \"shape\": [%s]", sizes.len ? sizes.s : "");
    sb_free(&sizes);
}
static void put_tensors(StrBuf *b, const char *const *decl)
{
    sb_putc(b, '[');
    for (int i = 0; decl[i]; i++) {
        if (i) sb_puts(b, ", ");
        put_tensor(b, decl[i]);
        sb_putc(b, '}');
    }
    sb_putc(b, ']');
}
/* A plan of one program `main` with one segment: declarations end with NULL. draws: JSON list. */
__attribute__((unused)) static Plan *simple_plan(const char *graph, const char *const *inputs, const char *const *outputs,
                                                 const char *draws)
{
    StrBuf b = {0};
    sb_puts(&b, "{\"format\": \"ect-plan\", \"version\": 2, \"ectc\": \"0\", \"model\": \"m\", \"batch\": 1, \"config\": [], "
                "\"parameters\": [], "
                "\"param_elements\": 0, \"sets\": [\"\"], \"states\": [], \"runtime\": [{\"name\": \"q\", \"type\": \"real\", "
                "\"expr\": \"0.25\"}], "
                "\"scalars\": [\"q * 2\"], \"streams\": [], \"kernels\": [], \"programs\": [{\"name\": \"main\", \"training\": "
                "false, \"inputs\": ");
    put_tensors(&b, inputs);
    sb_puts(&b, ", \"outputs\": ");
    put_tensors(&b, outputs);
    sb_printf(&b,
              ", \"segments\": [{\"name\": \"main\", \"graph\": \"graph/main.txt\", \"fused\": \"graph/main.txt\", \"phase\": null, \"each\": null, \"time\": "
              "null, \"buffers\": [], "
              "\"draws\": %s, \"steps\": [], \"peak_bytes\": 0, \"flops\": 0, \"bytes\": 0}]}]}",
              draws ? draws : "[]");
    put_file("plan.json", b.s);
    put_file("graph/main.txt", graph);
    sb_free(&b);
    char *err = NULL;
    Plan *p = plan_load(plan_dir, &err);
    if (!p) die("%s", err);
    return p;
}
#endif
