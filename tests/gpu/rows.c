/* gpu.h: rows. Assumes few of them: the files are opened once and appended to. */
#include "gpu.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

static int table_fd = 1, json_fd = -1;

static int append(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) machine_error("cannot write %s: %s", path, strerror(errno));
    return fd;
}
void rows_open(const char *table, const char *json)
{
    if (table) table_fd = append(table);
    if (json) json_fd = append(json);
}

static void put(int fd, const StrBuf *b)
{
    for (size_t done = 0; done < b->len;) {
        ssize_t n = write(fd, b->s + done, b->len - done);
        if (n < 0 && errno != EINTR) machine_error("cannot write results: %s", strerror(errno));
        if (n > 0) done += (size_t)n;
    }
}

void row(const char *section, const char *name, const char *verdict, const char *json, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) text = xstrdup("");
    va_end(ap);
    StrBuf t = {0}, j = {0};
    sb_printf(&t, "%-9s %-4s  %-28s %s\n", section, verdict, name, text);
    put(table_fd, &t);
    if (json_fd >= 0) {
        sb_puts(&j, "{\"section\": ");
        sb_json_string(&j, section);
        sb_puts(&j, ", \"name\": ");
        sb_json_string(&j, name);
        sb_printf(&j, ", \"verdict\": \"%s\"%s%s, \"text\": ", verdict, *json ? ", " : "", json);
        sb_json_string(&j, text);
        sb_puts(&j, "}\n");
        put(json_fd, &j);
    }
    sb_free(&t);
    sb_free(&j);
    free(text);
}
