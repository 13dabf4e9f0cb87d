/* Implements base.h: failure voices, heap and arena, string buffers, symbols, files, hashing, suggestions.
   Assumes a 64-bit POSIX host; only sym() is safe to call from several threads on shared state. */
#include "runtime/base.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

const char *prog_name = "ect";

/* ---- failure voices ---- */
static void say(const char *kind, const char *fmt, va_list ap)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s: ", prog_name, kind);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void user_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("error", fmt, ap);
    va_end(ap);
    exit(EXIT_USER);
}

void machine_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("error", fmt, ap);
    va_end(ap);
    exit(EXIT_MACHINE);
}

void warn(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("warning", fmt, ap);
    va_end(ap);
}

void die_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "%s: bug at %s:%d: ", prog_name, file, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n%s: this is a fault of the program, not of your input; please report it with the command you ran\n",
            prog_name);
    exit(EXIT_BUG);
}

/* ---- heap ---- */
static NORETURN void out_of_memory(size_t n)
{
    machine_error("out of memory (asked for %zu bytes); free some memory or use a smaller model or batch", n);
}

void *xmalloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p) out_of_memory(n);
    return p;
}

void *xcalloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p) out_of_memory(n * size);
    return p;
}

void *xrealloc(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q) out_of_memory(n);
    return q;
}

char *xstrdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(xmalloc(n), s, n);
}

static char *format_heap(const char *fmt, va_list ap)
{
    char *s;
    if (vasprintf(&s, fmt, ap) < 0) out_of_memory(strlen(fmt));
    return s;
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = format_heap(fmt, ap);
    va_end(ap);
    return s;
}

/* ---- arena: a list of chunks, the newest first; each allocation is cut from the newest that has room ---- */
typedef struct Chunk Chunk;
struct Chunk {
    Chunk *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};
struct Arena {
    Chunk *head;
    size_t bytes;
};

enum { CHUNK_MIN = 64 << 10 };

Arena *arena_new(void)
{
    return xcalloc(1, sizeof(Arena));
}

static Chunk *chunk_new(size_t size)
{
    if (size > SIZE_MAX - sizeof(Chunk)) out_of_memory(size);
    Chunk *c = xcalloc(1, sizeof(Chunk) + size);
    c->size = size;
    return c;
}

void *arena_alloc(Arena *a, size_t n)
{
    if (n > SIZE_MAX / 2) out_of_memory(n);
    n = (n + 15) & ~(size_t)15;
    Chunk *c = a->head;
    if (!c || c->size - c->used < n) {
        Chunk *fresh = chunk_new(MAX(n, (size_t)CHUNK_MIN));
        /* A large block goes behind the current chunk, whose room is still wanted. */
        if (c && n >= CHUNK_MIN) {
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            a->head = fresh;
        }
        c = fresh;
    }
    void *p = c->data + c->used;
    c->used += n;
    a->bytes += n;
    return p;
}

char *arena_strndup(Arena *a, const char *s, size_t n)
{
    char *p = arena_alloc(a, n + 1);
    memcpy(p, s, n);
    return p;
}

char *arena_strdup(Arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(Arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *s = format_heap(fmt, ap);
    va_end(ap);
    char *p = arena_strdup(a, s);
    free(s);
    return p;
}

size_t arena_bytes(const Arena *a)
{
    return a->bytes;
}

void arena_drop(Arena *a)
{
    if (!a) return;
    for (Chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

/* ---- string buffer ---- */
static void sb_room(StrBuf *b, size_t n)
{
    if (n > SIZE_MAX / 4 || b->len > SIZE_MAX / 4) out_of_memory(n);
    if (b->len + n + 1 <= b->cap) return;
    b->cap = MAX(2 * b->cap, b->len + n + 1);
    b->cap = MAX(b->cap, (size_t)64);
    b->s = xrealloc(b->s, b->cap);
}

void sb_write(StrBuf *b, const void *p, size_t n)
{
    sb_room(b, n);
    if (n) memcpy(b->s + b->len, p, n);
    b->len += n;
    b->s[b->len] = 0;
}

void sb_putc(StrBuf *b, char c)
{
    sb_write(b, &c, 1);
}

void sb_puts(StrBuf *b, const char *s)
{
    sb_write(b, s, strlen(s));
}

void sb_printf(StrBuf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK_BUG(n >= 0);
    sb_room(b, (size_t)n);
    vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
    va_end(again);
    b->len += (size_t)n;
}

void sb_json_string(StrBuf *b, const char *s)
{
    sb_putc(b, '"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        switch (c) {
        case '"': sb_puts(b, "\\\""); break;
        case '\\': sb_puts(b, "\\\\"); break;
        case '\n': sb_puts(b, "\\n"); break;
        case '\r': sb_puts(b, "\\r"); break;
        case '\t': sb_puts(b, "\\t"); break;
        default:
            if (c < 0x20 || c == 0x7f) sb_printf(b, "\\u%04x", c);
            else sb_putc(b, (char)c);
        }
    }
    sb_putc(b, '"');
}

void sb_free(StrBuf *b)
{
    free(b->s);
    *b = (StrBuf){0};
}

/* ---- interned symbols: open addressing, grown at half full; texts live in one arena for ever ---- */
static struct {
    pthread_mutex_t lock;
    Arena *text;
    Sym *slot;
    size_t n, cap;
} syms = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t sym_slot(const Sym *slot, size_t cap, const char *s, size_t n)
{
    size_t i = (size_t)XXH3_64bits(s, n) & (cap - 1);
    while (slot[i] && !(strlen(slot[i]) == n && !memcmp(slot[i], s, n))) i = (i + 1) & (cap - 1);
    return i;
}

static void syms_grow(void)
{
    size_t cap = syms.cap ? 2 * syms.cap : 1024;
    Sym *slot = xcalloc(cap, sizeof *slot);
    for (size_t i = 0; i < syms.cap; i++)
        if (syms.slot[i]) slot[sym_slot(slot, cap, syms.slot[i], strlen(syms.slot[i]))] = syms.slot[i];
    free(syms.slot);
    syms.slot = slot;
    syms.cap = cap;
}

Sym symn(const char *s, size_t n)
{
    pthread_mutex_lock(&syms.lock);
    if (!syms.text) syms.text = arena_new();
    if (2 * (syms.n + 1) > syms.cap) syms_grow();
    size_t i = sym_slot(syms.slot, syms.cap, s, n);
    if (!syms.slot[i]) {
        syms.slot[i] = arena_strndup(syms.text, s, n);
        syms.n++;
    }
    Sym r = syms.slot[i];
    pthread_mutex_unlock(&syms.lock);
    return r;
}

Sym sym(const char *s)
{
    return symn(s, strlen(s));
}

/* ---- files ---- */
char *read_file(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    struct stat st;
    size_t cap = fstat(fd, &st) == 0 && st.st_size > 0 ? (size_t)st.st_size + 1 : 4096, n = 0;
    char *buf = xmalloc(cap);
    for (;;) {
        if (n + 1 >= cap) buf = xrealloc(buf, cap *= 2);
        ssize_t got = read(fd, buf + n, cap - n - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int e = errno;
            free(buf);
            close(fd);
            errno = e;
            return NULL;
        }
        if (got == 0) break;
        n += (size_t)got;
    }
    close(fd);
    buf[n] = 0;
    if (len) *len = n;
    return buf;
}

static bool write_all(int fd, const void *data, size_t n)
{
    for (const char *p = data; n;) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static void sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash ? xasprintf("%.*s", (int)MAX(slash - path, 1), path) : xstrdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!fsync(fd);                               /* some file systems refuse it; the rename itself has succeeded */
        close(fd);
    }
    free(dir);
}

bool write_file_atomic(const char *path, const void *data, size_t n)
{
    static unsigned counter;
    char *tmp = xasprintf("%s.tmp-%ld-%u", path, (long)getpid(), __atomic_fetch_add(&counter, 1u, __ATOMIC_RELAXED));
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666), e = 0;
    if (fd < 0) {
        e = errno;
        free(tmp);
        errno = e;
        return false;
    }
    if (!write_all(fd, data, n) || fsync(fd) < 0) e = errno;
    if (close(fd) < 0 && !e) e = errno;
    if (!e && rename(tmp, path) < 0) e = errno;
    if (e) unlink(tmp);
    else sync_folder_of(path);
    free(tmp);
    errno = e;
    return e == 0;
}

bool make_dirs(const char *path)
{
    char *p = xstrdup(path);
    bool ok = *p != 0;
    if (!ok) errno = ENOENT;
    for (char *s = p + 1; ok; s++) {
        if (*s && *s != '/') continue;
        char c = *s;
        *s = 0;
        struct stat st;
        if (mkdir(p, 0777) < 0 && !(stat(p, &st) == 0 && S_ISDIR(st.st_mode))) {
            if (errno == EEXIST || errno == 0) errno = ENOTDIR;
            ok = false;
        }
        *s = c;
        if (!c) break;
    }
    int e = errno;
    free(p);
    errno = e;
    return ok;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

bool remove_tree(const char *path)
{
    const char *s = path;
    while (*s == '/') s++;
    if (!*s) {
        errno = EINVAL;
        return false;
    }
    struct stat st;
    if (lstat(path, &st) < 0) return errno == ENOENT;
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

/* ---- misc ---- */
uint64_t hash64(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}

void hash128_hex(const void *p, size_t n, char out[33])
{
    XXH128_hash_t h = XXH3_128bits(p, n);
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { SUGGEST_MAX = 64 };

/* Edit distance where a swap of neighbours costs one and a change of case costs nothing extra over half. */
static int edit_distance(const char *a, int n, const char *b, int m)
{
    int row[3][SUGGEST_MAX + 1];
    for (int j = 0; j <= m; j++) row[0][j] = 2 * j;
    for (int i = 1; i <= n; i++) {
        int *cur = row[i % 3], *prev = row[(i + 2) % 3], *prev2 = row[(i + 1) % 3];
        cur[0] = 2 * i;
        for (int j = 1; j <= m; j++) {
            int ca = (unsigned char)a[i - 1], cb = (unsigned char)b[j - 1];
            int cost = ca == cb ? 0 : tolower(ca) == tolower(cb) ? 1 : 2;
            int d = MIN(prev[j - 1] + cost, MIN(prev[j], cur[j - 1]) + 2);
            if (i > 1 && j > 1 && ca == (unsigned char)b[j - 2] && cb == (unsigned char)a[i - 2]) d = MIN(d, prev2[j - 2] + 2);
            cur[j] = d;
        }
    }
    return row[n % 3][m];
}

const char *suggest(const char *name, const char *const *names, int n)
{
    size_t len = strlen(name);
    if (!len || len > SUGGEST_MAX) return NULL;
    int best = 2 * (int)MAX((len + 1) / 3, (size_t)1) + 1;  /* distances count in halves: one edit is 2 */
    const char *found = NULL;
    for (int i = 0; i < n; i++) {
        size_t m = names[i] ? strlen(names[i]) : 0;
        if (!m || m > SUGGEST_MAX || !strcmp(names[i], name)) continue;
        int d = edit_distance(name, (int)len, names[i], (int)m);
        if (d < best && d < 2 * (int)MAX(len, m)) {
            best = d;
            found = names[i];
        }
    }
    return found;
}
