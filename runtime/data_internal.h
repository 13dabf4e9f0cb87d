/* What the files of the data reader share: failing with a message, file lists, and the readers of each format.
   Assumes only runtime/data*.c and runtime/shapes.c include it. */
#ifndef ECT_DATA_INTERNAL_H
#define ECT_DATA_INTERNAL_H
#include "runtime/data.h"
#include "runtime/image.h"

enum {
    DATA_MAX_FILE = 256 << 20,      /* bytes of one image or dataset.json */
    DATA_MAX_CLASSES = 100000,
    DATA_SHOWN = 5                  /* bad files listed in one message */
};

/* The first failure of an opening; later ones do not replace it. */
typedef struct {
    char *msg;
    int status;
} DataErr;
void data_fail(DataErr *e, int status, const char *fmt, ...) PRINTF(3, 4);
static inline bool data_no(void) { return false; }
/* Record a failure and are false, what a failed reader returns. */
#define data_user(e, ...) (data_fail((e), EXIT_USER, __VA_ARGS__), data_no())
#define data_machine(e, ...) (data_fail((e), EXIT_MACHINE, __VA_ARGS__), data_no())
/* The same for a failed system call on path: a missing file is the user's, a failing disk the machine's. */
bool data_errno(DataErr *e, const char *path);

/* Counter-based draws: a fixed mixing of (seed, stream, counter); and an index below n. */
uint64_t data_hash(uint64_t seed, uint64_t stream, uint64_t counter);
uint64_t data_below(uint64_t hash, uint64_t n);

/* An empty set of that shape; fails when the machine has not the memory for it. */
Dataset *data_new(DataErr *e, const char *path, int64_t count, int h, int w, int c);
/* Applies resolution, channels, grey and max_images of opt to a whole set in memory (data_files.c does it file by file). */
bool data_fit(DataErr *e, Dataset *ds, const char *path, const DataOptions *opt);

/* Image files somewhere: in a zip or a folder. */
typedef struct {
    char *name;                     /* relative, '/' between folders */
    int64_t id;                     /* index in the zip */
} DataFile;
typedef struct DataFiles DataFiles;
struct DataFiles {
    const char *path, *kind;
    DataFile *file;
    int64_t count, cap;
    char *json;                     /* dataset.json's text, or NULL */
    size_t json_len;
    char *other;                    /* one file of an image format that is not read, or NULL */
    void *zip;
    /* Bytes of a file, on the heap; false with a message. Called from several threads at once. */
    bool (*read)(DataFiles *fs, const DataFile *f, uint8_t **bytes, size_t *n, char err[IMAGE_ERR]);
};
bool data_is_image_name(const char *name);

/* data_labels.c: classes or vectors of files sorted by name, from dataset.json or from folder names. */
bool labels_read(DataErr *e, const DataFiles *fs, Dataset *ds);

/* Readers, by data_open.c's table. path exists; NULL on failure. */
Dataset *read_zip(DataErr *e, const char *path, const DataOptions *opt);
Dataset *read_folder(DataErr *e, const char *path, const DataOptions *opt);
Dataset *read_gzip(DataErr *e, const char *path, const DataOptions *opt);
Dataset *read_cifar_folder(DataErr *e, const char *path, bool *found);
Dataset *read_cifar_bin(DataErr *e, const char *path);
Dataset *read_shapes(DataErr *e, const char *path, const DataOptions *opt);

/* data_pickle.c: `data` u8 [n][3072] and `labels` of a CIFAR batch. Nothing of the pickle is run. The pointers aim into bytes or
   into the heap block *owned, which the caller frees. */
bool pickle_cifar(DataErr *e, const char *where, const uint8_t *bytes, size_t n, const uint8_t **pixels, int64_t *count,
                  uint8_t **labels, void **owned);
#endif
