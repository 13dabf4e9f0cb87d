/* Reading safetensors: 8 bytes of header length, a JSON header, then the data; everything is checked before use.
   Assumes a little-endian host. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/tensor_file.h"

enum { MAX_HEADER = 100 * 1000 * 1000, MAX_TENSORS = 1000000 };

static const struct { const char *name; size_t size;
} types[DT_COUNT] = {
    [DT_F32] = {"F32", 4}, [DT_F64] = {"F64", 8}, [DT_F16] = {"F16", 2}, [DT_BF16] = {"BF16", 2}, [DT_I64] = {"I64", 8},
    [DT_I32] = {"I32", 4}, [DT_U8] = {"U8", 1},   [DT_I8] = {"I8", 1},   [DT_BOOL] = {"BOOL", 1},
};
const char *tensor_type_name(TensorType t) { return types[t].name; }
size_t tensor_type_size(TensorType t) { return types[t].size; }

void tensor_shape_text(StrBuf *b, int n_dims, const int64_t *shape)
{
    sb_putc(b, '[');
    for (int i = 0; i < n_dims; i++) sb_printf(b, "%s%lld", i ? ", " : "", (long long)shape[i]);
    sb_putc(b, ']');
}

/* A name as an error message may show it: control characters replaced, cut where long. */
static const char *show(const char *name, char out[80])
{
    size_t i = 0;
    for (; name[i] && i < 79; i++) out[i] = (unsigned char)name[i] < 32 || name[i] == 127 ? '?' : name[i];
    out[i] = 0;
    return out;
}

/* One entry of the header. NULL, or the reason it is bad. */
static const char *read_entry(TensorEntry *t, const json_t *j, size_t data_size, uint64_t range[2])
{
    const json_t *type = json_object_get(j, "dtype"), *shape = json_object_get(j, "shape"),
                 *offsets = json_object_get(j, "data_offsets");
    if (!json_is_string(type) || !json_is_array(shape) || !json_is_array(offsets) || json_array_size(offsets) != 2)
        return "its entry lacks dtype, shape or data_offsets";
    int k = 0;
    while (k < DT_COUNT && strcmp(types[k].name, json_string_value(type))) k++;
    if (k == DT_COUNT) return "its dtype is none of F32 F64 F16 BF16 I64 I32 U8 I8 BOOL";
    t->type = (TensorType)k;
    if (json_array_size(shape) > TENSOR_MAX_DIMS) return "it has more than 16 axes";
    t->elements = 1;
    t->n_dims = (int)json_array_size(shape);
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *d = json_array_get(shape, (size_t)i);
        if (!json_is_integer(d) || json_integer_value(d) < 0) return "a size in its shape is not a whole number";
        t->shape[i] = json_integer_value(d);
        if (__builtin_mul_overflow(t->elements, t->shape[i], &t->elements)) return "its shape overflows";
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *o = json_array_get(offsets, i);
        if (!json_is_integer(o) || json_integer_value(o) < 0) return "its data_offsets are not whole numbers";
        range[i] = (uint64_t)json_integer_value(o);
    }
    if (__builtin_mul_overflow((size_t)t->elements, types[k].size, &t->bytes)) return "its shape overflows";
    if (range[0] > range[1] || range[1] > data_size) return "its data_offsets lie outside the file";
    if (range[1] - range[0] != t->bytes) return "its data_offsets do not fit its shape and dtype";
    return NULL;
}

static int by_position(const void *a, const void *b)
{
    const TensorEntry *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static const char *read_header(TensorFile *f, char *detail, size_t detail_size)
{
    detail[0] = 0;
    if (f->map_size < 8) return "it is shorter than a header";
    uint64_t header;
    memcpy(&header, f->map, 8);
    if (header > MAX_HEADER || header > f->map_size - 8)
        return "its header length is larger than the file: is it a safetensors file, complete?";
    const char *data = (const char *)f->map + 8 + header;
    size_t data_size = f->map_size - 8 - header;
    json_error_t je;
    json_t *root = json_loadb((const char *)f->map + 8, header, JSON_REJECT_DUPLICATES, &je);
    if (!root || !json_is_object(root)) {
        if (!root) snprintf(detail, detail_size, ": %s at byte %d", je.text, je.position + 8);
        json_decref(root);
        return "its header is not a JSON object";
    }
    const char *bad = NULL, *key;
    json_t *value;
    char shown[80];
    size_t count = json_object_size(root);
    if (count > MAX_TENSORS) bad = "it has more than a million tensors";
    if (!bad) {
        f->tensor = arena_make(f->arena, TensorEntry, count);
        json_object_foreach(root, key, value) {
            if (!strcmp(key, "__metadata__")) {
                size_t n = json_object_size(value);
                const char *mk;
                json_t *mv;
                f->meta_key = arena_make(f->arena, const char *, n);
                f->meta_value = arena_make(f->arena, const char *, n);
                if (!json_is_object(value)) bad = "its __metadata__ is not an object";
                json_object_foreach(value, mk, mv) {
                    if (!json_is_string(mv)) { bad = "a value in its __metadata__ is not a string"; break; }
                    f->meta_key[f->n_meta] = arena_strdup(f->arena, mk);
                    f->meta_value[f->n_meta++] = arena_strdup(f->arena, json_string_value(mv));
                }
                if (bad) break;
                continue;
            }
            TensorEntry *t = &f->tensor[f->n];
            uint64_t range[2];
            if ((bad = read_entry(t, value, data_size, range))) {
                snprintf(detail, detail_size, " (tensor `%s`)", show(key, shown));
                break;
            }
            t->name = arena_strdup(f->arena, key);
            t->data = data + range[0];
            f->n++;
        }
    }
    json_decref(root);
    if (bad) return bad;
    qsort(f->tensor, (size_t)f->n, sizeof *f->tensor, by_position);
    const char *end = data;
    for (int i = 0; i < f->n; i++) {
        const TensorEntry *t = &f->tensor[i];
        ptrdiff_t gap = (const char *)t->data - end;
        if (gap < 0 || gap >= 64) {
            snprintf(detail, detail_size, " (tensor `%s`)", show(t->name, shown));
            return gap < 0 ? "two tensors overlap" : "there is a hole between tensors";
        }
        end = (const char *)t->data + t->bytes;
    }
    if ((const char *)f->map + f->map_size - end >= 64) return "there are bytes after the last tensor";
    return NULL;
}

TensorFile *tensor_file_open(const char *path, char **err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) {
        *err = xasprintf("cannot read %s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return NULL;
    }
    if (!S_ISREG(st.st_mode)) {
        *err = xasprintf("cannot read %s: it is not a file", path);
        close(fd);
        return NULL;
    }
    TensorFile *f = xcalloc(1, sizeof *f);
    f->path = xstrdup(path);
    f->arena = arena_new();
    f->map_size = (size_t)st.st_size;
    if (f->map_size) {
        f->map = mmap(NULL, f->map_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f->map == MAP_FAILED) {
            *err = xasprintf("cannot read %s: %s", path, strerror(errno));
            f->map = NULL;
            close(fd);
            tensor_file_close(f);
            return NULL;
        }
    }
    close(fd);
    char detail[256];
    const char *bad = read_header(f, detail, sizeof detail);
    if (bad) {
        *err = xasprintf("%s is not a valid safetensors file: %s%s", path, bad, detail);
        tensor_file_close(f);
        return NULL;
    }
    return f;
}
void tensor_file_close(TensorFile *f)
{
    if (!f) return;
    if (f->map) munmap(f->map, f->map_size);
    arena_drop(f->arena);
    free(f->path);
    free(f);
}
const TensorEntry *tensor_find(const TensorFile *f, const char *name)
{
    for (int i = 0; i < f->n; i++) if (!strcmp(f->tensor[i].name, name)) return &f->tensor[i];
    return NULL;
}
const char *tensor_meta(const TensorFile *f, const char *key)
{
    for (int i = 0; i < f->n_meta; i++) if (!strcmp(f->meta_key[i], key)) return f->meta_value[i];
    return NULL;
}

static double from_half(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? (double)__builtin_nanf("") : __builtin_inf())
               : e     ? (1024 + m) * 0x1p-25 * (double)(1 << e)
                       : m * 0x1p-24;
    return h >> 15 ? -v : v;
}
static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
/* Unaligned elements of one C type, each converted by `expr` of v. */
#define CONVERT(T, expr)                                                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                                                            \
        T v;                                                                                                                     \
        memcpy(&v, (const char *)t->data + (size_t)(first + i) * sizeof v, sizeof v);                                            \
        out[i] = expr;                                                                                                           \
    }                                                                                                                            \
    break
#define CONVERT_ALL(R) \
    CHECK_BUG(first >= 0 && n >= 0 && first <= t->elements - n); \
    switch (t->type) { \
    case DT_F32: CONVERT(float, (R)v); \
    case DT_F64: CONVERT(double, (R)v); \
    case DT_F16: CONVERT(uint16_t, (R)from_half(v)); \
    case DT_BF16: CONVERT(uint16_t, (R)from_bf16(v)); \
    case DT_I64: CONVERT(int64_t, (R)v); \
    case DT_I32: CONVERT(int32_t, (R)v); \
    case DT_U8: CONVERT(uint8_t, (R)v); \
    case DT_I8: CONVERT(int8_t, (R)v); \
    case DT_BOOL: CONVERT(uint8_t, (R)(v != 0)); \
    case DT_COUNT: break; \
    }
void tensor_read_f32(const TensorEntry *t, int64_t first, int64_t n, float *out) { CONVERT_ALL(float) }
void tensor_read_f64(const TensorEntry *t, int64_t first, int64_t n, double *out) { CONVERT_ALL(double) }
