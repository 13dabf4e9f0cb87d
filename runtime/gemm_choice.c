/* gemm_choice.h. The file is one JSON object: library, device, and the choices by product; the cache has an entry for each product.
   Assumes few products, so linear search will do. */
#include "runtime/gemm_choice.h"
#include "cache/cache.h"
#include "runtime/log.h"
#include <errno.h>
#include <jansson.h>

typedef struct { char *product; GemmChoice choice; } Entry;
struct GemmBook {
    char *path, *library, *device;
    Entry *entry;
    int n, cap;
    bool changed;
};

static const char *const MODES[] = {[GEMM_AUTO] = "auto", [GEMM_OWN] = "own", [GEMM_LT] = "lt"};

bool gemm_mode_named(const char *name, GemmMode *mode)
{
    for (size_t i = 0; i < COUNT(MODES); i++)
        if (!strcmp(MODES[i], name)) {
            *mode = (GemmMode)i;
            return true;
        }
    return false;
}

/* ---- a choice as JSON ---- */
static void put_choice(StrBuf *b, const GemmChoice *c)
{
    jput_text(b, "faster", c->lt ? "cublaslt" : "own");
    jput_real(b, "own_us", c->own_us);
    if (!c->there) return;
    StrBuf hex = {0};
    for (size_t i = 0; i < COUNT(c->algo.data); i++) sb_printf(&hex, "%s%016llx", i ? " " : "", (unsigned long long)c->algo.data[i]);
    jput_real(b, "cublaslt_us", c->lt_us);
    jput_int(b, "workspace", (int64_t)c->workspace);
    jput_text(b, "algorithm", hex.s);
    sb_free(&hex);
}

static bool get_choice(const json_t *j, GemmChoice *c)
{
    const char *faster = json_string_value(json_object_get(j, "faster")), *hex = json_string_value(json_object_get(j, "algorithm"));
    *c = (GemmChoice){.own_us = json_number_value(json_object_get(j, "own_us")), .lt_us = json_number_value(json_object_get(j, "cublaslt_us"))};
    if (!faster) return false;
    c->lt = !strcmp(faster, "cublaslt");
    c->there = hex != NULL;
    json_int_t workspace = json_integer_value(json_object_get(j, "workspace"));
    if (workspace < 0 || (c->lt && !hex)) return false;
    c->workspace = (size_t)workspace;
    for (size_t i = 0; hex && i < COUNT(c->algo.data); i++) {
        char *end;
        c->algo.data[i] = strtoull(hex, &end, 16);
        if (end == hex) return false;
        hex = end;
    }
    return true;
}

/* ---- the run's file ---- */
static void add(GemmBook *b, const char *product, const GemmChoice *c)
{
    for (int i = 0; i < b->n; i++)
        if (!strcmp(b->entry[i].product, product)) {
            b->entry[i].choice = *c;
            return;
        }
    vec_push(b->entry, b->n, b->cap, ((Entry){xstrdup(product), *c}));
}

static void read_book(GemmBook *b)
{
    json_error_t e;
    if (!file_exists(b->path)) return;
    json_t *j = json_load_file(b->path, 0, &e), *v;
    const char *library = json_string_value(json_object_get(j, "library")), *device = json_string_value(json_object_get(j, "device"));
    size_t i;
    if (!library || !device) {
        warn("%s is damaged, so who computes matrix products is chosen anew: the run's bits may not be those it would have had", b->path);
    } else if (strcmp(library, b->library) || strcmp(device, b->device)) {
        warn("who computes matrix products was chosen for %s on %s (%s), here are %s on %s: it is chosen anew, and the run's bits will not be those it would "
             "have had there", library, device, b->path, b->library, b->device);
        b->changed = true;
    } else {
        json_array_foreach(json_object_get(j, "products"), i, v) {
            const char *product = json_string_value(json_object_get(v, "product"));
            GemmChoice c;
            if (product && get_choice(v, &c)) add(b, product, &c);
        }
    }
    json_decref(j);
}

GemmBook *gemm_book_open(const char *path, const char *library, const char *device)
{
    GemmBook *b = xcalloc(1, sizeof *b);
    b->path = path ? xstrdup(path) : NULL;
    b->library = xstrdup(library);
    b->device = xstrdup(device);
    if (path) read_book(b);
    return b;
}

void gemm_book_write(GemmBook *b)
{
    if (!b->path || !b->changed) return;
    StrBuf t = {0};
    jput_begin(&t);
    jput_text(&t, "library", b->library);
    jput_text(&t, "device", b->device);
    jput_key(&t, "products");
    sb_putc(&t, '[');
    for (int i = 0; i < b->n; i++) {
        sb_puts(&t, i ? ",\n  " : "\n  ");
        jput_begin(&t);
        jput_text(&t, "product", b->entry[i].product);
        put_choice(&t, &b->entry[i].choice);
        jput_end(&t);
    }
    sb_puts(&t, "\n]");
    jput_end(&t);
    sb_putc(&t, '\n');
    if (!write_file_atomic(b->path, t.s, t.len)) machine_error("cannot write %s: %s", b->path, strerror(errno));
    b->changed = false;
    sb_free(&t);
}

void gemm_book_free(GemmBook *b)
{
    if (!b) return;
    for (int i = 0; i < b->n; i++) free(b->entry[i].product);
    free(b->entry);
    free(b->path);
    free(b->library);
    free(b->device);
    free(b);
}

bool gemm_file_has_lt(const char *path)
{
    json_t *j = file_exists(path) ? json_load_file(path, 0, NULL) : NULL, *v;
    size_t i;
    bool any = false;
    json_array_foreach(json_object_get(j, "products"), i, v) {
        const char *faster = json_string_value(json_object_get(v, "faster"));
        any |= faster && !strcmp(faster, "cublaslt");
    }
    json_decref(j);
    return any;
}

/* ---- and the cache ---- */
static char *key_of(const GemmBook *b, const char *product) { return xasprintf("matrix product on %s with %s: %s", b->device, b->library, product); }

bool gemm_book_find(GemmBook *b, const char *product, GemmChoice *c)
{
    for (int i = 0; i < b->n; i++)
        if (!strcmp(b->entry[i].product, product)) {
            *c = b->entry[i].choice;
            return true;
        }
    char *key = key_of(b, product);
    void *data = NULL;
    size_t n;
    bool good = cache_get(key, strlen(key), &data, &n);
    json_t *j = good ? json_loadb(data, n, 0, NULL) : NULL;
    good = j && get_choice(j, c);
    if (good) {
        add(b, product, c);
        b->changed = true;
    }
    json_decref(j);
    free(data);
    free(key);
    return good;
}

void gemm_book_put(GemmBook *b, const char *product, const GemmChoice *c)
{
    StrBuf t = {0};
    jput_begin(&t);
    put_choice(&t, c);
    jput_end(&t);
    char *key = key_of(b, product);
    cache_put(key, strlen(key), t.s, t.len);
    free(key);
    sb_free(&t);
    add(b, product, c);
    b->changed = true;
}
