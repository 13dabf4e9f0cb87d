/* safetensors files: reading with full validation, writing atomically. Little-endian host.
   Nothing in a file is trusted: every length, type, shape and range is checked before it is used. */
#ifndef ECT_TENSOR_FILE_H
#define ECT_TENSOR_FILE_H
#include "runtime/base.h"

enum { TENSOR_MAX_DIMS = 16 };
typedef enum { DT_F32, DT_F64, DT_F16, DT_BF16, DT_I64, DT_I32, DT_U8, DT_I8, DT_BOOL, DT_COUNT } TensorType;
typedef struct {
    const char *name;
    TensorType type;
    int n_dims; int64_t shape[TENSOR_MAX_DIMS];
    int64_t elements; size_t bytes;
    const void *data;                                /* into the file's memory; aligned to nothing */
} TensorEntry;
typedef struct {
    char *path;
    int n; TensorEntry *tensor;                      /* sorted by position in the file */
    int n_meta; const char **meta_key, **meta_value; /* __metadata__ */
    void *map; size_t map_size; Arena *arena;
} TensorFile;

/* Map and validate. NULL and *err (heap, one line) when it cannot be read or is not a valid file. */
TensorFile *tensor_file_open(const char *path, char **err);
void tensor_file_close(TensorFile *f);
const TensorEntry *tensor_find(const TensorFile *f, const char *name);       /* NULL when absent */
const char *tensor_meta(const TensorFile *f, const char *key);              /* NULL when absent */
/* Convert elements first .. first+n-1 to f32 or f64. */
void tensor_read_f32(const TensorEntry *t, int64_t first, int64_t n, float *out);
void tensor_read_f64(const TensorEntry *t, int64_t first, int64_t n, double *out);
const char *tensor_type_name(TensorType t);                                 /* "F32" */
size_t tensor_type_size(TensorType t);
/* "[8, 3, 32, 32]" appended to b. */
void tensor_shape_text(StrBuf *b, int n_dims, const int64_t *shape);

/* ---- writing: declare all tensors, then give the data of each in the same order; commit renames the temporary file ----
   Every function may be called after a failure; the first failure is reported by commit (false, *err heap), which also removes
   the temporary file: an existing file stays as it was. */
typedef struct TensorWriter TensorWriter;
TensorWriter *tensor_writer_new(const char *path);
void tensor_writer_meta(TensorWriter *w, const char *key, const char *value);
void tensor_writer_declare(TensorWriter *w, const char *name, TensorType type, int n_dims,
                           const int64_t *shape); /* F32, F64, I64 or U8 */
/* Next piece of data: tensors in declared order, each in as many pieces as wanted. */
void tensor_writer_data(TensorWriter *w, const void *data, size_t bytes);
bool tensor_writer_commit(TensorWriter *w, char **err);                     /* fsync, rename; frees w */
void tensor_writer_abort(TensorWriter *w);                                  /* nothing written; frees w */
#endif
