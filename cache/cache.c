/* Content-addressed object cache: one self-contained file for each entry, named by the XXH3-128 of its key text.
   Assumes a POSIX file system with rename; several processes may use one folder at once. */
#include "cache/cache.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* An entry: Header, key text, object bytes, then the XXH3-64 of all that. */
typedef struct {
    char magic[8];
    uint64_t key_len, data_len;
} Header;
static const char MAGIC[8] = "ectobj1\n";

static struct {
    bool looked, warned, pruned;
    char *dir;
    unsigned serial;
} cache;

static void warn_once(const char *what, const char *path)
{
    if (cache.warned) return;
    cache.warned = true;
    warn("the kernel cache cannot be %s (%s: %s); going on without it", what, path, strerror(errno));
}

void cache_reset(void)
{
    free(cache.dir);
    memset(&cache, 0, sizeof cache);
}

const char *cache_dir(void)
{
    if (cache.looked) return cache.dir;
    cache.looked = true;
    const char *own = getenv("ECT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (own && !strcmp(own, "off")) return NULL;
    if (own && *own) cache.dir = xstrdup(own);
    else if (xdg && *xdg == '/') cache.dir = xasprintf("%s/ect", xdg);
    else if (home && *home == '/') cache.dir = xasprintf("%s/.cache/ect", home);
    else return NULL;
    if (!make_dirs(cache.dir)) {
        warn_once("made", cache.dir);
        free(cache.dir);
        cache.dir = NULL;
    }
    return cache.dir;
}

char *cache_entry_path(const char *key, size_t key_len)
{
    const char *dir = cache_dir();
    if (!dir) return NULL;
    char hex[33];
    hash128_hex(key, key_len, hex);
    return xasprintf("%s/%.2s/%s.o", dir, hex, hex);
}

/* The entry's header when the file's sizes and checksum are right, else NULL. */
static const Header *entry_check(const char *file, size_t n)
{
    if (n < sizeof(Header) + sizeof(uint64_t)) return NULL;
    const Header *h = (const Header *)file;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC)) return NULL;
    size_t body = n - sizeof(Header) - sizeof(uint64_t);
    if (h->key_len > body || h->data_len != body - h->key_len) return NULL;
    uint64_t sum;
    memcpy(&sum, file + n - sizeof sum, sizeof sum);
    return sum == hash64(file, n - sizeof sum, 0) ? h : NULL;
}

bool cache_get(const char *key, size_t key_len, void **data, size_t *n)
{
    char *path = cache_entry_path(key, key_len);
    if (!path) return false;
    size_t len;
    char *file = read_file(path, &len);
    bool hit = false;
    if (file) {
        const Header *h = entry_check(file, len);
        if (!h) unlink(path);
        else if (h->key_len == key_len && !memcmp(file + sizeof *h, key, key_len)) {
            *n = h->data_len;
            *data = xmalloc(*n);
            memcpy(*data, file + sizeof *h + key_len, *n);
            utimensat(AT_FDCWD, path, NULL, 0);
            hit = true;
        }
        free(file);
    }
    free(path);
    return hit;
}

static bool write_all(int fd, const void *p, size_t n)
{
    for (const char *s = p; n;) {
        ssize_t k = write(fd, s, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        s += k;
        n -= (size_t)k;
    }
    return true;
}

void cache_put(const char *key, size_t key_len, const void *data, size_t n)
{
    char *path = cache_entry_path(key, key_len);
    if (!path) return;
    Header h = {.key_len = key_len, .data_len = n};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    StrBuf b = {0};
    sb_write(&b, &h, sizeof h);
    sb_write(&b, key, key_len);
    sb_write(&b, data, n);
    uint64_t sum = hash64(b.s, b.len, 0);
    sb_write(&b, &sum, sizeof sum);

    char *temp = xasprintf("%s/tmp-%ld-%u", cache.dir, (long)getpid(), cache.serial++);
    char *folder = xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
    int fd = make_dirs(folder) ? open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    /* No fsync: a torn entry fails its checksum and is written again. */
    bool ok = fd >= 0 && write_all(fd, b.s, b.len);
    int e = errno;
    if (fd >= 0 && close(fd) && ok) ok = false, e = errno;
    if (ok && rename(temp, path)) ok = false, e = errno;
    if (!ok) {
        if (fd >= 0) unlink(temp);
        errno = e;
        warn_once("written", cache.dir);
    }
    free(folder);
    free(temp);
    free(path);
    sb_free(&b);
    if (ok && !cache.pruned) {
        cache.pruned = true;
        cache_prune(0);
    }
}

/* ---- all entries ---- */
typedef struct {
    char *path;
    uint64_t bytes;
    struct timespec used;
} Entry;

static int by_age(const void *a, const void *b)
{
    const Entry *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

static void list_folder(const char *dir, bool top, Entry **v, int *n, int *cap)
{
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.') continue;
        char *path = xasprintf("%s/%s", dir, e->d_name);
        struct stat st;
        size_t len = strlen(e->d_name);
        if (lstat(path, &st)) {
            free(path);
            continue;
        }
        if (top && S_ISDIR(st.st_mode) && len == 2) list_folder(path, false, v, n, cap);
        else if (top && S_ISREG(st.st_mode) && !strncmp(e->d_name, "tmp-", 4) && time(NULL) - st.st_mtime > 3600) unlink(path);
        else if (!top && S_ISREG(st.st_mode) && len == 34 && !strcmp(e->d_name + 32, ".o")) {
            Entry item = {.path = path, .bytes = (uint64_t)st.st_size, .used = st.st_mtim};
            vec_push(*v, *n, *cap, item);
            continue;
        }
        free(path);
    }
    closedir(d);
}

static Entry *list_entries(int *n)
{
    Entry *v = NULL;
    int cap = 0;
    *n = 0;
    if (cache_dir()) list_folder(cache.dir, true, &v, n, &cap);
    if (*n) qsort(v, (size_t)*n, sizeof *v, by_age);
    return v;
}

static void free_entries(Entry *v, int n)
{
    for (int i = 0; i < n; i++) free(v[i].path);
    free(v);
}

static uint64_t default_cap(void)
{
    const char *s = getenv("ECT_CACHE_MB");
    char *end;
    double mb = s && *s ? strtod(s, &end) : CACHE_DEFAULT_MB;
    if (s && *s && (*end || !(mb > 0 && mb < 1e9))) {
        warn("ECT_CACHE_MB=%s is no size in MB; using %d", s, CACHE_DEFAULT_MB);
        mb = CACHE_DEFAULT_MB;
    }
    return (uint64_t)(mb * 1048576);
}

uint64_t cache_prune(uint64_t max_bytes)
{
    if (!max_bytes) max_bytes = default_cap();
    int n;
    Entry *v = list_entries(&n);
    uint64_t total = 0;
    for (int i = 0; i < n; i++) total += v[i].bytes;
    for (int i = 0; i < n && total > max_bytes; i++)
        if (!unlink(v[i].path)) total -= v[i].bytes;
    free_entries(v, n);
    return total;
}

/* ---- ect-rt cache ---- */
static int cache_ls(void)
{
    int n;
    Entry *v = list_entries(&n);
    uint64_t total = 0;
    for (int i = 0; i < n; i++) {
        size_t len;
        char *file = read_file(v[i].path, &len);
        const Header *h = file ? entry_check(file, len) : NULL;
        char when[32] = "?";
        struct tm tm;
        if (localtime_r(&v[i].used.tv_sec, &tm)) strftime(when, sizeof when, "%Y-%m-%d %H:%M", &tm);
        const char *key = h ? file + sizeof *h : "damaged";
        size_t key_len = h ? h->key_len : strlen(key);
        const char *eol = memchr(key, '\n', key_len);
        printf("%s %9llu bytes  used %s  %.*s\n", strrchr(v[i].path, '/') + 1, (unsigned long long)v[i].bytes, when,
               (int)(eol ? (size_t)(eol - key) : key_len), key);
        total += v[i].bytes;
        free(file);
    }
    printf("%s: %d entries, %.1f MB of at most %.0f MB\n", cache.dir, n, (double)total / 1048576,
        (double)default_cap() / 1048576);
    free_entries(v, n);
    return EXIT_OK;
}

static int cache_verify(void)
{
    int n, bad = 0;
    Entry *v = list_entries(&n);
    for (int i = 0; i < n; i++) {
        size_t len;
        char *file = read_file(v[i].path, &len);
        if (!file || !entry_check(file, len)) {
            printf("damaged, removed: %s\n", v[i].path);
            unlink(v[i].path);
            bad++;
        }
        free(file);
    }
    printf("%d entries verified, %d damaged\n", n, bad);
    free_entries(v, n);
    return EXIT_OK;
}

int cmd_cache(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "--help";
    if (!strcmp(what, "--help") || !strcmp(what, "-h")) {
        puts("usage: ect-rt cache ls|verify|prune [MB]\n\n"
             "Compiled kernels are kept in $ECT_CACHE, $XDG_CACHE_HOME/ect or ~/.cache/ect, least recently used thrown out "
                 "first.\n"
             "  ls          one line for each entry\n"
             "  verify      check every entry's checksum; damaged ones are removed\n"
             "  prune [MB]  shrink to MB (default: $ECT_CACHE_MB or 2048); 0 empties it\n"
             "ECT_CACHE=off turns the cache off.");
        return argc > 1 ? EXIT_OK : EXIT_USER;
    }
    if (!cache_dir()) machine_error("there is no kernel cache: set HOME, XDG_CACHE_HOME or ECT_CACHE to a folder that can be "
            "written");
    if (!strcmp(what, "ls") && argc == 2) return cache_ls();
    if (!strcmp(what, "verify") && argc == 2) return cache_verify();
    if (!strcmp(what, "prune") && argc <= 3) {
        char *end = "";
        double mb = argc == 3 ? strtod(argv[2], &end) : (double)default_cap() / 1048576;
        if (*end || !(mb >= 0 && mb < 1e9)) user_error("cache prune: `%s` is no size in MB", argv[2]);
        uint64_t left = cache_prune(MAX(1, (uint64_t)(mb * 1048576)));
        printf("%.1f MB left in %s\n", (double)left / 1048576, cache.dir);
        return EXIT_OK;
    }
    user_error("cache: unknown command `%s`; there are ls, verify and prune [MB]", what);
}
