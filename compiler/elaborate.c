/* Entry of the elaborator: parses, checks the text, evaluates file-level names, makes the programs, hands over a Module.
   Assumes nothing of the text; all errors go to dsl/loc.h. */
#include "compiler/elab.h"

static void keep_sources(Elab *e)
{
    Module *m = e->m;
    m->sources = xcalloc((size_t)e->n_files, sizeof *m->sources);
    for (int i = e->n_files; i-- > 0;) {                 /* the main file first */
        size_t len;
        const char *text = source_text(e->file[i]->f->file, &len);
        m->sources[m->n_sources].file = e->file[i]->shown;
        m->sources[m->n_sources++].text = arena_strndup(m->arena, text, len);
    }
    m->model_file = e->main->shown;
}

static void keep_streams(Elab *e)
{
    Module *m = e->m;
    int cap = 0;
    for (int i = e->n_files; i-- > 0;)
        for (int k = 0; k < e->file[i]->n; k++) {
            Top *t = &e->file[i]->top[k];
            bool known = t->kind != TOP_STREAM;
            for (int j = 0; j < m->n_streams; j++) known = known || m->streams[j] == t->name;
            if (!known) vec_push(m->streams, m->n_streams, cap, t->name);
        }
    vec_push(m->streams, m->n_streams, cap, sym("init"));
}

static void drop_slot(Slot *s)
{
    for (int i = 0; i < s->n; i++) drop_slot(s->child[i]);
    free(s->child);
}

static void drop_elab(Elab *e)
{
    for (int i = 0; i < e->n_files; i++) free(e->file[i]->top);
    drop_slot(e->root);
    free(e->param);
    free(e->report);
    free(e->draw);
    free(e->base.count);
    arena_drop(e->arena);
    free(e);
}

Module *elaborate(const FileList *files, int n_defines, const Define *defines, Number precision, LossScale scale)
{
    Elab *e = xcalloc(1, sizeof *e);
    Module *m = e->m = xcalloc(1, sizeof *m);
    e->arena = arena_new();
    m->arena = arena_new();
    m->precision = precision;
    e->scale = scale;
    e->n_defines = n_defines;
    e->defines = defines;
    e->root = arena_make(e->arena, Slot, 1);
    e->root->path = e->root->name = sym("");
    if (!diag_count() && make_scopes(e, files)) {
        keep_sources(e);
        check_text(e);
        eval_configs(e);
        declare_runtimes(e);
        keep_streams(e);
        if (!e->stop) make_programs(e);
    }
    drop_elab(e);
    if (!diag_count()) return m;
    module_drop(m);
    return NULL;
}

Module *elaborate_file(const char *path, int n_defines, const Define *defines)
{
    Arena *trees = arena_new();
    FileList files = parse_program(trees, path);
    Module *m = elaborate(&files, n_defines, defines, NUM_F32, SCALE_NO);
    free(files.v);
    arena_drop(trees);
    return m;
}

Module *elaborate_text(const char *name, const char *text, size_t len, int n_defines, const Define *defines)
{
    Arena *trees = arena_new();
    FileList files = parse_program_text(trees, name, text, len);
    Module *m = elaborate(&files, n_defines, defines, NUM_F32, SCALE_NO);
    free(files.v);
    arena_drop(trees);
    return m;
}

void module_drop(Module *m)
{
    if (!m) return;
    for (int i = 0; i < m->n_programs; i++) {
        Program *p = &m->programs[i];
        for (int k = 0; k < p->n_seg; k++) {
            bool first = true;                           /* grad and train_step.micro are one graph */
            for (int j = 0; j < i; j++)
                for (int s = 0; s < m->programs[j].n_seg; s++) first = first && m->programs[j].seg[s].g != p->seg[k].g;
            if (!first) p->seg[k].g = NULL;
        }
    }
    for (int i = 0; i < m->n_programs; i++) {
        for (int k = 0; k < m->programs[i].n_seg; k++) graph_drop(m->programs[i].seg[k].g);
        free(m->programs[i].out);
    }
    free(m->config);
    free(m->scalars);
    free(m->runtime);
    free(m->streams);
    free(m->states);
    free(m->sources);
    arena_drop(m->arena);
    free(m);
}
