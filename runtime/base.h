/* Base library shared by ectc and ect-rt: arenas, string buffers, failure voices, files, hashing.
   Assumes a 64-bit POSIX host; includes nothing of the rest of the project. */
#ifndef ECT_BASE_H
#define ECT_BASE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECT_VERSION "0.1.0"
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Exit statuses of both programs. */
enum { EXIT_OK = 0, EXIT_USER = 1, EXIT_MACHINE = 2, EXIT_BUG = 3 };

/* ---- failure voices ----------------------------------------------------------------------------------
   user_error: the user's mistake; prints "PROG: error: ..." to stderr and exits 1.
   machine_error: the machine's (disk, memory, compiler missing); exits 2.
   die: our bug; prints file:line, exits 3. Messages say what, where, and how to mend it.
   Located language errors are dsl/loc.h's business. */
extern const char *prog_name;                       /* "ectc" or "ect-rt"; set first thing in main */
void user_error(const char *fmt, ...) PRINTF(1, 2) NORETURN;
void machine_error(const char *fmt, ...) PRINTF(1, 2) NORETURN;
void warn(const char *fmt, ...) PRINTF(1, 2);
void die_at(const char *file, int line, const char *fmt, ...) PRINTF(3, 4) NORETURN;
#define die(...) die_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK_BUG(c) ((c) ? (void)0 : die("internal check failed: %s", #c))

/* ---- heap: never return NULL, exit 2 with a message ---- */
void *xmalloc(size_t n);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) PRINTF(1, 2);

/* ---- arena: everything of a phase is dropped at once; memory is zeroed ---- */
typedef struct Arena Arena;
Arena *arena_new(void);
void *arena_alloc(Arena *a, size_t n);              /* 16-byte aligned, zeroed */
char *arena_strdup(Arena *a, const char *s);
char *arena_strndup(Arena *a, const char *s, size_t n);
char *arena_printf(Arena *a, const char *fmt, ...) PRINTF(2, 3);
size_t arena_bytes(const Arena *a);
void arena_drop(Arena *a);
#define arena_make(a, T, n) ((T *)arena_alloc((a), sizeof(T) * (size_t)(n)))

/* ---- growable arrays: `T *v; int n, cap;`  vec_push(v, n, cap, item) ---- */
#define vec_push(v, n, cap, item) do { \
    if ((n) == (cap)) { (cap) = (cap) ? 2 * (cap) : 8; (v) = xrealloc((v), (size_t)(cap) * sizeof *(v)); } \
    (v)[(n)++] = (item); } while (0)

/* ---- string buffer ---- */
typedef struct { char *s; size_t len, cap; } StrBuf;   /* s is NUL-terminated once anything was added */
void sb_putc(StrBuf *b, char c);
void sb_puts(StrBuf *b, const char *s);
void sb_write(StrBuf *b, const void *p, size_t n);
void sb_printf(StrBuf *b, const char *fmt, ...) PRINTF(2, 3);
void sb_json_string(StrBuf *b, const char *s);          /* quoted and escaped */
void sb_free(StrBuf *b);

/* ---- interned symbols: equal text has equal pointers, for the life of the process ---- */
typedef const char *Sym;
Sym sym(const char *s);
Sym symn(const char *s, size_t n);

/* ---- files ----
   read_file: whole file, NUL-terminated copy on the heap; NULL with errno set when it cannot be read.
   write_file_atomic: temporary file in the same folder, fsync, rename; false with errno set, old file untouched.
   make_dirs: like mkdir -p; remove_tree: like rm -rf, refuses "" and "/". */
char *read_file(const char *path, size_t *len);
bool write_file_atomic(const char *path, const void *data, size_t n);
bool make_dirs(const char *path);
bool remove_tree(const char *path);
bool file_exists(const char *path);

/* ---- misc ---- */
uint64_t hash64(const void *p, size_t n, uint64_t seed);             /* XXH3-64 */
void hash128_hex(const void *p, size_t n, char out[33]);             /* XXH3-128, lower-case hex */
double now_seconds(void);                                            /* monotonic */
/* Nearest name by edit distance, or NULL when none is near: for "did you mean". */
const char *suggest(const char *name, const char *const *names, int n);
#endif
