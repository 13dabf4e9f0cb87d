/* Reads files, checks their bytes, runs the grammar over them, cuts strings, follows imports, finds embedded files.
   Assumes the source registry outlives every tree made here. */
#include "dsl/parser.h"
#include "grammar.h"
#include <errno.h>

/* ---- nodes made by the grammar ---- */
static int deepest(const NodeList *l)
{
    int d = 0;
    for (int i = 0; i < l->n; i++) d = MAX(d, l->v[i]->depth);
    return d;
}

Node *parser_node(Parser *p, Node fields)
{
    Node *n = arena_alloc(p->arena, sizeof *n);
    *n = fields;
    Node *child[] = {n->cond, n->value, n->other, n->like, n->type, n->to, n->as, n->was, n->result, n->body};
    int d = MAX(deepest(&n->items), MAX(deepest(&n->params), deepest(&n->cparams)));
    for (size_t i = 0; i < COUNT(child); i++)
        if (child[i]) d = MAX(d, child[i]->depth);
    n->depth = d + 1;
    if (n->depth > MAX_TREE_DEPTH && !p->stop) {
        p->stop = true;
        Diag *e = diag_error(n->loc, ERR_too_deep, "an expression or statement is nested more than %d deep", MAX_TREE_DEPTH);
        diag_help(e, "cut the chain with `let`, or use a list and a `for`");
    }
    return n;
}

/* ---- running the grammar ---- */
static void run(Parser *p, const char *text, size_t len)
{
    char *copy = xmalloc(len + 2);
    memcpy(copy, text, len);
    copy[len] = copy[len + 1] = 0;
    lex_start(p, copy, len);
    (void)ect_yyparse(p);               /* what it could not read was reported */
    lex_end(p);
    free(copy);
}

static Parser *parser_new(Arena *a, File *file, int start)
{
    Parser *p = xcalloc(1, sizeof *p);
    p->arena = a;
    p->file = file;
    p->start = start;
    p->line = p->col = 1;
    return p;
}

/* ---- strings ---- */
static void string_piece(Parser *p, NodeList *items, Loc loc, StrBuf *text)
{
    if (text->len) {
        char *copy = arena_strndup(p->arena, text->s, text->len);
        list_push(p->arena, items, parser_node(p, (Node){.kind = E_TEXT, .loc = loc, .text = copy}));
    }
    sb_free(text);
}

/* Length of the expression that starts behind a `{`, up to its `}`; n when there is none. */
static size_t braced_len(const char *s, size_t n)
{
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '{') depth++;
        if (s[i] == '}' && depth-- == 0) return i;
    }
    return n;
}

static void string_expr(Parser *p, NodeList *items, Loc at, const char *s, size_t n)
{
    Parser *q = parser_new(p->arena, p->file, TOK_START_EXPR);
    q->inside_string = true;
    q->line = at.line;
    q->col = at.col;
    run(q, s, n);
    if (q->expr) list_push(p->arena, items, q->expr);
    free(q);
}

static Loc within(Loc loc, size_t from, size_t to)
{
    return (Loc){loc.file, loc.line, loc.col + (int)from, loc.line, loc.col + (int)to};
}

Node *parser_string(Parser *p, Loc loc)
{
    size_t line_len, n = (size_t)(loc.end_col - loc.col) - 1;           /* s[n] is the closing quote */
    const char *s = source_line(loc.file, loc.line, &line_len) + loc.col - 1;
    NodeList items = {0};
    StrBuf text = {0};
    for (size_t i = 1, from = 1; i < n; i++) {
        char next = s[i + 1];
        if (s[i] == '\\') {
            const char *at = strchr("\"\\nt", next);
            if (!at) {
                Loc here = within(loc, i, i + 2);
                Diag *d = diag_error(here, ERR_bad_string, "`\\%c` means nothing in a string", next < ' ' ? '?' : next);
                diag_help(d, "the escapes are \\\" \\\\ \\n \\t; a brace is {{ or }}");
            }
            sb_putc(&text, next == 'n' ? '\n' : next == 't' ? '\t' : next);
            i++;
        } else if ((s[i] == '{' || s[i] == '}') && next == s[i]) {
            sb_putc(&text, s[i++]);
        } else if (s[i] == '{') {
            size_t len = braced_len(s + i + 1, n - i - 1);
            if (i + 1 + len == n) {
                Diag *d = diag_error(within(loc, i, i + 1), ERR_bad_string, "this `{` is not closed in the string");
                diag_help(d, "a brace that is meant as text is written {{ or }}");
                break;
            }
            string_piece(p, &items, within(loc, from, i), &text);
            string_expr(p, &items, within(loc, i + 1, i + 1), s + i + 1, len);
            i += len + 1;
            from = i + 1;
        } else if (s[i] == '}') {
            Diag *d = diag_error(within(loc, i, i + 1), ERR_bad_string, "this `}` closes nothing in the string");
            diag_help(d, "a brace that is meant as text is written {{ or }}");
        } else {
            sb_putc(&text, s[i]);
        }
        if (i + 1 >= n) string_piece(p, &items, within(loc, from, n), &text);
    }
    sb_free(&text);
    return parser_node(p, (Node){.kind = E_STRING, .loc = loc, .items = items, .text = arena_strndup(p->arena, s + 1, n - 1)});
}

/* ---- bytes ---- */
static int utf8_len(const unsigned char *s, size_t n)
{
    unsigned c = s[0];
    int k = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (!k || (size_t)k > n) return 0;
    for (int i = 1; i < k; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if (k == 3 && ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f))) return 0;     /* overlong; surrogates */
    if (k == 4 && ((c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f))) return 0;     /* overlong; beyond 10ffff */
    return k;
}

/* The first fault of each kind is reported; false when the text should not be parsed. */
static bool check_bytes(int file, const char *text, size_t len)
{
    bool nul = false, utf8 = false, line_long = false;
    size_t line_start = 0;
    int line = 1;
    if (len > MAX_FILE_BYTES) {
        Loc start = {file, 1, 1, 1, 1};
        Diag *d = diag_error(start, ERR_too_long, "the file holds %zu bytes, more than %d", len, MAX_FILE_BYTES);
        diag_help(d, "is this the right file? A model is text of a few kilobytes");
        return false;
    }
    for (size_t i = 0; i < len;) {
        int k = utf8_len((const unsigned char *)text + i, len - i), col = (int)(i - line_start) + 1;
        Loc at = {file, line, col, line, col + 1};
        if (!text[i] && !nul) {
            nul = true;
            Diag *d = diag_error(at, ERR_nul_byte, "the file holds a NUL byte");
            diag_help(d, "is this a text file? A file in UTF-16 must be saved as UTF-8");
        }
        if (!k && !utf8) {
            utf8 = true;
            Diag *d = diag_error(at, ERR_bad_utf8, "the byte 0x%02x is not valid UTF-8", (unsigned char)text[i]);
            diag_help(d, "save the file as UTF-8");
        }
        if (i - line_start == MAX_LINE_BYTES && !line_long) {
            line_long = true;
            Diag *d = diag_error((Loc){file, line, 1, line, 2}, ERR_too_long, "the line is longer than %d bytes", MAX_LINE_BYTES);
            diag_help(d, "break it into lines");
        }
        if (text[i] == '\n') {
            line++;
            line_start = i + 1;
        }
        i += k ? (size_t)k : 1;
    }
    return !nul && !utf8 && !line_long;
}

/* ---- files ---- */
static int comment_order(const void *a, const void *b)
{
    return loc_compare(((const Comment *)a)->loc, ((const Comment *)b)->loc);
}

File *parse_text(Arena *a, const char *name, const char *text, size_t len)
{
    File *f = arena_alloc(a, sizeof *f);
    f->path = arena_strdup(a, name);
    f->file = source_add(name, text, len);
    if (!check_bytes(f->file, text, len)) return f;
    Parser *p = parser_new(a, f, TOK_START_FILE);
    run(p, text, len);
    if (p->n_comments) {
        qsort(p->comments, (size_t)p->n_comments, sizeof(Comment), comment_order);
        f->comments = arena_alloc(a, sizeof(Comment) * (size_t)p->n_comments);
        memcpy(f->comments, p->comments, sizeof(Comment) * (size_t)p->n_comments);
        f->n_comments = p->n_comments;
    }
    free(p->comments);
    free(p);
    for (int i = 0; i < f->decls.n; i++)
        if (f->decls.v[i]->kind == D_IMPORT)
            for (int j = 0; j < f->decls.v[i]->items.n; j++) list_push(a, &f->imports, f->decls.v[i]->items.v[j]);
    return f;
}

File *parse_file(Arena *a, const char *path)
{
    size_t len;
    char *text = read_file(path, &len);
    if (!text) {
        Diag *d = diag_error(LOC_NONE, ERR_unreadable, "cannot read `%s`: %s", path, strerror(errno));
        diag_help(d, "give the path of a model text, for example models/unet_ect.dsl");
        return NULL;
    }
    File *f = parse_text(a, path, text, len);
    free(text);
    return f;
}

/* ---- imports ---- */
const struct Embedded *embedded_find(const char *name)
{
    for (int i = 0; i < n_embedded_files; i++)
        if (!strcmp(embedded_files[i].name, name)) return &embedded_files[i];
    return NULL;
}

typedef struct Open Open;
struct Open {                           /* the chain of files being read */
    const Open *from;
    const char *path;
};

typedef struct {
    Arena *arena;
    FileList *list;
} Loader;

/* Path of an import as displayed: std/nn.dsl, or beside the importing file. Heap string. */
static char *import_path(const char *from, const char *module)
{
    const char *slash = strrchr(from, '/');
    bool std = !strncmp(module, "std.", 4);
    char *s = std || !slash ? xasprintf("%s.dsl", module) : xasprintf("%.*s/%s.dsl", (int)(slash - from), from, module);
    for (char *c = s + strlen(s) - strlen(module) - 4; c < s + strlen(s) - 4; c++)
        if (*c == '.') *c = '/';
    return s;
}

static void import_missing(const Node *n, const char *path, bool std)
{
    Diag *d = diag_error(n->loc, ERR_import_missing, "`%s` is not found", n->name);
    if (!std) {
        diag_help(d, "looked for %s; the standard library is imported as std.name", path);
        return;
    }
    const char *names[64];
    int k = 0;
    for (int i = 0; i < n_embedded_files && k < (int)COUNT(names); i++)
        if (!strncmp(embedded_files[i].name, "std.", 4)) names[k++] = embedded_files[i].name;
    const char *near = suggest(n->name, names, k);
    if (near) diag_help(d, "did you mean `%s`?", near);
    else diag_help(d, "the standard library has no such file");
}

static void report_cycle(const Node *n, const Open *open, const char *path)
{
    Diag *d = diag_error(n->loc, ERR_import_cycle, "`%s` imports itself in a circle", path);
    for (const Open *o = open; o; o = o->from) {
        diag_note(d, "%s is imported by %s", o == open ? path : "which", o->path);
        if (!strcmp(o->path, path)) break;
    }
    diag_help(d, "move what both need into a third file");
}

static void load_imports(Loader *l, File *f, const Open *from);

static void load_import(Loader *l, const Node *n, const char *path, const Open *open)
{
    for (const Open *o = open; o; o = o->from)
        if (!strcmp(o->path, path)) {
            report_cycle(n, open, path);
            return;
        }
    for (int i = 0; i < l->list->n; i++)
        if (!strcmp(l->list->v[i]->path, path)) return;
    bool std = !strncmp(n->name, "std.", 4);
    const struct Embedded *e = std ? embedded_find(n->name) : NULL;
    size_t len = e ? e->len : 0;
    char *text = std ? NULL : read_file(path, &len);
    if (!e && !text) {
        import_missing(n, path, std);
        return;
    }
    File *f = parse_text(l->arena, path, e ? e->text : text, len);
    free(text);
    f->module = n->name;
    load_imports(l, f, open);
}

/* Loads what f imports, then adds f itself. */
static void load_imports(Loader *l, File *f, const Open *from)
{
    Open open = {from, f->path};
    for (int i = 0; i < f->imports.n; i++) {
        const Node *n = f->imports.v[i];
        int same = 0;
        while (same < i && f->imports.v[same]->name != n->name) same++;
        if (same < i) {
            Diag *d = diag_error(n->loc, ERR_import_twice, "`%s` is imported twice", n->name);
            diag_span(d, f->imports.v[same]->loc, "first here");
            continue;
        }
        char *path = import_path(f->path, n->name);
        load_import(l, n, path, &open);
        free(path);
    }
    vec_push(l->list->v, l->list->n, l->list->cap, f);
}

static FileList load(Arena *a, File *main_file)
{
    FileList list = {0};
    Loader l = {a, &list};
    if (main_file) load_imports(&l, main_file, NULL);
    return list;
}

FileList parse_program(Arena *a, const char *path)
{
    return load(a, parse_file(a, path));
}

FileList parse_program_text(Arena *a, const char *name, const char *text, size_t len)
{
    return load(a, parse_text(a, name, text, len));
}
