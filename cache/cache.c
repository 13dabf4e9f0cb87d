/* Content-addressed object cache: one self-contained file for each entry, named by the XXH3-128 of its key text.
   Assumes a POSIX file system with rename; several processes and threads may use one folder at once. */
#include "cache/cache.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* An entry: Header, key text, meta text with its NUL, object bytes, then the XXH3-64 of all that. */
typedef struct {
    char magic[8];
    uint64_t key_len, meta_len, data_len;
} Header;
static const char MAGIC[8] = "ectobj2\n";
enum { MAGIC_FAMILY = 6, DAY = 86400, TEMP_SECONDS = 3600 };

bool cache_only;
static struct {
    bool looked, warned, said_damaged, pruned;
    int n;                                           /* layers; [0] is NULL when nothing can be written */
    char *dir[CACHE_MAX_LAYERS];
    unsigned serial;
} cache;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;         /* of `cache`, never held during a read or write of entries */

/* True the first time that the flag is asked for. */
static bool first(bool *flag)
{
    pthread_mutex_lock(&lock);
    bool was = *flag;
    *flag = true;
    pthread_mutex_unlock(&lock);
    return !was;
}

static void warn_once(const char *what, const char *path)
{
    int e = errno;
    if (first(&cache.warned)) warn("the kernel cache cannot be %s (%s: %s); going on without it", what, path, strerror(e));
}

/* ---- folders ---- */
void cache_reset(void)
{
    for (int i = 0; i < cache.n; i++) free(cache.dir[i]);
    memset(&cache, 0, sizeof cache);
}

/* A folder nobody named is ours alone: who can write there decides what code runs here. */
static bool make_own(const char *path, const char **why)
{
    char *parent = xstrdup(path);
    *strrchr(parent, '/') = 0;
    struct stat st;
    bool made = (!*parent || make_dirs(parent)) && (!mkdir(path, 0700) || errno == EEXIST) && !stat(path, &st);
    free(parent);
    if (made && !S_ISDIR(st.st_mode)) errno = ENOTDIR, made = false;
    if (!made) {
        *why = strerror(errno);
        return false;
    }
    if (st.st_uid != geteuid() && st.st_uid != 0) *why = "it belongs to another user";
    else if (st.st_mode & (S_IWGRP | S_IWOTH)) *why = "other users can write there; `chmod go-w` it";
    else return true;
    return false;
}

static void look(void)
{
    const char *named = getenv("ECT_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME"), *why = "";
    cache.n = 1;
    if (named && !strcmp(named, "off")) return;
    if (named && *named) {
        for (int i = 0; named && i < CACHE_MAX_LAYERS; i++, cache.n = i) {
            size_t len = strcspn(named, ":");
            if (len) cache.dir[i] = xasprintf("%.*s", (int)len, named);
            named = named[len] ? named + len + 1 : NULL;
        }
        if (!cache.dir[0] || make_dirs(cache.dir[0])) return;
        why = strerror(errno);
    } else {
        if (xdg && *xdg == '/') cache.dir[0] = xasprintf("%s/ect", xdg);
        else if (home && *home == '/') cache.dir[0] = xasprintf("%s/.cache/ect", home);
        if (!cache.dir[0] || make_own(cache.dir[0], &why)) return;
    }
    if (!cache.warned)
        warn("the kernel cache %s cannot be used: %s; going on without it (ECT_CACHE=FOLDER names another)", cache.dir[0], why);
    cache.warned = true;
    free(cache.dir[0]);
    cache.dir[0] = NULL;
}

const char *cache_dir(void)
{
    pthread_mutex_lock(&lock);
    if (!cache.looked) look();
    cache.looked = true;
    pthread_mutex_unlock(&lock);
    return cache.dir[0];
}

int cache_layers(const char *layer[CACHE_MAX_LAYERS])
{
    int n = 0;
    cache_dir();
    for (int i = 0; i < cache.n; i++) if (cache.dir[i]) layer[n++] = cache.dir[i];
    return n;
}

static char *path_in(const char *dir, const char *key, size_t key_len)
{
    char hex[33];
    hash128_hex(key, key_len, hex);
    return xasprintf("%s/%.2s/%s.o", dir, hex, hex);
}

char *cache_entry_path(const char *key, size_t key_len)
{
    const char *dir = cache_dir();
    return dir ? path_in(dir, key, key_len) : NULL;
}

/* ---- entries ---- */
EntryState cache_entry_read(const char *path, CacheEntry *e)
{
    size_t n;
    char *file = read_file(path, &n);
    if (!file) return ENTRY_ABSENT;
    Header h;
    uint64_t sum;
    EntryState state = ENTRY_DAMAGED;
    if (n < sizeof h + sizeof sum) goto bad;
    memcpy(&h, file, sizeof h);
    if (memcmp(h.magic, MAGIC, sizeof MAGIC)) {      /* a digit and a newline: written by another version, no damage */
        if (!memcmp(h.magic, MAGIC, MAGIC_FAMILY) && h.magic[6] >= '1' && h.magic[6] <= '9' && h.magic[7] == '\n') state = ENTRY_OTHER;
        goto bad;
    }
    size_t body = n - sizeof h - sizeof sum;
    if (h.key_len > body || h.meta_len > body - h.key_len || h.data_len != body - h.key_len - h.meta_len || !h.meta_len) goto bad;
    memcpy(&sum, file + n - sizeof sum, sizeof sum);
    if (sum != hash64(file, n - sizeof sum, 0) || file[sizeof h + h.key_len + h.meta_len - 1]) goto bad;
    *e = (CacheEntry){.file = file, .key = file + sizeof h, .key_len = h.key_len, .bytes = h.data_len};
    e->meta = e->key + h.key_len;
    e->data = e->meta + h.meta_len;
    return ENTRY_GOOD;
bad:
    free(file);
    return state;
}

void cache_entry_free(CacheEntry *e)
{
    free(e->file);
    *e = (CacheEntry){0};
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

bool cache_entry_write(const char *path, const char *key, size_t key_len, const char *meta, const void *data, size_t n)
{
    Header h = {.key_len = key_len, .meta_len = strlen(meta) + 1, .data_len = n};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    StrBuf b = {0};
    sb_write(&b, &h, sizeof h);
    sb_write(&b, key, key_len);
    sb_write(&b, meta, h.meta_len);
    sb_write(&b, data, n);
    uint64_t sum = hash64(b.s, b.len, 0);
    sb_write(&b, &sum, sizeof sum);

    pthread_mutex_lock(&lock);
    unsigned serial = cache.serial++;
    pthread_mutex_unlock(&lock);
    char *folder = xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
    char *temp = xasprintf("%s/tmp-%ld-%u", folder, (long)getpid(), serial);
    int fd = make_dirs(folder) ? open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    bool ok = fd >= 0 && write_all(fd, b.s, b.len) && !fsync(fd);
    int e = errno;
    if (fd >= 0 && close(fd) && ok) ok = false, e = errno;
    if (ok && rename(temp, path)) ok = false, e = errno;
    if (!ok && fd >= 0) unlink(temp);
    free(folder);
    free(temp);
    sb_free(&b);
    errno = e;
    return ok;
}

/* Uses are noted to the day, so that a warm start writes nothing. A time in the future is wrong and noted anew. */
static void touch(const char *path)
{
    struct stat st;
    time_t now = time(NULL);
    if (!stat(path, &st) && (st.st_mtime > now || now - st.st_mtime >= DAY)) utimensat(AT_FDCWD, path, NULL, 0);
}

bool cache_find(const char *key, size_t key_len, CacheEntry *e)
{
    const char *layer[CACHE_MAX_LAYERS];
    const int n = cache_layers(layer);
    for (int i = 0; i < n; i++) {
        char *path = path_in(layer[i], key, key_len);
        EntryState state = cache_entry_read(path, e);
        bool hit = state == ENTRY_GOOD && e->key_len == key_len && !memcmp(e->key, key, key_len);
        if (state == ENTRY_GOOD && !hit) cache_entry_free(e);
        if (layer[i] == cache.dir[0]) {
            if (hit) touch(path);
            if (state == ENTRY_DAMAGED) unlink(path);
        }
        if (state == ENTRY_DAMAGED && first(&cache.said_damaged))
            warn("%s in the kernel cache is damaged; it is made again (`ect-rt cache verify` looks at the others)", path);
        free(path);
        if (hit) return true;
    }
    return false;
}

bool cache_get(const char *key, size_t key_len, void **data, size_t *n)
{
    CacheEntry e;
    if (!cache_find(key, key_len, &e)) return false;
    *n = e.bytes;
    *data = xmalloc(*n);
    memcpy(*data, e.data, *n);
    cache_entry_free(&e);
    return true;
}

void cache_store(const char *key, size_t key_len, const char *meta, const void *data, size_t n)
{
    char *path = cache_entry_path(key, key_len);
    if (!path) return;
    if (!cache_entry_write(path, key, key_len, meta, data, n)) warn_once("written", cache.dir[0]);
    else if (first(&cache.pruned)) cache_prune(0);
    free(path);
}

void cache_put(const char *key, size_t key_len, const void *data, size_t n)
{
    cache_store(key, key_len, "", data, n);
}

/* ---- all entries ---- */
static int by_age(const void *a, const void *b)
{
    const CacheItem *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->path, y->path);
}

typedef struct { CacheItem *v; int n, cap, layer; time_t now; } Listing;

static void list_folder(Listing *l, const char *dir, bool top)
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
        const time_t age = l->now - st.st_mtime;
        if (top && S_ISDIR(st.st_mode) && len == 2) list_folder(l, path, false);
        else if (l->layer == 0 && S_ISREG(st.st_mode) && !strncmp(e->d_name, "tmp-", 4) && (age > TEMP_SECONDS || age < -TEMP_SECONDS))
            unlink(path);
        else if (!top && S_ISREG(st.st_mode) && len == 34 && !strcmp(e->d_name + 32, ".o")) {
            CacheItem item = {.path = path, .bytes = (uint64_t)st.st_size, .used = st.st_mtim, .layer = l->layer};
            if (age < -DAY) item.used = (struct timespec){0};
            vec_push(l->v, l->n, l->cap, item);
            continue;
        }
        free(path);
    }
    closedir(d);
}

CacheItem *cache_list(int layers, int *n)
{
    Listing l = {.now = time(NULL)};
    cache_dir();
    for (l.layer = 0; l.layer < cache.n && l.layer < layers; l.layer++)
        if (cache.dir[l.layer]) list_folder(&l, cache.dir[l.layer], true);
    if (l.n) qsort(l.v, (size_t)l.n, sizeof *l.v, by_age);
    *n = l.n;
    return l.v;
}

void cache_list_free(CacheItem *v, int n)
{
    for (int i = 0; i < n; i++) free(v[i].path);
    free(v);
}

uint64_t cache_cap(void)
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
    if (!max_bytes) max_bytes = cache_cap();
    int n;
    CacheItem *v = cache_list(1, &n);
    uint64_t total = 0;
    for (int i = 0; i < n; i++) total += v[i].bytes;
    for (int i = 0; i < n && total > max_bytes; i++)
        if (!unlink(v[i].path)) total -= v[i].bytes;
    cache_list_free(v, n);
    return total;
}
