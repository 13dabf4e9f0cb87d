/* `ect-rt cache ls|why|verify|prune|pack`.
   Assumes entries that cache.h checked; those of CUDA kernels have key.h's fields, those of C objects a first line that says what they are. */
#include "cache/cache.h"
#include "cache/key.h"
#include "runtime/cubins.h"
#include "runtime/options.h"
#include "runtime/signals.h"
#include <errno.h>
#include <unistd.h>

static const char DEFAULT_ARCH[] = "sm_90a";

/* ---- ls ---- */
/* One line of an entry's meta text, "" without it. Static. */
static const char *meta_value(const char *meta, const char *name)
{
    static char value[128];
    size_t len = strlen(name);
    value[0] = 0;
    for (const char *p = meta; *p && *p != '\n'; p += strcspn(p, "\n"), p += *p == '\n')
        if (!strncmp(p, name, len) && p[len] == ' ') snprintf(value, sizeof value, "%.*s", (int)strcspn(p + len + 1, "\n"), p + len + 1);
    return value;
}

static char *describe(const CacheEntry *e)
{
    KeyField f;
    size_t at = 0;
    if (!key_next(e->key, e->key_len, &at, &f) || strncmp(f.name, "cuda-object", (size_t)f.name_len)) {
        const char *eol = memchr(e->key, '\n', e->key_len);
        return xasprintf("%.*s", (int)(eol ? (size_t)(eol - e->key) : e->key_len), e->key);
    }
    StrBuf b = {0};
    sb_printf(&b, "cuda %s", meta_value(e->meta, "kernel"));
    sb_printf(&b, " %s", meta_value(e->meta, "arch"));
    const char *log = strstr(e->meta, "\n\n");
    PtxasEntry *v;
    int n = ptxas_report(log ? log : "", &v);
    for (int i = 0; i < n; i++) sb_printf(&b, "%s%d registers", i ? ", " : "  ", v[i].registers);
    ptxas_free(v, n);
    sb_printf(&b, "  %s ms", meta_value(e->meta, "compile_ms"));
    return b.s;
}

static int cache_ls(bool json)
{
    const char *layer[CACHE_MAX_LAYERS];
    int n, layers = cache_layers(layer);
    CacheItem *v = cache_list(CACHE_MAX_LAYERS, &n);
    uint64_t total = 0;
    StrBuf j = {0};
    for (int i = 0; i < n; i++) {
        CacheEntry e;
        EntryState s = cache_entry_read(v[i].path, &e);
        char when[32] = "?";
        struct tm tm;
        if (localtime_r(&v[i].used.tv_sec, &tm)) strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
        char *what = s == ENTRY_GOOD ? describe(&e) : xstrdup(s == ENTRY_OTHER ? "of another version" : "damaged");
        const char *file = strrchr(v[i].path, '/') + 1;
        if (json) {
            sb_printf(&j, "%s\n  {\"file\": ", i ? "," : "");
            sb_json_string(&j, v[i].path);
            sb_printf(&j, ", \"bytes\": %llu, \"used\": %lld, \"layer\": %d, \"good\": %s, \"what\": ", (unsigned long long)v[i].bytes,
                      (long long)v[i].used.tv_sec, v[i].layer, s == ENTRY_GOOD ? "true" : "false");
            sb_json_string(&j, what);
            sb_putc(&j, '}');
        } else printf("%s %9llu bytes  used %s  %s%s\n", file, (unsigned long long)v[i].bytes, when, what, v[i].layer ? "  (read only)" : "");
        if (!v[i].layer) total += v[i].bytes;
        free(what);
        if (s == ENTRY_GOOD) cache_entry_free(&e);
    }
    const char *dir = cache_dir();
    if (json) {
        printf("{\"folder\": ");
        StrBuf d = {0};
        sb_json_string(&d, dir ? dir : layer[0]);
        printf("%s, \"bytes\": %llu, \"cap\": %llu, \"entries\": [%s\n]}\n", d.s, (unsigned long long)total, (unsigned long long)cache_cap(), j.s ? j.s : "");
        sb_free(&d);
    } else {
        printf("%s: %d entries, %.1f MB of at most %.0f MB\n", dir ? dir : layer[0], n, (double)total / 1048576, (double)cache_cap() / 1048576);
        for (int i = dir ? 1 : 0; i < layers; i++) printf("%s: read only\n", layer[i]);
    }
    sb_free(&j);
    cache_list_free(v, n);
    return EXIT_OK;
}

static int cache_verify(bool json)
{
    int n, bad = 0, other = 0;
    CacheItem *v = cache_list(CACHE_MAX_LAYERS, &n);
    for (int i = 0; i < n; i++) {
        CacheEntry e;
        EntryState s = cache_entry_read(v[i].path, &e);
        bool remove = s == ENTRY_DAMAGED && !v[i].layer;
        if (s == ENTRY_GOOD) cache_entry_free(&e);
        if (s == ENTRY_DAMAGED && !json) printf("damaged%s: %s\n", remove ? ", removed" : "", v[i].path);
        if (remove) unlink(v[i].path);
        bad += s == ENTRY_DAMAGED;
        other += s == ENTRY_OTHER;
    }
    if (json) printf("{\"entries\": %d, \"damaged\": %d, \"other_version\": %d}\n", n, bad, other);
    else if (other) printf("%d entries verified, %d damaged, %d of another version\n", n, bad, other);
    else printf("%d entries verified, %d damaged\n", n, bad);
    cache_list_free(v, n);
    return EXIT_OK;
}

static int cache_shrink(const char *size, bool json)
{
    char *end = "";
    double mb = size ? strtod(size, &end) : (double)cache_cap() / 1048576;
    if (*end || !(mb >= 0 && mb < 1e9)) user_error("cache prune: `%s` is no size in MB", size);
    uint64_t left = cache_prune(MAX(1, (uint64_t)(mb * 1048576)));
    if (json) printf("{\"bytes\": %llu}\n", (unsigned long long)left);
    else printf("%.1f MB left in %s\n", (double)left / 1048576, cache_dir());
    return EXIT_OK;
}

/* ---- why ---- */
typedef struct { char *path; CacheEntry e; bool packed; } Have;

/* All good entries of CUDA kernels, in the cache and in the plan. */
static Have *cuda_entries(const Cubins *c, const Plan *plan, int *n)
{
    Have *v = NULL;
    int cap = 0, items;
    *n = 0;
    CacheItem *list = cache_list(CACHE_MAX_LAYERS, &items);
    for (int i = 0; i < items + plan->n_kernels; i++) {
        size_t len;
        bool packed = i >= items;
        if (packed && (cubins_owner(c, i - items) != i - items || !cubins_key(c, i - items, &len))) continue;
        Have h = {.path = packed ? cubins_packed_path(c, i - items) : xstrdup(list[i].path), .packed = packed};
        KeyField f;
        size_t at = 0;
        bool good = cache_entry_read(h.path, &h.e) == ENTRY_GOOD;
        if (good && key_next(h.e.key, h.e.key_len, &at, &f) && f.name_len == 11 && !memcmp(f.name, "cuda-object", 11)) {
            vec_push(v, *n, cap, h);
            continue;
        }
        if (good) cache_entry_free(&h.e);
        free(h.path);
    }
    cache_list_free(list, items);
    return v;
}

static const Have *nearest(const Have *v, int n, const char *key, size_t len)
{
    const Have *best = NULL;
    long least = 0;
    for (int i = 0; i < n; i++) {
        long d = key_distance(key, len, v[i].e.key, v[i].e.key_len);
        if (!best || d < least) best = &v[i], least = d;
    }
    return best;
}

static void say_why(const Cubins *c, const Plan *plan, int k, const Have *have, int n, bool json, StrBuf *j)
{
    size_t len;
    const char *key = cubins_key(c, k, &len);
    const Cubin *hit = cubins_get(c, k);
    StrBuf d = {0};
    const Have *near = hit ? NULL : nearest(have, n, key, len);
    if (near) key_explain(key, len, near->e.key, near->e.key_len, &d);
    if (json) {
        sb_printf(j, "%s\n  {\"kernel\": \"%s\", \"state\": \"%s\"", j->len ? "," : "", plan->kernel[k].name,
                  !hit ? "miss" : hit->packed ? "packed" : "hit");
        if (near) {
            sb_puts(j, ", \"nearest\": ");
            sb_json_string(j, near->path);
            sb_puts(j, ", \"differences\": ");
            sb_json_string(j, d.s ? d.s : "");
        }
        sb_putc(j, '}');
    } else if (hit) printf("%s: %s\n", plan->kernel[k].name, hit->packed ? "packed in the plan" : "hit");
    else if (!near) printf("%s: miss; there is no CUDA kernel in the cache\n", plan->kernel[k].name);
    else {
        printf("%s: miss; the nearest entry is kernel %s (%s)\n", plan->kernel[k].name, meta_value(near->e.meta, "kernel"),
               near->packed ? "packed" : strrchr(near->path, '/') + 1);
        for (char *line = strtok(d.s, "\n"); line; line = strtok(NULL, "\n")) printf("  %s\n", line);
    }
    sb_free(&d);
}

static Plan *open_plan(const char *dir)
{
    char *err;
    Plan *plan = plan_load(dir, &err);
    if (!plan) user_error("%s", err);
    for (int i = 0; i < plan->n_kernels; i++) if (plan->kernel[i].cuda) return plan;
    user_error("%s has no CUDA kernels; compile the model with ectc --target cpu,cuda", dir);
}

static int cache_why(const char *dir, const char *kernel, const char *arch, bool draws, bool json)
{
    Plan *plan = open_plan(dir);
    bool *used = xcalloc((size_t)plan->n_kernels, sizeof *used), any = false;
    const char **name = xcalloc((size_t)plan->n_kernels, sizeof *name);
    for (int i = 0; i < plan->n_kernels; i++) {
        name[i] = plan->kernel[i].name;
        used[i] = plan->kernel[i].cuda && (!kernel || !strcmp(kernel, name[i]));
        any |= used[i];
    }
    if (!any) {
        const char *near = suggest(kernel, name, plan->n_kernels);
        user_error("%s has no CUDA kernel `%s`%s%s%s", dir, kernel, near ? ": did you mean `" : "", near ? near : "", near ? "`?" : "");
    }
    Cubins *c = cubins_open(plan, used, arch, draws);
    int missing = cubins_find(c, true, true), n;
    Have *have = cuda_entries(c, plan, &n);
    StrBuf j = {0};
    for (int i = 0; i < plan->n_kernels; i++) if (cubins_owner(c, i) == i) say_why(c, plan, i, have, n, json, &j);
    if (json) printf("{\"arch\": \"%s\", \"missing\": %d, \"kernels\": [%s\n]}\n", arch, missing, j.s);
    else printf("%d missing for %s\n", missing, arch);
    for (int i = 0; i < n; i++) {
        cache_entry_free(&have[i].e);
        free(have[i].path);
    }
    free(have);
    free(used);
    free(name);
    sb_free(&j);
    cubins_free(c);
    plan_free(plan);
    return EXIT_OK;
}

/* ---- pack ---- */
static int cache_pack(const char *dir, const char *arch, bool draws, bool json)
{
    Plan *plan = open_plan(dir);
    Cubins *c = cubins_open(plan, NULL, arch, draws);
    int missing = cubins_find(c, false, true), n = 0;
    if (missing && cubins_compile(c))
        for (int i = 0; i < plan->n_kernels; i++)
            if (cubins_error(c, i)) machine_error("kernel %s does not compile for %s:\n%.1500s", plan->kernel[i].name, arch, cubins_error(c, i));
    size_t bytes = 0;
    for (int i = 0; i < plan->n_kernels; i++) {
        const Cubin *k = cubins_get(c, i);
        if (!k || cubins_owner(c, i) != i) continue;
        if (!cubins_pack(c, i)) machine_error("cannot write into %s/cubins: %s", dir, strerror(errno));
        bytes += k->bytes;
        n++;
    }
    if (json) printf("{\"arch\": \"%s\", \"kernels\": %d, \"compiled\": %d, \"bytes\": %zu}\n", arch, n, cubins_compiled(c), bytes);
    else printf("packed %d kernels for %s into %s/cubins, %.1f MB\n", n, arch, dir, (double)bytes / 1048576);
    cubins_free(c);
    plan_free(plan);
    return EXIT_OK;
}

/* ---- */
int cmd_cache(int argc, char **argv)
{
    const char *arch = DEFAULT_ARCH, *pos[4];
    bool json = false, draws = false;
    Option o[] = {
        {"arch", OPT_TEXT, &arch, "A", "with why, pack: the processor, sm_80, sm_90a, ... (default sm_90a)", 0, 0, 0},
        {"draw-inputs", OPT_FLAG, &draws, NULL, "with why, pack: the kernels that take their draws as inputs", 0, 0, 0},
        {"json", OPT_FLAG, &json, NULL, "print JSON", 0, 0, 0},
    };
    int n = options_parse("ect-rt cache ls | why PLAN [KERNEL] | verify | prune [MB] | pack PLAN", "Compiled kernels are kept in $ECT_CACHE, "
                          "$XDG_CACHE_HOME/ect or ~/.cache/ect, least recently used thrown out first.\n"
                          "  ls                 one line for each entry\n"
                          "  why PLAN [KERNEL]  which CUDA kernels of a plan are there, and what differs from the nearest entry where one is not\n"
                          "  verify             check every entry's checksum; damaged ones are removed\n"
                          "  prune [MB]         shrink to MB (default: $ECT_CACHE_MB or 2048); 0 empties it\n"
                          "  pack PLAN          put compiled CUDA kernels into the plan, which then runs without NVRTC\n"
                          "ECT_CACHE=off turns the cache off; ECT_CACHE=FOLDER:FOLDER... reads the later ones and writes the first.",
                          o, COUNT(o), argc, argv, pos, 4);
    const char *what = n ? pos[0] : "";
    signals_as_errors();
    if (!strcmp(what, "why") && (n == 2 || n == 3)) return cache_why(pos[1], n == 3 ? pos[2] : NULL, arch, draws, json);
    if (!strcmp(what, "pack") && n == 2) return cache_pack(pos[1], arch, draws, json);
    const char *layer[CACHE_MAX_LAYERS];
    const bool ours = (!strcmp(what, "ls") && n == 1) || (!strcmp(what, "verify") && n == 1) || (!strcmp(what, "prune") && n <= 2);
    if (ours && !(*what == 'p' ? cache_dir() != NULL : cache_layers(layer) > 0))
        machine_error("there is no kernel cache: set HOME, XDG_CACHE_HOME or ECT_CACHE to a folder that can be written");
    if (ours) return *what == 'l' ? cache_ls(json) : *what == 'v' ? cache_verify(json) : cache_shrink(n == 2 ? pos[1] : NULL, json);
    user_error("cache: %s `%s`; there are ls, why PLAN [KERNEL], verify, prune [MB] and pack PLAN", n ? "unknown command, or too few or many words after it:"
               : "no command", what);
}
