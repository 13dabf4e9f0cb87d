/* The object cache: compiled bytes by content, shared by all runs of a user. Nothing in here can fail a run.
   Assumes keys hold everything that decides the bytes (compiler, options, processor, source). Threads may get and put at once. */
#ifndef ECT_CACHE_H
#define ECT_CACHE_H
#include "runtime/base.h"
#include <time.h>

enum { CACHE_DEFAULT_MB = 2048, CACHE_MAX_LAYERS = 8 };

/* The folder that is written to: the first of $ECT_CACHE (folders with `:` between, the others are only read), else
   $XDG_CACHE_HOME/ect, else ~/.cache/ect; made when missing. NULL when there is none that can be used (no home, not a folder, writable by
   other users and not named in $ECT_CACHE, $ECT_CACHE=off): then every put does nothing. Valid until cache_reset. */
const char *cache_dir(void);
/* The folders that are read, the one that is written to first. */
int cache_layers(const char *layer[CACHE_MAX_LAYERS]);
/* Forgets the folders and the warnings given, so that the environment is read again (tests). Not while other threads are in here. */
void cache_reset(void);

/* --require-cached: whoever would compile says what is missing instead, and ends with status 2. */
extern bool cache_only;

/* ---- one entry: a file that holds the key's text, what is known about the bytes (text), the bytes, a checksum ---- */
typedef struct {
    char *file;                                      /* heap; what follows points into it */
    const char *key; size_t key_len;
    const char *meta;                                /* NUL-terminated */
    const char *data; size_t bytes;
} CacheEntry;
typedef enum { ENTRY_GOOD, ENTRY_ABSENT, ENTRY_OTHER, ENTRY_DAMAGED } EntryState;      /* OTHER: of another version of the format */
/* Reads a file; only a good entry is to be freed. */
EntryState cache_entry_read(const char *path, CacheEntry *e);
void cache_entry_free(CacheEntry *e);
/* Writes a file: temporary one in the same folder, fsync, rename. False with errno set; nothing of it is left then. */
bool cache_entry_write(const char *path, const char *key, size_t key_len, const char *meta, const void *data, size_t n);

/* ---- by key ---- */
/* Looks the key up in all layers, compares its whole text, verifies the checksum. A hit counts as just used, to the day. A damaged entry is
   removed (one line a process says so) and is a miss. */
bool cache_find(const char *key, size_t key_len, CacheEntry *e);
bool cache_get(const char *key, size_t key_len, void **data, size_t *n);         /* *data: heap, the caller's */
/* Stores bytes under the key. Any failure gives one warning a process and is otherwise ignored. */
void cache_store(const char *key, size_t key_len, const char *meta, const void *data, size_t n);
void cache_put(const char *key, size_t key_len, const void *data, size_t n);
/* Name of the file that an entry with this key would be written to (heap), or NULL without a folder. */
char *cache_entry_path(const char *key, size_t key_len);

/* ---- all entries ---- */
typedef struct { char *path; uint64_t bytes; struct timespec used; int layer; } CacheItem;
/* Of the first `layers` layers, least recently used first; times in the future, which no use of ours has left, come before all. */
CacheItem *cache_list(int layers, int *n);
void cache_list_free(CacheItem *v, int n);
/* Removes the least recently used entries until the rest fits in max_bytes (0: cache_cap()), and temporary files
   older than an hour. Returns the number of bytes left. */
uint64_t cache_prune(uint64_t max_bytes);
uint64_t cache_cap(void);                            /* $ECT_CACHE_MB, or the default, in bytes */

/* `ect-rt cache ...`: runtime/cache_cmd.c. */
int cmd_cache(int argc, char **argv);
#endif
