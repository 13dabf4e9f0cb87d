/* Writing safetensors: declared tensors, a header, the data in pieces, then fsync and rename.
   Assumes a little-endian host; a failure at any point leaves an existing file as it was. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/tensor_file.h"

struct TensorWriter {
    char *path, *temp;
    int fd;
    char *error;
    StrBuf meta, header;
    size_t declared, written;
    char *buf; size_t fill;
    bool started;
};
enum { BUFFER = 1 << 20 };

static void failed(TensorWriter *w)
{
    if (!w->error) w->error = xasprintf("cannot write %s: %s", w->path, strerror(errno));
}
static void flush(TensorWriter *w)
{
    for (size_t done = 0; done < w->fill && !w->error; ) {
        ssize_t n = write(w->fd, w->buf + done, w->fill - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) failed(w);
        else done += (size_t)n;
    }
    w->fill = 0;
}
static void put(TensorWriter *w, const void *data, size_t n)
{
    const char *p = data;
    while (n && !w->error) {
        size_t k = MIN(n, BUFFER - w->fill);
        memcpy(w->buf + w->fill, p, k);
        w->fill += k, p += k, n -= k;
        if (w->fill == BUFFER) flush(w);
    }
}
TensorWriter *tensor_writer_new(const char *path)
{
    TensorWriter *w = xcalloc(1, sizeof *w);
    w->path = xstrdup(path);
    w->buf = xmalloc(BUFFER);
    struct stat st; /* a rename over anything else would replace /dev/null or a pipe */
    if (!stat(path, &st) && !S_ISREG(st.st_mode)) w->error = xasprintf("cannot write %s: it exists and is not a file", path);
    w->temp = xasprintf("%s.tmp.%ld", path, (long)getpid());
    w->fd = w->error ? -1 : open(w->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) failed(w);
    return w;
}
void tensor_writer_meta(TensorWriter *w, const char *key, const char *value)
{
    if (w->meta.len) sb_putc(&w->meta, ',');
    sb_json_string(&w->meta, key);
    sb_putc(&w->meta, ':');
    sb_json_string(&w->meta, value);
}
void tensor_writer_declare(TensorWriter *w, const char *name, TensorType type, int n_dims, const int64_t *shape)
{
    CHECK_BUG(!w->started);
    size_t bytes = tensor_type_size(type);
    for (int i = 0; i < n_dims; i++) bytes *= (size_t)shape[i];
    sb_puts(&w->header, ",\n");
    sb_json_string(&w->header, name);
    sb_printf(&w->header, ":{\"dtype\":\"%s\",\"shape\":", tensor_type_name(type));
    tensor_shape_text(&w->header, n_dims, shape);
    sb_printf(&w->header, ",\"data_offsets\":[%zu,%zu]}", w->declared, w->declared + bytes);
    w->declared += bytes;
}
static void start(TensorWriter *w)
{
    if (w->started) return;
    w->started = true;
    StrBuf b = {0};
    sb_putc(&b, '{');
    if (w->meta.len) sb_printf(&b, "\"__metadata__\":{%s}", w->meta.s);
    if (w->header.len) sb_puts(&b, w->header.s + (w->meta.len ? 0 : 2));
    sb_putc(&b, '}');
    while (b.len % 8) sb_putc(&b, ' ');                              /* data starts aligned */
    uint64_t n = b.len;
    put(w, &n, 8);
    put(w, b.s, b.len);
    sb_free(&b);
}
void tensor_writer_data(TensorWriter *w, const void *data, size_t bytes)
{
    start(w);
    w->written += bytes;
    CHECK_BUG(w->written <= w->declared);
    put(w, data, bytes);
}
static void release(TensorWriter *w)
{
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->temp);                                             /* after a commit there is none */
    }
    sb_free(&w->meta);
    sb_free(&w->header);
    free(w->buf);
    free(w->path);
    free(w->temp);
    free(w->error);
    free(w);
}
void tensor_writer_abort(TensorWriter *w) { release(w); }
bool tensor_writer_commit(TensorWriter *w, char **err)
{
    start(w);
    CHECK_BUG(w->written == w->declared);
    flush(w);
    if (!w->error && fsync(w->fd)) failed(w);
    if (!w->error && rename(w->temp, w->path)) failed(w);
    if (!w->error) {                                                 /* the rename itself must survive a power cut */
        char *slash = strrchr(w->path, '/'), *dir = slash ? xasprintf("%.*s/", (int)(slash - w->path), w->path) : xstrdup(".");
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0) { fsync(fd); close(fd); }
        free(dir);
        close(w->fd);
        w->fd = -1;
    }
    bool ok = !w->error;
    if (!ok) *err = xstrdup(w->error);
    release(w);
    return ok;
}
