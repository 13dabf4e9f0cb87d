/* The object cache: compiled bytes by content, shared by all runs of a user. Nothing in here can fail a run.
   Assumes keys hold everything that decides the bytes (compiler, options, processor, source). */
#ifndef ECT_CACHE_H
#define ECT_CACHE_H
#include "runtime/base.h"

enum { CACHE_DEFAULT_MB = 2048 };

/* Folder in use: $ECT_CACHE, else $XDG_CACHE_HOME/ect, else ~/.cache/ect; made when missing. NULL when there is none that can be
   used (no home, not a folder, $ECT_CACHE=off): then every get is a miss and every put does nothing. Valid until cache_reset. */
const char *cache_dir(void);
/* Forgets the folder and the warnings given, so that the environment is read again (tests). */
void cache_reset(void);

/* Looks the key up, compares its whole text, verifies the checksum. True: *data (heap, the caller's) and *n hold the bytes, and
   the entry counts as just used. Damaged entries are removed and count as a miss. */
bool cache_get(const char *key, size_t key_len, void **data, size_t *n);
/* Stores bytes under the key: temporary file, then rename. Any failure gives one warning per process and is otherwise ignored. */
void cache_put(const char *key, size_t key_len, const void *data, size_t n);
/* Name of the file an entry with this key lies in (heap), or NULL without a folder. For tests and `ect-rt cache`. */
char *cache_entry_path(const char *key, size_t key_len);

/* Removes the least recently used entries until the rest fits in max_bytes (0: $ECT_CACHE_MB or the default), and temporary files
   older than an hour. Returns the number of bytes left. */
uint64_t cache_prune(uint64_t max_bytes);

/* `ect-rt cache ls|verify|prune [MB]`. */
int cmd_cache(int argc, char **argv);
#endif
