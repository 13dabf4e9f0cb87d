/* ectc: options and commands; compiling walks passes.def.
   Assumes commands leave located errors in dsl/loc.h; they are printed here, and exit statuses decided. */
#include "compiler/diff.h"
#include "compiler/elaborate.h"
#include "compiler/explain_fusion.h"
#include "compiler/plan_write.h"
#include "compiler/report.h"
#include <errno.h>

enum { TREES = 1, GRAPHS = 2, PLAIN = 4, SIMPLE = 8, LAID = 16, FUSED = 32, KERNELS = 64, PLACED = 128, TEXTS = 256, GROUPED = 512, ORDERED = 1024 };

typedef struct {
    const char *model, *out, *dump;
    char from;                       /* 0: from the start */
    int n_defines, cap_defines;
    Define *define;
    /* the state that passes hand on */
    Number precision;
    LossScale scale;                 /* --loss-scale */
    int facts;
    Arena *trees;
    FileList files;
    Module *m;
    Backend *back;
    bool unfused;                    /* --fusion none */
    int64_t mem;                     /* --mem; 0: not given */
    bool keep_rows;                  /* --rows keep */
    bool apart;                      /* --pair no */
    bool cuda, own_texts;            /* --target cpu,cuda; --share no */
    const char *fusion, *program;    /* explain: what of; in which program, NULL: the first that trains */
    bool graphs_only;                /* --from: graphs without their model; m holds a program for each */
} Run;

/* ---- passes ---- */
static void run_parse(Run *r)
{
    r->trees = arena_new();
    r->files = parse_program(r->trees, r->model);
}

static void run_elaborate(Run *r)
{
    r->m = elaborate(&r->files, r->n_defines, r->define, r->precision, r->scale);
}

/* Calls f once for each graph: grad and train_step.micro are one. */
static void each_graph(Run *r, void f(Graph *), void after(const Graph *, const char *), const char *name)
{
    const Graph *grad = NULL;
    for (int i = 0; i < r->m->n_programs; i++)
        for (int k = 0; k < r->m->programs[i].n_seg; k++) {
            Graph *g = r->m->programs[i].seg[k].g;
            if (g == grad) continue;
            f(g);
            after(g, name);
            if (r->m->programs[i].name == sym("grad")) grad = g;
        }
}

static void run_expand_composites(Run *r) { each_graph(r, expand_composites, verify, "expand_composites"); }
static void run_simplify(Run *r) { each_graph(r, simplify, verify, "simplify"); }
static void run_compact(Run *r) { if (!r->keep_rows) each_graph(r, compact, verify, "compact"); }

static bool wanted(const Run *r, char letter) { return r->dump && strchr(r->dump, letter); }

static void run_layout(Run *r) { r->back = layout(r->m); }

/* The interpreters run the graphs as they were before: what kernels make of them is checked against an independent form. */
static void run_regroup(Run *r)
{
    const Graph *grad = NULL;
    for (int i = 0; i < r->m->n_programs; i++)
        for (int k = 0; k < r->m->programs[i].n_seg; k++) {
            Segment *s = &r->m->programs[i].seg[k];
            StrBuf text = { 0 };
            graph_print(&text, r->m, s->g);
            s->text = arena_strdup(r->m->arena, text.s ? text.s : "");
            sb_free(&text);
        }
    for (int i = 0; i < r->m->n_programs; i++)
        for (int k = 0; k < r->m->programs[i].n_seg; k++) {
            Graph *g = r->m->programs[i].seg[k].g;
            if (g == grad || r->unfused || segment_is_update(&r->m->programs[i].seg[k]) || r->m->programs[i].name == sym("init")) continue;
            regroup(g, r->m, r->back->params);
            verify(g, "regroup");
            if (r->m->programs[i].name == sym("grad")) grad = g;
        }
}

/* An update is one pass over the flat arrays: nothing in it is held. */
static void run_fuse(Run *r)
{
    const Graph *grad = NULL;
    for (int i = 0; i < r->m->n_programs; i++)
        for (int k = 0; k < r->m->programs[i].n_seg; k++) {
            Graph *g = r->m->programs[i].seg[k].g;
            if (g == grad) continue;
            Ranks *ranks = layout_ranks(r->m, g, r->back->params);
            if (r->unfused) hold_everything(g);
            else fuse(g, ranks);
            free(ranks);
            verify(g, "fuse");
            if (r->m->programs[i].name == sym("grad")) grad = g;
            if (segment_is_update(&r->m->programs[i].seg[k])) memset(g->held, 0, g->n);
        }
}

static void run_budget(Run *r) { if (r->mem) budget(r->back, r->mem); }
static void run_lower(Run *r) { lower(r->back); }
static void run_pair(Run *r) { if (!r->unfused && !r->apart) pair(r->back, r->mem); }
static void run_group(Run *r) { group(r->back, !r->unfused); }
static void run_memplan(Run *r) { memplan(r->back); }
static void run_emit_c(Run *r) { emit_c(r->back); }
static void run_emit_cuda(Run *r) { if (r->cuda) emit_cuda(r->back); }
static void run_share_cuda(Run *r) { if (r->cuda && !r->own_texts) share_cuda(r->back); }
static void run_plan_write(Run *r) { plan_write(r->back, &(PlanOptions){ .out = r->out }); }

typedef struct { char letter; const char *name; void (*run)(Run *); int needs, gives, breaks; const char *sentence; } Pass;
static const Pass passes[] = {
#define PASS(letter, function, needs, gives, breaks, sentence) { letter, #function, run_##function, needs, gives, breaks, sentence },
#include "compiler/passes.def"
#undef PASS
};
static const Pass *find_pass(char letter)
{
    for (size_t i = 0; i < COUNT(passes); i++)
        if (passes[i].letter == letter) return &passes[i];
    return NULL;
}

static void dump_graph(const Run *r, const char *name, const Graph *g, const char *pass)
{
    StrBuf b = { 0 };
    sb_printf(&b, "# %s after %s\n", name, pass);
    graph_print(&b, r->m, g);
    fputs(b.s, stdout);
    sb_free(&b);
}

static void dump(const Run *r, const Pass *p)
{
    if (p->letter == 'P') {
        for (int i = 0; i < r->files.n; i++) {
            char *s = ast_dump(r->files.v[i], false);
            printf("# %s\n%s", r->files.v[i]->path, s);
            free(s);
        }
    } else if (strchr("OTGMHU", p->letter)) {
        StrBuf b = { 0 };
        backend_dump(&b, r->back, p->letter);
        if (b.s) fputs(b.s, stdout);
        sb_free(&b);
    } else {
        for (int i = 0; r->m && p->letter != 'W' && p->letter != 'L' && i < r->m->n_programs; i++)
            for (int k = 0; k < r->m->programs[i].n_seg; k++) dump_graph(r, r->m->programs[i].seg[k].name, r->m->programs[i].seg[k].g, p->name);
    }
}

static int finish(Run *r, int status)
{
    if (diag_count()) {
        diag_print(stderr);
        status = EXIT_USER;
    }
    backend_free(r->back);
    module_drop(r->m);
    free(r->files.v);
    if (r->trees) arena_drop(r->trees);
    free(r->define);
    return status;
}

static int walk(Run *r)
{
    bool started = !r->from;
    for (size_t i = 0; i < COUNT(passes); i++) {
        const Pass *p = &passes[i];
        started = started || p->letter == r->from;
        bool order = p->letter == 'L';               /* parameters are laid out for any later entry */
        if ((!started && !order) || (p->letter == 'W' && !r->out)) continue;
        if (p->letter == 'L' && !r->out && !r->fusion && !(r->dump && strpbrk(r->dump, "LRFBOTGMHU"))) { if (started) break; else continue; }      /* `check` needs no kernels */
        if ((r->facts & p->needs) != p->needs) die("pass `%s` comes too early", p->name);
        p->run(r);
        r->facts = (r->facts & ~p->breaks) | p->gives;
        if (wanted(r, p->letter) && !(p->letter == 'E' && diag_count())) dump(r, p);
        if (diag_count()) break;
    }
    if (r->fusion && !diag_count()) explain_fusion(r->back, r->program, r->fusion, stdout);
    return finish(r, EXIT_OK);
}

/* ---- --from: graph texts in place of a model ---- */
/* One graph, or all that -d printed: "# NAME after PASS" begins each. */
static void read_graphs(Run *r)
{
    size_t n;
    char *text = read_file(r->model, &n), *err = NULL;
    if (!text) user_error("cannot read %s: %s", r->model, strerror(errno));
    if (strlen(text) != n) user_error("%s: the text holds a NUL byte", r->model);
    Module *m = r->m = xcalloc(1, sizeof *m);
    m->arena = arena_new();
    m->model_file = sym(r->model);
    m->precision = r->precision;
    m->programs = arena_make(m->arena, Program, 1 + n / 8);
    for (char *at = text, *next; at; at = next) {
        char name[256] = "graph", pass[64];
        bool headed = sscanf(at, "# %255s after %63s", name, pass) == 2;
        if (!headed) snprintf(name, sizeof name, "graph");
        next = strstr(at + 1, "\n# ");
        while (next && sscanf(next + 1, "# %*s after %63s", pass) != 1) next = strstr(next + 1, "\n# ");
        if (next) *next++ = 0;
        Program *p = &m->programs[m->n_programs++];
        Graph *g = graph_parse(at, m, &err);
        if (!g) user_error("%s, %s: %s", r->model, name, err);
        for (Ref q = 1; q < g->n; q++) {             /* the text names parameters; their shapes stand at the nodes */
            Param *w = N(g, q)->op == OP_param ? &m->params[N(g, q)->a.param.index] : NULL;
            if (!w || w->axes) continue;
            w->n_axes = N(g, q)->n_axes;
            w->axes = N(g, q)->axes;
        }
        p->name = sym(name);
        p->n_seg = 1;
        p->seg[0] = (Segment){ .name = p->name, .g = g };
    }
    free(text);
    r->graphs_only = true;
    r->facts = TREES | GRAPHS | PLAIN | SIMPLE | (r->from == 'F' || r->from == 'O' ? GROUPED : 0);
    if (r->from == 'O') {
        r->facts |= FUSED;
        bool any = false;
        for (int i = 0; i < m->n_programs; i++) {
            Graph *g = m->programs[i].seg[0].g;
            any |= g->held != NULL;
            if (!g->held) g->held = xcalloc(g->n, sizeof *g->held);
            if (!g->into) g->into = xcalloc(g->n, sizeof *g->into);
        }
        if (!any) user_error("%s: no node is marked `held`: this is not what fuse leaves", r->model);
    }
}

/* ---- commands ---- */
static void usage(FILE *to)
{
    fputs("usage: ectc MODEL.dsl -o PLAN [-D name=value]... [options]    compile a model\n"
          "       ectc check MODEL.dsl [-D name=value]...                check it, write nothing\n"
          "       ectc fmt [--check | -w] FILE...                        canonical text to stdout; --check: exit 1 if it differs; -w: rewrite\n"
          "       ectc diff [--check] [--totals] [--device D] PLAN1 PLAN2  kernels, bytes and predicted times of two plans; --check: exit 1 if they differ\n"
          "       ectc explain [CODE]                                    the page of an error code, or the list of codes\n"
          "       ectc explain MODEL.dsl --fusion NAME [options]         which kernels compute an instance or FILE.dsl:LINE, what is held, and why\n"
          "       ectc report PLAN -o FILE.html                          a plan as one page: text, graph, kernels, memory, predicted times\n"
          "\n"
          "  -o PLAN          directory to write; an existing plan there is replaced\n"
          "  -D name=value    give a `config` of the model another value: -D res=16 -D 'mult=[1,2]'\n"
          "  --target T       what to compile for: cpu, or cpu,cuda (cpu)\n"
          "  --precision P    f32; tf32: operands of the network's contractions rounded to it; bf16 or f16: these and activations in 2 bytes;\n"
          "                   `precision` regions of the text say otherwise for themselves\n"
          "  --loss-scale HOW yes: gradients are computed of a multiple of the loss that training adapts; no (yes where anything of the loss is f16, else no)\n"
          "  --fusion MODE    full (the default), or none: each operation a kernel of its own, its result in memory\n"
          "  --rows HOW       keep: the first branch of `rows` is computed for every row; compact: for those that need it (compact)\n"
          "  --pair HOW       no: each evaluation of a network by itself; yes: two of the same weights side by side, where memory allows (yes)\n"
          "  --share HOW      yes: kernels whose CUDA texts differ in numbers only share one; no: each kernel has its own (yes)\n"
          "  --program P      with explain: the program that is looked at (train_step, or the first)\n"
          "  --mem SIZE       no arena above SIZE bytes (900M, 2G: powers of ten): what does not fit is computed again\n"
          "  -d LETTERS       print what passes leave, to stdout\n"
          "  --from LETTER    MODEL is a graph text (as -d prints it): start at this pass\n"
          "  --help, --version\n"
          "\npasses:\n", to);
    for (size_t i = 0; i < COUNT(passes); i++) fprintf(to, "  %c  %-18s %s\n", passes[i].letter, passes[i].name, passes[i].sentence);
    fputs("\nexit status: 0 ok, 1 a mistake in the input, 2 the machine's fault, 3 a bug of ectc\n", to);
}

/* The value of an option that takes one: the rest of the word, or the next. */
static const char *option_value(int argc, char **argv, int *i, const char *option)
{
    if (*i + 1 >= argc) user_error("%s needs a value\n  help: ectc --help", option);
    return argv[++*i];
}

static void add_define(Run *r, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) user_error("-D %s: write -D name=value", text);
    vec_push(r->define, r->n_defines, r->cap_defines, ((Define){ symn(text, (size_t)(eq - text)), eq + 1 }));
}

static void check_letters(const char *letters)
{
    for (const char *p = letters; *p; p++) {
        if (!find_pass(*p)) user_error("-d %s: no pass has the letter `%c`\n  help: ectc --help lists them", letters, *p);
    }
}

typedef enum { COMPILE, CHECK, EXPLAIN } Command;

/* "900M": bytes; K, M, G are powers of ten, as in all that is printed. */
static int64_t size_value(const char *text)
{
    static const struct { char letter; double bytes; } UNITS[] = {{'K', 1e3}, {'M', 1e6}, {'G', 1e9}, {'T', 1e12}};
    char *end;
    double v = strtod(text, &end);
    for (size_t i = 0; i < COUNT(UNITS); i++)
        if (end != text && end[0] == UNITS[i].letter) { v *= UNITS[i].bytes; end++; break; }
    if (end == text || *end || !(v >= 1) || !(v < 1e18)) user_error("--mem %s: a size, like 900M or 2G (K, M, G, T are powers of ten)", text);
    return (int64_t)v;
}

static int compile(int argc, char **argv, Command command)
{
    Run r = { 0 };
    bool check_only = command == CHECK, explain = command == EXPLAIN;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "-D")) add_define(&r, option_value(argc, argv, &i, a));
        else if (!strncmp(a, "-D", 2)) add_define(&r, a + 2);
        else if (!strcmp(a, "-d") && !explain) check_letters(r.dump = option_value(argc, argv, &i, a));
        else if (!strcmp(a, "-o") && command == COMPILE) r.out = option_value(argc, argv, &i, a);
        else if (!strcmp(a, "--fusion") && explain) r.fusion = option_value(argc, argv, &i, a);
        else if (!strcmp(a, "--program") && explain) r.program = option_value(argc, argv, &i, a);
        else if (!strcmp(a, "--precision") && !check_only) {
            const char *t = option_value(argc, argv, &i, a);
            r.precision = number_named(t);
            if (r.precision == N_NUMBERS) user_error("--precision %s: there are f32, tf32, bf16 and f16", t);
        } else if (!strcmp(a, "--loss-scale") && !check_only) {
            const char *t = option_value(argc, argv, &i, a);
            if (strcmp(t, "yes") && strcmp(t, "no")) user_error("--loss-scale %s: it is yes or no", t);
            r.scale = strcmp(t, "yes") ? SCALE_NO : SCALE_YES;
        } else if (!strcmp(a, "--target") && !check_only) {
            const char *t = option_value(argc, argv, &i, a);
            if (strcmp(t, "cpu") && strcmp(t, "cpu,cuda")) user_error("--target %s: it is cpu, or cpu,cuda", t);
            r.cuda = strcmp(t, "cpu") != 0;
        } else if (!strcmp(a, "--fusion") && !check_only) {
            const char *f = option_value(argc, argv, &i, a);
            if (strcmp(f, "none") && strcmp(f, "full")) user_error("--fusion %s: it is full or none", f);
            r.unfused = !strcmp(f, "none");
        } else if (!strcmp(a, "--rows") && !check_only) {
            const char *how = option_value(argc, argv, &i, a);
            if (strcmp(how, "keep") && strcmp(how, "compact")) user_error("--rows %s: keep or compact", how);
            r.keep_rows = how[0] == 'k';
        } else if (!strcmp(a, "--pair") && !check_only) {
            const char *how = option_value(argc, argv, &i, a);
            if (strcmp(how, "no") && strcmp(how, "yes")) user_error("--pair %s: it is yes or no", how);
            r.apart = how[0] == 'n';
        } else if (!strcmp(a, "--share") && !check_only) {
            const char *how = option_value(argc, argv, &i, a);
            if (strcmp(how, "no") && strcmp(how, "yes")) user_error("--share %s: it is yes or no", how);
            r.own_texts = how[0] == 'n';
        } else if (!strcmp(a, "--mem") && command == COMPILE) {
            r.mem = size_value(option_value(argc, argv, &i, a));
        } else if (!strcmp(a, "--from") && command == COMPILE) {
            const char *l = option_value(argc, argv, &i, a);
            if (strlen(l) != 1 || !strchr("XSCRFO", *l)) user_error("--from %s: a graph can enter at X, S, C, R, F or O", l);
            r.from = *l;
        } else if (a[0] == '-' && a[1]) {
            static const char *const known[] = { "-D", "-d", "-o", "--target", "--precision", "--loss-scale", "--fusion", "--rows", "--pair", "--share", "--mem", "--from", "--program", "--help", "--version" };
            const char *near = suggest(a, known, COUNT(known));
            user_error("unknown option %s\n  help: %s%s%s", a, near ? "did you mean " : "ectc --help", near ? near : "", near ? "?" : "");
        } else if (r.model) user_error("one model at a time: %s and %s", r.model, a);
        else r.model = a;
    }
    if (!r.model) user_error("no model given\n  help: ectc %s", explain ? "explain models/unet_ect.dsl --fusion enc.32x32_block0" : "models/unet_ect.dsl -o plan");
    if (explain && !r.fusion) user_error("what of %s? give --fusion NAME, an instance or FILE.dsl:LINE\n  help: ectc explain %s --fusion enc.32x32_block0", r.model, r.model);
    if (command == COMPILE && !r.out && !r.dump) user_error("nowhere to write: give -o PLAN, or say `ectc check %s`", r.model);
    if (r.from && r.out) user_error("--from reads a graph without its model: there is no plan to write");
    if (r.mem && r.unfused) user_error("--mem and --fusion none exclude each other: without fusion everything is held");
    if (r.from) read_graphs(&r);
    int status = walk(&r);
    if (check_only && status == EXIT_OK && !r.dump) printf("%s: no errors\n", r.model);
    return status;
}

static int format(int argc, char **argv)
{
    bool check = false, rewrite = false;
    int status = EXIT_OK, files = 0;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--check")) check = true;
        else if (!strcmp(argv[i], "-w")) rewrite = true;
        else if (argv[i][0] == '-' && argv[i][1]) user_error("unknown option %s\n  help: ectc fmt [--check | -w] FILE...", argv[i]);
        else files++;
    }
    if (!files) user_error("no file given\n  help: ectc fmt [--check | -w] FILE...");
    if (check && rewrite) user_error("--check and -w exclude each other");
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) continue;
        Arena *a = arena_new();
        File *f = parse_file(a, argv[i]);
        if (!f || diag_count()) {
            diag_print(stderr);
            diag_reset();
            status = EXIT_USER;
        } else {
            char *text = ast_print(f);
            size_t n;
            const char *old = source_text(f->file, &n);
            bool same = n == strlen(text) && !memcmp(old, text, n);
            if (check && !same) {
                fprintf(stderr, "%s is not in canonical form\n  help: ectc fmt -w %s\n", argv[i], argv[i]);
                status = EXIT_USER;
            }
            if (rewrite && !same && !write_file_atomic(argv[i], text, strlen(text))) machine_error("cannot write %s: %s", argv[i], strerror(errno));
            if (!check && !rewrite) fputs(text, stdout);
            free(text);
        }
        arena_drop(a);
    }
    return status;
}

int main(int argc, char **argv)
{
    prog_name = "ectc";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return usage(stdout), EXIT_OK;
        if (!strcmp(argv[i], "--version")) return puts("ectc " ECT_VERSION), EXIT_OK;
    }
    if (argc < 2) return usage(stderr), EXIT_USER;
    if (!strcmp(argv[1], "explain")) {
        for (int i = 2; i < argc; i++) {
            size_t n = strlen(argv[i]);
            if (!strcmp(argv[i], "--fusion") || (n > 4 && !strcmp(argv[i] + n - 4, ".dsl"))) return compile(argc - 2, argv + 2, EXPLAIN);
        }
        if (argc > 3) user_error("explain takes one code\n  help: ectc explain E0203");
        return explain_code(argc > 2 ? argv[2] : NULL, stdout);
    }
    if (!strcmp(argv[1], "report")) return report_command(argc - 2, argv + 2);
    if (!strcmp(argv[1], "diff")) return diff_plans(argc - 2, argv + 2);
    if (!strcmp(argv[1], "fmt")) return format(argc - 2, argv + 2);
    if (!strcmp(argv[1], "check")) return compile(argc - 2, argv + 2, CHECK);
    return compile(argc - 1, argv + 1, COMPILE);
}
