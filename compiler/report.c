/* The report: a validated plan and all its texts as JSON inside one page; the page's scripts (compiler/report/) do the drawing.
   Assumes that text reaches the page only through JSON whose `<` are escaped, so that nothing of the model is read as markup. */
#include "compiler/report.h"
#include "dsl/embedded.h"
#include "runtime/plan.h"
#include "runtime/predict.h"
#include <dirent.h>
#include <errno.h>
#include <jansson.h>

/* The first is what the page opens with. */
static const char *const device_names[] = {"cpu", "h200", "a100"};
static const char *const scripts[] = {"data.js", "panes.js", "detail.js", "memory.js", "main.js", "selftest.js"};

static const struct Embedded *asset(const char *name)
{
    char *full = xasprintf("report/%s", name);
    const struct Embedded *e = embedded_find(full);
    if (!e) die("%s is not embedded", full);
    free(full);
    return e;
}

/* A text as JSON. Bytes that are no UTF-8 (the plan was edited) become '?': the page shows what is there. */
static json_t *json_text(char *s, size_t n)
{
    json_t *j = json_stringn(s, n);
    if (j) return j;
    for (size_t i = 0; i < n; i++) if ((unsigned char)s[i] >= 0x80) s[i] = '?';
    return json_stringn(s, n);
}

/* A file of the plan; exits when it is not there. */
static json_t *plan_text(const Plan *p, const char *file)
{
    size_t n;
    char *path = plan_path(p, file), *s = read_file(path, &n);
    if (!s) user_error("the plan %s is damaged: cannot read its %s: %s; compile the model again", p->dir, file, strerror(errno));
    json_t *j = json_text(s, n);
    free(s);
    free(path);
    return j;
}

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The model under its own name, then what it imports, by name. */
static json_t *sources(const Plan *p)
{
    json_t *list = json_array();
    json_array_append_new(list, json_pack("{s:s, s:o}", "name", p->model, "text", plan_text(p, "model.dsl")));
    char *folder = plan_path(p, "sources"), **names = NULL;
    int n = 0, cap = 0;
    DIR *d = opendir(folder);
    if (!d && errno != ENOENT) user_error("cannot read %s: %s", folder, strerror(errno));
    for (struct dirent *e; d && (e = readdir(d));) if (e->d_name[0] != '.') vec_push(names, n, cap, xstrdup(e->d_name));
    if (d) closedir(d);
    if (n) qsort(names, (size_t)n, sizeof *names, by_text);
    for (int i = 0; i < n; i++) {
        char *file = xasprintf("sources/%s", names[i]);
        json_t *name = json_text(names[i], strlen(names[i]));
        json_array_append_new(list, json_pack("{s:o, s:o}", "name", name, "text", plan_text(p, file)));
        free(file);
        free(names[i]);
    }
    free(names);
    free(folder);
    return list;
}

static json_t *devices(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < COUNT(device_names); i++) {
        PredictDevice d;
        char *err = NULL;
        if (!predict_device(&d, device_names[i], 0, &err)) die("%s", err);
        char *what = d.cores ? xasprintf("%s (%d)", d.what, d.cores) : xstrdup(d.what);
        json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "name", d.name, "what", what,
                                              "matrix_f32", d.matrix_f32, "matrix_half", d.matrix_half, "element", d.element,
                                              "bytes", d.bytes, "launch", d.launch));
        free(what);
    }
    return list;
}

static json_t *same_segment(json_t *kept, const json_t *segment, const json_t *graph, const json_t *texts)
{
    json_t *o;
    size_t i;
    json_array_foreach(kept, i, o)
        if (json_equal(json_object_get(segment, "steps"), json_object_get(o, "steps")) &&
            json_equal(json_object_get(segment, "buffers"), json_object_get(o, "buffers")) &&
            json_equal(json_object_get(segment, "draws"), json_object_get(o, "draws")) &&
            json_equal(graph, json_object_get(texts, json_string_value(json_object_get(o, "fused"))))) return o;
    return NULL;
}

/* Graph texts by file. Segments that are one (grad and train_step.micro) are kept once: the second names the first, `same_as`. */
static json_t *graphs(const Plan *p, json_t *root)
{
    json_t *texts = json_object(), *kept = json_array(), *program, *segment;
    size_t i, k;
    json_array_foreach(json_object_get(root, "programs"), i, program)
        json_array_foreach(json_object_get(program, "segments"), k, segment) {
            if (!json_array_size(json_object_get(segment, "steps"))) continue;
            const char *file = json_string_value(json_object_get(segment, "fused"));
            json_t *text = plan_text(p, file);
            json_t *same = same_segment(kept, segment, text, texts);
            if (same) {
                json_object_set(segment, "same_as", json_object_get(same, "name"));
                json_object_del(segment, "steps");
                json_object_del(segment, "buffers");
                json_object_del(segment, "draws");
            } else {
                json_object_set(texts, file, text);
                json_array_append(kept, segment);
            }
            json_decref(text);
        }
    json_decref(kept);
    return texts;
}

static json_t *page_data(const Plan *p)
{
    char *path = plan_path(p, "plan.json");
    json_error_t err;
    json_t *root = json_load_file(path, 0, &err);
    if (!root) user_error("the plan %s is damaged: plan.json line %d: %s; compile the model again", p->dir, err.line, err.text);
    free(path);
    json_t *kernels = json_object();
    for (int i = 0; i < p->n_kernels; i++) json_object_set_new(kernels, p->kernel[i].file, plan_text(p, p->kernel[i].file));
    json_t *g = graphs(p, root);
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "plan", root, "sources", sources(p), "kernels", kernels, "graphs", g,
                     "devices", devices());
}

/* Inside <script> only `<` can end or change what is read; in JSON it stands in strings alone, so an escape means the same. */
static void put_data(StrBuf *b, const Plan *p)
{
    json_t *data = page_data(p);
    char *text = json_dumps(data, JSON_COMPACT);
    if (!text) die("the page's data cannot be written as JSON");
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, "<");
        sb_write(b, s, n);
        s += n;
        if (*s) { sb_puts(b, "\\u003c"); s++; }
    }
    free(text);
    json_decref(data);
}

/* The frame with its marks @@style@@, @@data@@, @@script@@ filled; what is put in is not searched for marks. */
static void put_page(StrBuf *b, const Plan *p)
{
    const char *at = asset("page.html")->text;
    for (const char *mark; (mark = strstr(at, "@@")); at = strstr(mark + 2, "@@") + 2) {
        sb_write(b, at, (size_t)(mark - at));
        if (!strncmp(mark, "@@style@@", 9)) sb_puts(b, asset("style.css")->text);
        else if (!strncmp(mark, "@@data@@", 8)) put_data(b, p);
        else if (!strncmp(mark, "@@script@@", 10))
            for (size_t i = 0; i < COUNT(scripts); i++) sb_puts(b, asset(scripts[i])->text);
        else die("page.html has an unknown mark");
    }
    sb_puts(b, at);
}

int report_command(int argc, char **argv)
{
    const char *dir = NULL, *out = NULL;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "-o")) {
            if (i + 1 >= argc) user_error("-o needs a value\n  help: ectc report plan -o report.html");
            out = argv[++i];
        } else if (argv[i][0] == '-') user_error("unknown option %s\n  help: ectc report PLAN -o FILE.html", argv[i]);
        else if (dir) user_error("one plan at a time: %s and %s", dir, argv[i]);
        else dir = argv[i];
    }
    if (!dir) user_error("no plan given\n  help: ectc report plan -o report.html");
    if (!out) user_error("nowhere to write: ectc report %s -o report.html", dir);
    char *err = NULL;
    Plan *p = plan_load(dir, &err);
    if (!p) user_error("%s", err);
    StrBuf b = {0};
    put_page(&b, p);
    if (!write_file_atomic(out, b.s, b.len))
        machine_error("cannot write %s: %s\n  help: choose another file with -o", out, strerror(errno));
    printf("%s: %.1f MB; open it in a browser\n", out, (double)b.len / 1e6);
    sb_free(&b);
    plan_free(p);
    return EXIT_OK;
}
